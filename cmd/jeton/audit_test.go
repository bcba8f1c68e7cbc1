package main

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

// beginSigned is begin for a service that signs its log all the time.
func beginSigned(t *testing.T, change func(*Config)) *Main {
	t.Helper()
	c := defaults().withDefaults()
	c.Data, c.Listen, c.StartTimeout = filepath.Join(t.TempDir(), "data"), "127.0.0.1:0", 0
	change(&c)
	m := &Main{
		Stores: Stores{Config: c, Version: "test", Log: zerolog.New(zerolog.NewTestWriter(t))},
		Stdout: new(bytes.Buffer), Now: time.Now, SealEvery: 20 * time.Millisecond,
	}
	if err := m.Open(context.Background()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

// ran is a process of this program in a directory, with what it has said.
type ran struct {
	code        int
	out, errors string
}

func jeton(t *testing.T, dir string, env []string, args ...string) (r ran) {
	t.Helper()
	path, err := exec.LookPath("jeton") // testscript has put it into our own PATH
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	var out, errors strings.Builder
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, append([]string{"PATH=" + os.Getenv("PATH"), "GORACE=atexit_sleep_ms=0", "XDG_CONFIG_HOME=" + dir}, env...), &out, &errors
	_ = cmd.Run()
	return ran{cmd.ProcessState.ExitCode(), out.String(), errors.String()}
}

func (r ran) must(t *testing.T, code int, says ...string) string {
	t.Helper()
	for _, words := range says {
		if !strings.Contains(r.out+r.errors, words) {
			t.Errorf("it does not say %q: %s%s", words, r.out, r.errors)
		}
	}
	if r.code != code {
		t.Fatalf("it ended with %d, not %d: %s%s", r.code, code, r.out, r.errors)
	}
	return r.out
}

// await waits until something is so.
func await(t *testing.T, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !so(); <-time.After(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// Whoever has a bundle and the public key checks the log with nothing else: in an empty
// directory, without the service.
func TestAuditVerifiesOffline(t *testing.T) {
	var posted atomic.Int64
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if posted.Add(1) == 1 { // fails at first
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer receiver.Close()
	dir := t.TempDir()
	anchored := filepath.Join(dir, "epochs.txt")
	m := beginSigned(t, func(c *Config) { c.AnchorFile, c.AnchorURL = anchored, receiver.URL })
	env := []string{"JETON_URL=" + m.URL, "JETON_TOKEN=" + m.Founded.Token}
	do := func(args ...string) ran { t.Helper(); return jeton(t, dir, env, args...) }

	do("token", "create", "--kind", "personal", "ci").must(t, 0)
	await(t, "an epoch", func() bool { return m.Model.Epoch().Position >= 2 })
	do("audit", "rotate-key", "--replaces", "1").must(t, 0, "endorsement")
	do("audit", "rotate-key", "--replaces", "1").must(t, exitConflict, "just rotated the signing key")
	do("token", "create", "--kind", "personal", "cd").must(t, 0)
	last := m.Model.Position()
	await(t, "another epoch", func() bool { return m.Model.Epoch().Behind(last) == 0 }) // last may be an epoch itself
	await(t, "it in the views", func() bool { at, err := m.Views.Position(); return err == nil && at >= m.Model.Epoch().At })
	anchors := []anchorPlace{anchorFile(anchored)}
	await(t, "the anchor", func() bool {
		for _, a := range m.anchors { // they look every few seconds only
			_, _ = a.round(t.Context(), -1)
		}
		number, err := anchors[0].last(t.Context())
		return err == nil && number == m.Model.Epoch().Number && posted.Load() > 1
	})
	older, err := os.ReadFile(anchored) // that it was exported is signed later
	if err != nil {
		t.Fatal(err)
	}
	do("audit", "bundle", "--out", "main.bundle").must(t, 0)
	do("audit", "bundle", "--out", "main.bundle").must(t, exitUsage, "exists")
	keys := do("audit", "keys", "-o", "name").must(t, 0)
	do("audit", "heads").must(t, 0, "EPOCH", "ROOT")
	proof := do("audit", "proof", "1", "--from", "1").must(t, 0)
	do("audit", "proof", "999").must(t, exitNotFound, "no commit")
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}

	empty := t.TempDir()
	bundle, err := os.ReadFile(filepath.Join(dir, "main.bundle"))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"b": string(bundle), "keys": "# of main\n" + keys, "proof": proof, "epochs.txt": string(older), "other": "jeton/x+00000000+AQ==\n"} {
		if err := os.WriteFile(filepath.Join(empty, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	verify := func(args ...string) ran {
		t.Helper()
		return jeton(t, empty, nil, append([]string{"audit", "verify"}, args...)...)
	}
	verify("b", "--key", "keys").must(t, 0, "main (", "all there and as they were", "by epoch")
	verify("b").must(t, 0, "of one piece")
	verify("b", "--key", "keys", "--anchor", "epochs.txt", "-o", "json").must(t, 0, `"valid": true`, `"trusted": true`, `"anchored"`)
	verify("b", "--key", "other").must(t, exitError, "none of the keys that are trusted")
	verify("proof", "--key", "keys").must(t, 0, "extends", "epoch 1")
	verify("nothing").must(t, exitUsage, "no such file")
	verify("keys").must(t, exitError, "neither a bundle nor a proof")

	flipped := bytes.Replace(bundle, []byte(`\"name\":\"ci\"`), []byte(`\"name\":\"c1\"`), 1)
	if err := os.WriteFile(filepath.Join(empty, "b"), flipped, 0o600); err != nil || bytes.Equal(flipped, bundle) {
		t.Fatal("nothing to flip", err)
	}
	verify("b", "--key", "keys").must(t, exitError, "position ")
	verify("b", "-o", "json").must(t, exitError, `"valid": false`, `"what"`)
}

// A crash in the middle of an epoch leaves half of it in the file: it is written again.
func TestAnchorFileResumes(t *testing.T) {
	m := beginSigned(t, func(*Config) {})
	await(t, "an epoch in the views", func() bool { e, err := m.Views.NewestEpoch(t.Context()); return err == nil && e.Number > 0 })
	newest, err := m.Views.NewestEpoch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	f := anchorFile(filepath.Join(t.TempDir(), "epochs.txt"))
	for range 2 {
		if err := f.keep(t.Context(), newest.Note); err != nil {
			t.Fatal(err)
		}
	}
	whole, err := os.Stat(string(f))
	if err != nil || whole.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", whole.Mode(), err)
	}
	for cut := int64(1); cut < int64(len(newest.Note)); cut += 7 {
		if err := os.Truncate(string(f), whole.Size()-cut); err != nil {
			t.Fatal(err)
		}
		number, err := f.last(t.Context())
		if err != nil || number != newest.Number {
			t.Fatalf("cut by %d: last is %d, %v", cut, number, err)
		}
		if half, err := os.Stat(string(f)); err != nil || half.Size() != whole.Size()/2 {
			t.Fatalf("cut by %d: %d bytes are left, want %d (%v)", cut, half.Size(), whole.Size()/2, err)
		}
		if err := f.keep(t.Context(), newest.Note); err != nil {
			t.Fatal(err)
		}
	}
}
