package main

import (
	"errors"
	"fmt"
	"strings"
)

// oneOf is the id of the only thing that fits what somebody named.
func oneOf[T any](all []T, fits func(T) bool, id func(T) string, what, name string) (string, error) {
	var ids []string
	for _, thing := range all {
		if fits(thing) {
			ids = append(ids, id(thing))
		}
	}
	switch len(ids) {
	case 0:
		return "", coded{fmt.Errorf("there is no %s %q\n  next: see the list", what, name), exitNotFound}
	case 1:
		return ids[0], nil
	}
	return "", coded{errors.New("several things have that name: " + strings.Join(ids, ", ") + "\n  next: give the id"), exitConflict}
}
