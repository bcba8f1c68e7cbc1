package domain

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// accountOf is the account of a person as the directory would have it.
func accountOf(id AccountID) Account {
	return Account{Number: 1000 + Position(id.ID[0]), Email: id.String() + "@example.org"}
}

// failing is a test, of this package or of rapid.
type failing interface {
	Helper()
	Fatalf(format string, args ...any)
}

// wired is a piece as it arrives at an engine.
func wired(t failing, p Piece) (arrived Piece) {
	t.Helper()
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatalf("%+v can't be sent: %v", p, err)
	}
	if err := json.Unmarshal(text, &arrived); err != nil {
		t.Fatalf("%s can't be read: %v", text, err)
	}
	return arrived
}

// follower is a platform that tells an engine what it needs, and the copy there.
type follower struct {
	o      *Organization
	engine Position
	copy   *Copy
	told   Framed
	terms  uint32
}

// follow begins a copy with all there is.
func follow(t failing, o *Organization, engine Position) *follower {
	t.Helper()
	f := &follower{o: o, engine: engine, copy: NewCopy(), terms: 1}
	f.hear(t, Touched{upTo(o.Tokens.Len()), upTo(o.Holders())})
	return f
}

func upTo(n uint32) (all []uint32) {
	for i := range n {
		all = append(all, i)
	}
	return all
}

// hear tells what has changed: the frame, terms, holders, tokens.
func (f *follower) hear(t failing, touched Touched) {
	t.Helper()
	for _, p := range f.pieces(touched) {
		if err := f.copy.Take(wired(t, p)); err != nil {
			t.Fatalf("%+v: %v", p, err)
		}
	}
}

func (f *follower) pieces(touched Touched) (pieces []Piece) {
	now := f.o.Framed()
	if !now.Same(f.told) {
		pieces = append(pieces, f.o.Frame(f.engine))
	}
	pieces = slices.AppendSeq(pieces, f.o.TermsFrom(f.terms))
	f.told, f.terms = now, now.Terms
	for _, seat := range touched.Holders {
		if p, has := f.o.HolderPiece(seat, accountOf(f.o.holders[seat].Account), false); has {
			pieces = append(pieces, p)
		}
	}
	for _, place := range touched.Tokens {
		if p, opens := f.o.TokenPiece(place, 0); opens {
			pieces = append(pieces, p)
		}
	}
	return pieces
}

// An engine's copy that hears of nothing but what each commit has touched answers
// whatever it is asked about personal tokens and those of service accounts exactly as
// the platform does, now and as time passes; so does a copy of that copy, and one that
// begins at any moment.
func TestCopyOfAnyHistory(t *testing.T) {
	for name, value := range map[string]string{"rapid.nofailfile": "true", "rapid.steps": "40"} {
		if err := flag.Set(name, value); err != nil {
			t.Fatal(err)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		c := &copies{world: w, follower: follow(t, w.o, w.beginsWithAnEngine(t))}
		w.heard = c.commit
		things := w.things()
		t.Repeat(map[string]func(*rapid.T){
			"":                   c.agree,
			"something happens":  func(t *rapid.T) { things[w.pick(t, len(things))](t) },
			"somebody does more": func(t *rapid.T) { things[w.pick(t, len(things))](t) },
		})
	})
}

// beginsWithAnEngine is an engine that takes personal tokens.
func (w *world) beginsWithAnEngine(t *rapid.T) Position {
	id, hash := w.draw(t, Administrative)
	w.commit(t, Meta{Actor: system, Time: w.now}, []Event{
		EngineRegistered{"prod", id}, EngineDoorSet{0, Door{PersonalTokens: true}}, TokenIssued{Token: id, Type: Administrative, Name: "engine prod", Hash: hash},
	})
	return w.stored[len(w.stored)-1].meta.Position
}

type copies struct {
	*world
	*follower
	seed uint64
}

func (c *copies) commit(t *rapid.T) {
	c.hear(t, c.world.o.Touched())
	c.agree(t)
}

func (c *copies) agree(t *rapid.T) {
	c.seed++
	dice := rand.New(rand.NewPCG(c.seed, 0))
	c.saysTheSame(t, dice, c.copy, true)
	if dice.IntN(15) != 0 {
		return
	}
	again := NewCopy()
	for p := range c.copy.Pieces(func(uint32) Instant { return 0 }) {
		if err := again.Take(wired(t, p)); err != nil {
			t.Fatalf("told by a copy, %+v: %v", p, err)
		}
	}
	equal(t, c.copy, again)
	c.saysTheSame(t, dice, again, false)
	c.saysTheSame(t, dice, follow(t, c.world.o, c.engine).copy, false)
}

// equal wants two copies to have the same in them, but for tokens that were revoked.
func equal(t *rapid.T, a, b *Copy) {
	for what, same := range map[string]bool{
		"frame":     reflect.DeepEqual(a.described(), b.described()),
		"door":      a.Door == b.Door,
		"catalogue": reflect.DeepEqual(a.catalogue, b.catalogue),
		"roles":     reflect.DeepEqual(a.roles, b.roles),
		"terms":     reflect.DeepEqual(a.terms, b.terms),
		"holders":   reflect.DeepEqual(a.holders, b.holders),
		"people":    reflect.DeepEqual(a.people, b.people),
		"tokens":    reflect.DeepEqual(good(a), good(b)),
	} {
		if !same {
			t.Fatalf("the copy of a copy has another %s:\n%+v\n%+v", what, a, b)
		}
	}
}

func good(c *Copy) (all map[TokenID]string) {
	all = map[TokenID]string{}
	for t := range c.Tokens.All() {
		if !t.Revoked {
			all[t.ID] = fmt.Sprintf("%+v %+v", *t, c.formers[t.ID])
		}
	}
	return all
}

var (
	askedFor = []string{"", "", "tokens.check", "clones.create", "clones.read", "secrets.read", "engines.use", "engines.read", "members.add", "tokens.create-personal", "none.such"}
	askedOn  = []Resource{"", "", "engine:prod", "engine:test", "clone:5", "project:x"}
)

// saysTheSame asks platform and copy about every secret there ever was. A copy that has
// not heard everything need not know why a token that was revoked is no good.
func (c *copies) saysTheSame(t *rapid.T, dice *rand.Rand, copy *Copy, everything bool) {
	o := c.world.o
	door := Door{Disabled: true, resource: "engine:"}
	if e, known := o.Engine(c.engine); known {
		door = e.Door
	}
	if copy.Door != door {
		t.Fatalf("the door of the copy is %+v, want %+v", copy.Door, door)
	}
	for _, id := range c.ids {
		told := c.tokens[id]
		if told == nil {
			continue
		}
		for _, s := range told.secrets {
			text := c.texts[s.hash]
			for range 3 {
				ask := Ask{
					Now: c.now + []Instant{0, 0, 1, (40 * day).Instant()}[dice.IntN(4)], Address: places[dice.IntN(len(places))], Used: []Instant{0, c.now}[dice.IntN(2)],
					Permission: askedFor[dice.IntN(len(askedFor))], Resource: askedOn[dice.IntN(len(askedOn))], Within: []Resource{"", "engine:prod"}[dice.IntN(2)],
				}
				shown, _ := ParseSecret(text)
				want, got := o.Check(shown, &ask), copy.Check(shown, &ask)
				if told.kind == Administrative {
					want = Verdict{Reason: ReasonUnknown}
				}
				unheard := !everything && want.Reason != ReasonNone && (got.Reason == ReasonUnknown || told.revoked)
				if w, g := asHeard(want), asHeard(got); w != g && !(unheard && !got.Active()) {
					t.Fatalf("token %v, %+v: the copy says\n%+v, want\n%+v (%+v)", id, ask, g, w, told)
				}
				in, there := knock(o, door, text, "", ask), knock(&copy.Organization, copy.Door, text, "", ask)
				if in.Via != there.Via || in.Verdict.Denied != there.Verdict.Denied {
					t.Fatalf("token %v, %+v: the copy lets in via %q (%q, denied %q), want %q (%q, denied %q)", id, ask,
						there.Via, there.Verdict.Reason, there.Verdict.Denied, in.Via, in.Verdict.Reason, in.Verdict.Denied)
				}
				if who := copy.Holder(&got); got.Active() && who != c.bearer(told) {
					t.Fatalf("token %v is held by %+v, want %+v", id, who, c.bearer(told))
				}
			}
		}
	}
}

func (c *copies) bearer(told *toldToken) Bearer {
	if told.kind == Service {
		s, _ := c.world.o.ServiceAccount(told.holder)
		return Bearer{s.Number, accountOf(told.holder).Email}
	}
	a := accountOf(told.holder)
	return Bearer{a.Number, a.Email}
}

// asHeard is a verdict with what of a token a copy has.
func asHeard(v Verdict) Verdict {
	t := v.Token
	v.Token = Token{ID: t.ID, Kind: t.Kind, Revoked: t.Revoked, Waiting: t.Waiting, Rotated: t.Rotated, Hash: t.Hash, seat: t.seat, terms: t.terms, Expires: t.Expires, Issued: t.Issued}
	return v
}

// What engines are told is read as what it was, all of it.
func TestPiecesSurviveTheWire(t *testing.T) {
	var all Permissions
	for i := range all {
		all[i] = math.MaxUint64 - uint64(i)
	}
	terms := samples["token.bound"].(TokenBound).Terms
	pieces := []Piece{
		{},
		{Frame: &FramePiece{}},
		{Frame: &FramePiece{
			Number: 7, Alias: "acme", Deleted: today, Policy: Policy(samples["policy.changed"].(PolicyChanged)),
			Permissions: []PermissionPiece{{511, clones.Definition}, {1, Definition{Name: "x", Administrative: true}}},
			Roles:       []RolePiece{{"guest", all, true}, {}},
			Door:        Door{Name: "prod", PersonalTokens: true, Verification: hashOf("v"), NoFallback: true, Open: true, Disabled: true},
		}},
		{Terms: &TermsPiece{}},
		{Terms: &TermsPiece{At: math.MaxUint32, Role: math.MaxUint16, Set: all, Terms: terms}},
		{Terms: &TermsPiece{At: 1, Terms: Terms{Grant: Grant{Access: FullAccess}}}},
		{Holder: &HolderPiece{}},
		{Holder: &HolderPiece{math.MaxUint32, Program, true, math.MaxUint16, math.MaxUint32, Limit{math.MaxUint32, math.MaxInt64}, math.MaxUint64, "zoë@example.org"}},
		{Holder: &HolderPiece{Kind: Person}}, {Holder: &HolderPiece{Kind: Gone}},
		{Token: &TokenPiece{laptop, Personal, hashOf("x"), math.MaxUint32, math.MaxUint32, today, nextYear + 1, true, true, tomorrow, []FormerPiece{{hashOf("y"), tomorrow + 999}, {}}}},
		{Token: &TokenPiece{ID: laptop, Kind: Service, Issued: lastInstant}},
	}
	for _, p := range pieces {
		if got := wired(t, p); diffEvents(p, got) != "" {
			t.Errorf("a piece is read otherwise (-want +got):\n%s", diffEvents(p, got))
		}
	}
}

// A copy lets nobody in before it has heard anything, nor after the frame alone.
func TestACopyThatHasHeardNothing(t *testing.T) {
	o := acmeAfter(prodThere, laptopIssued)
	c := NewCopy()
	for _, frame := range []Piece{{}, o.Frame(999), o.Frame(prod)} {
		if err := c.Take(wired(t, frame)); err != nil {
			t.Fatal(err)
		}
		text := drawn(t, Personal, laptop, 1).Reveal()
		if e := knock(&c.Organization, c.Door, text, "", Ask{Now: today}); e.Allowed() || e.Verdict.Active() {
			t.Errorf("after %+v: via %q, %q", frame, e.Via, e.Verdict.Reason)
		}
		if v := c.Check(shown(laptop, Personal), &Ask{Now: today}); v.Reason != ReasonUnknown || c.Holder(&v) != (Bearer{}) {
			t.Errorf("after %+v: %q, held by %+v", frame, v.Reason, c.Holder(&v))
		}
	}
	if got := slices.Collect(NewCopy().Pieces(func(uint32) Instant { return 0 })); len(got) != 1 || !got[0].Frame.Door.Disabled || NewCopy().Take(got[0]) != nil {
		t.Errorf("it tells others %+v", got)
	}
}

// What is told of an organization is what engines need and no more.
func TestWhatEnginesAreNotTold(t *testing.T) {
	o := acmeAfter(clones, prodThere, testsThere, RoleCreated{"guest", "the description of a role", []string{"tokens.check"}},
		TokenIssued{Token: laptop, Type: Personal, Holder: mia, Name: "the name of a token", Description: "the description of a token", Hash: hashOf("1"), Expires: nextYear},
		TokenBound{laptop, Terms{Grant: custom("tokens.check", "tokens.read-own")}}, TokenRotated{laptop, hashOf("2"), nextYear, tomorrow},
		MemberAdded{zoe, Ordinary}, ServiceAccountCreated{bot, "the name of a machine", "", Grant{Access: ByRole, Role: "guest"}}, botIssued,
		demands(func(p *Policy) { p.Approval.Grants, p.Personal.Creators = []string{"tokens.approve"}, []Role{"guest"} }))
	f := follower{o: o, engine: 3, terms: 1}
	text, err := json.Marshal(f.pieces(Touched{upTo(o.Tokens.Len()), upTo(o.Holders())}))
	if err != nil {
		t.Fatal(err)
	}
	for _, needed := range []string{laptop.String(), hashOf("1").String(), hashOf("2").String(), accountOf(mia).Email, hashOf(verification).String(), "guest", "tokens.check"} {
		if !strings.Contains(string(text), needed) {
			t.Errorf("an engine is not told %s", needed)
		}
	}
	for _, secret := range []string{
		robot.String(), token("prods").String(), hashOf("robot").String(), hashOf("prods").String(), // tokens that open no engine
		accountOf(zoe).Email, zoe.String() + `"`, // who has no token
		"the name of", "the description of", "make clones", `"test"`, // what is for people, and other engines
		`"creators"`, `"approval"`, `"per_holder"`, // what is not for checks
	} {
		if strings.Contains(string(text), secret) {
			t.Errorf("an engine is told %s", secret)
		}
	}
}

// Of which changes the frame is told again.
func TestFramed(t *testing.T) {
	for name, c := range map[string]struct {
		event Event
		again bool
	}{
		"a permission":           {clones, true},
		"a permission retired":   {PermissionRetired{"x.y"}, true},
		"a role":                 {RoleCreated{"new", "", nil}, true},
		"a role changed":         {RoleChanged{"guest", "", []string{"tokens.check"}}, true},
		"a role deleted":         {RoleDeleted{"guest"}, true},
		"the policy":             {demands(func(p *Policy) { p.Off = true }), true},
		"an engine":              {testsThere, true},
		"its door":               {EngineDoorSet{prod, Door{}}, true},
		"its switch":             {EngineSwitched{prod, true}, true},
		"its end":                {EngineDeleted{prod, ""}, true},
		"the organization's end": {OrganizationDeleted{}, true},
		"a token":                {laptopIssued, false},
		"a token bound":          {TokenBound{tokenOf(mia), Terms{Grant: custom("tokens.check")}}, false},
		"a token revoked":        {TokenRevoked{Token: tokenOf(mia)}, false},
		"a member":               {MemberAdded{zoe, Ordinary}, false},
		"a role of a member":     {MemberRoleChanged{mia, Admin}, false},
		"a record":               {RecordKept{Type: LabSession}, false},
		"a project":              {ProjectCreated{"shop"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			o := acmeAfter(prodThere, PermissionDefined{Definition{Name: "x.y", Group: "x"}}, RoleCreated{"guest", "", nil})
			before := o.Framed()
			if !before.Same(o.Framed()) {
				t.Fatal("it is not the same as itself")
			}
			events := []Event{c.event}
			if p, is := c.event.(past); is {
				events = p.events
			}
			o.Evolve(Commit{Meta: Meta{Position: 9, Time: today}, Events: events})
			if got := !o.Framed().Same(before); got != c.again {
				t.Errorf("told again: %t, want %t", got, c.again)
			}
		})
	}
}

// What each change touches, by the ids of tokens and accounts.
func TestTouched(t *testing.T) {
	given := all(laptopIssued, botThere, TokenRotated{laptop, hashOf("2"), nextYear, tomorrow}, on(today+1, TokenRotated{tokenOf(bob), hashOf("b"), nextYear, tomorrow}))
	for name, c := range map[string]struct {
		event  Event
		tokens []TokenID
		seats  []AccountID
	}{
		"nothing":                   {RecordKept{Type: LabSession}, nil, nil},
		"the policy":                {demands(func(*Policy) {}), nil, nil},
		"a token":                   {issued(token("new"), mia, "new"), []TokenID{token("new")}, []AccountID{mia}},
		"a token bound":             {TokenBound{laptop, Terms{Grant: custom("tokens.check")}}, []TokenID{laptop}, nil},
		"a token rotated":           {TokenRotated{laptop, hashOf("3"), nextYear, today}, []TokenID{laptop}, nil},
		"an overlap ended":          {OverlapEnded{Token: laptop}, []TokenID{laptop}, nil},
		"an end moved":              {TokenExpiryChanged{laptop, tomorrow}, []TokenID{laptop}, nil},
		"a token that waits":        {ApprovalRequested{laptop, tomorrow}, []TokenID{laptop}, nil},
		"a token approved":          {ApprovalGiven{Token: laptop}, []TokenID{laptop}, nil},
		"a token refused":           {ApprovalRefused{Token: laptop}, []TokenID{laptop}, nil},
		"a token lapsed":            {ApprovalLapsed{laptop}, []TokenID{laptop}, nil},
		"a token revoked":           {TokenRevoked{Token: laptop}, []TokenID{laptop}, nil},
		"a token burned":            {TokenBurned{Token: laptop}, []TokenID{laptop}, nil},
		"all of a holder revoked":   {TokensRevoked{Holder: mia}, []TokenID{laptop, tokenOf(mia)}, nil},
		"old secrets revoked":       {TokensRevoked{Before: today, Except: laptop}, nil, nil},
		"of two secrets the old":    {TokensRevoked{Holder: bob, Before: today + 1}, []TokenID{tokenOf(bob)}, nil},
		"no such token":             {TokenRevoked{Token: token("none")}, nil, nil},
		"a member":                  {MemberAdded{zoe, Ordinary}, nil, []AccountID{zoe}},
		"a role":                    {MemberRoleChanged{mia, Admin}, nil, []AccountID{mia}},
		"a suspension":              {MemberSuspended{Account: mia}, nil, []AccountID{mia}},
		"its end":                   {MemberReinstated{mia}, nil, []AccountID{mia}},
		"a limit":                   {HolderLimited{mia, Limit{1, 60}}, nil, []AccountID{mia}},
		"a member who left":         {MemberRemoved{Account: mia}, nil, []AccountID{mia}},
		"a machine":                 {ServiceAccountCreated{Account: zoe, Name: "zoe"}, nil, []AccountID{zoe}},
		"what a machine may":        {ServiceAccountGranted{bot, Grant{Access: ReadOnly}}, nil, []AccountID{bot}},
		"a machine that is off":     {ServiceAccountSwitched{bot, true}, nil, []AccountID{bot}},
		"a machine that is no more": {ServiceAccountDeleted{Account: bot}, nil, []AccountID{bot}},
	} {
		t.Run(name, func(t *testing.T) {
			o := acmeAfter(given...)
			o.Evolve(Commit{Meta: Meta{Position: 99, Time: today + 2}, Events: []Event{c.event}})
			tokens, holders := map[TokenID]bool{}, map[AccountID]bool{}
			for _, place := range o.Touched().Tokens {
				tokens[o.Tokens.At(place).ID] = true
			}
			for _, seat := range o.Touched().Holders {
				holders[o.holders[seat].Account] = true
			}
			if want := setOf(c.tokens); !maps.Equal(tokens, want) {
				t.Errorf("tokens %v, want %v", tokens, want)
			}
			if want := setOf(c.seats); !maps.Equal(holders, want) {
				t.Errorf("holders %v, want %v", holders, want)
			}
			o.Evolve(Commit{Meta: Meta{Position: 100, Time: today + 2}})
			if got := o.Touched(); len(got.Tokens)+len(got.Holders) != 0 {
				t.Errorf("the next commit has touched %v", got)
			}
		})
	}
}

func setOf[K comparable](list []K) map[K]bool {
	set := map[K]bool{}
	for _, k := range list {
		set[k] = true
	}
	return set
}

// What has touched many is forgotten with its memory.
func TestTouchedIsForgotten(t *testing.T) {
	o := acmeAfter()
	var many []Event
	for i := range 100 {
		many = append(many, issued(TokenID{ID{7, byte(i)}}, mia, fmt.Sprint(i)))
	}
	o.Evolve(Commit{Events: many})
	if got := len(o.Touched().Tokens); got != 100 {
		t.Errorf("%d tokens were touched", got)
	}
	o.Evolve(Commit{})
	if got := o.Touched().Tokens; got != nil {
		t.Errorf("then %v, in room for %d", got, cap(got))
	}
}

// An old secret that was ended alone ends in copies too, and its token goes on.
func TestOldSecretsEndInCopies(t *testing.T) {
	rotated := []Event{on(today-10, issued(laptop, mia, "laptop")), on(today-5, TokenRotated{laptop, hashOf("2"), nextYear, tomorrow})}
	for name, end := range map[string]Event{
		"those from before a moment": TokensRevoked{Before: today - 7},
		"those of a holder":          TokensRevoked{Holder: mia, Before: today - 7},
		"an overlap":                 OverlapEnded{Token: laptop},
	} {
		t.Run(name, func(t *testing.T) {
			o := acmeAfter(rotated...)
			f := follow(t, o, 0)
			old, present := Shown{Personal, laptop, hashOf(laptop.String())}, Shown{Personal, laptop, hashOf("2")}
			if v := f.copy.Check(old, &Ask{Now: today}); !v.Active() || v.Replaced != tomorrow {
				t.Fatalf("the old secret is %q until %v", v.Reason, v.Replaced)
			}
			o.Evolve(Commit{Meta: Meta{Position: 99, Time: today}, Events: []Event{end}})
			f.hear(t, o.Touched())
			if v := f.copy.Check(old, &Ask{Now: today}); v.Reason != ReasonReplaced {
				t.Errorf("the old secret is %q", v.Reason)
			}
			if v := f.copy.Check(present, &Ask{Now: today}); !v.Active() {
				t.Errorf("the present one is %q", v.Reason)
			}
		})
	}
}

// Whoever's account is gone is suspended in copies, though their organization has not
// heard of it.
func TestAnAccountThatIsGone(t *testing.T) {
	o := acmeAfter(laptopIssued)
	f := follow(t, o, 0)
	seat, _ := o.Seat(mia)
	for gone, want := range map[bool]Reason{true: ReasonSuspended, false: ReasonNone} {
		p, has := o.HolderPiece(seat, accountOf(mia), gone)
		if err := f.copy.Take(wired(t, p)); err != nil || !has {
			t.Fatal(err, has)
		}
		if v := f.copy.Check(shown(laptop, Personal), &Ask{Now: today}); v.Reason != want {
			t.Errorf("gone %t: %q, want %q", gone, v.Reason, want)
		}
	}
}

// Who has no token is told to nobody; the seat of the organization itself neither.
func TestWhoseSeatIsTold(t *testing.T) {
	o := acmeAfter(all(MemberAdded{zoe, Ordinary}, botThere, MemberRemoved{Account: mia})...)
	for account, want := range map[AccountID]*HolderPiece{
		ann: {Kind: Person, Role: uint16(placeOfOwner), Number: accountOf(ann).Number, Email: accountOf(ann).Email},
		bot: {Kind: Program, Terms: 1, Number: 3, Email: accountOf(bot).Email},
		mia: {Kind: Gone, Number: accountOf(mia).Number, Email: accountOf(mia).Email},
		zoe: nil,
		{}:  nil,
	} {
		seat, _ := o.Seat(account)
		p, has := o.HolderPiece(seat, accountOf(account), false)
		if want != nil {
			want.At = seat
		}
		if !reflect.DeepEqual(p.Holder, want) || has != (want != nil) {
			t.Errorf("%v is told as %+v, want %+v", account, p.Holder, want)
		}
	}
	if at := o.HolderChanged(0); at != 1 {
		t.Errorf("the first holder changed at %d", at)
	}
}

// A piece that comes twice or late changes nothing, and no token comes back that was
// revoked.
func TestPiecesThatComeTwiceOrLate(t *testing.T) {
	o := acmeAfter(prodThere, laptopIssued, TokenBound{laptop, Terms{Grant: custom("tokens.check")}})
	f := follow(t, o, prod)
	first := follower{o: o, engine: prod, terms: 1}
	pieces := first.pieces(Touched{upTo(o.Tokens.Len()), upTo(o.Holders())})
	again := func() {
		for _, p := range pieces {
			if err := f.copy.Take(wired(t, p)); err != nil {
				t.Fatal(err)
			}
		}
	}
	before := follow(t, o, prod).copy
	if again(); !reflect.DeepEqual(f.copy, before) {
		t.Errorf("twice makes\n%+v\nof\n%+v", f.copy, before)
	}
	decide(t, o, byMia, RevokeToken{Token: laptop})
	f.hear(t, o.Touched())
	again()
	if v := f.copy.Check(shown(laptop, Personal), &Ask{Now: today}); v.Reason != ReasonRevoked {
		t.Errorf("what comes late makes a token %q that was revoked", v.Reason)
	}
	for p := range f.copy.Pieces(func(uint32) Instant { return 0 }) {
		if p.Token != nil && p.Token.ID == laptop {
			t.Errorf("the copy tells others of %+v", p.Token)
		}
	}
}

// How a copy tells others when tokens were used.
func TestACopyTellsWhenTokensWereUsed(t *testing.T) {
	c := follow(t, acmeAfter(laptopIssued), 0).copy
	place, _ := c.Tokens.Place(laptop)
	for p := range c.Pieces(func(at uint32) Instant { return Instant(at) + 1 }) {
		if p.Token != nil && p.Token.ID == laptop && p.Token.Used != Instant(place)+1 {
			t.Errorf("it was used %v", p.Token.Used)
		}
	}
	for range c.Pieces(nil) {
		break // who has heard enough
	}
	many := 0
	for p := range c.Pieces(func(uint32) Instant { return 0 }) {
		if many++; p.Token != nil {
			break
		}
	}
	if many == 0 || many >= 1+len(c.holders)+len(c.Tokens.kept) {
		t.Errorf("it has told %d pieces after it was told to stop", many)
	}
}

// A piece that cannot be is refused and changes nothing.
func TestPiecesThatAreRefused(t *testing.T) {
	o := acmeAfter(all(prodThere, RoleCreated{"guest", "", nil}, laptopIssued, granted(laptop, "tokens.check"), botThere)...)
	frame := func(change func(*FramePiece)) Piece {
		p := o.Frame(prod)
		change(p.Frame)
		return p
	}
	good := TokenPiece{ID: laptop, Kind: Personal, Hash: hashOf("x")}
	with := func(change func(*TokenPiece)) Piece { p := good; change(&p); return Piece{Token: &p} }
	roles, terms, holders := uint16(len(o.roles)), uint32(len(o.terms)), o.Holders()
	for name, c := range map[string]struct {
		piece Piece
		says  string
	}{
		"a permission of no number":     {frame(func(f *FramePiece) { f.Permissions[0].Number = 0 }), "permission 0 is out of range"},
		"a permission of a high number": {frame(func(f *FramePiece) { f.Permissions[0].Number = 512 }), "permission 512 is out of range"},
		"fewer roles":                   {frame(func(f *FramePiece) { f.Roles = f.Roles[:roles-1] }), "the roles are in other places"},
		"no roles":                      {frame(func(f *FramePiece) { f.Roles = nil }), "the roles are in other places"},
		"a role in another's place":     {frame(func(f *FramePiece) { f.Roles[1].Name, f.Roles[2].Name = f.Roles[2].Name, f.Roles[1].Name }), "the roles are in other places"},
		"a role more, among them":       {frame(func(f *FramePiece) { f.Roles = slices.Insert(f.Roles, 5, RolePiece{Name: "new"}) }), "the roles are in other places"},

		"terms in no place":        {Piece{Terms: &TermsPiece{}}, "terms 0 are out of range"},
		"terms very far off":       {Piece{Terms: &TermsPiece{At: maxTerms}}, "are out of range"},
		"terms too far off":        {Piece{Terms: &TermsPiece{At: terms + maxGap + 1}}, "are out of range"},
		"terms at the end":         {Piece{Terms: &TermsPiece{At: math.MaxUint32}}, "are out of range"},
		"terms of an unknown role": {Piece{Terms: &TermsPiece{At: 1, Role: roles}}, "terms 1 name the role"},

		"a seat very far off":          {Piece{Holder: &HolderPiece{At: maxSeats}}, "is out of range"},
		"a seat too far off":           {Piece{Holder: &HolderPiece{At: holders + maxGap + 1}}, "is out of range"},
		"a seat at the end":            {Piece{Holder: &HolderPiece{At: math.MaxUint32}}, "is out of range"},
		"a holder of no kind there is": {Piece{Holder: &HolderPiece{Kind: Program + 1}}, "nobody knows what is in it"},
		"a holder of an unknown role":  {Piece{Holder: &HolderPiece{Role: roles}}, "has a role or terms that are not known"},
		"a holder of unknown terms":    {Piece{Holder: &HolderPiece{Terms: terms}}, "has a role or terms that are not known"},

		"an administrative token":  {with(func(p *TokenPiece) { p.Kind = Administrative }), "is none that an engine has"},
		"a token of no kind":       {with(func(p *TokenPiece) { p.Kind = NoKind }), "is none that an engine has"},
		"a token of another kind":  {with(func(p *TokenPiece) { p.Kind = 9 }), "is none that an engine has"},
		"a token without an id":    {with(func(p *TokenPiece) { p.ID = TokenID{} }), "is none that an engine has"},
		"a token without a secret": {with(func(p *TokenPiece) { p.Hash = Hash{} }), "is none that an engine has"},
		"a token of nobody":        {with(func(p *TokenPiece) { p.Seat = holders }), "has a holder or terms that are not known"},
		"a token of unknown terms": {with(func(p *TokenPiece) { p.Terms = terms }), "has a holder or terms that are not known"},
	} {
		t.Run(name, func(t *testing.T) {
			copy := follow(t, o, prod).copy
			err := copy.Take(c.piece)
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, want something with %q", err, c.says)
			}
			if before := follow(t, o, prod).copy; !reflect.DeepEqual(copy, before) {
				t.Errorf("it makes\n%+v\nof\n%+v", copy, before)
			}
		})
	}
}

// What a copy has not heard of allows nothing: terms and seats that were passed over.
func TestWhatWasPassedOver(t *testing.T) {
	o := acmeAfter(laptopIssued, granted(laptop, "tokens.check"))
	f := follow(t, o, 0)
	seat, _ := o.Seat(mia)
	far, away := uint32(len(f.copy.terms))+3, uint32(len(f.copy.holders))+3
	for _, p := range []Piece{
		{Terms: &TermsPiece{At: far, Terms: Terms{Grant: Grant{Access: FullAccess}}}},
		{Holder: &HolderPiece{At: away, Kind: Person, Role: uint16(placeOfOwner)}},
		{Token: &TokenPiece{ID: token("1"), Kind: Personal, Hash: hashOf(token("1").String()), Seat: seat, Terms: far - 1}},
		{Token: &TokenPiece{ID: token("2"), Kind: Personal, Hash: hashOf(token("2").String()), Seat: away - 1}},
	} {
		if err := f.copy.Take(wired(t, p)); err != nil {
			t.Fatal(err)
		}
	}
	if v := f.copy.Check(shown(token("1"), Personal), &Ask{Now: today}); !v.Granted.IsZero() {
		t.Errorf("terms that nobody has heard of allow %v", f.copy.Names(v.Granted))
	}
	if v := f.copy.Check(shown(token("2"), Personal), &Ask{Now: today}); v.Reason != ReasonSuspended {
		t.Errorf("the token of nobody is %q", v.Reason)
	}
}

// FuzzPiece: whatever a copy is told, it takes it or refuses it, and goes on to answer.
func FuzzPiece(f *testing.F) {
	o := acmeAfter(all(clones, prodThere, RoleCreated{"guest", "", []string{"clones.create"}}, joined(zoe, "guest"), laptopIssued,
		granted(laptop, "tokens.check"), TokenRotated{laptop, hashOf("2"), nextYear, tomorrow}, botThere)...)
	begin := follower{o: o, engine: 3, terms: 1}
	pieces := begin.pieces(Touched{upTo(o.Tokens.Len()), upTo(o.Holders())})
	for _, p := range pieces {
		text, err := json.Marshal(p)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	for _, text := range []string{
		`{"frame":{}}`, `{"frame":{"roles":[{"set":[1,2]}],"permissions":[{"number":511}]}}{"frame":{"roles":[]}}`, `{"terms":{"at":9,"access":"role","role":1}}`,
		`{"holder":{"at":3,"kind":255}}{"holder":{"at":16777215}}`, `{"token":{"kind":"service","id":"` + laptop.String() + `","hash":"` + hashOf("x").String() + `","seat":1,"terms":4294967295}}`,
		`{"frame":{"policy":{"networks":["10.0.0.0/8"],"idle":-9223372036854775808,"token_limit":{"requests":4294967295,"window":-1}}}}`,
		`{"holder":{"at":1,"kind":1,"role":3,"terms":1,"limit":{"requests":1,"window":-9223372036854775808}}}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c := NewCopy()
		for _, p := range pieces {
			if err := c.Take(p); err != nil {
				t.Fatal(err)
			}
		}
		told := json.NewDecoder(bytes.NewReader(text))
		for range 5 {
			var p Piece
			if told.Decode(&p) != nil {
				break
			}
			_ = c.Take(p) // refused or not
		}
		answers(t, c)
	})
}

// answers asks a copy about everything that it has.
func answers(t *testing.T, c *Copy) {
	t.Helper()
	for place := range c.Tokens.Len() {
		kept := *c.Tokens.At(place)
		for _, ask := range []Ask{{}, {Now: today, Permission: "clones.create", Resource: "engine:prod", Within: "clone:5", Address: places[1]}, {Now: math.MaxInt64, Used: math.MinInt64}} {
			var e Entrance
			c.Door.Enter(&c.Organization, &e, place, Shown{kept.Kind, kept.ID, kept.Hash}, &ask)
			if v := c.Check(Shown{kept.Kind, kept.ID, kept.Hash}, &ask); kept.Kind == Administrative || kept.Revoked && v.Active() || e.Allowed() && !v.Active() {
				t.Fatalf("%+v is %q, and comes in via %q", kept, v.Reason, e.Via)
			}
			c.Check(Shown{kept.Kind, kept.ID, hashOf("guess")}, &ask)
			c.Holder(&e.Verdict)
		}
	}
	again := NewCopy()
	for p := range c.Pieces(func(uint32) Instant { return 0 }) {
		if err := again.Take(p); err != nil {
			t.Fatalf("a copy tells %+v, which another one refuses: %v", p, err)
		}
	}
}

// What a copy answers with costs no memory, as at the platform.
func TestACopyAllocatesNothing(t *testing.T) {
	c := follow(t, acmeAfter(clones, laptopIssued, granted(laptop, "clones.create")), 0).copy
	ask := &Ask{Now: today, Address: netip.MustParseAddr("10.0.0.1"), Permission: "clones.create", Resource: "engine:prod"}
	s := shown(laptop, Personal)
	var v Verdict
	if got := testing.AllocsPerRun(100, func() { v = c.Check(s, ask) }); got != 0 || !v.Active() || v.Denied != ReasonNone {
		t.Errorf("%v allocations, %q, denied %q", got, v.Reason, v.Denied)
	}
}
