package projections

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"

	"jeton/domain"
	"jeton/eventstore"
)

// AuditRow is an entry of the audit log: an event with what is known around it.
type AuditRow struct {
	Place      Place
	At         domain.Instant
	Actor      domain.Actor
	ActorName  string // as it was, of a service account or an administrative token
	Action     string // the kind of the event
	Noun       string // what it is about
	Target     string // which one: an id, a number, or a name
	TargetName string // as it was; of people none is kept
	Outcome    string
	Before     json.RawMessage // what the event has changed, as it was; none: nothing was, or nothing was changed

	ActorNumber  domain.Position // of the account
	TargetNumber domain.Position // of the account
	Commit       *CommitRow
	Event        domain.Event // what happened, in the commit
}

func (r *AuditRow) fields() []any {
	return []any{
		&r.Place, &r.At, &r.Actor.Kind, text{&r.Actor.Account}, text{&r.Actor.Token}, &r.ActorName,
		&r.Action, &r.Noun, &r.Target, &r.TargetName, &r.Outcome, document{&r.Before},
	}
}

// AuditFilter says which entries about an organization are wanted. What is zero does
// not choose, and all that chooses must fit.
//
// Whatever is chosen is found by walking along one index, that of the condition which is
// likely to leave least: a thing or a word, an address, a token that was shown, an
// account, refusals, an action, a kind of thing. The others are looked at on the way, so
// two conditions that are both common and hardly ever meet take as long as the way is. A
// stretch of time is a stretch of the way: within an organization time never runs
// backwards in the log.
type AuditFilter struct {
	Organization domain.OrganizationID // always chooses
	Nothing      bool                  // nothing fits: who or what is asked for was never here
	Account      domain.AccountID      // who did it
	Token        domain.TokenID        // with what
	Handle       domain.TokenID        // the token that it was done with, or to
	Targets      []string              // one of the things that it is about
	Actions      []string              // one of these kinds of events
	Noun         string
	Outcome      string
	Mark         string   // of the address; see AddressMark
	Words        []string // all of them; see AuditWords
	From, To     domain.Instant
	After        Place // only what is behind it
	Before       Place // only what is before it; 0: up to the end
	Oldest       bool  // first; else the newest
	Limit        int   // 0: 100; never more than 1000
}

// Audit is the entries that pass a filter.
func (v *Views) Audit(ctx context.Context, f AuditFilter) ([]AuditRow, error) {
	walks, err := v.walks(ctx, f)
	if err != nil {
		return nil, err
	}
	var found []AuditRow
	for _, w := range walks {
		part, err := list[AuditRow](ctx, v, w.page(), append(w.args, atMost(f.Limit))...)
		if err != nil {
			return nil, err
		}
		found = append(found, part...)
	}
	if len(walks) > 1 {
		found = merged(found, f.Oldest)
	}
	found = found[:min(len(found), atMost(f.Limit))]
	return found, v.complete(ctx, f.Organization, found)
}

// merged puts what several walks have found into one order, each once.
func merged(rows []AuditRow, oldest bool) []AuditRow {
	slices.SortFunc(rows, func(a, b AuditRow) int {
		if oldest {
			return cmp.Compare(a.Place, b.Place)
		}
		return cmp.Compare(b.Place, a.Place)
	})
	return slices.CompactFunc(rows, func(a, b AuditRow) bool { return a.Place == b.Place })
}

// number is a row that is one number.
type number struct{ n int64 }

func (r *number) fields() []any { return []any{&r.n} }

// CountAudit is how many entries pass a filter, exactly. It counts along the index, which
// takes its time if there are millions.
func (v *Views) CountAudit(ctx context.Context, f AuditFilter) (int64, error) {
	walks, err := v.walks(ctx, f)
	if err != nil || len(walks) == 0 {
		return 0, err
	}
	var places []string
	var args []any
	for _, w := range walks {
		places, args = append(places, w.places()), append(args, w.args...)
	}
	counted, err := list[number](ctx, v, "SELECT COUNT(*) FROM ("+strings.Join(places, "\nUNION\n")+"\n) AS found", args...)
	if err != nil {
		return 0, err
	}
	return counted[0].n, nil
}

// walk is a way along one index.
type walk struct {
	conditions
	worded bool   // it goes along the words
	bare   bool   // no column but those of the words is looked at
	order  string // the newest first, or the oldest
}

const selectAudit = `
SELECT a.place, a.at, a.actor_kind, a.actor_account, a.actor_token, a.actor_name,
	a.action, a.noun, a.target, a.target_name, a.outcome, a.previous`

// CROSS JOIN keeps SQLite from beginning at the other end.
const (
	fromAudit = `
FROM audit a
WHERE a.organization = ?`

	fromWords = `
FROM audit_words w
CROSS JOIN audit a
WHERE w.organization = ?`

	fromWordsOnly = `
FROM audit_words w
WHERE w.organization = ?`

	wordToRow = `
	AND a.organization = w.organization AND a.place = w.place`
)

// from is where the walk goes, with what must be so on it.
func (w walk) from() string {
	if w.worded {
		return fromWords + w.text + wordToRow
	}
	return fromAudit + w.text
}

func (w walk) page() string {
	return selectAudit + w.from() + "\nORDER BY " + w.column() + w.order + "\nLIMIT ?"
}

// places is the walk to be counted.
func (w walk) places() string {
	if w.worded && w.bare {
		return "SELECT w.place" + fromWordsOnly + w.text
	}
	return "SELECT " + w.column() + w.from()
}

func (w walk) column() string {
	if w.worded {
		return "w.place"
	}
	return "a.place"
}

// equality is a column that must be something.
type equality struct{ column, value string }

// demand is all that one walk has to meet.
type demand struct {
	words   []string
	equal   []equality // in the order of preference
	refused bool
	actions []string // one of them, if not by equal
}

// walks are the ways on which everything is found that passes the filter.
func (v *Views) walks(ctx context.Context, f AuditFilter) ([]walk, error) {
	texts := slices.Concat(f.Targets, f.Actions, f.Words, []string{f.Noun, f.Outcome, f.Mark})
	if f.Nothing || slices.ContainsFunc(texts, func(text string) bool { return !storable(text) }) {
		return nil, nil
	}
	from, to, err := v.stretch(ctx, f)
	if err != nil || from >= to {
		return nil, err
	}
	var ways []walk
	for _, d := range f.demands() {
		ways = append(ways, f.walk(d, from, to))
	}
	return ways, nil
}

// stretch is the places between which a filter looks: at from or behind it, and before to.
func (v *Views) stretch(ctx context.Context, f AuditFilter) (from, to Place, err error) {
	from, to = min(f.After, lastPlace-1)+1, lastPlace
	if f.Before != 0 {
		to = min(f.Before, lastPlace)
	}
	if f.From != 0 {
		began, err := v.placeSince(ctx, f.Organization, f.From)
		if err != nil {
			return 0, 0, err
		}
		from = max(from, began)
	}
	if f.To != 0 {
		ended, err := v.placeSince(ctx, f.Organization, f.To)
		if err != nil {
			return 0, 0, err
		}
		to = min(to, ended)
	}
	return from, to, nil
}

const firstSince = `
SELECT place FROM audit
WHERE organization = ? AND at >= ?
ORDER BY organization, at, place
LIMIT 1`

// placeSince is the first place at a moment or after it.
func (v *Views) placeSince(ctx context.Context, org domain.OrganizationID, at domain.Instant) (Place, error) {
	found, err := list[number](ctx, v, firstSince, org, at)
	if err != nil || len(found) == 0 {
		return lastPlace, err
	}
	return Place(found[0].n), nil
}

// demands takes a filter apart into what single walks can find.
func (f AuditFilter) demands() []demand {
	all := []demand{f.common()}
	if len(f.Targets) > 0 {
		all = forked(all, f.Targets, func(d *demand, target string) { d.words = append([]string{theThing(target)}, d.words...) })
	}
	if !f.Handle.IsZero() {
		id := f.Handle.String()
		all = forked(all, []string{"target", "actor_token"}, func(d *demand, which string) {
			if which == "target" {
				d.words = append([]string{theThing(id)}, d.words...)
			} else {
				d.equal = append([]equality{{"actor_token", id}}, d.equal...)
			}
		})
	}
	return f.withActions(all)
}

// common is what all walks of a filter have to meet.
func (f AuditFilter) common() (d demand) {
	d.words = slices.Clone(f.Words)
	slices.SortFunc(d.words, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) }) // long ones are rare
	d.and("mark", f.Mark)
	if !f.Token.IsZero() {
		d.and("actor_token", f.Token.String())
	}
	if !f.Account.IsZero() {
		d.and("actor_account", f.Account.String())
	}
	d.refused = f.Outcome == RefusedAction
	d.and("outcome", f.Outcome)
	if len(f.Actions) == 1 {
		d.and("action", f.Actions[0])
	} else {
		d.actions = f.Actions
	}
	d.and("noun", f.Noun)
	return d
}

func (d *demand) and(column, value string) {
	if value != "" {
		d.equal = append(d.equal, equality{column, value})
	}
}

// withActions lets each walk take one of several actions, unless something else leads it.
func (f AuditFilter) withActions(all []demand) (each []demand) {
	for _, d := range all {
		led := len(d.words) > 0 || d.refused || slices.ContainsFunc(d.equal, func(e equality) bool { return e.column != "outcome" && e.column != "noun" })
		if len(d.actions) == 0 || led {
			each = append(each, d)
			continue
		}
		each = append(each, forked([]demand{d}, d.actions, func(one *demand, action string) {
			one.actions = nil
			one.equal = append([]equality{{"action", action}}, one.equal...)
		})...)
	}
	return each
}

// forked makes of each demand one for each choice.
func forked(all []demand, choices []string, choose func(*demand, string)) (more []demand) {
	for _, d := range all {
		for _, choice := range choices {
			one := demand{slices.Clone(d.words), slices.Clone(d.equal), d.refused, d.actions}
			choose(&one, choice)
			more = append(more, one)
		}
	}
	return more
}

const hasWord = `EXISTS (SELECT 1 FROM audit_words x WHERE x.organization = ? AND x.word = ? AND x.place = w.place)`

// walk makes the way for a demand.
func (f AuditFilter) walk(d demand, from, to Place) walk {
	w := walk{conditions: conditions{args: []any{f.Organization}}, order: " DESC", worded: len(d.words) > 0}
	if f.Oldest {
		w.order = ""
	}
	for i, word := range d.words {
		w.and(i == 0, "w.word = ?", word)
		w.and(i > 0, hasWord, f.Organization, word)
	}
	rest := d.lead(&w)
	if w.bare = len(rest.args) == 0; !w.bare {
		w.and(true, "CASE WHEN TRUE"+rest.text+" THEN TRUE ELSE FALSE END", rest.args...)
	}
	w.and(true, w.column()+" >= ? AND "+w.column()+" < ?", from.column(), to.column())
	return w
}

// lead lets the first column lead the walk, unless words do. The rest is looked at on the
// way, all in one condition that fits no index and of which no database knows what it
// leaves: if they thought that it is next to nothing they would leave the way, and sort.
func (d demand) lead(w *walk) (rest conditions) {
	led := w.worded
	for _, e := range d.equal {
		switch {
		case e.column == "outcome" && !led && d.refused:
			w.and(true, "a.outcome = 'refused'") // as the index has it
			led = true
		case e.column == "outcome" || led:
			rest.and(true, "a."+e.column+" = ?", e.value)
		default:
			w.and(true, "a."+e.column+" = ?", e.value)
			led = true
		}
	}
	rest.and(len(d.actions) > 0, "a.action IN (?"+strings.Repeat(", ?", max(0, len(d.actions)-1))+")", anyOf(d.actions)...)
	return rest
}

func anyOf(texts []string) (all []any) {
	for _, t := range texts {
		all = append(all, t)
	}
	return all
}

// complete adds to entries their commits and the numbers of accounts.
func (v *Views) complete(ctx context.Context, org domain.OrganizationID, rows []AuditRow) error {
	if len(rows) == 0 {
		return nil
	}
	commits, err := v.commitsAt(ctx, org, rows)
	if err != nil {
		return err
	}
	numbers, err := v.numbers(ctx, rows)
	if err != nil {
		return err
	}
	for i := range rows {
		r := &rows[i]
		r.ActorNumber, r.TargetNumber = numbers[r.Actor.Account.String()], numbers[r.Target]
		if r.Commit = commits[r.Place.Position()]; r.Commit == nil || r.Place.Item() >= len(r.Commit.Events) {
			return unavailable(errNoEvent(r.Place))
		}
		r.Event = r.Commit.Events[r.Place.Item()]
		if r.At != r.Commit.Time || r.Actor != r.Commit.Actor || r.Action != r.Event.Kind() {
			return unavailable(errEdited(r.Place.Position()))
		}
	}
	return nil
}

// errEdited: a table does not say what the log has said. An auditor is told that, and
// nothing else.
func errEdited(at domain.Position) error {
	return &eventstore.Damage{Position: at, What: "its entry or its second copy in the views was changed; jeton repair says which"}
}

// errNoEvent: the second copy lacks what there is an entry of.
type errNoEvent Place

func (e errNoEvent) Error() string { return "no commit has the event " + Place(e).String() }

func (v *Views) commitsAt(ctx context.Context, org domain.OrganizationID, rows []AuditRow) (map[domain.Position]*CommitRow, error) {
	at := map[domain.Position]*CommitRow{}
	args := []any{org}
	for _, r := range rows {
		if _, known := at[r.Place.Position()]; !known {
			at[r.Place.Position()] = nil
			args = append(args, r.Place.Position())
		}
	}
	found, err := v.commits(ctx, selectCommits+`
WHERE c.organization = ? AND c.position IN (?`+strings.Repeat(", ?", len(args)-2)+`)`, args...)
	if err != nil {
		return nil, err
	}
	leaves, err := list[leafAt](ctx, v, `
SELECT position, hash FROM leaves
WHERE organization = ? AND position IN (?`+strings.Repeat(", ?", len(args)-2)+`)`, args...)
	if err != nil {
		return nil, err
	}
	for i := range found {
		c := &found[i]
		record := eventstore.Record{Entry: eventstore.Entry{Boundary: c.Boundary, Data: c.Data}, Position: c.Position}
		if !slices.Contains(leaves, leafAt{c.Position, domain.Hash(record.Leaf())}) {
			return nil, unavailable(errEdited(c.Position))
		}
		at[c.Position] = c
	}
	return at, nil
}

// leafAt is what the tree of an organization has of a commit.
type leafAt struct {
	position domain.Position
	hash     domain.Hash
}

func (l *leafAt) fields() []any { return []any{&l.position, hash{&l.hash}} }

// numbered is the number of an account.
type numbered struct {
	id     string
	number domain.Position
}

func (r *numbered) fields() []any { return []any{&r.id, &r.number} }

func (v *Views) numbers(ctx context.Context, rows []AuditRow) (map[string]domain.Position, error) {
	numbers := map[string]domain.Position{}
	var args []any
	want := func(id string) {
		if _, known := numbers[id]; !known && id != "" {
			numbers[id] = 0
			args = append(args, id)
		}
	}
	for _, r := range rows {
		if !r.Actor.Account.IsZero() {
			want(r.Actor.Account.String())
		}
		if r.Noun != "token" {
			want(r.Target)
		}
	}
	if len(args) == 0 {
		return numbers, nil
	}
	found, err := list[numbered](ctx, v, `SELECT id, number FROM accounts WHERE id IN (?`+strings.Repeat(", ?", len(args)-1)+`)`, args...)
	for _, r := range found {
		numbers[r.id] = r.number
	}
	return numbers, err
}

// TokenHashed is the token of an organization whose secret has a hash, or had it.
func (m *Model) TokenHashed(org domain.OrganizationID, hash domain.Hash) (id domain.TokenID, known bool) {
	_ = m.read(org, func(o *domain.Organization) error { id, known = o.TokenHashed(hash); return nil })
	return id, known
}

// pastOf is what an event has changed, as it was.
type pastOf struct {
	place  Place
	before json.RawMessage
}

func (r *pastOf) fields() []any { return []any{&r.place, document{&r.before}} }

const pastBetween = `
SELECT place, previous FROM audit
WHERE organization = ? AND place BETWEEN ? AND ? AND previous <> ''`

// AuditBefore is what the events of an organization's commits have changed, as it was, by
// their places, from one position to another.
func (v *Views) AuditBefore(ctx context.Context, org domain.OrganizationID, from, to domain.Position) (map[Place]json.RawMessage, error) {
	found, err := list[pastOf](ctx, v, pastBetween, org, PlaceOf(from, 0).column(), PlaceOf(to, itemsAtMost-1).column())
	before := make(map[Place]json.RawMessage, len(found))
	for _, r := range found {
		before[r.place] = r.before
	}
	return before, err
}
