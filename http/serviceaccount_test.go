package http

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

const accountsOfAcme = "/api/v1/organizations/acme/service-accounts"

// quoted is a text as JSON has it.
func quoted(w *world, text string) string {
	w.Helper()
	encoded, err := json.Marshal(text)
	w.must(err)
	return string(encoded)
}

func TestServiceAccounts(t *testing.T) {
	made := []string{"service_account.created"}
	builder := hasServiceAccount("builder")
	adder := all(hasRole("adder", `["members.read","members.add","members.update","engines.read"]`), gets("mia", "adder"))
	post, one := "POST "+accountsOfAcme, accountsOfAcme+"/{builder}"
	run(t, "serviceaccount", map[string]scenario{
		"made":                         {as: "bob", send: post, body: `{"name":"Builder of things","description":"builds","grant":{"access":"role","role":"ci"}}`, status: 201, then: made},
		"read only":                    {as: "bob", send: post, body: `{"name":"builder","grant":{"access":"read-only"}}`, status: 201, then: made},
		"with some permissions, here":  {as: "bob", send: post, body: `{"name":"builder","grant":{"access":"custom","permissions":["engines.read","tokens.check"],"resources":["engine:prod","engine:*"]}}`, status: 201, then: made},
		"with everything":              {send: post, body: `{"name":"builder","grant":{"access":"full-access"}}`, status: 201, then: made},
		"with more than its maker may": {as: "bob", send: post, body: `{"name":"builder","grant":{"access":"full-access"}}`, status: 403},
		"with much more than they may": {given: adder, as: "mia", send: post, body: `{"name":"builder","grant":{"access":"role","role":"admin"}}`, status: 403},
		"with all that its maker may":  {given: adder, as: "mia", send: post, body: `{"name":"builder","grant":{"access":"custom","permissions":["engines.read"]}}`, status: 201, then: made},
		"a member makes none":          {as: "mia", send: post, body: `{"name":"builder","grant":{"access":"read-only"}}`, status: 403},
		"an administrative token too":  {as: "robot", send: post, body: `{"name":"builder","grant":{"access":"read-only"}}`, status: 403},
		"a name that is taken":         {given: builder, send: post, body: `{"name":"builder","grant":{"access":"read-only"}}`, status: 409},
		"a name that others have":      {given: does("zed", "POST /api/v1/organizations/globex/service-accounts", `{"name":"builder","grant":{"access":"read-only"}}`), send: post, body: `{"name":"builder","grant":{"access":"read-only"}}`, status: 201, then: made},
		"a name that is free again":    {given: all(builder, does("ann", "DELETE "+one, "")), send: post, body: `{"name":"builder","grant":{"access":"read-only"}}`, status: 201, then: made},
		"without a grant":              {send: post, body: `{"name":"builder"}`, status: 422},
		"with an empty grant":          {send: post, body: `{"name":"builder","grant":{}}`, status: 422},
		"with null as a grant":         {send: post, body: `{"name":"builder","grant":null}`, status: 422},
		"disabled is not sent":         {send: post, body: `{"name":"builder","grant":{"access":"read-only"},"disabled":true}`, status: 422},

		"listed":                    {given: all(builder, hasServiceAccount("runner")), as: "mia", send: "GET " + accountsOfAcme, status: 200},
		"listed by page":            {given: all(builder, hasServiceAccount("runner")), as: "robot", send: "GET " + accountsOfAcme + "?limit=1", status: 200},
		"none":                      {as: "ada", send: "GET " + accountsOfAcme, status: 200},
		"with a cursor for members": {send: "GET " + accountsOfAcme + "?cursor=bWVtYmVyczoy", status: 422},
		"shown":                     {given: builder, as: "ada", send: "GET " + one, status: 200},
		"made by a program": {given: func(w *world) {
			builder(w)
			does("ann", "PATCH "+one, `{"grant":{"access":"full-access"}}`)(w)
			minted := w.made("ann", "POST "+one+"/tokens", `{"name":"ci"}`)
			w.names["ci.token"], w.names["ci.secret"] = minted["id"].(string), minted["secret"].(string)
			w.names["child"] = number(w.made("ci", post, `{"name":"child","grant":{"access":"read-only"}}`)["id"])
		}, send: "GET " + accountsOfAcme + "/{child}", status: 200},
		"a number that none has":    {send: "GET " + accountsOfAcme + "/999", status: 404},
		"the number of a member":    {send: "GET " + accountsOfAcme + "/{mia}", status: 404},
		"a member it is not":        {given: builder, send: "GET /api/v1/organizations/acme/members/{builder}", status: 404},
		"an id that is no number":   {send: "GET " + accountsOfAcme + "/builder", status: 404},
		"a number as nobody writes": {given: builder, send: "GET " + accountsOfAcme + "/0{builder}", status: 404},
		"zero":                      {send: "GET " + accountsOfAcme + "/0", status: 404},
		"another organization's":    {given: builder, as: "zed", send: "GET /api/v1/organizations/globex/service-accounts/{builder}", status: 404},

		"renamed":                       {given: builder, as: "bob", send: "PATCH " + one, body: `{"name":"runner"}`, status: 200, then: []string{"service_account.renamed"}},
		"renamed in its letters":        {given: builder, as: "bob", send: "PATCH " + one, body: `{"name":"Builder"}`, status: 200, then: []string{"service_account.renamed"}},
		"renamed to what another has":   {given: all(builder, hasServiceAccount("runner")), send: "PATCH " + one, body: `{"name":"runner"}`, status: 409},
		"described":                     {given: builder, as: "bob", send: "PATCH " + one, body: `{"description":"builds"}`, status: 200, then: []string{"service_account.described"}},
		"granted":                       {given: builder, as: "bob", send: "PATCH " + one, body: `{"grant":{"access":"read-only"}}`, status: 200, then: []string{"service_account.granted"}},
		"granted what it has":           {given: builder, as: "bob", send: "PATCH " + one, body: `{"grant":{"access":"role","role":"ci"}}`, status: 200},
		"granted more than one may":     {given: builder, as: "bob", send: "PATCH " + one, body: `{"grant":{"access":"role","role":"owner"}}`, status: 403},
		"granted nothing":               {given: builder, as: "bob", send: "PATCH " + one, body: `{"grant":{}}`, status: 422},
		"limited":                       {given: builder, as: "bob", send: "PATCH " + one, body: `{"limit":{"requests":10,"window":"1m"}}`, status: 200, then: []string{"holder.limited"}},
		"limited as the organization":   {given: all(builder, does("ann", "PATCH "+one, `{"limit":{"requests":10,"window":"1m"}}`)), send: "PATCH " + one, body: `{"limit":{}}`, status: 200, then: []string{"holder.limited"}},
		"limited less than all":         {given: all(builder, demands(`{"holder_limit":{"requests":10,"window":"1m"}}`)), send: "PATCH " + one, body: `{"limit":{"requests":11,"window":"1m"}}`, status: 422},
		"disabled":                      {given: builder, as: "bob", send: "PATCH " + one, body: `{"disabled":true}`, status: 200, then: []string{"service_account.switched"}},
		"enabled":                       {given: all(builder, does("ann", "PATCH "+one, `{"disabled":true}`)), as: "bob", send: "PATCH " + one, body: `{"disabled":false}`, status: 200, then: []string{"service_account.switched"}},
		"everything":                    {given: builder, as: "bob", send: "PATCH " + one, body: bodies["PATCH /api/v1/organizations/{org}/service-accounts/{id}"], status: 200, then: []string{"service_account.renamed", "service_account.described", "service_account.granted", "holder.limited", "service_account.switched"}},
		"nothing":                       {given: builder, as: "bob", send: "PATCH " + one, body: `{}`, status: 200},
		"a member changes none":         {given: builder, as: "mia", send: "PATCH " + one, body: `{"disabled":true}`, status: 403},
		"another's is not changed":      {given: builder, as: "zed", send: "PATCH /api/v1/organizations/globex/service-accounts/{builder}", body: `{"disabled":true}`, status: 404},
		"a member is not changed here":  {send: "PATCH " + accountsOfAcme + "/{mia}", body: `{"disabled":true}`, status: 404},
		"changed after it was read":     {given: builder, send: "PATCH " + one, body: `{"disabled":true}`, headers: []string{`If-Match: "{builder}"`}, status: 200, then: []string{"service_account.switched"}},
		"changed meanwhile":             {given: all(builder, does("bob", "PATCH "+one, `{"description":"other"}`)), send: "PATCH " + one, body: `{"disabled":true}`, headers: []string{`If-Match: "{builder}"`}, status: 412},
		"changed with an ETag for none": {given: builder, send: "PATCH " + one, body: `{"disabled":true}`, headers: []string{`If-Match: {builder}`}, status: 400},

		"deleted":                        {given: builder, as: "bob", send: "DELETE " + one + "?reason=moved", status: 204, then: []string{"service_account.deleted"}},
		"deleted with its tokens":        {given: all(builder, hasTokenOf("builder", "one"), hasTokenOf("builder", "two")), as: "bob", send: "DELETE " + one, status: 204, then: []string{"service_account.deleted", "token.revoked", "token.revoked"}},
		"deleted twice":                  {given: all(builder, does("ann", "DELETE "+one, "")), send: "DELETE " + one, status: 404},
		"shown after it was deleted":     {given: all(builder, does("ann", "DELETE "+one, "")), send: "GET " + one, status: 404},
		"listed after one was deleted":   {given: all(builder, does("ann", "DELETE "+one, "")), send: "GET " + accountsOfAcme, status: 200},
		"a member deletes none":          {given: builder, as: "mia", send: "DELETE " + one, status: 403},
		"another's is not deleted":       {given: builder, as: "zed", send: "DELETE /api/v1/organizations/globex/service-accounts/{builder}", status: 404},
		"a member is not deleted here":   {send: "DELETE " + accountsOfAcme + "/{mia}", status: 404},
		"deleted meanwhile changed":      {given: all(builder, does("bob", "PATCH "+one, `{"description":"other"}`)), send: "DELETE " + one, headers: []string{`If-Match: "{builder}"`}, status: 412},
		"deleted with too long a reason": {given: builder, send: "DELETE " + one + "?reason=" + strings.Repeat("x", 1001), status: 422},
	})
}

// hasTokenOf is a token of a service account that ann has made before: {name.token}.
func hasTokenOf(account, name string) func(*world) {
	return func(w *world) {
		w.Helper()
		made := w.made("ann", "POST "+accountsOfAcme+"/{"+account+"}/tokens", `{"name":"`+name+`"}`)
		w.names[name+".token"], w.names[name+".secret"] = made["id"].(string), made["secret"].(string)
	}
}

func TestBadGrants(t *testing.T) {
	w := furnish(newWorld(t))
	many := strings.TrimSuffix(strings.Repeat(`"engine:x",`, 101), ",")
	for grant, field := range map[string]string{
		`{"access":"king"}`:               "grant.access",
		`{"access":""}`:                   "grant.access",
		`{"access":"role"}`:               "grant.role",
		`{"access":"role","role":"king"}`: "grant.role",
		`{"access":"role","role":""}`:     "grant.role",
		`{"access":"role","role":"ci","permissions":["engines.read"]}`:              "grant.permissions",
		`{"access":"read-only","role":"ci"}`:                                        "grant.role",
		`{"access":"read-only","permissions":["engines.read"]}`:                     "grant.permissions",
		`{"access":"custom"}`:                                                       "grant.permissions",
		`{"access":"custom","permissions":[]}`:                                      "grant.permissions",
		`{"access":"custom","permissions":["engines.paint"]}`:                       "grant.permissions",
		`{"access":"custom","permissions":["Engines.Read"]}`:                        "grant.permissions",
		`{"access":"custom","permissions":[""]}`:                                    "grant.permissions",
		`{"access":"custom","permissions":[null]}`:                                  "grant.permissions[0]",
		`{"access":"custom","permissions":"engines.read"}`:                          "grant.permissions",
		`{"access":"custom","permissions":["*"]}`:                                   "grant.permissions",
		`{"access":"read-only","resources":["prod"]}`:                               "grant.resources",
		`{"access":"read-only","resources":["engine:"]}`:                            "grant.resources",
		`{"access":"read-only","resources":[":prod"]}`:                              "grant.resources",
		`{"access":"read-only","resources":["*:*"]}`:                                "grant.resources",
		`{"access":"read-only","resources":["*"]}`:                                  "grant.resources",
		`{"access":"read-only","resources":["Engine:prod"]}`:                        "grant.resources",
		`{"access":"read-only","resources":["engine:a b"]}`:                         "grant.resources",
		`{"access":"read-only","resources":["engine:a\u202eb"]}`:                    "grant.resources",
		`{"access":"read-only","resources":["` + strings.Repeat("x", 300) + `:y"]}`: "grant.resources",
		`{"access":"read-only","resources":[` + many + `]}`:                         "grant.resources",
		`{"access":"read-only","scope":"x"}`:                                        "grant.scope",
		`{"Access":"read-only"}`:                                                    "grant.Access",
		`"read-only"`:                                                               "grant",
		`["read-only"]`:                                                             "grant",
	} {
		for send, body := range map[string]string{
			"POST " + accountsOfAcme:                 `{"name":"runner","grant":%s}`,
			"PATCH " + accountsOfAcme + "/{builder}": `{"grant":%s}`,
		} {
			answered := w.refused("ann", send, fmt.Sprintf(body, grant), []int{422})
			if got := firstField(t, answered); got != field {
				t.Errorf("%s %.80s: the field is %q, want %q: %s", send, grant, got, field, answered.body)
			}
		}
	}
}

func TestBadLimits(t *testing.T) {
	w := furnish(newWorld(t))
	for limit, field := range map[string]string{
		`{"requests":5}`:                                  "limit.window",
		`{"requests":5,"window":""}`:                      "limit.window",
		`{"requests":5,"window":"0s"}`:                    "limit.window",
		`{"requests":5,"window":"32d"}`:                   "limit.window",
		`{"requests":5,"window":"1x"}`:                    "limit.window",
		`{"requests":0,"window":"1x"}`:                    "limit.window",
		`{"requests":5,"window":60}`:                      "limit.window",
		`{"requests":-5,"window":"1m"}`:                   "limit.requests",
		`{"requests":1000000001,"window":"1m"}`:           "limit.requests",
		`{"requests":18446744073709551621,"window":"1m"}`: "limit.requests",
		`{"requests":"5","window":"1m"}`:                  "limit.requests",
		`{"requests":5,"per":"1m"}`:                       "limit.per",
		`5`:                                               "limit",
		`[]`:                                              "limit",
	} {
		for _, send := range []string{"PATCH " + accountsOfAcme + "/{builder}", "PATCH /api/v1/organizations/acme/members/{mia}"} {
			answered := w.refused("ann", send, `{"limit":`+limit+`}`, []int{422})
			if got := firstField(t, answered); got != field {
				t.Errorf("%s %s: the field is %q, want %q: %s", send, limit, got, field, answered.body)
			}
		}
	}
}

// What memory knows of a service account while the database is away is what the
// database says afterwards.
func TestServiceAccountsWithoutViews(t *testing.T) {
	w := furnish(newWorld(t))
	w.stopViews()
	made := w.made("bob", "POST "+accountsOfAcme, `{"name":"runner","description":"runs","grant":{"access":"role","role":"ci"}}`)
	path := accountsOfAcme + "/" + number(made["id"])
	changed := w.send("bob", "PATCH "+accountsOfAcme+"/{builder}", `{"name":"other","description":"else","disabled":true,"limit":{"requests":10,"window":"1m"}}`)
	if changed.status != 200 || changed.header.Get("Jeton-Views") != viewsBehind {
		t.Errorf("changed without the database: %d, Jeton-Views %q: %s", changed.status, changed.header.Get("Jeton-Views"), changed.body)
	}
	w.refused("bob", "GET "+path, "", []int{503})
	for _, send := range []string{
		"POST " + rolesOfAcme + ` {"name":"watcher","permissions":[]}`, "PATCH " + rolesOfAcme + `/deployer {"permissions":[]}`, "DELETE " + rolesOfAcme + "/deployer ",
		"POST " + permissionsOfAcme + ` {"name":"clones.see","group":"clones","access":"read"}`, "DELETE " + permissionsOfAcme + "/clones.create ",
		"PATCH " + policyOfAcme + ` {"kinds":{"administrative":{"longest_life":"90d"}}}`,
	} {
		method, rest, _ := strings.Cut(send, " ")
		target, body, _ := strings.Cut(rest, " ")
		if got := w.send("bob", method+" "+target, body); got.status/100 != 2 || got.header.Get("Jeton-Views") != viewsBehind {
			t.Errorf("%s without the database: %d, Jeton-Views %q: %s", send, got.status, got.header.Get("Jeton-Views"), got.body)
		}
	}
	w.startViews()
	w.catchUp()
	for path, said := range map[string]map[string]any{path: made, accountsOfAcme + "/{builder}": changed.object(t)} {
		now := w.send("ann", "GET "+path, "").object(t)
		for field, value := range said {
			if got, want := text(now[field]), text(value); got != want {
				t.Errorf("%s: %s was %s without the database and is %s with it", path, field, want, got)
			}
		}
	}
}

// What a service account may do is what its tokens may do, at the next request.
func TestTokensFollowTheirServiceAccount(t *testing.T) {
	w := newWorld(t)
	all(hasServiceAccount("builder"), hasTokenOf("builder", "ci"))(w)
	opens := func(whoami, roles int, when string) {
		t.Helper()
		if got := w.send("ci", "GET /api/v1/whoami", ""); got.status != whoami {
			t.Errorf("%s: whoami answers %d, want %d", when, got.status, whoami)
		}
		if got := w.send("ci", "GET "+rolesOfAcme, ""); got.status != roles {
			t.Errorf("%s: roles answer %d, want %d", when, got.status, roles)
		}
	}
	change := func(body string) { t.Helper(); does("ann", "PATCH "+accountsOfAcme+"/{builder}", body)(w) }
	opens(200, 403, "at first")
	change(`{"grant":{"access":"role","role":"schema-only"}}`)
	opens(200, 200, "with another grant")
	change(`{"disabled":true}`)
	opens(401, 401, "disabled")
	change(`{"disabled":false}`)
	opens(200, 200, "enabled")
	change(`{"limit":{"requests":1,"window":"1m"}}`)
	opens(200, 429, "limited")
	does("ann", "DELETE "+accountsOfAcme+"/{builder}", "")(w)
	opens(401, 401, "deleted")
}

// What was made, and is gone when its request is sent again, is not made again.
func TestSentAgainForWhatIsGone(t *testing.T) {
	for send, body := range map[string]string{
		"POST " + accountsOfAcme:    `{"name":"runner","grant":{"access":"read-only"}}`,
		"POST " + rolesOfAcme:       `{"name":"runner","permissions":[]}`,
		"POST " + permissionsOfAcme: `{"name":"clones.see","group":"clones","access":"read"}`,
	} {
		w := newWorld(t)
		made := w.send("ann", send, body, key)
		if made.status != 201 {
			t.Fatalf("%s: %d: %s", send, made.status, made.body)
		}
		does("ann", "DELETE "+made.header.Get("Location"), "")(w)
		w.refused("ann", send, body, []int{404}, key)
	}
}
