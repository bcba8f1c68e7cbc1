package projections

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"jeton/domain"
	"jeton/eventstore"
)

// facts are what is so in an organization at a moment, in the words that the
// model and the views have in common.
type facts struct {
	Organization OrganizationRow // zero: there is none any more
	Tokens       map[domain.TokenID]tokenFacts
	Members      map[domain.AccountID]domain.Member
	Programs     map[domain.AccountID]domain.ServiceAccount
	Engines      map[domain.Position]engineFacts
	Projects     map[string]domain.Position
	Records      map[domain.Position]sentFacts
	Objects      map[string]bool // the contents of records
}

type tokenFacts struct {
	Number    domain.Position
	Kind      domain.TokenKind
	Holder    domain.AccountID
	Account   domain.Account // of a person who is still there
	Suspended bool
	Status    Status
	Revoked   bool
	Waits     bool
	Until     domain.Instant // then nobody can approve any more, if somebody still can
	Unbound   bool
	Terms     domain.Terms
	Expires   domain.Instant
	Made      domain.Instant
	Rotated   bool
	Previous  domain.Instant // the end of the secret before, if it still works
	Reused    domain.Instant
	Changed   domain.Position
}

// modelSays is what a model knows of an organization at the world's moment.
func modelSays(w *world, m *Model, org domain.OrganizationID) (f facts) {
	w.Helper()
	profile, known := m.Profile(org)
	if !known {
		return f
	}
	f = facts{OrganizationRow(profile), map[domain.TokenID]tokenFacts{}, map[domain.AccountID]domain.Member{}, map[domain.AccountID]domain.ServiceAccount{}, nil, nil, nil, nil}
	waiting := map[domain.TokenID]domain.Instant{}
	for _, p := range m.Approvals(org) {
		waiting[p.Token] = p.Until
	}
	now := domain.At(w.now())
	t := m.tenant(org)
	t.mu.RLock()
	defer t.mu.RUnlock()
	for token := range t.state.Tokens.All() {
		f.add(m, t.state, *token, waiting[token.ID], now)
	}
	for _, id := range w.programs {
		if program, known := t.state.ServiceAccount(id); known {
			f.Programs[id] = program
		}
	}
	for _, p := range t.people {
		if p == nil {
			continue
		}
		if member, known := t.state.Member(p.id); known {
			f.Members[p.id] = member
		}
	}
	if org == w.org {
		w.sent.said(w, &f, t.state)
	}
	return f
}

func (f *facts) add(m *Model, o *domain.Organization, t domain.Token, until, now domain.Instant) {
	s := o.Describe(t.ID, &domain.Ask{Now: now, Used: now})
	k := tokenFacts{
		Number: t.Number, Kind: t.Kind, Holder: t.Holder, Status: Active, Revoked: t.Revoked, Waits: t.Waiting, Until: until,
		Unbound: t.Unbound, Terms: s.Terms, Expires: t.Expires, Made: t.Issued, Rotated: t.Rotated, Previous: s.Until, Reused: s.Seen, Changed: t.Changed,
	}
	switch {
	case t.Revoked:
		k.Status = Revoked
	case !t.Live(now):
		k.Status = Expired
	case t.Waiting:
		k.Status = Waiting
	}
	if member, known := o.Member(t.Holder); known {
		k.Suspended = member.Suspended
	}
	if program, known := o.ServiceAccount(t.Holder); known {
		k.Suspended = program.Disabled
	}
	k.Account, _ = m.Account(t.Holder)
	f.Tokens[t.ID] = k
}

// viewsSay is what the views know of it.
func viewsSay(w *world, v *Views, org domain.OrganizationID) (f facts) {
	w.Helper()
	ctx := w.Context()
	row, err := v.Organization(ctx, org)
	if err != nil {
		fails(w, "organization", err, domain.ErrNotFound)
		return f
	}
	f = facts{row, map[domain.TokenID]tokenFacts{}, map[domain.AccountID]domain.Member{}, map[domain.AccountID]domain.ServiceAccount{}, nil, nil, nil, nil}
	now := domain.At(w.now())
	for _, r := range everyToken(w, v, org) {
		f.Tokens[r.ID] = r.facts(now)
	}
	members, err := v.Members(ctx, org, Page{Limit: highestLimit})
	fails(w, "members", err, nil)
	for _, r := range members {
		f.Members[r.Account] = domain.Member{Role: r.Role, Suspended: r.Suspended, Limit: r.Limit, Changed: r.Changed}
	}
	programs, err := v.ServiceAccounts(ctx, org, Page{Limit: highestLimit})
	fails(w, "service accounts", err, nil)
	for _, r := range programs {
		f.Programs[r.ID] = domain.ServiceAccount{Number: r.Number, Grant: r.Grant, Disabled: r.Disabled, Limit: r.Limit, Changed: r.Changed}
	}
	w.sent.read(w, &f, v, org)
	return f
}

func (r TokenRow) facts(now domain.Instant) tokenFacts {
	f := tokenFacts{
		Number: r.Number, Kind: r.Kind, Holder: r.Holder, Suspended: r.Suspended,
		Status: r.Status(now), Revoked: r.Revoked != 0, Waits: r.Waiting != 0, Unbound: r.Unbound, Terms: r.Terms,
		Expires: r.Expires, Made: r.Made, Rotated: r.Rotated != 0, Reused: r.Reused, Changed: r.Changed,
	}
	if r.PreviousUntil > now {
		f.Previous = r.PreviousUntil
	}
	if r.Waiting > now && f.Status == Waiting {
		f.Until = r.Waiting
	}
	if r.HolderEmail != "" && r.HolderEmail != eventstore.Pseudonym(r.Holder) { // the model no longer knows who is gone
		f.Account = domain.Account{Number: r.HolderNumber, Email: r.HolderEmail}
	}
	return f
}

// everyToken reads all pages.
func everyToken(w *world, v *Views, org domain.OrganizationID) (all []TokenRow) {
	w.Helper()
	f := TokenFilter{Organization: org, Limit: highestLimit}
	for {
		page, err := v.Tokens(w.Context(), f)
		fails(w, "tokens", err, nil)
		if len(page) == 0 {
			return all
		}
		all = append(all, page...)
		f.Before = page[len(page)-1].Number
	}
}

// agree wants the views to say of an organization what the model says.
func agree(w *world, v *Views, org domain.OrganizationID) {
	w.Helper()
	caughtUp(w, v)
	sameFacts(w, "the views and the model", viewsSay(w, v, org), modelSays(w, w.model, org))
}

// here is the world in a part of a test.
func (w *world) here(t testing.TB) *world {
	here := *w
	here.TB = t
	return &here
}

// agrees runs a test's world on both databases.
func agrees(t *testing.T, w *world) {
	t.Helper()
	everywhere(t, func(t *testing.T, url string) {
		here := w.here(t)
		agree(here, viewsOf(here, url), w.org)
	})
}

// rebuilt wants the rows of views to come out the same from the log once more.
func rebuilt(w *world, v *Views, end func() error) {
	w.Helper()
	caughtUp(w, v)
	before := dump(w, v)
	fails(w, "end", end(), nil)
	fails(w, "rebuild", v.Rebuild(context.Background(), w.store, storeID), nil)
	same(w, "rows after a rebuild", dump(w, v), before)
}

func sameFacts(t testing.TB, what string, got, want facts) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.EquateComparable(domain.Network{})); diff != "" {
		t.Fatalf("%s: (-want +got)\n%s", what, diff)
	}
}
