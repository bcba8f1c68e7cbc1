package eventstore

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"jeton/domain"
)

var update = flag.Bool("update", false, "write the golden bundle anew")

// told is a history that is signed, always the same: what a bundle of it has, line by
// line, but for its end.
type told struct {
	org     domain.OrganizationID
	log     string
	keys    []PublicKey
	signers []note.Signer
	crown   Crown
	tree    Frontier
	epochs  []Statement
	sums    map[domain.Boundary]domain.Hash
	at      domain.Position
	lines   []bundleLine
	known   int // keys that have signed an epoch
}

var bundleNoon = domain.At(time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC))

func newTold(t testing.TB) *told {
	t.Helper()
	h := &told{org: domain.OrganizationID{ID: domain.ID{1, 2, 3}}, log: "log-1", sums: map[domain.Boundary]domain.Hash{}}
	h.rotate(t)
	h.crown.Set(0, HeadLeaf(domain.OrganizationID{ID: domain.ID{9}}, 7, 1, tlog.RecordHash(nil)))
	h.crown.Set(1, tlog.Hash{})
	h.crown.Set(2, HeadLeaf(domain.OrganizationID{}, 3, 1, tlog.RecordHash([]byte("platform"))))
	return h
}

func (h *told) rotate(t testing.TB) {
	t.Helper()
	signer, public, err := NewSigner(Key{byte(len(h.keys) + 1)}, h.log)
	if err != nil {
		t.Fatal(err)
	}
	public.Number = int64(len(h.keys)) + 1
	if len(h.keys) > 0 {
		if public, err = public.Endorse(h.signers[len(h.signers)-1]); err != nil {
			t.Fatal(err)
		}
	}
	h.keys, h.signers = append(h.keys, public), append(h.signers, signer)
}

// commit adds a commit with an event, behind one of somebody else.
func (h *told) commit(t testing.TB, boundary domain.Boundary, event domain.Event) {
	t.Helper()
	h.at += 2
	id := domain.CommandID{byte(h.at), byte(h.at >> 8)}
	e, err := Encode(domain.Commit{
		Meta:     domain.Meta{Command: id, Organization: h.org, Time: bundleNoon + domain.Instant(h.at)*1000, Actor: domain.Actor{Kind: domain.ActorSystem}},
		Boundary: boundary, Before: h.sums[boundary], Events: []domain.Event{event},
	})
	if err != nil {
		t.Fatal(err)
	}
	h.sums[boundary] = e.Sum()
	h.tree.Add(Leaf(h.at, boundary, e.Data), nil)
	h.lines = append(h.lines, bundleLine{Commit: &BundleCommit{h.at, h.tree.Size, boundary, string(e.Data)}})
}

// seal adds an epoch.
func (h *told) seal(t testing.TB) {
	t.Helper()
	h.crown.Set(1, HeadLeaf(h.org, h.tree.Size, int64(len(h.epochs))+1, h.tree.Root()))
	var past Frontier
	for _, s := range h.epochs {
		past.Add(s.Leaf(), nil)
	}
	s := Statement{
		Log: h.log, Number: int64(len(h.epochs)) + 1, Position: h.at + 1, Time: bundleNoon + domain.Instant(h.at)*1000 + 500,
		Trees: int64(h.crown.Size()), Root: h.crown.Root(), History: past.Root(),
	}
	for i := max(min(h.known, len(h.keys))-1, 0); i < len(h.keys); i++ {
		if i == len(h.keys)-1 || h.known < len(h.keys) {
			s.Keys = append(s.Keys, h.keys[i].Number)
		}
	}
	h.known = len(h.keys)
	var signers []note.Signer
	for _, number := range s.Keys {
		signers = append(signers, h.signers[number-1])
	}
	text, err := s.Sign(signers...)
	if err != nil {
		t.Fatal(err)
	}
	h.epochs = append(h.epochs, s)
	h.lines = append(h.lines, bundleLine{Epoch: &SignedHead{text, h.tree.Size, s.Number, h.tree.Root(), 1, h.crown.Path(1)}})
}

// bundle is all lines of a whole bundle, but the end.
func (h *told) bundle() []bundleLine {
	all := []bundleLine{{Header: &BundleHeader{
		Format: bundleFormat, Log: h.log, Organization: h.org, Number: 2, Alias: "acme", Before: Frontier{Hashes: []tlog.Hash{}}, Keys: h.keys,
	}}}
	if n := len(h.epochs); n > 1 {
		var leaves []tlog.Hash
		for _, s := range h.epochs[:n-1] {
			leaves = append(leaves, s.Leaf())
		}
		all = append(all, bundleLine{Epochs: leaves})
	}
	return append(all, h.lines...)
}

// trust is that of somebody who knows the first key.
func (h *told) trust() Trust { return Trust{Keys: []string{h.keys[0].Verifier}} }

func (h *told) notes() (all []string) {
	for _, l := range h.lines {
		if l.Epoch != nil {
			all = append(all, l.Epoch.Note)
		}
	}
	return all
}

// usual is a history with everything in it: 24 commits, 4 epochs, 2 keys.
func usual(t testing.TB) *told {
	t.Helper()
	h := newTold(t)
	h.commit(t, domain.DirectoryBoundary, domain.OrganizationCreated{Organization: h.org, Alias: "acme", Name: "Acme <&> Söhne"})
	for i := range 23 {
		if i == 12 {
			h.rotate(t)
		}
		if i%6 == 5 {
			h.seal(t)
		}
		boundary := h.org.Boundary()
		if i == 9 {
			boundary = domain.DirectoryBoundary
		}
		h.commit(t, boundary, domain.OrganizationRenamed{Name: fmt.Sprintf("name %d \u2028 \"é\"", i)})
	}
	h.seal(t)
	return h
}

// written is a bundle with an end that counts what is there.
func written(t testing.TB, lines []bundleLine) []byte {
	t.Helper()
	var text bytes.Buffer
	end := bundleEnd{}
	for _, l := range lines {
		encoded, err := l.encode()
		if err != nil {
			t.Fatal(err)
		}
		text.Write(encoded)
		if l.Commit != nil {
			end.Commits++
			end.Last = l.Commit.Position
		}
		if l.Epoch != nil {
			end.Epochs++
		}
	}
	end.Digest = sha256.Sum256(text.Bytes())
	encoded, err := bundleLine{End: &end}.encode()
	if err != nil {
		t.Fatal(err)
	}
	return append(text.Bytes(), encoded...)
}

func TestGoldenBundle(t *testing.T) {
	h := usual(t)
	got := written(t, h.bundle())
	golden := filepath.Join("testdata", "acme.bundle")
	if *update {
		if err := errors.Join(os.MkdirAll("testdata", 0o755), os.WriteFile(golden, got, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("the bundle is not that of %s; -update writes it anew", golden)
	}
	var streamed bytes.Buffer
	lines := h.bundle()
	w, err := NewBundleWriter(&streamed, *lines[0].Header)
	for _, l := range lines[1:] {
		switch {
		case l.Epochs != nil:
			err = errors.Join(err, w.Epochs(l.Epochs))
		case l.Commit != nil:
			err = errors.Join(err, w.Commit(*l.Commit))
		default:
			err = errors.Join(err, w.Epoch(*l.Epoch))
		}
	}
	if err = errors.Join(err, w.End()); err != nil || !bytes.Equal(streamed.Bytes(), want) {
		t.Errorf("the writer writes something else (%v)", err)
	}
	trust := h.trust()
	trust.Anchor = SplitNotes(strings.Join(h.notes(), ""))
	shown, err := VerifyBundle(bytes.NewReader(want), trust)
	if err != nil || shown.Commits != 24 || shown.First != 2 || shown.Last != 48 || shown.Epochs != 4 || shown.Epoch.Number != 4 || shown.Unsigned != 0 || shown.Anchored != 4 || shown.Key != h.keys[1].Verifier {
		t.Errorf("it shows %+v, %v", shown, err)
	}
}

// tampered is a bundle that was changed.
type tampered struct {
	what string
	text []byte
}

// bytewise are changes of bytes and lines by somebody who does nothing else.
func bytewise(text []byte) (all []tampered) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		at, changed := random.IntN(len(text)), bytes.Clone(text)
		changed[at] ^= 1 << random.IntN(8)
		all = append(all, tampered{fmt.Sprintf("a bit of byte %d", at), changed})
	}
	for range 60 {
		at := random.IntN(len(text))
		all = append(all, tampered{fmt.Sprintf("cut at %d", at), text[:at]})
	}
	lines := bytes.SplitAfter(text, []byte("\n"))
	lines = lines[:len(lines)-1]
	for i := range lines {
		all = append(all, tampered{fmt.Sprintf("without line %d", i+1), bytes.Join(slices.Delete(slices.Clone(lines), i, i+1), nil)},
			tampered{fmt.Sprintf("line %d twice", i+1), bytes.Join(slices.Insert(slices.Clone(lines), i, lines[i]), nil)},
			tampered{fmt.Sprintf("cut behind line %d", i), bytes.Join(lines[:i], nil)})
		if i > 0 {
			swapped := slices.Clone(lines)
			swapped[i], swapped[i-1] = swapped[i-1], swapped[i]
			all = append(all, tampered{fmt.Sprintf("lines %d and %d swapped", i, i+1), bytes.Join(swapped, nil)})
		}
	}
	return all
}

// copied is lines that can be changed.
func copied(t testing.TB, lines []bundleLine) (all []bundleLine) {
	t.Helper()
	for _, l := range lines {
		text, err := l.encode()
		if err != nil {
			t.Fatal(err)
		}
		var again bundleLine
		if err := json.Unmarshal(text, &again); err != nil {
			t.Fatal(err)
		}
		all = append(all, again)
	}
	return all
}

// mended makes good what somebody who tampers can: the numbers of commits, and what each
// names as the one before it.
func mended(lines []bundleLine) []bundleLine {
	sums, size := map[domain.Boundary]domain.Hash{}, int64(0)
	for _, l := range lines {
		c := l.Commit
		if c == nil {
			continue
		}
		size++
		c.Size = size
		if begin := strings.Index(c.Data, `"before":"`); begin >= 0 {
			begin += len(`"before":"`)
			c.Data = c.Data[:begin] + sums[c.Boundary].String() + c.Data[begin+64:]
		}
		sums[c.Boundary] = sha256.Sum256([]byte(c.Data))
	}
	return lines
}

// cunning are changes whose end is made good again, and where that helps the chain.
func cunning(t testing.TB, h *told) (all []tampered) {
	t.Helper()
	original := h.bundle()
	add := func(what string, lines []bundleLine) {
		all = append(all, tampered{what, written(t, lines)})
		all = append(all, tampered{what + ", mended", written(t, mended(copied(t, lines)))})
	}
	for i, l := range original {
		without, twice := slices.Delete(copied(t, original), i, i+1), slices.Insert(copied(t, original), i, copied(t, original[i:i+1])...)
		add(fmt.Sprintf("line %d twice", i+1), twice)
		if i < len(original)-1 { // a last epoch that is missing is not seen in a bundle
			add(fmt.Sprintf("without line %d", i+1), without)
			swapped := copied(t, original)
			swapped[i], swapped[i+1] = swapped[i+1], swapped[i]
			add(fmt.Sprintf("lines %d and %d swapped", i+1, i+2), swapped)
		}
		change := func(what string, do func(*bundleLine)) {
			lines := copied(t, original)
			do(&lines[i])
			add(fmt.Sprintf("%s of line %d", what, i+1), lines)
		}
		switch {
		case l.Header != nil:
			change("log", func(l *bundleLine) { l.Header.Log = "log-2" })
			change("organization", func(l *bundleLine) { l.Header.Organization.ID[0]++ })
			change("number", func(l *bundleLine) { l.Header.Number++ })
			change("alias", func(l *bundleLine) { l.Header.Alias = "Acme" })
			change("no alias", func(l *bundleLine) { l.Header.Alias = "" })
			change("before", func(l *bundleLine) { l.Header.Before = Frontier{1, []tlog.Hash{{1}}} })
			change("size before", func(l *bundleLine) { l.Header.Before.Size = 1 })
			change("format", func(l *bundleLine) { l.Header.Format = "jeton-bundle-2" })
			change("fewer keys", func(l *bundleLine) { l.Header.Keys = l.Header.Keys[:1] })
			change("no keys", func(l *bundleLine) { l.Header.Keys = nil })
			change("keys swapped", func(l *bundleLine) { slices.Reverse(l.Header.Keys) })
			change("endorsement", func(l *bundleLine) { l.Header.Keys[1].Endorsement = "" })
			change("somebody else's key", func(l *bundleLine) {
				_, public, _ := NewSigner(Key{77}, h.log)
				l.Header.Keys[1].Verifier = public.Verifier
			})
		case l.Epochs != nil:
			change("epoch", func(l *bundleLine) { l.Epochs[1][0]++ })
			change("epochs swapped", func(l *bundleLine) { slices.Reverse(l.Epochs) })
			change("an epoch less", func(l *bundleLine) { l.Epochs = l.Epochs[1:] })
			change("an epoch more", func(l *bundleLine) { l.Epochs = append(l.Epochs, tlog.Hash{}) })
		case l.Commit != nil:
			change("position", func(l *bundleLine) { l.Commit.Position++ })
			change("size", func(l *bundleLine) { l.Commit.Size++ })
			change("boundary", func(l *bundleLine) { l.Commit.Boundary = "elsewhere" })
			change("name", func(l *bundleLine) { l.Commit.Data = strings.Replace(l.Commit.Data, `"name":"`, `"name":"X`, 1) })
			change("time", func(l *bundleLine) { l.Commit.Data = strings.Replace(l.Commit.Data, "2027-03-01", "2027-03-02", 1) })
			change("blank", func(l *bundleLine) { l.Commit.Data += " " })
		case l.Epoch != nil:
			change("size", func(l *bundleLine) { l.Epoch.Size-- })
			change("turn", func(l *bundleLine) { l.Epoch.Turn++ })
			change("root", func(l *bundleLine) { l.Epoch.Root[5]++ })
			change("rank", func(l *bundleLine) { l.Epoch.Rank = 0 })
			change("path", func(l *bundleLine) { l.Epoch.Path[0][0]++ })
			change("longer path", func(l *bundleLine) { l.Epoch.Path = append(l.Epoch.Path, tlog.Hash{}) })
			change("time", func(l *bundleLine) { l.Epoch.Note = strings.Replace(l.Epoch.Note, "2027", "2028", 1) })
			change("signature", func(l *bundleLine) { l.Epoch.Note = l.Epoch.Note[:len(l.Epoch.Note)-9] + "AAAAAA==\n" })
			change("signature twice", func(l *bundleLine) {
				_, signature, _ := strings.Cut(l.Epoch.Note, "\n\n")
				l.Epoch.Note += signature
			})
			change("signed by somebody else", func(l *bundleLine) {
				s, _ := ParseNote(l.Epoch.Note)
				signer, _, _ := NewSigner(Key{77}, h.log)
				l.Epoch.Note, _ = s.Sign(signer)
			})
		}
	}
	return all
}

// TestTamperedBundles: whatever was changed is found, with its place.
func TestTamperedBundles(t *testing.T) {
	h := usual(t)
	good := written(t, h.bundle())
	all := append(bytewise(good), cunning(t, h)...)
	tried := 0
	for _, c := range all {
		if bytes.Equal(c.text, good) { // such as sizes, after mending
			continue
		}
		tried++
		shown, err := VerifyBundle(bytes.NewReader(c.text), h.trust())
		var at *Break
		switch {
		case err == nil:
			t.Errorf("%s: it was not found: %+v", c.what, shown)
		case !errors.As(err, &at) || at.Line == 0 || at.What == "":
			t.Errorf("%s: it does not say where: %v", c.what, err)
		}
	}
	t.Logf("%d bundles", tried)
	if tried < 300 {
		t.Errorf("only %d bundles were tried", tried)
	}
}

// TestBreaksAreExact: the place is the one.
func TestBreaksAreExact(t *testing.T) {
	h := usual(t)
	lines := h.bundle()
	for what, c := range map[string]struct {
		do   func([]bundleLine) []bundleLine
		says string
	}{
		"changed": {func(l []bundleLine) []bundleLine {
			l[5].Commit.Data = strings.Replace(l[5].Commit.Data, "name 2", "name 3", 1)
			return l
		}, "line 7, position 8: the commit at position 8 is not the one that position 10 names as its predecessor"},
		"changed and mended": {func(l []bundleLine) []bundleLine {
			l[5].Commit.Data = strings.Replace(l[5].Commit.Data, "name 2", "name 3", 1)
			return mended(l)
		}, "line 9, position 2, epoch 1: the commits at positions 2 to 12 are not those that were signed"},
		"removed": {func(l []bundleLine) []bundleLine { return slices.Delete(l, 5, 6) },
			"line 6, position 10: the commit is number 5 where number 4 belongs: commits are missing or in another order"},
		"reordered": {func(l []bundleLine) []bundleLine { l[5], l[6] = l[6], l[5]; return l },
			"line 6, position 10: the commit is number 5 where number 4 belongs"},
		"of another epoch": {func(l []bundleLine) []bundleLine { l[1].Epochs[2] = tlog.Hash{}; return l },
			"epoch 3: it is not the epoch that later ones name: it belongs to another history"},
	} {
		_, err := VerifyBundle(bytes.NewReader(written(t, c.do(copied(t, lines)))), h.trust())
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want %q", what, err, c.says)
		}
	}
}

// TestSecondHistories: two platforms have the same beginning, and each one's bundle is
// good. Epochs that were kept elsewhere tell them apart, and tell what was cut off.
func TestSecondHistories(t *testing.T) {
	tell := func(name string, epochs int) *told {
		h := newTold(t)
		h.commit(t, domain.DirectoryBoundary, domain.OrganizationCreated{Organization: h.org, Alias: "acme", Name: "Acme"})
		for i := range epochs {
			if i == 2 {
				h.commit(t, h.org.Boundary(), domain.OrganizationRenamed{Name: name})
			}
			h.commit(t, h.org.Boundary(), domain.OrganizationRenamed{Name: "the same"})
			h.seal(t)
		}
		return h
	}
	first, second, older := tell("one", 4), tell("another", 4), tell("one", 3)
	for what, c := range map[string]struct {
		bundle, anchor *told
		says           string
	}{
		"the same":             {first, first, ""},
		"an older anchor":      {first, older, ""},
		"a second history":     {second, first, "epoch 3: the anchor has another epoch of this number: the bundle tells a second history"},
		"cut off at an epoch":  {older, first, "epoch 4: the anchor has this epoch, up to position 13"},
		"the other, cut off":   {older, second, "epoch 3: the anchor has another epoch"},
		"of another log's key": {first, usual(t), "another epoch of this number"},
	} {
		trust := c.bundle.trust()
		trust.Anchor = c.anchor.notes()
		if what == "of another log's key" {
			trust.Anchor = trust.Anchor[:1]
		}
		_, err := VerifyBundle(bytes.NewReader(written(t, c.bundle.bundle())), trust)
		if c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: got %v, want %q", what, err, c.says)
		}
	}
}

// FuzzBundle: hostile bundles and proofs are refused, and nothing else happens.
func FuzzBundle(f *testing.F) {
	h := usual(f)
	good := written(f, h.bundle())
	f.Add(good)
	for _, c := range cunning(f, h)[:20] {
		f.Add(c.text)
	}
	f.Add([]byte(`{"header":{"format":"jeton-bundle-1","log":"","organization":"0000000000000000","before":{"size":-1,"hashes":[]},"keys":[]}}` + "\n"))
	f.Add([]byte(`{"format":"jeton-proof-1","epoch":{"size":9223372036854775807}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if _, err := VerifyBundle(bytes.NewReader(text), h.trust()); err == nil && !bytes.Equal(text, good) {
			t.Errorf("accepted: %q", text)
		}
		_, _ = VerifyBundle(bytes.NewReader(text), Trust{Anchor: SplitNotes(string(text))})
		_, _ = VerifyProof(text, Trust{})
	})
}
