package projections

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"jeton/domain"
	"jeton/eventstore"
)

// where is from where a token was used, and with what: it is personal, and is kept
// and told sealed only.
type where struct {
	Networks *[]NetworkUse `json:"networks,omitempty"`
	Agent    *string       `json:"agent,omitempty"`
}

func (r *UsageRow) where() *concealed {
	return &concealed{into: &where{&r.Networks, &r.Agent}, key: &r.key}
}

// placeOf is where the sealed text of a token's use belongs.
func placeOf(token domain.TokenID) string { return "usage-" + token.String() }

// holderKey is the name of the key of who holds a token, or else of its organization.
func (m *Model) holderKey(org domain.OrganizationID, token domain.TokenID) string {
	t, _ := m.Token(org, token)
	return eventstore.HolderKey(t.Holder, org)
}

// hide seals from where a token was used. If that can't be done now it is left out: it is
// no history.
func (m *Model) hide(ctx context.Context, u *tokenUse) {
	if len(u.Networks) > 0 || u.Agent != "" {
		u.Where, _ = conceal(ctx, m.vault, m.holderKey(u.Organization, u.Token), u.Token, where{&u.Networks, &u.Agent})
		u.Networks, u.Agent = nil, ""
	}
}

func conceal(ctx context.Context, vault *eventstore.Vault, key string, token domain.TokenID, w where) (string, error) {
	clear, err := json.Marshal(w)
	if err != nil {
		return "", err
	}
	return vault.Conceal(ctx, key, placeOf(token), string(clear))
}

// show is the way back. What can't be opened, because of an erasure or for good, was
// nowhere; it would not do to stop all usage for it.
func (u *tokenUse) show(ctx context.Context, vault *eventstore.Vault) error {
	if u.Where == "" {
		return nil
	}
	sealed := concealed{text: u.Where, into: &where{&u.Networks, &u.Agent}}
	err := sealed.open(ctx, vault)
	if !errors.Is(err, eventstore.ErrUnavailable) {
		err = nil
	}
	return errors.Join(err, u.check())
}

func (v *Views) showUses(ctx context.Context, uses []tokenUse) error {
	for i := range uses {
		if err := uses[i].show(ctx, v.vault); err != nil {
			return err
		}
	}
	return nil
}

// key is the name of the key that a use was sealed with; of one that was told in clear
// that of the organization.
func (u *tokenUse) key() string {
	key, _, sealed := strings.Cut(u.Where, " ")
	if !sealed {
		return eventstore.OrganizationKey(u.Organization)
	}
	return key
}

// hidden is what a row says of from where its token was used.
func (b usageBatch) hidden(of usedToken, r *UsageRow) (string, error) {
	if len(r.Networks) == 0 && r.Agent == "" {
		return "", nil
	}
	return conceal(b.ctx, b.vault, r.key, of.token, where{&r.Networks, &r.Agent})
}

// usageBatch is a transaction that writes usage.
type usageBatch struct {
	batch
	vault *eventstore.Vault
}

// forgetClear takes away what tables of an older version have in clear. What is used from
// now on is known again.
const forgetClear = `
UPDATE token_usage SET networks = '', agent = ''
WHERE networks LIKE '[%' OR agent <> '';
`
