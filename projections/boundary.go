package projections

import (
	"context"
	"sync"
	"time"

	"jeton/domain"
	"jeton/eventstore"
)

// keyLife is how long an idempotency key is remembered after its commit.
const keyLife = 24 * time.Hour

// boundary is the state within which commands are decided one after the other,
// and where its history stands in the log.
type boundary[State any] struct {
	mu    sync.RWMutex // guards all down to order; never held while waiting for anything
	state State
	last  domain.Position // of the boundary's last commit
	sum   domain.Hash     // of its bytes
	time  domain.Instant  // when it was decided
	keys  map[domain.CommandID]key
	order []domain.CommandID // of keys, oldest first

	name domain.Boundary // does not change
	turn chan struct{}   // holds one: whoever has it may decide and append
}

// key is what is remembered of an idempotency key that made a commit.
type key struct {
	intent   domain.CommandID
	at       domain.Instant
	position domain.Position
}

// begin gives a boundary in which nothing has happened its name and its state.
func (b *boundary[State]) begin(name domain.Boundary, state State) {
	b.name, b.state, b.turn, b.keys = name, state, make(chan struct{}, 1), map[domain.CommandID]key{}
}

// enter takes the turn, unless ctx ends first.
func (b *boundary[State]) enter(ctx context.Context) error {
	select {
	case b.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (b *boundary[State]) leave() { <-b.turn }

// take gives a commit to evolve, unless the boundary has it already: the one who
// executed it may have been faster than the log's follower, or the other way round.
func (b *boundary[State]) take(c domain.Commit, sum domain.Hash, evolve func(State)) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case c.Position < b.last:
		return nil
	case c.Position == b.last:
		return sameAgain(c, sum == b.sum)
	case c.Before != b.sum:
		return &eventstore.Damage{Position: c.Position, What: "the commit names another one before it than the log has"}
	}
	evolve(b.state)
	b.last, b.sum, b.time = c.Position, sum, c.Time
	b.remember(c)
	return nil
}

func sameAgain(c domain.Commit, same bool) error {
	if same {
		return nil
	}
	return &eventstore.Damage{Position: c.Position, What: "the log holds something else than what was written there"}
}

func (b *boundary[State]) remember(c domain.Commit) {
	if c.Key.IsZero() {
		return
	}
	for len(b.order) > 0 && b.keys[b.order[0]].at.Add(keyLife) < c.Time {
		delete(b.keys, b.order[0])
		b.order = b.order[1:]
	}
	b.keys[c.Key] = key{c.Intent, c.Time, c.Position}
	b.order = append(b.order, c.Key)
}

// replay looks for the commit that the same idempotency key made before. The
// same key for another request is refused.
func (b *boundary[State]) replay(m domain.Meta) (domain.Position, error) {
	k, used := b.keys[m.Key]
	switch {
	case m.Key.IsZero() || !used || k.at.Add(keyLife) < m.Time:
		return 0, nil
	case k.intent != m.Intent:
		return 0, domain.Refuse(domain.ErrExists, "this idempotency key was used for another request", "use a new key for a new request")
	}
	return k.position, nil
}
