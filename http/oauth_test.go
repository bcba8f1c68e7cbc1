package http

import (
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/routers/legacy"
)

const (
	introspect = "POST /oauth2/introspect"
	revoke     = "POST /oauth2/revoke"
	aForm      = "Content-Type: application/x-www-form-urlencoded"
)

// basic is a client that shows its token as the password of HTTP Basic.
func (w *world) basic(user, name string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+w.secret(name)))
}

func TestOAuth(t *testing.T) {
	given := all(hasServiceAccount("builder"), hasEngine("prod", `"personal_tokens":true`))
	run(t, "oauth", map[string]scenario{
		"a member's token":              {send: introspect, as: "robot", body: "token={mia.secret}", headers: []string{aForm}, status: 200},
		"an administrative token":       {send: introspect, as: "robot", body: "token={robot.secret}&token_type_hint=access_token&other=1", headers: []string{aForm}, status: 200},
		"a service account's token":     {given: all(given, hasBot), send: introspect, as: "robot", body: "token={bot.secret}", headers: []string{aForm}, status: 200},
		"another organization's token":  {send: introspect, as: "robot", body: "token={zoe.secret}", headers: []string{aForm}, status: 200},
		"no token at all":               {send: introspect, as: "robot", body: "token=hello", headers: []string{aForm}, status: 200},
		"the engine's own token":        {given: given, send: introspect, as: "prod", body: "token={prod.secret}", headers: []string{aForm}, status: 200},
		"at the door of an engine":      {given: given, send: introspect, as: "prod", body: "token={mia.secret}", headers: []string{aForm}, status: 200},
		"no form":                       {send: introspect, as: "robot", body: `{"token":"{mia.secret}"}`, headers: []string{"Content-Type: application/json"}, status: 400},
		"no token in the form":          {send: introspect, as: "robot", body: "token=", headers: []string{aForm}, status: 400},
		"a parameter twice":             {send: introspect, as: "robot", body: "token=a&token=b", headers: []string{aForm}, status: 400},
		"a form that can't be read":     {send: introspect, as: "robot", body: "token=%zz", headers: []string{aForm}, status: 400},
		"an address that is none":       {send: introspect, as: "robot", body: "token={mia.secret}&ip=here", headers: []string{aForm}, status: 400},
		"nobody introspects":            {send: introspect, as: stranger, body: "token={mia.secret}", headers: []string{aForm}, status: 401},
		"who may not introspect":        {given: hasReader, send: introspect, as: "reader", body: "token={mia.secret}", headers: []string{aForm}, status: 403},
		"a token in the URL":            {send: introspect + "?token={mia.secret}", as: "robot", body: "token=x", headers: []string{aForm}, status: 400},
		"a second token in the form":    {send: introspect, as: "robot", body: "token={mia.secret}&client_secret={ann.secret}", headers: []string{aForm}, status: 400},
		"another scheme":                {send: introspect, as: stranger, body: "token={mia.secret}", headers: []string{aForm, "Authorization: Digest x"}, status: 401},
		"the client's secret in a form": {send: introspect, as: stranger, body: "client_id=robot&client_secret={robot.secret}&token={zoe.secret}", headers: []string{aForm}, status: 200},

		"revoke":                         {send: revoke, as: "robot", body: "token={mia.secret}&token_type_hint=refresh_token", headers: []string{aForm}, status: 200, then: []string{"token.burned"}},
		"revoke one's own":               {send: revoke, as: "mia", body: "token={mia.secret}", headers: []string{aForm}, status: 200, then: []string{"token.burned"}},
		"revoke what is revoked":         {given: does("ann", "DELETE "+tokensOfAcme+"/{mia.token}", ""), send: revoke, as: "robot", body: "token={mia.secret}", headers: []string{aForm}, status: 200},
		"revoke another organization's":  {send: revoke, as: "robot", body: "token={zoe.secret}", headers: []string{aForm}, status: 200},
		"revoke what is no token":        {send: revoke, as: "robot", body: "token=hello", headers: []string{aForm}, status: 200},
		"revoke by the id":               {send: revoke, as: "robot", body: "token={mia.token}", headers: []string{aForm}, status: 200},
		"revoke with a token that ended": {given: does("ann", "DELETE "+tokensOfAcme+"/{mia.token}", ""), send: revoke, as: "mia", body: "token={mia.secret}", headers: []string{aForm}, status: 401},
		"nobody revokes":                 {send: revoke, as: stranger, body: "token={mia.secret}", headers: []string{aForm}, status: 401},

		"metadata": {send: "GET /.well-known/oauth-authorization-server", as: stranger, status: 200},
	})
}

// hasBot is a token of {builder}.
func hasBot(w *world) {
	w.Helper()
	made := w.made("ann", "POST /api/v1/organizations/acme/service-accounts/{builder}/tokens", `{"name":"bot","expires_in":"30d"}`)
	w.names["bot.token"], w.names["bot.secret"] = made["id"].(string), made["secret"].(string)
}

// hasReader is an administrative token that may not ask about others.
func hasReader(w *world) {
	w.Helper()
	made := w.made("ann", "POST "+tokensOfAcme, `{"name":"reader","kind":"administrative","grant":{"access":"custom","permissions":["log.read"]}}`)
	w.names["reader.token"], w.names["reader.secret"] = made["id"].(string), made["secret"].(string)
}

// However a client shows its token, it is the same client.
func TestOAuthClients(t *testing.T) {
	w := newWorld(t)
	form := url.Values{"token": {w.secret("mia")}}
	want := w.send("robot", introspect, form.Encode(), aForm)
	posted := url.Values{"token": {w.secret("mia")}, "client_secret": {w.secret("robot")}}
	for name, got := range map[string]reply{
		"bearer in small letters": w.send("", introspect, form.Encode(), aForm, "Authorization: bearer {robot.secret}"),
		"basic":                   w.send("", introspect, form.Encode(), aForm, w.basic("robot", "robot")),
		"basic without a name":    w.send("", introspect, form.Encode(), aForm, w.basic("", "robot")),
		"post":                    w.send("", introspect, posted.Encode(), aForm),
		"both":                    w.send("robot", introspect, posted.Encode(), aForm, w.basic("x", "robot")),
		"with a charset":          w.send("robot", introspect, form.Encode(), aForm+"; charset=UTF-8"),
	} {
		if got.status != 200 || got.body != want.body || !strings.Contains(got.body, `"active":true`) {
			t.Errorf("%s: %d %s, want %s", name, got.status, got.body, want.body)
		}
	}
	for name, headers := range map[string][]string{
		"a name and no password": {"Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(w.secret("robot")))},
		"no base64":              {"Authorization: Basic " + w.secret("robot")},
		"an empty password":      {"Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("robot:"))},
		"the token of nobody":    {"Authorization: Bearer jtn_adm_000000000000000000000000000000000000000000000000000000000000000000"},
	} {
		if got := w.send("", introspect, form.Encode(), append(headers, aForm)...); got.status != 401 || got.object(t)["error"] != "invalid_client" || !strings.Contains(strings.Join(got.header["Www-Authenticate"], ","), "Basic") {
			t.Errorf("%s: %d %v %s", name, got.status, got.header, got.body)
		}
	}
	if got := w.send("robot", introspect, form.Encode(), aForm, w.basic("x", "ann")); got.status != 400 {
		t.Errorf("two clients at once: %d %s", got.status, got.body)
	}
}

// What is not good is not told apart, to the byte.
func TestIntrospectionTellsNothing(t *testing.T) {
	w := newWorld(t)
	hasToken("ann", "bound", "personal")(w)
	does("ann", "PATCH "+tokensOfAcme+"/{bound.token}", `{"networks":["192.0.2.0/24"]}`)(w)
	does("ann", "DELETE "+tokensOfAcme+"/{mia.token}", "")(w)
	for name, token := range map[string]string{
		"revoked": w.secret("mia"), "foreign": w.secret("zoe"), "unknown": "jtn_pat_000000000000000000000000000000000000000000000000000000000000000000",
		"text": "hello", "an id": "{ada.token}", "bound to networks, from nowhere": w.secret("bound"),
		"bound to networks, from another": w.secret("bound") + "&ip=198.51.100.1", "half": w.secret("ada")[:40],
	} {
		got := w.send("robot", introspect, "token="+token, aForm)
		if got.status != 200 || got.body != `{"active":false}`+"\n" || got.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %v %s", name, got.status, got.header, got.body)
		}
	}
	if got := w.send("robot", introspect, "token="+w.secret("bound")+"&ip=192.0.2.9", aForm); got.object(t)["active"] != true {
		t.Errorf("from its network: %s", got.body)
	}
}

// An engine learns of no token that does not open its own door.
func TestIntrospectionOfAnEngine(t *testing.T) {
	w := newWorld(t)
	hasEngine("prod", `"personal_tokens":true,"verification_token":"0123456789abcdefghij"`)(w)
	hasEngine("shut", `"verification_token":"9876543210abcdefghij"`)(w)
	made := w.made("mia", "POST "+tokensOfAcme, `{"name":"narrow","kind":"personal","grant":{"access":"custom","permissions":["engines.use"],"resources":["engine:shut"]}}`)
	w.names["narrow.secret"] = made["secret"].(string)
	for name, c := range map[string]struct {
		as, token string
		active    bool
	}{
		"a member's":                 {"prod", w.secret("mia"), true},
		"an administrative one":      {"prod", w.secret("robot"), false},
		"its own":                    {"prod", w.secret("prod"), false},
		"for another engine":         {"prod", w.secret("narrow"), false},
		"the verification token":     {"prod", "0123456789abcdefghij", false},
		"another organization's":     {"prod", w.secret("zoe"), false},
		"no personal tokens":         {"shut", w.secret("mia"), false},
		"of a program that may know": {"robot", w.secret("robot"), true},
	} {
		got := w.send(c.as, introspect, "token="+c.token, aForm).object(t)
		if got["active"] != c.active || !c.active && len(got) != 1 {
			t.Errorf("%s: %v, want active %t", name, got, c.active)
		}
	}
}

// The issuer is what was asked for; proxies that are not trusted change nothing.
func TestIssuer(t *testing.T) {
	const metadata = "GET /.well-known/oauth-authorization-server"
	trusted := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	for name, c := range map[string]struct {
		host    string
		tls     bool
		proxies []netip.Prefix
		headers []string
		want    string // empty: refused
	}{
		"plain":                     {"jeton.test", false, nil, nil, "http://jeton.test"},
		"TLS":                       {"jeton.test:8443", true, nil, nil, "https://jeton.test:8443"},
		"IPv6":                      {"[2001:db8::1]:8080", false, nil, nil, "http://[2001:db8::1]:8080"},
		"a proxy nobody trusts":     {"jeton.test", false, nil, []string{"X-Forwarded-Proto: https", "X-Forwarded-Host: evil.test"}, "http://jeton.test"},
		"a trusted proxy":           {"backend", false, trusted, []string{"X-Forwarded-Proto: https", "X-Forwarded-Host: jeton.test"}, "https://jeton.test"},
		"a proxy in front of one":   {"jeton.test", true, trusted, []string{"X-Forwarded-Host: a.test", "X-Forwarded-Host: b.test"}, "https://jeton.test"},
		"no host":                   {"", false, nil, nil, ""},
		"a host with a path":        {"jeton.test/x", false, nil, nil, ""},
		"a host with a user":        {"a@jeton.test", false, nil, nil, ""},
		"a scheme of a stranger's":  {"jeton.test", false, trusted, []string{"X-Forwarded-Proto: javascript"}, ""},
		"markup instead of a host":  {"<script>", false, nil, nil, ""},
		"two schemes, one is right": {"jeton.test", false, trusted, []string{"X-Forwarded-Proto: https, http"}, ""},
	} {
		w := newWorld(t)
		w.server.TrustedProxies = c.proxies
		r := w.request("", metadata, "", c.headers...)
		if r.Host = c.host; c.tls {
			r.TLS = new(tls.ConnectionState)
		}
		got := w.do(r)
		if c.want == "" {
			if got.status != 400 {
				t.Errorf("%s: %d %s", name, got.status, got.body)
			}
			continue
		}
		said := got.object(t)
		if said["issuer"] != c.want || said["revocation_endpoint"] != c.want+"/oauth2/revoke" || got.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %s, want %s", name, got.body, c.want)
		}
	}
}

// No error of OAuth repeats what was sent, and each is of the shape that clients read.
func TestOAuthErrors(t *testing.T) {
	w := newWorld(t)
	for name, c := range map[string]struct {
		body   string
		status int
		code   string
	}{
		"too large":   {"token=" + strings.Repeat("x", bodyLimit), 413, "invalid_request"},
		"nothing":     {"", 400, "invalid_request"},
		"odd signs":   {"token=x&ip=\"\\", 400, "invalid_request"},
		"a bad field": {"token=x&ip={mia.secret}", 400, "invalid_request"},
	} {
		got := w.send("robot", introspect, c.body, aForm)
		said := got.object(t)
		if got.status != c.status || said["error"] != c.code || got.header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
		for _, sign := range said["error_description"].(string) {
			if sign < ' ' || sign > '~' || sign == '"' || sign == '\\' {
				t.Errorf("%s: %q stands in %s", name, sign, got.body)
			}
		}
	}
}

// What the routes of standards answer is what the document says.
func TestStandardsAreAsDescribed(t *testing.T) {
	w := newWorld(t)
	hasEngine("prod", `"personal_tokens":true`)(w)
	router, err := legacy.NewRouter(document(t, w), openapi3.IsOpenAPI31OrLater())
	w.must(err)
	form := func(r *http.Request) *http.Request {
		r.Header.Set("Content-Type", formType)
		return r
	}
	for _, as := range []string{"robot", "prod", "ada", ""} {
		conforms(t, w, router, form(w.request(as, introspect, "token={mia.secret}")))
		conforms(t, w, router, form(w.request(as, introspect, "token={zoe.secret}&ip=192.0.2.1")))
		conforms(t, w, router, form(w.request(as, revoke, "token={zoe.secret}")))
		conforms(t, w, router, w.request(as, "GET /.well-known/oauth-authorization-server", ""))
		conforms(t, w, router, w.request("mia", "GET "+forwardPath, "", "Jeton-Engine: "+w.secret(or(as, "zoe"))))
		conforms(t, w, router, w.request(as, "POST /auth/tokenreview", aReview("{mia.secret}")))
	}
}

func or(name, other string) string {
	if name == "" {
		return other
	}
	return name
}

// What is in the table of standards is in the document, with who may call it.
func TestStandardsAreDescribed(t *testing.T) {
	w := newWorld(t)
	var said struct {
		Paths map[string]map[string]struct {
			Summary   string
			Access    string `json:"x-access"`
			Security  []map[string][]string
			Responses map[string]json.RawMessage
		}
		Components struct {
			Schemes map[string]json.RawMessage `json:"securitySchemes"`
		}
	}
	w.must(json.Unmarshal([]byte(w.send("", "GET /api/openapi.json", "").body), &said))
	for _, r := range w.server.standardRoutes() {
		if strings.HasSuffix(r.pattern, "{rest...}") {
			continue // OpenAPI has no paths with steps
		}
		method, path, _ := strings.Cut(r.pattern, " ")
		if path == "" {
			method, path = "GET", method
		}
		op, described := said.Paths[path][strings.ToLower(method)]
		if !described || op.Summary != r.summary || op.Access != r.access.String() || (op.Security == nil) != (r.access.who == anybody) {
			t.Errorf("%s is described by %+v", r.pattern, op)
		}
		for _, alternative := range op.Security {
			for scheme := range alternative {
				if said.Components.Schemes[scheme] == nil {
					t.Errorf("%s: nobody says what %s is", r.pattern, scheme)
				}
			}
		}
	}
	if !slices.ContainsFunc(w.server.standardRoutes(), func(r route) bool { return r.access.who == anEngine }) {
		t.Error("no route is for engines")
	}
}
