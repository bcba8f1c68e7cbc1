package projections

import (
	"context"
	"slices"
	"sync"

	"jeton/domain"
)

// progress is how far a view is, and a way to wait for it. The zero value stands
// at the beginning.
type progress struct {
	mu      sync.Mutex
	at      domain.Position
	failed  error
	waiting []waiter
}

type waiter struct {
	until domain.Position
	done  chan error
}

// reach moves the view on and wakes whoever waited for it.
func (p *progress) reach(at domain.Position) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if at <= p.at {
		return
	}
	p.at = at
	p.wake(func(w waiter) bool { return w.until <= at }, nil)
}

// fail ends all waiting, now and later, until resume is called.
func (p *progress) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failed = err
	p.wake(func(waiter) bool { return true }, err)
}

// resume says that the view goes on from a position, which may lie before the
// last one: it is being rebuilt. Waiters wait again.
func (p *progress) resume(at domain.Position) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.at, p.failed = at, nil
	p.wake(func(w waiter) bool { return w.until <= at }, nil)
}

func (p *progress) wake(which func(waiter) bool, err error) {
	p.waiting = slices.DeleteFunc(p.waiting, func(w waiter) bool {
		if !which(w) {
			return false
		}
		w.done <- err // has room for one
		return true
	})
}

// now is how far the view is, and what keeps it from going on.
func (p *progress) now() (domain.Position, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.at, p.failed
}

// wait blocks until the view has reached a position.
func (p *progress) wait(ctx context.Context, until domain.Position) error {
	p.mu.Lock()
	if p.at >= until || p.failed != nil {
		defer p.mu.Unlock()
		if p.at >= until {
			return nil
		}
		return p.failed
	}
	w := waiter{until, make(chan error, 1)}
	p.waiting = append(p.waiting, w)
	p.mu.Unlock()

	select {
	case err := <-w.done:
		return err
	case <-ctx.Done():
		p.forget(w)
		return ctx.Err()
	}
}

func (p *progress) forget(gone waiter) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting = slices.DeleteFunc(p.waiting, func(w waiter) bool { return w.done == gone.done })
}
