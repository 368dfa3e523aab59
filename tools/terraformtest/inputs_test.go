package terraformtest_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lakestep/lakestep/tools/terraformtest"
	"github.com/lakestep/lakestep/tools/tfprovider"
)

// start is terraformtest.New or NewAhead.
type start func(testing.TB, string, *tfprovider.Schema, *tfprovider.Account) terraformtest.CLI

// inputs runs Terraform over a stack with these inputs.
func inputs(t *testing.T, start start, account *tfprovider.Account, arguments string) terraformtest.CLI {
	t.Helper()
	tree := t.TempDir()
	terraformtest.Copy(t, tree)
	dir := filepath.Join(tree, "terraform", "examples", "inputs")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	text := "provider \"aws\" {\n  region = \"us-east-1\"\n}\n\nmodule \"lakestep\" {\n  source = \"../..\"\n" + arguments + "\n}\n"
	if err := os.WriteFile(filepath.Join(dir, "main.tf"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return start(t, dir, terraformtest.Schema(t), account)
}

// A wrong input is refused with words that say what is right, before anything is made. Terraform tells of several at once, but not of those that stand
// behind another wrong one.
func TestWrongInputs(t *testing.T) {
	const right = `
  name    = "shop"
  package = "../../../dist/lakestep-aws.zip"`
	for _, c := range []struct {
		arguments string
		say       []string
	}{
		{`
  name    = "Shop_"
  package = "../../../dist/lakestep-aws.zip"`, []string{"A name has 3 to 20 lower-case letters"}},
		{right + `
  bucket_name       = "shop--x-s3"
  kms_key_arn       = "alias/shop"
  landing_prefix    = "lake/landing"
  landing_lifecycle = { infrequent_days = 10, archive_days = 20, archive_class = "TAPE", expire_days = 15 }
  noncurrent_days   = 0`, []string{
			"a lake needs a general purpose bucket", "not an alias", "landing_prefix and lake_prefix lie one within the other", "before it is 30 days old",
			"S3 wants 30 days", "Files would expire before they are archived", "archive_class is GLACIER", "At least a day",
		}},
		{right + `
  lake_prefix    = "/lake/"
  landing_prefix = "landing/"
  bucket_name    = "Shop"`, []string{"A prefix neither begins nor ends with a slash", "A bucket's name has 3 to 63"}},
		{`
  name               = "shop"
  package            = "dist/lakestep.tar"
  pipeline           = "../elsewhere"
  secret_arns        = ["shop/db"]
  functions          = { copper = {}, gold = { memory_mb = 64, timeout_s = 901, storage_mb = 100 } }
  log_level          = "loud"
  log_retention_days = 31`, []string{
			"The package is a zip file", "The folder of a pipeline in the package", "Give ARNs of Secrets Manager", "There is no such step", "memory is 512",
			"timeout is 1 to 900 seconds", "storage is 512 to 10240 MB", "log_level is debug, info, warn or error", "CloudWatch knows 1, 3, 5",
		}},
		{`
  name    = "shop"
  package = "nowhere.zip"`, []string{"There is no package nowhere.zip"}},
		{right + `
  secrets = { "shop-abc123" = { rotation_days = 365 } }`, []string{"does not end in a hyphen and six characters", "Secrets are rotated every 1 to 90 days"}},
		{right + `
  network = {
    cidr       = "10.0.0.0/28"
    subnet_ids = ["subnet-1"]
    endpoints  = ["s3", "ftp"]
    sources    = { all = { cidr = "0.0.0.0/0", port = 5432 } }
  }`, []string{"cidr is a block of addresses", "Name at least two subnets", "endpoints are among", "and not everywhere"}},
		{right + `
  network = { vpc_id = "vpc-1", subnet_ids = ["subnet-1", "subnet-2"] }`, []string{"Name the route tables"}},
		{right + `
  schedule                = "daily"
  maintenance_schedule    = "sundays"
  event_batching_window_s = 301`, []string{"A schedule is rate(1 hour) or", "A batching window is 0 to 300 seconds"}},
		{right + `
  event_batch_size = 20000`, []string{"A batch has 1 to 10000 events"}},
		{right + `
  event_batch_size        = 100
  event_batching_window_s = 0`, []string{"need a batching window of at least a second"}},
		{right + `
  glue_database    = "Shop-DB"
  athena_limit_gb  = 0.5
  crawler_tables   = ["orders"]
  crawler_schedule = "rate(1 day)"`, []string{
			"A database's name has lower-case letters", "A whole number of GB", "Give folders of tables below the lake's", "Crawlers know cron",
		}},
		{right + `
  workflow_log_level = "INFO"
  emails             = ["nobody"]
  expect_run_hours   = 48
  budget_usd         = 0`, []string{
			"log_level is ALL, ERROR, FATAL or OFF", "Give addresses such as", "CloudWatch looks back for 1 to 24 hours", "A budget is more than 0 USD",
		}},
	} {
		cli := inputs(t, terraformtest.New, tfprovider.NewAccount(), c.arguments)
		_, err := cli.Run(t.Context(), "plan", "-input=false", "-no-color")
		var failed *terraformtest.Failed
		if !errors.As(err, &failed) {
			t.Errorf("a plan was made of %s: %v", c.arguments, err)
			continue
		}
		said := strings.Join(strings.Fields(strings.ReplaceAll(failed.Output, "│", " ")), " ")
		for _, want := range c.say {
			if !strings.Contains(said, want) {
				t.Errorf("nothing says %q: %s", want, said)
			}
		}
	}
}

// Other ways to have a stack than those of the examples.
func TestOtherInputs(t *testing.T) {
	for name, arguments := range map[string]string{
		"one's own": `
  name            = "own"
  package         = "../../../dist/lakestep-aws.zip"
  bucket_name     = "example-own-lake"
  kms_key_arn     = "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555"
  lake_prefix     = "tables/shop"
  landing_buckets = ["example-landing"]
  secret_arns     = ["arn:aws:secretsmanager:us-east-1:123456789012:secret:shop/db-a1b2c3"]
  network = {
    vpc_id          = "vpc-0123456789abcdef0"
    subnet_ids      = ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]
    route_table_ids = ["rtb-0123456789abcdef0"]
  }`,
		"little": `
  name                 = "little"
  package              = "../../../dist/lakestep-aws.zip"
  pipeline_vars        = {}
  on_landing           = false
  maintenance_schedule = null
  triggers_enabled     = false
  register_tables      = false
  athena               = false`,
	} {
		t.Run(name, func(t *testing.T) {
			account := tfprovider.NewAccount()
			account.External("arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555")
			if !whole() {
				if _, err := inputs(t, terraformtest.NewAhead, account, arguments).Run(t.Context(), "plan", "-input=false", "-no-color"); err != nil {
					t.Fatal(err)
				}
				return
			}
			cli := inputs(t, terraformtest.New, account, arguments)
			for _, args := range [][]string{{"apply", "-auto-approve"}, {"plan", "-detailed-exitcode"}, {"destroy", "-auto-approve"}} {
				if _, err := cli.Run(t.Context(), append(args, "-input=false", "-no-color")...); err != nil {
					t.Fatal(err)
				}
			}
			if left := account.Left(); len(left) > 0 {
				t.Errorf("left in the account: %v", left)
			}
		})
	}
}
