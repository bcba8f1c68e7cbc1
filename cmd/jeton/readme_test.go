package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The README's sessions work as written, one after the other.
func TestReadmeSession(t *testing.T) {
	w := killedWorld{t: t, dir: filepath.Join(t.TempDir(), "data")}
	w.build()
	out, err := exec.Command(w.binary, "init", "--data", w.dir, "--organization", "main", "--name", "Main", "--email", "root@localhost", "-o", "json").Output()
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(out), `"token":"`)
	w.token, _, _ = strings.Cut(rest, `"`)
	server := w.start()
	defer w.stop(server)

	desk := t.TempDir() // where the reader sits: bin/jeton is there
	if err := os.Mkdir(filepath.Join(desk, "bin"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(w.binary, filepath.Join(desk, "bin", "jeton")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(w.dir, filepath.Join(desk, "data")); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-e", "-c", session(t, "# a token for a machine")+session(t, "# who did what, to what"))
	cmd.Dir, cmd.Env = desk, append(os.Environ(), "JETON_URL="+w.url, "JETON_TOKEN="+w.token)
	said, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	for _, want := range []string{
		"exit code 4: refused", "token.revoked", "found in a build log", `"active":false`, "exit code 3: not found", "first token",
		"all there and as they were", "exit code 1: forged", "Restored",
	} {
		if !strings.Contains(string(said), want) {
			t.Errorf("the session does not say %q:\n%s", want, said)
		}
	}
}

// session is the block of the README that begins with a line.
func session(t *testing.T, begin string) string {
	t.Helper()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range strings.Split(string(readme), "```") {
		if text, isShell := strings.CutPrefix(block, "sh\n"); isShell && strings.HasPrefix(text, begin) {
			return text
		}
	}
	t.Fatal("the README has no session that begins with " + begin)
	return ""
}
