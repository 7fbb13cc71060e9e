package journal

import (
	"bytes"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
)

// Whatever stands in an attempt's folder, as a crash or a broken disk has left it: the journal opens, the attempt is held
// or was never there, and its log can be read to its end and written on.
func FuzzFolder(f *testing.F) {
	f.Add([]byte(`{"claimed":{"instance":"i","claim":{"attempt":1,"run":{"id":"r1"}}}}`+"\n"+`{"started":{"pid":7,"start":1,"steps":[{"step":1}]}}`+"\n"+
		`{"result":{"status":"passed"}}`+"\n"), []byte("head\n"), []byte("\x00\x01\x02"))
	f.Add([]byte("{\nnull\n[]\n\n"), []byte{}, []byte{})
	f.Add([]byte(`{"claimed":{"claim":{"run":{"attempts":[{}]}}}}`+"\n"+`{"started":{"pid":-1}}`+"\n"+`{"result":{"exit_code":1e99}}`+"\n"), []byte("x"), make([]byte, 64))
	f.Add([]byte(`{"ended":null,"artifacts":[{}]}`+"\n"+`{"claimed":`), []byte("x"), []byte{})
	f.Fuzz(func(t *testing.T, records, head, tail []byte) {
		state := t.TempDir()
		dir := filepath.Join(state, "attempts", "r1.1")
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		for name, data := range map[string][]byte{recordsFile: records, logFile: head, tailFile: tail} {
			if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		j, err := Open(state, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		defer j.Close()
		if len(j.Holds())+len(j.Held()) == 0 && bytes.ContainsRune(records, '\n') {
			t.Error("an attempt with a record is not held")
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
