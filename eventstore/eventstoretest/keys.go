package eventstoretest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"jeton/eventstore"
)

// RunKeys checks all that eventstore.Keys promises, each time on empty ones from open.
func RunKeys(t *testing.T, open func(*testing.T) eventstore.Keys) {
	for _, p := range keyPromises {
		t.Run(p.name, func(t *testing.T) { p.check(t, open(t)) })
	}
}

var keyPromises = []struct {
	name  string
	check func(*testing.T, eventstore.Keys)
}{
	{"what is put is what is got", putIsGot},
	{"a name has one key", oneKeyPerName},
	{"of many who put one name at once one wins", oneKeyWins},
	{"a key is replaced by who knows it", replacedByWhoKnows},
	{"what is deleted is gone for ever", deletedKeyIsGone},
	{"a key without a proper name is refused", improperKeyName},
	{"all keys are handed out, each as it is now", allKeys},
	{"the list ends with the error of who asked", keysEndWithError},
	{"nothing is done for who has gone", keysForNobody},
}

func wrapped(text string) []byte { return []byte("wrapped " + text) }

func putKey(t *testing.T, k eventstore.Keys, name, text string) {
	t.Helper()
	if err := k.Put(t.Context(), name, wrapped(text)); err != nil {
		t.Fatalf("put %s: %v", name, err)
	}
}

func wantKey(t *testing.T, k eventstore.Keys, name, text string) {
	t.Helper()
	if got, err := k.Get(t.Context(), name); err != nil || !bytes.Equal(got, wrapped(text)) {
		t.Errorf("%s is %q (%v), want %q", name, got, err, wrapped(text))
	}
}

func wantNoKey(t *testing.T, k eventstore.Keys, name string) {
	t.Helper()
	if got, err := k.Get(t.Context(), name); !errors.Is(err, eventstore.ErrNoKey) {
		t.Errorf("%s is %q, %v; want ErrNoKey", name, got, err)
	}
}

func putIsGot(t *testing.T, k eventstore.Keys) {
	wantNoKey(t, k, "ann")
	for _, name := range []string{"ann", "account-0123456789abcdef", "A_1", strings.Repeat("x", eventstore.MaxKeyName)} {
		putKey(t, k, name, name)
		wantKey(t, k, name, name)
	}
	wantNoKey(t, k, "an")
}

func oneKeyPerName(t *testing.T, k eventstore.Keys) {
	putKey(t, k, "ann", "1")
	for _, again := range []string{"1", "2"} {
		err := k.Put(t.Context(), "ann", wrapped(again))
		if again == "2" && !errors.Is(err, eventstore.ErrKeyExists) {
			t.Errorf("put again: %v, want ErrKeyExists", err)
		}
	}
	wantKey(t, k, "ann", "1")
}

func oneKeyWins(t *testing.T, k eventstore.Keys) {
	var won atomic.Int64
	var all sync.WaitGroup
	for i := range int64(8) {
		all.Go(func() {
			switch err := k.Put(t.Context(), "ann", wrapped(fmt.Sprint(i))); {
			case err == nil && !won.CompareAndSwap(0, i+1):
				t.Error("two have won")
			case err != nil && !errors.Is(err, eventstore.ErrKeyExists):
				t.Errorf("who has lost is told %v", err)
			}
		})
	}
	all.Wait()
	wantKey(t, k, "ann", fmt.Sprint(won.Load()-1))
}

func replacedByWhoKnows(t *testing.T, k eventstore.Keys) {
	if err := k.Replace(t.Context(), "ann", wrapped("1"), wrapped("2")); !errors.Is(err, eventstore.ErrConflict) {
		t.Errorf("replace nothing: %v, want ErrConflict", err)
	}
	wantNoKey(t, k, "ann")
	putKey(t, k, "ann", "1")
	if err := k.Replace(t.Context(), "ann", wrapped("0"), wrapped("2")); !errors.Is(err, eventstore.ErrConflict) {
		t.Errorf("replace another: %v, want ErrConflict", err)
	}
	wantKey(t, k, "ann", "1")
	for _, next := range []string{"2", "3"} {
		was, _ := k.Get(t.Context(), "ann")
		if err := k.Replace(t.Context(), "ann", was, wrapped(next)); err != nil {
			t.Fatal(err)
		}
		wantKey(t, k, "ann", next)
	}
}

func deletedKeyIsGone(t *testing.T, k eventstore.Keys) {
	if err := k.Delete(t.Context(), "ann"); err != nil {
		t.Errorf("delete what is not there: %v", err)
	}
	putKey(t, k, "bob", "bob")
	putKey(t, k, "eve", "1")
	if err := k.Replace(t.Context(), "eve", wrapped("1"), wrapped("2")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		for _, name := range []string{"ann", "eve"} {
			if err := k.Delete(t.Context(), name); err != nil {
				t.Fatal(err)
			}
			wantNoKey(t, k, name)
			if err := k.Put(t.Context(), name, wrapped("3")); !errors.Is(err, eventstore.ErrKeyExists) {
				t.Errorf("put %s again: %v, want ErrKeyExists", name, err)
			}
			for _, was := range [][]byte{nil, wrapped("2")} {
				if err := k.Replace(t.Context(), name, was, wrapped("3")); !errors.Is(err, eventstore.ErrConflict) {
					t.Errorf("replace %s, which was deleted: %v, want ErrConflict", name, err)
				}
			}
			wantNoKey(t, k, name)
		}
	}
	wantKey(t, k, "bob", "bob")
	wantKeys(t, k, map[string]string{"bob": "bob"})
}

func improperKeyName(t *testing.T, k eventstore.Keys) {
	for _, name := range []string{"", "a b", "a.b", "*", ">", "é", strings.Repeat("x", eventstore.MaxKeyName+1)} {
		_, err := k.Get(t.Context(), name)
		for what, err := range map[string]error{
			"put": k.Put(t.Context(), name, wrapped("1")), "get": err,
			"replace": k.Replace(t.Context(), name, nil, nil), "delete": k.Delete(t.Context(), name),
		} {
			if err == nil || errors.Is(err, eventstore.ErrNoKey) || errors.Is(err, eventstore.ErrConflict) {
				t.Errorf("%s %q: %v", what, name, err)
			}
		}
	}
	wantKeys(t, k, map[string]string{})
}

func wantKeys(t *testing.T, k eventstore.Keys, want map[string]string) {
	t.Helper()
	got := map[string]string{}
	err := k.All(t.Context(), func(name string, wrapped []byte) error {
		if _, twice := got[name]; twice {
			t.Errorf("%s was handed out twice", name)
		}
		got[name] = strings.TrimPrefix(string(wrapped), "wrapped ")
		return nil
	})
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("all keys are %v (%v), want %v", got, err, want)
	}
}

func allKeys(t *testing.T, k eventstore.Keys) {
	wantKeys(t, k, map[string]string{})
	want := map[string]string{}
	for i := range 30 {
		name := fmt.Sprint("k", i)
		putKey(t, k, name, name)
		want[name] = name
	}
	if err := k.Delete(t.Context(), "k7"); err != nil {
		t.Fatal(err)
	}
	if err := k.Replace(t.Context(), "k9", wrapped("k9"), wrapped("new")); err != nil {
		t.Fatal(err)
	}
	delete(want, "k7")
	want["k9"] = "new"
	wantKeys(t, k, want)
}

func keysEndWithError(t *testing.T, k eventstore.Keys) {
	putKey(t, k, "ann", "1")
	putKey(t, k, "bob", "2")
	enough, n := errors.New("enough"), 0
	if err := k.All(t.Context(), func(string, []byte) error { n++; return enough }); !errors.Is(err, enough) || n != 1 {
		t.Errorf("after %d keys the list ended with %v", n, err)
	}
}

func keysForNobody(t *testing.T, k eventstore.Keys) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := k.Get(ctx, "ann")
	for what, err := range map[string]error{
		"put": k.Put(ctx, "ann", wrapped("1")), "get": err, "delete": k.Delete(ctx, "ann"),
		"all": k.All(ctx, func(string, []byte) error { return nil }),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", what, err)
		}
	}
	wantNoKey(t, k, "ann")
}
