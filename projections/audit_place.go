package projections

import (
	"strconv"
	"strings"

	"jeton/domain"
)

// Place is where an event stands in the log: the position of its commit and which of
// its events it is. Places rise as the log does, so that one number says how far
// somebody has read. The zero Place is before all.
type Place uint64

// itemsAtMost is more events than fit into a commit: an entry of the log has at most some
// megabytes, and the shortest event some tens of bytes.
const itemsAtMost = 1 << 20

// lastPlace is behind all.
const lastPlace Place = 1<<63 - 1

// PlaceOf is the place of an event of a commit, counted from 0. What no log reaches is
// behind all.
func PlaceOf(at domain.Position, item int) Place {
	if at >= domain.Position(lastPlace/itemsAtMost) {
		return lastPlace
	}
	return Place(at)*itemsAtMost + Place(item)
}

// Position is that of the commit.
func (p Place) Position() domain.Position { return domain.Position(p / itemsAtMost) }

// Item is which of the commit's events it is, from 0.
func (p Place) Item() int { return int(p % itemsAtMost) }

// String writes position and item: 12.0.
func (p Place) String() string {
	return strconv.FormatUint(uint64(p.Position()), 10) + "." + strconv.Itoa(p.Item())
}

// ParsePlace reads what String writes, and a position for the place of its last event: to
// go on behind it is to go on behind the commit.
func ParsePlace(text string) (Place, error) {
	position, item, whole := strings.Cut(text, ".")
	at, err := strconv.ParseUint(position, 10, 43)
	i := uint64(itemsAtMost - 1)
	if err == nil && whole {
		i, err = strconv.ParseUint(item, 10, 20)
	}
	if err != nil || strings.HasPrefix(text, "+") {
		return 0, domain.Refuse(domain.ErrInvalid, "%.40q is no place in the log", "write the id of an entry, like 12.0, or a position", text)
	}
	return PlaceOf(domain.Position(at), int(i)), nil
}

// column is the place as databases keep it.
func (p Place) column() int64 { return int64(min(p, lastPlace)) }
