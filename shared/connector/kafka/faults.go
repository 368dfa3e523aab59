package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/lakestep/lakestep/shared/fault"
)

// failed turns an error of the client or a broker into a fault.
func (s *source) failed(ctx context.Context, op, object string, err error) error {
	var f *fault.Fault
	switch {
	case err == nil:
		return nil
	case errors.As(err, &f): // a secret that could not be had
		return f
	}
	is := func(all ...error) bool {
		for _, e := range all {
			if errors.Is(err, e) {
				return true
			}
		}
		return false
	}
	with := func(kind fault.Kind, hint string, args ...any) error {
		return fault.New(kind, op, object, "%w", err).WithHint(hint, args...)
	}
	switch {
	case is(context.Canceled, context.DeadlineExceeded):
		return with(fault.Unavailable, "repeat it")
	case is(kerr.SaslAuthenticationFailed), strings.Contains(err.Error(), "SASL_AUTHENTICATION_FAILED"):
		if s.user.renewed(ctx) {
			return with(fault.Unavailable, "the user or the password were renewed meanwhile: the step is repeated with the new ones")
		}
		return with(fault.InvalidInput, "the brokers refuse the user or the password: %s; and see that sasl.mechanism is the one that they know the user by", s.declared("sasl.username", "sasl.password"))
	case is(kerr.UnsupportedSaslMechanism, kerr.IllegalSaslState):
		return with(fault.InvalidInput, "check security.protocol and sasl.mechanism (%s)", s.cfg.At)
	case is(kerr.TopicAuthorizationFailed):
		return with(fault.InvalidInput, "the user needs DESCRIBE and READ on the topic: docs/sources-kafka.md has the commands")
	case is(kerr.GroupAuthorizationFailed):
		return with(fault.InvalidInput, "the user needs READ on the group %s: docs/sources-kafka.md has the commands", s.group)
	case is(kerr.ClusterAuthorizationFailed):
		return with(fault.InvalidInput, "the cluster refuses the user: docs/sources-kafka.md has the commands")
	case is(kerr.ThrottlingQuotaExceeded):
		return with(fault.Throttled, "the brokers' quota is used up; try later")
	case strings.Contains(err.Error(), "tls alert"): // that was read as if it were an answer
		return with(fault.InvalidInput, "the port speaks TLS: security.protocol SSL or SASL_SSL goes with it (%s)", s.cfg.At)
	case badCertificate(err):
		return with(fault.InvalidInput, "ssl.ca.location must hold the certificate of who signed the brokers', and bootstrap_servers name them as it does (%s)", s.cfg.At)
	}
	var eof *kgo.ErrFirstReadEOF
	if errors.As(err, &eof) {
		return with(fault.Unavailable, "the broker hangs up at the first word: does security.protocol go with the port?")
	}
	return with(fault.Unavailable, "are the brokers running, and bootstrap_servers right (%s)?", s.cfg.At)
}

func badCertificate(err error) bool {
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var verification *tls.CertificateVerificationError
	var header tls.RecordHeaderError
	return errors.As(err, &authority) || errors.As(err, &host) || errors.As(err, &invalid) || errors.As(err, &verification) || errors.As(err, &header)
}

// Retries of what a broker says of a moment in which partitions change hands.
const (
	tries     = 6
	firstWait = 50 * time.Millisecond
)

// again repeats what fails in a moment of change, with pauses that grow.
func again(ctx context.Context, do func() error) error {
	for try := 0; ; try++ {
		err := do()
		if err == nil || !passing(err) || try == tries-1 {
			return err
		}
		if pause(ctx, try) != nil {
			return err
		}
	}
}

func pause(ctx context.Context, try int) error {
	wait := firstWait << min(try, 6)
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(wait/2 + rand.N(wait)):
		return nil
	}
}

// passing tells whether a broker's answer is of a moment: partitions change hands, or a topic was just made.
func passing(err error) bool {
	var e *kerr.Error
	return errors.As(err, &e) && (kerr.IsRetriable(e) || errors.Is(e, kerr.UnknownTopicOrPartition) || errors.Is(e, kerr.UnknownTopicID) || errors.Is(e, kerr.InconsistentTopicID))
}
