package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"jeton/eventstore"
	"jeton/projections"
)

func (p *Program) keyCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "key", Short: "Make a master key"}
	helpful(cmd)
	cmd.AddCommand(p.keyNewCommand())
	return cmd
}

func (p *Program) keyNewCommand() *cobra.Command {
	return &cobra.Command{
		Use: "new", Short: "Print a new master key",
		Long: `Prints a new master key, for JETON_MASTER_KEY or a file that JETON_MASTER_KEY_FILE names. It changes
nothing.

To change the master key of a platform, put the new one before the old one, with a comma or a line end
between, and start the service: it encrypts all keys with the new one. Then take the old one away.
Where several servers share a log, put the new one behind the old one on all of them first.`,
		Example: `  jeton key new > next.key
  cat next.key master.key > both.key
  JETON_MASTER_KEY_FILE=both.key jeton serve`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(p.Stdout, eventstore.NewMaster().Reveal())
			return err
		},
	}
}

// errMasterLost: there are keys, and nothing to open them with.
var errMasterLost = errors.New("the master key is missing")

// unlock opens the keys of people with the master key.
func (s *Stores) unlock(ctx context.Context) error {
	return s.insist(ctx, "the keys", func() error {
		keys, err := eventstore.OpenKeys(ctx, s.Store)
		if err != nil {
			return err
		}
		s.keys = keys
		masters, err := s.masters(ctx, keys)
		if err != nil {
			return err
		}
		return s.Vault.Unlock(ctx, keys, masters...)
	})
}

// masters are the master keys that were set, or else those in the data directory.
func (s *Stores) masters(ctx context.Context, keys eventstore.Keys) ([]eventstore.Master, error) {
	if len(s.Config.MasterKeys) > 0 {
		return s.Config.MasterKeys, nil
	}
	if !s.Config.usesData() {
		return nil, usage("master-key: is not set, and nothing is kept in a data directory where it could be\n  next: set JETON_MASTER_KEY or JETON_MASTER_KEY_FILE, the same on every server; jeton key new prints a new one")
	}
	path := s.directory().path(masterFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s.newMaster(ctx, keys, path)
	}
	if err != nil {
		return nil, err
	}
	masters, err := eventstore.ParseMasters(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return masters, nil
}

// newMaster makes a master key where there is no key yet that another one has wrapped.
func (s *Stores) newMaster(ctx context.Context, keys eventstore.Keys, path string) ([]eventstore.Master, error) {
	err := keys.All(ctx, func(string, []byte) error { return fmt.Errorf("%w: there is no %s", errMasterLost, path) })
	if err != nil {
		return nil, err
	}
	master := eventstore.NewMaster()
	return []eventstore.Master{master}, replaceFile(path, []byte(master.Reveal()+"\n"))
}

// keyRecovery is what to do when the keys of people can't be opened.
func (c Config) keyRecovery(err error) string {
	switch {
	case errors.Is(err, eventstore.ErrMaster), errors.Is(err, errMasterLost):
		return fmt.Sprintf(`The keys of people are encrypted with a master key that was not given, so that nobody can say who is
who. Nothing was changed.

How to recover:

 1. Give the master key that was used before: %s. Several can be given, the one that
    is to be used from now on first.
 2. Servers that share a log need the same master key.
`, c.masterPlace())
	case errors.Is(err, projections.ErrKeysLost):
		return `The log has people whose keys are gone, although nobody has erased them: the stream JETON_KEYS
was lost, or came from a backup that is older than the log. Nothing was changed.

How to recover: restore the log and its keys from the same backup, or the stream JETON_KEYS from the
newest one (who was erased since is erased again at the start).
`
	}
	return ""
}

func (c Config) masterPlace() string {
	if c.usesData() {
		return "restore " + directory(c.Data).path(masterFile) + ", or set JETON_MASTER_KEY or JETON_MASTER_KEY_FILE"
	}
	return "set JETON_MASTER_KEY or JETON_MASTER_KEY_FILE"
}
