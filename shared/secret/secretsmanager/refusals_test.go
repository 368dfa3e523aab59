package secretsmanager_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/processcreds"

	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/secret/secretsmanager"
)

// fakeService stands for Secrets Manager where moto does not answer as it does. It answers with a status and a body, as the vendor documents
// them (API reference, common errors), without a network: time in it is the test's.
type fakeService struct {
	status int
	body   string
	err    error         // in place of an answer
	silent bool          // no answer at all
	after  int           // so many answers are followed by a good one; 0: never
	seen   []http.Header // of the requests
	hosts  []string
}

func (f *fakeService) Do(r *http.Request) (*http.Response, error) {
	f.seen, f.hosts = append(f.seen, r.Header), append(f.hosts, r.URL.Host)
	if f.silent {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	if f.err != nil {
		return nil, f.err
	}
	status, body := f.status, f.body
	if f.after > 0 && len(f.seen) > f.after {
		status, body = 200, `{"SecretString": "hunter2"}`
	}
	h := http.Header{"Content-Type": {"application/x-amz-json-1.1"}}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

func (f *fakeService) config() aws.Config {
	return aws.Config{Region: "us-east-1", HTTPClient: f, Credentials: credentials.NewStaticCredentialsProvider("KEY", "hunter2", "hunter2token")}
}

func problem(code, message string) string {
	return fmt.Sprintf(`{"__type": %q, "Message": %q}`, code, message)
}

// Each refusal has the kind by which it is treated, names the secret, says what to do, and gives no secret away.
func TestRefusals(t *testing.T) {
	for _, tt := range []struct {
		fake     fakeService
		kind     fault.Kind
		says     string
		hint     string
		requests int
	}{
		{fakeService{status: 400, body: problem("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")},
			fault.InvalidInput, "no such secret", "create-secret", 1},
		{fakeService{status: 400, body: problem("AccessDeniedException", "User: arn:aws:sts::1:assumed-role/etl/x is not authorized to perform: secretsmanager:GetSecretValue")},
			fault.InvalidInput, "assumed-role/etl", "secretsmanager:GetSecretValue", 1},
		{fakeService{status: 400, body: problem("AccessDeniedException", "Access to KMS is not allowed")}, fault.InvalidInput, "KMS", "kms:Decrypt", 1},
		{fakeService{status: 400, body: problem("DecryptionFailure", "m")}, fault.InvalidInput, "DecryptionFailure", "kms:Decrypt", 1},
		{fakeService{status: 400, body: problem("InvalidRequestException", "You can't perform this operation on the secret because it was marked for deletion.")},
			fault.InvalidInput, "marked for deletion", "restore-secret", 1},
		{fakeService{status: 400, body: problem("UnrecognizedClientException", "The security token included in the request is invalid.")},
			fault.InvalidInput, "UnrecognizedClientException", "credentials", 1},
		// The real message of this one quotes the headers, the session's token among them.
		{fakeService{status: 400, body: problem("InvalidSignatureException", "The canonical string should have been x-amz-security-token:hunter2token")},
			fault.InvalidInput, "InvalidSignatureException", "clock", 1},
		{fakeService{status: 400, body: problem("ThrottlingException", "Rate exceeded")}, fault.Throttled, "ThrottlingException", "later", 4},
		{fakeService{status: 429, body: "{}"}, fault.Throttled, "429", "later", 4},
		{fakeService{status: 500, body: problem("InternalServiceError", "m")}, fault.Unavailable, "InternalServiceError", "repeated", 4},
		{fakeService{status: 503, body: "<html>hunter2</html>"}, fault.Unavailable, "503", "", 4},
		{fakeService{status: 200, body: `{"SecretString": "hunter2"`}, fault.Unavailable, "cannot be read", "proxy", 1},
		{fakeService{status: 200, body: `{"SecretString": {"hunter2": 1}}`}, fault.Unavailable, "cannot be read", "proxy", 1},
		{fakeService{status: 200, body: `hunter2`}, fault.Unavailable, "cannot be read", "proxy", 1},
		{fakeService{status: 403, body: `<html>hunter2</html>`}, fault.InvalidInput, "403", "", 1},
		{fakeService{err: &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}}, fault.Unavailable, "connection refused", "region", 4},
	} {
		synctest.Test(t, func(t *testing.T) {
			_, err := secretsmanager.New(tt.fake.config()).Get(t.Context(), "shop/db")
			said := fmt.Sprintf("%v %+v %s", err, err, fault.HintOf(err))
			if fault.KindOf(err) != tt.kind || !strings.Contains(said, tt.says) || !strings.Contains(fault.HintOf(err), tt.hint) || fault.HintOf(err) == "" {
				t.Errorf("%d %s: %v of kind %s, hint %q", tt.fake.status, tt.fake.body, err, fault.KindOf(err), fault.HintOf(err))
			}
			if strings.Contains(said, "hunter2") || !strings.Contains(said, "aws-secretsmanager:shop/db") {
				t.Errorf("%d %s: %s", tt.fake.status, tt.fake.body, said)
			}
			if len(tt.fake.seen) != tt.requests {
				t.Errorf("%d %s: %d requests, want %d", tt.fake.status, tt.fake.body, len(tt.fake.seen), tt.requests)
			}
		})
	}
}

func TestRepeatsWhatMayBeRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeService{status: 400, body: problem("ThrottlingException", "Rate exceeded"), after: 2}
		got, err := secretsmanager.New(f.config()).Get(t.Context(), "shop/db")
		if err != nil || got != "hunter2" || len(f.seen) != 3 {
			t.Error(err, len(f.seen))
		}
	})
}

// A service that says nothing is given up after half a minute, or when the caller's context ends.
func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeService{silent: true}
		start := time.Now()
		_, err := secretsmanager.New(f.config()).Get(t.Context(), "shop/db")
		if took := time.Since(start); fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "no answer in 30s") || took != 30*time.Second {
			t.Error(err, took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start = time.Now()
		_, err = secretsmanager.New(f.config()).Get(ctx, "shop/db")
		if took := time.Since(start); fault.KindOf(err) != fault.Unavailable || !errors.Is(err, context.DeadlineExceeded) || took != time.Second {
			t.Error(err, took)
		}
	})
}

func TestRegionOfAnARN(t *testing.T) {
	f := &fakeService{status: 200, body: `{"SecretString": "hunter2"}`}
	cfg := f.config()
	cfg.Region = ""
	s := secretsmanager.New(cfg)
	if _, err := s.Get(t.Context(), "arn:aws:secretsmanager:eu-west-1:123456789012:secret:db-AbC123"); err != nil {
		t.Error(err)
	}
	if len(f.hosts) != 1 || f.hosts[0] != "secretsmanager.eu-west-1.amazonaws.com" || !strings.Contains(f.seen[0].Get("Authorization"), "/eu-west-1/secretsmanager/") {
		t.Error(f.hosts)
	}
	if _, err := s.Get(t.Context(), "db"); fault.KindOf(err) != fault.InvalidInput || !strings.Contains(fault.HintOf(err), "AWS_REGION") {
		t.Error(err)
	}
}

// Credentials that cannot be had are a matter of the set-up; what the SDK says of them is kept back, because it quotes them.
func TestSignIn(t *testing.T) {
	f := &fakeService{status: 500}
	cfg := f.config()
	for name, provider := range map[string]aws.CredentialsProvider{
		"none":    nil,
		"process": processcreds.NewProvider(`echo '{"SecretAccessKey": "hunter2"'`),
		"failing": aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return aws.Credentials{}, errors.New("hunter2") }),
	} {
		cfg.Credentials = provider
		_, err := secretsmanager.New(cfg).Get(t.Context(), "db")
		if fault.KindOf(err) != fault.InvalidInput || !strings.Contains(fault.HintOf(err), "AWS_PROFILE") || strings.Contains(fmt.Sprintf("%v %+v", err, err), "hunter2") {
			t.Errorf("%s: %v, hint %q", name, err, fault.HintOf(err))
		}
	}
	if len(f.seen) != 0 {
		t.Error("a request without credentials")
	}
}

// Nobody listens: the SDK's own HTTP client, on this machine's network.
func TestUnreachable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	endpoint := "http://" + l.Addr().String()
	l.Close()
	cfg := (&fakeService{}).config()
	cfg.HTTPClient, cfg.BaseEndpoint = nil, &endpoint
	_, err = secretsmanager.New(cfg).Get(t.Context(), "db")
	if fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "refused") || !strings.Contains(fault.HintOf(err), "region") {
		t.Errorf("%v, hint %q", err, fault.HintOf(err))
	}
}
