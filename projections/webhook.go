package projections

import "jeton/domain"

// Hook is a webhook of some organization.
type Hook struct {
	Organization domain.OrganizationID
	Last         domain.Position // the last commit within the organization
	domain.Webhook
}

// ID names it above organizations.
func (h Hook) ID() HookID { return HookID{h.Organization, h.Number} }

// Webhooks are those of an organization, the oldest first.
func (m *Model) Webhooks(org domain.OrganizationID) (all []domain.Webhook) {
	_ = m.read(org, func(o *domain.Organization) error { all = o.Webhooks(); return nil })
	return all
}

// Webhook is the webhook of an organization with a number.
func (m *Model) Webhook(org domain.OrganizationID, number domain.Position) (w domain.Webhook, known bool) {
	_ = m.read(org, func(o *domain.Organization) error { w, known = o.Webhook(number); return nil })
	return w, known
}

// Hooks are the webhooks of all organizations.
func (m *Model) Hooks() (all []Hook) {
	for _, t := range m.all() {
		t.mu.RLock()
		if t.state.Deleted == 0 {
			for _, w := range t.state.Webhooks() {
				all = append(all, Hook{t.state.ID, t.last, w})
			}
		}
		t.mu.RUnlock()
	}
	return all
}
