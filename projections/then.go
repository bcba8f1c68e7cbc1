package projections

import (
	"cmp"
	"context"
	"database/sql"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"jeton/domain"
)

// Past answers about organizations as they were. A moment is settled from the log:
// what an organization had decided (roles, policy, members, engines …) by the commits
// about that, what its tokens were by their rows of then. Nothing that happened
// later is in it, and how tokens were used is not: that is no history.
type Past struct {
	Model *Model
	Views *Views

	mu   sync.Mutex
	kept []foundation // those that were asked for last, the last one last
}

// keptFoundations is how many organizations as they were are kept, so that the
// next page costs no more than one of today.
const keptFoundations = 4

// foundation is an organization as it was behind a commit of it. It never changes.
type foundation struct {
	at     domain.Position
	state  *domain.Organization
	tokens *index
}

// Then is an organization as it was. Model answers as if it were then, but for who may
// do what: rights are today's.
type Then struct {
	Moment
	Model *Model
}

// Context lets questions to Views be about then.
func (t *Then) Context(ctx context.Context) context.Context { return asOf(ctx, t.Position) }

// Asked is the moment that somebody asks about: a position or, without one, a time.
type Asked struct {
	Position domain.Position
	Time     domain.Instant
}

// At is an organization as it was at a moment. The future is refused; before the
// organization was created there is none.
func (p *Past) At(ctx context.Context, org domain.OrganizationID, asked Asked) (*Then, error) {
	moment, err := p.moment(ctx, org, asked)
	if err != nil {
		return nil, err
	}
	then, err := p.foundation(ctx, org, moment.Position)
	if err != nil {
		return nil, err
	}
	return &Then{moment, p.Model.then(then, moment)}, nil
}

// Now is the present moment of an organization, with Views as far as that.
func (p *Past) Now(ctx context.Context, org domain.OrganizationID) (Moment, error) {
	profile, _ := p.Model.Profile(org)
	at := max(p.Model.Last(org), profile.Number)
	return Moment{Position: at, Time: domain.At(p.Model.now())}, unavailable(p.Views.Wait(ctx, at))
}

func (p *Past) moment(ctx context.Context, org domain.OrganizationID, asked Asked) (m Moment, err error) {
	if asked.Position > p.Model.Position() || asked.Position == 0 && asked.Time > domain.At(p.Model.now()) {
		return m, domain.Invalid("as_of", "lies in the future", "choose a moment that has passed")
	}
	if err := p.Views.Wait(ctx, p.Model.Last(org)); err != nil {
		return m, unavailable(err)
	}
	return p.Views.moment(ctx, org, asked)
}

const (
	momentOfPosition = `
SELECT position, at FROM commits
WHERE organization = ? AND position <= ?
ORDER BY position DESC
LIMIT 1`

	momentOfTime = `
SELECT position, at FROM commits
WHERE organization = ? AND at <= ?
ORDER BY at DESC, position DESC
LIMIT 1`
)

func (m *Moment) fields() []any { return []any{&m.Position, &m.Time} }

func (v *Views) moment(ctx context.Context, org domain.OrganizationID, asked Asked) (Moment, error) {
	query, at := momentOfPosition, any(asked.Position)
	if asked.Position == 0 {
		query, at = momentOfTime, asked.Time
	}
	found, err := list[Moment](ctx, v, query, org, at)
	if err != nil {
		return Moment{}, err
	}
	if len(found) == 0 {
		return Moment{}, domain.Refuse(domain.ErrNotFound, "the organization was not there yet", "ask about a later moment")
	}
	m := found[0]
	if m.exact = asked.Position; m.exact == 0 {
		m.Time = asked.Time
	}
	return m, nil
}

// foundation is kept from the last time, or laid.
func (p *Past) foundation(ctx context.Context, org domain.OrganizationID, at domain.Position) (foundation, error) {
	p.mu.Lock()
	is := func(f foundation) bool { return f.state.ID == org && f.at == at }
	if i := slices.IndexFunc(p.kept, is); i >= 0 {
		found := p.kept[i]
		p.kept = append(slices.Delete(p.kept, i, i+1), found)
		p.mu.Unlock()
		return found, nil
	}
	p.mu.Unlock()
	laid, err := p.Views.lay(ctx, org, at)
	if err != nil {
		return laid, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.kept = append(p.kept, laid)
	p.kept = p.kept[max(0, len(p.kept)-keptFoundations):]
	return laid, nil
}

// lay makes an organization as it was. A rebuild that went on meanwhile has taken
// rows away.
func (v *Views) lay(ctx context.Context, org domain.OrganizationID, at domain.Position) (f foundation, err error) {
	var settings []CommitRow
	failed := make(chan error, 1)
	go func() { // both take about as long
		var err error
		settings, err = v.commits(ctx, settingsAlone, org, at)
		failed <- err
	}()
	tokens, err := list[tokenThen](asOf(ctx, at), v, tokensThen, org)
	if err := cmp.Or(<-failed, err); err != nil {
		return f, err
	}
	if up, err := v.checkpoint(ctx); err != nil || up.Position < at {
		return f, unavailable(cmp.Or(err, ErrBehind))
	}
	f = foundation{at, asItWas(org, at, settings, tokens), new(index)}
	for i := range tokens {
		place, _ := f.state.Tokens.Place(tokens[i].id)
		f.tokens.put(spot{tokens[i].id, 0, place})
	}
	return f, nil
}

// settingsAlone is settingsUntil for who does not ask who it was.
const settingsAlone = `
SELECT c.position, c.boundary, c.id, c.data, c.chain, 0, '', ''
FROM turns t
JOIN commits c ON c.position = t.position
WHERE t.organization = ? AND t.position <= ?
ORDER BY t.position`

const settingsUntil = `
SELECT c.position, c.boundary, c.id, c.data, c.chain, COALESCE(a.number, 0), COALESCE(a.email, ''), COALESCE(a.name, '')
FROM turns t
JOIN commits c ON c.position = t.position
LEFT JOIN accounts_versions a ON a.id = c.account AND a.since <= c.position AND a.until > c.position
WHERE t.organization = ? AND t.position <= ?
ORDER BY t.position`

// settings are the commits of an organization that are about more than tokens, the
// oldest first, with the names of those who made them as they were.
func (v *Views) settings(ctx context.Context, org domain.OrganizationID, until domain.Position) ([]CommitRow, error) {
	return v.commits(ctx, settingsUntil, org, until)
}

// tokenThen is what a token was, as far as the rules need to know.
type tokenThen struct {
	id                       domain.TokenID
	kind                     domain.TokenKind
	holder                   domain.AccountID
	number, bound, changed   domain.Position
	terms                    string
	unbound                  bool
	issued, expires, made    domain.Instant
	rotated, reused, revoked domain.Instant
	previousMade             domain.Instant
	previousUntil            domain.Instant
	waiting                  domain.Instant
	requester                domain.Actor
}

func (t *tokenThen) fields() []any { return []any{t} }

// tokensThen are all tokens of an organization, each in one text: they are many, and
// reading a column costs as much as reading a row.
const tokensThen = `
SELECT CONCAT_WS(' ', t.id, t.kind, t.holder, t.requester_kind, t.requester_account, t.requester_token,
	CASE WHEN t.unbound THEN 1 ELSE 0 END, t.number, t.bound, t.changed,
	t.issued, t.expires, t.made, t.rotated, t.reused, t.revoked, t.previous_made, t.previous_until, t.waiting, t.terms)
FROM tokens t
WHERE t.organization = ?`

// Scan implements sql.Scanner.
func (t *tokenThen) Scan(column any) error {
	var whole sql.NullString
	if err := whole.Scan(column); err != nil {
		return err
	}
	var rest, part string
	var failed error
	next := func() string { part, rest, _ = strings.Cut(rest, " "); return part }
	rest = whole.String
	for _, into := range []any{text{&t.id}, text{&t.kind}, text{&t.holder}, &t.requester.Kind, text{&t.requester.Account}, text{&t.requester.Token}} {
		switch into := into.(type) {
		case text:
			failed = cmp.Or(failed, into.Scan(next()))
		case *domain.ActorKind:
			*into = domain.ActorKind(next())
		}
	}
	number := func() int64 {
		n, err := strconv.ParseInt(next(), 10, 64)
		failed = cmp.Or(failed, err)
		return n
	}
	t.unbound = number() != 0
	for _, into := range []*domain.Position{&t.number, &t.bound, &t.changed} {
		*into = domain.Position(number())
	}
	for _, into := range []*domain.Instant{&t.issued, &t.expires, &t.made, &t.rotated, &t.reused, &t.revoked, &t.previousMade, &t.previousUntil, &t.waiting} {
		*into = domain.Instant(number())
	}
	t.terms = rest
	return failed
}

// asItWas makes the organization that these commits and these tokens were. What a token
// is bound to means what it meant when it was bound: so that stands between the
// commits where it did.
func asItWas(org domain.OrganizationID, at domain.Position, settings []CommitRow, tokens []tokenThen) *domain.Organization {
	o := domain.NewOrganization(org)
	steps := stepsOf(tokens)
	for _, c := range settings {
		steps = take(o, steps, c.Position-1)
		for _, e := range c.Events {
			if e, is := e.(domain.OrganizationEvent); is && isSetting(e) {
				e.Evolve(o, c.Meta)
			}
		}
	}
	take(o, steps, at)
	for i := range tokens {
		tokens[i].settle(o)
	}
	o.Evolve(domain.Commit{Meta: domain.Meta{Position: at}})
	return o
}

// stepThen is something that a token was given at a position.
type stepThen struct {
	at domain.Position
	domain.OrganizationEvent
	domain.Instant
}

// stepsOf are the makings and the bindings of tokens, the oldest first.
func stepsOf(tokens []tokenThen) []stepThen {
	steps, read := make([]stepThen, 0, 2*len(tokens)), map[string]domain.Terms{}
	for i := range tokens {
		t := &tokens[i]
		made := t.made
		if t.rotated != 0 {
			made = t.previousMade
		}
		steps = append(steps, stepThen{t.number, domain.TokenIssued{Token: t.id, Type: t.kind, Holder: t.holder, Expires: t.expires}, made})
	}
	for i := range tokens {
		if t := &tokens[i]; t.bound != 0 {
			terms, known := read[t.terms]
			if !known {
				_ = document{&terms}.Scan(t.terms) // it was written by written
				read[t.terms] = terms
			}
			steps = append(steps, stepThen{t.bound, domain.TokenBound{Token: t.id, Terms: terms}, t.made})
		}
	}
	slices.SortStableFunc(steps, func(a, b stepThen) int { return cmp.Compare(a.at, b.at) })
	return steps
}

// take takes the steps up to a position into an organization, and answers the rest.
func take(o *domain.Organization, steps []stepThen, until domain.Position) []stepThen {
	for len(steps) > 0 && steps[0].at <= until {
		steps[0].Evolve(o, domain.Meta{Position: steps[0].at, Time: steps[0].Instant})
		steps = steps[1:]
	}
	return steps
}

// settle gives a token the rest of what it was.
func (t *tokenThen) settle(o *domain.Organization) {
	at := domain.Meta{Position: t.changed, Time: t.made, Actor: t.requester}
	if t.rotated != 0 {
		domain.TokenRotated{Token: t.id, Expires: t.expires, Until: t.previousUntil}.Evolve(o, at)
	}
	if t.reused != 0 {
		domain.TokenReused{Token: t.id}.Evolve(o, domain.Meta{Time: t.reused})
	}
	if t.unbound {
		domain.TokenUnbound{Token: t.id}.Evolve(o, at)
	}
	if t.waiting != 0 {
		domain.ApprovalRequested{Token: t.id, Until: t.waiting}.Evolve(o, at)
	}
	if t.revoked != 0 {
		domain.TokenRevoked{Token: t.id}.Evolve(o, at)
	}
	domain.TokenDescribed{Token: t.id}.Evolve(o, at)
}

// then is a model in which it is a moment of the past, of one organization. It answers
// questions and decides nothing.
func (m *Model) then(f foundation, at Moment) *Model {
	past := &Model{
		now: func() time.Time { return at.Time.Time() }, today: m, directory: m.directory,
		places: map[domain.OrganizationID]uint32{f.state.ID: 0}, people: map[domain.AccountID]*person{},
	}
	t := new(tenant)
	t.begin(f.state.ID.Boundary(), f.state)
	t.last = at.Position
	past.tokens.table.Store(f.tokens.table.Load())
	past.tenants.Store(&[]*tenant{t})
	for _, p := range m.everMembers(f.state.ID) {
		was := &person{id: p.id}
		was.account.Store(p.account.Load())
		was.gone.Store(p.gone.Load() && at.has(p.ended, p.endedAt))
		past.people[p.id] = was
		if seat, known := f.state.Seat(p.id); known {
			t.people = upTo(t.people, seat)
			t.people[seat] = was
		}
	}
	return past
}

// everMembers are the people who are members of an organization or were.
func (m *Model) everMembers(org domain.OrganizationID) (all []*person) {
	t := m.tenant(org)
	if t == nil {
		return nil
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, p := range t.people {
		if p != nil {
			all = append(all, p)
		}
	}
	return all
}
