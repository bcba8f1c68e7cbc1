package main

import (
	"strings"
	"testing"
)

// environment is a table of variables.
func environment(lines ...string) func(string) (string, bool) {
	return (&Program{Env: lines}).env
}

// Variables are put in where the engine puts them in, and nowhere else.
func TestEngineFileExpandsAsTheEngine(t *testing.T) {
	env := environment("TOKEN=secret", "EMPTY=", "A=a", "_B9=b")
	for name, c := range map[string]struct{ text, want, err string }{
		"nothing there":             {"", "", ""},
		"plain":                     {"plain-secret", "plain-secret", ""},
		"with braces":               {"${TOKEN}", "secret", ""},
		"without braces":            {"$TOKEN", "secret", ""},
		"within a text":             {"x-${TOKEN}-y", "x-secret-y", ""},
		"at its end, without":       {"x-$TOKEN", "x-secret", ""},
		"two":                       {"$A${_B9}", "ab", ""},
		"set and empty":             {"${EMPTY}", "", ""},
		"not set":                   {"${MISSING}", "", "the variable MISSING is not set"},
		"not set, without braces":   {"$MISSING", "", "the variable MISSING is not set"},
		"the longest name":          {"$TOKENS", "", "the variable TOKENS is not set"},
		"what a variable says":      {"$A", "a", ""},
		"a number":                  {"***$1", "", "a $ that begins no name"},
		"two signs":                 {"a$$b", "", "a $ that begins no name"},
		"a brace that never closes": {"${TOKEN", "", ""},
	} {
		got, err := expand(c.text, env)
		switch {
		case name == "a brace that never closes": // the library drops it; nothing of the secret may be left
			if strings.Contains(got, "secret") {
				t.Errorf("%s: %q", name, got)
			}
		case c.err == "" && (err != nil || got != c.want):
			t.Errorf("%s: %q gives %q, %v, not %q", name, c.text, got, err, c.want)
		case c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)):
			t.Errorf("%s: %q gives %v, not %s", name, c.text, err, c.err)
		case err != nil && got != "":
			t.Errorf("%s: an error and a value", name)
		}
	}
}

// The file of an engine is read as it is, with all that a gate does not know.
func TestEngineFileIsReadAsItIs(t *testing.T) {
	text := `
server:
  verificationToken: "${DBLAB_VERIFICATION_TOKEN}"
  port: 2345
embeddedUI: {enabled: true, port: 2346}
global: &global
  engine: postgres
  debug: yes
poolManager: {mountDir: /var/lib/dblab}
retrieval:
  jobs: [logicalDump]
  spec: {logicalDump: {options: {<<: *global, source: {connection: {password: "pa$$word"}}}}}
platform:
  url: "https://jeton.example.org/api/general/"
  orgKey: "key$HOME"
  projectName: "shop"
  accessToken: "${PGAI_PLATFORM_ACCESS_TOKEN}"
  enablePersonalTokens: true
  enableTelemetry: true
`
	f, err := parseEngineFile([]byte(text), environment("DBLAB_VERIFICATION_TOKEN=v", "PGAI_PLATFORM_ACCESS_TOKEN=a"))
	if err != nil {
		t.Fatal(err)
	}
	if f.Server.VerificationToken != "v" || f.Platform.AccessToken != "a" || !f.Platform.PersonalTokens {
		t.Errorf("read as %+v", f)
	}
}

// What is wrong in a file is said without its secrets.
func TestEngineFileKeepsItsSecrets(t *testing.T) {
	for name, text := range map[string]string{
		"a list for a text":  "server:\n  verificationToken: [hidden-one]\n",
		"a text for a bool":  "platform:\n  enablePersonalTokens: hidden-one\n",
		"no YAML":            "server: {verificationToken: \"hidden-one\n",
		"a text for a table": "server: hidden-one\n",
		"an unset variable":  "server:\n  verificationToken: \"hidden-one-$MISSING\"\n",
		"a stray sign":       "server:\n  verificationToken: \"hidden-one$$\"\n",
	} {
		if _, err := parseEngineFile([]byte(text), environment()); err == nil || strings.Contains(err.Error(), "hidden-one") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Where the service is follows from the engine's URL of it, or from nothing.
func TestPlatformOf(t *testing.T) {
	for base, want := range map[string]string{
		"https://jeton.example.org/api/general":        "https://jeton.example.org",
		"https://jeton.example.org/api/general/":       "https://jeton.example.org",
		"http://127.0.0.1:8080/api/general":            "http://127.0.0.1:8080",
		"https://example.org/jeton/api/general":        "https://example.org/jeton",
		"https://postgres.ai/api/general?x=y":          "https://postgres.ai?x=y", // refused as an address
		"https://jeton.example.org":                    "",
		"https://jeton.example.org/api":                "",
		"https://jeton.example.org/not-api/generality": "",
		"": "",
	} {
		got, err := platformOf(base)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q gives %q, %v, not %q", base, got, err, want)
		}
	}
}

// What does not go together is refused before anything is opened.
func TestGateConfigIsChecked(t *testing.T) {
	good := gateDefaults()
	good.Platform, good.Token, good.Upstream = "https://jeton.example.org", "token", "http://127.0.0.1:2345"
	if err := good.check(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*GateConfig){
		"neither upstream nor decide": func(c *GateConfig) { c.Upstream = "" },
		"both":                        func(c *GateConfig) { c.Decide = true },
		"no platform":                 func(c *GateConfig) { c.Platform = "" },
		"a platform with a password":  func(c *GateConfig) { c.Platform = "https://u:p@example.org" },
		"no token":                    func(c *GateConfig) { c.Token = "" },
		"a certificate without key":   func(c *GateConfig) { c.TLSCert = "x" },
		"too stale":                   func(c *GateConfig) { c.MaxStaleness = 25 * 60 * 60 * 1e9 },
		"an upstream that is none":    func(c *GateConfig) { c.Upstream = "127.0.0.1:2345" },
		"itself":                      func(c *GateConfig) { c.Upstream = "http://" + c.Listen },
	} {
		c := good
		if change(&c); c.check() == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// Flags go before variables, variables before the file; a variable that nobody knows
// is refused.
func TestGateIsConfigured(t *testing.T) {
	file := write(t, "server.yml", "server: {verificationToken: from-file}\nplatform: {url: 'https://file.example.org/api/general', accessToken: file-token}\n")
	token := write(t, "token", "flag-token\n")
	for name, c := range map[string]struct {
		args, env []string
		want      GateConfig
		err       string
	}{
		"the file alone": {
			args: []string{"--config", file, "--upstream", "http://127.0.0.1:1"},
			want: GateConfig{Platform: "https://file.example.org", Token: "file-token", Verification: "from-file", Read: true},
		},
		"variables over the file": {
			args: []string{"--config", file, "--upstream", "http://127.0.0.1:1"},
			env:  []string{"JETON_PLATFORM=https://env.example.org", "JETON_ACCESS_TOKEN=env-token", "JETON_VERIFICATION_TOKEN=env-ver"},
			want: GateConfig{Platform: "https://env.example.org", Token: "env-token", Verification: "env-ver", Read: true},
		},
		"flags over variables": {
			args: []string{"--upstream", "http://127.0.0.1:1", "--platform", "https://flag.example.org/", "--access-token-file", token},
			env:  []string{"JETON_PLATFORM=https://env.example.org", "JETON_TOKEN=a person's", "JETON_URL=http://elsewhere"},
			want: GateConfig{Platform: "https://flag.example.org", Token: "flag-token"},
		},
		"a secret in two places":   {args: []string{"--access-token-file", token}, env: []string{"JETON_ACCESS_TOKEN=x"}, err: "both given"},
		"a variable nobody knows":  {env: []string{"JETON_MAX_STALENES=1h"}, err: "JETON_MAX_STALENES"},
		"a variable that is wrong": {env: []string{"JETON_MAX_STALENESS=long"}, err: "JETON_MAX_STALENESS"},
		"an unset variable in the file": {
			args: []string{"--config", write(t, "bad.yml", "platform: {accessToken: $NOT_SET}"), "--upstream", "http://127.0.0.1:1"}, err: "the variable NOT_SET is not set",
		},
	} {
		got, err := settledGate(t, c.args, c.env)
		switch {
		case c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)):
			t.Errorf("%s: %v, not %s", name, err, c.err)
		case c.err == "" && (err != nil || got.Platform != c.want.Platform || got.Token != c.want.Token || got.Verification != c.want.Verification || got.Read != c.want.Read):
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}
