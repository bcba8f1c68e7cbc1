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
//   - Refusals that are worth knowing are known to the organization that they are about
//     (refusal.go), and what happened is shown to nobody before it is recorded that
//     they read it. Neither changes an answer. A route that reads it says so: reads.
//   - What was is asked for where what is is, by ?as_of=: the handler is the same, and
//     does not know (past.go). Who may ask is settled by what they may do today.
//   - A secret is in the answer that creates it and nowhere else: in no URL, no
//     log line, no error.
//   - Webhooks get what they want of what happens in their organization, in order and at
//     least once, or a dead letter says what they did not get. No command waits for it.
//   - What members of an organization have sent to addresses of theirs (Outgoing) reaches
//     the public internet, and nothing else unless the operator allows it.
//
// Events are sent from the second copy of the log in SQL (Deliveries), because it has all
// of them in their order, on every node, whatever was in memory; a webhook is a place in
// it. In order means that an event that is not taken holds up those behind it, of this
// webhook, for at most a day. What is sent is made anew each time, from the log, so that
// only places have to be kept.
//
// Words: route, access (who may call a route), caller (who does), problem (an
// error as RFC 9457 writes it), dialect (another product's API that we speak),
// stream (what an engine is told, line by line; see package engine), receipt (which
// engines have confirmed a revocation), tail (the audit log as it comes, event by event),
// export (the audit log whole; a format is a line in auditFormats), delivery (an event on
// its way to a webhook), outgoing (what reaches the addresses that others have chosen),
// fault (why it did not, in words for them).
//
// To add a route: a handler in its noun's file, which decodes, calls one thing
// and encodes; a line in routes.go; scenarios in the noun's test. The OpenAPI
// document, the neighbour test and the role test find it by themselves.
package http
