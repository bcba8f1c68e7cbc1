package http

import (
	"context"
	"net/netip"

	"jeton/domain"
	"jeton/projections"
)

// entrant is a token at the door of an engine.
type entrant struct {
	Token   Token         `json:"token" doc:"The token, with who holds it."`
	Allowed bool          `json:"allowed" doc:"Whether its bearer comes in and may do what is asked for."`
	Reason  domain.Reason `json:"reason,omitempty" doc:"Why not."`
}

// entrants is a part of who comes in at an engine.
type entrants struct {
	Items             []entrant `json:"items" nullable:"false" doc:"This part of the list."`
	Next              string    `json:"next,omitempty" doc:"The cursor of the next page; absent on the last one."`
	Disabled          bool      `json:"disabled,omitempty" doc:"The engine lets nobody in."`
	Open              bool      `json:"open,omitempty" doc:"The engine lets everybody in, whatever they show: the list is not all who come in."`
	VerificationToken bool      `json:"verification_token,omitempty" doc:"Whoever has the engine's verification token comes in, too."`
	Count             int       `json:"count" doc:"How many tokens there are in the whole list."`
}

type entrantsAnswer struct {
	Link     string `header:"Link" doc:"The next page, as RFC 8288 writes it."`
	Position string `header:"Jeton-Position" doc:"Of an answer about the past: the last commit of the organization by then."`
	Body     entrants
}

func (a *entrantsAnswer) readAt(at domain.Position) { a.Position = decimal(at) }

// AccessQuery says what is wanted at the door. It is exported because huma looks into
// exported fields only.
type AccessQuery struct {
	Permission string `query:"permission" maxLength:"100" doc:"What the bearers want to do; without it: to come in." example:"clones.create"`
	Resource   string `query:"resource" maxLength:"200" doc:"On what, type:id; without it: on the engine." example:"clone:7"`
	Address    string `query:"address" maxLength:"45" doc:"From where; without it: from wherever a token works." example:"192.0.2.1"`
	All        bool   `query:"all" doc:"Those that do not come in as well, each with why."`
}

func (q AccessQuery) wanted() (w projections.Wanted, err error) {
	w.Permission, w.Resource = q.Permission, domain.Resource(q.Resource)
	if q.Address == "" {
		return w, nil
	}
	if w.Address, err = netip.ParseAddr(q.Address); err != nil {
		return w, inQuery(domain.Invalid("address", "is no address", "write it like 192.0.2.1 or 2001:db8::1"))
	}
	w.Address = w.Address.Unmap()
	return w, nil
}

// engineAccess answers GET /api/v1/organizations/{org}/engines/{id}/access, the newest
// token first.
func (s *Server) engineAccess(ctx context.Context, c Caller, in *struct {
	InEngine
	AccessQuery
	PageQuery
},
) (*entrantsAnswer, error) {
	wanted, err := in.wanted()
	if err != nil {
		return nil, err
	}
	engine, all, err := s.Model.Could(c.Organization, position(in.ID), wanted)
	if err != nil {
		return nil, inQuery(err)
	}
	chosen := chosenEntrants{by: map[domain.TokenID]projections.Entrant{}}
	for i := len(all) - 1; i >= 0; i-- {
		if e := all[i]; in.All || e.Via != domain.ViaNothing {
			chosen.order, chosen.by[e.Token] = append(chosen.order, e), e
		}
	}
	part, err := listing(ctx, in.PageQuery, "access", chosen.page(s, c), func(row projections.TokenRow) (entrant, domain.Position) {
		e := chosen.by[row.ID]
		return entrant{s.describeToken(row), e.Via != domain.ViaNothing, e.Reason}, row.Number
	})
	if err != nil {
		return nil, err
	}
	return &entrantsAnswer{Link: part.Link, Body: entrants{
		part.Body.Items, part.Body.Next, engine.Disabled, engine.Open && !engine.Disabled, !engine.Disabled && !engine.Verification.IsZero() && !(engine.NoFallback && engine.PersonalTokens), len(chosen.order),
	}}, nil
}

// chosenEntrants are those that are shown, the newest token first.
type chosenEntrants struct {
	order []projections.Entrant
	by    map[domain.TokenID]projections.Entrant
}

// page reads the rows of a part of them.
func (e chosenEntrants) page(s *Server, c Caller) func(context.Context, domain.Position, int) ([]projections.TokenRow, error) {
	return func(ctx context.Context, before domain.Position, limit int) ([]projections.TokenRow, error) {
		f := projections.TokenFilter{Organization: c.Organization, IDs: []domain.TokenID{}, Limit: limit}
		for _, one := range e.order {
			if (before == 0 || one.Number < before) && len(f.IDs) < limit {
				f.IDs = append(f.IDs, one.Token)
			}
		}
		if len(f.IDs) == 0 {
			return nil, nil
		}
		return s.Views.Tokens(ctx, f)
	}
}
