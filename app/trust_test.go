package app

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// A new authority in the file of --tls-ca is trusted from then on, and a file that is none changes nothing.
func TestTrustIsReadAgain(t *testing.T) {
	ca, _ := selfSigned(t)
	cert, key := selfSigned(t) // of another authority: its own
	var said bytes.Buffer
	log := slog.New(slog.NewTextHandler(&said, nil))
	served, err := TLSFiles{Cert: cert, Key: key}.serverTLS(log)
	if err != nil {
		t.Fatal(err)
	}
	life := newLifecycle(slog.New(slog.DiscardHandler))
	socket, err := life.openSocket("test", "addr", "127.0.0.1:0", served)
	if err != nil {
		t.Fatal(err)
	}
	life.serve(socket, &http.Server{Handler: http.NotFoundHandler()})
	defer life.stop()
	trusted, err := TLSFiles{CA: ca}.trust(log)
	if err != nil {
		t.Fatal(err)
	}
	client := newHTTPClient(trusted.current)
	defer client.CloseIdleConnections()
	get := func() error {
		trusted.looked = time.Time{}
		resp, err := client.Get(socket.url())
		if err == nil {
			err = resp.Body.Close()
		}
		return err
	}
	if err := get(); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Fatalf("an authority that is not trusted: %v", err)
	}
	rewrite(t, ca, []byte("none"), time.Minute)
	if err := get(); err == nil || !strings.Contains(said.String(), "trusted on") {
		t.Errorf("with a file that is none: %v, %s", err, said.String())
	}
	pem, err := os.ReadFile(cert)
	if err != nil {
		t.Fatal(err)
	}
	rewrite(t, ca, pem, 2*time.Minute)
	if err := get(); err != nil {
		t.Errorf("after the authority was put into the file: %v\n%s", err, said.String())
	}
}

// rewrite changes a file, with a time that tells it from before whatever the file system's clock resolves.
func rewrite(t *testing.T, path string, content []byte, ahead time.Duration) {
	t.Helper()
	at := time.Now().Add(ahead)
	if err := errors.Join(os.WriteFile(path, content, 0o600), os.Chtimes(path, at, at)); err != nil {
		t.Fatal(err)
	}
}
