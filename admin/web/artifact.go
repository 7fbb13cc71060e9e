package web

import (
	"mime"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"
)

// sendArtifact answers with a file that a run has kept. It is the script's: a browser must save it, and never show or
// run it.
func (v *visit) sendArtifact() error {
	name := v.r.PathValue("path")
	f, err := v.source.Artifact(v.r.Context(), v.r.PathValue("id"), int(v.number("attempt")), name)
	if err != nil {
		return err
	}
	defer f.Close()
	v.w.Header().Set("Content-Type", "application/octet-stream")
	v.w.Header().Set("Content-Security-Policy", "sandbox")
	v.w.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": path.Base(name)}))
	http.ServeContent(v.w, v.r, "", time.Time{}, f)
	return nil
}

// segments is a path with slashes as it stands in a URL.
func segments(path string) string {
	all := strings.Split(path, "/")
	for i, one := range all {
		all[i] = url.PathEscape(one)
	}
	return strings.Join(all, "/")
}
