package projections

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"jeton/domain"
	"jeton/eventstore"
)

// chronicle is the whole log, as who begins with the first commit reads it.
type chronicle []domain.Commit

func (w *world) chronicle() (all chronicle) {
	w.Helper()
	last := w.last()
	ctx, cancel := context.WithCancel(w.Context())
	defer cancel()
	err := w.store.Follow(ctx, eventstore.Head{}, func(r eventstore.Record) error {
		c, err := eventstore.Decode(r)
		if err != nil {
			return err
		}
		if all = append(all, c); c.Position == last {
			cancel()
		}
		return nil
	})
	if ctx.Err() == nil {
		fails(w, "follow", err, nil)
	}
	return all
}

// fold is an organization as the commits make it that had happened, and who of the
// people was gone; none if it was not there yet.
func (all chronicle) fold(org domain.OrganizationID, happened func(domain.Commit) bool) (o *domain.Organization, at domain.Commit, gone map[domain.AccountID]bool) {
	gone = map[domain.AccountID]bool{}
	for _, c := range all {
		if !happened(c) {
			continue
		}
		if c.Organization == org {
			if o == nil {
				o = domain.NewOrganization(org)
			}
			o.Evolve(c)
			at = c
		}
		for _, e := range c.Events {
			if e, is := e.(domain.AccountDeleted); is {
				gone[e.Account] = true
			}
		}
	}
	return o, at, gone
}

// shown is everything that answers show of an organization.
type shownThen struct {
	Name            string
	Changed         domain.Position
	Version         domain.Position
	Policy          domain.Policy
	PolicyChanged   domain.Position
	Roles           []domain.RoleDefinition
	Definitions     []domain.Definition
	Engines         []domain.Engine
	Waiting         []domain.Pending
	Members         map[domain.AccountID]domain.Member
	ServiceAccounts map[domain.AccountID]domain.ServiceAccount
	Tokens          map[domain.TokenID]standingThen
}

type standingThen struct {
	Number                           domain.Position
	Kind                             domain.TokenKind
	Holder                           domain.AccountID
	Issued, Expires                  domain.Instant
	Revoked, Waits, Unbound, Rotated bool
	Changed                          domain.Position
	Reason                           domain.Reason
	Role                             domain.Role
	Granted                          domain.Permissions
	TokenLimit, HolderLimit          domain.Limit
	Terms                            domain.Terms
	Allows                           []string
	On                               []domain.Resource
	Cut                              []domain.Cut
	Until, Seen                      domain.Instant
	Enters                           map[domain.Position]domain.Reason
}

func showThen(o *domain.Organization, now domain.Instant, people []domain.AccountID, programs []domain.AccountID) shownThen {
	s := shownThen{
		o.Name, o.Changed, o.Version, o.Policy, o.PolicyChanged, o.Roles(), o.Definitions(), o.Engines(), o.Waiting(now),
		map[domain.AccountID]domain.Member{}, map[domain.AccountID]domain.ServiceAccount{}, map[domain.TokenID]standingThen{},
	}
	for _, id := range people {
		if member, known := o.Member(id); known {
			s.Members[id] = member
		}
	}
	for _, id := range programs {
		if program, known := o.ServiceAccount(id); known {
			s.ServiceAccounts[id] = program
		}
	}
	ask := domain.Ask{Now: now, Used: now}
	for token := range o.Tokens.All() {
		d, t := o.Describe(token.ID, &ask), *token
		s.Tokens[t.ID] = standingThen{
			t.Number, t.Kind, t.Holder, t.Issued, t.Expires, t.Revoked, t.Waiting, t.Unbound, t.Rotated, t.Changed,
			d.Reason, d.Role, d.Granted, d.TokenLimit, d.HolderLimit, d.Terms, d.Allows, d.On, d.Cut, d.Until, d.Seen, map[domain.Position]domain.Reason{},
		}
	}
	return s
}

func sameThen(t testing.TB, what string, got, want any) {
	t.Helper()
	options := []cmp.Option{
		cmpopts.EquateEmpty(), cmpopts.EquateComparable(domain.Network{}), cmp.AllowUnexported(domain.RoleDefinition{}, domain.Door{}),
	}
	if diff := cmp.Diff(want, got, options...); diff != "" {
		t.Fatalf("%s: (-want +got)\n%s", what, diff)
	}
}

// rowsThen are the rows of all lists at a moment.
type rowsThen struct {
	At              domain.Position
	Organization    OrganizationRow
	Tokens          []TokenRow
	Members         []MemberRow
	ServiceAccounts []ServiceAccountRow
	Engines         []EngineRow
}

func (w *world) rowsThen(ctx context.Context, v *Views) (r rowsThen) {
	w.Helper()
	var err error
	r.Organization, err = v.Organization(ctx, w.org)
	fails(w, "organization", err, nil)
	for f := (TokenFilter{Organization: w.org, Limit: 7}); ; {
		page, err := v.Tokens(ctx, f)
		fails(w, "tokens", err, nil)
		if len(page) == 0 {
			break
		}
		r.Tokens = append(r.Tokens, page...)
		f.Before = page[len(page)-1].Number
	}
	r.Members, err = v.Members(ctx, w.org, Page{Limit: highestLimit})
	fails(w, "members", err, nil)
	r.ServiceAccounts, err = v.ServiceAccounts(ctx, w.org, Page{Limit: highestLimit})
	fails(w, "service accounts", err, nil)
	r.Engines, err = v.Engines(ctx, w.org, Page{Limit: highestLimit})
	fails(w, "engines", err, nil)
	return r
}

// TestPastIsAFoldFromTheFirstCommit: whatever happened, and whichever moment is asked
// about, by position or by time.
func TestPastIsAFoldFromTheFirstCommit(t *testing.T) {
	everywhere(t, func(t *testing.T, url string) {
		const seed = 3
		l := newLife(t, seed)
		v := viewsOf(l.world, url)
		past := &Past{Model: l.model, Views: v}
		var seen []rowsThen
		for range 24 {
			l.live(50)
			caughtUp(l.world, v)
			rows := l.rowsThen(t.Context(), v)
			rows.At = l.last()
			seen = append(seen, rows)
		}
		for _, was := range seen {
			then, err := past.At(t.Context(), l.org, Asked{Position: was.At})
			fails(t, "at", err, nil)
			again := l.rowsThen(then.Context(t.Context()), v)
			again.At = was.At
			sameThen(t, "rows", again, was)
		}
		checkMoments(t, l, past, seed)
	})
}

func checkMoments(t *testing.T, l *life, past *Past, seed uint64) {
	t.Helper()
	all, random := l.chronicle(), rand.New(rand.NewPCG(seed, 7))
	people := []domain.AccountID{l.owner.id}
	for _, p := range l.people {
		people = append(people, p.id)
	}
	for range 60 {
		asked := Asked{Position: 1 + domain.Position(random.Uint64N(uint64(l.last())))}
		happened := func(c domain.Commit) bool { return c.Position <= asked.Position }
		if random.IntN(2) == 0 {
			from := domain.At(noon)
			asked = Asked{Time: from + domain.Instant(random.Int64N(int64(domain.At(l.now())-from)+1))}
			happened = func(c domain.Commit) bool { return c.Time <= asked.Time }
		}
		want, at, gone := all.fold(l.org, happened)
		then, err := past.At(t.Context(), l.org, asked)
		fails(t, "at", err, nil)
		same(t, "position", then.Position, at.Position)
		if asked.Position != 0 {
			same(t, "time", then.Time, at.Time)
		}
		_ = then.Model.read(l.org, func(got *domain.Organization) error {
			sameThen(t, "organization", showThen(got, then.Time, people, l.world.programs), showThen(want, then.Time, people, l.world.programs))
			return nil
		})
		for token := range want.Tokens.All() {
			ask := domain.Ask{Now: then.Time, Used: then.Time}
			reason := want.Describe(token.ID, &ask).Reason
			if reason == domain.ReasonNone && token.Kind == domain.Personal && gone[token.Holder] {
				reason = domain.ReasonDeleted
			}
			standing, known := then.Model.Standing(l.org, token.ID)
			same(t, "known", known, true)
			same(t, "reason of "+token.ID.String(), standing.Reason, reason)
		}
	}
}

// TestMomentsThatAreNone are refused.
func TestMomentsThatAreNone(t *testing.T) {
	asked(t, func(t *testing.T, h *history, v *Views) {
		past := &Past{Model: h.model, Views: v}
		for what, c := range map[string]struct {
			org   domain.OrganizationID
			asked Asked
			err   error
		}{
			"a position that is not yet":      {h.org, Asked{Position: h.last() + 1}, domain.ErrInvalid},
			"a time that is not yet":          {h.org, Asked{Time: domain.At(h.now().Add(time.Second))}, domain.ErrInvalid},
			"a position before it was made":   {h.neighbour, Asked{Position: h.at["neighbour"] - 1}, domain.ErrNotFound},
			"a time before it was made":       {h.neighbour, Asked{Time: h.time["neighbour"] - 1}, domain.ErrNotFound},
			"the moment when it was made":     {h.neighbour, Asked{Time: h.time["neighbour"]}, nil},
			"the position at which it was":    {h.neighbour, Asked{Position: h.at["neighbour"]}, nil},
			"now":                             {h.org, Asked{Time: domain.At(h.now())}, nil},
			"an organization that never was":  {newOrganizationID(), Asked{Position: 1}, domain.ErrNotFound},
			"a moment when nothing happened":  {h.org, Asked{Time: h.time["laptop"] + 1}, nil},
			"a position of somebody else's":   {h.org, Asked{Position: h.at["neighbour"]}, nil},
			"the last commit of the whole":    {h.org, Asked{Position: h.last()}, nil},
			"an organization, a time at zero": {h.org, Asked{}, domain.ErrNotFound},
		} {
			_, err := past.At(t.Context(), c.org, c.asked)
			fails(t, what, err, c.err)
		}
	})
}
