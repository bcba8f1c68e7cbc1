package http

import (
	"cmp"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"path"
	"strings"

	"jeton/domain"
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

// databaseLabRoutes is the dialect of Database Lab.
func (s *Server) databaseLabRoutes() []route {
	routes := []route{
		{pattern: "POST " + s.databaseLab("/rpc/dblab_token_check"), summary: "Check a token", quiet: true,
			access: labArguments[labTokenCheck](domain.TokensCheck).asking(), mount: labFunction(s.labTokenCheck)},
		{pattern: "GET " + s.databaseLab("/api_tokens"), summary: "List live tokens",
			access: access{who: bearer, tokens: labHeaders}, mount: raw(s.labTokens)},
		{pattern: "POST " + s.databaseLab("/rpc/api_token_create"), summary: "Create a token", audit: "token.issued",
			access: labArguments[labTokenCreate](), mount: labFunction(s.labTokenCreate)},
		{pattern: "POST " + s.databaseLab("/rpc/api_token_revoke"), summary: "Revoke a token", audit: "token.revoked",
			access: labArguments[labTokenRevoke](), mount: labFunction(s.labTokenRevoke)},
	}
	for i := range routes {
		routes[i].refuse = refuseDatabaseLab
	}
	return routes
}

// databaseLab is where the dialect speaks of something.
func (s *Server) databaseLab(what string) string {
	prefix := path.Join("/", cmp.Or(s.DialectPrefix, "/api/general"))
	return strings.TrimSuffix(prefix, "/") + what
}

// labFunction mounts a function of the dialect that is called with A.
func labFunction[A any](call func(context.Context, Caller, A) (any, error)) func(*mounter, route) {
	return raw(func(w http.ResponseWriter, r *http.Request, c Caller) error {
		answer, err := call(r.Context(), c, r.Body.(*labBody[A]).arguments)
		if err != nil {
			return err
		}
		return encode(w, answer)
	})
}

// labBody is a body that the door has read, because the caller's token may be
// among the arguments in it. It stands where the body stood.
type labBody[A any] struct {
	io.ReadCloser
	arguments A
}

// labArguments admits whoever shows a live token, in a header or among the
// arguments A of a function, that has one of the permissions if any is named.
func labArguments[A any, P interface {
	*A
	credentials() []string
}](needs ...domain.Permission) access {
	return access{who: bearer, needs: needs, tokens: func(r *http.Request) ([]string, error) {
		body := &labBody[A]{ReadCloser: r.Body}
		if err := decode(r, &body.arguments); err != nil {
			return nil, err
		}
		r.Body = body
		tokens, err := labHeaders(r)
		return append(tokens, P(&body.arguments).credentials()...), err
	}}
}

// labHeaders are the tokens in headers: engines and command lines send
// Access-Token, browsers Authorization.
func labHeaders(r *http.Request) ([]string, error) {
	tokens := r.Header["Access-Token"]
	others, err := bearerTokens(r)
	return append(tokens[:len(tokens):len(tokens)], others...), err
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
	"no-route":        "there are the view api_tokens and the functions dblab_token_check, api_token_create and api_token_revoke",
	"unknown-outcome": "look at the list of tokens before you send it again",
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
