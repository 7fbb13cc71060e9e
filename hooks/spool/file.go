package spool

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"os"
	"time"

	"lightspeed/event"
	"lightspeed/fault"
)

// A spool file is one line of JSON, the header, and then the body as it came.
const (
	maxHeader = 4 << 10 // of a header's line, in bytes
	maxFile   = maxHeader + event.MaxPayload
)

// header is the first line of a spool file. SHA256 covers the other fields and the body: a bit that
// flips in the id is found as one in the body is.
type header struct {
	ID          string    `json:"id"`
	Event       string    `json:"event"`
	ContentType string    `json:"content_type"`
	ReceivedAt  time.Time `json:"received_at"`
	Length      int       `json:"length"`
	SHA256      string    `json:"sha256"`
}

// encodeHeader makes the line that stands before d's body, its line end included.
func encodeHeader(d event.Delivery) ([]byte, error) {
	if len(d.Body) > event.MaxPayload {
		return nil, fmt.Errorf("body of %d bytes is larger than %d", len(d.Body), event.MaxPayload)
	}
	line, err := json.Marshal(header{
		ID: d.ID, Event: d.Event, ContentType: d.ContentType, ReceivedAt: d.ReceivedAt.UTC(),
		Length: len(d.Body), SHA256: hex.EncodeToString(sum(d)),
	})
	if err != nil {
		return nil, err
	}
	if len(line) >= maxHeader {
		return nil, fmt.Errorf("header of %d bytes is larger than %d", len(line), maxHeader)
	}
	return append(line, '\n'), nil
}

// decode reads a whole spool file; the delivery's body is part of data. An error says what is damaged.
func decode(data []byte) (event.Delivery, error) {
	end := bytes.IndexByte(data[:min(len(data), maxHeader)], '\n')
	if end < 0 {
		return event.Delivery{}, errors.New("the header is cut off")
	}
	line, body := data[:end], data[end+1:]
	var h header
	if err := json.Unmarshal(line, &h); err != nil {
		return event.Delivery{}, errors.New("the header is not JSON")
	}
	if h.Length != len(body) {
		return event.Delivery{}, fmt.Errorf("the body has %d bytes, the header says %d", len(body), h.Length)
	}
	d := event.Delivery{ID: h.ID, Event: h.Event, ContentType: h.ContentType, ReceivedAt: h.ReceivedAt, Body: body}
	if h.SHA256 != hex.EncodeToString(sum(d)) {
		return event.Delivery{}, errors.New("the SHA-256 is not the header's")
	}
	return d, nil
}

// sum hashes what must come back as it was put in.
func sum(d event.Delivery) []byte {
	h := sha256.New()
	for _, field := range []string{d.ID, d.Event, d.ContentType, d.ReceivedAt.UTC().Format(time.RFC3339Nano)} {
		writeField(h, field)
	}
	h.Write(d.Body)
	return h.Sum(nil)
}

// writeField quotes the field, so that where one ends and the next begins cannot be shifted.
func writeField(h hash.Hash, field string) { fmt.Fprintf(h, "%q\n", field) }

// readFile reads a spool file whole, but never one that is larger than any spool file can be: that one
// is damaged, and comes back as errTooLarge.
func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxFile {
		return nil, errTooLarge
	}
	return os.ReadFile(path)
}

var errTooLarge = fmt.Errorf("the file is larger than %d bytes", maxFile)

// writeFile makes the file, writes it whole and sees it onto the disk. It leaves nothing behind on an error.
func writeFile(path string, parts ...[]byte) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, f.Close())
		if err != nil {
			err = errors.Join(err, remove(path))
		}
	}()
	for _, part := range parts {
		if _, err := f.Write(part); err != nil {
			return err
		}
	}
	fault.Point("spool.file.written")
	if err := f.Sync(); err != nil {
		return err
	}
	fault.Point("spool.file.synced")
	return nil
}

// remove takes a file away; one that is gone already is no error.
func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
