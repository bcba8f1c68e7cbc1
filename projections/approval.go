package projections

import "jeton/domain"

const letWait = `
UPDATE tokens SET waiting = ?, requester_kind = ?, requester_account = ?, requester_token = ?, changed = ?
WHERE organization = ? AND id = ?`

func (b batch) approvalRequested(m domain.Meta, e domain.ApprovalRequested) error {
	return b.change(letWait, e.Until, string(m.Actor.Kind), m.Actor.Account, m.Actor.Token, m.Position, m.Organization, e.Token)
}

const letWork = `
UPDATE tokens SET waiting = 0, changed = ?
WHERE organization = ? AND id = ?`

func (b batch) approvalGiven(m domain.Meta, e domain.ApprovalGiven) error {
	return b.change(letWork, m.Position, m.Organization, e.Token)
}
