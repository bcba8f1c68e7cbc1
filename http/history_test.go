package http

import (
	"fmt"
	"strings"
	"testing"
)

// TestLookingBackIsForAuditors, and the history of a token for whoever holds it, too.
func TestLookingBackIsForAuditors(t *testing.T) {
	w := furnish(newWorld(t))
	const acme = "GET /api/v1/organizations/acme"
	for send, who := range map[string]map[string]int{
		acme + "/tokens/{mia.token}/history": {"mia": 200, "ada": 200, "ann": 200, "robot": 403},
		acme + "/tokens/{ann.token}/history": {"mia": 403, "ada": 200, "ann": 200},
		acme + "/engines/{prod}/access":      {"mia": 403, "ada": 200, "ann": 200},
		acme + "/audit/diff?from=1":          {"mia": 403, "ada": 200, "ann": 200},
	} {
		for as, status := range who {
			if answered := w.send(as, send, ""); answered.status != status {
				t.Errorf("%s as %s: status %d, want %d: %s", send, as, answered.status, status, answered.body)
			}
		}
	}
	for send, status := range map[string]int{
		acme + "/audit/diff": 422,
		acme + "/audit/diff?from=" + fmt.Sprint(w.last()) + "&to=1": 422,
		acme + "/audit/diff?from=1&to=999999":                       422,
		acme + "/audit/diff?from=yesterday":                         422,
		acme + "/engines/{prod}/access?permission=clones.fly":       422,
		acme + "/engines/{prod}/access?address=here":                422,
		acme + "/engines/999/access":                                404,
		acme + "/tokens/0000000000000000/history":                   404,
		acme + "/tokens/{mia.token}/history?as_of=1":                404,
		"GET /api/v1/organizations/globex/engines/{prod}/access":    404,
	} {
		w.refused("ann", send, "", []int{status})
	}
}

// TestWhoCouldComeIn then, and not since.
func TestWhoCouldComeIn(t *testing.T) {
	w := furnish(newWorld(t))
	before := fmt.Sprint(w.last())
	does("ann", "PATCH /api/v1/organizations/acme/members/{mia}", `{"suspended":true,"reason":"why"}`)(w)
	could := func(query string) string {
		return w.send("ada", "GET /api/v1/organizations/acme/engines/{prod}/access"+query, "").body
	}
	mine := w.filled("{mia.token}")
	for query, is := range map[string]bool{"": false, "?as_of=" + before: true, "?all=true": true} {
		if got := strings.Contains(could(query), mine); got != is {
			t.Errorf("access%s has mia's token: %t, want %t", query, got, is)
		}
	}
	if body := could("?all=true"); !strings.Contains(body, `"reason":"suspended"`) || !strings.Contains(body, `"reason":"door"`) {
		t.Errorf("nobody is told why not: %s", body)
	}
	if body := could("?limit=1&as_of=" + before); !strings.Contains(body, `"next"`) {
		t.Errorf("a page of one leads nowhere: %s", body)
	}
}

// TestWhatDiffers between two moments is said field by field.
func TestWhatDiffers(t *testing.T) {
	w := furnish(newWorld(t))
	before := fmt.Sprint(w.last())
	does("ann", "PATCH /api/v1/organizations/acme/members/{mia}", `{"suspended":true,"reason":"why"}`)(w)
	does("ann", "PATCH /api/v1/organizations/acme/roles/deployer", `{"permissions":["engines.read"]}`)(w)
	does("ann", "PATCH /api/v1/organizations/acme/policy", `{"reuse":"revoke"}`)(w)
	w.made("ann", "POST /api/v1/organizations/acme/tokens", `{"name":"later","kind":"personal"}`)
	does("ann", "DELETE /api/v1/organizations/acme/permissions/clones.create", "")(w)
	d := w.send("ada", "GET /api/v1/organizations/acme/audit/diff?from="+before, "").object(w)
	for part, want := range map[string]string{
		"members":     "mia@acme.test changed reason suspended",
		"roles":       "deployer changed permissions",
		"tokens":      "later added",
		"permissions": "clones.create removed",
	} {
		found := false
		for _, one := range d[part].([]any) {
			thing, text := one.(map[string]any), ""
			text = fmt.Sprint(thing["name"], " ", thing["change"])
			if thing["name"] == nil {
				text = fmt.Sprint(thing["id"], " ", thing["change"])
			}
			if thing["change"] == "changed" {
				for _, field := range thing["fields"].([]any) {
					text += " " + field.(map[string]any)["field"].(string)
				}
			}
			found = found || text == want
		}
		if !found {
			t.Errorf("%s: no %q in %v", part, want, d[part])
		}
	}
	if policy := fmt.Sprint(d["policy"]); !strings.Contains(policy, "before:report") || !strings.Contains(policy, "after:revoke") {
		t.Errorf("policy: %s", policy)
	}
	// Mia's token opens nothing since she is suspended, though nobody touched it.
	if tokens := fmt.Sprint(d["tokens"]); !strings.Contains(tokens, w.filled("{mia.token}")) {
		t.Errorf("tokens: %s", tokens)
	}
	same := w.send("ada", "GET /api/v1/organizations/acme/audit/diff?from="+before+"&to="+before, "").object(w)
	for _, part := range []string{"organization", "tokens", "members", "service_accounts", "roles", "permissions", "policy", "engines"} {
		if len(same[part].([]any)) != 0 {
			t.Errorf("between a moment and itself %s differ: %v", part, same[part])
		}
	}
}
