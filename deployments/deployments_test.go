// Package deployments_test runs what the deployments promise: the NATS
// configuration on a real server, with Jeton's own user.
package deployments_test

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.yaml.in/yaml/v3"

	"jeton/domain"
	"jeton/eventstore"
)

// natsServer runs nats.conf, but for its port and its place on disk.
func natsServer(t *testing.T) *server.Server {
	t.Helper()
	t.Setenv("HOSTNAME", "nats-1")
	t.Setenv("NATS_PASSWORD", "apppassword")
	t.Setenv("NATS_OPS_PASSWORD", "opspassword")
	options, err := server.ProcessConfigFile("nats.conf")
	if err != nil {
		t.Fatal(err)
	}
	options.Port, options.HTTPPort, options.NoSigs = -1, 0, true
	options.StoreDir = t.TempDir()
	s, err := server.NewServer(options)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("the server is not ready")
	}
	return s
}

func connect(t *testing.T, s *server.Server, user string) jetstream.JetStream {
	t.Helper()
	conn, err := eventstore.Connect(strings.Replace(s.ClientURL(), "nats://", "nats://"+user+"@", 1), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	js, err := jetstream.New(conn, jetstream.WithDefaultTimeout(300*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// The external log is as durable as the embedded one.
func TestNATSConfigurationIsDurable(t *testing.T) {
	t.Setenv("HOSTNAME", "nats-1")
	t.Setenv("NATS_PASSWORD", "apppassword")
	t.Setenv("NATS_OPS_PASSWORD", "opspassword")
	options, err := server.ProcessConfigFile("nats.conf")
	if err != nil {
		t.Fatal(err)
	}
	if !options.SyncAlways {
		t.Error("sync_interval is not always: a power cut loses acknowledged commits")
	}
	if options.MaxPayload < 8<<20 {
		t.Errorf("max_payload is %d, the embedded server takes 8 MiB", options.MaxPayload)
	}
}

// The service's user founds the log and writes it.
func TestJetonMayWriteTheLog(t *testing.T) {
	ctx := context.Background()
	store, err := eventstore.Create(ctx, connect(t, natsServer(t), "jeton:apppassword"), 1)
	if err != nil {
		t.Fatal(err)
	}
	entry := eventstore.Entry{ID: domain.RandomCommandID(), Boundary: "directory", Data: []byte("{}")}
	if _, err := store.Append(ctx, entry, 0); err != nil {
		t.Error(err)
	}
	if err := store.Healthy(ctx); err != nil {
		t.Error(err)
	}
}

// The service's user makes the stream of usage, writes and reads it, and makes it
// again when the operators have deleted it.
func TestJetonMayKeepUsage(t *testing.T) {
	ctx := context.Background()
	s := natsServer(t)
	log, err := eventstore.Create(ctx, connect(t, s, "jeton:apppassword"), 1)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		usage, err := eventstore.OpenUsage(ctx, log)
		if err != nil {
			t.Fatal(err)
		}
		if err := usage.Publish(ctx, "first", []byte("{}")); err != nil {
			t.Fatal(err)
		}
		heard := errors.New("heard")
		if err := usage.Follow(ctx, 0, func(uint64, []byte) error { return heard }); !errors.Is(err, heard) {
			t.Errorf("following ended with %v", err)
		}
		if err := connect(t, s, "ops:opspassword").DeleteStream(ctx, "JETON_USAGE"); err != nil {
			t.Fatal(err)
		}
	}
}

// The service's user makes the stream of objects, writes, reads, lists, deletes and
// sweeps them, and does not change or delete the stream.
func TestJetonMayKeepObjects(t *testing.T) {
	ctx := context.Background()
	s := natsServer(t)
	js := connect(t, s, "jeton:apppassword")
	objects := openObjects(t, js)
	if _, err := objects.Put(ctx, "acme/report", strings.NewReader("content"), 7); err != nil {
		t.Fatal(err)
	}
	_, r, err := objects.Get(ctx, "acme/report")
	if err != nil {
		t.Fatal(err)
	}
	if content, err := io.ReadAll(r); err != nil || string(content) != "content" {
		t.Errorf("got %q, %v", content, err)
	}
	mayNot(t, objectsStream, rewrites(t, js, objectsStream))
	if _, err := js.Publish(ctx, "$O.JETON_OBJECTS.C.leftover", nil); err != nil {
		t.Fatal(err)
	}
	objects.Stalled = 0
	err = objects.List(ctx, func(o eventstore.Object) error { return objects.Delete(ctx, o.Name) })
	if err := errors.Join(err, r.Close(), objects.Sweep(ctx, 0)); err != nil {
		t.Error(err)
	}
	if stream, err := js.Stream(ctx, objectsStream); err != nil || stream.CachedInfo().State.Msgs != 0 {
		t.Errorf("deleted and swept, something is left (%v)", err)
	}
	if err := connect(t, s, "ops:opspassword").DeleteStream(ctx, objectsStream); err != nil {
		t.Errorf("the operators' user can't delete objects: %v", err)
	}
}

// The service's user makes the stream of keys, writes, reads, lists and deletes them, and
// does not change, purge or delete the stream.
func TestJetonMayKeepKeys(t *testing.T) {
	ctx := context.Background()
	s := natsServer(t)
	js := connect(t, s, "jeton:apppassword")
	log, err := eventstore.Create(ctx, js, 1)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := eventstore.OpenKeys(ctx, log)
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(
		keys.Put(ctx, "ann", []byte("1")), keys.Put(ctx, "bob", []byte("1")),
		keys.Replace(ctx, "bob", []byte("1"), []byte("2")), keys.Delete(ctx, "ann"),
	)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	err = keys.All(ctx, func(name string, wrapped []byte) error { got[name] = string(wrapped); return nil })
	if err != nil || len(got) != 1 || got["bob"] != "2" {
		t.Errorf("the keys are %v (%v)", got, err)
	}
	const name = "JETON_KEYS"
	attempts := rewrites(t, js, name)
	delete(attempts, "delete message")
	attempts["purge"] = func() error { stream, _ := js.Stream(ctx, name); return stream.Purge(ctx) }
	mayNot(t, name, attempts)
	if err := connect(t, s, "ops:opspassword").DeleteStream(ctx, name); err != nil {
		t.Errorf("the operators' user can't delete %s: %v", name, err)
	}
}

const objectsStream = "OBJ_JETON_OBJECTS"

// openObjects opens the objects of a new log.
func openObjects(t *testing.T, js jetstream.JetStream) *eventstore.JetStreamObjects {
	t.Helper()
	log, err := eventstore.Create(context.Background(), js, 1)
	if err != nil {
		t.Fatal(err)
	}
	log.Confirm = time.Millisecond // nobody takes over
	objects, err := eventstore.OpenObjects(context.Background(), log, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

// The service's user tells the other nodes of its presence and hears theirs.
func TestJetonMayTellOfItsPresence(t *testing.T) {
	s := natsServer(t)
	log, err := eventstore.Create(context.Background(), connect(t, s, "jeton:apppassword"), 1)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	other := eventstore.OpenPresence(log)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	go func() {
		for ctx.Err() == nil && other.Tell([]byte("here")) == nil {
			<-tick.C
		}
	}()
	heard := ""
	err = eventstore.OpenPresence(log).Hear(ctx, func(message []byte) { heard = string(message); cancel() })
	if heard != "here" || !errors.Is(err, context.Canceled) {
		t.Errorf("heard %q, %v", heard, err)
	}
}

// The service's user cannot change or delete the log or usage; the operators' user can.
func TestJetonMayNotRewriteTheLog(t *testing.T) {
	ctx := context.Background()
	s := natsServer(t)
	js := connect(t, s, "jeton:apppassword")
	log, err := eventstore.Create(ctx, js, 1)
	if err == nil {
		_, err = eventstore.OpenUsage(ctx, log)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"JETON_0", "JETON_USAGE"} {
		mayNotRewrite(t, js, name)
		if err := connect(t, s, "ops:opspassword").DeleteStream(ctx, name); err != nil {
			t.Errorf("the operators' user can't delete %s: %v", name, err)
		}
	}
}

func mayNotRewrite(t *testing.T, js jetstream.JetStream, name string) {
	t.Helper()
	stream, err := js.Stream(context.Background(), name)
	if err != nil {
		t.Fatal(err)
	}
	attempts := rewrites(t, js, name)
	attempts["purge"] = func() error { return stream.Purge(context.Background()) }
	mayNot(t, name, attempts)
}

// rewrites are what only operators may do, by name.
func rewrites(t *testing.T, js jetstream.JetStream, name string) map[string]func() error {
	t.Helper()
	ctx := context.Background()
	stream, err := js.Stream(ctx, name)
	if err != nil {
		t.Fatal(err)
	}
	config := stream.CachedInfo().Config
	config.MaxMsgs = 1
	return map[string]func() error{
		"update":         func() error { _, err := js.UpdateStream(ctx, config); return err },
		"delete":         func() error { return js.DeleteStream(ctx, name) },
		"delete message": func() error { return stream.DeleteMsg(ctx, 1) },
	}
}

func mayNot(t *testing.T, name string, attempts map[string]func() error) {
	t.Helper()
	for what, attempt := range attempts {
		if err := attempt(); !denied(err) {
			t.Errorf("%s %s: %v, want no answer", what, name, err)
		}
	}
}

// denied: a request that may not be published gets no answer.
func denied(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrTimeout) || errors.Is(err, nats.ErrPermissionViolation)
}

// Compose gives the server settings that it has, and no password or key of its own.
func TestComposeFile(t *testing.T) {
	data, err := os.ReadFile("compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var compose struct {
		Services map[string]struct {
			Environment map[string]string
			Image       string
		}
	}
	if err := yaml.Unmarshal(data, &compose); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"jeton", "nats", "postgres"} {
		if _, there := compose.Services[name]; !there {
			t.Errorf("there is no service %s", name)
		}
	}
	if key := compose.Services["jeton"].Environment["JETON_MASTER_KEY"]; !strings.HasPrefix(key, "${JETON_MASTER_KEY:?") {
		t.Errorf("the master key is %q: it has to be given, or nobody can read the people's data after the first start", key)
	}
	for name, value := range compose.Services["jeton"].Environment {
		if !strings.HasPrefix(name, "JETON_") {
			t.Errorf("jeton gets %s", name)
		}
		if strings.Contains(value, "@") && !strings.Contains(value, "${JETON_PASSWORD") && name != "JETON_EMAIL" {
			t.Errorf("%s has a password of its own", name)
		}
	}
}
