package domain

// Organization is one tenant: everything that its rules need to know, and the
// boundary within which they are decided.
type Organization struct {
	ID      OrganizationID
	Number  Position
	Alias   string
	Name    string
	Created Instant
	Changed Position // the commit that last changed the organization itself
	Version Position // the commit that last changed anything in it

	Members map[AccountID]Member
	Tokens  Tokens

	names map[nameKey]TokenID // who has a name, among the tokens of one holder
}

// NewOrganization is an organization in which nothing has happened yet.
func NewOrganization(id OrganizationID) *Organization {
	return &Organization{
		ID:      id,
		Members: map[AccountID]Member{},
		Tokens:  Tokens{places: map[TokenID]uint32{}},
		names:   map[nameKey]TokenID{},
	}
}

// Rights is what the actor may do in the organization at this moment: nothing,
// unless the token they showed is live and its holder active.
func (o *Organization) Rights(a Actor, now Instant) Permissions {
	t, _ := o.Tokens.Find(a.Token)
	return o.standing(&t, now).rights(a)
}

// Allows refuses the actor who lacks the permission at this moment. Queries ask
// it; commands ask it in Decide.
func (o *Organization) Allows(a Actor, p Permission, now Instant) error {
	if o.Rights(a, now).Has(p) {
		return nil
	}
	return Refuse(ErrDenied, "this needs the permission %s", "ask an administrator of the organization", p)
}

// allowsOwn is Allows for a token: the right over one's own is enough for one's own.
func (o *Organization) allowsOwn(t Token, m Meta, own, any Permission) error {
	if t.Kind == Personal && t.Holder == m.Actor.Account && m.Actor.Kind == ActorMember {
		return o.Allows(m.Actor, own, m.Time)
	}
	return o.Allows(m.Actor, any, m.Time)
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
	if err := o.Allows(m.Actor, OrganizationUpdate, m.Time); err != nil {
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
	o.Created, o.Changed = m.Time, m.Position
}

// OrganizationRenamed says that the organization has another name.
type OrganizationRenamed struct {
	Name string `json:"name"`
}

// Kind is stored.
func (OrganizationRenamed) Kind() string { return "organization.renamed" }

// Evolve takes the name.
func (e OrganizationRenamed) Evolve(o *Organization, m Meta) { o.Name, o.Changed = e.Name, m.Position }
