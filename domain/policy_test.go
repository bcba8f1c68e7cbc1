package domain

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func updatePolicy(change func(*Policy)) UpdatePolicy {
	return UpdatePolicy{Policy: Policy(demands(change))}
}

func TestUpdatePolicy(t *testing.T) {
	off := func(p *Policy) { p.Off = true }
	description := func(p *Policy) { p.Description = true }
	here := func(p *Policy) { p.Networks = networks("10.0.0.0/8") }
	run(t, acmeAfter, tenantScenarios{
		"something":           {when: updatePolicy(description), then: []Event{demands(description)}},
		"an admin changes it": {when: updatePolicy(description), by: byBob, then: []Event{demands(description)}},
		"what it is":          {when: updatePolicy(func(*Policy) {})},
		"what it is, with empty lists": {
			when: updatePolicy(func(p *Policy) {
				p.Networks, p.Approval.Kinds, p.Approval.Grants, p.Service.Creators = []Network{}, []TokenKind{}, []string{}, []Role{}
			}),
		},
		"something, with empty lists": {
			when: updatePolicy(func(p *Policy) { p.Description, p.Networks, p.Personal.Creators = true, []Network{}, []Role{} }),
			then: []Event{demands(description)},
		},
		"all of it": {
			when: UpdatePolicy{Policy: Policy(samples["policy.changed"].(PolicyChanged))}, from: "10.0.0.1",
			given: []Event{TokenIssued{Token: token("short"), Type: Personal, Holder: ann, Name: "short", Hash: hashOf("short"), Expires: tomorrow}},
			by:    Actor{ActorMember, ann, token("short")},
			then:  []Event{samples["policy.changed"]},
		},
		"a member does not": {
			when: updatePolicy(off), by: byMia,
			err: ErrDenied, says: "needs the permission policy.update",
		},
		"an auditor does not": {
			when: updatePolicy(off), by: byAda,
			err: ErrDenied, says: "needs the permission policy.update",
		},
		"a program does not": {
			when: updatePolicy(off), by: byRobot,
			err: ErrDenied, says: "needs the permission policy.update",
		},
		"having seen the present state": {
			given: []Event{demands(description)},
			when:  func() UpdatePolicy { c := updatePolicy(off); c.Seen = 2; return c }(),
			then:  []Event{demands(off)},
		},
		"what was seen is stale": {
			given: []Event{demands(description), demands(func(*Policy) {})},
			when:  func() UpdatePolicy { c := updatePolicy(off); c.Seen = 2; return c }(),
			err:   ErrStale, says: "changed at position 3",
		},

		"tokens off": {when: updatePolicy(off), then: []Event{demands(off)}},
		"tokens on again": {
			given: []Event{demands(off)},
			when:  updatePolicy(func(*Policy) {}),
			then:  []Event{demands(func(*Policy) {})},
		},
		"something else while tokens are off": {
			given: []Event{demands(off)},
			when:  updatePolicy(func(p *Policy) { p.Off, p.Description = true, true }), by: byBob,
			then: []Event{demands(func(p *Policy) { p.Off, p.Description = true, true })},
		},
		"tokens on again, by a member": {
			given: []Event{demands(off)},
			when:  updatePolicy(func(*Policy) {}), by: byMia,
			err: ErrDenied, says: "needs the permission policy.update",
		},
		"tokens on again, by an owner who is suspended": {
			given: []Event{demands(off), MemberSuspended{Account: ann}},
			when:  updatePolicy(func(*Policy) {}),
			err:   ErrDenied, says: "needs the permission policy.update",
		},
		"tokens on again, with a token that has expired": {
			given: []Event{demands(off)},
			when:  updatePolicy(func(*Policy) {}), at: nextYear,
			err: ErrDenied, says: "needs the permission policy.update",
		},
		"nothing but the policy while tokens are off": {
			given: []Event{demands(off)},
			when:  UpdateOrganization{Name: "New"},
			err:   ErrDenied, says: "needs the permission organization.update",
		},

		"networks, from within": {
			when: updatePolicy(here), from: "10.0.0.1",
			then: []Event{demands(here)},
		},
		"networks, from elsewhere": {
			when: updatePolicy(here), from: "192.0.2.7",
			err: ErrState, says: "it would block the token that you show (network)",
		},
		"networks, from nobody knows where": {
			when: updatePolicy(here),
			err:  ErrState, says: "it would block the token that you show (network)",
		},
		"networks that lock out, while tokens are switched off": {
			when: updatePolicy(func(p *Policy) { off(p); here(p) }),
			err:  ErrState, says: "it would block the token that you show (network)",
		},
		"a life that is shorter than that of the token shown": {
			when: updatePolicy(func(p *Policy) { p.Personal.Longest = 365*day - 1 }),
			err:  ErrState, says: "it would block the token that you show (policy)",
		},
		"a life that is that of the token shown": {
			when: updatePolicy(func(p *Policy) { p.Personal.Longest = 365 * day }),
			then: []Event{demands(func(p *Policy) { p.Personal.Longest = 365 * day })},
		},
		"a last end before that of the token shown": {
			when: updatePolicy(func(p *Policy) { p.Personal.Latest = nextYear - 1 }),
			err:  ErrState, says: "it would block the token that you show (policy)",
		},
		"a last end at that of the token shown": {
			when: updatePolicy(func(p *Policy) { p.Personal.Latest = nextYear }),
			then: []Event{demands(func(p *Policy) { p.Personal.Latest = nextYear })},
		},
		"no token without an end, with one": {
			given: []Event{TokenExpiryChanged{Token: tokenOf(ann)}},
			when:  updatePolicy(func(p *Policy) { p.Personal.Never = false }),
			err:   ErrState, says: "it would block the token that you show (policy)",
		},
		"another kind has short lives": {
			when: updatePolicy(func(p *Policy) { p.Service.Longest, p.Administrative.Never = day, false }),
			then: []Event{demands(func(p *Policy) { p.Service.Longest, p.Administrative.Never = day, false })},
		},
		"the shortest idle time": {
			when: updatePolicy(func(p *Policy) { p.Idle = day }),
			then: []Event{demands(func(p *Policy) { p.Idle = day })},
		},
	})
}

func TestPolicyIsRefused(t *testing.T) {
	for says, change := range map[string]func(*Policy){
		"networks: 10.0.0.1/8 is no network":               func(p *Policy) { p.Networks = networks("10.0.0.1/8") },
		"networks: has 51 networks":                        func(p *Policy) { p.Networks = slices.Repeat(networks("10.0.0.0/8"), 51) },
		"token_limit.requests: is 0":                       func(p *Policy) { p.TokenLimit = Limit{0, 1} },
		"holder_limit.window: is -1 seconds":               func(p *Policy) { p.HolderLimit = Limit{1, -1} },
		`reuse: "" is not what can happen`:                 func(p *Policy) { p.Reuse = "" },
		`reuse: "explode" is not what can happen`:          func(p *Policy) { p.Reuse = "explode" },
		"overlap: is -1 seconds":                           func(p *Policy) { p.Overlap = -1 },
		"overlap: is 604801 seconds":                       func(p *Policy) { p.Overlap = MaxOverlap + 1 },
		"idle: is -1 seconds":                              func(p *Policy) { p.Idle = -1 },
		"idle: is 1 seconds":                               func(p *Policy) { p.Idle = 1 },
		"idle: is 86399 seconds":                           func(p *Policy) { p.Idle = day - 1 },
		"idle: is 315360001 seconds":                       func(p *Policy) { p.Idle = 10*year + 1 },
		"approval.kinds: names what is no kind of token":   func(p *Policy) { p.Approval.Kinds = []TokenKind{NoKind} },
		"approval.kinds: names what":                       func(p *Policy) { p.Approval.Kinds = []TokenKind{Service + 1} },
		`approval.grants: "" is no kind of access`:         func(p *Policy) { p.Approval.Grants = []string{""} },
		`approval.grants: "root" is no kind of access`:     func(p *Policy) { p.Approval.Grants = []string{"admin", "root"} },
		"approval.lapse: is -1 seconds":                    func(p *Policy) { p.Approval.Lapse = -1 },
		"approval.lapse: is 31536001 seconds":              func(p *Policy) { p.Approval.Lapse = year + 1 },
		`personal.creators: there is no role "root"`:       func(p *Policy) { p.Personal.Creators = []Role{Owner, "root"} },
		`service.creators: there is no role ""`:            func(p *Policy) { p.Service.Creators = []Role{""} },
		"personal.per_holder: is -1":                       func(p *Policy) { p.Personal.PerHolder = -1 },
		"administrative.per_holder: is 100001":             func(p *Policy) { p.Administrative.PerHolder = 100_001 },
		"service.longest: is -1 seconds":                   func(p *Policy) { p.Service.Longest = -1 },
		"service.longest: is 3153600001 seconds":           func(p *Policy) { p.Service.Longest = maxLife + 1 },
		"personal.default: is -1 seconds":                  func(p *Policy) { p.Personal.Default = -1 },
		"personal.default: is 3153600001 seconds":          func(p *Policy) { p.Personal.Default = maxLife + 1 },
		"personal.default: is longer than the longest":     func(p *Policy) { p.Personal.Longest, p.Personal.Default = 400*day, 401*day },
		"personal.latest: lies outside the calendar":       func(p *Policy) { p.Personal.Latest = -1 },
		"administrative.latest: lies outside the calendar": func(p *Policy) { p.Administrative.Latest = lastInstant + 1 },
	} {
		t.Run(says, func(t *testing.T) {
			events, err := updatePolicy(change).Decide(acmeAfter(), Meta{Actor: byAnn, Time: today})
			checkRefusal(t, err, ErrInvalid, says)
			if len(events) != 0 {
				t.Errorf("causes %v", events)
			}
		})
	}
	for _, named := range []string{"full-access", "read-only", "role", "custom", "owner", "admin:write", "tokens.check"} {
		_, err := updatePolicy(func(p *Policy) { p.Approval.Grants = []string{named} }).Decide(acmeAfter(), Meta{Actor: byAnn, Time: today})
		checkRefusal(t, err, nil, "")
	}
}

// What the policy demands of whoever makes a token, and of the token.
func TestIssueTokenUnderPolicy(t *testing.T) {
	issue := func(change func(*IssueToken)) IssueToken { c := issueLaptop; change(&c); return c }
	expires := func(at Instant) IssueToken { return issue(func(c *IssueToken) { c.Expires = at }) }
	never := issue(func(c *IssueToken) { c.Never = true })
	ends := func(at Instant) []Event { e := newIssued; e.Expires = at; return []Event{e} }
	personal := func(change func(*KindPolicy)) Event { return demands(func(p *Policy) { change(&p.Personal) }) }
	// Longest and Latest would block the token that is shown, unless it ends sooner.
	short := TokenIssued{Token: token("short"), Type: Personal, Holder: mia, Name: "short", Hash: hashOf("short"), Expires: tomorrow}
	byShort := Actor{ActorMember, mia, token("short")}
	month := today + (30 * day).Instant()
	monthly := personal(func(k *KindPolicy) { k.Longest = 30 * day })
	until := personal(func(k *KindPolicy) { k.Latest = month })
	four := all(issued(token("2"), mia, "2"), issued(token("3"), mia, "3"), issued(token("4"), mia, "4"))
	run(t, acmeAfter, tenantScenarios{
		"the default life": {
			given: []Event{personal(func(k *KindPolicy) { k.Default = 90 * day })},
			when:  issueLaptop, by: byMia,
			then: ends(today + (90 * day).Instant()),
		},
		"no default life, and a longest": {
			given: []Event{short, monthly},
			when:  issueLaptop, by: byShort,
			then: ends(month),
		},
		"no default life, and a last end": {
			given: []Event{short, until},
			when:  issueLaptop, by: byShort,
			then: ends(month),
		},
		"the longest life": {
			given: []Event{short, monthly},
			when:  expires(month), by: byShort,
			then: ends(month),
		},
		"longer than the longest life": {
			given: []Event{short, monthly},
			when:  expires(month + 1), by: byShort,
			err: ErrInvalid, says: "expires_at: 2026-12-22T12:00:00.001Z is later than the policy allows",
		},
		"until the last end": {
			given: []Event{short, until},
			when:  expires(month), by: byShort,
			then: ends(month),
		},
		"after the last end": {
			given: []Event{short, until},
			when:  expires(month + 1), by: byShort,
			err: ErrInvalid, says: "is later than the policy allows",
		},
		"after the last end and longer": {
			given: []Event{short, personal(func(k *KindPolicy) { k.Latest, k.Longest = month, 20*day })},
			when:  expires(month + 1), by: byShort,
			err: ErrInvalid, says: "is later than the policy allows",
		},
		"after the last end has passed": {
			given: []Event{TokenIssued{Token: token("short"), Type: Personal, Holder: mia, Name: "short", Hash: hashOf("short"), Expires: tomorrow}, demands(func(p *Policy) { p.Administrative.Latest = today })},
			when:  issue(func(c *IssueToken) { c.Kind = Administrative }),
			err:   ErrState, says: "the policy lets no token of this kind live after 2026-11-22T12:00:00Z",
		},
		"never, where there has to be an end": {
			given: []Event{personal(func(k *KindPolicy) { k.Never = false })},
			when:  never, by: byMia,
			err: ErrInvalid, says: "expires_at: is never, and the policy wants an end",
		},
		"never, where another kind has to end": {
			given: []Event{demands(func(p *Policy) { p.Administrative.Never = false })},
			when:  never, by: byMia,
			then: ends(0),
		},
		"an end that is none, beside never": {
			given: []Event{personal(func(k *KindPolicy) { k.Never = false })},
			when:  issue(func(c *IssueToken) { c.Never, c.Expires = true, tomorrow }), by: byMia,
			err: ErrInvalid, says: "given together with never",
		},

		"by a role that may": {
			given: []Event{personal(func(k *KindPolicy) { k.Creators = []Role{Owner, Ordinary} })},
			when:  issueLaptop, by: byMia,
			then: []Event{newIssued},
		},
		"by a role that may not": {
			given: []Event{personal(func(k *KindPolicy) { k.Creators = []Role{Owner, Admin} })},
			when:  issueLaptop, by: byMia,
			err: ErrDenied, says: "the policy lets only owner, admin make tokens of this kind",
		},
		"by a role that may, which has not the permission": {
			given: []Event{personal(func(k *KindPolicy) { k.Creators = []Role{Auditor} })},
			when:  issueLaptop, by: byAda,
			err: ErrDenied, says: "needs the permission tokens.create-personal",
		},
		"by a program, where the policy names roles": {
			given: []Event{granted(robot, "tokens.create-administrative"), demands(func(p *Policy) { p.Administrative.Creators = []Role{Owner} })},
			when:  issue(func(c *IssueToken) { c.Kind, c.Terms.Grant = Administrative, custom("tokens.create-administrative") }), by: byRobot,
			err: ErrDenied, says: "the policy lets only owner make tokens",
		},
		"no description, where there has to be one": {
			given: []Event{demands(func(p *Policy) { p.Description = true })},
			when:  issueLaptop, by: byMia,
			err: ErrInvalid, says: "description: is missing, and the policy wants one",
		},
		"no description any more, where there has to be one": {
			given: []Event{laptopIssued, demands(func(p *Policy) { p.Description = true })},
			when:  UpdateToken{Token: laptop, Description: ptr("")}, by: byMia,
			err: ErrInvalid, says: "description: is missing, and the policy wants one",
		},
		"a name only, of a token without the description there has to be": {
			given: []Event{laptopIssued, demands(func(p *Policy) { p.Description = true })},
			when:  UpdateToken{Token: laptop, Name: ptr("desktop")}, by: byMia,
			then: []Event{TokenRenamed{laptop, "desktop"}},
		},

		"the fifth of a person": {given: four, when: issueLaptop, by: byMia, then: []Event{newIssued}},
		"the sixth of a person": {
			given: all(four, issued(token("5"), mia, "5")),
			when:  issueLaptop, by: byMia,
			err: ErrState, says: "there are 5 live tokens already",
		},
		"the sixth, one of which is revoked": {
			given: all(four, issued(token("5"), mia, "5"), TokenRevoked{Token: token("3")}),
			when:  issueLaptop, by: byMia,
			then: []Event{newIssued},
		},
		"the sixth, one of which expires now": {
			given: all(four, TokenIssued{Token: token("5"), Type: Personal, Holder: mia, Name: "5", Expires: today}),
			when:  issueLaptop, by: byMia,
			then: []Event{newIssued},
		},
		"the sixth, one of which expires in a millisecond": {
			given: all(four, TokenIssued{Token: token("5"), Type: Personal, Holder: mia, Name: "5", Expires: today + 1}),
			when:  issueLaptop, by: byMia,
			err: ErrState, says: "there are 5 live tokens already",
		},
		"the sixth, one of which waits": {
			given: all(four, issued(token("5"), mia, "5"), ApprovalRequested{token("5"), tomorrow}),
			when:  issueLaptop, by: byMia,
			err: ErrState, says: "there are 5 live tokens already",
		},
		"the sixth, where others have many": {
			given: all(issued(token("2"), bob, "2"), issued(token("3"), bob, "3"), issued(token("4"), bob, "4"), issued(token("5"), bob, "5")),
			when:  issueLaptop, by: byMia,
			then: []Event{newIssued},
		},
		"the second, where there may be one": {
			given: []Event{personal(func(k *KindPolicy) { k.PerHolder = 1 })},
			when:  issueLaptop, by: byMia,
			err: ErrState, says: "there are 1 live tokens already",
		},
		"the sixth, where there may be any number": {
			given: all(four, issued(token("5"), mia, "5"), personal(func(k *KindPolicy) { k.PerHolder = 0 })),
			when:  issueLaptop, by: byMia,
			then: []Event{newIssued},
		},
		"the second of the organization, where there may be one": {
			given: []Event{demands(func(p *Policy) { p.Administrative.PerHolder = 1 })},
			when:  issue(func(c *IssueToken) { c.Kind = Administrative }),
			err:   ErrState, says: "there are 1 live tokens already",
		},
		"the second of a machine, where there may be one": {
			given: all(botThere, demands(func(p *Policy) { p.Service.PerHolder = 1 })),
			when:  issue(func(c *IssueToken) { c.Kind, c.Holder = Service, bot }),
			err:   ErrState, says: "there are 1 live tokens already",
		},

		"a token that follows its holder": {
			when: issue(func(c *IssueToken) { c.Unbound = true }), by: byMia,
			then: []Event{newIssued, TokenUnbound{token("new")}},
		},
		"a token that follows its holder, where it may not": {
			given: []Event{demands(func(p *Policy) { p.BoundOnly = true })},
			when:  issue(func(c *IssueToken) { c.Unbound = true }), by: byMia,
			err: ErrDenied, says: "the policy wants tokens that are bound to the organization",
		},
		"a token that follows its holder, of what is everywhere": {
			when: issue(func(c *IssueToken) { c.Unbound, c.Terms.Grant = true, custom("tokens.check") }), by: byMia,
			then: []Event{newIssued, TokenBound{token("new"), Terms{Grant: custom("tokens.check")}}, TokenUnbound{token("new")}},
		},
		"a token that follows its holder, of what is only here": {
			given: []Event{clones},
			when:  issue(func(c *IssueToken) { c.Unbound, c.Terms.Grant = true, custom("tokens.check", "clones.create") }), by: byMia,
			err: ErrInvalid, says: "grant: names what there is only in this organization",
		},
		"a token that follows its holder, of a role": {
			when: issue(func(c *IssueToken) { c.Unbound, c.Terms.Grant = true, Grant{Access: ByRole, Role: "ci"} }), by: byMia,
			err: ErrInvalid, says: "grant: names what there is only in this organization",
		},
		"a token that follows its holder, for a resource": {
			when: issue(func(c *IssueToken) { c.Unbound, c.Terms.Grant.Resources = true, []Resource{"engine:*"} }), by: byMia,
			err: ErrInvalid, says: "grant: names what there is only in this organization",
		},
		"a token that follows its holder comes to be of a role": {
			given: []Event{laptopIssued, TokenUnbound{laptop}},
			when:  UpdateToken{Token: laptop, Grant: &Grant{Access: ByRole, Role: "ci"}}, by: byMia,
			err: ErrInvalid, says: "grant: names what there is only in this organization",
		},
		"an administrative token that follows nobody": {
			when: issue(func(c *IssueToken) { c.Kind, c.Unbound = Administrative, true }),
			err:  ErrInvalid, says: "everywhere: is for personal tokens",
		},
	})
}

// The policy judges every token at every check, and what it blocks it opens again.
func TestPolicyJudges(t *testing.T) {
	seen := func(at Instant) *Ask { return &Ask{Now: today, Used: at} }
	long := today - (40 * day).Instant()
	old := on(long, TokenIssued{Token: laptop, Type: Personal, Holder: mia, Name: "laptop", Hash: hashOf("x"), Expires: tomorrow})
	never := TokenIssued{Token: laptop, Type: Personal, Holder: mia, Name: "laptop", Hash: hashOf("x")}
	for name, c := range map[string]struct {
		given  []Event
		ask    *Ask
		policy func(*Policy)
		want   Reason
	}{
		"usual":                       {[]Event{old}, seen(0), func(*Policy) {}, ReasonNone},
		"off":                         {[]Event{old}, seen(0), func(p *Policy) { p.Off = true }, ReasonOff},
		"bound only, and bound":       {[]Event{old}, seen(0), func(p *Policy) { p.BoundOnly = true }, ReasonNone},
		"bound only, and at home":     {[]Event{never, TokenUnbound{laptop}}, seen(0), func(p *Policy) { p.BoundOnly = true }, ReasonNone},
		"as long as the longest":      {[]Event{old}, seen(0), func(p *Policy) { p.Personal.Longest = 41 * day }, ReasonNone},
		"longer than the longest":     {[]Event{old}, seen(0), func(p *Policy) { p.Personal.Longest = 41*day - 1 }, ReasonPolicy},
		"longer than another's":       {[]Event{old}, seen(0), func(p *Policy) { p.Service.Longest = day }, ReasonNone},
		"until the last end":          {[]Event{old}, seen(0), func(p *Policy) { p.Personal.Latest = tomorrow }, ReasonNone},
		"after the last end":          {[]Event{old}, seen(0), func(p *Policy) { p.Personal.Latest = tomorrow - 1 }, ReasonPolicy},
		"never":                       {[]Event{never}, seen(0), func(p *Policy) { p.Personal.Longest, p.Personal.Latest = day, today }, ReasonNone},
		"never, and it has to end":    {[]Event{never}, seen(0), func(p *Policy) { p.Personal.Never = false }, ReasonPolicy},
		"never used, for long":        {[]Event{old}, seen(0), func(p *Policy) { p.Idle = 40 * day }, ReasonIdle},
		"never used, for not so long": {[]Event{old}, seen(0), func(p *Policy) { p.Idle = 40*day + 1 }, ReasonNone},
		"used a while ago":            {[]Event{old}, seen(today - day.Instant()), func(p *Policy) { p.Idle = day }, ReasonIdle},
		"used a little less ago":      {[]Event{old}, seen(today - day.Instant() + 1), func(p *Policy) { p.Idle = day }, ReasonNone},
		"used before it was made":     {[]Event{never}, seen(long), func(p *Policy) { p.Idle = day }, ReasonNone},
		"a rotation begins its life":  {[]Event{old, TokenRotated{laptop, hashOf("2"), tomorrow, today}}, seen(0), func(p *Policy) { p.Personal.Longest, p.Idle = day, day }, ReasonNone},
		"networks, and from nowhere":  {[]Event{old}, seen(0), func(p *Policy) { p.Networks = networks("0.0.0.0/0", "::/0") }, ReasonNetwork},
		"expired before all else":     {[]Event{old}, &Ask{Now: tomorrow}, func(p *Policy) { p.Off = true }, ReasonExpired},
		"used in what is yet to come": {[]Event{old}, seen(tomorrow), func(p *Policy) { p.Idle = day }, ReasonNone},
	} {
		t.Run(name, func(t *testing.T) {
			o := acmeAfter(all(c.given, demands(c.policy))...)
			if v := o.Standing(laptop, c.ask); v.Reason != c.want || v.Granted.IsZero() != (c.want != ReasonNone) {
				t.Errorf("reason is %q, granted %v, want %q", v.Reason, permissionsOf(v.Granted), c.want)
			}
			before, _ := o.Tokens.Find(laptop)
			o.Evolve(Commit{Meta: Meta{Position: o.Version + 1, Time: today}, Events: []Event{demands(func(*Policy) {})}})
			if after, _ := o.Tokens.Find(laptop); after != before {
				t.Errorf("a policy changed the token from %+v to %+v", before, after)
			}
			if v := o.Standing(laptop, &Ask{Now: today}); !v.Active() {
				t.Errorf("after a looser policy: %q", v.Reason)
			}
		})
	}
}

// A dry run: what a policy would block, and why.
func TestBlocks(t *testing.T) {
	long := today - (40 * day).Instant()
	year := func(name string) TokenIssued { return issued(token(name), mia, name) }
	o := acmeAfter(all(
		on(long, year("idle")), on(long, year("used")), year("waits"), year("revoked"), year("never"),
		TokenIssued{Token: token("dead"), Type: Personal, Holder: mia, Name: "dead", Expires: today},
		TokenIssued{Token: token("adm"), Type: Administrative, Name: "adm"},
		TokenExpiryChanged{Token: token("never")}, ApprovalRequested{token("waits"), tomorrow}, TokenRevoked{Token: token("revoked")},
	)...)
	used := func(place uint32) Instant {
		if o.Tokens.kept[place].ID == token("used") {
			return today - 1
		}
		return 0
	}
	blocks := func(change func(*Policy)) map[string]Reason {
		found := map[string]Reason{}
		o.Blocks(Policy(demands(change)), today, used, func(id TokenID, r Reason) {
			for _, name := range []string{"idle", "used", "waits", "revoked", "never", "dead", "adm"} {
				if id == token(name) {
					found[name] = r
				}
			}
			if id == robot {
				found["robot"] = r
			}
		})
		return found
	}
	for name, c := range map[string]struct {
		change func(*Policy)
		want   map[string]Reason
	}{
		"nothing new": {func(*Policy) {}, map[string]Reason{}},
		"idle ones":   {func(p *Policy) { p.Idle = 30 * day }, map[string]Reason{"idle": ReasonIdle}},
		"endless ones": {func(p *Policy) { p.Personal.Never, p.Administrative.Never = false, false }, map[string]Reason{
			"never": ReasonPolicy, "adm": ReasonPolicy,
		}},
		"long ones": {func(p *Policy) { p.Administrative.Longest = day }, map[string]Reason{"robot": ReasonPolicy}},
		"all": {func(p *Policy) { p.Off = true }, map[string]Reason{
			"idle": ReasonOff, "used": ReasonOff, "never": ReasonOff, "adm": ReasonOff, "robot": ReasonOff,
		}},
		"those elsewhere, which nobody knows": {func(p *Policy) { p.Networks, p.BoundOnly = networks("10.0.0.0/8"), true }, map[string]Reason{}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, blocks(c.change)); diff != "" {
				t.Errorf("blocked (-want +got):\n%s", diff)
			}
		})
	}
	o.Evolve(Commit{Events: []Event{demands(func(p *Policy) { p.Idle = 30 * day })}})
	if diff := cmp.Diff(map[string]Reason{}, blocks(func(p *Policy) { p.Idle = 20 * day })); diff != "" {
		t.Errorf("blocked anew (-want +got):\n%s", diff)
	}
}

func TestPresets(t *testing.T) {
	for longest, want := range map[Seconds][]Seconds{
		0:           {day, 7 * day, 30 * day, 90 * day, 365 * day},
		365 * day:   {day, 7 * day, 30 * day, 90 * day, 365 * day},
		365*day - 1: {day, 7 * day, 30 * day, 90 * day},
		7 * day:     {day, 7 * day},
		day - 1:     nil,
	} {
		if got := (KindPolicy{Longest: longest}).Presets(); !slices.Equal(got, want) {
			t.Errorf("presets of at most %v are %v, want %v", longest, got, want)
		}
	}
}

func TestSecondsInWords(t *testing.T) {
	for s, want := range map[Seconds]string{
		0: "0 seconds", 1: "1 second", 59: "59 seconds", 60: "1 minute", 61: "61 seconds", 120: "2 minutes",
		3600: "1 hour", 5400: "90 minutes", 86400: "1 day", 30 * day: "30 days", day + 1: "86401 seconds", day + 3600: "25 hours",
	} {
		if got := s.String(); got != want {
			t.Errorf("%d is %q, want %q", int64(s), got, want)
		}
	}
	if got := Seconds(90).Instant(); got != Instant((90*time.Second)/time.Millisecond) {
		t.Errorf("90 seconds are %d", got)
	}
}

// How long a token may live is said in the refusal, whichever way it is bounded.
func TestAdvice(t *testing.T) {
	for want, k := range map[string]KindPolicy{
		"choose a time at most 30 days from now, and not after 2027-11-22T12:00:00Z": {Longest: 30 * day, Latest: nextYear},
		"choose a time not after 2027-11-22T12:00:00Z":                               {Latest: nextYear},
		"choose a time at most 1 hour from now":                                      {Longest: 3600},
		"choose a time at which it ends":                                             {},
	} {
		_, err := k.expiry(0, true, today)
		var r *Refusal
		if fmt.Sprint(err) == "" || !asRefusal(err, &r) || r.Next != want {
			t.Errorf("advice is %+v, want %q", err, want)
		}
	}
}

func TestPolicyOfAKind(t *testing.T) {
	p := Policy{Personal: KindPolicy{PerHolder: 1}, Administrative: KindPolicy{PerHolder: 2}, Service: KindPolicy{PerHolder: 3}}
	for kind, want := range map[TokenKind]int{Personal: 1, Administrative: 2, Service: 3} {
		if got := p.Of(kind).PerHolder; got != want {
			t.Errorf("%v: %d, want %d", kind, got, want)
		}
	}
}
