package http

import (
	"cmp"
	"context"
	"fmt"
	"strconv"

	"jeton/domain"
	"jeton/projections"
)

// ServiceAccount is a machine in the organization: it has rights of its own and any
// number of tokens, and cannot sign in. It is exported because huma looks into
// exported fields only.
type ServiceAccount struct {
	ID          domain.Position `json:"id" doc:"Its number, for ever." example:"12"`
	Name        string          `json:"name,omitempty" doc:"Unique among the service accounts of the organization." example:"builder"`
	Description string          `json:"description,omitempty" doc:"What it is for."`
	Grant       *Grant          `json:"grant" doc:"What it may do. None of its tokens can do more."`
	Disabled    bool            `json:"disabled" doc:"Whether it and its tokens can do nothing at the moment."`
	Limit       *Limit          `json:"limit,omitempty" doc:"How often all its tokens together may be used; absent: as the organization has it."`
	CreatedAt   domain.Instant  `json:"created_at,omitzero" format:"date-time" doc:"When it was made."`
	CreatedBy   *author         `json:"created_by,omitempty" doc:"Who made it."`
	Version     domain.Position `json:"version" doc:"The number inside its ETag."`
}

type newServiceAccount struct {
	Name        string `json:"name" minLength:"1" maxLength:"100" doc:"Unique among the service accounts of the organization." example:"builder"`
	Description string `json:"description,omitempty" maxLength:"1000" doc:"What it is for."`
	Grant       Grant  `json:"grant" doc:"What it may do: nothing that you may not do yourself."`
}

type serviceAccountChange struct {
	Name        *string `json:"name,omitempty" minLength:"1" maxLength:"100" doc:"What it is called from now on."`
	Description *string `json:"description,omitempty" maxLength:"1000" doc:"What it is for, from now on."`
	Grant       *Grant  `json:"grant,omitempty" doc:"All that it may do from now on, and with it what its tokens may do. Nothing that you may not do yourself."`
	Disabled    *bool   `json:"disabled,omitempty" doc:"true: it and all its tokens can do nothing; false ends that."`
	Limit       *Limit  `json:"limit,omitempty" doc:"How often all its tokens together may be used; {}: as the organization has it."`
}

// InServiceAccount is a service account in a path.
type InServiceAccount struct {
	InOrganization
	ID string `path:"id" doc:"The number of the service account." example:"12"`
}

// serviceAccounts answers GET /api/v1/organizations/{org}/service-accounts, the
// oldest first.
func (s *Server) serviceAccounts(ctx context.Context, c Caller, in *struct {
	InOrganization
	PageQuery
},
) (*pageAnswer[ServiceAccount], error) {
	ask := func(ctx context.Context, after domain.Position, limit int) ([]projections.ServiceAccountRow, error) {
		return s.Views.ServiceAccounts(ctx, c.Organization, projections.Page{After: after, Limit: limit})
	}
	return listing(ctx, in.PageQuery, "service-accounts", ask, func(row projections.ServiceAccountRow) (ServiceAccount, domain.Position) {
		return s.describeServiceAccount(row), row.Number
	})
}

// serviceAccount answers GET /api/v1/organizations/{org}/service-accounts/{id}.
func (s *Server) serviceAccount(ctx context.Context, c Caller, in *InServiceAccount) (*answer[ServiceAccount], error) {
	id, known, err := s.serviceAccountNumbered(c, in.ID)
	if err != nil {
		return nil, err
	}
	if s.settled(ctx, known.Changed) != "" {
		return nil, projections.ErrViews
	}
	row, err := s.Views.ServiceAccount(ctx, c.Organization, id)
	if err != nil {
		return nil, err
	}
	return &answer[ServiceAccount]{ETag: etag(row.Changed), Body: s.describeServiceAccount(row)}, nil
}

// serviceAccountCreate answers POST /api/v1/organizations/{org}/service-accounts.
func (s *Server) serviceAccountCreate(ctx context.Context, c Caller, in *struct {
	InOrganization
	Once
	Body newServiceAccount
},
) (*created[ServiceAccount], error) {
	outcome, err := s.Model.Execute(ctx, in.meta(c), domain.CreateServiceAccount{
		Account: domain.AccountID{ID: domain.RandomID()}, Name: in.Body.Name, Description: in.Body.Description, Grant: in.Body.Grant.grant(),
	})
	if err != nil {
		return nil, err
	}
	id, known := s.Model.ServiceAccountNumbered(c.Organization, outcome.Position)
	if !known {
		return nil, domain.Refuse(domain.ErrNotFound, "the service account that this request has made is gone", "send it with a new Idempotency-Key to make it again")
	}
	shown := s.serviceAccountChanged(ctx, c, id)
	if shown.Views == viewsBehind && !outcome.Replayed {
		shown.Body.Name, shown.Body.Description = in.Body.Name, in.Body.Description
		shown.Body.CreatedAt, shown.Body.CreatedBy = outcome.Time, s.actor(c)
	}
	return &created[ServiceAccount]{
		Location: fmt.Sprintf("/api/v1/organizations/%s/service-accounts/%d", c.Alias, shown.Body.ID),
		ETag:     shown.ETag, Views: shown.Views, Replayed: replayed(outcome.Replayed), Body: shown.Body,
	}, nil
}

// serviceAccountUpdate answers PATCH /api/v1/organizations/{org}/service-accounts/{id}.
func (s *Server) serviceAccountUpdate(ctx context.Context, c Caller, in *struct {
	InServiceAccount
	IfMatch
	Body serviceAccountChange
},
) (*answer[ServiceAccount], error) {
	id, _, err := s.serviceAccountNumbered(c, in.ID)
	if err != nil {
		return nil, err
	}
	command, err := in.Body.command(id)
	if err != nil {
		return nil, err
	}
	if command.Seen, err = in.seen(); err != nil {
		return nil, err
	}
	if _, err := s.Model.Execute(ctx, c.Meta(), command); err != nil {
		return nil, err
	}
	changed := s.serviceAccountChanged(ctx, c, id)
	if changed.Views == viewsBehind {
		changed.Body.Name, changed.Body.Description = value(command.Name), value(command.Description)
	}
	return changed, nil
}

func (wanted serviceAccountChange) command(id domain.AccountID) (command domain.UpdateServiceAccount, err error) {
	command = domain.UpdateServiceAccount{Account: id, Name: wanted.Name, Description: wanted.Description, Disabled: wanted.Disabled}
	if wanted.Grant != nil {
		command.Grant = new(wanted.Grant.grant())
	}
	command.Limit, err = wanted.Limit.change("limit")
	return command, err
}

// serviceAccountDelete answers DELETE /api/v1/organizations/{org}/service-accounts/{id}.
func (s *Server) serviceAccountDelete(ctx context.Context, c Caller, in *struct {
	InServiceAccount
	IfMatch
	Reason string `query:"reason" maxLength:"1000" doc:"Why, for the log." example:"moved"`
},
) (*nothing, error) {
	id, _, err := s.serviceAccountNumbered(c, in.ID)
	if err != nil {
		return nil, err
	}
	seen, err := in.seen()
	if err != nil {
		return nil, err
	}
	outcome, err := s.Model.Execute(ctx, c.Meta(), domain.DeleteServiceAccount{Account: id, Reason: in.Reason, Seen: seen})
	if err != nil {
		return nil, err
	}
	return &nothing{Views: s.settled(ctx, outcome.Position)}, nil
}

// serviceAccountChanged shows a service account after a command: as the views have
// it, or as the model does while the views are behind.
func (s *Server) serviceAccountChanged(ctx context.Context, c Caller, id domain.AccountID) *answer[ServiceAccount] {
	remembered := s.rememberedServiceAccount(c, id)
	return shown(ctx, s, remembered, remembered.Version, func() (ServiceAccount, domain.Position, error) {
		row, err := s.Views.ServiceAccount(ctx, c.Organization, id)
		return s.describeServiceAccount(row), row.Changed, err
	})
}

// serviceAccountNumbered is the service account of the caller's organization that
// has a number. Another organization's, a number that none has and what is no
// number are not found alike.
func (s *Server) serviceAccountNumbered(c Caller, number string) (domain.AccountID, domain.ServiceAccount, error) {
	id, known := s.Model.ServiceAccountNumbered(c.Organization, position(number))
	account, there := s.Model.ServiceAccount(c.Organization, id)
	if !known || !there {
		return id, account, domain.Refuse(domain.ErrNotFound, "there is no such service account", "look at the list of service accounts")
	}
	return id, account, nil
}

// position is a number as it stands in paths, written in the one way that numbers
// are; 0: it is none.
func position(text string) domain.Position {
	number, err := strconv.ParseUint(text, 10, 64)
	if err != nil || strconv.FormatUint(number, 10) != text {
		return 0
	}
	return domain.Position(number)
}

// rememberedServiceAccount is what the model knows of a service account.
func (s *Server) rememberedServiceAccount(c Caller, id domain.AccountID) ServiceAccount {
	known, _ := s.Model.ServiceAccount(c.Organization, id)
	return ServiceAccount{
		ID: known.Number, Grant: shownGrant(known.Grant), Disabled: known.Disabled, Limit: describeLimit(known.Limit), Version: known.Changed,
	}
}

func (s *Server) describeServiceAccount(row projections.ServiceAccountRow) ServiceAccount {
	return ServiceAccount{
		ID: row.Number, Name: row.Name, Description: row.Description, Grant: shownGrant(row.Grant), Disabled: row.Disabled,
		Limit: describeLimit(row.Limit), CreatedAt: row.Created, CreatedBy: s.author(row.Organization, row.CreatedBy), Version: row.Changed,
	}
}

// shownGrant is the grant of a service account, which has one even if it was
// deleted meanwhile.
func shownGrant(g domain.Grant) *Grant { return cmp.Or(describeGrant(g), new(Grant)) }
