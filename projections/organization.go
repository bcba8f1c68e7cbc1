package projections

import (
	"context"

	"jeton/domain"
)

// OrganizationRow is an organization in a list.
type OrganizationRow struct {
	ID      domain.OrganizationID
	Number  domain.Position
	Alias   string
	Name    string
	Created domain.Instant
	Changed domain.Position
}

func (r *OrganizationRow) fields() []any {
	return []any{text{&r.ID}, &r.Number, &r.Alias, &r.Name, &r.Created, &r.Changed}
}

const organizationsPage = `
SELECT id, number, alias, name, created, changed
FROM organizations
WHERE number > ?
ORDER BY number
LIMIT ?`

// Organizations are all there are, the oldest first. The page goes by number.
func (v *Views) Organizations(ctx context.Context, p Page) ([]OrganizationRow, error) {
	return list[OrganizationRow](ctx, v, organizationsPage, p.After, atMost(p.Limit))
}

const organizationByID = `
SELECT id, number, alias, name, created, changed
FROM organizations
WHERE id = ?`

// Organization is one organization.
func (v *Views) Organization(ctx context.Context, id domain.OrganizationID) (OrganizationRow, error) {
	return one[OrganizationRow](ctx, v, "organization", organizationByID, id)
}

const insertOrganization = `
INSERT INTO organizations (id, number, alias, name, created, changed)
VALUES (?, ?, ?, ?, ?, ?)`

func (b batch) organizationCreated(m domain.Meta, e domain.OrganizationCreated) error {
	return b.change(insertOrganization, e.Organization, m.Position, e.Alias, e.Name, m.Time, m.Position)
}

const renameOrganization = `
UPDATE organizations SET name = ?, changed = ?
WHERE id = ?`

func (b batch) organizationRenamed(m domain.Meta, e domain.OrganizationRenamed) error {
	return b.change(renameOrganization, e.Name, m.Position, m.Organization)
}

// What an organization had is shown to nobody any more. Its commits stay, and its
// alias is taken for ever: the directory remembers it.
var deleteOrganization = []string{`
DELETE FROM tokens WHERE organization = ?`, `
DELETE FROM engines WHERE organization = ?`, `
DELETE FROM records WHERE organization = ?`, `
DELETE FROM contents WHERE organization = ?`, `
DELETE FROM projects WHERE organization = ?`, `
DELETE FROM service_accounts WHERE organization = ?`, `
DELETE FROM members WHERE organization = ?`,
}

const unlistOrganization = `
DELETE FROM organizations
WHERE id = ?`

func (b batch) organizationDeleted(m domain.Meta, _ domain.OrganizationDeleted) error {
	for _, query := range deleteOrganization {
		if _, err := b.exec(query, m.Organization); err != nil {
			return err
		}
	}
	return b.change(unlistOrganization, m.Organization)
}
