package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"jeton/projections"
)

func (p *Program) rebuildCommand() *cobra.Command {
	var acceptLog bool
	cmd := &cobra.Command{
		Use:   "rebuild --data DIR",
		Short: "Make the views again from the log, while the service is stopped",
		Long: `Forgets the views (lists, search, history) and makes them again from the log, which is checked
whole on the way. The second copy of the commits that the views keep is held against the log: if
they differ, the answer is what differs and where, and the log is not accepted.

--accept-log accepts the log as it is although the views remember more of it, or another one: after
a restore from a backup. The views as they were are kept in the data directory, as views.db.before-….
Commits that the log has lost are lost, revocations among them: look through the tokens afterwards.
Where the views are in PostgreSQL, name a new and empty database instead, and keep the old one.

A log that has a hole or a commit that can't be read is never accepted: restore it first.`,
		Example: `  jeton rebuild --data /var/lib/jeton
  jeton rebuild --data /var/lib/jeton --accept-log`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := p.configure(cmd)
			if err != nil {
				return err
			}
			if printed, err := p.printed(cmd, c); printed {
				return err
			}
			return p.explain(p.rebuild(cmd.Context(), c.Config, acceptLog), c.Config)
		},
	}
	addSettings(cmd)
	cmd.Flags().BoolVar(&acceptLog, "accept-log", false, "accept the log although the views remember more than it has")
	return cmd
}

func (p *Program) rebuild(ctx context.Context, c Config, acceptLog bool) error {
	s := &Stores{Config: c, Version: programVersion(), Log: newLog(p.Stderr, c).Level(max(zerolog.WarnLevel, c.LogLevel)), Accept: acceptLog}
	if err := s.Open(ctx, mustNotFound); err != nil {
		return err
	}
	err := p.rebuildIn(ctx, s)
	return errors.Join(err, s.Close())
}

func (p *Program) rebuildIn(ctx context.Context, s *Stores) error {
	return s.with(ctx, func(ctx context.Context, _ *projections.Model) error {
		began := time.Now()
		if err := s.Views.Rebuild(ctx, s.Store, s.Store.StoreID()); err != nil {
			return err
		}
		at, _ := s.Views.Position()
		if s.before.Position > at {
			fmt.Fprintf(p.Stderr, "Commits %d to %d are lost.\n", at+1, s.before.Position)
		}
		_, err := fmt.Fprintf(p.Stderr, "The log is whole. The views were made again from its %d commits in %v.\n", at, time.Since(began).Round(time.Millisecond))
		return err
	})
}

// setAside moves views out of the way that remember more than the log has. They
// keep the second copy of what was lost.
func (s *Stores) setAside(ctx context.Context, now time.Time) error {
	if s.Config.Database != "" {
		return usage("--accept-log: the views are in a database elsewhere\n  next: name a new and empty one with --database, without --accept-log, and keep this one: it has the second copy of what the log lost")
	}
	if views, err := projections.OpenViews(ctx, s.Config.database(), s.Vault); err == nil {
		s.before, _, _ = views.Remembered(ctx)
		if err := views.Close(); err != nil {
			return err
		}
	}
	return s.directory().moveViews(".before-" + now.UTC().Format("20060102T150405Z"))
}

func (d directory) moveViews(suffix string) error {
	for _, companion := range []string{"", "-wal", "-shm"} {
		err := os.Rename(d.path(viewsFile+companion), d.path(viewsFile+suffix+companion))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
