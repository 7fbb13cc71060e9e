package admin

import (
	"net/http"
	"slices"
	"strings"

	"lightspeed/api"
)

// handle answers a request, or returns the error to be answered.
type handle func(w http.ResponseWriter, r *http.Request) error

// route is one line of the table of who may do what.
type route struct {
	method, path string
	may          who
	handle       handle
}

func (s *Server) table() []route {
	const v1 = api.Prefix
	return []route{
		{"POST", v1 + "/deliveries", hooks, s.postDelivery},
		{"GET", v1 + "/deliveries", readers, s.getDeliveries},
		{"GET", v1 + "/deliveries/{id}", readers, s.getDelivery},
		{"GET", v1 + "/deliveries/{id}/explain", readers, s.getExplain},
		{"GET", v1 + "/deliveries/{id}/payload", readers, s.getPayload},
		{"POST", v1 + "/deliveries/{id}/replay", people, s.postReplay},

		{"PUT", v1 + "/listeners/{name}", listening, s.putListener},
		{"GET", v1 + "/listeners", readers, s.getListeners},
		{"GET", v1 + "/listeners/{name}", readers, s.getListener},
		{"DELETE", v1 + "/listeners/{name}", listening, s.deleteListener},
		{"POST", v1 + "/listeners/{name}/trigger", people, s.postTrigger},
		{"POST", v1 + "/listeners/{name}/tellings", listening, s.postTelling},
		{"POST", v1 + "/listeners/{name}/pause", people, s.postPause},
		{"POST", v1 + "/listeners/{name}/resume", people, s.postResume},
		{"POST", v1 + "/listeners/{name}/polled", listening, s.postPolled},
		{"POST", v1 + "/queues/{name}/claim", listening, s.postClaim},
		{"POST", v1 + "/queues/{name}/look", listening, s.postLook},

		{"GET", v1 + "/events", readers, s.getEvents},
		{"GET", v1 + "/runs", readers, s.getRuns},
		{"GET", v1 + "/runs/{id}", readers, s.getRun},
		{"GET", v1 + "/runs/{id}/events", readers, s.getRunEvents},
		{"POST", v1 + "/runs/{id}/cancel", people, s.postCancel},
		{"POST", v1 + "/runs/{id}/retry", people, s.postRetry},
		{"POST", v1 + "/runs/{id}/release", people, s.postRelease},
		{"POST", v1 + "/runs/{id}/renew", listening, s.postRenew},
		{"POST", v1 + "/runs/{id}/log", listening, s.postLog},
		{"GET", v1 + "/runs/{id}/log", readers, s.getLog},
		{"GET", v1 + "/runs/{id}/log/times", readers, s.getLogTimes},
		{"POST", v1 + "/runs/{id}/steps", listening, s.postSteps},
		{"GET", v1 + "/runs/{id}/artifacts", readers, s.getArtifacts},
		{"GET", v1 + "/runs/{id}/artifacts/{path...}", readers, s.getArtifact},
		{"POST", v1 + "/runs/{id}/artifacts/{path...}", listening, s.postArtifact},
		{"POST", v1 + "/runs/{id}/finish", listening, s.postFinish},
		{"POST", v1 + "/runs/{id}/notices", listening, s.postNotice},
		{"POST", v1 + "/runs/{id}/told", listening, s.postTold},

		{"POST", v1 + "/recover", people, s.postRecover},
		{"GET", v1 + "/gaps", people, s.getGaps},
		{"POST", v1 + "/prune", people, s.postPrune},
		{"GET", v1 + "/tokens", people, s.getTokens},
		{"POST", v1 + "/tokens", people, s.postToken},
		{"DELETE", v1 + "/tokens/{id}", people, s.deleteToken},

		{"GET", v1 + "/openapi.json", anyone, s.getOpenAPI},
		{"GET", "/metrics", readers, s.getMetrics},
		{"GET", "/healthz", anyone, s.getHealth},
		{"GET", "/readyz", anyone, s.getReady},
	}
}

// routes builds the handler. Paths are registered without their method, so that a wrong one is answered with
// the API's own 405.
func (s *Server) routes() http.Handler {
	methods := map[string]map[string]route{}
	for _, r := range s.table() {
		if methods[r.path] == nil {
			methods[r.path] = map[string]route{}
		}
		methods[r.path][r.method] = r
	}
	mux := http.NewServeMux()
	for path, known := range methods {
		mux.Handle(path, s.serve(known))
	}
	mux.Handle("/", s.serve(nil))
	return mux
}

// serve answers one path: it finds the method's route, checks the caller, and turns errors into answers.
func (s *Server) serve(known map[string]route) http.Handler {
	allow := allowed(known)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer s.recovered(w, r)
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		s.answerError(w, r, s.dispatch(w, r, known, allow))
	})
}

func (s *Server) dispatch(w http.ResponseWriter, r *http.Request, known map[string]route, allow string) error {
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	route, ok := known[method]
	may := route.may
	if !ok {
		may = people | hooks | listening | viewing
	}
	caller, refused := s.auth.check(r, may)
	if refused == nil {
		refused = api.CheckVersions(s.version, r.Header.Get(api.VersionHeader))
	}
	if refused != nil {
		return refused
	}
	if caller.kind != 0 {
		s.opt.Known(r.Context())
	}
	if len(known) == 0 {
		return api.Errorf(http.StatusNotFound, api.NotFound, "there is nothing at %s", shorten(r.URL.Path, 200))
	}
	if !ok {
		w.Header().Set("Allow", allow)
		return api.Errorf(http.StatusMethodNotAllowed, api.BadRequest, "%s is not allowed here: use %s", shorten(r.Method, 20), allow)
	}
	if err := s.checkNames(r, caller); err != nil {
		return err
	}
	return route.handle(w, r.WithContext(AskedBy(r.Context(), caller.name)))
}

func allowed(known map[string]route) string {
	var list []string
	for method := range known {
		list = append(list, method)
		if method == http.MethodGet {
			list = append(list, http.MethodHead)
		}
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}
