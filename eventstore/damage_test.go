package eventstore_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"jeton/domain"
	"jeton/eventstore"
	"jeton/eventstore/eventstoretest"
)

// The files of a log are damaged while its server is stopped. With its index the
// server takes up where it thinks it was; without one, as after a crash, it reads
// the files and cuts off what it cannot read. It complains of neither.
func TestDamagedFilesAreNoticed(t *testing.T) {
	const commits = 5
	for name, c := range map[string]struct {
		harm  func(t *testing.T, dir string)
		crash bool
		from  string
		want  domain.Position
	}{
		"a flipped bit":                                      {flipThird, false, "the beginning", 3},
		"a flipped bit, for who read less":                   {flipThird, false, "the second", 3},
		"a flipped bit after a crash":                        {flipThird, true, "the end", 3},
		"a cut file":                                         {cutFile, false, "the beginning", 5},
		"a cut file after a crash":                           {cutFile, true, "the end", 5},
		"a missing file":                                     {removeFile, false, "the beginning", 1},
		"a missing file after a crash":                       {removeFile, true, "the end", 1},
		"a missing file after a crash, for a reader of less": {removeFile, true, "the second", 1},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			heads := fill(t, dir, commits)
			c.harm(t, dir)
			if c.crash {
				forgetIndex(t, dir)
			}
			from := map[string]eventstore.Head{"the second": heads[1], "the end": heads[commits-1]}[c.from]
			wantDamage(t, readAgain(t, dir, from), c.want)
		})
	}
}

// Commits of several megabytes make a log of several files. One in the middle is
// damaged, so that neither the beginning nor the end tells.
func TestADamagedFileInTheMiddleIsNoticed(t *testing.T) {
	const commits = 3
	t.Run("a flipped bit", func(t *testing.T) {
		dir := t.TempDir()
		heads := fillFiles(t, dir, commits)
		change(t, dir, "2.blk", flipInTheMiddle)
		wantDamage(t, readAgain(t, dir, heads[0]), 2)
	})
	t.Run("a missing file after a crash, for who had read it", func(t *testing.T) {
		dir := t.TempDir()
		heads := fillFiles(t, dir, commits)
		remove(t, dir, "2.blk")
		forgetIndex(t, dir)
		wantDamage(t, readAgain(t, dir, heads[commits]), 2)
	})
}

func flipInTheMiddle(b []byte) []byte {
	b[len(b)/2] ^= 1
	return b
}

// The server deletes a compressed log with one flipped bit when it starts after a
// crash. Ours are not compressed; by its source other troubles end so too.
func TestALogThatTheServerDeletesAtItsStartIsKept(t *testing.T) {
	dir := t.TempDir()
	const messages = 3
	fillCompressed(t, dir, messages)
	change(t, dir, "2.blk", flipInTheMiddle)
	forgetIndex(t, dir)
	for range 2 { // it is not founded anew by starting again
		e, err := eventstore.StartEmbedded(eventstore.EmbeddedConfig{Dir: dir})
		if err == nil {
			_ = e.Close()
		}
		wantDamage(t, err, 1)
	}
	streams := filepath.Join(dir, "nats", "jetstream", "$G", "streams")
	if err := errors.Join(os.MkdirAll(streams, 0o700), os.Rename(filepath.Join(dir, "kept"), filepath.Join(streams, stream))); err != nil {
		t.Fatal(err)
	}
	change(t, dir, "2.blk", flipInTheMiddle)
	if state := streamInfo(t, embed(t, dir).JetStream()).State; state.Msgs != messages || state.NumDeleted != 0 {
		t.Errorf("put back, the log has %d messages and lacks %d, want %d", state.Msgs, state.NumDeleted, messages)
	}
	if _, err := os.Stat(filepath.Join(dir, "kept")); err == nil {
		t.Error("second names are left behind")
	}
}

// fillCompressed leaves a compressed log of a file to each message.
func fillCompressed(t *testing.T, dir string, messages int) {
	t.Helper()
	e := embed(t, dir)
	_, err := e.JetStream().CreateStream(t.Context(), jetstream.StreamConfig{
		Name: stream, Subjects: []string{"jeton.0.>"}, Compression: jetstream.S2Compression,
	})
	if err != nil {
		t.Fatal(err)
	}
	data := make([]byte, 5<<20)
	_, _ = rand.Read(data) // so that it stays as large when it is compressed
	for range messages {
		if _, err := e.JetStream().Publish(t.Context(), "jeton.0.a", data); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
}

// fillFiles leaves a log of a file to each commit and tells the head before the
// first and behind each.
func fillFiles(t *testing.T, dir string, commits int) []eventstore.Head {
	t.Helper()
	e := embed(t, dir)
	s := create(t, e.JetStream(), 1)
	s.AckWait = patience // megabytes take their time
	heads := []eventstore.Head{{}}
	for i := range commits {
		data := make([]byte, 5<<20)
		_, _ = rand.Read(data)
		entry := eventstore.Entry{ID: domain.RandomCommandID(), Boundary: "a", Data: data}
		eventstoretest.Append(t, s, entry, domain.Position(i))
		heads = append(heads, heads[i].Next(entry).Head())
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	return heads
}

func TestALogThatIsDeletedIsNoticed(t *testing.T) {
	js := embed(t, t.TempDir()).JetStream()
	f := followed(t, create(t, js, 1), 3)
	if err := js.DeleteStream(t.Context(), stream); err != nil {
		t.Fatal(err)
	}
	wantDamage(t, f.End(), 1)
}

func TestALogThatIsReplacedIsNoticed(t *testing.T) {
	js := embed(t, t.TempDir()).JetStream()
	s := create(t, js, 1)
	if err := js.DeleteStream(t.Context(), stream); err != nil {
		t.Fatal(err)
	}
	other := createAgain(t, js)
	for i := range domain.Position(3) {
		eventstoretest.Append(t, other, eventstoretest.Entry("a", "other"), i)
	}
	wantDamage(t, readToEnd(t, s, eventstore.Head{}), 1)
}

// createAgain creates the log as soon as the server has put away the deleted one.
func createAgain(t *testing.T, js jetstream.JetStream) *eventstore.JetStream {
	t.Helper()
	for end := time.Now().Add(patience); ; runtime.Gosched() {
		s, err := eventstore.Create(t.Context(), js, 1)
		if err == nil {
			return s
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

func TestALogThatLosesItsBeginningIsNoticed(t *testing.T) {
	js := embed(t, t.TempDir()).JetStream()
	f := followed(t, create(t, js, 1), 5)
	config := streamInfo(t, js).Config
	config.MaxMsgs, config.Discard = 3, jetstream.DiscardOld // accepted, and deletes at once
	if _, err := js.UpdateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	wantDamage(t, f.End(), 1)
}

func TestALogThatLosesItsEndWhileItIsFollowedIsNoticed(t *testing.T) {
	for name, harm := range map[string]func(t *testing.T, dir string){
		"cut off":                cutFile,
		"cut off, after a crash": func(t *testing.T, dir string) { cutFile(t, dir); forgetIndex(t, dir) },
		"unreadable":             func(t *testing.T, dir string) { flipBit(t, dir, 5) },
	} {
		t.Run(name, func(t *testing.T) {
			o := server.Options{StoreDir: t.TempDir()}
			first := listen(t, &o)
			f := followed(t, create(t, dial(t, first.ClientURL()), 1), 5)
			restart(t, first, o, func() { harm(t, o.StoreDir) })
			wantDamage(t, f.End(), 5)
		})
	}
}

func TestALogThatIsWrittenAnewWhileItIsFollowedIsNoticed(t *testing.T) {
	far := newFar(t)
	f := followed(t, far.store, 5)
	far.proxy.deaf.Store(true) // who follows sees only what became of it
	second := restart(t, far.server, far.options, func() {
		cutFile(t, far.options.StoreDir)
		forgetIndex(t, far.options.StoreDir)
	})
	anew, err := eventstore.Open(t.Context(), dial(t, second.ClientURL()))
	if err != nil {
		t.Fatal(err)
	}
	eventstoretest.Append(t, anew, eventstoretest.Entry("a", "another fifth"), 4)
	far.heal()
	wantDamage(t, f.End(), 5)
}

func TestWhatIsNoCommitIsNotHandedOut(t *testing.T) {
	js := embed(t, t.TempDir()).JetStream()
	f := followed(t, create(t, js, 1), 2)
	if _, err := js.Publish(t.Context(), "jeton.0.a", []byte("not ours")); err != nil {
		t.Fatal(err)
	}
	wantDamage(t, f.End(), 3)
}

func TestAServerThatStopsIsNotDamage(t *testing.T) {
	for range 5 {
		e := embed(t, t.TempDir())
		s := create(t, e.JetStream(), 1)
		s.CheckEvery = time.Microsecond // always asking
		f := followed(t, s, 2)
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		if err := f.End(); !errors.Is(err, eventstore.ErrUnavailable) {
			t.Errorf("got %v, want ErrUnavailable", err)
		}
	}
}

func TestFollowingSurvivesTheLossOfItsConsumer(t *testing.T) {
	js := embed(t, t.TempDir()).JetStream()
	s := create(t, js, 1)
	f := followed(t, s, 2)
	log, err := js.Stream(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	for name := range log.ConsumerNames(t.Context()).Name() {
		if err := log.DeleteConsumer(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	eventstoretest.Append(t, s, eventstoretest.Entry("a", "x"), 2)
	if got := f.Next().Position; got != 3 {
		t.Errorf("got %d, want 3", got)
	}
}

func TestFollowingSurvivesARestartOfTheServer(t *testing.T) {
	o := server.Options{StoreDir: t.TempDir()}
	first := listen(t, &o)
	s := create(t, dial(t, first.ClientURL()), 1)
	f := followed(t, s, 3)
	second := restart(t, first, o, func() {})
	near, err := eventstore.Open(t.Context(), dial(t, second.ClientURL()))
	if err != nil {
		t.Fatal(err)
	}
	eventstoretest.Append(t, near, eventstoretest.Entry("a", "x"), 3)
	if got := f.Next().Position; got != 4 {
		t.Errorf("got %d, want 4", got)
	}
}

func TestFollowingSurvivesABadNetwork(t *testing.T) {
	far := newFar(t)
	f := eventstoretest.Follow(t, far.store, eventstore.Head{})
	for i := range domain.Position(3) {
		far.proxy.cut()
		eventstoretest.Append(t, far.near, eventstoretest.Entry("a", fmt.Sprint(i)), i)
		if got := f.Next().Position; got != i+1 {
			t.Fatalf("got %d, want %d", got, i+1)
		}
	}
}

func TestFollowingPullsAgainAndAgain(t *testing.T) {
	s := create(t, embed(t, t.TempDir()).JetStream(), 1)
	s.PullMessages, s.PullBytes = 7, 10<<10
	const commits = 50
	for i := range domain.Position(commits) {
		size := 100
		if i%10 == 9 {
			size = 50 << 10 // more than a pull takes
		}
		eventstoretest.Append(t, s, eventstoretest.Entry("a", string(make([]byte, size))), i)
	}
	for i, r := range eventstoretest.Follow(t, s, eventstore.Head{}).Take(commits) {
		if r.Position != domain.Position(i+1) {
			t.Fatalf("got %d, want %d", r.Position, i+1)
		}
	}
}

func TestFollowingAndAskingAtOnceHandsOutNothingTwice(t *testing.T) {
	s := create(t, embed(t, t.TempDir()).JetStream(), 1)
	s.CheckEvery = 10 * time.Microsecond // always asking
	f := eventstoretest.Follow(t, s, eventstore.Head{})
	for i := range domain.Position(300) {
		eventstoretest.Append(t, s, eventstoretest.Entry("a", "x"), i)
		if got := f.Next().Position; got != i+1 {
			t.Fatalf("got %d, want %d", got, i+1)
		}
	}
}

func TestFollowingLeavesNothingBehind(t *testing.T) {
	js := embed(t, t.TempDir()).JetStream()
	s := create(t, js, 1)
	before := js.Conn().NumSubscriptions() // one, for all answers
	f := followed(t, s, 1)
	f.Stop()
	_ = f.End()
	await(t, "the end of the consumer", func() bool { return streamInfo(t, js).State.Consumers == 0 })
	if after := js.Conn().NumSubscriptions(); after != before {
		t.Errorf("%d subscriptions are left", after-before)
	}
}

// followed appends commits to s and follows them all.
func followed(t *testing.T, s *eventstore.JetStream, commits int) *eventstoretest.Follower {
	t.Helper()
	f := eventstoretest.Follow(t, s, eventstore.Head{})
	for i := range commits {
		eventstoretest.Append(t, s, eventstoretest.Entry("a", commit(i+1)), domain.Position(i))
	}
	f.Take(commits)
	return f
}

// fill leaves a log of commits in dir and tells the heads behind each.
func fill(t *testing.T, dir string, commits int) []eventstore.Head {
	t.Helper()
	e := embed(t, dir)
	s := create(t, e.JetStream(), 1)
	heads := make([]eventstore.Head, commits)
	f := eventstoretest.Follow(t, s, eventstore.Head{})
	for i := range commits {
		eventstoretest.Append(t, s, eventstoretest.Entry("a", commit(i+1)), domain.Position(i))
		heads[i] = f.Next().Head()
	}
	f.Stop()
	_ = f.End()
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	return heads
}

// commit is the content of a commit, easily found in a file.
func commit(n int) string { return fmt.Sprintf("<commit number %d>", n) }

// readAgain starts a server on dir and follows the log in it until it fails.
func readAgain(t *testing.T, dir string, from eventstore.Head) error {
	t.Helper()
	e, err := eventstore.StartEmbedded(eventstore.EmbeddedConfig{Dir: dir})
	if err != nil {
		return err
	}
	t.Cleanup(func() { _ = e.Close() })
	s, err := eventstore.Open(t.Context(), e.JetStream())
	if err != nil {
		return err
	}
	hasty(s).AckWait = patience
	return readToEnd(t, s, from)
}

// readToEnd follows s until it fails.
func readToEnd(t *testing.T, s eventstore.Store, from eventstore.Head) error {
	t.Helper()
	end := make(chan error, 1)
	go func() {
		end <- s.Follow(t.Context(), from, func(eventstore.Record) error { return nil })
	}()
	select {
	case err := <-end:
		return err
	case <-time.After(patience):
		return errors.New("following goes on as if nothing was wrong")
	}
}

func wantDamage(t *testing.T, err error, at domain.Position) {
	t.Helper()
	var damage *eventstore.Damage
	if !errors.As(err, &damage) || damage.Position != at {
		t.Errorf("got %v, want damage at %d", err, at)
	}
}

// restart stops a server, does what it cannot see, and starts it again where it was.
func restart(t *testing.T, s *server.Server, o server.Options, between func()) *server.Server {
	t.Helper()
	o.Port = s.Addr().(*net.TCPAddr).Port
	s.Shutdown()
	s.WaitForShutdown()
	between()
	return listen(t, &o)
}

func flipThird(t *testing.T, dir string) { flipBit(t, dir, 3) }

func flipBit(t *testing.T, dir string, n int) {
	change(t, dir, "*.blk", func(b []byte) []byte {
		b[bytes.Index(b, []byte(commit(n)))] ^= 1
		return b
	})
}

func cutFile(t *testing.T, dir string) {
	change(t, dir, "*.blk", func(b []byte) []byte { return b[:len(b)-20] })
}

func removeFile(t *testing.T, dir string) { remove(t, dir, "*.blk") }

func forgetIndex(t *testing.T, dir string) { remove(t, dir, "index.db") }

func remove(t *testing.T, dir, pattern string) {
	t.Helper()
	if err := os.Remove(find(t, dir, pattern)); err != nil {
		t.Fatal(err)
	}
}

// change rewrites a block of messages.
func change(t *testing.T, dir, pattern string, how func([]byte) []byte) {
	t.Helper()
	name := find(t, dir, pattern)
	block, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, how(block), 0o600); err != nil {
		t.Fatal(err)
	}
}

// find finds the one file of the log that the pattern names.
func find(t *testing.T, dir, pattern string) (name string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if ok, _ := filepath.Match(pattern, filepath.Base(path)); ok && filepath.Base(filepath.Dir(path)) == "msgs" {
			name = path
		}
		return err
	})
	if err != nil || name == "" {
		t.Fatalf("find %s: %q, %v", pattern, name, err)
	}
	return name
}
