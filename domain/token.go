package domain

import (
	"crypto/sha256"
	"slices"
)

// TokenKind says whom a token belongs to.
type TokenKind uint8

const (
	NoKind TokenKind = iota
	// Personal tokens belong to a member and can do at most what the member can.
	Personal
	// Administrative tokens belong to the organization and outlive their creator.
	Administrative
	// Service tokens belong to a service account.
	Service
)

var (
	kindNames    = [...]string{"", "personal", "administrative", "service"}
	kindPrefixes = [...]string{"", "pat", "adm", "svc"}
	kindCreates  = [...]Permission{NoPermission, TokensCreatePersonal, TokensCreateAdministrative, TokensCreateService}
)

func (k TokenKind) String() string {
	if int(k) >= len(kindNames) {
		return ""
	}
	return kindNames[k]
}

// Prefix is what stands for the kind in a secret.
func (k TokenKind) Prefix() string { return kindPrefixes[k] }

func kindOfPrefix(prefix string) (TokenKind, bool) {
	switch prefix {
	case "pat":
		return Personal, true
	case "adm":
		return Administrative, true
	case "svc":
		return Service, true
	}
	return NoKind, false
}

// ParseTokenKind knows personal, administrative and service. Anything else is ErrInvalid.
func ParseTokenKind(name string) (TokenKind, error) {
	if i := slices.Index(kindNames[:], name); i > 0 {
		return TokenKind(i), nil
	}
	return NoKind, Invalid("kind", "%q is not a kind of token", "take personal, administrative or service", clip(name))
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
// pointers; see the package comment. Its fields stand in an order that leaves no
// holes, and what a check reads first stands together.
type Token struct {
	ID      TokenID
	Kind    TokenKind
	Revoked bool
	Waiting bool // for approval
	Rotated bool // it has had other secrets
	Unbound bool // it follows its holder into other organizations
	warned  uint8
	Hash    Hash
	seat    uint32 // of the holder
	terms   uint32
	Expires Instant   // zero: never
	Issued  Instant   // when its present secret was made
	Holder  AccountID // zero for administrative tokens
	Name    nameKey
	elder   uint32 // the place of the holder's token before this one, plus one
	Number  Position
	Changed Position
}

// Live reports whether the token can still open anything, as far as it alone is
// concerned. A token is dead from the very moment of its expiry.
func (t Token) Live(now Instant) bool {
	return t.Kind != NoKind && !t.Revoked && (t.Expires == 0 || now < t.Expires)
}

// heldBy reports whether the actor is the token's holder in person.
func (t Token) heldBy(a Actor) bool {
	return t.Kind == Personal && a.Kind == ActorMember && t.Holder == a.Account ||
		t.Kind == Service && a.Kind == ActorService && t.Holder == a.Account
}

// life is how long the token was meant to live; zero: for ever.
func (t Token) life() Instant {
	if t.Expires == 0 {
		return 0
	}
	return t.Expires - t.Issued
}

// nameKey stands for a name among the tokens of one holder: a part of a SHA-256.
// Who would look for two names of the same key could only refuse them to themselves.
type nameKey [12]byte

func keyOf(holder AccountID, name string) (key nameKey) {
	sum := sha256.Sum256(append(slices.Clone(holder.ID[:]), name...))
	copy(key[:], sum[:])
	return key
}

// taken refuses a name that something else has.
func taken(field, detail, next string, args ...any) *Refusal {
	r := Refuse(ErrExists, detail, next, args...)
	r.Field = field
	return r
}

// free refuses a name that another live token of the holder has.
func (o *Organization) free(holder AccountID, name string, now Instant) error {
	other, known := o.Tokens.Find(o.names[keyOf(holder, name)])
	if known && other.Live(now) {
		return taken("name", "a live token %q exists already", "choose another name, or revoke that token first", name)
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

// Terms are what a token is bound to besides its holder.
func (o *Organization) Terms(t Token) Terms { return o.terms[t.terms].Terms }

// IssueToken makes a token: a personal one for whoever asks, an administrative
// one for the organization, or one for a service account.
type IssueToken struct {
	Token       TokenID
	Kind        TokenKind
	Holder      AccountID // the service account; else nobody need be named
	Name        string
	Description string
	Hash        Hash
	Expires     Instant // zero: as the policy has it, unless Never
	Never       bool
	Terms       Terms
	// Unbound: a personal token that follows its holder into every organization they
	// belong to, also those of strangers who add them. Whoever runs one of these sees
	// the secret when it is used there, and can use it everywhere else.
	Unbound bool
}

// Decide refuses a personal token to whoever is no person, an administrative one
// to whoever does not administer, more than its maker may do, a taken name, a past
// expiry, and what the policy does not want.
func (c IssueToken) Decide(o *Organization, m Meta) ([]Event, error) {
	holder, err := c.holder(o, m)
	if err != nil {
		return nil, err
	}
	if err := c.check(o); err != nil {
		return nil, err
	}
	if err := c.bound(o, m); err != nil {
		return nil, err
	}
	if err := o.grants(m, c.Kind, holder, c.Terms); err != nil {
		return nil, err
	}
	k := o.Policy.Of(c.Kind)
	expires, err := k.expiry(c.Expires, c.Never, m.Time)
	if err != nil {
		return nil, err
	}
	if err := c.Terms.beginBefore(expires); err != nil {
		return nil, err
	}
	if err := o.free(holder, c.Name, m.Time); err != nil {
		return nil, err
	}
	if err := o.roomFor(k, c.Kind, holder, m.Time); err != nil {
		return nil, err
	}
	if c.waits(o, holder) {
		if err := asksInPerson(m); err != nil {
			return nil, err
		}
	}
	return c.events(o, holder, expires, m), nil
}

func (c IssueToken) holder(o *Organization, m Meta) (AccountID, error) {
	if m.Replaced {
		return AccountID{}, useTheNewSecret()
	}
	if c.Kind == NoKind || c.Kind > Service {
		return AccountID{}, Invalid("kind", "is missing", "take personal, administrative or service")
	}
	if c.Kind == Personal && m.Actor.Kind != ActorMember {
		return AccountID{}, Refuse(ErrDenied, "a personal token is made by the person it belongs to", "use a personal token of that person")
	}
	if err := o.allows(m, kindCreates[c.Kind]); err != nil {
		return AccountID{}, err
	}
	if err := o.Policy.Of(c.Kind).mayCreate(o, m); err != nil {
		return AccountID{}, err
	}
	switch c.Kind {
	case Personal:
		return m.Actor.Account, nil
	case Administrative:
		return AccountID{}, nil
	}
	_, err := o.serviceAccount(c.Holder)
	return c.Holder, err
}

func (c IssueToken) check(o *Organization) error {
	if err := o.unused(c.Token, c.Hash); err != nil {
		return err
	}
	if err := checkName("name", c.Name); err != nil {
		return err
	}
	if err := o.describes(c.Description); err != nil {
		return err
	}
	return c.Terms.check(o)
}

// describes refuses a description that can't be, and none where the policy wants one.
func (o *Organization) describes(text string) error {
	if text == "" && o.Policy.Description {
		return Invalid("description", "is missing, and the policy wants one", "say what the token is for")
	}
	return checkLine("description", text, MaxDescription)
}

// bound refuses a token that goes elsewhere with what is understood only here.
func (c IssueToken) bound(o *Organization, m Meta) error {
	if !c.Unbound {
		return nil
	}
	if c.Kind != Personal {
		return Invalid("everywhere", "is for personal tokens", "leave it out")
	}
	if o.Policy.BoundOnly {
		return Refuse(ErrDenied, "the policy wants tokens that are bound to the organization", "leave everywhere out")
	}
	if _, here := o.Tokens.Place(m.Actor.Token); !here {
		return Refuse(ErrDenied, "a token that follows its holder is made with one that is bound to the organization", "use a token of this organization")
	}
	own, err := o.set("grant.permissions", c.Terms.Grant.Permissions)
	own = own.without(&commonCatalogue.live)
	if c.Terms.Grant.Access == ByRole || len(c.Terms.Grant.Resources) > 0 || !own.IsZero() {
		return Invalid("grant", "names what there is only in this organization", "take read-only, full-access or a list of permissions that every organization has")
	}
	return err
}

// roomFor refuses a token too many.
func (o *Organization) roomFor(k *KindPolicy, kind TokenKind, account AccountID, now Instant) error {
	few := int(o.holder(account).unrevoked) < k.PerHolder // then nobody need look at each
	if k.PerHolder == 0 || few || o.countLive(account, now, k.PerHolder) < k.PerHolder {
		return nil
	}
	return Refuse(ErrState, "there are %d live tokens already, and the policy allows no more", "revoke one that is not needed", k.PerHolder)
}

// countLive counts the live tokens of a holder, up to enough of them. Those of the
// organization itself are all administrative ones.
func (o *Organization) countLive(account AccountID, now Instant, enough int) (n int) {
	for place := range o.tokensOf(account) {
		if o.Tokens.kept[place].Live(now) {
			if n++; n == enough {
				break
			}
		}
	}
	return n
}

func (c IssueToken) waits(o *Organization, holder AccountID) bool {
	return o.Policy.waits(o, c.Kind, o.ceilingOf(c.Kind, holder), o.understand(c.Terms))
}

func (c IssueToken) events(o *Organization, holder AccountID, expires Instant, m Meta) []Event {
	events := []Event{TokenIssued{c.Token, c.Kind, holder, c.Name, c.Description, c.Hash, expires}}
	if !c.Terms.IsZero() {
		events = append(events, TokenBound{c.Token, c.Terms.plain()})
	}
	if c.Unbound {
		events = append(events, TokenUnbound{c.Token})
	}
	if c.waits(o, holder) {
		events = append(events, ApprovalRequested{c.Token, m.Time + o.Policy.Approval.lapse()})
	}
	return events
}

// FirstToken is the personal token that a new member begins with.
type FirstToken struct {
	Token   TokenID
	Hash    Hash
	Expires Instant // zero: as the policy has it
}

// firstTokenName is what members see in their list.
const firstTokenName = "first token"

func (f FirstToken) issue(o *Organization, holder AccountID, m Meta) (TokenIssued, error) {
	if err := o.unused(f.Token, f.Hash); err != nil {
		return TokenIssued{}, err
	}
	expires, err := o.Policy.Personal.expiry(f.Expires, false, m.Time)
	return TokenIssued{f.Token, Personal, holder, firstTokenName, "", f.Hash, expires}, err
}

// UpdateToken changes what people call a token, what it may do and when it ends.
// Nil leaves a thing as it is.
type UpdateToken struct {
	Token       TokenID
	Name        *string
	Description *string
	Grant       *Grant
	Networks    *[]Network
	NotBefore   *Instant
	Limit       *Limit
	Expires     *Instant // zero: never
	Seen        Position // the Changed its sender saw; 0: whatever it is
}

// Decide refuses to change a token that has ended, and to give it more than
// whoever changes it may do.
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
	if err := mayTouch(t, m); err != nil {
		return nil, err
	}
	if !t.Live(m.Time) {
		return nil, Refuse(ErrState, "the token has ended and can't be changed", "issue a new one")
	}
	if t.Waiting && (c.rebinds() || c.Expires != nil) {
		return nil, Refuse(ErrState, "the token waits for approval, and what is being approved can't be changed", "revoke it and ask for another one")
	}
	return c.changes(o, t, m)
}

func (c UpdateToken) rebinds() bool {
	return c.Grant != nil || c.Networks != nil || c.NotBefore != nil || c.Limit != nil
}

func (c UpdateToken) changes(o *Organization, t Token, m Meta) (events []Event, err error) {
	for _, change := range []func(*Organization, Token, Meta) (Event, error){c.renames, c.describes, c.binds, c.moves, c.begins} {
		e, err := change(o, t, m)
		if err != nil {
			return nil, err
		}
		if e != nil {
			events = append(events, e)
		}
	}
	return events, nil
}

func (c UpdateToken) renames(o *Organization, t Token, m Meta) (Event, error) {
	if c.Name == nil || keyOf(t.Holder, *c.Name) == t.Name {
		return nil, nil
	}
	if err := checkName("name", *c.Name); err != nil {
		return nil, err
	}
	return TokenRenamed{c.Token, *c.Name}, o.free(t.Holder, *c.Name, m.Time)
}

func (c UpdateToken) describes(o *Organization, _ Token, _ Meta) (Event, error) {
	if c.Description == nil {
		return nil, nil
	}
	return TokenDescribed{c.Token, *c.Description}, o.describes(*c.Description)
}

// binds gives the token new terms: all of them, so that nothing of the old ones is
// left over that nobody sees.
func (c UpdateToken) binds(o *Organization, t Token, m Meta) (Event, error) {
	if !c.rebinds() {
		return nil, nil
	}
	given, had := c.terms(o.Terms(t)), o.terms[t.terms]
	if c.Grant == nil && o.understand(had.Terms).key() != had.key() {
		return nil, Invalid("grant", "names what is gone by now, or is something else", "give the token its grant anew")
	}
	if err := given.check(o); err != nil {
		return nil, err
	}
	issue := IssueToken{Kind: t.Kind, Terms: given, Unbound: t.Unbound}
	if err := issue.bound(o, m); err != nil {
		return nil, err
	}
	if err := o.grants(m, t.Kind, t.Holder, given); err != nil {
		return nil, err
	}
	ceiling, gets := o.ceilingOf(t.Kind, t.Holder), o.understand(given)
	if o.Policy.waits(o, t.Kind, ceiling, gets) && !(o.Policy.waits(o, t.Kind, ceiling, had) && o.within(t.Kind, gets, had)) {
		return nil, Refuse(ErrState, "such a grant needs approval", "issue a new token, which waits for it")
	}
	if gets.key() == had.key() {
		return nil, nil
	}
	return TokenBound{c.Token, given}, nil
}

func (c UpdateToken) terms(of Terms) Terms {
	if c.Grant != nil {
		of.Grant = *c.Grant
	}
	if c.Networks != nil {
		of.Networks = *c.Networks
	}
	if c.NotBefore != nil {
		of.NotBefore = *c.NotBefore
	}
	if c.Limit != nil {
		of.Limit = *c.Limit
	}
	return of.plain()
}

// moves gives the token another end, from its secret's making on within what the
// policy allows.
func (c UpdateToken) moves(o *Organization, t Token, m Meta) (Event, error) {
	if c.Expires == nil || *c.Expires == t.Expires {
		return nil, nil
	}
	k := o.Policy.Of(t.Kind)
	expires, err := k.expiry(*c.Expires, *c.Expires == 0, m.Time)
	if err != nil {
		return nil, err
	}
	if k.exceeds(t.Issued, expires) {
		return nil, Invalid("expires_at", "is later than the policy allows a token that was issued at %s", "rotate the token, which begins its life anew", t.Issued)
	}
	if t.Expires != 0 && (expires == 0 || expires > t.Expires) { // who lengthens it hands it over for longer
		if err := o.handsOver(m, t.Kind, t.Holder, o.terms[t.terms]); err != nil {
			return nil, err
		}
	}
	return TokenExpiryChanged{c.Token, expires}, nil
}

// begins refuses a new beginning or a new end that leave the token no time.
func (c UpdateToken) begins(o *Organization, t Token, _ Meta) (Event, error) {
	if c.NotBefore == nil && c.Expires == nil {
		return nil, nil
	}
	end := t.Expires
	if c.Expires != nil {
		end = *c.Expires
	}
	return nil, c.terms(o.Terms(t)).beginBefore(end)
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
	o.seat(e.Holder, func(h *holder) {
		place := o.Tokens.put(Token{
			ID: e.Token, Kind: e.Type, Holder: e.Holder, Name: key, Hash: e.Hash,
			Number: m.Position, Changed: m.Position, Issued: m.Time, Expires: e.Expires,
			seat: o.seats[e.Holder], elder: h.youngest,
		})
		h.youngest, h.unrevoked = place+1, h.unrevoked+1
	})
	o.names[key] = e.Token
}

// TokenBound says what a token is bound to from now on: all of it.
type TokenBound struct {
	Token TokenID `json:"token"`
	Terms
}

// Kind is stored.
func (TokenBound) Kind() string { return "token.bound" }

// Evolve gives the token its terms, and forgets those that it had.
func (e TokenBound) Evolve(o *Organization, m Meta) {
	at := o.intern(e.Terms)
	o.Tokens.change(e.Token, func(t *Token) { t.terms, t.Changed = at, m.Position })
}

// TokenUnbound says that a personal token follows its holder into every
// organization they belong to.
type TokenUnbound struct {
	Token TokenID `json:"token"`
}

// Kind is stored.
func (TokenUnbound) Kind() string { return "token.unbound" }

// Evolve lets the token go.
func (e TokenUnbound) Evolve(o *Organization, m Meta) {
	o.Tokens.change(e.Token, func(t *Token) { t.Unbound, t.Changed = true, m.Position })
}

// TokenExpiryChanged says that a token ends at another time.
type TokenExpiryChanged struct {
	Token   TokenID `json:"token"`
	Expires Instant `json:"expires,omitzero"`
}

// Kind is stored.
func (TokenExpiryChanged) Kind() string { return "token.expiry_changed" }

// Evolve moves the end. Whoever was warned of the old one is warned again.
func (e TokenExpiryChanged) Evolve(o *Organization, m Meta) {
	o.Tokens.change(e.Token, func(t *Token) { t.Expires, t.warned, t.Changed = e.Expires, 0, m.Position })
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
