package awsapitest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/processcreds"

	"github.com/lakestep/lakestep/shared/fault"
)

// Adapter is one that Run tests, by a call that makes a request of one operation.
type Adapter struct {
	Call     func(ctx context.Context, cfg aws.Config) error
	Object   string // what its errors name
	Op       string // of the request
	Action   string // of IAM
	Endpoint string // in a VPC
	Attempts int    // of a request that may be repeated
	Timeout  time.Duration
	Good     string              // the body of a good answer
	Before   map[string][]Answer // to requests of other operations that come first
}

// Refusal is an answer of a service, and the error that is to come of it.
type Refusal struct {
	Answer Answer
	Kind   fault.Kind
	Says   string
	Hint   string // a part of it
	Times  int    // of the request
}

// Run tests that the adapter's errors have the kind by which they are treated, name what was to be done, say what to do, and give no secret away.
func Run(t *testing.T, a Adapter) {
	t.Run("refusals", a.refusals)
	t.Run("repeats", a.repeats)
	t.Run("silence", a.silence)
	t.Run("ended", a.ended)
	t.Run("sign-in", a.signIn)
	t.Run("unreachable", a.unreachable)
}

// Refuse tests that the adapter answers a refusal as it should.
func (a Adapter) Refuse(t *testing.T, r Refusal) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := a.service(r.Answer)
		err := a.Call(t.Context(), s.Config())
		a.want(t, err, r.Kind, r.Says, r.Hint)
		if n := s.Count(a.Op); n != r.Times {
			t.Errorf("%d %s: %d requests, want %d", r.Answer.Status, r.Answer.Body, n, r.Times)
		}
	})
}

// service answers the adapter's operation.
func (a Adapter) service(answers ...Answer) *Service {
	all := map[string][]Answer{}
	maps.Copy(all, a.Before)
	all[a.Op] = answers
	return &Service{Answers: all}
}

func (a Adapter) want(t *testing.T, err error, kind fault.Kind, says, hint string) {
	t.Helper()
	said := fmt.Sprintf("%v %+v %s", err, err, fault.HintOf(err))
	if fault.KindOf(err) != kind || !strings.Contains(said, says) || !strings.Contains(fault.HintOf(err), hint) || fault.HintOf(err) == "" {
		t.Errorf("%v of kind %s, hint %q; want %s, %q, hint %q", err, fault.KindOf(err), fault.HintOf(err), kind, says, hint)
	}
	for cause := err; cause != nil; cause = errors.Unwrap(cause) {
		said += cause.Error()
	}
	if strings.Contains(said, Secret) || !strings.Contains(said, a.Object) {
		t.Errorf("it shows a secret, or not %s: %s", a.Object, said)
	}
}

func (a Adapter) refusals(t *testing.T) {
	for _, r := range []Refusal{
		{Problem(400, "AccessDeniedException", "User: arn:aws:sts::1:assumed-role/etl/x is not authorized"), fault.InvalidInput, "assumed-role/etl", a.Action, 1},
		{Problem(400, "UnrecognizedClientException", "The security token hunter2token is invalid."), fault.InvalidInput, "UnrecognizedClientException", "credentials", 1},
		// The real message of this one quotes the headers, the session's token among them.
		{Problem(400, "InvalidSignatureException", "The canonical string should have been x-amz-security-token:hunter2token"),
			fault.InvalidInput, "InvalidSignatureException", "clock", 1},
		{Problem(400, "NeverHeardOfException", "hunter2"), fault.InvalidInput, a.Action + ": NeverHeardOfException", "code", 1},
		{Problem(400, "ThrottlingException", "Rate exceeded"), fault.Throttled, "ThrottlingException", "later", a.Attempts},
		{Answer{Status: 429, Body: "{}"}, fault.Throttled, "429", "later", a.Attempts},
		{Problem(500, "InternalServiceError", "hunter2"), fault.Unavailable, "InternalServiceError", "repeated", a.Attempts},
		{Problem(500, "InternalServiceException", "hunter2"), fault.Unavailable, "InternalServiceException", "repeated", a.Attempts},
		{Answer{Status: 503, Body: "<html>hunter2</html>"}, fault.Unavailable, "503", "repeated", a.Attempts},
		{Answer{Status: 403, Body: "<html>hunter2</html>"}, fault.InvalidInput, "403", "code", 1},
		{Answer{Status: 200, Body: `{"hunter2": "hunter2`}, fault.Unavailable, "cannot be read", "proxy", 1},
		{Answer{Status: 200, Body: `hunter2`}, fault.Unavailable, "cannot be read", "proxy", 1},
	} {
		a.Refuse(t, r)
	}
}

func (a Adapter) repeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := a.service(Problem(400, "ThrottlingException", "Rate exceeded"), Problem(500, "InternalServiceError", "m"), Answer{Status: 200, Body: a.Good})
		if err := a.Call(t.Context(), s.Config()); err != nil || s.Count(a.Op) != 3 {
			t.Error(err, s.Ops())
		}
	})
}

// A service that says nothing is given up after a time, or when the caller's context is over.
func (a Adapter) silence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Service{Silent: true}
		start := time.Now()
		err := a.Call(t.Context(), s.Config())
		a.want(t, err, fault.Unavailable, fmt.Sprintf("no answer in %v", a.Timeout), "repeated")
		if took := time.Since(start); took != a.Timeout {
			t.Error(took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start = time.Now()
		err = a.Call(ctx, s.Config())
		a.want(t, err, fault.Unavailable, "deadline", "from outside")
		if took := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || took != time.Second {
			t.Error(err, took)
		}
	})
}

func (a Adapter) ended(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		s := a.service(Answer{Status: 500, Body: "{}", Then: cancel})
		for range 2 { // during the first
			err := a.Call(ctx, s.Config())
			a.want(t, err, fault.Unavailable, "canceled", "from outside")
			if !errors.Is(err, context.Canceled) || s.Count(a.Op) != 1 {
				t.Error(err, s.Ops())
			}
		}
	})
}

// Credentials that cannot be had are a matter of the set-up; what the SDK says of them is kept back, because it quotes them.
func (a Adapter) signIn(t *testing.T) {
	s := &Service{}
	cfg := s.Config()
	for name, provider := range map[string]aws.CredentialsProvider{
		"none":    nil,
		"process": processcreds.NewProvider(`echo '{"SecretAccessKey": "hunter2"'`),
		"failing": aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return aws.Credentials{}, errors.New("hunter2") }),
	} {
		t.Run(name, func(t *testing.T) {
			cfg.Credentials = provider
			a.want(t, a.Call(t.Context(), cfg), fault.InvalidInput, "sign-in", "AWS_PROFILE")
		})
	}
	if len(s.Requests) != 0 {
		t.Error("a request without credentials")
	}
}

func (a Adapter) unreachable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Service{Err: &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}}
		a.want(t, a.Call(t.Context(), s.Config()), fault.Unavailable, "connection refused", "an endpoint for "+a.Endpoint)
		if len(s.Requests) != a.Attempts {
			t.Error(s.Ops())
		}
	})
	synctest.Test(t, func(t *testing.T) { // the SDK's own client does not take it for one that may be repeated
		cfg := (&Service{}).Config()
		cfg.HTTPClient = &http.Client{Transport: &http.Transport{Proxy: func(*http.Request) (*url.URL, error) {
			return nil, fmt.Errorf("invalid proxy address %q", "http://user:hunter2@proxy:port") // as net/http says it
		}}}
		a.want(t, a.Call(t.Context(), cfg), fault.Unavailable, "not reached", "proxy")
	})
}
