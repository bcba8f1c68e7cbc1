package domain

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"unicode/utf8"
)

// Access says how a grant is given.
type Access string

const (
	// Usual is what a grant is that says nothing: everything that its holder may do,
	// and of an administrative token what administrativePermissions says.
	Usual Access = ""
	// FullAccess is everything that the holder may do.
	FullAccess Access = "full-access"
	// ReadOnly is what is marked read in the catalogue.
	ReadOnly Access = "read-only"
	// ByRole is what a role allows, whatever it comes to allow.
	ByRole Access = "role"
	// ByList is a list of permissions.
	ByList Access = "custom"
)

// Grant is what a token is given. What it may do at a moment is never more than
// what its holder may do then.
type Grant struct {
	Access      Access     `json:"access,omitempty"`
	Role        Role       `json:"role,omitempty"`
	Permissions []string   `json:"permissions,omitempty"`
	Resources   []Resource `json:"resources,omitempty"` // empty: not limited to any
}

// Resource is one thing, type:id, or all of a type, type:*.
type Resource string

const (
	maxResources = 100
	maxResource  = 200
)

func (r Resource) split() (kind, id string) {
	kind, id, _ = strings.Cut(string(r), ":")
	return kind, id
}

func (r Resource) check() error {
	kind, id := r.split()
	if !typePattern.MatchString(kind) || id == "" || len(r) > maxResource || !utf8.ValidString(id) || strings.ContainsFunc(id, func(c rune) bool { return c <= ' ' || c == 0x7f || hidden(c) }) {
		return Invalid("grant.resources", "%q is no resource", "write it as type:id or type:*, like engine:prod", clip(string(r)))
	}
	return nil
}

// matches reports whether what is asked for is what is listed. Only a star that
// is the whole id means all.
func (r Resource) matches(asked Resource) bool {
	kind, id := r.split()
	other, _ := asked.split()
	return r == asked || id == "*" && kind == other
}

// Network is a range of addresses.
type Network = netip.Prefix

const maxNetworks = 50

// contains reports whether the address is in one of the networks. No address is in
// none: who does not say where the bearer is gets no as an answer.
func contains(networks []Network, address netip.Addr) bool {
	return slices.ContainsFunc(networks, func(n Network) bool { return n.Contains(address) })
}

// CheckNetworks refuses what is no list of networks.
func CheckNetworks(field string, networks []Network) error {
	if len(networks) > maxNetworks {
		return Invalid(field, "has %d networks", fmt.Sprintf("list at most %d", maxNetworks), len(networks))
	}
	for _, n := range networks {
		if !n.IsValid() || n != n.Masked() || n.Addr().Is4In6() || n.Addr().Zone() != "" {
			return Invalid(field, "%s is no network", "write it like 10.0.0.0/8, 2001:db8::/32 or 192.0.2.7/32, with nothing behind the prefix", n)
		}
	}
	return nil
}

// covered reports whether all of the networks lie within some of the others.
func covered(networks, others []Network) bool {
	inside := func(n Network) bool {
		return slices.ContainsFunc(others, func(o Network) bool { return o.Bits() <= n.Bits() && o.Contains(n.Addr()) })
	}
	return len(others) == 0 || len(networks) > 0 && !slices.ContainsFunc(networks, func(n Network) bool { return !inside(n) })
}

// Terms are what a token is bound to besides its holder.
type Terms struct {
	Grant     Grant     `json:"grant,omitzero"`
	Networks  []Network `json:"networks,omitempty"` // empty: from anywhere
	NotBefore Instant   `json:"not_before,omitzero"`
	Limit     Limit     `json:"limit,omitzero"`
}

// IsZero reports whether the terms bind to nothing.
func (t Terms) IsZero() bool {
	return t.Grant.IsZero() && len(t.Networks) == 0 && t.NotBefore == 0 && t.Limit.IsZero()
}

// IsZero reports whether the grant is the usual one.
func (g Grant) IsZero() bool {
	return g.Access == Usual && g.Role == NoRole && len(g.Permissions) == 0 && len(g.Resources) == 0
}

// terms are Terms as they were understood when they were given: a name in them
// that comes to mean something else later does not mean that here.
type terms struct {
	Terms
	role rolePlace
	set  Permissions
}

// understand reads terms as they are meant now.
func (o *Organization) understand(given Terms) terms {
	t := terms{Terms: given}
	t.role, _ = o.place(given.Grant.Role)
	t.set, _ = o.set("", given.Grant.Permissions)
	return t
}

// key is the same for terms that mean the same.
func (t terms) key() string {
	text, _ := json.Marshal(t.plain()) // of such types it does not fail
	return fmt.Sprintf("%s %d %x", text, t.role, t.set)
}

// plain is the terms as they are read back from an event: an empty list is none.
func (t Terms) plain() Terms {
	t.Grant, t.Networks = t.Grant.plain(), none(t.Networks)
	return t
}

func (g Grant) plain() Grant {
	g.Permissions, g.Resources = none(g.Permissions), none(g.Resources)
	return g
}

func none[E any](list []E) []E {
	if len(list) == 0 {
		return nil
	}
	return list
}

// usualTerms are those of most tokens of all organizations: a check has them at hand.
var usualTerms terms

// termsAt are the terms at a place.
func (o *Organization) termsAt(place uint32) *terms {
	if place == 0 {
		return &usualTerms
	}
	return &o.terms[place]
}

// intern is the place of terms among those of the organization, which keeps equal
// ones once: most tokens have one of a few.
func (o *Organization) intern(given Terms) uint32 {
	if given.IsZero() {
		return 0
	}
	t := o.understand(given)
	key := t.key()
	if at, known := o.termPlaces[key]; known {
		return at
	}
	at := uint32(len(o.terms))
	o.terms = append(o.terms, t)
	o.termPlaces[key] = at
	return at
}

// reach is what terms grant to a token of a kind, before anybody's rights cut it
// down.
func (o *Organization) reach(kind TokenKind, t *terms) Permissions {
	switch t.Grant.Access {
	case Usual:
		if kind == Administrative {
			return administrativePermissions.and(&o.catalogue.live)
		}
		return o.catalogue.live
	case FullAccess:
		return o.catalogue.live
	case ReadOnly:
		return o.catalogue.reads
	case ByRole:
		return o.roles[t.role].Permissions.and(&o.catalogue.live)
	}
	return t.set.and(&o.catalogue.live)
}

// within reports whether terms allow nothing that others do not.
func (o *Organization) within(kind TokenKind, given, other terms) bool {
	allowed := o.reach(kind, &other)
	excess := o.reach(kind, &given).without(&allowed)
	more := func(r Resource) bool { return !listed(other.Grant.Resources, r, true) }
	resources := given.Grant.Resources
	return excess.IsZero() && covered(given.Networks, other.Networks) &&
		(len(resources) > 0 || len(other.Grant.Resources) == 0) && !slices.ContainsFunc(resources, more)
}

// check refuses a grant that says two things, or names what there is not.
func (g Grant) check(o *Organization) error {
	switch g.Access {
	case Usual, FullAccess, ReadOnly, ByRole, ByList:
	default:
		return Invalid("grant.access", "%q is no kind of grant", "take read-only, full-access, role or custom", clip(string(g.Access)))
	}
	if (g.Access == ByRole) != (g.Role != NoRole) {
		return Invalid("grant.role", "does not go with the access %q", "give a role with the access role, and only then", g.Access)
	}
	if (g.Access == ByList) != (len(g.Permissions) > 0) {
		return Invalid("grant.permissions", "does not go with the access %q", "list permissions with the access custom, and only then", g.Access)
	}
	if g.Access == ByRole {
		if err := o.known("grant.role", g.Role); err != nil {
			return err
		}
	}
	if _, err := o.set("grant.permissions", g.Permissions); err != nil {
		return err
	}
	return checkResources(g.Resources)
}

func checkResources(resources []Resource) error {
	if len(resources) > maxResources {
		return Invalid("grant.resources", "has %d resources", fmt.Sprintf("list at most %d", maxResources), len(resources))
	}
	for _, r := range resources {
		if err := r.check(); err != nil {
			return err
		}
	}
	return nil
}

func (t Terms) check(o *Organization) error {
	if err := t.Grant.check(o); err != nil {
		return err
	}
	if err := CheckNetworks("networks", t.Networks); err != nil {
		return err
	}
	if t.NotBefore > lastInstant || t.NotBefore < 0 {
		return Invalid("not_before", "lies outside the calendar", "choose an earlier time")
	}
	if err := t.Limit.check("limit"); err != nil {
		return err
	}
	if !t.Limit.IsZero() && t.Limit.looser(o.Policy.TokenLimit) {
		return Invalid("limit", "is looser than the organization's limit of %d requests in %d seconds", "choose a tighter one, or none to have that one",
			o.Policy.TokenLimit.Requests, o.Policy.TokenLimit.Window)
	}
	return nil
}

// beginBefore refuses terms that begin at an end or after it.
func (t Terms) beginBefore(end Instant) error {
	if t.NotBefore == 0 || end == 0 || t.NotBefore < end {
		return nil
	}
	return Invalid("not_before", "is not before the end", "choose an earlier time, or a later end")
}

// grants refuses whoever would give a token of a kind and holder more than they
// hold themselves, in permissions or in networks. What is named in a grant counts
// although its holder may not do it: they may come to.
func (o *Organization) grants(m Meta, kind TokenKind, account AccountID, given Terms) error {
	t := o.understand(given)
	if t.Grant.Access == ByRole || t.Grant.Access == ByList {
		if err := o.holds(m, "grant", o.reach(kind, &t)); err != nil {
			return err
		}
	}
	return o.handsOver(m, kind, account, t)
}

// handsOver refuses whoever would come to know, or to let work, a token that can do
// more at this moment than they can.
func (o *Organization) handsOver(m Meta, kind TokenKind, account AccountID, given terms) error {
	ceiling := o.ceilingOf(kind, account)
	if err := o.holds(m, "grant", o.reach(kind, &given).and(&ceiling)); err != nil {
		return err
	}
	if !covered(given.Networks, o.shownTerms(m).Networks) {
		return Refuse(ErrDenied, "the token that you show works in some networks only, and what it makes must not work elsewhere", "give the new token the same networks")
	}
	return nil
}

// shownTerms are those of the token that the actor shows.
func (o *Organization) shownTerms(m Meta) Terms {
	if shown, known := o.Tokens.Find(m.Actor.Token); known {
		return o.Terms(shown)
	}
	if m.Pass != nil {
		return m.Pass.Terms
	}
	return Terms{}
}

// whole reports whether the grant is all that the holder may do.
func (g Grant) whole() bool {
	return (g.Access == Usual || g.Access == FullAccess) && len(g.Resources) == 0
}

// ceilingOf is the ceiling of whoever has that account.
func (o *Organization) ceilingOf(kind TokenKind, account AccountID) Permissions {
	h := o.holder(account)
	return o.ceiling(kind, &h)
}

// ceiling is what the holder of a token of a kind may do: no token of theirs can
// do more.
func (o *Organization) ceiling(kind TokenKind, h *holder) Permissions {
	switch kind {
	case Personal:
		return o.roles[h.role].Permissions.and(&o.catalogue.live)
	case Service:
		return o.reach(Service, o.termsAt(h.terms))
	}
	return o.roles[placeOfAdmin].Permissions
}
