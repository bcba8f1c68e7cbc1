package http

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"jeton/domain"
	"jeton/eventstore"
)

const labCSV = "log_time,user_name,message,query,unknown\n" +
	"2026-11-22 12:00:00 UTC,joe,\"two\nlines\",select 1,x\n" +
	"2026-11-22 12:00:01 UTC,joe,last,,\n"

// observed is a session of acme with a log and two artifacts of a type, as the engine
// sends them.
func (l *lab) observed() (session string) {
	l.Helper()
	session = number(l.call("robot", "dblab_session_start", `{"instance_id":"i","clone_id":"c","started_at":"2026-11-22 12:00:00 UTC","config":{},"tags":{}}`)["id"])
	for _, upload := range []struct{ function, body, header string }{
		{"dblab_session_upload_log", labCSV, "X-PGAI-Part: 1"},
		{"dblab_session_upload_artifact", `{"a":1}`, "X-PGAI-Artifact-Type: pg_stat_slru"},
		{"dblab_session_upload_artifact", `{"a":2}`, "X-PGAI-Artifact-Type: pg_stat_slru"},
		{"dblab_session_upload_artifact", `not JSON`, "X-PGAI-Artifact-Type: objects_size"},
	} {
		if got := l.send("POST rpc/"+upload.function, upload.body, as("robot"), "X-PGAI-Session-ID: "+session, upload.header); got.status != 200 {
			l.Fatalf("%s: %d %s", upload.function, got.status, got.text)
		}
	}
	return session
}

func TestLabUploads(t *testing.T) {
	l := newLab(t)
	session := l.observed()
	rows := func(view string) (rows []map[string]any) {
		l.must(json.Unmarshal([]byte(l.send("GET "+view, "", as("ada")).text), &rows))
		return rows
	}
	lines := rows("dblab_session_logs?dblab_session_id=eq." + session)
	if len(lines) != 2 || lines[0]["message"] != "last" || lines[1]["message"] != "two\nlines" || lines[1]["query"] != "select 1" || lines[1]["id"] != 1.0 || lines[0]["id"] != 2.0 {
		t.Errorf("lines: %v", lines)
	}
	if older := rows("dblab_session_logs?limit=20&id=lt.2&dblab_session_id=eq." + session); len(older) != 1 || older[0]["id"] != 1.0 {
		t.Errorf("older lines: %v", older)
	}
	if artifacts := rows("dblab_session_artifacts?dblab_session_id=eq." + session); len(artifacts) != 3 || artifacts[2]["artifact_size"] != 7.0 || artifacts[2]["artifact_type"] != "pg_stat_slru" {
		t.Errorf("artifacts: %v", artifacts)
	}
	data := rows("dblab_session_artifacts_data?artifact_type=eq.pg_stat_slru&dblab_session_id=eq." + session)
	if len(data) != 2 || fmt.Sprint(data[0]["artifact_data"]) != "map[a:2]" {
		t.Errorf("data: %v", data)
	}
	if other := rows("dblab_session_artifacts_data?artifact_type=eq.objects_size"); other[0]["artifact_data"] != "not JSON" {
		t.Errorf("what is no JSON: %v", other)
	}
	for download, want := range map[string]string{
		"dblab_session_logs_download?dblab_session_id=" + session:                                 labCSV,
		"dblab_session_artifacts_download?artifact_type=pg_stat_slru&dblab_session_id=" + session: `{"a":2}`,
	} {
		got := l.send("GET rpc/"+download, "", as("ada"))
		if got.status != 200 || got.text != want || !strings.HasPrefix(got.header.Get("Content-Disposition"), "attachment; filename=") {
			t.Errorf("%s: %d %v %s", download, got.status, got.header, got.text)
		}
	}
	got := l.send("POST rpc/dblab_session_upload_artifact", "{}", as("robot"), "X-PGAI-Session-ID: "+session, "X-PGAI-Artifact-Type: log_errors")
	l.wantObject(got, map[string]any{"dblab_session_id": got.object(t)["dblab_session_id"], "artifact_time": "2026-11-22T12:00:00Z", "artifact_type": "log_errors"})
	if number(got.object(t)["dblab_session_id"]) != session {
		t.Errorf("the session is %s, not %s", got.text, session)
	}
}

// An upload to nowhere, by nobody or without a type is refused before it is stored.
func TestLabUploadsRefused(t *testing.T) {
	l := newLab(t)
	session := l.observed()
	foreign := number(l.call("zoe", "dblab_session_start", `{"started_at":"2026-11-22 12:00:00 UTC"}`)["id"])
	report := number(l.call("ann", "checkup_report_create", `{"project":"p"}`)["report_id"])
	for name, c := range map[string]struct {
		headers []string
		status  int
	}{
		"no token":            {[]string{"X-PGAI-Session-ID: " + session}, 401},
		"who may not":         {[]string{as("ada"), "X-PGAI-Session-ID: " + session}, 403},
		"no session":          {[]string{as("robot")}, 400},
		"an empty one":        {[]string{as("robot"), "X-PGAI-Session-ID: "}, 400},
		"a word":              {[]string{as("robot"), "X-PGAI-Session-ID: x"}, 400},
		"negative":            {[]string{as("robot"), "X-PGAI-Session-ID: -1"}, 400},
		"too large a number":  {[]string{as("robot"), "X-PGAI-Session-ID: 99999999999999999999"}, 400},
		"one that nobody has": {[]string{as("robot"), "X-PGAI-Session-ID: 999999"}, 404},
		"another's":           {[]string{as("robot"), "X-PGAI-Session-ID: " + foreign}, 404},
		"something else":      {[]string{as("robot"), "X-PGAI-Session-ID: " + report}, 404},
	} {
		t.Run(name, func(t *testing.T) {
			l.nothing(func() {
				l.wantError(l.send("POST rpc/dblab_session_upload_log", labCSV, c.headers...), c.status, "")
				l.wantError(l.send("POST rpc/dblab_session_upload_artifact", "{}", append(c.headers, "X-PGAI-Artifact-Type: pg_stat_slru")...), c.status, "")
			})
		})
	}
	l.nothing(func() {
		for _, kind := range []string{"", "PG", "a b", "../x", strings.Repeat("x", 101)} {
			l.wantError(l.send("POST rpc/dblab_session_upload_artifact", "{}", as("robot"), "X-PGAI-Session-ID: "+session, "X-PGAI-Artifact-Type: "+kind), 400, "Artifact-Type")
		}
		for _, part := range []string{"0", "x", "-1"} {
			l.wantError(l.send("POST rpc/dblab_session_upload_log", labCSV, as("robot"), "X-PGAI-Session-ID: "+session, "X-PGAI-Part: "+part), 400, "X-PGAI-Part")
		}
		for _, request := range []string{
			"rpc/dblab_session_logs_download?dblab_session_id=" + foreign, "rpc/dblab_session_logs_download?dblab_session_id=999", "rpc/dblab_session_artifacts_download?dblab_session_id=" + foreign,
			"rpc/dblab_session_artifacts_download?artifact_type=x&dblab_session_id=" + session, "rpc/checkup_report_json_download?checkup_report_id=" + report,
			"rpc/checkup_report_json_download?checkup_report_id=" + session, "rpc/joe_instance_channels_get?instance_id=" + session,
		} {
			l.wantError(l.send("GET "+request, "", as("ada")), 404, "")
		}
		l.wantError(l.send("GET rpc/dblab_session_logs_download", "", as("ada")), 400, "dblab_session_id")
		l.wantError(l.send("GET dblab_session_logs", "", as("ada")), 400, "dblab_session_id")
	})
}

// A file of exactly the most that is taken comes through both doors; one byte more does
// not, and leaves nothing.
func TestLabLimits(t *testing.T) {
	l := newLab(t)
	session := l.observed()
	report := number(l.call("ann", "checkup_report_create", `{"project":"p"}`)["report_id"])
	file := func(data string) answered {
		return l.send("POST rpc/checkup_report_file_post", `{"access_token":"{ann}","checkup_report_id":`+report+`,"filename":"x.md","type":"md","data":"`+data+`"}`)
	}
	log := func(data string) answered {
		return l.send("POST rpc/dblab_session_upload_log", data, as("robot"), "X-PGAI-Session-ID: "+session)
	}
	most := strings.Repeat("x", labMostContent)
	for name, got := range map[string]answered{"log": log(most), "file": file(most), "file, all escaped": file(strings.Repeat(`\n`, labMostContent))} {
		if got.status != 200 {
			t.Errorf("%s of the most: %d %s", name, got.status, got.text)
		}
	}
	l.nothing(func() {
		l.wantError(log(most+"x"), 413, "bytes")
		l.wantError(file(most+"x"), 413, "bytes")
		l.wantError(file(strings.Repeat("x", 3*labMostContent)), 413, "bytes")
	})
	if got := l.send("GET checkup_report_file_data?limit=1", "", as("ada")); got.status != 200 || len(got.text) < labMostContent {
		t.Errorf("one of the most: %d, %d bytes", got.status, len(got.text))
	}
	l.wantError(l.send("GET checkup_report_file_data", "", as("ada")), 413, "fewer rows")
}

// Nobody who has not shown a token makes us read more than any other request has.
func TestLabLargeBodiesOfStrangers(t *testing.T) {
	l := newLab(t)
	report := number(l.call("ann", "checkup_report_create", `{"project":"p"}`)["report_id"])
	l.secret("never stored", domain.Administrative)
	large := strings.Repeat("x", 2*bodyLimit)
	body := `{"access_token":"%s","checkup_report_id":` + report + `,"filename":"x.md","type":"md","data":"` + large + `"}`
	l.nothing(func() {
		l.wantError(l.send("POST rpc/checkup_report_file_post", fmt.Sprintf(body, "x")), 401, "no-credential")
		l.wantError(l.send("POST rpc/checkup_report_file_post", fmt.Sprintf(body, "{never stored}")), 401, "no-credential")
		l.wantError(l.send("POST rpc/checkup_report_file_post", `{"data":"`+large+`","access_token":"{ann}","checkup_report_id":`+report+`,"filename":"x.md","type":"md"}`), 401, "no-credential")
		l.wantError(l.send("POST rpc/checkup_report_file_post", strings.Replace(body, "%s", "{zoe}", 1)), 404, "not there")
		l.wantError(l.send("POST rpc/checkup_report_file_post", fmt.Sprintf(body, "{mia}"), as("robot")), 400, "two-credentials")
		l.wantError(l.send("POST rpc/checkup_report_file_post", fmt.Sprintf(body, "{robot}")+"{}"), 400, "behind")
		l.wantError(l.send("POST rpc/checkup_report_file_post", strings.Replace(fmt.Sprintf(body, "{robot}"), "xxxxxxxxxx", "\xff", 1)), 400, "UTF-8")
		l.wantError(l.send("POST rpc/checkup_report_file_post", strings.TrimSuffix(fmt.Sprintf(body, "{robot}"), `"}`)+"\xc3"), 400, "")
	})
	if got := l.send("POST rpc/checkup_report_file_post", strings.Replace(fmt.Sprintf(body, "{robot}"), large, strings.Repeat("ä", bodyLimit), 1)); got.status != 200 {
		t.Errorf("letters of several bytes: %d %s", got.status, got.text)
	}
}

// Those who send large things wait for a room, and of one organization only some are
// inside at once, so that there is room for others.
func TestLabRooms(t *testing.T) {
	r := newRooms()
	acme, beta, gamma := domain.OrganizationID{ID: domain.RandomID()}, domain.OrganizationID{ID: domain.RandomID()}, domain.OrganizationID{ID: domain.RandomID()}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	enter := func(org domain.OrganizationID) func() {
		t.Helper()
		leave, err := r.enter(t.Context(), org)
		if err != nil {
			t.Fatal(err)
		}
		return leave
	}
	full := func(org domain.OrganizationID) {
		t.Helper()
		if _, err := r.enter(gone, org); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want to wait", err)
		}
	}
	one := enter(acme)
	enter(acme)
	full(acme)
	enter(beta)
	other := enter(beta)
	full(gamma)
	one()
	enter(gamma)
	full(acme) // no room at all
	other()
	enter(acme)
}

// What breaks off leaves nothing: no record, no file.
func TestLabBrokenOffUploads(t *testing.T) {
	l := newLab(t)
	session := l.observed()
	report := number(l.call("ann", "checkup_report_create", `{"project":"p"}`)["report_id"])
	at, err := url.Parse(l.url)
	l.must(err)
	for name, request := range map[string]string{
		"of a known length": "POST /api/general/rpc/dblab_session_upload_log HTTP/1.1\r\nHost: x\r\nAccess-Token: {robot}\r\nX-PGAI-Session-ID: " + session +
			"\r\nContent-Length: 1000000\r\n\r\n" + strings.Repeat("x", 500_000),
		"in chunks": "POST /api/general/rpc/dblab_session_upload_log HTTP/1.1\r\nHost: x\r\nAccess-Token: {robot}\r\nX-PGAI-Session-ID: " + session +
			"\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n5\r\nhe",
		"JSON": "POST /api/general/rpc/checkup_report_file_post HTTP/1.1\r\nHost: x\r\nAccess-Token: {robot}\r\nContent-Length: 1000000\r\n\r\n" +
			`{"checkup_report_id":` + report + `,"filename":"x.md","type":"md","data":"` + strings.Repeat("x", 500_000),
	} {
		t.Run(name, func(t *testing.T) {
			l.nothing(func() {
				connection, err := net.Dial("tcp", at.Host)
				l.must(err)
				_, err = io.WriteString(connection, l.reveal(request))
				l.must(err)
				l.must(connection.(*net.TCPConn).CloseWrite())
				l.must(connection.SetReadDeadline(time.Now().Add(time.Minute)))
				answer, err := io.ReadAll(connection)
				if !strings.HasPrefix(string(answer), "HTTP/1.1 400 ") || !strings.Contains(string(answer), "broke off") {
					t.Errorf("got %q, %v", answer, err)
				}
				_ = connection.Close()
			})
		})
	}
}

// stuck has objects that cannot be deleted, or for which there is no room.
type stuck struct {
	eventstore.Objects
	full bool
}

func (s stuck) Put(ctx context.Context, name string, content io.Reader, most int64) (eventstore.Object, error) {
	if s.full {
		return eventstore.Object{}, fmt.Errorf("keep object %s: %w", name, eventstore.ErrFull)
	}
	return s.Objects.Put(ctx, name, content, most)
}

func (stuck) Delete(context.Context, string) error { return eventstore.ErrUnavailable }

func TestLabWithoutRoom(t *testing.T) {
	l := newLab(t)
	session := l.observed()
	whole := l.Objects
	l.Objects = stuck{whole, true}
	l.nothing(func() {
		l.wantError(l.send("POST rpc/dblab_session_upload_log", labCSV, as("robot"), "X-PGAI-Session-ID: "+session), 507, "room")
	})
	l.Objects = nil
	l.unchanged(func() {
		l.wantError(l.send("POST rpc/dblab_session_upload_log", labCSV, as("robot"), "X-PGAI-Session-ID: "+session), 503, "no-objects")
	})
	l.Objects = whole
}

// A command that is refused at its end takes its files with it.
func TestLabRefusedAtTheEnd(t *testing.T) {
	l := newLab(t)
	session := l.observed()
	number := position(session)
	before := l.objects()
	content := &during{strings.NewReader(labCSV), func() {
		l.execute("ann", domain.RemoveRecords{Kind: domain.LabSession, Numbers: []domain.Position{number}})
	}}
	r, err := http.NewRequest("POST", l.url+"rpc/dblab_session_upload_log", content)
	l.must(err)
	r.Header.Set("Access-Token", l.secrets["robot"])
	r.Header.Set("X-PGAI-Session-ID", session)
	response, err := http.DefaultClient.Do(r)
	l.must(err)
	text, _ := io.ReadAll(response.Body)
	_ = response.Body.Close()
	if response.StatusCode != 404 {
		t.Errorf("got %d %s", response.StatusCode, text)
	}
	if after := l.objects(); after != before {
		t.Errorf("there were %d files and there are %d", before, after)
	}
}

// during is content in whose middle something happens.
type during struct {
	io.Reader
	happens func()
}

func (d *during) Read(into []byte) (int, error) {
	n, err := d.Reader.Read(into)
	if err == io.EOF && d.happens != nil {
		d.happens()
		d.happens = nil
	}
	return n, err
}

func TestLabReportDownload(t *testing.T) {
	l := newLab(t)
	kept := l.programs()
	for _, data := range []string{"old", "new"} {
		l.call("ann", "checkup_report_file_post", kept.fill(`{"checkup_report_id":$report,"filename":"B001_x.json","data":"`+data+`","type":"json"}`))
	}
	got := l.send("GET "+kept.fill("rpc/checkup_report_json_download?checkup_report_id=$report"), "", as("ada"))
	archive, err := zip.NewReader(bytes.NewReader([]byte(got.text)), int64(len(got.text)))
	l.must(err)
	files := map[string]string{}
	for _, file := range archive.File {
		content, err := file.Open()
		l.must(err)
		text, err := io.ReadAll(content)
		l.must(err)
		files[file.Name] = string(text)
	}
	if len(files) != 2 || files["B001_x.json"] != "new" || files["A001_x.json"] != "{}" || got.header.Get("Content-Type") != "application/octet-stream" {
		t.Errorf("%v %v", got.header, files)
	}
}

func TestLabDeletes(t *testing.T) {
	l := newLab(t)
	kept := l.programs()
	l.call("ann", "checkup_report_file_post", kept.fill(`{"checkup_report_id":$report,"filename":"x.md","data":"x","type":"md"}`))
	l.call("ann", "joe_message_post", kept.fill(`{"session_id":"$session","text":"x"}`))
	for _, c := range []struct {
		function, ids string
		want          map[string]any
	}{
		{"checkup_report_delete", "[$report,$report]", map[string]any{"reports": 1.0, "jsons": 1.0, "texts": 1.0}},
		{"joe_session_delete", "[$session]", map[string]any{"sessions": 1.0, "commands": 1.0, "messages": 2.0}},
		{"joe_command_delete", `["$command'"]`, map[string]any{"commands": 1.0}},
	} {
		by := "bob"
		if strings.Contains(c.ids, "'") {
			by = "zoe"
		}
		l.wantObject(l.send("POST rpc/"+c.function, kept.fill(`{"ids":`+c.ids+`}`), as(by)), c.want)
		l.wantError(l.send("POST rpc/"+c.function, kept.fill(`{"ids":`+c.ids+`}`), as(by)), 404, "there is no such")
	}
	for _, view := range []string{"checkup_reports", "checkup_report_files", "joe_sessions", "joe_session_commands", "joe_messages"} {
		if got := l.send("GET "+view, "", as("ada")); got.text != "[]\n" {
			t.Errorf("%s: %s", view, got.text)
		}
	}
}

// UTF-8 is UTF-8 wherever it is cut.
func FuzzLabUTF8(f *testing.F) {
	f.Add([]byte(`"aä€😀"`), uint8(1))
	f.Add([]byte("\"\xff\""), uint8(2))
	f.Add([]byte("\"\xe2\x82"), uint8(3))
	f.Fuzz(func(t *testing.T, text []byte, size uint8) {
		r := &utf8Reader{from: bytes.NewReader(text)}
		buffer := make([]byte, int(size)+1)
		var all []byte
		var err error
		for err == nil {
			var n int
			n, err = r.Read(buffer)
			all = append(all, buffer[:n]...)
		}
		valid := strings.ToValidUTF8(string(text), "\x00") == string(text)
		if valid != (err == io.EOF) || valid && !bytes.Equal(all, text) {
			t.Errorf("%q is %t: got %q, %v", text, valid, all, err)
		}
	})
}
