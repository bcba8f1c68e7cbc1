package http

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"jeton/domain"
)

// listed are the rows of a view.
func (l *lab) view(caller, view string, headers ...string) (rows []map[string]any) {
	l.Helper()
	got := l.send("GET "+view, "", append(headers, as(caller))...)
	if err := json.Unmarshal([]byte(got.text), &rows); err != nil || got.status != 200 {
		l.Fatalf("%s: %d %s", view, got.status, got.text)
	}
	return rows
}

func TestLabOrganization(t *testing.T) {
	l := newLab(t)
	acme, beta := l.number(l.acme), l.number(l.beta)
	if rows := l.view("mia", fmt.Sprint("orgs?id=eq.", acme)); len(rows) != 1 || rows[0]["alias"] != "acme" {
		t.Errorf("got %v", rows)
	}
	if rows := l.view("mia", fmt.Sprint("orgs?id=eq.", beta)); len(rows) != 0 {
		t.Errorf("another organization: %v", rows)
	}
	got := l.send(fmt.Sprint("PATCH orgs?id=eq.", acme), `{"name":"Acme Ltd"}`, as("bob"))
	var rows []map[string]any
	if err := json.Unmarshal([]byte(got.text), &rows); err != nil || len(rows) != 1 || rows[0]["name"] != "Acme Ltd" {
		t.Errorf("renamed: %d %s", got.status, got.text)
	}
	for request, c := range map[string]struct {
		as, body string
		status   int
		says     string
	}{
		fmt.Sprint("PATCH orgs?id=eq.", acme, ""):       {"mia", `{"name":"x"}`, 403, "organization.update"},
		fmt.Sprint("PATCH orgs?id=eq.", beta):           {"ann", `{"name":"x"}`, 404, "no such organization"},
		"PATCH orgs?id=eq.x":                            {"ann", `{"name":"x"}`, 404, "no such organization"},
		"PATCH orgs":                                    {"ann", `{"name":"x"}`, 400, "id: is missing"},
		fmt.Sprint("PATCH orgs?id=gt.0"):                {"ann", `{"name":"x"}`, 400, "id: is missing"},
		fmt.Sprint("PATCH orgs?name=eq.x&id=eq.", acme): {"ann", `{"name":"x"}`, 400, "id: is missing"},
		fmt.Sprint("PATCH orgs/?id=eq.", acme):          {"ann", `{}`, 400, "name: is missing"},
		fmt.Sprint("PATCH //orgs?id=eq.", acme):         {"ann", `{"alias":"other"}`, 409, "u_orgs_alias"},
		fmt.Sprint("PATCH /orgs?id=eq.", acme):          {"ann", `{"users_autojoin":true}`, 400, "users_autojoin"},
		fmt.Sprint("PATCH /orgs/?id=eq.", acme):         {"ann", `{"name":5}`, 400, "name"},
		fmt.Sprint("PATCH ///orgs?id=eq.", acme):        {"ann", ``, 400, "JSON"},
		fmt.Sprint("PATCH ////orgs?id=eq.", acme):       {"ann", `{"name":"` + strings.Repeat("x", 101) + `"}`, 400, "name"},
	} {
		l.nothing(func() { l.wantError(l.send(request, c.body, as(c.as)), c.status, c.says) })
	}
}

// Members are known by the numbers of their accounts, and roles by numbers that stay.
func TestLabMembers(t *testing.T) {
	l := newLab(t)
	acme := l.number(l.acme)
	l.execute("ann", domain.CreateRole{Name: "deployer", Permissions: []string{"engines.read"}})
	users := func() map[string]float64 {
		found := map[string]float64{}
		for _, user := range l.view("mia", fmt.Sprint("org_users?id=eq.", acme))[0]["users"].([]any) {
			fields := user.(map[string]any)
			found[fields["email"].(string)] = fields["role_id"].(float64)
		}
		return found
	}
	call := func(function, arguments string) map[string]any {
		return l.call("bob", function, fmt.Sprintf(`{"org_id":%d,%s}`, acme, arguments))
	}
	new := call("user_invite_org_user", `"email":"new@acme.test"`)["user_id"]
	if users()["new@acme.test"] != 2 {
		t.Errorf("after an invitation: %v", users())
	}
	call("user_update_org_user", fmt.Sprintf(`"user_id":%v,"role_id":1`, new))
	if users()["new@acme.test"] != 1 {
		t.Errorf("as an auditor: %v", users())
	}
	call("user_update_org_user", fmt.Sprintf(`"user_id":%v,"role_id":%d`, new, labRoleID("deployer")))
	if got := users()["new@acme.test"]; got != float64(labRoleID("deployer")) || got < 100 {
		t.Errorf("with a role made here: %v", users())
	}
	bob, _ := l.Model.Account(l.actors["bob"].Account)
	ann, _ := l.Model.Account(l.actors["ann"].Account)
	zoe, _ := l.Model.Account(l.actors["zoe"].Account)
	for function, c := range map[string]struct {
		as, arguments string
		status        int
		says          string
	}{
		"user_invite_org_user ":   {"bob", `"email":"new@acme.test"`, 409, "member already"},
		"user_invite_org_user":    {"mia", `"email":"x@acme.test"`, 403, "members.add"},
		"user_invite_org_user  ":  {"bob", `"email":"nonsense"`, 400, "email"},
		"user_update_org_user":    {"bob", fmt.Sprintf(`"user_id":%d,"role_id":4`, bob.Number), 403, ""},
		"user_update_org_user ":   {"mia", fmt.Sprintf(`"user_id":%d,"role_id":1`, bob.Number), 403, "members.update"},
		"user_update_org_user  ":  {"bob", fmt.Sprintf(`"user_id":%v,"role_id":0`, new), 400, "role_id"},
		"user_update_org_user   ": {"bob", fmt.Sprintf(`"user_id":%d,"role_id":2`, zoe.Number), 404, "no such member"},
		"user_delete_org_user":    {"bob", fmt.Sprintf(`"user_id":%d`, zoe.Number), 404, "no such member"},
		"user_delete_org_user ":   {"mia", fmt.Sprintf(`"user_id":%d`, bob.Number), 403, "members.remove"},
		"user_delete_org_user  ":  {"ann", fmt.Sprintf(`"user_id":%d`, ann.Number), 409, ""},
	} {
		l.unchanged(func() {
			l.wantError(l.send("POST rpc/"+strings.TrimSpace(function), fmt.Sprintf(`{"org_id":%d,%s}`, acme, c.arguments), as(c.as)), c.status, c.says)
		})
	}
	call("user_delete_org_user", fmt.Sprintf(`"user_id":%v`, new))
	if _, there := users()["new@acme.test"]; there {
		t.Error("a removed member is there")
	}
	mia, _ := l.Model.Account(l.actors["mia"].Account)
	l.call("mia", "user_delete_org_user", fmt.Sprintf(`{"org_id":%d,"user_id":%d}`, acme, mia.Number))
	l.wantError(l.send("GET orgs", "", as("mia")), 401, "bad-credential")
}

// A role is the same number for ever, and no two are one.
func TestLabRoleIDs(t *testing.T) {
	if got := labRoleID("deployer"); got != 262481385669361 || labRoleID("admin") != 3 {
		t.Errorf("got %d and %d: stored by nobody, but remembered by the pages that are open", got, labRoleID("admin"))
	}
}

func TestLabOrgCreate(t *testing.T) {
	l := newLab(t)
	made := l.call("ann", "user_create_org", `{"name":"Initech, Inc.","alias":"","users_autojoin":false}`)
	l.secrets["initech"], _ = made["token"].(string)
	if rows := l.view("initech", "orgs"); len(rows) != 1 || rows[0]["alias"] != "initech-inc" {
		t.Errorf("its owner sees %v", rows)
	}
	if made["alias"] != "initech-inc" || made["name"] != "Initech, Inc." {
		t.Errorf("got %v", made)
	}
	l.unchanged(func() {
		l.wantError(l.send("POST rpc/user_create_org", `{"name":"X","alias":"acme"}`, as("ann")), 409, "u_orgs_alias")
		l.wantError(l.send("POST rpc/user_create_org", `{"name":"X","alias":"x1","users_autojoin":true}`, as("ann")), 400, "users_autojoin")
		l.wantError(l.send("POST rpc/user_create_org", `{"alias":"x1"}`, as("ann")), 400, "name")
		for _, caller := range []string{"bob", "mia", "robot", "zoe"} {
			l.wantError(l.send("POST rpc/user_create_org", `{"name":"X","alias":"x1"}`, as(caller)), 403, "only operators")
		}
	})
}

// Keys are shown by what of them is no secret, and those that open nothing are not.
func TestLabOrgKeys(t *testing.T) {
	l := newLab(t)
	key := func(name string, kind domain.TokenKind, role domain.Role) domain.Position {
		return l.issue(name, "ann", domain.IssueToken{Kind: kind, Terms: domain.Terms{Grant: domain.Grant{Access: domain.ByRole, Role: role}}})
	}
	l.revoke(key("revoked", domain.Administrative, "engine"))
	engine := key("engine", domain.Administrative, "engine")
	key("other", domain.Administrative, "ci")
	key("personal", domain.Personal, "database-lab")
	rows := l.view("ann", fmt.Sprint("org_keys?org_id=eq.", l.number(l.acme)))
	secret := l.secrets["engine"]
	if len(rows) != 1 || rows[0]["id"] != float64(engine) || rows[0]["value"] != secret[:len("jtn_adm_")+16]+"…" {
		t.Errorf("got %v", rows)
	}
	l.wantError(l.send("GET org_keys", "", as("mia")), 403, "tokens.read-any")
}

// The audit log says who did what to which of the console's tables, the youngest first,
// page by page, and never a hash.
func TestLabAuditLog(t *testing.T) {
	l := newLab(t)
	kept := l.programs()
	l.call("bob", "api_token_create", fmt.Sprintf(`{"name":"n","expires":"2027-11-22","org_id":%d}`, l.number(l.acme)))
	l.call("ann", "checkup_report_delete", kept.fill(`{"ids":[$report]}`))
	verification, _ := l.registered("prod")
	got := l.send("GET audit_log?limit=5", "", as("ada"), "Prefer: count=exact")
	var rows []map[string]any
	l.must(json.Unmarshal([]byte(got.text), &rows))
	total := got.header.Get("Content-Range")
	whole := l.view("ada", "audit_log")
	if len(rows) != 5 || total != fmt.Sprintf("0-4/%d", len(whole)) {
		t.Errorf("%d rows, %s; there are %d", len(rows), total, len(whole))
	}
	var paged []map[string]any
	for before := float64(1 << 50); ; {
		page := l.view("ada", fmt.Sprintf("audit_log?limit=3&id=lt.%.0f", before))
		if len(page) == 0 {
			break
		}
		paged = append(paged, page...)
		before = page[len(page)-1]["id"].(float64)
	}
	if fmt.Sprint(paged) != fmt.Sprint(whole) {
		t.Errorf("page by page it is\n%v\nand at once\n%v", paged, whole)
	}
	seen := map[string]string{}
	for i, row := range whole {
		if i > 0 && row["id"].(float64) >= whole[i-1]["id"].(float64) {
			t.Errorf("ids do not fall: %v", row)
		}
		seen[fmt.Sprint(row["table_name"], " ", row["action"])] = fmt.Sprint(row["actor"])
	}
	for what, by := range map[string]string{
		"api_tokens insert": "", "orgs insert": "", "users_orgs insert": "", "checkup_reports insert": "", "joe_messages insert": "", "joe_instances insert": "",
		"records delete": "Ann@acme.test", "dblab_instances insert": "Ann@acme.test", "projects insert": "Ann@acme.test",
	} {
		if actor, there := seen[what]; !there || by != "" && actor != by {
			t.Errorf("%s by %q, want %q: %v", what, actor, by, seen)
		}
	}
	text, _ := json.Marshal(whole)
	hash := hashOf(verification)
	if strings.Contains(string(text), hash.String()) || strings.Contains(string(text), `"hash"`) {
		t.Errorf("a hash is in the audit log: %s", text)
	}
	if row := l.view("ada", fmt.Sprintf("audit_log?id=eq.%.0f", whole[2]["id"]))[0]; fmt.Sprint(row) != fmt.Sprint(whole[2]) {
		t.Errorf("by its id it is %v, not %v", row, whole[2])
	}
	for _, caller := range []string{"mia", "robot"} {
		l.wantError(l.send("GET audit_log", "", as(caller)), 403, "log.read")
	}
	if foreign := l.view("zoe", "audit_log?table_name=eq.policies"); len(foreign) != 0 || len(l.view("zoe", "audit_log")) >= len(whole) {
		t.Errorf("in another organization: %v", foreign)
	}
}

// registered registers an engine whose personal tokens are enabled: its verification
// token, and its number. Its access token has its name.
func (l *lab) registered(name string) (verification string, number domain.Position) {
	l.Helper()
	verification = rand.Text()
	command := domain.RegisterEngine{Name: name, EngineToken: domain.EngineToken{Never: true}, Door: domain.Door{PersonalTokens: true, Verification: hashOf(verification)}}
	command.Token, command.Hash = l.secret(name, domain.Administrative)
	return verification, l.execute("ann", command)
}

// An engine that is registered here hears of the tokens that its own door lets in, and
// of its own, by which it begins.
func TestLabTokenCheckOfRegisteredEngines(t *testing.T) {
	l := newLab(t)
	verification, number := l.registered("prod")
	l.issue("elsewhere", "mia", domain.IssueToken{Kind: domain.Personal, Terms: domain.Terms{Grant: domain.Grant{Resources: []domain.Resource{"engine:staging"}}}})
	l.issue("reader", "mia", domain.IssueToken{Kind: domain.Personal, Terms: domain.Terms{Grant: domain.Grant{Access: domain.ReadOnly}}})
	l.secrets["shared"] = verification
	status := func(token string) int { return l.send(labCheckPath, `{"token":"{`+token+`}"}`, as("prod")).status }
	check := func(what string, want map[string]int) {
		t.Helper()
		for token, want := range want {
			if got := status(token); got != want {
				t.Errorf("%s: %s is %d, want %d", what, token, got, want)
			}
		}
	}
	check("enabled", map[string]int{"prod": 200, "mia": 200, "elsewhere": 401, "reader": 401, "robot": 401, "zoe": 401, "shared": 401, "ada": 401})
	if got := l.send(labCheckPath, `{"token":"{mia}"}`, as("prod")).object(t); got["email"] != "mia@acme.test" || got["is_personal"] != true {
		t.Errorf("got %v", got)
	}
	for _, other := range []string{"robot", "mia"} {
		if got := l.send(labCheckPath, `{"token":"{elsewhere}"}`, as(other)); got.status != 200 {
			t.Errorf("asked by %s: %d %s", other, got.status, got.text)
		}
	}
	door := domain.Door{Verification: hashOf(verification)}
	l.execute("ann", domain.UpdateEngine{Engine: number, Door: &door})
	check("not enabled", map[string]int{"prod": 200, "mia": 401, "shared": 401})
	disabled := true
	l.execute("ann", domain.UpdateEngine{Engine: number, Disabled: &disabled})
	check("disabled", map[string]int{"prod": 200, "mia": 401, "shared": 401})
}

func hashOf(text string) domain.Hash { return sha256.Sum256([]byte(text)) }
