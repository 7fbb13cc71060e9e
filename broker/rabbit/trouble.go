package rabbit

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"regexp"
	"strings"
	"syscall"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// trouble is what is wrong, for people.
type trouble struct {
	kind string // two troubles of one kind are said once
	why  string
	hint string
}

func (t *trouble) Error() string { return t.why }

// troubles is one round through several URLs, each with its own trouble.
type troubles []*trouble

func (all troubles) Error() string { return all.joined().why }

func (all troubles) joined() *trouble {
	var kinds, whys, hints []string
	for _, t := range all {
		kinds = append(kinds, t.kind)
		whys = append(whys, t.why)
		if t.hint != "" && !strings.Contains(strings.Join(hints, "\n"), t.hint) {
			hints = append(hints, t.hint)
		}
	}
	return &trouble{kind: strings.Join(kinds, " "), why: strings.Join(whys, "; "), hint: strings.Join(hints, "; ")}
}

func asTrouble(err error) *trouble {
	var one *trouble
	var all troubles
	switch {
	case errors.As(err, &one):
		return one
	case errors.As(err, &all):
		return all.joined()
	}
	return &trouble{kind: "other", why: err.Error()}
}

// period is a time of trouble: each kind is said once, and so is the end.
type period struct {
	since time.Time // zero: no trouble
	said  map[string]bool
	last  *trouble
}

func (p *period) begin(log *slog.Logger, t *trouble) {
	if p.since.IsZero() {
		p.since, p.said = time.Now().UTC(), map[string]bool{}
	}
	p.last = t
	if p.said[t.kind] {
		return
	}
	p.said[t.kind] = true
	if t.hint == "" {
		log.Warn(t.why)
		return
	}
	log.Warn(t.why, "hint", t.hint)
}

func (p *period) end(log *slog.Logger, message string, args ...any) {
	if !p.since.IsZero() {
		args = append(args, "after", time.Since(p.since).Round(time.Millisecond))
	}
	log.Info(message, args...)
	*p = period{}
}

// place is where an error happened.
type place struct {
	target target
	queue  string // the listener's name; empty: not about one queue
	admin  bool   // on admin's side
}

// aboutQueue reports whether an error is about one queue: what the broker answered, or its silence there. All
// else is about the connection.
func aboutQueue(err error) bool {
	var reply *amqp.Error
	var told *trouble
	return errors.As(err, &reply) && reply.Server || errors.As(err, &told)
}

// silentQueue is a queue that gives no answer, on a connection that does.
func silentQueue(s *session, queue string) *trouble {
	return &trouble{
		kind: "silent queue",
		why:  fmt.Sprintf("RabbitMQ at %s: queue %s gives no answer", s.target.shown, queueName(queue)),
		hint: fmt.Sprintf("see if it has a leader, and most of its cluster's nodes run: rabbitmq-queues quorum_status -p %s %s; one that cannot be "+
			"repaired may be deleted, admin makes it anew and no run is lost", quote(s.target.vhost), quote(queueName(queue))),
	}
}

// explain says what an error means and what to do. What the broker or the library says is passed on; no
// decision hangs on it.
func explain(err error, at place) *trouble {
	var told *trouble
	if errors.As(err, &told) {
		return told
	}
	for _, known := range []func(error, place) *trouble{explainSilence, explainTLS, explainReply, explainNetwork} {
		if t := known(err, at); t != nil {
			return t
		}
	}
	return &trouble{kind: "lost", why: fmt.Sprintf("RabbitMQ at %s: %v", at.target.shown, err)}
}

func explainSilence(err error, at place) *trouble {
	var silent *noAnswerError
	if !errors.As(err, &silent) {
		return nil
	}
	return &trouble{
		kind: "silent",
		why:  fmt.Sprintf("RabbitMQ at %s gives %v", at.target.shown, silent),
		hint: "see if the broker is frozen or overloaded (rabbitmq-diagnostics check_running), or if something on the way drops packets",
	}
}

func explainNetwork(err error, at place) *trouble {
	var dns *net.DNSError
	var op *net.OpError
	switch {
	case errors.As(err, &dns):
		return &trouble{"dns", fmt.Sprintf("RabbitMQ at %s: there is no host %s", at.target.shown, dns.Name), "check the host in the RabbitMQ URL"}
	case errors.Is(err, syscall.ECONNREFUSED):
		return &trouble{"refused", fmt.Sprintf("RabbitMQ at %s: nothing listens there", at.target.shown), "start the broker, or check host and port in the RabbitMQ URL"}
	case errors.As(err, &op) && op.Timeout():
		return &trouble{"unreachable", fmt.Sprintf("RabbitMQ at %s: no connection within %s", at.target.shown, normal.dial), "check host and port in the RabbitMQ URL, and firewalls on the way"}
	}
	return nil
}

func explainTLS(err error, at place) *trouble {
	why := func(what string) string { return fmt.Sprintf("RabbitMQ at %s: %s", at.target.shown, what) }
	var (
		unknown  x509.UnknownAuthorityError
		hostname x509.HostnameError
		invalid  x509.CertificateInvalidError
		notTLS   tls.RecordHeaderError
		path     *fs.PathError
		reply    *amqp.Error
	)
	switch {
	case errors.As(err, &unknown):
		return &trouble{"certificate", why("its certificate is signed by an authority that is not trusted here"), "give the authority's certificate with --tls-ca, or cacertfile= in the RabbitMQ URL"}
	case errors.As(err, &hostname):
		return &trouble{"certificate", why(hostname.Error()), "use a name in the RabbitMQ URL that the certificate has"}
	case errors.As(err, &invalid):
		return &trouble{"certificate", why(invalid.Error()), "renew the broker's certificate, or set the clock right"}
	case errors.As(err, &notTLS):
		return &trouble{"certificate", why("that port does not speak TLS"), "use amqp:// there, or the broker's TLS port (5671)"}
	case errors.As(err, &path):
		return &trouble{"certificate", why(path.Error()), "check the file names in the RabbitMQ URL"}
	case errors.As(err, &reply) && !reply.Server && strings.Contains(reply.Reason, "remote error: tls: "):
		return &trouble{"certificate", why("it does not take our certificate: " + reply.Reason), "give a client certificate that the broker trusts: certfile= and keyfile= in the RabbitMQ URL"}
	}
	return nil
}

// explainReply is about what the broker said itself, or should have.
func explainReply(err error, at place) *trouble {
	why := func(what string, args ...any) string {
		return fmt.Sprintf("RabbitMQ at %s: %s", at.target.shown, fmt.Sprintf(what, args...))
	}
	var reply *amqp.Error
	if !errors.As(err, &reply) {
		return nil
	}
	switch {
	case errors.Is(err, amqp.ErrSASL):
		return &trouble{"login", why("it does not offer the auth_mechanism of the RabbitMQ URL"), "take plain, or enable the plugin rabbitmq_auth_mechanism_ssl for external"}
	case errors.Is(err, amqp.ErrCredentials) || reply.Server && reply.Code == amqp.AccessRefused && strings.Contains(reply.Reason, "Login"):
		return &trouble{"login", why("it refuses user %s: wrong user or password", at.target.user), loginHint(at)}
	case reply.Server && reply.Code == amqp.NotAllowed && strings.Contains(reply.Reason, "not found"):
		return &trouble{"vhost", why("there is no vhost %s", at.target.vhost), "rabbitmqctl add_vhost " + quote(at.target.vhost) + ", or check the end of the RabbitMQ URL"}
	case reply.Server && reply.Code == amqp.NotAllowed && strings.Contains(reply.Reason, "limit"):
		return &trouble{"limit", why("%s", reply.Reason), "raise it: rabbitmqctl set_vhost_limits or set_user_limits; a process of ours makes one connection"}
	case reply.Server && reply.Code == amqp.NotAllowed:
		return &trouble{"vhost", why("%s", reply.Reason), permissionHint(at)}
	case reply.Server && reply.Code == amqp.AccessRefused:
		return &trouble{"permission", why("%s", reply.Reason), permissionHint(at)}
	case reply.Server && reply.Code == amqp.NotFound && at.queue != "":
		return &trouble{"no queue", why("there is no queue %s", queueName(at.queue)), "admin makes it when the listener registers: see that admin uses this broker and vhost, and is connected"}
	case reply.Server && reply.Code == amqp.PreconditionFailed && at.queue != "" && at.admin:
		return &trouble{"arguments", why("queue %s was made with other arguments: %s", queueName(at.queue), reply.Reason), "remove it, admin makes it anew and no run is lost: rabbitmqctl delete_queue -p " + quote(at.target.vhost) + " " + quote(queueName(at.queue))}
	case reply.Server && reply.Code == amqp.PreconditionFailed && at.admin:
		return &trouble{"arguments", why("exchange %s was made with other arguments: %s", exchange, reply.Reason), "delete that exchange, admin makes it anew and no run is lost; or use a vhost of Lightspeed's own"}
	case reply.Server && reply.Code == amqp.ConnectionForced:
		return &trouble{"closed", why("it closed the connection: %s", reply.Reason), ""}
	case reply.Server:
		return &trouble{"reply", why("%s (%d)", reply.Reason, reply.Code), ""}
	case strings.Contains(reply.Reason, amqp.ErrFrame.Reason) || strings.Contains(reply.Reason, amqp.ErrFrameTooLarge.Reason):
		return &trouble{"protocol", why("what answers there is not RabbitMQ's AMQP port"), "use amqps:// for a TLS port (5671); 15672 is the management page"}
	}
	return &trouble{"lost", why("the connection was lost: %s", reply.Reason), ""}
}

func loginHint(at place) string {
	if at.target.user == "guest" {
		return "guest may log in from the broker's own machine only: make an account (docs/rabbitmq.md) and put it into the RabbitMQ URL"
	}
	return "check user and password in the RabbitMQ URL (percent-encoded); rabbitmqctl authenticate_user " + quote(at.target.user) + " tries them"
}

// permissionHint names the command. It sets all three permissions of the user in the vhost at once.
func permissionHint(at place) string {
	configure, write, read := "", "", `^ls\.job\.(its listeners, with | between them)$`
	if at.queue != "" {
		read = `^ls\.job\.` + regexp.QuoteMeta(at.queue) + `$`
	}
	if at.admin {
		configure, write, read = `^ls\.`, `^ls\.`, `^ls\.`
	}
	return fmt.Sprintf("rabbitmqctl set_permissions -p %s %s '%s' '%s' '%s' (docs/rabbitmq.md says what each role needs)",
		quote(at.target.vhost), quote(at.target.user), configure, write, read)
}

var plain = regexp.MustCompile(`^[A-Za-z0-9._/-]+$`)

// quote makes a word that can be pasted into a shell.
func quote(s string) string {
	if plain.MatchString(s) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

func blockedTrouble(reason string) *trouble {
	return &trouble{
		kind: "blocked",
		why:  fmt.Sprintf("RabbitMQ takes no messages: %s", reason),
		hint: "free memory or disk on the broker's machine, or raise its limits (rabbitmq-diagnostics alarms); until then listeners ask admin itself",
	}
}
