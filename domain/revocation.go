package domain

import "slices"

// RevokeToken ends a token for ever.
type RevokeToken struct {
	Token  TokenID
	Reason string
	Seen   Position
}

// Decide answers nothing for a token that is revoked already: its first reason stays.
func (c RevokeToken) Decide(o *Organization, m Meta) ([]Event, error) {
	t, err := o.token(c.Token)
	if err := o.allowsOwn(t, m, TokensRevokeOwn, TokensRevokeAny); err != nil {
		return nil, err
	}
	if err != nil {
		return nil, err
	}
	if err := mayTouch(t, m); err != nil {
		return nil, err
	}
	if err := checkLine("reason", c.Reason, MaxReason); err != nil {
		return nil, err
	}
	if t.Revoked {
		return nil, nil
	}
	if err := unchanged(c.Seen, t.Changed); err != nil {
		return nil, err
	}
	return []Event{TokenRevoked{c.Token, c.Reason}}, nil
}

// mayTouch refuses a program that would change or end what belongs to the organization: a
// stolen administrative token must not be able to shut out all others.
func mayTouch(t Token, m Meta) error {
	if t.Kind == Administrative && m.Actor.Kind != ActorMember && t.ID != m.Actor.Token {
		return Refuse(ErrDenied, "a program may not change or end other administrative tokens", "use a personal token of an admin")
	}
	return nil
}

// RevokeTokens ends all tokens that meet every condition that is given, in one
// commit. The token that is shown stays unless it is named: whoever cleans up
// must not lock themselves out.
type RevokeTokens struct {
	Tokens []TokenID
	Holder AccountID
	Kind   TokenKind
	Before Instant // whose secret was made before this moment
	Engine string  // that are limited to this engine, and perhaps to others, or whose holder is
	Reason string
}

// MaxRevoked is how many tokens can be named in one command.
const MaxRevoked = 1000

// Decide wants at least one condition. Without the right over everybody's tokens
// it must be about one's own.
func (c RevokeTokens) Decide(o *Organization, m Meta) ([]Event, error) {
	if err := c.check(o, m); err != nil {
		return nil, err
	}
	if c.Engine != "" {
		c.Tokens = o.limitedTo(c.Engine, c.Tokens, m.Actor.Token)
		return c.named(o, m)
	}
	if len(c.Tokens) > 0 {
		return c.named(o, m)
	}
	e := TokensRevoked{Holder: c.Holder, Type: c.Kind, Before: c.Before, Reason: c.Reason, Except: m.Actor.Token}
	formers := false
	for t := range o.Tokens.All() {
		switch {
		case e.meant(t):
			e.Count++
		case t.Rotated && e.endsFormer(t, o.formers[t.ID], m.Time):
			formers = true
		default:
			continue
		}
		if err := mayTouch(*t, m); err != nil {
			return nil, err
		}
	}
	if e.Count == 0 && !formers {
		return nil, nil
	}
	return []Event{e}, nil
}

func (c RevokeTokens) check(o *Organization, m Meta) error {
	own := !c.Holder.IsZero() && c.Holder == m.Actor.Account
	needs := TokensRevokeAny
	if own {
		needs = TokensRevokeOwn
	}
	if err := o.allows(m, needs); err != nil {
		return err
	}
	if err := checkLine("reason", c.Reason, MaxReason); err != nil {
		return err
	}
	if len(c.Tokens) == 0 && c.Holder.IsZero() && c.Kind == NoKind && c.Before == 0 && c.Engine == "" {
		return Invalid("ids", "and every other condition is missing", "say which tokens: ids, a holder, a kind, an engine, or those issued before a moment")
	}
	if c.Engine != "" && !o.hadEngine(c.Engine) {
		return Invalid("engine", "there is and was no engine %q", "look at the list of engines", clip(c.Engine))
	}
	if len(c.Tokens) > MaxRevoked {
		return Invalid("ids", "has %d tokens", "name at most 1000 at once", len(c.Tokens))
	}
	if c.Before > m.Time {
		return Invalid("issued_before", "lies in the future", "choose a time that has passed, or now")
	}
	return nil
}

// limitedTo are the tokens that are limited to an engine, or whose holder is: among
// some, if any are named, else among all but the one that is shown.
func (o *Organization) limitedTo(engine string, among []TokenID, shown TokenID) (limited []TokenID) {
	is := func(t *Token) bool {
		own, holders := o.termsAt(t.terms).Grant.Resources, o.termsAt(o.holders[t.seat].terms).Grant.Resources
		return slices.Contains(own, engineResource(engine)) || slices.Contains(holders, engineResource(engine))
	}
	for t := range o.Tokens.All() {
		if is(t) && (slices.Contains(among, t.ID) || len(among) == 0 && t.ID != shown) {
			limited = append(limited, t.ID)
		}
	}
	return limited
}

// named is an event for each token: there are not many.
func (c RevokeTokens) named(o *Organization, m Meta) (events []Event, err error) {
	meant := TokensRevoked{Holder: c.Holder, Type: c.Kind, Before: c.Before}
	ids := slices.Clone(c.Tokens)
	slices.SortFunc(ids, func(a, b TokenID) int { return slices.Compare(a.ID[:], b.ID[:]) })
	for _, id := range slices.Compact(ids) {
		t, err := o.token(id)
		if err != nil {
			return nil, err
		}
		if err := mayTouch(t, m); err != nil {
			return nil, err
		}
		if meant.meant(&t) {
			events = append(events, TokenRevoked{id, c.Reason})
		} else if meant.endsFormer(&t, o.formers[id], m.Time) {
			events = append(events, OverlapEnded{id, c.Reason})
		}
	}
	return events, nil
}

// BurnToken ends a token on behalf of whoever shows its secret: a finder, a
// scanner, its holder.
type BurnToken struct {
	Token  TokenID
	Hash   Hash // of the secret that was shown
	Reason string
}

// Decide answers nothing unless the secret is the token's. A secret that was
// rotated out and still works ends alone: the new one was not found.
func (c BurnToken) Decide(o *Organization, m Meta) ([]Event, error) {
	if m.Actor.Kind != ActorBearer || m.Actor.Token != c.Token {
		return nil, Refuse(ErrDenied, "only whoever has its secret can burn a token", "")
	}
	t, _ := o.Tokens.Find(c.Token)
	if !t.Live(m.Time) || o.Deleted != 0 {
		return nil, nil
	}
	if same(t.Hash, c.Hash) {
		return []Event{TokenBurned{c.Token, c.Reason}}, nil
	}
	for _, f := range o.formers[c.Token] {
		if f.Until > m.Time && same(f.Hash, c.Hash) {
			return []Event{OverlapEnded{c.Token, c.Reason}}, nil
		}
	}
	return o.reused(c.Token, c.Hash, m.Time), nil
}

// TokenRevoked says that a token opens nothing any more.
type TokenRevoked struct {
	Token  TokenID `json:"token"`
	Reason string  `json:"reason,omitempty"`
}

// Kind is stored.
func (TokenRevoked) Kind() string { return "token.revoked" }

// Evolve ends the token. Its record stays: an id never means something else.
func (e TokenRevoked) Evolve(o *Organization, m Meta) { o.end(e.Token, m) }

// TokensRevoked says that all tokens that were meant at that moment open nothing
// any more.
type TokensRevoked struct {
	Holder AccountID `json:"holder,omitzero"`
	Type   TokenKind `json:"kind,omitzero"`
	Before Instant   `json:"issued_before,omitzero"`
	Except TokenID   `json:"except,omitzero"`
	Reason string    `json:"reason,omitempty"`
	Count  int       `json:"count"`
}

// Kind is stored.
func (TokensRevoked) Kind() string { return "tokens.revoked" }

// meant reports whether the event ends a token. Those that have expired end too:
// nobody shall rotate them back.
func (e TokensRevoked) meant(t *Token) bool {
	return !t.Revoked && (t.ID != e.Except || e.Except.IsZero()) && e.of(t) && (e.Before == 0 || t.Issued < e.Before)
}

func (e TokensRevoked) of(t *Token) bool {
	return (e.Holder.IsZero() || t.Holder == e.Holder && t.Kind != Administrative) && (e.Type == NoKind || t.Kind == e.Type)
}

// endsFormer reports whether a secret of a token still works that was made before the
// moment and has been rotated out since.
func (e TokensRevoked) endsFormer(t *Token, formers []former, now Instant) bool {
	ends := func(f former) bool { return f.Issued < e.Before && f.Until > now }
	return !t.Revoked && e.of(t) && slices.ContainsFunc(formers, ends)
}

// Evolve ends them all.
func (e TokensRevoked) Evolve(o *Organization, m Meta) {
	for t := range o.Tokens.All() {
		if e.meant(t) {
			o.end(t.ID, m)
		}
	}
	for id, formers := range o.formers {
		t, _ := o.Tokens.Find(id)
		for i, f := range formers {
			if e.of(&t) && f.Issued < e.Before {
				formers[i].Until = min(f.Until, m.Time)
				o.Tokens.change(id, func(*Token) {}) // its old secret has
			}
		}
	}
}

// TokenBurned says that somebody who had the secret ended the token.
type TokenBurned struct {
	Token  TokenID `json:"token"`
	Reason string  `json:"reason,omitempty"`
}

// Kind is stored.
func (TokenBurned) Kind() string { return "token.burned" }

// Evolve ends the token.
func (e TokenBurned) Evolve(o *Organization, m Meta) {
	o.end(e.Token, m)
	o.burned[e.Token] = true
}

// OverlapEnded says that a secret that was rotated out works no longer.
type OverlapEnded struct {
	Token  TokenID `json:"token"`
	Reason string  `json:"reason,omitempty"`
}

// Kind is stored.
func (OverlapEnded) Kind() string { return "token.overlap_ended" }

// Evolve ends the old secrets.
func (e OverlapEnded) Evolve(o *Organization, m Meta) {
	for i, f := range o.formers[e.Token] {
		o.formers[e.Token][i].Until = min(f.Until, m.Time)
	}
	o.Tokens.change(e.Token, func(t *Token) { t.Changed = m.Position })
}

func (o *Organization) end(id TokenID, m Meta) {
	o.Tokens.change(id, func(t *Token) {
		if !t.Revoked {
			o.holders[t.seat].unrevoked--
		}
		t.Revoked, t.Waiting, t.Changed = true, false, m.Position
		o.release(t.Name, id)
		delete(o.approvals, id)
	})
}

// release gives a name back, unless a younger token has it by now.
func (o *Organization) release(name nameKey, id TokenID) {
	if o.names[name] == id {
		delete(o.names, name)
	}
}
