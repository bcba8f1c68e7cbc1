package http

import "testing"

func TestMembers(t *testing.T) {
	run(t, "member", map[string]scenario{
		"an admin adds somebody new": {
			as: "bob", send: "POST /api/v1/organizations/acme/members", body: `{"email":"Max@acme.test","role":"member"}`, status: 201,
			then: []string{"account.registered", "member.added", "token.issued"},
		},
		"somebody with an account": {
			as: "bob", send: "POST /api/v1/organizations/acme/members", body: `{"email":"ZOE@globex.test","role":"auditor"}`, status: 201,
			then: []string{"member.added", "token.issued"},
		},
		"with a token that ends soon": {
			send: "POST /api/v1/organizations/acme/members", body: `{"email":"max@acme.test","role":"member","expires_in":"12h"}`, status: 201,
			then: []string{"account.registered", "member.added", "token.issued"},
		},
		"with a token that never ends": {
			send: "POST /api/v1/organizations/acme/members", body: `{"email":"max@acme.test","role":"member","expires_in":"never"}`, status: 422,
		},
		"a member twice": {
			send: "POST /api/v1/organizations/acme/members", body: `{"email":"MIA@acme.test","role":"admin"}`, status: 409,
		},
		"an admin makes no owner, and no account": {
			as: "bob", send: "POST /api/v1/organizations/acme/members", body: `{"email":"max@acme.test","role":"owner"}`, status: 403,
		},
		"an owner makes an owner": {
			send: "POST /api/v1/organizations/acme/members", body: `{"email":"max@acme.test","role":"owner"}`, status: 201,
			then: []string{"account.registered", "member.added", "token.issued"},
		},
		"no role": {
			send: "POST /api/v1/organizations/acme/members", body: `{"email":"max@acme.test"}`, status: 422,
		},
		"a role that is none": {
			send: "POST /api/v1/organizations/acme/members", body: `{"email":"max@acme.test","role":"king"}`, status: 422,
		},
		"an e-mail that is none": {
			send: "POST /api/v1/organizations/acme/members", body: `{"email":"Max <max@acme.test>","role":"member"}`, status: 422,
		},
		"a member adds nobody": {
			as: "mia", send: "POST /api/v1/organizations/acme/members", body: `{"email":"max@acme.test","role":"member"}`, status: 403,
		},
		"listed":         {as: "mia", send: "GET /api/v1/organizations/acme/members", status: 200},
		"listed by page": {as: "robot", send: "GET /api/v1/organizations/acme/members?limit=3", status: 200},
		"shown":          {as: "ada", send: "GET /api/v1/organizations/acme/members/{mia}", status: 200},
		"promoted": {
			as: "bob", send: "PATCH /api/v1/organizations/acme/members/{mia}", body: `{"role":"admin"}`, status: 200,
			then: []string{"member.role_changed"},
		},
		"suspended with a reason": {
			as: "bob", send: "PATCH /api/v1/organizations/acme/members/{mia}", body: `{"suspended":true,"reason":"on leave"}`, status: 200,
			then: []string{"member.suspended"},
		},
		"reinstated": {
			given: does("bob", "PATCH /api/v1/organizations/acme/members/{mia}", `{"suspended":true,"reason":"on leave"}`),
			as:    "bob", send: "PATCH /api/v1/organizations/acme/members/{mia}", body: `{"suspended":false}`, status: 200,
			then: []string{"member.reinstated"},
		},
		"role and suspension at once": {
			send: "PATCH /api/v1/organizations/acme/members/{bob}", body: `{"role":"member","suspended":true}`, status: 200,
			then: []string{"member.role_changed", "member.suspended"},
		},
		"nothing to change": {
			send: "PATCH /api/v1/organizations/acme/members/{mia}", body: `{}`, status: 200,
		},
		"changed meanwhile": {
			given: does("bob", "PATCH /api/v1/organizations/acme/members/{mia}", `{"role":"auditor"}`),
			send:  "PATCH /api/v1/organizations/acme/members/{mia}", body: `{"role":"admin"}`, headers: []string{`If-Match: "5"`}, status: 412,
		},
		"an admin leaves owners alone": {
			as: "bob", send: "PATCH /api/v1/organizations/acme/members/{ann}", body: `{"suspended":true}`, status: 403,
		},
		"the last owner stays": {
			send: "PATCH /api/v1/organizations/acme/members/{ann}", body: `{"role":"member"}`, status: 409,
		},
		"limited": {
			as: "bob", send: "PATCH /api/v1/organizations/acme/members/{mia}", body: `{"limit":{"requests":100,"window":"1m"}}`, status: 200,
			then: []string{"holder.limited"},
		},
		"limited as before": {
			given: does("bob", "PATCH /api/v1/organizations/acme/members/{mia}", `{"limit":{"requests":100,"window":"1m"}}`),
			as:    "bob", send: "PATCH /api/v1/organizations/acme/members/{mia}", body: `{"limit":{"requests":100,"window":"60s"}}`, status: 200,
		},
		"limited as the organization has it": {
			given: does("bob", "PATCH /api/v1/organizations/acme/members/{mia}", `{"limit":{"requests":100,"window":"1m"}}`),
			as:    "bob", send: "PATCH /api/v1/organizations/acme/members/{mia}", body: `{"limit":{}}`, status: 200,
			then: []string{"holder.limited"},
		},
		"limited to nothing, which is no limit": {
			given: does("bob", "PATCH /api/v1/organizations/acme/members/{mia}", `{"limit":{"requests":100,"window":"1m"}}`),
			as:    "bob", send: "PATCH /api/v1/organizations/acme/members/{mia}", body: `{"limit":{"requests":0,"window":"1m"}}`, status: 200,
			then: []string{"holder.limited"},
		},
		"limited less than all are": {
			given: demands(`{"holder_limit":{"requests":100,"window":"1m"}}`),
			send:  "PATCH /api/v1/organizations/acme/members/{mia}", body: `{"limit":{"requests":101,"window":"1m"}}`, status: 422,
		},
		"a limit shown": {
			given: does("bob", "PATCH /api/v1/organizations/acme/members/{mia}", `{"limit":{"requests":100,"window":"36h"}}`),
			as:    "mia", send: "GET /api/v1/organizations/acme/members/{mia}", status: 200,
		},
		"added with a role of the organization's own": {
			given: hasRole("deployer", `["engines.read"]`),
			as:    "bob", send: "POST /api/v1/organizations/acme/members", body: `{"email":"max@acme.test","role":"deployer"}`, status: 201,
			then: []string{"account.registered", "member.added", "token.issued"},
		},
		"given a role of the organization's own": {
			given: hasRole("deployer", `["engines.read"]`),
			as:    "bob", send: "PATCH /api/v1/organizations/acme/members/{mia}", body: `{"role":"deployer"}`, status: 200,
			then: []string{"member.role_changed"},
		},
		"given a role that is none": {
			send: "PATCH /api/v1/organizations/acme/members/{mia}", body: `{"role":"king"}`, status: 422,
		},
		"added with a role that allows more than who adds them may": {
			given: all(hasRole("adder", `["members.add"]`), gets("ada", "adder")),
			as:    "ada", send: "POST /api/v1/organizations/acme/members", body: `{"email":"max@acme.test","role":"admin"}`, status: 403,
		},
		"removed, with all their tokens": {
			given: hasToken("mia", "laptop", "personal"),
			as:    "bob", send: "DELETE /api/v1/organizations/acme/members/{mia}?reason=left", status: 204,
			then: []string{"member.removed", "token.revoked", "token.revoked"},
		},
		"everybody may leave": {
			as: "ada", send: "DELETE /api/v1/organizations/acme/members/{ada}", status: 204,
			then: []string{"member.removed", "token.revoked"},
		},
		"but not make others leave": {
			as: "ada", send: "DELETE /api/v1/organizations/acme/members/{mia}", status: 403,
		},
		"the last owner can't leave": {
			send: "DELETE /api/v1/organizations/acme/members/{ann}", status: 409,
		},
		"removed meanwhile changed": {
			given: does("bob", "PATCH /api/v1/organizations/acme/members/{mia}", `{"role":"auditor"}`),
			send:  "DELETE /api/v1/organizations/acme/members/{mia}", headers: []string{`If-Match: "5"`}, status: 412,
		},
		"somebody of another organization": {
			send: "GET /api/v1/organizations/acme/members/{zoe}", status: 404,
		},
		"a number that nobody has":      {send: "GET /api/v1/organizations/acme/members/999", status: 404},
		"an id that is no number":       {send: "GET /api/v1/organizations/acme/members/mia", status: 404},
		"a number as nobody writes it":  {send: "GET /api/v1/organizations/acme/members/+1", status: 404},
		"a number that has no end":      {send: "GET /api/v1/organizations/acme/members/99999999999999999999999", status: 404},
		"removing whom nobody has seen": {as: "mia", send: "DELETE /api/v1/organizations/acme/members/{zoe}", status: 404},
	})
}

// What a member holds ends with their membership, at once, and is theirs again
// after a suspension.
func TestTokensFollowTheirHolder(t *testing.T) {
	w := newWorld(t)
	opens := func(want int, when string) {
		t.Helper()
		if got := w.send("mia", "GET /api/v1/whoami", ""); got.status != want {
			t.Errorf("%s: mia's token gets %d, want %d", when, got.status, want)
		}
	}
	opens(200, "before")
	does("bob", "PATCH /api/v1/organizations/acme/members/{mia}", `{"suspended":true}`)(w)
	opens(401, "suspended")
	does("bob", "PATCH /api/v1/organizations/acme/members/{mia}", `{"suspended":false}`)(w)
	opens(200, "reinstated")
	does("bob", "DELETE /api/v1/organizations/acme/members/{mia}", "")(w)
	opens(401, "removed")
}
