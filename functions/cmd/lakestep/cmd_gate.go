package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/lake"
	"github.com/lakestep/lakestep/shared/ledger"
)

func gateCommand(g *globals, io func() streams) *cobra.Command {
	var dir, run string
	c := &cobra.Command{
		Use: "gate TABLE", Short: "Why a table's gate is closed: its rules, and rows that fail them", Args: cobra.ExactArgs(1),
		Long: "Show the last audit of a table: each rule, how many rows fail it, and some of them. A closed gate leaves readers on the last good version.",
		RunE: func(c *cobra.Command, args []string) error {
			p, l, _, err := g.open(c.Context(), dir)
			if err != nil {
				return err
			}
			if err := known(p, args[0]); err != nil {
				return err
			}
			return showGate(c.Context(), io(), l, args[0], run)
		},
	}
	c.Flags().StringVarP(&dir, "pipeline", "p", defaultPipeline, "folder of the pipeline")
	c.Flags().StringVar(&run, "run", "", "of this run (default: the last)")
	return c
}

// lastVerdict finds the newest audit of a table in runs, newest first: of a hold, or of a commit. Nil when there was none.
func lastVerdict(ctx context.Context, l *lake.Lake, name string, runs []ledger.Outcome) (*lake.Verdict, error) {
	t, err := l.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	for _, r := range runs {
		var held lake.Held
		if found, err := l.GetRun(ctx, r.Run, lake.HeldDocument(name), &held); err != nil {
			return nil, err
		} else if found && held.Cause != name {
			return nil, fault.New(fault.InvalidInput, "show gate of", name, "%s", held.Reason).WithHint("lakestep gate %s", held.Cause)
		} else if found {
			return t.LastVerdict(ctx, held.Attempt)
		}
		for _, s := range r.Tables {
			if s.Table != name || len(s.Attempts) == 0 {
				continue
			}
			attempt, err := strconv.ParseInt(s.Attempts[0], 10, 64)
			if err != nil {
				return nil, fault.New(fault.Internal, "read", "outcome of run "+r.Run, "%w", err)
			}
			if v, err := t.LastVerdict(ctx, attempt); v != nil || err != nil {
				return v, err
			}
		}
	}
	return nil, nil
}

func showGate(ctx context.Context, s streams, l *lake.Lake, name, run string) error {
	runs, err := listRuns(ctx, l)
	if err != nil {
		return err
	}
	if run != "" {
		runs = slices.DeleteFunc(runs, func(o ledger.Outcome) bool { return o.Run != run })
		if len(runs) == 0 {
			return fault.New(fault.InvalidInput, "show gate of", name, "there is no run %s", run).WithHint("lakestep runs")
		}
	}
	v, err := lastVerdict(ctx, l, name, runs)
	if err != nil {
		return err
	}
	if v == nil {
		return fault.New(fault.InvalidInput, "show gate of", name, "the table has not been audited").
			WithHint("a run audits the silver and gold tables to which it brings something")
	}
	if s.json {
		return printJSON(s, v)
	}
	fmt.Fprintf(s.out, "%s: %s, score %.2f (run %s)\n", v.Table, v.Verdict, v.Score, v.Run)
	if v.Reason != "" {
		fmt.Fprintf(s.out, "Reason of the waiver: %s\n", v.Reason)
	}
	w := newTable(s, "rule", "kind", "holds", ">rows", ">fail", "on failure", "")
	for _, c := range v.Checks {
		holds := "yes"
		if !c.Passed {
			holds = "NO"
		}
		w.AppendRow(table.Row{c.Name, c.Kind, holds, count(c.Rows), count(c.Failed), c.Severity, c.Message})
	}
	w.Render()
	for _, c := range v.Checks {
		if len(c.Sample) < 2 {
			continue
		}
		fmt.Fprintf(s.out, "\nRows that fail %s (%d of %s):\n", c.Name, len(c.Sample)-1, count(c.Failed))
		w := newTable(s, c.Sample[0]...)
		for _, r := range c.Sample[1:] {
			w.AppendRow(cells(r))
		}
		w.Render()
	}
	return nil
}

func runsCommand(g *globals, io func() streams) *cobra.Command {
	var dir string
	c := &cobra.Command{
		Use: "runs", Short: "The runs of the lake, newest first", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			_, l, _, err := g.open(c.Context(), dir)
			if err != nil {
				return err
			}
			runs, err := listRuns(c.Context(), l)
			if err != nil {
				return err
			}
			return showRuns(io(), runs)
		},
	}
	c.Flags().StringVarP(&dir, "pipeline", "p", defaultPipeline, "folder of the pipeline")
	return c
}

// listRuns gives the outcomes of the lake's runs that had something to do, newest first.
func listRuns(ctx context.Context, l *lake.Lake) ([]ledger.Outcome, error) {
	names, err := l.Runs(ctx)
	if err != nil {
		return nil, err
	}
	var out []ledger.Outcome
	for _, name := range names {
		var o ledger.Outcome
		found, err := l.GetRun(ctx, name, ledger.OutcomeDocument, &o)
		if err != nil {
			return nil, err
		}
		if !found {
			var plan ledger.Plan
			if found, err = l.GetRun(ctx, name, ledger.PlanDocument, &plan); err != nil {
				return nil, err
			}
			o = ledger.Outcome{Run: name, Status: "unfinished", Pipeline: plan.Pipeline, Started: plan.Started}
		}
		if !found { // nothing was new
			continue
		}
		out = append(out, o)
	}
	return out, nil
}

func showRuns(s streams, runs []ledger.Outcome) error {
	if s.json {
		return printJSON(s, runs)
	}
	w := newTable(s, "run", "status", "started (UTC)", ">seconds", ">read", ">accepted", ">quarantined")
	for _, r := range runs {
		started, seconds := "", ""
		if !r.Started.IsZero() {
			started = r.Started.Format("2006-01-02 15:04:05")
		}
		if !r.Finished.IsZero() {
			seconds = fmt.Sprintf("%.1f", r.Finished.Sub(r.Started).Seconds())
		}
		w.AppendRow(table.Row{r.Run, r.Status, started, seconds, count(r.Counts.Read), count(r.Counts.Accepted), count(r.Counts.Quarantined)})
	}
	w.Render()
	return nil
}
