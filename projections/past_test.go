package projections

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
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
	for _, e := range s.Engines {
		o.Could(e, domain.Ask{Now: now}, func(uint32) domain.Instant { return now }, func(t *domain.Token, came *domain.Entrance) {
			s.Tokens[t.ID].Enters[e.Number] = came.Verdict.Reason + "," + came.Verdict.Denied + "," + domain.Reason(fmt.Sprint(came.Via))
		})
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
			was.forget()
			sameThen(t, "rows", again, was)
		}
		checkMoments(t, l, past, seed)
	})
}

// forget has a pseudonym for whoever was erased since: their past has none other.
func (r *rowsThen) forget() {
	pseudonym := func(id domain.AccountID, email *string) {
		if *email != "" && vault.Erased(eventstore.AccountKey(id)) {
			*email = eventstore.Pseudonym(id)
		}
	}
	for i := range r.Members {
		pseudonym(r.Members[i].Account, &r.Members[i].Email)
	}
	for i := range r.Tokens {
		token := &r.Tokens[i]
		pseudonym(token.Holder, &token.HolderEmail)
		for _, by := range []*Author{&token.IssuedBy, &token.RequestedBy, &token.RevokedBy} {
			pseudonym(by.Account, &by.Email)
		}
	}
	for i := range r.ServiceAccounts {
		pseudonym(r.ServiceAccounts[i].CreatedBy.Account, &r.ServiceAccounts[i].CreatedBy.Email)
	}
	for i := range r.Engines {
		pseudonym(r.Engines[i].CreatedBy.Account, &r.Engines[i].CreatedBy.Email)
	}
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

// TestCouldIsWhatTheDoorSays: who shows a secret at the door comes in if, and only if,
// the list of those who could has their token.
func TestCouldIsWhatTheDoorSays(t *testing.T) {
	w := newWorld(t)
	o := w.do(w.owner.actor, domain.RegisterEngine{Name: "prod", Door: domain.Door{PersonalTokens: true}, EngineToken: engineToken()})
	bob, eve := w.join("bob@example.org", domain.Ordinary), w.join("eve@example.org", domain.Auditor)
	suspended := true
	w.do(w.owner.actor, domain.UpdateMember{Account: eve.id, Suspended: &suspended})
	secrets := map[domain.TokenID]domain.Secret{w.owner.first: w.owner.secret, bob.first: bob.secret, eve.first: eve.secret}
	network := netip.MustParsePrefix("192.0.2.0/24")
	for name, change := range map[string]func(*domain.IssueToken){
		"plain": func(*domain.IssueToken) {},
		"here":  func(c *domain.IssueToken) { c.Terms.Networks = []domain.Network{network} },
		"elsewhere": func(c *domain.IssueToken) {
			c.Terms.Networks = []domain.Network{netip.MustParsePrefix("198.51.100.0/24")}
		},
		"later": func(c *domain.IssueToken) { c.Terms.NotBefore = domain.At(w.now().Add(time.Hour)) },
	} {
		id, secret := w.issue(w.owner.actor, domain.Personal, name, change)
		secrets[id] = secret
	}
	here := netip.MustParseAddr("192.0.2.7")
	for _, permission := range []string{"", "tokens.check", "members.add"} {
		_, all, err := w.model.Could(w.org, o.Position, Wanted{Permission: permission, Address: here})
		fails(t, "could", err, nil)
		asked := 0
		for _, e := range all {
			secret, known := secrets[e.Token]
			if !known {
				continue
			}
			asked++
			entered, err := w.model.Enter(w.org, o.Position, secret.Reveal(), "", Use{Address: here, Permission: permission})
			fails(t, "enter", err, nil)
			same(t, fmt.Sprintf("%s for %q", e.Token, permission), e.Via, entered.Via)
		}
		same(t, "asked", asked, len(secrets))
	}
	anywhere, said := 0, 0
	for into, wanted := range map[*int]Wanted{&anywhere: {}, &said: {Address: here}} {
		_, all, err := w.model.Could(w.org, o.Position, wanted)
		fails(t, "could", err, nil)
		for _, e := range all {
			if e.Via != domain.ViaNothing {
				*into++
			}
		}
	}
	same(t, "who could from anywhere, besides those from here", anywhere-said, 1)
	_, _, err := w.model.Could(w.org, o.Position, Wanted{Permission: "clones.fly"})
	fails(t, "a permission that is none", err, domain.ErrInvalid)
	_, _, err = w.model.Could(w.org, o.Position+1, Wanted{})
	fails(t, "an engine that is none", err, domain.ErrNotFound)
}

// TestHistoryOfAToken has what happened to it and around it, and what only time did.
func TestHistoryOfAToken(t *testing.T) {
	w := newWorld(t)
	bob := w.join("bob@example.org", domain.Ordinary)
	id, _ := w.issue(bob.actor, domain.Personal, "laptop", func(c *domain.IssueToken) { c.Expires = domain.At(w.now().Add(24 * time.Hour)) })
	other, _ := w.issue(bob.actor, domain.Personal, "other")
	w.pass(time.Hour)
	w.do(bob.actor, domain.RevokeToken{Token: other, Reason: "not this one"})
	suspended, reinstated, auditor := true, false, domain.Auditor
	w.do(w.owner.actor, domain.UpdateMember{Account: bob.id, Suspended: &suspended, Reason: "why"})
	w.do(w.owner.actor, domain.UpdateMember{Account: bob.id, Suspended: &reinstated})
	w.do(w.owner.actor, domain.CreateRole{Name: "unrelated", Permissions: []string{"tokens.check"}})
	w.rotate(bob.actor, id, 3600)
	w.do(w.owner.actor, domain.UpdateMember{Account: bob.id, Role: &auditor})
	w.demand(func(p *domain.Policy) { p.Off = true })
	w.demand(func(p *domain.Policy) { p.Off = false; p.Description = true })
	w.demand(func(p *domain.Policy) { p.Description = false }) // changes nothing for the token
	w.pass(48 * time.Hour)
	w.above(w.owner.actor, domain.OrganizationID{}, domain.DeleteAccount{Account: bob.id})
	w.do(system, domain.RemoveMember{Account: bob.id, Reason: "the account was deleted"})

	everywhere(t, func(t *testing.T, url string) {
		past := &Past{Model: w.model, Views: viewsOf(w.here(t), url)}
		now, err := past.Now(t.Context(), w.org)
		fails(t, "now", err, nil)
		steps, err := past.History(t.Context(), w.org, id, now)
		fails(t, "history", err, nil)
		var got []string
		for _, s := range steps {
			what := string(s.Passed)
			if s.Event != nil {
				what = s.Event.Kind() + " by " + s.By.Email
			}
			if s.Around {
				what = "* " + what
			}
			got = append(got, what+" -> "+string(s.Reason))
		}
		same(t, "steps", got, []string{
			"token.issued by bob@example.org -> ",
			"* member.suspended by owner@example.org -> suspended",
			"* member.reinstated by owner@example.org -> ",
			"token.rotated by bob@example.org -> ",
			"* member.role_changed by owner@example.org -> ",
			"* policy.changed by owner@example.org -> off",
			"* policy.changed by owner@example.org -> ",
			"overlapped -> ",
			"expired -> expired",
			"token.revoked by  -> revoked",
		})
		if len(steps[4].Lost) == 0 || len(steps[4].Gained) == 0 {
			t.Errorf("another role: lost %v, gained %v", steps[4].Lost, steps[4].Gained)
		}
		then, err := past.At(t.Context(), w.org, Asked{Position: steps[3].Position})
		fails(t, "at", err, nil)
		until, err := past.History(t.Context(), w.org, id, then.Moment)
		fails(t, "history until then", err, nil)
		same(t, "steps until then", len(until), 4)
		_, err = past.History(t.Context(), w.org, domain.TokenID{ID: domain.RandomID()}, now)
		fails(t, "of none", err, domain.ErrNotFound)
	})
}

// TestThePastUsesItsIndexes: of tokens and of moments nothing is read that is not
// asked for, however much there was.
func TestThePastUsesItsIndexes(t *testing.T) {
	w := newWorld(t)
	everywhere(t, func(t *testing.T, url string) {
		v := viewsOf(w.here(t), url)
		fill(t, v, w.org)
		tamper(t, v, "INSERT INTO tokens_past SELECT t.*, t.number, t.number + 100 FROM tokens t WHERE t.organization = ?", w.org.String())
		tamper(t, v, `INSERT INTO commits
WITH RECURSIVE n (n) AS (SELECT 100 UNION ALL SELECT n + 1 FROM n WHERE n < 20000)
SELECT n, boundary, organization, id, at + n, account, data, chain FROM commits, n WHERE organization = ?`, w.org.String())
		if v.write.DriverName() != "sqlite" {
			_, err := v.write.ExecContext(t.Context(), "ANALYZE")
			fails(t, "analyze", err, nil)
		}
		for what, c := range map[string]struct{ query, want string }{
			"a page": {selectTokens + "\n\tAND t.number < 300" + newestTokens, "tokens_past_by_number"},
			"one":    {tokenByID, "tokens_past_of"},
			"a time": {momentOfTime, "commits_of_time"},
		} {
			args := map[string][]any{"a page": {w.org, 50}, "one": {w.org, "id300"}, "a time": {w.org, domain.At(noon) + 500}}[what]
			plan := planOf(t, v, dated(asOf(t.Context(), 350), c.query), args...)
			if !strings.Contains(plan, c.want) {
				t.Errorf("%s: it does not use %s:\n%s", what, c.want, plan)
			}
		}
	})
}

func planOf(t *testing.T, v *Views, query string, args ...any) (plan string) {
	t.Helper()
	explain := "EXPLAIN "
	if v.read.DriverName() == "sqlite" {
		explain = "EXPLAIN QUERY PLAN "
	}
	rows, err := v.read.QueryxContext(t.Context(), v.read.Rebind(explain+query), values(args)...)
	fails(t, "explain", err, nil)
	defer rows.Close()
	for rows.Next() {
		plan += line(t, rows) + "\n"
	}
	fails(t, "explain", rows.Err(), nil)
	return plan
}
