package engine

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"jeton/domain"
)

// maxLine is how long a line of the stream may be. The longest is a frame with a
// thousand roles.
const maxLine = 16 << 20

var (
	errSilent = errors.New("the platform has said nothing for too long")
	errEnded  = errors.New("the platform has ended the stream")
	errGap    = errors.New("the stream has a gap: what is between was not told")
	errHello  = errors.New("the stream does not begin as it should")
	errOther  = errors.New("the stream goes on with another history")
	errBehind = errors.New("the platform tells an older state than it has told before: a node of it is behind, or it was restored from a backup; what is known here counts until it is stale")
)

// follow reads streams, one after the other, until ctx ends.
func (c *Client) follow(ctx context.Context) {
	wait := c.pace.first
	for ctx.Err() == nil {
		s := c.newStream()
		err := s.run(ctx)
		s.end()
		if ctx.Err() != nil {
			return
		}
		refused, wrong := errors.Is(err, ErrRefused), errors.As(err, new(*nonsense))
		c.copy.lose(err, refused)
		c.config.Log.Warn().Err(err).Uint64("position", uint64(c.copy.position)).Msg("cut off from the platform")
		switch {
		case refused:
			c.snap.remove()
			wait = c.pace.slowest
		case wrong:
			c.copy.forget() // and be slower each time: all is much
		case s.marked:
			wait = c.pace.first
		}
		pause(ctx, wait/2+rand.N(wait/2+1))
		wait = min(2*wait, c.pace.slowest)
	}
}

func pause(ctx context.Context, length time.Duration) {
	timer := time.NewTimer(length)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// nonsense is that what the platform says does not go together: all is read again.
type nonsense struct{ err error }

func (n *nonsense) Error() string { return n.err.Error() }
func (n *nonsense) Unwrap() error { return n.err }

// stream is one stream, from Hello to its end.
type stream struct {
	client   *Client
	hello    *Hello
	fresh    *holding // told since a Reset, and not yet all of it; nil: pieces go into the copy
	position domain.Position
	marked   bool // it has come to a mark
}

func (c *Client) newStream() *stream { return &stream{client: c, position: c.copy.known()} }

// run reads the stream. It always ends with an error.
func (s *stream) run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s.client.streaming(cancel)
	defer s.client.streaming(nil)
	silence := time.AfterFunc(s.client.pace.silence, func() { cancel(errSilent) })
	defer silence.Stop()
	r, err := s.request(ctx)
	if err != nil {
		return err
	}
	answer, err := s.client.do(r)
	if err != nil {
		return because(ctx, err)
	}
	defer answer.Body.Close()
	return because(ctx, s.read(answer.Body, silence))
}

// because is why something ended that ended with ctx.
func because(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// streaming says how the stream that there is can be ended.
func (c *Client) streaming(cut func(error)) {
	c.cutMu.Lock()
	defer c.cutMu.Unlock()
	c.cut = cut
}

func (c *Client) endStream(err error) {
	c.cutMu.Lock()
	defer c.cutMu.Unlock()
	if c.cut != nil {
		c.cut(err)
	}
}

func (s *stream) request(ctx context.Context) (*http.Request, error) {
	config := &s.client.config
	query := url.Values{
		QueryAfter:     {strconv.FormatUint(uint64(s.position), 10)},
		QueryInstance:  {config.Instance},
		QueryStaleness: {strconv.FormatInt(int64(config.MaxStaleness/time.Second), 10)},
	}
	if s.position != 0 {
		query.Set(QueryLog, s.client.copy.hello.Log)
	}
	if config.Version != "" {
		query.Set(QueryVersion, config.Version)
	}
	return http.NewRequestWithContext(ctx, http.MethodGet, config.URL+StreamPath+"?"+query.Encode(), nil)
}

// read reads lines.
func (s *stream) read(body io.Reader, silence *time.Timer) error {
	lines := bufio.NewScanner(&watched{body, silence, s.client.pace.silence})
	lines.Buffer(make([]byte, 64<<10), maxLine)
	for lines.Scan() {
		if err := s.line(lines.Bytes()); err != nil {
			return err
		}
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return &nonsense{err}
	case err != nil:
		return err
	}
	return errEnded
}

// watched lets a timer run while it waits for something to read, and not while that
// is being taken. A line may take long on a slow way; silence may not.
type watched struct {
	io.Reader
	silence *time.Timer
	most    time.Duration
}

func (w *watched) Read(p []byte) (int, error) {
	w.silence.Reset(w.most)
	defer w.silence.Stop()
	return w.Reader.Read(p)
}

// line takes a line.
func (s *stream) line(text []byte) error {
	if len(text) == 0 {
		return nil
	}
	var line Line
	if err := json.Unmarshal(text, &line); err != nil {
		return &nonsense{fmt.Errorf("a line of the stream can't be read: %w", err)}
	}
	switch err := s.take(&line, text); {
	case errors.Is(err, errBehind):
		return err // another node may go on from here
	case err != nil:
		return &nonsense{err}
	}
	return nil
}

func (s *stream) take(line *Line, text []byte) error {
	if s.hello == nil || line.Hello != nil {
		return s.greet(line.Hello)
	}
	if line.Reset || s.fresh == nil && s.position == 0 { // who has nothing has nothing to go on with
		s.fresh, s.position = newHolding(), 0
		s.client.snap.begin(s.hello)
	}
	if s.fresh == nil && !s.goesOn() {
		return errOther
	}
	if line.Piece != (domain.Piece{}) {
		if err := s.piece(&line.Piece); err != nil {
			return err
		}
		s.client.snap.add(text)
	}
	if line.Mark != nil {
		return s.mark(line.Mark)
	}
	return nil
}

func (s *stream) greet(h *Hello) error {
	if h == nil || s.hello != nil {
		return errHello
	}
	s.hello = h
	return nil
}

// goesOn reports whether the stream can go on with the copy that there is.
func (s *stream) goesOn() bool {
	known := &s.client.copy.hello
	return s.position != 0 && s.hello.Log == known.Log && s.hello.Organization == known.Organization && s.hello.Engine == known.Engine
}

func (s *stream) piece(p *domain.Piece) error {
	if s.fresh != nil {
		return s.fresh.take(p, s.client.copy.held)
	}
	return s.client.copy.take(p)
}

// mark makes visible what was told, keeps it, and says to the platform that it is.
func (s *stream) mark(m *Mark) error {
	if m.From != s.position || m.To < m.From || m.To == 0 {
		return errGap
	}
	c, now := s.client, s.client.config.Now()
	if s.fresh != nil {
		if c.copy.ahead(m, s.hello.Log, now) {
			return errBehind
		}
		c.copy.replace(s.fresh, *s.hello)
		s.fresh = nil
	}
	c.copy.mark(m, now, true)
	c.snap.mark(m, now, &c.copy)
	if !s.marked {
		c.config.Log.Info().Uint64("position", uint64(m.To)).Str("platform", s.hello.Platform).Msg("connected to the platform")
	}
	if !s.marked || m.To != s.position {
		c.report.reached(m.To)
	}
	s.position, s.marked = m.To, true
	return nil
}

// end forgets what was told since the last mark but is not in the copy.
func (s *stream) end() { s.client.snap.abandon() }

// answered is that the platform, or whoever is on the way, has answered with something
// else than what was asked for.
type answered struct {
	status int
	spoken bool // in the platform's words
}

func (a *answered) Error() string {
	if a.status >= 300 && a.status < 400 {
		return fmt.Sprintf("the platform answers with %d, which is not followed: configure the URL that it leads to", a.status)
	}
	return fmt.Sprintf("the platform, or a proxy before it, answers with %d", a.status)
}

// final reports whether the platform answers the same request the same the next time.
func (a *answered) final() bool {
	switch a.status {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		return a.spoken
	}
	return false
}

// refused reports whether the platform says that the engine's token is not good.
func (a *answered) refused() bool {
	switch a.status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound:
		return a.spoken
	}
	return false
}

// do sends a request to the platform. An answer other than 2xx is an error.
func (c *Client) do(r *http.Request) (*http.Response, error) {
	r.Header.Set("Authorization", "Bearer "+c.config.Token)
	answer, err := c.config.HTTP.Do(r)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode/100 == 2 {
		return answer, nil
	}
	defer answer.Body.Close()
	no := &answered{answer.StatusCode, speaks(answer)}
	if no.refused() {
		return nil, ErrRefused
	}
	return nil, no
}

// speaks reports whether it is the platform itself that says no. Proxies have statuses
// too; what they do not have is the platform's words.
func speaks(answer *http.Response) bool {
	media, _, err := mime.ParseMediaType(answer.Header.Get("Content-Type"))
	if err != nil || media != "application/problem+json" {
		return false
	}
	var problem struct {
		Status int    `json:"status"`
		Code   string `json:"code"`
	}
	err = json.NewDecoder(io.LimitReader(answer.Body, 64<<10)).Decode(&problem)
	return err == nil && problem.Status == answer.StatusCode && problem.Code != ""
}
