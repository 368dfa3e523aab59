// Package stepfunctions starts and watches executions of a state machine on AWS Step Functions.
package stepfunctions

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsarn "github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"github.com/lakestep/lakestep/shared/awsapi"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/host"
)

// Machine is a state machine of type STANDARD.
type Machine struct {
	client  *sfn.Client
	service awsapi.Service
	arn     string
}

// attempts and timeout bound a call: the SDK repeats it with backoff and jitter.
const (
	attempts = 5
	timeout  = 20 * time.Second
)

// New names a state machine by its ARN, or by that of its alias. The ARN also says in which region it is.
func New(cfg aws.Config, arn string) *Machine {
	client := sfn.NewFromConfig(cfg, func(o *sfn.Options) {
		o.Retryer = retry.NewStandard(func(r *retry.StandardOptions) { r.MaxAttempts = attempts })
		if a, err := awsarn.Parse(arn); err == nil && a.Region != "" {
			o.Region = a.Region
		}
	})
	return &Machine{arn: arn, client: client, service: awsapi.Service{Name: "states", Credentials: cfg.Credentials, Timeout: timeout}}
}

// Newest is the execution that began last. The list of executions lags behind by some seconds.
func (m *Machine) Newest(ctx context.Context) (host.Execution, bool, error) {
	var out *sfn.ListExecutionsOutput
	err := m.service.Do(ctx, m.request("list executions of", "states:ListExecutions"), func(ctx context.Context) (err error) {
		out, err = m.client.ListExecutions(ctx, &sfn.ListExecutionsInput{StateMachineArn: &m.arn, MaxResults: 1})
		return err
	})
	if err != nil || len(out.Executions) == 0 {
		return host.Execution{}, false, err
	}
	e := out.Executions[0]
	return host.Execution{ID: aws.ToString(e.ExecutionArn), Started: aws.ToTime(e.StartDate), Running: running(e.Status)}, true, nil
}

func running(s types.ExecutionStatus) bool {
	return s == types.ExecutionStatusRunning || s == types.ExecutionStatusPendingRedrive
}

// Start begins an execution. False says that there is one of this name, which stays taken for 90 days.
func (m *Machine) Start(ctx context.Context, name string, input []byte) (bool, error) {
	var taken bool
	err := m.service.Do(ctx, m.request("start an execution of", "states:StartExecution"), func(ctx context.Context) error {
		_, err := m.client.StartExecution(ctx, &sfn.StartExecutionInput{StateMachineArn: &m.arn, Name: &name, Input: aws.String(string(input))})
		if taken = awsapi.AnswerOf(err).Code == "ExecutionAlreadyExists"; taken {
			return nil
		}
		return err
	})
	return err == nil && !taken, err
}

// Result is how an execution stands.
type Result struct {
	Name    string          `json:"name"`
	ARN     string          `json:"arn"`
	Status  string          `json:"status"` // as Step Functions says it: RUNNING, SUCCEEDED, FAILED, TIMED_OUT, ABORTED
	Started time.Time       `json:"started"`
	Ended   time.Time       `json:"ended,omitzero"`
	Output  json.RawMessage `json:"output,omitempty"`
	Error   string          `json:"error,omitempty"`
	Cause   string          `json:"cause,omitempty"`
}

// Running tells that it goes on.
func (r Result) Running() bool { return running(types.ExecutionStatus(r.Status)) }

// Describe tells how an execution stands.
func (m *Machine) Describe(ctx context.Context, execution string) (Result, error) {
	var e *sfn.DescribeExecutionOutput
	err := m.service.Do(ctx, m.request("describe execution "+nameOf(execution)+" of", "states:DescribeExecution"), func(ctx context.Context) (err error) {
		e, err = m.client.DescribeExecution(ctx, &sfn.DescribeExecutionInput{ExecutionArn: &execution})
		return err
	})
	if err != nil {
		return Result{}, err
	}
	return Result{
		Name: aws.ToString(e.Name), ARN: aws.ToString(e.ExecutionArn), Status: string(e.Status), Started: aws.ToTime(e.StartDate), Ended: aws.ToTime(e.StopDate),
		Output: json.RawMessage(aws.ToString(e.Output)), Error: aws.ToString(e.Error), Cause: aws.ToString(e.Cause),
	}, nil
}

// Execution is the ARN of the execution of a name.
func (m *Machine) Execution(name string) string {
	parts := strings.SplitN(strings.Replace(m.arn, ":stateMachine:", ":execution:", 1), ":", 8) // of an alias there is an eighth
	return strings.Join(append(parts[:min(7, len(parts))], name), ":")
}

func nameOf(execution string) string { return execution[strings.LastIndex(execution, ":")+1:] }

// States lists the states that an execution entered, in order.
func (m *Machine) States(ctx context.Context, execution string) (names []string, err error) {
	pages := sfn.NewGetExecutionHistoryPaginator(m.client, &sfn.GetExecutionHistoryInput{ExecutionArn: &execution, MaxResults: 1000})
	for pages.HasMorePages() {
		var page *sfn.GetExecutionHistoryOutput
		err := m.service.Do(ctx, m.request("read the history of "+nameOf(execution)+" of", "states:GetExecutionHistory"), func(ctx context.Context) (err error) {
			page, err = pages.NextPage(ctx)
			return err
		})
		if err != nil {
			return nil, err
		}
		for _, e := range page.Events {
			if e.StateEnteredEventDetails != nil {
				names = append(names, aws.ToString(e.StateEnteredEventDetails.Name))
			}
		}
	}
	return names, nil
}

// request is what errors say of a request. The messages of these codes name the caller, the key, and what was given to the request: no secrets.
func (m *Machine) request(op, action string) awsapi.Request {
	const key = "allow kms:Decrypt and kms:GenerateDataKey on the state machine's key to the role that lakestep runs as, and see that the key is enabled"
	const name = "a name has at most 80 letters, digits, - and _"
	another := awsapi.Meaning{Hint: "name the ARN that terraform output state_machine_arn prints, and the account that it is in (AWS_PROFILE)"}
	return awsapi.Request{
		Op: op, Object: m.arn, Action: action,
		Denied: "allow " + action + " on the state machine and its executions to the role or user that lakestep runs as",
		Codes: map[string]awsapi.Meaning{
			"StateMachineDoesNotExist":     another,
			"InvalidArn":                   another,
			"StateMachineDeleting":         {Hint: "the stack is being destroyed; apply it again, and start then"},
			"StateMachineTypeNotSupported": {Hint: "lakestep needs a state machine of type STANDARD"},
			"ExecutionDoesNotExist":        {Hint: "check the execution's name and the state machine's ARN; Step Functions keeps executions for 90 days"},
			"ExecutionLimitExceeded":       {Kind: fault.Throttled, Hint: "too many executions are on in this account; wait, or ask for more in Service Quotas"},
			"InvalidName":                  {Hint: name},
			"ValidationException":          {Hint: "Step Functions does not take a value, see the message; " + name},
			"KmsThrottlingException":       {Kind: fault.Throttled, Hint: "KMS asks for fewer requests; try again later"},
			"KmsAccessDeniedException":     {Hint: key},
			"KmsInvalidStateException":     {Hint: key},
		},
	}
}
