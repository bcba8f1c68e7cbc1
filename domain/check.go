package domain

import "crypto/subtle"

// Reason says why a token does not open a door. It is for the audit log and for
// the token's own organization; strangers learn only that it does not.
type Reason string

const (
	ReasonNone      Reason = ""
	ReasonUnknown   Reason = "unknown"
	ReasonRevoked   Reason = "revoked"
	ReasonExpired   Reason = "expired"
	ReasonSuspended Reason = "suspended"
	ReasonMalformed Reason = "malformed" // it is no secret at all
	ReasonForeign   Reason = "foreign"   // it belongs to another organization than the asker
)

// Reasons is all of them.
var Reasons = []Reason{ReasonNone, ReasonUnknown, ReasonRevoked, ReasonExpired, ReasonSuspended, ReasonMalformed, ReasonForeign}

// Verdict is the answer of a check.
type Verdict struct {
	Reason  Reason // ReasonNone: the token is active
	ID      TokenID
	Token   Token
	Role    Role // of the holder; NoRole for administrative tokens
	Granted Permissions
}

// Active reports whether the token opens anything at all.
func (v Verdict) Active() bool { return v.Reason == ReasonNone }

// Check holds a shown secret against the organization at a moment. The whole
// hash is compared, in constant time, whether or not the token is known: the
// stranger who shows the secret controls all of it and learns nothing from how
// long the answer takes.
func (o *Organization) Check(s Shown, now Instant) Verdict {
	t, _ := o.Tokens.Find(s.Token)
	return o.check(&t, s, now)
}

// CheckAt is Check by somebody who knows the place of the token with that id, and
// so spares a look-up that is all cache misses where there are millions.
func (o *Organization) CheckAt(place uint32, s Shown, now Instant) Verdict {
	return o.check(&o.Tokens.kept[place], s, now)
}

func (o *Organization) check(t *Token, s Shown, now Instant) Verdict {
	same := subtle.ConstantTimeCompare(t.Hash[:], s.Hash[:]) == 1
	if !same || t.Kind != s.Kind {
		return Verdict{Reason: ReasonUnknown}
	}
	v := o.standing(t, now)
	v.ID = s.Token
	return v
}

// standing is what a token that the organization has can do at a moment.
func (o *Organization) standing(t *Token, now Instant) Verdict {
	switch {
	case t.Kind == NoKind:
		return Verdict{Reason: ReasonUnknown}
	case t.Revoked:
		return Verdict{Reason: ReasonRevoked, Token: *t}
	case !t.Live(now):
		return Verdict{Reason: ReasonExpired, Token: *t}
	case t.Kind == Administrative:
		return Verdict{Token: *t, Granted: administrativePermissions}
	}
	holder := o.Members[t.Holder]
	if !holder.active() {
		return Verdict{Reason: ReasonSuspended, Token: *t}
	}
	return Verdict{Token: *t, Role: holder.Role, Granted: holder.Role.Permissions()}
}

// rights is what the verdict lets the actor do: an actor who says they are
// somebody else than the token's holder may do nothing.
func (v Verdict) rights(a Actor) Permissions {
	person := a.Kind == ActorMember && v.Token.Kind == Personal && a.Account == v.Token.Holder
	program := a.Kind == ActorToken && v.Token.Kind == Administrative && a.Account.IsZero()
	if !v.Active() || !person && !program {
		return 0
	}
	return v.Granted
}

// Actor is who acts when this token is shown.
func (v Verdict) Actor() Actor {
	if v.Token.Kind == Administrative {
		return Actor{Kind: ActorToken, Token: v.ID}
	}
	return Actor{Kind: ActorMember, Account: v.Token.Holder, Token: v.ID}
}
