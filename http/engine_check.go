package http

import (
	"cmp"
	"net/http"
	"net/netip"

	"jeton/domain"
	"jeton/projections"
)

// entranceRequest asks about somebody who stands at the door of an engine.
type entranceRequest struct {
	Token          string `json:"token,omitempty" doc:"What they show; empty: nothing." maxLength:"4096"`
	Permission     string `json:"permission,omitempty" doc:"What they want to do there; without it: to come in at all." maxLength:"100"`
	Resource       string `json:"resource,omitempty" doc:"On what; without it: on nothing in particular." maxLength:"1000"`
	ForwardedEmail string `json:"forwarded_email,omitempty" doc:"Whom they say they act for. Only the bearer of the verification token is believed." maxLength:"254"`
	IP             string `json:"ip,omitempty" doc:"Where they are. A token that is bound to networks does not come in without it." maxLength:"64"`
	UserAgent      string `json:"user_agent,omitempty" doc:"What their program calls itself." maxLength:"1000"`
}

func (asked *entranceRequest) quick(body []byte) bool {
	token, ok := onlyString(body, `{"token":"`)
	if ok {
		asked.Token = token
	}
	return ok
}

// entranceAnswer says who comes in, or that nobody does. Of what is no token of the
// engine's organization, and of what does not come in at any engine, it is
// {"allowed":false} and nothing else.
type entranceAnswer struct {
	Allowed   bool           `json:"allowed" doc:"Whether they come in, and may do what was asked for."`
	Via       domain.Via     `json:"via,omitempty" enum:"personal,service,verification,open" doc:"What they came in with: a token of a member or of a service account, the verification token, or nothing, because the engine is open."`
	Email     string         `json:"email,omitempty" doc:"The member's e-mail; with the verification token: whom its bearer says they act for."`
	Subject   string         `json:"subject,omitempty" doc:"Who they are, for ever: user:<number> or service:<number>."`
	Role      string         `json:"role,omitempty" doc:"The member's role."`
	Token     string         `json:"token,omitempty" doc:"The id of the token that was shown."`
	ExpiresAt domain.Instant `json:"expires_at,omitzero" format:"date-time" doc:"When it ends; absent: never."`
	Reason    domain.Reason  `json:"reason,omitempty" doc:"Why it does not come in."`
	Limit     *allowance     `json:"limit,omitempty" doc:"What is left of its limit; absent: it has none."`
	Warning   string         `json:"warning,omitempty" doc:"What its bearer should be told: that it ends soon, or that its secret was replaced."`
}

// engineCheck answers POST /api/v1/engines/check, from memory.
func (s *Server) engineCheck(w http.ResponseWriter, r *http.Request, c Caller) error {
	var asked entranceRequest
	if err := decode(r, &asked); err != nil {
		return err
	}
	use := projections.Use{Permission: asked.Permission, Resource: domain.Resource(asked.Resource), Agent: redact(asked.UserAgent), Engine: c.ID}
	var err error
	if use.Address, err = addressIn("ip", asked.IP); err != nil {
		return err
	}
	came, err := s.Model.Enter(c.Organization, c.Engine, asked.Token, asked.ForwardedEmail, use)
	if err != nil {
		return err
	}
	s.meter.checked(cmp.Or(came.Reason, came.Denied))
	return encode(w, s.entrance(&came))
}

// addressIn reads the address of a bearer; empty: nobody says.
func addressIn(field, text string) (from netip.Addr, err error) {
	if text == "" {
		return from, nil
	}
	if from, err = netip.ParseAddr(text); err != nil {
		return from, domain.Invalid(field, "is no IP address", "write it like 192.0.2.1 or 2001:db8::1")
	}
	return from.Unmap().WithZone(""), nil
}

func (s *Server) entrance(came *projections.Entered) entranceAnswer {
	answer := entranceAnswer{Allowed: came.Via != domain.ViaNothing, Via: came.Via, Email: came.Email}
	if came.Token.Kind == domain.NoKind {
		return answer
	}
	answer.Token, answer.ExpiresAt, answer.Limit = came.ID.String(), came.Token.Expires, left(&came.Checked)
	if !answer.Allowed {
		answer.Reason = cmp.Or(came.Reason, came.Denied)
		return answer
	}
	answer.Warning = warn(&came.Checked)
	switch came.Via {
	case domain.ViaPersonal:
		answer.Subject, answer.Role = subject("user:", came.Account.Number), string(came.Role)
	case domain.ViaService:
		account, _ := s.Model.ServiceAccount(came.Organization, came.Token.Holder)
		answer.Subject = subject("service:", account.Number)
	}
	return answer
}
