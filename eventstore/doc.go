// Package eventstore keeps every commit of every organization in one order.
//
// The log is the only truth of this service; all else can be built again from
// it. A commit is what one command did: all of its events, stored as one message
// or not at all. Whose history it belongs to is its boundary: an organization,
// or the directory of all organizations and people.
//
// Promises, which package eventstoretest checks on every store:
//
//   - An append adds all of its events or none, and is answered when they are on disk.
//   - Of two appends behind the same commit of a boundary, one wins. The other
//     gets ErrConflict and may decide again.
//   - An append that is repeated adds nothing and is told where its commit stands.
//   - Whoever follows the log sees every commit once, in the order of positions,
//     and positions have no gaps.
//   - What follows a hole, a step backwards or a change of history is never
//     handed out: reading ends with Damage.
//
// Not promised: that the commits of one boundary are neighbours. Others lie between.
//
// Words: log, position (the number of a commit, from 1), boundary, entry (a
// commit before it has a position), record (after), chain (a running hash over
// all records, computed by whoever reads), head (position and chain: how far
// somebody is). The chain is computed by readers because concurrent writers do
// not know their order; but each commit names the hash of its boundary's commit
// before it, which its writer does know.
//
// Beside the log stands Usage, where nodes tell each other how tokens were used.
// There is much of it and it is no history: it has limits of its own, forgets what
// is old, is made again when it is lost, and of all that the log notices nothing.
// It promises followers their order and no report twice, but not every report.
//
// There also stands Objects, which keeps what is too large for a commit: an object
// is content under a name, whole and on disk or not there, the same for ever until
// it is deleted, and read to its end only if it is what was stored. Chunks that a
// Put left behind when it was killed are leftovers; Sweep removes them.
//
// And Presence, where nodes tell each other what is so just now, such as which
// engines are connected to them. Nothing of it is kept and any of it may be lost,
// so it is told again and again: a node tells, all others hear.
//
// What the log says can be proved to whoever does not trust its keeper: each commit is a
// leaf (Leaf) of the Merkle tree of its organization, an epoch (Statement) signs the
// roots of all trees, and a bundle has all that a stranger needs to check them. Its
// format stands in bundle.go, and VerifyBundle says of each change where it is. A
// history that ends at an epoch looks whole: that something was cut off behind it is
// seen by epochs that were kept elsewhere (Trust.Anchor).
//
// To add a store, implement Store and call eventstoretest.Run from its test; for
// usage, objects and presence implement Usage, Objects or Presence and call
// RunUsage, RunObjects or RunPresence.
package eventstore
