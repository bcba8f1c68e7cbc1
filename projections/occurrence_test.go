package projections

import (
	"context"
	"fmt"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"jeton/domain"
	"jeton/eventstore"
)

// occurred is what was recorded behind a position although nothing changed, each with
// the organization it is in.
func (w *world) occurred(after domain.Position) (all []string) {
	w.Helper()
	names := map[domain.OrganizationID]string{w.org: "acme"}
	err := w.store.Follow(w.Context(), eventstore.Head{}, func(r eventstore.Record) error {
		commit, err := eventstore.Decode(r)
		fails(w, "decode", err, nil)
		for _, e := range commit.Events {
			name, known := names[commit.Organization]
			if !known {
				name = "another"
			}
			if r.Position > after {
				all = append(all, toldOf(name, e)...)
			}
		}
		if r.Position == w.last() {
			return context.Canceled
		}
		return nil
	})
	fails(w, "follow", err, context.Canceled)
	return all
}

func toldOf(name string, e domain.Event) []string {
	switch e := e.(type) {
	case domain.AccessRefused:
		return []string{fmt.Sprintf("%s: %s, %s, %d times", name, e.Action, e.Code, max(1, e.Times))}
	case domain.AuditRead:
		return []string{fmt.Sprintf("%s: read %s, %d times", name, e.Action, max(1, e.Times))}
	case domain.AuditExported:
		return []string{fmt.Sprintf("%s: exported %s", name, e.Action)}
	}
	return nil
}

// notes lets it be known so many times that the owner was refused something.
func (w *world) notes(times int, action string) {
	for range times {
		w.model.Note(w.meta(w.owner.actor), domain.AccessRefused{Action: action, Code: "denied"})
	}
}

// records records what is due, and holds it against what should be.
func (w *world) records(what string, want ...string) {
	w.Helper()
	before := w.last()
	fails(w, what, w.model.recordDue(w.Context(), false), nil)
	if diff := cmp.Diff(want, w.occurred(before)); diff != "" {
		w.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// What is alike is recorded at once, and then now and then as long as it goes on, with
// how often it has happened: ten thousand refusals are few commits, and none is lost.
func TestOccurrencesAreCounted(t *testing.T) {
	w := newWorld(t)
	w.notes(1, "POST tokens")
	w.records("the first", "acme: POST tokens, denied, 1 times")
	w.notes(10_000, "POST tokens")
	w.notes(2, "POST members")
	w.records("another is recorded with what is known of it", "acme: POST members, denied, 2 times")
	w.pass(59 * time.Second)
	w.records("before the minute is over")
	w.pass(time.Second)
	w.records("after a minute", "acme: POST tokens, denied, 10000 times")
	w.notes(5, "POST tokens")
	w.pass(time.Minute)
	w.records("it is waited longer now")
	w.pass(time.Minute)
	w.records("after two minutes more", "acme: POST tokens, denied, 5 times")
	w.pass(4 * time.Minute)
	w.records("it did not go on")
	w.notes(1, "POST tokens")
	w.records("it begins anew", "acme: POST tokens, denied, 1 times")
}

// Whoever goes on for ever is recorded once an hour in the end.
func TestOccurrencesOfADay(t *testing.T) {
	w := newWorld(t)
	before := w.last()
	for range 24 * 60 {
		w.notes(1, "POST tokens")
		fails(t, "record", w.model.recordDue(t.Context(), false), nil)
		w.pass(time.Minute)
	}
	fails(t, "the rest", w.model.recordDue(t.Context(), true), nil)
	if n := w.last() - before; n < 24 || n > 32 {
		t.Errorf("a day is %d commits", n)
	}
	total := 0
	for _, one := range w.occurred(before) {
		var times int
		_, err := fmt.Sscanf(one, "acme: POST tokens, denied, %d times", &times)
		fails(t, one, err, nil)
		total += times
	}
	same(t, "of all that happened", total, 24*60)
}

// What is beyond what an organization has in a minute is counted in one, and others
// do not notice.
func TestOccurrencesOfTooManyKinds(t *testing.T) {
	w := newWorld(t)
	other, owner := w.create("globex", "zed@globex.test")
	before := w.last()
	for i := range 10_000 {
		w.notes(1, fmt.Sprint("POST ", i))
	}
	meta := domain.Meta{Organization: other, Actor: owner.actor}
	w.model.Note(meta, domain.AccessRefused{Action: "POST tokens", Code: "foreign"})
	fails(t, "record", w.model.recordDue(t.Context(), false), nil)
	got := w.occurred(before)
	same(t, "in the first minute", len(got), perMinute-1+1)
	same(t, "the first", got[0], "acme: POST 0, denied, 1 times")
	same(t, "the neighbour's", got[perMinute-1], "another: POST tokens, foreign, 1 times")
	w.pass(time.Minute)
	w.records("the others", fmt.Sprintf("acme: others, many, %d times", 10_000-(perMinute-1)))
	w.notes(1, "POST 9999")
	w.records("in a new minute there is room", "acme: POST 9999, denied, 1 times")
}

// How much is remembered has an end, whoever is refused what.
func TestOccurrencesAreBounded(t *testing.T) {
	w := newWorld(t)
	for at := range 200 {
		for i := range perMinute {
			w.notes(1, fmt.Sprint("POST ", at*perMinute+i))
		}
		w.pass(time.Minute)
	}
	if n := len(w.model.occurrences.all); n != manyOccurrences {
		t.Errorf("%d are remembered, want %d", n, manyOccurrences)
	}
}

// downStore can't be written while it is down.
type downStore struct {
	eventstore.Store
	down atomic.Bool
}

func (s *downStore) Append(ctx context.Context, e eventstore.Entry, after domain.Position) (domain.Position, error) {
	if s.down.Load() {
		return 0, eventstore.ErrUnavailable
	}
	return s.Store.Append(ctx, e, after)
}

// While the log can't be written, it is counted on, and nothing is read.
func TestOccurrencesWhileTheLogIsDown(t *testing.T) {
	store := &downStore{Store: new(eventstore.Memory)}
	w := worldOn(t, store)
	w.org, w.owner = w.found("acme", "owner@example.org")
	store.down.Store(true)
	w.notes(3, "POST tokens")
	before := w.last()
	for range 2 {
		fails(t, "record", w.model.recordDue(t.Context(), false), eventstore.ErrUnavailable)
		w.notes(2, "POST tokens")
	}
	_, err := w.model.Read(t.Context(), w.meta(w.owner.actor), domain.AuditRead{Action: "list"})
	fails(t, "read", err, eventstore.ErrUnavailable)
	_, err = w.model.Export(t.Context(), w.meta(w.owner.actor), domain.AuditExported{Action: "export"})
	fails(t, "export", err, eventstore.ErrUnavailable)
	same(t, "where the log is", w.last(), before)
	store.down.Store(false)
	w.records("once it can be", "acme: POST tokens, denied, 7 times")
}

// Who reads what happened waits until that is recorded, but only now and then; who
// takes it with them, always.
func TestReadingIsRecorded(t *testing.T) {
	w := newWorld(t)
	reads := func(a domain.Actor, action string) domain.Position {
		t.Helper()
		at, err := w.model.Read(t.Context(), w.meta(a), domain.AuditRead{Action: action})
		fails(t, "read", err, nil)
		return at
	}
	before := w.last()
	same(t, "the first", reads(w.owner.actor, "list"), before+1)
	same(t, "the next", reads(w.owner.actor, "list"), 0)
	same(t, "another way", reads(w.owner.actor, "proof"), before+2)
	ada := w.join("ada@example.org", domain.Auditor)
	before = w.last()
	same(t, "somebody else", reads(ada.actor, "list"), before+1)
	for range 2 {
		at, err := w.model.Export(t.Context(), w.meta(ada.actor), domain.AuditExported{Action: "export"})
		fails(t, "export", err, nil)
		same(t, "an export", at, w.last())
	}
	w.pass(time.Minute)
	reads(w.owner.actor, "list")
	w.records("after a minute", "acme: read list, 2 times")
}

// A node that ends writes down what it has counted; the next one begins anew.
func TestOccurrencesAtTheEnd(t *testing.T) {
	w := newWorld(t)
	before := w.last()
	end := background(w, func(ctx context.Context) error {
		return w.model.RecordOccurrences(ctx, time.Hour, zerolog.Nop())
	})
	w.notes(1, "POST tokens")
	w.until("the first", func() bool { return w.last() == before+1 })
	w.notes(41, "POST tokens")
	fails(t, "the end", end(), nil)
	want := []string{"acme: POST tokens, denied, 1 times", "acme: POST tokens, denied, 41 times"}
	if diff := cmp.Diff(want, w.occurred(before)); diff != "" {
		t.Errorf("in the end (-want +got):\n%s", diff)
	}
	w.model = w.other()
	w.notes(1, "POST tokens")
	w.records("on another node", "acme: POST tokens, denied, 1 times")
}

// Nothing more is known of an organization that was deleted.
func TestOccurrencesOfADeletedOrganization(t *testing.T) {
	w := newWorld(t)
	other, owner := w.create("globex", "zed@globex.test")
	w.model.Note(domain.Meta{Organization: other, Actor: owner.actor}, domain.AccessRefused{Action: "POST tokens", Code: "denied"})
	w.in(other, owner.actor, domain.DeleteOrganization{Alias: "globex"})
	w.records("of one that was deleted")
}

// A token that is good no more and is shown at an engine is known in its own
// organization, whoever asks; who that was is known only if they are of it.
func TestUnfitTokensAreKnown(t *testing.T) {
	w := newWorld(t)
	number := w.engine("prod", personal)
	door, _ := w.model.Engine(w.org, number)
	revoked, shown := w.issue(w.owner.actor, domain.Personal, "laptop")
	w.do(w.owner.actor, domain.RevokeToken{Token: revoked})
	burned, found := w.issue(w.owner.actor, domain.Personal, "desktop")
	w.do(domain.Actor{Kind: domain.ActorBearer, Token: burned}, domain.BurnToken{Token: burned, Hash: found.Hash()})
	other, zed := w.create("globex", "zed@globex.test")
	here := netip.MustParseAddr("192.0.2.9")
	asks := map[string]struct {
		ask  func(string, Use) error
		by   domain.TokenID
		want string
	}{
		"at the door":    {func(text string, u Use) error { _, err := w.model.Enter(w.org, door.Number, text, "", u); return err }, door.Token, "engine:prod"},
		"by its engine":  {func(text string, u Use) error { _, err := w.model.CheckFor(w.org, text, u); return err }, door.Token, "engine:prod"},
		"by a neighbour": {func(text string, u Use) error { _, err := w.model.CheckFor(other, text, u); return err }, zed.first, ""},
	}
	for name, c := range asks {
		t.Run(name, func(t *testing.T) {
			for code, secret := range map[string]domain.Secret{"revoked": shown, "burned": found} {
				fails(t, code, c.ask(secret.Reveal(), Use{Address: here, Engine: c.by}), nil)
				due := w.model.occurrences.due(domain.At(w.now()), true)
				if len(due) != 1 {
					t.Fatalf("%s: %d are due", code, len(due))
				}
				got, meta := due[0].command.(domain.RecordRefusal), due[0].meta
				if got.Action != "check" || got.Code != code || got.Target != c.want || got.Token != meta.Actor.Token || got.Reason != "the token was revoked" {
					t.Errorf("%s: recorded is %+v", code, got)
				}
				if meta.Organization != w.org || meta.Actor.Kind != domain.ActorBearer || meta.Address != here.String() {
					t.Errorf("%s: it is known of %+v", code, meta)
				}
				w.pass(3 * time.Hour)
				w.model.occurrences.due(domain.At(w.now()), false)
			}
			fails(t, "who comes themselves", c.ask(shown.Reveal(), Use{Address: here}), nil)
			fails(t, "what is none", c.ask("jtn_pat_nothing", Use{Engine: c.by}), nil)
			if due := w.model.occurrences.due(domain.At(w.now()), true); len(due) != 0 {
				t.Errorf("also known is %+v", due)
			}
		})
	}
}
