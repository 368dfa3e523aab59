package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/lakestep/lakestep/functions/cmd/internal/compose"
	"github.com/lakestep/lakestep/shared/catalog"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/lake"
)

func catalogCommand(g *globals, io func() streams) *cobra.Command {
	c := &cobra.Command{Use: "catalog", Short: "Show a lake's tables in a catalog that query engines ask"}
	c.AddCommand(syncCommand(g, io))
	return c
}

type syncOptions struct {
	*globals
	dir    string
	glue   string
	dryRun bool
}

func syncCommand(g *globals, io func() streams) *cobra.Command {
	o := syncOptions{globals: g}
	c := &cobra.Command{
		Use: "sync [PIPELINE]", Short: "Make the Glue Data Catalog of AWS show the published tables of a lake in S3", Args: cobra.MaximumNArgs(1),
		Long: "Register the silver and gold tables of the pipeline in a folder (default " + defaultPipeline + ") as Delta tables, with columns and comments, and take\n" +
			"out those that the pipeline does not declare any more; their data stays. Functions on AWS do the same when they publish: this is for a lake that was\n" +
			"there before its catalog, or was changed by table restore. Entries that lakestep did not make are never changed.\n\n" +
			"The database must exist. Its tables are called silver_orders; with {layer} in its name each layer has one: lake_{layer} has lake_silver.orders.",
		Example: "  lakestep catalog sync --lake s3://bucket/retail --glue retail --dry-run\n  lakestep catalog sync config/enterprise --glue 'lake_{layer}'",
		RunE: func(c *cobra.Command, args []string) error {
			o.dir = defaultPipeline
			if len(args) == 1 {
				o.dir = args[0]
			}
			return o.sync(c.Context(), io())
		},
	}
	c.Flags().StringVar(&o.glue, "glue", "", "name of the Glue database")
	c.Flags().BoolVar(&o.dryRun, "dry-run", false, "show what would change, and change nothing")
	return c
}

func (o *syncOptions) sync(ctx context.Context, s streams) error {
	if o.glue == "" {
		return fault.New(fault.InvalidInput, "read", "--glue", "no database is named").WithHint("--glue DATABASE; aws glue get-databases lists them")
	}
	p, l, where, err := o.open(ctx, o.dir)
	if err != nil {
		return err
	}
	if !strings.HasPrefix(where.Name, "s3://") {
		return fault.New(fault.InvalidInput, "sync", compose.Displayed(where.Name), "Glue shows lakes in S3 only").WithHint("name the lake with --lake s3://BUCKET/PATH")
	}
	c, err := compose.OpenCatalog(ctx, o.glue, o.dryRun)
	if err != nil {
		return err
	}
	changes := []catalog.Change{}
	for _, name := range lake.Published(p) {
		t, err := l.Open(ctx, name)
		if err != nil {
			return err
		}
		if !t.Exists() {
			continue
		}
		entry, err := t.Entry(p)
		if err != nil {
			return err
		}
		change, err := c.Register(ctx, entry)
		if err != nil {
			return err
		}
		changes = append(changes, change)
	}
	removed, err := c.Prune(ctx, catalog.Declared{Pipeline: p.Name, Lake: l.URL, Tables: lake.Published(p)})
	if err != nil {
		return err
	}
	return o.show(s, append(changes, removed...))
}

func (o *syncOptions) show(s streams, changes []catalog.Change) error {
	if s.json {
		return printJSON(s, changes)
	}
	w := newTable(s, "table", "entry", "is", "what")
	for _, c := range changes {
		w.AppendRow(table.Row{c.Table, c.Entry, c.Action, strings.Join(c.What, ", ")})
	}
	w.Render()
	if o.dryRun {
		fmt.Fprintln(s.out, "Dry run: nothing was changed in the catalog.")
	}
	return nil
}
