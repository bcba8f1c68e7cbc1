package http

import (
	"cmp"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"path"
	"slices"
	"strings"

	"jeton/domain"
	"jeton/projections"
)

// The dialect of Database Lab: what its engine, its command line and its console
// ask their platform. They are not ours and cannot be changed, so the answers
// are what they bear:
//
//   - A success is 200 with one object: the engine takes 201, 204 or an array for
//     a failure, and follows a redirect with a GET.
//   - A success has none of the keys code, message, details and hint: most clients
//     do not look at the status and take whatever has one of them for an error.
//   - An error has all four, and they are strings or null: the engine cannot read
//     a number there.
//   - The engine sends JSON without saying so; nobody looks at Content-Type.

// databaseLabRoutes is the dialect of Database Lab, and what the API shows of what
// its programs have sent.
func (s *Server) databaseLabRoutes() []route {
	d := &dialect{Server: s, rooms: newRooms()}
	routes := slices.Concat(
		d.tokenRoutes(), d.organizationRoutes(), d.instanceRoutes(), d.telemetryRoutes(), d.sessionRoutes(), d.joeRoutes(), d.checkupRoutes(), d.siemRoutes(),
		[]route{d.preflight()},
	)
	for i := range routes {
		routes[i].refuse = refuseDatabaseLab
	}
	return slices.Concat(routes, s.recordRoutes())
}

// dialect is the server as it speaks to programs of Database Lab.
type dialect struct {
	*Server
	rooms *rooms // for what is large
}

func (d *dialect) tokenRoutes() []route {
	check := labFunction(d, "dblab_token_check", "Check a token", "", d.labTokenCheck, domain.TokensCheck)
	check.quiet, check.access = true, check.access.asking()
	return []route{
		check,
		labView(d, "api_tokens", "List live tokens", d.labTokens, nil),
		labFunction(d, "api_token_create", "Create a token", "token.issued", d.labTokenCreate),
		labFunction(d, "api_token_revoke", "Revoke a token", "token.revoked", d.labTokenRevoke),
	}
}

// databaseLab is where the dialect speaks of something.
func (s *Server) databaseLab(what string) string {
	prefix := path.Join("/", cmp.Or(s.DialectPrefix, "/api/general"))
	return strings.TrimSuffix(prefix, "/") + what
}

// labArgument is what a function is called with.
type labArgument[A any] interface {
	*A
	credentials() []string
}

// labFunction is the route of a function that is called with A, for who has one of
// the permissions if any is named.
func labFunction[A any, P labArgument[A]](d *dialect, name, summary, audit string,
	call func(context.Context, Caller, A) (any, error), needs ...domain.Permission,
) route {
	return route{
		pattern: "POST " + d.databaseLab("/rpc/"+name), summary: summary, audit: audit,
		access: labArguments[A, P](d, decode, needs...), mount: labMount(d, nil, labCall(call)),
	}
}

// labLargeFunction is a function among whose arguments there may be a file.
func labLargeFunction[A any, P labArgument[A]](d *dialect, name, summary, audit string,
	call func(context.Context, Caller, A) (any, error), needs ...domain.Permission,
) route {
	r := labFunction[A, P](d, name, summary, audit, call, needs...)
	r.access = labArguments[A, P](d, decodeLarge, needs...)
	r.body = 2*d.mostContent() + bodyLimit // every character may be escaped
	r.mount = labMount(d, d.large, labCall(call))
	return r
}

// labCall calls a function with what the door has read.
func labCall[A any](call func(context.Context, Caller, A) (any, error)) labHandler {
	return func(w http.ResponseWriter, r *http.Request, c Caller) error {
		answer, err := call(r.Context(), c, r.Body.(*labBody[A]).arguments)
		if err != nil {
			return err
		}
		return encode(w, answer)
	}
}

// labHandler answers a request of the dialect.
type labHandler = func(http.ResponseWriter, *http.Request, Caller) error

// labMount mounts a handler for programs and for the pages that may ask. What is
// before, if it is not nil, stands before the door.
func labMount(d *dialect, before func(http.Handler) http.Handler, handle labHandler) func(*mounter, route) {
	return func(m *mounter, r route) {
		handler := m.guarded(r, handle)
		if before != nil {
			handler = before(handler)
		}
		m.mux.Handle(r.pattern, d.crossOrigin(handler))
	}
}

// labBody is a body that the door has read, because the caller's token may be
// among the arguments in it. It stands where the body stood.
type labBody[A any] struct {
	io.ReadCloser
	arguments A
}

// labArguments admits whoever shows a live token, in a header or among the
// arguments A of a function, that has one of the permissions if any is named.
func labArguments[A any, P labArgument[A]](d *dialect, read func(*http.Request, any) error, needs ...domain.Permission) access {
	return access{who: bearer, needs: needs, tokens: func(r *http.Request) ([]string, error) {
		body := &labBody[A]{ReadCloser: r.Body}
		if err := read(r, &body.arguments); err != nil {
			return nil, err
		}
		r.Body = body
		tokens, err := labHeaders(r)
		if err != nil {
			return nil, err
		}
		return d.withKey(r, append(tokens, P(&body.arguments).credentials()...))
	}}
}

// labHeaders are the tokens in headers: engines and command lines send
// Access-Token, browsers Authorization.
func labHeaders(r *http.Request) ([]string, error) {
	tokens := r.Header["Access-Token"]
	others, err := bearerTokens(r)
	return append(tokens[:len(tokens):len(tokens)], others...), err
}

// withKey are the tokens of a request that may have an Org-Key as well. Such a key is
// any live administrative token of the organization. Alone it is the caller; beside
// a token it may be another one, but both must be good and of one organization.
func (d *dialect) withKey(r *http.Request, tokens []string) ([]string, error) {
	keys := r.Header["Org-Key"]
	if len(keys) == 0 {
		return tokens, nil
	}
	key, err := one(keys)
	if err != nil {
		return nil, err
	}
	shown, _ := domain.ParseSecret(key)
	if shown.Kind != domain.Administrative {
		return nil, errBadCredential
	}
	if len(tokens) == 0 {
		return keys, nil
	}
	found, err := d.Model.Check(key, projections.Use{Address: d.address(r), Agent: r.UserAgent(), Free: true})
	if err != nil {
		return nil, err
	}
	if of, known, _ := d.Model.Owner(tokens[0]); !found.Active() || known && of != found.Organization {
		return nil, &badBearer{found}
	}
	return tokens, nil
}

// headers are the tokens of a request that has none in its body.
func (d *dialect) headers(r *http.Request) ([]string, error) {
	tokens, err := labHeaders(r)
	if err != nil {
		return nil, err
	}
	return d.withKey(r, tokens)
}

// labCaller is the argument that every function takes besides its own: whoever
// cannot set headers shows their token there.
type labCaller struct {
	AccessToken labCredentials `json:"access_token"`
}

func (c labCaller) credentials() []string { return c.AccessToken }

// labCredentials is every value that a key has in a body, in their order. Of a
// key that is there twice one program believes the first value and another one
// the last, and a proxy in front may be either.
type labCredentials []string

// UnmarshalJSON adds a value; null is none.
func (c *labCredentials) UnmarshalJSON(value []byte) error {
	var token *string
	if err := json.Unmarshal(value, &token); err != nil || token == nil {
		return err
	}
	*c = append(*c, *token)
	return nil
}

// labError is an error as PostgREST writes it.
type labError struct {
	Code    string  `json:"code"`
	Message string  `json:"message"`
	Details string  `json:"details"`
	Hint    *string `json:"hint"`
}

// labInvalidToken is the one answer about a token that is not good, whatever is
// wrong with it.
var labInvalidToken = problem(http.StatusUnauthorized, "invalid-token", "Invalid token", "Use a valid token that has not expired.")

// labHints replace advice that is about the API.
var labHints = map[string]string{
	"no-credential":   "send it in the header Access-Token",
	"two-credentials": "send one, in the header Access-Token",
	"token-in-url":    "send it in the header Access-Token, and revoke this one",
	"no-route":        "there is no such view and no such function here",
	"unknown-outcome": "look whether it is there before you send it again",
}

// refuseDatabaseLab answers with an error.
func refuseDatabaseLab(w http.ResponseWriter, p *Problem) {
	status := p.Status
	if status == http.StatusUnprocessableEntity {
		status = http.StatusBadRequest // PostgREST knows no other
	}
	p.head(w.Header(), "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(labErrorOf(p)) // the caller has gone if it fails
}

// labErrorOf says the same in message and details: the console shows details and
// hint, and message only where both are missing; others show nothing but message.
func labErrorOf(p *Problem) labError {
	said := p.Detail
	if len(p.Errors) > 0 {
		said = strings.TrimPrefix(p.Errors[0].Field, "body.") + ": " + p.Errors[0].Detail
	}
	e := labError{Code: p.Code, Message: said, Details: said}
	if p == labInvalidToken {
		e.Details = "The token was not found or has expired."
	}
	hint := cmp.Or(labHints[p.Code], p.Next)
	if strings.Contains(hint, "openapi") {
		hint = "send an object with the arguments of the function"
	}
	if hint != "" {
		e.Hint = &hint
	}
	return e
}
