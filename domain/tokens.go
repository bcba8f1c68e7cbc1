package domain

import "iter"

// Tokens is all tokens of an organization by their ids. They lie in one slice, and
// a map says where: a map that held them would keep up to half of its large places
// empty.
type Tokens struct {
	places map[TokenID]uint32
	kept   []Token
}

// Find is the token with an id. Without one it is the zero Token.
func (s *Tokens) Find(id TokenID) (t Token, known bool) {
	place, known := s.places[id]
	if !known {
		return t, false
	}
	return s.kept[place], true
}

// Place is where the token with an id is kept, as long as the organization lives.
func (s *Tokens) Place(id TokenID) (place uint32, known bool) {
	place, known = s.places[id]
	return place, known
}

// Len is how many there are and were.
func (s *Tokens) Len() int { return len(s.kept) }

// All is every token, in no order.
func (s *Tokens) All() iter.Seq2[TokenID, Token] {
	return func(yield func(TokenID, Token) bool) {
		for id, place := range s.places {
			if !yield(id, s.kept[place]) {
				return
			}
		}
	}
}

// put adds a token, or changes the one with that id.
func (s *Tokens) put(id TokenID, t Token) {
	if place, known := s.places[id]; known {
		s.kept[place] = t
		return
	}
	s.places[id] = uint32(len(s.kept))
	s.kept = append(s.kept, t)
}

// change lets do change the token with an id.
func (s *Tokens) change(id TokenID, do func(*Token)) {
	if place, known := s.places[id]; known {
		do(&s.kept[place])
	}
}
