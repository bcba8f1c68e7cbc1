package projections

import (
	"context"

	"jeton/domain"
)

// MemberRow is a member in a list. Lists of members go by the number of the
// account, which it has everywhere.
type MemberRow struct {
	Organization domain.OrganizationID
	Account      domain.AccountID
	Number       domain.Position // of the account
	Email        string
	Role         domain.Role
	Suspended    bool
	Reason       string       // of the suspension
	Limit        domain.Limit // for all their tokens together; zero: as the organization has it
	Added        domain.Instant
	Changed      domain.Position
}

func (r *MemberRow) fields() []any {
	return []any{
		text{&r.Organization}, text{&r.Account}, &r.Number, emailColumn{&r.Email},
		&r.Role, &r.Suspended, &r.Reason,
		&r.Limit.Requests, &r.Limit.Window, &r.Added, &r.Changed,
	}
}

const selectMembers = `
SELECT m.organization, m.account, m.number, a.email, m.role, m.suspended, m.reason,
	m.limit_requests, m.limit_window, m.added, m.changed
FROM members m
JOIN accounts a ON a.id = m.account
`

const membersPage = selectMembers + `
WHERE m.organization = ? AND m.number > ?
ORDER BY m.number
LIMIT ?`

// Members are the members of an organization in the order of their accounts. The
// page goes by the account's number.
func (v *Views) Members(ctx context.Context, org domain.OrganizationID, p Page) ([]MemberRow, error) {
	return list[MemberRow](ctx, v, membersPage, org, p.After, atMost(p.Limit))
}

const memberByAccount = selectMembers + `
WHERE m.organization = ? AND m.account = ?`

// Member is one member of an organization.
func (v *Views) Member(ctx context.Context, org domain.OrganizationID, id domain.AccountID) (MemberRow, error) {
	return one[MemberRow](ctx, v, "member", memberByAccount, org, id)
}

const insertMember = `
INSERT INTO members (organization, account, number, role, suspended, reason, limit_requests, limit_window, added, changed)
SELECT CAST(? AS TEXT), id, number, CAST(? AS TEXT), FALSE, '', 0, 0, CAST(? AS BIGINT), CAST(? AS BIGINT)
FROM accounts
WHERE id = ?`

func (b batch) memberAdded(m domain.Meta, e domain.MemberAdded) error {
	return b.change(insertMember, m.Organization, string(e.Role), m.Time, m.Position, e.Account)
}

const setRole = `
UPDATE members SET role = ?, changed = ?
WHERE organization = ? AND account = ?`

func (b batch) memberRoleChanged(m domain.Meta, e domain.MemberRoleChanged) error {
	return b.change(setRole, string(e.Role), m.Position, m.Organization, e.Account)
}

const setSuspended = `
UPDATE members SET suspended = ?, reason = ?, changed = ?
WHERE organization = ? AND account = ?`

func (b batch) memberSuspended(m domain.Meta, e domain.MemberSuspended) error {
	return b.change(setSuspended, true, e.Reason, m.Position, m.Organization, e.Account)
}

func (b batch) memberReinstated(m domain.Meta, e domain.MemberReinstated) error {
	return b.change(setSuspended, false, "", m.Position, m.Organization, e.Account)
}

const limitMember = `
UPDATE members SET limit_requests = ?, limit_window = ?, changed = ?
WHERE organization = ? AND account = ?`

const deleteMember = `
DELETE FROM members
WHERE organization = ? AND account = ?`

func (b batch) memberRemoved(m domain.Meta, e domain.MemberRemoved) error {
	return b.change(deleteMember, m.Organization, e.Account)
}
