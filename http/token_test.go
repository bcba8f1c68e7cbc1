package http

import (
	"fmt"
	"testing"
	"time"
)

const tokensOfAcme = "/api/v1/organizations/acme/tokens"

func TestTokens(t *testing.T) {
	issued := []string{"token.issued"}
	laptop := hasToken("mia", "laptop", "personal")
	run(t, "token", map[string]scenario{
		"a member makes their own": {
			as: "mia", send: "POST " + tokensOfAcme, body: `{"name":"laptop","kind":"personal","description":"on the road"}`, status: 201, then: issued,
		},
		"an admin makes the organization's": {
			as: "bob", send: "POST " + tokensOfAcme, body: `{"name":"ci","kind":"administrative","expires_in":"30d"}`, status: 201, then: issued,
		},
		"by the organization's number": {
			as: "bob", send: "POST /api/v1/organizations/{acme}/tokens", body: `{"name":"ci","kind":"administrative"}`, status: 201, then: issued,
		},
		"one that never ends": {
			send: "POST " + tokensOfAcme, body: `{"name":"ci","kind":"personal","expires_in":"never"}`, status: 201, then: issued,
		},
		"one that ends at a moment": {
			send: "POST " + tokensOfAcme, body: `{"name":"ci","kind":"personal","expires_at":"2028-02-29T12:00:00+02:00"}`, status: 201, then: issued,
		},
		"a member makes no administrative one": {
			as: "mia", send: "POST " + tokensOfAcme, body: `{"name":"ci","kind":"administrative"}`, status: 403,
		},
		"an auditor makes none": {
			as: "ada", send: "POST " + tokensOfAcme, body: `{"name":"ci","kind":"personal"}`, status: 403,
		},
		"a token makes no token": {
			as: "robot", send: "POST " + tokensOfAcme, body: `{"name":"ci","kind":"administrative"}`, status: 403,
		},
		"a taken name": {
			given: laptop, as: "mia", send: "POST " + tokensOfAcme, body: `{"name":"laptop","kind":"personal"}`, status: 409,
		},
		"a name that somebody else has": {
			given: laptop, as: "bob", send: "POST " + tokensOfAcme, body: `{"name":"laptop","kind":"personal"}`, status: 201, then: issued,
		},
		"a name that has expired": {
			given: all(does("mia", "POST "+tokensOfAcme, `{"name":"laptop","kind":"personal","expires_in":"1h"}`), passes(time.Hour)),
			as:    "mia", send: "POST " + tokensOfAcme, body: `{"name":"laptop","kind":"personal"}`, status: 201, then: issued,
		},
		"an admin lists all":     {given: laptop, as: "bob", send: "GET " + tokensOfAcme, status: 200},
		"an auditor lists all":   {as: "ada", send: "GET " + tokensOfAcme + "?limit=1", status: 200},
		"a member lists their":   {given: laptop, as: "mia", send: "GET " + tokensOfAcme, status: 200},
		"a member asks for all":  {given: laptop, as: "mia", send: "GET " + tokensOfAcme + "?holder={ann}", status: 200},
		"listed by kind":         {send: "GET " + tokensOfAcme + "?kind=administrative", status: 200},
		"listed by holder":       {given: laptop, send: "GET " + tokensOfAcme + "?holder={mia}&q=LAP", status: 200},
		"listed for me":          {send: "GET " + tokensOfAcme + "?holder=me", status: 200},
		"listed for nobody":      {as: "robot", send: "GET " + tokensOfAcme + "?holder=me", status: 200},
		"listed for a stranger":  {send: "GET " + tokensOfAcme + "?holder=999", status: 200},
		"listed for a neighbour": {send: "GET " + tokensOfAcme + "?holder={zed}", status: 200},
		"the expired": {
			given: all(does("ann", "POST "+tokensOfAcme, `{"name":"short","kind":"personal","expires_in":"1h"}`), passes(time.Hour)),
			send:  "GET " + tokensOfAcme + "?status=expired", status: 200,
		},
		"the revoked": {
			given: all(laptop, does("mia", "DELETE "+tokensOfAcme+"/{laptop.token}?reason=lost", "")),
			send:  "GET " + tokensOfAcme + "?status=revoked", status: 200,
		},
		"the active":               {send: "GET " + tokensOfAcme + "?status=active&limit=1", status: 200},
		"no such status":           {send: "GET " + tokensOfAcme + "?status=dead", status: 422},
		"too many at once":         {send: "GET " + tokensOfAcme + "?limit=101", status: 422},
		"none at once":             {send: "GET " + tokensOfAcme + "?limit=0", status: 422},
		"a cursor of another list": {send: "GET " + tokensOfAcme + "?cursor=bWVtYmVyczoy", status: 422},
		"a cursor that is none":    {send: "GET " + tokensOfAcme + "?cursor=!", status: 422},
		"a filter that is unknown": {send: "GET " + tokensOfAcme + "?state=active", status: 422},

		"shown to its holder": {given: laptop, as: "mia", send: "GET " + tokensOfAcme + "/{laptop.token}", status: 200},
		"shown to an admin":   {given: laptop, as: "bob", send: "GET " + tokensOfAcme + "/{laptop.token}", status: 200},
		"of a suspended holder": {
			given: does("bob", "PATCH /api/v1/organizations/acme/members/{mia}", `{"suspended":true}`),
			as:    "bob", send: "GET " + tokensOfAcme + "/{mia.token}", status: 200,
		},
		"made by an operator from elsewhere": {
			as: "zed", send: "GET /api/v1/organizations/globex/tokens/{zed.token}", status: 200,
		},
		"not shown to another member":         {as: "mia", send: "GET " + tokensOfAcme + "/{bob.token}", status: 403},
		"not shown to a member":               {as: "mia", send: "GET " + tokensOfAcme + "/{robot.token}", status: 403},
		"another organization's":              {send: "GET " + tokensOfAcme + "/{zoe.token}", status: 404},
		"another organization's, to a member": {as: "mia", send: "GET " + tokensOfAcme + "/{zoe.token}", status: 404},
		"an id that is none":                  {send: "GET " + tokensOfAcme + "/laptop", status: 404},
		"an id that nobody has":               {send: "GET " + tokensOfAcme + "/0000000000000000", status: 404},

		"renamed by its holder": {
			given: laptop, as: "mia", send: "PATCH " + tokensOfAcme + "/{laptop.token}", body: `{"name":"desktop"}`, status: 200, then: []string{"token.renamed"},
		},
		"renamed and described by an admin": {
			given: laptop, as: "bob", send: "PATCH " + tokensOfAcme + "/{laptop.token}", body: `{"name":"desktop","description":"in the office"}`,
			headers: []string{`If-Match: "13"`}, status: 200, then: []string{"token.renamed", "token.described"},
		},
		"renamed meanwhile": {
			given: all(laptop, does("mia", "PATCH "+tokensOfAcme+"/{laptop.token}", `{"name":"desktop"}`)),
			as:    "bob", send: "PATCH " + tokensOfAcme + "/{laptop.token}", body: `{"name":"tablet"}`, headers: []string{`If-Match: "13"`}, status: 412,
		},
		"renamed to a taken name": {
			given: laptop, as: "mia", send: "PATCH " + tokensOfAcme + "/{laptop.token}", body: `{"name":"first token"}`, status: 409,
		},
		"another member renames nothing": {
			given: laptop, as: "ada", send: "PATCH " + tokensOfAcme + "/{laptop.token}", body: `{"name":"mine"}`, status: 403,
		},
		"the dead keep their names": {
			given: all(laptop, does("mia", "DELETE "+tokensOfAcme+"/{laptop.token}", "")),
			as:    "mia", send: "PATCH " + tokensOfAcme + "/{laptop.token}", body: `{"name":"desktop"}`, status: 409,
		},

		"revoked by its holder": {
			given: laptop, as: "mia", send: "DELETE " + tokensOfAcme + "/{laptop.token}?reason=lost%20it", status: 200, then: []string{"token.revoked"},
		},
		"revoked by an admin": {
			given: laptop, as: "bob", send: "DELETE " + tokensOfAcme + "/{laptop.token}", headers: []string{`If-Match: "13"`}, status: 200, then: []string{"token.revoked"},
		},
		"revoked by a program": {
			given: laptop, as: "robot", send: "DELETE " + tokensOfAcme + "/{laptop.token}?reason=leaked", status: 200, then: []string{"token.revoked"},
		},
		"revoked twice keeps its reason": {
			given: all(laptop, does("mia", "DELETE "+tokensOfAcme+"/{laptop.token}?reason=lost", "")),
			as:    "bob", send: "DELETE " + tokensOfAcme + "/{laptop.token}?reason=other", status: 200,
		},
		"a member revokes nobody's": {
			as: "mia", send: "DELETE " + tokensOfAcme + "/{bob.token}", status: 403,
		},
		"a program revokes no other administrative one": {
			given: hasToken("ann", "droid", "administrative"), as: "robot", send: "DELETE " + tokensOfAcme + "/{droid.token}", status: 403,
		},
		"a program revokes itself": {
			as: "robot", send: "DELETE " + tokensOfAcme + "/{robot.token}", status: 200, then: []string{"token.revoked"},
		},
		"an auditor revokes none": {
			as: "ada", send: "DELETE " + tokensOfAcme + "/{ada.token}", status: 403,
		},
		"revoked meanwhile changed": {
			given: all(laptop, does("mia", "PATCH "+tokensOfAcme+"/{laptop.token}", `{"name":"desktop"}`)),
			as:    "mia", send: "DELETE " + tokensOfAcme + "/{laptop.token}", headers: []string{`If-Match: "13"`}, status: 412,
		},
		"an ETag without quotes": {
			send: "DELETE " + tokensOfAcme + "/{robot.token}", headers: []string{`If-Match: 8`}, status: 400,
		},
		"a weak ETag": {
			send: "DELETE " + tokensOfAcme + "/{robot.token}", headers: []string{`If-Match: W/"8"`}, status: 400,
		},
		"an ETag that never was": {
			send: "DELETE " + tokensOfAcme + "/{robot.token}", headers: []string{`If-Match: "0"`}, status: 412,
		},
		"whatever its ETag": {
			send: "DELETE " + tokensOfAcme + "/{robot.token}", headers: []string{`If-Match: *`}, status: 200, then: []string{"token.revoked"},
		},
	})
}

// A token is good until it is revoked, and not a moment longer.
func TestTokenOpensUntilRevoked(t *testing.T) {
	w := newWorld(t)
	w.issue("mia", "acme", "laptop", "personal")
	if got := w.send("laptop", "GET /api/v1/whoami", ""); got.status != 200 {
		t.Fatalf("a new token gets %d", got.status)
	}
	does("laptop", "DELETE "+tokensOfAcme+"/{laptop.token}", "")(w) // with itself
	if got := w.send("laptop", "GET /api/v1/whoami", ""); got.status != 401 {
		t.Errorf("a revoked token gets %d, want 401", got.status)
	}
	if got := w.send("ann", "POST /api/v1/check", `{"token":"{laptop.secret}"}`); w.pretty(got.body) != w.pretty(`{"active":false,"reason":"revoked","token":"{laptop.token}"}`) {
		t.Errorf("a revoked token is checked as %s", got.body)
	}
	if got := w.send("zed", "POST /api/v1/check", `{"token":"{laptop.secret}"}`); got.body != `{"active":false}`+"\n" {
		t.Errorf("a revoked token of another organization is checked as %s", got.body)
	}
}

func TestTokenOpensUntilItExpires(t *testing.T) {
	w := newWorld(t)
	made := w.made("mia", "POST "+tokensOfAcme, `{"name":"short","kind":"personal","expires_in":"1h"}`)
	w.names["short.secret"] = made["secret"].(string)
	for _, step := range []struct {
		passes time.Duration
		status int
	}{{0, 200}, {time.Hour - time.Millisecond, 200}, {time.Millisecond, 401}, {time.Hour, 401}} {
		w.pass(step.passes)
		if got := w.send("short", "GET /api/v1/whoami", ""); got.status != step.status {
			t.Errorf("at %v: status %d, want %d", w.now(), got.status, step.status)
		}
	}
}

// Every token is on one page, whatever is added to the list meanwhile.
func TestTokenPages(t *testing.T) {
	w := newWorld(t)
	w.makeRoom("ann", "acme")
	for i := range 7 {
		w.made("mia", "POST "+tokensOfAcme, fmt.Sprintf(`{"name":"token %d","kind":"personal"}`, i))
	}
	for path, want := range map[string]int{
		tokensOfAcme + "?limit=1":                    12,
		tokensOfAcme + "?limit=5":                    12,
		tokensOfAcme + "?limit=6":                    12,
		tokensOfAcme + "?limit=100":                  12,
		tokensOfAcme + "?limit=2&holder={mia}":       8,
		tokensOfAcme + "?limit=2&q=token%20":         7,
		tokensOfAcme + "?limit=2&kind=personal":      11,
		"/api/v1/organizations/acme/members?limit=1": 4,
		"/api/v1/organizations?limit=1":              2,
	} {
		seen := map[string]bool{}
		for _, item := range pages(t, w, "ann", path) {
			seen[fmt.Sprint(item.(map[string]any)["id"])] = true
		}
		if len(seen) != want {
			t.Errorf("%s: %d different items, want %d", path, len(seen), want)
		}
	}
}
