package delta_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/store/mem"
)

// pruneSchema has a partition column and columns of the kinds whose bounds differ.
var pruneSchema = delta.Schema{Fields: []delta.Field{
	{Name: "p", Type: delta.String, Nullable: true},
	{Name: "id", Type: delta.Long, Nullable: true},
	{Name: "name", Type: delta.String, Nullable: true},
	{Name: "half", Type: delta.String, Nullable: true},
	{Name: "at", Type: delta.Timestamp, Nullable: true},
	{Name: "ratio", Type: delta.Double, Nullable: true},
	{Name: "small", Type: delta.Float, Nullable: true},
	{Name: "wide", Type: delta.Double, Nullable: true, Metadata: map[string]json.RawMessage{
		"delta.typeChanges": json.RawMessage(`[{"fromType":"float","toType":"double"}]`)}},
	{Name: "amount", Type: delta.Decimal(30, 2), Nullable: true},
	{Name: "s", Type: delta.StructType{Fields: []delta.Field{{Name: "x", Type: delta.Long, Nullable: true}}}, Nullable: true},
	{Name: "tags", Type: delta.ArrayType{Element: delta.String, ContainsNull: true}, Nullable: true},
}}

// withFiles makes a table whose files are named and have these partition values and statistics.
func withFiles(t testing.TB, files map[string][2]string) *delta.Snapshot {
	t.Helper()
	table := delta.Open(mem.New(), "t", testOptions())
	m, p, err := table.NewMetadata(pruneSchema, []string{"p"}, nil)
	must(t, err)
	x := table.Empty().Begin(write()).SetMetadata(m).SetProtocol(p)
	for name, f := range files {
		a := file(name)
		a.PartitionValues = map[string]*string{"p": nil}
		if f[0] != "" {
			a.PartitionValues["p"] = &f[0]
		}
		if a.Stats = f[1]; a.Stats != "" && json.Valid([]byte(a.Stats)) == false {
			t.Fatalf("stats of %s", name)
		}
		x.Add(a)
	}
	_, err = x.Commit(t.Context())
	must(t, err)
	return latest(t, table)
}

func pred(op delta.Op, column string, values ...string) delta.Predicate {
	return delta.Predicate{Op: op, Column: strings.Split(column, "."), Values: values}
}

func TestPrune(t *testing.T) {
	s := withFiles(t, map[string][2]string{
		"a": {"x", `{"numRecords":2,"minValues":{"id":1,"name":"b","s":{"x":5}},"maxValues":{"id":9,"name":"d","s":{"x":5}},"nullCount":{"id":0,"name":1,"s":{"x":0},"tags":2}}`},
		"b": {"y", `{"numRecords":2,"minValues":{"id":10,"half":"a"},"maxValues":{"id":19,"half":"a\ufffd"},"nullCount":{"id":0,"name":2,"tags":0}}`},
		"c": {"", ``},
		"d": {"y", `{"numRecords":2,"minValues":{"id":"ten","at":"2021-01-01T00:00:00.123Z","ratio":1.5,"small":0.1,"wide":0.1,"amount":-1E+20},"maxValues":{"id":{},"at":"2021-01-01T00:00:00.123Z","ratio":1.5,"small":0.1,"wide":0.1,"amount":1E+20},"nullCount":{"id":3}}`},
		"e": {"z", `{"numRecords":2,"tightBounds":false,"minValues":{"id":9},"maxValues":{"id":1},"nullCount":{"id":0}}`},
	})
	and := func(args ...delta.Predicate) delta.Predicate { return delta.Predicate{Op: delta.OpAnd, Args: args} }
	or := func(args ...delta.Predicate) delta.Predicate { return delta.Predicate{Op: delta.OpOr, Args: args} }
	not := func(p delta.Predicate) delta.Predicate {
		return delta.Predicate{Op: delta.OpNot, Args: []delta.Predicate{p}}
	}
	for _, c := range []struct {
		p    delta.Predicate
		want string // files, those wholly matched in capitals; skipped by partition, by statistics
	}{
		{delta.Predicate{}, "abcde 0 0"},
		{delta.Predicate{Op: delta.OpTrue}, "ABCDE 0 0"},
		{delta.Predicate{Op: delta.OpFalse}, " 5 0"},
		{delta.Predicate{Op: "like"}, "abcde 0 0"},
		{pred(delta.OpEq, "p", "y"), "BD 3 0"},
		{pred(delta.OpEq, "P", "y"), "BD 3 0"},
		{pred(delta.OpNe, "p", "y"), "AE 3 0"}, // NULL <> 'y' is NULL
		{pred(delta.OpIsNull, "p"), "C 4 0"},
		{pred(delta.OpIn, "p", "x", "z", "q"), "AE 3 0"},
		{pred(delta.OpIn, "p"), " 5 0"},
		{not(pred(delta.OpIn, "p")), "ABCDE 0 0"},
		{pred(delta.OpStartsWith, "p", "y"), "BD 3 0"},
		{pred(delta.OpEq, "id", "12"), "bcde 0 1"},
		{pred(delta.OpEq, "id", "twelve"), "abcde 0 0"},
		{pred(delta.OpEq, "id", "1.5"), "abcde 0 0"},
		{pred(delta.OpEq, "nowhere", "12"), "abcde 0 0"},
		{pred(delta.OpLt, "id", "1"), "cde 0 2"},
		{pred(delta.OpLe, "id", "1"), "acde 0 1"},
		{pred(delta.OpGt, "id", "9"), "bcde 0 1"},
		{not(pred(delta.OpGt, "id", "9")), "acde 0 1"},
		{and(pred(delta.OpEq, "p", "y"), pred(delta.OpEq, "id", "3")), "d 3 1"},
		{or(pred(delta.OpEq, "p", "y"), pred(delta.OpEq, "id", "3")), "aBcDe 0 0"},
		{or(pred(delta.OpEq, "p", "y"), pred(delta.OpEq, "id", "33")), "BcDe 0 1"},
		{and(delta.Predicate{}, pred(delta.OpEq, "p", "x")), "a 4 0"},
		{pred(delta.OpIsNull, "id"), "cd 0 3"}, // a null count above the number of rows says nothing
		{pred(delta.OpIsNotNull, "name"), "acde 0 1"},
		{pred(delta.OpStartsWith, "name", "c"), "acde 0 1"},
		{pred(delta.OpStartsWith, "name", "e"), "cde 0 2"},
		{pred(delta.OpStartsWith, "name", "a"), "cde 0 2"},
		{pred(delta.OpEq, "half", "a\U0001f600"), "abcde 0 0"}, // of which a bound cut in half leaves U+FFFD
		{pred(delta.OpEq, "half", "A"), "acde 0 1"},
		{pred(delta.OpNe, "s.x", "5"), "bcde 0 1"},
		{pred(delta.OpIsNull, "s.x"), "abcde 0 0"}, // the struct itself may be NULL
		{pred(delta.OpIsNull, "s"), "abcde 0 0"},   // nothing is recorded about a struct
		{pred(delta.OpIsNull, "tags"), "acde 0 1"}, // of arrays there are counts
		{pred(delta.OpEq, "tags", "x"), "abcde 0 0"},
		{pred(delta.OpGt, "at", "2021-01-01 00:00:00.123999"), "abcde 0 0"}, // cut to milliseconds
		{pred(delta.OpGt, "at", "2021-01-01 00:00:00.124001"), "abce 0 1"},
		{pred(delta.OpLt, "at", "2021-01-01T00:00:00.123Z"), "abce 0 1"},
		{pred(delta.OpGt, "ratio", "2.0"), "abcde 0 0"}, // a NaN, which is larger, is in no bounds
		{pred(delta.OpEq, "ratio", "2.0"), "abce 0 1"},
		{pred(delta.OpEq, "ratio", "NaN"), "abcde 0 0"},
		{pred(delta.OpLt, "ratio", "1.5"), "abce 0 1"},
		{pred(delta.OpEq, "small", "0.10000001"), "abcde 0 0"}, // next to 0.1 as a FLOAT
		{pred(delta.OpEq, "small", "0.2"), "abce 0 1"},
		{pred(delta.OpEq, "wide", "0.10000000149011612"), "abcde 0 0"},        // what the FLOAT 0.1 is as a DOUBLE
		{pred(delta.OpEq, "amount", "100000000000000000001.00"), "abcde 0 0"}, // bounds went through a double
		{pred(delta.OpEq, "amount", "200000000000000000000.00"), "abce 0 1"},
		{pred(delta.OpEq, "amount", "1e999999999"), "abcde 0 0"},
	} {
		got := s.Prune(c.p)
		whole := map[string]bool{}
		for _, a := range got.Whole {
			whole[a.Path] = true
		}
		var names string
		for _, a := range got.Files {
			if whole[a.Path] {
				a.Path = strings.ToUpper(a.Path)
			}
			names += a.Path
		}
		if d := cmp.Diff(c.want, fmt.Sprintf("%s %d %d", names, got.ByPartition, got.ByStats)); d != "" {
			t.Errorf("%s\n%s", c.p, d)
		}
	}
}
