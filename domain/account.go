package domain

// Account is a person, above all organizations.
type Account struct {
	Number Position
	Email  string
}

// RegisterAccount makes an account for an e-mail, or finds the one there is. An
// account alone opens nothing, so whoever may add members somewhere may do it;
// AddMember asks for that permission.
type RegisterAccount struct {
	Account AccountID // for the case that it is new
	Email   string
}

// Decide makes the account unless the e-mail has one already.
func (c RegisterAccount) Decide(d *Directory, m Meta) ([]Event, error) {
	if m.Actor.Kind != ActorMember {
		return nil, Refuse(ErrDenied, "only a person may register people", "use a personal token")
	}
	if err := checkEmail("email", c.Email); err != nil {
		return nil, err
	}
	_, event := d.account(c.Email, c.Account)
	return event, nil
}

// account finds the account of an e-mail, or says that fresh registers it.
func (d *Directory) account(email string, fresh AccountID) (AccountID, []Event) {
	if id, known := d.Emails[emailKey(email)]; known {
		return id, nil
	}
	return fresh, []Event{AccountRegistered{Account: fresh, Email: email}}
}

// AccountRegistered says that a person became known by their e-mail.
type AccountRegistered struct {
	Account AccountID `json:"account"`
	Email   string    `json:"email"`
}

// Kind is stored.
func (AccountRegistered) Kind() string { return "account.registered" }

// EvolveDirectory makes the account known.
func (e AccountRegistered) EvolveDirectory(d *Directory, m Meta) {
	d.Accounts[e.Account] = Account{Number: m.Position, Email: e.Email}
	d.AccountNumbers[m.Position] = e.Account
	d.Emails[emailKey(e.Email)] = e.Account
}

// AccountOf is the account with an e-mail, in whatever case it is written.
func (d *Directory) AccountOf(email string) (AccountID, bool) {
	id, known := d.Emails[emailKey(email)]
	return id, known
}

// Deleted reports whether there was an account that is no more.
func (d *Directory) Deleted(id AccountID) bool {
	_, gone := d.DeletedAccounts[id]
	return gone
}

// DeleteAccount ends a person's account: everything of theirs stops, in every
// organization. Only operators may. The person themself would have to be known by
// more than a token: whoever adds them to an organization is shown one.
type DeleteAccount struct {
	Account AccountID
	Reason  string
	// Alone is the alias of an organization that would be left without an owner;
	// empty: there is none.
	Alone string
}

// Decide refuses to leave an organization without an owner, or the platform
// without an operator.
func (c DeleteAccount) Decide(d *Directory, m Meta) ([]Event, error) {
	if err := d.operates(m); err != nil {
		return nil, err
	}
	if _, known := d.Accounts[c.Account]; !known {
		return nil, Refuse(ErrNotFound, "there is no such account", "look at the list of members")
	}
	if err := checkLine("reason", c.Reason, MaxReason); err != nil {
		return nil, err
	}
	if _, operates := d.Operators[c.Account]; operates && len(d.Operators) == 1 {
		return nil, Refuse(ErrState, "the last operator's account can't be deleted", "name another operator first")
	}
	if c.Alone != "" {
		return nil, Refuse(ErrState, "the organization %s would have no owner any more", "make somebody else its owner, or delete it first", c.Alone)
	}
	return []Event{AccountDeleted{c.Account, c.Reason}}, nil
}

// AccountDeleted says that a person is no longer here.
type AccountDeleted struct {
	Account AccountID `json:"account"`
	Reason  string    `json:"reason,omitempty"`
}

// Kind is stored.
func (AccountDeleted) Kind() string { return "account.deleted" }

// EvolveDirectory forgets the person. Somebody with the same e-mail is, from now
// on, somebody else.
func (e AccountDeleted) EvolveDirectory(d *Directory, m Meta) {
	account := d.Accounts[e.Account]
	if d.Emails[emailKey(account.Email)] == e.Account {
		delete(d.Emails, emailKey(account.Email))
	}
	delete(d.Accounts, e.Account)
	delete(d.AccountNumbers, account.Number)
	delete(d.Operators, e.Account)
	d.DeletedAccounts[e.Account] = m.Time
	if account.Number != 0 { // a second end ends nothing
		d.DepartedNumbers[account.Number] = e.Account
	}
}
