package http

import (
	"strings"
	"testing"
)

func TestOrganizations(t *testing.T) {
	run(t, "organization", map[string]scenario{
		"an operator makes one for somebody new": {
			send:   "POST /api/v1/organizations",
			body:   `{"alias":"initech","name":"Initech","owner_email":"Bill@initech.test"}`,
			status: 201,
			then:   []string{"account.registered", "organization.created", "member.added", "token.issued"},
		},
		"an operator makes one for somebody known, in whatever case": {
			send:   "POST /api/v1/organizations",
			body:   `{"alias":"initech","name":"Initech","owner_email":"ANN@acme.test"}`,
			status: 201,
			then:   []string{"organization.created", "member.added", "token.issued"},
		},
		"an operator makes one for themself": {
			send:   "POST /api/v1/organizations",
			body:   `{"alias":"initech","name":"Initech"}`,
			status: 201,
			then:   []string{"organization.created", "member.added", "token.issued"},
		},
		"an owner who is no operator makes none": {
			as: "zed", send: "POST /api/v1/organizations", body: `{"alias":"initech","name":"Initech"}`, status: 403,
		},
		"an administrative token makes none": {
			as: "robot", send: "POST /api/v1/organizations", body: `{"alias":"initech","name":"Initech"}`, status: 403,
		},
		"a taken alias": {
			send: "POST /api/v1/organizations", body: `{"alias":"globex","name":"Globex again"}`, status: 409,
		},
		"an alias that is none": {
			send: "POST /api/v1/organizations", body: `{"alias":"Not An Alias","name":"x"}`, status: 422,
		},
		"an alias that is a number": {
			send: "POST /api/v1/organizations", body: `{"alias":"42","name":"x"}`, status: 422,
		},
		"an owner whose e-mail is none": {
			send: "POST /api/v1/organizations", body: `{"alias":"initech","name":"Initech","owner_email":"bill"}`, status: 422,
		},
		"an operator lists all":             {send: "GET /api/v1/organizations", status: 200},
		"an operator lists a page":          {send: "GET /api/v1/organizations?limit=1", status: 200},
		"others list their own":             {as: "zoe", send: "GET /api/v1/organizations", status: 200},
		"an administrative token lists its": {as: "droid", send: "GET /api/v1/organizations", status: 200},
		"shown by alias":                    {as: "mia", send: "GET /api/v1/organizations/acme", status: 200},
		"shown by number":                   {as: "robot", send: "GET /api/v1/organizations/{acme}", status: 200},
		"a number is written in one way":    {send: "GET /api/v1/organizations/01", status: 404},
		"an operator's token opens nothing elsewhere": {
			send: "GET /api/v1/organizations/globex", status: 404,
		},
		"renamed": {
			as: "bob", send: "PATCH /api/v1/organizations/acme", body: `{"name":"Acme Ltd"}`, status: 200,
			then: []string{"organization.renamed"},
		},
		"renamed as it was read": {
			send: "PATCH /api/v1/organizations/acme", body: `{"name":"Acme Ltd"}`, headers: []string{`If-Match: "1"`}, status: 200,
			then: []string{"organization.renamed"},
		},
		"renamed to its own name": {
			send: "PATCH /api/v1/organizations/acme", body: `{"name":"Acme Inc"}`, status: 200,
		},
		"renamed meanwhile": {
			given: does("bob", "PATCH /api/v1/organizations/acme", `{"name":"Acme Ltd"}`),
			send:  "PATCH /api/v1/organizations/acme", body: `{"name":"Acme GmbH"}`, headers: []string{`If-Match: "1"`}, status: 412,
		},
		"a member may not rename": {
			as: "mia", send: "PATCH /api/v1/organizations/acme", body: `{"name":"Mine"}`, status: 403,
		},
		"who I am":                            {as: "mia", send: "GET /api/v1/whoami", status: 200},
		"who an administrative token is":      {as: "robot", send: "GET /api/v1/whoami", status: 200},
		"a stranger is nobody":                {as: stranger, send: "GET /api/v1/whoami", status: 401},
		"a new owner's token opens their own": {as: "zed", send: "GET /api/v1/organizations/globex", status: 200},
	})
}

// The token that comes with an organization opens that and no other.
func TestOrganizationOfTheOwner(t *testing.T) {
	w := newWorld(t)
	for path, status := range map[string]int{"globex": 200, "{globex}": 200, "acme": 404, "{acme}": 404} {
		if got := w.send("zed", "GET /api/v1/organizations/"+path, ""); got.status != status {
			t.Errorf("zed reads %s: status %d, want %d", path, got.status, status)
		}
	}
}

// pages follows a list to its end by cursor and answers all items, and by the
// Link header as well.
func pages(t *testing.T, w *world, as, path string) (items []any) {
	t.Helper()
	for next := path; next != ""; {
		answered := w.send(as, "GET "+next, "")
		if answered.status != 200 {
			t.Fatalf("%s: status %d: %s", next, answered.status, answered.body)
		}
		page := answered.object(t)
		items = append(items, page["items"].([]any)...)
		link, _, linked := strings.Cut(strings.TrimPrefix(answered.header.Get("Link"), "<"), ">")
		if _, more := page["next"]; more != linked {
			t.Fatalf("%s: next is there: %t, and Link: %t", next, more, linked)
		}
		next = link
	}
	return items
}
