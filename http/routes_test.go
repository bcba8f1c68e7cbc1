package http

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"jeton/domain"
)

// bodies are good bodies of the routes that take one, for the tests that walk the
// table. A route that is missing here fails them.
var bodies = map[string]string{
	"POST /api/v1/check":                             `{"token":"{robot.secret}","organization":"acme","permission":"log.read","resource":"r","ip":"192.0.2.1"}`,
	"POST /api/v1/organizations":                     `{"alias":"initech","name":"Initech","owner_email":"bill@initech.test"}`,
	"PATCH /api/v1/organizations/{org}":              `{"name":"Other"}`,
	"POST /api/v1/organizations/{org}/members":       `{"email":"max@acme.test","role":"member","expires_in":"30d"}`,
	"PATCH /api/v1/organizations/{org}/members/{id}": `{"role":"auditor","suspended":true,"reason":"why"}`,
	"POST /api/v1/organizations/{org}/tokens":        `{"name":"ci","kind":"personal","description":"what for","expires_at":"2027-06-30T12:00:00Z"}`,
	"PATCH /api/v1/organizations/{org}/tokens/{id}":  `{"name":"other","description":"other"}`,
	"POST /api/v1/operators":                         `{"email":"olga@ops.test"}`,
}

// request is a good request to a route, about things of one organization: its
// alias or number, one of its members, one of its tokens.
func (r route) request(org, member, token string) (send, body string) {
	id := member
	if strings.Contains(r.pattern, "/tokens/") {
		id = token
	}
	return strings.NewReplacer("{org}", org, "{id}", id).Replace(r.pattern), bodies[r.pattern]
}

// guarded are the routes of the table that need a credential.
func guarded(w *world) (routes []route) {
	for _, r := range w.server.apiRoutes() {
		if r.access.who != anybody {
			routes = append(routes, r)
		}
	}
	return routes
}

// refused wants a request to be refused with one of the statuses, as a problem
// with a next step, and nothing to have changed.
func (w *world) refused(as, send, body string, statuses []int, headers ...string) reply {
	w.Helper()
	before := w.last()
	answered := w.send(as, send, body, headers...)
	if !slices.Contains(statuses, answered.status) {
		w.Errorf("%s as %q with %.80s: status %d, want one of %v: %s", send, as, body, answered.status, statuses, answered.body)
		return answered
	}
	if got := answered.header.Get("Content-Type"); got != "application/problem+json" {
		w.Errorf("%s as %q: content type %q", send, as, got)
		return answered
	}
	problem := answered.object(w)
	for _, field := range []string{"type", "title", "status", "code", "detail", "next", "request_id"} {
		if problem[field] == nil {
			w.Errorf("%s as %q: the problem has no %s: %s", send, as, field, answered.body)
		}
	}
	if after := w.last(); after != before {
		w.Errorf("%s as %q with %.80s: refused, but the log has moved from %d to %d", send, as, body, before, after)
	}
	return answered
}

func TestRoutesSayWhoMayCallThem(t *testing.T) {
	w := newWorld(t)
	var table strings.Builder
	seen := map[string]bool{}
	for _, r := range w.server.routes() {
		if r.summary == "" {
			t.Errorf("%s has no summary", r.pattern)
		}
		if r.access.who == nobody {
			t.Errorf("%s says nothing about who may call it", r.pattern)
		}
		if seen[r.pattern] {
			t.Errorf("%s stands in the table twice", r.pattern)
		}
		seen[r.pattern] = true
		if strings.Contains(r.path(), "{org}") && r.access.who != inside {
			t.Errorf("%s is about one organization and admits %s", r.pattern, r.access)
		}
		_, has := bodies[r.pattern]
		if takes := r.method() == "POST" || r.method() == "PATCH"; strings.HasPrefix(r.path(), "/api/v1/") && has != takes {
			t.Errorf("%s: is there a body for the tests? %t, want %t", r.pattern, has, takes)
		}
		fmt.Fprintf(&table, "%s: %s", r.pattern, r.access)
		if r.audit != "" {
			fmt.Fprintf(&table, "; leaves %s", r.audit)
		}
		fmt.Fprintln(&table)
	}
	golden(t, "testdata/routes.golden", table.String())
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("not that of %s (-want +got); -update writes it anew:\n%s", file, diff)
	}
}

// What a route leaves in the log is what the table says.
func TestRoutesLeaveWhatTheySay(t *testing.T) {
	for _, r := range guarded(newWorld(t)) {
		w := newWorld(t)
		before := w.last()
		send, body := r.request("acme", "{mia}", "{mia.token}")
		if r.path() == "/api/v1/operators/{id}" {
			does("ann", "POST /api/v1/operators", `{"email":"mia@acme.test"}`)(w)
			before = w.last()
		}
		answered := w.send("ann", send, body)
		if want := r.status; answered.status != want && (want != 0 || answered.status != 200) {
			t.Errorf("%s: status %d, want %d: %s", r.pattern, answered.status, want, answered.body)
		}
		kinds := w.since(before)
		if (len(kinds) > 0) != (r.audit != "") {
			t.Errorf("%s leaves %v, and says %q", r.pattern, kinds, r.audit)
		}
		for _, kind := range kinds {
			if !slices.Contains(strings.Fields(r.audit), kind) {
				t.Errorf("%s leaves %s, and says %q", r.pattern, kind, r.audit)
			}
		}
	}
}

// Whoever belongs to another organization finds nothing, whatever they are there,
// by whatever name they ask and with whatever method.
func TestNeighboursFindNothing(t *testing.T) {
	w := newWorld(t)
	for _, r := range guarded(w) {
		if r.access.who != inside {
			continue
		}
		for _, as := range []string{"zed", "zoe", "droid"} {
			for _, org := range []string{"acme", "{acme}", "nowhere", "999"} {
				send, body := r.request(org, "{mia}", "{mia.token}")
				w.refused(as, send, body, []int{404})
				send, body = r.request(org, "{zoe}", "{zoe.token}")
				w.refused(as, send, body, []int{404})
			}
		}
		if strings.Contains(r.pattern, "{id}") {
			for _, alias := range []string{"globex", "{globex}"} {
				send, body := r.request(alias, "{mia}", "{mia.token}")
				w.refused("zed", send, body, []int{404})
				send, body = r.request(alias, "{acme}", "{robot.token}")
				w.refused("zed", send, body, []int{404})
				send, body = r.request(alias, "no-id", "no-id")
				w.refused("zed", send, body, []int{404})
			}
		}
	}
}

// The answer about another organization's thing is that about one that does not
// exist, letter by letter.
func TestForeignIsUnknown(t *testing.T) {
	w := newWorld(t)
	for _, r := range guarded(w) {
		if r.access.who != inside {
			continue
		}
		send, body := r.request("acme", "{mia}", "{mia.token}")
		foreign := w.send("zed", send, body)
		send, body = r.request("nowhere", "{mia}", "{mia.token}")
		if unknown := w.send("zed", send, body); unknown.body != foreign.body {
			t.Errorf("%s: a foreign organization is %s, an unknown one %s", r.pattern, foreign.body, unknown.body)
		}
		send, body = r.request("globex", "{mia}", "{mia.token}")
		foreign = w.send("zed", send, body)
		if !strings.Contains(r.pattern, "{id}") {
			continue
		}
		send, body = r.request("globex", "999", "0000000000000000")
		if unknown := w.send("zed", send, body); unknown.body != foreign.body {
			t.Errorf("%s: a foreign thing is %s, an unknown one %s", r.pattern, foreign.body, unknown.body)
		}
	}
}

// Whoever has none of a route's permissions is refused by it, and a suspended
// member by all of them.
func TestThePowerlessAreRefused(t *testing.T) {
	w := newWorld(t)
	program := w.permissions("robot")
	callers := map[string]func(domain.Permission) bool{
		"mia": domain.Ordinary.Permissions().Has, "ada": domain.Auditor.Permissions().Has,
		"bob": domain.Admin.Permissions().Has, "robot": program.Has,
	}
	for _, r := range guarded(w) {
		send, body := r.request("acme", "{ann}", "{ann.token}")
		for _, as := range slices.Sorted(maps.Keys(callers)) {
			lacks := len(r.access.needs) > 0 && !slices.ContainsFunc(r.access.needs, callers[as])
			if lacks || r.access.who == operator {
				w.refused(as, send, body, []int{403})
			}
		}
	}
	does("ann", "PATCH /api/v1/organizations/acme/members/{mia}", `{"suspended":true}`)(w)
	for _, r := range guarded(w) {
		send, body := r.request("acme", "{ann}", "{ann.token}")
		w.refused("mia", send, body, []int{401})
	}
}

// permissions is what a token allows, as whoami says.
func (w *world) permissions(as string) (set domain.Permissions) {
	w.Helper()
	for _, name := range w.send(as, "GET /api/v1/whoami", "").object(w)["permissions"].([]any) {
		set |= 1 << domain.ParsePermission(name.(string))
	}
	return set
}

func TestStrangersAreRefused(t *testing.T) {
	w := newWorld(t)
	for _, r := range guarded(w) {
		send, body := r.request("acme", "{mia}", "{mia.token}")
		answered := w.refused("", send, body, []int{401})
		if answered.header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: 401 without WWW-Authenticate", r.pattern)
		}
	}
	for _, r := range w.server.apiRoutes() {
		if r.access.who == anybody && w.send("", r.pattern, "").status != 200 {
			t.Errorf("%s is open, but not to strangers", r.pattern)
		}
	}
}

// A path answers other methods than its own with those it takes.
func TestOtherMethods(t *testing.T) {
	w := newWorld(t)
	takes := map[string][]string{}
	for _, r := range w.server.apiRoutes() {
		takes[r.path()] = append(takes[r.path()], r.method())
	}
	for path, methods := range takes {
		send := strings.NewReplacer("{org}", "acme", "{id}", "{ann}").Replace(path)
		for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"} {
			if slices.Contains(methods, method) {
				continue
			}
			answered := w.refused("ann", method+" "+send, "", []int{405})
			if got := strings.Split(answered.header.Get("Allow"), ", "); !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(methods))) {
				t.Errorf("%s %s: Allow is %v, want %v", method, path, got, methods)
			}
		}
	}
	w.refused("ann", "GET /api/v1/nothing", "", []int{404})
	w.refused("ann", "GET /", "", []int{404})
}
