package projections

import (
	"testing"

	"jeton/domain"
	"jeton/projections/pgtest"
)

// BenchmarkCatchUp reads a log of 20,000 commits into empty tables.
func BenchmarkCatchUp(b *testing.B) {
	w := newWorld(b)
	w.grow(20_000)
	for name, url := range map[string]func(testing.TB) string{"SQLite": sqliteURL, "PostgreSQL": pgtest.URL} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				v, here := openViews(b, url(b)), &world{TB: b, store: w.store}
				b.StartTimer()
				end := runViews(b, v, w.store)
				caughtUp(here, v)
				b.StopTimer()
				_, _ = end(), v.Close()
				b.StartTimer()
			}
			b.ReportMetric(float64(w.last())*float64(b.N)/b.Elapsed().Seconds(), "commits/s")
		})
	}
}

// BenchmarkFollow is one commit after the other, each waited for: what a command
// waits for its row.
func BenchmarkFollow(b *testing.B) {
	for name, url := range map[string]func(testing.TB) string{"SQLite": sqliteURL, "PostgreSQL": pgtest.URL} {
		b.Run(name, func(b *testing.B) {
			w := newWorld(b)
			v := viewsOf(w, url(b))
			for b.Loop() {
				c, _ := issuing(domain.Administrative, domain.RandomID().String())
				if err := v.Wait(b.Context(), w.do(w.owner.actor, c).Position); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkCheck is one check of a good token among a thousand.
func BenchmarkCheck(b *testing.B) {
	w := newWorld(b)
	w.grow(1000)
	secret := w.owner.secret.Reveal()
	b.ReportAllocs()
	for b.Loop() {
		if found, err := w.model.Check(secret, Use{}); err != nil || !found.Active() {
			b.Fatal(found.Reason, err)
		}
	}
}
