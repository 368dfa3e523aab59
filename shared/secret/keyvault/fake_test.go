package keyvault_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

const (
	tenant = "00000000-0000-0000-0000-00000000000a"
	client = "00000000-0000-0000-0000-00000000000b"
	login  = "login.microsoftonline.com"
)

// fakeAzure is a fake: an HTTPS server of ours that stands for Key Vault and Entra ID, because neither can be had for tests. It does what the
// vendor documents of GET secret (REST reference, api-version in the query), of authentication (401 with a WWW-Authenticate challenge, then a
// bearer token) and of errors (error.code, error.innererror.code; "Azure Key Vault REST API Error Codes"). What the service does beyond its
// documentation, this cannot tell.
type fakeAzure struct {
	server *httptest.Server

	mu       sync.Mutex
	secrets  map[string]string // by host and path: "kv1.vault.azure.net/db"
	answers  []fakeAnswer      // of the vaults, one after the other, in place of secrets; the last again and again
	login    *fakeAnswer       // of the sign-in, in place of a token
	requests []string          // to the vaults: host and path, of those with a token
	tokens   int               // asked for
}

type fakeAnswer struct {
	status int
	body   string
	header map[string]string
}

func newFakeAzure(t *testing.T) *fakeAzure {
	t.Helper()
	f := &fakeAzure{secrets: map[string]string{}}
	f.server = httptest.NewTLSServer(http.HandlerFunc(f.serve))
	t.Cleanup(f.server.Close)
	return f
}

// options have all hosts answered by the fake. The SDK still sees the vaults' own names, and checks the challenge against them.
func (f *fakeAzure) options() azcore.ClientOptions {
	tr := f.server.Client().Transport.(*http.Transport).Clone()
	tr.TLSClientConfig.ServerName = "example.com" // the name in httptest's certificate
	tr.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, f.server.Listener.Addr().String())
	}
	return azcore.ClientOptions{Transport: &http.Client{Transport: tr}}
}

// credential is the vendor's own, with a client secret, that signs in at the fake.
func (f *fakeAzure) credential(t *testing.T) azcore.TokenCredential {
	t.Helper()
	c, err := azidentity.NewClientSecretCredential(tenant, client, "hunter2client", &azidentity.ClientSecretCredentialOptions{
		ClientOptions: f.options(), DisableInstanceDiscovery: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (f *fakeAzure) serve(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	if r.Host == login {
		f.serveLogin(w, r)
		return
	}
	if r.Header.Get("Authorization") != "Bearer hunter2token" {
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer authorization="https://%s/%s", resource="https://vault.azure.net"`, login, tenant))
		write(w, fakeAnswer{status: http.StatusUnauthorized, body: vaultError("Unauthorized", "")})
		return
	}
	name := strings.Trim(strings.Replace(r.URL.Path, "/secrets/", "/", 1), "/")
	f.requests = append(f.requests, r.Host+"/"+name)
	if len(f.answers) > 0 {
		write(w, f.answers[0])
		f.answers = f.answers[min(1, len(f.answers)-1):]
		return
	}
	value, ok := f.secrets[r.Host+"/"+name]
	if !ok || r.URL.Query().Get("api-version") == "" {
		write(w, fakeAnswer{status: http.StatusNotFound, body: vaultError("SecretNotFound", "")})
		return
	}
	body, _ := json.Marshal(map[string]any{
		"value": value, "id": "https://" + r.Host + "/secrets/" + name + "/4387e9f3d6e14c459867679a90fd0f79",
		"attributes": map[string]any{"enabled": true, "created": 1493938410, "updated": 1493938410, "recoveryLevel": "Recoverable+Purgeable"},
	})
	write(w, fakeAnswer{status: http.StatusOK, body: string(body)})
}

// serveLogin does what a client secret needs of Entra ID: the tenant's metadata, and a token.
func (f *fakeAzure) serveLogin(w http.ResponseWriter, r *http.Request) {
	base := "https://" + login + "/" + tenant
	switch {
	case strings.HasSuffix(r.URL.Path, "/.well-known/openid-configuration"):
		write(w, fakeAnswer{status: http.StatusOK, body: fmt.Sprintf(`{"authorization_endpoint": "%s/oauth2/v2.0/authorize",
			"token_endpoint": "%s/oauth2/v2.0/token", "issuer": "%s/v2.0"}`, base, base, base)})
	case f.login != nil:
		write(w, *f.login)
	default:
		f.tokens++
		write(w, fakeAnswer{status: http.StatusOK, body: `{"token_type": "Bearer", "expires_in": 3600, "access_token": "hunter2token"}`})
	}
}

func write(w http.ResponseWriter, a fakeAnswer) {
	for k, v := range a.header {
		w.Header().Set(k, v)
	}
	w.WriteHeader(a.status)
	fmt.Fprint(w, a.body)
}

// vaultError is the body of an error. The message quotes the caller, as the service's does.
func vaultError(code, inner string) string {
	return fmt.Sprintf(`{"error": {"code": %q, "message": "Caller: appid=%s\r\nhunter2", "innererror": {"code": %q}}}`, code, client, inner)
}
