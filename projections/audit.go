package projections

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"jeton/domain"
	"jeton/eventstore"
)

// createAudit makes the tables of the audit log, which a rebuild forgets. There is an
// index for each filter, and all of them end with the place: whatever is asked for is
// read along one of them, the newest first, and never sorted. Only refusals have one
// among outcomes: nearly everything else was done. The primary key is wider than it need
// be: SQLite, which knows nothing of the rows, takes the narrowest index that keeps the
// order, and would walk past all rows of an organization for those of one actor.
const createAudit = `
DROP TABLE IF EXISTS audit;
CREATE TABLE audit (
	organization  TEXT   NOT NULL,
	place         BIGINT NOT NULL,
	at            BIGINT NOT NULL,
	actor_kind    TEXT   NOT NULL,
	actor_account TEXT   NOT NULL,
	actor_token   TEXT   NOT NULL,
	actor_name    TEXT   NOT NULL,
	action        TEXT   NOT NULL,
	noun          TEXT   NOT NULL,
	target        TEXT   NOT NULL,
	target_name   TEXT   NOT NULL,
	outcome       TEXT   NOT NULL,
	previous      TEXT   NOT NULL,
	mark          TEXT   NOT NULL,
	PRIMARY KEY (organization, place, action)
);
CREATE INDEX audit_of_account ON audit (organization, actor_account, place);
CREATE INDEX audit_of_token ON audit (organization, actor_token, place);
CREATE INDEX audit_of_action ON audit (organization, action, place);
CREATE INDEX audit_of_noun ON audit (organization, noun, place);
CREATE INDEX audit_of_mark ON audit (organization, mark, place);
CREATE INDEX audit_of_time ON audit (organization, at, place);
CREATE INDEX audit_of_refusals ON audit (organization, place) WHERE outcome = 'refused';
DROP TABLE IF EXISTS audit_words;
CREATE TABLE audit_words (
	organization TEXT   NOT NULL,
	word         TEXT   NOT NULL,
	place        BIGINT NOT NULL,
	PRIMARY KEY (organization, word, place)
);
DROP TABLE IF EXISTS audit_past;
CREATE TABLE audit_past (
	organization TEXT NOT NULL,
	noun         TEXT NOT NULL,
	name         TEXT NOT NULL,
	facts        TEXT NOT NULL,
	PRIMARY KEY (organization, noun, name)
);
`

// auditor writes the rows of the audit log for the commits of a batch: one for each
// event. What an event changes is read before it is changed.
type auditor struct {
	batch
	marks  marker
	tokens map[domain.TokenID]portrait        // as they are at this moment in the batch, as far as they were needed
	made   map[domain.TokenID]domain.Position // by which commit of the batch
	names  map[domain.AccountID]string        // of service accounts, likewise
	rows   []any
	words  []any
	erased []domain.AccountID // in this batch
}

// audited is what an event leaves in the audit log.
type audited struct {
	family
	facts  eventFacts
	target string
	name   string   // of the target, as it was
	before portrait // what the event changes, as it was
	also   []string // what else it is about
}

func (b batch) auditor(fresh []pending, vault *eventstore.Vault) (*auditor, error) {
	a := &auditor{
		batch: b, marks: marker{vault: vault},
		tokens: map[domain.TokenID]portrait{}, made: map[domain.TokenID]domain.Position{}, names: map[domain.AccountID]string{},
	}
	return a, a.lookUp(fresh)
}

// note writes down an event that is about to happen.
func (a *auditor) note(m domain.Meta, item int, e domain.Event) error {
	said, err := a.audited(m, item, e)
	if err != nil {
		return err
	}
	actor, err := a.actorName(m)
	if err != nil {
		return err
	}
	mark, err := a.marks.of(a.ctx, m.Organization, m.Address)
	if err != nil {
		return err
	}
	previous := ""
	if len(said.before) > 0 {
		if previous, err = whole(said.before); err != nil {
			return err
		}
	}
	if gone, is := e.(domain.AccountErased); is {
		a.erased = append(a.erased, gone.Account)
	}
	at := PlaceOf(m.Position, item)
	a.rows = append(a.rows, m.Organization, at.column(), m.Time, string(m.Actor.Kind), m.Actor.Account, m.Actor.Token, actor,
		e.Kind(), said.noun, said.target, said.name, said.outcome(e.Kind()), previous, mark)
	for _, word := range said.found(actor) {
		a.words = append(a.words, m.Organization, word, at.column())
	}
	return a.remember(m, e, said.facts)
}

func (a *auditor) audited(m domain.Meta, item int, e domain.Event) (said audited, err error) {
	if said.facts, err = factsOf(e); err != nil {
		return said, err
	}
	said.family = familyOf(e.Kind())
	said.target = said.family.target(m, said.facts)
	said.name = said.facts.name(said.family)
	was, err := a.was(m, e, said)
	if err != nil {
		return said, err
	}
	if was != nil {
		said.noun = was.noun(said.noun)
		said.name = was.called(said.name)
		if !a.justMade(m, said) {
			said.before = was.only(fieldsChanged[e.Kind()], said.facts)
		}
	}
	for _, field := range relatedFields {
		if other := said.facts.text(field); other != "" && other != said.target {
			said.also = append(said.also, other)
		}
	}
	return said, a.ends(m, PlaceOf(m.Position, item), e)
}

// found is the words by which a row is found: those of texts, and with an = before
// it each thing that it is about.
func (s audited) found(actor string) []string {
	texts := []string{s.name, actor, s.facts.text("reason"), s.facts.text("note"), s.facts.text("code")}
	if !s.people {
		texts = append(texts, s.facts.text("name"))
	}
	all := AuditWords(strings.Join(texts, " "))
	for _, thing := range append(s.also, s.target) {
		if thing != "" {
			all = append(all, theThing(thing))
		}
	}
	return distinct(all)
}

// theThing is the word for a thing that a row is about. No word of a text looks like it.
func theThing(id string) string { return "=" + id }

const (
	mostWords    = 16  // of the texts of a row
	longestWord  = 40  // letters
	longestThing = 100 // letters of what names a thing
)

// AuditWords are the words of a text by which it is found: in small letters, of at least
// two letters or digits, cut to 40, the first 16 of them.
func AuditWords(text string) (words []string) {
	apart := func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '_' }
	for word := range strings.FieldsFuncSeq(fold(strings.ToValidUTF8(text, " ")), apart) {
		if word = clip(word, longestWord); utf8.RuneCountInString(word) >= 2 {
			words = append(words, word)
		}
	}
	words = distinct(words)
	return words[:min(len(words), mostWords)]
}

// distinct keeps the first of each.
func distinct(words []string) []string {
	kept := words[:0]
	seen := make(map[string]bool, len(words))
	for _, word := range words {
		if !seen[word] {
			seen[word] = true
			kept = append(kept, word)
		}
	}
	return kept
}

// clip cuts a text to so many letters, of those that a table can have.
func clip(text string, letters int) string {
	if !storable(text) {
		text = strings.ReplaceAll(strings.ToValidUTF8(text, ""), "\x00", "")
	}
	if len(text) <= letters {
		return text
	}
	for at := range text {
		if letters == 0 {
			return text[:at]
		}
		letters--
	}
	return text
}

const (
	insertAudit = `
INSERT INTO audit (organization, place, at, actor_kind, actor_account, actor_token, actor_name, action, noun, target, target_name, outcome, previous, mark) VALUES `
	auditColumns = 14
	insertWords  = `
INSERT INTO audit_words (organization, word, place) VALUES `
	wordColumns = 3
	rowsAtOnce  = 500 // both databases take as many parameters
)

// write writes what was noted, and then forgets where those were who were erased: what
// they have done may be in this batch.
func (a *auditor) write() error {
	if err := a.insert(insertAudit, auditColumns, a.rows); err != nil {
		return err
	}
	for _, account := range a.erased {
		if err := a.eraseMarks(account); err != nil {
			return err
		}
	}
	return a.insert(insertWords, wordColumns, a.words)
}

func (a *auditor) insert(query string, columns int, all []any) error {
	for len(all) > 0 {
		n := min(len(all)/columns, rowsAtOnce)
		if _, err := a.exec(query+rows(n, columns), all[:n*columns]...); err != nil {
			return err
		}
		all = all[n*columns:]
	}
	return nil
}

const endsTokens = `
INSERT INTO audit_words (organization, word, place)
SELECT organization, '=' || id, CAST(? AS BIGINT) FROM tokens
WHERE organization = ?`

// ends lets the end of many tokens at once be found by each of them. The conditions are
// those of tokensRevoked.
func (a *auditor) ends(m domain.Meta, at Place, e domain.Event) error {
	ended, is := e.(domain.TokensRevoked)
	if !is {
		return nil
	}
	meant := conditions{args: []any{at.column(), m.Organization}}
	meant.of(ended)
	meant.and(!ended.Except.IsZero(), "id <> ?", ended.Except)
	if ended.Before == 0 {
		meant.and(true, "revoked = 0")
	} else {
		meant.and(true, "(revoked = 0 AND made < ? OR rotated <> 0 AND previous_made < ? AND previous_until > ?)", ended.Before, ended.Before, m.Time)
	}
	_, err := a.exec(endsTokens+meant.text, meant.args...)
	return err
}
