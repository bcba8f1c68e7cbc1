package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"jeton/engine"
)

// write makes a file that only its owner can read.
func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// settledGate is what the command makes of arguments and variables.
func settledGate(t *testing.T, args, env []string) (GateConfig, error) {
	t.Helper()
	p := &Program{Env: env, Stdin: strings.NewReader("")}
	c := gateDefaults()
	cmd := p.gateCommand()
	cmd.ResetFlags()
	c.addFlags(cmd)
	if err := cmd.ParseFlags(args); err != nil {
		t.Fatal(err)
	}
	err := p.configureGate(cmd, &c)
	return c, err
}

// lab behaves at its door as a Database Lab Engine does: it lets in who shows its
// verification token, believes them when they say whom they act for, and admits to
// its log by a token of its own, once.
type lab struct {
	*httptest.Server
	token    string
	released chan struct{} // lets the stream go on

	mu     sync.Mutex
	ticket string // for the log; empty: it was used
	seen   []http.Header
}

func newLab(t *testing.T, token string) *lab {
	l := &lab{token: token, released: make(chan struct{}), ticket: "eyJ.once"}
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "healthy") })
	mux.HandleFunc("/instance/logs", l.logs)
	mux.HandleFunc("/stream", l.authorized(l.stream))
	mux.HandleFunc("/socket", l.authorized(l.socket))
	mux.HandleFunc("/hang", l.authorized(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	mux.HandleFunc("/upload", l.authorized(l.upload))
	mux.HandleFunc("/download", l.authorized(l.download))
	mux.HandleFunc("/", l.authorized(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "%s as %q", r.URL.RequestURI(), r.Header.Get("X-Forwarded-User-Email"))
	}))
	l.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l.mu.Lock()
		h := r.Header.Clone()
		h.Set("Host", r.Host)
		l.seen = append(l.seen, h)
		l.mu.Unlock()
		if r.Method == http.MethodOptions {
			w.Header().Set("Access-Control-Allow-Origin", "*")
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(l.Close)
	return l
}

func (l *lab) authorized(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if l.token != "" && r.Header.Get("Verification-Token") != l.token {
			refuseRequest(w, 401, "UNAUTHORIZED", "Check your verification token.")
			return
		}
		next(w, r)
	}
}

// last are the headers of the last request that came through.
func (l *lab) last() http.Header {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.seen) == 0 {
		return nil
	}
	return l.seen[len(l.seen)-1]
}

func (l *lab) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.seen)
}

func (l *lab) stream(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	_, _ = io.WriteString(w, "data: one\n\n")
	_ = http.NewResponseController(w).Flush()
	select {
	case <-l.released:
		_, _ = io.WriteString(w, "data: two\n\n")
	case <-r.Context().Done():
	}
}

func (l *lab) upload(w http.ResponseWriter, r *http.Request) {
	sum := sha256.New()
	n, err := io.Copy(sum, r.Body)
	_, _ = fmt.Fprintf(w, "%d %s %v", n, hex.EncodeToString(sum.Sum(nil)), err)
}

func (l *lab) download(w http.ResponseWriter, _ *http.Request) {
	_, _ = io.Copy(w, io.LimitReader(letters{}, bigBody))
}

// letters never end.
type letters struct{}

func (letters) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte('a' + i%26)
	}
	return len(p), nil
}

const bigBody = 48 << 20

// logs upgrades to a WebSocket, for who has the ticket.
func (l *lab) logs(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	good := l.ticket != "" && r.URL.Query().Get("token") == l.ticket
	l.ticket = ""
	l.mu.Unlock()
	if !good || !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		refuseRequest(w, 401, "UNAUTHORIZED", "Check your token.")
		return
	}
	l.socket(w, r)
}

// socket upgrades to a WebSocket, as far as the handshake goes, and says back what it
// hears.
func (l *lab) socket(w http.ResponseWriter, _ *http.Request) {
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")
	_, _ = io.Copy(conn, buffered)
}

// gateWorld is a platform, an engine registered there, its gate, and the engine behind.
type gateWorld struct {
	t        *testing.T
	platform *Main
	root     *client
	engine   engineRow
	lab      *lab
	log      *logged
}

// logged is a log that tests read.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(data []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(data)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

const labToken = "the-verification-token-of-the-lab"

func newGateWorld(t *testing.T, wanted newEngine) *gateWorld {
	t.Helper()
	m := begin(t, func(*Config) {})
	w := &gateWorld{t: t, platform: m, root: clientOf(m.URL, m.Founded.Token), lab: newLab(t, labToken), log: new(logged)}
	w.root.must(t, "POST", "organizations/main/engines", wanted, &w.engine)
	return w
}

func clientOf(url, token string) *client {
	return &client{URL: url, Token: token, HTTP: http.DefaultClient, Stderr: io.Discard, Retries: 3}
}

func (c *client) must(t *testing.T, method, path string, in, out any) {
	t.Helper()
	if err := c.do(context.Background(), method, path, in, out); err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
}

// usualEngine lets in personal tokens and the token of the lab.
var usualEngine = newEngine{Name: "lab", PersonalTokens: true, VerificationFallback: true, VerificationToken: labToken}

// file is the engine's file as it would stand there.
func (w *gateWorld) file(personal bool, verification string) string {
	return write(w.t, "server.yml", fmt.Sprintf("server:\n  verificationToken: %q\nplatform:\n  url: %s/api/general\n  accessToken: %q\n  enablePersonalTokens: %v\n",
		verification, w.platform.URL, w.engine.AccessToken, personal))
}

// gate opens a gate that its file configures.
func (w *gateWorld) gate(file string, change func(*GateConfig)) *Gate {
	w.t.Helper()
	c := gateDefaults()
	c.File, c.Upstream, c.Listen, c.Admin, c.ShutdownGrace = file, w.lab.URL, "127.0.0.1:0", "127.0.0.1:0", 5*time.Second
	if change != nil {
		change(&c)
	}
	if err := new(Program).readEngineFile(&c); err != nil {
		w.t.Fatal(err)
	}
	if err := c.check(); err != nil {
		w.t.Fatal(err)
	}
	g := &Gate{Config: c, Version: "test", Log: zerolog.New(w.log)}
	if err := g.Open(context.Background()); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if err := g.Close(); err != nil {
			w.t.Error(err)
		}
	})
	return g
}

// ready is a gate that has its copy.
func (w *gateWorld) ready(personal bool, change func(*GateConfig)) *Gate {
	w.t.Helper()
	g := w.gate(w.file(personal, labToken), change)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := g.Door.Ready(ctx); err != nil {
		w.t.Fatal(err)
	}
	return g
}

// token makes a personal token.
func (w *gateWorld) token(name string) (made token) {
	w.t.Helper()
	w.root.must(w.t, "POST", "organizations/main/tokens", newToken{Name: name, Kind: "personal"}, &made)
	return made
}

// knocks asks with headers, "Name: value" each, and answers status and body.
func knocks(t *testing.T, method, url string, headers ...string) (int, string) {
	t.Helper()
	request, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		request.Header[name] = append(request.Header[name], value) // in the spelling that is written
	}
	response, err := new(http.Client).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for began := time.Now(); !is(); <-tick.C {
		if time.Since(began) > 30*time.Second {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// Who comes in is known behind the gate, and what they have shown is not.
func TestGateSaysWhoComesIn(t *testing.T) {
	w := newGateWorld(t, usualEngine)
	g, person := w.ready(true, nil), w.token("laptop")
	eventually(t, "the new token", func() bool {
		status, _ := knocks(t, "GET", g.URL+"/status", "Verification-Token: "+person.Secret)
		return status == 200
	})
	for name, c := range map[string]struct {
		headers []string
		status  int
		body    string
	}{
		"nothing":                 {nil, 401, "Check your verification token."},
		"a personal token":        {[]string{"Verification-Token: " + person.Secret}, 200, `/clone?id=1 as "root@localhost"`},
		"as bearer":               {[]string{"Authorization: Bearer " + person.Secret}, 200, `as "root@localhost"`},
		"the verification token":  {[]string{"Verification-Token: " + labToken}, 200, `as ""`},
		"acting for somebody":     {[]string{"Verification-Token: " + labToken, "X-Forwarded-User-Email: mia@acme.test"}, 200, `as "mia@acme.test"`},
		"a person forging one":    {[]string{"Verification-Token: " + person.Secret, "X-Forwarded-User-Email: mia@acme.test"}, 200, `as "root@localhost"`},
		"forging in odd letters":  {[]string{"Verification-Token: " + person.Secret, "x-forwarded-user-email: mia@acme.test", "X_Forwarded_User_Email: mia@acme.test", "Jeton-Subject: user:99", "jeton_role: owner"}, 200, `as "root@localhost"`},
		"hop by hop":              {[]string{"Verification-Token: " + person.Secret, "Connection: X-Forwarded-User-Email, Verification-Token, Jeton-Subject"}, 200, `as "root@localhost"`},
		"another spelling":        {[]string{"Verification_Token: " + labToken}, 401, ""},
		"two that differ":         {[]string{"Verification-Token: " + labToken, "Authorization: Bearer " + person.Secret}, 400, ""},
		"the engine's own":        {[]string{"Verification-Token: " + w.engine.AccessToken}, 401, ""},
		"one that never was":      {[]string{"Verification-Token: " + strings.Repeat("x", 66)}, 401, ""},
		"the root's, in disguise": {[]string{"Authorization: Basic " + person.Secret}, 401, ""},
	} {
		before := w.lab.count()
		status, body := knocks(t, "GET", g.URL+"/clone?id=1", c.headers...)
		if status != c.status || !strings.Contains(body, c.body) {
			t.Errorf("%s: %d %s, not %d %s", name, status, body, c.status, c.body)
		}
		if came := w.lab.count() > before; came != (c.status == 200) {
			t.Errorf("%s: it came through: %v", name, came)
		}
	}
	if status, _ := knocks(t, "GET", g.URL+"/clone?token="+person.Secret); status != 400 {
		t.Errorf("a token in the URL is answered with %d", status)
	}
	w.nothingLeaked(person.Secret)
}

// nothingLeaked looks at every request that came through, and at the log.
func (w *gateWorld) nothingLeaked(secrets ...string) {
	w.t.Helper()
	w.lab.mu.Lock()
	defer w.lab.mu.Unlock()
	for _, h := range w.lab.seen {
		text, _ := json.Marshal(h)
		for _, secret := range append(secrets, w.engine.AccessToken, "mallory") {
			if strings.Contains(string(text), secret) {
				w.t.Errorf("the engine behind was shown %.24s…", secret)
			}
		}
		for name := range h {
			if strings.Contains(name, "_") {
				w.t.Errorf("the engine behind got the header %s", name)
			}
		}
	}
	for _, secret := range append(secrets, w.engine.AccessToken, labToken) {
		if strings.Contains(w.log.String(), secret) {
			w.t.Errorf("the log holds a secret: %.24s…", secret)
		}
	}
}

// What the engine behind needs to know of a request is what the gate has seen itself.
func TestGateSaysWhereFrom(t *testing.T) {
	w := newGateWorld(t, usualEngine)
	for name, c := range map[string]struct {
		trusted []netip.Prefix
		want    map[string]string
	}{
		"a stranger":      {nil, map[string]string{"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "http", "Forwarded": ""}},
		"a trusted proxy": {[]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, map[string]string{"X-Forwarded-For": "192.0.2.1, 127.0.0.1", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "outside.test"}},
	} {
		g := w.ready(true, func(config *GateConfig) { config.TrustedProxies = c.trusted })
		status, _ := knocks(t, "GET", g.URL+"/status", "Verification-Token: "+labToken, "X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https", "X-Forwarded-Host: outside.test", "Forwarded: for=192.0.2.1")
		if status != 200 {
			t.Fatalf("%s: %d", name, status)
		}
		h := w.lab.last()
		for header, want := range c.want {
			if got := strings.Join(h.Values(header), "|"); got != want {
				t.Errorf("%s: %s is %q, not %q", name, header, got, want)
			}
		}
		if want := strings.TrimPrefix(g.URL, "http://"); h.Get("Host") != want {
			t.Errorf("%s: the host is %q, not %q", name, h.Get("Host"), want)
		}
	}
}

// The registration and the file both have a say, the narrower one wins, and a
// difference is in the log.
func TestGateTakesTheNarrowerRule(t *testing.T) {
	for name, c := range map[string]struct {
		registered newEngine
		personal   bool   // in the file
		token      string // in the file
		person     int    // what a person gets
		shared     int    // what the bearer of the lab's token gets
		nobody     int    // what who shows nothing gets
		says       string
	}{
		"both alike":                   {usualEngine, true, labToken, 200, 200, 401, "agree"},
		"the file has no persons":      {usualEngine, false, labToken, 401, 200, 401, "the engine's file does not: they do not come in"},
		"the registration has none":    {newEngine{Name: "lab", VerificationFallback: true, VerificationToken: labToken}, true, labToken, 401, 200, 401, "its registration does not, or it is disabled"},
		"no fallback":                  {newEngine{Name: "lab", PersonalTokens: true, VerificationToken: labToken}, true, labToken, 200, 401, 401, "does not open the door"},
		"another verification token":   {newEngine{Name: "lab", PersonalTokens: true, VerificationFallback: true, VerificationToken: "another-one-of-16-letters"}, true, labToken, 200, 401, 401, "not the one that is registered"},
		"registered as open":           {newEngine{Name: "lab", VerificationFallback: true, Open: true}, true, labToken, 401, 401, 401, "nobody comes in"},
		"open in both":                 {newEngine{Name: "lab", VerificationFallback: true, Open: true}, true, "", 200, 200, 200, "THE ENGINE IS OPEN"},
		"an empty token opens nothing": {usualEngine, true, "", 200, 200, 401, "believes nobody"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newGateWorld(t, c.registered)
			w.lab.token = c.token
			person := w.token("laptop")
			g := w.gate(w.file(c.personal, c.token), nil)
			eventually(t, c.says, func() bool { return strings.Contains(w.log.String(), c.says) })
			for who, try := range map[string]struct {
				header []string
				want   int
			}{
				"a person": {[]string{"Verification-Token: " + person.Secret}, c.person},
				"shared":   {[]string{"Verification-Token: " + labToken}, c.shared},
				"nobody":   {nil, c.nobody},
			} {
				if status, body := knocks(t, "GET", g.URL+"/status", try.header...); status != try.want {
					t.Errorf("%s: %d %s, not %d", who, status, body, try.want)
				}
			}
		})
	}
}

// Paths that need nobody, and questions of browsers, come through without any token of
// anybody's, the gate's own included.
func TestGateOpensWhatNeedsNobody(t *testing.T) {
	w := newGateWorld(t, usualEngine)
	g := w.ready(true, nil)
	for name, c := range map[string]struct {
		method, path string
		headers      []string
		status       int
	}{
		"health":                      {"GET", "/healthz", nil, 200},
		"health with a token":         {"GET", "/healthz", []string{"Verification-Token: " + labToken, "X-Forwarded-User-Email: mallory@acme.test"}, 200},
		"the log without a ticket":    {"GET", "/instance/logs?token=x", nil, 401},
		"a question of a browser":     {"OPTIONS", "/status", []string{"Origin: https://ui.test", "Access-Control-Request-Method: GET"}, 200},
		"a path that only looks open": {"GET", "/healthz/", nil, 401},
		"and another":                 {"GET", "//healthz", nil, 401},
		"steps out of an open one":    {"GET", "/healthz/../status", nil, 401},
		"the same, hidden":            {"GET", "/healthz%2f..%2fstatus", nil, 401},
		"options of no browser":       {"OPTIONS", "/status", nil, 401},
	} {
		before := w.lab.count()
		if status, body := knocks(t, c.method, g.URL+c.path, c.headers...); status != c.status {
			t.Errorf("%s: %d %s, not %d", name, status, body, c.status)
		}
		if w.lab.count() > before && w.lab.last().Get("Verification-Token") != "" {
			t.Errorf("%s: a token went along", name)
		}
	}
	w.nothingLeaked()
}

// A revocation holds at the gate as soon as the service says that it does.
func TestGateRevokes(t *testing.T) {
	w := newGateWorld(t, usualEngine)
	g, person := w.ready(true, nil), w.token("laptop")
	shown := "Verification-Token: " + person.Secret
	eventually(t, "the new token", func() bool { status, _ := knocks(t, "GET", g.URL+"/status", shown); return status == 200 })
	w.root.must(t, "DELETE", "organizations/main/tokens/"+person.ID, nil, nil)
	raw, got, err := w.root.receipts(t.Context(), "organizations/main/tokens/"+person.ID+"/revocation", time.Now().Add(20*time.Second))
	if err != nil || !got.Complete || len(got.Engines) != 1 || !got.Engines[0].Confirmed || got.Engines[0].TookMS == nil {
		t.Fatalf("%s: %v", raw, err)
	}
	if status, body := knocks(t, "GET", g.URL+"/status", shown); status != 401 {
		t.Errorf("a revoked token: %d %s", status, body)
	}
	if !strings.Contains(w.log.String(), `"reason":"revoked"`) {
		t.Error("the log does not say why")
	}
}

// What runs when its token is revoked ends: a stream, a WebSocket, and what was not
// answered yet. What others have open goes on, and is one use.
func TestGateEndsWhatRuns(t *testing.T) {
	w := newGateWorld(t, usualEngine)
	person := w.token("laptop")
	var few token
	w.root.must(t, "POST", "organizations/main/tokens", newToken{Name: "few", Kind: "personal", Limit: &limit{Requests: 2, Window: "24h"}}, &few)
	g := w.ready(true, nil)
	other, otherLines := w.opens(g, "/stream", few)
	stream, lines := w.opens(g, "/stream", person)
	socket, echo := w.opens(g, "/socket", person)
	_, unanswered := dial(t, g.URL, "GET /hang HTTP/1.1\r\nHost: lab.test\r\nVerification-Token: "+person.Secret+"\r\n\r\n")
	if other.StatusCode != 200 || stream.StatusCode != 200 || socket.StatusCode != 101 {
		t.Fatalf("they begin with %s, %s and %s", other.Status, stream.Status, socket.Status)
	}
	eventually(t, "the request that is not answered", func() bool { return w.lab.count() == 4 })
	w.root.must(t, "DELETE", "organizations/main/tokens/"+person.ID, nil, nil)
	for what, open := range map[string]io.Reader{"the stream": lines, "the WebSocket": echo} {
		if rest, err := io.ReadAll(open); isTimeout(err) || strings.Contains(string(rest), "two") {
			t.Errorf("%s goes on: %q, %v", what, rest, err)
		}
	}
	if answer, err := http.ReadResponse(unanswered, nil); err != nil || answer.StatusCode != 503 || answer.Header.Get("Retry-After") == "" {
		t.Errorf("what was not answered yet is answered with %v, %v", answer, err)
	}
	if n := strings.Count(w.log.String(), "ended while it ran"); n != 3 {
		t.Errorf("the log says %d times that something was ended, want 3", n)
	}
	close(w.lab.released)
	if rest, err := io.ReadAll(otherLines); err != nil || !strings.Contains(string(rest), "two") {
		t.Errorf("the stream of another token ends with %q, %v", rest, err)
	}
	for _, want := range []int{200, 429} { // though it was asked about each second
		if status, body := knocks(t, "GET", g.URL+"/status", "Verification-Token: "+few.Secret); status != want {
			t.Errorf("a token of two requests: %d %s, want %d", status, body, want)
		}
	}
	w.nothingLeaked(person.Secret, few.Secret)
}

// opens sends a request whose answer does not end, and reads how it begins.
func (w *gateWorld) opens(g *Gate, path string, as token) (*http.Response, io.Reader) {
	w.t.Helper()
	_, answer := dial(w.t, g.URL, "GET "+path+" HTTP/1.1\r\nHost: lab.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nVerification-Token: "+as.Secret+"\r\n\r\n")
	response, err := http.ReadResponse(answer, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	if response.StatusCode == 101 {
		return response, answer
	}
	return response, response.Body
}

func isTimeout(err error) bool {
	var late net.Error
	return errors.As(err, &late) && late.Timeout()
}

// The gate goes on without the service for so long, then answers 503, and is healed
// when the service is back. A token that was revoked meanwhile, unheard, comes in until
// then and not afterwards.
func TestGateWithoutTheService(t *testing.T) {
	w := newGateWorld(t, usualEngine)
	g := w.ready(true, func(c *GateConfig) { c.MaxStaleness = 4 * time.Second })
	person := w.token("laptop")
	shown := "Verification-Token: " + person.Secret
	status := func() int { status, _ := knocks(t, "GET", g.URL+"/status", shown); return status }
	eventually(t, "the new token", func() bool { return status() == 200 })
	if err := w.platform.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the cut", func() bool { return !g.Door.State().Connected })
	if got := status(); got != 200 {
		t.Errorf("cut off: %d", got)
	}
	if code, body := get(t, http.DefaultClient, g.AdminURL+"/readyz"); code != 200 || !strings.Contains(body, `"connected":false`) {
		t.Errorf("cut off: /readyz %d %s", code, body)
	}
	_, lines := w.opens(g, "/stream", person)
	eventually(t, "503", func() bool { return status() == 503 })
	if _, err := io.ReadAll(lines); isTimeout(err) {
		t.Error("stale: a stream goes on")
	}
	if age := g.Door.State().Age; age < 4*time.Second {
		t.Errorf("it closed at an age of %s", age)
	}
	for what, header := range map[string]string{"the verification token": "Verification-Token: " + labToken, "nothing": "X: y"} {
		if code, _ := knocks(t, "GET", g.URL+"/status", header); code != 503 {
			t.Errorf("stale: %s gets %d", what, code)
		}
	}
	if code, _ := knocks(t, "GET", g.URL+"/healthz"); code != 200 {
		t.Errorf("stale: the health of the engine behind is %d", code)
	}
	if code, _ := get(t, http.DefaultClient, g.AdminURL+"/readyz"); code != 503 {
		t.Errorf("stale: /readyz is %d", code)
	}
	again := begin(t, func(c *Config) {
		c.Data, c.Listen = w.platform.Config.Data, strings.TrimPrefix(w.platform.URL, "http://")
	})
	eventually(t, "200 again", func() bool { return status() == 200 })
	clientOf(again.URL, w.root.Token).must(t, "DELETE", "organizations/main/tokens/"+person.ID, nil, nil)
	eventually(t, "401", func() bool { return status() == 401 })
}

// A gate that starts while the service is away has its copy from the disk.
func TestGateStartsWithoutTheService(t *testing.T) {
	w := newGateWorld(t, usualEngine)
	dir := filepath.Join(t.TempDir(), "copy")
	person := w.token("laptop")
	g := w.ready(true, func(c *GateConfig) { c.Data = dir })
	eventually(t, "the new token", func() bool {
		status, _ := knocks(t, "GET", g.URL+"/status", "Verification-Token: "+person.Secret)
		return status == 200
	})
	file := w.file(true, labToken)
	if err := errorsOf(g.Close(), w.platform.Close()); err != nil {
		t.Fatal(err)
	}
	again := w.gate(file, func(c *GateConfig) { c.Data = dir })
	if status, body := knocks(t, "GET", again.URL+"/status", "Verification-Token: "+person.Secret); status != 200 {
		t.Errorf("with a copy on disk: %d %s", status, body)
	}
	without := w.gate(file, nil)
	if status, _ := knocks(t, "GET", without.URL+"/status", "Verification-Token: "+person.Secret); status != 503 {
		t.Errorf("without one: %d", status)
	}
}

func errorsOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// A token that is no engine's is refused by the service, and the gate lets nobody in.
func TestGateWithAWrongToken(t *testing.T) {
	w := newGateWorld(t, usualEngine)
	w.engine.AccessToken = w.token("not the engine's").Secret
	g := w.gate(w.file(true, labToken), nil)
	eventually(t, "the refusal", func() bool { return g.Door.State().Err != nil })
	if status, _ := knocks(t, "GET", g.URL+"/status", "Verification-Token: "+labToken); status != 503 {
		t.Errorf("it answers %d", status)
	}
	if _, body := get(t, http.DefaultClient, g.AdminURL+"/readyz"); !strings.Contains(body, engine.ErrRefused.Error()) {
		t.Errorf("/readyz does not say why: %s", body)
	}
}

// Bodies come through whole however large they are, and streams piece by piece.
func TestGatePassesStreams(t *testing.T) {
	w := newGateWorld(t, usualEngine)
	g := w.ready(true, nil)
	up, err := http.NewRequest("POST", g.URL+"/upload", io.LimitReader(letters{}, bigBody)) // chunked
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, io.LimitReader(letters{}, bigBody)); err != nil {
		t.Fatal(err)
	}
	body := w.send(up)
	read, err := io.ReadAll(body)
	if want := fmt.Sprintf("%d %s <nil>", bigBody, hex.EncodeToString(sum.Sum(nil))); err != nil || string(read) != want {
		t.Errorf("uploaded %s, %v, not %s", read, err, want)
	}
	down, _ := http.NewRequest("GET", g.URL+"/download", nil)
	if n, err := io.Copy(io.Discard, w.send(down)); err != nil || n != bigBody {
		t.Errorf("downloaded %d bytes, %v, not %d", n, err, bigBody)
	}
	events, _ := http.NewRequest("GET", g.URL+"/stream", nil)
	lines := bufio.NewReader(w.send(events))
	if line, err := lines.ReadString('\n'); err != nil || line != "data: one\n" {
		t.Fatalf("the first event is %q, %v", line, err)
	}
	close(w.lab.released) // only now is there a second one
	if rest, err := io.ReadAll(lines); err != nil || string(rest) != "\ndata: two\n\n" {
		t.Errorf("the rest is %q, %v", rest, err)
	}
}

func (w *gateWorld) send(r *http.Request) io.Reader {
	w.t.Helper()
	r.Header.Set("Verification-Token", labToken)
	response, err := new(http.Client).Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = response.Body.Close() })
	if response.StatusCode != 200 {
		w.t.Fatalf("%s %s: %s", r.Method, r.URL, response.Status)
	}
	return response.Body
}

// dial sends a request as it is written and answers what comes.
func dial(t *testing.T, at, text string) (net.Conn, *bufio.Reader) {
	t.Helper()
	u, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	return conn, bufio.NewReader(conn)
}

// A WebSocket passes in both directions; the engine's own ticket in its URL is none of
// our secrets, and counts once.
func TestGatePassesWebSockets(t *testing.T) {
	w := newGateWorld(t, usualEngine)
	g := w.ready(true, nil)
	handshake := "GET /instance/logs?token=eyJ.once HTTP/1.1\r\nHost: lab.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nOrigin: http://lab.test\r\n\r\n"
	conn, open := dial(t, g.URL, handshake)
	response, err := http.ReadResponse(open, nil)
	if err != nil || response.StatusCode != 101 || response.Header.Get("Sec-WebSocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		t.Fatalf("the handshake is answered with %v, %v", response, err)
	}
	if w.lab.last().Get("Host") != "lab.test" {
		t.Errorf("the engine behind sees the host %q, so it can't compare the origin", w.lab.last().Get("Host"))
	}
	frame := "\x81\x85\x00\x00\x00\x00hello" // a masked text
	if _, err := io.WriteString(conn, frame); err != nil {
		t.Fatal(err)
	}
	echo := make([]byte, len(frame))
	if _, err := io.ReadFull(open, echo); err != nil || string(echo) != frame {
		t.Fatalf("came back: %q, %v", echo, err)
	}
	_, lines := dial(t, g.URL, handshake)
	if response, err := http.ReadResponse(lines, nil); err != nil || response.StatusCode != 401 {
		t.Errorf("the ticket counts twice: %v, %v", response, err)
	}
	if err := g.Close(); err != nil { // a connection that is no request any more does not hold it up
		t.Error(err)
	}
	if rest, err := io.ReadAll(open); err != nil || len(rest) > 0 {
		t.Errorf("the WebSocket ends with %q, %v", rest, err)
	}
}

// A request that two servers could take apart in two ways is refused, or one for both.
func TestGateRefusesAmbiguousRequests(t *testing.T) {
	w := newGateWorld(t, usualEngine)
	g := w.ready(true, nil)
	begin := "POST /upload HTTP/1.1\r\nHost: lab.test\r\nVerification-Token: " + labToken + "\r\n"
	for name, text := range map[string]string{
		"two lengths":              begin + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
		"a length that is none":    begin + "Content-Length: +5\r\n\r\nhello",
		"chunked, and not":         begin + "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
		"a blank before the colon": begin + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
		"a tunnel":                 "CONNECT elsewhere.test:443 HTTP/1.1\r\nHost: elsewhere.test:443\r\nVerification-Token: " + labToken + "\r\n\r\n",
		"two hosts":                begin + "Host: other.test\r\nContent-Length: 0\r\n\r\n",
	} {
		before := w.lab.count()
		_, lines := dial(t, g.URL, text)
		response, err := http.ReadResponse(lines, nil)
		if err != nil || response.StatusCode < 400 || w.lab.count() != before {
			t.Errorf("%s: %v, %v", name, response, err)
		}
	}
	// A length beside chunks does not count, and goes no further.
	_, lines := dial(t, g.URL, begin+"Transfer-Encoding: chunked\r\nContent-Length: 3\r\nConnection: close\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
	response, err := http.ReadResponse(lines, nil)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(response.Body)
	if response.StatusCode == 200 && (!strings.HasPrefix(string(body), "5 ") || w.lab.last().Get("Content-Length") != "") {
		t.Errorf("a length beside chunks: %s, %v", body, w.lab.last())
	}
}

// That the engine behind does not take the gate's token is in the log.
func TestGateSaysThatItIsRefused(t *testing.T) {
	w := newGateWorld(t, usualEngine)
	g := w.ready(true, nil)
	w.lab.token = "what-the-lab-had-before"
	for range 3 {
		if status, _ := knocks(t, "GET", g.URL+"/status", "Verification-Token: "+labToken); status != 401 {
			t.Errorf("it answers %d", status)
		}
	}
	if n := strings.Count(w.log.String(), "refuses who has come in"); n != 1 {
		t.Errorf("the log says so %d times", n)
	}
}

// An engine that is not there is said so, in the shape that its programs read.
func TestGateWithoutTheEngineBehind(t *testing.T) {
	w := newGateWorld(t, usualEngine)
	g := w.ready(true, nil)
	w.lab.Close()
	status, body := knocks(t, "GET", g.URL+"/status", "Verification-Token: "+labToken)
	if status != 502 || !strings.Contains(body, `"code":"BAD_GATEWAY"`) {
		t.Errorf("%d %s", status, body)
	}
}

// A gate without an engine behind answers proxies and Kubernetes.
func TestGateDecides(t *testing.T) {
	w := newGateWorld(t, usualEngine)
	person := w.token("laptop")
	g := w.ready(true, func(c *GateConfig) { c.Decide, c.Upstream, c.OpenPaths = true, "", []string{"/healthz"} })
	shown := "Verification-Token: " + person.Secret
	eventually(t, "the token", func() bool { status, _ := knocks(t, "GET", g.URL+"/auth/forward/clone", shown); return status == 200 })
	for name, c := range map[string]struct {
		method, path string
		headers      []string
		status       int
	}{
		"nginx":                      {"GET", "/auth/forward", []string{shown, "X-Original-URI: /clone", "X-Original-Method: POST"}, 200},
		"nobody":                     {"GET", "/auth/forward", []string{"X-Original-URI: /clone", "X-Original-Method: POST"}, 401},
		"Envoy":                      {"DELETE", "/auth/forward/clone//1/../2", []string{shown}, 200},
		"an open path":               {"GET", "/auth/forward", []string{"X-Original-URI: /healthz", "X-Original-Method: GET"}, 200},
		"somewhere else":             {"GET", "/status", []string{shown}, 404},
		"no forwarder by its name":   {"GET", "/auth/forwarder", []string{shown}, 404},
		"a review that is not there": {"GET", "/auth/tokenreview", nil, 405},
	} {
		if status, body := knocks(t, c.method, g.URL+c.path, c.headers...); status != c.status {
			t.Errorf("%s: %d %s, not %d", name, status, body, c.status)
		}
	}
	review := fmt.Sprintf(`{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","spec":{"token":%q}}`, person.Secret)
	response, err := http.Post(g.URL+"/auth/tokenreview", "application/json", strings.NewReader(review))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	if !strings.Contains(string(body), `"username":"root@localhost"`) || strings.Contains(string(body), person.Secret) {
		t.Errorf("the review is %s", body)
	}
}

// The gate's own address says how it is, and nothing of the engine's.
func TestGateAdministration(t *testing.T) {
	w := newGateWorld(t, usualEngine)
	g := w.ready(true, nil)
	knocks(t, "GET", g.URL+"/status", "Verification-Token: "+labToken)
	for path, want := range map[string]string{
		"/livez": "live", "/readyz": `"engine":"lab"`, "/metrics": `jeton_gate_answers_total{reason="",via="verification"} 1`,
	} {
		if status, body := get(t, http.DefaultClient, g.AdminURL+path); status != 200 || !strings.Contains(body, want) {
			t.Errorf("%s: %d, without %s", path, status, want)
		}
	}
	if status, _ := get(t, http.DefaultClient, g.AdminURL+"/status"); status != 404 {
		t.Errorf("the engine's paths are at the gate's own address: %d", status)
	}
	if status, _ := knocks(t, "GET", g.URL+"/readyz"); status != 401 {
		t.Errorf("the gate's paths hide those of the engine: %d", status)
	}
}

// A gate without a certificate on an address that others reach says so.
func TestGateSpeaksHTTPS(t *testing.T) {
	w := newGateWorld(t, usualEngine)
	cert, key := filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	writeCertificate(t, cert, key, 1, time.Unix(1, 0))
	g := w.ready(true, func(c *GateConfig) { c.TLSCert, c.TLSKey = cert, key })
	if !strings.HasPrefix(g.URL, "https://") {
		t.Fatalf("the address is %s", g.URL)
	}
	client := &http.Client{Transport: insecure()}
	request, _ := http.NewRequest("GET", g.URL+"/status", nil)
	request.Header.Set("Verification-Token", labToken)
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != 200 || w.lab.last().Get("X-Forwarded-Proto") != "https" {
		t.Errorf("%s, %v", response.Status, w.lab.last())
	}
}

// insecure takes any certificate.
func insecure() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
	return t
}
