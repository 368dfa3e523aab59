package connectortest

import (
	"context"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/secret"
)

// Vault keeps the secrets of a rig. A source reads them as in a program: it gets what was read before, until it says that it was refused.
type Vault struct {
	resolver *secret.Resolver

	mu     sync.Mutex
	values map[string]string
}

// NewVault makes one with values by reference, such as env:PASSWORD.
func NewVault(values map[string]string) *Vault {
	v := &Vault{values: maps.Clone(values)}
	v.resolver = secret.New(secret.Options{Now: time.Now, Stores: map[string]secret.Store{secret.Env: v}})
	return v
}

// Put changes a value.
func (v *Vault) Put(ref, value string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.values[ref] = value
}

// Get is what is in it now.
func (v *Vault) Get(_ context.Context, name string) (string, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	value, ok := v.values[secret.Env+":"+name]
	if !ok {
		return "", fault.New(fault.InvalidInput, "get secret", name, "it is not set").WithHint("set it")
	}
	return strings.TrimSpace(value), nil
}

// Serve lets a source read its secrets here.
func (v *Vault) Serve(cfg *connector.Config) {
	cfg.Forget = v.resolver.Forget
	cfg.Secret = func(ctx context.Context, ref string) (string, error) {
		text, err := v.resolver.Resolve(ctx, ref)
		if err != nil {
			return "", err
		}
		return text.Reveal(), nil
	}
}
