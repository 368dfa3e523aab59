package secretsmanager_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/lakestep/lakestep/shared/awsapi/awsapitest"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/secret/secretsmanager"
)

const good = `{"SecretString": "hunter2"}`

func adapter() awsapitest.Adapter {
	return awsapitest.Adapter{
		Object: "get secret aws-secretsmanager:shop/db", Op: "GetSecretValue", Action: "secretsmanager:GetSecretValue", Endpoint: "secretsmanager",
		Attempts: 4, Timeout: 30 * time.Second, Good: good,
		Call: func(ctx context.Context, cfg aws.Config) error {
			_, err := secretsmanager.New(cfg).Get(ctx, "shop/db")
			return err
		},
	}
}

func TestErrors(t *testing.T) { awsapitest.Run(t, adapter()) }

// What Secrets Manager alone answers.
func TestRefusals(t *testing.T) {
	for _, r := range []awsapitest.Refusal{
		{Answer: awsapitest.Problem(400, "ResourceNotFoundException", "Secrets Manager can't find the specified secret."),
			Kind: fault.InvalidInput, Says: "db: there is no such secret", Hint: "create-secret", Times: 1},
		{Answer: awsapitest.Problem(400, "AccessDeniedException", "Access to KMS is not allowed"), Kind: fault.InvalidInput, Says: "KMS", Hint: "kms:Decrypt", Times: 1},
		{Answer: awsapitest.Problem(400, "DecryptionFailure", "m"), Kind: fault.InvalidInput, Says: "DecryptionFailure", Hint: "kms:Decrypt", Times: 1},
		{Answer: awsapitest.Problem(400, "InvalidRequestException", "You can't perform this operation on the secret because it was marked for deletion."),
			Kind: fault.InvalidInput, Says: "marked for deletion", Hint: "restore-secret", Times: 1},
		{Answer: awsapitest.Problem(400, "InvalidParameterException", "m"), Kind: fault.InvalidInput, Says: "InvalidParameter", Hint: "restore-secret", Times: 1},
		{Answer: awsapitest.Answer{Status: 200, Body: `{"SecretString": "hunter2"`}, Kind: fault.Unavailable, Says: "cannot be read", Hint: "proxy", Times: 1},
		{Answer: awsapitest.Answer{Status: 200, Body: `{"SecretString": {"hunter2": 1}}`}, Kind: fault.Unavailable, Says: "cannot be read", Hint: "proxy", Times: 1},
		{Answer: awsapitest.Answer{Status: 200, Body: `{"SecretBinary": "hunter2w"}`}, Kind: fault.InvalidInput, Says: "binary", Hint: "SecretString", Times: 1},
	} {
		adapter().Refuse(t, r)
	}
}

func TestRegionOfAnARN(t *testing.T) {
	f := &awsapitest.Service{Answers: map[string][]awsapitest.Answer{"GetSecretValue": {{Status: 200, Body: good}}}}
	cfg := f.Config()
	cfg.Region = ""
	s := secretsmanager.New(cfg)
	if got, err := s.Get(t.Context(), "arn:aws:secretsmanager:eu-west-1:123456789012:secret:db-AbC123"); got != "hunter2" || err != nil {
		t.Error(got, err)
	}
	if len(f.Requests) != 1 || f.Requests[0].Host != "secretsmanager.eu-west-1.amazonaws.com" ||
		!strings.Contains(f.Requests[0].Header.Get("Authorization"), "/eu-west-1/secretsmanager/") {
		t.Error(f.Requests)
	}
	if _, err := s.Get(t.Context(), "db"); fault.KindOf(err) != fault.InvalidInput || !strings.Contains(fault.HintOf(err), "AWS_REGION") {
		t.Error(err)
	}
}
