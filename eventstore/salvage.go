package eventstore

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/minio/highwayhash"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"jeton/domain"
)

// Copy is what can still be read of a log, commit by commit.
type Copy interface {
	// At is the commit at a position, as it was stored, if it can be read.
	At(ctx context.Context, p domain.Position) (e Entry, there bool, err error)
	// Last is the last position that is known of, readable or not.
	Last() domain.Position
}

// Files is a log as its files have it. They are read without a server, which would
// delete or cut what it cannot read, and nothing is changed. What is damaged costs
// no more than itself: behind it the next commit is searched for.
type Files struct {
	StoreID string // empty: the files do not say
	Faults  []Fault

	folder string
	blocks []string
	places []filePlace // by position, from 1
	known  domain.Position
}

// Fault is something in the files that is not as it was written. It need not be a
// commit that is lost.
type Fault struct {
	File   string
	Offset int64 // -1: it is about the whole file
	What   string
}

func (f Fault) String() string {
	if f.Offset < 0 {
		return fmt.Sprintf("%s: %s", f.File, f.What)
	}
	return fmt.Sprintf("%s, byte %d: %s", f.File, f.Offset, f.What)
}

// filePlace is where a record stands; of length 0: nowhere.
type filePlace struct{ block, offset, length uint32 }

// LogFiles is the folder in which the embedded server of a data directory has the log.
func LogFiles(dir string) string {
	return newKeeper(dir, (EmbeddedConfig{Dir: dir}).options().StoreDir).files
}

// KeptFiles is the folder that holds on to the files of a log while a server starts,
// and behind one that has deleted it.
func KeptFiles(dir string) string {
	return newKeeper(dir, (EmbeddedConfig{Dir: dir}).options().StoreDir).links
}

// ReadFiles reads the folder of a log. A folder that is not there has no commits.
func ReadFiles(folder string) (*Files, error) {
	f := &Files{folder: folder}
	if err := f.readMeta(); err != nil {
		return nil, err
	}
	if err := f.readBlocks(); err != nil {
		return nil, err
	}
	return f, f.readIndex()
}

func (f *Files) fault(file string, offset int64, format string, args ...any) {
	f.Faults = append(f.Faults, Fault{file, offset, fmt.Sprintf(format, args...)})
}

// readMeta reads the stream's configuration, for the name of the log.
func (f *Files) readMeta() error {
	text, err := os.ReadFile(filepath.Join(f.folder, server.JetStreamMetaFile))
	if errors.Is(err, fs.ErrNotExist) {
		f.fault(server.JetStreamMetaFile, -1, "it is missing")
		return nil
	}
	if err != nil {
		return err
	}
	sum, err := os.ReadFile(filepath.Join(f.folder, server.JetStreamMetaFileSum))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var meta struct {
		Name     string            `json:"name"`
		Metadata map[string]string `json:"metadata"`
	}
	switch err := json.Unmarshal(text, &meta); {
	case err != nil, meta.Name != streamName:
		f.fault(server.JetStreamMetaFile, -1, "it can't be read")
	case string(sum) != hex.EncodeToString(checksum(streamName, text)):
		f.fault(server.JetStreamMetaFile, -1, "its checksum is another")
	case meta.Metadata[keyUnfinished] != "":
		f.fault(server.JetStreamMetaFile, -1, "the log was being made, and that broke off")
		f.StoreID = meta.Metadata[keyStoreID]
	default:
		f.StoreID = meta.Metadata[keyStoreID]
	}
	return nil
}

// checksum is the server's own: HighwayHash with a key that is made of a name.
func checksum(name string, data ...[]byte) []byte {
	h := newChecksum(name)
	for _, d := range data {
		_, _ = h.Write(d)
	}
	return h.Sum(nil)
}

func newChecksum(name string) hash.Hash64 {
	key := sha256.Sum256([]byte(name))
	h, err := highwayhash.New64(key[:])
	if err != nil {
		panic(err) // for keys of other lengths only
	}
	return h
}

const (
	messageFolder = "msgs"
	blockSuffix   = ".blk"
	indexFile     = "index.db"
	blockLargest  = 64 << 20 // a message more than a block of the server's largest
)

func (f *Files) readBlocks() error {
	entries, err := os.ReadDir(filepath.Join(f.folder, messageFolder))
	if errors.Is(err, fs.ErrNotExist) {
		f.fault(messageFolder, -1, "it is missing")
		return nil
	}
	if err != nil {
		return err
	}
	var numbers []uint32
	for _, e := range entries {
		name, is := strings.CutSuffix(e.Name(), blockSuffix)
		if n, err := strconv.ParseUint(name, 10, 32); is && err == nil {
			numbers = append(numbers, uint32(n))
		}
	}
	slices.Sort(numbers)
	for _, n := range numbers {
		if err := f.readBlock(n); err != nil {
			return err
		}
	}
	return nil
}

func (f *Files) readBlock(number uint32) error {
	name := filepath.Join(messageFolder, strconv.FormatUint(uint64(number), 10)+blockSuffix)
	path := filepath.Join(f.folder, name)
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.Size() > blockLargest {
		f.fault(name, -1, "it has %d bytes, and no such file has so many", info.Size())
		return nil
	}
	block, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	f.blocks = append(f.blocks, path)
	b := blockReader{data: block, sum: newChecksum(fmt.Sprintf("%s-%d", streamName, number))}
	for at := 0; at < len(block); {
		m, ok := b.message(at)
		if !ok {
			next := b.search(at + 1)
			f.fault(name, int64(at), "%d bytes can't be read, behind commit %d", next-at, f.Last())
			at = next
			continue
		}
		f.place(name, m)
		at += m.length
	}
	return nil
}

// place remembers where a commit stands. Of two at one position the first counts.
func (f *Files) place(name string, m blockMessage) {
	const farthest = 1 << 26 // commits that can be missing before one
	switch {
	case m.seq&(erased|tombstone) != 0 || m.seq == 0:
		return // the server's own remarks
	case m.seq > uint64(len(f.places))+farthest:
		f.fault(name, int64(m.at), "a commit claims to be the one at %d", m.seq)
		return
	case m.seq <= uint64(len(f.places)) && f.places[m.seq-1].length > 0:
		f.fault(name, int64(m.at), "there are two commits at %d", m.seq)
		return
	case m.seq != uint64(len(f.places))+1:
		f.fault(name, int64(m.at), "commit %d follows commit %d", m.seq, len(f.places))
	}
	for uint64(len(f.places)) < m.seq {
		f.places = append(f.places, filePlace{})
	}
	f.places[m.seq-1] = filePlace{uint32(len(f.blocks) - 1), uint32(m.at), uint32(m.length)}
}

// readIndex sees how far the server thinks that it was. An index that is not whole
// is made again by the server, from the blocks.
func (f *Files) readIndex() error {
	name := filepath.Join(messageFolder, indexFile)
	data, err := os.ReadFile(filepath.Join(f.folder, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	const ends = highwayhash.Size64
	if len(data) < 32 || !bytes.Equal(checksum(streamName, data[:len(data)-ends]), data[len(data)-ends:]) {
		return nil
	}
	last := indexLast(data[2:])
	if f.known = domain.Position(last); f.known > domain.Position(len(f.places)) {
		f.fault(name, -1, "the server had commits up to %d, and the files end at %d", last, len(f.places))
	}
	return nil
}

// indexLast is the last sequence in the server's index: the fifth number, behind how
// many messages, how many bytes, the first sequence and its time.
func indexLast(data []byte) (n uint64) {
	for range 5 {
		value, size := binary.Uvarint(data)
		if size <= 0 {
			return 0
		}
		n, data = value, data[size:]
	}
	return n
}

// Last implements Copy.
func (f *Files) Last() domain.Position { return max(domain.Position(len(f.places)), f.known) }

// At implements Copy.
func (f *Files) At(_ context.Context, p domain.Position) (e Entry, there bool, err error) {
	if p == 0 || p > domain.Position(len(f.places)) || f.places[p-1].length == 0 {
		return e, false, nil
	}
	at := f.places[p-1]
	file, err := os.Open(f.blocks[at.block])
	if err != nil {
		return e, false, err
	}
	defer file.Close()
	data := make([]byte, at.length)
	if _, err := file.ReadAt(data, int64(at.offset)); err != nil {
		return e, false, err
	}
	e, err = entryOf(data)
	return e, err == nil, nil // what is no commit of ours is not there
}

// A message stands in a block as
//
//	length    4 bytes little endian: of all of it; the highest bit: it has headers
//	sequence  8 bytes; the two highest bits are remarks of the server
//	time      8 bytes
//	subject   its length in 2 bytes, and itself
//	headers   if there are any: their length in 4 bytes, and themselves
//	payload
//	checksum  8 bytes: of sequence, time, subject, headers and payload
const (
	messageHead    = 22
	messageSum     = 8
	messageLargest = 32 << 20
	hasHeaders     = 1 << 31
	erased         = 1 << 63
	tombstone      = 1 << 62
)

type blockMessage struct {
	seq        uint64
	at, length int
}

type blockReader struct {
	data []byte
	sum  hash.Hash64
}

// message is the one at an offset, if it is whole.
func (b blockReader) message(at int) (m blockMessage, ok bool) {
	head := b.data[at:]
	if len(head) < messageHead+messageSum {
		return m, false
	}
	length, subject := binary.LittleEndian.Uint32(head), int(binary.LittleEndian.Uint16(head[20:]))
	begins := subject
	if length&hasHeaders != 0 {
		begins += 4
	}
	length &^= hasHeaders
	if int64(length) > int64(len(head)) || length > messageLargest || messageHead+begins+messageSum > int(length) {
		return m, false
	}
	rest := head[messageHead:length]
	b.sum.Reset()
	_, _ = b.sum.Write(head[4:20])
	_, _ = b.sum.Write(rest[:subject])
	_, _ = b.sum.Write(rest[begins : len(rest)-messageSum])
	if !bytes.Equal(b.sum.Sum(nil), rest[len(rest)-messageSum:]) {
		return m, false
	}
	return blockMessage{binary.LittleEndian.Uint64(head[4:]), at, int(length)}, true
}

// search is where the next whole message begins, or the end.
func (b blockReader) search(from int) int {
	for {
		found := bytes.Index(b.data[min(from, len(b.data)):], []byte(subjectPrefix))
		if found < 0 {
			return len(b.data)
		}
		at := from + found - messageHead
		from += found + 1
		if at < 0 {
			continue
		}
		if _, ok := b.message(at); ok {
			return at
		}
	}
}

// entryOf reads a message that message has found whole.
func entryOf(data []byte) (Entry, error) {
	subject := int(binary.LittleEndian.Uint16(data[20:]))
	rest := data[messageHead : len(data)-messageSum]
	if binary.LittleEndian.Uint32(data)&hasHeaders == 0 {
		return Entry{}, errors.New("a message without headers")
	}
	if len(rest) < subject+4 {
		return Entry{}, errors.New("a message that is too short")
	}
	name, rest := string(rest[:subject]), rest[subject:]
	size := binary.LittleEndian.Uint32(rest)
	if rest = rest[4:]; int64(size) > int64(len(rest)) {
		return Entry{}, errors.New("a message whose headers are too long")
	}
	// The checksum does not cover where headers end.
	if end := bytes.Index(rest, []byte("\r\n\r\n")); end+4 != int(size) {
		return Entry{}, errors.New("a message whose headers end elsewhere")
	}
	header, err := nats.DecodeHeadersMsg(rest[:size])
	if err != nil {
		return Entry{}, err
	}
	e, err := entry(name, header, rest[size:])
	return e, cmp.Or(err, e.check())
}

// Remains is what a server still has of a log that may not be whole. The zero value is
// that of a log that is gone.
type Remains struct {
	StoreID    string
	Unfinished bool // it was being made, and that broke off

	log  *JetStream
	last domain.Position
}

// OpenRemains opens whatever stands where the log should be, however it is configured.
// If there is nothing the answer is ErrNoLog.
func OpenRemains(ctx context.Context, js jetstream.JetStream) (*Remains, error) {
	stream, err := js.Stream(ctx, streamName)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return nil, ErrNoLog
	case err != nil:
		return nil, fmt.Errorf("open the log: %w", err)
	}
	log, state := newJetStream(js, stream), stream.CachedInfo().State
	return &Remains{log.id, unfinished(stream.CachedInfo().Config), log, domain.Position(state.LastSeq)}, nil
}

// Last implements Copy.
func (r *Remains) Last() domain.Position { return r.last }

// At implements Copy.
func (r *Remains) At(ctx context.Context, p domain.Position) (e Entry, there bool, err error) {
	if p > r.last {
		return e, false, nil
	}
	m, err := r.log.get(ctx, p)
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return e, false, nil
	case err != nil:
		return e, false, unavailable(ctx, err)
	}
	e, err = entry(m.Subject, m.Header, m.Data)
	return e, err == nil, nil
}
