package eventstore

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"jeton/domain"
)

// Statement is what an epoch signs. Its text is the text of a signed note (see
// golang.org/x/mod/sumdb/note), these nine lines:
//
//	jeton epoch
//	log <the log's id>
//	epoch <number, from 1>
//	position <up to where the log is signed>
//	time <RFC 3339>
//	trees <how many trees there are: one for each organization, and the platform's>
//	root <base 64: the root over all trees>
//	history <base 64: the root over all epochs before this one>
//	keys <the numbers of the keys that sign, with blanks between>
//
// The root over all trees is that of the Merkle tree (RFC 6962) whose leaves are
// HeadLeaf of each, in the order in which the trees have begun. The root over all
// epochs is that of the tree whose leaves have the texts of their statements as
// records: so an epoch says of each one before it what it was.
type Statement struct {
	Log      string
	Number   int64
	Position domain.Position
	Time     domain.Instant
	Trees    int64
	Root     tlog.Hash
	History  tlog.Hash
	Keys     []int64
}

const statementTitle = "jeton epoch\n"

// Text is what is signed.
func (s Statement) Text() string {
	return fmt.Sprintf(statementTitle+"log %s\nepoch %d\nposition %d\ntime %s\ntrees %d\nroot %s\nhistory %s\nkeys %s\n",
		s.Log, s.Number, s.Position, s.Time, s.Trees, s.Root, s.History, strings.Trim(fmt.Sprint(s.Keys), "[]"))
}

// Leaf is what stands for the epoch in the tree over all epochs.
func (s Statement) Leaf() tlog.Hash { return tlog.RecordHash([]byte(s.Text())) }

// Sign is the epoch's note.
func (s Statement) Sign(signers ...note.Signer) (string, error) {
	signed, err := note.Sign(&note.Note{Text: s.Text()}, signers...)
	return string(signed), err
}

// maxTree is more leaves than any tree has. With sizes near the end of their type
// package tlog would count for ever.
const maxTree = 1 << 48

var errNoStatement = errors.New("it is not the statement of an epoch")

// ParseNote reads the statement in a note, without asking who has signed it.
func ParseNote(text string) (Statement, error) {
	text, _, found := strings.Cut(text, "\n\n")
	if !found {
		return Statement{}, errNoStatement
	}
	return parseStatement(text + "\n")
}

func parseStatement(text string) (s Statement, err error) {
	lines := strings.Split(text, "\n")
	if len(text) > 100_000 || len(lines) != 10 {
		return s, errNoStatement
	}
	var values [9]string
	for i, name := range []string{"log", "epoch", "position", "time", "trees", "root", "history", "keys"} {
		values[i], _ = strings.CutPrefix(lines[i+1], name+" ")
	}
	s.Log = values[0]
	s.Number, _ = strconv.ParseInt(values[1], 10, 64)
	position, _ := strconv.ParseUint(values[2], 10, 63)
	s.Position = domain.Position(position)
	_ = s.Time.UnmarshalText([]byte(values[3]))
	s.Trees, _ = strconv.ParseInt(values[4], 10, 64)
	s.Root, _ = tlog.ParseHash(values[5])
	s.History, _ = tlog.ParseHash(values[6])
	for _, key := range strings.Fields(values[7]) {
		number, _ := strconv.ParseInt(key, 10, 64)
		s.Keys = append(s.Keys, number)
	}
	// Whatever was not read is not written again as it was.
	if s.Text() != text || s.Number < 1 || s.Trees < 1 || s.Trees > maxTree || s.Position < 1 || len(s.Keys) == 0 || !slices.IsSorted(s.Keys) {
		return s, errNoStatement
	}
	return s, nil
}

// open reads a note whose signatures are those that it says, at least one of them by
// a key that is believed.
func (ring *keyring) open(text string) (s Statement, err error) {
	if s, err = ParseNote(text); err != nil {
		return s, err
	}
	believed := false
	var signers []note.Verifier
	for _, number := range s.Keys {
		if number < 1 || number > int64(len(ring.keys)) {
			return s, fmt.Errorf("it is signed by the key %d, which is not known", number)
		}
		signers = append(signers, ring.keys[number-1])
		believed = believed || ring.believed[number-1]
	}
	n, err := openNote(text, signers...)
	switch {
	case err != nil:
		return s, fmt.Errorf("its signature is not good: %w", err)
	case len(n.Sigs) != len(signers):
		return s, errors.New("not all have signed it who it says have")
	case !believed:
		return s, fmt.Errorf("it is signed by the key %d, which is not trusted", s.Keys[len(s.Keys)-1])
	}
	for i, signer := range signers {
		if n.Sigs[i].Hash != signer.KeyHash() {
			return s, errors.New("its signatures are in another order")
		}
	}
	return s, nil
}

// SignedHead is the tree of an organization as an epoch has signed it.
type SignedHead struct {
	Note string           `json:"note" doc:"The epoch's statement with its signatures."`
	Size int64            `json:"size" doc:"How many commits the tree had."`
	Turn int64            `json:"turn" doc:"In how many epochs it had changed."`
	Root tlog.Hash        `json:"root" doc:"Its root."`
	Rank int64            `json:"rank" doc:"Which of all trees it is, from 0."`
	Path tlog.RecordProof `json:"path" doc:"Proves that the epoch has this root."`
}

// check opens the note, and checks that what it signs has the head of an organization.
func (h SignedHead) check(ring *keyring, log string, org domain.OrganizationID) (Statement, error) {
	s, err := ring.open(h.Note)
	if err != nil {
		return s, err
	}
	if s.Log != log {
		return s, fmt.Errorf("it is an epoch of another log, %q", s.Log)
	}
	if h.Size < 0 || h.Size > maxTree || h.Rank > maxTree || tlog.CheckRecord(h.Path, s.Trees, s.Root, h.Rank, HeadLeaf(org, h.Size, h.Turn, h.Root)) != nil {
		return s, errors.New("it does not have the root of this tree")
	}
	return s, nil
}
