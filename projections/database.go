package projections

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"jeton/eventstore"
)

// readers is how many questions a database is asked at once.
const readers = 8

// connect is the one place that knows two databases apart.
func connect(text string) (*Views, error) {
	scheme, rest, _ := strings.Cut(text, ":")
	switch scheme {
	case "sqlite":
		return connectSQLite(rest)
	case "postgres", "postgresql":
		return connectPostgres(text)
	}
	return nil, errors.New(`the URL of the views begins neither with "sqlite:" nor with "postgres://"`)
}

// connectSQLite opens a file twice: once to write, on one connection, and once to
// read, which a write-ahead log lets happen at the same time.
//
// synchronous is NORMAL: a power cut may take the last transactions away, but
// rows, second copy and checkpoint go back together, and the log has them all.
func connectSQLite(path string) (*Views, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	// Made here because SQLite would let everybody read it. Its companions (-wal,
	// -shm) get the same rights.
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := file.Close(); err != nil {
		return nil, err
	}
	// The cache, of at most 32 MiB for each connection, holds the indexes of an
	// organization's past: with SQLite's own 2 MiB they are read anew for every row.
	// The audit log is written all over its indexes: the writer's holds twice as much.
	pragmas := []string{"busy_timeout(1000)", "journal_mode(WAL)", "synchronous(NORMAL)", "foreign_keys(OFF)", "cache_size(-32768)"}
	write, err := openSQLite(path, url.Values{"_pragma": append(slices.Clone(pragmas), "cache_size(-65536)"), "_txlock": {"immediate"}})
	if err != nil {
		return nil, err
	}
	write.SetMaxOpenConns(1)
	read, err := openSQLite(path, url.Values{"_pragma": append(pragmas, "query_only(ON)")})
	if err != nil {
		return nil, errors.Join(err, write.Close())
	}
	read.SetMaxOpenConns(readers)
	return &Views{write: write, read: read}, nil
}

func openSQLite(path string, options url.Values) (*sqlx.DB, error) {
	name := url.URL{Scheme: "file", Path: path, RawQuery: options.Encode()}
	return sqlx.Open("sqlite", name.String())
}

// connectPostgres needs two pools as well: readers must not keep the writer waiting.
// Whoever wants more speed may add synchronous_commit=off to the URL; the reason
// is the same as for SQLite.
func connectPostgres(text string) (*Views, error) {
	if _, err := url.Parse(text); err != nil {
		return nil, errors.New("the URL of the views is not a URL") // err would show a password
	}
	write, err := sqlx.Open("postgres", text)
	if err != nil {
		return nil, err
	}
	read, err := sqlx.Open("postgres", text)
	if err != nil {
		return nil, errors.Join(err, write.Close())
	}
	write.SetMaxOpenConns(2)
	read.SetMaxOpenConns(readers)
	read.SetMaxIdleConns(readers)
	return &Views{write: write, read: read}, nil
}

// away reports whether an error is about the database being there and able, and
// not about what it was told to do: trying again may help.
func away(err error) bool {
	var network net.Error
	var postgres *pq.Error
	var lite *sqlite.Error
	switch {
	case err == nil:
		return false
	case errors.As(err, &postgres):
		return slices.Contains(awayClasses, string(postgres.Code.Class()))
	case errors.As(err, &lite):
		return slices.Contains(awayCodes, lite.Code()&0xff)
	case errors.As(err, &network):
		return true
	}
	return slices.ContainsFunc(awayErrors, func(target error) bool { return errors.Is(err, target) })
}

var (
	awayErrors = []error{driver.ErrBadConn, sql.ErrConnDone, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, context.DeadlineExceeded,
		eventstore.ErrUnavailable, eventstore.ErrUnknown} // keys, which stand beside the log

	awayClasses = []string{
		"08", // connection
		"25", // read only: this is the standby of another server now
		"28", // the password is being changed
		"3D", // no such database: it is being restored
		"40", // deadlock, serialization
		"53", // out of disk, memory, connections
		"55", // locked
		"57", // shutting down, starting up, cancelled
		"58", // I/O
	}

	awayCodes = []int{
		sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_READONLY,
		sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN,
		sqlite3.SQLITE_PROTOCOL,
	}
)

const (
	firstPause = 10 * time.Millisecond
	lastPause  = 2 * time.Second
)

// pause waits, longer each time, unless ctx ends.
func pause(ctx context.Context, wait *time.Duration) error {
	timer := time.NewTimer(*wait)
	defer timer.Stop()
	*wait = min(2**wait, lastPause)
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
