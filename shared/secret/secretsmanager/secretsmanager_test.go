package secretsmanager_test

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	vendor "github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/secret"
	"github.com/lakestep/lakestep/shared/secret/secretsmanager"
	"github.com/lakestep/lakestep/shared/store/storetest"
)

// rig is a Resolver over a moto of its own, the vendor's client to put secrets into it, and a clock that the test sets.
type rig struct {
	*secret.Resolver
	vendor *vendor.Client
	cfg    aws.Config
	now    time.Time
}

func newRig(t *testing.T) *rig {
	t.Helper()
	s := storetest.Moto(t)
	r := &rig{now: time.Unix(1e9, 0), cfg: aws.Config{
		Region: "us-east-1", BaseEndpoint: &s.Endpoint, Credentials: credentials.NewStaticCredentialsProvider(s.AccessKey, s.SecretKey, ""),
	}}
	r.vendor = vendor.NewFromConfig(r.cfg)
	r.Resolver = secret.New(secret.Options{
		Stores: map[string]secret.Store{secret.SecretsManager: secretsmanager.New(r.cfg)}, Now: func() time.Time { return r.now },
	})
	return r
}

// create makes a secret, and gives its ARN.
func (r *rig) create(t *testing.T, name, value string, options ...func(*vendor.Options)) string {
	t.Helper()
	out, err := r.vendor.CreateSecret(t.Context(), &vendor.CreateSecretInput{Name: &name, SecretString: &value}, options...)
	if err != nil {
		t.Fatal(err)
	}
	return *out.ARN
}

func (r *rig) want(t *testing.T, reference, value string) {
	t.Helper()
	got, err := r.Resolve(t.Context(), reference)
	if err != nil || got.Reveal() != value {
		t.Errorf("%s: %q %v, want %q", reference, got.Reveal(), err, value)
	}
}

func (r *rig) refuse(t *testing.T, reference, says, hint string) {
	t.Helper()
	_, err := r.Resolve(t.Context(), reference)
	if fault.KindOf(err) != fault.InvalidInput || !strings.Contains(err.Error(), says) || !strings.Contains(fault.HintOf(err), hint) {
		t.Errorf("%s: %v, hint %q", reference, err, fault.HintOf(err))
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("%s: the secret is in the error: %v", reference, err)
	}
}

// The real client against moto, a server that is not ours.
func TestMoto(t *testing.T) {
	r := newRig(t)

	t.Run("names, ARNs and fields", func(t *testing.T) {
		arn := r.create(t, "shop/plain", "hunter2")
		r.create(t, "shop/db", `{"username": "bob", "password": "hunter2", "port": 5432}`)
		r.want(t, "aws-secretsmanager:shop/plain", "hunter2")
		r.want(t, "aws-secretsmanager:"+arn, "hunter2")
		r.want(t, "aws-secretsmanager:shop/db#username", "bob")
		r.want(t, "aws-secretsmanager:shop/db#password", "hunter2")
		r.want(t, "aws-secretsmanager:shop/db#port", "5432")
		r.refuse(t, "aws-secretsmanager:shop/db#absent", `"absent"`, "case")
		r.refuse(t, "aws-secretsmanager:shop/plain#a", "no JSON object", "#a")
	})

	t.Run("an ARN of another region is asked for there", func(t *testing.T) {
		arn := r.create(t, "far", "hunter2", func(o *vendor.Options) { o.Region = "eu-west-1" })
		r.want(t, "aws-secretsmanager:"+arn, "hunter2")
		r.refuse(t, "aws-secretsmanager:far", "no such secret", "region")
	})

	t.Run("rotation", func(t *testing.T) {
		put := func(value string) {
			if _, err := r.vendor.PutSecretValue(t.Context(), &vendor.PutSecretValueInput{SecretId: aws.String("rotated"), SecretString: &value}); err != nil {
				t.Fatal(err)
			}
		}
		r.create(t, "rotated", "first")
		r.want(t, "aws-secretsmanager:rotated", "first")
		put("second")
		r.want(t, "aws-secretsmanager:rotated", "first")
		r.now = r.now.Add(secret.DefaultTTL)
		r.want(t, "aws-secretsmanager:rotated", "second")
		put("third")
		r.Forget("aws-secretsmanager:rotated")
		r.want(t, "aws-secretsmanager:rotated", "third")
	})

	t.Run("what cannot be had", func(t *testing.T) {
		r.refuse(t, "aws-secretsmanager:absent", "aws-secretsmanager:absent: there is no such secret", "create-secret")
		if _, err := r.vendor.CreateSecret(t.Context(), &vendor.CreateSecretInput{Name: aws.String("binary"), SecretBinary: []byte("hunter2")}); err != nil {
			t.Fatal(err)
		}
		r.refuse(t, "aws-secretsmanager:binary", "binary", "SecretString")
		r.create(t, "deleted", "hunter2")
		if _, err := r.vendor.DeleteSecret(t.Context(), &vendor.DeleteSecretInput{SecretId: aws.String("deleted")}); err != nil {
			t.Fatal(err)
		}
		r.refuse(t, "aws-secretsmanager:deleted", "deleted", "restore-secret")
	})
}
