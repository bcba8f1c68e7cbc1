package eventstore

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"

	"jeton/domain"
)

// commitVersion is the version of the envelope. A reader stops at a younger one.
const commitVersion = 1

// envelope is a commit as stored: one JSON object, its keys in this order.
//
//	{"v":1,"id":"<command id>","org":"<organization>","at":"<RFC 3339>",
//	 "by":{"kind":"member","account":"…","token":"…"},"req":"<request id>",
//	 "ip":"<address>","intent":"<hash of the request behind an idempotency key>",
//	 "before":"<SHA-256 of the boundary's commit before>",
//	 "events":[{"kind":"token.issued","data":{…}}]}
//
// What is empty is left out.
type envelope struct {
	V       int                   `json:"v"`
	ID      domain.CommandID      `json:"id"`
	Org     domain.OrganizationID `json:"org,omitzero"`
	At      domain.Instant        `json:"at"`
	By      domain.Actor          `json:"by"`
	Request string                `json:"req,omitempty"`
	Address string                `json:"ip,omitempty"`
	Intent  domain.CommandID      `json:"intent,omitzero"`
	Before  domain.Hash           `json:"before,omitzero"`
	Events  []storedEvent         `json:"events"`
}

type storedEvent struct {
	Kind string          `json:"kind"`
	Data json.RawMessage `json:"data"`
}

// Encode is the entry that stores a commit.
func Encode(c domain.Commit) (Entry, error) {
	stored := envelope{
		V: commitVersion, ID: c.Command, Org: c.Organization, At: c.Time, By: c.Actor,
		Request: c.Request, Address: c.Address, Intent: c.Intent, Before: c.Before,
	}
	for _, e := range c.Events {
		data, err := json.Marshal(e)
		if err != nil {
			return Entry{}, fmt.Errorf("event %s: %w", e.Kind(), err)
		}
		stored.Events = append(stored.Events, storedEvent{e.Kind(), data})
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
	return stored.commit(r)
}

func (stored envelope) commit(r Record) (domain.Commit, error) {
	c := domain.Commit{
		Meta: domain.Meta{
			Position: r.Position, Command: stored.ID, Time: stored.At, Organization: stored.Org,
			Actor: stored.By, Request: stored.Request, Address: stored.Address, Intent: stored.Intent,
		},
		Boundary: r.Boundary,
		Before:   stored.Before,
		Events:   make([]domain.Event, len(stored.Events)),
	}
	for i, e := range stored.Events {
		event, err := domain.ReadEvent(e.Kind, e.Data)
		if err != nil {
			return c, fmt.Errorf("commit %d: %w", r.Position, err)
		}
		c.Events[i] = event
	}
	return c, nil
}

// Sum is what the boundary's next commit names as the one before it.
func (e Entry) Sum() domain.Hash { return sha256.Sum256(e.Data) }

// Same reports whether two entries are one.
func (e Entry) Same(other Entry) bool {
	return e.ID == other.ID && e.Boundary == other.Boundary && bytes.Equal(e.Data, other.Data)
}
