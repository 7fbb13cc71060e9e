package api

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"lightspeed/run"
)

// Artifact is one row of GET runs/{id}/artifacts: a file that an attempt has kept.
type Artifact struct {
	Path    string `json:"path"` // with slashes, relative to where the run worked
	Bytes   int64  `json:"bytes"`
	SHA256  string `json:"sha256"` // hex
	Attempt int    `json:"attempt"`
}

// Limits on the artifacts of one attempt.
const (
	MaxArtifact      = 1 << 30 // bytes of one
	MaxArtifacts     = 4 << 30 // bytes of all
	MaxArtifactCount = 1000
	maxArtifactPath  = 1000 // bytes
)

// checkSpeed is how fast admin checks an artifact that is whole and sees it onto its disk, at least, in bytes a second.
const checkSpeed = 4 << 20

// ArtifactPath reports whether a path can be an artifact's: UTF-8, and nothing in it that leads anywhere else.
func ArtifactPath(path string) bool {
	return fs.ValidPath(path) && path != "." && len(path) <= maxArtifactPath && strings.IndexByte(path, 0) < 0
}

// AppendArtifact hands in a chunk of an artifact that starts at offset, at most MaxLogChunk, and returns where
// admin's copy ends; at the artifact's end admin has checked it and keeps it. On log_gap the Error's Offset says
// where to go on.
func (c *Client) AppendArtifact(ctx context.Context, ref run.Ref, a Artifact, offset int64, chunk []byte) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, chunkTimeout+time.Duration(a.Bytes/checkSpeed)*time.Second)
	defer cancel()
	query := attemptQuery(ref)
	query.Set("offset", strconv.FormatInt(offset, 10))
	query.Set("bytes", strconv.FormatInt(a.Bytes, 10))
	query.Set("sha256", a.SHA256)
	req, err := c.request(ctx, http.MethodPost, artifactPath(ref.Run, a.Path), query, bytes.NewReader(chunk))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/octet-stream")
	var next LogOffset
	_, err = c.read(req, &next)
	return next.Offset, err
}

// Artifacts lists what a run has kept, the newest attempt's first.
func (c *Client) Artifacts(ctx context.Context, id string) (List[Artifact], error) {
	var list List[Artifact]
	err := c.call(ctx, http.MethodGet, runPath(id, "/artifacts"), nil, nil, &list)
	return list, err
}

// Artifact reads one from its start; of attempt 0, the newest that has it. The caller closes it.
func (c *Client) Artifact(ctx context.Context, id, path string, attempt int) (io.ReadCloser, error) {
	if !ArtifactPath(path) {
		return nil, errors.New("no artifact has such a path")
	}
	query := url.Values{}
	if attempt > 0 {
		query.Set("attempt", strconv.Itoa(attempt))
	}
	req, err := c.request(ctx, http.MethodGet, artifactPath(id, path), query, nil)
	if err != nil {
		return nil, err
	}
	return c.open(req)
}

func artifactPath(id, path string) string {
	var parts []string
	for part := range strings.SplitSeq(path, "/") {
		parts = append(parts, url.PathEscape(part))
	}
	return runPath(id, "/artifacts/") + strings.Join(parts, "/")
}
