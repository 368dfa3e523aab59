package engine_test

import (
	"testing"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/engine"
	"github.com/lakestep/lakestep/shared/fault"
)

func predicateSchema() delta.Schema {
	f := func(name string, t delta.Type) delta.Field { return delta.Field{Name: name, Type: t, Nullable: true} }
	inner := delta.StructType{Fields: []delta.Field{f("b", delta.Long), f("c.d", delta.String)}}
	return delta.Schema{Fields: []delta.Field{f("l", delta.Long), f("i", delta.Integer), f("t", delta.Byte), f("s", delta.String), f("x", delta.Double), f("f", delta.Float),
		f("m", delta.Decimal(10, 2)), f("d", delta.Date), f("ts", delta.Timestamp), f("ntz", delta.TimestampNTZ), f("ok", delta.Boolean), f("bin", delta.Binary),
		f("A", inner), f("list", delta.ArrayType{Element: delta.Long})}}
}

func TestConditionsAreReadAsFarAsTheyAreCertain(t *testing.T) {
	r := newRig(t, engine.Options{})
	for _, c := range []struct{ sql, want string }{
		{"l = 1", `l = "1"`}, {"1 < l", `l > "1"`}, {"L <> -5", `l <> "-5"`}, {"l >= 1_000", `l >= "1000"`}, {"l <= 2 -- few", `l <= "2"`},
		{"l = 9223372036854775807", `l = "9223372036854775807"`}, {"l < 9223372036854775808", "unknown"}, {"t = 300", "unknown"}, {"t = 127", `t = "127"`},
		{"l = 1.0", `l = "1"`}, {"l > 1.5", "unknown"}, {"l = 1e3", "unknown"}, {"l = '1.5'", `l = "2"`}, {"l = CAST('1' AS VARCHAR)", "unknown"},
		{"l BETWEEN 1 AND 2", `(l >= "1" and l <= "2")`}, {"l NOT BETWEEN 1 AND 2", `not (l >= "1" and l <= "2")`}, {"l BETWEEN '1' AND 2.5", "unknown"},
		{"l BETWEEN 1 AND i", "unknown"}, {"l IN (1, 2)", `l in ("1", "2")`}, {"l NOT IN (1, 2)", `not l in ("1", "2")`}, {"l IN (1, NULL)", "unknown"},
		{"l IN (1, 2e0)", "unknown"}, {"l IN (1, i)", "unknown"}, {"l IN (NULL)", "unknown"}, {"l IN (SELECT 1)", "unknown"},
		{"l = NULL", "unknown"}, {"l IS NULL", "l is null"}, {"l NOTNULL", "l is not null"}, {"(l + 1) IS NULL", "unknown"},
		{"l IS DISTINCT FROM 3", `(l is null or l <> "3")`}, {"l IS NOT DISTINCT FROM NULL", "not l is not null"},
		{"l = i", "unknown"}, {"-l = 5", "unknown"}, {"abs(l) = 5", "unknown"}, {"CAST(l AS INTEGER) = 5", "unknown"},
		{"l = 1 AND i = 2 OR NOT ok", `((l = "1" and i = "2") or not ok = "true")`}, {"NOT (l = 1)", `l <> "1"`},
		{"s = 'it''s'", `s = "it's"`}, {"s = ''", `s = ""`}, {"s = 1", "unknown"}, {"s LIKE 'ab%'", `s starts with "ab"`}, {"s LIKE 'ab'", `s = "ab"`},
		{"s LIKE 'a_b%'", `(s starts with "a" and unknown)`}, {"s LIKE '%b'", "unknown"}, {"s NOT LIKE 'ab%'", `not s starts with "ab"`}, {"s ILIKE 'ab%'", "unknown"},
		{"s LIKE 'a\\%b%' ESCAPE '\\'", "unknown"}, {"s ^@ 'x'", `s starts with "x"`}, {"starts_with(s, 'x')", `s starts with "x"`}, {"s = 'a' COLLATE nocase", "unknown"},
		{"x > 1", `x > "1.0"`}, {"x = 0.1", `x = "0.1"`}, {"x < 'nan'", `x < "NaN"`}, {"x = '-inf'", `x = "-Infinity"`}, {"x > 1e-7", `x > "1.0E-7"`},
		{"f = 0.5", `f = "0.5"`}, {"f = 0.1", "unknown"}, {"f = 16777217", "unknown"}, {"f = CAST('0.1' AS FLOAT)", `f = "0.1"`},
		{"m = 1", `m = "1.00"`}, {"m >= 1.005", "unknown"}, {"m = 1.5", `m = "1.50"`}, {"m > 100000000", "unknown"}, {"m = 1e2", "unknown"},
		{"d = '2026-01-01'", `d = "2026-01-01"`}, {"d >= DATE '1969-12-31'", `d >= "1969-12-31"`}, {"d = TIMESTAMP '2026-01-01'", `d = "2026-01-01"`},
		{"d < TIMESTAMP '2026-01-01 00:00:01'", "unknown"}, {"d = 'yesterday'", "unknown"}, {"d < '10000-01-01'", "unknown"}, {"d < DATE 'infinity'", "unknown"},
		{"ts >= '2026-01-01'", `ts >= "2026-01-01T00:00:00.000000Z"`}, {"ts = TIMESTAMPTZ '2026-01-01 00:00:00.001+01'", `ts = "2025-12-31T23:00:00.001000Z"`},
		{"ts < DATE '2026-01-01'", `ts < "2026-01-01T00:00:00.000000Z"`}, {"ts < TIMESTAMP '1969-12-31 23:59:59.999999'", `ts < "1969-12-31T23:59:59.999999Z"`},
		{"ts > now()", "unknown"}, {"ntz = '2026-01-01 10:00'", `ntz = "2026-01-01 10:00:00.000000"`}, {"ts < 'infinity'", "unknown"},
		{"ok", `ok = "true"`}, {"ok = false", `ok = "false"`}, {"ok IS NOT TRUE", "unknown"}, {"bin = 'x'", "unknown"}, {"bin IS NULL", "bin is null"},
		{"a.b > 3", `A.b > "3"`}, {`a."c.d" = 'x'`, `A.c.d = "x"`}, {"a.nope = 1", "unknown"}, {"nope = 1", "unknown"}, {"a IS NULL", "A is null"}, {"list = [1]", "unknown"},
		{"true", "true"}, {"1 = 1", "unknown"}, {"FALSE", "false"}, {"l = 1 AND EXISTS (SELECT 1)", `(l = "1" and unknown)`}, {"count(*) > 1", "unknown"},
	} {
		p, err := r.ParsePredicate(t.Context(), c.sql, predicateSchema())
		if err != nil {
			t.Errorf("%s: %v", c.sql, err)
		} else if got := p.String(); got != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.sql, got, c.want)
		}
	}
}

func TestWhatIsNotOneConditionIsRefused(t *testing.T) {
	r := newRig(t, engine.Options{})
	for _, sql := range []string{"", "l =", "l = 1 ORDER BY l", "l = 1) OR (true", "l = 1], [l = 2", "l = 1, l = 2", "l = 1] FROM range(3) WHERE [true", "l = 1; DROP TABLE t",
		"l = 1] UNION SELECT [true", "l AS m", "l = 1] --", "SELECT 1", "'"} {
		_, err := r.ParsePredicate(t.Context(), sql, predicateSchema())
		if fault.KindOf(err) != fault.InvalidInput {
			t.Errorf("%q: %v", sql, err)
		}
	}
}
