package http

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// notDated are what is asked about an organization without a moment, and why.
var notDated = map[string]string{
	"GET /api/v1/organizations/{org}/log":                         "is history itself",
	"GET /api/v1/organizations/{org}/audit":                       "as the log",
	"GET /api/v1/organizations/{org}/audit/tail":                  "as the log",
	"GET /api/v1/organizations/{org}/audit/export":                "as the log",
	"GET /api/v1/organizations/{org}/audit/heads":                 "is about what was signed, and when",
	"GET /api/v1/organizations/{org}/audit/proof":                 "names a position",
	"GET /api/v1/organizations/{org}/audit/diff":                  "names two moments",
	"GET /api/v1/organizations/{org}/webhooks":                    "says how deliveries stand, which is no history",
	"GET /api/v1/organizations/{org}/webhooks/{id}":               "as the list",
	"GET /api/v1/organizations/{org}/webhooks/{id}/dead-letters":  "as the list",
	"GET /api/v1/organizations/{org}/records":                     "what programs send is no state of tokens; its files go with it",
	"GET /api/v1/organizations/{org}/records/{id}":                "as the list",
	"GET /api/v1/organizations/{org}/records/{id}/content/{name}": "as the list",
	"GET /api/v1/organizations/{org}/tokens/{id}/revocation":      "which engines are connected is no history",
}

// dated are the routes that answer about the past, too.
func datedRoutes(w *world) (routes []route) {
	for _, r := range guarded(w) {
		if r.method() == "GET" && strings.HasPrefix(r.path(), "/api/v1/organizations/{org}") && notDated[r.pattern] == "" {
			routes = append(routes, r)
		}
	}
	return routes
}

// TestEveryListAndItemHasAPast: asked about a moment each answers what it answered
// then, whatever has happened since.
func TestEveryListAndItemHasAPast(t *testing.T) {
	w := furnish(newWorld(t))
	asked := map[string]string{}
	does("ann", "GET "+tokensOfAcme+"/{mia.token}/history", "")(w) // from here on such reading is only counted
	position := fmt.Sprint(w.last())
	was := w.now().Format(time.RFC3339Nano)
	for _, r := range datedRoutes(w) {
		send, _ := r.request("acme", "{mia}", "{mia.token}")
		answered := w.send("ann", send, "")
		if answered.status != 200 {
			t.Fatalf("%s: status %d: %s", send, answered.status, answered.body)
		}
		asked[send] = timeless(t, answered.body)
	}
	w.pass(time.Hour)
	for _, change := range []struct{ send, body string }{
		{"PATCH /api/v1/organizations/acme", `{"name":"Other"}`},
		{"PATCH /api/v1/organizations/acme/members/{mia}", `{"role":"auditor","suspended":true,"reason":"why"}`},
		{"PATCH /api/v1/organizations/acme/tokens/{mia.token}", `{"description":"another"}`},
		{"DELETE /api/v1/organizations/acme/tokens/{pending.token}", ""},
		{"PATCH /api/v1/organizations/acme/engines/{prod}", `{"url":"https://else.acme.test","open":false,"disabled":true}`},
		{"PATCH /api/v1/organizations/acme/service-accounts/{builder}", `{"name":"other","disabled":true}`},
		{"PATCH /api/v1/organizations/acme/roles/deployer", `{"permissions":["engines.read"]}`},
		{"DELETE /api/v1/organizations/acme/permissions/clones.create", ""},
		{"PATCH /api/v1/organizations/acme/policy", `{"reuse":"revoke","last_used_by_day":true}`},
		{"POST /api/v1/organizations/acme/tokens/revoke", `{"kind":"administrative","reason":"why"}`},
	} {
		if answered := w.send("ann", change.send, change.body); answered.status/100 != 2 {
			t.Fatalf("%s: status %d: %s", change.send, answered.status, answered.body)
		}
	}
	for _, send := range slices.Sorted(maps.Keys(asked)) {
		for _, moment := range []string{position, was} {
			answered := w.send("ann", send+"?as_of="+moment, "")
			if answered.status != 200 {
				t.Errorf("%s as of %s: status %d: %s", send, moment, answered.status, answered.body)
				continue
			}
			if tag, at := answered.header.Get("ETag"), answered.header.Get("Jeton-Position"); tag != "" || at != position {
				t.Errorf("%s as of %s: ETag %q, position %q, want none and %s", send, moment, tag, at, position)
			}
			if diff := cmp.Diff(asked[send], timeless(t, answered.body)); diff != "" {
				t.Errorf("%s as of %s is not what it was (-then +now):\n%s", send, moment, diff)
			}
		}
		if now := w.send("ann", send, ""); now.header.Get("Jeton-Position") != "" {
			t.Errorf("%s is about now and has a position", send)
		}
	}
}

// timeless is an answer without what is no history: how tokens were used, and who is
// connected.
func timeless(t *testing.T, body string) string {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	text, _ := json.MarshalIndent(without(v), "", " ")
	return string(text)
}

func without(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for _, field := range []string{"last_used_at", "usage", "last_seen_at", "connections", "position"} {
			delete(v, field)
		}
		for k := range v {
			v[k] = without(v[k])
		}
	case []any:
		for i := range v {
			v[i] = without(v[i])
		}
	}
	return v
}

// TestMomentsAreRefused that nobody can ask about.
func TestMomentsAreRefused(t *testing.T) {
	w := furnish(newWorld(t))
	future := w.now().Add(time.Minute).Format(time.RFC3339)
	for _, r := range datedRoutes(w) {
		send, _ := r.request("acme", "{mia}", "{mia.token}")
		for moment, status := range map[string]int{
			future: 422, "999999": 422, "yesterday": 422, "": 422, "0": 422, "-1": 422, "2020-01-01T00:00:00Z": 404, "1&as_of=2": 422,
		} {
			w.refused("ann", send+"?as_of="+moment, "", []int{status})
		}
	}
	for pattern := range notDated {
		if send := strings.NewReplacer("{org}", "acme", "{id}", "{file}", "{name}", "data").Replace(pattern); !strings.Contains(send, "/revocation") {
			w.refused("ann", send+"?as_of=1", "", []int{422})
		}
	}
}

// TestWhatSomebodyMaySeeIsOfToday, also of the past.
func TestWhatSomebodyMaySeeIsOfToday(t *testing.T) {
	w := furnish(newWorld(t))
	before := fmt.Sprint(w.last())
	w.refused("mia", "GET /api/v1/organizations/acme/tokens/{ann.token}?as_of="+before, "", []int{403})
	does("ann", "PATCH /api/v1/organizations/acme/members/{mia}", `{"role":"auditor"}`)(w)
	if answered := w.send("mia", "GET /api/v1/organizations/acme/tokens/{ann.token}?as_of="+before, ""); answered.status != 200 {
		t.Errorf("an auditor of today: status %d: %s", answered.status, answered.body)
	}
	does("ann", "PATCH /api/v1/organizations/acme/members/{mia}", `{"role":"member"}`)(w)
	w.refused("mia", "GET /api/v1/organizations/acme/tokens/{ann.token}?as_of="+fmt.Sprint(w.last()-1), "", []int{403})
}

// TestPagesOfThePast lead on in the past.
func TestPagesOfThePast(t *testing.T) {
	w := furnish(newWorld(t))
	before, seen := fmt.Sprint(w.last()), []string{}
	all := len(w.send("ann", "GET /api/v1/organizations/acme/tokens", "").object(w)["items"].([]any))
	does("ann", "POST /api/v1/organizations/acme/tokens/revoke", `{"kind":"administrative","reason":"why"}`)(w)
	w.made("ann", "POST /api/v1/organizations/acme/tokens", `{"name":"later","kind":"personal"}`)
	for next := "GET /api/v1/organizations/acme/tokens?limit=2&as_of=" + before; next != ""; {
		answered := w.send("ann", next, "")
		for _, item := range answered.object(w)["items"].([]any) {
			seen = append(seen, item.(map[string]any)["id"].(string))
			if item.(map[string]any)["status"] == "revoked" {
				t.Errorf("%v was not revoked then", item)
			}
		}
		link := answered.header.Get("Link")
		next = ""
		if link != "" {
			next = "GET " + link[1:strings.Index(link, ">")]
		}
	}
	slices.Sort(seen)
	if len(slices.Compact(seen)) != all {
		t.Errorf("%d tokens, want %d", len(seen), all)
	}
}
