package http

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"time"

	"jeton/domain"
	"jeton/engine"
	"jeton/projections"
)

// reportBody is enough for a report of engine.MaxUses uses.
const reportBody = 1 << 20

// engineReport is what engine.Report is on the wire.
type engineReport struct {
	Instance string          `json:"instance" maxLength:"64" doc:"Which of the engine's processes reports: 1 to 64 letters, digits, - and _." example:"a1"`
	Position domain.Position `json:"position" doc:"Up to where of the log it has taken everything; 0: it has nothing yet."`
	Uses     []engineUse     `json:"uses,omitempty" maxItems:"500" doc:"How tokens were used there since its last report."`
	Reused   []engineReuse   `json:"reused,omitempty" maxItems:"100" doc:"Secrets that were shown there and had been rotated out."`
}

// engineUse is how a token was used. One that the engine cannot know is ignored.
type engineUse struct {
	Token       string   `json:"token" maxLength:"16" doc:"The id of the token." example:"0123456789abcdef"`
	Count       uint32   `json:"count" minimum:"1" doc:"How many times."`
	Last        string   `json:"last" format:"date-time" doc:"When it was last used."`
	Address     string   `json:"address,omitempty" maxLength:"64" doc:"Where its last bearer was."`
	Agent       string   `json:"agent,omitempty" maxLength:"1000" doc:"What their program calls itself."`
	Permissions []string `json:"permissions,omitempty" maxItems:"512" doc:"What was asked for and allowed."`
}

// engineReuse is a secret that was rotated out. One that is none is ignored.
type engineReuse struct {
	Token string `json:"token" maxLength:"16" doc:"The id of the token." example:"0123456789abcdef"`
	Hash  string `json:"hash" maxLength:"64" doc:"SHA-256 of the secret, in hexadecimal digits."`
}

// engineReport answers POST /api/v1/engines/report. A report in which something is
// wrong counts for nothing.
func (s *Server) engineReport(w http.ResponseWriter, r *http.Request, c Caller) error {
	var said engineReport
	if err := decode(r, &said); err != nil {
		return err
	}
	uses, err := said.read()
	if err != nil {
		return err
	}
	reused, err := said.readReused()
	if err != nil {
		return err
	}
	if err := s.happened(r.Context(), said.Position); err != nil {
		return err
	}
	s.Connections.Confirm(c.Organization, c.Engine, said.Instance, said.Position)
	s.Model.CountUses(c.Organization, c.ID, uses)
	s.Model.CountReuses(c.Organization, reused)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// instances is what processes of engines call themselves.
var instances = regexp.MustCompile(`^[0-9A-Za-z_-]{1,64}$`)

func checkInstance(name string) error {
	if !instances.MatchString(name) {
		return domain.Invalid("instance", "is missing, or no name of a process", "use 1 to 64 letters, digits, - and _")
	}
	return nil
}

// read is the uses in a report.
func (said *engineReport) read() ([]projections.Counted, error) {
	if err := checkInstance(said.Instance); err != nil {
		return nil, err
	}
	if len(said.Uses) > engine.MaxUses {
		return nil, domain.Invalid("uses", "has %d uses", fmt.Sprintf("report at most %d at once", engine.MaxUses), len(said.Uses))
	}
	uses := make([]projections.Counted, len(said.Uses))
	for i := range said.Uses {
		var err error
		if uses[i], err = said.Uses[i].read(fmt.Sprintf("uses[%d].", i)); err != nil {
			return nil, err
		}
	}
	return uses, nil
}

func (u *engineUse) read(at string) (use projections.Counted, err error) {
	id, err := domain.ParseID(u.Token)
	if err != nil {
		return use, domain.Invalid(at+"token", "is no id of a token", "send the 16 characters behind the kind in its secret")
	}
	if u.Count == 0 {
		return use, domain.Invalid(at+"count", "is missing", "leave out what was not used")
	}
	use = projections.Counted{Token: domain.TokenID{ID: id}, Count: u.Count, Agent: redact(u.Agent), Permissions: u.Permissions}
	if use.Last, err = moment(at+"last", u.Last); err != nil {
		return use, err
	}
	use.Address, err = addressIn(at+"address", u.Address)
	return use, err
}

// readReused is the secrets in a report that were rotated out.
func (said *engineReport) readReused() ([]projections.Reuse, error) {
	if len(said.Reused) > engine.MaxReused {
		return nil, domain.Invalid("reused", "has %d secrets", fmt.Sprintf("report at most %d at once", engine.MaxReused), len(said.Reused))
	}
	reused := make([]projections.Reuse, len(said.Reused))
	for i, u := range said.Reused {
		at := fmt.Sprintf("reused[%d].", i)
		id, err := domain.ParseID(u.Token)
		if err != nil {
			return nil, domain.Invalid(at+"token", "is no id of a token", "send the 16 characters behind the kind in its secret")
		}
		if reused[i].Token.ID = id; reused[i].Hash.UnmarshalText([]byte(u.Hash)) != nil {
			return nil, domain.Invalid(at+"hash", "is no hash", "send the SHA-256 of the secret in 64 hexadecimal digits")
		}
	}
	return reused, nil
}

// newsPatience is how long an engine is waited for that has heard of something from
// another node before this one has. It is shorter than an engine waits for a line.
const newsPatience = 2 * time.Second

// happened refuses a position that the log does not have, also after a while.
func (s *Server) happened(ctx context.Context, at domain.Position) error {
	ctx, cancel := context.WithTimeout(ctx, s.streams.news())
	defer cancel()
	err := s.Model.Wait(ctx, at)
	if ctx.Err() != nil {
		return domain.Refuse(domain.ErrState, "the log does not go as far as position %d here", "send the report again; if it goes on, connect anew and read everything", at)
	}
	return err
}
