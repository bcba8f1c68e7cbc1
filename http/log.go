package http

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"jeton/domain"
	"jeton/projections"
)

// commit is what one command did, as auditors read it.
type commit struct {
	Position domain.Position `json:"position" doc:"Where it stands in the log."`
	At       domain.Instant  `json:"at" format:"date-time" doc:"When it was decided."`
	Actor    author          `json:"actor" doc:"Who did it, and with what."`
	Request  string          `json:"request,omitempty" doc:"The id of the request."`
	Address  string          `json:"address,omitempty" doc:"Where the request came from."`
	Agent    string          `json:"agent,omitempty" doc:"What the program that sent it calls itself."`
	Events   []event         `json:"events" nullable:"false" doc:"What has happened, in this order."`
}

// event is a thing that happened.
type event struct {
	Kind   string         `json:"kind" doc:"What happened." example:"token.issued"`
	Data   map[string]any `json:"data" doc:"To what; hashes of secrets are left out."`
	Person *person        `json:"person,omitempty" doc:"Whom it is about, if it is about somebody."`
}

// commits is a part of the log. It always says where to go on: the log has no end.
type commits struct {
	Items []commit        `json:"items" nullable:"false" doc:"The commits, the oldest first."`
	Next  domain.Position `json:"next" doc:"Where to go on: the after of the next request."`
}

// LogQuery says which part of the log is wanted.
type LogQuery struct {
	After domain.Position `query:"after" maximum:"9223372036854775807" doc:"Only commits behind this position."`
	Limit int             `query:"limit" minimum:"1" maximum:"100" default:"50" doc:"How many at most."`
	Wait  int             `query:"wait" minimum:"0" maximum:"30" doc:"How many seconds to wait for a commit if there is none yet."`
}

// log answers GET /api/v1/organizations/{org}/log.
func (s *Server) log(ctx context.Context, c Caller, in *struct {
	InOrganization
	LogQuery
},
) (*answer[commits], error) {
	rows, err := s.commits(ctx, c.Organization, in.LogQuery)
	if err != nil {
		return nil, err
	}
	body := commits{Items: make([]commit, 0, len(rows)), Next: in.After}
	for _, row := range rows {
		item, err := s.describeCommit(row)
		if err != nil {
			return nil, err
		}
		body.Items, body.Next = append(body.Items, item), item.Position
	}
	return &answer[commits]{Body: body}, nil
}

// gathering is how long commits may gather before those who wait for one ask
// again, so that a busy log is not asked for each of its commits.
const gathering = 50 * time.Millisecond

// commits asks for a part of the log and, if there is nothing, asks again when
// something has come, until the wait is over.
func (s *Server) commits(ctx context.Context, org domain.OrganizationID, q LogQuery) ([]projections.CommitRow, error) {
	waiting, cancel := context.WithTimeout(ctx, time.Duration(q.Wait)*time.Second)
	defer cancel()
	if s.Stopping != nil {
		defer context.AfterFunc(s.Stopping, cancel)()
	}
	for {
		at, _ := s.Views.Position()
		rows, err := s.Views.Commits(ctx, org, q.After, q.Limit)
		if err != nil || len(rows) > 0 || q.Wait == 0 {
			return rows, err
		}
		if err := s.Views.Wait(waiting, at+1); err != nil {
			return nil, over(waiting, err)
		}
		select {
		case <-time.After(gathering):
		case <-waiting.Done():
		}
	}
}

// over is nil when what ended is the wait and not the views.
func over(waiting context.Context, err error) error {
	if waiting.Err() != nil {
		return nil
	}
	return err
}

func (s *Server) describeCommit(row projections.CommitRow) (commit, error) {
	by := s.author(row.Organization, projections.Author{Actor: row.Actor, Number: row.Number, Email: row.Email})
	described := commit{
		Position: row.Position, At: row.Time, Actor: *by,
		Request: row.Request, Address: row.Address, Agent: row.Agent, Events: make([]event, 0, len(row.Events)),
	}
	for _, e := range row.Events {
		data, err := factsOf(e)
		if err != nil {
			return described, err
		}
		described.Events = append(described.Events, event{e.Kind(), data, s.personIn(data)})
	}
	return described, nil
}

// factsOf is what an event says, without hashes of secrets.
func factsOf(e domain.Event) (map[string]any, error) {
	text, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("event %s: %w", e.Kind(), err)
	}
	facts := factsIn(text)
	delete(facts, "hash")
	delete(facts, "headers") // of a webhook; they are sealed, and of no use
	if door, is := facts["door"].(map[string]any); is {
		delete(door, "verification")
	}
	return facts, nil
}

// personIn is the person whom an event names.
func (s *Server) personIn(facts map[string]any) *person {
	for _, field := range []string{"account", "holder"} {
		text, _ := facts[field].(string)
		if id, err := domain.ParseID(text); err == nil {
			return s.person(domain.AccountID{ID: id})
		}
	}
	return nil
}
