package delta_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/store/mem"
	"pgregory.net/rapid"
)

// kinds are the types of columns in TestPruneAgainstRows, with values that meet each other and the edges of bounds. Values are
// int64, float64, string, bool and time.Time; decimals are hundredths.
var kinds = map[delta.Primitive]*rapid.Generator[any]{
	delta.Long:    rapid.Map(rapid.SampledFrom([]int64{math.MinInt64, -1, 0, 1, 2, 3, 1 << 53, 1<<53 + 1, math.MaxInt64}), toAny[int64]),
	delta.Byte:    rapid.Map(rapid.Int64Range(-2, 2), toAny[int64]),
	delta.Boolean: rapid.Map(rapid.Bool(), toAny[bool]),
	delta.Double:  rapid.Map(rapid.SampledFrom([]float64{-1, math.Copysign(0, -1), 0, 0.1, 0.5, 1e300, math.Inf(1), math.Inf(-1), math.NaN()}), toAny[float64]),
	delta.Float:   rapid.Map(rapid.SampledFrom([]float64{-1, 0, float64(float32(0.1)), 0.5, math.Inf(1), math.NaN()}), toAny[float64]),
	delta.String: rapid.Map(rapid.OneOf(rapid.SampledFrom([]string{"a", "ab", "b", "ü", "\U0010ffff", strings.Repeat("a", 40), strings.Repeat("a", 33),
		strings.Repeat("\U0010ffff", 70), strings.Repeat("x", 31) + "ü\u007f", strings.Repeat("x", 32) + "y"}), rapid.StringN(1, 3, -1)), toAny[string]),
	delta.Date: rapid.Map(rapid.Int64Range(-2, 2), func(d int64) any { return time.Unix(d*86400, 0).UTC() }),
	delta.Timestamp: rapid.Map(rapid.SampledFrom([]int64{-1500, -1000, -999, -1, 0, 1, 999, 1000, 1500, 2000}),
		func(micros int64) any { return time.UnixMicro(micros).UTC() }),
	delta.Decimal(20, 2): rapid.Map(rapid.SampledFrom([]int64{-100, -1, 0, 1, 5, 100, 999_999_999_999_999_999}), func(n int64) any { return hundredths(n) }),
}

type hundredths int64

func toAny[T any](v T) any { return v }

// textOf is a value as predicates and partition values have it.
func textOf(t testing.TB, typ delta.Primitive, v any) string {
	t.Helper()
	if h, ok := v.(hundredths); ok {
		v = decimalText(h)
	}
	text, err := delta.FormatPartitionValue(typ, v)
	must(t, err)
	return *text
}

func decimalText(h hundredths) json.Number {
	sign := ""
	if h < 0 {
		sign, h = "-", -h
	}
	return json.Number(fmt.Sprintf("%s%d.%02d", sign, h/100, h%100))
}

// order compares two values as SQL does.
func order(a, b any) int {
	switch a := a.(type) {
	case int64:
		return cmp.Compare(a, b.(int64))
	case hundredths:
		return cmp.Compare(a, b.(hundredths))
	case bool:
		if a == b.(bool) {
			return 0
		} else if a {
			return 1
		}
		return -1
	case float64: // NaN is above all
		return -cmp.Compare(-a, -b.(float64))
	case time.Time:
		return a.Compare(b.(time.Time))
	}
	return strings.Compare(a.(string), b.(string))
}

// truth is what a predicate is for a row: false, NULL, true.
type truth int

const isFalse, isNull, isTrue truth = -1, 0, 1

func of(b bool) truth {
	if b {
		return isTrue
	}
	return isFalse
}

// condition is a predicate with its own idea of what it is for a row of two columns: "p", and "c" inside of "s".
type condition struct {
	p  delta.Predicate
	on func(row [2]any) truth
}

func drawCondition(rt *rapid.T, t *testing.T, types [2]delta.Primitive, depth int) condition {
	ops := []delta.Op{delta.OpEq, delta.OpNe, delta.OpLt, delta.OpLe, delta.OpGt, delta.OpGe, delta.OpIn, delta.OpIsNull, delta.OpIsNotNull, delta.OpStartsWith}
	if depth > 0 {
		ops = append(ops, delta.OpAnd, delta.OpOr, delta.OpNot, delta.OpTrue, delta.OpFalse)
	}
	op := rapid.SampledFrom(ops).Draw(rt, "op")
	switch op {
	case delta.OpTrue, delta.OpFalse:
		return condition{delta.Predicate{Op: op}, func([2]any) truth { return of(op == delta.OpTrue) }}
	case delta.OpNot:
		arg := drawCondition(rt, t, types, depth-1)
		return condition{delta.Predicate{Op: op, Args: []delta.Predicate{arg.p}}, func(row [2]any) truth { return -arg.on(row) }}
	case delta.OpAnd, delta.OpOr:
		a, b := drawCondition(rt, t, types, depth-1), drawCondition(rt, t, types, depth-1)
		return condition{delta.Predicate{Op: op, Args: []delta.Predicate{a.p, b.p}}, func(row [2]any) truth {
			if op == delta.OpAnd {
				return min(a.on(row), b.on(row))
			}
			return max(a.on(row), b.on(row))
		}}
	}
	column := rapid.IntRange(0, 1).Draw(rt, "column")
	typ := types[column]
	path := [][]string{{"p"}, {"s", "c"}}[column]
	if op == delta.OpIsNull || op == delta.OpIsNotNull {
		return condition{delta.Predicate{Op: op, Column: path}, func(row [2]any) truth { return of((row[column] == nil) == (op == delta.OpIsNull)) }}
	}
	n := 1
	if op == delta.OpIn {
		n = rapid.IntRange(0, 3).Draw(rt, "values")
	}
	var values []any
	p := delta.Predicate{Op: op, Column: path}
	for range n {
		v := kinds[typ].Draw(rt, "value")
		values, p.Values = append(values, v), append(p.Values, textOf(t, typ, v))
	}
	if op == delta.OpStartsWith && typ != delta.String {
		return condition{p, func([2]any) truth { return isTrue }} // means nothing; no file may be skipped
	}
	return condition{p, func(row [2]any) truth { return compareRow(op, row[column], values) }}
}

func compareRow(op delta.Op, x any, values []any) truth {
	if op == delta.OpIn && len(values) == 0 {
		return isFalse
	}
	if x == nil {
		return isNull
	}
	found := isFalse
	for _, v := range values {
		c := order(x, v)
		var r bool
		switch op {
		case delta.OpEq, delta.OpIn:
			r = c == 0
		case delta.OpNe:
			r = c != 0
		case delta.OpLt:
			r = c < 0
		case delta.OpLe:
			r = c <= 0
		case delta.OpGt:
			r = c > 0
		case delta.OpGe:
			r = c >= 0
		case delta.OpStartsWith:
			r = strings.HasPrefix(x.(string), v.(string))
		}
		found = max(found, of(r))
	}
	return found
}

// drawFile gives a file's rows of the column c, and its statistics, as honest writers of all schools make them: with or without
// bounds, with tight ones or not, knowing nothing of NaN.
func drawFile(rt *rapid.T, t *testing.T, typ delta.Primitive) (rows []any, stats string) {
	rows = rapid.SliceOfN(rapid.OneOf(kinds[typ], kinds[typ], rapid.Just[any](nil)), 1, 4).Draw(rt, "rows")
	if rapid.IntRange(0, 9).Draw(rt, "stats") == 0 {
		return rows, ""
	}
	st := delta.Stats{NumRecords: int64(len(rows))}
	var lo, hi any
	nulls := int64(0)
	for _, v := range rows {
		if f, ok := v.(float64); ok && math.IsNaN(f) {
			continue
		}
		switch {
		case v == nil:
			nulls++
			continue
		case lo == nil:
			lo, hi = v, v
		case order(v, lo) < 0:
			lo = v
		case order(v, hi) > 0:
			hi = v
		}
	}
	if rapid.IntRange(0, 9).Draw(rt, "count nulls") == 0 {
		nulls = -1
	}
	if rapid.IntRange(0, 9).Draw(rt, "deleted rows") == 0 { // the file has more rows than are live
		st.TightBounds = new(bool)
		rows = rows[:1]
	}
	bound := func(v any) any {
		if h, ok := v.(hundredths); ok {
			return decimalText(h)
		}
		return v
	}
	must(t, st.SetColumn([]string{"s", "c"}, typ, bound(lo), bound(hi), nulls))
	return rows, st.JSON()
}

// TestPruneAgainstRows: no file is skipped that holds a row for which the predicate is true, and a file counts as wholly
// matched only when it is so for all.
func TestPruneAgainstRows(t *testing.T) {
	skipped := 0
	types := []delta.Primitive{delta.Long, delta.Byte, delta.Boolean, delta.Double, delta.Float, delta.String, delta.Date, delta.Timestamp, delta.Decimal(20, 2)}
	rapid.Check(t, func(rt *rapid.T) {
		pair := [2]delta.Primitive{rapid.SampledFrom(types).Draw(rt, "p"), rapid.SampledFrom(types).Draw(rt, "c")}
		table := delta.Open(mem.New(), "t", testOptions())
		schema := delta.Schema{Fields: []delta.Field{{Name: "p", Type: pair[0], Nullable: true},
			{Name: "s", Type: delta.StructType{Fields: []delta.Field{{Name: "c", Type: pair[1], Nullable: true}}}}}}
		m, p, err := table.NewMetadata(schema, []string{"p"}, nil)
		must(t, err)
		x := table.Empty().Begin(write()).SetMetadata(m).SetProtocol(p)
		rows := map[string][][2]any{}
		for i := range rapid.IntRange(1, 5).Draw(rt, "files") {
			a := file(fmt.Sprintf("f%d", i))
			part := rapid.OneOf(kinds[pair[0]], rapid.Just[any](nil)).Draw(rt, "partition")
			a.PartitionValues = map[string]*string{"p": nil}
			if part != nil {
				a.PartitionValues["p"] = new(string)
				*a.PartitionValues["p"] = textOf(t, pair[0], part)
			}
			var values []any
			values, a.Stats = drawFile(rt, t, pair[1])
			for _, v := range values {
				rows[a.Path] = append(rows[a.Path], [2]any{part, v})
			}
			x.Add(a)
		}
		_, err = x.Commit(t.Context())
		must(t, err)
		s := latest(t, table)
		for range 5 {
			c := drawCondition(rt, t, pair, 2)
			got := s.Prune(c.p)
			skipped += got.ByPartition + got.ByStats
			if len(got.Files)+got.ByPartition+got.ByStats != s.NumFiles() {
				rt.Fatalf("%+v", got)
			}
			kept := map[string]bool{}
			for _, a := range got.Files {
				kept[a.Path] = true
			}
			for _, a := range s.Files() {
				for _, row := range rows[a.Path] {
					if c.on(row) == isTrue && !kept[a.Path] {
						rt.Fatalf("%s is skipped for %s, which is true for %v; %s", a.Path, c.p, row, a.Stats)
					}
				}
			}
			for _, a := range got.Whole {
				for _, row := range rows[a.Path] {
					if c.on(row) != isTrue {
						rt.Fatalf("%s counts as wholly matched by %s, which is not true for %v", a.Path, c.p, row)
					}
				}
			}
		}
	})
	if skipped == 0 {
		t.Error("nothing was ever skipped")
	}
}
