package projections

import (
	"context"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"jeton/domain"
	"jeton/projections/pgtest"
)

// The size at which answers about the past are measured.
const (
	manyTokens   = 10_000
	manyCommits  = 100_000
	manyMembers  = 500
	someSettings = 4_000
)

// crowd is a world with one organization of that size: a tenth of its commits makes
// tokens, one in 25 changes settings, and the rest changes tokens.
type crowd struct {
	*world
	tokens  []domain.TokenID
	members []somebody
	engine  domain.Position
}

func newCrowd(t testing.TB) *crowd {
	w := newWorld(t)
	c := &crowd{world: w}
	random := rand.New(rand.NewPCG(1, 2))
	o := w.do(w.owner.actor, domain.RegisterEngine{Name: "prod", Door: domain.Door{PersonalTokens: true}, EngineToken: engineToken()})
	c.engine = o.Position
	for i := range manyMembers {
		c.members = append(c.members, w.join(fmt.Sprintf("m%d@example.org", i), domain.Ordinary))
	}
	bot := w.program("bot", domain.Grant{Access: domain.FullAccess})
	for w.last() < manyCommits {
		switch n := random.IntN(manyCommits); {
		case len(c.tokens) < manyTokens && n < manyTokens*3/2:
			c.issues(random, bot)
		case n < manyTokens*3/2+someSettings:
			c.settles(random)
		case len(c.tokens) > 0:
			c.changes(random)
		}
		w.pass(time.Second)
	}
	return c
}

func engineToken() domain.EngineToken {
	issued, _ := issuing(domain.Administrative, "")
	return domain.EngineToken{Token: issued.Token, Hash: issued.Hash, Never: true}
}

func (c *crowd) issues(random *rand.Rand, bot domain.AccountID) {
	kind, actor := domain.Service, c.owner.actor
	member := c.members[random.IntN(len(c.members))]
	if len(c.tokens)%5 == 0 {
		kind, actor = domain.Personal, member.actor
	}
	command, _ := issuing(kind, fmt.Sprintf("token %d", len(c.tokens)))
	if kind == domain.Service {
		command.Holder = bot
		command.Terms = domain.Terms{Grant: domain.Grant{Access: domain.ReadOnly}}
	}
	meta := c.meta(actor)
	if _, err := c.model.Execute(c.Context(), meta, command); err == nil { // some have five already
		c.tokens = append(c.tokens, command.Token)
	}
}

func (c *crowd) settles(random *rand.Rand) {
	if random.IntN(10) == 0 {
		c.demand(func(p *domain.Policy) { p.Idle = domain.Seconds(86400 * (30 + random.IntN(300))) })
		return
	}
	suspended := random.IntN(2) == 0
	member := c.members[random.IntN(len(c.members))]
	c.do(c.owner.actor, domain.UpdateMember{Account: member.id, Suspended: &suspended})
}

func (c *crowd) changes(random *rand.Rand) {
	id := c.tokens[random.IntN(len(c.tokens))]
	what := fmt.Sprintf("at %d", c.last())
	switch random.IntN(20) {
	case 0:
		c.tries(domain.RevokeToken{Token: id, Reason: "over"})
	case 1, 2, 3:
		networks := []domain.Network{}
		c.tries(domain.UpdateToken{Token: id, Networks: &networks, Grant: &domain.Grant{Access: []domain.Access{domain.ReadOnly, domain.FullAccess}[random.IntN(2)]}})
	default:
		c.tries(domain.UpdateToken{Token: id, Description: &what})
	}
}

func (c *crowd) tries(command domain.OrganizationCommand) {
	_, _ = c.model.Execute(c.Context(), c.meta(c.owner.actor), command)
}

// BenchmarkPast is what answers about the past cost in such an organization: first,
// when nothing of the moment is known yet, and again.
func BenchmarkPast(b *testing.B) {
	c := newCrowd(b)
	for name, url := range map[string]func(testing.TB) string{"SQLite": sqliteURL, "PostgreSQL": pgtest.URL} {
		b.Run(name, func(b *testing.B) {
			here := c.world.here(b)
			v := viewsOf(here, url(b))
			if v.write.DriverName() != "sqlite" {
				_, err := v.write.ExecContext(b.Context(), "ANALYZE")
				fails(b, "analyze", err, nil)
			}
			for _, at := range []domain.Position{manyCommits / 20, manyCommits / 2, manyCommits * 19 / 20} {
				b.Run(fmt.Sprint("first/", at), func(b *testing.B) {
					worked := cpu()
					for b.Loop() {
						past := &Past{Model: c.model, Views: v}
						pageThen(b, past, v, c.org, at, 0)
					}
					worked(b)
				})
				b.Run(fmt.Sprint("policy/", at), func(b *testing.B) {
					worked := cpu()
					for b.Loop() {
						then, err := (&Past{Model: c.model, Views: v}).At(b.Context(), c.org, Asked{Position: at})
						fails(b, "at", err, nil)
						_, _ = then.Model.Policy(c.org)
					}
					worked(b)
				})
				past := &Past{Model: c.model, Views: v}
				b.Run(fmt.Sprint("could/", at), func(b *testing.B) {
					worked := cpu()
					for b.Loop() {
						then, err := past.At(b.Context(), c.org, Asked{Position: at})
						fails(b, "at", err, nil)
						_, all, err := then.Model.Could(c.org, c.engine, Wanted{Permission: "tokens.check"})
						if err != nil || len(all) < manyTokens/50 {
							b.Fatal(len(all), err)
						}
					}
					worked(b)
				})
				b.Run(fmt.Sprint("history/", at), func(b *testing.B) {
					worked := cpu()
					for b.Loop() {
						now, err := past.Now(b.Context(), c.org)
						fails(b, "now", err, nil)
						_, err = past.History(b.Context(), c.org, c.tokens[17], now)
						fails(b, "history", err, nil)
					}
					worked(b)
				})
				b.Run(fmt.Sprint("page/", at), func(b *testing.B) {
					worked := cpu()
					for b.Loop() {
						pageThen(b, past, v, c.org, at, at/3)
					}
					worked(b)
				})
			}
		})
	}
}

// BenchmarkPastOfACommit is what the past costs the tables: commits that change tokens,
// with what was and without.
func BenchmarkPastOfACommit(b *testing.B) {
	w := newWorld(b)
	for i := range 200 {
		id, _ := w.issue(w.owner.actor, domain.Administrative, fmt.Sprint("token ", i))
		for n := range 20 {
			what := fmt.Sprint("what for ", n)
			w.do(w.owner.actor, domain.UpdateToken{Token: id, Description: &what})
		}
	}
	b.Run("SQLite", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			v := openViews(b, sqliteURL(b))
			b.StartTimer()
			end := runViews(b, v, w.store)
			caughtUp(&world{TB: b, store: w.store}, v)
			b.StopTimer()
			_, _ = end(), v.Close()
			b.StartTimer()
		}
		b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/float64(w.last()), "us/commit")
	})
}

func pageThen(b *testing.B, past *Past, v *Views, org domain.OrganizationID, at, before domain.Position) {
	b.Helper()
	then, err := past.At(b.Context(), org, Asked{Position: at})
	fails(b, "at", err, nil)
	rows, err := v.Tokens(then.Context(context.Background()), TokenFilter{Organization: org, Before: before, Limit: 51})
	fails(b, "tokens", err, nil)
	for _, r := range rows {
		if s, known := then.Model.Standing(org, r.ID); !known || s.Token.Changed != r.Changed {
			b.Fatalf("token %s: %+v", r.ID, s)
		}
	}
	if len(rows) == 0 {
		b.Fatal("no tokens")
	}
}

// cpu begins to count what the processors do for this process, which a machine that
// others use as well does not change much.
func cpu() (report func(*testing.B)) {
	spent := func() time.Duration {
		var u syscall.Rusage
		_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	before := spent()
	return func(b *testing.B) {
		b.ReportMetric(float64((spent()-before).Microseconds())/1000/float64(b.N), "cpu-ms/op")
	}
}
