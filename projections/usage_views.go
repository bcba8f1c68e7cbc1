package projections

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/jmoiron/sqlx"

	"jeton/domain"
	"jeton/eventstore"
)

// createUsage makes the tables of usage. A rebuild keeps them, for usage is not in
// the log. usage_reporters says which reports are in: the sequence alone does not,
// when a stream was lost or a report was stored twice. In networks is all of where,
// sealed; agent is from before, and empty.
const createUsage = `
CREATE TABLE IF NOT EXISTS usage_checkpoint (
	one      BIGINT NOT NULL PRIMARY KEY,
	sequence BIGINT NOT NULL
);
CREATE TABLE IF NOT EXISTS usage_reporters (
	reporter TEXT   NOT NULL PRIMARY KEY,
	node     TEXT   NOT NULL,
	number   BIGINT NOT NULL,
	at       BIGINT NOT NULL
);
CREATE TABLE IF NOT EXISTS token_usage (
	organization TEXT   NOT NULL,
	token        TEXT   NOT NULL,
	last         BIGINT NOT NULL,
	networks     TEXT   NOT NULL,
	engine       TEXT   NOT NULL,
	agent        TEXT   NOT NULL,
	permissions  TEXT   NOT NULL,
	PRIMARY KEY (organization, token)
);
CREATE TABLE IF NOT EXISTS token_usage_days (
	organization TEXT   NOT NULL,
	token        TEXT   NOT NULL,
	day          BIGINT NOT NULL,
	n            BIGINT NOT NULL,
	PRIMARY KEY (organization, token, day)
);
`

const (
	// usageDays is how many days are counted, with the last one of use.
	usageDays = 30
	// reporterLife is longer than a stream keeps reports: nobody who has not
	// reported for so long is heard again.
	reporterLife = 50 * day
)

// UsageRow is how a token was used, on all nodes.
type UsageRow struct {
	Last        domain.Instant // to the minute; zero: never
	Networks    []NetworkUse   // the last five, the latest first
	Engine      domain.TokenID // of who asked for a check last; zero: nobody did
	Agent       string         // the last program, as it called itself
	Permissions []string       // that were of use, by name
	key         string         // that Networks and Agent are sealed with
	Days        []DayUse       // of the last 30, those on which it was used, the oldest first
}

// DayUse is how often a token was used on a day of UTC.
type DayUse struct {
	Day domain.Instant // its beginning
	N   int64
}

func (d *DayUse) fields() []any { return []any{&d.Day, &d.N} }

func (r *UsageRow) fields() []any {
	return []any{&r.Last, r.where(), text{&r.Engine}, document{&r.Permissions}}
}

const (
	selectUsage = `
SELECT last, networks, engine, permissions
FROM token_usage
WHERE organization = ? AND token = ?`

	selectUsageDays = `
SELECT day, n
FROM token_usage_days
WHERE organization = ? AND token = ? AND day > ?
ORDER BY day`
)

// Usage is how a token of an organization was used. One that was never used, or
// that there is not, has the zero row.
func (v *Views) Usage(ctx context.Context, org domain.OrganizationID, token domain.TokenID) (r UsageRow, err error) {
	found, err := list[UsageRow](ctx, v, selectUsage, org, token)
	if err != nil || len(found) == 0 {
		return r, err
	}
	r = found[0]
	r.Days, err = list[DayUse](ctx, v, selectUsageDays, org, token, r.Last/day*day-usageDays*day)
	return r, err
}

// skips counts the reports that could not be read.
type skips struct {
	mu   sync.Mutex
	n    int
	last error
}

func (s *skips) add(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n, s.last = s.n+1, err
}

// SkippedUsage is how many reports FollowUsage could not read since the program
// began, and why not the last of them. Unlike the log usage is no history: a
// report of a younger version is left out and does not stop those behind it.
func (v *Views) SkippedUsage() (n int, last error) {
	v.skips.mu.Lock()
	defer v.skips.mu.Unlock()
	return v.skips.n, v.skips.last
}

// FollowUsage keeps the tables up with what nodes report, until ctx ends, which is
// no error. Each report counts once, also after a crash and with several servers
// on one database. While the database is away it tries again and again.
//
// note is told when each token was last used: first what the tables know, then
// what is reported, by whomever it was written into the tables. It is Model.Used.
func (v *Views) FollowUsage(ctx context.Context, usage eventstore.Usage, note func(domain.OrganizationID, domain.TokenID, domain.Instant)) error {
	var after uint64
	err := insist(ctx, func(ctx context.Context) (err error) { after, err = v.knownUsage(ctx, note); return err }, ignore)
	if err == nil {
		err = usage.Follow(ctx, after, func(seq uint64, data []byte) error { return v.takeUsage(ctx, seq, data, note) })
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func ignore(error) {}

const (
	selectSequence = `
SELECT COALESCE(MAX(sequence), 0) FROM usage_checkpoint`

	selectLastUses = `
SELECT organization, token, last FROM token_usage`
)

// knownUsage answers up to which report the tables are, and notes what they know.
func (v *Views) knownUsage(ctx context.Context, note func(domain.OrganizationID, domain.TokenID, domain.Instant)) (after uint64, err error) {
	if err := v.read.QueryRowxContext(ctx, selectSequence).Scan(&after); err != nil {
		return 0, err
	}
	rows, err := v.read.QueryxContext(ctx, selectLastUses)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	for rows.Next() {
		var u tokenUse
		if err := rows.Scan(text{&u.Organization}, text{&u.Token}, &u.Last); err != nil {
			return 0, err
		}
		note(u.Organization, u.Token, u.Last)
	}
	return after, rows.Err()
}

// takeUsage notes a report and writes it.
func (v *Views) takeUsage(ctx context.Context, seq uint64, data []byte, note func(domain.OrganizationID, domain.TokenID, domain.Instant)) error {
	r, uses, err := readReport(data)
	if err != nil {
		v.skips.add(err)
	}
	for _, u := range uses {
		note(u.Organization, u.Token, u.Last)
	}
	if err := insist(ctx, func(ctx context.Context) error { return v.showUses(ctx, uses) }, ignore); err != nil {
		return err
	}
	return insist(ctx, func(ctx context.Context) error { return v.writeUsage(ctx, seq, r, uses) }, ignore)
}

const moveUsage = `
INSERT INTO usage_checkpoint (one, sequence) VALUES (1, ?)
ON CONFLICT (one) DO UPDATE SET sequence = excluded.sequence`

// writeUsage writes a report, unless it is in, and how far the tables are.
func (v *Views) writeUsage(ctx context.Context, seq uint64, r report, uses []tokenUse) error {
	return v.within(ctx, func(tx *sqlx.Tx) error {
		b := usageBatch{batch{ctx, tx, map[string]*sqlx.Stmt{}, nil}, v.vault}
		// First, because it locks: what is read from here on nobody else changes.
		if _, err := b.exec(moveUsage, domain.Position(seq)); err != nil || len(uses) == 0 {
			return err
		}
		if fresh, err := b.enter(r); err != nil || !fresh {
			return err
		}
		for part := range slices.Chunk(uses, manyUses) {
			if err := b.merge(part); err != nil {
				return err
			}
		}
		return nil
	})
}

const (
	enterReport = `
INSERT INTO usage_reporters (reporter, node, number, at) VALUES (?, ?, ?, ?)
ON CONFLICT (reporter) DO UPDATE SET number = excluded.number, at = excluded.at
WHERE usage_reporters.number < excluded.number`

	forgetReporters = `
DELETE FROM usage_reporters WHERE at < ?`
)

// enter reports whether a report is new, and remembers that it is in.
func (b usageBatch) enter(r report) (fresh bool, err error) {
	node := string(appendPrintable(make([]byte, 0, maxAgent), r.Node))
	n, err := b.exec(enterReport, r.Reporter, node, domain.Position(r.Number), r.At)
	if err == nil && r.Number == 1 {
		_, err = b.exec(forgetReporters, r.At-reporterLife)
	}
	return n == 1, err
}

// manyUses is how many tokens are merged at once. Each takes up to seven
// parameters, or three for each day, of the 32,766 that SQLite has.
const manyUses = 500

// usedToken is the key of a row: the organization leads every key.
type usedToken struct {
	organization domain.OrganizationID
	token        domain.TokenID
}

type usedDay struct {
	usedToken
	day domain.Instant
}

// merge adds what was reported to what the tables have.
func (b usageBatch) merge(uses []tokenUse) error {
	merged, days := map[usedToken]*UsageRow{}, map[usedDay]int64{}
	for _, u := range uses {
		merged[u.used()] = new(UsageRow)
	}
	if err := b.known(merged); err != nil {
		return err
	}
	for _, u := range uses {
		merged[u.used()].add(u)
		for name, n := range u.Days {
			at, _ := dayNamed(name) // was checked
			days[usedDay{u.used(), at}] += n
		}
	}
	if err := b.writeRows(merged); err != nil {
		return err
	}
	return b.writeDays(days)
}

func (u tokenUse) used() usedToken { return usedToken{u.Organization, u.Token} }

// add is the use of a token after others, as far as it was later.
func (r *UsageRow) add(u tokenUse) {
	if u.Last >= r.Last {
		r.Last, r.Engine, r.Agent = u.Last, cmp.Or(u.Engine, r.Engine), cmp.Or(u.Agent, r.Agent)
	} else {
		r.Engine, r.Agent = cmp.Or(r.Engine, u.Engine), cmp.Or(r.Agent, u.Agent)
	}
	if r.key == "" || u.Where != "" {
		r.key = u.key()
	}
	r.Networks = latest(append(r.Networks, u.Networks...))
	r.Permissions = append(r.Permissions, u.Permissions...)
	slices.Sort(r.Permissions)
	r.Permissions = slices.Compact(r.Permissions)
}

// latest is each network once, and of those the few that were used last.
func latest(all []NetworkUse) []NetworkUse {
	slices.SortFunc(all, func(a, b NetworkUse) int {
		return cmp.Or(cmp.Compare(b.Last, a.Last), strings.Compare(a.Network.String(), b.Network.String()))
	})
	kept := all[:0]
	for _, n := range all {
		if len(kept) < manyNetworks && !slices.ContainsFunc(kept, func(k NetworkUse) bool { return k.Network == n.Network }) {
			kept = append(kept, n)
		}
	}
	return kept
}

const selectUsageOf = `
SELECT organization, token, last, networks, engine, permissions
FROM token_usage
WHERE (organization, token) IN (VALUES `

// known reads what the tables have of some tokens.
func (b usageBatch) known(of map[usedToken]*UsageRow) error {
	var args []any
	for key := range of {
		args = append(args, key.organization, key.token)
	}
	found, err := b.tx.QueryContext(b.ctx, b.tx.Rebind(selectUsageOf+rows(len(of), 2)+")"), values(args)...)
	if err != nil {
		return err
	}
	defer found.Close()
	for found.Next() {
		var key usedToken
		var r UsageRow
		fields := r.fields()
		if err := found.Scan(append([]any{text{&key.organization}, text{&key.token}}, fields...)...); err != nil {
			return err
		}
		if err := (revealing{b.vault, nil}).all(b.ctx, fields); err != nil {
			return err
		}
		*of[key] = r
	}
	return found.Err()
}

const (
	insertUsage = `
INSERT INTO token_usage (organization, token, last, networks, engine, agent, permissions) VALUES `
	usageColumns = 7
	orMerged     = `
ON CONFLICT (organization, token) DO UPDATE SET last = excluded.last, networks = excluded.networks,
	engine = excluded.engine, agent = excluded.agent, permissions = excluded.permissions`
)

func (b usageBatch) writeRows(merged map[usedToken]*UsageRow) error {
	var args []any
	for key, r := range merged {
		where, err := b.hidden(key, r)
		if err != nil {
			return err
		}
		permissions, err := writtenList(r.Permissions)
		if err != nil {
			return err
		}
		args = append(args, key.organization, key.token, r.Last, where, r.Engine, "", permissions)
	}
	_, err := b.exec(insertUsage+rows(len(merged), usageColumns)+orMerged, args...)
	return err
}

// writtenList is a list as a column keeps it.
func writtenList[T any](all []T) (string, error) {
	if len(all) == 0 {
		return "", nil
	}
	text, err := json.Marshal(all)
	return string(text), err
}

const (
	insertUsageDays = `
INSERT INTO token_usage_days (organization, token, day, n) VALUES `
	dayColumns = 4
	orAdded    = `
ON CONFLICT (organization, token, day) DO UPDATE SET n = token_usage_days.n + excluded.n`

	dropUsageDays = `
DELETE FROM token_usage_days
WHERE day <= ? AND (organization, token) IN (VALUES `
)

// writeDays adds counts, and drops those of days that are too old by then.
func (b usageBatch) writeDays(days map[usedDay]int64) error {
	for part := range slices.Chunk(slices.Collect(maps.Keys(days)), manyUses) {
		var args []any
		newest := map[domain.Instant][]any{}
		for _, d := range part {
			args = append(args, d.organization, d.token, d.day, days[d])
			newest[d.day] = append(newest[d.day], d.organization, d.token)
		}
		if _, err := b.exec(insertUsageDays+rows(len(part), dayColumns)+orAdded, args...); err != nil {
			return err
		}
		for at, tokens := range newest {
			if err := b.dropDays(at, tokens); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b usageBatch) dropDays(newest domain.Instant, tokens []any) error {
	args := append([]any{newest - usageDays*day}, tokens...)
	_, err := b.exec(dropUsageDays+rows(len(tokens)/2, 2)+")", args...)
	return err
}
