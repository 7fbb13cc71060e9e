package app

import (
	"bytes"
	"crypto/tls"
	"log/slog"
	"os"
	"testing"
	"time"
)

func TestCertificateIsReadAgain(t *testing.T) {
	cert, key := selfSigned(t)
	var said bytes.Buffer
	c := &certificate{files: TLSFiles{Cert: cert, Key: key}, log: slog.New(slog.NewTextHandler(&said, nil))}
	if err := c.load(); err != nil {
		t.Fatal(err)
	}
	look := func() *tls.Certificate {
		c.looked = time.Time{}
		return c.current()
	}
	first := look()
	newCert, newKey := selfSigned(t)
	replace(t, newCert, cert)
	if look() != first || !bytes.Contains(said.Bytes(), []byte("served on")) {
		t.Errorf("with a key that is not the certificate's: %s", said.String())
	}
	replace(t, newKey, key)
	if got := look(); got == first || bytes.Equal(got.Certificate[0], first.Certificate[0]) {
		t.Error("the old certificate is served after both files have changed")
	}
	second := c.current()
	if err := os.Remove(cert); err != nil {
		t.Fatal(err)
	}
	if look() != second {
		t.Error("without its file the certificate is not served")
	}
}

func replace(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
	later := time.Now().Add(time.Minute) // whatever the file system's clock resolves
	if err := os.Chtimes(to, later, later); err != nil {
		t.Fatal(err)
	}
}
