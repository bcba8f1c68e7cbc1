package projections

import (
	"net/netip"

	"jeton/domain"
)

// Counted is how a token was used at an engine since the engine's last report.
type Counted struct {
	Token       domain.TokenID
	Count       uint32 // requests
	Last        domain.Instant
	Address     netip.Addr // of its last bearer; invalid: nobody says
	Agent       string
	Permissions []string // that were asked for and allowed
}

// CountUses counts what an engine of an organization has seen, by the token that the
// engine shows to the platform. Who comes in at no engine is not counted, whatever
// the engine says, and nobody of another organization; nor is a use believed that
// has not happened yet.
func (m *Model) CountUses(org domain.OrganizationID, engineToken domain.TokenID, uses []Counted) {
	now := domain.At(m.now())
	for i := range uses {
		if u := &uses[i]; u.Count > 0 && u.Last > 0 {
			m.countUse(org, engineToken, u, uint32(min(u.Last, now)/minute))
		}
	}
}

func (m *Model) countUse(org domain.OrganizationID, engineToken domain.TokenID, u *Counted, at uint32) {
	k, allowed := m.counting(org, u)
	if k == nil {
		return
	}
	k.raise(at)
	d := m.uses.hold(k, org, u.Token)
	if d == nil {
		m.uses.missed.Add(uint64(u.Count))
		return
	}
	defer d.mu.Unlock()
	d.addUse(&Use{Agent: u.Agent, Engine: engineToken}, networkOf(u.Address), at, u.Count)
	for i := range allowed {
		d.permissions[i] |= allowed[i]
	}
}

// Reuse is a secret of a token that was rotated out, and shown at an engine.
type Reuse struct {
	Token domain.TokenID
	Hash  domain.Hash // of the secret
}

// CountReuses lets Watch know of secrets that an engine of an organization was shown, as
// if they had been shown here. A token of another organization, one that comes in at no
// engine, and a secret that the token never had are ignored, whatever the engine says.
func (m *Model) CountReuses(org domain.OrganizationID, reused []Reuse) {
	now := domain.At(m.now())
	for i := range reused {
		if c := (Checked{Home: org, shown: reused[i].Hash}); m.replaced(&c, &reused[i], now) {
			m.reused(&c)
		}
	}
}

// replaced reports whether a token of Home once had a secret that does not work any more.
func (m *Model) replaced(c *Checked, u *Reuse, now domain.Instant) bool {
	t, place := m.tenantOf(u.Token)
	if t == nil || t.name != c.Home.Boundary() {
		return false
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	kind := t.state.Tokens.At(place).Kind
	t.state.CheckAt(&c.Verdict, place, domain.Shown{Kind: kind, Token: u.Token, Hash: u.Hash}, &domain.Ask{Now: now})
	return kind != domain.Administrative && c.Replaced != 0 && c.Replaced <= now
}

// counting is the mark of a token that comes in at engines of an organization, and
// the permissions there that it was used for; nil: there is none.
func (m *Model) counting(org domain.OrganizationID, u *Counted) (k *mark, allowed domain.Permissions) {
	t, place := m.tenantOf(u.Token)
	if t == nil || t.name != org.Boundary() {
		return nil, allowed
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	if t.state.Tokens.At(place).Kind == domain.Administrative {
		return nil, allowed
	}
	for _, name := range u.Permissions {
		if p := t.state.Permission(name); p != domain.NoPermission {
			allowed[p/64] |= 1 << (p % 64)
		}
	}
	return t.marks.at(place), allowed
}
