package domain

// Allowance is what is left of a limit after a check.
type Allowance struct {
	Limit             // zero: there is none
	Remaining uint32  // requests in this window
	Resets    Instant // when the next window begins
}

// Allowances count the requests of what is limited, in windows that lie end to end.
// They are exact where they are: whoever counts elsewhere lets through the limit once
// more. Who shares them locks them.
type Allowances struct {
	counts map[counted]count
	prune  int // at how many counts those of past windows are dropped
}

// counted is a token or, for all tokens of theirs together, a holder.
type counted struct {
	organization OrganizationID
	token        TokenID
	seat         uint32
}

type count struct {
	ends Instant
	n    uint32
}

// Take takes one request out of both windows of a verdict, that of the token and that
// of its holder, if there is room in both. It answers the allowance that is nearer
// to its end.
func (a *Allowances) Take(org OrganizationID, v *Verdict, now Instant) (left Allowance, ok bool) {
	token, holder := counted{organization: org, token: v.ID}, counted{organization: org, seat: v.Seat}
	first, second := a.left(token, v.TokenLimit, now), a.left(holder, v.HolderLimit, now)
	ok = first.room() && second.room()
	if ok {
		a.add(token, &first, now)
		a.add(holder, &second, now)
	}
	return first.scarcer(second), ok
}

func (a *Allowances) left(who counted, limit Limit, now Instant) Allowance {
	if limit.IsZero() {
		return Allowance{}
	}
	window := min(max(limit.Window, 1), MaxWindow).Instant() // whatever an engine was told, it divides
	left := Allowance{limit, limit.Requests, (now/window + 1) * window}
	before := a.counts[who]
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

func (a *Allowances) add(who counted, left *Allowance, now Instant) {
	if left.IsZero() {
		return
	}
	if a.counts == nil {
		a.counts, a.prune = map[counted]count{}, manyCounts
	}
	left.Remaining--
	a.counts[who] = count{left.Resets, left.Requests - left.Remaining}
	if len(a.counts) > a.prune {
		a.forget(now)
	}
}

const manyCounts = 1024

// forget drops the counts of windows that have ended.
func (a *Allowances) forget(now Instant) {
	for who, count := range a.counts {
		if count.ends <= now {
			delete(a.counts, who)
		}
	}
	a.prune = max(manyCounts, 2*len(a.counts))
}
