package domain

import "slices"

// Member is an account in an organization.
type Member struct {
	Role      Role
	Suspended bool
	Limit     Limit // for all their tokens together
	Changed   Position
}

// Member is the member with an account.
func (o *Organization) Member(id AccountID) (Member, bool) {
	h := o.holder(id)
	if h.Kind != Person {
		return Member{}, false
	}
	return Member{o.roles[h.role].Name, h.Suspended, h.limit, h.Changed}, true
}

// roleOf is the role of an account; NoRole for whoever is no member.
func (o *Organization) roleOf(id AccountID) Role {
	member, _ := o.Member(id)
	return member.Role
}

// mayAssign refuses whoever touches an owner, or makes one, without being one, and
// whoever gives a role that allows more than they may do.
func (o *Organization) mayAssign(m Meta, from, to Role) error {
	if (from == Owner || to == Owner) && o.roleOf(m.Actor.Account) != Owner {
		return Refuse(ErrDenied, "only an owner may make, change or remove an owner", "ask an owner of the organization")
	}
	if from == to {
		return nil
	}
	return o.holds(m, "role", o.permissionsOf(to))
}

// ownerStays refuses what would leave the organization without an active owner.
func (o *Organization) ownerStays(leaving AccountID) error {
	for i := range o.holders {
		if h := &o.holders[i]; h.Account != leaving && h.Kind == Person && h.role == placeOfOwner && h.active() {
			return nil
		}
	}
	if h := o.holder(leaving); h.Kind != Person || h.role != placeOfOwner || !h.active() {
		return nil
	}
	return Refuse(ErrState, "the last owner can't leave, be suspended or get another role", "make somebody else an owner first")
}

// OwnedAlone reports whether an account is the only active owner.
func (o *Organization) OwnedAlone(account AccountID) bool {
	return o.Deleted == 0 && o.ownerStays(account) != nil
}

func (o *Organization) member(id AccountID) (Member, error) {
	member, known := o.Member(id)
	if !known {
		return member, Refuse(ErrNotFound, "there is no such member", "look at the list of members")
	}
	return member, nil
}

// AddMember takes an account into the organization and gives it its first
// personal token, so that it can act at all before it has signed in anywhere.
type AddMember struct {
	Account AccountID
	Role    Role
	First   FirstToken // the zero one: none is given
}

// Decide refuses an account that is a member already.
func (c AddMember) Decide(o *Organization, m Meta) ([]Event, error) {
	if err := o.allows(m, MembersAdd); err != nil {
		return nil, err
	}
	if err := o.known("role", c.Role); err != nil {
		return nil, err
	}
	if err := o.mayAssign(m, NoRole, c.Role); err != nil {
		return nil, err
	}
	if o.holder(c.Account).Kind != Gone {
		return nil, Refuse(ErrExists, "that person is a member already", "change their role instead")
	}
	added := []Event{MemberAdded{c.Account, c.Role}}
	if c.First == (FirstToken{}) {
		return added, nil
	}
	first, err := c.first(o, m)
	if err != nil {
		return nil, err
	}
	return append(added, first...), nil
}

// first is the new member's token. It is bound and waits like one that whoever adds
// them would make: else adding people would be the way around the policy.
func (c AddMember) first(o *Organization, m Meta) (events []Event, err error) {
	issued, err := c.First.issue(o, c.Account, m)
	if err != nil {
		return nil, err
	}
	events = []Event{issued}
	if networks := o.shownTerms(m).Networks; len(networks) > 0 {
		events = append(events, TokenBound{issued.Token, Terms{Networks: networks}})
	}
	if o.Policy.waits(o, Personal, o.permissionsOf(c.Role).and(&o.catalogue.live), terms{}) {
		if err := asksInPerson(m); err != nil {
			return nil, err
		}
		events = append(events, ApprovalRequested{issued.Token, m.Time + o.Policy.Approval.lapse()})
	}
	return events, nil
}

// UpdateMember changes a member's role, or suspends or reinstates them. Nil
// leaves a thing as it is.
type UpdateMember struct {
	Account   AccountID
	Role      *Role
	Suspended *bool
	Limit     *Limit
	Reason    string
	Seen      Position // the Changed its sender saw; 0: whatever it is
}

// Decide answers the changes that are changes.
func (c UpdateMember) Decide(o *Organization, m Meta) ([]Event, error) {
	if err := o.allows(m, MembersUpdate); err != nil {
		return nil, err
	}
	member, err := o.member(c.Account)
	if err != nil {
		return nil, err
	}
	if err := c.check(o, m, member); err != nil {
		return nil, err
	}
	events := c.changes(member)
	if weakens(events) {
		if err := o.ownerStays(c.Account); err != nil {
			return nil, err
		}
	}
	return events, nil
}

func (c UpdateMember) check(o *Organization, m Meta, member Member) error {
	role := member.Role
	if c.Role != nil {
		role = *c.Role
	}
	if err := o.known("role", role); err != nil {
		return err
	}
	if err := o.mayAssign(m, member.Role, role); err != nil {
		return err
	}
	if err := o.mayLimit(c.Limit); err != nil {
		return err
	}
	if err := checkLine("reason", c.Reason, MaxReason); err != nil {
		return err
	}
	return unchanged(c.Seen, member.Changed)
}

// mayLimit refuses a limit for a holder that is looser than the organization's.
func (o *Organization) mayLimit(l *Limit) error {
	if l == nil || l.IsZero() {
		return nil
	}
	if err := l.check("limit"); err != nil {
		return err
	}
	if own := o.Policy.HolderLimit; l.looser(own) {
		return Invalid("limit", "is looser than the organization's limit of %d requests in %d seconds", "choose a tighter one, or none to have that one", own.Requests, own.Window)
	}
	return nil
}

func (c UpdateMember) changes(member Member) (events []Event) {
	if c.Role != nil && *c.Role != member.Role {
		events = append(events, MemberRoleChanged{c.Account, *c.Role})
	}
	if c.Limit != nil && *c.Limit != member.Limit {
		events = append(events, HolderLimited{c.Account, *c.Limit})
	}
	switch {
	case c.Suspended == nil || *c.Suspended == member.Suspended:
	case *c.Suspended:
		events = append(events, MemberSuspended{c.Account, c.Reason})
	default:
		events = append(events, MemberReinstated{c.Account})
	}
	return events
}

// weakens reports whether a member is less of an owner after these events.
func weakens(events []Event) bool {
	return slices.ContainsFunc(events, func(e Event) bool {
		changed, isRole := e.(MemberRoleChanged)
		_, isSuspension := e.(MemberSuspended)
		return isSuspension || isRole && changed.Role != Owner
	})
}

// RemoveMember ends a membership and revokes the member's tokens in the
// organization, in one commit. Everybody may remove themselves; the service
// removes whose account was deleted.
type RemoveMember struct {
	Account AccountID
	Reason  string
	Seen    Position
}

// Decide refuses to remove the last owner.
func (c RemoveMember) Decide(o *Organization, m Meta) ([]Event, error) {
	if m.Actor.Kind == ActorSystem {
		return o.remove(c.Account, c.Reason), nil
	}
	if err := c.allowed(o, m); err != nil {
		return nil, err
	}
	member, err := o.member(c.Account)
	if err != nil {
		return nil, err
	}
	if err := o.mayAssign(m, member.Role, member.Role); err != nil {
		return nil, err
	}
	if err := checkLine("reason", c.Reason, MaxReason); err != nil {
		return nil, err
	}
	if err := unchanged(c.Seen, member.Changed); err != nil {
		return nil, err
	}
	if err := o.ownerStays(c.Account); err != nil {
		return nil, err
	}
	return o.remove(c.Account, c.Reason), nil
}

// allowed lets everybody leave who shows a token that was given all that they may
// do: one for a single purpose is not for that.
func (c RemoveMember) allowed(o *Organization, m Meta) error {
	if m.Actor.Kind != ActorMember || m.Actor.Account != c.Account || !o.shownTerms(m).Grant.whole() {
		return o.allows(m, MembersRemove)
	}
	if o.rights(m).IsZero() {
		return lacks(MembersRemove)
	}
	if m.Replaced {
		return useTheNewSecret()
	}
	return nil
}

func (o *Organization) remove(account AccountID, reason string) []Event {
	if o.holder(account).Kind != Person {
		return nil
	}
	return append([]Event{MemberRemoved{account, reason}}, o.revokeAllOf(account, "its holder is no longer a member")...)
}

// revokeAllOf ends what a holder has, the oldest token first.
func (o *Organization) revokeAllOf(account AccountID, reason string) (events []Event) {
	for place := range o.tokensOf(account) {
		if t := &o.Tokens.kept[place]; !t.Revoked {
			events = append(events, TokenRevoked{t.ID, reason})
		}
	}
	slices.Reverse(events)
	return events
}

// MemberAdded says that an account belongs to the organization.
type MemberAdded struct {
	Account AccountID `json:"account"`
	Role    Role      `json:"role"`
}

// Kind is stored.
func (MemberAdded) Kind() string { return "member.added" }

// Evolve adds the member.
func (e MemberAdded) Evolve(o *Organization, m Meta) {
	o.seat(e.Account, func(h *holder) {
		role, _ := o.place(e.Role)
		h.Kind, h.role, h.Suspended, h.limit, h.Changed = Person, role, false, Limit{}, m.Position
	})
}

// MemberRoleChanged says that a member may do other things from now on.
type MemberRoleChanged struct {
	Account AccountID `json:"account"`
	Role    Role      `json:"role"`
}

// Kind is stored.
func (MemberRoleChanged) Kind() string { return "member.role_changed" }

// Evolve sets the role.
func (e MemberRoleChanged) Evolve(o *Organization, m Meta) {
	o.seat(e.Account, func(h *holder) {
		h.role, _ = o.place(e.Role)
		h.Changed = m.Position
	})
}

// HolderLimited says how often all tokens of a holder together may be used.
type HolderLimited struct {
	Account AccountID `json:"account"`
	Limit   Limit     `json:"limit,omitzero"` // absent: as the organization has it
}

// Kind is stored.
func (HolderLimited) Kind() string { return "holder.limited" }

// Evolve sets the limit.
func (e HolderLimited) Evolve(o *Organization, m Meta) {
	o.seat(e.Account, func(h *holder) { h.limit, h.Changed = e.Limit, m.Position })
}

// MemberSuspended says that a member and their tokens can do nothing until they
// are reinstated.
type MemberSuspended struct {
	Account AccountID `json:"account"`
	Reason  string    `json:"reason,omitempty"`
}

// Kind is stored.
func (MemberSuspended) Kind() string { return "member.suspended" }

// Evolve suspends the member.
func (e MemberSuspended) Evolve(o *Organization, m Meta) { o.suspend(e.Account, true, m) }

// MemberReinstated says that a suspension is over.
type MemberReinstated struct {
	Account AccountID `json:"account"`
}

// Kind is stored.
func (MemberReinstated) Kind() string { return "member.reinstated" }

// Evolve ends the suspension.
func (e MemberReinstated) Evolve(o *Organization, m Meta) { o.suspend(e.Account, false, m) }

func (o *Organization) suspend(account AccountID, suspended bool, m Meta) {
	o.seat(account, func(h *holder) { h.Suspended, h.Changed = suspended, m.Position })
}

// MemberRemoved says that an account belongs to the organization no longer.
type MemberRemoved struct {
	Account AccountID `json:"account"`
	Reason  string    `json:"reason,omitempty"`
}

// Kind is stored.
func (MemberRemoved) Kind() string { return "member.removed" }

// Evolve removes the member. Their tokens end by events of their own.
func (e MemberRemoved) Evolve(o *Organization, m Meta) { o.leave(e.Account, m) }

// leave empties a holder's place, which stays theirs.
func (o *Organization) leave(account AccountID, m Meta) {
	o.seat(account, func(h *holder) {
		*h = holder{Account: account, unrevoked: h.unrevoked, youngest: h.youngest, Changed: m.Position}
	})
}
