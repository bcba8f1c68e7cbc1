package projections

import (
	"sync"

	"jeton/domain"
)

// Allowance is what is left of a limit after a check.
type Allowance struct {
	domain.Limit                // zero: there is none
	Remaining    uint32         // requests in this window
	Resets       domain.Instant // when the next window begins
}

// counters count the requests of what is limited, in windows that lie end to end.
// They are exact on this node. Nodes do not tell each other: n of them let through
// at most n times the limit.
type counters struct {
	mu     sync.Mutex
	counts map[counted]count
	prune  int // at how many counts those of past windows are dropped
}

// counted is a token or, for all tokens of theirs together, a holder.
type counted struct {
	organization domain.OrganizationID
	id           domain.ID
}

type count struct {
	ends domain.Instant
	n    uint32
}

// take takes one request out of both windows, if there is room in both. It answers
// the allowance that is nearer to its end.
func (c *counters) take(org domain.OrganizationID, v *domain.Verdict, now domain.Instant) (left Allowance, ok bool) {
	if v.TokenLimit.IsZero() && v.HolderLimit.IsZero() {
		return left, true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	token, holder := counted{org, v.ID.ID}, counted{org, v.Token.Holder.ID}
	first, second := c.left(token, v.TokenLimit, now), c.left(holder, v.HolderLimit, now)
	ok = first.room() && second.room()
	if ok {
		c.add(token, &first)
		c.add(holder, &second)
	}
	return first.scarcer(second), ok
}

func (c *counters) left(who counted, limit domain.Limit, now domain.Instant) Allowance {
	if limit.IsZero() {
		return Allowance{}
	}
	window := limit.Window.Instant()
	left := Allowance{limit, limit.Requests, (now/window + 1) * window}
	before := c.counts[who]
	if ahead := before.ends - left.Resets; ahead > 0 && ahead <= window {
		left.Resets = before.ends // somebody has looked at the clock later and came first
	}
	if before.ends == left.Resets {
		left.Remaining -= min(before.n, limit.Requests)
	}
	return left
}

func (a Allowance) room() bool { return a.IsZero() || a.Remaining > 0 }

// scarcer is the one of two allowances with less in it.
func (a Allowance) scarcer(b Allowance) Allowance {
	switch {
	case a.IsZero():
		return b
	case b.IsZero() || a.Remaining < b.Remaining || a.Remaining == b.Remaining && a.Resets >= b.Resets:
		return a
	}
	return b
}

func (c *counters) add(who counted, left *Allowance) {
	if left.IsZero() {
		return
	}
	if c.counts == nil {
		c.counts, c.prune = map[counted]count{}, 1024
	}
	left.Remaining--
	c.counts[who] = count{left.Resets, left.Requests - left.Remaining}
	if len(c.counts) > c.prune {
		c.forget(left.Resets - left.Window.Instant())
	}
}

// forget drops the counts of windows that have ended.
func (c *counters) forget(now domain.Instant) {
	for who, count := range c.counts {
		if count.ends <= now {
			delete(c.counts, who)
		}
	}
	c.prune = max(1024, 2*len(c.counts))
}
