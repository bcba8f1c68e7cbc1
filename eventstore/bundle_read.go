package eventstore

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"math/bits"
	"slices"

	"golang.org/x/mod/sumdb/tlog"

	"jeton/domain"
)

// Trust is what a verifier knows by itself.
type Trust struct {
	// Keys are the public keys that are believed. Nil: the first key of what is
	// verified, so that it is shown to be of one piece, and not by whom it is.
	Keys []string
	// Anchor is the notes of epochs that were kept elsewhere.
	Anchor []string
}

// Shown is what a bundle shows.
type Shown struct {
	Log          string                `json:"log"`
	Organization domain.OrganizationID `json:"organization"`
	Alias        string                `json:"alias,omitempty"`
	Commits      int64                 `json:"commits"`
	First        domain.Position       `json:"first"`
	Last         domain.Position       `json:"last"`
	Size         int64                 `json:"size"`              // of the tree
	Epochs       int64                 `json:"epochs"`            // in the bundle
	Epoch        *ShownEpoch           `json:"epoch,omitempty"`   // the last
	Unsigned     int64                 `json:"unsigned"`          // commits behind it
	Anchored     int                   `json:"anchored"`          // epochs of the anchor that are the bundle's
	Trusted      bool                  `json:"trusted"`           // the verifier named the keys
	Key          string                `json:"key"`               // that has signed last
	Older        *ShownEpoch           `json:"extends,omitempty"` // of a proof: the epoch that this one extends
}

// ShownEpoch is an epoch that was verified.
type ShownEpoch struct {
	Number   int64           `json:"number"`
	Position domain.Position `json:"position"`
	Time     domain.Instant  `json:"time"`
	Size     int64           `json:"size"`
}

// Verifying takes no more memory than these say, whatever it is given.
const (
	maxLine   = 64 << 20 // bytes
	maxEpochs = 16 << 20 // a minute each: thirty years
)

// VerifyBundle checks all of a bundle. What is wrong is a *Break.
func VerifyBundle(from io.Reader, trust Trust) (Shown, error) {
	v := verifier{from: bufio.NewReaderSize(from, 64<<10), trust: trust, digest: sha256.New(), sums: map[domain.Boundary]link{}}
	err := v.run()
	var at *Break
	if err != nil && !errors.As(err, &at) {
		err = &Break{Line: v.lineNumber, What: err.Error()}
	}
	return v.shown, err
}

// verifier is one reading of a bundle.
type verifier struct {
	from       *bufio.Reader
	trust      Trust
	digest     hash.Hash
	lineNumber int

	header  BundleHeader
	ring    *keyring
	history []tlog.Hash // the leaves of epochs
	past    Frontier    // over those of them that were looked at
	tree    Frontier
	sums    map[domain.Boundary]link
	since   domain.Position // the first commit behind the last epoch
	epoch   Statement       // the last
	head    SignedHead      // in the last epoch
	shown   Shown
}

// link is a commit that the next one of its boundary names.
type link struct {
	at  domain.Position
	sum domain.Hash
}

func (v *verifier) breaks(at domain.Position, epoch int64, what string, args ...any) error {
	return &Break{v.lineNumber, at, epoch, fmt.Sprintf(what, args...)}
}

func (v *verifier) run() error {
	first, _, err := v.next()
	if err != nil {
		return err
	}
	if first.Header == nil {
		return v.breaks(0, 0, "a bundle begins with a header")
	}
	if err := v.begin(*first.Header); err != nil {
		return err
	}
	for {
		before := v.digest.Sum(nil)
		line, begun, err := v.next()
		if err != nil {
			return err
		}
		switch {
		case line.Epochs != nil && !begun:
			err = v.epochs(line.Epochs)
		case line.Commit != nil:
			err = v.commit(*line.Commit)
		case line.Epoch != nil:
			err = v.sealed(*line.Epoch)
		case line.End != nil:
			return v.end(*line.End, domain.Hash(before))
		default:
			err = v.breaks(0, 0, "the line does not belong here")
		}
		if err != nil {
			return err
		}
	}
}

// next reads a line. begun: commits or epochs were read before.
func (v *verifier) next() (l bundleLine, begun bool, err error) {
	v.lineNumber++
	text, err := readLine(v.from)
	switch {
	case errors.Is(err, io.EOF):
		return l, false, v.breaks(0, 0, "the bundle is cut off here: it has no end%s", v.behind())
	case err != nil:
		return l, false, err
	}
	if err := decodeLine(text, &l); err != nil {
		return l, false, v.breaks(0, 0, "%v%s", err, v.behind())
	}
	v.digest.Write(text)
	return l, v.shown.Commits+v.shown.Epochs > 0, nil
}

// behind says where a line stands that can't be read.
func (v *verifier) behind() string {
	if v.shown.Last == 0 {
		return ""
	}
	return fmt.Sprintf(" (behind the commit at position %d)", v.shown.Last)
}

func readLine(from *bufio.Reader) (line []byte, err error) {
	for {
		part, err := from.ReadSlice('\n')
		if len(line)+len(part) > maxLine {
			return nil, fmt.Errorf("the line has more than %d bytes", maxLine)
		}
		line = append(line, part...)
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF):
			return nil, io.EOF // also in the middle of a line
		}
		return line, err
	}
}

func decodeLine(text []byte, l *bundleLine) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(l); err != nil {
		return errNotCanonical
	}
	again, err := l.encode()
	if err != nil || !bytes.Equal(again, text) {
		return errNotCanonical
	}
	if l.kinds() != 1 {
		return errNotCanonical
	}
	return nil
}

func (l bundleLine) kinds() (n int) {
	for _, is := range []bool{l.Header != nil, l.Epochs != nil, l.Commit != nil, l.Epoch != nil, l.End != nil} {
		if is {
			n++
		}
	}
	return n
}

func (v *verifier) begin(h BundleHeader) (err error) {
	if h.Format != bundleFormat {
		return v.breaks(0, 0, "the format is %.40q, and this program knows %q", h.Format, bundleFormat)
	}
	if h.Before.Size < 0 || h.Before.Size > maxTree || bits.OnesCount64(uint64(h.Before.Size)) != len(h.Before.Hashes) {
		return v.breaks(0, 0, "the tree before the bundle is not one")
	}
	if v.ring, err = newKeyring(h.Keys, v.trust.Keys); err != nil {
		return v.breaks(0, 0, "%v", err)
	}
	if !slices.Contains(v.ring.believed, true) && len(h.Keys) > 0 {
		return v.breaks(0, 0, "it has none of the keys that are trusted: it is of another platform, or of somebody else")
	}
	v.header, v.tree = h, h.Before
	v.shown = Shown{Log: h.Log, Organization: h.Organization, Alias: h.Alias, Size: h.Before.Size, Trusted: v.trust.Keys != nil}
	return nil
}

func (v *verifier) epochs(leaves []tlog.Hash) error {
	if len(v.history)+len(leaves) > maxEpochs {
		return v.breaks(0, 0, "there are more than %d epochs", maxEpochs)
	}
	if len(leaves) > epochsInLine || len(v.history)%epochsInLine != 0 {
		return v.breaks(0, 0, "%v", errNotCanonical)
	}
	v.history = append(v.history, leaves...)
	return nil
}

func (v *verifier) commit(c BundleCommit) error {
	switch {
	case c.Position <= v.shown.Last:
		return v.breaks(c.Position, 0, "the commit stands behind that of position %d: order was changed, or it is there twice", v.shown.Last)
	case c.Size != v.tree.Size+1:
		return v.breaks(c.Position, 0, "the commit is number %d where number %d belongs: commits are missing or in another order", c.Size, v.tree.Size+1)
	case c.Position <= v.epoch.Position:
		return v.breaks(c.Position, v.epoch.Number, "the commit stands behind an epoch that covers its position and does not have it")
	}
	decoded, err := c.decode(v.header.Organization)
	if err != nil {
		return v.breaks(c.Position, 0, "%v", err)
	}
	if err := v.chained(c, decoded); err != nil {
		return err
	}
	if err := v.named(c, decoded); err != nil {
		return err
	}
	v.tree.Add(Leaf(c.Position, c.Boundary, []byte(c.Data)), nil)
	if v.since == 0 {
		v.since = c.Position
	}
	v.shown.Commits++
	v.shown.Unsigned++
	v.shown.Size, v.shown.Last = c.Size, c.Position
	if v.shown.First == 0 {
		v.shown.First = c.Position
	}
	return nil
}

// decode reads the bytes of a commit about an organization.
func (c BundleCommit) decode(org domain.OrganizationID) (domain.Commit, error) {
	var named struct {
		ID domain.CommandID `json:"id"`
	}
	if err := json.Unmarshal([]byte(c.Data), &named); err != nil {
		return domain.Commit{}, errors.New("its bytes are no commit")
	}
	commit, err := Decode(Record{Entry: Entry{ID: named.ID, Boundary: c.Boundary, Data: []byte(c.Data)}, Position: c.Position})
	if err != nil {
		return commit, fmt.Errorf("its bytes can't be read: %w", err)
	}
	if commit.Organization != org || c.Boundary != domain.DirectoryBoundary && (org.IsZero() || c.Boundary != org.Boundary()) {
		return commit, errors.New("it is the commit of another organization")
	}
	return commit, nil
}

// chained holds the hash that a commit names against the commit before it. Of the
// directory's commits some may be missing here: they are about other organizations.
func (v *verifier) chained(c BundleCommit, decoded domain.Commit) error {
	before, known := v.sums[c.Boundary]
	v.sums[c.Boundary] = link{c.Position, sha256.Sum256([]byte(c.Data))}
	switch {
	case c.Boundary == domain.DirectoryBoundary || decoded.Before == before.sum:
		return nil
	case known:
		return v.breaks(before.at, 0, "the commit at position %d is not the one that position %d names as its predecessor", before.at, c.Position)
	case v.header.Before.Size == 0:
		return v.breaks(c.Position, 0, "the commit names a predecessor that is missing")
	}
	return nil
}

// named holds what the header says of an organization against its first commit.
func (v *verifier) named(c BundleCommit, decoded domain.Commit) error {
	if c.Size > 1 && v.shown.Commits > 0 {
		return nil
	}
	var number domain.Position
	var alias string
	for _, e := range decoded.Events {
		if e, is := e.(domain.OrganizationCreated); is && c.Size == 1 && e.Organization == v.header.Organization {
			number, alias = c.Position, e.Alias
		}
	}
	if number != v.header.Number || alias != v.header.Alias {
		return v.breaks(c.Position, 0, "the header has another number or alias than the commit that made the organization")
	}
	return nil
}

func (v *verifier) sealed(h SignedHead) error {
	s, err := h.check(v.ring, v.header.Log, v.header.Organization)
	if err != nil {
		return v.breaks(0, s.Number, "%v", err)
	}
	switch {
	case s.Number <= v.epoch.Number || s.Position <= v.epoch.Position || s.Time < v.epoch.Time:
		return v.breaks(0, s.Number, "it stands behind epoch %d: number, position and time have to rise", v.epoch.Number)
	case v.shown.Last > s.Position:
		return v.breaks(v.shown.Last, s.Number, "it stands behind a commit that it does not cover")
	case h.Size != v.tree.Size:
		return v.breaks(v.shown.Last, s.Number, "it covers %d commits, and %d are here: commits are missing, or were added", h.Size, v.tree.Size)
	case h.Turn != v.turn(h):
		return v.breaks(v.shown.Last, s.Number, "it is turn %d of the tree where turn %d belongs: an epoch before it is missing", h.Turn, v.turn(h))
	case h.Root != v.tree.Root():
		return v.breaks(v.since, s.Number, "the commits at positions %d to %d are not those that were signed", v.since, v.shown.Last)
	}
	if err := v.remembers(s); err != nil {
		return err
	}
	v.epoch, v.head, v.since = s, h, 0
	v.shown.Epochs++
	v.shown.Unsigned = 0
	v.shown.Epoch = &ShownEpoch{s.Number, s.Position, s.Time, h.Size}
	v.shown.Key = v.header.Keys[s.Keys[len(s.Keys)-1]-1].Verifier
	return nil
}

// turn is the turn of the next epoch. A part may begin with any.
func (v *verifier) turn(h SignedHead) int64 {
	switch {
	case v.shown.Epochs == 0 && v.header.Before.Size > 0:
		return h.Turn
	case h.Size == v.head.Size:
		return v.head.Turn
	}
	return v.head.Turn + 1
}

// remembers holds what an epoch says of those before it against what is here of them.
func (v *verifier) remembers(s Statement) error {
	if s.Number-1 > int64(len(v.history)) {
		return v.breaks(0, s.Number, "the bundle has %d epochs before it, and %d belong there", len(v.history), s.Number-1)
	}
	for v.past.Size < s.Number-1 {
		v.past.Add(v.history[v.past.Size], nil)
	}
	if v.past.Root() != s.History {
		return v.breaks(0, s.Number, "the epochs before it are not those that it names: it belongs to another history")
	}
	if s.Number <= int64(len(v.history)) && v.history[s.Number-1] != s.Leaf() {
		return v.breaks(0, s.Number, "it is not the epoch that later ones name: it belongs to another history")
	}
	return nil
}

func (v *verifier) end(e bundleEnd, digest domain.Hash) error {
	if _, err := v.from.ReadByte(); !errors.Is(err, io.EOF) {
		v.lineNumber++
		return v.breaks(0, 0, "something stands behind the end")
	}
	switch {
	case e.Commits != v.shown.Commits || e.Epochs != v.shown.Epochs || e.Last != v.shown.Last:
		return v.breaks(v.shown.Last, 0, "the bundle has %d commits and %d epochs, and its end counts %d and %d: something is missing or was added", v.shown.Commits, v.shown.Epochs, e.Commits, e.Epochs)
	case e.Digest != digest:
		return v.breaks(v.shown.Last, 0, "the digest is not that of what stands before: something was changed that is not signed%s", v.unsigned())
	case int64(len(v.history)) != max(v.epoch.Number-1, 0):
		return v.breaks(0, v.epoch.Number, "the bundle lists %d epochs before its last one: epochs were cut off", len(v.history))
	}
	return v.anchored()
}

// unsigned says where that can be.
func (v *verifier) unsigned() string {
	if v.since == 0 {
		return ""
	}
	return fmt.Sprintf(", perhaps a commit at positions %d to %d", v.since, v.shown.Last)
}

// anchored holds epochs that were kept elsewhere against those of the bundle.
func (v *verifier) anchored() error {
	if len(v.trust.Anchor) == 0 {
		return nil
	}
	v.lineNumber = 0
	for _, text := range v.trust.Anchor {
		s, err := v.ring.open(text)
		switch {
		case err != nil:
			return v.breaks(0, s.Number, "in the anchor: %v", err)
		case s.Log != v.header.Log:
			return v.breaks(0, s.Number, "in the anchor: it is an epoch of another log, %q", s.Log)
		case s.Number > v.epoch.Number:
			return v.breaks(v.shown.Last, s.Number, "the anchor has this epoch, up to position %d at %s, and the bundle ends with epoch %d: it was cut off, or is older", s.Position, s.Time, v.epoch.Number)
		case s.Leaf() != v.leafOf(s.Number):
			return v.breaks(0, s.Number, "the anchor has another epoch of this number: the bundle tells a second history from there on, or from before")
		}
		v.shown.Anchored++
	}
	return nil
}

func (v *verifier) leafOf(epoch int64) tlog.Hash {
	if epoch == v.epoch.Number {
		return v.epoch.Leaf()
	}
	return v.history[epoch-1]
}
