package http

import (
	"cmp"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"jeton/domain"
	"jeton/projections"
)

// OAuth 2.0, as far as it is about tokens that are there: introspection (RFC 7662),
// revocation (RFC 7009) and the description of both (RFC 8414). Nothing is issued by
// its means: there is no authorization endpoint and no token endpoint.
//
// A client is whoever shows a live token: as Authorization: Bearer, as the password
// of HTTP Basic, or as client_secret in the form. The name of the client is not
// looked at, for the secret says whose it is.
//
// Bodies are forms; a parameter that is not known is passed over, one that is there
// twice is refused. Errors are objects with error and error_description.

// oauthClients admits clients whose token has one of the permissions, if any is
// named.
func oauthClients(needs ...domain.Permission) access {
	return access{who: bearer, needs: needs, tokens: oauthTokens}
}

// oauthTokens are the tokens that a client shows. The form is read on the way.
func oauthTokens(r *http.Request) (tokens []string, _ error) {
	form, err := readForm(r)
	if err != nil {
		return nil, err
	}
	r.Body = form
	for _, header := range r.Header["Authorization"] {
		tokens = append(tokens, oauthToken(header))
	}
	if secret := form.values.Get("client_secret"); secret != "" {
		tokens = append(tokens, secret)
	}
	if tokens != nil { // a proxy that speaks to the dialect may have checked the other header
		tokens = append(tokens, r.Header["Access-Token"]...)
	}
	return tokens, nil
}

// oauthToken is the token in an Authorization header. A header that has none counts
// as one that is empty, so that it is refused and not overlooked.
func oauthToken(header string) string {
	scheme, token, _ := strings.Cut(header, " ")
	switch {
	case strings.EqualFold(scheme, "Bearer"):
		return token
	case strings.EqualFold(scheme, "Basic"):
		_, secret, _ := (&http.Request{Header: http.Header{"Authorization": {header}}}).BasicAuth()
		return secret
	}
	return ""
}

// oauthForm is a body that the door has read, because the client's secret may be in
// it. It stands where the body stood.
type oauthForm struct {
	io.ReadCloser
	values url.Values
}

func readForm(r *http.Request) (*oauthForm, error) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != formType {
		return nil, problem(400, "malformed", "the body is no form", "send it as "+formType)
	}
	body, err := readBody(r)
	if err != nil {
		return nil, err
	}
	values, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, problem(400, "malformed", "the form can't be read", "write it as "+formType+" has it")
	}
	for _, all := range values {
		if len(all) > 1 {
			return nil, problem(400, "malformed", "a parameter is there twice", "send each once")
		}
	}
	return &oauthForm{r.Body, values}, nil
}

const formType = "application/x-www-form-urlencoded"

// formOf is the form of a request that the door has read, with the token in it.
func formOf(r *http.Request) (form url.Values, token string, err error) {
	form = r.Body.(*oauthForm).values
	if token = form.Get("token"); token == "" {
		return form, "", problem(400, "malformed", "the parameter token is missing", "send the token that this is about")
	}
	return form, token, nil
}

// introspectRequest is the form of an introspection.
type introspectRequest struct {
	_     struct{} `additionalProperties:"true"`
	Token string   `json:"token" doc:"The secret that somebody showed."`
	Hint  string   `json:"token_type_hint,omitempty" doc:"What kind of token that is; it makes no difference."`
	IP    string   `json:"ip,omitempty" doc:"Where its bearer comes from. A token that is bound to networks is not active without it."`
}

// introspection says whether a token is good. For one that is not, for one of another
// organization and for what is no token it is {"active":false} and nothing else.
type introspection struct {
	Active    bool   `json:"active" doc:"Whether the token opens anything now."`
	Scope     string `json:"scope,omitempty" doc:"What it allows, with blanks between the permissions. Of one that is limited to resources: what it allows without naming one."`
	Username  string `json:"username,omitempty" doc:"The e-mail of its holder, if that is a person."`
	TokenType string `json:"token_type,omitempty" enum:"Bearer" doc:"How it is shown."`
	Expires   int64  `json:"exp,omitempty" doc:"When it ends, in seconds since 1970; absent: never."`
	Issued    int64  `json:"iat,omitempty" doc:"When its secret was made, in seconds since 1970."`
	NotBefore int64  `json:"nbf,omitempty" doc:"When it began, in seconds since 1970; absent: when it was issued."`
	Subject   string `json:"sub,omitempty" doc:"Whom it belongs to, for ever: user:<number>, service:<number> or organization:<number>."`
	Audience  string `json:"aud,omitempty" doc:"The alias of the organization in which it was checked."`
	Issuer    string `json:"iss,omitempty" doc:"This service."`
	ID        string `json:"jti,omitempty" doc:"The token's id, which is no secret."`
}

// oauthIntrospect answers POST /oauth2/introspect. An engine learns what opens its own
// door: a token that others let in, and an administrative one, are not active for it.
func (s *Server) oauthIntrospect(w http.ResponseWriter, r *http.Request, c Caller) error {
	form, token, err := formOf(r)
	if err != nil {
		return err
	}
	use, err := (&checkRequest{Token: token, IP: form.Get("ip")}).use(c)
	if err != nil {
		return err
	}
	issuer, err := s.issuer(r)
	if err != nil {
		return err
	}
	found, err := s.introspect(c, token, use)
	if err != nil {
		return err
	}
	return encode(w, s.introspection(&found, issuer))
}

// introspect checks a token for whoever asks. Of one that does not come in at the
// engine that asks nothing is found.
func (s *Server) introspect(c Caller, token string, use projections.Use) (found projections.Checked, err error) {
	at, is := s.Model.EngineOf(c.Organization, c.ID)
	if !is {
		if found, err = s.Model.CheckFor(c.Organization, token, use); err == nil {
			s.meter.checked(found.Reason)
		}
		return found, err
	}
	came, err := s.Model.Enter(c.Organization, at.Number, token, "", use)
	if err != nil {
		return found, err
	}
	s.meter.checked(cmp.Or(came.Reason, came.Denied))
	if came.Via == domain.ViaPersonal || came.Via == domain.ViaService {
		found = came.Checked
	}
	return found, nil
}

func (s *Server) introspection(found *projections.Checked, issuer string) introspection {
	if found.Token.Kind == domain.NoKind || !found.Active() {
		return introspection{}
	}
	known := describe(s.Model, found)
	standing, _ := s.Model.Standing(found.Home, found.ID)
	return introspection{
		Active: true, TokenType: "Bearer", Issuer: issuer, Audience: found.Alias, ID: known.Token,
		Scope:    strings.Join(s.Model.Names(found.Organization, found.Granted), " "),
		Username: known.Email, Subject: known.Subject,
		Expires: unix(found.Token.Expires), Issued: unix(found.Token.Issued), NotBefore: unix(standing.Terms.NotBefore),
	}
}

// unix is a moment in whole seconds: the begun one, so that nothing lasts longer.
func unix(i domain.Instant) int64 { return int64(i) / 1000 }

// revokeRequest is the form of a revocation.
type revokeRequest struct {
	_     struct{} `additionalProperties:"true"`
	Token string   `json:"token" doc:"The secret of the token that is to end."`
	Hint  string   `json:"token_type_hint,omitempty" doc:"What kind of token that is; it makes no difference."`
}

// oauthRevoke answers POST /oauth2/revoke: 200, whatever the token is or was. One of the
// caller's organization ends: whoever has its secret may end it, as by burning. One of
// another organization is none.
func (s *Server) oauthRevoke(w http.ResponseWriter, r *http.Request, c Caller) error {
	_, token, err := formOf(r)
	if err != nil {
		return err
	}
	org, genuine, err := s.Model.Owner(token)
	if err != nil || !genuine || org != c.Home {
		return err
	}
	_, err = s.end(r.Context(), c, token, "revoked by OAuth 2.0, with token "+c.ID.String())
	return err
}

// oauthMetadata describes what is here, as RFC 8414 has it. Two lists are empty and
// stand there nevertheless: one is required, and if the other were missing it would
// mean grants that there are not.
type oauthMetadata struct {
	Issuer            string   `json:"issuer" doc:"This service, by the name that it was asked under."`
	Introspection     string   `json:"introspection_endpoint" doc:"Where to ask about tokens."`
	IntrospectionAuth []string `json:"introspection_endpoint_auth_methods_supported" nullable:"false" doc:"How to show one's own token there."`
	Revocation        string   `json:"revocation_endpoint" doc:"Where to end tokens."`
	RevocationAuth    []string `json:"revocation_endpoint_auth_methods_supported" nullable:"false" doc:"How to show one's own token there. Authorization: Bearer works as well, but has no name in the registry."`
	ResponseTypes     []string `json:"response_types_supported" nullable:"false" doc:"None: there is no authorization endpoint."`
	GrantTypes        []string `json:"grant_types_supported" nullable:"false" doc:"None: there is no token endpoint."`
	Documentation     string   `json:"service_documentation" doc:"The description of all else."`
}

// oauthMetadata answers GET /.well-known/oauth-authorization-server.
func (s *Server) oauthMetadata(w http.ResponseWriter, r *http.Request, _ Caller) error {
	issuer, err := s.issuer(r)
	if err != nil {
		return err
	}
	return encode(w, oauthMetadata{
		Issuer:        issuer,
		Introspection: issuer + "/oauth2/introspect", IntrospectionAuth: []string{"client_secret_basic", "client_secret_post", "Bearer"},
		Revocation: issuer + "/oauth2/revoke", RevocationAuth: []string{"client_secret_basic", "client_secret_post"},
		ResponseTypes: []string{}, GrantTypes: []string{},
		Documentation: issuer + "/api/openapi.json",
	})
}

// issuer is this service by the name that it was asked under, which is what RFC 8414
// wants it to say: a client compares the two. So no setting can be wrong. Whoever asks
// controls the name, and gets it back themselves; no cache keeps the answer for
// others. What proxies say about it is believed of trusted ones only.
func (s *Server) issuer(r *http.Request) (string, error) {
	scheme, host := "http", r.Host
	if r.TLS != nil {
		scheme = "https"
	}
	if s.trusted(peer(r)) {
		if told := r.Header["X-Forwarded-Proto"]; len(told) == 1 {
			scheme = told[0]
		}
		if told := r.Header["X-Forwarded-Host"]; len(told) == 1 {
			host = told[0]
		}
	}
	if scheme != "http" && scheme != "https" || !plainHost.MatchString(host) {
		return "", problem(400, "malformed", "the request does not say by what name this service was asked", "send a Host; a proxy must send X-Forwarded-Proto and X-Forwarded-Host once, or not at all")
	}
	return scheme + "://" + host, nil
}

var plainHost = regexp.MustCompile(`^([0-9A-Za-z]([0-9A-Za-z.-]{0,252})|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?$`)

// oauthError is an error as RFC 6749 writes it.
type oauthError struct {
	Error       string `json:"error" enum:"invalid_request,invalid_client,insufficient_scope,temporarily_unavailable,server_error" doc:"Which error it is, for programs."`
	Description string `json:"error_description" doc:"What is wrong and what to do, for people."`
}

// refuseOAuth writes a problem as clients of OAuth 2.0 read errors.
func refuseOAuth(w http.ResponseWriter, p *Problem) {
	p.head(w.Header(), "application/json")
	status, answer := p.Status, oauthError{"invalid_request", plainText.Replace(p.Detail + ": " + p.Next)}
	switch {
	case status == http.StatusUnauthorized:
		answer.Error = "invalid_client"
		w.Header()["Www-Authenticate"] = []string{`Bearer realm="jeton"`, `Basic realm="jeton"`}
	case status == http.StatusForbidden:
		answer.Error = "insufficient_scope"
	case status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable:
		answer.Error = "temporarily_unavailable"
	case status >= 500:
		answer.Error = "server_error"
	case status != http.StatusRequestEntityTooLarge:
		status = http.StatusBadRequest
	}
	w.WriteHeader(status)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(answer) // the caller has gone if it fails
}

// plainText takes out of a sentence what no error_description may have in it.
var plainText = strings.NewReplacer(`"`, "'", `\\`, "/")

// answersOAuth describes the errors of OAuth 2.0, and who may ask.
func answersOAuth(op *huma.Operation, schemas huma.Registry) {
	op.Responses["default"] = &huma.Response{Description: "Error", Content: content[oauthError](schemas, "application/json")}
	op.Security = []map[string][]string{{"token": {}}, {"client": {}}}
}

// takesForm describes a body that is a form.
func takesForm[In any](op *huma.Operation, schemas huma.Registry) {
	op.RequestBody = &huma.RequestBody{Required: true, Content: content[In](schemas, formType)}
}
