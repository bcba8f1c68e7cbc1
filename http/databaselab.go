package http

// databaseLabRoutes is the dialect of Database Lab.
func (s *Server) databaseLabRoutes() []route {
	return nil
}
