package projections

import (
	"encoding/binary"
	"sync/atomic"

	"jeton/domain"
)

// index says where tokens are: their tenant's place, and their own inside. A million
// of them lie in one piece of memory without pointers, so that a check finds its
// token in one look and the garbage collector finds nothing.
//
// One writes at a time; any number read meanwhile and take no lock, because every
// check reads and what they share is what slows them down. A slot is written
// before its tenant, which is read first, and a table that is full is left to those
// who still read in it.
type index struct {
	table atomic.Pointer[[]slot] // their number is a power of two
	n     int                    // of the slots that are taken
}

type slot struct {
	id     domain.TokenID
	token  uint32
	tenant uint32 // plus one; 0: the slot is empty. Atomic
}

// spot is where a token is.
type spot struct {
	id     domain.TokenID
	tenant uint32
	token  uint32
}

func (x *index) slots() []slot {
	if table := x.table.Load(); table != nil {
		return *table
	}
	return nil
}

func (x *index) find(id domain.TokenID) (at spot, known bool) {
	slots := x.slots()
	if len(slots) == 0 {
		return spot{}, false
	}
	for i := begin(id, slots); ; i = (i + 1) & (len(slots) - 1) {
		tenant := atomic.LoadUint32(&slots[i].tenant)
		if tenant == 0 {
			return spot{}, false
		}
		if slots[i].id == id {
			return spot{id, tenant - 1, slots[i].token}, true
		}
	}
}

// begin is where the search for an id begins. Ids are random, and nobody but the
// service draws those that are kept, so they need no hash.
func begin(id domain.TokenID, slots []slot) int {
	return int(binary.LittleEndian.Uint64(id.ID[2:]) & uint64(len(slots)-1))
}

// put remembers where a token is. Where it is already, it stays.
func (x *index) put(at spot) {
	if _, known := x.find(at.id); known || at.id.IsZero() {
		return
	}
	if x.n*3 >= len(x.slots())*2 {
		x.grow()
	}
	enter(slot{at.id, at.token, at.tenant + 1}, x.slots())
	x.n++
}

func enter(s slot, slots []slot) {
	i := begin(s.id, slots)
	for slots[i].tenant != 0 {
		i = (i + 1) & (len(slots) - 1)
	}
	slots[i].id, slots[i].token = s.id, s.token
	atomic.StoreUint32(&slots[i].tenant, s.tenant)
}

func (x *index) grow() {
	old := x.slots()
	slots := make([]slot, max(64, 2*len(old)))
	for _, s := range old {
		if s.tenant != 0 {
			enter(s, slots)
		}
	}
	x.table.Store(&slots)
}
