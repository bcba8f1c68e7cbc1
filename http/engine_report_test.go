package http

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"jeton/domain"
	"jeton/engine"
	"jeton/eventstore"
)

const reports = "POST " + engine.ReportPath

// receiptOf is how far the revocation of somebody's first token has come.
func (w *world) receiptOf(name, query string) (r receipt) {
	w.Helper()
	answered := w.send("ann", "GET "+tokensOfAcme+"/{"+name+".token}/revocation"+query, "")
	if answered.status != 200 {
		w.Fatalf("the receipt of %s: %d: %s", name, answered.status, answered.body)
	}
	w.must(json.Unmarshal([]byte(answered.body), &r))
	return r
}

func TestReportsAreSeen(t *testing.T) {
	w := furnish(newWorld(t))
	h := w.hears(w.serve(), "prod", "instance=a1&version=4.0.1&max_staleness=90")
	h.until(1)
	one := "GET " + enginesOfAcme + "/{prod}"
	before := w.send("ann", one, "").object(t)
	w.pass(3 * time.Second)
	w.names["last"] = fmt.Sprint(uint64(w.last()))
	does("prod", reports, `{"instance":"a1","position":{last}}`)(w)
	after := w.send("ann", one, "").object(t)
	for field, want := range map[string][2]string{"position": {"", w.names["last"]}, "last_seen_at": {"2026-11-22T12:00:00Z", "2026-11-22T12:00:03Z"}} {
		if got := [2]string{text(before[field]), text(after[field])}; got != want {
			t.Errorf("%s was and is %q, want %q", field, got, want)
		}
	}
	k := after["connections"].([]any)[0].(map[string]any)
	for field, want := range map[string]any{
		"instance": "a1", "version": "4.0.1", "address": "127.0.0.1", "since": "2026-11-22T12:00:00Z", "connected": true, "behind": false, "staleness_seconds": 90.0,
	} {
		if k[field] != want {
			t.Errorf("%s is %v, want %v", field, k[field], want)
		}
	}
	does("ann", "DELETE "+tokensOfAcme+"/{mia.token}", "")(w)
	if k := w.send("ann", one, "").object(t)["connections"].([]any)[0].(map[string]any); k["behind"] != true {
		t.Errorf("it has not said that it has taken the revocation: %v", k)
	}
	if list := w.send("ann", "GET "+enginesOfAcme, "").object(t)["items"].([]any)[0].(map[string]any); len(list["connections"].([]any)) != 1 {
		t.Errorf("the list has %v", list)
	}
	if list := w.send("zed", "GET /api/v1/organizations/globex/engines", "").body; strings.Contains(list, "a1") {
		t.Errorf("neighbours see %s", list)
	}
}

func TestBadReports(t *testing.T) {
	w := furnish(newWorld(t))
	w.server.streams.behind = time.Millisecond
	use := func(fields string) string {
		return `{"instance":"a1","position":1,"uses":[{"token":"{mia.token}","count":1,"last":"2026-11-22T12:00:00Z"},{` + fields + `}]}`
	}
	hash := strings.Repeat("ab", 32)
	reused := func(fields string) string {
		return `{"instance":"a1","position":1,"reused":[{"token":"{mia.token}","hash":"` + hash + `"},{` + fields + `}]}`
	}
	for body, field := range map[string]string{
		`{}`:                              "instance",
		`{"position":1}`:                  "instance",
		`{"instance":"","position":1}`:    "instance",
		`{"instance":"a b","position":1}`: "instance",
		`{"instance":"` + strings.Repeat("a", 65) + `","position":1}`:                                    "instance",
		`{"instance":5,"position":1}`:                                                                    "instance",
		`{"instance":"a1","position":-1}`:                                                                "position",
		`{"instance":"a1","position":1.5}`:                                                               "position",
		`{"instance":"a1","position":"1"}`:                                                               "position",
		`{"instance":"a1","position":18446744073709551616}`:                                              "position",
		`{"instance":"a1","position":1,"more":true}`:                                                     "more",
		`{"instance":"a1","position":1,"uses":{}}`:                                                       "uses",
		use(`"token":"x","count":1,"last":"2026-11-22T12:00:00Z"`):                                       "uses[1].token",
		use(`"token":"{mia.secret}","count":1,"last":"2026-11-22T12:00:00Z"`):                            "uses[1].token",
		use(`"count":1,"last":"2026-11-22T12:00:00Z"`):                                                   "uses[1].token",
		use(`"token":"{mia.token}","last":"2026-11-22T12:00:00Z"`):                                       "uses[1].count",
		use(`"token":"{mia.token}","count":-1,"last":"2026-11-22T12:00:00Z"`):                            "uses.count",
		use(`"token":"{mia.token}","count":4294967296,"last":"2026-11-22T12:00:00Z"`):                    "uses.count",
		use(`"token":"{mia.token}","count":1`):                                                           "uses[1].last",
		use(`"token":"{mia.token}","count":1,"last":"now"`):                                              "uses[1].last",
		use(`"token":"{mia.token}","count":1,"last":"2026-02-29T12:00:00Z"`):                             "uses[1].last",
		use(`"token":"{mia.token}","count":1,"last":"2026-11-22T12:00:00Z","address":"host"`):            "uses[1].address",
		use(`"token":"{mia.token}","count":1,"last":"2026-11-22T12:00:00Z","permissions":"engines.use"`): "uses.permissions",
		`{"instance":"a1","position":1,"uses":[` + strings.TrimSuffix(strings.Repeat(`{"token":"{mia.token}","count":1,"last":"2026-11-22T12:00:00Z"},`, engine.MaxUses+1), ",") + `]}`: "uses",
		reused(`"token":"x","hash":"` + hash + `"`):                    "reused[1].token",
		reused(`"hash":"` + hash + `"`):                                "reused[1].token",
		reused(`"token":"{mia.token}"`):                                "reused[1].hash",
		reused(`"token":"{mia.token}","hash":"` + hash[1:] + `"`):      "reused[1].hash",
		reused(`"token":"{mia.token}","hash":"` + hash[1:] + `g"`):     "reused[1].hash",
		reused(`"token":"{mia.token}","hash":"` + hash + `","more":1`): "more",
		`{"instance":"a1","position":1,"reused":[` + strings.TrimSuffix(strings.Repeat(`{"token":"{mia.token}","hash":"`+hash+`"},`, engine.MaxReused+1), ",") + `]}`: "reused",
	} {
		answered := w.refused("prod", reports, body, []int{422})
		if got := firstField(t, answered); got != field {
			t.Errorf("%.120s: the field is %q, want %q: %s", body, got, field, answered.body)
		}
	}
	for _, position := range []string{"999999", "18446744073709551615"} {
		refused := w.refused("prod", reports, `{"instance":"a1","position":`+position+`}`, []int{409})
		if !strings.Contains(refused.body, "log") {
			t.Errorf("%s: %s", position, refused.body)
		}
	}
	if used := w.send("ann", "GET "+tokensOfAcme+"/{mia.token}", "").object(t); used["last_used_at"] != nil {
		t.Errorf("what was refused was counted: %v", used["last_used_at"])
	}
	w.refused("prod", reports, `{"instance":"a1","position":1}`+strings.Repeat(" ", reportBody), []int{413})
	for _, as := range []string{"ann", "mia", "robot", "zed"} {
		w.refused(as, reports, `{"instance":"a1","position":1}`, []int{403})
	}
}

// What engines report of tokens is seen where tokens are. Of tokens that they cannot
// know nothing they say counts.
func TestUsesThatAreReported(t *testing.T) {
	w := furnish(newWorld(t))
	usage := new(eventstore.MemoryUsage)
	end := w.background(func(ctx context.Context) error { return w.model.Report(ctx, usage, "test", time.Hour) })
	w.background(func(ctx context.Context) error { return w.views.FollowUsage(ctx, usage, w.model.Used) })
	const all = `{"instance":"a1","position":1,"uses":[
		{"token":"{mia.token}","count":3,"last":"2026-11-22T11:30:00Z","address":"198.51.100.7","agent":"psql {ann.secret}","permissions":["clones.create","engines.use","clones.paint"]},
		{"token":"{zoe.token}","count":4000000000,"last":"2026-11-22T11:30:00Z"},
		{"token":"{robot.token}","count":5,"last":"2026-11-22T11:30:00Z"},
		{"token":"0000000000000000","count":5,"last":"2026-11-22T11:30:00Z"}]}`
	does("prod", reports, all)(w)
	end()
	used := w.used("mia")
	if used["last_used_at"] != "2026-11-22T11:30:00Z" || used["engine"] != w.names["prod.token"] || used["user_agent"] != "psql [redacted]" {
		t.Errorf("the use is %v", used)
	}
	if got := listed(used["permissions"]); !slices.Equal(got, []string{"clones.create", "engines.use"}) {
		t.Errorf("used are %v", got)
	}
	if days := used["days"].([]any); len(days) != 1 || days[0].(map[string]any)["count"] != 3.0 {
		t.Errorf("on days: %v", used["days"])
	}
	if got := w.send("zed", "GET /api/v1/organizations/globex/tokens/{zoe.token}", "").object(t)["last_used_at"]; got != nil {
		t.Errorf("a neighbour's token was used at %v", got)
	}
	if got := w.send("ann", "GET "+tokensOfAcme+"/{robot.token}", "").object(t)["last_used_at"]; got != nil {
		t.Errorf("an administrative token was used at %v", got)
	}
}

// A secret that was rotated out and is shown at an engine is recorded as if it had been
// shown here; by policy its token ends. What an engine makes up does nothing.
func TestReuseAtAnEngine(t *testing.T) {
	for policy, want := range map[string][]string{"report": {"token.reused"}, "revoke": {"token.reused", "token.revoked"}} {
		t.Run(policy, func(t *testing.T) {
			w := furnish(newWorld(t))
			demands(`{"reuse":"` + policy + `"}`)(w)
			w.issue("mia", "acme", "laptop", "personal")
			w.names["old.secret"] = w.secret("laptop")
			w.names["laptop.secret"] = w.send("mia", "POST "+tokensOfAcme+"/{laptop.token}/rotate", "").object(t)["secret"].(string)
			client := w.opened("prod")
			w.background(func(ctx context.Context) error { return w.model.Watch(ctx, time.Hour, zerolog.Nop()) })
			before := w.last()
			for range 3 {
				if a := client.Check(engine.Presented{Secret: w.secret("old")}); a.Allowed || a.Reason != domain.ReasonReplaced {
					t.Fatalf("the old secret is answered with %+v", a)
				}
			}
			w.must(w.model.Wait(t.Context(), before+1))
			if got := w.since(before); !slices.Equal(got, want) {
				t.Errorf("the log has %v, want %v", got, want)
			}
			w.eventually("the engine hears of it", func() bool { return client.State().Position > before })
			if a := client.Check(engine.Presented{Secret: w.secret("laptop")}); a.Allowed != (policy == "report") {
				t.Errorf("the new secret is answered with %+v", a)
			}
		})
	}
}

func TestReusesThatAreMadeUp(t *testing.T) {
	w := furnish(newWorld(t))
	demands(`{"reuse":"revoke"}`)(w)
	neighbours := "/api/v1/organizations/globex/tokens/{zoe.token}"
	w.issue("mia", "acme", "laptop", "personal")
	rotates := func(as, of, token, overlap string) (old string) {
		shown, _ := domain.ParseSecret(w.secret(of))
		w.names[of+".secret"] = w.send(as, "POST "+token+"/rotate", `{"overlap":"`+overlap+`"}`).object(t)["secret"].(string)
		return shown.Hash.String()
	}
	old := map[string]string{
		"zoe": rotates("zoe", "zoe", neighbours, "0s"), "robot": rotates("ann", "robot", tokensOfAcme+"/{robot.token}", "0s"),
		"mia": rotates("mia", "mia", tokensOfAcme+"/{mia.token}", "1h"), "laptop": rotates("mia", "laptop", tokensOfAcme+"/{laptop.token}", "0s"),
	}
	w.background(func(ctx context.Context) error { return w.model.Watch(ctx, time.Hour, zerolog.Nop()) })
	before := w.last()
	now, _ := domain.ParseSecret(w.secret("laptop"))
	for what, made := range map[string][2]string{
		"a neighbour's":             {"zoe", old["zoe"]},
		"of an administrative one":  {"robot", old["robot"]},
		"one that still works":      {"mia", old["mia"]},
		"one that is good":          {"laptop", now.Hash.String()},
		"another token's":           {"laptop", old["mia"]},
		"one that there never was":  {"laptop", strings.Repeat("ab", 32)},
		"nothing at all":            {"laptop", strings.Repeat("00", 32)},
		"of a token that is absent": {"none", old["laptop"]},
	} {
		w.names["none.token"], w.names["hash"] = "0000000000000000", made[1]
		if got := w.send("prod", reports, `{"instance":"a1","position":1,"reused":[{"token":"{`+made[0]+`.token}","hash":"{hash}"}]}`); got.status != 204 {
			t.Errorf("%s: %d %s", what, got.status, got.body)
		}
	}
	w.names["hash"] = old["laptop"] // the one that is true comes last
	does("prod", reports, `{"instance":"a1","position":1,"reused":[{"token":"{laptop.token}","hash":"{hash}"}]}`)(w)
	w.must(w.model.Wait(t.Context(), before+1))
	if got := w.since(before); !slices.Equal(got, []string{"token.reused", "token.revoked"}) {
		t.Errorf("the log has %v", got)
	}
	for who, status := range map[string]int{"mia": 200, "zoe": 200, "laptop": 401} {
		if got := w.send(who, "GET /api/v1/whoami", "").status; got != status {
			t.Errorf("%s then gets %d, want %d", who, got, status)
		}
	}
}

func TestReceipts(t *testing.T) {
	w := furnish(newWorld(t))
	url := w.serve()
	if r := w.receiptOf("mia", ""); r.Revoked || r.Complete || r.RevokedAt != 0 || len(r.Engines) != 0 {
		t.Errorf("of a token that is not revoked: %+v", r)
	}
	w.hears(url, "prod", "instance=a1&max_staleness=60").until(1)
	gone := w.hears(url, "prod", "instance=a2&max_staleness=60")
	gone.until(1)
	gone.close()
	w.eventually("it is seen that one left", func() bool {
		return strings.Contains(w.send("ann", "GET "+enginesOfAcme+"/{prod}", "").body, `"connected":false`)
	})
	w.pass(10 * time.Second)
	does("ann", "DELETE "+tokensOfAcme+"/{mia.token}", "")(w)
	revokedAt, position := domain.At(w.now()), w.last()

	r := w.receiptOf("mia", "")
	if !r.Revoked || r.RevokedAt != revokedAt || r.Position != position || r.Complete || len(r.Engines) != 2 {
		t.Fatalf("before anybody has confirmed: %+v", r)
	}
	if first := r.Engines[0]; first.Instance != "a1" || first.Name != "prod" || !first.Connected || first.Confirmed || first.TookMS != nil || first.ClosesAt != 0 {
		t.Errorf("who hears of it: %+v", first)
	}
	if second := r.Engines[1]; second.Connected || second.Confirmed || second.ClosesAt != revokedAt.Add(50*time.Second) {
		t.Errorf("who has gone: %+v", second)
	}
	w.pass(250 * time.Millisecond)
	w.names["last"] = fmt.Sprint(uint64(position))
	does("prod", reports, `{"instance":"a1","position":{last}}`)(w)
	if r = w.receiptOf("mia", ""); r.Complete || !r.Engines[0].Confirmed || r.Engines[0].TookMS == nil || *r.Engines[0].TookMS != 250 {
		t.Errorf("when one has confirmed: %+v", r)
	}
	waiting, looked := make(chan receipt, 1), make(chan struct{})
	first := sync.OnceFunc(func() { close(looked) })
	w.server.Now = func() time.Time { defer first(); return w.now() }
	go func() { waiting <- w.receiptOf("mia", "?wait=30") }()
	<-looked
	w.pass(50 * time.Second)
	select {
	case r = <-waiting:
	case <-time.After(hearingPatience / 2): // before the streams are given up
		t.Fatal("that the other one has closed is not seen before the wait is over")
	}
	if !r.Complete {
		t.Errorf("when the other one has closed: %+v", r)
	}
}

// A receipt that is not complete is answered when the wait is over, or the server stops.
func TestReceiptsOfWhoDoesNotConfirm(t *testing.T) {
	w := furnish(newWorld(t))
	w.hears(w.serve(), "prod", "instance=a1").until(1)
	does("ann", "DELETE "+tokensOfAcme+"/{mia.token}", "")(w)
	if r := w.receiptOf("mia", "?wait=1"); r.Complete {
		t.Errorf("nobody has confirmed: %+v", r)
	}
	stopping, stop := context.WithCancel(t.Context())
	defer stop()
	w.server.Stopping = stopping
	waiting := make(chan receipt)
	go func() { waiting <- w.receiptOf("mia", "?wait=30") }()
	stop()
	if r := <-waiting; r.Complete {
		t.Errorf("nobody has confirmed: %+v", r)
	}
}

func TestReceiptsAreForWhoMaySeeTheToken(t *testing.T) {
	w := furnish(newWorld(t))
	w.issue("mia", "acme", "laptop", "personal")
	does("mia", "DELETE "+tokensOfAcme+"/{laptop.token}", "")(w)
	for as, status := range map[string]int{"ada": 200, "bob": 200, "robot": 200, "prod": 403} {
		if got := w.send(as, "GET "+tokensOfAcme+"/{laptop.token}/revocation", "").status; got != status {
			t.Errorf("%s gets %d, want %d", as, got, status)
		}
	}
	w.issue("bob", "acme", "bobs", "personal")
	w.join("ann", "acme", "max", "member")
	if got := w.send("max", "GET "+tokensOfAcme+"/{bobs.token}/revocation", "").status; got != 403 {
		t.Errorf("a member sees the receipt of another's token: %d", got)
	}
	if got := w.send("max", "GET "+tokensOfAcme+"/{max.token}/revocation", "").status; got != 200 {
		t.Errorf("a member does not see the receipt of their own token: %d", got)
	}
	for _, query := range []string{"?wait=-1", "?wait=31", "?wait=x", "?more=1"} {
		w.refused("ann", "GET "+tokensOfAcme+"/{mia.token}/revocation"+query, "", []int{422})
	}
}

// Once a receipt is complete no engine lets the bearer of the token in, not once. The
// engines are real ones.
func TestNobodyComesInAfterTheReceipt(t *testing.T) {
	w := furnish(newWorld(t))
	hasEngine("other", `"personal_tokens":true`)(w)
	w.makeRoom("ann", "acme")
	const many = 10
	for i := range many {
		w.issue("mia", "acme", fmt.Sprintf("t%c", 'a'+i), "personal")
	}
	url := w.serve()
	clients := []*engine.Client{w.openedAt(url, "prod"), w.openedAt(url, "prod"), w.openedAt(url, "other")}
	for i := range many {
		name := fmt.Sprintf("t%c", 'a'+i)
		secret := w.secret(name)
		var confirmed, done atomic.Bool
		var after, before atomic.Int64
		var bearers sync.WaitGroup
		for _, client := range clients {
			bearers.Go(func() {
				for !done.Load() {
					late := confirmed.Load()
					switch answer := client.Check(engine.Presented{Secret: secret}); {
					case answer.Allowed && late:
						after.Add(1)
					case answer.Allowed:
						before.Add(1)
					case !late:
						return // it was revoked meanwhile
					}
				}
			})
		}
		w.eventually("somebody comes in", func() bool { return before.Load() > 0 })
		does("ann", "DELETE "+tokensOfAcme+"/{"+name+".token}", "")(w)
		r := w.receiptOf(name, "?wait=20")
		confirmed.Store(true)
		for _, client := range clients {
			if client.Check(engine.Presented{Secret: secret}).Allowed {
				t.Errorf("%s comes in", name)
			}
		}
		done.Store(true)
		bearers.Wait()
		if !r.Complete || len(r.Engines) != len(clients) {
			t.Fatalf("the receipt is %+v", r)
		}
		for _, of := range r.Engines {
			if !of.Confirmed || of.TookMS == nil || of.Position < r.Position {
				t.Errorf("%s has not confirmed: %+v", of.Name, of)
			}
		}
		if n := after.Load(); n != 0 {
			t.Errorf("%s came in %d times after all engines had confirmed", name, n)
		}
	}
}

// An engine that is deleted, or whose token is revoked, lets nobody in once it hears of
// it, with whatever it has.
func TestRefusedEngineLetsNobodyIn(t *testing.T) {
	for name, do := range map[string]func(*world){
		"deleted": does("ann", "DELETE "+enginesOfAcme+"/{prod}", ""),
		"revoked": does("ann", "DELETE "+tokensOfAcme+"/{prod.token}", ""),
	} {
		t.Run(name, func(t *testing.T) {
			w := furnish(newWorld(t))
			client := w.opened("prod")
			if !client.Check(engine.Presented{Secret: w.secret("mia")}).Allowed {
				t.Fatal("mia does not come in")
			}
			do(w)
			w.eventually("mia comes in no more", func() bool { return !client.Check(engine.Presented{Secret: w.secret("mia")}).Allowed })
		})
	}
}
