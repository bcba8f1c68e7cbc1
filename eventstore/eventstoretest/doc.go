// Package eventstoretest says what every log, every stream of usage, all objects and
// all presence promise, as tests.
//
// Run checks one implementation of eventstore.Store against the promises of
// package eventstore, RunUsage one of eventstore.Usage, RunObjects one of
// eventstore.Objects, RunPresence one of eventstore.Presence. What passes may stand
// wherever one is asked for. Followed, Entry, FollowUsage and Report help the tests
// of special ones.
package eventstoretest
