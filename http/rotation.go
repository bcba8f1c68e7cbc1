package http

import (
	"context"
	"crypto/rand"
	"time"

	"jeton/domain"
)

type rotation struct {
	Overlap string `json:"overlap,omitempty" maxLength:"40" doc:"How long the old secret still works, as in 1h or 2d: at most what the policy allows, 7 days, and its own end. Without it the old secret ends at once, as it should after a leak." example:"1h"`
	Expiry
}

// tokenRotated is a token with its new secret.
type tokenRotated struct {
	Token
	Secret string `json:"secret" doc:"What its bearer shows from now on. It is shown this once." example:"jtn_pat_…"`
}

// tokenRotate answers POST /api/v1/organizations/{org}/tokens/{id}/rotate. It is not
// repeated by an Idempotency-Key: whoever has lost the answer has lost the secret,
// and rotates again.
func (s *Server) tokenRotate(ctx context.Context, c Caller, in *struct {
	InToken
	IfMatch
	Body *rotation
},
) (*answer[tokenRotated], error) {
	id, t, err := s.tokenOf(c, in.ID)
	if err != nil {
		return nil, err
	}
	command, err := in.Body.command(id, s.now())
	if err != nil {
		return nil, err
	}
	if command.Seen, err = in.seen(); err != nil {
		return nil, err
	}
	secret, err := domain.NewSecret(t.Kind, id, rand.Reader)
	if err != nil {
		return nil, err
	}
	command.Hash = secret.Hash()
	if _, err := s.Model.Execute(ctx, c.Meta(), command); err != nil {
		return nil, err
	}
	shown := s.tokenChanged(ctx, c, id)
	return &answer[tokenRotated]{ETag: shown.ETag, Views: shown.Views, Body: tokenRotated{shown.Body, secret.Reveal()}}, nil
}

// command is the rotation as the domain has it; without a body it is the plainest.
func (wanted *rotation) command(id domain.TokenID, now time.Time) (command domain.RotateToken, err error) {
	command.Token = id
	if wanted == nil {
		return command, nil
	}
	if command.Overlap, err = length("overlap", wanted.Overlap); err != nil {
		return command, err
	}
	command.Expires, err = wanted.rotated(now)
	return command, err
}

// rotated is when a rotated token ends that asks for an end. One that never ended
// does so again without asking.
func (e Expiry) rotated(now time.Time) (domain.Instant, error) {
	at, never, err := e.expires(now)
	if never {
		return 0, domain.Invalid("expires_in", "is never, and a rotation does not take an end away", "change the token's end first, or leave it out")
	}
	return at, err
}
