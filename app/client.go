package app

import (
	"crypto/tls"
	"net/http"

	"lightspeed/api"
	"lightspeed/secret"
)

// ClientOptions say where admin is and who asks.
type ClientOptions struct {
	Admin string       // "http://127.0.0.1:8080"
	Token secret.Value // may be zero
	TLS   TLSFiles     // CA is used
}

// NewClient makes a client of admin's API.
func NewClient(o ClientOptions) (*api.Client, error) {
	plain, err := NewHTTPClient(o.TLS)
	if err != nil {
		return nil, err
	}
	return newClient(o, plain)
}

func newClient(o ClientOptions, plain *http.Client) (*api.Client, error) {
	client, err := api.NewClient(o.Admin, o.Token, plain)
	if err != nil {
		return nil, Usagef("an address looks like http://127.0.0.1:8080", "%w", err)
	}
	return client, nil
}

// client makes a client whose connections end with the process.
func (l *lifecycle) client(o ClientOptions, trusted func() *tls.Config) (*api.Client, error) {
	plain := newHTTPClient(trusted)
	l.closes("connections to admin", func() error {
		plain.CloseIdleConnections()
		return nil
	})
	return newClient(o, plain)
}

// NewHTTPClient makes a plain HTTP client that trusts files.CA as well as the system's certificates.
func NewHTTPClient(files TLSFiles) (*http.Client, error) {
	config, err := files.clientTLS()
	if err != nil {
		return nil, err
	}
	return newHTTPClient(func() *tls.Config { return config }), nil
}
