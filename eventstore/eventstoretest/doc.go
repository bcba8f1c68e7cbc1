// Package eventstoretest says what every log and every stream of usage promises, as
// tests.
//
// Run checks one implementation of eventstore.Store against the promises of
// package eventstore, RunUsage one of eventstore.Usage. What passes may stand
// wherever one is asked for. Followed, Entry, FollowUsage and Report help the tests
// of special ones.
package eventstoretest
