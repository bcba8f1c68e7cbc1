package eventstoretest

import (
	"context"
	"testing"
	"time"

	"jeton/domain"
	"jeton/eventstore"
)

// patience is how long a test waits for what must come.
const patience = 30 * time.Second

// Entry is an entry of a boundary with an id of its own.
func Entry(b domain.Boundary, data string) eventstore.Entry {
	return eventstore.Entry{ID: domain.RandomCommandID(), Boundary: b, Data: []byte(data)}
}

// Append appends or ends the test.
func Append(t testing.TB, s eventstore.Store, e eventstore.Entry, after domain.Position) domain.Position {
	t.Helper()
	at, err := s.Append(t.Context(), e, after)
	if err != nil {
		t.Fatalf("append behind %d of %q: %v", after, e.Boundary, err)
	}
	return at
}

// Follower is somebody who follows a log in the background of a test.
type Follower struct {
	t       testing.TB
	records chan eventstore.Record
	end     chan error
	stop    context.CancelFunc
}

// Follow follows s until the test ends or Stop.
func Follow(t testing.TB, s eventstore.Store, from eventstore.Head) *Follower {
	ctx, cancel := context.WithCancel(context.Background())
	f := &Follower{t, make(chan eventstore.Record), make(chan error, 1), cancel}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		f.end <- s.Follow(ctx, from, func(r eventstore.Record) error {
			select {
			case f.records <- r:
			case <-ctx.Done():
			}
			return nil
		})
	}()
	t.Cleanup(func() { cancel(); <-ended })
	return f
}

// Next is the next record; the test fails if none comes.
func (f *Follower) Next() eventstore.Record {
	f.t.Helper()
	select {
	case r := <-f.records:
		return r
	case err := <-f.end:
		f.t.Fatalf("following ended with %v", err)
	case <-time.After(patience):
		f.t.Fatal("no record came")
	}
	panic("unreachable")
}

// Take is the next n records.
func (f *Follower) Take(n int) []eventstore.Record {
	f.t.Helper()
	records := make([]eventstore.Record, n)
	for i := range records {
		records[i] = f.Next()
	}
	return records
}

// End is the error that following ends with; a record before it fails the test.
func (f *Follower) End() error {
	f.t.Helper()
	select {
	case r := <-f.records:
		f.t.Fatalf("got a record at %d, want the end", r.Position)
	case err := <-f.end:
		return err
	case <-time.After(patience):
		f.t.Fatal("following does not end")
	}
	panic("unreachable")
}

// Stop ends following.
func (f *Follower) Stop() { f.stop() }
