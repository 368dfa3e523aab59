package blob

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"

	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/store"
)

// answer gives the code and the HTTP status of an error; "" and 0 when there was no answer.
func answer(err error) (code bloberror.Code, status int) {
	var r *azcore.ResponseError
	if errors.As(err, &r) {
		return bloberror.Code(r.ErrorCode), r.StatusCode
	}
	return "", 0
}

func isNotFound(err error) bool {
	code, status := answer(err)
	return status == http.StatusNotFound && code != bloberror.ContainerNotFound
}

// isBeyondEnd tells a range that starts at or behind an object's end.
func isBeyondEnd(err error) bool {
	_, status := answer(err)
	return status == http.StatusRequestedRangeNotSatisfiable
}

// noCredentials is how the SDK marks that it could not sign in.
type noCredentials interface {
	error
	NonRetriable()
}

// translate gives err the meaning it has for an object store. nil stays nil. Of the SDK's messages it takes what holds no secrets and fits
// in a line.
func (s *Store) translate(ctx context.Context, op, key string, err error) error {
	if err == nil {
		return nil
	}
	object := s.object(key)
	if cerr := ctx.Err(); cerr != nil {
		return fmt.Errorf("%s %s: %w", op, object, cerr)
	}
	code, status := answer(err)
	give := func(kind fault.Kind, hint string) error {
		if status != 0 {
			return fault.New(kind, op, object, "%s (HTTP %d)", code, status).WithHint("%s", hint)
		}
		var u *url.Error
		if errors.As(err, &u) { // its message has the URL, with a signature perhaps
			err = u.Err
		}
		return fault.New(kind, op, object, "%w", err).WithHint("%s", hint)
	}
	var unsigned noCredentials
	switch {
	case isNotFound(err):
		return fmt.Errorf("%s %s: %w", op, object, store.ErrNotFound)
	case op == "put" && (code == bloberror.BlobAlreadyExists || code == bloberror.ConditionNotMet):
		return fmt.Errorf("%s %s: %w", op, object, store.ErrExists)
	case code == bloberror.ConditionNotMet:
		return give(fault.Unavailable, "the object was replaced while it was read; read it again")
	case code == bloberror.ContainerNotFound:
		return give(fault.InvalidInput, "make the container, or name another")
	case code == bloberror.ServerBusy, status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable:
		return give(fault.Throttled, "the service asks for fewer requests; try again later")
	case status == http.StatusForbidden, status == http.StatusUnauthorized:
		return give(fault.InvalidInput, "check the credentials, and that they have the role Storage Blob Data Contributor on the container")
	case status == 0 && errors.As(err, &unsigned):
		return give(fault.InvalidInput, "sign in (az login), or set AZURE_STORAGE_CONNECTION_STRING or AZURE_CLIENT_ID and what belongs to it")
	case code == bloberror.InvalidBlockList: // another write of the key dropped the blocks
		return give(fault.Unavailable, "the same operation may be repeated")
	case status == 0, status >= http.StatusInternalServerError, status == http.StatusRequestTimeout, code == bloberror.ContainerBeingDeleted:
		return give(fault.Unavailable, "the same operation may be repeated")
	}
	return give(fault.InvalidInput, "the service refuses the request; see its code")
}
