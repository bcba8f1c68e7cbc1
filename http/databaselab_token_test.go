package http

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"jeton/domain"
)

// rows are the names in a list, in its order.
func (a answered) rows(t *testing.T) (names []string) {
	t.Helper()
	var rows []labToken
	if err := json.Unmarshal([]byte(a.text), &rows); err != nil || a.status != 200 || a.text[0] != '[' {
		t.Fatalf("%d %s: %v", a.status, a.text, err)
	}
	for _, row := range rows {
		names = append(names, row.Name)
	}
	return names
}

func TestLabTokensAreWhatTheCallerMaySee(t *testing.T) {
	l := newLab(t)
	l.issue("laptop", "mia", domain.IssueToken{Kind: domain.Personal})
	l.issue("desktop", "bob", domain.IssueToken{Kind: domain.Personal})
	l.issue("short", "mia", domain.IssueToken{Kind: domain.Personal, Expires: domain.At(labToday.Add(time.Minute))})
	l.revoke(l.issue("revoked", "mia", domain.IssueToken{Kind: domain.Personal}))
	l.sleep(time.Minute)
	const first = "first token"
	all := []string{"desktop", "laptop", "robot", first, first, first, first}
	for caller, want := range map[string][]string{
		"ann": all, "bob": all, "ada": all, "robot": all,
		"mia": {"laptop", first},
		"zoe": {first},
	} {
		t.Run(caller, func(t *testing.T) {
			if diff := cmp.Diff(want, l.send("GET api_tokens", "", as(caller)).rows(t)); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
	for org, want := range map[domain.OrganizationID]int{l.acme: 2, l.beta: 0} {
		if got := l.send(fmt.Sprint("GET api_tokens?org_id=eq.", l.number(org)), "", as("mia")).rows(t); len(got) != want {
			t.Errorf("of organization %d: %q, want %d rows", l.number(org), got, want)
		}
	}
	l.wantError(l.send("GET api_tokens", ""), 401, "no-credential")
	l.wantError(l.send("GET api_tokens", "", as("revoked")), 401, "bad-credential")
}

func TestLabTokenRow(t *testing.T) {
	l := newLab(t)
	acme := float64(l.number(l.acme))
	l.sleep(time.Hour)
	number := l.issue("Mia's laptop", "mia", domain.IssueToken{Kind: domain.Personal, Expires: domain.At(labToday.AddDate(1, 0, 0))})
	var rows []map[string]any
	l.must(json.Unmarshal([]byte(l.send("GET api_tokens?order=id.desc", "", as("ann")).text), &rows))
	if diff := cmp.Diff(map[string]any{
		"id": float64(number), "org_id": acme, "name": "Mia's laptop", "is_personal": true, "username": "mia@acme.test",
		"created_at": "2026-11-22T13:00:00Z", "created_formatted": "2026-11-22 13:00:00",
		"expires_at": "2027-11-22T12:00:00Z", "expires_formatted": "2027-11-22 12:00:00",
	}, rows[0]); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if robot := rows[1]; robot["is_personal"] != false || robot["expires_at"] != nil || robot["expires_formatted"] != nil || robot["username"] != "Ann@acme.test" {
		t.Errorf("one that never expires: %v", robot)
	}
	if founder := rows[len(rows)-1]; founder["username"] != "Ann@acme.test" {
		t.Errorf("one that nobody made: %v", founder)
	}
}

// What the console shows of a suspended member's tokens is that they are there:
// they open doors again once their holder is reinstated.
func TestLabTokensOfASuspendedMember(t *testing.T) {
	l := newLab(t)
	suspended := true
	l.execute("ann", domain.UpdateMember{Account: l.actors["mia"].Account, Suspended: &suspended})
	if got := l.send("GET api_tokens?is_personal=eq.true", "", as("ann")).rows(t); len(got) != 4 {
		t.Errorf("got %q, want all four", got)
	}
}

func TestLabTokenCreate(t *testing.T) {
	l := newLab(t)
	l.makeRoom()
	acme := l.number(l.acme)
	for name, c := range map[string]struct {
		as, arguments string
		personal      bool
		expires       string
	}{
		"personal":                {"mia", `"expires":"2027-11-22T12:00:00Z","is_personal":true`, true, "2027-11-22 12:00:00"},
		"personal unless said":    {"mia", `"expires":"2027-11-22T12:00:00Z"`, true, "2027-11-22 12:00:00"},
		"null is not said":        {"mia", `"expires":"2027-11-22T12:00:00Z","is_personal":null`, true, "2027-11-22 12:00:00"},
		"administrative":          {"bob", `"expires":"2027-11-22T12:00:00Z","is_personal":false`, false, "2027-11-22 12:00:00"},
		"as the console sends it": {"ann", `"expires":"20271122T235959-0330","is_personal":true`, true, "2027-11-23 03:29:59"},
		"an offset":               {"ann", `"expires":"2027-11-22T12:00:00+05:45"`, true, "2027-11-22 06:15:00"},
		"a day":                   {"ann", `"expires":"2027-11-22"`, true, "2027-11-22 23:59:59"},
		"today":                   {"ann", `"expires":"2026-11-22"`, true, "2026-11-22 23:59:59"},
		"29 February":             {"ann", `"expires":"20280229T235959-0330"`, true, "2028-03-01 03:29:59"},
	} {
		t.Run(name, func(t *testing.T) {
			got := l.send("POST rpc/api_token_create", fmt.Sprintf(`{"name":%q,"org_id":%d,%s}`, name, acme, c.arguments), as(c.as))
			made := got.object(t)
			l.secrets["made"], _ = made["token"].(string)
			at, _ := time.Parse(time.DateTime, c.expires)
			account, _ := l.Model.Account(l.actors[c.as].Account)
			l.wantObject(got, map[string]any{
				"id": made["id"], "token": made["token"], "org_id": float64(acme), "name": name, "is_personal": c.personal,
				"username": account.Email, "created_at": "2026-11-22T12:00:00Z", "created_formatted": "2026-11-22 12:00:00",
				"expires_at": at.Format(time.RFC3339), "expires_formatted": c.expires,
			})
			l.made(made)
		})
	}
}

// made holds a token that was made against what others then see of it.
func (l *lab) made(made map[string]any) {
	l.Helper()
	checked := l.send(labCheckPath, `{"token":"{made}"}`, as("robot")).object(l.T)
	if checked["is_personal"] != made["is_personal"] || checked["valid_until"] != made["expires_at"] {
		l.Errorf("checked it is %v", checked)
	}
	var rows []map[string]any
	l.must(json.Unmarshal([]byte(l.send("GET api_tokens?limit=1", "", as("ann")).text), &rows))
	delete(made, "token")
	if diff := cmp.Diff(made, rows[0]); diff != "" {
		l.Errorf("in the list it differs: -made +listed\n%s", diff)
	}
}

func TestLabTokenCreateRefused(t *testing.T) {
	l := newLab(t)
	l.issue("taken", "mia", domain.IssueToken{Kind: domain.Personal})
	acme, beta := l.number(l.acme), l.number(l.beta)
	for name, c := range map[string]struct {
		as, body string
		status   int
		says     string
	}{
		"administrative, by a member":   {"mia", `{"name":"n","expires":"2027-11-22","org_id":ACME,"is_personal":false}`, 403, "tokens.create-administrative"},
		"administrative, by an auditor": {"ada", `{"name":"n","expires":"2027-11-22","org_id":ACME,"is_personal":false}`, 403, "tokens.create-administrative"},
		"personal, by an auditor":       {"ada", `{"name":"n","expires":"2027-11-22","org_id":ACME}`, 403, "tokens.create-personal"},
		"personal, by a program":        {"robot", `{"name":"n","expires":"2027-11-22","org_id":ACME}`, 403, "made by the person"},
		"administrative, by a program":  {"robot", `{"name":"n","expires":"2027-11-22","org_id":ACME,"is_personal":false}`, 403, "tokens.create-administrative"},
		"for another organization":      {"ann", `{"name":"n","expires":"2027-11-22","org_id":BETA}`, 404, "no such organization"},
		"for one that nobody has":       {"ann", `{"name":"n","expires":"2027-11-22","org_id":9999}`, 404, "no such organization"},
		"by nobody":                     {"", `{"name":"n","expires":"2027-11-22","org_id":ACME}`, 401, "no-credential"},
		"a taken name":                  {"mia", `{"name":"taken","expires":"2027-11-22","org_id":ACME}`, 409, "exists already"},
		"no name":                       {"mia", `{"expires":"2027-11-22","org_id":ACME}`, 400, "name: is missing"},
		"null name":                     {"mia", `{"name":null,"expires":"2027-11-22","org_id":ACME}`, 400, "name: is missing"},
		"empty name":                    {"mia", `{"name":"","expires":"2027-11-22","org_id":ACME}`, 400, "name: is empty"},
		"a long name":                   {"mia", `{"name":"` + strings.Repeat("n", 10_000) + `","expires":"2027-11-22","org_id":ACME}`, 400, "name: has 10000 characters"},
		"a secret as name":              {"mia", `{"name":"{ann}","expires":"2027-11-22","org_id":ACME}`, 400, "name: has the secret of a token in it"},
		"a name that is not UTF-8":      {"mia", "{\"name\":\"\xff\",\"expires\":\"2027-11-22\",\"org_id\":ACME}", 400, "not UTF-8"},
		"control characters":            {"mia", `{"name":"a\nb","expires":"2027-11-22","org_id":ACME}`, 400, "name: has a character that does not show"},
		"a number as name":              {"mia", `{"name":5,"expires":"2027-11-22","org_id":ACME}`, 400, "name: a number stands where a string belongs"},
		"no organization":               {"mia", `{"name":"n","expires":"2027-11-22"}`, 400, "org_id: is missing"},
		"organization as text":          {"mia", `{"name":"n","expires":"2027-11-22","org_id":"1"}`, 400, "org_id: a string stands where"},
		"negative organization":         {"mia", `{"name":"n","expires":"2027-11-22","org_id":-1}`, 400, "org_id: a number stands where a positive whole number belongs"},
		"is_personal as text":           {"mia", `{"name":"n","expires":"2027-11-22","org_id":ACME,"is_personal":"no"}`, 400, "is_personal: a string stands where true or false belongs"},
		"an unknown argument":           {"mia", `{"name":"n","expires":"2027-11-22","org_id":ACME,"scope":"x"}`, 400, "scope: is not known here"},
		"no expiry":                     {"mia", `{"name":"n","org_id":ACME}`, 400, "timestamp"},
		"null expiry":                   {"mia", `{"name":"n","expires":null,"org_id":ACME}`, 400, "timestamp"},
		"not JSON":                      {"mia", `name=n`, 400, "not JSON"},
		"too large":                     {"mia", `{"name":"` + strings.Repeat("n", bodyLimit) + `"}`, 413, "bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			body := strings.NewReplacer("ACME", fmt.Sprint(acme), "BETA", fmt.Sprint(beta)).Replace(c.body)
			l.unchanged(func() {
				if c.as == "" {
					l.wantError(l.send("POST rpc/api_token_create", body), c.status, c.says)
					return
				}
				l.wantError(l.send("POST rpc/api_token_create", body, as(c.as)), c.status, c.says)
			})
		})
	}
}

// The console looks for the word in what it shows, which is details and hint.
func TestLabTokenCreateTimestamps(t *testing.T) {
	l := newLab(t)
	for name, expires := range map[string]string{
		"empty": "", "a word": "tomorrow", "29 February": "2027-02-29", "29 February, as the console sends it": "20270229T235959-0330",
		"29 February in RFC 3339": "2027-02-29T00:00:00Z", "31 June": "2027-06-31", "month 13": "2027-13-01", "hour 25": "20271122T255959-0330",
		"no offset": "20271122T235959", "a blank for the T": "2027-11-22 12:00:00Z", "blanks around": " 2027-11-22 ", "text behind": "2027-11-22x",
		"passed": "2026-11-22T11:59:59Z", "now": "2026-11-22T12:00:00Z", "yesterday": "20261121T235959+0000", "the day that is zero": "1970-01-01T00:00:00Z",
		"year 1": "0001-01-01T00:00:00Z", "after the year 9999": "99991231T235959-0330", "a number": "1795348800", "infinity": "infinity",
	} {
		t.Run(name, func(t *testing.T) {
			l.unchanged(func() {
				got := l.send("POST rpc/api_token_create", fmt.Sprintf(`{"name":"n","expires":%q,"org_id":%d}`, expires, l.number(l.acme)), as("mia"))
				l.wantError(got, 400, "expires")
				if details, _ := got.object(t)["details"].(string); !strings.Contains(details, "timestamp") {
					t.Errorf("the console won't find its word in %q", details)
				}
			})
		})
	}
}

func TestLabTokenRevoke(t *testing.T) {
	l := newLab(t)
	const path = "POST rpc/api_token_revoke"
	body := func(number domain.Position) string { return fmt.Sprintf(`{"id":%d}`, number) }
	for name, c := range map[string]struct {
		as, holder string
		kind       domain.TokenKind
	}{
		"one's own":                       {"mia", "mia", domain.Personal},
		"an admin, anybody's":             {"bob", "mia", domain.Personal},
		"an admin, an administrative one": {"bob", "ann", domain.Administrative},
		"a program, a leaked one":         {"robot", "mia", domain.Personal},
	} {
		t.Run(name, func(t *testing.T) {
			number := l.issue(name, c.holder, domain.IssueToken{Kind: c.kind})
			want := map[string]any{"id": float64(number), "revoked": true}
			l.wantObject(l.send(path, body(number), as(c.as)), want)
			l.wantError(l.send(labCheckPath, `{"token":"{`+name+`}"}`, as("robot")), 401, "Invalid token")
			l.unchanged(func() { l.wantObject(l.send(path, body(number), as(c.as)), want) }) // twice is once
		})
	}
	if got := l.send("GET api_tokens?name=ilike.*one*", "", as("ann")).rows(t); len(got) != 0 {
		t.Errorf("revoked and listed: %q", got)
	}
}

func TestLabTokenRevokeItself(t *testing.T) {
	l := newLab(t)
	number := l.issue("laptop", "mia", domain.IssueToken{Kind: domain.Personal})
	l.wantObject(l.send("POST rpc/api_token_revoke", fmt.Sprintf(`{"id":%d}`, number), as("laptop")), map[string]any{"id": float64(number), "revoked": true})
	l.wantError(l.send("GET api_tokens", "", as("laptop")), 401, "bad-credential")
}

func TestLabTokenRevokeRefused(t *testing.T) {
	l := newLab(t)
	ofBob := l.issue("desktop", "bob", domain.IssueToken{Kind: domain.Personal})
	robot := l.issue("robot 2", "ann", domain.IssueToken{Kind: domain.Administrative})
	foreign := domain.IssueToken{Kind: domain.Personal, Name: "foreign"}
	foreign.Token, foreign.Hash = l.secret("foreign", domain.Personal)
	done, err := l.Model.Execute(t.Context(), domain.Meta{Organization: l.beta, Actor: l.actors["zoe"]}, foreign)
	l.must(err)
	for name, c := range map[string]struct {
		as, body string
		status   int
		says     string
	}{
		"another member's":            {"mia", fmt.Sprintf(`{"id":%d}`, ofBob), 403, "tokens.revoke-any"},
		"one that nobody has":         {"mia", `{"id":9999}`, 403, "tokens.revoke-any"},
		"by an auditor":               {"ada", fmt.Sprintf(`{"id":%d}`, ofBob), 403, "tokens.revoke-any"},
		"administrative, by a member": {"mia", fmt.Sprintf(`{"id":%d}`, robot), 403, "tokens.revoke-any"},
		"administrative, by another":  {"robot", fmt.Sprintf(`{"id":%d}`, robot), 403, "may not change or end other administrative"},
		"another organization's":      {"ann", fmt.Sprintf(`{"id":%d}`, done.Position), 404, "no such token"},
		"by another organization":     {"zoe", fmt.Sprintf(`{"id":%d}`, ofBob), 404, "no such token"},
		"unknown, by an admin":        {"ann", `{"id":9999}`, 404, "no such token"},
		"zero":                        {"ann", `{"id":0}`, 404, "no such token"},
		"missing":                     {"ann", `{}`, 400, "id: is missing"},
		"null":                        {"ann", `{"id":null}`, 400, "id: is missing"},
		"text":                        {"ann", fmt.Sprintf(`{"id":"%d"}`, ofBob), 400, "id: a string stands where a positive whole number belongs"},
		"half":                        {"ann", `{"id":1.5}`, 400, "id: a number stands where a positive whole number belongs"},
		"negative":                    {"ann", `{"id":-1}`, 400, "id: a number stands where a positive whole number belongs"},
		"a list":                      {"ann", `{"id":[1]}`, 400, "id: an array stands where a positive whole number belongs"},
		"an unknown argument":         {"ann", fmt.Sprintf(`{"id":%d,"reason":"x"}`, ofBob), 400, "reason: is not known here"},
	} {
		t.Run(name, func(t *testing.T) {
			l.unchanged(func() { l.wantError(l.send("POST rpc/api_token_revoke", c.body, as(c.as)), c.status, c.says) })
		})
	}
	if got := l.send(labCheckPath, `{"token":"{desktop}"}`, as("robot")); got.status != 200 {
		t.Errorf("after all that: %d %s", got.status, got.text)
	}
}

// Without the database of the views tokens are checked, made and revoked; only
// the list can't be given.
func TestLabWithoutViews(t *testing.T) {
	l := newLab(t)
	l.stop()
	made := l.send("POST rpc/api_token_create", fmt.Sprintf(`{"name":"n","expires":"2027-11-22","org_id":%d}`, l.number(l.acme)), as("mia")).object(t)
	l.secrets["made"], _ = made["token"].(string)
	if got := l.send(labCheckPath, `{"token":"{made}"}`, as("robot")); got.status != 200 {
		t.Errorf("made: %d %s", got.status, got.text)
	}
	l.wantError(l.send("GET api_tokens", "", as("mia")), 503, "views-unavailable")
	if got := l.send("POST rpc/api_token_revoke", fmt.Sprintf(`{"id":%v}`, made["id"]), as("mia")); got.status != 200 {
		t.Errorf("revoked: %d %s", got.status, got.text)
	}
	l.wantError(l.send(labCheckPath, `{"token":"{made}"}`, as("robot")), 401, "Invalid token")
}

func TestLabTokenQuery(t *testing.T) {
	l := newLab(t)
	places := []string{"ACME", fmt.Sprint(l.number(l.acme)), "BETA", fmt.Sprint(l.number(l.beta))}
	for _, name := range []string{"CI one", "ci two", "100%", "a_b"} { // seen by mia, below her first token
		number := l.issue(name, "mia", domain.IssueToken{Kind: domain.Personal})
		places = append(places, "<"+name+">", fmt.Sprint(number))
	}
	const first = "first token"
	everything := []string{"a_b", "100%", "ci two", "CI one", first}
	for query, c := range map[string]struct {
		rows  []string
		total int
	}{
		"":                                             {everything, 5},
		"org_id=eq.ACME":                               {everything, 5},
		"org_id=eq.BETA":                               {nil, 0},
		"org_id=eq.0":                                  {nil, 0},
		"org_id=eq.-1":                                 {nil, 0},
		"org_id=eq.ACME&org_id=eq.BETA":                {nil, 0},
		"id=eq.<100%>":                                 {[]string{"100%"}, 1},
		"id=eq.9999":                                   {nil, 0},
		"id=lt.<ci two>":                               {[]string{"CI one", first}, 2},
		"id=lt.<ci two>&limit=1":                       {[]string{"CI one"}, 2},
		"id=lt.<ci two>&id=lt.<100%>":                  {[]string{"CI one", first}, 2},
		"id=lt.0":                                      {nil, 0},
		"id=lt.-1":                                     {nil, 0},
		"id=gt.<ci two>":                               {[]string{"a_b", "100%"}, 2},
		"id=gt.-1":                                     {everything, 5},
		"is_personal=eq.true":                          {everything, 5},
		"is_personal=eq.false":                         {nil, 0},
		"name=eq.ci two":                               {[]string{"ci two"}, 1},
		"name=eq.CI TWO":                               {nil, 0},
		"name=eq.":                                     {nil, 0},
		"name=ilike.ci*":                               {[]string{"ci two", "CI one"}, 2},
		"name=ilike.%CI%":                              {[]string{"ci two", "CI one"}, 2},
		"name=ilike.ci _wo":                            {[]string{"ci two"}, 1},
		`name=ilike.*\%`:                               {[]string{"100%"}, 1},
		`name=ilike.*\_*`:                              {[]string{"a_b"}, 1},
		"name=ilike.(":                                 {nil, 0},
		"name=ilike.*&id=gt.<CI one>":                  {[]string{"a_b", "100%", "ci two"}, 3},
		"order=id.desc":                                {everything, 5},
		"order=id.asc":                                 {[]string{first, "CI one", "ci two", "100%", "a_b"}, 5},
		"order=id.asc&limit=2":                         {[]string{first, "CI one"}, 5},
		"order=id.asc&limit=2&offset=4":                {[]string{"a_b"}, 5},
		"order=id&limit=1&id=gt.<CI one>":              {[]string{"ci two"}, 3},
		"order=name.desc&limit=2":                      {[]string{first, "ci two"}, 5},
		"order=is_personal,name.asc":                   {[]string{"100%", "CI one", "a_b", "ci two", first}, 5},
		"id=in.(<100%>,<CI one>,9999)":                 {[]string{"100%", "CI one"}, 2},
		"id=neq.<100%>&id=gte.<CI one>":                {[]string{"a_b", "ci two", "CI one"}, 3},
		"name=in.(a_b,\"100%\")":                       {[]string{"a_b", "100%"}, 2},
		"name=neq.a_b&id=lte.<100%>":                   {[]string{"100%", "ci two", "CI one", first}, 4},
		"name=fts(simple).Two ci":                      {[]string{"ci two"}, 1},
		"name=fts(simple).%2574%2577o":                 {nil, 0},
		"name=fts(simple).":                            {nil, 0},
		"or=(name.ilike.ci*,id.eq.<100%>)":             {[]string{"100%", "ci two", "CI one"}, 3},
		"created_at=lt.2026-11-22 12:00:00Z":           {nil, 0},
		"created_at=lte.2026-11-22T12:00:00Z":          {everything, 5},
		"expires_at=gt.2026-11-22&username=ilike.mia*": {everything[:4], 4},
		"project_id=eq.$(projectId)&instance_id=eq.$(instanceId)": {everything, 5},
		"limit=2":                          {[]string{"a_b", "100%"}, 5},
		"limit=2&offset=1":                 {[]string{"100%", "ci two"}, 5},
		"limit=0":                          {nil, 5},
		"offset=4":                         {[]string{first}, 5},
		"offset=5":                         {nil, 5},
		"offset=2147483647":                {nil, 5},
		"order=id.asc&offset=2147483647":   {nil, 5},
		"limit=2147483647":                 {everything, 5},
		"org_id=eq.ACME&limit=1&offset=0 ": {nil, -1},
	} {
		t.Run(query, func(t *testing.T) {
			request := "GET api_tokens?" + labEscape(strings.NewReplacer(places...).Replace(query))
			got := l.send(request, "", as("mia"), "Prefer: return=minimal, count=exact")
			if c.total < 0 {
				l.wantError(got, 400, "is not a number of rows")
				return
			}
			if diff := cmp.Diff(c.rows, got.rows(t)); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
			if total := got.header.Get("Content-Range"); !strings.HasSuffix(total, fmt.Sprint("/", c.total)) {
				t.Errorf("Content-Range %q, want %d in all", total, c.total)
			}
			if uncounted := l.send(request, "", as("mia")); uncounted.text != got.text || !strings.HasSuffix(uncounted.header.Get("Content-Range"), "/*") {
				t.Errorf("not counted it is %v %s", uncounted.header, uncounted.text)
			}
		})
	}
}

// labEscape escapes what stands behind the equal signs of a query.
func labEscape(query string) string {
	parts := strings.Split(query, "&")
	for i, part := range parts {
		if name, value, found := strings.Cut(part, "="); found {
			parts[i] = name + "=" + url.QueryEscape(value)
		}
	}
	return strings.Join(parts, "&")
}

func TestLabTokenQueryRefused(t *testing.T) {
	l := newLab(t)
	for query, says := range map[string]string{
		"nothing=eq.1":                           "nothing",
		"select=secret":                          "select",
		"select=":                                "select",
		"or=id.eq.1":                             "or",
		"or=(id.eq.1,token.eq.x)":                "token",
		"or=(id.is.1)":                           "id",
		"or=()":                                  "cannot be asked",
		"token=eq.x":                             "token",
		"created_at=gt.yesterday":                "created_at: is not a timestamp",
		"org_id=1":                               "org_id",
		"org_id=eq":                              "org_id: is not a number",
		"org_id=eq.":                             "org_id: is not a number",
		"org_id=eq.acme":                         "org_id: is not a number",
		"org_id=in.1":                            "org_id",
		"org_id=in.(1,x)":                        "org_id: is not a number",
		"project_id=eq.$(projectid)":             "project_id",
		"org_id=not.eq.1":                        "org_id",
		"id=eq.1.5":                              "id: is not a number",
		"is_personal=eq.1":                       "is_personal: is not true or false",
		"is_personal=true":                       "is_personal",
		"name=x":                                 "name",
		"name=like.x":                            "name",
		"name=ilike." + strings.Repeat("*", 401): "name: is too long",
		"order=secret.asc":                       "order: can't be like that",
		"order=name.up":                          "order: can't be like that",
		"order=":                                 "order: can't be like that",
		"limit=-1":                               "limit: is not a number of rows",
		"limit=ten":                              "limit: is not a number of rows",
		"limit=":                                 "limit: is not a number of rows",
		"offset=1e3":                             "offset: is not a number of rows",
		"name=fts(simple)." + strings.Repeat("x", 401): "name: is too long",
		"%zz": "not well formed",
		"a;b": "not well formed",
	} {
		t.Run(query, func(t *testing.T) {
			l.wantError(l.send("GET api_tokens?"+query, "", as("ann")), 400, says)
		})
	}
}

// A list does not end where a page of the views does.
func TestLabTokenQueryOfMany(t *testing.T) {
	l := newLab(t)
	l.makeRoom()
	var last domain.Position
	for i := range labPage + 2 {
		command := domain.IssueToken{Kind: domain.Personal, Name: fmt.Sprint("token ", i)}
		command.Token, command.Hash = l.secret("one of many", domain.Personal)
		done, err := l.Model.Execute(t.Context(), domain.Meta{Organization: l.acme, Actor: l.actors["mia"]}, command)
		l.must(err)
		last = done.Position
	}
	l.must(l.Views.Wait(t.Context(), last))
	for query, want := range map[string]string{
		"":                           fmt.Sprintf("0-%d/%d", labPage+2, labPage+3),
		"order=id.asc&limit=1":       fmt.Sprintf("0-0/%d", labPage+3),
		"offset=250&limit=10":        fmt.Sprintf("250-252/%d", labPage+3),
		"name=ilike.token%2019_":     "0-9/10",
		"order=id.asc&name=eq.x":     "*/0",
		fmt.Sprint("id=lt.", last-1): fmt.Sprintf("0-%d/%d", labPage, labPage+1),
	} {
		if got := l.send("GET api_tokens?"+query, "", as("mia"), "Prefer: count=exact"); got.header.Get("Content-Range") != want {
			t.Errorf("%s: %d, Content-Range %q, want %q", query, got.status, got.header.Get("Content-Range"), want)
		}
	}
}

// Whatever is read as an expiry is a moment, and none is read as no expiry.
func FuzzLabExpires(f *testing.F) {
	for _, seed := range []string{"2027-11-22", "20271122T235959-0330", "2027-11-22T23:59:59Z", "2027-02-29", "1970-01-01T00:00:00Z", "0001-01-01T00:00:00Z"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		at, err := labExpires(text)
		if (err == nil) == (at == 0) {
			t.Errorf("%q: %v, %v", text, at, err)
		}
	})
}

// A pattern is refused or compiled, and finds what is written like it.
func FuzzLabPattern(f *testing.F) {
	for _, seed := range []string{"ci*", "%", `\`, `\*`, "(?i)", "[a", "a{1000}", "\xff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, like string) {
		pattern, err := labPattern("name", like)
		if err == nil && !strings.ContainsAny(like, "\\*%_") && !pattern.MatchString(like) {
			t.Errorf("%q does not match itself as %s", like, pattern)
		}
	})
}
