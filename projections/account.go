package projections

import "jeton/domain"

// Accounts are asked of the Model. The table is for the e-mails of other lists.

const insertAccount = `
INSERT INTO accounts (id, number, email, created)
VALUES (?, ?, ?, ?)`

func (b batch) accountRegistered(m domain.Meta, e domain.AccountRegistered) error {
	return b.change(insertAccount, e.Account, m.Position, e.Email, m.Time)
}
