package connector_test

import (
	"context"
	"testing"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/fault"
)

func TestCredential(t *testing.T) {
	cfg := connector.Config{Name: "shop", Settings: connector.Settings{
		"username": {Text: "reader"}, "password": {Text: "env:PASSWORD"}, "odd": {Text: "domain:user"},
	}}
	if _, err := cfg.Credential(t.Context(), "password"); fault.KindOf(err) != fault.Internal {
		t.Errorf("without anybody who resolves it: %v", err)
	}
	cfg.Secret = func(_ context.Context, ref string) (string, error) { return "value of " + ref, nil }
	for key, want := range map[string]string{"username": "reader", "password": "value of env:PASSWORD", "odd": "domain:user", "none": ""} {
		if got, err := cfg.Credential(t.Context(), key); err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", key, got, err, want)
		}
	}
}
