package eventstore

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"jeton/domain"
)

const (
	keysName     = "JETON_KEYS"
	keysSubjects = "jeton-keys." // and the name of a key; not below the log's
	keysSchema   = "1"           // changes when messages are laid out another way
)

// keysConfig lets single messages be deleted, which the log forbids. A subject may have
// several messages, of which the last counts: what makes room by itself is only marked
// as deleted by the server and stays on disk, and a key has to be overwritten. A last
// message that is empty says that the key was deleted.
func keysConfig(replicas int) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:              keysName,
		Subjects:          []string{keysSubjects + "*"},
		Retention:         jetstream.LimitsPolicy,
		Storage:           jetstream.FileStorage,
		Discard:           jetstream.DiscardNew,
		Compression:       jetstream.NoCompression,
		Replicas:          replicas,
		MaxConsumers:      -1,
		MaxMsgs:           -1,
		MaxBytes:          -1,
		MaxMsgsPerSubject: -1,
		MaxMsgSize:        -1,
		Duplicates:        2 * time.Minute,
		DenyPurge:         true,
		PersistMode:       jetstream.DefaultPersistMode,
		Metadata:          map[string]string{keySchema: keysSchema},
	}
}

// JetStreamKeys keeps keys on the server or cluster of a log. It talks to it as
// patiently as the log does. The server overwrites on disk what is deleted.
type JetStreamKeys struct {
	log    *JetStream
	stream jetstream.Stream
}

// OpenKeys opens the keys beside a log. If their stream is missing it is made, on as
// many replicas as the log. If any setting is not the one it was made with the error
// names it.
func OpenKeys(ctx context.Context, beside *JetStream) (*JetStreamKeys, error) {
	k := &JetStreamKeys{log: beside}
	if err := k.open(ctx); err != nil {
		return nil, err
	}
	got := k.stream.CachedInfo().Config
	got.Metadata = withoutServerKeys(got.Metadata)
	if different := differences(reflect.ValueOf(got), reflect.ValueOf(keysConfig(got.Replicas))); len(different) > 0 {
		return nil, fmt.Errorf("stream %s is not configured for keys: %s", keysName, strings.Join(different, "; "))
	}
	return k, nil
}

// open makes the stream if it is missing. To make one that another node has made
// meanwhile does nothing.
func (k *JetStreamKeys) open(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, k.log.AckWait)
	defer cancel()
	k.stream, err = k.log.js.Stream(ctx, keysName)
	if !errors.Is(err, jetstream.ErrStreamNotFound) {
		if err != nil {
			return fmt.Errorf("open stream %s: %w", keysName, err)
		}
		return nil
	}
	k.stream, err = k.log.js.CreateStream(ctx, keysConfig(k.log.stream.CachedInfo().Config.Replicas))
	if err != nil {
		subject := apiPrefix(k.log.js.Options()) + "STREAM.CREATE." + keysName
		return fmt.Errorf("make stream %s, which is missing: %w; the user must be allowed to publish to %s", keysName, err, subject)
	}
	return nil
}

// Put implements Keys. An answer that gets lost is looked up.
func (k *JetStreamKeys) Put(ctx context.Context, name string, wrapped []byte) error {
	if err := checkKeyName(name); err != nil {
		return err
	}
	err := k.store(ctx, name, wrapped, 0)
	if errors.Is(err, ErrConflict) {
		return ErrKeyExists
	}
	return err
}

// Replace implements Keys. What was there is overwritten once the other is on disk.
func (k *JetStreamKeys) Replace(ctx context.Context, name string, was, wrapped []byte) error {
	if err := checkKeyName(name); err != nil {
		return err
	}
	kept, err := k.last(ctx, name)
	switch {
	case errors.Is(err, ErrNoKey):
		return ErrConflict
	case err != nil:
		return err
	case len(kept.Data) == 0 || !bytes.Equal(kept.Data, was):
		return ErrConflict
	}
	if err := k.store(ctx, name, wrapped, kept.Sequence); err != nil {
		return err
	}
	return k.overwrite(ctx, name, kept.Sequence)
}

// store adds a message behind the last one of its subject, or ErrConflict.
func (k *JetStreamKeys) store(ctx context.Context, name string, wrapped []byte, after uint64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	for wait, end := time.Millisecond, time.Now().Add(k.log.Patience); ; wait = min(2*wait, maxWait) {
		_, answer, err := k.log.publish(ctx, &nats.Msg{
			Subject: keysSubjects + name, Data: wrapped,
			Header: nats.Header{jetstream.ExpectedLastSubjSeqHeader: {number(domain.Position(after))}},
		})
		switch answer {
		case accepted:
			return nil
		case refused:
			return fmt.Errorf("keep a key: %w", err)
		}
		if settled, err := k.settled(ctx, name, wrapped, after); settled {
			return err
		}
		if time.Now().After(end) || !pause(ctx, wait) {
			return fmt.Errorf("keep a key: %w: %w", ErrUnknown, errors.Join(err, ctx.Err()))
		}
	}
}

// settled looks up what became of a message whose answer does not tell: a wrapped key
// is never made twice, so the same bytes are this one, and one deletion is as good as
// another.
func (k *JetStreamKeys) settled(ctx context.Context, name string, wrapped []byte, after uint64) (bool, error) {
	kept, err := k.last(ctx, name)
	switch {
	case errors.Is(err, ErrNoKey):
		return after != 0, ErrConflict
	case err != nil:
		return false, nil
	case bytes.Equal(kept.Data, wrapped):
		return true, nil
	}
	return kept.Sequence != after, ErrConflict
}

// Delete implements Keys. First it is said, so that nobody makes the key again, and then
// all that was before is overwritten. All does what a Delete that broke off has left.
func (k *JetStreamKeys) Delete(ctx context.Context, name string) error {
	if err := checkKeyName(name); err != nil {
		return err
	}
	for range deleteTries {
		end, err := k.end(ctx, name)
		if err == nil {
			return k.overwrite(ctx, name, end-1)
		}
		if !errors.Is(err, ErrConflict) {
			return fmt.Errorf("delete the key %s: %w", name, err)
		}
	}
	return fmt.Errorf("delete the key %s: %w", name, ErrConflict)
}

// deleteTries is how often a key may be put or replaced while it is deleted.
const deleteTries = 5

// end is the sequence of the empty message that ends a name, which is made if there is
// none.
func (k *JetStreamKeys) end(ctx context.Context, name string) (uint64, error) {
	for after := uint64(0); ; {
		last, err := k.last(ctx, name)
		switch {
		case err == nil && len(last.Data) == 0:
			return last.Sequence, nil
		case err == nil:
			after = last.Sequence
		case !errors.Is(err, ErrNoKey):
			return 0, err
		}
		if err := k.store(ctx, name, nil, after); err != nil {
			return 0, err
		}
	}
}

// overwrite deletes the messages of a name up to a sequence.
func (k *JetStreamKeys) overwrite(ctx context.Context, name string, upTo uint64) error {
	for {
		m, err := k.first(ctx, name)
		if errors.Is(err, ErrNoKey) || err == nil && m.Sequence > upTo {
			return nil
		}
		if err == nil {
			err = k.erase(ctx, m.Sequence)
		}
		if err != nil {
			return fmt.Errorf("delete the key %s: %w", name, err)
		}
	}
}

// erase deletes one message for ever. One that somebody else has deleted is no error.
func (k *JetStreamKeys) erase(ctx context.Context, seq uint64) error {
	soon, cancel := context.WithTimeout(ctx, k.log.AckWait)
	defer cancel()
	err := k.stream.SecureDeleteMsg(soon, seq)
	if err == nil || errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil
	}
	if _, gone := k.stream.GetMsg(soon, seq); errors.Is(gone, jetstream.ErrMsgNotFound) {
		return nil
	}
	return unavailable(ctx, err)
}

// Get implements Keys.
func (k *JetStreamKeys) Get(ctx context.Context, name string) ([]byte, error) {
	if err := checkKeyName(name); err != nil {
		return nil, err
	}
	m, err := k.last(ctx, name)
	if err != nil {
		return nil, err
	}
	if len(m.Data) == 0 {
		return nil, ErrNoKey
	}
	return m.Data, nil
}

// last is the message that counts, asked of whoever leads the stream.
func (k *JetStreamKeys) last(ctx context.Context, name string) (*jetstream.RawStreamMsg, error) {
	soon, cancel := context.WithTimeout(ctx, k.log.AckWait)
	defer cancel()
	m, err := k.stream.GetLastMsgForSubject(soon, keysSubjects+name)
	return m, noKey(ctx, err)
}

// first is the oldest message of a name.
func (k *JetStreamKeys) first(ctx context.Context, name string) (*jetstream.RawStreamMsg, error) {
	soon, cancel := context.WithTimeout(ctx, k.log.AckWait)
	defer cancel()
	m, err := k.stream.GetMsg(soon, 1, jetstream.WithGetMsgSubject(keysSubjects+name))
	return m, noKey(ctx, err)
}

func noKey(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return ErrNoKey
	}
	return unavailable(ctx, err)
}

// All implements Keys. Whoever opens a platform asks it once, so what comes meanwhile
// it may leave out. What a Replace or Delete that broke off has left is overwritten.
func (k *JetStreamKeys) All(ctx context.Context, do func(name string, wrapped []byte) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	left, err := k.left(ctx)
	if err != nil {
		return err
	}
	consumer, err := k.subscribe(ctx)
	if err != nil {
		return unavailable(ctx, err)
	}
	r := keyReader{k, consumer, 0, left, do}
	for pending := consumer.CachedInfo().NumPending; pending > 0; {
		if err := r.pull(ctx, int(min(pending, pullKeys))); err != nil {
			return err
		}
		if pending, err = r.pending(ctx); err != nil {
			return err
		}
	}
	return nil
}

// subscribe makes a consumer of what counts. Its memory is the server's, for a minute.
func (k *JetStreamKeys) subscribe(ctx context.Context) (jetstream.Consumer, error) {
	ctx, cancel := context.WithTimeout(ctx, k.log.AckWait)
	defer cancel()
	return k.log.js.CreateConsumer(ctx, keysName, jetstream.ConsumerConfig{
		DeliverPolicy:     jetstream.DeliverLastPerSubjectPolicy,
		FilterSubject:     keysSubjects + "*",
		AckPolicy:         jetstream.AckNonePolicy,
		MemoryStorage:     true,
		Replicas:          1,
		InactiveThreshold: time.Minute,
	})
}

// pullKeys is how many keys are asked for at once; each has about 200 bytes.
const pullKeys = 5000

// keyReader is one All.
type keyReader struct {
	*JetStreamKeys
	consumer jetstream.Consumer
	heard    uint64 // how much the consumer has sent
	left     bool   // something is to be overwritten
	do       func(name string, wrapped []byte) error
}

// pull hands out what comes of one question. If something was left out it fails: half
// the keys would be as if half the people were erased.
func (r *keyReader) pull(ctx context.Context, n int) error {
	soon, cancel := context.WithTimeout(ctx, r.log.AckWait)
	defer cancel()
	batch, err := r.consumer.Fetch(n, jetstream.FetchContext(soon))
	if err != nil {
		return unavailable(ctx, err)
	}
	for m := range batch.Messages() {
		delivery, err := m.Metadata()
		if err != nil || delivery.Sequence.Consumer != r.heard+1 {
			return unavailable(ctx, cmp.Or(err, errGap))
		}
		r.heard++
		if err := r.take(ctx, strings.TrimPrefix(m.Subject(), keysSubjects), m.Data(), delivery.Sequence.Stream); err != nil {
			return err
		}
	}
	if err := batch.Error(); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return unavailable(ctx, err)
	}
	return ctx.Err()
}

func (r *keyReader) take(ctx context.Context, name string, wrapped []byte, seq uint64) error {
	if r.left {
		if err := r.overwrite(ctx, name, seq-1); err != nil {
			return err
		}
	}
	if len(wrapped) == 0 {
		return nil
	}
	return r.do(name, wrapped)
}

// left reports whether some name has more than one message.
func (k *JetStreamKeys) left(ctx context.Context) (bool, error) {
	soon, cancel := context.WithTimeout(ctx, k.log.AckWait)
	defer cancel()
	info, err := k.stream.Info(soon)
	if err != nil {
		return false, unavailable(ctx, err)
	}
	return info.State.Msgs > info.State.NumSubjects, nil
}

// pending is how many keys are still to come.
func (r *keyReader) pending(ctx context.Context) (uint64, error) {
	soon, cancel := context.WithTimeout(ctx, r.log.AckWait)
	defer cancel()
	info, err := r.consumer.Info(soon)
	if err != nil {
		return 0, unavailable(ctx, err)
	}
	return info.NumPending, nil
}
