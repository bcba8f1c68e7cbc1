package eventstore

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"jeton/domain"
)

// Put implements Objects. It sends one chunk at a time, each behind the one
// before, and describes the object when all are on disk. Until then nobody sees it.
func (o *JetStreamObjects) Put(ctx context.Context, name string, content io.Reader, most int64) (Object, error) {
	kept, err := o.put(ctx, name, content, most)
	var api *jetstream.APIError
	switch {
	case err == nil:
		return kept, nil
	case errors.As(err, &api) && noRoom(api):
		err = fmt.Errorf("%w: %w", ErrFull, err)
	}
	return Object{}, fmt.Errorf("keep object %s: %w", name, err)
}

// noRoom: the stream, the account or the disk is full. A write that fails for
// another reason has no code.
func noRoom(api *jetstream.APIError) bool {
	switch api.ErrorCode {
	case codeStoreFailed, codeStorageResources, codeAccountResources, codeInsufficient:
		return true
	}
	return false
}

func (o *JetStreamObjects) put(ctx context.Context, name string, content io.Reader, most int64) (Object, error) {
	if err := checkObjectName(name); err != nil {
		return Object{}, err
	}
	switch _, err := o.look(ctx, name); {
	case err == nil:
		return Object{}, ErrConflict
	case !errors.Is(err, ErrNoObject):
		return Object{}, err
	}
	u := upload{JetStreamObjects: o, id: rand.Text(), sum: sha256.New()}
	if err := u.send(ctx, content, most); err != nil {
		u.discard(ctx)
		return Object{}, err
	}
	return u.describe(context.WithoutCancel(ctx), name)
}

// upload is a Put under way.
type upload struct {
	*JetStreamObjects
	id    string // of its chunks
	sum   hash.Hash
	size  int64
	count uint32 // of chunks
	at    uint64 // of the last one; 0 for none
}

// send sends the content in chunks. What broke off is told from what ended by
// bytes.Buffer; io.ReadFull would take the one for the other when it is a request
// that broke off.
func (u *upload) send(ctx context.Context, content io.Reader, most int64) error {
	chunk := bytes.NewBuffer(make([]byte, 0, objectChunk+bytes.MinRead))
	for n := int64(objectChunk); n == objectChunk; {
		var err error
		chunk.Reset()
		since := time.Now()
		n, err = chunk.ReadFrom(io.LimitReader(content, objectChunk))
		switch u.size += n; {
		case err != nil:
			return fmt.Errorf("read the content: %w", err)
		case ctx.Err() != nil:
			return ctx.Err()
		case u.size > most:
			return fmt.Errorf("more than %d bytes: %w", most, ErrTooLarge)
		case time.Since(since) > u.Stalled:
			return fmt.Errorf("%w: the content gave less than %d bytes in %v", ErrUnavailable, objectChunk, u.Stalled)
		}
		if err := u.add(ctx, chunk.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

// add stores a chunk behind the last one.
func (u *upload) add(ctx context.Context, chunk []byte) (err error) {
	u.sum.Write(chunk)
	u.count++
	u.at, err = u.place(ctx, &nats.Msg{Subject: chunkSubject(u.id), Data: chunk}, u.at, ErrUnavailable)
	if errors.Is(err, ErrConflict) {
		return fmt.Errorf("%w: its beginning was taken for a leftover", ErrUnavailable)
	}
	return err
}

// describe makes the object visible. Once it was sent nobody can call it back, so
// it is not broken off.
func (u *upload) describe(ctx context.Context, name string) (Object, error) {
	text, err := json.Marshal(jetstream.ObjectInfo{
		ObjectMeta: jetstream.ObjectMeta{Name: name, Opts: &jetstream.ObjectMetaOptions{ChunkSize: objectChunk}},
		Bucket:     objectBucket,
		NUID:       u.id,
		Size:       uint64(u.size),
		Chunks:     u.count,
		Digest:     jetstream.GetObjectDigestValue(u.sum),
	})
	if err == nil {
		_, err = u.place(ctx, &nats.Msg{Subject: nameSubject(name), Data: text}, 0, ErrUnknown)
	}
	if err != nil {
		if !errors.Is(err, ErrUnknown) {
			u.discard(ctx)
		}
		return Object{}, err
	}
	kept, err := u.look(ctx, name) // the server knows when
	if err != nil {
		return Object{}, fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	return kept.Object, nil
}

// discard gives the room of the chunks free. What it does not reach Sweep will.
func (u *upload) discard(ctx context.Context) {
	if u.count > 0 {
		_ = u.purge(context.WithoutCancel(ctx), chunkSubject(u.id))
	}
}

// place stores m behind the message of its subject that stands at after, 0 for
// none, and tells where. It sends it again for as long as the log would send an
// append; if it is then not known to be there, unanswered is the error.
func (o *JetStreamObjects) place(ctx context.Context, m *nats.Msg, after uint64, unanswered error) (uint64, error) {
	m.Header = nats.Header{jetstream.ExpectedLastSubjSeqHeader: {number(domain.Position(after))}}
	sent := false // to where it may have been taken
	unanswered = fmt.Errorf("%w: not every part was confirmed", unanswered)
	for wait, end := time.Millisecond, time.Now().Add(o.log.Patience); ; wait = min(2*wait, maxWait) {
		at, answer, err := o.log.publish(ctx, m)
		switch {
		case answer == accepted:
			return uint64(at), nil
		case answer == refused && !sent:
			return 0, err
		case answer == silent:
			sent = true
		}
		there, asked := o.get(ctx, after+1, m.Subject)
		switch {
		case asked == nil && bytes.Equal(there.Data, m.Data):
			return there.Sequence, nil
		case asked == nil, errors.Is(asked, jetstream.ErrMsgNotFound) && answer == stale && after > 0:
			return 0, ErrConflict
		case ctx.Err() != nil:
			return 0, ctx.Err()
		case time.Now().After(end) || !pause(ctx, wait):
			return 0, unanswered
		}
	}
}
