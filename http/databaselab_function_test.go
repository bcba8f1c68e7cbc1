package http

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"jeton/domain"
	"jeton/eventstore"
)

// labKept is what programs have sent in both organizations, by name: $report is the
// number of acme's, $report' of beta's.
type labKept map[string]any

// programs sends one of everything, as somebody of each organization.
func (l *lab) programs() labKept {
	l.Helper()
	kept := labKept{}
	for _, of := range [][2]string{{"ann", ""}, {"zoe", "'"}} {
		caller, mark := of[0], of[1]
		call := func(function, arguments string) map[string]any { return l.call(caller, function, kept.fill(arguments)) }
		own := l.number(map[string]domain.OrganizationID{"": l.acme, "'": l.beta}[mark])
		kept["org"+mark] = float64(own)
		kept["report"+mark] = call("checkup_report_create", `{"project":"orders","epoch":"7"}`)["report_id"]
		kept["file"+mark] = call("checkup_report_file_post", `{"checkup_report_id":$report`+mark+`,"filename":"A001_x.json","data":"{}","type":"json"}`)["report_chunck_id"]
		kept["observed"+mark] = call("dblab_session_start", `{"instance_id":"i","clone_id":"c","started_at":"2026-11-22 12:00:00 UTC","config":{},"tags":{}}`)["id"]
		kept["joe"+mark] = call("joe_instance_create", fmt.Sprintf(`{"org_id":%d,"url":"https://joe.test","token":"signing","project":"orders"}`, own))["id"]
		kept["session"+mark] = call("joe_session_create", `{"project_name":"orders","user_id":"U1","user_name":"eve","channel_id":"C1"}`)["session_id"]
		kept["command"+mark] = call("joe_session_command_post", `{"session_id":"$session`+mark+`","command":"explain","query":"select 1"}`)["command_id"]
		kept["message"+mark] = call("joe_message_post", `{"command_id":"$command`+mark+`","message_id":"","text":"hi","status":"","session_id":""}`)["message_id"]
	}
	return kept
}

// fill puts the numbers into arguments.
func (kept labKept) fill(arguments string) string {
	names := slices.SortedFunc(maps.Keys(kept), func(a, b string) int { return len(b) - len(a) })
	for _, name := range names {
		arguments = strings.ReplaceAll(arguments, "$"+name, fmt.Sprint(kept[name]))
	}
	return arguments
}

// call calls a function, which must not fail.
func (l *lab) call(caller, function, arguments string) map[string]any {
	l.Helper()
	got := l.send("POST rpc/"+function, arguments, as(caller))
	if got.status != 200 || got.header.Get("Content-Type") != "application/json" {
		l.Fatalf("%s as %s: %d %s", function, caller, got.status, got.text)
	}
	fields := got.object(l.T)
	for _, key := range []string{"code", "message", "details", "hint"} {
		if _, there := fields[key]; there {
			l.Errorf("%s: a success with the key %s is a failure to its clients: %s", function, key, got.text)
		}
	}
	return fields
}

// labFunctions are good calls of all functions that programs call with an object: what
// they send, what of it must be there, what of it is a number of something, and what
// they need.
var labFunctions = map[string]struct {
	arguments string
	needed    []string
	ids       []string
	unless    []string // keys that take values of any type
	needs     domain.Permission
}{
	"telemetry_event":              {`{"instance_id":"i","event_type":"engine_started","event_data":{"a":1}}`, []string{"event_type"}, nil, []string{"event_data"}, domain.LabTelemetry},
	"telemetry_usage":              {`{"selfassigned_instance_id":"i","event_data":{"cpu":1,"total_memory":2,"data_size":3}}`, []string{"selfassigned_instance_id", "event_data"}, nil, nil, domain.LabTelemetry},
	"dblab_instance_register":      {`{"selfassigned_instance_id":"dc159j9ksduc9ov7k8lg","project_name":"new"}`, []string{"selfassigned_instance_id"}, nil, nil, domain.LabInstances},
	"monitoring_instance_register": {`{"project_name":"new"}`, []string{"project_name"}, nil, nil, domain.LabInstances},
	"dblab_session_start": {`{"instance_id":"i","clone_id":"c","started_at":"2026-11-22 12:00:00 UTC","config":{"observation_interval":10},"tags":{"branch":"main"}}`, []string{"started_at"},
		nil, []string{"config"}, domain.LabSessions},
	"dblab_session_stop": {`{"id":$observed,"finished_at":"2026-11-22 12:01:00 UTC","result":{"status":"passed","intervals":null,"summary":{"total_duration":60.5}}}`, []string{"id", "finished_at"},
		[]string{"id"}, nil, domain.LabSessions},
	"joe_instance_create":       {`{"org_id":$org,"url":"https://other.test","token":"s","project":"orders","ssh_server_url":"","use_tunnel":false,"dry_run":false}`, []string{"url"}, []string{"org_id"}, nil, domain.LabJoe},
	"joe_instance_destroy":      {`{"instance_id":$joe}`, []string{"instance_id"}, []string{"instance_id"}, nil, domain.LabJoe},
	"joe_session_create":        {`{"project_name":"orders","user_id":"U1","user_name":"eve","channel_id":"C1"}`, nil, nil, nil, domain.LabJoe},
	"joe_message_post":          {`{"command_id":"$command","message_id":"$message","text":"t","status":"running","session_id":"$session"}`, nil, []string{"message_id"}, nil, domain.LabJoe},
	"joe_message_artifact_post": {`{"message_id":"$message","title":"plan-json","content":"x"}`, []string{"message_id"}, []string{"message_id"}, nil, domain.LabJoe},
	"joe_session_command_post": {`{"session_id":"$session","command":"explain","query":"select 1","response":"","plan_text":"p","plan_json":"[]","plan_execution_text":"","plan_execution_json":"",
		"recommendations":"","stats":"","query_locks":"","error":"","timestamp":"1"}`, []string{"session_id"}, []string{"session_id"}, nil, domain.LabJoe},
	"joe_command_favorite":  {`{"command_id":$command,"favorite":true}`, []string{"command_id", "favorite"}, []string{"command_id"}, nil, domain.LabJoe},
	"checkup_report_create": {`{"project":"orders","epoch":"1"}`, []string{"project"}, nil, []string{"epoch"}, domain.LabCheckup},
	"checkup_report_file_post": {`{"checkup_report_id":$report,"check_id":"","filename":"A001.md","data":"x","type":"md","generate_issue":false}`, []string{"checkup_report_id", "filename", "data", "type"},
		[]string{"checkup_report_id"}, nil, domain.LabCheckup},
	"joe_session_delete":    {`{"ids":[$session]}`, []string{"ids"}, nil, nil, domain.LabDelete},
	"joe_command_delete":    {`{"ids":[$command]}`, []string{"ids"}, nil, nil, domain.LabDelete},
	"checkup_report_delete": {`{"ids":[$report]}`, []string{"ids"}, nil, nil, domain.LabDelete},
	"user_invite_org_user":  {`{"org_id":$org,"email":"new@acme.test"}`, []string{"org_id", "email"}, []string{"org_id"}, nil, domain.MembersAdd},
	"user_update_org_user":  {`{"org_id":$org,"user_id":$mia,"role_id":1}`, []string{"org_id", "user_id", "role_id"}, []string{"org_id", "user_id"}, nil, domain.MembersUpdate},
	"user_delete_org_user":  {`{"org_id":$org,"user_id":$mia}`, []string{"org_id", "user_id"}, []string{"org_id", "user_id"}, nil, domain.MembersRemove},
}

// objects is how many files are kept.
func (l *lab) objects() (n int) {
	l.Helper()
	l.must(l.Objects.List(l.Context(), func(eventstore.Object) error { n++; return nil }))
	return n
}

// nothing runs do and complains if the log has grown or a file is kept.
func (l *lab) nothing(do func()) {
	l.Helper()
	before := l.objects()
	l.unchanged(do)
	if after := l.objects(); after != before {
		l.Errorf("there were %d files and there are %d", before, after)
	}
}

// Whatever is missing, null, of another type or of another organization is an error in
// the shape that clients know, and changes nothing.
func TestLabFunctionsRefuse(t *testing.T) {
	l := newLab(t)
	kept := l.programs()
	mia, _ := l.Model.Account(l.actors["mia"].Account)
	kept["mia"] = mia.Number
	for function, good := range labFunctions {
		t.Run(function, func(t *testing.T) {
			with := func(key string, value any) string {
				var arguments map[string]any
				l.must(json.Unmarshal([]byte(kept.fill(good.arguments)), &arguments))
				if arguments[key] = value; value == nil {
					delete(arguments, key)
				}
				text, err := json.Marshal(arguments)
				l.must(err)
				return string(text)
			}
			refused := func(what, arguments string, statuses ...int) {
				t.Helper()
				l.nothing(func() {
					got := l.send("POST rpc/"+function, arguments, as("ann"))
					if !slices.Contains(statuses, got.status) {
						t.Errorf("%s: %d %s, want %v", what, got.status, got.text, statuses)
					}
					l.wantError(got, got.status, "")
				})
			}
			for _, key := range good.needed {
				refused("without "+key, with(key, nil), 400)
				refused(key+" null", strings.Replace(with(key, "NULL"), `"NULL"`, "null", 1), 400)
			}
			var arguments map[string]any
			l.must(json.Unmarshal([]byte(kept.fill(good.arguments)), &arguments))
			for key, value := range arguments {
				if slices.Contains(good.unless, key) {
					continue
				}
				wrong := []any{[]any{1.5}, map[string]any{"x": map[string]any{}}}
				switch value.(type) {
				case string:
					wrong = append(wrong, true)
				case float64:
					wrong = append(wrong, true, 1.5, -1, "x", "1x", 1e30)
				case bool:
					wrong = append(wrong, "true", 1)
				case map[string]any:
					wrong = []any{"x", 1, true, []any{}}
				case []any:
					wrong = []any{"x", 1, true, map[string]any{}, []any{true}, []any{"x"}, []any{1.5}, []any{-1}, []any{0}, []any{}}
				}
				for _, value := range wrong {
					refused(fmt.Sprintf("%s as %v", key, value), with(key, value), 400, 404)
				}
			}
			for _, id := range good.ids {
				for _, value := range []any{9999999, "9999999", uint64(1 << 62), kept["report'"], kept["session'"], kept["command'"], kept["message'"], kept["joe'"], kept["observed'"], kept["file'"]} {
					refused(fmt.Sprintf("%s %v", id, value), with(id, value), 404)
				}
			}
			for _, bad := range []string{"", "null", "[]", `"x"`, "{", `{"no_such_argument":1}`, "{}{}", "\xff"} {
				if bad != "null" || good.needed != nil {
					refused(bad, bad, 400)
				}
			}
		})
	}
}

// Numbers of another organization are not there, one by one or among others.
func TestLabDeletesNothingOfOthers(t *testing.T) {
	l := newLab(t)
	kept := l.programs()
	for function, ids := range map[string]string{"checkup_report_delete": "report", "joe_session_delete": "session", "joe_command_delete": "command"} {
		for _, list := range []string{"[$" + ids + "']", "[$" + ids + ",$" + ids + "']", "[$file]", "[9999999]"} {
			l.nothing(func() {
				l.wantError(l.send("POST rpc/"+function, `{"ids":`+kept.fill(list)+`}`, as("ann")), 404, "there is no such")
			})
		}
	}
}

// Who may call what is a permission like any other: by roles of people, and by the
// ready-made ones of engines, of Joe, and of what is documented.
func TestLabFunctionsNeedPermissions(t *testing.T) {
	l := newLab(t)
	kept := l.programs()
	mia, _ := l.Model.Account(l.actors["mia"].Account)
	kept["mia"] = mia.Number
	for _, role := range []domain.Role{"engine", "joe", "database-lab", "schema-only", "general:read"} {
		l.issue(string(role), "ann", domain.IssueToken{Kind: domain.Administrative, Never: true, Terms: domain.Terms{Grant: domain.Grant{Access: domain.ByRole, Role: role}}})
	}
	lab := []domain.Permission{domain.LabJoe, domain.LabCheckup, domain.LabTelemetry, domain.LabSessions, domain.LabInstances}
	may := map[string][]domain.Permission{
		"mia": lab, "robot": lab, "database-lab": lab, "ada": nil, "schema-only": nil, "general:read": nil, "joe": {domain.LabJoe},
		"engine": {domain.LabTelemetry, domain.LabSessions, domain.LabInstances},
	}
	for function, good := range labFunctions {
		for caller, has := range may {
			if function == "user_delete_org_user" && caller == "mia" {
				continue // everybody may leave
			}
			if slices.Contains(has, good.needs) {
				continue
			}
			l.nothing(func() { l.wantError(l.send("POST rpc/"+function, kept.fill(good.arguments), as(caller)), 403, "") })
		}
	}
	for _, caller := range []string{"mia", "robot", "database-lab", "joe", "engine"} {
		own := labKept{}
		maps.Copy(own, kept)
		if slices.Contains(may[caller], domain.LabJoe) { // what one has sent is not another's to change
			own["joe"] = l.call(caller, "joe_instance_create", kept.fill(`{"org_id":$org,"url":"https://`+caller+`.test"}`))["id"]
			own["message"] = l.call(caller, "joe_message_post", kept.fill(`{"session_id":"$session","text":"x"}`))["message_id"]
		}
		if slices.Contains(may[caller], domain.LabSessions) {
			own["observed"] = l.call(caller, "dblab_session_start", `{"started_at":"2026-11-22 12:00:00 UTC"}`)["id"]
		}
		for function, good := range labFunctions {
			if slices.Contains(may[caller], good.needs) && function != "joe_instance_destroy" {
				l.call(caller, function, own.fill(good.arguments))
			}
		}
		if own["joe"] != kept["joe"] {
			l.call(caller, "joe_instance_destroy", own.fill(`{"instance_id":$joe}`))
		}
	}
	for function, arguments := range map[string]string{
		"joe_message_post": `{"message_id":"$message","text":"x"}`, "dblab_session_stop": `{"id":$observed,"finished_at":"2026-11-22 12:00:00 UTC"}`, "joe_instance_destroy": `{"instance_id":$joe}`,
	} {
		l.nothing(func() { l.wantError(l.send("POST rpc/"+function, kept.fill(arguments), as("robot")), 403, "") })
	}
}

// Every view needs a token that may read it, and shows nothing of others.
func TestLabViewsNeedPermissions(t *testing.T) {
	l := newLab(t)
	l.programs()
	l.issue("engine", "ann", domain.IssueToken{Kind: domain.Administrative, Never: true, Terms: domain.Terms{Grant: domain.Grant{Access: domain.ByRole, Role: "engine"}}})
	for _, r := range (l.Server).databaseLabRoutes() {
		view, is := strings.CutPrefix(r.pattern, "GET /api/general/")
		if !is || r.access.who == anybody || strings.HasPrefix(view, "rpc/") {
			continue
		}
		if view == "dblab_session_logs" {
			view += "?dblab_session_id=eq.1"
		}
		l.wantError(l.send("GET "+view, ""), 401, "no-credential")
		if len(r.access.needs) > 0 {
			l.wantError(l.send("GET "+view, "", as("engine")), 403, r.access.needs[0].String())
		}
		for _, caller := range []string{"ann", "ada"} {
			if got := l.send("GET "+view, "", as(caller)); got.status != 200 || got.text[0] != '[' {
				t.Errorf("%s as %s: %d %s", view, caller, got.status, got.text)
			}
		}
		if got := l.send(fmt.Sprintf("GET %s%corg_id=eq.%d", view, map[bool]byte{true: '&', false: '?'}[strings.Contains(view, "?")], l.number(l.beta)), "", as("ann")); got.status == 200 && got.text != "[]\n" {
			t.Errorf("%s of another organization: %s", view, got.text)
		}
	}
}

// What clients get has the keys that they need, numbers where they need numbers, and
// strings where they need strings.
func TestLabAnswers(t *testing.T) {
	l := newLab(t)
	kept := l.programs()
	var answers strings.Builder
	for _, call := range []string{
		`telemetry_event {"instance_id":"i","event_type":"engine_started","event_data":{"pools":{"number":1}}}`,
		`telemetry_usage {"selfassigned_instance_id":"i","event_data":{"cpu":1,"total_memory":2,"data_size":3}}`,
		`dblab_instance_register {"selfassigned_instance_id":"dc159j9ksduc9ov7k8lg","project_name":"main"}`,
		`dblab_instance_register {"selfassigned_instance_id":"dc159j9ksduc9ov7k8lg","project_name":"main"}`,
		`dblab_instance_register {"selfassigned_instance_id":"dc159j9ksduc9ov7k8la","project_name":""}`,
		`monitoring_instance_register {"project_name":"main"}`,
		`dblab_session_start {"instance_id":"dc159j9ksduc9ov7k8lg","clone_id":"c","started_at":"2026-11-22 12:00:00 UTC","config":{"observation_interval":10},"tags":{"branch":"main"}}`,
		`dblab_session_stop {"id":$observed,"finished_at":"2026-11-22 12:01:00 UTC","result":{"status":"passed","intervals":null,"summary":{"total_duration":60.5}}}`,
		`joe_instance_create {"org_id":$org,"url":"https://joe.test","token":"signing","project":"orders"}`,
		`joe_instance_create {"org_id":$org,"url":"https://joe.test","token":"signing","project":"orders","dry_run":true}`,
		`joe_session_create {"project_name":"","user_id":"","user_name":"","channel_id":""}`,
		`joe_session_command_post {"session_id":"$session","command":"plan","query":"select 2","plan_json":"[1]","error":"no"}`,
		`joe_message_post {"command_id":"","message_id":"","text":"going","status":"","session_id":"$session"}`,
		`joe_message_post {"command_id":"","message_id":"","text":"alone","status":"","session_id":""}`,
		`joe_message_post {"command_id":"$command","message_id":"$message","text":"done","status":"ok","session_id":""}`,
		`joe_message_artifact_post {"message_id":"$message","title":"plan-text","content":"Seq Scan"}`,
		`joe_command_favorite {"command_id":$command,"favorite":true}`,
		`checkup_report_create {"project":"orders","status":"ready"}`,
		`checkup_report_file_post {"checkup_report_id":$report,"check_id":"","filename":"Full_report.md","data":"# all","type":"md"}`,
		`user_invite_org_user {"org_id":$org,"email":"new@acme.test"}`,
		`joe_instance_destroy {"instance_id":$joe}`,
	} {
		function, arguments, _ := strings.Cut(kept.fill(call), " ")
		text, err := json.Marshal(l.call("ann", function, arguments))
		l.must(err)
		fmt.Fprintf(&answers, "POST %s\n%s\n\n", call, text)
	}
	for _, view := range []string{
		"projects", "dblab_instances", "orgs", "dblab_sessions", "joe_instances", "joe_sessions", "joe_session_commands", "joe_messages", "joe_message_artifacts",
		"checkup_reports", "checkup_report_files?order=id.asc", "checkup_report_file_data?type=eq.md", "dblab_se_images?package_group=eq.x", "org_keys", "org_users?id=eq.$org",
		"joe_session_commands?select=id,command,query&tsv=fts(simple).select&is_favorite=gt.0", "joe_messages?session_id=eq.$session&channel_id=eq.C1&select=id,message,status,delivery_status",
		"rpc/joe_instance_channels_get?instance_id=$joe'",
	} {
		got := l.send("GET "+kept.fill(view), "", as(map[bool]string{true: "zoe", false: "ann"}[strings.Contains(view, "'")]))
		if got.status != 200 {
			t.Errorf("%s: %d", view, got.status)
		}
		fmt.Fprintf(&answers, "GET %s\n%s\n", view, pretty(t, got.text))
	}
	golden(t, "testdata/databaselab.golden", answers.String())
}

func pretty(t *testing.T, text string) string {
	t.Helper()
	var value any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	indented, _ := json.MarshalIndent(value, "", "  ") // it was JSON
	return string(indented)
}

// Telemetry of an engine as it is installed comes without a token: it is answered and
// not kept. A token that is not good is an error all the same.
func TestLabTelemetryOfNobody(t *testing.T) {
	l := newLab(t)
	const event = `{"instance_id":"","event_type":"engine_started","event_data":{}}`
	l.nothing(func() {
		if got := l.send("POST rpc/telemetry_event", event); got.status != 200 || got.text != "{}\n" {
			t.Errorf("got %d %s", got.status, got.text)
		}
		l.wantError(l.send("POST rpc/telemetry_event", event, "Access-Token: {robot}x"), 401, "bad-credential")
		l.wantError(l.send("POST rpc/telemetry_event", event, "Org-Key: {robot}x"), 401, "bad-credential")
		l.wantError(l.send("POST rpc/telemetry_event", event, as("ada")), 403, "database-lab.telemetry")
		l.wantError(l.send("POST rpc/telemetry_event", `{`), 400, "not JSON")
		l.wantError(l.send("POST rpc/telemetry_usage", `{"selfassigned_instance_id":"i","event_data":{}}`), 401, "no-credential")
	})
}

// The key of an organization is any of its administrative tokens: alone, or beside a
// token of the same organization.
func TestLabOrgKey(t *testing.T) {
	l := newLab(t)
	l.issue("key", "ann", domain.IssueToken{Kind: domain.Administrative, Never: true})
	l.revoke(l.issue("old key", "ann", domain.IssueToken{Kind: domain.Administrative, Never: true}))
	for name, c := range map[string]struct {
		headers []string
		status  int
	}{
		"alone":                         {[]string{"Org-Key: {key}"}, 200},
		"in small letters":              {[]string{"org-key: {key}"}, 200},
		"beside another token":          {[]string{"Org-Key: {key}", as("mia")}, 200},
		"beside itself":                 {[]string{"Org-Key: {key}", as("key")}, 200},
		"twice":                         {[]string{"Org-Key: {key}", "Org-Key: {key}"}, 200},
		"two that differ":               {[]string{"Org-Key: {key}", "Org-Key: {robot}"}, 400},
		"beside a foreign token":        {[]string{"Org-Key: {key}", as("zoe")}, 401},
		"beside a bad token":            {[]string{"Org-Key: {key}", "Access-Token: x"}, 401},
		"personal":                      {[]string{"Org-Key: {mia}"}, 401},
		"personal, beside itself":       {[]string{"Org-Key: {mia}", as("mia")}, 401},
		"revoked":                       {[]string{"Org-Key: {old key}"}, 401},
		"revoked, beside a good token":  {[]string{"Org-Key: {old key}", as("mia")}, 401},
		"nonsense":                      {[]string{"Org-Key: x"}, 401},
		"nonsense, beside a good token": {[]string{"Org-Key: x", as("mia")}, 401},
		"empty":                         {[]string{"Org-Key: "}, 401},
	} {
		t.Run(name, func(t *testing.T) {
			got := l.send(labCheckPath, `{"token":"{mia}"}`, c.headers...)
			if got.status != c.status {
				t.Errorf("got %d %s, want %d", got.status, got.text, c.status)
			}
			if view := l.send("GET projects", "", c.headers...); view.status != c.status {
				t.Errorf("in a view: %d %s, want %d", view.status, view.text, c.status)
			}
		})
	}
	usage := l.send("POST rpc/telemetry_usage", `{"selfassigned_instance_id":"i","event_data":{"cpu":1,"total_memory":2,"data_size":3}}`, "Org-Key: {key}")
	l.wantObject(usage, map[string]any{"result": "OK", "billing_active": true,
		"recognized_org": map[string]any{"id": float64(l.number(l.acme)), "name": "acme", "alias": "acme", "priveleged_until": nil}})
}

// What postgres-checkup and the monitoring send in the body is a credential there, and
// one that differs from the header is refused.
func TestLabCredentialsInBodies(t *testing.T) {
	l := newLab(t)
	for body, want := range map[string]int{
		`checkup_report_create {"access_token":"{robot}","project":"p","epoch":"1"}`:                     200,
		`checkup_report_create {"access_token":"{mia}","project":"p"}`:                                   200,
		`checkup_report_create {"access_token":"","project":"p"}`:                                        401,
		`checkup_report_create {"project":"p"}`:                                                          401,
		`monitoring_instance_register {"api_token":"{robot}","project_name":"p"}`:                        200,
		`monitoring_instance_register {"api_token":"{robot}x","project_name":"p"}`:                       401,
		`monitoring_instance_register {"api_token":"{robot}","access_token":"{mia}","project_name":"p"}`: 400,
	} {
		function, arguments, _ := strings.Cut(body, " ")
		if got := l.send("POST rpc/"+function, arguments); got.status != want {
			t.Errorf("%s: %d %s, want %d", body, got.status, got.text, want)
		}
	}
	l.wantError(l.send("POST rpc/checkup_report_create", `{"access_token":"{mia}","project":"p"}`, as("robot")), 400, "two-credentials")
}

// A secret that somebody pastes is not kept.
func TestLabKeepsNoSecrets(t *testing.T) {
	l := newLab(t)
	kept := l.programs()
	l.nothing(func() {
		for function, arguments := range map[string]string{
			"joe_message_post":         `{"session_id":"$session","text":"my token is {mia}"}`,
			"joe_session_command_post": `{"session_id":"$session","query":"select '{mia}'"}`,
			"telemetry_event":          `{"event_type":"alert","event_data":{"message":"{mia}"}}`,
			"dblab_session_start":      `{"started_at":"2026-11-22 12:00:00 UTC","tags":{"x":"{mia}"}}`,
		} {
			l.wantError(l.send("POST rpc/"+function, kept.fill(arguments), as("robot")), 400, "secret")
		}
	})
}

// What has two meanings, or would hide something in a list, is refused.
func TestLabFactsAreReadOneWay(t *testing.T) {
	l := newLab(t)
	for _, data := range []string{`{"a":1,"a":2}`, `{"a":"\u0000"}`, strings.Repeat(`{"a":`, 60) + "1" + strings.Repeat("}", 60)} {
		l.nothing(func() {
			l.wantError(l.send("POST rpc/telemetry_event", `{"event_type":"x","event_data":`+data+`}`, as("robot")), 400, "more than one way")
		})
	}
}

// The check of a file is what its name begins with.
func TestLabCheckID(t *testing.T) {
	for name, want := range map[string]string{
		"A001_system_information.json": "A001", "A001.md": "", "Full_report.md": "Full", "1_1.sql": "", "nodes.json": "", "": "",
	} {
		if got := (reportFilePost{Filename: &name}).checkID(); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if got := (reportFilePost{Filename: new("A001_x.json"), CheckID: "K000"}).checkID(); got != "K000" {
		t.Errorf("got %q, though somebody said", got)
	}
}

// Long texts come back as they were sent, also when a short one takes their place.
func TestLabLongTexts(t *testing.T) {
	l := newLab(t)
	kept := l.programs()
	read := func() string {
		var rows []map[string]any
		l.must(json.Unmarshal([]byte(l.send("GET joe_messages?id=eq."+fmt.Sprint(kept["message"]), "", as("ada")).text), &rows))
		return fmt.Sprint(rows[0]["message"])
	}
	for _, text := range []string{strings.Repeat("long ", 5000), "short", strings.Repeat("ä", 5000), strings.Repeat("ü", 100_000), ""} {
		body, err := json.Marshal(map[string]any{"message_id": kept["message"], "text": text, "status": "ok"})
		l.must(err)
		l.call("ann", "joe_message_post", string(body))
		if got := read(); got != text {
			t.Errorf("got %d bytes, want %d", len(got), len(text))
		}
	}
}

// rotten has objects that turn out to be damaged while they are read.
type rotten struct{ eventstore.Objects }

func (r rotten) Get(ctx context.Context, name string) (eventstore.Object, io.ReadCloser, error) {
	object, _, err := r.Objects.Get(ctx, name)
	return object, io.NopCloser(io.MultiReader(strings.NewReader("{"), failing{eventstore.ErrCorrupt})), err
}
