package http

import (
	"errors"
	"runtime"
	"testing"

	"jeton/projections"
)

// While the database of the lists is away, checks and commands go on and lists say
// that they can't be given; once it is back they have all of it.
func TestViewsAway(t *testing.T) {
	w := newWorld(t)
	w.issue("mia", "acme", "laptop", "personal")
	w.stopViews()
	for _, r := range []struct {
		send, body string
		status     int
		behind     string
	}{
		{"POST " + tokensOfAcme, `{"name":"ci","kind":"administrative","description":"builds"}`, 201, viewsBehind},
		{"PATCH " + tokensOfAcme + "/{laptop.token}", `{"name":"desktop","description":"in the office"}`, 200, viewsBehind},
		{"DELETE " + tokensOfAcme + "/{laptop.token}?reason=lost", "", 200, viewsBehind},
		{"DELETE " + tokensOfAcme + "/{laptop.token}?reason=again", "", 200, viewsBehind},
		{"POST /api/v1/organizations/acme/members", `{"email":"max@acme.test","role":"member"}`, 201, viewsBehind},
		{"PATCH /api/v1/organizations/acme/members/{mia}", `{"role":"auditor"}`, 200, viewsBehind},
		{"PATCH /api/v1/organizations/acme", `{"name":"Acme Ltd"}`, 200, viewsBehind},
		{"POST /api/v1/organizations", `{"alias":"initech","name":"Initech"}`, 201, viewsBehind},
		{"POST /api/v1/operators", `{"email":"zed@globex.test"}`, 201, viewsBehind},
		{"DELETE /api/v1/operators/{zed}", "", 204, viewsBehind},
		{"DELETE /api/v1/organizations/acme/members/{mia}", "", 204, viewsBehind},
		{"POST /api/v1/check", `{"token":"{ann.secret}"}`, 200, ""},
		{"GET /api/v1/whoami", "", 200, ""},
		{"GET /api/v1/organizations/acme", "", 200, ""},
		{"GET " + tokensOfAcme + "/{laptop.token}", "", 503, ""},
		{"GET /api/v1/organizations/acme/members/{bob}", "", 200, ""}, // the views have all of him
		{"GET /api/v1/organizations/acme/log?after=999&wait=30", "", 503, ""},
	} {
		answered := w.send("ann", r.send, r.body)
		if answered.status != r.status || answered.header.Get("Jeton-Views") != r.behind {
			t.Errorf("%s: status %d, want %d; Jeton-Views %q, want %q: %s", r.send, answered.status, r.status, answered.header.Get("Jeton-Views"), r.behind, answered.body)
		}
		if answered.status == 503 && answered.header.Get("Retry-After") == "" {
			t.Errorf("%s: 503 without Retry-After", r.send)
		}
	}
	w.startViews()
	w.catchUp()
	want := map[string]any{"name": "desktop", "status": "revoked", "reason": "lost", "description": "in the office"}
	got := w.send("ann", "GET "+tokensOfAcme+"/{laptop.token}", "").object(t)
	for field, value := range want {
		if got[field] != value {
			t.Errorf("afterwards %s is %v, want %v", field, got[field], value)
		}
	}
}

// What memory knows of a token while the database is away is what the database
// says afterwards.
func TestAnswersWithoutViews(t *testing.T) {
	w := newWorld(t)
	w.issue("mia", "acme", "laptop", "personal")
	w.stopViews()
	made := w.made("bob", "POST "+tokensOfAcme, `{"name":"ci","kind":"administrative","description":"builds","expires_in":"30d"}`)
	revoked := w.send("bob", "DELETE "+tokensOfAcme+"/{laptop.token}?reason=lost", "").object(t)
	changed := w.send("bob", "PATCH /api/v1/organizations/acme/members/{mia}", `{"role":"auditor"}`).object(t)
	added := w.made("bob", "POST /api/v1/organizations/acme/members", `{"email":"max@acme.test","role":"member"}`)
	w.startViews()
	w.catchUp()
	for path, said := range map[string]map[string]any{
		tokensOfAcme + "/" + made["id"].(string):                    made,
		tokensOfAcme + "/{laptop.token}":                            revoked,
		"/api/v1/organizations/acme/members/{mia}":                  changed,
		"/api/v1/organizations/acme/members/" + number(added["id"]): added,
	} {
		now := w.send("ann", "GET "+path, "").object(t)
		for field, value := range said {
			if field == "secret" || field == "token" || field == "token_id" || field == "token_expires_at" {
				continue
			}
			if got, want := text(now[field]), text(value); got != want {
				t.Errorf("%s: %s was %s without the database and is %s with it", path, field, want, got)
			}
		}
	}
}

// Lists of a database that is gone are 503. A request that is sent again is
// answered from memory.
func TestDatabaseGone(t *testing.T) {
	w := newWorld(t)
	body := `{"name":"ci","kind":"administrative"}`
	if made := w.send("ann", "POST "+tokensOfAcme, body, key); made.status != 201 {
		t.Fatal(made.body)
	}
	does("ann", "GET "+logOfAcme, "")(w) // which is recorded the first time
	w.stopViews()
	w.must(w.views.Close())
	for _, send := range []string{
		"GET " + tokensOfAcme, "GET " + tokensOfAcme + "/{robot.token}", "GET /api/v1/organizations", "GET /api/v1/organizations/acme/members",
		"GET /api/v1/organizations/acme/members/{mia}", "GET /api/v1/organizations/acme/log",
	} {
		if got := w.refused("ann", send, "", []int{503}).object(t)["code"]; got != "views-unavailable" {
			t.Errorf("%s: code %v", send, got)
		}
	}
	if again := w.send("ann", "POST "+tokensOfAcme, body, key); again.status != 201 || again.header.Get("Jeton-Views") != viewsBehind {
		t.Errorf("sent again without the database: %d %v: %s", again.status, again.header, again.body)
	}
	if revoked := w.send("ann", "DELETE "+tokensOfAcme+"/{robot.token}", ""); revoked.status != 200 {
		t.Errorf("revoking without the database: %d: %s", revoked.status, revoked.body)
	}
}

// catchUp waits until the views, which may have only just begun to run, have all
// of the log.
func (w *world) catchUp() {
	w.Helper()
	for {
		err := w.views.Wait(w.Context(), w.last())
		if err == nil {
			return
		}
		if !errors.Is(err, projections.ErrBehind) {
			w.Fatal(err)
		}
		runtime.Gosched()
	}
}
