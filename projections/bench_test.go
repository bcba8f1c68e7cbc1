package projections

import (
	"fmt"
	"testing"

	"github.com/jmoiron/sqlx"

	"jeton/domain"
	"jeton/eventstore"
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

// BenchmarkTrees is what the trees cost a commit: a batch that is written with them and
// without, in transactions of one commit and of many.
func BenchmarkTrees(b *testing.B) {
	w := newWorld(b)
	w.grow(2000)
	var all []pending
	_ = w.store.Follow(b.Context(), eventstore.Head{}, func(r eventstore.Record) error {
		c, err := eventstore.Decode(r)
		if err != nil || r.Position == 2000 {
			return errBack
		}
		all = append(all, pending{r, c})
		return nil
	})
	for name, url := range map[string]func(testing.TB) string{"SQLite": sqliteURL, "PostgreSQL": pgtest.URL} {
		for _, batched := range []int{1, 256} {
			for _, trees := range []bool{true, false} {
				b.Run(fmt.Sprintf("%s/batch=%d/trees=%t", name, batched, trees), func(b *testing.B) {
					benchmarkTrees(b, url(b), all, batched, trees)
				})
			}
		}
	}
}

// benchmarkTrees writes commits into empty tables again and again; only what is written
// in each batch is timed.
func benchmarkTrees(b *testing.B, url string, all []pending, batched int, with bool) {
	v, at, grown := openViews(b, url), 0, newTrees()
	for b.Loop() {
		if at+batched > len(all) {
			b.StopTimer()
			if _, err := v.write.ExecContext(b.Context(), `DELETE FROM commits`); err != nil {
				b.Fatal(err)
			}
			at, grown = 0, newTrees()
			if err := v.forget(b.Context()); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
		}
		fresh := all[at : at+batched]
		at += batched
		err := v.within(b.Context(), func(tx *sqlx.Tx) error {
			t := batch{b.Context(), tx, map[string]*sqlx.Stmt{}, grown}
			if with {
				return t.write(fresh, vault)
			}
			return t.writeEvents(fresh)
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*batched), "µs/commit")
}

// writeEvents is write without the trees.
func (b batch) writeEvents(fresh []pending) error {
	if err := b.keep(fresh); err != nil {
		return err
	}
	for _, p := range fresh {
		for _, e := range p.commit.Events {
			if err := b.event(p.commit.Meta, e); err != nil {
				return err
			}
		}
	}
	return nil
}
