package eventstore_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"jeton/domain"
	"jeton/eventstore"
	"jeton/eventstore/eventstoretest"
)

// salvaged reads the files of a log.
func salvaged(t *testing.T, dir string) *eventstore.Files {
	t.Helper()
	files, err := eventstore.ReadFiles(eventstore.LogFiles(dir))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func at(t *testing.T, c eventstore.Copy, p domain.Position) (string, bool) {
	t.Helper()
	e, there, err := c.At(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	return string(e.Data), there
}

func TestFilesAreReadWithoutAServer(t *testing.T) {
	for name, harm := range map[string]func(t *testing.T, dir string){
		"as they are":      func(*testing.T, string) {},
		"without an index": forgetIndex,
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			fill(t, dir, 20)
			harm(t, dir)
			files := salvaged(t, dir)
			if len(files.Faults) > 0 || files.Last() != 20 || files.StoreID == "" {
				t.Errorf("got %v, %d commits, log %q", files.Faults, files.Last(), files.StoreID)
			}
			for p := domain.Position(1); p <= 20; p++ {
				if got, there := at(t, files, p); !there || got != commit(int(p)) {
					t.Errorf("at %d: got %q, %t", p, got, there)
				}
			}
		})
	}
}

// Damage costs the commit it is in and no other.
func TestFilesAreReadAroundDamage(t *testing.T) {
	for name, c := range map[string]struct {
		harm func([]byte) []byte
		lost []domain.Position
	}{
		"a flipped bit in the payload": {func(b []byte) []byte { b[bytes.Index(b, []byte(commit(3)))] ^= 1; return b }, []domain.Position{3}},
		"a flipped bit in the subject": {func(b []byte) []byte { b[bytes.Index(b, []byte("jeton.0."))+2] ^= 1; return b }, []domain.Position{1}},
		"a flipped bit in the length":  {func(b []byte) []byte { b[1] ^= 1; return b }, []domain.Position{1}},
		"zeros": {func(b []byte) []byte {
			third := bytes.Index(b, []byte(commit(3)))
			clear(b[third : third+8])
			return b
		}, []domain.Position{3}},
		"cut":           {func(b []byte) []byte { return b[:len(b)-3] }, []domain.Position{5}},
		"bytes between": {func(b []byte) []byte { return append([]byte("jeton.0.garbage"), b...) }, nil},
		"all twice":     {func(b []byte) []byte { return append(b, b...) }, nil},
		"nothing":       {func([]byte) []byte { return nil }, []domain.Position{1, 2, 3, 4, 5}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			fill(t, dir, 5)
			change(t, dir, "*.blk", c.harm)
			files := salvaged(t, dir)
			if len(files.Faults) == 0 || files.Last() != 5 {
				t.Errorf("got faults %v, and %d commits", files.Faults, files.Last())
			}
			var lost []domain.Position
			for p := domain.Position(1); p <= 5; p++ {
				if got, there := at(t, files, p); !there {
					lost = append(lost, p)
				} else if got != commit(int(p)) {
					t.Errorf("at %d: got %q", p, got)
				}
			}
			if fmt.Sprint(lost) != fmt.Sprint(c.lost) {
				t.Errorf("lost %v, want %v; faults: %v", lost, c.lost, files.Faults)
			}
		})
	}
}

// Whatever is in the files, reading them ends, and what comes out is what was written.
func TestFilesOfAnyBytesAreRead(t *testing.T) {
	dir := t.TempDir()
	fill(t, dir, 30)
	block := find(t, dir, "*.blk")
	whole, err := os.ReadFile(block)
	if err != nil {
		t.Fatal(err)
	}
	for range 300 {
		b := bytes.Clone(whole)
		for range 1 + rand.IntN(20) {
			b[rand.IntN(len(b))] = byte(rand.Int())
		}
		if err := os.WriteFile(block, b, 0o600); err != nil {
			t.Fatal(err)
		}
		files := salvaged(t, dir)
		for p := domain.Position(1); p <= 30; p++ {
			if got, there := at(t, files, p); there && got != commit(int(p)) {
				t.Fatalf("at %d: got %q", p, got)
			}
		}
	}
}

func TestAFolderThatIsNotThere(t *testing.T) {
	files := salvaged(t, filepath.Join(t.TempDir(), "none"))
	if files.Last() != 0 || len(files.Faults) == 0 || files.StoreID != "" {
		t.Errorf("got %+v", files)
	}
}

// A log that is being restored is opened by nobody until it is finished, and can be gone
// on with.
func TestAnUnfinishedLogIsNotOpened(t *testing.T) {
	js := embed(t, t.TempDir()).JetStream()
	o := newOriginal(t, 50)
	records := eventstoretest.Follow(t, &o.Memory, eventstore.Head{}).Take(50)
	for _, most := range []int{20, 50} {
		u, err := eventstore.CreateUnfinished(t.Context(), js, 1)
		if err != nil {
			t.Fatal(err)
		}
		hasty(u.JetStream)
		for _, r := range records[:most] {
			if err := u.Add(t.Context(), r); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := eventstore.Open(t.Context(), js); !errors.Is(err, eventstore.ErrUnfinished) {
			t.Errorf("got %v, want ErrUnfinished", err)
		}
		if _, err := eventstore.Create(t.Context(), js, 1); !errors.Is(err, eventstore.ErrLogExists) {
			t.Errorf("got %v, want ErrLogExists", err)
		}
		if most < 50 {
			if err := u.Prove(t.Context(), o.head); err == nil {
				t.Error("20 commits were proven to be 50")
			}
			continue
		}
		if err := u.Prove(t.Context(), o.head); err != nil {
			t.Fatal(err)
		}
		if err := u.Finish(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	s, err := eventstore.Open(t.Context(), js)
	if err != nil {
		t.Fatal(err)
	}
	if got := eventstoretest.Follow(t, s, eventstore.Head{}).Take(50)[49].Head(); got != o.head {
		t.Errorf("got %v, want %v", got, o.head)
	}
	if _, err := eventstore.CreateUnfinished(t.Context(), js, 1); !errors.Is(err, eventstore.ErrLogExists) {
		t.Errorf("got %v, want ErrLogExists", err)
	}
}

func TestAnotherLogIsNotGoneOnWith(t *testing.T) {
	js := embed(t, t.TempDir()).JetStream()
	for i, want := range []error{nil, eventstore.ErrConflict} {
		u, err := eventstore.CreateUnfinished(t.Context(), js, 1)
		if err != nil {
			t.Fatal(err)
		}
		hasty(u.JetStream)
		r := eventstore.Head{}.Next(eventstoretest.Entry("a", fmt.Sprint(i)))
		if err := u.Add(t.Context(), r); !errors.Is(err, want) {
			t.Errorf("%d: got %v, want %v", i, err, want)
		}
	}
}
