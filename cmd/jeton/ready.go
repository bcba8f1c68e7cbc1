package main

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"jeton/eventstore"
	"jeton/projections"
)

const (
	// readyPatience is how long the log may take to say how it is.
	readyPatience = 2 * time.Second
	// lagAllowed is how many commits the views may be behind: more than come in
	// while one batch is written.
	lagAllowed = 1000
)

// ready says what speaks against sending requests here.
func (m *Main) ready() map[string]error {
	failing := map[string]error{}
	for name, ask := range map[string]func() error{"log": m.logReady, "views": m.viewsReady, "disk": m.diskReady} {
		if err := ask(); err != nil {
			failing[name] = err
		}
	}
	return failing
}

func (m *Main) logReady() error {
	ctx, cancel := context.WithTimeout(context.Background(), readyPatience)
	defer cancel()
	return m.Healthy(ctx)
}

func (m *Main) viewsReady() error {
	at, err := m.Views.Position()
	if err != nil {
		return err
	}
	// First they have all that there was at the start, or lists would show a time before it.
	if head := m.Model.Position(); uint64(at) < m.loaded.Load() || head > at+lagAllowed {
		return fmt.Errorf("%w: by %d commits", projections.ErrBehind, head-at)
	}
	return nil
}

func (m *Main) diskReady() error {
	if !m.Config.usesData() || m.Config.DiskReserve == 0 {
		return nil
	}
	free, err := diskFree(m.Config.Data)
	if err == nil && free < m.Config.DiskReserve {
		err = fmt.Errorf("%w: the disk of %s has %d MiB left, and %s are to be kept free", eventstore.ErrUnavailable, m.Config.Data, free>>20, writeSize(m.Config.DiskReserve))
	}
	return err
}

// diskFree is how many bytes the disk of a path has left for this user.
func diskFree(path string) (int64, error) {
	var stat syscall.Statfs_t
	if err := syscall.Statfs(path, &stat); err != nil {
		return 0, fmt.Errorf("ask the disk of %s: %w", path, err)
	}
	return int64(stat.Bavail) * stat.Bsize, nil
}

// register offers what only the whole service knows.
func (m *Main) register(r *prometheus.Registry) {
	gauge := func(name, help string, value func() float64) {
		r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value))
	}
	gauge("jeton_log_position", "How far the log has been read into memory.", func() float64 { return float64(m.Model.Position()) })
	gauge("jeton_views_position", "How far the log has been written into the views.", func() float64 { at, _ := m.Views.Position(); return float64(at) })
	gauge("jeton_usage_waiting", "Tokens whose use was not told to the other nodes yet.", func() float64 { return float64(m.Model.Reporting().Waiting) })
	gauge("jeton_usage_missed", "Uses that were not counted, because those of too many tokens wait.", func() float64 { return float64(m.Model.Reporting().Missed) })
	gauge("jeton_usage_skipped", "Reports of use that could not be read: of a younger version, or broken.", func() float64 { n, _ := m.Views.SkippedUsage(); return float64(n) })
	if m.Config.usesData() {
		gauge("jeton_disk_free_bytes", "Bytes left on the disk of the data directory.", func() float64 { n, _ := diskFree(m.Config.Data); return float64(n) })
	}
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
}
