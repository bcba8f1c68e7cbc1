package eventstore_test

import (
	"context"
	"errors"
	"testing"

	"jeton/eventstore"
)

func openVault(t testing.TB, keys eventstore.Keys, masters ...eventstore.Master) *eventstore.Vault {
	t.Helper()
	v, err := eventstore.OpenVault(t.Context(), keys, masters...)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func sealText(t testing.TB, v *eventstore.Vault, name, text string) []byte {
	t.Helper()
	sealed, err := v.Seal(t.Context(), name, []byte(text), []byte("here"))
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

func wantOpened(t testing.TB, v *eventstore.Vault, name string, sealed []byte, want string) {
	t.Helper()
	if got, err := v.Open(t.Context(), name, sealed, []byte("here")); err != nil || string(got) != want {
		t.Errorf("%s: opened %q (%v), want %q", name, got, err, want)
	}
}

// The master is changed by opening with the next one first; then the older one can go.
func TestMasterKeysAreRotated(t *testing.T) {
	keys := new(eventstore.MemoryKeys)
	old, next := eventstore.Master{1}, eventstore.Master{2}
	v := openVault(t, keys, old)
	ann, bob := sealText(t, v, "ann", "Ann"), sealText(t, v, "bob", "Bob")
	if _, err := eventstore.OpenVault(t.Context(), keys, next); !errors.Is(err, eventstore.ErrMaster) {
		t.Errorf("opened with another master: %v, want ErrMaster", err)
	}
	v = openVault(t, keys, next, old)
	wantOpened(t, v, "ann", ann, "Ann")
	v = openVault(t, keys, next)
	wantOpened(t, v, "ann", ann, "Ann")
	wantOpened(t, v, "bob", bob, "Bob")
	if _, err := eventstore.OpenVault(t.Context(), keys, old); !errors.Is(err, eventstore.ErrMaster) {
		t.Errorf("the older master still opens: %v", err)
	}
}

// What belongs elsewhere, was changed, or was wrapped for another name is not opened.
func TestSealedTextsStayWhereTheyBelong(t *testing.T) {
	keys := new(eventstore.MemoryKeys)
	v := openVault(t, keys, eventstore.Master{1})
	ann := sealText(t, v, "ann", "Ann")
	_ = sealText(t, v, "bob", "Bob")
	changed := append([]byte{}, ann...)
	changed[len(changed)-1]++
	for name, c := range map[string]struct {
		key, bound string
		sealed     []byte
	}{
		"elsewhere": {"ann", "there", ann}, "of another": {"bob", "here", ann}, "changed": {"ann", "here", changed},
		"cut": {"ann", "here", ann[:5]}, "nothing": {"ann", "here", nil},
	} {
		if got, err := v.Open(t.Context(), c.key, c.sealed, []byte(c.bound)); !errors.Is(err, eventstore.ErrSealed) {
			t.Errorf("%s: %q, %v; want ErrSealed", name, got, err)
		}
	}
	swapped, _ := keys.Get(t.Context(), "ann")
	was, _ := keys.Get(t.Context(), "bob")
	if err := keys.Replace(t.Context(), "bob", was, swapped); err != nil {
		t.Fatal(err)
	}
	if _, err := eventstore.OpenVault(t.Context(), keys, eventstore.Master{1}); !errors.Is(err, eventstore.ErrSealed) {
		t.Errorf("a key under another's name: %v, want ErrSealed", err)
	}
}

// What is erased is erased on every node that was told, and nobody makes a key of that
// name again, told or not.
func TestErasedKeysStayAway(t *testing.T) {
	keys := new(eventstore.MemoryKeys)
	here, there := openVault(t, keys, eventstore.Master{1}), openVault(t, keys, eventstore.Master{1})
	ann := sealText(t, here, "ann", "Ann")
	wantOpened(t, there, "ann", ann, "Ann")
	if err := here.Erase(t.Context(), "ann"); err != nil {
		t.Fatal(err)
	}
	if _, err := here.Seal(t.Context(), "ann", []byte("again"), nil); !errors.Is(err, eventstore.ErrErased) {
		t.Errorf("sealed again: %v, want ErrErased", err)
	}
	late := openVault(t, keys, eventstore.Master{1}) // has not heard of it
	if _, err := late.Seal(t.Context(), "ann", []byte("again"), nil); !errors.Is(err, eventstore.ErrErased) {
		t.Errorf("who has not heard of it sealed again: %v, want ErrErased", err)
	}
	for _, v := range []*eventstore.Vault{here, there, late} {
		if err := v.Erase(t.Context(), "ann"); err != nil {
			t.Fatal(err)
		}
		if got, err := v.Open(t.Context(), "ann", ann, []byte("here")); !errors.Is(err, eventstore.ErrErased) {
			t.Errorf("opened %q, %v; want ErrErased", got, err)
		}
	}
	_, err := keys.Get(t.Context(), "ann")
	if !errors.Is(err, eventstore.ErrNoKey) || !here.Erased("ann") || here.Erased("bob") {
		t.Errorf("ann's key: %v; erased %v", err, here.Erased("ann"))
	}
}

// A key that cannot be kept seals nothing.
func TestNothingIsSealedWithoutADurableKey(t *testing.T) {
	away := errors.New("away")
	v := openVault(t, unwritable{new(eventstore.MemoryKeys), away}, eventstore.Master{1})
	for range 2 {
		if sealed, err := v.Seal(t.Context(), "ann", []byte("Ann"), nil); !errors.Is(err, away) {
			t.Errorf("sealed %x, %v", sealed, err)
		}
	}
}

type unwritable struct {
	eventstore.Keys
	err error
}

func (k unwritable) Put(context.Context, string, []byte) error { return k.err }
