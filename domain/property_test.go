package domain

import (
	"encoding/binary"
	"encoding/json"
	"flag"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// Whatever anybody does in whatever order, and however time passes, after every
// step: only live tokens of active members open anything; live names are unique
// per holder; an active owner remains; the history alone, read back from what is
// stored, gives the same state; who has no rights causes nothing; no secret is
// in an event.
func TestAnyHistory(t *testing.T) {
	// The seed in the failure's message is enough to repeat it; no files.
	if err := flag.Set("rapid.nofailfile", "true"); err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		t.Repeat(map[string]func(*rapid.T){
			"": w.holds,
			"time passes": func(t *rapid.T) {
				w.now = w.now.Add(time.Duration(rapid.Int64Range(1, 60*24).Draw(t, "hours")) * time.Hour)
			},
			"a token just ends":   w.reachAnEnd,
			"issue a token":       func(t *rapid.T) { w.act(t, w.issueToken(t)) },
			"issue another":       func(t *rapid.T) { w.act(t, w.issueToken(t)) },
			"update a token":      func(t *rapid.T) { w.act(t, w.updateToken(t)) },
			"revoke a token":      func(t *rapid.T) { w.act(t, RevokeToken{w.anyToken(t), reason(t), seen(t)}) },
			"add a member":        func(t *rapid.T) { w.act(t, w.addMember(t)) },
			"update a member":     func(t *rapid.T) { w.act(t, updateMember(t)) },
			"remove a member":     func(t *rapid.T) { w.act(t, RemoveMember{anyAccount(t), reason(t), seen(t)}) },
			"rename organization": func(t *rapid.T) { w.act(t, UpdateOrganization{anyName(t), seen(t)}) },
		})
	})
}

// world is an organization beside what its events told to somebody who keeps
// books in another way.
type world struct {
	now     Instant
	o       *Organization
	stored  []storedCommit
	secrets map[TokenID]string // of all that were ever drawn
	ids     []TokenID          // of all that were ever drawn
	members map[AccountID]*toldMember
	tokens  map[TokenID]*toldToken
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
	role      Role
	suspended bool
}

type toldToken struct {
	kind    TokenKind
	holder  AccountID
	name    string
	expires Instant
	revoked bool
}

var people = []AccountID{ann, bob, mia, ada, zoe}

func newWorld(t *rapid.T) *world {
	w := &world{
		now: today, o: NewOrganization(acme), secrets: map[TokenID]string{},
		members: map[AccountID]*toldMember{}, tokens: map[TokenID]*toldToken{},
	}
	begins := []Event{OrganizationCreated{acme, "acme", "Acme"}}
	for account, role := range map[AccountID]Role{ann: Owner, bob: Admin, mia: Ordinary} {
		id, hash := w.draw(t, Personal)
		begins = append(begins, MemberAdded{account, role}, TokenIssued{Token: id, Type: Personal, Holder: account, Name: "a", Hash: hash})
	}
	id, hash := w.draw(t, Administrative)
	begins = append(begins, TokenIssued{Token: id, Type: Administrative, Name: "a", Hash: hash})
	w.commit(t, Meta{Actor: system, Time: w.now}, begins)
	return w
}

// draw makes an id and a secret that were never there before.
func (w *world) draw(t *rapid.T, kind TokenKind) (TokenID, Hash) {
	var seed [32]byte
	binary.BigEndian.PutUint64(seed[:], uint64(len(w.ids)))
	random := rand.NewChaCha8(seed)
	id, err := NewID(random)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := NewSecret(kind, TokenID{id}, random)
	if err != nil {
		t.Fatal(err)
	}
	w.ids = append(w.ids, TokenID{id})
	w.secrets[TokenID{id}] = secret.Reveal()
	return TokenID{id}, secret.Hash()
}

// act lets somebody give a command and stores what comes of it.
func (w *world) act(t *rapid.T, c command[*Organization]) {
	m := Meta{Organization: acme, Actor: w.anyActor(t), Time: w.now}
	events, err := c.Decide(w.o, m)
	switch {
	case err != nil && len(events) != 0:
		t.Fatalf("%#v is refused (%v) and causes %v", c, err, events)
	case err == nil && !w.genuine(m.Actor):
		t.Fatalf("%#v by %+v, who has no rights, causes %v", c, m.Actor, events)
	case len(events) != 0:
		w.commit(t, m, events)
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
		w.tell(e)
	}
	w.stored = append(w.stored, stored)
	w.o.Evolve(Commit{Meta: m, Boundary: acme.Boundary(), Events: events})
}

func (w *world) keepsSecrets(t *rapid.T, text string) {
	for _, secret := range w.secrets {
		if strings.Contains(text, secret[secretProperAt:secretSumAt]) {
			t.Fatalf("a secret is in the event %s", text)
		}
	}
}

func (w *world) tell(e Event) {
	switch e := e.(type) {
	case MemberAdded:
		w.members[e.Account] = &toldMember{role: e.Role}
	case MemberRoleChanged:
		w.members[e.Account].role = e.Role
	case MemberSuspended:
		w.members[e.Account].suspended = true
	case MemberReinstated:
		w.members[e.Account].suspended = false
	case MemberRemoved:
		delete(w.members, e.Account)
	case TokenIssued:
		w.tokens[e.Token] = &toldToken{e.Type, e.Holder, e.Name, e.Expires, false}
	case TokenRenamed:
		w.tokens[e.Token].name = e.Name
	case TokenRevoked:
		w.tokens[e.Token].revoked = true
	}
}

func (w *world) live(id TokenID) bool {
	told, issued := w.tokens[id]
	return issued && !told.revoked && (told.expires == 0 || w.now < told.expires)
}

func (w *world) active(id TokenID) bool {
	if !w.live(id) || w.tokens[id].kind == Administrative {
		return w.live(id)
	}
	holder, member := w.members[w.tokens[id].holder]
	return member && !holder.suspended
}

// genuine reports whether actors are who they say they are, and can do anything.
func (w *world) genuine(a Actor) bool {
	return w.active(a.Token) && a == w.whoShows(a.Token)
}

func (w *world) whoShows(id TokenID) Actor {
	told, issued := w.tokens[id]
	switch {
	case !issued:
		return Actor{ActorMember, ann, id}
	case told.kind == Administrative:
		return Actor{Kind: ActorToken, Token: id}
	}
	return Actor{ActorMember, told.holder, id}
}

// holds is what is so after every step.
func (w *world) holds(t *rapid.T) {
	w.opensOnlyWhatIsActive(t)
	w.namesAreUnique(t)
	if !slices.ContainsFunc(people, func(a AccountID) bool {
		m, known := w.members[a]
		return known && m.role == Owner && !m.suspended
	}) {
		t.Fatal("no active owner is left")
	}
	if again := w.again(t); !reflect.DeepEqual(again, w.o) {
		t.Fatalf("the history gives another state (-history +state):\n%s", cmp.Diff(again, w.o, cmp.AllowUnexported(Organization{}, Tokens{})))
	}
}

func (w *world) opensOnlyWhatIsActive(t *rapid.T) {
	for id, secret := range w.secrets {
		shown, ok := ParseSecret(secret)
		if !ok {
			t.Fatalf("%s is no secret", secret)
		}
		v := w.o.Check(shown, w.now)
		if v.Active() != w.active(id) || (v.Granted != 0) != w.active(id) {
			t.Fatalf("token %v is active: %t, granted %v, want %t (%+v)", id, v.Active(), permissionsOf(v.Granted), w.active(id), w.tokens[id])
		}
		if v.Active() && v.Actor() != w.whoShows(id) {
			t.Fatalf("token %v is shown by %+v, want %+v", id, v.Actor(), w.whoShows(id))
		}
		if v.Active() && v.Token.Kind == Personal && v.Granted != w.members[v.Token.Holder].role.Permissions() {
			t.Fatalf("token %v is granted %v, its holder is %v", id, permissionsOf(v.Granted), w.members[v.Token.Holder].role)
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
		if !w.live(id) {
			continue
		}
		k := key{told.holder, told.name}
		if other, twice := taken[k]; twice {
			t.Fatalf("%v and %v are live and are both %q of %v", id, other, told.name, told.holder)
		}
		taken[k] = id
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

// reachAnEnd lets time pass to the very moment at which the next token ends.
func (w *world) reachAnEnd(*rapid.T) {
	next := Instant(0)
	for id, told := range w.tokens {
		if w.live(id) && told.expires != 0 && (next == 0 || told.expires < next) {
			next = told.expires
		}
	}
	w.now = max(w.now, next)
}

// anyActor is mostly somebody who shows an active token of their own, sometimes a
// dead one, sometimes somebody else's.
func (w *world) anyActor(t *rapid.T) Actor {
	active := slices.DeleteFunc(slices.Clone(w.ids), func(id TokenID) bool { return !w.active(id) })
	how := rapid.IntRange(0, 9).Draw(t, "how")
	switch {
	case how < 7 && len(active) != 0:
		return w.whoShows(rapid.SampledFrom(active).Draw(t, "by"))
	case how < 8:
		return w.whoShows(w.anyToken(t))
	}
	return Actor{
		Kind:    rapid.SampledFrom([]ActorKind{ActorMember, ActorToken, ActorSystem, ""}).Draw(t, "as"),
		Account: rapid.SampledFrom(append([]AccountID{{}}, people...)).Draw(t, "in the name of"),
		Token:   w.anyToken(t),
	}
}

func (w *world) anyToken(t *rapid.T) TokenID {
	return rapid.SampledFrom(append([]TokenID{{}}, w.ids...)).Draw(t, "token")
}

func (w *world) issueToken(t *rapid.T) IssueToken {
	kind := rapid.SampledFrom([]TokenKind{Personal, Personal, Administrative}).Draw(t, "kind")
	id, hash := w.draw(t, kind)
	never := rapid.IntRange(0, 3).Draw(t, "never") == 0
	return IssueToken{id, kind, anyName(t), "", hash, w.anyExpiry(t), never}
}

func (w *world) updateToken(t *rapid.T) UpdateToken {
	c := UpdateToken{Token: w.anyToken(t), Seen: seen(t)}
	if rapid.Bool().Draw(t, "renames") {
		c.Name = ptr(anyName(t))
	}
	if rapid.Bool().Draw(t, "describes") {
		c.Description = ptr(reason(t))
	}
	return c
}

func (w *world) addMember(t *rapid.T) AddMember {
	id, hash := w.draw(t, Personal)
	return AddMember{anyAccount(t), anyRole(t), FirstToken{id, hash, w.anyExpiry(t)}}
}

func (w *world) anyExpiry(t *rapid.T) Instant {
	return rapid.SampledFrom([]Instant{0, 0, w.now - 1, w.now, w.now + 1, w.now.Add(time.Hour), w.now.Add(30 * 24 * time.Hour)}).Draw(t, "expires")
}

func updateMember(t *rapid.T) UpdateMember {
	c := UpdateMember{Account: anyAccount(t), Reason: reason(t), Seen: seen(t)}
	if rapid.Bool().Draw(t, "changes the role") {
		c.Role = ptr(anyRole(t))
	}
	if rapid.Bool().Draw(t, "changes the suspension") {
		c.Suspended = ptr(rapid.Bool().Draw(t, "suspended"))
	}
	return c
}

func anyAccount(t *rapid.T) AccountID { return rapid.SampledFrom(people).Draw(t, "account") }

func anyRole(t *rapid.T) Role {
	return rapid.SampledFrom([]Role{Owner, Owner, Admin, Ordinary, Auditor, NoRole}).Draw(t, "role")
}

func anyName(t *rapid.T) string {
	return rapid.SampledFrom([]string{"a", "b", "c", "first token", "", "a "}).Draw(t, "name")
}

func reason(t *rapid.T) string {
	return rapid.SampledFrom([]string{"", "because", "b\x00"}).Draw(t, "reason")
}

func seen(t *rapid.T) Position {
	return rapid.SampledFrom([]Position{0, 0, 0, 1, 4, 7}).Draw(t, "seen")
}
