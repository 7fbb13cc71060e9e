package app

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// wire is a connection of which only its ends matter.
type wire struct {
	net.Conn
	from   net.Addr
	closed bool
}

func (w *wire) RemoteAddr() net.Addr { return w.from }
func (w *wire) Close() error         { w.closed = true; return nil }

func wireFrom(ip string) *wire { return &wire{from: &net.TCPAddr{IP: net.ParseIP(ip), Port: 1}} }

// wires is a listener whose connections are given by a test.
type wires chan *wire

func (w wires) Accept() (net.Conn, error) { return <-w, nil }
func (w wires) Close() error              { return nil }
func (w wires) Addr() net.Addr            { return &net.TCPAddr{} }

// come has connections accepted, a second after each other.
func (l *limited) come(t *testing.T, list ...*wire) (places []*place) {
	t.Helper()
	for _, one := range list {
		l.Listener.(wires) <- one
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		places = append(places, conn.(*place))
		time.Sleep(time.Second)
	}
	return places
}

func testLimit(most int) *limited {
	return limitConnections(make(wires, 1), most, slog.New(slog.DiscardHandler))
}

func TestWhoFloodsDrivesOutThemselves(t *testing.T) {
	for name, test := range map[string]struct {
		from  []string
		known int // this one's request is from somebody who is known; -1: none
		goes  int
	}{
		"the oldest of one address":         {[]string{"10.0.0.1", "10.0.0.1", "10.0.0.1", "10.0.0.1"}, -1, 0},
		"of the address that has most":      {[]string{"10.0.0.1", "10.0.0.2", "10.0.0.2", "10.0.0.3"}, -1, 1},
		"a network of IPv6 is an address":   {[]string{"10.0.0.1", "2001:db8::1", "2001:db8::2", "10.0.0.3"}, -1, 1},
		"the oldest when all have the same": {[]string{"10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"}, -1, 0},
		"none that is known":                {[]string{"10.0.0.1", "10.0.0.1", "10.0.0.1", "10.0.0.2"}, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := testLimit(4)
				var list []*wire
				for _, ip := range test.from {
					list = append(list, wireFrom(ip))
				}
				places := l.come(t, list...)
				if test.known >= 0 {
					knownSender(context.WithValue(t.Context(), placeKey{}, places[test.known]))
				}
				l.come(t, wireFrom("10.0.0.9"))
				for i, one := range list {
					if one.closed != (i == test.goes) {
						t.Errorf("connection %d: closed is %v", i, one.closed)
					}
				}
			})
		})
	}
}

// Whoever comes when all are known waits until one of those is done.
func TestKnownConnectionsStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := testLimit(1)
		server := &http.Server{}
		l.watch(server)
		one, two := wireFrom("10.0.0.1"), wireFrom("10.0.0.2")
		first := l.come(t, one)[0]
		knownSender(server.ConnContext(t.Context(), first))
		l.Listener.(wires) <- two
		go func() { _, _ = l.Accept() }()
		synctest.Wait()
		if one.closed {
			t.Fatal("a known one was closed")
		}
		server.ConnState(first, http.StateIdle)
		synctest.Wait()
		if !one.closed || two.closed {
			t.Error("a connection that only waits for its next request did not give its place to one that came")
		}
		_ = first.Close()
		_ = first.Close() // gives its place back once
		if len(l.places) != 1 || len(l.from) != 1 {
			t.Errorf("%d places are taken", len(l.places))
		}
	})
}

func TestAcceptEndsWithClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := testLimit(1)
		knownSender(context.WithValue(t.Context(), placeKey{}, l.come(t, wireFrom("10.0.0.1"))[0]))
		ended := make(chan error)
		go func() {
			l.Listener.(wires) <- wireFrom("10.0.0.2")
			_, err := l.Accept()
			ended <- err
		}()
		synctest.Wait()
		l.Close()
		l.Close()
		if err := <-ended; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept ended with %v", err)
		}
	})
}
