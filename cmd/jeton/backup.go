package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"jeton/eventstore"
	"jeton/projections"
)

// backup is what jeton backup was asked for.
type backup struct {
	*remote
	out            string
	withoutObjects bool
}

func (p *Program) backupCommand() *cobra.Command {
	b := new(backup)
	cmd, r := p.remoteCommand(&cobra.Command{
		Use:   "backup --out FILE",
		Short: "Make a backup of the whole platform, while it serves or from its data directory",
		Long: `Asks the service for a backup of all it has: every commit, the keys beside them as they are kept
(wrapped: without the master key they open nothing), and the files that programs of Database Lab have
sent. Commands go on meanwhile; the backup has all that was done when it began. It takes an operator's
token. The file is there only when all of it has come and was read back: count, last position, chain
and every byte. It replaces a file of that name. Only its owner can read it.

With --data, --nats or --database it opens the platform itself, while no service uses the directory.

A person who is erased stays in the backups that were made before, until those are deleted: they have
the person's key. Keep the master key somewhere else.`,
		Example: `  jeton backup --out jeton-monday.backup
  jeton backup --out jeton-monday.backup --data /var/lib/jeton
  jeton backup verify jeton-monday.backup`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return b.run(cmd) },
	})
	b.remote = r
	addSettings(cmd)
	cmd.Flags().StringVar(&b.out, "out", "", "`FILE` to write")
	cmd.Flags().BoolVar(&b.withoutObjects, "without-objects", false, "leave out the files that programs of Database Lab have sent")
	cmd.AddCommand(r.backupVerifyCommand())
	return cmd
}

func (b *backup) run(cmd *cobra.Command) error {
	c, err := b.program.configure(cmd)
	if err != nil {
		return err
	}
	if printed, err := b.program.printed(cmd, c); printed {
		return err
	}
	if b.out == "" {
		return usage("--out is missing: name the file to write")
	}
	make := b.download
	if flags := cmd.Flags(); flags.Changed("data") || flags.Changed("nats") || flags.Changed("database") {
		make = func(ctx context.Context, w io.Writer) error { return b.open(ctx, c.Config, w) }
	}
	made, err := writeBackup(cmd.Context(), b.out, make)
	if err != nil {
		return b.program.explain(err, c.Config)
	}
	return made.print(b.program.Stdout, b.output)
}

// writeBackup makes a file of a backup: whole and proved, or not at all.
func writeBackup(ctx context.Context, path string, make func(context.Context, io.Writer) error) (contents, error) {
	folder := filepath.Dir(path)
	f, err := os.CreateTemp(folder, ".jeton-backup-*") // made with 0600
	if err != nil {
		return contents{}, err
	}
	err = make(ctx, f)
	err = errors.Join(err, f.Sync(), f.Close())
	var made contents
	if err == nil {
		made, err = verifyBackup(f.Name())
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return made, errors.Join(err, os.Remove(f.Name()))
	}
	made.File = path
	return made, syncFolder(folder)
}

// download asks the service. It may take as long as it wants, if only something comes.
func (b *backup) download(ctx context.Context, to io.Writer) error {
	c, err := b.client()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	silence := time.AfterFunc(b.timeout, cancel)
	defer silence.Stop()
	path := "backup"
	if b.withoutObjects {
		path += "?objects=false"
	}
	request, err := c.request(ctx, question{method: "GET", path: path})
	if err != nil {
		return err
	}
	response, err := c.HTTP.Do(request)
	if err != nil {
		return c.unreachable(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return c.read(response, nil)
	}
	_, err = io.Copy(to, heard{response.Body, func() { silence.Reset(b.timeout) }})
	if err != nil {
		return coded{fmt.Errorf("the backup broke off: %w\n  next: look at the log of the service, and try again", err), exitUnavailable}
	}
	return nil
}

// heard reads, and says whenever something came.
type heard struct {
	io.Reader
	heard func()
}

func (h heard) Read(p []byte) (int, error) {
	n, err := h.Reader.Read(p)
	h.heard()
	return n, err
}

// open makes a backup without a service.
func (b *backup) open(ctx context.Context, c Config, to io.Writer) error {
	s := &Stores{Config: c, Version: programVersion(), Log: newLog(b.program.Stderr, c).Level(max(zerolog.WarnLevel, c.LogLevel))}
	if err := s.Open(ctx, mustNotFound); err != nil {
		return err
	}
	err := s.with(ctx, func(ctx context.Context, model *projections.Model) error {
		return s.backup(ctx, model, !b.withoutObjects, to)
	})
	return errors.Join(err, s.Close())
}

// backup writes what the log has, which the model has checked and the views have taken.
func (s *Stores) backup(ctx context.Context, model *projections.Model, objects bool, to io.Writer) error {
	until, err := s.caughtUp(ctx, model)
	if err != nil {
		return err
	}
	source := eventstore.BackupSource{
		BackupHeader: eventstore.BackupHeader{Log: s.Store.StoreID(), Made: time.Now().UTC(), Version: s.Version},
		Until:        until, Roots: s.Views.Roots,
		Records: func(ctx context.Context, do func(eventstore.Record) error) error {
			return eventstore.ReadUpTo(ctx, s.Store, until.Position, do)
		},
	}
	if source.Keys, err = eventstore.OpenKeys(ctx, s.Store); err != nil {
		return err
	}
	if objects {
		if source.Objects, err = eventstore.OpenObjects(ctx, s.Store, s.Config.ObjectsLimit); err != nil {
			return err
		}
	}
	_, err = eventstore.WriteBackup(ctx, source, to)
	return err
}

// caughtUp lets the views take what the model has, and is where they are then.
func (s *Stores) caughtUp(ctx context.Context, model *projections.Model) (eventstore.Head, error) {
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- s.Views.Run(running, s.Store, s.Store.StoreID()) }()
	err := s.Views.Wait(ctx, model.Position())
	stop()
	if err = errors.Join(err, <-ended); err != nil {
		return eventstore.Head{}, err
	}
	head, _, err := s.Views.Remembered(ctx)
	return head, err
}

func (r *remote) backupVerifyCommand() *cobra.Command {
	return &cobra.Command{
		Use: "verify FILE", Short: "Read a backup to its end and say what is in it, or where it is damaged",
		Long: `Checks every byte of a backup, the chain of its commits, and its counts. It asks no service. A backup
that is damaged, cut off or something else is refused with 1, and the place is named.`,
		Example: `  jeton backup verify jeton-monday.backup`,
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			found, err := verifyBackup(args[0])
			if err != nil {
				return err
			}
			return found.print(r.program.Stdout, r.output)
		},
	}
}

// contents are what a backup is of and what is in it, as -o json prints them.
type contents struct {
	File string `json:"file"`
	Size int64  `json:"size"`
	eventstore.BackupHeader
	eventstore.BackupEnd
}

// verifyBackup reads a backup to its end.
func verifyBackup(path string) (contents, error) {
	f, err := openBackup(path)
	if err != nil {
		return contents{}, err
	}
	defer f.Close()
	header, end, err := eventstore.ReadBackup(f, eventstore.BackupTaker{})
	if err != nil {
		return contents{}, refusedBackup(path, err)
	}
	size, err := f.Seek(0, io.SeekCurrent)
	return contents{path, size, header, end}, err
}

func openBackup(path string) (*os.File, error) {
	f, err := os.Open(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, coded{fmt.Errorf("there is no file %s", path), exitNotFound}
	case err != nil:
		return nil, err
	}
	if info, err := f.Stat(); err != nil || info.IsDir() {
		return nil, errors.Join(err, usage("%s is a directory; name the file of a backup", path), f.Close())
	}
	return f, nil
}

// refusedBackup says what is wrong with a backup, and what else there may be.
func refusedBackup(path string, err error) error {
	var bad *eventstore.BadBackup
	switch {
	case errors.As(err, &bad):
		return fmt.Errorf("%s: %w\n  next: take another backup; of this one nothing is used", path, err)
	case errors.Is(err, eventstore.ErrNoBackup), errors.Is(err, eventstore.ErrBackupFormat):
		return usage("%s: %w", path, err)
	}
	return fmt.Errorf("%s: %w", path, err)
}

func (c contents) print(w io.Writer, output string) (err error) {
	switch output {
	case "json":
		err = json.NewEncoder(w).Encode(c)
	case "name":
		_, err = fmt.Fprintln(w, c.File)
	default:
		_, err = fmt.Fprintf(w, `%s is whole.
made     %s by jeton %s
size     %d bytes
commits  %d, the last at position %d
chain    %s
trees    %d
keys     %d
files    %d, of %d bytes together
`, c.File, c.Made.Format(time.RFC3339), c.Version, c.Size, c.Commits, c.Last, c.Chain, len(c.Roots), c.Keys, c.Objects, c.Bytes)
	}
	return err
}
