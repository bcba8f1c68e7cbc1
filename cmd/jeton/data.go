package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/gofrs/flock"
)

// directory is a data directory. It holds
//
//	jeton.json   which log belongs here; written last, so where it is all is
//	lock         held by the process that uses the directory
//	nats/        the log, unless it is kept elsewhere
//	master.key   the master key of the people's keys, unless it is set elsewhere
//	views.db     the views, unless they are kept elsewhere (and views.db-wal, -shm)
//	damaged-…    a log that a repair has set aside, by when
//	founding     held while a platform is being founded; left by a founding that
//	             broke off, whose remains the next one clears away
type directory string

const (
	markFile     = "jeton.json"
	lockFile     = "lock"
	logFolder    = "nats"
	viewsFile    = "views.db"
	masterFile   = "master.key"
	foundingFile = "founding"
)

// ours are the names that a founding or a restore may have left behind; kept is where the
// embedded server's files are held while it starts (eventstore.KeptFiles).
var ours = []string{lockFile, logFolder, masterFile, viewsFile, viewsFile + "-wal", viewsFile + "-shm", "kept", "kept.new"}

// mark says which log a directory belongs to.
type mark struct {
	Format  int       `json:"format"`
	StoreID string    `json:"store_id"`
	Created time.Time `json:"created"`
	Version string    `json:"created_by"`
}

// markFormat changes when a directory is laid out another way.
const markFormat = 1

func (d directory) path(name string) string { return filepath.Join(string(d), name) }

// mark reads the directory's mark; nil if it has none.
func (d directory) mark() (*mark, error) {
	data, err := os.ReadFile(d.path(markFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var m mark
	if err := json.Unmarshal(data, &m); err != nil || m.StoreID == "" {
		return nil, fmt.Errorf("%s is damaged; restore it from a backup", d.path(markFile))
	}
	if m.Format != markFormat {
		return nil, fmt.Errorf("%s has format %d and this program knows %d: it needs another version of this program", d.path(markFile), m.Format, markFormat)
	}
	return &m, nil
}

// writeMark makes the directory belong to a log, for ever and at once.
func (d directory) writeMark(m mark) error {
	data, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return replaceFile(d.path(markFile), append(data, '\n'))
}

// replaceFile writes a file that only its owner can read: whole, or not at all.
func replaceFile(path string, data []byte) error {
	folder := filepath.Dir(path)
	f, err := os.CreateTemp(folder, ".new-*") // made with 0600
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncFolder(folder)
}

func syncFolder(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// claim is a directory that is being made a data directory.
type claim struct {
	directory
	lock  *flock.Flock
	fresh bool // the directory itself was not there before
}

// claim takes the directory for a new platform. It must be empty, but for what a
// founding that broke off has left, which is cleared away. If it is not, nothing
// is changed.
func (d directory) claim() (*claim, error) {
	if err := d.vacant(); err != nil {
		return nil, err
	}
	c := &claim{directory: d, lock: flock.New(d.path(foundingFile))}
	_, err := os.Stat(string(d))
	c.fresh = errors.Is(err, fs.ErrNotExist)
	if err := os.MkdirAll(string(d), 0o700); err != nil {
		return nil, err
	}
	switch free, err := c.lock.TryLock(); {
	case err != nil:
		return nil, fmt.Errorf("lock %s: %w", d, err)
	case !free:
		return nil, d.inUse()
	}
	// Whoever had the lock before may have founded a platform here meanwhile.
	if err := d.vacant(); err != nil {
		return nil, errors.Join(err, c.unlock())
	}
	return c, c.clear()
}

// vacant refuses a directory that holds a platform or other people's files.
func (d directory) vacant() error {
	entries, err := os.ReadDir(string(d))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var names []string
	for _, e := range entries {
		if e.Name() != "lost+found" { // a file system of its own has it
			names = append(names, e.Name())
		}
	}
	switch {
	case slices.Contains(names, markFile):
		return coded{fmt.Errorf("%s holds a platform already; start it with: jeton serve --data %s", d, d), exitConflict}
	case len(names) == 0 || slices.Contains(names, foundingFile):
		return nil
	case slices.Contains(names, logFolder):
		return coded{fmt.Errorf("%s has a log but no %s, which says which log belongs there; restore the whole directory from a backup, or take an empty one", d, markFile), exitConflict}
	}
	return coded{fmt.Errorf("%s is not empty (it has %q) and is no data directory; take an empty one", d, names[0]), exitConflict}
}

func (d directory) inUse() error {
	return coded{fmt.Errorf("%s is in use by another process; stop that first, or take another directory", d), exitConflict}
}

// clear removes what a founding has made.
func (c *claim) clear() (err error) {
	for _, name := range ours {
		err = errors.Join(err, os.RemoveAll(c.path(name)))
	}
	return err
}

// finish gives the directory its mark: from here on it is a platform.
func (c *claim) finish(m mark) error {
	if err := c.writeMark(m); err != nil {
		return err
	}
	return c.unlock()
}

// abandon leaves nothing behind. Whoever uses the directory has stopped by now.
func (c *claim) abandon() error {
	err := errors.Join(c.clear(), c.unlock())
	if c.fresh {
		err = errors.Join(err, os.Remove(string(c.directory)))
	}
	return err
}

// unlock removes the file before it gives it free. Whoever waited for it finds
// that the directory is taken, and that the file is gone.
func (c *claim) unlock() error {
	err := os.Remove(c.path(foundingFile))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, c.lock.Unlock())
}

// take locks a directory in which no log is kept, but views are. Where a log is
// kept package eventstore does so.
func (d directory) take() (*flock.Flock, error) {
	lock := flock.New(d.path(lockFile))
	switch free, err := lock.TryLock(); {
	case err != nil:
		return nil, fmt.Errorf("lock %s: %w", d, err)
	case !free:
		return nil, d.inUse()
	}
	return lock, nil
}
