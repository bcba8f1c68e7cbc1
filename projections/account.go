package projections

import "jeton/domain"

// Accounts are asked of the Model. The table is for the names of other lists:
// whoever can do something is in it, people with their e-mails and service
// accounts with their names, also after they were deleted.

const insertAccount = `
INSERT INTO accounts (id, number, email, name, created)
VALUES (?, ?, ?, ?, ?)`

func (b batch) accountRegistered(m domain.Meta, e domain.AccountRegistered) error {
	return b.change(insertAccount, e.Account, m.Position, e.Email, "", m.Time)
}

const forgetEmail = `
UPDATE accounts SET email = ''
WHERE id = ?`

// accountDeleted leaves the number, so that what somebody has done is still done
// by somebody.
func (b batch) accountDeleted(_ domain.Meta, e domain.AccountDeleted) error {
	return b.change(forgetEmail, e.Account)
}
