package http

import (
	"net/http"
	"slices"
)

// Pages of the origins that the operator has named may speak the dialect of Database
// Lab from a browser, with the cookies and tokens that they have. Of others nothing is
// said, so that browsers keep the answers from them. An origin is compared as it is
// written: https://console.example.org and no other port, scheme or part of it.

const (
	corsHeaders = "Authorization, Content-Type, Prefer, Accept, Access-Token, Verification-Token"
	corsMethods = "GET, POST, PATCH, DELETE, OPTIONS"
	corsExposed = "Content-Range, X-Request-Id"
	corsSeconds = "600"
)

// crossOrigin says of answers that pages of the origins may read them.
func (s *Server) crossOrigin(next http.Handler) http.Handler {
	if len(s.Origins) == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.admitOrigin(w.Header(), r)
		next.ServeHTTP(w, r)
	})
}

// admitOrigin lets a page read the answer, and reports whether it may.
func (s *Server) admitOrigin(h http.Header, r *http.Request) bool {
	h.Add("Vary", "Origin")
	origin := r.Header.Get("Origin")
	if origin == "" || !slices.Contains(s.Origins, origin) {
		return false
	}
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Allow-Credentials", "true")
	h.Set("Access-Control-Expose-Headers", corsExposed)
	return true
}

// anywhere lets every page read the answer, as nobody in particular.
func anywhere(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		admitAnywhere(w.Header())
		next.ServeHTTP(w, r)
	})
}

func admitAnywhere(h http.Header) {
	if h.Get("Access-Control-Allow-Origin") == "" {
		h.Set("Access-Control-Allow-Origin", "*")
	}
}

// preflight is the route on which browsers ask before they let a page send something.
// Whoever is no browser, or a page that may not, is answered as on any path that does
// not take the method.
func (d *dialect) preflight() route {
	return route{
		pattern: "OPTIONS " + d.databaseLab("/{path...}"), summary: "Say to browsers what pages may send", access: open, quiet: true,
		mount: func(m *mounter, r route) {
			m.mux.Handle(r.pattern, m.guard(r, func(w http.ResponseWriter, request *http.Request, _ Caller) { d.answerPreflight(m, w, request) }))
		},
	}
}

func (d *dialect) answerPreflight(m *mounter, w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	allowed := len(d.Origins) > 0 && d.admitOrigin(h, r)
	if r.PathValue("path") == "dblab_se_images" && r.Header.Get("Origin") != "" {
		admitAnywhere(h)
		allowed = true
	}
	if !allowed || r.Header.Get("Access-Control-Request-Method") == "" {
		m.stray(w, r)
		return
	}
	h.Set("Access-Control-Allow-Methods", corsMethods)
	h.Set("Access-Control-Allow-Headers", corsHeaders)
	h.Set("Access-Control-Max-Age", corsSeconds)
	w.WriteHeader(http.StatusNoContent)
}
