package domain

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
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
			role: Ordinary, granted: allowedTo(Ordinary), actor: Actor{ActorMember, mia, laptop},
		},
		"active, without an end": {
			given: []Event{never}, shown: shown(laptop, Personal), at: instant("9999-12-31T23:59:59Z"),
			role: Ordinary, granted: allowedTo(Ordinary), actor: Actor{ActorMember, mia, laptop},
		},
		"active, of an owner": {
			shown: shown(tokenOf(ann), Personal),
			role:  Owner, granted: allowedTo(Owner), actor: byAnn,
		},
		"active, of an auditor": {
			shown: shown(tokenOf(ada), Personal),
			role:  Auditor, granted: allowedTo(Auditor), actor: byAda,
		},
		"active, administrative": {
			given: []Event{program}, shown: shown(laptop, Administrative),
			granted: administrativePermissions, actor: Actor{Kind: ActorToken, Token: laptop},
		},
		"alive a millisecond before its end": {
			given: []Event{short}, shown: shown(laptop, Personal), at: tomorrow - 1,
			role: Ordinary, granted: allowedTo(Ordinary), actor: Actor{ActorMember, mia, laptop},
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
			role: Ordinary, granted: allowedTo(Ordinary), actor: Actor{ActorMember, mia, laptop},
		},
		"somebody else is suspended": {
			given: []Event{laptopIssued, MemberSuspended{Account: ada}}, shown: shown(laptop, Personal),
			role: Ordinary, granted: allowedTo(Ordinary), actor: Actor{ActorMember, mia, laptop},
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
			role: Admin, granted: allowedTo(Admin), actor: Actor{ActorMember, mia, laptop},
		},
		"a role that is gone since a moment ago": {
			given: []Event{MemberRoleChanged{bob, Auditor}}, shown: shown(tokenOf(bob), Personal),
			role: Auditor, granted: allowedTo(Auditor), actor: byBob,
		},
		"renamed": {
			given: []Event{laptopIssued, TokenRenamed{laptop, "x"}, TokenDescribed{laptop, "y"}}, shown: shown(laptop, Personal),
			role: Ordinary, granted: allowedTo(Ordinary), actor: Actor{ActorMember, mia, laptop},
		},
		"unknown":              {shown: shown(laptop, Personal), reason: ReasonUnknown, actor: Actor{}},
		"nothing":              {reason: ReasonUnknown, actor: Actor{}},
		"another hash":         {given: []Event{laptopIssued}, shown: Shown{Personal, laptop, hashOf("guess")}, reason: ReasonUnknown, actor: Actor{}},
		"no hash":              {given: []Event{laptopIssued}, shown: Shown{Kind: Personal, Token: laptop}, reason: ReasonUnknown, actor: Actor{}},
		"another token's hash": {given: []Event{laptopIssued}, shown: Shown{Personal, laptop, hashOf(tokenOf(mia).String())}, reason: ReasonUnknown, actor: Actor{}},
		"another token's id":   {given: []Event{laptopIssued}, shown: Shown{Personal, tokenOf(mia), hashOf(laptop.String())}, reason: ReasonUnknown, actor: Actor{}},
		"another kind":         {given: []Event{laptopIssued}, shown: shown(laptop, Administrative), reason: ReasonUnknown, actor: Actor{}},
		"another kind, of an administrative one": {
			given: []Event{program}, shown: shown(laptop, Personal), reason: ReasonUnknown, actor: Actor{},
		},
		"no kind":                      {given: []Event{laptopIssued}, shown: shown(laptop, NoKind), reason: ReasonUnknown, actor: Actor{}},
		"an unknown one, without hash": {shown: Shown{Personal, laptop, Hash{}}, reason: ReasonUnknown, actor: Actor{}},
		"another hash of a revoked one": {
			given: []Event{laptopIssued, TokenRevoked{Token: laptop}}, shown: Shown{Personal, laptop, hashOf("guess")},
			reason: ReasonUnknown, actor: Actor{},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if c.at == 0 {
				c.at = today
			}
			o := acmeAfter(c.given...)
			v := o.Check(c.shown, &Ask{Now: c.at})
			if v.Reason != c.reason || v.Active() != (c.reason == ReasonNone) {
				t.Errorf("reason is %q, active %t, want %q", v.Reason, v.Active(), c.reason)
			}
			if v.Role != c.role || v.Granted != c.granted {
				t.Errorf("role is %v, granted %v, want %v, %v", v.Role, permissionsOf(v.Granted), c.role, permissionsOf(c.granted))
			}
			if diff := cmp.Diff(c.actor, v.Actor()); diff != "" {
				t.Errorf("actor (-want +got):\n%s", diff)
			}
			if got := o.rights(Meta{Actor: v.Actor(), Time: c.at}); got != c.granted {
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
		if v := o.Check(s, &Ask{Now: today}); v.Reason != ReasonUnknown {
			t.Errorf("bit %d: reason is %q, want unknown", i, v.Reason)
		}
	}
}

func TestCheckAllocatesNothing(t *testing.T) {
	o, s, ask := acmeAfter(laptopIssued), shown(laptop, Personal), &Ask{Now: today}
	if got := testing.AllocsPerRun(100, func() { _ = o.Check(s, ask) }); got != 0 {
		t.Errorf("%v allocations", got)
	}
}

// Why a token opens nothing: every reason that an organization has of its own.
func TestEveryReason(t *testing.T) {
	policy := func(change func(*Policy)) Event { return demands(change) }
	here := TokenBound{laptop, Terms{Networks: networks("10.0.0.0/8", "2001:db8::/32")}}
	at := func(address string) Ask { return Ask{Now: today, Address: netip.MustParseAddr(address)} }
	for name, c := range map[string]struct {
		given []Event
		ask   Ask
		want  Reason
	}{
		"active":                          {nil, Ask{Now: today}, ReasonNone},
		"revoked":                         {[]Event{TokenRevoked{Token: laptop}}, Ask{Now: today}, ReasonRevoked},
		"burned":                          {[]Event{TokenBurned{Token: laptop}}, Ask{Now: today}, ReasonRevoked},
		"revoked with others":             {[]Event{TokensRevoked{Holder: mia}}, Ask{Now: today}, ReasonRevoked},
		"expired":                         {nil, Ask{Now: nextYear}, ReasonExpired},
		"a millisecond before it expires": {nil, Ask{Now: nextYear - 1}, ReasonNone},
		"suspended":                       {[]Event{MemberSuspended{Account: mia}}, Ask{Now: today}, ReasonSuspended},
		"waiting":                         {[]Event{ApprovalRequested{laptop, tomorrow}}, Ask{Now: today}, ReasonWaiting},
		"not yet":                         {[]Event{TokenBound{laptop, Terms{NotBefore: tomorrow}}}, Ask{Now: tomorrow - 1}, ReasonNotYet},
		"from its beginning on":           {[]Event{TokenBound{laptop, Terms{NotBefore: tomorrow}}}, Ask{Now: tomorrow}, ReasonNone},
		"from its network":                {[]Event{here}, at("10.1.2.3"), ReasonNone},
		"from its other network":          {[]Event{here}, at("2001:db8::7"), ReasonNone},
		"from another network":            {[]Event{here}, at("11.1.2.3"), ReasonNetwork},
		"from another network of the sixth version":        {[]Event{here}, at("2001:db9::7"), ReasonNetwork},
		"from its network, as the sixth version writes it": {[]Event{here}, at("::ffff:10.1.2.3"), ReasonNetwork},
		"from nobody knows where":                          {[]Event{here}, Ask{Now: today}, ReasonNetwork},
		"from the network of the policy":                   {[]Event{policy(func(p *Policy) { p.Networks = networks("10.0.0.0/8") })}, at("10.1.2.3"), ReasonNone},
		"from another network than the policy's":           {[]Event{policy(func(p *Policy) { p.Networks = networks("10.0.0.0/8") })}, at("11.1.2.3"), ReasonNetwork},
		"from nobody knows where, under the policy":        {[]Event{policy(func(p *Policy) { p.Networks = networks("10.0.0.0/8") })}, Ask{Now: today}, ReasonNetwork},
		"from its network, which is not the policy's":      {[]Event{here, policy(func(p *Policy) { p.Networks = networks("192.0.2.0/24") })}, at("10.1.2.3"), ReasonNetwork},
		"off":                      {[]Event{policy(func(p *Policy) { p.Off = true })}, Ask{Now: today}, ReasonOff},
		"out of the policy":        {[]Event{policy(func(p *Policy) { p.Personal.Longest = day })}, Ask{Now: today}, ReasonPolicy},
		"idle":                     {[]Event{policy(func(p *Policy) { p.Idle = day })}, Ask{Now: tomorrow}, ReasonIdle},
		"used":                     {[]Event{policy(func(p *Policy) { p.Idle = day })}, Ask{Now: tomorrow, Used: today + 1}, ReasonNone},
		"deleted":                  {[]Event{OrganizationDeleted{}}, Ask{Now: today}, ReasonDeleted},
		"deleted, before all else": {[]Event{TokenRevoked{Token: laptop}, OrganizationDeleted{}}, Ask{Now: nextYear}, ReasonDeleted},
		"revoked, before it waits": {[]Event{ApprovalRequested{laptop, tomorrow}, TokenRevoked{Token: laptop}}, Ask{Now: nextYear}, ReasonRevoked},
	} {
		t.Run(name, func(t *testing.T) {
			o := acmeAfter(all(laptopIssued, c.given)...)
			v := o.Check(shown(laptop, Personal), &c.ask)
			if v.Reason != c.want || v.Active() != (c.want == ReasonNone) || v.Granted.IsZero() != (c.want != ReasonNone) {
				t.Errorf("reason is %q, granted %v, want %q", v.Reason, permissionsOf(v.Granted), c.want)
			}
			if again := o.Standing(laptop, &c.ask); again.Reason != v.Reason || again.Granted != v.Granted {
				t.Errorf("standing is %q, check %q", again.Reason, v.Reason)
			}
			if v.Actor() != (Actor{ActorMember, mia, laptop}) || v.ID != laptop {
				t.Errorf("it is told to be %v of %+v", v.ID, v.Actor())
			}
		})
	}
	if v := acmeAfter().Standing(laptop, &Ask{Now: today}); v.Reason != ReasonUnknown {
		t.Errorf("what is no token stands %q", v.Reason)
	}
	seen := map[Reason]bool{}
	for _, r := range Reasons {
		if seen[r] {
			t.Errorf("%q is listed twice", r)
		}
		seen[r] = true
	}
}

// What an active token may do when somebody asks, with or without a resource.
func TestCheckAsks(t *testing.T) {
	// clones.create is about engines, tokens.check about nothing.
	one, star := []Resource{"engine:prod"}, []Resource{"engine:*", "project:x"}
	gives := func(g Grant) TokenBound { return TokenBound{laptop, Terms{Grant: g}} }
	list := gives(Grant{Access: ByList, Permissions: []string{"clones.create", "tokens.check"}, Resources: one})
	ci, admins := Grant{Access: ByRole, Role: "ci", Resources: one}, Grant{Access: ByRole, Role: Admin, Resources: one}
	machine := func(resources ...Resource) []Event {
		return []Event{
			ServiceAccountCreated{bot, "bot", "", Grant{Access: ByList, Permissions: []string{"clones.create", "tokens.check"}, Resources: resources}},
			TokenIssued{Token: tokenOf(bot), Type: Service, Holder: bot, Name: "x", Hash: hashOf(tokenOf(bot).String())},
		}
	}
	for name, c := range map[string]struct {
		given      []Event
		token      TokenID
		permission string
		resource   Resource
		want       Reason
		nothing    bool // granted wherever
	}{
		"nothing":                                               {token: laptop},
		"nothing, about a resource":                             {token: laptop, resource: "engine:prod"},
		"what it may":                                           {token: laptop, permission: "tokens.check"},
		"what it may, about a resource":                         {token: laptop, permission: "clones.create", resource: "engine:prod"},
		"what it may, about nothing":                            {token: laptop, permission: "clones.create"},
		"what it may, about another type":                       {token: laptop, permission: "clones.create", resource: "project:prod", want: ReasonResource},
		"what it may, about no type":                            {token: laptop, permission: "clones.create", resource: "prod", want: ReasonResource},
		"what it may, which is about no type, about a resource": {token: laptop, permission: "tokens.check", resource: "engine:prod"},
		"what it may not":                                       {token: laptop, permission: "members.add", want: ReasonPermission},
		"what it may not, about a resource":                     {token: laptop, permission: "members.add", resource: "engine:prod", want: ReasonPermission},
		"what there is not":                                     {token: laptop, permission: "root", want: ReasonPermission},
		"what was retired":                                      {given: []Event{PermissionRetired{"clones.create"}}, token: laptop, permission: "clones.create", resource: "engine:prod", want: ReasonPermission},
		"in capitals":                                           {token: laptop, permission: "Tokens.check", want: ReasonPermission},
		"read-only, reading":                                    {given: []Event{gives(Grant{Access: ReadOnly})}, token: laptop, permission: "members.read"},
		"read-only, writing":                                    {given: []Event{gives(Grant{Access: ReadOnly})}, token: laptop, permission: "tokens.create-personal", want: ReasonPermission},
		"full access, of a member":                              {given: []Event{gives(Grant{Access: FullAccess})}, token: laptop, permission: "members.add", want: ReasonPermission},
		"a role that may":                                       {given: []Event{gives(Grant{Access: ByRole, Role: "schema-only"})}, token: laptop, permission: "roles.read"},
		"a role that may not":                                   {given: []Event{gives(Grant{Access: ByRole, Role: "schema-only"})}, token: laptop, permission: "tokens.check", want: ReasonPermission},
		"a role that may, of a holder who may not":              {given: []Event{gives(Grant{Access: ByRole, Role: "admin"})}, token: laptop, permission: "members.add", want: ReasonPermission},
		"a list":                              {given: []Event{gives(custom("tokens.check"))}, token: laptop, permission: "tokens.check"},
		"a list without it":                   {given: []Event{gives(custom("tokens.check"))}, token: laptop, permission: "members.read", want: ReasonPermission},
		"a list, of a holder who was demoted": {given: []Event{gives(custom("tokens.create-personal", "tokens.check")), MemberRoleChanged{mia, Auditor}}, token: laptop, permission: "tokens.create-personal", want: ReasonPermission},

		"one resource, about it":                        {given: []Event{gives(Grant{Resources: one})}, token: laptop, permission: "clones.create", resource: "engine:prod", nothing: true},
		"one resource, about another":                   {given: []Event{gives(Grant{Resources: one})}, token: laptop, permission: "clones.create", resource: "engine:prod2", want: ReasonResource, nothing: true},
		"one resource, about all":                       {given: []Event{gives(Grant{Resources: one})}, token: laptop, permission: "clones.create", resource: "engine:*", want: ReasonResource, nothing: true},
		"one resource, about nothing":                   {given: []Event{gives(Grant{Resources: one})}, token: laptop, permission: "clones.create", want: ReasonResource, nothing: true},
		"one resource, what is about no type":           {given: []Event{gives(Grant{Resources: one})}, token: laptop, permission: "tokens.check", want: ReasonResource, nothing: true},
		"one resource, what is about no type, about it": {given: []Event{gives(Grant{Resources: one})}, token: laptop, permission: "tokens.check", resource: "engine:prod", want: ReasonResource, nothing: true},
		"one resource, about a kind without a name":     {given: []Event{gives(Grant{Resources: one})}, token: laptop, permission: "tokens.check", resource: ":prod", want: ReasonResource, nothing: true},
		"one resource, what it may not":                 {given: []Event{gives(Grant{Resources: one})}, token: laptop, permission: "members.add", resource: "engine:prod", want: ReasonPermission, nothing: true},
		"one resource, and nothing is asked":            {given: []Event{gives(Grant{Resources: one})}, token: laptop, nothing: true},
		"all of a type, about one":                      {given: []Event{gives(Grant{Resources: star})}, token: laptop, permission: "clones.create", resource: "engine:prod", nothing: true},
		"all of a type, about another type":             {given: []Event{gives(Grant{Resources: star})}, token: laptop, permission: "clones.create", resource: "project:x", want: ReasonResource, nothing: true},

		"a list on one resource, about it":                             {given: []Event{list}, token: laptop, permission: "clones.create", resource: "engine:prod"},
		"a list on one resource, about another":                        {given: []Event{list}, token: laptop, permission: "clones.create", resource: "engine:test", want: ReasonResource},
		"a list on one resource, about nothing":                        {given: []Event{list}, token: laptop, permission: "clones.create", want: ReasonResource},
		"a list on one resource, what is about no type":                {given: []Event{list}, token: laptop, permission: "tokens.check"},
		"a list on one resource, what is about no type, about it":      {given: []Event{list}, token: laptop, permission: "tokens.check", resource: "engine:prod"},
		"a list on one resource, what is about no type, about another": {given: []Event{list}, token: laptop, permission: "tokens.check", resource: "engine:test", want: ReasonResource},
		"a list on one resource, what it does not list":                {given: []Event{list}, token: laptop, permission: "organization.read", want: ReasonPermission},
		"a list on one resource, of a holder who was demoted":          {given: []Event{list, MemberRoleChanged{mia, "schema-only"}}, token: laptop, permission: "tokens.check", want: ReasonPermission, nothing: true},
		"a list of administration on one resource":                     {given: []Event{TokenBound{robot, Terms{Grant: Grant{Access: ByList, Permissions: []string{"members.add", "engines.update"}, Resources: one}}}}, token: robot, permission: "members.add"},
		"a list of administration on one resource, about it":           {given: []Event{TokenBound{robot, Terms{Grant: Grant{Access: ByList, Permissions: []string{"members.add", "engines.update"}, Resources: one}}}}, token: robot, permission: "engines.update", resource: "engine:prod"},
		"a role on one resource, about it":                             {given: []Event{gives(ci)}, token: laptop, permission: "clones.create", resource: "engine:prod"},
		"a role on one resource, about another":                        {given: []Event{gives(ci)}, token: laptop, permission: "clones.create", resource: "engine:test", want: ReasonResource},
		"a role on one resource, about nothing":                        {given: []Event{gives(ci)}, token: laptop, permission: "clones.create", want: ReasonResource},
		"a role on one resource, what is about no type":                {given: []Event{gives(ci)}, token: laptop, permission: "tokens.check"},
		"a role on one resource, what is about no type, about it":      {given: []Event{gives(ci)}, token: laptop, permission: "tokens.check", resource: "engine:prod"},
		"a role on one resource, what is about no type, elsewhere":     {given: []Event{gives(ci)}, token: laptop, permission: "tokens.check", resource: "project:x", want: ReasonResource},
		"an admin's role on one resource, administration":              {given: []Event{TokenBound{robot, Terms{Grant: admins}}}, token: robot, permission: "members.add", want: ReasonResource},
		"an admin's role on one resource, administration, about it":    {given: []Event{TokenBound{robot, Terms{Grant: admins}}}, token: robot, permission: "members.add", resource: "engine:prod", want: ReasonResource},
		"an admin's role on one resource, administration of it":        {given: []Event{TokenBound{robot, Terms{Grant: admins}}}, token: robot, permission: "engines.update", resource: "engine:prod"},
		"an admin's role on one resource, work":                        {given: []Event{TokenBound{robot, Terms{Grant: admins}}}, token: robot, permission: "members.read"},
		"read-only on one resource, reading it":                        {given: []Event{gives(Grant{Access: ReadOnly, Resources: one})}, token: laptop, permission: "engines.read", resource: "engine:prod", nothing: true},
		"read-only on one resource, reading what is about no type":     {given: []Event{gives(Grant{Access: ReadOnly, Resources: one})}, token: laptop, permission: "members.read", want: ReasonResource, nothing: true},
		"full access on one resource, about it":                        {given: []Event{gives(Grant{Access: FullAccess, Resources: one})}, token: laptop, permission: "clones.create", resource: "engine:prod", nothing: true},
		"full access on one resource, what is about no type":           {given: []Event{gives(Grant{Access: FullAccess, Resources: one})}, token: laptop, permission: "tokens.check", resource: "engine:prod", want: ReasonResource, nothing: true},

		"a machine of one resource, what is about no type":              {given: machine("engine:prod"), token: tokenOf(bot), permission: "tokens.check"},
		"a machine of one resource, what is about no type, about it":    {given: machine("engine:prod"), token: tokenOf(bot), permission: "tokens.check", resource: "engine:prod"},
		"a machine of one resource, what is about no type, elsewhere":   {given: machine("engine:prod"), token: tokenOf(bot), permission: "tokens.check", resource: "engine:test", want: ReasonResource},
		"a machine of one resource, its token of a list, about no type": {given: all(machine("engine:prod"), granted(tokenOf(bot), "tokens.check")), token: tokenOf(bot), permission: "tokens.check"},
		"a machine of all, its token of a list on one resource": {
			given: all(machine(), TokenBound{tokenOf(bot), Terms{Grant: Grant{Access: ByList, Permissions: []string{"clones.create", "tokens.check"}, Resources: one}}}),
			token: tokenOf(bot), permission: "clones.create", resource: "engine:test", want: ReasonResource,
		},
		"a machine that is read-only on one resource": {
			given: []Event{ServiceAccountCreated{bot, "bot", "", Grant{Access: ReadOnly, Resources: one}}, botIssued, granted(tokenOf(bot), "tokens.check")},
			token: tokenOf(bot), permission: "tokens.check", want: ReasonResource, nothing: true,
		},

		"a machine, about anything":                {given: machine(), token: tokenOf(bot), permission: "clones.create", resource: "engine:prod"},
		"a machine of one resource, about it":      {given: machine("engine:prod"), token: tokenOf(bot), permission: "clones.create", resource: "engine:prod"},
		"a machine of one resource, about another": {given: machine("engine:prod"), token: tokenOf(bot), permission: "clones.create", resource: "engine:test", want: ReasonResource},
		"a machine of one resource, its token of all": {
			given: all(machine("engine:prod"), TokenBound{tokenOf(bot), Terms{Grant: Grant{Resources: []Resource{"engine:*"}}}}),
			token: tokenOf(bot), permission: "clones.create", resource: "engine:test", want: ReasonResource, nothing: true,
		},
		"a machine of all, its token of one": {
			given: all(machine("engine:*"), TokenBound{tokenOf(bot), Terms{Grant: Grant{Resources: one}}}),
			token: tokenOf(bot), permission: "clones.create", resource: "engine:test", want: ReasonResource, nothing: true,
		},
		"a machine, what it may not":             {given: machine(), token: tokenOf(bot), permission: "members.read", want: ReasonPermission},
		"a machine, with a token of full access": {given: all(machine(), TokenBound{tokenOf(bot), Terms{Grant: Grant{Access: FullAccess}}}), token: tokenOf(bot), permission: "members.read", want: ReasonPermission},
		"the organization's, what an owner may":  {given: []Event{TokenBound{robot, Terms{Grant: custom("organization.delete", "members.add")}}}, token: robot, permission: "organization.delete", want: ReasonPermission},
		"the organization's, what an admin may":  {given: []Event{TokenBound{robot, Terms{Grant: custom("organization.delete", "members.add")}}}, token: robot, permission: "members.add"},
		"the organization's, of the usual grant": {token: robot, permission: "clones.create", resource: "engine:prod", want: ReasonPermission},
	} {
		t.Run(name, func(t *testing.T) {
			o := acmeAfter(all(clones, laptopIssued, c.given)...)
			v := o.Standing(c.token, &Ask{Now: today, Permission: c.permission, Resource: c.resource})
			if !v.Active() || v.Denied != c.want || v.Granted.IsZero() != c.nothing {
				t.Errorf("reason %q, denied %q, granted %v, want %q", v.Reason, v.Denied, o.Names(v.Granted), c.want)
			}
		})
	}
}

// What is left, wherever it is asked for, of a grant that is limited to resources:
// the token's own, and that of its machine.
func TestGrantedWherever(t *testing.T) {
	on := func(g Grant) Grant { g.Resources = []Resource{"engine:prod"}; return g }
	list := custom("clones.create", "engines.read", "engines.create", "members.add", "tokens.check")
	role := func(name Role) Grant { return Grant{Access: ByRole, Role: name} }
	readOnly, full := Grant{Access: ReadOnly}, Grant{Access: FullAccess}
	const ci, reads = "organization.read tokens.check tokens.rotate-own", "organization.read policy.read members.read roles.read permissions.read tokens.check tokens.read-own database-lab.read"
	for name, c := range map[string]struct {
		machine, token Grant
		want           string
	}{
		"a list":                                {full, on(list), "engines.create members.add tokens.check"},
		"a list, of what the machine may":       {custom("clones.create", "tokens.check"), on(list), "tokens.check"},
		"a role":                                {full, on(role("ci")), ci},
		"an admin's role":                       {full, on(role(Admin)), reads + " tokens.create-personal tokens.update-own tokens.rotate-own tokens.revoke-own database-lab.joe database-lab.checkup database-lab.telemetry database-lab.sessions database-lab.instances"},
		"an auditor's role":                     {full, on(role(Auditor)), reads},
		"read-only":                             {full, on(readOnly), ""},
		"full access":                           {full, on(full), ""},
		"the usual grant":                       {full, on(Grant{}), ""},
		"a machine's list":                      {on(list), Grant{}, "engines.create members.add tokens.check"},
		"a machine's list, with full access":    {on(list), full, "engines.create members.add tokens.check"},
		"a machine's list, read-only":           {on(list), readOnly, "tokens.check"},
		"a machine's list, with a shorter one":  {on(list), custom("engines.read", "tokens.check"), "tokens.check"},
		"a machine's role":                      {on(role("ci")), Grant{}, ci},
		"a machine's role of administration":    {on(role(Admin)), custom("members.add", "tokens.check"), "tokens.check"},
		"a machine's read-only":                 {on(readOnly), custom("tokens.check"), ""},
		"a machine's full access":               {on(full), custom("tokens.check"), ""},
		"both lists":                            {on(list), on(custom("members.add", "clones.create")), "members.add"},
		"a machine's list, and a role":          {on(list), on(role(Admin)), "tokens.check"},
		"a machine's list, and the usual grant": {on(list), on(Grant{}), ""},
	} {
		t.Run(name, func(t *testing.T) {
			o := acmeAfter(clones, ServiceAccountCreated{bot, "bot", "", c.machine}, botIssued, TokenBound{tokenOf(bot), Terms{Grant: c.token}})
			v, want := o.Standing(tokenOf(bot), &Ask{Now: today}), strings.Fields(c.want)
			got := o.Names(v.Granted)
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("granted %v, want %v", got, want)
			}
			if rights := o.rights(Meta{Actor: byBot, Time: today}); rights != v.Granted {
				t.Errorf("commands with %v", o.Names(rights))
			}
		})
	}
}

// What is denied is a matter of active tokens only.
func TestNothingIsAllowedToWhatIsNotActive(t *testing.T) {
	o := acmeAfter(laptopIssued, TokenRevoked{Token: laptop})
	v := o.Check(shown(laptop, Personal), &Ask{Now: today, Permission: "tokens.check"})
	if v.Active() || v.Denied != ReasonNone || !v.Granted.IsZero() || v.Role != NoRole || !v.TokenLimit.IsZero() {
		t.Errorf("verdict is %+v", v)
	}
}

// A place that there is not, or that another token has, is that of no token.
func TestCheckAtAnotherPlace(t *testing.T) {
	o := acmeAfter(laptopIssued)
	place, _ := o.Tokens.Place(laptop)
	for at, want := range map[uint32]Reason{place: ReasonNone, place + 1: ReasonUnknown, 0: ReasonUnknown, 1<<32 - 1: ReasonUnknown} {
		var v Verdict
		if o.CheckAt(&v, at, shown(laptop, Personal), &Ask{Now: today}); v.Reason != want || v.Token.Kind == NoKind != (want != ReasonNone) {
			t.Errorf("at %d: %q, %+v", at, v.Reason, v.Token)
		}
	}
	if got := len(o.Tokens.kept); got != 6 || o.Tokens.kept[place].ID != laptop {
		t.Errorf("%d tokens, at %d %v", got, place, o.Tokens.kept[place].ID)
	}
	for tok := range o.Tokens.All() {
		if tok.ID != tokenOf(ann) {
			t.Errorf("the first token is %v", tok.ID)
		}
		break
	}
}

// A token that follows its holder is let in elsewhere as what the holder is there.
func TestAdmit(t *testing.T) {
	home := acmeAfter(laptopIssued, TokenBound{laptop, Terms{Grant: custom("tokens.check", "members.add"), Limit: Limit{10, 60}}}, TokenUnbound{laptop})
	v := home.Standing(laptop, &Ask{Now: today})
	pass, follows := home.Pass(&v)
	if !follows || pass.Token.ID != laptop || pass.Terms.Limit != (Limit{10, 60}) {
		t.Fatalf("pass is %+v, %t", pass, follows)
	}
	elsewhere := func(given ...Event) *Organization {
		o := NewOrganization(beta)
		for i, e := range all(OrganizationCreated{beta, "beta", "Beta"}, MemberAdded{zoe, Owner}, given) {
			o.Evolve(Commit{Meta: Meta{Position: Position(i + 1), Time: today, Organization: beta}, Events: []Event{e}})
		}
		return o
	}
	in := MemberAdded{mia, Admin}
	for name, c := range map[string]struct {
		given []Event
		ask   Ask
		want  Reason
	}{
		"a member there":           {[]Event{in}, Ask{Now: today}, ReasonNone},
		"nobody there":             {nil, Ask{Now: today}, ReasonForeign},
		"who was there":            {[]Event{in, MemberRemoved{Account: mia}}, Ask{Now: today}, ReasonForeign},
		"a machine there":          {[]Event{ServiceAccountCreated{mia, "mia", "", Grant{Access: FullAccess}}}, Ask{Now: today}, ReasonForeign},
		"suspended there":          {[]Event{in, MemberSuspended{Account: mia}}, Ask{Now: today}, ReasonSuspended},
		"where it must be bound":   {[]Event{in, demands(func(p *Policy) { p.BoundOnly = true })}, Ask{Now: today}, ReasonUnbound},
		"where tokens are off":     {[]Event{in, demands(func(p *Policy) { p.Off = true })}, Ask{Now: today}, ReasonOff},
		"where lives are short":    {[]Event{in, demands(func(p *Policy) { p.Personal.Longest = day })}, Ask{Now: today}, ReasonPolicy},
		"where it is idle":         {[]Event{in, demands(func(p *Policy) { p.Idle = day })}, Ask{Now: tomorrow}, ReasonIdle},
		"where it was used":        {[]Event{in, demands(func(p *Policy) { p.Idle = day })}, Ask{Now: tomorrow, Used: tomorrow}, ReasonNone},
		"from the network there":   {[]Event{in, demands(func(p *Policy) { p.Networks = networks("10.0.0.0/8") })}, Ask{Now: today, Address: netip.MustParseAddr("10.0.0.1")}, ReasonNone},
		"from another network":     {[]Event{in, demands(func(p *Policy) { p.Networks = networks("10.0.0.0/8") })}, Ask{Now: today}, ReasonNetwork},
		"where nobody is any more": {[]Event{in, OrganizationDeleted{}}, Ask{Now: today}, ReasonDeleted},
	} {
		t.Run(name, func(t *testing.T) {
			v := elsewhere(c.given...).Admit(pass, &c.ask)
			if v.Reason != c.want || v.Granted.IsZero() != (c.want != ReasonNone) {
				t.Errorf("reason %q, granted %v, want %q", v.Reason, permissionsOf(v.Granted), c.want)
			}
			if v.Actor() != (Actor{ActorMember, mia, laptop}) {
				t.Errorf("actor is %+v", v.Actor())
			}
		})
	}

	o := elsewhere(in, HolderLimited{mia, Limit{5, 60}}, clones)
	v = o.Admit(pass, &Ask{Now: today, Permission: "members.add"})
	if v.Granted != PermissionsOf(TokensCheck, MembersAdd) || v.Denied != ReasonNone || v.Role != Admin || v.TokenLimit != (Limit{10, 60}) || v.HolderLimit != (Limit{5, 60}) {
		t.Errorf("as an admin: %+v", v)
	}
	if seat, _ := o.Seat(mia); v.Seat != seat {
		t.Errorf("seat is %d, want %d", v.Seat, seat)
	}
	if v := o.Admit(pass, &Ask{Now: today, Permission: "clones.create"}); v.Denied != ReasonPermission {
		t.Errorf("a list from elsewhere has what is only here: %q", v.Denied)
	}
	if v := elsewhere(MemberAdded{mia, Auditor}).Admit(pass, &Ask{Now: today, Permission: "members.add"}); v.Denied != ReasonPermission || v.Granted != PermissionsOf(TokensCheck) {
		t.Errorf("as an auditor it may %v", permissionsOf(v.Granted))
	}
	if v := o.Admit(Pass{}, &Ask{Now: today}); v.Active() {
		t.Error("no pass is let in")
	}
	if v := o.Check(shown(laptop, Personal), &Ask{Now: today}); v.Reason != ReasonUnknown {
		t.Errorf("without a pass it is %q", v.Reason)
	}
}

// Only what is active at home and follows its holder takes anything along.
func TestPass(t *testing.T) {
	for name, c := range map[string]struct {
		given []Event
		want  bool
	}{
		"follows":              {[]Event{laptopIssued, TokenUnbound{laptop}}, true},
		"is bound":             {[]Event{laptopIssued}, false},
		"revoked":              {[]Event{laptopIssued, TokenUnbound{laptop}, TokenRevoked{Token: laptop}}, false},
		"suspended at home":    {[]Event{laptopIssued, TokenUnbound{laptop}, MemberSuspended{Account: mia}}, false},
		"waits":                {[]Event{laptopIssued, TokenUnbound{laptop}, ApprovalRequested{laptop, tomorrow}}, false},
		"where tokens are off": {[]Event{laptopIssued, TokenUnbound{laptop}, demands(func(p *Policy) { p.Off = true })}, false},
	} {
		o := acmeAfter(c.given...)
		v := o.Check(shown(laptop, Personal), &Ask{Now: today})
		if _, got := o.Pass(&v); got != c.want {
			t.Errorf("%s: %t, want %t", name, got, c.want)
		}
	}
}

// Who shows a token from elsewhere commands as what they are here, and no more
// than the token may.
func TestCommandWithAPass(t *testing.T) {
	visitor := TokenID{named("visitor")}
	pass := func(terms Terms) func(*Meta) {
		return func(m *Meta) {
			m.Pass = &Pass{Token{ID: visitor, Kind: Personal, Holder: bob, Unbound: true, Issued: today, Expires: nextYear}, terms}
		}
	}
	byVisitor := Actor{ActorMember, bob, visitor}
	define := DefinePermission(clones)
	run(t, acmeAfter, tenantScenarios{
		"as an admin":            {when: define, by: byVisitor, also: pass(Terms{}), then: []Event{clones}},
		"without the pass":       {when: define, by: byVisitor, err: ErrDenied, says: "needs the permission"},
		"read-only":              {when: define, by: byVisitor, also: pass(Terms{Grant: Grant{Access: ReadOnly}}), err: ErrDenied, says: "needs the permission"},
		"of another":             {when: define, by: Actor{ActorMember, ann, visitor}, also: pass(Terms{}), err: ErrDenied, says: "needs the permission"},
		"with another token":     {when: define, by: Actor{ActorMember, bob, token("other")}, also: pass(Terms{}), err: ErrDenied, says: "needs the permission"},
		"as an admin no more":    {given: []Event{MemberRoleChanged{bob, Ordinary}}, when: define, by: byVisitor, also: pass(Terms{}), err: ErrDenied, says: "needs the permission"},
		"where it must be bound": {given: []Event{demands(func(p *Policy) { p.BoundOnly = true })}, when: define, by: byVisitor, also: pass(Terms{}), err: ErrDenied, says: "needs the permission"},
		"a token that is bound here": {
			when: issueLaptop, by: byVisitor, also: pass(Terms{}),
			then: []Event{TokenIssued{token("new"), Personal, bob, "laptop", "", hashOf("new"), nextYear}},
		},
		"a token that follows": {
			when: func() IssueToken { c := issueLaptop; c.Unbound = true; return c }(), by: byVisitor, also: pass(Terms{}),
			err: ErrDenied, says: "is made with one that is bound to the organization",
		},
		"a token that works elsewhere than what is shown": {
			when: issueLaptop, by: byVisitor, also: pass(Terms{Networks: networks("10.0.0.0/8")}), from: "10.0.0.1",
			err: ErrDenied, says: "must not work elsewhere",
		},
		"to leave": {
			when: RemoveMember{Account: bob}, by: byVisitor, also: pass(Terms{}),
			then: []Event{MemberRemoved{Account: bob}, TokenRevoked{tokenOf(bob), "its holder is no longer a member"}},
		},
		"to leave, read-only": {
			when: RemoveMember{Account: bob}, by: byVisitor, also: pass(Terms{Grant: Grant{Access: ReadOnly}}),
			err: ErrDenied, says: "needs the permission members.remove",
		},
		"a member, from some networks": {
			when: AddMember{zoe, Ordinary, first}, by: byVisitor, also: pass(Terms{Networks: networks("10.0.0.0/8")}), from: "10.0.0.1",
			then: []Event{MemberAdded{zoe, Ordinary}, firstIssued(zoe), TokenBound{first.Token, Terms{Networks: networks("10.0.0.0/8")}}},
		},
		"a policy that would not let it in again": {
			when: updatePolicy(func(p *Policy) { p.BoundOnly = true }), by: byVisitor, also: pass(Terms{}),
			err: ErrState, says: "it would block the token that you show",
		},
		"with a secret that was replaced": {
			when: issueLaptop, also: func(m *Meta) { m.Replaced = true },
			err: ErrDenied, says: "the secret that you show was replaced by a new one",
		},
	})
}

// A secret that was rotated out may be why it was: it reads and revokes, and makes
// and changes nothing.
func TestWithASecretThatWasReplaced(t *testing.T) {
	replaced := func(m *Meta) { m.Replaced = true }
	const needs, useTheNew = "this needs the permission ", "the secret that you show was replaced by a new one"
	given := all(botThere, clones, RoleCreated{Name: "guest"}, laptopIssued, zoeWaits[:2], issued(token("waits"), zoe, "waits"), did(person(zoe), ApprovalRequested{token("waits"), tomorrow}))
	scenarios := tenantScenarios{
		"revoke another's":             {when: RevokeToken{Token: laptop}, then: []Event{TokenRevoked{Token: laptop}}},
		"revoke one's own":             {when: RevokeToken{Token: laptop}, by: byMia, then: []Event{TokenRevoked{Token: laptop}}},
		"revoke the one that is shown": {when: RevokeToken{Token: tokenOf(mia)}, by: byMia, then: []Event{TokenRevoked{Token: tokenOf(mia)}}},
		"revoke many of one's own":     {when: RevokeTokens{Holder: mia}, by: byMia, then: []Event{TokensRevoked{Holder: mia, Except: tokenOf(mia), Count: 1}}},
		"revoke many of another's":     {when: RevokeTokens{Holder: mia}, then: []Event{TokensRevoked{Holder: mia, Except: tokenOf(ann), Count: 2}}},
		"revoke, as a program":         {when: RevokeToken{Token: laptop}, by: byRobot, then: []Event{TokenRevoked{Token: laptop}}},
	}
	for says, commands := range map[string][]command[*Organization]{
		needs + "members.add":         {AddMember{eva, Ordinary, first}, CreateServiceAccount{Account: eva, Name: "x", Grant: Grant{Access: ReadOnly}}},
		needs + "members.update":      {UpdateMember{Account: mia, Role: ptr(Auditor)}, UpdateServiceAccount{Account: bot, Disabled: ptr(true)}},
		needs + "members.remove":      {RemoveMember{Account: mia}, DeleteServiceAccount{Account: bot}},
		needs + "tokens.update-own":   {UpdateToken{Token: tokenOf(ann), Name: ptr("x")}},
		needs + "tokens.update-any":   {UpdateToken{Token: laptop, Name: ptr("x")}},
		needs + "policy.update":       {updatePolicy(func(p *Policy) { p.Off = true })},
		needs + "organization.update": {UpdateOrganization{Name: "x"}},
		needs + "organization.delete": {DeleteOrganization{Alias: "acme"}},
		needs + "roles.create":        {CreateRole{Name: "lead"}},
		needs + "roles.update":        {UpdateRole{Name: "guest", Description: ptr("x")}},
		needs + "roles.delete":        {DeleteRole{Name: "guest"}},
		needs + "permissions.define":  {DefinePermission{Definition{Name: "clones.read", Group: "clones"}}},
		needs + "permissions.retire":  {RetirePermission{"clones.create"}},
		needs + "engines.create":      {RegisterEngine{Name: "new", EngineToken: EngineToken{Token: token("new"), Hash: hashOf("new")}}},
		needs + "engines.update":      {UpdateEngine{Engine: 9, Disabled: ptr(true)}, ReplaceEngineToken{Engine: 9}},
		needs + "engines.delete":      {DeleteEngine{Engine: 9}},
		needs + "database-lab.joe":    {KeepRecord{Kind: JoeSession}, AmendRecord{Number: 9, Kind: JoeSession}, RemoveRecords{Kind: JoeInstance, Numbers: []Position{9}}},
		needs + "database-lab.delete": {RemoveRecords{Kind: JoeSession, Numbers: []Position{9}}},
		needs + "webhooks.write":      {CreateWebhook{}, UpdateWebhook{Webhook: 9}, ReplaceWebhookSecret{Webhook: 9}, DeleteWebhook{Webhook: 9}},
		needs + "tokens.approve":      {ApproveToken{Token: token("waits")}, RefuseToken{Token: token("waits"), Reason: "no"}},
		useTheNew:                     {issueLaptop, RotateToken{Token: robot, Hash: hashOf("x")}, RemoveMember{Account: ann}},
	} {
		for _, c := range commands {
			scenarios[fmt.Sprintf("%T", c)+", which "+says] = scenario[*Organization]{when: c, err: ErrDenied, says: says}
		}
	}
	scenarios["the policy, while tokens are off"] = scenario[*Organization]{
		given: []Event{demands(func(p *Policy) { p.Off = true })},
		when:  updatePolicy(func(*Policy) {}),
		err:   ErrDenied, says: needs + "policy.update",
	}
	for name, s := range scenarios {
		s.given, s.also = all(given, s.given), replaced
		scenarios[name] = s
	}
	run(t, acmeAfter, scenarios)

	o := acmeAfter(clones)
	reads := allowedTo(Auditor)
	for actor, want := range map[Actor]Permissions{
		byAnn: reads.or(PermissionsOf(TokensRevokeOwn, TokensRevokeAny)), byAda: reads,
		byMia:   PermissionsOf(OrganizationRead, PolicyRead, MembersRead, RolesRead, PermissionsRead, TokensCheck, TokensReadOwn, EnginesRead, LabRead, TokensRevokeOwn),
		byRobot: PermissionsOf(OrganizationRead, MembersRead, TokensCheck, TokensReadAny, EnginesRead, LabRead, TokensRevokeAny),
	} {
		if got := o.rights(Meta{Actor: actor, Time: today, Replaced: true}); got != want {
			t.Errorf("%+v may %v, want %v", actor, o.Names(got), o.Names(want))
		}
	}
	visitor := Meta{Actor: Actor{ActorMember, bob, token("visitor")}, Time: today, Replaced: true, Pass: &Pass{Token: Token{ID: token("visitor"), Kind: Personal, Holder: bob, Unbound: true}}}
	if got := o.rights(visitor); got != reads.or(PermissionsOf(TokensRevokeOwn, TokensRevokeAny)) {
		t.Errorf("a visitor may %v", o.Names(got))
	}
}

// An address is that of the fourth version however it is written.
func TestFrom(t *testing.T) {
	for text, want := range map[string]string{
		"10.0.0.1": "10.0.0.1", "::ffff:10.0.0.1": "10.0.0.1", "::ffff:a00:1": "10.0.0.1", "2001:db8::1": "2001:db8::1", "::1": "::1",
		"": "invalid IP", "10.0.0.1:443": "invalid IP", "localhost": "invalid IP",
	} {
		if got := (Meta{Address: text}).From(); got.String() != want {
			t.Errorf("%q is %v, want %s", text, got, want)
		}
	}
	o := acmeAfter(TokenBound{tokenOf(mia), Terms{Networks: networks("10.0.0.0/8")}})
	for address, may := range map[string]bool{"10.0.0.1": true, "::ffff:10.0.0.1": true, "::ffff:192.0.2.7": false, "": false} {
		if got := o.rights(Meta{Actor: byMia, Time: today, Address: address}); got.IsZero() == may {
			t.Errorf("from %q: %v, want rights %t", address, permissionsOf(got), may)
		}
	}
}

func TestCheckAllocatesNothingWithAllRulesOn(t *testing.T) {
	o := acmeAfter(clones, laptopIssued,
		TokenBound{laptop, Terms{Grant: Grant{Access: ByList, Permissions: []string{"clones.create"}, Resources: []Resource{"engine:prod"}}, Networks: networks("10.0.0.0/8"), Limit: Limit{1, 1}}},
		TokenRotated{laptop, hashOf("2"), nextYear, tomorrow},
		demands(func(p *Policy) { p.Networks, p.Idle, p.Personal.Longest = networks("10.0.0.0/8"), day, year }))
	ask := &Ask{Now: today, Address: netip.MustParseAddr("10.0.0.1"), Used: today, Permission: "clones.create", Resource: "engine:prod"}
	for what, s := range map[string]Shown{"new": {Personal, laptop, hashOf("2")}, "old": shown(laptop, Personal)} {
		if v := o.Check(s, ask); !v.Active() || v.Denied != ReasonNone {
			t.Fatalf("the %s secret is %q, denied %q", what, v.Reason, v.Denied)
		}
		if got := testing.AllocsPerRun(100, func() { _ = o.Check(s, ask) }); got != 0 {
			t.Errorf("the %s secret: %v allocations", what, got)
		}
	}
}

// What somebody sees who looks at a token: what it may do, and what is cut off and why.
func TestDescribe(t *testing.T) {
	gives := func(g Grant) []Event { return []Event{laptopIssued, TokenBound{laptop, Terms{Grant: g}}} }
	guest := RoleCreated{"guest", "", []string{"tokens.check", "members.add"}}
	here := TokenBound{laptop, Terms{Networks: networks("10.0.0.0/8")}}
	for name, c := range map[string]struct {
		given  []Event
		want   Reason
		allows []string
		cut    []Cut
		on     []Resource
	}{
		"everything":         {given: []Event{laptopIssued}, allows: permissionsOf(allowedTo(Ordinary))},
		"read-only":          {given: gives(Grant{Access: ReadOnly}), allows: permissionsOf(allowedTo("general:read"))},
		"a list":             {given: gives(custom("tokens.check")), allows: []string{"tokens.check"}},
		"a list of too much": {given: gives(custom("tokens.check", "members.add")), allows: []string{"tokens.check"}, cut: []Cut{{"members.add", CutHolder}}},
		"a list with what was retired": {
			given:  all(clones, gives(custom("clones.create", "tokens.check")), PermissionRetired{"clones.create"}),
			allows: []string{"tokens.check"}, cut: []Cut{{"clones.create", CutRetired}},
		},
		"a list with what was retired and defined again": {
			given:  all(clones, gives(custom("clones.create", "tokens.check")), PermissionRetired{"clones.create"}, clones),
			allows: []string{"tokens.check"}, cut: []Cut{{"clones.create", CutRetired}},
		},
		"a role":                  {given: all(guest, gives(Grant{Access: ByRole, Role: "guest"})), allows: []string{"tokens.check"}, cut: []Cut{{"members.add", CutHolder}}},
		"a role that was deleted": {given: all(guest, gives(Grant{Access: ByRole, Role: "guest"}), RoleDeleted{"guest"}), allows: []string{}, cut: []Cut{{"guest", CutRole}}},
		"a resource":              {given: gives(Grant{Access: ByList, Permissions: []string{"engines.read"}, Resources: []Resource{"engine:prod"}}), allows: []string{"engines.read"}, on: []Resource{"engine:prod"}},
		"networks":                {given: []Event{laptopIssued, here}, allows: permissionsOf(allowedTo(Ordinary))},
		"networks, switched off":  {given: []Event{laptopIssued, here, demands(func(p *Policy) { p.Off = true })}, want: ReasonOff, allows: permissionsOf(allowedTo(Ordinary))},
		"networks, suspended":     {given: []Event{laptopIssued, here, MemberSuspended{Account: mia}}, want: ReasonSuspended, allows: permissionsOf(allowedTo(Ordinary))},
		"revoked":                 {given: []Event{laptopIssued, TokenRevoked{Token: laptop}}, want: ReasonRevoked, allows: permissionsOf(allowedTo(Ordinary))},
		"its holder is gone":      {given: []Event{laptopIssued, MemberRemoved{Account: mia}}, want: ReasonSuspended, allows: []string{}},
		"none":                    {want: ReasonUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			s := acmeAfter(c.given...).Describe(laptop, &Ask{Now: today, Used: today - 1})
			slices.Sort(s.Allows)
			if s.Reason != c.want || !slices.Equal(s.Allows, c.allows) || !slices.Equal(s.Cut, c.cut) || !slices.Equal(s.On, c.on) {
				t.Errorf("%q, allows %v on %v, cut %v, want %q, %v on %v, cut %v", s.Reason, s.Allows, s.On, s.Cut, c.want, c.allows, c.on, c.cut)
			}
			if c.want != ReasonUnknown && s.Used != today-1 {
				t.Errorf("used %v", s.Used)
			}
		})
	}
	o := acmeAfter(laptopIssued, TokenRotated{laptop, hashOf("2"), nextYear, today}, on(today+1, TokenReused{laptop, hashOf(laptop.String())}), TokenRotated{laptop, hashOf("3"), nextYear, tomorrow})
	if s := o.Describe(laptop, &Ask{Now: today}); s.Until != tomorrow || s.Seen != today+1 {
		t.Errorf("the old secret ends %v, an older one was seen %v", s.Until, s.Seen)
	}
	if s := acmeAfter().Describe(robot, &Ask{Now: today}); s.Reason != ReasonNone || len(s.Allows) == 0 {
		t.Errorf("the organization's is %q, allows %v", s.Reason, s.Allows)
	}
}
