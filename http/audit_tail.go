package http

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"jeton/domain"
	"jeton/projections"
)

const auditTailPath = "/api/v1/organizations/{org}/audit/tail"

// tailPart is how many entries are read at a time.
const tailPart = 100

// auditTail answers GET /api/v1/organizations/{org}/audit/tail, as the HTML standard
// writes server-sent events: of each entry id is its place, event its action and data the
// entry. A stream that is asked for behind a place (Last-Event-ID, or after) has every
// entry behind it that passes the filters, once and in order; without a place it begins
// with what comes. Heartbeats have an id, too: there is nothing up to it that was not
// told.
//
// The events behind and end are no entries. behind says that the database of the views
// is not reached or not up to date, so that silence means nothing, or (false) that it is
// again; end says why the stream is over. It ends with the server, and when the token is
// good no more.
func (s *Server) auditTail(w http.ResponseWriter, r *http.Request, c Caller) error {
	filter, err := s.tailFilter(r, c)
	if err != nil {
		return inQuery(err)
	}
	leave, err := s.tails.join(c.ID)
	if err != nil {
		return err
	}
	defer leave()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	if s.Stopping != nil {
		defer context.AfterFunc(s.Stopping, cancel)()
	}
	t := &tail{server: s, request: r, caller: c, filter: filter, w: w, control: http.NewResponseController(w)}
	if err := t.greet(); err != nil {
		return nil // the caller has gone
	}
	err = t.run(ctx)
	s.Log.Debug().Err(err).Str("organization", c.Alias).Stringer("at", t.filter.After).Msg("a tail of the audit log has ended")
	return nil // what was begun as a stream does not end as a problem
}

func (s *Server) tailFilter(r *http.Request, c Caller) (f projections.AuditFilter, err error) {
	q, err := readAuditQuery(r.URL.Query())
	if err != nil {
		return f, err
	}
	last := r.Header.Get("Last-Event-ID") // of a client that comes again: it is younger than what it asked first
	if last != "" {
		q.After = last
	}
	if q.Before != "" || q.To != "" {
		return f, domain.Invalid("before", "has no meaning where the end is waited for", "leave before and to out, or ask for a list or an export")
	}
	if f, err = s.auditFilter(r.Context(), c, q); err != nil {
		return f, err
	}
	if q.After == "" {
		at, _ := s.Views.Position()
		f.After = projections.PlaceOf(at+1, 0) - 1
	}
	f.Oldest, f.Limit = true, tailPart
	return f, nil
}

// tail is a stream on its way.
type tail struct {
	server  *Server
	request *http.Request
	caller  Caller
	filter  projections.AuditFilter // After is how far it was told
	w       http.ResponseWriter
	control *http.ResponseController
	behind  bool // and that was said
}

func (t *tail) greet() error {
	h := t.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // nginx passes each event on
	if t.request.ProtoMajor == 1 {
		h.Set("Connection", "close")
	}
	return t.write([]byte("retry: 1000\n\n"))
}

// run tells what there is and then what comes.
func (t *tail) run(ctx context.Context) error {
	for ctx.Err() == nil {
		more, at, err := t.tell(ctx)
		if err != nil {
			return err
		}
		if !more {
			if err := t.wait(ctx, at); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

var errTailEnds = errors.New("the token is not good any more, or may not read the log")

// tell reads a part and writes it. Whether it may still be told is asked before every
// part, so that a token that was revoked hears nothing of what came then.
func (t *tail) tell(ctx context.Context) (more bool, at domain.Position, err error) {
	at, away := t.server.Views.Position()
	rows, err := t.server.Views.Audit(ctx, t.filter)
	if ctx.Err() != nil {
		return false, at, ctx.Err()
	}
	if !t.welcome() {
		_ = t.write([]byte("event: end\ndata: {\"reason\":\"" + errTailEnds.Error() + "\"}\n\n"))
		return false, at, errTailEnds
	}
	if err := t.say(err != nil || away != nil || at < t.filter.After.Position()); err != nil {
		return false, at, err
	}
	if err != nil {
		return false, at, nil // it is tried again
	}
	var events bytes.Buffer
	for _, row := range rows {
		if err := writeEvent(&events, t.server.auditEntry(t.caller, row)); err != nil {
			return false, at, err
		}
		t.filter.After = row.Place
	}
	if more = len(rows) == tailPart; !more && at != 0 { // what was not found up to here is not there
		t.filter.After = max(t.filter.After, projections.PlaceOf(at+1, 0)-1)
	}
	if events.Len() == 0 {
		return more, at, nil
	}
	return more, at, t.write(events.Bytes())
}

func writeEvent(to *bytes.Buffer, entry AuditEntry) error {
	data, err := json.Marshal(entry)
	if err == nil {
		fmt.Fprintf(to, "id: %s\nevent: %s\ndata: %s\n\n", entry.ID, entry.Action, data)
	}
	return err
}

// say tells a change of whether the views are behind.
func (t *tail) say(behind bool) error {
	if behind == t.behind {
		return nil
	}
	t.behind = behind
	return t.write(fmt.Appendf(nil, "event: behind\ndata: {\"behind\":%t}\n\n", behind))
}

// wait waits for commits behind a position, and sends a heartbeat if there are none.
func (t *tail) wait(ctx context.Context, at domain.Position) error {
	beat, cancel := context.WithTimeout(ctx, tailBeats*t.server.streams.beat())
	defer cancel()
	err := t.server.Views.Wait(beat, at+1)
	if err == nil {
		return nil
	}
	<-beat.Done() // the views are away, or it is already time
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return t.write(fmt.Appendf(nil, ": nothing new\nid: %s\n\n", t.filter.After))
}

// tailBeats is between two heartbeats.
const tailBeats = 5

// welcome reports whether the caller would come in again. It is no use that counts
// against their limits.
func (t *tail) welcome() bool {
	var again Caller
	return t.server.admit(t.request, allowed(domain.LogRead).asking(), &again) == nil && again.ID == t.caller.ID
}

// write writes at once. Whoever does not read is dropped.
func (t *tail) write(events []byte) error {
	_ = t.control.SetWriteDeadline(time.Now().Add(t.server.streams.slow())) // by the clock of the wire; what is no connection has no deadlines
	if _, err := t.w.Write(events); err != nil {
		return err
	}
	return t.control.Flush()
}

// mostTails is how many streams a token may have at once.
const mostTails = 5

// tails counts the streams of each token. The zero value has none.
type tails struct {
	mu   sync.Mutex
	open map[domain.TokenID]int
}

func (t *tails) join(token domain.TokenID) (leave func(), err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.open[token] >= mostTails {
		return nil, problem(429, "too-many-streams", fmt.Sprintf("this token follows the audit log %d times already", mostTails), "end one of the streams first")
	}
	if t.open == nil {
		t.open = map[domain.TokenID]int{}
	}
	t.open[token]++
	return func() { t.leave(token) }, nil
}

func (t *tails) leave(token domain.TokenID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.open[token]--; t.open[token] == 0 {
		delete(t.open, token)
	}
}

const tailDescription = "Server-sent events: id is the place of an entry, event its action and data the entry. A heartbeat is a comment with an id. The event behind says whether the database of the lists is behind, end why the stream is over."

// auditStreamed mounts a handler that writes by itself and takes the parameters of an
// AuditQuery and some more, and describes it.
func auditStreamed(handle func(http.ResponseWriter, *http.Request, Caller) error, besides func() []*huma.Param, description string, media ...string) func(*mounter, route) {
	return func(m *mounter, r route) {
		raw(handle)(m, r)
		op := m.operation(r)
		op.Parameters = append(auditParameters(), besides()...)
		content := map[string]*huma.MediaType{}
		for _, one := range media {
			content[one] = &huma.MediaType{}
		}
		op.Responses = map[string]*huma.Response{
			"200":     {Description: description, Content: content},
			"default": {Description: "Error", Content: problemContent(m.api.OpenAPI().Components.Schemas)},
		}
		m.api.OpenAPI().AddOperation(&op)
	}
}

func tailParameters() []*huma.Param {
	return []*huma.Param{{Name: "Last-Event-ID", In: "header", Schema: &huma.Schema{Type: huma.TypeString}, Description: "The id that was heard last: what stands behind it comes."}}
}
