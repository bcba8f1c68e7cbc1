package eventstore_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
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

const (
	objectStream = "OBJ_JETON_OBJECTS"
	objectChunk  = eventstore.MaxReport
)

func TestObjectsInMemory(t *testing.T) {
	eventstoretest.RunObjects(t, func(_ *testing.T, most int64) eventstore.Objects {
		return &eventstore.MemoryObjects{Most: most}
	})
}

func TestObjectsEmbedded(t *testing.T) {
	eventstoretest.RunObjects(t, func(t *testing.T, most int64) eventstore.Objects {
		return openObjects(t, create(t, embed(t, t.TempDir()).JetStream(), 1), most)
	})
}

func TestObjectsOverTheNetwork(t *testing.T) {
	eventstoretest.RunObjects(t, func(t *testing.T, most int64) eventstore.Objects {
		s := listen(t, &server.Options{StoreDir: t.TempDir()})
		return openObjects(t, create(t, dial(t, s.ClientURL()), 1), most)
	})
}

func TestObjectsOnThreeReplicas(t *testing.T) {
	servers := cluster(t)
	eventstoretest.RunObjects(t, func(t *testing.T, most int64) eventstore.Objects {
		js := dial(t, servers[1].ClientURL())
		await(t, "the end of the objects before", func() bool {
			return errors.Is(js.DeleteStream(t.Context(), objectStream), jetstream.ErrStreamNotFound)
		})
		o := openObjects(t, createNext(t, js), most)
		if got := objectInfo(t, js).Config.Replicas; got != 3 {
			t.Errorf("objects are on %d replicas, want as many as the log", got)
		}
		return o
	})
}

func TestObjectsAreThereAfterARestart(t *testing.T) {
	for name, between := range map[string]func(t *testing.T, dir string){
		"stopped": func(*testing.T, string) {},
		"crashed": forgetIndex,
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			e := embed(t, dir)
			o := openObjects(t, create(t, e.JetStream(), 1), 0)
			sizes := []int{0, 1, objectChunk, 3<<20 + 1}
			for _, size := range sizes {
				eventstoretest.PutObject(t, o, fmt.Sprint("acme/", size), eventstoretest.Content(size))
			}
			eventstoretest.PutObject(t, o, "acme/gone", eventstoretest.Content(objectChunk+1))
			if err := errors.Join(o.Delete(t.Context(), "acme/gone"), e.Close()); err != nil {
				t.Fatal(err)
			}
			between(t, objectFiles(filepath.Join(dir, "nats")))
			o = openObjects(t, open(t, embed(t, dir).JetStream()), 0)
			var names []string
			for _, size := range sizes {
				names = append(names, fmt.Sprint("acme/", size))
				eventstoretest.WantObject(t, o, fmt.Sprint("acme/", size), eventstoretest.Content(size))
			}
			eventstoretest.WantObjects(t, o, names...)
		})
	}
}

// People look at objects with the tools of NATS.
func TestObjectsCanBeReadAsNATSReadsThem(t *testing.T) {
	js := embed(t, t.TempDir()).JetStream()
	o := openObjects(t, create(t, js, 1), 0)
	store, err := js.ObjectStore(t.Context(), "JETON_OBJECTS")
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{0, 1, objectChunk, 2*objectChunk + 5} {
		name, content := fmt.Sprint("acme/", size), eventstoretest.Content(size)
		eventstoretest.PutObject(t, o, name, content)
		if got, err := store.GetBytes(t.Context(), name); err != nil || !bytes.Equal(got, content) {
			t.Errorf("got %d bytes, %v; want %d", len(got), err, size)
		}
	}
	if _, err := store.PutBytes(t.Context(), "acme/1", nil); err == nil {
		t.Error("their tools replaced an object")
	}
	eventstoretest.WantObject(t, o, "acme/1", eventstoretest.Content(1))
}

func TestFullObjectsDoNotTouchTheLog(t *testing.T) {
	js := embed(t, t.TempDir()).JetStream()
	log := create(t, js, 1)
	o := openObjects(t, log, 1<<20)
	for i := range 5 {
		content := bytes.NewReader(eventstoretest.Content(2 << 20))
		if _, err := o.Put(t.Context(), fmt.Sprint("acme/", i), content, math.MaxInt64); !errors.Is(err, eventstore.ErrFull) {
			t.Errorf("got %v, want ErrFull", err)
		}
		eventstoretest.Append(t, log, eventstoretest.Entry("a", "beside"), domain.Position(i))
	}
	if err := log.Healthy(t.Context()); err != nil {
		t.Error(err)
	}
	if got := objectInfo(t, js).State.Msgs; got != 0 {
		t.Errorf("%d messages are left of what had no room", got)
	}
}

// Where the storage of the server is too small for an object, it is full as well.
func TestAServerWithoutRoomIsFull(t *testing.T) {
	s := listen(t, &server.Options{StoreDir: t.TempDir(), JetStreamMaxStore: 2 << 20})
	o := openObjects(t, create(t, dial(t, s.ClientURL()), 1), 0)
	eventstoretest.PutObject(t, o, "acme/small", eventstoretest.Content(objectChunk))
	content := bytes.NewReader(eventstoretest.Content(4 << 20))
	if _, err := o.Put(t.Context(), "acme/large", content, math.MaxInt64); !errors.Is(err, eventstore.ErrFull) {
		t.Errorf("got %v, want ErrFull", err)
	}
	eventstoretest.WantObjects(t, o, "acme/small")
}

// All harms are done to an object of three chunks and a bit.
func TestWhatIsNotWhatWasStoredIsNotReadToItsEnd(t *testing.T) {
	for name, harm := range map[string]func(t *testing.T, js jetstream.JetStream, info *jetstream.ObjectInfo){
		"another content": func(t *testing.T, js jetstream.JetStream, info *jetstream.ObjectInfo) {
			replaceChunks(t, js, info, func(content []byte) []byte { content[2*objectChunk+9] ^= 1; return content })
		},
		"a byte less": func(t *testing.T, js jetstream.JetStream, info *jetstream.ObjectInfo) {
			replaceChunks(t, js, info, func(content []byte) []byte { return content[:len(content)-1] })
		},
		"a byte more": func(t *testing.T, js jetstream.JetStream, info *jetstream.ObjectInfo) {
			replaceChunks(t, js, info, func(content []byte) []byte { return append(content, 0) })
		},
		"no content": func(t *testing.T, js jetstream.JetStream, info *jetstream.ObjectInfo) {
			replaceChunks(t, js, info, func([]byte) []byte { return nil })
		},
		"the end is missing": func(t *testing.T, js jetstream.JetStream, info *jetstream.ObjectInfo) {
			replaceChunks(t, js, info, func(content []byte) []byte { return content[:2*objectChunk] })
		},
		"the beginning is missing": func(t *testing.T, js jetstream.JetStream, info *jetstream.ObjectInfo) {
			purgeObjects(t, js, jetstream.WithPurgeSubject(chunksOf(info)), jetstream.WithPurgeKeep(1))
		},
		"all is missing": func(t *testing.T, js jetstream.JetStream, info *jetstream.ObjectInfo) {
			purgeObjects(t, js, jetstream.WithPurgeSubject(chunksOf(info)))
		},
		"another digest": func(t *testing.T, js jetstream.JetStream, info *jetstream.ObjectInfo) {
			info.Digest = jetstream.GetObjectDigestValue(sha256.New())
			describe(t, js, info)
		},
		"a larger size": func(t *testing.T, js jetstream.JetStream, info *jetstream.ObjectInfo) {
			info.Size++
			describe(t, js, info)
		},
		"a smaller size": func(t *testing.T, js jetstream.JetStream, info *jetstream.ObjectInfo) {
			info.Size--
			describe(t, js, info)
		},
		"said to be empty": func(t *testing.T, js jetstream.JetStream, info *jetstream.ObjectInfo) {
			info.Size = 0
			describe(t, js, info)
		},
		"other chunks": func(t *testing.T, js jetstream.JetStream, info *jetstream.ObjectInfo) {
			info.NUID = "others"
			describe(t, js, info)
		},
	} {
		t.Run(name, func(t *testing.T) {
			js := embed(t, t.TempDir()).JetStream()
			o := openObjects(t, create(t, js, 1), 0)
			content := eventstoretest.Content(3*objectChunk + 9)
			eventstoretest.PutObject(t, o, "acme/whole", eventstoretest.Content(100))
			eventstoretest.PutObject(t, o, "acme/harmed", content)
			harm(t, js, infoOf(t, js, "acme/harmed"))
			d, got, err := eventstoretest.ReadObject(t, o, "acme/harmed")
			if !errors.Is(err, eventstore.ErrCorrupt) || d.Size > 0 && int64(len(got)) >= d.Size {
				t.Errorf("got %d bytes of %d, %v; want fewer and ErrCorrupt", len(got), d.Size, err)
			}
			eventstoretest.WantObject(t, o, "acme/whole", eventstoretest.Content(100))
			if err := o.Delete(t.Context(), "acme/harmed"); err != nil {
				t.Error(err)
			}
			eventstoretest.WantNoObject(t, o, "acme/harmed")
			eventstoretest.PutObject(t, o, "acme/harmed", content)
			eventstoretest.WantObject(t, o, "acme/harmed", content)
		})
	}
}

// What does not describe an object is neither listed nor opened; it can be deleted.
func TestWhatDescribesNoObjectIsCorrupt(t *testing.T) {
	for name, change := range map[string]func(info *jetstream.ObjectInfo){
		"no digest":        func(info *jetstream.ObjectInfo) { info.Digest = "" },
		"a short digest":   func(info *jetstream.ObjectInfo) { info.Digest = "SHA-256=AAAA" },
		"no chunks":        func(info *jetstream.ObjectInfo) { info.NUID = "" },
		"all chunks":       func(info *jetstream.ObjectInfo) { info.NUID = "*" },
		"an infinite size": func(info *jetstream.ObjectInfo) { info.Size = math.MaxUint64 },
		"another name":     func(info *jetstream.ObjectInfo) { info.Name = "acme/other" },
	} {
		t.Run(name, func(t *testing.T) {
			js := embed(t, t.TempDir()).JetStream()
			o := openObjects(t, create(t, js, 1), 0)
			eventstoretest.PutObject(t, o, "acme/a", eventstoretest.Content(1))
			info := infoOf(t, js, "acme/a")
			change(info)
			describeAs(t, js, "acme/a", info)
			if _, _, err := o.Get(t.Context(), "acme/a"); !errors.Is(err, eventstore.ErrCorrupt) {
				t.Errorf("get: got %v, want ErrCorrupt", err)
			}
			err := o.List(t.Context(), func(eventstore.Object) error { return nil })
			if !errors.Is(err, eventstore.ErrCorrupt) {
				t.Errorf("list: got %v, want ErrCorrupt", err)
			}
			if err := o.Delete(t.Context(), "acme/a"); err != nil {
				t.Error(err)
			}
			eventstoretest.WantObjects(t, o)
		})
	}
}

// A chunk's file is damaged while the server is stopped.
func TestADamagedFileOfAnObjectIsNoticed(t *testing.T) {
	for name, c := range map[string]struct {
		harm  func(t *testing.T, dir string)
		crash bool
	}{
		"a flipped bit":               {flipObject, false},
		"a flipped bit after a crash": {flipObject, true},
		"a cut file after a crash":    {cutFile, true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			e := embed(t, dir)
			log := create(t, e.JetStream(), 1)
			eventstoretest.Append(t, log, eventstoretest.Entry("a", "x"), 0)
			o := openObjects(t, log, 0)
			eventstoretest.PutObject(t, o, "acme/a", eventstoretest.Content(3*objectChunk))
			if err := e.Close(); err != nil {
				t.Fatal(err)
			}
			files := objectFiles(filepath.Join(dir, "nats"))
			c.harm(t, files)
			if c.crash {
				forgetIndex(t, files)
			}
			log = open(t, embed(t, dir).JetStream())
			o = openObjects(t, log, 0)
			_, _, err := eventstoretest.ReadObject(t, o, "acme/a")
			if !errors.Is(err, eventstore.ErrCorrupt) && !errors.Is(err, eventstore.ErrNoObject) {
				t.Errorf("got %v, want ErrCorrupt or, if its description is lost, ErrNoObject", err)
			}
			eventstoretest.PutObject(t, o, "acme/b", eventstoretest.Content(objectChunk))
			eventstoretest.WantObject(t, o, "acme/b", eventstoretest.Content(objectChunk))
			eventstoretest.Follow(t, log, eventstore.Head{}).Take(1)
			if err := log.Healthy(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func flipObject(t *testing.T, dir string) {
	change(t, dir, "*.blk", func(b []byte) []byte {
		b[bytes.Index(b, eventstoretest.Content(2 * objectChunk)[objectChunk:objectChunk+64])] ^= 1
		return b
	})
}

func TestAnObjectThatIsDeletedWhileItIsReadIsNotReadToItsEnd(t *testing.T) {
	o := openObjects(t, create(t, embed(t, t.TempDir()).JetStream(), 1), 0)
	for name, then := range map[string]func(){
		"acme/gone":     func() {},
		"acme/replaced": func() { eventstoretest.PutObject(t, o, "acme/replaced", eventstoretest.Content(9)) },
	} {
		eventstoretest.PutObject(t, o, name, eventstoretest.Content(3*objectChunk))
		_, r, err := o.Get(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(r, make([]byte, 10)); err != nil {
			t.Fatal(err)
		}
		if err := o.Delete(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		then()
		if _, err := io.Copy(io.Discard, r); !errors.Is(err, eventstore.ErrNoObject) {
			t.Errorf("%s: got %v, want ErrNoObject", name, err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if n, err := r.Read(make([]byte, 1)); n != 0 || err == nil || errors.Is(err, io.EOF) {
			t.Errorf("read after close: got %d, %v; want an error", n, err)
		}
	}
}

// The connection is lost in the middle of a Put: nobody sees the object, its chunks
// stay, and Sweep removes them and nothing else.
func TestWhatAKilledPutLeavesBehindIsSwept(t *testing.T) {
	far := newFar(t)
	near, distant := openObjects(t, far.near, 0), openObjects(t, far.store, 0)
	far.store.AckWait, far.store.Patience = 200*time.Millisecond, 0
	eventstoretest.PutObject(t, near, "acme/kept", eventstoretest.Content(2*objectChunk))
	cut := &doing{func() { far.proxy.close() }}
	content := io.MultiReader(bytes.NewReader(eventstoretest.Content(3*objectChunk)), cut, bytes.NewReader([]byte("x")))
	if _, err := distant.Put(t.Context(), "acme/killed", content, math.MaxInt64); !errors.Is(err, eventstore.ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
	eventstoretest.WantObjects(t, near, "acme/kept")
	js := dial(t, far.server.ClientURL())
	const kept, left = 4, 3 // messages
	wantMessages(t, js, kept+left)
	if err := near.Sweep(t.Context(), time.Hour); err != nil { // it is younger
		t.Error(err)
	}
	wantMessages(t, js, kept+left)
	near.Stalled = 0
	if err := near.Sweep(t.Context(), 0); err != nil {
		t.Error(err)
	}
	wantMessages(t, js, kept)
	eventstoretest.WantObject(t, near, "acme/kept", eventstoretest.Content(2*objectChunk))
}

func wantMessages(t testing.TB, js jetstream.JetStream, want uint64) {
	t.Helper()
	if got := objectInfo(t, js).State.Msgs; got != want {
		t.Errorf("there are %d messages, want %d", got, want)
	}
}

// doing is content of nothing that does something when it is read.
type doing struct{ do func() }

func (d *doing) Read([]byte) (int, error) {
	d.do()
	return 0, io.EOF
}

func TestWhatMayStillBeWrittenIsNotSwept(t *testing.T) {
	o := openObjects(t, create(t, embed(t, t.TempDir()).JetStream(), 1), 0)
	if err := o.Sweep(t.Context(), 2*o.Stalled-1); err == nil {
		t.Error("got no error for an age at which an object may still be written")
	}
}

// Another node sweeps with an age that is too low: the Put that it hits fails.
func TestAPutThatIsSweptFails(t *testing.T) {
	log := create(t, embed(t, t.TempDir()).JetStream(), 1)
	o, other := openObjects(t, log, 0), openObjects(t, log, 0)
	other.Stalled = 0
	sweep := &doing{func() {
		if err := other.Sweep(t.Context(), 0); err != nil {
			t.Error(err)
		}
	}}
	content := io.MultiReader(bytes.NewReader(eventstoretest.Content(2*objectChunk)), sweep, bytes.NewReader([]byte("x")))
	if _, err := o.Put(t.Context(), "acme/swept", content, math.MaxInt64); !errors.Is(err, eventstore.ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
	eventstoretest.WantObjects(t, o)
}

func TestContentThatGivesNothingForTooLongIsNotKept(t *testing.T) {
	o := openObjects(t, create(t, embed(t, t.TempDir()).JetStream(), 1), 0)
	o.Stalled = time.Nanosecond
	if _, err := o.Put(t.Context(), "acme/slow", strings.NewReader("slow"), math.MaxInt64); !errors.Is(err, eventstore.ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
	eventstoretest.WantObjects(t, o)
}

// Answers get lost while an object is put; what was sent is sent again and taken once.
func TestAPutSurvivesABadNetwork(t *testing.T) {
	for name, at := range map[string]int{"in the middle": 2 * objectChunk, "before its description": 4*objectChunk + 7} {
		t.Run(name, func(t *testing.T) {
			far := newFar(t)
			near, distant := openObjects(t, far.near, 0), openObjects(t, far.store, 0)
			far.store.AckWait = 200 * time.Millisecond
			want := eventstoretest.Content(4*objectChunk + 7)
			deaf := &doing{func() { far.proxy.deaf.Store(true) }}
			content := io.MultiReader(bytes.NewReader(want[:at]), deaf, bytes.NewReader(want[at:]))
			put := make(chan error, 1)
			go func() {
				_, err := distant.Put(t.Context(), "acme/a", content, math.MaxInt64)
				put <- err
			}()
			js := dial(t, far.server.ClientURL())
			chunks := uint64(at/objectChunk + 1)
			await(t, "a chunk whose answer is lost", func() bool { return objectInfo(t, js).State.Msgs == chunks })
			far.proxy.deaf.Store(false)
			if err := <-put; err != nil {
				t.Fatal(err)
			}
			eventstoretest.WantObject(t, near, "acme/a", want)
			wantMessages(t, js, 6)
		})
	}
}

// Nobody answers to the description: it may still come, so its chunks stay.
func TestAPutWithoutAnAnswerIsUnknown(t *testing.T) {
	s := listen(t, &server.Options{StoreDir: t.TempDir(), Users: []*server.User{{Username: "jeton", Password: "p", Permissions: &server.Permissions{
		Publish: &server.SubjectPermission{Deny: []string{"$O.JETON_OBJECTS.M.>"}},
	}}}})
	js := dial(t, strings.Replace(s.ClientURL(), "//", "//jeton:p@", 1))
	log := create(t, js, 1)
	o := openObjects(t, log, 0)
	log.AckWait, log.Patience = time.Second, 0
	content := bytes.NewReader(eventstoretest.Content(objectChunk))
	if _, err := o.Put(t.Context(), "acme/a", content, math.MaxInt64); !errors.Is(err, eventstore.ErrUnknown) {
		t.Errorf("got %v, want ErrUnknown", err)
	}
	eventstoretest.WantNoObject(t, o, "acme/a")
	wantMessages(t, js, 2)
}

func TestWithoutAStreamNothingIsKept(t *testing.T) {
	js := embed(t, t.TempDir()).JetStream()
	log := create(t, js, 1)
	o := openObjects(t, log, 0)
	log.AckWait = time.Second
	if err := js.DeleteStream(t.Context(), objectStream); err != nil {
		t.Fatal(err)
	}
	wantUnavailable(t, o)
	await(t, "new objects", func() bool { // the server may not have put away the old ones
		again, err := eventstore.OpenObjects(t.Context(), log, 0)
		if err == nil {
			o = again
		}
		return err == nil
	})
	eventstoretest.PutObject(t, o, "acme/new", eventstoretest.Content(1))
	eventstoretest.WantObjects(t, o, "acme/new")
}

func TestWithoutAServerNothingIsKept(t *testing.T) {
	e := embed(t, t.TempDir())
	o := openObjects(t, create(t, e.JetStream(), 1), 0)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	wantUnavailable(t, o)
}

func wantUnavailable(t *testing.T, o *eventstore.JetStreamObjects) {
	t.Helper()
	o.Stalled = 0
	for what, do := range map[string]func() error{
		"put":    func() error { _, err := o.Put(t.Context(), "acme/a", strings.NewReader("x"), 1); return err },
		"get":    func() error { _, _, err := o.Get(t.Context(), "acme/a"); return err },
		"delete": func() error { return o.Delete(t.Context(), "acme/a") },
		"list":   func() error { return o.List(t.Context(), func(eventstore.Object) error { return nil }) },
		"sweep":  func() error { return o.Sweep(t.Context(), 0) },
	} {
		if err := do(); !errors.Is(err, eventstore.ErrUnavailable) {
			t.Errorf("%s: got %v, want ErrUnavailable", what, err)
		}
	}
}

func TestObjectsConfiguredAnotherWayAreNotOpened(t *testing.T) {
	for name, drift := range map[string]func(*jetstream.StreamConfig){
		"discard":      func(c *jetstream.StreamConfig) { c.Discard = jetstream.DiscardOld },
		"max_age":      func(c *jetstream.StreamConfig) { c.MaxAge = time.Hour },
		"allow_direct": func(c *jetstream.StreamConfig) { c.AllowDirect = true },
		"metadata":     func(c *jetstream.StreamConfig) { c.Metadata["schema"] = "2" },
	} {
		t.Run(name, func(t *testing.T) {
			js := embed(t, t.TempDir()).JetStream()
			log := create(t, js, 1)
			openObjects(t, log, 0)
			limitObjects(t, js, drift)
			if _, err := eventstore.OpenObjects(t.Context(), log, 0); err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("got %v, want an error that names %s", err, name)
			}
		})
	}
}

func TestHowMuchObjectsKeepIsForOperatorsToSay(t *testing.T) {
	js := embed(t, t.TempDir()).JetStream()
	log := create(t, js, 1)
	openObjects(t, log, 3<<20)
	if got := objectInfo(t, js).Config.MaxBytes; got != 3<<20 {
		t.Errorf("made for %d bytes, want 3 MiB", got)
	}
	limitObjects(t, js, func(c *jetstream.StreamConfig) { c.MaxBytes = 1 << 20 })
	openObjects(t, log, 3<<20)
	if got := objectInfo(t, js).Config.MaxBytes; got != 1<<20 {
		t.Errorf("opened, it keeps %d bytes", got)
	}
}

func TestObjectsThatCannotBeMadeSayWhatItTakes(t *testing.T) {
	const may = "$JS.API.STREAM.CREATE." + objectStream
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
			_, err := eventstore.OpenObjects(t.Context(), log, 5<<20)
			if err == nil || !strings.Contains(err.Error(), may) || !strings.Contains(err.Error(), "5 MiB") {
				t.Errorf("got %v, want an error that names %s and the storage", err, may)
			}
		})
	}
}

// limitObjects is what operators may do.
func limitObjects(t testing.TB, js jetstream.JetStream, change func(*jetstream.StreamConfig)) {
	t.Helper()
	config := objectInfo(t, js).Config
	change(&config)
	if _, err := js.UpdateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
}

func infoOf(t testing.TB, js jetstream.JetStream, name string) *jetstream.ObjectInfo {
	t.Helper()
	store, err := js.ObjectStore(t.Context(), "JETON_OBJECTS")
	if err != nil {
		t.Fatal(err)
	}
	info, err := store.GetInfo(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func chunksOf(info *jetstream.ObjectInfo) string { return "$O.JETON_OBJECTS.C." + info.NUID }

// replaceChunks writes the chunks of an object again, changed.
func replaceChunks(t *testing.T, js jetstream.JetStream, info *jetstream.ObjectInfo, change func([]byte) []byte) {
	t.Helper()
	content := change(eventstoretest.Content(int(info.Size)))
	purgeObjects(t, js, jetstream.WithPurgeSubject(chunksOf(info)))
	for end := false; !end; {
		n := min(len(content), objectChunk)
		if _, err := js.Publish(t.Context(), chunksOf(info), content[:n]); err != nil {
			t.Fatal(err)
		}
		content, end = content[n:], n < objectChunk
	}
}

func describe(t *testing.T, js jetstream.JetStream, info *jetstream.ObjectInfo) {
	t.Helper()
	describeAs(t, js, info.Name, info)
}

// describeAs replaces what describes an object.
func describeAs(t *testing.T, js jetstream.JetStream, name string, info *jetstream.ObjectInfo) {
	t.Helper()
	subject := "$O.JETON_OBJECTS.M." + base64.URLEncoding.EncodeToString([]byte(name))
	purgeObjects(t, js, jetstream.WithPurgeSubject(subject))
	text, err := json.Marshal(info)
	if err == nil {
		_, err = js.Publish(t.Context(), subject, text)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func purgeObjects(t testing.TB, js jetstream.JetStream, opts ...jetstream.StreamPurgeOpt) {
	t.Helper()
	s, err := js.Stream(t.Context(), objectStream)
	if err == nil {
		err = s.Purge(t.Context(), opts...)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func objectInfo(t testing.TB, js jetstream.JetStream) *jetstream.StreamInfo {
	t.Helper()
	s, err := js.Stream(t.Context(), objectStream)
	if err != nil {
		t.Fatal(err)
	}
	return s.CachedInfo()
}

func openObjects(t testing.TB, log *eventstore.JetStream, most int64) *eventstore.JetStreamObjects {
	t.Helper()
	log.AckWait = patience // megabytes take their time
	o, err := eventstore.OpenObjects(t.Context(), log, most)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// objectFiles is where a server has the stream.
func objectFiles(storeDir string) string {
	return filepath.Join(storeDir, "jetstream", "$G", "streams", objectStream)
}
