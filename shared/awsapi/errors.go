package awsapi

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"

	"github.com/lakestep/lakestep/shared/fault"
)

// Answer is what a service answered. The message is to be shown with known codes only.
type Answer struct {
	Code    string
	Message string // its first line
	Status  int    // of HTTP; 0: there was no answer
}

// AnswerOf gives the answer behind an error of the SDK.
func AnswerOf(err error) (a Answer) {
	var api smithy.APIError
	if errors.As(err, &api) {
		a.Code = api.ErrorCode()
		a.Message, _, _ = strings.Cut(api.ErrorMessage(), "\n")
	}
	var resp *awshttp.ResponseError
	if errors.As(err, &resp) {
		a.Status = resp.HTTPStatusCode()
	}
	if a.Code == "" {
		a.Code = http.StatusText(a.Status) // a proxy's answer
	}
	return a
}

// Throttled tells an answer that asks for less.
func (a Answer) Throttled() bool {
	_, known := retry.DefaultThrottleErrorCodes[a.Code]
	return known || a.Status == http.StatusTooManyRequests
}

// Down tells an answer that the same request may not get again.
func (a Answer) Down() bool {
	switch a.Code {
	case "InternalServiceError", "InternalServiceException", "InternalFailure", "ServiceUnavailable":
		return true
	}
	return a.Status >= http.StatusInternalServerError
}

func (a Answer) denied() bool { return a.Code == "AccessDeniedException" || a.Code == "AccessDenied" }

// signIn gives an error of the credentials its meaning. ctx is the caller's, within the request's.
func (s Service) signIn(ctx, within context.Context, r Request, err error) error {
	if over := Ended(ctx, r); over != nil {
		return over
	}
	a := AnswerOf(err)
	answered := func(kind fault.Kind, hint string) error {
		return r.fault(kind, "sign-in: %s (HTTP %d)", a.Code, a.Status).WithHint("%s", hint)
	}
	switch {
	case a.Throttled():
		return answered(fault.Throttled, "the sign-in asks for fewer requests; try again later")
	case a.Down():
		return answered(fault.Unavailable, "the same call may be repeated")
	case a.Status != 0:
		return answered(fault.InvalidInput, "check the profile or role that lakestep runs as")
	case within.Err() != nil:
		return r.fault(fault.Unavailable, "sign-in: no answer in %v", s.Timeout).WithHint("check the way to what gives the credentials; the same call may be repeated")
	}
	return r.fault(fault.InvalidInput, "sign-in: no AWS credentials could be had").
		WithHint("set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run where a role is attached; aws sts get-caller-identity says more")
}

// translate gives an error of a request its meaning. ctx is the caller's.
func (s Service) translate(ctx context.Context, r Request, err error) error {
	if over := Ended(ctx, r); over != nil {
		return over
	}
	a := AnswerOf(err)
	if m, known := r.meaning(a); known {
		return r.explain(m, a)
	}
	answered := func(kind fault.Kind, hint string) error {
		return r.fault(kind, "%s: %s (HTTP %d)", r.Action, a.Code, a.Status).WithHint("%s", hint)
	}
	switch {
	case a.Throttled():
		return answered(fault.Throttled, "the service asks for fewer requests; try again later")
	case a.Down():
		return answered(fault.Unavailable, "the same call may be repeated")
	case a.Status == http.StatusOK:
		return r.fault(fault.Unavailable, "%s: the answer cannot be read (HTTP %d)", r.Action, a.Status).WithHint("check what answers at the endpoint, a proxy perhaps")
	case a.Status != 0:
		return answered(fault.InvalidInput, "the service refuses the request; see its code: check the credentials, the region and the clock")
	}
	return s.unreachable(r, err)
}

// meaning is that of codes which explain themselves.
func (r Request) meaning(a Answer) (Meaning, bool) {
	if m, known := r.Codes[a.Code]; known || !a.denied() {
		return m, known
	}
	if r.Denied != "" {
		return Meaning{Hint: r.Denied}, true
	}
	return Meaning{Hint: "allow " + r.Action + " to the role that lakestep runs as"}, true
}

func (r Request) explain(m Meaning, a Answer) error {
	if m.Kind == "" {
		m.Kind = fault.InvalidInput
	}
	if m.Text != "" {
		return r.fault(m.Kind, "%s (HTTP %d)", m.Text, a.Status).WithHint("%s", m.Hint)
	}
	return r.fault(m.Kind, "%s: %s: %s (HTTP %d)", r.Action, a.Code, a.Message, a.Status).WithHint("%s", m.Hint)
}

// unreachable is the fault of a request without an answer.
func (s Service) unreachable(r Request, err error) error {
	f := r.fault(fault.Unavailable, "%s: the service was not reached", r.Action)
	if errors.Is(err, context.DeadlineExceeded) {
		f = r.fault(fault.Unavailable, "%s: no answer in %v", r.Action, s.Timeout)
	} else if why := cause(err); why != nil {
		f = r.fault(fault.Unavailable, "%s: %w", r.Action, why)
	}
	return f.WithHint("check the region, the proxy and the way to the service (in a VPC: an endpoint for %s); the same call may be repeated", s.Name)
}

// cause is what may be shown of why there was no answer, nil for nothing: what the network and TLS say. Others quote the proxy's address, with its
// password.
func cause(err error) error {
	var u *url.Error
	if errors.As(err, &u) { // a net.Error itself
		err = u.Err
	}
	var n net.Error
	var c *tls.CertificateVerificationError
	switch {
	case errors.As(err, &n):
		return n
	case errors.As(err, &c):
		return c
	case errors.Is(err, http.ErrSchemeMismatch):
		return http.ErrSchemeMismatch
	case errors.Is(err, io.EOF):
		return io.EOF
	}
	return nil
}
