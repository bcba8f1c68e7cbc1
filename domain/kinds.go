package domain

import (
	"maps"
	"slices"
)

// Kinds are the kinds of all events that there can be, in the order of letters.
func Kinds() []string { return slices.Sorted(maps.Keys(vocabulary)) }
