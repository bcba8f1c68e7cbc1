package domain

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDefinePermission(t *testing.T) {
	define := func(change func(*Definition)) DefinePermission {
		d := clones.Definition
		change(&d)
		return DefinePermission{d}
	}
	called := func(name string) DefinePermission { return define(func(d *Definition) { d.Name = name }) }
	run(t, acmeAfter, tenantScenarios{
		"a permission": {
			when: DefinePermission(clones),
			then: []Event{clones},
		},
		"an admin defines": {
			when: DefinePermission(clones), by: byBob,
			then: []Event{clones},
		},
		"a member does not": {
			when: DefinePermission(clones), by: byMia,
			err: ErrDenied, says: "needs the permission permissions.define",
		},
		"a program does not": {
			when: DefinePermission(clones), by: byRobot,
			err: ErrDenied, says: "needs the permission permissions.define",
		},
		"a program whose grant has it does": {
			given: []Event{granted(robot, "permissions.define")},
			when:  DefinePermission(clones), by: byRobot,
			then: []Event{clones},
		},
		"a read-only token of an owner does not": {
			given: []Event{TokenBound{tokenOf(ann), Terms{Grant: Grant{Access: ReadOnly}}}},
			when:  DefinePermission(clones),
			err:   ErrDenied, says: "needs the permission permissions.define",
		},
		"a name that there is": {
			given: []Event{clones},
			when:  DefinePermission(clones),
			err:   ErrExists, says: `name: there is a permission "clones.create" already`,
		},
		"a name of the service itself": {
			when: called("tokens.check"),
			err:  ErrExists, says: `there is a permission "tokens.check" already`,
		},
		"a name that was retired": {
			given: []Event{clones, PermissionRetired{"clones.create"}},
			when:  DefinePermission(clones),
			then:  []Event{clones},
		},
		"of no resource": {
			when: define(func(d *Definition) { d.Resource = "" }),
			then: []Event{PermissionDefined{Definition{Name: "clones.create", Group: "clones", Write: true, Description: "make clones"}}},
		},
		"no name":                   {when: called(""), err: ErrInvalid, says: `name: "" is no name of a permission`},
		"a name of one part":        {when: called("clones"), err: ErrInvalid, says: "is no name of a permission"},
		"a name in capitals":        {when: called("Clones.create"), err: ErrInvalid, says: "is no name of a permission"},
		"a name with a star":        {when: called("clones.*"), err: ErrInvalid, says: "is no name of a permission"},
		"a name with two dots":      {when: called("clones..create"), err: ErrInvalid, says: "is no name of a permission"},
		"a name with a blank":       {when: called("clones.create "), err: ErrInvalid, says: "is no name of a permission"},
		"a name of two lines":       {when: called("clones.create\n"), err: ErrInvalid, says: "is no name of a permission"},
		"a name in other letters":   {when: called("сlones.create"), err: ErrInvalid, says: "is no name of a permission"},
		"too long a name":           {when: called("a." + strings.Repeat("b", MaxName-1)), err: ErrInvalid, says: "is no name of a permission"},
		"no group":                  {when: define(func(d *Definition) { d.Group = "" }), err: ErrInvalid, says: `group: "" is no name of a group`},
		"a group in capitals":       {when: define(func(d *Definition) { d.Group = "Clones" }), err: ErrInvalid, says: "is no name of a group"},
		"too long a group":          {when: define(func(d *Definition) { d.Group = strings.Repeat("a", MaxAlias+1) }), err: ErrInvalid, says: "is no name of a group"},
		"a type with a colon":       {when: define(func(d *Definition) { d.Resource = "engine:" }), err: ErrInvalid, says: `resource_type: "engine:" is no type of resource`},
		"too long a type":           {when: define(func(d *Definition) { d.Resource = strings.Repeat("a", MaxAlias+1) }), err: ErrInvalid, says: "is no type of resource"},
		"too long a description":    {when: define(func(d *Definition) { d.Description = strings.Repeat("a", MaxDescription+1) }), err: ErrInvalid, says: "description: has 1001 characters"},
		"a description with a bell": {when: define(func(d *Definition) { d.Description = "\a" }), err: ErrInvalid, says: "description: has a character"},
	})
}

func TestRetirePermission(t *testing.T) {
	retire := RetirePermission{"clones.create"}
	run(t, acmeAfter, tenantScenarios{
		"a permission": {
			given: []Event{clones},
			when:  retire,
			then:  []Event{PermissionRetired{"clones.create"}},
		},
		"a permission that a role has and a token": {
			given: []Event{clones, RoleCreated{"cloner", "", []string{"clones.create"}}, granted(tokenOf(mia), "clones.create")},
			when:  retire, by: byBob,
			then: []Event{PermissionRetired{"clones.create"}},
		},
		"one that needs approval, by the policy": {
			given: []Event{clones, demands(func(p *Policy) { p.Approval.Grants = []string{"full-access", "clones.create"} })},
			when:  retire,
			err:   ErrState, says: "the policy names the permission clones.create",
		},
		"one that the policy names no longer": {
			given: []Event{clones, demands(func(p *Policy) { p.Approval.Grants = []string{"clones.create"} }), demands(func(p *Policy) { p.Approval.Grants = []string{"tokens.check"} })},
			when:  retire,
			then:  []Event{PermissionRetired{"clones.create"}},
		},
		"twice": {
			given: []Event{clones, PermissionRetired{"clones.create"}},
			when:  retire,
			err:   ErrNotFound, says: "no such permission",
		},
		"what there never was": {
			when: retire,
			err:  ErrNotFound, says: "no such permission",
		},
		"nothing": {
			when: RetirePermission{},
			err:  ErrNotFound, says: "no such permission",
		},
		"one of the service itself": {
			when: RetirePermission{"tokens.check"},
			err:  ErrState, says: "tokens.check belongs to the service itself",
		},
		"a member does not": {
			given: []Event{clones},
			when:  retire, by: byMia,
			err: ErrDenied, says: "needs the permission permissions.retire",
		},
		"a member does not learn what there is": {
			when: retire, by: byMia,
			err: ErrDenied, says: "needs the permission permissions.retire",
		},
	})
}

// Every permission of the service has a name, a group, a sentence and its place.
func TestCatalogue(t *testing.T) {
	o := acmeAfter()
	for p := NoPermission + 1; p < permissionCount; p++ {
		d := definitions[p]
		if err := d.check(); err != nil || d.Description == "" {
			t.Errorf("permission %d is %+v: %v", p, d, err)
		}
		if got := o.Permission(p.String()); p.String() != d.Name || got != p {
			t.Errorf("permission %d is called %q, which is %d", p, p, got)
		}
	}
	for _, name := range []string{"", "tokens", "Tokens.check", "tokens.check ", "root"} {
		if got := o.Permission(name); got != NoPermission {
			t.Errorf("%q is permission %d, want none", name, got)
		}
	}
	if got := permissionCount.String() + Permission(255).String() + firstOwn.String() + Permission(65535).String(); got != "" {
		t.Errorf("permissions that do not exist are called %q", got)
	}
	if permissionCount > firstOwn || MaxPermissions != 384 {
		t.Errorf("%d permissions of the service, %d of an organization's own", permissionCount, MaxPermissions)
	}
}

// What a permission allows is marked and never guessed from its name.
func TestMarksAreMarks(t *testing.T) {
	lies := Definition{Name: "clones.read", Group: "clones", Write: true}
	o := acmeAfter(PermissionDefined{lies}, PermissionDefined{Definition{Name: "clones.delete", Group: "clones"}},
		TokenBound{tokenOf(mia), Terms{Grant: Grant{Access: ReadOnly}}})
	v := o.Standing(tokenOf(mia), &Ask{Now: today})
	if v.Granted.Has(o.Permission("clones.read")) || !v.Granted.Has(o.Permission("clones.delete")) {
		t.Errorf("read-only may %v", o.Names(v.Granted))
	}
}

func TestPermissionSets(t *testing.T) {
	edges := []Permission{1, 63, 64, 127, 128, 511}
	set := PermissionsOf(edges...)
	if got := slices.Collect(set.All()); !slices.Equal(got, edges) {
		t.Errorf("set has %v, want %v", got, edges)
	}
	for range set.All() {
		break // whoever stops is not asked again
	}
	everything := Permissions{}
	for i := range everything {
		everything[i] = ^uint64(0)
	}
	for _, p := range []Permission{NoPermission, 512, 513, 65535} {
		if everything.Has(p) {
			t.Errorf("the set of everything has %d, which is no permission", p)
		}
	}
	for _, p := range []Permission{0, 2, 62, 65, 126, 129, 510} {
		if set.Has(p) {
			t.Errorf("set has %d", p)
		}
	}
	none := Permissions{}
	if !none.IsZero() || set.IsZero() || set.and(&none) != none || set.or(none) != set || set.without(&set) != none || set.without(&none) != set {
		t.Error("sets do not add up")
	}
	if got := PermissionsOf(); !got.IsZero() {
		t.Errorf("nothing is %v", got)
	}
}

func TestDefinitionsAreWhatLives(t *testing.T) {
	o := acmeAfter(clones, PermissionDefined{Definition{Name: "clones.read", Group: "clones"}}, PermissionRetired{"clones.create"})
	all := o.Definitions()
	if len(all) != int(permissionCount) || all[0].Name != "organization.read" || all[len(all)-1].Name != "clones.read" {
		t.Errorf("%d definitions: %v", len(all), all)
	}
	if diff := cmp.Diff([]string{"tokens.check", "clones.read"}, o.Names(PermissionsOf(TokensCheck, firstOwn, firstOwn+1))); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	if got := o.Names(Permissions{}); got == nil || len(got) != 0 {
		t.Errorf("names of nothing are %#v", got)
	}
	if got := acmeAfter().Permission("clones.read"); got != NoPermission {
		t.Error("another organization has it too")
	}
}

// A new permission goes to the roles that have all of its kind, and to no custom one.
func TestWhoGetsANewPermission(t *testing.T) {
	define := func(write, administrative bool) Event {
		return PermissionDefined{Definition{Name: "clones.x", Group: "clones", Write: write, Administrative: administrative}}
	}
	for name, c := range map[string]struct {
		defined Event
		has     string
	}{
		"read, general":         {define(false, false), "auditor member admin owner admin:write admin:read general:write general:read ci"},
		"write, general":        {define(true, false), "member admin owner admin:write general:write ci"},
		"read, administrative":  {define(false, true), "auditor admin owner admin:write admin:read"},
		"write, administrative": {define(true, true), "admin owner admin:write"},
	} {
		t.Run(name, func(t *testing.T) {
			o := acmeAfter(RoleCreated{"cloner", "", []string{"tokens.check"}}, c.defined)
			var has []string
			for _, r := range o.Roles() {
				if r.Permissions.Has(o.Permission("clones.x")) {
					has = append(has, string(r.Name))
				}
			}
			if diff := cmp.Diff(strings.Fields(c.has), has); diff != "" {
				t.Errorf("roles (-want +got):\n%s", diff)
			}
			v := o.Standing(robot, &Ask{Now: today})
			if v.Granted != administrativePermissions {
				t.Errorf("an administrative token of the usual grant may %v", o.Names(v.Granted))
			}
		})
	}
}

// A name that is defined again is another permission: neither roles nor tokens
// that had the old one have it.
func TestRedefinedPermissionRevivesNothing(t *testing.T) {
	role := RoleCreated{"cloner", "", []string{"clones.create"}}
	o := acmeAfter(all(clones, role, joined(zoe, "cloner"), granted(tokenOf(mia), "clones.create"))...)
	may := func(account AccountID) bool {
		v := o.Standing(tokenOf(account), &Ask{Now: today, Permission: "clones.create"})
		return v.Active() && v.Denied == ReasonNone && v.Granted.Has(o.Permission("clones.create"))
	}
	if !may(zoe) || !may(mia) || !may(bob) {
		t.Fatal("who was given the permission does not have it")
	}
	decide(t, o, byAnn, RetirePermission{"clones.create"})
	if may(zoe) || may(mia) || may(bob) {
		t.Error("somebody has what was retired")
	}
	decide(t, o, byAnn, DefinePermission(clones))
	if may(zoe) || may(mia) {
		t.Error("what is defined again revives old grants")
	}
	if !may(bob) {
		t.Error("an admin does not have the new permission")
	}
	decide(t, o, byAnn, UpdateRole{Name: "cloner", Permissions: &[]string{"clones.create"}})
	if !may(zoe) {
		t.Error("a role that was given the new permission does not have it")
	}
}

// A retired permission keeps its place, so there are only so many for ever.
func TestPermissionsRunOut(t *testing.T) {
	var given []Event
	for i := range MaxPermissions {
		name := fmt.Sprintf("clones.n%d", i)
		given = append(given, PermissionDefined{Definition{Name: name, Group: "clones"}})
		if i%2 == 0 {
			given = append(given, PermissionRetired{name})
		}
	}
	o := acmeAfter(given...)
	last := fmt.Sprintf("clones.n%d", MaxPermissions-1)
	if v := o.Standing(tokenOf(mia), &Ask{Now: today, Permission: last}); v.Denied != ReasonNone {
		t.Errorf("the last permission is denied: %q", v.Denied)
	}
	_, err := DefinePermission(clones).Decide(o, Meta{Actor: byAnn, Time: today})
	checkRefusal(t, err, ErrState, "384 permissions were defined here, and no more fit")
}
