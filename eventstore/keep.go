package eventstore

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/nats-io/nats-server/v2/server"
)

// A server that cannot open a stream when it starts deletes it. After a crash one
// flipped bit in a compressed file is enough: the files of the whole log are gone,
// with one warning and in good health. So while the server starts, a second set of
// names (hard links, which cost nothing) holds on to the files, and a log that was
// there and is not any more is Damage, on every start, until somebody puts the
// files back, the bad one from a copy.
//
// Links do not help against what the server cuts off inside a file. Who follows
// with a remembered head notices that.
type keeper struct {
	files string // where the server has the log
	links string // where the second names are
}

func newKeeper(dir, storeDir string) keeper {
	return keeper{
		files: filepath.Join(storeDir, server.JetStreamStoreDir, server.DEFAULT_GLOBAL_ACCOUNT, "streams", streamName),
		links: filepath.Join(dir, "kept"),
	}
}

// hold makes the second names, unless a start that came to no good end has left
// some: those stay until the server has the log again.
func (k keeper) hold() error {
	if _, err := os.Stat(k.files); errors.Is(err, fs.ErrNotExist) || k.held() {
		return nil
	}
	unfinished := k.links + ".new"
	if err := os.RemoveAll(unfinished); err != nil {
		return err
	}
	if err := filepath.WalkDir(k.files, k.linkInto(unfinished)); err != nil {
		return err
	}
	return os.Rename(unfinished, k.links)
}

// linkInto gives each file of the log a second name in dir.
func (k keeper) linkInto(dir string) fs.WalkDirFunc {
	return func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(k.files, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(dir, name), 0o700)
		}
		return os.Link(path, filepath.Join(dir, name))
	}
}

// release gives the second names up once the server has the log.
func (k keeper) release() error { return os.RemoveAll(k.links) }

// held reports whether there was a log before the server started.
func (k keeper) held() bool {
	_, err := os.Stat(k.links)
	return err == nil
}

func (k keeper) lost() error {
	return &Damage{1, "the server could not read its files, and deletes such files; they are kept in " + k.links +
		": put them back to " + k.files + ", the damaged one from a copy"}
}
