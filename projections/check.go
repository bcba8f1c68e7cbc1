package projections

import (
	"net/netip"

	"jeton/domain"
)

// Use is how a token is being used: what its bearer wants, and from where.
type Use struct {
	Address    netip.Addr // of the bearer; invalid: nobody says
	Permission string     // what they want to do; empty: nobody asks
	Resource   domain.Resource
	Agent      string              // the bearer's program, as it calls itself
	Engine     domain.TokenID      // what whoever asks has shown; zero: the bearer came here
	Free       bool                // does not count against limits
	Needs      []domain.Permission // what the door wants: noted as used as far as the token may do it
}

// Checked is the answer of a check, with what is known around the token.
type Checked struct {
	domain.Verdict
	Organization domain.OrganizationID // in which the token was checked
	Number       domain.Position       // of the organization
	Alias        string                // of the organization
	Home         domain.OrganizationID // to which the token belongs: another one only if it follows its holder
	Account      domain.Account        // the holder, for personal tokens
	Allowance    domain.Allowance
	At           domain.Instant
	shown        domain.Hash
	mark         *mark             // by which the token's use is noted
	asked        domain.Permission // the one of Use.Permission, where it was asked for
}

// Check asks whether what somebody shows is the secret of a token that is good
// now, in the organization that it belongs to. It touches memory only and
// allocates nothing. The error is that the model does not serve; a bad secret is
// an answer, not an error.
func (m *Model) Check(text string, use Use) (c Checked, err error) {
	if err = m.look(&c, text, &use); err == nil {
		m.settle(&c, &use)
	}
	return c, err
}

// CheckFor is Check asked by somebody inside an organization: they learn nothing
// about the tokens of others, but of those that follow their holders here.
func (m *Model) CheckFor(asker domain.OrganizationID, text string, use Use) (c Checked, err error) {
	if err = m.look(&c, text, &use); err != nil {
		return c, err
	}
	if c.Token.Kind != domain.NoKind && c.Organization != asker {
		m.visit(&c, asker, &use)
	}
	m.settle(&c, &use)
	return c, nil
}

// CheckIn is Check by the door of an organization. A token that is no good is no
// good as its own organization says; a good one of another organization is
// foreign, unless it follows its holder here.
func (m *Model) CheckIn(org domain.OrganizationID, text string, use Use) (c Checked, err error) {
	if err = m.look(&c, text, &use); err != nil {
		return c, err
	}
	if c.Active() && c.Organization != org {
		m.visit(&c, org, &use)
	}
	m.settle(&c, &use)
	return c, nil
}

// Owner is the organization whose token has the secret, or had it, however it stands
// now. Nothing is noted: somebody has found it and does not use it.
func (m *Model) Owner(secret string) (org domain.OrganizationID, known bool, err error) {
	var c Checked
	if err := m.look(&c, secret, &Use{}); err != nil {
		return org, false, err
	}
	return c.Home, c.Token.Kind != domain.NoKind, nil
}

// Bearer is who shows a secret, as their own organization has them. Nothing is noted:
// they have come to another one, where they are nobody.
func (m *Model) Bearer(secret string, use Use) (c Checked, err error) {
	err = m.look(&c, secret, &use)
	return c, err
}

// look finds the token of a secret and how it stands at home.
func (m *Model) look(c *Checked, text string, use *Use) error {
	if err := m.Err(); err != nil {
		return err
	}
	shown, ok := domain.ParseSecret(text)
	if !ok {
		c.Reason = domain.ReasonMalformed
		return nil
	}
	t, at := m.tenantOf(shown.Token)
	if t == nil {
		c.Reason = domain.ReasonUnknown
		return nil
	}
	c.At = domain.At(m.now())
	t.mu.RLock()
	mark := t.marks.at(at)
	ask := domain.Ask{Now: c.At, Address: use.Address, Permission: use.Permission, Resource: use.Resource, Used: mark.used()}
	t.state.CheckAt(&c.Verdict, at, shown, &ask)
	if c.Token.Kind != domain.NoKind { // the handle alone, which is no secret, tells nothing
		c.Organization, c.Number, c.Alias, c.Home = t.state.ID, t.state.Number, t.state.Alias, t.state.ID
		c.know(t.holder(&c.Verdict))
		c.count(mark, t, use)
	}
	t.mu.RUnlock()
	c.shown = shown.Hash
	return nil
}

// know adds the person who holds the token. One whose account was deleted holds
// nothing, whatever the organization still says.
func (c *Checked) know(p *person) {
	if p != nil {
		c.Account = *p.account.Load()
		p.judge(&c.Verdict)
	}
}

// holder is the person who holds a token; nil: no person does.
func (t *tenant) holder(v *domain.Verdict) *person {
	if v.Token.Kind != domain.Personal || int(v.Seat) >= len(t.people) {
		return nil
	}
	return t.people[v.Seat]
}

func (p *person) judge(v *domain.Verdict) {
	if p.gone.Load() && v.Active() {
		v.Reason, v.Granted = domain.ReasonDeleted, domain.Permissions{}
	}
}

// visit looks how a token stands in another organization than its own. Only one
// that is good at home and follows its holder can be anything there.
func (m *Model) visit(c *Checked, asker domain.OrganizationID, use *Use) {
	here, account, home, mark, replaced := m.tenant(asker), c.Account, c.Home, c.mark, c.Replaced
	m.mind(c, use)
	pass, follows := m.pass(c)
	*c = Checked{Verdict: domain.Verdict{Reason: domain.ReasonForeign}, At: c.At}
	if here == nil || !follows {
		return
	}
	here.mu.RLock()
	defer here.mu.RUnlock()
	ask := domain.Ask{Now: c.At, Address: use.Address, Permission: use.Permission, Resource: use.Resource, Used: c.At}
	v := here.state.Admit(pass, &ask)
	if v.Reason == domain.ReasonForeign {
		return
	}
	c.Verdict, c.Replaced, c.Account, c.Home = v, replaced, account, home
	c.Organization, c.Number, c.Alias = asker, here.state.Number, here.state.Alias
	c.count(mark, here, use)
}

// pass is what a token that follows its holder takes along.
func (m *Model) pass(c *Checked) (pass domain.Pass, follows bool) {
	if !c.Active() || !c.Token.Unbound {
		return pass, false
	}
	_ = m.read(c.Home, func(o *domain.Organization) error { pass, follows = o.Pass(&c.Verdict); return nil })
	return pass, follows
}

// settle takes the request out of what is left of the token's limits, and notes
// that it was used.
func (m *Model) settle(c *Checked, use *Use) {
	m.mind(c, use)
	if c.Active() && !use.Free {
		left, ok := m.allowances.take(c.Organization, &c.Verdict, c.At)
		if c.Allowance = left; !ok {
			c.Reason, c.Granted = domain.ReasonLimited, domain.Permissions{}
		}
	}
	if c.Active() {
		m.note(c, use)
	}
}

// mind lets it be known what was shown that nobody should have any more.
func (m *Model) mind(c *Checked, use *Use) {
	switch c.Reason {
	case domain.ReasonNone:
	case domain.ReasonReplaced:
		m.reused(c)
	default:
		m.unfit(c, use)
	}
}

// tenantOf is the tenant of a token and the token's place in it.
func (m *Model) tenantOf(token domain.TokenID) (*tenant, uint32) {
	if at, known := m.tokens.find(token); known {
		return (*m.tenants.Load())[at.tenant], at.token
	}
	return nil, 0
}
