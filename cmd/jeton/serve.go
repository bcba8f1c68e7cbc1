package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"jeton/domain"
	"jeton/eventstore"
	api "jeton/http"
	"jeton/projections"
)

func (p *Program) serveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve [--data DIR] [--listen HOST:PORT] [--nats URL] [--database URL]",
		Short: "Run the service",
		Long: `Runs the service until it is told to stop (SIGTERM or SIGINT): then it takes no more requests,
finishes those that run, and closes the log and the views. A second signal ends it at once.

Without --nats and --database everything is in the data directory: the log (NATS JetStream inside
this process) and the views (SQLite). An empty data directory becomes a new platform: its first
organization, its administrator and what to paste next are printed, once, on standard output.
Where standard output is kept (systemd, containers), run jeton init first.

Settings come from flags, over variables JETON_…, over one YAML file, over defaults. A variable
or a key that is not known is an error. The YAML file has the names of the flags as its keys:

  listen: 127.0.0.1:8080
  trusted-proxies: [10.0.0.0/8]

E-mails, addresses and user agents are stored encrypted under a key for each person, and those
keys under the master key: 32 bytes in base64, from JETON_MASTER_KEY, the file that
JETON_MASTER_KEY_FILE names, or master-key in the YAML file (jeton key new prints one). Of several,
with commas or line ends between, the first encrypts and the others only decrypt: that is how it is
changed. If none is set it is in the data directory, in master.key. Keep a copy where the backups of
the data are not: without it nobody can read who is who, and the service does not start.

/livez answers once the process is up, /readyz when requests should be sent here. While the log is
being read all else answers 503. A damaged log is not served: the service says what it found and
how to recover, and ends with 1; if it happens while it runs, it answers 503 and is not ready.`,
		Example: `  jeton serve
  jeton serve --data /var/lib/jeton --listen :8443 --tls-cert cert.pem --tls-key key.pem
  JETON_DATABASE_FILE=/run/secrets/database jeton serve --nats nats://a:4222,nats://b:4222
  jeton serve --config jeton.yaml --print-config`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := p.configure(cmd)
			if err != nil {
				return err
			}
			if printed, err := p.printed(cmd, c); printed {
				return err
			}
			return p.serve(cmd.Context(), c.Config)
		},
	}
	addSettings(cmd)
	return cmd
}

// printed obeys --print-config.
func (p *Program) printed(cmd *cobra.Command, c settled) (bool, error) {
	if wanted, _ := cmd.Flags().GetBool("print-config"); !wanted {
		return false, nil
	}
	return true, c.print(p.Stdout)
}

func (p *Program) serve(ctx context.Context, c Config) error {
	m := &Main{
		Stores: Stores{Config: c.withDefaults(), Version: programVersion(), Log: newLog(p.Stderr, c)},
		Stdout: p.Stdout,
		Now:    time.Now,
	}
	if err := m.Open(ctx); err != nil {
		if ctx.Err() != nil { // it was told to stop before it was up
			return nil
		}
		return p.explain(err, c)
	}
	<-ctx.Done()
	m.Log.Info().Msg("stopping")
	return m.Close()
}

// newLog writes for people on a terminal, else for programs.
func newLog(w io.Writer, c Config) zerolog.Logger {
	file, isFile := w.(interface{ Fd() uintptr })
	if c.LogFormat == "text" || c.LogFormat == "auto" && isFile && isatty.IsTerminal(file.Fd()) {
		w = zerolog.ConsoleWriter{Out: w, TimeFormat: time.TimeOnly}
	}
	return zerolog.New(w).Level(c.LogLevel).With().Timestamp().Logger()
}

// Main is the whole service. Set the exported fields, Open it, and Close it.
type Main struct {
	Stores
	Stdout io.Writer // where a new platform's first token is printed
	Now    func() time.Time
	// SealEvery is how often the log is signed; 0: sealInterval.
	SealEvery time.Duration

	// Set by Open.
	URL     string
	Model   *projections.Model
	Founded *founded // what Open founded, nil if the platform was there

	listener net.Listener
	scanners api.ScanningKeys
	usage    eventstore.Usage
	objects  *eventstore.JetStreamObjects
	engines  *projections.Connections
	sealer   *projections.Sealer
	anchors  []*anchor
	hooks    *api.Deliveries
	server   *http.Server
	stopping context.CancelFunc // ends requests that wait for something to happen
	stop     context.CancelFunc // ends what follows the log
	loaded   atomic.Uint64      // where the log ended when it had been read
	running  sync.WaitGroup
}

// Open starts the service: when it returns, the log is read and requests are
// answered. What is open when it fails is closed again.
func (m *Main) Open(ctx context.Context) error {
	if err := m.open(ctx); err != nil {
		return errors.Join(err, m.Close())
	}
	return nil
}

func (m *Main) open(ctx context.Context) error {
	if err := m.readScanners(); err != nil {
		return err
	}
	if err := m.listen(); err != nil { // before anything is made that a taken port would spoil
		return err
	}
	if err := m.Stores.Open(ctx, mayFound); err != nil {
		return err
	}
	if err := m.openObjects(ctx); err != nil {
		return err
	}
	m.engines = projections.NewConnections(eventstore.OpenPresence(m.Store), m.node(), m.Now)
	ended := m.follow()
	m.sealer = m.newSealer()
	m.answer()
	if err := m.load(ctx); err != nil {
		return err
	}
	if err := m.openUsage(ctx); err != nil {
		return err
	}
	m.watch(ended)
	m.Log.Info().Str("url", m.URL).Str("address", m.listener.Addr().String()).Str("version", m.Version).Uint64("position", uint64(m.Model.Position())).Msg("serving")
	return nil
}

// readScanners reads whose reports of leaked tokens are believed.
func (m *Main) readScanners() error {
	if m.Config.ScanningKeys == "" {
		return nil
	}
	data, err := os.ReadFile(m.Config.ScanningKeys)
	if err != nil {
		return fmt.Errorf("scanning-keys: %w", err)
	}
	if m.scanners, err = api.ParseScanningKeys(data); err != nil {
		return fmt.Errorf("scanning-keys: %s: %w", m.Config.ScanningKeys, err)
	}
	return nil
}

func (m *Main) listen() (err error) {
	m.listener, err = net.Listen("tcp", m.Config.Listen)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", m.Config.Listen, err)
	}
	scheme := "http"
	if m.Config.TLSCert != "" {
		if err := m.secure(); err != nil {
			return err
		}
		scheme = "https"
	}
	m.URL = scheme + "://" + reachable(m.listener.Addr().(*net.TCPAddr))
	if scheme == "http" && !m.listener.Addr().(*net.TCPAddr).IP.IsLoopback() && len(m.Config.TrustedProxies) == 0 {
		m.Log.Warn().Str("listen", m.Config.Listen).Msg("tokens travel unencrypted to this address: set tls-cert and tls-key, or put a proxy in front and set trusted-proxies")
	}
	return nil
}

// reachable is an address that somebody on this machine can connect to.
func reachable(a *net.TCPAddr) string {
	if a.IP.IsUnspecified() {
		return fmt.Sprintf("localhost:%d", a.Port)
	}
	return a.String()
}

func (m *Main) secure() error {
	c := &certificate{certFile: m.Config.TLSCert, keyFile: m.Config.TLSKey}
	if _, err := c.get(nil); err != nil {
		return err
	}
	m.listener = tls.NewListener(m.listener, &tls.Config{
		MinVersion: tls.VersionTLS12, GetCertificate: c.get, NextProtos: []string{"h2", "http/1.1"},
	})
	return nil
}

// follow starts what reads the log into memory; ended tells why it stopped.
func (m *Main) follow() (ended <-chan error) {
	ctx, stop := context.WithCancel(context.Background())
	m.stop = stop
	done := make(chan error, 1)
	model, run := m.lead(ctx, m.Now)
	m.Model = model
	m.running.Go(func() { done <- run() })
	return done
}

// answer begins to answer requests. Until the model is loaded most answers are 503.
func (m *Main) answer() {
	registry := prometheus.NewRegistry()
	m.register(registry)
	m.anchors = m.newAnchors(registry)
	stopping, stop := context.WithCancel(context.Background())
	m.stopping = stop
	door := &api.Server{
		Model: m.Model, Views: m.Views, Log: m.Log, Version: m.Version,
		Metrics: registry, Now: m.Now, Ready: m.ready, TrustedProxies: m.Config.TrustedProxies, Stopping: stopping,
		ScanningKeys: m.scanners, NoFirstTokens: !m.Config.FirstTokens,
		Objects: m.objects, MaxContent: m.Config.MaxContent, Connections: m.engines, LogID: m.Store.StoreID(), Origins: m.Config.Origins, Sealer: m.sealer,
		Keys: m.keys, Roots: m.Views.Roots,
		Vault: m.Vault, Outgoing: &api.Outgoing{Networks: m.Config.WebhookNetworks},
	}
	m.hooks = &api.Deliveries{Server: door, Node: m.deliverer()}
	m.server = api.NewHTTPServer(door.Handler())
	m.server.ErrorLog = log.New(m.Log.With().Str("part", "http").Logger(), "", 0)
	m.running.Go(func() {
		if err := m.server.Serve(m.listener); !errors.Is(err, http.ErrServerClosed) {
			m.Log.Error().Err(err).Msg("requests are no longer taken")
		}
	})
}

// load waits until the model serves, and founds an empty platform.
func (m *Main) load(ctx context.Context) error {
	if err := m.Model.Loaded(ctx); err != nil {
		return err
	}
	if err := m.found(ctx); err != nil {
		return refused(err)
	}
	m.loaded.Store(uint64(m.Model.Position()))
	return m.Keep(m.Now())
}

// found founds the platform unless it is. Of two servers that try at once one does.
func (m *Main) found(ctx context.Context) error {
	if m.Model.Founded() {
		return nil
	}
	verifier, err := m.firstVerifier(ctx)
	if err != nil {
		return err
	}
	made, err := found(ctx, m.Model, m.Config, verifier)
	if errors.Is(err, domain.ErrExists) {
		return nil
	}
	if err != nil {
		return err
	}
	m.Founded = &made
	return made.welcome(m.Stdout, m.URL)
}

// watch runs the views, and tells the operator if they or the model stop.
func (m *Main) watch(ended <-chan error) {
	ctx, stop := context.WithCancel(context.Background())
	model := m.stop
	recorded := make(chan struct{})
	m.stop = func() { stop(); <-recorded; model() } // what was refused in the end is known, too
	m.running.Go(func() {
		defer close(recorded)
		m.stopped("records of what was refused", m.Model.RecordOccurrences(ctx, recordInterval, m.Log))
	})
	m.running.Go(func() { m.stopped("the model", <-ended) })
	m.running.Go(func() { m.stopped("the watch", m.Model.Watch(ctx, watchInterval, m.Log)) })
	m.running.Go(func() { m.stopped("reports of usage", m.Model.Report(ctx, m.usage, m.node(), m.Config.UsageInterval)) })
	m.running.Go(func() { m.stopped("the views of usage", m.Views.FollowUsage(ctx, m.usage, m.Model.Used)) })
	m.running.Go(func() { m.stopped("what nodes tell of engines", m.engines.Run(ctx)) })
	m.running.Go(func() { m.stopped("what is sent to webhooks", m.hooks.Run(ctx)) })
	m.running.Go(func() { m.sweep(ctx) })
	m.seal(ctx)
	m.running.Go(func() { m.stopped("the views", m.Views.Run(ctx, m.Store, m.Store.StoreID())) })
}

// openUsage opens the stream in which nodes tell how tokens were used.
func (m *Main) openUsage(ctx context.Context) error {
	return m.insist(ctx, "the stream of usage", func() (err error) {
		m.usage, err = eventstore.OpenUsage(ctx, m.Store)
		return err
	})
}

// openObjects opens what keeps the files that programs of Database Lab send.
func (m *Main) openObjects(ctx context.Context) error {
	return m.insist(ctx, "the objects", func() (err error) {
		m.objects, err = eventstore.OpenObjects(ctx, m.Store, m.Config.ObjectsLimit)
		return err
	})
}

// node is what this process is called among those that share a log.
func (m *Main) node() string {
	host, _ := os.Hostname() // only for people to read
	return fmt.Sprintf("%s %d %s", host, os.Getpid(), m.listener.Addr())
}

// deliverer is what this process is called among those that share a database. A file
// has one process, so that who is started after a crash is who was killed, and goes on
// at once.
func (m *Main) deliverer() string {
	if strings.HasPrefix(m.Config.database(), "sqlite:") {
		return "the only one"
	}
	return m.node()
}

// watchInterval is how often it is looked for tokens that are about to end, and for
// approvals that nobody has given.
const watchInterval = 15 * time.Minute

// recordInterval is how often it is looked for refusals that have gone on.
const recordInterval = time.Second

func (m *Main) stopped(what string, err error) {
	if err == nil {
		return
	}
	m.Log.Error().Err(err).Str("what", what).Str("recovery", recovery(m.Config)).Msg("stopped following the log")
}

// Close stops in the order that loses nothing: requests, what follows the log,
// the views, the log, the lock. Closing again does nothing.
func (m *Main) Close() (err error) {
	if m.server != nil {
		err = m.drain()
	} else if m.listener != nil {
		_ = m.listener.Close() // nobody has connected
	}
	if m.stop != nil {
		m.stop()
	}
	m.running.Wait()
	return errors.Join(err, m.Stores.Close())
}

// drain lets running requests finish, for so long.
func (m *Main) drain() error {
	ctx, cancel := context.WithTimeout(context.Background(), m.Config.ShutdownGrace)
	defer cancel()
	m.stopping()
	if err := m.server.Shutdown(ctx); err != nil {
		m.Log.Warn().Dur("grace", m.Config.ShutdownGrace).Msg("requests were cut off")
		return m.server.Close()
	}
	return nil
}
