package http

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// Every body that is not what a route wants is refused and changes nothing.
func TestBadBodies(t *testing.T) {
	w := furnish(newWorld(t))
	for _, r := range guarded(w) {
		good, takes := bodies[r.pattern]
		if !takes {
			continue
		}
		as, _ := r.mayDo()
		untyped := strings.HasSuffix(r.path(), "/check") || strings.HasSuffix(r.path(), "/report") // by huma
		send, _ := r.request("acme", "{mia}", "{mia.token}")
		good = strings.TrimSuffix(w.filled(good), "}")
		for name, bad := range map[string]struct {
			body     string
			statuses []int
		}{
			"nothing":             {"", []int{400}},
			"blanks":              {"  ", []int{400}},
			"half":                {good, []int{400}},
			"two values":          {good + "}{}", []int{400}},
			"text behind":         {good + "} x", []int{400}},
			"no JSON":             {"name=x&kind=personal", []int{400}},
			"a list":              {"[" + good + "}]", []int{422}},
			"a string":            {`"x"`, []int{422}},
			"a number":            {`1`, []int{422}},
			"an unknown field":    {good + `,"admin":true}`, []int{422}},
			"a field in capitals": {strings.ToUpper(good) + "}", []int{400, 422}},
			"not UTF-8":           {good + `,"x":"` + "\xff" + `"}`, []int{400, 422}},
			"too large":           {good + "}" + strings.Repeat(" ", int(r.limit())), []int{413}},
			"deep":                {strings.Repeat("[", 20_000), []int{400}},
		} {
			if name == "nothing" && slices.Contains(bodiless, r.path()[strings.LastIndexByte(r.path(), '/'):]) {
				continue // that is the plainest way to ask
			}
			if untyped && (name == "a field in capitals" || name == "not UTF-8" || name == "blanks") {
				continue // it is not typed by huma, and asks nothing of the log
			}
			t.Run(r.pattern+" "+name, func(t *testing.T) {
				w := w.in(t)
				w.refused(as, send, bad.body, bad.statuses)
			})
		}
		if !untyped {
			w.refused(as, send, w.filled(bodies[r.pattern]), []int{415}, "Content-Type: text/xml")
		}
	}
}

// bodiless are the ends of paths that want no body.
var bodiless = []string{"/erase", "/rotate", "/rotate-verification", "/replace-token", "/approve", "/secret", "/test", "/replay"}

// in is the same world, failing another test.
func (w *world) in(t *testing.T) *world {
	inner := &world{TB: t, store: w.store, model: w.model, views: w.views, server: w.server, handler: w.handler, logs: w.logs, names: w.names, known: w.known}
	t.Cleanup(func() { w.known = inner.known })
	return inner
}

// Every field refuses what is not fit for it, and no refusal repeats a secret.
func TestBadFields(t *testing.T) {
	w := furnish(newWorld(t))
	for _, r := range guarded(w) {
		var good map[string]any
		if json.Unmarshal([]byte(w.filled(bodies[r.pattern])), &good) != nil || r.path() == "/api/v1/check" || r.access.who == anEngine {
			continue
		}
		send, _ := r.request("acme", "{mia}", "{mia.token}")
		for _, field := range slices.Sorted(maps.Keys(good)) {
			for _, value := range badValues(w, good[field]) {
				bad := maps.Clone(good)
				bad[field] = value
				body, err := json.Marshal(bad)
				w.must(err)
				answered := w.refused("ann", send, string(body), []int{400, 422})
				if text, ok := value.(string); ok && repeats(answered.body, text) {
					t.Errorf("%s: a refusal of %s repeats what was sent: %s", r.pattern, field, answered.body)
				}
			}
		}
	}
}

// repeats reports whether an answer has more of a text than fits into a sentence.
func repeats(answer, text string) bool {
	const most = 41
	letters := []rune(text)
	return len(letters) > most && strings.Contains(answer, string(letters[:most]))
}

// badValues are no good instead of a value.
func badValues(w *world, good any) []any {
	bad := []any{1.5, []any{"x"}, map[string]any{"x": 1}}
	if _, text := good.(string); !text {
		return append(bad, "x")
	}
	return append(bad, true,
		strings.Repeat("x", 10_000), strings.Repeat("é", 10_000),
		"control\x00character", "line\nbreak", "right\u202eto left", "zero\u200bwidth", "\ufeffmark",
		w.secret("robot"), "with "+w.secret("ann")+" inside",
	)
}

func TestBadNames(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"", " ", " x", "x ", "\t", strings.Repeat("x", 101), strings.Repeat("x", 10_000), "a\x7fb", "\u2028"} {
		text, err := json.Marshal(name)
		w.must(err)
		for send, body := range map[string]string{
			"POST /api/v1/organizations/acme/tokens":                `{"kind":"personal","name":%s}`,
			"PATCH /api/v1/organizations/acme/tokens/{robot.token}": `{"name":%s}`,
			"PATCH /api/v1/organizations/acme":                      `{"name":%s}`,
			"POST /api/v1/organizations":                            `{"alias":"initech","name":%s}`,
		} {
			w.refused("ann", send, fmt.Sprintf(body, text), []int{422})
		}
	}
}

func TestBadExpiry(t *testing.T) {
	w := newWorld(t)
	for field, values := range map[string][]string{
		"expires_at": {
			"2026-11-22T12:00:00Z", "2026-11-22T11:59:59Z", "2000-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "0001-01-01T00:00:00Z",
			"2027-02-29T12:00:00Z", "2027-04-31T12:00:00Z", "2027-13-01T12:00:00Z", "2027-06-30T24:00:00Z", "2027-06-30T12:00:60Z",
			"2027-06-30", "2027-06-30T12:00:00", "2027-06-30 12:00:00Z", "2027-06-30T12:00Z", "2027-06-30T1:00:00Z", "2027-06-30T12:00:00,5Z",
			"10000-01-01T00:00:00Z", "tomorrow", "30d", "never", "1798675200", " 2027-06-30T12:00:00Z",
		},
		"expires_in": {
			"0", "0h", "0s", "0d", "-1h", "+1h", "1", "1ns", "999ms", "h", "d", "1x", "1d1y", "1h30d", "30 d", "1.5d", "Never", "NEVER", "for ever",
			"9999999999999h", "99999999d", "9999y", "8000y", "1e9h", "3000000h3000000h", "2027-06-30T12:00:00Z", "∞", strings.Repeat("1h", 50),
		},
	} {
		for _, value := range values {
			text, err := json.Marshal(value)
			w.must(err)
			for send, body := range map[string]string{
				"POST /api/v1/organizations/acme/tokens":  `{"kind":"personal","name":"ci","%s":%s}`,
				"POST /api/v1/organizations/acme/members": `{"email":"max@acme.test","role":"member","%s":%s}`,
			} {
				answered := w.refused("ann", send, fmt.Sprintf(body, field, text), []int{422})
				if !strings.Contains(answered.body, field) {
					t.Errorf("%s %q: the answer does not name the field: %s", field, value, answered.body)
				}
			}
		}
	}
	w.refused("ann", "POST /api/v1/organizations/acme/tokens",
		`{"kind":"personal","name":"ci","expires_in":"30d","expires_at":"2027-06-30T12:00:00Z"}`, []int{422})
}

func TestGoodExpiry(t *testing.T) {
	w := newWorld(t)
	w.makeRoom("ann", "acme")
	for i, c := range []struct{ field, want string }{
		{`"expires_in":"720h"`, "2026-12-22T12:00:00Z"},
		{`"expires_in":"30d"`, "2026-12-22T12:00:00Z"},
		{`"expires_in":"2w"`, "2026-12-06T12:00:00Z"},
		{`"expires_in":"1y"`, "2027-11-22T12:00:00Z"},
		{`"expires_in":"1y2w3d4h5m6s"`, "2027-12-09T16:05:06Z"},
		{`"expires_in":"1h30m"`, "2026-11-22T13:30:00Z"},
		{`"expires_in":"1.5h"`, "2026-11-22T13:30:00Z"},
		{`"expires_in":"1s"`, "2026-11-22T12:00:01Z"},
		{`"expires_in":"7900y"`, "9926-11-22T12:00:00Z"},
		{`"expires_in":"never"`, ""},
		{`"expires_in":""`, "2027-11-22T12:00:00Z"},
		{`"expires_in":null`, "2027-11-22T12:00:00Z"},
		{`"description":""`, "2027-11-22T12:00:00Z"},
		{`"expires_at":"2028-02-29T00:00:00Z"`, "2028-02-29T00:00:00Z"},
		{`"expires_at":"2026-11-22T13:00:00.5+01:00"`, "2026-11-22T12:00:00.5Z"},
		{`"expires_at":"9999-12-31T23:59:59Z"`, "9999-12-31T23:59:59Z"},
	} {
		made := w.made("ann", "POST /api/v1/organizations/acme/tokens", fmt.Sprintf(`{"name":"t%d","kind":"personal",%s}`, i, c.field))
		if got, _ := made["expires_at"].(string); got != c.want {
			t.Errorf("%s: ends %q, want %q", c.field, got, c.want)
		}
	}
}

// Whatever is not exactly one good secret, in one place, opens nothing.
func TestBadCredentials(t *testing.T) {
	w := newWorld(t)
	good, other := w.secret("ann"), w.secret("mia")
	for name, c := range map[string]struct {
		headers []string
		target  string
		status  int
	}{
		"none":                     {nil, "", 401},
		"empty":                    {[]string{"Authorization: "}, "", 401},
		"only the scheme":          {[]string{"Authorization: Bearer"}, "", 401},
		"a blank token":            {[]string{"Authorization: Bearer  "}, "", 401},
		"two blanks":               {[]string{"Authorization: Bearer  " + good}, "", 401},
		"a blank behind":           {[]string{"Authorization: Bearer " + good + " "}, "", 401},
		"another scheme":           {[]string{"Authorization: Basic " + good}, "", 401},
		"no scheme":                {[]string{"Authorization: " + good}, "", 401},
		"a list":                   {[]string{"Authorization: Bearer " + good + ", Bearer " + good}, "", 401},
		"truncated by one":         {[]string{"Authorization: Bearer " + good[:len(good)-1]}, "", 401},
		"truncated to the handle":  {[]string{"Authorization: Bearer " + good[:24]}, "", 401},
		"one more":                 {[]string{"Authorization: Bearer " + good + "0"}, "", 401},
		"in capitals":              {[]string{"Authorization: Bearer " + strings.ToUpper(good)}, "", 401},
		"of another kind":          {[]string{"Authorization: Bearer " + strings.Replace(good, "_pat_", "_adm_", 1)}, "", 401},
		"somebody else's handle":   {[]string{"Authorization: Bearer " + other[:24] + good[24:]}, "", 401},
		"altered":                  {[]string{"Authorization: Bearer " + good[:30] + flip(good[30:31]) + good[31:]}, "", 401},
		"two that differ":          {[]string{"Authorization: Bearer " + good, "Authorization: Bearer " + other}, "", 400},
		"two, one of them empty":   {[]string{"Authorization: Bearer " + good, "Authorization: "}, "", 400},
		"twice the same":           {[]string{"Authorization: Bearer " + good, "Authorization: Bearer " + good}, "", 200},
		"a small bearer":           {[]string{"Authorization: bearer " + good}, "", 200},
		"another in another place": {[]string{"Authorization: Bearer " + good, "Access-Token: " + other}, "", 400},
		"the dialect's header":     {[]string{"Access-Token: " + good}, "", 401},
		"a cookie":                 {[]string{"Cookie: token=" + good}, "", 401},
		"in the query":             {nil, "?token=" + good, 400},
		"in the query, hidden":     {nil, "?token=jtn%5f" + good[4:], 400},
		"in the query as well":     {[]string{"Authorization: Bearer " + good}, "?access_token=" + good, 400},
		"in the path":              {[]string{"Authorization: Bearer " + good}, "/" + good, 400},
	} {
		t.Run(name, func(t *testing.T) {
			w := w.in(t)
			if c.status == 200 {
				if got := w.send("", "GET /api/v1/whoami"+c.target, "", c.headers...); got.status != 200 {
					t.Errorf("status %d, want 200: %s", got.status, got.body)
				}
				return
			}
			w.refused("", "GET /api/v1/whoami"+c.target, "", []int{c.status}, c.headers...)
			w.refused("", "GET /api/v1/organizations/acme/tokens"+c.target, "", []int{c.status}, c.headers...)
		})
	}
}

func flip(letter string) string {
	if letter == "a" {
		return "b"
	}
	return "a"
}

// A secret in the path is not in the log of requests.
func TestSecretInPath(t *testing.T) {
	w := newWorld(t)
	w.refused("ann", "GET /api/v1/organizations/{mia.secret}", "", []int{400})
	w.refused("ann", "DELETE /api/v1/organizations/acme/tokens/{mia.secret}", "", []int{400})
	w.refused("", "GET /{mia.secret}", "", []int{400})
	if !strings.Contains(w.logs.String(), "/api/v1/organizations/[redacted]") {
		t.Errorf("the log does not show the rest of the path:\n%s", w.logs)
	}
}

// curl -d calls every body a form. It is read as what it is.
func TestABodyThatCurlCallsAForm(t *testing.T) {
	w := newWorld(t)
	answered := w.send("ann", "POST /api/v1/organizations/acme/tokens", `{"name":"from curl","kind":"personal"}`, "Content-Type: application/x-www-form-urlencoded")
	if answered.status != 201 {
		t.Errorf("answered %d %s, want 201", answered.status, answered.body)
	}
}
