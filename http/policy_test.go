package http

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"jeton/domain"
)

const policyOfAcme = "/api/v1/organizations/acme/policy"

// demands is a policy that somebody has set before.
func demands(body string) func(*world) { return does("ann", "PATCH "+policyOfAcme, body) }

var switchedOff = demands(`{"tokens_enabled":false}`)

// mayUpdatePolicy gives mia a role that may change the policy and nothing else.
var mayUpdatePolicy = all(
	does("ann", "POST /api/v1/organizations/acme/roles", `{"name":"settler","permissions":["policy.read","policy.update"]}`),
	does("ann", "PATCH /api/v1/organizations/acme/members/{mia}", `{"role":"settler"}`),
)

// hasBrief is a token of ann's that ends in a month: {brief.token}.
var hasBrief = func(w *world) {
	w.Helper()
	made := w.made("ann", "POST /api/v1/organizations/acme/tokens", `{"name":"brief","kind":"personal","expires_in":"30d"}`)
	w.names["brief.token"], w.names["brief.secret"] = made["id"].(string), made["secret"].(string)
}

func TestPolicy(t *testing.T) {
	const quarter = `{"kinds":{"administrative":{"longest_life":"90d"}}}`
	changed := []string{"policy.changed"}
	run(t, "policy", map[string]scenario{
		"as it is at the beginning":              {as: "ada", send: "GET " + policyOfAcme, status: 200},
		"shown to members":                       {as: "mia", send: "GET " + policyOfAcme, status: 200},
		"not to a token that may not see it":     {as: "robot", send: "GET " + policyOfAcme, status: 403},
		"shown after a change":                   {given: demands(bodies["PATCH /api/v1/organizations/{org}/policy"]), send: "GET " + policyOfAcme, status: 200},
		"a member changes nothing":               {as: "mia", send: "PATCH " + policyOfAcme, body: `{"reuse":"revoke"}`, status: 403},
		"an auditor changes nothing":             {as: "ada", send: "PATCH " + policyOfAcme, body: `{"reuse":"revoke"}`, status: 403},
		"an administrative token does not, too":  {as: "robot", send: "PATCH " + policyOfAcme, body: `{"reuse":"revoke"}`, status: 403},
		"one thing":                              {as: "bob", send: "PATCH " + policyOfAcme, body: `{"longest_overlap":"1h30m"}`, status: 200, then: changed},
		"everything":                             {send: "PATCH " + policyOfAcme, body: bodies["PATCH /api/v1/organizations/{org}/policy"], status: 200, then: changed},
		"nothing":                                {send: "PATCH " + policyOfAcme, body: `{}`, status: 200},
		"what it is already":                     {send: "PATCH " + policyOfAcme, body: `{"reuse":"report","approval":{"lapse":"7d","kinds":[]},"networks":[],"kinds":{"personal":{"per_holder":5}}}`, status: 200},
		"null where there is nothing to be none": {send: "PATCH " + policyOfAcme, body: `{"reuse":null,"networks":null,"kinds":null,"tokens_enabled":null}`, status: 200},
		"no overlap":                             {send: "PATCH " + policyOfAcme, body: `{"longest_overlap":""}`, status: 200, then: changed},
		"the usual lapse again":                  {given: demands(`{"approval":{"lapse":"1d"}}`), send: "PATCH " + policyOfAcme, body: `{"approval":{"lapse":""}}`, status: 200, then: changed},
		"one field of a kind":                    {given: demands(`{"kinds":{"personal":{"default_life":"30d","creators":["owner"]}}}`), send: "PATCH " + policyOfAcme, body: `{"kinds":{"personal":{"default_life":""}}}`, status: 200, then: changed},

		"a limit":              {send: "PATCH " + policyOfAcme, body: `{"token_limit":{"requests":100,"window":"1m"}}`, status: 200, then: changed},
		"another limit":        {given: demands(`{"token_limit":{"requests":100,"window":"1m"}}`), send: "PATCH " + policyOfAcme, body: `{"token_limit":{"requests":50,"window":"1h"}}`, status: 200, then: changed},
		"half of a limit":      {given: demands(`{"token_limit":{"requests":100,"window":"1m"}}`), send: "PATCH " + policyOfAcme, body: `{"token_limit":{"requests":50}}`, status: 422},
		"no limit any more":    {given: demands(`{"token_limit":{"requests":100,"window":"1m"}}`), send: "PATCH " + policyOfAcme, body: `{"token_limit":null}`, status: 200, then: changed},
		"an empty limit":       {given: demands(`{"holder_limit":{"requests":100,"window":"1m"}}`), send: "PATCH " + policyOfAcme, body: `{"holder_limit":{}}`, status: 200, then: changed},
		"a limit of nothing":   {given: demands(`{"holder_limit":{"requests":100,"window":"1m"}}`), send: "PATCH " + policyOfAcme, body: `{"holder_limit":{"requests":0,"window":"1m"}}`, status: 200, then: changed},
		"a date":               {send: "PATCH " + policyOfAcme, body: `{"kinds":{"service":{"latest_expiry":"2027-06-30T14:00:00+02:00"}}}`, status: 200, then: changed},
		"no date any more":     {given: demands(`{"kinds":{"service":{"latest_expiry":"2027-06-30T14:00:00+02:00"}}}`), send: "PATCH " + policyOfAcme, body: `{"kinds":{"service":{"latest_expiry":null}}}`, status: 200, then: changed},
		"a role of its own":    {given: does("ann", "POST /api/v1/organizations/acme/roles", `{"name":"deployer","permissions":[]}`), send: "PATCH " + policyOfAcme, body: `{"kinds":{"service":{"creators":["deployer","admin"]}},"approval":{"grants":["deployer"]}}`, status: 200, then: changed},
		"presets are not sent": {send: "PATCH " + policyOfAcme, body: `{"kinds":{"personal":{"presets":["1d"]}}}`, status: 422},
		"nor is the version":   {send: "PATCH " + policyOfAcme, body: `{"version":7}`, status: 422},

		"switched off": {send: "PATCH " + policyOfAcme, body: `{"tokens_enabled":false}`, status: 200, then: changed},
		"switched off by somebody with a role for it": {given: mayUpdatePolicy, as: "mia", send: "PATCH " + policyOfAcme, body: `{"tokens_enabled":false}`, status: 200, then: changed},
		"shown while off":                    {given: switchedOff, as: "ada", send: "GET " + policyOfAcme, status: 200},
		"while off nothing else is":          {given: switchedOff, send: "GET /api/v1/organizations/acme", status: 401},
		"while off no administrative token":  {given: switchedOff, as: "robot", send: "GET " + policyOfAcme, status: 403},
		"while off a member changes nothing": {given: switchedOff, as: "mia", send: "PATCH " + policyOfAcme, body: `{"tokens_enabled":true}`, status: 403},
		"while off nobody suspended":         {given: all(does("ann", "PATCH /api/v1/organizations/acme/members/{bob}", `{"suspended":true}`), switchedOff), as: "bob", send: "PATCH " + policyOfAcme, body: `{"tokens_enabled":true}`, status: 403},
		"while off it can be changed":        {given: switchedOff, as: "bob", send: "PATCH " + policyOfAcme, body: `{"reuse":"revoke"}`, status: 200, then: changed},
		"switched on again":                  {given: switchedOff, as: "bob", send: "PATCH " + policyOfAcme, body: `{"tokens_enabled":true}`, status: 200, then: changed},
		"switched on by a neighbour":         {given: switchedOff, as: "zed", send: "PATCH " + policyOfAcme, body: `{"tokens_enabled":true}`, status: 404},
		"a neighbour that is switched off itself": {
			given: does("zed", "PATCH /api/v1/organizations/globex/policy", `{"tokens_enabled":false}`),
			as:    "zed", send: "GET " + policyOfAcme, status: 404,
		},
		"a neighbour that is switched off itself, by no name": {
			given: does("zed", "PATCH /api/v1/organizations/globex/policy", `{"tokens_enabled":false}`),
			as:    "zed", send: "GET /api/v1/organizations/nowhere/policy", status: 404,
		},
		"dry runs while off": {given: switchedOff, as: "bob", send: "PATCH " + policyOfAcme + "?dry_run=true", body: quarter, status: 200},

		"what blocks":                             {send: "PATCH " + policyOfAcme, body: quarter, status: 200, then: changed},
		"what would block":                        {send: "PATCH " + policyOfAcme + "?dry_run=true", body: quarter, status: 200},
		"what would block people":                 {given: hasBrief, as: "brief", send: "PATCH " + policyOfAcme + "?dry_run=true", body: `{"kinds":{"personal":{"longest_life":"90d"}}}`, status: 200},
		"what would block who has not used it":    {given: all(hasToken("bob", "deploy", "administrative"), passes(100*24*time.Hour)), send: "PATCH " + policyOfAcme + "?dry_run=true", body: `{"idle_expiry":"90d"}`, status: 200},
		"what would block nobody":                 {send: "PATCH " + policyOfAcme + "?dry_run=true", body: `{"kinds":{"administrative":{"longest_life":"1y"}}}`, status: 200},
		"what is blocked already is not again":    {given: demands(quarter), send: "PATCH " + policyOfAcme + "?dry_run=true", body: `{"kinds":{"administrative":{"longest_life":"30d"}}}`, status: 200},
		"what would open again":                   {given: demands(quarter), send: "PATCH " + policyOfAcme + "?dry_run=true", body: `{"kinds":{"administrative":{"longest_life":""}}}`, status: 200},
		"what would be off":                       {send: "PATCH " + policyOfAcme + "?dry_run=true", body: `{"tokens_enabled":false}`, status: 200},
		"names are for those who may see tokens":  {given: mayUpdatePolicy, as: "mia", send: "PATCH " + policyOfAcme + "?dry_run=true", body: `{"tokens_enabled":false}`, status: 200},
		"a dry run of what one may not do":        {as: "mia", send: "PATCH " + policyOfAcme + "?dry_run=true", body: quarter, status: 403},
		"a dry run of what locks its sender out":  {send: "PATCH " + policyOfAcme + "?dry_run=true", body: `{"kinds":{"personal":{"longest_life":"90d"}}}`, status: 200},
		"what locks its sender out":               {send: "PATCH " + policyOfAcme, body: `{"kinds":{"personal":{"longest_life":"90d"}}}`, status: 409},
		"networks that lock their sender out":     {send: "PATCH " + policyOfAcme, body: `{"networks":["10.0.0.0/8"]}`, status: 409},
		"networks with the sender in them":        {send: "PATCH " + policyOfAcme, body: `{"networks":["10.0.0.0/8","192.0.2.0/24"]}`, status: 200, then: changed},
		"a dry run of what is wrong":              {send: "PATCH " + policyOfAcme + "?dry_run=true", body: `{"longest_overlap":"8d"}`, status: 422},
		"a dry run that is neither":               {send: "PATCH " + policyOfAcme + "?dry_run=maybe", body: quarter, status: 422},
		"a dry run that says no is a change":      {send: "PATCH " + policyOfAcme + "?dry_run=false", body: quarter, status: 200, then: changed},
		"a dry run of what has changed meanwhile": {given: demands(`{"reuse":"revoke"}`), send: "PATCH " + policyOfAcme + "?dry_run=true", body: quarter, headers: []string{`If-Match: "1"`}, status: 412},
		"a dry run of what was read":              {send: "PATCH " + policyOfAcme + "?dry_run=true", body: quarter, headers: []string{`If-Match: "1"`}, status: 200},

		"unchanged since it was read":    {send: "PATCH " + policyOfAcme, body: quarter, headers: []string{`If-Match: "1"`}, status: 200, then: changed},
		"changed meanwhile":              {given: demands(`{"reuse":"revoke"}`), send: "PATCH " + policyOfAcme, body: quarter, headers: []string{`If-Match: "1"`}, status: 412},
		"whatever it is":                 {given: demands(`{"reuse":"revoke"}`), send: "PATCH " + policyOfAcme, body: quarter, headers: []string{`If-Match: *`}, status: 200, then: changed},
		"with an ETag that it never had": {send: "PATCH " + policyOfAcme, body: quarter, headers: []string{`If-Match: "0"`}, status: 412},
		"with an ETag that is none":      {send: "PATCH " + policyOfAcme, body: quarter, headers: []string{`If-Match: 1`}, status: 400},
	})
}

// Every field refuses what is not fit for it, by the name that it has in the body.
func TestBadPolicies(t *testing.T) {
	w := newWorld(t)
	many := strings.TrimSuffix(strings.Repeat(`"10.0.0.0/8",`, 51), ",")
	for body, field := range map[string]string{
		`{"networks":["10.0.0.1/8"]}`:                                     "networks[0]",
		`{"networks":["10.0.0.0/8","192.0.2.7"]}`:                         "networks[1]",
		`{"networks":["::ffff:10.0.0.0/104"]}`:                            "networks[0]",
		`{"networks":[""]}`:                                               "networks[0]",
		`{"networks":[null]}`:                                             "networks[0]",
		`{"networks":"10.0.0.0/8"}`:                                       "networks",
		`{"networks":[` + many + `]}`:                                     "networks",
		`{"idle_expiry":"1h"}`:                                            "idle_expiry",
		`{"idle_expiry":"11y"}`:                                           "idle_expiry",
		`{"idle_expiry":"never"}`:                                         "idle_expiry",
		`{"idle_expiry":90}`:                                              "idle_expiry",
		`{"longest_overlap":"8d"}`:                                        "longest_overlap",
		`{"longest_overlap":"-1h"}`:                                       "longest_overlap",
		`{"token_limit":{"requests":5}}`:                                  "token_limit.window",
		`{"token_limit":{"requests":5,"window":"32d"}}`:                   "token_limit.window",
		`{"token_limit":{"requests":5,"window":"1.5m"}}`:                  "token_limit.window",
		`{"token_limit":{"requests":5,"window":60}}`:                      "token_limit.window",
		`{"token_limit":{"requests":2000000000,"window":"1m"}}`:           "token_limit.requests",
		`{"token_limit":{"requests":-1,"window":"1m"}}`:                   "token_limit.requests",
		`{"token_limit":{"requests":99999999999999999999,"window":"1m"}}`: "token_limit.requests",
		`{"token_limit":{"requests":1.5,"window":"1m"}}`:                  "",
		`{"token_limit":{"requests":5,"window":"1m","burst":9}}`:          "token_limit.burst",
		`{"token_limit":5}`:                                               "token_limit",
		`{"holder_limit":{"requests":5}}`:                                 "holder_limit.window",
		`{"kinds":{"personal":{"creators":["king"]}}}`:                    "kinds.personal.creators",
		`{"kinds":{"service":{"creators":[""]}}}`:                         "kinds.service.creators",
		`{"kinds":{"personal":{"creators":"owner"}}}`:                     "kinds.personal.creators",
		`{"kinds":{"administrative":{"per_holder":-1}}}`:                  "kinds.administrative.per_holder",
		`{"kinds":{"personal":{"per_holder":100001}}}`:                    "kinds.personal.per_holder",
		`{"kinds":{"personal":{"per_holder":1.5}}}`:                       "",
		`{"kinds":{"personal":{"longest_life":"101y"}}}`:                  "kinds.personal.longest_life",
		`{"kinds":{"service":{"longest_life":"x"}}}`:                      "kinds.service.longest_life",
		`{"kinds":{"service":{"default_life":"101y"}}}`:                   "kinds.service.default_life",
		`{"kinds":{"service":{"default_life":"2d","longest_life":"1d"}}}`: "kinds.service.default_life",
		`{"kinds":{"service":{"default_life":"1 year"}}}`:                 "kinds.service.default_life",
		`{"kinds":{"personal":{"latest_expiry":"2027-02-29T00:00:00Z"}}}`: "kinds.personal.latest_expiry",
		`{"kinds":{"personal":{"latest_expiry":"1969-12-31T00:00:00Z"}}}`: "kinds.personal.latest_expiry",
		`{"kinds":{"personal":{"latest_expiry":"1970-01-01T00:00:00Z"}}}`: "kinds.personal.latest_expiry",
		`{"kinds":{"personal":{"latest_expiry":"2027-06-30"}}}`:           "kinds.personal.latest_expiry",
		`{"kinds":{"personal":{"latest_expiry":""}}}`:                     "kinds.personal.latest_expiry",
		`{"kinds":{"personal":{"latest_expiry":"tomorrow"}}}`:             "kinds.personal.latest_expiry",
		`{"kinds":{"personal":{"latest_expiry":1798675200}}}`:             "kinds.personal.latest_expiry",
		`{"kinds":{"engine":{}}}`:                                         "kinds.engine",
		`{"kinds":{"personal":{"life":"1d"}}}`:                            "kinds.personal.life",
		`{"kinds":[]}`:                                                    "kinds",
		`{"approval":{"kinds":["king"]}}`:                                 "approval.kinds[0]",
		`{"approval":{"grants":["king"]}}`:                                "approval.grants",
		`{"approval":{"grants":[""]}}`:                                    "approval.grants",
		`{"approval":{"lapse":"2y"}}`:                                     "approval.lapse",
		`{"approval":{"lapse":"soon"}}`:                                   "approval.lapse",
		`{"reuse":"ignore"}`:                                              "reuse",
		`{"reuse":""}`:                                                    "reuse",
		`{"tokens_enabled":"no"}`:                                         "tokens_enabled",
		`{"tokens_enabled":0}`:                                            "tokens_enabled",
		`{"Tokens_Enabled":false}`:                                        "Tokens_Enabled",
		`{"tokens_enabled":true,"bound_only":true}`:                       "bound_only",
	} {
		for _, query := range []string{"", "?dry_run=true"} {
			answered := w.refused("ann", "PATCH "+policyOfAcme+query, body, []int{422})
			if got := firstField(t, answered); got != field && !(field == "" && got != "") {
				t.Errorf("%.80s: the field is %q, want %q: %s", body, got, "body."+field, answered.body)
			}
		}
	}
}

// firstField is what a refusal names as wrong, without the body in front of it.
func firstField(t *testing.T, answered reply) string {
	t.Helper()
	errors, _ := answered.object(t)["errors"].([]any)
	if len(errors) == 0 {
		return ""
	}
	field, _ := errors[0].(map[string]any)["field"].(string)
	return strings.TrimPrefix(field, "body.")
}

// What is shown can be sent back, without what is only shown, and changes nothing.
func TestPolicySentBack(t *testing.T) {
	for name, given := range map[string]func(*world){
		"the usual one": func(*world) {},
		"another":       demands(bodies["PATCH /api/v1/organizations/{org}/policy"]),
		"lengths":       demands(`{"idle_expiry":"2w","longest_overlap":"90s","kinds":{"service":{"longest_life":"1y1d","default_life":"36h"}},"approval":{"lapse":"1w"}}`),
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			given(w)
			before := w.last()
			shown := w.send("ann", "GET "+policyOfAcme, "")
			back := shown.object(t)
			delete(back, "version")
			for _, kind := range back["kinds"].(map[string]any) {
				delete(kind.(map[string]any), "presets")
			}
			body, err := json.Marshal(back)
			w.must(err)
			answered := w.send("ann", "PATCH "+policyOfAcme, string(body), "If-Match: "+shown.header.Get("ETag"))
			if answered.status != 200 || w.last() != before {
				t.Fatalf("status %d, the log went from %d to %d: %s", answered.status, before, w.last(), answered.body)
			}
			after := answered.object(t)
			delete(after, "blocks")
			delete(after, "blocked")
			if diff := cmp.Diff(shown.object(t), after); diff != "" {
				t.Errorf("shown, and shown again (-want +got):\n%s", diff)
			}
		})
	}
}

// Of many changes at once, each to something else, none is lost.
func TestPolicyChangedByManyAtOnce(t *testing.T) {
	w := newWorld(t)
	changes := []string{
		`{"reuse":"revoke"}`, `{"idle_expiry":"90d"}`, `{"longest_overlap":"1h"}`, `{"description_required":true}`, `{"last_used_by_day":true}`,
		`{"kinds":{"service":{"per_holder":7}}}`, `{"kinds":{"personal":{"per_holder":8}}}`, `{"approval":{"lapse":"1d"}}`,
	}
	var group sync.WaitGroup
	for _, change := range changes {
		group.Go(func() {
			if got := w.send("ann", "PATCH "+policyOfAcme, change); got.status != 200 {
				t.Errorf("%s: status %d: %s", change, got.status, got.body)
			}
		})
	}
	group.Wait()
	before := w.last()
	for _, change := range changes {
		if got := w.send("ann", "PATCH "+policyOfAcme, change); got.status != 200 || w.last() != before {
			t.Errorf("%s was lost: %d %s", change, got.status, got.body)
		}
	}
}

// A dry run says what the change does then, and the tokens that it names are those
// that stop.
func TestDryRunTellsTheTruth(t *testing.T) {
	w := newWorld(t)
	const change = `{"kinds":{"administrative":{"longest_life":"90d"}}}`
	would := w.send("ann", "PATCH "+policyOfAcme+"?dry_run=true", change).object(t)
	if got := w.send("robot", "GET /api/v1/whoami", ""); got.status != 200 {
		t.Errorf("after the dry run the token gets %d", got.status)
	}
	does := w.send("ann", "PATCH "+policyOfAcme, change).object(t)
	for _, field := range []string{"kinds", "blocks", "blocked"} {
		if diff := cmp.Diff(withoutUse(would[field]), withoutUse(does[field])); diff != "" {
			t.Errorf("%s as it would be, and as it is:\n%s", field, diff)
		}
	}
	if got := w.send("robot", "GET /api/v1/whoami", ""); got.status != 401 {
		t.Errorf("the blocked token gets %d", got.status)
	}
	w.send("ann", "PATCH "+policyOfAcme, `{"kinds":{"administrative":{"longest_life":""}}}`)
	if got := w.send("robot", "GET /api/v1/whoami", ""); got.status != 200 {
		t.Errorf("after the policy was loosened the token gets %d", got.status)
	}
}

// withoutUse is blocked tokens without when they were used: they are, meanwhile.
func withoutUse(value any) any {
	tokens, _ := value.([]any)
	for _, token := range tokens {
		delete(token.(map[string]any), "last_used_at")
	}
	return value
}

// Of many blocked tokens the first thousand are named, and all are counted.
func TestManyBlocked(t *testing.T) {
	w := newWorld(t)
	for i := range maxBlocks + 3 {
		w.made("bob", "POST /api/v1/organizations/acme/tokens", fmt.Sprintf(`{"name":"t%d","kind":"administrative"}`, i))
	}
	would := w.send("ann", "PATCH "+policyOfAcme+"?dry_run=true", `{"kinds":{"administrative":{"longest_life":"90d"}}}`).object(t)
	if blocks := would["blocks"].([]any); len(blocks) != maxBlocks || would["blocked"] != float64(maxBlocks+4) {
		t.Errorf("%d are named and %v counted, want %d and %d", len(blocks), would["blocked"], maxBlocks, maxBlocks+4)
	}
}

// When a token was last used is shown to the minute, or to the day if the policy is
// such or would be.
func TestLastUsed(t *testing.T) {
	const noon, minute, day = 1795348800000, 60_000, 86_400_000
	for _, c := range []struct {
		at    domain.Instant
		byDay bool
		want  domain.Instant
	}{
		{noon + minute, false, noon + minute}, {noon + minute, true, noon - day/2}, {0, false, 0}, {0, true, 0}, {day, true, day}, {2*day - minute, true, day},
	} {
		if got := lastUsed(c.at, c.byDay); got != c.want {
			t.Errorf("%v by day %t: %v, want %v", c.at, c.byDay, got, c.want)
		}
	}
}
