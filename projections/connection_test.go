package projections

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"jeton/domain"
	"jeton/eventstore"
)

// joined are nodes that are told of connections, with a clock that the test moves.
type joined struct {
	testing.TB
	org   domain.OrganizationID
	clock *atomic.Int64
	nodes []*Connections
	lines []*wire // of the nodes
}

// wire is presence that can be cut, and is handed on when the test says so.
type wire struct {
	mu     sync.Mutex
	told   [][]byte
	failed error
	large  int // messages that were too large
}

func (p *wire) Tell(message []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(message) > eventstore.MaxReport {
		p.large++
		return eventstore.ErrTooLarge
	}
	if p.failed != nil {
		return p.failed
	}
	p.told = append(p.told, message)
	return nil
}

func (p *wire) Hear(ctx context.Context, _ func([]byte)) error {
	<-ctx.Done()
	return ctx.Err()
}

func (p *wire) take() (told [][]byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	told, p.told = p.told, nil
	return told
}

// wired are nodes whose messages the test carries.
func wired(t testing.TB, nodes int) *joined {
	j := &joined{TB: t, org: newOrganizationID(), clock: new(atomic.Int64)}
	j.clock.Store(noon.UnixMilli())
	for i := range nodes {
		line := new(wire)
		j.lines = append(j.lines, line)
		j.nodes = append(j.nodes, NewConnections(line, nodeName(i), j.now))
	}
	return j
}

// running are nodes that tell and hear by themselves until the test ends.
func running(t testing.TB, presences ...eventstore.Presence) *joined {
	j := &joined{TB: t, org: newOrganizationID(), clock: new(atomic.Int64)}
	j.clock.Store(noon.UnixMilli())
	for i, p := range presences {
		c := NewConnections(p, nodeName(i), j.now)
		j.nodes = append(j.nodes, c)
		background(t, c.Run)
	}
	return j
}

func nodeName(i int) string { return fmt.Sprint("node ", i) }

func (j *joined) now() time.Time { return time.UnixMilli(j.clock.Load()) }

func (j *joined) at() domain.Instant { return domain.At(j.now()) }

// pass lets time go by, in steps in which every node looks around and tells.
func (j *joined) pass(d time.Duration) {
	for ; d > 0; d -= lookingPause {
		j.clock.Add(min(d, lookingPause).Milliseconds())
		for _, c := range j.nodes {
			c.look()
		}
		j.carry(true)
	}
}

// carry lets every node tell what it has to tell, and the others hear it, until there
// is no more.
func (j *joined) carry(all bool) {
	for range 10 {
		for i, c := range j.nodes {
			c.tell(all)
			for _, message := range j.lines[i].take() {
				for other, hearer := range j.nodes {
					if other != i {
						hearer.hear(message)
					}
				}
			}
		}
		all = false
	}
}

func (j *joined) process(instance string) Connecting {
	return Connecting{
		Organization: j.org, Engine: 7, Instance: instance, Version: "4.0.1", Address: "192.0.2.7", Staleness: time.Minute,
	}
}

// join opens a stream that must be let in.
func (j *joined) join(node int, instance string) *stream {
	j.Helper()
	leave, replaced, err := j.nodes[node].Join(j.process(instance))
	fails(j, "join "+instance, err, nil)
	return &stream{leave, replaced}
}

// stream is one that a process has open.
type stream struct {
	leave    func()
	replaced <-chan struct{}
}

func (s *stream) ended() bool {
	select {
	case <-s.replaced:
		return true
	default:
		return false
	}
}

func (j *joined) confirm(node int, instance string, at domain.Position) {
	j.nodes[node].Confirm(j.org, 7, instance, at)
}

// all are the connections of the engine as every node must know them.
func (j *joined) all() []Connection {
	j.Helper()
	first := j.nodes[0].Of(j.org, 7)
	for i, c := range j.nodes[1:] {
		same(j, fmt.Sprintf("connections on node %d", i+1), blurred(c.Of(j.org, 7)), blurred(first))
	}
	return first
}

// blurred are connections without what only the node that has them knows at once.
func blurred(all []Connection) []Connection {
	for i := range all {
		if all[i].Connected {
			all[i].Seen = 0
		}
	}
	return all
}

// receipt is that of an instance on a node.
func (j *joined) receipt(node int, instance string, at domain.Position, since domain.Instant) (none Receipt) {
	j.Helper()
	for _, r := range j.nodes[node].Receipts(j.org, at, since) {
		if r.Instance == instance {
			return r
		}
	}
	j.Fatalf("no receipt of %s on node %d", instance, node)
	return none
}

func TestConnectionOnOneNode(t *testing.T) {
	j := wired(t, 1)
	c := j.nodes[0]
	changed := c.Changed()
	s := j.join(0, "a")
	mustBeClosed(t, "joining is a change", changed)
	want := Connection{Connecting: j.process("a"), Node: "node 0", Since: j.at(), Seen: j.at(), Connected: true}
	same(t, "who joined", c.Of(j.org, 7), []Connection{want})
	same(t, "of another engine", len(c.Of(j.org, 8)), 0)
	same(t, "of another organization", len(c.Of(newOrganizationID(), 7)), 0)
	same(t, "receipts of another organization", len(c.Receipts(newOrganizationID(), 1, 0)), 0)
	same(t, "a receipt of who has said nothing", c.Receipts(j.org, 5, j.at()), []Receipt{{Connection: want}})

	j.clock.Add(1000)
	changed = c.Changed()
	j.confirm(0, "a", 5)
	mustBeClosed(t, "a confirmation is a change", changed)
	want.Position, want.Seen = 5, j.at()
	same(t, "who has confirmed", c.Of(j.org, 7), []Connection{want})
	j.clock.Add(1000)
	changed = c.Changed()
	j.confirm(0, "a", 5) // again: it lives
	j.confirm(0, "a", 4) // by a slower way
	same(t, "what changes nothing is no change", closed(changed), false)
	want.Seen = j.at()
	same(t, "receipt", c.Receipts(j.org, 5, 0), []Receipt{{want, true, j.at() - 1000, 0}})
	same(t, "receipt of something before", c.Receipts(j.org, 3, 0), []Receipt{{want, true, j.at() - 1000, 0}})
	same(t, "receipt of something later", c.Receipts(j.org, 6, 0), []Receipt{{Connection: want}})

	s.leave()
	s.leave() // as often as one likes
	want.Connected, want.Seen = false, j.at()
	closes := j.at().Add(time.Minute)
	same(t, "who left", c.Of(j.org, 7), []Connection{want})
	same(t, "receipt of who left", c.Receipts(j.org, 6, 0), []Receipt{{Connection: want, ClosesAt: closes}})
	same(t, "receipt of a change before it closed", len(c.Receipts(j.org, 6, closes-1)), 1)
	same(t, "receipt of a change behind that", len(c.Receipts(j.org, 6, closes)), 0)
	j.confirm(0, "a", 6) // which it had taken before
	same(t, "what it had taken is noted", j.receipt(0, "a", 6, 0).Confirmed, true)
	same(t, "when it closes does not change", j.receipt(0, "a", 6, 0).ClosesAt, closes)
	j.pass(2 * time.Minute)
	same(t, "until a minute after it has closed", len(c.Of(j.org, 7)), 1)
	j.pass(time.Second)
	same(t, "then it is forgotten", len(c.all), 0)
	j.confirm(0, "a", 7)
	same(t, "who is not connected confirms nothing", len(c.Of(j.org, 7)), 0)
}

func closed(c <-chan struct{}) bool { return (&stream{replaced: c}).ended() }

func mustBeClosed(t testing.TB, what string, c <-chan struct{}) {
	t.Helper()
	same(t, what, closed(c), true)
}

// TestConnectionIsReplaced by another stream of the same process, on whichever node.
func TestConnectionIsReplaced(t *testing.T) {
	for _, to := range []int{0, 1} {
		for _, behind := range []time.Duration{0, time.Second, -time.Hour} { // the clock of the second
			t.Run(fmt.Sprint("on node ", to, " ", behind), func(t *testing.T) {
				j := wired(t, 2)
				first := j.join(0, "a")
				j.confirm(0, "a", 3)
				j.carry(false)
				j.clock.Add(behind.Milliseconds())
				second := j.join(to, "a")
				j.carry(false)
				same(t, "the first is ended", first.ended(), true)
				same(t, "the second is not", second.ended(), false)
				first.leave()
				j.carry(false)
				all := j.all()
				if len(all) != 1 || all[0].Node != nodeName(to) || !all[0].Connected || all[0].Position != 0 {
					t.Fatalf("got %+v", all)
				}
			})
		}
	}
}

// TestReceiptOutlivesAStream: what was confirmed stays confirmed at its time, as far as the process
// still has it.
func TestReceiptOutlivesAStream(t *testing.T) {
	for name, test := range map[string]struct {
		node      int
		has       domain.Position // when it comes back
		confirmed bool
		at        domain.Instant // after noon
	}{
		"on the same node":                    {0, 5, true, 1000},
		"on another node":                     {1, 5, true, 1000},
		"with more, on the same node":         {0, 9, true, 1000},
		"with more, on another node":          {1, 9, true, 1000},
		"with less than it had":               {0, 4, false, 0},
		"with less than it had, another node": {1, 4, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			j := wired(t, 2)
			s := j.join(0, "a")
			for at := range domain.Position(6) {
				j.clock.Store(noon.UnixMilli() + int64(at)*200)
				j.confirm(0, "a", at)
			}
			j.carry(false)
			s.leave()
			j.carry(false)
			j.join(test.node, "a")
			j.carry(false)
			same(t, "before it says what it has", j.receipt(0, "a", 5, 0).Confirmed, false)
			j.clock.Add(5000)
			j.confirm(0, "a", test.has)
			j.carry(false)
			for node := range j.nodes {
				r := j.receipt(node, "a", 5, 0)
				want := domain.Instant(0)
				if test.confirmed {
					want = domain.At(noon) + test.at
				}
				if r.Confirmed != test.confirmed || r.ConfirmedAt != want {
					t.Errorf("node %d: confirmed %v at %v, want %v at %v", node, r.Confirmed, r.ConfirmedAt, test.confirmed, want)
				}
			}
			j.confirm(1, "a", 10)
			j.carry(false)
			r := j.receipt(1, "a", 5, 0)
			if !test.confirmed && r.ConfirmedAt != j.at() {
				t.Errorf("what was taken again is confirmed at %v, want %v", r.ConfirmedAt, j.at())
			}
		})
	}
}

func TestTooManyConnections(t *testing.T) {
	j := wired(t, 2)
	var streams []*stream
	for i := range MaxInstances {
		streams = append(streams, j.join(i%2, fmt.Sprint(i)))
	}
	j.carry(false)
	for _, c := range j.nodes {
		_, _, err := c.Join(j.process("one more"))
		fails(t, "one more", err, domain.ErrState)
	}
	same(t, "the others stay", len(j.all()), MaxInstances)
	j.join(1, "0") // takes its own place
	j.carry(false)
	same(t, "replaced", streams[0].ended(), true)

	another := j.process("one more")
	another.Engine = 8
	_, _, err := j.nodes[0].Join(another)
	fails(t, "of another engine", err, nil)

	streams[1].leave()
	j.carry(false)
	j.join(0, "one more")
}

// TestWhoComesAndGoesIsForgotten: nobody fills the memory by opening streams.
func TestWhoComesAndGoesIsForgotten(t *testing.T) {
	j := wired(t, 2)
	j.join(0, "stays")
	for i := range 3 * manyLeft {
		j.clock.Add(1)
		j.join(0, fmt.Sprint(i)).leave()
		j.carry(false)
	}
	for _, c := range j.nodes {
		all := c.Of(j.org, 7)
		if len(all) != manyLeft+1 || all[0].Instance != "stays" || all[1].Instance != fmt.Sprint(2*manyLeft) {
			t.Errorf("%d connections are remembered, from %s %s on", len(all), all[0].Instance, all[1].Instance)
		}
	}
}

// TestConnectionOnAnotherNode: what one node knows the other does, wherever it is said.
func TestConnectionOnAnotherNode(t *testing.T) {
	j := wired(t, 3)
	s := j.join(0, "a")
	j.carry(false)
	same(t, "known", len(j.all()), 1)
	j.clock.Add(1000)
	j.confirm(1, "a", 5) // its report comes to another node
	changed := j.nodes[2].Changed()
	j.carry(false)
	mustBeClosed(t, "a confirmation elsewhere is a change here", changed)
	for node := range j.nodes {
		r := j.receipt(node, "a", 5, 0)
		if !r.Confirmed || r.ConfirmedAt != j.at() || r.Node != "node 0" {
			t.Errorf("node %d: %+v", node, r)
		}
	}
	changed = j.nodes[1].Changed()
	j.carry(true)
	same(t, "what is told again is no change", closed(changed), false)
	s.leave()
	j.carry(false)
	if all := j.all(); len(all) != 1 || all[0].Connected || all[0].Seen != j.at() {
		t.Errorf("left: %+v", all)
	}
	j.pass(2*time.Minute + 2*time.Second)
	for _, c := range j.nodes {
		same(t, "forgotten", len(c.all), 0)
	}
}

// TestNodeThatBegins knows everything after the others have heard of it once.
func TestNodeThatBegins(t *testing.T) {
	j := wired(t, 1)
	j.join(0, "a")
	for at := range domain.Position(100) {
		j.confirm(0, "a", at)
		j.clock.Add(1)
	}
	j.carry(false)
	line := new(wire)
	j.lines, j.nodes = append(j.lines, line), append(j.nodes, NewConnections(line, "node 1", j.now))
	j.nodes[1].tell(true)
	j.nodes[0].hear(line.take()[0])
	j.carry(false)
	same(t, "connections", len(j.all()), 1)
	same(t, "a receipt of lately", j.receipt(1, "a", 99, 0).ConfirmedAt, j.at()-1)
	r := j.receipt(1, "a", 5, 0)
	same(t, "an old one is confirmed", r.Confirmed, true)
	same(t, "and nobody here knows when", r.ConfirmedAt, 0)
}

// TestNodeThatDies takes its connections along: 15 seconds after it was heard last
// they count as gone, and they are listed for as long as any that left.
func TestNodeThatDies(t *testing.T) {
	j := wired(t, 2)
	j.join(1, "a")
	j.join(0, "stays")
	j.carry(false)
	heard := j.at()
	dead := j.nodes[1]
	j.nodes = j.nodes[:1]
	passes := func(d time.Duration) {
		j.confirm(0, "stays", 1)
		j.pass(d)
	}
	passes(14 * time.Second)
	same(t, "connected so far", j.receipt(0, "a", 1, 0).Connected, true)
	changed := j.nodes[0].Changed()
	passes(time.Second)
	mustBeClosed(t, "that it is gone is a change", changed)
	r := j.receipt(0, "a", 1, 0)
	same(t, "not connected", r.Connected, false)
	same(t, "closes", r.ClosesAt, heard.Add(time.Minute))
	same(t, "the other one stays", j.receipt(0, "stays", 1, 0).Connected, true)

	j.nodes = append(j.nodes, dead) // it was only away
	dead.Confirm(j.org, 7, "a", 2)
	j.carry(true)
	same(t, "it is back", j.receipt(0, "a", 2, 0).Connected, true)

	j.nodes = j.nodes[:1]
	for range 14 {
		passes(10 * time.Second)
	}
	if all := j.nodes[0].Of(j.org, 7); len(all) != 1 || all[0].Instance != "stays" {
		t.Errorf("got %+v, want the other one only", all)
	}
	same(t, "nodes that are remembered", len(j.nodes[0].nodes), 0)
}

// TestSilentConnectionIsEnded: nobody hears of it for 15 seconds.
func TestSilentConnectionIsEnded(t *testing.T) {
	j := wired(t, 2)
	silent, speaks := j.join(0, "silent"), j.join(0, "speaks")
	for range 15 {
		j.confirm(1, "speaks", 1)
		j.carry(false)
		same(t, "ended early", silent.ended(), false)
		j.pass(time.Second)
	}
	same(t, "the silent one is ended", silent.ended(), true)
	same(t, "the other one is not", speaks.ended(), false)
	silent.leave()
	all := j.all()
	same(t, "the silent one is not connected", all[0].Connected, false)
	same(t, "it may have heard until now", all[0].Seen, j.at())
	same(t, "the other one is", all[1].Connected, true)
}

// TestPresenceAway: nothing of what was not told is lost when others are there again.
func TestPresenceAway(t *testing.T) {
	j := wired(t, 2)
	j.join(0, "a")
	j.carry(false)
	j.lines[0].failed = eventstore.ErrUnavailable
	j.clock.Add(1000)
	j.confirm(0, "a", 5)
	j.carry(false)
	j.join(0, "b")
	j.carry(false)
	same(t, "known here", len(j.nodes[0].Of(j.org, 7)), 2)
	same(t, "known there", len(j.nodes[1].Of(j.org, 7)), 1)
	j.lines[0].failed = nil
	j.carry(false)
	same(t, "known", len(j.all()), 2)
	same(t, "confirmed", j.receipt(1, "a", 5, 0).ConfirmedAt, j.at())
}

// TestWhatNodesSay is read with care: it may be of another version, or none at all.
func TestWhatNodesSay(t *testing.T) {
	life := `"` + domain.RandomID().String() + `"`
	j := wired(t, 1)
	known := wired(t, 1)
	known.org = j.org
	known.join(0, "a")
	known.confirm(0, "a", 5)
	known.nodes[0].tell(true)
	good := string(known.lines[0].take()[0])
	for what, message := range map[string]string{
		"nothing":                        "",
		"something else":                 "hello",
		"a younger version":              strings.Replace(good, `"v":1`, `"v":2`, 1),
		"nobody":                         `{"v":1,"connections":[]}`,
		"moves that go back":             strings.Replace(good, `"moves":[`, `"moves":[[9,1],`, 1),
		"a position that is none":        strings.Replace(good, `"moves":[[5,`, `"moves":[[-5,`, 1),
		"a connection that is none":      strings.Replace(good, `"connections":[`, `"connections":[7,`, 1),
		"a confirmation of who is not":   `{"v":1,"life":` + life + `,"confirmations":[{"org":"` + j.org.String() + `","engine":7,"instance":"a","move":[5,5]}]}`,
		"a confirmation that makes none": `{"v":1,"life":` + life + `,"confirmations":[{}]}`,
	} {
		j.nodes[0].hear([]byte(message))
		if got := j.nodes[0].Of(j.org, 7); len(got) != 0 {
			t.Errorf("%s: got %+v", what, got)
		}
	}
	j.nodes[0].hear([]byte(good))
	same(t, "what is good", len(j.nodes[0].Of(j.org, 7)), 1)
	j.nodes[0].tell(true)
	for _, message := range j.lines[0].take() { // its own
		j.nodes[0].hear(message)
	}
	same(t, "nodes heard", len(j.nodes[0].nodes) <= 2, true)
}

// TestMessagesAreSmall, however much there is to say.
func TestMessagesAreSmall(t *testing.T) {
	j := wired(t, 2)
	for engine := range domain.Position(300) {
		k := j.process(strings.Repeat("i", 64))
		k.Engine, k.Version, k.Address = engine+1, strings.Repeat("v", 64), "2001:db8:1234:5678:9abc:def0:1234:5678"
		_, _, err := j.nodes[0].Join(k)
		fails(t, "join", err, nil)
		for at := range domain.Position(40) {
			j.nodes[0].Confirm(j.org, k.Engine, k.Instance, 1<<50+at)
		}
	}
	for i := range 2 * domain.Position(manyOutgoing) {
		j.nodes[0].Confirm(j.org, 1000+i, strings.Repeat("j", 64), 1<<50)
	}
	j.carry(false)
	same(t, "messages that are too large", j.lines[0].large, 0)
	same(t, "receipts", len(j.nodes[1].Receipts(j.org, 1<<50+39, 0)), 300)
	for _, r := range j.nodes[1].Receipts(j.org, 1<<50+39, 0) {
		same(t, "confirmed", r.ConfirmedAt, j.at())
	}
}

func TestMoves(t *testing.T) {
	var all []domain.Instant // when each position was reached
	var s, other moves
	for at := range domain.Position(5 * manyMoves) {
		s.add(move{at, domain.Instant(at) * 2})
		all = append(all, domain.Instant(at)*2)
		if at%100 == 99 {
			other.put(s.last(other.end(), newMoves))
		}
		if len(s.kept) > 2*manyMoves {
			t.Fatalf("%d moves are kept", len(s.kept))
		}
	}
	other.put(s.last(other.end(), newMoves))
	for _, s := range []moves{s, other} {
		for at, want := range all {
			got := s.reached(domain.Position(at))
			if old := len(all) - at; got != want && (got != 0 || old < manyMoves) {
				t.Fatalf("position %d was reached at %d, want %d", at, got, want)
			}
		}
		same(t, "beyond the last", s.reached(domain.Position(len(all))), 0)
	}
	s.cut(domain.Position(len(all) - 10))
	same(t, "cut", s.end(), uint64(len(all)-9))
	s.cut(0)
	same(t, "cut to nothing", len(s.kept), 0)
	late := new(moves)
	late.put(7, []move{{10, 1}, {20, 2}})
	same(t, "the first that is known is not the first that was", late.reached(5), 0)
	same(t, "the second", late.reached(11), 2)
}

// presences are ways in which two nodes hear each other.
func presences(t *testing.T, test func(t *testing.T, two [2]eventstore.Presence)) {
	t.Run("memory", func(t *testing.T) {
		two := eventstore.NewMemoryPresence(2)
		test(t, [2]eventstore.Presence{two[0], two[1]})
	})
	t.Run("NATS", func(t *testing.T) {
		log := jetStream(t)
		test(t, [2]eventstore.Presence{eventstore.OpenPresence(log), eventstore.OpenPresence(log)})
	})
}

// until waits until a node knows something.
func (j *joined) until(node int, what string, is func() bool) {
	j.Helper()
	patience := time.After(time.Minute)
	for {
		changed := j.nodes[node].Changed()
		if is() {
			return
		}
		select {
		case <-changed:
		case <-patience:
			j.Fatalf("node %d: %s does not come", node, what)
		}
	}
}

// TestReceiptsAreExact: 20 processes confirm 1000 changes, each at whichever node its
// report reaches, and both nodes know of each when it was confirmed.
func TestReceiptsAreExact(t *testing.T) {
	const changes, each = 1000, 10
	presences(t, func(t *testing.T, two [2]eventstore.Presence) {
		j := running(t, two[:]...)
		var all sync.WaitGroup
		for i := range 2 * each {
			k := j.process(fmt.Sprint(i))
			k.Engine = domain.Position(7 + i%each)
			_, _, err := j.nodes[i%2].Join(k)
			fails(t, "join", err, nil)
		}
		for node := range j.nodes {
			j.until(node, "everybody", func() bool { return len(j.nodes[node].Receipts(j.org, 1, 0)) == 2*each })
		}
		for i := range 2 * each {
			all.Go(func() {
				for at := domain.Position(1); at <= changes; at++ {
					j.clock.Add(1)
					j.nodes[i%2].Confirm(j.org, domain.Position(7+i%each), fmt.Sprint(i), at)
				}
			})
		}
		all.Wait()
		for node := range j.nodes {
			j.until(node, "all receipts", func() bool {
				for _, r := range j.nodes[node].Receipts(j.org, changes, 0) {
					if !r.Confirmed {
						return false
					}
				}
				return true
			})
		}
		for at := domain.Position(1); at <= changes; at++ {
			ours, theirs := j.nodes[0].Receipts(j.org, at, 0), j.nodes[1].Receipts(j.org, at, 0)
			for i := range ours {
				if ours[i].ConfirmedAt == 0 || ours[i].ConfirmedAt != theirs[i].ConfirmedAt || ours[i].Instance != theirs[i].Instance {
					t.Fatalf("change %d: %+v there and %+v here", at, theirs[i], ours[i])
				}
			}
		}
	})
}

// TestReportOnAnotherNode is heard by the node that has the stream, and by the one
// that asks, without a look of anybody.
func TestReportOnAnotherNode(t *testing.T) {
	presences(t, func(t *testing.T, two [2]eventstore.Presence) {
		j := running(t, two[:]...)
		s := j.join(0, "a")
		j.until(1, "the connection", func() bool { return len(j.nodes[1].Of(j.org, 7)) == 1 })
		j.confirm(1, "a", 5)
		for node := range j.nodes {
			j.until(node, "the receipt", func() bool { return j.receipt(node, "a", 5, 0).Confirmed })
		}
		other := j.join(1, "a")
		select {
		case <-s.replaced:
		case <-time.After(time.Minute):
			t.Fatal("the first stream is not ended")
		}
		same(t, "the second is", other.ended(), false)
		other.leave()
		j.until(0, "that it left", func() bool { return !j.nodes[0].Of(j.org, 7)[0].Connected })
	})
}

func TestRunEndsWithPresence(t *testing.T) {
	broken := errors.New("broken")
	c := NewConnections(deaf{broken}, "node", func() time.Time { return noon })
	fails(t, "run", c.Run(t.Context()), broken)
}

// deaf is presence that hears nothing any more.
type deaf struct{ err error }

func (d deaf) Tell([]byte) error                        { return d.err }
func (d deaf) Hear(context.Context, func([]byte)) error { return d.err }

// TestConnectionsAtOnce: many processes come, confirm and go on two nodes while others look. The
// race detector looks on.
func TestConnectionsAtOnce(t *testing.T) {
	two := eventstore.NewMemoryPresence(2)
	j := running(t, two[0], two[1])
	errs := atOnce(8, func(i int) error {
		r := rand.New(rand.NewPCG(uint64(i), 1))
		for range 200 {
			node := r.IntN(2)
			leave, _, err := j.nodes[node].Join(j.process(fmt.Sprint(r.IntN(6))))
			if err != nil {
				return err
			}
			j.confirm(r.IntN(2), fmt.Sprint(r.IntN(6)), domain.Position(r.IntN(100)))
			_ = j.nodes[r.IntN(2)].Receipts(j.org, 50, 0)
			_ = j.nodes[r.IntN(2)].Of(j.org, 7)
			if r.IntN(2) == 0 {
				leave()
			}
		}
		return nil
	})
	for _, err := range errs {
		fails(t, "join", err, nil)
	}
	last := j.join(0, "last")
	j.until(1, "the last", func() bool {
		for _, k := range j.nodes[1].Of(j.org, 7) {
			if k.Instance == "last" && k.Connected {
				return true
			}
		}
		return false
	})
	same(t, "ended", last.ended(), false)
}
