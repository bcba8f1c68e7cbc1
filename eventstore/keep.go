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

// hold makes the second names. If there are some but no log, the log was lost in
// an earlier start.
func (k keeper) hold() error {
	_, noFiles := os.Stat(k.files)
	_, noLinks := os.Stat(k.links)
	switch {
	case noFiles != nil && noLinks == nil:
		return k.lost()
	case errors.Is(noFiles, fs.ErrNotExist):
		return nil // no log yet
	case noFiles != nil:
		return noFiles
	}
	if err := os.RemoveAll(k.links); err != nil {
		return err
	}
	return filepath.WalkDir(k.files, k.link)
}

// link gives one file or folder of the log its second name.
func (k keeper) link(path string, d fs.DirEntry, err error) error {
	if err != nil {
		return err
	}
	name, err := filepath.Rel(k.files, path)
	if err != nil {
		return err
	}
	if d.IsDir() {
		return os.MkdirAll(filepath.Join(k.links, name), 0o700)
	}
	return os.Link(path, filepath.Join(k.links, name))
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
