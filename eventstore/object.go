package eventstore

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"jeton/domain"
)

// Objects keeps what is too large for a commit: reports, plans, logs, of up to
// tens of megabytes. It stands beside the log, which notices nothing of it; what
// an object is for, and its digest, stand in the log. MemoryObjects and
// JetStreamObjects keep them; eventstoretest.RunObjects says what both promise.
type Objects interface {
	// Put keeps all that content gives. When it returns nil the object is on disk.
	// Content of more than most bytes is ErrTooLarge; of what is refused, of
	// content that fails and when ctx ends, nothing can be seen. A name that is
	// taken is ErrConflict, and what is there stays: of many who put one name at
	// once, one wins. Where there is no room it is ErrFull. ErrUnknown means that
	// nobody could say whether the object is there; Get can, later.
	//
	// While content gives nothing Put waits, whatever becomes of ctx: who made
	// content sees to it that it ends.
	Put(ctx context.Context, name string, content io.Reader, most int64) (Object, error)

	// Get opens an object; if there is none it is ErrNoObject. Reading ends with
	// io.EOF only if all of it is what was stored, and else with an error before
	// its last byte: ErrCorrupt, ErrNoObject when it was deleted meanwhile, that
	// of ctx when ctx ends. Whoever opens an object closes it.
	Get(ctx context.Context, name string) (Object, io.ReadCloser, error)

	// Delete removes an object and gives its name free. One that is not there is
	// no error.
	Delete(ctx context.Context, name string) error

	// List hands every object to do, in no order, until do fails. Of those that
	// come and go meanwhile it may hand out some or none.
	List(ctx context.Context, do func(Object) error) error
}

// Object says what is kept under a name.
type Object struct {
	Name   string      // organization/id: two words with a slash between
	Digest domain.Hash // of the content
	Size   int64       // in bytes
	Kept   time.Time   // when it was stored, by the server's clock
}

// What can become of an object besides success.
var (
	// ErrNoObject: there is no object of that name.
	ErrNoObject = errors.New("there is no such object")
	// ErrCorrupt: what is there is not what was stored. It does not heal.
	ErrCorrupt = errors.New("the object is damaged")
	// ErrFull: the object has no room. Others must be deleted first, or the
	// operators give more room.
	ErrFull = errors.New("there is no room for more objects")
)

// MaxObjectName is how long an object's name may be, in letters.
const MaxObjectName = 128

// checkObjectName refuses what no store of objects takes.
func checkObjectName(name string) error {
	organization, id, _ := strings.Cut(name, "/")
	if len(name) > MaxObjectName || !isWord(organization) || !isWord(id) {
		return fmt.Errorf("object name %q is not two words of letters, digits, - and _ with a slash between, of at most %d letters",
			name, MaxObjectName)
	}
	return nil
}

func isWord(s string) bool { return s != "" && !strings.ContainsFunc(s, notInWord) }

// The layout is that of NATS' own object stores, so that people can look at it
// with their tools: an object is a message that describes it, under its name, and
// its chunks, under an id of its own. Its last chunk is shorter than the others
// and may be empty.
//
// The client's own object store is not used to write and read. It describes an
// object before it knows that all chunks were taken, so that one without room can
// be seen and not be read; it replaces what is there; and it reads for as long as
// one question may take, or waits for ever for chunks that are gone.
const (
	objectBucket  = "JETON_OBJECTS"
	objectStream  = "OBJ_" + objectBucket
	objectNames   = "$O." + objectBucket + ".M."
	objectChunks  = "$O." + objectBucket + ".C."
	objectSchema  = "1"       // changes when messages are laid out another way
	objectChunk   = MaxReport // bytes
	objectStalled = 10 * time.Minute
)

func nameSubject(name string) string {
	return objectNames + base64.URLEncoding.EncodeToString([]byte(name))
}

func chunkSubject(id string) string { return objectChunks + id }

// objectConfig refuses what is new when it is full, and lets nothing go on its
// own. Objects can be purged and their parts not be deleted. Direct reads are off,
// for the log's reason.
func objectConfig(replicas int, most int64) jetstream.StreamConfig {
	if most == 0 {
		most = -1
	}
	return jetstream.StreamConfig{
		Name:              objectStream,
		Subjects:          []string{objectChunks + ">", objectNames + ">"},
		Retention:         jetstream.LimitsPolicy,
		Storage:           jetstream.FileStorage,
		Discard:           jetstream.DiscardNew,
		Compression:       jetstream.NoCompression,
		Replicas:          replicas,
		MaxConsumers:      -1,
		MaxMsgs:           -1,
		MaxBytes:          most,
		MaxMsgsPerSubject: -1,
		MaxMsgSize:        -1,
		Duplicates:        2 * time.Minute,
		DenyDelete:        true,
		PersistMode:       jetstream.DefaultPersistMode,
		Metadata:          map[string]string{keySchema: objectSchema},
	}
}

// JetStreamObjects keeps objects on the server or cluster of a log. It talks to it
// as patiently as the log does. The field may be changed before it is used for the
// first time.
type JetStreamObjects struct {
	// Stalled is how long content may take for MaxReport bytes. Put gives up on
	// one that took longer, when it gives something again.
	Stalled time.Duration

	log    *JetStream
	stream jetstream.Stream
}

// OpenObjects opens the objects beside a log. If their stream is missing it is
// made, on as many replicas as the log, for at most so many bytes, chunks and
// descriptions with all that the server adds; 0 leaves it to the disk. How much
// one that is there keeps is the operators' to change. If any other setting is
// not the one it was made with the error names it.
func OpenObjects(ctx context.Context, beside *JetStream, most int64) (*JetStreamObjects, error) {
	o := &JetStreamObjects{Stalled: objectStalled, log: beside}
	if err := o.open(ctx, most); err != nil {
		return nil, err
	}
	if err := assertObjects(o.stream.CachedInfo().Config); err != nil {
		return nil, err
	}
	return o, nil
}

// open makes the stream if it is missing. One that another node has made
// meanwhile, with another limit, is as good.
func (o *JetStreamObjects) open(ctx context.Context, most int64) (err error) {
	for range 2 {
		o.stream, err = o.find(ctx)
		if !errors.Is(err, jetstream.ErrStreamNotFound) {
			return err
		}
		o.stream, err = o.create(ctx, most)
		if !errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			return err
		}
	}
	return err
}

// find is the objects' stream as it is now.
func (o *JetStreamObjects) find(ctx context.Context) (jetstream.Stream, error) {
	ctx, cancel := context.WithTimeout(ctx, o.log.AckWait)
	defer cancel()
	stream, err := o.log.js.Stream(ctx, objectStream)
	if err != nil {
		return nil, fmt.Errorf("open stream %s: %w", objectStream, err)
	}
	return stream, nil
}

// create says what making a stream takes: who may not make one gets no answer.
func (o *JetStreamObjects) create(ctx context.Context, most int64) (jetstream.Stream, error) {
	ctx, cancel := context.WithTimeout(ctx, o.log.AckWait)
	defer cancel()
	replicas := o.log.stream.CachedInfo().Config.Replicas
	stream, err := o.log.js.CreateStream(ctx, objectConfig(replicas, most))
	if err != nil {
		subject := apiPrefix(o.log.js.Options()) + "STREAM.CREATE." + objectStream
		return nil, fmt.Errorf("make stream %s, which is missing: %w; the user must be allowed to publish to %s, and %d MiB of storage must be free",
			objectStream, err, subject, most>>20)
	}
	return stream, nil
}

// assertObjects compares all of the configuration but the limit.
func assertObjects(got jetstream.StreamConfig) error {
	got.Metadata = withoutServerKeys(got.Metadata)
	want := objectConfig(got.Replicas, got.MaxBytes)
	different := differences(reflect.ValueOf(got), reflect.ValueOf(want))
	if len(different) == 0 {
		return nil
	}
	return fmt.Errorf("stream %s is not configured for objects: %s", objectStream, strings.Join(different, "; "))
}

// get reads the first message of a subject at or behind a sequence from whoever
// leads the stream.
func (o *JetStreamObjects) get(ctx context.Context, from uint64, subject string) (*jetstream.RawStreamMsg, error) {
	ctx, cancel := context.WithTimeout(ctx, o.log.AckWait)
	defer cancel()
	return o.stream.GetMsg(ctx, from, jetstream.WithGetMsgSubject(subject))
}

// purge removes all messages of a subject.
func (o *JetStreamObjects) purge(ctx context.Context, subject string) error {
	soon, cancel := context.WithTimeout(ctx, o.log.AckWait)
	defer cancel()
	if err := o.stream.Purge(soon, jetstream.WithPurgeSubject(subject)); err != nil {
		return unavailable(ctx, err)
	}
	return nil
}

// described is an object with the id of its chunks.
type described struct {
	Object
	id string
}

// look finds an object by its name.
func (o *JetStreamObjects) look(ctx context.Context, name string) (described, error) {
	m, err := o.get(ctx, 1, nameSubject(name))
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return described{}, ErrNoObject
	case err != nil:
		return described{}, unavailable(ctx, err)
	}
	return description(m)
}

// description reads what describe wrote. Anything else is ErrCorrupt.
func description(m *jetstream.RawStreamMsg) (described, error) {
	var text jetstream.ObjectInfo
	if err := json.Unmarshal(m.Data, &text); err != nil {
		return described{}, fmt.Errorf("%w: its description at %d: %w", ErrCorrupt, m.Sequence, err)
	}
	digest, err := jetstream.DecodeObjectDigest(text.Digest)
	if err != nil || len(digest) != len(domain.Hash{}) || m.Subject != nameSubject(text.Name) ||
		checkObjectName(text.Name) != nil || !isWord(text.NUID) || text.Size > math.MaxInt64 {
		return described{}, fmt.Errorf("%w: what is at %d does not describe one", ErrCorrupt, m.Sequence)
	}
	return described{Object{text.Name, domain.Hash(digest), int64(text.Size), m.Time}, text.NUID}, nil
}

// Get implements Objects. One chunk is in memory at a time.
func (o *JetStreamObjects) Get(ctx context.Context, name string) (Object, io.ReadCloser, error) {
	err := checkObjectName(name)
	if err != nil {
		return Object{}, nil, err
	}
	d, err := o.look(ctx, name)
	if err != nil {
		return Object{}, nil, fmt.Errorf("open object %s: %w", name, err)
	}
	r := &objectReader{JetStreamObjects: o, ctx: ctx, object: d, sum: sha256.New()}
	return d.Object, r, nil
}

// Delete implements Objects. The name goes first and in any case: chunks without
// one are nobody's, and Sweep finds them.
func (o *JetStreamObjects) Delete(ctx context.Context, name string) error {
	if err := checkObjectName(name); err != nil {
		return err
	}
	d, err := o.look(ctx, name)
	if err == nil || errors.Is(err, ErrNoObject) || errors.Is(err, ErrCorrupt) {
		err = o.purge(ctx, nameSubject(name))
	}
	if err == nil && d.id != "" {
		err = o.purge(ctx, chunkSubject(d.id))
	}
	if err != nil {
		return fmt.Errorf("delete object %s: %w", name, err)
	}
	return nil
}

// List implements Objects. What describes no object ends it with ErrCorrupt.
func (o *JetStreamObjects) List(ctx context.Context, do func(Object) error) error {
	return o.each(ctx, func(d described) error { return do(d.Object) })
}

func (o *JetStreamObjects) each(ctx context.Context, do func(described) error) error {
	for at := uint64(0); ; {
		m, err := o.get(ctx, at+1, objectNames+"*")
		switch {
		case errors.Is(err, jetstream.ErrMsgNotFound):
			return nil
		case err != nil:
			return fmt.Errorf("list objects: %w", unavailable(ctx, err))
		}
		d, err := description(m)
		if err != nil {
			return fmt.Errorf("list objects: %w", err)
		}
		if err := do(d); err != nil {
			return err
		}
		at = m.Sequence
	}
}
