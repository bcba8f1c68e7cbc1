package http

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"jeton/domain"
	"jeton/eventstore"
	"jeton/projections"
)

// lab is a server with two organizations: acme with an owner, an admin, a member
// and an auditor, and beta with an owner. Its clock stands still.
type lab struct {
	*testing.T
	*Server
	url   string
	store eventstore.Store
	stop  func() // ends the views

	mu  sync.Mutex
	now time.Time
	log bytes.Buffer

	acme, beta domain.OrganizationID
	actors     map[string]domain.Actor
	secrets    map[string]string // by name
}

const (
	labMostContent = 1 << 20
	labPages       = "https://console.acme.test"
)

var labToday = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func newLab(t *testing.T) *lab {
	l := &lab{T: t, store: new(eventstore.Memory), now: labToday, actors: map[string]domain.Actor{}, secrets: map[string]string{}}
	l.Server = &Server{
		Model: projections.NewModel(l.store, vault, l.clock), Views: l.views(), Now: l.clock,
		Log: zerolog.New(l).Level(zerolog.DebugLevel), Objects: new(eventstore.MemoryObjects), MaxContent: labMostContent,
		Origins: []string{labPages},
	}
	l.run()
	l.people()
	server := httptest.NewUnstartedServer(nil)
	server.Config = NewHTTPServer(l.Handler())
	server.Start()
	t.Cleanup(server.Close)
	l.url = server.URL + "/api/general/"
	t.Cleanup(l.keptSecrets)
	return l
}

// makeRoom lets everybody have any number of tokens.
func (l *lab) makeRoom() {
	l.Helper()
	policy := domain.UsualPolicy()
	policy.Personal.PerHolder = 0
	l.execute("ann", domain.UpdatePolicy{Policy: policy})
}

func (l *lab) views() *projections.Views {
	views, err := projections.OpenViews(l.Context(), "sqlite:"+filepath.Join(l.TempDir(), "views.db"), vault)
	l.must(err)
	return views
}

// run follows the log with both views until the test ends.
func (l *lab) run() {
	ctx, cancel := context.WithCancel(context.Background())
	viewing, stop := context.WithCancel(ctx)
	var model, views sync.WaitGroup
	model.Go(func() { _ = l.Model.Run(ctx) })
	views.Go(func() { _ = l.Views.Run(viewing, l.store, "lab") })
	l.stop = sync.OnceFunc(func() {
		stop()
		views.Wait()
		_ = l.Views.Close()
	})
	l.Cleanup(func() { l.stop(); cancel(); model.Wait() })
	l.must(l.Model.Loaded(ctx))
}

func (l *lab) people() {
	l.acme = l.found("acme", "ann", "Ann@acme.test")
	l.join("bob", domain.Admin)
	l.join("mia", domain.Ordinary)
	l.join("ada", domain.Auditor)
	l.beta = l.found("beta", "zoe", "zoe@beta.test")
	l.issue("robot", "ann", domain.IssueToken{Kind: domain.Administrative, Never: true})
}

// keptSecrets is the canary of every test: whatever it did, no secret is in a log line.
func (l *lab) keptSecrets() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if strings.Contains(l.log.String(), "jtn_") {
		l.Errorf("a secret is in the log:\n%s", &l.log)
	}
}

// clock is what time it is; sleep moves it.
func (l *lab) clock() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.now
}

func (l *lab) sleep(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now = l.now.Add(d)
}

// Write takes a line of the log.
func (l *lab) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.log.Write(line)
}

func (l *lab) must(err error) {
	l.Helper()
	if err != nil {
		l.Fatal(err)
	}
}

// secret draws the secret of a token, to be called name.
func (l *lab) secret(name string, kind domain.TokenKind) (domain.TokenID, domain.Hash) {
	id := domain.TokenID{ID: domain.RandomID()}
	secret, err := domain.NewSecret(kind, id, rand.Reader)
	l.must(err)
	l.secrets[name] = secret.Reveal()
	return id, secret.Hash()
}

// person is somebody new with a first token of the same name.
func (l *lab) person(name string) (domain.AccountID, domain.FirstToken) {
	account := domain.AccountID{ID: domain.RandomID()}
	token, hash := l.secret(name, domain.Personal)
	l.actors[name] = domain.Actor{Kind: domain.ActorMember, Account: account, Token: token}
	return account, domain.FirstToken{Token: token, Hash: hash}
}

func (l *lab) found(alias, owner, email string) domain.OrganizationID {
	id := domain.OrganizationID{ID: domain.RandomID()}
	account, first := l.person(owner)
	meta := domain.Meta{Organization: id, Actor: domain.Actor{Kind: domain.ActorSystem}}
	var command domain.DirectoryCommand = domain.Found{Organization: id, Alias: alias, Name: alias, Account: account, Email: email, First: first}
	if l.Model.Founded() {
		meta.Actor = l.actors["ann"]
		command = domain.CreateOrganization{Organization: id, Alias: alias, Name: alias, OwnerEmail: email, Account: account, First: first}
	}
	_, err := l.Model.ExecuteDirectory(l.Context(), meta, command)
	l.must(err)
	return id
}

func (l *lab) join(name string, role domain.Role) {
	account, first := l.person(name)
	_, err := l.Model.ExecuteDirectory(l.Context(), domain.Meta{Actor: l.actors["ann"]}, domain.RegisterAccount{Account: account, Email: name + "@acme.test"})
	l.must(err)
	l.execute("ann", domain.AddMember{Account: account, Role: role, First: first})
}

// execute is a command in acme, whose position it answers.
func (l *lab) execute(by string, command domain.OrganizationCommand) domain.Position {
	l.Helper()
	done, err := l.Model.Execute(l.Context(), domain.Meta{Organization: l.acme, Actor: l.actors[by]}, command)
	l.must(err)
	l.must(l.Views.Wait(l.Context(), done.Position))
	return done.Position
}

// issue makes a token in acme and answers its number.
func (l *lab) issue(name, by string, command domain.IssueToken) domain.Position {
	l.Helper()
	command.Name = name
	command.Token, command.Hash = l.secret(name, command.Kind)
	return l.execute(by, command)
}

func (l *lab) revoke(number domain.Position) {
	l.Helper()
	id, _ := l.Model.TokenNumbered(l.acme, number)
	l.execute("ann", domain.RevokeToken{Token: id})
}

// number is the number of an organization.
func (l *lab) number(id domain.OrganizationID) domain.Position {
	profile, _ := l.Model.Profile(id)
	return profile.Number
}

// answered is what a server said.
type answered struct {
	status int
	header http.Header
	text   string
}

// object is the answer as a JSON object.
func (a answered) object(t *testing.T) (fields map[string]any) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.text), &fields); err != nil {
		t.Fatalf("%d %s: %v", a.status, a.text, err)
	}
	return fields
}

// send sends a request below the prefix as its clients do: without a Content-Type.
// {name} in body and headers is the secret of that name.
func (l *lab) send(request, body string, headers ...string) answered {
	l.Helper()
	method, path, _ := strings.Cut(request, " ")
	r, err := http.NewRequest(method, l.url+path, strings.NewReader(l.reveal(body)))
	l.must(err)
	for _, header := range headers {
		name, value, _ := strings.Cut(l.reveal(header), ": ")
		r.Header[name] = append(r.Header[name], value) // in the case in which it is written
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(r)
	l.must(err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	l.must(err)
	return answered{response.StatusCode, response.Header, string(text)}
}

func (l *lab) reveal(text string) string {
	for name, secret := range l.secrets {
		text = strings.ReplaceAll(text, "{"+name+"}", secret)
	}
	return text
}

// as is the header in which an engine shows a token.
func as(name string) string { return "Access-Token: {" + name + "}" }

// wantError holds an answer against what every error is: its keys, all four,
// strings or null, and JSON.
func (l *lab) wantError(a answered, status int, says string) {
	l.Helper()
	fields := a.object(l.T)
	for _, key := range []string{"code", "message", "details", "hint"} {
		value, there := fields[key]
		if _, text := value.(string); !there || !text && value != nil {
			l.Errorf("%s: got %v, want a string or null", key, value)
		}
	}
	if len(fields) != 4 || fields["code"] == "" || fields["message"] == "" || a.header.Get("Content-Type") != "application/json" {
		l.Errorf("not an error as its clients know it: %v %v", a.header, a.text)
	}
	if strings.Contains(a.text, "jtn_") {
		l.Errorf("an error repeats a secret: %s", a.text)
	}
	if a.status != status || !strings.Contains(a.text, says) {
		l.Errorf("got %d %s\nwant %d with %q", a.status, a.text, status, says)
	}
}

// wantObject holds a success against what every success is.
func (l *lab) wantObject(a answered, want map[string]any) {
	l.Helper()
	got := a.object(l.T)
	if a.status != 200 || a.header.Get("Content-Type") != "application/json" {
		l.Errorf("got %d %v %s, want 200 and JSON", a.status, a.header, a.text)
	}
	for _, key := range []string{"code", "message", "details", "hint"} {
		if _, there := got[key]; there {
			l.Errorf("a success with the key %s is a failure to its clients", key)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		l.Errorf("-want +got\n%s", diff)
	}
}

// unchanged runs do and complains if the log has grown.
func (l *lab) unchanged(do func()) {
	l.Helper()
	before, err := l.store.Last(l.Context())
	l.must(err)
	do()
	if after, _ := l.store.Last(l.Context()); after != before {
		l.Errorf("the log grew from %d to %d", before, after)
	}
}
