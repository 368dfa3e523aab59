package s3

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"

	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/store"
)

// answer gives the code and the HTTP status of an error; "" and 0 when there was no answer.
func answer(err error) (code string, status int) {
	var api smithy.APIError
	if errors.As(err, &api) {
		code = api.ErrorCode()
	}
	var resp *awshttp.ResponseError
	if errors.As(err, &resp) {
		status = resp.HTTPStatusCode()
	}
	return code, status
}

func isNotFound(err error) bool {
	code, status := answer(err)
	return status == http.StatusNotFound && code != "NoSuchBucket" && code != "NoSuchUpload"
}

// isBeyondEnd tells a range that starts at or behind an object's end.
func isBeyondEnd(err error) bool {
	_, status := answer(err)
	return status == http.StatusRequestedRangeNotSatisfiable
}

// throttled are the codes by which S3 and services like it ask for less.
var throttled = map[string]bool{
	"SlowDown": true, "SlowDownRead": true, "SlowDownWrite": true, "Throttling": true, "ThrottlingException": true, "RequestLimitExceeded": true,
	"TooManyRequests": true, "TooManyRequestsException": true, "BandwidthLimitExceeded": true,
}

// translate gives err the meaning it has for an object store. nil stays nil. The SDK's messages hold names, codes and request ids, no secrets.
func (s *Store) translate(ctx context.Context, op, key string, err error) error {
	if err == nil {
		return nil
	}
	object := s.object(key)
	if cerr := ctx.Err(); cerr != nil {
		return fmt.Errorf("%s %s: %w", op, object, cerr)
	}
	code, status := answer(err)
	give := func(kind fault.Kind) *fault.Fault { return fault.New(kind, op, object, "%w", err) }
	switch {
	case isNotFound(err):
		return fmt.Errorf("%s %s: %w", op, object, store.ErrNotFound)
	case status == http.StatusPreconditionFailed && op == "put":
		return fmt.Errorf("%s %s: %w", op, object, store.ErrExists)
	case status == http.StatusPreconditionFailed:
		return give(fault.Unavailable).WithHint("the object was replaced while it was read; read it again")
	case code == "NoSuchBucket":
		return give(fault.InvalidInput).WithHint("make the bucket, or name another")
	case throttled[code], status == http.StatusTooManyRequests:
		return give(fault.Throttled).WithHint("the service asks for fewer requests; try again later")
	case status == http.StatusForbidden, status == http.StatusUnauthorized:
		return give(fault.InvalidInput).WithHint("check the credentials, and that they may s3:ListBucket, GetObject, PutObject, DeleteObject and AbortMultipartUpload here")
	case status == http.StatusMovedPermanently, status == http.StatusTemporaryRedirect, code == "AuthorizationHeaderMalformed":
		return give(fault.InvalidInput).WithHint("the bucket is in another region: set AWS_REGION to it")
	case status == http.StatusNotImplemented:
		return give(fault.InvalidInput).WithHint("the service lacks what lakestep needs: conditional writes (If-None-Match: *)")
	case status == http.StatusConflict, code == "NoSuchUpload", code == "RequestTimeout", status == 0, status >= http.StatusInternalServerError:
		// 409: a concurrent write of the key; nothing was decided. NoSuchUpload: finished by an attempt whose answer was lost, or dropped.
		return give(fault.Unavailable).WithHint("the same operation may be repeated")
	}
	return give(fault.InvalidInput).WithHint("the service refuses the request; see its code")
}
