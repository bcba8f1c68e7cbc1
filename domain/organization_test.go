package domain

import (
	"slices"
	"strings"
	"testing"
)

func TestUpdateOrganization(t *testing.T) {
	run(t, acmeAfter, tenantScenarios{
		"rename": {
			when: UpdateOrganization{Name: "Acme Works"},
			then: []Event{OrganizationRenamed{"Acme Works"}},
		},
		"rename having seen the present one": {
			given: []Event{OrganizationRenamed{"Acme Works"}},
			when:  UpdateOrganization{Name: "Acme", Seen: 2},
			then:  []Event{OrganizationRenamed{"Acme"}},
		},
		"a change of something else does not make what was seen stale": {
			given: all(joined(zoe, Ordinary)),
			when:  UpdateOrganization{Name: "Acme Works", Seen: 1},
			then:  []Event{OrganizationRenamed{"Acme Works"}},
		},
		"rename to the same name": {
			when: UpdateOrganization{Name: "Acme"},
		},
		"an admin renames": {
			when: UpdateOrganization{Name: "Acme Works"}, by: byBob,
			then: []Event{OrganizationRenamed{"Acme Works"}},
		},
		"a member does not": {
			when: UpdateOrganization{Name: "Acme Works"}, by: byMia,
			err: ErrDenied, says: "needs the permission organization.update",
		},
		"what was seen is stale": {
			given: []Event{OrganizationRenamed{"Acme Works"}},
			when:  UpdateOrganization{Name: "Acme Labs", Seen: 1},
			err:   ErrStale, says: "changed at position 2",
		},
		"no name": {
			when: UpdateOrganization{}, err: ErrInvalid, says: "name: is empty",
		},
		"too long a name": {
			when: UpdateOrganization{Name: strings.Repeat("a", 10_000)}, err: ErrInvalid, says: "name: has 10000 characters",
		},
	})
}

// Who may give which command. Every actor of the fixture is on one side or the other.
func TestWhoMay(t *testing.T) {
	actors := map[string]Actor{"owner": byAnn, "admin": byBob, "member": byMia, "auditor": byAda, "program": byRobot}
	first := FirstToken{Token: token("new"), Hash: hashOf("new")}
	given := all(
		joined(zoe, Ordinary),
		issued(token("own"), mia, "own"), issued(token("auditors"), ada, "own"),
		TokenIssued{Token: token("adm"), Type: Administrative, Name: "adm", Hash: hashOf("adm")},
	)
	for name, c := range map[string]struct {
		when command[*Organization]
		may  string
	}{
		"rename the organization":              {UpdateOrganization{Name: "New"}, "owner admin"},
		"add a member":                         {AddMember{AccountID{named("eva")}, Ordinary, first}, "owner admin"},
		"add an admin":                         {AddMember{AccountID{named("eva")}, Admin, first}, "owner admin"},
		"add an owner":                         {AddMember{AccountID{named("eva")}, Owner, first}, "owner"},
		"change a role":                        {UpdateMember{Account: zoe, Role: ptr(Auditor)}, "owner admin"},
		"suspend":                              {UpdateMember{Account: zoe, Suspended: ptr(true)}, "owner admin"},
		"remove a member":                      {RemoveMember{Account: zoe}, "owner admin"},
		"make a personal token":                {IssueToken{Token: token("new"), Kind: Personal, Name: "new"}, "owner admin member"},
		"make an administrative token":         {IssueToken{Token: token("new"), Kind: Administrative, Name: "new"}, "owner admin"},
		"rename a member's token":              {UpdateToken{Token: token("own"), Name: ptr("new")}, "owner admin member"},
		"rename an auditor's token":            {UpdateToken{Token: token("auditors"), Name: ptr("new")}, "owner admin"},
		"rename somebody else's token":         {UpdateToken{Token: tokenOf(zoe), Name: ptr("new")}, "owner admin"},
		"rename an administrative token":       {UpdateToken{Token: token("adm"), Name: ptr("new")}, "owner admin"},
		"describe an administrative token":     {UpdateToken{Token: token("adm"), Description: ptr("new")}, "owner admin"},
		"revoke a member's token":              {RevokeToken{Token: token("own")}, "owner admin member program"},
		"revoke an auditor's token":            {RevokeToken{Token: token("auditors")}, "owner admin program"},
		"revoke somebody else's token":         {RevokeToken{Token: tokenOf(zoe)}, "owner admin program"},
		"revoke an administrative token":       {RevokeToken{Token: token("adm")}, "owner admin"},
		"revoke the program's own token":       {RevokeToken{Token: robot}, "owner admin"},
		"leave, as a member":                   {RemoveMember{Account: mia}, "owner admin member"},
		"leave, as an auditor":                 {RemoveMember{Account: ada}, "owner admin auditor"},
		"reinstate whom nobody has suspended":  {UpdateMember{Account: zoe, Suspended: ptr(false)}, "owner admin"},
		"change nothing about a token":         {UpdateToken{Token: tokenOf(zoe)}, "owner admin"},
		"change what is no token":              {UpdateToken{Token: token("none")}, "owner admin"},
		"revoke what is no token":              {RevokeToken{Token: token("none")}, "owner admin program"},
		"remove who is no member":              {RemoveMember{Account: AccountID{named("eva")}}, "owner admin"},
		"change who is no member":              {UpdateMember{Account: AccountID{named("eva")}}, "owner admin"},
		"change nothing about somebody's role": {UpdateMember{Account: zoe}, "owner admin"},
	} {
		for who, actor := range actors {
			t.Run(name+", by the "+who, func(t *testing.T) {
				events, err := c.when.Decide(acmeAfter(given...), Meta{Actor: actor, Time: today})
				if slices.Contains(strings.Fields(c.may), who) {
					if refused(err, ErrDenied) {
						t.Errorf("refused: %v", err)
					}
					return
				}
				checkRefusal(t, err, ErrDenied, " ")
				if len(events) != 0 {
					t.Errorf("is denied and causes %v", events)
				}
			})
		}
	}
}

// impostors are actors who can do nothing in Acme, whatever they say they are.
// Each is as strong as they can make themselves: they claim to be the owner.
func impostors() map[string]struct {
	actor Actor
	given []Event
	at    Instant
} {
	type impostor = struct {
		actor Actor
		given []Event
		at    Instant
	}
	eva := AccountID{named("eva")}
	second := all(joined(eva, Owner))
	return map[string]impostor{
		"nobody":                     {actor: Actor{}},
		"an owner who shows nothing": {actor: Actor{Kind: ActorMember, Account: ann}},
		"an owner who shows what is no token here":   {actor: Actor{Kind: ActorMember, Account: ann, Token: token("elsewhere")}},
		"an owner whose token is revoked":            {byAnn, all(second, TokenRevoked{Token: tokenOf(ann)}), today},
		"an owner whose token has expired":           {byAnn, second, nextYear},
		"an owner who is suspended":                  {byAnn, all(second, MemberSuspended{Account: ann}), today},
		"an owner who was removed":                   {byAnn, all(second, MemberRemoved{Account: ann}, TokenRevoked{Token: tokenOf(ann)}), today},
		"an owner who was removed, with a token":     {byAnn, all(second, MemberRemoved{Account: ann}), today},
		"a member who says they are the owner":       {actor: Actor{Kind: ActorMember, Account: ann, Token: tokenOf(mia)}},
		"an admin who says they are the owner":       {actor: Actor{Kind: ActorMember, Account: ann, Token: tokenOf(bob)}},
		"an owner who says they are somebody else":   {actor: Actor{Kind: ActorMember, Account: mia, Token: tokenOf(ann)}},
		"an owner who says they are nobody":          {actor: Actor{Kind: ActorMember, Token: tokenOf(ann)}},
		"an owner who says they are a program":       {actor: Actor{Kind: ActorToken, Account: ann, Token: tokenOf(ann)}},
		"a program that says it is the owner":        {actor: Actor{Kind: ActorMember, Account: ann, Token: robot}},
		"a program that says it is nobody in person": {actor: Actor{Kind: ActorMember, Token: robot}},
		"a program that names a person":              {actor: Actor{Kind: ActorToken, Account: ann, Token: robot}},
		"a program whose token is revoked":           {byRobot, all(second, TokenRevoked{Token: robot}), today},
		"a program whose token has expired":          {byRobot, second, nextYear},
		"the system":                                 {actor: system},
		"the system, with an owner's token":          {actor: Actor{Kind: ActorSystem, Account: ann, Token: tokenOf(ann)}},
		"a kind of actor that does not exist":        {actor: Actor{Kind: "root", Account: ann, Token: tokenOf(ann)}},
	}
}

func TestImpostorsDoNothing(t *testing.T) {
	first := FirstToken{Token: token("new"), Hash: hashOf("new")}
	given := all(joined(zoe, Ordinary),
		issued(token("own"), ann, "own"),
		TokenIssued{Token: token("adm"), Type: Administrative, Name: "adm", Hash: hashOf("adm")})
	for what, when := range map[string]command[*Organization]{
		"rename the organization":        UpdateOrganization{Name: "New"},
		"add a member":                   AddMember{AccountID{named("new")}, Ordinary, first},
		"add an owner":                   AddMember{AccountID{named("new")}, Owner, first},
		"change a role":                  UpdateMember{Account: zoe, Role: ptr(Auditor)},
		"make an owner":                  UpdateMember{Account: zoe, Role: ptr(Owner)},
		"suspend":                        UpdateMember{Account: zoe, Suspended: ptr(true)},
		"reinstate the owner":            UpdateMember{Account: ann, Suspended: ptr(false)},
		"remove a member":                RemoveMember{Account: zoe},
		"remove whom they claim to be":   RemoveMember{Account: ann},
		"remove somebody they may be":    RemoveMember{Account: mia},
		"remove nobody":                  RemoveMember{},
		"make a personal token":          IssueToken{Token: token("new"), Kind: Personal, Name: "new"},
		"make an administrative token":   IssueToken{Token: token("new"), Kind: Administrative, Name: "new"},
		"rename the owner's token":       UpdateToken{Token: token("own"), Name: ptr("new")},
		"rename an administrative token": UpdateToken{Token: token("adm"), Name: ptr("new")},
		"revoke the owner's token":       RevokeToken{Token: token("own")},
		"revoke an administrative token": RevokeToken{Token: token("adm")},
		"revoke the shown token again":   RevokeToken{Token: tokenOf(ann)},
		"revoke what is no token":        RevokeToken{Token: token("none")},
	} {
		for who, i := range impostors() {
			t.Run(what+", by "+who, func(t *testing.T) {
				at := max(i.at, today)
				o := acmeAfter(all(given, i.given)...)
				if got := o.Rights(i.actor, at); got != 0 {
					t.Errorf("rights are %b, want none", got)
				}
				events, err := when.Decide(o, Meta{Actor: i.actor, Time: at})
				if len(events) != 0 {
					t.Errorf("caused %v", events)
				}
				if !refused(err, ErrDenied) {
					t.Errorf("refusal is %v, want %v", err, ErrDenied)
				}
			})
		}
	}
}

func TestOrganizationRemembersItsBeginning(t *testing.T) {
	o := acmeAfter(OrganizationRenamed{"Acme Works"}, TokenRevoked{Token: tokenOf(mia)})
	if o.Number != 1 || o.Changed != 2 || o.Version != 3 {
		t.Errorf("number %d, changed %d, version %d, want 1, 2, 3", o.Number, o.Changed, o.Version)
	}
	if o.ID != acme || o.Alias != "acme" || o.Name != "Acme Works" || o.Created != today {
		t.Errorf("is %v %q %q of %v", o.ID, o.Alias, o.Name, o.Created)
	}
	if got, want := acme.Boundary(), Boundary(acme.String()); got != want || got == DirectoryBoundary {
		t.Errorf("boundary %q, want %q", got, want)
	}
}

func TestNobodyHasNoPermission(t *testing.T) {
	checkRefusal(t, acmeAfter().Allows(byAnn, NoPermission, today), ErrDenied, "needs the permission")
	checkRefusal(t, acmeAfter().Allows(byAnn, permissionCount, today), ErrDenied, "needs the permission")
	checkRefusal(t, acmeAfter().Allows(byAnn, TokensCheck, today), nil, "")
}
