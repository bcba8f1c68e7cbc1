package domain

import (
	"strings"
	"testing"
)

func TestCreateServiceAccount(t *testing.T) {
	create := CreateServiceAccount(botCreated)
	with := func(change func(*CreateServiceAccount)) CreateServiceAccount { c := create; change(&c); return c }
	gives := func(g Grant) CreateServiceAccount { return with(func(c *CreateServiceAccount) { c.Grant = g }) }
	run(t, acmeAfter, tenantScenarios{
		"a service account": {when: create, then: []Event{botCreated}},
		"an admin makes one": {
			when: gives(Grant{Access: ByRole, Role: "admin"}), by: byBob,
			then: []Event{ServiceAccountCreated{bot, "bot", "", Grant{Access: ByRole, Role: "admin"}}},
		},
		"with a description and resources": {
			when: with(func(c *CreateServiceAccount) {
				c.Description, c.Grant.Resources = "builds", []Resource{"engine:prod"}
			}),
			then: []Event{ServiceAccountCreated{bot, "bot", "builds", Grant{
				Access: ByList, Permissions: botCreated.Grant.Permissions, Resources: []Resource{"engine:prod"},
			}}},
		},
		"empty lists are none": {
			when: gives(Grant{Access: ReadOnly, Permissions: []string{}, Resources: []Resource{}}),
			then: []Event{ServiceAccountCreated{bot, "bot", "", Grant{Access: ReadOnly}}},
		},
		"an owner makes one of full access": {
			when: gives(Grant{Access: FullAccess}),
			then: []Event{ServiceAccountCreated{bot, "bot", "", Grant{Access: FullAccess}}},
		},
		"an admin makes none of full access": {
			when: gives(Grant{Access: FullAccess}), by: byBob,
			err: ErrDenied, says: "grant: it would allow what you may not do yourself: organization.delete",
		},
		"an admin makes none with an owner's role": {
			when: gives(Grant{Access: ByRole, Role: "owner"}), by: byBob,
			err: ErrDenied, says: "organization.delete",
		},
		"a custom token makes none of more": {
			given: []Event{granted(tokenOf(bob), "members.add", "tokens.check")},
			when:  create, by: byBob,
			err: ErrDenied, says: "what you may not do yourself: tokens.rotate-own, engines.read",
		},
		"a member makes none": {
			when: create, by: byMia,
			err: ErrDenied, says: "needs the permission members.add",
		},
		"a machine makes none": {
			given: botThere,
			when:  with(func(c *CreateServiceAccount) { c.Account, c.Name = eva, "eva" }), by: byBot,
			err: ErrDenied, says: "needs the permission members.add",
		},
		"no grant": {
			when: gives(Grant{}),
			err:  ErrInvalid, says: "grant: is missing",
		},
		"a grant of two things": {
			when: gives(Grant{Access: ReadOnly, Role: "ci"}),
			err:  ErrInvalid, says: "grant.role: does not go",
		},
		"a resource that is none": {
			when: gives(Grant{Access: ReadOnly, Resources: []Resource{"engine"}}),
			err:  ErrInvalid, says: `grant.resources: "engine" is no resource`,
		},
		"no id": {
			when: with(func(c *CreateServiceAccount) { c.Account = AccountID{} }),
			err:  ErrExists, says: "not the id of a new service account",
		},
		"the id of a member": {
			when: with(func(c *CreateServiceAccount) { c.Account = mia }),
			err:  ErrExists, says: "not the id of a new service account",
		},
		"the id of a member who left": {
			given: []Event{MemberRemoved{Account: mia}},
			when:  with(func(c *CreateServiceAccount) { c.Account = mia }),
			err:   ErrExists, says: "not the id of a new service account",
		},
		"the id of one that was deleted": {
			given: []Event{botCreated, ServiceAccountDeleted{Account: bot}},
			when:  create,
			err:   ErrExists, says: "not the id of a new service account",
		},
		"a name that another has": {
			given: []Event{botCreated},
			when:  with(func(c *CreateServiceAccount) { c.Account = eva }),
			err:   ErrExists, says: `name: there is a service account "bot" already`,
		},
		"a name that a disabled one has": {
			given: []Event{botCreated, ServiceAccountSwitched{bot, true}},
			when:  with(func(c *CreateServiceAccount) { c.Account = eva }),
			err:   ErrExists, says: `there is a service account "bot" already`,
		},
		"a name that a deleted one had": {
			given: []Event{botCreated, ServiceAccountDeleted{Account: bot}},
			when:  with(func(c *CreateServiceAccount) { c.Account = eva }),
			then:  []Event{ServiceAccountCreated{Account: eva, Name: "bot", Grant: botCreated.Grant}},
		},
		"a name that another had": {
			given: []Event{botCreated, ServiceAccountRenamed{bot, "builder"}},
			when:  with(func(c *CreateServiceAccount) { c.Account = eva }),
			then:  []Event{ServiceAccountCreated{Account: eva, Name: "bot", Grant: botCreated.Grant}},
		},
		"no name": {
			when: with(func(c *CreateServiceAccount) { c.Name = "" }),
			err:  ErrInvalid, says: "name: is empty",
		},
		"too long a description": {
			when: with(func(c *CreateServiceAccount) { c.Description = strings.Repeat("a", MaxDescription+1) }),
			err:  ErrInvalid, says: "description: has 1001 characters",
		},
	})
}

func TestUpdateServiceAccount(t *testing.T) {
	update := func(change func(*UpdateServiceAccount)) UpdateServiceAccount {
		c := UpdateServiceAccount{Account: bot}
		change(&c)
		return c
	}
	rename := update(func(c *UpdateServiceAccount) { c.Name = ptr("builder") })
	gives := func(g Grant) UpdateServiceAccount { return update(func(c *UpdateServiceAccount) { c.Grant = &g }) }
	run(t, acmeAfter, tenantScenarios{
		"everything": {
			given: botThere,
			when:  UpdateServiceAccount{bot, ptr("builder"), ptr("builds"), &Grant{Access: ReadOnly}, ptr(true), &Limit{1, 60}, 0},
			then: []Event{
				ServiceAccountRenamed{bot, "builder"}, ServiceAccountDescribed{bot, "builds"},
				ServiceAccountGranted{bot, Grant{Access: ReadOnly}}, HolderLimited{bot, Limit{1, 60}}, ServiceAccountSwitched{bot, true},
			},
		},
		"nothing":                  {given: botThere, when: UpdateServiceAccount{Account: bot}},
		"what it is":               {given: botThere, when: UpdateServiceAccount{bot, ptr("bot"), nil, ptr(botCreated.Grant), ptr(false), &Limit{}, 0}},
		"enabled again":            {given: all(botThere, ServiceAccountSwitched{bot, true}), when: update(func(c *UpdateServiceAccount) { c.Disabled = ptr(false) }), then: []Event{ServiceAccountSwitched{bot, false}}},
		"disabled twice":           {given: all(botThere, ServiceAccountSwitched{bot, true}), when: update(func(c *UpdateServiceAccount) { c.Disabled = ptr(true) })},
		"renamed by an admin":      {given: botThere, when: rename, by: byBob, then: []Event{ServiceAccountRenamed{bot, "builder"}}},
		"its name of before":       {given: all(botThere, ServiceAccountRenamed{bot, "x"}), when: update(func(c *UpdateServiceAccount) { c.Name = ptr("bot") }), then: []Event{ServiceAccountRenamed{bot, "bot"}}},
		"a grant with empty lists": {given: botThere, when: gives(Grant{Access: ReadOnly, Resources: []Resource{}}), then: []Event{ServiceAccountGranted{bot, Grant{Access: ReadOnly}}}},
		"the same grant with an empty list": {
			given: []Event{ServiceAccountCreated{bot, "bot", "", Grant{Access: ReadOnly}}},
			when:  gives(Grant{Access: ReadOnly, Resources: []Resource{}}),
		},
		"the same grant, of which a part was retired and defined again": {
			given: []Event{clones, ServiceAccountCreated{bot, "bot", "", custom("clones.create")}, PermissionRetired{"clones.create"}, clones},
			when:  gives(custom("clones.create")),
			then:  []Event{ServiceAccountGranted{bot, custom("clones.create")}},
		},
		"an admin gives more than they may": {
			given: botThere,
			when:  gives(Grant{Access: FullAccess}), by: byBob,
			err: ErrDenied, says: "organization.delete",
		},
		"no grant any more": {
			given: botThere,
			when:  gives(Grant{}),
			err:   ErrInvalid, says: "grant: is missing",
		},
		"a machine gives itself no more": {
			given: []Event{ServiceAccountCreated{bot, "bot", "", custom("members.update")}, botIssued},
			when:  gives(custom("members.update", "members.add")), by: byBot,
			err: ErrDenied, says: "what you may not do yourself: members.add",
		},
		"a machine that may change machines narrows itself": {
			given: []Event{ServiceAccountCreated{bot, "bot", "", custom("members.update", "tokens.check")}, botIssued},
			when:  gives(custom("tokens.check")), by: byBot,
			then: []Event{ServiceAccountGranted{bot, custom("tokens.check")}},
		},
		"a member changes nothing": {
			given: botThere,
			when:  rename, by: byMia,
			err: ErrDenied, says: "needs the permission members.update",
		},
		"a name that another has": {
			given: all(botThere, ServiceAccountCreated{Account: eva, Name: "builder"}),
			when:  rename,
			err:   ErrExists, says: `there is a service account "builder" already`,
		},
		"a name that ends with a blank": {
			given: botThere,
			when:  update(func(c *UpdateServiceAccount) { c.Name = ptr("bot ") }),
			err:   ErrInvalid, says: "name: begins or ends with a blank",
		},
		"too long a description": {
			given: botThere,
			when:  update(func(c *UpdateServiceAccount) { c.Description = ptr(strings.Repeat("a", MaxDescription+1)) }),
			err:   ErrInvalid, says: "description: has 1001 characters",
		},
		"a limit that is none": {
			given: botThere,
			when:  update(func(c *UpdateServiceAccount) { c.Limit = &Limit{1, -1} }),
			err:   ErrInvalid, says: "limit.window: is -1 seconds",
		},
		"a limit that is looser than the organization's": {
			given: all(botThere, demands(func(p *Policy) { p.HolderLimit = Limit{1, 60} })),
			when:  update(func(c *UpdateServiceAccount) { c.Limit = &Limit{2, 60} }),
			err:   ErrInvalid, says: "limit: is looser",
		},
		"a member": {
			when: UpdateServiceAccount{Account: mia, Disabled: ptr(true)},
			err:  ErrNotFound, says: "no such service account",
		},
		"one that was deleted": {
			given: all(botThere, ServiceAccountDeleted{Account: bot}),
			when:  rename,
			err:   ErrNotFound, says: "no such service account",
		},
		"none": {
			when: UpdateServiceAccount{},
			err:  ErrNotFound, says: "no such service account",
		},
		"having seen the present state": {
			given: botThere,
			when:  update(func(c *UpdateServiceAccount) { c.Name, c.Seen = ptr("builder"), 2 }),
			then:  []Event{ServiceAccountRenamed{bot, "builder"}},
		},
		"what was seen is stale": {
			given: all(botThere, ServiceAccountDescribed{bot, "x"}),
			when:  update(func(c *UpdateServiceAccount) { c.Name, c.Seen = ptr("builder"), 2 }),
			err:   ErrStale, says: "changed at position 4",
		},
		"a service account is no member to change": {
			given: botThere,
			when:  UpdateMember{Account: bot, Role: ptr(Admin)},
			err:   ErrNotFound, says: "no such member",
		},
		"a service account is no member to remove": {
			given: botThere,
			when:  RemoveMember{Account: bot},
			err:   ErrNotFound, says: "no such member",
		},
		"a service account is no member to add": {
			given: botThere,
			when:  AddMember{bot, Ordinary, first},
			err:   ErrExists, says: "is a member already",
		},
		"the service removes no service account as a member": {
			given: botThere,
			when:  RemoveMember{Account: bot}, by: system,
		},
	})
}

func TestDeleteServiceAccount(t *testing.T) {
	const deleted = "its service account was deleted"
	second := TokenIssued{Token: token("2"), Type: Service, Holder: bot, Name: "second", Hash: hashOf("2")}
	run(t, acmeAfter, tenantScenarios{
		"with all its tokens, the oldest first": {
			given: all(botThere, second),
			when:  DeleteServiceAccount{Account: bot, Reason: "replaced"},
			then:  []Event{ServiceAccountDeleted{bot, "replaced"}, TokenRevoked{tokenOf(bot), deleted}, TokenRevoked{token("2"), deleted}},
		},
		"a token that was revoked keeps its reason": {
			given: all(botThere, TokenRevoked{tokenOf(bot), "leaked"}),
			when:  DeleteServiceAccount{Account: bot},
			then:  []Event{ServiceAccountDeleted{Account: bot}},
		},
		"without a token": {
			given: []Event{botCreated},
			when:  DeleteServiceAccount{Account: bot}, by: byBob,
			then: []Event{ServiceAccountDeleted{Account: bot}},
		},
		"a member deletes none": {
			given: botThere,
			when:  DeleteServiceAccount{Account: bot}, by: byMia,
			err: ErrDenied, says: "needs the permission members.remove",
		},
		"a machine does not delete itself": {
			given: botThere,
			when:  DeleteServiceAccount{Account: bot}, by: byBot,
			err: ErrDenied, says: "needs the permission members.remove",
		},
		"a member is none": {
			when: DeleteServiceAccount{Account: mia},
			err:  ErrNotFound, says: "no such service account",
		},
		"twice": {
			given: all(botThere, ServiceAccountDeleted{Account: bot}),
			when:  DeleteServiceAccount{Account: bot},
			err:   ErrNotFound, says: "no such service account",
		},
		"too long a reason": {
			given: botThere,
			when:  DeleteServiceAccount{Account: bot, Reason: strings.Repeat("a", MaxReason+1)},
			err:   ErrInvalid, says: "reason: has 1001 characters",
		},
		"what was seen is stale": {
			given: all(botThere, ServiceAccountSwitched{bot, true}),
			when:  DeleteServiceAccount{Account: bot, Seen: 2},
			err:   ErrStale, says: "changed at position 4",
		},
	})
}

func TestIssueServiceToken(t *testing.T) {
	issue := IssueToken{Token: token("new"), Kind: Service, Holder: bot, Name: "ci", Hash: hashOf("new")}
	with := func(change func(*IssueToken)) IssueToken { c := issue; change(&c); return c }
	made := TokenIssued{token("new"), Service, bot, "ci", "", hashOf("new"), nextYear}
	run(t, acmeAfter, tenantScenarios{
		"a token":                          {given: botThere, when: issue, then: []Event{made}},
		"a token, by an admin":             {given: botThere, when: issue, by: byBob, then: []Event{made}},
		"a token, of one that is disabled": {given: all(botThere, ServiceAccountSwitched{bot, true}), when: issue, then: []Event{made}},
		"the sixth token": {
			given: all(botThere, serviceToken("2"), serviceToken("3"), serviceToken("4"), serviceToken("5")),
			when:  issue, then: []Event{made},
		},
		"a member makes none": {
			given: botThere,
			when:  issue, by: byMia,
			err: ErrDenied, says: "needs the permission tokens.create-service",
		},
		"a machine makes none for itself": {
			given: botThere,
			when:  issue, by: byBot,
			err: ErrDenied, says: "needs the permission tokens.create-service",
		},
		"a machine that may make machines' tokens does": {
			given: []Event{ServiceAccountCreated{bot, "bot", "", custom("tokens.create-service")}, botIssued},
			when:  issue, by: byBot,
			then: []Event{made},
		},
		"a machine makes no personal token": {
			given: []Event{ServiceAccountCreated{bot, "bot", "", custom("tokens.create-personal")}, botIssued},
			when:  with(func(c *IssueToken) { c.Kind = Personal }), by: byBot,
			err: ErrDenied, says: "by the person it belongs to",
		},
		"an admin makes none for one that may more": {
			given: []Event{ServiceAccountCreated{bot, "bot", "", Grant{Access: FullAccess}}},
			when:  issue, by: byBob,
			err: ErrDenied, says: "what you may not do yourself: organization.delete",
		},
		"an admin makes one of what they may for one that may more": {
			given: []Event{ServiceAccountCreated{bot, "bot", "", Grant{Access: FullAccess}}},
			when:  with(func(c *IssueToken) { c.Terms.Grant = custom("tokens.check") }), by: byBob,
			then: []Event{made, TokenBound{token("new"), Terms{Grant: custom("tokens.check")}}},
		},
		"for nobody": {
			when: with(func(c *IssueToken) { c.Holder = AccountID{} }),
			err:  ErrNotFound, says: "no such service account",
		},
		"for a member": {
			when: with(func(c *IssueToken) { c.Holder = mia }),
			err:  ErrNotFound, says: "no such service account",
		},
		"for one that was deleted": {
			given: all(botThere, ServiceAccountDeleted{Account: bot}),
			when:  issue,
			err:   ErrNotFound, says: "no such service account",
		},
		"that follows its holder": {
			given: botThere,
			when:  with(func(c *IssueToken) { c.Unbound = true }),
			err:   ErrInvalid, says: "everywhere: is for personal tokens",
		},
		"a name that another of it has": {
			given: botThere,
			when:  with(func(c *IssueToken) { c.Name = "first" }),
			err:   ErrExists, says: `a live token "first" exists already`,
		},
	})
}

func serviceToken(name string) TokenIssued {
	return TokenIssued{Token: token(name), Type: Service, Holder: bot, Name: name, Hash: hashOf(name)}
}

func TestServiceAccountIsWhatHappened(t *testing.T) {
	o := acmeAfter(all(botThere, ServiceAccountSwitched{bot, true}, HolderLimited{bot, Limit{1, 60}})...)
	s, known := o.ServiceAccount(bot)
	if !known || s.Number != 2 || s.Changed != 5 || !s.Disabled || s.Limit != (Limit{1, 60}) || s.Grant.Access != ByList {
		t.Errorf("service account is %+v, %t", s, known)
	}
	if _, member := o.Member(bot); member {
		t.Error("a service account is a member")
	}
	if _, known := o.ServiceAccount(mia); known {
		t.Error("a member is a service account")
	}
	seat, known := o.Seat(bot)
	if v := o.Standing(tokenOf(bot), &Ask{Now: today}); !known || v.Seat != seat || v.Reason != ReasonSuspended {
		t.Errorf("seat is %d, %t, token stands %+v", seat, known, v)
	}
	if _, known := o.Seat(zoe); known {
		t.Error("who was never here has a seat")
	}
}

func TestServiceAccountNumbered(t *testing.T) {
	o := acmeAfter(botCreated, ServiceAccountCreated{Account: eva, Name: "eva"}, ServiceAccountDeleted{Account: eva})
	for number, want := range map[Position]AccountID{2: bot, 3: {}, 0: {}, 1: {}} {
		if got, known := o.ServiceAccountNumbered(number); got != want || known == want.IsZero() {
			t.Errorf("number %d is %v, %t, want %v", number, got, known, want)
		}
	}
}
