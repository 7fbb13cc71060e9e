package rabbittest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/url"
	"os"
	"testing"
	"time"
)

// makeCertificates makes a CA of the node's own, the server's certificate for localhost, and one for clients.
func (n *Node) makeCertificates() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	ca := certificate("the CA of a test", 1)
	ca.IsCA, ca.BasicConstraintsValid, ca.KeyUsage = true, true, x509.KeyUsageCertSign
	if err := n.sign("ca", ca, ca, key, key); err != nil {
		return err
	}
	server := certificate("localhost", 2)
	server.DNSNames = []string{"localhost"} // and not 127.0.0.1
	client := certificate("a client", 3)
	for name, template := range map[string]*x509.Certificate{"server": server, "client": client} {
		own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return err
		}
		if err := n.sign(name, template, ca, own, key); err != nil {
			return err
		}
	}
	return nil
}

func certificate(name string, serial int64) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(serial),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
}

func (n *Node) sign(name string, template, parent *x509.Certificate, own, signer *ecdsa.PrivateKey) error {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &own.PublicKey, signer)
	if err != nil {
		return err
	}
	key, err := x509.MarshalPKCS8PrivateKey(own)
	if err != nil {
		return err
	}
	if err := writePEM(n.path(name+".pem"), "CERTIFICATE", der); err != nil {
		return err
	}
	return writePEM(n.path(name+"-key.pem"), "PRIVATE KEY", key)
}

func writePEM(path, kind string, der []byte) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o400)
}

// TLSFiles is TLS as query parameters of a URL.
func (n *Node) TLSFiles() string {
	return url.Values{
		"cacertfile": {n.path("ca.pem")}, "certfile": {n.path("client.pem")}, "keyfile": {n.path("client-key.pem")},
	}.Encode()
}

// TLS is a client's configuration: it trusts the node's CA and has a certificate that the node accepts.
func (n *Node) TLS(t testing.TB) *tls.Config {
	t.Helper()
	ca, err := os.ReadFile(n.path("ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	client, err := tls.LoadX509KeyPair(n.path("client.pem"), n.path("client-key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{client}, MinVersion: tls.VersionTLS12}
}
