package projections

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"jeton/domain"
)

// sent is what was said of engines and sent by programs in the first organization, as
// it was said: what the views must have, and the model does not keep.
type sent struct {
	engines  map[domain.Position]domain.RegisterEngine // there or gone
	projects []string                                  // there or refused
	records  map[domain.Position]sentFacts             // there
	order    []domain.Position                         // of all that were there
	objects  []string                                  // all that were ever named
}

func newSent() sent {
	return sent{engines: map[domain.Position]domain.RegisterEngine{}, records: map[domain.Position]sentFacts{}}
}

type engineFacts struct {
	Name    string
	Listing domain.Listing
	Door    string // as JSON
	Token   domain.TokenID
	Changed domain.Position
}

type sentFacts struct {
	Kind    domain.RecordKind
	Parent  domain.Position
	Project string
	Key     string
	Facts   string // as JSON, with its names in order
	Content []domain.Content
	Kept    domain.Instant
	By      domain.Actor
	Changed domain.Position
}

// said adds what the model knows, and of what it does not keep what was sent.
func (s *sent) said(w *world, f *facts, o *domain.Organization) {
	f.Engines, f.Projects = map[domain.Position]engineFacts{}, map[string]domain.Position{}
	f.Records, f.Objects = map[domain.Position]sentFacts{}, map[string]bool{}
	for _, e := range o.Engines() {
		listing := s.engines[e.Number].Listing
		listing.Permissions, listing.Resources = e.Permissions, e.Resources
		f.Engines[e.Number] = engineFacts{e.Name, listing, doorText(e.Door), e.Token, e.Changed}
	}
	for _, name := range s.projects {
		if number, known := o.Project(name); known {
			f.Projects[name] = number
		}
	}
	for _, number := range s.order {
		kind, parent, known := o.Record(number)
		r := s.records[number]
		if !known {
			continue
		}
		if r.Kind != kind || r.Parent != parent {
			w.Errorf("record %d is a %s of %d in the model, and was sent as a %s of %d", number, kind, parent, r.Kind, r.Parent)
		}
		f.Records[number] = r
		for _, c := range r.Content {
			f.Objects[c.Object] = true
		}
	}
	if len(f.Records) != len(s.records) {
		w.Errorf("the model has %d records, and %d were sent and not removed", len(f.Records), len(s.records))
	}
}

func doorText(d domain.Door) string {
	d.Name = ""
	text, _ := json.Marshal(d)
	return string(text)
}

func factsText(facts json.RawMessage) string {
	object := map[string]json.RawMessage{}
	if len(facts) > 0 {
		_ = json.Unmarshal(facts, &object)
	}
	text, _ := json.Marshal(object)
	return string(text)
}

// read adds what the views know.
func (s *sent) read(w *world, f *facts, v *Views, org domain.OrganizationID) {
	w.Helper()
	f.Engines, f.Projects = map[domain.Position]engineFacts{}, map[string]domain.Position{}
	f.Records, f.Objects = map[domain.Position]sentFacts{}, map[string]bool{}
	ctx := w.Context()
	engines, err := v.Engines(ctx, org, Page{Limit: highestLimit})
	fails(w, "engines", err, nil)
	for _, r := range engines {
		f.Engines[r.Number] = engineFacts{r.Name, r.Listing, doorText(r.Door), r.Token, r.Changed}
	}
	projects, err := v.Projects(ctx, org, Page{Limit: highestLimit})
	fails(w, "projects", err, nil)
	for _, r := range projects {
		f.Projects[r.Name] = r.Number
	}
	for filter := (RecordFilter{Organization: org, Limit: highestLimit}); ; {
		page, err := v.Records(ctx, filter)
		fails(w, "records", err, nil)
		if len(page) == 0 {
			break
		}
		for _, r := range page {
			f.Records[r.Number] = r.said(w)
			if r.Project != f.Projects[r.Within] {
				w.Errorf("record %d is of project %d, %q has number %d", r.Number, r.Project, r.Within, f.Projects[r.Within])
			}
		}
		filter.Before = page[len(page)-1].Number
	}
	if org != w.org {
		return
	}
	for _, name := range s.objects {
		has, err := v.HasObject(ctx, name)
		fails(w, "object", err, nil)
		if has {
			f.Objects[name] = true
		}
	}
}

func (r RecordRow) said(w *world) sentFacts {
	if !json.Valid(r.Facts) {
		w.Errorf("the facts of record %d are %q", r.Number, r.Facts)
	}
	return sentFacts{r.Kind, r.Parent, r.Within, r.Key, factsText(r.Facts), inOrder(r.Content), r.Kept, r.KeptBy.Actor, r.Changed}
}

func inOrder(content []domain.Content) []domain.Content {
	return slices.SortedFunc(slices.Values(content), func(a, b domain.Content) int { return strings.Compare(a.Part, b.Part) })
}

// verification is a new verification token, of which everybody hears.
func (l *life) verification() domain.Hash {
	text := l.name("verification-token-of-engine-")
	l.shown = append(l.shown, strings.ReplaceAll(text, " ", ""))
	return hashOf(l.shown[len(l.shown)-1])
}

func (l *life) door() (d domain.Door) {
	d.PersonalTokens = l.IntN(3) > 0
	d.NoFallback = d.PersonalTokens && l.IntN(3) == 0
	switch l.IntN(4) {
	case 0:
		d.Open = l.IntN(4) == 0
	default:
		d.Verification = l.verification()
	}
	return d
}

func (l *life) project() (name string) {
	if l.maybe() {
		name = fmt.Sprint("project ", l.IntN(6))
	}
	l.sent.projects = append(l.sent.projects, name)
	return name
}

func (l *life) listing() domain.Listing {
	listing := domain.Listing{Project: l.project(), Description: l.name("an engine")}
	if l.maybe() {
		listing.URL, listing.Permissions = "https://dblab.example.org:2345", []string{"engines.use", "tokens.check"}
	}
	if l.maybe() {
		listing.Resources = []domain.Resource{"branch:main", "branch:*"}
	}
	return listing
}

// engine is one of those that were registered lately, there or gone.
func (l *life) engine() domain.Position {
	all := slices.Sorted(maps.Keys(l.sent.engines))
	if len(all) == 0 {
		return 0
	}
	young := all[max(0, len(all)-5):]
	return young[l.IntN(len(young))]
}

func (l *life) registers() {
	issued, secret := issuing(domain.Administrative, "")
	c := domain.RegisterEngine{
		Name: []string{"prod", fmt.Sprint("engine", l.IntN(40)), "a-b.c_d"}[l.IntN(3)], Listing: l.listing(), Door: l.door(),
		EngineToken: domain.EngineToken{Token: issued.Token, Hash: issued.Hash, Never: l.maybe()},
	}
	if l.maybe() {
		c.Defines = []domain.Definition{{Name: fmt.Sprintf("clones.do%d", l.IntN(4)), Group: "clones", Resource: "engine"}}
	}
	o, done := l.asks(l.actor(), c)
	if !done {
		return
	}
	l.has(c.Token, secret)
	l.sent.engines[o.Position] = c
}

func (l *life) changesEngine() {
	number := l.engine()
	switch l.IntN(6) {
	case 0:
		l.ask(l.owner.actor, domain.DeleteEngine{Engine: number, Reason: "retired"})
		return
	case 1:
		issued, secret := issuing(domain.Administrative, "")
		if l.ask(l.actor(), domain.ReplaceEngineToken{Engine: number, EngineToken: domain.EngineToken{Token: issued.Token, Hash: issued.Hash}}) {
			l.has(issued.Token, secret)
		}
		return
	}
	listing, door, disabled := l.listing(), l.door(), l.IntN(3) == 0
	c := domain.UpdateEngine{Engine: number}
	switch l.IntN(4) {
	case 0:
		c.Listing = &listing
	case 1, 2:
		c.Door = &door
	case 3:
		c.Disabled = &disabled
	}
	if l.ask(l.actor(), c) && c.Listing != nil {
		known := l.sent.engines[number]
		known.Listing = listing
		l.sent.engines[number] = known
	}
}

// belongs says which kinds of records may belong to what.
var belongs = map[domain.RecordKind][]domain.RecordKind{
	domain.LabSessionLog: {domain.LabSession}, domain.LabSessionData: {domain.LabSession}, domain.JoeCommand: {domain.JoeSession},
	domain.JoeMessage: {domain.JoeCommand, domain.JoeSession, ""}, domain.JoeArtifact: {domain.JoeMessage}, domain.CheckupFile: {domain.CheckupReport},
}

// record is one of those that were sent lately and are there; none of a kind: 0.
func (l *life) record(kinds ...domain.RecordKind) domain.Position {
	var all []domain.Position
	for _, number := range l.sent.order[max(0, len(l.sent.order)-40):] {
		if r, there := l.sent.records[number]; there && (len(kinds) == 0 || slices.Contains(kinds, r.Kind)) {
			all = append(all, number)
		}
	}
	if len(all) == 0 {
		return 0
	}
	return all[l.IntN(len(all))]
}

func (l *life) content() (all []domain.Content) {
	for _, part := range []string{"data", "plan", "response"} {
		if l.maybe() {
			object := domain.RandomID().String()
			l.sent.objects = append(l.sent.objects, object)
			all = append(all, domain.Content{Part: part, Object: object, Digest: hashOf(object), Size: l.Int64N(1 << 40), Media: "text/plain"})
		}
	}
	return all
}

func (l *life) facts() json.RawMessage {
	switch l.IntN(3) {
	case 0:
		return nil
	case 1:
		return json.RawMessage(fmt.Sprintf(`{"query": "SELECT '<&>\u2028'", "n": %d, "deep": {"a": [null, 1e400, 0.1]}}`, l.IntN(9)))
	}
	return json.RawMessage(fmt.Sprintf(`{"n":%d,"query":null}`, l.IntN(9)))
}

func (l *life) keeps() {
	kinds := domain.RecordKinds()
	c := domain.KeepRecord{Kind: kinds[l.IntN(len(kinds))], Project: l.project(), Facts: l.facts(), Content: l.content()}
	if l.IntN(3) == 0 { // the deepest
		c.Kind = []domain.RecordKind{domain.JoeSession, domain.JoeCommand, domain.JoeMessage, domain.JoeMessage, domain.JoeArtifact}[l.IntN(5)]
	}
	if parents := belongs[c.Kind]; len(parents) > 0 {
		c.Parent = l.record(parents...)
	}
	if l.maybe() {
		c.Key = fmt.Sprint("key ", l.IntN(50))
	}
	o, done := l.asks(l.actor(), c)
	if !done {
		return
	}
	l.sent.order = append(l.sent.order, o.Position)
	l.sent.records[o.Position] = sentFacts{
		c.Kind, c.Parent, c.Project, c.Key, factsText(c.Facts), inOrder(c.Content), o.Time, o.Actor, o.Position,
	}
}

func (l *life) amends() {
	number := l.record()
	r := l.sent.records[number]
	c := domain.AmendRecord{Number: number, Kind: r.Kind, Facts: l.facts(), Content: l.content()}
	o, done := l.asks(l.actor(), c)
	if !done {
		return
	}
	var was, is map[string]json.RawMessage
	_ = json.Unmarshal([]byte(r.Facts), &was)
	_ = json.Unmarshal(c.Facts, &is)
	maps.Copy(was, is)
	merged, _ := json.Marshal(was)
	parts := map[string]domain.Content{}
	for _, c := range append(r.Content, c.Content...) {
		parts[c.Part] = c
	}
	r.Facts, r.Content, r.Changed = factsText(merged), inOrder(slices.Collect(maps.Values(parts))), o.Position
	l.sent.records[number] = r
}

func (l *life) removes() {
	number := l.record()
	if l.IntN(3) > 0 { // what much belongs to
		number = l.record(domain.JoeSession, domain.JoeCommand, domain.CheckupReport)
	}
	c := domain.RemoveRecords{Kind: l.sent.records[number].Kind, Numbers: []domain.Position{number}, Reason: "over"}
	if l.IntN(2) > 0 && l.ask(l.actor(), c) {
		l.sent.remove(number)
	}
}

// remove removes a record and all that belongs to it.
func (s *sent) remove(number domain.Position) {
	delete(s.records, number)
	for other, r := range s.records {
		if r.Parent == number {
			s.remove(other)
		}
	}
}

func hashOf(text string) domain.Hash { return sha256.Sum256([]byte(text)) }
