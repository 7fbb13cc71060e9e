package rabbittest

import (
	"bufio"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestMain(m *testing.M) { os.Exit(Main(m)) }

// TestNothingIsLeft holds the promise that a killed test binary leaves no process and no folder. It kills a
// copy of itself that has started a node.
func TestNothingIsLeft(t *testing.T) {
	t.Parallel()
	victim := exec.Command(os.Args[0], "-test.run=^TestVictim$")
	victim.Env = append(os.Environ(), "RABBITTEST_VICTIM=1")
	out, err := victim.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	dir, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the victim says nothing: %v", err)
	}
	dir = strings.TrimSpace(dir)
	if len(processesOf(dir)) < 2 {
		t.Fatalf("processes with HOME=%s: %v, want the server, epmd and more", dir, processesOf(dir))
	}
	if err := victim.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = victim.Wait()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		_, err := os.Stat(dir)
		left := processesOf(dir)
		if os.IsNotExist(err) && len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("left: folder %s (%v), processes %v", dir, err, left)
		}
	}
}

// TestVictim is what TestNothingIsLeft kills.
func TestVictim(t *testing.T) {
	if os.Getenv("RABBITTEST_VICTIM") == "" {
		return
	}
	_, _ = os.Stdout.WriteString(Start(t).dir + "\n")
	select {}
}

// processesOf lists the processes that have a folder as HOME.
func processesOf(dir string) []string {
	environs, _ := filepath.Glob("/proc/[0-9]*/environ")
	var found []string
	for _, path := range environs {
		environ, _ := os.ReadFile(path)
		if strings.Contains("\x00"+string(environ), "\x00HOME="+dir+"\x00") {
			found = append(found, path)
		}
	}
	return found
}

// echo is a server that sends back what it gets.
func echo(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_, _ = io.Copy(conn, conn)
			}()
		}
	}()
	return l.Addr().String()
}

func TestProxy(t *testing.T) {
	t.Parallel()
	p := NewProxy(t, echo(t))
	conn, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	buf := make([]byte, 8)
	say := func(text string) {
		t.Helper()
		if _, err := conn.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	hear := func(wait time.Duration) (string, error) {
		_ = conn.SetReadDeadline(time.Now().Add(wait))
		n, err := conn.Read(buf)
		return string(buf[:n]), err
	}
	say("one")
	if got, err := hear(10 * time.Second); got != "one" {
		t.Fatalf("got %q, %v", got, err)
	}
	for _, hold := range []func(){p.Stall, p.HalfOpen} {
		hold()
		say("two")
		if got, err := hear(50 * time.Millisecond); err == nil {
			t.Fatalf("%q came through a link that holds", got)
		}
		p.Heal()
		if got, err := hear(10 * time.Second); got != "two" {
			t.Fatalf("after healing got %q, %v", got, err)
		}
	}
	p.Cut()
	if got, err := hear(10 * time.Second); err == nil {
		t.Fatalf("%q came through a link that is cut", got)
	}
}
