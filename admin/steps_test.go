package admin

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lightspeed/api"
	"lightspeed/run"
)

// twoSteps is the first of two steps under way.
func twoSteps() []run.Step {
	begun, offset := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), int64(0)
	return []run.Step{
		{Step: 1, Name: "build", Status: run.Running, StartedAt: &begun, LogOffset: &offset}, {Step: 2, Name: "step 2", Status: run.Queued},
	}
}

func TestSteps(t *testing.T) {
	f := start(t)
	l := f.listener("web")
	id := f.push("d1", "main").Runs[0].ID
	c := l.mustClaim()
	if got := f.run(id).Attempts[0].Steps; got == nil || len(got) != 0 {
		t.Errorf("before any were told: %v", got)
	}
	for range 2 {
		if err := f.client.Steps(t.Context(), refOf(c), twoSteps()); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(twoSteps(), f.run(id).Attempts[0].Steps); diff != "" {
		t.Errorf("while it runs (-want +got):\n%s", diff)
	}
	end := twoSteps()
	end[0].Status, end[1].Status = run.Failed, run.Skipped
	if _, err := f.client.Finish(t.Context(), refOf(c), api.Finish{Status: run.Failed, Steps: end}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(end, f.run(id).Attempts[0].Steps); diff != "" {
		t.Errorf("at the end (-want +got):\n%s", diff)
	}
	f.wantCode(f.client.Steps(t.Context(), refOf(c), twoSteps()), 409, api.AttemptOver)
	f.wantCode(f.client.Steps(t.Context(), run.Ref{Run: "none", Attempt: 1}, twoSteps()), 404, api.NotFound)
}

// What was running when its listener went away is lost, until that comes back and says what it really was.
func TestStepsOfALostRun(t *testing.T) {
	f := start(t)
	l := f.listener("web")
	id := f.push("d1", "main").Runs[0].ID
	c := l.mustClaim()
	if err := f.client.Steps(t.Context(), refOf(c), twoSteps()); err != nil {
		t.Fatal(err)
	}
	f.tick(40)
	lost := f.run(id)
	if steps := lost.Attempts[0].Steps; lost.Status != run.Lost || steps[0].Status != run.Lost || steps[1].Status != run.Skipped {
		t.Errorf("given up: %+v", lost)
	}
	end := twoSteps()
	end[0].Status, end[1].Status = run.Passed, run.Passed
	if _, err := f.client.Finish(t.Context(), refOf(c), api.Finish{Status: run.Passed, Steps: end}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(end, f.run(id).Attempts[0].Steps); diff != "" {
		t.Errorf("reported late (-want +got):\n%s", diff)
	}
}

func TestStepsThatAreNone(t *testing.T) {
	f := start(t)
	l := f.listener("web")
	f.push("d1", "main")
	ref := refOf(l.mustClaim())
	for want, change := range map[string]func(*[]run.Step){
		"steps count from 1, and step 2 stands in place 1": func(s *[]run.Step) { *s = (*s)[1:] },
		"201 steps, the most is 200":                       func(s *[]run.Step) { *s = make([]run.Step, run.MaxSteps+1) },
		`status "done" of step 1 is none of [`:             func(s *[]run.Step) { (*s)[0].Status = "done" },
	} {
		steps := twoSteps()
		change(&steps)
		for _, err := range []error{
			f.client.Steps(t.Context(), ref, steps),
			func() error {
				_, err := f.client.Finish(t.Context(), ref, api.Finish{Status: run.Passed, Steps: steps})
				return err
			}(),
		} {
			if refused := f.wantCode(err, 400, api.BadRequest); !strings.HasPrefix(refused.Message, want) {
				t.Errorf("%s, want %s", refused.Message, want)
			}
		}
	}
}
