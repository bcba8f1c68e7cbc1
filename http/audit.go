package http

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"jeton/domain"
	"jeton/projections"
)

// auditRoutes is what auditors ask for.
func (s *Server) auditRoutes() []route {
	return []route{
		{pattern: "GET /api/v1/organizations/{org}/audit", summary: "Search the audit log, the newest first",
			access: allowed(domain.LogRead), mount: api(s.audit), audit: "audit.read", reads: readsList},
		{pattern: "GET /api/v1/audit", summary: "Search what happened above organizations, the newest first: people, operators, signing keys, epochs",
			access: operators, mount: api(s.auditAbove), audit: "audit.read", reads: readsList},
		{pattern: "GET " + auditTailPath, summary: "Follow the audit log: server-sent events",
			access: allowed(domain.LogRead), mount: auditStreamed(s.auditTail, tailParameters, tailDescription, "text/event-stream"), audit: "audit.read", reads: readsTail},
		{pattern: "GET /api/v1/organizations/{org}/audit/export", summary: "Export the audit log, the oldest first",
			access: allowed(domain.LogRead), mount: auditStreamed(s.auditExport, exportParameters, exportDescription, "application/x-ndjson", "text/csv", "application/jsonl"), audit: "audit.exported", reads: readsExport},
	}
}

// AuditEntry is something that has happened, as auditors read it. It is exported because
// huma looks into exported types only.
type AuditEntry struct {
	ID           string          `json:"id" doc:"Where it stands: the position of its commit and which of the commit's events it is." example:"120.0"`
	Position     domain.Position `json:"position" doc:"The position of its commit in the log."`
	At           domain.Instant  `json:"at" format:"date-time" doc:"When it was decided."`
	Actor        author          `json:"actor" doc:"Who did it, and with what. The name of a program is the one that it had then."`
	Organization string          `json:"organization,omitempty" doc:"The organization's alias; absent: it is about none."`
	Action       string          `json:"action" doc:"What happened: the kind of the event." example:"token.issued"`
	Target       auditTarget     `json:"target" doc:"To what."`
	Outcome      string          `json:"outcome" enum:"done,refused" doc:"What became of it."`
	Reason       string          `json:"reason,omitempty" doc:"Why, as they have said."`
	Before       auditFacts      `json:"before,omitempty" doc:"What it has changed, as it was; of what has ended, what it was."`
	After        auditFacts      `json:"after,omitempty" doc:"What the event says; hashes of secrets are left out."`
	Request      string          `json:"request,omitempty" doc:"The id of the request."`
	Address      string          `json:"address,omitempty" doc:"Where the request came from."`
	Agent        string          `json:"agent,omitempty" doc:"What the program that sent it calls itself."`
}

// auditFacts are the fields of something, of which any may be null.
type auditFacts map[string]any

// Schema is for huma.
func (auditFacts) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeObject, AdditionalProperties: true}
}

// auditTarget is what an entry is about.
type auditTarget struct {
	Kind   string  `json:"kind" doc:"A token, a member, an engine …" example:"token"`
	ID     string  `json:"id,omitempty" doc:"Which one: its id, number or name."`
	Name   string  `json:"name,omitempty" doc:"Its name, as it was. Of people none is kept."`
	Person *person `json:"person,omitempty" doc:"Whom it is about, if it is about somebody."`
}

// auditPage is a page that may say how many entries there are in all.
type auditPage struct {
	Items []AuditEntry `json:"items" nullable:"false" doc:"This part of the list."`
	Next  string       `json:"next,omitempty" doc:"The cursor of the next page; absent on the last one."`
	Total *int64       `json:"total,omitempty" doc:"How many entries there are on all pages, if that was asked."`
}

type auditAnswer struct {
	Link string `header:"Link" doc:"The next page, as RFC 8288 writes it."`
	Body auditPage
}

// AuditListQuery says which entries a list shows. It is exported because huma looks into
// exported fields only.
type AuditListQuery struct {
	PageQuery
	AuditQuery
	Count bool `query:"count" doc:"Say how many entries there are on all pages, exactly. It takes its time if there are millions."`
}

// audit answers GET /api/v1/organizations/{org}/audit.
func (s *Server) audit(ctx context.Context, c Caller, in *struct {
	InOrganization
	AuditListQuery
},
) (*auditAnswer, error) {
	return s.auditList(ctx, c, in.AuditListQuery)
}

// auditAbove answers GET /api/v1/audit: what is about no organization.
func (s *Server) auditAbove(ctx context.Context, c Caller, in *AuditListQuery) (*auditAnswer, error) {
	c.Organization, c.Alias = domain.OrganizationID{}, ""
	return s.auditList(ctx, c, *in)
}

func (s *Server) auditList(ctx context.Context, c Caller, in AuditListQuery) (*auditAnswer, error) {
	filter, err := s.auditFilter(ctx, c, in.AuditQuery)
	if err != nil {
		return nil, inQuery(err)
	}
	last := filter.Before
	ask := func(ctx context.Context, before domain.Position, limit int) ([]projections.AuditRow, error) {
		filter.Limit = limit
		if filter.Before = last; before != 0 {
			filter.Before = projections.Place(before)
		}
		return s.Views.Audit(ctx, filter)
	}
	found, err := listing(ctx, in.PageQuery, "audit", ask, func(row projections.AuditRow) (AuditEntry, domain.Position) {
		return s.auditEntry(c, row), domain.Position(row.Place)
	})
	if err != nil {
		return nil, err
	}
	answer := &auditAnswer{found.Link, auditPage{Items: found.Body.Items, Next: found.Body.Next}}
	if in.Count {
		filter.Before = last
		total, err := s.Views.CountAudit(ctx, filter)
		if err != nil {
			return nil, err
		}
		answer.Body.Total = &total
	}
	return answer, nil
}

// auditEntry is a row as the caller may see it.
func (s *Server) auditEntry(c Caller, row projections.AuditRow) AuditEntry {
	commit := row.Commit
	after, _ := factsOf(row.Event) // it was read from JSON
	withoutHashes(after)
	reason, _ := after["reason"].(string)
	return AuditEntry{
		ID: row.Place.String(), Position: commit.Position, At: row.At, Actor: s.auditActor(c, row), Organization: c.Alias,
		Action: row.Action, Target: s.auditTarget(row), Outcome: row.Outcome, Reason: reason,
		Before: factsIn(row.Before), After: after, Request: commit.Request, Address: commit.Address, Agent: commit.Agent,
	}
}

func (s *Server) auditActor(c Caller, row projections.AuditRow) author {
	by := s.author(c.Organization, projections.Author{Actor: row.Actor, Number: row.ActorNumber, Name: row.ActorName})
	if account, known := s.Model.Account(row.Actor.Account); known {
		by.Email = account.Email
	}
	return *by
}

// peopleNouns are those whose targets are people.
var peopleNouns = []string{"member", "account", "operator"}

// auditTarget shows accounts by their numbers, as all lists do.
func (s *Server) auditTarget(row projections.AuditRow) auditTarget {
	target := auditTarget{Kind: row.Noun, ID: row.Target, Name: row.TargetName}
	if row.TargetNumber != 0 {
		target.ID = strconv.FormatUint(uint64(row.TargetNumber), 10)
	}
	if id, err := domain.ParseID(row.Target); err == nil {
		switch {
		case slices.Contains(peopleNouns, row.Noun):
			target.Person = s.person(domain.AccountID{ID: id})
		case row.Noun == "organization":
			profile, _ := s.Model.Profile(domain.OrganizationID{ID: id})
			target.ID = strconv.FormatUint(uint64(profile.Number), 10)
		}
	}
	return target
}

// factsIn are the fields of an object; of none there are none. Numbers stay as they are
// written.
func factsIn(text []byte) (facts map[string]any) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	_ = decoder.Decode(&facts) // the views have written it
	return facts
}
