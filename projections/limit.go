package projections

import (
	"sync"

	"jeton/domain"
)

// allowances are those of this node. Nodes do not tell each other: n of them let
// through at most n times a limit.
type allowances struct {
	mu   sync.Mutex
	left domain.Allowances
}

func (a *allowances) take(org domain.OrganizationID, v *domain.Verdict, now domain.Instant) (left domain.Allowance, ok bool) {
	if v.TokenLimit.IsZero() && v.HolderLimit.IsZero() {
		return left, true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.left.Take(org, v, now)
}
