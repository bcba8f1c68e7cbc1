package http

import (
	"context"
	"slices"

	"jeton/domain"
)

type newOperator struct {
	Email string `json:"email" maxLength:"254" doc:"Who is to operate the platform." example:"ann@acme.test"`
}

// operators answers GET /api/v1/operators, from memory: there are few.
func (s *Server) operators(context.Context, Caller, *struct{}) (*pageAnswer[person], error) {
	all := &pageAnswer[person]{Body: page[person]{Items: []person{}}}
	for _, id := range s.Model.Operators() {
		all.Body.Items = append(all.Body.Items, *s.person(id))
	}
	slices.SortFunc(all.Body.Items, func(a, b person) int { return int(a.ID) - int(b.ID) })
	return all, nil
}

// operatorName answers POST /api/v1/operators.
func (s *Server) operatorName(ctx context.Context, c Caller, in *struct {
	Once
	Body newOperator
},
) (*created[person], error) {
	outcome, err := s.Model.ExecuteDirectory(ctx, aboveOrganizations(in.meta(c)),
		domain.NameOperator{Email: in.Body.Email, Account: domain.AccountID{ID: domain.RandomID()}})
	if err != nil {
		return nil, err
	}
	account, _ := s.Model.AccountOf(in.Body.Email)
	return &created[person]{
		Views: s.settled(ctx, outcome.Position), Replayed: replayed(outcome.Replayed), Body: *s.person(account),
	}, nil
}

// operatorDismiss answers DELETE /api/v1/operators/{id}.
func (s *Server) operatorDismiss(ctx context.Context, c Caller, in *struct {
	ID string `path:"id" doc:"The number of the account." example:"1"`
},
) (*nothing, error) {
	outcome, err := s.Model.ExecuteDirectory(ctx, aboveOrganizations(c.Meta()), domain.DismissOperator{Account: s.accountNumbered(in.ID)})
	if err != nil {
		return nil, err
	}
	return &nothing{Views: s.settled(ctx, outcome.Position)}, nil
}

// aboveOrganizations is the occasion of a command that is about no organization.
// The directory takes the organization of a commit for one that it creates.
func aboveOrganizations(m domain.Meta) domain.Meta {
	m.Organization = domain.OrganizationID{}
	return m
}
