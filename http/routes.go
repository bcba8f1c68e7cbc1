package http

import "slices"

// routes is the index of everything that can be asked here. Dialects of other
// products have tables of their own, of the same kind.
func (s *Server) routes() []route {
	return slices.Concat(s.apiRoutes(), s.databaseLabRoutes())
}

func (s *Server) apiRoutes() []route {
	return []route{
		{pattern: "GET /livez", access: open, mount: raw(s.livez), quiet: true, waiting: true},
		{pattern: "GET /readyz", access: open, mount: raw(s.readyz), quiet: true, waiting: true},
		{pattern: "GET /metrics", access: open, mount: raw(s.metrics), quiet: true, waiting: true},
		{pattern: "GET /api/openapi.json", access: open, mount: openapi, waiting: true},

		{pattern: "POST /api/v1/check", summary: "Check a token", quiet: true,
			access: signedIn, mount: described[checkRequest, checkAnswer](s.check)},
	}
}
