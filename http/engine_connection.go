package http

import (
	"jeton/domain"
	"jeton/projections"
)

// connection is a process of an engine that hears of changes.
type connection struct {
	Instance         string          `json:"instance" doc:"Which of the engine's processes it is, as it calls itself." example:"a1"`
	Version          string          `json:"version,omitempty" doc:"The version of its program." example:"4.0.1"`
	Address          string          `json:"address,omitempty" doc:"Where it is." example:"192.0.2.7"`
	Since            domain.Instant  `json:"since" format:"date-time" doc:"When it connected."`
	Seen             domain.Instant  `json:"seen" format:"date-time" doc:"When it was last heard of, or left."`
	Connected        bool            `json:"connected" doc:"Whether it is connected now. One that is not goes on alone for a while."`
	Position         domain.Position `json:"position,omitempty" doc:"Up to where of the log it has taken everything; absent: it has not said so yet."`
	Behind           bool            `json:"behind" doc:"Whether something has happened in the organization that it has not taken."`
	StalenessSeconds int64           `json:"staleness_seconds" doc:"How long it goes on letting bearers in without the platform."`
}

// connected adds the processes of an engine. last is the organization's last commit.
func (e *Engine) connected(all []projections.Connection, last domain.Position) {
	first := true
	for _, k := range all {
		e.Connections = append(e.Connections, connection{
			Instance: k.Instance, Version: k.Version, Address: k.Address, Since: k.Since, Seen: k.Seen, Connected: k.Connected,
			Position: k.Position, Behind: k.Position < last, StalenessSeconds: int64(k.Staleness.Seconds()),
		})
		e.LastSeenAt = max(e.LastSeenAt, k.Seen)
		if k.Connected && (first || k.Position < e.Position) {
			e.Position, first = k.Position, false
		}
	}
}
