package http

import (
	"testing"
	"time"
)

// asksForApproval has a token of bob's that waits.
func asksForApproval(w *world) {
	w.Helper()
	does("ann", "PATCH /api/v1/organizations/acme/policy", `{"approval":{"kinds":["administrative"],"lapse":"2d"}}`)(w)
	w.issue("bob", "acme", "pending", "administrative")
}

func TestApprovals(t *testing.T) {
	const approvals = "/api/v1/organizations/acme/approvals"
	run(t, "approval", map[string]scenario{
		"listed":                       {given: asksForApproval, send: "GET " + approvals, status: 200},
		"listed for an auditor":        {given: asksForApproval, as: "ada", send: "GET " + approvals, status: 200},
		"not listed for a member":      {given: asksForApproval, as: "mia", send: "GET " + approvals, status: 403},
		"shown as waiting":             {given: asksForApproval, send: "GET " + tokensOfAcme + "/{pending.token}", status: 200},
		"listed among the waiting":     {given: asksForApproval, send: "GET " + tokensOfAcme + "?status=waiting", status: 200},
		"approved":                     {given: asksForApproval, send: "POST " + approvals + "/{pending.token}/approve", status: 200, then: []string{"approval.given"}},
		"approved with a reason":       {given: asksForApproval, send: "POST " + approvals + "/{pending.token}/approve", body: `{"reason":"seen the code"}`, status: 200, then: []string{"approval.given"}},
		"approved by who asked":        {given: asksForApproval, as: "bob", send: "POST " + approvals + "/{pending.token}/approve", status: 403},
		"approved by a member":         {given: asksForApproval, as: "mia", send: "POST " + approvals + "/{pending.token}/approve", status: 403},
		"approved with itself":         {given: asksForApproval, as: "pending", send: "POST " + approvals + "/{pending.token}/approve", status: 401},
		"approved, but it is not":      {send: "POST " + approvals + "/{mia.token}/approve", status: 409},
		"approved, but it is nobody's": {send: "POST " + approvals + "/0000000000000000/approve", status: 404},
		"approved too late":            {given: all(asksForApproval, passes(48*time.Hour)), send: "POST " + approvals + "/{pending.token}/approve", status: 409},
		"refused":                      {given: asksForApproval, send: "POST " + approvals + "/{pending.token}/refuse", body: `{"reason":"too much"}`, status: 200, then: []string{"approval.refused"}},
		"refused without a reason":     {given: asksForApproval, send: "POST " + approvals + "/{pending.token}/refuse", body: `{}`, status: 422},
		"refused by who asked":         {given: asksForApproval, as: "bob", send: "POST " + approvals + "/{pending.token}/refuse", body: `{"reason":"no"}`, status: 403},
		"rotated while it waits":       {given: asksForApproval, send: "POST " + tokensOfAcme + "/{pending.token}/rotate", status: 409},
		"changed while it waits":       {given: asksForApproval, as: "bob", send: "PATCH " + tokensOfAcme + "/{pending.token}", body: `{"grant":{"access":"full-access"}}`, status: 409},
	})
}

// A token that waits opens nothing, not by any name; once approved it does.
func TestWhatWaitsOpensNothing(t *testing.T) {
	w := newWorld(t)
	asksForApproval(w)
	check := func() string {
		return w.pretty(w.send("ann", "POST /api/v1/check", `{"token":"{pending.secret}"}`).body)
	}
	if got := check(); got != w.pretty(`{"active":false,"reason":"waiting","token":"{pending.token}"}`) {
		t.Errorf("before: %s", got)
	}
	w.refused("pending", "GET /api/v1/whoami", "", []int{401})
	does("ann", "POST /api/v1/organizations/acme/approvals/{pending.token}/approve", "")(w)
	if got := w.send("pending", "GET /api/v1/whoami", ""); got.status != 200 {
		t.Errorf("afterwards: %d %s", got.status, got.body)
	}
}
