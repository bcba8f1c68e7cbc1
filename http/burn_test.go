package http

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// Whoever has the secret ends the token; the answer tells nobody whether there was
// one, to the byte.
func TestBurn(t *testing.T) {
	w := newWorld(t)
	w.issue("mia", "acme", "laptop", "personal")
	_, wrong := w.secret("laptop"), w.secret("laptop")[:60]
	var answers []string
	for _, step := range []struct {
		token string
		then  []string
	}{
		{"{laptop.secret}", []string{"token.burned"}},
		{"{laptop.secret}", nil}, // again
		{"jtn_pat_000000000000000000000000000000000000000000000000000000000000000000", nil},
		{wrong, nil},
		{"hello", nil},
		{"{zoe.secret}", []string{"token.burned"}}, // of whatever organization
	} {
		before := w.last()
		w.pass(time.Minute)
		got := w.send("", "POST /api/v1/burn", `{"token":"`+step.token+`"}`)
		if events := w.since(before); !slices.Equal(events, step.then) {
			t.Errorf("%.12s…: events %v, want %v", step.token, events, step.then)
		}
		delete(got.header, "X-Request-Id")
		answers = append(answers, fmt.Sprint(got.status, got.header, got.body))
	}
	if all := slices.Compact(slices.Clone(answers)); len(all) != 1 || !strings.HasPrefix(all[0], "204 ") {
		t.Errorf("it answers differently: %v", all)
	}
	w.refused("laptop", "GET /api/v1/whoami", "", []int{401})
	page := w.send("mia", "GET "+tokensOfAcme+"/{laptop.token}", "").object(t)
	if page["status"] != "revoked" || page["revoked_by"].(map[string]any)["kind"] != "bearer" {
		t.Errorf("the token's page says %v", page)
	}
}

// A secret that was rotated out and still works ends alone.
func TestBurnOfTheOldSecret(t *testing.T) {
	w := newWorld(t)
	w.issue("mia", "acme", "laptop", "personal")
	w.names["old.secret"] = w.secret("laptop")
	made := w.send("mia", "POST "+tokensOfAcme+"/{laptop.token}/rotate", `{"overlap":"1h"}`).object(t)
	w.names["laptop.secret"] = made["secret"].(string)
	does("", "POST /api/v1/burn", `{"token":"{old.secret}"}`)(w)
	w.refused("old", "GET /api/v1/whoami", "", []int{401})
	if got := w.send("laptop", "GET /api/v1/whoami", ""); got.status != 200 {
		t.Errorf("the new secret gets %d", got.status)
	}
}

// One address burns ten a minute; others, and the next minute, are not its concern.
func TestBurnIsLimited(t *testing.T) {
	w := newWorld(t)
	burn := func(from string) reply {
		r := w.request("", "POST /api/v1/burn", `{"token":"x"}`)
		r.RemoteAddr = from
		return w.do(r)
	}
	for i := range burnsPerMinute {
		if got := burn("192.0.2.7:1"); got.status != 204 {
			t.Fatalf("request %d: %d", i, got.status)
		}
	}
	got := burn("192.0.2.7:2")
	if got.status != 429 || got.header.Get("Retry-After") != "60" {
		t.Errorf("one too many: %d, Retry-After %q", got.status, got.header.Get("Retry-After"))
	}
	if got := burn("192.0.2.8:1"); got.status != 204 {
		t.Errorf("another address: %d", got.status)
	}
	for i := range burnsPerMinute + 1 {
		if got := burn(fmt.Sprintf("[2001:db8::%d]:1", i)); (got.status == 429) != (i == burnsPerMinute) {
			t.Errorf("address %d of one network: %d", i, got.status)
		}
	}
	w.pass(time.Minute)
	if got := burn("192.0.2.7:1"); got.status != 204 {
		t.Errorf("a minute later: %d", got.status)
	}
}

func TestBurnOfNothing(t *testing.T) {
	w := newWorld(t)
	for body, status := range map[string]int{"": 400, "{}": 422, `{"token":""}`: 422, `{"token":1}`: 422, `{"token":"x","other":1}`: 422, `[]`: 422} {
		w.refused("", "POST /api/v1/burn", body, []int{status})
	}
}

// What a scanner that is known reports ends; what anybody else reports does not.
func TestSecretScanning(t *testing.T) {
	w := newWorld(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	w.must(err)
	report := w.filled(`[{"token":"{mia.secret}","type":"jeton_token","url":"https://example.org/leak","source":"content"},{"token":"jtn_pat_nothing","type":"jeton_token","url":""}]`)
	post := func(body string) reply {
		sum := sha256.Sum256([]byte(report))
		signature, err := ecdsa.SignASN1(rand.Reader, key, sum[:])
		w.must(err)
		return w.send("", "POST /api/v1/secret-scanning", body,
			"Github-Public-Key-Identifier: one", "Github-Public-Key-Signature: "+base64.StdEncoding.EncodeToString(signature))
	}
	if got := post(report); got.status != 403 || strings.Contains(got.body, "signature of") {
		t.Errorf("a scanner that is not known: %d %s", got.status, got.body)
	}
	w.server.ScanningKeys = ScanningKeys{"one": &key.PublicKey}
	w.refused("", "POST /api/v1/secret-scanning", report, []int{403})
	if got := post(report + " "); got.status != 403 {
		t.Errorf("another body than was signed: %d", got.status)
	}
	if got := w.send("mia", "GET /api/v1/whoami", ""); got.status != 200 {
		t.Fatalf("before the report: %d", got.status)
	}
	before := w.last()
	for range 2 { // again: nothing more happens
		got := post(report)
		var labels []scanLabel
		w.must(json.Unmarshal([]byte(got.body), &labels))
		if got.status != 200 || len(labels) != 2 || labels[0].Label != "true_positive" || labels[1].Label != "false_positive" {
			t.Errorf("the answer is %d %s", got.status, got.body)
		}
	}
	if events := w.since(before); !slices.Equal(events, []string{"token.burned"}) {
		t.Errorf("events %v", events)
	}
	w.refused("mia", "GET /api/v1/whoami", "", []int{401})
	if page := w.send("ann", "GET "+tokensOfAcme+"/{mia.token}", "").object(t); page["reason"] != "found by secret scanning at https://example.org/leak" {
		t.Errorf("its page says %v", page["reason"])
	}
}
