package admin

import (
	"context"
	"errors"
	"net/http"
	"time"

	"lightspeed/admin/store"
	"lightspeed/api"
	"lightspeed/fault"
)

const (
	pruneEvery = 10 * time.Minute
	pruneLimit = api.MaxWait / 2 // of one call of POST prune
	filesBatch = 500
)

// pruneLoop deletes what is more than is to be kept, from time to time.
func (s *Server) pruneLoop(ctx context.Context) {
	ticker := time.NewTicker(pruneEvery)
	defer ticker.Stop()
	for {
		keep := s.opt.Keep
		keep.NotByAge = s.clockInDoubt(ctx)
		done, err := s.prune(ctx, keep, false)
		s.report(err, "pruning")
		if done != (api.Pruning{}) {
			s.log.Info("pruned", "runs", done.Runs, "logs", done.Logs, "log_bytes", done.LogBytes,
				"artifacts", done.Artifacts, "artifact_bytes", done.ArtifactBytes, "payloads", done.Payloads, "payload_bytes", done.PayloadBytes, "deliveries", done.Deliveries)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// prune deletes rows first and files after them: what a crash leaves between the two is in the database, and the
// next round, or the next start, goes on with it. One round at a time.
func (s *Server) prune(ctx context.Context, keep store.Retention, dry bool) (api.Pruning, error) {
	if dry {
		return s.store.Prune(ctx, keep, true)
	}
	select {
	case s.pruning <- struct{}{}:
		defer func() { <-s.pruning }()
	case <-ctx.Done():
		return api.Pruning{}, ctx.Err()
	}
	done, err := s.store.Prune(ctx, keep, false)
	fault.Point("admin.pruned")
	return done, errors.Join(err, s.removeFiles(context.WithoutCancel(ctx)))
}

// removeFiles deletes the files of what was pruned. The first failure ends it: the rest stays noted.
func (s *Server) removeFiles(ctx context.Context) error {
	for {
		list, err := s.store.Removals(ctx, filesBatch)
		if err != nil || len(list) == 0 {
			return err
		}
		for _, one := range list {
			if one.Log {
				err = s.logs.remove(one.Ref)
			}
			if err == nil && one.Artifacts {
				err = s.artifacts.remove(one.Ref)
			}
			if err != nil {
				return err
			}
		}
		fault.Point("admin.pruned.files")
		if err := s.store.Removed(ctx, list); err != nil || s.stopping.Err() != nil {
			return err
		}
	}
}

// postPrune deletes now what would be deleted in time, or says how much that is.
func (s *Server) postPrune(w http.ResponseWriter, r *http.Request) error {
	q := readQuery(r, "dry_run")
	dry := q.flag("dry_run")
	if q.err != nil {
		return q.err
	}
	ctx, end := s.untilStop(r.Context())
	defer end()
	ctx, cancel := context.WithTimeout(ctx, pruneLimit)
	defer cancel()
	done, err := s.prune(ctx, s.opt.Keep, dry)
	if errors.Is(err, context.DeadlineExceeded) {
		done.More, err = true, nil
	}
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, done)
}
