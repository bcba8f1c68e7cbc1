package domain

import (
	"strings"
	"testing"
	"time"
)

// laptop is a second token of Mia.
var (
	laptop       = token("laptop")
	laptopIssued = issued(laptop, mia, "laptop")
	issueLaptop  = IssueToken{Token: token("new"), Kind: Personal, Name: "laptop", Hash: hashOf("new")}
	// newIssued is what comes of issueLaptop, by Mia, today.
	newIssued = TokenIssued{token("new"), Personal, mia, "laptop", "", hashOf("new"), nextYear}
)

func TestIssueToken(t *testing.T) {
	issue := func(change func(*IssueToken)) IssueToken { c := issueLaptop; change(&c); return c }
	becomes := func(change func(*TokenIssued)) []Event { e := newIssued; change(&e); return []Event{e} }
	administrative := func(c *IssueToken) { c.Kind = Administrative }
	expires := func(at Instant) IssueToken { return issue(func(c *IssueToken) { c.Expires = at }) }
	run(t, acmeAfter, tenantScenarios{
		"a personal token": {
			when: issueLaptop, by: byMia,
			then: []Event{newIssued},
		},
		"a personal token belongs to whoever asks": {
			when: issueLaptop, by: byBob,
			then: becomes(func(e *TokenIssued) { e.Holder = bob }),
		},
		"with a description": {
			when: issue(func(c *IssueToken) { c.Description = "the gray one, " + strings.Repeat("ö", 900) }), by: byMia,
			then: becomes(func(e *TokenIssued) { e.Description = "the gray one, " + strings.Repeat("ö", 900) }),
		},
		"an administrative token belongs to nobody": {
			when: issue(administrative), by: byBob,
			then: becomes(func(e *TokenIssued) { e.Type, e.Holder = Administrative, AccountID{} }),
		},
		"a member makes no administrative token": {
			when: issue(administrative), by: byMia,
			err: ErrDenied, says: "needs the permission tokens.create-administrative",
		},
		"a demoted admin makes no administrative token": {
			given: []Event{MemberRoleChanged{bob, Ordinary}},
			when:  issue(administrative), by: byBob,
			err: ErrDenied, says: "needs the permission tokens.create-administrative",
		},
		"a demoted admin makes a personal token": {
			given: []Event{MemberRoleChanged{bob, Ordinary}},
			when:  issueLaptop, by: byBob,
			then: becomes(func(e *TokenIssued) { e.Holder = bob }),
		},
		"an auditor makes no personal token": {
			when: issueLaptop, by: byAda,
			err: ErrDenied, says: "needs the permission tokens.create-personal",
		},
		"an auditor makes no administrative token": {
			when: issue(administrative), by: byAda,
			err: ErrDenied, says: "needs the permission tokens.create-administrative",
		},
		"a program makes no personal token": {
			when: issueLaptop, by: byRobot,
			err: ErrDenied, says: "by the person it belongs to",
		},
		"a program makes no administrative token": {
			when: issue(administrative), by: byRobot,
			err: ErrDenied, says: "needs the permission tokens.create-administrative",
		},
		"the system makes no personal token": {
			when: issueLaptop, by: system,
			err: ErrDenied, says: "by the person it belongs to",
		},
		"a suspended member makes none": {
			given: []Event{MemberSuspended{Account: mia}},
			when:  issueLaptop, by: byMia,
			err: ErrDenied, says: "needs the permission tokens.create-personal",
		},
		"a reinstated member makes one": {
			given: []Event{MemberSuspended{Account: mia}, MemberReinstated{mia}},
			when:  issueLaptop, by: byMia,
			then: []Event{newIssued},
		},
		"no kind": {
			when: issue(func(c *IssueToken) { c.Kind = NoKind }),
			err:  ErrInvalid, says: "kind: is missing",
		},
		"a kind that does not exist": {
			when: issue(func(c *IssueToken) { c.Kind = Administrative + 1 }),
			err:  ErrInvalid, says: "kind: ",
		},
		"no name": {
			when: issue(func(c *IssueToken) { c.Name = "" }),
			err:  ErrInvalid, says: "name: is empty",
		},
		"a name that turns around": {
			when: issue(func(c *IssueToken) { c.Name = "lap\u202etop" }),
			err:  ErrInvalid, says: "name: has a character that does not show, at byte 3",
		},
		"too long a description": {
			when: issue(func(c *IssueToken) { c.Description = strings.Repeat("a", 10_000) }),
			err:  ErrInvalid, says: "description: has 10000 characters",
		},
		"a description of two lines": {
			when: issue(func(c *IssueToken) { c.Description = "a\r\nb" }),
			err:  ErrInvalid, says: "description: has a character",
		},

		"expires when it was asked to": {
			when: expires(tomorrow), by: byMia,
			then: becomes(func(e *TokenIssued) { e.Expires = tomorrow }),
		},
		"expires in a millisecond": {
			when: expires(today + 1), by: byMia,
			then: becomes(func(e *TokenIssued) { e.Expires = today + 1 }),
		},
		"expires at the end of the calendar": {
			when: expires(instant("9999-12-31T23:59:59Z")), by: byMia,
			then: becomes(func(e *TokenIssued) { e.Expires = instant("9999-12-31T23:59:59Z") }),
		},
		"expires after the end of the calendar": {
			when: expires(instant("9999-12-31T23:59:59Z").Add(time.Second)),
			err:  ErrInvalid, says: "expires_at: lies after the year 9999",
		},
		"expires in a million years": {
			when: expires(today + 1e6*365*24*3600*1000),
			err:  ErrInvalid, says: "expires_at: lies after the year 9999",
		},
		"expires now": {
			when: expires(today),
			err:  ErrInvalid, says: "expires_at: 2026-11-22T12:00:00Z has passed",
		},
		"has expired": {
			when: expires(today - 1),
			err:  ErrInvalid, says: "expires_at: 2026-11-22T11:59:59.999Z has passed",
		},
		"expired before 1970": {
			when: expires(-1),
			err:  ErrInvalid, says: "has passed",
		},
		"never expires": {
			when: issue(func(c *IssueToken) { c.Never = true }), by: byMia,
			then: becomes(func(e *TokenIssued) { e.Expires = 0 }),
		},
		"never expires, and tomorrow": {
			when: issue(func(c *IssueToken) { c.Never, c.Expires = true, tomorrow }),
			err:  ErrInvalid, says: "expires_at: is given together with never",
		},
		"a year from 29 February is 1 March": {
			given: []Event{TokenIssued{Token: token("mias"), Type: Personal, Holder: mia, Name: "mia's", Hash: hashOf("mias")}},
			when:  issueLaptop, at: instant("2028-02-29T10:00:00.5Z"),
			by:   Actor{ActorMember, mia, token("mias")},
			then: becomes(func(e *TokenIssued) { e.Expires = instant("2029-03-01T10:00:00.5Z") }),
		},

		"a name that another of the holder's tokens has": {
			given: []Event{laptopIssued},
			when:  issueLaptop, by: byMia,
			err: ErrExists, says: `name: a live token "laptop" exists already`,
		},
		"a name that the first token has": {
			when: issue(func(c *IssueToken) { c.Name = "first token" }), by: byMia,
			err: ErrExists, says: `name: a live token "first token" exists already`,
		},
		"a name that another of the organization's tokens has": {
			when: issue(func(c *IssueToken) { c.Kind, c.Name = Administrative, "robot" }),
			err:  ErrExists, says: `name: a live token "robot" exists already`,
		},
		"a name that somebody else's token has": {
			given: []Event{laptopIssued},
			when:  issueLaptop, by: byBob,
			then: becomes(func(e *TokenIssued) { e.Holder = bob }),
		},
		"a name that the organization's token has": {
			when: issue(func(c *IssueToken) { c.Name = "robot" }), by: byBob,
			then: becomes(func(e *TokenIssued) { e.Holder, e.Name = bob, "robot" }),
		},
		"the organization takes a name that a member's token has": {
			given: []Event{issued(laptop, bob, "laptop")},
			when:  issue(administrative), by: byBob,
			then: becomes(func(e *TokenIssued) { e.Type, e.Holder = Administrative, AccountID{} }),
		},
		"a name that differs in case": {
			given: []Event{laptopIssued},
			when:  issue(func(c *IssueToken) { c.Name = "Laptop" }), by: byMia,
			then: becomes(func(e *TokenIssued) { e.Name = "Laptop" }),
		},
		"a name is free again once its token is revoked": {
			given: []Event{laptopIssued, TokenRevoked{Token: laptop}},
			when:  issueLaptop, by: byMia,
			then: []Event{newIssued},
		},
		"a name is free again once its token has another": {
			given: []Event{laptopIssued, TokenRenamed{laptop, "desktop"}},
			when:  issueLaptop, by: byMia,
			then: []Event{newIssued},
		},
		"a name is taken by a token that was renamed to it": {
			given: []Event{issued(laptop, mia, "desktop"), TokenRenamed{laptop, "laptop"}},
			when:  issueLaptop, by: byMia,
			err: ErrExists, says: "exists already",
		},
		"a name is free again once its token has expired": {
			given: []Event{TokenIssued{Token: laptop, Type: Personal, Holder: mia, Name: "laptop", Expires: tomorrow}},
			when:  issueLaptop, by: byMia, at: tomorrow,
			then: becomes(func(e *TokenIssued) { e.Expires = nextYear.Add(24 * time.Hour) }),
		},
		"a name is taken until its token has expired": {
			given: []Event{TokenIssued{Token: laptop, Type: Personal, Holder: mia, Name: "laptop", Expires: tomorrow}},
			when:  issueLaptop, by: byMia, at: tomorrow - 1,
			err: ErrExists, says: "exists already",
		},
		"an expired token that is revoked later does not free the name of the younger": {
			given: []Event{
				TokenIssued{Token: token("old"), Type: Personal, Holder: mia, Name: "laptop", Expires: today - 1},
				laptopIssued,
				TokenRevoked{Token: token("old")},
			},
			when: issueLaptop, by: byMia,
			err: ErrExists, says: "exists already",
		},
		"a suspended member's names stay taken": {
			given: []Event{laptopIssued, MemberSuspended{Account: mia}, MemberReinstated{mia}},
			when:  issueLaptop, by: byMia,
			err: ErrExists, says: "exists already",
		},
	})
}

func TestUpdateToken(t *testing.T) {
	rename := func(name string) UpdateToken { return UpdateToken{Token: laptop, Name: &name} }
	describe := func(text string) UpdateToken { return UpdateToken{Token: laptop, Description: &text} }
	run(t, acmeAfter, tenantScenarios{
		"another name": {
			given: []Event{laptopIssued},
			when:  rename("desktop"), by: byMia,
			then: []Event{TokenRenamed{laptop, "desktop"}},
		},
		"the same name": {
			given: []Event{laptopIssued},
			when:  rename("laptop"), by: byMia,
		},
		"another description": {
			given: []Event{laptopIssued},
			when:  describe("the gray one"), by: byMia,
			then: []Event{TokenDescribed{laptop, "the gray one"}},
		},
		"no description any more": {
			given: []Event{laptopIssued},
			when:  describe(""), by: byMia,
			then: []Event{TokenDescribed{laptop, ""}},
		},
		"another name and another description": {
			given: []Event{laptopIssued},
			when:  UpdateToken{Token: laptop, Name: ptr("desktop"), Description: ptr("the gray one")}, by: byMia,
			then: []Event{TokenRenamed{laptop, "desktop"}, TokenDescribed{laptop, "the gray one"}},
		},
		"another name and too long a description": {
			given: []Event{laptopIssued},
			when:  UpdateToken{Token: laptop, Name: ptr("desktop"), Description: ptr(strings.Repeat("a", MaxDescription+1))}, by: byMia,
			err: ErrInvalid, says: "description: has 1001 characters",
		},
		"nothing": {
			given: []Event{laptopIssued},
			when:  UpdateToken{Token: laptop}, by: byMia,
		},
		"an admin renames a member's token": {
			given: []Event{laptopIssued},
			when:  rename("desktop"), by: byBob,
			then: []Event{TokenRenamed{laptop, "desktop"}},
		},
		"an admin renames an administrative token": {
			when: UpdateToken{Token: robot, Name: ptr("android")}, by: byBob,
			then: []Event{TokenRenamed{robot, "android"}},
		},
		"a member renames nobody else's": {
			given: []Event{issued(laptop, ada, "laptop")},
			when:  rename("desktop"), by: byMia,
			err: ErrDenied, says: "needs the permission tokens.update-any",
		},
		"a member renames no administrative token": {
			when: UpdateToken{Token: robot, Name: ptr("android")}, by: byMia,
			err: ErrDenied, says: "needs the permission tokens.update-any",
		},
		"an auditor renames not even their own": {
			given: []Event{issued(laptop, ada, "laptop")},
			when:  rename("desktop"), by: byAda,
			err: ErrDenied, says: "needs the permission tokens.update-own",
		},
		"a program renames nothing": {
			given: []Event{laptopIssued},
			when:  rename("desktop"), by: byRobot,
			err: ErrDenied, says: "needs the permission tokens.update-any",
		},
		"a program renames not even itself": {
			when: UpdateToken{Token: robot, Name: ptr("android")}, by: byRobot,
			err: ErrDenied, says: "needs the permission tokens.update-any",
		},
		"what is no token": {
			when: rename("desktop"),
			err:  ErrNotFound, says: "no such token",
		},
		"a member does not learn what is no token": {
			when: rename("desktop"), by: byMia,
			err: ErrDenied, says: "needs the permission tokens.update-any",
		},
		"no name": {
			given: []Event{laptopIssued},
			when:  rename(""), by: byMia,
			err: ErrInvalid, says: "name: is empty",
		},
		"a name that ends with a blank": {
			given: []Event{laptopIssued},
			when:  rename("desktop "), by: byMia,
			err: ErrInvalid, says: "name: begins or ends with a blank",
		},
		"a name that another of the holder's tokens has": {
			given: []Event{laptopIssued},
			when:  rename("first token"), by: byMia,
			err: ErrExists, says: `a live token "first token" exists already`,
		},
		"a name that one of the admin's own tokens has": {
			given: []Event{laptopIssued, issued(token("desktop"), bob, "desktop")},
			when:  rename("desktop"), by: byBob,
			then: []Event{TokenRenamed{laptop, "desktop"}},
		},
		"a name that a revoked token had": {
			given: []Event{laptopIssued, issued(token("desktop"), mia, "desktop"), TokenRevoked{Token: token("desktop")}},
			when:  rename("desktop"), by: byMia,
			then: []Event{TokenRenamed{laptop, "desktop"}},
		},
		"the name it had before": {
			given: []Event{laptopIssued, TokenRenamed{laptop, "desktop"}},
			when:  rename("laptop"), by: byMia,
			then: []Event{TokenRenamed{laptop, "laptop"}},
		},
		"the name it had before, which a younger one has": {
			given: []Event{laptopIssued, TokenRenamed{laptop, "desktop"}, issued(token("new"), mia, "laptop")},
			when:  rename("laptop"), by: byMia,
			err: ErrExists, says: "exists already",
		},
		"a revoked token": {
			given: []Event{laptopIssued, TokenRevoked{Token: laptop}},
			when:  rename("desktop"), by: byMia,
			err: ErrState, says: "the token has ended",
		},
		"an expired token": {
			given: []Event{TokenIssued{Token: laptop, Type: Personal, Holder: mia, Name: "laptop", Expires: today}},
			when:  describe("old"), by: byMia,
			err: ErrState, says: "the token has ended",
		},
		"a token that expires in a millisecond": {
			given: []Event{TokenIssued{Token: laptop, Type: Personal, Holder: mia, Name: "laptop", Expires: today + 1}},
			when:  describe("old"), by: byMia,
			then: []Event{TokenDescribed{laptop, "old"}},
		},
		"having seen the present state": {
			given: []Event{laptopIssued},
			when:  UpdateToken{Token: laptop, Name: ptr("desktop"), Seen: 2}, by: byMia,
			then: []Event{TokenRenamed{laptop, "desktop"}},
		},
		"what was seen is stale after a new name": {
			given: []Event{laptopIssued, TokenRenamed{laptop, "desktop"}},
			when:  UpdateToken{Token: laptop, Name: ptr("tablet"), Seen: 2}, by: byMia,
			err: ErrStale, says: "changed at position 3",
		},
		"what was seen is stale after a new description": {
			given: []Event{laptopIssued, TokenDescribed{laptop, "gray"}},
			when:  UpdateToken{Token: laptop, Name: ptr("tablet"), Seen: 2}, by: byMia,
			err: ErrStale, says: "changed at position 3",
		},
		"what was seen is not there yet": {
			given: []Event{laptopIssued},
			when:  UpdateToken{Token: laptop, Name: ptr("tablet"), Seen: 99}, by: byMia,
			err: ErrStale, says: "changed at position 2",
		},
		"a change of another token makes nothing stale": {
			given: []Event{laptopIssued, TokenRenamed{tokenOf(mia), "desktop"}},
			when:  UpdateToken{Token: laptop, Name: ptr("tablet"), Seen: 2}, by: byMia,
			then: []Event{TokenRenamed{laptop, "tablet"}},
		},
	})
}

func TestRevokeToken(t *testing.T) {
	revoke := RevokeToken{Token: laptop, Reason: "leaked"}
	revoked := []Event{TokenRevoked{laptop, "leaked"}}
	run(t, acmeAfter, tenantScenarios{
		"one's own": {
			given: []Event{laptopIssued},
			when:  revoke, by: byMia,
			then: revoked,
		},
		"the one that is shown": {
			when: RevokeToken{Token: tokenOf(mia)}, by: byMia,
			then: []Event{TokenRevoked{Token: tokenOf(mia)}},
		},
		"an admin revokes an owner's": {
			given: []Event{issued(laptop, ann, "laptop")},
			when:  revoke, by: byBob,
			then: revoked,
		},
		"an admin revokes an administrative one": {
			when: RevokeToken{Token: robot}, by: byBob,
			then: []Event{TokenRevoked{Token: robot}},
		},
		"a program revokes a personal one": {
			given: []Event{laptopIssued},
			when:  revoke, by: byRobot,
			then: revoked,
		},
		"a program revokes no administrative one": {
			given: []Event{TokenIssued{Token: laptop, Type: Administrative, Name: "other"}},
			when:  revoke, by: byRobot,
			err: ErrDenied, says: "only admins and owners may revoke an administrative token",
		},
		"a program does not revoke itself": {
			when: RevokeToken{Token: robot}, by: byRobot,
			err: ErrDenied, says: "only admins and owners may revoke an administrative token",
		},
		"a member revokes nobody else's": {
			given: []Event{issued(laptop, ada, "laptop")},
			when:  revoke, by: byMia,
			err: ErrDenied, says: "needs the permission tokens.revoke-any",
		},
		"a member revokes no administrative one": {
			when: RevokeToken{Token: robot}, by: byMia,
			err: ErrDenied, says: "needs the permission tokens.revoke-any",
		},
		"an auditor revokes not even their own": {
			given: []Event{issued(laptop, ada, "laptop")},
			when:  revoke, by: byAda,
			err: ErrDenied, says: "needs the permission tokens.revoke-own",
		},
		"one of a suspended member": {
			given: []Event{laptopIssued, MemberSuspended{Account: mia}},
			when:  revoke,
			then:  revoked,
		},
		"one that has expired": {
			given: []Event{TokenIssued{Token: laptop, Type: Personal, Holder: mia, Name: "laptop", Expires: today}},
			when:  revoke, by: byMia,
			then: revoked,
		},
		"twice": {
			given: []Event{laptopIssued, TokenRevoked{laptop, "lost"}},
			when:  revoke, by: byMia,
		},
		"twice, by who may not": {
			given: []Event{issued(laptop, ada, "laptop"), TokenRevoked{laptop, "lost"}},
			when:  revoke, by: byMia,
			err: ErrDenied, says: "needs the permission",
		},
		"what is no token": {
			when: revoke,
			err:  ErrNotFound, says: "no such token",
		},
		"what is no token, by a program": {
			when: revoke, by: byRobot,
			err: ErrNotFound, says: "no such token",
		},
		"a member does not learn what is no token": {
			when: revoke, by: byMia,
			err: ErrDenied, says: "needs the permission tokens.revoke-any",
		},
		"too long a reason": {
			given: []Event{laptopIssued},
			when:  RevokeToken{Token: laptop, Reason: strings.Repeat("a", MaxReason+1)}, by: byMia,
			err: ErrInvalid, says: "reason: has 1001 characters",
		},
		"a reason that is no UTF-8": {
			given: []Event{laptopIssued},
			when:  RevokeToken{Token: laptop, Reason: "a\xff"}, by: byMia,
			err: ErrInvalid, says: "reason: is not UTF-8",
		},
		"having seen the present state": {
			given: []Event{laptopIssued, TokenRenamed{laptop, "desktop"}},
			when:  RevokeToken{Token: laptop, Reason: "leaked", Seen: 3}, by: byMia,
			then: revoked,
		},
		"what was seen is stale": {
			given: []Event{laptopIssued, TokenRenamed{laptop, "desktop"}},
			when:  RevokeToken{Token: laptop, Seen: 2}, by: byMia,
			err: ErrStale, says: "changed at position 3",
		},
	})
}

// Who has a name is only a matter of what happened, not of in which order the
// tokens that had it before come to their ends.
func TestNames(t *testing.T) {
	expired := TokenIssued{Token: token("old"), Type: Personal, Holder: mia, Name: "laptop", Expires: today}
	for name, c := range map[string]struct {
		given []Event
		free  bool
	}{
		"never given":                            {nil, true},
		"given":                                  {[]Event{laptopIssued}, false},
		"given to an expired one":                {[]Event{expired}, true},
		"given after one expired":                {[]Event{expired, laptopIssued}, false},
		"given, and an expired one is renamed":   {[]Event{expired, laptopIssued, TokenRenamed{token("old"), "x"}}, false},
		"given, and an expired one is described": {[]Event{expired, laptopIssued, TokenDescribed{token("old"), "x"}}, false},
		"given, and both ended":                  {[]Event{expired, laptopIssued, TokenRevoked{Token: token("old")}, TokenRevoked{Token: laptop}}, true},
		"given, and both ended the other way":    {[]Event{expired, laptopIssued, TokenRevoked{Token: laptop}, TokenRevoked{Token: token("old")}}, true},
		"renamed to itself":                      {[]Event{laptopIssued, TokenRenamed{laptop, "laptop"}}, false},
		"renamed away and back":                  {[]Event{laptopIssued, TokenRenamed{laptop, "x"}, TokenRenamed{laptop, "laptop"}}, false},
		"revoked twice":                          {[]Event{laptopIssued, TokenRevoked{Token: laptop}, issued(token("new"), mia, "laptop"), TokenRevoked{Token: laptop}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			err := acmeAfter(c.given...).free(mia, "laptop", today)
			if free := err == nil; free != c.free {
				t.Errorf("free: %t, want %t", free, c.free)
			}
		})
	}
}

func TestTokenRemembersWhenItChanged(t *testing.T) {
	o := acmeAfter(laptopIssued, TokenRenamed{laptop, "desktop"}, TokenRevoked{Token: robot})
	if got, _ := o.Tokens.Find(laptop); got.Number != 2 || got.Changed != 3 {
		t.Errorf("number %d, changed %d, want 2, 3", got.Number, got.Changed)
	}
	if got, _ := o.Tokens.Find(robot); got.Number != 1 || got.Changed != 4 || !got.Revoked || got.Hash != hashOf("robot") {
		t.Errorf("the revoked token is %+v", got)
	}
	if got, _ := o.Tokens.Find(tokenOf(mia)); got.Number != 1 || got.Changed != 1 {
		t.Errorf("the other token is %+v", got)
	}
}

func TestLive(t *testing.T) {
	for name, c := range map[string]struct {
		token Token
		want  bool
	}{
		"no token":                {Token{}, false},
		"never expires":           {Token{Kind: Personal}, true},
		"expires in a moment":     {Token{Kind: Personal, Expires: today + 1}, true},
		"expires now":             {Token{Kind: Personal, Expires: today}, false},
		"has expired":             {Token{Kind: Personal, Expires: today - 1}, false},
		"revoked":                 {Token{Kind: Personal, Revoked: true}, false},
		"revoked before its time": {Token{Kind: Administrative, Revoked: true, Expires: tomorrow}, false},
	} {
		if got := c.token.Live(today); got != c.want {
			t.Errorf("%s: live is %t, want %t", name, got, c.want)
		}
	}
}
