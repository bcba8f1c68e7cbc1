package domain

// ServiceAccount is a machine in an organization: it has rights of its own and any
// number of tokens, and cannot sign in.
type ServiceAccount struct {
	Number   Position
	Grant    Grant
	Disabled bool
	Limit    Limit
	Changed  Position
}

// ServiceAccount is the service account with an id.
func (o *Organization) ServiceAccount(id AccountID) (ServiceAccount, bool) {
	h := o.holder(id)
	if h.Kind != Program {
		return ServiceAccount{}, false
	}
	return ServiceAccount{h.Number, o.terms[h.terms].Grant, h.Suspended, h.limit, h.Changed}, true
}

// ServiceAccountNumbered is the service account that has a number. It looks at all:
// there are few of them.
func (o *Organization) ServiceAccountNumbered(number Position) (AccountID, bool) {
	for i := range o.holders {
		if h := &o.holders[i]; h.Kind == Program && h.Number == number {
			return h.Account, true
		}
	}
	return AccountID{}, false
}

func (o *Organization) serviceAccount(id AccountID) (ServiceAccount, error) {
	s, known := o.ServiceAccount(id)
	if !known {
		return s, Refuse(ErrNotFound, "there is no such service account", "look at the list of service accounts")
	}
	return s, nil
}

// freeProgram refuses a name that another service account has.
func (o *Organization) freeProgram(name string) error {
	if err := checkName("name", name); err != nil {
		return err
	}
	if _, known := o.programs[keyOf(AccountID{}, name)]; known {
		return taken("name", "there is a service account %q already", "choose another name", name)
	}
	return nil
}

// CreateServiceAccount makes a service account.
type CreateServiceAccount struct {
	Account     AccountID
	Name        string
	Description string
	Grant       Grant
}

// Decide refuses what would allow more than its maker may do.
func (c CreateServiceAccount) Decide(o *Organization, m Meta) ([]Event, error) {
	if err := o.allows(m, MembersAdd); err != nil {
		return nil, err
	}
	if _, known := o.seats[c.Account]; known || c.Account.IsZero() {
		return nil, Refuse(ErrExists, "that is not the id of a new service account", "draw a new one")
	}
	if err := o.freeProgram(c.Name); err != nil {
		return nil, err
	}
	if err := checkLine("description", c.Description, MaxDescription); err != nil {
		return nil, err
	}
	if err := o.mayGrant(m, c.Grant); err != nil {
		return nil, err
	}
	c.Grant = c.Grant.plain()
	return []Event{ServiceAccountCreated(c)}, nil
}

// mayGrant refuses rights for a service account that whoever gives them does not have.
func (o *Organization) mayGrant(m Meta, g Grant) error {
	if g.Access == Usual {
		return Invalid("grant", "is missing", "say what it may do: read-only, full-access, a role or a list of permissions")
	}
	if err := g.check(o); err != nil {
		return err
	}
	t := o.understand(Terms{Grant: g})
	return o.holds(m, "grant", o.reach(Service, &t))
}

// UpdateServiceAccount changes a service account. Nil leaves a thing as it is.
type UpdateServiceAccount struct {
	Account     AccountID
	Name        *string
	Description *string
	Grant       *Grant
	Disabled    *bool
	Limit       *Limit
	Seen        Position
}

// Decide answers the changes that are changes.
func (c UpdateServiceAccount) Decide(o *Organization, m Meta) ([]Event, error) {
	if err := o.allows(m, MembersUpdate); err != nil {
		return nil, err
	}
	s, err := o.serviceAccount(c.Account)
	if err != nil {
		return nil, err
	}
	if err := unchanged(c.Seen, s.Changed); err != nil {
		return nil, err
	}
	if err := c.check(o, m); err != nil {
		return nil, err
	}
	return c.changes(o, s), nil
}

func (c UpdateServiceAccount) check(o *Organization, m Meta) error {
	if c.Name != nil && o.programs[keyOf(AccountID{}, *c.Name)] != c.Account {
		if err := o.freeProgram(*c.Name); err != nil {
			return err
		}
	}
	if c.Description != nil {
		if err := checkLine("description", *c.Description, MaxDescription); err != nil {
			return err
		}
	}
	if c.Grant != nil {
		if err := o.mayGrant(m, *c.Grant); err != nil {
			return err
		}
	}
	return o.mayLimit(c.Limit)
}

func (c UpdateServiceAccount) changes(o *Organization, s ServiceAccount) (events []Event) {
	if c.Name != nil && o.programs[keyOf(AccountID{}, *c.Name)] != c.Account {
		events = append(events, ServiceAccountRenamed{c.Account, *c.Name})
	}
	if c.Description != nil {
		events = append(events, ServiceAccountDescribed{c.Account, *c.Description})
	}
	if c.Grant != nil && o.understand(Terms{Grant: *c.Grant}).key() != o.terms[o.holder(c.Account).terms].key() {
		events = append(events, ServiceAccountGranted{c.Account, c.Grant.plain()})
	}
	if c.Limit != nil && *c.Limit != s.Limit {
		events = append(events, HolderLimited{c.Account, *c.Limit})
	}
	if c.Disabled != nil && *c.Disabled != s.Disabled {
		events = append(events, ServiceAccountSwitched{c.Account, *c.Disabled})
	}
	return events
}

// DeleteServiceAccount ends a service account and its tokens, in one commit.
type DeleteServiceAccount struct {
	Account AccountID
	Reason  string
	Seen    Position
}

// Decide ends all of it.
func (c DeleteServiceAccount) Decide(o *Organization, m Meta) ([]Event, error) {
	if err := o.allows(m, MembersRemove); err != nil {
		return nil, err
	}
	s, err := o.serviceAccount(c.Account)
	if err != nil {
		return nil, err
	}
	if err := checkLine("reason", c.Reason, MaxReason); err != nil {
		return nil, err
	}
	if err := unchanged(c.Seen, s.Changed); err != nil {
		return nil, err
	}
	return append([]Event{ServiceAccountDeleted{c.Account, c.Reason}}, o.revokeAllOf(c.Account, "its service account was deleted")...), nil
}

// ServiceAccountCreated says that there is a service account.
type ServiceAccountCreated struct {
	Account     AccountID `json:"account"`
	Name        string    `json:"name"`
	Description string    `json:"description,omitempty"`
	Grant       Grant     `json:"grant"`
}

// Kind is stored.
func (ServiceAccountCreated) Kind() string { return "service_account.created" }

// Evolve adds it.
func (e ServiceAccountCreated) Evolve(o *Organization, m Meta) {
	at, key := o.intern(Terms{Grant: e.Grant}), keyOf(AccountID{}, e.Name)
	o.seat(e.Account, func(h *holder) {
		h.Kind, h.terms, h.name, h.Number, h.Changed = Program, at, key, m.Position, m.Position
	})
	o.programs[key] = e.Account
}

// ServiceAccountRenamed says that a service account is called something else.
type ServiceAccountRenamed struct {
	Account AccountID `json:"account"`
	Name    string    `json:"name"`
}

// Kind is stored.
func (ServiceAccountRenamed) Kind() string { return "service_account.renamed" }

// Evolve gives the old name back and takes the new one.
func (e ServiceAccountRenamed) Evolve(o *Organization, m Meta) {
	o.seat(e.Account, func(h *holder) {
		delete(o.programs, h.name)
		h.name, h.Changed = keyOf(AccountID{}, e.Name), m.Position
		o.programs[h.name] = e.Account
	})
}

// ServiceAccountDescribed says that a service account has another description.
type ServiceAccountDescribed struct {
	Account     AccountID `json:"account"`
	Description string    `json:"description"`
}

// Kind is stored.
func (ServiceAccountDescribed) Kind() string { return "service_account.described" }

// Evolve remembers that it changed; what it says is for the views.
func (e ServiceAccountDescribed) Evolve(o *Organization, m Meta) {
	o.seat(e.Account, func(h *holder) { h.Changed = m.Position })
}

// ServiceAccountGranted says what a service account may do from now on.
type ServiceAccountGranted struct {
	Account AccountID `json:"account"`
	Grant   Grant     `json:"grant"`
}

// Kind is stored.
func (ServiceAccountGranted) Kind() string { return "service_account.granted" }

// Evolve changes its rights, and with them what its tokens may do.
func (e ServiceAccountGranted) Evolve(o *Organization, m Meta) {
	at := o.intern(Terms{Grant: e.Grant})
	o.seat(e.Account, func(h *holder) { h.terms, h.Changed = at, m.Position })
}

// ServiceAccountSwitched says that a service account and its tokens can do nothing,
// or can again.
type ServiceAccountSwitched struct {
	Account  AccountID `json:"account"`
	Disabled bool      `json:"disabled"`
}

// Kind is stored.
func (ServiceAccountSwitched) Kind() string { return "service_account.switched" }

// Evolve switches it.
func (e ServiceAccountSwitched) Evolve(o *Organization, m Meta) { o.suspend(e.Account, e.Disabled, m) }

// ServiceAccountDeleted says that a service account is no more.
type ServiceAccountDeleted struct {
	Account AccountID `json:"account"`
	Reason  string    `json:"reason,omitempty"`
}

// Kind is stored.
func (ServiceAccountDeleted) Kind() string { return "service_account.deleted" }

// Evolve removes it. Its tokens end by events of their own.
func (e ServiceAccountDeleted) Evolve(o *Organization, m Meta) {
	delete(o.programs, o.holder(e.Account).name)
	o.leave(e.Account, m)
}
