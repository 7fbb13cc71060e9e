package admin

import (
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"lightspeed/api"
	"lightspeed/logtime"
	"lightspeed/run"
)

var noon = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

// came is one record: bytes from offset on came so many milliseconds after noon.
func came(offset int64, milli, step int) []logtime.Record {
	return []logtime.Record{{Offset: offset, At: noon.Add(time.Duration(milli) * time.Millisecond), Step: step}}
}

// wantTimes compares when a log came, from an offset on: "offset +time step" of each.
func (f *fixture) wantTimes(ref run.Ref, offset int64, want ...string) api.LogTimes {
	f.Helper()
	times, err := f.client.LogTimes(f.Context(), ref, offset)
	if err != nil {
		f.Fatal(err)
	}
	var got []string
	for _, one := range times.Items {
		step := "-"
		if one.Step != nil {
			step = fmt.Sprint(*one.Step)
		}
		got = append(got, fmt.Sprintf("%d +%dms %s", one.Offset, one.At.Sub(noon).Milliseconds(), step))
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		f.Errorf("times from %d on are %q, want %q", offset, got, want)
	}
	return times
}

func TestLogTimes(t *testing.T) {
	f, _, c := running(t)
	f.wantTimes(refOf(c), 0)
	for _, step := range []struct {
		offset int64
		text   string
		times  []logtime.Record
	}{
		{0, "before ", nil}, // of an older listener
		{7, "one ", append(came(7, 0, 1), came(9, 5, 2)...)},
		{7, "one ", append(came(7, 0, 1), came(9, 5, 2)...)}, // sent again
		{9, "e two", append(came(9, 5, 2), came(12, 250, 0)...)},
		{14, "!", came(14, 250, 0)},
	} {
		if _, err := f.client.AppendLog(t.Context(), refOf(c), step.offset, []byte(step.text), step.times...); err != nil {
			t.Fatal(err)
		}
	}
	if got := f.log(c.Run.ID, api.LogQuery{}); got != "before one two!" {
		t.Errorf("log %q", got)
	}
	all := f.wantTimes(refOf(c), 0, "7 +0ms 1", "9 +5ms 2", "12 +250ms -")
	if all.Next != nil || all.LogBytes != 15 {
		t.Errorf("got %+v", all)
	}
	f.wantTimes(run.Ref{Run: c.Run.ID}, 10, "10 +5ms 2", "12 +250ms -")
	f.wantTimes(refOf(c), 15)
	f.wantTimes(refOf(c), 100)
	const path = "/log/times?attempt=1&offset=11"
	if status, body := f.call("GET", "/api/v1/runs/"+c.Run.ID+path, ""); status != 200 || body !=
		`{"items":[{"offset":11,"at":"2026-01-31T12:00:00.005Z","step":2},{"offset":12,"at":"2026-01-31T12:00:00.25Z","step":null}],"next":null,"log_bytes":15}` {
		t.Errorf("%d %s", status, body)
	}
	for path, want := range map[string]int{"?offset=-1": 400, "?attempt=2": 404, "?x=1": 400} {
		if status, body := f.call("GET", "/api/v1/runs/"+c.Run.ID+"/log/times"+path, ""); status != want {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	_, err := f.client.LogTimes(t.Context(), run.Ref{Run: "none"}, 0)
	f.wantCode(err, 404, api.NotFound)
}

// TestPagesOfLogTimes reads more than a page has.
func TestPagesOfLogTimes(t *testing.T) {
	f, _, c := running(t)
	for from := int64(0); from < 512; from += logtime.MaxTogether {
		var times []logtime.Record
		for i := from; i < from+logtime.MaxTogether; i++ {
			times = append(times, came(i, int(i), 1)...)
		}
		if _, err := f.client.AppendLog(t.Context(), refOf(c), from, make([]byte, logtime.MaxTogether), times...); err != nil {
			t.Fatal(err)
		}
	}
	page, err := f.client.LogTimes(t.Context(), refOf(c), 0)
	if err != nil || len(page.Items) != api.MaxLogTimes || page.Next == nil || *page.Next != "500" || page.LogBytes != 512 {
		t.Fatalf("%d items, next %v, %d bytes, %v", len(page.Items), page.Next, page.LogBytes, err)
	}
	if page, err = f.client.LogTimes(t.Context(), refOf(c), 500); err != nil || len(page.Items) != 12 || page.Next != nil {
		t.Errorf("%d items, next %v, %v", len(page.Items), page.Next, err)
	}
}

// TestTimesThatAreRefused: nothing of such a chunk is taken.
func TestTimesThatAreRefused(t *testing.T) {
	f, _, c := running(t)
	_, err := f.client.AppendLog(t.Context(), refOf(c), 0, []byte("hello"), came(5, 0, 1)...)
	if refused := f.wantCode(err, 400, api.BadRequest); refused.Message != "Lightspeed-Log-Times: record 1 is of offset 5, in a piece from 0 to 5" {
		t.Error(refused.Message)
	}
	if got := f.log(c.Run.ID, api.LogQuery{}); got != "" {
		t.Errorf("log %q", got)
	}
}

// TestTimesAfterARestart: admin was killed between the times of a chunk and the chunk, amid a record, or lost both to
// a power cut. What is said is of bytes that are there.
func TestTimesAfterARestart(t *testing.T) {
	f, _, c := running(t)
	ref := refOf(c)
	if _, err := f.client.AppendLog(t.Context(), ref, 0, []byte("one\n"), came(0, 0, 1)...); err != nil {
		t.Fatal(err)
	}
	if err := f.server.logs.note(ref, 4, append(came(4, 7, 1), came(6, 8, 2)...)); err != nil {
		t.Fatal(err)
	}
	f.end()
	file, err := os.OpenFile(f.server.logs.timesPath(ref), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteString("torn"); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	g := startIn(t, f.state)
	g.wantTimes(ref, 0, "0 +0ms 1")
	if _, err := g.client.AppendLog(t.Context(), ref, 4, []byte("two\n"), came(4, 9, 1)...); err != nil {
		t.Fatal(err)
	}
	g.wantTimes(ref, 0, "0 +0ms 1", "4 +9ms 1")
	g.end()
	if err := os.Truncate(g.server.logs.timesPath(ref), 0); err != nil {
		t.Fatal(err)
	}
	h := startIn(t, f.state)
	if _, err := h.client.AppendLog(t.Context(), ref, 8, []byte("three\n"), came(8, 20, 1)...); err != nil {
		t.Fatal(err)
	}
	h.wantTimes(ref, 0, "8 +20ms 1")
	if got := h.log(ref.Run, api.LogQuery{}); got != "one\ntwo\nthree\n" {
		t.Errorf("log %q", got)
	}
}

// TestTimesThatCannotBeWritten: the log is taken all the same, and it is said why.
func TestTimesThatCannotBeWritten(t *testing.T) {
	said := &strings.Builder{}
	f := start(t, func(o *Options) { o.Log = slog.New(slog.NewTextHandler(said, nil)) })
	l := f.listener("web")
	f.push("d1", "main")
	c := l.mustClaim()
	if err := os.MkdirAll(f.server.logs.timesPath(refOf(c)), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := f.client.AppendLog(t.Context(), refOf(c), 0, []byte("one\n"), came(0, 0, 1)...); err != nil {
		t.Fatal(err)
	}
	if got := f.log(c.Run.ID, api.LogQuery{}); got != "one\n" {
		t.Errorf("log %q", got)
	}
	f.end()
	if !strings.Contains(said.String(), "noting when a log came failed") {
		t.Errorf("said %s", said)
	}
}
