package http

import (
	"context"
	"fmt"
	"strings"
	"testing"
)

const logOfAcme = "/api/v1/organizations/acme/log"

func TestLog(t *testing.T) {
	read := []string{"audit.read"}
	run(t, "log", map[string]scenario{
		"from the beginning":  {as: "ada", send: "GET " + logOfAcme, status: 200, then: read},
		"a part":              {send: "GET " + logOfAcme + "?after=1&limit=1", status: 200, then: read},
		"behind its end":      {send: "GET " + logOfAcme + "?after=999", status: 200, then: read},
		"of another founder":  {as: "zed", send: "GET /api/v1/organizations/globex/log?limit=1", status: 200, then: read},
		"who, why and whence": {given: does("robot", "DELETE "+tokensOfAcme+"/{mia.token}?reason=leaked", ""), send: "GET " + logOfAcme + "?after=12", status: 200, then: read},
		"a member reads none": {as: "mia", send: "GET " + logOfAcme, status: 403},
		"nor does a program":  {as: "robot", send: "GET " + logOfAcme, status: 403},
		"a negative position": {send: "GET " + logOfAcme + "?after=-1", status: 422},
		"too long a wait":     {send: "GET " + logOfAcme + "?wait=31", status: 422},
	})
}

// The log that is read part by part is the whole log of the organization, and has
// neither hashes of secrets nor anything of a neighbour.
func TestLogPartByPart(t *testing.T) {
	w := newWorld(t)
	hasToken("mia", "laptop", "personal")(w)
	var positions []string
	for after := "0"; ; {
		answered := w.send("ada", "GET "+logOfAcme+"?limit=2&after="+after, "")
		if strings.Contains(answered.body, "hash") || strings.Contains(answered.body, "globex") {
			t.Errorf("behind %s: %s", after, answered.body)
		}
		part := answered.object(t)
		items := part["items"].([]any)
		if len(items) == 0 {
			break
		}
		for _, item := range items {
			positions = append(positions, text(item.(map[string]any)["position"]))
		}
		after = number(part["next"])
	}
	if got, want := fmt.Sprint(positions), "[1 3 5 7 8 13 14]"; got != want {
		t.Errorf("positions are %s, want %s", got, want)
	}
}

// Whoever waits at the end of the log hears of the next commit, whether they ask
// before it comes or after, and only of their own organization's.
func TestLogWaits(t *testing.T) {
	w := newWorld(t)
	w.makeRoom("ann", "acme")
	w.makeRoom("zed", "globex")
	does("ada", "GET "+logOfAcme, "")(w) // which is recorded the first time
	for round := range 5 {
		end := w.last()
		request := w.request("ada", fmt.Sprintf("GET %s?after=%d&wait=30", logOfAcme, end), "")
		heard := make(chan reply)
		go func() { heard <- w.do(request) }()
		w.issue("zed", "globex", "other"+letter(round), "personal")
		w.issue("mia", "acme", "own"+letter(round), "personal")
		part := (<-heard).object(t)
		items := part["items"].([]any)
		if len(items) != 1 || number(items[0].(map[string]any)["position"]) != fmt.Sprint(end+2) {
			t.Fatalf("round %d: heard %v, want the commit at %d", round, part, end+2)
		}
	}
}

func TestLogWaitsInVain(t *testing.T) {
	w := newWorld(t)
	does("ada", "GET "+logOfAcme, "")(w)
	answered := w.send("ada", "GET "+logOfAcme+"?after=13&wait=1", "")
	if part := answered.object(t); answered.status != 200 || len(part["items"].([]any)) != 0 || number(part["next"]) != "13" {
		t.Errorf("status %d: %s", answered.status, answered.body)
	}
}

// Whoever goes away while waiting is not waited for.
func TestLogWaiterGoesAway(t *testing.T) {
	w := newWorld(t)
	request := w.request("ada", "GET "+logOfAcme+"?after=8&wait=30", "")
	ctx, cancel := context.WithCancel(request.Context())
	gone := make(chan reply)
	go func() { gone <- w.do(request.WithContext(ctx)) }()
	cancel()
	if answered := <-gone; answered.status >= 500 && answered.status != 503 {
		t.Errorf("status %d", answered.status)
	}
}

func letter(i int) string { return string(rune('a' + i)) }

// A server that stops does not wait for what may never happen.
func TestLogWaitEndsWhenTheServerStops(t *testing.T) {
	w := newWorld(t)
	stopping, stop := context.WithCancel(t.Context())
	w.server.Stopping = stopping
	does("ann", "GET "+logOfAcme, "")(w)
	answered := make(chan reply, 1)
	go func() {
		answered <- w.send("ann", "GET /api/v1/organizations/acme/log?after="+fmt.Sprint(w.last())+"&wait=30", "")
	}()
	stop()
	if got := <-answered; got.status != 200 || !strings.Contains(got.body, `"items":[]`) {
		t.Errorf("answered %d %s, want an empty list", got.status, got.body)
	}
}
