// Package secretsmanager takes secrets from AWS Secrets Manager.
package secretsmanager

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsarn "github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/lakestep/lakestep/shared/awsapi"
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
	client  *secretsmanager.Client
	service awsapi.Service
	region  string
}

// New makes a Store. The credentials, the region and the endpoint are in cfg; that they are right shows with the first Get.
func New(cfg aws.Config) *Store {
	client := secretsmanager.NewFromConfig(cfg, func(o *secretsmanager.Options) {
		o.ClientLogMode = 0 // the bodies hold secrets
		o.Retryer = retry.NewStandard(func(r *retry.StandardOptions) { r.MaxAttempts, r.MaxBackoff = attempts, maxBackoff })
	})
	return &Store{client: client, region: cfg.Region, service: awsapi.Service{Name: "secretsmanager", Credentials: cfg.Credentials, Timeout: timeout}}
}

// Get implements secret.Store: the current version of the secret with this name or ARN. An ARN also says in which region it is.
func (s *Store) Get(ctx context.Context, name string) (string, error) {
	region := s.region
	if a, err := awsarn.Parse(name); err == nil {
		region = a.Region
	}
	if region == "" {
		return "", refused(fault.InvalidInput, name, "no region is set").WithHint("set AWS_REGION to the secret's region, or name the secret by its ARN")
	}
	var out *secretsmanager.GetSecretValueOutput
	err := s.service.Do(ctx, request(name), func(ctx context.Context) (err error) {
		out, err = s.client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &name}, func(o *secretsmanager.Options) { o.Region = region })
		return err
	})
	if err != nil {
		return "", err
	}
	if out.SecretString == nil {
		return "", refused(fault.InvalidInput, name, "it is binary").WithHint("keep the credential as text (SecretString)")
	}
	return *out.SecretString, nil
}

// refused makes the fault of a Get.
func refused(kind fault.Kind, name, format string, args ...any) *fault.Fault {
	r := request(name)
	return fault.New(kind, r.Op, r.Object, format, args...)
}

// request is what errors say of a Get. The messages of these codes name the caller, the secret and the key, and nothing else.
func request(name string) awsapi.Request {
	const deleted = "a secret that is marked for deletion has no value: aws secretsmanager restore-secret brings it back"
	return awsapi.Request{
		Op: "get secret", Object: secret.SecretsManager + ":" + name, Action: "secretsmanager:GetSecretValue",
		Denied: "allow secretsmanager:GetSecretValue on this secret to the role that lakestep runs as; with a KMS key of your own also kms:Decrypt on the key",
		Codes: map[string]awsapi.Meaning{
			"ResourceNotFoundException": {Text: "there is no such secret, or it has no value", Hint: "check name, region and account; aws secretsmanager create-secret makes one"},
			"DecryptionFailure":         {Hint: "check that the secret's KMS key is enabled, and allow kms:Decrypt on it to the role that lakestep runs as"},
			"InvalidRequestException":   {Hint: deleted},
			"InvalidParameterException": {Hint: deleted},
		},
	}
}
