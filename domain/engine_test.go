package domain

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// registerProd is how the engine of the fixture comes to be.
var registerProd = RegisterEngine{Name: "prod", Door: prodDoor, EngineToken: EngineToken{Token: token("prods"), Hash: hashOf("prods")}}

// registered is what comes of it, with the token bound to the role for engines.
func registered(before []Event, listing Listing, door Door) []Event {
	return all(before, EngineRegistered{"prod", token("prods")}, EngineListed{0, listing}, EngineDoorSet{0, door}, prodToken, boundToEngines)
}

var boundToEngines = TokenBound{token("prods"), Terms{Grant: Grant{Access: ByRole, Role: "engine"}}}

func TestRegisterEngine(t *testing.T) {
	with := func(change func(*RegisterEngine)) RegisterEngine { c := registerProd; change(&c); return c }
	called := func(name string) RegisterEngine { return with(func(c *RegisterEngine) { c.Name = name }) }
	door := func(d Door) RegisterEngine { return with(func(c *RegisterEngine) { c.Door = d }) }
	lists := func(l Listing) RegisterEngine { return with(func(c *RegisterEngine) { c.Listing = l }) }
	brings := func(all ...Definition) RegisterEngine {
		return with(func(c *RegisterEngine) { c.Defines = all })
	}
	may := func(names ...string) []Event {
		return all(RoleCreated{"maker", "", names}, joined(zoe, "maker"))
	}
	enough := []string{"engines.create", "tokens.create-administrative", "tokens.check", "database-lab.telemetry", "database-lab.sessions", "database-lab.instances"}
	without := func(name string) []string {
		return slices.DeleteFunc(slices.Clone(enough), func(n string) bool { return n == name })
	}
	prods := registered(nil, Listing{}, prodDoor)
	was := all(prodThere, EngineDeleted{prod, ""})
	snapshot := Definition{Name: "snapshots.create", Group: "snapshots", Write: true}
	run(t, acmeAfter, tenantScenarios{
		"an engine":             {when: registerProd, then: prods},
		"an admin registers it": {when: registerProd, by: byBob, then: prods},
		"with everything": {
			given: []Event{clones},
			when: with(func(c *RegisterEngine) {
				c.Listing = Listing{"shop", "https://prod.example.org/x?y", "of the shop", []string{"snapshots.create", "clones.create", "clones.create"}, []Resource{"clone:*"}}
				c.Defines = []Definition{snapshot, clones.Definition}
			}),
			then: registered([]Event{PermissionDefined{snapshot}, ProjectCreated{"shop"}},
				Listing{"shop", "https://prod.example.org/x?y", "of the shop", []string{"clones.create", "snapshots.create"}, []Resource{"clone:*"}}, prodDoor),
		},
		"in a project that is there": {
			given: []Event{ProjectCreated{"shop"}}, when: lists(Listing{Project: "shop"}),
			then: registered(nil, Listing{Project: "shop"}, prodDoor),
		},
		"with empty lists": {
			when: lists(Listing{Permissions: []string{}, Resources: []Resource{}}), then: prods,
		},
		"with a token that never ends": {
			when: with(func(c *RegisterEngine) { c.Never = true }),
			then: replacing(prods, func(e TokenIssued) Event { e.Expires = 0; return e }),
		},
		"with a token that ends tomorrow": {
			when: with(func(c *RegisterEngine) { c.Expires = tomorrow }),
			then: replacing(prods, func(e TokenIssued) Event { e.Expires = tomorrow; return e }),
		},

		// Its name.
		"a name of one letter":             {when: called("p"), then: replacing(replacing(prods, func(e EngineRegistered) Event { e.Name = "p"; return e }), calledEngine("p"))},
		"a name of many parts":             {when: called("eu-1.prod_a"), then: replacing(replacing(prods, func(e EngineRegistered) Event { e.Name = "eu-1.prod_a"; return e }), calledEngine("eu-1.prod_a"))},
		"no name":                          {when: called(""), err: ErrInvalid, says: `name: "" is no name of an engine`},
		"a name in capitals":               {when: called("Prod"), err: ErrInvalid, says: "is no name of an engine"},
		"a name with a blank":              {when: called("prod "), err: ErrInvalid, says: "is no name of an engine"},
		"a name with a line":               {when: called("prod\n"), err: ErrInvalid, says: "is no name of an engine"},
		"a name with a colon":              {when: called("engine:prod"), err: ErrInvalid, says: "is no name of an engine"},
		"the name of all":                  {when: called("*"), err: ErrInvalid, says: "is no name of an engine"},
		"a name with two dots":             {when: called("a..b"), err: ErrInvalid, says: "is no name of an engine"},
		"a name that ends with a dot":      {when: called("a."), err: ErrInvalid, says: "is no name of an engine"},
		"a name in another script":         {when: called("рrod"), err: ErrInvalid, says: "is no name of an engine"},
		"too long a name":                  {when: called(strings.Repeat("a", MaxAlias+1)), err: ErrInvalid, says: "is no name of an engine"},
		"a name that is taken":             {given: []Event{prodThere}, when: with(func(c *RegisterEngine) { c.Token = token("new") }), err: ErrExists, says: `name: there is or was an engine "prod"`},
		"a name that was deleted":          {given: was, when: with(func(c *RegisterEngine) { c.Token = token("new") }), err: ErrExists, says: `there is or was an engine "prod"`},
		"a name that another token has":    {given: []Event{TokenIssued{Token: token("x"), Type: Administrative, Name: "engine prod", Hash: hashOf("x")}}, when: registerProd, err: ErrExists, says: `a live token "engine prod" exists already`},
		"a name that a person's token has": {given: []Event{issued(laptop, ann, "engine prod")}, when: registerProd, then: prods},

		// Its token.
		"the token of another engine": {given: []Event{prodThere}, when: called("test"), err: ErrExists, says: "not the id and hash of a new token"},
		"the token of one that was":   {given: was, when: called("test"), err: ErrExists, says: "not the id and hash of a new token"},
		"a token that is there":       {when: with(func(c *RegisterEngine) { c.Token = robot }), err: ErrExists, says: "not the id and hash of a new token"},
		"a person's token":            {when: with(func(c *RegisterEngine) { c.Token = tokenOf(ann) }), err: ErrExists, says: "not the id and hash of a new token"},
		"no token":                    {when: with(func(c *RegisterEngine) { c.Token = TokenID{} }), err: ErrExists, says: "not the id and hash of a new token"},
		"no secret":                   {when: with(func(c *RegisterEngine) { c.Hash = Hash{} }), err: ErrExists, says: "not the id and hash of a new token"},
		"a token that has ended":      {when: with(func(c *RegisterEngine) { c.Expires = today }), err: ErrInvalid, says: "expires_at:"},
		"an end and none":             {when: with(func(c *RegisterEngine) { c.Expires, c.Never = tomorrow, true }), err: ErrInvalid, says: "expires_at: is given together with never"},
		"a role for engines of the organization's own, from before there was one": {
			given: []Event{RoleCreated{"engine", "", []string{"members.add", "tokens.check"}}},
			when:  registerProd,
			then:  replacing(prods, func(e TokenBound) Event { e.Grant = custom(permissionNames(enginePermissions)...); return e }),
		},

		// Its door.
		"open to everybody":                      {when: door(Door{Open: true}), then: registered(nil, Listing{}, Door{Open: true})},
		"shut":                                   {when: door(Door{}), then: registered(nil, Listing{}, Door{})},
		"of the verification token only":         {when: door(Door{Verification: hashOf("v")}), then: registered(nil, Listing{}, Door{Verification: hashOf("v")})},
		"of personal tokens only":                {when: door(Door{PersonalTokens: true, NoFallback: true}), then: registered(nil, Listing{}, Door{PersonalTokens: true, NoFallback: true})},
		"with a door that says its name":         {when: door(Door{Name: "test", PersonalTokens: true, resource: "engine:test"}), then: registered(nil, Listing{}, Door{PersonalTokens: true})},
		"open, with a verification token":        {when: door(Door{Open: true, Verification: hashOf("v")}), err: ErrInvalid, says: "open: and a verification token do not go together"},
		"neither personal tokens nor a fallback": {when: door(Door{Verification: hashOf("v"), NoFallback: true}), err: ErrInvalid, says: "verification_fallback: is off, and so are personal tokens"},
		"disabled, which it would not have been": {when: door(Door{PersonalTokens: true, Disabled: true}), err: ErrInvalid, says: "disabled: is for an engine that is there"},

		// What it brings along.
		"a permission twice":                  {when: brings(snapshot, snapshot), then: registered([]Event{PermissionDefined{snapshot}}, Listing{}, prodDoor)},
		"a permission twice, otherwise":       {when: brings(snapshot, Definition{Name: snapshot.Name, Group: "snapshots"}), err: ErrExists, says: `permissions: there is another permission "snapshots.create" already`},
		"a permission that is there":          {given: []Event{clones}, when: brings(clones.Definition), then: prods},
		"the same, of another description":    {given: []Event{clones}, when: brings(Definition{Name: "clones.create", Group: "x", Write: true, Resource: "engine"}), then: prods},
		"the same, which would only read":     {given: []Event{clones}, when: brings(Definition{Name: "clones.create", Group: "clones", Resource: "engine"}), err: ErrExists, says: "there is another permission"},
		"the same, of another resource":       {given: []Event{clones}, when: brings(Definition{Name: "clones.create", Group: "clones", Write: true}), err: ErrExists, says: "there is another permission"},
		"the same, which would administrate":  {given: []Event{clones}, when: brings(Definition{Name: "clones.create", Group: "clones", Write: true, Administrative: true, Resource: "engine"}), err: ErrExists, says: "there is another permission"},
		"a permission of the service, weaker": {when: brings(Definition{Name: "members.add", Group: "members", Write: true}), err: ErrExists, says: `there is another permission "members.add" already`},
		"a permission that was retired":       {given: []Event{clones, PermissionRetired{"clones.create"}}, when: brings(clones.Definition), then: registered([]Event{clones}, Listing{}, prodDoor)},
		"a permission without a name":         {when: brings(Definition{Group: "x"}), err: ErrInvalid, says: "is no name of a permission"},
		"what it asks for is nowhere":         {when: lists(Listing{Permissions: []string{"clones.create"}}), err: ErrInvalid, says: `permissions: there is no permission "clones.create"`},
		"a resource that is none":             {when: lists(Listing{Resources: []Resource{"clone"}}), err: ErrInvalid, says: `"clone" is no resource`},
		"too many resources":                  {when: lists(Listing{Resources: slices.Repeat([]Resource{"a:b"}, maxResources+1)}), err: ErrInvalid, says: "has 101 resources"},
		"a project that is no name":           {when: lists(Listing{Project: "shop "}), err: ErrInvalid, says: "project: begins or ends with a blank"},
		"too long a description":              {when: lists(Listing{Description: strings.Repeat("a", MaxDescription+1)}), err: ErrInvalid, says: "description: has 1001 characters"},

		// Who may.
		"who may just that": {given: may(enough...), when: registerProd, by: person(zoe), then: prods},
		"a member":          {when: registerProd, by: byMia, err: ErrDenied, says: "needs the permission engines.create"},
		"an auditor":        {when: registerProd, by: byAda, err: ErrDenied, says: "needs the permission engines.create"},
		"a program":         {when: registerProd, by: byRobot, err: ErrDenied, says: "needs the permission engines.create"},
		"another engine": {
			given: []Event{prodThere}, by: Actor{Kind: ActorToken, Token: token("prods")},
			when: with(func(c *RegisterEngine) { c.Name, c.Token = "test", token("new") }),
			err:  ErrDenied, says: "needs the permission engines.create",
		},
		"who may make no administrative tokens":     {given: may(without("tokens.create-administrative")...), when: registerProd, by: person(zoe), err: ErrDenied, says: "needs the permission tokens.create-administrative"},
		"who may not ask about tokens":              {given: may(without("tokens.check")...), when: registerProd, by: person(zoe), err: ErrDenied, says: "grant: it would allow what you may not do yourself: tokens.check"},
		"who may not send what engines do":          {given: may(without("database-lab.telemetry")...), when: registerProd, by: person(zoe), err: ErrDenied, says: "what you may not do yourself: database-lab.telemetry"},
		"who may define nothing, a new permission":  {given: may(enough...), when: brings(snapshot), by: person(zoe), err: ErrDenied, says: "needs the permission permissions.define"},
		"who may define nothing, one that is there": {given: all(clones, may(enough...)), when: brings(clones.Definition), by: person(zoe), then: prods},
		"a program that was given it all":           {given: []Event{granted(robot, enough...)}, when: registerProd, by: byRobot, then: prods},
		"an owner with a token for one engine":      {given: []Event{TokenBound{tokenOf(ann), Terms{Grant: Grant{Access: FullAccess, Resources: []Resource{"engine:prod"}}}}}, when: registerProd, err: ErrDenied, says: "needs the permission engines.create"},
		"an owner whose token is for some networks": {given: []Event{TokenBound{tokenOf(ann), Terms{Networks: networks("10.0.0.0/8")}}}, when: registerProd, from: "10.0.0.1", err: ErrDenied, says: "must not work elsewhere"},
		"with a secret that was replaced":           {when: registerProd, also: func(m *Meta) { m.Replaced = true }, err: ErrDenied, says: "needs the permission engines.create"},

		// What the policy demands of administrative tokens it demands of an engine's.
		"a policy of approval": {
			given: []Event{demands(func(p *Policy) { p.Approval.Kinds = []TokenKind{Administrative} })},
			when:  registerProd, then: all(prods, ApprovalRequested{token("prods"), today + UsualLapse.Instant()}),
		},
		"a policy of approval of the role": {
			given: []Event{demands(func(p *Policy) { p.Approval.Grants = []string{"engine"} })},
			when:  registerProd, then: all(prods, ApprovalRequested{token("prods"), today + UsualLapse.Instant()}),
		},
		"a policy of approval of what it may": {
			given: []Event{demands(func(p *Policy) { p.Approval.Grants = []string{"tokens.check"} })},
			when:  registerProd, then: all(prods, ApprovalRequested{token("prods"), today + UsualLapse.Instant()}),
		},
		"a policy of approval, by a program": {
			given: []Event{granted(robot, enough...), demands(func(p *Policy) { p.Approval.Kinds = []TokenKind{Administrative} })},
			when:  registerProd, by: byRobot, err: ErrDenied, says: "asked for by a person",
		},
		"a policy of creators": {
			given: []Event{demands(func(p *Policy) { p.Administrative.Creators = []Role{Owner} })},
			when:  registerProd, by: byBob, err: ErrDenied, says: "the policy lets only owner make tokens of this kind",
		},
		"a policy of creators, by a program": {
			given: []Event{granted(robot, enough...), demands(func(p *Policy) { p.Administrative.Creators = []Role{Owner, Admin} })},
			when:  registerProd, by: byRobot, err: ErrDenied, says: "the policy lets only owner, admin make",
		},
		"a policy of few tokens": {
			given: []Event{demands(func(p *Policy) { p.Administrative.PerHolder = 1 })},
			when:  registerProd, err: ErrState, says: "there are 1 live tokens already",
		},
		"a policy of short lives": {
			given: []Event{demands(func(p *Policy) { p.Administrative.Longest = day })},
			when:  registerProd, then: replacing(prods, func(e TokenIssued) Event { e.Expires = tomorrow; return e }),
		},
		"a policy of ends": {
			given: []Event{demands(func(p *Policy) { p.Administrative.Never = false })},
			when:  with(func(c *RegisterEngine) { c.Never = true }), err: ErrInvalid, says: "the policy wants an end",
		},
		"a policy of descriptions": {given: []Event{demands(func(p *Policy) { p.Description = true })}, when: registerProd, then: prods},
		"tokens that are off":      {given: []Event{demands(func(p *Policy) { p.Off = true })}, when: registerProd, err: ErrDenied, says: "needs the permission engines.create"},
	})
}

func permissionNames(set Permissions) (names []string) {
	for p := range set.All() {
		names = append(names, p.String())
	}
	return names
}

// calledEngine is how the token of an engine is called that has another name.
func calledEngine(name string) func(TokenIssued) Event {
	return func(e TokenIssued) Event {
		e.Name, e.Description = "engine "+name, "the access token of the engine "+name
		return e
	}
}

// replacing is a history in which the event of a type is another one.
func replacing[E Event](events []Event, change func(E) Event) []Event {
	events = slices.Clone(events)
	for i, e := range events {
		if e, is := e.(E); is {
			events[i] = change(e)
		}
	}
	return events
}

func TestURLsOfEngines(t *testing.T) {
	for text, ok := range map[string]bool{
		"": true, "http://localhost:2345": true, "https://prod.example.org": true, "https://[::1]:2345/x": true, "https://prod.example.org/?a=b#c": true,
		"prod.example.org": false, "//prod.example.org": false, "https://": false, "https:///x": false, "ftp://prod": false, "javascript:alert(1)": false,
		"HTTPS://prod.example.org": true, "https://user@prod.example.org": false, "https://user:secret@prod.example.org": false, "https://@prod": false,
		"https://prod\n": false, "https://prod.example.org/\u202e": false, "https://prod.example.org/%zz": false, " https://prod": false, "https://prod/\xff": false,
		"https://prod/" + strings.Repeat("a", MaxDescription): false,
	} {
		if err := (Listing{URL: text}).check(acmeAfter()); (err == nil) != ok {
			t.Errorf("%q: %v, want fit: %t", text, err, ok)
		}
	}
}

func TestUpdateEngine(t *testing.T) {
	listing := Listing{Project: "shop", URL: "https://prod.example.org", Description: "of the shop", Permissions: []string{"engines.use"}, Resources: []Resource{"clone:*"}}
	shut := Door{Verification: hashOf("v")}
	given := []Event{prodThere}
	change := func(by Actor, err error, says string) scenario[*Organization] {
		return scenario[*Organization]{given: given, when: UpdateEngine{Engine: prod, Disabled: ptr(true)}, by: by, err: err, says: says}
	}
	run(t, acmeAfter, tenantScenarios{
		"everything": {
			given: given, when: UpdateEngine{prod, &listing, &shut, ptr(true), prod},
			then: []Event{ProjectCreated{"shop"}, EngineListed{prod, listing}, EngineDoorSet{prod, shut}, EngineSwitched{prod, true}},
		},
		"nothing":                       {given: given, when: UpdateEngine{Engine: prod}},
		"the door that it has":          {given: given, when: UpdateEngine{Engine: prod, Door: ptr(prodDoor)}},
		"the door that it has, named":   {given: given, when: UpdateEngine{Engine: prod, Door: &Door{Name: "prod", PersonalTokens: true, Verification: hashOf(verification), Disabled: true}}},
		"a door that says its name":     {given: given, when: UpdateEngine{Engine: prod, Door: &Door{Name: "test", Verification: hashOf("v"), Disabled: true, resource: "engine:test"}}, then: []Event{EngineDoorSet{prod, shut}}},
		"enabled, as it is":             {given: given, when: UpdateEngine{Engine: prod, Disabled: ptr(false)}},
		"enabled again":                 {given: all(given, EngineSwitched{prod, true}), when: UpdateEngine{Engine: prod, Disabled: ptr(false)}, then: []Event{EngineSwitched{prod, false}}},
		"open to everybody":             {given: given, when: UpdateEngine{Engine: prod, Door: &Door{Open: true}}, then: []Event{EngineDoorSet{prod, Door{Open: true}}}},
		"open, with a verification":     {given: given, when: UpdateEngine{Engine: prod, Door: &Door{Open: true, Verification: hashOf("v")}}, err: ErrInvalid, says: "open: and a verification token"},
		"without anything":              {given: given, when: UpdateEngine{Engine: prod, Door: &Door{NoFallback: true}}, err: ErrInvalid, says: "verification_fallback: is off"},
		"a listing that is none":        {given: given, when: UpdateEngine{Engine: prod, Listing: &Listing{URL: "x"}}, err: ErrInvalid, says: "url: is no URL of an engine"},
		"a project that is none":        {given: given, when: UpdateEngine{Engine: prod, Listing: &Listing{Project: "\n"}}, err: ErrInvalid, says: "project:"},
		"a listing of an unknown right": {given: given, when: UpdateEngine{Engine: prod, Listing: &Listing{Permissions: []string{"x.y"}}}, err: ErrInvalid, says: `there is no permission "x.y"`},
		"having seen what it is":        {given: all(given, EngineSwitched{prod, true}), when: UpdateEngine{Engine: prod, Disabled: ptr(false), Seen: 3}, then: []Event{EngineSwitched{prod, false}}},
		"what was seen is stale":        {given: all(given, EngineSwitched{prod, true}), when: UpdateEngine{Engine: prod, Disabled: ptr(false), Seen: 2}, err: ErrStale, says: "changed at position 3"},
		"none":                          {given: given, when: UpdateEngine{Engine: 1}, err: ErrNotFound, says: "no such engine"},
		"the number of nothing":         {given: given, when: UpdateEngine{}, err: ErrNotFound, says: "no such engine"},
		"one that was deleted":          {given: all(given, EngineDeleted{prod, ""}), when: UpdateEngine{Engine: prod}, err: ErrNotFound, says: "no such engine"},
		"the number that deleted ones have": {
			given: all(given, EngineDeleted{prod, ""}), when: UpdateEngine{Disabled: ptr(true)}, err: ErrNotFound, says: "no such engine",
		},
		"by an admin":   {given: given, when: UpdateEngine{Engine: prod, Disabled: ptr(true)}, by: byBob, then: []Event{EngineSwitched{prod, true}}},
		"by a member":   change(byMia, ErrDenied, "needs the permission engines.update"),
		"by an auditor": change(byAda, ErrDenied, "needs the permission engines.update"),
		"by a program":  change(byRobot, ErrDenied, "needs the permission engines.update"),
		"by the engine": change(Actor{Kind: ActorToken, Token: token("prods")}, ErrDenied, "needs the permission engines.update"),
		"by the same engine, which was given it": {
			given: all(given, granted(token("prods"), "engines.update")), by: Actor{Kind: ActorToken, Token: token("prods")},
			when: UpdateEngine{Engine: prod, Disabled: ptr(true)}, then: []Event{EngineSwitched{prod, true}},
		},
		"by who is limited to it": {
			given: all(given, TokenBound{tokenOf(ann), Terms{Grant: Grant{Access: ByList, Permissions: []string{"engines.update"}, Resources: []Resource{"engine:prod"}}}}),
			when:  UpdateEngine{Engine: prod, Disabled: ptr(true)}, err: ErrDenied, says: "needs the permission engines.update",
		},
	})
}

func TestReplaceEngineToken(t *testing.T) {
	given, ended := []Event{prodThere}, TokenRevoked{token("prods"), "its engine has got another one"}
	home := []Network{netip.MustParsePrefix("10.0.0.0/8")}
	other := EngineToken{Token: token("other"), Hash: hashOf("other"), Networks: home}
	replaced := []Event{
		EngineTokenReplaced{prod, token("other")},
		TokenIssued{
			Token: token("other"), Type: Administrative, Name: "engine prod " + token("other").String(),
			Description: "the access token of the engine prod", Hash: hashOf("other"), Expires: prodToken.Expires,
		},
		TokenBound{token("other"), Terms{Grant: Grant{Access: ByRole, Role: "engine"}, Networks: home}},
	}
	run(t, acmeAfter, tenantScenarios{
		"one that is good":          {given: given, when: ReplaceEngineToken{prod, other, prod}, then: all([]Event{ended}, replaced)},
		"one that was revoked":      {given: all(given, TokenRevoked{token("prods"), "leaked"}), when: ReplaceEngineToken{Engine: prod, EngineToken: other}, then: replaced},
		"by an admin":               {given: given, when: ReplaceEngineToken{Engine: prod, EngineToken: other}, by: byBob, then: all([]Event{ended}, replaced)},
		"by a member":               {given: given, when: ReplaceEngineToken{Engine: prod, EngineToken: other}, by: byMia, err: ErrDenied, says: "engines.update"},
		"by who makes no tokens":    {given: all(given, granted(robot, "engines.update")), when: ReplaceEngineToken{Engine: prod, EngineToken: other}, by: byRobot, err: ErrDenied, says: "tokens.create-administrative"},
		"by the one that there was": {given: given, when: ReplaceEngineToken{Engine: prod, EngineToken: EngineToken{Token: token("prods"), Hash: hashOf("other")}}, err: ErrExists, says: "not the id and hash of a new token"},
		"what was seen is stale":    {given: all(given, EngineSwitched{prod, true}), when: ReplaceEngineToken{prod, other, 2}, err: ErrStale, says: "changed at position 3"},
		"of no engine":              {when: ReplaceEngineToken{Engine: prod, EngineToken: other}, err: ErrNotFound, says: "no such engine"},
	})
	o := acmeAfter(all(given, ended, replaced)...)
	if e, known := o.EngineOf(token("other")); !known || e.Number != prod {
		t.Errorf("the new token is that of %+v", e)
	}
	if e, known := o.EngineOf(token("prods")); known {
		t.Errorf("the old token is still that of %+v", e)
	}
}

func TestDeleteEngine(t *testing.T) {
	given, ended := []Event{prodThere}, TokenRevoked{token("prods"), "its engine was deleted"}
	run(t, acmeAfter, tenantScenarios{
		"with its token":                {given: given, when: DeleteEngine{prod, "replaced", prod}, then: []Event{EngineDeleted{prod, "replaced"}, ended}},
		"by an admin":                   {given: given, when: DeleteEngine{Engine: prod}, by: byBob, then: []Event{EngineDeleted{prod, ""}, ended}},
		"with a token that was revoked": {given: all(given, TokenRevoked{token("prods"), "leaked"}), when: DeleteEngine{Engine: prod}, then: []Event{EngineDeleted{prod, ""}}},
		"with a token that has expired": {given: all(given, TokenExpiryChanged{token("prods"), today}), when: DeleteEngine{Engine: prod}, then: []Event{EngineDeleted{prod, ""}, ended}},
		"with a token that waits":       {given: all(given, ApprovalRequested{token("prods"), tomorrow}), when: DeleteEngine{Engine: prod}, then: []Event{EngineDeleted{prod, ""}, ended}},
		"twice":                         {given: all(given, EngineDeleted{prod, ""}), when: DeleteEngine{Engine: prod}, err: ErrNotFound, says: "no such engine"},
		"none":                          {when: DeleteEngine{Engine: prod}, err: ErrNotFound, says: "no such engine"},
		"the number of nothing":         {given: all(given, EngineDeleted{prod, ""}), when: DeleteEngine{}, err: ErrNotFound, says: "no such engine"},
		"too long a reason":             {given: given, when: DeleteEngine{Engine: prod, Reason: strings.Repeat("a", MaxReason+1)}, err: ErrInvalid, says: "reason: has 1001 characters"},
		"what was seen is stale":        {given: all(given, EngineSwitched{prod, true}), when: DeleteEngine{Engine: prod, Seen: prod}, err: ErrStale, says: "changed at position 3"},
		"by a member":                   {given: given, when: DeleteEngine{Engine: prod}, by: byMia, err: ErrDenied, says: "needs the permission engines.delete"},
		"by a program":                  {given: given, when: DeleteEngine{Engine: prod}, by: byRobot, err: ErrDenied, says: "needs the permission engines.delete"},
		"by the engine":                 {given: given, when: DeleteEngine{Engine: prod}, by: Actor{Kind: ActorToken, Token: token("prods")}, err: ErrDenied, says: "needs the permission engines.delete"},
	})
}

// testsThere is a second engine, which follows the first.
var testsThere = together(EngineRegistered{"test", token("tests")}, EngineListed{0, Listing{Permissions: []string{"tokens.check"}}}, EngineDoorSet{0, Door{Open: true}},
	TokenIssued{Token: token("tests"), Type: Administrative, Name: "engine test", Hash: hashOf("tests")})

func TestEngines(t *testing.T) {
	o := acmeAfter(prodThere, testsThere, EngineListed{prod, Listing{Resources: []Resource{"clone:*"}}}, EngineSwitched{3, true})
	want := []Engine{
		{Number: 2, Token: token("prods"), Resources: []Resource{"clone:*"}, Changed: 4, Door: Door{Name: "prod", PersonalTokens: true, Verification: hashOf(verification), resource: "engine:prod"}},
		{Number: 3, Token: token("tests"), Permissions: []string{"tokens.check"}, Changed: 5, Door: Door{Name: "test", Open: true, Disabled: true, resource: "engine:test"}},
	}
	if got := o.Engines(); !reflect.DeepEqual(got, want) {
		t.Errorf("engines are %+v, want %+v", got, want)
	}
	for at, id := range map[Position]TokenID{2: token("prods"), 3: token("tests")} {
		one, _ := o.Engine(at)
		other, known := o.EngineOf(id)
		if one.Number != at || other.Number != at || !known {
			t.Errorf("engine %d is %+v, by its token %+v", at, one, other)
		}
	}
	held := o.Engines()
	decide(t, o, byAnn, DeleteEngine{Engine: prod})
	if _, known := o.Engine(prod); known {
		t.Error("what was deleted is there")
	}
	for _, id := range []TokenID{token("prods"), robot, tokenOf(ann), {}} {
		if e, known := o.EngineOf(id); known {
			t.Errorf("%v is the token of %+v", id, e)
		}
	}
	if _, known := o.Engine(0); known || len(o.Engines()) != 1 || !reflect.DeepEqual(held, want) {
		t.Errorf("engines are %+v; those from before are %+v", o.Engines(), held)
	}
	if v := o.Standing(token("prods"), &Ask{Now: today}); v.Reason != ReasonRevoked {
		t.Errorf("the token of an engine that was deleted is %q", v.Reason)
	}
}

// The access token of an engine asks about tokens, sends what engines send, and does
// nothing else; not even where the organization has a role of its own of that name.
func TestWhatAnEngineMay(t *testing.T) {
	for name, given := range map[string][]Event{
		"usually":                 {clones},
		"a role of the same name": {clones, RoleCreated{"engine", "", []string{"members.add", "clones.create"}}},
		"which is changed later":  {clones, RoleCreated{"engine", "", []string{"tokens.check"}}},
	} {
		t.Run(name, func(t *testing.T) {
			o := acmeAfter(given...)
			decide(t, o, byAnn, registerProd)
			if _, err := (UpdateRole{Name: "engine", Permissions: &[]string{"members.add", "organization.update"}}).Decide(o, Meta{Actor: byAnn, Time: today}); err == nil {
				decide(t, o, byAnn, UpdateRole{Name: "engine", Permissions: &[]string{"members.add", "organization.update"}})
			}
			if v := o.Standing(token("prods"), &Ask{Now: today}); v.Granted != PermissionsOf(TokensCheck, LabTelemetry, LabSessions, LabInstances) {
				t.Errorf("it is %q and may %v", v.Reason, o.Names(v.Granted))
			}
		})
	}
}

// Roles that are ready-made since some day do not take the place of those that
// organizations had made before under their names.
func TestARoleOfOnesOwnStaysWhatItIs(t *testing.T) {
	given := all(RoleCreated{"joe", "", []string{"members.add"}}, joined(zoe, "joe"), laptopIssued, TokenBound{laptop, Terms{Grant: Grant{Access: ByRole, Role: "joe"}}})
	o := acmeAfter(given...)
	if r, err := o.Role("joe"); err != nil || r.Type != Custom || o.permissionsOf("joe") != PermissionsOf(MembersAdd) {
		t.Fatalf("joe is %+v, %v", r, err)
	}
	if v := o.Standing(tokenOf(zoe), &Ask{Now: today}); v.Role != "joe" || v.Granted != PermissionsOf(MembersAdd) {
		t.Errorf("somebody of that role may %v", o.Names(v.Granted))
	}
	if v := o.Standing(laptop, &Ask{Now: today}); !v.Active() || !v.Granted.IsZero() { // a member may not add members
		t.Errorf("a token of that role is %q and may %v", v.Reason, o.Names(v.Granted))
	}
	decide(t, o, byAnn, UpdateRole{Name: "joe", Permissions: &[]string{"members.add", "tokens.check"}})
	if v := o.Standing(tokenOf(zoe), &Ask{Now: today}); v.Granted != PermissionsOf(MembersAdd, TokensCheck) {
		t.Errorf("after a change somebody of that role may %v", o.Names(v.Granted))
	}
	decide(t, o, byAnn, UpdateMember{Account: zoe, Role: ptr(Ordinary)})
	decide(t, o, byAnn, DeleteRole{Name: "joe"})
	if r, err := o.Role("joe"); err != nil || r.Type != ReadyMade {
		t.Errorf("after it was deleted joe is %+v, %v", r, err)
	}
	if v := o.Standing(laptop, &Ask{Now: today}); !v.Granted.IsZero() {
		t.Errorf("a token of the role that was deleted may %v", o.Names(v.Granted))
	}
	_, err := CreateRole{Name: "joe"}.Decide(o, Meta{Actor: byAnn, Time: today})
	checkRefusal(t, err, ErrExists, `there is a role "joe" already`)
}

func TestEnginesRunOut(t *testing.T) {
	o := acmeAfter()
	for i := range MaxEngines {
		at := Position(i + 2)
		o.Evolve(Commit{Meta: Meta{Position: at}, Events: []Event{EngineRegistered{fmt.Sprintf("e%d", i), TokenID{ID{1, byte(i), byte(i >> 8)}}}}})
		if i%2 == 0 {
			o.Evolve(Commit{Meta: Meta{Position: at}, Events: []Event{EngineDeleted{Engine: at}}})
		}
	}
	_, err := registerProd.Decide(o, Meta{Actor: byAnn, Time: today})
	checkRefusal(t, err, ErrState, "1000 engines were registered here, and no more fit")
	if got := len(o.Engines()); got != MaxEngines/2 {
		t.Errorf("there are %d", got)
	}
}

// An engine brings as many permissions as there is room for, or none.
func TestAnEngineBringsTooManyPermissions(t *testing.T) {
	c := registerProd
	for i := range MaxPermissions {
		c.Defines = append(c.Defines, Definition{Name: fmt.Sprintf("clones.n%d", i), Group: "clones"})
	}
	c.Listing.Permissions = []string{c.Defines[MaxPermissions-1].Name}
	o := acmeAfter()
	decide(t, o, byAnn, c)
	if got := o.Permission(c.Listing.Permissions[0]); got == NoPermission {
		t.Error("the last is not there")
	}
	_, err := c.Decide(acmeAfter(clones), Meta{Actor: byAnn, Time: today})
	checkRefusal(t, err, ErrState, "384 permissions were defined here, and no more fit")
}
