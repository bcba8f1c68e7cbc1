package projections

import (
	"context"
	"fmt"

	"github.com/jmoiron/sqlx"

	"jeton/domain"
	"jeton/eventstore"
)

// checkpoint is how far the tables are, and of which log.
type checkpoint struct {
	eventstore.Head
	StoreID string
	Schema  int
	Kept    eventstore.Head // the end of the second copy; behind Head only during a rebuild
}

func (c *checkpoint) fields() []any {
	return []any{&c.Position, hash{&c.Chain}, &c.StoreID, &c.Schema, &c.Kept.Position, hash{&c.Kept.Chain}}
}

// furthest is the last commit that was ever written here.
func (c checkpoint) furthest() eventstore.Head {
	if c.Kept.Position > c.Position {
		return c.Kept
	}
	return c.Head
}

const selectCheckpoint = `
SELECT c.position, c.chain, c.store_id, c.schema_version, COALESCE(k.position, 0), k.chain
FROM checkpoint c
LEFT JOIN commits k ON k.position = (SELECT MAX(position) FROM commits)
WHERE c.one = 1`

func (v *Views) checkpoint(ctx context.Context) (checkpoint, error) {
	var c checkpoint
	err := v.write.QueryRowxContext(ctx, selectCheckpoint).Scan(c.fields()...)
	return c, err
}

const (
	insertCheckpoint = `
INSERT INTO checkpoint (one, store_id, position, chain, schema_version) VALUES (1, '', 0, ?, 0)
ON CONFLICT (one) DO NOTHING`

	takeOverSchema = `
UPDATE checkpoint SET schema_version = ?, position = 0, chain = ? WHERE one = 1 AND schema_version < ?`

	forgetRows = `
UPDATE checkpoint SET position = 0, chain = ? WHERE one = 1`

	nameStore = `
UPDATE checkpoint SET store_id = ? WHERE one = 1 AND store_id = ''`

	moveCheckpoint = `
UPDATE checkpoint SET position = ?, chain = ?
WHERE one = 1 AND position = ? AND chain = ? AND store_id = ? AND schema_version = ?`
)

// prepare makes the tables. Of two servers that make the same table at once
// PostgreSQL fails one, which finds the table when it tries again.
func (v *Views) prepare(ctx context.Context) (at checkpoint, err error) {
	for range 3 {
		if err = v.migrate(ctx); err == nil {
			break
		}
	}
	if err != nil {
		return at, err
	}
	at, err = v.checkpoint(ctx)
	if err == nil {
		err = at.checkSchema()
	}
	return at, err
}

// migrate makes what is missing. Views of an older version are forgotten; Run
// will make them again.
func (v *Views) migrate(ctx context.Context) error {
	return v.within(ctx, func(tx *sqlx.Tx) error {
		if _, err := tx.ExecContext(ctx, createLasting+createUsage+createDelivery); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, tx.Rebind(insertCheckpoint), noChain); err != nil {
			return err
		}
		older, err := affected(tx.ExecContext(ctx, tx.Rebind(takeOverSchema), schemaVersion, noChain, schemaVersion))
		if err != nil || older == 0 {
			return err
		}
		_, err = tx.ExecContext(ctx, createViews+createPast+forgetClear)
		return err
	})
}

// forget empties the views and sets the checkpoint back.
func (v *Views) forget(ctx context.Context) error {
	return v.within(ctx, func(tx *sqlx.Tx) error {
		if _, err := tx.ExecContext(ctx, tx.Rebind(forgetRows), noChain); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, createViews+createPast)
		return err
	})
}

var noChain = make([]byte, len(domain.Hash{}))

func (c checkpoint) checkSchema() error {
	if c.Schema > schemaVersion {
		return fmt.Errorf("the views have schema %d and this program knows %d: it needs a newer version of this program", c.Schema, schemaVersion)
	}
	return nil
}

// check refuses a log that is not the one the tables were made from.
func (c checkpoint) check(storeID string) error {
	if c.StoreID != storeID {
		return &eventstore.Damage{Position: 1, What: fmt.Sprintf("the views were made from the log %q, and this is the log %q", c.StoreID, storeID)}
	}
	return c.checkSchema()
}

// within runs do in one transaction of the writer.
func (v *Views) within(ctx context.Context, do func(*sqlx.Tx) error) error {
	tx, err := v.write.BeginTxx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // after Commit it does nothing
	if err := do(tx); err != nil {
		return err
	}
	return tx.Commit()
}
