package projections

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/jmoiron/sqlx"
	"golang.org/x/mod/sumdb/tlog"

	"jeton/domain"
	"jeton/eventstore"
)

// plain is a tree as package tlog describes it: all nodes in a row.
type plain []tlog.Hash

func (p plain) ReadHashes(indexes []int64) (found []tlog.Hash, err error) {
	for _, i := range indexes {
		found = append(found, p[i])
	}
	return found, nil
}

func (p *plain) add(t testing.TB, n int64, leaf tlog.Hash) {
	t.Helper()
	nodes, err := tlog.StoredHashesForRecordHash(n, leaf, p)
	fails(t, "plain tree", err, nil)
	*p = append(*p, nodes...)
}

func (p plain) root(t testing.TB, n int64) tlog.Hash {
	t.Helper()
	root, err := tlog.TreeHash(n, p)
	fails(t, "plain root", err, nil)
	return root
}

// plainTrees are the trees of a log, made in the plain way.
func plainTrees(w *world) map[string][]tlog.Hash {
	w.Helper()
	all, last := map[string][]tlog.Hash{}, w.last()
	err := w.store.Follow(w.Context(), eventstore.Head{}, func(r eventstore.Record) error {
		c, err := eventstore.Decode(r)
		if err != nil {
			return err
		}
		tree := treeOf(c.Organization)
		all[tree] = append(all[tree], r.Leaf())
		if r.Position == last {
			return errBack
		}
		return nil
	})
	fails(w, "log", err, errBack)
	return all
}

// sameTree asks a tree in the tables for roots and proofs, and holds them against the
// plain tree.
func sameTree(t testing.TB, v *Views, tree string, leaves []tlog.Hash) {
	t.Helper()
	var nodes plain
	for i, leaf := range leaves {
		nodes.add(t, int64(i), leaf)
	}
	sizes := []int64{1, int64(len(leaves))}
	for range 10 {
		sizes = append(sizes, 1+rand.Int64N(int64(len(leaves))))
	}
	for _, n := range sizes {
		root, err := tlog.TreeHash(n, hashesOf(t.Context(), v.read, tree))
		fails(t, "root", err, nil)
		if root != nodes.root(t, n) {
			t.Fatalf("tree %q of %d: another root", tree, n)
		}
		end, err := frontierOf(t.Context(), v.read, tree, n)
		fails(t, "frontier", err, nil)
		if end.Root() != root {
			t.Fatalf("tree %q of %d: another frontier", tree, n)
		}
		i, older := rand.Int64N(n), 1+rand.Int64N(n)
		record, err := tlog.ProveRecord(n, i, hashesOf(t.Context(), v.read, tree))
		fails(t, "inclusion", err, nil)
		fails(t, "inclusion", tlog.CheckRecord(record, n, root, i, leaves[i]), nil)
		extended, err := tlog.ProveTree(n, older, hashesOf(t.Context(), v.read, tree))
		fails(t, "consistency", err, nil)
		fails(t, "consistency", tlog.CheckTree(extended, n, root, older, nodes.root(t, older)), nil)
	}
}

// TestTrees: they are those of the log, also when it was read in other batches, and
// again.
func TestTrees(t *testing.T) {
	w := newWorld(t)
	w.create("other", "other@example.org")
	w.grow(800)
	want := plainTrees(w)
	everywhere(t, func(t *testing.T, url string) {
		v := openViews(t, url)
		end := runViews(t, v, w.store)
		caughtUp(&world{TB: t, store: w.store}, v)
		for tree, leaves := range want {
			sameTree(t, v, tree, leaves)
		}
		before := dumpTrees(t, v)
		_ = end()
		fails(t, "rebuild", v.Rebuild(t.Context(), w.store, storeID), nil)
		same(t, "trees after a rebuild", dumpTrees(t, v), before)
	})
	if len(want) != 3 {
		t.Errorf("%d trees, want those of two organizations and the platform", len(want))
	}
}

// dumpTrees is how many leaves and subtrees there are, and their hashes.
func dumpTrees(t testing.TB, v *Views) (all []string) {
	t.Helper()
	for _, query := range []string{
		`SELECT organization, size, position, hash FROM leaves ORDER BY 1, 2`,
		`SELECT organization, level, number, hash FROM subtrees ORDER BY 1, 2, 3`,
	} {
		rows, err := v.read.QueryxContext(t.Context(), query)
		fails(t, "dump", err, nil)
		for rows.Next() {
			columns, err := rows.SliceScan()
			fails(t, "dump", err, nil)
			all = append(all, fmt.Sprintf("%s %v %v %x", columns...))
		}
		fails(t, "dump", rows.Close(), nil)
	}
	return all
}

// TestTreesGrowInOneTransaction with the second copy: there are as many leaves as
// commits, always.
func TestTreesGrowInOneTransaction(t *testing.T) {
	w := newWorld(t)
	everywhere(t, func(t *testing.T, url string) {
		here := &world{TB: t, store: w.store}
		v := viewsOf(here, url)
		for range 5 {
			w.grow(20)
			caughtUp(here, v)
			var leaves, commits int64
			fails(t, "count", v.read.QueryRowxContext(t.Context(), `SELECT (SELECT COUNT(*) FROM leaves), (SELECT COUNT(*) FROM commits)`).Scan(&leaves, &commits), nil)
			if leaves != commits || domain.Position(commits) != w.last() {
				t.Fatalf("%d leaves, %d commits, and the log has %d", leaves, commits, w.last())
			}
		}
	})
}

// TestLargeTree has nodes of the third stratum.
func TestLargeTree(t *testing.T) {
	v := openViews(t, sqliteURL(t))
	var leaves []tlog.Hash
	err := v.within(t.Context(), func(tx *sqlx.Tx) error {
		b, end := batch{t.Context(), tx, map[string]*sqlx.Stmt{}, newTrees()}, new(eventstore.Frontier)
		for len(leaves) < 70_000 {
			var grown growth
			for range 2000 {
				leaf := tlog.RecordHash(fmt.Append(nil, len(leaves)))
				leaves = append(leaves, leaf)
				grown.add("x", end, domain.Position(len(leaves)), leaf)
			}
			if err := b.plant(grown); err != nil {
				return err
			}
		}
		return nil
	})
	fails(t, "plant", err, nil)
	sameTree(t, v, "x", leaves)
}
