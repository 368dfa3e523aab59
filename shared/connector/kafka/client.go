package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/fault"
)

// The bounds of talking to brokers. What fails for longer is the state machine's to try again.
const (
	dialTimeout    = 10 * time.Second
	requestTimeout = 15 * time.Second // beyond what the request itself asks the broker to wait
	retryTimeout   = 15 * time.Second
	requestRetries = 4
)

// kafka gives the client, which connects as it is needed.
func (s *source) kafka() (*kgo.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client != nil {
		return s.client, nil
	}
	opts := []kgo.Opt{kgo.SeedBrokers(s.brokers...), kgo.ClientID("lakestep"), kgo.RequestRetries(requestRetries), kgo.RetryTimeout(retryTimeout),
		kgo.RequestTimeoutOverhead(requestTimeout), kgo.DisableClientMetrics()}
	dialer := &net.Dialer{Timeout: dialTimeout}
	protocol := s.cfg.Settings.Text("security.protocol", "SASL_SSL")
	if strings.HasSuffix(protocol, "SSL") {
		config, err := s.tls(false)
		if err != nil {
			return nil, err
		}
		opts = append(opts, kgo.DialTLSConfig(config), kgo.DialTimeout(dialTimeout))
	} else {
		opts = append(opts, kgo.Dialer(dialer.DialContext))
	}
	if strings.HasPrefix(protocol, "SASL_") {
		mechanism, err := s.sasl()
		if err != nil {
			return nil, err
		}
		opts = append(opts, kgo.SASL(mechanism))
	}
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, fault.New(fault.InvalidInput, "open source", s.cfg.Name, "%w", err).WithHint("check the settings of the source (%s)", s.cfg.At)
	}
	s.client = client
	return client, nil
}

// tls trusts the certificates of ssl.ca.location; with system also those of the machine, which it trusts alone when nothing is set.
func (s *source) tls(system bool) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	set, ok := s.cfg.Settings["ssl.ca.location"]
	if !ok {
		return config, nil
	}
	pem, err := os.ReadFile(set.Text)
	if err != nil {
		return nil, fault.New(fault.InvalidInput, "open source", s.cfg.Name, "%w", err).WithHint("ssl.ca.location must name a file with the certificates of who signed the brokers' (%s)", set.At)
	}
	config.RootCAs = x509.NewCertPool()
	if system {
		if pool, err := x509.SystemCertPool(); err == nil {
			config.RootCAs = pool
		}
	}
	if !config.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fault.New(fault.InvalidInput, "open source", s.cfg.Name, "no certificate in PEM in %s", set.Text).WithHint("see ssl.ca.location (%s)", set.At)
	}
	return config, nil
}

// sasl asks for the user and the password whenever it signs in, so that a rotated one is taken up.
func (s *source) sasl() (sasl.Mechanism, error) {
	name := s.cfg.Settings.Text("sasl.mechanism", "PLAIN")
	scrams := func(ctx context.Context) (scram.Auth, error) {
		user, password, err := s.user.credentials(ctx)
		return scram.Auth{User: user, Pass: password}, err
	}
	switch name {
	case "PLAIN":
		return plain.Plain(func(ctx context.Context) (plain.Auth, error) {
			user, password, err := s.user.credentials(ctx)
			return plain.Auth{User: user, Pass: password}, err
		}), nil
	case "SCRAM-SHA-256":
		return scram.Sha256(scrams), nil
	case "SCRAM-SHA-512":
		return scram.Sha512(scrams), nil
	}
	return nil, fault.New(fault.InvalidInput, "open source", s.cfg.Name, "there is no sasl.mechanism %s here", name).
		WithHint("PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512 (%s)", s.cfg.Settings["sasl.mechanism"].At)
}

// user is a name and a password that may change where they are kept.
type user struct {
	cfg            connector.Config
	name, password string // the keys
	first          atomic.Pointer[map[string]string]
}

func (u *user) credentials(ctx context.Context) (name, password string, err error) {
	if name, err = u.cfg.Credential(ctx, u.name); err == nil {
		password, err = u.cfg.Credential(ctx, u.password)
	}
	if err == nil {
		u.first.CompareAndSwap(nil, &map[string]string{u.name: name, u.password: password})
	}
	return name, password, err
}

// renewed is for when they were refused: it tells whether others than the first that were given are there by now.
func (u *user) renewed(ctx context.Context) bool {
	first := u.first.Load()
	return first != nil && u.cfg.Renewed(ctx, *first)
}
