package domain

import (
	"crypto/sha256"
	"fmt"
	"hash/crc32"
	"io"
)

// Secret is what a bearer shows. It is text of 66 characters:
//
//	jtn_ pat_ 0123456789abcdef 36 characters 6 characters
//	│    │    │                │             └ checksum
//	│    │    │                └ the secret proper
//	│    │    └ handle: the token's ID, 16 characters of 0-9 a-z without i l o u
//	│    └ kind: pat (personal), adm (administrative), svc (service account) or
//	│      ver (no token: the verification token of an engine)
//	└ brand
//
// without blanks: only letters, digits and two underscores, so that a double
// click selects it whole and no shell, URL or configuration file trips over it.
//
// The secret proper is 36 characters of 0-9 A-Z a-z, each drawn evenly from a
// cryptographic generator: 214 bits. The checksum is the CRC-32 (IEEE) of the 60
// characters before it, as a number in base 62 with the same alphabet, most
// significant digit first, padded with 0 to six digits. It lets scanners and
// doors refuse a typo without asking anybody; it protects against nobody.
//
// The handle is public: lists and logs show it. What is stored is the SHA-256 of
// all 66 characters. With 214 random bits a plain hash is enough, and its owner
// can compute it with openssl to search the audit log.
//
// A verification token that is drawn for an engine has the same format, so that
// scanners find it too. Its handle is drawn at random and names nothing, and
// ParseSecret refuses it: it belongs to no holder. Engines may have others, which
// look as their owners like.
//
// A Secret prints as "[redacted]" wherever it is printed, logged or encoded by
// mistake. Reveal is the one way to its text: behind the pointer, not even a verb
// that does not suit it, or a struct that hides it in a field, prints more than
// an address.
type Secret struct{ text *string }

const (
	secretBrand    = "jtn_"
	secretKindAt   = len(secretBrand)
	secretHandleAt = secretKindAt + len("pat_")
	secretProperAt = secretHandleAt + idLetters
	secretSumAt    = secretProperAt + 36
	// SecretLength is the length of every secret in characters.
	SecretLength = secretSumAt + 6
)

const secretAlphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

var secretValue = alphabetValues(secretAlphabet)

// NewSecret draws the secret of the token id from random, which is
// crypto/rand.Reader but in tests.
func NewSecret(kind TokenKind, id TokenID, random io.Reader) (Secret, error) {
	return drawSecret(kind.Prefix(), id.ID, random)
}

// NewVerification draws the verification token of an engine from random, which is
// crypto/rand.Reader but in tests.
func NewVerification(random io.Reader) (Secret, error) {
	handle, err := NewID(random)
	if err != nil {
		return Secret{}, err
	}
	return drawSecret(verificationTag, handle, random)
}

// verificationTag stands for the kind in the verification tokens that are drawn here.
const verificationTag = "ver"

func drawSecret(kind string, handle ID, random io.Reader) (Secret, error) {
	text := make([]byte, 0, SecretLength)
	text = append(text, secretBrand...)
	text = append(text, kind...)
	text = append(text, '_')
	text = append(text, handle.letters()...)
	text, err := appendLetters(text, secretSumAt, random)
	if err != nil {
		return Secret{}, fmt.Errorf("draw a secret: %w", err)
	}
	whole := string(appendChecksum(text))
	return Secret{&whole}, nil
}

// appendLetters fills text to length with letters that are all equally likely:
// bytes that would favour the first letters of the alphabet are drawn again.
func appendLetters(text []byte, length int, random io.Reader) ([]byte, error) {
	const even = 256 - 256%len(secretAlphabet)
	var pool [48]byte
	for {
		if _, err := io.ReadFull(random, pool[:]); err != nil {
			return nil, err
		}
		for _, b := range pool {
			if len(text) == length {
				return text, nil
			}
			if int(b) < even {
				text = append(text, secretAlphabet[int(b)%len(secretAlphabet)])
			}
		}
	}
}

func appendChecksum(text []byte) []byte {
	sum := checksum(string(text))
	var digits [6]byte
	for i := len(digits) - 1; i >= 0; i-- {
		digits[i] = secretAlphabet[sum%uint32(len(secretAlphabet))]
		sum /= uint32(len(secretAlphabet))
	}
	return append(text, digits[:]...)
}

// number is what digits say in base 62. All of them are letters of the alphabet.
func number(digits string) (n uint64) {
	for i := range len(digits) {
		n = n*uint64(len(secretAlphabet)) + uint64(secretValue[digits[i]])
	}
	return n
}

// crcTables are the tables of CRC-32 for a byte that has one to four behind it.
var crcTables = func() (tables [4][256]uint32) {
	tables[0] = *crc32.IEEETable
	for n := 1; n < len(tables); n++ {
		for i, crc := range tables[n-1] {
			tables[n][i] = tables[0][byte(crc)] ^ crc>>8
		}
	}
	return tables
}()

// checksum is CRC-32 four bytes at a time, which the 60 of a secret are a multiple
// of: the function of hash/crc32 lets its argument escape to the heap, and every
// check runs this.
func checksum(text string) uint32 {
	crc := ^uint32(0)
	for ; len(text) >= 4; text = text[4:] {
		crc ^= uint32(text[0]) | uint32(text[1])<<8 | uint32(text[2])<<16 | uint32(text[3])<<24
		crc = crcTables[3][byte(crc)] ^ crcTables[2][byte(crc>>8)] ^ crcTables[1][byte(crc>>16)] ^ crcTables[0][crc>>24]
	}
	return ^crc
}

// Reveal is the secret's text: for the answer that creates it, once.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// Hash is what is stored of the secret.
func (s Secret) Hash() Hash { return sha256.Sum256([]byte(s.Reveal())) }

// String hides the secret.
func (Secret) String() string { return "[redacted]" }

// GoString hides the secret from %#v.
func (Secret) GoString() string { return "[redacted]" }

// MarshalText hides the secret from encoders.
func (Secret) MarshalText() ([]byte, error) { return []byte("[redacted]"), nil }

// Shown is a secret that somebody showed, taken apart. That it is well formed
// says nothing about whether such a token exists.
type Shown struct {
	Kind  TokenKind
	Token TokenID
	Hash  Hash
}

// ParseSecret takes apart what a stranger shows. The stranger controls all of
// text. Whatever is not exactly a secret (length, brand, kind, alphabet,
// checksum) is refused before anything is looked up; nothing is trimmed. It
// allocates nothing.
func ParseSecret(text string) (s Shown, ok bool) {
	if len(text) != SecretLength || text[:secretKindAt] != secretBrand || text[secretHandleAt-1] != '_' {
		return Shown{}, false
	}
	kind, known := kindOfPrefix(text[secretKindAt : secretHandleAt-1])
	id, valid := parseID(text[secretHandleAt:secretProperAt])
	if !known || !valid || !lettersOnly(text[secretProperAt:]) {
		return Shown{}, false
	}
	if number(text[secretSumAt:]) != uint64(checksum(text[:secretSumAt])) {
		return Shown{}, false
	}
	var whole [SecretLength]byte // on the stack, where a []byte(text) of this length is not
	copy(whole[:], text)
	return Shown{kind, TokenID{id}, sha256.Sum256(whole[:])}, true
}

func lettersOnly(text string) bool {
	for i := range len(text) {
		if secretValue[text[i]] < 0 {
			return false
		}
	}
	return true
}
