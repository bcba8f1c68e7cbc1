package engine

import (
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// Forward answers proxies that ask before they let a request through. It decides by
// the headers of the request, which the proxy passes on, and about the path and
// method that were asked for.
//
//   - nginx (auth_request): set X-Original-URI to $request_uri and X-Original-Method
//     to $request_method. It takes 401 and 403 as they are and makes 500 of all else,
//     of a stale copy too: its users see an error, and nobody comes in.
//   - Traefik (forwardAuth) and Caddy (forward_auth) set X-Forwarded-Uri and
//     X-Forwarded-Method themselves, and pass every answer on.
//   - Envoy (HTTP ext_authz) appends the path to Options.Prefix (path_prefix), and
//     asks with the method.
//
// A request that is said to be two different ones is refused with 400: one of them is
// what a stranger has written. So is one that nobody tells of, if what it is matters
// here. Proxies are told apart by nothing else, so the endpoint is not for strangers:
// who can reach it can ask about any request, though only with a token of their own.
//
// Whoever comes in gets 200, no body, and who they are in the headers Jeton-Subject,
// Jeton-Email, Jeton-Via, Jeton-Token, Jeton-Role and X-Forwarded-User-Email, which
// the proxy is to copy. All of them are always there, if need be empty, so that none
// that the request has brought along stays. Who does not is answered as Middleware
// has it.
//
// Where bearers are is known if Options.TrustedProxies has the proxy, from its
// X-Forwarded-For; else nowhere, and tokens that are bound to networks are refused.
func Forward(checker Checker, options Options) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked, err := options.original(r)
		if err != nil {
			badRequest(err).write(w)
			return
		}
		if options.open(asked) {
			new(Answer).tell(w.Header())
			return
		}
		_, a, refusal := options.ask(checker, asked, behind(r, options.TrustedProxies))
		if refusal != nil {
			refusal.write(w)
			return
		}
		options.sayAge(w.Header(), &a)
		a.tell(w.Header())
		w.Header().Set("Cache-Control", "no-store")
	})
}

// behind is where whoever is behind the proxy that asks is.
func behind(r *http.Request, trusted []netip.Prefix) netip.Addr {
	if !within(remote(r), trusted) || len(r.Header["X-Forwarded-For"]) == 0 {
		return netip.Addr{}
	}
	return address(r, trusted)
}

var (
	errTwoRequests = errors.New("the request is said to be two different ones: let the proxy set its own headers and remove the others")
	errNoRequest   = errors.New("the proxy does not say what was asked for: let it set X-Original-URI and X-Original-Method")
)

// original is the request that the proxy was sent, as all who tell of it agree.
func (o *Options) original(r *http.Request) (*http.Request, error) {
	path, method := "", ""
	if rest, below := strings.CutPrefix(r.URL.RequestURI(), o.Prefix); o.Prefix != "" && below && strings.HasPrefix(rest, "/") {
		path, method = rest, r.Method
	}
	for _, told := range []struct {
		into *string
		name string
	}{{&path, "X-Original-Uri"}, {&path, "X-Forwarded-Uri"}, {&method, "X-Original-Method"}, {&method, "X-Forwarded-Method"}} {
		for _, value := range r.Header[told.name] {
			if *told.into != "" && *told.into != value {
				return nil, errTwoRequests
			}
			*told.into = value
		}
	}
	return o.request(r, path, method)
}

func (o *Options) request(r *http.Request, path, method string) (*http.Request, error) {
	asked := r.Clone(r.Context())
	asked.Method, asked.RequestURI, asked.URL = method, path, &url.URL{}
	if path == "" || method == "" {
		if o.Needs != nil || o.Open != nil {
			return nil, errNoRequest
		}
	}
	if path == "" {
		return asked, nil
	}
	u, err := url.ParseRequestURI(path)
	if err != nil {
		return nil, errBadHeader
	}
	asked.URL = u
	return asked, nil
}
