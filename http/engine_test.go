package http

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

const enginesOfAcme = "/api/v1/organizations/acme/engines"

// hasEngine is an engine of acme that ann has registered, with the rest of the body:
// {name} is its number, {name.token} and {name.secret} are its access token's, and
// {name.verification} is the verification token that was drawn for it.
func hasEngine(name, rest string) func(*world) {
	return func(w *world) {
		w.Helper()
		made := w.made("ann", "POST "+enginesOfAcme, `{"name":"`+name+`",`+rest+`}`)
		w.names[name], w.names[name+".token"], w.names[name+".secret"] = number(made["id"]), made["access_token_id"].(string), made["access_token"].(string)
		if drawn, is := made["verification_token"].(string); is {
			w.names[name+".verification"] = drawn
		}
	}
}

// stopping lets the server be about to stop, so that no stream goes on.
func (w *world) stopping() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	w.server.Stopping = ctx
}

func TestEngines(t *testing.T) {
	registered := []string{"engine.registered", "engine.listed", "engine.door_set", "token.issued", "token.bound"}
	prod := hasEngine("prod", `"personal_tokens":true,"description":"for all","url":"https://dblab.acme.test"`)
	closed := hasEngine("closed", `"personal_tokens":false`)
	adder := all(hasRole("registrar", `["engines.read","engines.create"]`), gets("mia", "registrar"))
	updater := all(hasRole("operator", `["engines.read","engines.update"]`), gets("mia", "operator"))
	post, one := "POST "+enginesOfAcme, enginesOfAcme+"/{prod}"
	replace, replaced := "POST "+one+"/replace-token", []string{"token.revoked", "engine.token_replaced", "token.issued", "token.bound"}
	run(t, "engine", map[string]scenario{
		"registered":                        {as: "bob", send: post, body: `{"name":"prod","personal_tokens":true}`, status: 201, then: registered},
		"registered with everything":        {as: "bob", send: post, body: bodies["POST /api/v1/organizations/{org}/engines"], status: 201, then: slices.Concat([]string{"permission.defined", "project.created"}, registered)},
		"with its own verification token":   {as: "bob", send: post, body: `{"name":"prod","verification_token":"correct-horse-battery"}`, status: 201, then: registered},
		"open to everybody":                 {as: "bob", send: post, body: `{"name":"prod","open":true}`, status: 201, then: registered},
		"open with a verification token":    {as: "bob", send: post, body: `{"name":"prod","open":true,"verification_token":"correct-horse-battery"}`, status: 422},
		"without anybody who could come in": {as: "bob", send: post, body: `{"name":"prod","verification_fallback":false}`, status: 422},
		"only with personal tokens":         {as: "bob", send: post, body: `{"name":"prod","personal_tokens":true,"verification_fallback":false}`, status: 201, then: registered},
		"with permissions that there are":   {given: furnishes, as: "bob", send: post, body: `{"name":"other","permissions":[{"name":"clones.create","group":"clones","access":"write"}]}`, status: 201, then: registered},
		"with another permission so called": {given: furnishes, as: "bob", send: post, body: `{"name":"other","permissions":[{"name":"clones.create","group":"clones","access":"read"}]}`, status: 409},
		"with a permission of ours":         {as: "bob", send: post, body: `{"name":"other","permissions":[{"name":"engines.use","group":"engines","access":"read"}]}`, status: 409},
		"with a permission that cannot be":  {as: "bob", send: post, body: `{"name":"other","permissions":[{"name":"Clones","group":"clones","access":"read"}]}`, status: 422},
		"for a project that there is":       {given: hasEngine("first", `"project":"lab"`), as: "bob", send: post, body: `{"name":"prod","project":"lab"}`, status: 201, then: registered},
		"for a while":                       {as: "bob", send: post, body: `{"name":"prod","expires_in":"30d"}`, status: 201, then: registered},
		"for some networks":                 {as: "bob", send: post, body: `{"name":"prod","networks":["192.0.2.0/24"]}`, status: 201, then: registered},
		"for what is no network":            {as: "bob", send: post, body: `{"name":"prod","networks":["192.0.2.1/24"]}`, status: 422},
		"for longer than the policy has it": {given: demands(`{"kinds":{"administrative":{"longest_life":"90d","never":false}}}`), as: "bob", send: post, body: `{"name":"prod","expires_in":"1y"}`, status: 422},
		"where somebody has to approve":     {given: demands(`{"approval":{"kinds":["administrative"]}}`), as: "bob", send: post, body: `{"name":"prod"}`, status: 201, then: slices.Concat(registered, []string{"approval.requested"})},
		"by who may do less than it":        {given: adder, as: "mia", send: post, body: `{"name":"prod"}`, status: 403},
		"a member registers none":           {as: "mia", send: post, body: `{"name":"prod"}`, status: 403},
		"an administrative token neither":   {as: "robot", send: post, body: `{"name":"prod"}`, status: 403},
		"an engine registers none":          {given: prod, as: "prod", send: post, body: `{"name":"other"}`, status: 403},
		"a name that is taken":              {given: prod, send: post, body: `{"name":"prod"}`, status: 409},
		"a name that was taken":             {given: all(prod, does("ann", "DELETE "+one, "")), send: post, body: `{"name":"prod"}`, status: 409},
		"a name that others have":           {given: does("zed", "POST /api/v1/organizations/globex/engines", `{"name":"prod"}`), send: post, body: `{"name":"prod"}`, status: 201, then: registered},
		"a name in capitals":                {send: post, body: `{"name":"Prod"}`, status: 422},
		"a name with a star":                {send: post, body: `{"name":"*"}`, status: 422},
		"without a name":                    {send: post, body: `{}`, status: 422},
		"a verification token too short":    {send: post, body: `{"name":"prod","verification_token":"secret"}`, status: 422},
		"a verification token with a blank": {send: post, body: `{"name":"prod","verification_token":"correct horse battery"}`, status: 422},
		"a token as a verification token":   {send: post, body: `{"name":"prod","verification_token":"{robot.secret}"}`, status: 400},
		"a URL with a password":             {send: post, body: `{"name":"prod","url":"https://ann:secret@dblab.acme.test"}`, status: 422},
		"a URL that is a script":            {send: post, body: `{"name":"prod","url":"javascript:alert(1)"}`, status: 422},
		"a resource that is none":           {send: post, body: `{"name":"prod","resources":["prod"]}`, status: 422},
		"disabled is not sent":              {send: post, body: `{"name":"prod","disabled":true}`, status: 422},

		"listed":                           {given: all(prod, closed), as: "mia", send: "GET " + enginesOfAcme, status: 200},
		"listed by page":                   {given: all(prod, closed), as: "robot", send: "GET " + enginesOfAcme + "?limit=1", status: 200},
		"none":                             {as: "ada", send: "GET " + enginesOfAcme, status: 200},
		"an engine does not list them":     {given: prod, as: "prod", send: "GET " + enginesOfAcme, status: 403},
		"with a cursor for members":        {send: "GET " + enginesOfAcme + "?cursor=bWVtYmVyczoy", status: 422},
		"shown":                            {given: prod, as: "ada", send: "GET " + one, status: 200},
		"one that is open shown":           {given: hasEngine("prod", `"open":true`), as: "ada", send: "GET " + one, status: 200},
		"a number that none has":           {send: "GET " + enginesOfAcme + "/999", status: 404},
		"the number of a member":           {send: "GET " + enginesOfAcme + "/{mia}", status: 404},
		"its name is no number":            {given: prod, send: "GET " + enginesOfAcme + "/prod", status: 404},
		"a number as nobody writes":        {given: prod, send: "GET " + enginesOfAcme + "/0{prod}", status: 404},
		"another organization's":           {given: prod, as: "zed", send: "GET /api/v1/organizations/globex/engines/{prod}", status: 404},
		"its access token":                 {given: prod, send: "GET " + tokensOfAcme + "/{prod.token}", status: 200},
		"shown after it was deleted":       {given: all(prod, does("ann", "DELETE "+one, "")), send: "GET " + one, status: 404},
		"listed after one was deleted":     {given: all(prod, closed, does("ann", "DELETE "+one, "")), send: "GET " + enginesOfAcme, status: 200},
		"named in a token":                 {given: all(furnishes, prodIsThere), as: "mia", send: "POST " + tokensOfAcme, body: `{"name":"one","kind":"personal","grant":{"access":"custom","permissions":["clones.create"],"resources":["engine:prod"]}}`, status: 201, then: []string{"token.issued", "token.bound"}},
		"its log does not have secrets":    {given: all(prod, does("ann", "POST "+one+"/rotate-verification", `{"verification_token":"correct-horse-battery"}`)), as: "ada", send: "GET " + logOfAcme + "?after=11", status: 200, then: []string{"audit.read"}},
		"described":                        {given: prod, as: "bob", send: "PATCH " + one, body: `{"description":"other"}`, status: 200, then: []string{"engine.listed"}},
		"moved into a project":             {given: prod, as: "bob", send: "PATCH " + one, body: `{"project":"lab","url":""}`, status: 200, then: []string{"project.created", "engine.listed"}},
		"asks for what there is not":       {given: prod, send: "PATCH " + one, body: `{"permissions":["clones.paint"]}`, status: 422},
		"without personal tokens":          {given: prod, as: "bob", send: "PATCH " + one, body: `{"personal_tokens":false}`, status: 200, then: []string{"engine.door_set"}},
		"without the fallback":             {given: prod, as: "bob", send: "PATCH " + one, body: `{"verification_fallback":false}`, status: 200, then: []string{"engine.door_set"}},
		"without a verification token":     {given: prod, as: "bob", send: "PATCH " + one, body: `{"verification_token":""}`, status: 200, then: []string{"engine.door_set"}},
		"with another of one's own":        {given: prod, as: "bob", send: "PATCH " + one, body: `{"verification_token":"correct-horse-battery"}`, status: 200, then: []string{"engine.door_set"}},
		"with one that is too short":       {given: prod, as: "bob", send: "PATCH " + one, body: `{"verification_token":"secret"}`, status: 422},
		"opened":                           {given: prod, as: "bob", send: "PATCH " + one, body: `{"open":true,"verification_token":"","personal_tokens":false}`, status: 200, then: []string{"engine.door_set"}},
		"opened where tokens come in":      {given: prod, as: "bob", send: "PATCH " + one, body: `{"open":true,"verification_token":""}`, status: 422},
		"opened with a token":              {given: prod, as: "bob", send: "PATCH " + one, body: `{"open":true}`, status: 422},
		"neither of both":                  {given: closed, send: "PATCH " + enginesOfAcme + "/{closed}", body: `{"verification_fallback":false}`, status: 422},
		"disabled":                         {given: prod, as: "bob", send: "PATCH " + one, body: `{"disabled":true}`, status: 200, then: []string{"engine.switched"}},
		"disabled twice":                   {given: all(prod, does("ann", "PATCH "+one, `{"disabled":true}`)), as: "bob", send: "PATCH " + one, body: `{"disabled":true}`, status: 200},
		"enabled":                          {given: all(prod, does("ann", "PATCH "+one, `{"disabled":true}`)), as: "bob", send: "PATCH " + one, body: `{"disabled":false}`, status: 200, then: []string{"engine.switched"}},
		"nothing":                          {given: prod, as: "bob", send: "PATCH " + one, body: `{}`, status: 200},
		"its name does not change":         {given: prod, send: "PATCH " + one, body: `{"name":"other"}`, status: 422},
		"a member changes none":            {given: prod, as: "mia", send: "PATCH " + one, body: `{"disabled":true}`, status: 403},
		"it does not change itself":        {given: prod, as: "prod", send: "PATCH " + one, body: `{"open":true,"verification_token":""}`, status: 403},
		"another's is not changed":         {given: prod, as: "zed", send: "PATCH /api/v1/organizations/globex/engines/{prod}", body: `{"disabled":true}`, status: 404},
		"changed after it was read":        {given: prod, send: "PATCH " + one, body: `{"description":"other"}`, headers: []string{`If-Match: "{prod}"`}, status: 200, then: []string{"engine.listed"}},
		"changed meanwhile":                {given: all(prod, does("bob", "PATCH "+one, `{"disabled":true}`)), send: "PATCH " + one, body: `{"description":"other"}`, headers: []string{`If-Match: "{prod}"`}, status: 412},
		"changed with an ETag for none":    {given: prod, send: "PATCH " + one, body: `{"disabled":true}`, headers: []string{`If-Match: {prod}`}, status: 400},
		"rotated":                          {given: prod, as: "bob", send: "POST " + one + "/rotate-verification", status: 200, then: []string{"engine.door_set"}},
		"rotated to one's own":             {given: prod, as: "bob", send: "POST " + one + "/rotate-verification", body: `{"verification_token":"correct-horse-battery"}`, status: 200, then: []string{"engine.door_set"}},
		"rotated to one that is too short": {given: prod, as: "bob", send: "POST " + one + "/rotate-verification", body: `{"verification_token":"secret"}`, status: 422},
		"rotated where everybody comes in": {given: hasEngine("prod", `"open":true`), as: "bob", send: "POST " + one + "/rotate-verification", status: 409},
		"rotated meanwhile changed":        {given: all(prod, does("bob", "PATCH "+one, `{"disabled":true}`)), send: "POST " + one + "/rotate-verification", headers: []string{`If-Match: "{prod}"`}, status: 412},
		"a member rotates none":            {given: prod, as: "mia", send: "POST " + one + "/rotate-verification", status: 403},
		"another's is not rotated":         {given: prod, as: "zed", send: "POST /api/v1/organizations/globex/engines/{prod}/rotate-verification", status: 404},
		"rotated to one that was drawn":    {given: all(prod, closed), as: "bob", send: "POST " + one + "/rotate-verification", body: `{"verification_token" : "{closed.verification}"}`, status: 200, then: []string{"engine.door_set"}},
		"with one that was drawn":          {given: all(prod, does("ann", "PATCH "+one, `{"verification_token":""}`)), as: "bob", send: "PATCH " + one, body: `{"verification_token":"{prod.verification}"}`, status: 200, then: []string{"engine.door_set"}},
		"one that was drawn as a name":     {given: prod, as: "bob", send: "PATCH " + one, body: `{"description":"{prod.verification}"}`, status: 400},
		"one in its place, and as a name":  {given: prod, as: "bob", send: "PATCH " + one, body: `{"verification_token":"{prod.verification}","description":"{prod.verification}"}`, status: 400},
		"token replaced":                   {given: prod, as: "bob", send: replace, status: 200, then: replaced},
		"token replaced that was revoked":  {given: all(prod, does("ann", "DELETE "+tokensOfAcme+"/{prod.token}", "")), as: "bob", send: replace, status: 200, then: replaced[1:]},
		"token replaced for a while":       {given: prod, as: "bob", send: replace, body: `{"expires_in":"30d","networks":["192.0.2.0/24"]}`, status: 200, then: replaced},
		"token replaced at its end":        {given: prod, as: "bob", send: replace, body: `{"expires_at":"2026-11-22T11:59:59Z"}`, status: 422},
		"token replaced at no network":     {given: prod, as: "bob", send: replace, body: `{"networks":["somewhere"]}`, status: 422},
		"token replaced for too long":      {given: all(prod, demands(`{"kinds":{"administrative":{"longest_life":"90d","never":false}}}`)), as: "bob", send: replace, body: `{"expires_in":"1y"}`, status: 422},
		"token replaced that must wait":    {given: all(prod, demands(`{"approval":{"kinds":["administrative"]}}`)), as: "bob", send: replace, status: 200, then: append(slices.Clone(replaced), "approval.requested")},
		"token replaced after it was read": {given: prod, as: "bob", send: replace, headers: []string{`If-Match: "{prod}"`}, status: 200, then: replaced},
		"token replaced meanwhile changed": {given: all(prod, does("bob", "PATCH "+one, `{"disabled":true}`)), send: replace, headers: []string{`If-Match: "{prod}"`}, status: 412},
		"token replaced of none":           {send: "POST " + enginesOfAcme + "/999/replace-token", status: 404},
		"token replaced by who makes none": {given: all(prod, updater), as: "mia", send: replace, status: 403},
		"a member replaces none":           {given: prod, as: "mia", send: replace, status: 403},
		"it does not replace its own":      {given: prod, as: "prod", send: replace, status: 403},
		"another's is not replaced":        {given: prod, as: "zed", send: "POST /api/v1/organizations/globex/engines/{prod}/replace-token", status: 404},
		"deleted":                          {given: prod, as: "bob", send: "DELETE " + one + "?reason=moved", status: 204, then: []string{"engine.deleted", "token.revoked"}},
		"deleted with a revoked token":     {given: all(prod, does("ann", "DELETE "+tokensOfAcme+"/{prod.token}", "")), as: "bob", send: "DELETE " + one, status: 204, then: []string{"engine.deleted"}},
		"deleted twice":                    {given: all(prod, does("ann", "DELETE "+one, "")), send: "DELETE " + one, status: 404},
		"deleted meanwhile changed":        {given: all(prod, does("bob", "PATCH "+one, `{"disabled":true}`)), send: "DELETE " + one, headers: []string{`If-Match: "{prod}"`}, status: 412},
		"a member deletes none":            {given: prod, as: "mia", send: "DELETE " + one, status: 403},
		"another's is not deleted":         {given: prod, as: "zed", send: "DELETE /api/v1/organizations/globex/engines/{prod}", status: 404},
		"deleted with too long a reason":   {given: prod, send: "DELETE " + one + "?reason=" + strings.Repeat("x", 1001), status: 422},
	})
}

// Changes of one engine that are made at once, by who has not said what they have read,
// are all made.
func TestEngineChangesAtOnce(t *testing.T) {
	w := furnish(newWorld(t))
	changes := map[string]any{"project": "lab", "url": "https://dblab.acme.test", "description": "other", "disabled": true, "verification_fallback": false}
	var all sync.WaitGroup
	for field, value := range changes {
		body, err := json.Marshal(map[string]any{field: value})
		w.must(err)
		request := w.request("ann", "PATCH "+enginesOfAcme+"/{prod}", string(body))
		all.Go(func() {
			if got := w.do(request); got.status != 200 {
				t.Errorf("%s: status %d: %s", field, got.status, got.body)
			}
		})
	}
	all.Wait()
	now := w.send("ann", "GET "+enginesOfAcme+"/{prod}", "").object(t)
	for field, value := range changes {
		if now[field] != value {
			t.Errorf("%s is %v, want %v", field, now[field], value)
		}
	}
}

// An engine can be shut while the database is away. What is said of it has to wait.
func TestEngineWithoutTheDatabase(t *testing.T) {
	w := furnish(newWorld(t))
	w.stopViews()
	w.must(w.views.Close())
	one := enginesOfAcme + "/{prod}"
	for send, body := range map[string]string{"GET " + enginesOfAcme: "", "GET " + one: "", "PATCH " + one: `{"description":"other"}`} {
		w.refused("ann", send, body, []int{503})
	}
	shut := w.send("ann", "PATCH "+one, `{"disabled":true}`)
	if shut.status != 200 || shut.header.Get("Jeton-Views") != viewsBehind || shut.object(t)["disabled"] != true {
		t.Errorf("disabled without the database: %d %v %s", shut.status, shut.header, shut.body)
	}
	if got := w.send("prod", "POST /api/v1/engines/check", `{"token":"{mia.secret}"}`).body; got != `{"allowed":false}`+"\n" {
		t.Errorf("then it says %s", got)
	}
	made := w.made("ann", "POST "+enginesOfAcme, `{"name":"other"}`)
	if made["name"] != "other" || made["access_token"] == nil || made["created_at"] == nil {
		t.Errorf("registered without the database: %v", made)
	}
	if got := w.send("ann", "POST "+one+"/replace-token", ""); got.status != 200 || got.object(t)["access_token"] == nil || got.object(t)["access_token_id"] == w.names["prod.token"] {
		t.Errorf("replaced without the database: %d %s", got.status, got.body)
	}
	if got := w.send("ann", "POST "+one+"/rotate-verification", ""); got.status != 200 || got.object(t)["verification_token"] == nil {
		t.Errorf("rotated without the database: %d %s", got.status, got.body)
	}
}

// The verification token that was drawn is shown once, and the one before it is none.
func TestVerificationTokenIsShownOnce(t *testing.T) {
	w := furnish(newWorld(t))
	rotated := w.send("ann", "POST "+enginesOfAcme+"/{prod}/rotate-verification", "").object(t)
	w.names["new.verification"] = rotated["verification_token"].(string)
	for name, want := range map[string]bool{"prod": false, "new": true} {
		if got := w.send("prod", "POST /api/v1/engines/check", `{"token":"{`+name+`.verification}"}`).object(t)["allowed"]; got != want {
			t.Errorf("the token of %s comes in: %v", name, got)
		}
	}
	for _, send := range []string{"GET " + enginesOfAcme, "GET " + enginesOfAcme + "/{prod}", "GET " + logOfAcme} {
		shown := w.send("ann", send, "").body
		hash := sha256.Sum256([]byte(w.names["new.verification"]))
		if strings.Contains(shown, w.names["new.verification"]) || strings.Contains(shown, hex.EncodeToString(hash[:])) {
			t.Errorf("%s shows it, or its hash: %s", send, shown)
		}
	}
}

// The access token that was replaced opens nothing any more, and the new one all that
// it did, from where it did unless that is said.
func TestEngineTokenIsReplaced(t *testing.T) {
	w := newWorld(t)
	hasEngine("prod", `"personal_tokens":true,"networks":["192.0.2.0/24"]`)(w)
	check := func(as string, status int) {
		t.Helper()
		if got := w.send(as, "POST /api/v1/engines/check", `{"token":"{mia.secret}"}`); got.status != status {
			t.Errorf("%s: status %d, want %d: %s", as, got.status, status, got.body)
		}
	}
	replace := func(name, body string) []any {
		t.Helper()
		got := w.send("bob", "POST "+enginesOfAcme+"/{prod}/replace-token", body).object(t)
		w.names[name+".token"], w.names[name+".secret"] = got["access_token_id"].(string), got["access_token"].(string)
		if handle := w.names[name+".secret"][len("jtn_adm_"):][:16]; handle != w.names[name+".token"] {
			t.Errorf("%s has the secret of %s", w.names[name+".token"], handle)
		}
		bound, _ := w.send("ann", "GET "+tokensOfAcme+"/{"+name+".token}", "").object(t)["networks"].([]any)
		return bound
	}
	check("prod", 200)
	if got := replace("second", ""); !slices.Equal(got, []any{"192.0.2.0/24"}) {
		t.Errorf("the second works from %v", got)
	}
	check("prod", 401)
	check("second", 200)
	if got := replace("third", `{"networks":[]}`); got != nil {
		t.Errorf("the third works from %v", got)
	}
	check("second", 401)
	check("third", 200)
	if got := replace("fourth", `{"networks":["198.51.100.0/24"]}`); !slices.Equal(got, []any{"198.51.100.0/24"}) {
		t.Errorf("the fourth works from %v", got)
	}
	check("third", 401)
	check("fourth", 401) // it is elsewhere
}

func furnishes(w *world) { furnish(w) }

// prodIsThere says that a scenario is about the engine that furnish has registered.
func prodIsThere(w *world) {
	w.Helper()
	if w.names["prod"] == "" {
		w.Fatal("there is no engine prod")
	}
}

// TestEngineThatOnlyAsksIsSeen: also one that opens no stream.
func TestEngineThatOnlyAsksIsSeen(t *testing.T) {
	w := furnish(newWorld(t))
	seen := func() string {
		return text(w.send("ann", "GET "+enginesOfAcme+"/{prod}", "").object(t)["last_seen_at"])
	}
	if at := seen(); at != "" {
		t.Errorf("it was seen at %s, and has asked nothing", at)
	}
	w.pass(5 * time.Minute)
	does("prod", "POST /api/v1/engines/check", `{"token":"x"}`)(w)
	if at := seen(); at != "2026-11-22T12:05:00Z" {
		t.Errorf("it was seen at %q", at)
	}
}
