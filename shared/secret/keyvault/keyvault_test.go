package keyvault_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/secret"
	"github.com/lakestep/lakestep/shared/secret/keyvault"
)

// The SDK's own client and credential against the fake.
func TestFakeVault(t *testing.T) {
	f, now := newFakeAzure(t), time.Unix(1e9, 0)
	r := secret.New(secret.Options{
		Stores: map[string]secret.Store{secret.KeyVault: keyvault.New(f.credential(t), f.options())}, Now: func() time.Time { return now },
	})
	want := func(reference, value string) {
		t.Helper()
		got, err := r.Resolve(t.Context(), reference)
		if err != nil || got.Reveal() != value {
			t.Errorf("%s: %q %v, want %q", reference, got.Reveal(), err, value)
		}
	}
	f.secrets["kv1.vault.azure.net/plain"] = "first"
	f.secrets["kv2.vault.azure.net/db"] = `{"user": "bob", "password": "hunter2"}`
	want("azure-keyvault:kv1/plain", "first")
	want("azure-keyvault:https://KV1.vault.azure.net/plain", "first")
	want("azure-keyvault:kv2/db#user", "bob")
	want("azure-keyvault:kv2/db#password", "hunter2")
	if got := f.requests; !slices.Equal(got, []string{"kv1.vault.azure.net/plain", "kv1.vault.azure.net/plain", "kv2.vault.azure.net/db"}) || f.tokens != 1 {
		t.Errorf("requests %v, %d tokens", got, f.tokens)
	}

	f.secrets["kv1.vault.azure.net/plain"] = "second"
	want("azure-keyvault:kv1/plain", "first")
	now = now.Add(secret.DefaultTTL)
	want("azure-keyvault:kv1/plain", "second")
	f.secrets["kv1.vault.azure.net/plain"] = "third"
	r.Forget("azure-keyvault:kv1/plain")
	want("azure-keyvault:kv1/plain", "third")

	_, err := r.Resolve(t.Context(), "azure-keyvault:kv1/absent")
	if fault.KindOf(err) != fault.InvalidInput || !strings.Contains(err.Error(), "azure-keyvault:kv1/absent: there is no such secret") || fault.HintOf(err) == "" {
		t.Errorf("%v, hint %q", err, fault.HintOf(err))
	}
}

// get asks a fake for a secret, and checks that neither a secret nor more than a line is in the error.
func get(t *testing.T, s *keyvault.Store) error {
	t.Helper()
	_, err := s.Get(t.Context(), "kv1/db")
	said := fmt.Sprintf("%v %+v %s", err, err, fault.HintOf(err))
	if err == nil || strings.Contains(said, "hunter2") || strings.Contains(said, "\n") || !strings.Contains(said, "azure-keyvault:kv1/db") || fault.HintOf(err) == "" {
		t.Errorf("%s", said)
	}
	return err
}

// Each refusal has the kind by which it is treated, and says what to do.
func TestRefusals(t *testing.T) {
	wait := map[string]string{"Retry-After": "3600"} // longer than Get waits
	for _, tt := range []struct {
		answer fakeAnswer
		kind   fault.Kind
		says   string
		hint   string
	}{
		{fakeAnswer{403, vaultError("Forbidden", "ForbiddenByRbac"), nil}, fault.InvalidInput, "Forbidden, ForbiddenByRbac (HTTP 403)", "Key Vault Secrets User"},
		{fakeAnswer{403, vaultError("Forbidden", "AccessDenied"), nil}, fault.InvalidInput, "AccessDenied", "permission Get"},
		{fakeAnswer{403, vaultError("Forbidden", "ForbiddenByFirewall"), nil}, fault.InvalidInput, "ForbiddenByFirewall", "network"},
		{fakeAnswer{403, vaultError("Forbidden", "SecretDisabled"), nil}, fault.InvalidInput, "SecretDisabled", "disabled"},
		{fakeAnswer{401, vaultError("Unauthorized", ""), nil}, fault.InvalidInput, "401", "tenant"},
		{fakeAnswer{400, vaultError("BadParameter", ""), nil}, fault.InvalidInput, "BadParameter", "code"},
		{fakeAnswer{429, vaultError("Throttled", ""), wait}, fault.Throttled, "Throttled", "later"},
		{fakeAnswer{503, "<html>hunter2</html>", wait}, fault.Unavailable, "Service Unavailable (HTTP 503)", "repeated"},
		{fakeAnswer{200, `{"value": "hunter2"`, nil}, fault.Unavailable, "cannot be read", "proxy"},
		{fakeAnswer{200, `{"value": ["hunter2"]}`, nil}, fault.Unavailable, "cannot be read", "proxy"},
		{fakeAnswer{200, `{}`, nil}, fault.InvalidInput, "no value", "secret set"},
	} {
		f := newFakeAzure(t)
		f.answers = []fakeAnswer{tt.answer}
		err := get(t, keyvault.New(f.credential(t), f.options()))
		if fault.KindOf(err) != tt.kind || !strings.Contains(err.Error(), tt.says) || !strings.Contains(fault.HintOf(err), tt.hint) {
			t.Errorf("%d %s: %v of kind %s, hint %q", tt.answer.status, tt.answer.body, err, fault.KindOf(err), fault.HintOf(err))
		}
	}
}

func TestRepeatsWhatMayBeRepeated(t *testing.T) {
	f := newFakeAzure(t)
	busy := fakeAnswer{http.StatusTooManyRequests, vaultError("Throttled", ""), map[string]string{"retry-after-ms": "1"}}
	f.answers = []fakeAnswer{busy, busy, {http.StatusOK, `{"value": "hunter2"}`, nil}}
	got, err := keyvault.New(f.credential(t), f.options()).Get(t.Context(), "kv1/db")
	if err != nil || got != "hunter2" || len(f.requests) != 3 {
		t.Error(err, len(f.requests))
	}
}

// Of a sign-in that is refused the number is shown; the answer, which the SDK's error quotes, is not.
func TestSignIn(t *testing.T) {
	refused := func(code int, body string) *fakeAnswer {
		return &fakeAnswer{code, fmt.Sprintf(`{"error": "invalid_client", "error_description": %q}`, body), map[string]string{"Retry-After": "3600"}}
	}
	for _, tt := range []struct {
		login *fakeAnswer
		kind  fault.Kind
		says  string
	}{
		{refused(401, "AADSTS7000215: Invalid client secret provided. hunter2"), fault.InvalidInput, "sign-in: AADSTS7000215 (HTTP 401)"},
		{refused(429, "AADSTS90055: hunter2"), fault.Throttled, "AADSTS90055"},
		{refused(503, "hunter2"), fault.Unavailable, "503"},
	} {
		f := newFakeAzure(t)
		f.login = tt.login
		err := get(t, keyvault.New(f.credential(t), f.options()))
		if fault.KindOf(err) != tt.kind || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%v of kind %s, hint %q", err, fault.KindOf(err), fault.HintOf(err))
		}
	}

	away := transport(func(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF })
	f := newFakeAzure(t)
	lost, err := azidentity.NewClientSecretCredential(tenant, client, "hunter2client", &azidentity.ClientSecretCredentialOptions{
		ClientOptions: azcore.ClientOptions{Transport: away, Retry: policy.RetryOptions{MaxRetries: -1}}, DisableInstanceDiscovery: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := get(t, keyvault.New(lost, f.options())); fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "sign-in: no answer") {
		t.Error(err)
	}

	chain, err := azidentity.NewChainedTokenCredential([]azcore.TokenCredential{unavailable{}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = get(t, keyvault.New(chain, f.options()))
	if fault.KindOf(err) != fault.InvalidInput || !strings.Contains(fault.HintOf(err), "az login") {
		t.Errorf("%v of kind %s, hint %q", err, fault.KindOf(err), fault.HintOf(err))
	}
}

// unavailable is a credential that this machine has not got.
type unavailable struct{}

func (unavailable) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{}, azidentity.NewCredentialUnavailableError("hunter2")
}

// A token of the vault must not go to another host.
func TestTokenStaysInTheCloud(t *testing.T) {
	f := newFakeAzure(t)
	s := keyvault.New(f.credential(t), f.options())
	for _, name := range []string{"https://evil.example/db", "https://kv1.vault.azure.net.evil.example/db", "https://x@evil.example/db", "evil.example/db"} {
		if _, err := s.Get(t.Context(), name); fault.KindOf(err) != fault.InvalidInput {
			t.Errorf("%s: %v", name, err)
		}
	}
	// The challenge names another cloud than the host is in.
	if _, err := s.Get(t.Context(), "https://kv1.vault.azure.cn/db"); fault.KindOf(err) != fault.InvalidInput {
		t.Error(err)
	}
	if len(f.requests) != 0 || f.tokens != 0 {
		t.Errorf("requests %v, %d tokens", f.requests, f.tokens)
	}
}

// transport is a network without a vault behind it.
type transport func(*http.Request) (*http.Response, error)

func (t transport) Do(r *http.Request) (*http.Response, error) { return t(r) }

// A vault that says nothing is given up after half a minute, or when the caller's context ends; a broken network is tried again.
func TestNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		silent := transport(func(r *http.Request) (*http.Response, error) {
			tries++
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		s := keyvault.New(unavailable{}, azcore.ClientOptions{Transport: silent})
		start := time.Now()
		err := get(t, s)
		if took := time.Since(start); fault.KindOf(err) != fault.Unavailable || took != 30*time.Second || tries != 3 {
			t.Error(err, took, tries)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start = time.Now()
		_, err = s.Get(ctx, "kv1/db")
		if took := time.Since(start); fault.KindOf(err) != fault.Unavailable || !errors.Is(err, context.DeadlineExceeded) || took != time.Second {
			t.Error(err, took)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		broken := transport(func(*http.Request) (*http.Response, error) { tries++; return nil, io.ErrUnexpectedEOF })
		err := get(t, keyvault.New(unavailable{}, azcore.ClientOptions{Transport: broken}))
		if fault.KindOf(err) != fault.Unavailable || tries != 4 {
			t.Error(err, tries)
		}
	})
}
