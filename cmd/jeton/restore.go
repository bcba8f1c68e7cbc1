package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"jeton/eventstore"
	"jeton/projections"
)

func (p *Program) restoreCommand() *cobra.Command {
	var in string
	cmd := &cobra.Command{
		Use:   "restore --in FILE --data DIR",
		Short: "Make a platform from a backup, in an empty place",
		Long: `Reads the whole backup first and refuses one that is damaged. Then it makes the log anew: the same
commits at the same positions, byte for byte, with keys and files beside it; reads all of it back, and
compares count, last position and chain with the backup; makes the views; and only then gives the
platform free. A directory, a log or a database that is not empty is refused and stays as it is. If it
breaks off, nothing is left in the data directory; a log elsewhere stays closed, and the next restore of
the same backup goes on with it.

What happened since the backup was made is lost, revocations among it: look through the tokens
afterwards. The new log has a name of its own, so that engines and services that knew more see that it
is another one, and read it anew. A person who was erased after the backup was made is back, with
their key: erase them again. The master key is not in a backup: set JETON_MASTER_KEY or
JETON_MASTER_KEY_FILE to the one that the platform had. It is kept in the new data directory. The log
goes on being signed with the keys it had, under the name it had.`,
		Example: `  JETON_MASTER_KEY_FILE=/mnt/safe/master.key jeton restore --in jeton-monday.backup --data /var/lib/jeton
  JETON_MASTER_KEY_FILE=/mnt/safe/master.key JETON_DATABASE_FILE=/run/secrets/database jeton restore --in jeton-monday.backup --nats nats://a:4222`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := p.configure(cmd)
			if err != nil {
				return err
			}
			if printed, err := p.printed(cmd, c); printed {
				return err
			}
			if in == "" {
				return usage("--in is missing: name the file of a backup")
			}
			return p.restore(cmd.Context(), c.Config, in)
		},
	}
	addSettings(cmd)
	cmd.Flags().StringVar(&in, "in", "", "`FILE` of the backup")
	return cmd
}

func (p *Program) restore(ctx context.Context, c Config, path string) error {
	began := time.Now()
	found, err := verifyBackup(path)
	if err != nil {
		return err
	}
	if err := c.openable(found.Keys); err != nil {
		return err
	}
	s := &Stores{Config: c, Version: programVersion(), Log: newLog(p.Stderr, c).Level(max(zerolog.WarnLevel, c.LogLevel)), quick: true}
	if err := s.Open(ctx, mustFound); err != nil {
		return err
	}
	r := restoring{s, path, found.BackupEnd}
	err = s.bringMaster()
	if err == nil {
		err = r.run(ctx)
	}
	if err == nil {
		err = s.Keep(time.Now())
	}
	if err := errors.Join(err, s.Close()); err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.Stdout, `Restored %d commits, %d keys and %d files in %v.
The log was read back: it ends at position %d, and its chain is that of the backup.
Next:

  %s
`, found.Commits, found.Keys, found.Objects, time.Since(began).Round(time.Millisecond), found.Last, c.startCommand())
	return err
}

// restoring is a restore into stores that are open to be filled.
type restoring struct {
	*Stores
	path string
	end  eventstore.BackupEnd
}

// run gives the log free when all of it was proved.
func (r restoring) run(ctx context.Context) error {
	if err := r.take(ctx); err != nil {
		return err
	}
	if err := r.settle(ctx); err != nil {
		return err
	}
	if err := r.unlock(ctx); err != nil {
		return err
	}
	if err := r.filling.Prove(ctx, r.head()); err != nil {
		return err
	}
	if err := r.views(ctx); err != nil {
		return err
	}
	return r.filling.Finish(ctx)
}

func (r restoring) head() eventstore.Head {
	return eventstore.Head{Position: r.end.Last, Chain: r.end.Chain}
}

// take puts everything where it belongs.
func (r restoring) take(ctx context.Context) error {
	keys, err := eventstore.OpenKeys(ctx, r.Store)
	if err != nil {
		return err
	}
	objects, err := eventstore.OpenObjects(ctx, r.Store, r.Config.ObjectsLimit)
	if err != nil {
		return err
	}
	f, err := openBackup(r.path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, end, err := eventstore.ReadBackup(f, eventstore.BackupTaker{
		Record: func(record eventstore.Record) error { return r.filling.Add(ctx, record) },
		Key:    func(name string, wrapped []byte) error { return putKey(ctx, keys, name, wrapped) },
		Object: func(o eventstore.Object, content io.Reader) error { return putObject(ctx, objects, o, content) },
	})
	if err == nil && (end.Chain != r.end.Chain || end.Contents != r.end.Contents) {
		err = errors.New("the backup was changed while it was read")
	}
	return refusedOr(r.path, err)
}

// refusedOr is nil of nil.
func refusedOr(path string, err error) error {
	if err == nil {
		return nil
	}
	return refusedBackup(path, err)
}

func putKey(ctx context.Context, keys eventstore.Keys, name string, wrapped []byte) error {
	err := keys.Put(ctx, name, wrapped)
	if errors.Is(err, eventstore.ErrKeyExists) { // of a try before
		kept, asked := keys.Get(ctx, name)
		if asked != nil || !slices.Equal(kept, wrapped) {
			return fmt.Errorf("key %s: %w", name, errors.Join(err, asked))
		}
		return nil
	}
	return err
}

func putObject(ctx context.Context, objects eventstore.Objects, o eventstore.Object, content io.Reader) error {
	_, err := objects.Put(ctx, o.Name, content, o.Size)
	if !errors.Is(err, eventstore.ErrConflict) {
		return err
	}
	kept, open, asked := objects.Get(ctx, o.Name)
	if asked != nil {
		return asked
	}
	if err := open.Close(); err != nil {
		return err
	}
	if kept.Digest != o.Digest {
		return err
	}
	return nil // of a try before
}

// views makes the views, which reads every commit once more, and compares the trees.
func (r restoring) views(ctx context.Context) error {
	return r.with(ctx, func(ctx context.Context, _ *projections.Model) error {
		if err := r.Views.Rebuild(ctx, r.Store, r.Store.StoreID()); err != nil {
			return err
		}
		roots, err := r.Views.Roots(ctx, r.head())
		if err == nil && !maps.Equal(roots, r.end.Roots) {
			err = errors.New("the Merkle trees of what was restored are not those of the backup")
		}
		return err
	})
}
