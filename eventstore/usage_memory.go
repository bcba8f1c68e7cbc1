package eventstore

import (
	"bytes"
	"context"
	"sync"
)

// MemoryUsage is usage that is gone when the process ends. It forgets nothing
// before, no id either. The zero value is empty; it may be used by several
// goroutines at once.
type MemoryUsage struct {
	mu      sync.Mutex
	reports [][]byte
	known   map[string]bool // by id
	grown   chan struct{}   // closed when a report is added; nil if nobody waits
}

// Publish implements Usage.
func (u *MemoryUsage) Publish(ctx context.Context, id string, report []byte) error {
	if err := checkReport(id, report); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.known[id] {
		u.add(id, bytes.Clone(report))
	}
	return nil
}

// add is Publish without questions. The caller holds the lock.
func (u *MemoryUsage) add(id string, report []byte) {
	if u.known == nil {
		u.known = map[string]bool{}
	}
	u.known[id] = true
	u.reports = append(u.reports, report)
	if u.grown != nil {
		close(u.grown)
		u.grown = nil
	}
}

// Follow implements Usage.
func (u *MemoryUsage) Follow(ctx context.Context, after uint64, do func(seq uint64, report []byte) error) error {
	for after = min(after, u.last()); ; {
		reports, grown := u.behind(after)
		for _, report := range reports {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := do(after+1, report); err != nil {
				return err
			}
			after++
		}
		if len(reports) > 0 {
			continue
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// last is the sequence of the newest report, 0 for none.
func (u *MemoryUsage) last() uint64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	return uint64(len(u.reports))
}

// behind is what there is behind after and, if that is nothing, a channel that is
// closed when there is something.
func (u *MemoryUsage) behind(after uint64) ([][]byte, <-chan struct{}) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.grown == nil {
		u.grown = make(chan struct{})
	}
	return u.reports[after:], u.grown
}
