package http

import (
	"testing"
	"time"
)

func TestRevocation(t *testing.T) {
	const revoke = "POST " + tokensOfAcme + "/revoke"
	tokens := all(hasToken("mia", "laptop", "personal"), hasToken("bob", "ci", "administrative"), passes(time.Hour), hasToken("mia", "young", "personal"))
	limited := all(hasEngine("prod", `"personal_tokens":true`), binds("mia", "laptop", "prod"), binds("bob", "ci", "prod"), hasToken("mia", "free", "personal"))
	many, one := []string{"tokens.revoked"}, []string{"token.revoked"}
	run(t, "revocation", map[string]scenario{
		"of a holder":                     {given: tokens, send: revoke, body: `{"holder":"{mia}","reason":"left"}`, status: 200, then: many},
		"of a holder, by their e-mail":    {given: tokens, send: revoke, body: `{"holder":"MIA@acme.test"}`, status: 200, then: many},
		"of a neighbour, by their e-mail": {send: revoke, body: `{"holder":"zoe@globex.test"}`, status: 404},
		"of nobody's e-mail":              {send: revoke, body: `{"holder":"nobody@acme.test"}`, status: 404},
		"of oneself":                      {given: tokens, as: "mia", send: revoke, body: `{"holder":"me"}`, status: 200, then: many},
		"of a kind":                       {given: tokens, send: revoke, body: `{"kind":"administrative"}`, status: 200, then: many},
		"of what was issued before":       {given: tokens, as: "bob", send: revoke, body: `{"issued_before":"2026-11-22T12:30:00Z"}`, status: 200, then: many},
		"of a holder's old ones":          {given: tokens, send: revoke, body: `{"holder":"{mia}","issued_before":"2026-11-22T12:30:00Z"}`, status: 200, then: many},
		"of two by their ids":             {given: tokens, send: revoke, body: `{"ids":["{laptop.token}","{ci.token}","{laptop.token}"]}`, status: 200, then: []string{"token.revoked", "token.revoked"}},
		"of one of two that is of a kind": {given: tokens, send: revoke, body: `{"ids":["{laptop.token}","{ci.token}"],"kind":"personal"}`, status: 200, then: one},
		"of nothing left":                 {given: all(tokens, does("ann", revoke, `{"kind":"administrative"}`)), send: revoke, body: `{"kind":"administrative"}`, status: 200},
		"limited to an engine":            {given: limited, as: "bob", send: revoke, body: `{"engine":"prod","reason":"moved"}`, status: 200, then: []string{"token.revoked", "token.revoked"}},
		"limited to it, of a holder":      {given: limited, send: revoke, body: `{"engine":"prod","holder":"{mia}"}`, status: 200, then: one},
		"limited to it, of another kind":  {given: limited, send: revoke, body: `{"engine":"prod","kind":"service"}`, status: 200},
		"limited to one that was deleted": {given: all(limited, does("ann", "DELETE "+enginesOfAcme+"/{prod}", "")), send: revoke, body: `{"engine":"prod"}`, status: 200, then: []string{"token.revoked", "token.revoked"}},
		"limited to one that is none":     {given: limited, send: revoke, body: `{"engine":"staging"}`, status: 422},
		"limited to a neighbour's":        {given: all(limited, does("zed", "POST /api/v1/organizations/globex/engines", `{"name":"staging"}`)), send: revoke, body: `{"engine":"staging"}`, status: 422},
		"limited to what is no name":      {given: limited, send: revoke, body: `{"engine":"Prod *"}`, status: 422},
		"limited to it, by a member":      {given: limited, as: "mia", send: revoke, body: `{"engine":"prod"}`, status: 403},
		"without a condition":             {send: revoke, body: `{}`, status: 422},
		"before the future":               {send: revoke, body: `{"issued_before":"2027-11-22T12:30:00Z"}`, status: 422},
		"before no moment":                {send: revoke, body: `{"issued_before":"yesterday"}`, status: 422},
		"of an unknown kind":              {send: revoke, body: `{"kind":"session"}`, status: 422},
		"of nobody":                       {send: revoke, body: `{"holder":"999"}`, status: 404},
		"of a neighbour":                  {send: revoke, body: `{"holder":"{zoe}"}`, status: 404},
		"of a neighbour's token":          {send: revoke, body: `{"ids":["{zoe.token}"]}`, status: 404},
		"of no service account":           {send: revoke, body: `{"service_account":"999"}`, status: 404},
		"of a holder of both kinds":       {send: revoke, body: `{"service_account":"9","holder":"me"}`, status: 422},
		"of others, by a member":          {given: tokens, as: "mia", send: revoke, body: `{"holder":"{bob}"}`, status: 403},
		"of a kind, by a member":          {given: tokens, as: "mia", send: revoke, body: `{"kind":"personal"}`, status: 403},
		"of programs, by a program":       {given: tokens, as: "robot", send: revoke, body: `{"kind":"administrative"}`, status: 403},
		"of people, by a program":         {given: tokens, as: "robot", send: revoke, body: `{"kind":"personal"}`, status: 200, then: many},
	})
}

// Whoever cleans up keeps the token that they show; all others are refused from
// the answer on, and the lists say so.
func TestRevocationIsAtOnce(t *testing.T) {
	w := newWorld(t)
	w.pass(time.Minute)
	if got := w.send("ann", "POST "+tokensOfAcme+"/revoke", `{"issued_before":"2026-11-22T12:01:00Z","reason":"breach"}`); got.body != `{"revoked":4}`+"\n" {
		t.Fatalf("it answers %d %s", got.status, got.body)
	}
	for _, as := range []string{"bob", "mia", "ada", "robot"} {
		w.refused(as, "GET /api/v1/whoami", "", []int{401})
	}
	for as, status := range map[string]int{"ann": 200, "zed": 200, "droid": 200} {
		if got := w.send(as, "GET /api/v1/whoami", ""); got.status != status {
			t.Errorf("%s gets %d, want %d", as, got.status, status)
		}
	}
	items := w.send("ann", "GET "+tokensOfAcme+"?status=revoked", "").object(t)["items"].([]any)
	for _, item := range items {
		if token := item.(map[string]any); token["reason"] != "breach" || token["revoked_by"].(map[string]any)["email"] != "Ann@acme.test" {
			t.Errorf("the list has %v", token)
		}
	}
	if len(items) != 4 {
		t.Errorf("the list has %d revoked tokens, want 4", len(items))
	}
}

// binds is a personal token that is limited to an engine: {name.token} is its id.
func binds(as, name, engine string) func(*world) {
	return func(w *world) {
		w.Helper()
		made := w.made(as, "POST "+tokensOfAcme, `{"name":"`+name+`","kind":"personal","grant":{"access":"custom","permissions":["engines.use"],"resources":["engine:`+engine+`"]}}`)
		w.names[name+".token"], w.names[name+".secret"] = made["id"].(string), made["secret"].(string)
	}
}

// With an engine end the tokens that are for it, and no others: not its own either.
func TestRevocationOfAnEngine(t *testing.T) {
	w := newWorld(t)
	for _, has := range []func(*world){
		hasEngine("prod", `"personal_tokens":true`), hasEngine("staging", `"personal_tokens":true`),
		binds("mia", "laptop", "prod"), binds("mia", "elsewhere", "staging"), hasToken("mia", "free", "personal"),
	} {
		has(w)
	}
	if got := w.send("ann", "POST "+tokensOfAcme+"/revoke", `{"engine":"prod","reason":"moved"}`); got.body != `{"revoked":1}`+"\n" {
		t.Fatalf("it answers %d %s", got.status, got.body)
	}
	for as, status := range map[string]int{"laptop": 401, "elsewhere": 200, "free": 200, "mia": 200, "prod": 200} {
		if got := w.send(as, "GET /api/v1/whoami", ""); got.status != status {
			t.Errorf("%s gets %d, want %d", as, got.status, status)
		}
	}
}
