package engine

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// Where a credential stands in a request, and whom its bearer says they act for.
const (
	headerVerification = "Verification-Token"
	headerForwarded    = "X-Forwarded-User-Email"
)

// Headers that say who has come in. What a request brings of them is never believed.
const (
	HeaderSubject = "Jeton-Subject" // user:<number> or service:<number>
	HeaderEmail   = "Jeton-Email"
	HeaderVia     = "Jeton-Via"   // personal, service, verification or open
	HeaderToken   = "Jeton-Token" // the id of the token, which is no secret
	HeaderRole    = "Jeton-Role"
	HeaderAge     = "Jeton-Age" // of an answer: how old what was decided by is, in seconds
)

var (
	errTwoCredentials = errors.New("the request carries two tokens that differ: send one")
	errTokenInURL     = errors.New("a token in a URL is written down by every proxy on the way: send it as Verification-Token or Authorization: Bearer, and revoke this one")
	errBadHeader      = errors.New("a header of the request can't be read")
)

// presented is what a request shows. The same token in two places is one; two that
// differ are refused, because a proxy may have checked the other.
func presented(r *http.Request) (p Presented, err error) {
	if inURL(r.URL) {
		return p, errTokenInURL
	}
	for _, shown := range credentials(r.Header) {
		if p.Secret != "" && shown != p.Secret {
			return p, errTwoCredentials
		}
		p.Secret = shown
	}
	if len(r.Header[headerForwarded]) > 1 {
		return p, errBadHeader
	}
	p.Forwarded, p.Agent = r.Header.Get(headerForwarded), r.UserAgent()
	return p, nil
}

// credentials are the tokens in the headers of a request. An empty one is none, and
// so is an Authorization of another scheme: it is for whoever is behind.
func credentials(h http.Header) (all []string) {
	for _, value := range h[headerVerification] {
		all = append(all, strings.TrimSpace(value))
	}
	for _, value := range h["Authorization"] {
		if scheme, token, _ := strings.Cut(strings.TrimSpace(value), " "); strings.EqualFold(scheme, "Bearer") {
			all = append(all, strings.TrimSpace(token))
		}
	}
	return slices.DeleteFunc(all, func(s string) bool { return s == "" })
}

// secretBrand is how the secret of every token begins; see domain.Secret.
const secretBrand = "jtn_"

// inURL reports whether a URL carries the secret of a token. Of a verification token
// nobody can say by its looks.
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

// address is where a request comes from. Whoever connects controls X-Forwarded-For,
// so it is read only from trusted proxies, from its right end, up to the first
// address that is no trusted proxy. One in it that can't be read is nobody's.
func address(r *http.Request, trusted []netip.Prefix) netip.Addr {
	addr := remote(r)
	if !within(addr, trusted) {
		return addr
	}
	hops := r.Header["X-Forwarded-For"]
	if len(hops) == 0 {
		return addr
	}
	list := strings.Split(strings.Join(hops, ","), ",")
	for i := len(list) - 1; i >= 0 && within(addr, trusted); i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(list[i]))
		if err != nil {
			return netip.Addr{}
		}
		addr = hop.Unmap().WithZone("")
	}
	return addr
}

func remote(r *http.Request) netip.Addr {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	addr, _ := netip.ParseAddr(host)
	return addr.Unmap().WithZone("")
}

func within(addr netip.Addr, networks []netip.Prefix) bool {
	return slices.ContainsFunc(networks, func(n netip.Prefix) bool { return n.Contains(addr) })
}

// strip removes from a request's headers what says who somebody is, however it is
// spelled: what is behind may take an underscore for a hyphen, or ask for names in
// small letters. And it removes from Connection that proxies on the way inside are to
// drop these headers, which would make nobody of whoever comes in.
func strip(h http.Header) {
	for name := range h {
		if saysWho(name) {
			delete(h, name)
		}
	}
	options, given := h["Connection"]
	if !given {
		return
	}
	var kept []string
	for option := range strings.SplitSeq(strings.Join(options, ","), ",") {
		if option = strings.TrimSpace(option); option != "" && !saysWho(option) {
			kept = append(kept, option)
		}
	}
	if delete(h, "Connection"); len(kept) > 0 {
		h["Connection"] = []string{strings.Join(kept, ", ")}
	}
}

func saysWho(name string) bool {
	plain := strings.ToLower(strings.ReplaceAll(name, "_", "-"))
	return strings.HasPrefix(plain, "jeton-") || plain == strings.ToLower(headerForwarded)
}

// tell puts who has come in above a request or an answer. All headers are set, also
// those that have nothing to say: some proxies replace only those that are there.
func (a *Answer) tell(h http.Header) {
	h.Set(HeaderSubject, a.Subject())
	h.Set(HeaderEmail, a.Email)
	h.Set(HeaderVia, string(a.Via))
	h.Set(HeaderToken, a.tokenID())
	h.Set(HeaderRole, string(a.Role))
	h.Set(headerForwarded, a.Email)
}

func (a *Answer) tokenID() string {
	if a.Token.IsZero() {
		return ""
	}
	return a.Token.String()
}
