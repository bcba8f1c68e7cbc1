package projections

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"iter"

	"jeton/domain"
	"jeton/eventstore"
)

// Repair finds out what a log was from what is left of it: the log itself, the second
// copy in SQL, a backup. What it takes for true is proved by a chain that somebody
// else remembers: that of the rows behind it, of the checkpoint, of the backup. Only
// commits behind the end of all these are believed to the log alone, if its checksums
// are right and each names its boundary's commit before it.
type Repair struct {
	Views *Views          // as OpenCopy opens them; nil: there are none
	Log   eventstore.Copy // what can still be read of the log
	// Backup hands out the records of a backup that was verified. Nil: there is none.
	Backup func(ctx context.Context, do func(eventstore.Record) error) error
}

// Findings are what Examine has found.
type Findings struct {
	End  eventstore.Head // of the log as it was
	Log  Wrong           // commits that the log lacks, or has otherwise
	Rows Wrong           // those of the second copy
	// Behind is how many commits the views have not taken yet, which is not wrong.
	Behind uint64
	// Alone is how many commits at the end only the log itself vouches for.
	Alone uint64
	// Checkpoint is wrong: the views remember a chain that leads nowhere.
	Checkpoint bool
	// Extra is where rows begin that were never commits; 0: nowhere.
	Extra domain.Position
	// Nowhere is how many rows stand at no position of a log.
	Nowhere uint64
	// Remembered is the checkpoint, and StoreID the log that the views follow.
	Remembered eventstore.Head
	StoreID    string
}

// Wrong counts positions and keeps the first few.
type Wrong struct {
	Count uint64
	First []string
}

func (w *Wrong) add(p domain.Position, what string) {
	const few = 5
	if w.Count++; len(w.First) < few {
		w.First = append(w.First, fmt.Sprintf("commit %d %s", p, what))
	}
}

// ErrBeyondRepair: nothing that is left proves what the log was.
var ErrBeyondRepair = errors.New("the log can't be repaired from what is left")

func beyond(p domain.Position, format string, args ...any) error {
	return fmt.Errorf("%w: commit %d: %s", ErrBeyondRepair, p, fmt.Sprintf(format, args...))
}

// OpenCopy opens the database of the views to look at their second copy, whatever
// became of it, and changes nothing. What cannot be read at all is an error.
func OpenCopy(ctx context.Context, url string) (*Views, error) {
	v, err := connect(url)
	if err != nil {
		return nil, err
	}
	if v.write.DriverName() == "sqlite" {
		err = v.soundSQLite(ctx)
	}
	if err == nil {
		_, _, err = v.remembered(ctx)
	}
	if err != nil {
		return nil, errors.Join(unavailable(err), v.Close())
	}
	return v, nil
}

func (v *Views) soundSQLite(ctx context.Context) error {
	var said string
	if err := v.read.QueryRowContext(ctx, `PRAGMA quick_check(1)`).Scan(&said); err != nil || said == "ok" {
		return err
	}
	return errors.New(said)
}

const countNowhere = `
SELECT COUNT(*) FROM commits WHERE position < 1`

const selectRemembered = `
SELECT position, chain, store_id FROM checkpoint WHERE one = 1`

// remembered is the checkpoint, whatever somebody has made of its chain.
func (v *Views) remembered(ctx context.Context) (head eventstore.Head, storeID string, err error) {
	var chain []byte
	err = v.read.QueryRowContext(ctx, selectRemembered).Scan(&head.Position, bytes8{&chain}, &storeID)
	if errors.Is(err, sql.ErrNoRows) {
		return head, "", nil
	}
	if len(chain) == len(head.Chain) {
		copy(head.Chain[:], chain)
	}
	return head, storeID, err
}

// Examine goes through all that is left. It changes nothing.
func (r Repair) Examine(ctx context.Context) (Findings, error) {
	return r.examine(ctx, func(truth) error { return nil })
}

// Mend writes the second copy anew where it is not what it should be, takes away what
// was never a commit, and lets the views be made again if their checkpoint is wrong.
// It wants the findings of Examine, and finds them again on the way.
func (r Repair) Mend(ctx context.Context, found Findings) error {
	var rows []pending
	flush := func() error {
		err := r.Views.mend(ctx, rows)
		rows = rows[:0]
		return err
	}
	again, err := r.examine(ctx, func(t truth) error {
		if t.kept {
			return nil
		}
		if rows = append(rows, t.pending); len(rows) < copyPage {
			return nil
		}
		return flush()
	})
	if err == nil && again.End != found.End {
		err = errors.New("what is left of the log has changed meanwhile")
	}
	if err == nil {
		err = flush()
	}
	if err == nil && (found.Extra > 0 || found.Nowhere > 0) {
		err = r.Views.cut(ctx, found.End.Position)
	}
	if err == nil && found.Checkpoint {
		err = unavailable(r.Views.forget(ctx))
	}
	return err
}

// truth is a commit of the log as it was.
type truth struct {
	pending
	kept bool // the second copy has it, to the letter
}

// examination is an Examine on its way.
type examination struct {
	Repair
	found Findings
	head  eventstore.Head
	sums  map[domain.Boundary]domain.Hash // of each boundary's last commit

	rows   *peeked[keptRow]
	saved  *peeked[eventstore.Record]
	ends   domain.Position // of all that remembers anything
	chains []byte          // of the row before, as it stands there
	rowsAt domain.Position // of that row

	doubtful     domain.Position                     // the first commit that nothing proves yet; 0: none
	contradicted bool                                // and rows that hang together say otherwise
	logSums      map[domain.Boundary]domain.Hash     // as sums, of the log as it is
	disputes     map[domain.Boundary]domain.Position // where log and second copy differ, and each may be right
}

func (r Repair) examine(ctx context.Context, do func(truth) error) (Findings, error) {
	x := examination{Repair: r, sums: map[domain.Boundary]domain.Hash{}, logSums: map[domain.Boundary]domain.Hash{}, disputes: map[domain.Boundary]domain.Position{}}
	x.saved = peek(func(take func(eventstore.Record) error) error {
		if r.Backup == nil {
			return nil
		}
		return r.Backup(ctx, take)
	})
	x.rows = peek(func(take func(keptRow) error) error { return x.eachRow(ctx, take) })
	defer x.saved.stop()
	defer x.rows.stop()
	if r.Views != nil {
		var err error
		if x.found.Remembered, x.found.StoreID, err = r.Views.remembered(ctx); err != nil {
			return x.found, unavailable(err)
		}
		if err := r.Views.read.QueryRowContext(ctx, countNowhere).Scan(&x.found.Nowhere); err != nil {
			return x.found, unavailable(err)
		}
	}
	for {
		more, err := x.step(ctx, do)
		if err != nil {
			return x.found, err
		}
		if !more {
			break
		}
	}
	x.found.End = x.head
	return x.found, x.verdict()
}

// eachRow hands out all rows of the second copy.
func (r Repair) eachRow(ctx context.Context, take func(keptRow) error) error {
	for after := domain.Position(0); r.Views != nil; {
		before := after
		err := r.Views.kept(ctx, after, func(k keptRow) error {
			after = k.position
			return take(k)
		})
		if err != nil || after == before {
			return err
		}
	}
	return nil
}

// step finds the next commit, or that there is none.
func (x *examination) step(ctx context.Context, do func(truth) error) (more bool, err error) {
	p := x.head.Position + 1
	row, saved := x.rows.peek(), x.saved.peek()
	if err := errors.Join(x.rows.err, x.saved.err); err != nil {
		return false, err
	}
	if row != nil && row.position == p {
		x.rows.next()
	} else if row != nil && row.position < p { // a position of 0 or less
		return false, beyond(p, "the second copy has a row at %d", row.position)
	}
	there := func(at domain.Position) bool { return at == p }
	switch {
	case saved != nil && there(saved.Position):
		x.saved.next()
	case saved != nil:
		saved = nil
	}
	later := row != nil && !there(row.position)
	if later {
		row = nil
	}
	old, inLog, err := x.Log.At(ctx, p)
	if err != nil {
		return false, err
	}
	ended := p > x.found.Remembered.Position && p > x.Log.Last() && saved == nil && !later
	if row == nil && ended {
		return false, nil
	}
	found, proved, err := x.choose(p, row, saved, old, inLog)
	if err != nil {
		return false, err
	}
	if found == nil {
		// Rows behind the checkpoint are there while views are made again, and else never.
		if p > x.Log.Last() && saved == nil && x.head == x.found.Remembered && x.found.Log.Count == 0 {
			x.found.Extra = p
			return false, nil
		}
		return false, beyond(p, "neither the log nor the second copy%s has it as it was", map[bool]string{true: " nor the backup"}[x.Backup != nil])
	}
	return true, x.take(*found, proved, row, saved != nil, old, inLog, do)
}

// choose is what the commit at a position was, and whether a chain proves it.
func (x *examination) choose(p domain.Position, row *keptRow, saved *eventstore.Record, old eventstore.Entry, inLog bool) (*pending, bool, error) {
	if saved != nil && x.head.Next(saved.Entry).Chain == saved.Chain {
		return x.decoded(saved.Entry, true)
	}
	if row != nil && x.fits(row, row.entry()) {
		return x.decoded(named(row.entry()), true)
	}
	if inLog {
		c, err := eventstore.Decode(x.head.Next(old))
		if err == nil && c.Before == x.sums[old.Boundary] {
			return x.decoded(old, row != nil && x.fits(row, old))
		}
	}
	if row == nil {
		return nil, false, nil
	}
	// Its chain does not fit, perhaps because that was changed alone.
	c, err := eventstore.Decode(x.head.Next(row.entry()))
	if err != nil || c.Before != x.sums[domain.Boundary(row.boundary)] || p > x.found.Remembered.Position && x.rows.peek() == nil {
		return nil, false, nil
	}
	return x.decoded(row.entry(), false)
}

// named is an entry with the id that its data names: the chain says nothing of ids.
func named(e eventstore.Entry) eventstore.Entry {
	var inside struct {
		ID domain.CommandID `json:"id"`
	}
	if err := json.Unmarshal(e.Data, &inside); err == nil && !inside.ID.IsZero() {
		e.ID = inside.ID
	}
	return e
}

// fits reports whether an entry leads from here to the chain that a row has.
func (x *examination) fits(row *keptRow, e eventstore.Entry) bool {
	next := x.head.Next(e)
	return bytes.Equal(row.chain, next.Chain[:])
}

func (x *examination) decoded(e eventstore.Entry, proved bool) (*pending, bool, error) {
	r := x.head.Next(e)
	c, err := eventstore.Decode(r)
	if err != nil {
		return nil, false, fmt.Errorf("%w: %w", ErrBeyondRepair, err)
	}
	return &pending{r, c}, proved, nil
}

// take goes on behind a commit.
func (x *examination) take(p pending, proved bool, row *keptRow, saved bool, old eventstore.Entry, inLog bool, do func(truth) error) error {
	x.dispute(p, saved, old, inLog)
	switch {
	case !inLog:
		x.found.Log.add(p.Position, "is missing in the log")
	case !old.Same(p.Entry):
		x.found.Log.add(p.Position, "is another one in the log")
	}
	if row != nil && !proved && x.hangs(row) {
		x.contradicted = true
	}
	kept := row != nil && row.is(p)
	switch {
	case row != nil && !kept:
		x.found.Rows.add(p.Position, "was changed in the second copy")
	case row == nil && (p.Position <= x.found.Remembered.Position || x.rows.peek() != nil):
		x.found.Rows.add(p.Position, "is missing in the second copy")
	case row == nil:
		x.found.Behind++
	}
	x.head, x.sums[p.Boundary] = p.Head(), p.Sum()
	if x.head.Position == x.found.Remembered.Position {
		x.found.Checkpoint = x.head != x.found.Remembered
		proved = proved || !x.found.Checkpoint
	}
	if x.chains = nil; row != nil {
		x.chains, x.rowsAt, x.ends = row.chain, row.position, row.position
	}
	if saved || x.head.Position == x.found.Remembered.Position {
		x.ends = x.head.Position
	}
	x.doubt(proved)
	return do(truth{p, kept})
}

// hangs reports whether a row leads from the one before it, as both stand there.
func (x *examination) hangs(row *keptRow) bool {
	before := eventstore.Head{Position: x.head.Position}
	if x.rowsAt != before.Position || len(x.chains) != len(before.Chain) {
		return false
	}
	copy(before.Chain[:], x.chains)
	next := before.Next(row.entry())
	return before.Chain != x.head.Chain && bytes.Equal(row.chain, next.Chain[:])
}

func (x *examination) doubt(proved bool) {
	switch {
	case proved:
		x.doubtful, x.contradicted = 0, false
	case x.doubtful == 0:
		x.doubtful = x.head.Position
	}
}

// dispute remembers what the log and the second copy say differently. It is settled
// when the log contradicts itself: a commit of it names another one before it.
func (x *examination) dispute(p pending, saved bool, old eventstore.Entry, inLog bool) {
	if !inLog {
		return
	}
	same, before := old.Same(p.Entry), p.commit.Before
	if !same {
		c, err := eventstore.Decode(x.head.Next(old))
		if err != nil {
			return
		}
		before = c.Before
	}
	_, open := x.disputes[old.Boundary]
	switch consistent := before == x.logSums[old.Boundary]; {
	case !consistent:
		delete(x.disputes, old.Boundary)
	case !same && !saved && !open:
		x.disputes[old.Boundary] = p.Position
	}
	x.logSums[old.Boundary] = old.Sum()
}

// verdict refuses what is not proved.
func (x *examination) verdict() error {
	whole := x.found.Log.Count == 0
	for _, at := range x.disputes {
		return beyond(at, "the log and the second copy each have it, and not the same; nothing else proves which is right\n  next: a backup does: --from FILE")
	}
	switch {
	case x.found.Remembered.Position > x.head.Position:
		return beyond(x.head.Position+1, "the views remember commits up to %d, and nothing has it", x.found.Remembered.Position)
	case x.doubtful > 0 && x.doubtful <= x.ends && (x.contradicted || !whole):
		return beyond(x.doubtful, "nothing proves it: the second copy was changed there or behind\n  next: a backup may prove it: --from FILE")
	case x.found.Checkpoint && !whole && x.Backup == nil:
		return beyond(x.found.Remembered.Position, "the views remember another chain than their second copy has\n  next: a backup may prove which is right: --from FILE")
	case x.doubtful > 0:
		x.found.Alone = uint64(x.head.Position - x.doubtful + 1)
	}
	return nil
}

// peeked is a list of things that come one after the other, of which the next can be
// looked at.
type peeked[T any] struct {
	pull func() (T, bool)
	stop func()
	err  error
	now  *T
}

var errEnough = errors.New("enough")

func peek[T any](each func(func(T) error) error) *peeked[T] {
	p := new(peeked[T])
	p.pull, p.stop = iter.Pull(func(yield func(T) bool) {
		err := each(func(t T) error {
			if !yield(t) {
				return errEnough
			}
			return nil
		})
		if !errors.Is(err, errEnough) {
			p.err = err
		}
	})
	p.next()
	return p
}

// peek is the next thing, nil for none.
func (p *peeked[T]) peek() *T { return p.now }

func (p *peeked[T]) next() {
	t, ok := p.pull()
	if p.now = nil; ok {
		p.now = &t
	}
}
