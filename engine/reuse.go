package engine

import (
	"sync"
	"time"

	"jeton/domain"
)

// reuses are the secrets that were rotated out and shown here, as they wait to be
// reported. Each is reported once an hour at most: whoever has one can show it as often
// as they like. Noting one that is known allocates nothing.
type reuses struct {
	mu      sync.Mutex
	noted   map[Reuse]domain.Instant // when they were last
	waiting []Reuse
}

const (
	reuseAgain = time.Hour
	// maxNoted is of how many secrets it is known when they were reported. More at once
	// are not reported.
	maxNoted = 4096
)

// note notes that a secret was shown.
func (r *reuses) note(u Reuse, now domain.Instant) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if at, known := r.noted[u]; known && now < at.Add(reuseAgain) {
		return
	}
	if len(r.noted) >= maxNoted {
		r.forget(now)
	}
	if len(r.noted) >= maxNoted || len(r.waiting) >= maxNoted {
		return
	}
	if r.noted == nil {
		r.noted = map[Reuse]domain.Instant{}
	}
	r.noted[u] = now
	r.waiting = append(r.waiting, u)
}

// forget drops what may be reported again.
func (r *reuses) forget(now domain.Instant) {
	for u, at := range r.noted {
		if now >= at.Add(reuseAgain) {
			delete(r.noted, u)
		}
	}
}

// take takes up to so many that wait.
func (r *reuses) take(most int) (taken []Reuse) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := min(most, len(r.waiting))
	if n == 0 {
		return nil
	}
	if taken, r.waiting = r.waiting[:n:n], r.waiting[n:]; len(r.waiting) == 0 {
		r.waiting = nil
	}
	return taken
}
