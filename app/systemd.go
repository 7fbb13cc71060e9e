package app

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"time"

	"lightspeed/api"
	"lightspeed/secret"
)

// manager is the service manager that started the process, where it wants to be told how the process is: systemd does with
// Type=notify and WatchdogSec. https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html
type manager struct {
	conn  *net.UnixConn
	every time.Duration // it wants a sign of life so often; 0: never
	log   *slog.Logger
}

// findManager returns nil when nobody wants to be told.
func findManager(getenv func(string) string, log *slog.Logger) *manager {
	path := getenv("NOTIFY_SOCKET")
	if path == "" {
		return nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"}) // "@…" is an abstract one, here as there
	if err != nil {
		log.Warn("the service manager cannot be told", "socket", path, "err", err)
		return nil
	}
	m := &manager{conn: conn, log: log}
	if µs, err := strconv.ParseInt(getenv("WATCHDOG_USEC"), 10, 64); err == nil && µs > 0 {
		m.every = time.Duration(µs) * time.Microsecond / 2
	}
	return m
}

// tell sends one assignment: "READY=1".
func (m *manager) tell(what string) {
	if _, err := m.conn.Write([]byte(what)); err != nil {
		m.log.Warn("the service manager cannot be told", "what", what, "err", err)
	}
}

// watch gives a sign of life in time, as long as all servers answer, until ctx ends. Without one the manager restarts the process.
func (m *manager) watch(ctx context.Context, servers []*api.Client) error {
	ticker := time.NewTicker(m.every)
	defer ticker.Stop()
	for {
		if err := answering(ctx, servers, m.every); err == nil {
			m.tell("WATCHDOG=1")
		} else if ctx.Err() == nil {
			m.log.Error("does not answer itself; the service manager will start it again", "err", err)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func answering(ctx context.Context, servers []*api.Client, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for _, server := range servers {
		if err := server.Healthy(ctx); err != nil {
			return fmt.Errorf("ask /healthz: %w", err)
		}
	}
	return nil
}

// report tells the service manager, if there is one, that the process has started, and goes on with signs of life.
// What it returns tells it that the process ends.
func (l *lifecycle) report(getenv func(string) string) (ending func(), err error) {
	m := findManager(getenv, l.log)
	if m == nil {
		return func() {}, nil
	}
	l.closes("link to the service manager", m.conn.Close)
	if m.every > 0 {
		servers := make([]*api.Client, len(l.sockets))
		for i, s := range l.sockets {
			if servers[i], err = loopbackClient(l, s, secret.Value{}); err != nil {
				return nil, err
			}
		}
		l.run("signs of life", func(ctx context.Context) error { return m.watch(ctx, servers) })
	}
	m.tell("READY=1")
	return func() { m.tell("STOPPING=1") }, nil
}
