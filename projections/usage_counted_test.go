package projections

import (
	"fmt"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"jeton/domain"
)

// TestCountedAtAnEngine: what an engine has seen is in the tables like what was seen here.
func TestCountedAtAnEngine(t *testing.T) {
	everywhere(t, func(t *testing.T, url string) {
		w := newWorld(t)
		usage := jetStreamUsage(t)
		v, r := viewsOf(w, url), w.model.reporter(usage, "here")
		h, _ := follows(t, v, w.model, usage)
		engine := domain.TokenID{ID: domain.RandomID()}
		id, secret := w.issue(w.owner.actor, domain.Personal, "laptop")
		w.pass(time.Hour)
		last := domain.At(w.now()) - 10*minute

		w.model.CountUses(w.org, engine, []Counted{
			{id, 5, last, addr("192.0.2.7"), "dblab/4.0.1", []string{"engines.use", "no such permission"}},
			{id, 2, last - minute, addr("2001:db8::1"), "", []string{"engines.read"}},
		})
		flush(t, r)
		h.until(t, 1)
		want := UsageRow{
			Last:     last,
			Networks: []NetworkUse{{prefix("192.0.2.0/24"), last}, {prefix("2001:db8::/48"), last - minute}},
			Engine:   engine, Agent: "dblab/4.0.1", Permissions: []string{"engines.read", "engines.use"},
			Days: []DayUse{{today, 7}},
		}
		sameText(t, w.usage(v, id), want)

		w.use(w.model, secret, Use{}) // here
		w.model.CountUses(w.org, engine, []Counted{{id, 3, last, addr("192.0.2.7"), "", nil}})
		flush(t, r)
		h.until(t, 2)
		want.Last, want.Days[0].N = domain.At(w.now()), 11
		sameText(t, w.usage(v, id), want)
	})
}

// TestWhatIsNotCounted: an engine says what it likes.
func TestWhatIsNotCounted(t *testing.T) {
	w := newWorld(t)
	neighbour, theirs := w.create("other", "other@example.org")
	robot, _ := w.issue(w.owner.actor, domain.Administrative, "robot")
	unknown := domain.TokenID{ID: domain.RandomID()}
	now := domain.At(w.now())
	usage := new(kept)
	r := w.model.reporter(usage, "here")
	for what, u := range map[string]Counted{
		"nobody":                      {Count: 1, Last: now},
		"an unknown token":            {Token: unknown, Count: 1, Last: now},
		"an administrative token":     {Token: robot, Count: 1, Last: now},
		"a token of the neighbour":    {Token: theirs.first, Count: 1, Last: now},
		"no use":                      {Token: w.owner.first, Last: now},
		"a use at no time":            {Token: w.owner.first, Count: 1},
		"a use before there was time": {Token: w.owner.first, Count: 1, Last: -now},
	} {
		w.model.CountUses(w.org, unknown, []Counted{u})
		flush(t, r)
		if all := usage.uses(t); len(all) > 0 {
			t.Fatalf("%s: %+v", what, all)
		}
		t1, place := w.model.tenantOf(u.Token)
		if t1 != nil && t1.used(place) != 0 {
			t.Fatalf("%s: used at %v", what, t1.used(place))
		}
	}
	w.model.CountUses(neighbour, unknown, []Counted{{Token: theirs.first, Count: 1, Last: now}})
	flush(t, r)
	same(t, "by its own engine", usage.one(t).Days, map[string]int64{"2027-03-01": 1})

	w.model.CountUses(w.org, unknown, []Counted{
		{Token: w.owner.first, Count: math.MaxUint32, Last: now + 365*day, Agent: strings.Repeat("\x00x", 300)},
		{Token: w.owner.first, Count: math.MaxUint32, Last: now},
	})
	flush(t, r)
	got := usage.one(t)
	same(t, "in the future", got.Last, now)
	same(t, "more than can be counted", got.Days, map[string]int64{"2027-03-01": math.MaxUint32})
	same(t, "agent", got.Agent, strings.Repeat("x", maxAgent))
}

// TestCountedUseKeepsATokenFromBeingIdle, as a use here does.
func TestCountedUseKeepsATokenFromBeingIdle(t *testing.T) {
	w := newWorld(t)
	id, secret := w.issue(w.owner.actor, domain.Personal, "laptop")
	w.demand(func(p *domain.Policy) { p.Idle = domain.Seconds(2 * 24 * 60 * 60) })
	for range 5 {
		w.pass(40 * time.Hour)
		w.model.CountUses(w.org, domain.TokenID{}, []Counted{{Token: id, Count: 1, Last: domain.At(w.now())}})
	}
	same(t, "used at an engine", w.check(w.model, secret).Reason, domain.ReasonNone)
	w.pass(49 * time.Hour)
	same(t, "not used", w.check(w.model, secret).Reason, domain.ReasonIdle)
}

// TestReusedAtAnEngine: nothing waits to be recorded but what is true.
func TestReusedAtAnEngine(t *testing.T) {
	w := newWorld(t)
	other, _ := w.create("other", "other@example.org")
	id, old := w.issue(w.owner.actor, domain.Personal, "laptop")
	fresh := w.rotate(w.owner.actor, id, 60)
	shown := Reuse{id, old.Hash()}
	waiting := func(what string, org domain.OrganizationID, want int, reused ...Reuse) {
		t.Helper()
		w.model.CountReuses(org, reused)
		same(t, what, len(w.model.suspects), want)
	}
	waiting("in its overlap", w.org, 0, shown)
	w.pass(time.Minute)
	waiting("by a neighbour", other, 0, shown)
	waiting("of no token", w.org, 0, Reuse{domain.TokenID{ID: domain.RandomID()}, old.Hash()}, Reuse{})
	waiting("the new secret", w.org, 0, Reuse{id, fresh.Hash()})
	waiting("no secret", w.org, 0, Reuse{id, domain.Hash{}})
	waiting("the old secret", w.org, 1, shown)
	if got, want := <-w.model.suspects, (suspect{w.org, id, old.Hash()}); got != want {
		t.Errorf("what waits is %+v, want %+v", got, want)
	}
}

// TestCountedExactly while checks and flushes go on, and more is counted than fits
// into one report.
func TestCountedExactly(t *testing.T) {
	const workers, rounds, tokens = 4, 100, 20
	w := newWorld(t)
	w.demand(func(p *domain.Policy) { p.Personal.PerHolder = tokens + 1 })
	var ids []domain.TokenID
	var secrets []domain.Secret
	for i := range tokens {
		id, secret := w.issue(w.owner.actor, domain.Personal, fmt.Sprint("token ", i))
		ids, secrets = append(ids, id), append(secrets, secret)
	}
	usage := new(kept)
	r := w.model.reporter(usage, "here")
	var done atomic.Bool
	var flushing sync.WaitGroup
	flushing.Go(func() {
		for !done.Load() {
			if err := r.flush(t.Context()); err != nil {
				t.Error(err)
			}
		}
	})
	atOnce(workers, func(i int) error {
		for n := range rounds {
			var uses []Counted
			for _, id := range ids {
				uses = append(uses, Counted{Token: id, Count: uint32(1 + n%3), Last: domain.At(w.now()), Agent: fmt.Sprint("engine ", i)})
			}
			w.model.CountUses(w.org, domain.TokenID{}, uses)
			w.use(w.model, secrets[n%tokens], Use{})
		}
		return nil
	})
	done.Store(true)
	flushing.Wait()
	flush(t, r)
	counts := map[domain.TokenID]int64{}
	for _, u := range usage.uses(t) {
		for _, n := range u.Days {
			counts[u.Token] += n
		}
	}
	for i, id := range ids {
		want := int64(0)
		for n := range rounds {
			want += workers * int64(1+n%3)
			if n%tokens == i {
				want += workers
			}
		}
		same(t, fmt.Sprint("token ", i), counts[id], want)
	}
	same(t, "missed", w.model.Reporting().Missed, 0)
}

func TestCountingAllocatesNothing(t *testing.T) {
	w := newWorld(t)
	uses := []Counted{{Token: w.owner.first, Count: 3, Last: domain.At(w.now()), Address: addr("192.0.2.7"), Agent: "dblab", Permissions: []string{"engines.use"}}}
	w.model.CountUses(w.org, domain.TokenID{}, uses)
	if n := testing.AllocsPerRun(100, func() { w.model.CountUses(w.org, domain.TokenID{}, uses) }); n > 1 {
		t.Errorf("%v allocations, want at most the name of the organization", n)
	}
}
