package app

import (
	"net"
	"path/filepath"
	"testing"
	"time"

	"lightspeed/api"
	"lightspeed/listener/config"
)

// A service manager is told when the process serves, hears of it as long as its servers answer, also over TLS, and is told that it
// ends.
func TestServiceManagerIsTold(t *testing.T) {
	cert, key := selfSigned(t)
	path := filepath.Join(t.TempDir(), "notify")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", "40000")
	state := t.TempDir()
	out, _ := quiet()
	p := start(func(stop Stop) error {
		return Up(stop, out, UpOptions{Addr: "127.0.0.1:0", HooksAddr: "127.0.0.1:0", State: state,
			Configs: []config.Config{config.Test()}, TLS: TLSFiles{Cert: cert, Key: key}})
	})
	told := func() string {
		t.Helper()
		_ = socket.SetReadDeadline(time.Now().Add(30 * time.Second))
		buffer := make([]byte, 100)
		n, err := socket.Read(buffer)
		if err != nil {
			t.Fatalf("nothing came: %v", err)
		}
		return string(buffer[:n])
	}
	seen := map[string]int{}
	for seen["READY=1"] == 0 || seen["WATCHDOG=1"] < 3 {
		seen[told()]++
	}
	done := make(chan error, 1)
	go func() { done <- p.stop() }()
	for seen["STOPPING=1"] == 0 {
		seen[told()]++
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if len(seen) != 3 || seen["READY=1"] != 1 {
		t.Errorf("the manager was told %v", seen)
	}
}

// A process whose server does not answer gives no sign of life.
func TestNoSignOfLife(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	server, err := NewClient(ClientOptions{Admin: "http://" + silent.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	if err := answering(t.Context(), []*api.Client{server}, 50*time.Millisecond); err == nil {
		t.Error("a server that answers nobody counts as alive")
	}
}
