package snowflake

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/lakestep/lakestep/shared/fault"
)

// typed is a column as the server sends it: its type, the type of its array, and what becomes of it.
type typed struct {
	column fakeColumn
	array  arrow.Array
	typ    string
	texts  []string // of each row; "NULL"
	beside []string // in the column beside it; nil is none
}

// build makes an array of JSON values.
func build(t testing.TB, typ arrow.DataType, json string) arrow.Array {
	t.Helper()
	a, _, err := array.FromJSON(memory.DefaultAllocator, typ, strings.NewReader(json))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func decimals128(precision, scale int32, values ...string) arrow.Array {
	b := array.NewDecimal128Builder(memory.DefaultAllocator, &arrow.Decimal128Type{Precision: precision, Scale: scale})
	for _, v := range values {
		if v == "NULL" {
			b.AppendNull()
			continue
		}
		n, err := decimal128.FromString(v, precision, scale)
		if err != nil {
			panic(err)
		}
		b.Append(n)
	}
	return b.NewArray()
}

func bytesArray(values ...[]byte) arrow.Array {
	b := array.NewBinaryBuilder(memory.DefaultAllocator, arrow.BinaryTypes.Binary)
	for _, v := range values {
		if v == nil {
			b.AppendNull()
			continue
		}
		b.Append(v)
	}
	return b.NewArray()
}

var (
	ntz  = arrow.StructOf(arrow.Field{Name: "epoch", Type: arrow.PrimitiveTypes.Int64}, arrow.Field{Name: "fraction", Type: arrow.PrimitiveTypes.Int32})
	tz   = arrow.StructOf(arrow.Field{Name: "epoch", Type: arrow.PrimitiveTypes.Int64}, arrow.Field{Name: "fraction", Type: arrow.PrimitiveTypes.Int32}, arrow.Field{Name: "timezone", Type: arrow.PrimitiveTypes.Int32})
	tzms = arrow.StructOf(arrow.Field{Name: "epoch", Type: arrow.PrimitiveTypes.Int64}, arrow.Field{Name: "timezone", Type: arrow.PrimitiveTypes.Int32})
)

func allTypes(t testing.TB) []typed {
	fixed := func(name string, p, s int) fakeColumn {
		return fakeColumn{Name: name, Type: "fixed", Precision: p, Scale: s, Nullable: true}
	}
	of := func(name, typ string, scale int) fakeColumn { return fakeColumn{Name: name, Type: typ, Scale: scale} }
	big := "99999999999999999999999999999999999999"
	return []typed{
		{fixed("I8", 2, 0), build(t, arrow.PrimitiveTypes.Int8, `[-99, null, 99]`), "int64", []string{"-99", "NULL", "99"}, nil},
		{fixed("I16", 4, 0), build(t, arrow.PrimitiveTypes.Int16, `[-9999, 0, null]`), "int64", []string{"-9999", "0", "NULL"}, nil},
		{fixed("I32", 9, 0), build(t, arrow.PrimitiveTypes.Int32, `[null, 1, -999999999]`), "int64", []string{"NULL", "1", "-999999999"}, nil},
		{fixed("I64", 18, 0), build(t, arrow.PrimitiveTypes.Int64, `[999999999999999999, null, -1]`), "int64", []string{"999999999999999999", "NULL", "-1"}, nil},
		{fixed("D18", 18, 0), decimals128(38, 0, "999999999999999999", "NULL", "-5"), "int64", []string{"999999999999999999", "NULL", "-5"}, nil},
		{fixed("I38", 38, 0), build(t, arrow.PrimitiveTypes.Int64, `[9223372036854775807, null, -9223372036854775808]`), "decimal(38, 0)", []string{"9223372036854775807", "NULL", "-9223372036854775808"}, nil},
		{fixed("D38", 38, 0), decimals128(38, 0, big, "-"+big, "NULL"), "decimal(38, 0)", []string{big, "-" + big, "NULL"}, nil},
		{fixed("S8", 2, 1), build(t, arrow.PrimitiveTypes.Int8, `[-15, 0, null]`), "decimal(2, 1)", []string{"-1.5", "0.0", "NULL"}, nil},
		{fixed("S16", 4, 4), build(t, arrow.PrimitiveTypes.Int16, `[1, -9999, null]`), "decimal(4, 4)", []string{"0.0001", "-0.9999", "NULL"}, nil},
		{fixed("S32", 12, 2), build(t, arrow.PrimitiveTypes.Int32, `[123456789, null, -1]`), "decimal(12, 2)", []string{"1234567.89", "NULL", "-0.01"}, nil},
		{fixed("S64", 18, 9), build(t, arrow.PrimitiveTypes.Int64, `[123456789123456789, null, 1]`), "decimal(18, 9)", []string{"123456789.123456789", "NULL", "0.000000001"}, nil},
		{fixed("S128", 38, 37), decimals128(38, 37, "1.2345678901234567890123456789012345678", "NULL", "-9.9999999999999999999999999999999999999"), "decimal(38, 37)",
			[]string{"1.2345678901234567890123456789012345678", "NULL", "-9.9999999999999999999999999999999999999"}, nil},
		{fixed("F", 12, 2), build(t, arrow.PrimitiveTypes.Float64, `[1.25, null, -1234567.89]`), "decimal(12, 2)", []string{"1.25", "NULL", "-1234567.89"}, nil},
		{of("REAL", "real", 0), build(t, arrow.PrimitiveTypes.Float64, `[0.1, null, 1e300]`), "float64", []string{"0.1", "NULL", "1e+300"}, nil},
		{of("FLAG", "boolean", 0), build(t, arrow.FixedWidthTypes.Boolean, `[true, null, false]`), "bool", []string{"true", "NULL", "false"}, nil},
		{of("TXT", "text", 0), build(t, arrow.BinaryTypes.String, `["", null, "Zürich \u0000 🙂"]`), "utf8", []string{"", "NULL", "Zürich \x00 🙂"}, nil},
		{of("BIN", "binary", 0), bytesArray([]byte{0, 255}, nil, []byte{}), "binary", []string{"0x00FF", "NULL", "0x"}, nil},
		{of("DAY", "date", 0), build(t, arrow.FixedWidthTypes.Date32, `["0001-01-01", null, "9999-12-31"]`), "date32", []string{"0001-01-01", "NULL", "9999-12-31"}, nil},
		{of("TIME9", "time", 9), build(t, arrow.PrimitiveTypes.Int64, `[0, null, 86399999999999]`), "utf8", []string{"00:00:00", "NULL", "23:59:59.999999999"}, nil},
		{of("TIME0", "time", 0), build(t, arrow.PrimitiveTypes.Int32, `[3723, null, 86399]`), "utf8", []string{"01:02:03", "NULL", "23:59:59"}, nil},
		{of("NTZ3", "timestamp_ntz", 3), build(t, arrow.PrimitiveTypes.Int64, `[1704164645123, null, -1]`), "timestamp[us, tz=UTC]",
			[]string{"2024-01-02 03:04:05.123000Z", "NULL", "1969-12-31 23:59:59.999000Z"}, nil},
		{of("NTZ9", "timestamp_ntz", 9), build(t, ntz, `[{"epoch":1704164645,"fraction":123456000}, null, {"epoch":253402300799,"fraction":999999999}]`), "timestamp[us, tz=UTC]",
			[]string{"2024-01-02 03:04:05.123456Z", "NULL", "NULL"}, []string{"NULL", "NULL", "9999-12-31 23:59:59.999999999"}},
		{of("LTZ6", "timestamp_ltz", 6), build(t, arrow.PrimitiveTypes.Int64, `[1704164645123456, null, -62135596800000000]`), "timestamp[us, tz=UTC]",
			[]string{"2024-01-02 03:04:05.123456Z", "NULL", "0001-01-01 00:00:00.000000Z"}, nil},
		{of("LTZ9", "timestamp_ltz", 9), build(t, ntz, `[{"epoch":-1,"fraction":1}, null, {"epoch":0,"fraction":0}]`), "timestamp[us, tz=UTC]",
			[]string{"NULL", "NULL", "1970-01-01 00:00:00.000000Z"}, []string{"1969-12-31 23:59:59.000000001+00:00", "NULL", "NULL"}},
		{of("TZ9", "timestamp_tz", 9), build(t, tz, `[{"epoch":1704157445,"fraction":123456000,"timezone":1560}, null, {"epoch":1704157445,"fraction":7,"timezone":1110}]`), "timestamp[us, tz=UTC]",
			[]string{"2024-01-02 01:04:05.123456Z", "NULL", "NULL"}, []string{"NULL", "NULL", "2024-01-01 19:34:05.000000007-05:30"}},
		{of("TZ3", "timestamp_tz", 3), build(t, tzms, `[{"epoch":1704157445123,"timezone":1440}, null, {"epoch":-1500,"timezone":2280}]`), "timestamp[us, tz=UTC]",
			[]string{"2024-01-02 01:04:05.123000Z", "NULL", "1969-12-31 23:59:58.500000Z"}, nil},
		{of("VAR", "variant", 0), build(t, arrow.BinaryTypes.String, `["{\n  \"a\": 1.50\n}", null, "null"]`), "utf8", []string{"{\n  \"a\": 1.50\n}", "NULL", "null"}, nil},
		{of("OBJ", "object", 0), build(t, arrow.BinaryTypes.String, `["{}", null, "{}"]`), "utf8", []string{"{}", "NULL", "{}"}, nil},
		{of("ARR", "array", 0), build(t, arrow.BinaryTypes.String, `["[]", null, "[]"]`), "utf8", []string{"[]", "NULL", "[]"}, nil},
		{of("GEO", "geography", 0), build(t, arrow.BinaryTypes.String, `["{\"type\":\"Point\"}", null, ""]`), "utf8", []string{`{"type":"Point"}`, "NULL", ""}, nil},
		{of("VEC", "vector", 0), build(t, arrow.FixedSizeListOf(2, arrow.PrimitiveTypes.Float32), `[[1.5, -0.25], null, [0.1, 3]]`), "utf8", []string{"[1.5,-0.25]", "NULL", "[0.1,3]"}, nil},
		{of("DEC", "decfloat", 0), decfloatArray(t), "utf8", []string{"-1.5", "NULL", "12E100"}, nil},
	}
}

func decfloatArray(t testing.TB) arrow.Array {
	exponents := build(t, arrow.PrimitiveTypes.Int16, `[-1, 0, 100]`)
	s, err := array.NewStructArrayWithNulls([]arrow.Array{exponents, bytesArray([]byte{0xf1}, []byte{0}, []byte{12})}, []string{"exponent", "significand"},
		memory.NewBufferBytes([]byte{0b101}), 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// answerOf is a table of these columns.
func answerOf(t testing.TB, all []typed) answer {
	var a answer
	var fields []arrow.Field
	var arrays []arrow.Array
	for _, c := range all {
		a.columns = append(a.columns, c.column)
		fields = append(fields, arrow.Field{Name: c.column.Name, Type: c.array.DataType(), Nullable: true})
		arrays = append(arrays, c.array)
	}
	rec := array.NewRecordBatch(arrow.NewSchema(fields, nil), arrays, int64(arrays[0].Len()))
	c, rows := ipcStream(t, rec)
	a.chunks, a.rows = [][]byte{c}, []int{rows}
	return a
}

// Each type comes exactly, in each of the forms that the server has for it.
func TestTypes(t *testing.T) {
	all := allTypes(t)
	page, err := newFake(t, always(answerOf(t, all))).source(t, fullStream...).Next(t.Context(), request(t))
	if err != nil {
		t.Fatal(err)
	}
	rows, types := rowsOf(t, page), typesOf(t, page)
	for _, c := range all {
		name := c.column.Name
		if types[name] != c.typ {
			t.Errorf("%s is %s, want %s", name, types[name], c.typ)
		}
		check(t, rows, name, c.texts)
		if c.beside != nil {
			check(t, rows, name+"__v_text", c.beside)
		} else if _, ok := types[name+"__v_text"]; ok {
			t.Errorf("there is a column %s__v_text", name)
		}
	}
}

func check(t *testing.T, rows []map[string]string, column string, want []string) {
	t.Helper()
	for i, w := range want {
		got, ok := rows[i][column]
		if !ok {
			got = "NULL"
		}
		if got != w {
			t.Errorf("row %d has %s %q, want %q", i, column, got, w)
		}
	}
}

// What cannot be held exactly is refused by name, never rounded.
func TestTypesThatAreRefused(t *testing.T) {
	f64 := func(json string) arrow.Array { return build(t, arrow.PrimitiveTypes.Float64, json) }
	nan := func() arrow.Array {
		b := array.NewFloat64Builder(memory.DefaultAllocator)
		b.Append(math.NaN())
		return b.NewArray()
	}()
	for name, c := range map[string]typed{
		"a float between two numbers": {column: fakeColumn{Name: "X", Type: "fixed", Precision: 12, Scale: 2}, array: f64(`[1.234]`)},
		"a float that is too large":   {column: fakeColumn{Name: "X", Type: "fixed", Precision: 38, Scale: 0}, array: f64(`[1e60]`)},
		"no number":                   {column: fakeColumn{Name: "X", Type: "fixed", Precision: 12, Scale: 2}, array: nan},
		"more digits than announced":  {column: fakeColumn{Name: "X", Type: "fixed", Precision: 4, Scale: 2}, array: build(t, arrow.PrimitiveTypes.Int32, `[123456]`)},
		"another scale":               {column: fakeColumn{Name: "X", Type: "fixed", Precision: 38, Scale: 2}, array: decimals128(38, 3, "1.234")},
		"no long":                     {column: fakeColumn{Name: "X", Type: "fixed", Precision: 10, Scale: 0}, array: decimals128(38, 0, "99999999999999999999")},
		"a date as text":              {column: fakeColumn{Name: "X", Type: "date"}, array: build(t, arrow.BinaryTypes.String, `["2024"]`)},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := newFake(t, always(answerOf(t, []typed{c}))).source(t, fullStream...).Next(t.Context(), request(t))
			refusedWith(t, err, fault.InvalidInput, "column X", "VARCHAR")
		})
	}
}

// A column that had a value beside it once has that column from then on: chunks in any order make few sets of columns.
func TestValuesBeside(t *testing.T) {
	column := fakeColumn{Name: "AT", Type: "timestamp_ntz", Scale: 9}
	a := answer{columns: []fakeColumn{column}}
	for i := range 20 {
		c, rows := ipcStream(t, array.NewRecordBatch(arrow.NewSchema([]arrow.Field{{Name: "AT", Type: ntz}}, nil),
			[]arrow.Array{build(t, ntz, fmt.Sprintf(`[{"epoch":%d,"fraction":%d}]`, i, i%2))}, 1))
		a.chunks, a.rows = append(a.chunks, c), append(a.rows, rows)
	}
	page, err := newFake(t, always(a)).source(t, fullStream...).Next(t.Context(), request(t))
	if err != nil {
		t.Fatal(err)
	}
	if len(page.Parts) > 2 {
		t.Errorf("%d sets of columns", len(page.Parts))
	}
	if n := len(rowsOf(t, page)); n != 20 {
		t.Errorf("%d rows", n)
	}
}
