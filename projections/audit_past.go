package projections

import (
	"database/sql"
	"encoding/json"
	"errors"
	"maps"
	"strconv"

	"jeton/domain"
)

// portrait is what a thing was, in the words of the events about it. It has neither
// hashes nor what is personal. Nil: there was none.
type portrait map[string]any

// was is what the thing that an event is about was before it. What only the same commit
// has made was nothing.
func (a *auditor) was(m domain.Meta, e domain.Event, said audited) (portrait, error) {
	if _, issued := e.(domain.TokenIssued); issued {
		return nil, nil
	}
	switch said.noun {
	case "token":
		return a.token(m.Organization, said.target)
	case "member", "service_account":
		return a.holder(m.Organization, said.target)
	}
	if fieldsChanged[e.Kind()] == nil && said.name != "" {
		return nil, nil // nobody wants to know
	}
	switch said.noun {
	case "organization":
		return a.organization(m.Organization)
	case "policy", "role", "permission":
		return a.document(m.Organization, said.noun, said.target)
	case "engine":
		return a.engine(m, said.target)
	case "record":
		return a.record(m.Organization, e, said.target)
	}
	return nil, nil
}

// only is the part of a portrait that changes. What it does not have was nothing.
func (p portrait) only(fields []string, said eventFacts) portrait {
	switch {
	case len(fields) == 0:
		return nil
	case fields[0] == eachField:
		rest := maps.Clone(p)
		delete(rest, ofProgram)
		return rest
	}
	part := portrait{}
	if fields[0] == itsFields {
		for field := range said {
			if was, known := p[field]; known {
				part[field] = was
			}
		}
		return part
	}
	for _, field := range fields {
		part[field] = p[field]
	}
	return part
}

// ofProgram marks the portrait of a service account.
const ofProgram = "(program)"

func (p portrait) noun(usual string) string {
	if p[ofProgram] != nil {
		return "service_account"
	}
	return usual
}

func (p portrait) called(name string) string {
	if was, is := p["name"].(string); is {
		return was
	}
	return name
}

// set adds what is not empty.
func (p portrait) set(field string, value any, there bool) {
	if there {
		p[field] = value
	}
}

const tokensWere = `
SELECT id, kind, holder, name, description, terms, unbound, expires, made, previous_until, reused, waiting
FROM tokens
WHERE `

// token is how a token is at this moment. Many events of a batch are about the same.
func (a *auditor) token(org domain.OrganizationID, target string) (portrait, error) {
	var id domain.TokenID
	if err := id.UnmarshalText([]byte(target)); err != nil {
		return nil, nil
	}
	if known := a.tokens[id]; known != nil {
		return known, nil
	}
	if err := a.readTokens("organization = ? AND id = ?", org.String(), id.String()); err != nil {
		return nil, err
	}
	return a.tokens[id], nil
}

func (a *auditor) readTokens(which string, args ...any) error {
	found, err := a.tx.QueryContext(a.ctx, a.tx.Rebind(tokensWere+which), args...)
	if err != nil {
		return err
	}
	defer found.Close()
	for found.Next() {
		var r TokenRow
		if err := found.Scan(text{&r.ID}, text{&r.Kind}, text{&r.Holder}, &r.Name, &r.Description, document{&r.Terms},
			&r.Unbound, &r.Expires, &r.Made, &r.PreviousUntil, &r.Reused, &r.Waiting); err != nil {
			return err
		}
		a.tokens[r.ID] = tokenWas(r)
	}
	return found.Err()
}

func tokenWas(r TokenRow) portrait {
	p := portrait{"name": r.Name, "kind": r.Kind, "made": r.Made}
	p.set("holder", r.Holder, !r.Holder.IsZero())
	p.set("description", r.Description, r.Description != "")
	p.set("unbound", true, r.Unbound)
	p.set("expires", r.Expires, r.Expires != 0)
	p.set("previous_until", r.PreviousUntil, r.PreviousUntil != 0)
	p.set("reused", r.Reused, r.Reused != 0)
	p.set("waiting", r.Waiting, r.Waiting != 0)
	p.bind(r.Terms)
	return p
}

func (p portrait) bind(t domain.Terms) {
	p.set("grant", t.Grant, !t.Grant.IsZero())
	p.set("networks", t.Networks, len(t.Networks) > 0)
	p.set("not_before", t.NotBefore, t.NotBefore != 0)
	p.set("limit", t.Limit, !t.Limit.IsZero())
}

// lookUp reads the tokens that the events of a batch are about, and those that were
// shown for them, at once.
func (a *auditor) lookUp(batch []pending) error {
	type token struct {
		org domain.OrganizationID
		id  domain.TokenID
	}
	wanted, made := map[token]bool{}, map[domain.TokenID]bool{}
	for _, p := range batch {
		m := p.commit.Meta
		if m.Actor.Kind == domain.ActorToken {
			wanted[token{m.Organization, m.Actor.Token}] = true
		}
		for _, e := range p.commit.Events {
			if issued, is := e.(domain.TokenIssued); is {
				made[issued.Token] = true
			} else if id := aboutToken(e); !id.IsZero() && !made[id] {
				wanted[token{m.Organization, id}] = true
			}
		}
	}
	var args []any
	for t := range wanted {
		args = append(args, t.org.String(), t.id.String())
	}
	for len(args) > 0 {
		n := min(len(args), 2*rowsAtOnce)
		if err := a.readTokens("(organization, id) IN (VALUES "+rows(n/2, 2)+")", args[:n]...); err != nil {
			return err
		}
		args = args[n:]
	}
	return nil
}

// aboutToken is the token that an event changes or ends.
func aboutToken(e domain.Event) (id domain.TokenID) {
	switch e := e.(type) {
	case domain.TokenRevoked:
		return e.Token
	case domain.TokenRenamed:
		return e.Token
	case domain.TokenDescribed:
		return e.Token
	case domain.TokenExpiryChanged:
		return e.Token
	case domain.TokenExpiring:
		return e.Token
	case domain.TokenBound:
		return e.Token
	case domain.TokenRotated:
		return e.Token
	case domain.TokenBurned:
		return e.Token
	}
	return id // the others are rare: they are read one by one
}

// remember keeps the portraits as they will be behind an event, or forgets them.
func (a *auditor) remember(m domain.Meta, e domain.Event, said eventFacts) error {
	switch e := e.(type) {
	case domain.TokenIssued:
		a.made[e.Token] = m.Position
		a.tokens[e.Token] = tokenWas(TokenRow{Name: e.Name, Kind: e.Type, Holder: e.Holder, Description: e.Description, Expires: e.Expires, Made: m.Time})
	case domain.TokenBound:
		if a.made[e.Token] == m.Position && a.tokens[e.Token] != nil {
			a.tokens[e.Token].bind(e.Terms)
			return nil
		}
		delete(a.tokens, e.Token)
	case domain.TokensRevoked, domain.OrganizationDeleted:
		clear(a.tokens)
	case domain.ServiceAccountCreated:
		a.names[e.Account] = e.Name
	case domain.ServiceAccountRenamed:
		a.names[e.Account] = e.Name
	case domain.OrganizationCreated:
		return a.keepDocument(m.Organization, "organization", "", struct{}{})
	case domain.PolicyChanged:
		return a.keepDocument(m.Organization, "policy", "", e)
	case domain.RoleCreated:
		return a.keepDocument(m.Organization, "role", string(e.Name), e)
	case domain.RoleChanged:
		return a.keepDocument(m.Organization, "role", string(e.Name), e)
	case domain.PermissionDefined:
		return a.keepDocument(m.Organization, "permission", e.Name, e)
	case domain.RoleDeleted:
		return a.dropDocument(m.Organization, "role", string(e.Name))
	case domain.PermissionRetired:
		return a.dropDocument(m.Organization, "permission", e.Name)
	default:
		a.forget(said)
	}
	return nil
}

// forget lets the token that an event changes be read again.
func (a *auditor) forget(said eventFacts) {
	var id domain.TokenID
	if id.UnmarshalText([]byte(said.text("token"))) == nil {
		delete(a.tokens, id)
	}
}

// justMade reports whether the same commit has made what an event is about: then it was
// nothing before.
func (a *auditor) justMade(m domain.Meta, said audited) bool {
	var id domain.TokenID
	if said.noun == "token" && id.UnmarshalText([]byte(said.target)) == nil {
		return a.made[id] == m.Position
	}
	return said.family.made && said.target == strconv.FormatUint(uint64(m.Position), 10)
}

const holderWas = `
SELECT role, suspended, reason, limit_requests, limit_window, FALSE, '', '', '' FROM members WHERE organization = ? AND account = ?
UNION ALL
SELECT '', s.disabled, '', s.limit_requests, s.limit_window, TRUE, a.name, s.description, s.granted
FROM service_accounts s
JOIN accounts a ON a.id = s.id
WHERE s.organization = ? AND s.id = ?`

// holder is how a member or a service account is at this moment.
func (a *auditor) holder(org domain.OrganizationID, account string) (portrait, error) {
	var m MemberRow
	var s ServiceAccountRow
	var machine bool
	err := a.one(holderWas, []any{org, account, org, account},
		&m.Role, &m.Suspended, &m.Reason, &m.Limit.Requests, &m.Limit.Window, &machine, &s.Name, &s.Description, document{&s.Grant})
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	p := portrait{}
	p.set("limit", m.Limit, !m.Limit.IsZero())
	if machine {
		p[ofProgram], p["name"], p["disabled"] = true, s.Name, m.Suspended
		p.set("description", s.Description, s.Description != "")
		p.set("grant", s.Grant, !s.Grant.IsZero())
		return p, err
	}
	p["role"], p["suspended"] = m.Role, m.Suspended
	p.set("reason", m.Reason, m.Reason != "")
	return p, err
}

const organizationWas = `
SELECT alias, name FROM organizations WHERE id = ?`

func (a *auditor) organization(org domain.OrganizationID) (portrait, error) {
	var alias, name string
	err := a.one(organizationWas, []any{org}, &alias, &name)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return portrait{"alias": alias, "name": name}, err
}

const engineWas = `
SELECT name, listing, door, token FROM engines WHERE organization = ? AND number = ?`

func (a *auditor) engine(m domain.Meta, number string) (portrait, error) {
	at, err := strconv.ParseUint(number, 10, 63)
	if err != nil {
		return nil, nil
	}
	var r EngineRow
	err = a.one(engineWas, []any{m.Organization, int64(at)}, &r.Name, document{&r.Listing}, document{&r.Door}, text{&r.Token})
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	p := portrait{"name": r.Name, "token": r.Token, "disabled": r.Door.Disabled}
	r.Door.Verification = domain.Hash{}
	r.Door.Disabled = false // it is switched by another event
	return p, errors.Join(p.spread(r.Listing), p.nest("door", r.Door))
}

// spread adds the fields of something as they stand in JSON.
func (p portrait) spread(from any) error {
	text, err := json.Marshal(from)
	if err != nil {
		return err
	}
	var fields map[string]json.RawMessage
	err = json.Unmarshal(text, &fields)
	p.add(fields)
	return err
}

// add adds fields that are written already: no number is read, and none is changed.
func (p portrait) add(fields map[string]json.RawMessage) {
	for field, value := range fields {
		p[field] = value
	}
}

func (p portrait) nest(field string, from any) error {
	inner := portrait{}
	if err := inner.spread(from); err != nil {
		return err
	}
	delete(inner, "verification")
	p[field] = inner
	return nil
}

const (
	recordWas = `
SELECT facts, content FROM records WHERE organization = ? AND number = ?`

	recordsWere = `
SELECT number, kind, label FROM records WHERE organization = ? AND number = ?`
)

// record is what an amendment puts something else in the place of, or what is removed:
// of that, which records they were, not what they said.
func (a *auditor) record(org domain.OrganizationID, e domain.Event, number string) (portrait, error) {
	switch e := e.(type) {
	case domain.RecordAmended:
		p, content := portrait{}, []domain.Content{}
		inner := map[string]json.RawMessage{}
		err := a.one(recordWas, []any{org, e.Record}, document{&inner}, document{&content})
		p["facts"], p["content"] = inner, content
		p.cut(e)
		return p, err
	case domain.RecordsRemoved:
		var gone []portrait
		for _, n := range e.Records {
			var kind, key string
			err := a.one(recordsWere, []any{org, n}, &n, &kind, &key)
			if errors.Is(err, sql.ErrNoRows) {
				continue // it went with another one
			}
			if err != nil {
				return nil, err
			}
			one := portrait{"record": n, "kind": kind}
			one.set("key", key, key != "")
			gone = append(gone, one)
		}
		return portrait{"records": gone}, nil
	}
	return nil, nil
}

// cut leaves of what a record was what the event changes.
func (p portrait) cut(e domain.RecordAmended) {
	var newer map[string]json.RawMessage
	_ = json.Unmarshal(e.Facts, &newer) // what is no object is refused where it is written
	inner := p["facts"].(map[string]json.RawMessage)
	maps.DeleteFunc(inner, func(field string, _ json.RawMessage) bool { return newer[field] == nil })
	parts := map[string]bool{}
	for _, c := range e.Content {
		parts[c.Part] = true
	}
	var content []domain.Content
	for _, c := range p["content"].([]domain.Content) {
		if parts[c.Part] {
			content = append(content, c)
		}
	}
	p["content"] = content
}

const (
	documentWas = `
SELECT facts FROM audit_past WHERE organization = ? AND noun = ? AND name = ?`

	putDocument = `
INSERT INTO audit_past (organization, noun, name, facts) VALUES (?, ?, ?, ?)
ON CONFLICT (organization, noun, name) DO UPDATE SET facts = excluded.facts`

	deleteDocument = `
DELETE FROM audit_past WHERE organization = ? AND noun = ? AND name = ?`
)

// document is what is in no other table: policies, roles and permissions, as the last
// event about them has said.
func (a *auditor) document(org domain.OrganizationID, noun, name string) (portrait, error) {
	was, kept := portrait{}, map[string]json.RawMessage{}
	err := a.one(documentWas, []any{org, noun, name}, document{&kept})
	if errors.Is(err, sql.ErrNoRows) && noun == "policy" { // as every organization begins
		return was, was.spread(domain.UsualPolicy())
	}
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	was.add(kept)
	return was, err
}

func (a *auditor) keepDocument(org domain.OrganizationID, noun, name string, said any) error {
	text, err := whole(said)
	if err != nil {
		return err
	}
	_, err = a.exec(putDocument, org, noun, name, text)
	return err
}

func (a *auditor) dropDocument(org domain.OrganizationID, noun, name string) error {
	_, err := a.exec(deleteDocument, org, noun, name)
	return err
}

const nameOfAccount = `
SELECT name FROM accounts WHERE id = ?`

// actorName is what whoever acts is called at this moment, if it is no person.
func (a *auditor) actorName(m domain.Meta) (string, error) {
	switch m.Actor.Kind {
	case domain.ActorToken:
		was, err := a.token(m.Organization, m.Actor.Token.String())
		return was.called(""), err
	case domain.ActorService:
		if name, known := a.names[m.Actor.Account]; known {
			return name, nil
		}
		var name string
		err := a.one(nameOfAccount, []any{m.Actor.Account}, &name)
		if errors.Is(err, sql.ErrNoRows) {
			err = nil
		}
		a.names[m.Actor.Account] = name
		return name, err
	}
	return "", nil
}
