package projections

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"jeton/domain"
	"jeton/eventstore"
)

const (
	// batchCommits is how many commits are written in one transaction at most.
	batchCommits = 500
	// batchPatience is how long a database may take for a transaction. One that
	// takes longer is away: a broken network does not say so itself.
	batchPatience = 30 * time.Second
)

// forever is a position that no log reaches.
const forever domain.Position = math.MaxUint64

// errBack: somebody rebuilds the views, so that the log is to be read again.
var errBack = errors.New("the checkpoint went back")

// follower takes the log into the views. It is one Run or Rebuild.
type follower struct {
	*Views
	store   eventstore.Store
	storeID string
	until   domain.Position
	at      checkpoint // as it was last seen
	trees   *trees     // as they are there
}

// pending is a commit that is read and not yet written.
type pending struct {
	eventstore.Record
	commit domain.Commit
}

func (f *follower) run(ctx context.Context) error {
	for {
		err := f.insist(ctx, f.load)
		if err == nil {
			err = f.follow(ctx)
		}
		if !errors.Is(err, errBack) {
			return err
		}
	}
}

// load sees where the tables are. The first log that they follow is theirs for ever.
func (f *follower) load(ctx context.Context) error {
	if f.at.StoreID == "" {
		if _, err := f.write.ExecContext(ctx, f.write.Rebind(nameStore), f.storeID); err != nil {
			return err
		}
	}
	at, err := f.checkpoint(ctx)
	if err != nil {
		return err
	}
	if err := at.check(f.storeID); err != nil {
		return err
	}
	if at.Position == f.at.Position && at.Chain != f.at.Chain {
		return otherHistory(at.Position) // of a server that follows another log
	}
	f.at = at
	f.following.resume(at.Position)
	return nil
}

// follow reads the log from the checkpoint on. Reading and decoding go on while
// a batch is being written.
func (f *follower) follow(ctx context.Context) error {
	if _, err := f.last(ctx); err != nil || f.at.Position >= f.until {
		return err
	}
	from, err := f.start(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	coming := make(chan pending, batchCommits)
	ended := make(chan error, 1)
	go func() {
		defer close(coming)
		ended <- f.store.Follow(ctx, from, func(r eventstore.Record) error { return f.read(ctx, r, coming) })
	}()
	err = f.drain(ctx, coming)
	cancel()
	if ended := <-ended; err == nil && f.at.Position < f.until {
		err = ended
	}
	return err
}

// last is where the log ends, which is not before what the tables have.
func (f *follower) last(ctx context.Context) (domain.Position, error) {
	last, err := f.store.Last(ctx)
	if err != nil {
		return 0, err
	}
	if known := f.at.furthest().Position; known > last {
		return 0, &eventstore.Damage{Position: last + 1, What: fmt.Sprintf("the log ends here, but the views have its commits up to %d: it went backwards", known)}
	}
	return last, nil
}

// start is where to read from: one commit before the checkpoint, so that the
// first that comes must be the one that the checkpoint remembers.
func (f *follower) start(ctx context.Context) (from eventstore.Head, err error) {
	if f.at.Position <= 1 {
		return from, nil
	}
	err = f.insist(ctx, func(ctx context.Context) error {
		from, err = f.before(ctx, f.at.Position)
		return err
	})
	return from, err
}

const selectChain = `
SELECT position, chain FROM commits WHERE position = ?`

// before is the head before a position, from the second copy.
func (f *follower) before(ctx context.Context, p domain.Position) (head eventstore.Head, err error) {
	row := f.write.QueryRowxContext(ctx, f.write.Rebind(selectChain), place(p-1))
	err = row.Scan(&head.Position, hash{&head.Chain})
	return head, err
}

// read takes a record for the tables, which carry what is personal as it is sealed.
func (f *follower) read(ctx context.Context, r eventstore.Record, coming chan<- pending) error {
	commit, err := eventstore.Decode(r)
	if err != nil {
		return err
	}
	err = f.insist(ctx, func(ctx context.Context) (err error) { commit, err = f.vault.Carried(ctx, commit); return err })
	if err != nil {
		return err
	}
	select {
	case coming <- pending{r, commit}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// drain writes what comes: always what is there, never waiting for more.
func (f *follower) drain(ctx context.Context, coming <-chan pending) error {
	batch := make([]pending, 0, batchCommits)
	for first := range coming {
		batch = gather(append(batch[:0], first), coming)
		err := f.insist(ctx, func(ctx context.Context) error { return f.take(ctx, batch) })
		if err != nil || f.at.Position >= f.until {
			return err
		}
	}
	return nil
}

func gather(batch []pending, coming <-chan pending) []pending {
	for len(batch) < batchCommits {
		select {
		case next, open := <-coming:
			if !open {
				return batch
			}
			batch = append(batch, next)
		default:
			return batch
		}
	}
	return batch
}

// insist repeats what fails because the database is away. Meanwhile whoever
// waits for the views is told.
func (f *follower) insist(ctx context.Context, do func(context.Context) error) error {
	return insist(ctx, do, func(err error) { f.following.fail(fmt.Errorf("%w: %w", ErrBehind, err)) })
}

func insist(ctx context.Context, do func(context.Context) error, failed func(error)) error {
	wait := firstPause
	for {
		limited, cancel := context.WithTimeout(ctx, batchPatience)
		err := do(limited)
		cancel()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !away(err) {
			return err
		}
		failed(err)
		if err := pause(ctx, &wait); err != nil {
			return err
		}
	}
}

// take writes a batch. Another server may write the same commits into the same
// tables: then the checkpoint is not where it was seen, and this one goes on
// behind what the other has written.
func (f *follower) take(ctx context.Context, batch []pending) error {
	for {
		fresh, err := f.at.behind(batch)
		if err != nil || len(fresh) == 0 {
			return err
		}
		moved, err := f.commit(ctx, fresh)
		if err != nil {
			return err
		}
		if moved {
			f.at.Head = fresh[len(fresh)-1].Head()
			f.following.resume(f.at.Position)
			continue
		}
		if err := f.load(ctx); err != nil {
			return err
		}
	}
}

// behind is the part of a batch that the tables do not have yet.
func (c checkpoint) behind(batch []pending) ([]pending, error) {
	if batch[0].Position > c.Position+1 {
		return nil, errBack
	}
	for i, p := range batch {
		if p.Position == c.Position && p.Chain != c.Chain {
			return nil, otherHistory(p.Position)
		}
		if p.Position > c.Position {
			return batch[i:], nil
		}
	}
	return nil, nil
}

func otherHistory(at domain.Position) error {
	return &eventstore.Damage{Position: at, What: "the log tells another history up to here than the views remember"}
}
