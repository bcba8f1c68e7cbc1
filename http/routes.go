package http

import (
	"slices"

	"jeton/domain"
)

// routes is the index of everything that can be asked here. Dialects of other
// products have tables of their own, of the same kind.
func (s *Server) routes() []route {
	return slices.Concat(s.apiRoutes(), s.databaseLabRoutes())
}

func (s *Server) apiRoutes() []route {
	return []route{
		{pattern: "GET /livez", summary: "Whether the process lives", access: open, mount: raw(s.livez), quiet: true, waiting: true},
		{pattern: "GET /readyz", summary: "Whether requests should be sent here", access: open, mount: raw(s.readyz), quiet: true, waiting: true},
		{pattern: "GET /metrics", summary: "Figures for Prometheus", access: open, mount: raw(s.metrics), quiet: true, waiting: true},
		{pattern: "GET /api/openapi.json", summary: "This description", access: open, mount: openapi, waiting: true},

		{pattern: "POST /api/v1/check", summary: "Check a token", quiet: true,
			access: access{who: bearer, needs: []domain.Permission{domain.TokensCheck}, tokens: bearerTokens},
			mount:  described[checkRequest, checkAnswer](s.check)},
		{pattern: "GET /api/v1/whoami", summary: "Who you are and what you may do",
			access: signedIn, mount: api(s.whoami)},

		{pattern: "GET /api/v1/organizations", summary: "List organizations: all for operators, your own for others",
			access: signedIn, mount: api(s.organizations)},
		{pattern: "POST /api/v1/organizations", summary: "Make an organization with its owner and their first token", status: 201,
			access: operators, mount: api(s.organizationCreate), audit: "account.registered organization.created member.added token.issued"},
		{pattern: "GET /api/v1/organizations/{org}", summary: "Show an organization",
			access: allowed(domain.OrganizationRead), mount: api(s.organization)},
		{pattern: "PATCH /api/v1/organizations/{org}", summary: "Rename an organization",
			access: allowed(domain.OrganizationUpdate), mount: api(s.organizationUpdate), audit: "organization.renamed"},

		{pattern: "GET /api/v1/organizations/{org}/members", summary: "List members",
			access: allowed(domain.MembersRead), mount: api(s.members)},
		{pattern: "POST /api/v1/organizations/{org}/members", summary: "Add a member and give them their first token", status: 201,
			access: allowed(domain.MembersAdd), mount: api(s.memberAdd), audit: "account.registered member.added token.issued"},
		{pattern: "GET /api/v1/organizations/{org}/members/{id}", summary: "Show a member",
			access: allowed(domain.MembersRead), mount: api(s.member)},
		{pattern: "PATCH /api/v1/organizations/{org}/members/{id}", summary: "Change a member's role, suspend or reinstate them",
			access: allowed(domain.MembersUpdate), mount: api(s.memberUpdate), audit: "member.role_changed member.suspended member.reinstated"},
		{pattern: "DELETE /api/v1/organizations/{org}/members/{id}", summary: "Remove a member and revoke their tokens; everybody may remove themselves", status: 204,
			access: insiders, mount: api(s.memberRemove), audit: "member.removed token.revoked"},

		{pattern: "GET /api/v1/organizations/{org}/tokens", summary: "List tokens, the newest first: all, or your own",
			access: allowed(domain.TokensReadOwn, domain.TokensReadAny), mount: api(s.tokens)},
		{pattern: "POST /api/v1/organizations/{org}/tokens", summary: "Make a token", status: 201,
			access: allowed(domain.TokensCreatePersonal, domain.TokensCreateAdministrative), mount: api(s.tokenCreate), audit: "token.issued"},
		{pattern: "GET /api/v1/organizations/{org}/tokens/{id}", summary: "Show a token",
			access: allowed(domain.TokensReadOwn, domain.TokensReadAny), mount: api(s.token)},
		{pattern: "PATCH /api/v1/organizations/{org}/tokens/{id}", summary: "Rename or describe a token",
			access: allowed(domain.TokensUpdateOwn, domain.TokensUpdateAny), mount: api(s.tokenUpdate), audit: "token.renamed token.described"},
		{pattern: "DELETE /api/v1/organizations/{org}/tokens/{id}", summary: "Revoke a token, for ever",
			access: allowed(domain.TokensRevokeOwn, domain.TokensRevokeAny), mount: api(s.tokenRevoke), audit: "token.revoked"},

		{pattern: "GET /api/v1/organizations/{org}/log", summary: "Read what happened in an organization, or wait for it",
			access: allowed(domain.LogRead), mount: api(s.log)},

		{pattern: "GET /api/v1/operators", summary: "List the operators of the platform",
			access: operators, mount: api(s.operators)},
		{pattern: "POST /api/v1/operators", summary: "Name an operator", status: 201,
			access: operators, mount: api(s.operatorName), audit: "account.registered operator.named"},
		{pattern: "DELETE /api/v1/operators/{id}", summary: "Dismiss an operator", status: 204,
			access: operators, mount: api(s.operatorDismiss), audit: "operator.dismissed"},
	}
}
