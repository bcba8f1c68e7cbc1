package eventstoretest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"jeton/domain"
	"jeton/eventstore"
)

// RunObjects checks all that eventstore.Objects promises, each time on empty ones
// from open, which have room for so many bytes; 0 for no limit.
func RunObjects(t *testing.T, open func(t *testing.T, most int64) eventstore.Objects) {
	for _, p := range objectPromises {
		t.Run(p.name, func(t *testing.T) { p.check(t, open(t, p.most)) })
	}
}

var objectPromises = []struct {
	name  string
	most  int64
	check func(*testing.T, eventstore.Objects)
}{
	{"what is put is what is got", 0, whatIsPutIsGot},
	{"content may come in small parts", 0, smallParts},
	{"content that is too large is refused", 0, tooLargeContent},
	{"content that breaks off leaves nothing", 0, brokenContent},
	{"a put that nobody wants any more leaves nothing", 0, cancelledPut},
	{"a name that is taken is refused", 0, takenName},
	{"of many who put one name at once one wins", 0, onePutWins},
	{"an object without a proper name is refused", 0, improperName},
	{"what is not there is not got", 0, notThere},
	{"what is deleted is gone, and its name free", 0, deletedIsGone},
	{"reading ends when nobody wants it any more", 0, cancelledRead},
	{"the list has every object once", 0, listed},
	{"the list ends with the error of who asked", 0, listEndsWithError},
	{"without room nothing is kept until others are deleted", roomForTwo, fullIsRefused},
}

// chunk is in how large parts objects travel.
const chunk = eventstore.MaxReport

func whatIsPutIsGot(t *testing.T, o eventstore.Objects) {
	for _, size := range []int{0, 1, chunk - 1, chunk, chunk + 1, 2 * chunk, 5<<20 + 321} {
		name, content := fmt.Sprint("acme/", size), Content(size)
		before := time.Now()
		put, err := o.Put(t.Context(), name, bytes.NewReader(content), int64(size))
		if err != nil {
			t.Fatalf("put %d bytes: %v", size, err)
		}
		if put.Kept.Before(before.Add(-time.Second)) || put.Kept.After(time.Now().Add(time.Second)) {
			t.Errorf("kept at %v, want about %v", put.Kept, before)
		}
		put.Kept = time.Time{}
		want := eventstore.Object{Name: name, Digest: domain.Hash(sha256.Sum256(content)), Size: int64(size)}
		if put != want {
			t.Errorf("put %v, want %v", put, want)
		}
		WantObject(t, o, name, content)
	}
}

func smallParts(t *testing.T, o eventstore.Objects) {
	content := Content(chunk + 7)
	if _, err := o.Put(t.Context(), "acme/small", iotest.DataErrReader(&dribble{bytes.Clone(content), 1000}), math.MaxInt64); err != nil {
		t.Fatal(err)
	}
	_, r, err := o.Get(t.Context(), "acme/small")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := iotest.TestReader(r, content); err != nil {
		t.Error(err)
	}
}

// dribble gives little at a time.
type dribble struct {
	rest []byte
	most int
}

func (d *dribble) Read(p []byte) (int, error) {
	if len(d.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), d.most)], d.rest)
	d.rest = d.rest[n:]
	return n, nil
}

func tooLargeContent(t *testing.T, o eventstore.Objects) {
	for _, most := range []int64{0, 1, chunk - 1, chunk, 2*chunk + 5} {
		content := io.LimitReader(&forever{}, most+1)
		if _, err := o.Put(t.Context(), "acme/large", content, most); !errors.Is(err, eventstore.ErrTooLarge) {
			t.Errorf("%d bytes where %d may be: got %v, want ErrTooLarge", most+1, most, err)
		}
		WantNoObject(t, o, "acme/large")
	}
	endless := new(forever)
	if _, err := o.Put(t.Context(), "acme/large", endless, chunk); !errors.Is(err, eventstore.ErrTooLarge) || endless.given > 3*chunk {
		t.Errorf("content without end: got %v after %d bytes, want ErrTooLarge soon", err, endless.given)
	}
	WantObjects(t, o)
}

// forever is content without end.
type forever struct{ given int }

func (f *forever) Read(p []byte) (int, error) {
	f.given += len(p)
	return len(p), nil
}

// A request that is cut off ends with io.ErrUnexpectedEOF.
func brokenContent(t *testing.T, o eventstore.Objects) {
	for _, broken := range []error{errors.New("broken"), io.ErrUnexpectedEOF} {
		for _, size := range []int{0, 10, chunk, 2*chunk + 10} {
			content := io.MultiReader(bytes.NewReader(Content(size)), iotest.ErrReader(broken))
			if _, err := o.Put(t.Context(), "acme/broken", content, math.MaxInt64); !errors.Is(err, broken) {
				t.Errorf("after %d bytes: got %v, want %v", size, err, broken)
			}
			WantNoObject(t, o, "acme/broken")
		}
	}
	WantObjects(t, o)
	PutObject(t, o, "acme/broken", Content(3))
}

func cancelledPut(t *testing.T, o eventstore.Objects) {
	for _, size := range []int{0, 2 * chunk} {
		ctx, cancel := context.WithCancel(t.Context())
		content := io.MultiReader(bytes.NewReader(Content(size)), &doing{cancel}, bytes.NewReader(Content(chunk)))
		if _, err := o.Put(ctx, "acme/cancelled", content, math.MaxInt64); !errors.Is(err, context.Canceled) {
			t.Errorf("after %d bytes: got %v, want %v", size, err, context.Canceled)
		}
		WantNoObject(t, o, "acme/cancelled")
	}
	WantObjects(t, o)
}

// doing is content of nothing that does something when it is read.
type doing struct{ do func() }

func (d *doing) Read([]byte) (int, error) {
	d.do()
	return 0, io.EOF
}

func takenName(t *testing.T, o eventstore.Objects) {
	first := Content(chunk + 1)
	PutObject(t, o, "acme/taken", first)
	content := new(forever)
	if _, err := o.Put(t.Context(), "acme/taken", content, chunk); !errors.Is(err, eventstore.ErrConflict) {
		t.Errorf("got %v, want ErrConflict", err)
	}
	if content.given > 0 {
		t.Errorf("%d bytes were read in vain", content.given)
	}
	WantObject(t, o, "acme/taken", first)
	PutObject(t, o, "other/taken", Content(2)) // a neighbour's is another
	PutObject(t, o, "acme/take", Content(3))
	WantObject(t, o, "acme/taken", first)
}

func onePutWins(t *testing.T, o eventstore.Objects) {
	const rounds, nodes = 3, 5
	for round := range rounds {
		name := fmt.Sprint("acme/", round)
		var winner atomic.Int64
		var ready atomic.Int64
		all := make(chan struct{})
		err := everybody(nodes, func(node int) error {
			content := io.MultiReader(&doing{func() { // all have seen that the name is free
				if ready.Add(1) == nodes {
					close(all)
				}
				<-all
			}}, bytes.NewReader(Content(chunk+node)))
			_, err := o.Put(t.Context(), name, content, math.MaxInt64)
			switch {
			case err == nil && winner.Swap(int64(chunk+node)) != 0:
				return errors.New("another one won already")
			case errors.Is(err, eventstore.ErrConflict):
				return nil
			}
			return err
		})
		if err != nil {
			t.Errorf("round %d: %v", round, err)
		}
		WantObject(t, o, name, Content(int(winner.Load())))
	}
}

var improperNames = []string{
	"", "acme", "acme/", "/a", "acme/a/b", "acme//a", "acme/a b", "acme/..", "acme/*", "acme/>", "acme.a/b", "acme/a\r\n", "acme/ä",
	"acme/" + strings.Repeat("x", eventstore.MaxObjectName),
}

func improperName(t *testing.T, o eventstore.Objects) {
	for _, name := range improperNames {
		if _, err := o.Put(t.Context(), name, strings.NewReader("x"), 1); err == nil {
			t.Errorf("put %q: got no error", name)
		}
		if _, _, err := o.Get(t.Context(), name); err == nil {
			t.Errorf("get %q: got no error", name)
		}
		if err := o.Delete(t.Context(), name); err == nil {
			t.Errorf("delete %q: got no error", name)
		}
	}
	WantObjects(t, o)
	longest := "acme/" + strings.Repeat("x", eventstore.MaxObjectName-5)
	PutObject(t, o, longest, Content(1))
	WantObject(t, o, longest, Content(1))
}

func notThere(t *testing.T, o eventstore.Objects) {
	PutObject(t, o, "acme/there", Content(1))
	for _, name := range []string{"acme/other", "other/there", "ACME/there"} {
		WantNoObject(t, o, name)
	}
	if err := o.Delete(t.Context(), "other/there"); err != nil {
		t.Errorf("delete what is not there: %v", err)
	}
	WantObject(t, o, "acme/there", Content(1))
}

func deletedIsGone(t *testing.T, o eventstore.Objects) {
	PutObject(t, o, "acme/stays", Content(10))
	for _, size := range []int{0, 20, chunk + 1} {
		PutObject(t, o, "acme/goes", Content(size))
		for range 2 {
			if err := o.Delete(t.Context(), "acme/goes"); err != nil {
				t.Errorf("delete %d bytes: %v", size, err)
			}
			WantNoObject(t, o, "acme/goes")
		}
	}
	WantObjects(t, o, "acme/stays")
	WantObject(t, o, "acme/stays", Content(10))
}

func cancelledRead(t *testing.T, o eventstore.Objects) {
	PutObject(t, o, "acme/a", Content(3*chunk))
	ctx, cancel := context.WithCancel(t.Context())
	_, r, err := o.Get(ctx, "acme/a")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := io.ReadFull(r, make([]byte, chunk/2)); err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := io.Copy(io.Discard, r); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	if _, _, err := o.Get(ctx, "acme/a"); !errors.Is(err, context.Canceled) {
		t.Errorf("get: got %v, want %v", err, context.Canceled)
	}
	if err := o.Delete(ctx, "acme/a"); !errors.Is(err, context.Canceled) {
		t.Errorf("delete: got %v, want %v", err, context.Canceled)
	}
	WantObjects(t, o, "acme/a")
}

func listed(t *testing.T, o eventstore.Objects) {
	WantObjects(t, o)
	want := map[eventstore.Object]bool{}
	for i := range 9 {
		name := fmt.Sprintf("org-%d/report_%d", i%3, i)
		PutObject(t, o, name, Content(i*100<<10))
		d, r, err := o.Get(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		_ = r.Close()
		want[d] = true
	}
	got := map[eventstore.Object]bool{}
	err := o.List(t.Context(), func(d eventstore.Object) error {
		if got[d] {
			t.Errorf("%s is listed twice", d.Name)
		}
		got[d] = true
		return nil
	})
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
	err = o.List(t.Context(), func(d eventstore.Object) error { return o.Delete(t.Context(), d.Name) })
	if err != nil {
		t.Errorf("delete what is listed: %v", err)
	}
	WantObjects(t, o)
}

func listEndsWithError(t *testing.T, o eventstore.Objects) {
	PutObject(t, o, "acme/a", nil)
	PutObject(t, o, "acme/b", nil)
	want, calls := errors.New("enough"), 0
	err := o.List(t.Context(), func(eventstore.Object) error { calls++; return want })
	if err != want || calls != 1 { //nolint:errorlint // as it is, not wrapped
		t.Errorf("got %v after %d calls, want %v after one", err, calls, want)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := o.List(ctx, func(eventstore.Object) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

// roomForTwo has room for two objects of a mebibyte, whatever they have besides
// their content, and for none of two more.
const roomForTwo = 2<<20 + 512<<10

func fullIsRefused(t *testing.T, o eventstore.Objects) {
	content := Content(1 << 20)
	PutObject(t, o, "acme/1", content)
	for _, size := range []int{2 << 20, 3 << 20} {
		_, err := o.Put(t.Context(), "acme/2", bytes.NewReader(Content(size)), math.MaxInt64)
		if !errors.Is(err, eventstore.ErrFull) || !errors.Is(err, eventstore.ErrUnavailable) {
			t.Errorf("%d bytes: got %v, want ErrFull and ErrUnavailable", size, err)
		}
		WantNoObject(t, o, "acme/2")
	}
	WantObjects(t, o, "acme/1")
	PutObject(t, o, "acme/2", content) // what had no room takes none
	WantObject(t, o, "acme/1", content)
	for _, name := range []string{"acme/1", "acme/2"} {
		if err := o.Delete(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	PutObject(t, o, "acme/3", Content(2<<20))
}

// Content is the first size bytes of a content in which no part repeats another.
func Content(size int) []byte {
	content := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(content)
	return content
}

// PutObject puts or ends the test.
func PutObject(t testing.TB, o eventstore.Objects, name string, content []byte) {
	t.Helper()
	if _, err := o.Put(t.Context(), name, bytes.NewReader(content), int64(len(content))); err != nil {
		t.Fatalf("put %s: %v", name, err)
	}
}

// ReadObject reads an object to its end.
func ReadObject(t testing.TB, o eventstore.Objects, name string) (eventstore.Object, []byte, error) {
	t.Helper()
	d, r, err := o.Get(t.Context(), name)
	if err != nil {
		return d, nil, err
	}
	content, err := io.ReadAll(r)
	if err := r.Close(); err != nil {
		t.Errorf("close %s: %v", name, err)
	}
	return d, content, err
}

// WantObject checks the content of an object and what is said of it.
func WantObject(t testing.TB, o eventstore.Objects, name string, content []byte) {
	t.Helper()
	d, got, err := ReadObject(t, o, name)
	if err != nil || !bytes.Equal(got, content) {
		t.Errorf("got %d bytes of %s, %v; want its %d", len(got), name, err, len(content))
	}
	if d.Name != name || d.Size != int64(len(content)) || d.Digest != domain.Hash(sha256.Sum256(content)) {
		t.Errorf("%s is said to be %v", name, d)
	}
}

// WantNoObject checks that nothing has a name.
func WantNoObject(t testing.TB, o eventstore.Objects, name string) {
	t.Helper()
	if _, _, err := o.Get(t.Context(), name); !errors.Is(err, eventstore.ErrNoObject) {
		t.Errorf("get %s: got %v, want ErrNoObject", name, err)
	}
}

// WantObjects checks that those are all.
func WantObjects(t testing.TB, o eventstore.Objects, names ...string) {
	t.Helper()
	want, got := map[string]bool{}, map[string]bool{}
	for _, name := range names {
		want[name] = true
	}
	err := o.List(t.Context(), func(d eventstore.Object) error { got[d.Name] = true; return nil })
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("got the objects %v, %v; want %v", got, err, want)
	}
}
