package eventstoretest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"jeton/eventstore"
)

// RunUsage checks all that eventstore.Usage promises, each time on an empty one
// from open.
func RunUsage(t *testing.T, open func(t *testing.T) eventstore.Usage) {
	for _, p := range usagePromises {
		t.Run(p.name, func(t *testing.T) { p.check(t, open(t)) })
	}
}

var usagePromises = []struct {
	name  string
	check func(*testing.T, eventstore.Usage)
}{
	{"what is published is what is followed", whatIsPublishedIsFollowed},
	{"a report of one id is stored once", publishedOnce},
	{"a report published by many at once is stored once", publishedOnceAtOnce},
	{"a follower sees the reports that come", reportsThatCome},
	{"a follower begins in the middle", beginsInTheMiddle},
	{"followers see the same reports in the same order", sameReports},
	{"who was further than the end counts nothing twice", furtherThanTheEnd},
	{"a report that is too large is refused", tooLargeReport},
	{"a report that cannot be named is refused", unnamedReport},
	{"a cancelled publish stores nothing", cancelledPublish},
	{"following usage ends with the error of the follower", usageEndsWithError},
	{"following usage ends when nobody wants it any more", usageEndsWithContext},
}

func whatIsPublishedIsFollowed(t *testing.T, u eventstore.Usage) {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	reports := []string{`{"uses":1}`, string(all), "", "\r\n\r\nNATS/1.0 408\r\n", strings.Repeat("x", eventstore.MaxReport)}
	for i, report := range reports {
		Publish(t, u, fmt.Sprint("id-", i), report)
	}
	f := FollowUsage(t, u, 0)
	for i, want := range reports {
		f.Want(uint64(i+1), want)
	}
}

func publishedOnce(t *testing.T, u eventstore.Usage) {
	for range 3 {
		Publish(t, u, "first", "1")
	}
	Publish(t, u, "second", "2")
	Publish(t, u, "first", "another report of that id")
	Publish(t, u, "third", "3")
	f := FollowUsage(t, u, 0)
	for i := range uint64(3) {
		f.Want(i+1, fmt.Sprint(i+1))
	}
}

func publishedOnceAtOnce(t *testing.T, u eventstore.Usage) {
	const rounds, nodes = 10, 4
	for round := range rounds {
		id := fmt.Sprint(round)
		err := everybody(nodes, func(int) error {
			err := u.Publish(t.Context(), id, []byte(id))
			if errors.Is(err, eventstore.ErrUnknown) { // another one's is on its way
				return nil
			}
			return err
		})
		if err != nil {
			t.Errorf("round %d: %v", round, err)
		}
		Publish(t, u, id, id)
	}
	f := FollowUsage(t, u, 0)
	for round := range rounds {
		f.Want(uint64(round+1), fmt.Sprint(round))
	}
}

func reportsThatCome(t *testing.T, u eventstore.Usage) {
	f := FollowUsage(t, u, 0)
	for i := range uint64(20) {
		report := fmt.Sprint("report ", i)
		Publish(t, u, fmt.Sprint(i), report)
		f.Want(i+1, report)
	}
}

func beginsInTheMiddle(t *testing.T, u eventstore.Usage) {
	const n = 9
	for i := range n {
		Publish(t, u, fmt.Sprint(i+1), fmt.Sprint(i+1))
	}
	for after := range uint64(n) {
		f := FollowUsage(t, u, after)
		for seq := after + 1; seq <= n; seq++ {
			f.Want(seq, fmt.Sprint(seq))
		}
		f.Stop()
	}
	f := FollowUsage(t, u, n)
	Publish(t, u, "later", "later")
	f.Want(n+1, "later")
}

func sameReports(t *testing.T, u eventstore.Usage) {
	const nodes, reports = 4, 25
	before, during := FollowUsage(t, u, 0), FollowUsage(t, u, 0)
	published := make(chan error, 1)
	go func() {
		published <- everybody(nodes, func(node int) (err error) {
			for i := 0; i < reports && err == nil; i++ {
				id := fmt.Sprintf("%d-%d", node, i)
				err = u.Publish(context.Background(), id, []byte(id))
			}
			return err
		})
	}()
	seen, order := map[string]bool{}, make([]string, nodes*reports)
	for i := range order {
		a := before.Next()
		during.Want(a.Seq, a.Data)
		if a.Seq != uint64(i+1) || seen[a.Data] {
			t.Errorf("got %q at %d, which is no new report at %d", a.Data, a.Seq, i+1)
		}
		seen[a.Data], order[i] = true, a.Data
	}
	if err := <-published; err != nil {
		t.Error(err)
	}
	after := FollowUsage(t, u, 0)
	for i, want := range order {
		after.Want(uint64(i+1), want)
	}
}

// Somebody counted many reports, of which the stream has lost all or all but a
// few. Whether those that are there are counted nobody knows; those that come are not.
func furtherThanTheEnd(t *testing.T, u eventstore.Usage) {
	const there = 3
	last := uint64(0)
	publish := func() {
		last++
		Publish(t, u, fmt.Sprint(last), fmt.Sprint(last))
	}
	for range there {
		publish()
	}
	f := FollowUsage(t, u, 1<<40)
	first := f.NextWhile(publish) // when it begins to listen it does not say
	if first.Seq <= there || first.Data != fmt.Sprint(first.Seq) {
		t.Errorf("got %q at %d, want what came after %d", first.Data, first.Seq, there)
	}
	publish()
	for seq := first.Seq + 1; seq <= last; seq++ {
		f.Want(seq, fmt.Sprint(seq))
	}
}

func tooLargeReport(t *testing.T, u eventstore.Usage) {
	err := u.Publish(t.Context(), "large", bytes.Repeat([]byte("x"), eventstore.MaxReport+1))
	if !errors.Is(err, eventstore.ErrTooLarge) {
		t.Errorf("got %v, want ErrTooLarge", err)
	}
	wantOnly(t, u, "small")
}

func unnamedReport(t *testing.T, u eventstore.Usage) {
	for _, id := range []string{"", "two words", "a.b", "*", "a\r\nb", strings.Repeat("x", eventstore.MaxReportID+1)} {
		if err := u.Publish(t.Context(), id, nil); err == nil {
			t.Errorf("id %q: got no error", id)
		}
	}
	wantOnly(t, u, strings.Repeat("x", eventstore.MaxReportID))
}

func cancelledPublish(t *testing.T, u eventstore.Usage) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := u.Publish(ctx, "cancelled", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	wantOnly(t, u, "next")
}

// wantOnly publishes under an id and checks that nothing was published before.
func wantOnly(t *testing.T, u eventstore.Usage, id string) {
	t.Helper()
	Publish(t, u, id, "the only one")
	FollowUsage(t, u, 0).Want(1, "the only one")
}

func usageEndsWithError(t *testing.T, u eventstore.Usage) {
	Publish(t, u, "1", "1")
	Publish(t, u, "2", "2")
	want, calls := errors.New("enough"), 0
	err := u.Follow(t.Context(), 0, func(uint64, []byte) error { calls++; return want })
	if err != want || calls != 1 { //nolint:errorlint // as it is, not wrapped
		t.Errorf("got %v after %d calls, want %v after one", err, calls, want)
	}
}

func usageEndsWithContext(t *testing.T, u eventstore.Usage) {
	Publish(t, u, "1", "1")
	f := FollowUsage(t, u, 0)
	f.Next()
	f.Stop()
	if err := f.End(); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

// everybody runs do n times at once.
func everybody(n int, do func(i int) error) error {
	errs := make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { errs[i] = do(i) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// Publish publishes or ends the test.
func Publish(t testing.TB, u eventstore.Usage, id, report string) {
	t.Helper()
	if err := u.Publish(t.Context(), id, []byte(report)); err != nil {
		t.Fatalf("publish %q: %v", id, err)
	}
}

// Report is a report as a follower got it.
type Report struct {
	Seq  uint64
	Data string
}

// UsageFollower is somebody who follows usage in the background of a test.
type UsageFollower struct {
	t       testing.TB
	reports chan Report
	end     chan error
	stop    context.CancelFunc
}

// FollowUsage follows u until the test ends or Stop.
func FollowUsage(t testing.TB, u eventstore.Usage, after uint64) *UsageFollower {
	ctx, cancel := context.WithCancel(context.Background())
	f := &UsageFollower{t, make(chan Report), make(chan error, 1), cancel}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		f.end <- u.Follow(ctx, after, func(seq uint64, report []byte) error {
			select {
			case f.reports <- Report{seq, string(report)}:
			case <-ctx.Done():
			}
			return nil
		})
	}()
	t.Cleanup(func() { cancel(); <-ended })
	return f
}

// Next is the next report; the test fails if none comes.
func (f *UsageFollower) Next() Report {
	f.t.Helper()
	select {
	case r := <-f.reports:
		return r
	case err := <-f.end:
		f.t.Fatalf("following usage ended with %v", err)
	case <-time.After(patience):
		f.t.Fatal("no report came")
	}
	panic("unreachable")
}

// Want checks the next report.
func (f *UsageFollower) Want(seq uint64, data string) {
	f.t.Helper()
	if got := f.Next(); got.Seq != seq || got.Data != data {
		f.t.Errorf("got the report %.40q at %d, want %.40q at %d", got.Data, got.Seq, data, seq)
	}
}

// NextWhile is the next report of those that do makes, again and again until one comes.
func (f *UsageFollower) NextWhile(do func()) Report {
	f.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for limit := time.Now().Add(patience); time.Now().Before(limit); {
		do()
		select {
		case r := <-f.reports:
			return r
		case err := <-f.end:
			f.t.Fatalf("following usage ended with %v", err)
		case <-tick.C:
		}
	}
	f.t.Fatal("nothing that comes is heard")
	panic("unreachable")
}

// End is the error that following ends with; a report before it fails the test.
func (f *UsageFollower) End() error {
	f.t.Helper()
	select {
	case r := <-f.reports:
		f.t.Fatalf("got a report at %d, want the end", r.Seq)
	case err := <-f.end:
		return err
	case <-time.After(patience):
		f.t.Fatal("following usage does not end")
	}
	panic("unreachable")
}

// Stop ends following.
func (f *UsageFollower) Stop() { f.stop() }
