package projections

import (
	"context"

	"jeton/domain"
	"jeton/eventstore"
)

// CommitRow is a commit in the log of an organization, as it was stored.
type CommitRow struct {
	domain.Commit
	Chain  domain.Hash     // of the whole log up to here
	Data   []byte          // its bytes
	Number domain.Position // of the actor's account
	Email  string          // of a person
	Name   string          // of a service account
}

// stored is a row of the second copy.
type stored struct {
	eventstore.Record
	number domain.Position
	email  string
	name   string
}

func (r *stored) fields() []any {
	return []any{&r.Position, &r.Boundary, text{&r.ID}, &r.Data, hash{&r.Chain}, &r.number, emailColumn{&r.email}, &r.name}
}

const selectCommits = `
SELECT c.position, c.boundary, c.id, c.data, c.chain, COALESCE(a.number, 0), COALESCE(a.email, ''), COALESCE(a.name, '')
FROM commits c
LEFT JOIN accounts a ON a.id = c.account
`

const commitsAfter = selectCommits + `
WHERE c.organization = ? AND c.position > ?
ORDER BY c.position
LIMIT ?`

// Commits are the commits about an organization behind a position, the oldest
// first. The organization's log begins with the commit that created it. Those
// about none (people, operators) are listed under the zero organization.
func (v *Views) Commits(ctx context.Context, org domain.OrganizationID, after domain.Position, limit int) ([]CommitRow, error) {
	return v.commits(ctx, commitsAfter, org, after, atMost(limit))
}

const commitsBefore = selectCommits + `
WHERE c.organization = ? AND c.position < ?
ORDER BY c.position DESC
LIMIT ?`

// CommitsBefore are the commits about an organization, the youngest first. before
// is the position of the last commit of the page before; 0 begins at the end.
func (v *Views) CommitsBefore(ctx context.Context, org domain.OrganizationID, before domain.Position, limit int) ([]CommitRow, error) {
	if before == 0 {
		before = forever
	}
	return v.commits(ctx, commitsBefore, org, before, atMost(limit))
}

const commitAt = selectCommits + `
WHERE c.organization = ? AND c.position = ?`

// Commit is the commit about an organization at a position.
func (v *Views) Commit(ctx context.Context, org domain.OrganizationID, at domain.Position) (CommitRow, error) {
	r, err := one[stored](ctx, v, "commit", commitAt, org, at)
	if err != nil {
		return CommitRow{}, err
	}
	return v.decode(ctx, r)
}

func (v *Views) commits(ctx context.Context, query string, args ...any) ([]CommitRow, error) {
	found, err := list[stored](ctx, v, query, args...)
	if err != nil {
		return nil, err
	}
	commits := make([]CommitRow, len(found))
	for i, r := range found {
		if commits[i], err = v.decode(ctx, r); err != nil {
			return nil, err
		}
	}
	return commits, nil
}

// decode is ErrViews if the second copy is not what was written, too.
func (v *Views) decode(ctx context.Context, r stored) (CommitRow, error) {
	commit, err := eventstore.Decode(r.Record)
	if err == nil {
		commit, err = v.vault.Opened(ctx, commit)
	}
	return CommitRow{commit, r.Chain, r.Data, r.number, r.email, r.name}, unavailable(err)
}

const (
	insertCommits = `
INSERT INTO commits (position, boundary, organization, id, at, account, data, chain) VALUES `
	commitColumns = 8
	unlessKept    = `
ON CONFLICT (position) DO NOTHING`
)

// keep writes the second copy. During a rebuild it is there already, and the log
// must be what it was.
func (b batch) keep(fresh []pending) error {
	args := make([]any, 0, len(fresh)*commitColumns)
	for _, p := range fresh {
		m := p.commit.Meta
		args = append(args, p.Position, string(p.Boundary), m.Organization, p.ID, m.Time, m.Actor.Account, p.Data, p.Chain)
	}
	n, err := b.exec(insertCommits+rows(len(fresh), commitColumns)+unlessKept, args...)
	if err == nil && int(n) < len(fresh) {
		err = b.compare(fresh)
	}
	return err
}

const keptBetween = `
SELECT position, boundary, id, data, chain
FROM commits
WHERE position BETWEEN ? AND ?
ORDER BY position`

// compare holds commits of the log against the second copy of them.
func (b batch) compare(fresh []pending) error {
	rows, err := b.tx.QueryContext(b.ctx, b.tx.Rebind(keptBetween), place(fresh[0].Position), place(fresh[len(fresh)-1].Position))
	if err != nil {
		return err
	}
	defer rows.Close()
	for i := 0; rows.Next(); i++ {
		var kept eventstore.Record
		if err := rows.Scan(&kept.Position, &kept.Boundary, text{&kept.ID}, &kept.Data, hash{&kept.Chain}); err != nil {
			return err
		}
		if kept.Head() != fresh[i].Head() || !kept.Same(fresh[i].Entry) {
			return &eventstore.Damage{Position: fresh[i].Position, What: "the log and the second copy of it in the views differ"}
		}
	}
	return rows.Err()
}
