package http

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"jeton/domain"
	"jeton/engine"
	"jeton/projections"
)

// heartbeat is that of streams in tests, so that nobody waits long for one.
const heartbeat = 5 * time.Millisecond

// hearingPatience bounds every test that waits for a line.
const hearingPatience = 20 * time.Second

// serve serves a world over the network, until the test ends.
func (w *world) serve(with ...func(*http.Server)) (url string) {
	w.Helper()
	w.server.streams.heartbeat = heartbeat
	server := httptest.NewUnstartedServer(w.handler)
	for _, set := range with {
		set(server.Config)
	}
	server.Start()
	w.Cleanup(server.Close)
	return server.URL
}

// hearing is the stream of an engine.
type hearing struct {
	*world
	answer *http.Response
	lines  *bufio.Scanner
	close  func()
}

// hears opens the stream of a process of an engine, and takes its hello.
func (w *world) hears(url, as, query string) *hearing {
	w.Helper()
	h := w.asks(url, as, query)
	if h.answer.StatusCode != 200 {
		w.Fatalf("the stream with %s: status %d", query, h.answer.StatusCode)
	}
	hello := h.next()
	if hello.Hello == nil || number(hello.Hello.Engine) != w.names[as] || hello.Hello.Log != w.storeID || hello.Hello.Platform != "test" {
		w.Fatalf("the stream begins with %+v", hello)
	}
	return h
}

func (w *world) asks(url, as, query string) *hearing {
	w.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), hearingPatience)
	w.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, "GET", url+engine.StreamPath+"?"+w.filled(query), nil)
	w.must(err)
	r.Header.Set("Authorization", "Bearer "+w.secret(as))
	answer, err := http.DefaultTransport.RoundTrip(r)
	w.must(err)
	h := &hearing{world: w, answer: answer, lines: bufio.NewScanner(answer.Body), close: func() { cancel(); _ = answer.Body.Close() }}
	h.lines.Buffer(nil, 1<<20)
	w.Cleanup(h.close)
	return h
}

// next is the next line; the zero Line: there is none any more.
func (h *hearing) next() (line engine.Line) {
	h.Helper()
	if !h.lines.Scan() {
		return line
	}
	text := h.lines.Text()
	if err := json.Unmarshal([]byte(text), &line); err != nil || line == (engine.Line{}) {
		h.Errorf("a line of the stream is %q: %v", text, err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, secret := range h.known {
		if strings.Contains(text, proper(secret)) {
			h.Errorf("the stream has a secret in it: %s", text)
		}
	}
	return line
}

// until is the lines up to a mark that is at a position, or behind it.
func (h *hearing) until(at domain.Position) (lines []engine.Line) {
	h.Helper()
	for {
		line := h.next()
		if line == (engine.Line{}) {
			h.Fatalf("the stream has ended before %d: %v", at, h.lines.Err())
		}
		lines = append(lines, line)
		if line.Mark != nil && line.Mark.To >= at {
			return lines
		}
	}
}

// rest is the lines up to the end of the stream.
func (h *hearing) rest() (lines []engine.Line) {
	h.Helper()
	for line := h.next(); line != (engine.Line{}); line = h.next() {
		lines = append(lines, line)
	}
	if err := h.lines.Err(); err != nil {
		h.Fatalf("the stream has broken off: %v", err)
	}
	return lines
}

// at is the last position in some lines.
func at(lines []engine.Line) (to domain.Position) {
	for _, line := range lines {
		if line.Mark != nil {
			to = line.Mark.To
		}
	}
	return to
}

// tokensIn are the ids of the tokens that lines tell of; revoked or not.
func tokensIn(lines []engine.Line, revoked bool) (ids []string) {
	for _, line := range lines {
		if line.Token != nil && line.Token.Revoked == revoked {
			ids = append(ids, line.Token.ID.String())
		}
	}
	return ids
}

func isReset(line engine.Line) bool { return line.Reset }

// copied is the copy of whoever has taken some lines.
func (w *world) copied(lines []engine.Line) *domain.Copy {
	w.Helper()
	c := domain.NewCopy()
	for _, line := range lines {
		w.must(c.Take(line.Piece))
	}
	return c
}

// opens reports whether a copy lets the bearer of a secret in.
func (w *world) opens(c *domain.Copy, secret string) bool {
	shown, _ := domain.ParseSecret(secret)
	place, _ := c.Tokens.Place(shown.Token)
	var e domain.Entrance
	if !c.Door.Verify(&e, secret, "") {
		c.Door.Enter(&c.Organization, &e, place, shown, &domain.Ask{Now: domain.At(w.now())})
	}
	return e.Allowed()
}

// Who connects for the first time is told everything, and can decide by it.
func TestStreamIsWhole(t *testing.T) {
	w := furnish(newWorld(t))
	h := w.hears(w.serve(), "prod", "instance=a1&version=4.0.1&max_staleness=60")
	for name, want := range map[string]string{"Content-Type": streamType, "X-Accel-Buffering": "no", "Cache-Control": "no-store"} {
		if got := h.answer.Header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	lines := h.until(1)
	if !lines[0].Reset {
		t.Errorf("behind hello comes %+v, want reset", lines[0])
	}
	c := w.copied(lines)
	for who, opens := range map[string]bool{"ann": true, "mia": true, "robot": false, "zed": false, "prod": false} {
		if w.opens(c, w.secret(who)) != opens {
			t.Errorf("the copy lets %s in: %t", who, !opens)
		}
	}
	if mark := lines[len(lines)-1].Mark; mark.From != 0 || mark.To != w.last() {
		t.Errorf("the mark is %+v, want 0 to %d", mark, w.last())
	}
}

// Who comes back is told what has changed, and nothing else.
func TestStreamGoesOn(t *testing.T) {
	w := furnish(newWorld(t))
	url := w.serve()
	h := w.hears(url, "prod", "instance=a1")
	know := at(h.until(1))
	h.close()
	does("ann", "DELETE "+tokensOfAcme+"/{mia.token}", "")(w)
	w.names["after"], w.names["log"] = fmt.Sprint(uint64(know)), w.storeID
	lines := w.hears(url, "prod", "instance=a1&after={after}&log={log}").until(know + 1)
	if slices.ContainsFunc(lines, isReset) {
		t.Error("everything is told again")
	}
	if got, want := tokensIn(lines, true), []string{w.names["mia.token"]}; !slices.Equal(got, want) || len(tokensIn(lines, false)) != 0 {
		t.Errorf("told is that %v are revoked, and of %v; want %v", got, tokensIn(lines, false), want)
	}
	if mark := lines[len(lines)-1].Mark; mark.From != know || mark.To != w.last() {
		t.Errorf("the mark is %+v, want %d to %d", mark, know, w.last())
	}
}

// Who knows another log, or more than there is, is told everything.
func TestStreamBeginsAnew(t *testing.T) {
	w := furnish(newWorld(t))
	w.server.streams.behind = time.Millisecond
	url := w.serve()
	w.names["log"], w.names["last"] = w.storeID, fmt.Sprint(uint64(w.last()))
	for _, query := range []string{"after=0", "after=", "after={last}&log=other", "after={last}&log=", "after={last}", "after=999999&log={log}", "after=18446744073709551615&log={log}"} {
		lines := w.hears(url, "prod", "instance=a1&"+query).until(1)
		if !lines[0].Reset || lines[len(lines)-1].Mark.From != 0 {
			t.Errorf("%s: it goes on with %+v", query, lines[0])
		}
	}
}

// What another node has told an engine is waited for.
func TestStreamWaitsForWhatIsKnown(t *testing.T) {
	w := furnish(newWorld(t))
	url := w.serve()
	w.server.streams.behind = hearingPatience
	w.names["next"], w.names["log"] = fmt.Sprint(uint64(w.last())+1), w.storeID
	heard := make(chan []engine.Line)
	go func() {
		defer close(heard)
		heard <- w.hears(url, "prod", "instance=a1&after={next}&log={log}").until(1)
	}()
	does("ann", "PATCH /api/v1/organizations/acme", `{"name":"Other"}`)(w)
	if lines := <-heard; lines == nil || slices.ContainsFunc(lines, isReset) {
		t.Errorf("it is told everything: %+v", lines)
	}
}

// A revocation is read before the mark that says it was told.
func TestRevocationComesBeforeItsMark(t *testing.T) {
	w := furnish(newWorld(t))
	h := w.hears(w.serve(), "prod", "instance=a1")
	lines := h.until(1)
	know := at(lines)
	does("ann", "DELETE "+tokensOfAcme+"/{mia.token}", "")(w)
	news := h.until(w.last())
	if got := tokensIn(news, true); !slices.Equal(got, []string{w.names["mia.token"]}) {
		t.Errorf("revoked are %v", got)
	}
	for _, line := range news[:len(news)-1] {
		if line.Mark != nil && (line.Mark.From != know || line.Mark.To != know) {
			t.Errorf("on the way it says %+v", line.Mark)
		}
	}
	if mark := news[len(news)-1].Mark; mark.From != know || mark.To != w.last() {
		t.Errorf("the mark is %+v, want %d to %d", mark, know, w.last())
	}
	if c := w.copied(append(lines, news...)); w.opens(c, w.secret("mia")) || !w.opens(c, w.secret("ann")) {
		t.Error("the copy lets mia in, or ann not")
	}
}

// A stream ends once whoever hears it may not, and tells nothing of what came then.
func TestStreamEnds(t *testing.T) {
	token, one := tokensOfAcme+"/{prod.token}", enginesOfAcme+"/{prod}"
	for name, do := range map[string]func(*world){
		"its token is revoked":         does("ann", "DELETE "+token, ""),
		"its token is rotated":         does("ann", "POST "+token+"/rotate", `{"overlap":"1h"}`),
		"its token may ask nothing":    does("ann", "PATCH "+token, `{"grant":{"access":"role","role":"schema-only"}}`),
		"its token works elsewhere":    does("ann", "PATCH "+token, `{"networks":["10.0.0.0/8"]}`),
		"all tokens work elsewhere":    demands(`{"networks":["192.0.2.0/24"]}`),
		"all such tokens are revoked":  does("ann", "POST "+tokensOfAcme+"/revoke", `{"kind":"administrative"}`),
		"somebody has found its token": does("", "POST /api/v1/burn", `{"token":"{prod.secret}"}`),
		"its token has expired":        passes(366 * 24 * time.Hour),
		"the engine is deleted":        does("ann", "DELETE "+one, ""),
		"the server stops":             nil,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			hasEngine("prod", `"personal_tokens":true`)(w)
			stopping, stop := context.WithCancel(t.Context())
			defer stop()
			w.server.Stopping = stopping
			h := w.hears(w.serve(), "prod", "instance=a1")
			know := at(h.until(1))
			if do == nil {
				stop()
			} else {
				do(w)
			}
			for _, line := range h.rest() {
				if line.Mark == nil || line.Mark.To != know {
					t.Errorf("then it is told %+v", line)
				}
			}
			w.left("prod")
		})
	}
}

// left waits until no process of an engine is connected.
func (w *world) left(name string) {
	w.Helper()
	org, _ := w.model.Find("acme")
	ctx, cancel := context.WithTimeout(w.Context(), hearingPatience)
	defer cancel()
	for {
		changed := w.server.Connections.Changed()
		if !slices.ContainsFunc(w.server.Connections.Of(org, position(w.names[name])), isConnected) {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			w.Fatalf("%s is still connected", name)
		}
	}
}

func isConnected(k projections.Connection) bool { return k.Connected }

// The overlap of a rotation is for engines, too: they come back with the old secret
// until it ends, and not a heartbeat longer.
func TestStreamWithAReplacedSecret(t *testing.T) {
	w := newWorld(t)
	hasEngine("prod", `"personal_tokens":true`)(w)
	url := w.serve()
	does("ann", "PATCH /api/v1/organizations/acme/policy", `{"reuse":"revoke"}`)(w)
	does("ann", "POST "+tokensOfAcme+"/{prod.token}/rotate", `{"overlap":"1h"}`)(w)
	h := w.hears(url, "prod", "instance=a1")
	h.until(1)
	w.pass(time.Hour)
	h.rest()
	if got := w.asks(url, "prod", "instance=a1").answer.StatusCode; got != 401 {
		t.Errorf("then it gets %d, want 401", got)
	}
}

// That tokens are switched off is something to be told: streams go on, and begin.
func TestStreamWhileTokensAreOff(t *testing.T) {
	w := furnish(newWorld(t))
	url := w.serve()
	h := w.hears(url, "prod", "instance=a1")
	lines := h.until(1)
	does("ann", "PATCH /api/v1/organizations/acme/policy", `{"tokens_enabled":false}`)(w)
	off := w.last()
	lines = append(lines, h.until(off)...)
	if w.opens(w.copied(lines), w.secret("mia")) {
		t.Error("the copy lets mia in while tokens are off")
	}
	whole := w.hears(url, "prod", "instance=a2").until(off)
	if w.opens(w.copied(whole), w.secret("mia")) {
		t.Error("a copy that was made while tokens are off lets mia in")
	}
	does("ann", "PATCH /api/v1/organizations/acme/policy", `{"tokens_enabled":true}`)(w)
	lines = append(lines, h.until(w.last())...)
	if !w.opens(w.copied(lines), w.secret("mia")) {
		t.Error("the copy does not let mia in when tokens are on again")
	}
}

// An engine that is disabled hears of it, and of the end of it.
func TestStreamOfADisabledEngine(t *testing.T) {
	w := furnish(newWorld(t))
	h := w.hears(w.serve(), "prod", "instance=a1")
	lines := h.until(1)
	for _, disabled := range []bool{true, false} {
		does("ann", "PATCH "+enginesOfAcme+"/{prod}", fmt.Sprintf(`{"disabled":%t}`, disabled))(w)
		lines = append(lines, h.until(w.last())...)
		if c := w.copied(lines); c.Door.Disabled != disabled || w.opens(c, w.secret("mia")) == disabled {
			t.Errorf("disabled: %t; the copy: %t", disabled, c.Door.Disabled)
		}
	}
}

// A process that comes again takes its own place, and no engine has more than eight.
func TestStreamsOfOneEngine(t *testing.T) {
	w := furnish(newWorld(t))
	url := w.serve()
	all := make([]*hearing, projections.MaxInstances)
	for i := range all {
		all[i] = w.hears(url, "prod", fmt.Sprintf("instance=a%d", i))
		all[i].until(1)
	}
	ninth := w.asks(url, "prod", "instance=other")
	var problem Problem
	w.must(json.NewDecoder(ninth.answer.Body).Decode(&problem))
	if ninth.answer.StatusCode != 409 || problem.Code != "state" || problem.Next == "" {
		t.Errorf("the ninth process gets %d: %+v", ninth.answer.StatusCode, problem)
	}
	w.hears(url, "prod", "instance=a3").until(1)
	all[3].rest()
	shown := w.send("ann", "GET "+enginesOfAcme+"/{prod}", "").object(t)["connections"].([]any)
	if len(shown) != len(all) {
		t.Errorf("%d processes are shown, want %d: %v", len(shown), len(all), shown)
	}
}

// Whoever has the token of one engine is that engine, whatever they meant to be.
func TestStreamWithTheTokenOfAnother(t *testing.T) {
	w := furnish(newWorld(t))
	hasEngine("other", `"personal_tokens":false`)(w)
	lines := w.hears(w.serve(), "prod", "instance=other").until(1)
	if c := w.copied(lines); c.Door.Name != "prod" || !c.Door.PersonalTokens {
		t.Errorf("it is told the door of %s", c.Door.Name)
	}
	for number, connected := range map[string]int{"prod": 1, "other": 0} {
		if got := w.send("ann", "GET "+enginesOfAcme+"/{"+number+"}", "").object(t)["connections"].([]any); len(got) != connected {
			t.Errorf("%s has %d processes, want %d", number, len(got), connected)
		}
	}
}

func TestBadStreams(t *testing.T) {
	w := furnish(newWorld(t))
	for query, field := range map[string]string{
		"":                                    "query.instance",
		"instance=":                           "query.instance",
		"instance=a+b":                        "query.instance",
		"instance=a%00b":                      "query.instance",
		"instance=" + strings.Repeat("a", 65): "query.instance",
		"instance=a1&instance=a2":             "query.instance",
		"instance=a1&version=a%0ab":           "query.version",
		"instance=a1&version=+":               "query.version",
		"instance=a1&version=" + strings.Repeat("a", 65): "query.version",
		"instance=a1&after=-1":                           "query.after",
		"instance=a1&after=1.5":                          "query.after",
		"instance=a1&after=01":                           "query.after",
		"instance=a1&after=18446744073709551616":         "query.after",
		"instance=a1&after=1&after=1":                    "query.after",
		"instance=a1&max_staleness=-1":                   "query.max_staleness",
		"instance=a1&max_staleness=1m":                   "query.max_staleness",
		"instance=a1&max_staleness=86401":                "query.max_staleness",
		"instance=a1&max_staleness=18446744073709551615": "query.max_staleness",
	} {
		answered := w.refused("prod", "GET "+engine.StreamPath+"?"+query, "", []int{422})
		if got := firstField(t, answered); got != field {
			t.Errorf("%q: the field is %q, want %q: %s", query, got, field, answered.body)
		}
	}
	w.refused("prod", "GET "+engine.StreamPath+"?instance={prod.secret}", "", []int{400})
	for _, as := range []string{"ann", "mia", "robot", "zed"} {
		refused := w.refused(as, "GET "+engine.StreamPath+"?instance=a1", "", []int{403})
		if next, _ := refused.object(t)["next"].(string); !strings.Contains(next, "access token") {
			t.Errorf("%s is told %q", as, next)
		}
	}
}

// The limit on how long a request may take to arrive does not end a stream.
func TestStreamOutlivesTheRequest(t *testing.T) {
	w := furnish(newWorld(t))
	const limit = 10 * heartbeat
	h := w.hears(w.serve(func(s *http.Server) { s.ReadTimeout = limit }), "prod", "instance=a1")
	for began := time.Now(); time.Since(began) < 3*limit; {
		if h.next() == (engine.Line{}) {
			t.Fatalf("it has ended: %v", h.lines.Err())
		}
	}
}

// An engine that does not read is dropped, and holds nobody up.
func TestSlowEngineIsDropped(t *testing.T) {
	w := furnish(newWorld(t))
	hasEngine("slow", `"personal_tokens":true`)(w)
	const small = 4 << 10
	url := w.serve(func(s *http.Server) {
		s.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
			w.must(c.(*net.TCPConn).SetWriteBuffer(small))
			return ctx
		}
	})
	w.server.streams.patience = 20 * heartbeat
	connection, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	w.must(err)
	defer connection.Close()
	w.must(connection.(*net.TCPConn).SetReadBuffer(small))
	_, err = fmt.Fprintf(connection, "GET %s?instance=a1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", engine.StreamPath, w.secret("slow"))
	w.must(err)
	h := w.hears(url, "prod", "instance=a1")
	h.until(1)
	for i := range 20 { // each tells of all roles
		does("ann", "POST /api/v1/organizations/acme/roles", fmt.Sprintf(`{"name":"role-%d","permissions":["engines.read"]}`, i))(w)
		h.until(w.last())
	}
	w.left("slow")
	h.until(w.last())
}

// A stream that has told all of an organization keeps no more room than one that has told
// nothing.
func TestStreamKeepsLittle(t *testing.T) {
	w := furnish(newWorld(t))
	recorder := httptest.NewRecorder()
	told := &telling{server: w.server, w: recorder, control: http.NewResponseController(recorder)}
	many := make([]engine.Line, 1000)
	for i := range many {
		many[i].Mark = &engine.Mark{To: 1}
	}
	for _, lines := range [][]engine.Line{many[:1], many, many[:1]} {
		w.must(told.write(lines...))
		if kept := told.lines.Cap(); kept > keptLines {
			t.Errorf("behind %d lines it keeps %d bytes, want at most %d", len(lines), kept, keptLines)
		}
	}
	if got, want := strings.Count(recorder.Body.String(), "\n"), len(many)+2; got != want {
		t.Errorf("%d lines were written, want %d", got, want)
	}
}

// Fifty processes hear of all that happens, each all of it.
func TestManyStreams(t *testing.T) {
	w := furnish(newWorld(t))
	url := w.serve()
	const engines, each, many = 10, 5, 20
	w.makeRoom("ann", "acme")
	for i := range many {
		w.issue("mia", "acme", fmt.Sprintf("t%c", 'a'+i), "personal")
	}
	for i := range engines {
		hasEngine(fmt.Sprintf("e%c", 'a'+i), `"personal_tokens":true`)(w)
	}
	var all []*hearing
	for i := range engines * each {
		all = append(all, w.hears(url, fmt.Sprintf("e%c", 'a'+i%engines), fmt.Sprintf("instance=a%d", i)))
	}
	told := make([][]engine.Line, len(all))
	var reading sync.WaitGroup
	last := make(chan struct{})
	for i, h := range all {
		reading.Go(func() {
			for line := h.next(); line != (engine.Line{}); line = h.next() {
				told[i] = append(told[i], line)
				if line.Mark == nil {
					continue
				}
				select {
				case <-last:
					if line.Mark.To == w.last() {
						return
					}
				default:
				}
			}
		})
	}
	for i := range many / 2 {
		does("ann", fmt.Sprintf("DELETE %s/{t%c.token}", tokensOfAcme, 'a'+i), "")(w)
	}
	close(last)
	reading.Wait()
	for i, lines := range told {
		c := w.copied(lines)
		for k := range many {
			if opens := w.opens(c, w.secret(fmt.Sprintf("t%c", 'a'+k))); opens != (k >= many/2) {
				t.Errorf("process %d lets token %d in: %t", i, k, opens)
			}
		}
	}
}
