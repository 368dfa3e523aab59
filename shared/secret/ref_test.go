package secret_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/secret"
)

const arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:shop/db-AbC123"

func TestParse(t *testing.T) {
	for _, tt := range []struct {
		text string
		want secret.Ref
	}{
		{"env:PGPASSWORD", secret.Ref{Scheme: secret.Env, Name: "PGPASSWORD"}},
		{"aws-secretsmanager:shop/db", secret.Ref{Scheme: secret.SecretsManager, Name: "shop/db"}},
		{"aws-secretsmanager:rds!db-1f#password", secret.Ref{Scheme: secret.SecretsManager, Name: "rds!db-1f", Field: "password"}},
		{"aws-secretsmanager:" + arn, secret.Ref{Scheme: secret.SecretsManager, Name: arn}},
		{"aws-secretsmanager:" + arn + "#a#b", secret.Ref{Scheme: secret.SecretsManager, Name: arn, Field: "a#b"}},
		{"azure-keyvault:shop-kv/db-password", secret.Ref{Scheme: secret.KeyVault, Name: "shop-kv/db-password"}},
		{"azure-keyvault:https://shop-kv.vault.azure.net/db#user", secret.Ref{Scheme: secret.KeyVault, Name: "https://shop-kv.vault.azure.net/db", Field: "user"}},
		{"azure-keyvault:https://kv1.vault.usgovcloudapi.net/db", secret.Ref{Scheme: secret.KeyVault, Name: "https://kv1.vault.usgovcloudapi.net/db"}},
	} {
		got, err := secret.Parse(tt.text)
		if err != nil || got != tt.want || got.String() != tt.text {
			t.Errorf("%s: %#v %v", tt.text, got, err)
		}
	}
}

// What is no reference may be a credential: the error says nothing of it.
func TestParseRefusesAndKeepsQuiet(t *testing.T) {
	for _, text := range []string{
		"", "hunter2", "hunter2:hunter2", "postgres://hunter2:hunter2@host/db", "ENV:hunter2", " env:hunter2", "sk_live_hunter2", "AKIAhunter2",
		"env:", "env:hunter2!", "env:hunter 2", "env:HUNTER\n", "env:A#hunter2", "env:9hunter2",
		"aws-secretsmanager:", "aws-secretsmanager:hunter2#", "aws-secretsmanager:#hunter2", "aws-secretsmanager:hunter 2",
		"aws-secretsmanager:arn:aws:s3:::hunter2", "aws-secretsmanager:hunter2:x",
		"azure-keyvault:", "azure-keyvault:hunter2", "azure-keyvault:kv1/", "azure-keyvault:/hunter2", "azure-keyvault:kv1/hunter2/1f",
		"azure-keyvault:https://kv1.vault.azure.net/secrets/hunter2", "azure-keyvault:http://kv1.vault.azure.net/hunter2",
		"azure-keyvault:https://kv1.vault.azure.net.evil.example/hunter2", "azure-keyvault:https://evil.example/hunter2",
		"azure-keyvault:https://kv1.vault.azure.net@evil.example/hunter2", "azure-keyvault:https://kv1.vault.azure.net:8443/hunter2",
		"azure-keyvault:kv1/hunter_2",
	} {
		_, err := secret.Parse(text)
		if fault.KindOf(err) != fault.InvalidInput || fault.HintOf(err) == "" {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if said := strings.ToLower(err.Error() + fault.HintOf(err)); strings.Contains(said, "hunter") || strings.Contains(said, "kv1") {
			t.Errorf("%q is in the error: %v", text, err)
		}
	}
}

// Whatever Parse takes, it gives back; whatever it refuses, it does not repeat.
func TestParseProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		scheme := rapid.SampledFrom([]string{"", "env:", "aws-secretsmanager:", "azure-keyvault:", "azure-keyvault:https://", "x:"}).Draw(t, "scheme")
		rest := rapid.OneOf(rapid.String(), rapid.StringMatching(`[A-Za-z0-9/#.:-]{0,30}`)).Draw(t, "rest")
		r, err := secret.Parse(scheme + rest)
		if err == nil && r.String() != scheme+rest {
			t.Fatalf("%q became %q", scheme+rest, r)
		}
		if err != nil && len(rest) > 8 && strings.Contains(err.Error()+fault.HintOf(err), rest) {
			t.Fatalf("%q is in %v", rest, err)
		}
	})
}
