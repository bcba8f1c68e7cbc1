package eventstore

import (
	"bytes"
	"crypto/sha256"
	"encoding"
	"encoding/hex"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"jeton/domain"
)

// The versions of the envelope. A reader stops at a younger one. What has sealed texts
// is sealedVersion, so that a program which can't open them stops, too.
const (
	commitVersion = 1
	sealedVersion = 2
)

// envelope is a commit as stored: one JSON object, its keys in this order.
//
//	{"v":1,"id":"<command id>","org":"<organization>","at":"<RFC 3339>",
//	 "by":{"kind":"member","account":"…","token":"…"},"req":"<request id>",
//	 "ip":"<address>","key":"<hash of an idempotency key>","intent":"<hash of the request behind it>",
//	 "before":"<SHA-256 of the boundary's commit before>",
//	 "events":[{"kind":"token.issued","data":{…}}]}
//
// Version 2 has no ip, but what is personal in it sealed (Vault.Sealed), in base64:
// behind req "from", where the request came from, and behind before "people", the
// e-mails of those whom its events register, which have empty ones.
//
// What is empty is left out. It is read with what is to become
// encoding/json/v2, which takes a third of the time: starting means reading
// every commit there ever was. It is written by hand, because a command waits for it.
type envelope struct {
	V       int                   `json:"v"`
	ID      domain.CommandID      `json:"id"`
	Org     domain.OrganizationID `json:"org,omitzero"`
	At      domain.Instant        `json:"at"`
	By      domain.Actor          `json:"by"`
	Request string                `json:"req,omitempty"`
	Address string                `json:"ip,omitempty"`
	From    string                `json:"from,omitempty"`
	Key     domain.CommandID      `json:"key,omitzero"`
	Intent  domain.CommandID      `json:"intent,omitzero"`
	Before  domain.Hash           `json:"before,omitzero"`
	People  []string              `json:"people,omitempty"`
	Events  []storedEvent         `json:"events"`
}

// storedEvent is an event with its kind before it: {"kind":…,"data":…}, in this
// order, so that one pass reads it.
type storedEvent struct{ domain.Event }

// UnmarshalJSONFrom is for package json.
func (e *storedEvent) UnmarshalJSONFrom(in *jsontext.Decoder) error {
	if _, err := in.ReadToken(); err != nil {
		return err
	}
	if err := expect(in, "kind"); err != nil {
		return err
	}
	kind, err := in.ReadToken()
	if err != nil {
		return err
	}
	name := kind.String() // before the next read, which takes the token's bytes
	if err := expect(in, "data"); err != nil {
		return err
	}
	e.Event, err = domain.DecodeEvent(name, func(into any) error { return json.UnmarshalDecode(in, into) })
	if err != nil {
		return err
	}
	_, err = in.ReadToken()
	return err
}

func expect(in *jsontext.Decoder, name string) error {
	token, err := in.ReadToken()
	if err == nil && token.String() != name {
		err = fmt.Errorf("an event has %q where its %s belongs", token.String(), name)
	}
	return err
}

// Encode is the entry that stores a commit, as it is: Vault.Sealed comes before. What
// calls itself sealed and still has something in clear is refused.
func Encode(c domain.Commit) (Entry, error) {
	if err := checkSealed(c); err != nil {
		return Entry{}, err
	}
	text := make([]byte, 0, 512+256*len(c.Events))
	text = append(append(text, beginnings[versionOf(c)]...), `"id":"`...)
	text = append(hex.AppendEncode(text, c.Command[:]), '"')
	text = appendText(text, `,"org":"`, c.Organization, c.Organization.IsZero())
	text = appendText(text, `,"at":"`, c.Time, false)
	text = appendActor(append(text, `,"by":`...), c.Actor)
	text = appendString(text, `,"req":`, c.Request)
	text = appendString(text, `,"ip":`, c.Address)
	text = appendString(text, `,"from":`, c.Sealed.From)
	text = appendText(text, `,"key":"`, c.Key, c.Key.IsZero())
	text = appendText(text, `,"intent":"`, c.Intent, c.Intent.IsZero())
	text = appendText(text, `,"before":"`, c.Before, c.Before.IsZero())
	text = appendPeople(text, c.Sealed.People)
	text, err := appendEvents(append(text, `,"events":[`...), c.Events)
	return Entry{ID: c.Command, Boundary: c.Boundary, Data: append(text, "]}"...)}, err
}

// beginnings are how an envelope of each version begins.
var beginnings = [...]string{commitVersion: `{"v":1,`, sealedVersion: `{"v":2,`}

func versionOf(c domain.Commit) int {
	if c.Sealed.From == "" && len(c.Sealed.People) == 0 {
		return commitVersion
	}
	return sealedVersion
}

func appendPeople(text []byte, sealed []string) []byte {
	for i, one := range sealed {
		if i == 0 {
			text = append(text, `,"people":[`...)
		} else {
			text = append(text, ',')
		}
		text, _ = jsontext.AppendQuote(text, one)
	}
	if len(sealed) > 0 {
		text = append(text, ']')
	}
	return text
}

// appendText writes a field whose text needs no quoting, unless it is empty.
func appendText(text []byte, name string, value encoding.TextAppender, empty bool) []byte {
	if empty {
		return text
	}
	text, _ = value.AppendText(append(text, name...)) // those of package domain never fail
	return append(text, '"')
}

func appendString(text []byte, name, value string) []byte {
	if value == "" {
		return text
	}
	text, _ = jsontext.AppendQuote(append(text, name...), value) // bad UTF-8 is replaced
	return text
}

func appendActor(text []byte, a domain.Actor) []byte {
	text = append(append(append(text, `{"kind":"`...), a.Kind...), '"')
	text = appendText(text, `,"account":"`, a.Account, a.Account.IsZero())
	text = appendText(text, `,"token":"`, a.Token, a.Token.IsZero())
	return append(text, '}')
}

func appendEvents(text []byte, events []domain.Event) ([]byte, error) {
	for i, e := range events {
		if i > 0 {
			text = append(text, ',')
		}
		data, err := json.Marshal(e)
		if err != nil {
			return nil, fmt.Errorf("event %s: %w", e.Kind(), err)
		}
		text = append(append(append(text, `{"kind":"`...), e.Kind()...), `","data":`...)
		text = append(append(text, data...), '}')
	}
	return text, nil
}

// Decode reads a record back, as it was stored: Vault.Opened comes behind. What it cannot read it refuses: a kind of event or
// an envelope from a younger version, or an entry that names another id.
func Decode(r Record) (domain.Commit, error) {
	stored, read := quickly(r.Data)
	if !read {
		stored = envelope{}
		if err := json.Unmarshal(r.Data, &stored); err != nil {
			return domain.Commit{}, fmt.Errorf("commit %d: %w", r.Position, err)
		}
	}
	if stored.V != commitVersion && stored.V != sealedVersion {
		return domain.Commit{}, fmt.Errorf("commit %d has version %d: it needs a newer version of this program", r.Position, stored.V)
	}
	if stored.ID != r.ID {
		return domain.Commit{}, &Damage{r.Position, "the commit inside has another id than its message"}
	}
	return stored.commit(r), nil
}

func (stored envelope) commit(r Record) domain.Commit {
	c := domain.Commit{
		Meta: domain.Meta{
			Position: r.Position, Command: stored.ID, Time: stored.At, Organization: stored.Org,
			Actor: stored.By, Request: stored.Request, Address: stored.Address, Key: stored.Key, Intent: stored.Intent,
		},
		Boundary: r.Boundary,
		Before:   stored.Before,
		Sealed:   domain.Sealed{From: stored.From, People: stored.People},
		Events:   make([]domain.Event, len(stored.Events)),
	}
	for i, e := range stored.Events {
		c.Events[i] = e.Event
	}
	return c
}

// Sum is what the boundary's next commit names as the one before it.
func (e Entry) Sum() domain.Hash { return sha256.Sum256(e.Data) }

// Same reports whether two entries are one.
func (e Entry) Same(other Entry) bool {
	return e.ID == other.ID && e.Boundary == other.Boundary && bytes.Equal(e.Data, other.Data)
}
