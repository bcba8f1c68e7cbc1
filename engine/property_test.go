package engine

import (
	"encoding/binary"
	"encoding/json"
	"flag"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"pgregory.net/rapid"

	"jeton/domain"
)

// Whatever happens in the organization, and however it is told (as it happens, all of
// it again, or by a snapshot), the copy answers about every secret there ever was as
// the organization itself does.
func TestCopyAnswersAsTheOrganization(t *testing.T) {
	// The seed in the failure's message is enough to repeat it; no files.
	for name, value := range map[string]string{"rapid.nofailfile": "true", "rapid.steps": "60"} {
		if err := flag.Set(name, value); err != nil {
			t.Fatal(err)
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		h := newHistory(t, rt)
		rt.Repeat(map[string]func(*rapid.T){
			"":                   h.agrees,
			"something happens":  h.happens,
			"somebody does more": h.happens,
			"time passes":        func(rt *rapid.T) { h.w.pass(time.Duration(h.pick(rt, 48)) * time.Hour) },
			"it is told again":   h.tellAgain,
			"it is restored":     h.restore,
		})
	})
}

// history is a world, and a reader that is told of it.
type history struct {
	w        *world
	client   *Client
	stream   *stream
	told     int // how many commits
	secrets  []domain.Secret
	members  []somebody
	programs []domain.AccountID
	tokens   []domain.TokenID
	picked   uint64
}

func newHistory(t *testing.T, rt *rapid.T) *history {
	var seed [32]byte
	binary.LittleEndian.PutUint64(seed[:], rapid.Uint64().Draw(rt, "ids"))
	source := rand.NewChaCha8(seed)
	w := &world{
		TB: t, log: "log-1", directory: domain.NewDirectory(), news: make(chan struct{}), used: map[domain.TokenID]domain.Instant{},
		ids: func() domain.ID {
			id, _ := domain.NewID(source) // it never ends
			return id
		},
	}
	w.clock.Store(noon.UnixMilli())
	w.found()
	h := &history{w: w, members: []somebody{w.owner}, secrets: []domain.Secret{w.owner.secret, w.token}, tokens: []domain.TokenID{w.owner.token}}
	h.client = &Client{config: w.config("http://127.0.0.1:1"), pace: quick, snap: &snapshot{}}
	h.client.copy.begin(MaxStaleness)
	h.client.report.begin(h.client)
	h.tellAgain(rt)
	return h
}

// pick is one of n, all equally likely: rapid prefers small numbers.
func (h *history) pick(rt *rapid.T, n int) int {
	h.picked++
	x := rapid.Uint64().Draw(rt, "pick") + h.picked*0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return int((x ^ x>>31) % uint64(n))
}

func one[T any](h *history, rt *rapid.T, of ...T) T { return of[h.pick(rt, len(of))] }

func (h *history) line(rt *rapid.T, l Line) {
	text := encode(l)
	if err := h.stream.line(text[:len(text)-1]); err != nil {
		rt.Fatalf("%s is not taken: %v", text, err)
	}
}

// tell tells what has happened.
func (h *history) tell(rt *rapid.T) {
	for ; h.told < len(h.w.commits); h.told++ {
		c := h.w.commits[h.told]
		for _, p := range c.pieces {
			h.line(rt, Line{Piece: p})
		}
		h.line(rt, Line{Mark: &Mark{c.from, c.to, h.w.instant()}})
	}
	at := h.w.position
	h.line(rt, Line{Mark: &Mark{at, at, h.w.instant()}})
}

// tellAgain tells all of it over a new stream.
func (h *history) tellAgain(rt *rapid.T) {
	h.stream = h.client.newStream()
	h.line(rt, Line{Hello: &Hello{Log: h.w.log, Organization: h.w.org.Number, Engine: h.w.engine}})
	h.line(rt, Line{Reset: true})
	for _, p := range h.w.whole() {
		h.line(rt, Line{Piece: p})
	}
	h.told = len(h.w.commits)
	h.line(rt, Line{Mark: &Mark{0, h.w.position, h.w.instant()}})
}

// restore is another process that begins with what this one would keep.
func (h *history) restore(rt *rapid.T) {
	h.tell(rt)
	before := h.client.copy.held
	fresh := newHolding()
	for p := range before.Pieces(before.uses.last) {
		var line Line
		if err := json.Unmarshal(encode(Line{Piece: p}), &line); err != nil {
			rt.Fatal(err)
		}
		if err := fresh.take(&line.Piece, nil); err != nil {
			rt.Fatalf("what a copy says of itself is not taken: %v", err)
		}
	}
	h.client.copy.replace(fresh, h.client.copy.hello)
}

// try lets somebody do something, if they may.
func (h *history) try(a domain.Actor, c domain.OrganizationCommand) {
	m := h.w.meta(a)
	if events, err := c.Decide(h.w.org, m); err == nil && len(events) > 0 {
		h.w.commit(m, events, nil)
	}
}

func (h *history) happens(rt *rapid.T) {
	things := []func(*rapid.T){h.issues, h.issues, h.issues, h.joins, h.changesToken, h.changesToken, h.changesMember, h.changesProgram, h.changesRoles, h.demands, h.opens, h.ends}
	things[h.pick(rt, len(things))](rt)
	if h.pick(rt, 3) != 0 { // else later, together with what comes
		h.tell(rt)
	}
}

func (h *history) joins(rt *rapid.T) {
	role := one(h, rt, domain.Ordinary, domain.Auditor, domain.Admin, "ci", "own")
	p := h.w.somebody()
	email := p.id.String() + "@example.org"
	m := h.w.meta(h.w.owner.actor)
	events, err := domain.RegisterAccount{Account: p.id, Email: email}.Decide(h.w.directory, m)
	h.w.commit(m, events, err)
	h.try(h.w.owner.actor, domain.AddMember{Account: p.id, Role: role, First: domain.FirstToken{Token: p.token, Hash: p.secret.Hash()}})
	if _, added := h.w.org.Tokens.Place(p.token); added {
		h.members, h.secrets, h.tokens = append(h.members, p), append(h.secrets, p.secret), append(h.tokens, p.token)
	}
}

func (h *history) issues(rt *rapid.T) {
	c := domain.IssueToken{Token: domain.TokenID{ID: h.w.ids()}, Kind: domain.Personal, Never: true, Terms: h.terms(rt)}
	c.Name = c.Token.String()
	actor := one(h, rt, h.members...).actor
	if len(h.programs) > 0 && h.pick(rt, 3) == 0 {
		c.Kind, c.Holder, actor = domain.Service, one(h, rt, h.programs...), h.w.owner.actor
	}
	if h.pick(rt, 2) == 0 {
		c.Never, c.Expires = false, h.moment(rt)
	}
	secret := h.w.draw(c.Kind, c.Token)
	c.Hash = secret.Hash()
	h.try(actor, c)
	if _, issued := h.w.org.Tokens.Place(c.Token); issued {
		h.secrets, h.tokens = append(h.secrets, secret), append(h.tokens, c.Token)
	}
}

func (h *history) moment(rt *rapid.T) domain.Instant {
	return h.w.instant().Add(time.Duration(h.pick(rt, 20*24)) * time.Hour)
}

func (h *history) terms(rt *rapid.T) (t domain.Terms) {
	t.Grant = h.grant(rt)
	if h.pick(rt, 5) == 0 {
		t.Networks = networks
	}
	if h.pick(rt, 5) == 0 {
		t.NotBefore = h.w.instant().Add(time.Hour)
	}
	return t
}

func (h *history) grant(rt *rapid.T) (g domain.Grant) {
	g.Access = one(h, rt, domain.Usual, domain.Usual, domain.FullAccess, domain.ReadOnly, domain.ByRole, domain.ByList)
	switch g.Access {
	case domain.ByRole:
		g.Role = one(h, rt, domain.Ordinary, "ci", "own")
	case domain.ByList:
		g.Permissions = []string{one(h, rt, "clones.create", "clones.read", "own.things"), "engines.use"}
	}
	if g.Access != domain.Usual && h.pick(rt, 4) == 0 {
		g.Resources = []domain.Resource{one[domain.Resource](h, rt, "engine:prod", "engine:test", "engine:*", "clone:7")}
	}
	return g
}

var (
	networks = []domain.Network{netip.MustParsePrefix("192.0.2.0/24")}
	places   = []netip.Addr{{}, netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("203.0.113.1")}
)

func (h *history) changesToken(rt *rapid.T) {
	id := one(h, rt, h.tokens...)
	t, _ := h.w.org.Tokens.Find(id)
	actor := h.w.owner.actor
	for _, p := range h.members {
		if t.Kind == domain.Personal && p.id == t.Holder {
			actor = p.actor
		}
	}
	switch h.pick(rt, 6) {
	case 0:
		if id != h.w.owner.token {
			h.try(actor, domain.RevokeToken{Token: id, Reason: "over"})
		}
	case 1:
		secret := h.w.draw(t.Kind, id)
		before := t.Hash
		h.try(actor, domain.RotateToken{Token: id, Hash: secret.Hash(), Overlap: one[domain.Seconds](h, rt, 0, 3600, 2*24*3600)})
		if now, _ := h.w.org.Tokens.Find(id); now.Hash != before {
			h.secrets = append(h.secrets, secret)
		}
	case 2:
		h.try(h.w.owner.actor, domain.ApproveToken{Token: id})
	default:
		c, terms := domain.UpdateToken{Token: id}, h.terms(rt)
		c.Grant, c.Networks, c.NotBefore = &terms.Grant, &terms.Networks, &terms.NotBefore
		if h.pick(rt, 2) == 0 {
			at := h.moment(rt)
			c.Expires = &at
		}
		if id != h.w.owner.token {
			h.try(actor, c)
		}
	}
}

func (h *history) changesMember(rt *rapid.T) {
	p := one(h, rt, h.members...)
	if p.id == h.w.owner.id {
		return
	}
	yes := h.pick(rt, 2) == 0
	switch h.pick(rt, 6) {
	case 0:
		h.try(h.w.owner.actor, domain.RemoveMember{Account: p.id, Reason: "left"})
	case 1, 2:
		h.try(h.w.owner.actor, domain.UpdateMember{Account: p.id, Suspended: &yes})
	case 3:
		h.deletes(p.id)
	default:
		role := one(h, rt, domain.Ordinary, domain.Auditor, domain.Admin, "ci", "own")
		h.try(h.w.owner.actor, domain.UpdateMember{Account: p.id, Role: &role})
	}
}

// deletes ends somebody's account, above the organization, and engines are told.
func (h *history) deletes(id domain.AccountID) {
	seat, known := h.w.org.Seat(id)
	if !known {
		return
	}
	h.w.commit(h.w.meta(h.w.owner.actor), []domain.Event{domain.AccountDeleted{Account: id}}, nil)
	last := &h.w.commits[len(h.w.commits)-1]
	last.pieces = h.w.holder(last.pieces, seat)
}

func (h *history) changesProgram(rt *rapid.T) {
	if len(h.programs) == 0 || h.pick(rt, 4) == 0 {
		id := domain.AccountID{ID: h.w.ids()}
		h.try(h.w.owner.actor, domain.CreateServiceAccount{Account: id, Name: id.String(), Grant: h.grant(rt)})
		if _, made := h.w.org.ServiceAccount(id); made {
			h.programs = append(h.programs, id)
		}
		return
	}
	id, grant, yes := one(h, rt, h.programs...), h.grant(rt), h.pick(rt, 2) == 0
	switch h.pick(rt, 4) {
	case 0:
		h.try(h.w.owner.actor, domain.DeleteServiceAccount{Account: id, Reason: "over"})
	case 1:
		h.try(h.w.owner.actor, domain.UpdateServiceAccount{Account: id, Disabled: &yes})
	default:
		h.try(h.w.owner.actor, domain.UpdateServiceAccount{Account: id, Grant: &grant})
	}
}

func (h *history) changesRoles(rt *rapid.T) {
	permissions := [][]string{{"clones.create"}, {"clones.read", "engines.use"}, {"engines.use", "clones.create", "clones.read"}, {"own.things", "engines.use"}}
	switch h.pick(rt, 6) {
	case 0:
		h.try(h.w.owner.actor, domain.DefinePermission{Definition: domain.Definition{Name: "own.things", Group: "own", Write: h.pick(rt, 2) == 0, Resource: one(h, rt, "", "clone")}})
	case 1:
		h.try(h.w.owner.actor, domain.RetirePermission{Name: one(h, rt, "own.things", "own.things", "clones.read")})
	case 2:
		h.try(h.w.owner.actor, domain.DeleteRole{Name: "own"})
	case 3:
		h.try(h.w.owner.actor, domain.CreateRole{Name: "own", Permissions: one(h, rt, permissions...)})
	default:
		all := one(h, rt, permissions...)
		h.try(h.w.owner.actor, domain.UpdateRole{Name: "own", Permissions: &all})
	}
}

func (h *history) demands(rt *rapid.T) {
	p := domain.UsualPolicy()
	p.Personal.PerHolder = 0
	switch h.pick(rt, 8) {
	case 0:
		p.Off = true
	case 1:
		p.Networks = networks
	case 2:
		p.Idle = 24 * 3600
	case 3:
		p.Service.Never, p.Service.Longest = false, 5*24*3600
	case 4:
		p.Service.Latest = h.moment(rt)
	case 5:
		p.Approval.Kinds = []domain.TokenKind{domain.Service}
	}
	h.try(h.w.owner.actor, domain.UpdatePolicy{Policy: p})
}

func (h *history) opens(rt *rapid.T) {
	e, known := h.w.org.Engine(h.w.engine)
	if !known {
		return
	}
	door, off := e.Door, h.pick(rt, 3) == 0
	switch door.Name = ""; h.pick(rt, 5) {
	case 0:
		door = domain.Door{Open: true, PersonalTokens: off}
	case 1:
		door.PersonalTokens, door.NoFallback = false, false
	case 2:
		h.try(h.w.owner.actor, domain.UpdateEngine{Engine: h.w.engine, Disabled: &off})
		return
	default:
		door = domain.Door{PersonalTokens: true, NoFallback: off, Verification: domain.Hash{1}}
	}
	h.try(h.w.owner.actor, domain.UpdateEngine{Engine: h.w.engine, Door: &door})
}

// ends ends what ends once.
func (h *history) ends(rt *rapid.T) {
	switch h.pick(rt, 20) {
	case 0:
		h.try(h.w.owner.actor, domain.DeleteOrganization{Alias: "acme", Reason: "over"})
	case 1:
		h.try(h.w.owner.actor, domain.DeleteEngine{Engine: h.w.engine, Reason: "over"})
	default:
		h.try(h.w.owner.actor, domain.RevokeTokens{Holder: one(h, rt, h.members...).id, Before: h.w.instant() - 1, Reason: "over"})
	}
}

// agrees shows every secret, from somewhere and for something.
func (h *history) agrees(rt *rapid.T) {
	h.tell(rt)
	for _, s := range h.secrets {
		p := Presented{
			Secret: s.Reveal(), Address: one(h, rt, places...), Permission: one(h, rt, "", "", "clones.create", "clones.read", "own.things"),
			Resource: one[domain.Resource](h, rt, "", "", "engine:prod", "clone:7"),
		}
		e := h.original(&p)
		got := h.client.Check(p)
		why := e.Verdict.Reason
		if why == domain.ReasonNone {
			why = e.Verdict.Denied
		}
		if got.Allowed != e.Allowed() || got.Via != e.Via {
			rt.Fatalf("token %s asked for %q on %q from %v: the copy lets it in %t by %q (%q), the organization %t by %q (%q)",
				e.Verdict.ID, p.Permission, p.Resource, p.Address, got.Allowed, got.Via, got.Reason, e.Allowed(), e.Via, why)
		}
		if e.Verdict.Token.Revoked { // a copy that was told later does not have it
			continue
		}
		if got.Reason != why {
			rt.Fatalf("token %s is denied for %q by the copy and for %q by the organization", e.Verdict.ID, got.Reason, why)
		}
		if e.Allowed() && e.Via != domain.ViaOpen {
			h.sameBearer(rt, &got, &e)
		}
	}
}

// original is the answer of the organization itself.
func (h *history) original(p *Presented) (e domain.Entrance) {
	w := h.w
	engine, known := w.org.Engine(w.engine)
	if !known {
		engine.Door.Disabled = true
	}
	if engine.Door.Verify(&e, p.Secret, "") {
		return e
	}
	shown, _ := domain.ParseSecret(p.Secret)
	place, _ := w.org.Tokens.Place(shown.Token)
	ask := domain.Ask{Now: w.instant(), Address: p.Address, Used: w.used[shown.Token], Permission: p.Permission, Resource: p.Resource}
	engine.Door.Enter(w.org, &e, place, shown, &ask)
	if w.directory.Deleted(e.Verdict.Token.Holder) && (e.Verdict.Active() || e.Verdict.Reason == domain.ReasonReplaced) {
		e.Via, e.Verdict.Reason = domain.ViaNothing, domain.ReasonSuspended
	}
	if e.Verdict.Active() {
		w.used[shown.Token] = w.instant()
	}
	return e
}

func (h *history) sameBearer(rt *rapid.T, got *Answer, e *domain.Entrance) {
	email, number := "", domain.Position(0)
	if account := h.w.directory.Accounts[e.Verdict.Token.Holder]; e.Via == domain.ViaPersonal {
		email, number = account.Email, account.Number
	} else if s, _ := h.w.org.ServiceAccount(e.Verdict.Token.Holder); true {
		number = s.Number
	}
	if got.Email != email || got.Holder != number || got.Role != e.Verdict.Role || got.Token != e.Verdict.ID || got.ExpiresAt != e.Verdict.Token.Expires {
		rt.Fatalf("the copy says it is %+v; the organization says %s, %d, %q, %s", got, email, number, e.Verdict.Role, e.Verdict.ID)
	}
}
