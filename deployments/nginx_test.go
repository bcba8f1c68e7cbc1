package deployments_test

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"jeton/engine"
)

// identity are the headers that say who has come in.
var identity = []string{
	engine.HeaderSubject, engine.HeaderEmail, engine.HeaderVia, engine.HeaderToken, engine.HeaderRole, "X-Forwarded-User-Email",
}

// guarded is an engine that knows nothing of tokens, nginx in front of it with our
// configuration, and Jeton, which nginx asks: all of them real.
type guarded struct {
	*testing.T
	platform platform
	url      string // of nginx
	client   *http.Client

	mu   sync.Mutex
	seen []http.Header // what has reached the engine
}

// platform is a running Jeton.
type platform struct {
	*testing.T
	binary, data, address string
	token                 string // of whoever has founded it
	process               *exec.Cmd
}

func (p *platform) must(err error) {
	p.Helper()
	if err != nil {
		p.Fatal(err)
	}
}

// found builds Jeton and founds a platform with the organization acme.
func (p *platform) found() {
	p.Helper()
	dir := p.TempDir()
	p.binary, p.data = filepath.Join(dir, "jeton"), filepath.Join(dir, "data")
	if out, err := exec.Command("go", "build", "-o", p.binary, "jeton/cmd/jeton").CombinedOutput(); err != nil {
		p.Fatalf("build: %v\n%s", err, out)
	}
	out, err := exec.Command(p.binary, "init", "--data", p.data, "--organization", "acme", "--name", "Acme", "--email", "root@acme.test", "-o", "json").Output()
	p.must(err)
	var founded struct{ Token string }
	p.must(json.Unmarshal(out, &founded))
	p.token, p.address = founded.Token, "127.0.0.1:0"
}

// start starts the server, and waits until it serves.
func (p *platform) start() {
	p.Helper()
	p.process = exec.Command(p.binary, "serve", "--data", p.data, "--listen", p.address, "--log-format", "json")
	log, err := p.process.StderrPipe()
	p.must(err)
	p.must(p.process.Start())
	p.Cleanup(p.stop)
	lines, seen := bufio.NewScanner(log), []string(nil)
	for lines.Scan() {
		seen = append(seen, lines.Text())
		if _, rest, found := strings.Cut(lines.Text(), `"url":"http://`); found {
			p.address, _, _ = strings.Cut(rest, `"`)
			go func() { _, _ = io.Copy(io.Discard, log) }() // until the process ends
			return
		}
	}
	p.Fatalf("the server ended:\n%s", strings.Join(seen, "\n"))
}

func (p *platform) stop() { end(p.process) }

// end ends a process that may have ended.
func end(process *exec.Cmd) {
	if process.ProcessState == nil {
		_ = process.Process.Signal(syscall.SIGTERM)
		_ = process.Wait()
	}
}

// made is what a request has made, or changed.
func (p *platform) made(as, method, path, body string) (made map[string]any) {
	p.Helper()
	r, err := http.NewRequest(method, "http://"+p.address+"/api/v1"+path, strings.NewReader(body))
	p.must(err)
	r.Header.Set("Authorization", "Bearer "+as)
	answer, err := http.DefaultClient.Do(r)
	p.must(err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	p.must(err)
	if answer.StatusCode/100 != 2 {
		p.Fatalf("%s %s: %d %s", method, path, answer.StatusCode, text)
	}
	if len(text) > 0 {
		p.must(json.Unmarshal(text, &made))
	}
	return made
}

// newGuarded starts all three, with an engine whose access token nginx has. The
// answer to its registration comes along.
func newGuarded(t *testing.T) (*guarded, map[string]any) {
	t.Helper()
	g := &guarded{T: t, platform: platform{T: t}}
	g.platform.found()
	g.platform.start()
	registered := g.platform.made(g.platform.token, "POST", "/organizations/acme/engines", `{"name":"prod","personal_tokens":true}`)
	behind := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.seen = append(g.seen, r.Header)
	}))
	t.Cleanup(behind.Close)
	g.startNginx(behind.Listener.Addr().String(), registered["access_token"].(string))
	return g, registered
}

// startNginx runs nginx with engine.conf, but for its ports and paths.
func (g *guarded) startNginx(behind, token string) {
	g.Helper()
	dir, address := g.TempDir(), freeAddress(g.T)
	g.url = "https://" + address
	g.certify(dir)
	mine := strings.NewReplacer("127.0.0.1:8080", g.platform.address, "127.0.0.1:2345", behind, "listen 443 ssl", "listen "+address+" ssl", "/etc/nginx/", dir+"/")
	g.put(dir, "engine.conf", mine.Replace(g.read("nginx/engine.conf")), 0o644)
	g.put(dir, "jeton-engine.conf", strings.Replace(g.read("nginx/jeton-engine.conf"), "the access token of the engine", token, 2), 0o600)
	g.put(dir, "nginx.conf", `
daemon off;
pid `+dir+`/pid;
worker_processes 1;
events {}
http {
	access_log off;
	proxy_buffering off; # or nginx writes large answers to files that its workers may not reach
	client_body_temp_path `+dir+`/body;
	proxy_temp_path `+dir+`/proxy;
	fastcgi_temp_path `+dir+`/fastcgi;
	uwsgi_temp_path `+dir+`/uwsgi;
	scgi_temp_path `+dir+`/scgi;
	include `+dir+`/engine.conf;
}`, 0o644)
	var log bytes.Buffer
	process := exec.Command("nginx", "-p", dir, "-e", "stderr", "-c", dir+"/nginx.conf")
	process.Stderr = &log
	if err := process.Start(); err != nil {
		g.Fatalf("%v: install nginx (Debian: apt-get install nginx-light)", err)
	}
	g.Cleanup(func() {
		end(process)
		if strings.Contains(log.String(), "[emerg]") || strings.Contains(log.String(), token) {
			g.Errorf("nginx says:\n%s", log.String())
		}
	})
	g.await(address)
}

func (g *guarded) await(address string) {
	g.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for began := time.Now(); time.Since(began) < 30*time.Second; <-tick.C {
		if conn, err := net.Dial("tcp", address); err == nil {
			_ = conn.Close()
			return
		}
	}
	g.Fatal("nginx does not listen after 30 s")
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// certify makes a certificate for nginx, and a client that believes it.
func (g *guarded) certify(dir string) {
	g.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	g.platform.must(err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "engine.example.org"}, DNSNames: []string{"engine.example.org"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	g.platform.must(err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	g.platform.must(err)
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	g.put(dir, "engine.crt", string(certificate), 0o644)
	g.put(dir, "engine.key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})), 0o600)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(certificate)
	g.client = &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "engine.example.org"}}}
}

func (g *guarded) read(file string) string {
	g.Helper()
	text, err := os.ReadFile(file)
	g.platform.must(err)
	return string(text)
}

func (g *guarded) put(dir, file, text string, mode os.FileMode) {
	g.Helper()
	g.platform.must(os.WriteFile(filepath.Join(dir, file), []byte(text), mode))
}

// asks sends a request to nginx, with headers as they are written. It answers what the
// client gets, and what has reached the engine; nil: nothing has.
func (g *guarded) asks(method, path string, headers ...string) (*http.Response, string, http.Header) {
	g.Helper()
	r, err := http.NewRequest(method, g.url+path, nil)
	g.platform.must(err)
	r.Host = "engine.example.org"
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		r.Header[name] = append(r.Header[name], value) // as it is, not as Go would write it
	}
	g.mu.Lock()
	g.seen = nil
	g.mu.Unlock()
	answer, err := g.client.Do(r)
	g.platform.must(err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	g.platform.must(err)
	g.mu.Lock()
	defer g.mu.Unlock()
	switch len(g.seen) {
	case 0:
		return answer, string(text), nil
	case 1:
		return answer, string(text), g.seen[0]
	}
	g.Fatalf("%s %s has reached the engine %d times", method, path, len(g.seen))
	return nil, "", nil
}

// nginx with our configuration lets in who comes in at the engine's door, tells the
// engine who that is, and nobody else can.
func TestNginx(t *testing.T) {
	g, registered := newGuarded(t)
	p := &g.platform
	root := p.token
	mia := p.made(root, "POST", "/organizations/acme/members", `{"email":"mia@acme.test","role":"member"}`)
	token := func(body string) map[string]any {
		t.Helper()
		return p.made(root, "POST", "/organizations/acme/tokens", body)
	}
	program := p.made(root, "POST", "/organizations/acme/service-accounts", `{"name":"ci","grant":{"access":"role","role":"ci"}}`)
	bot := p.made(root, "POST", fmt.Sprintf("/organizations/acme/service-accounts/%v/tokens", program["id"]), `{"name":"bot","expires_in":"1d"}`)
	robot, near := token(`{"name":"robot","kind":"administrative"}`), token(`{"name":"near","kind":"personal","networks":["127.0.0.0/8"]}`)
	far, gone := token(`{"name":"far","kind":"personal","networks":["192.0.2.0/24"]}`), token(`{"name":"gone","kind":"personal"}`)
	p.made(root, "DELETE", fmt.Sprintf("/organizations/acme/tokens/%v", gone["id"]), "")
	foreign := p.made(root, "POST", "/organizations", `{"alias":"globex","name":"Globex","owner_email":"zed@globex.test"}`)
	narrow := token(`{"name":"narrow","kind":"personal","grant":{"access":"custom","permissions":["engines.read"]}}`)

	bearer := func(secret any) string { return fmt.Sprint("Authorization: Bearer ", secret) }
	miaIs := []string{fmt.Sprint("user:", mia["id"]), "mia@acme.test", "personal", fmt.Sprint(mia["token_id"]), "member", "mia@acme.test"}
	verification := fmt.Sprint("Verification-Token: ", registered["verification_token"])
	rootIs := func(made map[string]any) []string {
		return []string{"user:1", "root@acme.test", "personal", fmt.Sprint(made["id"]), "owner", "root@acme.test"}
	}
	forged := []string{
		"Jeton-Subject: user:1", "JETON-EMAIL: root@acme.test", "jeton-via: personal", "Jeton-Token: x", "jEtOn-RoLe: owner", "X-Forwarded-User-Email: root@acme.test",
		"Jeton_Subject: user:1", "X_Forwarded_User_Email: root@acme.test", "jeton_role: owner", "X-Forwarded_User-Email: root@acme.test",
		"Jeton-Engine: x", "Jeton-Address: 192.0.2.7", "Jeton-Age: 0", "X-Forwarded-For: 192.0.2.7", "X-Original-URI: /public", "X-Forwarded-Uri: /public", "X-Forwarded-Method: HEAD",
	}
	for name, c := range map[string]struct {
		path    string
		headers []string
		status  int
		said    []string // nil: it does not come in
	}{
		"a member":                       {"/clones", []string{bearer(mia["token"])}, 200, miaIs},
		"a member, in the other header":  {"/clones?a=b", []string{"Verification-Token: " + fmt.Sprint(mia["token"])}, 200, miaIs},
		"a member with forged headers":   {"/", append(forged, bearer(mia["token"])), 200, miaIs},
		"a header for this hop":          {"/", []string{"Connection: Jeton-Subject, X-Forwarded-User-Email", bearer(mia["token"])}, 200, miaIs},
		"a program":                      {"/", []string{bearer(bot["secret"])}, 200, []string{fmt.Sprint("service:", program["id"]), "", "service", fmt.Sprint(bot["id"]), "", ""}},
		"a program with forged headers":  {"/", append(forged, bearer(bot["secret"])), 200, []string{fmt.Sprint("service:", program["id"]), "", "service", fmt.Sprint(bot["id"]), "", ""}},
		"the verification token":         {"/", []string{verification}, 200, []string{"", "", "verification", "", "", ""}},
		"and for somebody":               {"/", []string{verification, "X-Forwarded-User-Email: eve@acme.test"}, 200, []string{"", "eve@acme.test", "verification", "", "", "eve@acme.test"}},
		"from its network":               {"/", []string{bearer(near["secret"])}, 200, rootIs(near)},
		"from another network":           {"/", []string{bearer(far["secret"])}, 401, nil},
		"who says they are there":        {"/", append(forged, bearer(far["secret"])), 401, nil},
		"nothing":                        {"/", nil, 401, nil},
		"nothing but forged headers":     {"/", forged, 401, nil},
		"revoked":                        {"/", []string{bearer(gone["secret"])}, 401, nil},
		"of another organization":        {"/", []string{bearer(foreign["token"])}, 401, nil},
		"administrative":                 {"/", []string{bearer(robot["secret"])}, 401, nil},
		"the engine's own":               {"/", []string{bearer(registered["access_token"])}, 401, nil},
		"no token":                       {"/", []string{bearer("hello")}, 401, nil},
		"good, but not for coming in":    {"/", []string{bearer(narrow["secret"])}, 403, nil},
		"two that differ":                {"/", []string{verification, bearer(mia["token"])}, 500, nil},
		"in the URL":                     {"/?token=" + fmt.Sprint(mia["token"]), nil, 500, nil},
		"in the URL, and as it should":   {"/?token=" + fmt.Sprint(mia["token"]), []string{bearer(mia["token"])}, 500, nil},
		"the place where nginx asks":     {"/jeton", []string{bearer(mia["token"])}, 404, nil},
		"a path that leads there":        {"/x/../jeton", []string{bearer(mia["token"])}, 404, nil},
		"where the refusals are written": {"/@unauthorized", nil, 401, nil},
	} {
		t.Run(name, func(t *testing.T) {
			answer, text, reached := g.asks("POST", c.path, c.headers...)
			if answer.StatusCode != c.status || (reached != nil) != (c.said != nil) {
				t.Fatalf("status %d, want %d; the engine has heard %v: %s", answer.StatusCode, c.status, reached, text)
			}
			if c.status == 401 && (len(answer.Header["Www-Authenticate"]) != 1 || !strings.Contains(text, `"code":"UNAUTHORIZED"`)) {
				t.Errorf("refused with %v %s", answer.Header, text)
			}
			if c.said != nil {
				tells(t, reached, c.said)
			}
		})
	}
}

// tells holds what the engine has heard against who has come in. Nothing else that
// could say so is there, and no token.
func tells(t *testing.T, reached http.Header, want []string) {
	t.Helper()
	for i, name := range identity {
		if got := reached.Get(name); got != want[i] || len(reached[name]) > 1 {
			t.Errorf("%s is %q, want %q", name, reached[name], want[i])
		}
	}
	known := strings.ToLower(strings.Join(identity, " "))
	for name := range reached {
		plain := strings.ReplaceAll(strings.ToLower(name), "_", "-")
		said := strings.HasPrefix(plain, "jeton-") || plain == "x-forwarded-user-email"
		if said && (strings.Contains(name, "_") || !strings.Contains(known, plain)) || plain == "authorization" || plain == "verification-token" {
			t.Errorf("the engine hears %s: %q", name, reached[name])
		}
	}
}

// A change holds for the next request, and while the platform is away nobody comes in.
func TestNginxHearsOfChanges(t *testing.T) {
	g, registered := newGuarded(t)
	p := &g.platform
	root := "Authorization: Bearer " + p.token
	verification := fmt.Sprint("Verification-Token: ", registered["verification_token"])
	made := p.made(p.token, "POST", "/organizations/acme/tokens", `{"name":"laptop","kind":"personal"}`)
	laptop := fmt.Sprint("Authorization: Bearer ", made["secret"])
	want := func(what string, status int, headers ...string) {
		t.Helper()
		answer, text, reached := g.asks("GET", "/", headers...)
		if answer.StatusCode != status || (reached != nil) != (status == 200) {
			t.Errorf("%s: status %d, want %d; the engine has heard %v: %s", what, answer.StatusCode, status, reached, text)
		}
	}
	want("at first", 200, laptop)
	p.made(p.token, "DELETE", fmt.Sprintf("/organizations/acme/tokens/%v", made["id"]), "")
	want("once it is revoked", 401, laptop)
	want("another one", 200, root)
	p.stop()
	want("a good token while the platform is away", 500, root)
	want("the verification token while it is away", 500, verification)
	want("nothing while it is away", 500)
	p.start() // where it was
	want("when it is there again", 200, root)
	want("revoked, when it is there again", 401, laptop)
	p.made(p.token, "PATCH", fmt.Sprintf("/organizations/acme/engines/%v", registered["id"]), `{"disabled":true}`)
	want("while the engine is disabled", 401, root)
	want("the verification token while it is disabled", 401, verification)
	p.made(p.token, "DELETE", fmt.Sprintf("/organizations/acme/engines/%v", registered["id"]), "")
	want("when the engine is deleted", 401, root)
}

// Every example passes on each header that says who has come in, keeps the engine's
// access token out of itself, and those in YAML can be read.
func TestProxyExamples(t *testing.T) {
	secret := regexp.MustCompile(`jtn_[a-z]{3}_[0-9a-z]{16}`)
	for _, file := range []string{"nginx/engine.conf", "traefik/engine.yaml", "caddy/Caddyfile", "envoy/envoy.yaml"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range append(identity, "Verification-Token", "Jeton-Engine", "Jeton-Address") {
			if !strings.Contains(strings.ToLower(string(text)), strings.ToLower(name)) {
				t.Errorf("%s says nothing about %s", file, name)
			}
		}
		if !strings.Contains(string(text), "/auth/forward") || secret.Match(text) {
			t.Errorf("%s does not ask Jeton, or has a token in it", file)
		}
	}
	for _, file := range []string{"traefik/engine.yaml", "envoy/envoy.yaml", "kubernetes-tokenreview/webhook.yaml", "kubernetes-tokenreview/roles.yaml"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for document := yaml.NewDecoder(bytes.NewReader(text)); ; {
			var any map[string]any
			if err := document.Decode(&any); err == io.EOF {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
		}
	}
}
