package eventstore

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"jeton/domain"
)

// commitVersion is the version of the envelope. A reader stops at a younger one.
const commitVersion = 1

// envelope is a commit as stored: one JSON object, its keys in this order.
//
//	{"v":1,"id":"<command id>","org":"<organization>","at":"<RFC 3339>",
//	 "by":{"kind":"member","account":"…","token":"…"},"req":"<request id>",
//	 "ip":"<address>","key":"<hash of an idempotency key>","intent":"<hash of the request behind it>",
//	 "before":"<SHA-256 of the boundary's commit before>",
//	 "events":[{"kind":"token.issued","data":{…}}]}
//
// What is empty is left out. It is read and written with what is to become
// encoding/json/v2, which takes a third of the time: starting means reading
// every commit there ever was.
type envelope struct {
	V       int                   `json:"v"`
	ID      domain.CommandID      `json:"id"`
	Org     domain.OrganizationID `json:"org,omitzero"`
	At      domain.Instant        `json:"at"`
	By      domain.Actor          `json:"by"`
	Request string                `json:"req,omitempty"`
	Address string                `json:"ip,omitempty"`
	Key     domain.CommandID      `json:"key,omitzero"`
	Intent  domain.CommandID      `json:"intent,omitzero"`
	Before  domain.Hash           `json:"before,omitzero"`
	Events  []storedEvent         `json:"events"`
}

// storedEvent is an event with its kind before it: {"kind":…,"data":…}, in this
// order, so that one pass reads it.
type storedEvent struct{ domain.Event }

// MarshalJSONTo is for package json.
func (e storedEvent) MarshalJSONTo(out *jsontext.Encoder) error {
	return errors.Join(
		out.WriteToken(jsontext.BeginObject),
		out.WriteToken(jsontext.String("kind")), out.WriteToken(jsontext.String(e.Kind())),
		out.WriteToken(jsontext.String("data")), json.MarshalEncode(out, e.Event),
		out.WriteToken(jsontext.EndObject),
	)
}

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

// Encode is the entry that stores a commit.
func Encode(c domain.Commit) (Entry, error) {
	stored := envelope{
		V: commitVersion, ID: c.Command, Org: c.Organization, At: c.Time, By: c.Actor,
		Request: c.Request, Address: c.Address, Key: c.Key, Intent: c.Intent, Before: c.Before,
	}
	for _, e := range c.Events {
		stored.Events = append(stored.Events, storedEvent{e})
	}
	data, err := json.Marshal(stored)
	return Entry{ID: c.Command, Boundary: c.Boundary, Data: data}, err
}

// Decode reads a record back. What it cannot read it refuses: a kind of event or
// an envelope from a younger version, or an entry that names another id.
func Decode(r Record) (domain.Commit, error) {
	var stored envelope
	if err := json.Unmarshal(r.Data, &stored); err != nil {
		return domain.Commit{}, fmt.Errorf("commit %d: %w", r.Position, err)
	}
	if stored.V != commitVersion {
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
