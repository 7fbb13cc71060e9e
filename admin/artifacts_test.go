package admin

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lightspeed/api"
	"lightspeed/run"
)

// artifact is one with a content.
func artifact(path, content string) api.Artifact {
	sum := sha256.Sum256([]byte(content))
	return api.Artifact{Path: path, Bytes: int64(len(content)), SHA256: hex.EncodeToString(sum[:]), Attempt: 1}
}

// get reads an artifact by plain HTTP.
func (f *fixture) get(path string, header ...string) (*http.Response, string) {
	f.Helper()
	req, err := http.NewRequestWithContext(f.Context(), http.MethodGet, f.http.URL+path, nil)
	if err != nil {
		f.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := f.http.Client().Do(req)
	if err != nil {
		f.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		f.Fatal(err)
	}
	return resp, string(body)
}

// An artifact comes in chunks, is there once it is whole and what its hash says, and is had by all its names, whole
// or in part, by no browser that would run it.
func TestArtifacts(t *testing.T) {
	f, _, c := running(t)
	const content = "hello world\n"
	one := artifact("dist/<script>\n\"ü.html", content)
	for _, step := range []struct {
		offset int64
		chunk  string
		want   int64
	}{{0, "hello ", 6}, {0, "hello ", 6}, {3, "lo w", 7}, {7, "orld\n", 12}, {12, "", 12}, {0, "hello", 12}} {
		if list, err := f.client.Artifacts(t.Context(), c.Run.ID); err != nil || len(list.Items) > 0 && step.offset < 12 && step.want < 12 {
			t.Errorf("there before it is whole: %+v %v", list, err)
		}
		if next, err := f.client.AppendArtifact(t.Context(), refOf(c), one, step.offset, []byte(step.chunk)); err != nil || next != step.want {
			t.Errorf("%+v: %d, %v", step, next, err)
		}
	}
	empty := artifact("empty", "")
	if _, err := f.client.AppendArtifact(t.Context(), refOf(c), empty, 0, nil); err != nil {
		t.Fatal(err)
	}
	list, err := f.client.Artifacts(t.Context(), c.Run.ID)
	if diff := cmp.Diff([]api.Artifact{one, empty}, list.Items); err != nil || diff != "" || list.Next != nil {
		t.Errorf("%v, list (-want +got):\n%s", err, diff)
	}
	body, err := f.client.Artifact(t.Context(), c.Run.ID, one.Path, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if text, err := io.ReadAll(body); err != nil || string(text) != content {
		t.Errorf("got %q %v", text, err)
	}
	at := "/api/v1/runs/" + c.Run.ID + "/artifacts/dist/%3Cscript%3E%0A%22%C3%BC.html"
	resp, text := f.get(at, "Range", "bytes=6-10")
	if resp.StatusCode != 206 || text != "world" {
		t.Errorf("a range: %s %q", resp.Status, text)
	}
	for name, want := range map[string]string{
		"Content-Type": "application/octet-stream", "X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox",
		"Content-Disposition": `attachment; filename*=utf-8''%3Cscript%3E%0A%22%C3%BC.html`,
	} {
		if got := resp.Header.Get(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

// What is not what it says, is another than before, is too much or names another place is refused, in words.
func TestArtifactsRefused(t *testing.T) {
	f, _, c := running(t)
	one := artifact("a", "one")
	add := func(a api.Artifact, offset int64, chunk string) error {
		_, err := f.client.AppendArtifact(t.Context(), refOf(c), a, offset, []byte(chunk))
		return err
	}
	if refused := f.wantCode(add(one, 3, ""), 409, api.LogGap); refused.Offset != 0 {
		t.Errorf("offset %d", refused.Offset)
	}
	f.wantCode(add(one, 0, "onemore"), 400, api.BadRequest)
	f.wantCode(add(one, 0, "two"), 400, api.BadRequest)
	if err := add(one, 0, "one"); err != nil { // after the wrong bytes the right ones
		t.Fatal(err)
	}
	f.wantCode(add(artifact("a", "two"), 0, "two"), 409, api.Conflict)
	large := artifact("large", "")
	large.Bytes = api.MaxArtifact + 1
	f.wantCode(add(large, 0, "x"), 413, api.TooLarge)
	for _, path := range []string{"/etc/passwd", "a/../../b", ".", "a//b", "a/", "\xff", strings.Repeat("x", 1001)} {
		if err := add(artifact(path, "x"), 0, "x"); err == nil {
			t.Errorf("%q was taken", path)
		}
	}
	if _, err := f.client.Finish(t.Context(), refOf(c), api.Finish{Status: run.Passed}); err != nil {
		t.Fatal(err)
	}
	f.wantCode(add(artifact("late", "x"), 0, "x"), 409, api.AttemptOver)
	found := 0
	err := filepath.WalkDir(filepath.Join(f.state, "artifacts"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			found++
		}
		return err
	})
	if err != nil || found != 2 { // one, and the index
		t.Errorf("%d files, %v", found, err)
	}
}

// Artifacts, and what there is of one, survive a restart and an index that was cut; they go with their run's files.
func TestArtifactsAfterARestart(t *testing.T) {
	f, _, c := running(t)
	if _, err := f.client.AppendArtifact(t.Context(), refOf(c), artifact("one", "one"), 0, []byte("one")); err != nil {
		t.Fatal(err)
	}
	two := artifact("two", "two and more")
	if _, err := f.client.AppendArtifact(t.Context(), refOf(c), two, 0, []byte("two")); err != nil {
		t.Fatal(err)
	}
	index := filepath.Join(f.server.artifacts.folder(refOf(c)), indexFile)
	f.end()
	file, err := os.OpenFile(index, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteString(`{"path":"cut`); err != nil {
		t.Fatal(err)
	}
	_ = file.Close()
	f = startIn(t, f.state)
	_, err = f.client.AppendArtifact(t.Context(), refOf(c), two, two.Bytes, nil)
	if refused := f.wantCode(err, 409, api.LogGap); refused.Offset != 3 {
		t.Errorf("offset %d", refused.Offset)
	}
	if _, err := f.client.AppendArtifact(t.Context(), refOf(c), two, 3, []byte(" and more")); err != nil {
		t.Fatal(err)
	}
	list, err := f.client.Artifacts(t.Context(), c.Run.ID)
	if diff := cmp.Diff([]api.Artifact{artifact("one", "one"), two}, list.Items); err != nil || diff != "" {
		t.Errorf("%v, list (-want +got):\n%s", err, diff)
	}
	if err := f.server.artifacts.remove(refOf(c)); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(filepath.Join(f.state, "artifacts")); err != nil || len(left) > 0 {
		t.Errorf("left: %v %v", left, err)
	}
}
