package listener

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"lightspeed/run"
	"lightspeed/secret"
)

// TestEndlessLine: memory does not grow with a line of output that never ends, also where it is searched for secrets; its
// head and its tail are kept.
func TestEndlessLine(t *testing.T) {
	const printed, kept, most = 64 << 20, 1 << 20, 32 << 20
	f := newFakeAdmin(t)
	c := conf("printf head; head -c 67108864 /dev/zero | tr '\\0' x; printf tail")
	c.MaxLog, c.Secrets = kept, map[string]secret.Value{"PASSWORD": secret.New("xxxx-hunter22")}
	listen(t, f, c, t.TempDir())
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r := f.push("r1")
	end := f.awaitEnd(r)
	runtime.ReadMemStats(&after)
	log := f.logOf(r)
	if end.Status != run.Passed || !end.LogCut || !strings.HasPrefix(log, "headxxx") || !strings.HasSuffix(log, "xxxtail") ||
		!strings.Contains(log, "x\nlightspeed: 66060296 bytes of output are left out here: ") {
		t.Errorf("got %+v, log of %d bytes: %.20q … %q", end, len(log), log, log[max(0, len(log)-20):])
	}
	if grown := int64(after.HeapSys) - int64(before.HeapSys); grown > most {
		t.Errorf("the heap has grown by %d MB with %d MB of output", grown>>20, printed>>20)
	}
}

// TestByteByByte: what comes a byte at a time, with zeros and bytes that are no text among it, is there as it comes.
func TestByteByByte(t *testing.T) {
	f := newFakeAdmin(t)
	gates := t.TempDir()
	listen(t, f, conf(`for n in 000 377 033 012 101; do printf "\\$n"; while [ ! -e `+gates+`/$n ]; do sleep 0.02; done; done`), t.TempDir())
	r := f.push("r1")
	const want = "\x00\xff\x1b\nA"
	for i, n := range []string{"000", "377", "033", "012", "101"} {
		f.await("byte "+n, func() bool { return string(r.log) == want[:i+1] })
		if err := os.WriteFile(filepath.Join(gates, n), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if end := f.awaitEnd(r); end.Status != run.Passed || f.logOf(r) != want {
		t.Errorf("got %+v, %q", end, f.logOf(r))
	}
}

// TestScriptsThatMeanItBadly: a script that reads its input finds none, one that closes its output goes on, and one whose child
// kills it ends as what it is.
func TestScriptsThatMeanItBadly(t *testing.T) {
	f := newFakeAdmin(t)
	marks := t.TempDir()
	listen(t, f, conf("cat; read line || echo no input", "exec >&- 2>&-; touch "+marks+"/on", "echo begun; sh -c 'kill -9 $PPID'; sleep 600"), t.TempDir())
	r := f.push("r1")
	end := f.awaitEnd(r)
	if end.Status != run.Failed || end.Reason != "step 3: ended by signal 9 (killed)" || f.logOf(r) != "no input\nbegun\nlightspeed: step 3: ended by signal 9 (killed)\n" {
		t.Errorf("got %+v, %q", end, f.logOf(r))
	}
	if _, err := os.Stat(filepath.Join(marks, "on")); err != nil {
		t.Error(err)
	}
}

// TestScriptKillsItsListener: as the same user it can. The run is lost, and says so; nothing of it goes on.
func TestScriptKillsItsListener(t *testing.T) {
	f := newFakeAdmin(t)
	state := t.TempDir()
	gate := filepath.Join(t.TempDir(), "gate")
	c := conf("echo begun; while [ ! -e " + gate + " ]; do sleep 0.02; done; kill -9 $PPID; sleep 600")
	v := startVictim(t, f, c, state)
	r := f.push("r1")
	f.awaitLog(r, "begun\n")
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := v.Wait(); err == nil || v.ProcessState.String() != "signal: killed" {
		t.Fatalf("the listener ended with %v", err)
	}
	c.Exec = conf("echo next").Exec
	startVictim(t, f, c, state)
	end := f.awaitEnd(r)
	if end.Status != run.Lost || end.Reason != "the listener was ended while it ran; what became of it is not known" ||
		!strings.HasPrefix(f.logOf(r), "begun\nlightspeed: the listener was ended while this ran\n") {
		t.Errorf("got %+v, %q", end, f.logOf(r))
	}
	if rest := leftOf("r1", 1).End(t.Context(), 0); rest.Ended != 0 {
		t.Errorf("%d processes were still running", rest.Ended)
	}
	if next := f.awaitEnd(f.push("r2")); next.Status != run.Passed {
		t.Errorf("the next run: %+v", next)
	}
}
