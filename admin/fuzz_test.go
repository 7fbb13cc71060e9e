package admin

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lightspeed/api"
	"lightspeed/run"
)

// Whatever stands in an address: what is read from it is within its bounds, and names nothing but what it may.
func FuzzAddress(f *testing.F) {
	f.Add("attempt=1&offset=7&limit=3&wait=30s&follow=1&status=passed", "000abc", "dist/app.tar.gz")
	f.Add("offset=-1&limit=9223372036854775808&wait=-1h", "../../etc", "../../etc/passwd")
	f.Add("wait=9999999h&wait=1s&%zz", "0\x00", "a//b\\c\x00")
	f.Add("attempt=1073741825;follow=2", "ABC", "/")
	f.Fuzz(func(t *testing.T, query, id, path string) {
		r := &http.Request{URL: &url.URL{RawQuery: query}}
		r.SetPathValue("id", id)
		q := readQuery(r, "attempt", "offset", "limit", "wait", "follow", "status", "before")
		ref, offset, limit, wait := q.attempt(r), q.number("offset", 0, 0), q.limit(), q.wait()
		q.flag("follow")
		status, before := q.status(), q.text("before")
		if q.err == nil && (ref.Attempt < 1 || ref.Attempt > 1<<30 || offset < 0 || limit < 1 || limit > api.MaxLimit || wait < 0 || wait > api.MaxWait ||
			len(before) > maxText || strings.ContainsAny(string(status), " \n")) {
			t.Errorf("%q is read as %v %d %d %v %q %q", query, ref, offset, limit, wait, status, before)
		}
		if ref.Run != "" && !filepath.IsLocal((&logs{dir: "."}).path(run.Ref{Run: ref.Run, Attempt: 1})) {
			t.Errorf("run %q names a file elsewhere", id)
		}
		if api.ArtifactPath(path) && (!filepath.IsLocal(path) || filepath.Clean(path) != path) {
			t.Errorf("%q may be an artifact's path", path)
		}
		if refused := checkHeader("X-GitHub-Delivery", id); refused == nil && (id == "" || len(id) > 100 || strings.ContainsAny(id, " \n\x00\x7f")) {
			t.Errorf("%q may be a delivery's id", id)
		}
	})
}

// Whatever a crash has left of an attempt's index: what is listed are artifacts, and one that is added then is found.
func FuzzArtifactIndex(f *testing.F) {
	line, err := json.Marshal(api.Artifact{Path: "a/b", Bytes: 7, SHA256: strings.Repeat("0", 64)})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(append(append([]byte("\n"), line...), '\n'))
	f.Add(line[:20])
	f.Add([]byte("null\n{}\n[1]\n\x00"))
	f.Fuzz(func(t *testing.T, index []byte) {
		a, err := openArtifacts(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		ref := run.Ref{Run: "0abc", Attempt: 2}
		if err := os.MkdirAll(a.folder(ref), 0o700); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(a.folder(ref), indexFile)
		if err := os.WriteFile(file, index, 0o600); err != nil {
			t.Fatal(err)
		}
		before, err := a.list(ref)
		if err != nil {
			t.Fatal(err)
		}
		if err := addLine(file, api.Artifact{Path: "new/one", Bytes: 1, SHA256: strings.Repeat("1", 64)}); err != nil {
			t.Fatal(err)
		}
		after, err := a.list(ref)
		if err != nil || len(after) != len(before)+1 {
			t.Errorf("%d artifacts, and after one more %d: %v", len(before), len(after), err)
		}
		for _, one := range after {
			if !api.ArtifactPath(one.Path) || one.Bytes < 0 || one.Attempt != 2 {
				t.Errorf("it lists %+v", one)
			}
		}
	})
}
