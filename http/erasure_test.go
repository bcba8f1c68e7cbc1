package http

import (
	"strings"
	"testing"

	"jeton/eventstore"
)

// Who is erased is a pseudonym to everybody, for good; who may not erase changes nothing.
func TestErase(t *testing.T) {
	w := newWorld(t)
	erase := "POST /api/v1/accounts/{mia}/erase"
	for who, want := range map[string]int{"": 401, "mia": 403, "bob": 403, "zed": 403, "robot": 403} {
		w.refused(who, erase, `{"reason":"asked for it"}`, []int{want})
	}
	w.refused("ann", "POST /api/v1/accounts/{zed}/erase", "", []int{409}) // globex would have no owner
	w.refused("ann", "POST /api/v1/accounts/{ann}/erase", "", []int{409}) // nobody would operate
	w.refused("ann", "POST /api/v1/accounts/999/erase", "", []int{404})
	w.refused("ann", "POST /api/v1/accounts/mia/erase", "", []int{404})
	w.refused("ann", erase, `{"why":"?"}`, []int{422})

	does("mia", "POST "+tokensOfAcme, `{"name":"laptop","kind":"personal"}`)(w)
	log := "GET /api/v1/organizations/acme/log?limit=100"
	if said := w.body("ann", log); !strings.Contains(said, "mia@acme.test") {
		t.Errorf("before, the log says %s", said)
	}
	id, _ := w.model.AccountOf("mia@acme.test")
	before := w.last()
	does("ann", erase, `{"reason":"asked for it"}`)(w)
	does("ann", erase, "")(w)
	if got := w.since(before); strings.Join(got, " ") != "account.deleted account.erased" {
		t.Errorf("twice erased, the log has %v", got)
	}
	w.refused("mia", "GET /api/v1/whoami", "", []int{401})
	said := w.body("ann", log)
	if strings.Contains(said, "mia@acme.test") || !strings.Contains(said, eventstore.Pseudonym(id)) {
		t.Errorf("the log says %s", said)
	}
	if _, err := w.keys.Get(t.Context(), eventstore.AccountKey(id)); err == nil {
		t.Error("the key is there")
	}
	w.restart()
	does("ann", "DELETE /api/v1/accounts/{bob}", "")(w)
	does("ann", "POST /api/v1/accounts/{bob}/erase", "")(w) // also who was deleted before
	if said := w.body("ann", log); strings.Contains(said, "mia@acme.test") || strings.Contains(said, "bob@acme.test") {
		t.Errorf("after a restart the log says %s", said)
	}
}

func (w *world) body(who, send string) string {
	w.Helper()
	answered := w.send(who, send, "")
	if answered.status != 200 {
		w.Fatalf("%s: %d %s", send, answered.status, answered.body)
	}
	return answered.body
}

// The log says what a program calls itself, as far as it prints, and no secret.
func TestAgentsAreInTheLog(t *testing.T) {
	long := strings.Repeat("é", 300)
	for name, c := range map[string]struct{ sent, want string }{
		"as it is":        {"curl/8.5.0", "curl/8.5.0"},
		"none":            {"", ""},
		"too long":        {long, long[:2*200]},
		"what hides":      {"a\u202eb\x1b[31m\xffc", "ab[31mc"},
		"a secret inside": {"robot {secret}", "robot [redacted]"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			request := w.request("mia", "POST "+tokensOfAcme, `{"name":"ci","kind":"personal"}`)
			request.Header.Set("User-Agent", strings.ReplaceAll(c.sent, "{secret}", w.names["robot.secret"]))
			w.do(request)
			w.must(w.views.Wait(t.Context(), w.last()))
			org, _ := w.model.Find("acme")
			commit, err := w.views.Commit(t.Context(), org, w.last())
			w.must(err)
			if commit.Agent != c.want {
				t.Errorf("the log has %q, want %q", commit.Agent, c.want)
			}
			if said := w.body("ann", "GET /api/v1/organizations/acme/log?limit=100"); c.want != "" && !strings.Contains(said, `"agent":"`+c.want+`"`) {
				t.Errorf("the log says %s", said)
			}
		})
	}
}
