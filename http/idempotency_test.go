package http

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"jeton/domain"
	"jeton/eventstore"
)

// creating are the routes that make something.
func creating(w *world) (routes []route) {
	for _, r := range guarded(w) {
		if r.status == 201 {
			routes = append(routes, r)
		}
	}
	return routes
}

const key = "Idempotency-Key: 8e03978e-40d5-43e8-bc93-6894a57f9324"

// A request that is sent again with its key happens once, and its answer is the
// same but for the secret.
func TestSentAgain(t *testing.T) {
	w := furnish(newWorld(t))
	w.seal()
	for _, r := range creating(w) {
		send, body := r.request("acme", "{mia}", "{mia.token}")
		first := w.send("ann", send, body, key+r.path())
		before := w.last()
		again := w.send("ann", send, body, key+r.path())
		if first.status != 201 || again.status != 201 {
			t.Errorf("%s: status %d, and then %d: %s", r.pattern, first.status, again.status, again.body)
			continue
		}
		if w.last() != before {
			t.Errorf("%s: it happened twice", r.pattern)
		}
		if first.header.Get("Idempotency-Replayed") != "" || again.header.Get("Idempotency-Replayed") != "true" {
			t.Errorf("%s: replayed is %q, and then %q", r.pattern, first.header.Get("Idempotency-Replayed"), again.header.Get("Idempotency-Replayed"))
		}
		for _, name := range []string{"Location", "ETag"} {
			if first.header.Get(name) != again.header.Get(name) {
				t.Errorf("%s: %s is %q, and then %q", r.pattern, name, first.header.Get(name), again.header.Get(name))
			}
		}
		made, replayed := first.object(t), again.object(t)
		for _, once := range []string{"secret", "token", "token_id", "token_expires_at", "access_token", "verification_token"} {
			if replayed[once] != nil {
				t.Errorf("%s: the second answer has %s", r.pattern, once)
			}
			delete(made, once)
		}
		if fmt.Sprint(made) != fmt.Sprint(replayed) {
			t.Errorf("%s: made %v, and then %v", r.pattern, made, replayed)
		}
	}
}

// A key is for one request: with another body, path or method it is refused.
func TestKeyForAnotherRequest(t *testing.T) {
	w := furnish(newWorld(t))
	w.seal()
	for _, r := range creating(w) {
		send, body := r.request("acme", "{mia}", "{mia.token}")
		if first := w.send("ann", send, body, key+r.path()); first.status != 201 {
			t.Fatalf("%s: %d: %s", r.pattern, first.status, first.body)
		}
		w.refused("ann", send, strings.Replace(body, "}", " }", 1), []int{409}, key+r.path())
		if other, _ := r.request("{acme}", "{mia}", "{mia.token}"); other != send {
			w.refused("ann", other, body, []int{409}, key+r.path())
		}
	}
}

// Keys are their sender's: others may have the same, and the same person has
// theirs with every token.
func TestKeysOfSeveral(t *testing.T) {
	w := newWorld(t)
	w.issue("mia", "acme", "laptop", "personal")
	body := `{"name":"ci","kind":"personal"}`
	numbers := map[string]any{}
	for _, as := range []string{"mia", "laptop", "bob"} {
		made := w.send(as, "POST "+tokensOfAcme, body, key)
		if made.status != 201 {
			t.Fatalf("%s: %d: %s", as, made.status, made.body)
		}
		numbers[as] = made.object(t)["number"]
	}
	if numbers["mia"] != numbers["laptop"] || numbers["mia"] == numbers["bob"] {
		t.Errorf("tokens are %v; want one of mia, whichever token she shows, and one of bob", numbers)
	}
}

// Of many who send the same request at once one gets the secret, and all get the
// same token.
func TestSentAtOnce(t *testing.T) {
	w := newWorld(t)
	w.makeRoom("ann", "acme")
	for round := range 5 {
		before := w.last()
		const many = 8
		replies := make([]reply, many)
		var all sync.WaitGroup
		for i := range many {
			request := w.request("mia", "POST "+tokensOfAcme, fmt.Sprintf(`{"name":"ci %d","kind":"personal"}`, round), fmt.Sprint(key, round))
			all.Go(func() { replies[i] = w.do(request) })
		}
		all.Wait()
		if got := w.since(before); !slices.Equal(got, []string{"token.issued"}) {
			t.Errorf("round %d: events %v, want one token.issued", round, got)
		}
		secrets, ids := 0, map[any]bool{}
		for _, r := range replies {
			if r.status != 201 {
				t.Errorf("round %d: status %d: %s", round, r.status, r.body)
				continue
			}
			made := r.object(t)
			ids[made["id"]] = true
			if made["secret"] != nil {
				secrets++
			}
		}
		if secrets != 1 || len(ids) != 1 {
			t.Errorf("round %d: %d secrets and %d tokens, want one of each", round, secrets, len(ids))
		}
	}
}

func TestWithoutKeyEachRequestIsNew(t *testing.T) {
	w := newWorld(t)
	before := w.last()
	for range 2 {
		w.send("mia", "POST "+tokensOfAcme, `{"name":"ci","kind":"personal"}`)
	}
	if got := w.since(before); !slices.Equal(got, []string{"token.issued"}) {
		t.Errorf("events %v, want one: the name is taken", got)
	}
}

// What was refused is not remembered: the same request may succeed later.
func TestKeyOfARefusedRequest(t *testing.T) {
	w := newWorld(t)
	w.issue("mia", "acme", "ci", "personal")
	w.refused("mia", "POST "+tokensOfAcme, `{"name":"ci","kind":"personal"}`, []int{409}, key)
	does("mia", "DELETE "+tokensOfAcme+"/{ci.token}", "")(w)
	if made := w.send("mia", "POST "+tokensOfAcme, `{"name":"ci","kind":"personal"}`, key); made.status != 201 {
		t.Errorf("status %d: %s", made.status, made.body)
	}
}

// A member who was added by a key and has left since does not come back by it.
func TestKeyOfAMemberWhoHasLeft(t *testing.T) {
	w := newWorld(t)
	body := `{"email":"max@acme.test","role":"member"}`
	made := w.send("ann", "POST /api/v1/organizations/acme/members", body, key)
	does("ann", fmt.Sprintf("DELETE /api/v1/organizations/acme/members/%.0f", made.object(t)["id"]), "")(w)
	w.refused("ann", "POST /api/v1/organizations/acme/members", body, []int{404}, key)
}

// Whoever was an admin does not read by their key what they may not read now.
func TestKeyOfAFormerAdmin(t *testing.T) {
	w := newWorld(t)
	body := `{"name":"ci","kind":"administrative"}`
	if made := w.send("bob", "POST "+tokensOfAcme, body, key); made.status != 201 {
		t.Fatalf("status %d: %s", made.status, made.body)
	}
	does("ann", "PATCH /api/v1/organizations/acme/members/{bob}", `{"role":"member"}`)(w)
	w.refused("bob", "POST "+tokensOfAcme, body, []int{403}, key)
}

func TestKeyIsTooLong(t *testing.T) {
	w := newWorld(t)
	w.refused("mia", "POST "+tokensOfAcme, `{"name":"ci","kind":"personal"}`, []int{422}, "Idempotency-Key: "+strings.Repeat("k", 256))
}

// Replays outlive a restart: the keys are in the log.
func TestSentAgainElsewhere(t *testing.T) {
	w := newWorld(t)
	w.made("mia", "POST "+tokensOfAcme, `{"name":"other","kind":"personal"}`)
	first := w.send("mia", "POST "+tokensOfAcme, `{"name":"ci","kind":"personal"}`, key)
	w.restart()
	w.pass(23 * time.Hour)
	again := w.send("mia", "POST "+tokensOfAcme, `{"name":"ci","kind":"personal"}`, key)
	if again.status != 201 || again.header.Get("Idempotency-Replayed") != "true" || again.object(t)["id"] != first.object(t)["id"] {
		t.Errorf("after a restart: %d %v %s", again.status, again.header, again.body)
	}
}

// A key is remembered for a day.
func TestKeyAfterADay(t *testing.T) {
	w := newWorld(t)
	body := `{"name":"ci","kind":"personal","expires_in":"1h"}`
	first := w.send("mia", "POST "+tokensOfAcme, body, key)
	w.pass(24*time.Hour + time.Millisecond)
	second := w.send("mia", "POST "+tokensOfAcme, body, key)
	if second.status != 201 || second.header.Get("Idempotency-Replayed") != "" || second.object(t)["id"] == first.object(t)["id"] {
		t.Errorf("after a day the same key gets %d: %s", second.status, second.body)
	}
}

// forgetful is a log that once takes an entry and does not say so, and whose
// followers then hear nothing until somebody appends again.
type forgetful struct {
	eventstore.Store
	forgets atomic.Bool
	silence atomic.Pointer[chan struct{}] // closed when it ends; nil: there is none
}

func (f *forgetful) forget() {
	silence := make(chan struct{})
	f.silence.Store(&silence)
	f.forgets.Store(true)
}

func (f *forgetful) Append(ctx context.Context, e eventstore.Entry, after domain.Position) (domain.Position, error) {
	at, err := f.Store.Append(ctx, e, after)
	if err == nil && f.forgets.CompareAndSwap(true, false) {
		return 0, eventstore.ErrUnknown
	}
	if silence := f.silence.Swap(nil); silence != nil {
		close(*silence)
	}
	return at, err
}

func (f *forgetful) Follow(ctx context.Context, from eventstore.Head, do func(eventstore.Record) error) error {
	return f.Store.Follow(ctx, from, func(r eventstore.Record) error {
		if silence := f.silence.Load(); silence != nil {
			select {
			case <-*silence:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return do(r)
	})
}

// A request whose outcome was not known happens once when it is sent again, even
// by a node that has not heard of its commit yet.
func TestSentAgainAfterAnUnknownOutcome(t *testing.T) {
	store := &forgetful{Store: new(eventstore.Memory)}
	w := worldOn(t, store, "memory")
	store.forget()
	before, body := w.last(), `{"name":"ci","kind":"personal"}`
	if unknown := w.send("mia", "POST "+tokensOfAcme, body, key); unknown.status != 503 || unknown.object(t)["code"] != "unknown-outcome" {
		t.Fatalf("status %d: %s", unknown.status, unknown.body)
	}
	again := w.send("mia", "POST "+tokensOfAcme, body, key)
	if again.status != 201 || again.header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("sent again: status %d: %s", again.status, again.body)
	}
	if got := w.since(before); !slices.Equal(got, []string{"token.issued"}) {
		t.Errorf("events %v, want one token.issued", got)
	}
	w.must(w.model.Wait(t.Context(), w.last()))
	w.must(w.model.Err())
}

// Two lists of parts never have one digest because of where one part ends.
func TestDigest(t *testing.T) {
	seen := map[domain.CommandID][]string{}
	for _, parts := range [][]string{{}, {""}, {"", ""}, {"a", "b"}, {"ab"}, {"ab", ""}, {"", "ab"}, {"a", "", "b"}, {"b", "a"}} {
		var bytes [][]byte
		for _, part := range parts {
			bytes = append(bytes, []byte(part))
		}
		id := digest(bytes...)
		if other, twice := seen[id]; twice {
			t.Errorf("%q and %q have one digest", parts, other)
		}
		seen[id] = parts
	}
}
