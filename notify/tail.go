package notify

import (
	"bytes"
	"errors"
	"io"
)

// MaxTail is how much of a log's end a notice carries, in bytes. Discord would take 10 MiB in a file; the
// queue keeps a thousand of these on disk.
const MaxTail = 64 << 10

// Tail is the end of a run's log, as the run wrote it.
type Tail struct {
	Text []byte `json:"text,omitempty"`
	Cut  bool   `json:"cut,omitempty"` // there is more before it
}

// ReadTail reads the last MaxTail of a log that is size bytes long, from the start of a line where there is one.
func ReadTail(log io.ReaderAt, size int64) (Tail, error) {
	start := max(0, size-MaxTail)
	text := make([]byte, size-start)
	n, err := log.ReadAt(text, start)
	if err != nil && !errors.Is(err, io.EOF) {
		return Tail{}, err
	}
	text = text[:n]
	if start == 0 {
		return Tail{Text: text}, nil
	}
	if end := bytes.IndexByte(text, '\n'); end >= 0 && end < len(text)-1 {
		text = text[end+1:]
	}
	return Tail{Text: text, Cut: true}, nil
}
