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
