package admin

import (
	"net/http"

	"lightspeed/api"
)

// getOpenAPI answers with the description of this API. It is the same for every installation, and says nothing of this one.
func (s *Server) getOpenAPI(w http.ResponseWriter, r *http.Request) error {
	if q := readQuery(r); q.err != nil {
		return q.err
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(api.OpenAPI) // the caller has gone: there is nobody to tell
	return nil
}
