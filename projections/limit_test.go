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
	v.Token.Holder = domain.AccountID{ID: domain.RandomID()}
	return v
}

func TestLimitsAreExact(t *testing.T) {
	var c counters
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

func TestWindows(t *testing.T) {
	var c counters
	v := limited(domain.Limit{Requests: 2, Window: 60}, domain.Limit{})
	begin := domain.At(noon) // a whole minute
	for i, step := range []struct {
		at        domain.Instant
		ok        bool
		remaining uint32
		resets    domain.Instant
	}{
		{begin + 1, true, 1, begin + 60_000},
		{begin + 30_000, true, 0, begin + 60_000},
		{begin + 59_999, false, 0, begin + 60_000},
		{begin + 60_000, true, 1, begin + 120_000}, // the next begins
		{begin + 59_999, true, 0, begin + 120_000}, // somebody looked at the clock before, and comes after
		{begin + 60_001, false, 0, begin + 120_000},
		{begin + 600_000, true, 1, begin + 660_000},
		{begin, true, 1, begin + 60_000}, // the clock was set back
	} {
		left, ok := c.take(domain.OrganizationID{}, v, step.at)
		if ok != step.ok || left != (Allowance{v.TokenLimit, step.remaining, step.resets}) {
			t.Errorf("step %d: %+v %v, want %+v", i, left, ok, step)
		}
	}
}

// TestTwoLimits: what one refuses is not taken from the other, and the one that
// is nearer to its end is told.
func TestTwoLimits(t *testing.T) {
	var c counters
	three, five := domain.Limit{Requests: 3, Window: 60}, domain.Limit{Requests: 5, Window: 60}
	org, now := domain.OrganizationID{ID: domain.RandomID()}, domain.At(noon)
	first := limited(three, five)
	second := limited(three, five)
	second.Token.Holder = first.Token.Holder
	elsewhere := domain.OrganizationID{ID: domain.RandomID()}
	for i, step := range []struct {
		org  domain.OrganizationID
		v    *domain.Verdict
		ok   bool
		left Allowance
	}{
		{org, first, true, Allowance{three, 2, now + 60_000}},
		{org, first, true, Allowance{three, 1, now + 60_000}},
		{org, first, true, Allowance{three, 0, now + 60_000}},
		{org, first, false, Allowance{three, 0, now + 60_000}},
		{org, second, true, Allowance{five, 1, now + 60_000}}, // the refused one took nothing
		{org, second, true, Allowance{five, 0, now + 60_000}},
		{org, second, false, Allowance{five, 0, now + 60_000}},
		{elsewhere, first, true, Allowance{three, 2, now + 60_000}}, // limits are each organization's own
	} {
		left, ok := c.take(step.org, step.v, now)
		if ok != step.ok || left != step.left {
			t.Errorf("step %d: %+v %v, want %+v %v", i, left, ok, step.left, step.ok)
		}
	}
	if left, ok := c.take(org, limited(domain.Limit{}, domain.Limit{}), now); !ok || !left.IsZero() {
		t.Errorf("without limits: %+v %v", left, ok)
	}
}

func TestPastWindowsAreForgotten(t *testing.T) {
	var c counters
	limit := domain.Limit{Requests: 2, Window: 60}
	long := limited(domain.Limit{Requests: 1, Window: domain.MaxWindow}, domain.Limit{})
	now := domain.At(noon)
	c.take(domain.OrganizationID{}, long, now)
	for minute := range domain.Instant(20) {
		for range 500 {
			c.take(domain.OrganizationID{}, limited(limit, domain.Limit{}), now+minute*60_000)
		}
	}
	if n := len(c.counts); n > 2000 {
		t.Errorf("%d counts are kept of 500 in each window", n)
	}
	if _, ok := c.take(domain.OrganizationID{}, long, now+20*60_000); ok {
		t.Error("a window that has not ended was forgotten")
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
