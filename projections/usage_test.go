package projections

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"jeton/domain"
	"jeton/eventstore"
	"jeton/projections/pgtest"
)

// kept keeps reports and tells nobody.
type kept struct{ reports [][]byte }

func (k *kept) Publish(_ context.Context, _ string, report []byte) error {
	k.reports = append(k.reports, bytes.Clone(report))
	return nil
}

func (k *kept) Follow(context.Context, uint64, func(uint64, []byte) error) error {
	return fmt.Errorf("nobody follows: %w", eventstore.ErrUnavailable)
}

// uses are those in all reports, which must be such as any server takes.
func (k *kept) uses(t testing.TB) (all []tokenUse) {
	t.Helper()
	for _, data := range k.reports {
		if len(data) > 250<<10 {
			t.Fatalf("a report has %d bytes", len(data))
		}
		_, uses, err := readReport(data)
		fails(t, "read a report", err, nil)
		for i := range uses {
			if len(uses[i].Networks) > 0 || uses[i].Agent != "" {
				t.Errorf("a report tells in clear: %s", data)
			}
			fails(t, "open a report", uses[i].show(t.Context(), vault), nil)
			uses[i].Where = ""
		}
		all = append(all, uses...)
	}
	return all
}

// one is the only use there is, of which nothing is left.
func (k *kept) one(t testing.TB) tokenUse {
	t.Helper()
	all := k.uses(t)
	if len(all) != 1 {
		t.Fatalf("%d uses were told, want 1: %+v", len(all), all)
	}
	k.reports = nil
	return all[0]
}

// troubled is usage that is away at times, or stores and does not say so.
type troubled struct {
	eventstore.Usage
	away, silent atomic.Bool
}

func (u *troubled) Publish(ctx context.Context, id string, report []byte) error {
	if u.away.Load() {
		return eventstore.ErrUnavailable
	}
	if err := u.Usage.Publish(ctx, id, report); err != nil || !u.silent.Load() {
		return err
	}
	return eventstore.ErrUnknown
}

// heard is usage that knows how far it was heard.
type heard struct {
	eventstore.Usage
	at    progress
	began chan struct{} // closed when it begins to follow
}

func (h *heard) Follow(ctx context.Context, after uint64, do func(uint64, []byte) error) error {
	close(h.began)
	return h.Usage.Follow(ctx, after, func(seq uint64, report []byte) error {
		err := do(seq, report)
		if err == nil {
			h.at.reach(domain.Position(seq))
		}
		return err
	})
}

func (h *heard) until(t testing.TB, seq uint64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	fails(t, fmt.Sprint("wait for report ", seq), h.at.wait(ctx, domain.Position(seq)), nil)
}

// follows keeps tables and a model up with usage until the test ends, or end is called.
func follows(t testing.TB, v *Views, m *Model, usage eventstore.Usage) (h *heard, end func() error) {
	h = &heard{Usage: usage, began: make(chan struct{})}
	return h, background(t, func(ctx context.Context) error { return v.FollowUsage(ctx, h, m.Used) })
}

func flush(t testing.TB, r *reporter) {
	t.Helper()
	fails(t, "flush", r.flush(t.Context()), nil)
}

// streams runs a test with each way to tell others, each of them empty.
func streams(t *testing.T, test func(t *testing.T, usage eventstore.Usage)) {
	t.Run("memory", func(t *testing.T) { test(t, new(eventstore.MemoryUsage)) })
	t.Run("JetStream", func(t *testing.T) { test(t, jetStreamUsage(t)) })
}

func jetStreamUsage(t testing.TB) eventstore.Usage {
	t.Helper()
	usage, err := eventstore.OpenUsage(t.Context(), jetStream(t))
	fails(t, "open usage", err, nil)
	return usage
}

// jetStream is an empty log on a disk, until the test ends.
func jetStream(t testing.TB) *eventstore.JetStream {
	t.Helper()
	embedded, err := eventstore.StartEmbedded(eventstore.EmbeddedConfig{Dir: t.TempDir()})
	fails(t, "start the log", err, nil)
	t.Cleanup(func() { _ = embedded.Close() })
	log, err := eventstore.Create(t.Context(), embedded.JetStream(), 1)
	fails(t, "create the log", err, nil)
	return log
}

// use checks a token that is good.
func (w *world) use(m *Model, s domain.Secret, use Use) Checked {
	w.Helper()
	found, err := m.Check(s.Reveal(), use)
	if err != nil || !found.Active() {
		w.Fatalf("check: %q (%v)", found.Reason, err)
	}
	return found
}

func (w *world) usage(v *Views, id domain.TokenID) UsageRow {
	w.Helper()
	r, err := v.Usage(w.Context(), w.org, id)
	fails(w, "usage", err, nil)
	return r
}

// total is how often a token was used in 30 days.
func (r UsageRow) total() (n int64) {
	for _, d := range r.Days {
		n += d.N
	}
	return n
}

var (
	today  = domain.At(noon) / day * day
	prefix = netip.MustParsePrefix
	addr   = netip.MustParseAddr
)

// TestFirstUseIsKnownAfterAFlush (lessons 3, 4 and 7): the first use of a token is
// in the tables after the first flush, however coarse the recording is.
func TestFirstUseIsKnownAfterAFlush(t *testing.T) {
	for name, on := range map[string]struct {
		usage func(testing.TB) eventstore.Usage
		url   func(testing.TB) string
	}{
		"memory and SQLite":        {func(testing.TB) eventstore.Usage { return new(eventstore.MemoryUsage) }, sqliteURL},
		"JetStream and PostgreSQL": {jetStreamUsage, pgtest.URL},
	} {
		t.Run(name, func(t *testing.T) {
			w, usage := newWorld(t), on.usage(t)
			v, r := viewsOf(w, on.url(t)), w.model.reporter(usage, "here")
			h, _ := follows(t, v, w.model, usage)
			engine := domain.TokenID{ID: domain.RandomID()}

			sameText(t, w.usage(v, w.owner.first), UsageRow{})
			w.use(w.model, w.owner.secret, Use{
				Address: addr("192.0.2.7"), Agent: "curl/8.5.0", Engine: engine,
				Permission: "tokens.check", Needs: []domain.Permission{domain.MembersRead},
			})
			flush(t, r)
			h.until(t, 1)
			sameText(t, w.usage(v, w.owner.first), UsageRow{
				Last:     domain.At(noon),
				Networks: []NetworkUse{{prefix("192.0.2.0/24"), domain.At(noon)}},
				Engine:   engine, Agent: "curl/8.5.0",
				Permissions: []string{"members.read", "tokens.check"},
				Days:        []DayUse{{today, 1}},
			})
		})
	}
}

// TestUseChangesNoToken (defect 6): to use a token is not to change it.
func TestUseChangesNoToken(t *testing.T) {
	everywhere(t, func(t *testing.T, url string) {
		w := newWorld(t)
		usage := new(eventstore.MemoryUsage)
		v, r := viewsOf(w, url), w.model.reporter(usage, "here")
		h, _ := follows(t, v, w.model, usage)
		log, rows, before := w.last(), dump(t, v), w.row(v, w.owner.first)
		model, _ := w.model.Token(w.org, w.owner.first)

		w.use(w.model, w.owner.secret, Use{Agent: "curl"})
		flush(t, r)
		h.until(t, 1)
		after, _ := w.model.Token(w.org, w.owner.first)
		same(t, "the token in the model is as it was", after == model, true)
		same(t, "rows", dump(t, v), rows)
		same(t, "position", w.last(), log)
		same(t, "changed", w.row(v, w.owner.first).Changed, before.Changed)
	})
}

// TestOneEntryPerTokenAndInterval (lessons 1, 5 and 6): however often a token is
// used, one entry is told and one row written.
func TestOneEntryPerTokenAndInterval(t *testing.T) {
	w := newWorld(t)
	usage := new(kept)
	r := w.model.reporter(usage, "here")
	atOnce(8, func(int) error {
		for range 500 {
			w.use(w.model, w.owner.secret, Use{Address: addr("192.0.2.7")})
		}
		return nil
	})
	flush(t, r)
	same(t, "days", usage.one(t).Days, map[string]int64{"2027-03-01": 4000})
	flush(t, r)
	same(t, "uses told when there was none", len(usage.reports), 0)
}

// TestUsedWhileFlushed: who is used again behind the flush waits for the next.
func TestUsedWhileFlushed(t *testing.T) {
	w := newWorld(t)
	w.use(w.model, w.owner.secret, Use{})
	usage := &during{do: func() { w.use(w.model, w.owner.secret, Use{}) }}
	r := w.model.reporter(usage, "here")
	flush(t, r)
	usage.one(t)
	same(t, "waiting", w.model.Reporting().Waiting, 1)
	flush(t, r)
	usage.one(t)
}

// during does something while a report is published.
type during struct {
	kept
	do func()
}

func (u *during) Publish(ctx context.Context, id string, report []byte) error {
	u.do()
	return u.kept.Publish(ctx, id, report)
}

func TestWhatIsNoted(t *testing.T) {
	w := newWorld(t)
	_, limited := w.issue(w.owner.actor, domain.Personal, "limited", func(c *domain.IssueToken) {
		c.Terms.Grant = domain.Grant{Access: domain.ByList, Permissions: []string{"tokens.check", "engines.read"}, Resources: []domain.Resource{"engine:a"}}
	})
	long := strings.Repeat("x", 300)
	for name, test := range map[string]struct {
		secret domain.Secret
		uses   []Use
		want   tokenUse
	}{
		"nothing but the use": {uses: []Use{{}}},
		"version 4 in 24 bits, version 6 in 48": {
			uses: []Use{{Address: addr("198.51.100.77")}, {Address: addr("2001:db8:1:2::3")}, {Address: addr("::ffff:198.51.100.1")}, {Address: addr("::1")}, {Address: addr("0.0.0.0")}},
			want: tokenUse{Networks: []NetworkUse{
				{prefix("198.51.100.0/24"), 2}, {prefix("2001:db8:1::/48"), 1}, {prefix("::/48"), 3}, {prefix("0.0.0.0/24"), 4},
			}},
		},
		"the last five networks": {
			uses: []Use{{Address: addr("10.0.0.1")}, {Address: addr("10.0.1.1")}, {Address: addr("10.0.2.1")}, {Address: addr("10.0.0.2")},
				{Address: addr("10.0.3.1")}, {Address: addr("10.0.4.1")}, {Address: addr("10.0.5.1")}},
			want: tokenUse{Networks: []NetworkUse{
				{prefix("10.0.0.0/24"), 3}, {prefix("10.0.5.0/24"), 6}, {prefix("10.0.2.0/24"), 2}, {prefix("10.0.3.0/24"), 4}, {prefix("10.0.4.0/24"), 5},
			}},
		},
		"the last agent, as far as it prints": {
			uses: []Use{{Agent: "wget"}, {Agent: "cu\x00rl/\x1b[31m8.5\u202e \xff\u00e4"}, {}},
			want: tokenUse{Agent: "curl/[31m8.5 \u00e4"},
		},
		"the beginning of a long agent":     {uses: []Use{{Agent: long}, {Agent: long}}, want: tokenUse{Agent: long[:200]}},
		"no half of a character":            {uses: []Use{{Agent: long[:199] + "\u00e4"}}, want: tokenUse{Agent: long[:199]}},
		"a shorter agent behind a long one": {uses: []Use{{Agent: long}, {Agent: "a"}}, want: tokenUse{Agent: "a"}},
		"the last engine":                   {uses: []Use{{Engine: w.owner.first}, {}}, want: tokenUse{Engine: w.owner.first}},
		"a permission that was asked for":   {uses: []Use{{Permission: "log.read"}}, want: tokenUse{Permissions: []string{"log.read"}}},
		"a permission that there is not":    {uses: []Use{{Permission: "log.write"}}},
		"what the door wanted":              {uses: []Use{{Needs: []domain.Permission{domain.LogRead, domain.TokensCheck}}}, want: tokenUse{Permissions: []string{"tokens.check", "log.read"}}},
		"denied is used, but not for that":  {secret: limited, uses: []Use{{Permission: "log.read", Resource: "engine:a"}, {Permission: "engines.read", Resource: "engine:b"}, {Needs: []domain.Permission{domain.LogRead}}}},
		"a permission on a resource":        {secret: limited, uses: []Use{{Permission: "engines.read", Resource: "engine:a"}}, want: tokenUse{Permissions: []string{"engines.read"}}},
		"one that counts against no limit":  {uses: []Use{{Free: true}}},
	} {
		t.Run(name, func(t *testing.T) {
			w.clock.Store(noon.UnixMilli())
			usage := new(kept)
			if test.secret == (domain.Secret{}) {
				test.secret = w.owner.secret
			}
			for _, use := range test.uses {
				w.use(w.model, test.secret, use)
				w.pass(time.Minute)
			}
			flush(t, w.model.reporter(usage, "here"))
			got := usage.one(t)
			test.want.Organization, test.want.Token = w.org, got.Token
			test.want.Last = domain.At(noon).Add(time.Duration(len(test.uses)-1) * time.Minute)
			test.want.Days = map[string]int64{"2027-03-01": int64(len(test.uses))}
			for i := range test.want.Networks {
				test.want.Networks[i].Last = domain.At(noon) + test.want.Networks[i].Last*minute
			}
			slices.SortFunc(got.Networks, byNetwork)
			slices.SortFunc(test.want.Networks, byNetwork)
			sameText(t, got, test.want)
		})
	}
}

func byNetwork(a, b NetworkUse) int { return a.Network.Addr().Compare(b.Network.Addr()) }

// sameText compares as JSON: package netip keeps its fields to itself.
func sameText(t testing.TB, got, want any) {
	t.Helper()
	text := func(v any) string { b, _ := json.MarshalIndent(v, "", " "); return string(b) }
	same(t, "use", text(got), text(want))
}

// TestWhatIsNoUse: what a token can't be used for is no use of it.
func TestWhatIsNoUse(t *testing.T) {
	w := newWorld(t)
	id, secret := w.issue(w.owner.actor, domain.Personal, "laptop", func(c *domain.IssueToken) { c.Terms.Limit = domain.Limit{Requests: 1, Window: 3600} })
	_, forged := issuing(domain.Personal, "forged")
	w.check(w.model, forged)
	_, _, err := w.model.Owner(secret.Reveal())
	fails(t, "owner", err, nil)
	same(t, "used by the finder", w.model.Reporting().Waiting, 0)
	w.check(w.model, secret)
	w.check(w.model, secret) // over the limit
	w.do(w.owner.actor, domain.RevokeToken{Token: id})
	w.check(w.model, secret)
	usage := new(kept)
	flush(t, w.model.reporter(usage, "here"))
	same(t, "days", usage.one(t).Days, map[string]int64{"2027-03-01": 1})
}

func TestDaysAreOfUTC(t *testing.T) {
	w := newWorld(t)
	w.clock.Store(time.Date(2027, 3, 1, 23, 59, 59, 999_000_000, time.UTC).UnixMilli())
	usage := new(kept)
	r := w.model.reporter(usage, "here")
	for _, passes := range []time.Duration{time.Millisecond, 24 * time.Hour, 24 * time.Hour, 24 * time.Hour, 0} {
		w.use(w.model, w.owner.secret, Use{})
		w.pass(passes)
	}
	flush(t, r)
	same(t, "days, of which only so many are told apart", usage.one(t).Days,
		map[string]int64{"2027-03-01": 1, "2027-03-02": 1, "2027-03-03": 1, "2027-03-05": 2})
}

// TestFollowingTokenIsUsedAtHome: the use of a token in another organization is
// its own organization's to know.
func TestFollowingTokenIsUsedAtHome(t *testing.T) {
	w := newWorld(t)
	there, owner := w.create("there", "there@example.org")
	id, secret := w.issue(w.owner.actor, domain.Personal, "everywhere", func(c *domain.IssueToken) { c.Unbound = true })
	w.in(there, owner.actor, domain.DefinePermission{Definition: domain.Definition{Name: "clones.create", Group: "clones", Write: true, Description: "make clones"}})
	w.do(w.owner.actor, domain.DefinePermission{Definition: domain.Definition{Name: "reports.read", Group: "reports", Description: "read reports"}})
	_, first := newSomebody()
	w.in(there, owner.actor, domain.AddMember{Account: w.owner.id, Role: domain.Owner, First: first})

	found, err := w.model.CheckIn(there, secret.Reveal(), Use{Permission: "clones.create", Needs: []domain.Permission{domain.LogRead}})
	if err != nil || !found.Active() || found.Denied != "" || found.Organization != there {
		t.Fatalf("there: %+v (%v)", found, err)
	}
	usage := new(kept)
	flush(t, w.model.reporter(usage, "here"))
	use := usage.one(t)
	if use.Organization != w.org || use.Token != id {
		t.Errorf("it was told of %s of %s", use.Token, use.Organization)
	}
	// The number of the permission there is another permission's here.
	same(t, "permissions", use.Permissions, []string{"log.read"})

	if found, err := w.model.CheckIn(there, w.owner.secret.Reveal(), Use{}); err != nil || found.Active() {
		t.Fatalf("a token that does not follow: %+v (%v)", found, err)
	}
	same(t, "uses of a token that is nothing there", w.model.Reporting().Waiting, 0)
}

// TestEveryUseCountsOnce: checks and flushes at once.
func TestEveryUseCountsOnce(t *testing.T) {
	w := newWorld(t)
	secrets := w.many(40)
	usage := new(kept)
	r := w.model.reporter(usage, "here")
	const checkers, rounds = 8, 400
	var checking atomic.Int32
	checking.Store(checkers)
	errs := atOnce(checkers+1, func(i int) error {
		if i < checkers {
			defer checking.Add(-1)
			for n := range rounds * len(secrets) {
				if found, err := w.model.Check(secrets[(n*(i+1)+i)%len(secrets)], Use{}); err != nil || !found.Active() {
					return fmt.Errorf("%q: %w", found.Reason, err)
				}
			}
			return nil
		}
		for checking.Load() > 0 {
			if err := r.flush(t.Context()); err != nil {
				return err
			}
		}
		return nil
	})
	fails(t, "at once", errors.Join(errs...), nil)
	flush(t, r)
	total := int64(0)
	for _, u := range usage.uses(t) {
		total += u.Days["2027-03-01"]
	}
	same(t, "uses", total, checkers*rounds*int64(len(secrets)))
	same(t, "waiting", w.model.Reporting(), Reporting{})
	t.Logf("%d reports", len(usage.reports))
}

func TestNotingAllocatesNothing(t *testing.T) {
	w := newWorld(t)
	secrets := w.many(600)
	use := Use{Address: addr("2001:db8::1"), Agent: "curl/8.5.0", Engine: w.owner.first, Permission: "log.read", Needs: []domain.Permission{domain.LogRead}}
	told := 0
	round := func() {
		for range 2 {
			for _, s := range secrets {
				_, _ = w.model.Check(s, use)
			}
		}
		told = 0
		for at := range w.model.uses.size() {
			if s := w.model.uses.end(at, 1); !s.token.IsZero() {
				told++
			}
		}
	}
	fails(t, "follow", w.model.Wait(t.Context(), w.last()), nil)
	// What the process does meanwhile is counted too, but not every time.
	fewest := testing.AllocsPerRun(1, round)
	for range 10 {
		fewest = min(fewest, testing.AllocsPerRun(1, round))
	}
	if fewest != 0 {
		t.Errorf("%v allocations, want none", fewest)
	}
	same(t, "told", told, len(secrets))
}

// TestReportsAreSmall: none is larger than any server takes, even of tokens that
// used all there is.
func TestReportsAreSmall(t *testing.T) {
	w := newWorld(t)
	for i := range domain.MaxPermissions {
		name := fmt.Sprintf("p%d.%s", i, strings.Repeat("x", 90))
		w.do(w.owner.actor, domain.DefinePermission{Definition: domain.Definition{Name: name, Group: "many", Description: "d"}})
	}
	secrets := w.many(30)
	var needs []domain.Permission
	for p := range domain.Permission(512) {
		needs = append(needs, p)
	}
	for _, s := range secrets {
		_, _ = w.model.Check(s, Use{Needs: needs, Agent: strings.Repeat("<", 300)})
	}
	usage := new(kept)
	r := w.model.reporter(usage, "here")
	flush(t, r)
	same(t, "told", len(usage.uses(t)), len(secrets))
	if len(usage.reports) < 5 {
		t.Errorf("all is in %d reports", len(usage.reports))
	}
}

// TestTooManyTokens: the pool ends. What was used is known nevertheless, and how
// much was not counted is said.
func TestTooManyTokens(t *testing.T) {
	w := newWorld(t)
	_, another := w.issue(w.owner.actor, domain.Personal, "another")
	u := &w.model.uses
	u.made = manyPieces - 1 // the last piece is the only one, and the others are in use
	w.use(w.model, another, Use{})
	u.free = u.free[:0]
	w.pass(time.Hour)
	w.use(w.model, w.owner.secret, Use{})
	w.use(w.model, another, Use{})
	same(t, "missed", w.model.Reporting(), Reporting{Waiting: manyDeltas, Missed: 1})
	same(t, "used", w.model.tenant(w.org).used(0), domain.At(noon.Add(time.Hour)))
}

// TestReportIsEarly: many tokens are told of before the interval ends.
func TestReportIsEarly(t *testing.T) {
	w := newWorld(t)
	usage := new(eventstore.MemoryUsage)
	first := make(chan []byte, 2)
	end := background(t, func(ctx context.Context) error { return w.model.Report(ctx, usage, "here", time.Hour) })
	background(t, func(ctx context.Context) error {
		return usage.Follow(ctx, 0, func(_ uint64, report []byte) error { first <- report; return nil })
	})
	u := &w.model.uses
	u.mu.Lock()
	for u.taken()+1 < earlyDeltas { // as if others had them
		if len(u.free) == 0 && !u.grow() {
			t.Fatal("there is no more")
		}
		u.free = u.free[:max(0, len(u.free)-(earlyDeltas-1-u.taken()))]
	}
	u.mu.Unlock()
	w.use(w.model, w.owner.secret, Use{})
	if _, uses, err := readReport(<-first); err != nil || len(uses) != 1 {
		t.Fatalf("told early: %v (%v)", uses, err)
	}
	w.use(w.model, w.owner.secret, Use{})
	fails(t, "end", end(), nil)
	if r, uses, err := readReport(<-first); err != nil || len(uses) != 1 || r.Number != 2 || r.Node != "here" {
		t.Fatalf("told at the end: %+v (%v)", r, err)
	}
}

func TestReportEveryInterval(t *testing.T) {
	streams(t, func(t *testing.T, usage eventstore.Usage) {
		w := newWorld(t)
		v := viewsOf(w, sqliteURL(t))
		h, _ := follows(t, v, w.model, usage)
		end := background(t, func(ctx context.Context) error { return w.model.Report(ctx, usage, "here", time.Millisecond) })
		for n := range 5 {
			w.use(w.model, w.owner.secret, Use{})
			h.until(t, uint64(n+1))
		}
		fails(t, "end", end(), nil)
		same(t, "uses", w.usage(v, w.owner.first).total(), 5)
	})
}

// TestStreamAway: checks go on, and all of it is told once it is back.
func TestStreamAway(t *testing.T) {
	streams(t, func(t *testing.T, stream eventstore.Usage) {
		w := newWorld(t)
		v, usage := viewsOf(w, sqliteURL(t)), &troubled{Usage: stream}
		h, _ := follows(t, v, w.model, usage)
		r := w.model.reporter(usage, "here")
		usage.away.Store(true)
		for range 10 {
			w.use(w.model, w.owner.secret, Use{})
			fails(t, "flush while away", r.flush(t.Context()), eventstore.ErrUnavailable)
			fails(t, "reporting while away", w.model.Reporting().Err, eventstore.ErrUnavailable)
		}
		same(t, "waiting, besides what was sent in vain", w.model.Reporting().Waiting, 1)
		usage.away.Store(false)
		flush(t, r)
		h.until(t, 2)
		same(t, "uses", w.usage(v, w.owner.first).total(), 10)
		same(t, "reporting", w.model.Reporting(), Reporting{})
	})
}

// TestReportOfUnknownOutcome: a report that was stored and not acknowledged counts once.
func TestReportOfUnknownOutcome(t *testing.T) {
	streams(t, func(t *testing.T, stream eventstore.Usage) {
		w := newWorld(t)
		v, usage := viewsOf(w, sqliteURL(t)), &troubled{Usage: stream}
		h, _ := follows(t, v, w.model, usage)
		r := w.model.reporter(usage, "here")
		usage.silent.Store(true)
		for range 3 {
			w.use(w.model, w.owner.secret, Use{})
			fails(t, "flush without an answer", r.flush(t.Context()), eventstore.ErrUnknown)
		}
		usage.silent.Store(false)
		flush(t, r)
		h.until(t, 2)
		same(t, "uses", w.usage(v, w.owner.first).total(), 3)
	})
}

// TestReportStoredTwice: the stream knows ids for two minutes only, and the tables
// for as long as reports live.
func TestReportStoredTwice(t *testing.T) {
	everywhere(t, func(t *testing.T, url string) {
		w := newWorld(t)
		v, usage := viewsOf(w, url), new(kept)
		r := w.model.reporter(usage, "here")
		for range 2 {
			w.use(w.model, w.owner.secret, Use{})
			flush(t, r)
		}
		for seq, n := range []int{0, 0, 1, 0, 1, 1} {
			fails(t, "take", v.takeUsage(t.Context(), uint64(seq+1), usage.reports[n], w.model.Used), nil)
		}
		same(t, "uses", w.usage(v, w.owner.first).total(), 2)
	})
}

// TestUnreadableReport: what a younger version reports is left out, and said.
func TestUnreadableReport(t *testing.T) {
	everywhere(t, func(t *testing.T, url string) {
		w := newWorld(t)
		v, usage := viewsOf(w, url), new(eventstore.MemoryUsage)
		id, org := w.owner.first, w.org
		bad := []string{
			`{"v":2}`, ``, `nonsense`, `{}`, `[]`, `null`,
			`{"v":1,"uses":[{"org":"x","token":"y"}]}`,
			fmt.Sprintf(`{"v":1,"uses":[{"org":%q,"token":%q,"last":"2027-03-01T12:00:00Z","days":{"yesterday":1}}]}`, org, id),
			fmt.Sprintf(`{"v":1,"uses":[{"org":%q,"token":%q,"last":"2027-03-01T12:00:00Z","days":{"2027-03-01":-1}}]}`, org, id),
			fmt.Sprintf(`{"v":1,"uses":[{"org":%q,"token":%q,"days":{"2027-03-01":1}}]}`, org, id),
		}
		for i, report := range bad {
			fails(t, "publish", usage.Publish(t.Context(), fmt.Sprint(i), []byte(report)), nil)
		}
		// What can be read may still be more than a table takes, or the same token twice.
		good := fmt.Sprintf(`{"v":1,"reporter":%q,"number":1,"node":"a\u0000b","more":1,"uses":[
			{"org":%[2]q,"token":%[3]q,"last":"2027-03-01T12:00:00Z","days":{"2027-03-01":1},"agent":"a\u0000b","permissions":["a\u0000b","log.read"]},
			{"org":%[2]q,"token":%[3]q,"last":"2027-03-01T11:00:00Z","days":{"2027-03-01":2},"agent":"older"}]}`, domain.RandomID(), org, id)
		fails(t, "publish", usage.Publish(t.Context(), "good", []byte(good)), nil)

		h, end := follows(t, v, w.model, usage)
		h.until(t, uint64(len(bad)+1))
		n, last := v.SkippedUsage()
		if n != len(bad) || last == nil {
			t.Errorf("skipped %d (%v), want %d", n, last, len(bad))
		}
		got := w.usage(v, id)
		same(t, "agent", got.Agent, "ab")
		same(t, "permissions", got.Permissions, []string{"log.read"})
		same(t, "uses", got.total(), 3)
		fails(t, "end", end(), nil)
		follows(t, v, w.model, usage) // does not begin again
		same(t, "sequence", sequence(t, v), uint64(len(bad)+1))
	})
}

func sequence(t testing.TB, v *Views) (seq uint64) {
	t.Helper()
	fails(t, "sequence", v.write.QueryRowxContext(t.Context(), selectSequence).Scan(&seq), nil)
	return seq
}

// TestUsageSurvivesARestart: of the process, with its log and its tables.
func TestUsageSurvivesARestart(t *testing.T) {
	everywhere(t, func(t *testing.T, url string) {
		w := newWorld(t)
		v, usage := viewsOf(w, url), new(eventstore.MemoryUsage)
		h, end := follows(t, v, w.model, usage)
		stop := background(t, func(ctx context.Context) error { return w.model.Report(ctx, usage, "here", time.Hour) })
		w.use(w.model, w.owner.secret, Use{})
		fails(t, "end of reporting", stop(), nil) // tells the last of it
		h.until(t, 1)
		fails(t, "end of following", end(), nil)

		again := w.other()
		same(t, "used before the tables were asked", again.tenant(w.org).used(0), 0)
		v = openViews(t, url)
		h, end = follows(t, v, again, usage)
		w.use(again, w.owner.secret, Use{})
		flush(t, again.reporter(usage, "here"))
		h.until(t, 2)
		same(t, "uses", w.usage(v, w.owner.first).total(), 2)
		fails(t, "end of following", end(), nil)

		third := w.other()
		_, err := v.knownUsage(t.Context(), third.Used)
		fails(t, "known usage", err, nil)
		same(t, "used", third.tenant(w.org).used(0), domain.At(noon))
	})
}

// TestTwoNodesAddUp: with tables of their own and with common ones.
func TestTwoNodesAddUp(t *testing.T) {
	for name, urls := range map[string]func(t *testing.T) (a, b string){
		"a SQLite each":  func(t *testing.T) (a, b string) { return sqliteURL(t), sqliteURL(t) },
		"one PostgreSQL": func(t *testing.T) (a, b string) { a = pgtest.URL(t); return a, a },
	} {
		t.Run(name, func(t *testing.T) {
			streams(t, func(t *testing.T, usage eventstore.Usage) {
				w := newWorld(t)
				urlA, urlB := urls(t)
				nodes := []*Model{w.model, w.other()}
				views := []*Views{viewsOf(w, urlA), viewsOf(w, urlB)}
				var hears []*heard
				for i := range nodes {
					h, _ := follows(t, views[i], nodes[i], usage)
					hears = append(hears, h)
					<-h.began // or the other node has told common tables all of it before
				}
				const rounds = 20
				errs := atOnce(2, func(i int) error {
					r := nodes[i].reporter(usage, fmt.Sprint("node ", i))
					for n := range rounds {
						for range n {
							if _, err := nodes[i].Check(w.owner.secret.Reveal(), Use{Address: addr(fmt.Sprintf("10.0.%d.1", i)), Agent: fmt.Sprint("agent ", i)}); err != nil {
								return err
							}
						}
						if err := r.flush(t.Context()); err != nil {
							return err
						}
					}
					return nil
				})
				fails(t, "both", errors.Join(errs...), nil)
				for i, v := range views {
					hears[i].until(t, 2*(rounds-1)) // nothing is told of the first round
					got := w.usage(v, w.owner.first)
					same(t, "uses", got.total(), rounds*(rounds-1))
					same(t, "networks", len(got.Networks), 2)
				}
			})
		})
	}
}

// TestIdlePolicySeesUseElsewhere: a token that is used on one node is idle on none.
func TestIdlePolicySeesUseElsewhere(t *testing.T) {
	streams(t, func(t *testing.T, usage eventstore.Usage) {
		w := newWorld(t)
		_, used := w.issue(w.owner.actor, domain.Personal, "used")
		_, idle := w.issue(w.owner.actor, domain.Personal, "idle")
		w.demand(func(p *domain.Policy) { p.Idle = 7 * 86_400 })
		there := w.other()
		v := viewsOf(w, sqliteURL(t))
		h, _ := follows(t, v, there, usage)
		w.pass(5 * 24 * time.Hour)
		w.use(w.model, used, Use{})
		flush(t, w.model.reporter(usage, "here"))
		h.until(t, 1)
		w.pass(5 * 24 * time.Hour)
		if found := w.check(there, used); !found.Active() {
			t.Errorf("used on the other node: %q", found.Reason)
		}
		if found := w.check(there, idle); found.Reason != domain.ReasonIdle {
			t.Errorf("used nowhere: %q", found.Reason)
		}
	})
}

// TestUsedOfAnotherOrganization: a report can't speak of another organization's token.
func TestUsedOfAnotherOrganization(t *testing.T) {
	w := newWorld(t)
	w.model.Used(newOrganizationID(), w.owner.first, domain.At(noon))
	w.model.Used(w.org, domain.TokenID{ID: domain.RandomID()}, domain.At(noon))
	same(t, "used", w.model.tenant(w.org).used(0), 0)
	w.model.Used(w.org, w.owner.first, domain.At(noon))
	w.model.Used(w.org, w.owner.first, domain.At(noon)-5*minute)
	w.model.Used(w.org, w.owner.first, -1)
	same(t, "used", w.model.tenant(w.org).used(0), domain.At(noon))
}

func TestRebuildKeepsUsage(t *testing.T) {
	everywhere(t, func(t *testing.T, url string) {
		w := newWorld(t)
		v, usage := openViews(t, url), new(eventstore.MemoryUsage)
		end := runViews(t, v, w.store)
		caughtUp(w, v)
		h, _ := follows(t, v, w.model, usage)
		w.use(w.model, w.owner.secret, Use{Address: addr("192.0.2.7")})
		flush(t, w.model.reporter(usage, "here"))
		h.until(t, 1)
		before := w.usage(v, w.owner.first)
		fails(t, "end", end(), nil)
		fails(t, "rebuild", v.Rebuild(t.Context(), w.store, storeID), nil)
		sameText(t, w.usage(v, w.owner.first), before)
		same(t, "uses", before.total(), 1)
	})
}

// TestOldDaysAreDropped as new ones come.
func TestOldDaysAreDropped(t *testing.T) {
	everywhere(t, func(t *testing.T, url string) {
		w := newWorld(t)
		v, usage := viewsOf(w, url), new(kept)
		r := w.model.reporter(usage, "here")
		for seq := range uint64(40) {
			w.use(w.model, w.owner.secret, Use{})
			flush(t, r)
			fails(t, "take", v.takeUsage(t.Context(), seq+1, usage.reports[seq], w.model.Used), nil)
			w.pass(24 * time.Hour)
		}
		got := w.usage(v, w.owner.first)
		same(t, "days", len(got.Days), 30)
		same(t, "the oldest", got.Days[0], DayUse{today + 10*day, 1})
		same(t, "the newest", got.Days[29], DayUse{today + 39*day, 1})
		var n int
		fails(t, "count", v.read.QueryRowx("SELECT COUNT(*) FROM token_usage_days").Scan(&n), nil)
		same(t, "rows", n, 30)
	})
}

// TestTokensByUse: which can be deleted, because nobody needs them.
func TestTokensByUse(t *testing.T) {
	everywhere(t, func(t *testing.T, url string) {
		w := newWorld(t)
		v, usage := viewsOf(w, url), new(kept)
		r := w.model.reporter(usage, "here")
		secrets, ids := map[string]domain.Secret{}, map[string]domain.TokenID{"owner": w.owner.first}
		for _, name := range []string{"used", "unused", "used long ago", "rotated"} {
			ids[name], secrets[name] = w.issue(w.owner.actor, domain.Administrative, name)
		}
		use := func(name string) {
			w.use(w.model, secrets[name], Use{})
			flush(t, r)
			fails(t, "take", v.takeUsage(t.Context(), r.Number, usage.reports[r.Number-1], w.model.Used), nil)
		}
		w.pass(24 * time.Hour)
		use("used long ago")
		use("used")
		w.pass(24 * time.Hour)
		w.rotate(w.owner.actor, ids["rotated"], 0)
		w.issue(w.owner.actor, domain.Administrative, "new")
		use("used")
		caughtUp(w, v)

		for days, want := range map[int][]string{
			0: nil,
			1: {"unused", "first token"},
			2: {"used long ago", "unused", "first token"},
			3: {"new", "rotated", "used long ago", "unused", "used", "first token"},
		} {
			rows, err := v.Tokens(t.Context(), TokenFilter{Organization: w.org, UsedBefore: domain.At(noon) + domain.Instant(days)*day})
			fails(t, "list", err, nil)
			var names []string
			for _, row := range rows {
				names = append(names, row.Name)
			}
			same(t, fmt.Sprint("not used since day ", days), names, want)
		}
		same(t, "used", w.row(v, ids["used"]).Used, domain.At(noon)+2*day)
		same(t, "used by nobody", w.row(v, ids["unused"]).Used, 0)
	})
}

func TestReportersAreForgotten(t *testing.T) {
	everywhere(t, func(t *testing.T, url string) {
		w := newWorld(t)
		v, seq := viewsOf(w, url), uint64(0)
		for range 60 {
			usage := new(kept)
			w.use(w.model, w.owner.secret, Use{})
			flush(t, w.model.reporter(usage, "here"))
			seq++
			fails(t, "take", v.takeUsage(t.Context(), seq, usage.reports[0], w.model.Used), nil)
			w.pass(24 * time.Hour)
		}
		var n int
		fails(t, "count", v.read.QueryRowx("SELECT COUNT(*) FROM usage_reporters").Scan(&n), nil)
		same(t, "reporters", n, 51)
	})
}

// TestUsageOfAnotherStream: one that was lost begins again, with sequences that the
// tables have seen before. What comes once somebody listens counts.
func TestUsageOfAnotherStream(t *testing.T) {
	everywhere(t, func(t *testing.T, url string) {
		w := newWorld(t)
		v := viewsOf(w, url)
		fails(t, "move", v.takeUsage(t.Context(), 1_000_000, []byte(`{}`), w.model.Used), nil)
		usage := new(eventstore.MemoryUsage)
		r := w.model.reporter(usage, "here")
		h, _ := follows(t, v, w.model, usage)
		heard := domain.Position(0)
		for ; heard == 0; heard, _ = h.at.now() {
			w.use(w.model, w.owner.secret, Use{})
			flush(t, r)
		}
		h.until(t, r.Number)
		before := w.usage(v, w.owner.first).total()
		for range 3 {
			w.use(w.model, w.owner.secret, Use{})
			flush(t, r)
		}
		h.until(t, r.Number)
		same(t, "uses", w.usage(v, w.owner.first).total(), before+3)
		same(t, "sequence", sequence(t, v), r.Number)
	})
}

// TestUsageWhileTheDatabaseIsAway: what comes meanwhile waits, and counts once.
func TestUsageWhileTheDatabaseIsAway(t *testing.T) {
	w := newWorld(t)
	proxy := pgtest.NewProxy(t, pgtest.URL(t))
	v, usage := viewsOf(w, proxy.URL), new(eventstore.MemoryUsage)
	h, _ := follows(t, v, w.model, usage)
	r := w.model.reporter(usage, "here")
	for range uint64(20) {
		proxy.Cut()
		w.use(w.model, w.owner.secret, Use{})
		flush(t, r)
		proxy.Mend()
		w.use(w.model, w.owner.secret, Use{})
		flush(t, r)
	}
	h.until(t, 40)
	same(t, "uses", w.usage(v, w.owner.first).total(), 40)
	proxy.Cut()
	_, err := v.Usage(t.Context(), w.org, w.owner.first)
	fails(t, "asking while the database is away", err, ErrViews)
}

// TestMarksStay: a mark is found where it was, however many come after it.
func TestMarksStay(t *testing.T) {
	var s marks
	var found []*mark
	for place := range uint32(1000) {
		s = s.upTo(place)
		found = append(found, s.at(place))
	}
	seen := map[*mark]bool{}
	for place, k := range found {
		if s.at(uint32(place)) != k || seen[k] {
			t.Fatalf("the mark of %d moved or is another's", place)
		}
		seen[k] = true
	}
	if s.at(1<<20) != nil {
		t.Error("there is a mark where none is")
	}
	errs := sync.WaitGroup{}
	for n := range uint32(8) {
		errs.Go(func() {
			for i := range uint32(1000) {
				found[0].raise(i*8 + n)
			}
		})
	}
	errs.Wait()
	same(t, "the highest", found[0].minute.Load(), 7999)
}
