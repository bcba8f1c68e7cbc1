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
	"PATCH /api/v1/organizations/{org}/members/{id}": `{"role":"auditor","suspended":true,"reason":"why","limit":{"requests":10,"window":"1m"}}`,
	"POST /api/v1/organizations/{org}/tokens":        `{"name":"ci","kind":"personal","description":"what for","expires_at":"2027-06-30T12:00:00Z"}`,
	"PATCH /api/v1/organizations/{org}/tokens/{id}":  `{"name":"other","description":"other"}`,
	"POST /api/v1/operators":                         `{"email":"olga@ops.test"}`,

	"POST /api/v1/organizations/{org}/webhooks":                          `{"name":"other","url":"https://hooks.example.org/in","events":["token.*"],"headers":{"X-From":"here"}}`,
	"PATCH /api/v1/organizations/{org}/webhooks/{id}":                    `{"name":"other","enabled":false}`,
	"POST /api/v1/organizations/{org}/webhooks/{id}/secret":              `{"at_once":true}`,
	"POST /api/v1/organizations/{org}/webhooks/{id}/test":                `{"event":"ping"}`,
	"POST /api/v1/organizations/{org}/webhooks/{id}/dead-letters/replay": `{"letters":["7.0"]}`,

	"POST /api/v1/organizations/{org}/tokens/{id}/rotate":           `{"overlap":"1h","expires_in":"30d"}`,
	"POST /api/v1/organizations/{org}/tokens/revoke":                `{"kind":"administrative","reason":"why"}`,
	"POST /api/v1/organizations/{org}/service-accounts/{id}/tokens": `{"name":"prod","networks":["192.0.2.0/24"],"limit":{"requests":10,"window":"1m"}}`,
	"POST /api/v1/organizations/{org}/approvals/{id}/approve":       `{"reason":"why"}`,
	"POST /api/v1/organizations/{org}/approvals/{id}/refuse":        `{"reason":"why not"}`,
	"POST /api/v1/organizations/{org}/engines": `{"name":"staging","project":"lab","url":"https://dblab.acme.test","description":"the lab","personal_tokens":true,
		"verification_token":"0123456789abcdef","verification_fallback":true,"open":false,"permissions":[{"name":"clones.reset","group":"clones","access":"write"}],
		"resources":["clone:*"],"networks":["192.0.2.0/24"],"expires_in":"30d"}`,
	"PATCH /api/v1/organizations/{org}/engines/{id}": `{"project":"lab","url":"https://dblab.acme.test","description":"other","permissions":["clones.create"],"resources":["clone:*"],
		"personal_tokens":true,"verification_fallback":false,"verification_token":"0123456789abcdef","open":false,"disabled":true}`,
	"POST /api/v1/organizations/{org}/engines/{id}/rotate-verification": `{"verification_token":"fedcba9876543210"}`,
	"POST /api/v1/organizations/{org}/engines/{id}/replace-token":       `{"networks":["192.0.2.0/24"],"expires_in":"30d"}`,
	"POST /api/v1/engines/check":                                        `{"token":"{mia.secret}","permission":"clones.create","resource":"clone:1","forwarded_email":"eve@acme.test","ip":"192.0.2.1","user_agent":"psql"}`,
	"POST /api/v1/engines/report":                                       `{"instance":"a1","position":1,"uses":[{"token":"{mia.token}","count":3,"last":"2026-11-22T12:00:00Z","address":"192.0.2.1","agent":"psql","permissions":["clones.create"]}]}`,
	"POST /api/v1/signing-keys":                                         `{"replaces":1}`,
	"POST /api/v1/accounts/{id}/erase":                                  `{"reason":"asked for it"}`,
	"POST /api/v1/burn":                                                 `{"token":"{droid.secret}"}`,
	"POST /api/v1/secret-scanning":                                      `[]`,

	"PATCH /api/v1/organizations/{org}/policy": `{"networks":["192.0.2.0/24"],"idle_expiry":"90d","token_limit":{"requests":1000000,"window":"1m"},"holder_limit":null,
		"kinds":{"personal":{"creators":["owner","member"],"per_holder":50,"default_life":"30d","longest_life":"2y","latest_expiry":"2099-12-31T00:00:00Z","never":true}},
		"approval":{"kinds":["administrative"],"grants":["database-lab"],"lapse":"2d"},"longest_overlap":"1d","reuse":"revoke","last_used_by_day":true,
		"tokens_enabled":true,"bound_tokens_only":false,"description_required":true}`,
	"POST /api/v1/organizations/{org}/roles":                  `{"name":"reader","description":"looks","permissions":["engines.read","members.read"]}`,
	"PATCH /api/v1/organizations/{org}/roles/{name}":          `{"description":"other","permissions":["engines.read","members.read"]}`,
	"POST /api/v1/organizations/{org}/permissions":            `{"name":"clones.delete","group":"clones","access":"write","administrative":true,"resource_type":"engine","description":"throw clones away"}`,
	"POST /api/v1/organizations/{org}/service-accounts":       `{"name":"runner","description":"runs","grant":{"access":"custom","permissions":["engines.read"],"resources":["engine:prod"]}}`,
	"PATCH /api/v1/organizations/{org}/service-accounts/{id}": `{"name":"other","description":"other","grant":{"access":"role","role":"general:read"},"disabled":true,"limit":{"requests":10,"window":"1m"}}`,
}

// things are what acme has of the nouns that its world is not born with, as paths
// name them; see furnish.
var things = map[string]string{"/webhooks/": "{hook}", "/service-accounts/": "{builder}", "/engines/": "{prod}", "/records/": "{file}", "/roles/": "deployer", "/permissions/": "clones.create", "/approvals/": "{pending.token}"}

// deletesOrganization is the route that wants its organization's alias once more,
// and that the organization from which the platform is operated does not take.
const deletesOrganization = "DELETE /api/v1/organizations/{org}"

// mayDo is somebody who may call a route about an organization, and its alias.
func (r route) mayDo() (as, org string) {
	if r.pattern == deletesOrganization {
		return "zed", "globex"
	}
	if r.access.who == anEngine {
		return "prod", "acme"
	}
	return "ann", "acme"
}

// furnish gives acme one of each of the things.
func furnish(w *world) *world {
	w.Helper()
	does("ann", "POST /api/v1/organizations/acme/permissions", `{"name":"clones.create","group":"clones","access":"write","resource_type":"engine"}`)(w)
	does("ann", "POST /api/v1/organizations/acme/roles", `{"name":"deployer","permissions":["clones.create","engines.read"]}`)(w)
	hasServiceAccount("builder")(w)
	hasEngine("prod", `"personal_tokens":true`)(w)
	hasReport("report", "file")(w)
	hasWebhook("hook", "http://127.0.0.1:1/")(w)
	does("ann", "PATCH /api/v1/organizations/acme/policy", `{"approval":{"grants":["schema-only"]}}`)(w)
	made := w.made("bob", "POST /api/v1/organizations/acme/tokens", `{"name":"pending","kind":"personal","grant":{"access":"role","role":"schema-only"}}`)
	w.names["pending.token"], w.names["pending.secret"] = made["id"].(string), made["secret"].(string)
	return w
}

// hasServiceAccount is a service account of acme that may do what pipelines do:
// {name} is its number.
func hasServiceAccount(name string) func(*world) {
	return func(w *world) {
		w.Helper()
		made := w.made("ann", "POST /api/v1/organizations/acme/service-accounts", `{"name":"`+name+`","grant":{"access":"role","role":"ci"}}`)
		w.names[name] = number(made["id"])
	}
}

// request is a good request to a route, about things of one organization: its
// alias or number, one of its members, one of its tokens. Where the path names
// another noun, any {member} stands for the thing that acme has of it.
func (r route) request(org, member, token string) (send, body string) {
	id := member
	for noun, thing := range things {
		if strings.Contains(r.pattern, noun) && strings.HasPrefix(member, "{") {
			id = thing
		}
	}
	if strings.Contains(r.pattern, "/tokens/") {
		id = token
	}
	if strings.HasSuffix(r.pattern, "/rotate") && token == "{mia.token}" {
		id = "{robot.token}" // whose holder is everybody who may
	}
	if r.pattern == deletesOrganization {
		return strings.Replace(r.pattern, "{org}", org+"?alias="+org, 1), ""
	}
	if strings.HasSuffix(r.pattern, "/content/{name}") {
		return strings.NewReplacer("{org}", org, "{id}", id, "{name}", "data").Replace(r.pattern), ""
	}
	if strings.HasSuffix(r.pattern, "/audit/proof") {
		return strings.Replace(r.pattern, "{org}", org, 1) + "?position=1", ""
	}
	if strings.HasSuffix(r.pattern, "/audit/diff") {
		return strings.Replace(r.pattern, "{org}", org, 1) + "?from=1", ""
	}
	if strings.HasSuffix(r.pattern, "/stream") {
		return r.pattern + "?instance=a1", ""
	}
	return strings.NewReplacer("{org}", org, "{id}", id, "{name}", id).Replace(r.pattern), bodies[r.pattern]
}

// names reports whether the path of a route names one thing of an organization.
func (r route) names() bool {
	return strings.Contains(r.pattern, "{id}") || strings.Contains(r.pattern, "{name}")
}

// ours are the routes that we speak as we like.
func ours(w *world) []route {
	return slices.Concat(w.server.apiRoutes(), w.server.engineRoutes(), w.server.auditRoutes(), w.server.proofRoutes(), w.server.recordRoutes(), w.server.backupRoutes(), w.server.webhookRoutes(), w.server.pastRoutes())
}

// guarded are the routes of the table that need a credential.
func guarded(w *world) (routes []route) {
	for _, r := range ours(w) {
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
	if left := slices.DeleteFunc(w.since(before), isRead); len(left) > 0 {
		w.Errorf("%s as %q with %.80s: refused, but the log has %v", send, as, body, left)
	}
	return answered
}

// isRead reports whether an event says that something was asked for, which is recorded
// whatever the answer is.
func isRead(kind string) bool { return kind == "audit.read" || kind == "audit.exported" }

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
		w := furnish(newWorld(t))
		w.seal()
		w.stopping()
		before := w.last()
		as, org := r.mayDo()
		send, body := r.request(org, "{mia}", "{mia.token}")
		if r.path() == "/api/v1/operators/{id}" {
			does("ann", "POST /api/v1/operators", `{"email":"mia@acme.test"}`)(w)
			before = w.last()
		}
		answered := w.send(as, send, body)
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
	w := furnish(newWorld(t))
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
		if r.names() {
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
	w := furnish(newWorld(t))
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
		if !r.names() {
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
	w := furnish(newWorld(t))
	callers := map[string][]string{"robot": w.whatMay("robot")}
	for name, role := range map[string]string{"mia": "member", "ada": "auditor", "bob": "admin"} {
		callers[name] = w.whatRole(role)
	}
	for _, r := range guarded(w) {
		send, body := r.request("acme", "{ann}", "{ann.token}")
		for _, as := range slices.Sorted(maps.Keys(callers)) {
			has := func(p domain.Permission) bool { return slices.Contains(callers[as], p.String()) }
			lacks := len(r.access.needs) > 0 && !slices.ContainsFunc(r.access.needs, has)
			if lacks || r.access.who == operator || r.access.who == anEngine {
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

// whatMay is what a token allows, as whoami says.
func (w *world) whatMay(as string) (names []string) {
	w.Helper()
	return listed(w.send(as, "GET /api/v1/whoami", "").object(w)["permissions"])
}

// whatRole is what a role of acme allows, as the list of roles says.
func (w *world) whatRole(name string) []string {
	w.Helper()
	return listed(w.send("ann", "GET /api/v1/organizations/acme/roles/"+name, "").object(w)["permissions"])
}

// listed are the texts in a list of an answer.
func listed(value any) (texts []string) {
	for _, item := range value.([]any) {
		texts = append(texts, item.(string))
	}
	return texts
}

func TestStrangersAreRefused(t *testing.T) {
	w := furnish(newWorld(t))
	for _, r := range guarded(w) {
		send, body := r.request("acme", "{mia}", "{mia.token}")
		answered := w.refused("", send, body, []int{401})
		if answered.header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: 401 without WWW-Authenticate", r.pattern)
		}
	}
	for _, r := range ours(w) {
		answered := w.send("", r.pattern, bodies[r.pattern])
		if r.access.who == anybody && answered.status/100 != 2 && r.path() != "/api/v1/secret-scanning" {
			t.Errorf("%s is open, but not to strangers: %s", r.pattern, answered.body)
		}
	}
}

// A path answers other methods than its own with those it takes.
func TestOtherMethods(t *testing.T) {
	w := furnish(newWorld(t))
	takes := map[string][]string{}
	for _, r := range ours(w) {
		takes[r.path()] = append(takes[r.path()], r.method())
	}
	revoke, token := "/api/v1/organizations/{org}/tokens/revoke", "/api/v1/organizations/{org}/tokens/{id}"
	takes[revoke] = append(takes[revoke], takes[token]...) // no id is called revoke
	for path, methods := range takes {
		send := strings.NewReplacer("{org}", "acme", "{id}", "{ann}", "{name}", "admin").Replace(path)
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
