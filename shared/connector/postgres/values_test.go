package postgres

import (
	"bytes"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"pgregory.net/rapid"
)

// Decimals agree with numbers of any size.
func TestDecimals(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		scale := rapid.IntRange(0, 38).Draw(t, "scale")
		precision := rapid.IntRange(max(scale, 1), 38).Draw(t, "precision")
		text := rapid.StringMatching(`-?[0-9]{1,40}(\.[0-9]{0,40})?`).Draw(t, "text")
		got, ok := decimalParser(precision, scale)([]byte(text))
		want, _ := new(big.Rat).SetString(strings.TrimSuffix(text, "."))
		want.Mul(want, new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)), nil)))
		fits := want.IsInt() && len(strings.TrimPrefix(want.Num().String(), "-")) <= precision
		if ok != fits || ok && got.BigInt().Cmp(want.Num()) != 0 {
			t.Fatalf("%s as decimal(%d,%d) is %s, %v; want %s, %v", text, precision, scale, got.BigInt(), ok, want, fits)
		}
	})
	for _, bad := range []string{"", "-", ".", "1e5", "NaN", "Infinity", "1.2.3", "+1", " 1", "1,5"} {
		if n, ok := decimalParser(38, 2)([]byte(bad)); ok && bad != "." && bad != "-" {
			t.Errorf("%q is %s", bad, n.BigInt())
		}
	}
}

// Dates and instants agree with package time.
func TestInstants(t *testing.T) {
	first, last := time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro(), time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC).UnixMicro()
	rapid.Check(t, func(t *rapid.T) {
		micros := rapid.Int64Range(first, last).Draw(t, "micros")
		at := time.UnixMicro(micros).UTC()
		text := at.Format("2006-01-02 15:04:05.999999")
		if got, ok := parseTimestamp([]byte(text)); !ok || int64(got) != micros {
			t.Fatalf("%s is %d, %v; want %d", text, got, ok, micros)
		}
		if got, ok := parseTimestampTZ([]byte(text + "+00")); !ok || int64(got) != micros {
			t.Fatalf("%s+00 is %d, %v; want %d", text, got, ok, micros)
		}
		if got, ok := parseDate([]byte(text[:10])); !ok || got != arrow.Date32FromTime(at) {
			t.Fatalf("%s is %d, %v; want %d", text[:10], got, ok, arrow.Date32FromTime(at))
		}
	})
	for _, bad := range []string{"", "infinity", "-infinity", "2024-01-01", "2024-01-01 00:00:00+00", "2024-01-01 00:00:00 BC", "12024-01-01 00:00:00", "0000-01-01 00:00:00", "2024-13-01 00:00:00",
		"2024-01-01T00:00:00", "2024-01-01 00:00:00.", "2024-01-01 00:00:00.1234567", "2024-01-01 00:0a:00"} {
		if got, ok := parseTimestamp([]byte(bad)); ok {
			t.Errorf("%q is %d", bad, got)
		}
	}
	for _, bad := range []string{"2024-01-01 00:00:00", "2024-01-01 00:00:00+02", "+00", ""} {
		if got, ok := parseTimestampTZ([]byte(bad)); ok {
			t.Errorf("%q is %d", bad, got)
		}
	}
}

func TestIntegers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64().Draw(t, "n")
		if got, ok := parseInt([]byte(fmt.Sprint(n))); !ok || got != n {
			t.Fatalf("%d is %d, %v", n, got, ok)
		}
	})
	for _, bad := range []string{"", "-", "1a", "9223372036854775808", "1.0"} {
		if got, ok := parseInt([]byte(bad)); ok {
			t.Errorf("%q is %d", bad, got)
		}
	}
}

var copyEscape = strings.NewReplacer("\\", `\\`, "\b", `\b`, "\f", `\f`, "\n", `\n`, "\r", `\r`, "\t", `\t`, "\v", `\v`)

// A line of COPY is split into what it was made of.
func TestCopyLines(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.SampledFrom([]string{"", "a", `\N`, `\`, "\t", "\n", "\b\f\r\v", "ü", `x\y`, "N", "\x00", "long text without anything"}), 1, 8).Draw(t, "values")
		var line []string
		for _, v := range values {
			if v == "\x00" {
				line = append(line, `\N`)
			} else {
				line = append(line, copyEscape.Replace(v))
			}
		}
		got := splitRow([]byte(strings.Join(line, "\t")), nil)
		if len(got) != len(values) {
			t.Fatalf("%d values of %q", len(got), line)
		}
		for i, v := range values {
			if got[i].null != (v == "\x00") || !got[i].null && string(got[i].text) != v {
				t.Fatalf("value %d is %q, null %v; want %q", i, got[i].text, got[i].null, v)
			}
		}
	})
}

// An array's text is split into its elements.
func TestArrayElements(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.SampledFrom([]string{"", "a", "NULL", "\x00", `"`, `\`, "a,b", "{", "}", " ", "ü", `\"`}), 0, 6).Draw(t, "values")
		var parts []string
		for _, v := range values {
			switch {
			case v == "\x00":
				parts = append(parts, "NULL")
			case v == "a" || v == "ü":
				parts = append(parts, v)
			default:
				parts = append(parts, `"`+strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(v)+`"`)
			}
		}
		got, ok := elements([]byte("{"+strings.Join(parts, ",")+"}"), nil)
		if !ok || len(got) != len(values) {
			t.Fatalf("%d elements of %q, %v", len(got), parts, ok)
		}
		for i, v := range values {
			if got[i].null != (v == "\x00") || !got[i].null && string(got[i].text) != v {
				t.Fatalf("element %d is %q, null %v; want %q", i, got[i].text, got[i].null, v)
			}
		}
	})
	for _, bad := range []string{"", "{", "}", "{{1}}", "[0:1]={1,2}", `{"a}`, `{"a\`, "{,}", "{1,}", `{"a"b}`} {
		if got, ok := elements([]byte(bad), nil); ok {
			t.Errorf("%q has %d elements", bad, len(got))
		}
	}
}

// Keys are in the order that the server has them in, where an order is known.
func TestOrders(t *testing.T) {
	t.Parallel()
	d := newDB(t)
	for typ, values := range map[string]string{
		"int": "SELECT (random() * 2000 - 1000)::int", "bigint": "SELECT (random() * 1e18 - 5e17)::bigint", "uuid": "SELECT gen_random_uuid()", "date": "SELECT date '2024-01-01' + (random() * 4000)::int - 2000",
		"timestamptz": "SELECT timestamptz '2024-01-01' + random() * 1000 * interval '1 day' * CASE WHEN g % 2 = 0 THEN -1 ELSE 1 END", "timestamp": "SELECT timestamp '2024-01-01' + g * interval '1.5 us'",
		"text": "SELECT substr(md5(g::text), 1, 3) || chr(32 + g % 200)", "varchar(20)": "SELECT chr(255 - g % 200) || g",
	} {
		d.sql("DROP TABLE IF EXISTS s; CREATE TABLE s (k " + typ + "); INSERT INTO s " + values + " FROM generate_series(1, 300) g")
		src := d.source(settings{"table": "s", "mode": "full"})
		c, err := src.connect(t.Context())
		must(t, err)
		tab, err := src.describe(t.Context(), c, src.streams["s"])
		must(t, err)
		results, err := c.PgConn().Exec(t.Context(), "SELECT k FROM public.s ORDER BY k").ReadAll()
		must(t, err)
		c.close()
		col, _ := tab.column("k")
		by := orderOf(col, tab.types[col.typeOID])
		if by == nil {
			t.Fatalf("%s has no order", typ)
		}
		for i := 1; i < len(results[0].Rows); i++ {
			a, b := results[0].Rows[i-1][0], results[0].Rows[i][0]
			want := -1
			if bytes.Equal(a, b) {
				want = 0
			}
			if sign, ok := compareKeys([]order{by}, [][]byte{a}, []string{string(b)}); !ok || sign != want {
				t.Fatalf("%s: %s and %s compare as %d, %v; want %d", typ, a, b, sign, ok, want)
			}
		}
	}
}

func TestSequences(t *testing.T) {
	all := []string{sequence("", 0, 0), sequence("", 1, 0), sequence("", 1, 1), sequence("", 1, 16), sequence("", 1<<40, 1<<39), sequence("", 0xFFFFFFFFFFFFFFFF, 0),
		sequence(newEra(1), 0, 0), sequence(newEra(1), 5, 0), sequence(newEra(2), 1, 0), sequence(newEra(1<<55), 0, 0)}
	if !slices.IsSorted(all) {
		t.Errorf("not in order: %q", all)
	}
	if all[4] != "0000010000000000-8000000000" {
		t.Errorf("a sequence is %s", all[4])
	}
	for _, s := range []string{"0/0", "16/B374D848", "FFFFFFFF/FFFFFFFF"} {
		l, err := parseLSN(s)
		if err != nil || l.String() != s {
			t.Errorf("%s is %s, %v", s, l, err)
		}
	}
	for _, s := range []string{"", "1", "1/", "/1", "1/x", "1/123456789"} {
		if _, err := parseLSN(s); err == nil {
			t.Errorf("%s is a place", s)
		}
	}
}

// What is sent is never taken for more than it is: a message that ends too soon is an error, whatever its kind.
func TestShortMessages(t *testing.T) {
	table := &table{oid: 7, types: types{23: {name: "int4", typmod: -1}}, primary: []string{"id"}, identity: []string{"id"}}
	relation := append([]byte{msgRelation, 0, 0, 0, 7}, "public\x00s\x00d\x00\x01\x01id\x00\x00\x00\x00\x17\xff\xff\xff\xff"...)
	insert := []byte{msgInsert, 0, 0, 0, 7, 'N', 0, 1, 't', 0, 0, 0, 1, '5'}
	begin := append([]byte{msgBegin}, make([]byte, 20)...)
	for _, whole := range [][]byte{begin, relation, insert, append([]byte{msgCommit}, make([]byte, 25)...), append([]byte{msgStreamCommit}, make([]byte, 29)...),
		{msgTruncate, 0, 0, 0, 1, 0, 0, 0, 0, 7}, {msgStreamStart, 0, 0, 0, 1, 1}, {msgStreamAbort, 0, 0, 0, 1, 0, 0, 0, 1}} {
		for n := range len(whole) {
			c := &changes{t: table, st: stream{}, spool: newTestSpool(t), big: inProgress{open: map[uint32]*unfinished{}}, pulse: func() error { return nil }}
			for _, m := range [][]byte{begin, relation} {
				if _, err := c.handle(t.Context(), m); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := c.handle(t.Context(), whole[:n]); err == nil && !(n > 4 && whole[0] == msgStreamStart) {
				t.Errorf("%q, cut to %d bytes, is no error", whole, n)
			}
			c.spool.Abort()
		}
	}
}
