package app

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

// Whatever is said of who sent a request: without a trusted proxy before it it is the connection's address, and with one
// an address, and never a trusted one that another has named before an untrusted one.
func FuzzForwarded(f *testing.F) {
	f.Add("10.0.0.1:5", "6.6.6.6, 9.9.9.9, 10.1.2.3")
	f.Add("[::1]:5", "2001:db8::1%eth0")
	f.Add("1.2.3.4:5", "10.0.0.1")
	f.Add("@", ",,;for=x")
	proxies, err := ParseProxies("10.0.0.1,10.1.0.0/16,::1")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, peer, forwarded string) {
		r := &http.Request{RemoteAddr: peer, Header: http.Header{"X-Forwarded-For": strings.Split(forwarded, "\n")}}
		got := proxies.client(r)
		from, err := netip.ParseAddrPort(peer)
		if err != nil || !proxies.trust(from.Addr()) {
			if got != peer {
				t.Errorf("%q with %q is %q", peer, forwarded, got)
			}
			return
		}
		at, err := netip.ParseAddrPort(got)
		if err != nil || at.Port() != 0 || at.Addr().Zone() != "" {
			t.Errorf("%q with %q is %q: %v", peer, forwarded, got, err)
		}
	})
}

// Whatever --trusted-proxy says: it is networks, or it is refused.
func FuzzProxies(f *testing.F) {
	f.Add("10.0.0.1, 10.1.0.0/16,::1")
	f.Add("::ffff:10.0.0.1/128,fe80::1%eth0")
	f.Fuzz(func(t *testing.T, text string) {
		list, err := ParseProxies(text)
		if err != nil {
			return
		}
		for _, one := range list {
			if !one.IsValid() || one != one.Masked() {
				t.Errorf("%q holds %v", text, one)
			}
		}
	})
}
