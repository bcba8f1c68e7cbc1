package http

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"jeton/domain"
)

const recordsOfAcme = "/api/v1/organizations/acme/records"

// hasReport is a report of acme with a file, as postgres-checkup sends them: {report}
// and {file} are their numbers.
func hasReport(report, file string) func(*world) {
	return func(w *world) {
		w.Helper()
		w.names[report] = number(w.sends("ann", "checkup_report_create", `{"project":"orders","epoch":"1"}`)["report_id"])
		w.names[file] = number(w.sends("ann", "checkup_report_file_post",
			`{"checkup_report_id":{`+report+`},"filename":"A001_x.json","data":"{\"a\":1}","type":"json"}`)["report_chunck_id"])
	}
}

// sends calls a function of the dialect, which must not fail.
func (w *world) sends(as, function, arguments string) map[string]any {
	w.Helper()
	reply := w.send(as, "POST /api/general/rpc/"+function, arguments)
	if reply.status != 200 {
		w.Fatalf("%s as %s: status %d: %s", function, as, reply.status, reply.body)
	}
	return reply.object(w)
}

func TestRecords(t *testing.T) {
	w := newWorld(t)
	hasReport("report", "file")(w)
	hasReport("other", "another")(w)
	w.sends("zed", "checkup_report_create", `{"project":"orders"}`)
	kinds := func(query string) (ids []string) {
		for _, item := range w.send("ada", "GET "+recordsOfAcme+query, "").object(w)["items"].([]any) {
			ids = append(ids, number(item.(map[string]any)["id"]))
		}
		return ids
	}
	for query, want := range map[string]string{
		"":                           "{another} {other} {file} {report}",
		"?kind=checkup-report":       "{other} {report}",
		"?kind=joe-message":          "",
		"?parent={report}":           "{file}",
		"?parent=999":                "",
		"?project=orders":            "{other} {report}",
		"?project=other":             "",
		"?limit=1":                   "{another}",
		"?kind=checkup-file&limit=5": "{another} {file}",
	} {
		if got := strings.Join(kinds(query), " "); got != w.filled(want) {
			t.Errorf("%s: got %s, want %s", query, got, w.filled(want))
		}
	}
	w.refused("ada", "GET "+recordsOfAcme+"?kind=nothing", "", []int{422})
	w.refused("ada", "GET "+recordsOfAcme+"?parent=x", "", []int{422})
}

func TestRecordShow(t *testing.T) {
	w := newWorld(t)
	hasReport("report", "file")(w)
	golden(t, "testdata/record.golden", w.pretty(w.send("ada", "GET "+recordsOfAcme+"/{file}", "").body)+"\n"+
		w.pretty(w.send("ada", "GET "+recordsOfAcme+"/{report}", "").body)+"\n"+
		w.pretty(w.send("ada", "GET /api/v1/organizations/acme/projects", "").body)+"\n")
	for _, id := range []string{"0", "999", "x", "-1", "{mia}", "1e3"} {
		w.refused("ada", "GET "+recordsOfAcme+"/"+id, "", []int{404})
	}
}

// A file comes back as it was sent, as a file to be kept, with its length and digest.
func TestRecordContent(t *testing.T) {
	w := newWorld(t)
	hasReport("report", "file")(w)
	got := w.send("ada", "GET "+recordsOfAcme+"/{file}/content/data", "")
	sum := sha256.Sum256([]byte(`{"a":1}`))
	for name, want := range map[string]string{
		"Content-Type": "application/json", "Content-Length": "7", "X-Content-Type-Options": "nosniff",
		"Content-Disposition": fmt.Sprintf(`attachment; filename="%s-data"`, w.names["file"]),
		"Digest":              "sha-256=" + base64.StdEncoding.EncodeToString(sum[:]),
	} {
		if got.header.Get(name) != want {
			t.Errorf("%s: got %q, want %q", name, got.header.Get(name), want)
		}
	}
	if got.status != 200 || got.body != `{"a":1}` {
		t.Errorf("got %d %s", got.status, got.body)
	}
	for _, what := range []string{"{file}/content/nothing", "{report}/content/data", "999/content/data"} {
		w.refused("ada", "GET "+recordsOfAcme+"/"+what, "", []int{404})
	}
}

// Pages are never shown as what their sender says they are.
func TestRecordContentIsNoPage(t *testing.T) {
	w := newWorld(t)
	hasReport("report", "file")(w)
	page := w.sends("ann", "checkup_report_file_post", `{"checkup_report_id":{report},"filename":"x.html","data":"<script>","type":"html"}`)
	got := w.send("ada", "GET "+recordsOfAcme+"/"+number(page["report_chunk_id"])+"/content/data", "")
	if got.header.Get("Content-Type") != "text/plain; charset=utf-8" || got.body != "<script>" {
		t.Errorf("got %v %s", got.header, got.body)
	}
}

// What is gone from the objects, or is there and is something else, is an error and
// never an answer that looks whole.
func TestRecordContentDamaged(t *testing.T) {
	w := newWorld(t)
	hasReport("report", "file")(w)
	content := w.content(w.names["file"])
	w.must(w.server.Objects.Delete(t.Context(), content.Object))
	w.refused("ada", "GET "+recordsOfAcme+"/{file}/content/data", "", []int{500})
	_, err := w.server.Objects.Put(t.Context(), content.Object, strings.NewReader(`{"a":2}`), 100)
	w.must(err)
	w.refused("ada", "GET "+recordsOfAcme+"/{file}/content/data", "", []int{500})
	if got := w.send("ada", "GET /api/general/checkup_report_file_data?id=eq.{file}", ""); got.status != 500 || !strings.Contains(got.body, `"message"`) {
		t.Errorf("in a view: %d %s", got.status, got.body)
	}
}

// content is the file of a record.
func (w *world) content(record string) domain.Content {
	w.Helper()
	org, _ := w.model.Find("acme")
	row, err := w.views.Record(w.Context(), org, position(record))
	w.must(err)
	return row.Content[0]
}

// An object that turns out to be damaged while it is read breaks the answer off.
func TestRecordContentBreaksOff(t *testing.T) {
	w := newWorld(t)
	hasReport("report", "file")(w)
	w.server.Objects = rotten{w.server.Objects}
	defer func() {
		if recover() != http.ErrAbortHandler {
			t.Error("the answer looks whole")
		}
	}()
	w.send("ada", "GET "+recordsOfAcme+"/{file}/content/data", "")
}

func TestRecordDelete(t *testing.T) {
	w := newWorld(t)
	hasReport("report", "file")(w)
	if got := w.send("ann", "DELETE "+recordsOfAcme+"/{report}?reason=old", ""); got.status != 204 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	for _, id := range []string{"{report}", "{file}"} {
		w.refused("ann", "GET "+recordsOfAcme+"/"+id, "", []int{404})
		w.refused("ann", "DELETE "+recordsOfAcme+"/"+id, "", []int{404})
	}
}

// Who may announce a program may take that back, and nothing else.
func TestRecordDeleteByWhoSent(t *testing.T) {
	w := newWorld(t)
	hasReport("report", "file")(w)
	joe := number(w.sends("mia", "joe_instance_create", `{"org_id":1,"url":"https://joe.test","token":"s"}`)["id"])
	w.refused("mia", "DELETE "+recordsOfAcme+"/{report}", "", []int{403})
	w.refused("ada", "DELETE "+recordsOfAcme+"/"+joe, "", []int{403})
	if got := w.send("mia", "DELETE "+recordsOfAcme+"/"+joe, ""); got.status != 204 {
		t.Errorf("%d %s", got.status, got.body)
	}
}

// What is too long for the log is null among the facts and a file.
func TestRecordLongFacts(t *testing.T) {
	w := newWorld(t)
	long := strings.Repeat("x", mostFact+1)
	session := number(w.sends("ann", "joe_session_create", `{"project_name":"orders"}`)["session_id"])
	query, _ := json.Marshal(long)
	command := w.sends("ann", "joe_session_command_post", `{"session_id":"`+session+`","command":"explain","query":`+string(query)+`}`)
	shown := w.send("ada", "GET "+recordsOfAcme+"/"+number(command["command_id"]), "").object(w)
	facts, content := shown["facts"].(map[string]any), shown["content"].([]any)
	if query, there := facts["query"]; !there || query != nil || facts["command"] != "explain" || len(content) != 1 || content[0].(map[string]any)["size"] != float64(len(long)) {
		t.Errorf("%v", shown)
	}
}
