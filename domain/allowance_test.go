package domain

import "testing"

// begun is the beginning of a minute.
const begun Instant = 1_800_000_000_000

// limited is a verdict on a token of a holder with limits for both.
func limited(token, holder Limit) *Verdict {
	return &Verdict{ID: TokenID{RandomID()}, TokenLimit: token, HolderLimit: holder, Seat: 7}
}

func TestWindows(t *testing.T) {
	var c Allowances
	v := limited(Limit{Requests: 2, Window: 60}, Limit{})
	begin := begun // a whole minute
	for i, step := range []struct {
		at        Instant
		ok        bool
		remaining uint32
		resets    Instant
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
		left, ok := c.Take(OrganizationID{}, v, step.at)
		if ok != step.ok || left != (Allowance{v.TokenLimit, step.remaining, step.resets}) {
			t.Errorf("step %d: %+v %v, want %+v", i, left, ok, step)
		}
	}
}

// TestTwoLimits: what one refuses is not taken from the other, and the one that
// is nearer to its end is told.
func TestTwoLimits(t *testing.T) {
	var c Allowances
	three, five := Limit{Requests: 3, Window: 60}, Limit{Requests: 5, Window: 60}
	org, now := OrganizationID{ID: RandomID()}, begun
	first := limited(three, five)
	second := limited(three, five)
	second.Seat = first.Seat
	elsewhere := OrganizationID{ID: RandomID()}
	for i, step := range []struct {
		org  OrganizationID
		v    *Verdict
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
		left, ok := c.Take(step.org, step.v, now)
		if ok != step.ok || left != step.left {
			t.Errorf("step %d: %+v %v, want %+v %v", i, left, ok, step.left, step.ok)
		}
	}
	if left, ok := c.Take(org, limited(Limit{}, Limit{}), now); !ok || !left.IsZero() {
		t.Errorf("without limits: %+v %v", left, ok)
	}
}

func TestPastWindowsAreForgotten(t *testing.T) {
	var c Allowances
	limit := Limit{Requests: 2, Window: 60}
	long := limited(Limit{Requests: 1, Window: MaxWindow}, Limit{})
	now := begun
	c.Take(OrganizationID{}, long, now)
	for minute := range Instant(20) {
		for range 500 {
			c.Take(OrganizationID{}, limited(limit, Limit{}), now+minute*60_000)
		}
	}
	if n := len(c.counts); n > 2000 {
		t.Errorf("%d counts are kept of 500 in each window", n)
	}
	if _, ok := c.Take(OrganizationID{}, long, now+20*60_000); ok {
		t.Error("a window that has not ended was forgotten")
	}
}

// A limit that cannot be, which an engine may be told, does no harm.
func TestALimitThatCannotBe(t *testing.T) {
	var a Allowances
	if _, ok := a.Take(OrganizationID{}, limited(Limit{Requests: 1}, Limit{}), begun); !ok {
		t.Error("the first request in no time is limited")
	}
}
