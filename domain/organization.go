package domain

// Organization is one tenant: everything that its rules need to know, and the
// boundary within which they are decided.
type Organization struct {
	// What a check reads stands together, as processors fetch memory.
	ID        OrganizationID
	Number    Position
	Alias     string
	Deleted   Instant // zero: it is there
	Tokens    Tokens
	holders   []holder
	roles     []RoleDefinition
	terms     []terms // the first is none
	catalogue *catalogue
	Policy    Policy

	Name          string
	Created       Instant
	Changed       Position // the commit that last changed the organization itself
	Version       Position // the commit that last changed anything in it
	PolicyChanged Position

	seats      map[AccountID]uint32 // in holders
	termPlaces map[string]uint32
	names      map[nameKey]TokenID   // who has a name, among the tokens of one holder
	programs   map[nameKey]AccountID // who has a name, among service accounts
	formers    map[TokenID][]former  // secrets that were rotated out, the oldest first
	approvals  map[TokenID]approval
	burned     map[TokenID]bool
	engines    engines
	projects   map[nameKey]Position
	records    records
	webhooks   []Webhook

	touched []uint32 // the places of holders that the last commit has changed
}

// NewOrganization is an organization in which nothing has happened yet.
func NewOrganization(id OrganizationID) *Organization {
	return &Organization{
		ID:         id,
		Policy:     UsualPolicy(),
		catalogue:  commonCatalogue,
		roles:      sharedRoles,
		seats:      map[AccountID]uint32{},
		terms:      []terms{{}},
		termPlaces: map[string]uint32{},
		names:      map[nameKey]TokenID{},
		programs:   map[nameKey]AccountID{},
		formers:    map[TokenID][]former{},
		approvals:  map[TokenID]approval{},
		burned:     map[TokenID]bool{},
		projects:   map[nameKey]Position{},
	}
}

// rights is what the actor may do in the organization at this moment: nothing,
// unless the token they showed is live and its holder active.
func (o *Organization) rights(m Meta) (none Permissions) {
	if m.Gone {
		return none
	}
	ask := m.ask()
	if place, known := o.Tokens.Place(m.Actor.Token); known {
		var v Verdict
		o.standing(&v, &o.Tokens.kept[place], &ask)
		return m.cut(v.rights(m.Actor))
	}
	if m.Pass != nil && m.Pass.Token.ID == m.Actor.Token {
		v := o.Admit(*m.Pass, &ask)
		return m.cut(v.rights(m.Actor))
	}
	return none
}

// replacedMay is what a secret can still do here that was rotated out: it may be why
// it was, so it makes and changes nothing.
var replacedMay = commonCatalogue.reads.or(PermissionsOf(TokensRevokeOwn, TokensRevokeAny))

func (m Meta) cut(rights Permissions) Permissions {
	if m.Replaced {
		return rights.and(&replacedMay)
	}
	return rights
}

// ask is the occasion of looking at the token that an actor shows.
func (m Meta) ask() Ask { return Ask{Now: m.Time, Address: m.From(), Used: m.Time} }

// Allows refuses the actor who lacks the permission at this moment. Queries ask
// it; commands ask it in Decide.
func (o *Organization) Allows(m Meta, p Permission) error { return o.allows(m, p) }

func (o *Organization) allows(m Meta, p Permission) error {
	if rights := o.rights(m); rights.Has(p) {
		return nil
	}
	return lacks(p)
}

func lacks(p Permission) error {
	return Refuse(ErrDenied, "this needs the permission %s", "ask an administrator of the organization", p)
}

// allowsWhileOff is allows as if the policy had not switched tokens off.
func (o *Organization) allowsWhileOff(m Meta, p Permission) error {
	if !o.Policy.Off {
		return o.allows(m, p)
	}
	on := *o
	on.Policy.Off = false
	return on.allows(m, p)
}

// AllowsWhileOff is Allows as if the policy had not switched tokens off.
func (o *Organization) AllowsWhileOff(m Meta, p Permission) error { return o.allowsWhileOff(m, p) }

// allowsOwn is allows for a token: the right over one's own is enough for one's own.
func (o *Organization) allowsOwn(t Token, m Meta, own, any Permission) error {
	if t.heldBy(m.Actor) {
		return o.allows(m, own)
	}
	return o.allows(m, any)
}

// unchanged refuses a change that was made against an older state than there is.
func unchanged(seen, now Position) error {
	if seen != 0 && seen != now {
		return Refuse(ErrStale, "it was changed at position %d, after you read it", "read it again and repeat the change", now)
	}
	return nil
}

// UpdateOrganization changes the organization's name.
type UpdateOrganization struct {
	Name string
	Seen Position // the Changed its sender saw; 0: whatever it is
}

// Decide renames the organization unless that is its name.
func (c UpdateOrganization) Decide(o *Organization, m Meta) ([]Event, error) {
	if err := o.allows(m, OrganizationUpdate); err != nil {
		return nil, err
	}
	if err := checkName("name", c.Name); err != nil {
		return nil, err
	}
	if err := unchanged(c.Seen, o.Changed); err != nil {
		return nil, err
	}
	if c.Name == o.Name {
		return nil, nil
	}
	return []Event{OrganizationRenamed{c.Name}}, nil
}

// DeleteOrganization ends an organization for ever: nothing of it works any more,
// and nobody gets its alias.
type DeleteOrganization struct {
	Alias    string // once more, so that nobody deletes another one than they mean
	Reason   string
	Operated bool // operators of the platform operate from here
	Seen     Position
}

// Decide wants the alias repeated. The organization from which the platform is
// operated stays: without it nobody could make another one.
func (c DeleteOrganization) Decide(o *Organization, m Meta) ([]Event, error) {
	if err := o.allows(m, OrganizationDelete); err != nil {
		return nil, err
	}
	if c.Alias != o.Alias {
		return nil, Invalid("alias", "is not the alias of this organization", "repeat the alias of the organization that is to be deleted")
	}
	if err := checkLine("reason", c.Reason, MaxReason); err != nil {
		return nil, err
	}
	if err := unchanged(c.Seen, o.Changed); err != nil {
		return nil, err
	}
	if c.Operated {
		return nil, Refuse(ErrState, "the platform is operated from here", "delete others; this one stays as long as the platform does")
	}
	return []Event{OrganizationDeleted{c.Reason}}, nil
}

// OrganizationCreated begins an organization. It stands in the directory's
// history, because there its alias is unique.
type OrganizationCreated struct {
	Organization OrganizationID `json:"organization"`
	Alias        string         `json:"alias"`
	Name         string         `json:"name"`
}

// Kind is stored.
func (OrganizationCreated) Kind() string { return "organization.created" }

// EvolveDirectory lists the organization. Its alias is taken for ever.
func (e OrganizationCreated) EvolveDirectory(d *Directory, m Meta) {
	d.Organizations[e.Organization] = Entry{Number: m.Position, Alias: e.Alias}
	d.Aliases[e.Alias] = e.Organization
	d.Numbers[m.Position] = e.Organization
}

// Evolve gives the organization its first facts.
func (e OrganizationCreated) Evolve(o *Organization, m Meta) {
	o.Number, o.Alias, o.Name = m.Position, e.Alias, e.Name
	o.Created, o.Changed, o.PolicyChanged = m.Time, m.Position, m.Position
}

// OrganizationRenamed says that the organization has another name.
type OrganizationRenamed struct {
	Name string `json:"name"`
}

// Kind is stored.
func (OrganizationRenamed) Kind() string { return "organization.renamed" }

// Evolve takes the name.
func (e OrganizationRenamed) Evolve(o *Organization, m Meta) { o.Name, o.Changed = e.Name, m.Position }

// OrganizationDeleted says that the organization is no more.
type OrganizationDeleted struct {
	Reason string `json:"reason,omitempty"`
}

// Kind is stored.
func (OrganizationDeleted) Kind() string { return "organization.deleted" }

// Evolve ends everything in it at once. What there was stays known: no id and no
// alias comes to mean something else.
func (e OrganizationDeleted) Evolve(o *Organization, m Meta) {
	o.Deleted, o.Changed = m.Time, m.Position
}
