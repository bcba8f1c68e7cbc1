package eventstore_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"jeton/domain"
	"jeton/eventstore"
	"jeton/eventstore/eventstoretest"
)

func TestALogIsFoundedOnceAndOpenedAsItWas(t *testing.T) {
	js := embed(t, t.TempDir()).JetStream()
	if _, err := eventstore.Open(t.Context(), js); !errors.Is(err, eventstore.ErrNoLog) {
		t.Errorf("open before create: got %v, want ErrNoLog", err)
	}
	if _, err := eventstore.Create(t.Context(), js, 2); err == nil {
		t.Error("a log of two replicas was created")
	}
	created := create(t, js, 1)
	if _, err := eventstore.Create(t.Context(), js, 1); !errors.Is(err, eventstore.ErrLogExists) {
		t.Errorf("create again: got %v, want ErrLogExists", err)
	}
	opened, err := eventstore.Open(t.Context(), js)
	if err != nil || created.StoreID() == "" || opened.StoreID() != created.StoreID() {
		t.Errorf("opened %q, %v; created %q", opened.StoreID(), err, created.StoreID())
	}
	if err := opened.Healthy(t.Context()); err != nil {
		t.Errorf("a new log is not healthy: %v", err)
	}
}

func TestALogConfiguredAnotherWayIsNotOpened(t *testing.T) {
	for name, drift := range map[string]func(*jetstream.StreamConfig){
		"max_msgs":     func(c *jetstream.StreamConfig) { c.MaxMsgs = 1000 },
		"max_age":      func(c *jetstream.StreamConfig) { c.MaxAge, c.Duplicates = time.Hour, 2*time.Minute },
		"discard":      func(c *jetstream.StreamConfig) { c.Discard = jetstream.DiscardOld },
		"allow_direct": func(c *jetstream.StreamConfig) { c.AllowDirect = true },
		"allow_atomic": func(c *jetstream.StreamConfig) { c.AllowAtomicPublish = true },
		"subjects":     func(c *jetstream.StreamConfig) { c.Subjects = append(c.Subjects, "more") },
		"metadata":     func(c *jetstream.StreamConfig) { c.Metadata["schema"] = "2" },
		"store-id":     func(c *jetstream.StreamConfig) { delete(c.Metadata, "store-id") },
	} {
		t.Run(name, func(t *testing.T) {
			js := embed(t, t.TempDir()).JetStream()
			opened := create(t, js, 1)
			config := streamInfo(t, js).Config
			drift(&config)
			if _, err := js.UpdateStream(t.Context(), config); err != nil {
				t.Fatal(err)
			}
			if _, err := eventstore.Open(t.Context(), js); err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("open: got %v, want an error that names %s", err, name)
			}
			if err := opened.Healthy(t.Context()); err == nil {
				t.Error("what was open stays healthy")
			}
		})
	}
}

func TestNothingIsTakenOutOfALog(t *testing.T) {
	js := embed(t, t.TempDir()).JetStream()
	s := create(t, js, 1)
	eventstoretest.Append(t, s, eventstoretest.Entry("a", "x"), 0)
	log, err := js.Stream(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	if err := log.DeleteMsg(t.Context(), 1); err == nil {
		t.Error("a message was deleted")
	}
	if err := log.Purge(t.Context()); err == nil {
		t.Error("the log was purged")
	}
	rollup := &nats.Msg{Subject: "jeton.0.a", Header: nats.Header{jetstream.MsgRollup: {jetstream.MsgRollupAll}}}
	if _, err := js.PublishMsg(t.Context(), rollup); err == nil {
		t.Error("the log was rolled up")
	}
	wantEnd(t, s, 1)
}

func TestALostAnswerIsFoundAgain(t *testing.T) {
	f := newFar(t)
	f.store.AckWait = 200 * time.Millisecond
	f.proxy.deaf.Store(true)
	answer := appendBeside(t.Context(), f.store, eventstoretest.Entry("a", "x"), 0)
	awaitEnd(t, f.near, 1)
	f.heal()
	if a := <-answer; a.at != 1 || a.err != nil {
		t.Errorf("got %d, %v; want 1", a.at, a.err)
	}
	wantEnd(t, f.near, 1)
}

func TestALostAnswerIsUnknownUntilTheCommandIsRepeated(t *testing.T) {
	f := newFar(t)
	f.store.AckWait, f.store.Patience = 50*time.Millisecond, 50*time.Millisecond
	e := eventstoretest.Entry("a", "x")
	f.proxy.deaf.Store(true)
	if at, err := f.store.Append(t.Context(), e, 0); !errors.Is(err, eventstore.ErrUnknown) {
		t.Fatalf("got %d, %v; want ErrUnknown", at, err)
	}
	f.proxy.deaf.Store(false)
	f.store.AckWait, f.store.Patience = 5*time.Second, 5*time.Second
	if err := f.store.Healthy(t.Context()); !errors.Is(err, eventstore.ErrUnknown) {
		t.Errorf("health after a write without an answer: got %v, want ErrUnknown", err)
	}
	eventstoretest.Append(t, f.near, eventstoretest.Entry("b", "y"), 0)
	if at := eventstoretest.Append(t, f.store, e, 0); at != 1 {
		t.Errorf("repeated: it stands at %d, want 1", at)
	}
	eventstoretest.Append(t, f.store, eventstoretest.Entry("a", "z"), 1)
	if err := f.store.Healthy(t.Context()); err != nil {
		t.Errorf("health after a write that succeeded: %v", err)
	}
	wantEnd(t, f.near, 3)
}

func TestADeadlineBeforeTheAnswerIsUnknown(t *testing.T) {
	f := newFar(t)
	e := eventstoretest.Entry("a", "x")
	ctx, cancel := context.WithCancel(t.Context())
	f.proxy.deaf.Store(true)
	answer := appendBeside(ctx, f.store, e, 0)
	awaitEnd(t, f.near, 1)
	cancel()
	if a := <-answer; !errors.Is(a.err, eventstore.ErrUnknown) || !errors.Is(a.err, context.Canceled) {
		t.Errorf("got %v, want ErrUnknown and %v", a.err, context.Canceled)
	}
	f.proxy.deaf.Store(false)
	if at := eventstoretest.Append(t, f.store, e, 0); at != 1 {
		t.Errorf("repeated: it stands at %d, want 1", at)
	}
}

func TestALostAnswerAndThenNoServerIsUnknown(t *testing.T) {
	f := newFar(t)
	f.store.AckWait, f.store.Patience = 50*time.Millisecond, time.Second
	f.proxy.deaf.Store(true)
	answer := appendBeside(t.Context(), f.store, eventstoretest.Entry("a", "x"), 0)
	awaitEnd(t, f.near, 1)
	f.proxy.close()
	if a := <-answer; !errors.Is(a.err, eventstore.ErrUnknown) {
		t.Errorf("got %v, want ErrUnknown", a.err)
	}
}

func TestALostAnswerToALoserIsAConflict(t *testing.T) {
	f := newFar(t)
	f.store.AckWait = 100 * time.Millisecond
	eventstoretest.Append(t, f.near, eventstoretest.Entry("a", "winner"), 0)
	f.proxy.deaf.Store(true)
	answer := appendBeside(t.Context(), f.store, eventstoretest.Entry("a", "loser"), 0)
	f.awaitTraffic(t)
	f.heal()
	if a := <-answer; !errors.Is(a.err, eventstore.ErrConflict) {
		t.Errorf("got %v, want ErrConflict", a.err)
	}
	wantEnd(t, f.near, 1)
}

func TestWithoutAServerNothingIsAdded(t *testing.T) {
	e := embed(t, t.TempDir())
	s := create(t, e.JetStream(), 1)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Append(t.Context(), eventstoretest.Entry("a", "x"), 0); !errors.Is(err, eventstore.ErrUnavailable) {
		t.Errorf("append: got %v, want ErrUnavailable", err)
	}
	if _, err := s.Last(t.Context()); !errors.Is(err, eventstore.ErrUnavailable) {
		t.Errorf("last: got %v, want ErrUnavailable", err)
	}
	if err := s.Healthy(t.Context()); !errors.Is(err, eventstore.ErrUnavailable) {
		t.Errorf("health: got %v, want ErrUnavailable", err)
	}
	if err := eventstoretest.Follow(t, s, eventstore.Head{}).End(); !errors.Is(err, eventstore.ErrUnavailable) {
		t.Errorf("follow: got %v, want ErrUnavailable", err)
	}
}

func TestAFullStoreRefuses(t *testing.T) {
	e, err := eventstore.StartEmbedded(eventstore.EmbeddedConfig{Dir: t.TempDir(), MaxStore: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	s := create(t, e.JetStream(), 1)
	block := strings.Repeat("x", 300<<10)
	after := domain.Position(0)
	for range 10 {
		at, err := s.Append(t.Context(), eventstoretest.Entry("a", block), after)
		if errors.Is(err, eventstore.ErrUnavailable) {
			wantEnd(t, s, after)
			return
		}
		if err != nil {
			t.Fatalf("behind %d: got %v, want ErrUnavailable", after, err)
		}
		after = at
	}
	t.Errorf("%d commits of 300 KiB went into 1 MiB", after)
}

func TestACommitLargerThanAMessageIsRefused(t *testing.T) {
	s := create(t, embed(t, t.TempDir()).JetStream(), 1)
	s.AckWait = patience
	const largest = 8<<20 - 200 // headers count
	eventstoretest.Append(t, s, eventstoretest.Entry("a", strings.Repeat("x", largest)), 0)
	_, err := s.Append(t.Context(), eventstoretest.Entry("a", strings.Repeat("x", 8<<20)), 1)
	if !errors.Is(err, eventstore.ErrTooLarge) {
		t.Errorf("got %v, want ErrTooLarge", err)
	}
	eventstoretest.Append(t, s, eventstoretest.Entry("a", "small"), 1)
	if got := eventstoretest.Follow(t, s, eventstore.Head{}).Take(2); len(got[0].Data) != largest {
		t.Errorf("the largest commit came back with %d bytes, want %d", len(got[0].Data), largest)
	}
}

// far is a log behind a bad network: store reaches it through the proxy, near directly.
type far struct {
	proxy       *proxy
	near, store *eventstore.JetStream
	server      *server.Server
	options     server.Options
}

func newFar(t *testing.T) *far {
	t.Helper()
	o := server.Options{StoreDir: t.TempDir()}
	s := listen(t, &o)
	p := newProxy(t, s.Addr().String())
	near := create(t, dial(t, s.ClientURL()), 1)
	store, err := eventstore.Open(t.Context(), dial(t, p.url()))
	if err != nil {
		t.Fatal(err)
	}
	return &far{p, near, hasty(store), s, o}
}

// heal renews the connection and delivers answers again.
func (f *far) heal() {
	f.proxy.cut()
	f.proxy.deaf.Store(false)
}

// awaitTraffic waits until the server got something more.
func (f *far) awaitTraffic(t *testing.T) {
	t.Helper()
	received := func() int64 {
		v, err := f.server.Varz(nil)
		if err != nil {
			t.Error(err)
		}
		return v.InMsgs
	}
	before := received()
	await(t, "a message at the server", func() bool { return received() > before })
}

func streamInfo(t testing.TB, js jetstream.JetStream) *jetstream.StreamInfo {
	t.Helper()
	s, err := js.Stream(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	return s.CachedInfo()
}

func wantEnd(t testing.TB, s eventstore.Store, want domain.Position) {
	t.Helper()
	if got, err := s.Last(t.Context()); got != want || err != nil {
		t.Errorf("the log ends at %d, %v; want %d", got, err, want)
	}
}

// answer is what an append came to.
type answer struct {
	at  domain.Position
	err error
}

// appendBeside appends while the test goes on.
func appendBeside(ctx context.Context, s eventstore.Store, e eventstore.Entry, after domain.Position) <-chan answer {
	answers := make(chan answer, 1)
	go func() {
		at, err := s.Append(ctx, e, after)
		answers <- answer{at, err}
	}()
	return answers
}

// awaitEnd waits until the log ends at p.
func awaitEnd(t testing.TB, s eventstore.Store, p domain.Position) {
	t.Helper()
	await(t, "the end of the log", func() bool {
		got, err := s.Last(t.Context())
		return err == nil && got == p
	})
}
