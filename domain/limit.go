package domain

import (
	"cmp"
	"fmt"
)

// Seconds is a length of time in whole seconds, as events and policies have it.
type Seconds int64

// Instant is the length in the unit of moments.
func (s Seconds) Instant() Instant { return Instant(s) * 1000 }

const (
	minute Seconds = 60
	day            = 24 * 60 * minute
	year           = 365 * day
)

// Limit is how often something may happen: so many requests in each window. The
// windows lie end to end from 1970 on. The zero Limit is none.
type Limit struct {
	Requests uint32  `json:"requests"`
	Window   Seconds `json:"window"`
}

// Most of what a limit can be.
const (
	MaxRequests = 1_000_000_000
	MaxWindow   = 31 * day
)

// IsZero reports whether there is no limit.
func (l Limit) IsZero() bool { return l == Limit{} }

func (l Limit) check(field string) error {
	if l.IsZero() {
		return nil
	}
	if l.Requests < 1 || l.Requests > MaxRequests {
		return Invalid(field+".requests", "is %d", fmt.Sprintf("choose 1 to %d requests", MaxRequests), l.Requests)
	}
	if l.Window < 1 || l.Window > MaxWindow {
		return Invalid(field+".window", "is %d seconds", "choose a second to 31 days", l.Window)
	}
	return nil
}

// looser reports whether l lets through more per second than the other, where no
// limit is the loosest.
func (l Limit) looser(other Limit) bool {
	if l.IsZero() || other.IsZero() {
		return l.IsZero() && !other.IsZero()
	}
	return cmp.Compare(int64(l.Requests)*int64(other.Window), int64(other.Requests)*int64(l.Window)) > 0
}

// tighter is the one of two limits that lets through less.
func (l Limit) tighter(other Limit) Limit {
	if l.looser(other) {
		return other
	}
	return l
}
