package domain

import (
	"bytes"
	"slices"
)

// Member is an account in an organization.
type Member struct {
	Role      Role
	Suspended bool
	Changed   Position
}

// active reports whether the member may do anything at all.
func (member Member) active() bool { return member.Role != NoRole && !member.Suspended }

// mayAssign refuses whoever touches an owner, or makes one, without being one.
func (o *Organization) mayAssign(a Actor, roles ...Role) error {
	if slices.Contains(roles, Owner) && o.Members[a.Account].Role != Owner {
		return Refuse(ErrDenied, "only an owner may make, change or remove an owner", "ask an owner of the organization")
	}
	return nil
}

// ownerStays refuses what would leave the organization without an active owner.
func (o *Organization) ownerStays(leaving AccountID) error {
	for id, member := range o.Members {
		if id != leaving && member.Role == Owner && member.active() {
			return nil
		}
	}
	if member := o.Members[leaving]; member.Role != Owner || !member.active() {
		return nil
	}
	return Refuse(ErrState, "the last owner can't leave, be suspended or get another role", "make somebody else an owner first")
}

func (o *Organization) member(id AccountID) (Member, error) {
	member, known := o.Members[id]
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
	First   FirstToken
}

// Decide refuses an account that is a member already.
func (c AddMember) Decide(o *Organization, m Meta) ([]Event, error) {
	if err := o.Allows(m.Actor, MembersAdd, m.Time); err != nil {
		return nil, err
	}
	if err := c.Role.check(); err != nil {
		return nil, err
	}
	if err := o.mayAssign(m.Actor, c.Role); err != nil {
		return nil, err
	}
	if _, known := o.Members[c.Account]; known {
		return nil, Refuse(ErrExists, "that person is a member already", "change their role instead")
	}
	issued, err := c.First.issue(o, c.Account, m)
	if err != nil {
		return nil, err
	}
	return []Event{MemberAdded{c.Account, c.Role}, issued}, nil
}

// UpdateMember changes a member's role, or suspends or reinstates them. Nil
// leaves a thing as it is.
type UpdateMember struct {
	Account   AccountID
	Role      *Role
	Suspended *bool
	Reason    string
	Seen      Position // the Changed its sender saw; 0: whatever it is
}

// Decide answers the changes that are changes.
func (c UpdateMember) Decide(o *Organization, m Meta) ([]Event, error) {
	if err := o.Allows(m.Actor, MembersUpdate, m.Time); err != nil {
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
	if err := role.check(); err != nil {
		return err
	}
	if err := o.mayAssign(m.Actor, member.Role, role); err != nil {
		return err
	}
	if err := checkLine("reason", c.Reason, MaxReason); err != nil {
		return err
	}
	return unchanged(c.Seen, member.Changed)
}

func (c UpdateMember) changes(member Member) (events []Event) {
	if c.Role != nil && *c.Role != member.Role {
		events = append(events, MemberRoleChanged{c.Account, *c.Role})
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
// organization, in one commit. Everybody may remove themselves.
type RemoveMember struct {
	Account AccountID
	Reason  string
	Seen    Position
}

// Decide refuses to remove the last owner.
func (c RemoveMember) Decide(o *Organization, m Meta) ([]Event, error) {
	needs := MembersRemove
	if m.Actor.Kind == ActorMember && m.Actor.Account == c.Account {
		needs = OrganizationRead // whoever can act at all can leave
	}
	if err := o.Allows(m.Actor, needs, m.Time); err != nil {
		return nil, err
	}
	member, err := o.member(c.Account)
	if err != nil {
		return nil, err
	}
	if err := o.mayAssign(m.Actor, member.Role); err != nil {
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
	return append([]Event{MemberRemoved{c.Account, c.Reason}}, o.revokeAllOf(c.Account)...), nil
}

// revokeAllOf is in the order of ids, so that one history has one text.
func (o *Organization) revokeAllOf(account AccountID) (events []Event) {
	for id, t := range o.Tokens.All() {
		if t.Kind == Personal && t.Holder == account && !t.Revoked {
			events = append(events, TokenRevoked{id, "its holder is no longer a member"})
		}
	}
	slices.SortFunc(events, func(a, b Event) int {
		x, y := a.(TokenRevoked).Token, b.(TokenRevoked).Token
		return bytes.Compare(x.ID[:], y.ID[:])
	})
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
	o.Members[e.Account] = Member{Role: e.Role, Changed: m.Position}
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
	member := o.Members[e.Account]
	member.Role, member.Changed = e.Role, m.Position
	o.Members[e.Account] = member
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
	member := o.Members[account]
	member.Suspended, member.Changed = suspended, m.Position
	o.Members[account] = member
}

// MemberRemoved says that an account belongs to the organization no longer.
type MemberRemoved struct {
	Account AccountID `json:"account"`
	Reason  string    `json:"reason,omitempty"`
}

// Kind is stored.
func (MemberRemoved) Kind() string { return "member.removed" }

// Evolve removes the member. Their tokens end by events of their own.
func (e MemberRemoved) Evolve(o *Organization, _ Meta) { delete(o.Members, e.Account) }
