package engine

import "jeton/domain"

// What platform and engine say to each other. Platform to engine is a stream of
// lines, each one JSON object, in the answer to GET StreamPath; engine to platform
// is a Report in the body of POST ReportPath. Both are asked with the engine's access
// token as Authorization: Bearer.
const (
	StreamPath = "/api/v1/engines/stream"
	ReportPath = "/api/v1/engines/report"
)

// Line is a line of the stream. One of its fields is set; of a line in which none is
// that the reader knows nothing follows.
//
// A stream begins with Hello. Reset says that what the engine has does not count any
// more: it is at position 0, and all of it comes again. Until the next Mark the engine
// goes on with what it had. Pieces say how something is now, and hold from when they
// are read. A Mark says that all that happened up to a position has been told.
type Line struct {
	Hello *Hello `json:"hello,omitempty"`
	Reset bool   `json:"reset,omitempty"`
	domain.Piece
	Mark *Mark `json:"mark,omitempty"`
}

// Hello says who speaks, and for whom.
type Hello struct {
	Platform     string          `json:"platform"` // version of the program
	Log          string          `json:"log"`      // which log positions are of
	Organization domain.Position `json:"organization"`
	Engine       domain.Position `json:"engine"`
}

// Mark says (where behind a Reset everybody is at 0) that whoever was at From and has taken all pieces before it is at To. If
// the engine is not at From, it has missed something: it takes nothing more from this
// stream and begins another one. A mark comes behind all pieces of a change, and each
// second also if nothing has changed.
type Mark struct {
	From domain.Position `json:"from"`
	To   domain.Position `json:"to"`
	At   domain.Instant  `json:"at"` // the platform's clock
}

// What an engine says in the query of the stream.
const (
	QueryAfter     = "after"         // its position, 0: it has nothing
	QueryLog       = "log"           // Hello.Log of what it has
	QueryInstance  = "instance"      // which process of the engine this is: 1 to 64 letters, digits, - and _
	QueryVersion   = "version"       // of the engine's program, at most 64 characters
	QueryStaleness = "max_staleness" // how long it goes on without the platform, in seconds
)

// Report says how far a process of an engine is, and how tokens were used there.
type Report struct {
	Instance string          `json:"instance"`
	Position domain.Position `json:"position"`
	Uses     []Use           `json:"uses,omitempty"`   // since the report before; at most MaxUses
	Reused   []Reuse         `json:"reused,omitempty"` // since the report before; at most MaxReused
}

const (
	// MaxUses is how many uses a report has at most.
	MaxUses = 500
	// MaxReused is how many secrets a report has at most that were rotated out.
	MaxReused = 100
)

// Use is how a token was used since the last report.
type Use struct {
	Token       domain.TokenID `json:"token"`
	Count       uint32         `json:"count"`
	Last        domain.Instant `json:"last"`
	Address     string         `json:"address,omitempty"` // of its last bearer
	Agent       string         `json:"agent,omitempty"`
	Permissions []string       `json:"permissions,omitempty"` // that were asked for and allowed
}

// Reuse is a secret of a token that was rotated out and is shown all the same: by a
// program that was forgotten, or by a thief. A process says so of each once an hour at
// most.
type Reuse struct {
	Token domain.TokenID `json:"token"`
	Hash  domain.Hash    `json:"hash"` // of the secret
}
