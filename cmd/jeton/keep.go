package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"jeton/eventstore"
)

// keys are those beside the log, for backups and restores; nil: this platform keeps none.
func (s *Stores) keys(context.Context) (eventstore.Keys, error) { return nil, nil }

// roots are those of the organizations' Merkle trees, where the views are; nil: there
// are no trees.
func (s *Stores) roots(context.Context, eventstore.Head) (map[string]eventstore.Root, error) {
	return nil, nil
}

// fill opens the log to fill it, or goes on with one whose filling broke off. The
// embedded server does not sync meanwhile: settle does so for all at once.
func (s *Stores) fill(ctx context.Context) error {
	replicas := s.Config.Replicas
	if s.Config.NATS == "" {
		replicas = 1
	}
	filling, err := eventstore.CreateUnfinished(ctx, s.js, replicas)
	if errors.Is(err, eventstore.ErrLogExists) {
		return coded{errors.New("there is a log already; it is not touched\n  next: take an empty one (nats stream ls shows what there is)"), exitConflict}
	}
	if err != nil {
		return err
	}
	s.filling, s.Store = filling, filling.JetStream
	return nil
}

// settle has on disk what was filled, and opens the server again as one that serves.
func (s *Stores) settle(ctx context.Context) error {
	if s.embedded == nil {
		return nil
	}
	err := s.embedded.Close()
	s.embedded, s.quick = nil, false
	if err == nil {
		err = syncTree(s.directory().path(logFolder))
	}
	if err == nil {
		err = s.openServer(ctx)
	}
	if err != nil {
		return err
	}
	return s.fill(ctx)
}

// syncTree has all files of a folder on disk, with their names.
func syncTree(folder string) error {
	return filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		return errors.Join(f.Sync(), f.Close())
	})
}
