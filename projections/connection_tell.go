package projections

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"jeton/domain"
)

// said is what a node tells the others of connections, as JSON:
//
//	{"v": 1, "life": "…", "node": "a.example.org", "connections": [
//	  {"org": "…", "engine": 12, "instance": "…", "version": "4.0.1", "address": "192.0.2.7",
//	   "staleness": 60000, "since": "2026-11-22T08:00:00Z", "seen": "2026-11-22T08:00:05Z", "connected": true,
//	   "position": 99, "first": 3, "moves": [[98, 1795334403000], [99, 1795334405000]]}],
//	 "confirmations": [{"org": "…", "engine": 12, "instance": "…", "move": [100, 1795334406000]}]}
//
// A life is one of a node, from its start to its end. Connections are some of those
// that the node has or had, each as it is now: staleness is in milliseconds, and the
// first of its moves has the number first. Of two connections of one process the one
// that began later counts. Confirmations are of whoever has the connection.
//
// A node tells what has changed, and all of it every few seconds and when it hears
// of another node; so one that has missed something soon knows it, and one that says
// nothing is gone. What is not known here is ignored; v changes if that would be wrong.
type said struct {
	Version       int               `json:"v"`
	Life          domain.ID         `json:"life"`
	Node          string            `json:"node"`
	Connections   []json.RawMessage `json:"connections,omitempty"`
	Confirmations []confirmation    `json:"confirmations,omitempty"`
}

const saidVersion = 1

// told is a connection in what a node tells.
type told struct {
	Organization domain.OrganizationID `json:"org"`
	Engine       domain.Position       `json:"engine"`
	Instance     string                `json:"instance"`
	Version      string                `json:"version,omitempty"`
	Address      string                `json:"address,omitempty"`
	Staleness    int64                 `json:"staleness"`
	Since        domain.Instant        `json:"since"`
	Seen         domain.Instant        `json:"seen"`
	Connected    bool                  `json:"connected,omitempty"`
	Position     domain.Position       `json:"position,omitempty"`
	First        uint64                `json:"first"`
	Moves        []move                `json:"moves,omitempty"`
}

// confirmation is what a process has said to a node that does not have its stream.
type confirmation struct {
	Organization domain.OrganizationID `json:"org"`
	Engine       domain.Position       `json:"engine"`
	Instance     string                `json:"instance"`
	Move         move                  `json:"move"`
}

const (
	tellingPause = 100 * time.Millisecond // between two times of telling
	lookingPause = time.Second            // between two looks at what has been silent
	tellAllEvery = 5                      // looks

	manyOutgoing = 1024 // confirmations that wait for being told; more come again with the next report
	oldMoves     = 32   // of a connection are told again with all of it
	newMoves     = 1024 // at most, if there are so many new ones
)

// Run tells the other nodes what changes here, hears them, and ends what nobody has
// heard of for 15 seconds, until ctx ends. While the others cannot be reached what is
// here is known here; then they are told all of it.
func (c *Connections) Run(ctx context.Context) error {
	talking, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		defer stop()
		ended <- c.presence.Hear(talking, c.hear)
	}()
	c.talk(talking)
	if err := <-ended; ctx.Err() == nil {
		return err
	}
	return nil
}

func (c *Connections) talk(ctx context.Context) {
	tick := time.NewTicker(lookingPause)
	defer tick.Stop()
	c.tell(true)
	for looks := 1; ; {
		select {
		case <-c.news:
			c.tell(false)
			select {
			case <-time.After(tellingPause):
			case <-ctx.Done():
			}
		case <-tick.C:
			c.look()
			if looks++; looks%tellAllEvery == 0 {
				c.tell(true)
			}
		case <-ctx.Done():
			c.tell(false) // what has left just now
			return
		}
	}
}

// tell tells what has changed, or all. What does not arrive is told with all of it the
// next time.
func (c *Connections) tell(all bool) {
	connections, confirmations := c.untold(all)
	next := said{Version: saidVersion, Life: c.life, Node: c.node, Confirmations: confirmations}
	size := 0
	for i, k := range connections {
		text, err := json.Marshal(k)
		if err != nil {
			panic(err) // it is made of numbers and text
		}
		if size += len(text); size > enoughReport && i > 0 {
			c.send(next)
			next.Connections, next.Confirmations, size = nil, nil, len(text)
		}
		next.Connections = append(next.Connections, text)
	}
	if all || len(next.Connections) > 0 || len(next.Confirmations) > 0 {
		c.send(next)
	}
}

func (c *Connections) send(s said) {
	message, err := json.Marshal(s)
	if err == nil {
		err = c.presence.Tell(message)
	}
	if err != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.anew = true
	}
}

// untold is what is to be told.
func (c *Connections) untold(all bool) (connections []told, confirmations []confirmation) {
	c.mu.Lock()
	defer c.mu.Unlock()
	all, c.anew = all || c.anew, false
	for _, of := range c.all {
		for _, k := range of {
			if k.life == c.life && (all || k.renewed) {
				connections = append(connections, k.tell(all))
			}
		}
	}
	confirmations, c.outgoing = c.outgoing, nil
	return connections, confirmations
}

func (k *connection) tell(all bool) told {
	from := k.untold
	if all {
		from = min(from, k.moves.end()-min(oldMoves, k.moves.end()))
	}
	first, moves := k.moves.last(from, newMoves)
	k.untold, k.renewed = k.moves.end(), false
	return told{
		k.Organization, k.Engine, k.Instance, k.Version, k.Address, k.Staleness.Milliseconds(),
		k.Since, k.Seen, k.Connected, k.Position, first, moves,
	}
}

// hear takes what another node tells. What cannot be read is of a node of another
// version, which tells those that can.
func (c *Connections) hear(message []byte) {
	var s said
	if json.Unmarshal(message, &s) != nil || s.Version != saidVersion || s.Life.IsZero() || s.Life == c.life {
		return
	}
	all := make([]told, len(s.Connections))
	for i, text := range s.Connections {
		if json.Unmarshal(text, &all[i]) != nil || !all[i].rising() {
			return
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.nodes[s.Life]; !known {
		c.anew = true // it knows nothing yet
		c.hurry()
	}
	c.nodes[s.Life] = domain.At(c.now())
	for _, said := range s.Confirmations {
		if k := c.all[said.Organization][process{said.Engine, said.Instance}]; k != nil && k.life == c.life {
			c.confirm(k, said.Move)
		}
	}
	for i := range all {
		c.learn(&s, &all[i])
	}
}

// rising reports whether the moves are such as others can follow.
func (t *told) rising() bool {
	return slices.IsSortedFunc(t.Moves, func(a, b move) int {
		if a.position < b.position {
			return -1
		}
		return 1
	})
}

// learn takes a connection that another node has.
func (c *Connections) learn(s *said, t *told) {
	k := &connection{life: s.Life, Connection: t.connection(s.Node)}
	if k.over(domain.At(c.now())) {
		return
	}
	known := c.all[k.Organization][k.process()]
	if known != nil {
		if known.life != k.life && !c.gives(known, k) {
			return
		}
		k.moves = known.moves
	}
	k.moves.put(t.First, t.Moves)
	c.keep(k)
	if known == nil || known.Since != k.Since || known.Connected != k.Connected || known.Position != k.Position {
		c.wake()
	}
}

// gives reports whether a connection gives its place to one that another node tells
// of: that began later. But one that is open here was not ended by one that is not:
// then the clocks differ.
func (c *Connections) gives(known, k *connection) bool {
	if known.life == c.life && known.Connected && !k.Connected && known.Since <= k.Since {
		known.Since, known.renewed = k.Since+1, true
		c.hurry()
		return false
	}
	return k.Since > known.Since || k.Since == known.Since && k.life.String() > known.life.String()
}

func (t *told) connection(node string) Connection {
	return Connection{
		Connecting: Connecting{t.Organization, t.Engine, t.Instance, t.Version, t.Address, time.Duration(t.Staleness) * time.Millisecond},
		Node:       node, Since: t.Since, Seen: t.Seen, Connected: t.Connected, Position: t.Position,
	}
}
