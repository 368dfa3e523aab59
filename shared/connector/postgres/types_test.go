package postgres

import (
	"fmt"
	"strings"
	"testing"

	"github.com/lakestep/lakestep/tools/servicetest"
)

// typed is a column type with values: in SQL, and as they must come out, "NULL / text" of those that go to the column beside.
var typed = []struct {
	sql    string
	values []string // SQL, come out
}{
	{"bool", []string{"true", "true", "false", "false"}},
	{"int2", []string{"-32768", "-32768", "32767", "32767"}},
	{"int4", []string{"-2147483648", "-2147483648", "2147483647", "2147483647"}},
	{"int8", []string{"-9223372036854775808", "-9223372036854775808", "9223372036854775807", "9223372036854775807", "0", "0"}},
	{"float4", []string{"1.1", "1.1", "'NaN'", "NaN", "'-Infinity'", "-Inf", "3.4028235e38", "3.4028235e+38", "1e-45", "1e-45"}},
	{"float8", []string{"1.1", "1.1", "'NaN'", "NaN", "'Infinity'", "+Inf", "1.7976931348623157e308", "1.7976931348623157e+308", "'-0'", "-0", "5e-324", "5e-324"}},
	{"numeric(12,2)", []string{"1234567890.12", "1234567890.12", "-0.01", "-0.01", "0", "0", "'NaN'", "NULL / NaN"}},
	{"numeric(38,10)", []string{"1234567890123456789012345678.0123456789", "1234567890123456789012345678.0123456789", "-9999999999999999999999999999.9999999999", "-9999999999999999999999999999.9999999999"}},
	{"numeric(38,0)", []string{"99999999999999999999999999999999999999", "99999999999999999999999999999999999999"}},
	{"numeric(3,-2)", []string{"99900", "99900"}},
	{"numeric(3,5)", []string{"0.00999", "0.00999"}},
	{"numeric(39,2)", []string{"1.10", "1.10"}},
	{"numeric", []string{"1.100", "1.100", "'NaN'", "NaN", "12345678901234567890123456789012345678901234567890.5", "12345678901234567890123456789012345678901234567890.5"}},
	{"text", []string{"''", "", "E'a\\tb\\nc\\\\d\\r\\b\\f' || chr(11)", "a\tb\nc\\d\r\b\f\v", `'\N'`, `\N`, `'\.'`, `\.`, "'grüße 😀 \"q\"'", "grüße 😀 \"q\"", "'null'", "null"}},
	{"varchar(10)", []string{"'abc '", "abc "}},
	{"char(5)", []string{"'ab'", "ab   "}},
	{`"char"`, []string{"'x'", "x"}},
	{"name", []string{"'n'", "n"}},
	{"uuid", []string{"'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"}},
	{"json", []string{`'{"b": 1,  "a":[1.10]}'`, `{"b": 1,  "a":[1.10]}`}},
	{"jsonb", []string{`'{"b": 1,  "a":[1.10, "\\n"]}'`, `{"a": [1.10, "\\n"], "b": 1}`}},
	{"xml", []string{"'<a>1</a>'", "<a>1</a>"}},
	{"inet", []string{"'10.0.0.1'", "10.0.0.1", "'10.0.0.0/8'", "10.0.0.0/8"}},
	{"cidr", []string{"'10.0.0.0/8'", "10.0.0.0/8"}},
	{"macaddr", []string{"'08:00:2b:01:02:03'", "08:00:2b:01:02:03"}},
	{"mood", []string{"'very sad'", "very sad"}},
	{"interval", []string{"'1 year 2 mons -3 days 04:05:06.789'", "1 year 2 mons -3 days +04:05:06.789"}},
	{"time", []string{"'24:00:00'", "24:00:00", "'04:05:06.789'", "04:05:06.789"}},
	{"timetz", []string{"'04:05:06+02'", "04:05:06+02"}},
	{"money", []string{"'12.34'", "$12.34"}},
	{"tsvector", []string{"'a:1 b:2'", "'a':1 'b':2"}},
	{"int4range", []string{"'[1,5]'", "[1,6)"}},
	{"bit varying(8)", []string{"B'101'", "101"}},
	{"point", []string{"'(1,2)'", "(1,2)"}},
	{"oid", []string{"'4294967295'", "4294967295"}},
	{"regclass", []string{"'public.other'", "public.other"}},
	{"pair", []string{`ROW(1,'a "b"')`, `(1,"a ""b""")`, "ROW(NULL,NULL)", "(,)"}},
	{"bytea", []string{`'\x00ff10'`, "AP8Q", `''`, ""}},
	{"date", []string{"'2024-02-29'", "2024-02-29", "'0001-01-01'", "0001-01-01", "'9999-12-31'", "9999-12-31", "'infinity'", "NULL / infinity", "'-infinity'", "NULL / -infinity",
		"'0044-03-15 BC'", "NULL / 0044-03-15 BC", "'10000-01-01'", "NULL / 10000-01-01"}},
	{"timestamp", []string{"'2024-02-29 23:59:59.999999'", "2024-02-29T23:59:59.999999Z", "'1969-12-31 23:59:59.5'", "1969-12-31T23:59:59.5Z", "'infinity'", "NULL / infinity",
		"'0044-03-15 01:02:03 BC'", "NULL / 0044-03-15 01:02:03 BC", "'294276-12-31'", "NULL / 294276-12-31 00:00:00"}},
	{"timestamptz", []string{"'2024-02-29 23:59:59.999999+02'", "2024-02-29T21:59:59.999999Z", "'1850-01-01 00:00:00+00'", "1850-01-01T00:00:00Z", "'-infinity'", "NULL / -infinity",
		"'0044-03-15 01:02:03+00 BC'", "NULL / 0044-03-15 01:02:03+00 BC"}},
	{"int4[]", []string{"'{}'", "[]", "'{1,NULL,3}'", "[1,null,3]", "'{{1,2},{3,4}}'", "NULL / {{1,2},{3,4}}", "'[0:1]={1,2}'", "NULL / [0:1]={1,2}"}},
	{"text[]", []string{`'{"a,b","q\"x\\y",NULL,"NULL","",c}'`, `["a,b","q\"x\\y",null,"NULL","","c"]`}},
	{"numeric(6,2)[]", []string{"'{1.10,-2}'", `["1.1","-2"]`, "'{1,NaN}'", "NULL / {1.00,NaN}"}},
	{"numeric[]", []string{"'{1.10,2}'", `["1.10","2"]`}},
	{"bool[]", []string{"'{t,f}'", "[true,false]"}},
	{"date[]", []string{"'{2024-01-01}'", `["2024-01-01"]`, "'{2024-01-01,infinity}'", "NULL / {2024-01-01,infinity}"}},
	{"timestamptz[]", []string{`'{"2024-01-01 00:00:00+00"}'`, `["2024-01-01T00:00:00Z"]`}},
	{"bytea[]", []string{`'{"\\x01","\\xff"}'`, `["AQ==","/w=="]`}},
	{"mood[]", []string{`'{"very sad",ok}'`, `["very sad","ok"]`}},
	{"pair[]", []string{`ARRAY[ROW(1,'a')::pair]`, `{"(1,a)"}`}},
	{"int2vector", []string{"'1 2'", "1 2"}},
	{"price", []string{"1.10", "1.1"}},
	{"prices", []string{"'{1.10,2}'", `["1.1","2"]`}},
	{"positive", []string{"7", "7"}},
}

const typesOfOurOwn = `CREATE TYPE mood AS ENUM ('very sad', 'ok'); CREATE TYPE pair AS (a int, b text); CREATE TABLE other (x int);
	CREATE DOMAIN price AS numeric(10,2); CREATE DOMAIN prices AS price[]; CREATE DOMAIN positive AS int CHECK (VALUE > 0);`

// Every type comes out as it must, and the same from the snapshot as from the changes.
func TestTypes(t *testing.T) {
	t.Parallel()
	d := newDB(t)
	columns, inserts := "id int PRIMARY KEY", ""
	id := 0
	for i, c := range typed {
		columns += fmt.Sprintf(", c%d %s", i, c.sql)
		for k := 0; k < len(c.values); k += 2 {
			id++
			inserts += fmt.Sprintf("INSERT INTO x (id, c%d) VALUES (%d, %s);\n", i, id, c.values[k])
		}
	}
	d.sql(typesOfOurOwn + "CREATE TABLE x (" + columns + "); INSERT INTO x (id) VALUES (0);" + inserts)
	l := d.loader(settings{"table": "x", "mode": "cdc"})
	read := l.drain()
	d.sql("UPDATE x SET id = -id WHERE id > 0") // values come as changes, from the new tuple
	changed := l.drain()
	var fromChanges []row
	for _, r := range changed {
		if r["_op"] == opInsert {
			r["id"] = strings.TrimPrefix(r["id"], "-")
			fromChanges = append(fromChanges, r)
		}
	}
	var fromSnapshot []row
	for _, r := range read {
		if r["id"] != "0" {
			fromSnapshot = append(fromSnapshot, r)
		}
	}
	checkTyped(t, "snapshot", fromSnapshot)
	checkTyped(t, "changes", fromChanges)
	sameRows(t, "changes and snapshot", present(fromChanges), present(fromSnapshot))
	d.sql("UPDATE x SET id = -id WHERE id < 0")
	sameRows(t, "a full load", present(d.all("public.x", nil)), present(read))
}

// present leaves NULLs out: which columns of values that do not fit a file has depends on its rows.
func present(rows []row) (out []row) {
	for _, r := range rows {
		p := row{}
		for k, v := range r {
			if v != null {
				p[k] = v
			}
		}
		out = append(out, p)
	}
	return out
}

func checkTyped(t *testing.T, how string, rows []row) {
	t.Helper()
	byID := map[string]row{}
	for _, r := range rows {
		byID[r["id"]] = r
	}
	id := 0
	for i, c := range typed {
		for k := 0; k < len(c.values); k += 2 {
			id++
			r, column := byID[itoa(id)], fmt.Sprintf("c%d", i)
			got := r[column]
			if other, ok := r[column+"__v_text"]; ok && other != null {
				got += " / " + other
			}
			if got != c.values[k+1] {
				t.Errorf("%s: %s %s came out as %q, want %q", how, c.sql, c.values[k], got, c.values[k+1])
			}
		}
	}
	if len(byID) != id {
		t.Errorf("%s: %d rows, want %d", how, len(byID), id)
	}
}

// Databases in other encodings come as UTF-8; of one without an encoding, what is no text stands beside.
func TestEncodings(t *testing.T) {
	t.Parallel()
	p := servicetest.Postgres(t)
	for encoding, want := range map[string]string{"LATIN1": "id=1 naïve=é€", "SQL_ASCII": `id=1 v__v_text=a\xe9`} {
		name := "encoding_" + strings.ToLower(encoding)
		p.SQL(t, "postgres", "DROP DATABASE IF EXISTS "+name+"; CREATE DATABASE "+name+" ENCODING '"+encoding+"' TEMPLATE template0")
		t.Cleanup(func() { p.SQL(t, "postgres", "DROP DATABASE "+name+" WITH (FORCE)") })
		d := &db{t: t, server: p, name: name, url: p.URL(name)}
		if encoding == "LATIN1" {
			d.sql("CREATE TABLE s (id int PRIMARY KEY, \"naïve\" text)")
			want = strings.ReplaceAll(want, "€", "")
		} else {
			d.sql("CREATE TABLE s (id int PRIMARY KEY, v text)")
		}
		insert := map[string]string{"LATIN1": "INSERT INTO s VALUES (1, 'é')", "SQL_ASCII": `INSERT INTO s VALUES (1, E'a\xe9')`}[encoding]
		d.sql(insert)
		l := d.loader(settings{"table": "s", "mode": "cdc", "slot": "slot_" + name})
		read := l.drain()
		d.sql("DELETE FROM s;" + insert)
		changed := bySeq(l.drain())
		equal(t, encoding+", read", present(read)[0].own().String(), want)
		equal(t, encoding+", changed", present(changed)[1].own().String(), want)
		d.sql("SELECT pg_drop_replication_slot('slot_" + name + "')")
	}
}
