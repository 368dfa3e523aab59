package dml_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/dml"
	"github.com/lakestep/lakestep/shared/fault"
)

// refused runs an operation that must fail with the kind and the words, and leave the table as it is.
func (r *rig) refused(op dml.Operation, kind fault.Kind, words ...string) {
	r.t.Helper()
	before := r.snapshot().Version()
	_, err := r.Run(r.t.Context(), op)
	if fault.KindOf(err) != kind {
		r.t.Errorf("%T: %v, want a fault of kind %s", op, err, kind)
		return
	}
	for _, w := range words {
		if !strings.Contains(err.Error()+fault.HintOf(err), w) {
			r.t.Errorf("%T: %v does not say %q", op, err, w)
		}
	}
	if v := r.snapshot().Version(); v != before {
		r.t.Errorf("%T was refused and made version %d", op, v)
	}
}

func TestConstraintsHold(t *testing.T) {
	invariant, err := json.Marshal(`{"expression":{"expression":"v <> ''"}}`)
	must(t, err)
	s := schema(delta.Field{Name: "id", Type: delta.Long}, delta.Field{Name: "v", Type: delta.String, Nullable: true,
		Metadata: map[string]json.RawMessage{"delta.invariants": invariant}}, field("day", delta.Date))
	r := newRig(t, s, nil, map[string]string{"delta.constraints.positive": "id > 0 AND `id` < 1000", "delta.constraints.recent": "day >= DATE '2020-01-01' OR day IS NULL"})
	r.run(dml.Append{Rows: "SELECT range + 1 AS id, 'a' AS v FROM range(3)"})
	for rows, words := range map[string][]string{
		"SELECT 0 AS id, 'a' AS v":                              {"CHECK constraint positive", "'id': 0"},
		"SELECT 7 AS id, '' AS v":                               {"invariant of column v", "'id': 7"},
		"SELECT 7 AS id, NULL AS v":                             {"invariant of column v"}, // NULL is not true
		"SELECT NULL AS id, 'a' AS v":                           {"column id is NOT NULL"},
		"SELECT 'a' AS v":                                       {"column id is NOT NULL"},
		"SELECT 7 AS id, 'b' AS v, DATE '2019-12-31' AS day":    {"CHECK constraint recent", "2019-12-31"},
		"SELECT * FROM (VALUES (1, 'ok'), (-5, 'bad')) x(id,v)": {"'id': -5, 'v': bad"},
	} {
		r.refused(dml.Append{Rows: rows}, fault.SchemaBroken, words...)
		r.refused(dml.Overwrite{Rows: rows}, fault.SchemaBroken, words...)
		r.refused(dml.Merge{Source: rows, On: "false", NotMatched: []dml.Clause{{}}}, fault.SchemaBroken, words...)
	}
	place := "SELECT 0::BIGINT AS _file, 0::BIGINT AS _pos, 0 AS id, 'a' AS v, NULL::DATE AS day"
	r.refused(dml.Replace{Schema: s, Updates: place}, fault.SchemaBroken, "positive")
	r.refused(dml.Replace{Schema: s, Inserts: "SELECT * EXCLUDE (_file, _pos) FROM (" + place + ")"}, fault.SchemaBroken, "positive")
	r.refused(dml.Update{Set: map[string]string{"id": "id - 3"}}, fault.SchemaBroken, "positive")
	r.refused(dml.Update{Set: map[string]string{"id": "NULL"}, Where: "id = 2"}, fault.SchemaBroken, "id is NOT NULL")
	r.refused(dml.Merge{Source: "SELECT 1 AS id, '' AS v", Keys: []string{"id"}, Matched: []dml.Clause{{}}}, fault.SchemaBroken, "invariant")
	r.run(dml.Update{Set: map[string]string{"v": "'changed'"}, Where: "id = 2"})
	r.run(dml.Delete{Where: "id = 3"})
	r.expect("[[1 a ] [2 changed ]]")
}

// A constraint is checked as Spark means it, or not at all.
func TestConstraintsThatAreNotCertain(t *testing.T) {
	s := schema(field("id", delta.Long), field("v", delta.String), field("at", delta.Timestamp), field("f", delta.Float),
		field("x", delta.Double), field("m", delta.Decimal(10, 2)), field("wide", delta.Decimal(38, 18)), field("day", delta.Date), field("ok", delta.Boolean))
	for sql, certain := range map[string]bool{
		`id > 0`: true, `id BETWEEN 1 AND 5 AND v IN ('a', "b")`: true, "`id` < 10 OR NOT (v IS NULL)": true, `length(v) < 5`: true, `id >= -1`: true,
		`at > '2020-01-01'`: false, `f > 0.1`: false, `v RLIKE '^a'`: false, `v LIKE 'a%'`: false, `v = 'a\n'`: false, `id / 2 > 1`: false,
		`upper(v) = 'A'`: false, `id > (SELECT 1)`: false, `missing > 1`: false, `v > 5`: false, `id > 0, id < 5`: false, `id > 0 -- x`: false,
		`CAST(f AS INT) = 1`: false, `'it''s' = v`: false, `id > current_date()`: false,
		// Spark fails at an overflow; DuckDB makes id > 9 of the first, and there is none.
		`id + 1 > 10`: false, `id * 2 > 0`: false, `id - id = 0`: false, `m + 1 > 0`: true, `x * 2 > 0`: true,
		// Where Spark 4.2 says something else about some row: it compares and computes with floats in double precision.
		`f > 0`: true, `f = 16777217`: false, `f = id`: false, `f = '0.1'`: false, `f + 1 > f`: false, `f + f > 0`: true, `f = m`: false, `f < x`: false,
		// It drops digits of decimals beyond 38.
		`m > 0.5`: true, `m * m > 0`: true, `m = 0.100000000000000000000000000000000001`: false, `wide * wide > 0`: false, `wide > 0`: true, `id * m > 1`: true,
		// Times and dates meet in the session's time zone.
		`at > DATE '2020-01-01'`: false, `coalesce(at, day) = at`: false, `day > '2020-01-01'`: true, `day > '2019'`: false, `at = v`: false, `day = v`: false,
		// Texts and numbers: what is a number differs.
		`id = '5.0'`: false, `id IN (1, '2')`: false, `x > id`: true, `x > 0.1 AND x < 1e3`: true, `ok AND NOT ok`: true, `ok = 1`: false, `id AND ok`: false,
		`coalesce(v, '') <> ''`: true, `coalesce(id, 1.5) > 0`: true, `length(id) > 0`: false, `id IN (1, NULL)`: true, `abs(id) < 10`: true, `-id < 0`: true,
	} {
		r := newRig(t, s, nil, map[string]string{"delta.constraints.c": sql})
		_, err := r.Run(t.Context(), dml.Append{Rows: "SELECT 1 AS id, 'a' AS v, now() AS at, 1.5::FLOAT AS f"})
		if certain && err != nil && fault.KindOf(err) != fault.SchemaBroken || !certain && (fault.KindOf(err) != fault.InvalidInput || !strings.Contains(err.Error(), "CHECK constraint c")) {
			t.Errorf("%s: %v", sql, err)
		}
	}
}

func TestAppendOnly(t *testing.T) {
	r := newRig(t, idv(), nil, map[string]string{"delta.appendOnly": "true"})
	r.run(dml.Append{Rows: "SELECT 1 AS id, 'a' AS v"})
	r.run(dml.Merge{Source: "SELECT 2 AS id, 'b' AS v", Keys: []string{"id"}, Matched: []dml.Clause{{}}, NotMatched: []dml.Clause{{}}})
	for _, op := range []dml.Operation{dml.Delete{Where: "id = 1"}, dml.Update{Set: map[string]string{"v": "'x'"}}, dml.Overwrite{Rows: "SELECT 1 AS id, 'a' AS v"},
		dml.Merge{Source: "SELECT 1 AS id, 'b' AS v", Keys: []string{"id"}, Matched: []dml.Clause{{}}}} {
		r.refused(op, fault.InvalidInput, "appendOnly")
	}
}

func TestDefaults(t *testing.T) {
	byDefault := func(sql string) map[string]json.RawMessage {
		text, err := json.Marshal(sql)
		must(t, err)
		return map[string]json.RawMessage{"CURRENT_DEFAULT": text}
	}
	r := newRig(t, schema(field("id", delta.Long), delta.Field{Name: "v", Type: delta.String, Nullable: true, Metadata: byDefault("'new'")},
		delta.Field{Name: "n", Type: delta.Decimal(5, 2), Nullable: true, Metadata: byDefault("-1.5")}, delta.Field{Name: "at", Type: delta.Timestamp, Nullable: true, Metadata: byDefault("now()")}), nil, nil)
	r.run(dml.Append{Rows: "SELECT 1 AS id, NULL AS at"})
	r.run(dml.Append{Rows: "SELECT 2 AS id, NULL AS v, 3 AS n, NULL AS at"})
	r.expect("[[1 new -1.50 ] [2  3.00 ]]")
	r.refused(dml.Append{Rows: "SELECT 1 AS id"}, fault.InvalidInput, "write t: column at", "now()")
}

func TestEvolution(t *testing.T) {
	for _, op := range []func(rows string, ev dml.Evolution) dml.Operation{
		func(rows string, ev dml.Evolution) dml.Operation { return dml.Append{Rows: rows, Evolve: ev} },
		func(rows string, ev dml.Evolution) dml.Operation {
			return dml.Merge{Source: rows, Keys: []string{"id"}, Matched: []dml.Clause{{}}, NotMatched: []dml.Clause{{}}, Evolve: ev}
		},
	} {
		s := schema(delta.Field{Name: "id", Type: delta.Long}, field("n", delta.Integer), field("st", delta.StructType{Fields: []delta.Field{field("a", delta.Integer)}}))
		r := newRig(t, s, nil, map[string]string{"delta.enableTypeWidening": "true"})
		r.run(op("SELECT 1 AS ID, 1 AS n, {'a': 1} AS st", dml.Evolution{}))
		more := "SELECT 2 AS id, 9999999999 AS n, {'a': 2, 'b': [{'c': 'x'}]} AS st, 'new' AS v"
		r.refused(op(more, dml.Evolution{}), fault.SchemaBroken, "column")
		r.refused(op(more, dml.Evolution{AddColumns: true}), fault.InvalidInput, "9999999999") // does not fit an integer
		r.run(op(more, dml.Evolution{AddColumns: true, WidenTypes: true}))
		r.refused(op("SELECT NULL AS id", dml.Evolution{}), fault.SchemaBroken, "NOT NULL")
		r.run(op("SELECT NULL AS id", dml.Evolution{AllowNulls: []string{"id"}}))
		got := fmt.Sprint(r.rows("SELECT id, n, st::VARCHAR, v FROM t ORDER BY id NULLS LAST"))
		if want := "[[1 1 {'a': 1, 'b': NULL} ] [2 9999999999 {'a': 2, 'b': [{'c': x}]} new] [   ]]"; got != want {
			t.Errorf("%s, want %s", got, want)
		}
		want := "struct<id:long,n:long,st:struct<a:integer,b:array<struct<c:string>>>,v:string>"
		if got := r.snapshot().Schema().String(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
		n, _ := r.snapshot().Schema().Field("n")
		if got := string(n.Metadata["delta.typeChanges"]); got != `[{"toType":"long","fromType":"integer"}]` {
			t.Error(got)
		}
	}
	r := newRig(t, schema(field("n", delta.Integer)), nil, nil)
	r.refused(dml.Append{Rows: "SELECT 1::BIGINT AS n", Evolve: dml.Evolution{WidenTypes: true}}, fault.SchemaBroken, "column n", "integer", "long", "delta.enableTypeWidening")
}

// Inside of other types: what was widened is noted with its path, after what was noted before (protocol, "Type Change Metadata").
func TestEvolutionInside(t *testing.T) {
	list := delta.ArrayType{Element: delta.Byte, ContainsNull: true}
	r := newRig(t, schema(field("m", delta.MapType{Key: delta.Byte, Value: list, ValueContainsNull: true})), nil, map[string]string{"delta.enableTypeWidening": "true"})
	wider := dml.Evolution{WidenTypes: true}
	r.run(dml.Append{Rows: "SELECT MAP {1::SMALLINT: [1::TINYINT]} AS m", Evolve: wider})
	r.run(dml.Append{Rows: "SELECT MAP {1::TINYINT: [70000]} AS m", Evolve: wider})
	m, _ := r.snapshot().Schema().Field("m")
	want := `[{"toType":"short","fromType":"byte","fieldPath":"key"},{"toType":"integer","fromType":"byte","fieldPath":"value.element"}]`
	if got := string(m.Metadata["delta.typeChanges"]); got != want {
		t.Errorf("%s, want %s", got, want)
	}

	strict := delta.StructType{Fields: []delta.Field{{Name: "a", Type: delta.ArrayType{Element: delta.Long}}}}
	r = newRig(t, schema(field("m", delta.MapType{Key: delta.Long, Value: strict})), nil, nil)
	rows := "SELECT MAP {1: {'a': [2, NULL]}} AS m"
	r.refused(dml.Append{Rows: rows, Evolve: dml.Evolution{AllowNulls: []string{"m.value", "m.value.a"}}}, fault.InvalidInput, "m.value.a.element")
	r.refused(dml.Append{Rows: rows, Evolve: dml.Evolution{AllowNulls: []string{"m.element"}}}, fault.SchemaBroken, "m.element")
	r.run(dml.Append{Rows: rows + ", TIMESTAMP '2026-01-01' AS at", Evolve: dml.Evolution{AllowNulls: []string{"m.value", "m.value.a", "m.value.a.element"}, AddColumns: true}})
	text, err := r.snapshot().Schema().JSON()
	must(t, err)
	if strings.Contains(text, `"nullable":false`) || strings.Contains(text, `ContainsNull":false`) || strings.Contains(text, `containsNull":false`) || !strings.Contains(text, `"timestamp"`) {
		t.Error(text)
	}
}

// What may go into a column without being asked for, and what not: digits must not be lost silently.
func TestTypesThatFit(t *testing.T) {
	for _, tt := range []struct {
		column delta.Primitive
		value  string
		fits   bool
	}{
		{delta.Long, "1", true}, {delta.Short, "1::BIGINT", true}, {delta.Long, "1.5", false}, {delta.Long, "2.0::DOUBLE", false}, {delta.Long, "'1'", false},
		{delta.Decimal(5, 2), "1", true}, {delta.Decimal(5, 2), "1.5", true}, {delta.Decimal(5, 2), "1.555", false}, {delta.Double, "1.5", true},
		{delta.Double, "1.5::FLOAT", true}, {delta.Float, "1.5::DOUBLE", false}, {delta.Date, "DATE '2020-01-01'", true}, {delta.Date, "now()", false},
		{delta.Timestamp, "DATE '2020-01-01'", true}, {delta.Timestamp, "TIMESTAMP '2020-01-01'", true}, {delta.TimestampNTZ, "now()", true},
		{delta.String, "1", false}, {delta.String, "NULL", true}, {delta.Boolean, "true", true}, {delta.Boolean, "1", false}, {delta.Binary, "'a'", false},
	} {
		r := newRig(t, schema(field("x", tt.column), field("y", delta.Long)), nil, nil)
		_, err := r.Run(t.Context(), dml.Append{Rows: "SELECT " + tt.value + " AS x"})
		if tt.fits && err != nil || !tt.fits && fault.KindOf(err) != fault.SchemaBroken {
			t.Errorf("%s into %s: %v", tt.value, tt.column, err)
		}
	}
	r := newRig(t, schema(field("x", delta.Short)), nil, nil)
	r.refused(dml.Append{Rows: "SELECT 40000 AS x"}, fault.InvalidInput, "40000")
}
