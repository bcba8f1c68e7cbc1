package engine

import (
	"bufio"
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"time"

	"jeton/domain"
)

// journal is a file of what the platform has said, as it has said it:
//
//	{"jeton-snapshot":{"version":1,"salt":"…","hello":{…}}}
//	lines of a stream behind its Reset, up to and with a Mark
//	{"jeton-seal":{"received":"2027-03-01T12:00:00Z","mac":"…"}}
//	more lines, up to and with a Mark; another seal; and so on
//
// The mac of a seal is the HMAC-SHA256, in hexadecimal digits, of the mac of the seal
// before (of the first: of nothing), of all bytes between the two, and of received as
// it is written, which says when the mark came. Its key comes by HKDF-SHA256 from the
// engine's access token, the salt, and the words of sealUse. Whoever can write the
// file and has not the token can cut it off behind a seal, or put an older one in its
// place. Neither makes it younger; and in no other way is it believed.
//
// What stands behind the last seal does not count: it was being written when the
// process ended. A seal that does not fit says that the file was changed, or the token
// was; then nothing in it counts.
type journal struct {
	file *os.File
	out  *bufio.Writer
	key  []byte
	sum  hash.Hash // of the mac of the last seal and what follows it
	size int64     // of what was written
	base int64     // how long it was when all of the copy was in it once
	err  error     // of the first write that failed
}

type journalHead struct {
	Snapshot *journalBegin `json:"jeton-snapshot"`
}

type journalBegin struct {
	Version int    `json:"version"`
	Salt    []byte `json:"salt"`
	Hello   Hello  `json:"hello"`
}

type journalSeal struct {
	Seal *struct {
		Received domain.Instant `json:"received"`
		MAC      domain.Hash    `json:"mac"`
	} `json:"jeton-seal"`
}

const (
	journalVersion = 1
	sealUse        = "jeton engine snapshot 1"
)

var sealBegins = []byte(`{"jeton-seal":`)

func sealKey(token string, salt []byte) ([]byte, error) {
	return hkdf.Key(sha256.New, []byte(token), salt, sealUse, sha256.Size)
}

// newJournal begins a file, in the place of one that was not finished.
func newJournal(path, token string, hello *Hello) (*journal, error) {
	begin := &journalBegin{journalVersion, make([]byte, 16), *hello}
	_, _ = rand.Read(begin.Salt) // never fails; see crypto/rand
	key, err := sealKey(token, begin.Salt)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(journalHead{begin})
	if err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	j := &journal{file: file, out: bufio.NewWriterSize(file, 64<<10), key: key, sum: hmac.New(sha256.New, key)}
	j.line(text)
	return j, nil
}

// continueJournal goes on with a file that was read, behind its last seal.
func continueJournal(path string, r *restored) (*journal, error) {
	file, err := os.OpenFile(path, os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	err = file.Truncate(r.size)
	if err == nil {
		_, err = file.Seek(r.size, io.SeekStart)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	j := &journal{file: file, out: bufio.NewWriterSize(file, 64<<10), key: r.key, size: r.size, base: r.base}
	j.sum = chain(r.key, r.mac[:])
	return j, nil
}

func chain(key, mac []byte) hash.Hash {
	sum := hmac.New(sha256.New, key)
	sum.Write(mac)
	return sum
}

// write writes whole lines. An error comes with the seal.
func (j *journal) write(text []byte) {
	j.sum.Write(text)
	j.size += int64(len(text))
	if _, err := j.out.Write(text); j.err == nil {
		j.err = err
	}
}

func (j *journal) line(text []byte) {
	j.write(text)
	j.write([]byte{'\n'})
}

// seal writes a mark, and the seal of all since the one before.
func (j *journal) seal(m *Mark, received time.Time) error {
	text, err := json.Marshal(Line{Mark: m})
	if err != nil {
		return err
	}
	j.line(text)
	at := domain.At(received)
	j.sum.Write([]byte(at.String()))
	mac := j.sum.Sum(nil)
	j.sum = chain(j.key, mac)
	written, err := j.out.Write(sealLine(at, domain.Hash(mac)))
	j.size += int64(written)
	return errors.Join(j.err, err, j.out.Flush())
}

func sealLine(received domain.Instant, mac domain.Hash) []byte {
	return fmt.Appendf(nil, "%s{\"received\":%q,\"mac\":%q}}\n", sealBegins, received, mac)
}

func (j *journal) sync() error { return j.file.Sync() }

func (j *journal) close() error { return j.file.Close() }

// discard removes a file that was not finished.
func (j *journal) discard() {
	_ = j.file.Close() // nobody reads it
	_ = os.Remove(j.file.Name())
}

// restored is what a journal says.
type restored struct {
	held     *holding
	hello    Hello
	mark     Mark
	received time.Time
	key      []byte
	mac      domain.Hash // of the last seal
	size     int64       // up to and with it
	base     int64       // up to and with the first one
}

var (
	errChanged = errors.New("the snapshot was changed by somebody who has not the engine's access token, or the access token is another one")
	errEmpty   = errors.New("the snapshot was not finished")
)

// readJournal reads what a journal says, if it is to be believed. Nothing in it but
// its first line is taken apart before its seals are known to fit.
func readJournal(text []byte, token string) (*restored, error) {
	first, _, _ := bytes.Cut(text, []byte("\n"))
	var head journalHead
	if err := json.Unmarshal(first, &head); err != nil || head.Snapshot == nil {
		return nil, errChanged
	}
	if head.Snapshot.Version != journalVersion {
		return nil, fmt.Errorf("the snapshot is of version %d, and this program reads %d", head.Snapshot.Version, journalVersion)
	}
	r := &restored{held: newHolding(), hello: head.Snapshot.Hello}
	var err error
	if r.key, err = sealKey(token, head.Snapshot.Salt); err != nil {
		return nil, err
	}
	if err := r.verify(text); err != nil {
		return nil, err
	}
	if r.size == 0 {
		return nil, errEmpty
	}
	return r, r.apply(text[len(first)+1 : r.size])
}

// verify looks for the last seal, and whether all fit.
func (r *restored) verify(text []byte) error {
	var received domain.Instant
	sum := hmac.New(sha256.New, r.key)
	for at := 0; at < len(text); {
		end := bytes.IndexByte(text[at:], '\n') + 1
		if end == 0 {
			break
		}
		line := text[at : at+end]
		if at += end; !bytes.HasPrefix(line, sealBegins) {
			sum.Write(line)
			continue
		}
		var s journalSeal
		if err := json.Unmarshal(line, &s); err != nil || s.Seal == nil || !bytes.Equal(line, sealLine(s.Seal.Received, s.Seal.MAC)) {
			return errChanged
		}
		received = s.Seal.Received
		sum.Write([]byte(received.String()))
		if !hmac.Equal(sum.Sum(nil), s.Seal.MAC[:]) {
			return errChanged
		}
		sum = chain(r.key, s.Seal.MAC[:])
		r.mac, r.size = s.Seal.MAC, int64(at)
		if r.base == 0 {
			r.base = r.size
		}
	}
	r.received = received.Time()
	return nil
}

// apply takes lines into the copy.
func (r *restored) apply(text []byte) error {
	for at := range bytes.Lines(text) {
		var line Line
		if err := json.Unmarshal(at, &line); err != nil {
			return fmt.Errorf("a line of the snapshot can't be read: %w", err)
		}
		if err := r.held.take(&line.Piece, nil); err != nil {
			return fmt.Errorf("the snapshot does not go together: %w", err)
		}
		if line.Mark == nil {
			continue
		}
		if line.Mark.From != r.mark.To {
			return fmt.Errorf("the snapshot does not go together: %w", errGap)
		}
		r.mark = *line.Mark
	}
	return nil
}
