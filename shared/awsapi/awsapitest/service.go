// Package awsapitest stands for services of AWS in tests, and holds those who call them to what awsapi promises.
package awsapitest

import (
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
)

// Secret is in all that no error may show: the credentials, and what Run has the service say.
const Secret = "hunter2"

// Service stands for a service where moto does not answer as it does: with statuses and bodies as the vendor documents them (of the protocol
// awsJson), without a network, so that time is the test's.
type Service struct {
	Answers  map[string][]Answer // of an operation, one after the other; the last one stays
	Err      error               // in place of an answer
	Silent   bool                // no answer at all
	Requests []Request           // that came
}

// Request is one that came.
type Request struct {
	Op     string // "GetTable"
	Host   string
	Header http.Header
}

// Answer is what a request is answered.
type Answer struct {
	Status int
	Body   string
	Then   func() // before it is given
}

// Problem is a refusal.
func Problem(status int, code, message string) Answer {
	return Answer{Status: status, Body: fmt.Sprintf(`{"__type": %q, "Message": %q}`, code, message)}
}

// Do is aws.HTTPClient.
func (s *Service) Do(r *http.Request) (*http.Response, error) {
	_, op, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	s.Requests = append(s.Requests, Request{op, r.URL.Host, r.Header})
	if s.Silent {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	if s.Err != nil {
		return nil, s.Err
	}
	all := s.Answers[op]
	if len(all) == 0 {
		return nil, fmt.Errorf("unexpected %s", op)
	}
	if len(all) > 1 {
		s.Answers[op] = all[1:]
	}
	if all[0].Then != nil {
		all[0].Then()
	}
	return &http.Response{StatusCode: all[0].Status, Header: http.Header{"Content-Type": {"application/x-amz-json-1.1"}},
		Body: io.NopCloser(strings.NewReader(all[0].Body)), Request: r}, nil
}

// Config leads to the service.
func (s *Service) Config() aws.Config {
	return aws.Config{Region: "us-east-1", HTTPClient: s, Credentials: credentials.NewStaticCredentialsProvider("KEY", Secret, Secret+"token")}
}

// Ops are the operations of the requests.
func (s *Service) Ops() (ops []string) {
	for _, r := range s.Requests {
		ops = append(ops, r.Op)
	}
	return ops
}

// Count tells how many requests of an operation came.
func (s *Service) Count(op string) (n int) {
	for _, r := range s.Requests {
		if r.Op == op {
			n++
		}
	}
	return n
}
