package http

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"jeton/domain"
	"jeton/projections"
)

// Joe is a bot that people send queries to. It tells what they asked and what came out.

func (d *dialect) joeRoutes() []route {
	return []route{
		labFunction(d, "joe_instance_create", "Announce a Joe", "project.created record.kept", d.joeInstanceCreate, domain.LabJoe),
		labFunction(d, "joe_instance_destroy", "Say that a Joe is gone", "records.removed", d.joeInstanceDestroy, domain.LabJoe),
		labFunction(d, "joe_session_create", "Begin a session with Joe", "project.created record.kept", d.joeSessionCreate, domain.LabJoe),
		labLargeFunction(d, "joe_session_command_post", "Keep a command and what came out", "record.kept", d.joeCommandPost, domain.LabJoe),
		labLargeFunction(d, "joe_message_post", "Keep or change a message", "record.kept record.amended", d.joeMessagePost, domain.LabJoe),
		labLargeFunction(d, "joe_message_artifact_post", "Keep what belongs to a message", "record.kept", d.joeArtifactPost, domain.LabJoe),
		labFunction(d, "joe_command_favorite", "Mark a command", "record.amended", d.joeCommandFavorite, domain.LabJoe),
		labFunction(d, "joe_session_delete", "Delete sessions with all that belongs to them", "records.removed", d.joeSessionDelete, domain.LabDelete),
		labFunction(d, "joe_command_delete", "Delete commands with all that belongs to them", "records.removed", d.joeCommandDelete, domain.LabDelete),
		labDownload(d, "joe_instance_channels_get", "List the channels of a Joe", d.joeChannels),
		labView(d, "joe_instances", "List Joes", d.joeInstances, nil, domain.LabRead),
		labView(d, "joe_sessions", "List sessions with Joe", d.joeSessions, nil, domain.LabRead),
		labView(d, "joe_session_commands", "List commands", d.joeCommands, d.finishCommands, domain.LabRead),
		labView(d, "joe_messages", "List messages", d.joeMessages, d.finishMessages, domain.LabRead),
		labView(d, "joe_message_artifacts", "List what belongs to messages", d.joeArtifacts, d.finishJoeArtifacts, domain.LabRead),
	}
}

type joeInstanceCreate struct {
	labCaller
	OrgID        labNumber `json:"org_id"`
	URL          *string   `json:"url"`
	Token        *string   `json:"token"`
	Project      *string   `json:"project"`
	SSHServerURL string    `json:"ssh_server_url"`
	UseTunnel    bool      `json:"use_tunnel"`
	DryRun       bool      `json:"dry_run"`
}

type joeInstanceCreated struct {
	ID        domain.Position  `json:"id,omitempty"` // none after a dry run
	ProjectID *domain.Position `json:"project_id"`
	Verified  *bool            `json:"verified,omitempty"`
}

// joeInstanceCreate answers rpc/joe_instance_create. A Joe says it each time it starts,
// and it is one Joe all the same. Its signing secret is not kept: it stands in no event,
// and nothing is sent to Joe. For the same reason a dry run verifies nothing.
func (d *dialect) joeInstanceCreate(ctx context.Context, c Caller, asked joeInstanceCreate) (any, error) {
	if err := labOwn(c, asked.OrgID); err != nil {
		return nil, err
	}
	url, err := labText("url", asked.URL, "send the URL of the Joe")
	if err != nil {
		return nil, err
	}
	if err := labShort("url", url, asked.SSHServerURL); err != nil {
		return nil, err
	}
	command := domain.KeepRecord{Kind: domain.JoeInstance, Project: orEmpty(asked.Project), Key: labKey("joe", url, orEmpty(asked.Project))}
	if asked.DryRun {
		_, err := d.Model.Try(c.Meta(), command)
		return joeInstanceCreated{ProjectID: numbered(d.Model.Project(c.Organization, command.Project)), Verified: new(false)}, err
	}
	number, err := d.keep(ctx, c, command, parcel{facts: map[string]any{
		"url": url, "ssh_server_url": asked.SSHServerURL, "use_tunnel": asked.UseTunnel,
	}})
	if err != nil {
		return nil, err
	}
	d.settled(ctx, number)
	return joeInstanceCreated{ID: number, ProjectID: numbered(d.Model.Project(c.Organization, command.Project))}, nil
}

type joeInstanceDestroy struct {
	labCaller
	InstanceID labNumber `json:"instance_id"`
}

// joeInstanceDestroy answers rpc/joe_instance_destroy.
func (d *dialect) joeInstanceDestroy(ctx context.Context, c Caller, asked joeInstanceDestroy) (any, error) {
	number, err := asked.InstanceID.needed("instance_id", "Joe")
	if err != nil {
		return nil, err
	}
	if err := d.remove(ctx, c, domain.JoeInstance, []domain.Position{number}); err != nil {
		return nil, err
	}
	return struct {
		Result domain.Position `json:"result"`
	}{number}, nil
}

// remove removes records with all that belongs to them.
func (d *dialect) remove(ctx context.Context, c Caller, kind domain.RecordKind, numbers []domain.Position) error {
	done, err := d.Model.Execute(ctx, c.Meta(), domain.RemoveRecords{Kind: kind, Numbers: numbers})
	if err == nil {
		d.settled(ctx, done.Position)
	}
	return err
}

type joeSessionCreate struct {
	labCaller
	ProjectName string `json:"project_name"`
	UserID      string `json:"user_id"`
	UserName    string `json:"user_name"`
	ChannelID   string `json:"channel_id"`
}

// joeSessionCreate answers rpc/joe_session_create. The number is one here and a string
// wherever it comes back.
func (d *dialect) joeSessionCreate(ctx context.Context, c Caller, asked joeSessionCreate) (any, error) {
	if err := labShort("user_name", asked.UserID, asked.UserName, asked.ChannelID); err != nil {
		return nil, err
	}
	number, err := d.keep(ctx, c, domain.KeepRecord{Kind: domain.JoeSession, Project: asked.ProjectName}, parcel{facts: map[string]any{
		"user_id": asked.UserID, "user_name": asked.UserName, "channel_id": asked.ChannelID,
	}})
	if err != nil {
		return nil, err
	}
	d.settled(ctx, number)
	return struct {
		SessionID domain.Position `json:"session_id"`
	}{number}, nil
}

type joeCommandPost struct {
	labCaller
	SessionID         labNumber `json:"session_id"`
	Command           string    `json:"command"`
	Query             string    `json:"query"`
	Response          string    `json:"response"`
	PlanText          string    `json:"plan_text"`
	PlanJSON          string    `json:"plan_json"`
	PlanExecutionText string    `json:"plan_execution_text"`
	PlanExecutionJSON string    `json:"plan_execution_json"`
	Recommendations   string    `json:"recommendations"`
	Stats             string    `json:"stats"`
	QueryLocks        string    `json:"query_locks"`
	Error             string    `json:"error"`
	Timestamp         string    `json:"timestamp"`
}

// joeCommandPost answers rpc/joe_session_command_post.
func (d *dialect) joeCommandPost(ctx context.Context, c Caller, asked joeCommandPost) (any, error) {
	session, err := asked.SessionID.needed("session_id", "session")
	if err != nil {
		return nil, err
	}
	p := parcel{facts: map[string]any{
		"command": asked.Command, "query": asked.Query, "response": asked.Response, "recommendations": asked.Recommendations,
		"stats": asked.Stats, "query_locks": asked.QueryLocks, "error": asked.Error, "timestamp": asked.Timestamp,
	}}
	p.long("plan_text", mediaText, asked.PlanText)
	p.long("plan_json", mediaJSON, asked.PlanJSON)
	p.long("plan_execution_text", mediaText, asked.PlanExecutionText)
	p.long("plan_execution_json", mediaJSON, asked.PlanExecutionJSON)
	number, err := d.keep(ctx, c, domain.KeepRecord{Kind: domain.JoeCommand, Parent: session}, p)
	if err != nil {
		return nil, err
	}
	d.settled(ctx, number)
	return struct {
		ID   domain.Position `json:"command_id"`
		Link string          `json:"command_link"`
	}{number, fmt.Sprintf("/command/%d", number)}, nil
}

type joeMessagePost struct {
	labCaller
	CommandID labNumber `json:"command_id"`
	MessageID labNumber `json:"message_id"`
	SessionID labNumber `json:"session_id"`
	Text      string    `json:"text"`
	Status    string    `json:"status"`
}

var joeStatuses = []string{"", "running", "error", "ok"}

// joeMessagePost answers rpc/joe_message_post: without a message_id a new message, with
// one another text and status of that. A message belongs to a command, whose session is
// then its own, or to a session, or to nothing.
func (d *dialect) joeMessagePost(ctx context.Context, c Caller, asked joeMessagePost) (any, error) {
	if !slices.Contains(joeStatuses, asked.Status) {
		return nil, domain.Invalid("status", "is not a status", "send running, ok, error or nothing")
	}
	p := parcel{facts: map[string]any{"text": asked.Text, "status": asked.Status}}
	number, at, err := domain.Position(asked.MessageID), domain.Position(0), error(nil)
	if number != 0 {
		p.facts["updated_at"] = domain.At(d.now())
		at, err = d.amend(ctx, c, domain.JoeMessage, number, p)
	} else {
		number, err = d.joeMessage(ctx, c, asked, p)
		at = number
	}
	if err != nil {
		return nil, err
	}
	d.settled(ctx, at)
	return struct {
		ID string `json:"message_id"`
	}{strconv.FormatUint(uint64(number), 10)}, nil
}

func (d *dialect) joeMessage(ctx context.Context, c Caller, asked joeMessagePost, p parcel) (domain.Position, error) {
	command := domain.KeepRecord{Kind: domain.JoeMessage, Parent: domain.Position(asked.SessionID)}
	if command.Parent != 0 {
		if err := d.there(c, domain.JoeSession, command.Parent); err != nil {
			return 0, err
		}
	}
	if asked.CommandID != 0 {
		command.Parent = domain.Position(asked.CommandID)
		if err := d.there(c, domain.JoeCommand, command.Parent); err != nil {
			return 0, err
		}
		if session := d.within(c, domain.JoeSession, command.Parent); asked.SessionID != 0 && session != domain.Position(asked.SessionID) {
			return 0, domain.Invalid("session_id", "is not the session of the command", "send one of them")
		}
	}
	return d.keep(ctx, c, command, p)
}

type joeArtifactPost struct {
	labCaller
	MessageID labNumber `json:"message_id"`
	Title     string    `json:"title"`
	Content   string    `json:"content"`
}

// joeArtifactPost answers rpc/joe_message_artifact_post. Pages know the link by how it
// begins.
func (d *dialect) joeArtifactPost(ctx context.Context, c Caller, asked joeArtifactPost) (any, error) {
	message, err := asked.MessageID.needed("message_id", "message")
	if err != nil {
		return nil, err
	}
	if err := labShort("title", asked.Title); err != nil {
		return nil, err
	}
	p := parcel{facts: map[string]any{"title": asked.Title}}
	p.long("content", mediaText, asked.Content)
	number, err := d.keep(ctx, c, domain.KeepRecord{Kind: domain.JoeArtifact, Parent: message}, p)
	if err != nil {
		return nil, err
	}
	d.settled(ctx, number)
	return struct {
		ID   domain.Position `json:"artifact_id"`
		Link string          `json:"artifact_link"`
	}{number, fmt.Sprintf("/artifact/%d", number)}, nil
}

type joeFavorite struct {
	labCaller
	CommandID labNumber `json:"command_id"`
	Favorite  *bool     `json:"favorite"`
}

// joeCommandFavorite answers rpc/joe_command_favorite.
func (d *dialect) joeCommandFavorite(ctx context.Context, c Caller, asked joeFavorite) (any, error) {
	number, err := asked.CommandID.needed("command_id", "command")
	if err != nil {
		return nil, err
	}
	if asked.Favorite == nil {
		return nil, domain.Invalid("favorite", "is missing", "send true or false")
	}
	at, err := d.amend(ctx, c, domain.JoeCommand, number, parcel{facts: map[string]any{"favorite": *asked.Favorite}})
	if err != nil {
		return nil, err
	}
	d.settled(ctx, at)
	return struct {
		ID       domain.Position `json:"command_id"`
		Favorite bool            `json:"favorite"`
	}{number, *asked.Favorite}, nil
}

type labDelete struct {
	labCaller
	IDs labNumbers `json:"ids"`
}

// joeSessionDelete answers rpc/joe_session_delete: all of the sessions or none.
func (d *dialect) joeSessionDelete(ctx context.Context, c Caller, asked labDelete) (any, error) {
	var gone struct {
		Sessions int `json:"sessions"`
		Commands int `json:"commands"`
		Messages int `json:"messages"`
	}
	sessions := asked.IDs.positions()
	gone.Sessions = len(unrepeated(sessions))
	for _, session := range unrepeated(sessions) {
		commands, err := d.count(ctx, c, projections.RecordFilter{Kind: domain.JoeCommand, Parent: session})
		if err != nil {
			return nil, err
		}
		messages, err := d.joeMessagesIn(ctx, c, session)
		if err != nil {
			return nil, err
		}
		gone.Commands, gone.Messages = gone.Commands+commands, gone.Messages+messages
	}
	return gone, d.remove(ctx, c, domain.JoeSession, sessions)
}

// joeMessagesIn is how many messages a session has, those of its commands among them.
func (d *dialect) joeMessagesIn(ctx context.Context, c Caller, session domain.Position) (n int, err error) {
	if n, err = d.count(ctx, c, projections.RecordFilter{Kind: domain.JoeMessage, Parent: session}); err != nil {
		return 0, err
	}
	for command, err := range d.kept(ctx, c, projections.RecordFilter{Kind: domain.JoeCommand, Parent: session}) {
		if err != nil {
			return 0, err
		}
		more, err := d.count(ctx, c, projections.RecordFilter{Kind: domain.JoeMessage, Parent: command.Number})
		if err != nil {
			return 0, err
		}
		n += more
	}
	return n, nil
}

func unrepeated(numbers []domain.Position) []domain.Position {
	return slices.Compact(slices.Sorted(slices.Values(numbers)))
}

// joeCommandDelete answers rpc/joe_command_delete.
func (d *dialect) joeCommandDelete(ctx context.Context, c Caller, asked labDelete) (any, error) {
	numbers := asked.IDs.positions()
	return struct {
		Commands int `json:"commands"`
	}{len(unrepeated(numbers))}, d.remove(ctx, c, domain.JoeCommand, numbers)
}

// joeChannels answers GET rpc/joe_instance_channels_get: the channels from which sessions
// of the Joe's project have come. Joe itself is not asked.
func (d *dialect) joeChannels(w http.ResponseWriter, r *http.Request, c Caller) error {
	instance, err := labAsked(r, "instance_id")
	if err != nil {
		return err
	}
	if err := d.there(c, domain.JoeInstance, instance); err != nil {
		return err
	}
	row, err := d.Views.Record(r.Context(), c.Organization, instance)
	if err != nil {
		return err
	}
	type channel struct {
		ID string `json:"channel_id"`
	}
	channels := []channel{}
	for session, err := range d.kept(r.Context(), c, projections.RecordFilter{Kind: domain.JoeSession, Project: row.Project}) {
		if err != nil {
			return err
		}
		var facts labJoeSession
		_ = json.Unmarshal(session.Facts, &facts) // they are what joeSessionCreate has written
		if one := (channel{facts.ChannelID}); session.Project == row.Project && one.ID != "" && !slices.Contains(channels, one) {
			channels = append(channels, one)
		}
	}
	return encode(w, channels)
}

// labJoe is a row of the view joe_instances.
type labJoe struct {
	labMade
	labWithin
	URL          string          `json:"url"`
	SSHServerURL string          `json:"ssh_server_url"`
	UseTunnel    bool            `json:"use_tunnel"`
	VerifyToken  json.RawMessage `json:"verify_token"` // null: it is not kept
}

func (d *dialect) joeInstances(ctx context.Context, c Caller, q labQuery) (iter.Seq2[labJoe, error], error) {
	return labMapped(d.records(ctx, c, q, domain.JoeInstance, ""), func(row projections.RecordRow) (j labJoe) {
		_ = json.Unmarshal(row.Facts, &j) // they are what joeInstanceCreate has written
		j.labMade, j.labWithin = labMadeOf(c, row.Number, row.Kept), labWithinOf(row.Project, row.Within)
		return j
	}), nil
}

// labJoeSession is a row of the view joe_sessions.
type labJoeSession struct {
	labMade
	labWithin
	UserID    string `json:"user_id"`
	UserName  string `json:"user_name"`
	ChannelID string `json:"channel_id"`
}

func (d *dialect) joeSessions(ctx context.Context, c Caller, q labQuery) (iter.Seq2[labJoeSession, error], error) {
	return labMapped(d.records(ctx, c, q, domain.JoeSession, ""), func(row projections.RecordRow) labJoeSession { return labJoeSessionOf(c, row) }), nil
}

func labJoeSessionOf(c Caller, row projections.RecordRow) (s labJoeSession) {
	_ = json.Unmarshal(row.Facts, &s) // they are what joeSessionCreate has written
	s.labMade, s.labWithin = labMadeOf(c, row.Number, row.Kept), labWithinOf(row.Project, row.Within)
	return s
}

// sessionsSeen looks sessions up, each once for an answer.
type sessionsSeen map[domain.Position]labJoeSession

func (seen sessionsSeen) find(ctx context.Context, d *dialect, c Caller, number domain.Position) labJoeSession {
	session, known := seen[number]
	if !known && number != 0 {
		if row, err := d.Views.Record(ctx, c.Organization, number); err == nil {
			session = labJoeSessionOf(c, row)
		}
		seen[number] = session
	}
	return session
}

// labCommand is a row of the view joe_session_commands. What is null was not sent.
type labCommand struct {
	labMade
	labWithin
	Session           domain.Position `json:"joe_session_id"`
	Command           *string         `json:"command"`
	Query             *string         `json:"query"`
	Response          *string         `json:"response"`
	PlanText          *string         `json:"plan_text"`
	PlanJSON          *string         `json:"plan_json"`
	PlanExecutionText *string         `json:"plan_execution_text"`
	PlanExecutionJSON *string         `json:"plan_execution_json"`
	Recommendations   *string         `json:"recommendations"`
	Stats             *string         `json:"stats"`
	QueryLocks        *string         `json:"query_locks"`
	Error             *string         `json:"error"`
	Timestamp         *string         `json:"slack_ts"`
	Fingerprint       *string         `json:"fingerprint"` // null: we do not read queries
	IsFavorite        int             `json:"is_favorite"`
	SlackUID          string          `json:"slack_uid"`
	SlackUsername     string          `json:"slack_username"`
	SlackChannel      string          `json:"slack_channel"`
	Username          string          `json:"username"`
	Useremail         *string         `json:"useremail"` // null: Joe does not know it

	Words string `json:"-" lab:"tsv"` // what a search looks through
	kept  projections.RecordRow
}

func (d *dialect) joeCommands(ctx context.Context, c Caller, q labQuery) (iter.Seq2[labCommand, error], error) {
	seen := sessionsSeen{}
	return labMapped(d.records(ctx, c, q.without("project_id"), domain.JoeCommand, "joe_session_id"), func(row projections.RecordRow) labCommand {
		cmd := labCommand{kept: row}
		_ = json.Unmarshal(row.Facts, &cmd) // they are what joeCommandPost has written
		session := seen.find(ctx, d, c, row.Parent)
		cmd.labMade, cmd.labWithin, cmd.Session = labMadeOf(c, row.Number, row.Kept), session.labWithin, row.Parent
		cmd.SlackUID, cmd.SlackUsername, cmd.SlackChannel = session.UserID, session.UserName, session.ChannelID
		cmd.Username = session.UserName
		cmd.Words = strings.Join([]string{orEmpty(cmd.Command), orEmpty(cmd.Query), orEmpty(cmd.Response)}, " ")
		var marked struct {
			Favorite  bool
			Timestamp *string
		}
		_ = json.Unmarshal(row.Facts, &marked)
		cmd.IsFavorite, cmd.Timestamp = btoi(marked.Favorite), marked.Timestamp
		return cmd
	}), nil
}

func (d *dialect) finishCommands(ctx context.Context, c Caller, rows []labCommand) error {
	var all []labWaiting
	for i := range rows {
		cmd := &rows[i]
		for name, field := range map[string]**string{
			"command": &cmd.Command, "query": &cmd.Query, "response": &cmd.Response, "plan_text": &cmd.PlanText, "plan_json": &cmd.PlanJSON,
			"plan_execution_text": &cmd.PlanExecutionText, "plan_execution_json": &cmd.PlanExecutionJSON, "recommendations": &cmd.Recommendations,
			"stats": &cmd.Stats, "query_locks": &cmd.QueryLocks, "error": &cmd.Error, "timestamp": &cmd.Timestamp,
		} {
			all = waitFor(all, cmd.kept, name, *field == nil, func(text []byte) { *field = new(string(text)) })
		}
	}
	return d.fetch(ctx, c, all)
}

// labMessage is a row of the view joe_messages. Its author is null: all that is kept
// was said by a bot.
type labMessage struct {
	labMade
	Session        *domain.Position `json:"session_id"`
	ChannelID      *string          `json:"channel_id"`
	CommandID      *domain.Position `json:"command_id"`
	ParentID       *domain.Position `json:"parent_id"`
	AuthorID       *domain.Position `json:"author_id"`
	Message        *string          `json:"message"`
	Status         string           `json:"status"`
	DeliveryStatus *string          `json:"delivery_status"`
	UpdatedAt      domain.Instant   `json:"updated_at"`

	kept projections.RecordRow
}

func (d *dialect) joeMessages(ctx context.Context, c Caller, q labQuery) (iter.Seq2[labMessage, error], error) {
	seen := sessionsSeen{}
	return labMapped(d.records(ctx, c, q, domain.JoeMessage, "command_id"), func(row projections.RecordRow) labMessage {
		var facts struct {
			Text      *string
			Status    string
			UpdatedAt domain.Instant `json:"updated_at"`
		}
		_ = json.Unmarshal(row.Facts, &facts) // they are what joeMessagePost has written
		session := d.within(c, domain.JoeSession, row.Number)
		m := labMessage{kept: row, labMade: labMadeOf(c, row.Number, row.Kept), Session: numbered(session), Message: facts.Text, Status: facts.Status, UpdatedAt: row.Kept}
		m.ChannelID = unlessEmpty(seen.find(ctx, d, c, session).ChannelID)
		if row.Parent != session {
			m.CommandID, m.ParentID = numbered(row.Parent), numbered(row.Parent)
		}
		if facts.UpdatedAt != 0 {
			m.UpdatedAt = facts.UpdatedAt
		}
		return m
	}), nil
}

// finishMessages adds long texts, and whether something belongs to a message.
func (d *dialect) finishMessages(ctx context.Context, c Caller, rows []labMessage) error {
	var all []labWaiting
	for i := range rows {
		m := &rows[i]
		all = waitFor(all, m.kept, "text", m.Message == nil, func(text []byte) { m.Message = new(string(text)) })
		attached, err := d.Views.Records(ctx, projections.RecordFilter{Organization: c.Organization, Kind: domain.JoeArtifact, Parent: m.ID, Limit: 1})
		if err != nil {
			return err
		}
		if len(attached) > 0 {
			m.DeliveryStatus = new("artifact_attached")
		}
	}
	return d.fetch(ctx, c, all)
}

// labJoeArtifact is a row of the view joe_message_artifacts.
type labJoeArtifact struct {
	labMade
	MessageID domain.Position `json:"message_id"`
	Title     string          `json:"title"`
	Content   string          `json:"content"`

	kept projections.RecordRow
}

func (d *dialect) joeArtifacts(ctx context.Context, c Caller, q labQuery) (iter.Seq2[labJoeArtifact, error], error) {
	return labMapped(d.records(ctx, c, q, domain.JoeArtifact, "message_id"), func(row projections.RecordRow) labJoeArtifact {
		a := labJoeArtifact{kept: row}
		_ = json.Unmarshal(row.Facts, &a) // they are what joeArtifactPost has written
		a.labMade, a.MessageID = labMadeOf(c, row.Number, row.Kept), row.Parent
		return a
	}), nil
}

func (d *dialect) finishJoeArtifacts(ctx context.Context, c Caller, rows []labJoeArtifact) error {
	var all []labWaiting
	for i := range rows {
		all = waitFor(all, rows[i].kept, "content", true, func(text []byte) { rows[i].Content = string(text) })
	}
	return d.fetch(ctx, c, all)
}
