package app

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Proxies are those whose X-Forwarded-For is believed. None: the header is not looked at.
type Proxies []netip.Prefix

// ParseProxies reads addresses and networks, by commas: "10.0.0.1,10.1.0.0/16".
func ParseProxies(text string) (Proxies, error) {
	var list Proxies
	if text == "" {
		return nil, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		if prefix, err := netip.ParsePrefix(part); err == nil {
			list = append(list, prefix.Masked())
			continue
		}
		addr, err := netip.ParseAddr(part)
		if err != nil {
			return nil, Usagef("", "--trusted-proxy %q is neither an address nor a network like 10.0.0.0/8", part)
		}
		list = append(list, netip.PrefixFrom(addr, addr.BitLen()))
	}
	return list, nil
}

func (p Proxies) trust(addr netip.Addr) bool {
	return slices.ContainsFunc(p, func(n netip.Prefix) bool { return n.Contains(addr.Unmap()) })
}

// handler makes a request's RemoteAddr the address of whoever sent it, as the trusted proxies saw it.
func (p Proxies) handler(next http.Handler) http.Handler {
	if len(p) == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.RemoteAddr = p.client(r)
		next.ServeHTTP(w, r)
	})
}

// client walks X-Forwarded-For from its end, where the nearest proxy wrote, as long as those who wrote are trusted.
// What a sender has put before that is its own claim, and is never reached.
func (p Proxies) client(r *http.Request) string {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !p.trust(peer.Addr()) {
		return r.RemoteAddr
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	addr := peer.Addr()
	for _, hop := range slices.Backward(hops) {
		next, err := netip.ParseAddr(strings.TrimSpace(hop))
		if err != nil {
			break
		}
		if addr = next.WithZone(""); !p.trust(addr) {
			break
		}
	}
	return net.JoinHostPort(addr.Unmap().String(), "0")
}
