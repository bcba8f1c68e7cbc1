package eventstore

import (
	"context"
	"sync"
)

// MemoryPresence is presence among nodes of one process: NewMemoryPresence makes
// them.
type MemoryPresence struct{ hub *presenceHub }

// presenceHub is who hears, and as which node.
type presenceHub struct {
	mu      sync.Mutex
	hearing map[*presenceQueue]*MemoryPresence
}

// NewMemoryPresence makes so many nodes that hear each other.
func NewMemoryPresence(nodes int) []*MemoryPresence {
	hub := &presenceHub{hearing: map[*presenceQueue]*MemoryPresence{}}
	all := make([]*MemoryPresence, nodes)
	for i := range all {
		all[i] = &MemoryPresence{hub}
	}
	return all
}

// Tell implements Presence. It is never without a connection.
func (p *MemoryPresence) Tell(message []byte) error {
	if err := checkPresence(message); err != nil {
		return err
	}
	p.hub.mu.Lock()
	defer p.hub.mu.Unlock()
	for queue, who := range p.hub.hearing {
		if who != p {
			queue.add(message)
		}
	}
	return nil
}

// Hear implements Presence.
func (p *MemoryPresence) Hear(ctx context.Context, do func(message []byte)) error {
	queue := new(presenceQueue)
	p.hub.hear(queue, p)
	defer p.hub.leave(queue)
	return queue.handOut(ctx, do)
}

func (h *presenceHub) hear(queue *presenceQueue, who *MemoryPresence) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.hearing[queue] = who
}

func (h *presenceHub) leave(queue *presenceQueue) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.hearing, queue)
}
