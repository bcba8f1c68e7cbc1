package engine

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"jeton/domain"
)

// kept is a world whose engine has had a copy and kept it, and has ended.
func kept(t *testing.T) (w *world, p *proxy, config Config, bob somebody) {
	t.Helper()
	w = newWorld(t)
	p = newProxy(t, w.platform())
	config = w.config(p.url())
	config.Dir = filepath.Join(t.TempDir(), "jeton")
	c := w.ready(config)
	bob = w.join("bob@example.org", domain.Ordinary)
	w.caughtUp(c)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	return w, p, config, bob
}

// A process that starts while the platform is away goes on with what the one before
// has kept, until it is as old as it may become; the files have no secret in them and
// are nobody else's.
func TestRestartWhileCutOff(t *testing.T) {
	w, p, config, bob := kept(t)
	w.keepsSecrets(config.Dir, bob.secret.Reveal(), w.token.Reveal(), verification)
	for _, name := range []string{snapshotName, instanceName, lockName} {
		if info, err := os.Stat(filepath.Join(config.Dir, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	p.cut()
	w.pass(50 * time.Second)
	c := w.open(config)
	if err := c.Ready(soon(t)); err != nil {
		t.Fatal(err)
	}
	if a := w.allowed(c, bob.secret); a.Age != 50*time.Second || a.Position != w.at() || a.Email != "bob@example.org" {
		t.Errorf("got %+v", a)
	}
	w.denied(c, "jtn_nonsense", domain.ReasonMalformed)
	if a := c.Check(Presented{Secret: bob.secret.Reveal(), Permission: "clones.create"}); !a.Allowed {
		t.Errorf("got %+v for a permission", a)
	}
	w.pass(10 * time.Second)
	w.denied(c, bob.secret.Reveal(), domain.ReasonStale)

	w.do(domain.RevokeToken{Token: bob.token, Reason: "lost"})
	p.heal()
	w.caughtUp(c)
	w.denied(c, bob.secret.Reveal(), domain.ReasonRevoked)
	w.until("it goes on where it was", func() bool {
		first, last := w.asked[0].URL.Query(), w.asked[len(w.asked)-1].URL.Query()
		return last.Get(QueryAfter) != "0" && first.Get(QueryInstance) == last.Get(QueryInstance)
	})
}

// What is reported as taken is on the disk: what was revoked stays revoked after a
// restart, whenever the process ends.
func TestRevokedStaysRevoked(t *testing.T) {
	w := newWorld(t)
	p := newProxy(t, w.platform())
	config := w.config(p.url())
	config.Dir = t.TempDir()
	w.hears = func(report Report) {
		text, err := os.ReadFile(filepath.Join(config.Dir, snapshotName))
		if err != nil {
			t.Error(err)
			return
		}
		if r, err := readJournal(text, config.Token); err != nil || r.mark.To < report.Position {
			t.Errorf("%d is reported, and not in the snapshot: %v", report.Position, err)
		}
	}
	c := w.ready(config)
	bob := w.join("bob@example.org", domain.Ordinary)
	for range 20 {
		w.issue(w.owner, domain.RandomID().String(), func(c *domain.IssueToken) { c.Kind = domain.Administrative })
	}
	w.do(domain.RevokeToken{Token: bob.token, Reason: "lost"})
	at := w.at()
	w.until("the position is reported", func() bool {
		return len(w.reports) > 0 && w.reports[len(w.reports)-1].Position >= at
	})
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	p.cut()
	c = w.open(config)
	w.denied(c, bob.secret.Reveal(), domain.ReasonRevoked)
	w.allowed(c, w.owner.secret)
}

// Whoever changes a byte of a snapshot, or cuts it off, gets nothing believed but what
// was sealed before.
func TestChangedSnapshot(t *testing.T) {
	_, _, config, _ := kept(t)
	whole, err := os.ReadFile(filepath.Join(config.Dir, snapshotName))
	if err != nil {
		t.Fatal(err)
	}
	if r, err := readJournal(whole, config.Token); err != nil || r.size != int64(len(whole)) || r.base == r.size {
		t.Fatalf("the snapshot itself is not read whole: %+v, %v", r, err)
	}
	judge := func(how string, at int, text []byte) {
		r, err := readJournal(text, config.Token)
		if err == nil && (r.size >= int64(len(whole)) || !bytes.Equal(text[:r.size], whole[:r.size])) {
			t.Fatalf("%s at byte %d of %d, near %q: believed", how, at, len(whole), whole[max(0, at-20):min(len(whole), at+20)])
		}
	}
	for at := range whole {
		for _, flip := range []byte{1, 0x20, '\n' ^ whole[at], 0xff} {
			if flip == 0 {
				continue
			}
			changed := bytes.Clone(whole)
			changed[at] ^= flip
			judge("flipped", at, changed)
		}
		judge("cut off", at, whole[:at])
		judge("cut out", at, append(bytes.Clone(whole[:at]), whole[at+1:]...))
	}
	lines := slices.Collect(bytes.Lines(whole))
	for i := range lines {
		for j := range i {
			swapped := slices.Clone(lines)
			if swapped[i], swapped[j] = lines[j], lines[i]; !bytes.Equal(lines[i], lines[j]) {
				judge("swapped", i, bytes.Join(swapped, nil))
			}
		}
	}
}

// A snapshot that is not to be believed lets nobody in, and says so; the platform
// heals it.
func TestBadSnapshot(t *testing.T) {
	for name, spoil := range map[string]func(config *Config, text []byte) []byte{
		"changed":       func(_ *Config, text []byte) []byte { return bytes.Replace(text, []byte("bob@"), []byte("eve@"), 1) },
		"empty":         func(*Config, []byte) []byte { return nil },
		"another token": func(c *Config, text []byte) []byte { c.Token = "another"; return text },
		"of a new version": func(_ *Config, text []byte) []byte {
			return bytes.Replace(text, []byte(`"version":1`), []byte(`"version":2`), 1)
		},
		"without a seal": func(_ *Config, text []byte) []byte { return text[:bytes.Index(text, sealBegins)] },
	} {
		t.Run(name, func(t *testing.T) {
			w, p, config, bob := kept(t)
			path := filepath.Join(config.Dir, snapshotName)
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			token := config.Token
			if err := os.WriteFile(path, spoil(&config, text), 0o600); err != nil {
				t.Fatal(err)
			}
			p.cut()
			c := w.open(config)
			w.denied(c, bob.secret.Reveal(), domain.ReasonStale)
			w.denied(c, verification, domain.ReasonStale)
			if s := c.State(); s.Snapshot.Err == nil || s.Position != 0 {
				t.Errorf("got the state %+v", s)
			}
			if config.Token != token {
				return
			}
			p.heal()
			w.caughtUp(c)
			w.allowed(c, bob.secret)
			w.await(c, "it is written again", func(s State) bool { return s.Snapshot.Err == nil && s.Snapshot.Position == w.at() })
		})
	}
}

// An older snapshot that is put back is as old as it is; one of the future is of no
// age that could be known.
func TestOldSnapshot(t *testing.T) {
	w, p, config, bob := kept(t)
	path := filepath.Join(config.Dir, snapshotName)
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	w.pass(40 * time.Second)
	c := w.ready(config)
	w.do(domain.RevokeToken{Token: bob.token, Reason: "lost"})
	w.caughtUp(c)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	p.cut()
	if err := os.WriteFile(path, old, 0o600); err != nil {
		t.Fatal(err)
	}
	w.pass(20 * time.Second)
	c = w.open(config)
	w.denied(c, bob.secret.Reveal(), domain.ReasonStale)
	w.pass(-2 * time.Minute)
	w.denied(c, bob.secret.Reveal(), domain.ReasonStale)
}

// A directory belongs to one process.
func TestTwoProcesses(t *testing.T) {
	w := newWorld(t)
	config := w.config(w.platform().URL)
	config.Dir = t.TempDir()
	c := w.ready(config)
	if other, err := Open(t.Context(), config); err == nil || !strings.Contains(err.Error(), config.Dir) {
		_ = other.Close()
		t.Fatalf("got %v for a directory that is in use", err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	w.ready(config)
}

// What was being written when a process ended does not count, and does not harm.
func TestTornSnapshot(t *testing.T) {
	w, p, config, bob := kept(t)
	path := filepath.Join(config.Dir, snapshotName)
	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteString(`{"token":{"id":"` + bob.token.String() + `","kind":"personal","ha`); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(file.Close(), os.WriteFile(filepath.Join(config.Dir, snapshotNew), []byte("{"), 0o600)); err != nil {
		t.Fatal(err)
	}
	p.cut()
	c := w.open(config)
	w.allowed(c, bob.secret)
	p.heal()
	cid := w.join("cid@example.org", domain.Ordinary)
	w.caughtUp(c)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	p.cut()
	c = w.open(config)
	w.allowed(c, bob.secret)
	w.allowed(c, cid.secret)
}

// A snapshot that has grown is written anew, and says the same.
func TestSnapshotIsWrittenAnew(t *testing.T) {
	w, p, config, bob := kept(t)
	config.MaxStaleness = MaxStaleness
	c := w.ready(config)
	grown := c.State().Snapshot.Bytes
	w.say(`{"future":"` + strings.Repeat("x", rewriteAfter) + `"}`) // no piece: it is not kept
	_, _, machine := w.program("ci", domain.Grant{Access: domain.FullAccess})
	w.caughtUp(c)
	if now := c.State().Snapshot.Bytes; now < grown || now > grown+rewriteAfter {
		t.Errorf("it has grown from %d to %d bytes", grown, now)
	}
	many := strings.Repeat(strings.TrimSpace(string(encode(Line{Piece: w.org.Frame(w.engine)})))+"\n", 1+rewriteAfter/1000)
	w.say(strings.TrimSpace(many))
	w.do(domain.RevokeToken{Token: bob.token, Reason: "lost"})
	w.await(c, "written anew", func(s State) bool {
		return s.Position >= w.at() && s.Snapshot.Position >= w.at() && s.Snapshot.Bytes < rewriteAfter
	})
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	p.cut()
	c = w.open(config)
	w.allowed(c, w.owner.secret)
	w.allowed(c, machine)
	if a := c.Check(Presented{Secret: bob.secret.Reveal()}); a.Allowed {
		t.Errorf("a revoked token is %+v after the snapshot was written anew", a)
	}
	if a := c.Check(Presented{Secret: verification}); !a.Allowed {
		t.Errorf("the verification token is %+v after the snapshot was written anew", a)
	}
}

// A disk that takes no more costs the snapshot and nothing else.
func TestDiskFails(t *testing.T) {
	w := newWorld(t)
	config := w.config(w.platform().URL)
	config.Dir = t.TempDir()
	c := w.ready(config)
	w.await(c, "a snapshot", func(s State) bool { return s.Snapshot.Position != 0 })
	w.change(func() { _ = c.snap.file.file.Close() })
	bob := w.join("bob@example.org", domain.Ordinary)
	w.caughtUp(c)
	w.allowed(c, bob.secret)
	w.await(c, "a snapshot again", func(s State) bool { return s.Snapshot.Err == nil && s.Snapshot.Position == w.at() })
}
