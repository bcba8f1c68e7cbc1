package engine

import (
	"sync"

	"jeton/domain"
)

// allowances are those of this process. Processes do not tell each other: n of them,
// and the platform, each let through the limit.
type allowances struct {
	mu   sync.Mutex
	left domain.Allowances
}

func (a *allowances) take(v *domain.Verdict, now domain.Instant) (left domain.Allowance, ok bool) {
	if v.TokenLimit.IsZero() && v.HolderLimit.IsZero() {
		return left, true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.left.Take(domain.OrganizationID{}, v, now)
}
