package eventstore_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"jeton/domain"
	"jeton/eventstore"
	"jeton/eventstore/eventstoretest"
)

const usageStream = "JETON_USAGE"

func TestUsageInMemory(t *testing.T) {
	eventstoretest.RunUsage(t, func(*testing.T) eventstore.Usage { return new(eventstore.MemoryUsage) })
}

func TestUsageEmbedded(t *testing.T) {
	eventstoretest.RunUsage(t, func(t *testing.T) eventstore.Usage {
		return openUsage(t, create(t, embed(t, t.TempDir()).JetStream(), 1))
	})
}

func TestUsageOverTheNetwork(t *testing.T) {
	eventstoretest.RunUsage(t, func(t *testing.T) eventstore.Usage {
		s := listen(t, &server.Options{StoreDir: t.TempDir()})
		return openUsage(t, create(t, dial(t, s.ClientURL()), 1))
	})
}

func TestUsageOnThreeReplicas(t *testing.T) {
	servers := cluster(t)
	eventstoretest.RunUsage(t, func(t *testing.T) eventstore.Usage {
		js := dial(t, servers[1].ClientURL())
		await(t, "the end of the usage before", func() bool {
			return errors.Is(js.DeleteStream(t.Context(), usageStream), jetstream.ErrStreamNotFound)
		})
		u := openUsage(t, createNext(t, js))
		if got := usageInfo(t, js).Config.Replicas; got != 3 {
			t.Errorf("usage is on %d replicas, want as many as the log", got)
		}
		return u
	})
}

func TestUsageIsThereAfterARestart(t *testing.T) {
	dir := t.TempDir()
	e := embed(t, dir)
	u := openUsage(t, create(t, e.JetStream(), 1))
	for _, id := range []string{"1", "2", "3"} {
		eventstoretest.Publish(t, u, id, id)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	u = openUsage(t, open(t, embed(t, dir).JetStream()))
	f := eventstoretest.FollowUsage(t, u, 1)
	eventstoretest.Publish(t, u, "3", "again")
	eventstoretest.Publish(t, u, "4", "4")
	for seq := uint64(2); seq <= 4; seq++ {
		f.Want(seq, fmt.Sprint(seq))
	}
}

// Usage that is full loses its own beginning, and the log nothing.
func TestFullUsageDoesNotTouchTheLog(t *testing.T) {
	js := embed(t, t.TempDir()).JetStream()
	log := create(t, js, 1)
	eventstoretest.Append(t, log, eventstoretest.Entry("a", "before"), 0)
	u := openUsage(t, log)
	limitUsage(t, js, func(c *jetstream.StreamConfig) { c.MaxBytes = 64 << 10 })
	const reports = 20
	for i := range reports {
		eventstoretest.Publish(t, u, fmt.Sprint(i), strings.Repeat("x", 16<<10))
		eventstoretest.Append(t, log, eventstoretest.Entry("a", "beside"), domain.Position(i+1))
	}
	if state := usageInfo(t, js).State; state.Bytes > 64<<10 || state.LastSeq != reports || state.FirstSeq < 2 {
		t.Errorf("usage has %d bytes, %d to %d: it is not full", state.Bytes, state.FirstSeq, state.LastSeq)
	}
	if state := streamInfo(t, js).State; state.FirstSeq != 1 || state.Msgs != reports+1 {
		t.Errorf("the log begins at %d and has %d commits, want all %d", state.FirstSeq, state.Msgs, reports+1)
	}
	if err := log.Healthy(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestWhatUsageHasForgottenIsLeftOut(t *testing.T) {
	js := embed(t, t.TempDir()).JetStream()
	u := openUsage(t, create(t, js, 1))
	for i := range 9 {
		eventstoretest.Publish(t, u, fmt.Sprint(i+1), fmt.Sprint(i+1))
	}
	limitUsage(t, js, func(c *jetstream.StreamConfig) { c.MaxMsgs = 2 })
	f := eventstoretest.FollowUsage(t, u, 3)
	f.Want(8, "8")
	f.Want(9, "9")
	purgeUsage(t, js)
	late := eventstoretest.FollowUsage(t, u, 3)
	eventstoretest.Publish(t, u, "10", "10")
	f.Want(10, "10")
	late.Want(10, "10")
}

// The stream disappears under a follower, who makes it again.
func TestLostUsageIsMadeAgain(t *testing.T) {
	js := embed(t, t.TempDir()).JetStream()
	log := create(t, js, 1)
	log.Confirm = time.Second // longer than the server takes to delete
	u := openUsage(t, log)
	f := usageFollowed(t, u, 3)
	if err := js.DeleteStream(t.Context(), usageStream); err != nil {
		t.Fatal(err)
	}
	await(t, "a follower of a new stream", func() bool { return followersOf(t, js) == 1 })
	eventstoretest.Publish(t, u, "after", "after")
	f.Want(1, "after")
}

// A server that was away comes back with less than was counted, or with nothing.
func TestUsageThatWentBackwardsIsNotCountedAgain(t *testing.T) {
	for name, harm := range map[string]func(t *testing.T, dir string){
		"cut off, after a crash": func(t *testing.T, dir string) { cutFile(t, dir); forgetIndex(t, dir) },
		"the file is missing":    func(t *testing.T, dir string) { removeFile(t, dir); forgetIndex(t, dir) },
		"the stream is missing": func(t *testing.T, dir string) {
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := server.Options{StoreDir: t.TempDir()}
			first := listen(t, &o)
			u := openUsage(t, create(t, dial(t, first.ClientURL()), 1))
			f := usageFollowed(t, u, 5)
			second := restart(t, first, o, func() { harm(t, usageFiles(o.StoreDir)) })
			again := dial(t, second.ClientURL())
			await(t, "a follower who knows", func() bool { return followersOf(t, again) == 1 })
			eventstoretest.Publish(t, openUsage(t, open(t, again)), "new", "new")
			if got := f.Next(); got.Data != "new" || got.Seq > 5 {
				t.Errorf("got %q at %d, want the report that is new", got.Data, got.Seq)
			}
		})
	}
}

// What became of usage keeps neither the service from starting nor the log from
// being well.
func TestDamagedUsageDoesNotTouchTheLog(t *testing.T) {
	for name, harm := range map[string]func(t *testing.T, dir string){
		"a flipped bit":               flipThird,
		"a flipped bit after a crash": func(t *testing.T, dir string) { flipThird(t, dir); forgetIndex(t, dir) },
		"a missing file":              removeFile,
		"no configuration": func(t *testing.T, dir string) {
			if err := os.Remove(filepath.Join(dir, "meta.inf")); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			first := embed(t, dir)
			log := create(t, first.JetStream(), 1)
			eventstoretest.Append(t, log, eventstoretest.Entry("a", "x"), 0)
			usageFollowed(t, openUsage(t, log), 5).Stop()
			if err := first.Close(); err != nil {
				t.Fatal(err)
			}
			harm(t, usageFiles(filepath.Join(dir, "nats")))
			e := embed(t, dir)
			log = open(t, e.JetStream())
			u := openUsage(t, log)
			f := eventstoretest.FollowUsage(t, u, 5)
			f.NextWhile(func() { eventstoretest.Publish(t, u, rand.Text(), "new") })
			eventstoretest.Append(t, log, eventstoretest.Entry("a", "y"), 1)
			eventstoretest.Follow(t, log, eventstore.Head{}).Take(2)
			if err := errors.Join(e.Health(), log.Healthy(t.Context())); err != nil {
				t.Error(err)
			}
		})
	}
}

// A report that cannot be read is left out, and those behind it are not.
func TestUnreadableUsageIsLeftOut(t *testing.T) {
	o := server.Options{StoreDir: t.TempDir()}
	first := listen(t, &o)
	usageFollowed(t, openUsage(t, create(t, dial(t, first.ClientURL()), 1)), 5).Stop()
	second := restart(t, first, o, func() { flipThird(t, usageFiles(o.StoreDir)) })
	f := eventstoretest.FollowUsage(t, openUsage(t, open(t, dial(t, second.ClientURL()))), 0)
	for _, seq := range []int{1, 2, 4, 5} {
		f.Want(uint64(seq), commit(seq))
	}
}

func TestFollowingUsageSurvivesABadNetwork(t *testing.T) {
	far := newFar(t)
	near := openUsage(t, far.near)
	f := eventstoretest.FollowUsage(t, openUsage(t, far.store), 0)
	for i := range uint64(5) {
		far.proxy.cut()
		eventstoretest.Publish(t, near, fmt.Sprint(i+1), fmt.Sprint(i+1))
		f.Want(i+1, fmt.Sprint(i+1))
	}
}

// The server sends a report that does not arrive, and will not send it again. The
// next one tells; if there is none, silence does.
func TestUsageThatIsNotHeardIsAskedForAgain(t *testing.T) {
	for name, reports := range map[string]uint64{"the last one": 2, "one before others": 4} {
		t.Run(name, func(t *testing.T) {
			far := newFar(t)
			far.store.CheckEvery = time.Second
			js, near := dial(t, far.server.ClientURL()), openUsage(t, far.near)
			f := eventstoretest.FollowUsage(t, openUsage(t, far.store), 0)
			eventstoretest.Publish(t, near, "1", "1")
			f.Want(1, "1")
			far.proxy.deaf.Store(true)
			eventstoretest.Publish(t, near, "2", "2")
			await(t, "a report on its way", func() bool { return sentTo(t, js) == 2 })
			far.proxy.deaf.Store(false)
			for seq := uint64(3); seq <= reports; seq++ {
				eventstoretest.Publish(t, near, fmt.Sprint(seq), fmt.Sprint(seq))
			}
			for seq := uint64(2); seq <= reports; seq++ {
				f.Want(seq, fmt.Sprint(seq))
			}
		})
	}
}

func TestFollowingUsageAsksForManyAgainAndAgain(t *testing.T) {
	u := openUsage(t, create(t, embed(t, t.TempDir()).JetStream(), 1))
	const reports = 100
	for i := range reports {
		eventstoretest.Publish(t, u, fmt.Sprint(i+1), fmt.Sprint(i+1))
	}
	f := eventstoretest.FollowUsage(t, u, 0)
	for i := range uint64(reports) {
		f.Want(i+1, fmt.Sprint(i+1))
	}
}

func TestFollowingUsageLeavesNothingBehind(t *testing.T) {
	js := embed(t, t.TempDir()).JetStream()
	u := openUsage(t, create(t, js, 1))
	before := js.Conn().NumSubscriptions() // one, for all answers
	f := usageFollowed(t, u, 1)
	f.Stop()
	_ = f.End()
	await(t, "the end of the consumer", func() bool { return followersOf(t, js) == 0 })
	await(t, "the end of its subscription", func() bool { return js.Conn().NumSubscriptions() == before })
}

func TestALostAnswerToAReportIsUnknownAndItIsPublishedAgain(t *testing.T) {
	f := newFar(t)
	u, near := openUsage(t, f.store), openUsage(t, f.near)
	f.store.AckWait = 50 * time.Millisecond
	f.proxy.deaf.Store(true)
	if err := u.Publish(t.Context(), "1", []byte("once")); !errors.Is(err, eventstore.ErrUnknown) {
		t.Fatalf("got %v, want ErrUnknown", err)
	}
	f.proxy.deaf.Store(false)
	f.store.AckWait = patience
	eventstoretest.Publish(t, u, "1", "once")
	eventstoretest.Publish(t, u, "2", "next")
	follower := eventstoretest.FollowUsage(t, near, 0)
	follower.Want(1, "once")
	follower.Want(2, "next")
}

func TestWithoutAStreamNothingIsPublished(t *testing.T) {
	js := embed(t, t.TempDir()).JetStream()
	u := openUsage(t, create(t, js, 1))
	if err := js.DeleteStream(t.Context(), usageStream); err != nil {
		t.Fatal(err)
	}
	if err := u.Publish(t.Context(), "1", nil); !errors.Is(err, eventstore.ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
}

func TestWithoutAServerNothingIsPublished(t *testing.T) {
	e := embed(t, t.TempDir())
	u := openUsage(t, create(t, e.JetStream(), 1))
	f := eventstoretest.FollowUsage(t, u, 0)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if err := u.Publish(t.Context(), "1", nil); !errors.Is(err, eventstore.ErrUnavailable) {
		t.Errorf("publish: got %v, want ErrUnavailable", err)
	}
	if err := f.End(); !errors.Is(err, eventstore.ErrUnavailable) {
		t.Errorf("follow: got %v, want ErrUnavailable", err)
	}
}

func TestUsageConfiguredAnotherWayIsNotOpened(t *testing.T) {
	for name, drift := range map[string]func(*jetstream.StreamConfig){
		"discard":          func(c *jetstream.StreamConfig) { c.Discard = jetstream.DiscardNew },
		"duplicate_window": func(c *jetstream.StreamConfig) { c.Duplicates = time.Second },
		"subjects":         func(c *jetstream.StreamConfig) { c.Subjects = []string{"other"} },
		"metadata":         func(c *jetstream.StreamConfig) { c.Metadata["schema"] = "2" },
	} {
		t.Run(name, func(t *testing.T) {
			js := embed(t, t.TempDir()).JetStream()
			log := create(t, js, 1)
			openUsage(t, log)
			limitUsage(t, js, drift)
			if _, err := eventstore.OpenUsage(t.Context(), log); err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("got %v, want an error that names %s", err, name)
			}
		})
	}
}

func TestHowMuchUsageKeepsIsForOperatorsToSay(t *testing.T) {
	js := embed(t, t.TempDir()).JetStream()
	log := create(t, js, 1)
	openUsage(t, log)
	limitUsage(t, js, func(c *jetstream.StreamConfig) { c.MaxAge, c.MaxBytes, c.MaxMsgs = time.Hour, 1<<20, 1000 })
	openUsage(t, log)
	if got := usageInfo(t, js).Config; got.MaxAge != time.Hour || got.MaxBytes != 1<<20 || got.MaxMsgs != 1000 {
		t.Errorf("opened, it keeps %v, %d bytes, %d reports", got.MaxAge, got.MaxBytes, got.MaxMsgs)
	}
}

// Neither a user who may not make a stream nor a server that has no room for one
// leaves people guessing.
func TestUsageThatCannotBeMadeSaysWhatItTakes(t *testing.T) {
	const may = "$JS.API.STREAM.CREATE." + usageStream
	user := &server.User{Username: "jeton", Password: "p", Permissions: &server.Permissions{
		Publish: &server.SubjectPermission{Deny: []string{may}},
	}}
	for name, o := range map[string]*server.Options{
		"no right": {StoreDir: t.TempDir(), Users: []*server.User{user}},
		"no room":  {StoreDir: t.TempDir(), Users: []*server.User{{Username: "jeton", Password: "p"}}, JetStreamMaxStore: 1 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			s := listen(t, o)
			log := create(t, dial(t, strings.Replace(s.ClientURL(), "//", "//jeton:p@", 1)), 1)
			log.AckWait = 200 * time.Millisecond
			_, err := eventstore.OpenUsage(t.Context(), log)
			if err == nil || !strings.Contains(err.Error(), may) || !strings.Contains(err.Error(), "1024 MiB") {
				t.Errorf("got %v, want an error that names %s and the storage", err, may)
			}
		})
	}
}

// usageFollowed publishes reports and follows them all.
func usageFollowed(t *testing.T, u eventstore.Usage, reports int) *eventstoretest.UsageFollower {
	t.Helper()
	f := eventstoretest.FollowUsage(t, u, 0)
	for i := range reports {
		eventstoretest.Publish(t, u, fmt.Sprint(i+1), commit(i+1))
		f.Want(uint64(i+1), commit(i+1))
	}
	return f
}

func open(t testing.TB, js jetstream.JetStream) *eventstore.JetStream {
	t.Helper()
	s, err := eventstore.Open(t.Context(), js)
	if err != nil {
		t.Fatal(err)
	}
	return hasty(s)
}

func openUsage(t testing.TB, log *eventstore.JetStream) *eventstore.JetStreamUsage {
	t.Helper()
	u, err := eventstore.OpenUsage(t.Context(), log)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// limitUsage is what operators may do.
func limitUsage(t testing.TB, js jetstream.JetStream, change func(*jetstream.StreamConfig)) {
	t.Helper()
	config := usageInfo(t, js).Config
	change(&config)
	if _, err := js.UpdateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
}

func purgeUsage(t testing.TB, js jetstream.JetStream) {
	t.Helper()
	s, err := js.Stream(t.Context(), usageStream)
	if err == nil {
		err = s.Purge(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
}

func usageInfo(t testing.TB, js jetstream.JetStream) *jetstream.StreamInfo {
	t.Helper()
	s, err := js.Stream(t.Context(), usageStream)
	if err != nil {
		t.Fatal(err)
	}
	return s.CachedInfo()
}

// followersOf is how many follow; -1 while there is nothing to follow.
func followersOf(t testing.TB, js jetstream.JetStream) int {
	t.Helper()
	s, err := js.Stream(t.Context(), usageStream)
	if err != nil {
		return -1
	}
	return s.CachedInfo().State.Consumers
}

// sentTo is how many reports the one follower was sent.
func sentTo(t testing.TB, js jetstream.JetStream) (n uint64) {
	t.Helper()
	s, err := js.Stream(t.Context(), usageStream)
	if err != nil {
		t.Fatal(err)
	}
	for c := range s.ListConsumers(t.Context()).Info() {
		n += c.Delivered.Consumer
	}
	return n
}

// usageFiles is where a server has the stream.
func usageFiles(storeDir string) string {
	return filepath.Join(storeDir, "jetstream", "$G", "streams", usageStream)
}
