package projections

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"

	"jeton/domain"
	"jeton/eventstore"
)

// Connections are the processes of engines that hear of changes, on all nodes: how
// far each is, and when it got there. That is no history. It is in memory, and
// nodes tell each other (connection_tell.go); a node that begins knows as much as
// the others have told it.
//
// It is bounded: of one engine MaxInstances processes are connected at most, and
// manyLeft that are not connected any more are remembered.
type Connections struct {
	presence eventstore.Presence
	node     string // for people
	now      func() time.Time
	life     domain.ID     // of this node, until it ends
	news     chan struct{} // has room for one: there is something to tell

	mu       sync.Mutex // guards what follows
	all      map[domain.OrganizationID]map[process]*connection
	nodes    map[domain.ID]domain.Instant // others, by their lives: when they were heard last
	outgoing []confirmation               // for the nodes that have the connections
	anew     bool                         // what was told did not arrive: all is to be told
	changed  chan struct{}                // closed at the next change; nil: nobody waits
}

const (
	// MaxInstances is how many processes of an engine are connected at once. On nodes
	// that do not hear each other there may be as many each.
	MaxInstances = 8

	manyLeft = 8 * MaxInstances // of an engine; of more the one that closes first is forgotten
	shown    = time.Minute      // for so long after it has closed one that left is listed
	silence  = 15 * time.Second // for so long nobody has heard of who is gone
)

// process is a process of an engine, within an organization.
type process struct {
	engine   domain.Position
	instance string
}

// Connecting is what a process says of itself when it opens its stream.
type Connecting struct {
	Organization domain.OrganizationID
	Engine       domain.Position
	Instance     string // which process of the engine: two that are alike take each other's place
	Version      string
	Address      string
	Staleness    time.Duration // for so long it goes on letting bearers in without the platform
}

func (k *Connecting) process() process { return process{k.Engine, k.Instance} }

// Connection is a process of an engine that is, or was, connected to a node.
type Connection struct {
	Connecting
	Node      string
	Since     domain.Instant  // when it has connected
	Seen      domain.Instant  // it was heard of last, or its stream has ended
	Connected bool            // its stream is open
	Position  domain.Position // up to here it has taken everything; 0: it has not said so yet
}

// closes is when one that is not connected lets nobody in any more.
func (k *Connection) closes() domain.Instant { return k.Seen.Add(k.Staleness) }

// Receipt is what a process has confirmed of a change.
type Receipt struct {
	Connection
	Confirmed   bool           // it has taken the change
	ConfirmedAt domain.Instant // when that was heard; 0: before what is remembered
	ClosesAt    domain.Instant // of one that is not connected: from then on it lets nobody in
}

// connection is a connection as this node knows it.
type connection struct {
	Connection
	life    domain.ID     // of the node that has it
	end     chan struct{} // of one that is here: closed when another has taken its place, or nobody hears of it
	moves   moves
	began   bool   // it has confirmed something since it connected
	untold  uint64 // the number of the first move that the others have not been told
	renewed bool   // there is something that the others have not been told
}

// NewConnections are none yet. The presence reaches the other nodes; node is what
// people call this one, and now time.Now but in tests.
func NewConnections(presence eventstore.Presence, node string, now func() time.Time) *Connections {
	return &Connections{
		presence: presence, node: node, now: now, life: domain.RandomID(), news: make(chan struct{}, 1),
		all: map[domain.OrganizationID]map[process]*connection{}, nodes: map[domain.ID]domain.Instant{},
	}
}

// Join says that a process has opened its stream here. If an older stream of the same
// process is open, on whichever node, that one is ended: its replaced is closed; as it
// is when the process has reported nothing for 15 seconds. Whoever has joined calls
// leave when the stream ends. It is an ErrState if MaxInstances others are connected.
func (c *Connections) Join(k Connecting) (leave func(), replaced <-chan struct{}, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := domain.At(c.now())
	older := c.all[k.Organization][k.process()]
	if c.connected(k, now) >= MaxInstances {
		return nil, nil, domain.Refuse(domain.ErrState, "%d processes of this engine are connected, and no more can be", "stop one of them, or register another engine for the others", MaxInstances)
	}
	made := &connection{
		Connection: Connection{Connecting: k, Node: c.node, Since: now, Seen: now, Connected: true},
		life:       c.life, end: make(chan struct{}), renewed: true,
	}
	if older != nil {
		made.Since = max(made.Since, older.Since+1) // whatever the other node's clock says
		made.moves, made.untold = older.moves, older.moves.end()
	}
	c.keep(made)
	c.change()
	return func() { c.left(made) }, made.end, nil
}

// connected is how many other processes of an engine are.
func (c *Connections) connected(k Connecting, now domain.Instant) (n int) {
	for at, other := range c.all[k.Organization] {
		if at.engine == k.Engine && at.instance != k.Instance && c.isConnected(other, now) {
			n++
		}
	}
	return n
}

// isConnected reports whether a connection is, as far as it is known: of what a node
// that is not heard any more had connected nothing is.
func (c *Connections) isConnected(k *connection, now domain.Instant) bool {
	return k.Connected && (k.life == c.life || now < c.nodes[k.life].Add(silence))
}

// keep keeps a connection in the place of another one of its process, or of one that
// left.
func (c *Connections) keep(k *connection) {
	of := c.all[k.Organization]
	if of == nil {
		of = map[process]*connection{}
		c.all[k.Organization] = of
	}
	if older := of[k.process()]; older != nil {
		older.stop()
	}
	of[k.process()] = k
	var first *connection
	left := 0
	for at, other := range of {
		if at.engine != k.Engine || other.Connected {
			continue
		}
		if left++; first == nil || other.closes() < first.closes() {
			first = other
		}
	}
	if left > manyLeft {
		delete(of, first.process())
	}
}

// stop ends the stream of a connection that is here.
func (k *connection) stop() {
	if k.end != nil {
		close(k.end)
		k.end = nil
	}
}

// left says that the stream of a connection has ended, unless another one has taken
// its place. Until then it may have taken what it was told.
func (c *Connections) left(k *connection) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k.end = nil // nobody waits for it
	if c.all[k.Organization][k.process()] != k || !k.Connected {
		return
	}
	k.Connected, k.Seen, k.renewed = false, domain.At(c.now()), true
	c.keep(k)
	c.change()
}

// Confirm says that a process has taken everything up to a position. It may be
// connected to another node: that one is told.
func (c *Connections) Confirm(org domain.OrganizationID, engine domain.Position, instance string, at domain.Position) {
	c.mu.Lock()
	defer c.mu.Unlock()
	said := confirmation{org, engine, instance, move{at, domain.At(c.now())}}
	k := c.all[org][process{engine, instance}]
	if k != nil && k.life == c.life {
		if c.confirm(k, said.Move); k.Connected {
			return
		}
	}
	if len(c.outgoing) < manyOutgoing {
		c.outgoing = append(c.outgoing, said)
	}
	c.hurry()
}

// confirm takes what a process that has its stream here confirms.
func (c *Connections) confirm(k *connection, to move) {
	if k.Connected {
		k.Seen = max(k.Seen, to.at)
	}
	if k.began && to.position <= k.Position {
		return // again, or by a slower way
	}
	if !k.began { // it may have begun anew with less than it had
		k.moves.cut(to.position)
		k.began, k.untold = true, min(k.untold, k.moves.end())
	}
	k.moves.add(to)
	k.Position, k.renewed = to.position, true
	c.change()
}

// Of are the connections of an engine to all nodes, the oldest first. Those that left
// are among them until a minute after they have closed.
func (c *Connections) Of(org domain.OrganizationID, engine domain.Position) (all []Connection) {
	if c == nil { // nobody is connected to the past
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := domain.At(c.now())
	for at, k := range c.all[org] {
		if seen := c.seen(k, now); at.engine == engine && !seen.over(now) {
			all = append(all, seen)
		}
	}
	slices.SortFunc(all, byAge)
	return all
}

func byAge(a, b Connection) int {
	return cmp.Or(cmp.Compare(a.Engine, b.Engine), cmp.Compare(a.Since, b.Since), cmp.Compare(a.Instance, b.Instance))
}

// seen is a connection as it is shown. One of a node that is silent was perhaps
// connected for as long as that node was heard.
func (c *Connections) seen(k *connection, now domain.Instant) Connection {
	seen := k.Connection
	if k.Connected && k.life != c.life {
		seen.Seen = max(seen.Seen, c.nodes[k.life])
		seen.Connected = c.isConnected(k, now)
	}
	return seen
}

// over reports whether a connection is not listed any more.
func (k *Connection) over(now domain.Instant) bool {
	return !k.Connected && now > k.closes().Add(shown)
}

// Receipts are what the processes of all engines of an organization have confirmed of
// a change: its position, and when it was made. Those that had closed by then do not
// matter, and are not among them.
func (c *Connections) Receipts(org domain.OrganizationID, at domain.Position, since domain.Instant) (all []Receipt) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := domain.At(c.now())
	for _, k := range c.all[org] {
		r := Receipt{Connection: c.seen(k, now)}
		if !r.Connected {
			if r.ClosesAt = r.closes(); r.ClosesAt <= since || r.over(now) {
				continue
			}
		}
		if r.Confirmed = r.Position >= at; r.Confirmed {
			r.ConfirmedAt = k.moves.reached(at)
		}
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b Receipt) int { return byAge(a.Connection, b.Connection) })
	return all
}

// Changed is closed at the next change: whoever waits takes it first, and looks then.
func (c *Connections) Changed() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.changed == nil {
		c.changed = make(chan struct{})
	}
	return c.changed
}

// change wakes who waits for one, here and, later, on other nodes.
func (c *Connections) change() {
	c.wake()
	c.hurry()
}

func (c *Connections) wake() {
	if c.changed != nil {
		close(c.changed)
		c.changed = nil
	}
}

// hurry lets Run tell what there is to be told.
func (c *Connections) hurry() {
	select {
	case c.news <- struct{}{}:
	default:
	}
}

// look ends the connections here of which nobody has heard for too long, takes those
// of silent nodes for gone, and forgets what is not listed any more.
func (c *Connections) look() {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := domain.At(c.now())
	for org, of := range c.all {
		for at, k := range of {
			c.lookAt(k, now)
			if k.over(now) {
				delete(of, at)
			}
		}
		if len(of) == 0 {
			delete(c.all, org)
		}
	}
	maps.DeleteFunc(c.nodes, func(_ domain.ID, heard domain.Instant) bool { return now >= heard.Add(silence) })
}

func (c *Connections) lookAt(k *connection, now domain.Instant) {
	here := k.life == c.life
	switch {
	case !k.Connected || here && now < k.Seen.Add(silence):
		return
	case here:
		k.stop()
		k.Connected, k.Seen, k.renewed = false, now, true
		c.change()
	case !c.isConnected(k, now):
		k.Connection = c.seen(k, now)
		c.wake()
	}
}
