package domain

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
)

// ID names one thing for ever: ten random bytes, written as sixteen letters and
// digits of one case (Crockford's base 32, no i, l, o or u). It is never given
// twice, so what remembers an ID cannot come to mean somebody else's thing.
//
// It is an array, not a string, because millions of them are map keys: a map
// without pointers is not walked by the garbage collector.
type ID [10]byte

// An ID of each noun is a type of its own, so that a function that takes two of
// them cannot be called wrongly.
type (
	OrganizationID struct{ ID }
	AccountID      struct{ ID }
	TokenID        struct{ ID }
)

// idLetters is the length of an ID in text.
const idLetters = 16

const idAlphabet = "0123456789abcdefghjkmnpqrstvwxyz"

var idValue = alphabetValues(idAlphabet)

// NewID draws an ID from random, which is crypto/rand.Reader but in tests.
func NewID(random io.Reader) (ID, error) {
	var id ID
	if _, err := io.ReadFull(random, id[:]); err != nil {
		return id, fmt.Errorf("draw an id: %w", err)
	}
	return id, nil
}

// RandomID draws an ID from the system's generator, which cannot fail.
func RandomID() ID {
	id, err := NewID(rand.Reader)
	if err != nil {
		panic(err) // crypto/rand never returns an error; see its documentation.
	}
	return id
}

// ParseID reads what String wrote. Anything else is ErrInvalid.
func ParseID(text string) (ID, error) {
	id, ok := parseID(text)
	if !ok {
		return id, Refuse(ErrInvalid, "%q is not an id", "copy the id from the list; it has sixteen letters and digits", clip(text))
	}
	return id, nil
}

// parseID is ParseID without an error to allocate: every check of a token runs it.
func parseID(text string) (id ID, ok bool) {
	if len(text) != idLetters {
		return id, false
	}
	for half := range 2 {
		var bits uint64 // eight letters are forty bits are five bytes
		for i := range 8 {
			v := idValue[text[half*8+i]]
			if v < 0 {
				return ID{}, false
			}
			bits = bits<<5 | uint64(v)
		}
		for i := range 5 {
			id[half*5+i] = byte(bits >> (32 - 8*i))
		}
	}
	return id, true
}

func (id ID) String() string { return string(id.letters()) }

func (id ID) letters() []byte { return id.append(make([]byte, 0, idLetters)) }

func (id ID) append(text []byte) []byte {
	for half := range 2 {
		var bits uint64
		for i := range 5 {
			bits = bits<<8 | uint64(id[half*5+i])
		}
		for i := range 8 {
			text = append(text, idAlphabet[bits>>(35-5*i)&31])
		}
	}
	return text
}

// IsZero reports whether the ID names nothing. encoding/json asks it for omitzero.
func (id ID) IsZero() bool { return id == ID{} }

// MarshalText writes the ID for JSON and logs.
func (id ID) MarshalText() ([]byte, error) { return id.letters(), nil }

// AppendText is MarshalText without a copy.
func (id ID) AppendText(text []byte) ([]byte, error) { return id.append(text), nil }

// UnmarshalText is the way back.
func (id *ID) UnmarshalText(text []byte) error {
	parsed, err := ParseID(string(text))
	*id = parsed
	return err
}

// CommandID names one intention. A command that is sent again with the same
// CommandID happens once. It is written as 32 hexadecimal digits.
type CommandID [16]byte

// RandomCommandID is for commands whose sender gave no idempotency key.
func RandomCommandID() (id CommandID) {
	_, _ = rand.Read(id[:]) // never fails; see crypto/rand.
	return id
}

func (id CommandID) String() string { return hex.EncodeToString(id[:]) }

// IsZero reports whether no command is named.
func (id CommandID) IsZero() bool { return id == CommandID{} }

// MarshalText writes 32 hexadecimal digits.
func (id CommandID) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, id[:]), nil }

// AppendText is MarshalText without a copy.
func (id CommandID) AppendText(text []byte) ([]byte, error) {
	return hex.AppendEncode(text, id[:]), nil
}

// UnmarshalText is the way back.
func (id *CommandID) UnmarshalText(text []byte) error { return unhex(id[:], text) }

// Hash is a SHA-256.
type Hash [32]byte

func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// IsZero reports whether nothing was hashed.
func (h Hash) IsZero() bool { return h == Hash{} }

// MarshalText writes 64 hexadecimal digits.
func (h Hash) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, h[:]), nil }

// AppendText is MarshalText without a copy.
func (h Hash) AppendText(text []byte) ([]byte, error) { return hex.AppendEncode(text, h[:]), nil }

// UnmarshalText is the way back.
func (h *Hash) UnmarshalText(text []byte) error { return unhex(h[:], text) }

func unhex(into, text []byte) error {
	if len(text) != hex.EncodedLen(len(into)) {
		return Refuse(ErrInvalid, "%d hexadecimal digits where %d belong", "", len(text), hex.EncodedLen(len(into)))
	}
	if _, err := hex.Decode(into, text); err != nil {
		return Refuse(ErrInvalid, "not all of it is hexadecimal digits", "")
	}
	return nil
}

// alphabetValues maps each letter to its place in the alphabet and all else to -1.
func alphabetValues(alphabet string) (values [256]int8) {
	for i := range values {
		values[i] = -1
	}
	for i := range len(alphabet) {
		values[alphabet[i]] = int8(i)
	}
	return values
}
