package http

import (
	"context"
	"strconv"
	"strings"

	"jeton/domain"
)

type revocation struct {
	IDs            []string `json:"ids,omitempty" maxItems:"1000" doc:"Only these tokens."`
	Holder         string   `json:"holder,omitempty" maxLength:"254" doc:"Only personal tokens of the member with this number or e-mail, or of me." example:"7"`
	ServiceAccount string   `json:"service_account,omitempty" maxLength:"20" doc:"Only tokens of the service account with this number." example:"12"`
	Kind           string   `json:"kind,omitempty" enum:"personal,administrative,service" doc:"Only tokens of this kind."`
	IssuedBefore   string   `json:"issued_before,omitempty" doc:"Only tokens whose secret was made before this moment, in RFC 3339. Secrets that were rotated out since and still work end as well." example:"2026-11-22T12:00:00Z"`
	Engine         string   `json:"engine,omitempty" maxLength:"40" doc:"Only tokens that are limited to the engine of this name, and perhaps to others, or whose service account is." example:"prod"`
	Reason         string   `json:"reason,omitempty" maxLength:"1000" doc:"Why, for the log." example:"laptop stolen"`
}

type revoked struct {
	Revoked int `json:"revoked" doc:"How many tokens ended."`
}

// tokensRevoke answers POST /api/v1/organizations/{org}/tokens/revoke: all tokens
// that meet every condition that is given, in one commit. The token that is shown
// stays unless it is named.
func (s *Server) tokensRevoke(ctx context.Context, c Caller, in *struct {
	InOrganization
	Once
	Body revocation
},
) (*answer[revoked], error) {
	command, err := s.revocation(c, in.Body)
	if err != nil {
		return nil, err
	}
	outcome, err := s.Model.Execute(ctx, in.meta(c), command)
	if err != nil {
		return nil, err
	}
	if outcome.Replayed {
		outcome.Events = s.eventsAt(ctx, c, outcome.Position)
	}
	return &answer[revoked]{Views: s.settled(ctx, outcome.Position), Body: revoked{countRevoked(outcome.Events)}}, nil
}

func (s *Server) revocation(c Caller, wanted revocation) (command domain.RevokeTokens, err error) {
	command.Reason, command.Engine = wanted.Reason, wanted.Engine
	if wanted.Kind != "" {
		if command.Kind, err = domain.ParseTokenKind(wanted.Kind); err != nil {
			return command, err
		}
	}
	if wanted.IssuedBefore != "" {
		if err := command.Before.UnmarshalText([]byte(wanted.IssuedBefore)); err != nil {
			return command, domain.Invalid("issued_before", "is not a moment in RFC 3339", "write it like 2026-11-22T12:00:00Z")
		}
	}
	if command.Holder, err = s.holder(c, wanted.Holder, wanted.ServiceAccount); err != nil {
		return command, err
	}
	for _, text := range wanted.IDs {
		id, _, err := s.tokenOf(c, text)
		if err != nil {
			return command, err
		}
		command.Tokens = append(command.Tokens, id)
	}
	return command, nil
}

// holder is whom a member's or a service account's number means; zero: nobody is
// named.
func (s *Server) holder(c Caller, member, program string) (id domain.AccountID, err error) {
	switch {
	case member != "" && program != "":
		return id, domain.Invalid("service_account", "is given together with holder", "give one of them")
	case member == "me":
		return c.Actor().Account, nil
	case strings.Contains(member, "@"):
		account, _ := s.Model.AccountOf(member)
		person, _ := s.Model.Account(account)
		id, _, err = s.memberNumbered(c, strconv.FormatUint(uint64(person.Number), 10)) // nobody's is 0, which is not found
	case member != "":
		id, _, err = s.memberNumbered(c, member)
	case program != "":
		id, _, err = s.serviceAccountNumbered(c, program)
	}
	return id, err
}

// eventsAt are the events of a commit in the caller's organization, for a request
// that was sent before.
func (s *Server) eventsAt(ctx context.Context, c Caller, at domain.Position) []domain.Event {
	s.settled(ctx, at)
	commit, err := s.Views.Commit(ctx, c.Organization, at)
	if err != nil {
		return nil
	}
	return commit.Events
}

func countRevoked(events []domain.Event) (n int) {
	for _, e := range events {
		switch e := e.(type) {
		case domain.TokensRevoked:
			n += e.Count
		case domain.TokenRevoked:
			n++
		}
	}
	return n
}
