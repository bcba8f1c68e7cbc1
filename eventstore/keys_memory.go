package eventstore

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
)

// MemoryKeys keeps keys until the process ends. The zero value is empty; it may be
// used by several goroutines at once.
type MemoryKeys struct {
	mu   sync.Mutex
	keys map[string][]byte // nil: deleted
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
	if kept, known := m.keys[name]; !known || kept == nil || !bytes.Equal(kept, was) {
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
	if m.keys == nil {
		m.keys = map[string][]byte{}
	}
	m.keys[name] = nil
	return nil
}

// Get implements Keys.
func (m *MemoryKeys) Get(ctx context.Context, name string) ([]byte, error) {
	if err := errors.Join(checkKeyName(name), ctx.Err()); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if kept := m.keys[name]; kept != nil {
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
		if keys[name] == nil {
			continue
		}
		if err := do(name, bytes.Clone(keys[name])); err != nil {
			return err
		}
	}
	return ctx.Err()
}
