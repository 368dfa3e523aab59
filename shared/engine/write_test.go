package engine_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/engine"
	"github.com/lakestep/lakestep/shared/fault"
)

// everyType is a query with a column of each kind of type, at its edges.
func everyType() string {
	return `SELECT * FROM (VALUES
		('', 1::BIGINT, 1::INTEGER, 1::SMALLINT, 1::TINYINT, 1.5::FLOAT, 2.5::DOUBLE, true, ''::BLOB, DATE '1970-01-01', TIMESTAMP '1970-01-01 00:00:00',
		 1.5::DECIMAL(4,1), 1.25::DECIMAL(9,2), 1.125::DECIMAL(18,3), 1.5::DECIMAL(38,10), 1::DECIMAL(38,0), 0.5::DECIMAL(5,5),
		 [1, NULL], {'x': 1, 'y': ['a', NULL], 'z': {'w': DATE '2020-01-01'}}, MAP {'k': 1.5::DECIMAL(10,2), 'l': NULL}, [{'p': [1::BIGINT]}]),
		('é😀', 9223372036854775807, 2147483647, 32767, 127, 3.4028235e38, 1.7976931348623157e308, false, '\x00\xFF'::BLOB, DATE '0001-01-01', TIMESTAMP '0001-01-01 00:00:00.000001',
		 999.9, 9999999.99, 999999999999999.999, 9999999999999999999999999999.9999999999, 99999999999999999999999999999999999999, 0.99999,
		 [], {'x': NULL, 'y': [], 'z': NULL}, MAP {}, []),
		('x' || chr(10) || '"', -9223372036854775808, -2147483648, -32768, -128, 'nan', 'inf', NULL, 'abc'::BLOB, DATE '9999-12-31', TIMESTAMP '9999-12-31 23:59:59.999999',
		 -999.9, -9999999.99, -999999999999999.999, -9999999999999999999999999999.9999999999, -99999999999999999999999999999999999999, -0.99999,
		 [NULL], NULL, NULL, [NULL]),
		('y', 0, 0, 0, 0, '-inf', 'nan', true, NULL, DATE '1969-12-31', TIMESTAMP '1969-12-31 23:59:59.999999', 0, 0, 0, 0, 0, 0, NULL, {'x': 2, 'y': NULL, 'z': {'w': NULL}}, MAP {'': 0}, NULL),
		('z', 0, 0, 0, 0, -0.0, -0.0, true, NULL, DATE '12000-01-01', TIMESTAMP '12000-01-01 00:00:00.5', 0, 0, 0, 0, 0, 0, NULL, NULL, NULL, NULL),
		(NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)
		) v(s, l, i, sh, b, f, d, bo, bi, da, ts, d4, d9, d18, d38, d380, d5, arr, st, mp, nest)`
}

func TestEveryTypeRoundTrip(t *testing.T) {
	r := newRig(t, engine.Options{})
	r.exec("CREATE TEMP TABLE src AS " + everyType())
	schema := everySchema(t)
	adds := r.write(schema, "SELECT * FROM src")
	rel := r.relation(r.scan(schema, adds))
	for _, f := range schema.Fields {
		typ, err := engine.DuckType(f.Type)
		must(t, err)
		c := engine.Ident(f.Name)
		diff := r.strings(fmt.Sprintf("(SELECT CAST(%s AS %s)::VARCHAR, %s IS NULL FROM src EXCEPT ALL SELECT %s::VARCHAR, %s IS NULL FROM %s)", c, typ, c, c, c, rel))
		if len(diff) > 0 {
			t.Errorf("column %s of %s: lost %q", f.Name, typ, diff)
		}
	}
	if got := r.strings("SELECT count(*) FROM " + rel); got[0][0] != "6" {
		t.Errorf("%s rows", got[0][0])
	}
	s := stats(t, adds[0])
	for c, want := range map[string]string{
		"l": "-9223372036854775808 9223372036854775807 1", "d38": "-9999999999999999999999999999.9999999999 9999999999999999999999999999.9999999999 1",
		"d380": "-99999999999999999999999999999999999999 99999999999999999999999999999999999999 1", "d5": "-0.99999 0.99999 1",
		"s": "  1", "f": "  1", "d": "  1", "bo": "  2", "da": "  1", "ts": "  1", "bi": "  3",
	} {
		got := fmt.Sprintf("%s %s %v", number(s.MinValues[c]), number(s.MaxValues[c]), s.NullCount[c])
		if c == "s" {
			want = " é😀 1"
		}
		if got != want {
			t.Errorf("statistics of %s: %s, want %s", c, got, want)
		}
	}
}

// everySchema is the schema of everyType as Delta has it.
func everySchema(t testing.TB) delta.Schema {
	t.Helper()
	array := func(e delta.Type) delta.Type { return delta.ArrayType{Element: e, ContainsNull: true} }
	st := func(fields ...delta.Field) delta.Type { return delta.StructType{Fields: fields} }
	field := func(n string, ty delta.Type) delta.Field { return delta.Field{Name: n, Type: ty, Nullable: true} }
	return delta.Schema{Fields: []delta.Field{
		field("s", delta.String), field("l", delta.Long), field("i", delta.Integer), field("sh", delta.Short), field("b", delta.Byte),
		field("f", delta.Float), field("d", delta.Double), field("bo", delta.Boolean), field("bi", delta.Binary), field("da", delta.Date), field("ts", delta.Timestamp),
		field("d4", delta.Primitive("decimal(4,1)")), field("d9", delta.Primitive("decimal(9,2)")), field("d18", delta.Primitive("decimal(18,3)")),
		field("d38", delta.Primitive("decimal(38,10)")), field("d380", delta.Primitive("decimal(38,0)")), field("d5", delta.Primitive("decimal(5,5)")),
		field("arr", array(delta.Integer)),
		field("st", st(field("x", delta.Integer), field("y", array(delta.String)), field("z", st(field("w", delta.Date))))),
		field("mp", delta.MapType{Key: delta.String, Value: delta.Primitive("decimal(10,2)"), ValueContainsNull: true}),
		field("nest", array(st(field("p", array(delta.Long))))),
	}}
}

// What Describe says of a query's types; both timestamps are Delta's timestamp.
func TestDescribe(t *testing.T) {
	r := newRig(t, engine.Options{})
	got := r.describe("SELECT TIMESTAMP '2020-01-01' a, TIMESTAMPTZ '2020-01-01 00:00:00+02' b, 1::DECIMAL(5,2) c, ['x'] d, DATE '2020-01-01' e")
	for i, want := range []string{"timestamp", "timestamp", "decimal(5,2)", "array<string>", "date"} {
		if got.Fields[i].Type.String() != want {
			t.Errorf("%s is %s, want %s", got.Fields[i].Name, got.Fields[i].Type, want)
		}
	}
	adds := r.write(got, "SELECT TIMESTAMP '2020-01-01 01:02:03.456789' a, TIMESTAMPTZ '2020-01-01 00:00:00+02' b, 1 c, ['x'] d, DATE '2020-01-01' e")
	rel := r.relation(r.scan(got, adds))
	if rows := fmt.Sprint(r.strings("SELECT a::VARCHAR, b::VARCHAR, epoch_us(a) FROM " + rel)); rows != "[[2020-01-01 01:02:03.456789+00 2019-12-31 22:00:00+00 1577840523456789]]" {
		t.Error(rows)
	}
	for query, kind := range map[string]fault.Kind{
		"SELECT 1::HUGEINT a": fault.SchemaBroken, "SELECT TIME '01:00:00' a": fault.SchemaBroken,
		"SELECT INTERVAL 1 DAY a": fault.SchemaBroken, "SELECT uuid() a": fault.SchemaBroken, "SELECT 1::UBIGINT a": fault.SchemaBroken, "SELECT nothing": fault.InvalidInput,
	} {
		if _, err := r.Describe(t.Context(), query); fault.KindOf(err) != kind {
			t.Errorf("%s: %v", query, err)
		}
	}
}

func TestNoRowsNoFiles(t *testing.T) {
	r := newRig(t, engine.Options{})
	schema := everySchema(t)
	if adds := r.write(schema, "SELECT * FROM ("+everyType()+") WHERE false"); len(adds) != 0 {
		t.Errorf("files %+v", adds)
	}
	rel := r.relation(r.scan(schema, nil))
	if rows := r.strings("SELECT * FROM " + rel); len(rows) != 0 {
		t.Errorf("rows %q", rows)
	}
	entries, err := os.ReadDir(r.root)
	must(t, err)
	if len(entries) != 0 {
		t.Errorf("the lake holds %v", entries)
	}
}

// Bounds hold for every value, and null counts are exact, whatever the values.
func TestStatisticsProperty(t *testing.T) {
	r := newRig(t, engine.Options{})
	schema := delta.Schema{Fields: []delta.Field{
		{Name: "s", Type: delta.String, Nullable: true}, {Name: "d", Type: delta.Primitive("decimal(20,4)"), Nullable: true}, {Name: "f", Type: delta.Double, Nullable: true},
		{Name: "ts", Type: delta.Timestamp, Nullable: true}, {Name: "da", Type: delta.Date, Nullable: true}, {Name: "l", Type: delta.Long, Nullable: true}, {Name: "a\"b.c", Type: delta.Float, Nullable: true},
	}}
	runes := []rune{'a', 'z', ' ', 0x7e, 0x7f, 0x80, 'é', 0xd7ff, 0xe000, 0xffff, 0x10000, '😀', 0x10fffe, 0x10ffff}
	text := rapid.Custom(func(t *rapid.T) string { // long common beginnings, so that the cut decides
		n := rapid.SampledFrom([]int{0, 1, 30, 31, 32, 33, 63, 64, 65, 100, 255, 256, 257, 300}).Draw(t, "length")
		head := strings.Repeat(string(rapid.SampledFrom(runes).Draw(t, "head")), n)
		return head + rapid.StringOfN(rapid.SampledFrom(runes), 0, 40, -1).Draw(t, "tail")
	})
	cell := func(t *rapid.T, v func() string) string {
		if rapid.IntRange(0, 4).Draw(t, "null") == 0 {
			return "NULL"
		}
		return v()
	}
	rapid.Check(t, func(t *rapid.T) {
		var rows []string
		for range rapid.IntRange(1, 8).Draw(t, "rows") {
			rows = append(rows, "("+strings.Join([]string{
				cell(t, func() string { return engine.Literal(text.Draw(t, "text")) }),
				cell(t, func() string {
					return fmt.Sprintf("%d.%04d", rapid.Int64Range(-1e15, 1e15).Draw(t, "d"), rapid.IntRange(0, 9999).Draw(t, "scale"))
				}),
				cell(t, func() string {
					return rapid.SampledFrom([]string{"'nan'::DOUBLE", "'inf'::DOUBLE", "'-inf'::DOUBLE", "0.0", "-0.0", "1e-300", "5e-324", "0.1", "-123456.789e200"}).Draw(t, "f")
				}),
				cell(t, func() string {
					return fmt.Sprintf("make_timestamp(%d)", rapid.Int64Range(-62135596800000000-1e15, 253402300799999999+1e15).Draw(t, "ts"))
				}),
				cell(t, func() string {
					return fmt.Sprintf("DATE '1970-01-01' + %d", rapid.IntRange(-800000, 3000000).Draw(t, "da"))
				}),
				cell(t, func() string { return fmt.Sprint(rapid.Int64Range(-1<<62, 1<<62).Draw(t, "l")) }),
				cell(t, func() string { return rapid.SampledFrom([]string{"0.1", "1e30", "-1e-30", "16777217"}).Draw(t, "f") }),
			}, ", ")+")")
		}
		r.exec(fmt.Sprintf("CREATE OR REPLACE TEMP TABLE v AS SELECT col0::VARCHAR s, col1::DECIMAL(20,4) d, col2::DOUBLE f, col3::TIMESTAMP ts, col4::DATE da, col5::BIGINT l, col6::FLOAT \"a\"\"b.c\" FROM (VALUES %s)", strings.Join(rows, ", ")))
		adds := r.write(schema, "SELECT * FROM v")
		st := stats(r.t, adds[0])
		for _, f := range schema.Fields {
			c := engine.Ident(f.Name)
			if want := r.strings(fmt.Sprintf("SELECT count(*) FILTER (%s IS NULL) FROM v", c))[0][0]; fmt.Sprint(st.NullCount[f.Name]) != want || st.NumRecords != int64(len(rows)) {
				t.Fatalf("%s: %v NULLs, want %s", f.Name, st.NullCount[f.Name], want)
			}
			typ, _ := engine.DuckType(f.Type)
			lo, hasLo := st.MinValues[f.Name]
			hi, hasHi := st.MaxValues[f.Name]
			condition := []string{"false"}
			compare := c
			if f.Type == delta.String { // by code points, as every reader does
				compare = "encode(" + c + ")"
				typ = "BLOB"
			}
			if hasLo {
				condition = append(condition, compare+" < "+bound(f.Type, typ, number(lo)))
			}
			if hasHi {
				slack := "" // timestamps are cut to milliseconds
				if f.Type == delta.Timestamp {
					slack = " + INTERVAL 999 MICROSECONDS"
				}
				condition = append(condition, compare+" > "+bound(f.Type, typ, number(hi))+slack)
			}
			if out := r.strings(fmt.Sprintf("SELECT %s FROM v WHERE %s", c, strings.Join(condition, " OR "))); len(out) > 0 {
				t.Fatalf("%s: outside of %q to %q: %q", f.Name, lo, hi, out)
			}
			if f.Type == delta.Long && (!hasLo || !hasHi) && fmt.Sprint(st.NullCount[f.Name]) != fmt.Sprint(len(rows)) {
				t.Fatalf("%s has no bounds: %s", f.Name, adds[0].Stats)
			}
			if f.Type == delta.String && hasLo && (utf8.RuneCountInString(number(lo)) > 32 || utf8.RuneCountInString(number(hi)) > 65) {
				t.Fatalf("bounds are not cut: %q, %q", lo, hi)
			}
		}
		must(r.t, os.RemoveAll(filepath.Join(r.root, "t"))) // the same attempt writes again
	})
}

func bound(t delta.Type, typ, text string) string {
	if t == delta.String {
		return "encode(" + engine.Literal(text) + ")"
	}
	if t == delta.Timestamp {
		typ = "TIMESTAMPTZ"
	}
	return fmt.Sprintf("CAST(%s AS %s)", engine.Literal(text), typ)
}

// A query that gives more than one data file.
func TestSeveralFiles(t *testing.T) {
	r := newRig(t, engine.Options{})
	schema := delta.Schema{Fields: []delta.Field{{Name: "n", Type: delta.Long, Nullable: true}, {Name: "s", Type: delta.String, Nullable: true}}}
	const rows = 500_000
	adds, err := r.Write(t.Context(), engine.Target{Store: r.store, Table: r.table, Schema: schema, Attempt: 7, Now: now(), Bytes: 2 << 20},
		fmt.Sprintf("SELECT range AS n, md5(range::VARCHAR) AS s FROM range(%d)", rows))
	must(t, err)
	var count, size int64
	names := map[string]bool{}
	for _, a := range adds {
		count += stats(t, a).NumRecords
		size += a.Size
		names[a.Path] = true
		info, err := os.Stat(filepath.Join(r.root, "t", a.Path))
		must(t, err)
		if info.Size() != a.Size {
			t.Errorf("%s has %d bytes, the log says %d", a.Path, info.Size(), a.Size)
		}
	}
	if len(adds) < 2 || len(names) != len(adds) || count != rows {
		t.Errorf("%d files, %d names, %d rows, %d bytes", len(adds), len(names), count, size)
	}
	rel := r.relation(engine.Scan{Store: r.store, Table: r.table, Schema: schema, Files: engine.Files(adds), Position: true})
	if got := r.strings("SELECT count(DISTINCT n), count(DISTINCT (_file, _pos)), max(_file) FROM " + rel)[0]; got[0] != fmt.Sprint(rows) || got[1] != got[0] || got[2] != fmt.Sprint(len(adds)-1) {
		t.Errorf("read back %v", got)
	}
}
