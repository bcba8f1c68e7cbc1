package projections

import (
	"fmt"
	"testing"
	"time"

	"jeton/domain"
)

// limited is a verdict on a token of a holder with limits for both.
func limited(token, holder domain.Limit) *domain.Verdict {
	v := &domain.Verdict{ID: domain.TokenID{ID: domain.RandomID()}, TokenLimit: token, HolderLimit: holder}
	v.Seat = 7
	return v
}

func TestLimitsAreExact(t *testing.T) {
	var c allowances
	v, now := limited(domain.Limit{Requests: 137, Window: 60}, domain.Limit{}), domain.At(noon)
	taken := make([]int, 50)
	atOnce(50, func(i int) error {
		for range 20 {
			if _, ok := c.take(domain.OrganizationID{}, v, now); ok {
				taken[i]++
			}
		}
		return nil
	})
	sum := 0
	for _, n := range taken {
		sum += n
	}
	if sum != 137 {
		t.Errorf("%d of 1000 requests came through, want 137", sum)
	}
}

// TestLimitedChecks: limits hold at the door, of each token and of its holder, and
// a policy's are the loosest.
func TestLimitedChecks(t *testing.T) {
	w := newWorld(t)
	bob := w.join("bob@example.org", domain.Ordinary)
	w.demand(func(p *domain.Policy) {
		p.TokenLimit, p.HolderLimit = domain.Limit{Requests: 3, Window: 60}, domain.Limit{Requests: 4, Window: 60}
	})
	_, laptop := w.issue(bob.actor, domain.Personal, "laptop", func(c *domain.IssueToken) { c.Terms.Limit = domain.Limit{Requests: 2, Window: 60} })
	answers := func(s domain.Secret, use Use) (all string) {
		for range 5 {
			found, err := w.model.Check(s.Reveal(), use)
			fails(t, "check", err, nil)
			if found.Active() == (found.Reason == domain.ReasonLimited) || found.Granted.IsZero() == found.Active() {
				t.Errorf("%+v", found)
			}
			all += fmt.Sprintf("%t %d ", found.Active(), found.Allowance.Remaining)
		}
		return all
	}
	same(t, "one that does not count", answers(laptop, Use{Free: true}), "true 0 true 0 true 0 true 0 true 0 ")
	same(t, "his token", answers(laptop, Use{}), "true 1 true 0 false 0 false 0 false 0 ")
	same(t, "his other token", answers(bob.secret, Use{}), "true 1 true 0 false 0 false 0 false 0 ")
	w.pass(time.Minute)
	same(t, "his other token, a minute later", answers(bob.secret, Use{}), "true 2 true 1 true 0 false 0 false 0 ")
	tight := domain.Limit{Requests: 1, Window: 60}
	w.do(w.owner.actor, domain.UpdateMember{Account: bob.id, Limit: &tight})
	w.pass(time.Minute)
	same(t, "a member with a limit of their own", answers(bob.secret, Use{}), "true 0 false 0 false 0 false 0 false 0 ")
}
