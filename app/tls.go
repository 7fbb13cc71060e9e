package app

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"
)

// TLSFiles name PEM files. Cert and Key go together and make a server speak TLS; CA holds certificates that
// a client trusts beside the system's own.
type TLSFiles struct{ Cert, Key, CA string }

// serverTLS returns nil when no certificate is set: the server then speaks plain HTTP. Files that change are read
// again; those that cannot be read then leave the certificate that is served as it is, and say so.
func (f TLSFiles) serverTLS(log *slog.Logger) (*tls.Config, error) {
	if f.Cert == "" && f.Key == "" {
		return nil, nil
	}
	if f.Cert == "" || f.Key == "" {
		return nil, Usagef("", "--tls-cert and --tls-key go together: only one is set")
	}
	served := &certificate{files: f, log: log}
	if err := served.load(); err != nil {
		return nil, Usagef("both files must be PEM, and belong together", "TLS certificate %s with key %s: %w", f.Cert, f.Key, err)
	}
	get := func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return served.current(), nil }
	return &tls.Config{GetCertificate: get, MinVersion: tls.VersionTLS12}, nil
}

// clientTLS returns what a client checks servers with.
func (f TLSFiles) clientTLS() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if f.CA == "" {
		return config, nil
	}
	pem, err := os.ReadFile(f.CA)
	if err != nil {
		return nil, Usagef("", "--tls-ca: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, Usagef("", "--tls-ca %s holds no certificate in PEM form", f.CA)
	}
	config.RootCAs = pool
	return config, nil
}

// pinned is a client's config that takes exactly the server's own certificate, whatever name it is for: `up`
// talks to itself over loopback, where no public name leads.
func pinned(server *tls.Config) *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: true, // VerifyConnection asks for more than a chain: the very certificate
		VerifyConnection: func(state tls.ConnectionState) error {
			own, err := server.GetCertificate(nil)
			if err != nil || len(state.PeerCertificates) == 0 || !bytes.Equal(state.PeerCertificates[0].Raw, own.Certificate[0]) {
				return errors.New("answered by another certificate than this process's own")
			}
			return nil
		},
	}
}

// idleConnections is how many connections to one host a client keeps: hooks passes 64 deliveries on at once.
const idleConnections = 128

// messageSize is what most deliveries and claims fit into, with their headers, in bytes: each goes out, or comes in, by one system
// call, and wakes who waits for it once.
const messageSize = 32 << 10

// newHTTPClient makes a client without a time-out of its own: some calls wait, and each has a context. Its connections
// are made by what trusted returns then.
func newHTTPClient(trusted func() *tls.Config) *http.Client {
	return &http.Client{Transport: &renewed{trusted: trusted}}
}

func newTransport(config *tls.Config) *http.Transport {
	dialer := &net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment, // never asks a proxy for localhost or 127.0.0.0/8
		DialContext:           dialer.DialContext,
		TLSClientConfig:       config,
		TLSHandshakeTimeout:   5 * time.Second,
		ForceAttemptHTTP2:     true,
		MaxIdleConns:          idleConnections,
		MaxIdleConnsPerHost:   idleConnections,
		IdleConnTimeout:       90 * time.Second,
		ExpectContinueTimeout: time.Second,
		WriteBufferSize:       messageSize,
		ReadBufferSize:        messageSize,
	}
}
