package http

import (
	"strings"
	"testing"
)

// A token that follows its holder opens every organization they belong to, as what
// they are there; its own organization can end it, theirs can refuse it.
func TestATokenThatFollowsItsHolder(t *testing.T) {
	w := newWorld(t)
	made := w.made("mia", "POST "+tokensOfAcme, `{"name":"roaming","kind":"personal","everywhere":true}`)
	w.names["roaming.token"], w.names["roaming.secret"] = made["id"].(string), made["secret"].(string)
	whoami := func() reply { return w.send("roaming", "GET /api/v1/organizations/globex/members", "") }
	check := func(as string) map[string]any {
		return w.send(as, "POST /api/v1/check", `{"token":"{roaming.secret}","permission":"log.read"}`).object(t)
	}
	if got := whoami(); got.status != 404 {
		t.Errorf("before its holder belongs there: %d", got.status)
	}
	if got := check("zed"); got["active"] != false || got["reason"] != nil {
		t.Errorf("before its holder belongs there the check says %v", got)
	}
	does("zed", "POST /api/v1/organizations/globex/members", `{"email":"mia@acme.test","role":"auditor"}`)(w)
	if got := whoami(); got.status != 200 {
		t.Errorf("afterwards: %d %s", got.status, got.body)
	}
	if got := check("zed"); got["active"] != true || got["allowed"] != true || got["role"] != "auditor" || got["organization"] != "globex" {
		t.Errorf("the check there says %v", got)
	}
	if got := check("ann"); got["allowed"] != false || got["role"] != "member" || got["organization"] != "acme" {
		t.Errorf("the check at home says %v", got)
	}
	if got := w.send("mia", "GET /api/v1/organizations/globex/members", ""); got.status != 404 {
		t.Errorf("a token that is bound goes along: %d", got.status)
	}
	does("zed", "PATCH /api/v1/organizations/globex/policy", `{"bound_tokens_only":true}`)(w)
	w.refused("roaming", "GET /api/v1/organizations/globex/members", "", []int{401})
	if got := check("zed"); got["active"] != false || got["reason"] != "unbound" {
		t.Errorf("where only bound ones are taken the check says %v", got)
	}
	does("zed", "PATCH /api/v1/organizations/globex/policy", `{"bound_tokens_only":false}`)(w)
	does("ann", "DELETE "+tokensOfAcme+"/{roaming.token}", "")(w)
	w.refused("roaming", "GET /api/v1/organizations/globex/members", "", []int{401})
	if got := check("zed"); got["active"] != false {
		t.Errorf("revoked at home it is %v", got)
	}
}

// What it changes there is there, in its holder's name.
func TestATokenThatFollowsChangesThings(t *testing.T) {
	w := newWorld(t)
	made := w.made("mia", "POST "+tokensOfAcme, `{"name":"roaming","kind":"personal","everywhere":true}`)
	w.names["roaming.secret"] = made["secret"].(string)
	does("zed", "POST /api/v1/organizations/globex/members", `{"email":"mia@acme.test","role":"admin"}`)(w)
	does("roaming", "PATCH /api/v1/organizations/globex", `{"name":"Globex Corp"}`)(w)
	made = w.made("roaming", "POST /api/v1/organizations/globex/tokens", `{"name":"ci","kind":"administrative"}`)
	if by := made["created_by"].(map[string]any); by["email"] != "mia@acme.test" || by["token"] != nil {
		t.Errorf("it was made by %v", by)
	}
	w.refused("roaming", "PATCH /api/v1/organizations/acme", `{"name":"mine"}`, []int{403})
	w.refused("roaming", "POST /api/v1/organizations/globex/tokens", `{"name":"x","kind":"personal","everywhere":true}`, []int{403})
}

// A token that is bound to networks works from there, and from nowhere where
// nobody says.
func TestWhereATokenWorks(t *testing.T) {
	w := newWorld(t)
	made := w.made("mia", "POST "+tokensOfAcme, `{"name":"office","kind":"personal","networks":["192.0.2.0/24","2001:db8::/32"]}`)
	w.names["office.secret"] = made["secret"].(string)
	for ip, active := range map[string]bool{
		`"192.0.2.200"`: true, `"::ffff:192.0.2.200"`: true, `"2001:db8::1"`: true, `"192.0.3.1"`: false, `"2001:db9::1"`: false, `""`: false, `null`: false,
	} {
		answer := w.send("ann", "POST /api/v1/check", `{"token":"{office.secret}","ip":`+ip+`}`).object(t)
		if answer["active"] != active || !active && answer["reason"] != "network" {
			t.Errorf("from %s: %v", ip, answer)
		}
	}
	for from, status := range map[string]int{"192.0.2.7:1": 200, "198.51.100.1:1": 401} {
		r := w.request("office", "GET /api/v1/whoami", "")
		r.RemoteAddr = from
		if got := w.do(r); got.status != status {
			t.Errorf("from %s: %d, want %d", from, got.status, status)
		}
	}
}

// Switched off nothing is good, and nothing is lost; whoever may switch on can.
func TestSwitchedOff(t *testing.T) {
	w := newWorld(t)
	does("bob", "PATCH /api/v1/organizations/acme/policy", `{"tokens_enabled":false}`)(w)
	for _, as := range []string{"ann", "mia", "robot"} {
		if got := w.refused(as, "GET "+tokensOfAcme, "", []int{401}); !strings.Contains(got.body, "switched its tokens off") {
			t.Errorf("%s is not told why: %s", as, got.body)
		}
		w.refused(as, "POST /api/v1/check", `{"token":"{mia.secret}"}`, []int{401})
		if got := w.send(as, "GET /api/v1/whoami", "").object(t)["permissions"].([]any); len(got) != 0 {
			t.Errorf("%s may still %v", as, got)
		}
	}
	w.refused("mia", "PATCH /api/v1/organizations/acme/policy", `{"tokens_enabled":true}`, []int{403})
	w.refused("robot", "PATCH /api/v1/organizations/acme/policy", `{"tokens_enabled":true}`, []int{403})
	w.refused("zed", "PATCH /api/v1/organizations/acme/policy", `{"tokens_enabled":true}`, []int{404})
	does("ann", "PATCH /api/v1/organizations/acme/policy", `{"tokens_enabled":true}`)(w)
	for _, as := range []string{"ann", "mia", "robot"} {
		does(as, "GET /api/v1/whoami", "")(w)
	}
}

// An account that is deleted opens nothing anywhere, from the answer on.
func TestAnAccountIsDeleted(t *testing.T) {
	w := newWorld(t)
	does("zed", "POST /api/v1/organizations/globex/members", `{"email":"mia@acme.test","role":"member"}`)(w)
	w.refused("zed", "DELETE /api/v1/accounts/{mia}", "", []int{403})
	w.refused("ann", "DELETE /api/v1/accounts/{zed}", "", []int{409}) // globex would have no owner
	w.refused("ann", "DELETE /api/v1/accounts/{ann}", "", []int{409})
	does("ann", "DELETE /api/v1/accounts/{mia}?reason=left", "")(w)
	w.refused("mia", "GET /api/v1/whoami", "", []int{401})
	if got := w.send("ann", "POST /api/v1/check", `{"token":"{mia.secret}"}`).object(t); got["active"] != false || got["reason"] != "deleted" {
		t.Errorf("the check says %v", got)
	}
	w.refused("ann", "DELETE /api/v1/accounts/{mia}", "", []int{404})
	// Who comes with the same e-mail is somebody else.
	again := w.made("ann", "POST /api/v1/organizations/acme/members", `{"email":"mia@acme.test","role":"member"}`)
	if number(again["id"]) == w.names["mia"] {
		t.Error("the number was given again")
	}
}

// Whoever adds a person somewhere is shown a token of theirs: it does not end their
// account.
func TestAnAccountDoesNotDeleteItself(t *testing.T) {
	w := newWorld(t)
	w.refused("mia", "DELETE /api/v1/accounts/{mia}", "", []int{403})
	does("mia", "GET /api/v1/whoami", "")(w)
}

// An organization that is deleted is not found, by nobody and by no name, and its
// alias is gone with it.
func TestAnOrganizationIsDeleted(t *testing.T) {
	w := newWorld(t)
	w.refused("zed", "DELETE /api/v1/organizations/globex?alias=acme", "", []int{422})
	w.refused("zoe", "DELETE /api/v1/organizations/globex?alias=globex", "", []int{403})
	w.refused("ann", "DELETE /api/v1/organizations/acme?alias=acme", "", []int{409})
	does("zed", "DELETE /api/v1/organizations/globex?alias=globex&reason=sold", "")(w)
	for _, as := range []string{"zed", "zoe", "droid"} {
		w.refused(as, "GET /api/v1/whoami", "", []int{401})
		w.refused(as, "GET /api/v1/organizations/globex", "", []int{401})
	}
	w.refused("ann", "GET /api/v1/organizations/globex", "", []int{404})
	if got := w.send("ann", "GET /api/v1/organizations", "").object(t)["items"].([]any); len(got) != 1 {
		t.Errorf("the list has %v", got)
	}
	w.refused("ann", "POST /api/v1/organizations", `{"alias":"globex","name":"Globex","owner_email":"zed@globex.test"}`, []int{409})
	w.restart()
	w.refused("zed", "GET /api/v1/whoami", "", []int{401})
}
