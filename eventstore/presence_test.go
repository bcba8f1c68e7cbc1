package eventstore_test

import (
	"errors"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"jeton/eventstore"
	"jeton/eventstore/eventstoretest"
)

func TestPresenceInMemory(t *testing.T) {
	eventstoretest.RunPresence(t, func(*testing.T) (nodes [3]eventstore.Presence) {
		for i, node := range eventstore.NewMemoryPresence(3) {
			nodes[i] = node
		}
		return nodes
	})
}

// Of three nodes two share a connection, as those of one process do.
func TestPresenceOverTheNetwork(t *testing.T) {
	s := listen(t, &server.Options{StoreDir: t.TempDir()})
	first := create(t, dial(t, s.ClientURL()), 1)
	eventstoretest.RunPresence(t, func(t *testing.T) [3]eventstore.Presence {
		second := open(t, dial(t, s.ClientURL()))
		return [3]eventstore.Presence{
			eventstore.OpenPresence(first), eventstore.OpenPresence(first), eventstore.OpenPresence(second),
		}
	})
}

func TestPresenceEmbedded(t *testing.T) {
	log := create(t, embed(t, t.TempDir()).JetStream(), 1)
	eventstoretest.RunPresence(t, func(*testing.T) (nodes [3]eventstore.Presence) {
		for i := range nodes {
			nodes[i] = eventstore.OpenPresence(log)
		}
		return nodes
	})
}

func TestPresenceAmongThreeServers(t *testing.T) {
	servers := cluster(t)
	var logs [3]*eventstore.JetStream
	logs[0] = createNext(t, dial(t, servers[0].ClientURL()))
	for i, s := range servers[1:] {
		logs[i+1] = open(t, dial(t, s.ClientURL()))
	}
	eventstoretest.RunPresence(t, func(*testing.T) (nodes [3]eventstore.Presence) {
		for i, log := range logs {
			nodes[i] = eventstore.OpenPresence(log)
		}
		return nodes
	})
}

func TestHearingSurvivesABadNetworkAndARestartOfTheServer(t *testing.T) {
	far := newFar(t)
	near, distant := eventstore.OpenPresence(far.near), eventstore.OpenPresence(far.store)
	h := eventstoretest.Hear(t, distant, near)
	for _, message := range []string{"first", "second", "third"} {
		far.proxy.cut()
		hearAgain(t, h, near, message)
	}
	restart(t, far.server, far.options, func() {})
	hearAgain(t, h, near, "restarted")
}

// hearAgain tells until it is heard. The connection may be away.
func hearAgain(t *testing.T, h *eventstoretest.Hearer, from eventstore.Presence, message string) {
	t.Helper()
	for h.NextWhile(func() { _ = from.Tell([]byte(message)) }) != message {
	}
}

func TestWithoutAServerNothingIsTold(t *testing.T) {
	e := embed(t, t.TempDir())
	log := create(t, e.JetStream(), 1)
	p, other := eventstore.OpenPresence(log), eventstore.OpenPresence(log)
	h := eventstoretest.Hear(t, p, other)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if err := p.Tell(nil); !errors.Is(err, eventstore.ErrUnavailable) {
		t.Errorf("tell: got %v, want ErrUnavailable", err)
	}
	if err := h.End(); !errors.Is(err, eventstore.ErrUnavailable) {
		t.Errorf("hear: got %v, want ErrUnavailable", err)
	}
	if err := p.Hear(t.Context(), func([]byte) {}); !errors.Is(err, eventstore.ErrUnavailable) {
		t.Errorf("hear again: got %v, want ErrUnavailable", err)
	}
}

// A hearer that never comes back holds up neither the others nor the log.
func TestASlowHearerDoesNotTouchTheLog(t *testing.T) {
	log := create(t, embed(t, t.TempDir()).JetStream(), 1)
	p, other := eventstore.OpenPresence(log), eventstore.OpenPresence(log)
	eventstoretest.Hear(t, p, other) // and nobody asks it for what it heard
	message := make([]byte, eventstore.MaxReport)
	for i := range 200 { // more than waits for it
		if err := other.Tell(message); err != nil {
			t.Fatal(err)
		}
		if i%20 == 0 {
			wantEnd(t, log, 0)
		}
	}
	eventstoretest.Append(t, log, eventstoretest.Entry("a", "x"), 0)
}

func TestHearingLeavesNothingBehind(t *testing.T) {
	js := embed(t, t.TempDir()).JetStream()
	log := create(t, js, 1)
	before := js.Conn().NumSubscriptions()
	h := eventstoretest.Hear(t, eventstore.OpenPresence(log), eventstore.OpenPresence(log))
	h.Stop()
	_ = h.End()
	await(t, "the end of its subscription", func() bool { return js.Conn().NumSubscriptions() == before })
}
