package http

import (
	"context"

	"jeton/domain"
)

// self is who the caller is and what they may do.
type self struct {
	Organization Organization   `json:"organization" doc:"The organization that the token is bound to."`
	Account      *person        `json:"account,omitempty" doc:"You; absent for an administrative token, which is nobody."`
	Service      *program       `json:"service_account,omitempty" doc:"The service account that the token belongs to, if it does."`
	Role         string         `json:"role,omitempty" doc:"Your role in the organization." example:"admin"`
	Permissions  []string       `json:"permissions" nullable:"false" doc:"What the token allows there now."`
	Operator     bool           `json:"operator" doc:"Whether you operate the platform."`
	Token        string         `json:"token" doc:"The id of the token that you have shown." example:"0123456789abcdef"`
	Kind         string         `json:"kind" enum:"personal,administrative,service" doc:"Its kind."`
	On           []string       `json:"on,omitempty" doc:"The resources that it is limited to. It then allows nothing here without one of them."`
	Warning      string         `json:"warning,omitempty" doc:"What you should know: that the token ends soon, that its secret was replaced, or that somebody still uses one that was."`
	ExpiresAt    domain.Instant `json:"expires_at,omitzero" format:"date-time" doc:"When it ends; absent: never."`
}

// whoami answers GET /api/v1/whoami, from memory.
func (s *Server) whoami(_ context.Context, c Caller, _ *struct{}) (*answer[self], error) {
	profile, _ := s.Model.Profile(c.Organization)
	standing, _ := s.Model.Standing(c.Home, c.ID)
	return &answer[self]{Body: self{
		Organization: describeOrganization(profile),
		Account:      s.person(c.Actor().Account),
		Service:      s.program(c),
		On:           listOf[string](standing.On),
		Warning:      tell(c, standing),
		Role:         string(c.Role),
		Permissions:  s.Model.Names(c.Organization, c.Granted),
		Operator:     s.Model.AllowsOperator(c.Actor()) == nil,
		Token:        c.ID.String(),
		Kind:         c.Token.Kind.String(),
		ExpiresAt:    c.Token.Expires,
	}}, nil
}

// tell is what whoever asks who they are should know of their token.
func tell(c Caller, standing domain.Standing) string {
	warning := warn(&c.Checked)
	if standing.Seen == 0 {
		return warning
	}
	reused := "a secret of this token that was replaced was used at " + standing.Seen.String() + ": by a forgotten program, or by somebody else"
	if warning == "" {
		return reused
	}
	return warning + "; " + reused
}

// program is the service account that has come; nil: it is none.
func (s *Server) program(c Caller) *program {
	account, known := s.Model.ServiceAccount(c.Organization, c.Actor().Account)
	if !known {
		return nil
	}
	return &program{ID: account.Number}
}
