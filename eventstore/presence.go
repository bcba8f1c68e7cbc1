package eventstore

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/nats-io/nats.go"
)

// Presence is where the nodes of one platform tell each other what is so just now,
// such as which engines are connected to them. It keeps nothing: who does not hear
// when a message is told never will, and a message may be lost on its way without
// a word to anybody. So nodes tell again and again. MemoryPresence and
// NATSPresence carry it; eventstoretest.RunPresence says what both promise.
type Presence interface {
	// Tell sends a message to all others who hear now; who told does not hear its
	// own. It waits for nobody. A message larger than MaxReport is ErrTooLarge,
	// and without a connection it is ErrUnavailable.
	Tell(message []byte) error

	// Hear hands each message that comes to do, those of one node in the order in
	// which they were told, until ctx ends. A message is do's to keep. While do
	// is slow presenceWaiting messages wait for it, and then the oldest are
	// dropped: what is told again and again is worth most when it is new.
	Hear(ctx context.Context, do func(message []byte)) error
}

// presenceWaiting bounds, with MaxReport, what waits for a slow hearer.
const presenceWaiting = 128 // messages

func checkPresence(message []byte) error {
	if len(message) > MaxReport {
		return fmt.Errorf("tell of presence: %d bytes: %w", len(message), ErrTooLarge)
	}
	return nil
}

const (
	presenceSubject = "jeton-presence" // of no stream
	presenceTeller  = "Jeton-Teller"   // header: who told
)

// NATSPresence is presence on the server or cluster of a log, over its connection.
type NATSPresence struct {
	conn *nats.Conn
	id   string // of this one among all
}

// OpenPresence is presence beside a log, as one node more.
func OpenPresence(beside *JetStream) *NATSPresence {
	return &NATSPresence{beside.js.Conn(), rand.Text()}
}

// Tell implements Presence.
func (p *NATSPresence) Tell(message []byte) error {
	if err := checkPresence(message); err != nil {
		return err
	}
	err := p.conn.PublishMsg(&nats.Msg{
		Subject: presenceSubject,
		Data:    message,
		Header:  nats.Header{presenceTeller: {p.id}},
	})
	switch {
	case errors.Is(err, nats.ErrMaxPayload):
		return fmt.Errorf("tell of presence: %w", ErrTooLarge)
	case err != nil:
		return fmt.Errorf("tell of presence: %w: %w", ErrUnavailable, err)
	}
	return nil
}

// Hear implements Presence. It goes on when the connection comes back, and ends
// with ErrUnavailable if it is closed for good.
func (p *NATSPresence) Hear(ctx context.Context, do func(message []byte)) error {
	var queue presenceQueue
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	subscription, err := p.conn.Subscribe(presenceSubject, func(m *nats.Msg) {
		if m.Header.Get(presenceTeller) != p.id {
			queue.add(m.Data)
		}
	})
	if err != nil {
		return fmt.Errorf("hear of presence: %w: %w", ErrUnavailable, err)
	}
	defer func() { _ = subscription.Unsubscribe() }()
	subscription.SetClosedHandler(func(string) {
		stop(fmt.Errorf("hear of presence: %w: %w", ErrUnavailable, nats.ErrConnectionClosed))
	})
	if p.conn.IsClosed() { // before anybody could say so
		return fmt.Errorf("hear of presence: %w: %w", ErrUnavailable, nats.ErrConnectionClosed)
	}
	return queue.handOut(ctx, do)
}

// presenceQueue is what waits for a hearer. The zero value is empty.
type presenceQueue struct {
	mu      sync.Mutex
	waiting [][]byte
	grown   chan struct{} // closed when a message is added; nil if nobody waits
}

// add never waits: if there is no place the oldest message makes room.
func (q *presenceQueue) add(message []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == presenceWaiting {
		q.waiting = slices.Delete(q.waiting, 0, 1)
	}
	q.waiting = append(q.waiting, bytes.Clone(message))
	if q.grown != nil {
		close(q.grown)
		q.grown = nil
	}
}

// handOut hands out what comes until ctx ends, whose cause is the error.
func (q *presenceQueue) handOut(ctx context.Context, do func(message []byte)) error {
	for ctx.Err() == nil {
		message, there, grown := q.next()
		if there {
			do(message)
			continue
		}
		select {
		case <-grown:
		case <-ctx.Done():
		}
	}
	return context.Cause(ctx)
}

// next takes the oldest message out. If there is none grown is closed when there is one.
func (q *presenceQueue) next() (message []byte, there bool, grown <-chan struct{}) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) > 0 {
		message = q.waiting[0]
		q.waiting = slices.Delete(q.waiting, 0, 1)
		return message, true, nil
	}
	if q.grown == nil {
		q.grown = make(chan struct{})
	}
	return nil, false, q.grown
}
