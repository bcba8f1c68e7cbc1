package projections

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"jeton/domain"
	"jeton/eventstore"
)

// A person is erased in this order: the log says so, and then every node that hears it
// opens nothing of theirs any more and deletes their key. What is interrupted between
// is done again at the next start, which hears it again. So a key that is missing
// although the log does not say so was lost.

// erasures are the people whose keys this node is still to delete.
type erasures struct {
	more chan struct{} // has room for one

	mu       sync.Mutex // guards what follows
	waiting  []domain.AccountID
	faceless map[domain.AccountID]bool // their keys are missing, and nobody has erased them yet
}

func newErasures() erasures {
	return erasures{more: make(chan struct{}, 1), faceless: map[domain.AccountID]bool{}}
}

// Erase is ExecuteDirectory for EraseAccount: when it returns, nobody can read any more
// what was known of the person. If only their key could not be deleted yet the answer is
// an error, and it is tried on.
func (m *Model) Erase(ctx context.Context, meta domain.Meta, command domain.EraseAccount) (Outcome, error) {
	outcome, err := m.ExecuteDirectory(ctx, meta, command)
	if err != nil {
		return outcome, err
	}
	return outcome, m.vault.Erase(ctx, eventstore.AccountKey(command.Account))
}

// efface takes from those whom a commit erases what this node knows of them.
func (m *Model) efface(c domain.Commit) {
	for _, e := range c.Events {
		if e, is := e.(domain.AccountErased); is {
			m.forget(e.Account)
		}
	}
}

func (m *Model) forget(id domain.AccountID) {
	m.mu.RLock()
	p := m.people[id]
	m.mu.RUnlock()
	if p != nil {
		p.account.Store(&domain.Account{Number: p.account.Load().Number, Email: eventstore.Pseudonym(id)})
	}
	had := m.vault.Forget(eventstore.AccountKey(id))
	m.erasures.mu.Lock()
	defer m.erasures.mu.Unlock()
	delete(m.erasures.faceless, id)
	if !had && m.isLoading() { // it was done before
		return
	}
	m.erasures.waiting = append(m.erasures.waiting, id)
	select {
	case m.erasures.more <- struct{}{}:
	default:
	}
}

func (m *Model) isLoading() bool {
	select {
	case <-m.loaded:
		return false
	default:
		return true
	}
}

// erasing deletes keys until it is told to stop.
func (m *Model) erasing(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-m.erasures.more:
				m.eraseWaiting(ctx)
			}
		}
	})
	return func() { cancel(); running.Wait() }
}

// eraseWaiting deletes the keys of all who wait for it, however long that takes.
func (m *Model) eraseWaiting(ctx context.Context) {
	m.erasures.mu.Lock()
	waiting := m.erasures.waiting
	m.erasures.waiting = nil
	m.erasures.mu.Unlock()
	for _, id := range waiting {
		wait := firstPause
		for m.vault.Erase(ctx, eventstore.AccountKey(id)) != nil && pause(ctx, &wait) == nil {
		}
	}
}

// opened is a commit with the e-mails of whom it registers. While the keys are away it
// waits for them: the state must not be another one because of that.
func (m *Model) opened(ctx context.Context, stored domain.Commit) (domain.Commit, error) {
	for wait, tries := firstPause, 1; ; tries++ {
		c, err := m.vault.OpenedEvents(ctx, stored)
		faceless := m.withoutFace(stored, c)
		switch {
		case err != nil && !errors.Is(err, eventstore.ErrUnavailable):
			return c, err
		// A server that takes over may not show a key that is there. Whoever is erased in
		// what is read next is not waited for at the start.
		case err == nil && (faceless == nil || m.isLoading() || tries == facelessTries):
			m.erasures.miss(faceless)
			return c, nil
		}
		if err := pause(ctx, &wait); err != nil {
			return c, err
		}
	}
}

// facelessTries is how often a key is looked for, in two seconds, that must be there.
const facelessTries = 8

// withoutFace are the people that a commit registers and whose keys are missing, although
// nobody has told this node that they are erased.
func (m *Model) withoutFace(stored, opened domain.Commit) (missing []domain.AccountID) {
	if len(stored.Sealed.People) == 0 {
		return nil
	}
	for _, e := range opened.Events {
		e, is := e.(domain.AccountRegistered)
		if is && e.Email == eventstore.Pseudonym(e.Account) && !m.vault.Erased(eventstore.AccountKey(e.Account)) {
			missing = append(missing, e.Account)
		}
	}
	return missing
}

func (e *erasures) miss(people []domain.AccountID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, id := range people {
		e.faceless[id] = true
	}
}

// ErrKeysLost: keys of people are missing who were not erased.
var ErrKeysLost = errors.New("keys are missing")

// faces refuses, at the end of what was there at the start, to serve as if people were
// erased whose keys were lost.
func (m *Model) faces(end bool) error {
	if !end {
		return nil
	}
	m.erasures.mu.Lock()
	defer m.erasures.mu.Unlock()
	if n := len(m.erasures.faceless); n > 0 {
		return fmt.Errorf("%w: those of %d people who were not erased", ErrKeysLost, n)
	}
	return nil
}

// AccountEverNumbered is the account with a number, also of a person who was deleted.
func (m *Model) AccountEverNumbered(number domain.Position) domain.AccountID {
	m.directory.mu.RLock()
	defer m.directory.mu.RUnlock()
	if id, known := m.directory.state.AccountNumbers[number]; known {
		return id
	}
	return m.directory.state.DepartedNumbers[number]
}
