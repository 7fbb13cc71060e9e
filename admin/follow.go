package admin

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"time"

	"lightspeed/api"
	"lightspeed/run"
)

// readerPatience is how long a reader of a log may take for a piece of it before it is cut off.
const readerPatience = time.Minute

// getLog answers with an attempt's log: what is there, or with follow=1 also what comes, until the attempt
// has ended. Each reader has its own place in the file: a slow one slows nobody.
func (s *Server) getLog(w http.ResponseWriter, r *http.Request) error {
	q := readQuery(r, "attempt", "offset", "follow")
	attempt, offset, follow := q.number("attempt", 0, 1), q.number("offset", 0, 0), q.flag("follow")
	if q.err != nil {
		return q.err
	}
	found, err := s.logged(r, attempt)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if follow {
		return s.followLog(w, r, found.ID, int(attempt), offset)
	}
	if attempt == 0 {
		attempt = int64(found.Attempt)
	}
	return s.sendLog(w, r, run.Ref{Run: found.ID, Attempt: int(attempt)}, offset)
}

// logged reads the run of the path, of which an attempt's log is asked for, or with 0 the newest's. It is an error
// when there is none.
func (s *Server) logged(r *http.Request, attempt int64) (run.Run, error) {
	found, err := s.store.Run(r.Context(), runID(r))
	if err != nil {
		return found, err
	}
	if attempt > int64(len(found.Attempts)) {
		return found, api.Errorf(http.StatusNotFound, api.NotFound, "there is no attempt %d of run %q", attempt, found.ID)
	}
	return found, logPruned(found, attempt)
}

// logPruned refuses an attempt, or with 0 the newest, whose log was deleted.
func logPruned(r run.Run, attempt int64) error {
	if attempt == 0 {
		attempt = int64(r.Attempt)
	}
	if attempt == 0 || r.Attempts[attempt-1].LogPrunedAt == nil {
		return nil
	}
	return api.Errorf(http.StatusGone, api.Pruned, "the log of run %q was deleted on %s: admin keeps only so much",
		r.ID, r.Attempts[attempt-1].LogPrunedAt.Format(time.DateOnly))
}

// sendLog answers with what is there from an offset on.
func (s *Server) sendLog(w http.ResponseWriter, r *http.Request, ref run.Ref, offset int64) error {
	f, err := s.logs.open(ref)
	if errors.Is(err, fs.ErrNotExist) {
		w.WriteHeader(http.StatusOK)
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if offset == 0 {
		http.ServeContent(w, r, "", time.Time{}, f)
		return nil
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	http.ServeContent(w, r, "", time.Time{}, io.NewSectionReader(f, offset, max(0, info.Size()-offset)))
	return nil
}

// follower sends a log as it grows.
type follower struct {
	s      *Server
	w      http.ResponseWriter
	out    *http.ResponseController
	ref    run.Ref
	offset int64
	file   *os.File
}

// followLog waits for the attempt to start, sends what there is and comes, and ends with the attempt. When
// admin stops, the answer is cut off and does not look as if the log had ended.
func (s *Server) followLog(w http.ResponseWriter, r *http.Request, id string, attempt int, offset int64) error {
	ctx, done := s.untilStop(r.Context())
	defer done()
	woken, cancel := s.hub.subscribe(id)
	defer cancel()
	f := &follower{s: s, w: w, out: http.NewResponseController(w), ref: run.Ref{Run: id, Attempt: attempt}, offset: offset}
	defer f.close()
	defer func() { _ = f.out.SetWriteDeadline(time.Time{}) }() // the connection may serve other calls
	w.WriteHeader(http.StatusOK)
	for {
		// The state is read before the log: of an attempt that has ended then, nothing comes after.
		ended, err := f.look(ctx)
		if err == nil {
			err = f.send()
		}
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		if ended {
			return nil
		}
		select {
		case <-woken:
		case <-ctx.Done():
			panic(http.ErrAbortHandler)
		}
	}
}

// look finds the attempt to follow, and reports whether it, or the run that it would be of, has ended.
func (f *follower) look(ctx context.Context) (ended bool, err error) {
	if _, live := f.s.leases.cancelOf(f.ref); live {
		return false, nil
	}
	r, err := f.s.store.Run(ctx, f.ref.Run)
	if err != nil {
		return false, err
	}
	if f.ref.Attempt == 0 && r.Status != run.Queued {
		f.ref.Attempt = r.Attempt
	}
	if f.ref.Attempt == 0 {
		return r.Status.Ended(), nil
	}
	if f.ref.Attempt > len(r.Attempts) {
		return true, nil
	}
	return r.Attempts[f.ref.Attempt-1].Status != run.Running, nil
}

// send writes what is new, and flushes it.
func (f *follower) send() error {
	if err := f.openFile(); err != nil {
		return err
	}
	for {
		_ = f.out.SetWriteDeadline(time.Now().Add(readerPatience))
		if f.file == nil {
			return f.out.Flush()
		}
		n, err := io.CopyN(f.w, io.NewSectionReader(f.file, f.offset, 1<<20), 1<<20)
		f.offset += n
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if n == 0 || err != nil {
			return f.out.Flush()
		}
	}
}

func (f *follower) openFile() error {
	if f.file != nil || f.ref.Attempt == 0 {
		return nil
	}
	file, err := f.s.logs.open(f.ref)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	f.file = file
	return err
}

func (f *follower) close() {
	if f.file != nil {
		_ = f.file.Close()
	}
}
