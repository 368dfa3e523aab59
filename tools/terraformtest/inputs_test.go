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

type inputs map[string]any

// wrongInputs are values that the stack's variables refuse, with some words of the refusal. All inputs of one element are wrong at once; those that would
// hide another's refusal are in an element of their own.
var wrongInputs = []struct {
	inputs inputs
	want   []string
}{
	{inputs{"name": "Upper_Case"}, []string{"A name has 3 to 20 lower-case letters"}},
	{
		inputs{
			"bucket_name": "B", "kms_key_arn": "alias/key", "noncurrent_days": 0, "glue_database": "with-hyphen", "athena_limit_gb": 0.5,
			"crawler_tables": []string{"silver"}, "crawler_schedule": "rate(1 hour)", "pipeline": "../elsewhere",
			"log_level": "trace", "workflow_log_level": "SOME", "log_retention_days": 2, "emails": []string{"nobody"}, "expect_run_hours": 48, "budget_usd": 0,
			"secrets": inputs{"db-abcdef": inputs{}}, "schedule": "hourly", "maintenance_schedule": "weekly", "event_batching_window_s": 400,
			"functions":         inputs{"unheard": inputs{"memory_mb": 128, "timeout_s": 1000, "storage_mb": 100}},
			"landing_lifecycle": inputs{"infrequent_days": 1, "archive_days": 20, "archive_class": "ICE", "expire_days": 10},
			"network":           inputs{"subnet_ids": []string{"subnet-1"}, "cidr": "10.0.0.0/8", "endpoints": []string{"s3", "unheard"}, "sources": inputs{"all": inputs{"cidr": "0.0.0.0/0", "port": 1}}},
		},
		[]string{
			"A bucket's name has 3 to 63", "Give the ARN of a key", "At least a day", "Athena reads no others", "A whole number of GB", "Give folders of tables",
			"Crawlers know cron", "The folder of a pipeline", "log_level is debug", "log_level is ALL", "CloudWatch knows 1, 3, 5",
			"Give addresses such as", "CloudWatch looks back", "more than 0 USD", "so end the ARNs that AWS makes", "A schedule is rate",
			"A batching window is 0 to 300", "There is no such step", "memory is 512", "timeout is 1 to 900", "storage is 512 to 10240",
			"before it is 30 days old", "S3 wants 30 days", "Files would expire before", "archive_class is GLACIER", "Name at least two subnets",
			"from /16 to /24", "endpoints are among", "and not everywhere",
		},
	},
	{
		inputs{"bucket_name": "lake--x-s3", "lake_prefix": "data", "landing_prefix": "data/in", "event_batch_size": 500, "event_batching_window_s": 0, "package": "lakestep.tar"},
		[]string{"Directory buckets", "lie one within the other", "need a batching window", "The package is a zip file"},
	},
	{
		inputs{"lake_prefix": "/lake/", "secret_arns": []string{"name"}, "event_batch_size": 20000, "network": inputs{"vpc_id": "vpc-1", "subnet_ids": []string{"subnet-1", "subnet-2"}}},
		[]string{"neither begins nor ends with a slash", "Give ARNs of Secrets Manager", "A batch has 1 to 10000", "Name the route tables"},
	},
}

// What a user may get wrong is refused in a plan, with words that help.
func TestWrongInputs(t *testing.T) {
	tree := t.TempDir()
	terraformtest.Copy(t, tree)
	cli := terraformtest.New(t, filepath.Join(tree, "terraform"), terraformtest.Schema(t), tfprovider.NewAccount())
	for _, tt := range wrongInputs {
		all := inputs{"name": "lakestep-test", "package": "../dist/lakestep-aws.zip"}
		for name, value := range tt.inputs {
			all[name] = value
		}
		text, err := json.Marshal(all)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(cli.Dir, "terraform.tfvars.json"), text, 0o644); err != nil {
			t.Fatal(err)
		}
		_, err = cli.Run(t.Context(), "plan", "-input=false", "-no-color")
		if err == nil {
			t.Errorf("%v is taken", tt.inputs)
			continue
		}
		said := strings.Join(strings.Fields(err.Error()), " ")
		for _, want := range tt.want {
			if !strings.Contains(said, want) {
				t.Errorf("nothing says %q", want)
			}
		}
	}
}
