package domain

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
)

// Engine is an API of an organization that lets bearers in.
type Engine struct {
	Number      Position
	Token       TokenID // its access token: what it shows to the platform
	Permissions []string
	Resources   []Resource
	Changed     Position
	Door
}

// engines are those of an organization. Their names are never given again: grants
// name engines, and must not come to mean another one.
type engines struct {
	all     []Engine // those that were deleted keep their places, without a number
	changed Position
}

// MaxEngines is how many engines an organization can register, for ever.
const MaxEngines = 1000

// Engines are all engines of the organization, the oldest first.
func (o *Organization) Engines() []Engine {
	return slices.DeleteFunc(slices.Clone(o.engines.all), func(e Engine) bool { return e.Number == 0 })
}

// Engine is the engine with a number.
func (o *Organization) Engine(number Position) (Engine, bool) {
	return o.engineWhere(func(e *Engine) bool { return e.Number == number })
}

// EngineOf is the engine whose access token has an id.
func (o *Organization) EngineOf(token TokenID) (Engine, bool) {
	return o.engineWhere(func(e *Engine) bool { return e.Token == token && e.Number != 0 })
}

func (o *Organization) engineWhere(is func(*Engine) bool) (none Engine, known bool) {
	for i := range o.engines.all {
		if e := &o.engines.all[i]; is(e) && e.Number != 0 {
			return *e, true
		}
	}
	return none, false
}

// hadEngine reports whether there is an engine of that name, or was.
func (o *Organization) hadEngine(name string) bool {
	return slices.ContainsFunc(o.engines.all, func(e Engine) bool { return e.Name == name })
}

func (o *Organization) engine(number Position) (Engine, error) {
	e, known := o.Engine(number)
	if !known {
		return e, Refuse(ErrNotFound, "there is no such engine", "look at the list of engines")
	}
	return e, nil
}

// Listing is what people are told about an engine, and what is offered to them when
// they limit a token to it.
type Listing struct {
	Project     string     `json:"project,omitempty"`
	URL         string     `json:"url,omitempty"`
	Description string     `json:"description,omitempty"`
	Permissions []string   `json:"permissions,omitempty"`
	Resources   []Resource `json:"resources,omitempty"`
}

func (l Listing) check(o *Organization) error {
	if l.URL != "" {
		u, err := url.Parse(l.URL)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || len(l.URL) > MaxDescription {
			return Invalid("url", "is no URL of an engine", "write it like https://dblab.example.org, without a user")
		}
	}
	if err := checkLine("url", l.URL, MaxDescription); err != nil {
		return err
	}
	if err := checkLine("description", l.Description, MaxDescription); err != nil {
		return err
	}
	if _, err := o.set("permissions", l.Permissions); err != nil {
		return err
	}
	return checkResources(l.Resources)
}

func (l Listing) plain() Listing {
	l.Permissions, l.Resources = none(unique(l.Permissions)), none(l.Resources)
	return l
}

var enginePattern = regexp.MustCompile(`^[a-z0-9]+([._-][a-z0-9]+)*$`)

func checkEngineName(name string) error {
	if len(name) > MaxAlias || !enginePattern.MatchString(name) {
		return Invalid("name", "%q is no name of an engine", fmt.Sprintf("use 1 to %d small letters, digits, and single dots, hyphens and underscores between them", MaxAlias), clip(name))
	}
	return nil
}

// EngineToken is what an engine is to show to the platform.
type EngineToken struct {
	Token    TokenID
	Hash     Hash
	Expires  Instant // zero: as the policy has it, unless Never
	Never    bool
	Networks []Network // where alone it works; empty: everywhere
}

// issue is how the access token of an engine is issued. It asks about tokens and
// sends what engines send, and nothing else: not what a role of the organization's own
// allows that has had that name since before there was the one for engines.
func (t EngineToken) issue(o *Organization, name, engine string) IssueToken {
	grant := Grant{Access: ByRole, Role: "engine"}
	if r, _ := o.Role(grant.Role); r.Type == Custom {
		grant = Grant{Access: ByList, Permissions: o.Names(enginePermissions)}
	}
	return IssueToken{
		Token: t.Token, Kind: Administrative, Name: name, Description: "the access token of the engine " + engine,
		Hash: t.Hash, Expires: t.Expires, Never: t.Never, Terms: Terms{Grant: grant, Networks: t.Networks},
	}
}

// RegisterEngine registers an engine, with what it asks for and with the token that
// it shows to the platform.
type RegisterEngine struct {
	Name    string
	Listing Listing
	Defines []Definition // permissions that it brings along
	Door    Door
	EngineToken
}

// Decide refuses a name that was ever given, and a door that cannot be. What the
// engine brings along is defined with it, and its token issued as any other.
func (c RegisterEngine) Decide(o *Organization, m Meta) ([]Event, error) {
	if err := o.allows(m, EnginesCreate); err != nil {
		return nil, err
	}
	if err := c.free(o); err != nil {
		return nil, err
	}
	events, err := c.defines(o, m)
	if err != nil {
		return nil, err
	}
	made, err := o.projectFor(c.Listing.Project)
	if err != nil {
		return nil, err
	}
	token, err := c.issue(o, "engine "+c.Name, c.Name).Decide(o, m)
	if err != nil {
		return nil, err
	}
	events = append(append(events, made...), EngineRegistered{c.Name, c.Token}, EngineListed{0, c.Listing.plain()}, EngineDoorSet{0, c.Door.plain()})
	return append(events, token...), nil
}

func (c RegisterEngine) free(o *Organization) error {
	if err := checkEngineName(c.Name); err != nil {
		return err
	}
	if o.hadEngine(c.Name) {
		return taken("name", "there is or was an engine %q", "choose another name: tokens may still name that one", c.Name)
	}
	if len(o.engines.all) >= MaxEngines {
		return Refuse(ErrState, "%d engines were registered here, and no more fit", "change one that is there", MaxEngines)
	}
	if c.Door.Disabled {
		return Invalid("disabled", "is for an engine that is there", "register it, and disable it then")
	}
	return c.Door.check()
}

// defines is the definitions of what the engine brings along and the organization
// does not have yet. A permission that is there must be the same.
func (c RegisterEngine) defines(o *Organization, m Meta) (events []Event, err error) {
	with := *o // the engine may ask for what it brings
	for _, d := range c.Defines {
		if p := with.Permission(d.Name); p != NoPermission {
			if known := with.catalogue.definition(p); known.Write != d.Write || known.Resource != d.Resource || known.Administrative != d.Administrative {
				return nil, taken("permissions", "there is another permission %q already", "choose another name, or leave it out", d.Name)
			}
			continue
		}
		defined, err := DefinePermission{d}.Decide(&with, m)
		if err != nil {
			return nil, err
		}
		with.catalogue = with.catalogue.with(d)
		events = append(events, defined...)
	}
	return events, c.Listing.check(&with)
}

// UpdateEngine changes an engine. Nil leaves a thing as it is.
type UpdateEngine struct {
	Engine   Position
	Listing  *Listing
	Door     *Door
	Disabled *bool
	Seen     Position
}

// Decide answers the changes that are changes.
func (c UpdateEngine) Decide(o *Organization, m Meta) ([]Event, error) {
	if err := o.allows(m, EnginesUpdate); err != nil {
		return nil, err
	}
	e, err := o.engine(c.Engine)
	if err != nil {
		return nil, err
	}
	if err := unchanged(c.Seen, e.Changed); err != nil {
		return nil, err
	}
	return c.changes(o, e)
}

func (c UpdateEngine) changes(o *Organization, e Engine) (events []Event, err error) {
	if c.Listing != nil {
		if err := c.Listing.check(o); err != nil {
			return nil, err
		}
		if events, err = o.projectFor(c.Listing.Project); err != nil {
			return nil, err
		}
		events = append(events, EngineListed{e.Number, c.Listing.plain()})
	}
	if c.Door != nil {
		if err := c.Door.check(); err != nil {
			return nil, err
		}
		if door := c.Door.of(e); door != e.Door {
			events = append(events, EngineDoorSet{e.Number, door.plain()})
		}
	}
	if c.Disabled != nil && *c.Disabled != e.Disabled {
		events = append(events, EngineSwitched{e.Number, *c.Disabled})
	}
	return events, nil
}

// ReplaceEngineToken gives an engine another access token: the one that it has was
// lost, or has ended. To change the secret of one that is good rotate it.
type ReplaceEngineToken struct {
	Engine Position
	EngineToken
	Seen Position
}

// Decide ends the token that the engine has.
func (c ReplaceEngineToken) Decide(o *Organization, m Meta) ([]Event, error) {
	if err := o.allows(m, EnginesUpdate); err != nil {
		return nil, err
	}
	e, err := o.engine(c.Engine)
	if err != nil {
		return nil, err
	}
	if err := unchanged(c.Seen, e.Changed); err != nil {
		return nil, err
	}
	// The old one may still have the name of the first.
	issued, err := c.issue(o, "engine "+e.Name+" "+c.Token.String(), e.Name).Decide(o, m)
	if err != nil {
		return nil, err
	}
	events := append(o.endEngineToken(e, "its engine has got another one"), EngineTokenReplaced{e.Number, c.Token})
	return append(events, issued...), nil
}

// endEngineToken ends the access token of an engine, if it has not ended.
func (o *Organization) endEngineToken(e Engine, why string) []Event {
	if t, _ := o.Tokens.Find(e.Token); t.Kind == NoKind || t.Revoked {
		return nil
	}
	return []Event{TokenRevoked{e.Token, why}}
}

// DeleteEngine ends an engine and its access token.
type DeleteEngine struct {
	Engine Position
	Reason string
	Seen   Position
}

// Decide ends both.
func (c DeleteEngine) Decide(o *Organization, m Meta) ([]Event, error) {
	if err := o.allows(m, EnginesDelete); err != nil {
		return nil, err
	}
	e, err := o.engine(c.Engine)
	if err != nil {
		return nil, err
	}
	if err := checkLine("reason", c.Reason, MaxReason); err != nil {
		return nil, err
	}
	if err := unchanged(c.Seen, e.Changed); err != nil {
		return nil, err
	}
	return append([]Event{EngineDeleted{e.Number, c.Reason}}, o.endEngineToken(e, "its engine was deleted")...), nil
}

// EngineRegistered says that there is an engine. Its number is the position of the
// commit. Its door is shut until EngineDoorSet says otherwise.
type EngineRegistered struct {
	Name  string  `json:"name"`
	Token TokenID `json:"token"`
}

// Kind is stored.
func (EngineRegistered) Kind() string { return "engine.registered" }

// Evolve adds it.
func (e EngineRegistered) Evolve(o *Organization, m Meta) {
	o.engines.all = append(slices.Clip(o.engines.all), Engine{Number: m.Position, Token: e.Token, Changed: m.Position, Door: Door{Name: e.Name, resource: engineResource(e.Name)}})
	o.engines.changed = m.Position
}

// EngineListed says what an engine offers.
type EngineListed struct {
	Engine Position `json:"engine,omitempty"` // 0: the one that the same commit registers
	Listing
}

// Kind is stored.
func (EngineListed) Kind() string { return "engine.listed" }

// Evolve changes what is offered. Where it is and what is said of it is for the views.
func (e EngineListed) Evolve(o *Organization, m Meta) {
	o.changeEngine(e.Engine, m, func(known *Engine) { known.Permissions, known.Resources = e.Permissions, e.Resources })
}

// EngineDoorSet says how an engine decides from now on: all of it.
type EngineDoorSet struct {
	Engine Position `json:"engine,omitempty"` // 0: the one that the same commit registers
	Door   Door     `json:"door"`
}

// Kind is stored.
func (EngineDoorSet) Kind() string { return "engine.door_set" }

// Evolve sets the door.
func (e EngineDoorSet) Evolve(o *Organization, m Meta) {
	o.changeEngine(e.Engine, m, func(known *Engine) { known.Door = e.Door.of(*known) })
}

// EngineSwitched says that an engine lets nobody in, or does again.
type EngineSwitched struct {
	Engine   Position `json:"engine"`
	Disabled bool     `json:"disabled"`
}

// Kind is stored.
func (EngineSwitched) Kind() string { return "engine.switched" }

// Evolve switches it.
func (e EngineSwitched) Evolve(o *Organization, m Meta) {
	o.changeEngine(e.Engine, m, func(known *Engine) { known.Disabled = e.Disabled })
}

// EngineTokenReplaced says that an engine shows another access token.
type EngineTokenReplaced struct {
	Engine Position `json:"engine"`
	Token  TokenID  `json:"token"`
}

// Kind is stored.
func (EngineTokenReplaced) Kind() string { return "engine.token_replaced" }

// Evolve takes the new one.
func (e EngineTokenReplaced) Evolve(o *Organization, m Meta) {
	o.changeEngine(e.Engine, m, func(known *Engine) { known.Token = e.Token })
}

// EngineDeleted says that an engine is no more. Its name stays taken.
type EngineDeleted struct {
	Engine Position `json:"engine"`
	Reason string   `json:"reason,omitempty"`
}

// Kind is stored.
func (EngineDeleted) Kind() string { return "engine.deleted" }

// Evolve ends it.
func (e EngineDeleted) Evolve(o *Organization, m Meta) {
	o.changeEngine(e.Engine, m, func(known *Engine) { known.Number = 0 })
}

// changeEngine lets do change an engine. What others hold of the engines does not
// change under them.
func (o *Organization) changeEngine(number Position, m Meta, do func(*Engine)) {
	if number == 0 {
		number = m.Position
	}
	o.engines.all = slices.Clone(o.engines.all)
	for i := range o.engines.all {
		if e := &o.engines.all[i]; e.Number == number {
			do(e)
			e.Changed, o.engines.changed = m.Position, m.Position
		}
	}
}
