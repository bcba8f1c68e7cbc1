package projections

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"jeton/domain"
	"jeton/eventstore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// noon is when every test begins.
var noon = time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)

// world is a platform on a log in memory, with a clock that the test moves.
type world struct {
	testing.TB
	store eventstore.Store
	model *Model
	end   func() error // of the model
	clock *atomic.Int64

	org   domain.OrganizationID // the first organization
	owner somebody              // its owner, and the first operator

	programs []domain.AccountID // the service accounts that there are or were
	sent     sent
}

// somebody is somebody who can act.
type somebody struct {
	id     domain.AccountID
	actor  domain.Actor
	first  domain.TokenID
	secret domain.Secret
}

// worldOn has a log and a model that follows it until the test ends.
func worldOn(t testing.TB, store eventstore.Store, remembered ...eventstore.Head) *world {
	t.Helper()
	w := &world{TB: t, store: store, clock: new(atomic.Int64)}
	w.clock.Store(noon.UnixMilli())
	w.model, w.end = w.node(remembered...)
	return w
}

// newWorld is founded: position 1 of its log.
func newWorld(t testing.TB) *world {
	t.Helper()
	w := worldOn(t, new(eventstore.Memory))
	w.org, w.owner = w.found("acme", "owner@example.org")
	return w
}

func (w *world) now() time.Time { return time.UnixMilli(w.clock.Load()) }

func (w *world) pass(d time.Duration) { w.clock.Add(d.Milliseconds()) }

// node is a model of the log, which follows it until the test ends or end is called.
func (w *world) node(remembered ...eventstore.Head) (m *Model, end func() error) {
	w.Helper()
	m = NewModel(w.store, vault, w.now)
	end = background(w, func(ctx context.Context) error { return m.Run(ctx, remembered...) })
	if err := m.Loaded(w.Context()); err != nil {
		w.Fatal(err)
	}
	return m, end
}

// other is another server with the same log.
func (w *world) other() *Model {
	w.Helper()
	m, _ := w.node()
	return m
}

// on is another server whose log is not quite the same.
func (w *world) on(store eventstore.Store) *Model {
	w.Helper()
	here := &world{TB: w.TB, store: store, clock: w.clock}
	return here.other()
}

// background runs something until the test ends, or it is told to end.
func background(t testing.TB, run func(context.Context) error) (end func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		err = run(ctx)
	}()
	end = func() error {
		cancel()
		<-done
		return err
	}
	t.Cleanup(func() { _ = end() })
	return end
}

func newSomebody() (somebody, domain.FirstToken) {
	id := domain.TokenID{ID: domain.RandomID()}
	secret, _ := domain.NewSecret(domain.Personal, id, rand.Reader)
	p := somebody{id: domain.AccountID{ID: domain.RandomID()}, first: id, secret: secret}
	p.actor = domain.Actor{Kind: domain.ActorMember, Account: p.id, Token: id}
	return p, domain.FirstToken{Token: id, Hash: secret.Hash()}
}

func newOrganizationID() domain.OrganizationID {
	return domain.OrganizationID{ID: domain.RandomID()}
}

func (w *world) found(alias, email string) (domain.OrganizationID, somebody) {
	w.Helper()
	p, first := newSomebody()
	id := newOrganizationID()
	w.above(system, id, domain.Found{
		Organization: id, Alias: alias, Name: "The " + alias, Account: p.id, Email: email, First: first,
	})
	return id, p
}

// create makes another organization with an owner of its own.
func (w *world) create(alias, email string) (domain.OrganizationID, somebody) {
	w.Helper()
	p, first := newSomebody()
	id := newOrganizationID()
	w.above(w.owner.actor, id, domain.CreateOrganization{
		Organization: id, Alias: alias, Name: "The " + alias, OwnerEmail: email, Account: p.id, First: first,
	})
	return id, p
}

// join makes somebody a member of the first organization.
func (w *world) join(email string, role domain.Role) somebody {
	w.Helper()
	p, first := newSomebody()
	w.above(w.owner.actor, domain.OrganizationID{}, domain.RegisterAccount{Account: p.id, Email: email})
	w.do(w.owner.actor, domain.AddMember{Account: p.id, Role: role, First: first})
	return p
}

func (w *world) above(a domain.Actor, org domain.OrganizationID, c domain.DirectoryCommand) Outcome {
	w.Helper()
	o, err := w.model.ExecuteDirectory(w.Context(), domain.Meta{Actor: a, Organization: org}, c)
	if err != nil {
		w.Fatalf("%T: %v", c, err)
	}
	return o
}

// do executes a command in the first organization.
func (w *world) do(a domain.Actor, c domain.OrganizationCommand) Outcome {
	w.Helper()
	return w.in(w.org, a, c)
}

func (w *world) in(org domain.OrganizationID, a domain.Actor, c domain.OrganizationCommand) Outcome {
	w.Helper()
	meta := w.meta(a)
	meta.Organization = org
	o, err := w.model.Execute(w.Context(), meta, c)
	if err != nil {
		w.Fatalf("%T: %v", c, err)
	}
	return o
}

// issue makes a token; what change changes of the command is for the case.
func (w *world) issue(a domain.Actor, kind domain.TokenKind, name string, change ...func(*domain.IssueToken)) (domain.TokenID, domain.Secret) {
	w.Helper()
	c, secret := issuing(kind, name)
	for _, change := range change {
		change(&c)
	}
	w.do(a, c)
	return c.Token, secret
}

func issuing(kind domain.TokenKind, name string) (domain.IssueToken, domain.Secret) {
	id := domain.TokenID{ID: domain.RandomID()}
	secret, _ := domain.NewSecret(kind, id, rand.Reader)
	return domain.IssueToken{Token: id, Kind: kind, Name: name, Hash: secret.Hash()}, secret
}

// meta is the occasion of whoever does something in the first organization.
func (w *world) meta(a domain.Actor) domain.Meta {
	return domain.Meta{Actor: a, Organization: w.org, Request: "r-1", Address: "192.0.2.1"}
}

// demand changes the policy of the first organization.
func (w *world) demand(change func(*domain.Policy)) {
	w.Helper()
	w.demandIn(w.org, w.owner.actor, change)
}

func (w *world) demandIn(org domain.OrganizationID, a domain.Actor, change func(*domain.Policy)) {
	w.Helper()
	p, _ := w.model.Policy(org)
	change(&p)
	w.in(org, a, domain.UpdatePolicy{Policy: p})
}

// rotate gives a token a new secret.
func (w *world) rotate(a domain.Actor, id domain.TokenID, overlap domain.Seconds) domain.Secret {
	w.Helper()
	t, _ := w.model.Token(w.org, id)
	secret, err := domain.NewSecret(t.Kind, id, rand.Reader)
	if err != nil {
		w.Fatal(err)
	}
	w.do(a, domain.RotateToken{Token: id, Hash: secret.Hash(), Overlap: overlap})
	return secret
}

// program makes a service account.
func (w *world) program(name string, grant domain.Grant) domain.AccountID {
	w.Helper()
	id := domain.AccountID{ID: domain.RandomID()}
	w.do(w.owner.actor, domain.CreateServiceAccount{Account: id, Name: name, Grant: grant})
	w.programs = append(w.programs, id)
	return id
}

var system = domain.Actor{Kind: domain.ActorSystem}

func (w *world) last() domain.Position {
	w.Helper()
	last, err := w.store.Last(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	return last
}

// grow adds about so many commits of all kinds of changes to tokens and members.
func (w *world) grow(commits int) {
	w.Helper()
	for i := 0; commits > 0; i++ {
		id, _ := w.issue(w.owner.actor, domain.Administrative, fmt.Sprintf("token %d of %d", i, w.last()))
		if i%3 == 0 {
			name, description := fmt.Sprintf("renamed %d of %d", i, w.last()), "what for"
			w.do(w.owner.actor, domain.UpdateToken{Token: id, Name: &name, Description: &description})
			commits--
		}
		if i%4 == 0 {
			w.do(w.owner.actor, domain.RevokeToken{Token: id, Reason: "over"})
			commits--
		}
		if i%50 == 0 {
			p := w.join(fmt.Sprintf("p%d@example.org", w.last()), domain.Ordinary)
			w.do(w.owner.actor, domain.RemoveMember{Account: p.id, Reason: "left"})
			commits -= 3
		}
		w.pass(time.Second)
		commits--
	}
}

// commit appends what no command would: a commit with these events.
func (w *world) commit(b domain.Boundary, after domain.Position, c domain.Commit) domain.Position {
	w.Helper()
	c.Boundary, c.Command, c.Time = b, domain.RandomCommandID(), domain.At(w.now())
	e, err := eventstore.Encode(c)
	if err != nil {
		w.Fatal(err)
	}
	return w.entry(e, after)
}

func (w *world) entry(e eventstore.Entry, after domain.Position) domain.Position {
	w.Helper()
	at, err := w.store.Append(w.Context(), e, after)
	if err != nil {
		w.Fatal(err)
	}
	return at
}
