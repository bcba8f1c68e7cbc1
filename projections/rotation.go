package projections

import "jeton/domain"

const rotateToken = `
UPDATE tokens SET previous_made = made, previous_until = ?, made = ?, rotated = ?, expires = ?, changed = ?
WHERE organization = ? AND id = ?`

func (b batch) tokenRotated(m domain.Meta, e domain.TokenRotated) error {
	return b.change(rotateToken, e.Until, m.Time, m.Time, e.Expires, m.Position, m.Organization, e.Token)
}

const reuseToken = `
UPDATE tokens SET reused = ?
WHERE organization = ? AND id = ?`

// tokenReused changes nothing about the token itself.
func (b batch) tokenReused(m domain.Meta, e domain.TokenReused) error {
	return b.change(reuseToken, m.Time, m.Organization, e.Token)
}

const endOverlap = `
UPDATE tokens SET previous_until = CASE WHEN previous_until > ? THEN ? ELSE previous_until END, changed = ?
WHERE organization = ? AND id = ?`

func (b batch) overlapEnded(m domain.Meta, e domain.OverlapEnded) error {
	return b.change(endOverlap, m.Time, m.Time, m.Position, m.Organization, e.Token)
}
