package http

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"jeton/domain"
	"jeton/projections"
)

// access is who may call a route. The zero value admits nobody.
type access struct {
	who    who
	needs  []domain.Permission // for inside: one of them, or none is needed
	tokens func(*http.Request) ([]string, error)
	free   bool // does not count against the caller's limits: it is asked about others
	off    bool // admits also while the organization has switched tokens off
}

type who uint8

const (
	nobody   who = iota
	anybody      // no credential is looked at
	bearer       // whoever shows a live token
	operator     // an operator of the platform
	inside       // a caller whose token belongs to the organization in the path
	anEngine     // an engine, which shows its access token
)

var (
	open      = access{who: anybody}
	signedIn  = access{who: bearer, tokens: bearerTokens}
	operators = access{who: operator, tokens: bearerTokens}
	insiders  = access{who: inside, tokens: bearerTokens} // whatever they may do

	// engines are let in also while their organization has switched tokens off: its
	// bearers are to be kept out there, and they have to hear of it.
	engines = access{who: anEngine, needs: []domain.Permission{domain.TokensCheck}, tokens: bearerTokens, free: true, off: true}
)

// allowed admits callers of the organization in the path who have one of the
// permissions. Commands decide the finer rules again.
func allowed(oneOf ...domain.Permission) access {
	return access{who: inside, needs: oneOf, tokens: bearerTokens}
}

// asking is the access of a route that asks about others: it is not limited by
// how often its callers may be.
func (a access) asking() access {
	a.free = true
	return a
}

// Caller is who sent a request, after the door has looked at what they showed.
// Its zero value is a stranger.
type Caller struct {
	projections.Checked
	Request string // request id
	Address netip.Addr
	Agent   string          // what the program calls itself, as it was sent
	Engine  domain.Position // whose access token they show, on routes for engines
}

// Actor is the caller as the domain knows them.
func (c Caller) Actor() domain.Actor { return c.Checked.Actor() }

// Meta is the occasion of a command by this caller in the organization that they
// have come to.
func (c Caller) Meta() domain.Meta {
	meta := domain.Meta{Organization: c.Organization, Actor: c.Actor(), Request: c.Request, Agent: agentOf(c), Replaced: c.Replaced != 0}
	if c.Address.IsValid() {
		meta.Address = c.Address.String()
	}
	return meta
}

// What a door can say.
var (
	errNoCredential   = errors.New("no credential")
	errBadCredential  = errors.New("bad credential")
	errTwoCredentials = errors.New("two credentials that differ")
	errTokenInURL     = errors.New("a token in the URL")
	errSwitchedOff    = errors.New("tokens are switched off")
)

// admit settles who calls, into c, or why they may not.
func (s *Server) admit(r *http.Request, a access, c *Caller) error {
	c.Request, c.Address, c.Agent = requestID(r), s.address(r), r.UserAgent()
	if inURL(r.URL) {
		return errTokenInURL
	}
	if a.who == anybody {
		return nil
	}
	if a.who == nobody {
		return domain.Refuse(domain.ErrDenied, "nobody may call this", "")
	}
	shown, err := a.tokens(r)
	if err != nil {
		return err
	}
	text, err := one(shown)
	if err != nil {
		return err
	}
	use := projections.Use{Address: c.Address, Agent: r.UserAgent(), Needs: a.needs, Free: a.free}
	if a.who == inside {
		return s.enter(r, a, c, text, use)
	}
	if c.Checked, err = s.Model.Check(text, use); err != nil {
		return err
	}
	if err := s.authorize(a, c); err != nil || a.who != anEngine {
		return err
	}
	return s.asEngine(c)
}

// asEngine is how an engine comes in: the token that it shows is its access token.
func (s *Server) asEngine(c *Caller) error {
	e, known := s.Model.EngineOf(c.Organization, c.ID)
	if !known {
		return domain.Refuse(domain.ErrDenied, "this is for engines", "send the access token that the registration of an engine has answered")
	}
	c.Engine = e.Number
	return nil
}

// enter is how a caller comes into the organization in the path: with a token of
// it, or with one that follows its holder there.
func (s *Server) enter(r *http.Request, a access, c *Caller, text string, use projections.Use) (err error) {
	org, known := s.Model.Find(r.PathValue("org"))
	if known {
		c.Checked, err = s.Model.CheckIn(org, text, use)
	} else {
		c.Checked, err = s.Model.Check(text, use)
	}
	if err != nil {
		return err
	}
	if c.elsewhere(org) {
		bearer, err := s.Model.Bearer(text, use)
		if err != nil {
			return err
		}
		return noOrganization(bearer, r.PathValue("org"), "check its alias or number, and whether your token is bound to it")
	}
	return s.authorize(a, c)
}

// elsewhere reports whether a token that is good, or would be if its organization
// had not switched tokens off, is no token of an organization; none: zero.
func (c *Caller) elsewhere(org domain.OrganizationID) bool {
	switch c.Reason {
	case domain.ReasonForeign:
		return true
	case domain.ReasonNone, domain.ReasonOff:
		return c.Organization != org
	}
	return false
}

func (s *Server) authorize(a access, c *Caller) error {
	switch {
	case c.Reason == domain.ReasonOff && a.off:
		return s.permitWhileOff(a, c)
	case c.Reason == domain.ReasonOff:
		return errSwitchedOff
	case c.Reason == domain.ReasonLimited:
		return &limited{c.Allowance, c.At}
	case !c.Active():
		return errBadCredential
	case a.who == operator:
		return s.Model.AllowsOperator(c.Actor())
	case a.who == bearer || a.who == inside || a.who == anEngine:
		return a.permit(&c.Granted)
	}
	return domain.Refuse(domain.ErrDenied, "nobody may call this", "")
}

// permitWhileOff is permit for the routes that stay open.
func (s *Server) permitWhileOff(a access, c *Caller) (err error) {
	for _, p := range a.needs {
		if err = s.Model.AllowsWhileOff(c.Meta(), p); err == nil {
			return nil
		}
	}
	return err
}

// permit refuses whoever has none of the permissions that are needed.
func (a access) permit(granted *domain.Permissions) error {
	if len(a.needs) == 0 || slices.ContainsFunc(a.needs, granted.Has) {
		return nil
	}
	return domain.Refuse(domain.ErrDenied, "this needs the permission %s", "ask an administrator of the organization", a.permissions())
}

func (a access) permissions() string {
	names := make([]string, len(a.needs))
	for i, p := range a.needs {
		names[i] = p.String()
	}
	return strings.Join(names, " or ")
}

// bearerTokens are the tokens in Authorization headers, as RFC 6750 writes them.
// A header that is none counts as one that is empty, so that it is refused and
// not overlooked.
func bearerTokens(r *http.Request) (tokens []string, _ error) {
	for _, header := range r.Header["Authorization"] {
		scheme, token, _ := strings.Cut(header, " ")
		if !strings.EqualFold(scheme, "Bearer") {
			token = ""
		}
		tokens = append(tokens, token)
	}
	if tokens != nil { // a proxy that speaks to the dialect may have checked the other header
		tokens = append(tokens, r.Header["Access-Token"]...)
	}
	return tokens, nil
}

// one is the credential that a request carries. The same one in two places is
// one; two that differ are refused, because a proxy may have checked the other.
func one(tokens []string) (string, error) {
	if len(tokens) == 0 {
		return "", errNoCredential
	}
	for _, token := range tokens[1:] {
		if token != tokens[0] {
			return "", errTwoCredentials
		}
	}
	return tokens[0], nil
}

// inURL reports whether a URL carries a secret, where proxies and browsers write
// it down.
func inURL(u *url.URL) bool {
	if strings.Contains(u.Path, secretBrand) || strings.Contains(u.RawQuery, secretBrand) {
		return true
	}
	if !strings.Contains(u.RawQuery, "%") {
		return false
	}
	query, err := url.QueryUnescape(u.RawQuery)
	return err == nil && strings.Contains(query, secretBrand)
}

// secretBrand is how every secret begins; see domain.Secret.
const secretBrand = "jtn_"

// address is where the request came from. Whoever connects controls
// X-Forwarded-For, so it is read only from trusted proxies, from its right end,
// up to the first address that is no trusted proxy.
func (s *Server) address(r *http.Request) netip.Addr {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	addr, _ := netip.ParseAddr(host)
	addr = addr.Unmap()
	if len(s.TrustedProxies) == 0 {
		return addr
	}
	hops := strings.Split(strings.Join(r.Header["X-Forwarded-For"], ","), ",")
	for i := len(hops) - 1; i >= 0 && s.trusted(addr); i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		addr = hop.Unmap()
	}
	return addr
}

func (s *Server) trusted(addr netip.Addr) bool {
	for _, prefix := range s.TrustedProxies {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}

type callerKey struct{}

// callerOf is the caller that the door put into ctx for a handler of huma, whose
// signature has no room for one. Only mount.go calls it.
func callerOf(ctx context.Context) Caller { return ctx.Value(callerKey{}).(visit).Caller }

// visit is a caller, and where they are answered.
type visit struct {
	Caller
	request *http.Request
	answer  http.ResponseWriter
}
