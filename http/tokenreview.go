package http

import (
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"jeton/engine"
)

// tokenReview answers POST /auth/tokenreview, the webhook of Kubernetes' API server for
// bearer tokens. The server is an engine, and shows its access token as any other.
func (s *Server) tokenReview(w http.ResponseWriter, r *http.Request, c Caller) error {
	engine.TokenReview(doorman{server: s, asker: c}).ServeHTTP(w, r)
	return nil
}

// review is a TokenReview of authentication.k8s.io/v1, for its description only: what
// reads and writes it is engine.TokenReview.
type review struct {
	_          struct{}      `additionalProperties:"true"`
	APIVersion string        `json:"apiVersion" enum:"authentication.k8s.io/v1,authentication.k8s.io/v1beta1" doc:"The version of the review; the answer has the same."`
	Kind       string        `json:"kind" enum:"TokenReview" doc:"What it is."`
	Spec       *reviewSpec   `json:"spec,omitempty" doc:"What is asked."`
	Status     *reviewStatus `json:"status,omitempty" doc:"The answer."`
}

type reviewSpec struct {
	Token     string   `json:"token,omitempty" doc:"The secret that somebody showed."`
	Audiences []string `json:"audiences,omitempty" doc:"For whom it must be good; the name of the engine must be among them."`
}

type reviewStatus struct {
	Authenticated bool        `json:"authenticated" doc:"Whether it opens the engine's door."`
	User          *reviewUser `json:"user,omitempty" doc:"Whose it is."`
	Audiences     []string    `json:"audiences,omitempty" doc:"The name of the engine, if audiences were asked for."`
	Error         string      `json:"error,omitempty" doc:"Why it could not be checked."`
}

type reviewUser struct {
	Username string              `json:"username" doc:"The e-mail of a person; jeton:service:<number> for a service account."`
	UID      string              `json:"uid" doc:"Whose it is, for ever: user:<number> or service:<number>."`
	Groups   []string            `json:"groups,omitempty" doc:"jeton:<alias of the organization> and jeton:role:<role>."`
	Extra    map[string][]string `json:"extra,omitempty" doc:"jeton/token: the id of the token."`
}

// takesReview describes the body of a review.
func takesReview(op *huma.Operation, schemas huma.Registry) {
	op.RequestBody = &huma.RequestBody{Required: true, Content: jsonContent[review](schemas)}
}
