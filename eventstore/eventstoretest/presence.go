package eventstoretest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"jeton/eventstore"
)

// RunPresence checks all that eventstore.Presence promises, each time among three
// new nodes from open.
func RunPresence(t *testing.T, open func(t *testing.T) [3]eventstore.Presence) {
	for _, p := range presencePromises {
		t.Run(p.name, func(t *testing.T) { p.check(t, open(t)) })
	}
}

var presencePromises = []struct {
	name  string
	check func(t *testing.T, nodes [3]eventstore.Presence)
}{
	{"all others hear what is told, and who told does not", othersHear},
	{"what one node tells is heard in its order", toldInOrder},
	{"who hears twice hears all twice", heardTwice},
	{"a message is the hearer's to keep", toKeep},
	{"a message that is too large is refused", tooLargeMessage},
	{"who does not hear is told nothing later", nothingLater},
	{"a slow hearer is waited for by nobody and hears the newest", slowHearer},
	{"hearing ends when nobody wants it any more", hearingEnds},
}

func othersHear(t *testing.T, nodes [3]eventstore.Presence) {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	var hearers [3]*Hearer
	for i, node := range nodes {
		hearers[i] = Hear(t, node, nodes[(i+1)%3], nodes[(i+2)%3])
	}
	for _, message := range []string{"1", "", string(all), strings.Repeat("x", eventstore.MaxReport)} {
		for i, node := range nodes {
			TellPresence(t, node, message)
			hearers[(i+1)%3].Want(message)
			hearers[(i+2)%3].Want(message)
		}
	}
}

// So few wait for a hearer that none is dropped.
func toldInOrder(t *testing.T, nodes [3]eventstore.Presence) {
	const messages = 50
	hearer := Hear(t, nodes[2], nodes[0], nodes[1])
	told := make(chan error, 1)
	go func() {
		told <- everybody(2, func(i int) (err error) {
			for n := 0; n < messages && err == nil; n++ {
				err = nodes[i].Tell(fmt.Appendf(nil, "%d %d", i, n))
			}
			return err
		})
	}()
	next := [2]int{}
	for range 2 * messages {
		var i, n int
		message := hearer.Next()
		if _, err := fmt.Sscanf(message, "%d %d", &i, &n); err != nil || n != next[i] {
			t.Errorf("got %q (%v) after %v", message, err, next)
			break
		}
		next[i]++
	}
	if err := <-told; err != nil {
		t.Error(err)
	}
}

func heardTwice(t *testing.T, nodes [3]eventstore.Presence) {
	hearers := []*Hearer{Hear(t, nodes[1], nodes[0]), Hear(t, nodes[1], nodes[0])}
	TellPresence(t, nodes[0], "twice")
	for _, h := range hearers {
		h.Want("twice")
	}
}

func toKeep(t *testing.T, nodes [3]eventstore.Presence) {
	first, second := Hear(t, nodes[1], nodes[0]), Hear(t, nodes[2], nodes[0])
	message := []byte("message")
	if err := nodes[0].Tell(message); err != nil {
		t.Fatal(err)
	}
	copy(message, "changed")
	clear(first.NextBytes())
	second.Want("message")
}

func tooLargeMessage(t *testing.T, nodes [3]eventstore.Presence) {
	h := Hear(t, nodes[1], nodes[0])
	if err := nodes[0].Tell(bytes.Repeat([]byte("x"), eventstore.MaxReport+1)); !errors.Is(err, eventstore.ErrTooLarge) {
		t.Errorf("got %v, want ErrTooLarge", err)
	}
	TellPresence(t, nodes[0], "small")
	h.Want("small")
}

// That another one of the same node has heard it says that it is not on its way.
func nothingLater(t *testing.T, nodes [3]eventstore.Presence) {
	first := Hear(t, nodes[1], nodes[0])
	TellPresence(t, nodes[0], "to the first")
	first.Want("to the first")
	later := Hear(t, nodes[1], nodes[0])
	TellPresence(t, nodes[0], "to both")
	later.Want("to both")
	first.Want("to both")
}

// The first message keeps the hearer busy while more come than can wait.
func slowHearer(t *testing.T, nodes [3]eventstore.Presence) {
	const messages = 5000
	slow, quick := Hear(t, nodes[1], nodes[0]), Hear(t, nodes[2], nodes[0])
	began := time.Now()
	for n := range messages {
		TellPresence(t, nodes[0], fmt.Sprint(n))
		if n%50 == 0 { // so that the quick one hears all
			for quick.Next() != fmt.Sprint(n) {
			}
		}
	}
	if took := time.Since(began); took > patience {
		t.Errorf("telling took %v", took)
	}
	heard := 1
	for slow.Next() != fmt.Sprint(messages-1) { // never comes if the newest are dropped
		heard++
	}
	if heard == messages {
		t.Error("the slow one heard all: it was not slow")
	}
}

func hearingEnds(t *testing.T, nodes [3]eventstore.Presence) {
	h := Hear(t, nodes[1], nodes[0])
	h.Stop()
	if err := h.End(); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	TellPresence(t, nodes[0], "to nobody")
}

// TellPresence tells or ends the test.
func TellPresence(t testing.TB, p eventstore.Presence, message string) {
	t.Helper()
	if err := p.Tell([]byte(message)); err != nil {
		t.Fatalf("tell %.40q: %v", message, err)
	}
}

// Hearer is somebody who hears presence in the background of a test.
type Hearer struct {
	t        testing.TB
	messages chan []byte
	end      chan error
	stop     context.CancelFunc
}

// probe is what a test tells to find out who hears.
const probe = "does anybody hear this?"

// Hear hears what p hears until the test ends or Stop. It returns when p hears the
// tellers.
func Hear(t testing.TB, p eventstore.Presence, tellers ...eventstore.Presence) *Hearer {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	h := &Hearer{t, make(chan []byte), make(chan error, 1), cancel}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		h.end <- p.Hear(ctx, func(message []byte) {
			select {
			case h.messages <- message:
			case <-ctx.Done():
			}
		})
	}()
	t.Cleanup(func() { cancel(); <-ended })
	for i, teller := range tellers {
		h.await(teller, fmt.Sprint(probe, i))
	}
	return h
}

// await tells until it is heard.
func (h *Hearer) await(teller eventstore.Presence, probe string) {
	h.t.Helper()
	for {
		switch got := h.next(func() { TellPresence(h.t, teller, probe) }); {
		case string(got) == probe:
			return
		case !isProbe(got):
			h.t.Fatalf("got %.40q before anything was told", got)
		}
	}
}

// NextWhile is the next message of those that do tells, again and again until one comes.
func (h *Hearer) NextWhile(do func()) string {
	h.t.Helper()
	for {
		if message := h.next(do); !isProbe(message) {
			return string(message)
		}
	}
}

// next is the next message, while do is done.
func (h *Hearer) next(do func()) []byte {
	h.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for limit := time.Now().Add(patience); time.Now().Before(limit); {
		do()
		select {
		case message := <-h.messages:
			return message
		case err := <-h.end:
			h.t.Fatalf("hearing ended with %v", err)
		case <-tick.C:
		}
	}
	h.t.Fatal("nothing that is told is heard")
	panic("unreachable")
}

func isProbe(message []byte) bool { return bytes.HasPrefix(message, []byte(probe)) }

// NextBytes is the next message that is no probe; the test fails if none comes.
func (h *Hearer) NextBytes() []byte {
	h.t.Helper()
	for {
		if message := h.next(func() {}); !isProbe(message) {
			return message
		}
	}
}

// Next is NextBytes as text.
func (h *Hearer) Next() string {
	h.t.Helper()
	return string(h.NextBytes())
}

// Want checks the next message.
func (h *Hearer) Want(message string) {
	h.t.Helper()
	if got := h.Next(); got != message {
		h.t.Errorf("got the message %.40q, want %.40q", got, message)
	}
}

// End is the error that hearing ends with.
func (h *Hearer) End() error {
	h.t.Helper()
	select {
	case err := <-h.end:
		return err
	case <-time.After(patience):
		h.t.Fatal("hearing does not end")
	}
	panic("unreachable")
}

// Stop ends hearing.
func (h *Hearer) Stop() { h.stop() }
