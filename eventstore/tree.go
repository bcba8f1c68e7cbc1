package eventstore

import (
	"crypto/sha256"
	"strconv"

	"golang.org/x/mod/sumdb/tlog"

	"jeton/domain"
)

// Leaf is what stands for a commit in the Merkle tree of its organization: the hash
// that RFC 6962 gives a leaf, SHA-256(0x00 ‖ record), of this record:
//
//	jeton commit\n<position>\n<boundary>\n<the commit's bytes as they are stored>
//
// Position, boundary and bytes are all that the log keeps of a commit, so a tree that
// has the leaf has the commit, where it stood. Which tree it is in is the
// organization inside the commit (domain.Meta): the tree of an organization begins
// with the directory's commit that created it, and commits about none are in the
// platform's, which is that of the zero organization.
func Leaf(at domain.Position, boundary domain.Boundary, data []byte) tlog.Hash {
	record := make([]byte, 0, 64+len(data))
	record = append(record, "jeton commit\n"...)
	record = strconv.AppendUint(record, uint64(at), 10)
	record = append(append(append(record, '\n'), boundary...), '\n')
	return tlog.RecordHash(append(record, data...))
}

// Leaf is that of the record.
func (r Record) Leaf() tlog.Hash { return Leaf(r.Position, r.Boundary, r.Data) }

// HeadLeaf is what stands for the tree of an organization in the tree over all trees:
// the hash of a leaf of the record "<id>\n<size>\n<turn>\n<root>\n", with the root in base
// 64. turn is in how many epochs the tree has changed by then: so none of them can be
// kept back.
func HeadLeaf(org domain.OrganizationID, size, turn int64, root tlog.Hash) tlog.Hash {
	record := append([]byte(org.String()), '\n')
	record = append(strconv.AppendInt(record, size, 10), '\n')
	record = append(strconv.AppendInt(record, turn, 10), '\n')
	return tlog.RecordHash(append(append(record, root.String()...), '\n'))
}

// emptyTree is the hash of a tree without leaves.
var emptyTree = tlog.Hash(sha256.Sum256(nil))

// Frontier is a tree that grows at its end, of which only what that needs is kept:
// the hash of each complete subtree, from the largest to the smallest, one for each
// bit of Size. The zero value is an empty tree.
type Frontier struct {
	Size   int64       `json:"size"`
	Hashes []tlog.Hash `json:"hashes"`
}

// Add adds a leaf. done, if there is one, hears of each subtree that it completes:
// its number among those of 2^level leaves, and its hash.
func (f *Frontier) Add(leaf tlog.Hash, done func(level int, number int64, hash tlog.Hash)) {
	number, level := f.Size, 0
	for ; number&1 == 1; number, level = number>>1, level+1 {
		last := len(f.Hashes) - 1
		leaf = tlog.NodeHash(f.Hashes[last], leaf)
		f.Hashes = f.Hashes[:last]
		if done != nil {
			done(level+1, number>>1, leaf)
		}
	}
	f.Hashes = append(f.Hashes, leaf)
	f.Size++
}

// Root is the hash of the whole tree.
func (f *Frontier) Root() tlog.Hash {
	last := len(f.Hashes) - 1
	if last < 0 {
		return emptyTree
	}
	root := f.Hashes[last]
	for i := last - 1; i >= 0; i-- {
		root = tlog.NodeHash(f.Hashes[i], root)
	}
	return root
}

// Clone is a copy that grows by itself.
func (f Frontier) Clone() Frontier {
	f.Hashes = append([]tlog.Hash(nil), f.Hashes...)
	return f
}

// Crown is the tree over all trees: small enough to be kept whole, and its leaves
// change. Its zero value is empty.
type Crown struct{ levels [][]tlog.Hash }

// Size is how many leaves it has.
func (c *Crown) Size() int {
	if len(c.levels) == 0 {
		return 0
	}
	return len(c.levels[0])
}

// Set changes a leaf, or adds the next. A node without a neighbour stands on the
// next level as it is, which makes the same tree as RFC 6962 describes.
func (c *Crown) Set(i int, leaf tlog.Hash) {
	for level := 0; ; level++ {
		if level == len(c.levels) {
			c.levels = append(c.levels, nil)
		}
		nodes := c.levels[level]
		if i == len(nodes) {
			nodes = append(nodes, leaf)
			c.levels[level] = nodes
		}
		nodes[i] = leaf
		if len(nodes) == 1 {
			return
		}
		if left := i &^ 1; left+1 < len(nodes) {
			leaf = tlog.NodeHash(nodes[left], nodes[left+1])
		}
		i >>= 1
	}
}

// Root is the hash of the whole tree.
func (c *Crown) Root() tlog.Hash {
	if len(c.levels) == 0 {
		return emptyTree
	}
	return c.levels[len(c.levels)-1][0]
}

// Path proves that the tree has a leaf; see tlog.CheckRecord.
func (c *Crown) Path(i int) tlog.RecordProof {
	path := tlog.RecordProof{}
	for _, nodes := range c.levels {
		if neighbour := i ^ 1; neighbour < len(nodes) {
			path = append(path, nodes[neighbour])
		}
		i >>= 1
	}
	return path
}
