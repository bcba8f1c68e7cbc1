package http

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"jeton/domain"
	"jeton/eventstore"
)

// recording records refusals, as a server does, until stop is called or the test ends.
func (w *world) recording() (stop func()) {
	model := w.model
	return w.background(func(ctx context.Context) error {
		return model.RecordOccurrences(ctx, time.Millisecond, w.server.Log)
	})
}

// reached waits until the model has a position, if that comes at all.
func (w *world) reached(at domain.Position) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), 10*time.Second)
	defer cancel()
	if err := w.model.Wait(ctx, at); err != nil {
		w.Errorf("position %d does not come: %v", at, err)
	}
}

// occurrences are what was recorded behind a position although nothing changed: in
// which organization, about whom, and what.
func (w *world) occurrences(after domain.Position) (all []string) {
	w.Helper()
	for _, r := range w.records()[after:] {
		c, err := eventstore.Decode(r)
		w.must(err)
		c, err = w.vault.Opened(w.Context(), c)
		w.must(err)
		org := "acme"
		if c.Organization != w.organization("acme") {
			org = "globex"
		}
		for _, e := range c.Events {
			facts, err := factsOf(e)
			w.must(err)
			delete(facts, "reason")
			all = append(all, w.pretty(fmt.Sprintf("%s, %s %s from %s: %s %v", org, c.Actor.Kind, c.Actor.Token, c.Address, e.Kind(), facts)))
		}
	}
	return all
}

func (w *world) organization(alias string) domain.OrganizationID {
	id, _ := w.model.Find(alias)
	return id
}

// Every refusal that is worth knowing leaves one event, in the log of whom it is about
// and of nobody else.
func TestRefusalsAreKnown(t *testing.T) {
	const (
		byMia   = "acme, member {mia.token} from 192.0.2.7: access.refused "
		byOld   = "acme, member {old.token} from 192.0.2.7: access.refused "
		byOwner = "acme, bearer {old.token} from 192.0.2.7: access.refused "
	)
	old := hasToken("mia", "old", "personal")
	revoked := all(old, does("mia", "DELETE "+tokensOfAcme+"/{old.token}", ""))
	burned := all(old, does("", "POST /api/v1/burn", `{"token":"{old.secret}"}`))
	reader := func(w *world) {
		made := w.made("mia", "POST "+tokensOfAcme, `{"name":"old","kind":"personal","grant":{"access":"custom","permissions":["engines.read"]}}`)
		w.names["old.token"], w.names["old.secret"] = made["id"].(string), made["secret"].(string)
	}
	for name, c := range map[string]struct {
		given      func(*world)
		as         string
		send, body string
		headers    []string
		status     int
		want       string // empty: nothing
	}{
		"more than they may do": {
			as: "mia", send: "POST " + tokensOfAcme, body: `{"name":"x","kind":"administrative"}`, status: 403,
			want: byMia + "map[action:POST tokens code:denied]",
		},
		"more than they may give": {
			as: "bob", send: "PATCH /api/v1/organizations/acme/members/{mia}", body: `{"role":"owner"}`, status: 403,
			want: "acme, member {bob.token} from 192.0.2.7: access.refused map[action:PATCH members/{id} code:denied target:4]",
		},
		"at the door": {
			as: "mia", send: "DELETE " + tokensOfAcme + "/{bob.token}", status: 403,
			want: byMia + "map[action:DELETE tokens/{id} code:denied target:{bob.token}]",
		},
		"of a program":          {as: "robot", send: "GET " + logOfAcme, status: 403, want: "acme, token {robot.token} from 192.0.2.7: access.refused map[action:GET log code:denied]"},
		"of an operator":        {as: "mia", send: "GET /api/v1/operators", status: 403, want: byMia + "map[action:GET operators code:denied]"},
		"a check":               {given: reader, as: "old", send: "POST /api/v1/check", body: `{"token":"x"}`, status: 403, want: byOld + "map[action:POST check code:denied]"},
		"by OAuth":              {given: reader, as: "old", send: "POST /oauth2/introspect", body: "token=x", headers: []string{"Content-Type: " + formType}, status: 403, want: byOld + "map[action:POST oauth2/introspect code:denied]"},
		"in another":            {as: "mia", send: "GET /api/v1/organizations/globex/tokens", status: 404, want: byMia + "map[action:GET tokens code:foreign target:globex]"},
		"in what there is not":  {as: "mia", send: "GET /api/v1/organizations/nowhere/tokens", status: 404, want: byMia + "map[action:GET tokens code:foreign target:nowhere]"},
		"in what has no name":   {as: "mia", send: "GET /api/v1/organizations/zed@globex.test/tokens", status: 404, want: byMia + "map[action:GET tokens code:foreign target:(no name)]"},
		"a revoked token":       {given: revoked, as: "old", send: "GET " + tokensOfAcme + "/{mia.token}", status: 401, want: byOwner + "map[action:GET tokens/{id} code:revoked target:{mia.token} token:{old.token}]"},
		"a burned token":        {given: burned, as: "old", send: "GET /api/v1/whoami", status: 401, want: byOwner + "map[action:GET whoami code:burned token:{old.token}]"},
		"an expired token":      {given: all(old, passes(400*24*time.Hour)), as: "old", send: "GET /api/v1/whoami", status: 401, want: byOwner + "map[action:GET whoami code:expired token:{old.token}]"},
		"of a suspended member": {given: all(old, does("bob", "PATCH /api/v1/organizations/acme/members/{mia}", `{"suspended":true}`)), as: "old", send: "GET /api/v1/whoami", status: 401, want: byOwner + "map[action:GET whoami code:suspended token:{old.token}]"},
		"revoked, elsewhere":    {given: revoked, as: "old", send: "GET /api/v1/organizations/globex/tokens/x", status: 401, want: byOwner + "map[action:GET tokens/{id} code:revoked target:globex token:{old.token}]"},
		"revoked, in a check":   {given: revoked, as: "robot", send: "POST /api/v1/check", body: `{"token":"{old.secret}","ip":"192.0.2.7"}`, status: 200, want: byOwner + "map[action:check code:revoked token:{old.token}]"},
		"revoked, to others":    {given: revoked, as: "droid", send: "POST /api/v1/check", body: `{"token":"{old.secret}","ip":"192.0.2.7"}`, status: 200, want: byOwner + "map[action:check code:revoked token:{old.token}]"},
		"revoked, as a client":  {given: revoked, as: "old", send: "POST /oauth2/revoke", body: "token=x", headers: []string{"Content-Type: " + formType}, status: 401, want: byOwner + "map[action:POST oauth2/revoke code:revoked token:{old.token}]"},
		"in the dialect":        {given: revoked, send: "GET /api/general/orgs", headers: []string{"Access-Token: {old.secret}"}, status: 401, want: byOwner + "map[action:GET orgs code:revoked token:{old.token}]"},
		"another's, there": {
			as: "mia", send: "POST /api/general/rpc/api_token_create", body: `{"name":"x","expires":"2027-01-01","org_id":999}`, status: 404,
			want: byMia + "map[action:POST rpc/api_token_create code:foreign target:999]",
		},
		"a bad key beside a good token": {
			given: all(hasToken("ann", "old", "administrative"), does("ann", "DELETE "+tokensOfAcme+"/{old.token}", "")),
			send:  "GET /api/general/orgs", headers: []string{"Access-Token: {mia.secret}", "Org-Key: {old.secret}"}, status: 401,
			want: byOwner + "map[action:GET orgs code:revoked token:{old.token}]",
		},

		"what is no token":      {send: "GET /api/v1/whoami", headers: []string{"Authorization: Bearer nothing"}, status: 401},
		"no token at all":       {send: "GET /api/v1/whoami", status: 401},
		"a handle without more": {send: "GET /api/v1/whoami", headers: []string{"Authorization: Bearer jtn_pat_{mia.token}" + strings.Repeat("0", 42)}, status: 401},
		"in the wrong form":     {as: "mia", send: "POST " + tokensOfAcme, body: `{}`, status: 422},
		"what is not there":     {as: "ann", send: "GET " + tokensOfAcme + "/nothing", status: 404},
		"a good token":          {as: "mia", send: "GET /api/v1/whoami", status: 200},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			if c.given != nil {
				w.makeRoom("ann", "acme")
				c.given(w)
			}
			before := w.last()
			w.recording()
			if got := w.send(c.as, c.send, c.body, c.headers...); got.status != c.status {
				t.Errorf("status %d, want %d: %s", got.status, c.status, got.body)
			}
			var want []string
			if c.want != "" {
				want = []string{c.want}
				w.reached(before + 1)
			}
			w.pass(time.Second)
			if diff := cmp.Diff(want, w.occurrences(before)); diff != "" {
				t.Errorf("recorded is (-want +got):\n%s", diff)
			}
		})
	}
}

// A flood of refusals is few commits, of which none is lost when the server ends, and
// its neighbour does not notice.
func TestRefusalsFloodNothing(t *testing.T) {
	w := newWorld(t)
	before := w.last()
	stop := w.recording()
	for i := range 10_000 {
		send := "GET /api/v1/operators"
		if i%2 == 0 {
			send = "GET /api/v1/organizations/globex/tokens"
		}
		w.do(w.request("mia", send, ""))
	}
	stop()
	times := map[string]int{}
	for _, r := range w.records()[before:] {
		c, err := eventstore.Decode(r)
		w.must(err)
		for _, e := range c.Events {
			e := e.(domain.AccessRefused)
			times[e.Code] += max(1, int(e.Times))
		}
		if c.Organization != w.organization("acme") {
			t.Errorf("another organization has %v", c)
		}
	}
	if n := w.last() - before; n > 4 || times["denied"] != 5000 || times["foreign"] != 5000 {
		t.Errorf("10000 refusals are %d commits about %v", n, times)
	}
	w.restart()
	w.recording()
	before = w.last()
	w.send("mia", "GET /api/v1/operators", "")
	w.reached(before + 1)
	if got := w.since(before); !cmp.Equal(got, []string{"access.refused"}) {
		t.Errorf("after a restart: %v", got)
	}
}

// fullLog can't be written while it is down.
type fullLog struct {
	eventstore.Store
	down atomic.Bool
}

func (s *fullLog) Append(ctx context.Context, e eventstore.Entry, after domain.Position) (domain.Position, error) {
	if s.down.Load() {
		return 0, eventstore.ErrUnavailable
	}
	return s.Store.Append(ctx, e, after)
}

// While the log can't be written, nobody is shown what could not be recorded, and
// whoever is refused is refused as always.
func TestNothingIsReadUnrecorded(t *testing.T) {
	store := &fullLog{Store: new(eventstore.Memory)}
	w := worldOn(t, store, "memory")
	does("ada", "GET "+logOfAcme, "")(w)
	usual := w.send("mia", "GET "+logOfAcme, "")
	store.down.Store(true)
	w.recording()
	before := w.last()
	for _, send := range []string{
		"GET " + logOfAcme, "GET /api/general/audit_log", "GET /api/v1/audit", "GET " + auditOfAcme, "GET " + auditOfAcme + "/tail", "GET " + auditOfAcme + "/export",
		"GET " + auditOfAcme + "/export?format=bundle", "GET " + auditOfAcme + "/heads", "GET " + auditOfAcme + "/proof?position=1", "GET " + auditOfAcme + "/diff?from=1",
		"GET " + tokensOfAcme + "/{robot.token}/history", "GET " + tokensOfAcme + "/{robot.token}/history?as_of=9",
	} {
		if got := w.send("ann", send, ""); got.status != 503 || !strings.Contains(got.body, "log-unavailable") {
			t.Errorf("%s: status %d: %s", send, got.status, got.body)
		}
	}
	if got := w.send("ada", "GET "+logOfAcme, ""); got.status != 200 {
		t.Errorf("who has read it a moment ago: status %d: %s", got.status, got.body)
	}
	if got := w.send("ada", "GET "+auditOfAcme+"/export", ""); got.status != 503 {
		t.Errorf("who exports: status %d: %s", got.status, got.body)
	}
	if got := w.send("mia", "GET "+logOfAcme, ""); got.body != usual.body || got.status != 403 {
		t.Errorf("who is refused: %s, and it was %s", got.body, usual.body)
	}
	store.down.Store(false)
	w.reached(before + 1)
	if got := w.since(before); !cmp.Equal(got, []string{"access.refused"}) {
		t.Errorf("afterwards it is recorded: %v", got)
	}
	for range 2 {
		does("ann", "GET "+auditOfAcme+"/export?format=csv&actor=bob@acme.test&q=bob", "")(w)
	}
	want := "acme, member {ann.token} from 192.0.2.7: audit.exported map[action:export query:actor=…&format=csv&q=…]"
	if got := w.occurrences(before + 1); !cmp.Equal(got, []string{want, want}) {
		t.Errorf("exports are %q", got)
	}
}

// Whatever reads what happened says so.
func TestRoutesThatReadTheLogSaySo(t *testing.T) {
	reads := regexp.MustCompile(`/(audit|log|history)([/_?{]|$)`)
	found := 0
	for _, r := range newWorld(t).server.routes() {
		if strings.HasSuffix(r.path(), "/audit_events") {
			continue // lists what may happen
		}
		if r.method() != "GET" || !reads.MatchString(r.path()) {
			continue
		}
		found++
		want := "audit.read"
		if r.reads == readsExport {
			want = "audit.exported"
		}
		if r.reads == "" || r.audit != want {
			t.Errorf("%s reads %q and leaves %q", r.pattern, r.reads, r.audit)
		}
	}
	if found < 2 {
		t.Errorf("only %d routes read it", found)
	}
}
