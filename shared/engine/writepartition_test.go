package engine_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/engine"
	"github.com/lakestep/lakestep/shared/fault"
)

func (r *rig) target(schema delta.Schema, partition ...string) engine.Target {
	return engine.Target{Store: r.store, Table: r.table, Schema: schema, Partition: partition, Attempt: 7, Now: now()}
}

func nullable(name string, t delta.Type) delta.Field {
	return delta.Field{Name: name, Type: t, Nullable: true}
}

// A file for each combination of values, with the values in the log in the protocol's form, and none in its name.
func TestPartitionValues(t *testing.T) {
	for _, tt := range []struct {
		typ    delta.Type
		values string   // SQL
		want   []string // as JSON, sorted
	}{
		{delta.String, `NULL, '', 'a/b', '100%', 'x=y', 'it''s "q"', 'line' || chr(10) || 'break', '日本', '__HIVE_DEFAULT_PARTITION__', '..', 'a'`,
			[]string{"null", `"__HIVE_DEFAULT_PARTITION__"`, `".."`, `"100%"`, `"a"`, `"a/b"`, `"it's \"q\""`, `"line\nbreak"`, `"x=y"`, `"日本"`}},
		{delta.Double, `'nan', '-0.0', '0.0', 'inf', '-inf', '1e-7', '1.5', NULL`, []string{"null", `"-0.0"`, `"-Infinity"`, `"0.0"`, `"1.0E-7"`, `"1.5"`, `"Infinity"`, `"NaN"`}},
		{delta.Float, `'nan', '-0.0', '0.1'`, []string{`"-0.0"`, `"0.1"`, `"NaN"`}},
		{delta.Date, `DATE '1969-12-31', DATE '0001-01-01', NULL`, []string{"null", `"0001-01-01"`, `"1969-12-31"`}},
		{delta.Timestamp, `TIMESTAMPTZ '2020-01-01 01:02:03.000004+00', TIMESTAMPTZ '1969-12-31 23:59:59.999999+00'`,
			[]string{`"1969-12-31T23:59:59.999999Z"`, `"2020-01-01T01:02:03.000004Z"`}},
		{delta.TimestampNTZ, `TIMESTAMP '2020-01-01 01:02:03.000004'`, []string{`"2020-01-01 01:02:03.000004"`}},
		{delta.Decimal(10, 2), `0.5, -0.5, 12345678.90`, []string{`"-0.50"`, `"0.50"`, `"12345678.90"`}},
		{delta.Boolean, `true, false, NULL`, []string{"null", `"false"`, `"true"`}},
		{delta.Byte, `-128, 127`, []string{`"-128"`, `"127"`}},
		{delta.Long, `-9223372036854775808, 9223372036854775807`, []string{`"-9223372036854775808"`, `"9223372036854775807"`}},
		{delta.Binary, `'abc'::BLOB, ''::BLOB, '\xC3\xA9'::BLOB`, []string{"null", `"abc"`, `"é"`}},
	} {
		t.Run(tt.typ.String(), func(t *testing.T) {
			r := newRig(t, engine.Options{})
			typ, err := engine.DuckType(tt.typ)
			must(t, err)
			schema := delta.Schema{Fields: []delta.Field{nullable("p", tt.typ), nullable("n", delta.Long)}}
			query := fmt.Sprintf("SELECT unnest([%s]::%s[]) AS p, 1 AS n", tt.values, typ)
			adds, err := r.Write(t.Context(), r.target(schema, "p"), query)
			must(t, err)
			var got []string
			for _, row := range adds {
				b, err := json.Marshal(row.PartitionValues["p"])
				must(t, err)
				got = append(got, string(b))
				if s := stats(t, row); s.NullCount["p"] != nil || s.NullCount["n"] == nil {
					t.Errorf("statistics %s", row.Stats)
				}
			}
			if set := unique(got); fmt.Sprint(set) != fmt.Sprint(unique(tt.want)) {
				t.Errorf("partitions\n%v, want\n%v", set, unique(tt.want))
			}
			names, err := filepath.Glob(filepath.Join(r.root, "t", "part-7-*.parquet"))
			must(t, err)
			if len(names) != len(adds) {
				t.Errorf("%d files, %d adds", len(names), len(adds))
			}
		})
	}
}

// What the log cannot hold is refused, by name, and not bent.
func TestPartitionValuesRefused(t *testing.T) {
	for query, schema := range map[string]delta.Field{
		"SELECT '\\xFF'::BLOB AS p, 1 AS n":        nullable("p", delta.Binary),
		"SELECT DATE '12000-01-01' AS p, 1 AS n":   nullable("p", delta.Date),
		"SELECT DATE 'infinity' AS p, 1 AS n":      nullable("p", delta.Date),
		"SELECT NULL AS p, 1 AS n":                 {Name: "p", Type: delta.Long},
		"SELECT '' AS p, 1 AS n":                   {Name: "p", Type: delta.String},
		"SELECT TIMESTAMP 'infinity' AS p, 1 AS n": nullable("p", delta.Timestamp),
	} {
		r := newRig(t, engine.Options{})
		s := delta.Schema{Fields: []delta.Field{schema, nullable("n", delta.Long)}}
		adds, err := r.Write(t.Context(), r.target(s, "p"), query)
		if fault.KindOf(err) != fault.InvalidInput {
			t.Errorf("%s: %v, %+v", query, err, adds)
		}
	}
}

// Rows stay in the query's order within their file, in partitions and without.
func TestOrderIsKept(t *testing.T) {
	for _, partition := range [][]string{nil, {"p"}, {"p", "q"}} {
		r := newRig(t, engine.Options{})
		schema := delta.Schema{Fields: []delta.Field{nullable("p", delta.Long), nullable("q", delta.String), nullable("n", delta.Long)}}
		target := r.target(schema, partition...)
		target.Ordered = true
		adds, err := r.Write(t.Context(), target,
			"SELECT range % 3 AS p, (range % 2)::VARCHAR AS q, (range * 7919) % 1000003 AS n FROM range(1000000) ORDER BY n")
		must(t, err)
		rel := r.relation(engine.Scan{Store: r.store, Table: r.table, Schema: schema, Partition: partition, Files: engine.Files(adds), Position: true})
		got := r.strings("SELECT count(*), count(DISTINCT n), coalesce(sum((n < before)::INTEGER)::BIGINT, 0) FROM (SELECT n, lag(n) OVER (PARTITION BY _file ORDER BY _pos) AS before FROM " + rel + ")")
		if fmt.Sprint(got) != "[[1000000 1000000 0]]" {
			t.Errorf("%q: %v", partition, got)
		}
	}
}

// Ten thousand partitions within a small memory.
func TestManyPartitions(t *testing.T) {
	if os.Getenv("LAKESTEP_LONG") == "" {
		t.Skip("SKIPPED: LAKESTEP_LONG is not set")
	}
	r := newRig(t, engine.Options{MemoryMB: 300, Threads: 2})
	schema := delta.Schema{Fields: []delta.Field{nullable("p", delta.Long), nullable("s", delta.String), nullable("st", delta.StructType{
		Fields: []delta.Field{nullable("a", delta.Long), nullable("b", delta.ArrayType{Element: delta.Long, ContainsNull: true})}})}}
	adds, err := r.Write(t.Context(), r.target(schema, "p"),
		"SELECT range % 10000 AS p, md5(range::VARCHAR) AS s, {'a': range, 'b': [range, 1]} AS st FROM range(2000000)")
	must(t, err)
	var rows int64
	for _, a := range adds {
		rows += stats(t, a).NumRecords
	}
	if len(adds) != 10_000 || rows != 2_000_000 {
		t.Errorf("%d files, %d rows", len(adds), rows)
	}
}

func unique(in []string) map[string]bool {
	out := map[string]bool{}
	for _, s := range in {
		out[s] = true
	}
	return out
}
