package domain

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// RecordKind is what a program of Database Lab has sent.
type RecordKind string

// What there is to be kept.
const (
	LabInstance    RecordKind = "instance"         // an engine that has announced itself, by the id it gave itself
	LabEvent       RecordKind = "event"            // what an engine says has happened in it
	LabUsage       RecordKind = "usage"            // how large an engine is
	LabSession     RecordKind = "session"          // an observed session
	LabSessionLog  RecordKind = "session-log"      // a part of its log
	LabSessionData RecordKind = "session-artifact" // something it has left
	JoeInstance    RecordKind = "joe-instance"
	JoeSession     RecordKind = "joe-session"
	JoeCommand     RecordKind = "joe-command"
	JoeMessage     RecordKind = "joe-message"
	JoeArtifact    RecordKind = "joe-artifact"
	CheckupReport  RecordKind = "checkup-report"
	CheckupFile    RecordKind = "checkup-file"
)

// recordRule says what belongs to what, and who may send it.
type recordRule struct {
	needs   Permission
	parents []RecordKind // what it may belong to; empty: to nothing
	orphan  bool         // it may also belong to nothing
	fixed   bool         // it never changes once it is kept
	shared  []string     // facts that others than its author may amend
}

var recordRules = map[RecordKind]recordRule{
	LabInstance:    {needs: LabInstances},
	LabEvent:       {needs: LabTelemetry, fixed: true},
	LabUsage:       {needs: LabTelemetry, fixed: true},
	LabSession:     {needs: LabSessions},
	LabSessionLog:  {needs: LabSessions, parents: []RecordKind{LabSession}, fixed: true},
	LabSessionData: {needs: LabSessions, parents: []RecordKind{LabSession}, fixed: true},
	JoeInstance:    {needs: LabJoe},
	JoeSession:     {needs: LabJoe},
	JoeCommand:     {needs: LabJoe, parents: []RecordKind{JoeSession}, shared: []string{"favorite"}},
	JoeMessage:     {needs: LabJoe, parents: []RecordKind{JoeCommand, JoeSession}, orphan: true},
	JoeArtifact:    {needs: LabJoe, parents: []RecordKind{JoeMessage}, fixed: true},
	CheckupReport:  {needs: LabCheckup},
	CheckupFile:    {needs: LabCheckup, parents: []RecordKind{CheckupReport}, fixed: true},
}

// UnmarshalText stops the reader at a kind that it does not know.
func (k *RecordKind) UnmarshalText(text []byte) error {
	*k = RecordKind(text)
	return k.check()
}

func (k RecordKind) check() error {
	if _, known := recordRules[k]; !known {
		return Invalid("kind", "%q is no kind of record", "look at the list of kinds", clip(string(k)))
	}
	return nil
}

// RecordKinds are all of them, in order.
func RecordKinds() []RecordKind { return slices.Sorted(maps.Keys(recordRules)) }

const (
	// MaxFacts is how long the facts of a record may be, as JSON. What is longer is
	// content, and kept beside the log.
	MaxFacts   = 8 << 10
	maxContent = 16
	maxDepth   = 50
)

// Content is something too large for the log: where it is kept, and what it is.
type Content struct {
	Part   string `json:"part"`   // what it is of the record: data, plan, response …
	Object string `json:"object"` // its name among the objects
	Digest Hash   `json:"digest"` // SHA-256
	Size   int64  `json:"size"`   // bytes
	Media  string `json:"media,omitempty"`
}

// records is which records there are. What they say is for the views.
type records struct {
	kept map[Position]record
	keys map[nameKey]Position // of those that are kept once for all
}

type record struct {
	kind   uint8   // in recordOrder
	author ID      // who has sent it: an account, or else a token
	key    nameKey // in keys; zero: it has none
	parent Position
}

// authorOf is who sends records, as far as they are told apart: a member and a service
// account by any of their tokens, a program by its administrative one.
func authorOf(a Actor) ID {
	if !a.Account.IsZero() {
		return a.Account.ID
	}
	return a.Token.ID
}

// mayAmend refuses whoever is not the record's author: what one program has sent is
// not another one's to change. Who may delete it may change it too.
func (o *Organization) mayAmend(m Meta, number Position) error {
	if o.records.kept[number].author == authorOf(m.Actor) {
		return nil
	}
	return o.allows(m, LabDelete)
}

// recordOrder gives kinds a number that is short. It is nowhere stored.
var recordOrder = RecordKinds()

func (r record) what() RecordKind { return recordOrder[r.kind] }

// Record is of what kind the record with a number is, and what it belongs to. With
// what it belongs to it is gone.
func (o *Organization) Record(number Position) (kind RecordKind, parent Position, known bool) {
	r, known := o.records.kept[number]
	for above := r.parent; known && above != 0; {
		var next record
		next, known = o.records.kept[above]
		above = next.parent
	}
	if !known {
		return "", 0, false
	}
	return r.what(), r.parent, true
}

// RecordKeyed is the record of a kind that has a key. One that is gone with what it
// belonged to has it no longer.
func (o *Organization) RecordKeyed(kind RecordKind, key string) (at Position, known bool) {
	if at, known = o.records.keys[recordKey(kind, key)]; known {
		_, _, known = o.Record(at)
	}
	return at, known
}

func recordKey(kind RecordKind, key string) nameKey {
	return keyOf(AccountID{}, string(kind)+"/"+key)
}

func (o *Organization) recordOf(kind RecordKind, number Position) error {
	if has, _, known := o.Record(number); !known || has != kind {
		return Refuse(ErrNotFound, "there is no such %s", "look at the list, or make one first", kind)
	}
	return nil
}

// KeepRecord keeps what a program has sent. The number of the record is the position
// of the commit.
type KeepRecord struct {
	Kind    RecordKind
	Parent  Position        // what it belongs to; 0: to nothing
	Project string          // by name; it comes into being if there is none. Empty: none
	Key     string          // a record with this key is kept once; empty: it has none
	Facts   json.RawMessage // an object
	Content []Content
}

// Decide refuses what belongs to nothing that is there, and what is too long. A key
// that is known makes nothing.
func (c KeepRecord) Decide(o *Organization, m Meta) ([]Event, error) {
	if err := c.Kind.check(); err != nil {
		return nil, err
	}
	rule := recordRules[c.Kind]
	if err := o.allows(m, rule.needs); err != nil {
		return nil, err
	}
	if err := c.check(o, rule); err != nil {
		return nil, err
	}
	if _, known := o.RecordKeyed(c.Kind, c.Key); known && c.Key != "" {
		return nil, nil
	}
	made, err := o.projectFor(c.Project)
	if err != nil {
		return nil, err
	}
	return append(made, RecordKept{c.Kind, c.Parent, c.Project, c.Key, plainFacts(c.Facts), none(c.Content)}), nil
}

func (c KeepRecord) check(o *Organization, rule recordRule) error {
	if err := c.belongs(o, rule); err != nil {
		return err
	}
	if err := checkLine("key", c.Key, MaxName); err != nil {
		return err
	}
	if err := checkFacts(c.Facts); err != nil {
		return err
	}
	return checkContent(c.Content)
}

func (c KeepRecord) belongs(o *Organization, rule recordRule) error {
	if c.Parent == 0 && (rule.orphan || len(rule.parents) == 0) {
		return nil
	}
	kind, _, known := o.Record(c.Parent)
	if !known || !slices.Contains(rule.parents, kind) {
		return Refuse(ErrNotFound, "what the %s belongs to is not there", "make that first", c.Kind)
	}
	return nil
}

// checkFacts refuses what is no object, and what one reader reads otherwise than the
// next or a database does not take. Whoever sends facts controls all of them.
func checkFacts(facts json.RawMessage) error {
	if len(facts) > MaxFacts {
		return Invalid("facts", "are %d bytes", fmt.Sprintf("send at most %d", MaxFacts), len(facts))
	}
	var object map[string]json.RawMessage
	if len(facts) > 0 && json.Unmarshal(facts, &object) != nil {
		return Invalid("facts", "are no JSON object", "send an object")
	}
	d := json.NewDecoder(bytes.NewReader(facts))
	d.UseNumber() // one that no machine can hold is a number
	if !utf8.Valid(facts) || len(facts) > 0 && !readable(d, 0) {
		return Invalid("facts", "can be read in more than one way", fmt.Sprintf("send UTF-8 without zero bytes, each name once in its object, and at most %d objects within each other", maxDepth))
	}
	return nil
}

// readable reports whether a value has no name twice, no zero byte and nothing too
// deep in it. It is JSON.
func readable(d *json.Decoder, depth int) bool {
	token, _ := d.Token()
	if text, is := token.(string); is {
		return !strings.Contains(text, "\x00")
	}
	opens, is := token.(json.Delim)
	if !is || depth == maxDepth {
		return !is
	}
	names := map[string]bool{}
	for d.More() {
		if opens == '{' {
			token, _ := d.Token()
			name, _ := token.(string)
			if names[name] || strings.Contains(name, "\x00") {
				return false
			}
			names[name] = true
		}
		if !readable(d, depth+1) {
			return false
		}
	}
	_, err := d.Token() // the end
	return err == nil
}

// plainFacts are facts as they are read back from an event: null is none.
func plainFacts(facts json.RawMessage) json.RawMessage {
	if string(bytes.TrimSpace(facts)) == "null" {
		return nil
	}
	return none(facts)
}

func checkContent(content []Content) error {
	if len(content) > maxContent {
		return Invalid("content", "has %d parts", fmt.Sprintf("send at most %d", maxContent), len(content))
	}
	for i, c := range content {
		if err := checkName("content.part", c.Part); err != nil {
			return err
		}
		if err := checkLine("content.media", c.Media, MaxName); err != nil {
			return err
		}
		twice := func(other Content) bool { return other.Part == c.Part || other.Object == c.Object }
		if c.Object == "" || c.Size < 0 || slices.ContainsFunc(content[:i], twice) {
			return Invalid("content", "is no list of parts that are kept, each once", "send each part once")
		}
	}
	return nil
}

// AmendRecord changes what a record says: each fact that is given takes the place of
// the one that was there, and each content that of the one of its part.
type AmendRecord struct {
	Number  Position
	Kind    RecordKind
	Facts   json.RawMessage
	Content []Content
}

// Decide refuses a record that is not there, or that never changes.
func (c AmendRecord) Decide(o *Organization, m Meta) ([]Event, error) {
	if err := c.Kind.check(); err != nil {
		return nil, err
	}
	rule := recordRules[c.Kind]
	if err := o.allows(m, rule.needs); err != nil {
		return nil, err
	}
	if err := o.recordOf(c.Kind, c.Number); err != nil {
		return nil, err
	}
	if rule.fixed {
		return nil, Refuse(ErrState, "a %s is not changed once it is kept", "send another one", c.Kind)
	}
	if !c.isShared(rule) {
		if err := o.mayAmend(m, c.Number); err != nil {
			return nil, err
		}
	}
	if err := checkFacts(c.Facts); err != nil {
		return nil, err
	}
	if err := checkContent(c.Content); err != nil {
		return nil, err
	}
	if len(plainFacts(c.Facts)) == 0 && len(c.Content) == 0 {
		return nil, nil
	}
	return []Event{RecordAmended{c.Number, plainFacts(c.Facts), none(c.Content)}}, nil
}

// isShared reports whether nothing is amended but what everybody may.
func (c AmendRecord) isShared(rule recordRule) bool {
	var facts map[string]json.RawMessage
	if len(c.Content) > 0 || json.Unmarshal(c.Facts, &facts) != nil {
		return false
	}
	for name := range facts {
		if !slices.Contains(rule.shared, name) {
			return false
		}
	}
	return true
}

// RemoveRecords removes records of a kind, with all that belongs to them.
type RemoveRecords struct {
	Kind    RecordKind
	Numbers []Position
	Reason  string
}

// Decide refuses numbers of which there is none. Whoever may send records of a kind
// that announces a program may take it back; the rest is for who may delete.
func (c RemoveRecords) Decide(o *Organization, m Meta) ([]Event, error) {
	if err := c.Kind.check(); err != nil {
		return nil, err
	}
	if err := o.allows(m, c.needs()); err != nil {
		return nil, err
	}
	if err := checkLine("reason", c.Reason, MaxReason); err != nil {
		return nil, err
	}
	if len(c.Numbers) == 0 || len(c.Numbers) > maxRemoved {
		return nil, Invalid("ids", "has %d numbers", fmt.Sprintf("send 1 to %d", maxRemoved), len(c.Numbers))
	}
	for _, number := range c.Numbers {
		if err := o.recordOf(c.Kind, number); err != nil {
			return nil, err
		}
		if err := o.mayAmend(m, number); c.needs() != LabDelete && err != nil {
			return nil, err
		}
	}
	return []Event{RecordsRemoved{slices.Compact(slices.Sorted(slices.Values(c.Numbers))), c.Reason}}, nil
}

func (c RemoveRecords) needs() Permission {
	if c.Kind == LabInstance || c.Kind == JoeInstance {
		return recordRules[c.Kind].needs
	}
	return LabDelete
}

const maxRemoved = 1000

// RecordKept says that something was sent and is kept.
type RecordKept struct {
	Type    RecordKind      `json:"kind"`
	Parent  Position        `json:"parent,omitempty"`
	Project string          `json:"project,omitempty"`
	Key     string          `json:"key,omitempty"`
	Facts   json.RawMessage `json:"facts,omitempty"`
	Content []Content       `json:"content,omitempty"`
}

// Kind is stored.
func (RecordKept) Kind() string { return "record.kept" }

// Evolve remembers that it is there.
func (e RecordKept) Evolve(o *Organization, m Meta) {
	if o.records.kept == nil {
		o.records = records{map[Position]record{}, map[nameKey]Position{}}
	}
	kind, _ := slices.BinarySearch(recordOrder, e.Type)
	r := record{kind: uint8(kind), author: authorOf(m.Actor), parent: e.Parent}
	if e.Key != "" {
		r.key = recordKey(e.Type, e.Key)
		o.records.keys[r.key] = m.Position
	}
	o.records.kept[m.Position] = r
}

// RecordAmended says that a record says something else.
type RecordAmended struct {
	Record  Position        `json:"record"`
	Facts   json.RawMessage `json:"facts,omitempty"`
	Content []Content       `json:"content,omitempty"`
}

// Kind is stored.
func (RecordAmended) Kind() string { return "record.amended" }

// Evolve has nothing to remember: what records say is for the views.
func (RecordAmended) Evolve(*Organization, Meta) {}

// RecordsRemoved says that records are gone, each with all that belonged to it.
type RecordsRemoved struct {
	Records []Position `json:"records"`
	Reason  string     `json:"reason,omitempty"`
}

// Kind is stored.
func (RecordsRemoved) Kind() string { return "records.removed" }

// Evolve forgets them, and gives their keys back. What belonged to them is not
// looked for, which would take long: it is gone because they are.
func (e RecordsRemoved) Evolve(o *Organization, _ Meta) {
	for _, number := range e.Records {
		if key := o.records.kept[number].key; o.records.keys[key] == number {
			delete(o.records.keys, key)
		}
		delete(o.records.kept, number)
	}
}
