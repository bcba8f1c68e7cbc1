package domain

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

// Why the domain says no. Transports translate these and nothing else; whatever
// is none of them is a fault of ours and stays inside.
var (
	ErrInvalid  = errors.New("invalid")
	ErrDenied   = errors.New("not allowed")
	ErrNotFound = errors.New("not found")
	ErrExists   = errors.New("exists already")
	ErrStale    = errors.New("changed meanwhile")
	ErrState    = errors.New("not possible now")
)

// Refusal is a no with a sentence for the person who asked and, where there is
// one, their next step. It never holds a secret or another organization's facts.
type Refusal struct {
	Kind   error  // one of the sentinels above
	Field  string // which field of the command is wrong, if one is
	Detail string
	Next   string
}

func (r *Refusal) Error() string {
	if r.Field != "" {
		return r.Field + ": " + r.Detail
	}
	return r.Detail
}

func (r *Refusal) Unwrap() error { return r.Kind }

// Refuse builds a Refusal; args fill detail.
func Refuse(kind error, detail, next string, args ...any) *Refusal {
	return &Refusal{Kind: kind, Detail: fmt.Sprintf(detail, args...), Next: next}
}

// Invalid refuses one field of a command.
func Invalid(field, detail, next string, args ...any) *Refusal {
	r := Refuse(ErrInvalid, detail, next, args...)
	r.Field = field
	return r
}

// clip shortens what a stranger sent before it is repeated in a sentence.
func clip(text string) string {
	const most = 40
	if utf8.RuneCountInString(text) <= most {
		return text
	}
	return string([]rune(text)[:most]) + "…"
}
