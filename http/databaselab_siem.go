package http

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"net/http"
	"slices"

	"jeton/domain"
	"jeton/projections"
)

// What the audit settings of Database Lab's console ask: which events there are, where
// they are sent, and whether that works. Their SIEM is the webhook of shape siem of that
// name; others of that shape are ours alone.

func (d *dialect) siemRoutes() []route {
	return []route{
		labView(d, "audit_events", "List which events can be sent to a SIEM", d.auditEvents, nil, domain.WebhooksRead),
		labFunction(d, "test_siem_connection", "Send a test to a SIEM", "", d.siemTest, domain.WebhooksWrite),
	}
}

// labAuditEvent is a row of the view audit_events.
type labAuditEvent struct {
	ID    domain.Position `json:"id"`
	Name  string          `json:"event_name"`
	Label string          `json:"label"`
}

var labAuditLabels = map[string]string{
	"orgs": "Organization: update", "users_orgs": "Members: add, remove", "api_tokens": "Access tokens: generate, update, revoke",
	"dblab_instances": "DBLab instances: add, remove", "joe_instances": "Joe instances: add, remove",
	"joe_messages": "Joe messages: create, update, remove", "chats": "Chats: create, update", "dblab_clone": "DBLab clones: create, reset, destroy, update",
}

// auditEvents answers GET audit_events.
func (d *dialect) auditEvents(context.Context, Caller, labQuery) (iter.Seq2[labAuditEvent, error], error) {
	var rows []labAuditEvent
	for i, name := range domain.SIEMEvents {
		rows = append(rows, labAuditEvent{domain.Position(i + 1), name, labAuditLabels[name]})
	}
	slices.Reverse(rows) // as views are asked, the youngest first
	return labListed(rows), nil
}

// labSIEM is what the row of an organization says of its SIEM. Values of headers are
// never shown again.
type labSIEM struct {
	Enabled bool              `json:"siem_integration_enabled"`
	URL     string            `json:"siem_integration_url"`
	Headers map[string]string `json:"siem_integration_request_headers"`
	Events  []string          `json:"audit_events_to_log"`
}

// siemName is what the webhook is called that the console knows.
const siemName = "siem"

func (d *dialect) siem(c Caller) (w domain.Webhook, known bool) {
	all := d.Model.Webhooks(c.Organization)
	i := slices.IndexFunc(all, func(w domain.Webhook) bool { return w.Shape == domain.SIEMWebhook && w.Name == siemName })
	if i < 0 {
		return w, false
	}
	return all[i], true
}

// withSIEM adds to a profile what the caller may know of the organization's SIEM.
func (d *dialect) withSIEM(ctx context.Context, c Caller, row labProfile) labProfile {
	row.Events = []string{}
	w, known := d.siem(c)
	if !known || d.Model.Allows(c.Meta(), domain.WebhooksRead) != nil {
		return row
	}
	row.labSIEM = labSIEM{!w.Disabled, w.URL, d.maskedHeaders(ctx, c.Organization, w.Announcement), words(w.Events)}
	return row
}

// labSIEMUpdate is what the console changes of it.
type labSIEMUpdate struct {
	Enabled *bool                     `json:"siem_integration_enabled"`
	URL     *string                   `json:"siem_integration_url"`
	Headers OrNull[map[string]string] `json:"siem_integration_request_headers"`
	Events  *[]string                 `json:"audit_events_to_log"`
}

func (asked labSIEMUpdate) nothing() bool {
	return asked.Enabled == nil && asked.URL == nil && asked.Events == nil && !asked.Headers.Given
}

func (asked labSIEMUpdate) headers() map[string]string {
	if asked.Headers.Value == nil {
		return nil
	}
	return *asked.Headers.Value
}

// siemUpdate changes the SIEM, which comes into being with an address. A SIEM without
// one is none.
func (d *dialect) siemUpdate(ctx context.Context, c Caller, asked labSIEMUpdate) (projections.Outcome, error) {
	if err := d.Model.Allows(c.Meta(), domain.WebhooksWrite); err != nil {
		return projections.Outcome{}, err
	}
	w, known := d.siem(c)
	if !known {
		return d.siemCreate(ctx, c, asked)
	}
	if asked.URL != nil && *asked.URL == "" {
		return d.siemRemove(ctx, c, w, asked)
	}
	command := domain.UpdateWebhook{Webhook: w.Number, URL: asked.URL, Events: asked.Events, Plain: d.plainWebhooks()}
	if asked.Enabled != nil {
		command.Disabled = new(!*asked.Enabled)
	}
	var err error
	if headers := asked.headers(); asked.Headers.Given && !onlyMasked(headers) {
		wanted := w.Announcement
		wanted.URL = *cmp.Or(asked.URL, &w.URL)
		if command.Headers, err = d.resealed(ctx, c, w, wanted, headers); err != nil {
			return projections.Outcome{}, err
		}
	}
	return d.Model.Execute(ctx, c.Meta(), command)
}

func (d *dialect) siemCreate(ctx context.Context, c Caller, asked labSIEMUpdate) (projections.Outcome, error) {
	if asked.URL == nil || *asked.URL == "" {
		if asked.Enabled != nil && *asked.Enabled {
			return projections.Outcome{}, domain.Invalid("siem_integration_url", "is missing", "send the address of the SIEM")
		}
		return projections.Outcome{}, nil
	}
	command := domain.CreateWebhook{
		Announcement: domain.Announcement{Name: siemName, URL: *asked.URL, Shape: domain.SIEMWebhook, Events: *cmp.Or(asked.Events, new([]string))},
		Disabled:     asked.Enabled == nil || !*asked.Enabled, Plain: d.plainWebhooks(),
	}
	if _, err := d.Model.Try(c.Meta(), command); err != nil { // before anything is sealed for who may not
		return projections.Outcome{}, err
	}
	var err error
	if command.Headers, err = d.sealHeaders(ctx, c.Organization, command.Announcement, asked.headers()); err != nil {
		return projections.Outcome{}, err
	}
	return d.Model.Execute(ctx, c.Meta(), command)
}

// siemRemove deletes a SIEM that is to have no address, unless it is to be enabled.
func (d *dialect) siemRemove(ctx context.Context, c Caller, w domain.Webhook, asked labSIEMUpdate) (projections.Outcome, error) {
	if asked.Enabled != nil && *asked.Enabled {
		return projections.Outcome{}, domain.Invalid("siem_integration_url", "is missing", "send the address of the SIEM")
	}
	return d.Model.Execute(ctx, c.Meta(), domain.DeleteWebhook{Webhook: w.Number})
}

// onlyMasked reports whether headers are what was shown: to be left as they are.
func onlyMasked(headers map[string]string) bool {
	for _, value := range headers {
		if value != masked {
			return false
		}
	}
	return len(headers) > 0
}

// resealed are the headers of a webhook with what is wanted: where a value is as it was
// shown, it stays, unless it was for another origin.
func (s *Server) resealed(ctx context.Context, c Caller, w domain.Webhook, wanted domain.Announcement, headers map[string]string) (*[]byte, error) {
	headers, err := s.unmasked(ctx, c, w, wanted, headers)
	if err != nil {
		return nil, err
	}
	sealed, err := s.sealHeaders(ctx, c.Organization, wanted, headers)
	return &sealed, err
}

func (s *Server) unmasked(ctx context.Context, c Caller, w domain.Webhook, wanted domain.Announcement, headers map[string]string) (map[string]string, error) {
	headers = maps.Clone(headers)
	for name, value := range headers {
		if value != masked {
			continue
		}
		kept, err := s.openHeaders(ctx, c.Organization, w.Announcement)
		if err != nil {
			return nil, err
		}
		if headers[name] = kept.Get(name); headers[name] == "" || wanted.Origin() != w.Origin() {
			return nil, domain.Invalid("headers", "have a value that was hidden", "send the value again")
		}
	}
	return headers, nil
}

// labSIEMTest is what rpc/test_siem_connection is called with.
type labSIEMTest struct {
	labCaller
	URL     *string           `json:"api_url"`
	Headers map[string]string `json:"http_headers_extra"`
}

// labSIEMTested is its answer.
type labSIEMTested struct {
	Tested struct {
		Status int `json:"status"`
	} `json:"test_siem_connection"`
}

// siemTest sends a test to an address, as an event would be sent there.
func (d *dialect) siemTest(ctx context.Context, c Caller, asked labSIEMTest) (any, error) {
	to, err := labText("api_url", asked.URL, "send the address of the SIEM")
	if err != nil {
		return nil, err
	}
	tried := domain.Announcement{Name: "test", URL: to, Shape: domain.SIEMWebhook}
	if err := domain.CheckAnnouncement(tried, d.plainWebhooks()); err != nil {
		return nil, err
	}
	w, _ := d.siem(c)
	headers, err := d.unmasked(ctx, c, w, tried, asked.Headers)
	if err == nil {
		err = checkHeaders(headers)
	}
	if err != nil {
		return nil, err
	}
	m, err := d.siemPing(c, domain.RandomID().String())
	if err != nil {
		return nil, err
	}
	header := http.Header{"Content-Type": {m.ContentType}, "User-Agent": {"jeton/" + d.Version}}
	for name, value := range headers {
		header.Set(name, value)
	}
	var answer labSIEMTested
	if answer.Tested.Status, err = d.outgoing().Post(ctx, to, header, m.Body); err != nil {
		return nil, domain.Refuse(domain.ErrState, "the SIEM did not answer: "+err.Error(), "check its address")
	}
	return answer, nil
}

// siemEvent is an event as Database Lab sends it to a SIEM.
type siemEvent struct {
	ID    string         `json:"id"`
	Time  domain.Instant `json:"timestamp"`
	Event struct {
		Category string `json:"category"`
		Action   string `json:"action"`
	} `json:"event"`
	Org struct {
		ID    domain.Position `json:"id"`
		Name  string          `json:"name"`
		Alias string          `json:"alias"`
	} `json:"org"`
	Actor   *siemActor  `json:"actor"` // null: the service itself
	Changes siemChanges `json:"changes"`
}

type siemActor struct {
	ID        *domain.Position `json:"id"` // null: whoever has a token of nobody
	Email     *string          `json:"email"`
	FirstName *string          `json:"first_name"`
	LastName  *string          `json:"last_name"`
}

type siemChanges struct {
	Rows   int              `json:"processed_row_count"`
	Before []map[string]any `json:"data_before"`
	After  []map[string]any `json:"data_after"`
}

// siemTable is what a SIEM knows an event by.
func (s *Server) siemTable(org domain.OrganizationID, e domain.Event) string {
	var c Caller
	c.Organization = org
	return (&dialect{Server: s}).auditTable(c, e)
}

// siemActions are the words of the console for what was done to a table.
var siemActions = map[string]map[string]string{
	"orgs":            {"insert": "update", "delete": "update"},
	"users_orgs":      {"insert": "add", "delete": "remove"},
	"api_tokens":      {"insert": "generate", "delete": "revoke"},
	"dblab_instances": {"insert": "add", "delete": "remove"},
	"joe_instances":   {"insert": "add", "delete": "remove"},
	"joe_messages":    {"insert": "create", "delete": "remove"},
}

func (s *Server) siemMessage(row projections.CommitRow, item int) (message, error) {
	e := row.Events[item]
	facts, err := factsOf(e)
	if err != nil {
		return message{}, err
	}
	withoutHashes(facts)
	m := s.siemFrom(row.Organization, row.Time, messageID(row.Organization, row.Position, item))
	action := auditAction(e)
	m.Event.Category = s.siemTable(row.Organization, e)
	m.Event.Action = cmp.Or(siemActions[m.Event.Category][action], action)
	m.Actor = siemActorOf(row)
	m.Changes.Rows = 1
	if action == "delete" {
		m.Changes.Before = append(m.Changes.Before, facts)
	} else {
		m.Changes.After = append(m.Changes.After, facts)
	}
	return m.message()
}

// siemFrom is a message without what has happened.
func (s *Server) siemFrom(org domain.OrganizationID, at domain.Instant, id string) (m siemEvent) {
	profile, _ := s.Model.Profile(org)
	m.ID, m.Time = uuidOf(at, id), at
	m.Org.ID, m.Org.Name, m.Org.Alias = profile.Number, profile.Name, profile.Alias
	m.Changes.Before, m.Changes.After = []map[string]any{}, []map[string]any{}
	return m
}

func (m siemEvent) message() (message, error) {
	body, err := json.Marshal(m)
	return message{m.ID, "application/json", body}, err
}

// siemActorOf is who did it. A service account has a name and no e-mail; of a token of
// nobody its id stands where a name does.
func siemActorOf(row projections.CommitRow) *siemActor {
	var by siemActor
	if row.Number != 0 {
		by.ID = new(row.Number)
	}
	switch {
	case row.Email != "":
		by.Email = new(row.Email)
	case row.Name != "":
		by.FirstName = new(row.Name)
	case row.Actor.Kind == domain.ActorSystem:
		return nil
	case !row.Actor.Token.IsZero():
		by.FirstName = new(fmt.Sprintf("token %s", row.Actor.Token))
	}
	return &by
}

// siemPing is the test message.
func (s *Server) siemPing(c Caller, id string) (message, error) {
	m := s.siemFrom(c.Organization, domain.At(s.now()), id)
	m.Event.Category, m.Event.Action = "test", "test"
	m.Actor = &siemActor{}
	if c.Account.Number != 0 {
		m.Actor.ID = new(c.Account.Number)
	}
	if c.Account.Email != "" {
		m.Actor.Email = new(c.Account.Email)
	}
	return m.message()
}
