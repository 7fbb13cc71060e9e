package admin

import (
	"net/http"
	"slices"

	"lightspeed/api"
	"lightspeed/run"
)

// maxSteps bounds a body that holds steps, in bytes.
const maxSteps = 256 << 10

// stepStates are what a step may be reported as.
var stepStates = append([]run.State{run.Queued, run.Running, run.Skipped}, finishStates...)

// postSteps notes how far the steps of a running attempt have come.
func (s *Server) postSteps(w http.ResponseWriter, r *http.Request) error {
	q := readQuery(r, "attempt")
	ref := q.attempt(r)
	if q.err != nil {
		return q.err
	}
	var body api.Steps
	if err := readJSON(w, r, maxSteps, &body); err != nil {
		return err
	}
	if err := checkSteps(body.Steps); err != nil {
		return err
	}
	if err := s.store.Steps(r.Context(), ref, body.Steps); err != nil {
		return err
	}
	s.hub.wake(ref.Run)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// checkSteps refuses what is no list of an attempt's steps. Names are cut to what a config may hold.
func checkSteps(steps []run.Step) error {
	if len(steps) > run.MaxSteps {
		return badRequest("%d steps, the most is %d", len(steps), run.MaxSteps)
	}
	for i := range steps {
		step := &steps[i]
		if step.Step != i+1 {
			return badRequest("steps count from 1, and step %d stands in place %d", step.Step, i+1)
		}
		if !slices.Contains(stepStates, step.Status) {
			return badRequest("status %q of step %d is none of %v", shorten(string(step.Status), 50), step.Step, stepStates)
		}
		step.Name = shorten(step.Name, run.MaxStepName)
	}
	return nil
}
