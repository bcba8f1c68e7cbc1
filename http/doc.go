// Package http lets the world in: the API, the dialect of Database Lab, what OAuth,
// proxies and Kubernetes ask, the streams of engines, health and metrics.
//
// Promises:
//
//   - Every route stands in a table of routes (routes.go; engines, standards and the
//     dialect have tables of their own, of the same kind) and says there
//     who may call it, how large a body may be and what it leaves in the log. A
//     route that says nothing admits nobody.
//   - Who calls is settled before a handler runs; a handler gets a Caller and
//     cannot run without one.
//   - Another organization's thing is not found, never forbidden.
//   - A refusal of the domain is translated in one place (error.go). People get a
//     sentence and a next step; what went wrong inside stays inside.
//   - What was is asked for where what is is, by ?as_of=: the handler is the same, and
//     does not know (past.go). Who may ask is settled by what they may do today.
//   - A secret is in the answer that creates it and nowhere else: in no URL, no
//     log line, no error.
//
// Words: route, access (who may call a route), caller (who does), problem (an
// error as RFC 9457 writes it), dialect (another product's API that we speak),
// stream (what an engine is told, line by line; see package engine), receipt (which
// engines have confirmed a revocation).
//
// To add a route: a handler in its noun's file, which decodes, calls one thing
// and encodes; a line in routes.go; scenarios in the noun's test. The OpenAPI
// document, the neighbour test and the role test find it by themselves.
package http
