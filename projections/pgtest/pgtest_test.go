package pgtest_test

import (
	"database/sql"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"jeton/projections/pgtest"
)

func TestDatabasesAreApart(t *testing.T) {
	for range 2 {
		db, err := sql.Open("postgres", pgtest.URL(t))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.Exec("CREATE TABLE mine (id BIGINT)"); err != nil {
			t.Error(err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestServerEndsWithTheProcess runs itself as another process, which is killed
// while its server runs.
func TestServerEndsWithTheProcess(t *testing.T) {
	if os.Getenv("PGTEST_CHILD") != "" {
		url := pgtest.URL(t)
		os.Stdout.WriteString(url + "\n")
		select {}
	}
	child := exec.Command(os.Args[0], "-test.run=^TestServerEndsWithTheProcess$")
	child.Env = append(os.Environ(), "PGTEST_CHILD=1")
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	said := make([]byte, 1000)
	n, err := out.Read(said)
	if err != nil {
		t.Fatal(err)
	}
	_, host, _ := strings.Cut(strings.TrimSpace(string(said[:n])), "host=")
	dir := strings.ReplaceAll(host, "%2F", "/")
	if _, err := os.Stat(dir + "/data/postmaster.pid"); err != nil {
		t.Fatalf("there is no server: %v", err)
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait()
	for limit := time.Now().Add(30 * time.Second); ; {
		if _, err := os.Stat(dir); os.IsNotExist(err) {
			return
		}
		if time.Now().After(limit) {
			t.Fatalf("%s is still there", dir)
		}
		<-time.After(10 * time.Millisecond) // then ask again
	}
}
