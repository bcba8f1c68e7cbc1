package http

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"jeton/domain"
	"jeton/eventstore"
	"jeton/projections"
)

// Problem is an error as RFC 9457 writes it. Code is for programs, Detail and
// Next are for people.
type Problem struct {
	Type      string         `json:"type" doc:"Always about:blank: the code says which problem it is."`
	Title     string         `json:"title" doc:"The status in words."`
	Status    int            `json:"status" doc:"The HTTP status."`
	Code      string         `json:"code" doc:"Which problem it is, for programs. Stable."`
	Detail    string         `json:"detail" doc:"What is wrong, for people."`
	Next      string         `json:"next,omitempty" doc:"What to do about it."`
	RequestID string         `json:"request_id,omitempty" doc:"What to tell the operator."`
	Errors    []FieldProblem `json:"errors,omitempty" doc:"Which fields are wrong."`

	retry int // after how many seconds it may be tried again; 0: nobody knows
}

// FieldProblem is what is wrong with one field. It never repeats the value: that
// could be a secret in the wrong place.
type FieldProblem struct {
	Field  string `json:"field" doc:"Where, e.g. body.name."`
	Detail string `json:"detail" doc:"What is wrong with it."`
}

func (p *Problem) Error() string { return p.Detail }

// GetStatus is for huma.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType is for huma.
func (*Problem) ContentType(string) string { return "application/problem+json" }

func problem(status int, code, detail, next string) *Problem {
	return &Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Code: code, Detail: detail, Next: next}
}

// translation is how one kind of refusal looks from outside.
type translation struct {
	err    error
	status int
	code   string
	detail string // empty: the refusal's own sentence
	next   string
}

var translations = []translation{
	{domain.ErrInvalid, 422, "invalid", "", "correct it and send it again"},
	{domain.ErrDenied, 403, "denied", "", ""},
	{domain.ErrNotFound, 404, "not-found", "", ""},
	{domain.ErrExists, 409, "exists", "", ""},
	{domain.ErrStale, 412, "stale", "", ""},
	{domain.ErrState, 409, "state", "", ""},
	{errNoCredential, 401, "no-credential", "this needs a token", "send it as Authorization: Bearer <token>"},
	{errBadCredential, 401, "bad-credential", "the token is not valid", "check that it was copied whole, and that it has neither expired nor been revoked"},
	{errSwitchedOff, 401, "switched-off", "the organization has switched its tokens off", "ask an administrator to switch them on again: the policy can be changed all the while"},
	{errTwoCredentials, 400, "two-credentials", "the request carries two credentials that differ", "send one"},
	{errTokenInURL, 400, "token-in-url", "a token in a URL is written down by every proxy on the way", "send it as Authorization: Bearer <token>, and revoke this one"},
	{errScanSignature, 403, "bad-signature", "the report is not signed by a scanner that is known here", "ask the operator to configure the scanner's public keys"},
	{eventstore.ErrConflict, 503, "busy", "too many changes at once", "try again in a moment"},
	{eventstore.ErrUnknown, 503, "unknown-outcome", "the log did not confirm; whether the change was made is not known", "send it again with the same Idempotency-Key: it happens once"},
	{eventstore.ErrFull, 507, "no-room", "there is no room for it; nothing was kept", "delete what is not needed, or ask the operator for more room"},
	{eventstore.ErrNoObject, 404, "not-found", "the content is not there any more", ""},
	{eventstore.ErrUnavailable, 503, "log-unavailable", "the log can't be written; nothing was changed", "try again later"},
	{eventstore.ErrTooLarge, 413, "too-large", "this would change too much at once; nothing was changed", "do it in smaller steps"},
	{projections.ErrLoading, 503, "loading", "the service is still reading its log", "try again in a moment"},
	{projections.ErrBehind, 503, "views-unavailable", "lists can't be given now; checks and changes go on", "try again later"},
	{projections.ErrViews, 503, "views-unavailable", "lists can't be given now; checks and changes go on", "try again later"},
	{context.DeadlineExceeded, 503, "timeout", "it took too long", "try again later"},
	{context.Canceled, 499, "canceled", "the request was given up", ""},
}

// translate is the one place where an error becomes an answer. What it does not
// know is a fault of ours and is not described to strangers.
func translate(err error) *Problem {
	var p *Problem
	if errors.As(err, &p) {
		return p
	}
	var damage *eventstore.Damage
	if errors.As(err, &damage) {
		return problem(503, "log-damaged", "the log is damaged; nothing is served from it", "ask the operator")
	}
	var over *limited
	if errors.As(err, &over) {
		return over.problem()
	}
	for _, t := range translations {
		if errors.Is(err, t.err) {
			return t.problem(err).redacted()
		}
	}
	return problem(500, "internal", "something went wrong here", "tell the operator the request id")
}

// inQuery is a refusal of what stands in the query, not in the body.
func inQuery(err error) error {
	var refusal *domain.Refusal
	if !errors.As(err, &refusal) {
		return err
	}
	p := translate(err)
	p.Errors = []FieldProblem{{"query." + refusal.Field, refusal.Detail}}
	return p
}

// refused reports whether the domain said no.
func refused(err error) bool {
	var refusal *domain.Refusal
	return errors.As(err, &refusal)
}

// secretText is what may be a secret in a sentence, or a piece of one.
var secretText = regexp.MustCompile(secretBrand + `[0-9A-Za-z_]*`)

// redact hides secrets that people have put where none belongs.
func redact(text string) string {
	if !strings.Contains(text, secretBrand) {
		return text
	}
	return secretText.ReplaceAllString(text, "[redacted]")
}

func (p *Problem) redacted() *Problem {
	p.Detail, p.Next = redact(p.Detail), redact(p.Next)
	for i, field := range p.Errors {
		p.Errors[i] = FieldProblem{redact(field.Field), redact(field.Detail)}
	}
	return p
}

func (t translation) problem(err error) *Problem {
	p := problem(t.status, t.code, t.detail, t.next)
	if t.status == 499 {
		p.Title = "Client Closed Request"
	}
	var refusal *domain.Refusal
	switch {
	case errors.As(err, &refusal):
		p.Detail = refusal.Error()
		if refusal.Next != "" {
			p.Next = refusal.Next
		}
		if refusal.Field != "" {
			p.Errors = []FieldProblem{{"body." + refusal.Field, refusal.Detail}}
		}
	case t.detail == "":
		p.Detail = err.Error()
	}
	return p
}

// writeProblem answers with an error.
func writeProblem(w http.ResponseWriter, p *Problem) {
	p.head(w.Header(), "application/problem+json")
	w.WriteHeader(p.Status)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(p.of(w.Header().Get("X-Request-Id"))) // the caller has gone if it fails
}

// head sets what belongs above an error, in whatever shape it is written.
func (p *Problem) head(h http.Header, contentType string) {
	h.Set("Content-Type", contentType)
	for name, values := range p.GetHeaders() {
		h[name] = values
	}
}

// GetHeaders is what belongs above the error, for huma too.
func (p *Problem) GetHeaders() http.Header {
	switch p.Status {
	case http.StatusUnauthorized:
		return http.Header{"Www-Authenticate": {`Bearer realm="jeton"`}}
	case http.StatusServiceUnavailable:
		return http.Header{"Retry-After": {"1"}}
	case http.StatusTooManyRequests:
		return http.Header{"Retry-After": {strconv.Itoa(p.retry)}}
	}
	return nil
}

// of is the problem as the answer to a request.
func (p *Problem) of(request string) *Problem {
	answered := *p
	answered.RequestID = request
	return &answered
}

// Errors that huma finds itself (validation, content type, size) become problems
// too. huma keeps how to make them, and how strict to be, in variables of its
// package.
func init() {
	huma.NewError = func(status int, msg string, errs ...error) huma.StatusError { return humaProblem(status, msg, errs...) }
	huma.NewErrorWithContext = func(ctx huma.Context, status int, msg string, errs ...error) huma.StatusError {
		return humaProblem(status, msg, errs...).of(callerOf(ctx.Context()).Request)
	}
	huma.ValidateStrictCasing = true
}

var humaCodes = map[int]string{
	400: "malformed", 408: "timeout", 413: "too-large", 415: "media-type", 422: "invalid", 500: "internal",
}

// humaProblem says the first thing that is wrong as a sentence, and lists all. It
// never repeats a value.
func humaProblem(status int, msg string, errs ...error) *Problem {
	p := problem(status, humaCodes[status], msg, "see /api/openapi.json for what is expected")
	if p.Code == "" {
		p.Code = fmt.Sprint("http-", status)
	}
	if status >= 500 {
		p.Detail, p.Next = "something went wrong here", "tell the operator the request id"
		return p
	}
	for _, err := range errs {
		var detail huma.ErrorDetailer
		if errors.As(err, &detail) {
			d := detail.ErrorDetail()
			p.Errors = append(p.Errors, FieldProblem{location(d.Location), d.Message})
		}
	}
	if len(p.Errors) > 0 {
		p.Detail = p.Errors[0].Field + ": " + p.Errors[0].Detail
	}
	return p.redacted()
}

// location is where something is wrong. The name of an unknown field is text of
// the stranger: a long one is left out.
func location(path string) string {
	const most = 60
	if len(path) <= most {
		return path
	}
	kind, _, _ := strings.Cut(path, ".")
	return kind
}
