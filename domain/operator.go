package domain

// NameOperator lets a person make organizations. Operators name each other, and
// all operate from the organization of whoever named them: the person must be,
// or become, a member there.
type NameOperator struct {
	Email   string
	Account AccountID // for a person who has no account yet
}

// Decide names the operator unless they are one.
func (c NameOperator) Decide(d *Directory, m Meta) ([]Event, error) {
	if err := d.operates(m); err != nil {
		return nil, err
	}
	if err := checkEmail("email", c.Email); err != nil {
		return nil, err
	}
	account, events := d.account(c.Email, c.Account)
	if d.Operators[account] == m.Home {
		return nil, nil
	}
	return append(events, OperatorNamed{account, m.Home}), nil
}

// DismissOperator takes that right away. The last operator stays.
type DismissOperator struct{ Account AccountID }

// Decide refuses to dismiss the last operator, and who is none.
func (c DismissOperator) Decide(d *Directory, m Meta) ([]Event, error) {
	if err := d.operates(m); err != nil {
		return nil, err
	}
	if _, named := d.Operators[c.Account]; !named {
		return nil, Refuse(ErrNotFound, "there is no such operator", "look at the list of operators")
	}
	if len(d.Operators) == 1 {
		return nil, Refuse(ErrState, "the last operator can't be dismissed", "name another operator first")
	}
	return []Event{OperatorDismissed{c.Account}}, nil
}

// OperatorNamed says that a person may make organizations, with a personal token
// of the organization named here.
type OperatorNamed struct {
	Account      AccountID      `json:"account"`
	Organization OrganizationID `json:"organization"`
}

// Kind is stored.
func (OperatorNamed) Kind() string { return "operator.named" }

// EvolveDirectory adds the operator.
func (e OperatorNamed) EvolveDirectory(d *Directory, _ Meta) { d.Operators[e.Account] = e.Organization }

// OperatorDismissed says that they may no longer.
type OperatorDismissed struct {
	Account AccountID `json:"account"`
}

// Kind is stored.
func (OperatorDismissed) Kind() string { return "operator.dismissed" }

// EvolveDirectory removes the operator.
func (e OperatorDismissed) EvolveDirectory(d *Directory, _ Meta) { delete(d.Operators, e.Account) }
