package eventstore

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"time"
)

// MemoryObjects keeps objects until the process ends. The zero value is empty; it
// may be used by several goroutines at once.
type MemoryObjects struct {
	// Most is how many bytes all objects may have together; 0 sets no limit.
	Most int64

	mu      sync.Mutex
	size    int64
	objects map[string]memoryObject // by name
}

type memoryObject struct {
	Object
	content []byte // never changed
}

// Put implements Objects.
func (m *MemoryObjects) Put(ctx context.Context, name string, content io.Reader, most int64) (Object, error) {
	if err := checkObjectName(name); err != nil {
		return Object{}, fmt.Errorf("keep object %s: %w", name, err)
	}
	kept, err := m.read(ctx, name, content, most)
	if err == nil {
		kept.Object, err = m.add(kept)
	}
	if err != nil {
		return Object{}, fmt.Errorf("keep object %s: %w", name, err)
	}
	return kept.Object, nil
}

// read reads content as long as somebody wants it.
func (m *MemoryObjects) read(ctx context.Context, name string, content io.Reader, most int64) (memoryObject, error) {
	if _, err := m.look(ctx, name); err == nil {
		return memoryObject{}, ErrConflict
	}
	var all bytes.Buffer
	for n := int64(objectChunk); n == objectChunk; {
		if err := ctx.Err(); err != nil {
			return memoryObject{}, err
		}
		var err error
		n, err = all.ReadFrom(io.LimitReader(content, objectChunk))
		switch {
		case err != nil:
			return memoryObject{}, fmt.Errorf("read the content: %w", err)
		case int64(all.Len()) > most:
			return memoryObject{}, fmt.Errorf("more than %d bytes: %w", most, ErrTooLarge)
		}
	}
	object := Object{Name: name, Digest: sha256.Sum256(all.Bytes()), Size: int64(all.Len())}
	return memoryObject{object, all.Bytes()}, ctx.Err()
}

// add keeps what was read, unless another was faster.
func (m *MemoryObjects) add(o memoryObject) (Object, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, taken := m.objects[o.Name]; taken {
		return Object{}, ErrConflict
	}
	if m.Most > 0 && m.size+o.Size > m.Most {
		return Object{}, fmt.Errorf("%w: %w", ErrFull, ErrUnavailable)
	}
	if m.objects == nil {
		m.objects = map[string]memoryObject{}
	}
	o.Kept = time.Now()
	m.objects[o.Name] = o
	m.size += o.Size
	return o.Object, nil
}

func (m *MemoryObjects) look(ctx context.Context, name string) (memoryObject, error) {
	if err := ctx.Err(); err != nil {
		return memoryObject{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	o, there := m.objects[name]
	if !there {
		return memoryObject{}, ErrNoObject
	}
	return o, nil
}

// Get implements Objects. What is open can be read to its end, also if it is
// deleted meanwhile.
func (m *MemoryObjects) Get(ctx context.Context, name string) (Object, io.ReadCloser, error) {
	err := checkObjectName(name)
	if err != nil {
		return Object{}, nil, err
	}
	o, err := m.look(ctx, name)
	if err != nil {
		return Object{}, nil, fmt.Errorf("open object %s: %w", name, err)
	}
	return o.Object, memoryReader{ctx, io.NopCloser(bytes.NewReader(o.content))}, nil
}

// memoryReader reads as long as somebody wants it.
type memoryReader struct {
	ctx context.Context //nolint:containedctx // of the Get that a reader belongs to
	io.ReadCloser
}

// Read implements io.Reader.
func (r memoryReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.ReadCloser.Read(p)
}

// Delete implements Objects.
func (m *MemoryObjects) Delete(ctx context.Context, name string) error {
	if err := checkObjectName(name); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.size -= m.objects[name].Size
	delete(m.objects, name)
	return nil
}

// List implements Objects. Do may change what is kept.
func (m *MemoryObjects) List(ctx context.Context, do func(Object) error) error {
	m.mu.Lock()
	all := slices.Collect(maps.Values(m.objects))
	m.mu.Unlock()
	for _, o := range all {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := do(o.Object); err != nil {
			return err
		}
	}
	return nil
}
