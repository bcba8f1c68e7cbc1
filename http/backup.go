package http

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"jeton/domain"
	"jeton/eventstore"
)

// backupRoutes are the routes of those who keep the whole platform safe.
func (s *Server) backupRoutes() []route {
	return []route{
		{pattern: "GET /api/v1/backup", summary: "Take a backup of the whole platform, as it is now",
			access: operators, mount: backedUp(s.backup)},
	}
}

var errBackupRuns = problem(503, "busy", "a backup is being made already", "wait until it has ended, and try again")

// backup answers GET /api/v1/backup with a backup of all that is in the views now,
// while commands go on. Its commits come from the second copy, which is held against
// its chain on the way: one that is damaged makes no backup. What breaks off has no
// end, and whoever reads it knows.
func (s *Server) backup(w http.ResponseWriter, r *http.Request, c Caller) error {
	objects, err := wantsObjects(r)
	if err != nil {
		return inQuery(err)
	}
	if !s.backing.CompareAndSwap(false, true) {
		return errBackupRuns
	}
	defer s.backing.Store(false)
	source, err := s.backupSource(r.Context(), objects)
	if err != nil {
		return err
	}
	out := &patient{w: w, control: http.NewResponseController(w)}
	end, err := eventstore.WriteBackup(r.Context(), source, out)
	if err == nil {
		s.Log.Info().Str("request", c.Request).Uint64("position", uint64(end.Last)).Uint64("objects", end.Objects).Msg("a backup was made")
		return nil
	}
	s.Log.Error().Err(err).Str("request", c.Request).Msg("a backup broke off")
	if out.begun { // what was begun as a backup does not end as a problem
		panic(http.ErrAbortHandler)
	}
	return notCopied(err)
}

// notCopied says of a source that is damaged what can be done about it.
func notCopied(err error) error {
	var damage *eventstore.Damage
	switch {
	case errors.As(err, &damage):
		return problem(500, "copy-damaged", "no backup was made: "+err.Error(), "stop the service and look at it with jeton repair")
	case errors.Is(err, eventstore.ErrCorrupt):
		return problem(500, "object-damaged", "no backup was made: "+err.Error(), "remove that record, or take a backup without objects")
	}
	return err
}

func wantsObjects(r *http.Request) (bool, error) {
	switch r.URL.Query().Get("objects") {
	case "", "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, domain.Invalid("objects", "is neither true nor false", "leave it out, or send false for a backup without objects")
}

// backupSource is the platform as its views have it when they have all that the model
// has now.
func (s *Server) backupSource(ctx context.Context, objects bool) (source eventstore.BackupSource, err error) {
	if err := s.Views.Wait(ctx, s.Model.Position()); err != nil {
		return source, err
	}
	until, _, err := s.Views.Remembered(ctx)
	if err != nil {
		return source, err
	}
	source = eventstore.BackupSource{
		BackupHeader: eventstore.BackupHeader{Log: s.LogID, Made: s.now().UTC(), Version: s.Version},
		Until:        until, Keys: s.Keys, Roots: s.Roots,
		Records: func(ctx context.Context, do func(eventstore.Record) error) error {
			return s.Views.Copied(ctx, until, do)
		},
	}
	if objects {
		source.Objects = s.Objects
	}
	return source, nil
}

// patient is an answer of any length to somebody who must go on reading it.
type patient struct {
	w       http.ResponseWriter
	control *http.ResponseController
	begun   bool
}

// patience is for whoever reads a backup, from one piece to the next.
const patience = time.Minute

// Write implements io.Writer.
func (p *patient) Write(data []byte) (int, error) {
	if !p.begun {
		p.begun = true
		h := p.w.Header()
		h.Set("Content-Type", backupType)
		h.Set("Content-Disposition", `attachment; filename="jeton.backup"`)
	}
	_ = p.control.SetWriteDeadline(time.Now().Add(patience)) // by the clock of the wire; what is no connection has no deadlines
	return p.w.Write(data)
}

const backupType = "application/octet-stream"

// backedUp mounts the handler of backups, and describes it.
func backedUp(handle func(http.ResponseWriter, *http.Request, Caller) error) func(*mounter, route) {
	return func(m *mounter, r route) {
		raw(handle)(m, r)
		op := m.operation(r)
		op.Parameters = []*huma.Param{{
			Name: "objects", In: "query", Schema: &huma.Schema{Type: huma.TypeBoolean},
			Description: "false: without the files that programs of Database Lab have sent.",
		}}
		op.Responses = map[string]*huma.Response{
			"200": {
				Description: "A backup as package eventstore describes it. One that breaks off has no end; jeton backup verify finds that.",
				Content:     map[string]*huma.MediaType{backupType: {}},
			},
			"default": {Description: "Error", Content: problemContent(m.api.OpenAPI().Components.Schemas)},
		}
		m.api.OpenAPI().AddOperation(&op)
	}
}
