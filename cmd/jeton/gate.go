package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"jeton/engine"
)

func (p *Program) gateCommand() *cobra.Command {
	c := gateDefaults()
	cmd := &cobra.Command{
		Use:   "gate (--upstream URL | --decide) [--config FILE] [--listen HOST:PORT]",
		Short: "Guard an engine: let in who shows a good token, and say who they are",
		Long: `Guards an engine that does not guard itself, or only with one token for all. The gate stands in front of
it, keeps a live copy of the organization's tokens (their hashes), and decides in its own memory who comes
in. A revocation holds from the moment the gate has heard of it. Without the service it goes on for
--max-staleness, and then answers 503.

The file of a Database Lab Engine (--config server.yml) is enough to set it up, as the engine reads it:
${NAME} and $NAME in server.verificationToken and platform.accessToken are replaced by variables, and one
that is not set is an error. Flags and variables go before the file. platform.accessToken must be the
access token of the engine's registration (jeton engine create), no other.

Who comes in is decided by the engine's registration (jeton engine show), and never more widely than by
its file: personal tokens only if platform.enablePersonalTokens is true as well, and everybody (an engine
that is registered as open) only if server.verificationToken is empty. Where the two differ the gate says
so, as a warning in its log. The verification token that opens the gate is the one that is registered;
the one in the file opens the engine behind. An empty one in the file opens nothing here.

The engine behind gets each request without the token that was shown, with its own verification token
(Verification-Token) in its place, and with who has come in: X-Forwarded-User-Email for people, which a
Database Lab Engine believes from then on, and Jeton-Subject, Jeton-Email, Jeton-Via, Jeton-Token and
Jeton-Role. Such headers of the request itself are removed. The engine must be reachable through the gate
alone. Streams, WebSockets and bodies of any size pass, and end within two seconds once their token does not
come in any more, or has another role.

--open-path names paths that need no token. Requests for them, and those by which browsers ask what they
may (OPTIONS), are passed on without any token: what the engine says to strangers is its own matter. A
Database Lab Engine admits to /instance/logs by a token of its own. Its command line asks /estimate, which
engines of version 3 leave open, without any token: name that path too if it is needed.

--decide has no engine behind: it answers proxies (nginx auth_request, Traefik, Caddy, Envoy) at
/auth/forward and the token webhook of Kubernetes at POST /auth/tokenreview. It does not ask who asks:
let only the proxies reach it.

/livez, /readyz and /metrics of the gate itself are at the address of --admin.`,
		Example: `  jeton gate --config server.yml --upstream http://127.0.0.1:2345
  jeton gate --platform https://jeton.example.org --access-token-file engine.token --upstream http://127.0.0.1:3000 --listen :8443 --tls-cert cert.pem --tls-key key.pem
  jeton gate --decide --config server.yml --listen 127.0.0.1:9090 --admin 127.0.0.1:9091
  jeton gate --config server.yml --upstream http://127.0.0.1:2345 --data /var/lib/jeton-gate --max-staleness 1h`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := p.configureGate(cmd, &c); err != nil {
				return err
			}
			return p.gate(cmd.Context(), c)
		},
	}
	c.addFlags(cmd)
	return cmd
}

func (p *Program) gate(ctx context.Context, c GateConfig) error {
	g := &Gate{Config: c, Version: programVersion(), Log: newLog(p.Stderr, Config{LogLevel: c.LogLevel, LogFormat: c.LogFormat})}
	if err := g.Open(ctx); err != nil {
		return err
	}
	<-ctx.Done()
	g.Log.Info().Msg("stopping")
	return g.Close()
}

// Gate guards an engine. Set the exported fields, Open it, and Close it.
type Gate struct {
	Config  GateConfig
	Version string
	Log     zerolog.Logger

	// Set by Open.
	URL, AdminURL string
	Door          *engine.Client

	listeners [2]net.Listener // of requests, and of the gate's own
	servers   []*http.Server
	stop      context.CancelFunc // ends streams that run, and the watch
	running   sync.WaitGroup
}

// Open starts the gate. It does not wait for the service: until the copy is there,
// and if there is none on disk, requests are answered with 503. What is open when it
// fails is closed again.
func (g *Gate) Open(ctx context.Context) error {
	if err := g.open(ctx); err != nil {
		return errors.Join(err, g.Close())
	}
	return nil
}

func (g *Gate) open(ctx context.Context) (err error) {
	if err := g.listen(); err != nil {
		return err
	}
	if g.Door, err = engine.Open(context.WithoutCancel(ctx), engine.Config{
		URL: g.Config.Platform, Token: g.Config.Token, Version: g.Version, Dir: g.Config.Data, MaxStaleness: g.Config.staleness(),
		Instance: g.Config.Instance, Log: g.Log.With().Str("part", "copy").Logger(),
	}); err != nil {
		return err
	}
	work, stop := context.WithCancel(context.Background())
	g.stop = stop
	guard := newGateDoor(g.Door, &g.Config, g.Log)
	handler := g.deciding(guard)
	if !g.Config.Decide {
		handler = g.guarding(guard)
	}
	g.serve(work, g.listeners[0], handler)
	if g.listeners[1] != nil {
		g.serve(work, g.listeners[1], g.administration(guard))
	}
	g.running.Go(func() { guard.watch(work, gateWatch) })
	g.Log.Info().Str("url", g.URL).Str("admin", g.AdminURL).Str("platform", g.Config.Platform).Str("upstream", g.Config.Upstream).
		Str("instance", g.Door.State().Instance).Str("version", g.Version).Msg("serving")
	return nil
}

// gateWatch is how often it is looked whether the registration and the file differ.
const gateWatch = time.Second

func (g *Gate) listen() (err error) {
	if g.listeners[0], g.URL, err = g.listenAt(g.Config.Listen); err != nil || g.Config.Admin == "" {
		return err
	}
	g.listeners[1], err = net.Listen("tcp", g.Config.Admin)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", g.Config.Admin, err)
	}
	g.AdminURL = "http://" + reachable(g.listeners[1].Addr().(*net.TCPAddr))
	return nil
}

func (g *Gate) listenAt(where string) (l net.Listener, url string, err error) {
	if l, err = net.Listen("tcp", where); err != nil {
		return nil, "", fmt.Errorf("listen on %s: %w", where, err)
	}
	at := l.Addr().(*net.TCPAddr)
	if g.Config.TLSCert == "" {
		if !at.IP.IsLoopback() && len(g.Config.TrustedProxies) == 0 {
			g.Log.Warn().Str("listen", where).Msg("tokens travel unencrypted to this address: set tls-cert and tls-key, or put a proxy in front and set trusted-proxies")
		}
		return l, "http://" + reachable(at), nil
	}
	c := &certificate{certFile: g.Config.TLSCert, keyFile: g.Config.TLSKey}
	if _, err := c.get(nil); err != nil {
		return l, "", err
	}
	return tls.NewListener(l, &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.get, NextProtos: []string{"h2", "http/1.1"}}), "https://" + reachable(at), nil
}

// Limits of a connection. Neither a body nor an answer has to end in any time.
const (
	gateHeaderTimeout = 30 * time.Second
	gateHeaderBytes   = 64 << 10
	gateIdleTimeout   = 2 * time.Minute
)

// serve answers requests. Those that run end with ctx.
func (g *Gate) serve(ctx context.Context, l net.Listener, h http.Handler) {
	s := &http.Server{
		Handler: h, ReadHeaderTimeout: gateHeaderTimeout, IdleTimeout: gateIdleTimeout, MaxHeaderBytes: gateHeaderBytes,
		BaseContext: func(net.Listener) context.Context { return ctx },
		ErrorLog:    log.New(g.Log.With().Str("part", "http").Logger(), "", 0),
	}
	g.servers = append(g.servers, s)
	g.running.Go(func() {
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			g.Log.Error().Err(err).Msg("requests are no longer taken")
		}
	})
}

// Close lets requests that run finish, for so long, ends streams, and closes the copy.
// Closing again does nothing.
func (g *Gate) Close() (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), g.Config.ShutdownGrace)
	defer cancel()
	for _, s := range g.servers {
		if s.Shutdown(ctx) != nil {
			g.Log.Warn().Dur("grace", g.Config.ShutdownGrace).Msg("requests were cut off")
			err = errors.Join(err, s.Close())
		}
	}
	if len(g.servers) == 0 {
		g.unlisten()
	}
	if g.stop != nil {
		g.stop()
	}
	g.running.Wait()
	if g.Door != nil {
		err = errors.Join(err, g.Door.Close())
	}
	return err
}

// unlisten gives addresses back to which nobody has connected.
func (g *Gate) unlisten() {
	for _, l := range g.listeners {
		if l != nil {
			_ = l.Close()
		}
	}
}

// upstream is the address of the engine behind, which was checked.
func (g *Gate) upstream() *url.URL {
	u, _ := url.Parse(g.Config.Upstream)
	return u
}
