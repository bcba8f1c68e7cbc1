package domain

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestIssueTokenThatNeedsApproval(t *testing.T) {
	issue := func(change func(*IssueToken)) IssueToken { c := issueLaptop; change(&c); return c }
	kinds := func(kinds ...TokenKind) Event { return demands(func(p *Policy) { p.Approval.Kinds = kinds }) }
	grants := func(grants ...string) Event { return demands(func(p *Policy) { p.Approval.Grants = grants }) }
	waits := func(events ...Event) []Event {
		return append(events, ApprovalRequested{token("new"), today + (7 * day).Instant()})
	}
	administrative := newIssued
	administrative.Type, administrative.Holder = Administrative, AccountID{}
	gives := func(g Grant) IssueToken { return issue(func(c *IssueToken) { c.Terms.Grant = g }) }
	given := func(g Grant) TokenBound { return TokenBound{token("new"), Terms{Grant: g}} }
	ours := func(g Grant) IssueToken {
		return issue(func(c *IssueToken) { c.Kind, c.Terms.Grant = Administrative, g })
	}
	forBot := func(g Grant) IssueToken {
		return issue(func(c *IssueToken) { c.Kind, c.Holder, c.Terms.Grant = Service, bot, g })
	}
	bobs, bots := newIssued, newIssued
	bobs.Holder, bots.Type, bots.Holder = bob, Service, bot
	one := []Resource{"engine:prod"}
	run(t, acmeAfter, tenantScenarios{
		"a kind that does":     {given: []Event{kinds(Service, Personal)}, when: issueLaptop, by: byMia, then: waits(newIssued)},
		"a kind that does not": {given: []Event{kinds(Administrative)}, when: issueLaptop, by: byMia, then: []Event{newIssued}},
		"an owner's waits too": {
			given: []Event{kinds(Administrative)},
			when:  issue(func(c *IssueToken) { c.Kind = Administrative }),
			then:  waits(administrative),
		},
		"for as long as the policy says": {
			given: []Event{demands(func(p *Policy) { p.Approval = Approval{Kinds: []TokenKind{Personal}, Lapse: 60} })},
			when:  issueLaptop, by: byMia,
			then: []Event{newIssued, ApprovalRequested{token("new"), today + 60_000}},
		},
		"full access that is named":                    {given: []Event{grants("full-access")}, when: gives(Grant{Access: FullAccess}), by: byMia, then: waits(newIssued, given(Grant{Access: FullAccess}))},
		"the usual grant is full access":               {given: []Event{grants("full-access")}, when: issueLaptop, by: byMia, then: waits(newIssued)},
		"the usual grant of the organization's is not": {given: []Event{grants("full-access")}, when: issue(func(c *IssueToken) { c.Kind = Administrative }), then: []Event{administrative}},
		"read-only that is not named":                  {given: []Event{grants("full-access")}, when: gives(Grant{Access: ReadOnly}), by: byMia, then: []Event{newIssued, given(Grant{Access: ReadOnly})}},
		"a role that is named":                         {given: []Event{grants("ci")}, when: gives(Grant{Access: ByRole, Role: "ci"}), by: byMia, then: waits(newIssued, given(Grant{Access: ByRole, Role: "ci"}))},
		"a permission that is named":                   {given: []Event{grants("tokens.check")}, when: gives(custom("tokens.check", "engines.read")), by: byMia, then: waits(newIssued, given(custom("tokens.check", "engines.read")))},
		"a permission that is named, by a role":        {given: []Event{grants("tokens.check")}, when: gives(Grant{Access: ByRole, Role: "ci"}), by: byMia, then: waits(newIssued, given(Grant{Access: ByRole, Role: "ci"}))},
		"a permission that is named, which the holder has not": {
			given: all(grants("members.add"), ServiceAccountCreated{bot, "bot", "", custom("engines.read")}),
			when: issue(func(c *IssueToken) {
				c.Kind, c.Holder, c.Terms.Grant = Service, bot, custom("members.add", "engines.read")
			}),
			then: []Event{bots, given(custom("members.add", "engines.read"))},
		},
		"nothing that is named": {given: []Event{grants("members.add", "owner")}, when: issueLaptop, by: byMia, then: []Event{newIssued}},

		"full access by the name of a role":                       {given: []Event{grants("full-access")}, when: gives(Grant{Access: ByRole, Role: Ordinary}), by: byMia, then: waits(newIssued, given(Grant{Access: ByRole, Role: Ordinary}))},
		"full access by the name of a role that is wider":         {given: []Event{grants("full-access")}, when: gives(Grant{Access: ByRole, Role: Admin}), by: byBob, then: waits(bobs, given(Grant{Access: ByRole, Role: Admin}))},
		"full access by a list of all":                            {given: []Event{grants("full-access")}, when: gives(custom(permissionsOf(allowedTo(Ordinary))...)), by: byMia, then: waits(newIssued, given(custom(permissionsOf(allowedTo(Ordinary))...)))},
		"a list of all but one":                                   {given: []Event{grants("full-access")}, when: gives(custom(permissionsOf(allowedTo(Ordinary))[1:]...)), by: byMia, then: []Event{newIssued, given(custom(permissionsOf(allowedTo(Ordinary))[1:]...))}},
		"a role that is not all":                                  {given: []Event{grants("full-access")}, when: gives(Grant{Access: ByRole, Role: "ci"}), by: byMia, then: []Event{newIssued, given(Grant{Access: ByRole, Role: "ci"})}},
		"full access of the organization's":                       {given: []Event{grants("full-access")}, when: ours(Grant{Access: FullAccess}), then: waits(administrative, given(Grant{Access: FullAccess}))},
		"full access of the organization's by the name of a role": {given: []Event{grants("full-access")}, when: ours(Grant{Access: ByRole, Role: Admin}), by: byBob, then: waits(administrative, given(Grant{Access: ByRole, Role: Admin}))},
		"full access by the name of a role, for one resource":     {given: []Event{grants("full-access")}, when: gives(Grant{Access: ByRole, Role: Ordinary, Resources: one}), by: byMia, then: []Event{newIssued, given(Grant{Access: ByRole, Role: Ordinary, Resources: one})}},
		"the usual grant, for one resource":                       {given: []Event{grants("full-access")}, when: gives(Grant{Resources: one}), by: byMia, then: []Event{newIssued, given(Grant{Resources: one})}},
		"full access of a machine, which is what the machine may": {given: all(botThere, grants("full-access")), when: forBot(Grant{}), then: waits(bots)},
		"less than what a machine may":                            {given: all(botThere, grants("full-access")), when: forBot(custom("tokens.check")), then: []Event{bots, given(custom("tokens.check"))}},

		"asked for by a program": {
			given: []Event{kinds(Administrative), granted(robot, "tokens.create-administrative")},
			when:  ours(custom("tokens.create-administrative")), by: byRobot,
			err: ErrDenied, says: "a token that needs approval is asked for by a person, so that another one decides",
		},
		"asked for by a machine": {
			given: []Event{kinds(Service), ServiceAccountCreated{bot, "bot", "", custom("tokens.create-service")}, botIssued},
			when:  forBot(Grant{}), by: byBot,
			err: ErrDenied, says: "a token that needs approval is asked for by a person, so that another one decides",
		},
		"asked for by a machine, by a permission that is named": {
			given: []Event{grants("tokens.create-service"), ServiceAccountCreated{bot, "bot", "", custom("tokens.create-service", "tokens.check")}, botIssued},
			when:  forBot(custom("tokens.create-service")), by: byBot,
			err: ErrDenied, says: "a token that needs approval is asked for by a person, so that another one decides",
		},
		"what needs none, by a machine": {
			given: []Event{grants("tokens.create-service"), ServiceAccountCreated{bot, "bot", "", custom("tokens.create-service", "tokens.check")}, botIssued},
			when:  forBot(custom("tokens.check")), by: byBot,
			then: []Event{bots, given(custom("tokens.check"))},
		},
		"what needs none, by a program": {
			given: []Event{kinds(Service, Personal), granted(robot, "tokens.create-administrative")},
			when:  ours(custom("tokens.create-administrative")), by: byRobot,
			then: []Event{administrative, given(custom("tokens.create-administrative"))},
		},
		"another grant that needs it, by the name of a role": {
			given: []Event{grants("full-access"), laptopIssued, granted(laptop, "tokens.check")},
			when:  UpdateToken{Token: laptop, Grant: &Grant{Access: ByRole, Role: Ordinary}}, by: byMia,
			err: ErrState, says: "such a grant needs approval",
		},
		"no resource any more, which needs it": {
			given: []Event{grants("full-access"), laptopIssued, TokenBound{laptop, Terms{Grant: Grant{Resources: one}}}},
			when:  UpdateToken{Token: laptop, Grant: &Grant{}}, by: byMia,
			err: ErrState, says: "such a grant needs approval",
		},

		"another grant that needs none": {
			given: []Event{grants("full-access"), laptopIssued, granted(laptop, "tokens.check")},
			when:  UpdateToken{Token: laptop, Grant: &Grant{Access: ReadOnly}}, by: byMia,
			then: []Event{TokenBound{laptop, Terms{Grant: Grant{Access: ReadOnly}}}},
		},
		"another grant that needs it": {
			given: []Event{grants("full-access"), laptopIssued, granted(laptop, "tokens.check")},
			when:  UpdateToken{Token: laptop, Grant: &Grant{Access: FullAccess}}, by: byMia,
			err: ErrState, says: "such a grant needs approval",
		},
		"a wider grant of a kind that needs it": {
			given: []Event{kinds(Personal), laptopIssued, granted(laptop, "tokens.check"), ApprovalRequested{laptop, tomorrow}, ApprovalGiven{Token: laptop}},
			when:  UpdateToken{Token: laptop, Grant: &Grant{Access: FullAccess}}, by: byMia,
			err: ErrState, says: "such a grant needs approval",
		},
		"a narrower grant of a kind that needs it": {
			given: []Event{kinds(Personal), laptopIssued},
			when:  UpdateToken{Token: laptop, Grant: &Grant{Access: ReadOnly}}, by: byMia,
			then: []Event{TokenBound{laptop, Terms{Grant: Grant{Access: ReadOnly}}}},
		},
		"more resources of a kind that needs it": {
			given: []Event{kinds(Personal), laptopIssued, TokenBound{laptop, Terms{Grant: Grant{Resources: []Resource{"engine:a"}}}}},
			when:  UpdateToken{Token: laptop, Grant: &Grant{Resources: []Resource{"engine:a", "engine:b"}}}, by: byMia,
			err: ErrState, says: "such a grant needs approval",
		},
		"all resources of a kind that needs it": {
			given: []Event{kinds(Personal), laptopIssued, TokenBound{laptop, Terms{Grant: Grant{Resources: []Resource{"engine:a"}}}}},
			when:  UpdateToken{Token: laptop, Grant: &Grant{}}, by: byMia,
			err: ErrState, says: "such a grant needs approval",
		},
		"one resource of all of a type, of a kind that needs it": {
			given: []Event{kinds(Personal), laptopIssued, TokenBound{laptop, Terms{Grant: Grant{Resources: []Resource{"engine:*"}}}}},
			when:  UpdateToken{Token: laptop, Grant: &Grant{Resources: []Resource{"engine:b"}}}, by: byMia,
			then: []Event{TokenBound{laptop, Terms{Grant: Grant{Resources: []Resource{"engine:b"}}}}},
		},
		"more networks of a kind that needs it": {
			given: []Event{kinds(Personal), laptopIssued, TokenBound{laptop, Terms{Networks: networks("10.0.0.0/8")}}},
			when:  UpdateToken{Token: laptop, Networks: &[]Network{}}, by: byMia,
			err: ErrState, says: "such a grant needs approval",
		},
	})
}

// zoeWaits is a token of Zoe that she has asked for.
var zoeWaits = all(joined(zoe, Ordinary), issued(laptop, zoe, "laptop"), did(person(zoe), ApprovalRequested{laptop, tomorrow}))

func TestApproveToken(t *testing.T) {
	approve := ApproveToken{laptop, "for the pipeline"}
	given := []Event{ApprovalGiven{laptop, "for the pipeline"}}
	byZoe := person(zoe)
	adminWaits := all(
		TokenIssued{Token: laptop, Type: Administrative, Name: "adm", Hash: hashOf("adm"), Expires: nextYear},
		TokenBound{laptop, Terms{Grant: custom("members.add")}}, did(byBob, ApprovalRequested{laptop, tomorrow}),
	)
	run(t, acmeAfter, tenantScenarios{
		"by an owner":                    {given: zoeWaits, when: approve, then: given},
		"by an admin":                    {given: zoeWaits, when: approve, by: byBob, then: given},
		"without a reason":               {given: zoeWaits, when: ApproveToken{Token: laptop}, then: []Event{ApprovalGiven{Token: laptop}}},
		"a millisecond before it lapses": {given: zoeWaits, when: approve, at: tomorrow - 1, then: given},
		"when it lapses":                 {given: zoeWaits, when: approve, at: tomorrow, err: ErrState, says: "nobody has decided about the token in time"},
		"by who asked for it": {
			given: all(zoeWaits, MemberRoleChanged{zoe, Admin}),
			when:  approve, by: byZoe,
			err: ErrDenied, says: "somebody else than who asked for the token has to decide",
		},
		"by who asked for it, for the organization": {
			given: adminWaits,
			when:  approve, by: byBob,
			err: ErrDenied, says: "somebody else than who asked for the token has to decide",
		},
		"by another, for the organization": {given: adminWaits, when: approve, then: given},
		"by who would hold it": {
			given: []Event{issued(laptop, bob, "laptop"), did(byAnn, ApprovalRequested{laptop, tomorrow})},
			when:  approve, by: byBob,
			err: ErrDenied, says: "somebody else than who asked for the token has to decide",
		},
		"by a program": {
			given: all(zoeWaits, granted(robot, "tokens.approve")),
			when:  approve, by: byRobot,
			err: ErrDenied, says: "somebody else than who asked for the token has to decide",
		},
		"by a machine": {
			given: all(zoeWaits, ServiceAccountCreated{bot, "bot", "", Grant{Access: FullAccess}}, botIssued),
			when:  approve, by: byBot,
			err: ErrDenied, says: "somebody else than who asked for the token has to decide",
		},
		"by who may less": {
			given: all(adminWaits, granted(tokenOf(ann), "tokens.approve")),
			when:  approve,
			err:   ErrDenied, says: "grant: it would allow what you may not do yourself: members.add",
		},
		"of a list that its holder may not, by who may not either": {
			given: all(zoeWaits, granted(laptop, "tokens.check", "members.add"), granted(tokenOf(ann), "tokens.approve", "tokens.check")),
			when:  approve,
			then:  given,
		},
		"of a list that its holder may by now, by who may not": {
			given: all(zoeWaits, granted(laptop, "tokens.check", "members.add"), granted(tokenOf(ann), "tokens.approve", "tokens.check"), MemberRoleChanged{zoe, Admin}),
			when:  approve,
			err:   ErrDenied, says: "grant: it would allow what you may not do yourself: members.add",
		},
		"of a list of which a part was retired, by who may less than the rest": {
			given: all(clones, adminWaits[0], granted(laptop, "clones.create", "members.add"), adminWaits[2], PermissionRetired{"clones.create"}, granted(tokenOf(ann), "tokens.approve")),
			when:  approve,
			err:   ErrDenied, says: "grant: it would allow what you may not do yourself: members.add",
		},
		"by who is asked from other networks only": {
			given: all(zoeWaits, TokenBound{tokenOf(ann), Terms{Networks: networks("10.0.0.0/8")}}),
			when:  approve, from: "10.0.0.1",
			err: ErrDenied, says: "must not work elsewhere",
		},
		"by a member": {
			given: zoeWaits,
			when:  approve, by: byMia,
			err: ErrDenied, says: "needs the permission tokens.approve",
		},
		"what does not wait": {
			given: all(joined(zoe, Ordinary), issued(laptop, zoe, "laptop")),
			when:  approve,
			err:   ErrState, says: "the token does not wait for approval",
		},
		"twice":            {given: all(zoeWaits, given), when: approve, err: ErrState, says: "does not wait"},
		"what was refused": {given: all(zoeWaits, ApprovalRefused{laptop, "no"}), when: approve, err: ErrState, says: "does not wait"},
		"what was revoked": {given: all(zoeWaits, TokenRevoked{Token: laptop}), when: approve, err: ErrState, says: "does not wait"},
		"what has lapsed":  {given: all(zoeWaits, ApprovalLapsed{laptop}), when: approve, err: ErrState, says: "does not wait"},
		"what has expired": {
			given: []Event{TokenIssued{Token: laptop, Type: Personal, Holder: mia, Name: "x", Expires: today + 1}, did(byMia, ApprovalRequested{laptop, tomorrow})},
			when:  approve, at: today + 1,
			err: ErrState, says: "nobody has decided about the token in time",
		},
		"what is no token": {when: approve, err: ErrNotFound, says: "no such token"},
		"too long a reason": {
			given: zoeWaits,
			when:  ApproveToken{laptop, strings.Repeat("a", MaxReason+1)},
			err:   ErrInvalid, says: "reason: has 1001 characters",
		},
	})
}

func TestRefuseToken(t *testing.T) {
	refuse := RefuseToken{laptop, "too much"}
	run(t, acmeAfter, tenantScenarios{
		"by an admin": {given: zoeWaits, when: refuse, by: byBob, then: []Event{ApprovalRefused{laptop, "too much"}}},
		"by who may less than it": {
			given: all(zoeWaits, granted(tokenOf(ann), "tokens.approve")),
			when:  refuse,
			then:  []Event{ApprovalRefused{laptop, "too much"}},
		},
		"without a reason": {
			given: zoeWaits,
			when:  RefuseToken{Token: laptop},
			err:   ErrInvalid, says: "reason: is missing",
		},
		"by who asked for it": {
			given: all(zoeWaits, MemberRoleChanged{zoe, Admin}),
			when:  refuse, by: person(zoe),
			err: ErrDenied, says: "somebody else",
		},
		"when it has lapsed": {
			given: zoeWaits,
			when:  refuse, at: tomorrow,
			err: ErrState, says: "nobody has decided about the token in time",
		},
		"by a member": {
			given: zoeWaits,
			when:  refuse, by: byMia,
			err: ErrDenied, says: "needs the permission tokens.approve",
		},
	})
}

// What waits is what will be approved: it can be renamed and revoked, and nothing else.
func TestWaitingToken(t *testing.T) {
	byZoe := person(zoe)
	const says = "the token waits for approval, and what is being approved can't be changed"
	run(t, acmeAfter, tenantScenarios{
		"another name":    {given: zoeWaits, when: UpdateToken{Token: laptop, Name: ptr("x")}, by: byZoe, then: []Event{TokenRenamed{laptop, "x"}}},
		"another grant":   {given: zoeWaits, when: UpdateToken{Token: laptop, Grant: &Grant{Access: ReadOnly}}, by: byZoe, err: ErrState, says: says},
		"other networks":  {given: zoeWaits, when: UpdateToken{Token: laptop, Networks: &[]Network{}}, by: byZoe, err: ErrState, says: says},
		"another limit":   {given: zoeWaits, when: UpdateToken{Token: laptop, Limit: &Limit{}}, by: byZoe, err: ErrState, says: says},
		"another begin":   {given: zoeWaits, when: UpdateToken{Token: laptop, NotBefore: ptr(today)}, by: byZoe, err: ErrState, says: says},
		"another end":     {given: zoeWaits, when: UpdateToken{Token: laptop, Expires: ptr(today + 1)}, by: byZoe, err: ErrState, says: says},
		"its end":         {given: zoeWaits, when: RevokeToken{Token: laptop}, by: byZoe, then: []Event{TokenRevoked{Token: laptop}}},
		"a use of itself": {given: zoeWaits, when: issueLaptop, by: Actor{ActorMember, zoe, laptop}, err: ErrDenied, says: "needs the permission"},
	})
	for name, c := range map[string]struct {
		then []Event
		at   Instant
		want Reason
	}{
		"waiting":                    {nil, today, ReasonWaiting},
		"waiting longer than it may": {nil, tomorrow + 1, ReasonWaiting},
		"approved":                   {[]Event{ApprovalGiven{Token: laptop}}, today, ReasonNone},
		"refused":                    {[]Event{ApprovalRefused{laptop, "no"}}, today, ReasonRevoked},
		"lapsed":                     {[]Event{ApprovalLapsed{laptop}}, today, ReasonRevoked},
		"approved and revoked":       {[]Event{ApprovalGiven{Token: laptop}, TokenRevoked{Token: laptop}}, today, ReasonRevoked},
	} {
		t.Run(name, func(t *testing.T) {
			o := acmeAfter(all(zoeWaits, c.then)...)
			v := o.Check(shown(laptop, Personal), &Ask{Now: c.at})
			if v.Reason != c.want || v.Granted.IsZero() != (c.want != ReasonNone) {
				t.Errorf("reason is %q, want %q", v.Reason, c.want)
			}
		})
	}
}

func TestLapse(t *testing.T) {
	run(t, acmeAfter, tenantScenarios{
		"a millisecond before": {given: zoeWaits, when: Lapse{}, by: system, at: tomorrow - 1},
		"at the moment":        {given: zoeWaits, when: Lapse{}, by: system, at: tomorrow, then: []Event{ApprovalLapsed{laptop}}},
		"twice":                {given: all(zoeWaits, ApprovalLapsed{laptop}), when: Lapse{}, by: system, at: tomorrow},
		"what was approved":    {given: all(zoeWaits, ApprovalGiven{Token: laptop}), when: Lapse{}, by: system, at: tomorrow},
		"nothing":              {when: Lapse{}, by: system},
		"by an owner":          {given: zoeWaits, when: Lapse{}, at: tomorrow, err: ErrDenied, says: "only the service itself does this"},
	})
}

// One commit holds only so many; the next holds the rest.
func TestLapsesInParts(t *testing.T) {
	o := acmeAfter()
	for i := range MaxRevoked + 1 {
		id := TokenID{ID{1, byte(i >> 8), byte(i)}}
		o.Evolve(Commit{Meta: Meta{Time: today}, Events: []Event{TokenIssued{Token: id, Type: Administrative, Name: id.String()}, ApprovalRequested{id, today}}})
	}
	for _, want := range []int{MaxRevoked, 1, 0} {
		events, err := Lapse{}.Decide(o, Meta{Actor: system, Time: today})
		if len(events) != want || err != nil {
			t.Errorf("%d lapse, %v, want %d", len(events), err, want)
		}
		o.Evolve(Commit{Events: events})
	}
}

// Who may decide sees what can still be approved, the oldest first.
func TestPending(t *testing.T) {
	o := acmeAfter(all(
		issued(token("2"), mia, "2"), issued(token("1"), mia, "1"), issued(token("3"), mia, "3"), issued(token("4"), mia, "4"),
		did(byMia, ApprovalRequested{token("1"), tomorrow}), did(byMia, ApprovalRequested{token("2"), tomorrow + 1}),
		did(byMia, ApprovalRequested{token("3"), nextYear}), TokenRevoked{Token: token("3")},
		did(byMia, ApprovalRequested{token("4"), nextYear}), ApprovalGiven{Token: token("4")},
	)...)
	for at, want := range map[Instant][]Pending{
		today:        {{token("2"), byMia, tomorrow + 1}, {token("1"), byMia, tomorrow}},
		tomorrow - 1: {{token("2"), byMia, tomorrow + 1}, {token("1"), byMia, tomorrow}},
		tomorrow:     {{token("2"), byMia, tomorrow + 1}},
		tomorrow + 1: nil,
	} {
		if diff := cmp.Diff(want, o.Waiting(at)); diff != "" {
			t.Errorf("at %v (-want +got):\n%s", at, diff)
		}
	}
}
