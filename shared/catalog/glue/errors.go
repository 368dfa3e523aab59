package glue

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
)

// Answers of Glue that are part of its use.
const (
	codeNotFound   = "EntityNotFoundException"
	codeExists     = "AlreadyExistsException"
	codeConcurrent = "ConcurrentModificationException"
)

// busyCodes are answers of status 400 after which the same request may succeed. The SDK does not know them as such.
var busyCodes = []string{"OperationTimeoutException", "ResourceNotReadyException", "FederationSourceRetryableException"}

// call is a request as messages name it.
type call struct {
	op, object string // "register silver.orders"
	action     string // of IAM: "glue:GetTable"
	entry      string
}

// request makes one request, within its time. Credentials are taken before: which of the two was refused could not be told from its error.
func (c *Catalog) request(ctx context.Context, k call, do func(context.Context) error) error {
	within, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if c.cfg.Credentials == nil {
		return translateSignIn(ctx, k, nil)
	}
	if _, err := c.cfg.Credentials.Retrieve(within); err != nil {
		return translateSignIn(ctx, k, err)
	}
	err := do(within)
	var lost *lostRace
	if err == nil || errors.As(err, &lost) {
		return err
	}
	return translate(ctx, k, err)
}

func refused(kind fault.Kind, op, object, format string, args ...any) *fault.Fault {
	return fault.New(kind, op, object+" in Glue", format, args...)
}

// answer is what of an SDK's error may be shown. Errors of the SDK are never passed on as they are: that of a credential process quotes the
// credentials, that of a wrong signature the session's token.
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
	for _, code := range busyCodes {
		if a.code == code {
			return true
		}
	}
	return a.status >= http.StatusInternalServerError || a.code == codeConcurrent || a.code == "InternalServiceException" || a.code == "InternalFailure" || a.code == "ServiceUnavailable"
}

// ended gives the fault of a context that is over, nil while it is not.
func ended(ctx context.Context, op, object string) error {
	if err := ctx.Err(); err != nil {
		return refused(fault.Unavailable, op, object, "%w", err).WithHint("the call was ended from outside; repeat it")
	}
	return nil
}

// translateSignIn gives an error of the credentials its meaning; nil: there are none. ctx is the caller's.
func translateSignIn(ctx context.Context, k call, err error) error {
	if over := ended(ctx, k.op, k.object); over != nil {
		return over
	}
	a := answerOf(err)
	switch {
	case a.throttled():
		return refused(fault.Throttled, k.op, k.object, "sign-in: %s (HTTP %d)", a.code, a.status).WithHint("the sign-in asks for fewer requests; try again later")
	case a.down():
		return refused(fault.Unavailable, k.op, k.object, "sign-in: %s (HTTP %d)", a.code, a.status).WithHint("the same call may be repeated")
	case a.status != 0:
		return refused(fault.InvalidInput, k.op, k.object, "sign-in: %s (HTTP %d)", a.code, a.status).WithHint("check the profile or role that lakestep runs as")
	}
	return refused(fault.InvalidInput, k.op, k.object, "sign-in: no AWS credentials could be had").
		WithHint("set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run where a role is attached; aws sts get-caller-identity says more")
}

// lakeFormation are the permissions that Lake Formation wants besides those of IAM where it governs a database.
var lakeFormation = map[string]string{
	"glue:GetDatabase": "DESCRIBE on the database", "glue:GetTable": "DESCRIBE on the table", "glue:GetTables": "DESCRIBE on the tables",
	"glue:CreateTable": "CREATE_TABLE on the database and DATA_LOCATION_ACCESS on the lake's bucket", "glue:UpdateTable": "ALTER on the table", "glue:DeleteTable": "DROP on the table",
}

// translate gives an error of a request its meaning. ctx is the caller's.
func translate(ctx context.Context, k call, err error) error {
	if over := ended(ctx, k.op, k.object); over != nil {
		return over
	}
	a := answerOf(err)
	give := func(kind fault.Kind, hint string) error {
		return refused(kind, k.op, k.object, "%s: %s (HTTP %d)", k.action, a.code, a.status).WithHint("%s", hint)
	}
	explain := func(hint string) error { // with messages that name the caller, the entry and the key, and nothing else
		return refused(fault.InvalidInput, k.op, k.object, "%s: %s: %s (HTTP %d)", k.action, a.code, a.message, a.status).WithHint("%s", hint)
	}
	switch {
	case a.code == codeNotFound: // where an entry may be absent it was dealt with
		database, _, _ := strings.Cut(k.entry, ".")
		return refused(fault.InvalidInput, k.op, k.object, "there is no database %s (HTTP %d)", database, a.status).
			WithHint("check name, region and account; aws glue create-database --database-input Name=%s makes one", database)
	case a.code == "AccessDeniedException", a.code == "AccessDenied":
		return explain("allow " + k.action + " on the catalog, the database and its tables to the role that lakestep runs as; where Lake Formation governs them, grant it " + lakeFormation[k.action])
	case a.code == "GlueEncryptionException":
		return explain("the catalog is encrypted: allow kms:Decrypt and kms:GenerateDataKey on its key to the role that lakestep runs as")
	case a.code == "ResourceNumberLimitExceededException":
		return explain("a quota of Glue is used up; ask for more in Service Quotas, or remove old tables or table versions")
	case a.code == "InvalidInputException", a.code == "ValidationException":
		return explain("Glue refuses what the table is like, see the message: a name of a column, perhaps, that it does not take")
	case a.throttled():
		return give(fault.Throttled, "the service asks for fewer requests; try again later")
	case a.down():
		return give(fault.Unavailable, "the same call may be repeated")
	case a.status == http.StatusOK:
		return refused(fault.Unavailable, k.op, k.object, "%s: the answer cannot be read (HTTP %d)", k.action, a.status).WithHint("check what answers at the endpoint, a proxy perhaps")
	case a.status != 0:
		return give(fault.InvalidInput, "the service refuses the request; see its code: check the credentials, the region and the clock")
	}
	return unreachable(k, err)
}

// unreachable is the fault of a request without an answer.
func unreachable(k call, err error) error {
	const hint = "check the region and the way to the service (in a VPC: an endpoint for glue); the same call may be repeated"
	var u *url.Error
	var n net.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return refused(fault.Unavailable, k.op, k.object, "%s: no answer in %v", k.action, timeout).WithHint(hint)
	case errors.As(err, &u):
		return refused(fault.Unavailable, k.op, k.object, "%s: %w", k.action, u.Err).WithHint(hint)
	case errors.As(err, &n):
		return refused(fault.Unavailable, k.op, k.object, "%s: %w", k.action, n).WithHint(hint)
	}
	return refused(fault.Unavailable, k.op, k.object, "%s: the service was not reached", k.action).WithHint(hint)
}
