package http

import (
	"context"
	"strconv"

	"jeton/domain"
	"jeton/projections"
)

// Organization is an organization as its members see it. It is exported because
// huma looks into exported fields only.
type Organization struct {
	ID        domain.Position `json:"id" doc:"The organization's number, for ever." example:"1"`
	Alias     string          `json:"alias" doc:"Its name in paths, for ever." example:"acme"`
	Name      string          `json:"name" doc:"Its name for people." example:"Acme Inc"`
	CreatedAt domain.Instant  `json:"created_at" format:"date-time" doc:"When it was made."`
	Version   domain.Position `json:"version" doc:"The number inside its ETag."`
}

// organizationCreated is a new organization with its owner and the owner's first
// token.
type organizationCreated struct {
	Organization
	Owner          *person        `json:"owner" doc:"Its first owner."`
	Token          string         `json:"token,omitempty" doc:"The secret of the owner's first personal token. It is shown this once." example:"jtn_pat_…"`
	TokenID        string         `json:"token_id,omitempty" doc:"The id of that token."`
	TokenExpiresAt domain.Instant `json:"token_expires_at,omitzero" format:"date-time" doc:"When that token ends."`
}

type newOrganization struct {
	Alias      string `json:"alias" doc:"2 to 40 small letters, digits and single hyphens, beginning with a letter. It is never given twice." example:"acme"`
	Name       string `json:"name" minLength:"1" maxLength:"100" doc:"Its name for people." example:"Acme Inc"`
	OwnerEmail string `json:"owner_email,omitempty" maxLength:"254" doc:"Who is to own it. Without it: you." example:"ann@acme.test"`
}

type organizationChange struct {
	Name string `json:"name" minLength:"1" maxLength:"100" doc:"Its new name for people." example:"Acme Inc"`
}

// organizations answers GET /api/v1/organizations: all to operators, their own to
// everybody else.
func (s *Server) organizations(ctx context.Context, c Caller, in *struct{ PageQuery }) (*pageAnswer[Organization], error) {
	ask := s.organizationsPage
	if s.Model.AllowsOperator(c.Actor()) != nil {
		ask = func(context.Context, domain.Position, int) ([]projections.OrganizationRow, error) {
			profile, _ := s.Model.Profile(c.Organization)
			return []projections.OrganizationRow{projections.OrganizationRow(profile)}, nil
		}
	}
	return listing(ctx, in.PageQuery, "organizations", ask, func(row projections.OrganizationRow) (Organization, domain.Position) {
		return describeOrganization(projections.Profile(row)), row.Number
	})
}

func (s *Server) organizationsPage(ctx context.Context, after domain.Position, limit int) ([]projections.OrganizationRow, error) {
	return s.Views.Organizations(ctx, projections.Page{After: after, Limit: limit})
}

// organization answers GET /api/v1/organizations/{org}, from memory.
func (s *Server) organization(_ context.Context, c Caller, _ *struct{ InOrganization }) (*answer[Organization], error) {
	profile, _ := s.Model.Profile(c.Organization)
	return &answer[Organization]{ETag: etag(profile.Changed), Body: describeOrganization(profile)}, nil
}

// organizationCreate answers POST /api/v1/organizations.
func (s *Server) organizationCreate(ctx context.Context, c Caller, in *struct {
	Once
	Body newOrganization
},
) (*created[organizationCreated], error) {
	first, secret, err := newFirstToken()
	if err != nil {
		return nil, err
	}
	meta := in.meta(c)
	meta.Organization = domain.OrganizationID{ID: domain.RandomID()}
	outcome, err := s.Model.ExecuteDirectory(ctx, meta, domain.CreateOrganization{
		Organization: meta.Organization, Alias: in.Body.Alias, Name: in.Body.Name,
		OwnerEmail: in.Body.OwnerEmail, Account: domain.AccountID{ID: domain.RandomID()}, First: first,
	})
	if err != nil {
		return nil, err
	}
	return s.organizationMade(ctx, c, outcome, in.Body.OwnerEmail, secret), nil
}

// organizationMade describes the organization that has the commit's number.
func (s *Server) organizationMade(ctx context.Context, c Caller, o projections.Outcome, owner string, secret domain.Secret) *created[organizationCreated] {
	org, _ := s.Model.Find(strconv.FormatUint(uint64(o.Position), 10))
	profile, _ := s.Model.Profile(org)
	body := organizationCreated{Organization: describeOrganization(profile), Owner: s.person(c.Actor().Account)}
	if account, known := s.Model.AccountOf(owner); known {
		body.Owner = s.person(account)
	}
	if issued, known := issuedBy(o); known {
		body.Token, body.TokenID, body.TokenExpiresAt = secret.Reveal(), issued.Token.String(), issued.Expires
	}
	return &created[organizationCreated]{
		Location: "/api/v1/organizations/" + profile.Alias, ETag: etag(profile.Changed),
		Views: s.settled(ctx, o.Position), Replayed: replayed(o.Replayed), Body: body,
	}
}

// organizationUpdate answers PATCH /api/v1/organizations/{org}.
func (s *Server) organizationUpdate(ctx context.Context, c Caller, in *struct {
	InOrganization
	IfMatch
	Body organizationChange
},
) (*answer[Organization], error) {
	seen, err := in.seen()
	if err != nil {
		return nil, err
	}
	if _, err := s.Model.Execute(ctx, c.Meta(), domain.UpdateOrganization{Name: in.Body.Name, Seen: seen}); err != nil {
		return nil, err
	}
	profile, _ := s.Model.Profile(c.Organization)
	return &answer[Organization]{
		ETag: etag(profile.Changed), Views: s.settled(ctx, profile.Changed), Body: describeOrganization(profile),
	}, nil
}

// organizationDelete answers DELETE /api/v1/organizations/{org}. Nothing of it works
// any more when it is answered.
func (s *Server) organizationDelete(ctx context.Context, c Caller, in *struct {
	InOrganization
	IfMatch
	Alias  string `query:"alias" required:"true" maxLength:"40" doc:"The organization's alias once more, so that nobody deletes another one than they mean."`
	Reason string `query:"reason" maxLength:"1000" doc:"Why, for the log."`
},
) (*nothing, error) {
	seen, err := in.seen()
	if err != nil {
		return nil, err
	}
	command := domain.DeleteOrganization{Alias: in.Alias, Reason: in.Reason, Operated: s.Model.Operated(c.Organization), Seen: seen}
	outcome, err := s.Model.Execute(ctx, c.Meta(), command)
	if err != nil {
		return nil, err
	}
	return &nothing{Views: s.settled(ctx, outcome.Position)}, nil
}

func describeOrganization(p projections.Profile) Organization {
	return Organization{p.Number, p.Alias, p.Name, p.Created, p.Changed}
}
