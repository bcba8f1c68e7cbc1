package projections

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"jeton/domain"
	"jeton/eventstore"
)

func (w *world) check(m *Model, s domain.Secret) *Checked {
	w.Helper()
	found, err := m.Check(s.Reveal(), Use{})
	if err != nil {
		w.Fatal(err)
	}
	return &found
}

func TestIssuedIsActiveAndRevokedIsNot(t *testing.T) {
	w := newWorld(t)
	id, secret := w.issue(w.owner.actor, domain.Personal, "laptop")
	found := w.check(w.model, secret)
	if !found.Active() || found.ID != id || found.Organization != w.org || found.Alias != "acme" || found.Account.Email != "owner@example.org" {
		t.Fatalf("after issuing: %+v", found)
	}
	w.do(w.owner.actor, domain.RevokeToken{Token: id})
	if found := w.check(w.model, secret); found.Active() || found.Reason != domain.ReasonRevoked {
		t.Fatalf("after revoking: %+v", found)
	}
}

func TestAnotherNodeFollows(t *testing.T) {
	w := newWorld(t)
	other := w.other()
	id, secret := w.issue(w.owner.actor, domain.Personal, "laptop")
	for what, want := range map[string]domain.Reason{"issued": domain.ReasonNone, "revoked": domain.ReasonRevoked} {
		if what == "revoked" {
			w.do(w.owner.actor, domain.RevokeToken{Token: id})
		}
		if err := other.Wait(t.Context(), w.last()); err != nil {
			t.Fatal(err)
		}
		if found := w.check(other, secret); what == "revoked" && found.Reason != want {
			t.Fatalf("%s: the other node says %q, want %q", what, found.Reason, want)
		}
	}
}

func TestCheckOfWhatIsNoToken(t *testing.T) {
	w := newWorld(t)
	_, stranger := issuing(domain.Personal, "never stored")
	if found := w.check(w.model, stranger); found.Reason != domain.ReasonUnknown {
		t.Errorf("unknown secret: %q", found.Reason)
	}
	if found, err := w.model.Check("hello", Use{}); err != nil || found.Reason != domain.ReasonMalformed {
		t.Errorf("no secret: %q (%v)", found.Reason, err)
	}
}

func TestUnknownOrganization(t *testing.T) {
	w := newWorld(t)
	c, _ := issuing(domain.Personal, "laptop")
	meta := domain.Meta{Actor: w.owner.actor, Organization: newOrganizationID()}
	_, err := w.model.Execute(t.Context(), meta, c)
	fails(t, "command", err, domain.ErrNotFound)
	fails(t, "query", w.model.Allows(meta, domain.TokensReadAny), domain.ErrNotFound)
}

func TestFind(t *testing.T) {
	w := newWorld(t)
	for name, want := range map[string]bool{"acme": true, "1": true, "01": false, "+1": false, "2": false, "": false, "ACME": false} {
		if id, known := w.model.Find(name); known != want || known && id != w.org {
			t.Errorf("%q: got %v %v, want %v", name, id, known, want)
		}
	}
}

// TestNamesAreUniqueAcrossNodes: of the nodes that give a name at once one wins.
func TestNamesAreUniqueAcrossNodes(t *testing.T) {
	w := newWorld(t)
	nodes := []*Model{w.model, w.other(), w.other()}
	for round := range 20 {
		errs := atOnce(6, func(i int) error {
			c, _ := issuing(domain.Administrative, fmt.Sprint("name ", round))
			_, err := nodes[i%3].Execute(t.Context(), domain.Meta{Actor: w.owner.actor, Organization: w.org}, c)
			return err
		})
		onlyOne(t, errs, domain.ErrExists)
	}
	w.sameState(nodes...)
}

// TestLastOwnerStaysAcrossNodes: two owners who demote each other at once, on two nodes.
func TestLastOwnerStaysAcrossNodes(t *testing.T) {
	for range 20 {
		w := newWorld(t)
		second := w.join("second@example.org", domain.Owner)
		nodes := []*Model{w.model, w.other()}
		pairs := [][2]somebody{{w.owner, second}, {second, w.owner}}
		member := domain.Ordinary
		errs := atOnce(2, func(i int) error {
			meta := domain.Meta{Actor: pairs[i][0].actor, Organization: w.org}
			_, err := nodes[i].Execute(t.Context(), meta, domain.UpdateMember{Account: pairs[i][1].id, Role: &member})
			return err
		})
		onlyOne(t, errs, domain.ErrDenied) // who was demoted may not demote any more
		w.sameState(nodes...)
	}
}

// TestOwnersLeaveAtOnce: each may leave while the other stays.
func TestOwnersLeaveAtOnce(t *testing.T) {
	for range 20 {
		w := newWorld(t)
		second := w.join("second@example.org", domain.Owner)
		nodes, who := []*Model{w.model, w.other()}, []somebody{w.owner, second}
		errs := atOnce(2, func(i int) error {
			meta := domain.Meta{Actor: who[i].actor, Organization: w.org}
			_, err := nodes[i].Execute(t.Context(), meta, domain.RemoveMember{Account: who[i].id})
			return err
		})
		onlyOne(t, errs, domain.ErrState)
	}
}

func atOnce(n int, do func(int) error) []error {
	errs := make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { errs[i] = do(i) })
	}
	all.Wait()
	return errs
}

// onlyOne wants one success; all else is refused as lost says.
func onlyOne(t *testing.T, errs []error, lost error) {
	t.Helper()
	won := 0
	for _, err := range errs {
		switch {
		case err == nil:
			won++
		case !errors.Is(err, lost):
			t.Fatalf("got %v, want %v", err, lost)
		}
	}
	if won != 1 {
		t.Fatalf("%d won, want 1", won)
	}
}

// sameState wants all nodes to have folded the same.
func (w *world) sameState(nodes ...*Model) {
	w.Helper()
	for _, m := range nodes {
		if err := m.Wait(w.Context(), w.last()); err != nil {
			w.Fatal(err)
		}
		sameFacts(w, "state", modelSays(w, m, w.org), modelSays(w, nodes[0], w.org))
	}
}

// keyed is the occasion of a request with an idempotency key.
func (w *world) keyed(key, request string) domain.Meta {
	m := domain.Meta{Actor: w.owner.actor, Organization: w.org}
	copy(m.Key[:], key)
	copy(m.Intent[:], request)
	return m
}

func TestOwnCommitIsTakenOnce(t *testing.T) {
	w := newWorld(t)
	for i := range 50 {
		c, _ := issuing(domain.Administrative, fmt.Sprint("token ", i))
		if _, err := w.model.Execute(t.Context(), w.keyed(fmt.Sprint("key ", i), "issue"), c); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.model.Wait(t.Context(), w.last()); err != nil {
		t.Fatal(err)
	}
	if got := len(w.model.tenant(w.org).keys); got != 50 {
		t.Fatalf("%d keys are remembered, want 50: each commit once", got)
	}
}

func TestIdempotencyKeys(t *testing.T) {
	w := newWorld(t)
	other := w.other()
	c, _ := issuing(domain.Personal, "laptop")
	first, err := w.model.Execute(t.Context(), w.keyed("key", "issue laptop"), c)
	fails(t, "the first time", err, nil)
	if err := other.Wait(t.Context(), w.last()); err != nil {
		t.Fatal(err)
	}
	for _, m := range []*Model{w.model, other} {
		again, _ := issuing(domain.Personal, "laptop") // the transport draws another id and secret
		o, err := m.Execute(t.Context(), w.keyed("key", "issue laptop"), again)
		if err != nil || !o.Replayed || o.Position != first.Position || len(o.Events) != 0 {
			t.Fatalf("again: %+v (%v), want a replay of position %d", o, err, first.Position)
		}
		_, err = m.Execute(t.Context(), w.keyed("key", "issue desktop"), again)
		fails(t, "the key for something else", err, domain.ErrExists)
	}
	w.pass(keyLife)
	o, err := w.model.Execute(t.Context(), w.keyed("key", "issue laptop"), c)
	if err != nil || !o.Replayed {
		t.Fatalf("on the last moment of the key: %+v (%v), want a replay", o, err)
	}
}

// TestKeyExpires: after its day a key may be used like a new one.
func TestKeyExpires(t *testing.T) {
	w := newWorld(t)
	for i := range 3 {
		c, _ := issuing(domain.Personal, fmt.Sprint("laptop ", i))
		o, err := w.model.Execute(t.Context(), w.keyed("key", fmt.Sprint("request ", i)), c)
		if err != nil || o.Replayed || len(o.Events) != 1 {
			t.Fatalf("use %d: %+v (%v), want a commit", i, o, err)
		}
		w.pass(keyLife + time.Millisecond)
	}
}

// TestSentAgainToAnotherNode: the other node does not have the commit of the
// first attempt yet when it decides the second.
func TestSentAgainToAnotherNode(t *testing.T) {
	w := newWorld(t)
	slow := &slowStore{Store: w.store, appended: make(chan struct{})}
	slow.until = w.last()
	other := w.on(slow)
	c, _ := issuing(domain.Personal, "laptop")
	first, err := w.model.Execute(t.Context(), w.keyed("key", "issue laptop"), c)
	fails(t, "the first node", err, nil)

	w.pass(time.Second)
	again, lost := issuing(domain.Personal, "laptop")
	o, err := other.Execute(t.Context(), w.keyed("key", "issue laptop"), again)
	if err != nil || !o.Replayed || o.Position != first.Position {
		t.Errorf("the other node: %+v (%v), want a replay of position %d", o, err, first.Position)
	}
	fails(t, "following", other.Wait(t.Context(), w.last()), nil)
	fails(t, "the other node serves", other.Err(), nil)
	if found, err := other.Check(lost.Reveal(), Use{}); err != nil || found.Active() {
		t.Errorf("the secret of the second attempt: %+v (%v), want that it is unknown", found.Verdict, err)
	}
}

// slowStore shows nothing behind a position before something was appended.
type slowStore struct {
	eventstore.Store
	until    domain.Position
	appended chan struct{}
	once     sync.Once
}

func (s *slowStore) Append(ctx context.Context, e eventstore.Entry, after domain.Position) (domain.Position, error) {
	at, err := s.Store.Append(ctx, e, after)
	s.once.Do(func() { close(s.appended) })
	return at, err
}

func (s *slowStore) Follow(ctx context.Context, from eventstore.Head, do func(eventstore.Record) error) error {
	return s.Store.Follow(ctx, from, func(r eventstore.Record) error {
		if r.Position > s.until {
			select {
			case <-s.appended:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return do(r)
	})
}

// TestUnknownOutcome: the log took the commit and could not say so. Whoever asks
// again with the same key gets the truth.
func TestUnknownOutcome(t *testing.T) {
	w := newWorld(t)
	m := w.on(muteStore{w.store})
	c, secret := issuing(domain.Personal, "laptop")
	_, err := m.Execute(t.Context(), w.keyed("key", "issue laptop"), c)
	fails(t, "the first time", err, eventstore.ErrUnknown)
	if err := m.Wait(t.Context(), w.last()); err != nil {
		t.Fatal(err)
	}
	o, err := m.Execute(t.Context(), w.keyed("key", "issue laptop"), c)
	if err != nil || !o.Replayed || o.Position != w.last() {
		t.Fatalf("again: %+v (%v), want a replay of position %d", o, err, w.last())
	}
	if !w.check(m, secret).Active() {
		t.Fatal("the token is not active")
	}
}

// muteStore takes what it is given and does not say so.
type muteStore struct{ eventstore.Store }

func (s muteStore) Append(ctx context.Context, e eventstore.Entry, after domain.Position) (domain.Position, error) {
	if _, err := s.Store.Append(ctx, e, after); err != nil {
		return 0, err
	}
	return 0, eventstore.ErrUnknown
}

// refusingStore finds a conflict whatever it is given.
type refusingStore struct {
	eventstore.Store
	asked *int
}

func (s refusingStore) Append(context.Context, eventstore.Entry, domain.Position) (domain.Position, error) {
	*s.asked++
	return 0, eventstore.ErrConflict
}

func TestConflictsEnd(t *testing.T) {
	w := newWorld(t)
	asked := 0
	m := w.on(refusingStore{w.store, &asked})
	c, _ := issuing(domain.Personal, "laptop")
	_, err := m.Execute(t.Context(), domain.Meta{Actor: w.owner.actor, Organization: w.org}, c)
	fails(t, "command", err, eventstore.ErrConflict)
	if asked != attempts {
		t.Fatalf("asked %d times, want %d", asked, attempts)
	}
}

// refuses wants a model that has stopped to answer nothing.
func (w *world) refuses(m *Model, want error) {
	w.Helper()
	_, err := m.Check(w.owner.secret.Reveal(), Use{})
	fails(w, "check", err, want)
	c, _ := issuing(domain.Personal, "laptop")
	_, err = m.Execute(w.Context(), domain.Meta{Actor: w.owner.actor, Organization: w.org}, c)
	if err == nil {
		w.Error("a command was executed")
	}
	fails(w, "loading", m.Loaded(w.Context()), want)
	fails(w, "waiting", m.Wait(w.Context(), w.last()+1), want)
}

func TestRememberedHeads(t *testing.T) {
	w := newWorld(t)
	w.grow(10)
	v := viewsOf(w, sqliteURL(t))
	known, _, err := v.Remembered(t.Context())
	fails(t, "remembered", err, nil)

	for what, c := range map[string]struct {
		store eventstore.Store
		at    domain.Position
	}{
		"the log went backwards":      {logUpTo(t, w.store, known.Position-1), known.Position},
		"the log is empty":            {new(eventstore.Memory), 1},
		"the log is of another world": {grown(t, 20), known.Position},
	} {
		t.Run(what, func(t *testing.T) {
			m := NewModel(c.store, vault, w.now)
			err := m.Run(t.Context(), known)
			isDamage(t, "run", err, c.at)
			here := *w
			here.TB = t
			here.refuses(m, err)
		})
	}

	w.node(known, eventstore.Head{}) // the same log
}

func grown(t *testing.T, commits int) eventstore.Store {
	w := newWorld(t)
	w.grow(commits)
	return w.store
}

func TestUnreadableCommitStopsTheModel(t *testing.T) {
	for what, data := range map[string]string{
		"kind":    `{"v":1,"id":%q,"at":"2027-03-01T12:00:00Z","by":{"kind":"system"},"events":[{"kind":"token.forged","data":{}}]}`,
		"version": `{"v":3,"id":%q,"at":"2027-03-01T12:00:00Z","by":{"kind":"system"},"events":[]}`,
		"rubbish": `%q`,
	} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t)
			m := NewModel(w.store, vault, w.now)
			stopped := make(chan error, 1)
			background(t, func(ctx context.Context) error { err := m.Run(ctx); stopped <- err; return err })
			fails(t, "before", m.Loaded(t.Context()), nil)
			id := domain.RandomCommandID()
			w.entry(eventstore.Entry{ID: id, Boundary: "x", Data: fmt.Appendf(nil, data, id)}, 0)
			err := <-stopped
			if err == nil || !strings.Contains(err.Error(), fmt.Sprint("commit ", w.last())) {
				t.Fatalf("got %v, want an error about commit %d", err, w.last())
			}
			w.refuses(m, err)
		})
	}
}

func TestLogThatContradictsItself(t *testing.T) {
	for what, c := range map[string]func(w *world) domain.Commit{
		"another commit before": func(w *world) domain.Commit {
			return domain.Commit{Meta: domain.Meta{Organization: w.org}, Boundary: w.org.Boundary()}
		},
		"an organization that never was": func(w *world) domain.Commit {
			return domain.Commit{Meta: domain.Meta{Organization: newOrganizationID()}, Boundary: "x"}
		},
		"another organization's boundary": func(w *world) domain.Commit {
			return domain.Commit{Meta: domain.Meta{Organization: w.org}, Boundary: "x"}
		},
	} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t)
			w.issue(w.owner.actor, domain.Personal, "laptop")
			commit, after := c(w), domain.Position(0)
			if commit.Boundary == w.org.Boundary() {
				after = w.last()
			}
			at := w.commit(commit.Boundary, after, commit)
			m := NewModel(w.store, vault, w.now)
			err := m.Run(t.Context())
			isDamage(t, "run", err, at)
			w.refuses(m, err)
		})
	}
}

// TestNothingIsServedFromHalfALog: what is revoked at the end of the log is not
// let in while its beginning is being read.
func TestNothingIsServedFromHalfALog(t *testing.T) {
	w := newWorld(t)
	id, secret := w.issue(w.owner.actor, domain.Personal, "laptop")
	slow := &slowStore{Store: w.store, appended: make(chan struct{}), until: w.last()}
	w.do(w.owner.actor, domain.RevokeToken{Token: id})

	m := NewModel(slow, vault, w.now)
	_, err := m.Check(secret.Reveal(), Use{})
	fails(t, "before Run", err, ErrLoading)
	background(t, func(ctx context.Context) error { return m.Run(ctx) })
	if err := m.Wait(t.Context(), slow.until); err != nil {
		t.Fatal(err)
	}
	_, err = m.Check(secret.Reveal(), Use{})
	fails(t, "half way", err, ErrLoading)
	slow.once.Do(func() { close(slow.appended) })
	fails(t, "loading", m.Loaded(t.Context()), nil)
	if found := w.check(m, secret); found.Reason != domain.ReasonRevoked {
		t.Fatalf("got %q, want revoked", found.Reason)
	}
}

// TestChecksWhileCommandsRun is for the race detector.
func TestChecksWhileCommandsRun(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for ctx.Err() == nil {
				if found, err := w.model.Check(w.owner.secret.Reveal(), Use{}); err != nil || !found.Active() {
					t.Errorf("%+v (%v)", found, err)
					return
				}
				_ = w.model.Allows(w.meta(w.owner.actor), domain.TokensReadAny)
				_, _ = w.model.Profile(w.org)
				_, _ = w.model.Find("acme")
				_ = w.model.OwnedAlone(w.owner.id)
				for _, t := range w.model.all() {
					_ = t.leavers()
				}
			}
		})
	}
	w.grow(200)
	for i := range 20 {
		w.create(fmt.Sprint("other", i), fmt.Sprintf("other%d@example.org", i))
	}
	cancel()
	readers.Wait()
}

func TestWhatTheModelKnows(t *testing.T) {
	w := newWorld(t)
	m := w.model
	bob := w.join("Bob@example.org", domain.Auditor)
	robot, _ := w.issue(w.owner.actor, domain.Administrative, "robot")
	number := w.last()

	if id, known := m.AccountOf("bob@EXAMPLE.org"); !known || id != bob.id {
		t.Errorf("account of an e-mail: %v %v", id, known)
	}
	account, _ := m.Account(bob.id)
	if id, known := m.AccountNumbered(account.Number); !known || id != bob.id || account.Email != "Bob@example.org" {
		t.Errorf("account of a number: %v %v, %+v", id, known, account)
	}
	if member, known := m.Member(w.org, bob.id); !known || member.Role != domain.Auditor {
		t.Errorf("member: %+v %v", member, known)
	}
	if token, known := m.Token(w.org, robot); !known || token.Number != number {
		t.Errorf("token: %+v %v", token, known)
	}
	if id, known := m.TokenNumbered(w.org, number); !known || id != robot {
		t.Errorf("token of a number: %v %v", id, known)
	}
	if _, known := m.TokenNumbered(w.org, number+1); known {
		t.Error("there is a token of a number that nobody gave")
	}
	if p, known := m.Profile(w.org); !known || p.Alias != "acme" || p.Number != 1 || p.Created != domain.At(noon) {
		t.Errorf("profile: %+v %v", p, known)
	}
	if got := m.Operators(); len(got) != 1 || got[0] != w.owner.id || !m.Founded() {
		t.Errorf("operators: %v, founded: %v", got, m.Founded())
	}
	fails(t, "the operator", m.AllowsOperator(w.owner.actor), nil)
	fails(t, "somebody else", m.AllowsOperator(bob.actor), domain.ErrDenied)
}

func TestWhatTheNeighbourKnows(t *testing.T) {
	w := newWorld(t)
	id, secret := w.issue(w.owner.actor, domain.Personal, "laptop")
	other, theirs := w.create("other", "other@example.org")
	m := w.model

	if _, known := m.Token(other, id); known {
		t.Error("the neighbour has the token")
	}
	if _, known := m.TokenNumbered(other, w.last()-1); known {
		t.Error("the neighbour has the token's number")
	}
	if _, known := m.Member(other, w.owner.id); known {
		t.Error("the neighbour has the member")
	}
	fails(t, "a right next door", m.Allows(domain.Meta{Organization: other, Actor: w.owner.actor}, domain.OrganizationRead), domain.ErrDenied)
	if found, err := m.CheckFor(w.org, secret.Reveal(), Use{}); err != nil || !found.Active() {
		t.Errorf("asked at home: %+v (%v)", found, err)
	}
	found, err := m.CheckFor(other, secret.Reveal(), Use{})
	fails(t, "asked next door", err, nil)
	tellsNothing(t, found, domain.ReasonForeign)
	if found, err := m.CheckFor(other, theirs.secret.Reveal(), Use{}); err != nil || !found.Active() {
		t.Errorf("their own: %+v (%v)", found, err)
	}
}

// TestForgedSecret: a stranger knows a token's handle, which is no secret, and
// makes up the rest with the right checksum.
func TestForgedSecret(t *testing.T) {
	w := newWorld(t)
	id, _ := w.issue(w.owner.actor, domain.Personal, "laptop")
	other, _ := w.create("other", "other@example.org")
	forged, err := domain.NewSecret(domain.Personal, id, rand.Reader)
	fails(t, "forge", err, nil)
	found, err := w.model.CheckFor(other, forged.Reveal(), Use{})
	fails(t, "check", err, nil)
	tellsNothing(t, found, domain.ReasonUnknown)
}

// tellsNothing wants an answer with nothing in it but its reason, and what the
// asker knew: the moment and what they had shown.
func tellsNothing(t testing.TB, found Checked, reason domain.Reason) {
	t.Helper()
	if want := (Checked{Verdict: domain.Verdict{Reason: reason}, At: found.At, shown: found.shown}); found != want {
		t.Errorf("got %+v, want %+v", found, want)
	}
}
