// Package domain holds the rules of Jeton: who may hold a token, who may give
// one, and when a token opens a door.
//
// A command says what somebody wants (IssueToken). Decide holds it against what
// is so and answers what happens: events (TokenIssued), or a refusal. Evolve
// takes an event into the state. Check asks the same state whether a secret
// opens the door. Nothing else happens here.
//
// Promises:
//
//   - Decide, Evolve and Check read nothing but their arguments: no clock, no
//     randomness, no context, no I/O. The same history gives the same answers,
//     on every machine and in every year.
//   - Authorization is decided here, in Decide, against the state at the moment
//     of the commit, and in Allows, for queries. No transport decides it.
//   - A refusal is a Refusal around one of the sentinels in error.go.
//   - Stored kinds ("token.issued") keep their meaning for ever.
//   - Only the standard library is imported.
//
// Words: organization (the tenant, and the consistency boundary: all rules about
// tokens are decided against one organization's state), directory (the boundary
// above organizations: people's accounts, aliases, operators), account (a
// person), member (an account in an organization, with a role), service account (a
// machine in an organization, with a grant), operator (who may make organizations),
// holder (whom a token belongs to: a member, a service account, or the organization),
// token (the record), secret (the string that its bearer shows), permission (one
// thing that can be allowed), catalogue (which permissions there are), role (a named
// set of them), grant (what a token is given), terms (all that it is bound to: grant,
// networks, times, limit), ceiling (what its holder may do), policy (what the
// organization demands), verdict (the answer of a check), engine (an API of an
// organization that lets bearers in), door (how it decides about who comes in), copy
// (what an engine has of its organization), piece (a part of that, as it is told),
// project (a name for what belongs together), record (what a program of Database Lab
// has sent), content (what of it is too large for the log), webhook (an address to which
// an organization has its events sent), epoch (a moment at which the service signs all
// histories), erased (of a person: deleted, and what was known of them forgotten).
//
// What a token may do at a moment is its grant, cut down to its ceiling, if the
// policy does not block it. A check computes that anew: nothing is ever taken from a
// token behind its back, and nothing is left to it that its holder has lost.
//
// State is kept without pointers where there are many of a thing: a token in
// memory has its name as a hash only. A million names and ids as strings are
// three million objects that the garbage collector visits while checks are
// waiting; as arrays they are none. What people read (names, descriptions) lives
// in the events and in the SQL views.
//
// A door decides by one rule wherever it is asked: at the platform, in an engine's
// copy, in a gate. That is why a copy is an organization too, told in pieces: the same
// code checks there.
//
// What is worth knowing although nothing changed (audit.go) is an event, too: that
// somebody was refused, that somebody has read what happened. It changes nothing, and
// nobody is asked whether they may be recorded.
//
// To add a rule: a command with Decide in its noun's file, its
// events with Evolve beside it, their kinds in vocabulary.go, scenarios in the
// noun's test, a golden sample in testdata.
package domain
