package admin

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"

	"lightspeed/api"
	"lightspeed/run"
)

// running starts a run and returns its claim.
func running(t *testing.T) (*fixture, *listener, *api.Claim) {
	f := start(t)
	l := f.listener("web")
	f.push("d1", "main")
	return f, l, l.mustClaim()
}

func (f *fixture) append(c *api.Claim, offset int64, text string) (int64, error) {
	return f.client.AppendLog(f.Context(), refOf(c), offset, []byte(text))
}

func (f *fixture) log(id string, q api.LogQuery) string {
	f.Helper()
	body, err := f.client.Log(f.Context(), id, q)
	if err != nil {
		f.Fatal(err)
	}
	defer body.Close()
	text, err := io.ReadAll(body)
	if err != nil {
		f.Fatal(err)
	}
	return string(text)
}

func TestLogChunks(t *testing.T) {
	f, _, c := running(t)
	for _, step := range []struct {
		offset int64
		text   string
		want   int64
	}{
		{0, "hello ", 6}, {0, "hello ", 6}, {6, "", 6}, {3, "lo world", 11}, {11, "\n", 12}, {2, "llo", 12}, {12, "", 12},
	} {
		if next, err := f.append(c, step.offset, step.text); err != nil || next != step.want {
			t.Errorf("%+v: %d, %v", step, next, err)
		}
	}
	_, err := f.append(c, 13, "x")
	if refused := f.wantCode(err, 409, api.LogGap); refused.Offset != 12 {
		t.Errorf("offset %d", refused.Offset)
	}
	if text := f.log(c.Run.ID, api.LogQuery{}); text != "hello world\n" {
		t.Errorf("log %q", text)
	}
	if text := f.log(c.Run.ID, api.LogQuery{Offset: 6, Attempt: 1}); text != "world\n" {
		t.Errorf("from 6: %q", text)
	}
	if text := f.log(c.Run.ID, api.LogQuery{Offset: 100}); text != "" {
		t.Errorf("from past the end: %q", text)
	}
	_, err = f.client.Log(t.Context(), c.Run.ID, api.LogQuery{Attempt: 2})
	f.wantCode(err, 404, api.NotFound)
	_, err = f.append(c, 12, strings.Repeat("x", api.MaxLogChunk+1))
	f.wantCode(err, 413, api.TooLarge)
	if next, err := f.append(c, 12, strings.Repeat("x", api.MaxLogChunk)); err != nil || next != 12+api.MaxLogChunk {
		t.Errorf("the largest chunk: %d, %v", next, err)
	}
}

func TestLogByRange(t *testing.T) {
	f, _, c := running(t)
	if _, err := f.append(c, 0, "0123456789"); err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), "GET", f.http.URL+"/api/v1/runs/"+c.Run.ID+"/log", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Range", "bytes=-3")
	resp, err := f.http.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 206 || string(text) != "789" || resp.Header.Get("Content-Range") != "bytes 7-9/10" {
		t.Errorf("%d %q %v", resp.StatusCode, text, resp.Header)
	}
	if got := resp.Header.Get("Content-Type"); got != "text/plain; charset=utf-8" || resp.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("headers %v", resp.Header)
	}
}

// A reader follows from before the start to the end, and another joins in the middle.
func TestLogIsFollowed(t *testing.T) {
	f := start(t)
	l := f.listener("web")
	id := f.push("d1", "main").Runs[0].ID
	body, err := f.client.Log(t.Context(), id, api.LogQuery{Follow: true})
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	c := l.mustClaim()
	var sent int64
	for _, piece := range []string{"one\n", "two\n", "three\n"} {
		if sent, err = f.append(c, sent, piece); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(piece))
		if _, err := io.ReadFull(body, got); err != nil || string(got) != piece {
			t.Fatalf("%q, %v", got, err)
		}
	}
	joined, err := f.client.Log(t.Context(), id, api.LogQuery{Follow: true, Offset: 4})
	if err != nil {
		t.Fatal(err)
	}
	defer joined.Close()
	if _, err := f.append(c, sent, "four\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := f.client.Finish(t.Context(), refOf(c), api.Finish{Status: run.Passed, LogBytes: sent + 5}); err != nil {
		t.Fatal(err)
	}
	for reader, want := range map[io.Reader]string{body: "four\n", joined: "two\nthree\nfour\n"} {
		if rest, err := io.ReadAll(reader); err != nil || string(rest) != want {
			t.Errorf("%q, %v; want %q", rest, err, want)
		}
	}
}

func TestFollowOfARunThatNeverStarts(t *testing.T) {
	f := start(t)
	f.listener("web")
	id := f.push("d1", "main").Runs[0].ID
	body, err := f.client.Log(t.Context(), id, api.LogQuery{Follow: true})
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if _, err := f.client.Cancel(t.Context(), id, api.Cancel{}); err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(body); err != nil || len(text) != 0 {
		t.Errorf("%q, %v", text, err)
	}
}

// When admin stops, a follower is cut off: it must not take that for the end of the log.
func TestFollowerIsCutOffByAStop(t *testing.T) {
	f, _, c := running(t)
	body, err := f.client.Log(context.Background(), c.Run.ID, api.LogQuery{Follow: true})
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	f.end()
	if _, err := io.ReadAll(body); err == nil {
		t.Error("it looks as if the log had ended")
	}
}

// A reader that does not read holds nobody up.
func TestSlowReaderSlowsNobody(t *testing.T) {
	f, l, c := running(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	body, err := f.client.Log(ctx, c.Run.ID, api.LogQuery{Follow: true})
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	chunk := strings.Repeat("x", api.MaxLogChunk)
	for n := range int64(16) { // far more than the sockets' buffers hold
		if _, err := f.append(c, n*api.MaxLogChunk, chunk); err != nil {
			t.Fatal(err)
		}
	}
	l.finish(c, run.Passed)
	cancel()
}

func TestChunksThatComeAtOnce(t *testing.T) {
	f, _, c := running(t)
	var whole bytes.Buffer
	for i := range 200_000 {
		whole.WriteByte(byte('a' + i%26))
	}
	var group sync.WaitGroup
	for worker := range 4 { // each sends all of it, in pieces of another size
		group.Go(func() {
			size := int64(10_000 + 777*worker)
			for at := int64(0); at < int64(whole.Len()); {
				end := min(at+size, int64(whole.Len()))
				next, err := f.append(c, at, string(whole.Bytes()[at:end]))
				if err != nil || next < end {
					t.Error(next, err)
					return
				}
				at = end
			}
		})
	}
	group.Wait()
	if text := f.log(c.Run.ID, api.LogQuery{}); text != whole.String() {
		t.Errorf("%d bytes, want %d", len(text), whole.Len())
	}
}

// The file is the truth after a crash: what is in it counts, and the listener goes on from there.
func TestLogGoesOnAfterARestart(t *testing.T) {
	f, _, c := running(t)
	if _, err := f.append(c, 0, "one\n"); err != nil {
		t.Fatal(err)
	}
	f.end()
	file, err := os.OpenFile(f.server.logs.path(refOf(c)), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteString("tw"); err != nil { // admin was killed amid a chunk
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	g := startIn(t, f.state)
	if next, err := g.append(c, 4, "two\n"); err != nil || next != 8 {
		t.Fatalf("%d, %v", next, err)
	}
	if text := g.log(c.Run.ID, api.LogQuery{}); text != "one\ntwo\n" {
		t.Errorf("log %q", text)
	}
}

// Memory stays flat, however long a log is.
func TestLongLogTakesLittleMemory(t *testing.T) {
	f, _, c := running(t)
	const chunks = 128
	chunk := bytes.Repeat([]byte("0123456789abcde\n"), api.MaxLogChunk/16)
	want := sha256.New()
	var most uint64
	for n := range int64(chunks) {
		want.Write(chunk)
		if _, err := f.client.AppendLog(t.Context(), refOf(c), n*api.MaxLogChunk, chunk); err != nil {
			t.Fatal(err)
		}
		if n%16 == 0 {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			most = max(most, m.HeapInuse)
		}
	}
	body, err := f.client.Log(t.Context(), c.Run.ID, api.LogQuery{})
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	got := sha256.New()
	if n, err := io.Copy(got, body); err != nil || n != chunks*api.MaxLogChunk || !bytes.Equal(got.Sum(nil), want.Sum(nil)) {
		t.Errorf("%d bytes came back, %v", n, err)
	}
	if most > 64<<20 {
		t.Errorf("the heap grew to %d MB", most>>20)
	}
}
