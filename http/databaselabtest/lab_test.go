package databaselabtest

import (
	"encoding/json"
	"io"
	nethttp "net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gorilla/websocket"
	"gitlab.com/postgres-ai/database-lab/v3/pkg/client/dblabapi/types"
	"gitlab.com/postgres-ai/database-lab/v3/pkg/models"
)

// heard is what an engine hears of a request: who is there, and the token that it is
// shown.
type heard struct {
	request string // method and URL
	email   string
	token   string
}

// lab is an engine with the routes of Database Lab 3.0.4. It writes down what it hears,
// also what it refuses.
type lab struct {
	*httptest.Server
	// token is what its own gate wants to be shown: then it believes who is said to be
	// there. Empty: it has no gate, and who says who is there.
	token string
	who   func(*nethttp.Request) string

	mu   sync.Mutex
	said []heard
	all  []nethttp.Header
}

// newLab starts an engine behind a guard, which is in its own process.
func newLab(t *testing.T, l *lab, guard func(nethttp.Handler) nethttp.Handler) *lab {
	mux := nethttp.NewServeMux()
	for pattern, route := range map[string]nethttp.HandlerFunc{
		"GET /status":             l.status,
		"GET /snapshots":          l.snapshots,
		"POST /clone":             l.create,
		"GET /clone/{id}":         l.clone,
		"PATCH /clone/{id}":       l.update,
		"DELETE /clone/{id}":      l.done,
		"POST /clone/{id}/reset":  l.done,
		"POST /observation/start": l.observe,
		"POST /observation/stop":  l.observe,
		"GET /observation/summary/{clone_id}/{session_id}": l.summary,
		"GET /observation/download":                        l.artifact,
	} {
		mux.HandleFunc(pattern, l.authorized(route))
	}
	mux.HandleFunc("GET /healthz", l.healthz)
	mux.HandleFunc("GET /estimate", l.estimate)
	l.Server = httptest.NewServer(guard(nethttp.HandlerFunc(func(w nethttp.ResponseWriter, r *nethttp.Request) {
		l.hear(r)
		mux.ServeHTTP(w, r)
	})))
	t.Cleanup(l.Close)
	return l
}

// unguarded is no guard: whoever reaches the engine is at its own gate.
func unguarded(next nethttp.Handler) nethttp.Handler { return next }

func (l *lab) hear(r *nethttp.Request) {
	h := heard{request: r.Method + " " + r.URL.RequestURI()}
	if l.token == "" {
		h.email = l.who(r)
	} else {
		h.email, h.token = valuesOf(r.Header, "X-Forwarded-User-Email"), valuesOf(r.Header, "Verification-Token")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.said, l.all = append(l.said, h), append(l.all, r.Header.Clone())
}

// valuesOf are all values of a header, however it is spelled: some programs take an
// underscore for a hyphen.
func valuesOf(h nethttp.Header, name string) string {
	var all []string
	for spelled, values := range h {
		if strings.EqualFold(strings.ReplaceAll(spelled, "_", "-"), name) {
			all = append(all, values...)
		}
	}
	return strings.Join(all, ", ")
}

// tell is what has been heard since it was asked last, in the order of requests, and
// the headers of all of them.
func (l *lab) tell() (said []heard, all []nethttp.Header) {
	l.mu.Lock()
	defer l.mu.Unlock()
	said, all, l.said, l.all = l.said, l.all, nil, nil
	slices.SortFunc(said, byRequest)
	return said, all
}

func byRequest(a, b heard) int { return strings.Compare(a.request, b.request) }

// authorized is the engine's own gate.
func (l *lab) authorized(next nethttp.HandlerFunc) nethttp.HandlerFunc {
	return func(w nethttp.ResponseWriter, r *nethttp.Request) {
		if l.token != "" && r.Header.Get("Verification-Token") != l.token {
			l.fail(w, 401, models.Error{Code: models.ErrCodeUnauthorized, Message: "The engine itself has refused this."})
			return
		}
		next(w, r)
	}
}

func (l *lab) fail(w nethttp.ResponseWriter, status int, e models.Error) {
	w.WriteHeader(status)
	l.answer(w, e)
}

func (l *lab) answer(w nethttp.ResponseWriter, what any) {
	_ = json.NewEncoder(w).Encode(what) // the client has gone if it fails
}

func (l *lab) read(w nethttp.ResponseWriter, r *nethttp.Request, into any) bool {
	if err := json.NewDecoder(r.Body).Decode(into); err != nil {
		l.fail(w, 400, models.Error{Code: models.ErrCodeBadRequest, Message: err.Error()})
		return false
	}
	return true
}

func cloned(id string, code models.StatusCode) *models.Clone {
	return &models.Clone{ID: id, Status: models.Status{Code: code}}
}

func (l *lab) healthz(w nethttp.ResponseWriter, _ *nethttp.Request) {
	l.answer(w, models.Engine{Version: "v3.0.4"})
}

func (l *lab) status(w nethttp.ResponseWriter, _ *nethttp.Request) {
	l.answer(w, models.InstanceStatus{
		Status:  &models.Status{Code: models.StatusOK, Message: models.InstanceMessageOK},
		Cloning: models.Cloning{NumClones: 1, Clones: []*models.Clone{cloned("c1", models.StatusOK)}},
	})
}

func (l *lab) snapshots(w nethttp.ResponseWriter, _ *nethttp.Request) {
	l.answer(w, []models.Snapshot{{ID: "s1"}, {ID: "s2"}})
}

// create begins to make a clone: who wants to have it asks until it is there.
func (l *lab) create(w nethttp.ResponseWriter, r *nethttp.Request) {
	var wanted types.CloneCreateRequest
	if l.read(w, r, &wanted) {
		l.answer(w, cloned(wanted.ID, models.StatusCreating))
	}
}

// clone answers for any, but for one that has been destroyed.
func (l *lab) clone(w nethttp.ResponseWriter, r *nethttp.Request) {
	if r.PathValue("id") == "destroyed" {
		l.fail(w, 404, models.Error{Code: models.ErrCodeNotFound, Message: "Requested object does not exist. Specify your request."})
		return
	}
	l.answer(w, cloned(r.PathValue("id"), models.StatusOK))
}

func (l *lab) update(w nethttp.ResponseWriter, r *nethttp.Request) {
	var wanted types.CloneUpdateRequest
	if l.read(w, r, &wanted) {
		c := cloned(r.PathValue("id"), models.StatusOK)
		c.Protected = wanted.Protected
		l.answer(w, c)
	}
}

func (l *lab) done(nethttp.ResponseWriter, *nethttp.Request) {}

func (l *lab) observe(w nethttp.ResponseWriter, r *nethttp.Request) {
	var wanted types.StopObservationRequest // as much as both have
	if l.read(w, r, &wanted) {
		l.answer(w, map[string]any{"session_id": 7, "tags": map[string]string{"clone": wanted.CloneID}})
	}
}

func (l *lab) summary(w nethttp.ResponseWriter, r *nethttp.Request) {
	l.answer(w, map[string]any{"session_id": 7, "clone_id": r.PathValue("clone_id")})
}

// artifactSize is how large an artifact is, in bytes: more than any buffer on the way.
const artifactSize = 4 << 20

func (l *lab) artifact(w nethttp.ResponseWriter, r *nethttp.Request) {
	_, _ = io.WriteString(w, strings.Repeat("a", artifactSize))
}

// estimate says over a WebSocket that it is ready, hears how many blocks were read, and
// says so in its result.
func (l *lab) estimate(w nethttp.ResponseWriter, r *nethttp.Request) {
	conn, err := new(websocket.Upgrader).Upgrade(w, r, nil)
	if err != nil {
		return // Upgrade has answered
	}
	defer conn.Close()
	_ = conn.WriteJSON(map[string]string{"EventType": "ready"})
	var said struct{ ReadBlocks uint64 }
	if conn.ReadJSON(&said) == nil {
		_ = conn.WriteJSON(map[string]any{"EventType": "result", "Payload": map[string]any{"SampleCounter": said.ReadBlocks}})
	}
	_, _, _ = conn.ReadMessage() // the client closes
}
