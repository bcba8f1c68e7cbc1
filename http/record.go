package http

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"jeton/domain"
	"jeton/projections"
)

func (s *Server) recordRoutes() []route {
	return []route{
		{pattern: "GET /api/v1/organizations/{org}/records", summary: "List what programs of Database Lab have sent, the newest first",
			access: allowed(domain.LabRead), mount: api(s.recordList)},
		{pattern: "GET /api/v1/organizations/{org}/records/{id}", summary: "Show something that a program has sent",
			access: allowed(domain.LabRead), mount: api(s.recordShow)},
		{pattern: "DELETE /api/v1/organizations/{org}/records/{id}", summary: "Delete something that a program has sent, with all that belongs to it", status: 204,
			access: allowed(domain.LabDelete, domain.LabInstances, domain.LabJoe), mount: api(s.recordDelete), audit: "records.removed"},
		{pattern: "GET /api/v1/organizations/{org}/records/{id}/content/{name}", summary: "Download a file that a program has sent",
			access: allowed(domain.LabRead), mount: api(s.recordContent)},
		{pattern: "GET /api/v1/organizations/{org}/projects", summary: "List projects, the oldest first",
			access: allowed(domain.LabRead), mount: dated((*Server).projectList)},
	}
}

// Record is something that a program of Database Lab has sent. It is exported because
// huma looks into exported fields only.
type Record struct {
	ID      domain.Position   `json:"id" doc:"Its number." example:"120"`
	Kind    domain.RecordKind `json:"kind" doc:"What it is." example:"checkup-report"`
	Parent  domain.Position   `json:"parent,omitempty" doc:"The number of the record that it belongs to; absent: of none."`
	Project string            `json:"project,omitempty" doc:"The project that it belongs to."`
	Key     string            `json:"key,omitempty" doc:"What its sender calls it."`
	Facts   map[string]any    `json:"facts" doc:"What it says. What is too long to stand here is null and among the content."`
	Content []recordContent   `json:"content" nullable:"false" doc:"The files that belong to it."`
	KeptAt  domain.Instant    `json:"kept_at" format:"date-time" doc:"When it came."`
	KeptBy  *author           `json:"kept_by" doc:"Who sent it, and with what."`
	Version domain.Position   `json:"version" doc:"The number inside the ETag."`
}

type recordContent struct {
	Name   string `json:"name" doc:"Which file it is." example:"data"`
	Size   int64  `json:"size" doc:"In bytes."`
	Digest string `json:"digest" doc:"SHA-256, in hexadecimal."`
	Media  string `json:"media,omitempty" doc:"What its sender says it is." example:"application/json"`
}

// Project is a name under which an organization keeps together what belongs together.
// It is exported because huma looks into exported fields only.
type Project struct {
	ID        domain.Position `json:"id" doc:"Its number."`
	Name      string          `json:"name" doc:"Its name." example:"orders"`
	CreatedAt domain.Instant  `json:"created_at" format:"date-time" doc:"When it was first named."`
}

// InRecord is a record in a path.
type InRecord struct {
	InOrganization
	ID string `path:"id" doc:"The number of the record." example:"120"`
}

// recordList answers GET /api/v1/organizations/{org}/records.
func (s *Server) recordList(ctx context.Context, c Caller, in *struct {
	InOrganization
	PageQuery
	Kind    string          `query:"kind" maxLength:"40" doc:"Only records of this kind." example:"checkup-report"`
	Parent  domain.Position `query:"parent" maximum:"9223372036854775807" doc:"Only records that belong to the one with this number."`
	Project string          `query:"project" maxLength:"100" doc:"Only records of the project with this name."`
},
) (*pageAnswer[Record], error) {
	f := projections.RecordFilter{Organization: c.Organization, Parent: in.Parent}
	if in.Kind != "" {
		if err := f.Kind.UnmarshalText([]byte(in.Kind)); err != nil {
			return nil, inQuery(err)
		}
	}
	none := false
	if in.Project != "" {
		f.Project = s.Model.Project(c.Organization, in.Project)
		none = f.Project == 0
	}
	ask := func(ctx context.Context, before domain.Position, limit int) ([]projections.RecordRow, error) {
		if none {
			return nil, nil
		}
		f.Before, f.Limit = before, limit
		return s.Views.Records(ctx, f)
	}
	return listing(ctx, in.PageQuery, "records", ask, func(row projections.RecordRow) (Record, domain.Position) {
		return s.describeRecord(c, row), row.Number
	})
}

func (s *Server) describeRecord(c Caller, row projections.RecordRow) Record {
	r := Record{
		ID: row.Number, Kind: row.Kind, Parent: row.Parent, Project: row.Within, Key: row.Key, Facts: map[string]any{},
		Content: make([]recordContent, 0, len(row.Content)), KeptAt: row.Kept, KeptBy: s.author(c.Organization, row.KeptBy), Version: row.Changed,
	}
	_ = json.Unmarshal(row.Facts, &r.Facts) // they are an object
	for _, file := range row.Content {
		r.Content = append(r.Content, recordContent{file.Part, file.Size, file.Digest.String(), file.Media})
	}
	return r
}

// recordNumbered is the record of the caller's organization with a number. Another
// organization's, a number that nobody has and what is no number are not found alike.
func (s *Server) recordNumbered(ctx context.Context, c Caller, text string) (projections.RecordRow, error) {
	number := position(text)
	if _, _, known := s.Model.Record(c.Organization, number); !known {
		return projections.RecordRow{}, errNoRecord
	}
	if s.settled(ctx, number) != "" {
		return projections.RecordRow{}, projections.ErrViews
	}
	return s.Views.Record(ctx, c.Organization, number)
}

var errNoRecord = domain.Refuse(domain.ErrNotFound, "there is no such record", "look at the list of records")

// recordShow answers GET /api/v1/organizations/{org}/records/{id}.
func (s *Server) recordShow(ctx context.Context, c Caller, in *InRecord) (*answer[Record], error) {
	row, err := s.recordNumbered(ctx, c, in.ID)
	if err != nil {
		return nil, err
	}
	return &answer[Record]{ETag: etag(row.Changed), Body: s.describeRecord(c, row)}, nil
}

// recordDelete answers DELETE /api/v1/organizations/{org}/records/{id}. Who may send what
// announces a program may take it back; the command decides.
func (s *Server) recordDelete(ctx context.Context, c Caller, in *struct {
	InRecord
	Reason string `query:"reason" maxLength:"1000" doc:"Why, for the log."`
},
) (*nothing, error) {
	number := position(in.ID)
	kind, _, known := s.Model.Record(c.Organization, number)
	if !known {
		return nil, errNoRecord
	}
	outcome, err := s.Model.Execute(ctx, c.Meta(), domain.RemoveRecords{Kind: kind, Numbers: []domain.Position{number}, Reason: in.Reason})
	if err != nil {
		return nil, err
	}
	return &nothing{Views: s.settled(ctx, outcome.Position)}, nil
}

// recordContent answers GET /api/v1/organizations/{org}/records/{id}/content/{name}: as a
// file to be kept and not to be shown, whatever its sender says it is. Its length and
// digest stand above it; what is damaged ends before its end.
func (s *Server) recordContent(ctx context.Context, c Caller, in *struct {
	InRecord
	Name string `path:"name" doc:"Which file of the record." example:"data"`
},
) (*huma.StreamResponse, error) {
	row, err := s.recordNumbered(ctx, c, in.ID)
	if err != nil {
		return nil, err
	}
	content, there := part(row, in.Name)
	if !there {
		return nil, domain.Refuse(domain.ErrNotFound, "the record has no such content", "look at the record for what it has")
	}
	reader, err := s.open(ctx, content)
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(w huma.Context) {
		defer reader.Close()
		h := http.Header{}
		attach(h, content.Media, fmt.Sprintf("%d-%s", row.Number, content.Part))
		h.Set("Content-Length", strconv.FormatInt(content.Size, 10))
		h.Set("Digest", "sha-256="+base64.StdEncoding.EncodeToString(content.Digest[:]))
		for name := range h {
			w.SetHeader(name, h.Get(name))
		}
		pour(w.BodyWriter(), reader)
	}}, nil
}

// projectList answers GET /api/v1/organizations/{org}/projects.
func (s *Server) projectList(ctx context.Context, c Caller, in *struct {
	InOrganization
	PageQuery
},
) (*pageAnswer[Project], error) {
	ask := func(ctx context.Context, after domain.Position, limit int) ([]projections.ProjectRow, error) {
		return s.Views.Projects(ctx, c.Organization, projections.Page{After: after, Limit: limit})
	}
	return listing(ctx, in.PageQuery, "projects", ask, func(row projections.ProjectRow) (Project, domain.Position) {
		return Project{row.Number, row.Name, row.Created}, row.Number
	})
}
