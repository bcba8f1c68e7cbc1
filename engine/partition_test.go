package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"jeton/domain"
)

// behindProxy is a client whose way to the platform can be bad, with a copy.
func (w *world) behindProxy(change func(*Config)) (*Client, *proxy) {
	w.Helper()
	p := newProxy(w, w.platform())
	config := w.config(p.url())
	if change != nil {
		change(&config)
	}
	return w.ready(config), p
}

func (w *world) lost(c *Client) {
	w.Helper()
	w.await(c, "cut off", func(s State) bool { return !s.Connected && s.Err != nil })
}

// Cut off, the copy goes on with what it knows, says how old that is, closes at its
// bound whatever is shown, and heals.
func TestCutOff(t *testing.T) {
	w := newWorld(t)
	bob := w.join("bob@example.org", domain.Ordinary)
	c, p := w.behindProxy(nil)
	p.cut()
	w.lost(c)
	w.do(domain.RevokeToken{Token: bob.token, Reason: "lost"})

	w.pass(time.Minute - time.Millisecond)
	if a := w.allowed(c, bob.secret); a.Age != time.Minute-time.Millisecond {
		t.Errorf("got an age of %v", a.Age)
	}
	w.pass(time.Millisecond)
	w.denied(c, bob.secret.Reveal(), domain.ReasonStale)
	w.denied(c, w.owner.secret.Reveal(), domain.ReasonStale)
	w.denied(c, verification, domain.ReasonStale)
	if s := c.State(); s.Open || s.Connected || s.Err == nil || s.Age != time.Minute {
		t.Errorf("got the state %+v", s)
	}

	p.heal()
	w.caughtUp(c)
	w.denied(c, bob.secret.Reveal(), domain.ReasonRevoked)
	w.allowed(c, w.owner.secret)
}

// An engine that is open to everybody is closed when its copy is stale: it may not be
// open any more.
func TestOpenEngineCloses(t *testing.T) {
	w := newWorld(t)
	w.door(func(d *domain.Door) { *d = domain.Door{Open: true} })
	c, p := w.behindProxy(nil)
	p.cut()
	w.lost(c)
	if a := c.Check(Presented{}); !a.Allowed {
		t.Errorf("got %+v from a copy that may go on", a)
	}
	w.pass(time.Minute)
	w.denied(c, "", domain.ReasonStale)
}

// A token expires at its time, whether or not anybody can be asked.
func TestExpiryWhileCutOff(t *testing.T) {
	w := newWorld(t)
	_, short := w.issue(w.owner, "short", func(c *domain.IssueToken) { c.Expires = w.instant().Add(30 * time.Second) })
	c, p := w.behindProxy(nil)
	p.cut()
	w.lost(c)
	w.pass(30*time.Second - time.Millisecond)
	w.allowed(c, short)
	w.pass(time.Millisecond)
	w.denied(c, short.Reveal(), domain.ReasonExpired)
	w.allowed(c, w.owner.secret)
}

// A clock that is behind the platform's lets no token live longer, and one that is
// set back makes nothing younger.
func TestClocks(t *testing.T) {
	w := newWorld(t)
	_, short := w.issue(w.owner, "short", func(c *domain.IssueToken) { c.Expires = w.instant().Add(30 * time.Second) })
	c, p := w.behindProxy(func(config *Config) {
		config.Now = func() time.Time { return w.now().Add(-time.Hour) }
	})
	w.allowed(c, short)
	w.pass(30 * time.Second)
	w.denied(c, short.Reveal(), domain.ReasonExpired)
	p.cut()
	w.lost(c)
	w.pass(-2 * time.Minute)
	w.denied(c, w.owner.secret.Reveal(), domain.ReasonStale)
}

// A connection over which nothing comes is none.
func TestHalfOpen(t *testing.T) {
	w := newWorld(t)
	c, p := w.behindProxy(nil)
	p.deaf.Store(true)
	w.await(c, "silence is noticed", func(s State) bool { return !s.Connected && errors.Is(s.Err, errSilent) })
	w.allowed(c, w.owner.secret)
	bob := w.join("bob@example.org", domain.Ordinary)
	p.heal()
	w.caughtUp(c)
	w.allowed(c, bob.secret)
}

// Who hears the platform and is not heard stays up to date, and reports later.
func TestOneWay(t *testing.T) {
	w := newWorld(t)
	c, p := w.behindProxy(nil)
	w.until("reported once", func() bool { return len(w.reports) > 0 })
	p.mute.Store(true)
	bob := w.join("bob@example.org", domain.Ordinary)
	w.caughtUp(c)
	w.allowed(c, bob.secret)
	p.heal()
	at := w.at()
	w.until("it is reported", func() bool {
		used := func(r Report) bool { return len(r.Uses) == 1 && r.Uses[0].Token == bob.token }
		return w.reports[len(w.reports)-1].Position >= at && slices.ContainsFunc(w.reports, used)
	})
}

// A slow way is a way.
func TestSlow(t *testing.T) {
	w := newWorld(t)
	p := newProxy(t, w.platform())
	p.slow.Store(true)
	c := w.ready(w.config(p.url()))
	w.allowed(c, w.owner.secret)
}

// A stream that ends is gone on with where it ended.
func TestStreamEnds(t *testing.T) {
	w := newWorld(t)
	c, p := w.behindProxy(nil)
	bob := w.join("bob@example.org", domain.Ordinary)
	w.caughtUp(c)
	at := w.at()
	p.hangUp()
	cid := w.join("cid@example.org", domain.Ordinary)
	w.caughtUp(c)
	w.allowed(c, bob.secret)
	w.allowed(c, cid.secret)
	w.until("it goes on", func() bool {
		q := w.asked[len(w.asked)-1].URL.Query()
		return len(w.asked) == 2 && q.Get(QueryAfter) >= fmt.Sprint(at) && q.Get(QueryLog) == "log-1"
	})
}

// What does not go together is not taken: all is read again, and until it is there
// the old copy goes on.
func TestNonsense(t *testing.T) {
	for name, line := range map[string]string{
		"a gap":                         `{"mark":{"from":1000,"to":1001,"at":"2027-03-01T12:00:00Z"}}`,
		"a mark of the past":            `{"mark":{"from":4,"to":3,"at":"2027-03-01T12:00:00Z"}}`,
		"no JSON":                       `<html>welcome to the hotel</html>`,
		"half a line":                   `{"mark":{"from":4,`,
		"a second hello":                `{"hello":{"platform":"5","log":"log-1"}}`,
		"a holder with a role too many": `{"holder":{"at":0,"kind":1,"role":999,"number":1}}`,
		"a token without a hash":        `{"token":{"id":"0123456789abcdef","kind":"personal"}}`,
		"fewer roles than there were":   `{"frame":{"number":1,"alias":"acme","policy":{},"permissions":[],"roles":[],"door":{"personal_tokens":true}}}`,
		"a line without an end":         `{"future":"` + strings.Repeat("x", maxLine) + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			c := w.ready(w.config(w.platform().URL))
			down := false
			w.change(func() {
				w.raw = append(w.raw, line)
				w.refuses = func(rw http.ResponseWriter) bool {
					if down {
						rw.WriteHeader(http.StatusServiceUnavailable)
					}
					return down
				}
				down = true
			})
			w.lost(c)
			w.allowed(c, w.owner.secret)
			w.change(func() { down = false })
			w.caughtUp(c)
			w.allowed(c, w.owner.secret)
			w.until("all is read again", func() bool { return w.asked[len(w.asked)-1].URL.Query().Get(QueryAfter) == "0" })
		})
	}
}

// What a younger platform says besides is not understood, and does no harm.
func TestUnknownLines(t *testing.T) {
	w := newWorld(t)
	c := w.ready(w.config(w.platform().URL))
	w.say(`{"weather":{"of":"tomorrow"}}`)
	w.say(``)
	w.say(`{"token":{"id":"0123456789abcdef","kind":"personal","hash":"` + strings.Repeat("ab", 32) + `","seat":0,"mood":"good"}}`)
	bob := w.join("bob@example.org", domain.Ordinary)
	w.caughtUp(c)
	w.allowed(c, bob.secret)
	if n := len(w.asked); n != 1 {
		t.Errorf("the stream was asked for %d times", n)
	}
}

// What is older than what is known does not bring a revoked token back: it is a cut, and
// the next node is asked to go on.
func TestNodeIsBehind(t *testing.T) {
	w := newWorld(t)
	bob := w.join("bob@example.org", domain.Ordinary)
	c, p := w.behindProxy(nil)
	before := w.old()
	w.do(domain.RevokeToken{Token: bob.token, Reason: "lost"})
	w.caughtUp(c)
	at := w.at()
	w.change(func() { w.behind, w.asked = before, nil })
	p.hangUp()
	w.await(c, "that the node is behind is noticed", func(s State) bool { return errors.Is(s.Err, errBehind) })
	w.until("it is tried again", func() bool { return len(w.asked) > 2 })
	w.denied(c, bob.secret.Reveal(), domain.ReasonRevoked)
	if s := c.State(); s.Connected || !s.Open || s.Position != at {
		t.Errorf("got the state %+v", s)
	}
	w.change(func() { w.behind = nil })
	w.caughtUp(c)
	w.denied(c, bob.secret.Reveal(), domain.ReasonRevoked)
	w.change(func() {
		for _, r := range w.asked {
			if got := r.URL.Query().Get(QueryAfter); got != fmt.Sprint(at) {
				t.Errorf("it asks for what came after %s, want %d", got, at)
			}
		}
	})
}

// Nor does it while a stream that was good turns back, or when the platform has refused
// the engine in between.
func TestStreamTurnsBack(t *testing.T) {
	w := newWorld(t)
	bob := w.join("bob@example.org", domain.Ordinary)
	c := w.ready(w.config(w.platform().URL))
	before := w.old()
	w.do(domain.RevokeToken{Token: bob.token, Reason: "lost"})
	w.caughtUp(c)
	w.change(func() {
		w.behind, w.raw = before, append(w.raw, `{"reset":true}`, fmt.Sprintf(`{"mark":{"from":0,"to":%d,"at":"2027-03-01T12:00:00Z"}}`, before.position))
	})
	w.await(c, "that it turns back is noticed", func(s State) bool { return errors.Is(s.Err, errBehind) })
	w.denied(c, bob.secret.Reveal(), domain.ReasonRevoked)
	w.change(func() {
		w.refuses = func(rw http.ResponseWriter) bool { refuse(rw, http.StatusUnauthorized); return true }
	})
	w.await(c, "refused", func(s State) bool { return errors.Is(s.Err, ErrRefused) })
	w.change(func() { w.refuses, w.asked = nil, nil })
	w.until("it is tried again", func() bool { return len(w.asked) > 2 })
	w.denied(c, bob.secret.Reveal(), domain.ReasonStale)
}

// A platform that was restored from a backup is believed once the copy is stale, and one
// that has another log at once.
func TestPlatformIsRestored(t *testing.T) {
	for name, test := range map[string]struct {
		log  string
		pass time.Duration
	}{"from a backup": {"log-1", time.Minute}, "with another log": {"log-2", 0}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			before := w.old()
			bob := w.join("bob@example.org", domain.Ordinary)
			c, p := w.behindProxy(nil)
			w.allowed(c, bob.secret)
			w.change(func() { w.behind, w.log = before, test.log })
			p.hangUp()
			if test.pass != 0 {
				w.await(c, "that it is older is noticed", func(s State) bool { return errors.Is(s.Err, errBehind) })
				w.allowed(c, bob.secret)
				w.pass(test.pass)
			}
			w.await(c, "it is taken", func(s State) bool { return s.Connected && s.Open && s.Position == before.position })
			w.denied(c, bob.secret.Reveal(), domain.ReasonUnknown)
			w.allowed(c, w.owner.secret)
		})
	}
}

// A copy that was begun and is not complete is not shown.
func TestHalfACopy(t *testing.T) {
	w := newWorld(t)
	c := w.ready(w.config(w.platform().URL))
	w.change(func() {
		w.silent = true
		w.raw = append(w.raw, `{"reset":true}`, `{"frame":{"number":1,"alias":"other","policy":{},"permissions":[],"roles":[],"door":{"name":"other"}}}`)
	})
	w.await(c, "silence", func(s State) bool { return !s.Connected })
	if a := w.allowed(c, w.owner.secret); a.Organization != "acme" {
		t.Errorf("got an answer of %q", a.Organization)
	}
}

// When the platform says that the engine is none, nobody comes in from then on. When
// somebody else on the way says so, that is a cut.
func TestRefused(t *testing.T) {
	for name, test := range map[string]struct {
		refuse func(http.ResponseWriter) bool
		closed bool
	}{
		"by the platform": {func(rw http.ResponseWriter) bool { refuse(rw, http.StatusUnauthorized); return true }, true},
		"not found":       {func(rw http.ResponseWriter) bool { refuse(rw, http.StatusNotFound); return true }, true},
		"by a proxy":      {func(rw http.ResponseWriter) bool { rw.WriteHeader(http.StatusUnauthorized); return true }, false},
		"by a proxy that speaks": {func(rw http.ResponseWriter) bool {
			http.Error(rw, `{"status":401,"code":"x"}`, http.StatusUnauthorized)
			return true
		}, false},
		"of something else":          {func(rw http.ResponseWriter) bool { problem(rw, 401, `{"status":404,"code":"x"}`); return true }, false},
		"without a code":             {func(rw http.ResponseWriter) bool { problem(rw, 401, `{"status":401}`); return true }, false},
		"in words nobody reads":      {func(rw http.ResponseWriter) bool { problem(rw, 401, `no`); return true }, false},
		"while the platform is busy": {func(rw http.ResponseWriter) bool { refuse(rw, http.StatusServiceUnavailable); return true }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			config := w.config("")
			config.Dir = t.TempDir()
			p := newProxy(t, w.platform())
			config.URL = p.url()
			c := w.ready(config)
			w.change(func() { w.refuses = test.refuse })
			p.hangUp()
			w.lost(c)
			w.await(c, "an answer", func(s State) bool { return errors.As(s.Err, new(*answered)) || errors.Is(s.Err, ErrRefused) })
			if s := c.State(); s.Open == test.closed || errors.Is(s.Err, ErrRefused) != test.closed {
				t.Errorf("got open %t and %v", s.Open, s.Err)
			}
			if test.closed {
				w.denied(c, verification, domain.ReasonStale)
				w.await(c, "the snapshot is removed", func(s State) bool { return s.Snapshot.Position == 0 && s.Snapshot.Err == nil })
				if _, err := os.Stat(filepath.Join(config.Dir, snapshotName)); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("the snapshot is kept: %v", err)
				}
			}
			w.change(func() { w.refuses = nil })
			w.caughtUp(c)
			w.allowed(c, w.owner.secret)
		})
	}
}

// problem answers as others answer who know the platform's media type.
func problem(rw http.ResponseWriter, status int, text string) {
	rw.Header().Set("Content-Type", "application/problem+json; charset=utf-8")
	rw.WriteHeader(status)
	fmt.Fprint(rw, text)
}

// A stream goes on only with what it was asked to go on with.
func TestAnotherHistory(t *testing.T) {
	w := newWorld(t)
	c := w.ready(w.config(w.platform().URL))
	at := w.at()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	same := Hello{Platform: "6", Log: "log-1", Organization: w.org.Number, Engine: w.engine}
	for name, test := range map[string]struct {
		change func(*Hello)
		err    error
	}{
		"the same":             {func(*Hello) {}, nil},
		"another log":          {func(h *Hello) { h.Log = "log-2" }, errOther},
		"another organization": {func(h *Hello) { h.Organization++ }, errOther},
		"another engine":       {func(h *Hello) { h.Engine++ }, errOther},
	} {
		hello, s := same, c.newStream()
		test.change(&hello)
		if err := s.take(&Line{Hello: &hello}, nil); err != nil {
			t.Fatal(err)
		}
		if err := s.take(&Line{Mark: &Mark{From: at, To: at}}, nil); !errors.Is(err, test.err) {
			t.Errorf("%s: got %v, want %v", name, err, test.err)
		}
	}
	if err := c.newStream().take(&Line{Mark: &Mark{From: at, To: at}}, nil); !errors.Is(err, errHello) {
		t.Errorf("got %v without a hello", err)
	}
}

// A refusal that a report meets counts as well.
func TestRefusedReport(t *testing.T) {
	w := newWorld(t)
	c := w.ready(w.config(w.platform().URL))
	refused := func(rw http.ResponseWriter) bool { refuse(rw, http.StatusForbidden); return true }
	w.change(func() { w.refuses = refused })
	w.await(c, "refused", func(s State) bool { return errors.Is(s.Err, ErrRefused) })
	w.denied(c, w.owner.secret.Reveal(), domain.ReasonStale)
}

// The token goes nowhere but to the platform.
func TestRedirectsAreNotFollowed(t *testing.T) {
	w := newWorld(t)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a redirect was followed") }))
	t.Cleanup(elsewhere.Close)
	w.refuses = func(rw http.ResponseWriter) bool {
		rw.Header().Set("Location", elsewhere.URL)
		rw.WriteHeader(http.StatusTemporaryRedirect)
		return true
	}
	c := w.open(w.config(w.platform().URL))
	w.await(c, "an error", func(s State) bool { return s.Err != nil })
	if s := c.State(); !strings.Contains(s.Err.Error(), "307") {
		t.Errorf("got %v, want that it says what the answer was", s.Err)
	}
}

// A copy that is not to go on by itself closes with its connection.
func TestNoStaleness(t *testing.T) {
	w := newWorld(t)
	c, p := w.behindProxy(func(config *Config) { config.MaxStaleness = NoStaleness })
	w.allowed(c, w.owner.secret)
	p.cut()
	w.lost(c)
	w.denied(c, w.owner.secret.Reveal(), domain.ReasonStale)
	p.heal()
	w.caughtUp(c)
	w.allowed(c, w.owner.secret)
}

// How old a copy may be: as old as is wanted, and while it is connected two heartbeats.
func TestOpenAt(t *testing.T) {
	for name, test := range map[string]struct {
		l    *live
		age  time.Duration
		open bool
	}{
		"fresh":                             {&live{max: time.Minute}, 0, true},
		"just before its bound":             {&live{max: time.Minute}, time.Minute - 1, true},
		"at its bound":                      {&live{max: time.Minute}, time.Minute, false},
		"at its bound, connected":           {&live{max: time.Minute, connected: true}, time.Minute, true},
		"beyond it, connected":              {&live{max: time.Minute, connected: true}, time.Minute + 1, false},
		"no staleness, connected":           {&live{connected: true}, 2 * time.Second, true},
		"no staleness, two heartbeats lost": {&live{connected: true}, 2*time.Second + 1, false},
		"no staleness, cut off":             {&live{}, 0, false},
		"of the future":                     {&live{max: time.Minute}, -1, false},
		"refused":                           {&live{max: time.Minute, refused: true}, 0, false},
		"closed":                            {&live{max: time.Minute, closed: true}, 0, false},
	} {
		test.l.received = noon
		if got := test.l.open(test.age); got != test.open {
			t.Errorf("%s: got open %t, want %t", name, got, test.open)
		}
	}
	if new(live).open(0) {
		t.Error("a copy that has heard nothing is open")
	}
}
