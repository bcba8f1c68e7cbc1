package http

import (
	"context"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"jeton/eventstore"
	"jeton/projections"
)

// Server answers requests from a model and its views.
type Server struct {
	Model   *projections.Model
	Views   *projections.Views
	Log     zerolog.Logger
	Version string
	Metrics *prometheus.Registry
	Now     func() time.Time

	// Ready names what is not ready and why; empty: everything is. It is asked
	// by /readyz.
	Ready func() map[string]error

	// TrustedProxies are believed when they say in X-Forwarded-For who called.
	// Empty: nobody is.
	TrustedProxies []netip.Prefix

	// DialectPrefix is the path under which the dialect of Database Lab is
	// spoken: its clients have it in their base URL. Empty: /api/general.
	DialectPrefix string

	// Stopping ends when the server is about to stop: whoever waits for something
	// to happen is then told that nothing has. Nil: it never does.
	Stopping context.Context

	// ScanningKeys are those of scanners whose reports of leaked tokens are believed.
	// Empty: none is.
	ScanningKeys ScanningKeys

	// NoFirstTokens: who becomes a member gets no token by that.
	NoFirstTokens bool

	// Connections are the processes of engines that hear of changes.
	Connections *projections.Connections

	// LogID names the log whose positions engines are told.
	LogID string

	// Objects keeps the files that programs of Database Lab send, each of at most
	// MaxContent bytes. Zero: 64 MiB.
	Objects    eventstore.Objects
	MaxContent int64

	// Sealer signs the log; nil: it is not signed.
	Sealer *projections.Sealer

	// Origins are those of browsers whose pages may speak the dialect of Database Lab.
	// Empty: none may.
	Origins []string

	// Keys are those beside the log, for backups. Nil: there are none.
	Keys eventstore.Keys

	// Roots are those of the organizations' Merkle trees where the views are, for
	// backups. Nil: there are no trees.
	Roots func(ctx context.Context, until eventstore.Head) (map[string]eventstore.Root, error)

	// Vault keeps the keys by which webhooks sign, and with which their headers are sealed.
	Vault *eventstore.Vault

	// Outgoing reaches the receivers of webhooks. Nil: those on the public internet.
	Outgoing *Outgoing

	past    *projections.Past
	when    *projections.Moment // of the past that this server answers about; nil: now
	meter   *metrics
	burns   addresses
	streams pace
	tails   tails
	backing atomic.Bool // a backup is being made
}

// Handler is the server's table of routes as one handler.
func (s *Server) Handler() http.Handler {
	s.past = &projections.Past{Model: s.Model, Views: s.Views}
	s.meter = newMetrics(s.Metrics)
	m := newMounter(s)
	for _, r := range s.routes() {
		r.mount(m, r)
	}
	return m.handler()
}

// Limits of a connection. A request that takes longer than this to arrive is not
// worth waiting for; an answer may take long, because the log may be waited for.
// There is no shorter limit for the header: setting it for each request costs a
// check two per cent, and a slow header holds no more than a slow body.
const (
	bodyTimeout = 60 * time.Second
	idleTimeout = 2 * time.Minute
	headerBytes = 32 << 10
)

// NewHTTPServer is an HTTP server with the limits that this API needs.
func NewHTTPServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler:        h,
		ReadTimeout:    bodyTimeout,
		IdleTimeout:    idleTimeout,
		MaxHeaderBytes: headerBytes,
	}
}
