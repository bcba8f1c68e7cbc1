package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"jeton/eventstore"
)

// openable refuses to restore keys that nobody could open afterwards.
func (c Config) openable(keys uint64) error {
	if len(c.MasterKeys) > 0 || keys == 0 {
		return nil
	}
	return usage("the backup has keys, and the master key that opens them was not given\n  next: set JETON_MASTER_KEY_FILE to the master.key of the platform that was backed up, or JETON_MASTER_KEY to its key")
}

// bringMaster keeps the master key in the new data directory, if there is one.
func (s *Stores) bringMaster() error {
	if len(s.Config.MasterKeys) == 0 || !s.Config.usesData() {
		return nil
	}
	var text strings.Builder
	for _, master := range s.Config.MasterKeys {
		text.WriteString(master.Reveal() + "\n")
	}
	return replaceFile(s.directory().path(masterFile), []byte(text.String()))
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
