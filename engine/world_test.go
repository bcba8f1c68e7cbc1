package engine

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"jeton/domain"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// noon is when every test begins.
var noon = time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)

// patience is how long a test waits for what has to come.
const patience = 20 * time.Second

// quick is a pace at which tests see what a day brings.
var quick = pace{
	silence: time.Second, first: 5 * time.Millisecond, slowest: 50 * time.Millisecond,
	reports: 200 * time.Millisecond, goodbye: time.Second,
}

const (
	heartbeat    = 20 * time.Millisecond
	verification = "a-verification-token-of-the-engine"
)

// world is an organization with an engine, a clock that the test moves, and a
// platform that tells the engine of it by the wire. Nothing of it is pretended: the
// organization is changed by commands, and told over HTTP.
type world struct {
	testing.TB
	clock atomic.Int64
	token domain.Secret // the engine's
	ids   func() domain.ID

	mu        sync.Mutex
	directory *domain.Directory
	org       *domain.Organization
	engine    domain.Position
	position  domain.Position
	framed    domain.Framed
	owner     somebody
	commits   []told
	log       string
	used      map[domain.TokenID]domain.Instant
	news      chan struct{} // closed at the next change
	raw       []string      // lines that the platform says, whatever they are
	asked     []http.Request
	reports   []Report
	refuses   func(http.ResponseWriter) bool
	hears     func(Report) // when it is reported
	silent    bool         // no heartbeats, and no news
	behind    *older       // the node that is asked is behind; nil: it is not
}

// older is what a node tells that has not heard of everything.
type older struct {
	position domain.Position
	whole    []domain.Piece
}

// old is the platform as it is now, for a node that will be behind.
func (w *world) old() *older {
	w.mu.Lock()
	defer w.mu.Unlock()
	return &older{w.position, w.whole()}
}

// told is what a commit has changed.
type told struct {
	from, to domain.Position
	pieces   []domain.Piece
}

// somebody is a member, with their first token.
type somebody struct {
	id     domain.AccountID
	actor  domain.Actor
	token  domain.TokenID
	secret domain.Secret
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{
		TB: t, log: "log-1", directory: domain.NewDirectory(), news: make(chan struct{}),
		used: map[domain.TokenID]domain.Instant{}, ids: domain.RandomID,
	}
	w.clock.Store(noon.UnixMilli())
	w.found()
	return w
}

func (w *world) found() {
	w.Helper()
	id := domain.OrganizationID{ID: w.ids()}
	w.org = domain.NewOrganization(id)
	w.owner = w.somebody()
	m := domain.Meta{Organization: id, Actor: domain.Actor{Kind: domain.ActorSystem}, Time: w.instant()}
	events, err := domain.Found{
		Organization: id, Alias: "acme", Name: "Acme", Account: w.owner.id, Email: "ann@example.org",
		First: domain.FirstToken{Token: w.owner.token, Hash: w.owner.secret.Hash()},
	}.Decide(w.directory, m)
	w.commit(m, events, err)
	c := domain.RegisterEngine{
		Name: "prod", EngineToken: domain.EngineToken{Token: domain.TokenID{ID: w.ids()}}, Door: domain.Door{PersonalTokens: true, Verification: sha256.Sum256([]byte(verification))},
		Defines: []domain.Definition{
			{Name: "clones.create", Group: "clones", Write: true, Resource: "engine"},
			{Name: "clones.read", Group: "clones", Resource: "engine"},
		},
	}
	c.Token = domain.TokenID{ID: w.ids()}
	w.token = w.draw(domain.Administrative, c.Token)
	c.Hash = w.token.Hash()
	w.do(c)
	w.engine = w.position
}

func (w *world) now() time.Time          { return time.UnixMilli(w.clock.Load()).UTC() }
func (w *world) instant() domain.Instant { return domain.At(w.now()) }
func (w *world) pass(d time.Duration)    { w.clock.Add(d.Milliseconds()) }

func (w *world) draw(kind domain.TokenKind, id domain.TokenID) domain.Secret {
	w.Helper()
	secret, err := domain.NewSecret(kind, id, rand.Reader)
	if err != nil {
		w.Fatal(err)
	}
	return secret
}

func (w *world) somebody() somebody {
	w.Helper()
	p := somebody{id: domain.AccountID{ID: w.ids()}, token: domain.TokenID{ID: w.ids()}}
	p.secret = w.draw(domain.Personal, p.token)
	p.actor = domain.Actor{Kind: domain.ActorMember, Account: p.id, Token: p.token}
	return p
}

// join makes somebody a member.
func (w *world) join(email string, role domain.Role) somebody {
	w.Helper()
	p := w.somebody()
	m := w.meta(w.owner.actor)
	events, err := domain.RegisterAccount{Account: p.id, Email: email}.Decide(w.directory, m)
	w.commit(m, events, err)
	w.do(domain.AddMember{Account: p.id, Role: role, First: domain.FirstToken{Token: p.token, Hash: p.secret.Hash()}})
	return p
}

// issue makes another token of somebody.
func (w *world) issue(p somebody, name string, change func(*domain.IssueToken)) (domain.TokenID, domain.Secret) {
	w.Helper()
	c := domain.IssueToken{Token: domain.TokenID{ID: w.ids()}, Kind: domain.Personal, Name: name}
	if change != nil {
		change(&c)
	}
	secret := w.draw(c.Kind, c.Token)
	c.Hash = secret.Hash()
	w.doAs(p.actor, c)
	return c.Token, secret
}

// program makes a service account with a token.
func (w *world) program(name string, grant domain.Grant) (domain.AccountID, domain.TokenID, domain.Secret) {
	w.Helper()
	id := domain.AccountID{ID: w.ids()}
	w.do(domain.CreateServiceAccount{Account: id, Name: name, Grant: grant})
	token, secret := w.issue(w.owner, name, func(c *domain.IssueToken) { c.Kind, c.Holder = domain.Service, id })
	return id, token, secret
}

// demand changes the policy.
func (w *world) demand(change func(*domain.Policy)) {
	w.Helper()
	p := w.org.Policy
	change(&p)
	w.do(domain.UpdatePolicy{Policy: p})
}

// door changes the door of the engine.
func (w *world) door(change func(*domain.Door)) {
	w.Helper()
	e, _ := w.org.Engine(w.engine)
	door := e.Door
	door.Name = ""
	change(&door)
	w.do(domain.UpdateEngine{Engine: w.engine, Door: &door})
}

func (w *world) meta(a domain.Actor) domain.Meta {
	return domain.Meta{Organization: w.org.ID, Actor: a, Time: w.instant(), Address: "192.0.2.1"}
}

func (w *world) do(c domain.OrganizationCommand) { w.Helper(); w.doAs(w.owner.actor, c) }

func (w *world) doAs(a domain.Actor, c domain.OrganizationCommand) {
	w.Helper()
	m := w.meta(a)
	events, err := c.Decide(w.org, m)
	w.commit(m, events, err)
}

// commit takes what has happened, and notes what of it is to be told to engines.
func (w *world) commit(m domain.Meta, events []domain.Event, err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	before := w.position
	w.position++
	m.Position = w.position
	c := domain.Commit{Meta: m, Events: events}
	w.org.Evolve(c)
	w.directory.Evolve(c)
	w.commits = append(w.commits, told{before, w.position, w.delta()})
	w.announce()
}

// delta is what the last commit has changed.
func (w *world) delta() (pieces []domain.Piece) {
	touched, framed, terms := w.org.Touched(), w.org.Framed(), w.framed.Terms
	if framed != w.framed {
		pieces = append(pieces, w.org.Frame(w.engine))
		pieces = slices.AppendSeq(pieces, w.org.TermsFrom(max(terms, 1)))
		w.framed = framed
	}
	for _, at := range touched.Holders {
		pieces = w.holder(pieces, at)
	}
	for _, at := range touched.Tokens {
		pieces = w.tokenAt(pieces, at)
	}
	return pieces
}

func (w *world) whole() (pieces []domain.Piece) {
	pieces = append(pieces, w.org.Frame(w.engine))
	pieces = slices.AppendSeq(pieces, w.org.TermsFrom(1))
	for at := range w.org.Holders() {
		pieces = w.holder(pieces, at)
	}
	for at := range w.org.Tokens.Len() {
		pieces = w.tokenAt(pieces, at)
	}
	return pieces
}

func (w *world) holder(pieces []domain.Piece, at uint32) []domain.Piece {
	account, gone := w.account(at)
	if p, has := w.org.HolderPiece(at, account, gone); has {
		return append(pieces, p)
	}
	return pieces
}

func (w *world) account(at uint32) (a domain.Account, gone bool) {
	for id, account := range w.directory.Accounts {
		if seat, known := w.org.Seat(id); known && seat == at {
			return account, false
		}
	}
	for id := range w.directory.DeletedAccounts {
		if seat, known := w.org.Seat(id); known && seat == at {
			return a, true
		}
	}
	return a, false
}

func (w *world) tokenAt(pieces []domain.Piece, at uint32) []domain.Piece {
	if p, opens := w.org.TokenPiece(at, w.used[w.org.Tokens.At(at).ID]); opens {
		return append(pieces, p)
	}
	return pieces
}

// change changes the platform.
func (w *world) change(do func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	do()
	w.announce()
}

func (w *world) announce() {
	close(w.news)
	w.news = make(chan struct{})
}

// say lets the platform say a line, whatever it is.
func (w *world) say(line string) { w.change(func() { w.raw = append(w.raw, line) }) }

// platform is the platform's side of the wire.
func (w *world) platform() *httptest.Server {
	w.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+StreamPath, w.stream)
	mux.HandleFunc("POST "+ReportPath, w.report)
	s := httptest.NewServer(mux)
	w.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s
}

func (w *world) let(rw http.ResponseWriter, r *http.Request) bool {
	if w.refuses != nil && w.refuses(rw) {
		return false
	}
	if r.Header.Get("Authorization") != "Bearer "+w.token.Reveal() {
		refuse(rw, http.StatusUnauthorized)
		return false
	}
	return true
}

// refuse refuses in the platform's words.
func refuse(rw http.ResponseWriter, status int) {
	rw.Header().Set("Content-Type", "application/problem+json")
	rw.WriteHeader(status)
	fmt.Fprintf(rw, `{"type":"about:blank","status":%d,"code":"bad-credential"}`, status)
}

func (w *world) stream(rw http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	w.asked = append(w.asked, *r)
	w.announce()
	if !w.let(rw, r) {
		w.mu.Unlock()
		return
	}
	lines, at := w.greeting(r)
	said := len(w.raw)
	w.mu.Unlock()
	tick := time.NewTicker(heartbeat)
	defer tick.Stop()
	for {
		if _, err := rw.Write(lines); err != nil {
			return
		}
		_ = http.NewResponseController(rw).Flush()
		w.mu.Lock()
		news := w.news
		lines = nil
		for ; said < len(w.raw); said++ {
			lines = append(lines, w.raw[said]+"\n"...)
		}
		if !w.silent && lines == nil {
			lines, at = w.since(at)
		}
		w.mu.Unlock()
		if lines != nil {
			continue
		}
		select {
		case <-r.Context().Done():
			return
		case <-news:
		case <-tick.C:
			w.mu.Lock()
			if !w.silent {
				lines = w.mark(at, at)
			}
			w.mu.Unlock()
		}
	}
}

func (w *world) greeting(r *http.Request) (lines []byte, at domain.Position) {
	after, _ := strconv.ParseUint(r.URL.Query().Get(QueryAfter), 10, 64)
	lines = encode(Line{Hello: &Hello{Platform: "5.0.0", Log: w.log, Organization: w.org.Number, Engine: w.engine}})
	known, whole := w.position, w.whole
	if w.behind != nil {
		known, whole = w.behind.position, func() []domain.Piece { return w.behind.whole }
	}
	if after != 0 && r.URL.Query().Get(QueryLog) == w.log && domain.Position(after) <= known {
		more, at := w.since(domain.Position(after))
		return append(lines, more...), at
	}
	lines = append(lines, encode(Line{Reset: true})...)
	for _, p := range whole() {
		lines = append(lines, encode(Line{Piece: p})...)
	}
	return append(lines, w.mark(0, known)...), known
}

func (w *world) since(at domain.Position) (lines []byte, to domain.Position) {
	for _, c := range w.commits {
		if c.to <= at || w.behind != nil && c.to > w.behind.position {
			continue
		}
		for _, p := range c.pieces {
			lines = append(lines, encode(Line{Piece: p})...)
		}
		lines = append(lines, w.mark(c.from, c.to)...)
		at = c.to
	}
	return lines, at
}

func (w *world) mark(from, to domain.Position) []byte {
	return encode(Line{Mark: &Mark{From: from, To: to, At: w.instant()}})
}

func encode(l Line) []byte {
	text, err := json.Marshal(l)
	if err != nil {
		panic(err) // it is made of what the domain has
	}
	return append(text, '\n')
}

func (w *world) report(rw http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.let(rw, r) {
		return
	}
	var report Report
	if err := json.NewDecoder(r.Body).Decode(&report); err != nil || len(report.Uses) > MaxUses {
		rw.WriteHeader(http.StatusUnprocessableEntity)
		return
	}
	w.reports = append(w.reports, report)
	if w.hears != nil {
		w.hears(report)
	}
	w.announce()
	rw.WriteHeader(http.StatusNoContent)
}

// until waits for what the platform comes to know.
func (w *world) until(what string, holds func() bool) {
	w.Helper()
	deadline := time.After(patience)
	for {
		w.mu.Lock()
		done, news := holds(), w.news
		w.mu.Unlock()
		if done {
			return
		}
		select {
		case <-news:
		case <-deadline:
			w.Fatalf("%s: it did not come to that", what)
		}
	}
}

// config is how the engine opens its client.
func (w *world) config(url string) Config {
	return Config{URL: url, Token: w.token.Reveal(), Now: w.now, Version: "4.0.1", Log: zerolog.New(zerolog.NewTestWriter(w.TB))}
}

// open opens a client, which is closed with the test.
func (w *world) open(config Config) *Client {
	w.Helper()
	c, err := open(w.Context(), config, quick)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { _ = c.Close() })
	return c
}

// ready opens a client and waits until it has the whole copy.
func (w *world) ready(config Config) *Client {
	w.Helper()
	c := w.open(config)
	w.await(c, "ready", func(s State) bool { return s.Open && s.Connected && s.Position >= w.at() })
	return c
}

func (w *world) at() domain.Position {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.position
}

// caughtUp waits until the copy is where the platform is.
func (w *world) caughtUp(c *Client) {
	w.Helper()
	w.await(c, "caught up", func(s State) bool { return s.Connected && s.Position >= w.at() })
}

// await waits until a client is as it is to be.
func (w *world) await(c *Client, what string, holds func(State) bool) {
	w.Helper()
	deadline := time.After(patience)
	for {
		changed := c.copy.watch()
		if holds(c.State()) {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			w.Fatalf("%s: it did not come to that; the client is %+v", what, c.State())
		}
	}
}

// allowed fails unless the secret opens the door.
func (w *world) allowed(c Checker, secret domain.Secret) Answer {
	w.Helper()
	a := c.Check(Presented{Secret: secret.Reveal()})
	if !a.Allowed || a.Reason != domain.ReasonNone {
		w.Fatalf("got allowed %t, reason %q; want the token to open the door", a.Allowed, a.Reason)
	}
	return a
}

// denied fails if the secret opens the door, or does not for another reason.
func (w *world) denied(c Checker, secret string, why domain.Reason) {
	w.Helper()
	if a := c.Check(Presented{Secret: secret}); a.Allowed || a.Via != domain.ViaNothing || a.Reason != why {
		w.Fatalf("got allowed %t by %q, reason %q; want it denied for %q", a.Allowed, a.Via, a.Reason, why)
	}
}

// keepsSecrets fails if a file of the directory has one of the secrets in it.
func (w *world) keepsSecrets(dir string, secrets ...string) {
	w.Helper()
	files, err := os.ReadDir(dir)
	if err != nil || len(files) == 0 {
		w.Fatalf("found %d files: %v", len(files), err)
	}
	for _, f := range files {
		text, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			w.Fatal(err)
		}
		for _, s := range secrets {
			if bytes.Contains(text, []byte(s)) {
				w.Errorf("%s has a secret in it", f.Name())
			}
		}
	}
}

// soon is a context for what has to come.
func soon(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}
