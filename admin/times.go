package admin

import (
	"errors"
	"io/fs"
	"net/http"
	"strconv"

	"lightspeed/api"
	"lightspeed/logtime"
	"lightspeed/run"
)

// timesPath is beside the log. The file is written ahead of the log, and never fsynced: no chunk, and no run's end, waits
// for it. What a power cut takes of it is not known any more.
func (l *logs) timesPath(ref run.Ref) string { return l.file(ref, ".times") }

// note notes what is known of a chunk that is about to be written where the log ends. It also forgets what was
// noted of one that was not written.
func (l *logs) note(ref run.Ref, end int64, times []logtime.Record) error {
	open := logtime.Create
	if len(times) == 0 {
		open = logtime.Edit
	}
	f, err := open(l.timesPath(ref))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(f.Add(end, times...), f.Close())
}

// times returns what is known of a part of a log that is there; see logtime.File.Between.
func (l *logs) times(ref run.Ref, from, to int64, most int) ([]logtime.Record, int64, error) {
	f, err := logtime.Open(l.timesPath(ref))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, to, nil
	}
	if err != nil {
		return nil, to, err
	}
	list, until, err := f.Between(from, to, most)
	return list, until, errors.Join(err, f.Close())
}

// untimed reports that it could not be noted when a log came.
func (s *Server) untimed(err error) { s.report(err, "noting when a log came") }

// getLogTimes answers when an attempt's log came, as far as it is there.
func (s *Server) getLogTimes(w http.ResponseWriter, r *http.Request) error {
	q := readQuery(r, "attempt", "offset")
	attempt, offset := q.number("attempt", 0, 1), q.number("offset", 0, 0)
	if q.err != nil {
		return q.err
	}
	found, err := s.logged(r, attempt)
	if err != nil {
		return err
	}
	if attempt == 0 {
		attempt = int64(found.Attempt)
	}
	answer, err := s.logTimes(run.Ref{Run: found.ID, Attempt: int(attempt)}, offset)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, answer)
}

func (s *Server) logTimes(ref run.Ref, offset int64) (api.LogTimes, error) {
	answer := api.LogTimes{Items: []api.LogTime{}}
	size, err := s.logs.size(ref)
	if err != nil {
		return answer, err
	}
	list, until, err := s.logs.times(ref, offset, size, api.MaxLogTimes)
	for _, one := range list {
		item := api.LogTime{Offset: one.Offset, At: one.At}
		if one.Step > 0 {
			item.Step = &one.Step
		}
		answer.Items = append(answer.Items, item)
	}
	answer.LogBytes = size
	if until < size {
		next := strconv.FormatInt(until, 10)
		answer.Next = &next
	}
	return answer, err
}

// copyTimes copies the times of a log after it: of bytes that the copied log does not have nobody is told. That there
// are none is no error.
func copyTimes(from, to string) error {
	_, err := copyFile(from, to)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
