package engine

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/gofrs/flock"
	"github.com/rs/zerolog"

	"jeton/domain"
)

// snapshot keeps the copy in a directory, so that a process that starts while the
// platform is away has one. What the platform says is appended to a journal; when
// that has become much longer than the copy, it is written anew. The zero value keeps
// nothing.
//
// The reader alone uses it, but for state.
type snapshot struct {
	dir      string // empty: nothing is kept
	token    string
	every    time.Duration // how old the last seal becomes at most while marks come
	rewrites time.Duration // how long after it could not be written it is tried again
	now      func() time.Time
	log      zerolog.Logger
	lock     *flock.Flock

	file   *journal     // nil: there is none
	next   *journal     // what takes its place once it comes to a mark; nil: nothing does
	group  bytes.Buffer // what was told since the last mark
	last   Mark
	marked time.Time // when that came
	sealed time.Time // when the last one came that is in the file
	tried  time.Time // when the file was last begun

	mu   sync.Mutex
	told SnapshotState
}

// SnapshotState is how a snapshot is.
type SnapshotState struct {
	Path     string          // of its file; empty: none is wanted
	Position domain.Position // up to which it goes
	Sealed   time.Time       // when the last mark came that is in it
	Bytes    int64
	Err      error // why there is none, or it goes no further
}

const (
	snapshotName = "snapshot"
	snapshotNew  = "snapshot.new"
	instanceName = "instance"
	lockName     = "lock"

	// rewriteAfter is how much longer than twice its beginning a journal becomes.
	rewriteAfter = 1 << 20
)

// openSnapshot takes the directory for this process alone.
func openSnapshot(c *Config, rewrites time.Duration) (*snapshot, error) {
	s := &snapshot{dir: c.Dir, token: c.Token, rewrites: rewrites, now: c.Now, log: c.Log}
	s.every = min(max(c.MaxStaleness/4, time.Second), 30*time.Second)
	if c.Dir == "" {
		return s, nil
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the directory of the snapshot: %w", err)
	}
	s.lock = flock.New(filepath.Join(c.Dir, lockName), flock.SetPermissions(0o600))
	switch locked, err := s.lock.TryLock(); {
	case err != nil:
		return nil, fmt.Errorf("lock the directory of the snapshot: %w", err)
	case !locked:
		return nil, fmt.Errorf("another process keeps its snapshot in %s: give each process a directory of its own", c.Dir)
	}
	s.told.Path = s.path(snapshotName)
	return s, nil
}

func (s *snapshot) path(name string) string { return filepath.Join(s.dir, name) }

// instance is what this process is called: as it is given, as it was called before,
// or by chance.
func (s *snapshot) instance(given string) (string, error) {
	if given != "" {
		return given, nil
	}
	drawn := strings.ToLower(rand.Text())
	if s.dir == "" {
		return drawn, nil
	}
	if kept, err := os.ReadFile(s.path(instanceName)); err == nil && isInstance(string(kept)) {
		return string(kept), nil
	}
	if err := os.WriteFile(s.path(instanceName), []byte(drawn), 0o600); err != nil {
		return "", fmt.Errorf("keep the name of the instance: %w", err)
	}
	return drawn, nil
}

// restore gives the copy what is in the file. One that is not to be believed stays
// where it is, for people to look at, until the platform has told another one.
func (s *snapshot) restore(l *live) {
	if s.dir == "" {
		return
	}
	text, err := os.ReadFile(s.path(snapshotName))
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	var found *restored
	if err == nil {
		found, err = readJournal(text, s.token)
	}
	if err == nil {
		s.file, err = continueJournal(s.path(snapshotName), found)
	}
	if err != nil {
		s.fail(err, "the snapshot is not used; until the platform has told the copy nobody comes in")
		return
	}
	l.held, l.hello = found.held, found.hello
	l.mark(&found.mark, found.received, false)
	s.last, s.marked, s.sealed = found.mark, found.received, found.received
	s.tell(nil)
}

// begin begins a file with what a stream says from its Reset on.
func (s *snapshot) begin(hello *Hello) {
	if s.dir == "" {
		return
	}
	s.abandon()
	s.tried = s.now()
	var err error
	if s.next, err = newJournal(s.path(snapshotNew), s.token, hello); err != nil {
		s.fail(err, "the snapshot can't be begun")
	}
}

// add adds a line of the stream.
func (s *snapshot) add(text []byte) {
	switch {
	case s.next != nil:
		s.next.line(text)
	case s.file != nil:
		s.group.Write(text)
		s.group.WriteByte('\n')
	}
}

// mark keeps what was told up to a mark. When it comes back, what has moved the
// position is on the disk.
func (s *snapshot) mark(m *Mark, received time.Time, l *live) {
	if s.dir == "" {
		return
	}
	s.last, s.marked = *m, received
	switch {
	case s.next != nil:
		s.finish()
	case s.file == nil:
		if s.now().Sub(s.tried) >= s.rewrites || s.tried.IsZero() {
			s.rewrite(l)
		}
	case m.From != m.To || s.group.Len() > 0 || received.Sub(s.sealed) >= s.every:
		s.append(m)
		if s.file != nil && s.file.size > 2*s.file.base+rewriteAfter {
			s.rewrite(l)
		}
	}
}

// append seals what was told since the mark before.
func (s *snapshot) append(m *Mark) {
	s.file.write(s.group.Bytes())
	s.group.Reset()
	err := s.file.seal(m, s.marked)
	if err == nil && m.From != m.To {
		err = s.file.sync()
	}
	if err != nil {
		s.remove()
		s.fail(err, "the snapshot can't be written, and was removed")
		return
	}
	s.sealed = s.marked
	s.tell(nil)
}

// finish puts the file that was begun in the place of the one before.
func (s *snapshot) finish() {
	next := s.next
	s.next = nil
	err := next.seal(&s.last, s.marked)
	if err == nil {
		err = next.sync()
	}
	if err == nil {
		err = os.Rename(s.path(snapshotNew), s.path(snapshotName))
	}
	if err == nil {
		err = syncDir(s.dir)
	}
	if err != nil {
		next.discard()
		s.remove()
		s.fail(err, "the snapshot can't be written")
		return
	}
	s.group.Reset()
	if s.file != nil {
		_ = s.file.close() // nobody finds it any more
	}
	next.base, s.file, s.sealed = next.size, next, s.marked
	s.tell(nil)
}

// rewrite writes all of the copy. Nothing is read from the stream meanwhile: of a
// million tokens for some seconds, which comes once in a million changes.
func (s *snapshot) rewrite(l *live) {
	s.begin(&l.hello)
	if s.next == nil {
		return
	}
	for p := range l.held.Pieces(l.held.uses.last) {
		text, err := json.Marshal(Line{Piece: p})
		if err != nil {
			s.abandon()
			s.fail(err, "the snapshot can't be written")
			return
		}
		s.next.line(text)
	}
	s.last.From = 0
	s.finish()
}

// abandon forgets what was told and not marked.
func (s *snapshot) abandon() {
	s.group.Reset()
	if s.next != nil {
		s.next.discard()
		s.next = nil
	}
}

// remove removes the snapshot: it could not be kept, or is not to be.
func (s *snapshot) remove() {
	if s.dir == "" {
		return
	}
	s.abandon()
	if s.file != nil {
		_ = s.file.close() // it is removed
		s.file = nil
	}
	err := os.Remove(s.path(snapshotName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.fail(err, "the snapshot can't be removed: what is in it is believed until it is stale")
		return
	}
	s.tell(nil)
}

// close seals that the last mark came, so that a process that starts soon takes it
// for as old as it is, and gives the directory back.
func (s *snapshot) close() (err error) {
	if s.dir == "" {
		return nil
	}
	s.abandon()
	if s.file != nil && s.marked.After(s.sealed) {
		err = s.file.seal(&Mark{s.last.To, s.last.To, s.last.At}, s.marked)
	}
	if s.file != nil {
		err = errors.Join(err, s.file.close())
	}
	return errors.Join(err, s.lock.Unlock())
}

// tell makes known how the snapshot is.
func (s *snapshot) tell(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told = SnapshotState{Path: s.told.Path, Err: err}
	if s.file != nil {
		s.told.Position, s.told.Sealed, s.told.Bytes = s.last.To, s.sealed, s.file.size
	}
}

func (s *snapshot) fail(err error, what string) {
	s.tell(err)
	s.log.Error().Err(err).Msg(what)
}

func (s *snapshot) state() SnapshotState {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.told
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
