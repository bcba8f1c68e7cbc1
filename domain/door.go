package domain

import (
	"crypto/sha256"
	"net/mail"
	"strings"
	"unicode/utf8"
)

// Door is how an engine decides about who stands before it. The same rule decides
// wherever it is asked: at the platform, in an engine's own copy, in a gate.
//
//  1. A disabled engine lets nobody in.
//  2. An engine that is open lets everybody in, and knows nobody. It has no
//     verification token, and somebody has said that it is to be open.
//  3. Whoever shows the verification token comes in, and is believed when they
//     say whom they act for. Where personal tokens are enabled, only if it is
//     kept as a fallback.
//  4. Where personal tokens are enabled, a personal token of the organization
//     comes in, or one of its service accounts, that is good now and may do what
//     is wanted here.
//  5. Nobody else does: no administrative token, the engine's own least of all,
//     no token of another organization, and not who shows nothing.
type Door struct {
	Name           string `json:"name,omitempty"` // of the engine; in events it is not repeated
	PersonalTokens bool   `json:"personal_tokens,omitempty"`
	Verification   Hash   `json:"verification,omitzero"` // SHA-256 of the verification token; zero: there is none
	NoFallback     bool   `json:"no_fallback,omitempty"` // personal tokens are enabled, and the verification token opens nothing
	Open           bool   `json:"open,omitempty"`
	Disabled       bool   `json:"disabled,omitempty"` // in events it is set by EngineSwitched
	resource       Resource
}

// Via is what somebody came in with.
type Via string

const (
	ViaNothing      Via = "" // they did not
	ViaPersonal     Via = "personal"
	ViaService      Via = "service"
	ViaVerification Via = "verification"
	ViaOpen         Via = "open" // the engine is open
)

// Entrance is the answer of a door.
type Entrance struct {
	Via Via
	// Verdict is about the token that was shown, if it is one of the organization.
	// Its Denied says why a good one does not come in.
	Verdict Verdict
	// Email is whom the bearer of the verification token says they act for. Of a token
	// that came in it is empty here: who keeps people adds the holder's.
	Email string
}

// Allowed reports whether they come in.
func (e *Entrance) Allowed() bool { return e.Via != ViaNothing }

const (
	// MinVerification is how long a verification token is at least, in characters: it
	// is kept as a plain hash, which is no place for a word.
	MinVerification = 16
	maxVerification = 256
)

// CheckVerification refuses what cannot be the verification token of an engine.
func CheckVerification(text string) error {
	if len(text) < MinVerification || len(text) > maxVerification || strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return Invalid("verification_token", "is no verification token", "take 16 to 256 letters, digits and signs without blanks, drawn at random")
	}
	if _, is := ParseSecret(text); is {
		return Invalid("verification_token", "is the secret of a token", "draw another one: that token has a holder, and this has none")
	}
	return nil
}

func (d Door) check() error {
	switch {
	case d.Open && d.PersonalTokens:
		return Invalid("open", "and personal tokens do not go together: nobody's would be looked at", "enable personal tokens, or open the engine to everybody")
	case d.Open && !d.Verification.IsZero():
		return Invalid("open", "and a verification token do not go together", "remove the verification token, or do not open the engine to everybody")
	case d.NoFallback && !d.PersonalTokens:
		return Invalid("verification_fallback", "is off, and so are personal tokens: nobody could come in", "enable personal tokens, or keep the verification token; to shut the engine disable it")
	}
	return nil
}

// plain is the door as it is in events.
func (d Door) plain() Door {
	d.Name, d.Disabled, d.resource = "", false, ""
	return d
}

// of is the door as that of an engine.
func (d Door) of(e Engine) Door {
	d.Name, d.Disabled, d.resource = e.Name, e.Disabled, engineResource(e.Name)
	return d
}

func engineResource(name string) Resource { return Resource("engine:" + name) }

// Verify decides by the rules 1 to 3 about what somebody shows and whom they say they
// act for. Who is not decided about may have a token: that is for Enter. A text that
// opens nothing whatever token it may be is decided about.
func (d *Door) Verify(e *Entrance, text, forwarded string) (decided bool) {
	switch {
	case d.Disabled:
		e.Verdict.Reason = ReasonDoor
		return true
	case d.Open:
		e.Via = ViaOpen
		return true
	}
	if d.verifies(text) {
		if d.NoFallback && d.PersonalTokens {
			e.Verdict.Reason = ReasonDoor
			return true
		}
		e.Via, e.Email = ViaVerification, believable(forwarded)
		return true
	}
	if !d.PersonalTokens {
		e.Verdict.Reason = ReasonDoor
	}
	return !d.PersonalTokens
}

// Enter decides by the rules 4 and 5 about a secret and what its bearer wants (nothing
// in particular: to come in at all). The place is where the organization keeps the
// token. It allocates nothing.
func (d *Door) Enter(o *Organization, e *Entrance, place uint32, shown Shown, ask *Ask) {
	if shown.Kind == Administrative || d.Disabled || !d.PersonalTokens {
		e.Verdict.Reason = ReasonDoor
		return
	}
	wanted := *ask
	d.want(&wanted)
	o.CheckAt(&e.Verdict, place, shown, &wanted)
	if e.Verdict.Active() && e.Verdict.Denied == ReasonNone && d.elsewhere(wanted.Resource) {
		e.Verdict.Denied = ReasonResource
	}
	if !e.Verdict.Active() || e.Verdict.Denied != ReasonNone {
		return
	}
	switch e.Verdict.Token.Kind {
	case Personal:
		e.Via = ViaPersonal
	case Service:
		e.Via = ViaService
	}
}

// want is what is asked of a token at this door: if nothing in particular, to come
// in. A token that is limited to the engine may touch everything in it.
func (d *Door) want(ask *Ask) {
	if ask.Permission == "" {
		ask.Permission, ask.Resource, ask.entering = enginesUse, d.resource, true
	}
	ask.Within = d.resource
}

// elsewhere reports whether a resource is another engine: a token that is limited to
// that one does not come in here, whatever this one asks about.
func (d *Door) elsewhere(on Resource) bool {
	kind, _ := on.split()
	of, _ := d.resource.split()
	return kind == of && on != d.resource
}

// verifies reports whether the text is the verification token. What is empty is not,
// whatever the door says.
func (d *Door) verifies(text string) bool {
	if d.Verification.IsZero() || text == "" || len(text) > maxVerification {
		return false
	}
	var copied [maxVerification]byte // so that the text does not escape to the heap
	return same(sha256.Sum256(copied[:copy(copied[:], text)]), d.Verification)
}

// believable is whom somebody says they act for, if it is an address at all.
func believable(email string) string {
	if email == "" || len(email) > MaxEmail || !utf8.ValidString(email) || strings.ContainsFunc(email, hidden) {
		return ""
	}
	if parsed, err := mail.ParseAddress(email); err != nil || parsed.Address != email {
		return ""
	}
	return email
}
