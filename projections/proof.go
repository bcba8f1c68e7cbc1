package projections

import (
	"context"
	"errors"
	"fmt"
	"io"

	"golang.org/x/mod/sumdb/tlog"

	"jeton/domain"
	"jeton/eventstore"
)

// HeadRow is the tree of an organization as an epoch has signed it.
type HeadRow struct {
	Epoch int64
	eventstore.SignedHead
	root domain.Hash
	path []byte
}

func (r *HeadRow) fields() []any {
	return []any{&r.Epoch, &r.Note, &r.Size, &r.Turn, hash{&r.root}, &r.Rank, &r.path}
}

func (r HeadRow) read() HeadRow {
	r.Root, r.Path = tlog.Hash(r.root), pathOf(r.path)
	return r
}

const (
	selectHeads = `
SELECT h.epoch, e.note, h.size, h.turn, h.root, h.rank, h.path
FROM heads h
JOIN epochs e ON e.number = h.epoch
`
	headsBefore = selectHeads + `
WHERE h.organization = ? AND h.epoch < ?
ORDER BY h.epoch DESC
LIMIT ?`
	headsBetween = selectHeads + `
WHERE h.organization = ? AND h.epoch > ? AND h.epoch <= ? AND h.size >= ?
ORDER BY h.epoch
LIMIT ?`
)

// Heads are the epochs before a number (0: all) in which the tree of an organization
// has changed, the youngest first.
func (v *Views) Heads(ctx context.Context, org domain.OrganizationID, before int64, limit int) ([]HeadRow, error) {
	if before <= 0 {
		before = int64(place(forever))
	}
	return v.heads(ctx, headsBefore, treeOf(org), before, atMost(limit))
}

func (v *Views) heads(ctx context.Context, query string, args ...any) ([]HeadRow, error) {
	found, err := list[HeadRow](ctx, v, query, args...)
	for i := range found {
		found[i] = found[i].read()
	}
	return found, err
}

// errMoved: an epoch was sealed while another one was looked at.
var errMoved = errors.New("an epoch was sealed meanwhile")

// NewestHead is the tree of an organization in the newest epoch, whether it has changed
// in it or not. It looks at all trees.
func (v *Views) NewestHead(ctx context.Context, org domain.OrganizationID) (row HeadRow, err error) {
	for range 5 {
		if row, err = v.newestHead(ctx, org); !errors.Is(err, errMoved) {
			return row, err
		}
	}
	return row, unavailable(err)
}

func (v *Views) newestHead(ctx context.Context, org domain.OrganizationID) (HeadRow, error) {
	newest, err := v.NewestEpoch(ctx)
	if err != nil {
		return HeadRow{}, err
	}
	c, err := readCrown(ctx, v.read)
	if err != nil {
		return HeadRow{}, unavailable(err)
	}
	last, err := v.Heads(ctx, org, newest.Number+1, 1)
	if err != nil {
		return HeadRow{}, err
	}
	if len(last) == 0 {
		return HeadRow{}, domain.Refuse(domain.ErrState, "nothing of it is signed yet", "ask again in a minute")
	}
	s, err := eventstore.ParseNote(newest.Note)
	if err != nil {
		return HeadRow{}, unavailable(err)
	}
	if c.tree.Root() != s.Root {
		return HeadRow{}, errMoved
	}
	row := last[0]
	row.Epoch, row.Note, row.Path = newest.Number, newest.Note, c.tree.Path(int(row.Rank))
	return row, nil
}

// ProofOf says what is to be proved.
type ProofOf struct {
	Organization domain.OrganizationID
	Position     domain.Position // of a commit; 0: of none
	Epoch        int64           // that has signed the tree; 0: the newest
	From         int64           // an older epoch, whose tree this one extends; 0: none
}

// Prove makes a proof, but for what it says of the log and its keys. What is not
// signed yet is ErrState.
func (v *Views) Prove(ctx context.Context, of ProofOf) (p eventstore.Proof, err error) {
	now, err := v.head(ctx, of.Organization, of.Epoch)
	if err != nil {
		return p, err
	}
	p = eventstore.Proof{Format: eventstore.ProofFormat, Organization: of.Organization, Epoch: now.SignedHead}
	nodes := hashesOf(ctx, v.read, treeOf(of.Organization))
	if of.Position > 0 {
		if err := v.include(ctx, of, &p, nodes); err != nil {
			return p, err
		}
	}
	if of.From > 0 {
		err = v.extend(ctx, of, &p, nodes)
	}
	return p, err
}

// head is the tree in an epoch, or in the one before it in which it has changed.
func (v *Views) head(ctx context.Context, org domain.OrganizationID, epoch int64) (HeadRow, error) {
	if epoch <= 0 {
		return v.NewestHead(ctx, org)
	}
	rows, err := v.Heads(ctx, org, epoch+1, 1)
	if err != nil {
		return HeadRow{}, err
	}
	if len(rows) == 0 {
		return HeadRow{}, domain.Refuse(domain.ErrNotFound, "there is no such epoch that has anything of this organization", "look at the list of heads")
	}
	return rows[0], nil
}

func (v *Views) include(ctx context.Context, of ProofOf, p *eventstore.Proof, nodes tlog.HashReader) error {
	found, err := v.bundleCommits(ctx, of.Organization, of.Position-1, of.Position, 1)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return domain.Refuse(domain.ErrNotFound, "there is no commit of this organization at that position", "look at its log")
	}
	if found[0].Size > p.Epoch.Size {
		return domain.Refuse(domain.ErrState, "the commit at that position is not in this epoch", "ask again in a minute, or for a newer epoch")
	}
	p.Commit = &found[0]
	p.Inclusion, err = tlog.ProveRecord(p.Epoch.Size, found[0].Size-1, nodes)
	return unavailable(err)
}

func (v *Views) extend(ctx context.Context, of ProofOf, p *eventstore.Proof, nodes tlog.HashReader) error {
	then, err := v.head(ctx, of.Organization, of.From)
	if err != nil {
		return err
	}
	if then.Size > p.Epoch.Size {
		return domain.Invalid("from", "is newer than the epoch", "name an older epoch")
	}
	p.From = &then.SignedHead
	p.Consistency, err = tlog.ProveTree(p.Epoch.Size, then.Size, nodes)
	return unavailable(err)
}

// bundleCommit is a row of the second copy with its place in the tree.
type bundleCommit struct{ eventstore.BundleCommit }

func (r *bundleCommit) fields() []any { return []any{&r.Position, &r.Size, &r.Boundary, &r.Data} }

const treeBetween = `
SELECT c.position, l.size, c.boundary, c.data
FROM commits c
JOIN leaves l ON l.organization = ? AND l.position = c.position
WHERE c.organization = ? AND c.position > ? AND c.position <= ?
ORDER BY c.position
LIMIT ?`

func (v *Views) bundleCommits(ctx context.Context, org domain.OrganizationID, after, to domain.Position, limit int) ([]eventstore.BundleCommit, error) {
	found, err := list[bundleCommit](ctx, v, treeBetween, treeOf(org), treeOf(org), after, to, limit)
	commits := make([]eventstore.BundleCommit, len(found))
	for i, r := range found {
		commits[i] = r.BundleCommit
	}
	return commits, err
}

// Bundle is an export that is about to be written.
type Bundle struct {
	views  *Views
	header eventstore.BundleHeader
	org    domain.OrganizationID
	after  domain.Position
	to     domain.Position
	newest HeadRow // none: the zero row
}

// bundlePage is how many rows are read at once.
const bundlePage = 500

// Bundle prepares the history of an organization from a position on (0: all of it),
// as far as the views are. The header says what log and keys it is.
func (v *Views) Bundle(ctx context.Context, header eventstore.BundleHeader, from domain.Position) (*Bundle, error) {
	b := &Bundle{views: v, header: header, org: header.Organization, after: max(from, 1) - 1}
	var err error
	if b.newest, err = v.NewestHead(ctx, b.org); err != nil && !errors.Is(err, domain.ErrState) {
		return nil, err
	}
	if b.to, err = v.Position(); err != nil {
		return nil, err
	}
	before, err := frontier(ctx, v.read, treeOf(b.org), b.after)
	if err != nil {
		return nil, unavailable(err)
	}
	if b.newest.Epoch > 0 && before.Size > b.newest.Size {
		return nil, domain.Invalid("from", "is behind what is signed", "begin earlier")
	}
	b.header.Before = *before
	if before.Size == 0 {
		err = b.name(ctx)
	}
	return b, err
}

// name says in the header what the first commit says.
func (b *Bundle) name(ctx context.Context) error {
	first, err := b.views.bundleCommits(ctx, b.org, b.after, b.to, 1)
	if err != nil || len(first) == 0 {
		return err
	}
	commit, err := b.views.Commit(ctx, b.org, first[0].Position)
	if err != nil {
		return err
	}
	for _, e := range commit.Events {
		if e, is := e.(domain.OrganizationCreated); is && e.Organization == b.org {
			b.header.Number, b.header.Alias = commit.Position, e.Alias
		}
	}
	return nil
}

// Write writes the bundle as a stream.
func (b *Bundle) Write(ctx context.Context, to io.Writer) error {
	w, err := eventstore.NewBundleWriter(to, b.header)
	if err != nil {
		return err
	}
	if err := b.history(ctx, w); err != nil {
		return err
	}
	if err := b.body(ctx, w); err != nil {
		return err
	}
	return w.End()
}

// history writes the epochs before the newest.
func (b *Bundle) history(ctx context.Context, w *eventstore.BundleWriter) error {
	const page = 1000 // a line
	for first := int64(1); first < b.newest.Epoch; first += page {
		leaves, err := readHashes(ctx, b.views.read, b.views.read.Rebind(leavesBetween), epochTree, first, min(first+page, b.newest.Epoch)-1)
		if err != nil {
			return unavailable(err)
		}
		if err := w.Epochs(leaves); err != nil {
			return err
		}
	}
	return nil
}

// body writes commits, and epochs behind their last commit.
func (b *Bundle) body(ctx context.Context, w *eventstore.BundleWriter) error {
	heads := &coming{Bundle: b, least: b.header.Before.Size + 1}
	size := b.header.Before.Size
	for after := b.after; ; {
		commits, err := b.views.bundleCommits(ctx, b.org, after, b.to, bundlePage)
		if err != nil {
			return err
		}
		for _, c := range commits {
			if err := heads.write(ctx, w, size); err != nil {
				return err
			}
			if c.Size != size+1 {
				return fmt.Errorf("the commit at position %d has number %d in its tree, and %d belongs there", c.Position, c.Size, size+1)
			}
			if err := w.Commit(c); err != nil {
				return err
			}
			after, size = c.Position, c.Size
		}
		if len(commits) < bundlePage {
			return heads.write(ctx, w, size)
		}
	}
}

// coming is the epochs that are still to be written.
type coming struct {
	*Bundle
	rows  []HeadRow
	after int64 // the epoch read last
	least int64 // the smallest tree of interest
	whole bool  // all are read
}

// write writes those whose tree has so many commits.
func (c *coming) write(ctx context.Context, w *eventstore.BundleWriter, size int64) error {
	for {
		if len(c.rows) == 0 && !c.whole {
			if err := c.read(ctx); err != nil {
				return err
			}
		}
		if len(c.rows) == 0 || c.rows[0].Size > size {
			return nil
		}
		if err := w.Epoch(c.rows[0].SignedHead); err != nil {
			return err
		}
		c.rows = c.rows[1:]
	}
}

// read reads the next of those in which the tree has changed, and at last the newest.
func (c *coming) read(ctx context.Context) (err error) {
	c.rows, err = c.views.heads(ctx, headsBetween, treeOf(c.org), c.after, c.newest.Epoch, c.least, bundlePage)
	if err != nil {
		return err
	}
	if n := len(c.rows); n > 0 {
		c.after = c.rows[n-1].Epoch
	}
	if c.whole = len(c.rows) < bundlePage; c.whole && c.after < c.newest.Epoch {
		c.rows = append(c.rows, c.newest)
	}
	return nil
}
