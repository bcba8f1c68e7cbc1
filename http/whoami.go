package http

import (
	"context"

	"jeton/domain"
)

// self is who the caller is and what they may do.
type self struct {
	Organization Organization   `json:"organization" doc:"The organization that the token is bound to."`
	Account      *person        `json:"account,omitempty" doc:"You; absent for an administrative token, which is nobody."`
	Role         string         `json:"role,omitempty" enum:"owner,admin,member,auditor" doc:"Your role in the organization."`
	Permissions  []string       `json:"permissions" nullable:"false" doc:"What the token allows there now."`
	Operator     bool           `json:"operator" doc:"Whether you operate the platform."`
	Token        string         `json:"token" doc:"The id of the token that you have shown." example:"0123456789abcdef"`
	Kind         string         `json:"kind" enum:"personal,administrative" doc:"Its kind."`
	ExpiresAt    domain.Instant `json:"expires_at,omitzero" format:"date-time" doc:"When it ends; absent: never."`
}

// whoami answers GET /api/v1/whoami, from memory.
func (s *Server) whoami(_ context.Context, c Caller, _ *struct{}) (*answer[self], error) {
	profile, _ := s.Model.Profile(c.Organization)
	return &answer[self]{Body: self{
		Organization: describeOrganization(profile),
		Account:      s.person(c.Actor().Account),
		Role:         c.Role.String(),
		Permissions:  names(c.Granted),
		Operator:     s.Model.AllowsOperator(c.Actor()) == nil,
		Token:        c.ID.String(),
		Kind:         c.Token.Kind.String(),
		ExpiresAt:    c.Token.Expires,
	}}, nil
}

func names(set domain.Permissions) []string {
	all := []string{}
	for p := domain.NoPermission + 1; p.String() != ""; p++ {
		if set.Has(p) {
			all = append(all, p.String())
		}
	}
	return all
}
