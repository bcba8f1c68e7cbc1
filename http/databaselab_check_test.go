package http

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"jeton/domain"
	"jeton/eventstore"
	"jeton/projections"
)

const labCheckPath = "POST rpc/dblab_token_check"

// checkLab has tokens of every fate in acme.
func checkLab(t *testing.T) *lab {
	l := newLab(t)
	l.issue("short", "mia", domain.IssueToken{Kind: domain.Personal, Expires: domain.At(labToday.Add(time.Hour))})
	l.issue("ends now", "mia", domain.IssueToken{Kind: domain.Personal, Expires: domain.At(labToday.Add(time.Minute))})
	l.revoke(l.issue("revoked", "mia", domain.IssueToken{Kind: domain.Personal}))
	l.revoke(l.issue("revoked robot", "ann", domain.IssueToken{Kind: domain.Administrative}))
	l.join("sam", domain.Ordinary)
	suspended := true
	l.execute("ann", domain.UpdateMember{Account: l.actors["sam"].Account, Suspended: &suspended})
	l.join("ron", domain.Ordinary)
	l.execute("ann", domain.RemoveMember{Account: l.actors["ron"].Account})
	l.secret("never stored", domain.Personal)
	l.sleep(time.Minute)
	return l
}

func TestLabTokenCheckOfGoodTokens(t *testing.T) {
	l := checkLab(t)
	acme, year := float64(l.number(l.acme)), "2027-11-22T12:00:00Z"
	for token, want := range map[string]map[string]any{
		"ann":   {"org_id": acme, "is_personal": true, "email": "Ann@acme.test", "token_type": "personal", "valid_until": year},
		"mia":   {"org_id": acme, "is_personal": true, "email": "mia@acme.test", "token_type": "personal", "valid_until": year},
		"short": {"org_id": acme, "is_personal": true, "email": "mia@acme.test", "token_type": "personal", "valid_until": "2026-11-22T13:00:00Z"},
		"robot": {"org_id": acme, "is_personal": false, "token_type": "admin"},
	} {
		t.Run(token, func(t *testing.T) {
			for _, caller := range []string{"robot", "ann", "bob", "mia", "ada"} {
				l.wantObject(l.send(labCheckPath, `{"token":"{`+token+`}"}`, as(caller)), want)
			}
		})
	}
}

// One answer for all of them, to the byte: it does not say which tokens exist.
func TestLabTokenCheckOfBadTokens(t *testing.T) {
	l := checkLab(t)
	mia := l.secrets["mia"]
	want := l.send(labCheckPath, `{"token":""}`, as("robot"))
	l.wantError(want, 401, `"message":"Invalid token"`)
	for name, token := range map[string]string{
		"expired at this very moment": "{ends now}", "revoked": "{revoked}", "revoked administrative": "{revoked robot}",
		"unknown": "{never stored}", "of another organization": "{zoe}", "of a suspended member": "{sam}", "of a removed member": "{ron}",
		"truncated": mia[:len(mia)-1], "longer": mia + "x", "altered": mia[:30] + "!" + mia[31:], "of the other kind": strings.Replace(mia, "_pat_", "_adm_", 1),
		"with blanks": " {mia} ", "two": "{mia}{mia}", "a word": "secret", "long": strings.Repeat("a", 10_000), "NUL": `\u0000`,
	} {
		t.Run(name, func(t *testing.T) {
			got := l.send(labCheckPath, `{"token":"`+token+`"}`, as("robot"))
			if got.status != want.status || got.text != want.text {
				t.Errorf("got %d %s, want %d %s", got.status, got.text, want.status, want.text)
			}
		})
	}
}

func TestLabTokenCheckFollowsTime(t *testing.T) {
	l := newLab(t)
	number := l.issue("short", "mia", domain.IssueToken{Kind: domain.Personal, Expires: domain.At(labToday.Add(time.Hour))})
	status := func(caller, token string) int {
		return l.send(labCheckPath, `{"token":"{`+token+`}"}`, as(caller)).status
	}
	if got := status("robot", "short"); got != 200 {
		t.Errorf("before its expiry: %d", got)
	}
	l.sleep(time.Hour - time.Millisecond)
	if got := status("robot", "short"); got != 200 {
		t.Errorf("a millisecond before its expiry: %d", got)
	}
	l.sleep(time.Millisecond)
	if got := status("robot", "short"); got != 401 {
		t.Errorf("at its expiry: %d", got)
	}
	if got := status("short", "robot"); got != 401 {
		t.Errorf("with it as a credential: %d", got)
	}
	l.revoke(number) // nothing to revive
	if got := status("robot", "mia"); got != 200 {
		t.Errorf("another token of its holder: %d", got)
	}
}

// A caller shows who they are in one of three places, or in several alike.
func TestLabCredentials(t *testing.T) {
	l := checkLab(t)
	const plain, inBody = `{"token":"{mia}"}`, `{"token":"{mia}","access_token":"{robot}"}`
	for name, c := range map[string]struct {
		body    string
		headers []string
		status  int
		says    string
	}{
		"header":                          {plain, []string{as("robot")}, 200, `"org_id"`},
		"header in small letters":         {plain, []string{"access-token: {robot}"}, 200, `"org_id"`},
		"header in capitals":              {plain, []string{"ACCESS-TOKEN: {robot}"}, 200, `"org_id"`},
		"bearer":                          {plain, []string{"Authorization: Bearer {robot}"}, 200, `"org_id"`},
		"bearer in small letters":         {plain, []string{"authorization: bearer {robot}"}, 200, `"org_id"`},
		"body":                            {inBody, nil, 200, `"org_id"`},
		"body and header":                 {inBody, []string{as("robot")}, 200, `"org_id"`},
		"all three":                       {inBody, []string{as("robot"), "Authorization: Bearer {robot}"}, 200, `"org_id"`},
		"body null, header":               {`{"token":"{mia}","access_token":null}`, []string{as("robot")}, 200, `"org_id"`},
		"its own token, as engines begin": {`{"token":"{robot}"}`, []string{as("robot")}, 200, `"org_id"`},
		"personal, its own":               {`{"token":"{mia}"}`, []string{as("mia")}, 200, `"org_id"`},
		"with what engines also send":     {plain, []string{as("robot"), "Selfassigned-Instance-ID: dc159j9ksduc9ov7k8lg"}, 200, `"org_id"`},

		"none":                        {plain, nil, 401, "no-credential"},
		"body null":                   {`{"token":"{mia}","access_token":null}`, nil, 401, "no-credential"},
		"empty header":                {plain, []string{"Access-Token: "}, 401, "bad-credential"},
		"blank header":                {plain, []string{"Access-Token:   "}, 401, "bad-credential"},
		"empty bearer":                {plain, []string{"Authorization: Bearer "}, 401, "bad-credential"},
		"another scheme":              {plain, []string{"Authorization: Basic {robot}"}, 401, "bad-credential"},
		"no scheme":                   {plain, []string{"Authorization: {robot}"}, 401, "bad-credential"},
		"empty body key":              {`{"token":"{mia}","access_token":""}`, nil, 401, "bad-credential"},
		"revoked":                     {plain, []string{as("revoked robot")}, 401, "bad-credential"},
		"expired":                     {plain, []string{as("ends now")}, 401, "bad-credential"},
		"unknown":                     {plain, []string{as("never stored")}, 401, "bad-credential"},
		"suspended":                   {plain, []string{as("sam")}, 401, "bad-credential"},
		"removed":                     {plain, []string{as("ron")}, 401, "bad-credential"},
		"altered":                     {plain, []string{as("robot") + "x"}, 401, "bad-credential"},
		"a list":                      {plain, []string{"Access-Token: {robot},{robot}"}, 401, "bad-credential"},
		"body and header differ":      {inBody, []string{as("mia")}, 400, "two-credentials"},
		"empty body key, good header": {`{"token":"{mia}","access_token":""}`, []string{as("robot")}, 400, "two-credentials"},
		"good body key, empty header": {inBody, []string{"Access-Token: "}, 400, "two-credentials"},
		"bearer and header differ":    {plain, []string{as("robot"), "Authorization: Bearer {ann}"}, 400, "two-credentials"},
		"two headers that differ":     {plain, []string{as("robot"), as("ann")}, 400, "two-credentials"},
		"body key twice":              {`{"token":"{mia}","access_token":"{robot}","access_token":"{ann}"}`, nil, 400, "two-credentials"},
		"body key in two cases":       {`{"token":"{mia}","access_token":"{robot}","Access_Token":"{ann}"}`, nil, 400, "two-credentials"},
		"body key of another type":    {`{"token":"{mia}","access_token":5}`, []string{as("robot")}, 400, "access_token"},
	} {
		t.Run(name, func(t *testing.T) {
			got := l.send(labCheckPath, c.body, c.headers...)
			if c.status != 200 {
				l.wantError(got, c.status, c.says)
			} else if got.status != 200 || !strings.Contains(got.text, c.says) {
				t.Errorf("got %d %s", got.status, got.text)
			}
		})
	}
}

func TestLabTokenInURL(t *testing.T) {
	l := newLab(t)
	got := l.send(labCheckPath+"?access_token="+l.secrets["robot"], `{"token":"{mia}"}`)
	l.wantError(got, 400, "token-in-url")
	if strings.Contains(got.text, "jtn_") {
		t.Errorf("the answer repeats it: %s", got.text)
	}
}

func TestLabTokenCheckOfBadBodies(t *testing.T) {
	l := newLab(t)
	for name, c := range map[string]struct {
		body   string
		status int
		says   string
	}{
		"empty":         {"", 400, "not JSON"},
		"not JSON":      {"token=x", 400, "not JSON"},
		"broken off":    {`{"token":"x"`, 400, "not JSON"},
		"text behind":   {`{"token":"x"} {}`, 400, "behind"},
		"array":         {`[{"token":"x"}]`, 400, "an array stands where an object belongs"},
		"string":        {`"x"`, 400, "a string stands where an object belongs"},
		"null":          {`null`, 400, "token: is missing"},
		"no token":      {`{}`, 400, "token: is missing"},
		"null token":    {`{"token":null}`, 400, "token: is missing"},
		"number":        {`{"token":5}`, 400, "token: a number stands where a string belongs"},
		"object":        {`{"token":{}}`, 400, "token: an object stands where a string belongs"},
		"unknown field": {`{"token":"x","tokens":["y"]}`, 400, "tokens: is not known here"},
		"too large":     {`{"token":"` + strings.Repeat("x", bodyLimit) + `"}`, 413, "bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			l.wantError(l.send(labCheckPath, c.body, as("robot")), c.status, c.says)
		})
	}
}

// Whoever glues paths together, or sends what they like as Content-Type, is
// answered, and never with a redirect: it would come back as a GET.
func TestLabPaths(t *testing.T) {
	l := newLab(t)
	for _, path := range []string{
		"POST rpc/dblab_token_check", "POST /rpc/dblab_token_check", "POST ///rpc//dblab_token_check", "POST rpc/dblab_token_check/", "POST rpc/dblab_token_check//",
	} {
		for _, header := range []string{"Accept: */*", "Content-Type: application/json", "Content-Type: application/json; charset=utf-8", "Content-Type: text/plain"} {
			if got := l.send(path, `{"token":"{mia}"}`, as("robot"), header); got.status != 200 {
				t.Errorf("%s with %s: %d %s", path, header, got.status, got.text)
			}
		}
	}
	for _, path := range []string{"GET api_tokens", "GET /api_tokens/", "GET api_tokens/?limit=1"} {
		if got := l.send(path, "", as("ann")); got.status != 200 {
			t.Errorf("%s: %d %s", path, got.status, got.text)
		}
	}
}

func TestLabStrays(t *testing.T) {
	l := newLab(t)
	for request, c := range map[string]struct {
		status int
		says   string
	}{
		"POST rpc/nothing_like_that":   {404, "no-route"},
		"POST rpc/":                    {404, "no-route"},
		"GET nothing_like_that":        {404, "no-route"},
		"GET ":                         {404, "no-route"},
		"DELETE nothing":               {404, "no-route"},
		"POST rpc/DBLAB_TOKEN_CHECK":   {404, "no-route"},
		"GET rpc/dblab_token_check":    {405, "use POST"},
		"PUT rpc/dblab_token_check/":   {405, "use POST"},
		"DELETE rpc/api_token_revoke":  {405, "use POST"},
		"OPTIONS rpc/api_token_create": {405, "use POST"},
		"POST api_tokens":              {405, "use GET"},
		"DELETE api_tokens?id=eq.5":    {405, "use GET"},
	} {
		t.Run(request, func(t *testing.T) {
			l.unchanged(func() { l.wantError(l.send(request, `{}`, as("robot")), c.status, c.says) })
		})
	}
}

// The prefix is the operator's to choose; outside of it the API speaks.
func TestLabPrefix(t *testing.T) {
	for prefix, want := range map[string]string{"": "/api/general/x", "/": "/x", "general": "/general/x", "/a/b/": "/a/b/x", "//a//b": "/a/b/x"} {
		s := &Server{DialectPrefix: prefix}
		if got := s.databaseLab("/x"); got != want {
			t.Errorf("prefix %q: got %s, want %s", prefix, got, want)
		}
	}
}

// While the log is being read, and once it turns out to be damaged, the door
// knows nobody: 503 in the shape that clients read, never 401.
func TestLabWhileNothingIsServed(t *testing.T) {
	l := newLab(t)
	l.Model = projections.NewModel(l.store, vault, l.clock) // one that nobody runs yet
	asked := func(says string) {
		t.Helper()
		for _, request := range []string{labCheckPath, "GET api_tokens", "POST rpc/api_token_create", "POST rpc/api_token_revoke"} {
			got := l.send(request, "{}", as("robot"))
			l.wantError(got, 503, says)
			if got.header.Get("Retry-After") == "" {
				t.Errorf("%s: no Retry-After", request)
			}
		}
	}
	asked("loading")
	var damage *eventstore.Damage
	if err := l.Model.Run(t.Context(), eventstore.Head{Position: 1000}); !errors.As(err, &damage) {
		t.Fatalf("a log that went backwards: %v", err)
	}
	asked("log-damaged")
}

// Nobody logs a check while all is well; those who look closer see who asked.
func TestLabLog(t *testing.T) {
	l := newLab(t)
	l.send(labCheckPath, `{"token":"{mia}","access_token":"{robot}"}`)
	l.send("POST rpc/api_token_create", `{"name":"x","org_id":1,"expires":"2027-11-22"}`, as("mia"))
	l.send("GET api_tokens?name="+l.secrets["mia"], "", as("mia"))
	l.send("GET api_tokens?name=eq.x", "", "Authorization: Bearer {mia}x")
	for _, want := range []string{`"level":"debug"`, `"route":"POST /api/general/rpc/dblab_token_check"`, `"status":400`, `"status":401`, `"organization":"acme"`} {
		if !strings.Contains(l.log.String(), want) {
			t.Errorf("no %s in the log:\n%s", want, &l.log)
		}
	}
}

// What is read quickly is read as encoding/json reads it.
func FuzzLabTokenCheckQuick(f *testing.F) {
	for _, seed := range []string{`{"token":"x"}`, `{"token":""}`, `{"token":"a\\u0041"}`, `{"token":"a","token":"b"}`, `{"token":"}`, "{\"token\":\"\xff\"}", `{"token":"ä"}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var quickly, slowly labTokenCheck
		if !quickly.quick(body) {
			if quickly.Token != nil {
				t.Errorf("%q: said no and took %q", body, *quickly.Token)
			}
			return
		}
		if err := json.Unmarshal(body, &slowly); err != nil || *slowly.Token != *quickly.Token {
			t.Errorf("%q: took %q, it is %v, %v", body, *quickly.Token, slowly.Token, err)
		}
	})
}

// What is written quickly is written as encoding/json writes it.
func FuzzLabTokenCheckedQuick(f *testing.F) {
	f.Add(uint64(1), true, "ann@acme.test", int64(1795348800000))
	f.Add(uint64(1<<63), false, "", int64(0))
	f.Add(uint64(0), true, `"a<b>&\\ä\u2028"@x`+"\xff", int64(1795348800001))
	f.Fuzz(func(t *testing.T, org uint64, personal bool, email string, until int64) {
		answer := labTokenChecked{domain.Position(org), personal, email, "personal", domain.Instant(until)}
		if until < 0 || until > 253402300799999 {
			return // no such moment is stored
		}
		var want bytes.Buffer
		if err := json.NewEncoder(&want).Encode(answer); err != nil {
			t.Fatal(err)
		}
		if got := answer.appendJSON(nil); string(got) != want.String() {
			t.Errorf("got %s, want %s", got, &want)
		}
	})
}
