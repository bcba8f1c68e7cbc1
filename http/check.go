package http

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"sync"
	"unicode/utf8"

	"jeton/domain"
	"jeton/projections"
)

// checkRequest asks about a token.
type checkRequest struct {
	Token        string `json:"token" doc:"The secret that somebody showed." maxLength:"4096"`
	Organization string `json:"organization,omitempty" doc:"Alias or number: the token must belong to this organization." maxLength:"64"`
	Permission   string `json:"permission,omitempty" doc:"Also answer whether the token allows this." maxLength:"100"`
	Resource     string `json:"resource,omitempty" doc:"What it is to be allowed on." maxLength:"1000"`
	IP           string `json:"ip,omitempty" doc:"Where the bearer comes from. A token that is bound to networks is not active without it." maxLength:"64"`
	UserAgent    string `json:"user_agent,omitempty" doc:"What the bearer's program calls itself." maxLength:"1000"`
}

func (asked *checkRequest) quick(body []byte) bool {
	token, ok := onlyString(body, `{"token":"`)
	if ok {
		asked.Token = token
	}
	return ok
}

// checkAnswer says whether the token is good. For one that belongs to another
// organization than the caller's, and for what is no token, it is
// {"active":false} and nothing else; for one of the caller's own that is not good
// it says why.
type checkAnswer struct {
	Active         bool            `json:"active" doc:"Whether the token opens anything now."`
	Allowed        *bool           `json:"allowed,omitempty" doc:"Whether it has the permission that was asked for, on the resource that was asked for."`
	Reason         domain.Reason   `json:"reason,omitempty" doc:"Why it is not active, or not allowed."`
	Kind           string          `json:"kind,omitempty" enum:"personal,administrative,service" doc:"The kind of token."`
	Token          string          `json:"token,omitempty" doc:"The token's id."`
	Organization   string          `json:"organization,omitempty" doc:"The alias of the organization in which it was checked."`
	OrganizationID domain.Position `json:"organization_id,omitempty" doc:"The number of that organization."`
	Subject        string          `json:"subject,omitempty" doc:"Whom it belongs to, for ever: user:<number>, service:<number> or organization:<number>."`
	Email          string          `json:"email,omitempty" doc:"The holder's e-mail, for personal tokens."`
	Role           string          `json:"role,omitempty" doc:"The holder's role, for personal tokens."`
	ExpiresAt      domain.Instant  `json:"expires_at,omitzero" format:"date-time" doc:"When it ends; absent: never."`
	Warning        string          `json:"warning,omitempty" doc:"What its bearer should be told: that it ends soon, or that its secret was replaced."`
	Limit          *allowance      `json:"limit,omitempty" doc:"What is left of its limit; absent: it has none."`
}

// allowance is what is left of a limit.
type allowance struct {
	Requests   uint32         `json:"requests" doc:"How many requests a window has."`
	Window     domain.Seconds `json:"window" doc:"How long a window is, in seconds."`
	Remaining  uint32         `json:"remaining" doc:"How many are left in this one."`
	RetryAfter int            `json:"retry_after" doc:"In how many seconds the next one begins."`
}

func (a checkAnswer) appendJSON(text []byte) []byte {
	text = strconv.AppendBool(append(text, `{"active":`...), a.Active)
	if a.Allowed != nil {
		text = strconv.AppendBool(append(text, `,"allowed":`...), *a.Allowed)
	}
	text = appendField(text, "reason", string(a.Reason))
	text = appendField(text, "kind", a.Kind)
	text = appendField(text, "token", a.Token)
	text = appendField(text, "organization", a.Organization)
	if a.OrganizationID != 0 {
		text = strconv.AppendUint(append(text, `,"organization_id":`...), uint64(a.OrganizationID), 10)
	}
	text = appendField(text, "subject", a.Subject)
	text = appendField(text, "email", a.Email)
	text = appendField(text, "role", a.Role)
	if a.ExpiresAt != 0 {
		text, _ = a.ExpiresAt.AppendText(append(text, `,"expires_at":"`...)) // it never fails
		text = append(text, '"')
	}
	text = appendField(text, "warning", a.Warning)
	if a.Limit != nil {
		limit, _ := json.Marshal(a.Limit) // of numbers only
		text = append(append(text, `,"limit":`...), limit...)
	}
	return append(text, "}\n"...)
}

// check answers POST /api/v1/check. It does without huma: it is asked on every
// request of every engine.
func (s *Server) check(w http.ResponseWriter, r *http.Request, c Caller) error {
	var asked checkRequest
	if err := decode(r, &asked); err != nil {
		return err
	}
	use, err := asked.use(c)
	if err != nil {
		return err
	}
	found, err := s.Model.CheckFor(c.Organization, asked.Token, use)
	if err != nil {
		return err
	}
	s.meter.checked(found.Reason)
	return encode(w, asked.answer(s.Model, &found))
}

// use is how the bearer uses the token, as far as the caller says.
func (asked *checkRequest) use(c Caller) (use projections.Use, err error) {
	if asked.Token == "" {
		return use, domain.Invalid("token", "is missing", "send the token that is to be checked")
	}
	use = projections.Use{Permission: asked.Permission, Resource: domain.Resource(asked.Resource), Agent: redact(asked.UserAgent), Engine: c.ID}
	use.Address, err = addressIn("ip", asked.IP)
	return use, err
}

func (asked *checkRequest) answer(m *projections.Model, found *projections.Checked) checkAnswer {
	if found.Token.Kind == domain.NoKind {
		return checkAnswer{}
	}
	if asked.Organization != "" {
		if wanted, known := m.Find(asked.Organization); !known || wanted != found.Organization {
			return checkAnswer{}
		}
	}
	answer := checkAnswer{Reason: found.Reason, Token: found.ID.String(), Limit: left(found)}
	if found.Active() {
		answer = describe(m, found)
	}
	if asked.Permission != "" {
		allowed := found.Active() && found.Denied == domain.ReasonNone
		answer.Allowed = &allowed
	}
	return answer
}

func describe(m *projections.Model, found *projections.Checked) checkAnswer {
	answer := checkAnswer{
		Active: true, Reason: found.Denied, Kind: found.Token.Kind.String(), Token: found.ID.String(),
		Organization: found.Alias, OrganizationID: found.Number, ExpiresAt: found.Token.Expires,
		Warning: warn(found), Limit: left(found),
	}
	switch found.Token.Kind {
	case domain.Personal:
		answer.Subject = subject("user:", found.Account.Number)
		answer.Email, answer.Role = found.Account.Email, string(found.Role)
	case domain.Service:
		account, _ := m.ServiceAccount(found.Organization, found.Token.Holder)
		answer.Subject = subject("service:", account.Number)
	default:
		answer.Subject = subject("organization:", found.Number)
	}
	return answer
}

// left is what is left of the token's limit; nil: it has none.
func left(found *projections.Checked) *allowance {
	a := found.Allowance
	if a.IsZero() {
		return nil
	}
	return &allowance{a.Requests, a.Window, a.Remaining, seconds(a.Resets - found.At)}
}

// buffers are for bodies on their way in and out.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// decode reads a JSON body into v. Unknown fields, a second value and trailing
// text are errors; what was sent is not repeated, it could be a secret.
func decode(r *http.Request, v any) error {
	buffer := buffers.Get().(*bytes.Buffer)
	buffer.Reset()
	defer buffers.Put(buffer)
	if _, err := buffer.ReadFrom(r.Body); err != nil {
		return unreadable(err)
	}
	if v, can := v.(quick); can && v.quick(buffer.Bytes()) {
		return nil
	}
	if !utf8.Valid(buffer.Bytes()) {
		return problem(400, "malformed", "the body is not UTF-8", "send it as UTF-8")
	}
	decoder := json.NewDecoder(buffer)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(v); err != nil {
		return undecodable(err)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return problem(400, "malformed", "there is text behind the JSON value", "send one JSON value")
	}
	return nil
}

// readBody is all of a body, for those who verify it as it was sent.
func readBody(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, unreadable(err)
	}
	return body, nil
}

// encode answers 200 with v as JSON.
func encode(w http.ResponseWriter, v any) error {
	buffer := buffers.Get().(*bytes.Buffer)
	buffer.Reset()
	defer buffers.Put(buffer)
	if quick, can := v.(quickAnswer); can {
		buffer.Write(quick.appendJSON(buffer.AvailableBuffer()))
	} else if err := json.NewEncoder(buffer).Encode(v); err != nil {
		return err
	}
	w.Header()["Content-Type"] = jsonType
	_, _ = w.Write(buffer.Bytes()) // the caller has gone if it fails
	return nil
}

var jsonType = []string{"application/json"}
