package main

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"jeton/engine"
)

// GateConfig is what a gate can be told. Its zero value lacks the defaults;
// gateDefaults makes one that has them.
type GateConfig struct {
	File     string // of the engine behind
	Upstream string
	Decide   bool
	Listen   string
	Admin    string

	Platform         string
	TokenFile        string
	VerificationFile string

	Data         string
	Instance     string
	MaxStaleness time.Duration

	OpenPaths       []string
	TrustedProxies  []netip.Prefix
	TLSCert, TLSKey string
	ShutdownGrace   time.Duration
	LogLevel        zerolog.Level
	LogFormat       string

	// What the file and the secrets' files say.
	Token        string // the engine's access token
	Verification string // what the engine behind wants to be shown; empty: nothing
	// Read is that there is a file of the engine, which the door must not be wider than.
	Read           bool
	PersonalTokens bool // in that file
}

func gateDefaults() GateConfig {
	return GateConfig{
		Listen: "127.0.0.1:2346", MaxStaleness: engine.DefaultStaleness, OpenPaths: []string{"/healthz", "/instance/logs"},
		ShutdownGrace: 20 * time.Second, LogLevel: zerolog.InfoLevel, LogFormat: "auto",
	}
}

// settings is the one table of a gate's settings; their values point into c.
func (c *GateConfig) settings() []setting {
	table := []struct {
		name  string
		value value
		usage string
	}{
		{"config", text(&c.File, "FILE"), "configuration file of the Database Lab Engine behind: server.verificationToken, platform.url, platform.accessToken and platform.enablePersonalTokens are read from it"},
		{"upstream", text(&c.Upstream, "URL"), "address of the engine behind, e.g. http://127.0.0.1:2345"},
		{"decide", yesno(&c.Decide), "only answer proxies and Kubernetes that ask who may come in, at /auth/forward and /auth/tokenreview; there is no engine behind: true or false"},
		{"listen", text(&c.Listen, "HOST:PORT"), "address to listen on; port 0 takes a free one"},
		{"admin", text(&c.Admin, "HOST:PORT"), "address for /livez, /readyz and /metrics of the gate itself; empty: none. All paths of the other address are the engine's"},
		{"platform", text(&c.Platform, "URL"), "address of the service, e.g. https://jeton.example.org (default: platform.url of the file without its /api/general)"},
		{"access-token-file", text(&c.TokenFile, "FILE"), "file with the engine's access token [or the token itself in JETON_ACCESS_TOKEN] (default: platform.accessToken of the file)"},
		{"verification-token-file", text(&c.VerificationFile, "FILE"), "file with the verification token of the engine behind, which the gate shows to it [or the token itself in JETON_VERIFICATION_TOKEN] (default: server.verificationToken of the file)"},
		{"data", text(&c.Data, "DIR"), "directory for a signed copy of what the gate knows, so that it can start while the service is away; empty: none is kept"},
		{"instance", text(&c.Instance, "NAME"), "name of this gate among several of the same engine, of letters, digits, - and _ (default: drawn at random, once if there is a directory)"},
		{"max-staleness", duration(&c.MaxStaleness), "how long to go on without the service before nobody comes in any more: 0 to 24h"},
		{"open-path", paths(&c.OpenPaths), "paths that need no token, exactly as written, with commas between; with --decide none unless said"},
		{"trusted-proxies", prefixes(&c.TrustedProxies), "addresses or networks whose X-Forwarded-For is believed, e.g. 10.0.0.0/8,127.0.0.1; empty: nobody's"},
		{"tls-cert", text(&c.TLSCert, "FILE"), "certificate chain in PEM; together with tls-key the gate speaks HTTPS. Read again when the files change"},
		{"tls-key", text(&c.TLSKey, "FILE"), "key of the certificate in PEM"},
		{"shutdown-grace", duration(&c.ShutdownGrace), "how long running requests may take to finish when the gate is told to stop, e.g. 20s"},
		{"log-level", level(&c.LogLevel), "what to log: debug, info, warn or error"},
		{"log-format", choice(&c.LogFormat, "auto", "json", "text"), "how to log, on standard error: json, text, or auto (text on a terminal, else json)"},
	}
	var all []setting
	for _, s := range table {
		all = append(all, setting{name: s.name, value: s.value, in: "gate", usage: s.usage})
	}
	return all
}

// addFlags gives a command the flags of the table.
func (c *GateConfig) addFlags(cmd *cobra.Command) {
	for _, s := range c.settings() {
		cmd.Flags().Var(s.value, s.name, s.usage+" ["+s.variable()+"]")
	}
	cmd.Flags().Lookup("decide").NoOptDefVal = "true"
}

// paths is a list of paths.
func paths(at *[]string) value {
	return field[[]string]{at, "PATHS", func(s string) (list []string, err error) {
		for item := range strings.SplitSeq(s, ",") {
			if item = strings.TrimSpace(item); item == "" {
				continue
			}
			if !strings.HasPrefix(item, "/") || strings.ContainsAny(item, "?#*") {
				return nil, fmt.Errorf("%q is no path; write it like /healthz", item)
			}
			list = append(list, item)
		}
		return list, nil
	}, func(list []string) string { return strings.Join(list, ",") }}
}

// secretVariables are those that hold a secret themselves, for the file that another
// setting names.
var secretVariables = []string{"JETON_ACCESS_TOKEN", "JETON_VERIFICATION_TOKEN"}

// configureGate settles what a gate is told: defaults, under the engine's file, under
// the environment, under flags.
func (p *Program) configureGate(cmd *cobra.Command, c *GateConfig) error {
	given := map[string]bool{} // by a flag or a variable
	for _, s := range c.settings() {
		text, set := p.env(s.variable())
		given[s.name] = set || cmd.Flags().Changed(s.name)
		if set && !cmd.Flags().Changed(s.name) {
			if err := s.value.Set(text); err != nil {
				return usage("%s: %w", s.variable(), err)
			}
		}
	}
	if err := p.strangeVariables(c); err != nil {
		return err
	}
	if c.Decide && !given["open-path"] {
		c.OpenPaths = nil
	}
	if err := p.readGateSecrets(c); err != nil {
		return err
	}
	if err := p.readEngineFile(c); err != nil {
		return err
	}
	return c.check()
}

// strangeVariables refuses a variable that is no setting: it may be one that was
// misspelled.
func (p *Program) strangeVariables(c *GateConfig) error {
	for _, line := range p.Env {
		name, _, _ := strings.Cut(line, "=")
		known := func(s setting) bool { return s.variable() == name }
		if !foreignVariable(name) && !slices.Contains(secretVariables, name) && !slices.ContainsFunc(c.settings(), known) {
			return usage("%s: there is no such setting; the variables are listed by jeton gate --help", name)
		}
	}
	return nil
}

func (p *Program) readGateSecrets(c *GateConfig) (err error) {
	if c.Token, err = p.secretOf(c.TokenFile, "JETON_ACCESS_TOKEN", "access token"); err != nil {
		return err
	}
	c.Verification, err = p.secretOf(c.VerificationFile, "JETON_VERIFICATION_TOKEN", "verification token")
	return err
}

// secretOf is a secret that is in a file or in a variable; neither: none.
func (p *Program) secretOf(file, variable, what string) (string, error) {
	text, _ := p.env(variable)
	switch {
	case file != "" && text != "":
		return "", usage("%s and a file with the %s are both given; leave one out", variable, what)
	case file != "":
		return p.readSecret(file, what)
	}
	return text, nil
}

// readEngineFile reads the file of the engine behind. What was given otherwise stays.
func (p *Program) readEngineFile(c *GateConfig) error {
	if c.File == "" {
		return nil
	}
	data, err := os.ReadFile(c.File)
	if err != nil {
		return err
	}
	file, err := parseEngineFile(data, p.env)
	if err != nil {
		return usage("%s: %w", c.File, err)
	}
	c.Read, c.PersonalTokens = true, file.Platform.PersonalTokens
	c.Token, c.Verification = first(c.Token, file.Platform.AccessToken), first(c.Verification, file.Server.VerificationToken)
	if c.Platform == "" {
		c.Platform, err = platformOf(file.Platform.URL)
	}
	if err != nil {
		return usage("%s: %w", c.File, err)
	}
	return nil
}

// check refuses what does not go together.
func (c *GateConfig) check() error {
	switch {
	case c.Decide == (c.Upstream != ""):
		return usage("either --upstream names the engine behind the gate, or --decide says that there is none\n  next: see jeton gate --help")
	case c.Platform == "":
		return usage("where the service is, is not said\n  next: give --platform, or --config with the engine's file")
	case c.Token == "":
		return usage("the engine's access token is not given\n  next: put it into a file for --access-token-file, or into JETON_ACCESS_TOKEN, or into platform.accessToken of the engine's file; jeton engine create has shown it")
	case (c.TLSCert == "") != (c.TLSKey == ""):
		return usage("tls-cert and tls-key: one is set and the other is not")
	case c.MaxStaleness > engine.MaxStaleness:
		return usage("max-staleness: a copy of %s is too old to go by; at most %s", c.MaxStaleness, engine.MaxStaleness)
	}
	if err := checkURL(&c.Platform); err != nil {
		return err
	}
	return c.checkUpstream()
}

// checkUpstream refuses what is no address of an engine.
func (c *GateConfig) checkUpstream() error {
	if c.Upstream == "" {
		return nil
	}
	if err := checkURL(&c.Upstream); err != nil {
		return usage("upstream: %w", err)
	}
	u, err := url.Parse(c.Upstream)
	if err != nil || u.Port() != "" && c.Listen == net.JoinHostPort(u.Hostname(), u.Port()) {
		return usage("upstream: the gate would be asking itself: give the engine another port, or the gate")
	}
	return nil
}

// staleness is how long the copy goes on, as package engine has it.
func (c *GateConfig) staleness() time.Duration {
	if c.MaxStaleness == 0 {
		return engine.NoStaleness
	}
	return c.MaxStaleness
}
