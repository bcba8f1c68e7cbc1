package databaselabtest

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"net"
	nethttp "net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"gitlab.com/postgres-ai/database-lab/v3/pkg/client/platform"

	"jeton/domain"
	"jeton/eventstore"
	"jeton/http"
	"jeton/projections"
)

// mostContent is how large a file may be, in bytes.
const mostContent = 8 << 20

var today = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// world is a server as it is installed, with the organizations acme and beta. Its
// clock stands still.
type world struct {
	*testing.T
	model *projections.Model
	base  string // URL of the dialect

	mu  sync.Mutex
	now time.Time

	ann, zoe   founder // of acme, of beta
	acme, beta domain.Position
}

// founder is who owns an organization, with their first token.
type founder struct {
	domain.Actor
	secret string
}

func newWorld(t *testing.T) *world {
	w := &world{T: t, now: today}
	log, err := eventstore.StartEmbedded(eventstore.EmbeddedConfig{Dir: t.TempDir()})
	w.must(err)
	t.Cleanup(func() { _ = log.Close() })
	store, err := eventstore.Create(t.Context(), log.JetStream(), 1)
	w.must(err)
	views, err := projections.OpenViews(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "views.db"), vault)
	w.must(err)
	w.model = projections.NewModel(store, vault, w.clock)
	w.run(store, views)
	w.ann, w.acme = w.found("acme", "Ann@acme.test")
	w.zoe, w.beta = w.found("beta", "zoe@beta.test")
	objects, err := eventstore.OpenObjects(t.Context(), store, 0)
	w.must(err)
	w.serve(&http.Server{Model: w.model, Views: views, Now: w.clock, Log: zerolog.Nop(), Objects: objects, MaxContent: mostContent})
	return w
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) sleep(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// run follows the log until the test ends.
func (w *world) run(store *eventstore.JetStream, views *projections.Views) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = w.model.Run(ctx) })
	running.Go(func() { _ = views.Run(ctx, store, store.StoreID()) })
	w.Cleanup(func() { cancel(); running.Wait(); _ = views.Close() })
	w.must(w.model.Loaded(ctx))
}

func (w *world) serve(s *http.Server) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	w.must(err)
	server := http.NewHTTPServer(s.Handler())
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(listener) })
	w.Cleanup(func() { _ = server.Close(); serving.Wait() })
	w.base = "http://" + listener.Addr().String() + "/api/general"
}

func (w *world) found(alias, email string) (founder, domain.Position) {
	id, account, token := domain.OrganizationID{ID: domain.RandomID()}, domain.AccountID{ID: domain.RandomID()}, domain.TokenID{ID: domain.RandomID()}
	secret, err := domain.NewSecret(domain.Personal, token, rand.Reader)
	w.must(err)
	first := domain.FirstToken{Token: token, Hash: secret.Hash(), Expires: domain.At(today.AddDate(1, 0, 0))}
	meta := domain.Meta{Organization: id, Actor: domain.Actor{Kind: domain.ActorSystem}}
	var command domain.DirectoryCommand = domain.Found{Organization: id, Alias: alias, Name: alias, Account: account, Email: email, First: first}
	if w.model.Founded() {
		meta.Actor = w.ann.Actor
		command = domain.CreateOrganization{Organization: id, Alias: alias, Name: alias, OwnerEmail: email, Account: account, First: first}
	}
	done, err := w.model.ExecuteDirectory(w.Context(), meta, command)
	w.must(err)
	return founder{domain.Actor{Kind: domain.ActorMember, Account: account, Token: token}, secret.Reveal()}, done.Position
}

// made is a token as the console's call answers it.
type made struct {
	ID    uint64 `json:"id"`
	Token string `json:"token"`
}

// create makes a token in acme as the console does.
func (w *world) create(name string, personal bool, expires string) made {
	w.Helper()
	var m made
	w.call("rpc/api_token_create", map[string]any{"name": name, "expires": expires, "org_id": w.acme, "is_personal": personal}, &m)
	if m.Token == "" || m.ID == 0 {
		w.Fatalf("%s was not made: %+v", name, m)
	}
	return m
}

func (w *world) revoke(m made) {
	w.Helper()
	w.call("rpc/api_token_revoke", map[string]any{"id": m.ID}, &struct{}{})
}

// call is what Ann does in the console.
func (w *world) call(function string, arguments map[string]any, answer any) {
	w.Helper()
	body, err := json.Marshal(arguments)
	w.must(err)
	r, err := nethttp.NewRequestWithContext(w.Context(), "POST", w.base+"/"+function, bytes.NewReader(body))
	w.must(err)
	r.Header.Set("Authorization", "Bearer "+w.ann.secret)
	response, err := nethttp.DefaultClient.Do(r)
	w.must(err)
	defer response.Body.Close()
	if response.StatusCode != 200 {
		w.Fatalf("%s: %s", function, response.Status)
	}
	w.must(json.NewDecoder(response.Body).Decode(answer))
}

// engine is an engine with an access token.
func (w *world) engine(accessToken string) func(token string) (platform.TokenCheckResponse, error) {
	return w.engineAt(w.base, accessToken)
}

func (w *world) engineAt(url, accessToken string) func(token string) (platform.TokenCheckResponse, error) {
	w.Helper()
	client, err := platform.NewClient(platform.ClientConfig{URL: url, AccessToken: accessToken})
	w.must(err)
	return func(token string) (platform.TokenCheckResponse, error) {
		return client.CheckPlatformToken(w.Context(), platform.TokenCheckRequest{Token: token})
	}
}

const nextYear = "20271122T235959-0330"

// accepted holds what an engine learned against what is so.
func (w *world) accepted(personal bool) func(platform.TokenCheckResponse, error) {
	return func(got platform.TokenCheckResponse, err error) {
		w.Helper()
		want := platform.TokenCheckResponse{OrganizationID: uint(w.acme), Personal: personal}
		if err != nil || got != want {
			w.Errorf("got %+v, %v, want %+v", got, err, want)
		}
	}
}

// refused wants the status with the error that the client could read: if it could
// not, the engine would blame the network.
func (w *world) refused(got platform.TokenCheckResponse, err error) {
	w.Helper()
	if err == nil || !strings.HasSuffix(err.Error(), "unsuccessful status given: 401") || got.OrganizationID != 0 || got.Personal {
		w.Errorf("got %+v, %v, want a 401 that the client can read", got, err)
	}
}

func TestEngineAcceptsGoodTokens(t *testing.T) {
	w := newWorld(t)
	personal, administrative := w.create("laptop", true, nextYear), w.create("engine", false, nextYear)
	for name, accessToken := range map[string]string{"personal": personal.Token, "administrative": administrative.Token} {
		t.Run("asked with a "+name+" access token", func(t *testing.T) {
			check := w.engine(accessToken)
			w.accepted(true)(check(personal.Token))
			w.accepted(true)(check(w.ann.secret))
			w.accepted(false)(check(administrative.Token))
		})
	}
}

// An engine begins by asking about its own access token, and takes the answer's
// organization for its own.
func TestEngineLearnsItsOrganization(t *testing.T) {
	w := newWorld(t)
	administrative := w.create("engine", false, nextYear)
	w.accepted(false)(w.engine(administrative.Token)(administrative.Token))
	w.accepted(true)(w.engine(w.ann.secret)(w.ann.secret))
	got, err := w.engine(w.zoe.secret)(w.zoe.secret)
	if err != nil || got.OrganizationID != uint(w.beta) || w.beta == w.acme {
		t.Errorf("in beta: %+v, %v", got, err)
	}
}

func TestEngineRefusesBadTokens(t *testing.T) {
	w := newWorld(t)
	good, revoked := w.create("good", true, nextYear), w.create("revoked", true, nextYear)
	expired, administrative := w.create("expired", true, "2026-11-22T12:01:00Z"), w.create("engine", false, nextYear)
	w.revoke(revoked)
	w.sleep(time.Minute)
	unknown, err := domain.NewSecret(domain.Personal, domain.TokenID{ID: domain.RandomID()}, rand.Reader)
	w.must(err)
	check := w.engine(administrative.Token)
	for name, token := range map[string]string{
		"expired": expired.Token, "revoked": revoked.Token, "unknown": unknown.Reveal(), "foreign": w.zoe.secret, "empty": "",
		"truncated": good.Token[:len(good.Token)-1], "altered": altered(good.Token), "a shared token": "secret_token", "with a blank": good.Token + " ",
		"of the other kind": strings.Replace(good.Token, "_pat_", "_adm_", 1),
	} {
		t.Run(name, func(*testing.T) { w.refused(check(token)) })
	}
	w.accepted(true)(check(good.Token))
}

// altered is a token with another letter in its middle.
func altered(token string) string {
	middle := []byte(token)
	at := len(middle) / 2
	middle[at] ^= 1
	return string(middle)
}

func TestEngineWithABadAccessToken(t *testing.T) {
	w := newWorld(t)
	good, revoked := w.create("good", true, nextYear), w.create("engine", false, nextYear)
	expired := w.create("old engine", false, "2026-11-22T12:01:00Z")
	w.revoke(revoked)
	w.sleep(time.Minute)
	for name, accessToken := range map[string]string{
		"revoked": revoked.Token, "expired": expired.Token, "altered": altered(good.Token), "foreign": w.zoe.secret, "blank": " ",
	} {
		t.Run(name, func(*testing.T) { w.refused(w.engine(accessToken)(good.Token)) })
	}
}

// Engines remember nothing: what is revoked is refused by the very next check.
func TestEngineSeesARevocationAtOnce(t *testing.T) {
	w := newWorld(t)
	administrative := w.create("engine", false, nextYear)
	check := w.engine(administrative.Token)
	for range 20 {
		token := w.create("laptop", true, nextYear)
		w.accepted(true)(check(token.Token))
		w.revoke(token)
		w.refused(check(token.Token))
	}
	w.revoke(administrative)
	w.refused(check(w.ann.secret))
}

func TestEngineSeesAnExpiryAtOnce(t *testing.T) {
	w := newWorld(t)
	token := w.create("short", true, "2026-11-22T12:01:00Z")
	check := w.engine(w.ann.secret)
	w.sleep(time.Minute - time.Millisecond)
	w.accepted(true)(check(token.Token))
	w.sleep(time.Millisecond)
	w.refused(check(token.Token))
}

func TestEngineWithAnyBaseURL(t *testing.T) {
	w := newWorld(t)
	host := strings.TrimSuffix(w.base, "/api/general")
	for _, url := range []string{w.base, w.base + "/", w.base + "//", host + "//api//general/"} {
		w.accepted(true)(w.engineAt(url, w.ann.secret)(w.ann.secret))
	}
	if got, err := w.engineAt(host+"/api/v2", w.ann.secret)(w.ann.secret); err == nil || strings.Contains(err.Error(), "parse") {
		t.Errorf("at another path: %+v, %v", got, err)
	}
}
