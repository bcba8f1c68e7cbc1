package http

import (
	"context"
	"strings"
	"unicode"
	"unicode/utf8"

	"jeton/domain"
)

// erasure is what may be said about the end of what is known of somebody.
type erasure struct {
	Reason string `json:"reason,omitempty" maxLength:"1000" doc:"Why, for the log." example:"asked for it"`
}

// accountErase answers POST /api/v1/accounts/{id}/erase: when this is answered, nobody can
// read any more what was known of the person. Who was erased before is erased still.
func (s *Server) accountErase(ctx context.Context, c Caller, in *struct {
	ID   string `path:"id" doc:"The number of the account, also of one that was deleted." example:"7"`
	Body *erasure
},
) (*nothing, error) {
	id := s.Model.AccountEverNumbered(position(in.ID))
	command := domain.EraseAccount{Account: id, Alone: s.Model.OwnedAlone(id)}
	if in.Body != nil {
		command.Reason = in.Body.Reason
	}
	outcome, err := s.Model.Erase(ctx, aboveOrganizations(c.Meta()), command)
	if err != nil {
		return nil, err
	}
	return &nothing{Views: s.settled(ctx, outcome.Position)}, nil
}

// maxAgent is how much is kept of what a program calls itself.
const maxAgent = 200 // characters

// agentOf is what a caller's program calls itself, as far as it prints, without secrets.
// Whoever sends a request controls all of it.
func agentOf(c Caller) string {
	text := redact(c.Agent[:min(len(c.Agent), maxRedacted)])
	n := 0
	return strings.Map(func(r rune) rune {
		if n == maxAgent || r == utf8.RuneError || !unicode.IsPrint(r) {
			return -1
		}
		n++
		return r
	}, text)
}

// maxRedacted bounds what is looked through for secrets.
const maxRedacted = 4 << 10 // bytes
