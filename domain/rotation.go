package domain

import (
	"crypto/subtle"
	"slices"
)

// former is a secret that a token had.
type former struct {
	Hash     Hash
	Issued   Instant
	Until    Instant // it works until then; what is past: it does not
	Reported Instant // when its use was last recorded
}

// maxFormers is how many rotated-out secrets of a token are remembered, so that
// somebody who still shows one is noticed.
const maxFormers = 10

// reportAgain is how often the use of a rotated-out secret is recorded at most:
// whoever has one could fill the log with it.
const reportAgain = 24 * 60 * minute

// RotateToken gives a token a new secret: same token, same name, same grant. It
// begins its life anew: as long as it was meant to live before.
type RotateToken struct {
	Token   TokenID
	Hash    Hash    // of the new secret
	Overlap Seconds // how long the old secret still works
	Expires Instant // zero: as long from now as it was meant to live, or never again
	Seen    Position
}

// Decide refuses a new secret to everybody but the holder of a personal token: who
// rotates learns it. A token that has expired is rotated only by whoever could
// make it.
func (c RotateToken) Decide(o *Organization, m Meta) ([]Event, error) {
	t, err := o.token(c.Token)
	if err := c.allowed(o, t, m); err != nil {
		return nil, err
	}
	if err != nil {
		return nil, err
	}
	if t.Revoked || t.Waiting {
		return nil, Refuse(ErrState, "a token that is revoked or waits for approval can't be rotated", "issue a new one")
	}
	if err := unchanged(c.Seen, t.Changed); err != nil {
		return nil, err
	}
	if err := c.fresh(o, t); err != nil {
		return nil, err
	}
	if t.ID != m.Actor.Token { // which hands nothing over to itself
		if err := o.handsOver(m, t.Kind, t.Holder, o.terms[t.terms]); err != nil {
			return nil, err
		}
	}
	if err := c.revives(o, t, m.Time); err != nil {
		return nil, err
	}
	expires, err := c.expiry(o.Policy.Of(t.Kind), t, m.Time)
	if err != nil {
		return nil, err
	}
	if err := o.Terms(t).beginBefore(expires); err != nil {
		return nil, err
	}
	until, err := c.until(o, t, m.Time)
	if err != nil {
		return nil, err
	}
	return []Event{TokenRotated{c.Token, c.Hash, expires, until}}, nil
}

func (c RotateToken) allowed(o *Organization, t Token, m Meta) error {
	if m.Replaced {
		return useTheNewSecret()
	}
	own := t.heldBy(m.Actor) || !t.ID.IsZero() && t.ID == m.Actor.Token
	needs := TokensRotateAny
	if own {
		needs = TokensRotateOwn
	}
	if err := o.allows(m, needs); err != nil {
		return err
	}
	if t.Kind == Personal && !own {
		return Refuse(ErrDenied, "only its holder may rotate a personal token, because whoever does learns the secret", "ask its holder, or revoke it")
	}
	if !t.Live(m.Time) && t.Kind != NoKind {
		if err := o.allows(m, kindCreates[t.Kind]); err != nil {
			return err
		}
		return o.Policy.Of(t.Kind).mayCreate(o, m)
	}
	return nil
}

// useTheNewSecret refuses a change that somebody wants with a secret that was
// rotated out: it may be why it was.
func useTheNewSecret() error {
	return Refuse(ErrDenied, "the secret that you show was replaced by a new one", "use the new one")
}

// fresh refuses a secret that the token has or had.
func (c RotateToken) fresh(o *Organization, t Token) error {
	had := slices.ContainsFunc(o.formers[t.ID], func(f former) bool { return f.Hash == c.Hash })
	if c.Hash.IsZero() || c.Hash == t.Hash || had {
		return Refuse(ErrExists, "that is not the hash of a new secret", "draw a new secret")
	}
	return nil
}

// revives refuses to bring back an expired token whose name somebody has by now, or
// for which there is no room.
func (c RotateToken) revives(o *Organization, t Token, now Instant) error {
	if t.Live(now) {
		return nil
	}
	if other, known := o.Tokens.Find(o.names[t.Name]); known && other.ID != t.ID && other.Live(now) {
		return taken("name", "another live token has its name by now", "rename or revoke that one first")
	}
	if o.Policy.waits(o, t.Kind, o.ceilingOf(t.Kind, t.Holder), o.terms[t.terms]) {
		return Refuse(ErrState, "such a token needs approval by now", "issue a new one, which waits for it")
	}
	return o.roomFor(o.Policy.Of(t.Kind), t.Kind, t.Holder, now)
}

// expiry is when the token ends with its new secret.
func (c RotateToken) expiry(k *KindPolicy, t Token, now Instant) (Instant, error) {
	switch life := t.life(); {
	case c.Expires != 0:
		return k.expiry(c.Expires, false, now)
	case life != 0:
		return k.cut(now, now+life)
	case k.Never:
		return 0, nil
	}
	return k.usual(now)
}

// until is how long the old secret works: never longer than it would have.
func (c RotateToken) until(o *Organization, t Token, now Instant) (Instant, error) {
	most := min(o.Policy.Overlap, MaxOverlap)
	if c.Overlap < 0 || c.Overlap > most {
		return 0, Invalid("overlap", "is %d seconds", "choose 0 seconds to "+most.String(), int64(c.Overlap))
	}
	until := now + c.Overlap.Instant()
	if t.Expires != 0 {
		until = min(until, t.Expires)
	}
	return until, nil
}

// TokenRotated says that a token has another secret.
type TokenRotated struct {
	Token   TokenID `json:"token"`
	Hash    Hash    `json:"hash"`
	Expires Instant `json:"expires,omitzero"`
	Until   Instant `json:"previous_until"` // the secret before works until then
}

// Kind is stored.
func (TokenRotated) Kind() string { return "token.rotated" }

// Evolve takes the new secret. At most two work at a time: one that was rotated
// out before ends now.
func (e TokenRotated) Evolve(o *Organization, m Meta) {
	o.Tokens.change(e.Token, func(t *Token) {
		formers := o.formers[t.ID]
		for i := range formers {
			formers[i].Until = min(formers[i].Until, m.Time)
		}
		formers = append(formers, former{Hash: t.Hash, Issued: t.Issued, Until: e.Until})
		o.formers[t.ID] = formers[max(0, len(formers)-maxFormers):]
		t.Hash, t.Expires, t.Issued = e.Hash, e.Expires, m.Time
		t.Rotated, t.warned, t.Changed = true, 0, m.Position
		o.names[t.Name] = t.ID // it may have expired, and lent its name to nobody
	})
}

// replaced reports whether a shown secret is one that the token had, and puts into
// the verdict until when it works, or that it does not.
func (o *Organization) replaced(v *Verdict, s Shown, now Instant) bool {
	for i := range o.formers[s.Token] {
		f := &o.formers[s.Token][i]
		if subtle.ConstantTimeCompare(f.Hash[:], s.Hash[:]) != 1 {
			continue
		}
		if v.Replaced = f.Until; now >= f.Until {
			v.Reason = ReasonReplaced
		}
		return true
	}
	return false
}

// Until is when the secret ends that a token had before; zero: it has.
func (o *Organization) Until(id TokenID, now Instant) Instant {
	if formers := o.formers[id]; len(formers) > 0 && formers[len(formers)-1].Until > now {
		return formers[len(formers)-1].Until
	}
	return 0
}

// ReportReuse is what the service does when somebody shows a secret that was
// rotated out.
type ReportReuse struct {
	Token TokenID
	Hash  Hash
}

// Decide records it, once a day at most, and ends the token if the policy says so.
func (c ReportReuse) Decide(o *Organization, m Meta) ([]Event, error) {
	if m.Actor.Kind != ActorSystem {
		return nil, Refuse(ErrDenied, "only the service itself reports this", "")
	}
	return o.reused(c.Token, c.Hash, m.Time), nil
}

func (o *Organization) reused(id TokenID, hash Hash, now Instant) []Event {
	t, _ := o.Tokens.Find(id)
	at := slices.IndexFunc(o.formers[id], func(f former) bool { return f.Hash == hash })
	if at < 0 || !t.Live(now) {
		return nil
	}
	f := o.formers[id][at]
	if f.Until > now || f.Reported != 0 && f.Reported+reportAgain.Instant() > now {
		return nil
	}
	events := []Event{TokenReused{id, hash}}
	if o.Policy.Reuse == ReuseRevokes {
		events = append(events, TokenRevoked{id, "a secret that was rotated out was used"})
	}
	return events
}

// TokenReused says that somebody showed a secret that was rotated out: a client
// that was forgotten, or a thief.
type TokenReused struct {
	Token TokenID `json:"token"`
	Hash  Hash    `json:"hash"` // of the old secret
}

// Kind is stored.
func (TokenReused) Kind() string { return "token.reused" }

// Evolve remembers when. Nothing about the token has changed.
func (e TokenReused) Evolve(o *Organization, m Meta) {
	for i, f := range o.formers[e.Token] {
		if f.Hash == e.Hash {
			o.formers[e.Token][i].Reported = m.Time
		}
	}
}

// same compares hashes in constant time.
func same(a, b Hash) bool { return subtle.ConstantTimeCompare(a[:], b[:]) == 1 }
