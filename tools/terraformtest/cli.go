package terraformtest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	tfjson "github.com/hashicorp/terraform-json"
	"github.com/hashicorp/terraform-plugin-go/tfprotov5"
	"github.com/hashicorp/terraform-plugin-go/tfprotov5/tf5server"

	"github.com/lakestep/lakestep/tools/tfprovider"
)

// CLI runs Terraform in a folder.
type CLI struct {
	Program string
	Dir     string
	Env     []string // beside the test's own
}

// Failed is a run of Terraform that did not succeed.
type Failed struct {
	Args   []string
	Output string // what it printed where errors stand: standard error, if there is something on it
	err    error
}

func (f *Failed) Error() string {
	return fmt.Sprintf("terraform %s: %v\n%s", strings.Join(f.Args, " "), f.err, f.Output)
}

// Run gives what a command prints.
func (c CLI) Run(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, c.Program, args...)
	cmd.Dir = c.Dir
	cmd.Env = append(environment(), c.Env...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.WaitDelay = time.Second // its providers may hold its output
	if err := cmd.Run(); err != nil {
		failed := &Failed{Args: args, Output: errs.String(), err: err}
		if failed.Output == "" {
			failed.Output = out.String()
		}
		return out.String(), failed
	}
	return out.String(), nil
}

// environment is the test's, without what would have Terraform behave otherwise than here.
func environment() (env []string) {
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "TF_") && !strings.HasPrefix(e, "AWS_") {
			env = append(env, e)
		}
	}
	return append(env, "TF_IN_AUTOMATION=1", "TF_INPUT=0", "CHECKPOINT_DISABLE=1")
}

// State reads what is applied.
func (c CLI) State(ctx context.Context) (*tfjson.State, error) {
	out, err := c.Run(ctx, "show", "-json", "-no-color")
	if err != nil {
		return nil, err
	}
	state := &tfjson.State{}
	state.UseJSONNumber(true)
	return state, state.UnmarshalJSON([]byte(out))
}

// Plan reads what a saved plan would give.
func (c CLI) Plan(ctx context.Context, file string) (*tfjson.StateValues, error) {
	out, err := c.Run(ctx, "show", "-json", "-no-color", file)
	if err != nil {
		return nil, err
	}
	plan := &tfjson.Plan{}
	plan.UseJSONNumber(true)
	if err := plan.UnmarshalJSON([]byte(out)); err != nil {
		return nil, err
	}
	return plan.PlannedValues, nil
}

// Serve serves a provider in this process until the context ends, and gives the environment that makes Terraform use it.
func Serve(ctx context.Context, provider *tfprovider.Provider) ([]string, error) {
	if err := os.Setenv("TF_LOG_SDK_PROTO", "OFF"); err != nil { // it would trace each request to standard error, and has no other switch
		return nil, err
	}
	config, closed := make(chan *plugin.ReattachConfig), make(chan struct{})
	failed := make(chan error, 1)
	go func() {
		failed <- tf5server.Serve(Source, func() tfprotov5.ProviderServer { return provider }, tf5server.WithDebug(ctx, config, closed),
			tf5server.WithoutLogStderrOverride(), tf5server.WithGoPluginLogger(hclog.NewNullLogger()))
	}()
	select {
	case err := <-failed:
		return nil, fmt.Errorf("the test provider has ended: %w", err)
	case c := <-config:
		reattach, err := json.Marshal(map[string]any{Source: map[string]any{
			"Protocol": string(c.Protocol), "ProtocolVersion": c.ProtocolVersion, "Pid": c.Pid, "Test": true,
			"Addr": map[string]string{"Network": c.Addr.Network(), "String": c.Addr.String()},
		}})
		return []string{"TF_REATTACH_PROVIDERS=" + string(reattach)}, err
	}
}

// New is Terraform in a folder with the test provider over an account, initialized.
func New(t testing.TB, dir string, schema *tfprovider.Schema, account *tfprovider.Account) CLI {
	t.Helper()
	provider, err := tfprovider.New(schema, account)
	if err != nil {
		t.Fatal(err)
	}
	return initialized(t, dir, provider)
}

// NewAhead is New with plans that are as good as an apply, of an account where nothing is yet.
func NewAhead(t testing.TB, dir string, schema *tfprovider.Schema, account *tfprovider.Account) CLI {
	t.Helper()
	provider, err := tfprovider.New(schema, account)
	if err != nil {
		t.Fatal(err)
	}
	return initialized(t, dir, provider.Ahead())
}

func initialized(t testing.TB, dir string, provider *tfprovider.Provider) CLI {
	t.Helper()
	env, err := Serve(t.Context(), provider)
	if err != nil {
		t.Fatal(err)
	}
	c := CLI{Program: Terraform(t), Dir: dir, Env: env}
	if _, err := c.Run(t.Context(), "init", "-input=false", "-no-color"); err != nil {
		t.Fatal(err)
	}
	return c
}
