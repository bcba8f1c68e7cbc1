package http

import (
	"context"
	"slices"
	"time"

	"jeton/domain"
)

// usage is how a token was used. It is gathered off the way of checks and told
// now and then, so it may be a minute old.
type usage struct {
	LastUsedAt  domain.Instant `json:"last_used_at,omitzero" format:"date-time" doc:"When it was last used."`
	Networks    []usedNetwork  `json:"networks,omitempty" doc:"The last five networks that it was used from."`
	Engine      string         `json:"engine,omitempty" doc:"The id of the token that whoever asked about it last has shown."`
	UserAgent   string         `json:"user_agent,omitempty" doc:"What its bearer's program last called itself."`
	Days        []usedDay      `json:"days,omitempty" doc:"How often it was used on each of the last 30 days on which it was."`
	Permissions []string       `json:"permissions,omitempty" doc:"Which of its permissions were used."`
	Unused      []string       `json:"never_used,omitempty" doc:"Which of its permissions were never used: it could be narrowed by these."`
}

// usageOf is how a token was used; nil: it was not, as far as it is known.
func (s *Server) usageOf(ctx context.Context, org domain.OrganizationID, id domain.TokenID) (*usage, error) {
	row, err := s.Views.Usage(ctx, org, id)
	if err != nil || row.Last == 0 {
		return nil, err
	}
	used := &usage{LastUsedAt: s.shownUse(org, row.Last), UserAgent: row.Agent, Permissions: row.Permissions}
	if !row.Engine.IsZero() {
		used.Engine = row.Engine.String()
	}
	for _, n := range row.Networks {
		used.Networks = append(used.Networks, usedNetwork{n.Network.String(), s.shownUse(org, n.Last)})
	}
	for _, d := range row.Days {
		used.Days = append(used.Days, usedDay{d.Day.Time().Format(time.DateOnly), d.N})
	}
	return used, nil
}

// narrow says which of what a token may do was never used.
func (u *usage) narrow(allows []string) {
	if u == nil {
		return
	}
	for _, name := range allows {
		if !slices.Contains(u.Permissions, name) {
			u.Unused = append(u.Unused, name)
		}
	}
}

type usedNetwork struct {
	Network string         `json:"network" doc:"The network: 24 bits of an IPv4 address, 48 of an IPv6 one." example:"192.0.2.0/24"`
	LastAt  domain.Instant `json:"last_at" format:"date-time" doc:"When it was last used from there."`
}

type usedDay struct {
	Day   string `json:"day" format:"date" doc:"The day, in UTC." example:"2026-11-22"`
	Count int64  `json:"count" doc:"How often."`
}
