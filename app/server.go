package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"syscall"
	"time"
)

// Limits of a server: what a slow or silent client may take.
const (
	headerLimit    = 5 * time.Second  // to send a request's head
	bodyLimit      = 30 * time.Second // to send a whole request, 25 MB at most
	writeLimit     = 30 * time.Second // to take a piece of the answer
	idleLimit      = 2 * time.Minute  // between two requests
	maxHeaderBytes = 32 << 10
)

// socket is an open port, before anything serves on it.
type socket struct {
	role     string
	listener net.Listener
	tls      *tls.Config
	proxies  Proxies
}

// openSocket listens on addr ("127.0.0.1:8080", ":8000", port 0 for any), which flag sets.
func (l *lifecycle) openSocket(role, flag, addr string, config *tls.Config) (*socket, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, Usagef("an address is HOST:PORT, as 127.0.0.1:8080, or :8000 for every interface", "--%s %q is not an address: %w", flag, addr, addrCause(err))
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(host, port))
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, Failf("another program listens there; choose another address with --"+flag,
			"%s cannot listen on %s: the port is taken", role, addr)
	case err != nil:
		return nil, Failf("choose another address with --"+flag, "%s cannot listen on %s: %w", role, addr, listenCause(err))
	}
	l.closes(role+" socket", func() error {
		if err := listener.Close(); !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil // its server has closed it
	})
	return &socket{role: role, listener: listener, tls: config}, nil
}

// url is the address for people and for ready lines, with the real port.
func (s *socket) url() string {
	addr := s.listener.Addr().(*net.TCPAddr)
	host := addr.IP.String()
	if addr.IP.IsUnspecified() {
		host = "0.0.0.0"
	}
	return s.scheme() + "://" + net.JoinHostPort(host, fmt.Sprint(addr.Port))
}

// loopbackURL is the address under which this machine reaches the socket.
func (s *socket) loopbackURL() string {
	addr := s.listener.Addr().(*net.TCPAddr)
	if !addr.IP.IsUnspecified() {
		return s.url()
	}
	return fmt.Sprintf("%s://127.0.0.1:%d", s.scheme(), addr.Port)
}

func (s *socket) scheme() string {
	if s.tls != nil {
		return "https"
	}
	return "http"
}

// loopbackOnly reports whether only this machine can reach the socket.
func (s *socket) loopbackOnly() bool { return s.listener.Addr().(*net.TCPAddr).IP.IsLoopback() }

// serve answers on the socket until the lifecycle stops: then what is under way may finish, waits are cut
// short, and after stopLimit connections are closed.
func (l *lifecycle) serve(s *socket, server *http.Server) {
	base, cutShort := context.WithCancel(context.Background())
	server.BaseContext = func(net.Listener) context.Context { return base }
	server.ReadHeaderTimeout = headerLimit
	server.ReadTimeout = bodyLimit
	server.IdleTimeout = idleLimit
	if server.MaxHeaderBytes == 0 {
		server.MaxHeaderBytes = maxHeaderBytes
	}
	server.TLSConfig = s.tls
	server.Handler = s.proxies.handler(server.Handler)
	if places, ok := s.listener.(*limited); ok {
		places.watch(server)
	}
	server.ErrorLog = slog.NewLogLogger(l.log.With("role", s.role).Handler(), slog.LevelDebug)

	l.sockets = append(l.sockets, s)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := s.serveOn(server); !errors.Is(err, http.ErrServerClosed) {
			l.fail(fmt.Errorf("%s on %s: %w", s.role, s.url(), err))
		}
	}()
	l.onStop(s.role+" server", stopLimit, func(limit context.Context) error {
		defer cutShort()
		waits := time.AfterFunc(waitLimit, cutShort)
		defer waits.Stop()
		err := server.Shutdown(limit)
		if err != nil {
			err = errors.Join(errors.New("requests were still under way and are cut off"), server.Close())
		}
		<-done
		return err
	})
}

// waitLimit is how long a stopping server lets requests go on before their contexts end. Those that only
// wait for something end then; those that work are done by then.
const waitLimit = 100 * time.Millisecond

func (s *socket) serveOn(server *http.Server) error {
	if s.tls != nil {
		return server.ServeTLS(s.listener, "", "")
	}
	return server.Serve(s.listener)
}

// patient lets a handler take as long as it needs, and bounds each piece of its answer instead: whoever
// takes longer than limit for one is cut off. A server's WriteTimeout would end every long poll and followed log.
func patient(next http.Handler, limit time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := &pieceWriter{ResponseWriter: w, control: http.NewResponseController(w), limit: limit}
		next.ServeHTTP(answer, r)
		answer.extend() // for what is still in buffers
	})
}

// pieceWriter gives every write a deadline of its own.
type pieceWriter struct {
	http.ResponseWriter
	control *http.ResponseController
	limit   time.Duration
}

func (w *pieceWriter) extend() { _ = w.control.SetWriteDeadline(time.Now().Add(w.limit)) }

// Unwrap lets an http.ResponseController reach the connection.
func (w *pieceWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *pieceWriter) WriteHeader(status int) {
	w.extend()
	w.ResponseWriter.WriteHeader(status)
}

func (w *pieceWriter) Write(p []byte) (int, error) {
	w.extend()
	return w.ResponseWriter.Write(p)
}

// addrCause and listenCause take off what the message says already.
func addrCause(err error) error {
	var wrapped *net.AddrError
	if errors.As(err, &wrapped) {
		return errors.New(wrapped.Err)
	}
	return err
}

func listenCause(err error) error {
	var wrapped *net.OpError
	if errors.As(err, &wrapped) {
		return wrapped.Err
	}
	return err
}
