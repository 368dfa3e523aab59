package quality_test

import (
	"context"
	"flag"
	"fmt"
	"strings"
	"testing"

	"github.com/lakestep/lakestep/shared/cases"
	"github.com/lakestep/lakestep/shared/engine"
	"github.com/lakestep/lakestep/shared/lake"
	"github.com/lakestep/lakestep/shared/lake/laketest"
	"github.com/lakestep/lakestep/shared/pipeline"
	"github.com/lakestep/lakestep/shared/quality"
)

var update = flag.Bool("update", false, "write what the rules say into testdata/*.txt; read the diff before you commit it")

// TestRules runs the cases of testdata/*.txt. A case is
//
//	=== its name
//	a INTEGER | b VARCHAR          the table's columns
//	1 | x                          its rows; NULL is NULL, nothing is an empty text
//	--- other                      the table silver.other, in the same way, with soft deletes if it has is_deleted; left out: there is none
//	--- rules
//	- { not_null: a }              as in pipeline.yaml
//	--- want
//	one line a check: name, severity, passed or FAILED, failed/rows, and the message; then the score and the gate.
//	A rule that cannot run gives its error instead.
func TestRules(t *testing.T) {
	e, err := engine.Open(engine.Options{MemoryMB: 256, Threads: 2, TempDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	cases.Run(t, "testdata/*.txt", *update, func(t *testing.T, c cases.Case) string { return ruleCase(t, e, c) })
}

func ruleCase(t *testing.T, e *engine.Engine, c cases.Case) string {
	if c.Sections["rules"] == "" {
		t.Fatal("the case has no --- rules")
	}
	s, err := e.Session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	makeTable(t, s, "this_table", c.First)
	audit := quality.Audit{Session: s, Declare: declare(t, c.Sections["rules"]), Decision: &lake.Decision{}, Rows: "this_table", Written: "this_table",
		Resolve: func(_ context.Context, name string) (o quality.Other, err error) {
			if _, ok := c.Sections["other"]; !ok {
				return o, nil
			}
			makeTable(t, s, "other_table", c.Sections["other"])
			if header, _, _ := strings.Cut(strings.TrimSpace(c.Sections["other"]), "\n"); strings.Contains(header, pipeline.IsDeleted) {
				o.Deletes = pipeline.SoftDeletes
			}
			o.Rows = "other_table"
			return o, nil
		}}
	return said(audit.Run(t.Context()))
}

func said(checks []lake.Check, err error) string {
	if err != nil {
		text, _, _ := strings.Cut(err.Error(), "\n")
		return text
	}
	var b strings.Builder
	for _, c := range checks {
		word := "FAILED"
		if c.Passed {
			word = "passed"
		}
		fmt.Fprintf(&b, "%s %s %s %d/%d %s", c.Name, c.Severity, word, c.Failed, c.Rows, c.Message)
		text := strings.TrimRight(b.String(), " ")
		b.Reset()
		b.WriteString(text + "\n")
		if c.Failed > 0 && int64(len(c.Sample)-1) != min(c.Failed, 10) && c.Kind != string(pipeline.Unique) {
			fmt.Fprintf(&b, "(a sample of %d rows)\n", len(c.Sample)-1)
		}
	}
	gate := "open"
	if len(quality.Failures(checks)) > 0 {
		gate = "closed"
	}
	fmt.Fprintf(&b, "score %.2f, gate %s", quality.Score(checks, 0, 0), gate)
	return b.String()
}

// makeTable makes a temporary table of a header and rows.
func makeTable(t *testing.T, s *engine.Session, name, text string) {
	t.Helper()
	lines := strings.Split(strings.Trim(text, "\n"), "\n")
	var columns []string
	for _, c := range cells(lines[0]) {
		column, typ, _ := strings.Cut(c, " ")
		columns = append(columns, engine.Ident(column)+" "+typ)
	}
	queries := []string{"CREATE TEMP TABLE " + name + " (" + strings.Join(columns, ", ") + ")"}
	for _, line := range lines[1:] {
		var values []string
		for _, c := range cells(line) {
			if c == "NULL" {
				values = append(values, "NULL")
			} else {
				values = append(values, engine.Literal(c))
			}
		}
		queries = append(queries, "INSERT INTO "+name+" VALUES ("+strings.Join(values, ", ")+")")
	}
	for _, q := range queries {
		if err := s.Exec(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
}

func cells(line string) []string {
	out := strings.Split(line, "|")
	for i := range out {
		out[i] = strings.TrimSpace(out[i])
	}
	return out
}

// declare is silver.this with rules, as pipeline.yaml declares it.
func declare(t *testing.T, rules string) *pipeline.Table {
	t.Helper()
	p := laketest.Pipeline(t, map[string]string{
		"x.sql": `SELECT _row, * FROM {{ changes "bronze.x" }}`,
		"pipeline.yaml": `name: x
lake: lake
sources: { s: { connector: files, path: landing, streams: { x: { path: '*.csv', format: csv } } } }
bronze: { x: { stream: s.x } }
silver:
  other: { model: x.sql, materialized: append }
  this:
    model: x.sql
    materialized: append
    quality:
` + "      " + strings.ReplaceAll(rules, "\n", "\n      ") + "\n"})
	table, _ := p.Table("silver.this")
	return table
}
