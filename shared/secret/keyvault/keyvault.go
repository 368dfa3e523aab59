// Package keyvault takes secrets from Azure Key Vault.
package keyvault

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"

	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/secret"
)

const (
	timeout    = 30 * time.Second // for one Get with all its attempts
	try        = 10 * time.Second // for one attempt
	retries    = 3
	maxBackoff = 5 * time.Second
)

var _ secret.Store = (*Store)(nil)

// Store is a secret.Store of all vaults that a credential may read.
type Store struct {
	credential azcore.TokenCredential
	options    azcore.ClientOptions

	mu     sync.Mutex
	vaults map[string]*azsecrets.Client // by URL; a client keeps its connections and token
}

// New makes a Store. That the credential is right shows with the first Get. Of the options the retries are set here.
func New(credential azcore.TokenCredential, options azcore.ClientOptions) *Store {
	options.Retry = policy.RetryOptions{MaxRetries: retries, TryTimeout: try, RetryDelay: 200 * time.Millisecond, MaxRetryDelay: maxBackoff}
	options.Logging.IncludeBody = false // the bodies hold secrets
	return &Store{credential: credential, options: options, vaults: map[string]*azsecrets.Client{}}
}

// Get implements secret.Store: the current version of the secret that "VAULT/NAME" or "https://VAULT.vault.azure.net/NAME" names.
func (s *Store) Get(ctx context.Context, name string) (string, error) {
	ref, err := secret.Parse(secret.KeyVault + ":" + name) // it knows to which hosts a token may go
	if err != nil {
		return "", err
	}
	url, id := split(ref.Name)
	client, err := s.client(url)
	if err != nil {
		return "", refused(fault.Internal, name, "no client for the vault").WithHint("report it")
	}
	within, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	out, err := client.GetSecret(within, id, "", nil)
	if err != nil {
		return "", translate(ctx, name, err)
	}
	if out.Value == nil {
		return "", refused(fault.InvalidInput, name, "it has no value").WithHint("az keyvault secret set gives it one")
	}
	return *out.Value, nil
}

// split gives the URL of the vault and the secret's name.
func split(name string) (url, id string) {
	slash := strings.LastIndexByte(name, '/')
	url, id = name[:slash], name[slash+1:]
	if !strings.HasPrefix(url, "https://") {
		url = "https://" + url + ".vault.azure.net"
	}
	return strings.ToLower(url), id
}

// client gives the client of a vault.
func (s *Store) client(url string) (*azsecrets.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c, ok := s.vaults[url]; ok {
		return c, nil
	}
	c, err := azsecrets.NewClient(url, s.credential, &azsecrets.ClientOptions{ClientOptions: s.options})
	if err == nil {
		s.vaults[url] = c
	}
	return c, err
}
