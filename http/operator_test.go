package http

import "testing"

func TestOperators(t *testing.T) {
	named := does("ann", "POST /api/v1/operators", `{"email":"Bob@acme.test"}`)
	run(t, "operator", map[string]scenario{
		"listed": {given: named, send: "GET /api/v1/operators", status: 200},
		"somebody known is named": {
			send: "POST /api/v1/operators", body: `{"email":"mia@acme.test"}`, status: 201, then: []string{"operator.named"},
		},
		"somebody new is named": {
			send: "POST /api/v1/operators", body: `{"email":"Olga@ops.test"}`, status: 201, then: []string{"account.registered", "operator.named"},
		},
		"named twice is named once": {
			given: named, send: "POST /api/v1/operators", body: `{"email":"bob@acme.test"}`, status: 201,
		},
		"an e-mail that is none": {send: "POST /api/v1/operators", body: `{"email":"zed"}`, status: 422},
		"dismissed": {
			given: named, send: "DELETE /api/v1/operators/{bob}", status: 204, then: []string{"operator.dismissed"},
		},
		"one who was named dismisses who has named them": {
			given: named, as: "bob", send: "DELETE /api/v1/operators/{ann}", status: 204, then: []string{"operator.dismissed"},
		},
		"the last one stays":        {send: "DELETE /api/v1/operators/{ann}", status: 409},
		"one who is none":           {send: "DELETE /api/v1/operators/{zed}", status: 404},
		"a number that nobody has":  {send: "DELETE /api/v1/operators/999", status: 404},
		"an id that is no number":   {send: "DELETE /api/v1/operators/ann", status: 404},
		"others list nobody":        {as: "bob", send: "GET /api/v1/operators", status: 403},
		"others name nobody":        {as: "zed", send: "POST /api/v1/operators", body: `{"email":"zed@globex.test"}`, status: 403},
		"others dismiss nobody":     {as: "zed", send: "DELETE /api/v1/operators/{ann}", status: 403},
		"whoever is one is told so": {given: named, as: "bob", send: "GET /api/v1/whoami", status: 200},
		"one whose token is of another organization is none with it": {
			given: does("ann", "POST /api/v1/operators", `{"email":"zed@globex.test"}`),
			as:    "zed", send: "POST /api/v1/organizations", body: `{"alias":"initech","name":"Initech"}`, status: 403,
		},
		"a dismissed one makes no organization": {
			given: all(named, does("bob", "DELETE /api/v1/operators/{ann}", "")),
			send:  "POST /api/v1/organizations", body: `{"alias":"initech","name":"Initech"}`, status: 403,
		},
	})
}
