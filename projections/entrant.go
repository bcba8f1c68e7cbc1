package projections

import (
	"net/netip"

	"jeton/domain"
)

// Entrant is a token at the door of an engine: what its bearer would be told.
type Entrant struct {
	Token  domain.TokenID
	Number domain.Position
	Via    domain.Via    // ViaNothing: they would not come in
	Reason domain.Reason // why not
}

// Wanted is what somebody wants at the door of an engine.
type Wanted struct {
	Permission string // empty: to come in
	Resource   domain.Resource
	Address    netip.Addr // invalid: from wherever the token works
}

// Could is who could come in at an engine and do what they want there: every token,
// the oldest first.
func (m *Model) Could(org domain.OrganizationID, number domain.Position, wanted Wanted) (e domain.Engine, all []Entrant, err error) {
	t := m.tenant(org)
	err = m.read(org, func(o *domain.Organization) error {
		known := false
		if e, known = o.Engine(number); !known {
			return domain.Refuse(domain.ErrNotFound, "there is no such engine", "look at the list of engines")
		}
		if wanted.Permission != "" && o.Permission(wanted.Permission) == domain.NoPermission {
			return domain.Invalid("permission", "there is no such permission", "look at the list of permissions")
		}
		ask := domain.Ask{Now: domain.At(m.now()), Address: wanted.Address, Permission: wanted.Permission, Resource: wanted.Resource}
		used := t.used
		if m.today != nil {
			used = func(uint32) domain.Instant { return ask.Now }
		}
		o.Could(e, ask, used, func(token *domain.Token, came *domain.Entrance) {
			all = append(all, t.entrant(token, came))
		})
		return nil
	})
	return e, all, err
}

func (t *tenant) entrant(token *domain.Token, came *domain.Entrance) Entrant {
	entrant := Entrant{token.ID, token.Number, came.Via, came.Verdict.Reason}
	if p := t.holder(&came.Verdict); p != nil && came.Allowed() {
		if p.judge(&came.Verdict); !came.Verdict.Active() {
			entrant.Via, entrant.Reason = domain.ViaNothing, came.Verdict.Reason
		}
	}
	if entrant.Reason == domain.ReasonNone {
		entrant.Reason = came.Verdict.Denied
	}
	return entrant
}
