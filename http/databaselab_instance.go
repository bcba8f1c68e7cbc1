package http

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"iter"
	"net/http"
	"slices"
	"time"

	"jeton/domain"
	"jeton/projections"
)

func (d *dialect) instanceRoutes() []route {
	images := route{
		pattern: "GET " + d.databaseLab("/dblab_se_images"), summary: "List images of the Standard Edition",
		access: open, mount: labMount(d, anywhere, d.labImages),
	}
	return []route{
		labFunction(d, "dblab_instance_register", "Announce an engine", "project.created record.kept", d.instanceRegister, domain.LabInstances),
		labFunction(d, "monitoring_instance_register", "Announce a monitoring instance", "project.created record.kept", d.monitoringRegister, domain.LabInstances),
		labView(d, "dblab_instances", "List engines", d.instances, nil, domain.LabRead),
		labView(d, "projects", "List projects", d.projects, nil, domain.LabRead),
		images,
	}
}

// labImages answers the engine's own page, which shows the engine's token and not one
// of ours, and logs its user out if it is refused: we have no images, for anybody.
func (d *dialect) labImages(w http.ResponseWriter, _ *http.Request, _ Caller) error {
	return encode(w, []struct{}{})
}

type labRegister struct {
	labCaller
	InstanceID  *string `json:"selfassigned_instance_id"`
	ProjectName string  `json:"project_name"`
}

type labRegistered struct {
	ID         domain.Position  `json:"id"`
	ProjectID  *domain.Position `json:"project_id"`
	InstanceID string           `json:"selfassigned_instance_id"`
	Plan       string           `json:"plan"`
	CreatedAt  *domain.Instant  `json:"created_at,omitempty"`
}

// labPlan is the plan of engines that announce themselves: only those of the Standard
// Edition do.
const labPlan = "SE"

// instanceRegister answers rpc/dblab_instance_register. An engine says it each time it
// starts; it is one engine all the same.
func (d *dialect) instanceRegister(ctx context.Context, c Caller, asked labRegister) (any, error) {
	id, err := labText("selfassigned_instance_id", asked.InstanceID, "send the id that the engine gave itself")
	if err != nil {
		return nil, err
	}
	number, err := d.keep(ctx, c, domain.KeepRecord{Kind: domain.LabInstance, Project: asked.ProjectName, Key: id}, parcel{})
	if err != nil {
		return nil, err
	}
	answer := labRegistered{ID: number, InstanceID: id, Plan: labPlan, ProjectID: numbered(d.Model.Project(c.Organization, asked.ProjectName))}
	if d.settled(ctx, number) == "" {
		if row, err := d.Views.Record(ctx, c.Organization, number); err == nil {
			answer.ProjectID, answer.CreatedAt = numbered(row.Project), &row.Kept
		}
	}
	return answer, nil
}

// numbered is a number that may be none.
func numbered(n domain.Position) *domain.Position {
	if n == 0 {
		return nil
	}
	return &n
}

// labMonitoring comes with its token under a name of its own.
type labMonitoring struct {
	labCaller
	Token       labCredentials `json:"api_token"`
	ProjectName *string        `json:"project_name"`
}

func (asked labMonitoring) credentials() []string {
	return slices.Concat(asked.AccessToken, asked.Token)
}

// monitoringRegister answers rpc/monitoring_instance_register.
func (d *dialect) monitoringRegister(ctx context.Context, c Caller, asked labMonitoring) (any, error) {
	project, err := labText("project_name", asked.ProjectName, "name the project")
	if err != nil {
		return nil, err
	}
	command := domain.KeepRecord{Kind: domain.LabInstance, Project: project, Key: labKey("monitoring", project)}
	number, err := d.keep(ctx, c, command, parcel{facts: map[string]any{"monitoring": true}})
	if err != nil {
		return nil, err
	}
	d.settled(ctx, number)
	return struct {
		ID        domain.Position  `json:"id"`
		ProjectID *domain.Position `json:"project_id"`
	}{number, numbered(d.Model.Project(c.Organization, project))}, nil
}

// labWithin is the project of a row; null: it has none.
type labWithin struct {
	ProjectID          *domain.Position `json:"project_id"`
	ProjectName        *string          `json:"project_name"`
	ProjectAlias       *string          `json:"project_alias"`
	ProjectLabel       *string          `json:"project_label"`
	ProjectLabelOrName *string          `json:"project_label_or_name"`
}

func labWithinOf(number domain.Position, name string) labWithin {
	if name == "" {
		return labWithin{}
	}
	return labWithin{numbered(number), &name, &name, nil, &name}
}

// labMade is what all rows have.
type labMade struct {
	ID               domain.Position `json:"id"`
	OrgID            domain.Position `json:"org_id"`
	CreatedAt        domain.Instant  `json:"created_at"`
	CreatedFormatted string          `json:"created_formatted"`
}

func labMadeOf(c Caller, number domain.Position, at domain.Instant) labMade {
	return labMade{number, c.Number, at, at.Time().Format(time.DateTime)}
}

// labProject is a row of the view projects.
type labProject struct {
	labMade
	Name        string  `json:"name"`
	Alias       string  `json:"alias"`
	Label       *string `json:"label"`
	LabelOrName string  `json:"project_label_or_name"`
}

func (d *dialect) projects(ctx context.Context, c Caller, q labQuery) (iter.Seq2[labProject, error], error) {
	after := q.above
	all := labPaged(func() ([]projections.ProjectRow, error) {
		return d.Views.Projects(ctx, c.Organization, projections.Page{After: after, Limit: labPage})
	}, func(row projections.ProjectRow) { after = row.Number })
	var rows []labProject
	for row, err := range all {
		if err != nil {
			return nil, err
		}
		rows = append(rows, labProject{labMadeOf(c, row.Number, row.Created), row.Name, row.Name, nil, row.Name})
	}
	slices.Reverse(rows)
	return labListed(rows), nil
}

// labInstance is a row of the view dblab_instances: an engine that is registered here
// or one that has announced itself. What opens it is in neither.
type labInstance struct {
	labMade
	labWithin
	Plan         *string         `json:"plan"`
	InstanceID   *string         `json:"selfassigned_instance_id"`
	IID          *string         `json:"iid"`
	Name         *string         `json:"name"`
	IsActive     bool            `json:"is_active"`
	URL          *string         `json:"url"`
	UseTunnel    bool            `json:"use_tunnel"`
	SSHServerURL *string         `json:"ssh_server_url"`
	VerifyToken  json.RawMessage `json:"verify_token"` // null: browsers do not get it
	State        json.RawMessage `json:"state"`        // null: we do not ask engines
	ReportedAt   *domain.Instant `json:"telemetry_last_reported_at"`
}

// instances answers GET dblab_instances.
func (d *dialect) instances(ctx context.Context, c Caller, q labQuery) (iter.Seq2[labInstance, error], error) {
	rows, err := d.registeredEngines(ctx, c)
	if err != nil {
		return nil, err
	}
	for row, err := range d.records(ctx, c, q, domain.LabInstance, "") {
		switch {
		case err != nil:
			return nil, err
		case len(rows) > labMostSorted:
			return nil, errTooMany
		case !isMonitoring(row):
			rows = append(rows, labAnnounced(c, row))
		}
	}
	slices.SortFunc(rows, func(a, b labInstance) int { return int(b.ID) - int(a.ID) })
	return labListed(rows), nil
}

var errTooMany = problem(http.StatusBadRequest, "invalid", "there are too many rows", "ask for fewer with filters")

func isMonitoring(row projections.RecordRow) bool {
	var facts struct{ Monitoring bool }
	_ = json.Unmarshal(row.Facts, &facts) // they are an object
	return facts.Monitoring
}

func labAnnounced(c Caller, row projections.RecordRow) labInstance {
	return labInstance{
		labMade: labMadeOf(c, row.Number, row.Kept), labWithin: labWithinOf(row.Project, row.Within),
		Plan: new(labPlan), InstanceID: &row.Key, IID: &row.Key, IsActive: true,
	}
}

// registeredEngines are the engines that are registered here.
func (d *dialect) registeredEngines(ctx context.Context, c Caller) (rows []labInstance, err error) {
	after := domain.Position(0)
	all := labPaged(func() ([]projections.EngineRow, error) {
		return d.Views.Engines(ctx, c.Organization, projections.Page{After: after, Limit: labPage})
	}, func(row projections.EngineRow) { after = row.Number })
	for row, err := range all {
		if err != nil {
			return nil, err
		}
		rows = append(rows, labInstance{
			labMade: labMadeOf(c, row.Number, row.Created), labWithin: labWithinOf(d.Model.Project(c.Organization, row.Listing.Project), row.Listing.Project),
			Name: &row.Name, IID: &row.Name, IsActive: !row.Door.Disabled, URL: unlessEmpty(row.Listing.URL),
		})
	}
	return rows, nil
}

func unlessEmpty(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// labKey is a key for what has no id of its own but is what it is by some texts.
func labKey(texts ...string) string {
	text, _ := json.Marshal(texts) // texts can always be written
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16])
}
