package terraformtest_test

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/lakestep/lakestep/tools/terraformtest"
)

// The scripts behind make deploy/aws and make destroy/aws: what destroy keeps is what holds data and what opens them, deploy puts the rest back around
// it, and KEEP_DATA=false leaves nothing. Terraform is the real one, AWS the test provider's account; TestDeploy goes the same way with functions that run.
func TestScriptsKeepData(t *testing.T) {
	long(t)
	s := prod()
	tree := t.TempDir()
	terraformtest.Copy(t, tree)
	cli := terraformtest.New(t, filepath.Join(tree, "terraform", s.folder), terraformtest.Schema(t), s.account)
	script := func(name string, env ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), filepath.Join(terraformtest.Root(t), "tools", "aws", name))
		cmd.Env = append([]string{
			"PATH=" + filepath.Dir(cli.Program) + ":/usr/bin:/bin", // without the aws command: it would ask the real AWS
			"HOME=" + t.TempDir(), "EXAMPLE=" + cli.Dir, "YES=1", "SKIP_PACKAGE=1", "SKIP_SMOKE=1", "TF_INIT=skip", "TF_ARGS=-var access_log_bucket=example-access-logs",
		}, append(cli.Env, env...)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
	}
	types := func() (all []string) {
		for _, left := range s.account.Left() {
			typ, _, _ := strings.Cut(left, " ")
			all = append(all, typ)
		}
		slices.Sort(all)
		return slices.Compact(all)
	}

	script("deploy.sh")
	deployed := s.account.Left()
	for _, typ := range []string{"aws_lambda_function", "aws_sfn_state_machine", "aws_sqs_queue", "aws_vpc", "aws_budgets_budget", "aws_scheduler_schedule"} {
		if !slices.Contains(types(), typ) {
			t.Errorf("deploy made no %s", typ)
		}
	}

	script("destroy.sh")
	kept := types()
	for _, typ := range []string{"aws_s3_bucket", "aws_s3_bucket_policy", "aws_s3_bucket_versioning", "aws_kms_key", "aws_secretsmanager_secret", "aws_glue_catalog_database"} {
		if !slices.Contains(kept, typ) {
			t.Errorf("destroy did not keep %s", typ)
		}
	}
	for _, typ := range kept {
		data := strings.HasPrefix(typ, "aws_s3_bucket") || strings.HasPrefix(typ, "aws_kms_") || strings.HasPrefix(typ, "aws_secretsmanager_")
		if !data && typ != "aws_glue_catalog_database" {
			t.Errorf("destroy kept %s", typ)
		}
	}

	script("deploy.sh")
	if again := s.account.Left(); len(again) != len(deployed) {
		t.Errorf("the stack has %d parts, and after destroy and deploy %d", len(deployed), len(again))
	}
	script("deploy.sh") // nothing to change

	script("destroy.sh", "KEEP_DATA=false")
	if left := s.account.Left(); len(left) > 0 {
		t.Errorf("KEEP_DATA=false left %s", strings.Join(left, ", "))
	}
}
