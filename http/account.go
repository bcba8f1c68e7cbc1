package http

import (
	"context"

	"jeton/domain"
)

// accountDelete answers DELETE /api/v1/accounts/{id}: everything of that person
// stops, in every organization, before this is answered.
func (s *Server) accountDelete(ctx context.Context, c Caller, in *struct {
	ID     string `path:"id" doc:"The number of the account." example:"7"`
	Reason string `query:"reason" maxLength:"1000" doc:"Why, for the log."`
},
) (*nothing, error) {
	id := s.accountNumbered(in.ID)
	command := domain.DeleteAccount{Account: id, Reason: in.Reason, Alone: s.Model.OwnedAlone(id)}
	outcome, err := s.Model.ExecuteDirectory(ctx, aboveOrganizations(c.Meta()), command)
	if err != nil {
		return nil, err
	}
	return &nothing{Views: s.settled(ctx, outcome.Position)}, nil
}
