package main

import (
	"context"
	"fmt"
	"time"

	"jeton/eventstore"
)

// A file is stored before the record that has it, so a request that broke off leaves
// one that no record ever will have. Who stores one has a day to keep the record.
const (
	firstSweep = time.Hour
	sweepEvery = 24 * time.Hour
	sweepAge   = 24 * time.Hour
)

// sweep removes what nobody has from the objects, once a day, until ctx ends.
func (m *Main) sweep(ctx context.Context) {
	next := time.NewTimer(firstSweep)
	defer next.Stop()
	for {
		select {
		case <-next.C:
		case <-ctx.Done():
			return
		}
		removed, err := m.sweepOnce(ctx)
		if err == nil {
			m.Log.Info().Int("removed", removed).Msg("looked for files that no record has")
		} else if ctx.Err() == nil {
			m.Log.Warn().Err(err).Int("removed", removed).Msg("files that no record has were not all removed; they are looked for again tomorrow")
		}
		next.Reset(sweepEvery)
	}
}

// sweepOnce asks the views, which must know all that the log says: while they are made
// again they have no records at all.
func (m *Main) sweepOnce(ctx context.Context) (int, error) {
	has := func(ctx context.Context, name string) (bool, error) {
		at, err := m.Views.Position()
		if log := m.Model.Position(); err == nil && at < log {
			err = fmt.Errorf("the views are at %d and the log is at %d", at, log)
		}
		if err != nil {
			return true, err
		}
		return m.Views.HasObject(ctx, name)
	}
	removed, err := removeOrphans(ctx, m.objects, has, m.Now().Add(-sweepAge))
	if err != nil {
		return removed, err
	}
	return removed, m.objects.Sweep(ctx, sweepAge)
}

// removeOrphans deletes the objects that were kept before a moment and that nobody
// has, and answers how many these were.
func removeOrphans(ctx context.Context, objects eventstore.Objects, has func(context.Context, string) (bool, error), before time.Time) (removed int, err error) {
	var orphans []string
	err = objects.List(ctx, func(o eventstore.Object) error {
		if !o.Kept.Before(before) {
			return nil
		}
		had, err := has(ctx, o.Name)
		if err == nil && !had {
			orphans = append(orphans, o.Name)
		}
		return err
	})
	for _, name := range orphans {
		if err != nil {
			return removed, err
		}
		if err = objects.Delete(ctx, name); err == nil {
			removed++
		}
	}
	return removed, err
}
