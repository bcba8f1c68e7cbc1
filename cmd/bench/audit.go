package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"jeton/domain"
	"jeton/eventstore"
	"jeton/projections"
)

// audit fills the audit log through the projection that keeps it, from a log that is made
// up as it is read, and then asks for pages: for each filter at places all over it. The
// database is SQLite in a temporary directory, or the one that -views names.
func (b bench) audit(ctx context.Context) error {
	url, name := b.Views, "PostgreSQL"
	if url == "" {
		dir, err := os.MkdirTemp("", "jeton-bench-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		url, name = "sqlite:"+filepath.Join(dir, "views.db"), "SQLite"
	}
	vault, err := eventstore.OpenVault(ctx, new(eventstore.MemoryKeys), eventstore.NewMaster())
	if err != nil {
		return err
	}
	views, err := projections.OpenViews(ctx, url, vault)
	if err != nil {
		return err
	}
	defer views.Close()
	past := newPast(b.Rows)
	took, err := past.load(ctx, views)
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "%s rows loaded in %s\n", count(past.rows), took.Round(time.Second))
	rows := []row{{"audit rows through the projection, " + name, perSecond(rate(past.rows, took)), "", fmt.Sprintf("%s rows in %s, four to a commit", count(past.rows), took.Round(time.Second))}}
	for _, f := range past.filters(ctx, views) {
		timed, err := f.time(ctx, views, past)
		if err != nil {
			return err
		}
		fmt.Fprintln(os.Stderr, f.what, timed.Measured)
		rows = append(rows, timed)
	}
	return report(rows...)
}

const (
	pastTokens = 50_000 // that things happen to
	pastActors = 1000
	pastPlaces = 5000 // addresses
	pastEvents = 4    // of a commit
)

// past is a log of one organization with so many audit rows, the same each time. It is an
// eventstore.Store that can only be read.
type past struct {
	eventstore.Store
	rows    int
	commits domain.Position
	org     domain.OrganizationID
}

func newPast(rows int) *past {
	commits := max(rows/pastEvents, pastActors+pastTokens)
	return &past{rows: commits * pastEvents, commits: domain.Position(commits), org: domain.OrganizationID{ID: numberedID('o', 1)}}
}

// numberedID is an id of a thing by its number.
func numberedID(of byte, n int) (id domain.ID) {
	id[0] = of
	mixed := uint64(n) * 0x9e3779b97f4a7c15 // spread, as random ones are
	binary.BigEndian.PutUint64(id[1:], mixed)
	id[9] = of
	return id
}

func account(n int) domain.AccountID { return domain.AccountID{ID: numberedID('a', n)} }
func token(n int) domain.TokenID     { return domain.TokenID{ID: numberedID('t', n)} }

// Last implements eventstore.Store.
func (p *past) Last(context.Context) (domain.Position, error) { return p.commits, nil }

// Follow implements eventstore.Store: it makes each commit when it is read.
func (p *past) Follow(ctx context.Context, head eventstore.Head, do func(eventstore.Record) error) error {
	for head.Position < p.commits {
		e, err := eventstore.Encode(p.commit(head.Position + 1))
		if err != nil {
			return err
		}
		r := head.Next(e)
		if err := do(r); err != nil {
			return err
		}
		head = r.Head()
	}
	<-ctx.Done()
	return ctx.Err()
}

var pastBegan = time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)

// commit is the commit at a position: first people and tokens come to be, then things
// happen to them.
func (p *past) commit(at domain.Position) domain.Commit {
	dice := rand.New(rand.NewPCG(uint64(at), 1))
	n := int(at)
	c := domain.Commit{Boundary: p.org.Boundary()}
	c.Command = domain.CommandID(append([]byte("audit log"), binary.BigEndian.AppendUint64(nil, uint64(at))...)[1:])
	c.Organization, c.Time = p.org, domain.At(pastBegan.Add(time.Duration(at)*time.Second))
	c.Address = netip.AddrFrom4([4]byte{10, 0, byte(dice.IntN(pastPlaces) >> 8), byte(dice.IntN(256))}).String()
	c.Actor = domain.Actor{Kind: domain.ActorSystem}
	if n > pastActors {
		who := dice.IntN(pastActors)
		if dice.IntN(4) == 0 {
			who = 0 // somebody does much
		}
		c.Actor = domain.Actor{Kind: domain.ActorMember, Account: account(who), Token: token(who)}
	}
	for i := range pastEvents {
		c.Events = append(c.Events, p.event(dice, n, i))
	}
	return c
}

func (p *past) event(dice *rand.Rand, n, item int) domain.Event {
	some := token(dice.IntN(pastTokens))
	switch {
	case n == 1 && item == 0:
		return domain.OrganizationCreated{Organization: p.org, Alias: "acme", Name: "Acme"}
	case n <= pastActors && item == 0:
		return domain.AccountRegistered{Account: account(n - 1), Email: fmt.Sprintf("p%d@bench.test", n-1)}
	case n <= pastActors:
		return domain.PermissionDefined{Definition: domain.Definition{Name: fmt.Sprintf("clones.p%d", item), Group: "clones"}}
	case n <= pastActors+pastTokens && item > 0:
		return domain.TokenExpiring{Token: token(dice.IntN(n - pastActors)), Days: 30}
	case n <= pastActors+pastTokens:
		return domain.TokenIssued{Token: token(n - 1 - pastActors), Type: domain.Administrative, Name: fmt.Sprintf("ci runner %d", dice.IntN(5000)), Hash: domain.Hash{1}}
	}
	switch dice.IntN(100) {
	case 0:
		return domain.TokenReused{Token: some}
	case 1:
		return domain.RoleChanged{Name: "deployer", Description: "deploys", Permissions: []string{"clones.create"}}
	case 2, 3, 4, 5, 6, 7, 8, 9:
		return domain.TokenDescribed{Token: some, Description: fmt.Sprintf("for job %d", dice.IntN(1000))}
	case 10, 11, 12, 13, 14, 15:
		return domain.TokenRenamed{Token: some, Name: fmt.Sprintf("runner %d", dice.IntN(5000))}
	case 16, 17, 18:
		return domain.OverlapEnded{Token: some, Reason: fmt.Sprintf("found in build %d", dice.IntN(100_000))}
	}
	return domain.TokenExpiring{Token: some, Days: 7}
}

// load lets the views take the log.
func (p *past) load(ctx context.Context, views *projections.Views) (time.Duration, error) {
	running, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	began := time.Now()
	go func() { ended <- views.Run(running, p, "the log of the bench") }()
	err := views.Wait(ctx, p.commits)
	took := time.Since(began)
	stop()
	<-ended
	return took, err
}

// asked is a filter that is timed.
type asked struct {
	what string
	projections.AuditFilter
}

func (p *past) filters(ctx context.Context, views *projections.Views) []asked {
	mark, _ := views.AddressMark(ctx, p.org, netip.MustParseAddr("10.0.7.7")) // of a key in memory
	day := domain.At(pastBegan.Add(time.Duration(p.commits/2) * time.Second))
	busy := account(0)
	var tokens []string
	for _, kind := range domain.Kinds() {
		if kind[:6] == "token." {
			tokens = append(tokens, kind)
		}
	}
	all := []asked{
		{"everything", projections.AuditFilter{}},
		{"one actor of a thousand", projections.AuditFilter{Account: account(77)}},
		{"the busiest actor", projections.AuditFilter{Account: busy}},
		{"a token that was shown", projections.AuditFilter{Token: token(77)}},
		{"a token, done to it or with it", projections.AuditFilter{Handle: token(77)}},
		{"a common action", projections.AuditFilter{Actions: []string{"token.expiring"}}},
		{"a rare action", projections.AuditFilter{Actions: []string{"role.changed"}}},
		{"all token actions", projections.AuditFilter{Actions: tokens}},
		{"a target", projections.AuditFilter{Targets: []string{token(4242).String()}}},
		{"a kind of thing", projections.AuditFilter{Noun: "role"}},
		{"refusals", projections.AuditFilter{Outcome: projections.RefusedAction}},
		{"what was done", projections.AuditFilter{Outcome: projections.Done}},
		{"an address", projections.AuditFilter{Mark: mark}},
		{"a common word", projections.AuditFilter{Words: []string{"runner"}}},
		{"two words", projections.AuditFilter{Words: []string{"found", "build"}}},
		{"a day", projections.AuditFilter{From: day, To: day.Add(24 * time.Hour)}},
		{"a day of an actor", projections.AuditFilter{Account: busy, From: day, To: day.Add(24 * time.Hour)}},
		{"refusals of an action by an actor", projections.AuditFilter{Account: busy, Actions: []string{"token.reused"}, Outcome: projections.RefusedAction}},
	}
	for i := range all {
		all[i].Organization, all[i].Limit = p.org, 51
	}
	return all
}

// time asks for pages of 50 all over the log, half of them the newest.
func (f asked) time(ctx context.Context, views *projections.Views, p *past) (row, error) {
	dice := rand.New(rand.NewPCG(3, 3))
	var took []float64
	for i := range 60 {
		f.Before = 0
		if i%2 == 1 {
			f.Before = projections.PlaceOf(1+domain.Position(dice.Uint64N(uint64(p.commits))), 0)
		}
		began := time.Now()
		if _, err := views.Audit(ctx, f.AuditFilter); err != nil {
			return row{}, fmt.Errorf("%s: %w", f.what, err)
		}
		took = append(took, float64(time.Since(began).Microseconds())/1000)
	}
	slices.Sort(took)
	return row{"a page of the audit log: " + f.what, fmt.Sprintf("%.1f ms (p99 %.1f)", median(took), took[len(took)*99/100]), "≤ 50 ms", count(p.rows) + " rows"}, nil
}
