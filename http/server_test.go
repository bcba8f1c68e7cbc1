package http

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"jeton/domain"
	"jeton/eventstore"
	"jeton/projections"
)

// Whoever connects controls X-Forwarded-For: it is believed from trusted proxies
// only, from its right end.
func TestWhereARequestComesFrom(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")}
	for name, c := range map[string]struct {
		proxies   []netip.Prefix
		forwarded []string
		want      string
	}{
		"directly":                    {nil, nil, "192.0.2.7"},
		"nobody is believed":          {nil, []string{"198.51.100.1"}, "192.0.2.7"},
		"a proxy says who":            {trusted, []string{"198.51.100.1"}, "198.51.100.1"},
		"what a client adds":          {trusted, []string{"203.0.113.9, 198.51.100.1"}, "198.51.100.1"},
		"two proxies":                 {trusted, []string{"203.0.113.9, 198.51.100.1, 192.0.2.8"}, "198.51.100.1"},
		"in two headers":              {trusted, []string{"203.0.113.9", "198.51.100.1"}, "198.51.100.1"},
		"all are proxies":             {trusted, []string{"192.0.2.9, 192.0.2.8"}, "192.0.2.9"},
		"nonsense":                    {trusted, []string{"unknown"}, "192.0.2.7"},
		"nonsense behind an address":  {trusted, []string{"198.51.100.1, unknown"}, "192.0.2.7"},
		"nonsense before an address":  {trusted, []string{"unknown, 198.51.100.1"}, "198.51.100.1"},
		"with a port":                 {trusted, []string{"198.51.100.1:4711"}, "192.0.2.7"},
		"empty":                       {trusted, []string{""}, "192.0.2.7"},
		"another family":              {trusted, []string{"2001:db8::5, 2001:db9::1"}, "2001:db9::1"},
		"an address inside the other": {trusted, []string{"::ffff:198.51.100.1"}, "198.51.100.1"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.server.TrustedProxies = c.proxies
			request := w.request("mia", "POST "+tokensOfAcme, `{"name":"ci","kind":"personal"}`)
			request.Header["X-Forwarded-For"] = c.forwarded
			w.do(request)
			records := w.records()
			commit, err := eventstore.Decode(records[len(records)-1])
			w.must(err)
			commit, err = w.vault.Opened(t.Context(), commit)
			w.must(err)
			if commit.Address != c.want {
				t.Errorf("the log has %s, want %s", commit.Address, c.want)
			}
			if !strings.Contains(w.logs.String(), `"from":"`+c.want+`"`) {
				t.Errorf("the request log has not %s:\n%s", c.want, w.logs)
			}
		})
	}
}

// A request has one id everywhere: in its answer, its log line, its commit and its
// problem. A sender may choose it, within limits.
func TestRequestID(t *testing.T) {
	w := newWorld(t)
	for id, kept := range map[string]bool{
		"0123-abc_DEF.9": true, strings.Repeat("x", 64): true,
		"": false, strings.Repeat("x", 65): false, "two words": false, "line\nbreak": false, "ünicode": false, `"quoted"`: false, "{mia.secret}": false,
	} {
		request := w.request("mia", "GET /api/v1/organizations/nowhere", "")
		request.Header.Set("X-Request-Id", w.filled(id))
		answered := w.do(request)
		got := answered.header.Get("X-Request-Id")
		if got == "" || (got == id) != kept {
			t.Errorf("%q: the answer has %q; kept: want %t", id, got, kept)
		}
		if said := answered.object(t)["request_id"]; said != got {
			t.Errorf("%q: the problem has %v, the header %q", id, said, got)
		}
		if !strings.Contains(w.logs.String(), `"request":"`+got+`"`) {
			t.Errorf("%q: no log line has %q", id, got)
		}
	}
}

// Every answer has the headers that an API's should, those of strays included.
func TestHeadersOfEveryAnswer(t *testing.T) {
	w := newWorld(t)
	for _, send := range []string{"GET /nothing", "PUT /livez", "GET /api/v1/whoami", "GET /api/openapi.json"} {
		header := w.send("", send, "").header
		for name, want := range map[string]string{
			"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
			"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
		} {
			if got := header.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", send, name, got, want)
			}
		}
		if header.Get("X-Request-Id") == "" {
			t.Errorf("%s: no request id", send)
		}
	}
}

// A handler that panics answers 500, and only the operator learns why.
func TestPanic(t *testing.T) {
	w := newWorld(t)
	w.server.Ready = func() map[string]error { panic("the inside with " + w.secret("ann")) }
	answered := w.refused("", "GET /readyz", "", []int{500})
	if strings.Contains(answered.body, "inside") {
		t.Errorf("the answer shows the inside: %s", answered.body)
	}
	if logged := w.logs.String(); !strings.Contains(logged, "the inside with [redacted]") || !strings.Contains(logged, "server_test.go") {
		t.Errorf("the log does not show what panicked and where:\n%s", logged)
	}
}

func TestReady(t *testing.T) {
	w := newWorld(t)
	if got := w.send("", "GET /readyz", ""); got.status != 200 {
		t.Errorf("status %d: %s", got.status, got.body)
	}
	w.server.Ready = func() map[string]error {
		return map[string]error{"views": projections.ErrViews, "disk": errors.New("3 MB on /srv/secret are left")}
	}
	answered := w.refused("", "GET /readyz", "", []int{503})
	if !strings.Contains(answered.body, `"disk"`) || strings.Contains(answered.body, "/srv") {
		t.Errorf("want the names of what is not ready and nothing else: %s", answered.body)
	}
	if !strings.Contains(w.logs.String(), "/srv/secret") {
		t.Errorf("the log does not say why")
	}
}

// While the log is being read, and after it turned out to be damaged, nothing is
// served but what says so.
func TestNothingIsServed(t *testing.T) {
	loading := func(w *world) *projections.Model { return projections.NewModel(w.store, w.vault, w.now) }
	damaged := func(w *world) *projections.Model {
		m := projections.NewModel(w.store, w.vault, w.now)
		if err := m.Run(w.Context(), eventstore.Head{Position: 999}); err == nil {
			w.Fatal("a log that went backwards is served")
		}
		return m
	}
	for name, c := range map[string]struct {
		model func(*world) *projections.Model
		code  string
	}{"loading": {loading, "loading"}, "damaged": {damaged, "log-damaged"}} {
		t.Run(name, func(t *testing.T) {
			w := furnish(newWorld(t))
			w.server = &Server{Model: c.model(w), Views: w.views, Log: w.server.Log, Version: "test", Now: w.now}
			w.handler = w.server.Handler()
			for _, r := range guarded(w) {
				send, body := r.request("acme", "{mia}", "{mia.token}")
				if got := w.refused("ann", send, body, []int{503}).object(t)["code"]; got != c.code {
					t.Errorf("%s: code %v, want %s", r.pattern, got, c.code)
				}
				w.refused("", send, body, []int{401})
			}
			for path, status := range map[string]int{"/livez": 200, "/readyz": 503, "/api/openapi.json": 200} {
				if got := w.send("", "GET "+path, ""); got.status != status {
					t.Errorf("%s: status %d, want %d", path, got.status, status)
				}
			}
		})
	}
}

// broken is a log that can't be written to, one way or another.
type broken struct {
	eventstore.Store
	err error
}

func (b *broken) Append(ctx context.Context, e eventstore.Entry, after domain.Position) (domain.Position, error) {
	if b.err != nil {
		return 0, b.err
	}
	return b.Store.Append(ctx, e, after)
}

// What the log says is told with a next step, and strangers learn nothing of what
// is behind it.
func TestLogRefuses(t *testing.T) {
	store := &broken{Store: new(eventstore.Memory)}
	w := furnish(worldOn(t, store, "memory"))
	w.seal()
	for err, c := range map[error]struct {
		status int
		code   string
	}{
		eventstore.ErrUnavailable: {503, "log-unavailable"},
		eventstore.ErrUnknown:     {503, "unknown-outcome"},
		eventstore.ErrTooLarge:    {413, "too-large"},
		eventstore.ErrConflict:    {503, "busy"},
		errors.New("disk /srv/x"): {500, "internal"},
	} {
		store.err = err
		for _, r := range guarded(w) {
			if r.audit == "" || r.path() == "/api/v1/operators/{id}" {
				continue
			}
			as, org := r.mayDo()
			send, body := r.request(org, "{mia}", "{mia.token}")
			answered := w.refused(as, send, body, []int{c.status})
			if got := answered.object(t)["code"]; got != c.code || strings.Contains(answered.body, "/srv") {
				t.Errorf("%s: code %v, want %s: %s", r.pattern, got, c.code, answered.body)
			}
		}
		if got := w.send("ann", "POST /api/v1/check", `{"token":"{mia.secret}"}`); got.status != 200 {
			t.Errorf("%v: a check gets %d", err, got.status)
		}
	}
}

// The limits of a connection are those of the server, not of a recorder.
func TestOverTheNetwork(t *testing.T) {
	w := newWorld(t)
	server := httptest.NewUnstartedServer(nil)
	server.Config = NewHTTPServer(w.handler)
	server.Start()
	defer server.Close()
	for name, c := range map[string]struct {
		body   io.Reader
		status int
	}{
		"a good one":           {strings.NewReader(`{"name":"ci","kind":"personal"}`), 201},
		"too large":            {strings.NewReader(strings.Repeat(" ", 2*bodyLimit)), 413},
		"too large, in chunks": {io.MultiReader(strings.NewReader("{"), strings.NewReader(strings.Repeat(" ", 2*bodyLimit))), 413},
	} {
		request, err := http.NewRequestWithContext(t.Context(), "POST", server.URL+tokensOfAcme, c.body)
		w.must(err)
		request.Header.Set("Authorization", "Bearer "+w.secret("mia"))
		answered, err := server.Client().Do(request)
		w.must(err)
		_ = answered.Body.Close()
		if answered.StatusCode != c.status {
			t.Errorf("%s: status %d, want %d", name, answered.StatusCode, c.status)
		}
	}
}

func TestMetrics(t *testing.T) {
	w := newWorld(t)
	w.send("ann", "POST /api/v1/check", `{"token":"{mia.secret}"}`)
	w.send("ann", "POST /api/v1/check", `{"token":"{zoe.secret}"}`)
	got := w.send("", "GET /metrics", "").body
	for _, want := range []string{
		`jeton_checks_total{reason="active"} 1`, `jeton_checks_total{reason="foreign"} 1`,
		`jeton_http_requests_total{route="POST /api/v1/check",status="200"} 2`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("/metrics lacks %s", want)
		}
	}
	if strings.Contains(got, "acme") || strings.Contains(got, w.names["mia.token"]) {
		t.Errorf("/metrics names organizations or tokens:\n%s", got)
	}
}

// A path with steps in it is nothing here. The mux would answer with a redirect,
// and clients send their tokens wherever a redirect says.
func TestNoPathIsRedirected(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{
		"/api/v1/organizations/acme/./tokens", "/api/v1/organizations/globex/../acme/tokens", "/api/v1/organizations/acme/tokens/..",
		"/api/v1/organizations/acme/tokens/.", "/api/general/./rpc/dblab_token_check", "/api/general/../v1/check", "/.//example.org", "/..",
	} {
		for _, method := range []string{"GET", "POST"} {
			answered := w.send("ann", method+" "+path, "")
			if answered.status != 404 || answered.header.Get("Location") != "" {
				t.Errorf("%s %s: answered %d to %q, want 404", method, path, answered.status, answered.header.Get("Location"))
			}
		}
	}
}
