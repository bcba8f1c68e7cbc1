package projections

// schemaVersion is the version of the view tables. Whoever changes what is
// written into them raises it: the tables are then made again from the log.
const schemaVersion = 4

// What follows is read by SQLite and PostgreSQL alike. Times are milliseconds
// (domain.Instant), ids are text, and nothing is NULL: what is not there is 0 or ''.

// createLasting makes the tables that a rebuild keeps.
const createLasting = `
CREATE TABLE IF NOT EXISTS checkpoint (
	one            BIGINT NOT NULL PRIMARY KEY,
	store_id       TEXT   NOT NULL,
	position       BIGINT NOT NULL,
	chain          BYTEA  NOT NULL,
	schema_version BIGINT NOT NULL
);
CREATE TABLE IF NOT EXISTS commits (
	position     BIGINT NOT NULL PRIMARY KEY,
	boundary     TEXT   NOT NULL,
	organization TEXT   NOT NULL,
	id           TEXT   NOT NULL,
	at           BIGINT NOT NULL,
	account      TEXT   NOT NULL,
	data         BYTEA  NOT NULL,
	chain        BYTEA  NOT NULL
);
CREATE INDEX IF NOT EXISTS commits_of_organization ON commits (organization, position);
`

// createViews makes the tables that a rebuild forgets.
const createViews = createTrees + `
DROP TABLE IF EXISTS organizations;
CREATE TABLE organizations (
	id      TEXT   NOT NULL PRIMARY KEY,
	number  BIGINT NOT NULL UNIQUE,
	alias   TEXT   NOT NULL UNIQUE,
	name    TEXT   NOT NULL,
	created BIGINT NOT NULL,
	changed BIGINT NOT NULL
);
DROP TABLE IF EXISTS accounts;
CREATE TABLE accounts (
	id      TEXT   NOT NULL PRIMARY KEY,
	number  BIGINT NOT NULL UNIQUE,
	email   TEXT   NOT NULL,
	name    TEXT   NOT NULL,
	created BIGINT NOT NULL
);
DROP TABLE IF EXISTS members;
CREATE TABLE members (
	organization   TEXT    NOT NULL,
	account        TEXT    NOT NULL,
	number         BIGINT  NOT NULL,
	role           TEXT    NOT NULL,
	suspended      BOOLEAN NOT NULL,
	reason         TEXT    NOT NULL,
	limit_requests BIGINT  NOT NULL,
	limit_window   BIGINT  NOT NULL,
	added          BIGINT  NOT NULL,
	changed        BIGINT  NOT NULL,
	PRIMARY KEY (organization, account),
	UNIQUE (organization, number)
);
DROP TABLE IF EXISTS service_accounts;
CREATE TABLE service_accounts (
	organization    TEXT    NOT NULL,
	id              TEXT    NOT NULL,
	number          BIGINT  NOT NULL,
	description     TEXT    NOT NULL,
	granted         TEXT    NOT NULL,
	disabled        BOOLEAN NOT NULL,
	limit_requests  BIGINT  NOT NULL,
	limit_window    BIGINT  NOT NULL,
	created         BIGINT  NOT NULL,
	creator_kind    TEXT    NOT NULL,
	creator_account TEXT    NOT NULL,
	creator_token   TEXT    NOT NULL,
	changed         BIGINT  NOT NULL,
	PRIMARY KEY (organization, id),
	UNIQUE (organization, number)
);
DROP TABLE IF EXISTS tokens;
CREATE TABLE tokens (
	organization      TEXT    NOT NULL,
	id                TEXT    NOT NULL,
	number            BIGINT  NOT NULL,
	kind              TEXT    NOT NULL,
	holder            TEXT    NOT NULL,
	name              TEXT    NOT NULL,
	folded            TEXT    NOT NULL,
	description       TEXT    NOT NULL,
	terms             TEXT    NOT NULL,
	bound             BIGINT  NOT NULL,
	unbound           BOOLEAN NOT NULL,
	issued            BIGINT  NOT NULL,
	issuer_kind       TEXT    NOT NULL,
	issuer_account    TEXT    NOT NULL,
	issuer_token      TEXT    NOT NULL,
	expires           BIGINT  NOT NULL,
	made              BIGINT  NOT NULL,
	rotated           BIGINT  NOT NULL,
	previous_made     BIGINT  NOT NULL,
	previous_until    BIGINT  NOT NULL,
	reused            BIGINT  NOT NULL,
	waiting           BIGINT  NOT NULL,
	requester_kind    TEXT    NOT NULL,
	requester_account TEXT    NOT NULL,
	requester_token   TEXT    NOT NULL,
	revoked           BIGINT  NOT NULL,
	revoker_kind      TEXT    NOT NULL,
	revoker_account   TEXT    NOT NULL,
	revoker_token     TEXT    NOT NULL,
	ended             TEXT    NOT NULL,
	reason            TEXT    NOT NULL,
	changed           BIGINT  NOT NULL,
	PRIMARY KEY (organization, id),
	UNIQUE (organization, number)
);
CREATE INDEX tokens_of_holder ON tokens (organization, holder, number);
CREATE INDEX tokens_that_expire ON tokens (organization, expires);
CREATE INDEX tokens_that_wait ON tokens (organization, number) WHERE waiting > 0;
DROP TABLE IF EXISTS engines;
CREATE TABLE engines (
	organization    TEXT   NOT NULL,
	number          BIGINT NOT NULL,
	name            TEXT   NOT NULL,
	listing         TEXT   NOT NULL,
	door            TEXT   NOT NULL,
	token           TEXT   NOT NULL,
	created         BIGINT NOT NULL,
	creator_kind    TEXT   NOT NULL,
	creator_account TEXT   NOT NULL,
	creator_token   TEXT   NOT NULL,
	changed         BIGINT NOT NULL,
	PRIMARY KEY (organization, number)
);
DROP TABLE IF EXISTS projects;
CREATE TABLE projects (
	organization TEXT   NOT NULL,
	number       BIGINT NOT NULL,
	name         TEXT   NOT NULL,
	created      BIGINT NOT NULL,
	PRIMARY KEY (organization, number),
	UNIQUE (organization, name)
);
DROP TABLE IF EXISTS records;
CREATE TABLE records (
	organization   TEXT   NOT NULL,
	number         BIGINT NOT NULL,
	kind           TEXT   NOT NULL,
	parent         BIGINT NOT NULL,
	grandparent    BIGINT NOT NULL,
	ancestor       BIGINT NOT NULL,
	project        BIGINT NOT NULL,
	label          TEXT   NOT NULL,
	facts          TEXT   NOT NULL,
	content        TEXT   NOT NULL,
	kept           BIGINT NOT NULL,
	author_kind    TEXT   NOT NULL,
	author_account TEXT   NOT NULL,
	author_token   TEXT   NOT NULL,
	changed        BIGINT NOT NULL,
	PRIMARY KEY (organization, number)
);
CREATE INDEX records_of_kind ON records (organization, kind, number);
CREATE INDEX records_of_parent ON records (organization, parent, number);
DROP TABLE IF EXISTS contents;
CREATE TABLE contents (
	object       TEXT   NOT NULL PRIMARY KEY,
	organization TEXT   NOT NULL,
	record       BIGINT NOT NULL
);
CREATE INDEX contents_of_record ON contents (organization, record);
` + createAudit
