package http

import (
	"net/http"
	"net/netip"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"jeton/domain"
)

// standardRoutes is what others have specified: OAuth 2.0, forward authentication,
// Kubernetes.
func (s *Server) standardRoutes() []route {
	burns := "token.burned token.overlap_ended token.reused token.revoked"
	return []route{
		{pattern: "GET /.well-known/oauth-authorization-server", summary: "What clients of OAuth 2.0 find here", access: open, waiting: true,
			mount: specified(s.oauthMetadata, answers[oauthMetadata]("application/json"))},
		{pattern: "POST /oauth2/introspect", summary: "Ask about a token, as RFC 7662 has it", quiet: true, refuse: refuseOAuth,
			access: oauthClients(domain.TokensCheck).asking(),
			mount:  specified(s.oauthIntrospect, takesForm[introspectRequest], answers[introspection]("application/json"), answersOAuth)},
		{pattern: "POST /oauth2/revoke", summary: "End a token of the caller's organization, as RFC 7009 has it", refuse: refuseOAuth,
			access: oauthClients(), audit: burns,
			mount: specified(s.oauthRevoke, takesForm[revokeRequest], answersNothing, answersOAuth)},

		{pattern: forwardPath, summary: "Decide about a request that a proxy has before it", quiet: true, refuse: refuseProxy,
			access: proxies, mount: specified(s.forward, answersHeaders)},
		{pattern: forwardPath + "/{rest...}", summary: "Decide about a request that a proxy appends here", quiet: true, refuse: refuseProxy,
			access: proxies, mount: raw(s.forward)},
		{pattern: "POST /auth/tokenreview", summary: "Review a token for Kubernetes", quiet: true,
			access: engines, mount: specified(s.tokenReview, takesReview, answers[review]("application/json"))},
	}
}

// description says in the OpenAPI document what a route takes and answers.
type description func(op *huma.Operation, schemas huma.Registry)

// specified mounts a raw handler of a standard and describes it. A route for every
// method is described by the one that standards ask with.
func specified(handle func(http.ResponseWriter, *http.Request, Caller) error, says ...description) func(*mounter, route) {
	return func(m *mounter, r route) {
		raw(handle)(m, r)
		if strings.HasPrefix(r.pattern, "/") {
			r.pattern = "GET " + r.pattern
		}
		op, document := m.operation(r), m.api.OpenAPI()
		op.Responses = map[string]*huma.Response{"default": {Description: "Error", Content: problemContent(document.Components.Schemas)}}
		for _, say := range says {
			say(&op, document.Components.Schemas)
		}
		for _, alternative := range op.Security {
			for scheme := range alternative {
				document.Components.SecuritySchemes[scheme] = standardSchemes[scheme]
			}
		}
		document.AddOperation(&op)
	}
}

// standardSchemes are the ways to show a token to the routes of standards.
var standardSchemes = map[string]*huma.SecurityScheme{
	"token":  {Type: "http", Scheme: "bearer"},
	"client": {Type: "http", Scheme: "basic", Description: "The secret of a token as the password, whoever the user is."},
	"engine": {Type: "apiKey", In: "header", Name: engineHeader, Description: "The access token of an engine."},
}

// answers describes a success with a body.
func answers[Out any](contentType string) description {
	return func(op *huma.Operation, schemas huma.Registry) {
		op.Responses["200"] = &huma.Response{Description: "OK", Content: content[Out](schemas, contentType)}
	}
}

// answersNothing describes a success that has nothing to say.
func answersNothing(op *huma.Operation, _ huma.Registry) {
	op.Responses["200"] = &huma.Response{Description: "OK"}
}

func content[T any](schemas huma.Registry, contentType string) map[string]*huma.MediaType {
	return map[string]*huma.MediaType{contentType: {Schema: schemas.Schema(reflect.TypeFor[T](), true, "")}}
}

// peer is who has connected: a caller, or the last proxy on their way.
func peer(r *http.Request) netip.Addr {
	connected, _ := netip.ParseAddrPort(r.RemoteAddr)
	return connected.Addr().Unmap()
}
