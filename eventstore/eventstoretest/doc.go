// Package eventstoretest says what every log promises, as tests.
//
// Run checks one implementation of eventstore.Store against the promises of
// package eventstore. A store that passes may stand wherever a store is asked
// for. Followed and Entry help the tests of special stores.
package eventstoretest
