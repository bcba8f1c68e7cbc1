package domain

import (
	"encoding/json"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"
)

// What other systems' users have found out, and what other systems do that ours
// shall not: one test for each that concerns the rules. The numbers are those of
// the lessons and the defects in contracts/other-systems.md.

// stands checks a secret of a token at a moment.
func stands(o *Organization, id TokenID, hash Hash, at Instant) Verdict {
	t, _ := o.Tokens.Find(id)
	return o.Check(Shown{t.Kind, id, hash}, &Ask{Now: at})
}

// Defect 1: a new secret for an expired token was dead on arrival.
func TestDefect01RotatingAnExpiredTokenGivesALivingSecret(t *testing.T) {
	o := acmeAfter(on(today-2*day.Instant(), TokenIssued{Token: laptop, Type: Personal, Holder: mia, Name: "laptop", Hash: hashOf("1"), Expires: today - day.Instant()}))
	if v := stands(o, laptop, hashOf("1"), today); v.Reason != ReasonExpired {
		t.Fatalf("the token is %q", v.Reason)
	}
	decide(t, o, byMia, RotateToken{Token: laptop, Hash: hashOf("2"), Overlap: 3600})
	if v := stands(o, laptop, hashOf("2"), today); !v.Active() || v.Token.Expires != today+day.Instant() {
		t.Errorf("the new secret is %q until %v", v.Reason, v.Token.Expires)
	}
	if v := stands(o, laptop, hashOf("1"), today); v.Reason != ReasonReplaced {
		t.Errorf("the old secret comes back to life: %q", v.Reason)
	}
}

// Defect 2: permissions of a custom token stayed when it became read-only, unseen,
// and were back when it became custom again.
func TestDefect02CustomToReadOnlyLeavesNothingBehind(t *testing.T) {
	o := acmeAfter(laptopIssued, granted(laptop, "tokens.create-personal", "tokens.check"))
	decide(t, o, byMia, UpdateToken{Token: laptop, Grant: &Grant{Access: ReadOnly}})
	v := o.Standing(laptop, &Ask{Now: today, Permission: "tokens.create-personal"})
	if terms := o.Terms(v.Token); v.Denied != ReasonPermission || len(terms.Grant.Permissions) != 0 {
		t.Errorf("denied %q, with the grant %+v", v.Denied, terms.Grant)
	}
	_, err := UpdateToken{Token: laptop, Grant: &Grant{Access: ByList}}.Decide(o, Meta{Actor: byMia, Time: today})
	checkRefusal(t, err, ErrInvalid, "grant.permissions")
}

// Defect 3: the route of one kind of token ended tokens of another.
func TestDefect03AKindIsEndedAsItself(t *testing.T) {
	o := acmeAfter(laptopIssued)
	decide(t, o, byAnn, RevokeTokens{Tokens: []TokenID{laptop, robot}, Kind: Personal})
	if v := o.Standing(robot, &Ask{Now: today}); !v.Active() {
		t.Errorf("an administrative token ended with the personal ones: %q", v.Reason)
	}
	_, err := RevokeToken{Token: laptop}.Decide(o, Meta{Actor: byMia, Time: today})
	checkRefusal(t, err, nil, "")
	_, err = RevokeToken{Token: robot}.Decide(o, Meta{Actor: byMia, Time: today})
	checkRefusal(t, err, ErrDenied, "tokens.revoke-any")
}

// Defect 4: who could do nothing but make tokens made one of full access.
func TestDefect04WhoMayOnlyMakeTokensMakesNoneThatMayMore(t *testing.T) {
	o := acmeAfter(all(RoleCreated{"maker", "", []string{"tokens.create-administrative"}}, joined(zoe, "maker"))...)
	for _, g := range []Grant{{}, {Access: FullAccess}, {Access: ReadOnly}, {Access: ByRole, Role: "admin"}, custom("tokens.check")} {
		c := IssueToken{Token: token("new"), Kind: Administrative, Name: "x", Hash: hashOf("x"), Terms: Terms{Grant: g}}
		_, err := c.Decide(o, Meta{Actor: person(zoe), Time: today})
		checkRefusal(t, err, ErrDenied, "what you may not do yourself")
	}
}

// Defect 6: the mere use of a token counted as a change of it. A warning and the
// use of an old secret are recorded, and are no changes either.
func TestDefect06UseIsNoChange(t *testing.T) {
	o := acmeAfter(laptopIssued, TokenRotated{laptop, hashOf("2"), tomorrow, today})
	before, _ := o.Tokens.Find(laptop)
	for range 3 {
		if v := stands(o, laptop, hashOf("2"), today); !v.Active() {
			t.Fatal(v.Reason)
		}
	}
	decide(t, o, system, ReportReuse{laptop, hashOf(laptop.String())})
	decide(t, o, system, WarnOfExpiry{})
	if after, _ := o.Tokens.Find(laptop); after.Changed != before.Changed {
		t.Errorf("changed at %d, want %d", after.Changed, before.Changed)
	}
}

// Defect 7: a number went in and a text came out. What is stored is read back as
// what it was, in every kind of event.
func TestDefect07WhatGoesInComesOut(t *testing.T) {
	for kind, want := range samples {
		data, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		again, err := ReadEvent(kind, data)
		if diff := diffEvents(want, again); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", kind, err, diff)
		}
	}
}

// Defect 9: to end what there is not was a success.
func TestDefect09EndingWhatThereIsNotIsNoSuccess(t *testing.T) {
	o := acmeAfter()
	for _, c := range []command[*Organization]{
		RevokeToken{Token: token("none")}, RevokeTokens{Tokens: []TokenID{token("none")}}, RotateToken{Token: token("none"), Hash: hashOf("x")},
		UpdateToken{Token: token("none")}, ApproveToken{Token: token("none")}, RefuseToken{Token: token("none"), Reason: "no"},
		DeleteRole{Name: "none"}, RetirePermission{"none"}, DeleteServiceAccount{Account: zoe}, RemoveMember{Account: zoe},
	} {
		events, err := c.Decide(o, Meta{Actor: byAnn, Time: today})
		if len(events) != 0 || !refused(err, ErrNotFound) {
			t.Errorf("%T: %v, %v", c, events, err)
		}
	}
}

// Defect 10: what only reads was guessed from how an operation is called.
func TestDefect10ReadOnlyIsAMarkAndNoSuffix(t *testing.T) {
	o := acmeAfter(PermissionDefined{Definition{Name: "clones.read", Group: "clones", Write: true}}, laptopIssued, TokenBound{laptop, Terms{Grant: Grant{Access: ReadOnly}}})
	if v := o.Standing(laptop, &Ask{Now: today, Permission: "clones.read"}); v.Denied != ReasonPermission {
		t.Errorf("what is called read, and writes, is denied %q", v.Denied)
	}
}

// Defect 14: a personal token could not be given a new secret and never ended.
func TestDefect14APersonalTokenEndsAndRotates(t *testing.T) {
	o := acmeAfter()
	decide(t, o, byMia, issueLaptop)
	if got, _ := o.Tokens.Find(token("new")); got.Expires != nextYear {
		t.Errorf("ends %v", got.Expires)
	}
	decide(t, o, byMia, RotateToken{Token: token("new"), Hash: hashOf("2")})
}

// Lesson 8: an end in one unit was compared with a moment in another, and no token
// ever ended. A check crosses the instant.
func TestLesson08ATokenEndsAtTheVeryMoment(t *testing.T) {
	o := acmeAfter(TokenIssued{Token: laptop, Type: Personal, Holder: mia, Name: "laptop", Hash: hashOf("1"), Expires: tomorrow})
	for at, active := range map[Instant]bool{tomorrow - 1: true, tomorrow: false, tomorrow + 1: false} {
		if v := stands(o, laptop, hashOf("1"), at); v.Active() != active {
			t.Errorf("at %v: %q", at, v.Reason)
		}
	}
}

// Lesson 9: a new secret is refused or lives; it is never a dead one.
func TestLesson09NoRotationGivesADeadSecret(t *testing.T) {
	for name, c := range map[string]struct{ given []Event }{
		"short":      {[]Event{TokenIssued{Token: laptop, Type: Personal, Holder: mia, Name: "x", Hash: hashOf("1"), Expires: today + 1}}},
		"expired":    {[]Event{on(today-10, TokenIssued{Token: laptop, Type: Personal, Holder: mia, Name: "x", Hash: hashOf("1"), Expires: today - 5})}},
		"for ever":   {[]Event{TokenIssued{Token: laptop, Type: Personal, Holder: mia, Name: "x", Hash: hashOf("1")}}},
		"the latest": {[]Event{TokenIssued{Token: laptop, Type: Personal, Holder: mia, Name: "x", Hash: hashOf("1"), Expires: lastInstant}}},
	} {
		o := acmeAfter(c.given...)
		decide(t, o, byMia, RotateToken{Token: laptop, Hash: hashOf("2")})
		if v := stands(o, laptop, hashOf("2"), today); !v.Active() {
			t.Errorf("%s: %q", name, v.Reason)
		}
	}
}

// Lesson 10: a new secret gave an end to what had none, or none, or one counted
// from the old end. It is: now, and the life it was meant to have; never stays never.
func TestLesson10TheNewEndIsNowAndTheOldLife(t *testing.T) {
	week := (7 * day).Instant()
	o := acmeAfter(
		on(today-week/2, TokenIssued{Token: laptop, Type: Personal, Holder: mia, Name: "x", Hash: hashOf("1"), Expires: today + week/2}),
		TokenIssued{Token: token("2"), Type: Personal, Holder: mia, Name: "y", Hash: hashOf("1")})
	for id, want := range map[TokenID]Instant{laptop: today + week, token("2"): 0} {
		decide(t, o, byMia, RotateToken{Token: id, Hash: hashOf("new")})
		if got, _ := o.Tokens.Find(id); got.Expires != want {
			t.Errorf("ends %v, want %v", got.Expires, want)
		}
	}
	decideAt(t, o, Meta{Actor: byMia, Time: tomorrow}, RotateToken{Token: laptop, Hash: hashOf("newer")})
	if got, _ := o.Tokens.Find(laptop); got.Expires != tomorrow+week {
		t.Errorf("a second time it ends %v", got.Expires)
	}
}

// Lesson 11: a hundred tokens expired at once and could not be rotated, because
// that needed a live one. Whoever can make such a token rotates it.
func TestLesson11AnExpiredTokenIsRotatedByWhoCouldMakeIt(t *testing.T) {
	o := acmeAfter()
	later := Meta{Actor: byBob, Time: nextYear}
	decide(t, o, byBob, IssueToken{Token: token("live"), Kind: Personal, Name: "live", Hash: hashOf("live"), Never: true})
	later.Actor.Token = token("live")
	if v := o.Standing(robot, &Ask{Now: nextYear}); v.Reason != ReasonExpired {
		t.Fatal(v.Reason)
	}
	decideAt(t, o, later, RotateToken{Token: robot, Hash: hashOf("2")})
	if v := stands(o, robot, hashOf("2"), nextYear); !v.Active() {
		t.Errorf("the new secret is %q", v.Reason)
	}
}

// Lesson 12: the longest life was forgotten for one kind. There is one rule, for
// every kind, and its refusal says what it is.
func TestLesson12TheLongestLifeCountsForEveryKind(t *testing.T) {
	for kind, field := range map[TokenKind]func(*Policy) *KindPolicy{
		Personal:       func(p *Policy) *KindPolicy { return &p.Personal },
		Administrative: func(p *Policy) *KindPolicy { return &p.Administrative },
		Service:        func(p *Policy) *KindPolicy { return &p.Service },
	} {
		o := acmeAfter(all(botThere, TokenExpiryChanged{tokenOf(ann), tomorrow}, demands(func(p *Policy) { field(p).Longest, field(p).Never = 30*day, false }))...)
		issue := IssueToken{Token: token("new"), Kind: kind, Holder: bot, Name: "x", Hash: hashOf("x"), Expires: nextYear}
		_, err := issue.Decide(o, Meta{Actor: byAnn, Time: today})
		checkRefusal(t, err, ErrInvalid, "later than the policy allows")
		var r *Refusal
		if asRefusal(err, &r) && !strings.Contains(r.Next, "30 days") {
			t.Errorf("%v: the next step is %q", kind, r.Next)
		}
		issue.Expires, issue.Never = 0, true
		_, err = issue.Decide(o, Meta{Actor: byAnn, Time: today})
		checkRefusal(t, err, ErrInvalid, "the policy wants an end")
	}
}

// Lesson 13: nobody was warned before a token ended. The service warns, and the
// verdict's token says how many days are left.
func TestLesson13SomebodyIsWarned(t *testing.T) {
	o := acmeAfter(laptopIssued)
	week := nextYear - (7 * day).Instant()
	events, _ := WarnOfExpiry{}.Decide(o, Meta{Actor: system, Time: week})
	if len(events) != 6 {
		t.Errorf("%d warnings, want one for each token", len(events))
	}
	v := o.Standing(laptop, &Ask{Now: week})
	if days, soon := v.Token.DaysLeft(week); days != 7 || !soon {
		t.Errorf("%d days are left, soon %t", days, soon)
	}
}

// Lesson 15: the old key died at once and took busy clients along.
func TestLesson15AnOldSecretCanOutliveItsRotation(t *testing.T) {
	o := acmeAfter(laptopIssued)
	decide(t, o, byMia, RotateToken{Token: laptop, Hash: hashOf("2"), Overlap: 3600})
	for _, hash := range []Hash{hashOf(laptop.String()), hashOf("2")} {
		if v := stands(o, laptop, hash, today.Add(time.Hour)-1); !v.Active() {
			t.Errorf("within the overlap: %q", v.Reason)
		}
	}
}

// Lesson 16: after a leak there must be no overlap, and there is none unless
// somebody asks for it.
func TestLesson16WithoutAnOverlapTheOldSecretEndsAtOnce(t *testing.T) {
	o := acmeAfter(laptopIssued)
	decide(t, o, byMia, RotateToken{Token: laptop, Hash: hashOf("2")})
	if v := stands(o, laptop, hashOf(laptop.String()), today); v.Reason != ReasonReplaced {
		t.Errorf("the old secret is %q", v.Reason)
	}
}

// Lesson 17: an overlap lengthened the life of the old secret.
func TestLesson17AnOverlapNeverOutlivesTheOldEnd(t *testing.T) {
	end := today.Add(time.Minute)
	o := acmeAfter(TokenIssued{Token: laptop, Type: Personal, Holder: mia, Name: "x", Hash: hashOf("1"), Expires: end})
	decide(t, o, byMia, RotateToken{Token: laptop, Hash: hashOf("2"), Overlap: 7 * day, Expires: nextYear})
	if v := stands(o, laptop, hashOf("1"), end-1); !v.Active() {
		t.Errorf("before the old end: %q", v.Reason)
	}
	if v := stands(o, laptop, hashOf("1"), end); v.Reason != ReasonReplaced {
		t.Errorf("at the old end: %q", v.Reason)
	}
}

// Lesson 18: how many tokens somebody has was looked at before the write, so that
// many at once were too many. It is decided in the commit: of fifty that were
// prepared against the same state, five fit.
func TestLesson18FiftyAtOnceAreStillFive(t *testing.T) {
	o := acmeAfter()
	made := 0
	for i := range 50 {
		id := TokenID{ID{9, byte(i)}}
		c := IssueToken{Token: id, Kind: Personal, Name: id.String(), Hash: hashOf(id.String())}
		events, err := c.Decide(o, Meta{Actor: byMia, Time: today})
		if err != nil {
			checkRefusal(t, err, ErrState, "5 live tokens already")
			continue
		}
		made++
		o.Evolve(Commit{Meta: Meta{Time: today}, Events: events})
	}
	if made != 4 { // and the first token
		t.Errorf("%d were made", made)
	}
}

// Lesson 19: rotation wants an end of its own, and a token that rotates itself.
func TestLesson19ATokenRotatesItselfUntilAMoment(t *testing.T) {
	o := acmeAfter(granted(robot, "tokens.rotate-own"))
	decide(t, o, byRobot, RotateToken{Token: robot, Hash: hashOf("2"), Expires: tomorrow})
	if v := stands(o, robot, hashOf("2"), tomorrow-1); !v.Active() || v.Token.Expires != tomorrow {
		t.Errorf("%q until %v", v.Reason, v.Token.Expires)
	}
}

// Lesson 29: a clean-up took permissions from tokens, which went on and could do
// nothing. What a token was given stays as it was given, whatever goes, and whoever
// looks sees what is cut off.
func TestLesson29NothingChangesAGrantSilently(t *testing.T) {
	given := Grant{Access: ByList, Permissions: []string{"clones.create", "tokens.check"}}
	o := acmeAfter(clones, laptopIssued, TokenBound{laptop, Terms{Grant: given}})
	before, _ := o.Tokens.Find(laptop)
	decide(t, o, byAnn, RetirePermission{"clones.create"})
	decide(t, o, byAnn, UpdateMember{Account: mia, Role: ptr(Auditor)})
	after, _ := o.Tokens.Find(laptop)
	if got := o.Terms(after).Grant; after != before || diffEvents(given, got) != "" {
		t.Errorf("token %+v, grant %+v", after, got)
	}
	if s := o.Describe(laptop, &Ask{Now: today}); len(s.Cut) != 1 || s.Cut[0] != (Cut{"clones.create", CutRetired}) {
		t.Errorf("cut off: %v", s.Cut)
	}
}

// Lesson 30: a new field was empty on old rows and broke them. An event as the
// first version has stored it means what it meant.
func TestLesson30OldEventsKeepTheirMeaning(t *testing.T) {
	stored, err := os.ReadFile("testdata/events/token.issued.json")
	if err != nil {
		t.Fatal(err)
	}
	e, err := ReadEvent("token.issued", stored)
	if err != nil {
		t.Fatal(err)
	}
	o := acmeAfter()
	o.Tokens = Tokens{} // the sample has the id of the fixture's program
	o.Evolve(Commit{Meta: Meta{Position: 2, Time: today}, Events: []Event{e}})
	v := stands(o, robot, hashOf("laptop"), today)
	if !v.Active() || v.Granted != o.permissionsOf(Ordinary) || !o.Terms(v.Token).IsZero() || v.Token.Unbound || v.Token.Waiting {
		t.Errorf("%q, granted %v, %+v", v.Reason, permissionsOf(v.Granted), v.Token)
	}
}

// Lesson 31: what a token may do is bounded by what its holder may, at every check.
func TestLesson31ATokenNeverMayMoreThanItsHolder(t *testing.T) {
	o := acmeAfter(issued(laptop, bob, "laptop"), TokenBound{laptop, Terms{Grant: custom("members.add", "tokens.check")}})
	may := func() bool {
		v := o.Standing(laptop, &Ask{Now: today, Permission: "members.add"})
		return v.Active() && v.Denied == ReasonNone
	}
	if !may() {
		t.Fatal("an admin's token may not")
	}
	decide(t, o, byAnn, UpdateMember{Account: bob, Role: ptr(Ordinary)})
	if may() {
		t.Error("a demoted admin's token may")
	}
	decide(t, o, byAnn, UpdateMember{Account: bob, Role: ptr(Admin)})
	if !may() {
		t.Error("a promoted admin's token may not")
	}
	decide(t, o, byAnn, UpdateMember{Account: bob, Suspended: ptr(true)})
	if may() {
		t.Error("a suspended admin's token may")
	}
}

// Lesson 32: a test with one admin could not tell whose token it is.
func TestLesson32ATokenIsWhosItIs(t *testing.T) {
	o := acmeAfter(issued(laptop, bob, "laptop"), issued(token("anns"), ann, "laptop"))
	for id, want := range map[TokenID]AccountID{laptop: bob, token("anns"): ann} {
		v := stands(o, id, hashOf(id.String()), today)
		if got := v.Actor(); got != (Actor{ActorMember, want, id}) {
			t.Errorf("%v acts as %+v, want %v", id, got, want)
		}
	}
}

// Lesson 33: a tighter policy shortened what there was, for ever. It blocks, says
// which beforehand, and a looser one opens again.
func TestLesson33ATighterPolicyChangesNoToken(t *testing.T) {
	o := acmeAfter(laptopIssued, TokenExpiryChanged{tokenOf(ann), tomorrow})
	before, _ := o.Tokens.Find(laptop)
	tight := updatePolicy(func(p *Policy) { p.Personal.Longest = 30 * day })
	blocked := map[TokenID]Reason{}
	o.Blocks(tight.Policy, today, func(uint32) Instant { return 0 }, func(id TokenID, r Reason) { blocked[id] = r })
	decide(t, o, byAnn, tight)
	if v := o.Standing(laptop, &Ask{Now: today}); v.Reason != ReasonPolicy || blocked[laptop] != ReasonPolicy || len(blocked) != 4 {
		t.Errorf("%q, foretold %v", v.Reason, blocked)
	}
	if after, _ := o.Tokens.Find(laptop); after != before {
		t.Errorf("the token is %+v, was %+v", after, before)
	}
	decide(t, o, byAnn, updatePolicy(func(*Policy) {}))
	if v := o.Standing(laptop, &Ask{Now: today}); !v.Active() {
		t.Errorf("after a looser policy: %q", v.Reason)
	}
}

// Lesson 34: who is not known and who is not allowed were the same answer.
func TestLesson34UnknownAndDeniedAreTwoThings(t *testing.T) {
	o := acmeAfter(laptopIssued)
	ask := &Ask{Now: today, Permission: "members.add"}
	if v := o.Check(shown(laptop, Personal), ask); !v.Active() || v.Denied != ReasonPermission {
		t.Errorf("who is known: %q, %q", v.Reason, v.Denied)
	}
	if v := o.Check(Shown{Personal, laptop, hashOf("guess")}, ask); v.Reason != ReasonUnknown || v.Denied != ReasonNone {
		t.Errorf("who is not: %q, %q", v.Reason, v.Denied)
	}
}

// Lesson 37: a key did not say which organization it is for.
func TestLesson37ATokenIsOfOneOrganization(t *testing.T) {
	if v := NewOrganization(beta).Check(shown(tokenOf(ann), Personal), &Ask{Now: today}); v.Reason != ReasonUnknown {
		t.Errorf("elsewhere it is %q", v.Reason)
	}
}

// Lesson 39: limits by address punished everybody behind one. They belong to the
// token and its holder, whatever the address.
func TestLesson39LimitsBelongToTokensAndHolders(t *testing.T) {
	o := acmeAfter(laptopIssued, TokenBound{laptop, Terms{Limit: Limit{5, 60}}}, HolderLimited{mia, Limit{9, 60}})
	for _, address := range []string{"10.0.0.1", "192.0.2.7"} {
		v := o.Standing(laptop, &Ask{Now: today, Address: netip.MustParseAddr(address)})
		if v.TokenLimit != (Limit{5, 60}) || v.HolderLimit != (Limit{9, 60}) {
			t.Errorf("from %s: %v, %v", address, v.TokenLimit, v.HolderLimit)
		}
	}
	if v := o.Standing(tokenOf(mia), &Ask{Now: today}); !v.TokenLimit.IsZero() || v.HolderLimit != (Limit{9, 60}) {
		t.Errorf("another token of the holder: %v, %v", v.TokenLimit, v.HolderLimit)
	}
}

// Lesson 40: tokens had no end for years. One that asks for none has one.
func TestLesson40ATokenHasAnEndUnlessSomebodySaysNever(t *testing.T) {
	o := acmeAfter(botThere...)
	for _, kind := range []TokenKind{Personal, Administrative, Service} {
		events, err := IssueToken{Token: token("new"), Kind: kind, Holder: bot, Name: "x", Hash: hashOf("x")}.Decide(o, Meta{Actor: byAnn, Time: today})
		if err != nil || events[0].(TokenIssued).Expires != nextYear {
			t.Errorf("%v: %v, %v", kind, events, err)
		}
	}
}

// Lesson 41: a key with a line's end behind it failed somewhere inside. Here it is
// no secret, and nothing else happens: readers trim, the domain does not.
func TestLesson41ALinesEndMakesNoSecret(t *testing.T) {
	text := drawn(t, Personal, laptop, 3).Reveal()
	for _, pasted := range []string{text + "\n", " " + text, text + "\r\n"} {
		if _, ok := ParseSecret(pasted); ok {
			t.Errorf("%q is a secret", pasted)
		}
	}
}
