package domain

import (
	"slices"
	"testing"
)

func TestWarnOfExpiry(t *testing.T) {
	ends := today + (40 * day).Instant()
	before := func(days Seconds) Instant { return ends - (days * day).Instant() }
	expires := func(at Instant) TokenIssued {
		return TokenIssued{Token: laptop, Type: Administrative, Name: "laptop", Hash: hashOf("x"), Expires: at}
	}
	there := []Event{expires(ends)}
	warned := func(days int) []Event { return []Event{TokenExpiring{laptop, days, ends}} }
	warn := func(given []Event, at Instant, then []Event) scenario[*Organization] {
		return scenario[*Organization]{given: given, when: WarnOfExpiry{}, by: system, at: at, then: then}
	}
	run(t, acmeAfter, tenantScenarios{
		"long before":                         warn(there, today, nil),
		"a millisecond before thirty days":    warn(there, before(30)-1, nil),
		"thirty days before":                  warn(there, before(30), warned(30)),
		"thirty days before, twice":           warn(all(there, warned(30)), before(30)+1, nil),
		"a millisecond before fourteen days":  warn(all(there, warned(30)), before(14)-1, nil),
		"fourteen days before":                warn(all(there, warned(30)), before(14), warned(14)),
		"seven days before":                   warn(all(there, warned(30), warned(14)), before(7), warned(7)),
		"three days before":                   warn(all(there, warned(7)), before(3), warned(3)),
		"a day before":                        warn(all(there, warned(3)), before(1), warned(1)),
		"a day before, twice":                 warn(all(there, warned(1)), before(1)+1, nil),
		"a millisecond before":                warn(all(there, warned(1)), ends-1, nil),
		"at the end":                          warn(there, ends, nil),
		"after the end":                       warn(there, ends+1, nil),
		"whom nobody has warned, once":        warn(there, before(3), warned(3)),
		"whom nobody has warned for a month":  warn(there, before(14)-1, warned(30)),
		"a revoked one":                       warn(all(there, TokenRevoked{Token: laptop}), before(1), nil),
		"one that waits":                      warn(all(there, ApprovalRequested{laptop, ends}), before(1), nil),
		"one without an end":                  warn(all(there, TokenExpiryChanged{Token: laptop}), before(1), nil),
		"one that has a new end":              warn(all(there, warned(7), TokenExpiryChanged{laptop, ends + 1}), before(7)+1, []Event{TokenExpiring{laptop, 7, ends + 1}}),
		"one that was rotated":                warn(all(there, warned(7), on(before(3), TokenRotated{laptop, hashOf("2"), ends + (30 * day).Instant(), before(3)})), before(3), nil),
		"one that lives for a day":            warn([]Event{expires(tomorrow)}, today, nil),
		"one that lives for a week":           warn([]Event{expires(today + (7 * day).Instant())}, today, nil),
		"one that lives for a week, later":    warn([]Event{expires(today + (7 * day).Instant())}, today+(4*day).Instant(), []Event{TokenExpiring{laptop, 3, today + (7 * day).Instant()}}),
		"one that lives a little over a week": warn([]Event{expires(today + (7 * day).Instant() + 1)}, today+1, []Event{TokenExpiring{laptop, 7, today + (7 * day).Instant() + 1}}),
		"one of a suspended member":           warn([]Event{TokenIssued{Token: laptop, Type: Personal, Holder: mia, Name: "x", Expires: ends}, MemberSuspended{Account: mia}}, before(1), warned(1)),
		"in an organization that is no more":  warn(all(there, OrganizationDeleted{}), before(1), nil),
		"by an owner":                         {given: there, when: WarnOfExpiry{}, at: before(1), err: ErrDenied, says: "only the service itself does this"},
	})
}

// Through a whole life, asked every hour: five warnings, each once.
func TestWarningsOfALife(t *testing.T) {
	ends := today + (365 * day).Instant()
	o := acmeAfter(TokenIssued{Token: laptop, Type: Administrative, Name: "laptop", Expires: ends})
	var given []int
	for at := today; at < ends+day.Instant(); at += Seconds(3600).Instant() {
		events, err := WarnOfExpiry{}.Decide(o, Meta{Actor: system, Time: at})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			if e := e.(TokenExpiring); e.Token == laptop {
				given = append(given, e.Days)
			}
		}
		o.Evolve(Commit{Meta: Meta{Position: o.Version + 1, Time: at}, Events: events})
	}
	if want := []int{30, 14, 7, 3, 1}; !slices.Equal(given, want) {
		t.Errorf("warned %v days before, want %v", given, want)
	}
	if got, _ := o.Tokens.Find(laptop); got.Changed != 2 {
		t.Errorf("a warning changed the token at %d", got.Changed)
	}
}

// One commit holds only so many; the next holds the rest.
func TestWarnsInParts(t *testing.T) {
	o := acmeAfter()
	ends := today + (30 * day).Instant()
	for i := range maxWarnings + 1 {
		id := TokenID{ID{1, byte(i >> 8), byte(i)}}
		o.Evolve(Commit{Meta: Meta{Time: today - 1}, Events: []Event{TokenIssued{Token: id, Type: Administrative, Name: id.String(), Expires: ends}}})
	}
	for _, want := range []int{maxWarnings, 1, 0} {
		events, err := WarnOfExpiry{}.Decide(o, Meta{Actor: system, Time: today})
		if len(events) != want || err != nil {
			t.Errorf("%d warnings, %v, want %d", len(events), err, want)
		}
		o.Evolve(Commit{Events: events})
	}
}

func TestDaysLeft(t *testing.T) {
	for name, c := range map[string]struct {
		expires Instant
		days    int
		soon    bool
	}{
		"never":                     {0, 0, false},
		"more than thirty days":     {today + (30 * day).Instant() + 1, 0, false},
		"thirty days":               {today + (30 * day).Instant(), 30, true},
		"not quite thirty":          {today + (30 * day).Instant() - 1, 29, true},
		"a day":                     {tomorrow, 1, true},
		"less than a day":           {tomorrow - 1, 0, true},
		"no time":                   {today, 0, true},
		"less than no time":         {today - day.Instant(), 0, true},
		"longer than there is time": {lastInstant, 0, false},
	} {
		if days, soon := (&Token{Expires: c.expires}).DaysLeft(today); days != c.days || soon != c.soon {
			t.Errorf("%s: %d, %t, want %d, %t", name, days, soon, c.days, c.soon)
		}
	}
}
