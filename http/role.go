package http

import (
	"context"
	"slices"

	"jeton/domain"
	"jeton/projections"
)

// Role is a role with what it allows. It is exported because huma looks into
// exported fields only.
type Role struct {
	Name        string          `json:"name" doc:"Its name, in paths and grants too." example:"deployer"`
	Type        domain.RoleType `json:"type" enum:"built-in,ready-made,custom" doc:"built-in and ready-made: in every organization, and not to be changed. custom: the organization's own."`
	Description string          `json:"description,omitempty" doc:"What it is for."`
	Permissions []string        `json:"permissions" nullable:"false" doc:"What it allows now. A permission that was retired is in no role."`
	Version     domain.Position `json:"version,omitzero" doc:"The number inside its ETag; absent for roles that can't be changed."`
}

type newRole struct {
	Name        string   `json:"name" maxLength:"40" doc:"2 to 40 small letters, digits and single hyphens or colons, beginning with a letter. It can be given again after the role was deleted." example:"deployer"`
	Description string   `json:"description,omitempty" maxLength:"1000" doc:"What it is for."`
	Permissions []string `json:"permissions" nullable:"false" maxItems:"512" doc:"The names of what it allows: nothing that you may not do yourself." example:"[\"engines.read\"]"`
}

type roleChange struct {
	Description *string   `json:"description,omitempty" maxLength:"1000" doc:"What it is for, from now on."`
	Permissions *[]string `json:"permissions,omitempty" maxItems:"512" doc:"All that it allows from now on. Neither what it allowed before nor this may be more than you may do yourself."`
}

// InRole is a role in a path.
type InRole struct {
	InOrganization
	Name string `path:"name" doc:"The name of the role." example:"deployer"`
}

// roles answers GET /api/v1/organizations/{org}/roles, from memory: there are few.
func (s *Server) roles(_ context.Context, c Caller, _ *struct{ InOrganization }) (*pageAnswer[Role], error) {
	answer := &pageAnswer[Role]{Body: page[Role]{Items: []Role{}}}
	for _, r := range s.Model.Roles(c.Organization) {
		answer.Body.Items = append(answer.Body.Items, describeRole(r))
	}
	return answer, nil
}

// role answers GET /api/v1/organizations/{org}/roles/{name}, from memory.
func (s *Server) role(_ context.Context, c Caller, in *InRole) (*answer[Role], error) {
	return s.roleNamed(c, in.Name)
}

// roleCreate answers POST /api/v1/organizations/{org}/roles.
func (s *Server) roleCreate(ctx context.Context, c Caller, in *struct {
	InOrganization
	Once
	Body newRole
},
) (*created[Role], error) {
	outcome, err := s.Model.Execute(ctx, in.meta(c), domain.CreateRole{
		Name: domain.Role(in.Body.Name), Description: in.Body.Description, Permissions: in.Body.Permissions,
	})
	if err != nil {
		return nil, err
	}
	made, err := s.roleNamed(c, in.Body.Name)
	if err != nil { // it was made before, and deleted since
		return nil, err
	}
	return &created[Role]{
		Location: "/api/v1/organizations/" + c.Alias + "/roles/" + made.Body.Name, ETag: made.ETag,
		Views: s.settled(ctx, outcome.Position), Replayed: replayed(outcome.Replayed), Body: made.Body,
	}, nil
}

// roleUpdate answers PATCH /api/v1/organizations/{org}/roles/{name}.
func (s *Server) roleUpdate(ctx context.Context, c Caller, in *struct {
	InRole
	IfMatch
	Body roleChange
},
) (*answer[Role], error) {
	seen, err := in.seen()
	if err != nil {
		return nil, err
	}
	outcome, err := s.Model.Execute(ctx, c.Meta(), domain.UpdateRole{
		Name: domain.Role(in.Name), Description: in.Body.Description, Permissions: in.Body.Permissions, Seen: seen,
	})
	if err != nil {
		return nil, err
	}
	changed, err := s.roleNamed(c, in.Name)
	if err != nil {
		return nil, err
	}
	changed.Views = s.settled(ctx, outcome.Position)
	return changed, nil
}

// roleDelete answers DELETE /api/v1/organizations/{org}/roles/{name}.
func (s *Server) roleDelete(ctx context.Context, c Caller, in *struct {
	InRole
	IfMatch
},
) (*nothing, error) {
	seen, err := in.seen()
	if err != nil {
		return nil, err
	}
	outcome, err := s.Model.Execute(ctx, c.Meta(), domain.DeleteRole{Name: domain.Role(in.Name), Seen: seen})
	if err != nil {
		return nil, err
	}
	return &nothing{Views: s.settled(ctx, outcome.Position)}, nil
}

// roleNamed shows the role of the caller's organization that has a name. Those of
// every organization have no ETag: they can't be changed.
func (s *Server) roleNamed(c Caller, name string) (*answer[Role], error) {
	roles := s.Model.Roles(c.Organization)
	at := slices.IndexFunc(roles, func(r projections.Role) bool { return string(r.Name) == name })
	if at < 0 {
		return nil, domain.Refuse(domain.ErrNotFound, "there is no such role", "look at the list of roles")
	}
	shown := &answer[Role]{Body: describeRole(roles[at])}
	if shown.Body.Version != 0 {
		shown.ETag = etag(shown.Body.Version)
	}
	return shown, nil
}

func describeRole(r projections.Role) Role {
	return Role{string(r.Name), r.Type, r.Description, words(r.Allows), r.Changed}
}
