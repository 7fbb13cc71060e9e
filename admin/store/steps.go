package store

import (
	"context"
	"encoding/json"

	"lightspeed/run"
)

// Steps notes how far the steps of an attempt have come. It is refused with api.AttemptOver when that is not
// running any more: how it ended says more.
func (s *Store) Steps(ctx context.Context, ref run.Ref, steps []run.Step) error {
	return s.do(ctx, func(tx *Tx) error {
		h, err := tx.held(ref)
		if err != nil {
			return err
		}
		if h.attemptStatus != run.Running {
			return attemptOver(ref)
		}
		return tx.setSteps(h, steps)
	})
}

func (tx *Tx) setSteps(h holding, steps []run.Step) error {
	list, err := json.Marshal(steps)
	if err != nil {
		return err
	}
	_, err = tx.exec(`INSERT INTO steps (run, attempt, list) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET list = excluded.list`,
		h.seq, h.ref.Attempt, string(list))
	return err
}

// stepsOf reads what setSteps wrote. Of an attempt that is over, no step runs any more.
func stepsOf(status run.State, list *string) ([]run.Step, error) {
	steps := []run.Step{}
	if list == nil {
		return steps, nil
	}
	err := json.Unmarshal([]byte(*list), &steps)
	if status != run.Running {
		steps = run.CutOff(steps)
	}
	return steps, err
}
