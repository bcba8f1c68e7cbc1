package eventstore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Whether a platform has a log.
var (
	// ErrNoLog: there is no log here. It is made once, with Create.
	ErrNoLog = errors.New("there is no log here")
	// ErrLogExists: there is a log already; a platform is founded once.
	ErrLogExists = errors.New("there is a log here already")
)

const (
	streamName    = "JETON_0" // the number is the shard; there is one
	subjectPrefix = "jeton.0."

	// logSchema changes when messages are laid out another way.
	logSchema   = "1"
	logShard    = "0"
	keySchema   = "schema"
	keyShard    = "shard"
	keyStoreID  = "store-id"
	keyOfServer = "_nats." // what the server notes on its own, such as its version
)

// streamConfig is the only configuration under which the log keeps its promises:
// nothing is deleted, purged, rolled up, or let go for age or size, and nothing
// is acknowledged before it is written.
//
// Nothing is compressed, though it would take a fifth of the disk: when one bit of
// a compressed block is flipped and the server starts after a crash, it deletes
// the whole log (measured, 2.15.2). Of a plain block it drops the commits behind
// the bit, which the follower sees and SQL still has.
//
// Direct reads are off, though one replica could have them: a follower would
// answer them from behind, and so every lookup goes to whoever leads.
func streamConfig(storeID string, replicas int) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:              streamName,
		Subjects:          []string{subjectPrefix + ">"},
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
		DenyDelete:        true,
		DenyPurge:         true,
		PersistMode:       jetstream.DefaultPersistMode,
		Metadata:          map[string]string{keySchema: logSchema, keyShard: logShard, keyStoreID: storeID},
	}
}

// Create founds the log of a new platform on one replica or on three. It never
// touches a log that is there: that is ErrLogExists. It cannot see a log that the
// server has but cannot read (StartEmbedded can), so it is for the founding, once,
// and never the answer to ErrNoLog where there has been a log before.
func Create(ctx context.Context, js jetstream.JetStream, replicas int) (*JetStream, error) {
	if !allowedReplicas(replicas) {
		return nil, fmt.Errorf("create the log: %d replicas; one or three belong", replicas)
	}
	// The random store id keeps the server from taking this for the log it has.
	_, err := js.CreateStream(ctx, streamConfig(newStoreID(), replicas))
	switch {
	case errors.Is(err, jetstream.ErrStreamNameAlreadyInUse):
		return nil, ErrLogExists
	case err != nil:
		return nil, fmt.Errorf("create the log: %w", err)
	}
	return Open(ctx, js)
}

func newStoreID() string { return rand.Text() }

// Open opens the log that Create made and changes nothing. If there is none the
// answer is ErrNoLog. If its configuration is not to the letter the one of
// Create the error names every setting that differs.
func Open(ctx context.Context, js jetstream.JetStream) (*JetStream, error) {
	stream, err := js.Stream(ctx, streamName)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return nil, ErrNoLog
	case err != nil:
		return nil, fmt.Errorf("open the log: %w", err)
	}
	config := stream.CachedInfo().Config
	if unfinished(config) {
		return nil, ErrUnfinished
	}
	if err := assertConfig(config); err != nil {
		return nil, err
	}
	return newJetStream(js, stream), nil
}

// assertConfig compares the whole configuration, also settings that this code
// has never heard of, and names all that differ.
func assertConfig(got jetstream.StreamConfig) error {
	got.Metadata = withoutServerKeys(got.Metadata)
	replicas := got.Replicas
	if !allowedReplicas(replicas) {
		replicas = 1
	}
	want := streamConfig(got.Metadata[keyStoreID], replicas)
	different := differences(reflect.ValueOf(got), reflect.ValueOf(want))
	if got.Metadata[keyStoreID] == "" {
		different = append(different, "metadata has no "+keyStoreID)
	}
	if len(different) == 0 {
		return nil
	}
	return fmt.Errorf("stream %s is not configured as a log: %s", streamName, strings.Join(different, "; "))
}

// allowedReplicas: two are slower than one and no safer; an even number never is.
func allowedReplicas(n int) bool { return n == 1 || n >= 3 && n%2 == 1 }

func withoutServerKeys(metadata map[string]string) map[string]string {
	own := maps.Clone(metadata)
	maps.DeleteFunc(own, func(key, _ string) bool { return strings.HasPrefix(key, keyOfServer) })
	return own
}

// differences lists the fields of two structs that differ by their names in JSON.
func differences(got, want reflect.Value) (list []string) {
	for i := range got.NumField() {
		g, w := got.Field(i).Interface(), want.Field(i).Interface()
		if !reflect.DeepEqual(g, w) {
			name, _, _ := strings.Cut(got.Type().Field(i).Tag.Get("json"), ",")
			list = append(list, fmt.Sprintf("%s is %v, not %v", name, g, w))
		}
	}
	return list
}
