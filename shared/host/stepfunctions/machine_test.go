package stepfunctions_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/lakestep/lakestep/shared/awsapi/awsapitest"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/host/stepfunctions"
)

const (
	arn       = "arn:aws:states:us-east-1:123456789012:stateMachine:shop"
	execution = "arn:aws:states:us-east-1:123456789012:execution:shop:nightly"
)

// calls are those that a Machine has.
func calls() []awsapitest.Adapter {
	adapter := func(object, op, good string, call func(ctx context.Context, m *stepfunctions.Machine) error) awsapitest.Adapter {
		return awsapitest.Adapter{
			Object: object + " " + arn, Op: op, Action: "states:" + op, Endpoint: "states", Attempts: 5, Timeout: 20 * time.Second, Good: good,
			Call: func(ctx context.Context, cfg aws.Config) error { return call(ctx, stepfunctions.New(cfg, arn)) },
		}
	}
	return []awsapitest.Adapter{
		adapter("list executions of", "ListExecutions", `{"executions": []}`, func(ctx context.Context, m *stepfunctions.Machine) error {
			_, any, err := m.Newest(ctx)
			if err == nil && any {
				return errors.New("an execution out of nothing")
			}
			return err
		}),
		adapter("start an execution of", "StartExecution", `{"executionArn": "a", "startDate": 1}`, func(ctx context.Context, m *stepfunctions.Machine) error {
			began, err := m.Start(ctx, "nightly", []byte("{}"))
			if began != (err == nil) {
				return errors.New("began, and did not")
			}
			return err
		}),
		adapter("describe execution nightly of", "DescribeExecution", `{"status": "RUNNING"}`, func(ctx context.Context, m *stepfunctions.Machine) error {
			_, err := m.Describe(ctx, execution)
			return err
		}),
		adapter("read the history of nightly of", "GetExecutionHistory", `{"events": []}`, func(ctx context.Context, m *stepfunctions.Machine) error {
			_, err := m.States(ctx, execution)
			return err
		}),
	}
}

func TestErrors(t *testing.T) {
	for _, a := range calls() {
		t.Run(a.Op, func(t *testing.T) { awsapitest.Run(t, a) })
	}
}

// What Step Functions alone answers.
func TestRefusals(t *testing.T) {
	for _, a := range calls() {
		for _, r := range []awsapitest.Refusal{
			{Answer: awsapitest.Problem(400, "AccessDeniedException", "User: etl is not authorized"), Kind: fault.InvalidInput,
				Says: "User: etl", Hint: "allow " + a.Action + " on the state machine and its executions", Times: 1},
			{Answer: awsapitest.Problem(400, "StateMachineDoesNotExist", "State Machine Does Not Exist: 'x'"), Kind: fault.InvalidInput,
				Says: "Does Not Exist: 'x'", Hint: "terraform output state_machine_arn", Times: 1},
			{Answer: awsapitest.Problem(400, "InvalidArn", "Invalid Arn: 'x'"), Kind: fault.InvalidInput, Says: "'x'", Hint: "state_machine_arn", Times: 1},
			{Answer: awsapitest.Problem(400, "StateMachineDeleting", "m"), Kind: fault.InvalidInput, Says: "StateMachineDeleting", Hint: "destroyed", Times: 1},
			{Answer: awsapitest.Problem(400, "StateMachineTypeNotSupported", "m"), Kind: fault.InvalidInput, Says: "NotSupported", Hint: "STANDARD", Times: 1},
			{Answer: awsapitest.Problem(400, "ExecutionDoesNotExist", "m"), Kind: fault.InvalidInput, Says: "ExecutionDoesNotExist", Hint: "90 days", Times: 1},
			{Answer: awsapitest.Problem(400, "ExecutionLimitExceeded", "m"), Kind: fault.Throttled, Says: "ExecutionLimitExceeded", Hint: "Service Quotas", Times: 1},
			{Answer: awsapitest.Problem(400, "InvalidName", "Invalid Name: 'a b'"), Kind: fault.InvalidInput, Says: "'a b'", Hint: "80 letters", Times: 1},
			{Answer: awsapitest.Problem(400, "ValidationException", "Value at 'name' is too long"), Kind: fault.InvalidInput, Says: "at 'name'", Hint: "80 letters", Times: 1},
			{Answer: awsapitest.Problem(400, "KmsThrottlingException", "m"), Kind: fault.Throttled, Says: "KmsThrottling", Hint: "later", Times: 1},
			{Answer: awsapitest.Problem(400, "KmsAccessDeniedException", "m"), Kind: fault.InvalidInput, Says: "KmsAccessDenied", Hint: "kms:Decrypt", Times: 1},
			{Answer: awsapitest.Problem(400, "KmsInvalidStateException", "m"), Kind: fault.InvalidInput, Says: "KmsInvalidState", Hint: "enabled", Times: 1},
		} {
			a.Refuse(t, r)
		}
	}
}

func machine(answers map[string][]awsapitest.Answer) (*stepfunctions.Machine, *awsapitest.Service) {
	s := &awsapitest.Service{Answers: answers}
	return stepfunctions.New(s.Config(), arn), s
}

func good(body string) awsapitest.Answer { return awsapitest.Answer{Status: 200, Body: body} }

// A name that is taken is an answer, not an error.
func TestNameTaken(t *testing.T) {
	m, s := machine(map[string][]awsapitest.Answer{"StartExecution": {
		awsapitest.Problem(400, "ExecutionAlreadyExists", "Execution Already Exists: '"+execution+"'"), good(`{"executionArn": "a", "startDate": 1}`),
	}})
	for _, want := range []bool{false, true} {
		if began, err := m.Start(t.Context(), "nightly", []byte("{}")); began != want || err != nil {
			t.Error(began, err)
		}
	}
	if len(s.Requests) != 2 {
		t.Error(s.Ops())
	}
	// An attempt fails, and the next tells of another's execution: of our own, while it is on, Step Functions tells as if it had just begun.
	synctest.Test(t, func(t *testing.T) {
		m, s := machine(map[string][]awsapitest.Answer{"StartExecution": {awsapitest.Problem(500, "InternalFailure", "m"), awsapitest.Problem(400, "ExecutionAlreadyExists", "m")}})
		if began, err := m.Start(t.Context(), "nightly", []byte("{}")); began || err != nil || len(s.Requests) != 2 {
			t.Error(began, err, s.Ops())
		}
	})
}

func TestAnswers(t *testing.T) {
	m, _ := machine(map[string][]awsapitest.Answer{
		"ListExecutions":    {good(`{"executions": [{"executionArn": "` + execution + `", "startDate": 1795852800, "status": "PENDING_REDRIVE"}]}`)},
		"DescribeExecution": {good(`{"executionArn": "` + execution + `", "name": "nightly", "status": "FAILED", "startDate": 1795852800, "stopDate": 1795852860, "error": "Stale", "cause": "c"}`)},
		"GetExecutionHistory": {
			good(`{"events": [{"id": 1, "stateEnteredEventDetails": {"name": "Pin"}}, {"id": 2}], "nextToken": "more"}`),
			awsapitest.Problem(400, "ThrottlingException", "m"),
			good(`{"events": [{"id": 3, "stateEnteredEventDetails": {"name": "Validate"}}]}`),
		},
	})
	newest, any, err := m.Newest(t.Context())
	if err != nil || !any || newest.ID != execution || !newest.Running || newest.Started.Unix() != 1795852800 {
		t.Errorf("%+v %v %v", newest, any, err)
	}
	r, err := m.Describe(t.Context(), m.Execution("nightly"))
	if err != nil || r.Name != "nightly" || r.ARN != execution || r.Running() || r.Ended.Sub(r.Started) != time.Minute || r.Error != "Stale" || r.Cause != "c" {
		t.Errorf("%+v %v", r, err)
	}
	states, err := m.States(t.Context(), execution)
	if err != nil || !slices.Equal(states, []string{"Pin", "Validate"}) {
		t.Error(states, err)
	}
}

func TestRegionOfTheARN(t *testing.T) {
	s := &awsapitest.Service{Answers: map[string][]awsapitest.Answer{"ListExecutions": {good(`{"executions": []}`)}}}
	cfg := s.Config()
	cfg.Region = "eu-west-1"
	if _, _, err := stepfunctions.New(cfg, arn).Newest(t.Context()); err != nil || s.Requests[0].Host != "states.us-east-1.amazonaws.com" {
		t.Error(err, s.Requests)
	}
}

func TestExecutionOfAnAlias(t *testing.T) {
	for _, name := range []string{arn, arn + ":live"} {
		if got := stepfunctions.New(aws.Config{}, name).Execution("nightly"); got != execution {
			t.Error(got)
		}
	}
}
