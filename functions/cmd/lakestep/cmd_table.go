package main

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/document"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/ledger"
	"github.com/lakestep/lakestep/shared/pipeline"
)

func tableCommand(g *globals, io func() streams) *cobra.Command {
	var dir string
	c := &cobra.Command{Use: "table", Short: "Look at Delta tables, the lake's and others", RunE: func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return c.Help()
		}
		var there []string
		for _, sub := range c.Commands() {
			there = append(there, sub.Name())
		}
		return fault.New(fault.InvalidInput, "", "", "unknown command %q for %q", args[0], c.CommandPath()).WithHint("there are %s", strings.Join(there, ", "))
	}}
	c.PersistentFlags().StringVarP(&dir, "pipeline", "p", defaultPipeline, "folder of the pipeline")
	c.AddCommand(listCommand(g, io, &dir), historyCommand(g, io, &dir), showCommand(g, io, &dir), scanCommand(g, io, &dir), changesCommand(g, io, &dir),
		stateCommand(io))
	c.AddCommand(optimizeCommand(g, io, &dir), vacuumCommand(g, io, &dir), restoreCommand(g, io, &dir), cloneCommand(g, io, &dir),
		checkCommand(g, io, &dir))
	return c
}

func historyCommand(g *globals, io func() streams, dir *string) *cobra.Command {
	limit := 20
	c := &cobra.Command{
		Use: "history TABLE|PATH", Short: "The versions of a table, newest first", Args: cobra.ExactArgs(1),
		Example: "  lakestep table history silver.cleaned_orders",
		RunE: func(c *cobra.Command, args []string) error {
			t, err := g.target(c.Context(), *dir, args[0])
			if err != nil {
				return err
			}
			commits, err := t.Delta.History(c.Context(), limit)
			if err != nil {
				return err
			}
			return showHistory(io(), commits)
		},
	}
	c.Flags().IntVar(&limit, "limit", 20, "versions shown at most; 0 for all")
	return c
}

func listCommand(g *globals, io func() streams, dir *string) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "All tables with version, rows, files and bytes", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			p, l, _, err := g.open(c.Context(), *dir)
			if err != nil {
				return err
			}
			var all []described
			for _, name := range ledger.Tables(p) {
				t, err := l.Open(c.Context(), name)
				if err != nil {
					return err
				}
				if t.Exists() {
					all = append(all, describe(name, t.Snap))
				}
			}
			return showTables(io(), all)
		},
	}
}

func showCommand(g *globals, io func() streams, dir *string) *cobra.Command {
	var at atFlags
	c := &cobra.Command{
		Use: "show TABLE|PATH", Short: "The columns of a table, and how far it has read", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			asOf, err := at.asOf()
			if err != nil {
				return err
			}
			t, err := g.target(c.Context(), *dir, args[0])
			if err != nil {
				return err
			}
			snap, err := t.Delta.Snapshot(c.Context(), asOf)
			if err != nil {
				return err
			}
			return showTable(io(), t.Name, snap)
		},
	}
	at.add(c)
	return c
}

// known refuses names that the pipeline does not have: the commonest mistake is a missing layer.
func known(p *pipeline.Pipeline, name string) error {
	if slices.Contains(ledger.Tables(p), name) {
		return nil
	}
	return fault.New(fault.InvalidInput, "find", name, "there is no such table").WithHint("%s", nearest(p, name))
}

// nearest is a hint for a wrong table name.
func nearest(p *pipeline.Pipeline, name string) string {
	names := ledger.Tables(p)
	var alike []string
	for _, n := range names {
		if strings.HasSuffix(n, "."+name) {
			return "did you mean " + n + "?"
		}
		if strings.Contains(n, name) {
			alike = append(alike, n)
		}
	}
	switch len(alike) {
	case 0:
	case 1:
		return "did you mean " + alike[0] + "?"
	default:
		return "did you mean one of " + strings.Join(alike, ", ") + "?"
	}
	if hint := document.DidYouMean(name, names); hint != "" {
		return hint
	}
	return "tables: " + strings.Join(names, ", ")
}

// described is a table in one line.
type described struct {
	Table   string `json:"table"`
	Version int64  `json:"version"`
	Rows    int64  `json:"rows"`
	Files   int    `json:"files"`
	Bytes   int64  `json:"bytes"`
}

func describe(name string, s *delta.Snapshot) described {
	d := described{Table: name, Version: s.Version(), Files: s.NumFiles(), Bytes: s.Size()}
	for _, f := range s.Files() {
		if stats, ok := delta.ParseStats(f.Stats); ok {
			d.Rows += stats.NumRecords
		}
	}
	return d
}

func showTables(s streams, all []described) error {
	if s.json {
		return printJSON(s, all)
	}
	w := newTable(s, "table", ">version", ">rows", ">files", ">size")
	for _, d := range all {
		w.AppendRow(table.Row{d.Table, d.Version, count(d.Rows), d.Files, size(d.Bytes)})
	}
	w.Render()
	return nil
}

func showHistory(s streams, commits []delta.Commit) error {
	type entry struct {
		Version   int64          `json:"version"`
		Time      time.Time      `json:"time"`
		Operation string         `json:"operation"`
		Files     int            `json:"files_added"`
		Removed   int            `json:"files_removed"`
		Metrics   map[string]any `json:"metrics,omitempty"`
		Engine    string         `json:"engine"`
	}
	var out []entry
	for _, c := range commits {
		out = append(out, entry{c.Version, c.Timestamp, c.Info.Operation, len(c.Adds), len(c.Removes), c.Info.OperationMetrics, c.Info.EngineInfo})
	}
	if s.json {
		return printJSON(s, out)
	}
	w := newTable(s, ">version", "time (UTC)", "operation", "files +/-", "metrics", "written by")
	for _, e := range out {
		metrics := make([]string, 0, len(e.Metrics))
		for k, v := range e.Metrics {
			metrics = append(metrics, fmt.Sprintf("%s=%v", k, v))
		}
		sort.Strings(metrics)
		w.AppendRow(table.Row{e.Version, e.Time.UTC().Format("2006-01-02 15:04:05"), e.Operation, fmt.Sprintf("+%d -%d", e.Files, e.Removed), strings.Join(metrics, " "), e.Engine})
	}
	w.Render()
	return nil
}

func showTable(s streams, name string, snap *delta.Snapshot) error {
	d := describe(name, snap)
	if s.json {
		return printJSON(s, map[string]any{"table": d, "schema": snap.Schema(), "properties": snap.Metadata().Configuration, "cursors": snap.Txns()})
	}
	fmt.Fprintf(s.out, "%s, version %d: %s, %s, %s\n", name, d.Version, some(d.Rows, "row"), some(int64(d.Files), "file"), size(d.Bytes))
	w := newTable(s, "column", "type")
	for _, f := range snap.Schema().Fields {
		w.AppendRow(table.Row{f.Name, f.Type.String()})
	}
	w.Render()
	return nil
}
