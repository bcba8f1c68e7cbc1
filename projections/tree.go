package projections

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/jmoiron/sqlx"
	"golang.org/x/mod/sumdb/tlog"

	"jeton/domain"
	"jeton/eventstore"
)

// The history of each organization is a Merkle tree (eventstore.Leaf), and so is what
// is about none, and the history of epochs. Every leaf has a row, numbered from 1; of
// the nodes above only every eighth level has rows. So a commit writes one row and,
// every 256th time, one more, and whatever is asked is computed from a few reads of at
// most 256 neighbours.
const createTrees = `
DROP TABLE IF EXISTS leaves;
CREATE TABLE leaves (
	organization TEXT   NOT NULL,
	size         BIGINT NOT NULL,
	position     BIGINT NOT NULL,
	hash         BYTEA  NOT NULL,
	PRIMARY KEY (organization, size)
);
CREATE UNIQUE INDEX leaves_at ON leaves (organization, position);
DROP TABLE IF EXISTS subtrees;
CREATE TABLE subtrees (
	organization TEXT   NOT NULL,
	level        BIGINT NOT NULL,
	number       BIGINT NOT NULL,
	hash         BYTEA  NOT NULL,
	PRIMARY KEY (organization, level, number)
);
DROP TABLE IF EXISTS epochs;
CREATE TABLE epochs (
	number   BIGINT NOT NULL PRIMARY KEY,
	position BIGINT NOT NULL,
	trees    BIGINT NOT NULL,
	root     BYTEA  NOT NULL,
	note     TEXT   NOT NULL
);
DROP TABLE IF EXISTS heads;
CREATE TABLE heads (
	organization TEXT   NOT NULL,
	epoch        BIGINT NOT NULL,
	size         BIGINT NOT NULL,
	turn         BIGINT NOT NULL,
	root         BYTEA  NOT NULL,
	rank         BIGINT NOT NULL,
	path         BYTEA  NOT NULL,
	PRIMARY KEY (organization, epoch)
);
DROP TABLE IF EXISTS crown;
CREATE TABLE crown (
	organization TEXT   NOT NULL PRIMARY KEY,
	rank         BIGINT NOT NULL UNIQUE,
	size         BIGINT NOT NULL,
	turn         BIGINT NOT NULL,
	root         BYTEA  NOT NULL
);
`

// strata is how many levels of a tree lie between those that have rows.
const strata = 8

// epochTree is what the tree over all epochs is called among the trees. No
// organization has an id like it.
const epochTree = "epochs"

// treeOf is what the tree of an organization is called.
func treeOf(org domain.OrganizationID) string {
	if org.IsZero() {
		return ""
	}
	return org.String()
}

// trees are as much of the trees in the tables as makes them grow without reading.
type trees struct {
	frontiers map[string]*eventstore.Frontier
	crown     *crown // nil: not read yet
}

func newTrees() *trees { return &trees{frontiers: map[string]*eventstore.Frontier{}} }

// frontier is the end of a tree, as it is in the tables.
func (b batch) frontier(tree string) (*eventstore.Frontier, error) {
	if f := b.trees.frontiers[tree]; f != nil {
		return f, nil
	}
	f, err := frontier(b.ctx, b.tx, tree, forever)
	if err == nil {
		b.trees.frontiers[tree] = f
	}
	return f, err
}

// grow adds the leaves of commits to the trees.
func (b batch) grow(fresh []pending) error {
	var grown growth
	for _, p := range fresh {
		tree := treeOf(p.commit.Organization)
		f, err := b.frontier(tree)
		if err != nil {
			return err
		}
		grown.add(tree, f, p.Position, p.Leaf())
	}
	return b.plant(grown)
}

// growth is the rows that trees have grown by.
type growth struct{ leaves, subtrees []any }

func (g *growth) add(tree string, f *eventstore.Frontier, at domain.Position, leaf tlog.Hash) {
	f.Add(leaf, func(level int, number int64, hash tlog.Hash) {
		if level%strata == 0 {
			g.subtrees = append(g.subtrees, tree, level, number, hash[:])
		}
	})
	g.leaves = append(g.leaves, tree, f.Size, at, leaf[:])
}

const (
	insertLeaves = `
INSERT INTO leaves (organization, size, position, hash) VALUES `
	insertSubtrees = `
INSERT INTO subtrees (organization, level, number, hash) VALUES `
	growthColumns = 4
)

func (b batch) plant(g growth) error {
	if _, err := b.exec(insertLeaves+rows(len(g.leaves)/growthColumns, growthColumns), g.leaves...); err != nil {
		return err
	}
	if len(g.subtrees) == 0 {
		return nil
	}
	_, err := b.exec(insertSubtrees+rows(len(g.subtrees)/growthColumns, growthColumns), g.subtrees...)
	return err
}

// querier is a database or a transaction.
type querier interface {
	sqlx.QueryerContext
	Rebind(query string) string
}

const sizeAt = `
SELECT size FROM leaves
WHERE organization = ? AND position <= ?
ORDER BY position DESC
LIMIT 1`

// size is how many leaves a tree had at a position.
func size(ctx context.Context, db querier, tree string, at domain.Position) (n int64, err error) {
	err = db.QueryRowxContext(ctx, db.Rebind(sizeAt), tree, place(at)).Scan(&n)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return n, err
}

// frontier is the end of a tree at a position.
func frontier(ctx context.Context, db querier, tree string, at domain.Position) (*eventstore.Frontier, error) {
	n, err := size(ctx, db, tree, at)
	if err != nil {
		return nil, err
	}
	return frontierOf(ctx, db, tree, n)
}

// frontierOf is the end of a tree of n leaves.
func frontierOf(ctx context.Context, db querier, tree string, n int64) (f *eventstore.Frontier, err error) {
	f = &eventstore.Frontier{Size: n}
	var indexes []int64
	for begin, level := int64(0), 62; level >= 0; level-- {
		if n&(1<<level) != 0 {
			indexes = append(indexes, tlog.StoredHashIndex(level, begin>>level))
			begin += 1 << level
		}
	}
	f.Hashes, err = hashesOf(ctx, db, tree).ReadHashes(indexes)
	return f, err
}

// hashes reads the nodes of a tree, for package tlog. Neighbours are read together
// and kept.
type hashes struct {
	ctx   context.Context
	db    querier
	tree  string
	tiles map[tile][]tlog.Hash
}

// tile is 256 neighbours of a level that has rows.
type tile struct {
	level  int
	number int64
}

func hashesOf(ctx context.Context, db querier, tree string) *hashes {
	return &hashes{ctx, db, tree, map[tile][]tlog.Hash{}}
}

// ReadHashes implements tlog.HashReader.
func (h *hashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	found := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		hash, err := h.node(tlog.SplitStoredHashIndex(index))
		if err != nil {
			return nil, err
		}
		found[i] = hash
	}
	return found, nil
}

// node computes a node from those beneath it that have rows.
func (h *hashes) node(level int, number int64) (none tlog.Hash, err error) {
	base := level / strata * strata
	first, count := number<<(level-base), int64(1)<<(level-base)
	nodes, err := h.read(tile{base, first >> strata})
	if err != nil {
		return none, err
	}
	first &= 1<<strata - 1
	if first+count > int64(len(nodes)) {
		return none, fmt.Errorf("the tree %q lacks nodes of level %d", h.tree, base)
	}
	var f eventstore.Frontier
	for _, node := range nodes[first:][:count] {
		f.Add(node, nil)
	}
	return f.Root(), nil
}

const (
	leavesBetween = `
SELECT hash FROM leaves
WHERE organization = ? AND size BETWEEN ? AND ?
ORDER BY size`
	subtreesBetween = `
SELECT hash FROM subtrees
WHERE organization = ? AND level = ? AND number BETWEEN ? AND ?
ORDER BY number`
)

func (h *hashes) read(t tile) (nodes []tlog.Hash, err error) {
	if nodes, known := h.tiles[t]; known {
		return nodes, nil
	}
	first := t.number << strata
	last := first + 1<<strata - 1
	if t.level == 0 {
		nodes, err = readHashes(h.ctx, h.db, leavesBetween, h.tree, first+1, last+1)
	} else {
		nodes, err = readHashes(h.ctx, h.db, subtreesBetween, h.tree, t.level, first, last)
	}
	h.tiles[t] = nodes
	return nodes, err
}

func readHashes(ctx context.Context, db querier, query string, args ...any) (all []tlog.Hash, err error) {
	rows, err := db.QueryxContext(ctx, db.Rebind(query), args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var h domain.Hash
		if err := rows.Scan(hash{&h}); err != nil {
			return nil, err
		}
		all = append(all, tlog.Hash(h))
	}
	return all, rows.Err()
}

const sizesAt = `
SELECT organization, MAX(size) FROM leaves
WHERE position <= ?
GROUP BY organization`

// Roots are the roots of all trees behind a commit, by the ids of their organizations; the
// platform's own is under "platform".
func (v *Views) Roots(ctx context.Context, until eventstore.Head) (map[string]eventstore.Root, error) {
	sizes, err := list[treeSize](ctx, v, sizesAt, until.Position)
	if err != nil {
		return nil, err
	}
	roots := make(map[string]eventstore.Root, len(sizes))
	for _, s := range sizes {
		f, err := frontierOf(ctx, v.read, s.tree, s.n)
		if err != nil {
			return nil, unavailable(err)
		}
		roots[cmp.Or(s.tree, "platform")] = eventstore.Root{Size: uint64(s.n), Root: domain.Hash(f.Root())}
	}
	return roots, nil
}

// treeSize is how many leaves a tree has.
type treeSize struct {
	tree string
	n    int64
}

func (s *treeSize) fields() []any { return []any{&s.tree, &s.n} }
