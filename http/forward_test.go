package http

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"jeton/domain"
	"jeton/engine"
	"jeton/projections"
)

// asked is a proxy of an engine that asks about a request with these headers.
func (w *world) asked(proxy string, headers ...string) reply {
	w.Helper()
	return w.send("", "GET "+forwardPath, "", append(headers, "Jeton-Engine: "+w.secret(proxy), "X-Original-URI: /clones?page=2", "X-Original-Method: POST")...)
}

// said is what an answer says about who has come in.
func (r reply) said() [6]string {
	h := r.header
	return [6]string{
		h.Get(engine.HeaderSubject), h.Get(engine.HeaderEmail), h.Get(engine.HeaderVia),
		h.Get(engine.HeaderToken), h.Get(engine.HeaderRole), h.Get("X-Forwarded-User-Email"),
	}
}

// Who comes in at the door is let through, and is told; nobody else is.
func TestForward(t *testing.T) {
	w := newWorld(t)
	all(hasServiceAccount("builder"), hasBot, hasEngine("prod", `"personal_tokens":true`), hasEngine("lone", `"personal_tokens":true,"verification_fallback":false`))(w)
	all(hasEngine("open", `"open":true`), hasEngine("shut", `"personal_tokens":true`), does("ann", "PATCH "+enginesOfAcme+"/{shut}", `{"disabled":true}`))(w)
	hasToken("mia", "old", "personal")(w)
	does("ann", "DELETE "+tokensOfAcme+"/{old.token}", "")(w)
	made := w.made("mia", "POST "+tokensOfAcme, `{"name":"narrow","kind":"personal","grant":{"access":"custom","permissions":["engines.use"],"resources":["engine:lone"]}}`)
	w.names["narrow.token"], w.names["narrow.secret"] = made["id"].(string), made["secret"].(string)
	mia := [6]string{"user:{mia}", "mia@acme.test", "personal", "{mia.token}", "member", "mia@acme.test"}
	nobody, program := [6]string{}, [6]string{"service:{builder}", "", "service", "{bot.token}", "", ""}
	for name, c := range map[string]struct {
		proxy   string
		headers []string
		status  int
		said    [6]string
	}{
		"a member":                     {"prod", []string{"Authorization: Bearer {mia.secret}"}, 200, mia},
		"in the other header":          {"prod", []string{"Verification-Token: {mia.secret}"}, 200, mia},
		"in both":                      {"prod", []string{"Verification-Token: {mia.secret}", "Authorization: bearer {mia.secret}"}, 200, mia},
		"two that differ":              {"prod", []string{"Verification-Token: {mia.secret}", "Authorization: Bearer {ann.secret}"}, 400, nobody},
		"a program":                    {"prod", []string{"Authorization: Bearer {bot.secret}", "X-Forwarded-User-Email: eve@evil.test"}, 200, program},
		"the verification token":       {"prod", []string{"Verification-Token: {prod.verification}"}, 200, [6]string{2: "verification"}},
		"and for somebody":             {"prod", []string{"Verification-Token: {prod.verification}", "X-Forwarded-User-Email: eve@acme.test"}, 200, [6]string{1: "eve@acme.test", 2: "verification", 5: "eve@acme.test"}},
		"without a fallback":           {"lone", []string{"Verification-Token: {lone.verification}"}, 401, nobody},
		"somebody who says who he is":  {"prod", []string{"Authorization: Bearer {mia.secret}", "Jeton-Email: root@acme.test", "X-Forwarded-User-Email: root@acme.test"}, 200, mia},
		"nothing":                      {"prod", nil, 401, nobody},
		"nothing, where it is open":    {"open", nil, 200, [6]string{2: "open"}},
		"where it is disabled":         {"shut", []string{"Authorization: Bearer {mia.secret}"}, 401, nobody},
		"revoked":                      {"prod", []string{"Authorization: Bearer {old.secret}"}, 401, nobody},
		"of another organization":      {"prod", []string{"Authorization: Bearer {zoe.secret}"}, 401, nobody},
		"administrative":               {"prod", []string{"Authorization: Bearer {robot.secret}"}, 401, nobody},
		"the engine's own":             {"prod", []string{"Authorization: Bearer {prod.secret}"}, 401, nobody},
		"for another engine":           {"prod", []string{"Authorization: Bearer {narrow.secret}"}, 403, nobody},
		"for this engine":              {"lone", []string{"Authorization: Bearer {narrow.secret}"}, 200, [6]string{"user:{mia}", "mia@acme.test", "personal", "{narrow.token}", "member", "mia@acme.test"}},
		"the engine's access token":    {"prod", []string{"Jeton-Engine: {lone.secret}", "Authorization: Bearer {mia.secret}"}, 400, nobody},
		"a token in the URL":           {"prod", []string{"X-Forwarded-Uri: /clones?token={mia.secret}", "Authorization: Bearer {mia.secret}"}, 400, nobody},
		"two requests at once":         {"prod", []string{"X-Forwarded-Uri: /public", "Authorization: Bearer {mia.secret}"}, 400, nobody},
		"a proxy that is a member":     {"mia", []string{"Authorization: Bearer {mia.secret}"}, 401, nobody},
		"a proxy that is a program":    {"robot", []string{"Authorization: Bearer {mia.secret}"}, 401, nobody},
		"a proxy of others":            {"zed", []string{"Authorization: Bearer {mia.secret}"}, 401, nobody},
		"a proxy whose token is ended": {"old", []string{"Authorization: Bearer {mia.secret}"}, 401, nobody},
	} {
		got, want := w.asked(c.proxy, c.headers...), c.said
		for i := range want {
			want[i] = w.filled(want[i])
		}
		if got.status != c.status || got.said() != want {
			t.Errorf("%s: %d %v, want %d %v: %s", name, got.status, got.said(), c.status, want, got.body)
		}
		if got.status == 200 && (got.body != "" || len(got.header["Jeton-Email"]) != 1) || got.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %v %s", name, got.header, got.body)
		}
	}
}

// A proxy that does not say which engine it guards is told what to configure, and
// nothing about the token of its client.
func TestForwardWithoutAnEngine(t *testing.T) {
	w := newWorld(t)
	var bodies []string
	for _, headers := range [][]string{
		nil, {"Authorization: Bearer {mia.secret}"}, {"Authorization: Bearer {zoe.secret}"}, {"Authorization: Bearer hello"},
		{"Authorization: Bearer {mia.secret}", "Jeton-Engine: "}, {"Jeton-Engine: {mia.secret}"}, {"Jeton-Engine: {robot.secret}"},
		{"Jeton-Engine: jtn_adm_000000000000000000000000000000000000000000000000000000000000000000"},
	} {
		got := w.refused("", "GET "+forwardPath, "", []int{401}, headers...)
		bodies = append(bodies, got.body)
	}
	if all := slices.Compact(bodies); len(all) != 1 || !strings.Contains(all[0], "Jeton-Engine") {
		t.Errorf("the answers are %v", all)
	}
}

// Every method is answered, with any path behind: that is how Envoy asks.
func TestForwardWithAPath(t *testing.T) {
	w := newWorld(t)
	hasEngine("prod", `"personal_tokens":true`)(w)
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "TRACE"} {
		for _, path := range []string{"", "/", "/clones", "/clones//1?x=%20y", "/a%2fb/", "/auth/forward/x"} {
			send := method + " " + forwardPath + path
			if got := w.send("", send, "", "Jeton-Engine: {prod.secret}", "Authorization: Bearer {mia.secret}"); got.status != 200 || got.said()[0] == "" {
				t.Errorf("%s: %d %s", send, got.status, got.body)
			}
			if got := w.send("", send, "", "Jeton-Engine: {prod.secret}"); got.status != 401 {
				t.Errorf("%s with nothing: %d", send, got.status)
			}
		}
	}
	for send, want := range map[string]int{
		"GET " + forwardPath + "/clones?token={mia.secret}": 400,
		"GET " + forwardPath + "/{mia.secret}":              400,
		"GET " + forwardPath + "/../../api/v1/whoami":       404,
		"GET " + forwardPath + "ing":                        404,
	} {
		if got := w.send("", send, "", "Jeton-Engine: {prod.secret}", "Authorization: Bearer {mia.secret}"); got.status != want {
			t.Errorf("%s: %d, want %d: %s", send, got.status, want, got.body)
		}
	}
}

// A token that is bound to networks goes by where the proxy says its client is, and
// by nothing that the client or a proxy in between says.
func TestForwardKnowsWhereTheClientIs(t *testing.T) {
	w := newWorld(t)
	hasEngine("prod", `"personal_tokens":true`)(w)
	does("ann", "PATCH "+tokensOfAcme+"/{mia.token}", `{"networks":["192.0.2.0/24"]}`)(w)
	for name, c := range map[string]struct {
		headers []string
		status  int
	}{
		"there":                 {[]string{"Jeton-Address: 192.0.2.9"}, 200},
		"there, as IPv6 has it": {[]string{"Jeton-Address: ::ffff:192.0.2.9"}, 200},
		"elsewhere":             {[]string{"Jeton-Address: 198.51.100.1"}, 401},
		"nowhere":               {nil, 401},
		"no address":            {[]string{"Jeton-Address: unix:"}, 401},
		"in two places":         {[]string{"Jeton-Address: 192.0.2.9", "Jeton-Address: 198.51.100.1"}, 401},
		"as X-Forwarded-For":    {[]string{"X-Forwarded-For: 192.0.2.9"}, 401},
	} {
		if got := w.asked("prod", append(c.headers, "Authorization: Bearer {mia.secret}")...); got.status != c.status {
			t.Errorf("%s: %d, want %d", name, got.status, c.status)
		}
	}
}

// What changes holds for the next request: the token, the engine, the switch.
func TestForwardHearsOfChanges(t *testing.T) {
	w := newWorld(t)
	hasEngine("prod", `"personal_tokens":true`)(w)
	hasToken("mia", "laptop", "personal")(w)
	want := func(what string, status int, headers ...string) {
		t.Helper()
		if got := w.asked("prod", headers...); got.status != status {
			t.Errorf("%s: %d, want %d: %s", what, got.status, status, got.body)
		}
	}
	bearer, verification := "Authorization: Bearer {laptop.secret}", "Verification-Token: {prod.verification}"
	want("at first", 200, bearer)
	does("ann", "PATCH /api/v1/organizations/acme/policy", `{"tokens_enabled":false}`)(w)
	want("while tokens are off", 401, bearer)
	want("the verification token while tokens are off", 200, verification)
	does("ann", "PATCH /api/v1/organizations/acme/policy", `{"tokens_enabled":true}`)(w)
	want("on again", 200, bearer)
	does("ann", "PATCH "+tokensOfAcme+"/{laptop.token}", `{"limit":{"requests":1,"window":"1m"}}`)(w)
	w.pass(time.Hour)
	want("the first of a limit", 200, bearer)
	want("one too many", 429, bearer)
	w.pass(time.Minute)
	want("a minute later", 200, bearer)
	does("ann", "DELETE "+tokensOfAcme+"/{laptop.token}", "")(w)
	want("revoked", 401, bearer)
	does("ann", "DELETE "+enginesOfAcme+"/{prod}", "")(w)
	want("the engine is deleted", 401, verification)
}

// While the model does not serve nobody comes in, whoever asks.
func TestForwardIsClosed(t *testing.T) {
	w := newWorld(t)
	all(hasEngine("prod", `"personal_tokens":true`), hasEngine("open", `"open":true`))(w)
	w.server = &Server{Model: projections.NewModel(w.store, w.vault, w.now), Views: w.views, Log: w.server.Log, Version: "test", Now: w.now}
	w.handler = w.server.Handler()
	for _, proxy := range []string{"prod", "open"} {
		if got := w.asked(proxy, "Authorization: Bearer {mia.secret}"); got.status != http.StatusServiceUnavailable {
			t.Errorf("%s: %d %s", proxy, got.status, got.body)
		}
	}
	// Who was let through the door before it stopped.
	if a := (doorman{server: w.server}).Check(engine.Presented{Secret: w.secret("mia")}); a.Allowed || a.Reason != domain.ReasonStale {
		t.Errorf("the answer is %+v", a)
	}
}
