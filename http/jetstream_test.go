package http

import (
	"slices"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"jeton/eventstore"
)

// The whole life of a token, on the log that is shipped.
func TestOnJetStream(t *testing.T) {
	embedded, err := eventstore.StartEmbedded(eventstore.EmbeddedConfig{Dir: t.TempDir(), Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := embedded.Close(); err != nil {
			t.Error(err)
		}
	})
	store, err := eventstore.Create(t.Context(), embedded.JetStream(), 1)
	if err != nil {
		t.Fatal(err)
	}
	w := worldOn(t, store, store.StoreID())
	before := w.last()
	for _, step := range []struct {
		as, send, body string
		status         int
	}{
		{"bob", "POST " + tokensOfAcme, `{"name":"ci","kind":"administrative"}`, 201},
		{"bob", "POST " + tokensOfAcme, `{"name":"ci","kind":"administrative"}`, 201}, // sent again
		{"bob", "POST " + tokensOfAcme, `{"name":"ci", "kind":"administrative"}`, 409},
		{"mia", "PATCH " + tokensOfAcme + "/{mia.token}", `{"name":"laptop"}`, 200},
		{"zed", "DELETE " + tokensOfAcme + "/{mia.token}", "", 404},
		{"bob", "DELETE " + tokensOfAcme + "/{mia.token}?reason=lost", "", 200},
		{"mia", "GET /api/v1/whoami", "", 401},
		{"ann", "GET " + tokensOfAcme + "/{mia.token}", "", 200},
		{"ada", "GET " + logOfAcme, "", 200},
		{"ann", "POST /api/v1/organizations", `{"alias":"initech","name":"Initech"}`, 201},
		{"ann", "DELETE /api/v1/organizations/acme/members/{mia}", "", 204},
	} {
		if got := w.send(step.as, step.send, step.body, key); got.status != step.status {
			t.Errorf("%s as %s: status %d, want %d: %s", step.send, step.as, got.status, step.status, got.body)
		}
	}
	want := []string{"token.issued", "token.renamed", "token.revoked", "audit.read", "organization.created", "member.added", "token.issued", "member.removed"}
	if got := w.since(before); !slices.Equal(got, want) {
		t.Errorf("events are %v, want %v", got, want)
	}
	w.restart()
	if got := w.send("ann", "POST /api/v1/check", `{"token":"{mia.secret}"}`); !strings.HasPrefix(got.body, `{"active":false`) {
		t.Errorf("after a restart a revoked token is %s", got.body)
	}
}
