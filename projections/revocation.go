package projections

import (
	"fmt"

	"jeton/domain"
)

const (
	endTokens = `
UPDATE tokens SET revoked = ?, revoker_kind = ?, revoker_account = ?, revoker_token = ?, ended = ?, reason = ?, waiting = 0, changed = ?
WHERE organization = ?`

	endToken = endTokens + ` AND id = ?`
)

func ending(m domain.Meta, how End, reason string) []any {
	return []any{m.Time, string(m.Actor.Kind), m.Actor.Account, m.Actor.Token, string(how), reason, m.Position, m.Organization}
}

// end revokes one token.
func (b batch) end(m domain.Meta, id domain.TokenID, how End, reason string) error {
	return b.change(endToken, append(ending(m, how, reason), id)...)
}

const endOverlaps = `
UPDATE tokens SET previous_until = ?
WHERE organization = ?`

// tokensRevoked ends what the event means, also what has expired, and the secrets
// from before it that were rotated out and still work: the conditions are those of
// domain.TokensRevoked. How many it ended then, it ends here.
func (b batch) tokensRevoked(m domain.Meta, e domain.TokensRevoked) error {
	meant := conditions{args: ending(m, ByRevocation, e.Reason)}
	meant.and(true, "revoked = 0")
	meant.meant(e)
	n, err := b.exec(endTokens+meant.text, meant.args...)
	if err != nil {
		return err
	}
	if int(n) != e.Count {
		return fmt.Errorf("it ended %d tokens instead of %d", n, e.Count)
	}
	if e.Before == 0 {
		return nil
	}
	former := conditions{args: []any{m.Time, m.Organization}}
	former.outlived(e, m.Time)
	_, err = b.exec(endOverlaps+former.text, former.args...)
	return err
}

// meant chooses the tokens that the event ends, of those that have not been revoked.
func (c *conditions) meant(e domain.TokensRevoked) {
	c.of(e)
	c.and(!e.Except.IsZero(), "id <> ?", e.Except)
	c.and(e.Before != 0, "made < ?", e.Before)
}

// outlived chooses the tokens of which it ends a secret that was rotated out.
func (c *conditions) outlived(e domain.TokensRevoked, now domain.Instant) {
	c.and(true, "rotated <> 0 AND previous_made < ? AND previous_until > ?", e.Before, now)
	c.of(e)
}

// of chooses the tokens of whom and which kind the event is about.
func (c *conditions) of(e domain.TokensRevoked) {
	c.and(!e.Holder.IsZero(), "holder = ?", e.Holder)
	c.and(e.Type != domain.NoKind, "kind = ?", e.Type)
}
