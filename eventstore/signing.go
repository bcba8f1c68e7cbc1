package eventstore

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// SigningKeyName is under which name a vault has the seed of a signing key.
func SigningKeyName(number int64) string { return "signing-" + strconv.FormatInt(number, 10) }

// NewSigner is the Ed25519 key that a seed makes, with its public half as package
// note writes it. All keys of a log have the log's name; they differ in their hash.
func NewSigner(seed Key, log string) (note.Signer, PublicKey, error) {
	const ed25519Algorithm = 1
	private := ed25519.NewKeyFromSeed(seed[:])
	verifier, err := note.NewEd25519VerifierKey(keyName(log), private.Public().(ed25519.PublicKey))
	if err != nil {
		return nil, PublicKey{}, err
	}
	parts := strings.SplitN(verifier, "+", 3)
	secret := base64.StdEncoding.EncodeToString(append([]byte{ed25519Algorithm}, seed[:]...))
	signer, err := note.NewSigner("PRIVATE+KEY+" + parts[0] + "+" + parts[1] + "+" + secret)
	return signer, PublicKey{Verifier: verifier}, err
}

// keyName is what the keys of a log are called.
func keyName(log string) string { return "jeton/" + log }

// SignedLog is the name of the log that a public key is for.
func SignedLog(verifier string) string {
	name, _, _ := strings.Cut(verifier, "+")
	return strings.TrimPrefix(name, keyName(""))
}

// PublicKey is the public half of a signing key, and what makes it believable.
type PublicKey struct {
	Number   int64  `json:"number" doc:"1 is the first."`
	Verifier string `json:"verifier" doc:"The key, as golang.org/x/mod/sumdb/note writes it: name+hash+base64."`
	// Endorsement is a note of the text
	//
	//	jeton signing key\n<number>\n<verifier>\n
	//
	// signed by the key before. The first has none.
	Endorsement string `json:"endorsement,omitempty" doc:"A note in which the key before names this one."`
}

func (k PublicKey) text() string {
	return fmt.Sprintf("jeton signing key\n%d\n%s\n", k.Number, k.Verifier)
}

// Endorse has the key before name this one.
func (k PublicKey) Endorse(before note.Signer) (PublicKey, error) {
	signed, err := note.Sign(&note.Note{Text: k.text()}, before)
	k.Endorsement = string(signed)
	return k, err
}

// keyring is the keys of a log, the first first.
type keyring struct {
	keys     []note.Verifier
	believed []bool
}

// maxKeys is how many keys a keyring has at most.
const maxKeys = 10_000

// newKeyring checks that each key is endorsed by the one before. Those that are
// trusted are believed, and those that they have endorsed; if none is named it is the
// first.
func newKeyring(keys []PublicKey, trusted []string) (*keyring, error) {
	if len(keys) > maxKeys {
		return nil, fmt.Errorf("there are more than %d signing keys", maxKeys)
	}
	ring := new(keyring)
	for i, k := range keys {
		verifier, err := newVerifier(k.Verifier)
		if err != nil || k.Number != int64(i)+1 {
			return nil, fmt.Errorf("signing key %d is no key", i+1)
		}
		if err := ring.endorsed(k); err != nil {
			return nil, err
		}
		before := i > 0 && ring.believed[i-1] || i == 0 && trusted == nil
		ring.keys = append(ring.keys, verifier)
		ring.believed = append(ring.believed, before || slices.Contains(trusted, k.Verifier))
	}
	return ring, nil
}

// endorsed checks what the last key says of the next.
func (ring *keyring) endorsed(k PublicKey) error {
	last := len(ring.keys) - 1
	if last < 0 {
		if k.Endorsement != "" {
			return errors.New("signing key 1 is endorsed, and there is no key before it")
		}
		return nil
	}
	n, err := openNote(k.Endorsement, ring.keys[last])
	if err != nil || n.Text != k.text() || len(n.Sigs) != 1 {
		return fmt.Errorf("signing key %d is not endorsed by the key before it", k.Number)
	}
	return nil
}

// newVerifier reads a public key that is written in the one way that there is.
func newVerifier(text string) (note.Verifier, error) {
	parts := strings.SplitN(text, "+", 3)
	if len(text) > 1000 || len(parts) != 3 || !canonical(parts[2]) || strings.ToLower(parts[1]) != parts[1] {
		return nil, errors.New("it is no public key")
	}
	return note.NewVerifier(text)
}

// canonical reports whether a text is base 64 as it is written: reading is laxer.
func canonical(text string) bool {
	data, err := base64.StdEncoding.DecodeString(text)
	return err == nil && base64.StdEncoding.EncodeToString(data) == text
}

// openNote reads a note, letter for letter as note.Sign writes it, in which all
// signatures are good ones of the keys.
func openNote(text string, keys ...note.Verifier) (*note.Note, error) {
	n, err := note.Open([]byte(text), note.VerifierList(keys...))
	if err != nil {
		return nil, err
	}
	var again strings.Builder
	again.WriteString(n.Text + "\n")
	for _, s := range n.Sigs {
		if !canonical(s.Base64) {
			return nil, errors.New("a signature is not written as it should be")
		}
		again.WriteString("— " + s.Name + " " + s.Base64 + "\n")
	}
	if len(n.UnverifiedSigs) > 0 || again.String() != text {
		return nil, errors.New("it has signatures that are none")
	}
	return n, nil
}
