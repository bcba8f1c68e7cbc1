package domain

import (
	"iter"
	"maps"
	"math/bits"
	"regexp"
	"slices"
)

// Permission is one thing that can be allowed: of Jeton itself below
// firstOwn, of the engines of an organization from there on.
type Permission uint16

const (
	NoPermission Permission = iota
	OrganizationRead
	OrganizationUpdate
	OrganizationDelete
	PolicyRead
	PolicyUpdate
	MembersRead
	MembersAdd
	MembersUpdate
	MembersRemove
	RolesRead
	RolesCreate
	RolesUpdate
	RolesDelete
	PermissionsRead
	PermissionsDefine
	PermissionsRetire
	TokensCheck
	TokensReadOwn
	TokensReadAny
	TokensCreatePersonal
	TokensCreateAdministrative
	TokensCreateService
	TokensUpdateOwn
	TokensUpdateAny
	TokensRotateOwn
	TokensRotateAny
	TokensRevokeOwn
	TokensRevokeAny
	TokensApprove
	EnginesRead
	EnginesCreate
	EnginesUpdate
	EnginesDelete
	LogRead
	LabJoe
	LabCheckup
	LabTelemetry
	LabSessions
	LabInstances
	EnginesUse
	LabRead
	LabDelete
	WebhooksRead
	WebhooksWrite
	permissionCount
)

const (
	// firstOwn is the first permission that an organization defines for itself.
	firstOwn Permission = 128
	// MaxPermissions is how many permissions an organization can define, for ever:
	// a name that was retired and is defined again is another permission.
	MaxPermissions = len(Permissions{})*64 - int(firstOwn)
)

// Definition says what a permission is.
type Definition struct {
	Name  string `json:"name"`
	Group string `json:"group"`
	// Write: who has it can change something. It is a mark, never guessed from the name.
	Write bool `json:"write,omitempty"`
	// Administrative permissions are about the organization and not about the work in it.
	Administrative bool   `json:"administrative,omitempty"`
	Resource       string `json:"resource,omitempty"` // the type of resource it is about; empty: none
	Description    string `json:"description,omitempty"`
}

// enginesUse is the name of what those need who come to an engine for nothing finer.
const enginesUse = "engines.use"

const (
	reads, writes       = false, true
	general, privileged = false, true
)

// definitions are the permissions of Jeton itself.
var definitions = [permissionCount]Definition{
	OrganizationRead:           {"organization.read", "organization", reads, general, "", "see the organization"},
	OrganizationUpdate:         {"organization.update", "organization", writes, privileged, "", "rename the organization"},
	OrganizationDelete:         {"organization.delete", "organization", writes, privileged, "", "delete the organization with everything in it"},
	PolicyRead:                 {"policy.read", "settings", reads, general, "", "see the policy"},
	PolicyUpdate:               {"policy.update", "settings", writes, privileged, "", "change the policy"},
	MembersRead:                {"members.read", "members", reads, general, "", "see members and service accounts"},
	MembersAdd:                 {"members.add", "members", writes, privileged, "", "add members and service accounts"},
	MembersUpdate:              {"members.update", "members", writes, privileged, "", "change and suspend members and service accounts"},
	MembersRemove:              {"members.remove", "members", writes, privileged, "", "remove members and service accounts"},
	RolesRead:                  {"roles.read", "roles", reads, general, "", "see roles"},
	RolesCreate:                {"roles.create", "roles", writes, privileged, "", "make roles"},
	RolesUpdate:                {"roles.update", "roles", writes, privileged, "", "change roles"},
	RolesDelete:                {"roles.delete", "roles", writes, privileged, "", "delete roles"},
	PermissionsRead:            {"permissions.read", "permissions", reads, general, "", "see which permissions there are"},
	PermissionsDefine:          {"permissions.define", "permissions", writes, privileged, "", "define permissions"},
	PermissionsRetire:          {"permissions.retire", "permissions", writes, privileged, "", "retire permissions"},
	TokensCheck:                {"tokens.check", "tokens", reads, general, "", "ask whether a token is good"},
	TokensReadOwn:              {"tokens.read-own", "tokens", reads, general, "", "see one's own tokens"},
	TokensReadAny:              {"tokens.read-any", "tokens", reads, privileged, "", "see everybody's tokens"},
	TokensCreatePersonal:       {"tokens.create-personal", "tokens", writes, general, "", "make personal tokens"},
	TokensCreateAdministrative: {"tokens.create-administrative", "tokens", writes, privileged, "", "make administrative tokens"},
	TokensCreateService:        {"tokens.create-service", "tokens", writes, privileged, "", "make tokens of service accounts"},
	TokensUpdateOwn:            {"tokens.update-own", "tokens", writes, general, "", "change one's own tokens"},
	TokensUpdateAny:            {"tokens.update-any", "tokens", writes, privileged, "", "change everybody's tokens"},
	TokensRotateOwn:            {"tokens.rotate-own", "tokens", writes, general, "", "give one's own tokens, or the token that is shown, a new secret"},
	TokensRotateAny:            {"tokens.rotate-any", "tokens", writes, privileged, "", "give tokens that belong to nobody in person a new secret"},
	TokensRevokeOwn:            {"tokens.revoke-own", "tokens", writes, general, "", "revoke one's own tokens"},
	TokensRevokeAny:            {"tokens.revoke-any", "tokens", writes, privileged, "", "revoke everybody's tokens"},
	TokensApprove:              {"tokens.approve", "tokens", writes, privileged, "", "approve or refuse tokens that others have asked for"},
	EnginesRead:                {"engines.read", "engines", reads, general, "engine", "see engines"},
	EnginesCreate:              {"engines.create", "engines", writes, privileged, "", "register engines"},
	EnginesUpdate:              {"engines.update", "engines", writes, privileged, "engine", "change engines"},
	EnginesDelete:              {"engines.delete", "engines", writes, privileged, "engine", "delete engines"},
	LogRead:                    {"log.read", "audit", reads, privileged, "", "read what happened"},
	LabJoe:                     {"database-lab.joe", "database-lab", writes, general, "", "call the joe functions of Database Lab"},
	LabCheckup:                 {"database-lab.checkup", "database-lab", writes, general, "", "call the checkup functions of Database Lab"},
	LabTelemetry:               {"database-lab.telemetry", "database-lab", writes, general, "", "call the telemetry functions of Database Lab"},
	LabSessions:                {"database-lab.sessions", "database-lab", writes, general, "", "call the session functions of Database Lab"},
	LabInstances:               {"database-lab.instances", "database-lab", writes, general, "", "register instances of Database Lab"},
	EnginesUse:                 {enginesUse, "engines", writes, general, "engine", "come in at engines, where they ask for nothing finer"},
	LabRead:                    {"database-lab.read", "database-lab", reads, general, "", "read what programs of Database Lab have sent"},
	LabDelete:                  {"database-lab.delete", "database-lab", writes, privileged, "", "delete what programs of Database Lab have sent"},
	WebhooksRead:               {"webhooks.read", "audit", reads, privileged, "", "see webhooks and what they could not deliver"},
	WebhooksWrite:              {"webhooks.write", "audit", writes, privileged, "", "make, change, test and delete webhooks"},
}

func (p Permission) String() string {
	if p >= permissionCount {
		return ""
	}
	return definitions[p].Name
}

// Permissions is a set of them.
type Permissions [8]uint64

// PermissionsOf is the set of all that are given.
func PermissionsOf(all ...Permission) (set Permissions) {
	for _, p := range all {
		set[p/64] |= 1 << (p % 64)
	}
	return set
}

// Has reports whether p is in the set. NoPermission is in none.
func (set *Permissions) Has(p Permission) bool {
	return p != NoPermission && int(p/64) < len(set) && set[p/64]&(1<<(p%64)) != 0
}

// IsZero reports whether the set is empty.
func (set Permissions) IsZero() bool { return set == Permissions{} }

func (set Permissions) and(other *Permissions) Permissions {
	for i := range set {
		set[i] &= other[i]
	}
	return set
}

func (set Permissions) or(other Permissions) Permissions {
	for i := range set {
		set[i] |= other[i]
	}
	return set
}

func (set Permissions) without(other *Permissions) Permissions {
	for i := range set {
		set[i] &^= other[i]
	}
	return set
}

// All is what is in the set, in the order of the catalogue.
func (set Permissions) All() iter.Seq[Permission] {
	return func(yield func(Permission) bool) {
		for i, word := range set {
			for ; word != 0; word &= word - 1 {
				if !yield(Permission(i*64 + bits.TrailingZeros64(word))) {
					return
				}
			}
		}
	}
}

// catalogue is which permissions there are in an organization. It is never
// changed, only replaced: organizations without own permissions share one.
type catalogue struct {
	names map[string]Permission
	copy  map[Permission]Definition // in the copy of an engine: all of them, as its platform numbers them
	own   []Definition              // from firstOwn on; those that were retired stay in their places
	live  Permissions
	reads Permissions // of the live ones
	work  Permissions // of the live ones: those that are not administrative
	bound Permissions // of all there ever were: those about a type of resource
	enter Permission  // engines.use
}

var commonCatalogue = func() *catalogue {
	c := &catalogue{names: map[string]Permission{}}
	for p := NoPermission + 1; p < permissionCount; p++ {
		c.add(p, definitions[p])
	}
	return c
}()

func (c *catalogue) add(p Permission, d Definition) {
	c.names[d.Name] = p
	if d.Name == enginesUse {
		c.enter = p
	}
	one := PermissionsOf(p)
	c.live = c.live.or(one)
	if !d.Write {
		c.reads = c.reads.or(one)
	}
	if !d.Administrative {
		c.work = c.work.or(one)
	}
	if d.Resource != "" {
		c.bound = c.bound.or(one)
	}
}

func (c *catalogue) definition(p Permission) Definition {
	if c.copy != nil {
		return c.copy[p]
	}
	if p < permissionCount {
		return definitions[p]
	}
	return c.own[p-firstOwn]
}

// with is the catalogue with one more permission.
func (c *catalogue) with(d Definition) *catalogue {
	more := *c
	more.names, more.own = maps.Clone(c.names), append(slices.Clone(c.own), d)
	more.add(firstOwn+Permission(len(c.own)), d)
	return &more
}

// less is the catalogue without a permission.
func (c *catalogue) less(name string) *catalogue {
	rest := *c
	rest.names = maps.Clone(c.names)
	gone := PermissionsOf(rest.names[name])
	delete(rest.names, name)
	rest.live, rest.reads, rest.work = c.live.without(&gone), c.reads.without(&gone), c.work.without(&gone)
	return &rest
}

// Permission is the live permission of that name; NoPermission, which nobody has,
// if there is none.
func (o *Organization) Permission(name string) Permission { return o.catalogue.names[name] }

// Definitions are the live permissions, those of Jeton first.
func (o *Organization) Definitions() (all []Definition) {
	for p := range o.catalogue.live.All() {
		all = append(all, o.catalogue.definition(p))
	}
	return all
}

// Names are the names of the live permissions in a set.
func (o *Organization) Names(set Permissions) []string {
	names := []string{}
	for p := range set.and(&o.catalogue.live).All() {
		names = append(names, o.catalogue.definition(p).Name)
	}
	return names
}

var (
	permissionPattern = regexp.MustCompile(`^[a-z][a-z0-9]*([._:-][a-z0-9]+)+$`)
	typePattern       = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)
)

// check refuses a definition that could be taken for something else.
func (d Definition) check() error {
	if len(d.Name) > MaxName || !permissionPattern.MatchString(d.Name) {
		return Invalid("name", "%q is no name of a permission", "write it like clones.create: small letters and digits, in parts with a dot, colon, underscore or hyphen between them", clip(d.Name))
	}
	if d.Group == "" || len(d.Group) > MaxAlias || !typePattern.MatchString(d.Group) {
		return Invalid("group", "%q is no name of a group", "write it like clones", clip(d.Group))
	}
	if d.Resource != "" && (len(d.Resource) > MaxAlias || !typePattern.MatchString(d.Resource)) {
		return Invalid("resource_type", "%q is no type of resource", "write it like engine", clip(d.Resource))
	}
	return checkLine("description", d.Description, MaxDescription)
}

// DefinePermission adds a permission of an engine to the catalogue.
type DefinePermission struct{ Definition }

// Decide refuses a name that is taken. Whoever has the right to define may do so
// whatever they hold: nobody has the new permission yet but by their role.
func (c DefinePermission) Decide(o *Organization, m Meta) ([]Event, error) {
	if err := o.allows(m, PermissionsDefine); err != nil {
		return nil, err
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	if o.Permission(c.Name) != NoPermission {
		return nil, taken("name", "there is a permission %q already", "choose another name", c.Name)
	}
	if len(o.catalogue.own) == MaxPermissions {
		return nil, Refuse(ErrState, "%d permissions were defined here, and no more fit", "limit grants to resources instead of defining a permission for each", MaxPermissions)
	}
	return []Event{PermissionDefined(c)}, nil
}

// RetirePermission takes a permission out of the catalogue: from now on nobody
// has it, whatever roles and grants say.
type RetirePermission struct{ Name string }

// Decide refuses to retire what is Jeton's own.
func (c RetirePermission) Decide(o *Organization, m Meta) ([]Event, error) {
	if err := o.allows(m, PermissionsRetire); err != nil {
		return nil, err
	}
	p := o.Permission(c.Name)
	if p == NoPermission {
		return nil, Refuse(ErrNotFound, "there is no such permission", "look at the list of permissions")
	}
	if p < firstOwn {
		return nil, Refuse(ErrState, "%s belongs to the service itself and can't be retired", "leave it out of roles and grants", p)
	}
	if o.Policy.names(c.Name) {
		return nil, Refuse(ErrState, "the policy names the permission %s", "take it out of the policy first", c.Name)
	}
	return []Event{PermissionRetired(c)}, nil
}

// PermissionDefined says that there is a permission more.
type PermissionDefined struct{ Definition }

// Kind is stored.
func (PermissionDefined) Kind() string { return "permission.defined" }

// Evolve adds the permission, and gives it to the roles that have all of its kind.
func (e PermissionDefined) Evolve(o *Organization, _ Meta) {
	o.catalogue = o.catalogue.with(e.Definition)
	o.refill()
}

// PermissionRetired says that nobody has a permission any more. If its name is
// defined again, that is another permission: old grants do not revive.
type PermissionRetired struct {
	Name string `json:"name"`
}

// Kind is stored.
func (PermissionRetired) Kind() string { return "permission.retired" }

// Evolve removes the permission.
func (e PermissionRetired) Evolve(o *Organization, _ Meta) {
	o.catalogue = o.catalogue.less(e.Name)
	o.refill()
}
