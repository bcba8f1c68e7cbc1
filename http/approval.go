package http

import (
	"context"

	"jeton/domain"
	"jeton/projections"
)

// approval is a token that waits until somebody else than who asked for it decides.
type approval struct {
	Token       Token          `json:"token" doc:"The token as it would be."`
	RequestedBy *author        `json:"requested_by" doc:"Who asked for it; they cannot decide."`
	Until       domain.Instant `json:"until" format:"date-time" doc:"Until when it can be approved."`
}

// approvals answers GET /api/v1/organizations/{org}/approvals: what waits, the
// oldest first.
func (s *Server) approvals(ctx context.Context, c Caller, _ *struct{ InOrganization }) (*pageAnswer[approval], error) {
	all := &pageAnswer[approval]{Body: page[approval]{Items: []approval{}}}
	for _, waiting := range s.Model.Approvals(c.Organization) {
		account, _ := s.Model.Account(waiting.Requester.Account)
		all.Body.Items = append(all.Body.Items, approval{
			Token:       s.tokenChanged(ctx, c, waiting.Token).Body,
			RequestedBy: s.author(c.Organization, projections.Author{Actor: waiting.Requester, Number: account.Number, Email: account.Email}),
			Until:       waiting.Until,
		})
	}
	return all, nil
}

// tokenApprove answers POST /api/v1/organizations/{org}/approvals/{id}/approve.
func (s *Server) tokenApprove(ctx context.Context, c Caller, in *struct {
	InToken
	Body *struct {
		Reason string `json:"reason,omitempty" maxLength:"1000" doc:"Why, for the log."`
	}
},
) (*answer[Token], error) {
	id, _, err := s.tokenOf(c, in.ID)
	if err != nil {
		return nil, err
	}
	command := domain.ApproveToken{Token: id}
	if in.Body != nil {
		command.Reason = in.Body.Reason
	}
	return s.decided(ctx, c, id, command)
}

// tokenRefuse answers POST /api/v1/organizations/{org}/approvals/{id}/refuse.
func (s *Server) tokenRefuse(ctx context.Context, c Caller, in *struct {
	InToken
	Body struct {
		Reason string `json:"reason" minLength:"1" maxLength:"1000" doc:"Why, for whoever asked."`
	}
},
) (*answer[Token], error) {
	id, _, err := s.tokenOf(c, in.ID)
	if err != nil {
		return nil, err
	}
	return s.decided(ctx, c, id, domain.RefuseToken{Token: id, Reason: in.Body.Reason})
}

func (s *Server) decided(ctx context.Context, c Caller, id domain.TokenID, command domain.OrganizationCommand) (*answer[Token], error) {
	if _, err := s.Model.Execute(ctx, c.Meta(), command); err != nil {
		return nil, err
	}
	return s.tokenChanged(ctx, c, id), nil
}
