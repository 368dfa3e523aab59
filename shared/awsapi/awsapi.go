// Package awsapi makes the requests of those who call services of AWS: within a time, with credentials taken before, and with errors that say what
// they mean and what to do.
//
// Errors of the SDK are never passed on as they are: that of a credential process quotes the credentials, that of an unreadable answer what was
// asked for, that of a wrong signature the session's token.
package awsapi

import (
	"context"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/lakestep/lakestep/shared/fault"
)

// Service is a service as its adapter calls it.
type Service struct {
	Name        string                  // of its endpoint in a VPC: "glue"
	Credentials aws.CredentialsProvider // nil: there are none
	Timeout     time.Duration           // for one request with all its attempts
}

// Request is what errors say of a request.
type Request struct {
	Op, Object string             // "register", "silver.orders in Glue"
	Action     string             // of IAM: "glue:GetTable"
	Denied     string             // the hint where the action is not allowed; "" names the action
	Codes      map[string]Meaning // of codes that are the service's own
}

// Meaning is what a code of a service says.
type Meaning struct {
	Kind fault.Kind // "" is InvalidInput
	Text string     // in place of the code and the service's message; "" shows these: a message that quotes no secret
	Hint string
}

// Do makes a request. Credentials are taken before: which of the two was refused could not be told from the request's error. What do is to take for
// success it keeps to itself (AnswerOf); of what it gives, a fault is made.
func (s Service) Do(ctx context.Context, r Request, do func(context.Context) error) error {
	within, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	err := errNoCredentials
	if s.Credentials != nil {
		_, err = s.Credentials.Retrieve(within)
	}
	if err != nil {
		return s.signIn(ctx, within, r, err)
	}
	if err := do(within); err != nil {
		return s.translate(ctx, r, err)
	}
	return nil
}

var errNoCredentials = errors.New("there are none")

// Ended gives the fault of a context that is over, nil while it is not.
func Ended(ctx context.Context, r Request) error {
	if err := ctx.Err(); err != nil {
		return r.fault(fault.Unavailable, "%w", err).WithHint("the call was ended from outside; repeat it")
	}
	return nil
}

func (r Request) fault(kind fault.Kind, format string, args ...any) *fault.Fault {
	return fault.New(kind, r.Op, r.Object, format, args...)
}
