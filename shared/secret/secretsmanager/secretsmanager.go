// Package secretsmanager takes secrets from AWS Secrets Manager.
package secretsmanager

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsarn "github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/secret"
)

const (
	timeout    = 30 * time.Second // for one Get with all its attempts
	attempts   = 4
	maxBackoff = 5 * time.Second
)

var _ secret.Store = (*Store)(nil)

// Store is a secret.Store of an account's secrets.
type Store struct {
	client *secretsmanager.Client
	cfg    aws.Config
}

// New makes a Store. The credentials, the region and the endpoint are in cfg; that they are right shows with the first Get.
func New(cfg aws.Config) *Store {
	client := secretsmanager.NewFromConfig(cfg, func(o *secretsmanager.Options) {
		o.ClientLogMode = 0 // the bodies hold secrets
		o.Retryer = retry.NewStandard(func(r *retry.StandardOptions) { r.MaxAttempts, r.MaxBackoff = attempts, maxBackoff })
	})
	return &Store{client: client, cfg: cfg}
}

// Get implements secret.Store: the current version of the secret with this name or ARN. An ARN also says in which region it is.
func (s *Store) Get(ctx context.Context, name string) (string, error) {
	region := s.cfg.Region
	if a, err := awsarn.Parse(name); err == nil {
		region = a.Region
	}
	if region == "" {
		return "", refused(fault.InvalidInput, name, "no region is set").WithHint("set AWS_REGION to the secret's region, or name the secret by its ARN")
	}
	within, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := s.signIn(within); err != nil {
		return "", translateSignIn(ctx, name, err)
	}
	out, err := s.client.GetSecretValue(within, &secretsmanager.GetSecretValueInput{SecretId: &name}, func(o *secretsmanager.Options) { o.Region = region })
	if err != nil {
		return "", translate(ctx, name, err)
	}
	if out.SecretString == nil {
		return "", refused(fault.InvalidInput, name, "it is binary").WithHint("keep the credential as text (SecretString)")
	}
	return *out.SecretString, nil
}

// signIn takes credentials before the request does: which of the two was refused could not be told from the request's error.
func (s *Store) signIn(ctx context.Context) error {
	if s.cfg.Credentials == nil {
		return errNoCredentials
	}
	_, err := s.cfg.Credentials.Retrieve(ctx)
	return err
}
