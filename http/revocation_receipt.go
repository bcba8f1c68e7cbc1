package http

import (
	"context"
	"time"

	"jeton/domain"
	"jeton/projections"
)

// receipt says how far the revocation of a token has come.
type receipt struct {
	Token     string          `json:"token" doc:"The id of the token." example:"0123456789abcdef"`
	Revoked   bool            `json:"revoked" doc:"Whether it is revoked at all."`
	RevokedAt domain.Instant  `json:"revoked_at,omitzero" format:"date-time" doc:"When it was revoked. At the platform it opens nothing from then on."`
	Position  domain.Position `json:"position,omitempty" doc:"Where that stands in the log."`
	Complete  bool            `json:"complete" doc:"Whether it opens nothing anywhere: every process of every engine that keeps a copy has taken the revocation, or lets nobody in."`
	Engines   []engineReceipt `json:"engines" nullable:"false" doc:"The processes that have, or had, a copy then."`
}

// engineReceipt is what a process of an engine has confirmed.
type engineReceipt struct {
	Engine    domain.Position `json:"engine" doc:"The number of the engine." example:"12"`
	Name      string          `json:"name,omitempty" doc:"Its name; absent: it was deleted." example:"prod"`
	Instance  string          `json:"instance" doc:"Which of its processes it is." example:"a1"`
	Version   string          `json:"version,omitempty" doc:"The version of its program."`
	Connected bool            `json:"connected" doc:"Whether it is connected now."`
	Confirmed bool            `json:"confirmed" doc:"Whether it has said that it has taken the revocation: from then on it refuses the token."`
	TookMS    *int64          `json:"took_ms,omitempty" doc:"How many milliseconds after the revocation it said so; absent: it has not, or so long ago that it is not known any more."`
	ClosesAt  domain.Instant  `json:"closes_at,omitzero" format:"date-time" doc:"Of one that is not connected: when it lets nobody in any more."`
	Position  domain.Position `json:"position,omitempty" doc:"Up to where of the log it has taken everything; absent: it has not said so yet."`
}

// tokenRevocation answers GET /api/v1/organizations/{org}/tokens/{id}/revocation.
func (s *Server) tokenRevocation(ctx context.Context, c Caller, in *struct {
	InToken
	Wait int `query:"wait" minimum:"0" maximum:"30" doc:"How many seconds to wait for the revocation to be complete."`
},
) (*answer[receipt], error) {
	id, known, err := s.tokenOf(c, in.ID)
	if err != nil {
		return nil, err
	}
	if err := s.mayRead(c, known); err != nil {
		return nil, err
	}
	body := receipt{Token: id.String(), Revoked: known.Revoked, Engines: []engineReceipt{}}
	if !known.Revoked {
		return &answer[receipt]{Body: body}, nil
	}
	if s.settled(ctx, known.Changed) != "" {
		return nil, projections.ErrViews
	}
	row, err := s.Views.Token(ctx, c.Organization, id)
	if err != nil {
		return nil, err
	}
	body.RevokedAt, body.Position = row.Revoked, known.Changed
	s.awaitReceipts(ctx, c.Organization, &body, time.Duration(in.Wait)*time.Second)
	return &answer[receipt]{Body: body}, nil
}

// awaitReceipts fills in the receipts, and does so again with every change until the
// revocation is complete or the wait is over. That somebody has closed is no change,
// so it looks with every heartbeat, too.
func (s *Server) awaitReceipts(ctx context.Context, org domain.OrganizationID, body *receipt, wait time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	if s.Stopping != nil {
		defer context.AfterFunc(s.Stopping, cancel)()
	}
	beat := time.NewTicker(s.streams.beat())
	defer beat.Stop()
	for {
		changed := s.Connections.Changed()
		if s.fillIn(org, body); body.Complete || ctx.Err() != nil {
			return
		}
		select {
		case <-changed:
		case <-beat.C:
		case <-ctx.Done():
		}
	}
}

func (s *Server) fillIn(org domain.OrganizationID, body *receipt) {
	now := domain.At(s.now())
	body.Complete, body.Engines = true, []engineReceipt{}
	for _, r := range s.Connections.Receipts(org, body.Position, body.RevokedAt) {
		known, _ := s.Model.Engine(org, r.Engine)
		of := engineReceipt{
			Engine: r.Engine, Name: known.Name, Instance: r.Instance, Version: r.Version,
			Connected: r.Connected, Confirmed: r.Confirmed, ClosesAt: r.ClosesAt, Position: r.Position,
		}
		if r.Confirmed && r.ConfirmedAt != 0 {
			of.TookMS = new(int64)
			*of.TookMS = max(0, int64(r.ConfirmedAt-body.RevokedAt))
		}
		closed := !r.Connected && r.ClosesAt <= now
		body.Complete = body.Complete && (r.Confirmed || closed)
		body.Engines = append(body.Engines, of)
	}
}
