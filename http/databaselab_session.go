package http

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strconv"

	"jeton/domain"
	"jeton/projections"
)

// Observed sessions: what happens in a clone while a migration is tried in it.

func (d *dialect) sessionRoutes() []route {
	return []route{
		labFunction(d, "dblab_session_start", "Begin to observe a session", "record.kept", d.sessionStart, domain.LabSessions),
		labLargeFunction(d, "dblab_session_stop", "End a session with its result", "record.amended", d.sessionStop, domain.LabSessions),
		labUpload(d, "dblab_session_upload_log", "Keep the log of a session", d.sessionLog),
		labUpload(d, "dblab_session_upload_artifact", "Keep an artifact of a session", d.sessionArtifact),
		labView(d, "dblab_sessions", "List observed sessions", d.sessions, d.finishSessions, domain.LabRead),
		labView(d, "dblab_session_logs", "List the lines of a session's log", d.sessionLines, nil, domain.LabRead),
		labView(d, "dblab_session_artifacts", "List the artifacts of sessions", d.sessionArtifacts, nil, domain.LabRead),
		labView(d, "dblab_session_artifacts_data", "Read artifacts of sessions", d.sessionArtifactsData, d.finishArtifactsData, domain.LabRead),
		labDownload(d, "dblab_session_logs_download", "Download the log of a session", d.sessionLogsDownload),
		labDownload(d, "dblab_session_artifacts_download", "Download an artifact of a session", d.sessionArtifactDownload),
	}
}

// labUpload is the route of a function whose body is a file.
func labUpload(d *dialect, name, summary string, handle labHandler) route {
	return route{
		pattern: "POST " + d.databaseLab("/rpc/"+name), summary: summary, audit: "record.kept", body: d.mostContent(),
		access: access{who: bearer, needs: []domain.Permission{domain.LabSessions}, tokens: d.headers}, mount: labMount(d, nil, handle),
	}
}

// labDownload is the route of a function that answers with a file.
func labDownload(d *dialect, name, summary string, handle labHandler) route {
	return route{
		pattern: "GET " + d.databaseLab("/rpc/"+name), summary: summary,
		access: access{who: bearer, needs: []domain.Permission{domain.LabRead}, tokens: d.headers}, mount: labMount(d, nil, handle),
	}
}

type labSessionStart struct {
	labCaller
	InstanceID *string           `json:"instance_id"`
	CloneID    *string           `json:"clone_id"`
	StartedAt  *string           `json:"started_at"`
	Config     json.RawMessage   `json:"config"`
	Tags       map[string]string `json:"tags"`
}

type labNumberOf struct {
	ID domain.Position `json:"id"`
}

// sessionStart answers rpc/dblab_session_start.
func (d *dialect) sessionStart(ctx context.Context, c Caller, asked labSessionStart) (any, error) {
	started, err := labMomentOf("started_at", asked.StartedAt)
	if err != nil {
		return nil, err
	}
	if err := labShort("instance_id", orEmpty(asked.InstanceID), orEmpty(asked.CloneID)); err != nil {
		return nil, err
	}
	tags, _ := json.Marshal(asked.Tags) // texts can always be written
	number, err := d.keep(ctx, c, domain.KeepRecord{Kind: domain.LabSession}, parcel{facts: map[string]any{
		"instance_id": orEmpty(asked.InstanceID), "clone_id": orEmpty(asked.CloneID), "started_at": started,
		"config": valueOrNull(asked.Config), "tags": json.RawMessage(tags),
	}})
	if err != nil {
		return nil, err
	}
	d.settled(ctx, number)
	return labNumberOf{number}, nil
}

// labMomentOf reads a moment that must be there.
func labMomentOf(field string, text *string) (domain.Instant, error) {
	if text == nil {
		return 0, domain.Invalid(field, "a timestamp is missing", "write it like 2026-11-22 12:00:00 UTC")
	}
	at, err := labTime(*text)
	if err != nil || at == 0 {
		return 0, domain.Invalid(field, "this is not a timestamp", "write it like 2026-11-22 12:00:00 UTC")
	}
	return at, nil
}

type labSessionStop struct {
	labCaller
	ID         labNumber       `json:"id"`
	FinishedAt *string         `json:"finished_at"`
	Result     json.RawMessage `json:"result"`
}

// sessionStop answers rpc/dblab_session_stop. A session that is stopped twice has the
// later result.
func (d *dialect) sessionStop(ctx context.Context, c Caller, asked labSessionStop) (any, error) {
	number, err := asked.ID.needed("id", "session")
	if err != nil {
		return nil, err
	}
	finished, err := labMomentOf("finished_at", asked.FinishedAt)
	if err != nil {
		return nil, err
	}
	var result struct {
		Status  *string `json:"status"`
		Summary *struct {
			TotalDuration *float64 `json:"total_duration"`
		} `json:"summary"`
	}
	if err := json.Unmarshal(valueOrNull(asked.Result), &result); err != nil {
		return nil, domain.Invalid("result", "is not the result of a session", "send an object with status, intervals and summary")
	}
	facts := map[string]any{"finished_at": finished, "result": valueOrNull(asked.Result), "status": result.Status, "duration": nil}
	if result.Summary != nil {
		facts["duration"] = result.Summary.TotalDuration
	}
	at, err := d.amend(ctx, c, domain.LabSession, number, parcel{facts: facts})
	if err != nil {
		return nil, err
	}
	d.settled(ctx, at)
	return labNumberOf{number}, nil
}

// labSessionOf is the session that an upload names in a header.
func (d *dialect) labSessionOf(r *http.Request, c Caller) (domain.Position, error) {
	number := position(r.Header.Get("X-PGAI-Session-ID"))
	if number == 0 {
		return 0, domain.Invalid("X-PGAI-Session-ID", "is not the number of a session", "send the id that dblab_session_start has answered")
	}
	return number, d.there(c, domain.LabSession, number)
}

// sessionLog answers rpc/dblab_session_upload_log: CSV, stored as it comes.
func (d *dialect) sessionLog(w http.ResponseWriter, r *http.Request, c Caller) error {
	session, err := d.labSessionOf(r, c)
	if err != nil {
		return err
	}
	number := 1
	if text := r.Header.Get("X-PGAI-Part"); text != "" {
		if number, err = strconv.Atoi(text); err != nil || number < 1 {
			return domain.Invalid("X-PGAI-Part", "is not the number of a part", "send 1")
		}
	}
	at, err := d.keep(r.Context(), c, domain.KeepRecord{Kind: domain.LabSessionLog, Parent: session}, parcel{
		facts: map[string]any{"part": number}, files: []labFile{{partData, mediaCSV, r.Body}},
	})
	if err != nil {
		return err
	}
	d.settled(r.Context(), at)
	return encode(w, struct {
		ID      domain.Position `json:"id"`
		Session domain.Position `json:"dblab_session_id"`
		Part    int             `json:"part"`
	}{at, session, number})
}

// partData is the part of a record that is the file itself.
const partData = "data"

// artifactType is what artifacts are called: pg_stat_statements, objects_size …
var artifactType = regexp.MustCompile(`^[a-z][a-z0-9_]{0,99}$`)

// sessionArtifact answers rpc/dblab_session_upload_artifact: JSON, stored as it comes.
func (d *dialect) sessionArtifact(w http.ResponseWriter, r *http.Request, c Caller) error {
	session, err := d.labSessionOf(r, c)
	if err != nil {
		return err
	}
	kind := r.Header.Get("X-PGAI-Artifact-Type")
	if !artifactType.MatchString(kind) {
		return domain.Invalid("X-PGAI-Artifact-Type", "is not a type of artifact", "write it like pg_stat_statements")
	}
	at, err := d.keep(r.Context(), c, domain.KeepRecord{Kind: domain.LabSessionData, Parent: session}, parcel{
		facts: map[string]any{"artifact_type": kind}, files: []labFile{{partData, mediaJSON, r.Body}},
	})
	if err != nil {
		return err
	}
	kept := domain.At(d.now())
	if d.settled(r.Context(), at) == "" {
		if row, err := d.Views.Record(r.Context(), c.Organization, at); err == nil {
			kept = row.Kept
		}
	}
	return encode(w, struct {
		Session domain.Position `json:"dblab_session_id"`
		Time    domain.Instant  `json:"artifact_time"`
		Type    string          `json:"artifact_type"`
	}{session, kept, kind})
}

// labSession is a row of the view dblab_sessions.
type labSession struct {
	labMade
	labWithin
	InternalInstanceID *domain.Position `json:"internal_instance_id"`
	InstanceID         *string          `json:"instance_id"`
	CloneID            *string          `json:"clone_id"`
	StartedAt          *domain.Instant  `json:"started_at"`
	FinishedAt         *domain.Instant  `json:"finished_at"`
	Duration           *float64         `json:"duration"` // seconds
	Status             *string          `json:"status"`
	Config             json.RawMessage  `json:"config"`
	Tags               json.RawMessage  `json:"tags"`
	Result             json.RawMessage  `json:"result"`

	kept projections.RecordRow
}

func (d *dialect) sessions(ctx context.Context, c Caller, q labQuery) (iter.Seq2[labSession, error], error) {
	return labMapped(d.records(ctx, c, q, domain.LabSession, ""), func(row projections.RecordRow) labSession {
		s := labSession{kept: row}
		_ = json.Unmarshal(row.Facts, &s) // they are what sessionStart and sessionStop have written
		s.labMade, s.labWithin = labMadeOf(c, row.Number, row.Kept), labWithinOf(row.Project, row.Within)
		if s.InstanceID != nil {
			if at, known := d.Model.RecordKeyed(c.Organization, domain.LabInstance, *s.InstanceID); known {
				s.InternalInstanceID = &at
			}
		}
		return s
	}), nil
}

// finishSessions adds what was too long for the log.
func (d *dialect) finishSessions(ctx context.Context, c Caller, rows []labSession) error {
	var all []labWaiting
	for i := range rows {
		s := &rows[i]
		for name, field := range map[string]*json.RawMessage{"config": &s.Config, "tags": &s.Tags, "result": &s.Result} {
			all = waitFor(all, s.kept, name, string(*field) == "null" || *field == nil, func(text []byte) { *field = text })
		}
	}
	return d.fetch(ctx, c, all)
}

// waitFor waits for a part of a record, if there is one and it is not among the facts.
func waitFor(all []labWaiting, row projections.RecordRow, name string, missing bool, take func([]byte)) []labWaiting {
	if content, there := part(row, name); there && missing {
		all = append(all, labWaiting{content, take})
	}
	return all
}

// labLogLine is a row of the view dblab_session_logs: a line of PostgreSQL's log. Its
// id counts within the session.
type labLogLine struct {
	ID              domain.Position `json:"id"`
	Session         domain.Position `json:"dblab_session_id"`
	LogTime         string          `json:"log_time"`
	UserName        string          `json:"user_name"`
	DatabaseName    string          `json:"database_name"`
	ProcessID       string          `json:"process_id"`
	ConnectionFrom  string          `json:"connection_from"`
	SessionID       string          `json:"session_id"`
	SessionLineNum  string          `json:"session_line_num"`
	CommandTag      string          `json:"command_tag"`
	SessionStart    string          `json:"session_start_time"`
	VirtualTx       string          `json:"virtual_transaction_id"`
	TransactionID   string          `json:"transaction_id"`
	ErrorSeverity   string          `json:"error_severity"`
	SQLStateCode    string          `json:"sql_state_code"`
	Message         string          `json:"message"`
	Detail          string          `json:"detail"`
	Hint            string          `json:"hint"`
	InternalQuery   string          `json:"internal_query"`
	InternalPos     string          `json:"internal_query_pos"`
	Context         string          `json:"context"`
	Query           string          `json:"query"`
	QueryPos        string          `json:"query_pos"`
	Location        string          `json:"location"`
	ApplicationName string          `json:"application_name"`
}

var labLogColumns = labColumnsOf(reflect.TypeFor[labLogLine]())

// sessionLines answers GET dblab_session_logs, for one session at a time.
func (d *dialect) sessionLines(ctx context.Context, c Caller, q labQuery) (iter.Seq2[labLogLine, error], error) {
	session := q.equal["dblab_session_id"]
	if session == 0 {
		return nil, domain.Invalid("dblab_session_id", "is missing", "ask for one session, with dblab_session_id=eq.1")
	}
	logs, err := d.sessionLogs(ctx, c, session)
	if err != nil {
		return nil, err
	}
	text, lines := []byte(nil), []logLine(nil)
	var all []labWaiting
	for _, content := range logs {
		all = append(all, labWaiting{content, func(log []byte) {
			at := int64(len(text))
			text = append(text, log...)
			lines = append(lines, linesOf(log, at)...)
		}})
	}
	if err := d.fetch(ctx, c, all); err != nil {
		return nil, err
	}
	return func(yield func(labLogLine, error) bool) {
		for i, line := range slices.Backward(lines) {
			row := line.read(text)
			row.ID, row.Session = domain.Position(i+1), session
			if !yield(row, nil) {
				return
			}
		}
	}, nil
}

// sessionLogs is the content of the logs of a session, the oldest first.
func (d *dialect) sessionLogs(ctx context.Context, c Caller, session domain.Position) (logs []domain.Content, err error) {
	if d.there(c, domain.LabSession, session) != nil {
		return nil, nil
	}
	for row, err := range d.kept(ctx, c, projections.RecordFilter{Kind: domain.LabSessionLog, Parent: session}) {
		if err != nil {
			return nil, err
		}
		logs = append(logs, row.Content...)
	}
	slices.Reverse(logs)
	return logs, nil
}

// logLine is where a line stands in a log, and under which columns.
type logLine struct {
	from, to int64
	columns  []labColumn
}

// linesOf are the lines of CSV with a header. What is no CSV any more ends it.
func linesOf(log []byte, at int64) (lines []logLine) {
	r := csv.NewReader(bytes.NewReader(log))
	r.FieldsPerRecord, r.LazyQuotes = -1, true
	header, err := r.Read()
	if err != nil {
		return nil
	}
	columns := make([]labColumn, len(header))
	for i, name := range header {
		if column, known := labLogColumns.find(name); known && column.kind == labTextual {
			columns[i] = column
		}
	}
	r.ReuseRecord = true
	for {
		from := r.InputOffset()
		if _, err := r.Read(); err != nil {
			return lines
		}
		lines = append(lines, logLine{at + from, at + r.InputOffset(), columns})
	}
}

func (l logLine) read(text []byte) (row labLogLine) {
	r := csv.NewReader(bytes.NewReader(text[l.from:l.to]))
	r.FieldsPerRecord, r.LazyQuotes = -1, true
	fields, _ := r.Read() // it was read before
	into := reflect.ValueOf(&row).Elem()
	for i, field := range fields[:min(len(fields), len(l.columns))] {
		if at := l.columns[i].at; at != nil {
			into.FieldByIndex(at).SetString(field)
		}
	}
	return row
}

// labArtifact is a row of the view dblab_session_artifacts.
type labArtifact struct {
	labMade
	Session domain.Position `json:"dblab_session_id"`
	Type    string          `json:"artifact_type"`
	Time    domain.Instant  `json:"artifact_time"`
	Size    int64           `json:"artifact_size"` // bytes

	data domain.Content
}

type labArtifactData struct {
	labArtifact
	Data json.RawMessage `json:"artifact_data"`
}

func (d *dialect) sessionArtifacts(ctx context.Context, c Caller, q labQuery) (iter.Seq2[labArtifact, error], error) {
	return labMapped(d.records(ctx, c, q, domain.LabSessionData, "dblab_session_id"), func(row projections.RecordRow) labArtifact {
		a := labArtifact{Session: row.Parent, Time: row.Kept}
		_ = json.Unmarshal(row.Facts, &a) // they are what sessionArtifact has written
		a.labMade = labMadeOf(c, row.Number, row.Kept)
		a.data, _ = part(row, partData)
		a.Size = a.data.Size
		return a
	}), nil
}

func (d *dialect) sessionArtifactsData(ctx context.Context, c Caller, q labQuery) (iter.Seq2[labArtifactData, error], error) {
	rows, err := d.sessionArtifacts(ctx, c, q)
	return labMapped(rows, func(a labArtifact) labArtifactData { return labArtifactData{labArtifact: a} }), err
}

func (d *dialect) finishArtifactsData(ctx context.Context, c Caller, rows []labArtifactData) error {
	var all []labWaiting
	for i := range rows {
		all = append(all, labWaiting{rows[i].data, func(text []byte) { rows[i].Data = asJSON(text) }})
	}
	return d.fetch(ctx, c, all)
}

// asJSON is a file as it is if it is JSON, and else as a string.
func asJSON(text []byte) json.RawMessage {
	if json.Valid(text) {
		return text
	}
	quoted, _ := json.Marshal(string(text)) // a string can always be written
	return quoted
}

// labAsked is the number of something that a download names in its query.
func labAsked(r *http.Request, name string) (domain.Position, error) {
	number := position(r.URL.Query().Get(name))
	if number == 0 {
		return 0, domain.Invalid(name, "is not a number", "write it like "+name+"=1")
	}
	return number, nil
}

// sessionLogsDownload answers GET rpc/dblab_session_logs_download: all parts of the log.
func (d *dialect) sessionLogsDownload(w http.ResponseWriter, r *http.Request, c Caller) error {
	session, err := labAsked(r, "dblab_session_id")
	if err != nil {
		return err
	}
	if err := d.there(c, domain.LabSession, session); err != nil {
		return err
	}
	logs, err := d.sessionLogs(r.Context(), c, session)
	if err != nil {
		return err
	}
	return d.download(w, r, logs, mediaCSV, fmt.Sprintf("session-%d.csv", session))
}

// sessionArtifactDownload answers GET rpc/dblab_session_artifacts_download: the last
// artifact of its type.
func (d *dialect) sessionArtifactDownload(w http.ResponseWriter, r *http.Request, c Caller) error {
	session, err := labAsked(r, "dblab_session_id")
	if err != nil {
		return err
	}
	wanted := r.URL.Query().Get("artifact_type")
	q := labQuery{equal: map[string]domain.Position{"dblab_session_id": session}}
	rows, err := d.sessionArtifacts(r.Context(), c, q)
	if err != nil {
		return err
	}
	for row, err := range rows {
		switch {
		case err != nil:
			return err
		case row.Type == wanted:
			return d.download(w, r, []domain.Content{row.data}, mediaJSON, fmt.Sprintf("session-%d-%s.json", session, wanted))
		}
	}
	return domain.Refuse(domain.ErrNotFound, "there is no such artifact", "look at the list of artifacts")
}

// download answers with files, one behind the other. The first is opened before
// anything is said.
func (d *dialect) download(w http.ResponseWriter, r *http.Request, files []domain.Content, media, name string) error {
	if len(files) == 0 {
		return domain.Refuse(domain.ErrNotFound, "there is nothing to download", "look at the list")
	}
	first, err := d.open(r.Context(), files[0])
	if err != nil {
		return err
	}
	defer first.Close()
	size := int64(0)
	for _, file := range files {
		size += file.Size
	}
	attach(w.Header(), media, name)
	w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
	pour(w, first)
	for _, file := range files[1:] {
		d.pourNext(w, r, file)
	}
	return nil
}

func (d *dialect) pourNext(w io.Writer, r *http.Request, file domain.Content) {
	next, err := d.open(r.Context(), file)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer next.Close()
	pour(w, next)
}
