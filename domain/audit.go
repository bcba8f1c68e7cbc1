package domain

import "strings"

// What is worth knowing although nothing changed: refusals, and who has read what
// happened. It stands in the organization's log like everything else, so that it is
// as durable, and as hard to deny. It is recorded by the word of who saw it: nobody
// is asked whether they may be refused.

// Occurrence is a command that records something that changes nothing.
type Occurrence interface {
	OrganizationCommand
	// Again is the same, as it happened so many times.
	Again(times uint32) Occurrence
}

// RecordRefusal records that somebody was refused. Texts that are too long, or that
// do not show, are cut to what does: what a stranger sends can't prevent it.
type RecordRefusal struct{ AccessRefused }

// Decide records it.
func (c RecordRefusal) Decide(*Organization, Meta) ([]Event, error) {
	e := c.AccessRefused
	e.Action, e.Code = fit(e.Action, MaxName), fit(e.Code, MaxName)
	e.Target, e.Reason = fit(e.Target, MaxName), fit(e.Reason, MaxReason)
	e.Times = moreThanOne(e.Times)
	return []Event{e}, nil
}

// Again is the same refusal.
func (c RecordRefusal) Again(times uint32) Occurrence { c.Times = times; return c }

// RecordRead records that somebody has read what happened.
type RecordRead struct{ AuditRead }

// Decide records it.
func (c RecordRead) Decide(*Organization, Meta) ([]Event, error) {
	e := c.AuditRead
	e.Action, e.Query, e.Times = fit(e.Action, MaxName), fit(e.Query, MaxReason), moreThanOne(e.Times)
	return []Event{e}, nil
}

// Again is the same reading.
func (c RecordRead) Again(times uint32) Occurrence { c.Times = times; return c }

// RecordExport records that somebody takes what happened with them.
type RecordExport struct{ AuditExported }

// Decide records it.
func (c RecordExport) Decide(*Organization, Meta) ([]Event, error) {
	return []Event{AuditExported{fit(c.Action, MaxName), fit(c.Query, MaxReason)}}, nil
}

func moreThanOne(times uint32) uint32 {
	if times == 1 {
		return 0
	}
	return times
}

// fit is what of a text can stand in the log as one line.
func fit(text string, most int) string {
	shown := []rune(strings.Map(func(r rune) rune {
		if hidden(r) {
			return '\uFFFD'
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD")))
	if len(shown) > most {
		shown = append(shown[:most-1], '…')
	}
	return string(shown)
}

// AccessRefused says that somebody wanted something and did not get it: what was
// wanted ("POST tokens"), as which problem it was refused ("denied", "foreign",
// "revoked"), what it was about, and why. Token is what they showed, if it is not
// good any more.
type AccessRefused struct {
	Action string  `json:"action"`
	Code   string  `json:"code"`
	Target string  `json:"target,omitempty"`
	Reason string  `json:"reason,omitempty"`
	Token  TokenID `json:"token,omitzero"`
	Times  uint32  `json:"times,omitempty"` // since it was recorded before; zero: once
}

// Kind is stored.
func (AccessRefused) Kind() string { return "access.refused" }

// Evolve changes nothing.
func (AccessRefused) Evolve(*Organization, Meta) {}

// AuditRead says that somebody has read what happened: how ("list", "tail", "proof"),
// and which part of it.
type AuditRead struct {
	Action string `json:"action"`
	Query  string `json:"query,omitempty"`
	Times  uint32 `json:"times,omitempty"` // since it was recorded before; zero: once
}

// Kind is stored.
func (AuditRead) Kind() string { return "audit.read" }

// Evolve changes nothing.
func (AuditRead) Evolve(*Organization, Meta) {}

// AuditExported says that somebody has taken what happened out of the house.
type AuditExported struct {
	Action string `json:"action"`
	Query  string `json:"query,omitempty"`
}

// Kind is stored.
func (AuditExported) Kind() string { return "audit.exported" }

// Evolve changes nothing.
func (AuditExported) Evolve(*Organization, Meta) {}

// unfit says why tokens that organizations know are good no more, where that is worth
// knowing. Those that are used too often, and those that are switched off together
// with all others, are not: their holders have done nothing.
var unfit = map[Reason]string{
	ReasonRevoked:   "the token was revoked",
	ReasonExpired:   "the token has expired",
	ReasonSuspended: "its holder is suspended, or is gone",
	ReasonWaiting:   "the token waits for approval",
	ReasonNotYet:    "the time of the token has not begun",
	ReasonNetwork:   "the token may not be used from there",
	ReasonPolicy:    "the policy does not take the token",
	ReasonIdle:      "the token was not used for too long",
	ReasonUnbound:   "the organization takes only tokens of its own",
	ReasonDeleted:   "the account of its holder was deleted",
}

// Unfit is why a token that somebody has shown is good no more, if it was one, and
// if that is worth knowing.
func (v *Verdict) Unfit() (why string, worth bool) {
	if v.Active() || v.Token.Kind == NoKind {
		return "", false
	}
	why, worth = unfit[v.Reason]
	return why, worth
}

// Burned reports whether a token was ended by somebody who had found its secret.
func (o *Organization) Burned(id TokenID) bool { return o.burned[id] }
