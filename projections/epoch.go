package projections

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"jeton/domain"
	"jeton/eventstore"
)

// crown is the tree over all trees, as the last epoch has it.
type crown struct {
	tree  eventstore.Crown
	heads map[string]standing // of each tree
	epoch int64               // the last
	at    domain.Position     // up to where it goes
}

// standing is which of all trees one is, and in how many epochs it has changed.
type standing struct{ rank, turn int64 }

// head is a tree as an epoch has it.
type head struct {
	tree string
	size int64
	turn int64 // in how many epochs it has changed
	root tlog.Hash
	rank int64
}

func (h head) leaf() (tlog.Hash, error) {
	var org domain.OrganizationID
	if h.tree != "" {
		if err := org.UnmarshalText([]byte(h.tree)); err != nil {
			return tlog.Hash{}, err
		}
	}
	return eventstore.HeadLeaf(org, h.size, h.turn, h.root), nil
}

const (
	lastEpoch = `
SELECT number, position FROM epochs
ORDER BY number DESC
LIMIT 1`
	selectCrown = `
SELECT organization, rank, size, turn, root FROM crown
ORDER BY rank`
)

// readCrown is the tree over all trees as it is in the tables.
func readCrown(ctx context.Context, db querier) (*crown, error) {
	c := &crown{heads: map[string]standing{}}
	err := db.QueryRowxContext(ctx, lastEpoch).Scan(&c.epoch, &c.at)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, err
	}
	rows, err := db.QueryxContext(ctx, selectCrown)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var h head
		var root domain.Hash
		if err := rows.Scan(&h.tree, &h.rank, &h.size, &h.turn, hash{&root}); err != nil {
			return nil, err
		}
		h.root = tlog.Hash(root)
		if err := c.set(h); err != nil {
			return nil, err
		}
	}
	return c, rows.Err()
}

func (c *crown) set(h head) error {
	if h.rank > int64(c.tree.Size()) {
		return fmt.Errorf("tree %q has the rank %d, and there are %d", h.tree, h.rank, c.tree.Size())
	}
	leaf, err := h.leaf()
	if err != nil {
		return err
	}
	c.heads[h.tree] = standing{h.rank, h.turn}
	c.tree.Set(int(h.rank), leaf)
	return nil
}

// treesBetween are the trees that have grown, in the order in which they began to.
const treesBetween = `
SELECT organization FROM commits
WHERE position > ? AND position <= ?
GROUP BY organization
ORDER BY MIN(position)`

// raise makes the crown that of a position, and answers the heads that have changed.
// frontiers are known ends of trees.
func (c *crown) raise(ctx context.Context, db querier, to domain.Position, frontiers map[string]*eventstore.Frontier) ([]head, error) {
	names, err := grownBetween(ctx, db, c.at, to)
	if err != nil {
		return nil, err
	}
	changed := make([]head, 0, len(names))
	for _, name := range names {
		h := head{tree: name}
		if h.size, err = size(ctx, db, name, to); err != nil {
			return nil, err
		}
		if f := frontiers[name]; f != nil && f.Size == h.size {
			h.root = f.Root()
		} else if h.root, err = tlog.TreeHash(h.size, hashesOf(ctx, db, name)); err != nil {
			return nil, err
		}
		before, known := c.heads[name]
		if h.rank, h.turn = before.rank, before.turn+1; !known {
			h.rank = int64(c.tree.Size())
		}
		if err := c.set(h); err != nil {
			return nil, err
		}
		changed = append(changed, h)
	}
	c.at = to
	return changed, nil
}

func grownBetween(ctx context.Context, db querier, after, to domain.Position) (names []string, err error) {
	rows, err := db.QueryxContext(ctx, db.Rebind(treesBetween), place(after), place(to))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, rows.Err()
}

// epochSealed holds what an epoch says against what the log is, and keeps it. A log in
// which they differ was changed, or is another one.
func (b batch) epochSealed(m domain.Meta, e domain.EpochSealed) error {
	s, err := eventstore.ParseNote(e.Note)
	if err != nil || s.Number != e.Number || s.Position != e.Position || domain.Hash(s.Root) != e.Root || s.Trees != e.Trees {
		return &eventstore.Damage{Position: m.Position, What: fmt.Sprintf("the note of epoch %d says something else than its event", e.Number)}
	}
	if b.trees.crown == nil {
		if b.trees.crown, err = readCrown(b.ctx, b.tx); err != nil {
			return err
		}
	}
	past, err := b.frontier(epochTree)
	if err != nil {
		return err
	}
	c := b.trees.crown
	changed, err := c.raise(b.ctx, b.tx, e.Position, b.trees.frontiers)
	if err != nil {
		return err
	}
	if c.tree.Root() != s.Root || int64(c.tree.Size()) != s.Trees || past.Size != s.Number-1 || past.Root() != s.History {
		return &eventstore.Damage{Position: m.Position, What: fmt.Sprintf("epoch %d has signed another history up to position %d than this log tells", e.Number, e.Position)}
	}
	return b.keepEpoch(m, s, e.Note, changed)
}

const (
	insertEpoch = `
INSERT INTO epochs (number, position, trees, root, note) VALUES (?, ?, ?, ?, ?)`
	insertHead = `
INSERT INTO heads (organization, epoch, size, turn, root, rank, path) VALUES (?, ?, ?, ?, ?, ?, ?)`
	upsertCrown = `
INSERT INTO crown (organization, rank, size, turn, root) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (organization) DO UPDATE SET size = EXCLUDED.size, turn = EXCLUDED.turn, root = EXCLUDED.root`
)

func (b batch) keepEpoch(m domain.Meta, s eventstore.Statement, text string, changed []head) error {
	b.trees.crown.epoch = s.Number
	if err := b.change(insertEpoch, s.Number, s.Position, s.Trees, s.Root[:], text); err != nil {
		return err
	}
	for _, h := range changed {
		path := pathColumn(b.trees.crown.tree.Path(int(h.rank)))
		if err := b.change(insertHead, h.tree, s.Number, h.size, h.turn, h.root[:], h.rank, path); err != nil {
			return err
		}
		if err := b.change(upsertCrown, h.tree, h.rank, h.size, h.turn, h.root[:]); err != nil {
			return err
		}
	}
	var grown growth
	grown.add(epochTree, b.trees.frontiers[epochTree], m.Position, s.Leaf())
	return b.plant(grown)
}

// pathColumn is a path as one column, and pathOf is the way back.
func pathColumn(path tlog.RecordProof) []byte {
	column := make([]byte, 0, len(path)*tlog.HashSize)
	for _, h := range path {
		column = append(column, h[:]...)
	}
	return column
}

func pathOf(column []byte) tlog.RecordProof {
	path := tlog.RecordProof{}
	for ; len(column) >= tlog.HashSize; column = column[tlog.HashSize:] {
		path = append(path, tlog.Hash(column))
	}
	return path
}
