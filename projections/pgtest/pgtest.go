// Package pgtest gives tests a real PostgreSQL.
//
// The first URL that a test process asks for starts a server of its own, from
// the binaries that are installed, in a temporary directory, reachable by a Unix
// socket there and by nothing else, so that packages tested at once do not meet.
// The server ends with the process, however that ends, and takes its directory
// with it. Where there is no PostgreSQL the test fails and says what to install:
// it never skips.
package pgtest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	_ "github.com/lib/pq" // the driver "postgres"
)

// URL is a fresh, empty database of the process's server. It is dropped with the
// test, whoever may still be connected.
func URL(t testing.TB) string {
	t.Helper()
	s, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("test_%d", databases.Add(1))
	if err := s.execute("CREATE DATABASE " + name); err != nil {
		t.Fatalf("create a database: %v", err)
	}
	t.Cleanup(func() {
		if err := s.execute("DROP DATABASE " + name + " WITH (FORCE)"); err != nil {
			t.Errorf("drop the database: %v", err)
		}
	})
	return s.url(name)
}

var (
	databases atomic.Int64
	shared    = sync.OnceValues(start)
)

// server is a running PostgreSQL.
type server struct {
	dir string // with data, log and socket
	// alive is the input of the shell that watches over the server. It is never
	// written to: it closes when this process ends, and the shell takes that as
	// the sign to stop the server. It is kept here so that it is not collected.
	alive *os.File
}

func (s *server) url(database string) string {
	return "postgres://postgres@/" + database + "?sslmode=disable&host=" + url.QueryEscape(s.dir)
}

func (s *server) execute(statement string) error {
	db, err := sql.Open("postgres", s.url("postgres"))
	if err != nil {
		return err
	}
	_, err = db.Exec(statement)
	return errors.Join(err, db.Close())
}

// watch runs the server until its input ends, then removes all of it. Everything
// that makes a database survive a power cut is off.
const watch = `
"$0/postgres" -D "$1/data" -k "$1" -c listen_addresses= -c max_connections=200 -c shared_buffers=32MB \
	-c fsync=off -c synchronous_commit=off -c full_page_writes=off >"$1/log" 2>&1 </dev/null &
read -r _
kill -QUIT $!
wait $!
rm -rf "$1"
`

func start() (*server, error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	who, err := unprivileged()
	if err != nil {
		return nil, err
	}
	dir, err := directory(who)
	if err != nil {
		return nil, err
	}
	s := &server{dir: dir}
	if err := errors.Join(initialize(bin, dir, who), s.run(bin, who)); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return s, s.ready()
}

// initialize makes an empty cluster of databases.
func initialize(bin, dir string, who *syscall.Credential) error {
	initdb := exec.Command(filepath.Join(bin, "initdb"), "-D", filepath.Join(dir, "data"),
		"-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions")
	initdb.Dir, initdb.SysProcAttr = dir, &syscall.SysProcAttr{Credential: who}
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return nil
}

// run starts the server in a process group of its own: Ctrl-C at the terminal
// is for the tests, and the watching shell must outlive them a little.
func (s *server) run(bin string, who *syscall.Credential) error {
	in, alive, err := os.Pipe()
	if err != nil {
		return err
	}
	defer in.Close()
	shell := exec.Command("/bin/sh", "-c", watch, bin, s.dir)
	shell.Dir, shell.Stdin = s.dir, in
	shell.SysProcAttr = &syscall.SysProcAttr{Credential: who, Setpgid: true}
	s.alive = alive
	return shell.Start()
}

// ready waits until the server answers.
func (s *server) ready() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for {
		err := s.execute("SELECT 1")
		if err == nil {
			return nil
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			log, _ := os.ReadFile(filepath.Join(s.dir, "log"))
			return fmt.Errorf("PostgreSQL does not answer: %w\n%s", err, log)
		}
	}
}

// binaries is the directory of the youngest PostgreSQL.
func binaries() (string, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	slices.SortFunc(found, func(a, b string) int { return version(b) - version(a) })
	if path, err := exec.LookPath("initdb"); err == nil {
		found = append(found, path)
	}
	for _, path := range found {
		bin := filepath.Dir(path)
		if _, err := os.Stat(filepath.Join(bin, "postgres")); err == nil {
			return bin, nil
		}
	}
	return "", errors.New("these tests need PostgreSQL: apt-get install postgresql")
}

func version(initdb string) int {
	v, _ := strconv.Atoi(strings.Split(initdb, "/")[4])
	return v
}

// unprivileged is who runs the server if the tests run as root, which PostgreSQL
// refuses to; otherwise nil: whoever runs the tests.
func unprivileged() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	who, err := user.Lookup("postgres")
	if err != nil {
		who, err = user.Lookup("nobody")
	}
	if err != nil {
		return nil, fmt.Errorf("PostgreSQL does not run as root: %w", err)
	}
	uid, _ := strconv.ParseUint(who.Uid, 10, 32)
	gid, _ := strconv.ParseUint(who.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

// directory is a temporary directory that belongs to who runs the server. Its
// name is short because the path of a Unix socket must be.
func directory(who *syscall.Credential) (string, error) {
	dir, err := os.MkdirTemp("", "jeton-pg-")
	if err != nil || who == nil {
		return dir, err
	}
	return dir, os.Chown(dir, int(who.Uid), int(who.Gid))
}
