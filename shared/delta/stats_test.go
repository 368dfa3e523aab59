package delta_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/lakestep/lakestep/shared/delta"
	"pgregory.net/rapid"
)

func bounds(t testing.TB, typ delta.Primitive, lo, hi any) (string, string) {
	t.Helper()
	var s delta.Stats
	must(t, s.SetColumn([]string{"c"}, typ, lo, hi, 0))
	show := func(m map[string]any) string {
		v, ok := m["c"]
		if !ok {
			return "none"
		}
		b, err := json.Marshal(v)
		must(t, err)
		return string(b)
	}
	return show(s.MinValues), show(s.MaxValues)
}

func TestStatsValues(t *testing.T) {
	at := time.Date(1969, 12, 31, 23, 59, 59, 999_999_000, time.UTC)
	zone := time.FixedZone("", -8*3600)
	a32 := strings.Repeat("a", 32)
	cases := []struct {
		name           string
		typ            delta.Primitive
		lo, hi         any
		wantLo, wantHi string
	}{
		{"long beyond float64", delta.Long, int64(-1 << 63), int64(1<<63 - 1), "-9223372036854775808", "9223372036854775807"},
		{"double", delta.Double, -0.5, 1e300, "-0.5", "1e+300"},
		{"NaN max", delta.Double, 1.0, math.NaN(), "none", "none"},
		{"infinite min", delta.Float, float32(math.Inf(-1)), float32(1), "none", "none"},
		{"decimal", delta.Decimal(38, 2), json.Number("-123456789012345678901234567890.12"), "0.10", "-123456789012345678901234567890.12", "0.10"},
		{"date", delta.Date, "2021-02-28", time.Date(2024, 2, 29, 5, 0, 0, 0, time.UTC), `"2021-02-28"`, `"2024-02-29"`},
		{"timestamp before 1970", delta.Timestamp, at, at.Add(time.Microsecond), `"1969-12-31T23:59:59.999Z"`, `"1970-01-01T00:00:00.000Z"`},
		{"timestamp in a zone", delta.Timestamp, at.In(zone), at.In(zone), `"1969-12-31T23:59:59.999Z"`, `"1969-12-31T23:59:59.999Z"`},
		{"ntz", delta.TimestampNTZ, at, at, `"1969-12-31T23:59:59.999"`, `"1969-12-31T23:59:59.999"`},
		{"timestamp after 9999", delta.Timestamp, at, time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), `"1969-12-31T23:59:59.999Z"`, "none"},
		{"boolean", delta.Boolean, false, true, "none", "none"},
		{"binary", delta.Binary, []byte("a"), []byte("b"), "none", "none"},
		{"short string", delta.String, "", a32, `""`, `"` + a32 + `"`},
		{"long string", delta.String, a32 + "b", a32 + "b", `"` + a32 + `"`, `"` + a32 + "\x7f\""},
		{"cut before DEL", delta.String, a32 + "\x7f", a32 + "\x7f", `"` + a32 + `"`, `"` + a32 + "\U0010ffff\""},
		{"cut before ü", delta.String, a32 + "ü", a32 + "ü", `"` + a32 + `"`, `"` + a32 + "\U0010ffff\""},
		{"cut moves past the last character", delta.String, "a", a32 + "\U0010ffffb", `"a"`, `"` + a32 + "\U0010ffff\x7f\""},
		{"nothing sorts higher", delta.String, "a", a32 + strings.Repeat("\U0010ffff", 40), `"a"`, "none"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			lo, hi := bounds(t, c.typ, c.lo, c.hi)
			if lo != c.wantLo || hi != c.wantHi {
				t.Errorf("%s, %s; want %s, %s", lo, hi, c.wantLo, c.wantHi)
			}
		})
	}
	var s delta.Stats
	for typ, v := range map[delta.Primitive]any{delta.Long: "1", delta.String: 1, delta.Date: 1, delta.Timestamp: "x", delta.Double: "1", delta.Decimal(5, 2): "abc"} {
		if s.SetColumn([]string{"c"}, typ, v, v, 0) == nil {
			t.Errorf("%T is accepted for %s", v, typ)
		}
	}
}

func TestStatsStringBounds(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.StringOfN(rapid.RuneFrom([]rune{'a', 0x7f, 0x7e, 'ü', 0xffff, 0x10ffff}), 28, 70, -1)).Draw(rt, "text")
		var s delta.Stats
		must(t, s.SetColumn([]string{"a", "b"}, delta.String, text, text, 0))
		lo := s.MinValues["a"].(map[string]any)["b"].(string)
		if lo > text || utf8.RuneCountInString(lo) > 32 || !utf8.ValidString(lo) {
			rt.Fatalf("min %q", lo)
		}
		if s.MaxValues == nil {
			return
		}
		if hi := s.MaxValues["a"].(map[string]any)["b"].(string); hi < text || utf8.RuneCountInString(hi) > 66 || !utf8.ValidString(hi) {
			rt.Fatalf("max %q of %q", hi, text)
		}
	})
}

func TestStatsText(t *testing.T) {
	s := delta.Stats{NumRecords: 1<<62 + 1}
	must(t, s.SetColumn([]string{"a"}, delta.Long, int64(1<<60+1), int64(1<<60+3), 2))
	must(t, s.SetColumn([]string{"n", "s"}, delta.String, "<x>", "y", 0))
	must(t, s.SetColumn([]string{"all null"}, delta.Long, nil, nil, 9))
	want := `{"numRecords":4611686018427387905,"minValues":{"a":1152921504606846977,"n":{"s":"<x>"}},` +
		`"maxValues":{"a":1152921504606846979,"n":{"s":"y"}},"nullCount":{"a":2,"all null":9,"n":{"s":0}}}`
	if d := cmp.Diff(want, s.JSON()); d != "" {
		t.Error(d)
	}
	back, ok := delta.ParseStats(s.JSON())
	if !ok || back.JSON() != want {
		t.Errorf("%v %s", ok, back.JSON())
	}
	for _, bad := range []string{"", "{", "null", "[]", `{"minValues":{}}`, `{"numRecords":-1}`, `{"numRecords":1.5}`, `{"numRecords":"1"}`} {
		if _, ok := delta.ParseStats(bad); ok {
			t.Errorf("%q is accepted", bad)
		}
	}
}
