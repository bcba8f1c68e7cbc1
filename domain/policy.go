package domain

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
)

// Policy is what an organization demands of its tokens. Some of it judges every
// token at every check: Off, BoundOnly, Networks, Idle, the limits, and of each
// kind Longest, Latest and Never. A token that does not meet it is blocked, not
// changed: a looser policy opens it again. The rest is asked when tokens are
// made, changed, rotated and used again.
type Policy struct {
	Off         bool      `json:"off,omitempty"`        // no token is good
	BoundOnly   bool      `json:"bound_only,omitempty"` // tokens that follow their holders from elsewhere are not good here
	Networks    []Network `json:"networks,omitempty"`   // empty: from anywhere
	Idle        Seconds   `json:"idle,omitempty"`       // unused for so long: blocked; 0: never
	TokenLimit  Limit     `json:"token_limit,omitzero"`
	HolderLimit Limit     `json:"holder_limit,omitzero"`

	Personal       KindPolicy `json:"personal,omitzero"`
	Administrative KindPolicy `json:"administrative,omitzero"`
	Service        KindPolicy `json:"service,omitzero"`

	Description bool     `json:"description,omitempty"` // every token says what it is for
	Approval    Approval `json:"approval,omitzero"`
	Overlap     Seconds  `json:"overlap"` // the longest that a secret may outlive its rotation
	Reuse       Reuse    `json:"reuse"`
	UsedByDay   bool     `json:"used_by_day,omitempty"` // when a token was last used is shown to the day only
}

// KindPolicy is what is demanded of one kind of token.
type KindPolicy struct {
	Creators  []Role  `json:"creators,omitempty"`   // who may make them, besides having the permission; empty: whoever has it
	PerHolder int     `json:"per_holder,omitempty"` // how many live ones a holder has at most; 0: any number
	Default   Seconds `json:"default,omitempty"`    // the life of one that asks for none; 0: a year of the calendar
	Longest   Seconds `json:"longest,omitempty"`    // 0: any
	Latest    Instant `json:"latest,omitzero"`      // none ends after this; zero: no such date
	Never     bool    `json:"never,omitempty"`      // one may be without an end
}

// Approval says which tokens wait until somebody else approves them.
type Approval struct {
	Kinds  []TokenKind `json:"kinds,omitempty"`
	Grants []string    `json:"grants,omitempty"` // kinds of access, roles, permissions: a token that has one of them waits
	Lapse  Seconds     `json:"lapse,omitempty"`  // after which time nobody can approve any more; 0: 7 days
}

// Reuse says what happens when a secret is shown that was rotated out.
type Reuse string

const (
	// ReuseReported: it is recorded, and the token goes on.
	ReuseReported Reuse = "report"
	// ReuseRevokes: it is recorded, and the token ends.
	ReuseRevokes Reuse = "revoke"
)

// MaxOverlap is the longest that a secret can outlive its rotation anywhere.
const MaxOverlap = 7 * day

// UsualLapse is how long a token waits for approval if the policy does not say.
const UsualLapse = 7 * day

// UsualPolicy is what an organization demands that has said nothing.
func UsualPolicy() Policy {
	return Policy{
		Personal:       KindPolicy{PerHolder: 5, Never: true},
		Administrative: KindPolicy{Never: true},
		Service:        KindPolicy{Never: true},
		Overlap:        MaxOverlap,
		Reuse:          ReuseReported,
	}
}

// Of is what the policy demands of a kind.
func (p *Policy) Of(kind TokenKind) *KindPolicy {
	switch kind {
	case Personal:
		return &p.Personal
	case Service:
		return &p.Service
	}
	return &p.Administrative
}

// Presets are the lives, in seconds, that people choose among as far as a kind of
// token may have them: 1, 7, 30 and 90 days, a year.
func (k KindPolicy) Presets() (lives []Seconds) {
	for _, life := range []Seconds{day, 7 * day, 30 * day, 90 * day, year} {
		if k.Longest == 0 || life <= k.Longest {
			lives = append(lives, life)
		}
	}
	return lives
}

// judge is why the policy blocks a token at a moment, wherever it is shown from.
func (p *Policy) judge(t *Token, ask *Ask) Reason {
	k := p.Of(t.Kind)
	switch {
	case p.Off:
		return ReasonOff
	case k.exceeds(t.Issued, t.Expires):
		return ReasonPolicy
	case p.Idle != 0 && max(t.Issued, ask.Used)+p.Idle.Instant() <= ask.Now:
		return ReasonIdle
	}
	return ReasonNone
}

// exceeds reports whether a life from one moment to another is longer than the
// policy has it.
func (k *KindPolicy) exceeds(from, until Instant) bool {
	if until == 0 {
		return !k.Never
	}
	return k.Longest != 0 && until-from > k.Longest.Instant() || k.Latest != 0 && until > k.Latest
}

// expiry is when a token ends that was asked to end at asked.
func (k *KindPolicy) expiry(asked Instant, never bool, now Instant) (Instant, error) {
	switch {
	case never && asked != 0:
		return 0, Invalid("expires_at", "is given together with never", "give one of them")
	case never && !k.Never:
		return 0, Invalid("expires_at", "is never, and the policy wants an end", k.advice())
	case never:
		return 0, nil
	case asked == 0:
		return k.usual(now)
	case asked <= now:
		return 0, Invalid("expires_at", "%s has passed", "choose a time in the future", asked)
	case asked > lastInstant:
		return 0, Invalid("expires_at", "lies after the year 9999", "choose an earlier time, or never")
	case k.exceeds(now, asked):
		return 0, Invalid("expires_at", "%s is later than the policy allows", k.advice(), asked)
	}
	return asked, nil
}

// advice says how long a token may live.
func (k *KindPolicy) advice() string {
	switch {
	case k.Latest != 0 && k.Longest != 0:
		return fmt.Sprintf("choose a time at most %s from now, and not after %s", k.Longest, k.Latest)
	case k.Latest != 0:
		return fmt.Sprintf("choose a time not after %s", k.Latest)
	case k.Longest != 0:
		return fmt.Sprintf("choose a time at most %s from now", k.Longest)
	}
	return "choose a time at which it ends"
}

// String is the length in words.
func (s Seconds) String() string {
	for _, unit := range []struct {
		length Seconds
		name   string
	}{{day, "day"}, {60 * minute, "hour"}, {minute, "minute"}, {1, "second"}} {
		if n := s / unit.length; n > 0 && s%unit.length == 0 {
			if n == 1 {
				return "1 " + unit.name
			}
			return fmt.Sprintf("%d %ss", int64(n), unit.name)
		}
	}
	return "0 seconds"
}

// usual is when a token ends that asks for no end.
func (k *KindPolicy) usual(now Instant) (Instant, error) {
	ends := At(now.Time().AddDate(1, 0, 0))
	if k.Default != 0 {
		ends = now + k.Default.Instant()
	}
	return k.cut(now, ends)
}

// cut is an end that the policy allows, at most the one that is wanted.
func (k *KindPolicy) cut(now, ends Instant) (Instant, error) {
	if k.Longest != 0 {
		ends = min(ends, now+k.Longest.Instant())
	}
	if k.Latest != 0 {
		ends = min(ends, k.Latest)
	}
	if ends <= now {
		return 0, Refuse(ErrState, "the policy lets no token of this kind live after %s", "ask an administrator to change the policy", k.Latest)
	}
	return min(ends, lastInstant), nil
}

// mayCreate refuses whoever has none of the roles that the policy wants.
func (k *KindPolicy) mayCreate(o *Organization, m Meta) error {
	if len(k.Creators) == 0 || slices.Contains(k.Creators, o.roleOf(m.Actor.Account)) {
		return nil
	}
	return Refuse(ErrDenied, "the policy lets only %s make tokens of this kind", "ask one of them", few(texts(k.Creators)))
}

func texts[S ~string](all []S) []string {
	plain := make([]string, len(all))
	for i, s := range all {
		plain[i] = string(s)
	}
	return plain
}

// waits reports whether a token of a kind and with such terms needs approval.
// ceiling is what its holder may do.
func (p *Policy) waits(o *Organization, kind TokenKind, ceiling Permissions, given terms) bool {
	a := p.Approval
	if slices.Contains(a.Kinds, kind) {
		return true
	}
	if len(a.Grants) == 0 {
		return false
	}
	reach := o.reach(kind, &given).and(&ceiling)
	has := append(o.Names(reach), string(given.Grant.Access), string(given.Grant.Role))
	if reach == ceiling && len(given.Grant.Resources) == 0 { // by whatever name
		has = append(has, string(FullAccess))
	}
	return slices.ContainsFunc(a.Grants, func(named string) bool { return named != "" && slices.Contains(has, named) })
}

// names reports whether the policy says something about a role or a permission.
func (p *Policy) names(name string) bool {
	creates := func(kind TokenKind) bool { return slices.Contains(p.Of(kind).Creators, Role(name)) }
	return slices.Contains(p.Approval.Grants, name) || slices.ContainsFunc([]TokenKind{Personal, Administrative, Service}, creates)
}

func (a Approval) lapse() Instant {
	if a.Lapse == 0 {
		return UsualLapse.Instant()
	}
	return a.Lapse.Instant()
}

// Check refuses a policy that says what can't be.
func (p Policy) Check(o *Organization) error {
	if err := CheckNetworks("networks", p.Networks); err != nil {
		return err
	}
	if err := p.TokenLimit.check("token_limit"); err != nil {
		return err
	}
	if err := p.HolderLimit.check("holder_limit"); err != nil {
		return err
	}
	if p.Reuse != ReuseReported && p.Reuse != ReuseRevokes {
		return Invalid("reuse", "%q is not what can happen", "take report or revoke", clip(string(p.Reuse)))
	}
	if p.Overlap < 0 || p.Overlap > MaxOverlap {
		return Invalid("overlap", "is %d seconds", "choose 0 to 7 days", int64(p.Overlap))
	}
	if p.Idle < 0 || p.Idle != 0 && p.Idle < day || p.Idle > 10*year {
		return Invalid("idle", "is %d seconds", "choose a day to ten years, or 0 for never", int64(p.Idle))
	}
	if err := p.Approval.check(o); err != nil {
		return err
	}
	for _, kind := range []TokenKind{Personal, Administrative, Service} {
		if err := p.Of(kind).check(o, kind.String()); err != nil {
			return err
		}
	}
	return nil
}

const maxLife = 100 * year

func (k KindPolicy) check(o *Organization, field string) error {
	for _, role := range k.Creators {
		if err := o.known(field+".creators", role); err != nil {
			return err
		}
	}
	switch {
	case k.PerHolder < 0 || k.PerHolder > 100_000:
		return Invalid(field+".per_holder", "is %d", "choose 1 to 100000, or 0 for any number", k.PerHolder)
	case k.Longest < 0 || k.Longest > maxLife:
		return Invalid(field+".longest", "is %d seconds", "choose a second to a hundred years, or 0 for any", int64(k.Longest))
	case k.Default < 0 || k.Default > maxLife:
		return Invalid(field+".default", "is %d seconds", "choose a second to a hundred years, or 0 for a year", int64(k.Default))
	case k.Longest != 0 && k.Default > k.Longest:
		return Invalid(field+".default", "is longer than the longest", "choose a shorter default")
	case k.Latest < 0 || k.Latest > lastInstant:
		return Invalid(field+".latest", "lies outside the calendar", "choose an earlier time")
	}
	return nil
}

func (a Approval) check(o *Organization) error {
	for _, kind := range a.Kinds {
		if kind == NoKind || kind > Service {
			return Invalid("approval.kinds", "names what is no kind of token", "take personal, administrative or service")
		}
	}
	for _, g := range a.Grants {
		_, isRole := o.place(Role(g))
		isAccess := slices.Contains([]Access{FullAccess, ReadOnly, ByRole, ByList}, Access(g))
		if g == "" || !isRole && !isAccess && o.Permission(g) == NoPermission {
			return Invalid("approval.grants", "%q is no kind of access, no role and no permission", "take full-access, the name of a role or that of a permission", clip(g))
		}
	}
	if a.Lapse < 0 || a.Lapse > year {
		return Invalid("approval.lapse", "is %d seconds", "choose a second to a year, or 0 for 7 days", int64(a.Lapse))
	}
	return nil
}

// UpdatePolicy sets the whole policy.
type UpdatePolicy struct {
	Policy Policy
	Seen   Position
}

// Decide refuses a policy that would lock out whoever sets it. It can be changed
// while tokens are switched off, or they could never be switched on again.
func (c UpdatePolicy) Decide(o *Organization, m Meta) ([]Event, error) {
	if err := o.allowsWhileOff(m, PolicyUpdate); err != nil {
		return nil, err
	}
	if err := c.Policy.Check(o); err != nil {
		return nil, err
	}
	if err := unchanged(c.Seen, o.PolicyChanged); err != nil {
		return nil, err
	}
	if c.Policy.text() == o.Policy.text() {
		return nil, nil
	}
	if err := c.locksOut(o, m); err != nil {
		return nil, err
	}
	return []Event{PolicyChanged(c.Policy.plain())}, nil
}

// text is the same for policies that mean the same.
func (p Policy) text() string {
	text, _ := json.Marshal(p.plain()) // of such types it does not fail
	return string(text)
}

// plain is the policy as it is read back from an event: an empty list is none.
func (p Policy) plain() Policy {
	p.Networks, p.Approval.Kinds, p.Approval.Grants = none(p.Networks), none(p.Approval.Kinds), none(p.Approval.Grants)
	for _, k := range []*KindPolicy{&p.Personal, &p.Administrative, &p.Service} {
		k.Creators = none(k.Creators)
	}
	return p
}

func (c UpdatePolicy) locksOut(o *Organization, m Meta) error {
	with, ask := *o, m.ask()
	with.Policy = c.Policy
	with.Policy.Off = false
	if err := with.allows(m, PolicyUpdate); err != nil {
		return Refuse(ErrState, "you could not change it back: it would block the token that you show (%s)",
			"use a token that meets the new policy, from where it may be used", with.Standing(m.Actor.Token, &ask).Reason)
	}
	return nil
}

// Blocks is which live tokens the policy would block that are not blocked now, and
// why. used is when a token was last used; zero: not known, or never. Nothing is
// said about where they are used from.
func (o *Organization) Blocks(p Policy, now Instant, used func(place uint32) Instant, found func(TokenID, Reason)) {
	for at := range o.Tokens.kept {
		t := &o.Tokens.kept[at]
		ask := Ask{Now: now, Used: used(uint32(at))}
		if !t.Live(now) || t.Waiting || o.Policy.judge(t, &ask) != ReasonNone {
			continue
		}
		if reason := p.judge(t, &ask); reason != ReasonNone {
			found(t.ID, reason)
		}
	}
}

// PolicyChanged says what the organization demands from now on: all of it.
type PolicyChanged Policy

// Kind is stored.
func (PolicyChanged) Kind() string { return "policy.changed" }

// Evolve takes the policy.
func (e PolicyChanged) Evolve(o *Organization, m Meta) {
	o.Policy, o.PolicyChanged = Policy(e), m.Position
}

// From is where the request came from, as far as the transport could tell.
func (m Meta) From() netip.Addr {
	address, _ := netip.ParseAddr(m.Address)
	return address.Unmap()
}
