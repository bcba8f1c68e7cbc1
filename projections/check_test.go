package projections

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"jeton/domain"
)

// checkIn is a check by the door of an organization.
func (w *world) checkIn(m *Model, org domain.OrganizationID, s domain.Secret, use Use) *Checked {
	w.Helper()
	found, err := m.CheckIn(org, s.Reveal(), use)
	fails(w, "check", err, nil)
	return &found
}

// travels is a world with a second organization, and bob, who is a member of both
// and has a token of the first that follows him.
type travels struct {
	*world
	bob     somebody
	follows domain.TokenID
	secret  domain.Secret
	abroad  domain.OrganizationID
	theirs  somebody // owns it
}

func newTravels(t testing.TB) *travels {
	t.Helper()
	w := &travels{world: newWorld(t)}
	w.bob = w.join("bob@example.org", domain.Admin)
	w.abroad, w.theirs = w.create("abroad", "theirs@example.org")
	w.in(w.abroad, w.theirs.actor, domain.AddMember{Account: w.bob.id, Role: domain.Ordinary})
	w.follows, w.secret = w.issue(w.bob.actor, domain.Personal, "everywhere", func(c *domain.IssueToken) { c.Unbound = true })
	return w
}

func (w *travels) actor() domain.Actor {
	return domain.Actor{Kind: domain.ActorMember, Account: w.bob.id, Token: w.follows}
}

// TestTokenThatFollowsItsHolder is what its holder is abroad, not what they are at home.
func TestTokenThatFollowsItsHolder(t *testing.T) {
	w := newTravels(t)
	for what, check := range map[string]func(domain.OrganizationID, string, Use) (Checked, error){"for": w.model.CheckFor, "in": w.model.CheckIn} {
		found, err := check(w.abroad, w.secret.Reveal(), Use{Permission: "tokens.check"})
		fails(t, what, err, nil)
		if !found.Active() || found.Organization != w.abroad || found.Home != w.org || found.Alias != "abroad" || found.Role != domain.Ordinary ||
			found.Account.Email != "bob@example.org" || found.ID != w.follows || found.Denied != domain.ReasonNone {
			t.Errorf("check %s: %+v", what, found)
		}
		found, err = check(w.abroad, w.secret.Reveal(), Use{Permission: "members.add"})
		if err != nil || found.Denied != domain.ReasonPermission {
			t.Errorf("check %s, what he may do at home only: %q (%v)", what, found.Denied, err)
		}
		found, err = check(w.abroad, w.bob.secret.Reveal(), Use{})
		fails(t, what, err, nil)
		if found.Reason != domain.ReasonForeign || found.ID != (domain.TokenID{}) {
			t.Errorf("check %s, of a token that does not follow: %+v", what, found)
		}
	}
	found, err := w.model.Check(w.secret.Reveal(), Use{})
	if err != nil || !found.Active() || found.Organization != w.org || found.Role != domain.Admin {
		t.Errorf("at home: %+v (%v)", found, err)
	}
	lonely, _ := w.create("lonely", "lonely@example.org")
	if found := w.checkIn(w.model, lonely, w.secret, Use{}); found.Reason != domain.ReasonForeign || found.Account.Email != "" {
		t.Errorf("where he is nobody: %+v", found)
	}
}

// TestWhatStopsATokenAbroad: both organizations can, each by its own means.
func TestWhatStopsATokenAbroad(t *testing.T) {
	yes := true
	for what, c := range map[string]struct {
		do   func(w *travels)
		want domain.Reason // to the door abroad
	}{
		"revoked at home":      {func(w *travels) { w.do(w.bob.actor, domain.RevokeToken{Token: w.follows}) }, domain.ReasonRevoked},
		"suspended at home":    {func(w *travels) { w.do(w.owner.actor, domain.UpdateMember{Account: w.bob.id, Suspended: &yes}) }, domain.ReasonSuspended},
		"home is switched off": {func(w *travels) { w.demand(func(p *domain.Policy) { p.Off = true }) }, domain.ReasonOff},
		"removed at home":      {func(w *travels) { w.do(w.owner.actor, domain.RemoveMember{Account: w.bob.id}) }, domain.ReasonRevoked},
		"the account is gone": {func(w *travels) {
			w.above(w.owner.actor, domain.OrganizationID{}, domain.DeleteAccount{Account: w.bob.id})
		}, domain.ReasonDeleted},
		"it has expired": {func(w *travels) { w.pass(400 * 24 * time.Hour) }, domain.ReasonExpired},
		"suspended abroad": {func(w *travels) {
			w.in(w.abroad, w.theirs.actor, domain.UpdateMember{Account: w.bob.id, Suspended: &yes})
		}, domain.ReasonSuspended},
		"removed abroad":    {func(w *travels) { w.in(w.abroad, w.theirs.actor, domain.RemoveMember{Account: w.bob.id}) }, domain.ReasonForeign},
		"bound tokens only": {func(w *travels) { w.demandIn(w.abroad, w.theirs.actor, func(p *domain.Policy) { p.BoundOnly = true }) }, domain.ReasonUnbound},
		"abroad is off":     {func(w *travels) { w.demandIn(w.abroad, w.theirs.actor, func(p *domain.Policy) { p.Off = true }) }, domain.ReasonOff},
		"abroad is deleted": {func(w *travels) { w.in(w.abroad, w.theirs.actor, domain.DeleteOrganization{Alias: "abroad"}) }, domain.ReasonDeleted},
		"networks abroad":   {func(w *travels) { w.demandIn(w.abroad, w.theirs.actor, only("192.0.2.0/24")) }, domain.ReasonNetwork},
		"a shorter life abroad": {func(w *travels) {
			w.demandIn(w.abroad, w.theirs.actor, func(p *domain.Policy) { p.Personal.Longest = 3600; p.Personal.Default = 0 })
		}, domain.ReasonPolicy},
	} {
		t.Run(what, func(t *testing.T) {
			w := newTravels(t)
			other := w.other()
			if what == "a shorter life abroad" { // or whoever sets it would be locked out
				secret := w.rotateIn(w.abroad, w.theirs)
				w.theirs.secret = secret
			}
			c.do(w)
			fails(t, "the other node", other.Wait(t.Context(), w.last()), nil)
			for node, m := range map[string]*Model{"this node": w.model, "the other node": other} {
				if found := w.checkIn(m, w.abroad, w.secret, Use{}); found.Reason != c.want || !found.Granted.IsZero() {
					t.Errorf("%s, at the door: %q %v, want %q", node, found.Reason, found.Granted, c.want)
				}
				found, err := m.CheckFor(w.abroad, w.secret.Reveal(), Use{})
				if err != nil || found.Active() {
					t.Errorf("%s, asked from inside: %q (%v)", node, found.Reason, err)
				}
				meta := domain.Meta{Organization: w.abroad, Actor: w.actor()}
				if what != "abroad is deleted" {
					fails(t, node+", a query", m.Allows(meta, domain.OrganizationRead), domain.ErrDenied)
				}
				_, err = m.Execute(t.Context(), meta, domain.UpdateOrganization{Name: "Mine"})
				if err == nil {
					t.Errorf("%s executes a command", node)
				}
			}
		})
	}
}

func only(network string) func(*domain.Policy) {
	return func(p *domain.Policy) { p.Networks = []domain.Network{netip.MustParsePrefix(network)} }
}

// rotateIn gives somebody's first token an end within the hour.
func (w *world) rotateIn(org domain.OrganizationID, p somebody) domain.Secret {
	w.Helper()
	secret, err := domain.NewSecret(domain.Personal, p.first, zeros{})
	fails(w, "draw", err, nil)
	w.in(org, p.actor, domain.RotateToken{Token: p.first, Hash: secret.Hash(), Expires: domain.At(w.now().Add(time.Minute))})
	return secret
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }

// TestCommandsAbroad: a token that follows its holder does abroad what they may
// do there, on every node, and its commits name it.
func TestCommandsAbroad(t *testing.T) {
	w := newTravels(t)
	other := w.other()
	meta := domain.Meta{Organization: w.abroad, Actor: w.actor()}
	for i, m := range []*Model{w.model, other} {
		fails(t, "query", m.Allows(meta, domain.TokensCheck), nil)
		fails(t, "query", m.Allows(meta, domain.MembersAdd), domain.ErrDenied)
		c, secret := issuing(domain.Personal, fmt.Sprint("abroad ", i))
		o, err := m.Execute(t.Context(), meta, c)
		fails(t, "issue", err, nil)
		if o.Actor != w.actor() {
			t.Errorf("by %+v, want %+v", o.Actor, w.actor())
		}
		if found, err := m.Check(secret.Reveal(), Use{}); err != nil || !found.Active() || found.Organization != w.abroad || found.Account.Email != "bob@example.org" {
			t.Errorf("what it made: %+v (%v)", found, err)
		}
		c, _ = issuing(domain.Personal, "unbound")
		c.Unbound = true
		_, err = m.Execute(t.Context(), meta, c)
		fails(t, "issue one that follows, by one that follows", err, domain.ErrDenied)
		_, err = m.Execute(t.Context(), meta, domain.UpdateOrganization{Name: "Mine"})
		fails(t, "what he may do at home only", err, domain.ErrDenied)
		fails(t, "the first node", w.model.Wait(t.Context(), w.last()), nil)
		fails(t, "the other node", other.Wait(t.Context(), w.last()), nil)
	}
	agreeAbroad := w.here(t)
	agreeAbroad.org = w.abroad
	agrees(t, agreeAbroad)
}

// TestReplacedAbroad: a secret that was rotated out and still works for a while is
// known as such everywhere.
func TestReplacedAbroad(t *testing.T) {
	w := newTravels(t)
	w.rotate(w.actor(), w.follows, hour)
	until := domain.At(w.now().Add(time.Hour))
	if found := w.check(w.model, w.secret); !found.Active() || found.Replaced != until {
		t.Errorf("at home: %q, replaced %s", found.Reason, found.Replaced)
	}
	if found := w.checkIn(w.model, w.abroad, w.secret, Use{}); !found.Active() || found.Replaced != until {
		t.Errorf("abroad: %q, replaced %s, want %s", found.Reason, found.Replaced, until)
	}
	w.pass(time.Hour)
	if found := w.checkIn(w.model, w.abroad, w.secret, Use{}); found.Reason != domain.ReasonReplaced {
		t.Errorf("abroad, afterwards: %q", found.Reason)
	}
}

// TestWhoseToken: the answer names the holder, however the token stands.
func TestWhoseToken(t *testing.T) {
	w := newWorld(t)
	bob := w.join("bob@example.org", domain.Ordinary)
	w.do(w.owner.actor, domain.RevokeToken{Token: bob.first})
	if found := w.check(w.model, bob.secret); found.Reason != domain.ReasonRevoked || found.Account.Email != "bob@example.org" {
		t.Errorf("revoked: %q of %q, want bob's", found.Reason, found.Account.Email)
	}
	_, robot := w.issue(w.owner.actor, domain.Administrative, "robot")
	if found := w.check(w.model, robot); found.Account != (domain.Account{}) {
		t.Errorf("administrative: of %q, want nobody's", found.Account.Email)
	}
}

// TestDeletedAccountIsInactiveAtOnce: before any organization has heard of it.
func TestDeletedAccountIsInactiveAtOnce(t *testing.T) {
	w := newWorld(t)
	other := w.other()
	bob := w.join("bob@example.org", domain.Admin)
	w.above(w.owner.actor, domain.OrganizationID{}, domain.DeleteAccount{Account: bob.id})
	fails(t, "the other node", other.Wait(t.Context(), w.last()), nil)
	for node, m := range map[string]*Model{"this node": w.model, "the other node": other} {
		if found := w.check(m, bob.secret); found.Reason != domain.ReasonDeleted || !found.Granted.IsZero() {
			t.Errorf("%s: %q %v", node, found.Reason, found.Granted)
		}
		fails(t, node+", a query", m.Allows(w.meta(bob.actor), domain.OrganizationRead), domain.ErrDenied)
		_, err := m.Execute(t.Context(), w.meta(bob.actor), domain.UpdateOrganization{Name: "Mine"})
		fails(t, node+", a command", err, domain.ErrDenied)
		if s, known := m.Standing(w.org, bob.first); !known || s.Reason != domain.ReasonDeleted {
			t.Errorf("%s, looked at: %q", node, s.Reason)
		}
	}
}

// TestDeletedOrganizationIsNotFound by whoever asks about it, nor is anything in it good.
func TestDeletedOrganizationIsNotFound(t *testing.T) {
	w := newWorld(t)
	other, theirs := w.create("other", "other@example.org")
	profile, _ := w.model.Profile(other)
	w.in(other, theirs.actor, domain.DeleteOrganization{Alias: "other"})
	if found := w.check(w.model, theirs.secret); found.Reason != domain.ReasonDeleted {
		t.Errorf("its token: %q", found.Reason)
	}
	for _, name := range []string{"other", fmt.Sprint(profile.Number)} {
		if _, known := w.model.Find(name); known {
			t.Errorf("%q is found", name)
		}
	}
	_, known := w.model.Profile(other)
	if known || w.model.OwnedAlone(theirs.id) != "" {
		t.Error("it is remembered as if it were there")
	}
	fails(t, "query", w.model.Allows(domain.Meta{Organization: other, Actor: theirs.actor}, domain.OrganizationRead), domain.ErrNotFound)
	_, err := w.model.Execute(t.Context(), domain.Meta{Organization: other, Actor: theirs.actor}, domain.UpdateOrganization{Name: "again"})
	fails(t, "command", err, domain.ErrNotFound)
	fails(t, "operating from it", w.model.AllowsOperator(theirs.actor), domain.ErrDenied)
}

func TestCheckAllocatesNothing(t *testing.T) {
	w := newTravels(t)
	w.demand(func(p *domain.Policy) {
		p.TokenLimit, p.HolderLimit = domain.Limit{Requests: 1_000_000, Window: 3600}, domain.Limit{Requests: 2_000_000, Window: 3600}
		p.Networks = []domain.Network{netip.MustParsePrefix("192.0.2.0/24")}
	})
	runner := w.program("runner", fullAccess)
	_, personal := w.issue(w.owner.actor, domain.Personal, "laptop")
	_, service := w.issue(w.owner.actor, domain.Service, "deploy", func(c *domain.IssueToken) { c.Holder = runner })
	_, administrative := w.issue(w.owner.actor, domain.Administrative, "robot", func(c *domain.IssueToken) {
		c.Terms = domain.Terms{Grant: domain.Grant{Access: domain.ReadOnly, Resources: []domain.Resource{"engine:*"}}, Networks: []domain.Network{netip.MustParsePrefix("192.0.2.0/28")}}
	})
	id, replaced := w.issue(w.owner.actor, domain.Administrative, "rotated")
	w.rotate(w.owner.actor, id, hour)
	old, reused := w.issue(w.owner.actor, domain.Administrative, "reused")
	w.rotate(w.owner.actor, old, 0)
	_, unknown := issuing(domain.Personal, "never stored")
	use := Use{Address: netip.MustParseAddr("192.0.2.1"), Permission: "engines.update", Resource: "engine:prod", Agent: "curl/8"}
	for what, secret := range map[string]string{
		"personal": personal.Reveal(), "service": service.Reveal(), "administrative": administrative.Reveal(), "follows": w.secret.Reveal(),
		"replaced": replaced.Reveal(), "reused": reused.Reveal(), "unknown": unknown.Reveal(), "malformed": "hello",
	} {
		for door, check := range map[string]func(){
			"check": func() { _, _ = w.model.Check(secret, use) },
			"for":   func() { _, _ = w.model.CheckFor(w.org, secret, use) },
			"in":    func() { _, _ = w.model.CheckIn(w.org, secret, use) },
		} {
			if n := testing.AllocsPerRun(100, check); n != 0 {
				t.Errorf("%s, %s: %v allocations, want none", what, door, n)
			}
		}
	}
	found, err := w.model.Check(personal.Reveal(), use)
	if err != nil || !found.Active() || found.Denied != domain.ReasonNone || found.Allowance.IsZero() {
		t.Errorf("personal: %+v (%v)", found, err)
	}
}
