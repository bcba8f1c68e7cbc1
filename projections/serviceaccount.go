package projections

import (
	"context"

	"jeton/domain"
)

// ServiceAccountRow is a service account in a list.
type ServiceAccountRow struct {
	Organization domain.OrganizationID
	ID           domain.AccountID
	Number       domain.Position
	Name         string
	Description  string
	Grant        domain.Grant
	Disabled     bool
	Limit        domain.Limit // for all its tokens together; zero: as the organization has it
	Created      domain.Instant
	CreatedBy    Author
	Changed      domain.Position
}

func (r *ServiceAccountRow) fields() []any {
	fields := []any{
		text{&r.Organization}, text{&r.ID}, &r.Number, &r.Name, &r.Description, document{&r.Grant}, &r.Disabled,
		&r.Limit.Requests, &r.Limit.Window, &r.Created, &r.Changed,
	}
	return append(fields, r.CreatedBy.fields()...)
}

const selectServiceAccounts = `
SELECT s.organization, s.id, s.number, a.name, s.description, s.granted, s.disabled,
	s.limit_requests, s.limit_window, s.created, s.changed,
	s.creator_kind, s.creator_account, s.creator_token, COALESCE(c.number, 0), COALESCE(c.email, ''), COALESCE(c.name, '')
FROM service_accounts s
JOIN accounts a ON a.id = s.id
LEFT JOIN accounts c ON c.id = s.creator_account
`

const serviceAccountsPage = selectServiceAccounts + `
WHERE s.organization = ? AND s.number > ?
ORDER BY s.number
LIMIT ?`

// ServiceAccounts are the service accounts of an organization, the oldest first.
// The page goes by number.
func (v *Views) ServiceAccounts(ctx context.Context, org domain.OrganizationID, p Page) ([]ServiceAccountRow, error) {
	return list[ServiceAccountRow](ctx, v, serviceAccountsPage, org, p.After, atMost(p.Limit))
}

const serviceAccountByID = selectServiceAccounts + `
WHERE s.organization = ? AND s.id = ?`

// ServiceAccount is one service account of an organization.
func (v *Views) ServiceAccount(ctx context.Context, org domain.OrganizationID, id domain.AccountID) (ServiceAccountRow, error) {
	return one[ServiceAccountRow](ctx, v, "service account", serviceAccountByID, org, id)
}

const insertServiceAccount = `
INSERT INTO service_accounts (organization, id, number, description, granted, disabled, limit_requests, limit_window,
	created, creator_kind, creator_account, creator_token, changed)
VALUES (?, ?, ?, ?, ?, FALSE, 0, 0, ?, ?, ?, ?, ?)`

func (b batch) serviceAccountCreated(m domain.Meta, e domain.ServiceAccountCreated) error {
	granted, err := written(e.Grant)
	if err != nil {
		return err
	}
	if err := b.change(insertAccount, e.Account, m.Position, "", e.Name, m.Time); err != nil {
		return err
	}
	return b.change(insertServiceAccount, m.Organization, e.Account, m.Position, e.Description, granted,
		m.Time, string(m.Actor.Kind), m.Actor.Account, m.Actor.Token, m.Position)
}

const (
	renameAccount = `
UPDATE accounts SET name = ?
WHERE id = ?`

	touchServiceAccount = `
UPDATE service_accounts SET changed = ?
WHERE organization = ? AND id = ?`
)

func (b batch) serviceAccountRenamed(m domain.Meta, e domain.ServiceAccountRenamed) error {
	if err := b.change(renameAccount, e.Name, e.Account); err != nil {
		return err
	}
	return b.change(touchServiceAccount, m.Position, m.Organization, e.Account)
}

const describeServiceAccount = `
UPDATE service_accounts SET description = ?, changed = ?
WHERE organization = ? AND id = ?`

func (b batch) serviceAccountDescribed(m domain.Meta, e domain.ServiceAccountDescribed) error {
	return b.change(describeServiceAccount, e.Description, m.Position, m.Organization, e.Account)
}

const grantServiceAccount = `
UPDATE service_accounts SET granted = ?, changed = ?
WHERE organization = ? AND id = ?`

func (b batch) serviceAccountGranted(m domain.Meta, e domain.ServiceAccountGranted) error {
	granted, err := written(e.Grant)
	if err != nil {
		return err
	}
	return b.change(grantServiceAccount, granted, m.Position, m.Organization, e.Account)
}

const switchServiceAccount = `
UPDATE service_accounts SET disabled = ?, changed = ?
WHERE organization = ? AND id = ?`

func (b batch) serviceAccountSwitched(m domain.Meta, e domain.ServiceAccountSwitched) error {
	return b.change(switchServiceAccount, e.Disabled, m.Position, m.Organization, e.Account)
}

const deleteServiceAccount = `
DELETE FROM service_accounts
WHERE organization = ? AND id = ?`

// serviceAccountDeleted leaves its name among the accounts, for the tokens that it
// had and for what it has done.
func (b batch) serviceAccountDeleted(m domain.Meta, e domain.ServiceAccountDeleted) error {
	return b.change(deleteServiceAccount, m.Organization, e.Account)
}

const limitServiceAccount = `
UPDATE service_accounts SET limit_requests = ?, limit_window = ?, changed = ?
WHERE organization = ? AND id = ?`

// holderLimited is about a member, or else about a service account.
func (b batch) holderLimited(m domain.Meta, e domain.HolderLimited) error {
	requests, window := int64(e.Limit.Requests), int64(e.Limit.Window)
	n, err := b.exec(limitMember, requests, window, m.Position, m.Organization, e.Account)
	if err != nil || n == 1 {
		return err
	}
	return b.change(limitServiceAccount, requests, window, m.Position, m.Organization, e.Account)
}
