package projections

import (
	"context"

	"jeton/domain"
)

// Reasons is why each token of an organization opens nothing, or that it is active.
func (m *Model) Reasons(org domain.OrganizationID) map[domain.TokenID]domain.Reason {
	all, t := map[domain.TokenID]domain.Reason{}, m.tenant(org)
	_ = m.read(org, func(o *domain.Organization) error {
		ask := domain.Ask{Now: domain.At(m.now())}
		ask.Used = ask.Now
		for token := range o.Tokens.All() {
			s := o.Describe(token.ID, &ask)
			if p := t.holder(&s.Verdict); p != nil {
				p.judge(&s.Verdict)
			}
			all[token.ID] = s.Reason
		}
		return nil
	})
	return all
}

// tokenRef is the id of a token.
type tokenRef struct{ domain.TokenID }

func (r *tokenRef) fields() []any { return []any{text{&r.TokenID}} }

const tokensTouched = `
SELECT id FROM tokens_past WHERE organization = ? AND until > ? AND until <= ?
UNION
SELECT id FROM tokens WHERE organization = ? AND number > ? AND number <= ?`

// TokensTouched are the tokens that commits are about which stand behind one position
// and up to another.
func (v *Views) TokensTouched(ctx context.Context, org domain.OrganizationID, behind, until domain.Position) (ids []domain.TokenID, err error) {
	found, err := list[tokenRef](ctx, v, tokensTouched, org, behind, until, org, behind, until)
	for _, r := range found {
		ids = append(ids, r.TokenID)
	}
	return ids, err
}
