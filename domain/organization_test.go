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
	actors := map[string]Actor{"owner": byAnn, "admin": byBob, "member": byMia, "auditor": byAda, "program": byRobot, "machine": byBot}
	first := FirstToken{Token: token("new"), Hash: hashOf("new")}
	given := all(
		joined(zoe, Ordinary),
		issued(token("own"), mia, "own"), issued(token("auditors"), ada, "own"),
		TokenIssued{Token: token("adm"), Type: Administrative, Name: "adm", Hash: hashOf("adm")},
		botThere, clones, RoleCreated{"guest", "", nil},
		issued(token("waits"), zoe, "waits"), did(person(zoe), ApprovalRequested{token("waits"), tomorrow}),
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
		"revoke the program's own token":       {RevokeToken{Token: robot}, "owner admin program"},
		"leave, as a member":                   {RemoveMember{Account: mia}, "owner admin member"},
		"leave, as an auditor":                 {RemoveMember{Account: ada}, "owner admin auditor"},
		"reinstate whom nobody has suspended":  {UpdateMember{Account: zoe, Suspended: ptr(false)}, "owner admin"},
		"change nothing about a token":         {UpdateToken{Token: tokenOf(zoe)}, "owner admin"},
		"change what is no token":              {UpdateToken{Token: token("none")}, "owner admin"},
		"revoke what is no token":              {RevokeToken{Token: token("none")}, "owner admin program"},
		"remove who is no member":              {RemoveMember{Account: AccountID{named("eva")}}, "owner admin"},
		"change who is no member":              {UpdateMember{Account: AccountID{named("eva")}}, "owner admin"},
		"change nothing about somebody's role": {UpdateMember{Account: zoe}, "owner admin"},

		"delete the organization":                {DeleteOrganization{Alias: "acme"}, "owner"},
		"change the policy":                      {UpdatePolicy{Policy: UsualPolicy()}, "owner admin"},
		"define a permission":                    {DefinePermission{Definition{Name: "clones.read", Group: "clones"}}, "owner admin"},
		"retire a permission":                    {RetirePermission{"clones.create"}, "owner admin"},
		"make a role":                            {CreateRole{Name: "lead"}, "owner admin"},
		"make a role of an owner's":              {CreateRole{Name: "lead", Permissions: []string{"organization.delete"}}, "owner"},
		"change a custom role":                   {UpdateRole{Name: "guest", Permissions: &[]string{"tokens.check"}}, "owner admin"},
		"change a role to an owner's":            {UpdateRole{Name: "guest", Permissions: &[]string{"organization.delete"}}, "owner"},
		"delete a role":                          {DeleteRole{Name: "guest"}, "owner admin"},
		"delete what is no role":                 {DeleteRole{Name: "none"}, "owner admin"},
		"limit a member":                         {UpdateMember{Account: zoe, Limit: &Limit{1, 60}}, "owner admin"},
		"make a service account":                 {CreateServiceAccount{Account: eva, Name: "new", Grant: Grant{Access: ReadOnly}}, "owner admin"},
		"make one that may all":                  {CreateServiceAccount{Account: eva, Name: "new", Grant: Grant{Access: FullAccess}}, "owner"},
		"rename a service account":               {UpdateServiceAccount{Account: bot, Name: ptr("new")}, "owner admin"},
		"grant a service account all":            {UpdateServiceAccount{Account: bot, Grant: &Grant{Access: FullAccess}}, "owner"},
		"disable a service account":              {UpdateServiceAccount{Account: bot, Disabled: ptr(true)}, "owner admin"},
		"delete a service account":               {DeleteServiceAccount{Account: bot}, "owner admin"},
		"delete what is no service account":      {DeleteServiceAccount{Account: eva}, "owner admin"},
		"make a token of a machine":              {IssueToken{Token: token("new"), Kind: Service, Holder: bot, Name: "new"}, "owner admin"},
		"narrow a member's token":                {UpdateToken{Token: token("own"), Grant: &Grant{Access: ReadOnly}}, "owner admin member"},
		"move a member's token's end":            {UpdateToken{Token: token("own"), Expires: ptr(tomorrow)}, "owner admin member"},
		"rotate a member's token":                {RotateToken{Token: token("own"), Hash: hashOf("2")}, "member"},
		"rotate an auditor's token":              {RotateToken{Token: token("auditors"), Hash: hashOf("2")}, ""},
		"rotate an administrative token":         {RotateToken{Token: token("adm"), Hash: hashOf("2")}, "owner admin"},
		"rotate the program's own token":         {RotateToken{Token: robot, Hash: hashOf("2")}, "owner admin"},
		"rotate a machine's token":               {RotateToken{Token: tokenOf(bot), Hash: hashOf("2")}, "owner admin machine"},
		"rotate what is no token":                {RotateToken{Token: token("none"), Hash: hashOf("2")}, "owner admin"},
		"revoke personal ones":                   {RevokeTokens{Kind: Personal}, "owner admin program"},
		"revoke administrative ones":             {RevokeTokens{Kind: Administrative}, "owner admin"},
		"revoke a member's":                      {RevokeTokens{Holder: mia}, "owner admin member program"},
		"revoke an administrative one by its id": {RevokeTokens{Tokens: []TokenID{token("adm")}}, "owner admin"},
		"revoke what was before today":           {RevokeTokens{Before: today}, "owner admin program"},
		"approve":                                {ApproveToken{Token: token("waits")}, "owner admin"},
		"refuse":                                 {RefuseToken{Token: token("waits"), Reason: "too much"}, "owner admin"},
		"approve what does not wait":             {ApproveToken{Token: token("own")}, "owner admin"},
		"approve what is no token":               {ApproveToken{Token: token("none")}, "owner admin"},
		"burn":                                   {BurnToken{Token: token("own"), Hash: hashOf(token("own").String())}, ""},
		"warn":                                   {WarnOfExpiry{}, ""},
		"lapse":                                  {Lapse{}, ""},
		"report a reuse":                         {ReportReuse{Token: token("own")}, ""},
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
		"an owner whose token waits":                 {byAnn, all(second, ApprovalRequested{tokenOf(ann), nextYear}), today},
		"an owner whose token begins tomorrow":       {byAnn, all(second, TokenBound{tokenOf(ann), Terms{NotBefore: tomorrow}}), today},
		"an owner from another network":              {byAnn, all(second, TokenBound{tokenOf(ann), Terms{Networks: networks("10.0.0.0/8")}}), today},
		"an owner whose token is for one resource":   {byAnn, all(second, TokenBound{tokenOf(ann), Terms{Grant: Grant{Resources: []Resource{"engine:prod"}}}}), today},
		"an owner whose role was deleted":            {byAnn, all(second, RoleCreated{Name: "x", Permissions: []string{"organization.read"}}, MemberRoleChanged{ann, "x"}, RoleDeleted{"x"}), today},
		"an owner of what is no more":                {byAnn, []Event{OrganizationDeleted{}}, today},
		"an owner under a policy of networks":        {byAnn, []Event{demands(func(p *Policy) { p.Networks = networks("10.0.0.0/8") })}, today},
		"an owner under a policy of short lives":     {byAnn, []Event{demands(func(p *Policy) { p.Personal.Longest = day })}, today},
		"a machine that is disabled":                 {byBot, []Event{ServiceAccountSwitched{bot, true}}, today},
		"a machine that was deleted":                 {byBot, []Event{ServiceAccountDeleted{Account: bot}}, today},
		"a machine whose grant is gone":              {byBot, []Event{ServiceAccountGranted{bot, custom("clones.create")}, PermissionRetired{"clones.create"}}, today},
		"a machine that says it is a person":         {actor: Actor{Kind: ActorMember, Account: bot, Token: tokenOf(bot)}},
		"a machine that says it is the owner":        {actor: Actor{Kind: ActorService, Account: ann, Token: tokenOf(bot)}},
		"an owner who says they are a machine":       {actor: Actor{Kind: ActorService, Account: ann, Token: tokenOf(ann)}},
		"a bearer who is nobody":                     {actor: Actor{Kind: ActorBearer, Account: ann, Token: tokenOf(ann)}},
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
		TokenIssued{Token: token("adm"), Type: Administrative, Name: "adm", Hash: hashOf("adm")},
		botThere, clones, RoleCreated{"guest", "", nil},
		issued(token("waits"), zoe, "waits"), did(person(zoe), ApprovalRequested{token("waits"), nextYear + 1}),
		prodThere, RecordKept{Type: LabSession}, RecordKept{Type: LabInstance})
	prod, session := Position(len(given)-1), Position(len(given)) // the fixture is at position 1
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

		"delete the organization":          DeleteOrganization{Alias: "acme"},
		"change the policy":                UpdatePolicy{Policy: Policy(demands(func(p *Policy) { p.BoundOnly = true }))},
		"switch tokens off":                UpdatePolicy{Policy: Policy(demands(func(p *Policy) { p.Off = true }))},
		"define a permission":              DefinePermission{Definition{Name: "clones.read", Group: "clones"}},
		"retire a permission":              RetirePermission{"clones.create"},
		"make a role":                      CreateRole{Name: "lead"},
		"change a custom role":             UpdateRole{Name: "guest", Permissions: &[]string{"tokens.check"}},
		"delete a role":                    DeleteRole{Name: "guest"},
		"limit a member":                   UpdateMember{Account: zoe, Limit: &Limit{1, 60}},
		"make a service account":           CreateServiceAccount{Account: AccountID{named("new")}, Name: "new", Grant: Grant{Access: ReadOnly}},
		"grant a service account all":      UpdateServiceAccount{Account: bot, Grant: &Grant{Access: FullAccess}},
		"disable a service account":        UpdateServiceAccount{Account: bot, Disabled: ptr(true)},
		"delete a service account":         DeleteServiceAccount{Account: bot},
		"make a token of a machine":        IssueToken{Token: token("new"), Kind: Service, Holder: bot, Name: "new", Hash: hashOf("new")},
		"widen the owner's token":          UpdateToken{Token: token("own"), Grant: &Grant{Access: FullAccess}},
		"lengthen the owner's token":       UpdateToken{Token: token("own"), Expires: ptr(Instant(0))},
		"rotate the owner's token":         RotateToken{Token: token("own"), Hash: hashOf("2")},
		"rotate the shown token":           RotateToken{Token: tokenOf(ann), Hash: hashOf("2")},
		"rotate an administrative one":     RotateToken{Token: token("adm"), Hash: hashOf("2")},
		"rotate the program's token":       RotateToken{Token: robot, Hash: hashOf("2")},
		"rotate a machine's token":         RotateToken{Token: tokenOf(bot), Hash: hashOf("2")},
		"rotate what is no token":          RotateToken{Token: token("none"), Hash: hashOf("2")},
		"rotate nothing":                   RotateToken{},
		"revoke everything":                RevokeTokens{Before: today},
		"revoke the owner's tokens":        RevokeTokens{Holder: ann},
		"revoke tokens by their ids":       RevokeTokens{Tokens: []TokenID{token("own"), token("adm")}},
		"revoke no tokens":                 RevokeTokens{},
		"approve":                          ApproveToken{Token: token("waits")},
		"refuse":                           RefuseToken{Token: token("waits"), Reason: "too much"},
		"burn what they have no secret of": BurnToken{Token: token("own"), Hash: hashOf("guess")},
		"burn":                             BurnToken{Token: token("own"), Hash: hashOf(token("own").String())},
		"warn of what ends":                WarnOfExpiry{},
		"end what nobody has approved":     Lapse{},
		"report a reuse":                   ReportReuse{Token: token("own")},

		"register an engine":          RegisterEngine{Name: "new", EngineToken: EngineToken{Token: token("new"), Hash: hashOf("new")}},
		"open an engine to everybody": UpdateEngine{Engine: prod, Door: &Door{Open: true}},
		"disable an engine":           UpdateEngine{Engine: prod, Disabled: ptr(true)},
		"delete an engine":            DeleteEngine{Engine: prod},
		"replace its token":           ReplaceEngineToken{Engine: prod, EngineToken: EngineToken{Token: token("new"), Hash: hashOf("new")}},
		"change what is no engine":    UpdateEngine{Engine: 999},
		"send a session":              KeepRecord{Kind: LabSession},
		"send a report":               KeepRecord{Kind: CheckupReport, Project: "new"},
		"change a session":            AmendRecord{Number: session, Kind: LabSession, Facts: []byte("{}")},
		"change what is no session":   AmendRecord{Number: 999, Kind: LabSession},
		"remove a session":            RemoveRecords{Kind: LabSession, Numbers: []Position{session}},
		"remove an instance":          RemoveRecords{Kind: LabInstance, Numbers: []Position{session + 1}},
		"remove what is no instance":  RemoveRecords{Kind: LabInstance, Numbers: []Position{999}},
	} {
		for who, i := range impostors() {
			if i.actor.Kind == ActorSystem && forTheSystem(when) {
				continue
			}
			t.Run(what+", by "+who, func(t *testing.T) {
				at := max(i.at, today)
				o := acmeAfter(all(given, i.given)...)
				if got := o.rights(Meta{Actor: i.actor, Time: at}); !got.IsZero() {
					t.Errorf("rights are %v, want none", permissionsOf(got))
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

// forTheSystem reports what the service itself may do, besides what its own
// scenarios show. Nobody who comes through a door is the system.
func forTheSystem(c command[*Organization]) bool {
	switch c.(type) {
	case RemoveMember, WarnOfExpiry, Lapse, ReportReuse:
		return true
	}
	return false
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
	meta := Meta{Actor: byAnn, Time: today}
	checkRefusal(t, acmeAfter().Allows(meta, NoPermission), ErrDenied, "needs the permission")
	checkRefusal(t, acmeAfter().Allows(meta, permissionCount), ErrDenied, "needs the permission")
	checkRefusal(t, acmeAfter().Allows(meta, TokensCheck), nil, "")
}

func TestDeleteOrganization(t *testing.T) {
	remove := DeleteOrganization{Alias: "acme", Reason: "merged"}
	run(t, acmeAfter, tenantScenarios{
		"by an owner": {when: remove, then: []Event{OrganizationDeleted{"merged"}}},
		"an admin does not": {
			when: remove, by: byBob,
			err: ErrDenied, says: "needs the permission organization.delete",
		},
		"a token of full access of the organization does not": {
			given: []Event{TokenBound{robot, Terms{Grant: Grant{Access: FullAccess}}}},
			when:  remove, by: byRobot,
			err: ErrDenied, says: "needs the permission organization.delete",
		},
		"a read-only token of an owner does not": {
			given: []Event{TokenBound{tokenOf(ann), Terms{Grant: Grant{Access: ReadOnly}}}},
			when:  remove,
			err:   ErrDenied, says: "needs the permission organization.delete",
		},
		"without the alias": {
			when: DeleteOrganization{},
			err:  ErrInvalid, says: "alias: is not the alias of this organization",
		},
		"with the alias in capitals": {
			when: DeleteOrganization{Alias: "Acme"},
			err:  ErrInvalid, says: "alias: is not the alias of this organization",
		},
		"too long a reason": {
			when: DeleteOrganization{Alias: "acme", Reason: strings.Repeat("a", MaxReason+1)},
			err:  ErrInvalid, says: "reason: has 1001 characters",
		},
		"what was seen is stale": {
			given: []Event{OrganizationRenamed{"New"}},
			when:  DeleteOrganization{Alias: "acme", Seen: 1},
			err:   ErrStale, says: "changed at position 2",
		},
		"from where the platform is operated": {
			when: DeleteOrganization{Alias: "acme", Operated: true},
			err:  ErrState, says: "the platform is operated from here",
		},
		"twice": {
			given: []Event{OrganizationDeleted{}},
			when:  remove,
			err:   ErrDenied, says: "needs the permission organization.delete",
		},
	})
}

// Everything in it ends in one commit, and the alias is nobody's again.
func TestDeletedOrganization(t *testing.T) {
	o := acmeAfter(all(botThere, on(tomorrow, OrganizationDeleted{}))...)
	for _, id := range []TokenID{tokenOf(ann), tokenOf(mia), tokenOf(bot), robot} {
		if v := o.Standing(id, &Ask{Now: today}); v.Reason != ReasonDeleted || !v.Granted.IsZero() {
			t.Errorf("%v is %q, may %v", id, v.Reason, permissionsOf(v.Granted))
		}
	}
	if o.Deleted != tomorrow || o.Changed != 4 || o.Alias != "acme" {
		t.Errorf("deleted %v, changed %d, alias %q", o.Deleted, o.Changed, o.Alias)
	}
	d := platformAfter(OrganizationDeleted{})
	_, err := CreateOrganization{Organization: beta, Alias: "acme", Name: "Beta", First: first}.Decide(d, Meta{Actor: byAnn, Home: acme, Time: today})
	checkRefusal(t, err, ErrExists, `the alias "acme" is taken`)
}

// The policy can be read and changed while tokens are switched off, and by nobody else.
func TestAllowsWhileOff(t *testing.T) {
	o := acmeAfter(demands(func(p *Policy) { p.Off = true }))
	for actor, may := range map[Actor]bool{byAnn: true, byBob: true, byMia: false, byRobot: false} {
		m := Meta{Actor: actor, Time: today}
		if err := o.AllowsWhileOff(m, PolicyUpdate); err == nil != may {
			t.Errorf("%+v: %v, want allowed %t", actor, err, may)
		}
		checkRefusal(t, o.Allows(m, PolicyUpdate), ErrDenied, "needs the permission")
	}
	if !o.Policy.Off {
		t.Error("asking switches tokens on")
	}
}
