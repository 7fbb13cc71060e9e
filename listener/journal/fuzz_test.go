package journal

import (
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
)

// Whatever stands in an attempt's folder, as a crash or a broken disk has left it: the journal opens, the attempt is held
// or was never there, and its log can be read to its end and written on.
func FuzzFolder(f *testing.F) {
	f.Add([]byte(`{"instance":"i","claim":{"attempt":1,"run":{"id":"r1"}}}`), []byte(`{"pid":7,"start":1,"steps":[{"step":1}]}`), []byte(`{"status":"passed"}`), []byte("head\n"), []byte("\x00\x01\x02"))
	f.Add([]byte(`{`), []byte(`null`), []byte(`[]`), []byte{}, []byte{})
	f.Add([]byte(`{"claim":{"run":{"attempts":[{}]}}}`), []byte(`{"pid":-1}`), []byte(`{"exit_code":1e99}`), []byte("x"), make([]byte, 64))
	f.Fuzz(func(t *testing.T, claim, process, result, head, tail []byte) {
		state := t.TempDir()
		dir := filepath.Join(state, "attempts", "r1.1")
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		for name, data := range map[string][]byte{claimFile: claim, processFile: process, resultFile: result, logFile: head, tailFile: tail} {
			if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		j, err := Open(state, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		defer j.Close()
		if len(j.Holds())+len(j.Held()) == 0 {
			t.Error("an attempt with a claim is not held")
		}
		for _, e := range j.Held() {
			size, _ := e.Log.Size()
			if size < 0 || size > 1<<20 {
				t.Fatalf("the log has %d bytes", size)
			}
			read := func() int64 {
				n, err := io.Copy(io.Discard, io.NewSectionReader(e.Log, 0, 1<<20))
				if err != nil {
					t.Errorf("read the log: %v", err)
				}
				return n
			}
			if n := read(); n != size {
				t.Errorf("%d bytes are read of %d", n, size)
			}
			if _, err := e.Log.Write([]byte("more\n")); err != nil {
				t.Error(err)
			}
			e.Log.Close()
			read()
		}
	})
}
