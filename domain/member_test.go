package domain

import (
	"strings"
	"testing"
)

var (
	eva   = AccountID{named("eva")}
	byEva = person(eva)
)

func TestAddMember(t *testing.T) {
	add := func(role Role) AddMember { return AddMember{zoe, role, first} }
	run(t, acmeAfter, tenantScenarios{
		"a member": {
			when: add(Ordinary),
			then: []Event{MemberAdded{zoe, Ordinary}, firstIssued(zoe)},
		},
		"an owner": {
			when: add(Owner),
			then: []Event{MemberAdded{zoe, Owner}, firstIssued(zoe)},
		},
		"an admin adds an admin": {
			when: add(Admin), by: byBob,
			then: []Event{MemberAdded{zoe, Admin}, firstIssued(zoe)},
		},
		"an admin adds an auditor": {
			when: add(Auditor), by: byBob,
			then: []Event{MemberAdded{zoe, Auditor}, firstIssued(zoe)},
		},
		"an admin does not add an owner": {
			when: add(Owner), by: byBob,
			err: ErrDenied, says: "only an owner may make",
		},
		"a member adds nobody": {
			when: add(Ordinary), by: byMia,
			err: ErrDenied, says: "needs the permission members.add",
		},
		"an auditor adds nobody": {
			when: add(Auditor), by: byAda,
			err: ErrDenied, says: "needs the permission members.add",
		},
		"a program adds nobody": {
			when: add(Auditor), by: byRobot,
			err: ErrDenied, says: "needs the permission members.add",
		},
		"an admin who was demoted adds nobody": {
			given: []Event{MemberRoleChanged{bob, Ordinary}},
			when:  add(Ordinary), by: byBob,
			err: ErrDenied, says: "needs the permission members.add",
		},
		"a member who became an admin adds": {
			given: []Event{MemberRoleChanged{mia, Admin}},
			when:  add(Ordinary), by: byMia,
			then: []Event{MemberAdded{zoe, Ordinary}, firstIssued(zoe)},
		},
		"no role": {
			when: add(NoRole),
			err:  ErrInvalid, says: `role: there is no role ""`,
		},
		"a role that does not exist": {
			when: add("root"),
			err:  ErrInvalid, says: `role: there is no role "root"`,
		},
		"who is a member": {
			when: AddMember{mia, Ordinary, first},
			err:  ErrExists, says: "is a member already",
		},
		"who is suspended": {
			given: []Event{MemberSuspended{Account: mia}},
			when:  AddMember{mia, Ordinary, first},
			err:   ErrExists, says: "is a member already",
		},
		"who was removed": {
			given: []Event{MemberRemoved{Account: mia}, TokenRevoked{Token: tokenOf(mia)}},
			when:  AddMember{mia, Auditor, first},
			then:  []Event{MemberAdded{mia, Auditor}, firstIssued(mia)},
		},
		"with a token that ends tomorrow": {
			when: AddMember{zoe, Ordinary, FirstToken{token("first"), hashOf("first"), tomorrow}},
			then: []Event{
				MemberAdded{zoe, Ordinary},
				TokenIssued{token("first"), Personal, zoe, "first token", "", hashOf("first"), tomorrow},
			},
		},
		"with a token that has ended": {
			when: AddMember{zoe, Ordinary, FirstToken{token("first"), hashOf("first"), today}},
			err:  ErrInvalid, says: "expires_at: ",
		},
		"with a token that outlives the calendar": {
			when: AddMember{zoe, Ordinary, FirstToken{token("first"), hashOf("first"), instant("9999-12-31T23:59:59-01:00")}},
			err:  ErrInvalid, says: "after the year 9999",
		},
		"without a token": {
			when: AddMember{zoe, Ordinary, FirstToken{}},
			then: []Event{MemberAdded{zoe, Ordinary}},
		},
	})
}

// Adding people is no way around networks or the policy: their first tokens are
// bound and wait like those that whoever adds them would make.
func TestFirstTokenIsNoWayAround(t *testing.T) {
	add := func(role Role) AddMember { return AddMember{zoe, role, first} }
	here := Terms{Networks: networks("10.0.0.0/8", "2001:db8::/32")}
	kinds := func(kinds ...TokenKind) Event { return demands(func(p *Policy) { p.Approval.Kinds = kinds }) }
	grants := func(grants ...string) Event { return demands(func(p *Policy) { p.Approval.Grants = grants }) }
	full := TokenBound{robot, Terms{Grant: Grant{Access: FullAccess}}}
	machine := all(ServiceAccountCreated{bot, "bot", "", Grant{Access: FullAccess}}, botIssued)
	added := func(role Role, then ...Event) []Event {
		return append([]Event{MemberAdded{zoe, role}, firstIssued(zoe)}, then...)
	}
	waits := ApprovalRequested{first.Token, today + (7 * day).Instant()}
	run(t, acmeAfter, tenantScenarios{
		"by a token of some networks": {
			given: []Event{TokenBound{tokenOf(ann), here}},
			when:  add(Ordinary), from: "10.0.0.1",
			then: added(Ordinary, TokenBound{first.Token, here}),
		},
		"by a token that is bound in other ways, which stay its own": {
			given: []Event{TokenBound{tokenOf(ann), Terms{Grant: Grant{Access: FullAccess}, NotBefore: today, Limit: Limit{1, 60}}}},
			when:  add(Ordinary),
			then:  added(Ordinary),
		},
		"by a token of some networks, without a first token": {
			given: []Event{TokenBound{tokenOf(ann), here}},
			when:  AddMember{zoe, Ordinary, FirstToken{}}, from: "10.0.0.1",
			then: []Event{MemberAdded{zoe, Ordinary}},
		},
		"by a token of some networks, where first tokens wait": {
			given: []Event{TokenBound{tokenOf(ann), here}, kinds(Personal)},
			when:  add(Ordinary), from: "10.0.0.1",
			then: added(Ordinary, TokenBound{first.Token, here}, waits),
		},
		"where personal tokens wait":              {given: []Event{kinds(Personal)}, when: add(Ordinary), then: added(Ordinary, waits)},
		"where personal tokens wait, by an admin": {given: []Event{kinds(Personal)}, when: add(Admin), by: byBob, then: added(Admin, waits)},
		"where other kinds wait":                  {given: []Event{kinds(Administrative, Service)}, when: add(Ordinary), then: added(Ordinary)},
		"where personal tokens wait, without a first token": {
			given: []Event{kinds(Personal)},
			when:  AddMember{zoe, Ordinary, FirstToken{}},
			then:  []Event{MemberAdded{zoe, Ordinary}},
		},
		"where tokens wait for as long as the policy says": {
			given: []Event{demands(func(p *Policy) { p.Approval = Approval{Kinds: []TokenKind{Personal}, Lapse: 60} })},
			when:  add(Ordinary),
			then:  added(Ordinary, ApprovalRequested{first.Token, today + 60_000}),
		},
		"where full access waits":                        {given: []Event{grants("full-access")}, when: add(Auditor), then: added(Auditor, waits)},
		"where read-only waits":                          {given: []Event{grants("read-only")}, when: add(Auditor), then: added(Auditor)},
		"where a permission waits that the role has":     {given: []Event{grants("members.add")}, when: add(Admin), then: added(Admin, waits)},
		"where a permission waits that the role has not": {given: []Event{grants("members.add")}, when: add(Ordinary), then: added(Ordinary)},
		"where full access waits, of a role with what was retired": {
			given: []Event{clones, RoleCreated{"cloner", "", []string{"clones.create", "tokens.check"}}, PermissionRetired{"clones.create"}, grants("full-access")},
			when:  add("cloner"),
			then:  added("cloner", waits),
		},

		"by a program": {given: []Event{full}, when: add(Ordinary), by: byRobot, then: added(Ordinary)},
		"by a machine": {given: machine, when: add(Ordinary), by: byBot, then: added(Ordinary)},
		"by a program, where first tokens wait": {
			given: []Event{full, kinds(Personal)},
			when:  add(Ordinary), by: byRobot,
			err: ErrDenied, says: "a token that needs approval is asked for by a person, so that another one decides",
		},
		"by a machine, where first tokens wait": {
			given: all(machine, kinds(Personal)),
			when:  add(Ordinary), by: byBot,
			err: ErrDenied, says: "a token that needs approval is asked for by a person, so that another one decides",
		},
		"by a program, where first tokens wait, without one": {
			given: []Event{full, kinds(Personal)},
			when:  AddMember{zoe, Ordinary, FirstToken{}}, by: byRobot,
			then: []Event{MemberAdded{zoe, Ordinary}},
		},
	})

	o := acmeAfter(kinds(Personal))
	decide(t, o, byAnn, add(Ordinary))
	if v := stands(o, first.Token, first.Hash, today); v.Reason != ReasonWaiting || !v.Granted.IsZero() {
		t.Errorf("a first token that waits is %q, may %v", v.Reason, permissionsOf(v.Granted))
	}
	_, err := ApproveToken{Token: first.Token}.Decide(o, Meta{Actor: byAnn, Time: today})
	checkRefusal(t, err, ErrDenied, "somebody else than who asked for the token has to decide")
	decide(t, o, byBob, ApproveToken{Token: first.Token})
	if v := stands(o, first.Token, first.Hash, today); !v.Active() {
		t.Errorf("after it was approved it is %q", v.Reason)
	}
}

func TestUpdateMember(t *testing.T) {
	role := func(account AccountID, r Role) UpdateMember { return UpdateMember{Account: account, Role: &r} }
	suspend := func(account AccountID) UpdateMember {
		return UpdateMember{Account: account, Suspended: ptr(true), Reason: "on leave"}
	}
	reinstate := func(account AccountID) UpdateMember { return UpdateMember{Account: account, Suspended: ptr(false)} }
	run(t, acmeAfter, tenantScenarios{
		"another role": {
			when: role(mia, Admin),
			then: []Event{MemberRoleChanged{mia, Admin}},
		},
		"the same role": {
			when: role(mia, Ordinary),
		},
		"nothing": {
			when: UpdateMember{Account: mia},
		},
		"an admin changes an admin": {
			given: []Event{MemberRoleChanged{mia, Admin}},
			when:  role(mia, Auditor), by: byBob,
			then: []Event{MemberRoleChanged{mia, Auditor}},
		},
		"an admin demotes themselves": {
			when: role(bob, Ordinary), by: byBob,
			then: []Event{MemberRoleChanged{bob, Ordinary}},
		},
		"an admin makes no owner": {
			when: role(mia, Owner), by: byBob,
			err: ErrDenied, says: "only an owner may make",
		},
		"an admin does not make themselves an owner": {
			when: role(bob, Owner), by: byBob,
			err: ErrDenied, says: "only an owner may make",
		},
		"an admin does not demote an owner": {
			given: all(joined(zoe, Owner)),
			when:  role(zoe, Ordinary), by: byBob,
			err: ErrDenied, says: "only an owner may make",
		},
		"an admin does not suspend an owner": {
			given: all(joined(zoe, Owner)),
			when:  suspend(zoe), by: byBob,
			err: ErrDenied, says: "only an owner may make",
		},
		"an admin does not reinstate an owner": {
			given: all(joined(zoe, Owner), MemberSuspended{Account: zoe}),
			when:  reinstate(zoe), by: byBob,
			err: ErrDenied, says: "only an owner may make",
		},
		"a member changes nobody": {
			when: role(ada, Ordinary), by: byMia,
			err: ErrDenied, says: "needs the permission members.update",
		},
		"a member does not promote themselves": {
			when: role(mia, Admin), by: byMia,
			err: ErrDenied, says: "needs the permission members.update",
		},
		"a program changes nobody": {
			when: role(mia, Auditor), by: byRobot,
			err: ErrDenied, says: "needs the permission members.update",
		},
		"no role": {
			when: role(mia, NoRole),
			err:  ErrInvalid, says: "role: ",
		},
		"a role that does not exist": {
			when: role(mia, "root"),
			err:  ErrInvalid, says: `role: there is no role "root"`,
		},

		"suspend": {
			when: suspend(mia),
			then: []Event{MemberSuspended{mia, "on leave"}},
		},
		"suspend twice": {
			given: []Event{MemberSuspended{Account: mia}},
			when:  suspend(mia),
		},
		"an admin suspends themselves": {
			when: suspend(bob), by: byBob,
			then: []Event{MemberSuspended{bob, "on leave"}},
		},
		"reinstate": {
			given: []Event{MemberSuspended{Account: mia}},
			when:  reinstate(mia),
			then:  []Event{MemberReinstated{mia}},
		},
		"reinstate who is not suspended": {
			when: reinstate(mia),
		},
		"nobody reinstates themselves": {
			given: []Event{MemberSuspended{Account: bob}},
			when:  reinstate(bob), by: byBob,
			err: ErrDenied, says: "needs the permission members.update",
		},
		"a new role and a suspension": {
			when: UpdateMember{Account: mia, Role: ptr(Auditor), Suspended: ptr(true), Reason: "moved"},
			then: []Event{MemberRoleChanged{mia, Auditor}, MemberSuspended{mia, "moved"}},
		},
		"a new role and the end of a suspension": {
			given: []Event{MemberSuspended{Account: mia}},
			when:  UpdateMember{Account: mia, Role: ptr(Admin), Suspended: ptr(false)},
			then:  []Event{MemberRoleChanged{mia, Admin}, MemberReinstated{mia}},
		},

		"an owner makes an owner": {
			when: role(mia, Owner),
			then: []Event{MemberRoleChanged{mia, Owner}},
		},
		"an owner demotes another": {
			given: all(joined(zoe, Owner)),
			when:  role(zoe, Ordinary),
			then:  []Event{MemberRoleChanged{zoe, Ordinary}},
		},
		"an owner demotes themselves while there is another": {
			given: all(joined(zoe, Owner)),
			when:  role(ann, Auditor),
			then:  []Event{MemberRoleChanged{ann, Auditor}},
		},
		"an owner suspends themselves while there is another": {
			given: all(joined(zoe, Owner)),
			when:  suspend(ann),
			then:  []Event{MemberSuspended{ann, "on leave"}},
		},
		"the last owner is not demoted": {
			when: role(ann, Admin),
			err:  ErrState, says: "last owner",
		},
		"the last owner is not suspended": {
			when: suspend(ann),
			err:  ErrState, says: "last owner",
		},
		"the last owner is not demoted and suspended at once": {
			when: UpdateMember{Account: ann, Role: ptr(Admin), Suspended: ptr(true)},
			err:  ErrState, says: "last owner",
		},
		"the last active owner is not demoted": {
			given: all(joined(zoe, Owner), MemberSuspended{Account: zoe}),
			when:  role(ann, Admin),
			err:   ErrState, says: "last owner",
		},
		"the last active owner is not suspended": {
			given: all(joined(zoe, Owner), MemberSuspended{Account: zoe}),
			when:  suspend(ann),
			err:   ErrState, says: "last owner",
		},
		"an owner is the last after the other was demoted": {
			given: all(joined(zoe, Owner), MemberRoleChanged{zoe, Admin}),
			when:  suspend(ann),
			err:   ErrState, says: "last owner",
		},
		"an owner who was reinstated counts": {
			given: all(joined(zoe, Owner), MemberSuspended{Account: zoe}, MemberReinstated{zoe}),
			when:  role(ann, Admin),
			then:  []Event{MemberRoleChanged{ann, Admin}},
		},
		"a suspended owner is demoted": {
			given: all(joined(zoe, Owner), MemberSuspended{Account: zoe}),
			when:  role(zoe, Ordinary),
			then:  []Event{MemberRoleChanged{zoe, Ordinary}},
		},
		"the last owner stays what they are": {
			when: UpdateMember{Account: ann, Role: ptr(Owner), Suspended: ptr(false)},
		},

		"who is no member": {
			when: role(zoe, Admin),
			err:  ErrNotFound, says: "no such member",
		},
		"who was removed": {
			given: []Event{MemberRemoved{Account: mia}},
			when:  suspend(mia),
			err:   ErrNotFound, says: "no such member",
		},
		"having seen the present state": {
			given: []Event{MemberRoleChanged{mia, Auditor}},
			when:  UpdateMember{Account: mia, Role: ptr(Admin), Seen: 2},
			then:  []Event{MemberRoleChanged{mia, Admin}},
		},
		"what was seen is stale": {
			given: []Event{MemberRoleChanged{mia, Auditor}},
			when:  UpdateMember{Account: mia, Role: ptr(Admin), Seen: 1},
			err:   ErrStale, says: "changed at position 2",
		},
		"what was seen is stale after a suspension": {
			given: []Event{MemberSuspended{Account: mia}},
			when:  UpdateMember{Account: mia, Role: ptr(Admin), Seen: 1},
			err:   ErrStale, says: "changed at position 2",
		},
		"what was seen is stale though nothing would change": {
			given: []Event{MemberSuspended{Account: mia}, MemberReinstated{mia}},
			when:  UpdateMember{Account: mia, Seen: 1},
			err:   ErrStale, says: "changed at position 3",
		},
		"a change of somebody else makes nothing stale": {
			given: []Event{MemberRoleChanged{ada, Ordinary}},
			when:  UpdateMember{Account: mia, Role: ptr(Admin), Seen: 1},
			then:  []Event{MemberRoleChanged{mia, Admin}},
		},
		"the longest reason": {
			when: UpdateMember{Account: mia, Suspended: ptr(true), Reason: strings.Repeat("ü", MaxReason)},
			then: []Event{MemberSuspended{mia, strings.Repeat("ü", MaxReason)}},
		},
		"too long a reason": {
			when: UpdateMember{Account: mia, Suspended: ptr(true), Reason: strings.Repeat("ü", MaxReason+1)},
			err:  ErrInvalid, says: "reason: has 1001 characters",
		},
		"a reason of two lines": {
			when: UpdateMember{Account: mia, Suspended: ptr(true), Reason: "on\nleave"},
			err:  ErrInvalid, says: "reason: has a character that does not show, at byte 2",
		},
	})
}

func TestRemoveMember(t *testing.T) {
	const left = "its holder is no longer a member"
	mias := func(g Grant) TokenBound { return TokenBound{tokenOf(mia), Terms{Grant: g}} }
	run(t, acmeAfter, tenantScenarios{
		"with their one token": {
			when: RemoveMember{Account: mia, Reason: "left"},
			then: []Event{MemberRemoved{mia, "left"}, TokenRevoked{tokenOf(mia), left}},
		},
		"with all their live tokens, the oldest first, and with nobody else's": {
			given: all(
				issued(token("z"), mia, "z"), issued(token("a"), mia, "a"), issued(token("k"), mia, "k"),
				issued(token("b"), bob, "a"), issued(token("c"), ada, "z"),
				TokenIssued{Token: token("d"), Type: Administrative, Name: "a", Hash: hashOf("d")},
			),
			when: RemoveMember{Account: mia},
			then: []Event{
				MemberRemoved{Account: mia},
				TokenRevoked{tokenOf(mia), left}, TokenRevoked{token("z"), left},
				TokenRevoked{token("a"), left}, TokenRevoked{token("k"), left},
			},
		},
		"a token that was revoked keeps its reason": {
			given: []Event{TokenRevoked{tokenOf(mia), "leaked"}},
			when:  RemoveMember{Account: mia},
			then:  []Event{MemberRemoved{Account: mia}},
		},
		"a token that was renamed ends too": {
			given: []Event{TokenRenamed{tokenOf(mia), "laptop"}},
			when:  RemoveMember{Account: mia},
			then:  []Event{MemberRemoved{Account: mia}, TokenRevoked{tokenOf(mia), left}},
		},
		"a suspended member": {
			given: []Event{MemberSuspended{Account: mia}},
			when:  RemoveMember{Account: mia},
			then:  []Event{MemberRemoved{Account: mia}, TokenRevoked{tokenOf(mia), left}},
		},
		"an administrative token outlives who made it": {
			given: []Event{TokenIssued{Token: token("bobs"), Type: Administrative, Name: "bob's", Hash: hashOf("bobs")}},
			when:  RemoveMember{Account: bob},
			then:  []Event{MemberRemoved{Account: bob}, TokenRevoked{tokenOf(bob), left}},
		},
		"an admin removes an admin": {
			given: []Event{MemberRoleChanged{mia, Admin}},
			when:  RemoveMember{Account: mia}, by: byBob,
			then: []Event{MemberRemoved{Account: mia}, TokenRevoked{tokenOf(mia), left}},
		},
		"an admin does not remove an owner": {
			given: all(joined(zoe, Owner)),
			when:  RemoveMember{Account: zoe}, by: byBob,
			err: ErrDenied, says: "only an owner may make, change or remove",
		},
		"an owner removes an owner": {
			given: all(joined(zoe, Owner)),
			when:  RemoveMember{Account: zoe},
			then:  []Event{MemberRemoved{Account: zoe}, TokenRevoked{tokenOf(zoe), left}},
		},
		"an owner removes a suspended owner": {
			given: all(joined(zoe, Owner), MemberSuspended{Account: zoe}),
			when:  RemoveMember{Account: zoe},
			then:  []Event{MemberRemoved{Account: zoe}, TokenRevoked{tokenOf(zoe), left}},
		},
		"a member removes nobody else": {
			when: RemoveMember{Account: ada}, by: byMia,
			err: ErrDenied, says: "needs the permission members.remove",
		},
		"a member does not learn who is no member": {
			when: RemoveMember{Account: zoe}, by: byMia,
			err: ErrDenied, says: "needs the permission members.remove",
		},
		"a program removes nobody": {
			when: RemoveMember{Account: mia}, by: byRobot,
			err: ErrDenied, says: "needs the permission members.remove",
		},

		"a member leaves": {
			when: RemoveMember{Account: mia}, by: byMia,
			then: []Event{MemberRemoved{Account: mia}, TokenRevoked{tokenOf(mia), left}},
		},
		"an auditor leaves": {
			when: RemoveMember{Account: ada}, by: byAda,
			then: []Event{MemberRemoved{Account: ada}, TokenRevoked{tokenOf(ada), left}},
		},
		"an owner leaves while there is another": {
			given: all(joined(zoe, Owner)),
			when:  RemoveMember{Account: ann},
			then:  []Event{MemberRemoved{Account: ann}, TokenRevoked{tokenOf(ann), left}},
		},
		"the last owner does not leave": {
			when: RemoveMember{Account: ann},
			err:  ErrState, says: "last owner",
		},
		"the last active owner does not leave": {
			given: all(joined(zoe, Owner), MemberSuspended{Account: zoe}),
			when:  RemoveMember{Account: ann},
			err:   ErrState, says: "last owner",
		},
		"a suspended member does not leave": {
			given: []Event{MemberSuspended{Account: mia}},
			when:  RemoveMember{Account: mia}, by: byMia,
			err: ErrDenied, says: "needs the permission",
		},
		"nobody leaves with a token that is revoked": {
			given: []Event{TokenRevoked{Token: tokenOf(mia)}},
			when:  RemoveMember{Account: mia}, by: byMia,
			err: ErrDenied, says: "needs the permission",
		},
		"nobody leaves with a token that has expired": {
			given: all(issued(token("long"), ann, "long")),
			when:  RemoveMember{Account: mia}, by: byMia, at: nextYear,
			err: ErrDenied, says: "needs the permission",
		},
		"nobody leaves in somebody else's name": {
			when: RemoveMember{Account: ada}, by: Actor{Kind: ActorMember, Account: ada, Token: tokenOf(mia)},
			err: ErrDenied, says: "needs the permission",
		},
		"a member leaves with a token of full access": {
			given: []Event{mias(Grant{Access: FullAccess})},
			when:  RemoveMember{Account: mia}, by: byMia,
			then: []Event{MemberRemoved{Account: mia}, TokenRevoked{tokenOf(mia), left}},
		},
		"a member leaves with a token of some networks": {
			given: []Event{TokenBound{tokenOf(mia), Terms{Networks: networks("10.0.0.0/8")}}},
			when:  RemoveMember{Account: mia}, by: byMia, from: "10.0.0.1",
			then: []Event{MemberRemoved{Account: mia}, TokenRevoked{tokenOf(mia), left}},
		},
		"a member does not leave with a token of some networks from elsewhere": {
			given: []Event{TokenBound{tokenOf(mia), Terms{Networks: networks("10.0.0.0/8")}}},
			when:  RemoveMember{Account: mia}, by: byMia, from: "192.0.2.7",
			err: ErrDenied, says: "needs the permission members.remove",
		},
		"a member does not leave with a read-only token": {
			given: []Event{mias(Grant{Access: ReadOnly})},
			when:  RemoveMember{Account: mia}, by: byMia,
			err: ErrDenied, says: "needs the permission members.remove",
		},
		"a member does not leave with a token of a role": {
			given: []Event{mias(Grant{Access: ByRole, Role: Ordinary})},
			when:  RemoveMember{Account: mia}, by: byMia,
			err: ErrDenied, says: "needs the permission members.remove",
		},
		"a member does not leave with a custom token": {
			given: []Event{mias(custom("organization.read", "tokens.check"))},
			when:  RemoveMember{Account: mia}, by: byMia,
			err: ErrDenied, says: "needs the permission members.remove",
		},
		"a member does not leave with a token for one resource": {
			given: []Event{mias(Grant{Resources: []Resource{"engine:prod"}})},
			when:  RemoveMember{Account: mia}, by: byMia,
			err: ErrDenied, says: "needs the permission members.remove",
		},
		"a member does not leave with a token of full access for one resource": {
			given: []Event{mias(Grant{Access: FullAccess, Resources: []Resource{"engine:*"}})},
			when:  RemoveMember{Account: mia}, by: byMia,
			err: ErrDenied, says: "needs the permission members.remove",
		},
		"an admin does not leave with a read-only token": {
			given: []Event{TokenBound{tokenOf(bob), Terms{Grant: Grant{Access: ReadOnly}}}},
			when:  RemoveMember{Account: bob}, by: byBob,
			err: ErrDenied, says: "needs the permission members.remove",
		},
		"an admin leaves with a custom token that may remove members": {
			given: []Event{granted(tokenOf(bob), "members.remove")},
			when:  RemoveMember{Account: bob}, by: byBob,
			then: []Event{MemberRemoved{Account: bob}, TokenRevoked{tokenOf(bob), left}},
		},
		"an admin leaves with a token of a role that may remove members": {
			given: []Event{TokenBound{tokenOf(bob), Terms{Grant: Grant{Access: ByRole, Role: "admin:write"}}}},
			when:  RemoveMember{Account: bob}, by: byBob,
			then: []Event{MemberRemoved{Account: bob}, TokenRevoked{tokenOf(bob), left}},
		},
		"somebody leaves who may not even see the organization": {
			given: all(RoleCreated{"guest", "", []string{"tokens.check"}}, joined(zoe, "guest")),
			when:  RemoveMember{Account: zoe}, by: person(zoe),
			then: []Event{MemberRemoved{Account: zoe}, TokenRevoked{tokenOf(zoe), left}},
		},
		"somebody who may not even see the organization does not leave with a custom token": {
			given: all(RoleCreated{"guest", "", []string{"tokens.check"}}, joined(zoe, "guest"), granted(tokenOf(zoe), "tokens.check")),
			when:  RemoveMember{Account: zoe}, by: person(zoe),
			err: ErrDenied, says: "needs the permission members.remove",
		},
		"a member does not leave with a secret that was replaced": {
			when: RemoveMember{Account: mia}, by: byMia, also: func(m *Meta) { m.Replaced = true },
			err: ErrDenied, says: "the secret that you show was replaced by a new one",
		},

		"anybody, where there is no owner to stay": {
			given: []Event{MemberRemoved{Account: ann}},
			when:  RemoveMember{Account: mia}, by: byBob,
			then: []Event{MemberRemoved{Account: mia}, TokenRevoked{tokenOf(mia), left}},
		},

		"who is no member": {
			when: RemoveMember{Account: zoe},
			err:  ErrNotFound, says: "no such member",
		},
		"twice": {
			given: []Event{MemberRemoved{Account: mia}, TokenRevoked{Token: tokenOf(mia)}},
			when:  RemoveMember{Account: mia},
			err:   ErrNotFound, says: "no such member",
		},
		"having seen the present state": {
			given: []Event{MemberRoleChanged{mia, Auditor}},
			when:  RemoveMember{Account: mia, Seen: 2},
			then:  []Event{MemberRemoved{Account: mia}, TokenRevoked{tokenOf(mia), left}},
		},
		"what was seen is stale": {
			given: []Event{MemberRoleChanged{mia, Auditor}},
			when:  RemoveMember{Account: mia, Seen: 1},
			err:   ErrStale, says: "changed at position 2",
		},
		"too long a reason": {
			when: RemoveMember{Account: mia, Reason: strings.Repeat("a", MaxReason+1)},
			err:  ErrInvalid, says: "reason: has 1001 characters",
		},
	})
}

// A member who comes back begins anew: nothing that they held before opens anything.
func TestMemberWhoComesBack(t *testing.T) {
	o := acmeAfter(all(joined(eva, Admin))...)
	decide(t, o, byAnn, UpdateMember{Account: eva, Suspended: ptr(true)})
	decide(t, o, byAnn, RemoveMember{Account: eva})
	decide(t, o, byAnn, AddMember{eva, Auditor, first})
	if got := o.rights(Meta{Actor: byEva, Time: today}); !got.IsZero() {
		t.Errorf("the old token has rights %v", permissionsOf(got))
	}
	if got := o.rights(Meta{Actor: Actor{Kind: ActorMember, Account: eva, Token: first.Token}, Time: today}); got != allowedTo(Auditor) {
		t.Errorf("the new token has rights %v, want an auditor's", permissionsOf(got))
	}
	if member, _ := o.Member(eva); member.Suspended || member.Role != Auditor {
		t.Errorf("member is %+v", member)
	}
}
