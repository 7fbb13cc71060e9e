package app

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// limited is a listener with a bounded number of connections. When they are all taken and one more comes, one of those is
// closed that wait for a request, or send one and have not yet shown who they are: of the address that has most of
// them, the one that has taken longest. So whoever floods from a few addresses only ever drives out themselves.
type limited struct {
	net.Listener
	most    int
	log     *slog.Logger
	closed  chan struct{}
	once    sync.Once
	changed chan struct{} // holds a token when there may be a place again

	mu     sync.Mutex
	places map[*place]struct{}
	from   map[netip.Prefix]int // connections by where they come from
	warned time.Time
}

// place is an open connection.
type place struct {
	net.Conn
	in   *limited
	from netip.Prefix

	known bool      // its request is from somebody who is known: it may go on
	since time.Time // since when it waits, or sends a request
	free  func() error
}

// warnEvery is how often the log says, at most, that there are too many connections.
const warnEvery = time.Minute

func limitConnections(l net.Listener, most int, log *slog.Logger) *limited {
	return &limited{
		Listener: l, most: most, log: log, closed: make(chan struct{}), changed: make(chan struct{}, 1),
		places: map[*place]struct{}{}, from: map[netip.Prefix]int{},
	}
}

// Accept waits for a connection, and for a place when all are taken by those who are known.
func (l *limited) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	p := &place{Conn: conn, in: l, from: network(conn.RemoteAddr()), since: time.Now()}
	p.free = sync.OnceValue(p.giveUp)
	for {
		there, other := l.give(p)
		switch {
		case there:
			return p, nil
		case other != nil:
			_ = other.Close() // its server sees that it is gone
			continue
		}
		select {
		case <-l.changed:
		case <-l.closed:
			_ = conn.Close()
			return nil, net.ErrClosed
		}
	}
}

// give gives a connection a place, or names the one that is to go for it, when there is one.
func (l *limited) give(p *place) (there bool, other *place) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.places) < l.most {
		l.places[p] = struct{}{}
		l.from[p.from]++
		return true, nil
	}
	for one := range l.places {
		if !one.known && (other == nil || l.from[one.from] > l.from[other.from] ||
			l.from[one.from] == l.from[other.from] && one.since.Before(other.since)) {
			other = one
		}
	}
	if now := time.Now(); now.Sub(l.warned) > warnEvery {
		l.warned = now
		l.log.Warn("too many connections: those that wait longest are closed for new ones", "connections", l.most)
	}
	return false, other
}

func (l *limited) wake() {
	select {
	case l.changed <- struct{}{}:
	default:
	}
}

// Close ends Accept.
func (l *limited) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// Close gives the place back, once.
func (p *place) Close() error { return p.free() }

func (p *place) giveUp() error {
	p.in.mu.Lock()
	delete(p.in.places, p)
	if p.in.from[p.from]--; p.in.from[p.from] == 0 {
		delete(p.in.from, p.from)
	}
	p.in.mu.Unlock()
	p.in.wake()
	return p.Conn.Close()
}

// watch has a server say what its connections do.
func (l *limited) watch(server *http.Server) {
	server.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		return context.WithValue(ctx, placeKey{}, placeOf(c))
	}
	server.ConnState = func(c net.Conn, state http.ConnState) {
		if p := placeOf(c); p != nil && (state == http.StateActive || state == http.StateIdle) {
			p.begin()
		}
	}
}

type placeKey struct{}

func placeOf(c net.Conn) *place {
	if secured, ok := c.(*tls.Conn); ok {
		c = secured.NetConn()
	}
	p, _ := c.(*place)
	return p
}

// begin notes that a connection begins to wait for a request, or to send one, which may be from anyone.
func (p *place) begin() {
	p.in.mu.Lock()
	p.known, p.since = false, time.Now()
	p.in.mu.Unlock()
	p.in.wake()
}

// knownSender notes that the request of this context is from somebody who is known: its connection stays until it is
// answered, however many others come.
func knownSender(ctx context.Context) {
	if p, ok := ctx.Value(placeKey{}).(*place); ok && p != nil {
		p.in.mu.Lock()
		p.known = true
		p.in.mu.Unlock()
	}
}

// network is where a connection comes from: an address, or of IPv6 the network of 64 bits that one customer has.
func network(addr net.Addr) netip.Prefix {
	at, err := netip.ParseAddrPort(addr.String())
	if err != nil {
		return netip.Prefix{}
	}
	ip := at.Addr().Unmap().WithZone("")
	bits := ip.BitLen()
	if ip.Is6() {
		bits = 64
	}
	prefix, _ := ip.Prefix(bits) // the number of bits fits
	return prefix
}
