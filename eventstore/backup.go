package eventstore

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/klauspost/compress/zstd"

	"jeton/domain"
)

// A backup is a log and what stands beside it, as one stream of bytes. It begins with
// the line "jeton backup 1"; the number is that of the format. Parts follow:
//
//	kind     1 byte
//	length   4 bytes big endian: of the content
//	stored   4 bytes big endian: of the content as it stands here
//	content  a frame of Zstandard (RFC 8878)
//	digest   SHA-256 of everything in front of it, from the first byte of the backup
//
// so that every byte is vouched for by the next digest, and the last digest vouches
// for all. The kinds, in the order in which they come:
//
//	h  once: JSON, a BackupHeader
//	c  commits: position of the first, 8 bytes; how many, 4 bytes; of each: id, 16
//	   bytes; length of the boundary, 2 bytes; boundary; length of the data, 4 bytes;
//	   data. Then the chain of the log behind the last of them, 32 bytes. Positions go
//	   on from part to part and begin at 1. The chain is that of Head.Next.
//	k  keys: how many, 4 bytes; of each: length of the name, 2 bytes; name; length of
//	   the wrapped key, 4 bytes; wrapped key. Names rise by their bytes, over all parts.
//	o  an object: JSON, its name, digest, size and when it was kept. Names rise as well.
//	b  bytes of the object before, until it has its size; one part of none if that is 0
//	x  instead of a b: the object was deleted meanwhile and is not in this backup
//	e  once, last: JSON, a BackupEnd
//
// Numbers are big endian. Nothing follows the digest of e: a backup that was cut off
// has no e.
const (
	backupName   = "jeton backup "
	backupFormat = 1

	partHeader  = 'h'
	partCommits = 'c'
	partKeys    = 'k'
	partObject  = 'o'
	partBytes   = 'b'
	partGone    = 'x'
	partEnd     = 'e'
)

// Sizes of parts. A reader takes what is larger for damage, whatever the digests say.
const (
	partThings  = 4096     // commits or keys in a part
	partEnough  = 4 << 20  // bytes after which the next part begins
	partChunk   = 1 << 20  // bytes of an object in a part
	partMost    = 32 << 20 // bytes of content
	partSpace   = 64 << 10 // that content may grow when it is compressed
	partOpening = 9        // bytes before the content
)

// BackupHeader says what a backup is of.
type BackupHeader struct {
	Log         string    `json:"log"`          // the store id
	Made        time.Time `json:"made"`         // when it was begun
	Version     string    `json:"version"`      // of the program that made it
	WithObjects bool      `json:"with_objects"` // whether objects are in it
}

// BackupEnd says what is in a backup.
type BackupEnd struct {
	Commits uint64          `json:"commits"`
	Last    domain.Position `json:"last"`
	Chain   domain.Hash     `json:"chain"` // of the whole log
	Keys    uint64          `json:"keys"`
	Objects uint64          `json:"objects"`
	Bytes   int64           `json:"bytes"` // of all objects
	// Contents is the SHA-256 of the contents of all parts c, k and o, but for objects
	// that are not in it after all. The chain says nothing of ids and keys.
	Contents domain.Hash `json:"contents"`

	// Roots are those of the organizations' Merkle trees behind the last commit, if
	// whoever made the backup keeps such trees.
	Roots map[string]Root `json:"roots,omitempty"`
}

// backupObject is an Object as a backup writes it.
type backupObject struct {
	Name   string      `json:"name"`
	Digest domain.Hash `json:"digest"`
	Size   int64       `json:"size"`
	Kept   time.Time   `json:"kept"`
}

// Root is the root of a Merkle tree and how many leaves it has.
type Root struct {
	Size uint64      `json:"size"`
	Root domain.Hash `json:"root"`
}

// BackupSource is what a backup is made of.
type BackupSource struct {
	BackupHeader
	// Until is where the backup ends.
	Until Head
	// Records hands all records up to Until to do, in order. They are held against
	// their chain: a source that is damaged makes no backup.
	Records func(ctx context.Context, do func(Record) error) error
	// Keys and Objects are those beside the log. Nil: there are none, or they are
	// left out.
	Keys    Keys
	Objects Objects
	// Roots, if not nil, are asked for when all records are written.
	Roots func(ctx context.Context, until Head) (map[string]Root, error)
}

// WriteBackup writes a backup. Keys are read behind the commits, so that all that
// those need are there, but for the keys of people who were erased by then; objects
// last. The error of a source that is damaged is Damage.
func WriteBackup(ctx context.Context, s BackupSource, to io.Writer) (BackupEnd, error) {
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false))
	if err != nil {
		return BackupEnd{}, err
	}
	defer encoder.Close()
	buffer := bufio.NewWriterSize(to, 64<<10)
	sum := sha256.New()
	w := &backupWriter{to: io.MultiWriter(buffer, sum), sum: sum, encoder: encoder, contents: sha256.New()}
	if err := w.write(ctx, s); err != nil {
		return BackupEnd{}, err
	}
	return w.end, buffer.Flush()
}

// backupWriter is a backup on its way.
type backupWriter struct {
	to      io.Writer // and sum
	sum     hash.Hash
	encoder *zstd.Encoder
	stored  []byte // room for the next content

	head     Head
	contents hash.Hash
	end      BackupEnd
}

func (w *backupWriter) write(ctx context.Context, s BackupSource) (err error) {
	if _, err := fmt.Fprintf(w.to, "%s%d\n", backupName, backupFormat); err != nil {
		return err
	}
	s.WithObjects = s.Objects != nil
	if err := w.document(partHeader, s.BackupHeader); err != nil {
		return err
	}
	if err := w.commits(ctx, s); err != nil {
		return err
	}
	if s.Roots != nil {
		if w.end.Roots, err = s.Roots(ctx, s.Until); err != nil {
			return fmt.Errorf("the roots of the trees: %w", err)
		}
	}
	if err := w.keys(ctx, s.Keys); err != nil {
		return err
	}
	if err := w.objects(ctx, s.Objects); err != nil {
		return err
	}
	w.end.Commits, w.end.Last, w.end.Chain = uint64(w.head.Position), w.head.Position, w.head.Chain
	w.contents.Sum(w.end.Contents[:0])
	return w.document(partEnd, w.end)
}

// part writes one part.
func (w *backupWriter) part(kind byte, content []byte) error {
	if len(content) > partMost {
		return fmt.Errorf("a part of a backup has %d bytes: %w", len(content), ErrTooLarge)
	}
	w.stored = w.encoder.EncodeAll(content, w.stored[:0])
	opening := []byte{kind}
	opening = binary.BigEndian.AppendUint32(opening, uint32(len(content)))
	opening = binary.BigEndian.AppendUint32(opening, uint32(len(w.stored)))
	for _, piece := range [][]byte{opening, w.stored} {
		if _, err := w.to.Write(piece); err != nil {
			return err
		}
	}
	_, err := w.to.Write(w.sum.Sum(nil)) // into sum as well: the next digest is of this one, too
	return err
}

func (w *backupWriter) document(kind byte, value any) error {
	text, err := json.Marshal(value, json.Deterministic(true))
	if err != nil {
		return err
	}
	return w.part(kind, text)
}

// commits writes all commits and holds them against their chain.
func (w *backupWriter) commits(ctx context.Context, s BackupSource) error {
	var p pile
	first := domain.Position(1)
	flush := func() error {
		content := binary.BigEndian.AppendUint64(nil, uint64(first))
		content = binary.BigEndian.AppendUint32(content, p.things)
		content = append(append(content, p.content...), w.head.Chain[:]...)
		first = w.head.Position + 1
		p.clear()
		w.contents.Write(content)
		return w.part(partCommits, content)
	}
	err := s.Records(ctx, func(r Record) error {
		next := w.head.Next(r.Entry)
		if r.Position != next.Position || r.Chain != next.Chain {
			return &Damage{next.Position, "the commit does not follow from those before it"}
		}
		if err := r.check(); err != nil {
			return &Damage{r.Position, err.Error()}
		}
		w.head = next.Head()
		p.add(r.ID[:], sized16(string(r.Boundary)), sized32(r.Data))
		if p.full() {
			return flush()
		}
		return nil
	})
	switch {
	case err != nil:
		return err
	case w.head.Position < s.Until.Position:
		return &Damage{w.head.Position + 1, fmt.Sprintf("the commit is missing: they should go up to %d", s.Until.Position)}
	case w.head != s.Until:
		return otherHistory(w.head.Position)
	case p.things > 0:
		return flush()
	}
	return nil
}

// pile is what the next part is made of.
type pile struct {
	things  uint32
	content []byte
}

func (p *pile) add(pieces ...[]byte) {
	for _, piece := range pieces {
		p.content = append(p.content, piece...)
	}
	p.things++
}

func (p *pile) full() bool { return p.things == partThings || len(p.content) >= partEnough }

func (p *pile) clear() { p.things, p.content = 0, p.content[:0] }

func sized16(text string) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(text))), text...)
}

func sized32(data []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(data))), data...)
}

func (w *backupWriter) keys(ctx context.Context, keys Keys) error {
	if keys == nil {
		return nil
	}
	type key struct {
		name    string
		wrapped []byte
	}
	var all []key
	err := keys.All(ctx, func(name string, wrapped []byte) error {
		all = append(all, key{name, wrapped})
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the keys: %w", err)
	}
	slices.SortFunc(all, func(a, b key) int { return strings.Compare(a.name, b.name) })
	var p pile
	for i, k := range all {
		p.add(sized16(k.name), sized32(k.wrapped))
		w.end.Keys++
		if !p.full() && i < len(all)-1 {
			continue
		}
		content := append(binary.BigEndian.AppendUint32(nil, p.things), p.content...)
		w.contents.Write(content)
		if err := w.part(partKeys, content); err != nil {
			return err
		}
		p.clear()
	}
	return nil
}

func (w *backupWriter) objects(ctx context.Context, objects Objects) error {
	if objects == nil {
		return nil
	}
	var names []string
	err := objects.List(ctx, func(o Object) error { names = append(names, o.Name); return nil })
	if err != nil {
		return err
	}
	slices.Sort(names)
	for _, name := range names {
		if err := w.object(ctx, objects, name); err != nil {
			return err
		}
	}
	return nil
}

// object writes one object, or nothing if it was deleted since it was listed.
func (w *backupWriter) object(ctx context.Context, objects Objects, name string) error {
	o, content, err := objects.Get(ctx, name)
	if errors.Is(err, ErrNoObject) {
		return nil
	}
	if err != nil {
		return err
	}
	defer content.Close()
	text, err := json.Marshal(backupObject(o))
	if err == nil {
		err = w.part(partObject, text)
	}
	if err == nil {
		err = w.bytes(content)
	}
	switch {
	case errors.Is(err, ErrNoObject):
		return w.part(partGone, nil)
	case err == nil:
		w.contents.Write(text)
		w.end.Objects++
		w.end.Bytes += o.Size
	}
	return err
}

// bytes writes one part at least, also of nothing.
func (w *backupWriter) bytes(content io.Reader) error {
	chunk := make([]byte, partChunk)
	for first := true; ; first = false {
		n, err := io.ReadFull(content, chunk)
		if n > 0 || first && errors.Is(err, io.EOF) {
			if err := w.part(partBytes, chunk[:n]); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return nil
		case err != nil:
			return err
		}
	}
}
