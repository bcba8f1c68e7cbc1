package domain

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
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
	then  []Event
	err   error
	says  string // the refusal's sentence has this in it
}

type (
	tenantScenarios    = map[string]scenario[*Organization]
	directoryScenarios = map[string]scenario[*Directory]
)

// state is what events evolve.
type state interface{ Evolve(Commit) }

func fold[State state](s State, history ...[]Event) State {
	for i, events := range history {
		s.Evolve(Commit{Meta: Meta{Position: Position(i + 1), Time: today, Organization: acme}, Events: events})
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
			if diff := cmp.Diff(s.then, events); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
			checkRefusal(t, err, s.err, s.says)
			checkReadable(t, events)
			if diff := cmp.Diff(after(s.given...), state, cmp.AllowUnexported(Organization{}, Tokens{})); diff != "" {
				t.Errorf("Decide changed the state:\n%s", diff)
			}
		})
	}
}

func (s scenario[State]) meta() Meta {
	m := Meta{Organization: acme, Actor: s.by, Home: s.home, Time: s.at}
	if m.Actor == (Actor{}) {
		m.Actor = byAnn
	}
	if m.Home.IsZero() {
		m.Home = acme
	}
	if m.Time == 0 {
		m.Time = today
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
		if diff := cmp.Diff(e, again); err != nil || diff != "" {
			t.Errorf("%s is read back otherwise: %v\n%s", data, err, diff)
		}
	}
}

func ptr[T any](value T) *T { return &value }
