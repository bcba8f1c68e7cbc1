package http

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"time"

	"jeton/domain"
)

// engineTokenReplacement says what the new access token of an engine is to be like.
type engineTokenReplacement struct {
	Networks *[]string `json:"networks,omitempty" maxItems:"50" doc:"From where alone it works; empty: from anywhere the policy allows. Without it: from where the old one did." example:"[\"10.0.0.0/8\"]"`
	Expiry
}

// engineTokenReplaced is an engine with its new access token.
type engineTokenReplaced struct {
	Engine
	AccessToken string `json:"access_token" doc:"What it shows to the platform from now on. It is shown this once." example:"jtn_adm_…"`
}

// verificationRotated is an engine with its new verification token.
type verificationRotated struct {
	Engine
	VerificationToken string `json:"verification_token,omitempty" doc:"What is shown to the engine from now on. It is shown this once, and only if it was not sent." example:"jtn_ver_…"`
}

type verificationRotation struct {
	VerificationToken string `json:"verification_token,omitempty" maxLength:"256" doc:"One of your own, 16 to 256 characters. Without it one is drawn."`
}

// engineTokenReplace answers POST /api/v1/organizations/{org}/engines/{id}/replace-token.
// The old access token ends at once, whatever has become of it. It is not repeated by
// an Idempotency-Key: whoever has lost the answer has lost the token, and replaces it
// again.
func (s *Server) engineTokenReplace(ctx context.Context, c Caller, in *struct {
	InEngine
	IfMatch
	Body *engineTokenReplacement
},
) (*answer[engineTokenReplaced], error) {
	known, err := s.engineNumbered(c, in.ID)
	if err != nil {
		return nil, err
	}
	wanted := cmp.Or(in.Body, new(engineTokenReplacement))
	token, secret, err := newEngineToken(wanted.Expiry, s.now())
	if err != nil {
		return nil, err
	}
	if token.Networks, err = s.engineNetworks(c, known, wanted.Networks); err != nil {
		return nil, err
	}
	command := domain.ReplaceEngineToken{Engine: known.Number, EngineToken: token}
	if command.Seen, err = in.seen(); err != nil {
		return nil, err
	}
	if _, err := s.Model.Execute(ctx, c.Meta(), command); err != nil {
		return nil, err
	}
	shown := s.engineChanged(ctx, c, known.Number)
	return &answer[engineTokenReplaced]{ETag: shown.ETag, Views: shown.Views, Body: engineTokenReplaced{shown.Body, secret}}, nil
}

// newEngineToken draws an access token that works from anywhere, and its secret.
func newEngineToken(wanted Expiry, now time.Time) (t domain.EngineToken, secret string, err error) {
	t.Token = domain.TokenID{ID: domain.RandomID()}
	if t.Expires, t.Never, err = wanted.expires(now); err != nil {
		return t, "", err
	}
	drawn, err := domain.NewSecret(domain.Administrative, t.Token, rand.Reader)
	if err != nil {
		return t, "", err
	}
	t.Hash = drawn.Hash()
	return t, drawn.Reveal(), nil
}

// engineNetworks is from where the next access token of an engine is to work. Who does
// not say does not loosen it.
func (s *Server) engineNetworks(c Caller, known domain.Engine, wanted *[]string) ([]domain.Network, error) {
	if wanted != nil {
		return networks(*wanted)
	}
	old, _ := s.Model.Standing(c.Organization, known.Token)
	return old.Terms.Networks, nil
}

// verification is a verification token's hash: of the one that is wanted or, if none
// is, of one that is made. Who sends one of their own is free in what it looks like.
func verification(wanted string) (made string, hash domain.Hash, err error) {
	if wanted != "" {
		return "", sha256.Sum256([]byte(wanted)), domain.CheckVerification(wanted)
	}
	secret, err := domain.NewVerification(rand.Reader)
	if err != nil {
		return "", hash, err
	}
	return secret.Reveal(), secret.Hash(), nil
}

// verificationRotate answers POST /api/v1/organizations/{org}/engines/{id}/rotate-verification.
// The old verification token ends at once. It is not repeated by an Idempotency-Key:
// whoever has lost the answer has lost the token, and rotates again.
func (s *Server) verificationRotate(ctx context.Context, c Caller, in *struct {
	InEngine
	IfMatch
	Body *verificationRotation
},
) (*answer[verificationRotated], error) {
	seen, err := in.seen()
	if err != nil {
		return nil, err
	}
	made, hash, err := verification(cmp.Or(in.Body, new(verificationRotation)).VerificationToken)
	if err != nil {
		return nil, err
	}
	shown, err := s.changeEngine(ctx, c, in.ID, seen, func(known domain.Engine) (command domain.UpdateEngine, err error) {
		if known.Open {
			return command, domain.Refuse(domain.ErrState, "the engine lets everybody in and has no verification token", "change it to not be open, with a verification token")
		}
		door := known.Door
		door.Verification = hash
		command.Door = &door
		return command, nil
	})
	if err != nil {
		return nil, err
	}
	return &answer[verificationRotated]{ETag: shown.ETag, Views: shown.Views, Body: verificationRotated{shown.Body, made}}, nil
}
