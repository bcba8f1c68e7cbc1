// Package databaselabtest asks a server with the client that the engine of
// Database Lab really has. It is a module of its own, because that client brings
// more with it than the product should depend on.
//
//	go test -race ./...
package databaselabtest
