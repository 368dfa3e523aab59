// Package stepfunctions starts and watches executions of a state machine on AWS Step Functions.
package stepfunctions

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"
	"github.com/aws/smithy-go"

	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/host"
)

// Machine is a state machine of type STANDARD.
type Machine struct {
	client *sfn.Client
	arn    string
}

// attempts and timeout bound a call: the SDK repeats it with backoff and jitter.
const (
	attempts = 5
	timeout  = 20 * time.Second
)

// New names a state machine by its ARN, or by that of its alias.
func New(cfg aws.Config, arn string) *Machine {
	return &Machine{arn: arn, client: sfn.NewFromConfig(cfg, func(o *sfn.Options) {
		o.Retryer = retry.NewStandard(func(r *retry.StandardOptions) { r.MaxAttempts = attempts })
	})}
}

// Newest is the execution that began last. The list of executions lags behind by some seconds.
func (m *Machine) Newest(ctx context.Context) (host.Execution, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	out, err := m.client.ListExecutions(ctx, &sfn.ListExecutionsInput{StateMachineArn: &m.arn, MaxResults: 1})
	if err != nil || len(out.Executions) == 0 {
		return host.Execution{}, false, m.failed("list executions of", err)
	}
	e := out.Executions[0]
	return host.Execution{ID: aws.ToString(e.ExecutionArn), Started: aws.ToTime(e.StartDate), Running: running(e.Status)}, true, nil
}

func running(s types.ExecutionStatus) bool {
	return s == types.ExecutionStatusRunning || s == types.ExecutionStatusPendingRedrive
}

// Start begins an execution. False says that there is one of this name, which stays taken for 90 days.
func (m *Machine) Start(ctx context.Context, name string, input []byte) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	_, err := m.client.StartExecution(ctx, &sfn.StartExecutionInput{StateMachineArn: &m.arn, Name: &name, Input: aws.String(string(input))})
	var taken *types.ExecutionAlreadyExists
	if errors.As(err, &taken) {
		return false, nil
	}
	return err == nil, m.failed("start an execution of", err)
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
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	e, err := m.client.DescribeExecution(ctx, &sfn.DescribeExecutionInput{ExecutionArn: &execution})
	if err != nil {
		return Result{}, m.failed("describe execution "+nameOf(execution)+" of", err)
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
		call, cancel := context.WithTimeout(ctx, timeout)
		page, err := pages.NextPage(call)
		cancel()
		if err != nil {
			return nil, m.failed("read the history of "+nameOf(execution)+" of", err)
		}
		for _, e := range page.Events {
			if e.StateEnteredEventDetails != nil {
				names = append(names, aws.ToString(e.StateEnteredEventDetails.Name))
			}
		}
	}
	return names, nil
}

// failed makes the fault of a call.
func (m *Machine) failed(op string, err error) error {
	if err == nil {
		return nil
	}
	var api smithy.APIError
	if !errors.As(err, &api) {
		return fault.New(fault.Unavailable, op, m.arn, "%w", err).WithHint("check the network, the region and AWS_PROFILE")
	}
	text := func(kind fault.Kind) *fault.Fault {
		return fault.New(kind, op, m.arn, "%s: %s", api.ErrorCode(), api.ErrorMessage())
	}
	if _, throttled := retry.DefaultThrottleErrorCodes[api.ErrorCode()]; throttled {
		return text(fault.Throttled)
	}
	switch api.ErrorCode() {
	case "AccessDeniedException":
		return text(fault.InvalidInput).WithHint("the role or user needs states:StartExecution, states:ListExecutions, states:DescribeExecution and states:GetExecutionHistory")
	case "StateMachineDoesNotExist", "InvalidArn", "ExecutionDoesNotExist":
		return text(fault.InvalidInput).WithHint("name the ARN that terraform output state_machine_arn prints")
	}
	if api.ErrorFault() == smithy.FaultServer {
		return text(fault.Unavailable)
	}
	return text(fault.InvalidInput)
}

// Text takes what a step said out of the cause of an execution's error, which may be that of a Lambda function: {"errorMessage": text, ...}.
func Text(cause string) string {
	var answer struct {
		Message *string `json:"errorMessage"`
	}
	if json.Unmarshal([]byte(cause), &answer) != nil || answer.Message == nil {
		return cause
	}
	return *answer.Message
}
