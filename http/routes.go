package http

import (
	"slices"

	"jeton/domain"
)

// routes is the index of everything that can be asked here. Dialects of other
// products have tables of their own, of the same kind.
func (s *Server) routes() []route {
	return slices.Concat(s.apiRoutes(), s.engineRoutes(), s.auditRoutes(), s.proofRoutes(), s.backupRoutes(), s.webhookRoutes(), s.pastRoutes(), s.standardRoutes(), s.databaseLabRoutes())
}

func (s *Server) apiRoutes() []route {
	return []route{
		{pattern: "GET /livez", summary: "Whether the process lives", access: open, mount: raw(s.livez), quiet: true, waiting: true},
		{pattern: "GET /readyz", summary: "Whether requests should be sent here", access: open, mount: raw(s.readyz), quiet: true, waiting: true},
		{pattern: "GET /metrics", summary: "Figures for Prometheus", access: open, mount: raw(s.metrics), quiet: true, waiting: true},
		{pattern: "GET /api/openapi.json", summary: "This description", access: open, mount: openapi, waiting: true},

		{pattern: "POST /api/v1/check", summary: "Check a token", quiet: true,
			access: access{who: bearer, needs: []domain.Permission{domain.TokensCheck}, tokens: bearerTokens, free: true},
			mount:  described[checkRequest, checkAnswer](s.check)},
		{pattern: "GET /api/v1/whoami", summary: "Who you are and what you may do",
			access: signedIn.evenOff(), mount: api(s.whoami)},

		{pattern: "GET /api/v1/organizations", summary: "List organizations: all for operators, your own for others",
			access: signedIn, mount: api(s.organizations)},
		{pattern: "POST /api/v1/organizations", summary: "Make an organization with its owner and their first token", status: 201,
			access: operators, mount: api(s.organizationCreate), audit: "account.registered organization.created member.added token.issued"},
		{pattern: "GET /api/v1/organizations/{org}", summary: "Show an organization",
			access: allowed(domain.OrganizationRead), mount: dated((*Server).organization)},
		{pattern: "PATCH /api/v1/organizations/{org}", summary: "Rename an organization",
			access: allowed(domain.OrganizationUpdate), mount: api(s.organizationUpdate), audit: "organization.renamed"},

		{pattern: "DELETE /api/v1/organizations/{org}", summary: "Delete an organization with everything in it", status: 204,
			access: allowed(domain.OrganizationDelete), mount: api(s.organizationDelete), audit: "organization.deleted"},

		{pattern: "GET /api/v1/organizations/{org}/members", summary: "List members",
			access: allowed(domain.MembersRead), mount: dated((*Server).members)},
		{pattern: "POST /api/v1/organizations/{org}/members", summary: "Add a member and give them their first token", status: 201,
			access: allowed(domain.MembersAdd), mount: api(s.memberAdd), audit: "account.registered member.added token.issued"},
		{pattern: "GET /api/v1/organizations/{org}/members/{id}", summary: "Show a member",
			access: allowed(domain.MembersRead), mount: dated((*Server).member)},
		{pattern: "PATCH /api/v1/organizations/{org}/members/{id}", summary: "Change a member's role, suspend or reinstate them",
			access: allowed(domain.MembersUpdate), mount: api(s.memberUpdate), audit: "member.role_changed member.suspended member.reinstated holder.limited"},
		{pattern: "DELETE /api/v1/organizations/{org}/members/{id}", summary: "Remove a member and revoke their tokens; everybody may remove themselves", status: 204,
			access: insiders, mount: api(s.memberRemove), audit: "member.removed token.revoked"},

		{pattern: "GET /api/v1/organizations/{org}/tokens", summary: "List tokens, the newest first: all, or your own",
			access: allowed(domain.TokensReadOwn, domain.TokensReadAny), mount: dated((*Server).tokens)},
		{pattern: "POST /api/v1/organizations/{org}/tokens", summary: "Make a token", status: 201,
			access: allowed(domain.TokensCreatePersonal, domain.TokensCreateAdministrative, domain.TokensCreateService), mount: api(s.tokenCreate),
			audit: "token.issued token.bound token.unbound approval.requested"},
		{pattern: "GET /api/v1/organizations/{org}/tokens/{id}", summary: "Show a token",
			access: allowed(domain.TokensReadOwn, domain.TokensReadAny), mount: dated((*Server).token)},
		{pattern: "PATCH /api/v1/organizations/{org}/tokens/{id}", summary: "Change what a token is called, what it may do and when it ends",
			access: allowed(domain.TokensUpdateOwn, domain.TokensUpdateAny), mount: api(s.tokenUpdate), audit: "token.renamed token.described token.bound token.expiry_changed"},
		{pattern: "DELETE /api/v1/organizations/{org}/tokens/{id}", summary: "Revoke a token, for ever",
			access: allowed(domain.TokensRevokeOwn, domain.TokensRevokeAny), mount: api(s.tokenRevoke), audit: "token.revoked"},

		{pattern: "POST /api/v1/organizations/{org}/tokens/{id}/rotate", summary: "Give a token a new secret",
			access: allowed(domain.TokensRotateOwn, domain.TokensRotateAny), mount: api(s.tokenRotate), audit: "token.rotated"},
		{pattern: "GET /api/v1/organizations/{org}/service-accounts/{id}/tokens", summary: "List the tokens of a service account, the newest first",
			access: allowed(domain.TokensReadAny), mount: dated((*Server).serviceTokens)},
		{pattern: "POST /api/v1/organizations/{org}/service-accounts/{id}/tokens", summary: "Make a token for a service account", status: 201,
			access: allowed(domain.TokensCreateService), mount: api(s.serviceTokenCreate), audit: "token.issued token.bound approval.requested"},
		{pattern: "POST /api/v1/organizations/{org}/tokens/revoke", summary: "Revoke all tokens that meet some conditions, for ever",
			access: allowed(domain.TokensRevokeOwn, domain.TokensRevokeAny), mount: api(s.tokensRevoke), audit: "tokens.revoked token.revoked"},
		{pattern: "GET /api/v1/organizations/{org}/approvals", summary: "List tokens that wait for approval",
			access: allowed(domain.TokensApprove, domain.TokensReadAny), mount: dated((*Server).approvals)},
		{pattern: "POST /api/v1/organizations/{org}/approvals/{id}/approve", summary: "Approve a token that somebody else has asked for",
			access: allowed(domain.TokensApprove), mount: api(s.tokenApprove), audit: "approval.given"},
		{pattern: "POST /api/v1/organizations/{org}/approvals/{id}/refuse", summary: "Refuse a token that somebody else has asked for",
			access: allowed(domain.TokensApprove), mount: api(s.tokenRefuse), audit: "approval.refused"},

		{pattern: "GET /api/v1/organizations/{org}/log", summary: "Read what happened in an organization, or wait for it",
			access: allowed(domain.LogRead), mount: api(s.log), audit: "audit.read", reads: readsList},

		{pattern: "POST /api/v1/burn", summary: "End the token whose secret is sent, whoever sends it", status: 204,
			access: open, mount: described[burnRequest, struct{}](s.burn), audit: "token.burned token.overlap_ended token.reused token.revoked"},
		{pattern: "POST /api/v1/secret-scanning", summary: "End the tokens that a scanner has found in public", body: scanningBody,
			access: open, mount: described[[]finding, []scanLabel](s.scanningReport), audit: "token.burned token.overlap_ended token.reused token.revoked"},
		{pattern: "DELETE /api/v1/accounts/{id}", summary: "Delete a person's account: everything of theirs stops, in every organization", status: 204,
			access: operators, mount: api(s.accountDelete), audit: "account.deleted"},
		{pattern: "POST /api/v1/accounts/{id}/erase", summary: "Forget what is known of a person, for ever; their account is deleted, too", status: 204,
			access: operators, mount: api(s.accountErase), audit: "account.deleted account.erased"},

		{pattern: "GET /api/v1/operators", summary: "List the operators of the platform",
			access: operators, mount: api(s.operators)},
		{pattern: "POST /api/v1/operators", summary: "Name an operator", status: 201,
			access: operators, mount: api(s.operatorName), audit: "account.registered operator.named"},
		{pattern: "DELETE /api/v1/operators/{id}", summary: "Dismiss an operator", status: 204,
			access: operators, mount: api(s.operatorDismiss), audit: "operator.dismissed"},

		{pattern: "GET /api/v1/organizations/{org}/policy", summary: "Show what an organization demands of its tokens",
			access: allowed(domain.PolicyRead).evenOff(), mount: dated((*Server).policy)},
		{pattern: "PATCH /api/v1/organizations/{org}/policy", summary: "Change what an organization demands of its tokens, or say what that would block",
			access: allowed(domain.PolicyUpdate).evenOff(), mount: api(s.policyUpdate), audit: "policy.changed"},
		{pattern: "GET /api/v1/organizations/{org}/roles", summary: "List roles with what they allow",
			access: allowed(domain.RolesRead), mount: dated((*Server).roles)},
		{pattern: "POST /api/v1/organizations/{org}/roles", summary: "Make a role", status: 201,
			access: allowed(domain.RolesCreate), mount: api(s.roleCreate), audit: "role.created"},
		{pattern: "GET /api/v1/organizations/{org}/roles/{name}", summary: "Show a role",
			access: allowed(domain.RolesRead), mount: dated((*Server).role)},
		{pattern: "PATCH /api/v1/organizations/{org}/roles/{name}", summary: "Change what a role allows, for all who have it",
			access: allowed(domain.RolesUpdate), mount: api(s.roleUpdate), audit: "role.changed"},
		{pattern: "DELETE /api/v1/organizations/{org}/roles/{name}", summary: "Delete a role that nobody has", status: 204,
			access: allowed(domain.RolesDelete), mount: api(s.roleDelete), audit: "role.deleted"},
		{pattern: "GET /api/v1/organizations/{org}/permissions", summary: "List what there is to be allowed",
			access: allowed(domain.PermissionsRead), mount: dated((*Server).permissions)},
		{pattern: "POST /api/v1/organizations/{org}/permissions", summary: "Define a permission for an engine", status: 201,
			access: allowed(domain.PermissionsDefine), mount: api(s.permissionDefine), audit: "permission.defined"},
		{pattern: "DELETE /api/v1/organizations/{org}/permissions/{name}", summary: "Retire a permission: nobody has it any more", status: 204,
			access: allowed(domain.PermissionsRetire), mount: api(s.permissionRetire), audit: "permission.retired"},
		{pattern: "GET /api/v1/organizations/{org}/service-accounts", summary: "List service accounts",
			access: allowed(domain.MembersRead), mount: dated((*Server).serviceAccounts)},
		{pattern: "POST /api/v1/organizations/{org}/service-accounts", summary: "Make a service account", status: 201,
			access: allowed(domain.MembersAdd), mount: api(s.serviceAccountCreate), audit: "service_account.created"},
		{pattern: "GET /api/v1/organizations/{org}/service-accounts/{id}", summary: "Show a service account",
			access: allowed(domain.MembersRead), mount: dated((*Server).serviceAccount)},
		{pattern: "PATCH /api/v1/organizations/{org}/service-accounts/{id}", summary: "Change a service account, disable or enable it",
			access: allowed(domain.MembersUpdate), mount: api(s.serviceAccountUpdate),
			audit: "service_account.renamed service_account.described service_account.granted service_account.switched holder.limited"},
		{pattern: "DELETE /api/v1/organizations/{org}/service-accounts/{id}", summary: "Delete a service account and revoke its tokens", status: 204,
			access: allowed(domain.MembersRemove), mount: api(s.serviceAccountDelete), audit: "service_account.deleted token.revoked"},
	}
}
