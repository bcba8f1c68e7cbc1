package projections

import (
	"context"

	"jeton/domain"
)

// EngineRow is an engine in a list.
type EngineRow struct {
	Organization domain.OrganizationID
	Number       domain.Position
	Name         string
	Listing      domain.Listing
	Door         domain.Door
	Token        domain.TokenID // its access token
	Created      domain.Instant
	CreatedBy    Author
	Changed      domain.Position
}

func (r *EngineRow) fields() []any {
	fields := []any{
		text{&r.Organization}, &r.Number, &r.Name, document{&r.Listing}, document{&r.Door}, text{&r.Token}, &r.Created, &r.Changed,
	}
	return append(fields, r.CreatedBy.fields()...)
}

const selectEngines = `
SELECT e.organization, e.number, e.name, e.listing, e.door, e.token, e.created, e.changed,
	e.creator_kind, e.creator_account, e.creator_token, COALESCE(a.number, 0), COALESCE(a.email, ''), COALESCE(a.name, '')
FROM engines e
LEFT JOIN accounts a ON a.id = e.creator_account
`

const enginesPage = selectEngines + `
WHERE e.organization = ? AND e.number > ?
ORDER BY e.number
LIMIT ?`

// Engines are the engines of an organization, the oldest first. The page goes by
// number.
func (v *Views) Engines(ctx context.Context, org domain.OrganizationID, p Page) ([]EngineRow, error) {
	return list[EngineRow](ctx, v, enginesPage, org, p.After, atMost(p.Limit))
}

const engineByNumber = selectEngines + `
WHERE e.organization = ? AND e.number = ?`

// Engine is one engine of an organization.
func (v *Views) Engine(ctx context.Context, org domain.OrganizationID, number domain.Position) (EngineRow, error) {
	return one[EngineRow](ctx, v, "engine", engineByNumber, org, number)
}

const insertEngine = `
INSERT INTO engines (organization, number, name, listing, door, token, created, creator_kind, creator_account, creator_token, changed)
VALUES (?, ?, ?, '{}', '{}', ?, ?, ?, ?, ?, ?)`

func (b batch) engineRegistered(m domain.Meta, e domain.EngineRegistered) error {
	return b.change(insertEngine, m.Organization, m.Position, e.Name, e.Token,
		m.Time, string(m.Actor.Kind), m.Actor.Account, m.Actor.Token, m.Position)
}

const listEngine = `
UPDATE engines SET listing = ?, changed = ?
WHERE organization = ? AND number = ?`

func (b batch) engineListed(m domain.Meta, e domain.EngineListed) error {
	listing, err := whole(e.Listing)
	if err != nil {
		return err
	}
	return b.change(listEngine, listing, m.Position, m.Organization, theEngine(m, e.Engine))
}

const (
	engineDoor = `
SELECT door FROM engines WHERE organization = ? AND number = ?`

	setDoor = `
UPDATE engines SET door = ?, changed = ?
WHERE organization = ? AND number = ?`
)

func (b batch) engineDoorSet(m domain.Meta, e domain.EngineDoorSet) error {
	return b.changeDoor(m, theEngine(m, e.Engine), func(d *domain.Door) { e.Door.Disabled = d.Disabled; *d = e.Door })
}

func (b batch) engineSwitched(m domain.Meta, e domain.EngineSwitched) error {
	return b.changeDoor(m, e.Engine, func(d *domain.Door) { d.Disabled = e.Disabled })
}

func (b batch) changeDoor(m domain.Meta, number domain.Position, do func(*domain.Door)) error {
	var door domain.Door
	if err := b.one(engineDoor, []any{m.Organization, number}, document{&door}); err != nil {
		return err
	}
	do(&door)
	text, err := whole(door)
	if err != nil {
		return err
	}
	return b.change(setDoor, text, m.Position, m.Organization, number)
}

// theEngine is the engine that an event is about: without a number the one that the
// same commit registers.
func theEngine(m domain.Meta, number domain.Position) domain.Position {
	if number == 0 {
		return m.Position
	}
	return number
}

const replaceEngineToken = `
UPDATE engines SET token = ?, changed = ?
WHERE organization = ? AND number = ?`

func (b batch) engineTokenReplaced(m domain.Meta, e domain.EngineTokenReplaced) error {
	return b.change(replaceEngineToken, e.Token, m.Position, m.Organization, e.Engine)
}

const deleteEngine = `
DELETE FROM engines
WHERE organization = ? AND number = ?`

func (b batch) engineDeleted(m domain.Meta, e domain.EngineDeleted) error {
	return b.change(deleteEngine, m.Organization, e.Engine)
}

// Engine is an engine as the model knows it: without what is said of it.
func (m *Model) Engine(org domain.OrganizationID, number domain.Position) (e domain.Engine, known bool) {
	_ = m.read(org, func(o *domain.Organization) error { e, known = o.Engine(number); return nil })
	return e, known
}

// EngineOf is the engine whose access token has an id.
func (m *Model) EngineOf(org domain.OrganizationID, token domain.TokenID) (e domain.Engine, known bool) {
	_ = m.read(org, func(o *domain.Organization) error { e, known = o.EngineOf(token); return nil })
	return e, known
}

// Entered is the answer of an engine's door, with what is known around the token.
type Entered struct {
	Checked // of a token that was shown
	Via     domain.Via
	Email   string // whom they act for, if they come in
}

// Enter asks at the door of an engine, as its own copy would. It learns nothing of
// the tokens of other organizations. Who asks for no permission uses that to come in.
func (m *Model) Enter(org domain.OrganizationID, engine domain.Position, text, forwarded string, use Use) (e Entered, err error) {
	if err := m.Err(); err != nil {
		return e, err
	}
	t := m.tenant(org)
	if t == nil {
		return e, domain.Refuse(domain.ErrNotFound, "there is no such organization", "")
	}
	e.At = domain.At(m.now())
	if err := t.door(&e, engine, text, forwarded, &use); err != nil {
		return e, err
	}
	m.settle(&e.Checked, &use)
	if e.Via == domain.ViaPersonal || e.Via == domain.ViaService {
		if !e.Active() { // its limit is used up
			e.Via, e.Email = domain.ViaNothing, ""
		}
	}
	return e, nil
}

func (t *tenant) door(e *Entered, engine domain.Position, text, forwarded string, use *Use) error {
	t.mu.RLock()
	defer t.mu.RUnlock()
	at, known := t.state.Engine(engine)
	if !known || t.state.Deleted != 0 {
		return domain.Refuse(domain.ErrNotFound, "there is no such engine", "")
	}
	e.Organization, e.Number, e.Alias, e.Home = t.state.ID, t.state.Number, t.state.Alias, t.state.ID
	var came domain.Entrance
	if at.Verify(&came, text, forwarded) {
		e.Via, e.Email, e.Reason = came.Via, came.Email, came.Verdict.Reason
		return nil
	}
	shown, ok := domain.ParseSecret(text)
	if !ok {
		e.Reason = domain.ReasonMalformed
		return nil
	}
	place, there := t.state.Tokens.Place(shown.Token)
	if !there {
		e.Reason = domain.ReasonUnknown
		return nil
	}
	mark := t.marks.at(place)
	ask := domain.Ask{Now: e.At, Address: use.Address, Permission: use.Permission, Resource: use.Resource, Used: mark.used()}
	at.Enter(t.state, &came, place, shown, &ask)
	e.Verdict, e.Via, e.shown = came.Verdict, came.Via, shown.Hash
	if e.Token.Kind == domain.NoKind {
		return nil
	}
	if e.know(t.holder(&e.Verdict)); !e.Active() {
		e.Via = domain.ViaNothing // their account is gone
	}
	if e.Via != domain.ViaNothing {
		e.Email = e.Account.Email
		e.use(mark, t, use)
	}
	return nil
}

// use is count for who has come in.
func (e *Entered) use(mark *mark, t *tenant, use *Use) {
	if e.count(mark, t, use); use.Permission == "" {
		e.asked = t.state.Permission(domain.EnginesUse.String())
	}
}
