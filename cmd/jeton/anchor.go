package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"jeton/eventstore"
	"jeton/projections"
)

// anchor takes the signed epochs to where whoever runs this service cannot change
// them any more. It waits for nobody, and nobody waits for it: what fails is logged,
// counted and tried again.
type anchor struct {
	views    *projections.Views
	place    anchorPlace
	interval time.Duration // how often the newest is taken; 0: every epoch is
	log      zerolog.Logger

	epoch    prometheus.Gauge
	failures prometheus.Counter
}

// anchorPlace is where epochs are kept.
type anchorPlace interface {
	// last is the number of the last epoch that is there; 0: none. What is left of
	// one that was cut off by a crash is removed.
	last(ctx context.Context) (int64, error)
	// keep keeps a note. The answer comes when it is kept.
	keep(ctx context.Context, note string) error
}

// newAnchors are those that are set.
func (m *Main) newAnchors(registry *prometheus.Registry) (all []*anchor) {
	places := map[string]anchorPlace{}
	if m.Config.AnchorFile != "" {
		places["file"] = anchorFile(m.Config.AnchorFile)
	}
	if m.Config.AnchorURL != "" {
		places["url"] = &anchorURL{m.Config.AnchorURL, m.Views}
	}
	for kind, place := range places {
		a := &anchor{
			views: m.Views, place: place, interval: m.Config.AnchorInterval, log: m.Log.With().Str("anchor", kind).Logger(),
			epoch: prometheus.NewGauge(prometheus.GaugeOpts{
				Name: "jeton_anchor_epoch", Help: "The last epoch that an anchor has.", ConstLabels: prometheus.Labels{"anchor": kind},
			}),
			failures: prometheus.NewCounter(prometheus.CounterOpts{
				Name: "jeton_anchor_failures_total", Help: "How often an anchor did not take an epoch.", ConstLabels: prometheus.Labels{"anchor": kind},
			}),
		}
		registry.MustRegister(a.epoch, a.failures)
		all = append(all, a)
	}
	return all
}

// anchorPoll is how often it is looked for epochs where every one is kept.
const anchorPoll = 5 * time.Second

func (a *anchor) run(ctx context.Context) {
	tick := time.NewTicker(max(a.interval, anchorPoll))
	defer tick.Stop()
	for last := int64(-1); ; {
		var err error
		if last, err = a.round(ctx, last); err != nil && ctx.Err() == nil {
			a.failures.Inc()
			a.log.Warn().Err(err).Int64("epoch", last).Msg("the anchor did not take an epoch; it is tried again")
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// round takes what is new behind the last epoch that was taken; -1: that is not known.
func (a *anchor) round(ctx context.Context, last int64) (_ int64, err error) {
	if last < 0 {
		if last, err = a.place.last(ctx); err != nil {
			return -1, err
		}
	}
	epochs, err := a.fresh(ctx, last)
	for _, e := range epochs {
		if err := a.place.keep(ctx, e.Note); err != nil {
			return last, err
		}
		last = e.Number
		a.epoch.Set(float64(last))
	}
	return last, err
}

func (a *anchor) fresh(ctx context.Context, last int64) ([]projections.Epoch, error) {
	if a.interval == 0 {
		return a.views.Epochs(ctx, last, 0)
	}
	newest, err := a.views.NewestEpoch(ctx)
	if err != nil || newest.Number <= last {
		return nil, err
	}
	return []projections.Epoch{newest}, nil
}

// anchorFile is a file to which notes are appended, one behind the other: on a disk
// that can be written once, on another machine.
type anchorFile string

// tailSize is more than the largest note.
const tailSize = 256 << 10

func (f anchorFile) last(context.Context) (int64, error) {
	file, err := os.OpenFile(string(f), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer file.Close()
	for {
		size, err := file.Seek(0, io.SeekEnd)
		if err != nil || size == 0 {
			return 0, err
		}
		tail := make([]byte, min(size, tailSize))
		if _, err := file.ReadAt(tail, size-int64(len(tail))); err != nil {
			return 0, err
		}
		begin := bytes.LastIndex(append([]byte("\n"), tail...), []byte("\njeton epoch\n"))
		if begin < 0 {
			return 0, fmt.Errorf("%s is no file of epochs", f)
		}
		// A crash may have left a part of a note at the end.
		number, length := firstNote(string(tail[begin:]))
		if begin+length < len(tail) {
			if err := file.Truncate(size - int64(len(tail)-begin-length)); err != nil {
				return 0, err
			}
		}
		if length > 0 {
			return number, nil
		}
	}
}

// firstNote is the number of the epoch with whose note a text begins, and the length
// of the note; 0: it is not whole.
func firstNote(text string) (number int64, length int) {
	s, err := eventstore.ParseNote(text)
	if err != nil {
		return 0, 0
	}
	length = strings.Index(text, "\n\n") + 2
	for range s.Keys {
		line := strings.IndexByte(text[length:], '\n')
		if line < 0 {
			return 0, 0
		}
		length += line + 1
	}
	return s.Number, length
}

func (f anchorFile) keep(_ context.Context, note string) error {
	file, err := os.OpenFile(string(f), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	_, err = file.WriteString(note)
	return errors.Join(err, file.Sync(), file.Close())
}

// anchorURL is where notes are sent, each as the body of a POST. What was sent before
// a restart is not known: the newest is sent again.
type anchorURL struct {
	url   string
	views *projections.Views
}

func (u *anchorURL) last(ctx context.Context) (int64, error) {
	newest, err := u.views.NewestEpoch(ctx)
	return max(newest.Number-1, 0), err
}

// anchorPatience is how long the receiver may take.
const anchorPatience = 10 * time.Second

// anchorClient follows nobody elsewhere: the operator has named one place.
var anchorClient = &http.Client{
	Timeout:       anchorPatience,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

func (u *anchorURL) keep(ctx context.Context, note string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, u.url, strings.NewReader(note))
	if err != nil {
		return errors.New("anchor-url is no URL") // err would show a password in it
	}
	request.Header.Set("Content-Type", "text/plain; charset=utf-8")
	response, err := anchorClient.Do(request)
	if err != nil {
		return errors.New("the receiver can't be reached")
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 64<<10)) // so that the connection is used again
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("the receiver answered %s", response.Status)
	}
	return nil
}
