package domain

import (
	"testing"
)

func TestLimits(t *testing.T) {
	for name, c := range map[string]struct {
		limit Limit
		says  string // empty: it is a limit
	}{
		"none":               {Limit{}, ""},
		"the tightest":       {Limit{1, MaxWindow}, ""},
		"the loosest":        {Limit{MaxRequests, 1}, ""},
		"a second":           {Limit{1, 1}, ""},
		"no requests":        {Limit{0, 60}, "limit.requests: is 0"},
		"too many requests":  {Limit{MaxRequests + 1, 60}, "limit.requests: is 1000000001"},
		"no time":            {Limit{1, 0}, "limit.window: is 0 seconds"},
		"less than no time":  {Limit{1, -1}, "limit.window: is -1 seconds"},
		"too long a time":    {Limit{1, MaxWindow + 1}, "limit.window: is 2678401 seconds"},
		"the end of numbers": {Limit{1, 1<<63 - 1}, "limit.window: is"},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.limit.check("limit")
			if c.says == "" {
				checkRefusal(t, err, nil, "")
				return
			}
			checkRefusal(t, err, ErrInvalid, c.says)
		})
	}
}

func TestTighterLimit(t *testing.T) {
	for name, c := range map[string]struct {
		a, b    Limit
		aLooser bool
		bLooser bool
	}{
		"two nones":                       {Limit{}, Limit{}, false, false},
		"none and some":                   {Limit{}, Limit{1, 1}, true, false},
		"more in the same time":           {Limit{11, 60}, Limit{10, 60}, true, false},
		"as many in more time":            {Limit{10, 61}, Limit{10, 60}, false, true},
		"the same in other units":         {Limit{1, 1}, Limit{60, 60}, false, false},
		"a little more in other units":    {Limit{61, 60}, Limit{1, 1}, true, false},
		"numbers as large as they can be": {Limit{MaxRequests, 1}, Limit{MaxRequests, MaxWindow}, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			if c.a.looser(c.b) != c.aLooser || c.b.looser(c.a) != c.bLooser {
				t.Errorf("%v looser than %v: %t, the other way %t", c.a, c.b, c.a.looser(c.b), c.b.looser(c.a))
			}
			want := c.a
			if c.aLooser {
				want = c.b
			}
			if got := c.a.tighter(c.b); got != want {
				t.Errorf("the tighter of %v and %v is %v", c.a, c.b, got)
			}
		})
	}
}

// A holder and a token inherit the organization's limits and can only have tighter
// ones. One that is looser than what the organization has by now does not count.
func TestInheritedLimits(t *testing.T) {
	tight, loose := Limit{1, 60}, Limit{100, 60}
	o := acmeAfter(all(laptopIssued, botThere)...)
	expect := func(what string, id TokenID, token, holder Limit) {
		t.Helper()
		v := o.Standing(id, &Ask{Now: today})
		if v.TokenLimit != token || v.HolderLimit != holder {
			t.Errorf("%s: token %v, holder %v, want %v, %v", what, v.TokenLimit, v.HolderLimit, token, holder)
		}
	}
	expect("nothing said", laptop, Limit{}, Limit{})
	decide(t, o, byMia, UpdateToken{Token: laptop, Limit: &loose})
	decide(t, o, byAnn, UpdateMember{Account: mia, Limit: &loose})
	decide(t, o, byAnn, UpdateServiceAccount{Account: bot, Limit: &loose})
	expect("their own", laptop, loose, loose)
	expect("a machine's own", tokenOf(bot), Limit{}, loose)
	decide(t, o, byAnn, UpdatePolicy{Policy: Policy(demands(func(p *Policy) { p.TokenLimit, p.HolderLimit = tight, tight }))})
	expect("a tighter policy", laptop, tight, tight)
	expect("a tighter policy, of a machine", tokenOf(bot), tight, tight)
	expect("a tighter policy, of the organization's", robot, tight, tight)
	decide(t, o, byAnn, UpdatePolicy{Policy: Policy(demands(func(p *Policy) { p.TokenLimit, p.HolderLimit = Limit{1000, 60}, Limit{1000, 60} }))})
	expect("a looser policy", laptop, loose, loose)
	expect("a looser policy, of who has none", tokenOf(mia), Limit{1000, 60}, loose)
	decide(t, o, byAnn, UpdateMember{Account: mia, Limit: &Limit{}})
	expect("their own no longer", laptop, loose, Limit{1000, 60})
}

func TestLimitHolder(t *testing.T) {
	policy := demands(func(p *Policy) { p.HolderLimit = Limit{10, 60} })
	limit := func(l Limit) UpdateMember { return UpdateMember{Account: mia, Limit: &l} }
	run(t, acmeAfter, tenantScenarios{
		"a limit": {
			when: limit(Limit{5, 60}), by: byBob,
			then: []Event{HolderLimited{mia, Limit{5, 60}}},
		},
		"the same limit": {
			given: []Event{HolderLimited{mia, Limit{5, 60}}},
			when:  limit(Limit{5, 60}),
		},
		"no limit any more": {
			given: []Event{HolderLimited{mia, Limit{5, 60}}},
			when:  limit(Limit{}),
			then:  []Event{HolderLimited{Account: mia}},
		},
		"as loose as the organization's": {
			given: []Event{policy},
			when:  limit(Limit{10, 60}),
			then:  []Event{HolderLimited{mia, Limit{10, 60}}},
		},
		"looser than the organization's": {
			given: []Event{policy},
			when:  limit(Limit{11, 60}),
			err:   ErrInvalid, says: "limit: is looser than the organization's limit of 10 requests in 60 seconds",
		},
		"what is no limit": {
			when: limit(Limit{5, -1}),
			err:  ErrInvalid, says: "limit.window: is -1 seconds",
		},
		"an owner's, by an admin": {
			when: UpdateMember{Account: ann, Limit: &Limit{1, 60}}, by: byBob,
			err: ErrDenied, says: "only an owner",
		},
		"one's own, by a member": {
			when: limit(Limit{}), by: byMia,
			err: ErrDenied, says: "needs the permission members.update",
		},
		"who comes back has none": {
			given: []Event{HolderLimited{mia, Limit{5, 60}}, MemberRemoved{Account: mia}, MemberAdded{mia, Ordinary}},
			when:  limit(Limit{}),
		},
	})
}
