// Package quality holds the rules: row rules, which send a row to quarantine with the rule's name as reason, and table tests, which are
// audited on what a step staged, before any reader sees it.
//
// A row passes a rule when its expression is true; NULL does not pass. The score of an audit is the share of rows that hold, in percent,
// averaged over the rules. Rows that are deleted softly carry no values to judge: rules and tests pass over them.
package quality

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/lakestep/lakestep/shared/engine"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/lake"
	"github.com/lakestep/lakestep/shared/pipeline"
)

// Reason is the SQL expression that gives the name of the first quarantining rule that a row fails, NULL when it passes all.
func Reason(rules []pipeline.Rule) string {
	var b strings.Builder
	for _, r := range rules {
		if r.OnFailure == pipeline.OnFailureQuarantine {
			fmt.Fprintf(&b, " WHEN (%s) IS NOT TRUE THEN %s", r.Expr, engine.Literal(r.Name))
		}
	}
	if b.Len() == 0 {
		return "CAST(NULL AS VARCHAR)"
	}
	return "CASE" + b.String() + " END"
}

// Audit is one staged table under test.
type Audit struct {
	Session  *engine.Session
	Declare  *pipeline.Table
	Decision *lake.Decision
	Rows     string                                                       // relation: the table as it will be
	Written  string                                                       // relation: the rows that the batch wrote
	Resolve  func(ctx context.Context, table string) (r Other, err error) // other tables, as they are
}

// Other is another table.
type Other struct {
	Rows    string           // relation; "": it is not there yet
	Deletes pipeline.Deletes // whose marks its rows have
}

// live is the relation of the rows that are not deleted.
func (a *Audit) live() string { return Other{a.Rows, a.Declare.Deletes}.live() }

func (o Other) live() string {
	if o.Deletes != pipeline.SoftDeletes {
		return o.Rows
	}
	return fmt.Sprintf("(SELECT * FROM %s WHERE %s IS NOT TRUE)", o.Rows, pipeline.IsDeleted)
}

// finding is what a rule's query gives.
type finding struct {
	rows, failed int64
	message      string
	sample       string // query for failing rows
}

// Run checks every rule and test of the table.
func (a *Audit) Run(ctx context.Context) ([]lake.Check, error) {
	var out []lake.Check
	for _, r := range a.Declare.Rules {
		f, err := a.rule(ctx, r)
		if err != nil {
			return nil, at(err, r.Pos)
		}
		c, err := a.check(ctx, r.Name, "expect", string(r.OnFailure), f)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	for _, t := range a.Declare.Tests {
		f, err := a.test(ctx, t)
		if err != nil {
			return nil, at(err, t.Pos)
		}
		c, err := a.check(ctx, t.Name, string(t.Kind), string(t.OnFailure), f)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

// at names the place of a rule whose SQL is wrong.
func at(err error, pos pipeline.Position) error {
	if fault.KindOf(err) == fault.InvalidInput {
		return fault.New(fault.InvalidInput, "", pos.String(), "%w", err)
	}
	return err
}

// maxSample is how many failing rows a verdict shows.
const maxSample = 10

// maxCell is how many characters of a value it shows: a verdict stays small.
const maxCell = 200

func (a *Audit) check(ctx context.Context, name, kind, severity string, f finding) (lake.Check, error) {
	c := lake.Check{Name: name, Kind: kind, Severity: severity, Rows: f.rows, Failed: f.failed, Message: f.message, Passed: f.failed == 0 && f.message == ""}
	if c.Passed || f.sample == "" {
		return c, nil
	}
	var err error
	if c.Sample, err = a.Session.Sample(ctx, f.sample, maxSample); err != nil {
		return c, err
	}
	for _, row := range c.Sample[1:] {
		for i, cell := range row {
			if runes := []rune(cell); len(runes) > maxCell {
				row[i] = string(runes[:maxCell]) + "..."
			}
		}
	}
	return c, nil
}

// rule counts rows that fail a row rule. Rows that a quarantining rule refused are counted by the decision; none may be in the table.
func (a *Audit) rule(ctx context.Context, r pipeline.Rule) (finding, error) {
	f := finding{sample: fmt.Sprintf("SELECT * FROM %s WHERE (%s) IS NOT TRUE", a.live(), r.Expr)}
	err := a.Session.Row(ctx, fmt.Sprintf("SELECT count(*), count(*) FILTER ((%s) IS NOT TRUE) FROM %s", r.Expr, a.live()), &f.rows, &f.failed)
	return f, err
}

func (a *Audit) test(ctx context.Context, t pipeline.Test) (finding, error) {
	switch t.Kind {
	case pipeline.NotNull:
		return a.count(ctx, engine.Ident(t.Column)+" IS NULL")
	case pipeline.Unique:
		return a.unique(ctx, t.Columns)
	case pipeline.AcceptedValues:
		in := "CAST(" + engine.Ident(t.Column) + " AS VARCHAR)"
		return a.count(ctx, fmt.Sprintf("%s IS NOT NULL AND NOT list_contains(%s, %s)", in, engine.Literals(t.Values), in))
	case pipeline.Relationships:
		return a.relationships(ctx, t)
	case pipeline.RowCount:
		return a.rowCount(ctx, t)
	case pipeline.ControlTotal:
		return a.controlTotal(ctx, t)
	case pipeline.Expression:
		return a.expression(ctx, t)
	}
	return finding{}, fault.New(fault.Internal, "test", t.Name, "unknown kind %q", t.Kind)
}

// count is a test of single rows: those for which bad is true fail.
func (a *Audit) count(ctx context.Context, bad string) (finding, error) {
	f := finding{sample: fmt.Sprintf("SELECT * FROM %s WHERE %s", a.live(), bad)}
	err := a.Session.Row(ctx, fmt.Sprintf("SELECT count(*), count(*) FILTER (%s) FROM %s", bad, a.live()), &f.rows, &f.failed)
	return f, err
}

func (a *Audit) unique(ctx context.Context, columns []string) (finding, error) {
	keys := engine.Idents(columns)
	known := make([]string, len(columns))
	for i, c := range columns {
		known[i] = engine.Ident(c) + " IS NOT NULL"
	}
	rows := a.live()
	if slices.Equal(columns, a.Declare.UniqueKey) {
		rows = a.Rows // a key has one row, deleted or not
	}
	groups := fmt.Sprintf("SELECT %s, count(*) AS _rows FROM %s WHERE %s GROUP BY ALL", keys, rows, strings.Join(known, " AND "))
	f := finding{sample: "SELECT * FROM (" + groups + ") WHERE _rows > 1"}
	err := a.Session.Row(ctx, fmt.Sprintf("SELECT coalesce(sum(_rows), 0)::BIGINT, coalesce(sum(_rows - 1), 0)::BIGINT FROM (%s)", groups), &f.rows, &f.failed)
	return f, err
}

// relationships looks for the rows' parents: what is deleted softly in the other table is none.
func (a *Audit) relationships(ctx context.Context, t pipeline.Test) (finding, error) {
	other, err := a.Resolve(ctx, t.To)
	if err != nil {
		return finding{}, err
	}
	parents := other.live()
	if other.Rows == "" {
		parents = fmt.Sprintf("(SELECT CAST(NULL AS VARCHAR) AS %s WHERE false)", engine.Ident(t.Field))
	}
	missing := fmt.Sprintf("SELECT t.* FROM %s t WHERE NOT EXISTS (SELECT 1 FROM %s o WHERE o.%s = t.%s)", a.live(), parents, engine.Ident(t.Field), engine.Ident(t.Column))
	f := finding{sample: missing}
	var failed int64
	if err := a.Session.Row(ctx, fmt.Sprintf("SELECT (SELECT count(*) FROM %s), (SELECT count(*) FROM (%s))", a.live(), missing), &f.rows, &failed); err != nil {
		return f, err
	}
	if share := float64(f.rows-failed) / float64(max(f.rows, 1)); f.rows > 0 && share < t.MinShare {
		f.failed = failed
		f.message = fmt.Sprintf("%.4f of the rows have their %s in %s, at least %g must", share, t.Column, t.To, t.MinShare)
	}
	return f, nil
}

func (a *Audit) rowCount(ctx context.Context, t pipeline.Test) (finding, error) {
	var f finding
	err := a.Session.Row(ctx, "SELECT count(*) FROM "+a.live(), &f.rows)
	switch {
	case t.Min != nil && f.rows < *t.Min:
		f.message = fmt.Sprintf("%d rows, at least %d must be", f.rows, *t.Min)
	case t.Max != nil && f.rows > *t.Max:
		f.message = fmt.Sprintf("%d rows, at most %d may be", f.rows, *t.Max)
	}
	return f, err
}

func (a *Audit) expression(ctx context.Context, t pipeline.Test) (finding, error) {
	var holds bool
	var f finding
	err := a.Session.Row(ctx, fmt.Sprintf("SELECT count(*), coalesce((%s), false) FROM %s", t.Expr, a.live()), &f.rows, &holds)
	if err == nil && !holds {
		f.message = "is not true: " + t.Expr
	}
	return f, err
}

// controlTotal holds what a batch left in the table against what it brought: the rows that it wrote, found again in the table by their
// key, must be as many as the decision accepted, with the sum that its input had after what was superseded or stale. Rows that only removed are
// left out of both.
func (a *Audit) controlTotal(ctx context.Context, t pipeline.Test) (finding, error) {
	var f finding
	want := a.Decision.Control[t.Name]
	keys := a.Declare.UniqueKey
	rows := a.Written
	if len(keys) > 0 {
		rows = fmt.Sprintf("(SELECT t.* FROM %s t SEMI JOIN %s w USING (%s))", a.live(), a.Written, engine.Idents(keys))
	}
	var sum string
	var same bool
	if err := a.Session.Row(ctx, fmt.Sprintf("SELECT n, s::VARCHAR, s = %s FROM (SELECT count(*) AS n, coalesce(sum(%s), 0) AS s FROM %s)",
		number(want.Accepted), t.Expr, rows), &f.rows, &sum, &same); err != nil {
		return f, err
	}
	if brought := a.Decision.Counts.Accepted - want.Removals; f.rows != brought || !same {
		f.message = fmt.Sprintf("the batch brought %d rows with a sum of %s, and left %d rows with a sum of %s", brought, want.Accepted, f.rows, sum)
	}
	return f, nil
}

// number makes a decision's exact text a SQL number.
func number(s string) string {
	if s == "" {
		return "0"
	}
	return s
}

// Score is the percentage of rows that hold, averaged over the checks; refused and read are the rows of the batch that row rules refused.
func Score(checks []lake.Check, refused, read int64) float64 {
	sum, n := 0.0, 0
	for _, c := range checks {
		sum, n = sum+c.Share(), n+1
	}
	if read > 0 {
		sum, n = sum+1-float64(refused)/float64(read), n+1
	}
	if n == 0 {
		return 100
	}
	return 100 * sum / float64(n)
}

// Failures gives the checks that close the gate.
func Failures(checks []lake.Check) []lake.Check {
	var out []lake.Check
	for _, c := range checks {
		if !c.Passed && c.Severity != string(pipeline.OnFailureWarn) {
			out = append(out, c)
		}
	}
	return out
}
