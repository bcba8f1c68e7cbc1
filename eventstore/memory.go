package eventstore

import (
	"bytes"
	"context"
	"sync"

	"jeton/domain"
)

// Memory is a log that is gone when the process ends. The zero value is an empty
// log; it may be used by several goroutines at once.
type Memory struct {
	mu         sync.Mutex
	records    []Record
	boundaries map[domain.Boundary][]domain.Position
	byID       map[domain.CommandID]domain.Position
	grown      chan struct{} // closed when a record is added; nil if nobody waits
}

// Append implements Store.
func (m *Memory) Append(ctx context.Context, e Entry, after domain.Position) (domain.Position, error) {
	if err := e.check(); err != nil {
		return 0, err
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if at, known := m.byID[e.ID]; known {
		if m.records[at-1].Boundary == e.Boundary && m.before(e.Boundary, at) == after {
			return at, nil
		}
		return 0, ErrConflict
	}
	if m.last(e.Boundary) != after {
		return 0, ErrConflict
	}
	return m.add(e), nil
}

// add is Append without questions. The caller holds the lock.
func (m *Memory) add(e Entry) domain.Position {
	e.Data = bytes.Clone(e.Data)
	r := m.head().Next(e)
	m.records = append(m.records, r)
	if m.boundaries == nil {
		m.boundaries = map[domain.Boundary][]domain.Position{}
		m.byID = map[domain.CommandID]domain.Position{}
	}
	m.boundaries[e.Boundary] = append(m.boundaries[e.Boundary], r.Position)
	m.byID[e.ID] = r.Position
	if m.grown != nil {
		close(m.grown)
		m.grown = nil
	}
	return r.Position
}

// head is where the log ends. The caller holds the lock.
func (m *Memory) head() Head {
	if len(m.records) == 0 {
		return Head{}
	}
	return m.records[len(m.records)-1].Head()
}

// last is where the boundary ends, 0 for none. The caller holds the lock.
func (m *Memory) last(b domain.Boundary) domain.Position {
	positions := m.boundaries[b]
	if len(positions) == 0 {
		return 0
	}
	return positions[len(positions)-1]
}

// before is the boundary's commit before the one at p. The caller holds the lock.
func (m *Memory) before(b domain.Boundary, p domain.Position) (before domain.Position) {
	for _, at := range m.boundaries[b] {
		if at >= p {
			break
		}
		before = at
	}
	return before
}

// Follow implements Store. Unlike a log on disk it knows the chain at from and
// refuses to go on from another history.
func (m *Memory) Follow(ctx context.Context, from Head, do func(Record) error) error {
	if err := m.verify(from); err != nil {
		return err
	}
	for next := from.Position; ; {
		records, grown := m.behind(next)
		for _, r := range records {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := do(r); err != nil {
				return err
			}
			next = r.Position
		}
		if len(records) > 0 {
			continue
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// verify refuses a head that this log never had.
func (m *Memory) verify(from Head) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch end := domain.Position(len(m.records)); {
	case from.Position > end:
		return wentBackwards(end, from.Position)
	case from.Position > 0 && m.records[from.Position-1].Chain != from.Chain:
		return otherHistory(from.Position)
	}
	return nil
}

// behind is what the log holds behind p and, if that is nothing, a channel that
// is closed when there is something.
func (m *Memory) behind(p domain.Position) ([]Record, <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.grown == nil {
		m.grown = make(chan struct{})
	}
	return m.records[p:], m.grown
}

// Last implements Store.
func (m *Memory) Last(ctx context.Context) (domain.Position, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.head().Position, ctx.Err()
}
