package awsapi_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/lakestep/lakestep/shared/awsapi"
	"github.com/lakestep/lakestep/shared/awsapi/awsapitest"
	"github.com/lakestep/lakestep/shared/fault"
)

const timeout = 10 * time.Second

// list is an adapter in a few lines.
func list(request awsapi.Request) awsapitest.Adapter {
	request.Op, request.Object, request.Action = "list", "machines", "states:ListStateMachines"
	return awsapitest.Adapter{
		Object: "list machines", Op: "ListStateMachines", Action: request.Action, Endpoint: "states", Attempts: 3, Timeout: timeout, Good: `{"stateMachines": []}`,
		Call: func(ctx context.Context, cfg aws.Config) error {
			client := sfn.NewFromConfig(cfg, func(o *sfn.Options) { o.Retryer = retry.NewStandard() })
			return awsapi.Service{Name: "states", Credentials: cfg.Credentials, Timeout: timeout}.Do(ctx, request, func(ctx context.Context) error {
				_, err := client.ListStateMachines(ctx, &sfn.ListStateMachinesInput{})
				return err
			})
		},
	}
}

func TestAdapter(t *testing.T) { awsapitest.Run(t, list(awsapi.Request{})) }

// An adapter says what the codes of its service mean.
func TestCodes(t *testing.T) {
	a := list(awsapi.Request{
		Denied: "allow it on all of them",
		Codes: map[string]awsapi.Meaning{
			"GoneException": {Text: "there are none", Hint: "make one"},
			"BusyException": {Kind: fault.Unavailable, Hint: "100% busy"},
		},
	})
	for _, r := range []awsapitest.Refusal{
		{Answer: awsapitest.Problem(400, "GoneException", "hunter2"), Kind: fault.InvalidInput, Says: "list machines: there are none (HTTP 400)", Hint: "make one", Times: 1},
		{Answer: awsapitest.Problem(400, "BusyException", "try\nhunter2"), Kind: fault.Unavailable,
			Says: "list machines: states:ListStateMachines: BusyException: try (HTTP 400)", Hint: "100% busy", Times: 1},
		{Answer: awsapitest.Problem(400, "AccessDeniedException", "no"), Kind: fault.InvalidInput, Says: "no (HTTP 400)", Hint: "on all of them", Times: 1},
		{Answer: awsapitest.Problem(400, "InternalServiceError", "m"), Kind: fault.Unavailable, Says: "InternalServiceError", Hint: "repeated", Times: 1},
		{Answer: awsapitest.Problem(400, "ServiceUnavailable", "m"), Kind: fault.Unavailable, Says: "ServiceUnavailable", Hint: "repeated", Times: 1},
		{Answer: awsapitest.Problem(400, "AccessDenied", "no"), Kind: fault.InvalidInput, Says: "no (HTTP 400)", Hint: "on all of them", Times: 1},
	} {
		a.Refuse(t, r)
	}
}

// Signing in may ask a service of its own.
func TestSignIn(t *testing.T) {
	answered := func(status int, code string) error {
		resp := &smithyhttp.Response{Response: &http.Response{StatusCode: status}}
		return fmt.Errorf("assume role: %w", &awshttp.ResponseError{ResponseError: &smithyhttp.ResponseError{
			Response: resp, Err: &smithy.GenericAPIError{Code: code, Message: "hunter2"},
		}})
	}
	for _, tt := range []struct {
		err  error
		kind fault.Kind
		says string
	}{
		{answered(400, "Throttling"), fault.Throttled, "sign-in: Throttling (HTTP 400)"},
		{answered(503, "ServiceUnavailable"), fault.Unavailable, "sign-in: ServiceUnavailable (HTTP 503)"},
		{answered(403, "AccessDenied"), fault.InvalidInput, "sign-in: AccessDenied (HTTP 403)"},
		{answered(403, ""), fault.InvalidInput, "sign-in: Forbidden (HTTP 403)"},
		{errors.New("hunter2"), fault.InvalidInput, "no AWS credentials"},
		{nil, fault.Unavailable, "sign-in: no answer in 10s"}, // waits
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &awsapitest.Service{}
			cfg := s.Config()
			cfg.Credentials = aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) {
				if tt.err == nil {
					<-ctx.Done()
					return aws.Credentials{}, errors.New("hunter2")
				}
				return aws.Credentials{}, tt.err
			})
			err := list(awsapi.Request{}).Call(t.Context(), cfg)
			if fault.KindOf(err) != tt.kind || !strings.Contains(err.Error(), tt.says) || fault.HintOf(err) == "" || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%v of kind %s, hint %q; want %s %q", err, fault.KindOf(err), fault.HintOf(err), tt.kind, tt.says)
			}
			if len(s.Requests) != 0 {
				t.Error("a request without credentials")
			}
		})
	}
}

func TestEndOfTheSignIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cfg := (&awsapitest.Service{}).Config()
		cfg.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			cancel()
			return aws.Credentials{}, errors.New("hunter2")
		})
		err := list(awsapi.Request{}).Call(ctx, cfg)
		if fault.KindOf(err) != fault.Unavailable || !errors.Is(err, context.Canceled) || strings.Contains(err.Error(), "hunter2") {
			t.Error(err)
		}
	})
}

// The SDK's own HTTP client, on this machine's network, says why there is no answer.
func TestUnreachable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := "http://" + l.Addr().String()
	l.Close()
	answer := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") })
	plain, untrusted := httptest.NewServer(answer), httptest.NewUnstartedServer(answer)
	untrusted.Config.ErrorLog = log.New(io.Discard, "", 0)
	untrusted.StartTLS()
	hangsUp := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer hangsUp.Close()
	defer plain.Close()
	defer untrusted.Close()
	for endpoint, says := range map[string]string{
		hangsUp.URL:   "EOF",
		nobody:        "refused",
		untrusted.URL: "certificate",
		strings.Replace(plain.URL, "http:", "https:", 1): "HTTP response to HTTPS client",
		"http://no-such-host.invalid":                    "no-such-host",
	} {
		cfg := (&awsapitest.Service{}).Config()
		cfg.HTTPClient, cfg.BaseEndpoint, cfg.Retryer = nil, &endpoint, func() aws.Retryer { return aws.NopRetryer{} }
		err := list(awsapi.Request{}).Call(t.Context(), cfg)
		if fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), says) || !strings.Contains(fault.HintOf(err), "region") {
			t.Errorf("%s: %v, hint %q", endpoint, err, fault.HintOf(err))
		}
	}
}
