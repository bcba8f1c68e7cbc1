package engine

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/rs/zerolog"
)

// Config is what a Client is opened with. URL and Token are needed.
type Config struct {
	URL     string // of the platform, like https://jeton.example.org
	Token   string // the engine's own access token. It is in no log and in no error
	Version string // of the engine's program, for the platform to show; at most 64 characters
	// Dir is where the snapshot is kept, for this process alone; empty: there is none,
	// and an engine that starts while the platform is away lets nobody in.
	Dir string
	// MaxStaleness is how long the copy goes on without the platform; 0: a minute. At
	// most 24 hours. See NoStaleness.
	MaxStaleness time.Duration
	// Instance tells the processes of one engine apart: 1 to 64 letters, digits, - and
	// _. Empty: drawn at random, once if there is a Dir.
	Instance string
	Now      func() time.Time // nil: time.Now
	Log      zerolog.Logger
	// HTTP asks the platform; nil: one that verifies certificates as Go does. It never
	// follows redirects, which would carry the token elsewhere, and its Timeout does not
	// count.
	HTTP *http.Client
}

const (
	// DefaultStaleness is how long a copy goes on without the platform.
	DefaultStaleness = time.Minute
	// NoStaleness is for a copy that does not go on at all: it lets nobody in once its
	// connection ends, or two heartbeats are missing.
	NoStaleness time.Duration = -1
	// MaxStaleness is the longest that a copy can go on.
	MaxStaleness = 24 * time.Hour

	maxVersion  = 64
	maxInstance = 64
)

// complete checks the configuration and fills in what it leaves out.
func (c *Config) complete() error {
	if err := c.check(); err != nil {
		return err
	}
	c.URL = strings.TrimRight(c.URL, "/")
	switch {
	case c.MaxStaleness == 0:
		c.MaxStaleness = DefaultStaleness
	case c.MaxStaleness < 0:
		c.MaxStaleness = 0
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	c.HTTP = sane(c.HTTP)
	return nil
}

func (c *Config) check() error {
	u, err := url.Parse(c.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("the URL of the platform can't be read: write it like https://jeton.example.org, without user and query")
	}
	if c.Token == "" || strings.ContainsFunc(c.Token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return fmt.Errorf("the engine's access token is missing, or has blanks in it: copy it whole from its registration")
	}
	if c.MaxStaleness > MaxStaleness {
		return fmt.Errorf("a copy of %s is too old to go by: set MaxStaleness to at most %s", c.MaxStaleness, MaxStaleness)
	}
	if len(c.Version) > maxVersion {
		return fmt.Errorf("the version has %d characters: shorten it to at most %d", len(c.Version), maxVersion)
	}
	if c.Instance != "" && !isInstance(c.Instance) {
		return fmt.Errorf("%q is no name of an instance: use 1 to %d letters, digits, - and _", c.Instance, maxInstance)
	}
	return nil
}

func isInstance(name string) bool {
	return name != "" && len(name) <= maxInstance && !strings.ContainsFunc(name, func(r rune) bool {
		return r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	})
}

// sane is the client, or one like it, that keeps the token to the platform.
func sane(given *http.Client) *http.Client {
	client := http.Client{Transport: transport()}
	if given != nil {
		client = *given
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	client.Timeout, client.Jar = 0, nil // a stream does not end by itself
	return &client
}

func transport() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.ResponseHeaderTimeout = 10 * time.Second
	t.DisableCompression = true // a line is read when it is written
	return t
}
