// Package gitleakstest scans with gitleaks, as deployments/gitleaks.toml sets it
// up. It is a module of its own, because gitleaks brings more with it than the
// product should depend on.
//
// Nothing in it runs side by side, and the race detector makes it twenty times as
// slow: it does without.
//
//	go test ./...
package gitleakstest
