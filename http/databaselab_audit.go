package http

import (
	"context"
	"encoding/json"
	"iter"
	"maps"
	"slices"
	"strings"

	"jeton/domain"
	"jeton/projections"
)

// labAudit is a row of the view audit_log: what a commit did to the rows of one table,
// as the console knows tables. A commit that did several things is several rows.
type labAudit struct {
	ID        domain.Position `json:"id"` // position of the commit, times auditRows, and which of its rows
	OrgID     domain.Position `json:"org_id"`
	Action    string          `json:"action"`
	Actor     *string         `json:"actor"` // null: the service itself
	TableName string          `json:"table_name"`
	CreatedAt domain.Instant  `json:"created_at"`
	Data      labAuditData    `json:"action_data"`
}

// labAuditData is what was done: what was so before, as far as the events have changed
// it, and what is so from then on, as they say.
type labAuditData struct {
	Rows   int              `json:"processed_row_count"`
	Before []map[string]any `json:"data_before"`
	After  []map[string]any `json:"data_after"`
}

// auditRows is how many rows a commit can be, at most: tables times actions.
const auditRows = 128

// labTables are the tables of events, by what their kinds begin with.
var labTables = map[string]string{
	"token": "api_tokens", "tokens": "api_tokens", "approval": "api_tokens", "member": "users_orgs", "holder": "users_orgs",
	"organization": "orgs", "policy": "org_policies", "role": "roles", "permission": "permissions", "service_account": "service_accounts",
	"webhook": "webhooks", "engine": "dblab_instances", "project": "projects", "record": "records", "records": "records", "account": "users", "operator": "operators",
}

// labRecordTables are the tables of what programs have sent.
var labRecordTables = map[domain.RecordKind]string{
	domain.LabInstance: "dblab_instances", domain.LabEvent: "telemetry_events", domain.LabUsage: "telemetry_usage",
	domain.LabSession: "dblab_sessions", domain.LabSessionLog: "dblab_session_logs", domain.LabSessionData: "dblab_session_artifacts",
	domain.JoeInstance: "joe_instances", domain.JoeSession: "joe_sessions", domain.JoeCommand: "joe_session_commands",
	domain.JoeMessage: "joe_messages", domain.JoeArtifact: "joe_message_artifacts",
	domain.CheckupReport: "checkup_reports", domain.CheckupFile: "checkup_report_files",
}

var labActions = map[string]string{
	"issued": "insert", "created": "insert", "added": "insert", "defined": "insert", "registered": "insert", "kept": "insert", "named": "insert", "requested": "insert",
	"revoked": "delete", "burned": "delete", "removed": "delete", "deleted": "delete", "retired": "delete", "dismissed": "delete",
}

// auditLog answers GET audit_log, the youngest first.
func (d *dialect) auditLog(ctx context.Context, c Caller, q labQuery) (iter.Seq2[labAudit, error], error) {
	before := (q.before + auditRows - 1) / auditRows // the commit of the last row that is not wanted may have others
	if q.before != 0 {
		before++
	}
	var past map[projections.Place]json.RawMessage
	commits := labPaged(func() (page []projections.CommitRow, err error) {
		page, err = d.Views.CommitsBefore(ctx, c.Organization, before, labPage)
		if err == nil && len(page) > 0 {
			past, err = d.Views.AuditBefore(ctx, c.Organization, page[len(page)-1].Position, page[0].Position)
		}
		return page, err
	},
		func(row projections.CommitRow) { before = row.Position })
	return func(yield func(labAudit, error) bool) {
		for commit, err := range commits {
			if err != nil {
				yield(labAudit{}, err)
				return
			}
			if (commit.Position+1)*auditRows <= q.above {
				return
			}
			rows, err := d.auditOf(c, commit, past)
			for _, row := range slices.Backward(rows) {
				if !yield(row, nil) {
					return
				}
			}
			if err != nil {
				yield(labAudit{}, err)
				return
			}
		}
	}, nil
}

// auditOf is the rows of a commit. past is what its events have changed, as it was.
func (d *dialect) auditOf(c Caller, commit projections.CommitRow, past map[projections.Place]json.RawMessage) (rows []labAudit, err error) {
	for item, e := range commit.Events {
		facts, err := factsOf(e)
		if err != nil {
			return nil, err
		}
		withoutHashes(facts)
		table, action := d.auditTable(c, e), auditAction(e)
		i := slices.IndexFunc(rows, func(r labAudit) bool { return r.TableName == table && r.Action == action })
		if i < 0 {
			i = len(rows)
			rows = append(rows, labAudit{
				ID: commit.Position*auditRows + domain.Position(i), OrgID: c.Number, Action: action,
				Actor: auditActor(commit), TableName: table, CreatedAt: commit.Time,
			})
		}
		rows[i].Data.add(action, factsIn(past[projections.PlaceOf(commit.Position, item)]), facts)
	}
	return rows, nil
}

// add takes an event in. Of what is gone it says what it was, with the event's own words
// for whom and why.
func (data *labAuditData) add(action string, before, facts map[string]any) {
	data.Rows++
	if action != "delete" {
		data.After = append(data.After, facts)
		if before != nil {
			data.Before = append(data.Before, before)
		}
		return
	}
	if before == nil {
		before = map[string]any{}
	}
	maps.Copy(before, facts)
	data.Before = append(data.Before, before)
}

func (d *dialect) auditTable(c Caller, e domain.Event) string {
	kind := domain.RecordKind("")
	switch e := e.(type) {
	case domain.RecordKept:
		kind = e.Type
	case domain.RecordAmended:
		kind, _, _ = d.Model.Record(c.Organization, e.Record)
	}
	if table, known := labRecordTables[kind]; known {
		return table
	}
	noun, _, _ := strings.Cut(e.Kind(), ".")
	if table, known := labTables[noun]; known {
		return table
	}
	return noun
}

func auditAction(e domain.Event) string {
	_, verb, _ := strings.Cut(e.Kind(), ".")
	if action, known := labActions[verb]; known {
		return action
	}
	return "update"
}

// auditActor is who did it: a person by their e-mail, a service account by its name, a
// token of nobody by its id.
func auditActor(commit projections.CommitRow) *string {
	switch {
	case commit.Email != "":
		return &commit.Email
	case commit.Name != "":
		return &commit.Name
	case commit.Actor.Kind != domain.ActorSystem && !commit.Actor.Token.IsZero():
		return new("token " + commit.Actor.Token.String())
	}
	return nil
}

// withoutHashes takes out what stands for secrets, however deep. They are no secrets
// any more, but of no use to who reads this.
func withoutHashes(facts map[string]any) {
	for _, name := range []string{"hash", "verification"} {
		delete(facts, name)
	}
	for _, value := range facts {
		if inner, is := value.(map[string]any); is {
			withoutHashes(inner)
		}
	}
}
