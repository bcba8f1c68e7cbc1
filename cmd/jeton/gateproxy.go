package main

import (
	"context"
	"encoding/json"
	"errors"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"jeton/engine"
)

// gateAgain is how often requests that run are asked about.
const gateAgain = time.Second

// guarding lets requests through to the engine behind.
func (g *Gate) guarding(door engine.Checker) http.Handler {
	options := engine.Options{
		Headers: true, TrustedProxies: g.Config.TrustedProxies, Again: gateAgain,
		Open: func(r *http.Request) bool { return g.Config.opens(r) || preflight(r) },
	}
	guarded := engine.Middleware(door, options)(g.proxy())
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodConnect { // a tunnel to anywhere
			refuseRequest(w, http.StatusMethodNotAllowed, "METHOD_NOT_ALLOWED", "This is no proxy to elsewhere.")
			return
		}
		guarded.ServeHTTP(w, r)
	})
}

// deciding answers proxies and Kubernetes, which ask. No mux: it would redirect a path
// that has .. or // in it, and the answer is about that very path.
func (g *Gate) deciding(door engine.Checker) http.Handler {
	const prefix = "/auth/forward"
	options := engine.Options{TrustedProxies: g.Config.TrustedProxies, Prefix: prefix}
	if len(g.Config.OpenPaths) > 0 { // else it does not matter which path it is
		options.Open = g.Config.opens
	}
	forward := engine.Forward(door, options)
	review := engine.TokenReview(door)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch rest, is := strings.CutPrefix(r.URL.Path, prefix); {
		case is && (rest == "" || rest[0] == '/'):
			forward.ServeHTTP(w, r)
		case r.URL.Path == "/auth/tokenreview":
			review.ServeHTTP(w, r)
		default:
			refuseRequest(w, http.StatusNotFound, "NOT_FOUND", "Ask at "+prefix+" or at /auth/tokenreview.")
		}
	})
}

// opens reports whether a request needs no token. A path that is written in another
// way is another path.
func (c *GateConfig) opens(r *http.Request) bool {
	return slices.Contains(c.OpenPaths, r.URL.Path)
}

// preflight reports whether a browser asks what it may do, which it does without
// credentials.
func preflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Origin") != "" && r.Header.Get("Access-Control-Request-Method") != ""
}

// proxy passes requests on. Nothing is held back until it is whole, and nothing has to
// end in any time.
func (g *Gate) proxy() http.Handler {
	upstream := g.upstream()
	seldom := g.Log.Sample(&zerolog.BurstSampler{Burst: 1, Period: time.Minute})
	return &httputil.ReverseProxy{
		FlushInterval: -1,
		Transport:     gateTransport(),
		ErrorLog:      log.New(g.Log.With().Str("part", "proxy").Logger(), "", 0),
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			switch {
			case errors.Is(context.Cause(r.Context()), engine.ErrEnded):
				w.Header().Set("Retry-After", "1") // then they hear why
				refuseRequest(w, http.StatusServiceUnavailable, "UNAVAILABLE", "The request was ended while it ran, because it would not come in any more. Send it again.")
				return
			case r.Context().Err() == nil: // the caller is still there
				g.Log.Warn().Err(err).Msg("the engine behind does not answer")
			}
			refuseRequest(w, http.StatusBadGateway, "BAD_GATEWAY", "The engine does not answer.")
		},
		ModifyResponse: func(r *http.Response) error {
			if _, came := engine.Identity(r.Request.Context()); came && r.StatusCode == http.StatusUnauthorized {
				seldom.Warn().Msg("the engine behind refuses who has come in: it does not take the verification token that the gate was given, perhaps because it still has an older one and must be restarted")
			}
			return nil
		},
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(upstream)
			r.Out.Host = r.In.Host
			r.Out.Trailer = nil // some read them as headers
			g.Config.forward(r)
			g.Config.replaceCredential(r)
		},
	}
}

// forward says from where a request came. What it says itself about that is believed
// from trusted proxies only.
func (c *GateConfig) forward(r *httputil.ProxyRequest) {
	if !c.trusts(r.In.RemoteAddr) {
		r.SetXForwarded()
		return
	}
	r.Out.Header["X-Forwarded-For"] = r.In.Header["X-Forwarded-For"]
	r.SetXForwarded()
	for _, name := range []string{"X-Forwarded-Host", "X-Forwarded-Proto"} {
		if said := r.In.Header[name]; len(said) > 0 {
			r.Out.Header[name] = said
		}
	}
}

func (c *GateConfig) trusts(address string) bool {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(c.TrustedProxies, func(n netip.Prefix) bool { return n.Contains(at.Addr().Unmap().WithZone("")) })
}

const headerVerification = "Verification-Token"

// replaceCredential takes away what the caller has shown, and shows the engine behind
// its own verification token for whoever has come in.
func (c *GateConfig) replaceCredential(r *httputil.ProxyRequest) {
	h := r.Out.Header
	for name, values := range h {
		plain := strings.ToLower(strings.ReplaceAll(name, "_", "-"))
		said := len(values) == 1 && values[0] == "" && (strings.HasPrefix(plain, "jeton-") || plain == "x-forwarded-user-email")
		if plain == "authorization" || plain == strings.ToLower(headerVerification) || said {
			delete(h, name)
		}
	}
	if _, came := engine.Identity(r.In.Context()); came && c.Verification != "" {
		h.Set(headerVerification, c.Verification)
	}
}

// gateTransport asks the engine behind: through no other proxy, and with the encodings
// that the caller has asked for.
func gateTransport() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.Proxy, t.DisableCompression = nil, true
	t.DialContext = (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext
	t.MaxIdleConns, t.MaxIdleConnsPerHost = 0, 64
	return t
}

// refuseRequest answers in the shape that programs of Database Lab read.
func refuseRequest(w http.ResponseWriter, status int, code, message string) {
	text, _ := json.Marshal(map[string]string{"code": code, "message": message})
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n')) // the caller has gone if it fails
}
