package http

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"reflect"
	"slices"

	"jeton/domain"
	"jeton/projections"
)

// DiffQuery names two moments. It is exported because huma looks into exported fields
// only.
type DiffQuery struct {
	From string `query:"from" required:"true" maxLength:"40" doc:"A moment, in RFC 3339 or as a position." example:"2027-03-01T00:00:00Z"`
	To   string `query:"to" maxLength:"40" doc:"A later moment; without it: now." example:"2027-04-01T00:00:00Z"`
}

// momentShown is a moment that was asked about.
type momentShown struct {
	Position domain.Position `json:"position" doc:"The last commit of the organization by then."`
	At       domain.Instant  `json:"at" format:"date-time" doc:"The time that was asked for, or that of the commit."`
}

// difference is a thing that is not what it was.
type difference struct {
	ID     string        `json:"id" doc:"The id of a token, the number of a member, a service account or an engine, the name of a role or of a permission."`
	Name   string        `json:"name,omitempty" doc:"What people know it by."`
	Change string        `json:"change" enum:"added,removed,changed" doc:"What has become of it."`
	Fields []fieldChange `json:"fields" nullable:"false" doc:"What differs, as the API shows it."`
}

type fieldChange struct {
	Field  string `json:"field" doc:"The name of a field."`
	Before any    `json:"before,omitempty" doc:"What it was; absent: nothing."`
	After  any    `json:"after,omitempty" doc:"What it is; absent: nothing."`
}

// differences is what differs between two moments.
type differences struct {
	From            momentShown   `json:"from" doc:"The earlier moment."`
	To              momentShown   `json:"to" doc:"The later moment."`
	Organization    []fieldChange `json:"organization" nullable:"false" doc:"What differs of the organization itself."`
	Tokens          []difference  `json:"tokens" nullable:"false" doc:"What differs of tokens, the newest first: at most a thousand."`
	MoreTokens      int           `json:"more_tokens,omitempty" doc:"How many more tokens differ: choose moments nearer to each other to see them."`
	Members         []difference  `json:"members" nullable:"false" doc:"What differs of members."`
	ServiceAccounts []difference  `json:"service_accounts" nullable:"false" doc:"What differs of service accounts."`
	Roles           []difference  `json:"roles" nullable:"false" doc:"What differs of roles."`
	Permissions     []difference  `json:"permissions" nullable:"false" doc:"What differs of permissions."`
	Policy          []fieldChange `json:"policy" nullable:"false" doc:"What differs of the policy."`
	Engines         []difference  `json:"engines" nullable:"false" doc:"What differs of engines."`
}

// auditDiff answers GET /api/v1/organizations/{org}/audit/diff.
func (s *Server) auditDiff(ctx context.Context, c Caller, in *struct {
	InOrganization
	DiffQuery
},
) (*answer[differences], error) {
	from, err := s.at(ctx, c, "from", in.From)
	if err != nil {
		return nil, err
	}
	if in.To == "" {
		in.To = written(domain.At(s.now()))
	}
	to, err := s.at(ctx, c, "to", in.To)
	if err != nil {
		return nil, err
	}
	if to.Position < from.Position || to.Time < from.Time {
		return nil, inQuery(domain.Invalid("to", "lies before from", "exchange the two"))
	}
	body, err := s.compare(ctx, c, from, to)
	return &answer[differences]{Body: body}, err
}

func (s *Server) compare(ctx context.Context, c Caller, from, to *projections.Then) (d differences, err error) {
	d.From, d.To = momentShown{from.Position, from.Time}, momentShown{to.Position, to.Time}
	ids, err := s.Views.TokensTouched(ctx, c.Organization, from.Position, to.Position)
	if err != nil {
		return d, err
	}
	chosen := differing(ids, from.Model.Reasons(c.Organization), to.Model.Reasons(c.Organization))
	var was, is state
	if was, err = s.then(from).state(from.Context(ctx), c, chosen); err != nil {
		return d, err
	}
	if is, err = s.then(to).state(to.Context(ctx), c, chosen); err != nil {
		return d, err
	}
	d.Organization, d.Policy = was.organization.fields(is.organization), was.policy.fields(is.policy)
	d.Tokens, d.Members, d.ServiceAccounts = was.tokens.differences(is.tokens), was.members.differences(is.members), was.programs.differences(is.programs)
	d.Roles, d.Permissions, d.Engines = was.roles.differences(is.roles), was.permissions.differences(is.permissions), was.engines.differences(is.engines)
	d.MoreTokens = max(0, len(d.Tokens)-mostDifferences)
	d.Tokens = d.Tokens[:len(d.Tokens)-d.MoreTokens]
	return d, nil
}

// mostDifferences is how many tokens are shown that differ.
const mostDifferences = 1000

// differing are tokens that were touched, or that stand otherwise without that.
func differing(touched []domain.TokenID, was, is map[domain.TokenID]domain.Reason) []domain.TokenID {
	all := map[domain.TokenID]bool{}
	for _, id := range touched {
		all[id] = true
	}
	for id, reason := range is {
		if before, known := was[id]; known && before != reason {
			all[id] = true
		}
	}
	return slices.Collect(maps.Keys(all))
}

// state is what there is at a moment, as the API shows it.
type state struct {
	organization, policy                                   thing
	tokens, members, programs, roles, permissions, engines inventory
}

// state reads all of it, but of tokens only those that were chosen.
func (s *Server) state(ctx context.Context, c Caller, chosen []domain.TokenID) (all state, err error) {
	profile, _ := s.Model.Profile(c.Organization)
	policy, err := s.policy(ctx, c, nil)
	if err != nil {
		return all, err
	}
	all.organization, all.policy = thingOf("", "", describeOrganization(profile)), thingOf("", "", policy.Body)
	for _, r := range s.Model.Roles(c.Organization) {
		all.roles = append(all.roles, thingOf(string(r.Name), "", describeRole(r)))
	}
	for _, d := range s.Model.Permissions(c.Organization) {
		all.permissions = append(all.permissions, thingOf(d.Name, "", describePermission(d)))
	}
	for part := range slices.Chunk(chosen, mostAtOnce) {
		rows, err := s.Views.Tokens(ctx, projections.TokenFilter{Organization: c.Organization, IDs: part, Limit: mostAtOnce})
		if err != nil {
			return all, err
		}
		for _, row := range rows {
			all.tokens = append(all.tokens, thingOf(row.ID.String(), row.Name, s.describeToken(row)).at(row.Number))
		}
	}
	return all, s.holders(ctx, c, &all)
}

const mostAtOnce = 500

// holders reads members, service accounts and engines, page by page.
func (s *Server) holders(ctx context.Context, c Caller, all *state) error {
	err := every(ctx, c, s.Views.Members, func(r projections.MemberRow) domain.Position {
		all.members = append(all.members, thingOf(decimal(r.Number), r.Email, describeMember(r)).at(r.Number))
		return r.Number
	})
	if err != nil {
		return err
	}
	err = every(ctx, c, s.Views.ServiceAccounts, func(r projections.ServiceAccountRow) domain.Position {
		all.programs = append(all.programs, thingOf(decimal(r.Number), r.Name, s.describeServiceAccount(r)).at(r.Number))
		return r.Number
	})
	if err != nil {
		return err
	}
	return every(ctx, c, s.Views.Engines, func(r projections.EngineRow) domain.Position {
		all.engines = append(all.engines, thingOf(decimal(r.Number), r.Name, s.describeEngine(r, 0)).at(r.Number))
		return r.Number
	})
}

func every[Row any](ctx context.Context, c Caller, ask func(context.Context, domain.OrganizationID, projections.Page) ([]Row, error), take func(Row) domain.Position) error {
	for p := (projections.Page{Limit: 1000}); ; {
		rows, err := ask(ctx, c.Organization, p)
		if err != nil || len(rows) == 0 {
			return err
		}
		for _, row := range rows {
			p.After = take(row)
		}
	}
}

// thing is something as the API shows it, field by field.
type thing struct {
	id, name string
	number   domain.Position
	facts    map[string]any
}

// passing is what differs all the time, or says the same as another field.
var passing = []string{"version", "expires_in_days", "last_used_at", "last_seen_at", "prefix", "connections", "position"}

func thingOf(id, name string, shown any) thing {
	t := thing{id: id, name: name}
	text, _ := json.Marshal(shown) // it is what answers are made of
	_ = json.Unmarshal(text, &t.facts)
	for _, field := range passing {
		delete(t.facts, field)
	}
	return t
}

func (t thing) at(number domain.Position) thing { t.number = number; return t }

// fields are what differs between what a thing was and what it is.
func (t thing) fields(is thing) []fieldChange {
	changes, both := []fieldChange{}, maps.Clone(t.facts)
	if both == nil {
		both = map[string]any{}
	}
	maps.Copy(both, is.facts)
	for _, field := range slices.Sorted(maps.Keys(both)) {
		if before, after := t.facts[field], is.facts[field]; !reflect.DeepEqual(before, after) {
			changes = append(changes, fieldChange{field, before, after})
		}
	}
	return changes
}

type inventory []thing

func (all inventory) byID() map[string]thing {
	by := make(map[string]thing, len(all))
	for _, t := range all {
		by[t.id] = t
	}
	return by
}

// differences are what has become of things: those with the highest numbers first, and
// those without in the order of their names.
func (all inventory) differences(now inventory) []difference {
	was, is := all.byID(), now.byID()
	for id, t := range was {
		if _, there := is[id]; !there {
			now = append(now, thing{id: id, name: t.name, number: t.number})
		}
	}
	slices.SortStableFunc(now, func(a, b thing) int {
		return cmp.Or(cmp.Compare(b.number, a.number), cmp.Compare(a.id, b.id))
	})
	found := []difference{}
	for _, t := range now {
		before, there := was[t.id]
		d := difference{ID: t.id, Name: t.name, Change: "changed", Fields: before.fields(t)}
		switch {
		case t.facts == nil:
			d.Change = "removed"
		case !there:
			d.Change = "added"
		case len(d.Fields) == 0:
			continue
		}
		found = append(found, d)
	}
	return found
}
