package http

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"jeton/domain"
	"jeton/eventstore"
	"jeton/projections"
)

// noon is when every test begins.
var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// world is a whole service with two organizations, behind its HTTP handler: a
// log, the model, SQLite. Only the log may be one in memory.
//
//	acme:   ann (owner, and operator of the platform), bob (admin), mia (member),
//	        ada (auditor), and robot, an administrative token
//	globex: zed (owner), zoe (member), and droid, an administrative token
//
// Whoever has a name here has a token; {mia} in a path or a body is her account's
// number, {mia.token} the id of her first token, {acme} an organization's number.
//
// The world listens: whatever is minted in it must be in no log line, and in no
// answer but the one that minted it.
type world struct {
	testing.TB
	store   eventstore.Store
	storeID string
	model   *projections.Model
	views   *projections.Views
	server  *Server
	handler http.Handler
	logs    *logs
	metrics *prometheus.Registry // of what sends to webhooks

	database  string // the file of the views
	stopViews func()
	stopModel func()

	vault *eventstore.Vault
	keys  *eventstore.MemoryKeys
	clock atomic.Int64
	mu    sync.Mutex
	names map[string]string // placeholder → value
	known []string          // secrets, in the order in which they were minted
}

type logs struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logs) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// newWorld is a world of one's own. All of them begin with the same history, down
// to the ids and the secrets: it is made once and then copied.
func newWorld(t testing.TB) *world {
	t.Helper()
	began := beginning(t)
	store := new(eventstore.Memory)
	last := map[domain.Boundary]domain.Position{}
	for _, r := range began.records {
		at, err := store.Append(t.Context(), r.Entry, last[r.Boundary])
		if err != nil {
			t.Fatal(err)
		}
		last[r.Boundary] = at
	}
	w := worldAfter(t, store, "memory", began.views, copied(t, began.keys))
	maps.Copy(w.names, began.names)
	w.known = slices.Clone(began.known)
	w.must(w.views.Wait(t.Context(), w.last()))
	return w
}

// history is how every world begins.
type history struct {
	records []eventstore.Record
	views   []byte // the database
	keys    *eventstore.MemoryKeys
	names   map[string]string
	known   []string
}

var began *history

// beginning makes the history when it is asked for the first time. Tests of this
// package do not run side by side.
func beginning(t testing.TB) history {
	t.Helper()
	if began == nil {
		w := worldOn(t, new(eventstore.Memory), "memory")
		w.stopViews()
		w.must(w.views.Close())
		database, err := os.ReadFile(w.database)
		w.must(err)
		began = &history{w.records(), database, w.keys, w.names, w.known}
	}
	return *began
}

// worldOn is a world whose log is the store's.
func worldOn(t testing.TB, store eventstore.Store, storeID string) *world {
	t.Helper()
	w := worldAfter(t, store, storeID, nil, new(eventstore.MemoryKeys))
	w.found()
	w.populate()
	return w
}

// worldAfter is a service in which nothing has happened but what is in its log
// and its database.
func worldAfter(t testing.TB, store eventstore.Store, storeID string, database []byte, keys *eventstore.MemoryKeys) *world {
	t.Helper()
	w := &world{TB: t, store: store, storeID: storeID, logs: new(logs), names: map[string]string{}, keys: keys}
	w.clock.Store(noon.UnixMilli())
	w.database = filepath.Join(t.TempDir(), "views.db")
	w.must(os.WriteFile(w.database, database, 0o600))
	var err error
	w.vault, err = eventstore.OpenVault(t.Context(), keys, eventstore.Master{1})
	w.must(err)
	views, err := projections.OpenViews(t.Context(), "sqlite:"+w.database, w.vault)
	w.must(err)
	w.views = views
	t.Cleanup(func() { w.must(views.Close()) })
	w.startViews()
	w.startModel()
	t.Cleanup(w.nothingLeaked)
	return w
}

// copied are the same keys once more: who is erased in one world is not in another.
func copied(t testing.TB, keys *eventstore.MemoryKeys) *eventstore.MemoryKeys {
	t.Helper()
	copies := new(eventstore.MemoryKeys)
	err := keys.All(t.Context(), func(name string, wrapped []byte) error { return copies.Put(t.Context(), name, wrapped) })
	if err != nil {
		t.Fatal(err)
	}
	return copies
}

// startViews lets the views follow the log.
func (w *world) startViews() {
	w.stopViews = w.background(func(ctx context.Context) error { return w.views.Run(ctx, w.store, w.storeID) })
}

// startModel reads the log into a new model and serves from it.
func (w *world) startModel() {
	w.Helper()
	w.model = projections.NewModel(w.store, w.vault, w.now)
	model := w.model
	w.stopModel = w.background(func(ctx context.Context) error { return model.Run(ctx) })
	w.must(model.Loaded(w.Context()))
	w.server = &Server{
		Model: model, Views: w.views, Version: "test", Metrics: prometheus.NewRegistry(), Now: w.now,
		Log: zerolog.New(w.logs).Level(zerolog.DebugLevel), LogID: w.storeID,
		Objects: new(eventstore.MemoryObjects), MaxContent: 1 << 20,
		Connections: projections.NewConnections(eventstore.NewMemoryPresence(1)[0], "test", w.now),
		Vault:       w.vault, Outgoing: &Outgoing{Networks: networksOf("127.0.0.0/8")},
	}
	w.server.Sealer = w.sealer()
	w.handler = w.server.Handler()
}

// restart forgets all that is in memory.
func (w *world) restart() {
	w.Helper()
	w.stopModel()
	w.startModel()
}

// background runs something until the test ends or stop is called, and waits for it.
func (w *world) background(run func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = run(ctx) // the tests that let it fail look at what is served then
	}()
	stop = func() { cancel(); <-ended }
	w.Cleanup(stop)
	return stop
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) now() time.Time { return time.UnixMilli(w.clock.Load()).UTC() }

func (w *world) pass(d time.Duration) { w.clock.Add(d.Milliseconds()) }

// found makes acme and ann, which only the service itself can do.
func (w *world) found() {
	w.Helper()
	ann := domain.FirstToken{Token: domain.TokenID{ID: domain.RandomID()}}
	secret, err := domain.NewSecret(domain.Personal, ann.Token, rand.Reader)
	w.must(err)
	ann.Hash = secret.Hash()
	acme := domain.OrganizationID{ID: domain.RandomID()}
	outcome, err := w.model.ExecuteDirectory(w.Context(),
		domain.Meta{Organization: acme, Actor: domain.Actor{Kind: domain.ActorSystem}},
		domain.Found{Organization: acme, Alias: "acme", Name: "Acme Inc", Account: domain.AccountID{ID: domain.RandomID()}, Email: "Ann@acme.test", First: ann})
	w.must(err)
	w.must(w.views.Wait(w.Context(), outcome.Position))
	w.names["acme"], w.names["ann"] = "1", "1"
	w.names["ann.token"], w.names["ann.secret"] = ann.Token.String(), secret.Reveal()
	w.known = append(w.known, secret.Reveal())
}

// populate makes everybody else, through the API.
func (w *world) populate() {
	w.Helper()
	w.join("ann", "acme", "bob", "admin")
	w.join("ann", "acme", "mia", "member")
	w.join("ann", "acme", "ada", "auditor")
	w.issue("ann", "acme", "robot", "administrative")
	w.organize("globex", "zed")
	w.join("zed", "globex", "zoe", "member")
	w.issue("zed", "globex", "droid", "administrative")
}

func (w *world) join(as, org, name, role string) {
	w.Helper()
	made := w.made(as, "POST /api/v1/organizations/"+org+"/members", `{"email":"`+name+`@`+org+`.test","role":"`+role+`"}`)
	w.names[name] = strconv.Itoa(int(made["id"].(float64)))
	w.names[name+".token"], w.names[name+".secret"] = made["token_id"].(string), made["token"].(string)
}

func (w *world) issue(as, org, name, kind string) {
	w.Helper()
	made := w.made(as, "POST /api/v1/organizations/"+org+"/tokens", `{"name":"`+name+`","kind":"`+kind+`"}`)
	w.names[name+".token"], w.names[name+".secret"] = made["id"].(string), made["secret"].(string)
}

func (w *world) organize(alias, owner string) {
	w.Helper()
	made := w.made("ann", "POST /api/v1/organizations", `{"alias":"`+alias+`","name":"`+alias+` Ltd","owner_email":"`+owner+`@`+alias+`.test"}`)
	w.names[alias] = strconv.Itoa(int(made["id"].(float64)))
	w.names[owner] = strconv.Itoa(int(made["owner"].(map[string]any)["id"].(float64)))
	w.names[owner+".token"], w.names[owner+".secret"] = made["token_id"].(string), made["token"].(string)
}

// makeRoom lets everybody in an organization have any number of tokens.
func (w *world) makeRoom(as, org string) {
	w.Helper()
	does(as, "PATCH /api/v1/organizations/"+org+"/policy", `{"kinds":{"personal":{"per_holder":0}}}`)(w)
}

// made is what a request has made.
func (w *world) made(as, send, body string) map[string]any {
	w.Helper()
	reply := w.send(as, send, body)
	if reply.status != 201 {
		w.Fatalf("%s as %s: status %d: %s", send, as, reply.status, reply.body)
	}
	return reply.object(w)
}

// reply is the answer to a request.
type reply struct {
	status int
	header http.Header
	body   string
}

func (r reply) object(t testing.TB) (object map[string]any) {
	t.Helper()
	if err := json.Unmarshal([]byte(r.body), &object); err != nil {
		t.Fatalf("the answer is not an object: %v: %s", err, r.body)
	}
	return object
}

// send sends a request as somebody (empty: as a stranger) with headers, each as
// "Name: value".
func (w *world) send(as, what, body string, headers ...string) reply {
	w.Helper()
	return w.do(w.request(as, what, body, headers...))
}

func (w *world) request(as, what, body string, headers ...string) *http.Request {
	w.Helper()
	method, target, _ := strings.Cut(w.filled(what), " ")
	r := httptest.NewRequest(method, target, strings.NewReader(w.filled(body)))
	r.RemoteAddr = "192.0.2.7:4711"
	r.Header.Set("X-Request-Id", "request-of-the-test")
	if body == "" {
		r.Body, r.ContentLength = http.NoBody, 0
	}
	if as != "" {
		r.Header.Set("Authorization", "Bearer "+w.secret(as))
	}
	for _, header := range headers {
		name, value, _ := strings.Cut(w.filled(header), ": ")
		r.Header.Add(name, value)
	}
	return r
}

func (w *world) do(r *http.Request) reply {
	w.Helper()
	recorder := httptest.NewRecorder()
	w.handler.ServeHTTP(recorder, r)
	answered := reply{recorder.Code, recorder.Header(), recorder.Body.String()}
	w.listen(r, answered)
	return answered
}

func (w *world) secret(name string) string {
	w.Helper()
	secret, known := w.names[name+".secret"]
	if !known {
		w.Fatalf("nobody is called %q", name)
	}
	return secret
}

var placeholder = regexp.MustCompile(`\{[a-z]+(\.[a-z]+)?\}`)

// filled replaces {names} by what they stand for.
func (w *world) filled(text string) string {
	return placeholder.ReplaceAllStringFunc(text, func(name string) string {
		if value, known := w.names[strings.Trim(name, "{}")]; known {
			return value
		}
		return name
	})
}

var (
	mintedSecret = regexp.MustCompile(`jtn_(?:pat|adm|svc|ver)_[0-9a-z]{16}[0-9A-Za-z]{42}`)
	hookSecret   = regexp.MustCompile(`whsec_[0-9A-Za-z+/]{43}=`)
	anID         = regexp.MustCompile(`\b(jtn_pat_|jtn_adm_|jtn_svc_|jtn_ver_)?[0-9a-hjkmnp-tv-z]{16}\b`)
)

// proper is the part of a secret that nobody else may know.
func proper(secret string) string { return secret[len("jtn_pat_")+16:] }

// listen hears whether an answer has a secret that it should not have.
func (w *world) listen(r *http.Request, answered reply) {
	w.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	all := fmt.Sprint(answered.body, answered.header)
	for _, secret := range w.known {
		if strings.Contains(all, proper(secret)) {
			w.Errorf("%s %s answered %d with a secret that was minted before: %s", r.Method, r.URL.Path, answered.status, all)
		}
	}
	minted, most := mintedSecret.FindAllString(all, -1), 1
	if strings.HasSuffix(r.URL.Path, "/engines") {
		most = 2 // an engine shows one, and is shown the other
	}
	if len(minted) > most || len(minted) > 0 && (r.Method != "POST" || answered.status/100 != 2) {
		w.Errorf("%s %s answered %d with %d secrets: %s", r.Method, r.URL.Path, answered.status, len(minted), all)
	}
	if len(minted) > 0 && answered.header.Get("Cache-Control") != "no-store" {
		w.Errorf("%s %s answers with a secret that may be stored", r.Method, r.URL.Path)
	}
	w.known = append(w.known, minted...)
}

// nothingLeaked holds all that was logged against all that was minted.
func (w *world) nothingLeaked() {
	logged := w.logs.String()
	for _, secret := range w.known {
		if strings.Contains(logged, proper(secret)) {
			w.Errorf("the log has a secret in it: %s", regexp.MustCompile(".*"+proper(secret)+".*").FindString(logged))
		}
	}
}

// last is where the log ends.
func (w *world) last() domain.Position {
	w.Helper()
	last, err := w.store.Last(w.Context())
	w.must(err)
	return last
}

var errEnough = errors.New("enough")

// records is the whole log.
func (w *world) records() (all []eventstore.Record) {
	w.Helper()
	last := w.last()
	if last == 0 {
		return nil
	}
	err := w.store.Follow(w.Context(), eventstore.Head{}, func(r eventstore.Record) error {
		all = append(all, r)
		if r.Position == last {
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) {
		w.Fatal(err)
	}
	return all
}

// since is the kinds of events behind a position.
func (w *world) since(after domain.Position) (kinds []string) {
	w.Helper()
	for _, r := range w.records()[after:] {
		commit, err := eventstore.Decode(r)
		w.must(err)
		for _, e := range commit.Events {
			kinds = append(kinds, e.Kind())
		}
	}
	return kinds
}

// pretty is a body in which everything that is random has a name.
func (w *world) pretty(body string) string {
	body = mintedSecret.ReplaceAllString(body, "{secret}")
	body = hookSecret.ReplaceAllString(body, "whsec_{secret}")
	for _, name := range slices.Sorted(maps.Keys(w.names)) {
		if strings.Contains(name, ".") {
			body = strings.ReplaceAll(body, w.names[name], "{"+name+"}")
		}
	}
	body = anID.ReplaceAllString(body, "$1{id}")
	var indented bytes.Buffer
	if json.Indent(&indented, []byte(body), "", "  ") != nil {
		return strings.TrimSpace(body)
	}
	return strings.TrimSpace(indented.String())
}

// text is a value of an answer, to be compared.
func text(value any) string {
	if value == nil {
		return ""
	}
	encoded, _ := json.Marshal(value)
	return strings.Trim(string(encoded), `"`)
}

// number is a number of an answer, as paths have it.
func number(value any) string { return text(value) }
