package projections

import "jeton/domain"

// Checked is the answer of a check, with what is known around the token.
type Checked struct {
	domain.Verdict
	Organization domain.OrganizationID
	Number       domain.Position // of the organization
	Alias        string          // of the organization
	Account      domain.Account  // the holder, for personal tokens
}

// Check asks whether what somebody shows is the secret of a token that is good
// now. It touches memory only and allocates nothing. The error is that the model
// does not serve; a bad secret is an answer, not an error.
func (m *Model) Check(text string) (Checked, error) {
	if err := m.Err(); err != nil {
		return Checked{}, err
	}
	shown, ok := domain.ParseSecret(text)
	if !ok {
		return Checked{Verdict: domain.Verdict{Reason: domain.ReasonMalformed}}, nil
	}
	t, at := m.tenantOf(shown.Token)
	if t == nil {
		return Checked{Verdict: domain.Verdict{Reason: domain.ReasonUnknown}}, nil
	}
	now := domain.At(m.now())
	t.mu.RLock()
	answer := Checked{
		Verdict:      t.state.CheckAt(at, shown, now),
		Organization: t.state.ID, Number: t.state.Number, Alias: t.state.Alias,
	}
	t.mu.RUnlock()
	if answer.Token.Kind == domain.NoKind { // the handle alone, which is no secret, tells nothing
		return Checked{Verdict: answer.Verdict}, nil
	}
	if answer.Token.Kind == domain.Personal {
		answer.Account, _ = m.Account(answer.Token.Holder)
	}
	return answer, nil
}

// tenantOf is the tenant of a token and the token's place in it.
func (m *Model) tenantOf(token domain.TokenID) (*tenant, uint32) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if at, known := m.tokens[token]; known {
		return m.tenants[at.tenant], at.token
	}
	return nil, 0
}

// CheckFor is Check asked by somebody inside an organization: they learn nothing
// about the tokens of others.
func (m *Model) CheckFor(asker domain.OrganizationID, text string) (Checked, error) {
	answer, err := m.Check(text)
	if err == nil && answer.Organization != asker && answer.Token.Kind != domain.NoKind {
		return Checked{Verdict: domain.Verdict{Reason: domain.ReasonForeign}}, nil
	}
	return answer, err
}
