package eventstore

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"jeton/domain"
)

// Store is the log. Memory and JetStream keep it; package eventstoretest says
// what every store promises.
type Store interface {
	// Append adds the entry behind the commit of its boundary that stands at
	// after (0: the boundary has none yet) and answers its position once it is
	// on disk. If the boundary's last commit stands elsewhere the answer is
	// ErrConflict and nothing was added. An entry whose id is already in the
	// log directly behind after is not added again: the answer is where it
	// stands. ErrUnknown means that nobody could say whether the entry was added.
	Append(ctx context.Context, e Entry, after domain.Position) (domain.Position, error)

	// Follow hands every commit behind from to do, in order and without a gap,
	// first those that are there and then those that come, until ctx ends, do
	// fails or the log turns out to be damaged (Damage).
	Follow(ctx context.Context, from Head, do func(Record) error) error

	// Last is the position of the newest commit, 0 for an empty log. It is asked
	// of whoever decides, never of a copy that may lag.
	Last(ctx context.Context) (domain.Position, error)
}

// Entry is a commit on its way into the log.
type Entry struct {
	ID       domain.CommandID
	Boundary domain.Boundary
	Data     []byte // the encoded commit; see Encode
}

// Record is a commit as the log keeps it.
type Record struct {
	Entry
	Position domain.Position
	Chain    domain.Hash // of the log up to and including this record
	sum      domain.Hash // of Data, if Next has made the record
}

// Head is how far somebody has read, and what they had read by then. Two logs
// with equal heads hold the same commits.
type Head struct {
	Position domain.Position
	Chain    domain.Hash
}

// Head is where a reader of this record stands.
func (r Record) Head() Head { return Head{r.Position, r.Chain} }

// Next is the record that e makes behind h, with its link of the chain:
//
//	SHA-256(chain before ‖ position, 8 bytes big endian ‖ length of the boundary,
//	        2 bytes big endian ‖ boundary ‖ SHA-256(data))
func (h Head) Next(e Entry) Record {
	r := Record{Entry: e, Position: h.Position + 1, sum: e.Sum()}
	text := make([]byte, 0, 128)
	text = append(text, h.Chain[:]...)
	text = binary.BigEndian.AppendUint64(text, uint64(r.Position))
	text = binary.BigEndian.AppendUint16(text, uint16(len(e.Boundary)))
	text = append(text, e.Boundary...)
	text = append(text, r.sum[:]...)
	r.Chain = sha256.Sum256(text)
	return r
}

// Sum is what the boundary's next commit names as the one before it.
func (r Record) Sum() domain.Hash {
	if r.sum.IsZero() {
		return r.Entry.Sum()
	}
	return r.sum
}

// What can become of an Append or a Follow besides success.
var (
	// ErrConflict: the boundary has moved on. Follow up, decide again.
	ErrConflict = errors.New("another commit came first")
	// ErrUnknown: the log did not say whether it has the entry. Whoever sends
	// the same command again gets the truth.
	ErrUnknown = errors.New("the log did not confirm; whether it has the commit is unknown")
	// ErrUnavailable: the log cannot be reached or cannot write. Nothing was added.
	ErrUnavailable = errors.New("the log is not available")
	// ErrTooLarge: the entry is larger than the log takes. Nothing was added.
	ErrTooLarge = errors.New("the commit is larger than the log takes")
)

// Damage says that the log is not what was written: it has a hole, went
// backwards, or tells another history than before. Nothing is served from it.
type Damage struct {
	Position domain.Position // the first position that is wrong
	What     string
}

func (d *Damage) Error() string {
	return fmt.Sprintf("the log is damaged at position %d: %s", d.Position, d.What)
}
