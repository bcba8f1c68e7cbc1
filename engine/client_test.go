package engine

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"jeton/domain"
)

// A change at the platform holds at the engine once the position is reported, and the
// answer says who it is.
func TestCopyIsLive(t *testing.T) {
	w := newWorld(t)
	bob := w.join("bob@example.org", domain.Ordinary)
	_, program, machine := w.program("ci", domain.Grant{Access: domain.FullAccess})
	c := w.open(w.config(w.platform().URL))
	if err := c.Ready(soon(t)); err != nil {
		t.Fatal(err)
	}

	a := w.allowed(c, bob.secret)
	number := w.directory.Accounts[bob.id].Number
	want := Answer{
		Allowed: true, Via: domain.ViaPersonal, Organization: "acme", Engine: "prod", Holder: number, Email: "bob@example.org",
		Role: domain.Ordinary, Token: bob.token, ExpiresAt: a.ExpiresAt, Age: a.Age, At: a.At, Position: w.at(),
	}
	if a != want || a.ExpiresAt == 0 {
		t.Errorf("got %+v, want %+v", a, want)
	}
	if a := w.allowed(c, machine); a.Via != domain.ViaService || a.Token != program || !strings.HasPrefix(a.Subject(), "service:") {
		t.Errorf("got %+v for the service account", a)
	}

	w.do(domain.RevokeToken{Token: bob.token, Reason: "lost"})
	at := w.at()
	w.until("the position is reported", func() bool {
		return len(w.reports) > 0 && w.reports[len(w.reports)-1].Position >= at
	})
	w.denied(c, bob.secret.Reveal(), domain.ReasonRevoked)

	cid := w.join("cid@example.org", domain.Ordinary)
	w.caughtUp(c)
	w.allowed(c, cid.secret)
}

// What a token may do is decided at the engine by the platform's rule.
func TestCheckAsksForPermissions(t *testing.T) {
	w := newWorld(t)
	bob := w.join("bob@example.org", domain.Ordinary)
	_, reads := w.issue(bob, "reads", func(c *domain.IssueToken) { c.Terms.Grant = domain.Grant{Access: domain.ReadOnly} })
	_, elsewhere := w.issue(bob, "elsewhere", func(c *domain.IssueToken) {
		c.Terms.Grant = domain.Grant{Access: domain.FullAccess, Resources: []domain.Resource{"engine:test"}}
	})
	c := w.ready(w.config(w.platform().URL))
	for name, test := range map[string]struct {
		secret     domain.Secret
		permission string
		why        domain.Reason
	}{
		"everything":              {bob.secret, "clones.create", domain.ReasonNone},
		"read only reads":         {reads, "clones.read", domain.ReasonNone},
		"read only does not make": {reads, "clones.create", domain.ReasonPermission},
		"read only to come in":    {reads, "", domain.ReasonPermission},
		"bound to another engine": {elsewhere, "", domain.ReasonResource},
		"what there is not":       {bob.secret, "clones.fly", domain.ReasonPermission},
	} {
		a := c.Check(Presented{Secret: test.secret.Reveal(), Permission: test.permission})
		if a.Allowed != (test.why == domain.ReasonNone) || a.Reason != test.why {
			t.Errorf("%s: got allowed %t, reason %q; want reason %q", name, a.Allowed, a.Reason, test.why)
		}
	}
}

// The rules of the door hold at the engine.
func TestDoor(t *testing.T) {
	w := newWorld(t)
	c := w.ready(w.config(w.platform().URL))
	check := func(p Presented) Answer { return c.Check(p) }

	a := check(Presented{Secret: verification, Forwarded: "bob@example.org"})
	if !a.Allowed || a.Via != domain.ViaVerification || a.Email != "bob@example.org" || a.Subject() != "" {
		t.Errorf("the verification token is answered with %+v", a)
	}
	if a := check(Presented{Secret: w.owner.secret.Reveal(), Forwarded: "bob@example.org"}); a.Email != "ann@example.org" {
		t.Errorf("whoever shows a token is %q, as they say themselves", a.Email)
	}
	w.denied(c, w.token.Reveal(), domain.ReasonDoor)
	w.denied(c, "", domain.ReasonMalformed)
	w.denied(c, "jtn_nonsense", domain.ReasonMalformed)

	w.door(func(d *domain.Door) { d.PersonalTokens = false })
	w.caughtUp(c)
	w.denied(c, w.owner.secret.Reveal(), domain.ReasonDoor)
	w.door(func(d *domain.Door) { *d = domain.Door{Open: true} })
	w.caughtUp(c)
	if a := check(Presented{}); !a.Allowed || a.Via != domain.ViaOpen {
		t.Errorf("an open engine answers %+v", a)
	}
	off := true
	w.do(domain.UpdateEngine{Engine: w.engine, Disabled: &off})
	w.caughtUp(c)
	w.denied(c, w.owner.secret.Reveal(), domain.ReasonDoor)
}

// The engine says what it is, how far, and how its tokens are used.
func TestReports(t *testing.T) {
	w := newWorld(t)
	bob := w.join("bob@example.org", domain.Ordinary)
	config := w.config(w.platform().URL)
	config.MaxStaleness, config.Instance = 5*time.Minute, "pod-7"
	c := w.ready(config)
	for range 3 {
		w.allowed(c, bob.secret)
	}
	c.Check(Presented{Secret: bob.secret.Reveal(), Permission: "clones.create", Agent: "curl/8.5.0"})
	w.denied(c, "jtn_nonsense", domain.ReasonMalformed)

	uses := map[domain.TokenID]Use{}
	w.until("the uses are reported", func() bool {
		var n uint32
		for _, r := range w.reports {
			for _, u := range r.Uses {
				n += u.Count
				uses[u.Token] = u
			}
		}
		return n == 4
	})
	u := uses[bob.token]
	if len(uses) != 1 || u.Last != domain.At(noon) || u.Agent != "curl/8.5.0" || len(u.Permissions) == 0 {
		t.Errorf("got the uses %+v", uses)
	}
	w.until("it says who it is", func() bool {
		q := w.asked[0].URL.Query()
		return q.Get(QueryInstance) == "pod-7" && q.Get(QueryStaleness) == "300" && q.Get(QueryVersion) == "4.0.1" &&
			q.Get(QueryAfter) == "0" && w.reports[0].Instance == "pod-7"
	})
	n := len(w.reports)
	w.until("it reports though nothing happens", func() bool { return len(w.reports) > n+1 })
}

// Uses that were noted before the end are reported at the end.
func TestCloseReports(t *testing.T) {
	w := newWorld(t)
	c := w.ready(w.config(w.platform().URL))
	w.allowed(c, w.owner.secret)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	w.denied(c, w.owner.secret.Reveal(), domain.ReasonStale)
	w.until("the use is reported", func() bool {
		for _, r := range w.reports {
			for _, u := range r.Uses {
				if u.Token == w.owner.token && u.Count == 1 {
					return true
				}
			}
		}
		return false
	})
	if err := c.Ready(soon(t)); !errors.Is(err, errClosed) {
		t.Errorf("got %v from a client that was closed", err)
	}
}

// A report that was not answered is sent again; one that is refused for good is not.
func TestReportsAgain(t *testing.T) {
	w := newWorld(t)
	c := w.ready(w.config(w.platform().URL))
	w.until("reported once", func() bool { return len(w.reports) > 0 })
	failures := 0
	w.change(func() {
		w.refuses = func(rw http.ResponseWriter) bool {
			if failures++; failures <= 2 {
				rw.WriteHeader(http.StatusInternalServerError)
			}
			return failures <= 2
		}
	})
	w.allowed(c, w.owner.secret)
	w.until("the use is reported", func() bool {
		return slices.ContainsFunc(w.reports, func(r Report) bool { return len(r.Uses) == 1 && r.Uses[0].Count == 1 })
	})
	if failures < 3 {
		t.Errorf("got %d attempts, want three", failures)
	}
}

// Limits are counted at the engine.
func TestLimits(t *testing.T) {
	w := newWorld(t)
	bob := w.join("bob@example.org", domain.Ordinary)
	_, few := w.issue(bob, "few", func(c *domain.IssueToken) { c.Terms.Limit = domain.Limit{Requests: 2, Window: 60} })
	c := w.ready(w.config(w.platform().URL))
	for left := uint32(2); left > 0; left-- {
		if a := w.allowed(c, few); a.Limit.Remaining != left-1 || a.Limit.Resets != domain.At(noon.Add(time.Minute)) {
			t.Errorf("got %+v left, want %d", a.Limit, left-1)
		}
	}
	w.denied(c, few.Reveal(), domain.ReasonLimited)
	w.allowed(c, bob.secret)
	w.pass(time.Minute)
	w.await(c, "a mark of the next minute", func(s State) bool { return s.Age == 0 })
	w.allowed(c, few)
}

// A token that is used here is not idle, whatever the platform has heard.
func TestIdle(t *testing.T) {
	w := newWorld(t)
	bob, cid := w.join("bob@example.org", domain.Ordinary), w.join("cid@example.org", domain.Ordinary)
	w.demand(func(p *domain.Policy) { p.Idle = 48 * 3600 })
	c := w.ready(w.config(w.platform().URL))
	for range 2 {
		w.pass(25 * time.Hour)
		w.await(c, "a mark of that day", func(s State) bool { return s.Age == 0 })
		w.allowed(c, bob.secret)
	}
	w.denied(c, cid.secret.Reveal(), domain.ReasonIdle)
	w.change(func() { w.log = "log-2" }) // all is told again, by a platform that has not heard of uses
	w.say("nonsense")
	w.await(c, "another log", func(s State) bool { return s.Connected && c.logged() == "log-2" })
	w.allowed(c, bob.secret)
	w.denied(c, cid.secret.Reveal(), domain.ReasonIdle)
}

func (c *Client) logged() string {
	c.copy.mu.RLock()
	defer c.copy.mu.RUnlock()
	return c.copy.hello.Log
}

// Configurations that cannot be are refused, in words that do not have the token in
// them.
func TestOpenRefuses(t *testing.T) {
	good := Config{URL: "http://127.0.0.1:1", Token: "jtn_secret"}
	for name, change := range map[string]func(*Config){
		"no URL":              func(c *Config) { c.URL = "" },
		"no scheme":           func(c *Config) { c.URL = "jeton.example.org" },
		"another scheme":      func(c *Config) { c.URL = "ftp://jeton.example.org" },
		"a user in the URL":   func(c *Config) { c.URL = "https://me:jtn_secret@jeton.example.org" },
		"a query":             func(c *Config) { c.URL = "https://jeton.example.org?token=jtn_secret" },
		"no token":            func(c *Config) { c.Token = "" },
		"a token in lines":    func(c *Config) { c.Token = "jtn_secret\n" },
		"older than a day":    func(c *Config) { c.MaxStaleness = 24*time.Hour + 1 },
		"an instance in blue": func(c *Config) { c.Instance = "in blue" },
		"a long version":      func(c *Config) { c.Version = strings.Repeat("4", 65) },
	} {
		config := good
		change(&config)
		c, err := Open(t.Context(), config)
		if err == nil {
			_ = c.Close()
			t.Errorf("%s: opened", name)
			continue
		}
		if strings.Contains(err.Error(), "jtn_secret") {
			t.Errorf("%s: the error has the token in it: %v", name, err)
		}
	}
}

// Whoever waits for a copy learns why there is none.
func TestReadyEnds(t *testing.T) {
	w := newWorld(t)
	config := w.config(w.platform().URL)
	config.Token = w.owner.secret.Reveal()
	if err := w.open(config).Ready(soon(t)); !errors.Is(err, ErrRefused) {
		t.Errorf("got %v with a token that is not the engine's", err)
	}
	w.refuses = func(rw http.ResponseWriter) bool { rw.WriteHeader(http.StatusBadGateway); return true }
	c := w.open(config)
	w.await(c, "an error", func(s State) bool { return s.Err != nil })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Ready(ctx); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "502") {
		t.Errorf("got %v, want that it was given up, and what has kept it", err)
	}
}

// Of many tokens that are used no use is lost, and no report is too long.
func TestManyUses(t *testing.T) {
	c, secrets := million(t, 2*MaxUses+1)
	for _, s := range secrets {
		c.Check(Presented{Secret: s})
		c.Check(Presented{Secret: s})
	}
	seen := map[domain.TokenID]uint32{}
	for _, want := range []int{MaxUses, MaxUses, 1, 0} {
		uses := c.copy.uses(MaxUses)
		if len(uses) != want {
			t.Fatalf("got %d uses, want %d", len(uses), want)
		}
		for _, u := range uses {
			seen[u.Token] += u.Count
		}
	}
	for id, n := range seen {
		if n != 2 {
			t.Errorf("token %s was used %d times, want 2", id, n)
		}
	}
	if len(seen) != len(secrets) {
		t.Errorf("got uses of %d tokens, want %d", len(seen), len(secrets))
	}
}

// Uses that wait while all is told again are reported of the copy before.
func TestUsesOutliveTheirCopy(t *testing.T) {
	c, secrets := million(t, 10)
	a := c.Check(Presented{Secret: secrets[0], Permission: "clones.read"})
	c.copy.replace(newHolding(), Hello{})
	uses := c.copy.carriedUses(MaxUses)
	if len(uses) != 1 || uses[0].Token != a.Token || uses[0].Count != 1 || len(uses[0].Permissions) != 1 || uses[0].Permissions[0] != "clones.read" {
		t.Errorf("got %+v", uses)
	}
}

// The state says how the door is, and nothing that a verification token could be tried by.
func TestStateHasTheDoor(t *testing.T) {
	w := newWorld(t)
	c := w.open(Config{URL: "http://127.0.0.1:1", Token: w.token.Reveal(), Now: w.now})
	if !c.State().Door.Disabled {
		t.Error("a client without a copy has an open door")
	}
	c = w.ready(w.config(w.platform().URL))
	if d := c.State().Door; !d.PersonalTokens || d.Open || d.Disabled || d.Name != "prod" || !d.Verification.IsZero() {
		t.Errorf("got the door %+v", d)
	}
	w.door(func(d *domain.Door) { *d = domain.Door{Open: true} })
	w.caughtUp(c)
	if d := c.State().Door; d.PersonalTokens || !d.Open {
		t.Errorf("then got the door %+v", d)
	}
}

// No secret is in what a client logs or answers as an error.
func TestSecretsStayInside(t *testing.T) {
	w := newWorld(t)
	var log captured
	config := w.config("")
	config.Log, config.Dir = zerolog.New(&log), t.TempDir()
	p := newProxy(t, w.platform())
	config.URL = p.url()
	c := w.ready(config)
	w.allowed(c, w.owner.secret)
	c.Check(Presented{Secret: verification})
	w.say("nonsense")
	w.lost(c)
	w.caughtUp(c)
	w.change(func() {
		w.refuses = func(rw http.ResponseWriter) bool { refuse(rw, http.StatusUnauthorized); return true }
	})
	p.hangUp()
	w.await(c, "refused", func(s State) bool { return errors.Is(s.Err, ErrRefused) })
	p.cut()
	w.await(c, "cut off", func(s State) bool { return !errors.Is(s.Err, ErrRefused) })
	text := log.String() + c.State().Err.Error()
	for _, secret := range []string{w.token.Reveal(), w.owner.secret.Reveal(), verification} {
		if strings.Contains(text, secret) {
			t.Errorf("a secret is in %s", text)
		}
	}
	if !strings.Contains(text, "cut off") {
		t.Errorf("nothing is logged: %s", text)
	}
}

// captured is what was logged.
type captured struct {
	mu   sync.Mutex
	text strings.Builder
}

func (c *captured) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.text.Write(p)
}

func (c *captured) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.text.String()
}
