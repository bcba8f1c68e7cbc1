package domain

import (
	"errors"
	"fmt"
	"iter"
)

// Copy is what an engine has of its organization: enough to check tokens by the same
// rule, and no more. It has no names of tokens, no administrative tokens, nobody who
// has no token, and of secrets the hashes that the platform has.
//
// The platform describes its organization in pieces; a copy takes them. A piece says
// how something is now and not what has changed, so that one that comes twice or late
// by another way does no harm. Numbers and places in pieces are the platform's: they
// stay the same as long as the organization lives, on all of its nodes.
type Copy struct {
	Organization
	Door   Door
	people []Bearer // by their seats
}

// Bearer is a holder as an engine knows them.
type Bearer struct {
	Number Position
	Email  string // of a member
}

// NewCopy is a copy that has heard nothing: it lets nobody in.
func NewCopy() *Copy {
	c := &Copy{Organization: *NewOrganization(OrganizationID{})}
	c.catalogue = &catalogue{copy: map[Permission]Definition{}}
	c.roles = nil
	c.Door.Disabled = true
	return c
}

// Holder is who holds the token of a verdict.
func (c *Copy) Holder(v *Verdict) (none Bearer) {
	if int(v.Seat) < len(c.people) {
		return c.people[v.Seat]
	}
	return none
}

// Piece is a part of an organization. One of its fields is set.
type Piece struct {
	Frame  *FramePiece  `json:"frame,omitempty"`
	Terms  *TermsPiece  `json:"terms,omitempty"`
	Holder *HolderPiece `json:"holder,omitempty"`
	Token  *TokenPiece  `json:"token,omitempty"`
}

// FramePiece is what there is once in an organization, and the engine's door.
type FramePiece struct {
	Number      Position          `json:"number"`
	Alias       string            `json:"alias"`
	Deleted     Instant           `json:"deleted,omitzero"`
	Policy      Policy            `json:"policy"`
	Permissions []PermissionPiece `json:"permissions"` // the live ones
	Roles       []RolePiece       `json:"roles"`       // by their places
	Door        Door              `json:"door"`
}

// PermissionPiece is a permission by its number.
type PermissionPiece struct {
	Number Permission `json:"number"`
	Definition
}

// RolePiece is what a role allows.
type RolePiece struct {
	Name Role        `json:"name"`
	Set  Permissions `json:"set"`
	Gone bool        `json:"gone,omitempty"`
}

// TermsPiece are terms as the platform has understood them.
type TermsPiece struct {
	At   uint32      `json:"at"`
	Role uint16      `json:"role,omitempty"`
	Set  Permissions `json:"set,omitzero"`
	Terms
}

// HolderPiece is a member or a service account, in their seat.
type HolderPiece struct {
	At     uint32     `json:"at"`
	Kind   HolderKind `json:"kind"`
	Idle   bool       `json:"idle,omitempty"` // suspended, or their account is gone
	Role   uint16     `json:"role,omitempty"`
	Terms  uint32     `json:"terms,omitempty"`
	Limit  Limit      `json:"limit,omitzero"`
	Number Position   `json:"number"`
	Email  string     `json:"email,omitempty"`
}

// TokenPiece is a token.
type TokenPiece struct {
	ID      TokenID       `json:"id"`
	Kind    TokenKind     `json:"kind"`
	Hash    Hash          `json:"hash"`
	Seat    uint32        `json:"seat"`
	Terms   uint32        `json:"terms,omitempty"`
	Issued  Instant       `json:"issued"`
	Expires Instant       `json:"expires,omitzero"`
	Revoked bool          `json:"revoked,omitempty"`
	Waiting bool          `json:"waiting,omitempty"`
	Used    Instant       `json:"used,omitzero"` // last, as far as the platform knows
	Formers []FormerPiece `json:"formers,omitempty"`
}

// FormerPiece is a secret that a token had.
type FormerPiece struct {
	Hash  Hash    `json:"hash"`
	Until Instant `json:"until"`
}

// Touched is what the last commit has changed of what engines have a copy of.
type Touched struct {
	Tokens  []uint32 // their places
	Holders []uint32 // their seats
}

// Touched is what the commit before has changed. The next one forgets it.
func (o *Organization) Touched() Touched { return Touched{o.Tokens.touched, o.touched} }

// forget begins a commit.
func (o *Organization) forget() {
	o.Tokens.touched, o.touched = afresh(o.Tokens.touched), afresh(o.touched)
}

// afresh is an empty slice, in the same memory unless that is large.
func afresh(s []uint32) []uint32 {
	if cap(s) > 64 {
		return nil
	}
	return s[:0]
}

// Framed is how the frame is, as far as it can be told from another one.
type Framed struct {
	frame
	Terms uint32 // how many there are: they are added and never changed
}

type frame struct {
	roles           *RoleDefinition
	many            int
	catalogue       *catalogue
	policy, engines Position
	changed         Position
}

// Same reports whether the frame need not be told again to who was told the other one.
func (f Framed) Same(told Framed) bool { return f.frame == told.frame }

// Framed is how the frame is now.
func (o *Organization) Framed() Framed {
	return Framed{frame{&o.roles[0], len(o.roles), o.catalogue, o.PolicyChanged, o.engines.changed, o.Changed}, uint32(len(o.terms))}
}

// Frame is the frame for an engine. Of one that there is not the door is shut.
func (o *Organization) Frame(engine Position) Piece {
	f := &FramePiece{Number: o.Number, Alias: o.Alias, Deleted: o.Deleted, Policy: o.Policy.judged(), Door: Door{Disabled: true}}
	if e, known := o.Engine(engine); known {
		f.Door = e.Door
	}
	for p := range o.catalogue.live.All() {
		d := o.catalogue.definition(p)
		d.Description, d.Group = "", ""
		f.Permissions = append(f.Permissions, PermissionPiece{p, d})
	}
	for _, r := range o.roles {
		f.Roles = append(f.Roles, RolePiece{r.Name, r.Permissions, r.gone})
	}
	return Piece{Frame: f}
}

// judged is the policy as far as it judges checks.
func (p Policy) judged() Policy {
	p.Approval, p.Description, p.Overlap, p.Reuse, p.UsedByDay = Approval{}, false, 0, "", false
	for _, kind := range []TokenKind{Personal, Administrative, Service} {
		k := p.Of(kind)
		k.Creators, k.PerHolder, k.Default = nil, 0, 0
	}
	return p
}

// TermsFrom are all terms from a place on. Names in their grants, which only the
// platform reads, are left out.
func (o *Organization) TermsFrom(at uint32) iter.Seq[Piece] {
	return func(yield func(Piece) bool) {
		for ; int(at) < len(o.terms); at++ {
			t := o.terms[at]
			plain := t.Terms
			plain.Grant.Role, plain.Grant.Permissions = "", nil
			if !yield(Piece{Terms: &TermsPiece{at, uint16(t.role), t.set, plain}}) {
				return
			}
		}
	}
}

// Holders is how many seats there are.
func (o *Organization) Holders() uint32 { return uint32(len(o.holders)) }

// HolderPiece is the holder in a seat; none that has ever had a token: false.
func (o *Organization) HolderPiece(at uint32, account Account, gone bool) (Piece, bool) {
	h := &o.holders[at]
	if h.Account.IsZero() || h.youngest == 0 {
		return Piece{}, false
	}
	number := account.Number
	if h.Kind == Program {
		number = h.Number
	}
	return Piece{Holder: &HolderPiece{at, h.Kind, h.Suspended || gone, uint16(h.role), h.terms, h.limit, number, account.Email}}, true
}

// HolderChanged is the commit that changed the holder in a seat.
func (o *Organization) HolderChanged(at uint32) Position { return o.holders[at].Changed }

// Len is how many places there are.
func (s *Tokens) Len() uint32 { return uint32(len(s.kept)) }

// At is the token in a place.
func (s *Tokens) At(place uint32) *Token { return &s.kept[place] }

// TokenPiece is the token in a place; one that opens no engine: false.
func (o *Organization) TokenPiece(place uint32, used Instant) (Piece, bool) {
	t := &o.Tokens.kept[place]
	if t.Kind == Administrative {
		return Piece{}, false
	}
	piece := &TokenPiece{t.ID, t.Kind, t.Hash, t.seat, t.terms, t.Issued, t.Expires, t.Revoked, t.Waiting, used, nil}
	for _, f := range o.formers[t.ID] {
		piece.Formers = append(piece.Formers, FormerPiece{f.Hash, f.Until})
	}
	return Piece{Token: piece}, true
}

// The most that a copy holds, so that a piece that is wrong cannot fill the memory.
const (
	maxSeats = 1 << 24
	maxTerms = 1 << 24
	maxGap   = 1 << 18 // at once
)

// Take takes a piece. One that cannot be is refused and changes nothing.
func (c *Copy) Take(p Piece) error {
	switch {
	case p.Frame != nil:
		return c.takeFrame(p.Frame)
	case p.Terms != nil:
		return c.takeTerms(p.Terms)
	case p.Holder != nil:
		return c.takeHolder(p.Holder)
	case p.Token != nil:
		return c.takeToken(p.Token)
	}
	return nil // of a younger platform: what narrows is told in ways that stop the reader
}

func (c *Copy) takeFrame(f *FramePiece) error {
	made := &catalogue{names: map[string]Permission{}, copy: map[Permission]Definition{}}
	for _, p := range f.Permissions {
		if p.Number == NoPermission || int(p.Number) >= 64*len(Permissions{}) {
			return fmt.Errorf("permission %d is out of range", p.Number)
		}
		made.copy[p.Number] = p.Definition
		made.add(p.Number, p.Definition)
	}
	roles := make([]RoleDefinition, 0, len(f.Roles))
	for _, r := range f.Roles {
		roles = append(roles, RoleDefinition{Name: r.Name, Permissions: r.Set, gone: r.Gone})
	}
	if moved(c.roles, roles) {
		return errors.New("the roles are in other places than before")
	}
	c.Number, c.Alias, c.Deleted, c.Policy, c.catalogue, c.roles = f.Number, f.Alias, f.Deleted, f.Policy, made, roles
	c.Door = f.Door
	c.Door.resource = engineResource(f.Door.Name)
	return nil
}

// moved reports whether roles are in other places than they were. What a copy knows of
// holders and terms names the places: that is to be heard again from the beginning,
// as from a platform of another version.
func moved(were, are []RoleDefinition) bool {
	for at, r := range were {
		if at >= len(are) || are[at].Name != r.Name {
			return true
		}
	}
	return false
}

func (c *Copy) takeTerms(t *TermsPiece) error {
	if t.At == 0 || t.At >= maxTerms || int(t.At) > len(c.terms)+maxGap {
		return fmt.Errorf("terms %d are out of range", t.At)
	}
	if int(t.Role) >= len(c.roles) {
		return fmt.Errorf("terms %d name the role %d of %d", t.At, t.Role, len(c.roles))
	}
	for int(t.At) >= len(c.terms) { // those that are not known allow nothing
		c.terms = append(c.terms, terms{Terms: Terms{Grant: Grant{Access: ByList}}})
	}
	c.terms[t.At] = terms{t.Terms, rolePlace(t.Role), t.Set}
	return nil
}

func (c *Copy) takeHolder(h *HolderPiece) error {
	switch {
	case h.At >= maxSeats, int(h.At) > len(c.holders)+maxGap, h.Kind > Program:
		return fmt.Errorf("seat %d is out of range, or nobody knows what is in it", h.At)
	case int(h.Role) >= len(c.roles), int(h.Terms) >= len(c.terms):
		return fmt.Errorf("the holder in seat %d has a role or terms that are not known", h.At)
	}
	for int(h.At) >= len(c.holders) { // who is not known is gone
		c.holders, c.people = append(c.holders, holder{}), append(c.people, Bearer{})
	}
	c.holders[h.At] = holder{Kind: h.Kind, Suspended: h.Idle, role: rolePlace(h.Role), terms: h.Terms, limit: h.Limit}
	c.people[h.At] = Bearer{h.Number, h.Email}
	return nil
}

func (c *Copy) takeToken(p *TokenPiece) error {
	if p.Kind != Personal && p.Kind != Service || p.ID.IsZero() || p.Hash.IsZero() {
		return fmt.Errorf("token %s is none that an engine has", p.ID)
	}
	if int(p.Seat) >= len(c.holders) || int(p.Terms) >= len(c.terms) {
		return fmt.Errorf("token %s has a holder or terms that are not known", p.ID)
	}
	t := Token{
		ID: p.ID, Kind: p.Kind, Revoked: p.Revoked, Waiting: p.Waiting, Rotated: len(p.Formers) > 0,
		Hash: p.Hash, seat: p.Seat, terms: p.Terms, Expires: p.Expires, Issued: p.Issued,
	}
	if place, known := c.Tokens.Place(p.ID); known {
		t.Revoked = t.Revoked || c.Tokens.kept[place].Revoked // for ever, whatever comes late
		c.Tokens.kept[place] = t
	} else if !p.Revoked {
		c.Tokens.put(t)
	}
	delete(c.formers, p.ID)
	for _, f := range p.Formers {
		c.formers[p.ID] = append(c.formers[p.ID], former{Hash: f.Hash, Until: f.Until})
	}
	c.forget()
	return nil
}

// Pieces describe the copy itself, as it would be told to another one: all but who
// has no token that is good. used is when the token in a place was last used.
func (c *Copy) Pieces(used func(place uint32) Instant) iter.Seq[Piece] {
	return func(yield func(Piece) bool) {
		if !yield(c.described()) {
			return
		}
		for p := range c.TermsFrom(1) {
			if !yield(p) {
				return
			}
		}
		for at := range c.holders {
			h, who := &c.holders[at], c.people[at]
			if !yield(Piece{Holder: &HolderPiece{uint32(at), h.Kind, h.Suspended, uint16(h.role), h.terms, h.limit, who.Number, who.Email}}) {
				return
			}
		}
		for place := range c.Tokens.Len() {
			if p, opens := c.TokenPiece(place, used(place)); opens && !p.Token.Revoked && !yield(p) {
				return
			}
		}
	}
}

func (c *Copy) described() Piece {
	p := c.Frame(0)
	p.Frame.Door = c.Door
	return p
}
