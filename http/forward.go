package http

import (
	"cmp"
	"errors"
	"net/http"
	"net/netip"

	"github.com/danielgtaylor/huma/v2"

	"jeton/domain"
	"jeton/engine"
	"jeton/projections"
)

// Forward authentication: a proxy in front of an engine asks here about each request
// that it has before it, and lets it through on 200. How proxies ask and what they
// are answered says engine.Forward; it is the same here and in a gate. What is
// different here is that many engines ask, so the proxy says which one it guards, by
// the engine's access token.
const (
	forwardPath = "/auth/forward"

	// engineHeader has the access token of the engine. The proxy's own configuration sets
	// it; the client's credential is where the client has put it.
	engineHeader = "Jeton-Engine"

	// addressHeader has the address of the client, if the proxy's own configuration sets
	// it. X-Forwarded-For is not read: who stands between the proxy and this service is
	// its operator's business, and would be taken for the client.
	addressHeader = "Jeton-Address"
)

// proxies are engines that a proxy speaks for. They show the same in another place.
var proxies = engines.showing(proxyTokens)

func (a access) showing(tokens func(*http.Request) ([]string, error)) access {
	a.tokens = tokens
	return a
}

// proxyTokens are the access tokens that a proxy shows.
func proxyTokens(r *http.Request) ([]string, error) { return r.Header[engineHeader], nil }

var errNoEngine = problem(http.StatusUnauthorized, "no-engine", "the proxy has not shown the access token of an engine",
	"set the header "+engineHeader+" to it in the configuration of the proxy")

// forward answers /auth/forward, with any method and with any path behind it.
func (s *Server) forward(w http.ResponseWriter, r *http.Request, c Caller) error {
	engine.Forward(doorman{s, c, clientAddress(r)}, engine.Options{Prefix: forwardPath}).ServeHTTP(w, r)
	return nil
}

// clientAddress is where the client is, as the proxy says. What cannot be read, and
// what is said twice, is nowhere.
func clientAddress(r *http.Request) netip.Addr {
	told := r.Header[addressHeader]
	if len(told) != 1 {
		return netip.Addr{}
	}
	address, _ := netip.ParseAddr(told[0])
	return address.Unmap().WithZone("")
}

// refuseProxy writes a problem for whoever configures a proxy. Whatever is wrong with
// what it has shown, it is to show something else.
func refuseProxy(w http.ResponseWriter, p *Problem) {
	if p.Status == http.StatusUnauthorized || p.Status == http.StatusForbidden {
		p = errNoEngine
	}
	writeProblem(w, p)
}

// doorman decides at the door of the engine that asks, from the model.
type doorman struct {
	server  *Server
	asker   Caller
	address netip.Addr // where whoever stands there is; invalid: nobody says
}

// Check lets nobody in while the model does not serve.
func (d doorman) Check(p engine.Presented) (a engine.Answer) {
	use := projections.Use{Address: d.address, Permission: p.Permission, Resource: p.Resource, Agent: redact(p.Agent), Engine: d.asker.ID}
	came, err := d.server.Model.Enter(d.asker.Organization, d.asker.Engine, p.Secret, p.Forwarded, use)
	switch {
	case errors.Is(err, domain.ErrNotFound): // deleted while it asked
		a.Reason = domain.ReasonDoor
	case err != nil:
		a.Reason = domain.ReasonStale
	default:
		a = d.answer(&came)
	}
	d.server.meter.checked(a.Reason)
	return a
}

func (d doorman) answer(came *projections.Entered) engine.Answer {
	at, _ := d.server.Model.Engine(d.asker.Organization, d.asker.Engine)
	a := engine.Answer{
		Allowed: came.Via != domain.ViaNothing, Via: came.Via, Email: came.Email,
		Organization: d.asker.Alias, Engine: at.Name, At: came.At, Position: d.server.Model.Position(),
	}
	if !a.Allowed {
		a.Reason = cmp.Or(came.Reason, came.Denied)
	}
	if came.Token.Kind == domain.NoKind {
		return a
	}
	a.Token, a.ExpiresAt, a.Role, a.Limit = came.ID, came.Token.Expires, came.Role, came.Allowance
	switch came.Token.Kind {
	case domain.Personal:
		a.Holder = came.Account.Number
	case domain.Service:
		account, _ := d.server.Model.ServiceAccount(came.Organization, came.Token.Holder)
		a.Holder = account.Number
	}
	return a
}

// answersHeaders describes who shows what to whom in forward authentication.
func answersHeaders(op *huma.Operation, _ huma.Registry) {
	said := map[string]*huma.Param{}
	for name, what := range map[string]string{
		engine.HeaderSubject: "Who has come in, for ever: user:<number> or service:<number>; empty: it is not known.",
		engine.HeaderEmail:   "The e-mail of whoever has come in; empty: nobody in person.",
		engine.HeaderVia:     "What they have come in with: personal, service, verification or open.",
		engine.HeaderToken:   "The id of their token, which is no secret.",
		engine.HeaderRole:    "Their role in the organization.",

		"X-Forwarded-User-Email": "Their e-mail again, as programs of Database Lab read it.",
	} {
		said[name] = &huma.Param{Description: what, Schema: &huma.Schema{Type: huma.TypeString}}
	}
	op.Security = []map[string][]string{{"engine": {}}}
	op.Responses["200"] = &huma.Response{Description: "Let the request through, with these headers in place of its own.", Headers: said}
}
