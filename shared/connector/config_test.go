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

func TestRenewed(t *testing.T) {
	kept, there := map[string]string{}, map[string]string{"env:USER": "u", "env:PASSWORD": "p"}
	var down error
	cfg := connector.Config{Settings: connector.Settings{"username": {Text: "env:USER"}, "password": {Text: "env:PASSWORD"}, "plain": {Text: "x"}},
		Forget: func(ref string) { delete(kept, ref) },
		Secret: func(_ context.Context, ref string) (string, error) {
			if _, ok := kept[ref]; !ok && down != nil {
				return "", down
			} else if !ok {
				kept[ref] = there[ref]
			}
			return kept[ref], nil
		}}
	used := map[string]string{}
	read := func() {
		for _, key := range []string{"username", "password", "plain"} {
			used[key], _ = cfg.Credential(t.Context(), key)
		}
	}
	expect := func(what string, want bool) {
		t.Helper()
		if got := cfg.Renewed(t.Context(), used); got != want {
			t.Errorf("%s: %v", what, got)
		}
	}
	read()
	expect("nothing changed", false)
	there["env:PASSWORD"] = "q"
	expect("another password", true)
	expect("another password, somebody else forgot it before", true)
	used["plain"] = "of the server"
	if read(); used["password"] != "q" {
		t.Error("it is not read anew")
	}
	expect("the new one is refused, too", false)
	down = fault.New(fault.InvalidInput, "get secret", "env:USER", "denied")
	expect("the store tells nothing", false)
	down = fault.New(fault.Throttled, "get secret", "env:USER", "slow down")
	expect("the store tells nothing for the moment", true)
	cfg.Forget = nil
	expect("there is nothing to forget", true)
}
