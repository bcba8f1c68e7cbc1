package projections

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"jeton/domain"
	"jeton/eventstore"
)

// Model is the view that decides and checks. Run keeps it up with the log.
type Model struct {
	store eventstore.Store
	vault *eventstore.Vault
	now   func() time.Time
	today *Model // of a moment of the past: who may ask is asked there; else nil

	directory *boundary[*domain.Directory]

	tenants atomic.Pointer[[]*tenant] // by their places; written while mu is held
	tokens  index                     // written while mu is held

	mu     sync.RWMutex                     // guards what follows; nothing else is locked while it is held
	places map[domain.OrganizationID]uint32 // in tenants
	people map[domain.AccountID]*person

	allowances allowances
	vouching   vouching
	uses       uses
	erasures   erasures
	suspects   chan suspect

	occurrences occurrences

	following progress
	own       sync.Map      // domain.Position → domain.Hash: executed here, not followed yet
	loaded    chan struct{} // closed when the log as it was at the start has been read
	stopped   chan struct{} // closed when Run has ended
	refusing  atomic.Pointer[error]
}

// ErrLoading: the model is still reading the log. It answers nothing yet, because
// half a history would bring revoked tokens back.
var ErrLoading = errors.New("the log is still being read")

// tenant is an organization in the model, with what stands beside its state, for
// each holder and each token in their places.
type tenant struct {
	people []*person
	marks  marks
	feed   feed
	boundary[*domain.Organization]
}

// person is an account as those see it who check its tokens.
type person struct {
	account atomic.Pointer[domain.Account]
	id      domain.AccountID
	gone    atomic.Bool // the account was deleted

	ended   domain.Position // by that commit; written before gone
	endedAt domain.Instant
}

// NewModel is an empty model of the store's log, in which the vault has sealed what is
// personal. now is time.Now but in tests.
func NewModel(store eventstore.Store, vault *eventstore.Vault, now func() time.Time) *Model {
	m := &Model{
		store:     store,
		vault:     vault,
		now:       now,
		directory: new(boundary[*domain.Directory]),
		places:    map[domain.OrganizationID]uint32{},
		people:    map[domain.AccountID]*person{},
		suspects:  make(chan suspect, manySuspects),
		uses:      uses{early: make(chan struct{}, 1)},
		erasures:  newErasures(),
		loaded:    make(chan struct{}),
		stopped:   make(chan struct{}),
	}
	m.occurrences = occurrences{all: map[alike]*occurrence{}, budgets: map[domain.OrganizationID]*budget{}, news: make(chan struct{}, 1)}
	m.directory.begin(domain.DirectoryBoundary, domain.NewDirectory())
	m.tenants.Store(new([]*tenant))
	m.refuse(ErrLoading)
	return m
}

func (m *Model) refuse(err error) { m.refusing.Store(&err) }

// Run follows the log, once, until ctx ends or the log turns out to be damaged. Heads
// that others remember (the checkpoint of Views) are held against the log on the
// way: a log that does not lead through them is damaged. After damage, and after
// a commit that cannot be read, the model refuses everything.
func (m *Model) Run(ctx context.Context, remembered ...eventstore.Head) error {
	defer close(m.stopped)
	err := m.run(ctx, remembered)
	if ctx.Err() != nil {
		return nil
	}
	m.refuse(err)
	m.following.fail(err)
	return err
}

func (m *Model) run(ctx context.Context, remembered []eventstore.Head) error {
	last, err := m.store.Last(ctx)
	if err != nil {
		return err
	}
	for _, head := range remembered {
		if head.Position > last {
			return &eventstore.Damage{Position: last + 1, What: fmt.Sprintf("the log ends here, but its commits up to %d are known: it went backwards", head.Position)}
		}
	}
	defer m.erasing(ctx)()
	m.serveFrom(last, 0)
	return m.readAhead(ctx, func(r eventstore.Record) error {
		if err := m.follow(ctx, r); err != nil {
			return err
		}
		if err := compare(r.Head(), remembered); err != nil {
			return err
		}
		if err := m.faces(r.Position == last); err != nil {
			return err
		}
		m.serveFrom(last, r.Position)
		return nil
	})
}

// ahead is how many records may be read before they are taken.
const ahead = 512

// readAhead follows the log from its beginning. Reading and chaining go on while
// do takes what was read: a start with a million commits uses two processors.
func (m *Model) readAhead(ctx context.Context, do func(eventstore.Record) error) error {
	ctx, cancel := context.WithCancel(ctx)
	records, ended := make(chan eventstore.Record, ahead), make(chan error, 1)
	go func() {
		defer close(records)
		ended <- m.store.Follow(ctx, eventstore.Head{}, func(r eventstore.Record) error {
			select {
			case records <- r:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	for r := range records {
		if err := do(r); err != nil {
			cancel()
			<-ended
			return err
		}
	}
	cancel()
	return <-ended
}

// serveFrom begins to serve once the model is as far as the log was at the start.
func (m *Model) serveFrom(last, at domain.Position) {
	if at == last {
		m.refusing.Store(nil)
		close(m.loaded)
	}
}

// Loaded blocks until the model serves, or can't.
func (m *Model) Loaded(ctx context.Context) error {
	select {
	case <-m.loaded:
		return m.Err()
	case <-ctx.Done():
		return ctx.Err()
	case <-m.stopped:
		return m.Err()
	}
}

func compare(head eventstore.Head, remembered []eventstore.Head) error {
	for _, known := range remembered {
		if known.Position == head.Position && known.Chain != head.Chain {
			return &eventstore.Damage{Position: head.Position, What: "the log tells another history up to here than the one that is known"}
		}
	}
	return nil
}

func (m *Model) follow(ctx context.Context, r eventstore.Record) error {
	if sum, own := m.own.LoadAndDelete(r.Position); own && sum == r.Sum() {
		m.following.reach(r.Position)
		return nil
	}
	commit, err := eventstore.Decode(r)
	if err != nil {
		return err
	}
	if commit, err = m.opened(ctx, commit); err != nil {
		return err
	}
	if err := m.apply(commit, r.Sum()); err != nil {
		return err
	}
	m.following.reach(r.Position)
	return nil
}

// apply takes a commit into memory. It is called by the log's follower for every
// commit and by Execute for its own.
func (m *Model) apply(c domain.Commit, sum domain.Hash) error {
	if c.Boundary == domain.DirectoryBoundary {
		return m.directory.take(c, sum, func(d *domain.Directory) {
			d.Evolve(c)
			m.meet(c)
			m.begin(c)
			m.efface(c)
			m.part(c)
		})
	}
	t := m.tenant(c.Organization)
	if t == nil || t.name != c.Boundary {
		return &eventstore.Damage{Position: c.Position, What: "a commit of an organization that was never created"}
	}
	return t.take(c, sum, func(o *domain.Organization) {
		o.Evolve(c)
		m.index(c, t, o)
		t.feed.add(o.Touched())
	})
}

// meet keeps the people that a commit of the directory is about.
func (m *Model) meet(c domain.Commit) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range c.Events {
		switch e := e.(type) {
		case domain.AccountRegistered:
			p := &person{id: e.Account}
			p.account.Store(&domain.Account{Number: c.Position, Email: e.Email})
			m.people[e.Account] = p
		case domain.AccountDeleted:
			if p := m.people[e.Account]; p != nil {
				p.ended, p.endedAt = c.Position, c.Time
				p.gone.Store(true)
			}
		}
	}
}

// begin makes the tenant of an organization that a commit of the directory creates.
func (m *Model) begin(c domain.Commit) {
	if !slices.ContainsFunc(c.Events, isCreation) {
		return
	}
	o := domain.NewOrganization(c.Organization)
	o.Evolve(c)
	t := new(tenant)
	t.begin(o.ID.Boundary(), o)
	t.mu.Lock() // until all of it is there: whoever goes through all tenants finds it
	defer t.mu.Unlock()
	m.mu.Lock()
	all := *m.tenants.Load()
	m.places[o.ID] = uint32(len(all))
	all = append(all, t) // behind what others see of it
	m.tenants.Store(&all)
	m.mu.Unlock()
	m.index(c, t, o)
}

// index remembers where the tokens are that a commit has issued, and who the
// members are that it has added.
func (m *Model) index(c domain.Commit, t *tenant, o *domain.Organization) {
	if !slices.ContainsFunc(c.Events, isPlaced) {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	tenant := m.places[c.Organization]
	for _, e := range c.Events {
		switch e := e.(type) {
		case domain.TokenIssued:
			at, _ := o.Tokens.Place(e.Token)
			m.tokens.put(spot{e.Token, tenant, at})
			t.marks = t.marks.upTo(at)
		case domain.MemberAdded:
			seat, _ := o.Seat(e.Account)
			t.people = upTo(t.people, seat)
			t.people[seat] = m.people[e.Account]
		}
	}
}

// upTo is a slice that reaches to a place.
func upTo[T any](s []T, place uint32) []T {
	for int(place) >= len(s) {
		var none T
		s = append(s, none)
	}
	return s
}

func isCreation(e domain.Event) bool { _, ok := e.(domain.OrganizationCreated); return ok }

// isPlaced reports whether an event makes something that the model keeps a place of.
func isPlaced(e domain.Event) bool {
	switch e.(type) {
	case domain.TokenIssued, domain.MemberAdded:
		return true
	}
	return false
}

func (m *Model) tenant(id domain.OrganizationID) *tenant {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if place, known := m.places[id]; known {
		return (*m.tenants.Load())[place]
	}
	return nil
}

// Wait blocks until the model has everything up to a position.
func (m *Model) Wait(ctx context.Context, until domain.Position) error {
	return m.following.wait(ctx, until)
}

// Position is how far the model has followed the log.
func (m *Model) Position() domain.Position {
	at, _ := m.following.now()
	return at
}

// Err is why the model refuses to serve; nil while it serves.
func (m *Model) Err() error {
	if err := m.refusing.Load(); err != nil {
		return *err
	}
	return nil
}

// Founded reports whether the platform has its first organization.
func (m *Model) Founded() bool {
	m.directory.mu.RLock()
	defer m.directory.mu.RUnlock()
	return m.directory.last != 0
}

// Find is the organization of an alias or a number, as paths name it. One that was
// deleted is not found any more.
func (m *Model) Find(name string) (domain.OrganizationID, bool) {
	id, known := m.listed(name)
	if !known {
		return id, false
	}
	err := m.read(id, func(o *domain.Organization) error { return nil })
	return id, err == nil
}

func (m *Model) listed(name string) (domain.OrganizationID, bool) {
	m.directory.mu.RLock()
	defer m.directory.mu.RUnlock()
	if id, known := m.directory.state.Aliases[name]; known {
		return id, true
	}
	number, err := strconv.ParseUint(name, 10, 64)
	if err != nil || strconv.FormatUint(number, 10) != name {
		return domain.OrganizationID{}, false
	}
	id, known := m.directory.state.Numbers[domain.Position(number)]
	return id, known
}

// Account is a person by their id.
func (m *Model) Account(id domain.AccountID) (domain.Account, bool) {
	if m.today != nil && m.people[id] != nil {
		return *m.people[id].account.Load(), true
	}
	m.directory.mu.RLock()
	defer m.directory.mu.RUnlock()
	account, known := m.directory.state.Accounts[id]
	return account, known
}

// AccountOf is the account with an e-mail.
func (m *Model) AccountOf(email string) (domain.AccountID, bool) {
	m.directory.mu.RLock()
	defer m.directory.mu.RUnlock()
	return m.directory.state.AccountOf(email)
}

// AccountNumbered is the account with a number.
func (m *Model) AccountNumbered(number domain.Position) (domain.AccountID, bool) {
	m.directory.mu.RLock()
	defer m.directory.mu.RUnlock()
	id, known := m.directory.state.AccountNumbers[number]
	return id, known
}

// Operators are the accounts of all operators, in no order.
func (m *Model) Operators() []domain.AccountID {
	m.directory.mu.RLock()
	defer m.directory.mu.RUnlock()
	ids := make([]domain.AccountID, 0, len(m.directory.state.Operators))
	for id := range m.directory.state.Operators {
		ids = append(ids, id)
	}
	return ids
}

// AllowsOperator refuses whoever is no operator.
func (m *Model) AllowsOperator(a domain.Actor) error {
	m.directory.mu.RLock()
	defer m.directory.mu.RUnlock()
	return m.directory.state.AuthorizeOperator(a, m.home(a))
}

// home is the organization in which the actor may act at all: the one that the
// token they show belongs to, as long as it is live and theirs. None: zero.
func (m *Model) home(a domain.Actor) domain.OrganizationID {
	t, _ := m.tenantOf(a.Token)
	if t == nil || m.gone(a) {
		return domain.OrganizationID{}
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	// Where the request comes from is for the door to judge: it has seen it.
	ask := domain.Ask{Now: domain.At(m.now())}
	ask.Used = ask.Now
	v := t.state.Standing(a.Token, &ask)
	if !v.Active() && v.Reason != domain.ReasonNetwork || v.Actor() != a {
		return domain.OrganizationID{}
	}
	return t.state.ID
}

// gone reports whether the actor's account was deleted.
func (m *Model) gone(a domain.Actor) bool {
	if a.Kind != domain.ActorMember {
		return false
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	p := m.people[a.Account]
	return p != nil && p.gone.Load()
}

// occasion adds to meta what only the model knows of its actor at this moment.
func (m *Model) occasion(meta domain.Meta) domain.Meta {
	if meta.Time == 0 {
		meta.Time = domain.At(m.now())
	}
	meta.Gone, meta.Pass = m.gone(meta.Actor), nil
	home, at := m.tenantOf(meta.Actor.Token)
	if home == nil || home.name == meta.Organization.Boundary() {
		return meta
	}
	home.mu.RLock()
	defer home.mu.RUnlock()
	ask := domain.Ask{Now: meta.Time, Used: home.used(at), Address: meta.From()}
	v := home.state.Standing(meta.Actor.Token, &ask)
	if pass, follows := home.state.Pass(&v); follows {
		meta.Pass = &pass
	}
	return meta
}

// Allows refuses the actor who lacks the permission in their organization now. An
// organization that does not exist is not found.
func (m *Model) Allows(meta domain.Meta, p domain.Permission) error {
	if m.today != nil {
		return m.today.Allows(meta, p)
	}
	meta = m.occasion(meta)
	return m.read(meta.Organization, func(o *domain.Organization) error { return o.Allows(meta, p) })
}

// AllowsWhileOff is Allows as if tokens were not switched off.
func (m *Model) AllowsWhileOff(meta domain.Meta, p domain.Permission) error {
	meta = m.occasion(meta)
	return m.read(meta.Organization, func(o *domain.Organization) error { return o.AllowsWhileOff(meta, p) })
}

// Member is a member as the model knows them.
func (m *Model) Member(org domain.OrganizationID, id domain.AccountID) (member domain.Member, known bool) {
	_ = m.read(org, func(o *domain.Organization) error { member, known = o.Member(id); return nil })
	return member, known
}

// ServiceAccount is a service account as the model knows it.
func (m *Model) ServiceAccount(org domain.OrganizationID, id domain.AccountID) (s domain.ServiceAccount, known bool) {
	_ = m.read(org, func(o *domain.Organization) error { s, known = o.ServiceAccount(id); return nil })
	return s, known
}

// ServiceAccountNumbered is the service account of an organization that has a number.
func (m *Model) ServiceAccountNumbered(org domain.OrganizationID, number domain.Position) (id domain.AccountID, known bool) {
	_ = m.read(org, func(o *domain.Organization) error { id, known = o.ServiceAccountNumbered(number); return nil })
	return id, known
}

// Token is a token as the model knows it: without what people call it.
func (m *Model) Token(org domain.OrganizationID, id domain.TokenID) (t domain.Token, known bool) {
	_ = m.read(org, func(o *domain.Organization) error { t, known = o.Tokens.Find(id); return nil })
	return t, known
}

// TokenNumbered is the token of an organization that has a number. It looks at
// all of them: it is for the few who have no id.
func (m *Model) TokenNumbered(org domain.OrganizationID, number domain.Position) (id domain.TokenID, known bool) {
	_ = m.read(org, func(o *domain.Organization) error {
		for t := range o.Tokens.All() {
			if t.Number == number {
				id, known = t.ID, true
				break
			}
		}
		return nil
	})
	return id, known
}

// Profile is what the model knows of an organization itself.
type Profile struct {
	ID      domain.OrganizationID
	Number  domain.Position
	Alias   string
	Name    string
	Created domain.Instant
	Changed domain.Position
}

// Profile of an organization that exists.
func (m *Model) Profile(org domain.OrganizationID) (p Profile, known bool) {
	err := m.read(org, func(o *domain.Organization) error {
		p = Profile{o.ID, o.Number, o.Alias, o.Name, o.Created, o.Changed}
		return nil
	})
	return p, err == nil
}

// Last is the last commit within an organization, as far as the model has it; 0: there
// is none. The one that has created it is above it.
func (m *Model) Last(org domain.OrganizationID) (at domain.Position) {
	t := m.tenant(org)
	if t == nil {
		return 0
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.last
}

// Policy is what an organization demands, and the commit that changed it last.
func (m *Model) Policy(org domain.OrganizationID) (p domain.Policy, changed domain.Position) {
	_ = m.read(org, func(o *domain.Organization) error { p, changed = o.Policy, o.PolicyChanged; return nil })
	return p, changed
}

// Roles are the roles of an organization, each with the names of what it allows now.
func (m *Model) Roles(org domain.OrganizationID) (roles []Role) {
	_ = m.read(org, func(o *domain.Organization) error {
		for _, r := range o.Roles() {
			roles = append(roles, Role{r, o.Names(r.Permissions)})
		}
		return nil
	})
	return roles
}

// Role is a role with the names of what it allows now.
type Role struct {
	domain.RoleDefinition
	Allows []string
}

// Permissions are what there is to be allowed in an organization.
func (m *Model) Permissions(org domain.OrganizationID) (all []domain.Definition) {
	_ = m.read(org, func(o *domain.Organization) error { all = o.Definitions(); return nil })
	return all
}

// Names are the names of permissions in an organization.
func (m *Model) Names(org domain.OrganizationID, set domain.Permissions) (names []string) {
	_ = m.read(org, func(o *domain.Organization) error { names = o.Names(set); return nil })
	return names
}

// Standing is how a token stands, for those who look at it and do not show it.
func (m *Model) Standing(org domain.OrganizationID, id domain.TokenID) (s domain.Standing, known bool) {
	t, at := m.tenantOf(id)
	if t == nil || t.name != org.Boundary() {
		return s, false
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	ask := domain.Ask{Now: domain.At(m.now()), Used: t.used(at)}
	if m.today != nil {
		ask.Used = ask.Now // nobody knows any more: it is not held against the token
	}
	s = t.state.Describe(id, &ask)
	if m.today != nil {
		s.Used = 0
	}
	if p := t.holder(&s.Verdict); p != nil {
		p.judge(&s.Verdict)
	}
	return s, true
}

// Blocked is a token that a policy would block, and why.
type Blocked struct {
	ID     domain.TokenID
	Reason domain.Reason
	Used   domain.Instant // when it was last used, as far as it is known here
}

// Blocks are the tokens that a policy would block and that are not blocked now.
func (m *Model) Blocks(org domain.OrganizationID, p domain.Policy) (blocked []Blocked, err error) {
	t := m.tenant(org)
	err = m.read(org, func(o *domain.Organization) error {
		if err := p.Check(o); err != nil {
			return err
		}
		o.Blocks(p, domain.At(m.now()), t.used, func(id domain.TokenID, why domain.Reason) {
			at, _ := o.Tokens.Place(id)
			blocked = append(blocked, Blocked{id, why, t.used(at)})
		})
		return nil
	})
	return blocked, err
}

// Approvals are the tokens of an organization that wait for somebody to decide.
func (m *Model) Approvals(org domain.OrganizationID) (waiting []domain.Pending) {
	_ = m.read(org, func(o *domain.Organization) error { waiting = o.Waiting(domain.At(m.now())); return nil })
	return waiting
}

// OwnedAlone is the alias of an organization that an account is the only owner of.
func (m *Model) OwnedAlone(account domain.AccountID) (alias string) {
	for _, t := range m.all() {
		t.mu.RLock()
		if t.state.OwnedAlone(account) {
			alias = t.state.Alias
		}
		t.mu.RUnlock()
	}
	return alias
}

// Operated reports whether operators of the platform operate from an organization.
func (m *Model) Operated(org domain.OrganizationID) bool {
	m.directory.mu.RLock()
	defer m.directory.mu.RUnlock()
	for _, from := range m.directory.state.Operators {
		if from == org {
			return true
		}
	}
	return false
}

// all are the tenants there are.
func (m *Model) all() []*tenant { return *m.tenants.Load() }

// read lets do see an organization. What do sees must not leave it. One that was
// deleted is not found.
func (m *Model) read(org domain.OrganizationID, do func(*domain.Organization) error) error {
	t := m.tenant(org)
	if t == nil {
		return domain.Refuse(domain.ErrNotFound, "there is no such organization", "check its alias or number")
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	if t.state.Deleted != 0 {
		return domain.Refuse(domain.ErrNotFound, "there is no such organization", "check its alias or number")
	}
	return do(t.state)
}
