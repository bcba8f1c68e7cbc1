package eventstore_test

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"jeton/eventstore"
	"jeton/eventstore/eventstoretest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMemory(t *testing.T) {
	eventstoretest.Run(t, func(*testing.T) eventstore.Store { return new(eventstore.Memory) })
}

func TestEmbedded(t *testing.T) {
	eventstoretest.Run(t, func(t *testing.T) eventstore.Store {
		return create(t, embed(t, t.TempDir()).JetStream(), 1)
	})
}

func TestOverTheNetwork(t *testing.T) {
	eventstoretest.Run(t, func(t *testing.T) eventstore.Store {
		s := listen(t, &server.Options{StoreDir: t.TempDir()})
		return create(t, dial(t, s.ClientURL()), 1)
	})
}

func TestThreeReplicas(t *testing.T) {
	servers := cluster(t)
	eventstoretest.Run(t, func(t *testing.T) eventstore.Store {
		return createNext(t, dial(t, servers[1].ClientURL()))
	})
}

// embed starts a server in this process that ends with the test.
func embed(t testing.TB, dir string) *eventstore.Embedded {
	t.Helper()
	e, err := eventstore.StartEmbedded(eventstore.EmbeddedConfig{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

// create founds a log that looks for trouble often.
func create(t testing.TB, js jetstream.JetStream, replicas int) *eventstore.JetStream {
	t.Helper()
	s, err := eventstore.Create(t.Context(), js, replicas)
	if err != nil {
		t.Fatal(err)
	}
	return hasty(s)
}

// createNext founds a log on three replicas that have had others before. They
// may not have cleared them away yet.
func createNext(t testing.TB, js jetstream.JetStream) (s *eventstore.JetStream) {
	t.Helper()
	await(t, "the end of the log before", func() bool {
		err := js.DeleteStream(t.Context(), stream)
		return errors.Is(err, jetstream.ErrStreamNotFound)
	})
	await(t, "a new log", func() (created bool) {
		var err error
		s, err = eventstore.Create(t.Context(), js, 3)
		return err == nil
	})
	return hasty(s)
}

// hasty makes s look for trouble often.
func hasty(s *eventstore.JetStream) *eventstore.JetStream {
	s.AckWait, s.CheckEvery, s.Confirm = time.Second, 50*time.Millisecond, 50*time.Millisecond
	return s
}

const stream = "JETON_0"

// patience is how long a test waits for what must come.
const patience = 30 * time.Second

// listen starts a server that others can connect to.
func listen(t testing.TB, o *server.Options) *server.Server {
	t.Helper()
	o.Host = "127.0.0.1"
	if o.Port == 0 {
		o.Port = server.RANDOM_PORT
	}
	o.JetStream, o.NoSigs, o.NoLog, o.MaxPayload = true, true, true, 8<<20
	s, err := server.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(30 * time.Second) {
		t.Fatal("the server does not become ready")
	}
	return s
}

func dial(t testing.TB, url string) jetstream.JetStream {
	t.Helper()
	conn, err := eventstore.Connect(url, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return jetStream(t, conn)
}

func jetStream(t testing.TB, conn *nats.Conn) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// cluster starts three servers that know each other.
func cluster(t testing.TB) []*server.Server {
	t.Helper()
	const n = 3
	var ports [n]int
	var routes [n]string
	for i := range ports {
		ports[i] = freePort(t)
		routes[i] = fmt.Sprintf("nats://127.0.0.1:%d", ports[i])
	}
	servers := make([]*server.Server, n)
	for i := range servers {
		servers[i] = listen(t, &server.Options{
			ServerName: fmt.Sprintf("n%d", i),
			StoreDir:   t.TempDir(),
			Cluster:    server.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: ports[i]},
			Routes:     server.RoutesFromStr(strings.Join(routes[:], ",")),
		})
	}
	await(t, "a leader of all servers", func() bool {
		for _, s := range servers {
			if s.JetStreamIsLeader() {
				return len(s.JetStreamClusterPeers()) == n
			}
		}
		return false
	})
	return servers
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// await waits for a condition.
func await(t testing.TB, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(patience)
	for !holds() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("%s: waited in vain", what)
		}
	}
}
