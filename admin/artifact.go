package admin

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"mime"
	"net/http"
	"os"
	"path"
	"regexp"
	"time"

	"lightspeed/api"
	"lightspeed/fault"
	"lightspeed/run"
)

var hexSHA256 = regexp.MustCompile(`^[0-9a-f]{64}$`)

// postArtifact takes a chunk of a file that an attempt keeps.
func (s *Server) postArtifact(w http.ResponseWriter, r *http.Request) error {
	q := readQuery(r, "attempt", "offset", "bytes", "sha256")
	ref, offset, one := q.attempt(r), q.number("offset", -1, 0), api.Artifact{Path: r.PathValue("path"), SHA256: q.text("sha256")}
	one.Bytes = q.number("bytes", -1, 0)
	switch {
	case offset < 0 || one.Bytes < 0 || !hexSHA256.MatchString(one.SHA256):
		q.fail("offset, bytes and sha256 are needed")
	case !api.ArtifactPath(one.Path):
		q.fail("%q is no path of an artifact", shorten(one.Path, 200))
	}
	if q.err != nil {
		return q.err
	}
	held, err := s.store.Attempt(r.Context(), ref)
	if err != nil {
		return err
	}
	if !held.Taken() {
		return attemptOver(ref)
	}
	chunk, done, err := s.readChunk(w, r)
	if err != nil {
		return err
	}
	defer done()
	if offset == 0 {
		if err := s.countArtifact(r.Context(), ref, one); err != nil {
			return err
		}
	}
	fault.Point("admin.artifact.appending")
	next, err := s.artifacts.append(ref, one, offset, *chunk)
	fault.Point("admin.artifact.appended")
	var gap gapError
	switch {
	case errors.As(err, &gap):
		refused := api.Errorf(http.StatusConflict, api.LogGap, "the artifact ends at %d here: go on from there", gap.end)
		refused.Offset = gap.end
		return refused
	case isFull(err):
		s.disk.failed(err)
		return api.Errorf(http.StatusInsufficientStorage, api.Full, "the disk of admin is full: the artifact was not stored")
	case err != nil:
		return err
	}
	return writeJSON(w, http.StatusOK, api.LogOffset{Offset: next})
}

// countArtifact has the database know of an artifact before there is a byte of it.
func (s *Server) countArtifact(ctx context.Context, ref run.Ref, one api.Artifact) error {
	there, total, err := s.artifacts.mayTake(ref, one)
	if err != nil || there {
		return err
	}
	return s.store.KeepsArtifacts(ctx, ref, total)
}

// getArtifacts lists what the attempts of a run have kept.
func (s *Server) getArtifacts(w http.ResponseWriter, r *http.Request) error {
	if q := readQuery(r); q.err != nil {
		return q.err
	}
	kept, err := s.keptBy(r.Context(), runID(r))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, api.List[api.Artifact]{Items: kept})
}

// keptBy lists what the attempts of a run have kept, the newest attempt's first.
func (s *Server) keptBy(ctx context.Context, id string) ([]api.Artifact, error) {
	all := []api.Artifact{}
	err := s.eachAttempt(ctx, id, func(ref run.Ref, _ run.Attempt) (bool, error) {
		kept, err := s.artifacts.list(ref)
		all = append(all, kept...)
		return true, err
	})
	return all, err
}

// getArtifact answers with a file. It is the script's: a browser must save it, and never show or run it.
func (s *Server) getArtifact(w http.ResponseWriter, r *http.Request) error {
	q := readQuery(r, "attempt")
	attempt := q.number("attempt", 0, 1)
	if q.err != nil {
		return q.err
	}
	f, one, err := s.openArtifact(r.Context(), runID(r), int(attempt), r.PathValue("path"))
	if err != nil {
		return err
	}
	defer f.Close()
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Security-Policy", "sandbox")
	w.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": path.Base(one.Path)}))
	w.Header().Set("ETag", `"`+one.SHA256+`"`)
	http.ServeContent(w, r, "", time.Time{}, f)
	return nil
}

// openArtifact opens a file of the attempt named, or with 0 of the newest that has it. The caller closes it.
func (s *Server) openArtifact(ctx context.Context, id string, attempt int, name string) (f *os.File, one api.Artifact, err error) {
	var pruned *time.Time
	err = s.eachAttempt(ctx, id, func(ref run.Ref, of run.Attempt) (bool, error) {
		if attempt > 0 && ref.Attempt != attempt {
			return true, nil
		}
		f, one, err = s.artifacts.open(ref, name)
		if errors.Is(err, fs.ErrNotExist) {
			pruned = cmp.Or(pruned, of.ArtifactsPrunedAt)
			return true, nil
		}
		return false, err
	})
	switch {
	case err == nil && f == nil && pruned != nil:
		err = api.Errorf(http.StatusGone, api.Pruned, "the artifacts of run %q were deleted on %s: admin keeps only so much", id, pruned.Format(time.DateOnly))
	case err == nil && f == nil:
		err = api.Errorf(http.StatusNotFound, api.NotFound, "run %q has no artifact %q", id, shorten(name, 200))
	}
	return f, one, err
}

// eachAttempt calls do for the attempts of a run, the newest first, as long as it reports true.
func (s *Server) eachAttempt(ctx context.Context, id string, do func(run.Ref, run.Attempt) (more bool, err error)) error {
	found, err := s.store.Run(ctx, id)
	if err != nil {
		return err
	}
	more := true
	for i := len(found.Attempts) - 1; i >= 0 && more && err == nil; i-- {
		more, err = do(run.Ref{Run: found.ID, Attempt: found.Attempts[i].Attempt}, found.Attempts[i])
	}
	return err
}
