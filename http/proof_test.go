package http

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3filter"

	"jeton/eventstore"
	"jeton/projections"
)

// sealer signs the log of the world.
func (w *world) sealer() *projections.Sealer {
	w.Helper()
	return &projections.Sealer{Model: w.model, Views: w.views, Vault: w.vault, Log: w.storeID, Every: time.Minute}
}

// seal signs what there is.
func (w *world) seal() {
	w.Helper()
	w.pass(time.Minute)
	w.must(w.views.Wait(w.Context(), w.last()))
	w.must(w.model.Wait(w.Context(), w.last()))
	_, err := w.server.Sealer.Seal(w.Context())
	w.must(err)
	w.must(w.views.Wait(w.Context(), w.last()))
}

func TestProofRefusals(t *testing.T) {
	read, exported := []string{"audit.read"}, []string{"audit.exported"}
	run(t, "proof", map[string]scenario{
		"nothing is signed yet":           {send: "GET " + auditOfAcme + "/proof?position=1", status: 409, then: read},
		"no heads yet":                    {as: "ada", send: "GET " + auditOfAcme + "/heads", status: 200, then: read},
		"no keys yet":                     {as: stranger, send: "GET /.well-known/jeton-signing-keys", status: 200},
		"of nothing":                      {given: (*world).seal, send: "GET " + auditOfAcme + "/proof", status: 422, then: read},
		"of a neighbour's commit":         {given: (*world).seal, send: "GET " + auditOfAcme + "/proof?position=9", status: 404, then: read},
		"of a commit that is not signed":  {given: all((*world).seal, hasToken("mia", "laptop", "personal")), send: "GET " + auditOfAcme + "/proof?position=15", status: 409, then: read},
		"from an epoch that is none":      {given: (*world).seal, send: "GET " + auditOfAcme + "/proof?position=1&epoch=1&from=0x", status: 422},
		"of an epoch before it all":       {given: (*world).seal, send: "GET " + auditOfAcme + "/heads?before=1", status: 200, then: read},
		"a bundle of a kind not known":    {given: (*world).seal, send: "GET " + auditOfAcme + "/export?format=pdf", status: 422, then: exported},
		"a bundle from nowhere":           {given: (*world).seal, send: "GET " + auditOfAcme + "/export?format=bundle&from=-1", status: 422, then: exported},
		"a member reads no proof":         {as: "mia", send: "GET " + auditOfAcme + "/proof?position=1", status: 403},
		"an administrator rotates no key": {as: "bob", send: "POST /api/v1/signing-keys", body: `{}`, status: 403},
		"a key is rotated before it is":   {send: "POST /api/v1/signing-keys", body: `{}`, status: 409},
	})
}

// What is answered convinces somebody who has nothing but the published key.
func TestProofsConvince(t *testing.T) {
	w := newWorld(t)
	w.seal()
	hasToken("mia", "laptop", "personal")(w)
	rotated := w.send("ann", "POST /api/v1/signing-keys", `{}`)
	if rotated.status != 201 || number(rotated.object(t)["number"]) != "2" {
		t.Fatalf("status %d: %s", rotated.status, rotated.body)
	}
	w.seal()
	var published publicKeys
	w.must(json.Unmarshal([]byte(w.send("", "GET /.well-known/jeton-signing-keys", "").body), &published))
	if len(published.Keys) != 2 || published.Log != w.storeID {
		t.Fatalf("published: %+v", published)
	}
	trust := eventstore.Trust{Keys: []string{published.Keys[0].Verifier}}

	proof := w.send("ada", "GET "+auditOfAcme+"/proof?position=1&from=1", "")
	shown, err := eventstore.VerifyProof([]byte(proof.body), trust)
	if err != nil || shown.First != 1 || shown.Older.Number != 1 || shown.Key != published.Keys[1].Verifier {
		t.Errorf("the proof shows %+v, %v: %s", shown, err, proof.body)
	}
	bundle := w.send("ada", "GET "+auditOfAcme+"/export?format=bundle", "")
	if got := bundle.header.Get("Content-Type"); got != "application/jsonl" {
		t.Errorf("the bundle is %s", got)
	}
	shown, err = eventstore.VerifyBundle(strings.NewReader(bundle.body), trust)
	// That both were asked for is recorded, and not signed yet.
	if err != nil || shown.Alias != "acme" || shown.Unsigned != 2 || shown.Epochs != 2 || !shown.Trusted {
		t.Errorf("the bundle shows %+v, %v", shown, err)
	}
	if bytes.Contains([]byte(bundle.body), []byte("globex")) {
		t.Error("the bundle has something of a neighbour")
	}
	heads := w.send("ada", "GET "+auditOfAcme+"/heads?limit=1", "").object(t)
	if items := heads["items"].([]any); len(items) != 1 || number(items[0].(map[string]any)["epoch"]) != "2" || number(heads["next"]) != "2" {
		t.Errorf("heads: %v", heads)
	}
}

// A bundle is described, too; to the test that holds answers against their description
// it is a text.
func init() {
	openapi3filter.RegisterBodyDecoder("application/jsonl", openapi3filter.FileBodyDecoder)
}
