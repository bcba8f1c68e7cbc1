package domain

import (
	"crypto/sha256"
	"slices"
)

// TokenKind says whom a token belongs to.
type TokenKind uint8

const (
	NoKind TokenKind = iota
	// Personal tokens belong to a member and can do what the member can.
	Personal
	// Administrative tokens belong to the organization and outlive their creator.
	Administrative
)

var (
	kindNames    = [...]string{"", "personal", "administrative"}
	kindPrefixes = [...]string{"", "pat", "adm"}
)

func (k TokenKind) String() string {
	if int(k) >= len(kindNames) {
		return ""
	}
	return kindNames[k]
}

func (k TokenKind) prefix() string { return kindPrefixes[k] }

func kindOfPrefix(prefix string) (TokenKind, bool) {
	switch prefix {
	case "pat":
		return Personal, true
	case "adm":
		return Administrative, true
	}
	return NoKind, false
}

// ParseTokenKind knows personal and administrative. Anything else is ErrInvalid.
func ParseTokenKind(name string) (TokenKind, error) {
	if i := slices.Index(kindNames[:], name); i > 0 {
		return TokenKind(i), nil
	}
	return NoKind, Invalid("kind", "%q is not a kind of token", "take personal or administrative", clip(name))
}

// MarshalText writes the kind's name.
func (k TokenKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText is the way back.
func (k *TokenKind) UnmarshalText(text []byte) error {
	kind, err := ParseTokenKind(string(text))
	*k = kind
	return err
}

// Token is what deciding and checking need to know of a token. It has no
// pointers; see the package comment.
type Token struct {
	Kind    TokenKind
	Revoked bool
	Holder  AccountID // zero for administrative tokens
	Name    nameKey
	Hash    Hash
	Number  Position
	Changed Position
	Expires Instant // zero: never
}

// Live reports whether the token can still open anything, as far as it alone is
// concerned. A token is dead from the very moment of its expiry.
func (t Token) Live(now Instant) bool {
	return t.Kind != NoKind && !t.Revoked && (t.Expires == 0 || now < t.Expires)
}

// nameKey stands for a name among the tokens of one holder: half a SHA-256.
type nameKey [16]byte

func keyOf(holder AccountID, name string) (key nameKey) {
	sum := sha256.Sum256(append(slices.Clone(holder.ID[:]), name...))
	copy(key[:], sum[:])
	return key
}

// free refuses a name that another live token of the holder has.
func (o *Organization) free(holder AccountID, name string, now Instant) error {
	other, taken := o.Tokens.Find(o.names[keyOf(holder, name)])
	if taken && other.Live(now) {
		r := Refuse(ErrExists, "a live token %q exists already", "choose another name, or revoke that token first", name)
		r.Field = "name"
		return r
	}
	return nil
}

// unused refuses an id that a token has or had, and a token without a secret.
func (o *Organization) unused(id TokenID, hash Hash) error {
	if _, known := o.Tokens.Find(id); known || id.IsZero() || hash.IsZero() {
		return Refuse(ErrExists, "that is not the id and hash of a new token", "draw a new secret")
	}
	return nil
}

func (o *Organization) token(id TokenID) (Token, error) {
	t, known := o.Tokens.Find(id)
	if !known {
		return t, Refuse(ErrNotFound, "there is no such token", "look at the list of tokens")
	}
	return t, nil
}

// IssueToken makes a token: a personal one for whoever asks, or an
// administrative one for the organization.
type IssueToken struct {
	Token       TokenID
	Kind        TokenKind
	Name        string
	Description string
	Hash        Hash
	Expires     Instant // zero: after a year, unless Never
	Never       bool
}

// Decide refuses a personal token to whoever is no person, an administrative one
// to whoever does not administer, a taken name and a past expiry.
func (c IssueToken) Decide(o *Organization, m Meta) ([]Event, error) {
	holder, err := c.holder(o, m)
	if err != nil {
		return nil, err
	}
	if err := o.unused(c.Token, c.Hash); err != nil {
		return nil, err
	}
	if err := checkName("name", c.Name); err != nil {
		return nil, err
	}
	if err := checkLine("description", c.Description, MaxDescription); err != nil {
		return nil, err
	}
	expires, err := expiry(c.Expires, c.Never, m.Time)
	if err != nil {
		return nil, err
	}
	if err := o.free(holder, c.Name, m.Time); err != nil {
		return nil, err
	}
	return []Event{TokenIssued{c.Token, c.Kind, holder, c.Name, c.Description, c.Hash, expires}}, nil
}

func (c IssueToken) holder(o *Organization, m Meta) (AccountID, error) {
	switch c.Kind {
	case Personal:
		if m.Actor.Kind != ActorMember {
			return AccountID{}, Refuse(ErrDenied, "a personal token is made by the person it belongs to", "use a personal token of that person")
		}
		return m.Actor.Account, o.Allows(m.Actor, TokensCreatePersonal, m.Time)
	case Administrative:
		return AccountID{}, o.Allows(m.Actor, TokensCreateAdministrative, m.Time)
	}
	return AccountID{}, Invalid("kind", "is missing", "take personal or administrative")
}

// expiry is when a token ends that was asked to end at asked.
func expiry(asked Instant, never bool, now Instant) (Instant, error) {
	switch {
	case never && asked != 0:
		return 0, Invalid("expires_at", "is given together with never", "give one of them")
	case never:
		return 0, nil
	case asked == 0:
		return At(now.Time().AddDate(1, 0, 0)), nil
	case asked <= now:
		return 0, Invalid("expires_at", "%s has passed", "choose a time in the future", asked)
	case asked > lastInstant:
		return 0, Invalid("expires_at", "lies after the year 9999", "choose an earlier time, or never")
	}
	return asked, nil
}

// FirstToken is the personal token that a new member begins with.
type FirstToken struct {
	Token   TokenID
	Hash    Hash
	Expires Instant // zero: after a year
}

// firstTokenName is what members see in their list.
const firstTokenName = "first token"

func (f FirstToken) issue(o *Organization, holder AccountID, m Meta) (TokenIssued, error) {
	if err := o.unused(f.Token, f.Hash); err != nil {
		return TokenIssued{}, err
	}
	expires, err := expiry(f.Expires, false, m.Time)
	return TokenIssued{f.Token, Personal, holder, firstTokenName, "", f.Hash, expires}, err
}

// UpdateToken changes what people call a token. Nil leaves a thing as it is.
type UpdateToken struct {
	Token       TokenID
	Name        *string
	Description *string
	Seen        Position // the Changed its sender saw; 0: whatever it is
}

// Decide refuses to change a token that has ended.
func (c UpdateToken) Decide(o *Organization, m Meta) ([]Event, error) {
	t, err := o.token(c.Token)
	if err := o.allowsOwn(t, m, TokensUpdateOwn, TokensUpdateAny); err != nil {
		return nil, err
	}
	if err != nil {
		return nil, err
	}
	if err := unchanged(c.Seen, t.Changed); err != nil {
		return nil, err
	}
	if !t.Live(m.Time) {
		return nil, Refuse(ErrState, "the token has ended and can't be changed", "issue a new one")
	}
	return c.changes(o, t, m.Time)
}

func (c UpdateToken) changes(o *Organization, t Token, now Instant) (events []Event, err error) {
	if c.Name != nil && keyOf(t.Holder, *c.Name) != t.Name {
		if err := checkName("name", *c.Name); err != nil {
			return nil, err
		}
		if err := o.free(t.Holder, *c.Name, now); err != nil {
			return nil, err
		}
		events = append(events, TokenRenamed{c.Token, *c.Name})
	}
	if c.Description != nil {
		if err := checkLine("description", *c.Description, MaxDescription); err != nil {
			return nil, err
		}
		events = append(events, TokenDescribed{c.Token, *c.Description})
	}
	return events, nil
}

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
	if t.Kind == Administrative && m.Actor.Kind == ActorToken {
		return nil, Refuse(ErrDenied, "only admins and owners may revoke an administrative token", "use a personal token of an admin")
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

// TokenIssued says that a token exists. The secret is in no event, only its hash.
type TokenIssued struct {
	Token       TokenID   `json:"token"`
	Type        TokenKind `json:"kind"`
	Holder      AccountID `json:"holder,omitzero"`
	Name        string    `json:"name"`
	Description string    `json:"description,omitempty"`
	Hash        Hash      `json:"hash"`
	Expires     Instant   `json:"expires,omitzero"`
}

// Kind is stored.
func (TokenIssued) Kind() string { return "token.issued" }

// Evolve adds the token. Its name goes to it even if a token that has expired
// still had it.
func (e TokenIssued) Evolve(o *Organization, m Meta) {
	key := keyOf(e.Holder, e.Name)
	o.Tokens.put(e.Token, Token{
		Kind: e.Type, Holder: e.Holder, Name: key, Hash: e.Hash,
		Number: m.Position, Changed: m.Position, Expires: e.Expires,
	})
	o.names[key] = e.Token
}

// TokenRenamed says that a token is called something else.
type TokenRenamed struct {
	Token TokenID `json:"token"`
	Name  string  `json:"name"`
}

// Kind is stored.
func (TokenRenamed) Kind() string { return "token.renamed" }

// Evolve gives the old name back and takes the new one.
func (e TokenRenamed) Evolve(o *Organization, m Meta) {
	o.Tokens.change(e.Token, func(t *Token) {
		o.release(t.Name, e.Token)
		t.Name, t.Changed = keyOf(t.Holder, e.Name), m.Position
		o.names[t.Name] = e.Token
	})
}

// TokenDescribed says that a token has another description.
type TokenDescribed struct {
	Token       TokenID `json:"token"`
	Description string  `json:"description"`
}

// Kind is stored.
func (TokenDescribed) Kind() string { return "token.described" }

// Evolve remembers that the token changed; what it says is for the views.
func (e TokenDescribed) Evolve(o *Organization, m Meta) {
	o.Tokens.change(e.Token, func(t *Token) { t.Changed = m.Position })
}

// TokenRevoked says that a token opens nothing any more.
type TokenRevoked struct {
	Token  TokenID `json:"token"`
	Reason string  `json:"reason,omitempty"`
}

// Kind is stored.
func (TokenRevoked) Kind() string { return "token.revoked" }

// Evolve ends the token. Its record stays: an id never means something else.
func (e TokenRevoked) Evolve(o *Organization, m Meta) {
	o.Tokens.change(e.Token, func(t *Token) {
		t.Revoked, t.Changed = true, m.Position
		o.release(t.Name, e.Token)
	})
}

// release gives a name back, unless a younger token has it by now.
func (o *Organization) release(name nameKey, id TokenID) {
	if o.names[name] == id {
		delete(o.names, name)
	}
}
