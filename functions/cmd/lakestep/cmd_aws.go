package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/lakestep/lakestep/functions/cmd/internal/compose"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/host"
	"github.com/lakestep/lakestep/shared/host/stepfunctions"
	"github.com/lakestep/lakestep/shared/lake"
)

func awsCommand(io func() streams) *cobra.Command {
	c := &cobra.Command{
		Use: "aws", Short: "Start and look at runs of a stack on AWS",
		Long: "Start and look at runs of a stack on AWS (docs/aws.md). The state machine is that of terraform output state_machine_arn; credentials and region are\n" +
			"found as AWS's own tools find them.",
	}
	c.AddCommand(awsStartCommand(io), awsStatusCommand(io))
	return c
}

// awsOptions name the state machine.
type awsOptions struct{ machine string }

const machineVariable = "LAKESTEP_STATE_MACHINE"

func (o *awsOptions) flag(c *cobra.Command) {
	c.Flags().StringVar(&o.machine, "state-machine", os.Getenv(machineVariable), "ARN of the state machine (default: "+machineVariable+")")
}

func (o *awsOptions) open(ctx context.Context) (*stepfunctions.Machine, error) {
	parts := strings.Split(o.machine, ":")
	if len(parts) < 7 || parts[0] != "arn" || parts[5] != "stateMachine" {
		return nil, fault.New(fault.InvalidInput, "read", "--state-machine "+o.machine, "it is no ARN of a state machine").
			WithHint("--state-machine \"$(terraform -chdir=terraform/examples/dev output -raw state_machine_arn)\"")
	}
	cfg, err := compose.AWS(ctx, o.machine, parts[3])
	if err != nil {
		return nil, err
	}
	return stepfunctions.New(cfg, o.machine), nil
}

type awsStart struct {
	awsOptions
	name   string
	wait   bool
	anyway bool
	say    runOptions // an operator's words
}

func awsStartCommand(io func() streams) *cobra.Command {
	var o awsStart
	c := &cobra.Command{
		Use: "start", Short: "Start a run", Args: cobra.NoArgs,
		Long: "Start a run of the stack's pipeline. While another one is on, none is started (exit code 7): the one that is on may have looked already, so say it\n" +
			"again when it has ended, or let an event do it.",
		Example: "  lakestep aws start --state-machine ARN --wait\n  lakestep aws start --waive silver.cleaned_orders --reason 'known gap of 3 May'",
		RunE:    func(c *cobra.Command, _ []string) error { return o.run(c.Context(), io()) },
	}
	o.flag(c)
	f := c.Flags()
	f.StringVar(&o.name, "name", "", "of the execution (default: by-hand- and the time)")
	f.BoolVar(&o.wait, "wait", false, "until it has ended; the exit code says how")
	f.BoolVar(&o.anyway, "beside", false, "start it although another run is on: they get in each other's way, and lose no data")
	o.say.words(f)
	return c
}

func (o *awsStart) run(ctx context.Context, s streams) error {
	input, err := o.input()
	if err != nil {
		return err
	}
	m, err := o.open(ctx)
	if err != nil {
		return err
	}
	if !o.anyway {
		newest, any, err := m.Newest(ctx)
		if err != nil {
			return err
		}
		if any && newest.Running {
			fmt.Fprintf(s.err, "A run is on: %s, since %s. None was started.\n", newest.ID, newest.Started.Local().Format(time.DateTime))
			return errReported{exitBusy}
		}
	}
	if o.name == "" {
		o.name = "by-hand-" + time.Now().UTC().Format("20060102-150405.000")
	}
	began, err := m.Start(ctx, o.name, input)
	if err != nil {
		return err
	}
	if !began {
		return fault.New(fault.InvalidInput, "start", o.name, "there was an execution of this name").WithHint("names stay taken for 90 days: give another --name")
	}
	if !o.wait {
		if s.json {
			return printJSON(s, map[string]string{"name": o.name, "arn": m.Execution(o.name), "status": "RUNNING"})
		}
		fmt.Fprintf(s.out, "Started %s.\n\nNext:\n  lakestep aws status --state-machine %s %s\n", o.name, quote(o.machine), o.name)
		return nil
	}
	return follow(ctx, s, m, o.name)
}

// input is what the execution begins with: an operator's words, or nothing.
func (o *awsStart) input() ([]byte, error) {
	if err := o.say.reasoned(); err != nil {
		return nil, err
	}
	ranges, err := o.say.ranges()
	if err != nil {
		return nil, err
	}
	input, err := json.Marshal(lake.Overrides{Waive: o.say.waive, RefuseBatch: o.say.quarantine, Reason: o.say.reason, Refresh: o.say.refresh, Backfill: ranges})
	if err != nil {
		return nil, fault.New(fault.Internal, "start", "run", "%w", err)
	}
	return input, nil
}

func awsStatusCommand(io func() streams) *cobra.Command {
	var o awsOptions
	var wait bool
	c := &cobra.Command{
		Use: "status [EXECUTION]", Short: "Say how a run stands: the newest, or one by its name", Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			m, err := o.open(c.Context())
			if err != nil {
				return err
			}
			var name string
			if len(args) == 1 {
				name = args[0]
			} else {
				newest, any, err := m.Newest(c.Context())
				if err != nil {
					return err
				}
				if !any {
					return fault.New(fault.InvalidInput, "look at", o.machine, "there was no run in the last 90 days").WithHint("lakestep aws start")
				}
				name = newest.ID[strings.LastIndex(newest.ID, ":")+1:]
			}
			if wait {
				return follow(c.Context(), io(), m, name)
			}
			r, err := m.Describe(c.Context(), m.Execution(name))
			if err != nil {
				return err
			}
			return tell(io(), r)
		},
	}
	o.flag(c)
	c.Flags().BoolVar(&wait, "wait", false, "until it has ended; the exit code says how")
	return c
}

// follow waits for an execution, and tells the states that it comes to.
func follow(ctx context.Context, s streams, m *stepfunctions.Machine, name string) error {
	execution, told := m.Execution(name), 0
	for pause := time.Second; ; pause = min(2*pause, 15*time.Second) {
		r, err := m.Describe(ctx, execution)
		if err != nil {
			return err
		}
		states, err := m.States(ctx, execution)
		if err != nil {
			return err
		}
		for _, state := range states[told:] {
			fmt.Fprintf(s.err, "%s  %s\n", time.Now().Format(time.TimeOnly), state)
		}
		if len(states) > told {
			told, pause = len(states), time.Second
		}
		if !r.Running() {
			return tell(s, r)
		}
		select {
		case <-ctx.Done():
			return fault.New(fault.Unavailable, "wait for", name, "interrupted; the run goes on").WithHint("lakestep aws status --wait %s", name)
		case <-time.After(pause):
		}
	}
}

// tell says how an execution stands, and gives the exit code that the same end has on this machine.
func tell(s streams, r stepfunctions.Result) error {
	r.Cause = fault.CauseOf(r.Cause)
	if s.json {
		if err := printJSON(s, r); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(s.out, "%s: %s", r.Name, r.Status)
		if !r.Ended.IsZero() {
			fmt.Fprintf(s.out, " after %s", r.Ended.Sub(r.Started).Round(100*time.Millisecond))
		}
		fmt.Fprintln(s.out)
		if r.Error != "" {
			explain(s, r)
		}
	}
	switch r.Status {
	case "FAILED":
		return errReported{exitCode(fault.New(fault.Kind(r.Error), "", "", ""))}
	case "TIMED_OUT", "ABORTED":
		return errReported{exitCode(fault.New(fault.Unavailable, "", "", ""))}
	}
	return heldBack(r)
}

// explain prints the error of an execution as that of a command would be.
func explain(s streams, r stepfunctions.Result) {
	var c host.Cause
	if json.Unmarshal([]byte(r.Cause), &c) != nil || c.Message == "" {
		c.Message = r.Cause
	}
	fmt.Fprintf(s.err, "error: %s: %s\n", r.Error, c.Message)
	if c.Hint != "" {
		fmt.Fprintf(s.err, " hint: %s\n", c.Hint)
	}
}

// heldBack tells by its exit code that a gate is closed, which does not make an execution fail.
func heldBack(r stepfunctions.Result) error {
	var out struct {
		Held int `json:"held"`
	}
	if json.Unmarshal(r.Output, &out) == nil && out.Held > 0 {
		return errReported{exitCode(fault.New(fault.QualityFailed, "", "", ""))}
	}
	return nil
}
