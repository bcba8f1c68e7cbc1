package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"jeton/domain"
	"jeton/eventstore"
)

// platform is a data directory and what its service has acknowledged.
type platform struct {
	*testing.T
	dir     string
	master  string // the file with its master key
	root    string
	secrets map[string]bool // and whether they are good
	head    eventstore.Head
}

// newPlatform is one in which tokens were issued and some revoked.
func newPlatform(t *testing.T, tokens int) *platform {
	t.Helper()
	m := begin(t, func(*Config) {})
	p := &platform{T: t, dir: m.Config.Data, master: filepath.Join(m.Config.Data, masterFile), root: m.Founded.Token, secrets: map[string]bool{}}
	for i := range tokens {
		p.issue(m, i)
	}
	p.close(m)
	return p
}

func (p *platform) issue(m *Main, i int) {
	p.Helper()
	made := p.ask(m, "POST", "/api/v1/organizations/main/tokens", fmt.Sprintf(`{"name":"token %d","kind":"administrative"}`, i), 201)
	if i%3 == 0 {
		p.ask(m, "DELETE", "/api/v1/organizations/main/tokens/"+made["id"].(string), "", 200)
	}
	p.secrets[made["secret"].(string)] = i%3 != 0
}

// close ends the service when its views have everything.
func (p *platform) close(m *Main) {
	p.Helper()
	if err := m.Views.Wait(p.Context(), m.Model.Position()); err != nil {
		p.Fatal(err)
	}
	var err error
	if p.head, _, err = m.Views.Remembered(p.Context()); err != nil {
		p.Fatal(err)
	}
	if err := m.Close(); err != nil {
		p.Fatal(err)
	}
}

func (p *platform) ask(m *Main, method, path, body string, want int) (answer map[string]any) {
	p.Helper()
	request, err := http.NewRequest(method, m.URL+path, strings.NewReader(body))
	if err != nil {
		p.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+p.root)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		p.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != want {
		p.Fatalf("%s %s: %d, %v: %s", method, path, response.StatusCode, err, text)
	}
	_ = json.Unmarshal(text, &answer)
	return answer
}

// copy is the same platform in another directory, which may be damaged.
func (p *platform) copy() *platform {
	p.Helper()
	c := *p
	c.dir, c.secrets = filepath.Join(p.TempDir(), "data"), maps.Clone(p.secrets)
	if err := os.CopyFS(c.dir, os.DirFS(p.dir)); err != nil {
		p.Fatal(err)
	}
	return &c
}

// run runs this program on the platform's directory.
func (p *platform) run(args ...string) (code int, out string) {
	p.Helper()
	return p.runIn(nil, args...)
}

func (p *platform) runIn(env []string, args ...string) (code int, out string) {
	p.Helper()
	var both bytes.Buffer
	program := Program{Args: append(args, "--data", p.dir), Env: env, Stdin: strings.NewReader(""), Stdout: &both, Stderr: &both}
	code = program.Main(context.Background())
	return code, both.String()
}

// restore makes the platform from a backup, with the master key it had.
func (p *platform) restore(saved string) (code int, out string) {
	p.Helper()
	return p.runIn(p.mastered(), "restore", "--in", saved)
}

// mastered is the environment that has the master key.
func (p *platform) mastered() []string { return []string{"JETON_MASTER_KEY_FILE=" + p.master} }

// prove opens the service, which checks the log against the views, and wants
// everything acknowledged to be there.
func (p *platform) prove(what string) {
	p.Helper()
	m := begin(p.T, func(c *Config) { c.Data = p.dir })
	for secret, good := range p.secrets {
		answer := p.ask(m, "POST", "/api/v1/check", fmt.Sprintf(`{"token":%q}`, secret), 200)
		if answer["active"] != good {
			p.Errorf("%s: a token is active: %v, want %t", what, answer["active"], good)
		}
	}
	head := p.headAt(m, p.head.Position)
	if head != p.head {
		p.Errorf("%s: the log was at %v, and is at %v", what, p.head, head)
	}
	p.close(m)
}

// headAt is the head of the log at a position: it goes on, with what was just refused.
func (p *platform) headAt(m *Main, at domain.Position) (head eventstore.Head) {
	p.Helper()
	err := eventstore.ReadUpTo(p.Context(), m.Store, at, func(r eventstore.Record) error { head = r.Head(); return nil })
	if err != nil {
		p.Fatal(err)
	}
	return head
}

// print is all files of a folder but those that say who uses it.
func (p *platform) print() string {
	p.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(p.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, "-shm") || filepath.Base(path) == lockFile {
			return err
		}
		data, err := os.ReadFile(path)
		files[path] = fmt.Sprintf("%x", sha256.Sum256(data))
		return err
	})
	if err != nil {
		p.Fatal(err)
	}
	var b strings.Builder
	for _, path := range slices.Sorted(maps.Keys(files)) {
		fmt.Fprintln(&b, path, files[path])
	}
	return b.String()
}

// block is the file with the log's commits.
func (p *platform) block() string { return p.file("msgs/*.blk") }

func (p *platform) file(pattern string) string {
	p.Helper()
	found, err := filepath.Glob(filepath.Join(eventstore.LogFiles(p.dir), pattern))
	if err != nil || len(found) != 1 {
		p.Fatalf("%s: %v, %v", pattern, found, err)
	}
	return found[0]
}

func (p *platform) change(file string, how func([]byte) []byte) {
	p.Helper()
	data, err := os.ReadFile(file)
	if err == nil {
		err = os.WriteFile(file, how(data), 0o600)
	}
	if err != nil {
		p.Fatal(err)
	}
}

func (p *platform) remove(file string) {
	p.Helper()
	if err := os.RemoveAll(file); err != nil {
		p.Fatal(err)
	}
}

func (p *platform) sql(statement string, args ...any) {
	p.Helper()
	db, err := sql.Open("sqlite", filepath.Join(p.dir, viewsFile))
	if err == nil {
		_, err = db.Exec(statement, args...)
		err = errors.Join(err, db.Close())
	}
	if err != nil {
		p.Fatalf("%s: %v", statement, err)
	}
}

func flipped(b []byte) []byte {
	b = bytes.Clone(b)
	b[rand.IntN(len(b))] ^= 1 << rand.IntN(8)
	return b
}

func zeroed(b []byte) []byte {
	b = bytes.Clone(b)
	from := rand.IntN(len(b))
	clear(b[from:min(len(b), from+1+rand.IntN(300))])
	if i := bytes.IndexByte(b[from:], 1); i < 0 { // also where there were zeros before
		return b
	}
	b[from] ^= 0xff
	return b
}

func shortened(b []byte) []byte { return b[:rand.IntN(len(b))] }

// logDamages are what can become of the files of a log.
var logDamages = map[string]func(*platform){
	"a flipped bit":                func(p *platform) { p.change(p.block(), flipped) },
	"a flipped bit, after a crash": func(p *platform) { p.change(p.block(), flipped); p.remove(p.file("msgs/index.db")) },
	"zeros":                        func(p *platform) { p.change(p.block(), zeroed) },
	"a cut file":                   func(p *platform) { p.change(p.block(), shortened) },
	"a cut file, after a crash":    func(p *platform) { p.change(p.block(), shortened); p.remove(p.file("msgs/index.db")) },
	"no file":                      func(p *platform) { p.remove(p.block()) },
	"no stream":                    func(p *platform) { p.remove(eventstore.LogFiles(p.dir)) },
	"no configuration":             func(p *platform) { p.remove(p.file("meta.inf")) },
	"another configuration":        func(p *platform) { p.change(p.file("meta.inf"), flipped) },
	"garbage":                      func(p *platform) { p.change(p.block(), func([]byte) []byte { return []byte("garbage") }) },
	"garbage before": func(p *platform) {
		p.change(p.block(), func(b []byte) []byte { return append([]byte("garbage"), b...) })
	},
	"garbage behind":                 func(p *platform) { p.change(p.block(), func(b []byte) []byte { return append(b, "garbage"...) }) },
	"all twice":                      func(p *platform) { p.change(p.block(), func(b []byte) []byte { return append(b, b...) }) },
	"damage that the server has met": func(p *platform) { p.change(p.block(), flipped); p.meet() },
}

// meet lets the server read the damage, and make of it what it does.
func (p *platform) meet() {
	p.remove(p.file("msgs/index.db"))
	m := &Main{Stores: Stores{Config: defaults().withDefaults(), Version: "test"}, Stdout: io.Discard, Now: nil}
	m.Config.Data, m.Config.Listen, m.Config.StartTimeout = p.dir, "127.0.0.1:0", 0
	if err := m.Open(context.Background()); err == nil {
		p.Error("a damaged log is served")
		_ = m.Close()
	}
}

// rowDamages are what can become of the second copy. ? is a position.
var rowDamages = map[string]string{
	"changed":                 `UPDATE commits SET data = replace(data, 'a', 'b') WHERE position = ?`,
	"made empty":              `UPDATE commits SET data = x'' WHERE position = ?`,
	"dropped":                 `DELETE FROM commits WHERE position = ?`,
	"dropped from there on":   `DELETE FROM commits WHERE position >= ?`,
	"swapped":                 `UPDATE commits SET data = (SELECT data FROM commits b WHERE b.position = commits.position % 5 + 1) WHERE position = ?`,
	"moved":                   `UPDATE commits SET position = -position WHERE position = ?`,
	"doubled behind":          `INSERT INTO commits SELECT position + 1000, boundary, organization, id, at, account, data, chain FROM commits WHERE position = ?`,
	"doubled at the end":      `INSERT INTO commits SELECT (SELECT MAX(position) + 1 FROM commits), boundary, organization, id, at, account, data, chain FROM commits WHERE position = ?`,
	"of another organization": `UPDATE commits SET organization = 'another' WHERE position = ?`,
	"of another boundary":     `UPDATE commits SET boundary = 'another' WHERE position = ?`,
	"of another id":           `UPDATE commits SET id = 'another' WHERE position = ?`,
	"of another time":         `UPDATE commits SET at = at + 1 WHERE position = ?`,
	"with another chain":      `UPDATE commits SET chain = data WHERE position = ?`,
	"all gone":                `DELETE FROM commits WHERE ? > 0`,
	"remembered otherwise":    `UPDATE checkpoint SET chain = x'00' WHERE ? > 0`,
}

var damageRounds = 4

// Whatever becomes of the log's files: nothing is changed before it is told to, and
// then everything acknowledged is there again.
func TestDamagedLogsAreRepaired(t *testing.T) {
	p := newPlatform(t, 12)
	rounds := 0
	for name, harm := range logDamages {
		for range damageRounds {
			rounds++
			c := p.copy()
			harm(c)
			before := c.print()
			if code, out := c.run("repair"); code != exitError || !strings.Contains(out, "nothing was changed") {
				t.Errorf("%s: looking ended with %d: %s", name, code, out)
				continue
			}
			if after := c.print(); after != before {
				t.Errorf("%s: looking has changed\n%s\nto\n%s", name, before, after)
			}
			if code, out := c.run("repair", "--yes"); code != 0 || !strings.Contains(out, c.head.Chain.String()) {
				t.Errorf("%s: it ended with %d: %s", name, code, out)
				continue
			}
			if code, out := c.run("repair"); code != 0 || !strings.Contains(out, "Nothing is wrong") {
				t.Errorf("%s: afterwards: %d: %s", name, code, out)
			}
			c.prove(name)
		}
	}
	t.Logf("%d rounds", rounds)
}

// The same of the second copy, with a log that is whole.
func TestDamagedCopiesAreRepaired(t *testing.T) {
	p := newPlatform(t, 12)
	rounds := 0
	for name, harm := range rowDamages {
		for range damageRounds {
			rounds++
			c := p.copy()
			at := 1 + rand.IntN(int(p.head.Position))
			c.sql(harm, at)
			name := fmt.Sprintf("%s, at %d", name, at)
			before := c.print()
			if code, out := c.run("repair"); code != exitError || !strings.Contains(out, "nothing was changed") {
				t.Errorf("%s: looking ended with %d: %s", name, code, out)
				continue
			}
			if after := c.print(); after != before {
				t.Errorf("%s: looking has changed\n%s\nto\n%s", name, before, after)
			}
			if code, out := c.run("repair", "--yes"); code != 0 {
				t.Errorf("%s: it ended with %d: %s", name, code, out)
				continue
			}
			if code, out := c.run("repair"); code != 0 || !strings.Contains(out, "Nothing is wrong") {
				t.Errorf("%s: afterwards: %d: %s", name, code, out)
			}
			c.prove(name)
		}
	}
	t.Logf("%d rounds", rounds)
}

// A database that can't be read at all is set aside, and made again from the log.
func TestUnreadableViewsAreMadeAgain(t *testing.T) {
	p := newPlatform(t, 6)
	for name, harm := range map[string]func(*platform){
		"garbage": func(p *platform) {
			p.change(filepath.Join(p.dir, viewsFile), func([]byte) []byte { return []byte("garbage") })
		},
		"zeros": func(p *platform) {
			p.change(filepath.Join(p.dir, viewsFile), func(b []byte) []byte { clear(b[4096:]); return b })
		},
		"missing": func(p *platform) { p.remove(filepath.Join(p.dir, viewsFile)) },
	} {
		c := p.copy()
		harm(c)
		code, out := c.run("repair", "--yes")
		if code != 0 {
			t.Errorf("%s: %d: %s", name, code, out)
		}
		c.prove(name)
	}
}

// What neither the log nor the second copy has any more is refused, and comes from a
// backup; commits behind the backup come from what has them.
func TestRepairFromABackup(t *testing.T) {
	p := newPlatform(t, 6)
	saved := filepath.Join(t.TempDir(), "all.backup")
	if code, out := p.run("backup", "--out", saved); code != 0 {
		t.Fatal(out)
	}
	m := begin(t, func(c *Config) { c.Data = p.dir })
	for i := range 5 {
		p.issue(m, 100+i)
	}
	p.close(m)
	for name, harm := range map[string]func(*platform){
		"the whole store is gone, with the keys, and a commit": func(c *platform) {
			c.sql(`DELETE FROM commits WHERE position = 4`)
			c.remove(filepath.Join(c.dir, logFolder))
		},
		"both have lost a commit": func(c *platform) {
			c.sql(`DELETE FROM commits WHERE position = 4`)
			c.remove(c.block())
		},
		"both have changed": func(c *platform) {
			c.sql(`UPDATE commits SET data = replace(data, 'token 1', 'token x') WHERE position = 4`)
			c.change(c.block(), func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("token 1"), []byte("token y")) })
		},
		"the beginning of both is gone": func(c *platform) {
			c.sql(`DELETE FROM commits WHERE position < 6`)
			c.change(c.block(), func(b []byte) []byte { clear(b[:len(b)/3]); return b })
		},
	} {
		c := p.copy()
		harm(c)
		before := c.print()
		if code, out := c.run("repair", "--yes"); code != exitError || !strings.Contains(out, "can't be repaired from what is left: commit ") {
			t.Errorf("%s: without a backup: %d: %s", name, code, out)
		}
		if after := c.print(); after != before {
			t.Errorf("%s: something was changed", name)
		}
		if code, out := c.run("repair", "--yes", "--from", saved); code != 0 {
			t.Errorf("%s: with a backup: %d: %s", name, code, out)
			continue
		}
		c.prove(name)
	}
}

// Commits that the views had not taken yet are kept if the damaged log has them whole.
func TestRepairKeepsWhatOnlyTheLogHas(t *testing.T) {
	p := newPlatform(t, 6)
	older, err := os.ReadFile(filepath.Join(p.dir, viewsFile))
	if err != nil {
		t.Fatal(err)
	}
	m := begin(t, func(c *Config) { c.Data = p.dir })
	for i := range 5 {
		p.issue(m, 100+i)
	}
	p.close(m)
	p.change(filepath.Join(p.dir, viewsFile), func([]byte) []byte { return older })
	p.change(p.block(), func(b []byte) []byte { b[bytes.Index(b, []byte("token 1"))] ^= 1; return b })
	if code, out := p.run("repair", "--yes"); code != 0 || !strings.Contains(out, "only the log itself knows") {
		t.Fatalf("%d: %s", code, out)
	}
	p.prove("behind")
}

// Two histories that are each whole: nobody but a backup can say which is right.
func TestRepairDoesNotChooseAHistory(t *testing.T) {
	p := newPlatform(t, 6)
	other := p.copy()
	saved := filepath.Join(t.TempDir(), "all.backup")
	for _, c := range []*platform{p, other} {
		m := begin(t, func(s *Config) { s.Data = c.dir })
		c.issue(m, 100)
		c.close(m)
	}
	if code, out := p.run("backup", "--out", saved); code != 0 {
		t.Fatal(out)
	}
	if err := os.Rename(filepath.Join(other.dir, viewsFile), filepath.Join(p.dir, viewsFile)); err != nil {
		t.Fatal(err)
	}
	code, out := p.run("repair", "--yes")
	if code != exitError || !strings.Contains(out, "each have it, and not the same") {
		t.Errorf("%d: %s", code, out)
	}
	if code, out := p.run("repair", "--yes", "--from", saved); code != 0 {
		t.Fatalf("%d: %s", code, out)
	}
	p.prove("two histories")
}

// A restore that is killed at any moment leaves nothing that is served, and can be made
// again.
func TestKilledRestores(t *testing.T) {
	p := newPlatform(t, 30)
	saved := filepath.Join(t.TempDir(), "all.backup")
	if code, out := p.run("backup", "--out", saved); code != 0 {
		t.Fatal(out)
	}
	k := killedWorld{t: t}
	k.build()
	done := 0
	for round := range 6 {
		c := *p
		c.dir = filepath.Join(t.TempDir(), "data")
		restore := exec.Command(k.binary, "restore", "--in", saved, "--data", c.dir)
		restore.Env = p.mastered()
		if err := restore.Start(); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Duration(rand.IntN(40*(round+1))) * time.Millisecond)
		_ = restore.Process.Kill()
		_ = restore.Wait()
		if mark, err := directory(c.dir).mark(); err != nil {
			t.Fatal(err)
		} else if mark == nil {
			if code, out := c.restore(saved); code != 0 {
				t.Fatalf("again: %d: %s", code, out)
			}
		} else {
			done++
		}
		c.prove(fmt.Sprint("round ", round))
	}
	t.Logf("%d of 6 were faster than their end", done)
}
