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
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/lakestep/lakestep/functions/cmd/internal/compose"
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
  7  another run of the pipeline is active
  8  a table was refused: damaged, or needs a feature that lakestep lacks
  9  table check found damage
  10 statemachine run --exit-status: the execution failed or timed out`

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
	format   string // --output
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
		PersistentPreRunE: func(c *cobra.Command, _ []string) error {
			if known := outputs(c); !slices.Contains(known, g.output) {
				return fault.New(fault.InvalidInput, "read", "--output "+g.output, "it is none of %s", strings.Join(known, ", "))
			}
			return nil
		},
	}
	root.PersistentFlags().StringVarP(&g.output, "output", "o", "text", "text or json; jsonl or csv where rows are printed")
	root.PersistentFlags().StringVar(&g.lake, "lake", "", "folder or URL of the lake, in place of the pipeline's own")
	root.PersistentFlags().StringArrayVar(&g.vars, "var", nil, "set a variable of the pipeline: name=value (may be repeated); it is kept with the run, so no secrets")
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.SetArgs(args)
	io := func() streams { return streams{out: stdout, err: stderr, json: g.output == "json", format: g.output} }
	root.AddCommand(runCommand(&g, io), validateCommand(&g, io), queryCommand(&g, io), tableCommand(&g, io), gateCommand(&g, io), maintainCommand(&g, io), runsCommand(&g, io), sampleCommand(io),
		sourceCommand(&g, io), streamCommand(&g, io), catalogCommand(&g, io))
	root.AddCommand(stateMachineCommand(io), awsCommand(io))
	err := root.ExecuteContext(ctx)
	var reported errReported
	if err != nil && !errors.As(err, &reported) {
		var f *fault.Fault
		if !errors.As(err, &f) { // cobra's own: unknown command or flag
			err = fault.New(fault.InvalidInput, "", "", "%s", strings.TrimSpace(err.Error())).WithHint("see lakestep --help")
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

// again is what follows "lakestep run" to mean the same pipeline and lake once more; look is the same for the other commands.
func (g *globals) again(dir string) string {
	if dir == defaultPipeline {
		return g.flags()
	}
	return " " + quote(dir) + g.flags()
}

func (g *globals) look(dir string) string {
	if dir == defaultPipeline {
		return g.flags()
	}
	return " -p " + quote(dir) + g.flags()
}

func (g *globals) flags() string {
	var b strings.Builder
	if g.lake != "" {
		b.WriteString(" --lake " + quote(compose.Displayed(g.lake)))
	}
	for _, v := range g.vars {
		b.WriteString(" --var " + quote(v))
	}
	return b.String()
}

// quote writes a word for a POSIX shell.
func quote(word string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-=:,+@%", r)
	}
	if word != "" && strings.IndexFunc(word, func(r rune) bool { return !plain(r) }) < 0 {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
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
