package eventstore

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/klauspost/compress/zstd"

	"jeton/domain"
)

// What a file can be instead of a whole backup.
var (
	// ErrNoBackup: it is something else.
	ErrNoBackup = errors.New("it is no backup of this service")
	// ErrBackupFormat: it is a backup that another version of this program reads.
	ErrBackupFormat = errors.New("the backup has another format")
)

// BadBackup says where a backup is not what was written.
type BadBackup struct {
	Part     int             // from 1
	Offset   int64           // of the part, in bytes from the beginning of the backup
	Position domain.Position // of the last commit before it that is whole
	What     string
}

func (b *BadBackup) Error() string {
	return fmt.Sprintf("the backup is damaged in part %d, which begins at byte %d, behind commit %d: %s", b.Part, b.Offset, b.Position, b.What)
}

// BackupTaker takes what is in a backup, in its order. What is nil lets it pass by.
// A part is handed over when it has been checked, the object's content while it is:
// it ends with an error in front of its last bytes if it is not what was stored, and
// with ErrNoObject if it is not in the backup after all.
type BackupTaker struct {
	Header func(BackupHeader) error
	Record func(Record) error
	Key    func(name string, wrapped []byte) error
	Object func(o Object, content io.Reader) error
}

// ReadBackup reads a backup to its end and answers what it says of itself. Whatever
// is wrong with it is BadBackup, ErrNoBackup or ErrBackupFormat; who must not take
// half of one reads it twice, and takes nothing the first time. It needs little
// memory, whoever has written the backup.
func ReadBackup(from io.Reader, take BackupTaker) (BackupHeader, BackupEnd, error) {
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(partMost), zstd.WithDecoderMaxWindow(partMost))
	if err != nil {
		return BackupHeader{}, BackupEnd{}, err
	}
	defer decoder.Close()
	r := &backupReader{in: bufio.NewReaderSize(from, 64<<10), sum: sha256.New(), decoder: decoder, take: take, contents: sha256.New()}
	err = r.read()
	return r.header, r.end, err
}

// backupReader is a backup being read.
type backupReader struct {
	in      *bufio.Reader
	sum     hash.Hash // of all bytes before at
	at      int64
	part    int   // number of the part that is read
	begins  int64 // where it does
	decoder *zstd.Decoder
	take    BackupTaker

	stage    int
	header   BackupHeader
	head     Head
	key      string // the last one
	object   string // the last one's name
	contents hash.Hash
	seen     BackupEnd // counted on the way
	end      BackupEnd
}

func (r *backupReader) bad(format string, args ...any) error {
	return &BadBackup{r.part, r.begins, r.head.Position, fmt.Sprintf(format, args...)}
}

func (r *backupReader) read() error {
	if err := r.opening(); err != nil {
		return err
	}
	for {
		kind, content, err := r.next()
		if err != nil {
			return err
		}
		if err := r.follows(kind); err != nil {
			return err
		}
		if err := r.accept(kind, content); err != nil {
			return err
		}
		if kind == partEnd {
			return r.ended()
		}
	}
}

// opening reads the first line.
func (r *backupReader) opening() error {
	line := make([]byte, 0, len(backupName)+8)
	for len(line) < cap(line) {
		b, err := r.in.ReadByte()
		if err != nil {
			break
		}
		line = append(line, b)
		if b == '\n' {
			break
		}
	}
	number, ours := strings.CutPrefix(string(line), backupName)
	number, whole := strings.CutSuffix(number, "\n")
	format, err := strconv.ParseUint(number, 10, 16)
	switch {
	case !ours, !whole, err != nil:
		return ErrNoBackup
	case format > backupFormat:
		return fmt.Errorf("%w: it has format %d and this program knows %d; it needs a newer version of this program", ErrBackupFormat, format, backupFormat)
	case format != backupFormat:
		return fmt.Errorf("%w: there is no format %d", ErrBackupFormat, format)
	}
	r.sum.Write(line)
	r.at = int64(len(line))
	return nil
}

// next reads a part and checks its digest.
func (r *backupReader) next() (kind byte, content []byte, err error) {
	r.part, r.begins = r.part+1, r.at
	opening, err := r.bytes(partOpening)
	if err != nil {
		return 0, nil, err
	}
	kind = opening[0]
	length, stored := binary.BigEndian.Uint32(opening[1:]), binary.BigEndian.Uint32(opening[5:])
	if length > partMost || stored > length+partSpace {
		return 0, nil, r.bad("it claims to have %d bytes", length)
	}
	packed, err := r.bytes(int(stored))
	if err != nil {
		return 0, nil, err
	}
	want := r.sum.Sum(nil)
	digest, err := r.bytes(sha256.Size)
	switch {
	case err != nil:
		return 0, nil, err
	case !bytes.Equal(want, digest):
		return 0, nil, r.bad("its digest is another")
	}
	content, err = r.decoder.DecodeAll(packed, make([]byte, 0, length))
	if err != nil || len(content) != int(length) {
		return 0, nil, r.bad("it can't be unpacked to %d bytes", length)
	}
	return kind, content, nil
}

// bytes reads so many. Memory is taken as they come, not as they are claimed.
func (r *backupReader) bytes(n int) ([]byte, error) {
	var b bytes.Buffer
	read, err := io.CopyN(&b, r.in, int64(n))
	r.at += read
	r.sum.Write(b.Bytes())
	switch {
	case errors.Is(err, io.EOF):
		return nil, r.bad("the backup was cut off here, at byte %d", r.at)
	case err != nil:
		return nil, fmt.Errorf("read the backup at byte %d: %w", r.at, err)
	}
	return b.Bytes(), nil
}

// stages are the order of parts.
var stages = map[byte]int{partHeader: 1, partCommits: 2, partKeys: 3, partObject: 4, partEnd: 5}

func (r *backupReader) follows(kind byte) error {
	stage, known := stages[kind]
	first := r.stage == 0
	switch {
	case !known, first != (kind == partHeader), stage < r.stage:
		return r.bad("a part of the kind %q does not belong here", kind)
	}
	r.stage = stage
	return nil
}

func (r *backupReader) accept(kind byte, content []byte) error {
	switch kind {
	case partHeader:
		if err := r.document(content, &r.header); err != nil {
			return err
		}
		return given(r.take.Header, r.header)
	case partCommits:
		r.contents.Write(content)
		return r.commits(fields{rest: content})
	case partKeys:
		r.contents.Write(content)
		return r.keys(fields{rest: content})
	case partObject:
		return r.accepted(content)
	}
	return r.document(content, &r.end)
}

func given[T any](take func(T) error, value T) error {
	if take == nil {
		return nil
	}
	return take(value)
}

func (r *backupReader) document(content []byte, into any) error {
	if err := json.Unmarshal(content, into, json.RejectUnknownMembers(true)); err != nil {
		return r.bad("it can't be read: %v", err)
	}
	return nil
}

// fields takes content apart. Once there is too little of it, short is true and stays so.
type fields struct {
	rest  []byte
	short bool
}

func (f *fields) take(n uint64) []byte {
	if n > uint64(len(f.rest)) {
		f.short, f.rest = true, nil
		return nil
	}
	field := f.rest[:n:n]
	f.rest = f.rest[n:]
	return field
}

func (f *fields) number(size uint64) (n uint64) {
	for _, b := range f.take(size) {
		n = n<<8 | uint64(b)
	}
	return n
}

func (r *backupReader) commits(f fields) error {
	first, count := f.number(8), f.number(4)
	if first != uint64(r.head.Position)+1 {
		return r.bad("it begins with commit %d", first)
	}
	whole := r.head
	records := make([]Record, 0, min(count, partThings))
	for range count {
		var e Entry
		copy(e.ID[:], f.take(uint64(len(e.ID))))
		e.Boundary = domain.Boundary(f.take(f.number(2)))
		e.Data = f.take(f.number(4))
		if f.short || count > partThings {
			return r.bad("it does not have the %d commits that it claims", count)
		}
		if err := e.check(); err != nil {
			return r.bad("commit %d: %v", whole.Position+1, err)
		}
		next := whole.Next(e)
		whole, records = next.Head(), append(records, next)
	}
	chain := f.take(uint64(len(whole.Chain)))
	switch {
	case f.short, len(f.rest) > 0, count == 0:
		return r.bad("it does not have the %d commits that it claims", count)
	case !bytes.Equal(chain, whole.Chain[:]):
		return r.bad("commits %d to %d do not lead to the chain that it names", first, whole.Position)
	}
	for _, record := range records {
		if err := given(r.take.Record, record); err != nil {
			return err
		}
		r.head = record.Head()
	}
	return nil
}

func (r *backupReader) keys(f fields) error {
	for range f.number(4) {
		name := string(f.take(f.number(2)))
		wrapped := f.take(f.number(4))
		switch {
		case f.short:
			return r.bad("it is too short for its keys")
		case checkKeyName(name) != nil:
			return r.bad("%v", checkKeyName(name))
		case name <= r.key:
			return r.bad("the key %s does not come behind %s", name, r.key)
		}
		r.key = name
		r.seen.Keys++
		if r.take.Key != nil {
			if err := r.take.Key(name, wrapped); err != nil {
				return err
			}
		}
	}
	if f.short || len(f.rest) > 0 {
		return r.bad("it does not end with its keys")
	}
	return nil
}

// accepted reads an object with the parts behind it.
func (r *backupReader) accepted(text []byte) error {
	var described backupObject
	if err := r.document(text, &described); err != nil {
		return err
	}
	o := Object(described)
	switch {
	case !r.header.WithObjects:
		return r.bad("the backup says that it has no objects")
	case checkObjectName(o.Name) != nil:
		return r.bad("%v", checkObjectName(o.Name))
	case o.Name <= r.object:
		return r.bad("object %s does not come behind %s", o.Name, r.object)
	case o.Size < 0:
		return r.bad("object %s has %d bytes", o.Name, o.Size)
	}
	r.object = o.Name
	content := &backupContent{r: r, object: o, sum: sha256.New()}
	if r.take.Object != nil {
		if err := r.take.Object(o, content); err != nil && content.failed() == nil && !content.gone() {
			return err
		}
	}
	if _, err := io.Copy(io.Discard, content); err != nil && !content.gone() {
		return err
	}
	if !content.gone() {
		r.contents.Write(text)
		r.seen.Objects++
		r.seen.Bytes += o.Size
	}
	return nil
}

// backupContent reads the content of an object.
type backupContent struct {
	r      *backupReader
	object Object
	sum    hash.Hash
	read   int64
	begun  bool
	rest   []byte
	err    error
}

func (c *backupContent) gone() bool { return errors.Is(c.err, ErrNoObject) }

// failed is what was wrong with the backup, not with whoever took the content.
func (c *backupContent) failed() error {
	if errors.Is(c.err, io.EOF) {
		return nil
	}
	return c.err
}

// Read implements io.Reader.
func (c *backupContent) Read(p []byte) (int, error) {
	for len(c.rest) == 0 && c.err == nil {
		c.rest, c.err = c.advance()
	}
	if len(c.rest) == 0 {
		return 0, c.err
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

func (c *backupContent) advance() ([]byte, error) {
	if c.begun && c.read == c.object.Size {
		return nil, io.EOF
	}
	kind, content, err := c.r.next()
	if err != nil {
		return nil, err
	}
	c.begun = true
	c.read += int64(len(content))
	c.sum.Write(content)
	switch {
	case kind == partGone && len(content) == 0:
		return nil, ErrNoObject
	case kind != partBytes, len(content) == 0 && c.object.Size > 0, c.read > c.object.Size:
		return nil, c.r.bad("it does not go on with object %s", c.object.Name)
	case c.read == c.object.Size && domain.Hash(c.sum.Sum(nil)) != c.object.Digest:
		return nil, c.r.bad("object %s is not what was stored", c.object.Name)
	}
	return content, nil
}

// ended compares what was read with what the backup says of itself.
func (r *backupReader) ended() error {
	r.seen.Commits, r.seen.Last, r.seen.Chain = uint64(r.head.Position), r.head.Position, r.head.Chain
	r.contents.Sum(r.seen.Contents[:0])
	said := r.end
	said.Roots = nil
	switch {
	case said.Commits != r.seen.Commits, said.Last != r.seen.Last, said.Chain != r.seen.Chain:
		return r.bad("it should have %d commits up to %d, and has %d", said.Commits, said.Last, r.seen.Commits)
	case said.Keys != r.seen.Keys, said.Objects != r.seen.Objects, said.Bytes != r.seen.Bytes, said.Contents != r.seen.Contents:
		return r.bad("the ids, %d keys and %d objects are not those that it should have", said.Keys, said.Objects)
	}
	if _, err := r.in.ReadByte(); !errors.Is(err, io.EOF) {
		return r.bad("something stands behind the end, at byte %d", r.at)
	}
	return nil
}
