package projections

import (
	"context"
	"sync"
	"time"

	"jeton/domain"
)

// Told is what an engine is told at once.
type Told struct {
	Reset  bool // what it was told before does not count any more
	Pieces []domain.Piece
	// Marked: all that has happened in the organization up to To has been told to who
	// knew all up to From.
	Marked   bool
	From, To domain.Position
	At       domain.Instant
}

// feed is what has changed of a tenant lately, for those who follow it. Nothing is
// remembered while nobody does. It is guarded by the tenant's lock.
type feed struct {
	followers int
	begins    uint64 // the number of the first change in changes
	changes   []change
	more      chan struct{} // closed when there is a change; nil: nobody waits
}

// change is the place of a token, or the seat of a holder.
type change struct {
	place  uint32
	holder bool
}

// manyChanges is how many are remembered. Who is further behind looks at everything.
const manyChanges = 4096

func (f *feed) add(touched domain.Touched) {
	if f.followers == 0 {
		return
	}
	for _, seat := range touched.Holders {
		f.changes = append(f.changes, change{seat, true})
	}
	for _, place := range touched.Tokens {
		f.changes = append(f.changes, change{place, false})
	}
	if extra := len(f.changes) - manyChanges; extra > 0 {
		f.begins += uint64(extra)
		f.changes = append(f.changes[:0:0], f.changes[extra:]...)
	}
	f.wake()
}

func (f *feed) wake() {
	if f.more != nil {
		close(f.more)
		f.more = nil
	}
}

func (f *feed) end() uint64 { return f.begins + uint64(len(f.changes)) }

// wait is closed when there is more.
func (f *feed) wait() <-chan struct{} {
	if f.more == nil {
		f.more = make(chan struct{})
	}
	return f.more
}

// part tells those who follow organizations that the account of somebody in them is
// gone, or nobody's any more that they know.
func (m *Model) part(c domain.Commit) {
	for _, e := range c.Events {
		var parted domain.AccountID
		switch e := e.(type) {
		case domain.AccountDeleted:
			parted = e.Account
		case domain.AccountErased:
			parted = e.Account
		default:
			continue
		}
		for _, t := range m.all() {
			t.parted(parted)
		}
	}
}

func (t *tenant) parted(account domain.AccountID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if seat, known := t.state.Seat(account); known {
		t.feed.add(domain.Touched{Holders: []uint32{seat}})
	}
}

// Live tells an engine of its organization, first all of it that it needs, or what
// has changed behind a position, and then every change as it comes, until ctx ends
// or tell fails. Each time that beat gives it says where it is. after is 0, or not
// behind the organization's last commit.
func (m *Model) Live(ctx context.Context, org domain.OrganizationID, engine, after domain.Position, beat <-chan time.Time, tell func(Told) error) error {
	if err := m.Err(); err != nil {
		return err
	}
	t := m.tenant(org)
	if t == nil {
		return domain.Refuse(domain.ErrNotFound, "there is no such organization", "")
	}
	l := &live{model: m, tenant: t, engine: engine, at: after, tell: tell}
	l.join()
	defer l.leave()
	if err := l.catchUp(after == 0 || l.beganTokens()); err != nil {
		return err
	}
	for felt := false; ; {
		if err := l.changes(felt); err != nil {
			return err
		}
		var err error
		if felt, err = l.pause(ctx, beat); err != nil {
			return err
		}
		if felt {
			if felt, err = l.vouched(ctx); err != nil {
				return err
			}
		}
	}
}

// vouching is when this node was last known to have all of the log. Those who follow
// organizations share it.
type vouching struct {
	mu sync.Mutex
	at domain.Instant
}

const (
	vouchedFor   = domain.Instant(500)
	vouchingTime = time.Second
	// silentBeats is how often in turn nobody vouches for a beat before the engine is
	// left to look for another node.
	silentBeats = 3
)

// vouch asks the log itself whether this node has all of it. One that is cut off from
// it hears of no revocation, and must not tell engines that there was none.
func (m *Model) vouch(ctx context.Context) error {
	m.vouching.mu.Lock()
	defer m.vouching.mu.Unlock()
	now := domain.At(m.now())
	if m.vouching.at != 0 && now >= m.vouching.at && now-m.vouching.at < vouchedFor {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, vouchingTime)
	defer cancel()
	last, err := m.store.Last(ctx)
	if err == nil {
		err = m.Wait(ctx, last)
	}
	if err == nil {
		m.vouching.at = now
	}
	return err
}

// vouched reports whether the beat that was felt may be told.
func (l *live) vouched(ctx context.Context) (bool, error) {
	err := l.model.vouch(ctx)
	if err == nil {
		l.silent = 0
		return true, nil
	}
	if l.silent++; l.silent == silentBeats || ctx.Err() != nil {
		return false, err
	}
	return false, nil
}

// live is one who follows a tenant.
type live struct {
	model  *Model
	tenant *tenant
	engine domain.Position
	tell   func(Told) error

	at        domain.Position // up to here all was told
	next      uint64          // the first change that was not
	framed    domain.Framed   // as it was told
	terms     uint32          // so many were told
	tokens    bool            // they are told: the engine takes them
	refreshed domain.Instant  // when it was told how tokens are used
	silent    int             // so many beats in turn nobody has vouched for
	seats     uint32          // while it catches up: so many were there at its beginning
	since     domain.Instant  // while it catches up: uses behind it matter, and it may not know of them
}

func (l *live) join() {
	l.tenant.mu.Lock()
	defer l.tenant.mu.Unlock()
	l.tenant.feed.followers++
	l.next = l.tenant.feed.end()
}

func (l *live) leave() {
	l.tenant.mu.Lock()
	defer l.tenant.mu.Unlock()
	if l.tenant.feed.followers--; l.tenant.feed.followers == 0 {
		l.tenant.feed = feed{begins: l.tenant.feed.end()}
	}
}

// beganTokens reports whether the engine may have begun to take tokens behind where it
// is: what it has may be without any.
func (l *live) beganTokens() bool {
	l.tenant.mu.RLock()
	defer l.tenant.mu.RUnlock()
	e, _ := l.tenant.state.Engine(l.engine)
	return e.PersonalTokens && e.Changed > l.at
}

// pause waits for a change, or for the beat: then it was felt.
func (l *live) pause(ctx context.Context, beat <-chan time.Time) (felt bool, err error) {
	l.tenant.mu.Lock()
	ahead := l.next != l.tenant.feed.end() || l.at != l.tenant.last
	more := l.tenant.feed.wait()
	l.tenant.mu.Unlock()
	if ahead {
		return false, nil
	}
	select {
	case <-more:
		return false, nil
	case <-beat:
		return true, l.model.Err() // what is damaged is not passed on
	case <-ctx.Done():
		return false, ctx.Err()
	case <-l.model.stopped:
		return false, l.model.Err()
	}
}

// refreshing is how often an engine is told when tokens were used elsewhere, where
// the policy ends those that are not used for a day or more.
const refreshing = 10 * minute

// refresh adds the tokens that were used since it was told how they are, if that is
// long ago.
func (l *live) refresh(pieces []domain.Piece) []domain.Piece {
	t, now := l.tenant, domain.At(l.model.now())
	if !l.tokens || t.state.Policy.Idle == 0 || now < l.refreshed+refreshing {
		return pieces
	}
	for place := range t.state.Tokens.Len() {
		if t.used(place) > l.refreshed-minute {
			pieces = l.token(pieces, place)
		}
	}
	l.refreshed = now
	return pieces
}

// mark tells pieces, and that the engine is at a position with them.
func (l *live) mark(pieces []domain.Piece, to domain.Position) error {
	from := l.at
	l.at = to
	return l.tell(Told{Pieces: pieces, Marked: true, From: from, To: to, At: domain.At(l.model.now())})
}

// scanned is how many places are looked at while the tenant is locked.
const scanned = 512

// catchUp tells the frame, and all holders and tokens, or those that have changed
// behind where the engine is. A token that opens nothing any more is told only to
// whom that may be news.
func (l *live) catchUp(whole bool) error {
	if whole {
		l.at = 0
	}
	after := l.at
	pieces, to, many := l.begin()
	if err := l.tell(Told{Reset: whole, Pieces: pieces}); err != nil {
		return err
	}
	for at := uint32(0); l.tokens && at < l.seats; at += scanned {
		if err := l.some(func() []domain.Piece { return l.holders(at, min(at+scanned, l.seats), after) }); err != nil {
			return err
		}
	}
	for at := uint32(0); l.tokens && at < many; at += scanned {
		if err := l.some(func() []domain.Piece { return l.scan(at, min(at+scanned, many), after) }); err != nil {
			return err
		}
	}
	return l.mark(nil, to)
}

// some tells what look finds while the tenant is locked.
func (l *live) some(look func() []domain.Piece) error {
	l.tenant.mu.RLock()
	pieces := append(l.frame(), look()...) // what tokens name that have come meanwhile
	l.tenant.mu.RUnlock()
	if len(pieces) == 0 {
		return nil
	}
	return l.tell(Told{Pieces: pieces})
}

// begin is the frame, where the organization is, and how much there is to look at.
// What changes from then on is told again after that.
func (l *live) begin() (pieces []domain.Piece, to domain.Position, tokens uint32) {
	l.tenant.mu.RLock()
	defer l.tenant.mu.RUnlock()
	now, idle := domain.At(l.model.now()), l.tenant.state.Policy.Idle
	if l.since = now; idle != 0 {
		l.since = max(l.refreshed, now-idle.Instant()) - minute // what was not used since then is idle
	}
	l.next, l.refreshed = l.tenant.feed.end(), now
	l.framed, l.terms = domain.Framed{}, 1
	l.seats = l.tenant.state.Holders()
	return l.frame(), l.tenant.last, l.tenant.state.Tokens.Len()
}

// frame is the frame if it has changed, and the terms that are new.
func (l *live) frame() (pieces []domain.Piece) {
	o := l.tenant.state
	now := o.Framed()
	if now == l.framed {
		return nil
	}
	if !now.Same(l.framed) {
		e, _ := o.Engine(l.engine)
		l.tokens = e.PersonalTokens
		pieces = append(pieces, o.Frame(l.engine))
	}
	l.framed = now
	if l.tokens {
		for p := range o.TermsFrom(l.terms) {
			pieces = append(pieces, p)
		}
		l.terms = now.Terms
	}
	return pieces
}

// holders are those in some seats that have changed behind a position.
func (l *live) holders(from, to uint32, after domain.Position) (pieces []domain.Piece) {
	for seat := from; seat < to; seat++ {
		p := l.tenant.personIn(seat)
		if l.tenant.state.HolderChanged(seat) > after || p.isGone() {
			pieces = l.holder(pieces, seat)
		}
	}
	return pieces
}

func (l *live) holder(pieces []domain.Piece, seat uint32) []domain.Piece {
	p := l.tenant.personIn(seat)
	var account domain.Account
	if p != nil {
		account = *p.account.Load()
	}
	if piece, has := l.tenant.state.HolderPiece(seat, account, p.isGone()); has {
		pieces = append(pieces, piece)
	}
	return pieces
}

// scan are the tokens in some places that have changed behind a position. One that
// had other secrets counts as one that has: those end by themselves. So does one that
// was used, where the policy asks for it.
func (l *live) scan(from, to uint32, after domain.Position) (pieces []domain.Piece) {
	o, now := l.tenant.state, domain.At(l.model.now())
	for place := from; place < to; place++ {
		t := o.Tokens.At(place)
		news := t.Changed > after || t.Rotated || l.tenant.used(place) > l.since
		if !news || after == 0 && !t.Live(now) {
			continue
		}
		if seat, _ := o.Seat(t.Holder); t.Number > after && after != 0 || seat >= l.seats { // perhaps its holder's first
			pieces = l.holder(pieces, seat)
		}
		pieces = l.token(pieces, place)
	}
	return pieces
}

func (l *live) token(pieces []domain.Piece, place uint32) []domain.Piece {
	if piece, opens := l.tenant.state.TokenPiece(place, l.tenant.used(place)); opens {
		pieces = append(pieces, piece)
	}
	return pieces
}

// changes tells what has changed, and where the engine is if the beat was felt. Who is
// too far behind is told everything that has changed since, and who begins to take
// tokens all of it.
func (l *live) changes(felt bool) error {
	took := l.tokens
	pieces, to, lost := l.gather()
	if l.tokens && !took {
		return l.catchUp(true)
	}
	if lost {
		return l.catchUp(false)
	}
	if to == l.at && len(pieces) == 0 && !felt {
		return nil
	}
	return l.mark(pieces, to)
}

func (l *live) gather() (pieces []domain.Piece, to domain.Position, lost bool) {
	t := l.tenant
	t.mu.RLock()
	defer t.mu.RUnlock()
	pieces = l.frame()
	if l.next < t.feed.begins {
		return nil, 0, true
	}
	if l.tokens { // of whom holds a token is heard first
		for _, c := range t.feed.changes[l.next-t.feed.begins:] {
			if c.holder {
				pieces = l.holder(pieces, c.place)
			}
		}
		for _, c := range t.feed.changes[l.next-t.feed.begins:] {
			if !c.holder {
				pieces = l.token(pieces, c.place)
			}
		}
	}
	l.next = t.feed.end()
	return l.refresh(pieces), t.last, false
}

// personIn is the person in a seat; nil: there is none.
func (t *tenant) personIn(seat uint32) *person {
	if int(seat) < len(t.people) {
		return t.people[seat]
	}
	return nil
}

func (p *person) isGone() bool { return p != nil && p.gone.Load() }
