package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/lakestep/lakestep/shared/asl"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/host/shell"
	"github.com/lakestep/lakestep/statemachines"
)

// exitEnded is for an execution that came to an end which is no success.
const exitEnded = 10

// maxInput is the service's limit for an execution's input, in bytes.
const maxInput = 256 << 10

func stateMachineCommand(io func() streams) *cobra.Command {
	c := &cobra.Command{
		Use: "statemachine", Short: "Try state machines of Step Functions out on this machine: run, validate, ls, show",
		Long: `Definitions in the Amazon States Language (JSONPath, without variables), run and checked on this machine; docs/statemachine.md tells what is
supported. Where a DEFINITION is asked for, a file is meant, or one of lakestep's own: ` + strings.Join(builtinNames(), ", ") + `.`,
	}
	c.AddCommand(stateMachineRunCommand(io), &cobra.Command{
		Use: "validate DEFINITION", Short: "Check a definition: all that is wrong, with its place; exit code 2 when something is", Args: cobra.ExactArgs(1),
		Example: "  lakestep statemachine validate order.asl.json\n  lakestep statemachine validate medallion -o json",
		RunE:    func(_ *cobra.Command, args []string) error { return validateStateMachine(io(), args[0]) },
	}, &cobra.Command{
		Use: "ls", Short: "The state machines of lakestep's own", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return listStateMachines(io()) },
	}, &cobra.Command{
		Use: "show DEFINITION", Short: "Print a definition, such as one of lakestep's own", Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			_, text, err := readDefinition(args[0])
			if err == nil {
				_, err = io().out.Write(text)
			}
			return err
		},
	})
	return c
}

type stateMachineRun struct {
	input    string
	tasks    []string
	fast     bool
	express  bool
	name     string
	parallel int

	exitStatus bool
}

func stateMachineRunCommand(io func() streams) *cobra.Command {
	var o stateMachineRun
	c := &cobra.Command{
		Use: "run DEFINITION", Short: "Run a definition, each task a command, and print how it ended as one JSON document", Args: cobra.ExactArgs(1),
		Long: `Run a definition on this machine and print one JSON document on stdout:

  {"status": "SUCCEEDED", "output": ..., "error": null, "cause": null, "states_entered": [...], "event_types": [...]}

status is SUCCEEDED, FAILED, TIMED_OUT or ABORTED; output is the JSON value of an execution that succeeded, else null; error and cause are text or
null; states_entered are names in order, and event_types the history's types, as Step Functions has them. All six are always there.

Each task is done by a command of the shell: it gets the task's input as JSON on stdin and prints the result as JSON. One that ends with another
status than 0 has failed; {"errorType": "...", "errorMessage": "..."} on its stdout (or {"Error": "...", "Cause": "..."}) says with which error.
A command that takes longer than TimeoutSeconds is killed with all that it started: States.Timeout. LAKESTEP_RESOURCE, LAKESTEP_STATE,
LAKESTEP_RETRY_COUNT and LAKESTEP_FUNCTION in its environment tell what it is called for; what it prints on stderr is shown.

--task ARN=COMMAND gives the command for a Resource, spelled as in the definition, for a Lambda function by its name or ARN, also where
arn:aws:states:::lambda:invoke calls it (the command gets the Payload, and its result comes as Payload), for ${Name} by Name. *=COMMAND is for
all others. builtin:identity answers with the input.

Exit codes: 0 the execution came to its end, and status says to which; with --exit-status 10 when it failed or timed out. 6 it was stopped, with the
document too. 2 the definition, the input or a --task cannot be used (nothing on stdout, what is wrong on stderr).`,
		Example: "  lakestep statemachine run order.asl.json --input order.json --task '*=builtin:identity' --fast\n" +
			"  echo '{\"n\": 1}' | lakestep statemachine run order.asl.json --input - --task 'charge=python3 charge.py' --task arn:aws:states:::sns:publish=./publish.sh",
		RunE: func(c *cobra.Command, args []string) error { return o.run(c.Context(), io(), c.InOrStdin(), args[0]) },
	}
	f := c.Flags()
	f.StringVar(&o.input, "input", "", "file with the execution's input, - for stdin (default: the input is {})")
	f.StringArrayVar(&o.tasks, "task", nil, "ARN=COMMAND: the command for a task (may be repeated)")
	f.BoolVar(&o.fast, "fast", false, "let the time of Wait states and of delays before retries pass at once")
	f.BoolVar(&o.express, "express", false, "as an Express workflow: $$.Execution has no RedriveCount")
	f.StringVar(&o.name, "name", "", "name of the execution; random functions and jitter give the same for one name (default: a random one)")
	f.BoolVar(&o.exitStatus, "exit-status", false, "exit with 10 when the execution failed or timed out")
	f.IntVar(&o.parallel, "parallel", 16, "commands at once")
	return c
}

func (o *stateMachineRun) run(ctx context.Context, s streams, stdin io.Reader, definition string) error {
	if o.parallel < 1 {
		return fault.New(fault.InvalidInput, "read", fmt.Sprintf("--parallel %d", o.parallel), "it is less than 1")
	}
	file, text, err := readDefinition(definition)
	if err != nil {
		return err
	}
	machine, problems, err := parseDefinition(file, text)
	if err != nil {
		return err
	}
	if len(problems) > 0 {
		return fault.New(fault.InvalidInput, "read definition", file, "it cannot be run:\n%s", strings.Join(problems, "\n")).
			WithHint("correct the definition at the places listed; docs/statemachine.md tells what is supported")
	}
	tasks, err := shell.ParseTasks(o.tasks)
	if err != nil {
		return err
	}
	if err := tasks.Check(file, machine); err != nil {
		return err
	}
	input, err := o.readInput(stdin)
	if err != nil {
		return err
	}
	if o.name == "" {
		o.name = uuid.NewString()
	}
	result, err := shell.Run(ctx, shell.Options{
		Machine: machine, MachineName: machineName(file), Tasks: tasks, Name: o.name, Input: input, Express: o.express, Fast: o.fast, Parallel: o.parallel,
		Now: func() time.Time { return time.Now().UTC() }, Stderr: s.err,
	})
	if err != nil {
		return err
	}
	if err := printJSON(s, result); err != nil {
		return err
	}
	switch result.Status {
	case asl.Aborted:
		return errReported{exitCode(fault.New(fault.Unavailable, "run", o.name, "interrupted"))}
	case asl.Succeeded:
	default:
		if o.exitStatus {
			return errReported{exitEnded}
		}
	}
	return nil
}

func (o *stateMachineRun) readInput(stdin io.Reader) (json.RawMessage, error) {
	var text []byte
	var err error
	switch o.input {
	case "":
		return json.RawMessage("{}"), nil
	case "-":
		text, err = io.ReadAll(stdin)
	default:
		text, err = os.ReadFile(o.input)
	}
	bad := func(format string, args ...any) error {
		return fault.New(fault.InvalidInput, "read", "--input "+o.input, format, args...).WithHint("give one JSON document; without --input it is {}")
	}
	if err != nil {
		return nil, bad("%w", err)
	}
	var value any
	if err := json.Unmarshal(text, &value); err != nil {
		return nil, bad("it is not JSON: %w", err)
	}
	if len(text) > maxInput {
		return nil, bad("it has %d bytes; Step Functions takes %d at most", len(text), maxInput)
	}
	return text, nil
}

// builtin is a state machine of lakestep's own.
type builtin struct {
	file string
	text func() []byte
	what string
}

func builtins() map[string]builtin {
	return map[string]builtin{
		"medallion":   {statemachines.MedallionFile, statemachines.Medallion, "a run of a pipeline: bronze, silver, gold (lakestep run)"},
		"maintenance": {statemachines.MaintenanceFile, statemachines.Maintenance, "the maintenance of a pipeline's tables (lakestep maintain)"},
	}
}

func builtinNames() []string {
	var names []string
	for name := range builtins() {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// readDefinition gives a definition and its name in messages.
func readDefinition(name string) (string, []byte, error) {
	text, err := os.ReadFile(name)
	if err == nil {
		return name, text, nil
	}
	if b, ok := builtins()[name]; ok && errors.Is(err, fs.ErrNotExist) {
		return b.file, b.text(), nil
	}
	return "", nil, fault.New(fault.InvalidInput, "read definition", name, "%w", err).
		WithHint("name a file, or one of lakestep's own: %s", strings.Join(builtinNames(), ", "))
}

// parseDefinition gives the machine, or all that is wrong with it.
func parseDefinition(file string, text []byte) (*asl.Machine, []string, error) {
	machine, err := asl.Parse(file, text)
	var f *fault.Fault
	if errors.As(err, &f) && f.Kind == fault.InvalidInput {
		return nil, strings.Split(f.Unwrap().Error(), "\n"), nil
	}
	return machine, []string{}, err
}

// machineName is what a state machine is called in $$.StateMachine.
func machineName(file string) string {
	name, _, _ := strings.Cut(filepath.Base(file), ".")
	return name
}

func listStateMachines(s streams) error {
	type listed struct {
		Name string `json:"name"`
		File string `json:"file"`
		What string `json:"what"`
	}
	var out []listed
	for _, name := range builtinNames() {
		b := builtins()[name]
		out = append(out, listed{name, b.file, b.what})
	}
	if s.json {
		return printJSON(s, out)
	}
	w := newTable(s, "name", "file", "what")
	for _, l := range out {
		w.AppendRow(table.Row{l.Name, l.File, l.What})
	}
	w.Render()
	return nil
}

// validateStateMachine lists all that is wrong, a line each.
func validateStateMachine(s streams, definition string) error {
	file, text, err := readDefinition(definition)
	if err != nil {
		return err
	}
	machine, problems, err := parseDefinition(file, text)
	if err != nil {
		return err
	}
	resources := []string{}
	if machine != nil {
		resources = append(resources, machine.Resources()...)
	}
	if s.json {
		if err := printJSON(s, map[string]any{"definition": file, "problems": problems, "resources": resources}); err != nil {
			return err
		}
	} else {
		for _, p := range problems {
			fmt.Fprintln(s.err, p)
		}
	}
	if len(problems) > 0 {
		return errReported{2}
	}
	if !s.json {
		fmt.Fprintf(s.out, "%s is in order.\n", file)
		for _, r := range resources {
			fmt.Fprintf(s.out, "  calls %s\n", r)
		}
	}
	return nil
}
