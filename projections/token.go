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
	HolderNumber domain.Position  // of the account or the service account
	HolderEmail  string           // of a person
	HolderName   string           // of a service account
	Suspended    bool             // the holder is suspended or disabled: the token opens nothing meanwhile

	Terms   domain.Terms
	Unbound bool // it follows its holder into other organizations

	Issued   domain.Instant
	IssuedBy Author
	Expires  domain.Instant // zero: never

	Made          domain.Instant // when its present secret was: issued, or rotated last
	Rotated       domain.Instant // last; zero: never
	PreviousUntil domain.Instant // when the secret before this one ends, or has ended; zero: there was none
	Used          domain.Instant // when it was last used, to the minute; zero: never, as far as it was told
	Reused        domain.Instant // when a secret that was rotated out was shown last, as far as it was recorded; zero: never

	Waiting     domain.Instant // until then somebody can approve it; zero: it does not wait
	RequestedBy Author         // who has asked for approval; the zero Author: nobody had to

	Revoked   domain.Instant // zero: it is not
	RevokedBy Author
	Ended     End    // how it was revoked
	Reason    string // of the revocation

	Changed domain.Position
}

// Author is who did something, with what people know them by.
type Author struct {
	domain.Actor
	Number domain.Position // of the account or the service account
	Email  string          // of a person
	Name   string          // of a service account
}

func (a *Author) fields() []any {
	return []any{&a.Kind, text{&a.Account}, text{&a.Token}, &a.Number, emailColumn{&a.Email}, &a.Name}
}

func (r *TokenRow) fields() []any {
	fields := []any{
		text{&r.Organization}, text{&r.ID}, &r.Number, text{&r.Kind}, &r.Name, &r.Description,
		text{&r.Holder}, &r.HolderNumber, emailColumn{&r.HolderEmail}, &r.HolderName, &r.Suspended,
		document{&r.Terms}, &r.Unbound,
		&r.Issued, &r.Expires, &r.Made, &r.Rotated, &r.PreviousUntil, &r.Used, &r.Reused,
		&r.Waiting, &r.Revoked, &r.Ended, &r.Reason, &r.Changed,
	}
	for _, author := range []*Author{&r.IssuedBy, &r.RequestedBy, &r.RevokedBy} {
		fields = append(fields, author.fields()...)
	}
	return fields
}

// End is how a token was revoked.
type End string

const (
	// ByRevocation: somebody who may do it did, or the service for a reason it gives.
	ByRevocation End = "revoked"
	// ByBurn: whoever had the secret ended it.
	ByBurn End = "burned"
	// ByRefusal: it waited for approval and got none.
	ByRefusal End = "refused"
	// ByLapse: it waited for approval, and nobody decided in time.
	ByLapse End = "lapsed"
)

// Status is how a token stands, as far as it alone is concerned: that its holder
// is suspended is not in it.
type Status string

const (
	AnyStatus Status = ""
	Active    Status = "active"
	Expired   Status = "expired"
	Revoked   Status = "revoked"
	Waiting   Status = "waiting"
)

// Status is how the token stands at a moment. A token that was revoked and has
// expired as well is revoked; one that waits for approval and has expired is expired.
func (r TokenRow) Status(now domain.Instant) Status {
	switch {
	case r.Revoked != 0:
		return Revoked
	case r.Expires != 0 && r.Expires <= now:
		return Expired
	case r.Waiting != 0:
		return Waiting
	}
	return Active
}

// TokenFilter says which tokens of an organization a list shows. What is zero
// does not choose.
type TokenFilter struct {
	Organization  domain.OrganizationID // always chooses
	Kind          domain.TokenKind
	Holder        domain.AccountID // a person or a service account
	Status        Status
	Now           domain.Instant   // for Status
	Name          string           // part of the name, in whatever case
	ExpiresBefore domain.Instant   // those that end before it or have ended; Status says which of the two
	IssuedBefore  domain.Instant   // those whose present secret was made before it, as RevokeTokens means it
	UsedBefore    domain.Instant   // those not used since: neither used at it or after it nor, as a policy on idle ones counts, given their secret
	IDs           []domain.TokenID // only these; nil: all
	Before        domain.Position  // the number of the last token of the page before
	Limit         int              // 0: 100; never more than 1000
}

const selectTokens = `
SELECT t.organization, t.id, t.number, t.kind, t.name, t.description,
	t.holder, COALESCE(h.number, 0), COALESCE(h.email, ''), COALESCE(h.name, ''), COALESCE(m.suspended, s.disabled, FALSE),
	t.terms, t.unbound,
	t.issued, t.expires, t.made, t.rotated, t.previous_until, COALESCE(u.last, 0), t.reused,
	t.waiting, t.revoked, t.ended, t.reason, t.changed,
	t.issuer_kind, t.issuer_account, t.issuer_token, COALESCE(i.number, 0), COALESCE(i.email, ''), COALESCE(i.name, ''),
	t.requester_kind, t.requester_account, t.requester_token, COALESCE(q.number, 0), COALESCE(q.email, ''), COALESCE(q.name, ''),
	t.revoker_kind, t.revoker_account, t.revoker_token, COALESCE(r.number, 0), COALESCE(r.email, ''), COALESCE(r.name, '')
FROM tokens t
LEFT JOIN accounts h ON h.id = t.holder
LEFT JOIN members m ON m.organization = t.organization AND m.account = t.holder
LEFT JOIN service_accounts s ON s.organization = t.organization AND s.id = t.holder
LEFT JOIN accounts i ON i.id = t.issuer_account
LEFT JOIN accounts q ON q.id = t.requester_account
LEFT JOIN accounts r ON r.id = t.revoker_account
LEFT JOIN token_usage u ON u.organization = t.organization AND u.token = t.id
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
	f.Before = begins(ctx, f.Before)
	c := f.conditions()
	return list[TokenRow](ctx, v, selectTokens+c.text+newestTokens, append(c.args, atMost(f.Limit))...)
}

func (f TokenFilter) conditions() conditions {
	c := conditions{args: []any{f.Organization}}
	c.and(f.Kind != domain.NoKind, "t.kind = ?", f.Kind)
	c.and(!f.Holder.IsZero(), "t.holder = ?", f.Holder)
	c.and(f.Name != "", "t.folded LIKE ? ESCAPE '!'", "%"+likeLiteral.Replace(fold(f.Name))+"%")
	c.and(f.Status == Revoked, "t.revoked <> 0")
	c.and(f.Status == Active, "t.revoked = 0 AND t.waiting = 0 AND (t.expires = 0 OR t.expires > ?)", f.Now)
	c.and(f.Status == Waiting, "t.waiting > 0 AND t.revoked = 0 AND (t.expires = 0 OR t.expires > ?)", f.Now)
	c.and(f.Status == Expired, "t.revoked = 0 AND t.expires <> 0 AND t.expires <= ?", f.Now)
	c.and(f.ExpiresBefore != 0, "t.expires > 0 AND t.expires < ?", f.ExpiresBefore)
	c.and(f.IssuedBefore != 0, "t.made < ?", f.IssuedBefore)
	c.and(f.UsedBefore != 0, "t.made < ? AND COALESCE(u.last, 0) < ?", f.UsedBefore, f.UsedBefore)
	c.among(f.IDs)
	c.and(f.Before != 0, "t.number < ?", f.Before)
	return c
}

// conditions are what rows must meet, behind those that stand in a query already.
type conditions struct {
	text string
	args []any
}

func (c *conditions) and(wanted bool, condition string, args ...any) {
	if wanted {
		c.text += "\n\tAND " + condition
		c.args = append(c.args, args...)
	}
}

// among chooses tokens by their ids.
func (c *conditions) among(ids []domain.TokenID) {
	args := make([]any, len(ids))
	for i, id := range ids {
		args[i] = id
	}
	c.and(ids != nil, "t.id IN "+rows(1, max(1, len(ids))), args...)
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
INSERT INTO tokens (organization, id, number, kind, holder, name, folded, description, terms, bound, unbound,
	issued, issuer_kind, issuer_account, issuer_token, expires,
	made, rotated, previous_made, previous_until, reused,
	waiting, requester_kind, requester_account, requester_token,
	revoked, revoker_kind, revoker_account, revoker_token, ended, reason, changed)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, '', 0, FALSE, ?, ?, ?, ?, ?, ?, 0, 0, 0, 0, 0, '', '', '', 0, '', '', '', '', '', ?)`

func (b batch) tokenIssued(m domain.Meta, e domain.TokenIssued) error {
	return b.change(insertToken, m.Organization, e.Token, m.Position, e.Type, e.Holder, e.Name, fold(e.Name), e.Description,
		m.Time, string(m.Actor.Kind), m.Actor.Account, m.Actor.Token, e.Expires, m.Time, m.Position)
}

const bindToken = `
UPDATE tokens SET terms = ?, bound = ?, changed = ?
WHERE organization = ? AND id = ?`

func (b batch) tokenBound(m domain.Meta, e domain.TokenBound) error {
	terms, err := written(e.Terms)
	if err != nil {
		return err
	}
	return b.change(bindToken, terms, m.Position, m.Position, m.Organization, e.Token)
}

const unbindToken = `
UPDATE tokens SET unbound = TRUE, changed = ?
WHERE organization = ? AND id = ?`

func (b batch) tokenUnbound(m domain.Meta, e domain.TokenUnbound) error {
	return b.change(unbindToken, m.Position, m.Organization, e.Token)
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

const moveToken = `
UPDATE tokens SET expires = ?, changed = ?
WHERE organization = ? AND id = ?`

func (b batch) tokenExpiryChanged(m domain.Meta, e domain.TokenExpiryChanged) error {
	return b.change(moveToken, e.Expires, m.Position, m.Organization, e.Token)
}
