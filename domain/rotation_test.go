package domain

import (
	"fmt"
	"testing"
	"time"
)

func TestRotateToken(t *testing.T) {
	rotate := RotateToken{Token: laptop, Hash: hashOf("2")}
	with := func(change func(*RotateToken)) RotateToken { c := rotate; change(&c); return c }
	overlap := func(s Seconds) RotateToken { return with(func(c *RotateToken) { c.Overlap = s }) }
	expires := func(at Instant) RotateToken { return with(func(c *RotateToken) { c.Expires = at }) }
	becomes := func(expires, until Instant) []Event {
		return []Event{TokenRotated{laptop, hashOf("2"), expires, until}}
	}
	rotated := becomes(nextYear, today)
	ends := func(at Instant) TokenIssued {
		return TokenIssued{Token: laptop, Type: Personal, Holder: mia, Name: "laptop", Hash: hashOf(laptop.String()), Expires: at}
	}
	expired := on(today-2*day.Instant(), ends(today))
	never := ends(0)
	personal := func(change func(*KindPolicy)) Event { return demands(func(p *Policy) { change(&p.Personal) }) }
	adm := TokenIssued{Token: laptop, Type: Administrative, Name: "adm", Hash: hashOf(laptop.String()), Expires: nextYear}
	deadAdm := TokenIssued{Token: laptop, Type: Administrative, Name: "adm", Hash: hashOf(laptop.String()), Expires: today}
	svc := TokenIssued{Token: laptop, Type: Service, Holder: bot, Name: "ci", Hash: hashOf(laptop.String()), Expires: nextYear}
	asItself := Actor{ActorMember, mia, laptop}
	run(t, acmeAfter, tenantScenarios{
		"at once":                     {given: []Event{laptopIssued}, when: rotate, by: byMia, then: rotated},
		"with itself":                 {given: []Event{laptopIssued}, when: rotate, by: asItself, then: rotated},
		"with an overlap of an hour":  {given: []Event{laptopIssued}, when: overlap(3600), by: byMia, then: becomes(nextYear, today.Add(time.Hour))},
		"with the longest overlap":    {given: []Event{laptopIssued}, when: overlap(7 * day), by: byMia, then: becomes(nextYear, today.Add(7*24*time.Hour))},
		"with too long an overlap":    {given: []Event{laptopIssued}, when: overlap(7*day + 1), by: byMia, err: ErrInvalid, says: "overlap: is 604801 seconds"},
		"with a negative overlap":     {given: []Event{laptopIssued}, when: overlap(-1), by: byMia, err: ErrInvalid, says: "overlap: is -1 seconds"},
		"with an overlap of ages":     {given: []Event{laptopIssued}, when: overlap(1<<63 - 1), by: byMia, err: ErrInvalid, says: "overlap: is 9223372036854775807 seconds"},
		"with the policy's overlap":   {given: []Event{laptopIssued, demands(func(p *Policy) { p.Overlap = 60 })}, when: overlap(60), by: byMia, then: becomes(nextYear, today.Add(time.Minute))},
		"with more than the policy's": {given: []Event{laptopIssued, demands(func(p *Policy) { p.Overlap = 60 })}, when: overlap(61), by: byMia, err: ErrInvalid, says: "overlap: is 61 seconds"},
		"with no overlap allowed":     {given: []Event{laptopIssued, demands(func(p *Policy) { p.Overlap = 0 })}, when: overlap(1), by: byMia, err: ErrInvalid, says: "overlap: is 1 seconds"},
		"an overlap is never longer than the old secret's life": {
			given: []Event{ends(today.Add(time.Minute))},
			when:  overlap(3600), by: byMia,
			then: becomes(today.Add(time.Minute), today.Add(time.Minute)),
		},

		"the life begins anew": {
			given: []Event{on(today-day.Instant(), ends(today+2*day.Instant()))},
			when:  rotate, by: byMia,
			then: becomes(today+3*day.Instant(), today),
		},
		"never stays never": {given: []Event{never}, when: rotate, by: byMia, then: becomes(0, today)},
		"never becomes the default, where there has to be an end": {
			given: []Event{never, personal(func(k *KindPolicy) { k.Never, k.Default = false, 30*day })},
			when:  rotate, by: byMia,
			then: becomes(today+30*day.Instant(), today),
		},
		"a life that is longer than the policy has it by now becomes the longest": {
			given: []Event{laptopIssued, TokenExpiryChanged{tokenOf(mia), tomorrow}, personal(func(k *KindPolicy) { k.Longest = 30 * day })},
			when:  rotate, by: byMia,
			then: becomes(today+30*day.Instant(), today),
		},
		"a life beyond the last end becomes shorter": {
			given: []Event{laptopIssued, TokenExpiryChanged{tokenOf(mia), tomorrow}, personal(func(k *KindPolicy) { k.Latest = tomorrow })},
			when:  rotate, by: byMia,
			then: becomes(tomorrow, today),
		},
		"a life to the end of the calendar does not go beyond it": {
			given: []Event{TokenIssued{Token: laptop, Type: Personal, Holder: mia, Name: "laptop", Hash: hashOf("1"), Expires: lastInstant}},
			when:  rotate, by: byMia, at: tomorrow,
			then: becomes(lastInstant, tomorrow),
		},
		"until when it was asked":       {given: []Event{laptopIssued}, when: expires(tomorrow), by: byMia, then: becomes(tomorrow, today)},
		"never ends, and shall":         {given: []Event{never}, when: expires(tomorrow), by: byMia, then: becomes(tomorrow, today)},
		"until now":                     {given: []Event{laptopIssued}, when: expires(today), by: byMia, err: ErrInvalid, says: "expires_at: 2026-11-22T12:00:00Z has passed"},
		"until before 1970":             {given: []Event{laptopIssued}, when: expires(-1), by: byMia, err: ErrInvalid, says: "has passed"},
		"until after the calendar":      {given: []Event{laptopIssued}, when: expires(lastInstant + 1), by: byMia, err: ErrInvalid, says: "after the year 9999"},
		"until later than the policy's": {given: []Event{laptopIssued, personal(func(k *KindPolicy) { k.Latest = nextYear })}, when: expires(nextYear + 1), by: byMia, err: ErrInvalid, says: "later than the policy allows"},

		"an expired one, by its holder":                 {given: []Event{expired}, when: rotate, by: byMia, then: becomes(today+2*day.Instant(), today)},
		"an expired one with an overlap, which is over": {given: []Event{expired}, when: overlap(3600), by: byMia, then: becomes(today+2*day.Instant(), today)},
		"an expired one, with itself": {
			given: []Event{expired},
			when:  rotate, by: asItself,
			err: ErrDenied, says: "needs the permission tokens.rotate-own",
		},
		"an expired one, by a token that makes none": {
			given: []Event{expired, granted(tokenOf(mia), "tokens.rotate-own")},
			when:  rotate, by: byMia,
			err: ErrDenied, says: "needs the permission tokens.create-personal",
		},
		"an expired one, by whom the policy lets make none": {
			given: []Event{expired, personal(func(k *KindPolicy) { k.Creators = []Role{Admin} })},
			when:  rotate, by: byMia,
			err: ErrDenied, says: "the policy lets only admin make tokens of this kind",
		},
		"a live one, by whom the policy lets make none": {
			given: []Event{laptopIssued, personal(func(k *KindPolicy) { k.Creators = []Role{Admin} })},
			when:  rotate, by: byMia,
			then: rotated,
		},
		"one that would end before it begins": {
			given: []Event{laptopIssued, TokenBound{laptop, Terms{NotBefore: today.Add(48 * time.Hour)}}},
			when:  RotateToken{Token: laptop, Hash: hashOf("new"), Expires: today.Add(48 * time.Hour)}, by: byMia,
			err: ErrInvalid, says: "not_before: is not before the end",
		},
		"an expired one, the name of which is taken by now": {
			given: []Event{expired, issued(token("new"), mia, "laptop")},
			when:  rotate, by: byMia,
			err: ErrExists, says: "name: another live token has its name by now",
		},
		"an expired one, the name of which was taken": {
			given: []Event{expired, issued(token("new"), mia, "laptop"), TokenRevoked{Token: token("new")}},
			when:  rotate, by: byMia,
			then: becomes(today+2*day.Instant(), today),
		},
		"an expired one, for which there is no room": {
			given: all(expired, issued(token("2"), mia, "2"), issued(token("3"), mia, "3"), issued(token("4"), mia, "4"), issued(token("5"), mia, "5")),
			when:  rotate, by: byMia,
			err: ErrState, says: "there are 5 live tokens already",
		},
		"a live one, where there is no more room": {
			given: all(laptopIssued, issued(token("3"), mia, "3"), issued(token("4"), mia, "4"), issued(token("5"), mia, "5"), personal(func(k *KindPolicy) { k.PerHolder = 2 })),
			when:  rotate, by: byMia,
			then: rotated,
		},

		"an admin does not learn a member's secret": {
			given: []Event{laptopIssued},
			when:  rotate, by: byBob,
			err: ErrDenied, says: "only its holder may rotate a personal token",
		},
		"an owner does not learn a member's secret": {
			given: []Event{expired},
			when:  rotate,
			err:   ErrDenied, says: "only its holder may rotate a personal token",
		},
		"a program does not learn a member's secret": {
			given: []Event{laptopIssued, granted(robot, "tokens.rotate-any", "tokens.create-personal")},
			when:  rotate, by: byRobot,
			err: ErrDenied, says: "only its holder may rotate a personal token",
		},
		"a member does not rotate another's": {
			given: []Event{issued(laptop, ada, "laptop")},
			when:  rotate, by: byMia,
			err: ErrDenied, says: "needs the permission tokens.rotate-any",
		},
		"an auditor does not rotate their own": {
			given: []Event{issued(laptop, ada, "laptop")},
			when:  rotate, by: byAda,
			err: ErrDenied, says: "needs the permission tokens.rotate-own",
		},
		"an admin rotates an administrative one":         {given: []Event{adm}, when: rotate, by: byBob, then: rotated},
		"an admin rotates an expired administrative one": {given: []Event{on(today-day.Instant(), deadAdm)}, when: rotate, by: byBob, then: becomes(tomorrow, today)},
		"an expired administrative one, by whom the policy lets make none": {
			given: []Event{on(today-day.Instant(), deadAdm), demands(func(p *Policy) { p.Administrative.Creators = []Role{Owner} })},
			when:  rotate, by: byBob,
			err: ErrDenied, says: "the policy lets only owner make tokens of this kind",
		},
		"an administrative one rotates itself, if it was granted": {
			given: []Event{adm, granted(laptop, "tokens.rotate-own")},
			when:  rotate, by: Actor{Kind: ActorToken, Token: laptop},
			then: rotated,
		},
		"an administrative one of the usual grant does not rotate itself": {
			given: []Event{adm},
			when:  rotate, by: Actor{Kind: ActorToken, Token: laptop},
			err: ErrDenied, says: "needs the permission tokens.rotate-own",
		},
		"an administrative one that rotates itself rotates no other": {
			given: []Event{adm, granted(robot, "tokens.rotate-own")},
			when:  rotate, by: byRobot,
			err: ErrDenied, says: "needs the permission tokens.rotate-any",
		},
		"a token is not rotated by one that may less": {
			given: []Event{adm, TokenBound{laptop, Terms{Grant: Grant{Access: FullAccess}}}, granted(robot, "tokens.rotate-any", "tokens.check")},
			when:  rotate, by: byRobot,
			err: ErrDenied, says: "grant: it would allow what you may not do yourself",
		},
		"a personal token is not rotated by one of the same holder that may less": {
			given: []Event{laptopIssued, granted(tokenOf(mia), "tokens.rotate-own")},
			when:  rotate, by: byMia,
			err: ErrDenied, says: "what you may not do yourself",
		},
		"a token is not rotated by one of other networks": {
			given: []Event{laptopIssued, TokenBound{tokenOf(mia), Terms{Networks: networks("10.0.0.0/8")}}},
			when:  rotate, by: byMia, from: "10.0.0.1",
			err: ErrDenied, says: "must not work elsewhere",
		},
		"a token of some networks rotates itself": {
			given: []Event{laptopIssued, TokenBound{laptop, Terms{Networks: networks("10.0.0.0/8")}}},
			when:  rotate, by: asItself, from: "10.0.0.1",
			then: rotated,
		},
		"a read-only token does not rotate itself": {
			given: []Event{laptopIssued, TokenBound{laptop, Terms{Grant: Grant{Access: ReadOnly}}}},
			when:  rotate, by: asItself,
			err: ErrDenied, says: "needs the permission tokens.rotate-own",
		},
		"a token of a pipeline, limited to an engine, rotates itself": {
			given: []Event{clones, laptopIssued, TokenBound{laptop, Terms{Grant: Grant{Access: ByRole, Role: "ci", Resources: []Resource{"engine:prod"}}}}},
			when:  rotate, by: asItself,
			then: rotated,
		},
		"a token of a pipeline, limited to an engine, rotates no other": {
			given: []Event{clones, laptopIssued, TokenBound{tokenOf(mia), Terms{Grant: Grant{Access: ByRole, Role: "ci", Resources: []Resource{"engine:prod"}}}}},
			when:  rotate, by: byMia,
			err: ErrDenied, says: "grant: it would allow what you may not do yourself",
		},
		"a token of a list, limited to an engine, rotates itself": {
			given: []Event{clones, laptopIssued, TokenBound{laptop, Terms{Grant: Grant{Access: ByList, Permissions: []string{"clones.create", "tokens.rotate-own"}, Resources: []Resource{"engine:prod"}}}}},
			when:  rotate, by: asItself,
			then: rotated,
		},
		"a token of a machine that is limited to an engine rotates itself": {
			given: []Event{clones, ServiceAccountCreated{bot, "bot", "", Grant{Access: ByRole, Role: "ci", Resources: []Resource{"engine:prod"}}}, svc},
			when:  rotate, by: Actor{ActorService, bot, laptop},
			then: rotated,
		},
		"a token of the usual grant, limited to an engine, does not rotate itself": {
			given: []Event{laptopIssued, TokenBound{laptop, Terms{Grant: Grant{Resources: []Resource{"engine:prod"}}}}},
			when:  rotate, by: asItself,
			err: ErrDenied, says: "needs the permission tokens.rotate-own",
		},
		"a list that its holder may not counts as what it is": {
			given: []Event{laptopIssued, granted(laptop, "tokens.rotate-own", "members.add"), granted(tokenOf(mia), "tokens.rotate-own")},
			when:  rotate, by: byMia,
			then: rotated,
		},
		"a list that its holder may by now counts": {
			given: []Event{laptopIssued, granted(laptop, "tokens.rotate-own", "members.add"), granted(tokenOf(mia), "tokens.rotate-own"), MemberRoleChanged{mia, Admin}},
			when:  rotate, by: byMia,
			err: ErrDenied, says: "grant: it would allow what you may not do yourself: members.add",
		},
		"a list of which a part was retired counts with the rest": {
			given: []Event{clones, adm, granted(laptop, "clones.create", "members.add"), PermissionRetired{"clones.create"}, granted(robot, "tokens.rotate-any")},
			when:  rotate, by: byRobot,
			err: ErrDenied, says: "grant: it would allow what you may not do yourself: members.add",
		},
		"a list of which a part is something else by now counts as it was meant": {
			given: []Event{clones, laptopIssued, granted(laptop, "clones.create", "tokens.rotate-own"), PermissionRetired{"clones.create"}, clones, granted(tokenOf(mia), "tokens.rotate-own")},
			when:  rotate, by: byMia,
			then: rotated,
		},
		"an expired one with a list of which a part was retired, the rest of which needs approval by now": {
			given: []Event{clones, expired, granted(laptop, "clones.create", "tokens.check"), PermissionRetired{"clones.create"}, demands(func(p *Policy) { p.Approval.Grants = []string{"tokens.check"} })},
			when:  rotate, by: byMia,
			err: ErrState, says: "such a token needs approval by now",
		},
		"an expired one of a kind that needs approval by now": {
			given: []Event{expired, demands(func(p *Policy) { p.Approval.Kinds = []TokenKind{Personal} })},
			when:  rotate, by: byMia,
			err: ErrState, says: "such a token needs approval by now",
		},
		"an expired one of a grant that needs approval by now": {
			given: []Event{expired, demands(func(p *Policy) { p.Approval.Grants = []string{"full-access"} })},
			when:  rotate, by: byMia,
			err: ErrState, says: "such a token needs approval by now",
		},
		"an expired one that was approved, and would have to be again": {
			given: []Event{expired, ApprovalRequested{laptop, tomorrow}, ApprovalGiven{Token: laptop}, demands(func(p *Policy) { p.Approval.Kinds = []TokenKind{Personal} })},
			when:  rotate, by: byMia,
			err: ErrState, says: "such a token needs approval by now",
		},
		"an expired one, where others need approval": {
			given: []Event{expired, demands(func(p *Policy) { p.Approval = Approval{Kinds: []TokenKind{Service}, Grants: []string{"members.add"}} })},
			when:  rotate, by: byMia,
			then: becomes(today+2*day.Instant(), today),
		},
		"a live one of a kind that needs approval by now": {
			given: []Event{laptopIssued, demands(func(p *Policy) { p.Approval.Kinds = []TokenKind{Personal} })},
			when:  rotate, by: byMia,
			then: rotated,
		},
		"a machine rotates its own":    {given: all(botThere, svc, granted(laptop, "tokens.check")), when: rotate, by: byBot, then: rotated},
		"an admin rotates a machine's": {given: all(botThere, svc), when: rotate, by: byBob, then: rotated},
		"an admin does not rotate what may more than they": {
			given: []Event{ServiceAccountCreated{bot, "bot", "", Grant{Access: FullAccess}}, svc},
			when:  rotate, by: byBob,
			err: ErrDenied, says: "organization.delete",
		},
		"a machine does not rotate another's": {
			given: all(botThere, ServiceAccountCreated{eva, "eva", "", custom("tokens.check")}, TokenIssued{Token: laptop, Type: Service, Holder: eva, Name: "ci", Hash: hashOf("x")}),
			when:  rotate, by: byBot,
			err: ErrDenied, says: "needs the permission tokens.rotate-any",
		},

		"by who shows a secret that was replaced": {
			given: []Event{laptopIssued},
			when:  rotate, by: asItself, also: func(m *Meta) { m.Replaced = true },
			err: ErrDenied, says: "the secret that you show was replaced by a new one",
		},
		"a revoked one":                 {given: []Event{laptopIssued, TokenRevoked{Token: laptop}}, when: rotate, by: byMia, err: ErrState, says: "revoked or waits for approval"},
		"one that waits":                {given: []Event{laptopIssued, ApprovalRequested{laptop, tomorrow}}, when: rotate, by: byMia, err: ErrState, says: "revoked or waits for approval"},
		"what is no token":              {when: rotate, err: ErrNotFound, says: "no such token"},
		"no token":                      {when: RotateToken{Hash: hashOf("2")}, by: byMia, err: ErrDenied, says: "needs the permission tokens.rotate-any"},
		"without a secret":              {given: []Event{laptopIssued}, when: with(func(c *RotateToken) { c.Hash = Hash{} }), by: byMia, err: ErrExists, says: "not the hash of a new secret"},
		"with its present secret":       {given: []Event{laptopIssued}, when: with(func(c *RotateToken) { c.Hash = hashOf(laptop.String()) }), by: byMia, err: ErrExists, says: "not the hash of a new secret"},
		"with a secret that it had":     {given: []Event{laptopIssued, TokenRotated{laptop, hashOf("2"), nextYear, today}, TokenRotated{laptop, hashOf("3"), nextYear, today}}, when: rotate, by: byMia, err: ErrExists, says: "not the hash of a new secret"},
		"having seen the present state": {given: []Event{laptopIssued}, when: with(func(c *RotateToken) { c.Seen = 2 }), by: byMia, then: rotated},
		"what was seen is stale":        {given: []Event{laptopIssued, TokenRenamed{laptop, "x"}}, when: with(func(c *RotateToken) { c.Seen = 2 }), by: byMia, err: ErrStale, says: "changed at position 3"},
		"what nobody may live any more": {
			given: []Event{adm, demands(func(p *Policy) { p.Administrative.Latest = today })},
			when:  rotate, by: byBob,
			err: ErrState, says: "the policy lets no token of this kind live after",
		},
	})
}

// The old secret works exactly until its announced end, and the new one from now on.
func TestOverlap(t *testing.T) {
	until := today.Add(time.Hour)
	o := acmeAfter(laptopIssued, TokenRotated{laptop, hashOf("2"), nextYear, until})
	old, young := shown(laptop, Personal), Shown{Personal, laptop, hashOf("2")}
	for name, c := range map[string]struct {
		shown    Shown
		at       Instant
		reason   Reason
		replaced Instant
		left     Instant
	}{
		"the new one at once":                      {young, today, ReasonNone, 0, until},
		"the old one at once":                      {old, today, ReasonNone, until, until},
		"the old one a millisecond before its end": {old, until - 1, ReasonNone, until, until},
		"the old one at its end":                   {old, until, ReasonReplaced, until, 0},
		"the old one later":                        {old, nextYear - 1, ReasonReplaced, until, 0},
		"the old one when the token has expired":   {old, nextYear, ReasonExpired, until, 0},
		"the new one at the old one's end":         {young, until, ReasonNone, 0, 0},
		"the new one a millisecond before its end": {young, nextYear - 1, ReasonNone, 0, 0},
		"the new one at its end":                   {young, nextYear, ReasonExpired, 0, 0},
		"another one":                              {Shown{Personal, laptop, hashOf("3")}, today, ReasonUnknown, 0, until},
		"the old one, of another kind":             {Shown{Administrative, laptop, old.Hash}, today, ReasonUnknown, until, until},
		"the old one's hash, of another token":     {Shown{Personal, tokenOf(mia), old.Hash}, today, ReasonUnknown, 0, until},
	} {
		t.Run(name, func(t *testing.T) {
			v := o.Check(c.shown, &Ask{Now: c.at})
			if v.Reason != c.reason || v.Replaced != c.replaced || v.Granted.IsZero() != (c.reason != ReasonNone) {
				t.Errorf("reason %q, replaced %v, granted %v, want %q, %v", v.Reason, v.Replaced, permissionsOf(v.Granted), c.reason, c.replaced)
			}
			if got := o.Until(laptop, c.at); got != c.left {
				t.Errorf("the old secret ends %v, want %v", got, c.left)
			}
		})
	}
	if got := o.Until(tokenOf(mia), today); got != 0 {
		t.Errorf("a token that was never rotated has an old secret until %v", got)
	}
}

// At most two secrets work: the third ends the first at once.
func TestTwoSecretsAtMost(t *testing.T) {
	o := acmeAfter(laptopIssued)
	for i := range 2 * maxFormers {
		decide(t, o, byMia, RotateToken{Token: laptop, Hash: hashOf(fmt.Sprint(i)), Overlap: 7 * day})
	}
	var working, known int
	for i := range 2 * maxFormers {
		v := o.Check(Shown{Personal, laptop, hashOf(fmt.Sprint(i))}, &Ask{Now: today})
		if v.Active() {
			working++
		}
		if v.Reason != ReasonUnknown {
			known++
		}
	}
	if working != 2 || known != maxFormers+1 {
		t.Errorf("%d secrets work and %d are known, want 2 and %d", working, known, maxFormers+1)
	}
	if v := o.Check(shown(laptop, Personal), &Ask{Now: today}); v.Active() {
		t.Error("the first secret works")
	}
	decide(t, o, byMia, RotateToken{Token: laptop, Hash: hashOf("last")})
	if v := o.Check(Shown{Personal, laptop, hashOf(fmt.Sprint(2*maxFormers - 1))}, &Ask{Now: today}); v.Reason != ReasonReplaced {
		t.Errorf("without an overlap the old secret is %q", v.Reason)
	}
}

func TestReportReuse(t *testing.T) {
	over := []Event{laptopIssued, TokenRotated{laptop, hashOf("2"), nextYear, today}}
	report := ReportReuse{laptop, hashOf(laptop.String())}
	reused := []Event{TokenReused{laptop, hashOf(laptop.String())}}
	const why = "a secret that was rotated out was used"
	run(t, acmeAfter, tenantScenarios{
		"after the overlap": {given: over, when: report, by: system, then: reused},
		"during the overlap": {
			given: []Event{laptopIssued, TokenRotated{laptop, hashOf("2"), nextYear, today + 1}},
			when:  report, by: system,
		},
		"after the overlap was ended": {
			given: []Event{laptopIssued, TokenRotated{laptop, hashOf("2"), nextYear, tomorrow}, OverlapEnded{Token: laptop}},
			when:  report, by: system,
			then: reused,
		},
		"twice":                   {given: all(over, reused), when: report, by: system},
		"twice within a day":      {given: all(over, reused), when: report, by: system, at: tomorrow - 1},
		"again after a day":       {given: all(over, reused), when: report, by: system, at: tomorrow, then: reused},
		"another old secret":      {given: all(over, TokenRotated{laptop, hashOf("3"), nextYear, today}, reused), when: ReportReuse{laptop, hashOf("2")}, by: system, then: []Event{TokenReused{laptop, hashOf("2")}}},
		"where it ends the token": {given: all(over, demands(func(p *Policy) { p.Reuse = ReuseRevokes })), when: report, by: system, then: []Event{TokenReused{laptop, hashOf(laptop.String())}, TokenRevoked{laptop, why}}},
		"of a revoked token":      {given: all(over, TokenRevoked{Token: laptop}), when: report, by: system},
		"of an expired token":     {given: over, when: report, by: system, at: nextYear},
		"of the present secret":   {given: over, when: ReportReuse{laptop, hashOf("2")}, by: system},
		"of what never was one":   {given: over, when: ReportReuse{laptop, hashOf("guess")}, by: system},
		"of what is no token":     {when: report, by: system},
		"by somebody else":        {given: over, when: report, by: byAnn, err: ErrDenied, says: "only the service itself reports this"},
	})
	o := acmeAfter(all(over, reused)...)
	if got, _ := o.Tokens.Find(laptop); got.Changed != 3 || !got.Live(today) {
		t.Errorf("a reuse changed the token: %+v", got)
	}
}
