package terraformtest_test

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	tfjson "github.com/hashicorp/terraform-json"
	"github.com/hashicorp/terraform-plugin-go/tfprotov5"
	"github.com/hashicorp/terraform-plugin-testing/config"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"

	"github.com/lakestep/lakestep/tools/terraformtest"
	"github.com/lakestep/lakestep/tools/tfprovider"
)

// stack is a configuration under test.
type stack struct {
	folder  string // of the tree terraform
	name    string
	files   []string // of testdata, with its properties
	vars    config.Variables
	account *tfprovider.Account
	off     bool // triggers are not enabled
}

// account is one in which stands what the configurations refer to and do not make.
func account() *tfprovider.Account {
	a := tfprovider.NewAccount()
	a.External("example-access-logs")
	return a
}

func dev() stack {
	return stack{folder: "examples/dev", name: "lakestep-dev", files: []string{"both.txt", "dev.txt"}, vars: config.Variables{}, account: account()}
}

// prod has values for all that the example leaves to be filled in.
func prod() stack {
	return stack{folder: "examples/prod", name: "lakestep-prod", files: []string{"both.txt", "prod.txt"}, account: account(), vars: config.Variables{
		"access_log_bucket": config.StringVariable("example-access-logs"),
		"functions": config.ObjectVariable(map[string]config.Variable{
			"gold":     config.ObjectVariable(map[string]config.Variable{"memory_mb": config.IntegerVariable(3538), "concurrency": config.IntegerVariable(20)}),
			"maintain": config.ObjectVariable(map[string]config.Variable{"concurrency": config.IntegerVariable(2)}),
		}),
		"emails":      config.SetVariable(config.StringVariable("data@example.com")),
		"slot_lag_mb": config.MapVariable(map[string]config.Variable{"shop": config.IntegerVariable(1024)}),
		"sources": config.MapVariable(map[string]config.Variable{"shop": config.ObjectVariable(map[string]config.Variable{
			"cidr": config.StringVariable("10.1.2.3/32"), "port": config.IntegerVariable(5432),
		})}),
		"secrets": config.MapVariable(map[string]config.Variable{"shop-db": config.ObjectVariable(map[string]config.Variable{
			"description": config.StringVariable("The shop's PostgreSQL"), "rotation_lambda_arn": config.StringVariable("arn:aws:lambda:us-east-1:123456789012:function:rotate"),
		})}),
	}}
}

// all is every resource of the modules.
func all() stack {
	return stack{folder: "testdata/all", name: "lakestep-all", files: []string{"both.txt", "prod.txt", "all.txt"}, vars: config.Variables{}, account: account(), off: true}
}

// properties are what must be so of the stack.
func (s stack) properties(t *testing.T) (all []terraformtest.Property) {
	t.Helper()
	enabled := map[bool]string{true: "DISABLED", false: "ENABLED"}[s.off]
	for _, file := range s.files {
		text, err := os.ReadFile(filepath.Join("testdata", file))
		if err != nil {
			t.Fatal(err)
		}
		found, err := terraformtest.Properties(string(text), map[string]string{
			"name": s.name, "bucket": s.name + "-data-lake-123456789012-us-east-1", "account": "123456789012", "region": "us-east-1",
			"database": strings.ReplaceAll(s.name, "-", "_"), "digest": terraformtest.PackageDigest,
			"enabled": enabled, "on": strconv.FormatBool(!s.off),
		})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, found...)
	}
	return all
}

func (s stack) stateChecks(t *testing.T) (all []statecheck.StateCheck) {
	t.Helper()
	for _, p := range s.properties(t) {
		all = append(all, p)
	}
	return all
}

// factories serve the provider over the stack's account: Terraform's processes come and go, the account stays.
func (s stack) factories(t *testing.T) map[string]func() (tfprotov5.ProviderServer, error) {
	t.Helper()
	schema := terraformtest.Schema(t)
	return map[string]func() (tfprotov5.ProviderServer, error){
		"aws": func() (tfprotov5.ProviderServer, error) { return tfprovider.New(schema, s.account) },
	}
}

// workdir makes terraform-plugin-testing work in a copy of the tree, two folders below it as the examples are, so that their paths hold. It copies
// the files of one folder, here the stack's, to where it works.
func (s stack) workdir(t *testing.T) (tree string, dir config.TestStepConfigFunc) {
	t.Helper()
	program := terraformtest.Terraform(t)
	tree = t.TempDir()
	terraformtest.Copy(t, tree)
	t.Setenv("TF_ACC", "1") // else these tests would pass without a run
	t.Setenv("TF_ACC_TERRAFORM_PATH", program)
	t.Setenv("TF_ACC_TEMP_DIR", filepath.Join(tree, "terraform"))
	t.Setenv("CHECKPOINT_DISABLE", "1")
	return tree, config.StaticDirectory(filepath.Join(tree, "terraform", s.folder))
}

// gone checks that nothing is left.
func (s stack) gone(t *testing.T) {
	t.Helper()
	if left := s.account.Left(); len(left) > 0 {
		t.Errorf("left in the account: %s", strings.Join(left, ", "))
	}
}

const (
	bucket  = "module.lakestep.module.lake.aws_s3_bucket.lake"
	gold    = `module.lakestep.module.functions.aws_lambda_function.step["gold"]`
	queue   = "module.lakestep.module.triggers.aws_sqs_queue.events"
	silver  = `module.lakestep.module.functions.aws_lambda_function.step["silver"]`
	live    = `module.lakestep.module.functions.aws_lambda_alias.live["silver"]`
	machine = `module.lakestep.module.workflow.aws_sfn_state_machine.machine["medallion"]`
)

func (s stack) step(t *testing.T, dir config.TestStepConfigFunc, before ...plancheck.PlanCheck) resource.TestStep {
	return resource.TestStep{
		ProtoV5ProviderFactories: s.factories(t), ConfigDirectory: dir, ConfigVariables: s.vars, ConfigStateChecks: s.stateChecks(t),
		ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: before, PostApplyPostRefresh: []plancheck.PlanCheck{plancheck.ExpectEmptyPlan()}},
	}
}

// created is the first apply: everything is made, and a second plan is empty.
func (s stack) created(t *testing.T, dir config.TestStepConfigFunc) resource.TestStep {
	return s.step(t, dir, only{tfjson.ActionCreate}, plancheck.ExpectResourceAction(bucket, plancheck.ResourceActionCreate), plancheck.ExpectUnknownValue(bucket, path("arn")))
}

// changed is an apply after somebody changed and removed things by hand, and of new code: functions get a version, which the alias names then.
func (s stack) changed(t *testing.T, tree string, dir config.TestStepConfigFunc) resource.TestStep {
	step := s.step(t, dir,
		plancheck.ExpectResourceAction(queue, plancheck.ResourceActionUpdate),
		plancheck.ExpectResourceAction(gold, plancheck.ResourceActionCreate),
		plancheck.ExpectResourceAction(silver, plancheck.ResourceActionUpdate),
		plancheck.ExpectUnknownValue(silver, path("version")),
		plancheck.ExpectResourceAction(live, plancheck.ResourceActionUpdate),
		plancheck.ExpectResourceAction(bucket, plancheck.ResourceActionNoop),
		plancheck.ExpectResourceAction(machine, plancheck.ResourceActionNoop))
	step.PreConfig = func() {
		err := errors.Join(
			s.account.Change("aws_sqs_queue", "https://sqs.us-east-1.amazonaws.com/123456789012/"+s.name+"-events", "receive_wait_time_seconds", number(0)),
			s.account.Remove("aws_lambda_function", s.name+"-gold"),
			os.WriteFile(filepath.Join(tree, "dist", "lakestep-aws.zip"), []byte("new"), 0o644))
		if err != nil {
			t.Error(err)
		}
	}
	after, err := terraformtest.Properties(`
		functions.aws_lambda_alias.live["silver"]     function_version          = "2"
		functions.aws_lambda_alias.live["gold"]       function_version          = "1"
		triggers.aws_sqs_queue.events                 receive_wait_time_seconds = 20`, nil)
	if err != nil {
		t.Fatal(err)
	}
	step.ConfigStateChecks = nil
	for _, p := range after {
		step.ConfigStateChecks = append(step.ConfigStateChecks, p)
	}
	return step
}

// destroyed is a configuration without any modules: terraform-plugin-testing's own destroy cannot read states with some. TestApplyAll runs terraform destroy.
func (s stack) destroyed(t *testing.T) resource.TestStep {
	return resource.TestStep{
		ProtoV5ProviderFactories: s.factories(t), Config: `provider "aws" { region = "us-east-1" }`,
		ConfigPlanChecks: resource.ConfigPlanChecks{
			PreApply: []plancheck.PlanCheck{only{tfjson.ActionDelete}, plancheck.ExpectResourceAction(bucket, plancheck.ResourceActionDestroy)},
		},
	}
}

func TestDev(t *testing.T) {
	s := dev()
	tree, dir := s.workdir(t)
	steps := []resource.TestStep{s.created(t, dir)}
	if whole() {
		steps = append(steps, s.changed(t, tree, dir))
	}
	resource.Test(t, resource.TestCase{Steps: append(steps, s.destroyed(t))})
	s.gone(t)
}

func TestProd(t *testing.T) {
	s := prod()
	_, dir := s.workdir(t)
	resource.Test(t, resource.TestCase{Steps: []resource.TestStep{s.created(t, dir), s.destroyed(t)}})
	s.gone(t)
}
