package main

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/engine"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/lake"
	"github.com/lakestep/lakestep/shared/ledger"
	"github.com/lakestep/lakestep/shared/pipeline"
)

func queryCommand(g *globals, io func() streams) *cobra.Command {
	var dir string
	var limit int
	var at []string
	c := &cobra.Command{
		Use:     "query SQL",
		Short:   "Ask the lake: tables are bronze.x, silver.x, gold.x and ops.runs",
		Example: "  lakestep query 'SELECT reason, count(*) FROM silver.quarantine_orders GROUP BY ALL'",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return g.query(c.Context(), io(), dir, args[0], at, limit)
		},
	}
	c.Flags().StringVarP(&dir, "pipeline", "p", defaultPipeline, "folder of the pipeline")
	c.Flags().IntVar(&limit, "limit", 1000, "rows shown at most")
	c.Flags().StringArrayVar(&at, "at", nil, "a table as it was: silver.x=VERSION or silver.x=TIME (may be repeated)")
	return c
}

func (g *globals) query(ctx context.Context, s streams, dir, sql string, at []string, limit int) error {
	if sql = strings.TrimRight(sql, "; \t\n"); sql == "" {
		return fault.New(fault.InvalidInput, "run", "SQL", "it is empty")
	}
	if limit < 1 {
		return fault.New(fault.InvalidInput, "read", fmt.Sprintf("--limit %d", limit), "it is less than 1")
	}
	p, l, where, err := g.open(ctx, dir)
	if err != nil {
		return err
	}
	then, err := pasts(p, at)
	if err != nil {
		return err
	}
	e, err := openEngine(where.Local, "query", limits{})
	if err != nil {
		return err
	}
	defer e.Close()
	session, err := e.Session(ctx)
	if err != nil {
		return err
	}
	defer session.Close()
	if err := lakeViews(ctx, session, l, p, sql, then); err != nil {
		return err
	}
	if s.json {
		return queryJSON(ctx, s, session, p, sql, limit)
	}
	return queryError(showRows(ctx, s, session, sql, limit), p)
}

// queryJSON prints the rows as objects, their values as JSON has them.
func queryJSON(ctx context.Context, s streams, session *engine.Session, p *pipeline.Pipeline, sql string, limit int) error {
	rows, err := session.Strings(ctx, fmt.Sprintf("SELECT CAST(to_json(_lakestep) AS VARCHAR) FROM (\n%s\n) AS _lakestep LIMIT %d", sql, limit))
	if err != nil {
		return queryError(err, p)
	}
	out := make([]json.RawMessage, len(rows))
	for i, r := range rows {
		if !json.Valid([]byte(r[0])) { // NaN, infinity
			return fault.New(fault.InvalidInput, "write", "row as JSON", "%s", r[0]).WithHint("cast what is not finite, or take --output text")
		}
		out[i] = json.RawMessage(r[0])
	}
	return printJSON(s, out)
}

// maxCell is how many letters of a value a table shows.
const maxCell = 120

func shorten(text string) string {
	if r := []rune(text); len(r) > maxCell {
		return string(r[:maxCell-1]) + "…"
	}
	return text
}

var (
	missingTable = regexp.MustCompile(`Table with name (\S+) does not exist!`)
	systemTable  = regexp.MustCompile(`\nDid you mean "(?:pg_catalog|information_schema|main)\.[^\n]*`)
	sqlLine      = regexp.MustCompile(`\nLINE (\d+):`)
)

// queryError tells an error of the engine in terms of the query as it was given, which was asked one line further down.
func queryError(err error, p *pipeline.Pipeline) error {
	if fault.KindOf(err) != fault.InvalidInput {
		return err
	}
	text := systemTable.ReplaceAllString(err.Error(), "")
	text = sqlLine.ReplaceAllStringFunc(text, func(m string) string {
		n, _ := strconv.Atoi(strings.Trim(m, "\nLINE :"))
		return fmt.Sprintf("\nLINE %d:", n-1)
	})
	f := fault.New(fault.InvalidInput, "", "", "%s", text).WithHint("%s", fault.HintOf(err))
	if m := missingTable.FindStringSubmatch(text); m != nil {
		name := m[1]
		for _, n := range ledger.Tables(p) {
			if strings.HasSuffix(n, "."+name) {
				return f.WithHint("%s is read as %s, and is there after a run that made it", name, n)
			}
		}
		return f.WithHint("%s", nearest(p, name))
	}
	return f
}

// lakeViews makes a view of each table that the SQL may mean.
func lakeViews(ctx context.Context, session *engine.Session, l *lake.Lake, p *pipeline.Pipeline, sql string, then map[string]delta.AsOf) error {
	for _, layer := range []string{"bronze", "silver", "gold", "ops"} {
		if err := session.Exec(ctx, "CREATE SCHEMA IF NOT EXISTS "+layer); err != nil {
			return err
		}
	}
	for _, name := range ledger.Tables(p) {
		layer, short, _ := strings.Cut(name, ".")
		if !strings.Contains(strings.ToLower(sql), short) {
			continue
		}
		sc, ok, err := scanOf(ctx, l, name, then)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		relation, err := session.Relation(ctx, sc)
		if err != nil {
			return err
		}
		if err := session.Exec(ctx, fmt.Sprintf("CREATE OR REPLACE VIEW %s.%s AS SELECT * FROM %s", layer, engine.Ident(short), relation)); err != nil {
			return err
		}
	}
	return nil
}

// scanOf is the scan of a table as it is, or as it was then; not ok when there is none yet.
func scanOf(ctx context.Context, l *lake.Lake, name string, then map[string]delta.AsOf) (sc engine.Scan, ok bool, err error) {
	if at, past := then[name]; past {
		table := l.Delta(name)
		snap, err := table.Snapshot(ctx, at)
		if err != nil {
			return sc, false, err
		}
		return engine.NewScan(l.Store, table, snap, engine.Files(snap.Files())), true, nil
	}
	t, err := l.Open(ctx, name)
	if err != nil || !t.Exists() {
		return sc, false, err
	}
	return t.Live(t.Snap), true, nil
}

// pasts reads --at flags: the versions or times of tables.
func pasts(p *pipeline.Pipeline, flags []string) (map[string]delta.AsOf, error) {
	out := map[string]delta.AsOf{}
	for _, f := range flags {
		name, when, ok := strings.Cut(f, "=")
		if !ok {
			return nil, fault.New(fault.InvalidInput, "read", "--at "+f, "it is not TABLE=VERSION or TABLE=TIME")
		}
		if err := known(p, name); err != nil {
			return nil, err
		}
		if _, twice := out[name]; twice {
			return nil, fault.New(fault.InvalidInput, "read", "--at "+f, "the table is named twice")
		}
		flag := atFlags{version: -1, timestamp: when}
		if v, err := strconv.ParseInt(when, 10, 64); err == nil {
			flag = atFlags{version: v}
		}
		at, err := flag.asOf()
		if err != nil {
			return nil, err
		}
		out[name] = at
	}
	return out, nil
}

func cells(texts []string) table.Row {
	row := make(table.Row, len(texts))
	for i, t := range texts {
		row[i] = t
	}
	return row
}
