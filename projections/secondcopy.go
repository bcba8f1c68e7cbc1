package projections

import (
	"bytes"
	"context"
	"fmt"
	"math"

	"github.com/jmoiron/sqlx"

	"jeton/domain"
	"jeton/eventstore"
)

// copyPage is how many rows of the second copy are in memory at once. A commit is a
// few hundred bytes, and some megabytes at most.
const copyPage = 256

// Copied hands the commits of the second copy up to a head to do, in order, and holds
// them against their chain on the way: what was changed, is missing or does not lead
// to that head is eventstore.Damage.
func (v *Views) Copied(ctx context.Context, until eventstore.Head, do func(eventstore.Record) error) error {
	var head eventstore.Head
	for head.Position < until.Position {
		before := head.Position
		err := v.kept(ctx, before, func(k keptRow) error {
			if head.Position == until.Position {
				return nil
			}
			next := head.Next(k.entry())
			if k.position != next.Position {
				return &eventstore.Damage{Position: next.Position, What: "the second copy in the views lacks the commit"}
			}
			if !bytes.Equal(k.chain, next.Chain[:]) {
				return &eventstore.Damage{Position: next.Position, What: "the second copy in the views was changed"}
			}
			if _, err := eventstore.Decode(next); err != nil { // it knows the id, of which the chain says nothing
				return err
			}
			head = next.Head()
			return do(next)
		})
		switch {
		case err != nil:
			return err
		case head.Position == before:
			return &eventstore.Damage{Position: before + 1, What: fmt.Sprintf("the second copy in the views ends here, and should go up to %d", until.Position)}
		}
	}
	if head != until {
		return &eventstore.Damage{Position: head.Position, What: "the second copy in the views does not lead to what they remember"}
	}
	return nil
}

// keptRow is a row of the second copy as it stands there, whatever it is by now.
type keptRow struct {
	position                        domain.Position
	boundary, organization, account text8
	id                              text8
	at                              any
	data, chain                     []byte
}

// text8 is a column of text, or of whatever somebody has made of it.
type text8 string

// Scan implements sql.Scanner.
func (t *text8) Scan(column any) error {
	switch column := column.(type) {
	case string:
		*t = text8(column)
	case []byte:
		*t = text8(column)
	default:
		*t = text8(fmt.Sprint(column))
	}
	return nil
}

// bytes8 is the same for bytes.
type bytes8 struct{ into *[]byte }

// Scan implements sql.Scanner.
func (b bytes8) Scan(column any) error {
	switch column := column.(type) {
	case []byte:
		*b.into = bytes.Clone(column)
	default:
		*b.into = []byte(fmt.Sprint(column))
	}
	return nil
}

// entry is the commit that a row has. What was made of its id is found by its data.
func (k keptRow) entry() eventstore.Entry {
	e := eventstore.Entry{Boundary: domain.Boundary(k.boundary), Data: k.data}
	_ = e.ID.UnmarshalText([]byte(k.id)) // no id is another id
	return e
}

const keptAfter = `
SELECT position, boundary, organization, id, at, account, data, chain
FROM commits
WHERE position > ?
ORDER BY position
LIMIT ?`

// kept hands out the rows behind a position, so many as a page has.
func (v *Views) kept(ctx context.Context, after domain.Position, do func(keptRow) error) error {
	page, err := v.keptPage(ctx, after)
	if err != nil {
		return unavailable(err)
	}
	for _, k := range page {
		if err := do(k); err != nil {
			return err
		}
	}
	return nil
}

func (v *Views) keptPage(ctx context.Context, after domain.Position) ([]keptRow, error) {
	rows, err := v.read.QueryContext(ctx, v.read.Rebind(keptAfter), place(after), copyPage)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	page := make([]keptRow, 0, copyPage)
	for rows.Next() {
		var k keptRow
		if err := rows.Scan(&k.position, &k.boundary, &k.organization, &k.id, &k.at, &k.account, bytes8{&k.data}, bytes8{&k.chain}); err != nil {
			return nil, err
		}
		page = append(page, k)
	}
	return page, rows.Err()
}

// is reports whether a row is to the letter the one that keep writes of a commit.
func (k keptRow) is(p pending) bool {
	m := p.commit.Meta
	want := values([]any{m.Organization, p.ID, m.Time, m.Actor.Account})
	return k.position == p.Position && string(k.boundary) == string(p.Boundary) && bytes.Equal(k.data, p.Data) && bytes.Equal(k.chain, p.Chain[:]) &&
		string(k.organization) == want[0] && string(k.id) == want[1] && k.at == want[2] && string(k.account) == want[3]
}

const (
	deleteKept  = `DELETE FROM commits WHERE position = ?`
	deleteAfter = `DELETE FROM commits WHERE position > ? OR position < 1`
)

// mend writes rows of the second copy anew.
func (v *Views) mend(ctx context.Context, rows []pending) error {
	if len(rows) == 0 {
		return nil
	}
	err := v.within(ctx, func(tx *sqlx.Tx) error {
		b := batch{ctx, tx, map[string]*sqlx.Stmt{}, nil}
		for _, p := range rows {
			if _, err := b.exec(deleteKept, p.Position); err != nil {
				return err
			}
		}
		return b.keep(rows)
	})
	return unavailable(err)
}

// cut takes the rows behind a position away, and those before the first.
func (v *Views) cut(ctx context.Context, last domain.Position) error {
	_, err := v.write.ExecContext(ctx, v.write.Rebind(deleteAfter), place(min(last, math.MaxInt64)))
	return unavailable(err)
}

const adoptStore = `
UPDATE checkpoint SET store_id = ? WHERE one = 1`

// Adopt lets the views follow another log than before, one that was made from their
// second copy and proved to be the same.
func (v *Views) Adopt(ctx context.Context, storeID string) error {
	_, err := v.write.ExecContext(ctx, v.write.Rebind(adoptStore), storeID)
	return unavailable(err)
}
