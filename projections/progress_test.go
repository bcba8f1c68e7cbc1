package projections

import (
	"context"
	"errors"
	"testing"

	"jeton/domain"
)

// waiting waits in the background; the answer comes over the channel.
func waiting(p *progress, ctx context.Context, until domain.Position) <-chan error {
	done := make(chan error, 1)
	go func() { done <- p.wait(ctx, until) }()
	for { // until it is in the queue
		p.mu.Lock()
		n := len(p.waiting)
		p.mu.Unlock()
		if n > 0 {
			return done
		}
	}
}

func TestWaitReturnsWhenReached(t *testing.T) {
	var p progress
	done := waiting(&p, t.Context(), 5)
	p.reach(4)
	select {
	case err := <-done:
		t.Fatalf("at 4 the wait for 5 ended: %v", err)
	default:
	}
	p.reach(7)
	fails(t, "wait", <-done, nil)
	fails(t, "wait for what is there", p.wait(t.Context(), 7), nil)
	p.reach(3) // never back
	if at, err := p.now(); at != 7 || err != nil {
		t.Fatalf("at %d (%v), want 7", at, err)
	}
}

func TestWaitEndsWhenCancelled(t *testing.T) {
	var p progress
	ctx, cancel := context.WithCancel(t.Context())
	done := waiting(&p, ctx, 5)
	cancel()
	fails(t, "wait", <-done, context.Canceled)
	if len(p.waiting) != 0 {
		t.Fatalf("%d are still waiting", len(p.waiting))
	}
	p.reach(5) // nobody is there to be told
}

func TestWaitEndsWhenTheViewFails(t *testing.T) {
	var p progress
	broken := errors.New("broken")
	done := waiting(&p, t.Context(), 5)
	p.reach(3)
	p.fail(broken)
	fails(t, "wait", <-done, broken)
	fails(t, "wait for more", p.wait(t.Context(), 5), broken)
	fails(t, "wait for what is there", p.wait(t.Context(), 3), nil)

	p.resume(3)
	done = waiting(&p, t.Context(), 5)
	p.reach(5)
	fails(t, "wait after it goes on", <-done, nil)
}

func TestResumeGoesBack(t *testing.T) {
	var p progress
	p.reach(9)
	p.resume(2) // a rebuild
	done := waiting(&p, t.Context(), 5)
	p.resume(6)
	fails(t, "wait", <-done, nil)
}
