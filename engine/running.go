package engine

import (
	"context"
	"errors"
	"sync"
	"time"
)

// ErrEnded is why the context of a request has ended that was let in and would not be
// any more: its token was revoked, has expired or has lost its right, or the copy has
// become stale. See Options.Again.
var ErrEnded = errors.New("the request would not come in any more as it came, or the copy has become stale")

// running is a request that was let in and is not answered yet. One that is answered
// soon starts no goroutine.
type running struct {
	checker Checker
	shown   Presented
	came    Answer
	every   time.Duration
	cancel  context.CancelCauseFunc

	mu    sync.Mutex
	timer *time.Timer
	over  bool
}

// runs asks about a request that has come in again and again, until end is called. The
// context is the request's from then on.
func (o *Options) runs(ctx context.Context, checker Checker, p Presented, a Answer) (_ context.Context, end func()) {
	if o.Again <= 0 {
		return ctx, func() {}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	p.Again = true
	run := &running{checker: checker, shown: p, came: a, every: o.Again, cancel: cancel}
	run.mu.Lock()
	defer run.mu.Unlock()
	run.timer = time.AfterFunc(o.Again, run.look)
	return ctx, run.end
}

// look asks whether the request would still come in as it came.
func (r *running) look() {
	a := r.checker.Check(r.shown)
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.over:
	case a.Allowed && a.sameBearer(&r.came):
		r.timer.Reset(r.every)
	default:
		r.cancel(ErrEnded)
	}
}

func (r *running) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.over = true
	r.timer.Stop()
	r.cancel(nil)
}

// sameBearer reports whether another answer tells the same of who has come in: what was
// told behind the guard cannot be taken back.
func (a *Answer) sameBearer(before *Answer) bool {
	return a.Via == before.Via && a.Holder == before.Holder && a.Token == before.Token && a.Role == before.Role && a.Email == before.Email
}
