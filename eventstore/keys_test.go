package eventstore_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"jeton/eventstore"
	"jeton/eventstore/eventstoretest"
)

const keyStream = "JETON_KEYS"

func TestKeysInMemory(t *testing.T) {
	eventstoretest.RunKeys(t, func(*testing.T) eventstore.Keys { return new(eventstore.MemoryKeys) })
}

func TestKeysEmbedded(t *testing.T) {
	eventstoretest.RunKeys(t, func(t *testing.T) eventstore.Keys {
		return openKeys(t, create(t, embed(t, t.TempDir()).JetStream(), 1))
	})
}

func TestKeysOverTheNetwork(t *testing.T) {
	eventstoretest.RunKeys(t, func(t *testing.T) eventstore.Keys {
		s := listen(t, &server.Options{StoreDir: t.TempDir()})
		return openKeys(t, create(t, dial(t, s.ClientURL()), 1))
	})
}

func TestKeysOnThreeReplicas(t *testing.T) {
	servers := cluster(t)
	eventstoretest.RunKeys(t, func(t *testing.T) eventstore.Keys {
		js := dial(t, servers[1].ClientURL())
		await(t, "the end of the keys before", func() bool {
			return errors.Is(js.DeleteStream(t.Context(), keyStream), jetstream.ErrStreamNotFound)
		})
		return openKeys(t, createNext(t, js))
	})
}

func openKeys(t testing.TB, s *eventstore.JetStream) *eventstore.JetStreamKeys {
	t.Helper()
	k, err := eventstore.OpenKeys(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// A key that was deleted or replaced is in no file any more, and after a restart it is
// as it was.
func TestDeletedKeysAreOverwritten(t *testing.T) {
	dir := t.TempDir()
	e := embed(t, dir)
	k := openKeys(t, create(t, e.JetStream(), 1))
	texts := map[string]string{"gone": "the-key-that-is-gone", "old": "the-key-as-it-was", "new": "the-key-as-it-is", "stays": "the-key-that-stays"}
	err := errors.Join(
		k.Put(t.Context(), "ann", []byte(texts["gone"])),
		k.Put(t.Context(), "bob", []byte(texts["old"])),
		k.Put(t.Context(), "eve", []byte(texts["stays"])),
	)
	if err != nil {
		t.Fatal(err)
	}
	for what, want := range map[string]bool{"gone": true, "old": true, "new": false, "stays": true} {
		if got := inFiles(t, dir, texts[what]); got != want {
			t.Errorf("before: %s is in the files: %v", what, got)
		}
	}
	err = errors.Join(k.Delete(t.Context(), "ann"), k.Replace(t.Context(), "bob", []byte(texts["old"]), []byte(texts["new"])))
	if err := errors.Join(err, e.Close()); err != nil {
		t.Fatal(err)
	}
	for what, want := range map[string]bool{"gone": false, "old": false, "new": true, "stays": true} {
		if got := inFiles(t, dir, texts[what]); got != want {
			t.Errorf("after: %s is in the files: %v", what, got)
		}
	}
	k = openKeys(t, open(t, embed(t, dir).JetStream()))
	if got, err := k.Get(t.Context(), "bob"); err != nil || string(got) != texts["new"] {
		t.Errorf("after a restart bob's is %q (%v)", got, err)
	}
	if _, err := k.Get(t.Context(), "ann"); !errors.Is(err, eventstore.ErrNoKey) {
		t.Errorf("after a restart ann's: %v", err)
	}
}

// inFiles searches every file of a directory, also for the text in base64.
func inFiles(t testing.TB, dir, text string) (found bool) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		found = found || bytes.Contains(data, []byte(text)) || bytes.Contains(data, []byte(base64.StdEncoding.EncodeToString([]byte(text))))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// A stream of that name that is something else is not written into.
func TestKeysRefuseAnotherStream(t *testing.T) {
	js := embed(t, t.TempDir()).JetStream()
	s := create(t, js, 1)
	config := jetstream.StreamConfig{Name: keyStream, Subjects: []string{"jeton-keys.*"}, MaxMsgsPerSubject: 1}
	if _, err := js.CreateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	if _, err := eventstore.OpenKeys(t.Context(), s); err == nil || !strings.Contains(err.Error(), "max_msgs_per_subject") {
		t.Errorf("opened: %v", err)
	}
}
