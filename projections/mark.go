package projections

import (
	"math/bits"
	"sync/atomic"

	"jeton/domain"
)

// mark is when a token was last used, beside the token: it changes with every
// check, while the state changes with commits only.
type mark struct {
	minute atomic.Uint32 // since 1970; zero: never, as far as it is known
	slot   atomic.Uint32 // of what is being counted about it, plus one; see uses
}

// minute is in the unit of moments.
const minute domain.Instant = 60_000

// raise says that the token was used in a minute, if it was not used later.
func (k *mark) raise(to uint32) {
	for was := k.minute.Load(); was < to; was = k.minute.Load() {
		if k.minute.CompareAndSwap(was, to) {
			return
		}
	}
}

// marks are those of all tokens of a tenant, by their places. They lie in pieces,
// each as long as all before it together, because a mark never moves: whoever has
// found one, under the tenant's lock, needs no lock any more.
type marks [][]mark

const firstMarks = 4

// pieceOf is in which piece a place is, and which place that piece begins with.
func pieceOf(place uint32) (piece int, first uint32) {
	if piece = bits.Len32(place / firstMarks); piece > 0 {
		first = firstMarks << (piece - 1)
	}
	return piece, first
}

// at is the mark of a place; nil: there is none.
func (s marks) at(place uint32) *mark {
	piece, first := pieceOf(place)
	if piece >= len(s) {
		return nil
	}
	return &s[piece][place-first]
}

// upTo are marks that reach to a place.
func (s marks) upTo(place uint32) marks {
	for last, _ := pieceOf(place); len(s) <= last; {
		s = append(s, make([]mark, firstMarks<<max(0, len(s)-1)))
	}
	return s
}

// used is when the token at a place was last used, to the minute. The tenant is
// locked by whoever asks.
func (t *tenant) used(place uint32) domain.Instant {
	return t.marks.at(place).used()
}

// used is when the token was last used; nil was not.
func (k *mark) used() domain.Instant {
	if k == nil {
		return 0
	}
	return domain.Instant(k.minute.Load()) * minute
}
