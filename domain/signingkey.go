package domain

// SigningKey is the public half of a key with which epochs are signed.
type SigningKey struct {
	Number   int64  // from 1
	Verifier string // as golang.org/x/mod/sumdb/note writes it
	// Endorsement is a note in which the key before names this one; empty for the
	// first.
	Endorsement string
	Set         Position
}

// SetSigningKey gives a platform its first signing key, once.
type SetSigningKey struct{ Verifier string }

// Decide does nothing if the platform has a key.
func (c SetSigningKey) Decide(d *Directory, m Meta) ([]Event, error) {
	if m.Actor.Kind != ActorSystem {
		return nil, Refuse(ErrDenied, "only the service itself does this", "")
	}
	if len(d.SigningKeys) > 0 {
		return nil, nil
	}
	return []Event{SigningKeySet{1, c.Verifier, ""}}, nil
}

// RotateSigningKey puts a key in the place of the last. Only operators may.
type RotateSigningKey struct {
	Number      int64
	Verifier    string
	Endorsement string
}

// Decide wants the next number, so that of two rotations at once one wins.
func (c RotateSigningKey) Decide(d *Directory, m Meta) ([]Event, error) {
	if err := d.operates(m); err != nil {
		return nil, err
	}
	if len(d.SigningKeys) == 0 {
		return nil, Refuse(ErrState, "there is no signing key yet", "wait until the service has made one")
	}
	if c.Number != int64(len(d.SigningKeys))+1 {
		return nil, Refuse(ErrStale, "somebody else has just rotated the signing key", "look at the keys, and rotate again if that is still needed")
	}
	return []Event{SigningKeySet(c)}, nil
}

// SigningKeySet says which key signs from here on.
type SigningKeySet struct {
	Number      int64  `json:"number"`
	Verifier    string `json:"verifier"`
	Endorsement string `json:"endorsement,omitempty"`
}

// Kind is stored.
func (SigningKeySet) Kind() string { return "signing_key.set" }

// EvolveDirectory adds the key to those that there were. Whoever looked at the keys
// keeps what they have seen.
func (e SigningKeySet) EvolveDirectory(d *Directory, m Meta) {
	d.SigningKeys = append(d.SigningKeys[:len(d.SigningKeys):len(d.SigningKeys)], SigningKey{e.Number, e.Verifier, e.Endorsement, m.Position})
}
