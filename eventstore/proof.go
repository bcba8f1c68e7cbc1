package eventstore

import (
	"encoding/json"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"jeton/domain"
)

// ProofFormat is the first version of the format of a proof.
const ProofFormat = "jeton-proof-1"

// Proof shows that a commit is in the tree that an epoch has signed, or that this tree
// extends that of an older epoch, or both. It is one JSON object, however it is
// written.
type Proof struct {
	Format       string                `json:"format" doc:"Always jeton-proof-1."`
	Log          string                `json:"log" doc:"The id of the log."`
	Organization domain.OrganizationID `json:"organization" doc:"The id of the organization, whose tree it is."`
	Keys         []PublicKey           `json:"keys" doc:"The signing keys, the first first."`
	Epoch        SignedHead            `json:"epoch" doc:"The tree, as an epoch has signed it."`
	Commit       *BundleCommit         `json:"commit,omitempty" doc:"The commit that is in the tree."`
	Inclusion    tlog.RecordProof      `json:"inclusion,omitempty" doc:"The path from the commit to the root."`
	From         *SignedHead           `json:"from,omitempty" doc:"The tree at an older epoch."`
	Consistency  tlog.TreeProof        `json:"consistency,omitempty" doc:"Proves that the tree has extended the older one."`
}

// VerifyProof checks a proof. What is wrong is a *Break.
func VerifyProof(text []byte, trust Trust) (shown Shown, err error) {
	var p Proof
	if err := json.Unmarshal(text, &p); err != nil || p.Format != ProofFormat {
		return shown, &Break{What: "it is neither a bundle nor a proof"}
	}
	ring, err := newKeyring(p.Keys, trust.Keys)
	if err != nil {
		return shown, &Break{What: err.Error()}
	}
	now, err := p.Epoch.check(ring, p.Log, p.Organization)
	if err != nil {
		return shown, &Break{Epoch: now.Number, What: err.Error()}
	}
	shown = Shown{
		Log: p.Log, Organization: p.Organization, Epochs: 1, Size: p.Epoch.Size, Trusted: trust.Keys != nil,
		Epoch: &ShownEpoch{now.Number, now.Position, now.Time, p.Epoch.Size}, Key: p.Keys[now.Keys[len(now.Keys)-1]-1].Verifier,
	}
	if p.From != nil {
		if shown.Older, err = p.extends(ring, now); err != nil {
			return shown, err
		}
	}
	return shown, p.includes(now, &shown)
}

// includes checks that the tree has the commit.
func (p Proof) includes(now Statement, shown *Shown) error {
	if p.Commit == nil {
		return nil
	}
	c := *p.Commit
	if _, err := c.decode(p.Organization); err != nil {
		return &Break{Position: c.Position, What: err.Error()}
	}
	if c.Position > now.Position || tlog.CheckRecord(p.Inclusion, p.Epoch.Size, p.Epoch.Root, c.Size-1, Leaf(c.Position, c.Boundary, []byte(c.Data))) != nil {
		return &Break{Position: c.Position, Epoch: now.Number, What: "the commit is not the one that was signed there"}
	}
	shown.Commits, shown.First, shown.Last = 1, c.Position, c.Position
	return nil
}

// extends checks that the tree is the older one with more behind it.
func (p Proof) extends(ring *keyring, now Statement) (*ShownEpoch, error) {
	then, err := p.From.check(ring, p.Log, p.Organization)
	if err != nil {
		return nil, &Break{Epoch: then.Number, What: err.Error()}
	}
	if then.Number > now.Number || p.From.Size > p.Epoch.Size || p.From.Size < 1 ||
		tlog.CheckTree(p.Consistency, p.Epoch.Size, p.Epoch.Root, p.From.Size, p.From.Root) != nil {
		return nil, &Break{Epoch: now.Number, What: fmt.Sprintf("its tree does not extend that of epoch %d: history was changed", then.Number)}
	}
	return &ShownEpoch{then.Number, then.Position, then.Time, p.From.Size}, nil
}

// SplitNotes takes the notes of epochs apart that stand one behind the other, as an
// anchor keeps them.
func SplitNotes(text string) (notes []string) {
	for part := range strings.SplitSeq("\n"+text, "\n"+statementTitle) {
		if strings.TrimSpace(part) != "" {
			notes = append(notes, statementTitle+strings.TrimSuffix(part, "\n")+"\n")
		}
	}
	return notes
}
