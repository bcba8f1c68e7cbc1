package projections

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"jeton/domain"
)

// taking is how a node delivers.
func taking(t *testing.T, v *Views, hook HookID, node string, now domain.Instant, want bool) Delivery {
	t.Helper()
	d, taken, err := v.TakeDelivery(t.Context(), hook, node, now, now.Add(time.Minute))
	fails(t, node+" takes", err, nil)
	if taken != want {
		t.Fatalf("%s has taken the delivery at %v: %t, want %t", node, now, taken, want)
	}
	return d
}

// One node at a time delivers, and a node that dies loses it after a while.
func TestDeliveriesAreTaken(t *testing.T) {
	everywhere(t, func(t *testing.T, url string) {
		v, now := openViews(t, url), domain.At(noon)
		hook := HookID{newOrganizationID(), 7}
		d, err := v.Delivery(t.Context(), hook)
		fails(t, "ask", err, nil)
		same(t, "a new webhook", d, Delivery{HookID: hook, Position: 7})

		d = taking(t, v, hook, "a", now, true)
		same(t, "a's", d, Delivery{HookID: hook, Position: 7, Node: "a", Lease: now.Add(time.Minute)})
		taking(t, v, hook, "b", now.Add(time.Minute), false)
		taking(t, v, hook, "a", now.Add(time.Second), true)
		taking(t, v, HookID{hook.Organization, 8}, "b", now, true)
		taking(t, v, HookID{newOrganizationID(), 7}, "b", now, true)

		d.Position, d.Item, d.Delivered, d.Lease = 9, 3, now, now.Add(2*time.Minute)
		d.Waiting, d.Tried, d.Attempts, d.Next, d.Version, d.Status, d.Fault = now, now+1, 4, now+2, 5, 500, "answered 500"
		held, err := v.MoveDelivery(t.Context(), d)
		fails(t, "move", err, nil)
		same(t, "held", held, true)
		found, err := v.Delivery(t.Context(), hook)
		fails(t, "ask", err, nil)
		same(t, "moved", found, d)
		listed, err := v.Deliveries(t.Context(), hook.Organization)
		fails(t, "list", err, nil)
		if len(listed) != 2 || listed[0] != d && listed[1] != d {
			t.Fatalf("listed are %+v", listed)
		}

		// a has died; b goes on where it was.
		taken := taking(t, v, hook, "b", now.Add(2*time.Minute)+1, true)
		same(t, "b goes on", taken.Position, 9)
		same(t, "b goes on", taken.Item, 3)
		d.Position = 99
		held, err = v.MoveDelivery(t.Context(), d)
		fails(t, "a moves what it has lost", err, nil)
		same(t, "held", held, false)
		held, err = v.Bury(t.Context(), DeadLetter{HookID: hook, Position: 10}, d)
		fails(t, "a buries what it has lost", err, nil)
		same(t, "held", held, false)
		letters, err := v.DeadLetters(t.Context(), hook)
		fails(t, "list", err, nil)
		same(t, "dead letters", letters, nil)

		fails(t, "a gives back what it has lost", v.ReleaseDelivery(t.Context(), hook, "a"), nil)
		taking(t, v, hook, "a", now.Add(2*time.Minute)+1, false)
		fails(t, "b gives it back", v.ReleaseDelivery(t.Context(), hook, "b"), nil)
		taking(t, v, hook, "a", now, true)

		fails(t, "forget", v.ForgetDelivery(t.Context(), hook), nil)
		d, err = v.Delivery(t.Context(), hook)
		fails(t, "ask", err, nil)
		same(t, "forgotten", d, Delivery{HookID: hook, Position: 7})
	})
}

// Of many nodes that want to deliver at once one does.
func TestOneNodeDelivers(t *testing.T) {
	everywhere(t, func(t *testing.T, url string) {
		const nodes, rounds = 4, 25
		var views []*Views
		for range nodes {
			views = append(views, openViews(t, url))
		}
		hook, now := HookID{newOrganizationID(), 1}, domain.At(noon)
		for range rounds {
			var mu sync.Mutex
			winners := 0
			var all sync.WaitGroup
			for i, v := range views {
				all.Go(func() {
					_, taken, err := v.TakeDelivery(t.Context(), hook, fmt.Sprint("node ", i), now, now+1)
					if err != nil {
						t.Error(err)
					}
					mu.Lock()
					defer mu.Unlock()
					if taken {
						winners++
					}
				})
			}
			all.Wait()
			if winners != 1 {
				t.Fatalf("%d nodes deliver, want 1", winners)
			}
			now += 2
		}
	})
}

func TestDeadLetters(t *testing.T) {
	everywhere(t, func(t *testing.T, url string) {
		v, now := openViews(t, url), domain.At(noon)
		hook := HookID{newOrganizationID(), 7}
		d := taking(t, v, hook, "a", now, true)
		d.Waiting = now
		_, err := v.MoveDelivery(t.Context(), d)
		fails(t, "move", err, nil)
		undelivered := func(want Undelivered) {
			t.Helper()
			u, err := v.Undelivered(t.Context())
			fails(t, "ask", err, nil)
			same(t, "undelivered", u, want)
		}
		undelivered(Undelivered{Since: now})
		letters := []DeadLetter{
			{HookID: hook, Position: 8, Item: 1, Kind: "token.issued", Tried: now, Died: now + 5, Attempts: 3, Status: 500, Fault: "answered 500"},
			{HookID: hook, Position: 8, Item: 2, Kind: "token.bound", Tried: now, Died: now + 6, Attempts: 3, Fault: "timed out"},
			{HookID: hook, Position: 9, Kind: "token.revoked", Tried: now, Died: now + 7, Attempts: 1, Status: 302, Fault: "answered 302"},
		}
		for _, l := range letters {
			d.Position, d.Item, d.Waiting = l.Position, l.Item+1, 0
			held, err := v.Bury(t.Context(), l, d)
			fails(t, "bury", err, nil)
			same(t, "held", held, true)
		}
		undelivered(Undelivered{Dead: 3})
		all, err := v.DeadLetters(t.Context(), hook)
		fails(t, "list", err, nil)
		same(t, "all", all, letters)
		for _, other := range []HookID{{hook.Organization, 8}, {newOrganizationID(), 7}} {
			none, err := v.DeadLetters(t.Context(), other)
			fails(t, "list", err, nil)
			same(t, "another's", none, nil)
			n, err := v.Replay(t.Context(), other, now)
			fails(t, "replay", err, nil)
			same(t, "another's", n, 0)
		}

		replays := func(want []HookID) {
			t.Helper()
			hooks, err := v.Replays(t.Context())
			fails(t, "ask", err, nil)
			same(t, "replays", hooks, want)
		}
		replays(nil)
		n, err := v.Replay(t.Context(), hook, now+9, EventPlace{8, 2}, EventPlace{8, 7})
		fails(t, "replay", err, nil)
		same(t, "replayed", n, 1)
		replays([]HookID{hook})
		letters[1].Replay = now + 9
		due, err := v.ToReplay(t.Context(), hook)
		fails(t, "list", err, nil)
		same(t, "due", due, letters[1:2])

		letters[1].Attempts, letters[1].Fault, letters[1].Status = 4, "answered 503", 503
		fails(t, "replayed in vain", v.Replayed(t.Context(), letters[1]), nil)
		letters[1].Replay = 0
		all, err = v.DeadLetters(t.Context(), hook)
		fails(t, "list", err, nil)
		same(t, "all", all, letters)
		replays(nil)

		n, err = v.Replay(t.Context(), hook, now+9)
		fails(t, "replay", err, nil)
		same(t, "replayed", n, 3)
		letters[1].Fault = ""
		fails(t, "replayed", v.Replayed(t.Context(), letters[1]), nil)
		undelivered(Undelivered{Dead: 2})

		fails(t, "forget", v.ForgetDelivery(t.Context(), hook), nil)
		undelivered(Undelivered{})
		hooks, err := v.DeliveredHooks(t.Context())
		fails(t, "list", err, nil)
		same(t, "known", hooks, nil)
	})
}

// What a receiver has got is not in the log: a rebuild keeps it.
func TestARebuildKeepsDeliveries(t *testing.T) {
	everywhere(t, func(t *testing.T, url string) {
		w := newWorld(t)
		at := w.do(w.owner.actor, domain.CreateWebhook{Announcement: domain.Announcement{
			Name: "hooks", URL: "https://hooks.example.org", Shape: domain.StandardWebhook,
		}}).Position
		v := openViews(t, url)
		end := runViews(t, v, w.store)
		caughtUp(w, v)
		fails(t, "stop", end(), nil)
		hook := HookID{w.org, at}
		d := taking(t, v, hook, "a", 1, true)
		d.Position = 12
		_, err := v.Bury(t.Context(), DeadLetter{HookID: hook, Position: 12, Kind: "token.issued"}, d)
		fails(t, "bury", err, nil)
		fails(t, "rebuild", v.Rebuild(t.Context(), w.store, storeID), nil)
		kept, err := v.Delivery(t.Context(), hook)
		fails(t, "ask", err, nil)
		same(t, "kept", kept, d)
		u, err := v.Undelivered(t.Context())
		fails(t, "ask", err, nil)
		same(t, "kept", u, Undelivered{Dead: 1})
	})
}

// A new node knows the webhooks that another one has made; those of an organization
// that was deleted are gone.
func TestHooks(t *testing.T) {
	w := newWorld(t)
	org, owner := w.create("globex", "zed@example.org")
	hook := domain.Announcement{Name: "hooks", URL: "https://hooks.example.org", Shape: domain.StandardWebhook}
	at := w.in(org, owner.actor, domain.CreateWebhook{Announcement: hook}).Position
	last := w.do(w.owner.actor, domain.CreateWebhook{Announcement: hook}).Position
	for _, m := range []*Model{w.model, w.other()} {
		hooks := m.Hooks()
		if len(hooks) != 2 || hooks[0].ID() != (HookID{w.org, last}) || hooks[1].ID() != (HookID{org, at}) || hooks[1].Last != at {
			t.Errorf("hooks are %+v", hooks)
		}
		if h, known := m.Webhook(org, at); !known || h.Name != "hooks" {
			t.Errorf("the webhook is %+v, %t", h, known)
		}
		if _, known := m.Webhook(org, last); known || len(m.Webhooks(org)) != 1 {
			t.Errorf("%v has %+v", org, m.Webhooks(org))
		}
	}
	w.in(org, owner.actor, domain.DeleteOrganization{Alias: "globex"})
	if hooks := w.model.Hooks(); len(hooks) != 1 {
		t.Errorf("hooks are %+v", hooks)
	}
}
