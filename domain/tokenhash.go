package domain

import "slices"

// TokenHashed is the token whose secret has a hash, or had it before it was rotated, as
// far as that is remembered. It looks at all of them: it is for auditors, not for doors.
func (o *Organization) TokenHashed(hash Hash) (id TokenID, known bool) {
	if hash.IsZero() {
		return id, false
	}
	for t := range o.Tokens.All() {
		if t.Hash == hash {
			return t.ID, true
		}
	}
	for token, formers := range o.formers {
		if slices.ContainsFunc(formers, func(f former) bool { return f.Hash == hash }) {
			return token, true
		}
	}
	return id, false
}
