package projections

import (
	"encoding/binary"
	"math"
	"net/netip"
	"sync"
	"sync/atomic"
	"unicode"
	"unicode/utf8"

	"jeton/domain"
)

// How tokens are used is no history: it is counted in memory here, told to the
// other nodes now and then (usage_report.go), and kept in tables (usage_views.go).
//
// uses is what this node has counted and not told yet: one delta for each token
// that was used since the last flush. To count costs no input or output, no
// allocation but while the pool grows, and no lock that another token wants but
// for the first use after a flush.
//
// A delta belongs to the token whose mark has its slot, and has that mark. Both
// are set, and both are cleared, while the delta is locked; so whoever has locked
// a delta that has their mark counts into what no flush has taken yet, and whoever
// finds another mark there looks for their slot again.
type uses struct {
	pieces [manyPieces]atomic.Pointer[[pieceDeltas]delta]
	round  atomic.Uint32 // of flushing
	missed atomic.Uint64
	failed atomic.Pointer[error] // why nobody was told
	early  chan struct{}         // has room for one: there is much to tell

	mu   sync.Mutex // guards what follows
	free []uint32   // deltas of nobody
	made uint32     // pieces that there are
}

// So many tokens are counted at most between two flushes, in 112 MB. From
// half of that on it is flushed early. A token more is only marked: when it was
// used is known here, and the use is among those missed.
const (
	pieceDeltas = 256
	manyPieces  = 1024
	manyDeltas  = manyPieces * pieceDeltas
	earlyDeltas = manyDeltas / 2
)

// delta is what is counted about a token until somebody takes it away.
type delta struct {
	mu    sync.Mutex // guards all below
	mark  *mark      // whose; nil: nobody's
	round uint32     // in which it was begun
	seen
}

// seen is how a token was used. It has no pointers and no end that strangers set.
type seen struct {
	organization domain.OrganizationID
	token        domain.TokenID
	engine       domain.TokenID
	minute       uint32 // of the last use
	days         [manyDays]dayCount
	networks     [manyNetworks]networkSeen
	permissions  domain.Permissions
	agentLength  uint8
	agent        [maxAgent]byte
}

type dayCount struct {
	day uint32 // since 1970
	n   uint32 // zero: the place is free
}

type networkSeen struct {
	network network
	minute  uint32
}

const (
	minutesOfDay = 24 * 60
	// manyDays is how many are told apart in a delta. More there are only if
	// nothing could be told for days; then the last place takes what is left.
	manyDays     = 4
	manyNetworks = 5
	// maxAgent is how much is kept of what programs call themselves: so many
	// bytes, which are as many characters but in names that HTTP does not foresee.
	maxAgent = 200
)

// count remembers in a verdict how the token's use is to be noted. The tenant, who
// is the one in which the permission is asked for, is locked by the caller.
func (c *Checked) count(k *mark, t *tenant, use *Use) {
	if c.mark = k; use.Permission != "" {
		c.asked = t.state.Permission(use.Permission)
	}
}

// note counts a use of a token that was good.
func (m *Model) note(c *Checked, use *Use) {
	k, at := c.mark, uint32(c.At/minute)
	if k == nil {
		return
	}
	k.raise(at)
	if d := m.uses.hold(k, c.Home, c.ID); d != nil {
		d.add(c, use, networkOf(use.Address), at)
		d.mu.Unlock()
		return
	}
	m.uses.missed.Add(1)
}

// hold is the delta of a token, locked; nil: there is no room for it.
func (u *uses) hold(k *mark, org domain.OrganizationID, token domain.TokenID) *delta {
	for {
		slot := k.slot.Load()
		if slot == 0 {
			if !u.begin(k, org, token) {
				return nil
			}
			continue
		}
		d := u.delta(slot - 1)
		d.mu.Lock()
		if d.mark == k {
			return d
		}
		d.mu.Unlock()
	}
}

func (u *uses) delta(at uint32) *delta {
	return &u.pieces[at/pieceDeltas].Load()[at%pieceDeltas]
}

// begin gives a token a delta, unless it has got one meanwhile. False: there is none.
func (u *uses) begin(k *mark, org domain.OrganizationID, token domain.TokenID) bool {
	at, many, ok := u.take()
	if !ok {
		return false
	}
	d := u.delta(at)
	d.mu.Lock()
	given := k.slot.CompareAndSwap(0, at+1)
	if given {
		d.mark, d.round = k, u.round.Load()
		d.organization, d.token = org, token
	}
	d.mu.Unlock()
	if !given {
		u.give(at)
	}
	if many {
		u.hurry() // not before the delta is the token's: the flush would leave it out
	}
	return true
}

// hurry asks for an early flush.
func (u *uses) hurry() {
	select {
	case u.early <- struct{}{}:
	default:
	}
}

// end takes away what was counted before a round; none: the token is zero.
func (u *uses) end(at, round uint32) (s seen) {
	d := u.delta(at)
	d.mu.Lock()
	if d.mark == nil || d.round >= round {
		d.mu.Unlock()
		return s
	}
	d.mark.slot.Store(0)
	s, d.mark, d.seen = d.seen, nil, seen{}
	d.mu.Unlock()
	u.give(at)
	return s
}

// take takes a delta that is nobody's; many: there is much to tell by now.
func (u *uses) take() (at uint32, many, ok bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.free) == 0 && !u.grow() {
		return 0, false, false
	}
	at = u.free[len(u.free)-1]
	u.free = u.free[:len(u.free)-1]
	return at, u.taken() >= earlyDeltas, true
}

func (u *uses) give(at uint32) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.free = append(u.free, at)
}

func (u *uses) taken() int { return int(u.made)*pieceDeltas - len(u.free) }

func (u *uses) grow() bool {
	if u.made == manyPieces {
		return false
	}
	u.pieces[u.made].Store(new([pieceDeltas]delta))
	for i := range uint32(pieceDeltas) {
		u.free = append(u.free, u.made*pieceDeltas+i)
	}
	u.made++
	return true
}

// size is how many deltas there are, whoever has them.
func (u *uses) size() uint32 {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.made * pieceDeltas
}

// waiting is how many tokens there is something to tell of.
func (u *uses) waiting() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.taken()
}

func (s *seen) add(c *Checked, use *Use, from network, at uint32) {
	s.addUse(use, from, at, 1)
	if c.asked != domain.NoPermission && c.Denied == domain.ReasonNone {
		s.allow(c, c.asked)
	}
	for _, p := range use.Needs {
		if c.Granted.Has(p) {
			s.allow(c, p)
		}
	}
}

// addUse adds what does not depend on the permissions of the token.
func (s *seen) addUse(use *Use, from network, at, n uint32) {
	s.minute = max(s.minute, at)
	s.addDay(at/minutesOfDay, n)
	if from != 0 {
		s.addNetwork(from, at)
	}
	if !use.Engine.IsZero() {
		s.engine = use.Engine
	}
	if agent := use.Agent[:min(len(use.Agent), maxAgent)]; agent != "" && agent != string(s.agent[:s.agentLength]) {
		s.setAgent(use.Agent)
	}
}

func (s *seen) addDay(day, n uint32) {
	last := &s.days[manyDays-1]
	for i := range s.days {
		if d := &s.days[i]; d.day == day || d.n == 0 {
			last = d
			break
		}
	}
	last.day = max(last.day, day)
	last.n += min(n, math.MaxUint32-last.n)
}

// addNetwork remembers a network in the place of the one unused for longest.
func (s *seen) addNetwork(from network, at uint32) {
	oldest := &s.networks[0]
	for i := range s.networks {
		n := &s.networks[i]
		if n.network == from {
			n.minute = max(n.minute, at)
			return
		}
		if n.minute < oldest.minute {
			oldest = n
		}
	}
	*oldest = networkSeen{from, at}
}

// allow remembers that a permission was of use. Those that an organization has
// defined for itself are nothing at the home of a token that comes from elsewhere.
func (s *seen) allow(c *Checked, p domain.Permission) {
	if c.Organization == c.Home || p.String() != "" {
		s.permissions[p/64] |= 1 << (p % 64)
	}
}

// setAgent keeps what can be shown of a program's name.
func (s *seen) setAgent(name string) {
	s.agentLength = uint8(len(appendPrintable(s.agent[:0], name)))
}

// appendPrintable appends the beginning of a text, as far as there is room, without
// what does not print.
func appendPrintable(to []byte, text string) []byte {
	for _, r := range text {
		if len(to)+utf8.RuneLen(r) > cap(to) {
			break
		}
		if printable(r) {
			to = utf8.AppendRune(to, r)
		}
	}
	return to
}

func printable(r rune) bool {
	if r < utf8.RuneSelf {
		return ' ' <= r && r <= '~'
	}
	return r != utf8.RuneError && unicode.IsPrint(r)
}

// network is what is kept of an address: 24 bits of one in version 4, 48 in
// version 6, below a bit that says which. Zero: there is none.
type network uint64

const (
	version4 network = 1 << 24
	version6 network = 1 << 48
)

func networkOf(a netip.Addr) network {
	switch {
	case !a.IsValid():
		return 0
	case a.Is4() || a.Is4In6():
		b := a.As4()
		return version4 | network(b[0])<<16 | network(b[1])<<8 | network(b[2])
	}
	b := a.As16()
	return version6 | network(binary.BigEndian.Uint64(b[:])>>16)
}

// prefix is the network as people write it.
func (n network) prefix() netip.Prefix {
	if n&version6 == 0 {
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(n >> 16), byte(n >> 8), byte(n)}), 24)
	}
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], uint64(n&^version6)<<16)
	return netip.PrefixFrom(netip.AddrFrom16(b), 48)
}

// Used says that a token was used, wherever: this node learns it from the others
// and, after a restart, from the tables. A token that is not known here is
// nobody's, so the model is to have been loaded.
func (m *Model) Used(org domain.OrganizationID, token domain.TokenID, last domain.Instant) {
	t, place := m.tenantOf(token)
	if t == nil {
		return
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	if k := t.marks.at(place); k != nil && t.state.ID == org {
		k.raise(uint32(max(0, last) / minute))
	}
}
