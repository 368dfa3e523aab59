// Package compose puts the parts together that every program has: stores, sources, secrets and lakes by name. Only the programs below functions/cmd
// may have it, and only it and they may read the environment.
package compose

import (
	"context"
	"os"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/connector/files"
	"github.com/lakestep/lakestep/shared/connector/kafka"
	"github.com/lakestep/lakestep/shared/connector/postgres"
	"github.com/lakestep/lakestep/shared/connector/snowflake"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/pipeline"
	"github.com/lakestep/lakestep/shared/secret"
	"github.com/lakestep/lakestep/shared/secret/env"
	"github.com/lakestep/lakestep/shared/secret/keyvault"
	"github.com/lakestep/lakestep/shared/secret/secretsmanager"
)

// OpenSource connects to a declared source: it is the registry of connectors.
func OpenSource(ctx context.Context, p *pipeline.Pipeline, src pipeline.Source) (connector.Source, error) {
	cfg := src.Config(p.Name)
	cfg.Secret, cfg.Forget = revealSecret, func(ref string) { secrets().Forget(ref) }
	switch src.Connector {
	case "files":
		return openFiles(ctx, cfg)
	case "kafka":
		return kafka.New(ctx, cfg)
	case "postgres":
		return postgres.New(ctx, cfg)
	case "snowflake":
		if os.Getenv(noDetection) == "" { // the driver would ask the clouds' metadata services where it runs, before it signs in
			if err := os.Setenv(noDetection, "true"); err != nil {
				return nil, fault.New(fault.Internal, "open source", src.Name, "%w", err)
			}
		}
		return snowflake.New(ctx, cfg)
	}
	return nil, fault.New(fault.InvalidInput, "open source", src.Name, "there is no connector %q", src.Connector)
}

const noDetection = "SNOWFLAKE_DISABLE_PLATFORM_DETECTION"

func openFiles(ctx context.Context, cfg connector.Config) (connector.Source, error) {
	path := cfg.Settings.Text("path", "")
	if info, err := os.Stat(path); !IsURL(path) && (err != nil || !info.IsDir()) {
		return nil, fault.New(fault.InvalidInput, "open source", cfg.Name, "there is no folder %s", path).
			WithHint("make it, or name another one (%s)", cfg.At)
	}
	s, err := OpenStore(ctx, path)
	if err != nil {
		return nil, err
	}
	return files.New(s, cfg)
}

// secrets resolves the references of a pipeline. The clouds are asked for credentials of ours only when a reference names one.
var secrets = sync.OnceValue(func() *secret.Resolver {
	return secret.New(secret.Options{Now: time.Now, Stores: map[string]secret.Store{
		secret.Env: env.New(os.LookupEnv),
		secret.SecretsManager: &lazySecrets{open: func(ctx context.Context) (secret.Store, error) {
			cfg, err := AWS(ctx, "secrets", "")
			return secretsmanager.New(cfg), err
		}},
		secret.KeyVault: &lazySecrets{open: func(context.Context) (secret.Store, error) {
			credential, err := azidentity.NewDefaultAzureCredential(nil)
			return keyvault.New(credential, azcore.ClientOptions{}), err
		}},
	}})
})

func revealSecret(ctx context.Context, ref string) (string, error) {
	text, err := secrets().Resolve(ctx, ref)
	if err != nil {
		return "", err
	}
	return text.Reveal(), nil
}

// lazySecrets opens a store of secrets at the first question.
type lazySecrets struct {
	open  func(context.Context) (secret.Store, error)
	mu    sync.Mutex
	store secret.Store
}

// Get asks the store.
func (l *lazySecrets) Get(ctx context.Context, name string) (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.store == nil {
		s, err := l.open(ctx)
		if err != nil { // the SDK's own error may quote what it read
			return "", fault.New(fault.InvalidInput, "sign in for secret", name, "the cloud's configuration cannot be read").
				WithHint("check ~/.aws/config and AWS_PROFILE, or az login")
		}
		l.store = s
	}
	return l.store.Get(ctx, name)
}
