package http

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestPermissions(t *testing.T) {
	defined, retired := []string{"permission.defined"}, []string{"permission.retired"}
	clones := hasPermission("clones.create", "write")
	run(t, "permission", map[string]scenario{
		"listed":                    {given: does("ann", "POST "+permissionsOfAcme, `{"name":"clones.create","group":"clones","access":"write","administrative":true,"resource_type":"engine","description":"make clones"}`), as: "mia", send: "GET " + permissionsOfAcme, status: 200},
		"not listed for programs":   {as: "robot", send: "GET " + permissionsOfAcme, status: 403},
		"defined":                   {as: "bob", send: "POST " + permissionsOfAcme, body: `{"name":"clones.create","group":"clones","access":"write","administrative":true,"resource_type":"engine","description":"make clones"}`, status: 201, then: defined},
		"defined in short":          {as: "bob", send: "POST " + permissionsOfAcme, body: `{"name":"clones.see","group":"clones","access":"read"}`, status: 201, then: defined},
		"a member defines none":     {as: "mia", send: "POST " + permissionsOfAcme, body: `{"name":"clones.see","group":"clones","access":"read"}`, status: 403},
		"an auditor defines none":   {as: "ada", send: "POST " + permissionsOfAcme, body: `{"name":"clones.see","group":"clones","access":"read"}`, status: 403},
		"a name that is taken":      {given: clones, send: "POST " + permissionsOfAcme, body: `{"name":"clones.create","group":"other","access":"read"}`, status: 409},
		"a name of the service":     {send: "POST " + permissionsOfAcme, body: `{"name":"tokens.check","group":"tokens","access":"read"}`, status: 409},
		"a name that is free again": {given: all(clones, does("ann", "DELETE "+permissionsOfAcme+"/clones.create", "")), send: "POST " + permissionsOfAcme, body: `{"name":"clones.create","group":"clones","access":"read"}`, status: 201, then: defined},
		"neither read nor write":    {send: "POST " + permissionsOfAcme, body: `{"name":"clones.see","group":"clones","access":"admin"}`, status: 422},
		"without a mark":            {send: "POST " + permissionsOfAcme, body: `{"name":"clones.see","group":"clones"}`, status: 422},
		"without a group":           {send: "POST " + permissionsOfAcme, body: `{"name":"clones.see","access":"read"}`, status: 422},
		"own is not sent":           {send: "POST " + permissionsOfAcme, body: `{"name":"clones.see","group":"clones","access":"read","own":true}`, status: 422},
		"retired":                   {given: clones, as: "bob", send: "DELETE " + permissionsOfAcme + "/clones.create", status: 204, then: retired},
		"retired twice":             {given: all(clones, does("ann", "DELETE "+permissionsOfAcme+"/clones.create", "")), send: "DELETE " + permissionsOfAcme + "/clones.create", status: 404},
		"a member retires none":     {given: clones, as: "mia", send: "DELETE " + permissionsOfAcme + "/clones.create", status: 403},
		"one of the service stays":  {send: "DELETE " + permissionsOfAcme + "/tokens.check", status: 409},
		"one that there is not":     {send: "DELETE " + permissionsOfAcme + "/clones.paint", status: 404},
		"another organization's":    {given: clones, as: "zed", send: "DELETE /api/v1/organizations/globex/permissions/clones.create", status: 404},
		"is not shown there":        {given: clones, as: "zed", send: "GET /api/v1/organizations/globex/permissions", status: 200},
		"nor is it in roles there":  {given: clones, as: "zed", send: "POST /api/v1/organizations/globex/roles", body: `{"name":"cloner","permissions":["clones.create"]}`, status: 422},
	})
}

func TestBadPermissions(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct{ field, good string }{{"name", "clones.see"}, {"group", "clones"}, {"resource_type", "engine"}} {
		for _, bad := range []string{
			" ", "Clones", "clones see", ".clones", "clones.", "clones..see", "clones/see", "clönes", "clones\n", "clones\x00", "*", "clones.*", strings.Repeat("x", 101), strings.Repeat("x", 10_000),
		} {
			body := map[string]any{"name": "clones.see", "group": "clones", "access": "read", "resource_type": "engine", c.field: bad}
			text, err := json.Marshal(body)
			w.must(err)
			answered := w.refused("ann", "POST "+permissionsOfAcme, string(text), []int{422})
			if got := firstField(t, answered); got != c.field || len(bad) > 50 && strings.Contains(answered.body, bad) {
				t.Errorf("%s %.50q: the field is %q: %.200s", c.field, bad, got, answered.body)
			}
		}
	}
}

// A permission is in roles that have all of its kind as soon as it is defined, and
// in none once it is retired; one of the same name is another one.
func TestPermissionsComeAndGo(t *testing.T) {
	w := newWorld(t)
	who := func(permission string) (roles []string) {
		for _, role := range w.send("ann", "GET "+rolesOfAcme, "").object(t)["items"].([]any) {
			if role := role.(map[string]any); slices.Contains(listed(role["permissions"]), permission) {
				roles = append(roles, role["name"].(string))
			}
		}
		return roles
	}
	for access, want := range map[string]string{
		`"read"`:                        "[auditor member admin owner admin:write admin:read general:write general:read ci]",
		`"write"`:                       "[member admin owner admin:write general:write ci]",
		`"read","administrative":true`:  "[auditor admin owner admin:write admin:read]",
		`"write","administrative":true`: "[admin owner admin:write]",
	} {
		does("ann", "POST "+permissionsOfAcme, `{"name":"clones.do","group":"clones","access":`+access+`}`)(w)
		if got := fmt.Sprint(who("clones.do")); got != want {
			t.Errorf("access %s: it is in %s, want %s", access, got, want)
		}
		hasRole("doer", `["clones.do"]`)(w)
		does("ann", "DELETE "+permissionsOfAcme+"/clones.do", "")(w)
		does("ann", "POST "+permissionsOfAcme, `{"name":"clones.do","group":"clones","access":`+access+`}`)(w)
		if got := fmt.Sprint(who("clones.do")); got != want {
			t.Errorf("access %s: defined again it is in %s, want %s", access, got, want)
		}
		does("ann", "DELETE "+permissionsOfAcme+"/clones.do", "")(w)
		does("ann", "DELETE "+rolesOfAcme+"/doer", "")(w)
		if got := who("clones.do"); got != nil {
			t.Errorf("access %s: retired it is in %v", access, got)
		}
	}
}
