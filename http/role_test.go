package http

import (
	"strings"
	"testing"
)

const (
	rolesOfAcme       = "/api/v1/organizations/acme/roles"
	permissionsOfAcme = "/api/v1/organizations/acme/permissions"
)

// hasRole is a role of acme that ann has made before.
func hasRole(name, permissions string) func(*world) {
	return does("ann", "POST "+rolesOfAcme, `{"name":"`+name+`","description":"what for","permissions":`+permissions+`}`)
}

// gets gives a member of acme another role.
func gets(member, role string) func(*world) {
	return does("ann", "PATCH /api/v1/organizations/acme/members/{"+member+"}", `{"role":"`+role+`"}`)
}

// hasPermission is a permission of acme that ann has defined before.
func hasPermission(name, access string) func(*world) {
	return does("ann", "POST "+permissionsOfAcme, `{"name":"`+name+`","group":"clones","access":"`+access+`"}`)
}

func TestRoles(t *testing.T) {
	made, changed, deleted := []string{"role.created"}, []string{"role.changed"}, []string{"role.deleted"}
	deployer := hasRole("deployer", `["engines.read","tokens.check"]`)
	maker := all(hasRole("maker", `["roles.read","roles.create","roles.update","roles.delete","engines.read"]`), gets("mia", "maker"))
	run(t, "role", map[string]scenario{
		"listed":                  {given: deployer, as: "mia", send: "GET " + rolesOfAcme, status: 200},
		"not listed for programs": {as: "robot", send: "GET " + rolesOfAcme, status: 403},
		"shown":                   {given: deployer, as: "mia", send: "GET " + rolesOfAcme + "/deployer", status: 200},
		"a built-in one":          {as: "mia", send: "GET " + rolesOfAcme + "/member", status: 200},
		"a ready-made one":        {as: "mia", send: "GET " + rolesOfAcme + "/general:read", status: 200},
		"one that there is not":   {as: "mia", send: "GET " + rolesOfAcme + "/king", status: 404},
		"with another case":       {as: "mia", send: "GET " + rolesOfAcme + "/Owner", status: 404},
		"another organization's":  {given: deployer, as: "zed", send: "GET /api/v1/organizations/globex/roles/deployer", status: 404},
		"with a permission of its own, that was retired": {
			given: all(hasPermission("clones.create", "write"), hasRole("cloner", `["clones.create","engines.read"]`), does("ann", "DELETE "+permissionsOfAcme+"/clones.create", "")),
			send:  "GET " + rolesOfAcme + "/cloner", status: 200,
		},

		"made":                       {as: "bob", send: "POST " + rolesOfAcme, body: `{"name":"deployer","description":"deploys","permissions":["tokens.check","engines.read","engines.read"]}`, status: 201, then: made},
		"made with nothing":          {as: "bob", send: "POST " + rolesOfAcme, body: `{"name":"nothing","permissions":[]}`, status: 201, then: made},
		"a member makes none":        {as: "mia", send: "POST " + rolesOfAcme, body: `{"name":"deployer","permissions":[]}`, status: 403},
		"an auditor makes none":      {as: "ada", send: "POST " + rolesOfAcme, body: `{"name":"deployer","permissions":[]}`, status: 403},
		"more than its maker may":    {as: "bob", send: "POST " + rolesOfAcme, body: `{"name":"king","permissions":["organization.read","organization.delete"]}`, status: 403},
		"much more than they may":    {given: maker, as: "mia", send: "POST " + rolesOfAcme, body: `{"name":"king","permissions":["members.add","members.update","members.remove","tokens.revoke-any","tokens.read-any","log.read","engines.read"]}`, status: 403},
		"all that its maker may":     {given: maker, as: "mia", send: "POST " + rolesOfAcme, body: `{"name":"reader","permissions":["roles.read","engines.read"]}`, status: 201, then: made},
		"a name that is taken":       {given: deployer, send: "POST " + rolesOfAcme, body: `{"name":"deployer","permissions":[]}`, status: 409},
		"the name of a built-in one": {send: "POST " + rolesOfAcme, body: `{"name":"owner","permissions":[]}`, status: 409},
		"the name of a ready-made":   {send: "POST " + rolesOfAcme, body: `{"name":"general:read","permissions":[]}`, status: 409},
		"a name that is free again":  {given: all(deployer, does("ann", "DELETE "+rolesOfAcme+"/deployer", "")), send: "POST " + rolesOfAcme, body: `{"name":"deployer","permissions":[]}`, status: 201, then: made},
		"a permission that is none":  {send: "POST " + rolesOfAcme, body: `{"name":"deployer","permissions":["engines.read","engines.paint"]}`, status: 422},
		"without permissions":        {send: "POST " + rolesOfAcme, body: `{"name":"deployer"}`, status: 422},
		"with null":                  {send: "POST " + rolesOfAcme, body: `{"name":"deployer","permissions":null}`, status: 422},

		"changed":                       {given: deployer, as: "bob", send: "PATCH " + rolesOfAcme + "/deployer", body: `{"description":"other","permissions":["engines.read"]}`, status: 200, then: changed},
		"changed what it is for":        {given: deployer, as: "bob", send: "PATCH " + rolesOfAcme + "/deployer", body: `{"description":""}`, status: 200, then: changed},
		"changed to nothing":            {given: deployer, as: "bob", send: "PATCH " + rolesOfAcme + "/deployer", body: `{"permissions":[]}`, status: 200, then: changed},
		"changed in nothing":            {given: deployer, as: "bob", send: "PATCH " + rolesOfAcme + "/deployer", body: `{}`, status: 200},
		"changed to what it is":         {given: deployer, as: "bob", send: "PATCH " + rolesOfAcme + "/deployer", body: `{"permissions":["tokens.check","engines.read"]}`, status: 200},
		"changed to more than one may":  {given: all(deployer, maker), as: "mia", send: "PATCH " + rolesOfAcme + "/deployer", body: `{"permissions":["engines.read"]}`, status: 403},
		"given more than one may":       {given: all(hasRole("reader", `["engines.read"]`), maker), as: "mia", send: "PATCH " + rolesOfAcme + "/reader", body: `{"permissions":["engines.read","log.read"]}`, status: 403},
		"a member changes none":         {given: deployer, as: "mia", send: "PATCH " + rolesOfAcme + "/deployer", body: `{"permissions":[]}`, status: 403},
		"a built-in one stays":          {send: "PATCH " + rolesOfAcme + "/member", body: `{"permissions":["engines.read"]}`, status: 409},
		"a ready-made one stays":        {send: "PATCH " + rolesOfAcme + "/ci", body: `{"description":"other"}`, status: 409},
		"one that there is not, too":    {send: "PATCH " + rolesOfAcme + "/king", body: `{}`, status: 404},
		"another organization's, too":   {given: deployer, as: "zed", send: "PATCH /api/v1/organizations/globex/roles/deployer", body: `{"permissions":[]}`, status: 404},
		"the name stays":                {given: deployer, send: "PATCH " + rolesOfAcme + "/deployer", body: `{"name":"other"}`, status: 422},
		"changed after it was read":     {given: deployer, send: "PATCH " + rolesOfAcme + "/deployer", body: `{"permissions":[]}`, headers: []string{`If-Match: "13"`}, status: 200, then: changed},
		"changed meanwhile":             {given: all(deployer, does("bob", "PATCH "+rolesOfAcme+"/deployer", `{"description":"other"}`)), send: "PATCH " + rolesOfAcme + "/deployer", body: `{"permissions":[]}`, headers: []string{`If-Match: "13"`}, status: 412},
		"changed with an ETag for none": {given: deployer, send: "PATCH " + rolesOfAcme + "/deployer", body: `{"permissions":[]}`, headers: []string{`If-Match: 13`}, status: 400},

		"deleted":                    {given: deployer, as: "bob", send: "DELETE " + rolesOfAcme + "/deployer", status: 204, then: deleted},
		"deleted with tokens":        {given: all(deployer, does("bob", "POST "+tokensOfAcme, `{"name":"ci","kind":"administrative","grant":{"access":"role","role":"deployer"}}`)), as: "bob", send: "DELETE " + rolesOfAcme + "/deployer", status: 204, then: deleted},
		"a member deletes none":      {given: deployer, as: "mia", send: "DELETE " + rolesOfAcme + "/deployer", status: 403},
		"one that somebody has":      {given: all(deployer, gets("mia", "deployer")), send: "DELETE " + rolesOfAcme + "/deployer", status: 409},
		"one that a program has":     {given: all(deployer, does("ann", "POST "+accountsOfAcme, `{"name":"builder","grant":{"access":"role","role":"deployer"}}`)), send: "DELETE " + rolesOfAcme + "/deployer", status: 409},
		"a built-in one is for ever": {send: "DELETE " + rolesOfAcme + "/auditor", status: 409},
		"a ready-made is for ever":   {send: "DELETE " + rolesOfAcme + "/schema-only", status: 409},
		"deleted twice":              {given: all(deployer, does("bob", "DELETE "+rolesOfAcme+"/deployer", "")), send: "DELETE " + rolesOfAcme + "/deployer", status: 404},
		"deleted meanwhile changed":  {given: all(deployer, does("bob", "PATCH "+rolesOfAcme+"/deployer", `{"description":"other"}`)), send: "DELETE " + rolesOfAcme + "/deployer", headers: []string{`If-Match: "13"`}, status: 412},
		"another's can't be deleted": {given: deployer, as: "zed", send: "DELETE /api/v1/organizations/globex/roles/deployer", status: 404},
	})
}

func TestBadRoleNames(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{
		"", "a", " ", "Deployer", "de ployer", "-deployer", "deployer-", "de--ployer", "de-:ployer", ":x", "1st", "de_ployer", "de.ployer", "dé", "de/ployer",
		"..", "%2e", "deployer\n", "deployer\x00", strings.Repeat("x", 41), strings.Repeat("x", 10_000),
	} {
		answered := w.refused("ann", "POST "+rolesOfAcme, `{"name":`+quoted(w, name)+`,"permissions":[]}`, []int{422})
		if got := firstField(t, answered); got != "name" {
			t.Errorf("%.50q: the field is %q", name, got)
		}
	}
	for _, name := range []string{"de", "d2", "de-ployer", "de:ployer:x-2", strings.Repeat("x", 40)} {
		made := w.send("ann", "POST "+rolesOfAcme, `{"name":"`+name+`","permissions":[]}`)
		if made.status != 201 {
			t.Errorf("%s: status %d: %s", name, made.status, made.body)
			continue
		}
		if shown := w.send("ann", "GET "+made.header.Get("Location"), ""); shown.body != made.body || shown.header.Get("ETag") != made.header.Get("ETag") {
			t.Errorf("%s: made %s, shown %s", name, made.body, shown.body)
		}
	}
}

// A role that is changed is another one at the next request of whoever has it, and
// one that is deleted is nobody's.
func TestRolesChangeAtOnce(t *testing.T) {
	w := newWorld(t)
	opens := func(want int, when string) {
		t.Helper()
		if got := w.send("mia", "GET /api/v1/organizations/acme/log", ""); got.status != want {
			t.Errorf("%s: mia gets %d, want %d: %s", when, got.status, want, got.body)
		}
	}
	hasRole("watcher", `["log.read"]`)(w)
	opens(403, "before")
	gets("mia", "watcher")(w)
	opens(200, "with the role")
	does("ann", "PATCH "+rolesOfAcme+"/watcher", `{"permissions":["engines.read"]}`)(w)
	opens(403, "with less in it")
	does("ann", "PATCH "+rolesOfAcme+"/watcher", `{"permissions":["engines.read","log.read"]}`)(w)
	opens(200, "with more in it")
	gets("mia", "member")(w)
	opens(403, "without it")
}
