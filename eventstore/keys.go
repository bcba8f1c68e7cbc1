package eventstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// Keys keeps keys beside the log, because a log never forgets and a key has to be
// forgotten when a person is erased. What it keeps is wrapped already (Vault): whoever
// reads it reads nothing. MemoryKeys and JetStreamKeys keep them;
// eventstoretest.RunKeys says what both promise.
type Keys interface {
	// Put keeps a wrapped key under a name. The answer comes when it is on disk. If
	// the name has one already it is ErrKeyExists, and nothing was changed.
	Put(ctx context.Context, name string, wrapped []byte) error

	// Replace puts a wrapped key in the place of another. If the name has another
	// one than was, or none, it is ErrConflict.
	Replace(ctx context.Context, name string, was, wrapped []byte) error

	// Delete forgets a key, also on disk; that there is none is no error.
	Delete(ctx context.Context, name string) error

	// Get is the key under a name; none is ErrNoKey.
	Get(ctx context.Context, name string) ([]byte, error)

	// All hands every key to do, in no order, until do fails.
	All(ctx context.Context, do func(name string, wrapped []byte) error) error
}

// What keys can say.
var (
	ErrKeyExists = errors.New("there is a key of that name already")
	ErrNoKey     = errors.New("there is no such key")
)

// MaxKeyName is how long the name of a key is at most.
const MaxKeyName = 100 // letters

// checkKeyName wants one word: a name is the end of a subject.
func checkKeyName(name string) error {
	if name == "" || len(name) > MaxKeyName || strings.ContainsFunc(name, notInWord) {
		return fmt.Errorf("key %q is not one word of at most %d letters, digits, - and _", name, MaxKeyName)
	}
	return nil
}

// MemoryKeys keeps keys until the process ends. The zero value is empty; it may be
// used by several goroutines at once.
type MemoryKeys struct {
	mu   sync.Mutex
	keys map[string][]byte
}

// Put implements Keys.
func (m *MemoryKeys) Put(ctx context.Context, name string, wrapped []byte) error {
	if err := errors.Join(checkKeyName(name), ctx.Err()); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, known := m.keys[name]; known {
		return ErrKeyExists
	}
	if m.keys == nil {
		m.keys = map[string][]byte{}
	}
	m.keys[name] = bytes.Clone(wrapped)
	return nil
}

// Replace implements Keys.
func (m *MemoryKeys) Replace(ctx context.Context, name string, was, wrapped []byte) error {
	if err := errors.Join(checkKeyName(name), ctx.Err()); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if kept, known := m.keys[name]; !known || !bytes.Equal(kept, was) {
		return ErrConflict
	}
	m.keys[name] = bytes.Clone(wrapped)
	return nil
}

// Delete implements Keys.
func (m *MemoryKeys) Delete(ctx context.Context, name string) error {
	if err := errors.Join(checkKeyName(name), ctx.Err()); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.keys, name)
	return nil
}

// Get implements Keys.
func (m *MemoryKeys) Get(ctx context.Context, name string) ([]byte, error) {
	if err := errors.Join(checkKeyName(name), ctx.Err()); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if kept, known := m.keys[name]; known {
		return bytes.Clone(kept), nil
	}
	return nil, ErrNoKey
}

// All implements Keys.
func (m *MemoryKeys) All(ctx context.Context, do func(name string, wrapped []byte) error) error {
	m.mu.Lock()
	keys := maps.Clone(m.keys)
	m.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(keys)) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := do(name, bytes.Clone(keys[name])); err != nil {
			return err
		}
	}
	return nil
}
