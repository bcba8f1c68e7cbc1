package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"jeton/eventstore"
)

// Config is what the service can be told. Its zero value lacks the defaults;
// defaults makes one that has them.
type Config struct {
	Data            string
	Listen          string
	NATS            string
	NATSCredentials string
	Database        string
	MasterKeys      []eventstore.Master
	Replicas        int
	StartTimeout    time.Duration
	ShutdownGrace   time.Duration

	Organization string
	Name         string
	Email        string

	TLSCert, TLSKey string
	TrustedProxies  []netip.Prefix
	Origins         []string
	WebhookNetworks []netip.Prefix
	FirstTokens     bool
	ScanningKeys    string
	UsageInterval   time.Duration
	MaxContent      int64
	ObjectsLimit    int64
	DiskReserve     int64
	AnchorFile      string
	AnchorURL       string
	AnchorInterval  time.Duration
	LogLevel        zerolog.Level
	LogFormat       string
}

func defaults() Config {
	return Config{
		Data:          "data",
		Listen:        "127.0.0.1:8080",
		Replicas:      1,
		StartTimeout:  30 * time.Second,
		ShutdownGrace: 20 * time.Second,
		DiskReserve:   256 << 20,
		FirstTokens:   true,
		UsageInterval: time.Minute,
		MaxContent:    64 << 20,
		LogLevel:      zerolog.InfoLevel,
		LogFormat:     "auto",
	}
}

// setting is one thing that can be set: as flag --name, as variable JETON_NAME
// and as key of the file.
type setting struct {
	name  string
	value value
	// secret settings may hold a password: they are shown redacted, and can be
	// read from the file that JETON_NAME_FILE names.
	secret bool
	in     string // the commands that have it as a flag
	usage  string
}

// settings is the one table of settings; their values point into c.
func (c *Config) settings() []setting {
	const all, making, running, founding = "serve init rebuild backup restore repair", "serve init restore repair", "serve", "serve init"
	return []setting{
		{"data", text(&c.Data, "DIR"), false, all,
			"data directory: the embedded log and the SQLite database; made if it is missing"},
		{"listen", text(&c.Listen, "HOST:PORT"), false, running,
			"address to listen on; port 0 takes a free one"},
		{"nats", text(&c.NATS, "URL"), true, all,
			"keep the log on these NATS servers, with commas between, e.g. nats://a:4222,nats://b:4222; empty: embedded, in the data directory. Put passwords into JETON_NATS or JETON_NATS_FILE, not into an argument"},
		{"nats-credentials", text(&c.NATSCredentials, "FILE"), false, all,
			"credentials file for the NATS servers"},
		{"database", text(&c.Database, "URL"), true, all,
			"keep the views in this database, e.g. postgres://jeton@db/jeton?sslmode=verify-full or sqlite:/path/file.db; empty: SQLite in the data directory. Put passwords into JETON_DATABASE or JETON_DATABASE_FILE, not into an argument"},
		{"master-key", masters(&c.MasterKeys), true, "",
			"the key that wraps the keys of people, in base64"},
		{"replicas", number(&c.Replicas), false, making,
			"how many NATS servers keep a new log: 1, or 3 and more, odd; an existing log stays as it is"},
		{"organization", text(&c.Organization, "ALIAS"), false, founding,
			"alias of the first organization of a new platform, e.g. acme (serve: main unless said)"},
		{"name", text(&c.Name, "TEXT"), false, founding,
			`name of that organization, e.g. "Acme Inc" (serve: Main unless said)`},
		{"email", text(&c.Email, "ADDRESS"), false, founding,
			"e-mail address of its administrator (serve: root@localhost unless said)"},
		{"tls-cert", text(&c.TLSCert, "FILE"), false, running,
			"certificate chain in PEM; together with tls-key the service speaks HTTPS. Read again when the files change"},
		{"tls-key", text(&c.TLSKey, "FILE"), false, running,
			"key of the certificate in PEM"},
		{"trusted-proxies", prefixes(&c.TrustedProxies), false, running,
			"addresses or networks whose X-Forwarded-For is believed, e.g. 10.0.0.0/8,127.0.0.1; empty: nobody's"},
		{"allowed-origins", origins(&c.Origins), false, running,
			"origins of browsers whose pages may speak the dialect of Database Lab, e.g. https://console.example.org, with commas between; empty: none"},
		{"webhook-networks", prefixes(&c.WebhookNetworks), false, running,
			"networks of yours that webhooks may reach, by http too, e.g. 10.1.0.0/16; empty: the public internet only, by https"},
		{"first-tokens", yesno(&c.FirstTokens), false, running,
			"whether everybody gets a personal token when they become a member, which whoever adds them sees: true or false"},
		{"scanning-keys", text(&c.ScanningKeys, "FILE"), false, running,
			"file with the public keys of scanners whose reports of leaked tokens are believed, as GitHub publishes its own; empty: nobody's"},
		{"usage-interval", duration(&c.UsageInterval), false, running,
			"how often it is written down how tokens were used, e.g. 1m"},
		{"max-content", size(&c.MaxContent), false, running,
			"largest file that programs of Database Lab may send, e.g. 64MiB"},
		{"objects-limit", size(&c.ObjectsLimit), false, running,
			"how much all such files may take together, when their store is made; 0: as much as the disk has. What is there already is changed with the tools of NATS"},
		{"disk-reserve", size(&c.DiskReserve), false, running,
			"not ready when the data directory's disk has less free, e.g. 512MiB or 2GiB; 0: never"},
		{"anchor-file", text(&c.AnchorFile, "FILE"), false, running,
			"append each signed epoch of the log to this file, best on a disk that can only be appended to; empty: to none"},
		{"anchor-url", text(&c.AnchorURL, "URL"), true, running,
			"send each signed epoch of the log to this address, as the body of a POST; empty: to none. Put passwords into JETON_ANCHOR_URL or JETON_ANCHOR_URL_FILE, not into an argument"},
		{"anchor-interval", duration(&c.AnchorInterval), false, running,
			"how often the newest epoch goes there, e.g. 1h; 0: every epoch does"},
		{"start-timeout", duration(&c.StartTimeout), false, all,
			"how long to wait at start for NATS servers and a database that are elsewhere, e.g. 30s or 2m"},
		{"shutdown-grace", duration(&c.ShutdownGrace), false, running,
			"how long running requests may take to finish when the service is told to stop, e.g. 20s"},
		{"log-level", level(&c.LogLevel), false, all,
			"what to log: debug, info, warn or error"},
		{"log-format", choice(&c.LogFormat, "auto", "json", "text"), false, all,
			"how to log, on standard error: json, text, or auto (text on a terminal, else json)"},
	}
}

func (s setting) variable() string {
	return "JETON_" + strings.ToUpper(strings.ReplaceAll(s.name, "-", "_"))
}

func (s setting) key() string { return s.name }

// shown is the setting's value without passwords.
func (s setting) shown() string {
	if s.secret {
		return redact(s.value.String())
	}
	return s.value.String()
}

// settled is a configuration and where each of its values came from.
type settled struct {
	Config
	from map[string]string
}

// addSettings gives a command the flags that it has in the table.
func addSettings(cmd *cobra.Command) {
	c := defaults()
	for _, s := range c.settings() {
		if slices.Contains(strings.Fields(s.in), cmd.Name()) {
			cmd.Flags().Var(s.value, s.name, s.usage+" ["+s.variable()+"]")
		}
	}
	cmd.Flags().String("config", "", "YAML `FILE` with settings, by the names of their flags [JETON_CONFIG]")
	cmd.Flags().Bool("print-config", false, "print the settings as YAML, where each came from, without passwords, and end")
}

// configure settles the configuration: defaults, under the file, under the
// environment, under flags. What nobody knows is an error wherever it stands.
func (p *Program) configure(cmd *cobra.Command) (settled, error) {
	c := settled{Config: defaults(), from: map[string]string{}}
	path, _ := p.env("JETON_CONFIG")
	if flag := cmd.Flags().Lookup("config"); flag.Changed {
		path = flag.Value.String()
	}
	if path != "" {
		if err := c.readFile(path); err != nil {
			return c, usage("%w", err)
		}
	}
	if err := c.readEnvironment(p.Env); err != nil {
		return c, usage("%w", err)
	}
	for _, s := range c.settings() {
		if flag := cmd.Flags().Lookup(s.name); flag != nil && flag.Changed {
			if err := c.set(s, flag.Value.String(), "flag"); err != nil {
				return c, usage("%w", err)
			}
		}
	}
	return c, c.check()
}

func (c *settled) set(s setting, text, from string) error {
	if err := s.value.Set(text); err != nil {
		return fmt.Errorf("%s: %s: %w", from, s.name, err)
	}
	c.from[s.name] = from
	return nil
}

// check refuses settings that do not go together.
func (c settled) check() error {
	switch {
	case c.Data == "" && c.usesData():
		return usage("data: is empty; name a directory")
	case (c.TLSCert == "") != (c.TLSKey == ""):
		return usage("tls-cert and tls-key: one is set and the other is not")
	case c.MaxContent == 0:
		return usage("max-content: is 0; name a size, e.g. 64MiB")
	case c.NATSCredentials != "" && c.NATS == "":
		return usage("nats-credentials: is set, but nats is not")
	}
	return nil
}

// usesData reports whether anything is kept in the data directory.
func (c Config) usesData() bool { return c.NATS == "" || c.Database == "" }

// database is the URL of the views.
func (c Config) database() string {
	if c.Database == "" {
		return "sqlite:" + filepath.Join(c.Data, viewsFile)
	}
	return c.Database
}

// Variables that are none of the service's settings.
var (
	// clientVariables are for the client commands.
	clientVariables = []string{"JETON_URL", "JETON_TOKEN", "JETON_TOKEN_FILE", "JETON_CONTEXT", "JETON_CONFIG"}
	// Kubernetes gives every container variables for every service of its
	// namespace, so one that is called jeton adds these.
	kubernetesVariables = []string{"JETON_SERVICE_", "JETON_PORT_"}
)

func foreignVariable(name string) bool {
	kubernetes := func(prefix string) bool { return strings.HasPrefix(name, prefix) || name+"_" == prefix }
	return !strings.HasPrefix(name, "JETON_") || slices.Contains(clientVariables, name) || slices.ContainsFunc(kubernetesVariables, kubernetes)
}

func (c *settled) readEnvironment(env []string) error {
	seen := map[string]string{}
	for _, line := range env {
		name, text, _ := strings.Cut(line, "=")
		if foreignVariable(name) {
			continue
		}
		if err := c.readVariable(name, text, seen); err != nil {
			return err
		}
	}
	return nil
}

// readVariable takes one variable. seen are the settings that variables have set.
func (c *settled) readVariable(name, text string, seen map[string]string) error {
	for _, s := range c.settings() {
		file := s.secret && name == s.variable()+"_FILE"
		if name != s.variable() && !file {
			continue
		}
		if other, twice := seen[s.name]; twice {
			return fmt.Errorf("%s and %s are both set; unset one", other, name)
		}
		seen[s.name] = name
		if file {
			data, err := os.ReadFile(text)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			text = strings.TrimRight(string(data), "\r\n")
		}
		return c.set(s, text, name)
	}
	return fmt.Errorf("%s: there is no such setting; the variables are listed by jeton serve --help", name)
}

// readFile takes a YAML file: one mapping from the names of settings to texts,
// numbers or, where there can be several, a list.
func (c *settled) readFile(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var document, second yaml.Node
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF):
		return nil // empty
	case err != nil:
		return fmt.Errorf("%s: %w", path, err)
	}
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: there is more than one document", path)
	}
	top := document.Content[0]
	if top.Kind != yaml.MappingNode {
		return fmt.Errorf("%s: line %d: names and values are expected, such as listen: 127.0.0.1:8080", path, top.Line)
	}
	for i := 0; i < len(top.Content); i += 2 {
		if err := c.readKey(top.Content[i], top.Content[i+1], path); err != nil {
			return err
		}
	}
	return nil
}

func (c *settled) readKey(key, node *yaml.Node, path string) error {
	from := fmt.Sprintf("%s line %d", path, key.Line)
	known := c.settings()
	i := slices.IndexFunc(known, func(s setting) bool { return s.key() == key.Value })
	if i < 0 {
		return fmt.Errorf("%s: %q: there is no such setting; they are listed by jeton serve --help", from, key.Value)
	}
	if _, twice := c.from[key.Value]; twice {
		return fmt.Errorf("%s: %s is set twice", from, key.Value)
	}
	text, err := scalar(node)
	if err != nil {
		return fmt.Errorf("%s: %s: %w", from, key.Value, err)
	}
	return c.set(known[i], text, from)
}

func scalar(node *yaml.Node) (string, error) {
	switch {
	case node.Kind == yaml.ScalarNode && node.Tag == "!!null":
		return "", nil
	case node.Kind == yaml.ScalarNode:
		return node.Value, nil
	case node.Kind != yaml.SequenceNode:
		return "", errors.New("a text, a number or a list of them is expected")
	}
	var items []string
	for _, item := range node.Content {
		if item.Kind != yaml.ScalarNode {
			return "", errors.New("the list may hold texts only")
		}
		items = append(items, item.Value)
	}
	return strings.Join(items, ","), nil
}

// print writes the configuration as a file that could be read back, but for
// passwords.
func (c settled) print(w io.Writer) error {
	top := &yaml.Node{Kind: yaml.MappingNode}
	for _, s := range c.settings() {
		from := c.from[s.name]
		if from == "" {
			from = "default"
		}
		node := &yaml.Node{}
		node.SetString(s.shown())
		node.LineComment = from
		top.Content = append(top.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: s.key()}, node)
	}
	encoder := yaml.NewEncoder(w)
	if err := encoder.Encode(top); err != nil {
		return err
	}
	return encoder.Close()
}
