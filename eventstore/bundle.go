package eventstore

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"unicode/utf8"

	"golang.org/x/mod/sumdb/tlog"

	"jeton/domain"
)

// A bundle is all that somebody needs to check the history of an organization by
// themselves: JSON Lines in UTF-8, each an object of one field that says what it is,
// ended by a line feed. Hashes are in base 64. There is one way to write a bundle: an
// object has its fields in the order below, without blanks, what is marked with ? is
// left out if it is empty, and of strings only what JSON demands is escaped (and
// U+2028 and U+2029), as Go does it. Whoever reads one encodes each line again, and
// the bytes must be the same.
//
//	{"header":{"format":"jeton-bundle-1","log":…,"organization":…,"number"?:…,"alias"?:…,"before":{"size":…,"hashes":[…]},"keys":[…]}}
//	   log: the id of the log. organization: the id of the organization, sixteen
//	   zeros for the platform. number, alias: the position of its first commit and
//	   its alias, as that commit says, where the bundle has it. before: the tree of
//	   what comes before the first commit (Frontier: its size, and the hashes of its
//	   complete subtrees from the largest to the smallest); size 0 for a whole bundle.
//	   keys: PublicKey of all signing keys, the first first.
//	{"epochs":[…]}
//	   The leaves of all epochs of the platform before the last one that stands below, in
//	   their order (Statement.Leaf), at most 1000 a line.
//	{"commit":{"position":…,"size":…,"boundary":…,"data":…}}
//	   A commit: its position in the log, its number in the organization's tree, from
//	   1, its boundary ("directory" or the organization's id) and its bytes as they
//	   are stored; see envelope for what is in them.
//	{"epoch":{"note":…,"size":…,"turn":…,"root":…,"rank":…,"path":[…]}}
//	   SignedHead, behind the commit that is the last in it: every epoch in which the
//	   organization has changed (turn counts them), and the newest.
//	{"end":{"commits":…,"epochs":…,"last":…,"digest":…}}
//	   How many commits and epochs there are, the position of the last commit, and the
//	   SHA-256 of all bytes before this line.
//
// What is to be checked: that the bytes are those that were written (digest, counts,
// canonical lines); that positions rise and sizes count; that each commit of the
// organization's own boundary names the SHA-256 of the one before it (its "before");
// that the tree of the leaves (see Leaf) has the root that each epoch says; that the
// epoch's root over all trees has that root (rank and path: RFC 6962, 2.1.1); that the
// history of each epoch is the root over the epochs before it, and its own leaf one of
// them; that epochs rise in number, position and time, and their turns count (that of an
// epoch in which nothing has changed is that of the one before); that no commit behind an epoch
// stands before its position; that the signatures are good, and each key is endorsed
// by the one before. What stands behind the last epoch is not signed yet. That nothing
// was cut off at an epoch can't be seen in a bundle: an epoch that was kept elsewhere
// shows it.

// bundleFormat is the first version of the format.
const bundleFormat = "jeton-bundle-1"

// BundleHeader is how a bundle begins.
type BundleHeader struct {
	Format       string                `json:"format"`
	Log          string                `json:"log"`
	Organization domain.OrganizationID `json:"organization"`
	Number       domain.Position       `json:"number,omitempty"`
	Alias        string                `json:"alias,omitempty"`
	Before       Frontier              `json:"before"`
	Keys         []PublicKey           `json:"keys"`
}

// BundleCommit is a commit in a bundle or a proof.
type BundleCommit struct {
	Position domain.Position `json:"position" doc:"Where it stands in the log."`
	Size     int64           `json:"size" doc:"Its number in the organization's tree, from 1."`
	Boundary domain.Boundary `json:"boundary" doc:"Whose history it belongs to."`
	Data     string          `json:"data" doc:"Its bytes, as they are stored."`
}

// bundleEnd is how a bundle ends.
type bundleEnd struct {
	Commits int64           `json:"commits"`
	Epochs  int64           `json:"epochs"`
	Last    domain.Position `json:"last"`
	Digest  domain.Hash     `json:"digest"`
}

// bundleLine is a line of a bundle: one of its fields.
type bundleLine struct {
	Header *BundleHeader `json:"header,omitempty"`
	Epochs []tlog.Hash   `json:"epochs,omitempty"`
	Commit *BundleCommit `json:"commit,omitempty"`
	Epoch  *SignedHead   `json:"epoch,omitempty"`
	End    *bundleEnd    `json:"end,omitempty"`
}

// encode is the one way to write a line.
func (l bundleLine) encode() ([]byte, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(l)
	return text.Bytes(), err
}

// epochsInLine is how many epochs a line has.
const epochsInLine = 1000

// BundleWriter writes a bundle as a stream: Header, Epochs, then Commit and Epoch,
// then End. What is written is not checked.
type BundleWriter struct {
	to     io.Writer
	digest hash.Hash
	end    bundleEnd
}

// NewBundleWriter begins a bundle.
func NewBundleWriter(to io.Writer, h BundleHeader) (*BundleWriter, error) {
	digest := sha256.New()
	w := &BundleWriter{to: io.MultiWriter(to, digest), digest: digest}
	h.Format = bundleFormat
	if h.Before.Hashes == nil {
		h.Before.Hashes = []tlog.Hash{}
	}
	return w, w.line(bundleLine{Header: &h})
}

func (w *BundleWriter) line(l bundleLine) error {
	text, err := l.encode()
	if err != nil {
		return err
	}
	_, err = w.to.Write(text)
	return err
}

// Epochs writes the leaves of the next epochs.
func (w *BundleWriter) Epochs(leaves []tlog.Hash) error {
	for len(leaves) > 0 {
		n := min(len(leaves), epochsInLine)
		if err := w.line(bundleLine{Epochs: leaves[:n]}); err != nil {
			return err
		}
		leaves = leaves[n:]
	}
	return nil
}

// Commit writes the next commit.
func (w *BundleWriter) Commit(c BundleCommit) error {
	if !utf8.ValidString(c.Data) {
		return fmt.Errorf("the commit at position %d is not UTF-8", c.Position)
	}
	w.end.Commits++
	w.end.Last = c.Position
	return w.line(bundleLine{Commit: &c})
}

// Epoch writes the next epoch.
func (w *BundleWriter) Epoch(h SignedHead) error {
	w.end.Epochs++
	return w.line(bundleLine{Epoch: &h})
}

// End makes the bundle whole.
func (w *BundleWriter) End() error {
	w.digest.Sum(w.end.Digest[:0])
	return w.line(bundleLine{End: &w.end})
}

// Break says what is wrong with a bundle or a proof, and where.
type Break struct {
	Line     int             // of the bundle, from 1; 0: it is not about one
	Position domain.Position // of the commit; 0: it is not about one
	Epoch    int64           // 0: it is not about one
	What     string
}

func (b *Break) Error() string {
	var where string
	if b.Line > 0 {
		where += fmt.Sprintf("line %d, ", b.Line)
	}
	if b.Position > 0 {
		where += fmt.Sprintf("position %d, ", b.Position)
	}
	if b.Epoch > 0 {
		where += fmt.Sprintf("epoch %d, ", b.Epoch)
	}
	if where != "" {
		where = where[:len(where)-2] + ": "
	}
	return where + b.What
}

var errNotCanonical = errors.New("it is not written as a bundle writes it")
