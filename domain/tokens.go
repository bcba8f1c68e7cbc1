package domain

import (
	"encoding/binary"
	"iter"
)

// Tokens is all tokens of an organization by their ids. They lie in one slice, and
// a table says where: of a million tokens a map of the language would keep up to
// half of its large places empty, and its ids twice.
type Tokens struct {
	kept  []Token
	table []uint32 // places in kept, plus one; 0: empty. Its length is a power of two.

	touched []uint32 // the places of those that the last commit has changed
}

// Find is the token with an id. Without one it is the zero Token.
func (s *Tokens) Find(id TokenID) (t Token, known bool) {
	place, known := s.Place(id)
	if !known {
		return t, false
	}
	return s.kept[place], true
}

// Place is where the token with an id is kept, as long as the organization lives.
func (s *Tokens) Place(id TokenID) (place uint32, known bool) {
	if len(s.table) == 0 {
		return 0, false
	}
	for at := s.begin(id); ; at = s.next(at) {
		entry := s.table[at]
		if entry == 0 {
			return 0, false
		}
		if s.kept[entry-1].ID == id {
			return entry - 1, true
		}
	}
}

// All is every token, in the order in which they were issued.
func (s *Tokens) All() iter.Seq[*Token] {
	return func(yield func(*Token) bool) {
		for i := range s.kept {
			if !yield(&s.kept[i]) {
				return
			}
		}
	}
}

// begin is where the search for an id begins. Ids are drawn at random by the
// service itself, so they are their own hash: nobody can choose those that are kept.
func (s *Tokens) begin(id TokenID) uint32 {
	return uint32(binary.LittleEndian.Uint64(id.ID[:])) & uint32(len(s.table)-1)
}

func (s *Tokens) next(at uint32) uint32 { return (at + 1) & uint32(len(s.table)-1) }

// put adds a token. One with that id that is there already stays what it is: ids
// are refused before they come to be used twice.
func (s *Tokens) put(t Token) (place uint32) {
	if place, known := s.Place(t.ID); known {
		return place
	}
	if len(s.kept)*3 >= len(s.table)*2 {
		s.grow()
	}
	s.kept = append(s.kept, t)
	s.enter(uint32(len(s.kept)))
	s.touched = append(s.touched, uint32(len(s.kept)-1))
	return uint32(len(s.kept) - 1)
}

func (s *Tokens) enter(entry uint32) {
	at := s.begin(s.kept[entry-1].ID)
	for s.table[at] != 0 {
		at = s.next(at)
	}
	s.table[at] = entry
}

func (s *Tokens) grow() {
	s.table = make([]uint32, max(8, 2*len(s.table)))
	for i := range s.kept {
		s.enter(uint32(i + 1))
	}
}

// change lets do change the token with an id.
func (s *Tokens) change(id TokenID, do func(*Token)) {
	if place, known := s.Place(id); known {
		do(&s.kept[place])
		s.touched = append(s.touched, place)
	}
}
