package domain

import (
	"crypto/subtle"
	"net/netip"
	"slices"
)

// Reason says why a token does not open a door. It is for the audit log and for
// the token's own organization; strangers learn only that it does not.
type Reason string

const (
	ReasonNone       Reason = ""
	ReasonUnknown    Reason = "unknown"
	ReasonRevoked    Reason = "revoked"
	ReasonExpired    Reason = "expired"
	ReasonSuspended  Reason = "suspended"  // its holder is, or is gone
	ReasonMalformed  Reason = "malformed"  // it is no secret at all
	ReasonForeign    Reason = "foreign"    // it belongs to another organization than the asker
	ReasonWaiting    Reason = "waiting"    // for approval
	ReasonNotYet     Reason = "not-yet"    // its time has not begun
	ReasonReplaced   Reason = "replaced"   // the secret was rotated out; the token may be good
	ReasonNetwork    Reason = "network"    // it may not be used from there, or nobody said from where
	ReasonOff        Reason = "off"        // the organization has switched tokens off
	ReasonPolicy     Reason = "policy"     // it lives longer than the policy has it
	ReasonIdle       Reason = "idle"       // it was not used for so long
	ReasonUnbound    Reason = "unbound"    // it follows its holder, and the organization takes only tokens of its own
	ReasonLimited    Reason = "limited"    // it was used too often
	ReasonDeleted    Reason = "deleted"    // its organization was, or its holder's account
	ReasonPermission Reason = "permission" // it is good, but not for that
	ReasonResource   Reason = "resource"   // it is good for that, but not there
	ReasonDoor       Reason = "door"       // the engine is disabled, or does not take what was shown
	ReasonStale      Reason = "stale"      // whoever was asked has not heard of the platform for too long
)

// Reasons is all of them.
var Reasons = []Reason{
	ReasonNone, ReasonUnknown, ReasonRevoked, ReasonExpired, ReasonSuspended, ReasonMalformed, ReasonForeign,
	ReasonWaiting, ReasonNotYet, ReasonReplaced, ReasonNetwork, ReasonOff, ReasonPolicy, ReasonIdle, ReasonUnbound,
	ReasonLimited, ReasonDeleted, ReasonPermission, ReasonResource, ReasonDoor, ReasonStale,
}

// Ask is the occasion of a check.
type Ask struct {
	Now     Instant
	Address netip.Addr // where the bearer is; invalid: nobody says
	Used    Instant    // when the token was last used, for policies that end idle ones
	// Permission is what the bearer wants to do, by name; empty: nobody asks.
	Permission string
	Resource   Resource // on what; empty: on nothing in particular
	Within     Resource // what that is a part of; empty: of nothing
	entering   bool     // all that is asked for is to come in at the engine Within
}

// Verdict is the answer of a check.
type Verdict struct {
	Reason Reason // ReasonNone: the token is active
	ID     TokenID
	Token  Token
	Role   Role   // of the holder; NoRole for what belongs to no person
	Seat   uint32 // of the holder, if Token has one
	// Granted is what the token may do wherever. Of one that is limited to resources
	// this is little or nothing: it is to be asked about one of them.
	Granted Permissions
	// Denied is why the token may not do what was asked for; ReasonNone: it may, or
	// nothing was asked for.
	Denied Reason
	// Replaced is when the secret that was shown ends, if it was rotated out and
	// outlives that for a while.
	Replaced    Instant
	TokenLimit  Limit
	HolderLimit Limit
}

// Active reports whether the token opens anything at all.
func (v *Verdict) Active() bool { return v.Reason == ReasonNone }

// Check holds a shown secret against the organization at a moment. The whole
// hash is compared, in constant time, whether or not the token is known: the
// stranger who shows the secret controls all of it and learns nothing from how
// long the answer takes.
func (o *Organization) Check(s Shown, ask *Ask) (v Verdict) {
	place, _ := o.Tokens.Place(s.Token)
	o.CheckAt(&v, place, s, ask)
	return v
}

// CheckAt is Check by somebody who knows the place of the token with that id. A
// place that there is not is that of no token.
func (o *Organization) CheckAt(v *Verdict, place uint32, s Shown, ask *Ask) {
	t := &noToken
	if int(place) < len(o.Tokens.kept) {
		t = &o.Tokens.kept[place]
	}
	same := subtle.ConstantTimeCompare(t.Hash[:], s.Hash[:]) == 1
	if t.Rotated && !same {
		same = o.replaced(v, s, ask.Now)
	}
	if !same || t.Kind != s.Kind || t.ID != s.Token {
		v.Reason = ReasonUnknown
		return
	}
	reason := v.Reason
	o.standing(v, t, ask)
	if reason != ReasonNone && v.Reason == ReasonNone {
		v.Reason, v.Granted = reason, Permissions{}
	}
}

var noToken Token

// Standing is what a token may do and what it may not, for those who look at it.
type Standing struct {
	Verdict
	Terms  Terms
	Allows []string // what it may do now; if its terms or its holder's name resources: on those only
	On     []Resource
	Cut    []Cut   // what it was given and cannot do now
	Until  Instant // when its secret from before ends; zero: it has
	Seen   Instant // when a rotated-out secret was last shown; zero: never
	Used   Instant // when the token was last used, as whoever asks says
}

// Cut is what a token was given and cannot do, and why.
type Cut struct {
	Permission string
	Why        string
}

// Why something is cut off.
const (
	CutHolder  = "holder"  // its holder may not do it
	CutRetired = "retired" // there is no such permission any more
	CutRole    = "role"    // the role that it names was deleted
)

// Describe is how a token stands, and what of its grant is cut off. The address of
// its bearer is not known here, so networks do not count.
func (o *Organization) Describe(id TokenID, ask *Ask) (s Standing) {
	t, known := o.Tokens.Find(id)
	if !known {
		s.Reason = ReasonUnknown
		return s
	}
	s.Verdict = o.Standing(id, ask)
	given, h := &o.terms[t.terms], nobody
	if t.Kind != Administrative {
		h = o.holders[t.seat]
	}
	if s.Reason == ReasonNetwork {
		s.Reason = o.Policy.judge(&t, ask)
		if s.Reason == ReasonNone && t.Kind != Administrative && !h.active() {
			s.Reason = ReasonSuspended
		}
	}
	reach, ceiling := o.reach(t.Kind, given), o.ceiling(t.Kind, &h)
	s.Terms, s.On = given.Terms, slices.Concat(given.Grant.Resources, o.terms[h.terms].Grant.Resources)
	s.Allows, s.Cut = o.Names(reach.and(&ceiling)), o.cut(given, reach.without(&ceiling))
	s.Until, s.Used = o.Until(id, ask.Now), ask.Used
	for _, f := range o.formers[id] {
		s.Seen = max(s.Seen, f.Reported)
	}
	return s
}

// cut is what of a grant does not count. Of everything nothing is cut: who is given
// all that their holder may do is given no more.
func (o *Organization) cut(given *terms, excess Permissions) (all []Cut) {
	switch given.Grant.Access {
	case ByRole:
		if o.roles[given.role].gone {
			all = append(all, Cut{string(given.Grant.Role), CutRole})
		}
	case ByList:
		for _, name := range given.Grant.Permissions {
			if p := o.Permission(name); p == NoPermission || !given.set.Has(p) {
				all = append(all, Cut{name, CutRetired})
			}
		}
	default:
		return nil
	}
	for _, name := range o.Names(excess) {
		all = append(all, Cut{name, CutHolder})
	}
	return all
}

// Standing is how a token stands that the organization has, whoever shows it.
func (o *Organization) Standing(id TokenID, ask *Ask) (v Verdict) {
	place, known := o.Tokens.Place(id)
	if !known {
		return Verdict{Reason: ReasonUnknown}
	}
	o.standing(&v, &o.Tokens.kept[place], ask)
	return v
}

func (o *Organization) standing(v *Verdict, t *Token, ask *Ask) {
	v.ID, v.Token, v.Seat = t.ID, *t, t.seat
	terms := o.termsAt(t.terms)
	if v.Reason = o.blocked(t, terms, ask); v.Reason != ReasonNone {
		return
	}
	h := &nobody
	if t.Kind != Administrative {
		h = &o.holders[t.seat]
		if !h.active() {
			v.Reason = ReasonSuspended
			return
		}
	}
	if t.Kind == Personal {
		v.Role = o.roles[h.role].Name
	}
	v.TokenLimit = o.Policy.TokenLimit.tighter(terms.Limit)
	v.HolderLimit = o.Policy.HolderLimit.tighter(h.limit)
	has := o.ceiling(t.Kind, h)
	if terms.Grant.Access != Usual || t.Kind == Administrative { // else it is all that its holder may do
		reach := o.reach(t.Kind, terms)
		has = has.and(&reach)
	}
	o.allow(v, has, &terms.Grant, &o.termsAt(h.terms).Grant, ask)
}

var nobody holder

// blocked is why a token opens nothing, as far as it and the policy are concerned.
func (o *Organization) blocked(t *Token, terms *terms, ask *Ask) Reason {
	switch {
	case t.Kind == NoKind:
		return ReasonUnknown
	case o.Deleted != 0:
		return ReasonDeleted
	case t.Revoked:
		return ReasonRevoked
	case !t.Live(ask.Now):
		return ReasonExpired
	case t.Waiting:
		return ReasonWaiting
	case ask.Now < terms.NotBefore:
		return ReasonNotYet
	case len(terms.Networks) > 0 && !contains(terms.Networks, ask.Address):
		return ReasonNetwork
	case len(o.Policy.Networks) > 0 && !contains(o.Policy.Networks, ask.Address):
		return ReasonNetwork
	}
	return o.Policy.judge(t, ask)
}

// allow settles what an active token may do: everything in has, or, as far as it or
// its holder are limited to resources, what is about one of these.
func (o *Organization) allow(v *Verdict, has Permissions, given, holders *Grant, ask *Ask) {
	v.Granted = has
	if len(given.Resources) > 0 {
		v.Granted = o.anywhere(v.Granted, given)
	}
	if len(holders.Resources) > 0 {
		v.Granted = o.anywhere(v.Granted, holders)
	}
	if ask.Permission == "" {
		return
	}
	if ask.entering { // what most ask at every door, and needs nothing to be looked up
		v.Denied = o.enters(has, given, holders, ask.Within)
		return
	}
	p, on := o.Permission(ask.Permission), ask.Resource
	if on == "" && o.about(p, ask.Within) {
		on = ask.Within
	}
	switch {
	case !has.Has(p):
		v.Denied = ReasonPermission
	case !o.about(p, on), !v.Granted.Has(p) && (on == "" && ask.Within == "" || !o.catalogue.bound.Has(p)),
		!given.covers(on, ask.Within), !holders.covers(on, ask.Within):
		v.Denied = ReasonResource
	}
}

// enters is why one who may do what is in has does not come in at an engine.
func (o *Organization) enters(has Permissions, given, holders *Grant, engine Resource) Reason {
	switch {
	case !has.Has(o.catalogue.enter):
		return ReasonPermission
	case !listed(given.Resources, engine, false), !listed(holders.Resources, engine, false):
		return ReasonResource
	}
	return ReasonNone
}

// covers reports whether a grant is not limited to others than these: a resource, or
// what it is a part of.
func (g *Grant) covers(asked, within Resource) bool {
	return listed(g.Resources, asked, within == "") || listed(g.Resources, within, false)
}

var noGrant Grant

// anywhere is what a grant that is limited to resources allows without naming one:
// of what is about no resource, that which it lists, and of a role that which is not
// administrative. Nobody who limits a token to an engine means it to add members.
func (o *Organization) anywhere(has Permissions, g *Grant) (none Permissions) {
	switch g.Access {
	case ByList:
		return has.without(&o.catalogue.bound)
	case ByRole:
		return has.without(&o.catalogue.bound).and(&o.catalogue.work)
	}
	return none
}

// about reports whether a permission can be asked for on a resource: one about a
// type of resource on one of that type only.
func (o *Organization) about(p Permission, asked Resource) bool {
	kind := o.catalogue.definition(p).Resource
	of, _ := asked.split()
	return asked == "" || kind == "" || kind == of
}

// listed reports whether a resource is among others; nothing is if it may be.
func listed(resources []Resource, asked Resource, nothing bool) bool {
	if len(resources) == 0 || asked == "" {
		return len(resources) == 0 || nothing
	}
	for _, r := range resources {
		if r.matches(asked) {
			return true
		}
	}
	return false
}

// rights is what the verdict lets the actor do: an actor who says they are
// somebody else than the token's holder may do nothing.
func (v *Verdict) rights(a Actor) (none Permissions) {
	if !v.Active() || a != v.Actor() {
		return none
	}
	return v.Granted
}

// Actor is who acts when this token is shown.
func (v *Verdict) Actor() Actor {
	switch v.Token.Kind {
	case Personal:
		return Actor{Kind: ActorMember, Account: v.Token.Holder, Token: v.ID}
	case Service:
		return Actor{Kind: ActorService, Account: v.Token.Holder, Token: v.ID}
	case Administrative:
		return Actor{Kind: ActorToken, Token: v.ID}
	}
	return Actor{}
}

// Pass is a personal token that follows its holder, as its own organization sees
// it at a moment. Another organization lets it in by Admit.
type Pass struct {
	Token Token
	Terms Terms
}

// Pass is what a token of this organization takes along. Only one that is active
// here and follows its holder has a pass.
func (o *Organization) Pass(v *Verdict) (Pass, bool) {
	if !v.Active() || !v.Token.Unbound {
		return Pass{}, false
	}
	return Pass{v.Token, o.terms[v.Token.terms].Terms}, true
}

// Admit is how a token of another organization stands in this one: as what its
// holder is here, under both policies. Its grant names nothing of the other
// organization's own; see UnbindToken.
func (o *Organization) Admit(p Pass, ask *Ask) (v Verdict) {
	t := p.Token
	v.ID, v.Token = t.ID, t
	h := o.holder(t.Holder)
	switch {
	case o.Deleted != 0:
		v.Reason = ReasonDeleted
	case h.Kind != Person:
		v.Reason = ReasonForeign
	case o.Policy.BoundOnly:
		v.Reason = ReasonUnbound
	case !h.active():
		v.Reason = ReasonSuspended
	case len(o.Policy.Networks) > 0 && !contains(o.Policy.Networks, ask.Address):
		v.Reason = ReasonNetwork
	default:
		v.Reason = o.Policy.judge(&t, ask)
	}
	if v.Reason != ReasonNone {
		return v
	}
	v.Seat, v.Role = o.seats[t.Holder], o.roles[h.role].Name
	v.TokenLimit = o.Policy.TokenLimit.tighter(p.Terms.Limit)
	v.HolderLimit = o.Policy.HolderLimit.tighter(h.limit)
	visiting := terms{Terms: p.Terms}
	visiting.set, _ = o.set("", p.Terms.Grant.Permissions)
	reach, ceiling := o.reach(Personal, &visiting), o.ceiling(Personal, &h)
	o.allow(&v, reach.and(&ceiling), &p.Terms.Grant, &noGrant, ask)
	return v
}
