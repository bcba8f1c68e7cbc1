package projections

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"jeton/domain"
	"jeton/eventstore"
)

// sealer is one of a node.
func (w *world) sealer(m *Model, v *Views) *Sealer {
	return &Sealer{Model: m, Views: v, Vault: vault, Log: "log-of-the-test", Every: time.Minute}
}

// seal lets a minute pass and seals what there is.
func (w *world) seal(s *Sealer) {
	w.Helper()
	w.pass(time.Minute)
	fails(w, "views", s.Views.Wait(w.Context(), w.last()), nil)
	for s.Model.Position() < w.last() {
		fails(w, "model", s.Model.Wait(w.Context(), w.last()), nil)
	}
	sealed, err := s.Seal(w.Context())
	if err != nil || !sealed {
		w.Fatalf("sealed: %v, %v", sealed, err)
	}
	fails(w, "views", s.Views.Wait(w.Context(), w.last()), nil)
}

// bundle is the export of an organization.
func (w *world) bundle(v *Views, org domain.OrganizationID, from domain.Position) []byte {
	w.Helper()
	caughtUp(w, v)
	b, err := v.Bundle(w.Context(), eventstore.BundleHeader{Log: "log-of-the-test", Organization: org, Keys: w.model.PublicKeys()}, from)
	fails(w, "bundle", err, nil)
	var text bytes.Buffer
	fails(w, "bundle", b.Write(w.Context(), &text), nil)
	return text.Bytes()
}

// prove makes a proof, and checks it as a stranger does.
func (w *world) prove(v *Views, of ProofOf) eventstore.Shown {
	w.Helper()
	p, err := v.Prove(w.Context(), of)
	fails(w, "proof", err, nil)
	p.Log, p.Keys = "log-of-the-test", w.model.PublicKeys()
	text, err := json.Marshal(p)
	fails(w, "proof", err, nil)
	shown, err := eventstore.VerifyProof(text, eventstore.Trust{Keys: []string{p.Keys[0].Verifier}})
	fails(w, "what the proof shows", err, nil)
	return shown
}

// TestEpochs: what is sealed is proved: each commit in each epoch, that each epoch
// extends all before it, and the bundle of it all, of every organization.
func TestEpochs(t *testing.T) {
	everywhere(t, func(t *testing.T, url string) {
		w := newWorld(t)
		v := viewsOf(w, url)
		s := w.sealer(w.model, v)
		neighbour, _ := w.create("other", "other@example.org")
		var covered []domain.Position
		for round := range 4 {
			w.grow(10 + 100*round)
			if round == 2 {
				c, err := s.Rotation(t.Context())
				fails(t, "rotation", err, nil)
				w.above(w.owner.actor, domain.OrganizationID{}, c)
			}
			covered = append(covered, w.last())
			w.seal(s)
		}
		w.grow(5) // not sealed
		caughtUp(w, v)
		commits, err := v.Commits(t.Context(), w.org, 0, 1000)
		fails(t, "commits", err, nil)
		for epoch, up := range covered {
			for _, i := range []int{0, 3, 7} {
				at := commits[i].Position
				shown := w.prove(v, ProofOf{Organization: w.org, Position: at, Epoch: int64(epoch) + 1})
				if shown.First != at || shown.Epoch.Position < up-1 {
					t.Errorf("epoch %d shows %+v of position %d", epoch+1, shown, at)
				}
			}
			for older := 1; older <= epoch+1; older++ {
				shown := w.prove(v, ProofOf{Organization: w.org, Epoch: int64(epoch) + 1, From: int64(older)})
				if shown.Older.Number != int64(older) {
					t.Errorf("epoch %d extends %+v, want %d", epoch+1, shown.Older, older)
				}
			}
		}
		_, err = v.Prove(t.Context(), ProofOf{Organization: w.org, Position: commits[len(commits)-1].Position})
		fails(t, "what is not signed yet", err, domain.ErrState)
		_, err = v.Prove(t.Context(), ProofOf{Organization: neighbour, Position: commits[1].Position})
		fails(t, "somebody else's", err, domain.ErrNotFound)
		_, err = v.Prove(t.Context(), ProofOf{Organization: newOrganizationID()})
		fails(t, "nobody's", err, domain.ErrState)

		for org, unsigned := range map[domain.OrganizationID]int64{w.org: 5, neighbour: 0, {}: 1} { // the platform: the last epoch itself
			shown, err := eventstore.VerifyBundle(bytes.NewReader(w.bundle(v, org, 0)), eventstore.Trust{})
			fails(t, "what the bundle shows", err, nil)
			if shown.Epoch == nil || shown.Epoch.Number != 4 || org == neighbour && shown.Unsigned != unsigned || org == neighbour && shown.Alias != "other" || org == w.org && shown.Unsigned < unsigned {
				t.Errorf("the bundle of %s shows %+v", org, shown)
			}
		}
		for _, from := range []domain.Position{2, commits[20].Position, covered[2]} {
			shown, err := eventstore.VerifyBundle(bytes.NewReader(w.bundle(v, w.org, from)), eventstore.Trust{})
			fails(t, "what a part shows", err, nil)
			if shown.First < from || shown.Epoch.Number != 4 {
				t.Errorf("the part from %d shows %+v", from, shown)
			}
		}
		before := dumpTrees(t, v)
		here := &world{TB: t, store: w.store}
		other := viewsOf(here, sqliteURL(t)) // reads it in large batches, which hold what was sealed
		same(t, "trees of other views", dumpTrees(t, other), before)
		same(t, "bundle of other views", w.bundle(other, w.org, 0), w.bundle(v, w.org, 0))
	})
}

// TestEpochsOfTwoNodes: of those that seal at once one does, and an idle platform has
// no epochs.
func TestEpochsOfTwoNodes(t *testing.T) {
	w := newWorld(t)
	other := w.other()
	sealers := []*Sealer{w.sealer(w.model, viewsOf(w, sqliteURL(t))), w.sealer(other, viewsOf(w, sqliteURL(t)))}
	sealAll := func() {
		w.pass(time.Minute)
		for _, s := range sealers {
			fails(t, "views", s.Views.Wait(t.Context(), w.last()), nil)
			fails(t, "model", s.Model.Wait(t.Context(), w.last()), nil)
		}
		atOnce(2, func(i int) error {
			_, err := sealers[i].Seal(t.Context())
			fails(t, "seal", err, nil)
			return nil
		})
	}
	for range 10 {
		w.grow(3)
		sealAll()
	}
	for range 3 { // what came while they sealed, and then nothing
		sealAll()
	}
	caughtUp(w, sealers[0].Views)
	idle := w.last()
	sealAll()
	if w.last() != idle {
		t.Errorf("an idle platform went on from %d to %d", idle, w.last())
	}
	epochs, err := sealers[0].Views.Epochs(t.Context(), 0, 100)
	fails(t, "epochs", err, nil)
	for i, e := range epochs {
		if e.Number != int64(i)+1 {
			t.Errorf("epoch %d stands at %d", e.Number, i+1)
		}
	}
	if n := len(w.model.SigningKeys()); len(epochs) < 10 || n != 1 {
		t.Errorf("%d epochs and %d keys", len(epochs), n)
	}
}

// TestEpochsSealByThemselves: Run seals what happened.
func TestEpochsSealByThemselves(t *testing.T) {
	w := newWorld(t)
	v := viewsOf(w, sqliteURL(t))
	s := w.sealer(w.model, v)
	s.Every = time.Millisecond
	background(t, func(ctx context.Context) error { return s.Run(ctx, zerolog.Nop()) })
	w.until("an epoch", func() bool { return w.model.Epoch().Number > 0 })
}

// TestSecondHistory: a log in which an epoch stands that was not sealed of it is not
// taken into the views.
func TestSecondHistory(t *testing.T) {
	w := newWorld(t)
	v := viewsOf(w, sqliteURL(t))
	s := w.sealer(w.model, v)
	w.grow(10)
	w.seal(s)
	sealed := w.last()
	for what, tamper := range map[string]func([]eventstore.Record){
		"another commit": func(all []eventstore.Record) {
			all[4].Data = bytes.Replace(slices.Clone(all[4].Data), []byte("token"), []byte("Token"), 1)
		},
		"commits in another order": func(all []eventstore.Record) {
			all[7].Entry, all[8].Entry = all[8].Entry, all[7].Entry
		},
	} {
		everywhere(t, func(t *testing.T, url string) {
			var all []eventstore.Record
			_ = w.store.Follow(t.Context(), eventstore.Head{}, func(r eventstore.Record) error {
				if all = append(all, r); r.Position == sealed {
					return errBack
				}
				return nil
			})
			tamper(all)
			second, last := new(eventstore.Memory), map[domain.Boundary]domain.Position{}
			for _, r := range all {
				at, err := second.Append(t.Context(), r.Entry, last[r.Boundary])
				fails(t, "append", err, nil)
				last[r.Boundary] = at
			}
			isDamage(t, what, stops(t, openViews(t, url), second, storeID), sealed)
		})
	}
}
