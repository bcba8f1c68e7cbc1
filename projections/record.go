package projections

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"

	"jeton/domain"
)

// RecordRow is something that a program of Database Lab has sent.
type RecordRow struct {
	Number  domain.Position
	Kind    domain.RecordKind
	Parent  domain.Position // what it belongs to; 0: to nothing
	Project domain.Position // 0: none
	Within  string          // the project's name
	Key     string
	Facts   json.RawMessage // an object
	Content []domain.Content
	Kept    domain.Instant
	KeptBy  Author
	Changed domain.Position
}

func (r *RecordRow) fields() []any {
	fields := []any{
		&r.Number, &r.Kind, &r.Parent, &r.Project, &r.Within, &r.Key, document{&r.Facts}, document{&r.Content}, &r.Kept, &r.Changed,
	}
	return append(fields, r.KeptBy.fields()...)
}

const selectRecords = `
SELECT r.number, r.kind, r.parent, r.project, COALESCE(p.name, ''), r.label, r.facts, r.content, r.kept, r.changed,
	r.author_kind, r.author_account, r.author_token, COALESCE(a.number, 0), COALESCE(a.email, ''), COALESCE(a.name, '')
FROM records r
LEFT JOIN projects p ON p.organization = r.organization AND p.number = r.project
LEFT JOIN accounts a ON a.id = r.author_account
`

// RecordFilter says which records of an organization a list shows, the youngest
// first. What is zero does not choose.
type RecordFilter struct {
	Organization domain.OrganizationID // always chooses
	Kind         domain.RecordKind
	Parent       domain.Position
	Project      domain.Position
	Before       domain.Position // only older ones; 0: begins with the youngest
	Limit        int
}

const recordsPage = selectRecords + `
WHERE r.organization = ? AND r.number < ? AND (? = '' OR r.kind = ?) AND (? = 0 OR r.parent = ?) AND (? = 0 OR r.project = ?)
ORDER BY r.number DESC
LIMIT ?`

// Records are the records that a filter chooses.
func (v *Views) Records(ctx context.Context, f RecordFilter) ([]RecordRow, error) {
	if f.Before == 0 {
		f.Before = forever
	}
	kind := string(f.Kind)
	return list[RecordRow](ctx, v, recordsPage, f.Organization, f.Before, kind, kind, f.Parent, f.Parent, f.Project, f.Project, atMost(f.Limit))
}

const recordByNumber = selectRecords + `
WHERE r.organization = ? AND r.number = ?`

// Record is one record of an organization.
func (v *Views) Record(ctx context.Context, org domain.OrganizationID, number domain.Position) (RecordRow, error) {
	return one[RecordRow](ctx, v, "record", recordByNumber, org, number)
}

// objectRow is the name of an object.
type objectRow struct{ name string }

func (r *objectRow) fields() []any { return []any{&r.name} }

const objectNamed = `
SELECT object FROM contents WHERE object = ?`

// HasObject reports whether a record has an object of this name for its content.
func (v *Views) HasObject(ctx context.Context, name string) (bool, error) {
	found, err := list[objectRow](ctx, v, objectNamed, name)
	return len(found) > 0, err
}

const (
	projectNamed = `
SELECT number FROM projects WHERE organization = ? AND name = ?`

	parentsOf = `
SELECT parent, grandparent FROM records WHERE organization = ? AND number = ?`

	insertRecord = `
INSERT INTO records (organization, number, kind, parent, grandparent, ancestor, project, label, facts, content,
	kept, author_kind, author_account, author_token, changed)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
)

func (b batch) recordKept(m domain.Meta, e domain.RecordKept) error {
	var project, parent, grandparent domain.Position
	if e.Project != "" {
		if err := b.one(projectNamed, []any{m.Organization, e.Project}, &project); err != nil {
			return err
		}
	}
	if e.Parent != 0 {
		if err := b.one(parentsOf, []any{m.Organization, e.Parent}, &parent, &grandparent); err != nil {
			return err
		}
	}
	facts, content, err := writtenRecord(e.Facts, e.Content)
	if err != nil {
		return err
	}
	err = b.change(insertRecord, m.Organization, m.Position, string(e.Type), e.Parent, parent, grandparent, project, e.Key, facts, content,
		m.Time, string(m.Actor.Kind), m.Actor.Account, m.Actor.Token, m.Position)
	if err != nil {
		return err
	}
	return b.keepContent(m.Organization, m.Position, e.Content)
}

func writtenRecord(facts json.RawMessage, content []domain.Content) (string, string, error) {
	if len(facts) == 0 {
		facts = json.RawMessage("{}")
	}
	text, err := writtenList(content)
	return string(facts), text, err
}

const insertContent = `
INSERT INTO contents (object, organization, record)
VALUES (?, ?, ?)`

func (b batch) keepContent(org domain.OrganizationID, record domain.Position, content []domain.Content) error {
	for _, c := range content {
		if err := b.change(insertContent, c.Object, org, record); err != nil {
			return err
		}
	}
	return nil
}

const (
	recordFacts = `
SELECT facts, content FROM records WHERE organization = ? AND number = ?`

	amendRecord = `
UPDATE records SET facts = ?, content = ?, changed = ?
WHERE organization = ? AND number = ?`
)

// recordAmended puts facts over facts, and content over content of the same part.
func (b batch) recordAmended(m domain.Meta, e domain.RecordAmended) error {
	var facts map[string]json.RawMessage
	var content []domain.Content
	if err := b.one(recordFacts, []any{m.Organization, e.Record}, document{&facts}, document{&content}); err != nil {
		return err
	}
	var newer map[string]json.RawMessage
	if len(e.Facts) > 0 {
		if err := json.Unmarshal(e.Facts, &newer); err != nil {
			return fmt.Errorf("facts: %w", err)
		}
	}
	maps.Copy(facts, newer)
	var err error
	for _, c := range e.Content {
		content, err = b.replacing(content, c.Part)
		if err != nil {
			return err
		}
	}
	merged, err := json.Marshal(facts)
	if err != nil {
		return err
	}
	text, all, err := writtenRecord(merged, append(content, e.Content...))
	if err != nil {
		return err
	}
	if err := b.change(amendRecord, text, all, m.Position, m.Organization, e.Record); err != nil {
		return err
	}
	return b.keepContent(m.Organization, e.Record, e.Content)
}

const deleteContent = `
DELETE FROM contents
WHERE object = ?`

// replacing is the content without what has a part that is kept anew.
func (b batch) replacing(content []domain.Content, part string) (rest []domain.Content, err error) {
	for _, c := range content {
		if c.Part != part {
			rest = append(rest, c)
		} else if _, err := b.exec(deleteContent, c.Object); err != nil {
			return nil, err
		}
	}
	return rest, nil
}

// What belongs to a record goes with it.
const (
	deleteContents = `
DELETE FROM contents
WHERE organization = ? AND record IN (
	SELECT number FROM records WHERE organization = ? AND (number = ? OR parent = ? OR grandparent = ? OR ancestor = ?))`

	deleteRecords = `
DELETE FROM records
WHERE organization = ? AND (number = ? OR parent = ? OR grandparent = ? OR ancestor = ?)`
)

func (b batch) recordsRemoved(m domain.Meta, e domain.RecordsRemoved) error {
	for _, n := range e.Records {
		if _, err := b.exec(deleteContents, m.Organization, m.Organization, n, n, n, n); err != nil {
			return err
		}
		if _, err := b.exec(deleteRecords, m.Organization, n, n, n, n); err != nil {
			return err
		}
	}
	return nil
}

// Record is of what kind the record of an organization with a number is, and what it
// belongs to; parent is 0 if that is nothing.
func (m *Model) Record(org domain.OrganizationID, number domain.Position) (kind domain.RecordKind, parent domain.Position, known bool) {
	_ = m.read(org, func(o *domain.Organization) error { kind, parent, known = o.Record(number); return nil })
	return kind, parent, known
}

// RecordKeyed is the number of the record of a kind that has a key.
func (m *Model) RecordKeyed(org domain.OrganizationID, kind domain.RecordKind, key string) (number domain.Position, known bool) {
	_ = m.read(org, func(o *domain.Organization) error { number, known = o.RecordKeyed(kind, key); return nil })
	return number, known
}
