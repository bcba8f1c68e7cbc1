package domain

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Role is the name of what somebody may do.
type Role string

// The roles that are in every organization.
const (
	NoRole   Role = ""
	Auditor  Role = "auditor"
	Ordinary Role = "member" // the role of most people
	Admin    Role = "admin"
	Owner    Role = "owner"
)

// RoleType says where a role comes from.
type RoleType string

const (
	// BuiltIn roles are what members are.
	BuiltIn RoleType = "built-in"
	// ReadyMade roles are sets that follow the marks in the catalogue.
	ReadyMade RoleType = "ready-made"
	// Custom roles are made by the organization.
	Custom RoleType = "custom"
)

// RoleDefinition is a role with what it allows.
type RoleDefinition struct {
	Name        Role
	Type        RoleType
	Description string
	Permissions Permissions
	Changed     Position // zero for those that are in every organization
	gone        bool
}

// rolePlace is where a role is among the roles of its organization. A role that
// was deleted keeps its place, so that nothing that had it gets another one.
type rolePlace uint16

const (
	placeOfNoRole rolePlace = iota
	placeOfAuditor
	placeOfOrdinary
	placeOfAdmin
	placeOfOwner
)

var (
	ordinaryPermissions = PermissionsOf(OrganizationRead, PolicyRead, MembersRead, RolesRead, PermissionsRead, TokensCheck,
		TokensReadOwn, TokensCreatePersonal, TokensUpdateOwn, TokensRotateOwn, TokensRevokeOwn, EnginesRead,
		EnginesUse).or(labPermissions)

	// An auditor reads everything and changes nothing, not even tokens of their
	// own: what they hold was given to them.
	auditorPermissions = commonCatalogue.reads

	// administrativePermissions is what an administrative token may do whose grant
	// says nothing: ask about tokens, stop a leaked one, and what Database Lab lets
	// such a token call. It makes neither tokens nor members, so that whoever steals
	// it cannot leave a successor behind.
	administrativePermissions = PermissionsOf(OrganizationRead, MembersRead, TokensCheck, TokensReadAny, TokensRevokeAny, EnginesRead).or(labPermissions)

	// labPermissions are the functions that Database Lab lets a token call.
	labPermissions = PermissionsOf(LabJoe, LabCheckup, LabTelemetry, LabSessions, LabInstances, LabRead)

	// enginePermissions is what the access token of an engine may do.
	enginePermissions = PermissionsOf(TokensCheck, LabTelemetry, LabSessions, LabInstances)

	ownerOnly = PermissionsOf(OrganizationDelete)
)

// commonRole is a role that is in every organization: a set that follows from
// which permissions there are.
type commonRole struct {
	name        Role
	kind        RoleType
	description string
	of          func(*catalogue) Permissions
}

// own is what engines have defined: everybody who works here may use it.
func (c *catalogue) defined() Permissions { return c.work.without(&commonCatalogue.live) }

var commonRoles = []commonRole{
	{"", "", "", func(*catalogue) (none Permissions) { return none }},
	{Auditor, BuiltIn, "reads everything, changes nothing", func(c *catalogue) Permissions { return c.reads }},
	{Ordinary, BuiltIn, "works here, and keeps tokens of their own", func(c *catalogue) Permissions { return c.defined().or(ordinaryPermissions) }},
	{Admin, BuiltIn, "does everything but make owners and delete the organization", func(c *catalogue) Permissions { return c.live.without(&ownerOnly) }},
	{Owner, BuiltIn, "does everything", func(c *catalogue) Permissions { return c.live }},

	{"admin:write", ReadyMade, "everything that an admin may do", func(c *catalogue) Permissions { return c.live.without(&ownerOnly) }},
	{"admin:read", ReadyMade, "reads everything", func(c *catalogue) Permissions { return c.reads }},
	{"general:write", ReadyMade, "everything that is not administrative", func(c *catalogue) Permissions { return c.work }},
	{"general:read", ReadyMade, "reads what is not administrative", func(c *catalogue) Permissions { return c.work.and(&c.reads) }},
	{"ci", ReadyMade, "for pipelines: what engines offer, asking about tokens, a new secret for itself", func(c *catalogue) Permissions {
		return c.defined().or(PermissionsOf(OrganizationRead, TokensCheck, TokensRotateOwn, EnginesUse))
	}},
	{"schema-only", ReadyMade, "sees which roles and permissions there are, and nothing else", func(*catalogue) Permissions {
		return PermissionsOf(OrganizationRead, RolesRead, PermissionsRead)
	}},
	{"engine", ReadyMade, "for engines: asking about tokens, and what the Database Lab Engine calls", func(*catalogue) Permissions { return enginePermissions }},
	{"joe", ReadyMade, "for the Joe bot: asking about tokens, and what it calls", func(*catalogue) Permissions {
		return PermissionsOf(TokensCheck, LabJoe, LabRead)
	}},
	{"database-lab", ReadyMade, "what Database Lab lets a token call", func(*catalogue) Permissions {
		return labPermissions.or(PermissionsOf(TokensCheck))
	}},
}

// rolesFor is the roles that every organization with this catalogue has.
func rolesFor(c *catalogue) []RoleDefinition {
	roles := make([]RoleDefinition, len(commonRoles))
	for i, r := range commonRoles {
		roles[i] = RoleDefinition{Name: r.name, Type: r.kind, Description: r.description, Permissions: r.of(c), gone: r.name == NoRole}
	}
	return roles
}

// sharedRoles are the roles of all organizations that have added nothing. They
// are cut to their length, so that whoever appends gets a copy.
var sharedRoles = slices.Clip(rolesFor(commonCatalogue))

// refill gives the common roles what the catalogue has now.
func (o *Organization) refill() {
	o.roles = append(rolesFor(o.catalogue), o.roles[len(commonRoles):]...)
}

// place is where the role of a name is; none: false. The organization's own come
// first: a ready-made one that is added later does not take the place of one that
// was made here under its name.
func (o *Organization) place(name Role) (rolePlace, bool) {
	for at := len(o.roles) - 1; at >= 0; at-- {
		if r := &o.roles[at]; r.Name == name && !r.gone {
			return rolePlace(at), true
		}
	}
	return placeOfNoRole, false
}

// Roles are all there are: the built-in ones, the ready-made, those made here.
func (o *Organization) Roles() []RoleDefinition {
	return slices.DeleteFunc(slices.Clone(o.roles), func(r RoleDefinition) bool { return r.gone })
}

// Role is the role of a name.
func (o *Organization) Role(name Role) (RoleDefinition, error) {
	at, known := o.place(name)
	if !known {
		return RoleDefinition{}, Refuse(ErrNotFound, "there is no such role", "look at the list of roles")
	}
	return o.roles[at], nil
}

// Ordinary is what an organization allows somebody with a role; nothing if there
// is no such role.
func (o *Organization) permissionsOf(name Role) (none Permissions) {
	if at, known := o.place(name); known {
		return o.roles[at].Permissions
	}
	return none
}

// known refuses what is no role of the organization.
func (o *Organization) known(field string, name Role) error {
	if _, known := o.place(name); !known {
		return Invalid(field, "there is no role %q", "take owner, admin, member, auditor or another one in the list of roles", clip(string(name)))
	}
	return nil
}

var rolePattern = regexp.MustCompile(`^[a-z][a-z0-9]*([-:][a-z0-9]+)*$`)

func (r Role) check() error {
	if len(r) < 2 || len(r) > MaxAlias || !rolePattern.MatchString(string(r)) {
		return Invalid("name", "%q is no name of a role", fmt.Sprintf("use 2 to %d small letters, digits and single hyphens, beginning with a letter", MaxAlias), clip(string(r)))
	}
	return nil
}

// holds refuses whoever would give what they do not have themselves, and says
// what that is. What was retired is nothing that could be given.
func (o *Organization) holds(m Meta, field string, wanted Permissions) error {
	has := o.rights(m)
	excess := wanted.and(&o.catalogue.live).without(&has)
	if excess.IsZero() {
		return nil
	}
	r := Refuse(ErrDenied, "it would allow what you may not do yourself: %s", "leave that out, or ask somebody who may", few(o.Names(excess)))
	r.Field = field
	return r
}

// few is the beginning of a list, for a sentence.
func few(names []string) string {
	const most = 5
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

// set is the permissions of these names.
func (o *Organization) set(field string, names []string) (set Permissions, err error) {
	for _, name := range names {
		p := o.Permission(name)
		if p == NoPermission {
			return set, Invalid(field, "there is no permission %q", "look at the list of permissions", clip(name))
		}
		set = set.or(PermissionsOf(p))
	}
	return set, nil
}

// MaxRoles is how many roles an organization can make, for ever.
const MaxRoles = 1000

// CreateRole makes a role of the organization's own.
type CreateRole struct {
	Name        Role
	Description string
	Permissions []string
}

// Decide refuses a name that is taken, and what its maker may not do.
func (c CreateRole) Decide(o *Organization, m Meta) ([]Event, error) {
	if err := o.allows(m, RolesCreate); err != nil {
		return nil, err
	}
	if err := c.Name.check(); err != nil {
		return nil, err
	}
	if _, known := o.place(c.Name); known {
		return nil, taken("name", "there is a role %q already", "choose another name", c.Name)
	}
	if len(o.roles) >= MaxRoles {
		return nil, Refuse(ErrState, "%d roles were made here, and no more fit", "change one that is there", MaxRoles)
	}
	if err := o.mayDefine(m, c.Description, c.Permissions); err != nil {
		return nil, err
	}
	return []Event{RoleCreated{c.Name, c.Description, unique(c.Permissions)}}, nil
}

func (o *Organization) mayDefine(m Meta, description string, names []string) error {
	if err := checkLine("description", description, MaxDescription); err != nil {
		return err
	}
	set, err := o.set("permissions", names)
	if err != nil {
		return err
	}
	return o.holds(m, "permissions", set)
}

// unique is the names in order, each once.
func unique(names []string) []string { return slices.Compact(slices.Sorted(slices.Values(names))) }

// UpdateRole changes what a role of the organization's own allows. Nil leaves a
// thing as it is.
type UpdateRole struct {
	Name        Role
	Description *string
	Permissions *[]string
	Seen        Position
}

// Decide refuses to change a role that is in every organization, and one that
// allows more than whoever changes it may do.
func (c UpdateRole) Decide(o *Organization, m Meta) ([]Event, error) {
	r, err := o.changeable(m, RolesUpdate, c.Name, c.Seen)
	if err != nil {
		return nil, err
	}
	if err := o.holds(m, "permissions", r.Permissions); err != nil {
		return nil, err
	}
	e := RoleChanged{c.Name, r.Description, o.Names(r.Permissions)}
	if c.Description != nil {
		e.Description = *c.Description
	}
	if c.Permissions != nil {
		e.Permissions = unique(*c.Permissions)
	}
	if err := o.mayDefine(m, e.Description, e.Permissions); err != nil {
		return nil, err
	}
	set, _ := o.set("permissions", e.Permissions)
	if e.Description == r.Description && set == r.Permissions.and(&o.catalogue.live) {
		return nil, nil
	}
	return []Event{e}, nil
}

func (o *Organization) changeable(m Meta, needs Permission, name Role, seen Position) (RoleDefinition, error) {
	if err := o.allows(m, needs); err != nil {
		return RoleDefinition{}, err
	}
	r, err := o.Role(name)
	if err != nil {
		return r, err
	}
	if r.Type != Custom {
		return r, Refuse(ErrState, "the role %s is in every organization and can't be changed", "make a role of your own", name)
	}
	return r, unchanged(seen, r.Changed)
}

// DeleteRole ends a role that nobody has any more. Tokens whose grant names it
// can do nothing from then on.
type DeleteRole struct {
	Name Role
	Seen Position
}

// Decide refuses while a member or a service account has the role.
func (c DeleteRole) Decide(o *Organization, m Meta) ([]Event, error) {
	if _, err := o.changeable(m, RolesDelete, c.Name, c.Seen); err != nil {
		return nil, err
	}
	if o.Policy.names(string(c.Name)) {
		return nil, Refuse(ErrState, "the policy names the role %s", "take it out of the policy first", c.Name)
	}
	at, _ := o.place(c.Name)
	for i := range o.holders {
		h := &o.holders[i]
		if h.Kind == Person && h.role == at || h.Kind == Program && o.terms[h.terms].role == at {
			return nil, Refuse(ErrState, "somebody has the role %s", "give them another role first", c.Name)
		}
	}
	return []Event{RoleDeleted{c.Name}}, nil
}

// RoleCreated says that there is a role more.
type RoleCreated struct {
	Name        Role     `json:"name"`
	Description string   `json:"description,omitempty"`
	Permissions []string `json:"permissions"`
}

// Kind is stored.
func (RoleCreated) Kind() string { return "role.created" }

// Evolve adds the role.
func (e RoleCreated) Evolve(o *Organization, m Meta) {
	set, _ := o.set("", e.Permissions)
	o.roles = append(slices.Clip(o.roles), RoleDefinition{e.Name, Custom, e.Description, set, m.Position, false})
}

// RoleChanged says what a role allows from now on.
type RoleChanged struct {
	Name        Role     `json:"name"`
	Description string   `json:"description,omitempty"`
	Permissions []string `json:"permissions"`
}

// Kind is stored.
func (RoleChanged) Kind() string { return "role.changed" }

// Evolve changes the role for all who have it.
func (e RoleChanged) Evolve(o *Organization, m Meta) {
	set, _ := o.set("", e.Permissions)
	o.changeRole(e.Name, func(r *RoleDefinition) { r.Description, r.Permissions, r.Changed = e.Description, set, m.Position })
}

// RoleDeleted says that a role is gone. One of the same name is another role.
type RoleDeleted struct {
	Name Role `json:"name"`
}

// Kind is stored.
func (RoleDeleted) Kind() string { return "role.deleted" }

// Evolve empties the role's place.
func (e RoleDeleted) Evolve(o *Organization, m Meta) {
	o.changeRole(e.Name, func(r *RoleDefinition) { r.Permissions, r.gone, r.Changed = Permissions{}, true, m.Position })
}

func (o *Organization) changeRole(name Role, do func(*RoleDefinition)) {
	if at, known := o.place(name); known {
		o.roles = slices.Clone(o.roles)
		do(&o.roles[at])
	}
}
