package domain

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// shown is the secret of issued, taken apart.
func shown(id TokenID, kind TokenKind) Shown { return Shown{kind, id, hashOf(id.String())} }

func TestCheck(t *testing.T) {
	short := TokenIssued{Token: laptop, Type: Personal, Holder: mia, Name: "laptop", Hash: hashOf(laptop.String()), Expires: tomorrow}
	never := TokenIssued{Token: laptop, Type: Personal, Holder: mia, Name: "laptop", Hash: hashOf(laptop.String())}
	program := TokenIssued{Token: laptop, Type: Administrative, Name: "laptop", Hash: hashOf(laptop.String())}
	for name, c := range map[string]struct {
		given   []Event
		shown   Shown
		at      Instant // zero: today
		reason  Reason
		role    Role
		granted Permissions
		actor   Actor
	}{
		"active": {
			given: []Event{laptopIssued}, shown: shown(laptop, Personal),
			role: Ordinary, granted: memberPermissions, actor: Actor{ActorMember, mia, laptop},
		},
		"active, without an end": {
			given: []Event{never}, shown: shown(laptop, Personal), at: instant("9999-12-31T23:59:59Z"),
			role: Ordinary, granted: memberPermissions, actor: Actor{ActorMember, mia, laptop},
		},
		"active, of an owner": {
			shown: shown(tokenOf(ann), Personal),
			role:  Owner, granted: adminPermissions, actor: byAnn,
		},
		"active, of an auditor": {
			shown: shown(tokenOf(ada), Personal),
			role:  Auditor, granted: auditorPermissions, actor: byAda,
		},
		"active, administrative": {
			given: []Event{program}, shown: shown(laptop, Administrative),
			granted: administrativePermissions, actor: Actor{Kind: ActorToken, Token: laptop},
		},
		"alive a millisecond before its end": {
			given: []Event{short}, shown: shown(laptop, Personal), at: tomorrow - 1,
			role: Ordinary, granted: memberPermissions, actor: Actor{ActorMember, mia, laptop},
		},
		"dead at its end": {
			given: []Event{short}, shown: shown(laptop, Personal), at: tomorrow,
			reason: ReasonExpired, actor: Actor{ActorMember, mia, laptop},
		},
		"dead after its end": {
			given: []Event{short}, shown: shown(laptop, Personal), at: tomorrow.Add(time.Hour),
			reason: ReasonExpired, actor: Actor{ActorMember, mia, laptop},
		},
		"revoked": {
			given: []Event{laptopIssued, TokenRevoked{Token: laptop}}, shown: shown(laptop, Personal),
			reason: ReasonRevoked, actor: Actor{ActorMember, mia, laptop},
		},
		"revoked, and past its end": {
			given: []Event{short, TokenRevoked{Token: laptop}}, shown: shown(laptop, Personal), at: tomorrow,
			reason: ReasonRevoked, actor: Actor{ActorMember, mia, laptop},
		},
		"revoked, administrative": {
			given: []Event{program, TokenRevoked{Token: laptop}}, shown: shown(laptop, Administrative),
			reason: ReasonRevoked, actor: Actor{Kind: ActorToken, Token: laptop},
		},
		"revoked, before a clock that goes backwards": {
			given: []Event{laptopIssued, TokenRevoked{Token: laptop}}, shown: shown(laptop, Personal), at: today - 1,
			reason: ReasonRevoked, actor: Actor{ActorMember, mia, laptop},
		},
		"its holder is suspended": {
			given: []Event{laptopIssued, MemberSuspended{Account: mia}}, shown: shown(laptop, Personal),
			reason: ReasonSuspended, actor: Actor{ActorMember, mia, laptop},
		},
		"its holder is suspended, and it has expired": {
			given: []Event{short, MemberSuspended{Account: mia}}, shown: shown(laptop, Personal), at: tomorrow,
			reason: ReasonExpired, actor: Actor{ActorMember, mia, laptop},
		},
		"its holder was reinstated": {
			given: []Event{laptopIssued, MemberSuspended{Account: mia}, MemberReinstated{mia}}, shown: shown(laptop, Personal),
			role: Ordinary, granted: memberPermissions, actor: Actor{ActorMember, mia, laptop},
		},
		"somebody else is suspended": {
			given: []Event{laptopIssued, MemberSuspended{Account: ada}}, shown: shown(laptop, Personal),
			role: Ordinary, granted: memberPermissions, actor: Actor{ActorMember, mia, laptop},
		},
		"an administrative one, whose maker is suspended": {
			given: []Event{program, MemberSuspended{Account: mia}}, shown: shown(laptop, Administrative),
			granted: administrativePermissions, actor: Actor{Kind: ActorToken, Token: laptop},
		},
		"its holder was removed": {
			given: []Event{laptopIssued, MemberRemoved{Account: mia}, TokenRevoked{Token: laptop}}, shown: shown(laptop, Personal),
			reason: ReasonRevoked, actor: Actor{ActorMember, mia, laptop},
		},
		"its holder was removed, and nothing else": {
			given: []Event{laptopIssued, MemberRemoved{Account: mia}}, shown: shown(laptop, Personal),
			reason: ReasonSuspended, actor: Actor{ActorMember, mia, laptop},
		},
		"its holder came back": {
			given: []Event{laptopIssued, MemberRemoved{Account: mia}, TokenRevoked{Token: laptop}, MemberAdded{mia, Owner}}, shown: shown(laptop, Personal),
			reason: ReasonRevoked, actor: Actor{ActorMember, mia, laptop},
		},
		"a role from a moment ago": {
			given: []Event{laptopIssued, MemberRoleChanged{mia, Admin}}, shown: shown(laptop, Personal),
			role: Admin, granted: adminPermissions, actor: Actor{ActorMember, mia, laptop},
		},
		"a role that is gone since a moment ago": {
			given: []Event{MemberRoleChanged{bob, Auditor}}, shown: shown(tokenOf(bob), Personal),
			role: Auditor, granted: auditorPermissions, actor: byBob,
		},
		"renamed": {
			given: []Event{laptopIssued, TokenRenamed{laptop, "x"}, TokenDescribed{laptop, "y"}}, shown: shown(laptop, Personal),
			role: Ordinary, granted: memberPermissions, actor: Actor{ActorMember, mia, laptop},
		},
		"unknown":              {shown: shown(laptop, Personal), reason: ReasonUnknown, actor: Actor{Kind: ActorMember}},
		"nothing":              {reason: ReasonUnknown, actor: Actor{Kind: ActorMember}},
		"another hash":         {given: []Event{laptopIssued}, shown: Shown{Personal, laptop, hashOf("guess")}, reason: ReasonUnknown, actor: Actor{Kind: ActorMember}},
		"no hash":              {given: []Event{laptopIssued}, shown: Shown{Kind: Personal, Token: laptop}, reason: ReasonUnknown, actor: Actor{Kind: ActorMember}},
		"another token's hash": {given: []Event{laptopIssued}, shown: Shown{Personal, laptop, hashOf(tokenOf(mia).String())}, reason: ReasonUnknown, actor: Actor{Kind: ActorMember}},
		"another token's id":   {given: []Event{laptopIssued}, shown: Shown{Personal, tokenOf(mia), hashOf(laptop.String())}, reason: ReasonUnknown, actor: Actor{Kind: ActorMember}},
		"another kind":         {given: []Event{laptopIssued}, shown: shown(laptop, Administrative), reason: ReasonUnknown, actor: Actor{Kind: ActorMember}},
		"another kind, of an administrative one": {
			given: []Event{program}, shown: shown(laptop, Personal), reason: ReasonUnknown, actor: Actor{Kind: ActorMember},
		},
		"no kind":                      {given: []Event{laptopIssued}, shown: shown(laptop, NoKind), reason: ReasonUnknown, actor: Actor{Kind: ActorMember}},
		"an unknown one, without hash": {shown: Shown{Personal, laptop, Hash{}}, reason: ReasonUnknown, actor: Actor{Kind: ActorMember}},
		"another hash of a revoked one": {
			given: []Event{laptopIssued, TokenRevoked{Token: laptop}}, shown: Shown{Personal, laptop, hashOf("guess")},
			reason: ReasonUnknown, actor: Actor{Kind: ActorMember},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if c.at == 0 {
				c.at = today
			}
			o := acmeAfter(c.given...)
			v := o.Check(c.shown, c.at)
			if v.Reason != c.reason || v.Active() != (c.reason == ReasonNone) {
				t.Errorf("reason is %q, active %t, want %q", v.Reason, v.Active(), c.reason)
			}
			if v.Role != c.role || v.Granted != c.granted {
				t.Errorf("role is %v, granted %v, want %v, %v", v.Role, permissionsOf(v.Granted), c.role, permissionsOf(c.granted))
			}
			if diff := cmp.Diff(c.actor, v.Actor()); diff != "" {
				t.Errorf("actor (-want +got):\n%s", diff)
			}
			if got := o.Rights(v.Actor(), c.at); got != c.granted {
				t.Errorf("rights of the actor are %v, want what was granted: %v", permissionsOf(got), permissionsOf(c.granted))
			}
			if c.reason == ReasonUnknown && v.Token != (Token{}) {
				t.Errorf("tells a stranger of the token %+v", v.Token)
			}
		})
	}
}

// Every bit of what is shown counts.
func TestCheckComparesTheWholeHash(t *testing.T) {
	o := acmeAfter(laptopIssued)
	for i := range len(Hash{}) * 8 {
		s := shown(laptop, Personal)
		s.Hash[i/8] ^= 1 << (i % 8)
		if v := o.Check(s, today); v.Reason != ReasonUnknown {
			t.Errorf("bit %d: reason is %q, want unknown", i, v.Reason)
		}
	}
}

func TestCheckAllocatesNothing(t *testing.T) {
	o, s := acmeAfter(laptopIssued), shown(laptop, Personal)
	if got := testing.AllocsPerRun(100, func() { _ = o.Check(s, today) }); got != 0 {
		t.Errorf("%v allocations", got)
	}
}
