package http

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// Defects and lessons of other teams, by their numbers in the contract that lists
// them. Those that the domain decides are in its own tests.

// Defect 1: rotating an expired token gave a key that had expired already.
func TestDefect01RotatingTheExpiredGivesALivingSecret(t *testing.T) {
	w := newWorld(t)
	w.made("mia", "POST "+tokensOfAcme, `{"name":"short","kind":"personal","expires_in":"1h"}`)
	w.pass(2 * time.Hour)
	knows("short")(w)
	made := w.send("mia", "POST "+tokensOfAcme+"/{short.token}/rotate", "").object(t)
	w.names["short.secret"] = made["secret"].(string)
	if got := w.send("short", "GET /api/v1/whoami", ""); got.status != 200 {
		t.Errorf("the new secret gets %d", got.status)
	}
}

// Defect 2: a list of permissions came back when the grant had long been another.
func TestDefect02NothingOfAnOldGrantIsLeft(t *testing.T) {
	w := newWorld(t)
	made := w.made("ann", "POST "+tokensOfAcme, `{"name":"ci","kind":"administrative","grant":{"access":"custom","permissions":["tokens.check","log.read"]}}`)
	w.names["ci.token"], w.names["ci.secret"] = made["id"].(string), made["secret"].(string)
	does("ann", "PATCH "+tokensOfAcme+"/{ci.token}", `{"grant":{"access":"role","role":"schema-only"}}`)(w)
	page := w.send("ann", "GET "+tokensOfAcme+"/{ci.token}", "")
	if strings.Contains(page.body, "log.read") || strings.Contains(page.body, "tokens.check") {
		t.Errorf("the old grant shows: %s", page.body)
	}
	w.refused("ann", "PATCH "+tokensOfAcme+"/{ci.token}", `{"grant":{"access":"custom"}}`, []int{422})
	w.refused("ci", "GET /api/v1/organizations/acme/log", "", []int{403})
}

// Defect 3: the route of one kind of token deleted another kind.
func TestDefect03APathLooksAtTheThing(t *testing.T) {
	w := furnish(newWorld(t))
	w.refused("ann", "POST /api/v1/organizations/acme/approvals/{mia.token}/approve", "", []int{409})
	w.refused("ann", "DELETE /api/v1/organizations/acme/members/{builder}", "", []int{404})
	w.refused("ann", "DELETE /api/v1/organizations/acme/service-accounts/{mia}", "", []int{404})
}

// Defect 4: who could only create made themselves a token that could do everything.
func TestDefect04WhoMayOnlyCreateGivesNoMore(t *testing.T) {
	w := newWorld(t)
	made := w.made("ann", "POST "+tokensOfAcme, `{"name":"maker","kind":"personal","grant":{"access":"custom","permissions":["tokens.create-personal","tokens.create-administrative","members.add","roles.create"]}}`)
	w.names["maker.secret"] = made["secret"].(string)
	for send, body := range map[string]string{
		"POST " + tokensOfAcme + "?1":                      `{"name":"all","kind":"personal"}`,
		"POST " + tokensOfAcme + "?2":                      `{"name":"all","kind":"personal","grant":{"access":"full-access"}}`,
		"POST " + tokensOfAcme + "?3":                      `{"name":"all","kind":"administrative"}`,
		"POST " + tokensOfAcme + "?4":                      `{"name":"all","kind":"personal","grant":{"access":"role","role":"admin"}}`,
		"POST /api/v1/organizations/acme/members":          `{"email":"eve@acme.test","role":"admin"}`,
		"POST /api/v1/organizations/acme/roles":            `{"name":"root","permissions":["policy.update"]}`,
		"POST /api/v1/organizations/acme/service-accounts": `{"name":"root","grant":{"access":"full-access"}}`,
	} {
		send, _, _ = strings.Cut(send, "?")
		if got := w.refused("maker", send, body, []int{403}); !strings.Contains(got.body, "may not do yourself") {
			t.Errorf("%s: %s", send, got.body)
		}
	}
	w.made("maker", "POST "+tokensOfAcme, `{"name":"less","kind":"personal","grant":{"access":"custom","permissions":["members.add"]}}`)
}

// Defect 6: using a token counted as changing it.
func TestDefect06UseIsNoChange(t *testing.T) {
	w := newWorld(t)
	before := w.send("ann", "GET "+tokensOfAcme+"/{mia.token}", "")
	for range 3 {
		w.pass(time.Hour)
		does("mia", "GET /api/v1/whoami", "")(w)
	}
	after := w.send("ann", "GET "+tokensOfAcme+"/{mia.token}", "")
	if before.header.Get("ETag") != after.header.Get("ETag") || before.object(t)["version"] != after.object(t)["version"] {
		t.Errorf("its version was %s and is %s", before.header.Get("ETag"), after.header.Get("ETag"))
	}
	if before.object(t)["last_used_at"] == after.object(t)["last_used_at"] {
		t.Error("its last use was not seen")
	}
}

// Defect 7: a lifespan went in as a number and came out as text.
func TestDefect07WhatGoesInComesOut(t *testing.T) {
	w := newWorld(t)
	const sent = `{"name":"ci","kind":"personal","grant":{"access":"custom","permissions":["tokens.check"],"resources":["engine:prod"]},"networks":["10.0.0.0/8"],"limit":{"requests":10,"window":"1m"},"not_before":"2026-12-01T00:00:00Z","expires_at":"2027-06-30T12:00:00Z"}`
	made := w.made("ann", "POST "+tokensOfAcme, sent)
	var want map[string]any
	w.must(json.Unmarshal([]byte(sent), &want))
	for field, value := range want {
		if text(made[field]) != text(value) {
			t.Errorf("%s went in as %s and came out as %s", field, text(value), text(made[field]))
		}
	}
}

// Defect 8: unknown fields were dropped when a token was made and refused when it
// was changed.
func TestDefect08UnknownFieldsAreErrorsEverywhere(t *testing.T) {
	w := newWorld(t)
	w.refused("ann", "POST "+tokensOfAcme, `{"name":"ci","kind":"personal","lifespan":1}`, []int{422})
	w.refused("ann", "PATCH "+tokensOfAcme+"/{mia.token}", `{"lifespan":1}`, []int{422})
	w.refused("ann", "POST "+tokensOfAcme, `{"name":"ci","kind":"personal","grant":{"access":"read-only","all":true}}`, []int{422})
	w.refused("ann", "PATCH /api/v1/organizations/acme/policy", `{"kinds":{"personal":{"longest":"1d"}}}`, []int{422})
}

// Defect 9: to delete what was never there was a success here and an error there.
func TestDefect09TheUnknownIsNotFoundEverywhere(t *testing.T) {
	w := newWorld(t)
	for _, send := range []string{
		"DELETE " + tokensOfAcme + "/0000000000000000", "DELETE /api/v1/organizations/acme/roles/nothing", "DELETE /api/v1/organizations/acme/permissions/no.thing",
		"DELETE /api/v1/organizations/acme/service-accounts/999", "DELETE /api/v1/organizations/acme/members/999", "DELETE /api/v1/accounts/999",
	} {
		w.refused("ann", send, "", []int{404})
	}
}

// Defect 10: read-only was what a name ended with.
func TestDefect10ReadOnlyIsAMark(t *testing.T) {
	w := newWorld(t)
	does("ann", "POST /api/v1/organizations/acme/permissions", `{"name":"articles.find","group":"articles","access":"write"}`)(w)
	does("ann", "POST /api/v1/organizations/acme/permissions", `{"name":"articles.purge","group":"articles","access":"read"}`)(w)
	made := w.made("ann", "POST "+tokensOfAcme, `{"name":"ro","kind":"personal","grant":{"access":"read-only"}}`)
	w.names["ro.secret"] = made["secret"].(string)
	for permission, allowed := range map[string]bool{"articles.find": false, "articles.purge": true, "members.read": true, "members.add": false, "nothing.read": false} {
		answer := w.send("ann", "POST /api/v1/check", `{"token":"{ro.secret}","permission":"`+permission+`"}`).object(t)
		if answer["active"] != true || answer["allowed"] != allowed {
			t.Errorf("%s: %v", permission, answer)
		}
	}
}

// Defects 12 and 13, lesson 34: an error has a body that says what is wrong and
// nothing from inside; 401 is not recognised, 403 is recognised and not allowed.
func TestDefect13ARefusalHasABody(t *testing.T) {
	w := newWorld(t)
	for as, status := range map[string]int{"": 401, "ada": 403} {
		got := w.refused(as, "POST "+tokensOfAcme, `{"name":"ci","kind":"personal"}`, []int{status})
		problem := got.object(t)
		if problem["detail"] == "" || problem["next"] == "" || strings.Contains(got.body, "goroutine") || strings.Contains(got.body, ".go:") {
			t.Errorf("%d: %s", status, got.body)
		}
		if status == 401 && got.header.Get("WWW-Authenticate") != `Bearer realm="jeton"` {
			t.Errorf("it does not say which scheme it expects: %q", got.header.Get("WWW-Authenticate"))
		}
	}
}

// Lesson 12: one longest life, on every kind, and it is in the error.
func TestLesson12TheLongestLifeIsInTheError(t *testing.T) {
	w := furnish(newWorld(t))
	// Whoever sets it meets it first, or they would lock themselves out.
	own := w.send("ann", "POST "+tokensOfAcme+"/{ann.token}/rotate", `{"expires_in":"60d"}`).object(t)
	w.names["ann.secret"] = own["secret"].(string)
	does("ann", "PATCH /api/v1/organizations/acme/policy", `{"kinds":{"personal":{"longest_life":"90d","never":false},"administrative":{"longest_life":"90d","never":false},"service":{"longest_life":"90d","never":false}}}`)(w)
	for _, body := range []string{`"kind":"personal"`, `"kind":"administrative"`, `"kind":"service","service_account":"{builder}"`} {
		for _, ends := range []string{`"expires_in":"91d"`, `"expires_in":"never"`} {
			got := w.refused("ann", "POST "+tokensOfAcme, `{"name":"long",`+body+`,`+ends+`}`, []int{422})
			if !strings.Contains(got.body, "90 days") {
				t.Errorf("%s, %s: %s", body, ends, got.body)
			}
		}
		made := w.made("ann", "POST "+tokensOfAcme, `{"name":"default",`+body+`}`)
		if made["expires_in_days"] != 90.0 {
			t.Errorf("%s: without being asked it lives %v days", body, made["expires_in_days"])
		}
	}
}

// Lesson 37: a key carries its tenant; no setting beside it is needed.
func TestLesson37AKeyCarriesItsTenant(t *testing.T) {
	w := newWorld(t)
	if got := w.send("droid", "GET /api/v1/whoami", "").object(t)["organization"].(map[string]any)["alias"]; got != "globex" {
		t.Errorf("the key is of %v", got)
	}
}

// Lesson 39: limits are per token, are told, and say when to try again.
func TestLesson39ALimitSaysWhatRemains(t *testing.T) {
	w := newWorld(t)
	made := w.made("ann", "POST "+tokensOfAcme, `{"name":"slow","kind":"administrative","limit":{"requests":3,"window":"1m"}}`)
	w.names["slow.secret"] = made["secret"].(string)
	w.pass(15 * time.Second)
	first := w.send("slow", "GET /api/v1/whoami", "")
	if first.header.Get("RateLimit") != `"token";r=2;t=45` || first.header.Get("RateLimit-Policy") != `"token";q=3;w=60` {
		t.Errorf("it says %q, %q", first.header.Get("RateLimit"), first.header.Get("RateLimit-Policy"))
	}
	answer := w.send("ann", "POST /api/v1/check", `{"token":"{slow.secret}"}`).object(t)
	if limit := answer["limit"].(map[string]any); limit["remaining"] != 1.0 || limit["retry_after"] != 45.0 || limit["requests"] != 3.0 || limit["window"] != 60.0 {
		t.Errorf("the check says %v", limit)
	}
	does("slow", "GET /api/v1/whoami", "")(w)
	over := w.refused("slow", "GET /api/v1/whoami", "", []int{429})
	if over.header.Get("Retry-After") != "45" {
		t.Errorf("Retry-After is %q", over.header.Get("Retry-After"))
	}
	answer = w.send("ann", "POST /api/v1/check", `{"token":"{slow.secret}"}`).object(t)
	if answer["active"] != false || answer["reason"] != "limited" || answer["limit"].(map[string]any)["remaining"] != 0.0 {
		t.Errorf("the check says %v", answer)
	}
	if got := w.send("robot", "GET /api/v1/whoami", ""); got.status != 200 {
		t.Errorf("another token gets %d", got.status)
	}
	w.pass(45 * time.Second)
	does("slow", "GET /api/v1/whoami", "")(w)
}

// Lesson 41: a key that was pasted with a line break got 500.
func TestLesson41APastedLineBreakIsRefusedClearly(t *testing.T) {
	w := newWorld(t)
	for _, around := range []string{" ", "\t"} {
		r := w.request("mia", "GET /api/v1/whoami", "")
		r.Header.Set("Authorization", "Bearer "+w.secret("mia")+around)
		if got := w.do(r); got.status != 401 || got.object(t)["code"] != "bad-credential" {
			t.Errorf("with %q behind it: %d %s", around, got.status, got.body)
		}
	}
	if got := w.send("ann", "POST /api/v1/check", `{"token":"{mia.secret}\n"}`); got.body != `{"active":false}`+"\n" {
		t.Errorf("checked with a line break: %s", got.body)
	}
}
