package tfprovider

import (
	"strings"
	"testing"
)

func TestRules(t *testing.T) {
	schema := corpus(t)
	rules, err := readRules(ruleText, schema)
	if err != nil {
		t.Fatal(err)
	}
	block := func(values object) []any { return []any{values} }
	policy := func(statement string) string { return `{"Version": "2012-10-17", "Statement": [` + statement + `]}` }
	for _, tt := range []struct {
		name   string
		typ    string
		config object
		want   string // "" for none
	}{
		{"an enum", "aws_lambda_function", object{"runtime": "provided.al2024", "handler": "x", "s3_bucket": "b", "s3_key": "k", "source_code_hash": "h"}, "provided.al2024"},
		{"a good function", "aws_lambda_function", object{"function_name": "f", "runtime": "provided.al2023", "handler": "x", "s3_bucket": "b", "s3_key": "k", "source_code_hash": "h"}, ""},
		{"unknown values pass", "aws_lambda_function", object{"runtime": unknown{}, "handler": unknown{}, "s3_bucket": unknown{}, "s3_key": unknown{}, "source_code_hash": "h"}, ""},
		{"no code", "aws_lambda_function", object{"function_name": "f"}, "want one of filename"},
		{"two codes", "aws_lambda_function", object{"filename": "f", "image_uri": "i", "runtime": "provided.al2023", "handler": "x"}, "not 2"},
		{"a needed argument", "aws_lambda_function", object{"s3_bucket": "b", "runtime": "provided.al2023", "handler": "x", "source_code_hash": "h"}, "s3_key is missing"},
		{"a number too high", "aws_sqs_queue", object{"visibility_timeout_seconds": number(43201)}, "not between"},
		{"zero is allowed", "aws_secretsmanager_secret", object{"recovery_window_in_days": number(0)}, ""},
		{"but not one", "aws_secretsmanager_secret", object{"recovery_window_in_days": number(1)}, "not between"},
		{"a name", "aws_s3_bucket", object{"bucket": "Upper"}, "does not look"},
		{"in each block", "aws_s3_bucket_lifecycle_configuration", object{"rule": []any{
			object{"id": "a", "status": "Enabled", "filter": block(object{}), "expiration": block(object{"days": number(1)})},
			object{"id": "b", "status": "On", "filter": block(object{}), "expiration": block(object{"days": number(1)})},
		}}, `"On"`},
		{"two of one id", "aws_s3_bucket_lifecycle_configuration", object{"rule": []any{
			object{"id": "a", "status": "Enabled", "filter": block(object{}), "expiration": block(object{"days": number(1)})},
			object{"id": "a", "status": "Enabled", "filter": block(object{}), "expiration": block(object{"days": number(1)})},
		}}, "two have"},
		{"no action", "aws_s3_bucket_lifecycle_configuration", object{"rule": block(object{"id": "a", "status": "Enabled", "filter": block(object{})})}, "want abort"},
		{"a value that forbids another", "aws_scheduler_schedule", object{"flexible_time_window": block(object{"mode": "OFF", "maximum_window_in_minutes": number(5)})}, "does not go with"},
		{"cron with two days", "aws_scheduler_schedule", object{"schedule_expression": "cron(0 2 * * * *)"}, "must be ?"},
		{"a rate of one hours", "aws_scheduler_schedule", object{"schedule_expression": "rate(1 hours)"}, "no schedule"},
		{"a good rate", "aws_scheduler_schedule", object{"schedule_expression": "rate(12 hours)"}, ""},
		{"at is for schedules, not rules", "aws_cloudwatch_event_rule", object{"schedule_expression": "at(2026-11-28T00:00:00)"}, "no schedule"},
		{"a rule for nothing", "aws_cloudwatch_event_rule", object{"name": "r"}, "want event_pattern or"},
		{"a pattern without a list", "aws_cloudwatch_event_rule", object{"event_pattern": `{"source": "aws.s3"}`}, "want a list"},
		{"an unknown matcher", "aws_cloudwatch_event_rule", object{"event_pattern": `{"detail": {"key": [{"begins": "x"}]}}`}, "unknown matcher"},
		{"a misspelt field", "aws_cloudwatch_event_rule", object{"event_pattern": `{"detailType": ["x"]}`}, "no \"detailType\""},
		{"a good pattern", "aws_cloudwatch_event_rule", object{"event_pattern": `{"source": ["aws.s3"], "detail": {"object": {"key": [{"prefix": "in/"}]}}}`}, ""},
		{"no JSON", "aws_s3_bucket_policy", object{"policy": `{"Version"`}, "unexpected EOF"},
		{"no principal", "aws_s3_bucket_policy", object{"policy": policy(`{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}`)}, "want Principal"},
		{"a good bucket policy", "aws_s3_bucket_policy", object{"policy": policy(`{"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": ["arn:aws:s3:::b", "arn:aws:s3:::b/*"], "Condition": {"Bool": {"aws:SecureTransport": "false"}}}`)}, ""},
		{"no version", "aws_iam_role_policy", object{"policy": `{"Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]}`}, "Version"},
		{"a misspelt key", "aws_iam_role_policy", object{"policy": policy(`{"Effect": "Allow", "Actions": "s3:GetObject", "Resource": "*"}`)}, "unknown field"},
		{"a misspelt service", "aws_iam_role_policy", object{"policy": policy(`{"Effect": "Allow", "Action": "s3s:GetObject", "Resource": "*"}`)}, "unknown service"},
		{"a resource that is no ARN", "aws_iam_role_policy", object{"policy": policy(`{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "bucket/*"}`)}, "no ARN"},
		{"an empty list of resources", "aws_iam_role_policy", object{"policy": policy(`{"Effect": "Allow", "Action": "s3:GetObject", "Resource": []}`)}, "an empty list"},
		{"a misspelt operator", "aws_iam_role_policy", object{"policy": policy(`{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*", "Condition": {"StringEqual": {"aws:x": "y"}}}`)}, "unknown operator"},
		{"a principal in an identity's policy", "aws_iam_role_policy", object{"policy": policy(`{"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "*"}`)}, "no Principal"},
		{"a resource in a trust policy", "aws_iam_role", object{"assume_role_policy": policy(`{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole", "Resource": "*"}`)}, "no Resource"},
		{"a service that is none", "aws_iam_role", object{"assume_role_policy": policy(`{"Effect": "Allow", "Principal": {"Service": "lambda"}, "Action": "sts:AssumeRole"}`)}, "no principal"},
		{"two of one Sid", "aws_iam_role_policy", object{"policy": policy(`{"Sid": "A", "Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}, {"Sid": "A", "Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}`)}, "another statement"},
		{"a placeholder that is left", "aws_sfn_state_machine", object{"definition": `{"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "${Silver}", "End": true}}}`}, "placeholder"},
		{"a state that is not there", "aws_sfn_state_machine", object{"definition": `{"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "B"}}}`}, "B"},
		{"a dead-letter queue that is none", "aws_sqs_queue", object{"redrive_policy": `{"deadLetterTargetArn": "dead", "maxReceiveCount": 5}`}, "no ARN"},
		{"a misspelt key of redrive", "aws_sqs_queue", object{"redrive_policy": `{"deadLetterTargetArn": "arn:aws:sqs:us-east-1:123456789012:d", "maxReceives": 5}`}, "unknown field"},
		{"a widget without a region", "aws_cloudwatch_dashboard", object{"dashboard_body": `{"widgets": [{"type": "metric", "properties": {"metrics": []}}]}`}, "region"},
		{"a network with bits of a host", "aws_subnet", object{"cidr_block": "10.0.0.1/24"}, "no network"},
		{"a period that CloudWatch does not know", "aws_cloudwatch_metric_alarm", object{"metric_name": "m", "namespace": "n", "period": number(45), "threshold": number(1)}, `"45"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var found []string
			for _, d := range rules.check(tt.typ, tt.config) {
				found = append(found, d.Detail)
			}
			got := strings.Join(found, "\n")
			if tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// A rule or a correction for something that the schema does not have is an error: it would never bite.
func TestTablesAreAboutTheSchema(t *testing.T) {
	schema := corpus(t)
	for _, line := range []string{
		"aws_lambda_functions.runtime one_of x",
		"aws_lambda_function.run_time one_of x",
		"aws_lambda_function exactly_one filename zip",
		"aws_lambda_function.role names aws_iam_roles.arn",
		"aws_lambda_function.runtime oneof x",
		"aws_lambda_function.runtime like (",
	} {
		if _, err := readRules(line, schema); err == nil {
			t.Errorf("%q is taken", line)
		}
	}
	for _, text := range []string{"aws_lambda_function.role misspelt", "aws_lambda_function.role type=texts", "aws_lambda_function.role"} {
		if _, err := readShapes(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
	for path := range readTemplates(valueText) {
		typ, attr, _ := strings.Cut(strings.TrimPrefix(path, "data."), ".")
		s := schema.resources[typ]
		if strings.HasPrefix(path, "data.") {
			s = schema.dataSources[typ]
		}
		if s == nil || attr != "key" && attribute(s, attr) == nil {
			t.Errorf("values.txt: the schema has no %s", path)
		}
	}
}
