package domain

import (
	"net/netip"
	"strings"
	"testing"
)

// knock is what whoever stands at a door does: the rules 1 to 3, and with what is the
// secret of a token 4 and 5.
func knock(o *Organization, d Door, text, forwarded string, ask Ask) (e Entrance) {
	if d.Verify(&e, text, forwarded) {
		return e
	}
	s, is := ParseSecret(text)
	if !is {
		e.Verdict.Reason = ReasonMalformed
		return e
	}
	place, _ := o.Tokens.Place(s.Token)
	d.Enter(o, &e, place, s, &ask)
	return e
}

// shownAtDoor is something that somebody shows, and what comes of it where personal
// tokens are enabled.
type shownAtDoor struct {
	text   string
	via    Via
	reason Reason
	denied Reason
}

// whatIsShown is all that can be shown, at an organization that knows it.
func whatIsShown(t *testing.T) (*Organization, map[string]shownAtDoor) {
	t.Helper()
	given := []any{clones, prodThere, botCreated}
	seed := byte(100)
	secret := func(kind TokenKind, id string) Secret {
		seed++
		return drawn(t, kind, token(id), seed)
	}
	made := func(kind TokenKind, id string, holder AccountID, more ...Event) string {
		s := secret(kind, id)
		given = append(given, TokenIssued{Token: token(id), Type: kind, Holder: holder, Name: id, Hash: s.Hash(), Expires: nextYear}, more)
		return s.Reveal()
	}
	bound := func(id string, terms Terms) Event { return TokenBound{token(id), terms} }
	shown := map[string]shownAtDoor{
		"nothing":                     {"", ViaNothing, ReasonMalformed, ""},
		"the verification token":      {verification, ViaVerification, "", ""},
		"one letter less":             {verification[1:], ViaNothing, ReasonMalformed, ""},
		"its beginning":               {verification[:16], ViaNothing, ReasonMalformed, ""},
		"one letter more":             {verification + "x", ViaNothing, ReasonMalformed, ""},
		"a blank behind it":           {verification + " ", ViaNothing, ReasonMalformed, ""},
		"a zero byte behind it":       {verification + "\x00", ViaNothing, ReasonMalformed, ""},
		"another one of its length":   {strings.Repeat("x", len(verification)), ViaNothing, ReasonMalformed, ""},
		"its hash":                    {hashOf(verification).String(), ViaNothing, ReasonMalformed, ""},
		"something very long":         {strings.Repeat(verification, 100), ViaNothing, ReasonMalformed, ""},
		"a personal token":            {made(Personal, "pat", mia), ViaPersonal, "", ""},
		"a service account's":         {made(Service, "svc", bot), ViaNothing, "", ReasonPermission},
		"one that may come in":        {made(Service, "svc2", bot, ServiceAccountGranted{bot, custom("engines.use", "tokens.check")}), ViaService, "", ""},
		"an administrative one":       {made(Administrative, "adm", AccountID{}, bound("adm", Terms{Grant: Grant{Access: FullAccess}})), ViaNothing, ReasonDoor, ""},
		"the engine's own":            {secret(Administrative, "prods").Reveal(), ViaNothing, ReasonDoor, ""},
		"another organization's":      {secret(Personal, "beta").Reveal(), ViaNothing, ReasonUnknown, ""},
		"a wrong secret":              {secret(Personal, "pat").Reveal(), ViaNothing, ReasonUnknown, ""},
		"a secret of another kind":    {secret(Service, "pat").Reveal(), ViaNothing, ReasonUnknown, ""},
		"one that was revoked":        {made(Personal, "revoked", mia, TokenRevoked{Token: token("revoked")}), ViaNothing, ReasonRevoked, ""},
		"one that has expired":        {made(Personal, "expired", mia, TokenExpiryChanged{token("expired"), today}), ViaNothing, ReasonExpired, ""},
		"one that was replaced":       {made(Personal, "replaced", mia, TokenRotated{token("replaced"), hashOf("2"), nextYear, today}), ViaNothing, ReasonReplaced, ""},
		"one in its overlap":          {made(Personal, "overlap", mia, TokenRotated{token("overlap"), hashOf("2"), nextYear, tomorrow}), ViaPersonal, "", ""},
		"one that waits":              {made(Personal, "waits", mia, ApprovalRequested{token("waits"), tomorrow}), ViaNothing, ReasonWaiting, ""},
		"one that begins tomorrow":    {made(Personal, "begins", mia, bound("begins", Terms{NotBefore: tomorrow})), ViaNothing, ReasonNotYet, ""},
		"one of another network":      {made(Personal, "network", mia, bound("network", Terms{Networks: networks("192.0.2.0/24")})), ViaNothing, ReasonNetwork, ""},
		"one of this network":         {made(Personal, "network2", mia, bound("network2", Terms{Networks: networks("10.0.0.0/8")})), ViaPersonal, "", ""},
		"one of who is suspended":     {made(Personal, "suspended", zoe, joined(zoe, Ordinary)[0], MemberSuspended{Account: zoe}), ViaNothing, ReasonSuspended, ""},
		"one of who left":             {made(Personal, "left", eva, joined(eva, Ordinary)[0], MemberRemoved{Account: eva}), ViaNothing, ReasonSuspended, ""},
		"one that is read-only":       {made(Personal, "reads", mia, bound("reads", Terms{Grant: Grant{Access: ReadOnly}})), ViaNothing, "", ReasonPermission},
		"an auditor's":                {made(Personal, "auditor", ada), ViaNothing, "", ReasonPermission},
		"one for this engine":         {made(Personal, "here", mia, bound("here", Terms{Grant: Grant{Access: FullAccess, Resources: []Resource{"engine:prod"}}})), ViaPersonal, "", ""},
		"one for all engines":         {made(Personal, "all", mia, bound("all", Terms{Grant: Grant{Access: FullAccess, Resources: []Resource{"engine:*"}}})), ViaPersonal, "", ""},
		"one for another engine":      {made(Personal, "there", mia, bound("there", Terms{Grant: Grant{Access: FullAccess, Resources: []Resource{"engine:test"}}})), ViaNothing, "", ReasonResource},
		"one for something in it":     {made(Personal, "clone", mia, bound("clone", Terms{Grant: Grant{Access: FullAccess, Resources: []Resource{"clone:5"}}})), ViaNothing, "", ReasonResource},
		"one that follows its holder": {made(Personal, "follows", mia, TokenUnbound{token("follows")}), ViaPersonal, "", ""},
		"one of a machine of elsewhere": {made(Service, "svc3", AccountID{named("far")},
			ServiceAccountCreated{AccountID{named("far")}, "far", "", Grant{Access: FullAccess, Resources: []Resource{"engine:test"}}}), ViaNothing, "", ReasonResource},
	}
	s := shown["a service account's"] // the grant of its account came later
	s.via, s.denied = ViaService, ""
	shown["a service account's"] = s
	o := acmeAfter(all(given...)...)
	if own, known := o.Tokens.Find(token("prods")); !known || own.Kind != Administrative {
		t.Fatal("the engine has no token")
	}
	return o, shown
}

// The five rules, in all combinations of what an engine can be with all that can be
// shown to it.
func TestDoor(t *testing.T) {
	o, shown := whatIsShown(t)
	ask := Ask{Now: today, Address: netip.MustParseAddr("10.0.0.1"), Used: today}
	for bits := range 32 {
		has := func(bit int) bool { return bits>>bit&1 == 1 }
		d := Door{Name: "prod", PersonalTokens: has(0), NoFallback: has(1), Open: has(2), Disabled: has(3), resource: "engine:prod"}
		if has(4) {
			d.Verification = hashOf(verification)
		}
		for what, s := range shown {
			want := s
			verifies := s.text == verification && has(4)
			switch {
			case d.Disabled:
				want = shownAtDoor{reason: ReasonDoor}
			case d.Open:
				want = shownAtDoor{via: ViaOpen}
			case verifies && d.PersonalTokens && d.NoFallback:
				want = shownAtDoor{reason: ReasonDoor}
			case verifies:
				want = shownAtDoor{via: ViaVerification}
			case !d.PersonalTokens:
				want = shownAtDoor{reason: ReasonDoor}
			case s.text == verification:
				want = shownAtDoor{reason: ReasonMalformed}
			}
			got := knock(o, d, s.text, "mia@example.org", ask)
			if got.Via != want.via || got.Verdict.Reason != want.reason || got.Verdict.Denied != want.denied || got.Allowed() != (want.via != ViaNothing) {
				t.Errorf("%+v, %s: via %q, %q, denied %q, want %+v", d, what, got.Via, got.Verdict.Reason, got.Verdict.Denied, want)
			}
			if believed := got.Email != ""; believed != (got.Via == ViaVerification) {
				t.Errorf("%+v, %s, via %q: acts for %q", d, what, got.Via, got.Email)
			}
			if token := got.Via == ViaPersonal || got.Via == ViaService; token != (got.Verdict.Token.Kind != NoKind && got.Allowed()) {
				t.Errorf("%+v, %s, via %q: it is the token %v", d, what, got.Via, got.Verdict.ID)
			}
		}
	}
}

// Whoever comes in is who the token belongs to.
func TestWhoComesIn(t *testing.T) {
	o, shown := whatIsShown(t)
	ask := Ask{Now: today, Address: netip.MustParseAddr("10.0.0.1")}
	e, _ := o.Engine(2 + 1) // behind the clones
	for what, want := range map[string]Actor{
		"a personal token":     {ActorMember, mia, token("pat")},
		"one in its overlap":   {ActorMember, mia, token("overlap")},
		"one that may come in": {ActorService, bot, token("svc2")},
	} {
		got := knock(o, e.Door, shown[what].text, "ann@example.org", ask)
		if !got.Allowed() || got.Verdict.Actor() != want || got.Email != "" {
			t.Errorf("%s: via %q, %+v, acts for %q, want %+v", what, got.Via, got.Verdict.Actor(), got.Email, want)
		}
	}
	if got := knock(o, e.Door, shown["one in its overlap"].text, "", ask); got.Verdict.Replaced != tomorrow {
		t.Errorf("an old secret works until %v", got.Verdict.Replaced)
	}
}

// Nobody comes in by the second half of the rule where the first has said no: who
// forgets to ask it lets nobody in.
func TestEnterAlone(t *testing.T) {
	o, shown := whatIsShown(t)
	s, _ := ParseSecret(shown["a personal token"].text)
	place, _ := o.Tokens.Place(s.Token)
	for name, d := range map[string]Door{
		"disabled":                     {PersonalTokens: true, Disabled: true},
		"of the verification token":    {Verification: hashOf(verification)},
		"open":                         {Open: true},
		"the one that says nothing":    {},
		"of a copy that knows nothing": NewCopy().Door,
	} {
		d.resource = "engine:prod"
		var e Entrance
		if d.Enter(o, &e, place, s, &Ask{Now: today}); e.Allowed() || e.Verdict.Reason != ReasonDoor {
			t.Errorf("%s: via %q, %q", name, e.Via, e.Verdict.Reason)
		}
	}
}

// An empty verification token opens nothing, not even where somebody has made it the one there is.
func TestNothingVerifiesNothing(t *testing.T) {
	for _, d := range []Door{{}, {Verification: hashOf("")}, {PersonalTokens: true}, {PersonalTokens: true, Verification: hashOf("")}, {NoFallback: true}} {
		var e Entrance
		if d.Verify(&e, "", "mia@example.org"); e.Allowed() || e.Email != "" {
			t.Errorf("%+v: via %q, acts for %q", d, e.Via, e.Email)
		}
	}
}

func TestCheckVerification(t *testing.T) {
	for name, c := range map[string]struct{ text, says string }{
		"letters":               {strings.Repeat("a", 16), ""},
		"signs":                 {"!\"#$%&'()*+,-./~", ""},
		"the longest":           {strings.Repeat("a", 256), ""},
		"nothing":               {"", "is no verification token"},
		"a word":                {"secret", "is no verification token"},
		"one letter too few":    {strings.Repeat("a", 15), "is no verification token"},
		"one letter too many":   {strings.Repeat("a", 257), "is no verification token"},
		"a blank":               {"0123456789abcdef g", "is no verification token"},
		"a line":                {"0123456789abcdef\n", "is no verification token"},
		"a zero byte":           {"0123456789abcdef\x00", "is no verification token"},
		"another script":        {"0123456789abcdefgé", "is no verification token"},
		"no UTF-8":              {"0123456789abcdefg\xff", "is no verification token"},
		"the secret of a token": {drawn(t, Personal, laptop, 1).Reveal(), "is the secret of a token"},
		"an engine's secret":    {drawn(t, Administrative, laptop, 1).Reveal(), "is the secret of a token"},
		"almost a secret":       {drawn(t, Personal, laptop, 1).Reveal()[:65], ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := CheckVerification(c.text)
			if c.says == "" {
				checkRefusal(t, err, nil, "")
				return
			}
			checkRefusal(t, err, ErrInvalid, c.says)
			if c.text != "" && strings.Contains(err.Error(), c.text) {
				t.Errorf("the refusal repeats it: %v", err)
			}
		})
	}
	if d := (Door{Verification: hashOf(strings.Repeat("a", 256))}); !d.verifies(strings.Repeat("a", 256)) {
		t.Error("the longest does not verify")
	}
}

// Whom somebody acts for is believed if it can be an address, and is else nobody.
func TestForwardedEmail(t *testing.T) {
	for text, want := range map[string]string{
		"mia@example.org": "mia@example.org", "Mia.X+y@Example.ORG": "Mia.X+y@Example.ORG", "zoë@example.org": "zoë@example.org", "mia@localhost": "mia@localhost",
		"": "", "mia": "", "@": "", "mia@": "", "@example.org": "", "mia@example.org ": "", " mia@example.org": "", "mia @example.org": "",
		"Mia <mia@example.org>": "", "<mia@example.org>": "", "mia@example.org, ann@example.org": "", "mia@example.org;ann@example.org": "",
		"mia@example.org\r\nX-Role: owner": "", "mia@example.org\n": "", "mia\x00@example.org": "", "mia@example.org\x00": "", "mia\u202e@example.org": "",
		"mia@exa\xffmple.org": "", "mia@@example.org": "", "mia@example.org@example.org": "", `"mia x"@example.org`: "", "mia@example..org": "",
		strings.Repeat("m", MaxEmail-len("@example.org")) + "@example.org":   strings.Repeat("m", MaxEmail-len("@example.org")) + "@example.org",
		strings.Repeat("m", MaxEmail-len("@example.org")+1) + "@example.org": "",
	} {
		for via, d := range map[Via]Door{
			ViaVerification: {Verification: hashOf(verification)},
			ViaOpen:         {Open: true},
			ViaNothing:      {PersonalTokens: true, NoFallback: true, Verification: hashOf(verification)},
		} {
			var e Entrance
			d.Verify(&e, verification, text)
			believed := want
			if via != ViaVerification {
				believed = ""
			}
			if e.Via != via || e.Email != believed {
				t.Errorf("via %q, %q: via %q, acts for %q, want %q", via, text, e.Via, e.Email, believed)
			}
		}
	}
}

// What a token may at a door, by what it is limited to and what is wanted there.
func TestWhatIsWantedAtTheDoor(t *testing.T) {
	snapshots := PermissionDefined{Definition{Name: "snapshots.create", Group: "snapshots", Write: true, Resource: "clone"}}
	reports := PermissionDefined{Definition{Name: "reports.read", Group: "reports"}}
	names := []string{"engines.use", "clones.create", "snapshots.create", "reports.read"}
	on := func(resources ...Resource) Grant {
		return Grant{Access: ByList, Permissions: names, Resources: resources}
	}
	old := Definition{Name: "clones.old", Group: "clones", Write: true}
	const no, nowhere = ReasonPermission, ReasonResource
	asks := []wanted{
		{"", ""}, {"", "clone:5"}, {"", "engine:test"}, // what nobody asks for is not asked on anything
		{"engines.use", ""}, {"engines.use", "engine:test"}, {"engines.use", "clone:5"},
		{"clones.create", ""}, {"clones.create", "engine:prod"}, {"clones.create", "engine:test"}, {"clones.create", "engine:*"},
		{"snapshots.create", ""}, {"snapshots.create", "clone:5"}, {"snapshots.create", "clone:6"}, {"snapshots.create", "engine:prod"},
		{"reports.read", ""}, {"reports.read", "clone:5"}, {"reports.read", "engine:test"},
		{"clones.old", ""}, {"reports.write", ""}, // one was, one never
	}
	for name, c := range map[string]struct {
		grant Grant
		want  []Reason
	}{
		"the usual": {Grant{}, []Reason{
			"", "", "", "", nowhere, nowhere, "", "", nowhere, nowhere, "", "", "", nowhere, "", "", nowhere, no, no}},
		"full access": {Grant{Access: FullAccess}, []Reason{
			"", "", "", "", nowhere, nowhere, "", "", nowhere, nowhere, "", "", "", nowhere, "", "", nowhere, no, no}},
		"read-only": {Grant{Access: ReadOnly}, []Reason{
			no, no, no, no, no, no, no, no, no, no, no, no, no, no, "", "", nowhere, no, no}},
		"a list": {on(), []Reason{
			"", "", "", "", nowhere, nowhere, "", "", nowhere, nowhere, "", "", "", nowhere, "", "", nowhere, no, no}},
		"this engine": {on("engine:prod"), []Reason{
			"", "", "", "", nowhere, nowhere, "", "", nowhere, nowhere, "", "", "", nowhere, "", "", nowhere, no, no}},
		"all engines": {on("engine:*"), []Reason{
			"", "", "", "", nowhere, nowhere, "", "", nowhere, nowhere, "", "", "", nowhere, "", "", nowhere, no, no}},
		"another engine": {on("engine:test"), []Reason{
			nowhere, nowhere, nowhere, nowhere, nowhere, nowhere, nowhere, nowhere, nowhere, nowhere,
			nowhere, nowhere, nowhere, nowhere, nowhere, nowhere, nowhere, no, no}},
		"an engine with a longer name": {on("engine:prod2", "engine:pro", "project:prod"), []Reason{
			nowhere, nowhere, nowhere, nowhere, nowhere, nowhere, nowhere, nowhere, nowhere, nowhere,
			nowhere, nowhere, nowhere, nowhere, nowhere, nowhere, nowhere, no, no}},
		"one thing": {on("clone:5"), []Reason{
			nowhere, nowhere, nowhere, nowhere, nowhere, nowhere, nowhere, nowhere, nowhere, nowhere,
			nowhere, "", nowhere, nowhere, nowhere, "", nowhere, no, no}},
		"all things": {on("clone:*"), []Reason{
			nowhere, nowhere, nowhere, nowhere, nowhere, nowhere, nowhere, nowhere, nowhere, nowhere,
			nowhere, "", "", nowhere, nowhere, "", nowhere, no, no}},
		"this engine, and one thing": {on("clone:5", "engine:prod"), []Reason{
			"", "", "", "", nowhere, nowhere, "", "", nowhere, nowhere, "", "", "", nowhere, "", "", nowhere, no, no}},
		// What is about no type of resource is not in a grant that says everything on this engine; see anywhere.
		"everything on this engine": {Grant{Access: FullAccess, Resources: []Resource{"engine:prod"}}, []Reason{
			"", "", "", "", nowhere, nowhere, "", "", nowhere, nowhere, "", "", "", nowhere, nowhere, nowhere, nowhere, no, no}},
		"a list without coming in": {custom("clones.create"), []Reason{
			no, no, no, no, no, no, "", "", nowhere, nowhere, no, no, no, no, no, no, no, no, no}},
	} {
		t.Run(name, func(t *testing.T) {
			there := []Event{clones, snapshots, reports, prodThere, PermissionDefined{old}, PermissionRetired{old.Name}}
			personal := acmeAfter(all(there, laptopIssued, TokenBound{laptop, Terms{Grant: c.grant}})...)
			checkAtDoor(t, personal, Shown{Personal, laptop, laptopIssued.Hash}, asks, c.want)
			if c.grant.Access != Usual { // which a service account does not have
				machine := acmeAfter(all(there, ServiceAccountCreated{bot, "bot", "", c.grant}, botIssued)...)
				checkAtDoor(t, machine, Shown{Service, tokenOf(bot), botIssued.Hash}, asks, c.want)
			}
		})
	}
}

type wanted struct {
	permission string
	resource   Resource
}

// checkAtDoor wants a good token to be denied for these reasons at the engine prod.
func checkAtDoor(t *testing.T, o *Organization, s Shown, asks []wanted, want []Reason) {
	t.Helper()
	e := o.Engines()[0]
	place, _ := o.Tokens.Place(s.Token)
	for i, ask := range asks {
		var got Entrance
		e.Door.Enter(o, &got, place, s, &Ask{Now: today, Permission: ask.permission, Resource: ask.resource})
		if got.Verdict.Denied != want[i] || got.Allowed() != (want[i] == "") || !got.Verdict.Active() {
			t.Errorf("%v for %q on %q: via %q, denied %q, want %q", s.Kind, ask.permission, ask.resource, got.Via, got.Verdict.Denied, want[i])
		}
	}
}

// Both have to allow it: what a machine may and what its token may.
func TestAMachineAndItsTokenAtTheDoor(t *testing.T) {
	list := func(resources ...Resource) Grant {
		return Grant{Access: ByList, Permissions: []string{"engines.use", "clones.create"}, Resources: resources}
	}
	for name, c := range map[string]struct {
		machine, token Grant
		want           Reason
	}{
		"both here":                 {list("engine:prod"), list("engine:prod"), ""},
		"the machine everywhere":    {list(), list("engine:prod"), ""},
		"the token everywhere":      {list("engine:prod"), list("engine:*"), ""},
		"the machine elsewhere":     {list("engine:test"), list("engine:prod"), ReasonResource},
		"the token elsewhere":       {list("engine:prod"), list("engine:test"), ReasonResource},
		"the token of one thing":    {list("engine:prod"), list("clone:5"), ReasonResource},
		"the machine may not":       {custom("clones.create"), list(), ReasonPermission},
		"the token may not":         {list(), custom("clones.create"), ReasonPermission},
		"the token is the machines": {list("engine:prod"), Grant{}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			o := acmeAfter(clones, prodThere, ServiceAccountCreated{bot, "bot", "", c.machine}, botIssued, TokenBound{tokenOf(bot), Terms{Grant: c.token}})
			e, _ := o.Engine(3)
			var got Entrance
			place, _ := o.Tokens.Place(tokenOf(bot))
			e.Door.Enter(o, &got, place, Shown{Service, tokenOf(bot), botIssued.Hash}, &Ask{Now: today})
			if got.Verdict.Denied != c.want || got.Allowed() != (c.want == "") {
				t.Errorf("via %q, denied %q, want %q", got.Via, got.Verdict.Denied, c.want)
			}
		})
	}
}

// A door does not change what is asked of others.
func TestEnterLeavesTheQuestionAlone(t *testing.T) {
	o, shown := whatIsShown(t)
	e, _ := o.Engine(3)
	ask := Ask{Now: today}
	knock(o, e.Door, shown["a personal token"].text, "", ask)
	s, _ := ParseSecret(shown["a personal token"].text)
	place, _ := o.Tokens.Place(s.Token)
	if e.Door.Enter(o, new(Entrance), place, s, &ask); ask != (Ask{Now: today}) {
		t.Errorf("the question is %+v", ask)
	}
}

func TestDoorAllocatesNothing(t *testing.T) {
	o, shown := whatIsShown(t)
	e, _ := o.Engine(3)
	ask := &Ask{Now: today, Address: netip.MustParseAddr("10.0.0.1"), Permission: "clones.create", Resource: "engine:prod"}
	s, _ := ParseSecret(shown["one for this engine"].text)
	place, _ := o.Tokens.Place(s.Token)
	var in Entrance
	if got := testing.AllocsPerRun(100, func() {
		in = Entrance{}
		e.Door.Verify(&in, shown["one for this engine"].text, "")
		e.Door.Enter(o, &in, place, s, ask)
	}); got != 0 || !in.Allowed() {
		t.Errorf("a token: %v allocations, via %q, %q", got, in.Via, in.Verdict.Denied)
	}
	if got := testing.AllocsPerRun(100, func() { in = Entrance{}; e.Door.Verify(&in, verification, "") }); got != 0 || in.Via != ViaVerification {
		t.Errorf("the verification token: %v allocations, via %q", got, in.Via)
	}
}
