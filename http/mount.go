package http

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"regexp"
	"runtime/debug"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/rs/zerolog"

	"jeton/domain"
)

// route is a line in the table of routes.
type route struct {
	pattern string // "POST /api/v1/check"
	summary string
	access  access
	audit   string // the kinds of events it leaves in the log; empty: none
	mount   func(*mounter, route)

	body    int64 // largest body in bytes; 0: bodyLimit
	status  int   // of success; 0: 200
	quiet   bool  // asked so often that a line in the request log each time would drown it
	waiting bool  // answers even while the log is being read or is damaged

	reads string // how it reads what happened ("list"); empty: it does not. It is recorded before it answers

	// refuse writes errors the way a dialect's clients want them, those of the
	// door included; nil: writeProblem
	refuse func(http.ResponseWriter, *Problem)
}

// bodyLimit is enough for every request of the API.
const bodyLimit = 64 << 10

func (r route) limit() int64 {
	if r.body != 0 {
		return r.body
	}
	return bodyLimit
}

// fail answers with an error.
func (r route) fail(w http.ResponseWriter, p *Problem) {
	if r.refuse != nil {
		r.refuse(w, p)
		return
	}
	writeProblem(w, p)
}

// method is the method of the pattern; empty: any.
func (r route) method() string {
	method, _, one := strings.Cut(r.pattern, " ")
	if !one {
		return ""
	}
	return method
}

func (r route) path() string { return r.pattern[strings.Index(r.pattern, "/"):] }

// mounter puts routes behind the door, and describes them in the OpenAPI document.
type mounter struct {
	server *Server
	mux    *http.ServeMux
	api    huma.API

	databaseLab string // what all paths of that dialect begin with
}

func newMounter(s *Server) *mounter {
	m := &mounter{server: s, mux: http.NewServeMux(), databaseLab: s.databaseLab("/")}
	m.api = huma.NewAPI(apiConfig(s.Version), m)
	return m
}

// api mounts a typed handler: huma decodes, validates and describes it.
func api[In, Out any](handle func(context.Context, Caller, *In) (*Out, error)) func(*mounter, route) {
	return func(m *mounter, r route) {
		huma.Register(m.api, m.operation(r), func(ctx context.Context, in *In) (*Out, error) {
			v := ctx.Value(callerKey{}).(visit)
			if err := m.witness(r, v.request, v.Caller); err != nil {
				return nil, m.refuse(v.answer, err).of(v.Request)
			}
			out, err := handle(ctx, v.Caller, in)
			if err != nil {
				return nil, m.refuse(v.answer, err).of(v.Request)
			}
			return out, nil
		})
	}
}

// raw mounts a handler that reads and writes by itself: the hot ones, streams,
// and dialects that are not ours to describe.
func raw(handle func(http.ResponseWriter, *http.Request, Caller) error) func(*mounter, route) {
	return func(m *mounter, r route) {
		m.mux.Handle(r.pattern, m.guarded(r, handle))
	}
}

// guarded is such a handler behind the door.
func (m *mounter) guarded(r route, handle func(http.ResponseWriter, *http.Request, Caller) error) http.Handler {
	return m.guard(r, func(w http.ResponseWriter, request *http.Request, c Caller) {
		err := m.witness(r, request, c)
		if err == nil {
			err = handle(w, request, c)
		}
		if err != nil {
			r.fail(w, m.refuse(w, err))
		}
	})
}

func (m *mounter) operation(r route) huma.Operation {
	op := huma.Operation{
		Method: r.method(), Path: r.path(), Summary: r.summary, OperationID: operationID(r),
		DefaultStatus: r.status, MaxBodyBytes: r.limit(), BodyReadTimeout: bodyTimeout,
		Metadata:                     map[string]any{"route": r},
		Extensions:                   map[string]any{"x-access": r.access.String(), "x-audit": r.audit},
		RejectUnknownQueryParameters: true,
	}
	if r.access.who != anybody {
		op.Security = []map[string][]string{{"token": {}}}
	}
	return op
}

// operationID is the pattern as one word: post-organizations-org-tokens.
func operationID(r route) string {
	path := strings.NewReplacer("/api/v1/", "", "{", "", "}", "", "/", "-").Replace(r.path())
	return strings.ToLower(r.method()) + "-" + strings.Trim(path, "-")
}

// Handle is how huma mounts an operation: behind the same door as all others.
func (m *mounter) Handle(op *huma.Operation, handler func(huma.Context)) {
	r := op.Metadata["route"].(route)
	m.mux.Handle(r.pattern, m.guard(r, func(w http.ResponseWriter, request *http.Request, c Caller) {
		// What curl -d says of every body: nobody means a form here. A browser that
		// is made to send one from elsewhere cannot add the token.
		if strings.HasPrefix(request.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
			request.Header.Del("Content-Type")
		}
		if op.Metadata["dated"] != nil {
			request = datedRequest(request)
		}
		ctx := context.WithValue(request.Context(), callerKey{}, visit{c, request, w})
		handler(humago.NewContext(op, request.WithContext(ctx), w))
	}))
}

// ServeHTTP is for huma's Adapter.
func (m *mounter) ServeHTTP(w http.ResponseWriter, r *http.Request) { m.mux.ServeHTTP(w, r) }

// guard is the door in front of a handler.
func (m *mounter) guard(r route, handle func(http.ResponseWriter, *http.Request, Caller)) http.Handler {
	observe, action := m.server.meter.of(r), m.action(r)
	return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		began := time.Now()
		answer := &recorder{ResponseWriter: w, status: http.StatusOK}
		harden(w.Header(), r.quiet)
		if !r.quiet || requestID(request) != "" {
			identify(w, request)
		}
		caller := Caller{Request: requestID(request)}
		defer func() {
			m.recovered(r, answer, recover())
			took := time.Since(began)
			observe(answer.status, took)
			m.line(r, request, &caller, answer.status, took)
		}()
		request.Body = http.MaxBytesReader(answer, request.Body, r.limit()) // before the door: a dialect has credentials in bodies
		err := m.server.admit(request, r.access, &caller)
		caller.tell(w.Header())
		if err == nil && !r.waiting {
			err = m.server.Model.Err()
		}
		if err == nil {
			handle(answer, request, caller)
		} else {
			identify(answer, request)
			r.fail(answer, m.refuse(answer, err))
		}
		if answer.refused != nil {
			m.server.note(request, action, caller, answer.refused)
		}
	})
}

// recovered answers for a handler that panicked: nobody's connection is left
// hanging, and the operator is told.
func (m *mounter) recovered(r route, w *recorder, cause any) {
	if cause == nil {
		return
	}
	if cause == http.ErrAbortHandler {
		panic(cause)
	}
	m.server.Log.Error().Str("request", w.Header().Get("X-Request-Id")).Str("panic", redact(fmt.Sprint(cause))).Bytes("stack", debug.Stack()).Msg("a handler panicked")
	if !w.written {
		r.fail(w, problem(500, "internal", "something went wrong here", "tell the operator the request id"))
	}
}

// line is the one log line of a request.
func (m *mounter) line(r route, request *http.Request, c *Caller, status int, took time.Duration) {
	level := zerolog.InfoLevel
	switch {
	case r.quiet:
		level = zerolog.DebugLevel
	case status >= 500:
		level = zerolog.ErrorLevel
	}
	if level < m.server.Log.GetLevel() {
		return // before there is an event: this runs for every check
	}
	m.server.Log.WithLevel(level).Str("route", r.pattern).Str("path", redact(request.URL.Path)).Int("status", status).Dur("took", took).
		Str("request", c.Request).Stringer("from", c.Address).
		Str("organization", c.Alias).Str("actor", string(c.kind())).Str("token", handle(*c)).Msg("request")
}

func (c Caller) kind() domain.ActorKind {
	if c.Token.Kind == domain.NoKind {
		return ""
	}
	return c.Actor().Kind
}

func handle(c Caller) string {
	if c.ID.IsZero() {
		return ""
	}
	return c.ID.String()
}

// report translates an error and tells the operator what strangers are not told.
func (m *mounter) report(err error) *Problem {
	p := translate(err)
	if p.Status == http.StatusInternalServerError {
		m.server.Log.Error().Err(err).Msg("a request failed inside")
	}
	return p
}

// handler is all mounted routes, and a problem for whatever is none.
func (m *mounter) handler() http.Handler {
	m.mux.HandleFunc("/", m.stray)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !plain(requestID(r)) {
			delete(r.Header, "X-Request-Id")
		}
		// Some clients of Database Lab glue paths together with two slashes, and
		// the mux would answer with a redirect that makes a GET of their POST.
		if strings.Contains(r.URL.Path, "//") {
			r.URL.Path = slashes.ReplaceAllString(r.URL.Path, "/")
		}
		if dotted(r.URL.Path) { // the mux would redirect, and clients would send their tokens along
			m.stray(w, r)
			return
		}
		if len(r.URL.Path) > len(m.databaseLab) && strings.HasPrefix(r.URL.Path, m.databaseLab) {
			r.URL.Path = strings.TrimSuffix(r.URL.Path, "/")
		}
		m.mux.ServeHTTP(w, r)
	})
}

// dotted reports whether a path has steps that are to be walked, not names.
func dotted(path string) bool {
	return strings.Contains(path, "/./") || strings.Contains(path, "/../") ||
		strings.HasSuffix(path, "/.") || strings.HasSuffix(path, "/..")
}

var slashes = regexp.MustCompile("/{2,}")

// plain reports whether a request id from outside can stand in logs and events.
func plain(id string) bool {
	if id == "" || len(id) > 64 {
		return false
	}
	for i := range len(id) {
		c := id[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return true
}

// stray answers what no route takes: 405 where another method would do, else 404.
func (m *mounter) stray(w http.ResponseWriter, r *http.Request) {
	harden(w.Header(), false)
	identify(w, r)
	refuse := writeProblem
	if strings.HasPrefix(r.URL.Path+"/", m.databaseLab) {
		refuse = refuseDatabaseLab
	}
	if inURL(r.URL) {
		refuse(w, translate(errTokenInURL))
		return
	}
	var allow []string
	for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
		probe := &http.Request{Method: method, URL: r.URL, Host: r.Host}
		if _, pattern := m.mux.Handler(probe); pattern != "/" {
			allow = append(allow, method)
		}
	}
	if allow == nil || dotted(r.URL.Path) {
		refuse(w, problem(404, "no-route", "there is nothing at this path", "see /api/openapi.json for what there is"))
		return
	}
	w.Header().Set("Allow", strings.Join(allow, ", "))
	refuse(w, problem(405, "method", "this path does not take that method", "use "+strings.Join(allow, " or ")))
}

// harden sets what every answer of an API should have. Answers to programs that
// ask all the time have the least: each header costs a check two per cent.
func harden(h http.Header, quiet bool) {
	h["Cache-Control"] = noStore
	h["X-Content-Type-Options"] = noSniff
	if !quiet {
		h["Referrer-Policy"] = noReferrer
		h["Content-Security-Policy"] = noContent
	}
}

// Shared values: setting a header to an existing slice costs no allocation.
var (
	noStore    = []string{"no-store"}
	noSniff    = []string{"nosniff"}
	noReferrer = []string{"no-referrer"}
	noContent  = []string{"default-src 'none'; frame-ancestors 'none'"}
)

// identify gives a request an id, unless it came with one, and the answer too. A
// check that nobody follows up goes without.
func identify(w http.ResponseWriter, r *http.Request) {
	if requestID(r) == "" {
		r.Header["X-Request-Id"] = []string{rand.Text()}
	}
	w.Header()["X-Request-Id"] = r.Header["X-Request-Id"]
}

func requestID(r *http.Request) string {
	if ids := r.Header["X-Request-Id"]; len(ids) > 0 {
		return ids[0]
	}
	return ""
}

// recorder remembers what was answered.
type recorder struct {
	http.ResponseWriter
	status  int
	written bool
	refused error // what was said no to; nil: nothing
}

func (w *recorder) WriteHeader(status int) {
	w.status, w.written = status, true
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(data []byte) (int, error) {
	w.written = true
	return w.ResponseWriter.Write(data)
}

// Unwrap lets http.ResponseController reach flushing and deadlines.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }
