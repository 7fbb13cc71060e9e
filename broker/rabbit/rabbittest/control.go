package rabbittest

import (
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// Eval runs an Erlang expression in the node, and returns what it printed as a term. It takes some 40 ms,
// where rabbitmqctl takes a second.
func (n *Node) Eval(t testing.TB, expression string) string {
	t.Helper()
	caller := fmt.Sprintf("caller%d", callers.Add(1)) // two callers of one name would disturb each other
	cmd := n.command("erl_call", "-h", caller, "-sname", n.name(), "-c", cookie, "-e")
	cmd.Stdin = strings.NewReader(expression + ".\n")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "{ok, ") {
		t.Fatalf("eval %s in RabbitMQ: %v: %s", expression, err, out)
	}
	return strings.TrimSuffix(strings.TrimPrefix(string(out), "{ok, "), "}")
}

// Ctl runs rabbitmqctl on the node and returns its output.
func (n *Node) Ctl(t testing.TB, args ...string) string {
	t.Helper()
	out, err := n.command(filepath.Join(programs, "rabbitmqctl"), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("rabbitmqctl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// Shell runs a script whose rabbitmqctl is this node's, as a documentation page shows it.
func (n *Node) Shell(t testing.TB, script string) string {
	t.Helper()
	cmd := n.command("/bin/sh", "-e", "-c", "PATH="+programs+":$PATH\n"+script)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s\n%v\n%s", script, err, out)
	}
	return string(out)
}

var vhosts, callers atomic.Int64

// Vhost makes a vhost for a test, in which guest may do all, and returns its URL. It goes with the test.
func (n *Node) Vhost(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("test/%d", vhosts.Add(1)) // a name that has to be escaped in a URL
	n.Eval(t, fmt.Sprintf(`rabbit_vhost:add(<<"%s">>, <<"test">>)`, name))
	n.Grant(t, "guest", name, ".*", ".*", ".*")
	t.Cleanup(func() { n.Eval(t, fmt.Sprintf(`catch rabbit_vhost:delete(<<"%s">>, <<"test">>)`, name)) })
	return n.URL("guest", "guest", name)
}

// User makes a user, without permissions. It goes with the test.
func (n *Node) User(t testing.TB, name, password string) {
	t.Helper()
	n.Eval(t, fmt.Sprintf(`rabbit_auth_backend_internal:add_user(<<"%s">>, <<"%s">>, <<"test">>)`, name, password))
	t.Cleanup(func() {
		n.Eval(t, fmt.Sprintf(`catch rabbit_auth_backend_internal:delete_user(<<"%s">>, <<"test">>)`, name))
	})
}

// Grant gives a user three regular expressions of names: what it may configure, write and read.
func (n *Node) Grant(t testing.TB, user, vhost, configure, write, read string) {
	t.Helper()
	n.Eval(t, fmt.Sprintf(`rabbit_auth_backend_internal:set_permissions(<<"%s">>, <<"%s">>, <<"%s">>, <<"%s">>, <<"%s">>, <<"test">>)`,
		user, vhost, escape(configure), escape(write), escape(read)))
}

// escape makes a backslash survive an Erlang string.
func escape(s string) string { return strings.ReplaceAll(s, `\`, `\\`) }

// URL names a vhost of the node for a user.
func (n *Node) URL(user, password, vhost string) string {
	return n.at("amqp", addr(n.ports.amqp), user, password, vhost)
}

// TLSURL is URL for the port that speaks TLS. Its certificate names localhost.
func (n *Node) TLSURL(user, password, vhost string) string {
	return n.at("amqps", fmt.Sprintf("localhost:%d", n.ports.tls), user, password, vhost)
}

func (n *Node) at(scheme, host, user, password, vhost string) string {
	u := url.URL{Scheme: scheme, Host: host, User: url.UserPassword(user, password), Path: "/" + vhost,
		RawPath: "/" + url.PathEscape(vhost)}
	return u.String()
}

// Addr is where the node listens, without TLS.
func (n *Node) Addr() string { return addr(n.ports.amqp) }

// CloseConnections makes the broker close every connection to the vhost of a URL, as an operator does. One that
// ends by itself meanwhile is none to be closed.
func (n *Node) CloseConnections(t testing.TB, vhostURL, reason string) {
	t.Helper()
	n.Eval(t, fmt.Sprintf(`[(catch rabbit_networking:close_connection(P, <<"%s">>)) || `+
		`[{pid, P}, {vhost, V}] <- rabbit_networking:connection_info_all([pid, vhost]), V =:= <<"%s">>]`, reason, VhostOf(vhostURL)))
}

// VhostOf returns the vhost that a URL names.
func VhostOf(vhostURL string) string {
	u, err := url.Parse(vhostURL)
	if err != nil {
		return ""
	}
	return strings.TrimPrefix(u.Path, "/")
}
