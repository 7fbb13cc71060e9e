package admin

import (
	"bytes"
	"io"
	"net/http"
	"sync"
	"testing"
)

// calls checks what a fixture's admin is asked and answers by the document, and remembers what was seen of that.
type calls struct {
	testing.TB
	next http.Handler
	mu   sync.Mutex
	seen map[string]bool
}

// recorded is an answer of which a copy is kept.
type recorded struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

func (w *recorded) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *recorded) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorded) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	if w.body.Len() < maxRecorded {
		w.body.Write(p)
	}
	return w.ResponseWriter.Write(p)
}

// maxRecorded bounds what is kept of a body, in bytes: what is longer is a log, an artifact or a payload.
const maxRecorded = 4 << 20

// copied is a body of which a copy is kept.
type copied struct {
	io.ReadCloser
	read bytes.Buffer
}

func (c *copied) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	if c.read.Len() < maxRecorded {
		c.read.Write(p[:n])
	}
	return n, err
}

func (c *calls) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	out, in := &recorded{ResponseWriter: w}, &copied{ReadCloser: r.Body}
	query := r.URL.Query()
	r.Body = in
	c.next.ServeHTTP(out, r) // a panic that cuts an answer off passes by
	unknown := r.Pattern == "/" || out.status == http.StatusMethodNotAllowed || out.status == http.StatusTemporaryRedirect
	if unknown || out.body.Len() >= maxRecorded {
		return
	}
	d, err := described()
	if err != nil {
		c.Errorf("%v", err)
		return
	}
	seen, err := d.check(exchange{
		method: r.Method, pattern: r.Pattern, query: query, header: r.Header, taken: in.read.Bytes(),
		status: out.status, answered: w.Header(), body: out.body.Bytes(),
	})
	if err != nil {
		c.Errorf("%v", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seen == nil {
		c.seen = map[string]bool{}
	}
	c.seen[seen] = true
}
