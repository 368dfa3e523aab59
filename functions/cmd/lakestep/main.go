// Command lakestep is the command line: it runs pipelines on this machine, checks them, and looks into the lake.
//
// One file holds one command. The composition root (which store, which connectors, which clock) is environment.go.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/lakestep/lakestep/shared/fault"
)

// version is set by the Makefile.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

const exitCodes = `Exit codes:
  0  done, or nothing was new
  1  a bug in lakestep
  2  wrong input: command line, pipeline.yaml, SQL, contract, event
  3  a quality gate is closed; the other tables are published
  4  a table's schema or contract does not hold
  5  the position in a source or table is lost
  6  interrupted, or something was not available: the run can be resumed
  7  another run of the pipeline is active`

// exitBusy is what fault kinds cannot say.
const exitBusy = 7

// errReported ends the program with a code after everything has been said.
type errReported struct{ code int }

func (e errReported) Error() string { return fmt.Sprintf("exit code %d", e.code) }

func exitCode(err error) int {
	var reported errReported
	if errors.As(err, &reported) {
		return reported.code
	}
	switch fault.KindOf(err) {
	case "":
		return 0
	case fault.InvalidInput:
		return 2
	case fault.QualityFailed:
		return 3
	case fault.SchemaBroken:
		return 4
	case fault.SourceLost:
		return 5
	case fault.Throttled, fault.Unavailable, fault.Stale:
		return 6
	}
	return 1
}

// streams are where a command writes, and how.
type streams struct {
	out, err io.Writer
	json     bool
}

// globals are the flags of every command.
type globals struct {
	output string
	lake   string
	vars   []string
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var g globals
	root := &cobra.Command{
		Use:           "lakestep",
		Short:         "A lakehouse for gigabytes: bronze, silver and gold Delta tables without a cluster",
		Long:          "A lakehouse for gigabytes: bronze, silver and gold Delta tables without a cluster.\n\n" + exitCodes,
		SilenceErrors: true, SilenceUsage: true, Version: version,
	}
	root.PersistentFlags().StringVarP(&g.output, "output", "o", "text", "text or json")
	root.PersistentFlags().StringVar(&g.lake, "lake", "", "folder of the lake, in place of the pipeline's own")
	root.PersistentFlags().StringArrayVar(&g.vars, "var", nil, "set a variable of the pipeline: name=value (may be repeated)")
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.SetArgs(args)
	io := func() streams { return streams{out: stdout, err: stderr, json: g.output == "json"} }
	root.AddCommand(runCommand(&g, io), validateCommand(&g, io), queryCommand(&g, io), tableCommand(&g, io), gateCommand(&g, io), runsCommand(&g, io), sampleCommand(io))
	err := root.ExecuteContext(ctx)
	var reported errReported
	if err != nil && !errors.As(err, &reported) {
		var f *fault.Fault
		if !errors.As(err, &f) { // cobra's own: unknown command or flag
			err = fault.New(fault.InvalidInput, "", "", "%w", err).WithHint("see lakestep --help")
		}
		report(io(), err)
	}
	return exitCode(err)
}

// report prints an error: what, and on the next line what to do.
func report(s streams, err error) {
	hint := fault.HintOf(err)
	if s.json {
		raw, merr := json.Marshal(map[string]string{"error": string(fault.KindOf(err)), "message": err.Error(), "hint": hint})
		if merr == nil {
			fmt.Fprintln(s.out, string(raw))
			return
		}
	}
	fmt.Fprintf(s.err, "error: %v\n", err)
	if hint != "" {
		fmt.Fprintf(s.err, " hint: %s\n", hint)
	}
}

// printJSON writes a document for scripts.
func printJSON(s streams, v any) error {
	enc := json.NewEncoder(s.out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return fault.New(fault.Internal, "write", "output", "%w", err)
	}
	return nil
}
