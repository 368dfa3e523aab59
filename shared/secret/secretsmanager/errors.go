package secretsmanager

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"

	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/secret"
)

var errNoCredentials = errors.New("there are none")

// refused makes the fault of a Get.
func refused(kind fault.Kind, name, format string, args ...any) *fault.Fault {
	return fault.New(kind, "get secret", secret.SecretsManager+":"+name, format, args...)
}

// answer is what of an SDK's error may be shown. Errors of the SDK are never passed on as they are: that of a credential process quotes the
// credentials, that of an unreadable answer could quote the secret, that of a wrong signature quotes the session's token.
type answer struct {
	code    string
	message string
	status  int // of HTTP; 0: there was no answer
}

func answerOf(err error) (a answer) {
	var api smithy.APIError
	if errors.As(err, &api) {
		a.code = api.ErrorCode()
		a.message, _, _ = strings.Cut(api.ErrorMessage(), "\n")
	}
	var resp *awshttp.ResponseError
	if errors.As(err, &resp) {
		a.status = resp.HTTPStatusCode()
	}
	if a.code == "" {
		a.code = http.StatusText(a.status) // a proxy's answer
	}
	return a
}

func (a answer) throttled() bool {
	_, known := retry.DefaultThrottleErrorCodes[a.code]
	return known || a.status == http.StatusTooManyRequests
}

// down tells an answer that the same request may not get again.
func (a answer) down() bool {
	return a.status >= http.StatusInternalServerError || a.code == "InternalServiceError" || a.code == "InternalFailure" || a.code == "ServiceUnavailable"
}

// ended gives the fault of a context that is over, nil while it is not.
func ended(ctx context.Context, name string) error {
	if err := ctx.Err(); err != nil {
		return refused(fault.Unavailable, name, "%w", err).WithHint("the call was ended from outside; repeat it")
	}
	return nil
}

// translateSignIn gives an error of the credentials its meaning. ctx is the caller's.
func translateSignIn(ctx context.Context, name string, err error) error {
	if over := ended(ctx, name); over != nil {
		return over
	}
	a := answerOf(err)
	switch {
	case a.throttled():
		return refused(fault.Throttled, name, "sign-in: %s (HTTP %d)", a.code, a.status).WithHint("the sign-in asks for fewer requests; try again later")
	case a.down():
		return refused(fault.Unavailable, name, "sign-in: %s (HTTP %d)", a.code, a.status).WithHint("the same call may be repeated")
	case a.status != 0:
		return refused(fault.InvalidInput, name, "sign-in: %s (HTTP %d)", a.code, a.status).WithHint("check the profile or role that lakestep runs as")
	}
	return refused(fault.InvalidInput, name, "sign-in: no AWS credentials could be had").
		WithHint("set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run where a role is attached; aws sts get-caller-identity says more")
}

// translate gives an error of GetSecretValue its meaning. ctx is the caller's.
func translate(ctx context.Context, name string, err error) error {
	if over := ended(ctx, name); over != nil {
		return over
	}
	a := answerOf(err)
	give := func(kind fault.Kind, hint string) error {
		return refused(kind, name, "%s (HTTP %d)", a.code, a.status).WithHint("%s", hint)
	}
	explain := func(hint string) error { // with messages that name the caller, the secret and the key, and nothing else
		return refused(fault.InvalidInput, name, "%s: %s (HTTP %d)", a.code, a.message, a.status).WithHint("%s", hint)
	}
	switch {
	case a.code == "ResourceNotFoundException":
		return refused(fault.InvalidInput, name, "there is no such secret, or it has no value (HTTP %d)", a.status).
			WithHint("check name, region and account; aws secretsmanager create-secret makes one")
	case a.code == "AccessDeniedException":
		return explain("allow secretsmanager:GetSecretValue on this secret to the role that lakestep runs as; with a KMS key of your own also kms:Decrypt on the key")
	case a.code == "DecryptionFailure":
		return explain("check that the secret's KMS key is enabled, and allow kms:Decrypt on it to the role that lakestep runs as")
	case a.code == "InvalidRequestException", a.code == "InvalidParameterException":
		return explain("a secret that is marked for deletion has no value: aws secretsmanager restore-secret brings it back")
	case a.throttled():
		return give(fault.Throttled, "the service asks for fewer requests; try again later")
	case a.down():
		return give(fault.Unavailable, "the same call may be repeated")
	case a.status == http.StatusOK:
		return refused(fault.Unavailable, name, "the answer cannot be read (HTTP %d)", a.status).WithHint("check what answers at the endpoint, a proxy perhaps")
	case a.status != 0:
		return give(fault.InvalidInput, "the service refuses the request; see its code: check the credentials, the region and the clock")
	}
	return unreachable(name, err)
}

// unreachable is the fault of a request without an answer.
func unreachable(name string, err error) error {
	const hint = "check the region and the way to the service (in a VPC: an endpoint for secretsmanager); the same call may be repeated"
	var u *url.Error
	var n net.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return refused(fault.Unavailable, name, "no answer in %v", timeout).WithHint(hint)
	case errors.As(err, &u):
		return refused(fault.Unavailable, name, "%w", u.Err).WithHint(hint)
	case errors.As(err, &n):
		return refused(fault.Unavailable, name, "%w", n).WithHint(hint)
	}
	return refused(fault.Unavailable, name, "the service was not reached").WithHint(hint)
}
