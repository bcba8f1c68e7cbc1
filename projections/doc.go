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
// epoch), crown (the tree over all trees), connection (a process of an engine that follows), receipt (what it has confirmed of
// a change).
//
// Execute lives here and not in a package of its own because it needs exactly
// what the Model has: the folded state, the lock around it, and the store.
//
// To add a view of a noun: its table in schema.go, what each event writes in the
// noun's file, the query beside it with the organization first in every WHERE,
// and a case in the suite, which runs on both databases.
package projections
