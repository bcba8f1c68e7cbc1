package domain

import (
	"encoding/binary"
	"encoding/json"
	"flag"
	"maps"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Whatever anybody does in whatever order, and however time passes, after every
// step: a secret opens exactly what somebody who keeps books in another way says it
// opens, from wherever it is shown; live names are unique per holder; at most two
// secrets of a token work; an active owner remains; the history alone, read back
// from what is stored, gives the same state; who has no rights causes nothing, and
// nobody gives more than they have; no secret is in an event.
func TestAnyHistory(t *testing.T) {
	// The seed in the failure's message is enough to repeat it; no files.
	for name, value := range map[string]string{"rapid.nofailfile": "true", "rapid.steps": "80"} {
		if err := flag.Set(name, value); err != nil {
			t.Fatal(err)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		things := w.things()
		t.Repeat(map[string]func(*rapid.T){
			"":                   w.holds,
			"something happens":  func(t *rapid.T) { things[w.pick(t, len(things))](t) },
			"somebody does more": func(t *rapid.T) { things[w.pick(t, len(things))](t) },
		})
	})
}

// pick is one of n, all equally likely: rapid prefers small numbers.
func (w *world) pick(t *rapid.T, n int) int {
	w.picked++
	x := rapid.Uint64().Draw(t, "pick") + w.picked*0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return int((x ^ x>>31) % uint64(n))
}

// things is what can happen. What makes something happens more often than what
// ends it, so that there is something to end.
func (w *world) things() []func(*rapid.T) {
	act := func(c func(t *rapid.T) command[*Organization]) func(*rapid.T) {
		return func(t *rapid.T) { w.act(t, c(t)) }
	}
	issue := act(func(t *rapid.T) command[*Organization] { return w.issueToken(t) })
	update := act(func(t *rapid.T) command[*Organization] { return w.updateToken(t) })
	rotate := act(func(t *rapid.T) command[*Organization] { return w.rotateToken(t) })
	member := act(func(t *rapid.T) command[*Organization] { return w.updateMember(t) })
	policy := act(func(t *rapid.T) command[*Organization] { return UpdatePolicy{w.anyPolicy(t), 0} })
	approve := act(func(t *rapid.T) command[*Organization] { return ApproveToken{w.anyWaiting(t), ""} })
	ends := []func(*rapid.T){
		w.burn, w.removeByService, w.leave,
		act(func(t *rapid.T) command[*Organization] { return RevokeToken{w.anyToken(t), reason(t), seen(t)} }),
		act(func(t *rapid.T) command[*Organization] { return w.revokeTokens(t) }),
		act(func(t *rapid.T) command[*Organization] { return RemoveMember{anyAccount(t), reason(t), seen(t)} }),
		act(func(t *rapid.T) command[*Organization] {
			return DeleteServiceAccount{w.anyMachine(t), reason(t), seen(t)}
		}),
		act(func(t *rapid.T) command[*Organization] { return RetirePermission{anyDefinition(t).Name} }),
		act(func(t *rapid.T) command[*Organization] { return DeleteRole{anyCustomRole(t), seen(t)} }),
		act(func(t *rapid.T) command[*Organization] { return RefuseToken{w.anyWaiting(t), "no"} }),
		act(func(t *rapid.T) command[*Organization] { return DeleteEngine{w.anyEngine(t), reason(t), seen(t)} }),
		act(func(t *rapid.T) command[*Organization] { return w.removeRecords(t) }),
		func(t *rapid.T) {
			if w.pick(t, 10) == 0 {
				w.act(t, DeleteOrganization{Alias: "acme"})
			}
		},
	}
	return []func(*rapid.T){
		issue, issue, issue, issue, update, update, rotate, rotate, rotate, member, member, policy, policy, approve, approve,
		w.reachAnEnd, w.reachAnEnd, w.reuse, w.reuse, w.sibling,
		func(t *rapid.T) {
			w.now = w.now.Add(time.Duration(rapid.Int64Range(1, 40*24).Draw(t, "hours")) * time.Hour)
		},
		func(t *rapid.T) { ends[w.pick(t, len(ends))](t) },
		func(t *rapid.T) { ends[w.pick(t, len(ends))](t) },
		act(func(t *rapid.T) command[*Organization] { return w.addMember(t) }),
		act(func(t *rapid.T) command[*Organization] { return UpdateOrganization{anyName(t), seen(t)} }),
		act(func(t *rapid.T) command[*Organization] { return DefinePermission{anyDefinition(t)} }),
		act(func(t *rapid.T) command[*Organization] { return CreateRole{anyCustomRole(t), "", anyPermissions(t)} }),
		act(func(t *rapid.T) command[*Organization] {
			return UpdateRole{anyCustomRole(t), nil, ptr(anyPermissions(t)), seen(t)}
		}),
		act(func(t *rapid.T) command[*Organization] { return w.createMachine(t) }),
		act(func(t *rapid.T) command[*Organization] { return w.updateMachine(t) }),
		act(func(t *rapid.T) command[*Organization] { return w.registerEngine(t) }),
		act(func(t *rapid.T) command[*Organization] { return w.updateEngine(t) }),
		act(func(t *rapid.T) command[*Organization] { return w.keepRecord(t) }),
		func(t *rapid.T) { w.do(t, Meta{Actor: system, Time: w.now}, Lapse{}) },
		func(t *rapid.T) { w.do(t, Meta{Actor: system, Time: w.now}, WarnOfExpiry{}) },
	}
}

// world is an organization beside what its events told to somebody who keeps
// books in another way.
type world struct {
	now      Instant
	o        *Organization
	stored   []storedCommit
	read     int // how many of them were read back
	drawn    int
	picked   uint64
	texts    map[Hash]string // of all secrets that were ever drawn
	ids      []TokenID       // of all that were ever drawn
	members  map[AccountID]*toldMember
	machines map[AccountID]*toldMachine
	accounts []AccountID // of machines, that were ever drawn
	tokens   map[TokenID]*toldToken
	roles    map[Role]*toldRole
	own      map[string]*toldPermission
	defined  int
	policy   Policy
	deleted  bool
	rotated  TokenID // what somebody wanted to rotate last
	before   map[TokenID]toldBefore
	engines  map[Position]*toldEngine
	named    map[string]bool // of engines, for ever
	projects map[string]Position
	records  map[Position]toldRecord
	heard    func(*rapid.T) // whoever follows is told of a commit
}

type toldEngine struct {
	name     string
	token    TokenID
	door     Door
	disabled bool
	gone     bool
}

type toldRecord struct {
	kind   RecordKind
	parent Position
	key    string
}

// toldBefore is a token as it was before a command.
type toldBefore struct {
	toldToken
	live  bool
	waits bool
	may   rights
}

type storedCommit struct {
	meta   Meta
	events []storedEvent
}

type storedEvent struct {
	kind string
	data []byte
}

type toldMember struct {
	role      *toldRole
	suspended bool
}

type toldMachine struct {
	disabled bool
	grant    toldGrant
}

// toldRole is a role; one of the same name is another one.
type toldRole struct {
	name        Role
	custom      bool
	permissions []*toldPermission // of a custom one
	gone        bool
}

// toldPermission is a permission; one of the same name is another one.
type toldPermission struct {
	Definition
	gone bool
}

type toldGrant struct {
	access      Access
	role        *toldRole
	permissions []*toldPermission
	resources   []Resource
}

type toldToken struct {
	kind     TokenKind
	holder   AccountID
	name     string
	expires  Instant
	revoked  bool
	waiting  bool
	asked    Actor
	grant    toldGrant
	networks []Network
	begins   Instant
	secrets  []*toldSecret // the last is the present one
}

type toldSecret struct {
	hash   Hash
	issued Instant
	until  Instant // of one that was rotated out
}

func (t *toldToken) secret() *toldSecret { return t.secrets[len(t.secrets)-1] }

// What the roles of every organization allow of the service's own permissions.
const (
	toldRead    = "organization.read policy.read members.read roles.read permissions.read tokens.check tokens.read-own engines.read database-lab.read "
	toldReads   = toldRead + "tokens.read-any log.read webhooks.read "
	toldLab     = "database-lab.joe database-lab.checkup database-lab.telemetry database-lab.sessions database-lab.instances "
	toldMembers = toldRead + toldLab + "engines.use tokens.create-personal tokens.update-own tokens.rotate-own tokens.revoke-own "
	toldAdmin   = toldMembers + "tokens.read-any log.read webhooks.read webhooks.write organization.update policy.update members.add members.update members.remove " +
		"roles.create roles.update roles.delete permissions.define permissions.retire tokens.create-administrative tokens.create-service " +
		"tokens.update-any tokens.rotate-any tokens.revoke-any tokens.approve engines.create engines.update engines.delete database-lab.delete "
	toldOwner     = toldAdmin + "organization.delete "
	toldProgram   = "organization.read members.read tokens.check tokens.read-any tokens.revoke-any engines.read database-lab.read " + toldLab
	toldOfEngines = "tokens.check database-lab.telemetry database-lab.sessions database-lab.instances "
)

var builtIn = map[Role]struct {
	own string
	has func(d Definition) bool // of what the organization has defined
}{
	Auditor:        {toldReads, func(d Definition) bool { return !d.Write }},
	Ordinary:       {toldMembers, func(d Definition) bool { return !d.Administrative }},
	Admin:          {toldAdmin, func(Definition) bool { return true }},
	Owner:          {toldOwner, func(Definition) bool { return true }},
	"ci":           {"organization.read tokens.check tokens.rotate-own engines.use", func(d Definition) bool { return !d.Administrative }},
	"general:read": {toldRead, func(d Definition) bool { return !d.Administrative && !d.Write }},
	"schema-only":  {"organization.read roles.read permissions.read", func(Definition) bool { return false }},
	"engine":       {toldOfEngines, func(Definition) bool { return false }},
}

// rights is a set of permissions by their names.
type rights map[string]bool

// rightsOf reads names; who adds to what it answers takes a copy.
func rightsOf(names string) rights {
	if r, known := readRights[names]; known {
		return r
	}
	r := rights{}
	for _, name := range strings.Fields(names) {
		r[name] = true
	}
	readRights[names] = r
	return r
}

var readRights = map[string]rights{}

func (r rights) both(other rights) rights {
	both := rights{}
	for name := range r {
		if other[name] {
			both[name] = true
		}
	}
	return both
}

func (r rights) within(other rights) bool {
	for name := range r {
		if !other[name] {
			return false
		}
	}
	return true
}

func (w *world) ofRole(r *toldRole) rights {
	if r == nil || r.gone {
		return rights{}
	}
	if r.custom {
		return live(r.permissions)
	}
	return w.with(builtIn[r.name].own, builtIn[r.name].has)
}

// with is some of the service's permissions and those of the organization's that are meant.
func (w *world) with(names string, has func(Definition) bool) rights {
	r := maps.Clone(rightsOf(names))
	for name, p := range w.own {
		if has(p.Definition) {
			r[name] = true
		}
	}
	return r
}

func live(permissions []*toldPermission) rights {
	r := rights{}
	for _, p := range permissions {
		if !p.gone {
			r[p.Name] = true
		}
	}
	return r
}

func (w *world) reach(kind TokenKind, g toldGrant) rights {
	switch g.access {
	case ReadOnly:
		return w.with(toldReads, func(d Definition) bool { return !d.Write })
	case ByRole:
		return w.ofRole(g.role)
	case ByList:
		return live(g.permissions)
	}
	if kind == Administrative && g.access == Usual {
		return rightsOf(toldProgram)
	}
	return w.with(toldOwner, func(Definition) bool { return true })
}

// may is what a token may do now, if it is active.
func (w *world) may(t *toldToken) rights {
	return w.reach(t.kind, t.grant).both(w.ceiling(t))
}

// ceiling is what the holder of a token may do now.
func (w *world) ceiling(t *toldToken) rights {
	switch t.kind {
	case Personal:
		if m := w.members[t.holder]; m != nil {
			return w.ofRole(m.role)
		}
		return rights{}
	case Service:
		if m := w.machines[t.holder]; m != nil {
			return w.reach(Service, m.grant)
		}
		return rights{}
	}
	return w.ofRole(w.roles[Admin])
}

// wherever is what a token may do without naming a resource: of what it is given on
// some only, nothing about a resource; by a list the rest of the list, by a role the
// rest that is no administration, by anything else nothing.
func (w *world) wherever(t *toldToken) rights {
	r := w.may(t)
	grants := []toldGrant{t.grant}
	if m := w.machines[t.holder]; t.kind == Service && m != nil {
		grants = append(grants, m.grant)
	}
	for _, g := range grants {
		if len(g.resources) == 0 {
			continue
		}
		rest := rights{}
		for name := range r {
			own, defined := w.own[name]
			about := strings.HasPrefix(name, "engines.") && name != "engines.create" || defined && own.Resource != ""
			work := rightsOf(toldMembers)[name] || defined && !own.Administrative
			if !about && (g.access == ByList || g.access == ByRole && work) {
				rest[name] = true
			}
		}
		r = rest
	}
	return r
}

// waits reports whether the policy wants a token to be approved that is made now.
func (w *world) waits(t *toldToken) bool {
	a, may := w.policy.Approval, w.may(t)
	all := len(t.grant.resources) == 0 && len(may) == len(w.ceiling(t))
	return slices.Contains(a.Kinds, t.kind) || slices.ContainsFunc(a.Grants, func(named string) bool {
		role := t.grant.role != nil && string(t.grant.role.name) == named
		return role || may[named] || named == string(t.grant.access) || named == "full-access" && all
	})
}

// on is the resources that a token is limited to, by itself and by its holder.
func (w *world) on(t *toldToken) (lists [][]Resource) {
	lists = append(lists, t.grant.resources)
	if m := w.machines[t.holder]; t.kind == Service && m != nil {
		lists = append(lists, m.grant.resources)
	}
	return slices.DeleteFunc(lists, func(l []Resource) bool { return len(l) == 0 })
}

// rightsOf is what an actor may do who commands.
func (w *world) rightsOf(m Meta) rights {
	t := w.tokens[m.Actor.Token]
	address, _ := netip.ParseAddr(m.Address)
	if t == nil || m.Actor != w.whoShows(m.Actor.Token) || !w.active(t, t.secret(), address, w.now) {
		return rights{}
	}
	if m.Replaced {
		return w.wherever(t).both(rightsOf(toldReads + "tokens.revoke-own tokens.revoke-any"))
	}
	return w.wherever(t)
}

var people = []AccountID{ann, bob, mia, ada, zoe}

func newWorld(t *rapid.T) *world {
	w := &world{
		now: today, o: NewOrganization(acme), texts: map[Hash]string{},
		members: map[AccountID]*toldMember{}, machines: map[AccountID]*toldMachine{}, tokens: map[TokenID]*toldToken{},
		roles: map[Role]*toldRole{}, own: map[string]*toldPermission{}, policy: UsualPolicy(),
		engines: map[Position]*toldEngine{}, named: map[string]bool{}, projects: map[string]Position{}, records: map[Position]toldRecord{},
	}
	for name := range builtIn {
		w.roles[name] = &toldRole{name: name}
	}
	begins := []Event{OrganizationCreated{acme, "acme", "Acme"}}
	for _, m := range []MemberAdded{{ann, Owner}, {bob, Admin}, {mia, Ordinary}} {
		id, hash := w.draw(t, Personal)
		begins = append(begins, m, TokenIssued{Token: id, Type: Personal, Holder: m.Account, Name: "a", Hash: hash})
	}
	id, hash := w.draw(t, Administrative)
	begins = append(begins, TokenIssued{Token: id, Type: Administrative, Name: "a", Hash: hash})
	w.commit(t, Meta{Actor: system, Time: w.now}, begins)
	if rapid.Bool().Draw(t, "begins with more") {
		w.beginsWithMore(t)
	}
	return w
}

// beginsWithMore is an organization in which somebody has used everything there is.
func (w *world) beginsWithMore(t *rapid.T) {
	w.accounts = append(w.accounts, bot)
	id, hash := w.draw(t, Service)
	p := UsualPolicy()
	p.Approval.Kinds = rapid.SampledFrom([][]TokenKind{nil, {Personal}, {Administrative, Service}}).Draw(t, "kinds")
	p.Approval.Grants = rapid.SampledFrom([][]string{nil, {"full-access"}, {"tokens.check"}}).Draw(t, "grants")
	w.commit(t, Meta{Actor: system, Time: w.now}, []Event{
		PermissionDefined{Definition{Name: "clones.create", Group: "clones", Write: true, Resource: "engine"}},
		RoleCreated{"xx", "", []string{"clones.create", "tokens.create-personal", "tokens.rotate-own", "tokens.update-own", "organization.read"}},
		RoleCreated{"yy", "", []string{"members.add", "members.update", "roles.update", "roles.create", "tokens.approve", "tokens.check"}},
		ServiceAccountCreated{bot, "bot", "", Grant{Access: ByRole, Role: "xx"}},
		TokenIssued{Token: id, Type: Service, Holder: bot, Name: "a", Hash: hash},
	})
	for account, role := range []Role{3: "xx", 4: "yy"} {
		if role == NoRole {
			continue
		}
		id, hash := w.draw(t, Personal)
		w.commit(t, Meta{Actor: system, Time: w.now}, []Event{MemberAdded{people[account], role}, TokenIssued{Token: id, Type: Personal, Holder: people[account], Name: "a", Hash: hash}})
	}
	narrow, hash := w.draw(t, Personal)
	whole, third := w.draw(t, Personal)
	strong, other := w.draw(t, Administrative)
	w.commit(t, Meta{Actor: system, Time: w.now}, []Event{
		TokenIssued{Token: narrow, Type: Personal, Holder: bob, Name: "b", Hash: hash, Expires: w.now.Add(20 * 24 * time.Hour)},
		TokenBound{narrow, Terms{Grant: custom("tokens.update-own", "tokens.rotate-own", "tokens.create-personal", "tokens.create-service", "tokens.rotate-any")}},
		TokenIssued{Token: whole, Type: Personal, Holder: bob, Name: "c", Hash: third, Expires: w.now.Add(20 * 24 * time.Hour)},
		TokenIssued{Token: strong, Type: Administrative, Name: "b", Hash: other, Expires: w.now.Add(20 * 24 * time.Hour)},
		TokenBound{strong, Terms{Grant: Grant{Access: FullAccess}}},
		PolicyChanged(p),
	})
}

// draw makes an id and a secret that were never there before.
func (w *world) draw(t *rapid.T, kind TokenKind) (TokenID, Hash) {
	id := TokenID{w.random(t)}
	w.ids = append(w.ids, id)
	return id, w.drawSecret(t, kind, id)
}

func (w *world) random(t *rapid.T) ID {
	id, err := NewID(w.source())
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func (w *world) source() *rand.ChaCha8 {
	var seed [32]byte
	w.drawn++
	binary.BigEndian.PutUint64(seed[:], uint64(w.drawn))
	return rand.NewChaCha8(seed)
}

func (w *world) drawSecret(t *rapid.T, kind TokenKind, id TokenID) Hash {
	secret, err := NewSecret(kind, id, w.source())
	if err != nil {
		t.Fatal(err)
	}
	w.texts[secret.Hash()] = secret.Reveal()
	return secret.Hash()
}

// act lets somebody give a command and stores what comes of it.
func (w *world) act(t *rapid.T, c command[*Organization]) { w.actAs(t, w.anyActor(t), c) }

// leave lets somebody end the membership of whoever's token they show.
func (w *world) leave(t *rapid.T) {
	actor := w.whoShows(w.anyToken(t))
	w.actAs(t, actor, RemoveMember{Account: actor.Account})
}

// sibling moves the end of a token, or rotates it, with another one of its holder.
func (w *world) sibling(t *rapid.T) {
	id := w.anyToken(t)
	told := w.tokens[id]
	if told == nil {
		return
	}
	siblings := slices.DeleteFunc(slices.Clone(w.ids), func(other TokenID) bool {
		return w.tokens[other] == nil || w.tokens[other].kind != told.kind || w.tokens[other].holder != told.holder
	})
	actor := w.whoShows(siblings[w.pick(t, len(siblings))])
	if w.pick(t, 2) == 0 {
		w.actAs(t, actor, UpdateToken{Token: id, Expires: ptr(w.anyExpiry(t))})
		return
	}
	w.actAs(t, actor, RotateToken{Token: id, Hash: w.drawSecret(t, told.kind, id)})
}

func (w *world) actAs(t *rapid.T, actor Actor, c command[*Organization]) {
	address := []string{"192.0.2.7", "", "10.0.0.1"}[min(w.pick(t, 12), 2)]
	m := Meta{Organization: acme, Actor: actor, Time: w.now, Address: address, Replaced: w.pick(t, 15) == 0}
	if m.Actor.Kind == ActorSystem {
		m.Actor.Kind = "root" // the system has actions of its own
	}
	_, switches := c.(UpdatePolicy)
	has := w.rightsOf(m)
	if off := w.policy.Off; off && switches {
		w.policy.Off = false
		has = w.rightsOf(m)
		w.policy.Off = true
	}
	w.before = map[TokenID]toldBefore{}
	for id, told := range w.tokens {
		w.before[id] = toldBefore{*told, w.live(told), w.waits(told), w.may(told)}
	}
	events := w.do(t, m, c)
	if len(events) > 0 && len(has) == 0 {
		t.Fatalf("%#v by %+v, who has no rights, causes %v", c, m.Actor, events)
	}
	w.keepsToItself(t, m, has, c, events)
	if needs, is := changes[reflect.TypeOf(c)]; len(events) > 0 && is && !slices.ContainsFunc(strings.Fields(needs), func(p string) bool { return has[p] }) {
		t.Fatalf("%#v by %+v, who has none of %s, causes %v", c, m.Actor, needs, events)
	}
	w.givesNoMore(t, m, has, events)
}

// keepsToItself wants that nobody but who may remove members ends another's
// membership, or their own with less than all that they may do; that a program leaves
// the organization's other tokens alone; and that no change leaves a token no time.
func (w *world) keepsToItself(t *rapid.T, m Meta, has rights, c command[*Organization], events []Event) {
	if len(events) == 0 {
		return
	}
	switch c := c.(type) {
	case RemoveMember:
		g := w.before[m.Actor.Token].grant
		whole := (g.access == Usual || g.access == FullAccess) && len(g.resources) == 0
		if leaves := m.Actor.Kind == ActorMember && m.Actor.Account == c.Account && whole && !m.Replaced; !leaves && !has["members.remove"] {
			t.Fatalf("%+v with %+v causes %v", m, g, events)
		}
	case UpdateToken:
		w.leavesAlone(t, m, c.Token)
		if told := w.tokens[c.Token]; (c.NotBefore != nil || c.Expires != nil) && told.begins != 0 && told.expires != 0 && told.begins >= told.expires {
			t.Fatalf("a token begins %v and ends %v, after %#v", told.begins, told.expires, c)
		}
	case RevokeToken:
		w.leavesAlone(t, m, c.Token)
	case RevokeTokens:
		for id, told := range w.tokens {
			if told.revoked != w.before[id].revoked {
				w.leavesAlone(t, m, id)
			}
		}
	}
}

func (w *world) leavesAlone(t *rapid.T, m Meta, id TokenID) {
	if w.tokens[id].kind == Administrative && m.Actor.Kind != ActorMember && m.Actor.Token != id {
		t.Fatalf("%+v changes or ends the organization's token %v", m.Actor, id)
	}
}

// changes is what whoever gives a command needs at least one of.
var changes = map[reflect.Type]string{
	reflect.TypeFor[IssueToken]():           "tokens.create-personal tokens.create-administrative tokens.create-service",
	reflect.TypeFor[UpdateToken]():          "tokens.update-own tokens.update-any",
	reflect.TypeFor[RotateToken]():          "tokens.rotate-own tokens.rotate-any",
	reflect.TypeFor[RevokeToken]():          "tokens.revoke-own tokens.revoke-any",
	reflect.TypeFor[RevokeTokens]():         "tokens.revoke-own tokens.revoke-any",
	reflect.TypeFor[AddMember]():            "members.add",
	reflect.TypeFor[UpdateMember]():         "members.update",
	reflect.TypeFor[UpdateOrganization]():   "organization.update",
	reflect.TypeFor[DeleteOrganization]():   "organization.delete",
	reflect.TypeFor[DefinePermission]():     "permissions.define",
	reflect.TypeFor[RetirePermission]():     "permissions.retire",
	reflect.TypeFor[CreateRole]():           "roles.create",
	reflect.TypeFor[UpdateRole]():           "roles.update",
	reflect.TypeFor[DeleteRole]():           "roles.delete",
	reflect.TypeFor[CreateServiceAccount](): "members.add",
	reflect.TypeFor[UpdateServiceAccount](): "members.update",
	reflect.TypeFor[DeleteServiceAccount](): "members.remove",
	reflect.TypeFor[UpdatePolicy]():         "policy.update",
	reflect.TypeFor[ApproveToken]():         "tokens.approve",
	reflect.TypeFor[RefuseToken]():          "tokens.approve",
	reflect.TypeFor[RegisterEngine]():       "engines.create",
	reflect.TypeFor[UpdateEngine]():         "engines.update",
	reflect.TypeFor[DeleteEngine]():         "engines.delete",
	reflect.TypeFor[KeepRecord]():           toldLab,
	reflect.TypeFor[RemoveRecords]():        toldLab + "database-lab.delete",
}

func (w *world) do(t *rapid.T, m Meta, c command[*Organization]) []Event {
	events, err := c.Decide(w.o, m)
	if err != nil && len(events) != 0 {
		t.Fatalf("%#v is refused (%v) and causes %v", c, err, events)
	}
	if len(events) != 0 {
		w.commit(t, m, events)
	}
	return events
}

// givesNoMore wants that nobody has given more than they had when they gave it, and
// that there is room for what was given.
func (w *world) givesNoMore(t *rapid.T, m Meta, has rights, events []Event) {
	within := func(e Event, given rights) {
		if !given.within(has) {
			t.Fatalf("%#v by %+v gives %v, who has %v", e, m.Actor, slices.Sorted(maps.Keys(given)), slices.Sorted(maps.Keys(has)))
		}
	}
	for _, e := range events {
		switch e := e.(type) {
		case TokenIssued:
			told := w.tokens[e.Token]
			within(e, w.may(told))
			w.staysInNetworks(t, m, e.Token)
			w.fits(t, e.Token)
			if told.waiting != w.waits(told) || told.waiting && told.asked.Kind != ActorMember {
				t.Fatalf("%+v makes a token that waits: %t, under %+v: %+v", m.Actor, told.waiting, w.policy.Approval, told)
			}
		case TokenBound:
			within(e, w.may(w.tokens[e.Token]))
			if told := w.tokens[e.Token]; told.grant.access == ByRole || told.grant.access == ByList {
				within(e, w.reach(told.kind, told.grant)) // what is named, though its holder may not do it
			}
			w.staysInNetworks(t, m, e.Token)
			w.widensNothing(t, e.Token)
		case TokenExpiryChanged:
			if had := w.before[e.Token].expires; had != 0 && (e.Expires == 0 || e.Expires > had) {
				within(e, w.may(w.tokens[e.Token]))
				w.staysInNetworks(t, m, e.Token)
			}
		case TokenRotated:
			if e.Token != m.Actor.Token { // one that is limited to resources may rotate itself
				within(e, w.may(w.tokens[e.Token]))
			}
			w.staysInNetworks(t, m, e.Token)
			if told := w.tokens[e.Token]; !w.before[e.Token].live && w.waits(told) {
				t.Fatalf("%+v revives a token that needs approval: %+v", m.Actor, told)
			}
			if told := w.tokens[e.Token]; told.kind == Personal && told.holder != m.Actor.Account {
				t.Fatalf("%+v learns a secret of %v", m.Actor, told.holder)
			}
		case PermissionDefined:
			if !has["permissions.define"] {
				t.Fatalf("%+v defines %q and has %v", m.Actor, e.Name, slices.Sorted(maps.Keys(has)))
			}
		case EngineRegistered:
			if !has["tokens.create-administrative"] || !rightsOf(toldOfEngines).within(has) {
				t.Fatalf("%+v registers an engine and has %v", m.Actor, slices.Sorted(maps.Keys(has)))
			}
		case ApprovalGiven:
			within(e, w.may(w.tokens[e.Token]))
			if told := w.tokens[e.Token]; m.Actor.Kind != ActorMember || m.Actor.Account == told.asked.Account || m.Actor.Account == told.holder {
				t.Fatalf("%+v approves what %+v asked for %v", m.Actor, told.asked, told.holder)
			}
		case MemberAdded:
			within(e, w.ofRole(w.roles[e.Role]))
		case MemberRoleChanged:
			within(e, w.ofRole(w.roles[e.Role]))
		case RoleCreated:
			within(e, w.ofRole(w.roles[e.Name]))
		case RoleChanged:
			within(e, w.ofRole(w.roles[e.Name]))
		case ServiceAccountCreated:
			within(e, w.reach(Service, w.machines[e.Account].grant))
		case ServiceAccountGranted:
			within(e, w.reach(Service, w.machines[e.Account].grant))
		}
	}
}

// staysInNetworks wants a token to work nowhere where the one does not that made it.
func (w *world) staysInNetworks(t *rapid.T, m Meta, id TokenID) {
	maker := w.tokens[m.Actor.Token]
	for _, address := range places {
		if inside(w.tokens[id].networks, address) && !inside(maker.networks, address) {
			t.Fatalf("a token of %v made one of %v", maker.networks, w.tokens[id].networks)
		}
	}
}

// widensNothing wants that a token that was there, and was approved or needed not to
// be, comes to nothing new that needs approval.
func (w *world) widensNothing(t *rapid.T, id TokenID) {
	had, there := w.before[id]
	told := w.tokens[id]
	if !there || !w.waits(told) {
		return
	}
	networks := func(a netip.Addr) bool { return inside(told.networks, a) && !inside(had.networks, a) }
	if !had.waits || !w.may(told).within(had.may) || slices.ContainsFunc(places, networks) {
		t.Fatalf("without approval a token becomes %+v, it was %+v", told, had)
	}
}

// fits wants that a holder has no more live tokens than the policy has it.
func (w *world) fits(t *rapid.T, id TokenID) {
	told, n := w.tokens[id], 0
	for _, other := range w.tokens {
		if other.kind == told.kind && other.holder == told.holder && w.live(other) {
			n++
		}
	}
	if most := w.policy.Of(told.kind).PerHolder; most != 0 && n > most {
		t.Fatalf("%v has %d tokens, where there may be %d", told.holder, n, most)
	}
}

func (w *world) commit(t *rapid.T, m Meta, events []Event) {
	m.Position = Position(len(w.stored)*3 + 1) // other organizations' commits lie between
	stored := storedCommit{meta: m}
	for _, e := range events {
		data, err := json.Marshal(e)
		if err != nil {
			t.Fatalf("%#v can't be stored: %v", e, err)
		}
		w.keepsSecrets(t, string(data))
		stored.events = append(stored.events, storedEvent{e.Kind(), data})
		w.tell(e, m)
	}
	w.stored = append(w.stored, stored)
	w.o.Evolve(Commit{Meta: m, Boundary: acme.Boundary(), Events: events})
	if w.heard != nil {
		w.heard(t)
	}
}

func (w *world) keepsSecrets(t *rapid.T, text string) {
	for _, secret := range w.texts {
		if strings.Contains(text, secret[secretProperAt:secretSumAt]) {
			t.Fatalf("a secret is in the event %s", text)
		}
	}
}

func (w *world) tell(e Event, m Meta) {
	switch e := e.(type) {
	case MemberAdded:
		w.members[e.Account] = &toldMember{role: w.roles[e.Role]}
	case MemberRoleChanged:
		w.members[e.Account].role = w.roles[e.Role]
	case MemberSuspended:
		w.members[e.Account].suspended = true
	case MemberReinstated:
		w.members[e.Account].suspended = false
	case MemberRemoved:
		delete(w.members, e.Account)
	case ServiceAccountCreated:
		w.machines[e.Account] = &toldMachine{grant: w.understand(e.Grant)}
	case ServiceAccountGranted:
		w.machines[e.Account].grant = w.understand(e.Grant)
	case ServiceAccountSwitched:
		w.machines[e.Account].disabled = e.Disabled
	case ServiceAccountDeleted:
		delete(w.machines, e.Account)
	case PermissionDefined:
		w.own[e.Name] = &toldPermission{Definition: e.Definition}
	case PermissionRetired:
		w.own[e.Name].gone = true
		delete(w.own, e.Name)
	case RoleCreated:
		w.roles[e.Name] = &toldRole{name: e.Name, custom: true, permissions: w.listed(e.Permissions)}
	case RoleChanged:
		w.roles[e.Name].permissions = w.listed(e.Permissions)
	case RoleDeleted:
		w.roles[e.Name].gone = true
		delete(w.roles, e.Name)
	case PolicyChanged:
		w.policy = Policy(e)
	case OrganizationDeleted:
		w.deleted = true
	default:
		w.tellOfEngines(e, m)
		w.tellOfTokens(e, m)
	}
}

func (w *world) tellOfEngines(e Event, m Meta) {
	switch e := e.(type) {
	case EngineRegistered:
		w.engines[m.Position], w.named[e.Name] = &toldEngine{name: e.Name, token: e.Token}, true
	case EngineDoorSet:
		at := e.Engine
		if at == 0 {
			at = m.Position
		}
		w.engines[at].door = e.Door
	case EngineSwitched:
		w.engines[e.Engine].disabled = e.Disabled
	case EngineDeleted:
		w.engines[e.Engine].gone = true
	case ProjectCreated:
		w.projects[e.Name] = m.Position
	case RecordKept:
		w.records[m.Position] = toldRecord{e.Type, e.Parent, e.Key}
	case RecordsRemoved:
		for _, number := range e.Records {
			delete(w.records, number)
		}
		for many := -1; many != len(w.records); { // with all that belongs to them
			many = len(w.records)
			maps.DeleteFunc(w.records, func(_ Position, r toldRecord) bool {
				_, there := w.records[r.parent]
				return r.parent != 0 && !there
			})
		}
	}
}

func (w *world) tellOfTokens(e Event, m Meta) {
	switch e := e.(type) {
	case TokenIssued:
		w.tokens[e.Token] = &toldToken{kind: e.Type, holder: e.Holder, name: e.Name, expires: e.Expires, secrets: []*toldSecret{{hash: e.Hash, issued: m.Time}}}
	case TokenBound:
		told := w.tokens[e.Token]
		told.grant, told.networks, told.begins = w.understand(e.Grant), e.Networks, e.NotBefore
	case TokenExpiryChanged:
		w.tokens[e.Token].expires = e.Expires
	case TokenRenamed:
		w.tokens[e.Token].name = e.Name
	case TokenRotated:
		told := w.tokens[e.Token]
		told.endSecrets(m.Time)
		told.secret().until = e.Until
		told.secrets, told.expires = append(told.secrets, &toldSecret{hash: e.Hash, issued: m.Time}), e.Expires
	case OverlapEnded:
		w.tokens[e.Token].endSecrets(m.Time)
	case ApprovalRequested:
		w.tokens[e.Token].waiting, w.tokens[e.Token].asked = true, m.Actor
	case ApprovalGiven:
		w.tokens[e.Token].waiting = false
	case TokenRevoked:
		w.tokens[e.Token].revoked = true
	case TokenBurned:
		w.tokens[e.Token].revoked = true
	case ApprovalRefused:
		w.tokens[e.Token].revoked = true
	case ApprovalLapsed:
		w.tokens[e.Token].revoked = true
	case TokensRevoked:
		for id, told := range w.tokens {
			ofHolder := e.Holder.IsZero() || told.holder == e.Holder
			if !ofHolder || e.Type != NoKind && told.kind != e.Type {
				continue
			}
			if id != e.Except && (e.Before == 0 || told.secret().issued < e.Before) {
				told.revoked = true
			}
			for _, s := range told.secrets[:len(told.secrets)-1] {
				if s.issued < e.Before {
					s.until = min(s.until, m.Time)
				}
			}
		}
	}
}

// endSecrets ends the old ones.
func (t *toldToken) endSecrets(now Instant) {
	for _, s := range t.secrets[:len(t.secrets)-1] {
		s.until = min(s.until, now)
	}
}

func (w *world) understand(g Grant) toldGrant {
	return toldGrant{g.Access, w.roles[g.Role], w.listed(g.Permissions), g.Resources}
}

func (w *world) listed(names []string) (all []*toldPermission) {
	for _, name := range names {
		p := w.own[name]
		if p == nil {
			p = &toldPermission{Definition: Definition{Name: name}} // the service's own, which nobody retires
		}
		all = append(all, p)
	}
	return all
}

func (w *world) live(t *toldToken) bool {
	return !t.revoked && (t.expires == 0 || w.now < t.expires)
}

func inside(networks []Network, address netip.Addr) bool {
	if len(networks) == 0 {
		return true
	}
	for _, n := range networks {
		if address.IsValid() && n.Contains(address) {
			return true
		}
	}
	return false
}

// active reports whether a secret of a token opens anything, from somewhere, when
// the token was last used at some moment.
func (w *world) active(t *toldToken, s *toldSecret, from netip.Addr, used Instant) bool {
	k := map[TokenKind]KindPolicy{Personal: w.policy.Personal, Administrative: w.policy.Administrative, Service: w.policy.Service}[t.kind]
	made := t.secret().issued
	switch {
	case w.deleted || w.policy.Off || !w.live(t) || t.waiting || w.now < t.begins:
		return false
	case s != t.secret() && w.now >= s.until:
		return false
	case !inside(t.networks, from) || !inside(w.policy.Networks, from):
		return false
	case t.expires == 0 && !k.Never:
		return false
	case t.expires != 0 && k.Longest != 0 && t.expires-made > Instant(k.Longest)*1000:
		return false
	case w.policy.Idle != 0 && w.now-max(used, made) >= Instant(w.policy.Idle)*1000:
		return false
	}
	switch t.kind {
	case Personal:
		m := w.members[t.holder]
		return m != nil && !m.suspended
	case Service:
		m := w.machines[t.holder]
		return m != nil && !m.disabled
	}
	return true
}

func (w *world) whoShows(id TokenID) Actor {
	told := w.tokens[id]
	switch {
	case told == nil:
		return Actor{ActorMember, ann, id}
	case told.kind == Administrative:
		return Actor{Kind: ActorToken, Token: id}
	case told.kind == Service:
		return Actor{ActorService, told.holder, id}
	}
	return Actor{ActorMember, told.holder, id}
}

// holds is what is so after every step.
func (w *world) holds(t *rapid.T) {
	for id, told := range w.tokens {
		w.opensOnlyWhatIsActive(t, id, told)
	}
	w.namesAreUnique(t)
	w.enginesAreWhatWasTold(t)
	w.recordsAreWhatWasTold(t)
	w.policyNamesWhatThereIs(t)
	if !slices.ContainsFunc(people, func(a AccountID) bool {
		m, known := w.members[a]
		return known && m.role.name == Owner && !m.suspended
	}) {
		t.Fatal("no active owner is left")
	}
	if w.read == len(w.stored) {
		return
	}
	w.read = len(w.stored)
	if again := w.again(t); !reflect.DeepEqual(inOrder(again), inOrder(w.o)) {
		t.Fatalf("the history gives another state:\n%+v\n%+v", again, w.o)
	}
}

// inOrder is an organization in which what the last commit has touched is in order:
// nobody has promised one.
func inOrder(o *Organization) Organization {
	of := *o
	of.touched, of.Tokens.touched = slices.Sorted(slices.Values(o.touched)), slices.Sorted(slices.Values(o.Tokens.touched))
	return of
}

// enginesAreWhatWasTold wants every engine to be there under the name and with the
// door that it was given, to have an access token that is no other's, and none that was
// deleted to be found by anything.
func (w *world) enginesAreWhatWasTold(t *rapid.T) {
	known, tokens, names := 0, map[TokenID]bool{}, map[string]bool{}
	for at, told := range w.engines {
		e, there := w.o.Engine(at)
		of, found := w.o.EngineOf(told.token)
		if there == told.gone || found == told.gone {
			t.Fatalf("engine %d is there: %t, by its token: %t, want %+v", at, there, found, told)
		}
		if tokens[told.token] || names[told.name] {
			t.Fatalf("two engines have the token %v or the name %q", told.token, told.name)
		}
		tokens[told.token], names[told.name] = true, true
		if told.gone {
			if !w.tokens[told.token].revoked {
				t.Fatalf("engine %d was deleted, and its token was not", at)
			}
			continue
		}
		want := told.door
		want.Name, want.Disabled, want.resource = told.name, told.disabled, Resource("engine:"+told.name)
		if known++; e.Door != want || of.Number != at || w.tokens[told.token].kind != Administrative {
			t.Fatalf("engine %d is %+v, by its token %d, want %+v", at, e, of.Number, want)
		}
	}
	if all := w.o.Engines(); len(all) != known {
		t.Fatalf("there are %d engines, want %d", len(all), known)
	}
}

func (w *world) recordsAreWhatWasTold(t *rapid.T) {
	for _, stored := range w.stored {
		at := stored.meta.Position
		told, want := w.records[at]
		kind, parent, known := w.o.Record(at)
		if known != want || known && (kind != told.kind || parent != told.parent) {
			t.Fatalf("record %d is a %s of %d, %t, want %+v, %t", at, kind, parent, known, told, want)
		}
		if told.key == "" {
			continue
		}
		if keyed, known := w.o.RecordKeyed(told.kind, told.key); !known || keyed != at {
			t.Fatalf("the %s %q is %d, %t, want %d", told.kind, told.key, keyed, known, at)
		}
	}
	for name, at := range w.projects {
		if number, known := w.o.Project(name); !known || number != at {
			t.Fatalf("the project %q is %d, %t, want %d", name, number, known, at)
		}
	}
}

var places = []netip.Addr{{}, netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("::1")}

func (w *world) opensOnlyWhatIsActive(t *rapid.T, id TokenID, told *toldToken) {
	working := map[netip.Addr]int{}
	wherever := w.wherever(told)
	for _, s := range told.secrets {
		shown, ok := ParseSecret(w.texts[s.hash])
		if !ok || shown.Token != id {
			t.Fatalf("%s is no secret of %v", w.texts[s.hash], id)
		}
		for _, from := range places[:3] {
			for _, used := range []Instant{0, w.now} {
				v := w.o.Check(shown, &Ask{Now: w.now, Address: from, Used: used})
				want := w.active(told, s, from, used)
				if v.Active() != want {
					t.Fatalf("token %v from %v, used %v, is %q, want active %t (%+v, %+v)", id, from, used, v.Reason, want, told, s)
				}
				granted := wherever
				if !want {
					granted = rights{}
				}
				got := w.o.Names(v.Granted)
				if len(got) != len(granted) || slices.ContainsFunc(got, func(name string) bool { return !granted[name] }) {
					t.Fatalf("token %v is granted %v, want %v (%+v)", id, got, slices.Sorted(maps.Keys(granted)), told)
				}
				if v.Active() && v.Actor() != w.whoShows(id) {
					t.Fatalf("token %v is shown by %+v, want %+v", id, v.Actor(), w.whoShows(id))
				}
				if v.Active() && used != 0 {
					working[from]++
				}
			}
		}
	}
	for from, n := range working {
		if n > 2 {
			t.Fatalf("%d secrets of %v work from %v", n, id, from)
		}
	}
	w.allowsOnlyWhatItMay(t, id, w.may(told), wherever, w.on(told))
}

// allowsOnlyWhatItMay asks for a permission on a resource and on nothing.
func (w *world) allowsOnlyWhatItMay(t *rapid.T, id TokenID, may, wherever rights, on [][]Resource) {
	for asked, about := range map[string]bool{"clones.create": true, "engines.read": true, "tokens.create-personal": false, "tokens.check": false, "members.add": false} { // about engines
		for _, resource := range []Resource{"", "engine:prod", "engine:test", "project:x"} {
			v := w.o.Standing(id, &Ask{Now: w.now, Address: places[1], Used: w.now, Permission: asked, Resource: resource})
			if !v.Active() {
				continue
			}
			want := wherever[asked]
			if about && resource != "" {
				want = may[asked] && strings.HasPrefix(string(resource), "engine:")
			}
			for _, list := range on {
				want = want && (resource == "" || slices.Contains(list, resource) || strings.HasPrefix(string(resource), "engine:") && slices.Contains(list, "engine:*"))
			}
			if allowed := v.Denied == ReasonNone; allowed != want {
				t.Fatalf("token %v, asked for %s on %q: denied %q, want allowed %t (may %v on %v)", id, asked, resource, v.Denied, want, may[asked], on)
			}
		}
	}
}

func (w *world) namesAreUnique(t *rapid.T) {
	type key struct {
		holder AccountID
		name   string
	}
	taken := map[key]TokenID{}
	for id, told := range w.tokens {
		if !w.live(told) {
			continue
		}
		k := key{told.holder, told.name}
		if other, twice := taken[k]; twice {
			t.Fatalf("%v and %v are live and are both %q of %v", id, other, told.name, told.holder)
		}
		taken[k] = id
	}
}

// policyNamesWhatThereIs: what the policy names never comes to mean something else.
func (w *world) policyNamesWhatThereIs(t *rapid.T) {
	for _, k := range []KindPolicy{w.policy.Personal, w.policy.Administrative, w.policy.Service} {
		for _, role := range k.Creators {
			if w.roles[role] == nil {
				t.Fatalf("the policy names the role %q, which is gone", role)
			}
		}
	}
	for _, name := range w.policy.Approval.Grants {
		if w.roles[Role(name)] == nil && w.own[name] == nil && !rightsOf(toldOwner)[name] && name != "full-access" {
			t.Fatalf("the policy names %q, which is gone", name)
		}
	}
}

// again is the organization, read back from nothing but what is stored.
func (w *world) again(t *rapid.T) *Organization {
	o := NewOrganization(acme)
	for _, stored := range w.stored {
		c := Commit{Meta: stored.meta, Boundary: acme.Boundary()}
		for _, s := range stored.events {
			e, err := ReadEvent(s.kind, s.data)
			if err != nil {
				t.Fatalf("%s can't be read back: %v", s.data, err)
			}
			c.Events = append(c.Events, e)
		}
		o.Evolve(c)
	}
	return o
}

// reachAnEnd lets time pass to the very moment at which the next thing ends or begins.
func (w *world) reachAnEnd(*rapid.T) {
	next := Instant(0)
	for _, told := range w.tokens {
		for _, at := range []Instant{told.expires, told.begins, told.secrets[max(0, len(told.secrets)-2)].until} {
			if w.live(told) && at > w.now && (next == 0 || at < next) {
				next = at
			}
		}
	}
	w.now = max(w.now, next)
}

// anyActor is mostly somebody who shows an active token of their own, sometimes a
// dead one, sometimes somebody else's.
func (w *world) anyActor(t *rapid.T) Actor {
	active := slices.DeleteFunc(slices.Clone(w.ids), func(id TokenID) bool {
		told := w.tokens[id]
		return told == nil || !w.active(told, told.secret(), places[1], w.now)
	})
	strong := slices.DeleteFunc(slices.Clone(active), func(id TokenID) bool { return !w.may(w.tokens[id])["members.update"] || len(w.on(w.tokens[id])) > 0 })
	how := w.pick(t, 10)
	switch {
	case how < 6 && len(strong) != 0:
		return w.whoShows(strong[w.pick(t, len(strong))])
	case how < 8 && len(active) != 0:
		return w.whoShows(active[w.pick(t, len(active))])
	case how < 9:
		return w.whoShows(w.anyToken(t))
	}
	return Actor{
		Kind:    rapid.SampledFrom([]ActorKind{ActorMember, ActorToken, ActorService, ActorBearer, ActorSystem, ""}).Draw(t, "as"),
		Account: rapid.SampledFrom(append([]AccountID{{}}, people...)).Draw(t, "in the name of"),
		Token:   w.anyToken(t),
	}
}

func (w *world) anyToken(t *rapid.T) TokenID {
	issued := slices.DeleteFunc(slices.Clone(w.ids), func(id TokenID) bool { return w.tokens[id] == nil })
	if w.pick(t, 10) == 0 {
		issued = append(w.ids[len(w.ids)-1:], TokenID{})
	}
	return issued[w.pick(t, len(issued))]
}

func (w *world) anyWaiting(t *rapid.T) TokenID {
	waiting := slices.DeleteFunc(slices.Clone(w.ids), func(id TokenID) bool { return w.tokens[id] == nil || !w.tokens[id].waiting })
	if len(waiting) == 0 {
		return w.anyToken(t)
	}
	return rapid.SampledFrom(waiting).Draw(t, "waiting")
}

func (w *world) anyMachine(t *rapid.T) AccountID {
	return rapid.SampledFrom(append([]AccountID{{}, mia}, w.accounts...)).Draw(t, "machine")
}

func (w *world) issueToken(t *rapid.T) IssueToken {
	kind := rapid.SampledFrom([]TokenKind{Personal, Personal, Administrative, Service}).Draw(t, "kind")
	id, hash := w.draw(t, kind)
	c := IssueToken{Token: id, Kind: kind, Name: anyName(t), Hash: hash, Expires: w.anyExpiry(t), Never: w.pick(t, 4) == 0}
	if kind == Service {
		c.Holder = w.anyMachine(t)
	}
	if c.Terms = (Terms{Grant: w.anyGrant(t)}); w.pick(t, 5) == 0 {
		c.Terms.Networks, c.Terms.NotBefore, c.Terms.Limit = anyNetworks(t), w.anyBegin(t), anyLimit(t)
	}
	c.Unbound = w.pick(t, 7) == 0
	return c
}

func (w *world) updateToken(t *rapid.T) UpdateToken {
	c := UpdateToken{Token: w.anyToken(t), Seen: seen(t)}
	if w.pick(t, 3) == 0 {
		c.Name = ptr(anyName(t))
	}
	if w.pick(t, 4) == 0 {
		c.Description = ptr(reason(t))
	}
	if rapid.Bool().Draw(t, "grants") {
		c.Grant = ptr(w.anyGrant(t))
	}
	if w.pick(t, 3) == 0 {
		c.Networks, c.NotBefore = ptr(anyNetworks(t)), ptr(w.anyBegin(t))
	}
	if w.pick(t, 3) == 0 {
		c.Expires = ptr(w.anyExpiry(t))
	}
	return c
}

func (w *world) rotateToken(t *rapid.T) RotateToken {
	id := w.anyToken(t)
	if w.tokens[w.rotated] != nil && w.pick(t, 2) == 0 {
		id = w.rotated // so that overlaps meet
	}
	w.rotated = id
	kind := Personal
	if told := w.tokens[id]; told != nil {
		kind = told.kind
	}
	overlap := rapid.SampledFrom([]Seconds{0, 0, 3600, 7 * day, 7*day + 1, -1}).Draw(t, "overlap")
	expires := rapid.SampledFrom([]Instant{0, 0, 0, w.now, w.now.Add(time.Hour)}).Draw(t, "expires")
	return RotateToken{id, w.drawSecret(t, kind, id), overlap, expires, seen(t)}
}

func (w *world) revokeTokens(t *rapid.T) RevokeTokens {
	c := RevokeTokens{Reason: reason(t)}
	switch w.pick(t, 6) {
	case 0:
		c.Tokens = []TokenID{w.anyToken(t), w.anyToken(t)}
	case 5:
		c.Engine = rapid.SampledFrom([]string{"prod", "test"}).Draw(t, "engine")
	case 1:
		c.Holder = anyAccount(t)
	case 2:
		c.Holder = w.anyMachine(t)
	case 3:
		c.Kind = rapid.SampledFrom([]TokenKind{Personal, Administrative, Service}).Draw(t, "kind")
		c.Before = rapid.SampledFrom([]Instant{0, w.now, w.now - day.Instant()}).Draw(t, "before")
	default:
		c.Before = rapid.SampledFrom([]Instant{w.now, w.now + 1, w.now - day.Instant(), today}).Draw(t, "before")
	}
	return c
}

// burn shows a secret that somebody found: a present one, an old one, a wrong one.
func (w *world) burn(t *rapid.T) {
	id := w.anyToken(t)
	m := Meta{Organization: acme, Actor: Actor{Kind: ActorBearer, Token: id}, Time: w.now}
	hash := Hash{1}
	if told := w.tokens[id]; told != nil && rapid.Bool().Draw(t, "found") {
		hash = rapid.SampledFrom(told.secrets).Draw(t, "secret").hash
	}
	events := w.do(t, m, BurnToken{id, hash, ""})
	if hash == (Hash{1}) && len(events) != 0 {
		t.Fatalf("a wrong secret causes %v", events)
	}
	if told := w.tokens[id]; told != nil && hash == told.secret().hash && !w.deleted && w.live(told) {
		t.Fatal("a token was burned, and lives")
	}
}

// reuse reports an old secret that somebody still shows.
func (w *world) reuse(t *rapid.T) {
	told := w.tokens[w.anyToken(t)]
	if told == nil {
		return
	}
	s := rapid.SampledFrom(told.secrets).Draw(t, "secret")
	shown, _ := ParseSecret(w.texts[s.hash])
	before := told.revoked
	events := w.do(t, Meta{Actor: system, Time: w.now}, ReportReuse{shown.Token, s.hash})
	if len(events) > 0 && (s == told.secret() || w.now < s.until) {
		t.Fatalf("the use of a secret that works is reported: %v", events)
	}
	if told.revoked != before && w.policy.Reuse != ReuseRevokes {
		t.Fatal("a reuse ended a token, which the policy does not have it")
	}
}

func (w *world) addMember(t *rapid.T) AddMember {
	id, hash := w.draw(t, Personal)
	return AddMember{anyAccount(t), anyRole(t), FirstToken{id, hash, w.anyExpiry(t)}}
}

// removeByService is what follows when an account was deleted. The directory lets
// nobody go who would leave an organization without an owner.
func (w *world) removeByService(t *rapid.T) {
	account := anyAccount(t)
	others := slices.ContainsFunc(people, func(a AccountID) bool {
		m := w.members[a]
		return a != account && m != nil && m.role.name == Owner && !m.suspended
	})
	if others != !w.o.OwnedAlone(account) && !w.deleted {
		m := w.members[account]
		if m != nil && m.role.name == Owner && !m.suspended {
			t.Fatalf("%v owns alone: %t", account, !others)
		}
	}
	if others {
		w.do(t, Meta{Actor: system, Time: w.now}, RemoveMember{Account: account})
	}
}

func (w *world) anyExpiry(t *rapid.T) Instant {
	return rapid.SampledFrom([]Instant{0, 0, w.now - 1, w.now, w.now + 1, w.now.Add(time.Hour), w.now.Add(30 * 24 * time.Hour)}).Draw(t, "expires")
}

func (w *world) anyBegin(t *rapid.T) Instant {
	return rapid.SampledFrom([]Instant{0, 0, w.now - 1, w.now, w.now.Add(time.Hour)}).Draw(t, "not before")
}

func (w *world) updateMember(t *rapid.T) UpdateMember {
	c := UpdateMember{Account: anyAccount(t), Reason: reason(t), Seen: seen(t)}
	if rapid.Bool().Draw(t, "changes the role") {
		c.Role = ptr(anyRole(t))
	}
	if rapid.Bool().Draw(t, "changes the suspension") {
		c.Suspended = ptr(rapid.Bool().Draw(t, "suspended"))
	}
	if w.pick(t, 4) == 0 {
		c.Limit = ptr(anyLimit(t))
	}
	return c
}

func (w *world) createMachine(t *rapid.T) CreateServiceAccount {
	account := AccountID{w.random(t)}
	w.accounts = append(w.accounts, account)
	return CreateServiceAccount{account, anyName(t), "", w.anyGrant(t)}
}

func (w *world) updateMachine(t *rapid.T) UpdateServiceAccount {
	c := UpdateServiceAccount{Account: w.anyMachine(t), Seen: seen(t)}
	if rapid.Bool().Draw(t, "renames") {
		c.Name = ptr(anyName(t))
	}
	if rapid.Bool().Draw(t, "grants") {
		c.Grant = ptr(w.anyGrant(t))
	}
	if rapid.Bool().Draw(t, "switches") {
		c.Disabled = ptr(rapid.Bool().Draw(t, "disabled"))
	}
	return c
}

func (w *world) anyEngine(t *rapid.T) Position {
	return rapid.SampledFrom(append([]Position{0, 1}, slices.Sorted(maps.Keys(w.engines))...)).Draw(t, "engine")
}

func anyDoor(t *rapid.T) Door {
	return rapid.SampledFrom([]Door{
		{PersonalTokens: true}, {PersonalTokens: true}, prodDoor, {Verification: hashOf(verification)}, {Open: true}, {},
		{PersonalTokens: true, NoFallback: true}, {NoFallback: true}, {Open: true, Verification: hashOf(verification)},
	}).Draw(t, "door")
}

func (w *world) registerEngine(t *rapid.T) RegisterEngine {
	id, hash := w.draw(t, Administrative)
	c := RegisterEngine{
		Name: rapid.SampledFrom([]string{"prod", "test", "e1", "e2", "", "Prod"}).Draw(t, "name"), Door: anyDoor(t),
		EngineToken: EngineToken{Token: id, Hash: hash, Expires: w.anyExpiry(t), Never: w.pick(t, 3) == 0},
	}
	if w.pick(t, 2) == 0 {
		c.Defines = []Definition{anyDefinition(t), anyDefinition(t)}
		c.Listing = Listing{Project: anyName(t), Permissions: []string{c.Defines[0].Name}}
	}
	return c
}

func (w *world) updateEngine(t *rapid.T) UpdateEngine {
	c := UpdateEngine{Engine: w.anyEngine(t), Seen: seen(t)}
	if rapid.Bool().Draw(t, "sets the door") {
		c.Door = ptr(anyDoor(t))
	}
	if rapid.Bool().Draw(t, "switches") {
		c.Disabled = ptr(rapid.Bool().Draw(t, "disabled"))
	}
	if w.pick(t, 4) == 0 {
		c.Listing = &Listing{Project: anyName(t)}
	}
	return c
}

func (w *world) anyRecord(t *rapid.T) Position {
	return rapid.SampledFrom(append([]Position{0, 1}, slices.Sorted(maps.Keys(w.records))...)).Draw(t, "record")
}

func (w *world) keepRecord(t *rapid.T) KeepRecord {
	c := KeepRecord{Kind: rapid.SampledFrom(RecordKinds()).Draw(t, "kind"), Key: rapid.SampledFrom([]string{"", "", "k1", "k2", "k\n"}).Draw(t, "key"), Project: anyName(t)}
	if len(recordRules[c.Kind].parents) > 0 {
		c.Parent = w.anyRecord(t)
	}
	return c
}

func (w *world) removeRecords(t *rapid.T) RemoveRecords {
	number := w.anyRecord(t)
	c := RemoveRecords{Kind: w.records[number].kind, Numbers: []Position{number}}
	if c.Kind == "" {
		c.Kind = LabSession
	}
	return c
}

func (w *world) anyPolicy(t *rapid.T) Policy {
	p := w.policy
	change := func() bool { return w.pick(t, 6) == 0 }
	if w.pick(t, 12) == 0 || p.Off && w.pick(t, 2) == 0 {
		p.Off = !p.Off
	}
	if w.pick(t, 12) == 0 {
		p.Networks = anyNetworks(t)
	}
	if change() {
		p.Idle = rapid.SampledFrom([]Seconds{0, 0, day, 30 * day, 1}).Draw(t, "idle time")
	}
	kind := p.Of(rapid.SampledFrom([]TokenKind{Personal, Administrative, Service}).Draw(t, "kind"))
	if change() {
		kind.Longest, kind.Never = rapid.SampledFrom([]Seconds{0, 0, day, 30 * day}).Draw(t, "longest"), rapid.Bool().Draw(t, "never")
	}
	if change() {
		kind.PerHolder = rapid.SampledFrom([]int{0, 1, 2, 3, 5}).Draw(t, "per holder")
	}
	if change() {
		kind.Creators = rapid.SampledFrom([][]Role{nil, {}, {Owner}, {Owner, Admin}, {"xx"}}).Draw(t, "roles")
	}
	if change() {
		p.Approval.Kinds = rapid.SampledFrom([][]TokenKind{nil, {}, {Personal}, {Administrative, Service}}).Draw(t, "kinds")
		p.Approval.Grants = rapid.SampledFrom([][]string{nil, {"full-access"}, {"tokens.check", "xx"}, {"clones.create", "members.add"}}).Draw(t, "grants")
	}
	if change() {
		p.Reuse = rapid.SampledFrom([]Reuse{ReuseReported, ReuseRevokes}).Draw(t, "what")
		p.Overlap = rapid.SampledFrom([]Seconds{0, 3600, MaxOverlap}).Draw(t, "overlap")
	}
	return p
}

func (w *world) anyGrant(t *rapid.T) Grant {
	g := Grant{Access: rapid.SampledFrom([]Access{Usual, Usual, FullAccess, ReadOnly, ByRole, ByList, "root"}).Draw(t, "access")}
	switch g.Access {
	case ByRole:
		g.Role = rapid.SampledFrom([]Role{"ci", "general:read", "schema-only", Admin, "xx", "yy"}).Draw(t, "of the role")
	case ByList:
		g.Permissions = anyPermissions(t)
	}
	if w.pick(t, 7) == 0 {
		g.Resources = rapid.SampledFrom([][]Resource{{"engine:prod"}, {"engine:*"}, {"project:x"}, {}, {"engine"}}).Draw(t, "resources")
	}
	return g
}

func anyPermissions(t *rapid.T) []string {
	return rapid.SliceOfN(rapid.SampledFrom([]string{
		"clones.create", "clones.read", "secrets.read", "tokens.check", "tokens.create-personal", "tokens.rotate-own", "tokens.update-own",
		"tokens.create-administrative", "tokens.create-service", "members.add", "members.update", "roles.update", "organization.delete", "engines.read",
	}), 0, 5).Draw(t, "permissions")
}

func anyDefinition(t *rapid.T) Definition {
	return rapid.SampledFrom([]Definition{
		{Name: "clones.create", Group: "clones", Write: true, Resource: "engine"},
		{Name: "clones.read", Group: "clones"},
		{Name: "secrets.read", Group: "secrets", Administrative: true},
		{Name: "tokens.check", Group: "tokens"},
	}).Draw(t, "definition")
}

func anyNetworks(t *rapid.T) []Network {
	return rapid.SampledFrom([][]Network{nil, {}, networks("10.0.0.0/8"), networks("10.0.0.0/8", "192.0.2.0/24"), networks("::/0"), networks("10.0.0.1/8")}).Draw(t, "networks")
}

func anyLimit(t *rapid.T) Limit {
	return rapid.SampledFrom([]Limit{{}, {10, 60}, {0, 1}}).Draw(t, "limit")
}

func anyCustomRole(t *rapid.T) Role {
	return rapid.SampledFrom([]Role{"xx", "yy", "ci", "x"}).Draw(t, "custom role")
}

func anyAccount(t *rapid.T) AccountID { return rapid.SampledFrom(people).Draw(t, "account") }

func anyRole(t *rapid.T) Role {
	return rapid.SampledFrom([]Role{Owner, Owner, Admin, Ordinary, Auditor, "xx", "yy", "ci", NoRole}).Draw(t, "role")
}

func anyName(t *rapid.T) string {
	return rapid.SampledFrom([]string{"a", "b", "c", "first token", "", "a "}).Draw(t, "name")
}

func reason(t *rapid.T) string {
	return rapid.SampledFrom([]string{"", "because", "b\x00"}).Draw(t, "reason")
}

func seen(t *rapid.T) Position {
	return rapid.SampledFrom([]Position{0, 0, 0, 0, 1, 4, 7}).Draw(t, "seen")
}
