package http

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const tokenReview = "POST /auth/tokenreview"

// aReview is a review as the API server sends it.
func aReview(token string, audiences ...string) string {
	spec := map[string]any{"token": token}
	if audiences != nil {
		spec["audiences"] = audiences
	}
	text, _ := json.Marshal(map[string]any{
		"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "metadata": map[string]any{"creationTimestamp": nil}, "spec": spec,
	})
	return string(text)
}

func TestTokenReview(t *testing.T) {
	w := newWorld(t)
	all(hasServiceAccount("builder"), hasBot, hasEngine("cluster", `"personal_tokens":true`))(w)
	hasToken("ann", "bound", "personal")(w)
	does("ann", "PATCH "+tokensOfAcme+"/{bound.token}", `{"networks":["192.0.2.0/24"]}`)(w)
	refused := `{"authenticated":false}`
	mia := `"user":{"username":"mia@acme.test","uid":"user:{mia}","groups":["jeton:acme","jeton:role:member"],"extra":{"jeton/token":["{mia.token}"]}}`
	for name, c := range map[string]struct{ body, status string }{
		"a member":                  {aReview("{mia.secret}"), `{"authenticated":true,` + mia + `}`},
		"a member, for the cluster": {aReview("{mia.secret}", "https://x", "cluster"), `{"authenticated":true,` + mia + `,"audiences":["cluster"]}`},
		"a member, for others":      {aReview("{mia.secret}", "https://x"), refused},
		"a program":                 {aReview("{bot.secret}"), `{"authenticated":true,"user":{"username":"jeton:service:{builder}","uid":"service:{builder}","groups":["jeton:acme"],"extra":{"jeton/token":["{bot.token}"]}}}`},
		"an administrative token":   {aReview("{robot.secret}"), refused},
		"the API server's own":      {aReview("{cluster.secret}"), refused},
		"the verification token":    {aReview("{cluster.verification}"), refused},
		"another organization's":    {aReview("{zoe.secret}"), refused},
		"bound to networks":         {aReview("{bound.secret}"), refused},
		"nothing":                   {aReview(""), refused},
		"a token of others":         {aReview("eyJhbGciOiJSUzI1NiJ9.e30.c2ln"), refused},
		"an older version":          {strings.Replace(aReview("{mia.secret}"), "/v1", "/v1beta1", 1), `{"authenticated":true,` + mia + `}`},
	} {
		got := w.send("cluster", tokenReview+"?timeout=10s", c.body)
		var said struct {
			APIVersion, Kind string
			Spec             map[string]any
			Status           any
		}
		w.must(json.Unmarshal([]byte(got.body), &said))
		var want any
		w.must(json.Unmarshal([]byte(w.filled(c.status)), &want))
		if diff := cmp.Diff(want, said.Status); got.status != 200 || said.Kind != "TokenReview" || !strings.HasPrefix(said.APIVersion, "authentication.k8s.io/") || said.Spec["token"] != nil || diff != "" {
			t.Errorf("%s: %d %s (-want +got)\n%s", name, got.status, got.body, diff)
		}
	}
}

// Only engines review, and only reviews are reviewed.
func TestTokenReviewIsForEngines(t *testing.T) {
	w := newWorld(t)
	hasEngine("cluster", `"personal_tokens":true`)(w)
	for as, status := range map[string]int{"": 401, "mia": 403, "ann": 403, "robot": 403, "zed": 403, "droid": 403} {
		w.refused(as, tokenReview, aReview("{mia.secret}"), []int{status})
	}
	for name, body := range map[string]string{
		"nothing": "", "no JSON": "token=x", "another kind": strings.Replace(aReview("x"), "TokenReview", "Pod", 1),
		"another group": strings.Replace(aReview("x"), "authentication.k8s.io", "apps", 1), "too large": aReview(strings.Repeat("x", bodyLimit)),
	} {
		if got := w.send("cluster", tokenReview, body); got.status != 400 {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	if got := w.send("cluster", "GET /auth/tokenreview", ""); got.status != 405 {
		t.Errorf("GET: %d", got.status)
	}
}
