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
	now   func() time.Time

	directory *boundary[*domain.Directory]

	mu      sync.RWMutex // guards the three maps; nothing else is locked while it is held
	tenants []*tenant
	places  map[domain.OrganizationID]uint32 // in tenants
	tokens  map[domain.TokenID]spot          // no pointers, see package domain

	following progress
	own       sync.Map      // domain.Position → domain.Hash: executed here, not followed yet
	loaded    chan struct{} // closed when the log as it was at the start has been read
	stopped   chan struct{} // closed when Run has ended
	refusing  atomic.Pointer[error]
}

// ErrLoading: the model is still reading the log. It answers nothing yet, because
// half a history would bring revoked tokens back.
var ErrLoading = errors.New("the log is still being read")

// spot is where a token is: its tenant's place, and its own inside.
type spot struct{ tenant, token uint32 }

// tenant is an organization in the model.
type tenant = boundary[*domain.Organization]

// NewModel is an empty model of the store's log. now is time.Now but in tests.
func NewModel(store eventstore.Store, now func() time.Time) *Model {
	m := &Model{
		store:     store,
		now:       now,
		directory: newBoundary(domain.DirectoryBoundary, domain.NewDirectory()),
		places:    map[domain.OrganizationID]uint32{},
		tokens:    map[domain.TokenID]spot{},
		loaded:    make(chan struct{}),
		stopped:   make(chan struct{}),
	}
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
	m.serveFrom(last, 0)
	return m.readAhead(ctx, func(r eventstore.Record) error {
		if err := m.follow(r); err != nil {
			return err
		}
		if err := compare(r.Head(), remembered); err != nil {
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

func (m *Model) follow(r eventstore.Record) error {
	if sum, own := m.own.LoadAndDelete(r.Position); own && sum == r.Sum() {
		m.following.reach(r.Position)
		return nil
	}
	commit, err := eventstore.Decode(r)
	if err != nil {
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
			m.begin(c)
		})
	}
	t := m.tenant(c.Organization)
	if t == nil || t.name != c.Boundary {
		return &eventstore.Damage{Position: c.Position, What: "a commit of an organization that was never created"}
	}
	return t.take(c, sum, func(o *domain.Organization) {
		o.Evolve(c)
		m.index(c, o)
	})
}

// begin makes the tenant of an organization that a commit of the directory creates.
func (m *Model) begin(c domain.Commit) {
	if !slices.ContainsFunc(c.Events, isCreation) {
		return
	}
	o := domain.NewOrganization(c.Organization)
	o.Evolve(c)
	m.mu.Lock()
	m.places[o.ID] = uint32(len(m.tenants))
	m.tenants = append(m.tenants, newBoundary(o.ID.Boundary(), o))
	m.mu.Unlock()
	m.index(c, o)
}

// index remembers where the tokens are that a commit has issued.
func (m *Model) index(c domain.Commit, o *domain.Organization) {
	if !slices.ContainsFunc(c.Events, isIssue) {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	tenant := m.places[c.Organization]
	for _, e := range c.Events {
		if issued, ok := e.(domain.TokenIssued); ok {
			at, _ := o.Tokens.Place(issued.Token)
			m.tokens[issued.Token] = spot{tenant, at}
		}
	}
}

func isCreation(e domain.Event) bool { _, ok := e.(domain.OrganizationCreated); return ok }

func isIssue(e domain.Event) bool { _, ok := e.(domain.TokenIssued); return ok }

func (m *Model) tenant(id domain.OrganizationID) *tenant {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if place, known := m.places[id]; known {
		return m.tenants[place]
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

// Find is the organization of an alias or a number, as paths name it.
func (m *Model) Find(name string) (domain.OrganizationID, bool) {
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
	if t == nil {
		return domain.OrganizationID{}
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	if t.state.Rights(a, domain.At(m.now())) == 0 {
		return domain.OrganizationID{}
	}
	return t.state.ID
}

// Allows refuses the actor who lacks the permission in the organization now. An
// organization that does not exist is not found.
func (m *Model) Allows(org domain.OrganizationID, a domain.Actor, p domain.Permission) error {
	return m.read(org, func(o *domain.Organization) error { return o.Allows(a, p, domain.At(m.now())) })
}

// Member is a member as the model knows them.
func (m *Model) Member(org domain.OrganizationID, id domain.AccountID) (member domain.Member, known bool) {
	_ = m.read(org, func(o *domain.Organization) error { member, known = o.Members[id]; return nil })
	return member, known
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
		for candidate, t := range o.Tokens.All() {
			if t.Number == number {
				id, known = candidate, true
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

// read lets do see an organization. What do sees must not leave it.
func (m *Model) read(org domain.OrganizationID, do func(*domain.Organization) error) error {
	t := m.tenant(org)
	if t == nil {
		return domain.Refuse(domain.ErrNotFound, "there is no such organization", "check its alias or number")
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	return do(t.state)
}
