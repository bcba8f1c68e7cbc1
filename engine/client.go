package engine

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"

	"jeton/domain"
)

// Client keeps a live copy of what the platform knows about the engine's
// organization, and checks by it. Open makes one.
type Client struct {
	config Config
	pace   pace
	copy   live
	snap   *snapshot
	report reporter

	cut    func(error) // ends the stream that there is
	cutMu  sync.Mutex
	cancel context.CancelFunc
	work   sync.WaitGroup
	once   sync.Once
}

// pace is how long a client waits for what.
type pace struct {
	silence  time.Duration // without a line: the stream is cut
	first    time.Duration // before the next attempt to connect, doubled up to slowest
	slowest  time.Duration
	reports  time.Duration // between two reports at most
	goodbye  time.Duration // for the last report
	rewrites time.Duration // between attempts to write a snapshot again that could not be written
}

var usualPace = pace{
	silence: 3 * time.Second, first: 100 * time.Millisecond, slowest: 5 * time.Second,
	reports: 5 * time.Second, goodbye: time.Second, rewrites: 30 * time.Second,
}

// ErrRefused is that the platform has said that the engine's access token is not good:
// the engine was deleted, or its token revoked or rotated.
var ErrRefused = errors.New("the platform refuses the engine's access token: register the engine, or give it the new token")

var errClosed = errors.New("the client was closed")

// Open begins to keep a copy. It takes the snapshot, if there is one that is good,
// and does not wait for the platform: until a copy is there, checks let nobody in.
// Ready waits for it. The goroutines that Open starts end with ctx or by Close.
func Open(ctx context.Context, config Config) (*Client, error) { return open(ctx, config, usualPace) }

func open(ctx context.Context, config Config, p pace) (*Client, error) {
	if err := config.complete(); err != nil {
		return nil, err
	}
	c := &Client{config: config, pace: p}
	c.copy.begin(config.MaxStaleness)
	if u, _ := url.Parse(config.URL); u.Scheme == "http" {
		c.config.Log.Warn().Msg("the platform is asked without TLS: whoever is on the way reads the engine's access token and can let in whom they want")
	}
	var err error
	if c.snap, err = openSnapshot(&c.config, p.rewrites); err != nil {
		return nil, err
	}
	if c.config.Instance, err = c.snap.instance(config.Instance); err != nil {
		return nil, errors.Join(err, c.snap.close())
	}
	c.snap.restore(&c.copy)
	c.report.begin(c)
	ctx, c.cancel = context.WithCancel(ctx)
	reporting, silence := context.WithCancel(context.WithoutCancel(ctx))
	c.work.Go(func() {
		defer silence() // behind the last that was read there is a last report
		c.follow(ctx)
	})
	c.work.Go(func() { c.report.run(reporting) })
	return c, nil
}

// Close ends the client: from then on it lets nobody in. Uses that were not reported
// yet are, if that takes no longer than a second.
func (c *Client) Close() (err error) {
	c.once.Do(func() {
		c.cancel()
		c.work.Wait()
		c.copy.close()
		err = c.snap.close()
		c.config.HTTP.CloseIdleConnections()
	})
	return err
}

// Ready waits until checks are answered from a copy, be it that of the snapshot. The
// error is ErrRefused, or that of ctx with what has kept the copy from coming.
func (c *Client) Ready(ctx context.Context) error {
	for {
		changed := c.copy.watch()
		switch s := c.State(); {
		case s.Open:
			return nil
		case errors.Is(s.Err, ErrRefused), errors.Is(s.Err, errClosed):
			return s.Err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("there is no copy of the organization yet: %w (%w)", ctx.Err(), cause(c.State().Err))
		}
	}
}

func cause(err error) error {
	if err == nil {
		return errors.New("the platform has not sent all of it")
	}
	return err
}

// State is how a client is, for health checks and for people.
type State struct {
	Open         bool // checks are answered; else nobody comes in
	Connected    bool
	Position     domain.Position // of the copy
	Age          time.Duration   // since the last mark; 0 if there was none
	MaxStaleness time.Duration
	Err          error // what keeps it from being connected; nil if it is
	Platform     string
	Organization string // the alias
	Engine       string // the name
	// Door is how the copy decides, without the hash of the verification token. Of a
	// client that has no copy it is disabled.
	Door     domain.Door
	Instance string
	Tokens   int // how many there are in the copy
	// Uncounted is how many uses could not be reported, because too many tokens were
	// used while the platform was away. When a token was used last is known all the same.
	Uncounted uint64
	Snapshot  SnapshotState
}

// State is how the client is now.
func (c *Client) State() State {
	s := c.copy.state(c.config.Now())
	s.Instance, s.Snapshot = c.config.Instance, c.snap.state()
	return s
}
