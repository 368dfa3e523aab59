package terraformtest_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/glue"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// config is the SDK's, for a moto.
func (a applied) config() aws.Config {
	return aws.Config{Region: "us-east-1", BaseEndpoint: &a.endpoint, Credentials: credentials.NewStaticCredentialsProvider("tester", "tester-secret", "")}
}

func (a applied) s3() *s3.Client {
	return s3.NewFromConfig(a.config(), func(o *s3.Options) { o.UsePathStyle = true })
}

// TestGenuineProvider applies examples/dev with the genuine provider to moto, looks there at what came of it, plans again, changes something behind
// Terraform's back, and destroys all.
func TestGenuineProvider(t *testing.T) {
	a := genuine(t)
	ctx := t.Context()
	outputs, err := a.apply(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("bucket", func(t *testing.T) { a.checkBucket(t, outputs["bucket"].(string)) })
	t.Run("functions", func(t *testing.T) { a.checkFunctions(t, outputs) })
	t.Run("machines", func(t *testing.T) { a.checkMachines(t, outputs) })
	t.Run("queue", func(t *testing.T) { a.checkQueue(t, outputs["queue_url"].(string)) })
	t.Run("rules", func(t *testing.T) { a.checkRules(t) })
	t.Run("catalog", func(t *testing.T) { a.checkCatalog(t, outputs["glue_database"].(string)) })
	if t.Failed() {
		return
	}
	if changes, err := a.plan(ctx); err != nil || changes != "" {
		t.Fatalf("a second plan: %v\n%s", err, changes)
	}
	t.Run("drift", func(t *testing.T) { a.checkDrift(t, outputs) })
	if _, err := a.Run(ctx, "destroy", "-auto-approve", "-input=false", "-no-color"); err != nil {
		t.Fatal(err)
	}
	a.checkGone(t)
}

// checkGone looks for what destroy left.
func (a applied) checkGone(t *testing.T) {
	ctx := t.Context()
	buckets, err := a.s3().ListBuckets(ctx, &s3.ListBucketsInput{})
	if err != nil || len(buckets.Buckets) > 0 {
		t.Errorf("buckets: %v %v", buckets, err)
	}
	functions, err := lambda.NewFromConfig(a.config()).ListFunctions(ctx, &lambda.ListFunctionsInput{})
	if err != nil || len(functions.Functions) > 0 {
		t.Errorf("functions: %v %v", functions, err)
	}
	queues, err := sqs.NewFromConfig(a.config()).ListQueues(ctx, &sqs.ListQueuesInput{})
	if err != nil || len(queues.QueueUrls) > 0 {
		t.Errorf("queues: %v %v", queues, err)
	}
	machines, err := sfn.NewFromConfig(a.config()).ListStateMachines(ctx, &sfn.ListStateMachinesInput{})
	if err != nil || len(machines.StateMachines) > 0 {
		t.Errorf("state machines: %v %v", machines, err)
	}
	roles, err := iam.NewFromConfig(a.config()).ListRoles(ctx, &iam.ListRolesInput{})
	if err != nil || len(roles.Roles) > 0 {
		t.Errorf("roles: %v %v", roles, err)
	}
}

func (a applied) checkBucket(t *testing.T, bucket string) {
	ctx, c := t.Context(), a.s3()
	versions, err := c.GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: &bucket})
	if err != nil || versions.Status != types.BucketVersioningStatusEnabled {
		t.Errorf("versioning: %+v %v", versions, err)
	}
	sse, err := c.GetBucketEncryption(ctx, &s3.GetBucketEncryptionInput{Bucket: &bucket})
	if err != nil {
		t.Fatal(err)
	}
	rule := sse.ServerSideEncryptionConfiguration.Rules[0]
	if d := rule.ApplyServerSideEncryptionByDefault; d.SSEAlgorithm != types.ServerSideEncryptionAwsKms || !strings.HasPrefix(aws.ToString(d.KMSMasterKeyID), "arn:aws:kms:") {
		t.Errorf("encryption: %+v", d)
	}
	block, err := c.GetPublicAccessBlock(ctx, &s3.GetPublicAccessBlockInput{Bucket: &bucket})
	if err != nil {
		t.Fatal(err)
	}
	if b := block.PublicAccessBlockConfiguration; !aws.ToBool(b.BlockPublicAcls) || !aws.ToBool(b.BlockPublicPolicy) || !aws.ToBool(b.IgnorePublicAcls) || !aws.ToBool(b.RestrictPublicBuckets) {
		t.Errorf("public access: %+v", b)
	}
	policy, err := c.GetBucketPolicy(ctx, &s3.GetBucketPolicyInput{Bucket: &bucket})
	if err != nil || !strings.Contains(aws.ToString(policy.Policy), "aws:SecureTransport") {
		t.Errorf("policy: %+v %v", policy, err)
	}
	ages, err := c.GetBucketLifecycleConfiguration(ctx, &s3.GetBucketLifecycleConfigurationInput{Bucket: &bucket})
	if err != nil {
		t.Fatal(err)
	}
	if len(ages.Rules) != 5 {
		t.Errorf("%d rules of age", len(ages.Rules))
	}
	var landing *types.LifecycleRule
	for _, r := range ages.Rules {
		if aws.ToString(r.ID) == "landing-files-age" {
			landing = &r
		}
	}
	if landing == nil || landing.Filter == nil || aws.ToString(landing.Filter.Prefix) != "landing/" || aws.ToInt32(landing.Expiration.Days) != 2555 || len(landing.Transitions) != 2 {
		t.Errorf("ages: %+v", landing)
	}
}

func (a applied) checkFunctions(t *testing.T, outputs map[string]any) {
	ctx, c := t.Context(), lambda.NewFromConfig(a.config())
	functions := outputs["functions"].(map[string]any)
	if len(functions) < 10 {
		t.Errorf("functions: %v", functions)
	}
	roles := map[string]string{}
	for step, name := range functions {
		name := name.(string)
		f, err := c.GetFunction(ctx, &lambda.GetFunctionInput{FunctionName: &name})
		if err != nil {
			t.Fatal(err)
		}
		conf := f.Configuration
		if aws.ToString(conf.Handler) != step || conf.Environment == nil || conf.Environment.Variables["LAKESTEP_LAKE"] != outputs["lake_url"] {
			t.Errorf("%s: handler %q, environment %v", name, aws.ToString(conf.Handler), conf.Environment)
		}
		if other, taken := roles[aws.ToString(conf.Role)]; taken {
			t.Errorf("%s and %s share a role", step, other)
		}
		roles[aws.ToString(conf.Role)] = step
		alias, err := c.GetAlias(ctx, &lambda.GetAliasInput{FunctionName: &name, Name: aws.String("live")})
		if err != nil || aws.ToString(alias.FunctionVersion) != "1" {
			t.Errorf("%s: alias %+v %v", name, alias, err)
		}
	}
	role := functions["silver"].(string) // they have one name
	policy, err := iam.NewFromConfig(a.config()).GetRolePolicy(ctx, &iam.GetRolePolicyInput{RoleName: &role, PolicyName: aws.String("step")})
	if err != nil || !strings.Contains(aws.ToString(policy.PolicyDocument), "silver") {
		t.Errorf("the policy of silver: %+v %v", policy, err)
	}
	mappings, err := c.ListEventSourceMappings(ctx, &lambda.ListEventSourceMappingsInput{})
	if err != nil || len(mappings.EventSourceMappings) != 1 || aws.ToInt32(mappings.EventSourceMappings[0].BatchSize) != 500 {
		t.Errorf("the queue's function: %+v %v", mappings, err)
	}
}

func (a applied) checkMachines(t *testing.T, outputs map[string]any) {
	c := sfn.NewFromConfig(a.config())
	for _, output := range []string{"state_machine_arn", "maintenance_arn"} {
		arn := outputs[output].(string)
		m, err := c.DescribeStateMachine(t.Context(), &sfn.DescribeStateMachineInput{StateMachineArn: &arn})
		if err != nil {
			t.Fatal(err)
		}
		if d := aws.ToString(m.Definition); strings.Contains(strings.ReplaceAll(d, "${Name}", ""), "${") || !strings.Contains(d, ":live") {
			t.Errorf("%s: placeholders are left, or the aliases are not in it: %s", arn, d)
		}
	}
}

func (a applied) checkQueue(t *testing.T, url string) {
	out, err := sqs.NewFromConfig(a.config()).GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{QueueUrl: &url, AttributeNames: []sqstypes.QueueAttributeName{sqstypes.QueueAttributeNameAll}})
	if err != nil {
		t.Fatal(err)
	}
	var redrive struct {
		DeadLetterTargetArn string
		MaxReceiveCount     json.Number
	}
	if err := json.Unmarshal([]byte(out.Attributes["RedrivePolicy"]), &redrive); err != nil || redrive.MaxReceiveCount != "5" || !strings.HasSuffix(redrive.DeadLetterTargetArn, "-events-dead") {
		t.Errorf("redrive: %+v %v", redrive, err)
	}
	if !strings.Contains(out.Attributes["Policy"], "events.amazonaws.com") || !strings.Contains(out.Attributes["Policy"], "aws:SecureTransport") {
		t.Errorf("policy: %s", out.Attributes["Policy"])
	}
}

func (a applied) checkRules(t *testing.T) {
	c := eventbridge.NewFromConfig(a.config())
	rules, err := c.ListRules(t.Context(), &eventbridge.ListRulesInput{})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, r := range rules.Rules {
		names = append(names, aws.ToString(r.Name))
		if aws.ToString(r.Name) == "lakestep-dev-landed" && !strings.Contains(aws.ToString(r.EventPattern), "Object Created") {
			t.Errorf("pattern: %s", aws.ToString(r.EventPattern))
		}
	}
	slices.Sort(names)
	if want := []string{"lakestep-dev-finished", "lakestep-dev-held", "lakestep-dev-landed"}; !slices.Equal(names, want) {
		t.Errorf("rules: %v, want %v", names, want)
	}
	targets, err := c.ListTargetsByRule(t.Context(), &eventbridge.ListTargetsByRuleInput{Rule: aws.String("lakestep-dev-landed")})
	if err != nil || len(targets.Targets) != 1 || !strings.HasSuffix(aws.ToString(targets.Targets[0].Arn), ":lakestep-dev-events") {
		t.Errorf("targets: %+v %v", targets, err)
	}
}

func (a applied) checkCatalog(t *testing.T, database string) {
	out, err := glue.NewFromConfig(a.config()).GetDatabase(t.Context(), &glue.GetDatabaseInput{Name: &database})
	if err != nil || aws.ToString(out.Database.Name) != database {
		t.Errorf("database: %+v %v", out, err)
	}
}

// checkDrift changes what Terraform made: each change shows in the next plan, and apply takes it back.
func (a applied) checkDrift(t *testing.T, outputs map[string]any) {
	ctx := t.Context()
	bucket, url := outputs["bucket"].(string), outputs["queue_url"].(string)
	if _, err := a.s3().PutBucketVersioning(ctx, &s3.PutBucketVersioningInput{Bucket: &bucket, VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusSuspended}}); err != nil {
		t.Fatal(err)
	}
	if _, err := sqs.NewFromConfig(a.config()).SetQueueAttributes(ctx, &sqs.SetQueueAttributesInput{QueueUrl: &url, Attributes: map[string]string{"ReceiveMessageWaitTimeSeconds": "0"}}); err != nil {
		t.Fatal(err)
	}
	changes, err := a.plan(ctx)
	if err != nil || !strings.Contains(changes, "aws_s3_bucket.lake will be updated") || !strings.Contains(changes, "aws_sqs_queue.events will be updated") {
		t.Fatalf("the plan after changes from outside: %v\n%s", err, changes)
	}
	if _, err := a.apply(ctx); err != nil {
		t.Fatal(err)
	}
	a.checkBucket(t, bucket)
	if changes, err := a.plan(ctx); err != nil || changes != "" {
		t.Errorf("a plan after that: %v\n%s", err, changes)
	}
}
