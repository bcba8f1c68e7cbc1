package eventstore

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/nats-io/nats.go/jetstream"

	"jeton/domain"
)

// objectReader reads an object.
type objectReader struct {
	*JetStreamObjects
	ctx    context.Context //nolint:containedctx // of the Get that a reader belongs to
	object described
	sum    hash.Hash
	size   int64  // of all chunks so far
	at     uint64 // of the last one
	rest   []byte // of it, which nobody has read
	err    error  // how it ended
}

// Read implements io.Reader.
func (r *objectReader) Read(p []byte) (int, error) {
	for len(r.rest) == 0 && r.err == nil && len(p) > 0 {
		if r.err = r.advance(); r.err != nil && r.err != io.EOF { //nolint:errorlint // advance does not wrap it
			r.err = fmt.Errorf("read object %s: %w", r.object.Name, r.err)
		}
	}
	if len(r.rest) == 0 && len(p) > 0 {
		return 0, r.err
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// Close implements io.Closer.
func (r *objectReader) Close() error {
	r.rest, r.err = nil, errClosed
	return nil
}

var errClosed = errors.New("the object is closed")

// advance reads the next chunk. The last one is handed out when all is what was
// stored: who counts bytes, as readers of HTTP do, must miss some if it is not.
func (r *objectReader) advance() error {
	if r.size == r.object.Size && r.at > 0 {
		return io.EOF
	}
	m, err := r.chunk()
	if err != nil {
		return err
	}
	r.at = m.Sequence
	r.size += int64(len(m.Data))
	r.sum.Write(m.Data)
	switch {
	case r.size > r.object.Size, r.size < r.object.Size && len(m.Data) == 0:
		return fmt.Errorf("%w: it has not the %d bytes that it had", ErrCorrupt, r.object.Size)
	case r.size == r.object.Size && domain.Hash(r.sum.Sum(nil)) != r.object.Digest:
		return fmt.Errorf("%w: its content is another", ErrCorrupt)
	}
	r.rest = m.Data
	return nil
}

// chunk finds the next chunk. That there is none must be seen twice: servers that
// stop or take over say so of what they have.
func (r *objectReader) chunk() (*jetstream.RawStreamMsg, error) {
	m, err := r.get(r.ctx, r.at+1, chunkSubject(r.object.id))
	if errors.Is(err, jetstream.ErrMsgNotFound) && pause(r.ctx, r.log.Confirm) {
		m, err = r.get(r.ctx, r.at+1, chunkSubject(r.object.id))
	}
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return nil, r.missing()
	case err != nil:
		return nil, unavailable(r.ctx, err)
	}
	return m, nil
}

// missing says why a chunk is: the object is gone, or not what it was.
func (r *objectReader) missing() error {
	d, err := r.look(r.ctx, r.object.Name)
	switch {
	case err != nil:
		return err
	case d.id != r.object.id:
		return ErrNoObject
	}
	return fmt.Errorf("%w: it has %d of %d bytes", ErrCorrupt, r.size, r.object.Size)
}
