package http

import (
	"cmp"
	"context"
	"strconv"

	"jeton/domain"
	"jeton/projections"
)

// labTokenCheck asks about a token.
type labTokenCheck struct {
	labCaller
	Token *string `json:"token"`
}

func (asked *labTokenCheck) quick(body []byte) bool {
	token, ok := onlyString(body, `{"token":"`)
	if ok {
		asked.Token = &token
	}
	return ok
}

// labTokenChecked says what a good token is. The engine wants org_id as a number,
// and compares the e-mail literally with labels of clones. token_type and
// valid_until are for later engines, which want a time in RFC 3339 or no key at all.
type labTokenChecked struct {
	OrgID      domain.Position `json:"org_id"`
	IsPersonal bool            `json:"is_personal"`
	Email      string          `json:"email,omitempty"`
	TokenType  string          `json:"token_type"`
	ValidUntil domain.Instant  `json:"valid_until,omitzero"`
}

func (a labTokenChecked) appendJSON(text []byte) []byte {
	text = strconv.AppendUint(append(text, `{"org_id":`...), uint64(a.OrgID), 10)
	text = strconv.AppendBool(append(text, `,"is_personal":`...), a.IsPersonal)
	if a.Email != "" {
		text = appendString(append(text, `,"email":`...), a.Email)
	}
	text = appendString(append(text, `,"token_type":`...), a.TokenType)
	if a.ValidUntil != 0 {
		text, _ = a.ValidUntil.AppendText(append(text, `,"valid_until":"`...)) // it never fails
		text = append(text, '"')
	}
	return append(text, "}\n"...)
}

// labTokenCheck answers engines, on every request that they get and with whatever
// their users typed, often nothing. It tells about the tokens of the caller's own
// organization only: an engine refuses the others anyway.
func (s *Server) labTokenCheck(_ context.Context, c Caller, asked labTokenCheck) (any, error) {
	if asked.Token == nil {
		return nil, domain.Invalid("token", "is missing", "send the token that is to be checked")
	}
	found, err := s.labCheck(c, *asked.Token)
	if err != nil {
		return nil, err
	}
	s.meter.checked(found.Reason)
	if !found.Active() {
		return nil, labInvalidToken
	}
	return labTokenCheckedOf(found), nil
}

// labCheck asks as an engine would have to decide: one that is registered here does not
// hear of tokens that its own door does not let in. It begins by asking about its own.
func (s *Server) labCheck(c Caller, token string) (projections.Checked, error) {
	use := projections.Use{Engine: c.ID}
	engine, registered := domain.Engine{}, false
	if c.Token.Kind == domain.Administrative {
		engine, registered = s.Model.EngineOf(c.Organization, c.ID)
	}
	if !registered || engine.Open || isOf(token, c.ID) {
		return s.Model.CheckFor(c.Organization, token, use)
	}
	came, err := s.Model.Enter(c.Organization, engine.Number, token, "", use)
	if err == nil && came.Via != domain.ViaPersonal && came.Via != domain.ViaService {
		refused := projections.Checked{}
		refused.Reason = cmp.Or(came.Reason, domain.ReasonDoor)
		return refused, nil
	}
	return came.Checked, err
}

// isOf reports whether a text is a secret with the handle of a token.
func isOf(text string, token domain.TokenID) bool {
	shown, _ := domain.ParseSecret(text)
	return shown.Token == token
}

func labTokenCheckedOf(found projections.Checked) labTokenChecked {
	answer := labTokenChecked{OrgID: found.Number, TokenType: "admin", ValidUntil: found.Token.Expires}
	if found.Token.Kind == domain.Personal {
		answer.IsPersonal, answer.TokenType, answer.Email = true, "personal", found.Account.Email
	}
	return answer
}
