package app

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"os"
	"sync"
	"time"
)

// certificate is a server's, read again when its files change: a renewed one is served without a restart.
type certificate struct {
	files TLSFiles
	log   *slog.Logger

	mu     sync.Mutex
	pair   *tls.Certificate
	seen   [2]stamp // of the files, when they were last read
	looked time.Time
}

// stamp tells whether a file has changed.
type stamp struct {
	size int64
	at   time.Time
}

// lookAgain is the least time between two looks at the files.
const lookAgain = time.Second

// current returns the certificate to be served. Files that do not go together, since one of them is just being
// replaced, are tried again with the next handshake after lookAgain.
func (c *certificate) current() *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.looked) < lookAgain {
		return c.pair
	}
	c.looked = time.Now()
	if stamps, err := c.stamps(); err != nil || stamps == c.seen {
		return c.pair
	}
	if err := c.read(); err != nil {
		c.log.Warn("the TLS files have changed and cannot be used: the certificate of before is served on", "cert", c.files.Cert, "key", c.files.Key, "err", err)
	} else {
		c.log.Info("the TLS files were read again", "cert", c.files.Cert)
	}
	return c.pair
}

func (c *certificate) load() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.looked = time.Now()
	return c.read()
}

// read reads the files. The stamps are taken before: a change that comes between the two is seen later.
func (c *certificate) read() error {
	stamps, err := c.stamps()
	pair, loading := tls.LoadX509KeyPair(c.files.Cert, c.files.Key)
	if err := errors.Join(loading, err); err != nil {
		return err
	}
	c.pair, c.seen = &pair, stamps
	return nil
}

func (c *certificate) stamps() (both [2]stamp, err error) {
	for i, path := range []string{c.files.Cert, c.files.Key} {
		info, err := os.Stat(path)
		if err != nil {
			return both, err
		}
		both[i] = stamp{info.Size(), info.ModTime()}
	}
	return both, nil
}
