package domain

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"net/netip"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The fixture of all tables: Acme, four people with a role and a token each, and
// an administrative token. Ann also operates the platform. Zoe is nobody here.
var (
	acme = OrganizationID{named("acme")}

	ann = AccountID{named("ann")} // owner
	bob = AccountID{named("bob")} // admin
	mia = AccountID{named("mia")} // member
	ada = AccountID{named("ada")} // auditor
	zoe = AccountID{named("zoe")}

	byAnn   = person(ann)
	byBob   = person(bob)
	byMia   = person(mia)
	byAda   = person(ada)
	bot     = AccountID{named("bot")} // a service account, where one is given
	byBot   = Actor{Kind: ActorService, Account: bot, Token: tokenOf(bot)}
	robot   = TokenID{named("robot")}
	byRobot = Actor{Kind: ActorToken, Token: robot}
	system  = Actor{Kind: ActorSystem}

	today    = instant("2026-11-22T12:00:00Z")
	tomorrow = today.Add(24 * time.Hour)
	nextYear = instant("2027-11-22T12:00:00Z")

	// acmeBegins is one commit, at position 1. What a scenario is given follows,
	// an event to a commit, from position 2.
	acmeBegins = []Event{
		AccountRegistered{ann, "Ann@example.org"}, OperatorNamed{ann, acme},
		OrganizationCreated{acme, "acme", "Acme"},
		MemberAdded{ann, Owner}, issued(tokenOf(ann), ann, "first token"),
		MemberAdded{bob, Admin}, issued(tokenOf(bob), bob, "first token"),
		MemberAdded{mia, Ordinary}, issued(tokenOf(mia), mia, "first token"),
		MemberAdded{ada, Auditor}, issued(tokenOf(ada), ada, "first token"),
		TokenIssued{Token: robot, Type: Administrative, Name: "robot", Hash: hashOf("robot"), Expires: nextYear},
	}
)

// What a scenario adds to the fixture: a permission of an engine, and a service
// account with a token.
var (
	clones     = PermissionDefined{Definition{Name: "clones.create", Group: "clones", Write: true, Resource: "engine", Description: "make clones"}}
	botCreated = ServiceAccountCreated{Account: bot, Name: "bot", Grant: custom("tokens.check", "engines.read", "tokens.rotate-own")}
	botIssued  = TokenIssued{Token: tokenOf(bot), Type: Service, Holder: bot, Name: "first", Hash: hashOf(tokenOf(bot).String()), Expires: nextYear}
	botThere   = []Event{botCreated, botIssued}
)

// An engine of personal tokens with a verification token, in one commit, and the
// session of an engine's.
var (
	verification = "a verification token of an engine"
	prodToken    = TokenIssued{Token: token("prods"), Type: Administrative, Name: "engine prod", Description: "the access token of the engine prod", Hash: hashOf("prods"), Expires: nextYear}
	prodDoor     = Door{PersonalTokens: true, Verification: hashOf(verification)}
	prodThere    = together(EngineRegistered{"prod", prodToken.Token}, EngineListed{}, EngineDoorSet{0, prodDoor}, prodToken, TokenBound{prodToken.Token, Terms{Grant: Grant{Access: ByRole, Role: "engine"}}})
	prod         = Position(2) // its number, if it is the first that a scenario is given
)

func custom(names ...string) Grant { return Grant{Access: ByList, Permissions: names} }

// granted is a token that is given nothing but these permissions.
func granted(id TokenID, names ...string) TokenBound {
	return TokenBound{id, Terms{Grant: custom(names...)}}
}

// demands is the usual policy with a change.
func demands(change func(*Policy)) PolicyChanged {
	p := UsualPolicy()
	change(&p)
	return PolicyChanged(p)
}

func named(name string) (id ID) { copy(id[:], name); return id }

func token(name string) TokenID { return TokenID{named(name)} }

// tokenOf is the token that a person of the fixture begins with.
func tokenOf(account AccountID) TokenID { return TokenID{ID(append(account.ID[:9:9], 't'))} }

func person(account AccountID) Actor {
	return Actor{Kind: ActorMember, Account: account, Token: tokenOf(account)}
}

func hashOf(text string) Hash { return sha256.Sum256([]byte(text)) }

func issued(id TokenID, holder AccountID, name string) TokenIssued {
	return TokenIssued{Token: id, Type: Personal, Holder: holder, Name: name, Hash: hashOf(id.String()), Expires: nextYear}
}

// joined is somebody who is in the organization with a first token.
func joined(account AccountID, role Role) []Event {
	return []Event{MemberAdded{account, role}, issued(tokenOf(account), account, "first token")}
}

func instant(text string) (i Instant) {
	if err := i.UnmarshalText([]byte(text)); err != nil {
		panic(err)
	}
	return i
}

// all joins histories and single events.
func all(parts ...any) (events []Event) {
	for _, part := range parts {
		switch part := part.(type) {
		case Event:
			events = append(events, part)
		case []Event:
			events = append(events, part...)
		}
	}
	return events
}

type command[State any] interface {
	Decide(State, Meta) ([]Event, error)
}

// scenario says what a command does after a history. What is left out: nothing
// happened before but the fixture, Ann commands, today, and nothing comes of it.
type scenario[State any] struct {
	given []Event
	when  command[State]
	by    Actor
	home  OrganizationID // of the token that is shown; zero: acme
	at    Instant
	from  string // the address of the request
	also  func(*Meta)
	then  []Event
	err   error
	says  string // the refusal's sentence has this in it
}

// past is a commit of a history that was not today, or was somebody's in particular.
type past struct {
	at     Instant
	by     Actor
	events []Event
}

func (past) Kind() string { return "" }

// on is what happened at a moment.
func on(at Instant, events ...Event) Event { return past{at: at, events: events} }

// together is what happened in one commit today.
func together(events ...Event) Event { return past{at: today, events: events} }

// did is what somebody did today.
func did(by Actor, events ...Event) Event { return past{today, by, events} }

type (
	tenantScenarios    = map[string]scenario[*Organization]
	directoryScenarios = map[string]scenario[*Directory]
)

// state is what events evolve.
type state interface{ Evolve(Commit) }

func fold[State state](s State, history ...[]Event) State {
	for i, events := range history {
		m := Meta{Position: Position(i + 1), Time: today, Organization: acme}
		if p, ok := events[0].(past); ok {
			m.Time, m.Actor, events = p.at, p.by, p.events
		}
		s.Evolve(Commit{Meta: m, Events: events})
	}
	return s
}

func acmeAfter(given ...Event) *Organization {
	return fold(NewOrganization(acme), commits(acmeBegins, given)...)
}

func platformAfter(given ...Event) *Directory {
	return fold(NewDirectory(), commits(acmeBegins, given)...)
}

func emptyPlatform(given ...Event) *Directory { return fold(NewDirectory(), commits(nil, given)...) }

func commits(first, rest []Event) (history [][]Event) {
	if first != nil {
		history = append(history, first)
	}
	for _, e := range rest {
		history = append(history, []Event{e})
	}
	return history
}

func run[State state](t *testing.T, after func(...Event) State, scenarios map[string]scenario[State]) {
	t.Helper()
	for name, s := range scenarios {
		t.Run(name, func(t *testing.T) {
			state := after(s.given...)
			events, err := s.when.Decide(state, s.meta())
			if diff := diffEvents(s.then, events); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
			checkRefusal(t, err, s.err, s.says)
			checkReadable(t, events)
			if before := after(s.given...); !reflect.DeepEqual(before, state) {
				t.Errorf("Decide changed the state from %+v to %+v", before, state)
			}
		})
	}
}

func (s scenario[State]) meta() Meta {
	m := Meta{Organization: acme, Actor: s.by, Home: s.home, Time: s.at, Address: s.from}
	if m.Actor == (Actor{}) {
		m.Actor = byAnn
	}
	if m.Home.IsZero() {
		m.Home = acme
	}
	if m.Time == 0 {
		m.Time = today
	}
	if s.also != nil {
		s.also(&m)
	}
	return m
}

var verb = regexp.MustCompile(`%[!a-z]`)

// checkRefusal wants a refusal of a kind whose sentences are fit to be read.
func checkRefusal(t *testing.T, got, want error, says string) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("refusal is %v (%v), want %v", got, errors.Unwrap(got), want)
		return
	}
	if got == nil {
		return
	}
	var r *Refusal
	if !errors.As(got, &r) {
		t.Errorf("%v is a %T, want a *Refusal", got, got)
		return
	}
	if !strings.Contains(got.Error(), says) || says == "" {
		t.Errorf("refusal says %q, want something with %q", got, says)
	}
	for _, sentence := range []string{r.Detail, r.Next} {
		if verb.MatchString(sentence) {
			t.Errorf("refusal shows its format: %q", sentence)
		}
	}
}

// checkReadable wants every event to be read back as what it was.
func checkReadable(t *testing.T, events []Event) {
	t.Helper()
	for _, e := range events {
		data, err := json.Marshal(e)
		if err != nil {
			t.Errorf("%#v can't be stored: %v", e, err)
			continue
		}
		again, err := ReadEvent(e.Kind(), data)
		if diff := diffEvents(e, again); err != nil || diff != "" {
			t.Errorf("%s is read back otherwise: %v\n%s", data, err, diff)
		}
	}
}

// diffEvents shows what differs. A network is one value, whatever it consists of.
func diffEvents(want, got any) string {
	return cmp.Diff(want, got, cmp.Comparer(func(a, b Network) bool { return a == b }), cmp.AllowUnexported(Door{}))
}

// allowedTo is what a role allows in an organization that has added nothing to it.
func allowedTo(role Role) Permissions { return acmeAfter().permissionsOf(role) }

// decide lets somebody give a command today and takes what comes of it into the state.
func decide(t *testing.T, o *Organization, by Actor, c command[*Organization]) {
	t.Helper()
	decideAt(t, o, Meta{Actor: by, Time: today}, c)
}

func decideAt(t *testing.T, o *Organization, m Meta, c command[*Organization]) {
	t.Helper()
	events, err := c.Decide(o, m)
	if err != nil {
		t.Fatalf("%T: %v", c, err)
	}
	m.Position = o.Version + 1
	o.Evolve(Commit{Meta: m, Events: events})
}

func network(text string) Network { return netip.MustParsePrefix(text) }

func networks(texts ...string) (all []Network) {
	for _, text := range texts {
		all = append(all, network(text))
	}
	return all
}

func ptr[T any](value T) *T { return &value }
