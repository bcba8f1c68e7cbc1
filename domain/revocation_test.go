package domain

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

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
			err: ErrDenied, says: "a program may not change or end other administrative tokens",
		},
		"a program ends itself": {
			when: RevokeToken{Token: robot}, by: byRobot,
			then: []Event{TokenRevoked{Token: robot}},
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

func TestRevokeTokens(t *testing.T) {
	yesterday := today - day.Instant()
	svc := TokenIssued{Token: tokenOf(bot), Type: Service, Holder: bot, Name: "first", Hash: hashOf("bot")}
	old := on(yesterday, laptopIssued)
	expired := TokenIssued{Token: laptop, Type: Personal, Holder: mia, Name: "laptop", Expires: today}
	second := TokenIssued{Token: token("adm"), Type: Administrative, Name: "adm", Hash: hashOf("adm")}
	many := make([]TokenID, MaxRevoked+1)
	run(t, acmeAfter, tenantScenarios{
		"one by its id": {
			given: []Event{laptopIssued},
			when:  RevokeTokens{Tokens: []TokenID{laptop}, Reason: "leaked"},
			then:  []Event{TokenRevoked{laptop, "leaked"}},
		},
		"many by their ids, each once": {
			given: []Event{laptopIssued},
			when:  RevokeTokens{Tokens: []TokenID{laptop, tokenOf(mia), laptop, robot}, Reason: "leaked"},
			then:  []Event{TokenRevoked{laptop, "leaked"}, TokenRevoked{tokenOf(mia), "leaked"}, TokenRevoked{robot, "leaked"}},
		},
		"by ids, those of a kind": {
			given: []Event{laptopIssued},
			when:  RevokeTokens{Tokens: []TokenID{laptop, robot}, Kind: Personal},
			then:  []Event{TokenRevoked{Token: laptop}},
		},
		"by ids, those of a holder": {
			given: []Event{laptopIssued},
			when:  RevokeTokens{Tokens: []TokenID{laptop, tokenOf(bob), robot}, Holder: bob},
			then:  []Event{TokenRevoked{Token: tokenOf(bob)}},
		},
		"by ids, those made before": {
			given: []Event{old},
			when:  RevokeTokens{Tokens: []TokenID{laptop, tokenOf(bob)}, Before: today},
			then:  []Event{TokenRevoked{Token: laptop}},
		},
		"by ids, one that is revoked": {
			given: []Event{laptopIssued, TokenRevoked{Token: laptop}},
			when:  RevokeTokens{Tokens: []TokenID{laptop}},
		},
		"by ids, the one that is shown": {
			when: RevokeTokens{Tokens: []TokenID{tokenOf(ann)}},
			then: []Event{TokenRevoked{Token: tokenOf(ann)}},
		},
		"by ids, what is no token": {
			when: RevokeTokens{Tokens: []TokenID{robot, token("none")}},
			err:  ErrNotFound, says: "no such token",
		},
		"by ids, an administrative one, by a program": {
			given: []Event{second},
			when:  RevokeTokens{Tokens: []TokenID{token("adm")}}, by: byRobot,
			err: ErrDenied, says: "a program may not change or end other administrative tokens",
		},
		"by ids, by a member": {
			given: []Event{laptopIssued},
			when:  RevokeTokens{Tokens: []TokenID{laptop}}, by: byMia,
			err: ErrDenied, says: "needs the permission tokens.revoke-any",
		},
		"by ids, a member's own": {
			given: []Event{laptopIssued},
			when:  RevokeTokens{Tokens: []TokenID{laptop, tokenOf(bob)}, Holder: mia}, by: byMia,
			then: []Event{TokenRevoked{Token: laptop}},
		},
		"by ids, an old secret in its overlap that was made before": {
			given: []Event{old, TokenRotated{laptop, hashOf("2"), nextYear, tomorrow}},
			when:  RevokeTokens{Tokens: []TokenID{laptop}, Before: today, Reason: "leaked"},
			then:  []Event{OverlapEnded{laptop, "leaked"}},
		},
		"by ids, one whole and an old secret of another": {
			given: []Event{old, TokenRotated{laptop, hashOf("2"), nextYear, tomorrow}, on(yesterday, second)},
			when:  RevokeTokens{Tokens: []TokenID{token("adm"), laptop}, Before: today},
			then:  []Event{TokenRevoked{Token: token("adm")}, OverlapEnded{Token: laptop}},
		},
		"by ids, an old secret that was made at the moment": {
			given: []Event{laptopIssued, TokenRotated{laptop, hashOf("2"), nextYear, tomorrow}},
			when:  RevokeTokens{Tokens: []TokenID{laptop}, Before: today},
		},
		"by ids, an old secret at the end of its overlap": {
			given: []Event{old, TokenRotated{laptop, hashOf("2"), nextYear, tomorrow}},
			when:  RevokeTokens{Tokens: []TokenID{laptop}, Before: today}, at: tomorrow,
		},
		"by ids, an old secret of a token that is revoked": {
			given: []Event{old, TokenRotated{laptop, hashOf("2"), nextYear, tomorrow}, TokenRevoked{Token: laptop}},
			when:  RevokeTokens{Tokens: []TokenID{laptop}, Before: today},
		},
		"by ids, an old secret of another kind": {
			given: []Event{old, TokenRotated{laptop, hashOf("2"), nextYear, tomorrow}},
			when:  RevokeTokens{Tokens: []TokenID{laptop}, Before: today, Kind: Service},
		},
		"by ids, an old secret of another holder": {
			given: []Event{old, TokenRotated{laptop, hashOf("2"), nextYear, tomorrow}},
			when:  RevokeTokens{Tokens: []TokenID{laptop}, Before: today, Holder: bob},
		},
		"by ids, a rotated token, whenever it was made": {
			given: []Event{old, TokenRotated{laptop, hashOf("2"), nextYear, tomorrow}},
			when:  RevokeTokens{Tokens: []TokenID{laptop}},
			then:  []Event{TokenRevoked{Token: laptop}},
		},
		"too many ids": {
			when: RevokeTokens{Tokens: many},
			err:  ErrInvalid, says: "ids: has 1001 tokens",
		},
		"as many ids as there may be": {
			given: []Event{laptopIssued},
			when:  RevokeTokens{Tokens: slices.Repeat([]TokenID{laptop}, MaxRevoked)},
			then:  []Event{TokenRevoked{Token: laptop}},
		},

		"everything of a holder": {
			given: []Event{laptopIssued},
			when:  RevokeTokens{Holder: mia, Reason: "left"},
			then:  []Event{TokensRevoked{Holder: mia, Except: tokenOf(ann), Reason: "left", Count: 2}},
		},
		"everything of a machine": {
			given: []Event{botCreated, svc},
			when:  RevokeTokens{Holder: bot},
			then:  []Event{TokensRevoked{Holder: bot, Except: tokenOf(ann), Count: 1}},
		},
		"everything of oneself but what is shown": {
			given: []Event{laptopIssued},
			when:  RevokeTokens{Holder: mia}, by: byMia,
			then: []Event{TokensRevoked{Holder: mia, Except: tokenOf(mia), Count: 1}},
		},
		"a machine's own": {
			given: all(ServiceAccountCreated{bot, "bot", "", custom("tokens.revoke-own")}, botIssued, serviceToken("2")),
			when:  RevokeTokens{Holder: bot}, by: byBot,
			then: []Event{TokensRevoked{Holder: bot, Except: tokenOf(bot), Count: 1}},
		},
		"everything of a kind": {
			when: RevokeTokens{Kind: Personal},
			then: []Event{TokensRevoked{Type: Personal, Except: tokenOf(ann), Count: 3}},
		},
		"everything of a kind, by a program": {
			when: RevokeTokens{Kind: Personal}, by: byRobot,
			then: []Event{TokensRevoked{Type: Personal, Except: robot, Count: 4}},
		},
		"the organization's, by a program, which stays": {
			given: []Event{second},
			when:  RevokeTokens{Kind: Administrative}, by: byRobot,
			err: ErrDenied, says: "a program may not change or end other administrative tokens",
		},
		"the organization's, by a program that is the only one": {
			when: RevokeTokens{Kind: Administrative}, by: byRobot,
		},
		"everything, by a program": {
			given: []Event{on(yesterday, second)},
			when:  RevokeTokens{Before: today}, by: byRobot,
			err: ErrDenied, says: "a program may not change or end other administrative tokens",
		},
		"everything made before a moment": {
			given: []Event{old},
			when:  RevokeTokens{Before: today},
			then:  []Event{TokensRevoked{Before: today, Except: tokenOf(ann), Count: 1}},
		},
		"everything made before now": {
			given: []Event{laptopIssued},
			when:  RevokeTokens{Before: today + 1}, at: today + 1,
			then: []Event{TokensRevoked{Before: today + 1, Except: tokenOf(ann), Count: 5}},
		},
		"nothing was made before": {
			given: []Event{old},
			when:  RevokeTokens{Before: yesterday},
		},
		"nothing was made before 1970": {when: RevokeTokens{Before: -1}},
		"a moment that is yet to come": {
			when: RevokeTokens{Before: today + 1},
			err:  ErrInvalid, says: "issued_before: lies in the future",
		},
		"one that has expired ends too": {
			given: []Event{expired, TokenRevoked{Token: tokenOf(mia)}},
			when:  RevokeTokens{Holder: mia},
			then:  []Event{TokensRevoked{Holder: mia, Except: tokenOf(ann), Count: 1}},
		},
		"one that waits ends too": {
			given: []Event{TokenRevoked{Token: tokenOf(mia)}, laptopIssued, ApprovalRequested{laptop, tomorrow}},
			when:  RevokeTokens{Holder: mia},
			then:  []Event{TokensRevoked{Holder: mia, Except: tokenOf(ann), Count: 1}},
		},
		"a secret that was made since stays": {
			given: []Event{old, TokenRotated{laptop, hashOf("2"), nextYear, today}},
			when:  RevokeTokens{Before: today},
		},
		"an old secret in its overlap ends": {
			given: []Event{old, TokenRotated{laptop, hashOf("2"), nextYear, tomorrow}},
			when:  RevokeTokens{Before: today},
			then:  []Event{TokensRevoked{Before: today, Except: tokenOf(ann)}},
		},
		"an old secret of an administrative one, by a program": {
			given: []Event{on(yesterday, second), TokenRotated{token("adm"), hashOf("2"), nextYear, tomorrow}},
			when:  RevokeTokens{Before: today}, by: byRobot,
			err: ErrDenied, says: "a program may not change or end other administrative tokens",
		},
		"a program's own old secret": {
			given: []Event{on(yesterday, TokenRotated{robot, hashOf("2"), nextYear, yesterday}), TokenRotated{robot, hashOf("3"), nextYear, tomorrow}},
			when:  RevokeTokens{Before: today}, by: byRobot,
			then: []Event{TokensRevoked{Before: today, Except: robot}},
		},
		"an old secret of another kind does not": {
			given: []Event{old, TokenRotated{laptop, hashOf("2"), nextYear, tomorrow}},
			when:  RevokeTokens{Before: today, Kind: Service},
		},
		"an old secret at the end of its overlap": {
			given: []Event{old, TokenRotated{laptop, hashOf("2"), nextYear, tomorrow}},
			when:  RevokeTokens{Before: today}, at: tomorrow,
		},
		"all of all": {
			given: []Event{laptopIssued},
			when:  RevokeTokens{Holder: mia, Kind: Administrative},
		},
		"no condition": {
			when: RevokeTokens{Reason: "because"},
			err:  ErrInvalid, says: "every other condition is missing",
		},
		"another member's, by a member": {
			when: RevokeTokens{Holder: ada}, by: byMia,
			err: ErrDenied, says: "needs the permission tokens.revoke-any",
		},
		"one's own, by an auditor": {
			when: RevokeTokens{Holder: ada}, by: byAda,
			err: ErrDenied, says: "needs the permission tokens.revoke-own",
		},
		"too long a reason": {
			when: RevokeTokens{Holder: mia, Reason: strings.Repeat("a", MaxReason+1)},
			err:  ErrInvalid, says: "reason: has 1001 characters",
		},
	})
}

// What a revocation of many says ends is what ends, and nothing else.
func TestManyRevoked(t *testing.T) {
	yesterday := today - day.Instant()
	until := tomorrow
	o := acmeAfter(all(
		on(yesterday, laptopIssued), on(yesterday, issued(token("renamed"), mia, "x")), issued(token("waits"), mia, "waits"),
		on(yesterday, TokenIssued{Token: token("adm"), Type: Administrative, Name: "adm", Hash: hashOf("adm")}),
		TokenRenamed{token("renamed"), "y"}, ApprovalRequested{token("waits"), tomorrow},
		on(yesterday, issued(token("rotated"), bob, "rotated")), TokenRotated{token("rotated"), hashOf("2"), nextYear, until},
	)...)
	decide(t, o, byAnn, RevokeTokens{Before: today})
	for id, want := range map[TokenID]Reason{
		laptop: ReasonRevoked, token("renamed"): ReasonRevoked, token("adm"): ReasonRevoked, token("waits"): ReasonWaiting,
		token("rotated"): ReasonNone, tokenOf(mia): ReasonNone, robot: ReasonNone, tokenOf(ann): ReasonNone,
	} {
		if v := o.Standing(id, &Ask{Now: today}); v.Reason != want {
			t.Errorf("%v is %q, want %q", id, v.Reason, want)
		}
	}
	if v := o.Check(shown(token("rotated"), Personal), &Ask{Now: today}); v.Reason != ReasonReplaced {
		t.Errorf("an old secret in its overlap is %q", v.Reason)
	}
	if got := o.Until(token("rotated"), today); got != 0 {
		t.Errorf("the old secret ends %v", got)
	}
	decide(t, o, byAnn, RevokeTokens{Holder: mia})
	if v := o.Standing(token("waits"), &Ask{Now: today}); v.Reason != ReasonRevoked {
		t.Errorf("a token that waited is %q", v.Reason)
	}
	_, err := ApproveToken{Token: token("waits")}.Decide(o, Meta{Actor: byAnn, Time: today})
	checkRefusal(t, err, ErrState, "does not wait")
	checkRefusal(t, o.free(mia, "laptop", today), nil, "")
	checkRefusal(t, o.free(mia, "y", today), nil, "")
}

func TestBurnToken(t *testing.T) {
	secret := hashOf(laptop.String())
	bearer := Actor{Kind: ActorBearer, Token: laptop}
	burn := BurnToken{laptop, secret, "found in a log"}
	burned := []Event{TokenBurned{laptop, "found in a log"}}
	rotated := func(until Instant) Event { return TokenRotated{laptop, hashOf("2"), nextYear, until} }
	run(t, acmeAfter, tenantScenarios{
		"with its secret": {given: []Event{laptopIssued}, when: burn, by: bearer, then: burned},
		"an administrative one": {
			when: BurnToken{Token: robot, Hash: hashOf("robot")}, by: Actor{Kind: ActorBearer, Token: robot},
			then: []Event{TokenBurned{Token: robot}},
		},
		"one that waits":                        {given: []Event{laptopIssued, ApprovalRequested{laptop, tomorrow}}, when: burn, by: bearer, then: burned},
		"one of a suspended member":             {given: []Event{laptopIssued, MemberSuspended{Account: mia}}, when: burn, by: bearer, then: burned},
		"while tokens are switched off":         {given: []Event{laptopIssued, demands(func(p *Policy) { p.Off = true })}, when: burn, by: bearer, then: burned},
		"from a network where it does not work": {given: []Event{laptopIssued, TokenBound{laptop, Terms{Networks: networks("10.0.0.0/8")}}}, when: burn, by: bearer, then: burned},
		"the new secret ends the token":         {given: []Event{laptopIssued, rotated(tomorrow)}, when: BurnToken{Token: laptop, Hash: hashOf("2")}, by: bearer, then: []Event{TokenBurned{Token: laptop}}},
		"an old secret in its overlap ends alone": {
			given: []Event{laptopIssued, rotated(tomorrow)},
			when:  burn, by: bearer,
			then: []Event{OverlapEnded{laptop, "found in a log"}},
		},
		"an old secret a millisecond before its end": {
			given: []Event{laptopIssued, rotated(today + 1)},
			when:  burn, by: bearer,
			then: []Event{OverlapEnded{laptop, "found in a log"}},
		},
		"an old secret at its end is one that is used again": {
			given: []Event{laptopIssued, rotated(today)},
			when:  burn, by: bearer,
			then: []Event{TokenReused{laptop, secret}},
		},
		"an old secret after its end, where that ends the token": {
			given: []Event{laptopIssued, rotated(today), demands(func(p *Policy) { p.Reuse = ReuseRevokes })},
			when:  burn, by: bearer,
			then: []Event{TokenReused{laptop, secret}, TokenRevoked{laptop, "a secret that was rotated out was used"}},
		},
		"an old secret twice": {
			given: []Event{laptopIssued, rotated(tomorrow), OverlapEnded{Token: laptop}},
			when:  burn, by: bearer,
			then: []Event{TokenReused{laptop, secret}},
		},
		"twice":                              {given: []Event{laptopIssued, TokenBurned{Token: laptop}}, when: burn, by: bearer},
		"a revoked one":                      {given: []Event{laptopIssued, TokenRevoked{Token: laptop}}, when: burn, by: bearer},
		"an expired one":                     {given: []Event{laptopIssued}, when: burn, by: bearer, at: nextYear},
		"with another secret":                {given: []Event{laptopIssued}, when: BurnToken{Token: laptop, Hash: hashOf("guess")}, by: bearer},
		"with no secret":                     {given: []Event{laptopIssued}, when: BurnToken{Token: laptop}, by: bearer},
		"what is no token":                   {when: burn, by: bearer},
		"in an organization that is no more": {given: []Event{laptopIssued, OrganizationDeleted{}}, when: burn, by: bearer},
		"another token":                      {given: []Event{laptopIssued}, when: burn, by: Actor{Kind: ActorBearer, Token: robot}, err: ErrDenied, says: "only whoever has its secret"},
		"by an owner":                        {given: []Event{laptopIssued}, when: burn, err: ErrDenied, says: "only whoever has its secret"},
		"by its holder who does not show it as a bearer": {given: []Event{laptopIssued}, when: burn, by: Actor{ActorMember, mia, laptop}, err: ErrDenied, says: "only whoever has its secret"},
		"by the service": {given: []Event{laptopIssued}, when: burn, by: system, err: ErrDenied, says: "only whoever has its secret"},
	})
}

// What was burned opens nothing, and nothing else ends with it.
func TestBurned(t *testing.T) {
	o := acmeAfter(laptopIssued, TokenRotated{laptop, hashOf("2"), nextYear, tomorrow})
	bearer := Actor{Kind: ActorBearer, Token: laptop}
	young := Shown{Personal, laptop, hashOf("2")}
	decide(t, o, bearer, BurnToken{Token: laptop, Hash: hashOf(laptop.String())})
	if v := o.Check(shown(laptop, Personal), &Ask{Now: today}); v.Reason != ReasonReplaced {
		t.Errorf("the old secret is %q", v.Reason)
	}
	if v := o.Check(young, &Ask{Now: today}); !v.Active() {
		t.Errorf("the new secret is %q", v.Reason)
	}
	if got, _ := o.Tokens.Find(laptop); got.Changed != 4 {
		t.Errorf("changed %d, want 4", got.Changed)
	}
	decide(t, o, bearer, BurnToken{Token: laptop, Hash: hashOf("2")})
	if v := o.Check(young, &Ask{Now: today}); v.Reason != ReasonRevoked {
		t.Errorf("the new secret is %q", v.Reason)
	}
	if v := o.Standing(tokenOf(mia), &Ask{Now: today}); !v.Active() {
		t.Errorf("another token is %q", v.Reason)
	}
}

// TestRevokeByEngine: what is limited to an engine ends, whether the token says so or
// its service account, and nothing else does.
func TestRevokeByEngine(t *testing.T) {
	o := NewOrganization(OrganizationID{RandomID()})
	ids := map[string]TokenID{}
	at := Position(0)
	evolve := func(events ...Event) {
		at++
		o.Evolve(Commit{Meta: Meta{Position: at, Time: today}, Events: events})
	}
	limited := func(names ...Resource) Terms { return Terms{Grant: Grant{Access: FullAccess, Resources: names}} }
	owner, bound, free := AccountID{RandomID()}, AccountID{RandomID()}, AccountID{RandomID()}
	issue := func(name string, kind TokenKind, holder AccountID, terms Terms) {
		id := TokenID{RandomID()}
		ids[name] = id
		evolve(TokenIssued{Token: id, Type: kind, Holder: holder, Name: name, Hash: Hash{byte(at), 1}}, TokenBound{id, terms})
	}
	evolve(OrganizationCreated{o.ID, "acme", "Acme"}, MemberAdded{owner, Owner})
	evolve(EngineRegistered{Name: "prod", Token: TokenID{RandomID()}})
	evolve(ServiceAccountCreated{Account: bound, Name: "bound", Grant: limited("engine:prod").Grant})
	evolve(ServiceAccountCreated{Account: free, Name: "free", Grant: Grant{Access: FullAccess}})
	issue("shown", Personal, owner, Terms{})
	issue("prod", Personal, owner, limited("engine:prod"))
	issue("both", Service, free, limited("engine:test", "engine:prod"))
	issue("test", Service, free, limited("engine:test"))
	issue("any", Service, free, limited("engine:*"))
	issue("by holder", Service, bound, Terms{})
	issue("longer name", Service, free, limited("engine:prod-2"))
	m := Meta{Time: today, Actor: Actor{ActorMember, owner, ids["shown"]}}
	for name, c := range map[string]struct {
		RevokeTokens
		want []string
	}{
		"all of it":         {RevokeTokens{Engine: "prod"}, []string{"both", "by holder", "prod"}},
		"and of a kind":     {RevokeTokens{Engine: "prod", Kind: Service}, []string{"both", "by holder"}},
		"and of a holder":   {RevokeTokens{Engine: "prod", Holder: bound}, []string{"by holder"}},
		"among some":        {RevokeTokens{Engine: "prod", Tokens: []TokenID{ids["prod"], ids["test"]}}, []string{"prod"}},
		"none of this kind": {RevokeTokens{Engine: "prod", Kind: Administrative}, nil},
	} {
		events, err := c.Decide(o, m)
		var got []string
		for _, e := range events {
			for name, id := range ids {
				if e.(TokenRevoked).Token == id {
					got = append(got, name)
				}
			}
		}
		slices.Sort(got)
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %v %v, want %v", name, got, err, c.want)
		}
	}
	if _, err := (RevokeTokens{Engine: "other"}).Decide(o, m); !errors.Is(err, ErrInvalid) {
		t.Errorf("an engine that never was: %v", err)
	}
}
