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
// A backup (backup.go) is all of this as one stream, of which every byte is vouched
// for: what was changed, dropped, doubled, moved or cut off is found when it is read,
// and its place named. What is left of a damaged log is read without a server (Files,
// Copy), which would cut or delete it; a log that is made from a copy is Unfinished, and
// nobody opens it before it was read back and proved.
//
// What is personal in a commit is stored sealed, under a key for each person, and the
// keys are in Keys: also beside the log, which never forgets, because they are what is
// deleted when a person is erased. They are wrapped by a master key, which is kept where
// the data is not, and are unwrapped in a Vault: it seals a commit on its way into the
// log and opens it on its way out. A key that was deleted is overwritten on disk, and
// never made again. Bytes of the log never change for that: of an erased person they
// hold noise, and every hash over them is as it was.
//
// Not promised: that what was stored before there were keys (commits of version 1, and
// reports of usage from then) is ever anything but clear; and that a cluster's own
// journals forget a key before they are compacted, or backups before they are deleted.
//
// To add a store, implement Store and call eventstoretest.Run from its test; for
// usage, objects, presence and keys implement Usage, Objects, Presence or Keys and call
// RunUsage, RunObjects, RunPresence or RunKeys. What else is personal is sealed and
// opened in personal.go, and nowhere else.
package eventstore
