package http

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
)

const auditOfAcme = "/api/v1/organizations/acme/audit"

// hasPast lets things happen to acme that change something.
func hasPast(w *world) {
	w.Helper()
	does("ann", "POST "+tokensOfAcme, `{"name":"ci","kind":"administrative","description":"=cmd()"}`)(w)
	does("bob", "PATCH "+tokensOfAcme+"/{robot.token}", `{"name":"builder","description":"builds, and \"tests\""}`)(w)
	does("ann", "PATCH /api/v1/organizations/acme/members/{mia}", `{"role":"auditor"}`)(w)
	does("ann", "PATCH /api/v1/organizations/acme/policy", `{"description_required":true}`)(w)
	does("bob", "DELETE "+tokensOfAcme+"/{robot.token}?reason=leaked+in+a+log", "")(w)
}

func TestAudit(t *testing.T) {
	read, exported := []string{"audit.read"}, []string{"audit.exported"}
	run(t, "audit", map[string]scenario{
		"the youngest":             {given: hasPast, as: "ada", send: "GET " + auditOfAcme + "?limit=2", status: 200, then: read},
		"with a count":             {given: hasPast, as: "ada", send: "GET " + auditOfAcme + "?action=token.*&limit=1&count=true", status: 200, then: read},
		"what was before a change": {given: hasPast, send: "GET " + auditOfAcme + "?action=member.role_changed", status: 200, then: read},
		"a policy before":          {given: hasPast, send: "GET " + auditOfAcme + "?kind=policy", status: 200, then: read},
		"by words":                 {given: hasPast, send: "GET " + auditOfAcme + "?q=LOG+leaked", status: 200, then: read},
		"the history of a token":   {given: hasPast, send: "GET " + auditOfAcme + "?token={robot.token}&after=12", status: 200, then: read},
		"about a person":           {given: hasPast, send: "GET " + auditOfAcme + "?target=mia@acme.test&limit=1", status: 200, then: read},
		"above organizations":      {given: does("ann", "POST /api/v1/operators", `{"email":"otto@acme.test"}`), send: "GET /api/v1/audit?limit=2", status: 200, then: read},
		"others read not above":    {as: "bob", send: "GET /api/v1/audit", status: 403},
		"a member reads none":      {as: "mia", send: "GET " + auditOfAcme, status: 403},
		"of a neighbour":           {as: "zed", send: "GET " + auditOfAcme, status: 404},
		"a neighbour's person":     {send: "GET " + auditOfAcme + "?actor=zed@globex.test", status: 200, then: read},
		"no place":                 {send: "GET " + auditOfAcme + "?after=x", status: 422, then: read},
		"no time":                  {send: "GET " + auditOfAcme + "?from=yesterday", status: 422, then: read},
		"no hash":                  {send: "GET " + auditOfAcme + "?hash=1234", status: 422, then: read},
		"no word":                  {send: "GET " + auditOfAcme + "?q=%21", status: 422, then: read},
		"no address":               {send: "GET " + auditOfAcme + "?address=here", status: 422, then: read},
		"no such filter":           {send: "GET " + auditOfAcme + "?colour=red", status: 422},
		"a cursor of another list": {send: "GET " + auditOfAcme + "?cursor=dG9rZW5zOjEy", status: 422, then: read},
		"a format that is none":    {send: "GET " + auditOfAcme + "/export?format=xml", status: 422, then: exported},
		"an unknown filter":        {send: "GET " + auditOfAcme + "/export?colour=red", status: 422, then: exported},
		"a tail with an end":       {send: "GET " + auditOfAcme + "/tail?to=2027-01-01T00:00:00Z", status: 422, then: read},
		"a tail behind nowhere":    {send: "GET " + auditOfAcme + "/tail", headers: []string{"Last-Event-ID: x"}, status: 422, then: read},
	})
}

// auditIDs are the ids of what a question finds, on all pages.
func (w *world) auditIDs(as, query string) (ids []string) {
	w.Helper()
	for cursor := ""; ; {
		page := w.send(as, "GET "+auditOfAcme+"?limit=7&"+query+cursor, "").object(w)
		for _, item := range page["items"].([]any) {
			ids = append(ids, item.(map[string]any)["id"].(string))
		}
		next, more := page["next"].(string)
		if !more {
			return ids
		}
		cursor = "&cursor=" + next
	}
}

func TestAuditFilters(t *testing.T) {
	w := newWorld(t)
	hasPast(w)
	rotated := w.send("ann", "POST "+tokensOfAcme, `{"name":"old","kind":"administrative","description":"x"}`).object(w)
	id, first := rotated["id"].(string), rotated["secret"].(string)
	again := w.send("ann", "POST "+tokensOfAcme+"/"+id+"/rotate", `{}`).object(w)
	w.auditIDs("ada", "") // from here on the reading of lists is only counted
	entries := w.exported("ada", "")
	all := w.auditIDs("ada", "")
	if len(entries) != len(all) {
		t.Fatalf("%d entries in pages and %d in an export", len(all), len(entries))
	}
	sum := func(secret string) string {
		h := sha256.Sum256([]byte(secret))
		return hex.EncodeToString(h[:])
	}
	ofToken := func(id string) func(AuditEntry) bool {
		return func(e AuditEntry) bool { return e.Actor.Token == id || e.Target.ID == id }
	}
	robot := w.names["robot.token"]
	for query, fits := range map[string]func(AuditEntry) bool{
		"actor=me":                              func(e AuditEntry) bool { return e.Actor.Email == "ada@acme.test" },
		"actor=Ann@acme.test":                   func(e AuditEntry) bool { return e.Actor.Email == "Ann@acme.test" },
		"actor={bob}":                           func(e AuditEntry) bool { return e.Actor.Email == "bob@acme.test" },
		"actor={bob.token}":                     func(e AuditEntry) bool { return e.Actor.Token == w.names["bob.token"] },
		"action=token.issued":                   func(e AuditEntry) bool { return e.Action == "token.issued" },
		"action=token.*":                        func(e AuditEntry) bool { return strings.HasPrefix(e.Action, "token.") },
		"action=nothing.*":                      func(AuditEntry) bool { return false },
		"kind=member":                           func(e AuditEntry) bool { return e.Target.Kind == "member" },
		"target={robot.token}":                  func(e AuditEntry) bool { return e.Target.ID == robot },
		"token={robot.token}":                   ofToken(robot),
		"token=pat_{robot.token}":               ofToken(robot),
		"token={droid.token}":                   func(AuditEntry) bool { return false },
		"hash=" + sum(first):                    ofToken(id),
		"hash=" + sum(again["secret"].(string)): ofToken(id),
		"hash=" + sum(w.secret("droid")):        func(AuditEntry) bool { return false },
		"q=builder":                             func(e AuditEntry) bool { return e.Target.Name == "builder" || e.After["name"] == "builder" },
		"outcome=refused":                       func(e AuditEntry) bool { return e.Outcome == "refused" },
		"from=2026-11-22T12:00:00Z&actor=me":    func(e AuditEntry) bool { return e.Actor.Email == "ada@acme.test" },
		"from=2026-11-22T12:00:01Z":             func(AuditEntry) bool { return false },
		"to=2026-11-22T12:00:00Z":               func(AuditEntry) bool { return false },
		"after=13.0":                            func(e AuditEntry) bool { return e.Position > 13 },
		"before=13.0&actor=ann@acme.test":       func(e AuditEntry) bool { return e.Position < 13 && e.Actor.Email == "Ann@acme.test" },
		"address=192.0.2.7&kind=policy":         func(e AuditEntry) bool { return e.Position > 12 && e.Target.Kind == "policy" },
		"address=192.0.2.8":                     func(AuditEntry) bool { return false },
	} {
		var want []string
		for _, e := range entries {
			if fits(e) {
				want = append(want, e.ID)
			}
		}
		slices.Reverse(want)
		if got := w.auditIDs("ada", query); !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", query, got, want)
		}
		total := w.send("ada", "GET "+auditOfAcme+"?limit=1&count=true&"+query, "").object(w)["total"]
		if number(total) != fmt.Sprint(len(want)) {
			t.Errorf("%s: counted %v, want %d", query, total, len(want))
		}
	}
}

// exported is an export as JSON lines, which has to be whole.
func (w *world) exported(as, query string) (entries []AuditEntry) {
	w.Helper()
	text := w.export(as, "jsonl", query)
	for line := range strings.Lines(text) {
		var e AuditEntry
		w.must(json.Unmarshal([]byte(line), &e))
		entries = append(entries, e)
	}
	return entries
}

// export is an export over the network, with its trailer looked at.
func (w *world) export(as, format, query string) string {
	w.Helper()
	r, err := http.NewRequest("GET", w.serve()+w.filled(auditOfAcme+"/export?format="+format+"&"+query), nil)
	w.must(err)
	r.Header.Set("Authorization", "Bearer "+w.secret(as))
	answer, err := http.DefaultTransport.RoundTrip(r)
	w.must(err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	w.must(err)
	if answer.StatusCode != 200 || answer.Trailer.Get(exportedRows) == "" {
		w.Fatalf("export: %d, trailer %v: %.300s", answer.StatusCode, answer.Trailer, text)
	}
	return string(text)
}

// Every format says the same, and reads back.
func TestAuditExports(t *testing.T) {
	w := newWorld(t)
	hasPast(w)
	until := fmt.Sprintf("before=%d.0", w.last()+1) // each of them stands in the log, too
	entries := w.exported("ada", until)
	if ids := w.auditIDs("ada", until); len(ids) != len(entries) || ids[0] != entries[len(entries)-1].ID {
		t.Errorf("the export has %d entries, and the pages %d", len(entries), len(ids))
	}
	lines, err := csv.NewReader(strings.NewReader(w.export("ada", "csv", until))).ReadAll()
	w.must(err)
	if len(lines) != len(entries)+1 || !slices.Equal(lines[0], csvHeader) {
		t.Fatalf("%d lines of CSV for %d entries, under %v", len(lines), len(entries), lines[0])
	}
	for i, e := range entries {
		line := map[string]string{}
		for at, name := range csvHeader {
			line[name] = lines[i+1][at]
		}
		var after map[string]any
		w.must(json.Unmarshal([]byte(line["after"]), &after))
		if line["id"] != e.ID || line["action"] != e.Action || line["at"] != e.At.String() || line["reason"] != e.Reason || fmt.Sprint(after) != fmt.Sprint(e.After) {
			t.Errorf("line %d of CSV is %v, want %+v", i+1, line, e)
		}
	}
	i := 0
	for line := range strings.Lines(w.export("ada", "cloudevents", until)) {
		var event CloudEvent[AuditEntry]
		w.must(json.Unmarshal([]byte(line), &event))
		e := entries[i]
		if event.SpecVersion != "1.0" || event.ID != e.ID || event.Source != "/organizations/acme" || event.Type != "jeton."+e.Action || event.Time != e.At || event.Data.ID != e.ID {
			t.Errorf("the CloudEvent of %s is %s", e.ID, line)
		}
		i++
	}
	if some := w.exported("ada", "action=token.revoked"); i != len(entries) || len(some) != 1 || some[0].Action != "token.revoked" {
		t.Errorf("%d CloudEvents; of revocations %v", i, some)
	}
}

func TestFormulasAreGuarded(t *testing.T) {
	for cell, want := range map[string]string{"=1+1": "'=1+1", "+1": "'+1", "-1": "'-1", "@x": "'@x", "\t=1": "'\t=1", "a=1": "a=1", "": "", `{"a":1}`: `{"a":1}`} {
		if got := guardFormula(cell); got != want {
			t.Errorf("%q is written %q, want %q", cell, got, want)
		}
	}
}

// An export during which the database goes away is not taken for whole.
func TestAnExportThatIsCutOff(t *testing.T) {
	w := newWorld(t)
	hasPast(w)
	format := auditFormats["jsonl"]
	t.Cleanup(func() { auditFormats["jsonl"] = format }) // when nobody is served any more
	auditFormats["jsonl"] = auditFormat{format.media, func(to io.Writer) auditWriter { return &brittle{auditWriter: format.write(to)} }}
	url := w.serve()
	r, err := http.NewRequest("GET", url+auditOfAcme+"/export", nil)
	w.must(err)
	r.Header.Set("Authorization", "Bearer "+w.secret("ada"))
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err == nil {
		_, err = io.ReadAll(answer.Body)
		_ = answer.Body.Close()
	}
	if err == nil || answer != nil && answer.Trailer.Get(exportedRows) != "" {
		t.Errorf("the export ended in order, with the trailer %v", answer.Trailer)
	}
}

// brittle fails with the third entry.
type brittle struct {
	auditWriter
	n int
}

func (f *brittle) entry(e AuditEntry) error {
	if f.n++; f.n == 3 {
		return io.ErrClosedPipe
	}
	return f.auditWriter.entry(e)
}

// following is a tail over the network.
type following struct {
	*world
	answer *http.Response
	lines  *bufio.Scanner
	close  func()
}

type sentEvent struct{ id, kind, data string }

func (w *world) follows(url, as, query string, headers ...string) *following {
	w.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), hearingPatience)
	w.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, "GET", url+w.filled(auditOfAcme+"/tail?"+query), nil)
	w.must(err)
	r.Header.Set("Authorization", "Bearer "+w.secret(as))
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		r.Header.Set(name, value)
	}
	answer, err := http.DefaultTransport.RoundTrip(r)
	w.must(err)
	f := &following{world: w, answer: answer, lines: bufio.NewScanner(answer.Body), close: func() { cancel(); _ = answer.Body.Close() }}
	f.lines.Buffer(nil, 1<<20)
	w.Cleanup(f.close)
	return f
}

// next is the next event, or the id of a heartbeat; ok is false at the end.
func (f *following) next() (e sentEvent, ok bool) {
	for f.lines.Scan() {
		line := f.lines.Text()
		name, value, _ := strings.Cut(line, ": ")
		switch {
		case line == "" && e != sentEvent{}:
			return e, true
		case name == "id":
			e.id = value
		case name == "event":
			e.kind = value
		case name == "data":
			e.data = value
		}
	}
	return e, false
}

// entries is the next n entries.
func (f *following) entries(n int) (ids []string) {
	f.Helper()
	for len(ids) < n {
		e, ok := f.next()
		if !ok {
			f.Fatalf("the tail ended behind %v: %v", ids, f.lines.Err())
		}
		if e.kind == "" || e.kind == "behind" {
			continue
		}
		var entry AuditEntry
		f.must(json.Unmarshal([]byte(e.data), &entry))
		if entry.ID != e.id || entry.Action != e.kind {
			f.Errorf("the event %s %s has the entry %+v", e.id, e.kind, entry)
		}
		ids = append(ids, e.id)
	}
	return ids
}

// A tail goes on at every place, by either way to say it, without loss and without
// telling anything twice.
func TestAuditTailResumes(t *testing.T) {
	w := newWorld(t)
	hasPast(w)
	url := w.serve()
	all := w.auditIDs("ada", "")
	slices.Reverse(all)
	for i := range all {
		after := "0.0"
		if i > 0 {
			after = all[i-1]
		}
		for _, f := range []*following{w.follows(url, "ada", "after="+after), w.follows(url, "ada", "after=0.0", "Last-Event-ID: "+after)} {
			if got := f.entries(len(all) - i); !slices.Equal(got, all[i:]) {
				t.Errorf("behind %s: got %v, want %v", after, got, all[i:])
			}
			f.close()
		}
	}
}

// What comes is told as it comes; a tail that was cut goes on from what it was told,
// heartbeats included.
func TestAuditTailOfWhatComes(t *testing.T) {
	w := newWorld(t)
	w.makeRoom("ann", "acme")
	url := w.serve()
	began := w.last()
	last, want := fmt.Sprint(began), 0
	var got []string
	for round := range 12 {
		f := w.follows(url, "ada", "action=token.issued", "Last-Event-ID: "+last)
		w.issue("ann", "acme", fmt.Sprint("t", string(rune('a'+round))), "administrative")
		does("ann", "PATCH /api/v1/organizations/acme", fmt.Sprintf(`{"name":"Acme %d"}`, round))(w)
		want++
		for len(got) < want {
			got = append(got, f.entries(1)...)
		}
		last = got[len(got)-1]
		if round%2 == 0 { // a heartbeat moves on over what the filter leaves out
			for last == got[len(got)-1] {
				e, ok := f.next()
				if !ok {
					t.Fatal("the tail ended")
				}
				if e.kind == "" {
					last = e.id
				}
			}
		}
		f.close()
	}
	var all []string
	for _, e := range w.exported("ada", fmt.Sprintf("action=token.issued&after=%d", began)) {
		all = append(all, e.ID)
	}
	if !slices.Equal(got, all) {
		t.Errorf("told %v, want %v", got, all)
	}
}

func TestAuditTailEnds(t *testing.T) {
	w := newWorld(t)
	stop := w.stoppable()
	url := w.serve()
	f := w.follows(url, "ada", "")
	does("ann", "DELETE "+tokensOfAcme+"/{ada.token}", "")(w)
	told := ""
	for e, ok := f.next(); ok; e, ok = f.next() {
		if e.kind == "token.revoked" {
			t.Errorf("who may not read any more was told %s", e.data)
		}
		if e.kind == "end" {
			told = e.data
		}
	}
	if told == "" {
		t.Error("the end was not said")
	}
	var open []*following
	for range mostTails {
		f := w.follows(url, "bob", "")
		open = append(open, f)
		if f.answer.StatusCode != 403 && f.answer.StatusCode != 200 {
			t.Fatalf("status %d", f.answer.StatusCode)
		}
	}
	if f := w.follows(url, "bob", ""); open[0].answer.StatusCode == 200 && f.answer.StatusCode != 429 {
		t.Errorf("one more: status %d, want 429", f.answer.StatusCode)
	}
	stop()
	for _, f := range open {
		for _, ok := f.next(); ok; _, ok = f.next() {
		}
		if err := f.lines.Err(); err != nil {
			t.Errorf("it ended with %v", err)
		}
	}
}

// stoppable lets the server be stopped.
func (w *world) stoppable() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	w.Cleanup(cancel)
	w.server.Stopping = ctx
	return cancel
}

// Silence means nothing while the views are behind, and that is said.
func TestAuditTailSaysWhenItIsBehind(t *testing.T) {
	w := newWorld(t)
	url := w.serve()
	f := w.follows(url, "ada", fmt.Sprintf("after=%d", w.last()))
	w.stopViews()
	next := func(want string) {
		t.Helper()
		for {
			e, ok := f.next()
			if !ok {
				t.Fatal("the tail ended")
			}
			if e.kind == "behind" {
				if e.data != want {
					t.Fatalf("it says %s, want %s", e.data, want)
				}
				return
			}
		}
	}
	next(`{"behind":true}`)
	w.startViews()
	next(`{"behind":false}`)
	w.issue("ann", "acme", "late", "administrative")
	if got := f.entries(1); len(got) != 1 {
		t.Errorf("told %v", got)
	}
}

// An entry has no hash of a secret, wherever it would stand.
func TestAuditHasNoHashes(t *testing.T) {
	w := furnish(newWorld(t))
	does("ann", "POST /api/v1/organizations/acme/engines/{prod}/rotate-verification", `{}`)(w)
	does("ann", "DELETE /api/v1/organizations/acme/engines/{prod}", "")(w)
	text := w.export("ann", "jsonl", "")
	for _, word := range []string{`"hash"`, `"verification"`} {
		if strings.Contains(text, word) {
			t.Errorf("it has %s: %s", word, text)
		}
	}
}
