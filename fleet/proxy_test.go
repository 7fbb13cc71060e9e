package fleet

import (
	"io"
	"net"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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
	p, err := NewProxy(echo(t))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
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
		p.Mend()
		if got, err := hear(10 * time.Second); got != "two" {
			t.Fatalf("after mending got %q, %v", got, err)
		}
	}
	p.Cut()
	if got, err := hear(10 * time.Second); err == nil {
		t.Fatalf("%q came through a link that is cut", got)
	}
}
