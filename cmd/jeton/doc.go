// Command jeton issues, checks and revokes the access tokens of many
// organizations: the service, and the commands that speak to it.
//
// It wires and nothing else: reads settings, builds values, runs, reports. One
// file per noun; what a command does to the platform is said in domain.
//
// Words: setting (a line in the table of config.go, from which flags, variables,
// the file and their help are made), data directory (data.go), founding (the
// first commit of an empty platform, init.go), context (an address and a token
// that the client commands use, context.go), gate (what stands before an engine and
// decides who comes in, gate.go), receipt (that a process of an engine has heard of a
// revocation, receipt.go).
//
// Also: backup (the platform as one file, backup.go), restore (the way back, into an
// empty place, restore.go), repair (a log made anew from what proves what it was,
// repair.go), filling (a log that nobody opens until it was read back and proved,
// keep.go). A restored or repaired log has a new id: it may lack commits that engines
// have heard of, and the id is how they notice.
//
// To add a setting: a field of Config and a line in its table. To add a command:
// its noun's file, and a story in testdata/script that begins with the promise.
package main
