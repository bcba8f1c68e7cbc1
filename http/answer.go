package http

import (
	"context"
	"time"

	"jeton/domain"
	"jeton/projections"
)

// InOrganization is the organization in a path. The door has read it: a handler
// takes the caller's. It is exported because huma looks into exported fields only.
type InOrganization struct {
	Org string `path:"org" doc:"The organization's alias or number." example:"acme"`
}

// answer is one thing, as it is now.
type answer[T any] struct {
	ETag     string `header:"ETag" doc:"The version of the thing, for If-Match."`
	Views    string `header:"Jeton-Views" doc:"behind: the change is made, but the database of the lists has not heard of it yet, so that the answer may lack what only it knows."`
	Position string `header:"Jeton-Position" doc:"Of an answer about the past: the last commit of the organization by then. Such an answer has no ETag."`
	Body     T
}

// created is one thing that has just been made.
type created[T any] struct {
	Location string `header:"Location" doc:"Where the thing is."`
	ETag     string `header:"ETag" doc:"The version of the thing, for If-Match."`
	Views    string `header:"Jeton-Views" doc:"behind: the thing is made, but the database of the lists has not heard of it yet."`
	Replayed string `header:"Idempotency-Replayed" doc:"true: it was made when this request was sent before."`
	Body     T
}

// nothing is the answer to what has gone.
type nothing struct {
	Views string `header:"Jeton-Views" doc:"behind: the change is made, but the database of the lists has not heard of it yet."`
}

// person is an account as others see it.
type person struct {
	ID    domain.Position `json:"id" doc:"The number of the account." example:"1"`
	Email string          `json:"email" doc:"The e-mail, as it was registered." example:"ann@acme.test"`
}

// author is who did something, and with what.
type author struct {
	Kind  domain.ActorKind `json:"kind" enum:"member,token,service,bearer,system" doc:"A person, a program with an administrative token, a service account, whoever had the secret, or the service itself."`
	ID    domain.Position  `json:"id,omitempty" doc:"The number of the account, for a person or a service account."`
	Email string           `json:"email,omitempty" doc:"The e-mail, for a person."`
	Name  string           `json:"name,omitempty" doc:"The name, for a service account."`
	Token string           `json:"token,omitempty" doc:"The id of the token that was shown."`
}

func (s *Server) person(id domain.AccountID) *person {
	account, known := s.Model.Account(id)
	if !known {
		return nil
	}
	return &person{account.Number, account.Email}
}

// author is somebody as an organization sees them. Which token an operator has
// shown elsewhere is not its business.
func (s *Server) author(org domain.OrganizationID, a projections.Author) *author {
	by := author{Kind: a.Kind, ID: a.Number, Email: a.Email, Name: a.Name}
	if _, known := s.Model.Token(org, a.Token); known {
		by.Token = a.Token.String()
	}
	return &by
}

// actor is the author of what the caller has just done.
func (s *Server) actor(c Caller) *author {
	return s.author(c.Organization, projections.Author{Actor: c.Actor(), Number: c.Account.Number, Email: c.Account.Email})
}

// viewsPatience is how long the answer to a command waits for the views. The
// command is done whether or not they come.
const viewsPatience = 5 * time.Second

const viewsBehind = "behind"

// settled waits until the views have a commit, and answers "" once they do.
func (s *Server) settled(ctx context.Context, at domain.Position) string {
	ctx, cancel := context.WithTimeout(ctx, viewsPatience)
	defer cancel()
	if s.Views.Wait(ctx, at) != nil {
		return viewsBehind
	}
	return ""
}

// shown is a thing after a command: as the views have it, or as the model remembers
// it while the views are behind.
func shown[T any](ctx context.Context, s *Server, body T, version domain.Position, ask func() (T, domain.Position, error)) *answer[T] {
	behind := s.settled(ctx, version)
	if behind == "" {
		now, at, err := ask()
		if err == nil {
			body, version = now, at
		} else {
			behind = viewsBehind
		}
	}
	return &answer[T]{ETag: etag(version), Views: behind, Body: body}
}

// replayed is the header that says so.
func replayed(yes bool) string {
	if yes {
		return "true"
	}
	return ""
}

func (s *Server) now() time.Time {
	if s.Now == nil {
		return time.Now()
	}
	return s.Now()
}
