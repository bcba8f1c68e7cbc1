package http

import (
	"maps"
	"net/http"
	"slices"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// livez answers as long as the process does.
func (s *Server) livez(w http.ResponseWriter, _ *http.Request, _ Caller) error {
	return encode(w, map[string]string{"status": "alive"})
}

// readyz answers 200 when requests should be sent here, else 503 with the names
// of what is not ready. Why it is not is in the log: strangers may ask this.
func (s *Server) readyz(w http.ResponseWriter, _ *http.Request, _ Caller) error {
	failing := map[string]error{}
	if s.Ready != nil {
		failing = s.Ready()
	}
	if err := s.Model.Err(); err != nil {
		failing["model"] = err
	}
	if len(failing) == 0 {
		return encode(w, map[string]string{"status": "ready"})
	}
	p := problem(503, "not-ready", "not ready", "wait, or read the server's log")
	for _, name := range slices.Sorted(maps.Keys(failing)) {
		s.Log.Warn().Str("what", name).Err(failing[name]).Msg("not ready")
		p.Errors = append(p.Errors, FieldProblem{name, translate(failing[name]).Code})
	}
	return p
}

func (s *Server) metrics(w http.ResponseWriter, r *http.Request, _ Caller) error {
	promhttp.HandlerFor(s.Metrics, promhttp.HandlerOpts{}).ServeHTTP(w, r)
	return nil
}
