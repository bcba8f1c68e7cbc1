package http

import (
	"context"
	"slices"

	"jeton/domain"
)

// Permission is one thing that can be allowed. It is exported because huma looks
// into exported fields only.
type Permission struct {
	Name           string `json:"name" doc:"Its name in roles, grants and checks." example:"clones.create"`
	Group          string `json:"group" doc:"With which others it is shown." example:"clones"`
	Access         string `json:"access" enum:"read,write" doc:"Whether who has it can only look, or change something. Read-only grants have all that is marked read."`
	Administrative bool   `json:"administrative" doc:"Whether it is about the organization, and not about the work in it."`
	ResourceType   string `json:"resource_type,omitempty" doc:"The type of resource that it is about; absent: none." example:"engine"`
	Description    string `json:"description,omitempty" doc:"What it allows."`
	Own            bool   `json:"own" doc:"Whether it was defined in this organization. The others belong to the service itself."`
}

type newPermission struct {
	Name           string `json:"name" maxLength:"100" doc:"Small letters and digits, in parts with a dot, colon, underscore or hyphen between them. One of a name that was retired is another one: it revives no grant." example:"clones.create"`
	Group          string `json:"group" maxLength:"40" doc:"With which others it is shown." example:"clones"`
	Access         string `json:"access" enum:"read,write" doc:"Whether who has it can only look, or change something. Auditors have all that is marked read, and so have read-only grants."`
	Administrative bool   `json:"administrative,omitempty" doc:"true: it is about the organization, and ordinary members don't have it. false: all who work here have it."`
	ResourceType   string `json:"resource_type,omitempty" maxLength:"40" doc:"The type of resource that it is about: grants can be limited to some of these." example:"engine"`
	Description    string `json:"description,omitempty" maxLength:"1000" doc:"What it allows."`
}

// What is said of a permission whether its bearer can change something.
const (
	accessRead  = "read"
	accessWrite = "write"
)

// permissions answers GET /api/v1/organizations/{org}/permissions, from memory.
func (s *Server) permissions(_ context.Context, c Caller, _ *struct{ InOrganization }) (*pageAnswer[Permission], error) {
	answer := &pageAnswer[Permission]{Body: page[Permission]{Items: []Permission{}}}
	for _, d := range s.Model.Permissions(c.Organization) {
		answer.Body.Items = append(answer.Body.Items, describePermission(d))
	}
	return answer, nil
}

// permissionDefine answers POST /api/v1/organizations/{org}/permissions.
func (s *Server) permissionDefine(ctx context.Context, c Caller, in *struct {
	InOrganization
	Once
	Body newPermission
},
) (*created[Permission], error) {
	outcome, err := s.Model.Execute(ctx, in.meta(c), domain.DefinePermission{Definition: in.Body.definition()})
	if err != nil {
		return nil, err
	}
	defined := s.Model.Permissions(c.Organization)
	at := slices.IndexFunc(defined, func(d domain.Definition) bool { return d.Name == in.Body.Name })
	if at < 0 {
		return nil, domain.Refuse(domain.ErrNotFound, "the permission that this request has defined was retired", "send it with a new Idempotency-Key to define it again")
	}
	return &created[Permission]{
		Location: "/api/v1/organizations/" + c.Alias + "/permissions/" + in.Body.Name,
		Views:    s.settled(ctx, outcome.Position), Replayed: replayed(outcome.Replayed), Body: describePermission(defined[at]),
	}, nil
}

func (wanted newPermission) definition() domain.Definition {
	return domain.Definition{
		Name: wanted.Name, Group: wanted.Group, Write: wanted.Access == accessWrite, Administrative: wanted.Administrative,
		Resource: wanted.ResourceType, Description: wanted.Description,
	}
}

// permissionRetire answers DELETE /api/v1/organizations/{org}/permissions/{name}.
func (s *Server) permissionRetire(ctx context.Context, c Caller, in *struct {
	InOrganization
	Name string `path:"name" doc:"The name of the permission." example:"clones.create"`
},
) (*nothing, error) {
	outcome, err := s.Model.Execute(ctx, c.Meta(), domain.RetirePermission{Name: in.Name})
	if err != nil {
		return nil, err
	}
	return &nothing{Views: s.settled(ctx, outcome.Position)}, nil
}

// common are the permissions of the service itself.
var common = func() map[string]bool {
	names := map[string]bool{}
	for p := domain.NoPermission + 1; p.String() != ""; p++ {
		names[p.String()] = true
	}
	return names
}()

func describePermission(d domain.Definition) Permission {
	access := accessRead
	if d.Write {
		access = accessWrite
	}
	return Permission{d.Name, d.Group, access, d.Administrative, d.Resource, d.Description, !common[d.Name]}
}
