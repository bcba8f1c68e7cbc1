package domain

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

func refused(err, kind error) bool {
	var r *Refusal
	return errors.As(err, &r) && errors.Is(err, kind)
}

func TestRefusalSaysWhichFieldAndWhatNext(t *testing.T) {
	r := Invalid("name", "%q is odd", "take another", "x")
	if got, want := r.Error(), `name: "x" is odd`; got != want {
		t.Errorf("sentence is %q, want %q", got, want)
	}
	if r.Next != "take another" || !errors.Is(r, ErrInvalid) || errors.Is(r, ErrDenied) {
		t.Errorf("is %#v", r)
	}
	if got, want := Refuse(ErrState, "no", "").Error(), "no"; got != want {
		t.Errorf("sentence is %q, want %q", got, want)
	}
	if !errors.Is(fmt.Errorf("issue: %w", r), ErrInvalid) {
		t.Error("a wrapped refusal lost its kind")
	}
}

func TestClip(t *testing.T) {
	for text, want := range map[string]string{
		"":                        "",
		"short":                   "short",
		strings.Repeat("ü", 40):   strings.Repeat("ü", 40),
		strings.Repeat("ü", 41):   strings.Repeat("ü", 40) + "…",
		strings.Repeat("a", 1e6):  strings.Repeat("a", 40) + "…",
		strings.Repeat("\xff", 1): "\xff",
	} {
		if got := clip(text); got != want {
			t.Errorf("clip(%d bytes) = %q, want %q", len(text), got, want)
		}
	}
	if got := clip(strings.Repeat("\xff", 100)); !utf8.ValidString(got) {
		t.Errorf("clip of what is no UTF-8 is %q", got)
	}
}

func asRefusal(err error, r **Refusal) bool { return errors.As(err, r) }
