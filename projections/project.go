package projections

import (
	"context"

	"jeton/domain"
)

// ProjectRow is a project in a list.
type ProjectRow struct {
	Number  domain.Position
	Name    string
	Created domain.Instant
}

func (r *ProjectRow) fields() []any { return []any{&r.Number, &r.Name, &r.Created} }

const projectsPage = `
SELECT number, name, created
FROM projects
WHERE organization = ? AND number > ?
ORDER BY number
LIMIT ?`

// Projects are the projects of an organization, the oldest first. The page goes by
// number.
func (v *Views) Projects(ctx context.Context, org domain.OrganizationID, p Page) ([]ProjectRow, error) {
	return list[ProjectRow](ctx, v, projectsPage, org, p.After, atMost(p.Limit))
}

const insertProject = `
INSERT INTO projects (organization, number, name, created)
VALUES (?, ?, ?, ?)`

func (b batch) projectCreated(m domain.Meta, e domain.ProjectCreated) error {
	return b.change(insertProject, m.Organization, m.Position, e.Name, m.Time)
}

// Project is the number of the project of an organization with a name; 0: there is none.
func (m *Model) Project(org domain.OrganizationID, name string) (number domain.Position) {
	_ = m.read(org, func(o *domain.Organization) error { number, _ = o.Project(name); return nil })
	return number
}
