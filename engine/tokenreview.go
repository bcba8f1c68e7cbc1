package engine

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"jeton/domain"
)

// TokenReview answers the webhook token authentication of Kubernetes
// (authentication.k8s.io/v1, and v1beta1, which looks the same): to a review with a
// token in its spec it answers one with a status.
//
// Who has a good token of the organization that comes in at the door is
//
//	username  the e-mail of a member; jeton:service:<number> for a service account
//	uid       user:<number> or service:<number>
//	groups    jeton:<alias of the organization>, jeton:role:<role>
//	extra     jeton/token: the id of the token
//
// The verification token is nobody, and is not authenticated. If the review names
// audiences, only one for the engine's name is authenticated, and for that alone. A
// token that is not good is answered with authenticated false and no reason; error
// says that it could not be checked. Where bearers are nobody says, so tokens that
// are bound to networks are refused.
//
// The endpoint does not ask who calls it: who can reach it can try tokens. The API
// server keeps good answers, by its own setting, for two minutes: a revocation takes
// so long there.
func TokenReview(checker Checker) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked, refusal := readReview(w, r)
		if refusal != nil {
			refusal.write(w)
			return
		}
		asked.Status = asked.judge(checker.Check(Presented{Secret: strings.TrimSpace(asked.Spec.Token), Agent: r.UserAgent()}))
		asked.Spec = reviewSpec{Audiences: asked.Spec.Audiences} // the token goes nowhere else
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_ = json.NewEncoder(w).Encode(asked) // the caller has gone if it fails
	})
}

type review struct {
	APIVersion string       `json:"apiVersion"`
	Kind       string       `json:"kind"`
	Spec       reviewSpec   `json:"spec"`
	Status     reviewStatus `json:"status"`
}

type reviewSpec struct {
	Token     string   `json:"token,omitempty"`
	Audiences []string `json:"audiences,omitempty"`
}

type reviewStatus struct {
	Authenticated bool        `json:"authenticated"`
	User          *reviewUser `json:"user,omitempty"`
	Audiences     []string    `json:"audiences,omitempty"`
	Error         string      `json:"error,omitempty"`
}

type reviewUser struct {
	Username string              `json:"username"`
	UID      string              `json:"uid"`
	Groups   []string            `json:"groups,omitempty"`
	Extra    map[string][]string `json:"extra,omitempty"`
}

const (
	maxReview     = 1 << 20 // bytes
	reviewGroup   = "authentication.k8s.io/"
	reviewSystem  = "system:" // names that begin so are those of Kubernetes itself
	reviewOwnName = "jeton:"
)

func readReview(w http.ResponseWriter, r *http.Request) (asked review, _ *refusal) {
	if r.Method != http.MethodPost {
		return asked, &refusal{"METHOD_NOT_ALLOWED", "Send a TokenReview with POST.", http.StatusMethodNotAllowed, [2]string{"Allow", http.MethodPost}}
	}
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxReview)).Decode(&asked)
	if err != nil || asked.Kind != "TokenReview" || !strings.HasPrefix(asked.APIVersion, reviewGroup) {
		return asked, &refusal{Code: "BAD_REQUEST", Message: "The body is no TokenReview of authentication.k8s.io.", status: http.StatusBadRequest}
	}
	return asked, nil
}

func (asked *review) judge(a Answer) (status reviewStatus) {
	switch {
	case a.Reason == domain.ReasonStale, a.Reason == domain.ReasonLimited:
		status.Error = a.refusal().Message
		return status
	case !a.Allowed, a.Subject() == "":
		return status
	case len(asked.Spec.Audiences) > 0 && !slices.Contains(asked.Spec.Audiences, a.Engine):
		return status
	}
	if len(asked.Spec.Audiences) > 0 {
		status.Audiences = []string{a.Engine}
	}
	status.Authenticated, status.User = true, a.user()
	return status
}

func (a *Answer) user() *reviewUser {
	u := &reviewUser{Username: reviewOwnName + a.Subject(), UID: a.Subject(), Groups: []string{reviewOwnName + a.Organization}}
	if a.Via == domain.ViaPersonal && a.Email != "" && !strings.HasPrefix(a.Email, reviewSystem) {
		u.Username = a.Email
	}
	if a.Role != domain.NoRole {
		u.Groups = append(u.Groups, reviewOwnName+"role:"+string(a.Role))
	}
	u.Extra = map[string][]string{"jeton/token": {a.tokenID()}}
	return u
}
