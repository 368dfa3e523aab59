package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/lakestep/lakestep/functions/bronze"
	"github.com/lakestep/lakestep/shared/engine"
	"github.com/lakestep/lakestep/shared/lake"
	"github.com/lakestep/lakestep/shared/ledger"
	"github.com/lakestep/lakestep/shared/pipeline"
)

func queryCommand(g *globals, io func() streams) *cobra.Command {
	var dir string
	var limit int
	c := &cobra.Command{
		Use:     "query SQL",
		Short:   "Ask the lake: tables are bronze.x, silver.x, gold.x and ops.runs",
		Example: "  lakestep query 'SELECT reason, count(*) FROM silver.quarantine_orders GROUP BY ALL'",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return g.query(c.Context(), io(), dir, args[0], limit)
		},
	}
	c.Flags().StringVarP(&dir, "pipeline", "p", defaultPipeline, "folder of the pipeline")
	c.Flags().IntVar(&limit, "limit", 1000, "rows shown at most")
	return c
}

// tableNames are all tables that a pipeline's lake may hold.
func tableNames(p *pipeline.Pipeline) []string {
	var names []string
	for _, t := range p.Tables {
		names = append(names, t.FullName())
		if q := t.QuarantineName(); q != "" {
			names = append(names, q)
		}
	}
	return append(names, bronze.RejectedTable, ledger.Table)
}

func (g *globals) query(ctx context.Context, s streams, dir, sql string, limit int) error {
	p, l, folder, err := g.open(dir)
	if err != nil {
		return err
	}
	e, err := openEngine(folder, "query", limits{})
	if err != nil {
		return err
	}
	defer e.Close()
	session, err := e.Session(ctx)
	if err != nil {
		return err
	}
	defer session.Close()
	if err := lakeViews(ctx, session, l, p, sql); err != nil {
		return err
	}
	rows, err := session.Sample(ctx, strings.TrimRight(sql, "; \n"), limit+1)
	if err != nil {
		return err
	}
	header, rows := rows[0], rows[1:]
	more := len(rows) > limit
	rows = rows[:min(len(rows), limit)]
	if s.json {
		out := make([]map[string]string, len(rows))
		for i, r := range rows {
			out[i] = map[string]string{}
			for j, c := range header {
				out[i][c] = r[j]
			}
		}
		return printJSON(s, out)
	}
	w := newTable(s, header...)
	for _, r := range rows {
		w.AppendRow(cells(r))
	}
	w.Render()
	if more {
		fmt.Fprintf(s.out, "The first %d rows; --limit shows more.\n", limit)
	}
	return nil
}

// lakeViews makes a view of each table that the SQL may mean.
func lakeViews(ctx context.Context, session *engine.Session, l *lake.Lake, p *pipeline.Pipeline, sql string) error {
	for _, layer := range []string{"bronze", "silver", "gold", "ops"} {
		if err := session.Exec(ctx, "CREATE SCHEMA IF NOT EXISTS "+layer); err != nil {
			return err
		}
	}
	for _, name := range tableNames(p) {
		layer, short, _ := strings.Cut(name, ".")
		if !strings.Contains(strings.ToLower(sql), short) {
			continue
		}
		t, err := l.Open(ctx, name)
		if err != nil {
			return err
		}
		if !t.Exists() {
			continue
		}
		relation, err := session.Relation(ctx, t.Live(t.Snap))
		if err != nil {
			return err
		}
		if err := session.Exec(ctx, fmt.Sprintf("CREATE OR REPLACE VIEW %s.%s AS SELECT * FROM %s", layer, engine.Ident(short), relation)); err != nil {
			return err
		}
	}
	return nil
}

func cells(texts []string) table.Row {
	row := make(table.Row, len(texts))
	for i, t := range texts {
		row[i] = t
	}
	return row
}
