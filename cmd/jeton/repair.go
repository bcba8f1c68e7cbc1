package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"jeton/eventstore"
	"jeton/projections"
)

func (p *Program) repairCommand() *cobra.Command {
	var from string
	var yes bool
	cmd := &cobra.Command{
		Use:   "repair --data DIR",
		Short: "Find out what is wrong with a log and its second copy, and mend it if told to",
		Long: `Looks at the log, at the second copy that the views keep of every commit, and at a backup if one is
named, while the service is stopped. It says what is wrong and where, and what it would do. It does
that only with --yes, or when it is told so on a terminal: else nothing is changed.

A log that is damaged is set aside, as damaged-… in the data directory, and never deleted. It is made
anew from the second copy or the backup; commits that only the damaged log still has are kept if they
are whole. Then it is read back, and its count, last position and chain must be those that the views
remember. Rows of the second copy that were changed or are missing are written anew from the log. What
nothing proves is not repaired: the answer is which commit that is.

The repaired log has a name of its own; engines see that and read it anew.

On NATS servers elsewhere no stream is ever deleted: repair says how to set it aside, and fills an
empty place. --from BACKUP takes a backup for what neither the log nor the second copy has, and for the
keys of people, if the whole store of the log is gone with them.`,
		Example: `  jeton repair --data /var/lib/jeton
  jeton repair --data /var/lib/jeton --yes
  jeton repair --data /var/lib/jeton --from jeton-monday.backup`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := p.configure(cmd)
			if err != nil {
				return err
			}
			if printed, err := p.printed(cmd, c); printed {
				return err
			}
			return p.repair(cmd.Context(), c.Config, from, yes)
		},
	}
	addSettings(cmd)
	cmd.Flags().StringVar(&from, "from", "", "`FILE` of a backup, for what is left nowhere else")
	cmd.Flags().BoolVar(&yes, "yes", false, "do it, without asking")
	return cmd
}

func (p *Program) repair(ctx context.Context, c Config, from string, yes bool) error {
	if from != "" {
		if _, err := verifyBackup(from); err != nil {
			return err
		}
	}
	s := &Stores{Config: c, Version: programVersion(), Log: newLog(p.Stderr, c).Level(max(zerolog.ErrorLevel, c.LogLevel))}
	r := &repairing{Program: p, Stores: s, from: from, now: time.Now()}
	return errors.Join(r.run(ctx, yes), s.Close())
}

// repairing is a repair of stores of which nobody knows whether they can be opened.
type repairing struct {
	*Program
	*Stores
	from string
	now  time.Time

	known   *mark
	copied  eventstore.Copy    // what is left of the log
	logID   string             // of what is left
	faults  []string           // of the log, besides commits
	unread  error              // why the views can't be read
	second  *projections.Views // nil: there is none
	found   projections.Findings
	renewed bool // the log must be made anew
}

func (r *repairing) run(ctx context.Context, yes bool) error {
	if err := r.look(ctx); err != nil {
		return err
	}
	defer func() {
		if r.second != nil {
			_ = r.second.Close()
		}
	}()
	var err error
	r.found, err = r.plan().Examine(ctx)
	if err != nil {
		return fmt.Errorf("%w\n  nothing was changed", err)
	}
	r.judge()
	if !r.say() {
		return nil
	}
	if !yes && !r.told() {
		return errors.New("nothing was changed\n  next: stop every server of this platform, and say --yes")
	}
	return r.mend(ctx)
}

func (r *repairing) plan() projections.Repair {
	plan := projections.Repair{Views: r.second, Log: r.copied}
	if r.from != "" {
		plan.Backup = r.backup
	}
	return plan
}

func (r *repairing) backup(_ context.Context, do func(eventstore.Record) error) error {
	f, err := openBackup(r.from)
	if err != nil {
		return err
	}
	defer f.Close()
	_, _, err = eventstore.ReadBackup(f, eventstore.BackupTaker{Record: do})
	return err
}

// look opens what there is, to read it.
func (r *repairing) look(ctx context.Context) (err error) {
	if r.Config.usesData() {
		if r.known, err = r.directory().mark(); err != nil {
			return err
		}
		if r.known == nil {
			return coded{fmt.Errorf("%s is no data directory: it has no %s", r.Config.Data, markFile), exitNotFound}
		}
		if r.lock, err = r.directory().take(); err != nil {
			return err
		}
	}
	if err := r.lookAtLog(ctx); err != nil {
		return err
	}
	return r.lookAtViews(ctx)
}

func (r *repairing) lookAtLog(ctx context.Context) error {
	if r.Config.NATS != "" {
		return r.lookAtStream(ctx)
	}
	files, err := eventstore.ReadFiles(eventstore.LogFiles(r.Config.Data))
	if err != nil {
		return err
	}
	for _, fault := range files.Faults {
		r.faults = append(r.faults, fault.String())
	}
	if _, err := os.Stat(eventstore.KeptFiles(r.Config.Data)); err == nil {
		r.faults = append(r.faults, "the server could not read the log when it started last")
	}
	r.copied, r.logID = files, files.StoreID
	return nil
}

func (r *repairing) lookAtStream(ctx context.Context) error {
	if err := r.openServer(ctx); err != nil {
		return err
	}
	remains, err := eventstore.OpenRemains(ctx, r.js)
	switch {
	case errors.Is(err, eventstore.ErrNoLog):
		r.faults = append(r.faults, "there is no stream JETON_0")
		r.copied = new(eventstore.Remains)
		return nil
	case err != nil:
		return err
	case remains.Unfinished:
		r.faults = append(r.faults, "the log was being made, and that broke off")
	default:
		if _, err := eventstore.Open(ctx, r.js); err != nil {
			r.faults = append(r.faults, err.Error())
		}
	}
	r.copied, r.logID = remains, remains.StoreID
	return nil
}

// lookAtViews opens the second copy, if it can be read. A database elsewhere must be there.
func (r *repairing) lookAtViews(ctx context.Context) (err error) {
	if r.Config.Database == "" {
		_, err := os.Stat(r.directory().path(viewsFile))
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
	}
	r.second, err = projections.OpenCopy(ctx, r.Config.database())
	if err != nil && r.Config.Database == "" {
		r.unread, r.second, err = err, nil, nil
	}
	return err
}

// judge says whether the log itself must be made anew.
func (r *repairing) judge() {
	for _, id := range []string{r.found.StoreID, r.markedID()} {
		if id != "" && r.logID != "" && id != r.logID {
			r.faults = append(r.faults, fmt.Sprintf("it is the log %s, and the log %s belongs here", r.logID, id))
			break
		}
	}
	r.renewed = len(r.faults) > 0 || r.found.Log.Count > 0
}

func (r *repairing) markedID() string {
	if r.known == nil {
		return ""
	}
	return r.known.StoreID
}

// say says what was found and what is to be done about it, and whether there is anything.
func (r *repairing) say() bool {
	out := r.Stdout
	list := func(title string, lines []string, more uint64) {
		fmt.Fprintln(out, title)
		for _, line := range lines {
			fmt.Fprintln(out, "  "+line)
		}
		if more > uint64(len(lines)) {
			fmt.Fprintf(out, "  … %d in all\n", more)
		}
	}
	const few = 10
	if r.renewed {
		faults := r.faults[:min(few, len(r.faults))]
		list("The log is damaged:", slices.Concat(faults, r.found.Log.First), uint64(len(faults))+r.found.Log.Count)
	}
	wrong := r.found.Rows.Count > 0 || r.found.Extra > 0 || r.found.Nowhere > 0 || r.found.Checkpoint || r.unread != nil
	if wrong {
		list("The second copy in the views is damaged:", r.found.Rows.First, r.found.Rows.Count)
	}
	if r.found.Extra > 0 {
		fmt.Fprintf(out, "  from %d on it has rows that were never commits\n", r.found.Extra)
	}
	if r.found.Nowhere > 0 {
		fmt.Fprintf(out, "  %d rows have no position\n", r.found.Nowhere)
	}
	if r.found.Checkpoint {
		fmt.Fprintln(out, "  the checkpoint of the views is another one")
	}
	if r.unread != nil {
		fmt.Fprintf(out, "  %v\n", r.unread)
	}
	end := r.found.End
	if !r.renewed && !wrong {
		fmt.Fprintf(out, "Nothing is wrong: the log and its second copy have the same %d commits, with the chain %s.\n", end.Position, end.Chain)
		return false
	}
	fmt.Fprintf(out, "What is left proves %d commits, with the chain %s; of the last %d only the log itself knows.\n", end.Position, end.Chain, r.found.Alone)
	fmt.Fprintln(out, "To be done:")
	if r.unread != nil {
		fmt.Fprintf(out, "  set %s aside and begin a new one\n", viewsFile)
	}
	if wrong || r.renewed && r.found.Behind > 0 {
		fmt.Fprintf(out, "  write %d rows of the second copy anew\n", r.found.Rows.Count+r.found.Behind)
	}
	if r.renewed {
		fmt.Fprintf(out, "  set the log aside, make it anew from the second copy, read it back and compare\n")
	}
	return true
}

// told asks on a terminal.
func (r *repairing) told() bool {
	terminal, is := r.Stdin.(interface{ Fd() uintptr })
	if !is || !isatty.IsTerminal(terminal.Fd()) {
		return false
	}
	fmt.Fprint(r.Stderr, `Is every server of this platform stopped? Type "repair" to go on: `)
	line, _ := bufio.NewReader(r.Stdin).ReadString('\n')
	return strings.TrimSpace(line) == "repair"
}

// mend first has all that is known in the second copy, so that it can be begun again
// whenever it breaks off; then it makes the log of it.
func (r *repairing) mend(ctx context.Context) error {
	if err := r.mendViews(ctx); err != nil {
		return err
	}
	if r.renewed {
		if err := r.renew(ctx); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(r.Stdout, "Repaired: %d commits, the last at position %d, with the chain %s.\n  %s\n", r.found.End.Position, r.found.End.Position, r.found.End.Chain, r.Config.startCommand())
	return err
}

func (r *repairing) mendViews(ctx context.Context) (err error) {
	if r.unread != nil {
		if err := r.directory().moveViews(".damaged-" + r.stamp()); err != nil {
			return err
		}
	}
	if r.second == nil {
		if r.second, err = projections.OpenViews(ctx, r.Config.database(), new(eventstore.Vault)); err != nil {
			r.second = nil
			return err
		}
	}
	return r.plan().Mend(ctx, r.found)
}

func (r *repairing) stamp() string { return r.now.UTC().Format("20060102T150405Z") }

// renew makes the log anew from the second copy, and proves it. Until all fits nobody
// serves from it.
func (r *repairing) renew(ctx context.Context) error {
	if r.Config.NATS == "" {
		if err := r.moveLog(); err != nil {
			return err
		}
		if err := r.lock.Unlock(); err != nil { // the server locks it itself
			return err
		}
		r.lock, r.quick = nil, true
		if err := r.openServer(ctx); err != nil {
			return err
		}
	}
	if err := r.fill(ctx); err != nil {
		if errors.As(err, new(coded)) { // there is a log
			return coded{errors.New(setAsideStream), exitConflict}
		}
		return err
	}
	if err := r.bringKeys(ctx); err != nil {
		return err
	}
	if err := r.second.Copied(ctx, r.found.End, func(record eventstore.Record) error { return r.filling.Add(ctx, record) }); err != nil {
		return err
	}
	if err := r.settle(ctx); err != nil {
		return err
	}
	if err := r.filling.Prove(ctx, r.found.End); err != nil {
		return err
	}
	return r.hand(ctx)
}

const setAsideStream = `the damaged stream JETON_0 is in the way
  next: all that is known is in the second copy now. A stream is never deleted here: keep the damaged one and
  take it away with the tools of NATS, then run jeton repair again:
    nats stream backup JETON_0 jeton-damaged
    nats stream rm JETON_0`

// hand gives the log over to the views and the directory, and then free.
func (r *repairing) hand(ctx context.Context) error {
	id := r.Store.StoreID()
	if err := r.second.Adopt(ctx, id); err != nil {
		return err
	}
	if r.known != nil {
		r.known.StoreID = id
		if err := r.directory().writeMark(*r.known); err != nil {
			return err
		}
	}
	return r.filling.Finish(ctx)
}

// bringKeys takes the keys that are gone from the backup, if one is named. Those that are
// there stay: they may be wrapped by a younger master key. Who was erased since the
// backup is erased again when the service starts.
func (r *repairing) bringKeys(ctx context.Context) error {
	if r.from == "" {
		return nil
	}
	keys, err := eventstore.OpenKeys(ctx, r.Store)
	if err != nil {
		return err
	}
	f, err := openBackup(r.from)
	if err != nil {
		return err
	}
	defer f.Close()
	_, _, err = eventstore.ReadBackup(f, eventstore.BackupTaker{Key: func(name string, wrapped []byte) error {
		if err := keys.Put(ctx, name, wrapped); !errors.Is(err, eventstore.ErrKeyExists) {
			return err
		}
		return nil
	}})
	return err
}

// moveLog sets the folder of the log aside, and what holds on to its files.
func (r *repairing) moveLog() error {
	aside := r.directory().path("damaged-" + r.stamp())
	if err := os.Mkdir(aside, 0o700); err != nil {
		return err
	}
	for _, folder := range []string{eventstore.LogFiles(r.Config.Data), eventstore.KeptFiles(r.Config.Data)} {
		err := os.Rename(folder, filepath.Join(aside, filepath.Base(folder)))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return errors.Join(syncFolder(aside), syncFolder(r.Config.Data))
}
