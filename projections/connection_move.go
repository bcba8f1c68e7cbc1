package projections

import (
	"encoding/json"
	"fmt"
	"slices"

	"jeton/domain"
)

// move is a position of a connection, and when it was confirmed. Nodes tell each
// other [position, milliseconds since 1970].
type move struct {
	position domain.Position
	at       domain.Instant
}

// MarshalJSON writes what UnmarshalJSON reads.
func (m move) MarshalJSON() ([]byte, error) {
	return fmt.Appendf(nil, "[%d,%d]", m.position, m.at), nil
}

// UnmarshalJSON reads what another node has told.
func (m *move) UnmarshalJSON(text []byte) error {
	var both [2]int64
	if err := json.Unmarshal(text, &both); err != nil {
		return err
	}
	if both[0] < 0 {
		return fmt.Errorf("%d is no position", both[0])
	}
	m.position, m.at = domain.Position(both[0]), domain.Instant(both[1])
	return nil
}

// moves are the last of a connection, by rising positions. Each has a number: those
// before begins are forgotten, or were never heard of here.
type moves struct {
	begins uint64
	kept   []move
}

// manyMoves is how many are remembered at least; twice as many at most.
const manyMoves = 4096

func (s *moves) end() uint64 { return s.begins + uint64(len(s.kept)) }

func (s *moves) add(m ...move) {
	s.kept = append(s.kept, m...)
	if len(s.kept) > 2*manyMoves {
		extra := len(s.kept) - manyMoves
		s.begins, s.kept = s.begins+uint64(extra), slices.Clone(s.kept[extra:])
	}
}

// cut forgets the moves beyond a position.
func (s *moves) cut(to domain.Position) {
	s.kept = s.kept[:s.first(to+1)]
}

// first is the index of the first move that reaches a position.
func (s *moves) first(at domain.Position) int {
	i, _ := slices.BinarySearchFunc(s.kept, at, func(m move, at domain.Position) int {
		if m.position < at {
			return -1
		}
		return 1
	})
	return i
}

// reached is when the first move reached a position; 0: that is not remembered.
func (s *moves) reached(at domain.Position) domain.Instant {
	i := s.first(at)
	if i == len(s.kept) || i == 0 && s.begins > 0 {
		return 0
	}
	return s.kept[i].at
}

// last are the moves from a number on, at most so many, and the number of the first.
func (s *moves) last(from uint64, most int) (first uint64, last []move) {
	first = max(s.begins, min(from, s.end()), s.end()-min(s.end(), uint64(most)))
	return first, slices.Clone(s.kept[first-s.begins:])
}

// put puts moves in the place of those from a number on. If there is a gap before
// them nothing before them is known any more.
func (s *moves) put(first uint64, told []move) {
	if first < s.begins || first > s.end() {
		*s = moves{begins: first}
	}
	s.kept = s.kept[:first-s.begins]
	s.add(told...)
}
