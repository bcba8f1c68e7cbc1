package eventstore

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
)

// Key is a secret of 32 bytes: it seals what is personal, signs, or authenticates.
type Key [32]byte

// Master is the key that wraps all others. It is kept where the data is not.
type Master Key

// id tells masters apart without telling anything of them.
func (m Master) id() [8]byte {
	sum := sha256.Sum256(append([]byte("jeton master "), m[:]...))
	return [8]byte(sum[:8])
}

// Vault is the keys of a platform, unwrapped in memory. It may be used by several
// goroutines at once; several nodes may have one Keys.
//
// A sealed text is a random nonce of 12 bytes and the ciphertext of AES-256-GCM,
// which is bound to where it belongs, so that it can't be moved elsewhere. A wrapped
// key is the same, by the master, bound to the key's name, behind the master's id.
type Vault struct {
	keys    Keys
	masters []Master // the first wraps, the others only unwrap

	mu     sync.RWMutex
	known  map[string]Key
	erased map[string]bool // never get a key again
}

// What a vault can say.
var (
	// ErrErased: the key is gone, and with it whatever it has sealed.
	ErrErased = errors.New("it was erased")
	// ErrSealed: what was sealed is not what is to be opened.
	ErrSealed = errors.New("the sealed text was changed or belongs elsewhere")
	errLocked = errors.New("the vault is locked")
	// ErrMaster: none of the masters has wrapped this key.
	ErrMaster = errors.New("a key was wrapped by another master key")
)

// OpenVault is a vault that is unlocked.
func OpenVault(ctx context.Context, keys Keys, masters ...Master) (*Vault, error) {
	v := new(Vault)
	if err := v.Unlock(ctx, keys, masters...); err != nil {
		return nil, err
	}
	return v, nil
}

// Unlock unwraps all keys. Those that an older master has wrapped are wrapped anew by the
// first, so that the older one can go. A vault is of no use before, but can be handed
// to those who will use it then.
func (v *Vault) Unlock(ctx context.Context, keys Keys, masters ...Master) error {
	v.keys, v.masters, v.known, v.erased = keys, masters, map[string]Key{}, map[string]bool{}
	older := map[string][]byte{}
	err := keys.All(ctx, func(name string, wrapped []byte) error {
		key, by, err := v.unwrap(name, wrapped)
		if err != nil {
			return err
		}
		if v.known[name] = key; by != 0 {
			older[name] = wrapped
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("open the vault: %w", err)
	}
	return v.rewrap(ctx, older)
}

func (v *Vault) rewrap(ctx context.Context, older map[string][]byte) error {
	for name, was := range older {
		err := v.keys.Replace(ctx, name, was, v.wrap(name, v.known[name]))
		if err != nil && !errors.Is(err, ErrConflict) { // a conflict: another node has done it
			return fmt.Errorf("wrap the key %s anew: %w", name, err)
		}
	}
	return nil
}

// Key is the key of a name. If it has none one is made, and is on disk when it is
// answered. What was erased gets none: ErrErased.
func (v *Vault) Key(ctx context.Context, name string) (Key, error) {
	key, err := v.Find(ctx, name)
	if !errors.Is(err, ErrErased) || v.Erased(name) {
		return key, err
	}
	_, _ = rand.Read(key[:]) // never fails
	switch err := v.keys.Put(ctx, name, v.wrap(name, key)); {
	case errors.Is(err, ErrKeyExists): // another node was faster
		return v.Find(ctx, name)
	case err != nil:
		return Key{}, fmt.Errorf("keep the key %s: %w", name, err)
	}
	if err := v.remember(name, key); err != nil { // and what was put must not stay
		return Key{}, errors.Join(err, v.keys.Delete(ctx, name))
	}
	return key, nil
}

// Find is the key of a name that has one; else ErrErased. What this node does not
// know yet another may have made.
func (v *Vault) Find(ctx context.Context, name string) (Key, error) {
	v.mu.RLock()
	key, known := v.known[name]
	erased := v.erased[name]
	v.mu.RUnlock()
	switch {
	case known:
		return key, nil
	case erased:
		return key, ErrErased
	case v.keys == nil:
		return key, errLocked
	}
	wrapped, err := v.keys.Get(ctx, name)
	if errors.Is(err, ErrNoKey) {
		return key, ErrErased
	}
	if err == nil {
		key, _, err = v.unwrap(name, wrapped)
	}
	if err != nil {
		return Key{}, fmt.Errorf("find the key %s: %w", name, err)
	}
	return key, v.remember(name, key)
}

// remember keeps a key in memory unless it was erased meanwhile.
func (v *Vault) remember(name string, key Key) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.erased[name] {
		return ErrErased
	}
	v.known[name] = key
	return nil
}

// Erase forgets a key for ever, here and on disk. Whatever it has sealed is noise from
// then on. Other nodes must be told (they call Erase, too), for they have it in memory.
func (v *Vault) Erase(ctx context.Context, name string) error {
	v.Forget(name)
	return v.keys.Delete(ctx, name)
}

// Forget is the part of Erase that is done at once: nothing is opened with the key any
// more, here, and none is made again under its name. It reports whether this node had it.
func (v *Vault) Forget(name string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	_, known := v.known[name]
	delete(v.known, name)
	v.erased[name] = true
	return known
}

// Erased reports whether this node was told that a name is erased.
func (v *Vault) Erased(name string) bool {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.erased[name]
}

// Seal encrypts a text with the key of a name, which is made if there is none. bound
// is where the text belongs, such as the id of its commit: Open wants the same.
func (v *Vault) Seal(ctx context.Context, name string, text, bound []byte) ([]byte, error) {
	key, err := v.Key(ctx, name)
	if err != nil {
		return nil, err
	}
	return seal(key, text, bound), nil
}

// Open decrypts what Seal has made. ErrErased: nobody can any more.
func (v *Vault) Open(ctx context.Context, name string, sealed, bound []byte) ([]byte, error) {
	key, err := v.Find(ctx, name)
	if err != nil {
		return nil, err
	}
	return open(key, sealed, bound)
}

func (v *Vault) wrap(name string, key Key) []byte {
	id := v.masters[0].id()
	return append(id[:], seal(Key(v.masters[0]), key[:], []byte(name))...)
}

// unwrap answers which of the masters has wrapped it, too.
func (v *Vault) unwrap(name string, wrapped []byte) (key Key, by int, err error) {
	for i, m := range v.masters {
		id := m.id()
		if len(wrapped) < len(id) || [8]byte(wrapped) != id {
			continue
		}
		text, err := open(Key(m), wrapped[len(id):], []byte(name))
		if err != nil || len(text) != len(key) {
			return key, 0, fmt.Errorf("key %s: %w", name, ErrSealed)
		}
		return Key(text), i, nil
	}
	return key, 0, fmt.Errorf("key %s: %w", name, ErrMaster)
}

const nonceSize = 12

func seal(key Key, text, bound []byte) []byte {
	sealed := make([]byte, nonceSize, nonceSize+len(text)+16)
	_, _ = rand.Read(sealed) // never fails
	return aead(key).Seal(sealed, sealed, text, bound)
}

func open(key Key, sealed, bound []byte) ([]byte, error) {
	if len(sealed) < nonceSize {
		return nil, ErrSealed
	}
	text, err := aead(key).Open(nil, sealed[:nonceSize], sealed[nonceSize:], bound)
	if err != nil {
		return nil, ErrSealed
	}
	return text, nil
}

// aead is AES-256-GCM, which fails for keys of other lengths only.
func aead(key Key) cipher.AEAD {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	return gcm
}
