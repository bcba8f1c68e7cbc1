package eventstoretest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"jeton/domain"
	"jeton/eventstore"
)

// Run checks all promises, each on an empty log from open.
func Run(t *testing.T, open func(t *testing.T) eventstore.Store) {
	for _, p := range promises {
		t.Run(p.name, func(t *testing.T) { p.check(t, open(t)) })
	}
}

type promise struct {
	name  string
	check func(*testing.T, eventstore.Store)
}

var promises = []promise{
	{"positions count from one over all boundaries", positionsCount},
	{"an empty log ends at zero", emptyLog},
	{"what is appended is what is followed", whatIsAppendedIsFollowed},
	{"a large commit comes back whole", largeCommit},
	{"an append behind another commit is a conflict", wrongAfter},
	{"of many appends behind one commit one wins", race},
	{"a repeated append adds nothing and is told where it stands", repeat},
	{"an append repeated by many at once adds one commit", repeatAtOnce},
	{"an id that stands elsewhere is not this entry", idElsewhere},
	{"an entry that cannot be named is refused", unnamed},
	{"boundaries do not hinder each other", boundariesAtOnce},
	{"a cancelled append adds nothing", cancelledAppend},
	{"a follower sees what comes later", later},
	{"a follower continues from a head", continues},
	{"followers from beyond the end are told of damage", beyondTheEnd},
	{"followers see the same order while others append", sameOrder},
	{"following ends with the error of the follower", endsWithError},
	{"following ends when nobody wants it any more", endsWithContext},
}

func positionsCount(t *testing.T, s eventstore.Store) {
	for i, b := range []domain.Boundary{"a", "b", "c"} {
		if got, want := Append(t, s, Entry(b, "first"), 0), domain.Position(i+1); got != want {
			t.Errorf("the first commit of %q stands at %d, want %d", b, got, want)
		}
	}
	if got := Append(t, s, Entry("a", "second"), 1); got != 4 {
		t.Errorf("the second commit of a stands at %d, want 4", got)
	}
	wantLast(t, s, 4)
}

func emptyLog(t *testing.T, s eventstore.Store) { wantLast(t, s, 0) }

func whatIsAppendedIsFollowed(t *testing.T, s eventstore.Store) {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	entries := []eventstore.Entry{
		Entry("a", `{"kind":"made"}`), Entry("directory", string(all)),
		Entry("b", ""), Entry("0123456789abcdef", "\r\n\r\nNATS/1.0 408\r\n"),
	}
	for _, e := range entries {
		Append(t, s, e, 0)
	}
	var head eventstore.Head
	for i, got := range Follow(t, s, head).Take(len(entries)) {
		want := head.Next(entries[i])
		wantRecord(t, got, want)
		head = want.Head()
	}
}

func largeCommit(t *testing.T, s eventstore.Store) {
	e := Entry("a", string(bytes.Repeat([]byte("0123456789abcdef"), 1<<16)))
	Append(t, s, e, 0)
	Append(t, s, Entry("a", "small"), 1)
	records := Follow(t, s, eventstore.Head{}).Take(2)
	wantRecord(t, records[0], eventstore.Head{}.Next(e))
}

func wrongAfter(t *testing.T, s eventstore.Store) {
	Append(t, s, Entry("a", "1"), 0)
	Append(t, s, Entry("b", "2"), 0)
	Append(t, s, Entry("a", "3"), 1)
	for name, after := range map[string]domain.Position{
		"the beginning": 0, "an older commit": 1, "another boundary's": 2, "one that is not there": 4,
	} {
		if _, err := s.Append(t.Context(), Entry("a", "4"), after); !errors.Is(err, eventstore.ErrConflict) {
			t.Errorf("behind %s: got %v, want ErrConflict", name, err)
		}
	}
	if _, err := s.Append(t.Context(), Entry("new", "4"), 3); !errors.Is(err, eventstore.ErrConflict) {
		t.Errorf("the first commit of a boundary, behind another's: got %v, want ErrConflict", err)
	}
	wantLast(t, s, 3)
}

func race(t *testing.T, s eventstore.Store) {
	const rounds, writers = 20, 8
	after := domain.Position(0)
	for round := range rounds {
		positions, errs := together(writers, func(i int) (domain.Position, error) {
			return s.Append(t.Context(), Entry("a", fmt.Sprint(round, i)), after)
		})
		var won []domain.Position
		for i, err := range errs {
			switch {
			case err == nil:
				won = append(won, positions[i])
			case !errors.Is(err, eventstore.ErrConflict):
				t.Errorf("a writer who lost got %v, want ErrConflict", err)
			}
		}
		if len(won) != 1 {
			t.Fatalf("round %d: %d writers won behind %d: %v", round, len(won), after, won)
		}
		after = won[0]
	}
	wantLast(t, s, rounds)
}

func repeat(t *testing.T, s eventstore.Store) {
	first, second := Entry("a", "first"), Entry("a", "second")
	Append(t, s, Entry("b", "before"), 0)
	want := Append(t, s, first, 0)
	again := func(when string) {
		t.Helper()
		if got, err := s.Append(t.Context(), first, 0); got != want || err != nil {
			t.Errorf("%s: got %d, %v; want %d", when, got, err, want)
		}
	}
	again("at once")
	Append(t, s, Entry("b", "other"), 1)
	again("after a commit of another boundary")
	Append(t, s, second, want)
	again("after a commit of the same boundary")
	if got := Append(t, s, second, want); got != 4 {
		t.Errorf("the second commit, repeated, stands at %d, want 4", got)
	}
	wantLast(t, s, 4)
}

func repeatAtOnce(t *testing.T, s eventstore.Store) {
	const rounds, writers = 10, 4
	for round := range domain.Position(rounds) {
		e := Entry("a", "once")
		positions, errs := together(writers, func(int) (domain.Position, error) {
			return s.Append(t.Context(), e, round)
		})
		for i, err := range errs {
			if err != nil || positions[i] != round+1 {
				t.Errorf("round %d: got %d, %v; want %d", round, positions[i], err, round+1)
			}
		}
	}
	wantLast(t, s, rounds)
}

func idElsewhere(t *testing.T, s eventstore.Store) {
	e := Entry("a", "1")
	Append(t, s, e, 0)
	other := e
	other.Boundary = "b"
	if at, err := s.Append(t.Context(), other, 0); !errors.Is(err, eventstore.ErrConflict) {
		t.Errorf("in another boundary: got %d, %v; want ErrConflict", at, err)
	}
	if at, err := s.Append(t.Context(), e, 1); !errors.Is(err, eventstore.ErrConflict) {
		t.Errorf("behind itself: got %d, %v; want ErrConflict", at, err)
	}
	Append(t, s, Entry("b", "2"), 0)
	late := Entry("a", "3")
	Append(t, s, late, 1)
	if at, err := s.Append(t.Context(), late, 2); !errors.Is(err, eventstore.ErrConflict) {
		t.Errorf("behind another boundary's commit: got %d, %v; want ErrConflict", at, err)
	}
	wantLast(t, s, 3)
}

func unnamed(t *testing.T, s eventstore.Store) {
	for _, b := range []domain.Boundary{"", "two words", "a.b", "*", ">", "a\r\nb"} {
		if at, err := s.Append(t.Context(), Entry(b, "x"), 0); err == nil {
			t.Errorf("boundary %q: got %d, want an error", b, at)
		}
	}
	if at, err := s.Append(t.Context(), eventstore.Entry{Boundary: "a"}, 0); err == nil {
		t.Errorf("no id: got %d, want an error", at)
	}
	wantLast(t, s, 0)
}

func boundariesAtOnce(t *testing.T, s eventstore.Store) {
	const boundaries, commits = 6, 10
	_, errs := together(boundaries, func(i int) (after domain.Position, err error) {
		for range commits {
			b := domain.Boundary(fmt.Sprintf("b%d", i))
			if after, err = s.Append(t.Context(), Entry(b, "x"), after); err != nil {
				return after, err
			}
		}
		return after, nil
	})
	if err := errors.Join(errs...); err != nil {
		t.Errorf("writers of different boundaries: %v", err)
	}
	wantLast(t, s, boundaries*commits)
}

func cancelledAppend(t *testing.T, s eventstore.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if at, err := s.Append(ctx, Entry("a", "x"), 0); !errors.Is(err, context.Canceled) {
		t.Errorf("got %d, %v; want %v", at, err, context.Canceled)
	}
	wantLast(t, s, 0)
}

func later(t *testing.T, s eventstore.Store) {
	f := Follow(t, s, eventstore.Head{})
	var head eventstore.Head
	for i := range domain.Position(20) {
		e := Entry("a", fmt.Sprint(i))
		Append(t, s, e, i)
		want := head.Next(e)
		wantRecord(t, f.Next(), want)
		head = want.Head()
	}
}

func continues(t *testing.T, s eventstore.Store) {
	const n = 9
	for i := range domain.Position(n) {
		Append(t, s, Entry("a", fmt.Sprint(i)), i)
	}
	all := Follow(t, s, eventstore.Head{}).Take(n)
	for at := 1; at < n; at++ {
		f := Follow(t, s, all[at-1].Head())
		for _, want := range all[at:] {
			wantRecord(t, f.Next(), want)
		}
		f.Stop()
	}
}

func beyondTheEnd(t *testing.T, s eventstore.Store) {
	Append(t, s, Entry("a", "1"), 0)
	err := Follow(t, s, eventstore.Head{Position: 5}).End()
	var damage *eventstore.Damage
	if !errors.As(err, &damage) || damage.Position != 2 {
		t.Errorf("from 5 of a log that ends at 1: got %v, want damage at 2", err)
	}
}

func sameOrder(t *testing.T, s eventstore.Store) {
	const boundaries, commits = 4, 10
	before, during := Follow(t, s, eventstore.Head{}), Follow(t, s, eventstore.Head{})
	written := make(chan []error, 1)
	go func() {
		_, errs := together(boundaries, func(i int) (after domain.Position, err error) {
			for n := 0; n < commits && err == nil; n++ {
				after, err = s.Append(context.Background(), Entry(domain.Boundary(fmt.Sprintf("b%d", i)), "x"), after)
			}
			return after, err
		})
		written <- errs
	}()
	var head eventstore.Head
	for range boundaries * commits {
		a, b := before.Next(), during.Next()
		wantRecord(t, a, head.Next(a.Entry))
		wantRecord(t, b, a)
		head = a.Head()
	}
	if err := errors.Join(<-written...); err != nil {
		t.Error(err)
	}
	after := Follow(t, s, eventstore.Head{}).Take(boundaries * commits)
	if got := after[len(after)-1].Head(); got != head {
		t.Errorf("a follower who came later stands at %v, want %v", got, head)
	}
}

func endsWithError(t *testing.T, s eventstore.Store) {
	Append(t, s, Entry("a", "1"), 0)
	Append(t, s, Entry("a", "2"), 1)
	want, calls := errors.New("enough"), 0
	err := s.Follow(t.Context(), eventstore.Head{}, func(eventstore.Record) error { calls++; return want })
	if err != want || calls != 1 { //nolint:errorlint // as it is, not wrapped
		t.Errorf("got %v after %d calls, want %v after one", err, calls, want)
	}
}

func endsWithContext(t *testing.T, s eventstore.Store) {
	Append(t, s, Entry("a", "1"), 0)
	f := Follow(t, s, eventstore.Head{})
	f.Next()
	f.Stop()
	if err := f.End(); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

// together runs do n times at once.
func together(n int, do func(i int) (domain.Position, error)) ([]domain.Position, []error) {
	positions, errs := make([]domain.Position, n), make([]error, n)
	start := make(chan struct{})
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			<-start
			positions[i], errs[i] = do(i)
		})
	}
	close(start)
	all.Wait()
	return positions, errs
}

func wantLast(t *testing.T, s eventstore.Store, want domain.Position) {
	t.Helper()
	if got, err := s.Last(t.Context()); got != want || err != nil {
		t.Errorf("the log ends at %d, %v; want %d", got, err, want)
	}
}

func wantRecord(t *testing.T, got, want eventstore.Record) {
	t.Helper()
	if got.Head() != want.Head() || got.ID != want.ID || got.Boundary != want.Boundary || !bytes.Equal(got.Data, want.Data) {
		t.Errorf("got a record at %d of %q, id %v, %d bytes, chain %.8s; want %d, %q, %v, %d, %.8s",
			got.Position, got.Boundary, got.ID, len(got.Data), got.Chain,
			want.Position, want.Boundary, want.ID, len(want.Data), want.Chain)
	}
}
