package fleet

import (
	"io"
	"net"
	"sync"
	"time"
)

// Proxy is a TCP link to a server that can be cut, stalled, half open, or slow.
type Proxy struct {
	target string
	listen net.Listener
	work   sync.WaitGroup

	mu      sync.Mutex
	changed chan struct{} // closed and made anew when how changes
	how     behaviour
	conns   map[net.Conn]bool
}

// behaviour is how bytes pass.
type behaviour struct {
	refuse   bool          // new connections are closed at once
	toServer bool          // bytes of the client are held back
	toClient bool          // bytes of the server are held back
	slow     time.Duration // waits so long before each piece of at most slowPiece bytes
}

const slowPiece = 64

// NewProxy starts a proxy on a free port of loopback to target ("127.0.0.1:8080"). Close must follow.
func NewProxy(target string) (*Proxy, error) { return NewProxyAt("127.0.0.1:0", target) }

// NewProxyAt starts a proxy at addr, for a client that decides by itself where to go. Close must follow.
func NewProxyAt(addr, target string) (*Proxy, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	p := &Proxy{target: target, listen: l, changed: make(chan struct{}), conns: map[net.Conn]bool{}}
	p.work.Go(p.accept)
	return p, nil
}

// Addr is where the link begins.
func (p *Proxy) Addr() string { return p.listen.Addr().String() }

// Cut ends all connections, and those that are made, until Mend.
func (p *Proxy) Cut() {
	p.set(behaviour{refuse: true})
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.conns {
		_ = conn.Close()
	}
}

// Stall lets connections stand and new ones be made, and passes nothing either way.
func (p *Proxy) Stall() { p.set(behaviour{toServer: true, toClient: true}) }

// HalfOpen passes what the client sends, and nothing that the server answers.
func (p *Proxy) HalfOpen() { p.set(behaviour{toClient: true}) }

// Slow passes at most 64 bytes each so many milliseconds, either way.
func (p *Proxy) Slow(each time.Duration) { p.set(behaviour{slow: each}) }

// Mend passes everything, also what was held back.
func (p *Proxy) Mend() { p.set(behaviour{}) }

func (p *Proxy) set(how behaviour) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.how = how
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *Proxy) now() (behaviour, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.how, p.changed
}

// Close ends the proxy and waits for its goroutines.
func (p *Proxy) Close() {
	_ = p.listen.Close()
	p.Cut()
	p.work.Wait()
}

func (p *Proxy) accept() {
	for {
		client, err := p.listen.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.target)
		if how, _ := p.now(); err != nil || how.refuse || !p.keep(client, server) {
			_ = client.Close()
			if server != nil {
				_ = server.Close()
			}
			continue
		}
		p.work.Go(func() { p.pump(server, client, func(b behaviour) bool { return b.toServer }) })
		p.work.Go(func() { p.pump(client, server, func(b behaviour) bool { return b.toClient }) })
	}
}

// keep notes a pair of connections, unless the link was cut meanwhile.
func (p *Proxy) keep(client, server net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.how.refuse {
		return false
	}
	p.conns[client], p.conns[server] = true, true
	return true
}

// pump passes bytes one way until either end is closed.
func (p *Proxy) pump(to, from net.Conn, held func(behaviour) bool) {
	defer func() {
		_, _ = to.Close(), from.Close()
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.conns, from)
	}()
	buf := make([]byte, 32<<10)
	for {
		how, _ := p.now()
		size := len(buf)
		if how.slow > 0 {
			size = slowPiece
		}
		n, err := from.Read(buf[:size])
		if err != nil && (err != io.EOF || n == 0) {
			return
		}
		if !p.wait(held) {
			return
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

// wait holds bytes back while the link says so; false: the link was cut.
func (p *Proxy) wait(held func(behaviour) bool) bool {
	for {
		how, changed := p.now()
		if how.refuse {
			return false
		}
		if !held(how) {
			if how.slow > 0 {
				time.Sleep(how.slow)
			}
			return true
		}
		<-changed
	}
}
