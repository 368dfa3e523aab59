package terraformtest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	tfjson "github.com/hashicorp/terraform-json"

	"github.com/lakestep/lakestep/shared/store/storetest"
	"github.com/lakestep/lakestep/tools/terraformtest"
)

// applied is a stack that the genuine provider applied to moto.
type applied struct {
	terraformtest.CLI
	endpoint string
	tree     string
	overlay  *terraformtest.Overlay
}

// overlaid copies the tree, and changes it for provider 3.40 as testdata/overlay says.
func overlaid(t *testing.T) (tree string, overlay *terraformtest.Overlay, unused []string) {
	t.Helper()
	tree = t.TempDir()
	terraformtest.Copy(t, tree)
	from := filepath.Join("testdata", "overlay")
	text, err := os.ReadFile(filepath.Join(from, "overlay.txt"))
	if err != nil {
		t.Fatal(err)
	}
	overlay, err = terraformtest.ReadOverlay(string(text))
	if err != nil {
		t.Fatal(err)
	}
	unused = overlay.Apply(t, tree)
	for file, to := range map[string]string{"lake_override.tf": "modules/lake", "provider_override.tf": "examples/dev", "endpoint.tf": "examples/dev"} {
		text, err := os.ReadFile(filepath.Join(from, file))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(tree, "terraform", to, file), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return tree, overlay, unused
}

// The overlay speaks of what there is.
func TestOverlayIsUsed(t *testing.T) {
	if _, _, unused := overlaid(t); len(unused) > 0 {
		t.Errorf("testdata/overlay/overlay.txt: these lines change nothing: %s", strings.Join(unused, "; "))
	}
}

// And of nothing that the genuine provider knows.
func TestOverlayIsNeeded(t *testing.T) {
	a := genuine(t)
	out, err := a.Run(t.Context(), "providers", "schema", "-json")
	if err != nil {
		t.Fatal(err)
	}
	var schemas tfjson.ProviderSchemas
	if err := schemas.UnmarshalJSON([]byte(out)); err != nil {
		t.Fatal(err)
	}
	schema := schemas.Schemas[terraformtest.Source]
	if schema == nil {
		t.Fatal("no schema")
	}
	if lines := a.overlay.Needless(schema); len(lines) > 0 {
		t.Errorf("testdata/overlay/overlay.txt: provider 3.40 knows that: %s", strings.Join(lines, "; "))
	}
}

// genuine is Terraform with the genuine provider over examples/dev and a new moto.
func genuine(t *testing.T) applied {
	t.Helper()
	return genuineAt(t, func() string { return storetest.Moto(t).Endpoint })
}

// genuineAt is the same over what plays AWS at an address.
func genuineAt(t *testing.T, start func() string) applied {
	t.Helper()
	provider := os.Getenv("LAKESTEP_TEST_AWS_PROVIDER")
	if provider == "" {
		t.Skip("SKIPPED: no genuine AWS provider: LAKESTEP_TEST_AWS_PROVIDER is not set (make test/terraform builds one)")
	}
	endpoint := start()
	tree, overlay, _ := overlaid(t)
	rc := filepath.Join(tree, "terraform.rc")
	config := fmt.Sprintf("provider_installation {\n  dev_overrides { \"hashicorp/aws\" = %q }\n  direct {}\n}\n", filepath.Dir(provider))
	if err := os.WriteFile(rc, []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	a := applied{tree: tree, overlay: overlay, endpoint: endpoint, CLI: terraformtest.CLI{
		Program: terraformtest.Terraform(t), Dir: filepath.Join(tree, "terraform", "examples", "dev"),
		Env: []string{"TF_CLI_CONFIG_FILE=" + rc, "TF_VAR_endpoint=" + endpoint, "AWS_EC2_METADATA_DISABLED=true"},
	}}
	if _, err := a.Run(t.Context(), "get", "-no-color"); err != nil { // init would look for the provider in the registry
		t.Fatal(err)
	}
	return a
}

// apply applies, and gives the outputs of the stack.
func (a applied) apply(ctx context.Context) (outputs map[string]any, err error) {
	if _, err := a.Run(ctx, "apply", "-auto-approve", "-input=false", "-no-color"); err != nil {
		return nil, err
	}
	text, err := a.Run(ctx, "output", "-json")
	if err != nil {
		return nil, err
	}
	var all map[string]struct{ Value any }
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		return nil, err
	}
	outputs = map[string]any{}
	for name, o := range all {
		outputs[name] = o.Value
	}
	return outputs, nil
}

// plan gives what a plan would change: nothing, "".
func (a applied) plan(ctx context.Context) (string, error) {
	out, err := a.Run(ctx, "plan", "-input=false", "-no-color", "-detailed-exitcode")
	var failed *terraformtest.Failed
	switch {
	case err == nil:
		return "", nil
	case errors.As(err, &failed) && !strings.Contains(failed.Output, "Error:"):
		_, changes, _ := strings.Cut(out, "Terraform will perform")
		return changes, nil
	}
	return "", err
}
