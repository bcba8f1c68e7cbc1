package eventstore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gofrs/flock"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
)

// ErrLocked: another process, or another part of this one, has the directory.
// JetStream itself would let both write, and lose what either wrote.
var ErrLocked = errors.New("the directory is in use by another process")

// EmbeddedConfig says how to run a server in this process.
type EmbeddedConfig struct {
	// Dir is where the server keeps its files. It is made if it is missing.
	Dir string
	// Log hears what the server has to say.
	Log zerolog.Logger
	// MaxStore is how many bytes the server may keep; 0 leaves it to the disk.
	// What does not fit is refused; nothing older makes room for it.
	MaxStore int64
	// LoseAcknowledgedWritesOnPowerFailure acknowledges what only the operating
	// system has. It is for filling the logs of benchmarks and breaks the first
	// promise of this package.
	LoseAcknowledgedWritesOnPowerFailure bool
}

// Embedded is a nats-server in this process, which nobody else can connect to,
// and a connection to it.
type Embedded struct {
	lock   *flock.Flock
	keep   keeper
	server *server.Server
	conn   *nats.Conn
	js     jetstream.JetStream
	close  sync.Once
}

// StartEmbedded starts a server and connects to it. If the directory is in use
// the answer is ErrLocked; if it holds a log that the server cannot read it is
// Damage. After an unclean stop the server reads the whole log before it is ready.
// It traps no signals: whoever started it calls Close.
func StartEmbedded(c EmbeddedConfig) (*Embedded, error) {
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, err
	}
	lock := flock.New(filepath.Join(c.Dir, "lock"))
	switch free, err := lock.TryLock(); {
	case err != nil:
		return nil, fmt.Errorf("lock %s: %w", c.Dir, err)
	case !free:
		return nil, fmt.Errorf("%w: %s", ErrLocked, c.Dir)
	}
	e := &Embedded{lock: lock, keep: newKeeper(c.Dir, c.options().StoreDir)}
	if err := e.start(c); err != nil {
		return nil, errors.Join(fmt.Errorf("start the log in %s: %w", c.Dir, err), e.Close())
	}
	return e, nil
}

// start starts the server and connects. The caller closes e if that fails.
func (e *Embedded) start(c EmbeddedConfig) (err error) {
	if err := e.keep.hold(); err != nil {
		return err
	}
	if e.server, err = server.NewServer(c.options()); err != nil {
		return err
	}
	log := &serverLog{Logger: c.Log}
	e.server.SetLoggerV2(log, false, false, false)
	e.server.Start() // returns when it is ready or has given up, for nobody can connect
	if fatal := log.fatal.Load(); fatal != nil {
		return *fatal
	}
	if !e.server.ReadyForConnections(time.Second) {
		return errors.New("the server is not ready")
	}
	e.conn, err = nats.Connect("", nats.InProcessServer(e.server), nats.Name(clientName),
		nats.MaxReconnects(-1), nats.ReconnectBufSize(-1))
	if err != nil {
		return err
	}
	if e.js, err = jetstream.New(e.conn); err != nil {
		return err
	}
	return e.complete()
}

// complete checks that the server has the log that was there before it started.
func (e *Embedded) complete() error {
	if !e.keep.held() {
		return nil
	}
	_, err := e.js.Stream(context.Background(), streamName)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return e.keep.lost()
	case err != nil:
		return err
	}
	return e.keep.release()
}

// Limits of the server, which would else be taken from the machine.
const (
	maxPayload   = 8 << 20 // a commit is a few hundred bytes; this leaves room for imports
	maxInMemory  = 256 << 20
	maxUnbounded = 1 << 60
)

func (c EmbeddedConfig) options() *server.Options {
	maxStore := c.MaxStore
	if maxStore == 0 {
		maxStore = maxUnbounded
	}
	return &server.Options{
		ServerName:             clientName,
		DontListen:             true,
		NoSigs:                 true,
		JetStream:              true,
		DisableJetStreamBanner: true,
		StoreDir:               filepath.Join(c.Dir, "nats"), // empty would be the system's temporary folder
		SyncAlways:             !c.LoseAcknowledgedWritesOnPowerFailure,
		JetStreamMaxStore:      maxStore,
		JetStreamMaxMemory:     maxInMemory,
		MaxPayload:             maxPayload,
	}
}

// Conn is the connection to the server. It ends with Close.
func (e *Embedded) Conn() *nats.Conn { return e.conn }

// JetStream is what Create and Open want.
func (e *Embedded) JetStream() jetstream.JetStream { return e.js }

// Health is what the server says of itself: nil if all is well. A write that
// failed on disk stays in it until the process is started again.
func (e *Embedded) Health() error {
	health := e.server.Healthz(nil)
	if health.Error == "" {
		return nil
	}
	return fmt.Errorf("%w: %s", ErrUnavailable, health.Error)
}

// Close stops the connection and the server, waits until all is written and then
// gives the directory free. Closing again does nothing.
func (e *Embedded) Close() (err error) {
	e.close.Do(func() {
		if e.conn != nil {
			e.conn.Close()
		}
		if e.server != nil {
			e.server.Shutdown()
			e.server.WaitForShutdown()
		}
		err = e.lock.Unlock()
	})
	return err
}

// serverLog passes on what the server logs. A fatal error does not end the
// process, as the server's own log would: StartEmbedded returns it.
type serverLog struct {
	zerolog.Logger
	fatal atomic.Pointer[error]
}

func (l *serverLog) Noticef(format string, v ...any) { l.Info().Msgf(format, v...) }
func (l *serverLog) Warnf(format string, v ...any)   { l.Warn().Msgf(format, v...) }
func (l *serverLog) Errorf(format string, v ...any)  { l.Error().Msgf(format, v...) }
func (l *serverLog) Debugf(format string, v ...any)  { l.Debug().Msgf(format, v...) }
func (l *serverLog) Tracef(format string, v ...any)  { l.Trace().Msgf(format, v...) }

func (l *serverLog) Fatalf(format string, v ...any) {
	err := fmt.Errorf(format, v...)
	l.Error().Err(err).Msg("the server gives up")
	l.fatal.CompareAndSwap(nil, &err)
}
