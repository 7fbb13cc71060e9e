package store

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"lightspeed/api"
	"lightspeed/run"
)

// cursor reads an opaque ?before= value; an empty one means the newest.
func cursor(before string) (int64, error) {
	if before == "" {
		return 1<<63 - 1, nil
	}
	seq, err := strconv.ParseInt(before, 36, 64)
	if err != nil || seq < 0 {
		return 0, api.Errorf(http.StatusBadRequest, api.BadRequest, "before %q is not a value that a list gave as next", before)
	}
	return seq, nil
}

func nextCursor(seq int64) *string {
	next := strconv.FormatInt(seq, 36)
	return &next
}

// Runs lists runs, newest first. f.Limit must be at least 1.
func (s *Store) Runs(ctx context.Context, f api.RunFilter) (api.List[run.Run], error) {
	list := api.List[run.Run]{Items: []run.Run{}}
	before, err := cursor(f.Before)
	if err != nil {
		return list, err
	}
	err = s.view(ctx, func(v view) error {
		seqs, err := v.runSeqs(f, before)
		if err != nil {
			return err
		}
		if len(seqs) > f.Limit {
			seqs = seqs[:f.Limit]
			list.Next = nextCursor(seqs[f.Limit-1])
		}
		for _, seq := range seqs {
			r, err := v.runAt(seq)
			if err != nil {
				return err
			}
			list.Items = append(list.Items, r)
		}
		return nil
	})
	return list, err
}

func (v view) runAt(seq int64) (r run.Run, err error) {
	err = v.query(func(row scanner) error {
		_, r, err = scanRun(row)
		return err
	}, `SELECT `+runColumns+` FROM runs r JOIN deliveries d ON d.seq = r.delivery WHERE r.seq = ?`, seq)
	if err == nil {
		err = v.details(seq, &r)
	}
	return r, err
}

// runStates are all that a run can be in.
var runStates = []run.State{
	run.Queued, run.Running, run.Passed, run.Failed, run.Errored, run.TimedOut, run.Cancelled, run.Superseded, run.Lost,
}

// everyState has a query go through an index that is ordered by states: it is their JSON.
var everyState = func() string {
	text, _ := json.Marshal(runStates) // of texts it never fails
	return string(text)
}()

// runSeqs picks the page's runs, and one more when there are more. Each filter has an index that ends in
// status and seq; without a status the newest of each are merged. SQLite's planner is not asked: it cannot
// know which of two filters is the rare one.
func (v view) runSeqs(f api.RunFilter, before int64) ([]int64, error) {
	if f.Delivery != "" {
		return v.runSeqsOfDelivery(f, before)
	}
	index, where, args := runIndex(f)
	if index == "runs_s" && f.Status == "" {
		return v.seqs(`SELECT seq FROM runs WHERE seq < ? ORDER BY seq DESC LIMIT ?`, before, f.Limit+1)
	}
	states := runStates
	if f.Status != "" {
		states = []run.State{f.Status}
	}
	var parts []string
	var all []any
	for _, state := range states {
		parts = append(parts, `SELECT seq FROM (SELECT seq FROM runs INDEXED BY `+index+` WHERE `+where+`status = ? AND seq < ? ORDER BY seq DESC LIMIT ?)`)
		all = append(append(all, args...), string(state), before, f.Limit+1)
	}
	return v.seqs(strings.Join(parts, " UNION ALL ")+` ORDER BY seq DESC LIMIT ?`, append(all, f.Limit+1)...)
}

// runIndex names the index that serves a filter's listener, repo and branch, and what it asks of them.
func runIndex(f api.RunFilter) (index, where string, args []any) {
	index = "runs_"
	for _, c := range []struct{ letter, column, value string }{
		{"l", "listener", f.Listener}, {"r", "repo", f.Repo}, {"b", "branch", f.Branch},
	} {
		if c.value != "" {
			index += c.letter
			where += c.column + " = ? AND "
			args = append(args, c.value)
		}
	}
	return index + "s", where, args
}

// runSeqsOfDelivery filters the runs of one delivery, which are few.
func (v view) runSeqsOfDelivery(f api.RunFilter, before int64) ([]int64, error) {
	return v.seqs(`SELECT r.seq FROM runs r INDEXED BY runs_delivery WHERE r.delivery = (SELECT seq FROM deliveries WHERE id = ?) AND r.seq < ?
		AND (?3 = '' OR r.listener = ?3) AND (?4 = '' OR r.repo = ?4) AND (?5 = '' OR r.branch = ?5) AND (?6 = '' OR r.status = ?6)
		ORDER BY r.seq DESC LIMIT ?`, f.Delivery, before, f.Listener, f.Repo, f.Branch, string(f.Status), f.Limit+1)
}

func (v view) seqs(query string, args ...any) ([]int64, error) {
	var list []int64
	err := v.query(func(row scanner) error {
		var seq int64
		err := row.Scan(&seq)
		list = append(list, seq)
		return err
	}, query, args...)
	return list, err
}

const deliveryColumns = `seq, id, event, action, repo, ref, branch, tag, sha, before, pr, pusher, message, url, received_at, status, why, bytes, payload_pruned_at,
	(SELECT asked_at FROM recoveries WHERE guid = deliveries.id AND asked_at <= received_at)`

func scanDelivery(row scanner) (seq int64, d api.Delivery, err error) {
	var received int64
	var pruned, asked *int64
	err = row.Scan(&seq, &d.ID, &d.Event, &d.Action, &d.Repo, &d.Ref, &d.Branch, &d.Tag, &d.SHA, &d.Before, &d.PR, &d.Pusher,
		&d.Message, &d.URL, &received, &d.Status, &d.Why, &d.Bytes, &pruned, &asked)
	d.ReceivedAt, d.PayloadPrunedAt, d.RecoveredAt = timeOf(received), timeOrNil(pruned), timeOrNil(asked)
	return seq, d, err
}

// Deliveries lists deliveries, newest first, with the runs that they led to. limit must be at least 1.
func (s *Store) Deliveries(ctx context.Context, limit int, before string) (api.List[api.Delivery], error) {
	list := api.List[api.Delivery]{Items: []api.Delivery{}}
	from, err := cursor(before)
	if err != nil {
		return list, err
	}
	err = s.view(ctx, func(v view) error {
		var last int64
		err := v.deliveries(func(seq int64, d api.Delivery) {
			if len(list.Items) == limit {
				list.Next = nextCursor(last)
				return
			}
			last = seq
			list.Items = append(list.Items, d)
		}, `SELECT `+deliveryColumns+` FROM deliveries WHERE seq < ? ORDER BY seq DESC LIMIT ?`, from, limit+1)
		return err
	})
	return list, err
}

// deliveries reads rows of deliveryColumns, each with its runs.
func (v view) deliveries(add func(int64, api.Delivery), query string, args ...any) error {
	var seqs []int64
	var rows []api.Delivery
	err := v.query(func(row scanner) error {
		seq, d, err := scanDelivery(row)
		seqs, rows = append(seqs, seq), append(rows, d)
		return err
	}, query, args...)
	for i := range rows {
		if err != nil {
			break
		}
		rows[i].Runs, err = v.runsOf(seqs[i])
		add(seqs[i], rows[i])
	}
	return err
}

// Delivery reads one delivery, without its body.
func (s *Store) Delivery(ctx context.Context, id string) (api.Delivery, error) {
	var found *api.Delivery
	err := s.view(ctx, func(v view) error {
		return v.deliveries(func(_ int64, d api.Delivery) { found = &d }, `SELECT `+deliveryColumns+` FROM deliveries WHERE id = ?`, id)
	})
	if err == nil && found == nil {
		err = noDelivery(id)
	}
	if err != nil {
		return api.Delivery{}, err
	}
	return *found, nil
}
