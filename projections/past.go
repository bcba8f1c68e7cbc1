package projections

import (
	"fmt"
	"strings"

	"jeton/domain"
)

// What was is kept beside what is, in tables that a rebuild forgets like all others.
//
// Of tokens, of which there are many, only what a commit is about to change is copied
// (tokens_past): making one costs nothing. How a token was at a position is then the
// oldest copy that was made behind it, or else the token as it is.
//
// What is settled more seldom has every version in a table of its own (…_versions),
// the present one too: questions join them as they join the tables themselves.
//
// The columns are those of the tables, whatever they are, and two more: from which
// commit on it was so (since), and which one has changed it (until).

// createPast makes the tables of what was. It follows createViews.
const createPast = `
DROP TABLE IF EXISTS tokens_past;
CREATE TABLE tokens_past AS
SELECT t.*, CAST(0 AS BIGINT) AS since, CAST(0 AS BIGINT) AS until FROM tokens t WHERE 1 = 0;
CREATE UNIQUE INDEX tokens_past_of ON tokens_past (organization, id, until);
CREATE INDEX tokens_past_by_number ON tokens_past (organization, number, until, since);
DROP TABLE IF EXISTS accounts_versions;
CREATE TABLE accounts_versions AS
SELECT t.*, CAST(0 AS BIGINT) AS since, CAST(0 AS BIGINT) AS until FROM accounts t WHERE 1 = 0;
CREATE UNIQUE INDEX accounts_versions_of ON accounts_versions (id, until);
DROP TABLE IF EXISTS organizations_versions;
CREATE TABLE organizations_versions AS
SELECT t.*, CAST(0 AS BIGINT) AS since, CAST(0 AS BIGINT) AS until FROM organizations t WHERE 1 = 0;
CREATE UNIQUE INDEX organizations_versions_of ON organizations_versions (id, until);
DROP TABLE IF EXISTS members_versions;
CREATE TABLE members_versions AS
SELECT t.*, CAST(0 AS BIGINT) AS since, CAST(0 AS BIGINT) AS until FROM members t WHERE 1 = 0;
CREATE UNIQUE INDEX members_versions_of ON members_versions (organization, account, until);
DROP TABLE IF EXISTS service_accounts_versions;
CREATE TABLE service_accounts_versions AS
SELECT t.*, CAST(0 AS BIGINT) AS since, CAST(0 AS BIGINT) AS until FROM service_accounts t WHERE 1 = 0;
CREATE UNIQUE INDEX service_accounts_versions_of ON service_accounts_versions (organization, id, until);
DROP TABLE IF EXISTS engines_versions;
CREATE TABLE engines_versions AS
SELECT t.*, CAST(0 AS BIGINT) AS since, CAST(0 AS BIGINT) AS until FROM engines t WHERE 1 = 0;
CREATE UNIQUE INDEX engines_versions_of ON engines_versions (organization, number, until);
DROP TABLE IF EXISTS turns;
CREATE TABLE turns (
	organization TEXT   NOT NULL,
	position     BIGINT NOT NULL,
	PRIMARY KEY (organization, position)
);
CREATE INDEX IF NOT EXISTS commits_of_time ON commits (organization, at, position);
`

// keepTokens copies tokens as they are before a commit changes them, once however
// often it does.
const (
	keepTokens = `
INSERT INTO tokens_past
SELECT t.*, COALESCE((SELECT MAX(p.until) FROM tokens_past p WHERE p.organization = t.organization AND p.id = t.id), t.number), CAST(? AS BIGINT)
FROM tokens t
WHERE t.organization = ?`

	onceEach = `
ON CONFLICT (organization, id, until) DO NOTHING`

	keepToken = keepTokens + ` AND t.id = ?` + onceEach
)

// keepPast runs before the events of a commit are written.
func (b batch) keepPast(c domain.Commit) error {
	made := map[domain.TokenID]bool{}
	for _, e := range c.Events {
		switch e := e.(type) {
		case domain.TokenIssued:
			made[e.Token] = true
		case domain.TokensRevoked:
			if err := b.keepMany(c.Meta, e); err != nil {
				return err
			}
		default:
			id, is := tokenIn(e)
			if !is || made[id] {
				continue
			}
			if _, err := b.exec(keepToken, c.Position, c.Organization, id); err != nil {
				return fmt.Errorf("commit %d, what was before %s: %w", c.Position, e.Kind(), err)
			}
		}
	}
	return nil
}

// keepMany copies what tokensRevoked changes.
func (b batch) keepMany(m domain.Meta, e domain.TokensRevoked) error {
	ended := conditions{args: []any{m.Position, m.Organization}}
	ended.and(true, "revoked = 0")
	ended.meant(e)
	if _, err := b.exec(keepTokens+ended.text+onceEach, ended.args...); err != nil || e.Before == 0 {
		return err
	}
	former := conditions{args: []any{m.Position, m.Organization}}
	former.outlived(e, m.Time)
	_, err := b.exec(keepTokens+former.text+onceEach, former.args...)
	return err
}

// tokenIn is the one token that an event is about, if it is about one that was there
// before it.
func tokenIn(e domain.Event) (id domain.TokenID, is bool) {
	switch e := e.(type) {
	case domain.TokenBound:
		return e.Token, true
	case domain.TokenUnbound:
		return e.Token, true
	case domain.TokenRenamed:
		return e.Token, true
	case domain.TokenDescribed:
		return e.Token, true
	case domain.TokenExpiryChanged:
		return e.Token, true
	case domain.TokenExpiring:
		return e.Token, true
	case domain.TokenRotated:
		return e.Token, true
	case domain.TokenReused:
		return e.Token, true
	case domain.OverlapEnded:
		return e.Token, true
	case domain.TokenRevoked:
		return e.Token, true
	case domain.TokenBurned:
		return e.Token, true
	case domain.ApprovalRequested:
		return e.Token, true
	case domain.ApprovalGiven:
		return e.Token, true
	case domain.ApprovalRefused:
		return e.Token, true
	case domain.ApprovalLapsed:
		return e.Token, true
	}
	return id, false
}

// isSetting reports whether an event changes what the organization's tokens can do
// without being about one of them, or one of those who hold them.
func isSetting(e domain.Event) bool {
	switch e.(type) {
	case domain.TokenIssued, domain.TokensRevoked, domain.ProjectCreated, domain.RecordKept, domain.RecordAmended, domain.RecordsRemoved,
		domain.AccountRegistered, domain.AccountDeleted, domain.AccountErased, domain.OperatorNamed, domain.OperatorDismissed,
		domain.EpochSealed, domain.SigningKeySet, domain.AccessRefused, domain.AuditRead, domain.AuditExported,
		domain.WebhookCreated, domain.WebhookChanged, domain.WebhookSwitched, domain.WebhookSecretReplaced, domain.WebhookDeleted:
		return false
	}
	_, is := tokenIn(e)
	return !is
}

// versioned is a row of which every version is kept.
type versioned struct {
	table string
	key   string // the conditions that choose it
	args  [2]any
}

const (
	anAccount   = "id = ?"
	aMember     = "organization = ? AND account = ?"
	aThing      = "organization = ? AND id = ?"
	aNumbered   = "organization = ? AND number = ?"
	insertATurn = `
INSERT INTO turns (organization, position) VALUES (?, ?)`
)

// keepVersions runs when the events of a commit are written: it keeps the rows that
// they have changed as they are from now on.
func (b batch) keepVersions(c domain.Commit) error {
	var changed []versioned
	seen, turn := map[versioned]bool{}, false
	for _, e := range c.Events {
		if _, deleted := e.(domain.OrganizationDeleted); deleted {
			return b.forgetPast(c.Organization)
		}
		turn = turn || isSetting(e)
		for _, row := range rowsOf(c.Meta, e) {
			if !seen[row] {
				seen[row], changed = true, append(changed, row)
			}
		}
	}
	for _, row := range changed {
		if err := b.keepVersion(row, c.Position); err != nil {
			return fmt.Errorf("commit %d, what there is in %s now: %w", c.Position, row.table, err)
		}
	}
	if !turn {
		return nil
	}
	return b.change(insertATurn, c.Organization, c.Position)
}

// rowsOf are the rows that an event makes, changes or deletes.
func rowsOf(m domain.Meta, e domain.Event) []versioned {
	account := func(id domain.AccountID) versioned { return versioned{"accounts", anAccount, [2]any{id}} }
	member := func(id domain.AccountID) []versioned {
		return []versioned{{"members", aMember, [2]any{m.Organization, id}}}
	}
	program := func(id domain.AccountID) versioned {
		return versioned{"service_accounts", aThing, [2]any{m.Organization, id}}
	}
	engine := func(number domain.Position) []versioned {
		return []versioned{{"engines", aNumbered, [2]any{m.Organization, theEngine(m, number)}}}
	}
	switch e := e.(type) {
	case domain.AccountRegistered:
		return []versioned{account(e.Account)}
	case domain.AccountDeleted:
		return []versioned{account(e.Account)}
	case domain.AccountErased:
		return []versioned{account(e.Account)}
	case domain.OrganizationCreated, domain.OrganizationRenamed:
		return []versioned{{"organizations", anAccount, [2]any{m.Organization}}}
	case domain.MemberAdded:
		return member(e.Account)
	case domain.MemberRoleChanged:
		return member(e.Account)
	case domain.MemberSuspended:
		return member(e.Account)
	case domain.MemberReinstated:
		return member(e.Account)
	case domain.MemberRemoved:
		return member(e.Account)
	case domain.HolderLimited:
		return append(member(e.Account), program(e.Account))
	case domain.ServiceAccountCreated:
		return []versioned{account(e.Account), program(e.Account)}
	case domain.ServiceAccountRenamed:
		return []versioned{account(e.Account), program(e.Account)}
	case domain.ServiceAccountDescribed:
		return []versioned{program(e.Account)}
	case domain.ServiceAccountGranted:
		return []versioned{program(e.Account)}
	case domain.ServiceAccountSwitched:
		return []versioned{program(e.Account)}
	case domain.ServiceAccountDeleted:
		return []versioned{program(e.Account)}
	case domain.EngineRegistered:
		return engine(m.Position)
	case domain.EngineListed:
		return engine(e.Engine)
	case domain.EngineDoorSet:
		return engine(e.Engine)
	case domain.EngineSwitched:
		return engine(e.Engine)
	case domain.EngineTokenReplaced:
		return engine(e.Engine)
	case domain.EngineDeleted:
		return engine(e.Engine)
	}
	return nil
}

// keepVersion ends the version of a row that there was, and begins the one that there
// is, if it is still there.
func (b batch) keepVersion(row versioned, at domain.Position) error {
	key := row.args[:strings.Count(row.key, "?")]
	end := "\nUPDATE " + row.table + "_versions SET until = ?\nWHERE " + row.key + " AND until = ?"
	if _, err := b.exec(end, append(append([]any{at}, key...), place(forever))...); err != nil {
		return err
	}
	begin := "\nINSERT INTO " + row.table + "_versions\nSELECT t.*, CAST(? AS BIGINT), CAST(? AS BIGINT) FROM " + row.table + " t\nWHERE " + row.key
	_, err := b.exec(begin, append([]any{at, place(forever)}, key...)...)
	return err
}

// forgetPast is for an organization that was deleted: nobody can ask about it.
func (b batch) forgetPast(org domain.OrganizationID) error {
	for _, table := range []string{"tokens_past", "members_versions", "service_accounts_versions", "engines_versions", "turns"} {
		if _, err := b.exec("\nDELETE FROM "+table+"\nWHERE organization = ?", org); err != nil {
			return err
		}
	}
	_, err := b.exec("\nDELETE FROM organizations_versions\nWHERE id = ?", org)
	return err
}
