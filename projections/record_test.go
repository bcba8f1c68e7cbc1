package projections

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"jeton/domain"
)

// keep keeps a record in the first organization and answers its number.
func (w *world) keep(kind domain.RecordKind, parent domain.Position, change ...func(*domain.KeepRecord)) domain.Position {
	w.Helper()
	c := domain.KeepRecord{Kind: kind, Parent: parent}
	for _, change := range change {
		change(&c)
	}
	return w.do(w.owner.actor, c).Position
}

// holding lets a record have objects, each as a part of its name.
func holding(objects ...string) func(*domain.KeepRecord) {
	return func(c *domain.KeepRecord) { c.Content = contents(objects...) }
}

func contents(objects ...string) (all []domain.Content) {
	for _, name := range objects {
		all = append(all, domain.Content{Part: name, Object: "object-" + name, Digest: hashOf(name), Size: 5, Media: "text/plain"})
	}
	return all
}

func TestRecordInTheModel(t *testing.T) {
	w := newWorld(t)
	neighbour, _ := w.create("other", "other@example.org")
	session := w.keep(domain.LabSession, 0, func(c *domain.KeepRecord) { c.Key, c.Project = "s-1", "shop" })
	part := w.keep(domain.LabSessionLog, session)
	for name, m := range map[string]*Model{"this node": w.model, "another": w.other()} {
		kind, parent, known := m.Record(w.org, part)
		if !known || kind != domain.LabSessionLog || parent != session {
			t.Errorf("%s: the part is %v %d %v", name, kind, parent, known)
		}
		number, keyed := m.RecordKeyed(w.org, domain.LabSession, "s-1")
		if !keyed || number != session {
			t.Errorf("%s: the key is of %d %v, want %d", name, number, keyed, session)
		}
		same(t, "the project", m.Project(w.org, "shop"), session)
		same(t, "a project that there is not", m.Project(w.org, "web"), 0)
		same(t, "the last commit", m.Last(w.org), part)
		_, _, known = m.Record(neighbour, part)
		_, keyed = m.RecordKeyed(neighbour, domain.LabSession, "s-1")
		if known || keyed || m.Project(neighbour, "shop") != 0 || m.Last(neighbour) >= session {
			t.Errorf("%s: the neighbour has it", name)
		}
		_, _, known = m.Record(newOrganizationID(), part)
		if known || m.Project(newOrganizationID(), "shop") != 0 || m.Last(newOrganizationID()) != 0 {
			t.Errorf("%s: an organization that there is not has something", name)
		}
	}
	w.do(w.owner.actor, domain.RemoveRecords{Kind: domain.LabSession, Numbers: []domain.Position{session}})
	_, _, known := w.model.Record(w.org, part)
	_, keyed := w.model.RecordKeyed(w.org, domain.LabSession, "s-1")
	same(t, "known when it is gone", known || keyed, false)
}

func TestRecordRows(t *testing.T) {
	w := newWorld(t)
	neighbour, _ := w.create("other", "other@example.org")
	kept := domain.At(w.now())
	session := w.keep(domain.LabSession, 0, holding("a", "b"), func(c *domain.KeepRecord) {
		c.Project, c.Key, c.Facts = "prod", "s-1", json.RawMessage(`{"b": 1,"a":[1e400]}`)
	})
	w.pass(time.Minute)
	part := w.keep(domain.LabSessionLog, session)
	event := w.keep(domain.LabEvent, 0, func(c *domain.KeepRecord) { c.Project = "prod" })
	amended := w.do(w.owner.actor, domain.AmendRecord{
		Number: session, Kind: domain.LabSession, Facts: json.RawMessage(`{"c":"<\u2028>"}`), Content: contents("c"),
	})
	_ = amended
	everywhere(t, func(t *testing.T, url string) {
		v := viewsOf(w.here(t), url)
		owner := Author{w.owner.actor, 1, "owner@example.org", ""}
		want := RecordRow{
			Number: session, Kind: domain.LabSession, Project: session, Within: "prod", Key: "s-1",
			Facts: json.RawMessage(`{"a":[1e400],"b":1,"c":"\u003c\u2028\u003e"}`), Content: contents("a", "b", "c"), Kept: kept, KeptBy: owner, Changed: amended.Position,
		}
		got, err := v.Record(t.Context(), w.org, session)
		fails(t, "record", err, nil)
		same(t, "record", cmp.Diff(want, got), "")
		_, err = v.Record(t.Context(), neighbour, session)
		fails(t, "asked by the neighbour", err, domain.ErrNotFound)

		numbers := func(f RecordFilter) (all []domain.Position) {
			found, err := v.Records(t.Context(), f)
			fails(t, fmt.Sprintf("%+v", f), err, nil)
			for _, r := range found {
				all = append(all, r.Number)
			}
			return all
		}
		for what, c := range map[string]struct {
			filter RecordFilter
			want   []domain.Position
		}{
			"all":                      {RecordFilter{}, []domain.Position{event, part, session}},
			"of a kind":                {RecordFilter{Kind: domain.LabEvent}, []domain.Position{event}},
			"of a parent":              {RecordFilter{Parent: session}, []domain.Position{part}},
			"of a project":             {RecordFilter{Project: session}, []domain.Position{event, session}},
			"of a project and a kind":  {RecordFilter{Project: session, Kind: domain.LabSession}, []domain.Position{session}},
			"of another project":       {RecordFilter{Project: event}, nil},
			"a page":                   {RecordFilter{Limit: 2}, []domain.Position{event, part}},
			"the page behind it":       {RecordFilter{Limit: 2, Before: part}, []domain.Position{session}},
			"of the neighbour":         {RecordFilter{Organization: neighbour}, nil},
			"of a kind that is not so": {RecordFilter{Kind: "event' OR 1=1"}, nil},
		} {
			if c.filter.Organization.IsZero() {
				c.filter.Organization = w.org
			}
			same(t, what, fmt.Sprint(numbers(c.filter)), fmt.Sprint(c.want))
		}

		projects, err := v.Projects(t.Context(), w.org, Page{})
		fails(t, "projects", err, nil)
		same(t, "projects", projects, []ProjectRow{{session, "prod", kept}})
		projects, err = v.Projects(t.Context(), w.org, Page{After: session})
		fails(t, "next projects", err, nil)
		same(t, "next projects", len(projects), 0)
		projects, err = v.Projects(t.Context(), neighbour, Page{})
		fails(t, "projects of the neighbour", err, nil)
		same(t, "projects of the neighbour", len(projects), 0)
	})
}

// TestAmended: each fact takes the place of the one before, and each content that of
// its part.
func TestAmended(t *testing.T) {
	w := newWorld(t)
	record := w.keep(domain.JoeSession, 0, holding("a", "b"))
	content := contents("new a", "c")
	content[0].Part = "a"
	for _, c := range []domain.AmendRecord{
		{Facts: json.RawMessage(`{"a":1,"b":{"deep":true}}`)},
		{Facts: json.RawMessage(`{"b":null,"c":0.10}`), Content: content},
		{Content: contents("d")},
	} {
		c.Number, c.Kind = record, domain.JoeSession
		w.do(w.owner.actor, c)
	}
	everywhere(t, func(t *testing.T, url string) {
		v := openViews(t, url)
		end := runViews(t, v, w.store)
		here := w.here(t)
		caughtUp(here, v)
		got, err := v.Record(t.Context(), w.org, record)
		fails(t, "record", err, nil)
		same(t, "facts", string(got.Facts), `{"a":1,"b":null,"c":0.10}`)
		var parts []string
		for _, c := range got.Content {
			parts = append(parts, c.Part+" "+c.Object)
		}
		slices.Sort(parts)
		same(t, "content", parts, []string{"a object-new a", "b object-b", "c object-c", "d object-d"})
		same(t, "changed", got.Changed, w.last())
		sameObjects(t, v, map[string]bool{"object-a": false, "object-new a": true, "object-b": true, "object-c": true, "object-d": true})
		rebuilt(here, v, end)
	})
}

func sameObjects(t *testing.T, v *Views, want map[string]bool) {
	t.Helper()
	for name, is := range want {
		has, err := v.HasObject(t.Context(), name)
		fails(t, name, err, nil)
		same(t, "there is "+name, has, is)
	}
}

// TestRemovedWithAllThatBelongsToIt, wherever in the four levels it is, with its
// content. Its neighbours stay.
func TestRemovedWithAllThatBelongsToIt(t *testing.T) {
	levels := []domain.RecordKind{domain.JoeSession, domain.JoeCommand, domain.JoeMessage, domain.JoeArtifact}
	for removed, kind := range levels {
		w := newWorld(t)
		var twigs [2][]domain.Position
		want := map[string]bool{}
		for i := range twigs {
			parent := domain.Position(0)
			for level, kind := range levels {
				name := fmt.Sprint(i, "-", level)
				parent = w.keep(kind, parent, holding(name))
				twigs[i] = append(twigs[i], parent)
				want["object-"+name] = i == 1 || level < removed
			}
		}
		w.do(w.owner.actor, domain.RemoveRecords{Kind: kind, Numbers: twigs[0][removed : removed+1]})
		everywhere(t, func(t *testing.T, url string) {
			v := openViews(t, url)
			end := runViews(t, v, w.store)
			here := w.here(t)
			caughtUp(here, v)
			for i, twig := range twigs {
				for level, number := range twig {
					_, err := v.Record(t.Context(), w.org, number)
					if i == 1 || level < removed {
						fails(t, "what stays", err, nil)
					} else {
						fails(t, "what belonged to it", err, domain.ErrNotFound)
					}
				}
			}
			sameObjects(t, v, want)
			rebuilt(here, v, end)
		})
	}
}

// TestRecordsGoWithTheirOrganization, as do its engines and projects.
func TestRecordsGoWithTheirOrganization(t *testing.T) {
	w := newWorld(t)
	neighbour, theirs := w.create("other", "other@example.org")
	w.keep(domain.LabInstance, 0, holding("ours"))
	w.in(neighbour, theirs.actor, domain.KeepRecord{Kind: domain.LabInstance, Project: "theirs", Content: contents("theirs")})
	register, _ := registering("prod", domain.Door{PersonalTokens: true})
	w.in(neighbour, theirs.actor, register)
	w.in(neighbour, theirs.actor, domain.DeleteOrganization{Alias: "other"})
	everywhere(t, func(t *testing.T, url string) {
		v := viewsOf(w.here(t), url)
		sameObjects(t, v, map[string]bool{"object-ours": true, "object-theirs": false})
		records, err := v.Records(t.Context(), RecordFilter{Organization: neighbour})
		if err != nil || len(records) > 0 {
			t.Errorf("records: %v (%v)", records, err)
		}
		engines, err := v.Engines(t.Context(), neighbour, Page{})
		if err != nil || len(engines) > 0 {
			t.Errorf("engines: %v (%v)", engines, err)
		}
		projects, err := v.Projects(t.Context(), neighbour, Page{})
		if err != nil || len(projects) > 0 {
			t.Errorf("projects: %v (%v)", projects, err)
		}
	})
}
