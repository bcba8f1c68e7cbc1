// Package projections keeps views of the log: what is so now, because of all
// that has happened.
//
// There are two. Model is in memory: it decides commands and checks tokens, and
// never asks anybody. Views is in SQL (SQLite or PostgreSQL): it answers people's
// questions, keeps the bytes of every commit as the log's second copy, and
// remembers how far it was and what it had read by then.
//
// Promises:
//
//   - Both are functions of the log: forgotten and built again they are the same.
//   - A view takes every commit once, in order, or stops and says why. None is
//     ever skipped. The rows of a commit and the checkpoint behind it are written
//     in one transaction.
//   - A command is answered when its commit is on disk and in this Model. Views
//     follow; Views.Wait tells when.
//   - A check touches memory only.
//   - A log that is shorter than a view remembers, has a hole or another history
//     is not served from.
//   - What is personal is in no table, report or file in clear: list opens it on its
//     way to who asks. When a person is erased every node forgets what it knows of them,
//     and what broke off is done at the next start.
//   - The Model does not need SQL once it runs: when the database is away,
//     commands and checks go on, and lists say that they can't be given.
//
// How tokens are used is counted in memory and told to the other nodes through a
// stream of its own (Model.Report), which every node's Model and tables follow
// (Views.FollowUsage). It is no history: a rebuild keeps it, since the log does not
// have it, and a node that dies takes what it has counted since its last report
// with it. A check is never kept waiting by it, and using a token never changes it.
//
// Engines that keep a copy of their organization follow the Model (Model.Live): each
// hears of everything once, and then of every change, with marks that chain, so that a
// gap is seen. Nothing is remembered of changes while nobody follows. How far each
// process of an engine is, on whichever node, is in Connections: it is kept in memory
// and told among the nodes, and lost with them; what engines count of uses is counted
// here (Model.CountUses).
//
// Refusals and readings of what happened change nothing, and are recorded in the log
// nevertheless (Model.Note, Model.Read): whoever is refused never waits for it, however
// often it happens it is few commits, and whoever reads waits until it is recorded.
//
// The second copy is what a backup is made of (Copied) and what a damaged log is made
// of again (Repair): both hold it against its chain, and what nothing proves is refused.
//
// How far each webhook is stands in lasting tables (Views.TakeDelivery): what a receiver
// has got is not in the log either. A node delivers to a webhook while it has a lease of
// it, and moves it on only while it still has.
//
// What was is answered as what is (Past): an organization at a moment is a Model of that
// moment, and lists asked with its context are of its rows. It is made from the commits
// that settle more than tokens, and from the tokens as they were; a moment is the last
// commit of the organization by then. That is quicker than a fold of all commits and no
// less true, which a property test says. What tokens were used for is not in it: usage
// is no history, so that no token of the past is called idle. Issuing a token costs
// the past nothing; changing one copies its row.
//
// The trees of all histories (tree.go) grow in the transaction that writes their commits.
// Sealer signs their roots; the epoch is a commit of the directory, so that it is durable,
// copied and in backups like all others, and of two nodes one seals. Views hold each
// epoch against the trees when they take it: a log that tells another history than was
// signed stops them. Only every eighth level of a tree is kept, as a row for each 256
// nodes beneath it: a commit costs a row, and a proof a few reads.
//
// Words: model (the view in memory), tenant (an organization in the model), views
// (the tables), checkpoint (the head up to which the tables are), batch (commits
// that are written in one transaction), rebuild (forget the tables, read the log),
// epoch (all histories up to a position, signed), head (the tree of an organization in an
// epoch), crown (the tree over all trees), place (where an event stands: position and item), portrait (what a thing was), mark (of
// an address), walk (a way along an index), connection (a process of an engine that follows), receipt (what it has confirmed of
// a change), dead letter (an event that a webhook has given up to deliver).
//
// The audit log is a view, too (audit.go): one row for each event, in the transaction of
// the others. A row keeps what nobody could tell later (names as they were, and what the
// event has changed, which is read before it is changed) and what it is found by; what
// came after, the reason, address and program are read from the commit. It goes by
// places, a position and an item in one number, so that pages, tails and exports resume
// at any event. Words, and the things that a row is about, are in a table of their own,
// because a row has many: the end of a thousand tokens at once is found by each of them.
// Addresses are found by a keyed mark and stand in no table. A new kind of event of a
// known family needs no line; one that changes something names the fields in
// fieldsChanged (audit_kind.go).
//
// Execute lives here and not in a package of its own because it needs exactly
// what the Model has: the folded state, the lock around it, and the store.
//
// To add a view of a noun: its table in schema.go, what each event writes in the
// noun's file, its versions in past.go if lists of the past are to have it, the query
// beside it with the organization first in every WHERE, and a case in the suite, which
// runs on both databases.
package projections
