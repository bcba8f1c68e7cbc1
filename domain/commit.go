package domain

// Position is the place of a commit in the log, from 1. It is also the version
// of an organization and the number of what the commit created, where clients
// need numbers: unique, rising, and nothing to hand out. Of several things
// created by one commit no two are of the same kind.
type Position uint64

// Boundary names whose history a commit belongs to: within it commits are
// decided one after the other.
type Boundary string

// DirectoryBoundary is the boundary above organizations.
const DirectoryBoundary Boundary = "directory"

// Boundary is where the organization's commits stand.
func (id OrganizationID) Boundary() Boundary { return Boundary(id.String()) }

// Meta is the occasion of a command: all that Decide and Evolve may know besides
// the state and the command itself.
type Meta struct {
	Position Position  // where the commit stands; 0 while it is being decided
	Command  CommandID // the commit's id: a command makes one commit or none
	Time     Instant
	// Organization is whose things the events are about. It is zero for commits
	// that are about the directory only.
	Organization OrganizationID
	Actor        Actor
	// Home is the organization that the actor's token belongs to, found by the
	// token itself. Commands above organizations ask for it; it is not stored.
	Home OrganizationID
	// Pass is the token that the actor shows, if it belongs to another organization
	// and follows its holder; nil: it does not. It is not stored.
	Pass *Pass
	// Gone: the actor's account was deleted. It is not stored.
	Gone bool
	// Replaced: the secret that was shown has been rotated out and still works for a
	// while. It is not stored.
	Replaced bool
	Request  string // request id, as the transport knows it
	Address  string // where the request came from, as far as the transport can tell
	Agent    string // what the program that sent it calls itself
	// Key is a hash of an idempotency key and of who gave it: within a day the
	// same key makes one commit. Zero: none was given.
	Key CommandID
	// Intent is a hash of the request behind the key, so that the key cannot be
	// used for something else.
	Intent CommandID
}

// Commit is what one command did.
type Commit struct {
	Meta
	Boundary Boundary
	// Before is the SHA-256 of the boundary's commit before this one as it was
	// stored; zero for the first. It chains the boundary's history.
	Before Hash
	Events []Event
	Sealed Sealed
}

// Sealed is what is personal in a commit, encrypted, on its way into the log and out of
// it: where it came from, and the e-mails of the people that its events register, in
// their order. What is here is empty in Meta and in the events. Package eventstore seals
// and opens it; no rule ever looks at it.
type Sealed struct {
	From   string
	People []string
}

// Event is a fact. Its Kind is stored and never changes its meaning.
type Event interface{ Kind() string }

// OrganizationEvent changes an organization.
type OrganizationEvent interface {
	Event
	Evolve(*Organization, Meta)
}

// DirectoryEvent changes the directory.
type DirectoryEvent interface {
	Event
	EvolveDirectory(*Directory, Meta)
}

// OrganizationCommand is decided against one organization.
type OrganizationCommand interface {
	Decide(*Organization, Meta) ([]Event, error)
}

// DirectoryCommand is decided against the directory.
type DirectoryCommand interface {
	Decide(*Directory, Meta) ([]Event, error)
}

// Evolve takes a commit's events into the organization they are about.
func (o *Organization) Evolve(c Commit) {
	o.forget()
	for _, e := range c.Events {
		if e, ok := e.(OrganizationEvent); ok {
			e.Evolve(o, c.Meta)
		}
	}
	o.Version = c.Position
}

// Evolve takes a commit's events into the directory.
func (d *Directory) Evolve(c Commit) {
	for _, e := range c.Events {
		if e, ok := e.(DirectoryEvent); ok {
			e.EvolveDirectory(d, c.Meta)
		}
	}
	d.Version = c.Position
}
