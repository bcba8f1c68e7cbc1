package projections

import (
	"context"
	"testing"

	"jeton/domain"
	"jeton/eventstore"
)

// TestOnDisk is all of it as it is installed: the log on disk in this process,
// the views beside it, stopped and started again.
func TestOnDisk(t *testing.T) {
	home := installation{log: t.TempDir(), views: sqliteURL(t)}
	var founded *world
	var token domain.TokenID
	var secret domain.Secret
	home.run(t, func(w *world, v *Views) {
		founded = w
		w.org, w.owner = w.found("acme", "owner@example.org")
		token, secret = w.issue(w.owner.actor, domain.Personal, "laptop")
		w.grow(20)
		if row := w.row(v, token); row.Status(domain.At(noon)) != Active || !w.check(w.model, secret).Active() {
			t.Fatalf("issued: %+v", row)
		}
	})
	home.run(t, func(w *world, v *Views) {
		w.org, w.owner = founded.org, founded.owner
		w.do(w.owner.actor, domain.RevokeToken{Token: token})
	})
	home.run(t, func(w *world, v *Views) {
		w.org = founded.org
		if row := w.row(v, token); row.Status(domain.At(noon)) != Revoked || w.check(w.model, secret).Active() {
			t.Fatalf("revoked: %+v", row)
		}
		before := dump(t, v)
		fails(t, "rebuild", v.Rebuild(t.Context(), w.store, w.store.(*eventstore.JetStream).StoreID()), nil)
		same(t, "rows", dump(t, v), before)
	})
}

// installation is where everything is.
type installation struct{ log, views string }

// run is one life of the process.
func (home installation) run(t *testing.T, do func(*world, *Views)) {
	embedded, err := eventstore.StartEmbedded(eventstore.EmbeddedConfig{Dir: home.log})
	fails(t, "start the log", err, nil)
	store, err := eventstore.Open(t.Context(), embedded.JetStream())
	if err != nil {
		store, err = eventstore.Create(t.Context(), embedded.JetStream(), 1)
	}
	fails(t, "open the log", err, nil)
	v, err := OpenViews(t.Context(), home.views, vault)
	fails(t, "open the views", err, nil)
	known, _, err := v.Remembered(t.Context())
	fails(t, "remembered", err, nil)

	w := worldOn(t, store, known)
	end := background(t, func(ctx context.Context) error { return v.Run(ctx, store, store.StoreID()) })
	do(w, v)
	fails(t, "end of the views", end(), nil)
	fails(t, "end of the model", w.end(), nil)
	fails(t, "close the views", v.Close(), nil)
	fails(t, "close the log", embedded.Close(), nil)
}

// row is a token as the views show it once they have everything.
func (w *world) row(v *Views, id domain.TokenID) TokenRow {
	w.Helper()
	caughtUp(w, v)
	row, err := v.Token(w.Context(), w.org, id)
	fails(w, "token", err, nil)
	return row
}
