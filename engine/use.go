package engine

import (
	"net/netip"
	"sync"
	"sync/atomic"

	"jeton/domain"
)

// uses are how the tokens of a copy are used here. Noting one takes a lock that few
// share, and no memory that is not there already, but when a token is used for the
// first time since the last report.
type uses struct {
	tokens    []tokenUse // by their places
	parts     [useParts]usePart
	uncounted atomic.Uint64
}

// tokenUse is kept of every token.
type tokenUse struct {
	last atomic.Int64 // an Instant
	slot uint32       // of what is to be reported, plus one; 0: nothing is. Guarded by the part's lock
}

// usePart is what is to be reported of some tokens.
type usePart struct {
	mu   sync.Mutex
	kept []keptUse
	_    [32]byte // so that neighbours' locks do not share what processors fetch
}

// keptUse is a Use as it is counted.
type keptUse struct {
	place       uint32
	count       uint32
	last        domain.Instant
	address     netip.Addr
	permissions domain.Permissions
	agentLength uint8
	agent       [maxAgent]byte
}

const (
	useParts = 16
	// maxKept is of how many tokens uses are counted between two reports, in each part.
	maxKept = 4096
	// maxAgent is how much is kept of what a program calls itself, in bytes.
	maxAgent = 200
)

// last is when the token in a place was last used.
func (u *uses) last(place uint32) domain.Instant {
	if int(place) >= len(u.tokens) {
		return 0
	}
	return domain.Instant(u.tokens[place].last.Load())
}

// raise says that the token in a place was used. Who calls it is alone.
func (u *uses) raise(place uint32, at domain.Instant) {
	if int(place) >= len(u.tokens) {
		u.grow(place)
	}
	if t := &u.tokens[place]; domain.Instant(t.last.Load()) < at {
		t.last.Store(int64(at))
	}
}

func (u *uses) grow(place uint32) {
	more := make([]tokenUse, max(64, 2*len(u.tokens), int(place)+1))
	for i := range u.tokens {
		more[i].last.Store(u.tokens[i].last.Load())
		more[i].slot = u.tokens[i].slot
	}
	u.tokens = more
}

// note notes a use of the token in a place.
func (u *uses) note(place uint32, now domain.Instant, p *Presented, asked domain.Permission) {
	if int(place) >= len(u.tokens) {
		return
	}
	part, t := &u.parts[place%useParts], &u.tokens[place]
	part.mu.Lock()
	defer part.mu.Unlock()
	if domain.Instant(t.last.Load()) < now {
		t.last.Store(int64(now))
	}
	if t.slot == 0 {
		if len(part.kept) == maxKept {
			u.uncounted.Add(1)
			return
		}
		part.kept = append(part.kept, keptUse{place: place})
		t.slot = uint32(len(part.kept))
	}
	part.kept[t.slot-1].add(now, p, asked)
}

func (k *keptUse) add(now domain.Instant, p *Presented, asked domain.Permission) {
	if k.count++; k.count == 0 {
		k.count-- // it stays at the most
	}
	k.last = max(k.last, now)
	if asked != domain.NoPermission {
		k.permissions[asked/64] |= 1 << (asked % 64)
	}
	if p.Address.IsValid() {
		k.address = p.Address
	}
	if agent := p.Agent[:min(len(p.Agent), maxAgent)]; agent != "" && agent != string(k.agent[:k.agentLength]) {
		k.agentLength = uint8(copy(k.agent[:], agent))
	}
}

// take takes up to so many uses, which are not there any more afterwards.
func (u *uses) take(c *domain.Copy, most int) (taken []Use) {
	for i := range u.parts {
		taken = u.takePart(&u.parts[i], c, most, taken)
	}
	return taken
}

func (u *uses) takePart(part *usePart, c *domain.Copy, most int, taken []Use) []Use {
	part.mu.Lock()
	defer part.mu.Unlock()
	for len(part.kept) > 0 && len(taken) < most {
		k := &part.kept[len(part.kept)-1]
		u.tokens[k.place].slot = 0
		taken = append(taken, k.use(c))
		part.kept = part.kept[:len(part.kept)-1]
	}
	return taken
}

func (k *keptUse) use(c *domain.Copy) Use {
	u := Use{Token: c.Tokens.At(k.place).ID, Count: k.count, Last: k.last, Agent: string(k.agent[:k.agentLength])}
	if k.address.IsValid() {
		u.Address = k.address.WithZone("").String()
	}
	if !k.permissions.IsZero() {
		u.Permissions = c.Names(k.permissions)
	}
	return u
}
