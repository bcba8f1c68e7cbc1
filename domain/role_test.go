package domain

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What each may do, in full. A permission that moves from one line to another is
// a change of the promise that roles are.
func TestPermissions(t *testing.T) {
	const (
		calls   = " database-lab.joe database-lab.checkup database-lab.telemetry database-lab.sessions database-lab.instances"
		lab     = calls + " database-lab.read"
		read    = "organization.read policy.read members.read roles.read permissions.read tokens.check tokens.read-own engines.read database-lab.read"
		readAny = " tokens.read-any log.read webhooks.read"
		own     = " tokens.create-personal tokens.update-own tokens.rotate-own tokens.revoke-own engines.use" + calls
		admin   = " organization.update policy.update members.add members.update members.remove" +
			" roles.create roles.update roles.delete permissions.define permissions.retire" +
			" tokens.create-administrative tokens.create-service tokens.update-any tokens.rotate-any tokens.revoke-any" +
			" tokens.approve engines.create engines.update engines.delete database-lab.delete webhooks.write"
		administrative = "organization.read members.read tokens.check tokens.read-any tokens.revoke-any engines.read" + lab
	)
	o := acmeAfter()
	for who, c := range map[string]struct {
		got  Permissions
		want string
	}{
		"nobody":               {o.permissionsOf(NoRole), ""},
		"auditor":              {o.permissionsOf(Auditor), read + readAny},
		"member":               {o.permissionsOf(Ordinary), read + own},
		"admin":                {o.permissionsOf(Admin), read + own + readAny + admin},
		"owner":                {o.permissionsOf(Owner), read + own + readAny + admin + " organization.delete"},
		"administrative token": {administrativePermissions, administrative},
		"admin:write":          {o.permissionsOf("admin:write"), read + own + readAny + admin},
		"admin:read":           {o.permissionsOf("admin:read"), read + readAny},
		"general:write":        {o.permissionsOf("general:write"), read + own},
		"general:read":         {o.permissionsOf("general:read"), read},
		"ci":                   {o.permissionsOf("ci"), "organization.read tokens.check tokens.rotate-own engines.use"},
		"schema-only":          {o.permissionsOf("schema-only"), "organization.read roles.read permissions.read"},
		"engine":               {o.permissionsOf("engine"), "tokens.check database-lab.telemetry database-lab.sessions database-lab.instances"},
		"joe":                  {o.permissionsOf("joe"), "tokens.check database-lab.joe database-lab.read"},
		"database-lab":         {o.permissionsOf("database-lab"), "tokens.check" + lab},
		"no role there is":     {o.permissionsOf("root"), ""},
	} {
		t.Run(who, func(t *testing.T) {
			want := strings.Fields(c.want)
			slices.Sort(want)
			if diff := cmp.Diff(want, permissionsOf(c.got)); diff != "" {
				t.Errorf("permissions (-want +got):\n%s", diff)
			}
		})
	}
}

func permissionsOf(set Permissions) []string {
	names := []string{}
	for p := range set.All() {
		names = append(names, p.String())
	}
	slices.Sort(names)
	return names
}

func TestTokenKindNames(t *testing.T) {
	for kind, name := range map[TokenKind]string{Personal: "personal", Administrative: "administrative", Service: "service"} {
		text, err := kind.MarshalText()
		if string(text) != name || err != nil {
			t.Errorf("kind %d is written %q, %v, want %q", kind, text, err, name)
		}
		var again TokenKind
		if err := again.UnmarshalText(text); err != nil || again != kind {
			t.Errorf("%q is read as %d, %v", text, again, err)
		}
	}
	for _, name := range []string{"", "Personal", "pat", "adm", "svc", "Service", "personal "} {
		_, err := ParseTokenKind(name)
		checkRefusal(t, err, ErrInvalid, "kind: ")
	}
	if got := TokenKind(99).String(); got != "" {
		t.Errorf("a kind that does not exist is called %q", got)
	}
}

func TestCreateRole(t *testing.T) {
	create := CreateRole{"cloner", "makes clones", []string{"tokens.check", "clones.create", "tokens.check"}}
	called := func(name Role) CreateRole { return CreateRole{Name: name} }
	run(t, acmeAfter, tenantScenarios{
		"a role": {
			given: []Event{clones},
			when:  create,
			then:  []Event{RoleCreated{"cloner", "makes clones", []string{"clones.create", "tokens.check"}}},
		},
		"a role that allows nothing": {
			when: called("guest"),
			then: []Event{RoleCreated{Name: "guest"}},
		},
		"an admin makes what an admin may": {
			when: CreateRole{"deputy", "", []string{"members.add"}}, by: byBob,
			then: []Event{RoleCreated{"deputy", "", []string{"members.add"}}},
		},
		"an admin does not make what only an owner may": {
			when: CreateRole{"deputy", "", []string{"organization.delete"}}, by: byBob,
			err: ErrDenied, says: "permissions: it would allow what you may not do yourself: organization.delete",
		},
		"a limited token does not make what it may not": {
			given: []Event{granted(tokenOf(ann), "roles.create", "roles.read")},
			when:  CreateRole{"deputy", "", []string{"roles.read", "members.add"}},
			err:   ErrDenied, says: "what you may not do yourself: members.add",
		},
		"what would be too much is named, but not all of it": {
			given: []Event{granted(tokenOf(ann), "roles.create")},
			when:  CreateRole{"deputy", "", []string{"members.add", "members.read", "members.update", "members.remove", "log.read", "roles.read", "policy.read"}},
			err:   ErrDenied, says: "and 2 more",
		},
		"a member does not": {
			when: called("guest"), by: byMia,
			err: ErrDenied, says: "needs the permission roles.create",
		},
		"a program does not": {
			when: called("guest"), by: byRobot,
			err: ErrDenied, says: "needs the permission roles.create",
		},
		"a name that there is": {
			given: []Event{RoleCreated{Name: "guest"}},
			when:  called("guest"),
			err:   ErrExists, says: `name: there is a role "guest" already`,
		},
		"the name of a built-in role": {
			when: called("member"),
			err:  ErrExists, says: `there is a role "member" already`,
		},
		"the name of a ready-made role": {
			when: called("admin:read"),
			err:  ErrExists, says: `there is a role "admin:read" already`,
		},
		"a name that a deleted role had": {
			given: []Event{RoleCreated{Name: "guest"}, RoleDeleted{"guest"}},
			when:  called("guest"),
			then:  []Event{RoleCreated{Name: "guest"}},
		},
		"no name":               {when: called(""), err: ErrInvalid, says: `name: "" is no name of a role`},
		"a name of one letter":  {when: called("a"), err: ErrInvalid, says: "is no name of a role"},
		"a name in capitals":    {when: called("Guest"), err: ErrInvalid, says: "is no name of a role"},
		"a name with a blank":   {when: called("guest "), err: ErrInvalid, says: "is no name of a role"},
		"a name with two signs": {when: called("guest--x"), err: ErrInvalid, says: "is no name of a role"},
		"too long a name":       {when: called(Role(strings.Repeat("a", MaxAlias+1))), err: ErrInvalid, says: "is no name of a role"},
		"the longest name": {
			when: called(Role(strings.Repeat("a", MaxAlias))),
			then: []Event{RoleCreated{Name: Role(strings.Repeat("a", MaxAlias))}},
		},
		"a permission that there is not": {
			when: CreateRole{"guest", "", []string{"tokens.check", "clones.create"}},
			err:  ErrInvalid, says: `permissions: there is no permission "clones.create"`,
		},
		"a permission that was retired": {
			given: []Event{clones, PermissionRetired{"clones.create"}},
			when:  CreateRole{"guest", "", []string{"clones.create"}},
			err:   ErrInvalid, says: `there is no permission "clones.create"`,
		},
		"a permission without a name": {
			when: CreateRole{"guest", "", []string{""}},
			err:  ErrInvalid, says: `there is no permission ""`,
		},
		"too long a description": {
			when: CreateRole{"guest", strings.Repeat("a", MaxDescription+1), nil},
			err:  ErrInvalid, says: "description: has 1001 characters",
		},
	})
}

func TestUpdateRole(t *testing.T) {
	guest := RoleCreated{"guest", "looks", []string{"tokens.check"}}
	may := func(names ...string) UpdateRole { return UpdateRole{Name: "guest", Permissions: &names} }
	run(t, acmeAfter, tenantScenarios{
		"what it allows": {
			given: []Event{guest},
			when:  may("roles.read", "members.read", "roles.read"),
			then:  []Event{RoleChanged{"guest", "looks", []string{"members.read", "roles.read"}}},
		},
		"what it says": {
			given: []Event{guest},
			when:  UpdateRole{Name: "guest", Description: ptr("visits")},
			then:  []Event{RoleChanged{"guest", "visits", []string{"tokens.check"}}},
		},
		"nothing any more": {
			given: []Event{guest},
			when:  may(),
			then:  []Event{RoleChanged{"guest", "looks", nil}},
		},
		"nothing":      {given: []Event{guest}, when: UpdateRole{Name: "guest"}},
		"what it was":  {given: []Event{guest}, when: may("tokens.check")},
		"what it said": {given: []Event{guest}, when: UpdateRole{Name: "guest", Description: ptr("looks")}},
		"a built-in one": {
			when: UpdateRole{Name: "member", Description: ptr("works")},
			err:  ErrState, says: "the role member is in every organization and can't be changed",
		},
		"a ready-made one": {
			when: UpdateRole{Name: "ci", Permissions: &[]string{}},
			err:  ErrState, says: "the role ci is in every organization",
		},
		"what there is not": {
			when: may("tokens.check"),
			err:  ErrNotFound, says: "no such role",
		},
		"what was deleted": {
			given: []Event{guest, RoleDeleted{"guest"}},
			when:  may("tokens.check"),
			err:   ErrNotFound, says: "no such role",
		},
		"no role": {
			when: UpdateRole{},
			err:  ErrNotFound, says: "no such role",
		},
		"a member does not, and does not learn what there is": {
			when: may("tokens.check"), by: byMia,
			err: ErrDenied, says: "needs the permission roles.update",
		},
		"one's own, to more than one may": {
			given: all(RoleCreated{"lead", "", []string{"roles.update", "tokens.check"}}, joined(zoe, "lead")),
			when:  UpdateRole{Name: "lead", Permissions: &[]string{"roles.update", "tokens.check", "members.add"}}, by: person(zoe),
			err: ErrDenied, says: "what you may not do yourself: members.add",
		},
		"one's own, to less": {
			given: all(RoleCreated{"lead", "", []string{"roles.update", "tokens.check"}}, joined(zoe, "lead")),
			when:  UpdateRole{Name: "lead", Permissions: &[]string{"tokens.check"}}, by: person(zoe),
			then: []Event{RoleChanged{"lead", "", []string{"tokens.check"}}},
		},
		"one that allows more than one may, to less": {
			given: all(RoleCreated{"lead", "", []string{"roles.update"}}, RoleCreated{"deputy", "", []string{"members.add"}}, joined(zoe, "lead")),
			when:  UpdateRole{Name: "deputy", Permissions: &[]string{}}, by: person(zoe),
			err: ErrDenied, says: "what you may not do yourself: members.add",
		},
		"a permission that there is not": {
			given: []Event{guest},
			when:  may("root"),
			err:   ErrInvalid, says: `there is no permission "root"`,
		},
		"one that has what was retired, which goes": {
			given: []Event{clones, RoleCreated{"cloner", "", []string{"clones.create", "tokens.check"}}, PermissionRetired{"clones.create"}},
			when:  UpdateRole{Name: "cloner", Description: ptr("none")},
			then:  []Event{RoleChanged{"cloner", "none", []string{"tokens.check"}}},
		},
		"one that has what was retired and is defined again": {
			given: []Event{clones, RoleCreated{"cloner", "", []string{"clones.create"}}, PermissionRetired{"clones.create"}, clones},
			when:  UpdateRole{Name: "cloner", Permissions: &[]string{"clones.create"}},
			then:  []Event{RoleChanged{"cloner", "", []string{"clones.create"}}},
		},
		"too long a description": {
			given: []Event{guest},
			when:  UpdateRole{Name: "guest", Description: ptr(strings.Repeat("a", MaxDescription+1))},
			err:   ErrInvalid, says: "description: has 1001 characters",
		},
		"having seen the present state": {
			given: []Event{guest},
			when:  UpdateRole{Name: "guest", Description: ptr("visits"), Seen: 2},
			then:  []Event{RoleChanged{"guest", "visits", []string{"tokens.check"}}},
		},
		"what was seen is stale": {
			given: []Event{guest, RoleChanged{"guest", "looks", []string{"tokens.check"}}},
			when:  UpdateRole{Name: "guest", Description: ptr("visits"), Seen: 2},
			err:   ErrStale, says: "changed at position 3",
		},
	})
}

func TestDeleteRole(t *testing.T) {
	guest := RoleCreated{"guest", "looks", []string{"tokens.check"}}
	gone := []Event{RoleDeleted{"guest"}}
	run(t, acmeAfter, tenantScenarios{
		"a role":                     {given: []Event{guest}, when: DeleteRole{Name: "guest"}, then: gone},
		"an admin deletes":           {given: []Event{guest}, when: DeleteRole{Name: "guest"}, by: byBob, then: gone},
		"a role that a token names":  {given: []Event{guest, TokenBound{robot, Terms{Grant: Grant{Access: ByRole, Role: "guest"}}}}, when: DeleteRole{Name: "guest"}, then: gone},
		"a role that somebody left":  {given: all(guest, joined(zoe, "guest"), MemberRemoved{Account: zoe}), when: DeleteRole{Name: "guest"}, then: gone},
		"a role that somebody lost":  {given: all(guest, joined(zoe, "guest"), MemberRoleChanged{zoe, Ordinary}), when: DeleteRole{Name: "guest"}, then: gone},
		"a role that a machine lost": {given: all(guest, ServiceAccountCreated{Account: bot, Name: "bot", Grant: Grant{Access: ByRole, Role: "guest"}}, ServiceAccountDeleted{Account: bot}), when: DeleteRole{Name: "guest"}, then: gone},
		"a role that somebody has": {
			given: all(guest, joined(zoe, "guest")),
			when:  DeleteRole{Name: "guest"},
			err:   ErrState, says: "somebody has the role guest",
		},
		"a role that somebody has who is suspended": {
			given: all(guest, joined(zoe, "guest"), MemberSuspended{Account: zoe}),
			when:  DeleteRole{Name: "guest"},
			err:   ErrState, says: "somebody has the role guest",
		},
		"a role that a service account has": {
			given: []Event{guest, ServiceAccountCreated{Account: bot, Name: "bot", Grant: Grant{Access: ByRole, Role: "guest"}}},
			when:  DeleteRole{Name: "guest"},
			err:   ErrState, says: "somebody has the role guest",
		},
		"a role that may make personal tokens, by the policy": {
			given: []Event{guest, demands(func(p *Policy) { p.Personal.Creators = []Role{Owner, "guest"} })},
			when:  DeleteRole{Name: "guest"},
			err:   ErrState, says: "the policy names the role guest",
		},
		"a role that may make administrative tokens, by the policy": {
			given: []Event{guest, demands(func(p *Policy) { p.Administrative.Creators = []Role{"guest"} })},
			when:  DeleteRole{Name: "guest"},
			err:   ErrState, says: "the policy names the role guest",
		},
		"a role that may make machines' tokens, by the policy": {
			given: []Event{guest, demands(func(p *Policy) { p.Service.Creators = []Role{"guest"} })},
			when:  DeleteRole{Name: "guest"},
			err:   ErrState, says: "the policy names the role guest",
		},
		"a role that needs approval, by the policy": {
			given: []Event{guest, demands(func(p *Policy) { p.Approval.Grants = []string{"full-access", "guest"} })},
			when:  DeleteRole{Name: "guest"},
			err:   ErrState, says: "the policy names the role guest",
		},
		"a role that the policy names no longer": {
			given: []Event{guest, demands(func(p *Policy) { p.Approval.Grants = []string{"guest"} }), demands(func(p *Policy) { p.Personal.Creators = []Role{Owner} })},
			when:  DeleteRole{Name: "guest"},
			then:  gone,
		},
		"twice": {
			given: []Event{guest, RoleDeleted{"guest"}},
			when:  DeleteRole{Name: "guest"},
			err:   ErrNotFound, says: "no such role",
		},
		"the second of that name": {
			given: all(guest, RoleDeleted{"guest"}, guest),
			when:  DeleteRole{Name: "guest"},
			then:  gone,
		},
		"a built-in one": {
			when: DeleteRole{Name: "auditor"},
			err:  ErrState, says: "can't be changed",
		},
		"no role": {
			when: DeleteRole{},
			err:  ErrNotFound, says: "no such role",
		},
		"a member does not": {
			given: []Event{guest},
			when:  DeleteRole{Name: "guest"}, by: byMia,
			err: ErrDenied, says: "needs the permission roles.delete",
		},
		"what was seen is stale": {
			given: []Event{guest, RoleChanged{"guest", "x", nil}},
			when:  DeleteRole{Name: "guest", Seen: 2},
			err:   ErrStale, says: "changed at position 3",
		},
	})
}

// One of the same name is another role: what named the old one gets nothing of it.
func TestDeletedRoleRevivesNothing(t *testing.T) {
	guest := RoleCreated{"guest", "", []string{"tokens.check"}}
	byRole := Terms{Grant: Grant{Access: ByRole, Role: "guest"}}
	o := acmeAfter(guest, TokenBound{robot, byRole})
	check := func() Verdict { return o.Standing(robot, &Ask{Now: today, Permission: "tokens.check"}) }
	if v := check(); !v.Active() || v.Denied != ReasonNone {
		t.Fatalf("a token with the role: %q %q", v.Reason, v.Denied)
	}
	decide(t, o, byAnn, UpdateRole{Name: "guest", Permissions: &[]string{"members.read"}})
	if v := check(); v.Denied != ReasonPermission || !v.Granted.Has(MembersRead) {
		t.Errorf("after the role was changed: %q, %v", v.Denied, permissionsOf(v.Granted))
	}
	decide(t, o, byAnn, DeleteRole{Name: "guest"})
	if v := check(); !v.Active() || !v.Granted.IsZero() {
		t.Errorf("after the role was deleted: %q, %v", v.Reason, permissionsOf(v.Granted))
	}
	decide(t, o, byAnn, CreateRole{Name: "guest", Permissions: []string{"tokens.check"}})
	if v := check(); !v.Granted.IsZero() {
		t.Errorf("after another role of that name was made: %v", permissionsOf(v.Granted))
	}
	decide(t, o, byAnn, UpdateToken{Token: robot, Grant: &byRole.Grant})
	if v := check(); v.Granted != PermissionsOf(TokensCheck) {
		t.Errorf("after the token was given the other role: %v", permissionsOf(v.Granted))
	}
}

func TestRolesRunOut(t *testing.T) {
	o := acmeAfter()
	given := len(o.roles)
	for i := range MaxRoles - given {
		o.Evolve(Commit{Events: []Event{RoleCreated{Name: Role(fmt.Sprintf("role-%d", i))}}})
	}
	_, err := CreateRole{Name: "one-more"}.Decide(o, Meta{Actor: byAnn, Time: today})
	checkRefusal(t, err, ErrState, "1000 roles were made here, and no more fit")
}

func TestRoles(t *testing.T) {
	o := acmeAfter(RoleCreated{"guest", "looks", []string{"tokens.check"}}, RoleCreated{Name: "gone"}, RoleDeleted{"gone"})
	var names []string
	for _, r := range o.Roles() {
		names = append(names, string(r.Name)+" "+string(r.Type))
	}
	want := []string{
		"auditor built-in", "member built-in", "admin built-in", "owner built-in", "admin:write ready-made", "admin:read ready-made",
		"general:write ready-made", "general:read ready-made", "ci ready-made", "schema-only ready-made", "engine ready-made",
		"joe ready-made", "database-lab ready-made", "guest custom",
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("roles (-want +got):\n%s", diff)
	}
	r, err := o.Role("guest")
	if want := (RoleDefinition{"guest", Custom, "looks", PermissionsOf(TokensCheck), 2, false}); r != want || err != nil {
		t.Errorf("guest is %+v, %v, want %+v", r, err, want)
	}
	for _, name := range []Role{"gone", "", "Owner", "root"} {
		_, err := o.Role(name)
		checkRefusal(t, err, ErrNotFound, "no such role")
	}
	if got := len(acmeAfter().Roles()); got != 13 {
		t.Errorf("another organization has %d roles", got)
	}
}
