package domain

// Directory is what stands above organizations: which there are, which people
// have accounts, and who operates the platform.
type Directory struct {
	Version Position

	Organizations map[OrganizationID]Entry
	Aliases       map[string]OrganizationID
	Numbers       map[Position]OrganizationID

	Accounts       map[AccountID]Account
	AccountNumbers map[Position]AccountID
	Emails         map[string]AccountID // by emailKey
	// DeletedAccounts are remembered with the moment of their end, so that what they
	// held opens nothing, whatever their organizations still say.
	DeletedAccounts map[AccountID]Instant
	// DepartedNumbers are their numbers, by which they can still be erased.
	DepartedNumbers map[Position]AccountID
	ErasedAccounts  map[AccountID]struct{}

	// Operators are known by the organization they operate from; see AuthorizeOperator.
	Operators map[AccountID]OrganizationID

	Epoch       Epoch        // the last
	SigningKeys []SigningKey // the oldest first; the last signs
}

// Entry is an organization as the directory lists it.
type Entry struct {
	Number Position
	Alias  string
}

// NewDirectory is an empty platform.
func NewDirectory() *Directory {
	return &Directory{
		Organizations:   map[OrganizationID]Entry{},
		Aliases:         map[string]OrganizationID{},
		Numbers:         map[Position]OrganizationID{},
		Accounts:        map[AccountID]Account{},
		AccountNumbers:  map[Position]AccountID{},
		Emails:          map[string]AccountID{},
		DeletedAccounts: map[AccountID]Instant{},
		DepartedNumbers: map[Position]AccountID{},
		ErasedAccounts:  map[AccountID]struct{}{},
		Operators:       map[AccountID]OrganizationID{},
	}
}

// Found makes the first organization of an empty platform, its administrator,
// who also becomes the first operator, and their first token.
type Found struct {
	Organization OrganizationID
	Alias, Name  string
	Account      AccountID
	Email        string
	First        FirstToken
	Verifier     string // of the first signing key; empty: it is set later
}

// Decide founds an empty platform, once.
func (c Found) Decide(d *Directory, m Meta) ([]Event, error) {
	if m.Actor.Kind != ActorSystem {
		return nil, Refuse(ErrDenied, "only the service itself founds a platform", "")
	}
	if d.Version != 0 {
		return nil, Refuse(ErrExists, "this platform was founded before", "use it, or take an empty data directory")
	}
	if err := checkEmail("email", c.Email); err != nil {
		return nil, err
	}
	before := []Event{AccountRegistered{c.Account, c.Email}, OperatorNamed{c.Account, c.Organization}}
	if c.Verifier != "" {
		before = append(before, SigningKeySet{Number: 1, Verifier: c.Verifier})
	}
	return d.create(before, c.Organization, c.Alias, c.Name, c.Account, c.First, m)
}

// CreateOrganization makes an organization with its owner and their first token:
// all of it, or nothing. Only operators may.
type CreateOrganization struct {
	Organization OrganizationID
	Alias, Name  string
	OwnerEmail   string    // empty: the operator becomes the owner
	Account      AccountID // for an owner who has no account yet
	First        FirstToken
}

// Decide refuses whoever is no operator, and an alias that is or was taken.
func (c CreateOrganization) Decide(d *Directory, m Meta) ([]Event, error) {
	if err := d.operates(m); err != nil {
		return nil, err
	}
	owner, before, err := c.owner(d, m)
	if err != nil {
		return nil, err
	}
	return d.create(before, c.Organization, c.Alias, c.Name, owner, c.First, m)
}

func (c CreateOrganization) owner(d *Directory, m Meta) (AccountID, []Event, error) {
	if c.OwnerEmail == "" {
		return m.Actor.Account, nil, nil
	}
	if err := checkEmail("owner_email", c.OwnerEmail); err != nil {
		return AccountID{}, nil, err
	}
	owner, events := d.account(c.OwnerEmail, c.Account)
	return owner, events, nil
}

// create is what happens when an organization comes into being, behind what
// happens before it in the same commit.
func (d *Directory) create(before []Event, id OrganizationID, alias, name string, owner AccountID, first FirstToken, m Meta) ([]Event, error) {
	if err := checkAlias(alias); err != nil {
		return nil, err
	}
	if err := checkName("name", name); err != nil {
		return nil, err
	}
	if _, taken := d.Aliases[alias]; taken {
		return nil, Refuse(ErrExists, "the alias %q is taken", "choose another alias; an alias is never given twice", alias)
	}
	issued, err := first.issue(NewOrganization(id), owner, m)
	if err != nil {
		return nil, err
	}
	return append(before, OrganizationCreated{id, alias, name}, MemberAdded{owner, Owner}, issued), nil
}

// operates refuses whoever commands and is no operator, and an operator who shows a
// secret that was rotated out.
func (d *Directory) operates(m Meta) error {
	if err := d.AuthorizeOperator(m.Actor, m.Home); err != nil {
		return err
	}
	if m.Replaced {
		return useTheNewSecret()
	}
	return nil
}

// AuthorizeOperator refuses everybody but an operator who shows a personal token
// of the organization they operate from. A token that they hold elsewhere is not
// enough: whoever administers that organization may have made it, as the first
// token of a member they added, and would be an operator with it.
func (d *Directory) AuthorizeOperator(a Actor, home OrganizationID) error {
	from, named := d.Operators[a.Account]
	if a.Kind != ActorMember || !named || home.IsZero() || from != home {
		return Refuse(ErrDenied, "only an operator of the platform may do this", "ask an operator")
	}
	return nil
}
