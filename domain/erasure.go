package domain

// EraseAccount ends a person's account, if that has not happened yet, and has all that is
// known of them forgotten: their e-mail, and where they came from. What they did stays in
// the log, under a pseudonym. Only operators may.
type EraseAccount struct {
	Account AccountID
	Reason  string
	// Alone is the alias of an organization that would be left without an owner;
	// empty: there is none.
	Alone string
}

// Decide refuses what DeleteAccount refuses. Who was erased before stays so.
func (c EraseAccount) Decide(d *Directory, m Meta) ([]Event, error) {
	if err := d.operates(m); err != nil {
		return nil, err
	}
	if err := checkLine("reason", c.Reason, MaxReason); err != nil {
		return nil, err
	}
	if d.Erased(c.Account) {
		return nil, nil
	}
	var deleted []Event
	if !d.Deleted(c.Account) {
		var err error
		if deleted, err = (DeleteAccount(c)).Decide(d, m); err != nil {
			return nil, err
		}
	}
	return append(deleted, AccountErased{c.Account, c.Reason}), nil
}

// AccountErased says that what was known of a person is to be forgotten, wherever it is.
type AccountErased struct {
	Account AccountID `json:"account"`
	Reason  string    `json:"reason,omitempty"`
}

// Kind is stored.
func (AccountErased) Kind() string { return "account.erased" }

// EvolveDirectory remembers it, so that it stays so.
func (e AccountErased) EvolveDirectory(d *Directory, _ Meta) {
	d.ErasedAccounts[e.Account] = struct{}{}
}

// Erased reports whether a person was erased.
func (d *Directory) Erased(id AccountID) bool {
	_, erased := d.ErasedAccounts[id]
	return erased
}
