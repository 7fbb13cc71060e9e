package app

import (
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"lightspeed/secret"
)

// What anyone on the internet may ask of hooks has its limits: who is silent is closed, heads are small, and
// a connection has one request at a time.
func TestLimitsOfThePublicEdge(t *testing.T) {
	t.Parallel()
	cert, key := selfSigned(t)
	out, ready := quiet()
	hooks := start(func(stop Stop) error {
		return Hooks(stop, out, HooksOptions{Addr: "127.0.0.1:0", State: t.TempDir(), Secrets: []secret.Value{secret.New("s")},
			Client: ClientOptions{Admin: "http://127.0.0.1:1"}, TLS: TLSFiles{Cert: cert, Key: key}})
	})
	addr := strings.TrimPrefix(ready.wait(t, "ready hooks "), "https://")
	silent, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	dial := func() *tls.Conn {
		conn, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2", "http/1.1"}})
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
	half, long := dial(), dial()
	defer half.Close()
	defer long.Close()
	if protocol := half.ConnectionState().NegotiatedProtocol; protocol != "http/1.1" {
		t.Errorf("it speaks %q", protocol)
	}
	fmt.Fprint(half, "POST /receive_hook HTTP/1.1\r\nHost: x\r\n")
	fmt.Fprintf(long, "POST /receive_hook HTTP/1.1\r\nHost: x\r\nX-Long: %s\r\n", strings.Repeat("x", 2*maxHooksHead))
	if answer, _ := io.ReadAll(long); !strings.HasPrefix(string(answer), "HTTP/1.1 431 ") {
		t.Errorf("a head that is too long gets %.100q", answer)
	}
	for name, conn := range map[string]net.Conn{"before the handshake": silent, "within a head": half} {
		_ = conn.SetReadDeadline(time.Now().Add(20 * headerLimit))
		if _, err := io.ReadAll(conn); err != nil && strings.Contains(err.Error(), "timeout") {
			t.Errorf("silent %s: it is still open", name)
		}
	}
	if err := hooks.stop(); err != nil {
		t.Error(err)
	}
}

// Every server that is started has all time-outs, whatever it serves.
func TestServersHaveTimeouts(t *testing.T) {
	life := newLifecycle(slog.New(slog.DiscardHandler))
	s, err := life.openSocket("test", "addr", "127.0.0.1:0", nil)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.NotFoundHandler()}
	life.serve(s, server)
	if server.ReadHeaderTimeout != 5*time.Second || server.ReadTimeout != 30*time.Second || server.IdleTimeout != 2*time.Minute || server.MaxHeaderBytes != 32<<10 {
		t.Errorf("a server has %v, %v, %v, %d bytes", server.ReadHeaderTimeout, server.ReadTimeout, server.IdleTimeout, server.MaxHeaderBytes)
	}
	if err := life.stop(); err != nil {
		t.Error(err)
	}
}
