// Package rabbittest runs a private RabbitMQ node for tests, on loopback, with its own data, epmd and cookie,
// and offers the faults that a broker and a network can have. One node a test binary, one vhost a test:
//
//	func TestMain(m *testing.M) { os.Exit(rabbittest.Main(m)) }
//
//	func TestX(t *testing.T) {
//		t.Parallel()
//		node := rabbittest.Start(t)
//		url := node.Vhost(t)
//
// Faults of the whole node belong into tests that are not parallel: these run before all that are. Nothing is
// left when the binary ends, also when it is killed: a watchdog of its own session then ends every process
// that carries the node's folder as HOME, and removes the folder. It needs Linux and Debian's rabbitmq-server.
package rabbittest

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// programs is where Debian keeps the programs themselves; those of the same names in /usr/sbin change the
// user and the folder.
const programs = "/usr/lib/rabbitmq/bin"

const missing = `rabbitmq-server is not installed: a real broker is wanted
hint: apt-get install -y --no-install-recommends rabbitmq-server (half a minute; nothing of it needs to be started)`

// startTimeout bounds the start of a node: 8 s on an idle machine, many times that on a busy one.
const startTimeout = 3 * time.Minute

// Node is a RabbitMQ node.
type Node struct {
	dir   string
	ports ports
	env   []string

	watchdog *exec.Cmd
	lifeline io.Closer // the watchdog acts when this ends
	epmd     *exec.Cmd
	server   *exec.Cmd // nil while it is down
}

type ports struct{ amqp, tls, dist, epmd int }

var (
	mu   sync.Mutex
	node *Node
)

// Main runs the tests and stops the node, if one was started. It returns the exit code.
func Main(m *testing.M) int {
	code := m.Run()
	Stop()
	return code
}

// Stop stops the binary's node, if one was started: for a TestMain that cannot use Main.
func Stop() {
	mu.Lock()
	defer mu.Unlock()
	if node != nil {
		node.Close()
		node = nil
	}
}

// Start returns the test binary's node, and starts it the first time.
func Start(t testing.TB) *Node {
	t.Helper()
	mu.Lock()
	defer mu.Unlock()
	if node != nil {
		return node
	}
	n, err := New()
	if err != nil {
		t.Fatal(err)
	}
	node = n
	return n
}

// New starts a node for a program that is no test. Close must follow.
func New() (*Node, error) {
	if _, err := os.Stat(filepath.Join(programs, "rabbitmq-server")); err != nil {
		return nil, errors.New(missing)
	}
	n, err := start()
	if err != nil {
		return nil, fmt.Errorf("start a private RabbitMQ node: %w", err)
	}
	return n, nil
}

func start() (_ *Node, err error) {
	dir, err := os.MkdirTemp("", "lightspeed-rabbit-")
	if err != nil {
		return nil, err
	}
	n := &Node{dir: dir}
	if err := n.watch(); err != nil {
		_ = os.RemoveAll(dir)
		return nil, err
	}
	defer func() {
		if err != nil {
			n.Close()
		}
	}()
	if n.ports, err = freePorts(); err != nil {
		return nil, err
	}
	if err := n.configure(); err != nil {
		return nil, err
	}
	n.epmd = n.command("epmd", "-address", "127.0.0.1", "-port", strconv.Itoa(n.ports.epmd))
	if err := n.epmd.Start(); err != nil {
		return nil, err
	}
	return n, n.boot()
}

// watchdog waits until its stdin ends. Then it ends what runs with HOME=$1, until nothing is left, and
// removes the folder.
const watchdog = `
trap '' HUP INT TERM
cat >/dev/null
while found=$(grep -lzxF "HOME=$1" /proc/[0-9]*/environ 2>/dev/null); [ -n "$found" ]; do
	for environ in $found; do
		pid=${environ#/proc/}
		kill -KILL "${pid%/environ}" 2>/dev/null
	done
done
rm -rf "$1"
`

func (n *Node) watch() error {
	n.watchdog = exec.Command("/bin/sh", "-c", watchdog, "watchdog", n.dir)
	n.watchdog.Env = []string{"PATH=" + os.Getenv("PATH")}
	n.watchdog.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	lifeline, err := n.watchdog.StdinPipe()
	if err != nil {
		return err
	}
	n.lifeline = lifeline
	return n.watchdog.Start()
}

// Close ends everything of the node.
func (n *Node) Close() {
	_ = n.lifeline.Close()
	_ = n.watchdog.Wait()
	for _, cmd := range []*exec.Cmd{n.server, n.epmd} {
		if cmd != nil && cmd.Process != nil {
			_ = cmd.Wait()
		}
	}
}

// freePorts picks below the range that the kernel gives to outgoing connections, so that nothing takes one
// while the node starts.
func freePorts() (ports, error) {
	var found []int
	for range 1000 {
		port := 15000 + rand.IntN(17000)
		if slices.Contains(found, port) {
			continue
		}
		l, err := net.Listen("tcp", addr(port))
		if err != nil {
			continue
		}
		_ = l.Close()
		if found = append(found, port); len(found) == 4 {
			return ports{found[0], found[1], found[2], found[3]}, nil
		}
	}
	return ports{}, errors.New("no free ports between 15000 and 32000")
}

func addr(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

const cookie = "lightspeed-tests"

func (n *Node) configure() error {
	if err := n.makeCertificates(); err != nil {
		return err
	}
	conf := strings.Join([]string{
		"listeners.tcp.1 = " + addr(n.ports.amqp),
		"listeners.ssl.1 = " + addr(n.ports.tls),
		"ssl_options.cacertfile = " + n.path("ca.pem"),
		"ssl_options.certfile = " + n.path("server.pem"),
		"ssl_options.keyfile = " + n.path("server-key.pem"),
		"ssl_options.verify = verify_peer",
		"ssl_options.fail_if_no_peer_cert = true",
		"log.console = false",
		"disk_free_limit.absolute = 50MB",
	}, "\n") + "\n"
	for name, text := range map[string]string{
		".erlang.cookie":  cookie,
		"rabbitmq.conf":   conf,
		"advanced.config": "[{rabbit,[{channel_tick_interval,1000}]}].\n", // looks for consumer timeouts each second
		"enabled_plugins": "[].\n",
	} {
		if err := os.WriteFile(n.path(name), []byte(text), 0o400); err != nil {
			return err
		}
	}
	n.env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + n.dir, "LANG=C.UTF-8",
		"RABBITMQ_CONF_ENV_FILE=/dev/null",
		"RABBITMQ_NODENAME=" + n.name(),
		"RABBITMQ_NODE_IP_ADDRESS=127.0.0.1",
		"RABBITMQ_NODE_PORT=" + strconv.Itoa(n.ports.amqp),
		"RABBITMQ_DIST_PORT=" + strconv.Itoa(n.ports.dist),
		"ERL_EPMD_PORT=" + strconv.Itoa(n.ports.epmd),
		"ERL_EPMD_ADDRESS=127.0.0.1",
		"RABBITMQ_MNESIA_BASE=" + n.path("mnesia"),
		"RABBITMQ_LOG_BASE=" + n.path("log"),
		"RABBITMQ_PID_FILE=" + n.path("pid"),
		"RABBITMQ_CONFIG_FILE=" + n.path("rabbitmq.conf"),
		"RABBITMQ_ADVANCED_CONFIG_FILE=" + n.path("advanced.config"),
		"RABBITMQ_ENABLED_PLUGINS_FILE=" + n.path("enabled_plugins"),
		"RUNNING_UNDER_SYSTEMD=true", // makes the process started the VM itself
	}
	return nil
}

func (n *Node) path(name string) string { return filepath.Join(n.dir, name) }

func (n *Node) name() string { return fmt.Sprintf("ls%d@localhost", n.ports.amqp) }

// command prepares a program of the node, in a process group of its own.
func (n *Node) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Env, cmd.Dir = n.env, n.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

// boot starts the server and waits until it takes connections. The AMQP port opens last.
func (n *Node) boot() error {
	out, err := os.Create(n.path("out"))
	if err != nil {
		return err
	}
	defer out.Close()
	server := n.command(filepath.Join(programs, "rabbitmq-server"))
	server.Stdout, server.Stderr = out, out
	if err := server.Start(); err != nil {
		return err
	}
	n.server = server
	for deadline := time.Now().Add(startTimeout); ; time.Sleep(50 * time.Millisecond) {
		if conn, err := net.Dial("tcp", addr(n.ports.amqp)); err == nil {
			return conn.Close()
		}
		if n.dead() || time.Now().After(deadline) {
			text, _ := os.ReadFile(n.path("out"))
			return fmt.Errorf("the broker does not listen on %s; it said:\n%s", addr(n.ports.amqp), text)
		}
	}
}

// dead reports whether the server is a zombie: it has ended, and was not waited for.
func (n *Node) dead() bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", n.server.Process.Pid))
	return err != nil || strings.Contains(string(stat), ") Z ")
}
