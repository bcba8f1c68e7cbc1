package engine

import (
	"crypto/subtle"
	"sync"
	"time"

	"jeton/domain"
)

// live is the copy that checks are answered from, and how old it is. One goroutine
// changes it, under the lock; it may read without.
type live struct {
	mu        sync.RWMutex
	held      *holding
	hello     Hello // of the stream that told it
	position  domain.Position
	received  time.Time      // when the last mark came; zero: none did
	base      domain.Instant // what time it was then, by our clock or the platform's, whichever is later
	max       time.Duration
	connected bool
	refused   bool
	closed    bool
	err       error
	limits    allowances
	carried   []Use // of copies that this one came after, to be reported
	reused    reuses
	again     bool // all is to be told again; the reader's alone

	changed chan struct{} // closed at the next mark, and when there is no stream any more
}

// overdue is when heartbeats of one second are missed, for copies that go on no
// longer than that.
const overdue = 2 * time.Second

func (l *live) begin(most time.Duration) {
	l.held, l.max, l.changed = newHolding(), most, make(chan struct{})
}

// age is how long ago the last mark came. A clock that was set back makes nothing
// younger, and a machine that has slept has slept.
func (l *live) age(now time.Time) time.Duration {
	if l.received.IsZero() {
		return 0
	}
	return max(now.Sub(l.received), now.Round(0).Sub(l.received))
}

// open reports whether a copy of that age lets anybody in. One of a snapshot that was
// written in the future is of no known age.
func (l *live) open(age time.Duration) bool { return !l.refused && !l.closed && l.fresh(age) }

// fresh reports whether a copy of that age is to be gone by.
func (l *live) fresh(age time.Duration) bool {
	switch {
	case l.received.IsZero(), age < 0:
		return false
	case l.connected:
		return age <= max(l.max, overdue)
	}
	return age < l.max
}

// asOf puts above an answer what it is made of. False: of nothing to go by.
func (l *live) asOf(a *Answer, now time.Time) bool {
	a.Position, a.Age = l.position, l.age(now)
	return l.open(a.Age)
}

// clock is what time it is at an age. A clock that is behind the platform's, or that
// was set back, lets no token live longer.
func (l *live) clock(age time.Duration) domain.Instant { return l.base.Add(age) }

// decide answers by the door and by what there is of the token.
func (l *live) decide(a *Answer, p *Presented) {
	h := l.held
	a.Organization, a.Engine = h.Alias, h.Door.Name
	var e domain.Entrance
	shown, is := domain.ParseSecret(p.Secret)
	if !(is && h.leaves(&shown)) && h.Door.Verify(&e, p.Secret, p.Forwarded) {
		a.Via, a.Email, a.Allowed, a.Reason = e.Via, e.Email, e.Allowed(), e.Verdict.Reason
		return
	}
	if !is {
		a.Reason = domain.ReasonMalformed
		return
	}
	place, _ := h.Tokens.Place(shown.Token)
	ask := domain.Ask{Now: a.At, Address: p.Address, Used: h.uses.last(place), Permission: p.Permission, Resource: p.Resource}
	h.Door.Enter(&h.Organization, &e, place, shown, &ask)
	if e.Verdict.Token.Kind != domain.NoKind { // the handle alone, which is no secret, tells nothing
		l.admit(a, &e, h, place, p, shown.Hash)
	}
	if a.Allowed = e.Allowed() && a.Reason == domain.ReasonNone; a.Allowed {
		a.Via = e.Via
	} else if a.Reason == domain.ReasonNone {
		a.Reason = e.Verdict.Reason
	}
}

// leaves reports whether the door leaves what was shown to the organization for
// certain. Verify would come to the same, after it has hashed once more what ParseSecret
// has hashed: a quarter of all that a check costs.
func (h *holding) leaves(shown *domain.Shown) bool {
	d := &h.Door
	return d.PersonalTokens && !d.Open && !d.Disabled && subtle.ConstantTimeCompare(shown.Hash[:], d.Verification[:]) != 1
}

// admit says whose the token is that was shown, takes the request out of its limits,
// and notes that it was used, or that its secret was one from before.
func (l *live) admit(a *Answer, e *domain.Entrance, h *holding, place uint32, p *Presented, shown domain.Hash) {
	v, who := &e.Verdict, h.Holder(&e.Verdict)
	a.Token, a.ExpiresAt, a.Holder, a.Role = v.ID, v.Token.Expires, who.Number, v.Role
	if v.Token.Kind == domain.Personal {
		a.Email = who.Email
	}
	switch {
	case v.Reason == domain.ReasonReplaced:
		l.reused.note(Reuse{v.ID, shown}, a.At)
		return
	case !v.Active():
		return
	case p.Again:
		a.Reason = v.Denied
		return
	}
	var ok bool
	if a.Limit, ok = l.limits.take(v, a.At); !ok {
		a.Reason = domain.ReasonLimited
		return
	}
	a.Reason = v.Denied
	h.uses.note(place, a.At, p, h.asked(p.Permission, e.Allowed()))
}

// take takes a piece. It holds for every check that begins afterwards.
func (l *live) take(p *domain.Piece) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.held.take(p, nil)
}

// replace makes another copy the one that checks are answered from.
func (l *live) replace(fresh *holding, hello Hello) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if room := maxCarried - len(l.carried); room > 0 {
		l.carried = append(l.carried, l.held.uses.take(&l.held.Copy, room)...)
	}
	fresh.uses.uncounted.Store(l.held.uses.uncounted.Load())
	l.held, l.hello, l.again = fresh, hello, false
}

// ahead reports whether this copy has come further in a log than another one, and is not
// too old for that to count. That the platform has refused the engine meanwhile makes the
// other one no younger.
func (l *live) ahead(m *Mark, log string, now time.Time) bool {
	return l.hello.Log == log && m.To < l.position && l.fresh(l.age(now))
}

// known is up to where the copy goes that a stream can go on from; 0: none can.
func (l *live) known() domain.Position {
	if l.again {
		return 0
	}
	return l.position
}

// forget says that no stream can go on from this copy. Checks do.
func (l *live) forget() { l.again = true }

// maxCarried is how many uses wait for a report at most besides those of the copy.
const maxCarried = 1 << 16

// mark says that all that happened up to a position has been taken.
func (l *live) mark(m *Mark, received time.Time, connected bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.position, l.received, l.base = m.To, received, max(domain.At(received), m.At)
	if l.connected = connected; connected {
		l.refused, l.err = false, nil
	}
	l.announce()
}

// lose says that there is no stream, and why. A refusal lets nobody in.
func (l *live) lose(err error, refused bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.connected, l.refused, l.err = false, l.refused || refused, err
	l.announce()
}

func (l *live) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed, l.connected, l.err = true, false, errClosed
	l.announce()
}

func (l *live) announce() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// watch is closed when something changes.
func (l *live) watch() <-chan struct{} {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.changed
}

func (l *live) state(now time.Time) State {
	l.mu.RLock()
	defer l.mu.RUnlock()
	age, door := l.age(now), l.held.Door
	door.Verification = domain.Hash{}
	return State{
		Open: l.open(age), Connected: l.connected, Position: l.position, Age: age, MaxStaleness: l.max, Err: l.err,
		Platform: l.hello.Platform, Organization: l.held.Alias, Engine: l.held.Door.Name, Door: door, Tokens: int(l.held.Tokens.Len()),
		Uncounted: l.held.uses.uncounted.Load(),
	}
}

// uses are up to so many that wait to be reported.
func (l *live) uses(most int) (taken []Use) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.held.uses.take(&l.held.Copy, most)
}

// carriedUses are those of copies before.
func (l *live) carriedUses(most int) (taken []Use) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := min(most, len(l.carried))
	taken, l.carried = l.carried[:n:n], l.carried[n:]
	return taken
}

// holding is a copy, with how its tokens are used here.
type holding struct {
	domain.Copy
	uses  uses
	enter domain.Permission // the number of what those need who want nothing in particular
}

func newHolding() *holding { return &holding{Copy: *domain.NewCopy()} }

// take takes a piece. before is the copy that this one is to replace, which knows
// when tokens were last used here; nil: none is.
func (h *holding) take(p *domain.Piece, before *holding) error {
	if err := h.Copy.Take(*p); err != nil {
		return err
	}
	switch {
	case p.Frame != nil:
		h.enter = h.Permission(domain.EnginesUse.String())
	case p.Token != nil:
		if place, known := h.Tokens.Place(p.Token.ID); known {
			h.uses.raise(place, max(p.Token.Used, before.lastOf(p.Token.ID)))
		}
	}
	return nil
}

// lastOf is when a token was last used, as far as this copy knows.
func (h *holding) lastOf(id domain.TokenID) domain.Instant {
	if h == nil {
		return 0
	}
	place, known := h.Tokens.Place(id)
	if !known {
		return 0
	}
	return h.uses.last(place)
}

// asked is what was asked for and allowed.
func (h *holding) asked(permission string, allowed bool) domain.Permission {
	switch {
	case !allowed:
		return domain.NoPermission
	case permission == "":
		return h.enter
	}
	return h.Permission(permission)
}
