package databaselabtest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	nethttp "net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gitlab.com/postgres-ai/database-lab/v3/pkg/client/dblabapi"
	dblablog "gitlab.com/postgres-ai/database-lab/v3/pkg/log"
	"gitlab.com/postgres-ai/database-lab/v3/pkg/models"

	"jeton/engine"
)

const (
	// labToken is what the engine's own gate wants to be shown.
	labToken = "the-verification-token-of-the-lab"
	// liar is whom everybody says they are who come by way of a liar.
	liar = "eve@acme.test"
	mia  = "mia@acme.test"
)

// house is a platform in a process of its own, and engines of its organization acme
// with guards in front.
type house struct {
	*testing.T
	binary, url, root string
	secrets           []string // none of them is for a log
	gated             string   // access token of the engine behind gates
}

// newHouse starts the platform, and registers the engine behind gates.
func newHouse(t *testing.T) *house {
	dblablog.SetDebug(false) // it writes whole requests down, tokens too
	h := &house{T: t, binary: filepath.Join(t.TempDir(), "jeton"), secrets: []string{labToken}}
	build := exec.Command("go", "build", "-o", h.binary, "./cmd/jeton")
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	data := filepath.Join(t.TempDir(), "data")
	out, err := exec.Command(h.binary, "init", "--data", data, "--organization", "acme", "--name", "Acme", "--email", "root@acme.test", "-o", "json").Output()
	h.must(err)
	var founded struct{ Token string }
	h.must(json.Unmarshal(out, &founded))
	h.root = h.secret(founded.Token)
	h.url = h.run(nil, "serve", "--data", data, "--listen", "127.0.0.1:0").URL
	h.gated = h.registered("lab")
	return h
}

func (h *house) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

func (h *house) secret(made any) string {
	h.Helper()
	text, _ := made.(string)
	if text == "" {
		h.Fatal("there is no secret in the answer")
	}
	h.secrets = append(h.secrets, text)
	return text
}

// made is what a request to the platform has made, or changed.
func (h *house) made(method, path, body string) (made map[string]any) {
	h.Helper()
	r, err := nethttp.NewRequestWithContext(h.Context(), method, h.url+"/api/v1/organizations"+path, strings.NewReader(body))
	h.must(err)
	r.Header.Set("Authorization", "Bearer "+h.root)
	answer, err := nethttp.DefaultClient.Do(r)
	h.must(err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	h.must(err)
	if answer.StatusCode/100 != 2 {
		h.Fatalf("%s %s: %d %s", method, path, answer.StatusCode, text)
	}
	h.must(json.Unmarshal(text, &made))
	return made
}

// registered is the access token of a new engine, which the verification token of the
// lab opens, too.
func (h *house) registered(name string) string {
	h.Helper()
	made := h.made("POST", "/acme/engines", fmt.Sprintf(`{"name":%q,"personal_tokens":true,"verification_token":%q}`, name, labToken))
	return h.secret(made["access_token"])
}

// serving is what a process says when it serves.
type serving struct {
	URL, Admin string
}

// run starts Jeton, and waits until it serves. When the test ends it must end cleanly,
// and have written no secret down.
func (h *house) run(env []string, args ...string) (s serving) {
	h.Helper()
	process := exec.Command(h.binary, append(args, "--log-format", "json", "--log-level", "debug")...)
	process.Env = append(os.Environ(), env...)
	log, err := process.StderrPipe()
	h.must(err)
	h.must(process.Start())
	var written bytes.Buffer
	said := make(chan serving, 1)
	var reading sync.WaitGroup
	reading.Go(func() {
		defer close(said)
		for lines := bufio.NewScanner(log); lines.Scan(); {
			var s serving
			if written.WriteString(lines.Text() + "\n"); json.Unmarshal(lines.Bytes(), &s) == nil && s.URL != "" {
				select {
				case said <- s:
				default:
				}
			}
		}
	})
	h.Cleanup(func() {
		_ = process.Process.Signal(syscall.SIGTERM)
		reading.Wait()
		if err := process.Wait(); err != nil {
			h.Errorf("jeton %s: %v\n%s", args[0], err, written.String())
		}
		if slices.ContainsFunc(h.secrets, func(secret string) bool { return strings.Contains(written.String(), secret) }) {
			h.Errorf("jeton %s has written a secret down", args[0])
		}
	})
	if s = <-said; s.URL == "" {
		h.Fatalf("jeton %s does not serve", args[0])
	}
	return s
}

// engineFile is the file of an engine as Database Lab has it, as far as it matters.
const engineFile = `server:
  verificationToken: "${DBLAB_VERIFICATION_TOKEN}"
  port: 2345
global:
  engine: postgres
  debug: true
platform:
  url: "%s/api/general"
  enableTelemetry: true
  projectName: "project_name"
  accessToken: "${PGAI_PLATFORM_ACCESS_TOKEN}"
  enablePersonalTokens: true
`

// gate starts an engine and a gate in front of it, which its file sets up, and waits
// until it knows who comes in.
func (h *house) gate(args ...string) (*lab, string) {
	h.Helper()
	l := newLab(h.T, &lab{token: labToken}, unguarded)
	file := filepath.Join(h.TempDir(), "server.yml")
	h.must(os.WriteFile(file, fmt.Appendf(nil, engineFile, h.url), 0o600))
	gate := h.run([]string{"DBLAB_VERIFICATION_TOKEN=" + labToken, "PGAI_PLATFORM_ACCESS_TOKEN=" + h.gated},
		append([]string{"gate", "--config", file, "--upstream", l.URL, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"}, args...)...)
	h.until("the gate is ready", func() bool {
		answer, err := nethttp.Get(gate.Admin + "/readyz")
		if err != nil {
			return false
		}
		_ = answer.Body.Close()
		return answer.StatusCode == 200
	})
	return l, gate.URL
}

// until waits for something that happens soon.
func (h *house) until(what string, is func() bool) {
	h.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for began := time.Now(); time.Since(began) < 30*time.Second; <-tick.C {
		if is() {
			return
		}
	}
	h.Fatalf("after 30 s: not yet that %s", what)
}

// embedded starts an engine that has the guard in its own process.
func (h *house) embedded() *lab {
	h.Helper()
	door, err := engine.Open(context.Background(), engine.Config{URL: h.url, Token: h.registered("embedded")})
	h.must(err)
	h.Cleanup(func() { h.must(door.Close()) })
	ctx, cancel := context.WithTimeout(h.Context(), 30*time.Second)
	defer cancel()
	h.must(door.Ready(ctx))
	guard := engine.Middleware(door, engine.Options{Open: func(r *nethttp.Request) bool { return r.URL.Path == "/healthz" || r.URL.Path == "/estimate" }})
	return newLab(h.T, &lab{who: func(r *nethttp.Request) string {
		a, _ := engine.Identity(r.Context())
		return a.Email
	}}, guard)
}

// nginxFile passes everything on to a gate, WebSockets too. Nothing is put into files on
// the way: the worker may not be allowed into the directory of the test.
const nginxFile = `
daemon off;
pid DIR/pid;
worker_processes 1;
events {}
http {
	access_log off;
	client_body_temp_path DIR/body;
	proxy_temp_path DIR/proxy;
	fastcgi_temp_path DIR/fastcgi;
	uwsgi_temp_path DIR/uwsgi;
	scgi_temp_path DIR/scgi;
	map $http_upgrade $connection_upgrade {
		default upgrade;
		''      '';
	}
	server {
		listen ADDRESS;
		location / {
			proxy_http_version 1.1;
			proxy_buffering off;
			proxy_request_buffering off;
			proxy_set_header Host            $host;
			proxy_set_header X-Forwarded-For $remote_addr;
			proxy_set_header Upgrade         $http_upgrade;
			proxy_set_header Connection      $connection_upgrade;
			proxy_pass GATE;
		}
	}
}`

// nginx starts nginx in front of a gate.
func (h *house) nginx(gate string) string {
	h.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	h.must(err)
	dir, address := h.TempDir(), free.Addr().String()
	h.must(free.Close())
	file := filepath.Join(dir, "nginx.conf")
	h.must(os.WriteFile(file, []byte(strings.NewReplacer("DIR", dir, "ADDRESS", address, "GATE", gate).Replace(nginxFile)), 0o644))
	var log bytes.Buffer
	process := exec.Command("nginx", "-p", dir, "-e", "stderr", "-c", file)
	process.Stderr = &log
	if err := process.Start(); err != nil {
		h.Fatalf("%v: install nginx (Debian: apt-get install nginx-light)", err)
	}
	h.Cleanup(func() {
		_ = process.Process.Signal(syscall.SIGTERM)
		if err := process.Wait(); err != nil || log.Len() > 0 {
			h.Errorf("nginx: %v\n%s", err, log.String())
		}
	})
	h.until("nginx listens", func() bool {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			return false
		}
		return conn.Close() == nil
	})
	return "http://" + address
}

// front is a way in to an engine.
type front struct {
	*lab
	url string
	// lies is the same way by a proxy that says of everybody that they are somebody
	// else.
	lies string
}

func (h *house) front(l *lab, at string) *front {
	h.Helper()
	target, err := url.Parse(at)
	h.must(err)
	proxy := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		for _, name := range []string{"X-Forwarded-User-Email", "X_Forwarded_User_Email", "Jeton-Email", "Jeton_Email"} {
			r.Out.Header[name] = []string{liar}
		}
	}})
	h.Cleanup(proxy.Close)
	return &front{lab: l, url: at, lies: proxy.URL}
}

// shown is what the client is told to show, and what the engine is to hear then.
type shown struct {
	token string
	lies  bool // by the proxy that lies
	in    bool
	email string // of who has come in
}

// ask makes all calls at once, and holds what the client and the engine got against
// what they are to get.
func (f *front) ask(t *testing.T, s shown) {
	t.Helper()
	host := f.url
	if s.lies {
		host = f.lies
	}
	client, err := dblabapi.NewClient(dblabapi.Options{Host: host, VerificationToken: s.token})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var asking sync.WaitGroup
	for name, c := range calls {
		asking.Go(func() {
			if got, err := c.do(ctx, client); s.in || c.open {
				if err != nil || got != c.want {
					t.Errorf("%s: got %q, %v, want %q", name, got, err, c.want)
				}
			} else if !unauthorized(err) {
				t.Errorf("%s: got %q, %v, want the engine's words", name, got, err)
			}
		})
	}
	asking.Wait()
	got, headers := f.tell()
	if want := f.wants(s); !slices.Equal(got, want) {
		t.Errorf("the engine has heard\n%s\nand was to hear\n%s", lines(got), lines(want))
	}
	if f.token != "" && s.token != "" && s.token != f.token && strings.Contains(fmt.Sprint(headers), s.token) {
		t.Error("the engine has heard what the client has shown")
	}
}

// unauthorized reports whether an error of the client is the refusal of an engine, as
// the CLI prints it.
func unauthorized(err error) bool {
	var refusal models.Error
	return errors.As(err, &refusal) && refusal == models.Error{Code: models.ErrCodeUnauthorized, Message: "Check your verification token."} &&
		strings.HasSuffix(err.Error(), "Check your verification token.")
}

// wants is what the engine is to hear when all calls are made.
func (f *front) wants(s shown) (all []heard) {
	for _, c := range calls {
		if !s.in && !c.open {
			continue
		}
		h := heard{email: s.email, token: f.token}
		if c.open {
			h = heard{}
		}
		for request := range strings.SplitSeq(c.sends, ",") {
			h.request = request
			all = append(all, h)
		}
	}
	slices.SortFunc(all, byRequest)
	return all
}

func lines(all []heard) string {
	var text strings.Builder
	for _, h := range all {
		fmt.Fprintf(&text, "  %s by %q with %q\n", h.request, h.email, h.token)
	}
	return text.String()
}

// The client of the CLI, unchanged, works with each of its calls through every guard
// with what opens the engine's door, and with nothing else.
func TestCLI(t *testing.T) {
	h := newHouse(t)
	made := func(path, body string) map[string]any { return h.made("POST", path, body) }
	personal := h.secret(made("/acme/members", fmt.Sprintf(`{"email":%q,"role":"member"}`, mia))["token"])
	foreign := h.secret(made("", `{"alias":"globex","name":"Globex","owner_email":"zed@globex.test"}`)["token"])
	administrative := h.secret(made("/acme/tokens", `{"name":"robot","kind":"administrative"}`)["secret"])
	gone := made("/acme/tokens", `{"name":"gone","kind":"personal"}`)
	revoked := h.secret(gone["secret"])
	program := made("/acme/service-accounts", `{"name":"ci","grant":{"access":"role","role":"ci"}}`)
	service := h.secret(made(fmt.Sprintf("/acme/service-accounts/%v/tokens", program["id"]), `{"name":"bot","expires_in":"1d"}`)["secret"])

	embedded := h.embedded()
	behind, gate := h.gate(openGate...)
	behindNginx, inner := h.gate(openGate...)
	fronts := map[string]*front{
		"the middleware":   h.front(embedded, embedded.URL),
		"the gate":         h.front(behind, gate),
		"nginx and a gate": h.front(behindNginx, h.nginx(inner)),
	}
	for name, f := range fronts {
		t.Run("before it is revoked at "+name, func(t *testing.T) { f.ask(t, shown{revoked, false, true, "root@acme.test"}) })
	}
	h.made("DELETE", fmt.Sprintf("/acme/tokens/%v", gone["id"]), "")
	receipt := h.made("GET", fmt.Sprintf("/acme/tokens/%v/revocation?wait=30", gone["id"]), "")
	if engines, _ := receipt["engines"].([]any); receipt["complete"] != true || len(engines) != len(fronts) {
		t.Fatalf("the revocation is not complete: %v", receipt)
	}
	credentials := map[string]shown{
		"a personal token":                     {personal, false, true, mia},
		"a personal token, and a lie":          {personal, true, true, mia},
		"a service account":                    {service, false, true, ""},
		"a service account, and a lie":         {service, true, true, ""},
		"the verification token":               {labToken, false, true, ""},
		"the verification token, for somebody": {labToken, true, true, liar},

		"nothing":                            {"", false, false, ""},
		"nothing but a lie":                  {"", true, false, ""},
		"an administrative token":            {administrative, false, false, ""},
		"an administrative token, and a lie": {administrative, true, false, ""},
		"the engine's access token":          {h.gated, false, false, ""},
		"a revoked token":                    {revoked, false, false, ""},
		"a revoked token, and a lie":         {revoked, true, false, ""},
		"another organization's":             {foreign, false, false, ""},
		"another organization's, and a lie":  {foreign, true, false, ""},
		"a token with another letter":        {altered(personal), false, false, ""},
		"a piece of the verification token":  {labToken[:len(labToken)-1], false, false, ""},
		"what is no token, and a lie":        {"secret_token", true, false, ""},
	}
	for at, f := range fronts {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			for name, s := range credentials {
				t.Run(name, func(t *testing.T) { f.ask(t, s) })
			}
		})
	}
	t.Run("estimates at a gate as it is", h.estimates)
}

// openGate has a gate pass on what the engine has no gate for, and believe nginx about
// where requests come from.
var openGate = []string{"--open-path", "/healthz,/estimate", "--trusted-proxies", "127.0.0.1"}

// The client shows no token with Estimate, so that nobody comes in with it unless the
// gate is told to leave its path open.
func (h *house) estimates(t *testing.T) {
	behind, gate := h.gate()
	client, err := dblabapi.NewClient(dblabapi.Options{Host: gate, VerificationToken: h.root})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Status(t.Context()); err != nil {
		t.Errorf("status: %v", err)
	}
	if got, err := estimate(t.Context(), client); err == nil || !strings.Contains(err.Error(), "bad handshake") {
		t.Errorf("got %q, %v, want a refusal", got, err)
	}
	if said, _ := behind.tell(); len(said) != 1 || said[0].email != "root@acme.test" {
		t.Errorf("the engine has heard\n%s", lines(said))
	}
}
