// Package databaselabtest asks a server with the client that the engine of
// Database Lab really has, and guards of an engine with the client that its CLI
// has: the middleware of package engine, jeton gate, and nginx in front of that. It
// is a module of its own, because these clients bring more with them than the
// product should depend on. It needs nginx.
//
//	go test -race ./...
package databaselabtest
