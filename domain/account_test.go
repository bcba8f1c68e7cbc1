package domain

import (
	"strings"
	"testing"
)

func TestDeleteAccount(t *testing.T) {
	registered := AccountRegistered{mia, "Mia@example.org"}
	remove := DeleteAccount{Account: mia, Reason: "left"}
	gone := []Event{AccountDeleted{mia, "left"}}
	nowhere := func(m *Meta) { m.Home = OrganizationID{} }
	run(t, platformAfter, directoryScenarios{
		"by an operator": {given: []Event{registered}, when: remove, then: gone},
		"by the person, who might not be the one who has their token": {
			given: []Event{registered},
			when:  remove, by: byMia,
			err: ErrDenied, says: "only an operator of the platform may do this",
		},
		"by the person, who is an owner": {
			given: []Event{registered, MemberRoleChanged{mia, Owner}},
			when:  remove, by: byMia,
			err: ErrDenied, says: "only an operator of the platform may do this",
		},
		"by an operator with a secret that was replaced": {
			given: []Event{registered},
			when:  remove, also: func(m *Meta) { m.Replaced = true },
			err: ErrDenied, says: "the secret that you show was replaced by a new one",
		},
		"by the person, who shows nothing that is known": {
			given: []Event{registered},
			when:  remove, by: byMia, also: nowhere,
			err: ErrDenied, says: "only an operator",
		},
		"by somebody else": {
			given: []Event{registered},
			when:  remove, by: byBob,
			err: ErrDenied, says: "only an operator",
		},
		"by an operator with a token from elsewhere": {
			given: []Event{registered},
			when:  remove, home: beta,
			err: ErrDenied, says: "only an operator",
		},
		"by a program in their name": {
			given: []Event{registered},
			when:  remove, by: Actor{Kind: ActorToken, Account: mia, Token: robot},
			err: ErrDenied, says: "only an operator",
		},
		"by a machine in their name": {
			given: []Event{registered},
			when:  remove, by: Actor{Kind: ActorService, Account: mia, Token: robot},
			err: ErrDenied, says: "only an operator",
		},
		"by the service": {
			given: []Event{registered},
			when:  remove, by: system,
			err: ErrDenied, says: "only an operator",
		},
		"who would leave an organization without an owner": {
			given: []Event{registered},
			when:  DeleteAccount{Account: mia, Alone: "beta"},
			err:   ErrState, says: "the organization beta would have no owner any more",
		},
		"the last operator": {
			when: DeleteAccount{Account: ann},
			err:  ErrState, says: "the last operator's account can't be deleted",
		},
		"an operator": {
			given: []Event{registered, OperatorNamed{mia, acme}},
			when:  DeleteAccount{Account: ann},
			then:  []Event{AccountDeleted{Account: ann}},
		},
		"twice": {
			given: all(registered, gone),
			when:  remove,
			err:   ErrNotFound, says: "no such account",
		},
		"nobody": {
			when: DeleteAccount{},
			err:  ErrNotFound, says: "no such account",
		},
		"too long a reason": {
			given: []Event{registered},
			when:  DeleteAccount{Account: mia, Reason: strings.Repeat("a", MaxReason+1)},
			err:   ErrInvalid, says: "reason: has 1001 characters",
		},
	})
}

// Somebody with the e-mail of a deleted account is somebody else.
func TestDeletedAccount(t *testing.T) {
	d := platformAfter(AccountRegistered{mia, "Mia@example.org"}, OperatorNamed{mia, acme}, on(tomorrow, AccountDeleted{Account: mia}))
	if _, known := d.AccountOf("mia@example.org"); known || !d.Deleted(mia) || d.DeletedAccounts[mia] != tomorrow {
		t.Errorf("after its end the account is %v, deleted %v", d.Accounts, d.DeletedAccounts)
	}
	if _, operates := d.Operators[mia]; operates || len(d.Accounts) != 1 || len(d.AccountNumbers) != 1 || d.Deleted(ann) {
		t.Errorf("left over: %v %v %v", d.Operators, d.Accounts, d.AccountNumbers)
	}
	events, err := RegisterAccount{zoe, "mia@example.org"}.Decide(d, Meta{Actor: byAnn, Home: acme, Time: today})
	if len(events) != 1 || events[0] != (AccountRegistered{zoe, "mia@example.org"}) || err != nil {
		t.Errorf("the e-mail registers %v, %v", events, err)
	}
	d.Evolve(Commit{Meta: Meta{Position: 5}, Events: events})
	d.Evolve(Commit{Meta: Meta{Position: 6}, Events: []Event{AccountDeleted{Account: mia}}})
	if got, _ := d.AccountOf("mia@example.org"); got != zoe {
		t.Errorf("a second end of the old account takes the e-mail from the new one: %v", got)
	}
}

// Whose account is deleted has no rights anywhere, before their memberships end.
func TestDeletedAccountMayNothing(t *testing.T) {
	o := acmeAfter()
	m := Meta{Actor: byAnn, Time: today, Gone: true}
	if got := o.rights(m); !got.IsZero() {
		t.Errorf("rights are %v", permissionsOf(got))
	}
	_, err := UpdateOrganization{Name: "New"}.Decide(o, m)
	checkRefusal(t, err, ErrDenied, "needs the permission")
}

// The service removes whose account was deleted, whoever they were.
func TestRemoveDeletedAccount(t *testing.T) {
	const left = "its holder is no longer a member"
	run(t, acmeAfter, tenantScenarios{
		"a member": {
			when: RemoveMember{Account: mia, Reason: "their account was deleted"}, by: system,
			then: []Event{MemberRemoved{mia, "their account was deleted"}, TokenRevoked{tokenOf(mia), left}},
		},
		"the last owner": {
			when: RemoveMember{Account: ann}, by: system,
			then: []Event{MemberRemoved{Account: ann}, TokenRevoked{tokenOf(ann), left}},
		},
		"who is no member": {when: RemoveMember{Account: zoe}, by: system},
		"twice":            {given: []Event{MemberRemoved{Account: mia}}, when: RemoveMember{Account: mia}, by: system},
	})
}

func TestOwnedAlone(t *testing.T) {
	for name, c := range map[string]struct {
		given []Event
		who   AccountID
		want  bool
	}{
		"the only owner":                       {nil, ann, true},
		"a member":                             {nil, mia, false},
		"nobody":                               {nil, zoe, false},
		"one of two":                           {all(joined(zoe, Owner)), ann, false},
		"one of two, the other is suspended":   {all(joined(zoe, Owner), MemberSuspended{Account: zoe}), ann, true},
		"the suspended one":                    {all(joined(zoe, Owner), MemberSuspended{Account: zoe}), zoe, false},
		"the owner of what is no more":         {[]Event{OrganizationDeleted{}}, ann, false},
		"the only owner beside a full machine": {[]Event{ServiceAccountCreated{bot, "bot", "", Grant{Access: ByRole, Role: Owner}}}, ann, true},
	} {
		if got := acmeAfter(c.given...).OwnedAlone(c.who); got != c.want {
			t.Errorf("%s: %t, want %t", name, got, c.want)
		}
	}
}
