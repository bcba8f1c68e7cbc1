package http

import (
	"context"
	"encoding/json"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"jeton/domain"
	"jeton/engine"
	"jeton/eventstore"
)

// entrance is who stands at the door of the engine prod, what they show, and what
// every door has to say about it: the platform's, and that of an engine's own copy.
type entrance struct {
	engine     string // the rest of prod's registration; empty: personal tokens come in
	given      func(*world)
	shows      string // with {names}
	forwarded  string
	permission string
	resource   string
	from       string
	want       entranceAnswer // Token only says that it is named
}

var entrances = map[string]entrance{
	"a member":                {shows: "{mia.secret}", want: comes(domain.ViaPersonal, "mia")},
	"an owner":                {shows: "{ann.secret}", want: comes(domain.ViaPersonal, "ann")},
	"a service account":       {shows: "{ci.secret}", given: hasServiceToken, want: comes(domain.ViaService, "builder")},
	"the verification token":  {shows: "{prod.verification}", want: comes(domain.ViaVerification, "")},
	"and whom they act for":   {shows: "{prod.verification}", forwarded: "eve@acme.test", want: entranceAnswer{Allowed: true, Via: domain.ViaVerification, Email: "eve@acme.test"}},
	"and nobody that can be":  {shows: "{prod.verification}", forwarded: "Eve <eve@acme.test>", want: comes(domain.ViaVerification, "")},
	"one of the engine's own": {engine: `"verification_token":"correct-horse-battery"`, shows: "correct-horse-battery", want: comes(domain.ViaVerification, "")},
	"a forged identity":       {shows: "{mia.secret}", forwarded: "ann@acme.test", want: comes(domain.ViaPersonal, "mia")},
	"one without a token":     {shows: "", forwarded: "ann@acme.test"},
	"an old verification":     {given: does("ann", "POST "+enginesOfAcme+"/{prod}/rotate-verification", ""), shows: "{prod.verification}"},
	"another engine's":        {given: hasEngine("other", `"personal_tokens":true`), shows: "{other.verification}"},
	"in other letters":        {engine: `"verification_token":"correct-horse-battery"`, shows: "Correct-horse-battery"},
	"nothing":                 {},
	"blanks":                  {shows: "  "},
	"nonsense":                {shows: "secret"},
	"a very long text":        {shows: strings.Repeat("x", 4000)},
	"half a token":            {shows: "jtn_pat_0123456789abcdef"},
	"a foreign token":         {shows: "{zed.secret}"},
	"an administrative token": {shows: "{robot.secret}"},
	"the engine's own":        {shows: "{prod.secret}"},
	"a revoked token":         {given: does("ann", "DELETE "+tokensOfAcme+"/{mia.token}", ""), shows: "{mia.secret}", want: entranceAnswer{Reason: domain.ReasonRevoked}},
	"a replaced secret":       {given: does("mia", "POST "+tokensOfAcme+"/{mia.token}/rotate", ""), shows: "{mia.secret}", want: entranceAnswer{Reason: domain.ReasonReplaced}},
	"one in its overlap":      {given: does("mia", "POST "+tokensOfAcme+"/{mia.token}/rotate", `{"overlap":"1h"}`), shows: "{mia.secret}", want: comes(domain.ViaPersonal, "mia")},
	"a suspended member":      {given: does("ann", "PATCH /api/v1/organizations/acme/members/{mia}", `{"suspended":true}`), shows: "{mia.secret}", want: entranceAnswer{Reason: domain.ReasonSuspended}},
	"while tokens are off":    {given: demands(`{"tokens_enabled":false}`), shows: "{mia.secret}", want: entranceAnswer{Reason: domain.ReasonOff}},
	"the verification then":   {given: demands(`{"tokens_enabled":false}`), shows: "{prod.verification}", want: comes(domain.ViaVerification, "")},
	"from where nobody says":  {given: onlyFrom("10.0.0.0/8"), shows: "{bound.secret}", want: entranceAnswer{Reason: domain.ReasonNetwork}},
	"from there":              {given: onlyFrom("10.0.0.0/8"), shows: "{bound.secret}", from: "10.1.2.3", want: comes(domain.ViaPersonal, "mia")},
	"from elsewhere":          {given: onlyFrom("10.0.0.0/8"), shows: "{bound.secret}", from: "192.0.2.1", want: entranceAnswer{Reason: domain.ReasonNetwork}},
	"for what they may":       {shows: "{mia.secret}", permission: "clones.create", want: comes(domain.ViaPersonal, "mia")},
	"for what they may not":   {shows: "{mia.secret}", permission: "policy.update", want: entranceAnswer{Reason: domain.ReasonPermission}},
	"for what there is not":   {shows: "{mia.secret}", permission: "clones.paint", want: entranceAnswer{Reason: domain.ReasonPermission}},
	"with a token for it":     {given: onlyOn("engine:prod"), shows: "{bound.secret}", want: comes(domain.ViaPersonal, "mia")},
	"with one for another":    {given: onlyOn("engine:other"), shows: "{bound.secret}", want: entranceAnswer{Reason: domain.ReasonResource}},
	"who may not come in":     {given: all(hasRole("poor", `["tokens.create-personal","members.read"]`), gets("mia", "poor")), shows: "{mia.secret}", want: entranceAnswer{Reason: domain.ReasonPermission}},
	"an open engine":          {engine: `"open":true`, want: comes(domain.ViaOpen, "")},
	"and whoever they are":    {engine: `"open":true`, shows: "{mia.secret}", forwarded: "ann@acme.test", want: comes(domain.ViaOpen, "")},
	"no personal tokens":      {engine: `"personal_tokens":false`, shows: "{mia.secret}"},
	"the verification there":  {engine: `"personal_tokens":false`, shows: "{prod.verification}", want: comes(domain.ViaVerification, "")},
	"no fallback":             {engine: `"personal_tokens":true,"verification_fallback":false`, shows: "{prod.verification}"},
	"a member there":          {engine: `"personal_tokens":true,"verification_fallback":false`, shows: "{mia.secret}", want: comes(domain.ViaPersonal, "mia")},
	"a disabled engine":       {given: does("ann", "PATCH "+enginesOfAcme+"/{prod}", `{"disabled":true}`), shows: "{mia.secret}"},
	"the verification of it":  {given: does("ann", "PATCH "+enginesOfAcme+"/{prod}", `{"disabled":true}`), shows: "{prod.verification}"},
	"a disabled open engine":  {engine: `"open":true`, given: does("ann", "PATCH "+enginesOfAcme+"/{prod}", `{"disabled":true}`)},
	"one that was disabled":   {given: all(does("ann", "PATCH "+enginesOfAcme+"/{prod}", `{"disabled":true}`), does("ann", "PATCH "+enginesOfAcme+"/{prod}", `{"disabled":false}`)), shows: "{mia.secret}", want: comes(domain.ViaPersonal, "mia")},
	"on another engine":       {shows: "{mia.secret}", permission: "clones.create", resource: "engine:other", want: entranceAnswer{Reason: domain.ReasonResource}},
	"on this one":             {shows: "{mia.secret}", permission: "clones.create", resource: "engine:prod", want: comes(domain.ViaPersonal, "mia")},
}

// comes is the answer to somebody of the world who comes in; empty: nobody knows who.
func comes(via domain.Via, who string) entranceAnswer {
	answer := entranceAnswer{Allowed: true, Via: via}
	switch via {
	case domain.ViaPersonal:
		answer.Subject, answer.Email, answer.Role = "user:{"+who+"}", who+"@acme.test", map[string]string{"mia": "member", "ann": "owner"}[who]
		if who == "ann" {
			answer.Email = "Ann@acme.test"
		}
	case domain.ViaService:
		answer.Subject = "service:{" + who + "}"
	}
	return answer
}

func hasServiceToken(w *world) {
	w.Helper()
	hasServiceAccount("builder")(w)
	hasTokenOf("builder", "ci")(w)
}

// bound is a token of mia with more to it.
func bound(more string) func(*world) {
	return func(w *world) {
		w.Helper()
		made := w.made("mia", "POST "+tokensOfAcme, `{"name":"bound","kind":"personal",`+more+`}`)
		w.names["bound.token"], w.names["bound.secret"] = made["id"].(string), made["secret"].(string)
	}
}

func onlyFrom(network string) func(*world) { return bound(`"networks":["` + network + `"]`) }

func onlyOn(resource string) func(*world) {
	return bound(`"grant":{"access":"custom","permissions":["engines.use"],"resources":["` + resource + `"]}`)
}

// before lets happen what has happened before somebody stands at the door.
func (e entrance) before(w *world) {
	w.Helper()
	rest := e.engine
	if rest == "" {
		rest = `"personal_tokens":true`
	}
	hasEngine("prod", rest+`,"permissions":[{"name":"clones.create","group":"clones","access":"write"}]`)(w)
	if e.given != nil {
		e.given(w)
	}
}

// ask asks the platform.
func (e entrance) ask(w *world) reply {
	w.Helper()
	body, err := json.Marshal(entranceRequest{w.filled(e.shows), e.permission, e.resource, e.forwarded, e.from, "psql"})
	w.must(err)
	return w.send("prod", "POST /api/v1/engines/check", string(body))
}

// What the platform says of who stands at the door of an engine.
func TestEngineCheck(t *testing.T) {
	for name, e := range entrances {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			e.before(w)
			before := w.last()
			answered := e.ask(w)
			if answered.status != 200 || w.last() != before {
				t.Fatalf("status %d, the log is at %d and was at %d: %s", answered.status, w.last(), before, answered.body)
			}
			var got entranceAnswer
			w.must(json.Unmarshal([]byte(answered.body), &got))
			want := e.want
			want.Subject = w.filled(want.Subject)
			known := want.Subject != "" || want.Reason != domain.ReasonNone
			if (got.Token != "") != known || (!got.ExpiresAt.Time().IsZero()) != known {
				t.Errorf("it names the token %q, which ends at %s; is it to be named? %t", got.Token, got.ExpiresAt, known)
			}
			got.Token, got.ExpiresAt, got.Warning = "", 0, ""
			if got != want {
				t.Errorf("it says %+v, want %+v", got, want)
			}
			if !want.Allowed && !known && answered.body != `{"allowed":false}`+"\n" {
				t.Errorf("it tells strangers %s", answered.body)
			}
		})
	}
}

// The copy that an engine has of the organization says the same.
func TestCopyChecksAsThePlatform(t *testing.T) {
	for name, e := range entrances {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			e.before(w)
			from, _ := netip.ParseAddr(e.from)
			got := w.opened("prod").Check(engine.Presented{
				Secret: w.filled(e.shows), Forwarded: e.forwarded, Address: from, Permission: e.permission, Resource: domain.Resource(e.resource),
			})
			want := e.want
			if subject := w.filled(want.Subject); got.Allowed != want.Allowed || got.Via != want.Via || want.Allowed && got.Email != want.Email || got.Subject() != subject {
				t.Errorf("it says %+v, want %+v", got, want)
			}
			if want.Allowed && string(got.Role) != want.Role || got.Allowed != (got.Reason == domain.ReasonNone) {
				t.Errorf("the role is %q, want %q; the reason %q", got.Role, want.Role, got.Reason)
			}
		})
	}
}

// opened is the client of an engine, with a whole copy.
func (w *world) opened(name string) *engine.Client {
	w.Helper()
	return w.openedAt(w.serve(), name)
}

func (w *world) openedAt(url, name string) *engine.Client {
	w.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), hearingPatience)
	w.Cleanup(cancel)
	client, err := engine.Open(context.Background(), engine.Config{URL: url, Token: w.secret(name), Now: w.now})
	w.must(err)
	w.Cleanup(func() { w.must(client.Close()) })
	w.must(client.Ready(ctx))
	return client
}

func TestEngineCheckSaysMore(t *testing.T) {
	w := newWorld(t)
	hasEngine("prod", `"personal_tokens":true`)(w)
	bound(`"limit":{"requests":1,"window":"1m"},"expires_in":"2d"`)(w)
	ask := entrance{shows: "{bound.secret}"}
	first, second := ask.ask(w).object(t), ask.ask(w).object(t)
	if limit, _ := first["limit"].(map[string]any); first["allowed"] != true || limit["remaining"] != 0.0 || !strings.Contains(text(first["warning"]), "expires in 2 days") {
		t.Errorf("first it says %v", first)
	}
	if second["allowed"] != false || second["reason"] != "limited" || second["subject"] != nil {
		t.Errorf("then it says %v", second)
	}
	w.pass(time.Minute)
	if third := ask.ask(w).object(t); third["allowed"] != true {
		t.Errorf("a minute later it says %v", third)
	}
}

// An engine with the credential of another one is the other one.
func TestEngineCheckWithTheTokenOfAnother(t *testing.T) {
	w := newWorld(t)
	hasEngine("prod", `"personal_tokens":true`)(w)
	hasEngine("other", `"open":true`)(w)
	nobody := entrance{}
	if got := nobody.ask(w).body; got != `{"allowed":false}`+"\n" {
		t.Errorf("nobody comes in at prod: %s", got)
	}
	if got := w.send("other", "POST /api/v1/engines/check", `{"token":""}`).body; got != `{"allowed":true,"via":"open"}`+"\n" {
		t.Errorf("everybody comes in at the other one: %s", got)
	}
}

// How tokens are used at engines is seen where tokens are, without what strangers
// have put where none sees a secret. Who does not ask at a door does not come in.
func TestEngineCheckIsUse(t *testing.T) {
	for path, comesIn := range map[string]bool{"/api/v1/engines/check": true, "/api/v1/check": false} {
		w := newWorld(t)
		hasEngine("prod", `"personal_tokens":true`)(w)
		usage := new(eventstore.MemoryUsage)
		end := w.background(func(ctx context.Context) error { return w.model.Report(ctx, usage, "test", time.Hour) })
		w.background(func(ctx context.Context) error { return w.views.FollowUsage(ctx, usage, w.model.Used) })
		does("prod", "POST "+path, `{"token":"{mia.secret}","ip":"198.51.100.7","user_agent":"psql {ann.secret}"}`)(w)
		end()
		used := w.used("mia")
		if used["engine"] != w.names["prod.token"] || used["user_agent"] != "psql [redacted]" {
			t.Errorf("%s: the use is %v", path, used)
		}
		permissions, _ := used["permissions"].([]any)
		if got := slices.Contains(permissions, any("engines.use")); got != comesIn {
			t.Errorf("%s: the use is of %v", path, permissions)
		}
	}
}

// used is how the first token of somebody was used, once that is known.
func (w *world) used(name string) map[string]any {
	w.Helper()
	var used map[string]any
	w.eventually("the token was used", func() bool {
		used, _ = w.send("ann", "GET "+tokensOfAcme+"/{"+name+".token}", "").object(w)["usage"].(map[string]any)
		return used["engine"] != nil
	})
	return used
}

// eventually waits until something is so that nobody tells of.
func (w *world) eventually(what string, is func() bool) {
	w.Helper()
	for began := time.Now(); !is(); runtime.Gosched() {
		if time.Since(began) > hearingPatience {
			w.Fatalf("in vain it was waited until %s", what)
		}
	}
}

func TestBadEngineChecks(t *testing.T) {
	w := furnish(newWorld(t))
	for body, statuses := range map[string][]int{
		`{"token":5}`:                           {422},
		`{"token":null,"ip":"x"}`:               {422},
		`{"token":"{mia.secret}","ip":"host"}`:  {422},
		`{"token":"{mia.secret}","ip":"1.2.3"}`: {422},
		`{"token":"{mia.secret}","engine":"a"}`: {422},
		`{"token":"{mia.secret}"`:               {400},
		`["{mia.secret}"]`:                      {422},
	} {
		w.refused("prod", "POST /api/v1/engines/check", body, statuses)
	}
	for _, as := range []string{"ann", "mia", "robot", "zed"} {
		refused := w.refused(as, "POST /api/v1/engines/check", `{"token":"{mia.secret}"}`, []int{403})
		if next, _ := refused.object(t)["next"].(string); !strings.Contains(next, "access token") {
			t.Errorf("%s is told %q", as, next)
		}
	}
	does("ann", "DELETE "+enginesOfAcme+"/{prod}", "")(w)
	w.refused("prod", "POST /api/v1/engines/check", `{"token":"{mia.secret}"}`, []int{401})
}
