package terraformtest_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lakestep/lakestep/tools/terraformtest"
	"github.com/lakestep/lakestep/tools/tfprovider"
)

// configured is Terraform over one file.
func configured(t *testing.T, text string, account *tfprovider.Account) terraformtest.CLI {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "main.tf"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return terraformtest.New(t, dir, terraformtest.Schema(t), account)
}

// What Terraform refuses by the schema, and what the provider refuses by its rules, each at its line.
func TestRefusedByValidate(t *testing.T) {
	cli := configured(t, `
resource "aws_sqs_queue" "unknown" { nam = "q" }
resource "aws_sqs_queue" "type"    { delay_seconds = "soon" }
resource "aws_sqs_queue" "made"    { arn = "arn:aws:sqs:us-east-1:123456789012:q" }
resource "aws_lambda_function" "required" {}
resource "aws_sfn_state_machine" "twice" {
  definition = jsonencode({ StartAt = "A", States = { A = { Type = "Succeed" } } })
  role_arn   = "arn:aws:iam::123456789012:role/r"
  tracing_configuration { enabled = true }
  tracing_configuration { enabled = true }
}
resource "aws_s3_bucket_versioning" "block" { bucket = "b" }
resource "aws_sqs_queue" "rule" { delay_seconds = 901 }
resource "aws_such_a_thing" "type" {}
data "aws_iam_policy_document" "effect" {
  statement { effect = "Maybe" }
}
`, nil)
	out, err := cli.Run(t.Context(), "validate", "-json")
	if err == nil {
		t.Fatal("nothing was refused")
	}
	var result struct {
		Diagnostics []struct {
			Summary, Detail string
			Range           struct{ Start struct{ Line int } }
		}
	}
	if err := json.Unmarshal([]byte(out), &result); err != nil {
		t.Fatal(err)
	}
	got := map[int]string{}
	for _, d := range result.Diagnostics {
		got[d.Range.Start.Line] += d.Summary + ": " + d.Detail + "\n"
	}
	for line, want := range map[int]string{
		2: `"nam"`, 3: "number is required", 4: "arn is what AWS says", 5: `"function_name" is required`, 10: "No more than 1", 12: "versioning_configuration",
		13: "901 is not between", 14: "aws_such_a_thing", 16: "Maybe",
	} {
		if !strings.Contains(got[line], want) {
			t.Errorf("line %d: got %q, want %q", line, got[line], want)
		}
	}
	if t.Failed() {
		t.Log(out)
	}
}

// What AWS would answer when it is too late for validate: a name that is taken, a reference to nothing.
func TestRefusedByApply(t *testing.T) {
	cli := configured(t, `
resource "aws_sqs_queue" "one" { name = "same" }
resource "aws_sqs_queue" "two" {
  name       = "same"
  depends_on = [aws_sqs_queue.one]
}
resource "aws_cloudwatch_event_target" "nothing" {
  rule = "no-such-rule"
  arn  = aws_sqs_queue.one.arn
}
`, tfprovider.NewAccount())
	_, err := cli.Run(t.Context(), "apply", "-auto-approve", "-no-color")
	for _, want := range []string{"exists already", `aws_cloudwatch_event_rule.name "no-such-rule"`} {
		if err == nil || !strings.Contains(strings.Join(strings.Fields(err.Error()), " "), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

// What a name's change, default tags and data sources do.
func TestProvider(t *testing.T) {
	account := tfprovider.NewAccount()
	cli := configured(t, `
variable "name" { default = "first" }
provider "aws" {
  region = "eu-west-1"
  default_tags { tags = { a = "1", b = "1" } }
}
data "aws_caller_identity" "here" {}
data "aws_region" "here" {}
resource "aws_sqs_queue" "q" {
  name = var.name
  tags = { b = "2" }
}
resource "aws_kms_key" "k" {}
data "aws_iam_policy_document" "p" {
  statement {
    actions   = ["sqs:SendMessage"]
    resources = [aws_sqs_queue.q.arn]
    principals {
      type        = "Service"
      identifiers = ["events.amazonaws.com"]
    }
  }
}
resource "aws_sqs_queue_policy" "q" {
  queue_url = aws_sqs_queue.q.url
  policy    = data.aws_iam_policy_document.p.json
}
output "here" { value = "${data.aws_caller_identity.here.account_id} ${data.aws_region.here.region}" }
`, account)
	for _, name := range []string{"first", "second"} {
		if _, err := cli.Run(t.Context(), "apply", "-auto-approve", "-no-color", "-var", "name="+name); err != nil {
			t.Fatal(err)
		}
		queues := account.Objects("aws_sqs_queue")
		q := queues["https://sqs.eu-west-1.amazonaws.com/123456789012/"+name]
		if len(queues) != 1 || q["arn"] != "arn:aws:sqs:eu-west-1:123456789012:"+name {
			t.Fatalf("got %v", queues)
		}
		if tags := q["tags_all"].(map[string]any); tags["a"] != "1" || tags["b"] != "2" {
			t.Errorf("tags: %v", tags)
		}
	}
	if keys := account.Objects("aws_kms_key"); len(keys) != 1 {
		t.Errorf("keys: %v", keys)
	}
	out, err := cli.Run(t.Context(), "output", "-raw", "here")
	if err != nil || out != "123456789012 eu-west-1" {
		t.Errorf("got %q %v", out, err)
	}
}

// Things change by an update, or behind Terraform's back: a plan shows it, and apply brings them back.
func TestChanges(t *testing.T) {
	account := tfprovider.NewAccount()
	cli := configured(t, `
variable "code" {}
resource "aws_iam_role" "r" {
  name               = "r"
  assume_role_policy = jsonencode({ Version = "2012-10-17", Statement = [{ Effect = "Allow", Principal = { Service = "lambda.amazonaws.com" }, Action = "sts:AssumeRole" }] })
}
resource "aws_lambda_function" "f" {
  function_name    = "f"
  role             = aws_iam_role.r.arn
  filename         = "f.zip"
  source_code_hash = var.code
  runtime          = "provided.al2023"
  handler          = "h"
  publish          = true
}
resource "aws_lambda_alias" "live" {
  name             = "live"
  function_name    = aws_lambda_function.f.function_name
  function_version = aws_lambda_function.f.version
}
`, account)
	const alias = "arn:aws:lambda:us-east-1:123456789012:function:f:live"
	apply := func(code, version string) {
		t.Helper()
		if _, err := cli.Run(t.Context(), "apply", "-auto-approve", "-no-color", "-var", "code="+code); err != nil {
			t.Fatal(err)
		}
		if a := account.Objects("aws_lambda_alias")[alias]; a["function_version"] != version {
			t.Fatalf("the alias after code %q: %v, want version %s", code, a, version)
		}
		if _, err := cli.Run(t.Context(), "plan", "-detailed-exitcode", "-no-color", "-var", "code="+code); err != nil {
			t.Fatal("a second plan", err)
		}
	}
	changed := func(want string) {
		t.Helper()
		out, err := cli.Run(t.Context(), "plan", "-detailed-exitcode", "-no-color", "-var", "code=two")
		if err == nil || !strings.Contains(out, want) {
			t.Fatalf("want %q in the plan: %v %s", want, err, out)
		}
	}
	apply("one", "1")
	apply("two", "2")
	if err := account.Change("aws_lambda_alias", alias, "function_version", "1"); err != nil {
		t.Fatal(err)
	}
	changed("aws_lambda_alias.live will be updated in-place")
	apply("two", "2")
	if err := account.Remove("aws_lambda_alias", alias); err != nil {
		t.Fatal(err)
	}
	changed("aws_lambda_alias.live will be created")
	apply("two", "2")
	if _, err := cli.Run(t.Context(), "destroy", "-auto-approve", "-no-color", "-var", "code=two"); err != nil || len(account.Left()) > 0 {
		t.Errorf("left %v, %v", account.Left(), err)
	}
}
