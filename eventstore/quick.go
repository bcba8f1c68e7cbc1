package eventstore

import (
	"bytes"
	"encoding"
	"encoding/hex"

	"github.com/go-json-experiment/json"

	"jeton/domain"
)

// quickly reads an envelope that is written as Encode writes it, letter for
// letter, in a quarter of the time that a reader of any JSON needs. If it says no,
// it is to be read like any other.
func quickly(data []byte) (e envelope, ok bool) {
	s := scanner{rest: data, ok: true}
	e.V = s.version()
	s.must(`"id":"`)
	s.hex(e.ID[:])
	s.optional(`,"org":"`, &e.Org)
	s.must(`,"at":"`)
	s.text(&e.At)
	s.actor(&e.By)
	e.Request = s.plain(`,"req":"`)
	if e.V == commitVersion {
		e.Address = s.plain(`,"ip":"`)
	} else {
		e.From = s.plain(`,"from":"`)
	}
	s.optional(`,"key":"`, &e.Key)
	s.optional(`,"intent":"`, &e.Intent)
	s.optional(`,"before":"`, &e.Before)
	e.People = s.people(e.V)
	e.Events = s.events()
	return e, s.ok && len(s.rest) == 0
}

// scanner takes text from its front. Once something is not as it must be, ok is
// false and stays so.
type scanner struct {
	rest []byte
	ok   bool
}

func (s *scanner) version() int {
	if s.next(beginnings[sealedVersion]) {
		return sealedVersion
	}
	s.must(beginnings[commitVersion])
	return commitVersion
}

func (s *scanner) people(version int) (sealed []string) {
	if version == commitVersion || !s.next(`,"people":["`) {
		return nil
	}
	for s.ok {
		sealed = append(sealed, string(s.string()))
		if !s.next(`,"`) {
			break
		}
	}
	s.must(`]`)
	return sealed
}

// next takes the words if they are there.
func (s *scanner) next(words string) bool {
	if len(s.rest) < len(words) || string(s.rest[:len(words)]) != words {
		return false
	}
	s.rest = s.rest[len(words):]
	return true
}

func (s *scanner) must(words string) { s.ok = s.next(words) && s.ok }

// string takes what stands before the next quote, and the quote.
func (s *scanner) string() []byte {
	end := bytes.IndexByte(s.rest, '"')
	if end < 0 || bytes.IndexByte(s.rest[:end], '\\') >= 0 {
		s.ok = false
		return nil
	}
	text := s.rest[:end]
	s.rest = s.rest[end+1:]
	return text
}

func (s *scanner) text(into encoding.TextUnmarshaler) {
	s.ok = into.UnmarshalText(s.string()) == nil && s.ok
}

func (s *scanner) optional(name string, into encoding.TextUnmarshaler) {
	if s.next(name) {
		s.text(into)
	}
}

func (s *scanner) plain(name string) string {
	if !s.next(name) {
		return ""
	}
	return string(s.string())
}

func (s *scanner) hex(into []byte) {
	text := s.string()
	n, err := hex.Decode(into, text[:min(len(text), 2*len(into))])
	s.ok = err == nil && n == len(into) && len(text) == 2*n && s.ok
}

func (s *scanner) actor(a *domain.Actor) {
	s.must(`,"by":{"kind":"`)
	a.Kind = kindOf(s.string())
	s.optional(`,"account":"`, &a.Account)
	s.optional(`,"token":"`, &a.Token)
	s.must(`}`)
}

// kindOf costs no memory for the kinds that there are.
func kindOf(text []byte) domain.ActorKind {
	for _, kind := range []domain.ActorKind{domain.ActorMember, domain.ActorToken, domain.ActorSystem} {
		if string(text) == string(kind) {
			return kind
		}
	}
	return domain.ActorKind(text)
}

func (s *scanner) events() (events []storedEvent) {
	s.must(`,"events":[`)
	for s.ok {
		s.must(`{"kind":"`)
		events = append(events, storedEvent{s.event()})
		s.must(`}`)
		if !s.next(`,`) {
			break
		}
	}
	s.must(`]}`)
	return events
}

func (s *scanner) event() domain.Event {
	if s.next(`token.issued","data":{"token":"`) {
		return s.issued()
	}
	kind := string(s.string())
	s.must(`,"data":`)
	data := s.object()
	event, err := domain.DecodeEvent(kind, func(into any) error { return json.Unmarshal(data, into) })
	s.ok = err == nil && s.ok
	return event
}

// issued is the one event of which there are millions.
func (s *scanner) issued() (e domain.TokenIssued) {
	s.text(&e.Token)
	s.must(`,"kind":"`)
	s.text(&e.Type)
	s.optional(`,"holder":"`, &e.Holder)
	s.must(`,"name":"`)
	e.Name = string(s.string())
	e.Description = s.plain(`,"description":"`)
	s.must(`,"hash":"`)
	s.hex(e.Hash[:])
	s.optional(`,"expires":"`, &e.Expires)
	s.must(`}`)
	return e
}

// object takes a whole JSON object; what is in it is for a real reader to judge.
// It goes from quote to quote: between strings there is little to look at.
func (s *scanner) object() []byte {
	for at, depth := 0, 0; ; {
		quote := bytes.IndexByte(s.rest[at:], '"')
		between := s.rest[at:]
		if quote >= 0 {
			between = between[:quote]
		}
		for i, c := range between {
			switch c {
			case '{':
				depth++
			case '}':
				depth--
			}
			if depth == 0 {
				return s.take(at + i + 1)
			}
		}
		length := bytes.IndexByte(s.rest[at+quote+1:], '"')
		if quote < 0 || length < 0 || bytes.IndexByte(s.rest[at+quote+1:][:length], '\\') >= 0 {
			s.ok = false
			return nil
		}
		at += quote + 1 + length + 1
	}
}

func (s *scanner) take(n int) []byte {
	text := s.rest[:n]
	s.rest = s.rest[n:]
	return text
}
