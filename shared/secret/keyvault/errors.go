package keyvault

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/url"
	"regexp"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/secret"
)

// refused makes the fault of a Get.
func refused(kind fault.Kind, name, format string, args ...any) *fault.Fault {
	return fault.New(kind, "get secret", secret.KeyVault+":"+name, format, args...)
}

// answer is what of an SDK's error may be shown. Errors of the SDK are never passed on as they are: they quote whole answers.
type answer struct {
	code   string
	inner  string // why it is Forbidden
	status int    // of HTTP; 0: there was no answer
}

func answerOf(err error) answer {
	var r *azcore.ResponseError
	if !errors.As(err, &r) {
		return answer{}
	}
	a := answer{code: r.ErrorCode, status: r.StatusCode}
	if a.code == "" {
		a.code = http.StatusText(a.status) // a proxy's answer
	}
	if r.RawResponse == nil {
		return a
	}
	var body struct {
		Error struct {
			Inner struct {
				Code string `json:"code"`
			} `json:"innererror"`
		} `json:"error"`
	}
	if payload, err := runtime.Payload(r.RawResponse); err == nil && json.Unmarshal(payload, &body) == nil {
		a.inner = body.Error.Inner.Code
	}
	return a
}

// String is "Forbidden, ForbiddenByRbac".
func (a answer) String() string {
	if a.inner != "" {
		return a.code + ", " + a.inner
	}
	return a.code
}

// translate gives an error of GetSecret its meaning. ctx is the caller's.
func translate(ctx context.Context, name string, err error) error {
	if over := ctx.Err(); over != nil {
		return refused(fault.Unavailable, name, "%w", over).WithHint("the call was ended from outside; repeat it")
	}
	a := answerOf(err)
	give := func(kind fault.Kind, hint string) error {
		return refused(kind, name, "%v (HTTP %d)", a, a.status).WithHint("%s", hint)
	}
	switch {
	case a.status == 0:
		return unanswered(name, err)
	case a.status == http.StatusNotFound:
		return refused(fault.InvalidInput, name, "there is no such secret (%v, HTTP %d)", a, a.status).
			WithHint("check the vault and the name; az keyvault secret set makes one, az keyvault secret recover brings a deleted one back")
	case a.inner == "SecretDisabled":
		return give(fault.InvalidInput, "the secret's current version is disabled: enable it, or set a new one")
	case a.inner == "ForbiddenByFirewall", a.inner == "ForbiddenByConnection":
		return give(fault.InvalidInput, "the vault's network rules keep this machine out: add it there, or reach the vault by its private endpoint")
	case a.status == http.StatusForbidden:
		return give(fault.InvalidInput, "assign the role Key Vault Secrets User on this secret to the identity that lakestep runs as (some minutes pass until it counts); "+
			"in a vault with access policies: the permission Get for secrets")
	case a.status == http.StatusUnauthorized:
		return give(fault.InvalidInput, "the vault does not know the identity: sign in to the vault's tenant")
	case a.status == http.StatusTooManyRequests:
		return give(fault.Throttled, "the vault asks for fewer requests; try again later")
	case a.status >= http.StatusInternalServerError, a.status == http.StatusRequestTimeout:
		return give(fault.Unavailable, "the same call may be repeated")
	}
	return give(fault.InvalidInput, "the vault refuses the request; see its code")
}

// unanswered is the fault of a request that got no answer of the vault: it was not signed, or did not arrive.
func unanswered(name string, err error) error {
	const hint = "check the vault's name and the way to it (in a virtual network: a private endpoint); the same call may be repeated"
	var refusal *azidentity.AuthenticationFailedError
	var unsigned interface{ NonRetriable() } // how the SDK marks that it could not sign in, or that the vault asks for a token of another cloud
	var u *url.Error
	var n net.Error
	switch {
	case errors.As(err, &refusal):
		return signIn(name, refusal)
	case errors.As(err, &unsigned):
		return refused(fault.InvalidInput, name, "sign-in: no Azure credentials could be had for this vault").
			WithHint("sign in (az login), set AZURE_CLIENT_ID and what belongs to it, or run where a managed identity is attached")
	case errors.Is(err, context.DeadlineExceeded):
		return refused(fault.Unavailable, name, "no answer in time").WithHint(hint)
	case errors.As(err, &u):
		return refused(fault.Unavailable, name, "%w", u.Err).WithHint(hint)
	case errors.As(err, &n):
		return refused(fault.Unavailable, name, "%w", n).WithHint(hint)
	}
	return refused(fault.Unavailable, name, "the answer cannot be read").WithHint("check what answers for the vault, a proxy perhaps")
}

// entraCode is the number of an error of Entra ID, which its documentation explains.
var entraCode = regexp.MustCompile(`AADSTS[0-9]+`)

// signIn is the fault of a sign-in that was refused. Of the answer it takes the number alone.
func signIn(name string, err *azidentity.AuthenticationFailedError) error {
	if err.RawResponse == nil { // mostly the network; the error does not say
		return refused(fault.Unavailable, name, "sign-in: no answer").
			WithHint("check the way to login.microsoftonline.com or to the managed identity; on your own machine: az login")
	}
	status, code := err.RawResponse.StatusCode, "refused"
	if body, e := runtime.Payload(err.RawResponse); e == nil && entraCode.Match(body) {
		code = string(entraCode.Find(body))
	}
	switch {
	case status == http.StatusTooManyRequests:
		return refused(fault.Throttled, name, "sign-in: %s (HTTP %d)", code, status).WithHint("the sign-in asks for fewer requests; try again later")
	case status >= http.StatusInternalServerError:
		return refused(fault.Unavailable, name, "sign-in: %s (HTTP %d)", code, status).WithHint("the same call may be repeated")
	}
	return refused(fault.InvalidInput, name, "sign-in: %s (HTTP %d)", code, status).
		WithHint("check the identity that lakestep runs as: its tenant, client id, and secret or certificate; https://login.microsoftonline.com/error explains AADSTS numbers")
}
