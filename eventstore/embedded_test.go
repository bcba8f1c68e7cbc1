package eventstore_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/rs/zerolog"

	"jeton/eventstore"
	"jeton/eventstore/eventstoretest"
)

func TestADirectoryHasOneServer(t *testing.T) {
	dir := t.TempDir()
	first := embed(t, dir)
	if e, err := eventstore.StartEmbedded(eventstore.EmbeddedConfig{Dir: dir}); !errors.Is(err, eventstore.ErrLocked) {
		t.Errorf("a second server: got %v, %v; want ErrLocked", e, err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	embed(t, dir)
}

func TestWhatWasAppendedIsThereAfterARestart(t *testing.T) {
	dir := t.TempDir()
	heads := fill(t, dir, 3)
	e := embed(t, dir)
	s, err := eventstore.Open(t.Context(), e.JetStream())
	if err != nil {
		t.Fatal(err)
	}
	f := eventstoretest.Follow(t, s, eventstore.Head{})
	for _, want := range heads {
		if got := f.Next().Head(); got != want {
			t.Errorf("got %v, want %v", got, want)
		}
	}
	if at := eventstoretest.Append(t, s, eventstoretest.Entry("a", "x"), 3); at != 4 {
		t.Errorf("the next commit stands at %d, want 4", at)
	}
	if err := e.Health(); err != nil {
		t.Errorf("health: %v", err)
	}
}

func TestAServerIsClosedOnce(t *testing.T) {
	e := embed(t, t.TempDir())
	for range 2 {
		if err := e.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
	if err := e.Health(); !errors.Is(err, eventstore.ErrUnavailable) {
		t.Errorf("health of a closed server: got %v, want ErrUnavailable", err)
	}
	if !e.Conn().IsClosed() {
		t.Error("its connection is open")
	}
}

func TestAServerThatCannotStartSaysWhyAndLocksNothing(t *testing.T) {
	dir := t.TempDir()
	inTheWay := filepath.Join(dir, "nats")
	if err := os.WriteFile(inTheWay, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if e, err := eventstore.StartEmbedded(eventstore.EmbeddedConfig{Dir: dir}); err == nil {
		t.Errorf("it started in a file: %v", e.Close())
	}
	if err := os.Remove(inTheWay); err != nil {
		t.Fatal(err)
	}
	embed(t, dir)
}

func TestAServerTalksToTheLog(t *testing.T) {
	dir := t.TempDir()
	fill(t, dir, 3)
	if err := os.Truncate(find(t, dir, "index.db"), 3); err != nil {
		t.Fatal(err)
	}
	var log syncBuffer
	e, err := eventstore.StartEmbedded(eventstore.EmbeddedConfig{Dir: dir, Log: zerolog.New(&log)})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), `"level":"warn"`) {
		t.Errorf("no warning about the damaged index:\n%s", log.String())
	}
}

// syncBuffer may be written by several goroutines.
type syncBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}
