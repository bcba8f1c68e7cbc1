package http

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"jeton/projections"
	"jeton/projections/pgtest"
)

// receiving is a world with a webhook "hook" to a receiver, for tokens that are issued.
func receiving(t *testing.T) (*world, *receiver) {
	t.Helper()
	w, r := newWorld(t), newReceiver(t)
	w.server.Outgoing.Timeout = 300 * time.Millisecond
	w.makeRoom("ann", "acme")
	w.hooks("hook", r, `"events":["token.issued"]`)
	return w, r
}

func (w *world) hooks(name string, r *receiver, rest string) {
	w.Helper()
	made := w.made("ann", "POST "+hooksOfAcme, `{"name":"`+name+`","url":"`+r.URL+`/in",`+rest+`}`)
	w.names[name], w.names[name+".hook"] = number(made["id"]), made["secret"].(string)
}

func (w *world) issues(names ...string) {
	w.Helper()
	for _, name := range names {
		w.issue("ann", "acme", name, "personal")
	}
}

// Events come signed, as CloudEvents, in their order, from behind the commit that has
// made the webhook.
func TestDeliveries(t *testing.T) {
	w, r := newWorld(t), newReceiver(t)
	hasToken("ann", "before", "personal")(w)
	hasWebhook("hook", r.URL)(w)
	w.delivers()
	hasToken("mia", "laptop", "personal")(w)
	does("ann", "PATCH /api/v1/organizations/acme/tokens/{laptop.token}", `{"name":"desktop","description":"black"}`)(w)

	var ids []string
	var sent []AuditEntry
	for i, kind := range []string{"token.issued", "token.renamed", "token.described"} {
		l := r.next()
		e := l.event(t)
		if !verified(l, w.names["hook.hook"]) || verified(l, "whsec_"+strings.Repeat("A", 43)+"=") || len(strings.Fields(l.header.Get("Webhook-Signature"))) != 1 {
			t.Errorf("letter %d is signed %q", i, l.header.Get("Webhook-Signature"))
		}
		if e.Type != "jeton."+kind || e.SpecVersion != "1.0" || e.Source != "/organizations/acme" || e.Time != noonInstant || e.Subject != "token/"+w.names["laptop.token"] {
			t.Errorf("letter %d is %s, want %s", i, l.body, kind)
		}
		sent = append(sent, e.Data)
		if e.ID != e.Data.ID || l.id() == e.ID { // which is so only within an organization
			t.Errorf("letter %d is called %s and has the id %s: %s", i, l.id(), e.ID, l.body)
		}
		if got := l.header.Get("Content-Type"); got != "application/cloudevents+json" {
			t.Errorf("content type %s", got)
		}
		if got := l.header.Get("Webhook-Timestamp"); got != fmt.Sprint(noon.Unix()) {
			t.Errorf("timestamp %s", got)
		}
		if strings.Contains(string(l.body), `"hash"`) || strings.Contains(string(l.body), "globex") {
			t.Errorf("letter %d says too much: %s", i, l.body)
		}
		ids = append(ids, l.id())
	}
	if slices.Sort(ids); len(slices.Compact(ids)) != 3 {
		t.Errorf("ids are %v", ids)
	}
	w.until("it stands at the last commit", func() bool { return number(w.delivery("hook")["position"]) == fmt.Sprint(w.last()) })
	if d := w.delivery("hook"); d["waiting_since"] != nil || d["last_error"] != nil || d["last_status"] != 204.0 || d["dead_letters"] != 0.0 {
		t.Errorf("it stands so: %v", d)
	}
	r.nothing()
	if entries := w.exported("ada", "token={laptop.token}&outcome=done"); !reflect.DeepEqual(sent[1:], entries[len(entries)-2:]) {
		t.Errorf("sent is %+v, and the log has %+v", sent, entries)
	}
}

// A receiver that fails, hangs or lies gets the event again, and none behind it before.
func TestDeliveriesFail(t *testing.T) {
	elsewhere := newReceiver(t)
	raw := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			conn, _, _ := w.(http.Hijacker).Hijack()
			_, _ = io.WriteString(conn, text)
			_ = conn.Close()
		}
	}
	for name, c := range map[string]struct {
		answers http.HandlerFunc
		status  any
		fault   string
	}{
		"fails":                         {answering(500), 500.0, "answered 500"},
		"refuses":                       {answering(400), 400.0, "answered 400"},
		"is too busy":                   {answering(429), 429.0, "answered 429"},
		"says that nothing has changed": {answering(304), 304.0, "answered 304"},
		"redirects": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		}, 307.0, "answered 307"},
		"redirects for ever":    {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) }, 302.0, "answered 302"},
		"hangs":                 {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, nil, "timed out"},
		"closes the connection": {raw(""), nil, "closed the connection"},
		"is cut off":            {raw("HTTP/1.1 200 OK\r\nContent-"), nil, "can't be reached"},
		"is no web server":      {raw("220 ready\r\n\r\n"), nil, "can't be reached"},
		"has endless headers":   {raw("HTTP/1.1 200 OK\r\n" + strings.Repeat("X: "+strings.Repeat("x", 1000)+"\r\n", 100) + "\r\n"), nil, "can't be reached"},
	} {
		t.Run(name, func(t *testing.T) {
			w, r := receiving(t)
			r.answers(c.answers)
			w.delivers()
			w.issues("first", "second")
			ids := r.names("first")
			w.until("the failure is written down", func() bool { return w.delivery("hook")["attempts"] == 1.0 })
			d := w.delivery("hook")
			if d["last_status"] != c.status || d["last_error"] != c.fault || d["waiting_since"] != "2026-11-22T12:00:00Z" || d["next_attempt_at"] != "2026-11-22T12:00:05Z" {
				t.Errorf("it stands so: %v", d)
			}
			r.answers(answering(200))
			w.pass(4999 * time.Millisecond)
			w.issues("third")
			w.until("many rounds", rounds(20))
			r.nothing()
			w.pass(time.Millisecond)
			if again := r.names("first", "second", "third"); again[0] != ids[0] {
				t.Errorf("the first is sent again as %s, was %s", again[0], ids[0])
			}
			w.until("nothing waits", func() bool { return w.delivery("hook")["waiting_since"] == nil })
			r.nothing()
		})
	}
	elsewhere.nothing()
}

// rounds is true after so many looks.
func rounds(n int) func() bool {
	return func() bool { n--; return n <= 0 }
}

// Whatever the body of a success is, and however it ends: the event was taken.
func TestDeliveriesTaken(t *testing.T) {
	for name, answers := range map[string]http.HandlerFunc{
		"accepted": answering(202),
		"a huge body": func(w http.ResponseWriter, _ *http.Request) {
			for range 1000 {
				if _, err := w.Write(make([]byte, 64<<10)); err != nil {
					return
				}
			}
		},
		"a body without an end": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(200)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		},
		"a body that is shorter than it says": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte("short"))
		},
		"a body that is longer than it says": func(w http.ResponseWriter, _ *http.Request) {
			conn, buffered, _ := w.(http.Hijacker).Hijack()
			_, _ = buffered.WriteString("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 500 no\r\n\r\n")
			_ = buffered.Flush()
			_ = conn.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, r := receiving(t)
			r.answers(answers)
			w.delivers()
			w.issues("first", "second", "third")
			r.names("first", "second", "third")
			w.until("all is done", func() bool { return number(w.delivery("hook")["position"]) == fmt.Sprint(w.last()) })
			if d := w.delivery("hook"); d["attempts"] != nil || d["last_error"] != nil {
				t.Errorf("it stands so: %v", d)
			}
			r.nothing()
		})
	}
}

// A receiver that is there every third time gets everything, once, in order.
func TestDeliveriesFlap(t *testing.T) {
	w, r := receiving(t)
	var n atomic.Int64
	taken := make(chan string, 100)
	r.answers(func(w http.ResponseWriter, request *http.Request) {
		if n.Add(1)%3 != 0 {
			w.WriteHeader(503)
			return
		}
		taken <- request.Header.Get("Webhook-Id")
	})
	w.delivers()
	var names, got []string
	for i := range 8 {
		names = append(names, fmt.Sprint("token ", i))
	}
	w.issues(names...)
	w.until("all are taken", func() bool { w.pass(firstRetry); return len(taken) == len(names) })
	ids := map[string]string{}
	for range n.Load() {
		l := r.next()
		ids[l.id()] = l.name(t)
	}
	for range names {
		got = append(got, ids[<-taken])
	}
	if !slices.Equal(got, names) {
		t.Errorf("taken were %v, want %v", got, names)
	}
	if letters := w.delivery("hook")["dead_letters"]; letters != 0.0 {
		t.Errorf("%v dead letters", letters)
	}
}

// What is stopped goes on where it was, and sends nothing twice.
func TestDeliveriesResume(t *testing.T) {
	w, r := receiving(t)
	stop := w.delivers()
	w.issues("first")
	r.names("first")
	w.until("it is written down", func() bool { return w.delivery("hook")["last_delivered_at"] != nil })
	stop()
	w.issues("second", "third")
	r.nothing()
	w.restart()
	stop = w.delivers()
	r.names("second", "third")
	w.until("it is written down", func() bool { return number(w.delivery("hook")["position"]) == fmt.Sprint(w.last()) })
	stop()

	// While it is stopped in the middle of a request nothing is counted.
	hanging := make(chan struct{})
	r.answers(func(_ http.ResponseWriter, request *http.Request) { close(hanging); <-request.Context().Done() })
	w.server.Outgoing.Timeout = time.Minute
	stop = w.delivers()
	w.issues("fourth")
	<-hanging
	stop()
	if d := w.delivery("hook"); d["attempts"] != nil {
		t.Errorf("it stands so: %v", d)
	}
	r.answers(answering(200))
	w.delivers()
	r.names("fourth", "fourth")
	r.nothing()
}

// Who is killed behind an answer, and before it is written down, sends that event once
// more, and no other.
func TestDeliveriesAfterACrash(t *testing.T) {
	w, r := receiving(t)
	w.issues("first", "second", "third")
	var n atomic.Int64
	r.answers(func(http.ResponseWriter, *http.Request) {
		if n.Add(1) == 2 {
			_ = w.views.Close() // nothing is written down from here on
		}
	})
	stop := w.delivers()
	ids := r.names("first", "second")
	w.until("the answer was lost", func() bool { return strings.Contains(w.logs.String(), "a webhook could not be served") })
	stop()
	w.stopViews()
	views, err := projections.OpenViews(t.Context(), "sqlite:"+w.database, w.vault)
	w.must(err)
	t.Cleanup(func() { w.must(views.Close()) })
	w.views, w.server.Views = views, views
	w.startViews()
	w.must(w.views.Wait(t.Context(), w.last()))
	w.delivers()
	if again := r.names("second", "third"); again[0] != ids[1] {
		t.Errorf("it is sent again as %s, was %s", again[0], ids[1])
	}
	w.until("all is done", func() bool { return number(w.delivery("hook")["position"]) == fmt.Sprint(w.last()) })
	r.nothing()
}

// What can't be delivered for a day is a dead letter, and the next one's turn comes.
// Dead letters are seen, and sent again.
func TestDeadLetters(t *testing.T) {
	w, r := receiving(t)
	r.answers(answering(500))
	w.delivers()
	w.issues("first", "second")
	attempts, sum := 0, time.Duration(0)
	for {
		r.names("first")
		attempts++
		w.until("it is written down", func() bool {
			d := w.delivery("hook")
			return d["attempts"] == float64(attempts) || d["dead_letters"] == 1.0
		})
		d := w.delivery("hook")
		if d["dead_letters"] == 1.0 {
			break
		}
		next, err := time.Parse(time.RFC3339, text(d["next_attempt_at"]))
		w.must(err)
		sum += next.Sub(w.now())
		w.pass(next.Sub(w.now()))
	}
	if attempts != 16 || sum != 24*time.Hour {
		t.Errorf("%d attempts over %v, want 16 over a day", attempts, sum)
	}
	r.names("second")
	letters := w.send("ada", "GET "+hooksOfAcme+"/{hook}/dead-letters", "").object(t)["items"].([]any)
	first := letters[0].(map[string]any)
	if len(letters) != 1 || first["kind"] != "token.issued" || first["attempts"] != 16.0 || first["last_status"] != 500.0 || first["last_error"] != "answered 500" ||
		first["tried_at"] != "2026-11-22T12:00:00Z" || first["died_at"] != "2026-11-23T12:00:00Z" {
		t.Errorf("dead letters are %v", letters)
	}

	// Sent again in vain, and then not.
	replay := func(body string, want float64) {
		t.Helper()
		answered := w.send("ann", "POST "+hooksOfAcme+"/{hook}/dead-letters/replay", body)
		if answered.status != 202 || answered.object(t)["letters"] != want {
			t.Fatalf("replay %s: %d: %s", body, answered.status, answered.body)
		}
	}
	replay(`{"letters":["`+text(first["id"])+`","1.7"]}`, 1)
	r.names("first")
	w.until("it is written down", func() bool {
		letters := w.send("ada", "GET "+hooksOfAcme+"/{hook}/dead-letters", "").object(t)["items"].([]any)
		return letters[0].(map[string]any)["attempts"] == 17.0
	})
	r.answers(answering(200))
	replay(``, 1)
	r.names("first")
	w.until("it is no dead letter any more", func() bool { return w.delivery("hook")["dead_letters"] == 0.0 })
	w.pass(time.Minute)
	r.names("second")
	for outcome, want := range map[string]float64{"dead": 1, "delivered": 1, "failed": 16, "replayed": 2} {
		w.until(fmt.Sprint(want, " ", outcome), func() bool { return w.counted(outcome) == want })
	}
}

// A receiver that is gone is left alone, until somebody enables the webhook again: then
// it goes on with what was refused.
func TestDeliveriesToOneThatIsGone(t *testing.T) {
	w, r := receiving(t)
	r.answers(answering(410))
	w.delivers()
	w.issues("first", "second")
	r.names("first")
	w.until("it is switched off", func() bool { return w.hook("hook")["enabled"] == false })
	if kinds := w.since(0); !slices.Contains(kinds, "webhook.switched") {
		t.Errorf("the log has %v", kinds)
	}
	w.pass(48 * time.Hour)
	w.issues("third")
	w.until("many rounds", rounds(20))
	r.nothing()
	r.answers(answering(200))
	does("ann", "PATCH "+hooksOfAcme+"/{hook}", `{"enabled":true}`)(w)
	r.names("first", "second", "third")
	if d := w.delivery("hook"); d["dead_letters"] != 0.0 {
		t.Errorf("it stands so: %v", d)
	}
}

// Whoever corrects an address does not wait for the next try.
func TestDeliveriesToANewAddress(t *testing.T) {
	w, r := receiving(t)
	r.answers(answering(404))
	w.delivers()
	w.issues("first")
	r.names("first")
	w.until("the failure is written down", func() bool { return w.delivery("hook")["attempts"] == 1.0 })
	other := newReceiver(t)
	does("ann", "PATCH "+hooksOfAcme+"/{hook}", `{"url":"`+other.URL+`/there"}`)(w)
	other.names("first")
	r.nothing()
}

// What is deleted is not sent, and forgotten; what is disabled waits.
func TestDeliveriesEnd(t *testing.T) {
	w, r := receiving(t)
	r.answers(answering(500))
	w.delivers()
	w.issues("first")
	r.names("first")
	w.until("the failure is written down", func() bool { return w.delivery("hook")["attempts"] == 1.0 })
	does("ann", "DELETE "+hooksOfAcme+"/{hook}", "")(w)
	w.until("it is forgotten", func() bool {
		known, err := w.views.DeliveredHooks(t.Context())
		w.must(err)
		return len(known) == 0
	})
	w.pass(time.Hour)
	w.until("many rounds", rounds(20))
	r.nothing()
}

// Who hangs holds up nobody: neither another webhook nor a command.
func TestNobodyWaitsForAReceiver(t *testing.T) {
	w, slow := receiving(t)
	w.server.Outgoing.Timeout = time.Minute
	quick, release := newReceiver(t), make(chan struct{})
	slow.answers(func(http.ResponseWriter, *http.Request) { <-release })
	t.Cleanup(func() { close(release) })
	w.hooks("quick", quick, `"events":["token.issued"]`)
	w.delivers()
	var names []string
	for i := range 20 {
		names = append(names, fmt.Sprint("token ", i))
	}
	w.issues(names...) // each is answered when the views have it
	quick.names(names...)
	slow.names("token 0")
	slow.nothing()
}

// An organization whose receivers all hang leaves room for others.
func TestOneOrganizationTakesNotAllRoom(t *testing.T) {
	w, slow := receiving(t)
	w.server.Outgoing.Timeout = time.Minute
	release := make(chan struct{})
	slow.answers(func(http.ResponseWriter, *http.Request) { <-release })
	t.Cleanup(func() { close(release) })
	for i := range 19 {
		w.hooks(fmt.Sprint("hook ", i), slow, `"events":["token.issued"]`)
	}
	w.delivers()
	w.issues("one")
	for range manyOfOne {
		slow.next()
	}
	quick := newReceiver(t)
	w.made("zed", "POST /api/v1/organizations/globex/webhooks", `{"name":"quick","url":"`+quick.URL+`"}`)
	w.issue("zed", "globex", "other", "personal")
	quick.names("other")
	w.until("many rounds", rounds(20))
	slow.nothing()
}

// Of two nodes with one database each event is sent by one, in order.
func TestTwoNodesDeliverOnce(t *testing.T) {
	w, r := receiving(t)
	url := pgtest.URL(t)
	for range 2 {
		views, err := projections.OpenViews(t.Context(), url, w.vault)
		w.must(err)
		t.Cleanup(func() { _ = views.Close() })
		w.background(func(ctx context.Context) error { return views.Run(ctx, w.store, w.storeID) })
		w.delivers(views)
	}
	var names []string
	for i := range 30 {
		names = append(names, fmt.Sprint("token ", i))
	}
	var all sync.WaitGroup
	all.Go(func() { w.issues(names...) })
	ids := r.names(names...)
	all.Wait()
	w.until("many rounds", rounds(50))
	r.nothing()
	if slices.Sort(ids); len(slices.Compact(ids)) != len(names) {
		t.Errorf("ids are %v", ids)
	}
}

// A webhook gets what it wants and nothing else.
func TestDeliveriesAreChosen(t *testing.T) {
	w, r := newWorld(t), newReceiver(t)
	w.hooks("roles", r, `"events":["role.*","token.revoked"]`)
	w.delivers()
	hasToken("ann", "laptop", "personal")(w)
	does("ann", "POST /api/v1/organizations/acme/roles", `{"name":"deployer","permissions":["engines.read"]}`)(w)
	does("ann", "PATCH /api/v1/organizations/acme", `{"name":"Acme"}`)(w)
	does("ann", "DELETE /api/v1/organizations/acme/tokens/{laptop.token}", "")(w)
	for _, want := range []string{"role.created", "token.revoked"} {
		if e := r.next().event(t); e.Data.Action != want {
			t.Errorf("a letter about %s, want %s", e.Data.Action, want)
		}
	}
	w.until("many rounds", rounds(20))
	r.nothing()
}

// For a day after it was replaced the old secret signs, too; not if it is to end at once.
func TestSecretsOfWebhooks(t *testing.T) {
	w, r := receiving(t)
	signed := func(want ...string) {
		t.Helper()
		w.send("ann", "POST "+hooksOfAcme+"/{hook}/test", "")
		l := r.next()
		if n := len(strings.Fields(l.header.Get("Webhook-Signature"))); n != len(want) {
			t.Errorf("%d signatures, want %d", n, len(want))
		}
		for _, secret := range want {
			if !verified(l, secret) {
				t.Errorf("it is not signed with %s", secret)
			}
		}
	}
	replaced := func(body string) string {
		t.Helper()
		answered := w.send("ann", "POST "+hooksOfAcme+"/{hook}/secret", body)
		secret, _ := answered.object(t)["secret"].(string)
		if answered.status != 200 || !hookSecret.MatchString(secret) {
			t.Fatalf("status %d: %s", answered.status, answered.body)
		}
		return secret
	}
	first := w.names["hook.hook"]
	signed(first)
	second := replaced("")
	signed(second, first)
	if until := w.hook("hook")["previous_secret_until"]; until != "2026-11-23T12:00:00Z" {
		t.Errorf("the old secret signs until %v", until)
	}
	third := replaced("")
	signed(third, second)
	w.pass(24 * time.Hour)
	signed(third)
	fourth := replaced(`{"at_once":true}`)
	signed(fourth)
	w.restart()
	signed(fourth)
	for _, secret := range []string{first, second, third, fourth} {
		if strings.Contains(w.logs.String(), strings.TrimPrefix(secret, "whsec_")) {
			t.Error("the log has a secret in it")
		}
	}
}

// Retries are shaken, and none is later than the end of the day.
func TestRetryAfter(t *testing.T) {
	for _, random := range []float64{0, 0.25, 0.5, 0.999999} {
		now, attempts := noonInstant, 0
		for ; ; attempts++ {
			next, again := retryAfter(noonInstant, now, attempts+1, random)
			if !again {
				break
			}
			if next <= now || next > noonInstant.Add(retryFor) {
				t.Fatalf("the try after %d is at %v", attempts+1, next)
			}
			if wait, low := next.Time().Sub(now.Time()), time.Duration(0.8*float64(firstRetry<<attempts)); wait < low && next != noonInstant.Add(retryFor) {
				t.Errorf("the wait after %d is %v, want at least %v", attempts+1, wait, low)
			}
			now = next
		}
		if now != noonInstant.Add(retryFor) || attempts < 14 || attempts > 16 {
			t.Errorf("the last of %d tries is at %v", attempts, now)
		}
	}
	if _, again := retryAfter(noonInstant, noonInstant.Add(time.Hour), 1_000_000, 0.5); !again {
		t.Error("it was given up")
	}
}

var uuid7 = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

func TestUUIDs(t *testing.T) {
	a := uuidOf(noonInstant, "a")
	if !uuid7.MatchString(a) || !strings.HasPrefix(a, fmt.Sprintf("%012x", noon.UnixMilli())[:8]+"-"+fmt.Sprintf("%012x", noon.UnixMilli())[8:]) {
		t.Errorf("%s is no UUID of version 7 at %d", a, noon.UnixMilli())
	}
	if a != uuidOf(noonInstant, "a") || a == uuidOf(noonInstant, "b") || a >= uuidOf(noonInstant+1, "a") {
		t.Error("it is not that of its moment and text")
	}
}

// The console of Database Lab sets up its SIEM, tries it, and gets its events there.
func TestSIEM(t *testing.T) {
	w, r := newWorld(t), newReceiver(t)
	api := "/api/general"
	patch := func(body string, want int) reply {
		t.Helper()
		answered := w.send("ann", "PATCH "+api+"/orgs?id=eq.{acme}", body, "Prefer: return=representation")
		if answered.status != want {
			t.Fatalf("%s: status %d, want %d: %s", body, answered.status, want, answered.body)
		}
		return answered
	}
	events := w.send("ada", "GET "+api+"/audit_events", "")
	var rows []struct{ EventName, Label string }
	w.must(json.Unmarshal([]byte(strings.ReplaceAll(events.body, "event_name", "EventName")), &rows))
	if len(rows) != 8 || rows[7].EventName != "orgs" || rows[5].EventName != "api_tokens" || rows[0].Label == "" {
		t.Errorf("events are %s", events.body)
	}
	if answered := w.send("mia", "GET "+api+"/audit_events", ""); answered.status != 403 {
		t.Errorf("a member reads %s", answered.body)
	}

	// A test, with headers, before anything is kept.
	tested := w.send("ann", "POST "+api+"/rpc/test_siem_connection", `{"api_url":"`+r.URL+`","http_headers_extra":{"Authorization":"Splunk hush"}}`)
	if tested.body != `{"test_siem_connection":{"status":204}}`+"\n" || r.next().header.Get("Authorization") != "Splunk hush" {
		t.Errorf("the test is answered %d: %s", tested.status, tested.body)
	}
	r.answers(answering(401))
	tested = w.send("ann", "POST "+api+"/rpc/test_siem_connection", `{"api_url":"`+r.URL+`","http_headers_extra":null}`)
	if tested.body != `{"test_siem_connection":{"status":401}}`+"\n" {
		t.Errorf("the test is answered %d: %s", tested.status, tested.body)
	}
	r.next()
	for url, says := range map[string]string{
		"https://10.1.2.3/": "the address is not allowed", "https://169.254.169.254/latest": "the address is not allowed", "http://192.0.2.1/": "the address is not allowed",
		"ftp://x.test": "is no address", "": "is missing",
	} {
		tested := w.send("ann", "POST "+api+"/rpc/test_siem_connection", `{"api_url":"`+url+`"}`)
		if tested.status < 400 || !strings.Contains(tested.body, says) {
			t.Errorf("the test of %s is answered %d: %s", url, tested.status, tested.body)
		}
	}
	for _, as := range []string{"ada", "mia", "robot"} {
		if tested := w.send(as, "POST "+api+"/rpc/test_siem_connection", `{"api_url":"`+r.URL+`"}`); tested.status != 403 {
			t.Errorf("%s may test: %s", as, tested.body)
		}
	}
	r.answers(answering(200))

	set := `"siem_integration_url":"` + r.URL + `/services/collector","audit_events_to_log":["api_tokens","orgs"]`
	patch(`{"siem_integration_enabled":true}`, 400)
	row := patch(`{"siem_integration_enabled":true,`+set+`,"siem_integration_request_headers":{"Authorization":"Splunk hush"}}`, 200)
	for _, want := range []string{`"siem_integration_enabled":true`, `"siem_integration_request_headers":{"Authorization":"********"}`, `"audit_events_to_log":["api_tokens","orgs"]`} {
		if !strings.Contains(row.body, want) {
			t.Errorf("the row is %s, want %s", row.body, want)
		}
	}
	if row := w.send("mia", "GET "+api+"/orgs", ""); strings.Contains(row.body, r.URL) {
		t.Errorf("a member sees %s", row.body)
	}
	w.delivers()

	w.pass(1234 * time.Millisecond)
	hasToken("ann", "laptop", "personal")(w)
	does("ann", "POST /api/v1/organizations/acme/roles", `{"name":"deployer","permissions":["engines.read"]}`)(w)
	does("ann", "DELETE /api/v1/organizations/acme/tokens/{laptop.token}", "")(w)
	var first map[string]any
	l := r.next()
	w.must(json.Unmarshal(l.body, &first))
	if l.header.Get("Authorization") != "Splunk hush" || l.header.Get("Content-Type") != "application/json" {
		t.Errorf("headers are %v", l.header)
	}
	id, _ := first["id"].(string)
	if !uuid7.MatchString(id) || l.id() != id {
		t.Errorf("the id is %s, the header's %s", id, l.id())
	}
	changes := first["changes"].(map[string]any)
	after := changes["data_after"].([]any)[0].(map[string]any)
	if after["name"] != "laptop" || after["token"] != w.names["laptop.token"] || after["hash"] != nil {
		t.Errorf("after: %v", after)
	}
	delete(first, "id")
	delete(changes, "data_after")
	got, err := json.Marshal(first)
	w.must(err)
	want := w.filled(`{"actor":{"email":"Ann@acme.test","first_name":null,"id":{ann},"last_name":null},"changes":{"data_before":[],"processed_row_count":1},` +
		`"event":{"action":"generate","category":"api_tokens"},"org":{"alias":"acme","id":{acme},"name":"Acme Inc"},"timestamp":"2026-11-22T12:00:01.234Z"}`)
	if string(got) != want {
		t.Errorf("the message is %s, want %s", got, want)
	}
	var second siemEvent
	w.must(json.Unmarshal(r.next().body, &second))
	if second.Event.Action != "revoke" || len(second.Changes.Before) != 1 || len(second.Changes.After) != 0 {
		t.Errorf("the message is %+v", second)
	}

	// Headers that were shown masked stay as they are, but move to no other origin.
	patch(`{`+set+`,"siem_integration_request_headers":{"Authorization":"********"},"siem_integration_enabled":true}`, 200)
	evil := newReceiver(t)
	moved := patch(`{"siem_integration_url":"`+evil.URL+`","siem_integration_request_headers":{"Authorization":"********"}}`, 400)
	if !strings.Contains(moved.body, "another origin") {
		t.Errorf("it is refused with %s", moved.body)
	}
	tested = w.send("ann", "POST "+api+"/rpc/test_siem_connection", `{"api_url":"`+evil.URL+`","http_headers_extra":{"Authorization":"********"}}`)
	if tested.status != 400 {
		t.Errorf("the test is answered %d: %s", tested.status, tested.body)
	}
	tested = w.send("ann", "POST "+api+"/rpc/test_siem_connection", `{"api_url":"`+r.URL+`","http_headers_extra":{"Authorization":"********"}}`)
	if r.next().header.Get("Authorization") != "Splunk hush" {
		t.Errorf("the test is answered %d: %s", tested.status, tested.body)
	}
	evil.nothing()
	patch(`{"name":"Acme","siem_integration_enabled":false}`, 400)
	patch(`{"audit_events_to_log":["lunch"]}`, 400)
	patch(`{"siem_integration_enabled":false,"siem_integration_request_headers":null}`, 200)
	hasToken("ann", "other", "personal")(w)
	w.until("many rounds", rounds(20))
	r.nothing()
	if gone := patch(`{"siem_integration_enabled":false,"siem_integration_url":""}`, 200); strings.Contains(gone.body, r.URL) {
		t.Errorf("the row is %s", gone.body)
	}
	log := w.send("ada", "GET "+logOfAcme, "")
	if strings.Contains(w.logs.String()+log.body, "hush") || strings.Contains(log.body, `"headers"`) {
		t.Errorf("headers show: %s", log.body)
	}
}

// Addresses of the inside are reached by no name and no notation.
func TestOutgoingStaysOutside(t *testing.T) {
	came := make(chan struct{}, 100)
	inside := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { came <- struct{}{} }))
	defer inside.Close()
	port := inside.URL[strings.LastIndexByte(inside.URL, ':'):]
	liar := lyingResolver(t, [4]byte{127, 0, 0, 1})
	for _, host := range []string{
		"127.0.0.1", "127.1", "127.8.9.1", "localhost", "2130706433", "0x7f000001", "0x7f.0.0.1", "0177.0.0.1", "017700000001", "0", "0.0.0.0",
		"[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[64:ff9b::7f00:1]", "[64:ff9b::127.0.0.1]", "[fe80::1%25lo]",
		"127.0.0.1.", "hooks.example.org", "LOCALHOST", "169.254.169.254", "10.0.0.1", "192.168.1.1", "172.31.255.255", "100.64.0.1", "[fd00::1]", "224.0.0.1", "255.255.255.255",
	} {
		o := &Outgoing{Resolver: liar, Timeout: 5 * time.Second, Roots: rootsOf(inside)}
		for _, scheme := range []string{"https", "http"} {
			status, err := o.Post(t.Context(), scheme+"://"+host+port+"/", http.Header{}, []byte("{}"))
			if status != 0 || err != faultAddress && err != faultUnreached && err != faultName {
				t.Errorf("%s://%s: %d, %v", scheme, host, status, err)
			}
		}
	}
	if len(came) != 0 {
		t.Errorf("%d requests came in", len(came))
	}
	// The same server, allowed.
	o := &Outgoing{Networks: networksOf("127.0.0.0/8"), Resolver: liar, Roots: rootsOf(inside)}
	if status, err := o.Post(t.Context(), "https://example.com"+port, http.Header{}, nil); status != 200 || err != nil || len(came) != 1 {
		t.Errorf("an allowed address: %d, %v", status, err)
	}
	// A name of another certificate, and no certificate that is believed.
	if _, err := o.Post(t.Context(), "https://hooks.example.org"+port, http.Header{}, nil); err != faultCertificate {
		t.Errorf("a wrong name: %v", err)
	}
	strict := &Outgoing{Networks: networksOf("127.0.0.0/8")}
	if _, err := strict.Post(t.Context(), inside.URL, http.Header{}, nil); err != faultCertificate {
		t.Errorf("an unknown certificate: %v", err)
	}
	// http reaches what is allowed and nothing that is only public.
	if _, err := o.Post(t.Context(), "http://1.1.1.1/", http.Header{}, nil); err != faultAddress {
		t.Errorf("http to the outside: %v", err)
	}
}

func TestPublic(t *testing.T) {
	for text, want := range map[string]bool{
		"1.1.1.1": true, "8.8.8.8": true, "100.63.255.255": true, "100.128.0.0": true, "172.15.0.1": true, "172.32.0.1": true, "223.255.255.255": true, "192.0.1.1": true,
		"0.1.2.3": false, "10.255.0.1": false, "100.64.0.0": false, "100.127.255.255": false, "127.255.255.255": false, "169.254.0.1": false, "172.16.0.1": false,
		"172.31.255.255": false, "192.0.0.8": false, "192.0.2.1": false, "192.88.99.1": false, "192.168.0.1": false, "198.18.0.1": false, "198.19.255.255": false,
		"198.51.100.1": false, "203.0.113.1": false, "224.0.0.1": false, "240.0.0.1": false, "255.255.255.255": false, "168.63.129.16": false,
		"2606:4700:4700::1111": true, "2a00:1450::1": true,
		"::": false, "::1": false, "::ffff:8.8.8.8": false, "64:ff9b::808:808": false, "64:ff9b:1::1": false, "100::1": false, "2001::1": false, "2001:db8::1": false,
		"2002:7f00:1::": false, "3fff::1": false, "fc00::1": false, "fd00:ec2::254": false, "fe80::1": false, "fec0::1": false, "ff02::1": false, "2a00:1450::1%eth0": false,
	} {
		if got := public(addressOf(text)); got != want {
			t.Errorf("%s is public: %t", text, got)
		}
	}
}

// A proxy in the environment is not asked.
func TestOutgoingHasNoProxy(t *testing.T) {
	proxy, r := newReceiver(t), newReceiver(t)
	t.Setenv("HTTP_PROXY", proxy.URL)
	t.Setenv("HTTPS_PROXY", proxy.URL)
	o := &Outgoing{Networks: networksOf("127.0.0.0/8")}
	for range 2 {
		r.answers(func(w http.ResponseWriter, _ *http.Request) { http.SetCookie(w, &http.Cookie{Name: "a", Value: "b"}) })
		if status, err := o.Post(t.Context(), r.URL, http.Header{}, nil); status != 200 || err != nil {
			t.Errorf("%d, %v", status, err)
		}
		if cookie := r.next().header.Get("Cookie"); cookie != "" {
			t.Errorf("a cookie comes back: %s", cookie)
		}
	}
	proxy.nothing()
}
