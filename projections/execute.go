package projections

import (
	"context"
	"errors"
	"time"

	"jeton/domain"
	"jeton/eventstore"
)

// Outcome is what became of a command.
type Outcome struct {
	// Commit is what it did. Without events nothing had to be done, or (Replayed)
	// it was done before and Position says where.
	domain.Commit
	Replayed bool
}

const (
	// attempts bounds how often a command is decided again after conflicts. Each
	// time somebody else's commit has won, so that the platform moves on.
	attempts = 16
	// patience bounds the wait for the log once a command has been decided. It
	// does not end with the request: who has begun to write wants to know.
	patience = 15 * time.Second
)

// Execute decides a command against an organization and stores what it does. The
// answer comes when the commit is on disk and in this model. Refusals are the
// domain's; ErrUnavailable, ErrUnknown and ErrTooLarge are the log's.
func (m *Model) Execute(ctx context.Context, meta domain.Meta, command domain.OrganizationCommand) (Outcome, error) {
	t := m.tenant(meta.Organization)
	if t == nil {
		return Outcome{}, domain.Refuse(domain.ErrNotFound, "there is no such organization", "check its alias or number")
	}
	return execute(ctx, m, &t.boundary, meta, inOrganization(command))
}

// Try is what Execute would do as things stand: the events, or the refusal. It
// stores nothing, and so it takes no turn.
func (m *Model) Try(meta domain.Meta, command domain.OrganizationCommand) ([]domain.Event, error) {
	t := m.tenant(meta.Organization)
	if t == nil {
		return nil, domain.Refuse(domain.ErrNotFound, "there is no such organization", "check its alias or number")
	}
	outcome, _, err := t.decide(m, m.occasion(meta), inOrganization(command))
	return outcome.Events, err
}

// inOrganization decides a command unless its organization was deleted.
func inOrganization(command domain.OrganizationCommand) func(*domain.Organization, domain.Meta) ([]domain.Event, error) {
	return func(o *domain.Organization, meta domain.Meta) ([]domain.Event, error) {
		if o.Deleted != 0 {
			return nil, domain.Refuse(domain.ErrNotFound, "there is no such organization", "check its alias or number")
		}
		return command.Decide(o, meta)
	}
}

// ExecuteDirectory is Execute for what is above organizations. meta.Organization
// is the organization that the command creates, if it creates one.
func (m *Model) ExecuteDirectory(ctx context.Context, meta domain.Meta, command domain.DirectoryCommand) (Outcome, error) {
	return execute(ctx, m, m.directory, meta, func(d *domain.Directory, meta domain.Meta) ([]domain.Event, error) {
		meta.Home = m.home(meta.Actor)
		return command.Decide(d, meta)
	})
}

func execute[State any](ctx context.Context, m *Model, b *boundary[State], meta domain.Meta, decide func(State, domain.Meta) ([]domain.Event, error)) (Outcome, error) {
	if err := b.enter(ctx); err != nil {
		return Outcome{}, err
	}
	defer b.leave()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	// The commit's id is this attempt's own. If it were made from the idempotency
	// key, the log would take the commit of another attempt, on another node, for
	// this one, which holds something else.
	meta.Command = domain.RandomCommandID()
	for try := 1; ; try++ {
		outcome, after, err := b.decide(m, m.occasion(meta), decide)
		if err != nil || outcome.Replayed || len(outcome.Events) == 0 {
			return outcome, err
		}
		outcome.Commit, err = m.append(ctx, outcome.Commit, after)
		if !errors.Is(err, eventstore.ErrConflict) {
			return outcome, err
		}
		if err := m.catchUp(ctx, try); err != nil {
			return Outcome{}, err
		}
	}
}

// decide holds a command against the state as it is now. The commit that it
// answers is to stand behind the position after.
func (b *boundary[State]) decide(m *Model, meta domain.Meta, decide func(State, domain.Meta) ([]domain.Event, error)) (o Outcome, after domain.Position, err error) {
	if err := m.Err(); err != nil {
		return o, 0, err
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	meta.Time = max(domain.At(m.now()), b.time) // a clock that is set back does not revive what has expired
	o.Commit = domain.Commit{Meta: meta, Boundary: b.name, Before: b.sum}
	if at, err := b.replay(meta); err != nil || at != 0 {
		o.Position, o.Replayed = at, true
		return o, 0, err
	}
	o.Events, err = decide(b.state, meta)
	return o, b.last, err
}

// append stores a commit and takes it into memory.
func (m *Model) append(ctx context.Context, c domain.Commit, after domain.Position) (domain.Commit, error) {
	sealed, err := m.vault.Sealed(ctx, c)
	if err != nil {
		return c, err
	}
	entry, err := eventstore.Encode(sealed)
	if err != nil {
		return c, err
	}
	c.Position, err = m.store.Append(ctx, entry, after)
	if err != nil {
		return c, err
	}
	if err := m.apply(c, entry.Sum()); err != nil {
		return c, err
	}
	m.skip(c.Position, entry.Sum())
	return c, nil
}

// skip spares the follower a commit that is in memory already.
func (m *Model) skip(at domain.Position, sum domain.Hash) {
	m.own.Store(at, sum)
	if m.Position() >= at { // it was faster
		m.own.Delete(at)
	}
}

// catchUp waits for what came first. A log of several replicas may report a
// conflict with a commit that it does not show yet, so later tries wait a moment.
func (m *Model) catchUp(ctx context.Context, try int) error {
	if try == attempts {
		return eventstore.ErrConflict
	}
	last, err := m.store.Last(ctx)
	if err != nil {
		return err
	}
	if err := m.Wait(ctx, last); err != nil || try == 1 {
		return err
	}
	select {
	case <-time.After(time.Duration(try) * time.Millisecond):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
