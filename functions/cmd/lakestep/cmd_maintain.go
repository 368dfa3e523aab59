package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/lakestep/lakestep/functions/maintain"
	"github.com/lakestep/lakestep/shared/asl"
	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/host/local"
	"github.com/lakestep/lakestep/shared/lake"
	"github.com/lakestep/lakestep/shared/ledger"
	"github.com/lakestep/lakestep/shared/maintenance"
	"github.com/lakestep/lakestep/shared/pipeline"
	"github.com/lakestep/lakestep/statemachines"
)

type maintainOptions struct {
	*globals
	dir    string
	dryRun bool
	limits limits
}

func maintainCommand(g *globals, io func() streams) *cobra.Command {
	o := maintainOptions{globals: g}
	c := &cobra.Command{
		Use: "maintain [PIPELINE]", Short: "Keep the pipeline's tables fit: pack files, delete what nobody needs", Args: cobra.MaximumNArgs(1),
		Long: "Go through all tables of the pipeline in a folder (default " + defaultPipeline + "): pack small files and those with deletion vectors, order rows\n" +
			"where pipeline.yaml says so, then delete files, versions and staged commits that are older than the retention. What a table has not read yet is\n" +
			"kept. Runs of the pipeline may go on meanwhile. When it is interrupted, say it again: it goes on where it was.\n\n" +
			"The section maintenance of pipeline.yaml has the settings (docs/maintenance.md).",
		Example: "  lakestep maintain\n  lakestep maintain config/retail --dry-run",
		RunE: func(c *cobra.Command, args []string) error {
			o.dir = defaultPipeline
			if len(args) == 1 {
				o.dir = args[0]
			}
			return o.run(c.Context(), io())
		},
	}
	f := c.Flags()
	f.BoolVar(&o.dryRun, "dry-run", false, "say what would be done, and change nothing")
	f.IntVar(&o.limits.memoryMB, "memory", 0, "memory of the SQL engine in megabytes (default: 60 % of the machine, at most 8192)")
	f.IntVar(&o.limits.threads, "threads", 0, "threads of the SQL engine (default: all cores)")
	return c
}

func (o *maintainOptions) run(ctx context.Context, s streams) error {
	p, l, where, err := o.open(ctx, o.dir)
	if err != nil {
		return err
	}
	if o.dryRun {
		return o.plan(ctx, s, p, l)
	}
	bundle, _, err := o.load(o.dir)
	if err != nil {
		return err
	}
	digest, err := l.Pin(ctx, bundle)
	if err != nil {
		return err
	}
	run := newRun(time.Now().UTC())
	e, err := openEngine(where.Local, "maintain-"+run, o.limits)
	if err != nil {
		return err
	}
	defer e.Close()
	display := newProgress(s)
	// Beside the journals of runs: `run --resume` must not take one of these for the last.
	runner, err := local.New(local.Options{Definition: statemachines.Maintenance(), File: "maintenance.asl.json", Dir: filepath.Join(where.Local, "_lakestep", "journals", "maintenance"),
		Steps: steps(l, e, connector.Limit{}, nil), MaxParallel: 1, Clock: local.WallClock{}, Observe: display.observe})
	if err != nil {
		return err
	}
	input, err := json.Marshal(map[string]any{"run": run, "bundle": digest})
	if err != nil {
		return fault.New(fault.Internal, "start", "maintenance", "%w", err)
	}
	display.begin("Maintenance " + run)
	end, err := runner.Start(ctx, run, input)
	display.stop()
	if err != nil {
		if ctx.Err() != nil {
			return fault.New(fault.Unavailable, "maintain", run, "interrupted").WithHint("go on with: lakestep maintain%s", o.again(o.dir))
		}
		return err
	}
	return o.conclude(ctx, s, p, l, run, end)
}

// conclude says what was done to each table.
func (o *maintainOptions) conclude(ctx context.Context, s streams, p *pipeline.Pipeline, l *lake.Lake, run string, end local.Outcome) error {
	done := []maintain.Output{}
	for _, name := range ledger.Tables(p) {
		var out maintain.Output
		found, err := l.GetRun(ctx, run, maintain.Document(name), &out)
		if err != nil {
			return err
		}
		if found {
			done = append(done, out)
		}
	}
	if s.json {
		if err := printJSON(s, map[string]any{"run": run, "status": end.Status, "error": end.Error, "cause": end.Cause, "tables": done}); err != nil {
			return err
		}
	} else {
		w := newTable(s, "table", ">version", ">rewritten", ">deleted", ">size", ">log", "")
		for _, d := range done {
			w.AppendRow(table.Row{d.Table, d.Version, fmt.Sprintf("%d > %d", d.FilesRemoved, d.FilesAdded), d.FilesDeleted, size(d.BytesDeleted), d.LogDeleted, d.Status})
		}
		w.Render()
	}
	if end.Status != asl.Succeeded {
		if !s.json {
			fmt.Fprintf(s.err, "error: %s: %s\n", end.Error, end.Cause)
		}
		return errReported{exitCode(&fault.Fault{Kind: fault.Kind(end.Error)})}
	}
	return nil
}

// planned maintenance of one table.
type plannedMaintenance struct {
	Table    string                `json:"table"`
	Optimize maintenance.Optimized `json:"optimize"`
	Vacuum   maintenance.Vacuumed  `json:"vacuum"`
}

// plan answers --dry-run.
func (o *maintainOptions) plan(ctx context.Context, s streams, p *pipeline.Pipeline, l *lake.Lake) error {
	var all []plannedMaintenance
	for _, name := range ledger.Tables(p) {
		t := target{Delta: l.Delta(name), Store: l.Store}.maintained()
		m := plannedMaintenance{Table: name}
		var err error
		if m.Optimize, err = maintenance.Optimize(ctx, t, maintenance.OptimizeOptions{TargetBytes: p.Maintenance.TargetMB << 20, ZOrder: p.Maintenance.ZOrder[name], DryRun: true}); err != nil {
			if errors.Is(err, delta.ErrNoTable) {
				continue
			}
			return err
		}
		floor, err := l.Floor(ctx, p, name)
		if err != nil {
			return err
		}
		m.Vacuum, err = maintenance.Vacuum(ctx, t, maintenance.VacuumOptions{AtLeast: p.Maintenance.Retention(), KeepFrom: floor, DryRun: true})
		if err != nil {
			return err
		}
		all = append(all, m)
	}
	if s.json {
		return printJSON(s, all)
	}
	w := newTable(s, "table", ">version", ">files to rewrite", ">size", ">files to delete", ">size")
	for _, m := range all {
		w.AppendRow(table.Row{m.Table, m.Vacuum.Version, m.Optimize.FilesRemoved, size(m.Optimize.BytesRemoved), len(m.Vacuum.Files), size(m.Vacuum.Bytes)})
	}
	w.Render()
	return nil
}
