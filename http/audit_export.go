package http

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"io"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"jeton/domain"
	"jeton/projections"
)

// exportPart is how many entries are read, and kept in memory, at a time.
const exportPart = 500

// exportedRows is the trailer that says how many entries an export has. It is sent behind
// the last one, and only then: an export without it was cut off.
const exportedRows = "Jeton-Exported"

// auditFormat is a way to write entries into a stream.
type auditFormat struct {
	media string
	write func(io.Writer) auditWriter
}

// auditWriter writes one entry after the other.
type auditWriter interface {
	begin() error
	entry(AuditEntry) error
}

// auditFormats are those in which the audit log can be exported, by their names in the
// query.
var auditFormats = map[string]auditFormat{
	"jsonl":       {"application/x-ndjson", func(w io.Writer) auditWriter { return jsonLines{json.NewEncoder(w)} }},
	"csv":         {"text/csv; charset=utf-8; header=present", func(w io.Writer) auditWriter { return csvLines{csv.NewWriter(w)} }},
	"cloudevents": {"application/x-ndjson", func(w io.Writer) auditWriter { return cloudLines{json.NewEncoder(w)} }},
}

// auditExport answers GET /api/v1/organizations/{org}/audit/export with everything that
// passes the filters and was there when it was asked for, the oldest first. It is whole
// if the trailer Jeton-Exported came behind it; a connection that ends before that has
// not been ended by us in order, which clients report as an error.
func (s *Server) auditExport(w http.ResponseWriter, r *http.Request, c Caller) error {
	query := r.URL.Query()
	name := query.Get("format")
	if name == "" {
		name = "jsonl"
	}
	if name == "bundle" && len(query["format"]) == 1 {
		return s.auditBundle(w, r, c)
	}
	format, known := auditFormats[name]
	if !known || len(query["format"]) > 1 {
		return inQuery(domain.Invalid("format", "is none in which the log can be exported", "write jsonl, csv, cloudevents or bundle"))
	}
	q, err := readAuditQuery(query, "format")
	if err != nil {
		return inQuery(err)
	}
	filter, err := s.auditFilter(r.Context(), c, q)
	if err != nil {
		return inQuery(err)
	}
	at, err := s.Views.Position()
	if err != nil {
		return err
	}
	filter.Oldest, filter.Limit = true, exportPart
	if end := projections.PlaceOf(at+1, 0); filter.Before == 0 || filter.Before > end {
		filter.Before = end
	}
	rows, err := s.Views.Audit(r.Context(), filter)
	if err != nil {
		return err // nothing was written yet
	}
	h := w.Header()
	h.Set("Content-Type", format.media)
	h.Set("Content-Disposition", `attachment; filename="audit-`+c.Alias+`.`+strings.Replace(name, "cloudevents", "cloudevents.jsonl", 1)+`"`)
	h.Set("Trailer", exportedRows)
	e := export{server: s, caller: c, filter: filter, w: w, control: http.NewResponseController(w)}
	e.to = format.write(&e.part)
	if err := e.run(r.Context(), rows); err != nil {
		s.Log.Warn().Err(err).Str("organization", c.Alias).Int("written", e.written).Msg("an export of the audit log was cut off")
		panic(http.ErrAbortHandler) // so that nobody takes it for whole
	}
	h.Set(exportedRows, strconv.Itoa(e.written))
	return nil
}

// export is an export on its way.
type export struct {
	server  *Server
	caller  Caller
	filter  projections.AuditFilter
	w       http.ResponseWriter
	control *http.ResponseController
	part    bytes.Buffer
	to      auditWriter
	written int
}

func (e *export) run(ctx context.Context, rows []projections.AuditRow) (err error) {
	if err := e.to.begin(); err != nil {
		return err
	}
	for {
		for _, row := range rows {
			if err := e.to.entry(e.server.auditEntry(e.caller, row)); err != nil {
				return err
			}
			e.filter.After = row.Place
		}
		if err := e.flush(); err != nil {
			return err
		}
		if e.written += len(rows); len(rows) < exportPart {
			return nil
		}
		if rows, err = e.server.Views.Audit(ctx, e.filter); err != nil {
			return err
		}
	}
}

func (e *export) flush() error {
	defer e.part.Reset()
	_ = e.control.SetWriteDeadline(time.Now().Add(bodyTimeout)) // what is no connection has no deadlines
	if _, err := e.w.Write(e.part.Bytes()); err != nil {
		return err
	}
	return e.control.Flush()
}

// jsonLines is an entry a line.
type jsonLines struct{ to *json.Encoder }

func (jsonLines) begin() error               { return nil }
func (l jsonLines) entry(e AuditEntry) error { return l.to.Encode(e) }

// cloudLines is a structured CloudEvent a line.
type cloudLines struct{ to *json.Encoder }

func (cloudLines) begin() error               { return nil }
func (l cloudLines) entry(e AuditEntry) error { return l.to.Encode(cloudEvent(e)) }

// CloudEvent is an entry, or whatever else, as the CloudEvents specification 1.0 writes it,
// structured. Source and ID together name it for ever.
type CloudEvent[Data any] struct {
	SpecVersion string         `json:"specversion"`
	ID          string         `json:"id"`
	Source      string         `json:"source"`
	Type        string         `json:"type"`
	Time        domain.Instant `json:"time"`
	Subject     string         `json:"subject,omitempty"`
	ContentType string         `json:"datacontenttype"`
	Data        Data           `json:"data"`
}

func cloudEvent(e AuditEntry) CloudEvent[AuditEntry] {
	subject := e.Target.Kind
	if e.Target.ID != "" {
		subject += "/" + e.Target.ID
	}
	return CloudEvent[AuditEntry]{
		SpecVersion: "1.0", ID: e.ID, Source: "/organizations/" + e.Organization, Type: "jeton." + e.Action,
		Time: e.At, Subject: subject, ContentType: "application/json", Data: e,
	}
}

// csvLines is a header and a line for each entry, as RFC 4180 writes them. What a
// spreadsheet would take for a formula has an apostrophe before it.
type csvLines struct{ to *csv.Writer }

var csvHeader = []string{
	"id", "position", "at", "actor_kind", "actor_id", "actor", "actor_token", "organization", "action",
	"target_kind", "target_id", "target", "outcome", "reason", "before", "after", "request", "address", "agent",
}

func (l csvLines) begin() error {
	l.to.UseCRLF = true
	return l.line(csvHeader)
}

func (l csvLines) entry(e AuditEntry) error {
	before, err := csvFacts(e.Before)
	if err != nil {
		return err
	}
	after, err := csvFacts(e.After)
	if err != nil {
		return err
	}
	who, whom := e.Actor.Email, e.Target.Name
	if who == "" {
		who = e.Actor.Name
	}
	if e.Target.Person != nil {
		whom = e.Target.Person.Email
	}
	return l.line([]string{
		e.ID, strconv.FormatUint(uint64(e.Position), 10), e.At.String(), string(e.Actor.Kind), csvNumber(e.Actor.ID), who, e.Actor.Token, e.Organization, e.Action,
		e.Target.Kind, e.Target.ID, whom, e.Outcome, e.Reason, before, after, e.Request, e.Address, e.Agent,
	})
}

func (l csvLines) line(cells []string) error {
	guarded := make([]string, len(cells))
	for i, cell := range cells {
		guarded[i] = guardFormula(cell)
	}
	if err := l.to.Write(guarded); err != nil {
		return err
	}
	l.to.Flush()
	return l.to.Error()
}

func guardFormula(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r\n", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}

func csvNumber(n domain.Position) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatUint(uint64(n), 10)
}

func csvFacts(facts map[string]any) (string, error) {
	if len(facts) == 0 {
		return "", nil
	}
	text, err := json.Marshal(facts)
	return string(text), err
}

const exportDescription = "The entries, the oldest first: JSON lines, CSV, CloudEvents as JSON lines, or a bundle. The trailer Jeton-Exported says how many; without it the export was cut off. A bundle has an end of its own."

func exportParameters() []*huma.Param {
	return []*huma.Param{{Name: "format", In: "query", Schema: &huma.Schema{Type: huma.TypeString, Enum: []any{"jsonl", "csv", "cloudevents", "bundle"}, Default: "jsonl"}, Description: "How to write them. bundle: the commits themselves with their proofs, for jeton audit verify; of all filters it takes from, as the position to begin with."}}
}

// auditParameters describes the path and the fields of an AuditQuery.
func auditParameters() (all []*huma.Param) {
	all = append(all, &huma.Param{Name: "org", In: "path", Required: true, Schema: &huma.Schema{Type: huma.TypeString}, Description: "The organization's alias or number.", Example: "acme"})
	fields := reflect.TypeFor[AuditQuery]()
	for i := range fields.NumField() {
		tag := fields.Field(i).Tag
		all = append(all, &huma.Param{Name: tag.Get("query"), In: "query", Schema: &huma.Schema{Type: huma.TypeString}, Description: tag.Get("doc")})
	}
	return all
}
