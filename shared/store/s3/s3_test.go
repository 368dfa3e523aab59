package s3_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/store"
	"github.com/lakestep/lakestep/shared/store/s3"
	"github.com/lakestep/lakestep/shared/store/storetest"
)

func config(s storetest.Service) aws.Config {
	return aws.Config{
		Region: "us-east-1", BaseEndpoint: &s.Endpoint,
		Credentials: credentials.NewStaticCredentialsProvider(s.AccessKey, s.SecretKey, ""),
	}
}

func open(t *testing.T, s storetest.Service) *s3.Store {
	t.Helper()
	st, err := s3.New(t.Context(), config(s), s3.Options{Bucket: s.Bucket(t), PathStyle: true})
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func TestConformance(t *testing.T) {
	t.Run("versitygw", func(t *testing.T) {
		s := storetest.Versitygw(t)
		// U+0001 is no character of XML, and versitygw does not encode names in listings.
		storetest.RunExcept(t, func(t *testing.T) store.Store { return open(t, s) }, storetest.Cannot{Keys: []string{"\u0001"}})
	})
	t.Run("moto", func(t *testing.T) {
		s := storetest.Moto(t)
		// moto takes a URL to end at a line feed, and looks for the object before it completes one of parts, without a lock.
		storetest.RunExcept(t, func(t *testing.T) store.Store { return open(t, s) }, storetest.Cannot{Keys: []string{"new\nline"}, LargeRace: true})
	})
}

func TestLostRequests(t *testing.T) {
	s := storetest.Versitygw(t)
	storetest.RunHTTP(t, func(t *testing.T, tr http.RoundTripper) store.Store {
		cfg := config(s)
		cfg.HTTPClient = &http.Client{Transport: tr}
		st, err := s3.New(t.Context(), cfg, s3.Options{Bucket: s.Bucket(t), PathStyle: true})
		if err != nil {
			t.Fatal(err)
		}
		return st
	})
}

func TestStreamsInBoundedMemory(t *testing.T) {
	if peak := storetest.Large(t, open(t, storetest.Versitygw(t)), 256<<20); peak > 64<<20 {
		t.Errorf("256 MiB in and out took %d MiB of heap", peak>>20)
	}
}

// answers is a service that gives one answer after the other, the last of them again and again.
func answers(t *testing.T, all ...string) *s3.Store {
	t.Helper()
	n := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		status, code, _ := strings.Cut(all[min(n, len(all)-1)], " ")
		n++
		number, err := strconv.Atoi(status)
		if err != nil {
			t.Error(err)
		}
		w.WriteHeader(number)
		if code != "" && r.Method != http.MethodHead {
			fmt.Fprintf(w, "<Error><Code>%s</Code><Message>m</Message></Error>", code)
		}
	}))
	t.Cleanup(srv.Close)
	st, err := s3.New(t.Context(), config(storetest.Service{Endpoint: srv.URL, AccessKey: "KEY", SecretKey: "SECRET"}), s3.Options{Bucket: "b", PathStyle: true})
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// A conditional put that meets another one is undecided (409): it is repeated until it is decided.
func TestConditionalRequestConflict(t *testing.T) {
	const conflict = "409 ConditionalRequestConflict"
	for _, tt := range []struct {
		answers []string
		want    error
	}{
		{[]string{conflict, "200", "412 PreconditionFailed"}, nil},
		{[]string{conflict, conflict, "412 PreconditionFailed", "200"}, store.ErrExists}, // the last is HEAD, without our mark
		{[]string{"412 PreconditionFailed"}, store.ErrExists},
	} {
		err := answers(t, tt.answers...).Put(t.Context(), "k", strings.NewReader("x"), store.PutOptions{IfAbsent: true})
		if !errors.Is(err, tt.want) {
			t.Errorf("%v: %v", tt.answers, err)
		}
	}
	err := answers(t, conflict, conflict, conflict, conflict, conflict, "404").Put(t.Context(), "k", strings.NewReader("x"), store.PutOptions{IfAbsent: true})
	if fault.KindOf(err) != fault.Unavailable || errors.Is(err, store.ErrExists) {
		t.Errorf("never decided: %v", err)
	}
}

// A service that knows no conditions is found out by the first conditional put.
func TestServiceWithoutConditions(t *testing.T) {
	s := answers(t, "200")
	if err := s.Put(t.Context(), "k", strings.NewReader("x"), store.PutOptions{}); err != nil {
		t.Error(err)
	}
	err := s.Put(t.Context(), "k", strings.NewReader("x"), store.PutOptions{IfAbsent: true})
	if fault.KindOf(err) != fault.InvalidInput || !strings.Contains(fault.HintOf(err), "overwrite one another") {
		t.Errorf("%v, hint %q", err, fault.HintOf(err))
	}
}

// Each refusal has the kind by which it is treated, says what to do, and gives no secret away.
func TestRefusals(t *testing.T) {
	for _, tt := range []struct {
		answer string
		kind   fault.Kind
		hint   string
	}{
		{"403 AccessDenied", fault.InvalidInput, "s3:ListBucket"},
		{"403 SignatureDoesNotMatch", fault.InvalidInput, "credentials"},
		{"404 NoSuchBucket", fault.InvalidInput, "bucket"},
		{"301 PermanentRedirect", fault.InvalidInput, "AWS_REGION"},
		{"501 NotImplemented", fault.InvalidInput, "If-None-Match"},
		{"400 InvalidRequest", fault.InvalidInput, "code"},
		{"503 SlowDown", fault.Throttled, "later"},
		{"500 InternalError", fault.Unavailable, "repeated"},
	} {
		err := answers(t, tt.answer).Put(t.Context(), "k", strings.NewReader("x"), store.PutOptions{})
		if fault.KindOf(err) != tt.kind || !strings.Contains(fault.HintOf(err), tt.hint) || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%s: %v of kind %s, hint %q", tt.answer, err, fault.KindOf(err), fault.HintOf(err))
		}
		if !strings.Contains(err.Error(), "s3://b/k") {
			t.Errorf("%s: the error names no object: %v", tt.answer, err)
		}
	}
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	good := config(storetest.Service{AccessKey: "KEY", SecretKey: "SECRET"})
	for name, tt := range map[string]struct {
		change func(*aws.Config)
		bucket string
	}{
		"no bucket":        {func(*aws.Config) {}, ""},
		"a path":           {func(*aws.Config) {}, "a/b"},
		"directory bucket": {func(*aws.Config) {}, "b--usw2-az1--x-s3"},
		"no region":        {func(c *aws.Config) { c.Region = "" }, "b"},
		"no credentials":   {func(c *aws.Config) { c.Credentials = nil }, "b"},
	} {
		cfg := good.Copy()
		tt.change(&cfg)
		if _, err := s3.New(t.Context(), cfg, s3.Options{Bucket: tt.bucket}); fault.KindOf(err) != fault.InvalidInput || fault.HintOf(err) == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A credential process may print credentials: its output, which the SDK quotes, is in no error of ours.
func TestCredentialsAreNotQuoted(t *testing.T) {
	cfg := aws.Config{Region: "eu-central-1", Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{}, errors.New("parse failed of process output: SecretAccessKey=canary, error: invalid")
	})}
	_, err := s3.New(t.Context(), cfg, s3.Options{Bucket: "b"})
	if err == nil || strings.Contains(err.Error(), "canary") || !strings.Contains(err.Error(), "process output") {
		t.Errorf("%v", err)
	}
}
