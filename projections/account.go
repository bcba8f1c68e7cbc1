package projections

import (
	"jeton/domain"
	"jeton/eventstore"
)

// Accounts are asked of the Model. The table is for the names of other lists:
// whoever can do something is in it, people with their e-mails and service
// accounts with their names, also after they were deleted.

const insertAccount = `
INSERT INTO accounts (id, number, email, name, created)
VALUES (?, ?, ?, ?, ?)`

// accountRegistered keeps the e-mail as the commit carries it: sealed.
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

const (
	forgetPerson = `
UPDATE accounts SET email = ?
WHERE id = ?`

	tokensOfPerson = `
WHERE (organization, token) IN (SELECT organization, id FROM tokens WHERE holder = ?)`

	forgetUsage     = `DELETE FROM token_usage` + tokensOfPerson
	forgetUsageDays = `DELETE FROM token_usage_days` + tokensOfPerson
)

// accountErased leaves a pseudonym. Whatever else says something of the person is sealed,
// and their usage, which is no history, goes.
func (b batch) accountErased(_ domain.Meta, e domain.AccountErased) error {
	for _, forget := range []string{forgetUsage, forgetUsageDays} {
		if _, err := b.exec(forget, e.Account); err != nil {
			return err
		}
	}
	return b.change(forgetPerson, eventstore.Pseudonym(e.Account), e.Account)
}
