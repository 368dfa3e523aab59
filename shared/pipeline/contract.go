package pipeline

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/lakestep/lakestep/shared/contract"
	"github.com/lakestep/lakestep/shared/document"
)

// contractTests adds the tests that a table's contract asks for. What the contract promises and lakestep cannot check
// is a problem: a promise that nobody checks is none.
func (l *loader) contractTests(t *Table) {
	o := t.Contract
	for _, p := range o.Unsupported {
		l.Add(Position{File: p.File, Line: p.Line, Column: p.Column}, p.Hint, "%s", p.Message)
	}
	for _, c := range o.Columns {
		x := Test{OnFailure: OnFailureFail, FromContract: true, Column: c.Name, Columns: []string{c.Name}, Pos: c.Pos}
		if c.Required {
			x.Kind = NotNull
			l.addContractTest(t, x)
		}
		if c.Unique {
			x.Kind, x.Column = Unique, ""
			l.addContractTest(t, x)
		}
	}
	if len(o.PrimaryKey) > 0 {
		l.addContractTest(t, Test{Kind: Unique, OnFailure: OnFailureFail, FromContract: true, Columns: o.PrimaryKey, Pos: o.Pos})
	}
	for _, q := range o.Quality {
		x := testOf(q)
		if x.Name != "" && nameTaken(t, x.Name) {
			l.Add(q.Pos, "", "two rules of %s are named %q", t.FullName(), x.Name)
		}
		l.addContractTest(t, x)
	}
}

// addContractTest adds a test unless the table has the same already; of two equal ones the stricter counts.
func (l *loader) addContractTest(t *Table, x Test) {
	i := slices.IndexFunc(t.Tests, func(y Test) bool {
		return y.Kind == x.Kind && y.Column == x.Column && y.Expr == x.Expr && slices.Equal(y.Columns, x.Columns) &&
			slices.Equal(y.Values, x.Values) && equalInt(y.Min, x.Min) && equalInt(y.Max, x.Max)
	})
	if i < 0 {
		l.addTest(t, x)
	} else if x.OnFailure == OnFailureFail {
		t.Tests[i].OnFailure = OnFailureFail
	}
}

func equalInt(a, b *int64) bool {
	return (a == nil) == (b == nil) && (a == nil || *a == *b)
}

// testOf turns a quality entry of a contract into a test: into one of the named kinds where it says the same, else into an
// expression.
func testOf(q contract.Quality) Test {
	x := Test{Name: q.Name, OnFailure: OnFailureFail, FromContract: true, Pos: q.Pos}
	if q.Warn {
		x.OnFailure = OnFailureWarn
	}
	none := q.Operator == contract.MustBe && isZero(q.Bounds[0])
	switch {
	case none && q.Metric == contract.NullValues:
		x.Kind, x.Column, x.Columns = NotNull, q.Columns[0], q.Columns
	case none && q.Metric == contract.DuplicateValues:
		x.Kind, x.Columns = Unique, q.Columns
	case none && q.Metric == contract.InvalidValues:
		x.Kind, x.Column, x.Values = AcceptedValues, q.Columns[0], q.Values
	case q.Metric == contract.RowCount && rowCountOf(&x, q):
		x.Kind = RowCount
	default:
		x.Kind, x.Expr = Expression, compare(measure(q), q)
	}
	return x
}

func isZero(bound string) bool {
	v, err := strconv.ParseFloat(bound, 64)
	return err == nil && v == 0
}

// rowCountOf sets Min and Max when the entry is an inclusive range of whole numbers.
func rowCountOf(x *Test, q contract.Quality) bool {
	var n [2]int64
	for i, b := range q.Bounds {
		v, err := strconv.ParseInt(b, 10, 64)
		if err != nil || v < 0 || v > 1<<62 {
			return false
		}
		n[i] = v
	}
	switch q.Operator {
	case contract.MustBe:
		x.Min, x.Max = &n[0], &n[0]
	case contract.MustBeGreaterThan:
		n[0]++
		x.Min = &n[0]
	case contract.MustBeGreaterOrEqualTo:
		x.Min = &n[0]
	case contract.MustBeLessThan:
		n[0]--
		x.Max = &n[0]
	case contract.MustBeLessOrEqualTo:
		x.Max = &n[0]
	case contract.MustBeBetween:
		x.Min, x.Max = &n[0], &n[1]
	default:
		return false
	}
	return true
}

// measure is the SQL aggregate of a metric. It runs on DuckDB and Spark.
func measure(q contract.Quality) string {
	count := "count(*)"
	switch q.Metric {
	case contract.NullValues:
		count = fmt.Sprintf("count(CASE WHEN %s IS NULL THEN 1 END)", quote(q.Columns[0]))
	case contract.MissingValues:
		count = fmt.Sprintf("count(CASE WHEN %s IS NULL OR CAST(%[1]s AS STRING) IN (%s) THEN 1 END)", quote(q.Columns[0]), literals(q.Values))
	case contract.InvalidValues:
		count = fmt.Sprintf("count(CASE WHEN CAST(%s AS STRING) NOT IN (%s) THEN 1 END)", quote(q.Columns[0]), literals(q.Values))
	case contract.DuplicateValues:
		count = duplicates(q.Columns)
	}
	if q.Percent {
		return fmt.Sprintf("coalesce(100.0 * (%s) / nullif(count(*), 0), 0)", count)
	}
	return count
}

// duplicates counts the rows whose key stands in an earlier row; rows with a NULL in the key do not count.
func duplicates(columns []string) string {
	quoted := make([]string, len(columns))
	for i, c := range columns {
		quoted[i] = quote(c)
	}
	if len(quoted) == 1 {
		return fmt.Sprintf("count(%s) - count(DISTINCT %[1]s)", quoted[0])
	}
	present := strings.Join(quoted, " IS NOT NULL AND ") + " IS NOT NULL"
	return fmt.Sprintf("count(CASE WHEN %s THEN 1 END) - count(DISTINCT CASE WHEN %[1]s THEN (%[2]s) END)", present, strings.Join(quoted, ", "))
}

// compare puts the operator and its bounds behind a measure.
func compare(measure string, q contract.Quality) string {
	symbols := map[contract.Operator]string{
		contract.MustBe: "=", contract.MustNotBe: "<>", contract.MustBeGreaterThan: ">", contract.MustBeGreaterOrEqualTo: ">=",
		contract.MustBeLessThan: "<", contract.MustBeLessOrEqualTo: "<=",
	}
	switch q.Operator {
	case contract.MustBeBetween:
		return fmt.Sprintf("(%s) BETWEEN %s AND %s", measure, q.Bounds[0], q.Bounds[1])
	case contract.MustNotBeBetween:
		return fmt.Sprintf("(%s) NOT BETWEEN %s AND %s", measure, q.Bounds[0], q.Bounds[1])
	}
	return fmt.Sprintf("(%s) %s %s", measure, symbols[q.Operator], q.Bounds[0])
}

// quote leaves a plain identifier as it is, so that the SQL runs on engines that quote in different ways.
func quote(column string) string {
	if identifier(column) {
		return column
	}
	return `"` + strings.ReplaceAll(column, `"`, `""`) + `"`
}

func literals(values []string) string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = "'" + strings.ReplaceAll(v, "'", "''") + "'"
	}
	return strings.Join(out, ", ")
}

// againstContract checks that the columns which pipeline.yaml names for a gold table are in its contract.
func (l *loader) againstContract(t *Table, f document.Fields) {
	var known []string
	for _, c := range t.Contract.Columns {
		known = append(known, c.Name)
	}
	check := func(pos Position, columns ...string) {
		for _, c := range columns {
			if c != "" && !slices.Contains(known, c) {
				l.Add(pos, document.DidYouMean(c, known), "column %q is not in the contract %s", c, t.Contract.Contract.File)
			}
		}
	}
	check(f.Pos("unique_key"), t.UniqueKey...)
	check(f.Pos("sequence_by"), t.SequenceBy)
	check(f.Pos("tracked_columns"), t.TrackedColumns...)
	check(f.Pos("surrogate_key"), t.SurrogateKey)
	if t.Materialized == SCD2 {
		check(f.Pos("contract"), "valid_to", "is_current")
	}
	if t.Deletes == SoftDeletes {
		check(f.Pos("contract"), IsDeleted)
	}
	for _, x := range t.Tests {
		if x.Columns == nil {
			check(x.Pos, x.Column)
		}
		check(x.Pos, x.Columns...)
	}
}
