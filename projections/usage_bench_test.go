package projections

import (
	"fmt"
	"net/netip"
	"testing"

	"jeton/domain"
	"jeton/eventstore"
	"jeton/projections/pgtest"
)

// BenchmarkNote is what it costs to remember a use, of a token that is in use and
// of one that was not since the last flush.
func BenchmarkNote(b *testing.B) {
	w := newWorld(b)
	use := Use{
		Address: netip.MustParseAddr("192.0.2.7"), Agent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
		Engine: w.owner.first, Permission: "tokens.check", Needs: []domain.Permission{domain.TokensCheck},
	}
	found, err := w.model.Check(w.owner.secret.Reveal(), use)
	fails(b, "check", err, nil)
	b.Run("in use", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			w.model.note(&found, &use)
		}
	})
	b.Run("in use by many", func(b *testing.B) {
		b.RunParallel(func(p *testing.PB) {
			for p.Next() {
				w.model.note(&found, &use)
			}
		})
	})
	b.Run("with nothing known", func(b *testing.B) {
		for b.Loop() {
			w.model.note(&found, &Use{})
		}
	})
	b.Run("first since the flush", func(b *testing.B) {
		b.ReportAllocs()
		slot := found.mark.slot.Load() - 1
		for b.Loop() {
			w.model.note(&found, &use)
			w.model.uses.end(slot, 1)
		}
	})
}

// BenchmarkFlush is telling how 10,000 tokens were used.
func BenchmarkFlush(b *testing.B) {
	w := newWorld(b)
	secrets := w.many(10_000)
	r := w.model.reporter(new(eventstore.MemoryUsage), "here")
	for b.Loop() {
		b.StopTimer()
		for _, s := range secrets {
			_, _ = w.model.Check(s, Use{Address: netip.MustParseAddr("192.0.2.7"), Agent: "curl/8.5.0", Permission: "tokens.check"})
		}
		b.StartTimer()
		fails(b, "flush", r.flush(b.Context()), nil)
	}
	b.ReportMetric(float64(len(secrets)*b.N)/b.Elapsed().Seconds(), "tokens/s")
}

// BenchmarkMerge is writing how 10,000 tokens were used, which all were before.
func BenchmarkMerge(b *testing.B) {
	w := newWorld(b)
	secrets := w.many(10_000)
	for name, url := range map[string]func(testing.TB) string{"SQLite": sqliteURL, "PostgreSQL": pgtest.URL} {
		b.Run(name, func(b *testing.B) {
			v, usage, seq := openViews(b, url(b)), new(kept), uint64(0)
			r := w.model.reporter(usage, "here")
			for b.Loop() {
				b.StopTimer()
				for _, s := range secrets {
					_, _ = w.model.Check(s, Use{Address: netip.MustParseAddr("192.0.2.7"), Agent: "curl/8.5.0", Permission: "tokens.check"})
				}
				usage.reports = nil
				fails(b, "flush", r.flush(b.Context()), nil)
				b.StartTimer()
				for _, report := range usage.reports {
					seq++
					fails(b, "take", v.takeUsage(b.Context(), seq, report, w.model.Used), nil)
				}
			}
			b.ReportMetric(float64(len(secrets)*b.N)/b.Elapsed().Seconds(), "tokens/s")
		})
	}
}

// many are the secrets of so many new tokens.
func (w *world) many(n int) (secrets []string) {
	w.Helper()
	w.demand(func(p *domain.Policy) { p.Personal.PerHolder = 0 })
	for i := range n {
		_, secret := w.issue(w.owner.actor, domain.Personal, fmt.Sprint("token ", i))
		secrets = append(secrets, secret.Reveal())
	}
	return secrets
}
