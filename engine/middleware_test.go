package engine

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"jeton/domain"
)

// guarded is a client with a copy, and what stands behind a guard before it: it says
// what it sees.
func (w *world) guarded(o Options) (*Client, *httptest.Server) {
	w.Helper()
	c := w.ready(w.config(w.platform().URL))
	inner := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		a, known := Identity(r.Context())
		fmt.Fprintf(rw, "%t %s %s %s\n", known, a.Via, a.Subject(), a.Email)
		for _, name := range slices.Sorted(headerNames(r.Header)) {
			if plain := strings.ToLower(name); strings.Contains(plain, "jeton") || strings.Contains(plain, "forwarded") || plain == "connection" {
				fmt.Fprintf(rw, "%s=%s\n", name, strings.Join(r.Header[name], "|"))
			}
		}
	})
	s := httptest.NewServer(Middleware(c, o)(inner))
	w.Cleanup(s.Close)
	return c, s
}

func headerNames(h http.Header) func(func(string) bool) {
	return func(yield func(string) bool) {
		for name := range h {
			if !yield(name) {
				return
			}
		}
	}
}

// ask sends a request with these headers, spelled as they are.
func ask(t *testing.T, s *httptest.Server, method, path string, header http.Header) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(soon(t), method, s.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range header {
		r.Header[name] = values
	}
	answer, err := s.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer, string(body)
}

// Who shows what and gets which answer. Refusals have the shape that programs of
// Database Lab read, and no reason in them.
func TestMiddleware(t *testing.T) {
	w := newWorld(t)
	bob := w.join("bob@example.org", domain.Ordinary)
	gone := w.join("gone@example.org", domain.Ordinary)
	w.do(domain.RevokeToken{Token: gone.token, Reason: "lost"})
	_, reads := w.issue(bob, "reads", func(c *domain.IssueToken) { c.Terms.Grant = domain.Grant{Access: domain.ReadOnly} })
	_, once := w.issue(bob, "once", func(c *domain.IssueToken) { c.Terms.Limit = domain.Limit{Requests: 1, Window: 60} })
	_, s := w.guarded(Options{
		Needs: func(r *http.Request) (string, domain.Resource) {
			if r.Method == http.MethodPost {
				return "clones.create", ""
			}
			return "clones.read", ""
		},
		Open: func(r *http.Request) bool { return r.URL.Path == "/healthz" },
		Age:  true,
	})
	user := fmt.Sprintf("user:%d", w.directory.Accounts[bob.id].Number)
	secret := bob.secret.Reveal()
	is := func(name string, values ...string) http.Header { return http.Header{name: values} }
	for _, test := range []struct {
		name, send string
		header     http.Header
		status     int
		body       string
	}{
		{"a token", "GET /", is("Verification-Token", secret), 200, "true personal " + user + " bob@example.org\n"},
		{"as a bearer", "GET /", is("Authorization", "Bearer "+secret), 200, "true personal " + user + " bob@example.org\n"},
		{"as a bearer in small letters", "GET /", is("Authorization", "bearer "+secret), 200, "true personal " + user + " bob@example.org\n"},
		{"with blanks", "GET /", is("Verification-Token", "  "+secret+"\t "), 200, "true personal " + user + " bob@example.org\n"},
		{"the same twice", "GET /", http.Header{"Verification-Token": {secret}, "Authorization": {"Bearer " + secret}}, 200, "true personal " + user + " bob@example.org\n"},
		{"beside a password", "GET /", http.Header{"Verification-Token": {secret}, "Authorization": {"Basic YTpi"}}, 200, "true personal " + user + " bob@example.org\n"},
		{"the verification token", "GET /", is("Verification-Token", verification), 200, "true verification  \n"},
		{"for somebody", "GET /", http.Header{"Verification-Token": {verification}, "X-Forwarded-User-Email": {"cid@example.org"}}, 200, "true verification  cid@example.org\n"},
		{"a token for somebody else", "GET /", http.Header{"Verification-Token": {secret}, "X-Forwarded-User-Email": {"cid@example.org"}}, 200, "true personal " + user + " bob@example.org\n"},
		{"an open path", "GET /healthz", nil, 200, "false   \n"},
		{"an open path with a token", "GET /healthz", is("Verification-Token", secret), 200, "false   \n"},

		{"nothing", "GET /", nil, 401, unauthorized},
		{"nonsense", "GET /", is("Verification-Token", "nonsense"), 401, unauthorized},
		{"a password", "GET /", is("Authorization", "Basic YTpi"), 401, unauthorized},
		{"a revoked token", "GET /", is("Verification-Token", gone.secret.Reveal()), 401, unauthorized},
		{"the engine's own token", "GET /", is("Verification-Token", w.token.Reveal()), 401, unauthorized},
		{"a header with underscores", "GET /", is("Verification_Token", secret), 401, unauthorized},
		{"reading with a token that reads", "GET /", is("Verification-Token", reads.Reveal()), 200, "true personal " + user + " bob@example.org\n"},
		{"writing with a token that reads", "POST /", is("Verification-Token", reads.Reveal()), 403, `{"code":"FORBIDDEN","message":"The token does not allow this."}` + "\n"},
		{"two tokens", "GET /", http.Header{"Verification-Token": {secret}, "Authorization": {"Bearer " + verification}}, 400, ""},
		{"two tokens in one header", "GET /", is("Verification-Token", secret, verification), 400, ""},
		{"two people", "GET /", http.Header{"Verification-Token": {verification}, "X-Forwarded-User-Email": {"a@example.org", "b@example.org"}}, 400, ""},
		{"a token in the URL", "GET /?token=" + secret, is("Verification-Token", secret), 400, ""},
		{"a token hidden in the URL", "GET /?token=jtn%5f" + secret[4:], nil, 400, ""},
		{"a token in the path", "GET /" + secret, nil, 400, ""},
		{"once", "GET /", is("Verification-Token", once.Reveal()), 200, "true personal " + user + " bob@example.org\n"},
		{"twice", "GET /", is("Verification-Token", once.Reveal()), 429, ""},
	} {
		method, path, _ := strings.Cut(test.send, " ")
		answer, body := ask(t, s, method, path, test.header)
		if answer.StatusCode != test.status || test.body != "" && body != test.body {
			t.Errorf("%s: got %d %q, want %d %q", test.name, answer.StatusCode, body, test.status, test.body)
		}
		if strings.Contains(body, "jtn_") {
			t.Errorf("%s: the answer has a secret in it", test.name)
		}
		switch test.status {
		case 200:
			if age := answer.Header.Get(HeaderAge); path == "/" && age != "0" {
				t.Errorf("%s: got the age %q", test.name, age)
			}
		case 401:
			if answer.Header.Get("WWW-Authenticate") == "" {
				t.Errorf("%s: says not what is wanted", test.name)
			}
		case 429:
			if after := answer.Header.Get("Retry-After"); after != "60" {
				t.Errorf("%s: got Retry-After %q", test.name, after)
			}
		}
	}
}

const unauthorized = `{"code":"UNAUTHORIZED","message":"Check your verification token."}` + "\n"

// A stale copy says to all that they may come again.
func TestMiddlewareIsStale(t *testing.T) {
	w := newWorld(t)
	c, s := w.guarded(Options{Open: func(r *http.Request) bool { return r.URL.Path == "/healthz" }})
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	for path, status := range map[string]int{"/": 503, "/healthz": 200} {
		answer, _ := ask(t, s, http.MethodGet, path, http.Header{"Verification-Token": {w.owner.secret.Reveal()}})
		if answer.StatusCode != status || status == 503 && answer.Header.Get("Retry-After") == "" {
			t.Errorf("%s: got %d with %v, want %d", path, answer.StatusCode, answer.Header, status)
		}
	}
}

// Nobody says themselves who they are, in whatever spelling; and nobody lets a proxy
// behind the guard drop who they are.
func TestForgedIdentity(t *testing.T) {
	forged := http.Header{
		"x-forwarded-user-email": {"eve@example.org"}, "X_Forwarded_User_Email": {"eve@example.org"},
		"X-Forwarded_User-Email": {"eve@example.org"}, "Jeton-Subject": {"user:1"}, "JETON_EMAIL": {"eve@example.org"}, "jeton-role": {"owner"}, "Jeton_Anything": {"x"},
		"Connection": {"X-Forwarded-User-Email, Jeton-Subject", "close"},
	}
	w := newWorld(t)
	number := w.directory.Accounts[w.owner.id].Number
	for name, test := range map[string]struct {
		o    Options
		want string
	}{
		"without headers": {Options{}, fmt.Sprintf("true personal user:%d ann@example.org\nConnection=close\n", number)},
		"with headers":    {Options{Headers: true}, fmt.Sprintf("true personal user:%d ann@example.org\nConnection=close\nJeton-Email=ann@example.org\nJeton-Role=owner\nJeton-Subject=user:%d\nJeton-Token=%s\nJeton-Via=personal\nX-Forwarded-User-Email=ann@example.org\n", number, number, w.owner.token)},
		"an open path":    {Options{Headers: true, Open: func(*http.Request) bool { return true }}, "false   \nConnection=close\n"},
	} {
		_, s := w.guarded(test.o)
		header := forged.Clone()
		header["Verification-Token"] = []string{w.owner.secret.Reveal()}
		if answer, body := ask(t, s, http.MethodGet, "/", header); answer.StatusCode != http.StatusOK || body != test.want {
			t.Errorf("%s: got %d %q, want %q", name, answer.StatusCode, body, test.want)
		}
	}
}

// Where somebody is, is what trusted proxies say, and nobody else.
func TestAddress(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	for name, test := range map[string]struct {
		remote string
		hops   []string
		front  string // for Middleware
		behind string // for Forward
	}{
		"a stranger":              {"192.0.2.7:1", nil, "192.0.2.7", ""},
		"a stranger who lies":     {"192.0.2.7:1", []string{"198.51.100.1"}, "192.0.2.7", ""},
		"a proxy":                 {"10.0.0.1:1", []string{"198.51.100.1"}, "198.51.100.1", "198.51.100.1"},
		"a proxy with a liar":     {"10.0.0.1:1", []string{"203.0.113.9, 198.51.100.1"}, "198.51.100.1", "198.51.100.1"},
		"two proxies":             {"10.0.0.1:1", []string{"198.51.100.1", "10.0.0.2"}, "198.51.100.1", "198.51.100.1"},
		"a proxy that is silent":  {"10.0.0.1:1", nil, "10.0.0.1", ""},
		"a proxy with nonsense":   {"10.0.0.1:1", []string{"nonsense"}, "", ""},
		"a proxy for who is near": {"10.0.0.1:1", []string{"10.0.0.9"}, "10.0.0.9", "10.0.0.9"},
		"an old address as new":   {"[::ffff:192.0.2.7]:1", nil, "192.0.2.7", ""},
		"no address":              {"@", nil, "", ""},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = test.remote
		r.Header["X-Forwarded-For"] = test.hops
		if len(test.hops) == 0 {
			r.Header.Del("X-Forwarded-For")
		}
		want := func(text string) (a netip.Addr) {
			if text != "" {
				a = netip.MustParseAddr(text)
			}
			return a
		}
		if got := address(r, trusted); got != want(test.front) {
			t.Errorf("%s: got %v, want %q", name, got, test.front)
		}
		if got := behind(r, trusted); got != want(test.behind) {
			t.Errorf("%s: behind it got %v, want %q", name, got, test.behind)
		}
	}
}

// forwarded is a decision endpoint.
func (w *world) forwarded(o Options) *httptest.Server {
	w.Helper()
	s := httptest.NewServer(Forward(w.ready(w.config(w.platform().URL)), o))
	w.Cleanup(s.Close)
	return s
}

// Proxies of all kinds are told who comes in, for the request that they were sent.
func TestForward(t *testing.T) {
	w := newWorld(t)
	bob := w.join("bob@example.org", domain.Ordinary)
	_, reads := w.issue(bob, "reads", func(c *domain.IssueToken) { c.Terms.Grant = domain.Grant{Access: domain.ReadOnly} })
	s := w.forwarded(Options{
		Prefix: "/auth/forward",
		Needs: func(r *http.Request) (string, domain.Resource) {
			if r.Method == http.MethodGet && r.URL.Path == "/clones" {
				return "clones.read", ""
			}
			return "clones.create", ""
		},
		Open: func(r *http.Request) bool { return r.URL.Path == "/healthz" },
	})
	secret := reads.Reveal()
	with := func(pairs ...string) http.Header {
		h := http.Header{"Verification-Token": {secret}}
		for i := 0; i < len(pairs); i += 2 {
			h[http.CanonicalHeaderKey(pairs[i])] = append(h[http.CanonicalHeaderKey(pairs[i])], pairs[i+1])
		}
		return h
	}
	for _, test := range []struct {
		name, send string
		header     http.Header
		status     int
	}{
		{"nginx", "GET /auth/forward", with("X-Original-URI", "/clones?x=1", "X-Original-Method", "GET"), 200},
		{"nginx, for a write", "GET /auth/forward", with("X-Original-URI", "/clones", "X-Original-Method", "POST"), 403},
		{"nginx, without a method", "GET /auth/forward", with("X-Original-URI", "/clones"), 400},
		{"Traefik", "GET /auth/forward", with("X-Forwarded-Uri", "/clones", "X-Forwarded-Method", "GET"), 200},
		{"Traefik, for a write", "GET /auth/forward", with("X-Forwarded-Uri", "/clones", "X-Forwarded-Method", "DELETE"), 403},
		{"Traefik, with a liar", "GET /auth/forward", with("X-Forwarded-Uri", "/admin", "X-Forwarded-Method", "GET", "X-Original-URI", "/clones"), 400},
		{"nginx, with a liar", "GET /auth/forward", with("X-Original-URI", "/admin", "X-Original-Method", "GET", "X-Forwarded-Uri", "/clones", "X-Forwarded-Method", "GET"), 400},
		{"a liar twice", "GET /auth/forward", with("X-Original-URI", "/admin", "X-Original-URI", "/clones", "X-Original-Method", "GET"), 400},
		{"Envoy", "GET /auth/forward/clones?x=1", with(), 200},
		{"Envoy, for a write", "POST /auth/forward/clones", with(), 403},
		{"Envoy, with a liar", "GET /auth/forward/admin", with("X-Original-URI", "/clones"), 400},
		{"Envoy, with a method that lies", "POST /auth/forward/clones", with("X-Original-Method", "GET"), 400},
		{"nobody says what", "GET /auth/forward", with(), 400},
		{"what is no path", "GET /auth/forward", with("X-Original-URI", "clones", "X-Original-Method", "GET"), 400},
		{"a token in the path", "GET /auth/forward", with("X-Original-URI", "/clones?token="+secret, "X-Original-Method", "GET"), 400},
		{"no token", "GET /auth/forward/clones", nil, 401},
		{"open", "GET /auth/forward/healthz", nil, 200},
	} {
		method, path, _ := strings.Cut(test.send, " ")
		answer, body := ask(t, s, method, path, test.header)
		if answer.StatusCode != test.status {
			t.Errorf("%s: got %d %q, want %d", test.name, answer.StatusCode, body, test.status)
		}
		if test.status != 200 {
			continue
		}
		email := "bob@example.org"
		if test.header == nil {
			email = ""
		}
		if got := answer.Header[headerForwarded]; body != "" || len(got) != 1 || got[0] != email || answer.Header.Get(HeaderEmail) != email {
			t.Errorf("%s: got %q and the body %q, want the e-mail %q and no body", test.name, got, body, email)
		}
		for _, name := range []string{HeaderSubject, HeaderEmail, HeaderVia, HeaderToken, HeaderRole} {
			if len(answer.Header[name]) != 1 {
				t.Errorf("%s: %s is not there once: %q", test.name, name, answer.Header[name])
			}
		}
	}
}

// Tokens that are bound to networks need a proxy that is trusted to say where they are.
func TestForwardKnowsNetworks(t *testing.T) {
	w := newWorld(t)
	_, bound := w.issue(w.owner, "bound", func(c *domain.IssueToken) {
		c.Terms.Networks = []domain.Network{netip.MustParsePrefix("127.0.0.0/8")}
	})
	for name, test := range map[string]struct {
		o      Options
		from   string
		status int
	}{
		"a proxy that nobody trusts": {Options{}, "127.0.0.9", 401},
		"one that says nothing":      {Options{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}, "", 401},
		"from inside":                {Options{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}, "127.0.0.9", 200},
		"from outside":               {Options{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}, "192.0.2.7", 401},
	} {
		header := http.Header{"Verification-Token": {bound.Reveal()}}
		if test.from != "" {
			header.Set("X-Forwarded-For", test.from)
		}
		if answer, body := ask(t, w.forwarded(test.o), http.MethodGet, "/", header); answer.StatusCode != test.status {
			t.Errorf("%s: got %d %q, want %d", name, answer.StatusCode, body, test.status)
		}
	}
}

// Kubernetes is told who somebody is, and of others that they are nobody.
func TestTokenReview(t *testing.T) {
	w := newWorld(t)
	bob := w.join("bob@example.org", domain.Ordinary)
	program, token, machine := w.program("ci", domain.Grant{Access: domain.FullAccess})
	service, _ := w.org.ServiceAccount(program)
	c := w.ready(w.config(w.platform().URL))
	s := httptest.NewServer(TokenReview(c))
	w.Cleanup(s.Close)
	send := func(body string) (int, string) {
		t.Helper()
		answer, err := s.Client().Post(s.URL, "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "jtn_") {
			t.Errorf("the answer has a secret in it: %s", text)
		}
		return answer.StatusCode, string(text)
	}
	user := fmt.Sprintf("user:%d", w.directory.Accounts[bob.id].Number)
	uid := fmt.Sprintf("service:%d", service.Number)
	for name, test := range map[string]struct {
		spec   string
		status string
	}{
		"a member":               {`{"token":"` + bob.secret.Reveal() + `"}`, `{"authenticated":true,"user":{"username":"bob@example.org","uid":"` + user + `","groups":["jeton:acme","jeton:role:member"],"extra":{"jeton/token":["` + bob.token.String() + `"]}}}`},
		"a service account":      {`{"token":"` + machine.Reveal() + `"}`, `{"authenticated":true,"user":{"username":"jeton:` + uid + `","uid":"` + uid + `","groups":["jeton:acme"],"extra":{"jeton/token":["` + token.String() + `"]}}}`},
		"for this audience":      {`{"token":"` + bob.secret.Reveal() + `","audiences":["other","prod"]}`, `{"authenticated":true,"user":{"username":"bob@example.org","uid":"` + user + `","groups":["jeton:acme","jeton:role:member"],"extra":{"jeton/token":["` + bob.token.String() + `"]}},"audiences":["prod"]}`},
		"for another":            {`{"token":"` + bob.secret.Reveal() + `","audiences":["other"]}`, `{"authenticated":false}`},
		"nobody":                 {`{"token":"nonsense"}`, `{"authenticated":false}`},
		"nothing":                {`{}`, `{"authenticated":false}`},
		"the verification token": {`{"token":"` + verification + `"}`, `{"authenticated":false}`},
		"the engine":             {`{"token":"` + w.token.Reveal() + `"}`, `{"authenticated":false}`},
	} {
		status, text := send(`{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","metadata":{"creationTimestamp":null},"spec":` + test.spec + `}`)
		var got struct {
			APIVersion, Kind string
			Status           json.RawMessage
		}
		if err := json.Unmarshal([]byte(text), &got); err != nil || status != http.StatusOK || got.APIVersion != "authentication.k8s.io/v1" || got.Kind != "TokenReview" || string(got.Status) != test.status {
			t.Errorf("%s: got %d %s, want the status %s", name, status, text, test.status)
		}
	}
	for name, body := range map[string]string{
		"no JSON":      "token",
		"another kind": `{"apiVersion":"authentication.k8s.io/v1","kind":"Pod"}`,
		"another API":  `{"apiVersion":"v1","kind":"TokenReview"}`,
		"too much":     `{"kind":"` + strings.Repeat("x", maxReview) + `"}`,
	} {
		if status, text := send(body); status != http.StatusBadRequest {
			t.Errorf("%s: got %d %s", name, status, text)
		}
	}
	if answer, _ := ask(t, s, http.MethodGet, "/", nil); answer.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("GET is answered with %d", answer.StatusCode)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if status, text := send(`{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","spec":{"token":"x"}}`); status != 200 || !strings.Contains(text, `"error":"`) || !strings.Contains(text, `"authenticated":false`) {
		t.Errorf("a stale copy says %d %s", status, text)
	}
}
