package http

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

func TestRotation(t *testing.T) {
	laptop := hasToken("mia", "laptop", "personal")
	rotated := []string{"token.rotated"}
	const rotate = "POST " + tokensOfAcme + "/{laptop.token}/rotate"
	run(t, "rotation", map[string]scenario{
		"by its holder, at once":         {given: laptop, as: "mia", send: rotate, status: 200, then: rotated},
		"with itself":                    {given: laptop, as: "laptop", send: rotate, body: `{}`, status: 200, then: rotated},
		"with an overlap":                {given: laptop, as: "mia", send: rotate, body: `{"overlap":"1h"}`, status: 200, then: rotated},
		"with another end":               {given: laptop, as: "mia", send: rotate, body: `{"expires_in":"30d"}`, status: 200, then: rotated},
		"that is to be for ever":         {given: laptop, as: "mia", send: rotate, body: `{"expires_in":"never"}`, status: 422},
		"an overlap that is too long":    {given: laptop, as: "mia", send: rotate, body: `{"overlap":"8d"}`, status: 422},
		"an overlap that is none":        {given: laptop, as: "mia", send: rotate, body: `{"overlap":"-1h"}`, status: 422},
		"an overlap that is a number":    {given: laptop, as: "mia", send: rotate, body: `{"overlap":3600}`, status: 422},
		"an admin learns nobody's":       {given: laptop, as: "bob", send: rotate, status: 403},
		"another member":                 {given: laptop, as: "ada", send: rotate, status: 403},
		"a program's":                    {as: "bob", send: "POST " + tokensOfAcme + "/{robot.token}/rotate", status: 200, then: rotated},
		"a program's, by a member":       {as: "mia", send: "POST " + tokensOfAcme + "/{robot.token}/rotate", status: 403},
		"a program that may not":         {as: "robot", send: "POST " + tokensOfAcme + "/{robot.token}/rotate", status: 403},
		"a revoked one":                  {given: all(laptop, does("mia", "DELETE "+tokensOfAcme+"/{laptop.token}", "")), as: "mia", send: rotate, status: 409},
		"one that was changed meanwhile": {given: laptop, as: "mia", send: rotate, headers: []string{`If-Match: "1"`}, status: 412},
		"an expired one": {
			given: all(does("mia", "POST "+tokensOfAcme, `{"name":"short","kind":"personal","expires_in":"1h"}`), passes(2*time.Hour), knows("short")),
			as:    "mia", send: "POST " + tokensOfAcme + "/{short.token}/rotate", status: 200, then: rotated,
		},
	})
}

// knows gives the youngest token of acme that has a name a place among the names.
func knows(name string) func(*world) {
	return func(w *world) {
		w.Helper()
		items := w.send("ann", "GET "+tokensOfAcme+"?q="+name, "").object(w)["items"].([]any)
		w.names[name+".token"] = items[0].(map[string]any)["id"].(string)
	}
}

// Of two secrets the old one works until its announced end, and not a millisecond
// longer; the token's page counts it down.
func TestOverlap(t *testing.T) {
	w := newWorld(t)
	w.issue("mia", "acme", "laptop", "personal")
	old := w.secret("laptop")
	made := w.send("mia", "POST "+tokensOfAcme+"/{laptop.token}/rotate", `{"overlap":"1h"}`).object(t)
	w.names["laptop.secret"], w.names["old.secret"] = made["secret"].(string), old
	if made["previous_expires_at"] != "2026-11-22T13:00:00Z" || made["expires_at"] != "2027-11-22T12:00:00Z" {
		t.Errorf("it ends at %v, its old secret at %v", made["expires_at"], made["previous_expires_at"])
	}
	for _, step := range []struct {
		passes time.Duration
		old    int
	}{{0, 200}, {time.Hour - time.Millisecond, 200}, {time.Millisecond, 401}} {
		w.pass(step.passes)
		if got := w.send("old", "GET /api/v1/whoami", ""); got.status != step.old {
			t.Errorf("at %v the old secret gets %d, want %d", w.now(), got.status, step.old)
		}
		if got := w.send("laptop", "GET /api/v1/whoami", ""); got.status != 200 {
			t.Errorf("at %v the new secret gets %d", w.now(), got.status)
		}
	}
	if page := w.send("mia", "GET "+tokensOfAcme+"/{laptop.token}", "").object(t); page["previous_expires_at"] != nil || page["rotated_at"] != "2026-11-22T12:00:00Z" {
		t.Errorf("after the overlap its page says %v", page)
	}
}

// Whoever has the old secret only is warned, and can make nothing of it: neither
// another secret nor another token.
func TestTheOldSecretMakesNothing(t *testing.T) {
	w := newWorld(t)
	w.issue("mia", "acme", "laptop", "personal")
	w.names["old.secret"] = w.secret("laptop")
	does("mia", "POST "+tokensOfAcme+"/{laptop.token}/rotate", `{"overlap":"1h"}`)(w)
	if got := w.send("old", "GET /api/v1/whoami", "").header.Get("Jeton-Warning"); got != "this secret was replaced and works until 2026-11-22T13:00:00Z" {
		t.Errorf("the warning is %q", got)
	}
	w.refused("old", "POST "+tokensOfAcme+"/{laptop.token}/rotate", `{}`, []int{403})
	w.refused("old", "POST "+tokensOfAcme, `{"name":"successor","kind":"personal"}`, []int{403})
}

// An answer that warns costs the others nothing: only what ends soon does.
func TestExpiryIsAnnounced(t *testing.T) {
	w := newWorld(t)
	made := w.made("mia", "POST "+tokensOfAcme, `{"name":"short","kind":"personal","expires_in":"40d"}`)
	w.names["short.secret"] = made["secret"].(string)
	for _, step := range []struct {
		days           int
		warning, after string
	}{
		{0, "", ""},
		{10, "this token expires in 30 days, at 2027-01-01T12:00:00Z", "2592000"},
		{27, "this token expires in 3 days, at 2027-01-01T12:00:00Z", "259200"},
		{2, "this token expires in 1 day, at 2027-01-01T12:00:00Z", "86400"},
	} {
		w.pass(time.Duration(step.days) * 24 * time.Hour)
		got := w.send("short", "GET /api/v1/whoami", "")
		if got.header.Get("Jeton-Warning") != step.warning || got.header.Get("Jeton-Token-Expires-In") != step.after {
			t.Errorf("at %v: %q, %q", w.now(), got.header.Get("Jeton-Warning"), got.header.Get("Jeton-Token-Expires-In"))
		}
		if said := text(got.object(t)["warning"]); said != step.warning {
			t.Errorf("at %v whoami says %q", w.now(), said)
		}
		if said := text(w.send("ann", "POST /api/v1/check", `{"token":"{short.secret}"}`).object(t)["warning"]); said != step.warning {
			t.Errorf("at %v the check says %q", w.now(), said)
		}
	}
	items := w.send("ann", "GET "+tokensOfAcme+"?expires_within=2d", "").object(t)["items"].([]any)
	if len(items) != 1 || items[0].(map[string]any)["name"] != "short" || items[0].(map[string]any)["expires_in_days"] != 1.0 {
		t.Errorf("within two days end: %v", items)
	}
}

// Whoever still shows a secret that was rotated out is refused; that it was shown is
// recorded, once, and its holder is told. By policy the token ends.
func TestReuseIsRecorded(t *testing.T) {
	for policy, status := range map[string]int{"report": 200, "revoke": 401} {
		w := newWorld(t)
		does("ann", "PATCH /api/v1/organizations/acme/policy", `{"reuse":"`+policy+`"}`)(w)
		w.issue("mia", "acme", "laptop", "personal")
		w.names["old.secret"] = w.secret("laptop")
		made := w.send("mia", "POST "+tokensOfAcme+"/{laptop.token}/rotate", "").object(t)
		w.names["laptop.secret"] = made["secret"].(string)
		before := w.last()
		w.pass(time.Minute)
		w.refused("old", "GET /api/v1/whoami", "", []int{401})
		if got := w.send("ann", "POST /api/v1/check", `{"token":"{old.secret}"}`).object(t); got["active"] != false || got["reason"] != "replaced" {
			t.Errorf("%s: the check says %v", policy, got)
		}
		w.background(func(ctx context.Context) error { return w.model.Watch(ctx, time.Hour, zerolog.Nop()) })
		w.must(w.model.Wait(t.Context(), before+1))
		if got := w.since(before)[0]; got != "token.reused" {
			t.Errorf("%s: the log has %v", policy, got)
		}
		got := w.send("laptop", "GET /api/v1/whoami", "")
		if got.status != status {
			t.Errorf("%s: the new secret gets %d, want %d", policy, got.status, status)
		}
		if status == 200 && !strings.Contains(text(got.object(t)["warning"]), "was used at 2026-11-22T12:01:00Z") {
			t.Errorf("%s: its holder is told %v", policy, got.object(t)["warning"])
		}
		if page := w.send("ann", "GET "+tokensOfAcme+"/{laptop.token}", "").object(t); page["reused_at"] != "2026-11-22T12:01:00Z" {
			t.Errorf("%s: its page says %v", policy, page["reused_at"])
		}
	}
}
