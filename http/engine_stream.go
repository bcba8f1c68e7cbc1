package http

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"jeton/domain"
	"jeton/engine"
	"jeton/projections"
)

// pace is how streams of engines go. The zero value is as it should be.
type pace struct {
	heartbeat time.Duration // between two marks while nothing happens; 0: a second
	patience  time.Duration // for an engine that does not read; 0: 10 seconds
	behind    time.Duration // for what only other nodes have heard of; 0: newsPatience
}

func (p pace) beat() time.Duration { return cmp.Or(p.heartbeat, time.Second) }
func (p pace) slow() time.Duration { return cmp.Or(p.patience, 10*time.Second) }
func (p pace) news() time.Duration { return cmp.Or(p.behind, newsPatience) }

// engineStream answers GET /api/v1/engines/stream with lines, each an engine.Line,
// for as long as the engine reads, its token is good, no other process takes its
// place and the server runs. While the organization has switched tokens off it goes
// on: that is something to be told, too.
func (s *Server) engineStream(w http.ResponseWriter, r *http.Request, c Caller) error {
	wanted, err := readStreamQuery(r, c)
	if err != nil {
		return inQuery(err)
	}
	after := s.resumes(r.Context(), wanted)
	leave, replaced, err := s.Connections.Join(wanted.Connecting)
	if err != nil {
		return err
	}
	defer leave()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	if s.Stopping != nil {
		defer context.AfterFunc(s.Stopping, cancel)()
	}
	t := &telling{server: s, request: r, caller: c, replaced: replaced, w: w, control: http.NewResponseController(w)}
	err = t.run(ctx, after)
	s.Log.Debug().Err(err).Str("organization", c.Alias).Uint64("engine", uint64(c.Engine)).Str("instance", wanted.Instance).Msg("the stream of an engine has ended")
	return nil // what was begun as a stream does not end as a problem
}

// streamQuery is what an engine says of itself.
type streamQuery struct {
	projections.Connecting
	after domain.Position
	log   string
}

// versions is what programs call their versions.
var versions = regexp.MustCompile(`^[!-~]([ -~]{0,62}[!-~])?$`)

// readStreamQuery reads what an engine says when it connects. Parameters that are not
// known are of a younger engine, and are ignored.
func readStreamQuery(r *http.Request, c Caller) (q streamQuery, err error) {
	query := r.URL.Query()
	for _, name := range []string{engine.QueryAfter, engine.QueryLog, engine.QueryInstance, engine.QueryVersion, engine.QueryStaleness} {
		if len(query[name]) > 1 {
			return q, domain.Invalid(name, "is given twice", "give it once")
		}
	}
	q.Connecting = projections.Connecting{
		Organization: c.Organization, Engine: c.Engine, Instance: query.Get(engine.QueryInstance), Version: query.Get(engine.QueryVersion),
		Address: c.Address.String(), Staleness: engine.MaxStaleness, // who does not say is taken to go on for longest
	}
	if err := checkInstance(q.Instance); err != nil {
		return q, err
	}
	if q.Version != "" && !versions.MatchString(q.Version) {
		return q, domain.Invalid(engine.QueryVersion, "is no version", "use at most 64 letters, digits and signs")
	}
	q.log = query.Get(engine.QueryLog)
	if text := query.Get(engine.QueryAfter); text != "" && text != "0" {
		if q.after = position(text); q.after == 0 {
			return q, domain.Invalid(engine.QueryAfter, "is no position", "send the position of the last mark, or 0")
		}
	}
	if text := query.Get(engine.QueryStaleness); text != "" {
		seconds, err := strconv.ParseUint(text, 10, 32)
		if q.Staleness = time.Duration(seconds) * time.Second; err != nil || q.Staleness > engine.MaxStaleness {
			return q, domain.Invalid(engine.QueryStaleness, "is no number of seconds that an engine can go on alone", "send 0 to 86400")
		}
	}
	return q, nil
}

// resumes is from where an engine is told what has changed; 0: it is told everything,
// because it knows another log, or more than there is. What it has heard from another
// node is waited for: it must not be told of an older state than it has confirmed.
func (s *Server) resumes(ctx context.Context, q streamQuery) domain.Position {
	if q.after == 0 || q.log == "" || q.log != s.LogID || s.happened(ctx, q.after) != nil {
		return 0
	}
	return q.after
}

// telling is a stream on its way.
type telling struct {
	server   *Server
	request  *http.Request
	caller   Caller
	replaced <-chan struct{}
	w        http.ResponseWriter
	control  *http.ResponseController
	lines    bytes.Buffer
}

func (t *telling) run(ctx context.Context, after domain.Position) error {
	beat := time.NewTicker(t.server.streams.beat())
	defer beat.Stop()
	if err := t.greet(); err != nil {
		return err
	}
	return t.server.Model.Live(ctx, t.caller.Organization, t.caller.Engine, after, beat.C, t.tell)
}

// greet begins the stream. Its connection is for nothing else: the limit on writing is
// not left to the next request.
func (t *telling) greet() error {
	h := t.w.Header()
	h.Set("Content-Type", streamType)
	h.Set("X-Accel-Buffering", "no") // nginx passes each line on
	if t.request.ProtoMajor == 1 {
		h.Set("Connection", "close")
	}
	return t.write(engine.Line{Hello: &engine.Hello{
		Platform: t.server.Version, Log: t.server.LogID, Organization: t.organization(), Engine: t.caller.Engine,
	}})
}

const streamType = "application/x-ndjson"

func (t *telling) organization() domain.Position {
	profile, _ := t.server.Model.Profile(t.caller.Organization)
	return profile.Number
}

var (
	errReplaced = errors.New("another stream of the same process has taken its place, or it has not reported for too long")
	errNoLonger = errors.New("the engine's access token is not good any more, or was changed")
)

// tell writes what the engine is told. Whether it may still be told is looked at
// before every mark, so that an engine whose token was revoked hears nothing of what
// came then.
func (t *telling) tell(told projections.Told) error {
	select {
	case <-t.replaced:
		return errReplaced
	default:
	}
	if told.Marked && !t.welcome(told.From != told.To) {
		return errNoLonger
	}
	lines := make([]engine.Line, 0, len(told.Pieces)+2)
	if told.Reset {
		lines = append(lines, engine.Line{Reset: true})
	}
	for _, p := range told.Pieces {
		lines = append(lines, engine.Line{Piece: p})
	}
	if told.Marked {
		lines = append(lines, engine.Line{Mark: &engine.Mark{From: told.From, To: told.To, At: told.At}})
	}
	return t.write(lines...)
}

// welcome reports whether the engine would come in again. A token that was changed, in
// whatever way, is to be shown again: only the door knows whether this is its secret.
// At the door it counts as used, so it is not asked each second, but when something
// has happened.
func (t *telling) welcome(happened bool) bool {
	c := &t.caller
	standing, known := t.server.Model.Standing(c.Organization, c.ID)
	switch {
	case !known, !standing.Active() && standing.Reason != domain.ReasonOff:
		return false
	case standing.Token.Changed != c.Token.Changed:
		return false
	case c.Replaced != 0 && c.Replaced <= domain.At(t.server.now()):
		return false
	case !happened:
		return true
	}
	again := new(Caller)
	return t.server.admit(t.request, engines, again) == nil && again.Engine == c.Engine
}

// keptLines is how much room a stream keeps for lines between two writes, in bytes: enough
// for a change, and little enough for hundreds of streams.
const keptLines = 4 << 10

// write writes lines at once. An engine that does not read is dropped.
func (t *telling) write(lines ...engine.Line) error {
	defer t.keep()
	encoder := json.NewEncoder(&t.lines)
	for i := range lines {
		if err := encoder.Encode(&lines[i]); err != nil {
			return err
		}
	}
	_ = t.control.SetWriteDeadline(time.Now().Add(t.server.streams.slow())) // by the clock of the wire; what is no connection has no deadlines
	if _, err := t.w.Write(t.lines.Bytes()); err != nil {
		return err
	}
	return t.control.Flush()
}

// keep gives back what a large write took.
func (t *telling) keep() {
	if t.lines.Reset(); t.lines.Cap() > keptLines {
		t.lines = bytes.Buffer{}
	}
}

// streamed mounts the handler of a stream, and describes it.
func streamed(handle func(http.ResponseWriter, *http.Request, Caller) error) func(*mounter, route) {
	return func(m *mounter, r route) {
		raw(handle)(m, r)
		op := m.operation(r)
		op.Parameters = streamParameters()
		op.Responses = map[string]*huma.Response{
			"200": {
				Description: "Lines, each a JSON object: hello first, then reset, frame, terms, holder and token as they come, and mark behind each change and every second. Package engine reads them.",
				Content:     map[string]*huma.MediaType{streamType: {}},
			},
			"default": {Description: "Error", Content: problemContent(m.api.OpenAPI().Components.Schemas)},
		}
		m.api.OpenAPI().AddOperation(&op)
	}
}

func streamParameters() []*huma.Param {
	text, number := &huma.Schema{Type: huma.TypeString}, &huma.Schema{Type: huma.TypeInteger}
	return []*huma.Param{
		{Name: engine.QueryAfter, In: "query", Schema: number, Description: "The position of the last mark; 0 or absent: everything is wanted."},
		{Name: engine.QueryLog, In: "query", Schema: text, Description: "The log of that position, as hello has said. If it is another one, everything comes."},
		{Name: engine.QueryInstance, In: "query", Schema: text, Required: true, Description: "Which of the engine's processes this is: 1 to 64 letters, digits, - and _. It takes the place of the one that is called the same."},
		{Name: engine.QueryVersion, In: "query", Schema: text, Description: "The version of its program, at most 64 characters."},
		{Name: engine.QueryStaleness, In: "query", Schema: number, Description: "How many seconds it goes on without the platform, at most 86400, which it is without being said."},
	}
}
