package app

import (
	"crypto/tls"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"time"
)

// trust is what a client checks servers with, read again when the file of --tls-ca changes: a new authority is trusted
// without a restart. A file that cannot be used then leaves what is trusted as it is, and that is said.
type trust struct {
	files TLSFiles
	log   *slog.Logger

	mu     sync.Mutex
	config *tls.Config
	seen   stamp // of the file, when it was last read
	looked time.Time
}

// trust reads the file for the first time.
func (f TLSFiles) trust(log *slog.Logger) (*trust, error) {
	t := &trust{files: f, log: log, looked: time.Now()}
	t.seen, _ = stampOf(f.CA) // before it is read: a change that comes between is seen later
	var err error
	t.config, err = f.clientTLS()
	return t, err
}

// current returns the same config as long as nothing has changed.
func (t *trust) current() *tls.Config {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.files.CA == "" || time.Since(t.looked) < lookAgain {
		return t.config
	}
	t.looked = time.Now()
	found, err := stampOf(t.files.CA)
	if err != nil || found == t.seen {
		return t.config
	}
	t.seen = found
	config, err := t.files.clientTLS()
	if err != nil {
		t.log.Warn("the file of trusted certificates has changed and cannot be used: those of before are trusted on", "file", t.files.CA, "err", err)
		return t.config
	}
	t.log.Info("the file of trusted certificates was read again", "file", t.files.CA)
	t.config = config
	return config
}

func stampOf(path string) (stamp, error) {
	info, err := os.Stat(path)
	if err != nil {
		return stamp{}, err
	}
	return stamp{info.Size(), info.ModTime()}, nil
}

// renewed is a transport whose connections are made by what is trusted now. Those that stand go on until they are idle.
type renewed struct {
	trusted func() *tls.Config

	mu  sync.Mutex
	by  *tls.Config
	now *http.Transport
}

func (r *renewed) transport() *http.Transport {
	config := r.trusted()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.now == nil || config != r.by {
		if r.now != nil {
			r.now.CloseIdleConnections() // and those in use, as soon as they are idle
		}
		r.by, r.now = config, newTransport(config)
	}
	return r.now
}

// RoundTrip sends a request.
func (r *renewed) RoundTrip(req *http.Request) (*http.Response, error) {
	return r.transport().RoundTrip(req)
}

// CloseIdleConnections is called by http.Client's.
func (r *renewed) CloseIdleConnections() { r.transport().CloseIdleConnections() }
