package projections

import (
	"context"
	"strings"
	"unicode/utf8"

	"jeton/domain"
)

// TokenRow is a token in a list: everything about it but its secret, of which
// not even the hash is here.
type TokenRow struct {
	Organization domain.OrganizationID
	ID           domain.TokenID
	Number       domain.Position
	Kind         domain.TokenKind
	Name         string
	Description  string

	Holder       domain.AccountID // zero for administrative tokens
	HolderNumber domain.Position
	HolderEmail  string
	Suspended    bool // the holder is: the token opens nothing meanwhile

	Issued   domain.Instant
	IssuedBy Author
	Expires  domain.Instant // zero: never

	Revoked   domain.Instant // zero: it is not
	RevokedBy Author
	Reason    string // of the revocation

	Changed domain.Position
}

// Author is who did something, with what people know them by.
type Author struct {
	domain.Actor
	Number domain.Position // of the account
	Email  string
}

func (a *Author) fields() []any {
	return []any{&a.Kind, text{&a.Account}, text{&a.Token}, &a.Number, &a.Email}
}

func (r *TokenRow) fields() []any {
	fields := []any{
		text{&r.Organization}, text{&r.ID}, &r.Number, text{&r.Kind}, &r.Name, &r.Description,
		text{&r.Holder}, &r.HolderNumber, &r.HolderEmail, &r.Suspended,
		&r.Issued, &r.Expires, &r.Revoked, &r.Reason, &r.Changed,
	}
	return append(append(fields, r.IssuedBy.fields()...), r.RevokedBy.fields()...)
}

// Status is how a token stands, as far as it alone is concerned: that its holder
// is suspended is not in it.
type Status string

const (
	AnyStatus Status = ""
	Active    Status = "active"
	Expired   Status = "expired"
	Revoked   Status = "revoked"
)

// Status is how the token stands at a moment. A token that was revoked and has
// expired as well is revoked.
func (r TokenRow) Status(now domain.Instant) Status {
	switch {
	case r.Revoked != 0:
		return Revoked
	case r.Expires != 0 && r.Expires <= now:
		return Expired
	}
	return Active
}

// TokenFilter says which tokens of an organization a list shows. What is zero
// does not choose.
type TokenFilter struct {
	Organization domain.OrganizationID // always chooses
	Kind         domain.TokenKind
	Holder       domain.AccountID
	Status       Status
	Now          domain.Instant  // for Status
	Name         string          // part of the name, in whatever case
	Before       domain.Position // the number of the last token of the page before
	Limit        int             // 0: 100; never more than 1000
}

const selectTokens = `
SELECT t.organization, t.id, t.number, t.kind, t.name, t.description,
	t.holder, COALESCE(h.number, 0), COALESCE(h.email, ''), COALESCE(m.suspended, FALSE),
	t.issued, t.expires, t.revoked, t.reason, t.changed,
	t.issuer_kind, t.issuer_account, t.issuer_token, COALESCE(i.number, 0), COALESCE(i.email, ''),
	t.revoker_kind, t.revoker_account, t.revoker_token, COALESCE(r.number, 0), COALESCE(r.email, '')
FROM tokens t
LEFT JOIN accounts h ON h.id = t.holder
LEFT JOIN members m ON m.organization = t.organization AND m.account = t.holder
LEFT JOIN accounts i ON i.id = t.issuer_account
LEFT JOIN accounts r ON r.id = t.revoker_account
WHERE t.organization = ?`

const newestTokens = `
ORDER BY t.number DESC
LIMIT ?`

// Tokens are the tokens that pass the filter, the youngest (of the highest
// number) first.
func (v *Views) Tokens(ctx context.Context, f TokenFilter) ([]TokenRow, error) {
	if !storable(f.Name) {
		return nil, nil
	}
	conditions, args := f.conditions()
	return list[TokenRow](ctx, v, selectTokens+conditions+newestTokens, append(args, atMost(f.Limit))...)
}

func (f TokenFilter) conditions() (conditions string, args []any) {
	args = append(args, f.Organization)
	and := func(wanted bool, condition string, more ...any) {
		if wanted {
			conditions += "\n\tAND " + condition
			args = append(args, more...)
		}
	}
	and(f.Kind != domain.NoKind, "t.kind = ?", f.Kind)
	and(!f.Holder.IsZero(), "t.holder = ?", f.Holder)
	and(f.Name != "", "t.folded LIKE ? ESCAPE '!'", "%"+likeLiteral.Replace(fold(f.Name))+"%")
	and(f.Status == Revoked, "t.revoked <> 0")
	and(f.Status == Active, "t.revoked = 0 AND (t.expires = 0 OR t.expires > ?)", f.Now)
	and(f.Status == Expired, "t.revoked = 0 AND t.expires <> 0 AND t.expires <= ?", f.Now)
	and(f.Before != 0, "t.number < ?", f.Before)
	return conditions, args
}

// fold is what makes a search not care about case, the same in every database.
func fold(name string) string { return strings.ToLower(name) }

var likeLiteral = strings.NewReplacer("!", "!!", "%", "!%", "_", "!_")

// storable reports whether a text can be in a table. What a stranger searches for
// need not be; PostgreSQL refuses a question with it.
func storable(s string) bool { return utf8.ValidString(s) && !strings.Contains(s, "\x00") }

const tokenByID = selectTokens + ` AND t.id = ?`

// Token is one token of an organization.
func (v *Views) Token(ctx context.Context, org domain.OrganizationID, id domain.TokenID) (TokenRow, error) {
	return one[TokenRow](ctx, v, "token", tokenByID, org, id)
}

const tokenByNumber = selectTokens + ` AND t.number = ?`

// TokenNumbered is the token of an organization that has a number.
func (v *Views) TokenNumbered(ctx context.Context, org domain.OrganizationID, number domain.Position) (TokenRow, error) {
	return one[TokenRow](ctx, v, "token", tokenByNumber, org, number)
}

const insertToken = `
INSERT INTO tokens (organization, id, number, kind, holder, name, folded, description,
	issued, issuer_kind, issuer_account, issuer_token, expires,
	revoked, revoker_kind, revoker_account, revoker_token, reason, changed)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, '', '', '', '', ?)`

func (b batch) tokenIssued(m domain.Meta, e domain.TokenIssued) error {
	return b.change(insertToken, m.Organization, e.Token, m.Position, e.Type, e.Holder, e.Name, fold(e.Name), e.Description,
		m.Time, string(m.Actor.Kind), m.Actor.Account, m.Actor.Token, e.Expires, m.Position)
}

const renameToken = `
UPDATE tokens SET name = ?, folded = ?, changed = ?
WHERE organization = ? AND id = ?`

func (b batch) tokenRenamed(m domain.Meta, e domain.TokenRenamed) error {
	return b.change(renameToken, e.Name, fold(e.Name), m.Position, m.Organization, e.Token)
}

const describeToken = `
UPDATE tokens SET description = ?, changed = ?
WHERE organization = ? AND id = ?`

func (b batch) tokenDescribed(m domain.Meta, e domain.TokenDescribed) error {
	return b.change(describeToken, e.Description, m.Position, m.Organization, e.Token)
}

const revokeToken = `
UPDATE tokens SET revoked = ?, revoker_kind = ?, revoker_account = ?, revoker_token = ?, reason = ?, changed = ?
WHERE organization = ? AND id = ?`

func (b batch) tokenRevoked(m domain.Meta, e domain.TokenRevoked) error {
	return b.change(revokeToken, m.Time, string(m.Actor.Kind), m.Actor.Account, m.Actor.Token, e.Reason, m.Position, m.Organization, e.Token)
}
