package app

import (
	"net/http"
	"testing"
)

func TestClientBehindProxies(t *testing.T) {
	proxies, err := ParseProxies("10.0.0.1, 10.1.0.0/16,::1")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		peer, want string
		forwarded  []string
	}{
		{"1.2.3.4:5", "1.2.3.4:5", []string{"9.9.9.9"}}, // no proxy: its claim is its own
		{"10.0.0.1:5", "9.9.9.9:0", []string{"9.9.9.9"}},
		{"10.0.0.1:5", "9.9.9.9:0", []string{"6.6.6.6, 9.9.9.9"}},
		{"10.0.0.1:5", "9.9.9.9:0", []string{"6.6.6.6", "9.9.9.9, 10.1.2.3"}},
		{"[::1]:5", "9.9.9.9:0", []string{"9.9.9.9"}},
		{"[::ffff:10.0.0.1]:5", "[2001:db8::1]:0", []string{"2001:db8::1"}},
		{"10.0.0.1:5", "10.0.0.1:0", nil},
		{"10.0.0.1:5", "10.0.0.1:0", []string{"6.6.6.6, <script>"}},
	} {
		r := &http.Request{RemoteAddr: c.peer, Header: http.Header{"X-Forwarded-For": c.forwarded}}
		if got := proxies.client(r); got != c.want {
			t.Errorf("%s with %q is %s, want %s", c.peer, c.forwarded, got, c.want)
		}
	}
	for _, bad := range []string{"proxy", "10.0.0.0/40", "10.0.0.1,"} {
		if _, err := ParseProxies(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}
