package eventstore

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Keys keeps keys beside the log, because a log never forgets and a key has to be
// forgotten when a person is erased. What it keeps is wrapped already (Vault): whoever
// reads it reads nothing. MemoryKeys and JetStreamKeys keep them;
// eventstoretest.RunKeys says what both promise.
type Keys interface {
	// Put keeps a wrapped key under a name. The answer comes when it is on disk. If
	// the name has or had one already it is ErrKeyExists, and nothing was changed.
	Put(ctx context.Context, name string, wrapped []byte) error

	// Replace puts a wrapped key in the place of another. If the name has another
	// one than was, or none, it is ErrConflict.
	Replace(ctx context.Context, name string, was, wrapped []byte) error

	// Delete forgets a key for ever, also on disk; that there is none is no error. The
	// name is not free again: a node that has not heard of it must not make another key,
	// which would look as if what the first has sealed were forged.
	Delete(ctx context.Context, name string) error

	// Get is the key under a name; none, or none any more, is ErrNoKey.
	Get(ctx context.Context, name string) ([]byte, error)

	// All hands every key to do, in no order, until do fails.
	All(ctx context.Context, do func(name string, wrapped []byte) error) error
}

// What keys can say.
var (
	ErrKeyExists = errors.New("there is or was a key of that name already")
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
