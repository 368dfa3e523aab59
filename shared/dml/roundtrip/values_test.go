package roundtrip

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/duckdb/duckdb-go/v2"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/engine"
)

// row is a row of a table by column. Its values are canonical (tools/oracle/canonical.py): int64, float64, bool, texts, lists,
// structs as maps, maps as lists of pairs.
type row map[string]any

// text is the row as canonical JSON: two rows are equal when their texts are.
func (r row) text() string { return jsonText(map[string]any(r)) }

func jsonText(v any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// texts are the rows as sorted canonical JSON under a schema: a column that a row lacks is NULL.
func texts(s delta.Schema, rows []row) []string {
	out := make([]string, len(rows))
	for i, r := range rows {
		full := row{}
		for _, f := range s.Fields {
			full[f.Name] = widen(f.Type, r[f.Name])
		}
		out[i] = full.text()
	}
	slices.Sort(out)
	return out
}

// widen gives a value of a type that was made wider, where its form differs: nothing else changes it.
func widen(t delta.Type, v any) any {
	p, ok := t.(delta.Primitive)
	if !ok || v == nil {
		return v
	}
	if _, scale, ok := p.DecimalParts(); ok {
		whole, fraction, _ := strings.Cut(fmt.Sprint(v), ".")
		if scale == 0 {
			return whole
		}
		return whole + "." + fraction + strings.Repeat("0", scale-len(fraction))
	}
	if n, isInt := v.(int64); isInt && p == delta.Double {
		return float64(n)
	}
	if s, isText := v.(string); isText && p == delta.TimestampNTZ && len(s) == len(time.DateOnly) {
		return s + "T00:00:00.000000"
	}
	return v
}

// normal makes a value that came as JSON (numbers as json.Number) one of ours.
func normal(t delta.Type, v any) any {
	switch t := t.(type) {
	case delta.StructType:
		m, ok := v.(map[string]any)
		if !ok {
			return v
		}
		out := map[string]any{}
		for _, f := range t.Fields {
			out[f.Name] = normal(f.Type, m[f.Name])
		}
		return out
	case delta.ArrayType:
		l, ok := v.([]any)
		if !ok {
			return v
		}
		out := []any{}
		for _, e := range l {
			out = append(out, normal(t.Element, e))
		}
		return out
	case delta.MapType:
		l, ok := v.([]any)
		if !ok {
			return v
		}
		out := []any{}
		for _, e := range l {
			pair := e.([]any)
			out = append(out, []any{normal(t.Key, pair[0]), normal(t.Value, pair[1])})
		}
		return sortedPairs(out)
	}
	n, ok := v.(json.Number)
	if !ok {
		return v
	}
	if t == delta.Float || t == delta.Double {
		f, err := n.Float64()
		if err != nil {
			return string(n)
		}
		return f
	}
	i, err := n.Int64()
	if err != nil {
		return string(n)
	}
	return i
}

func sortedPairs(pairs []any) []any {
	slices.SortFunc(pairs, func(a, b any) int { return cmp.Compare(jsonText(a), jsonText(b)) })
	return pairs
}

// parse reads rows that an oracle sent.
func parse(s delta.Schema, lines []string) ([]row, error) {
	var out []row
	for _, line := range lines {
		d := json.NewDecoder(strings.NewReader(line))
		d.UseNumber()
		var m map[string]any
		if err := d.Decode(&m); err != nil {
			return nil, err
		}
		r := row{}
		for name, v := range m {
			if f, ok := s.Field(name); ok {
				v = normal(f.Type, v)
			}
			r[name] = v // a column that should not be there makes the row unequal
		}
		out = append(out, r)
	}
	return out, nil
}

// scanned makes a value of DuckDB's driver one of ours.
func scanned(t delta.Type, v any) any {
	if v == nil {
		return nil
	}
	switch t := t.(type) {
	case delta.StructType:
		out := map[string]any{}
		for _, f := range t.Fields {
			out[f.Name] = scanned(f.Type, v.(map[string]any)[f.Name])
		}
		return out
	case delta.ArrayType:
		out := []any{}
		for _, e := range v.([]any) {
			out = append(out, scanned(t.Element, e))
		}
		return out
	case delta.MapType:
		out := []any{}
		m := v.(duckdb.OrderedMap)
		for i, k := range m.Keys() {
			out = append(out, []any{scanned(t.Key, k), scanned(t.Value, m.Values()[i])})
		}
		return sortedPairs(out)
	}
	switch v := v.(type) {
	case int8:
		return int64(v)
	case int16:
		return int64(v)
	case int32:
		return int64(v)
	case float32:
		return number(float64(v))
	case float64:
		return number(v)
	case []byte:
		return hex.EncodeToString(v)
	case duckdb.Decimal:
		return decimalText(v.Value, int(v.Scale))
	case time.Time:
		switch t {
		case delta.Date:
			return v.Format(time.DateOnly)
		case delta.Timestamp:
			return v.UTC().Format("2006-01-02T15:04:05.000000Z")
		}
		return v.UTC().Format("2006-01-02T15:04:05.000000")
	}
	return v
}

func number(f float64) any {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	}
	return f
}

func decimalText(n *big.Int, scale int) string {
	digits, sign := new(big.Int).Abs(n).String(), ""
	if n.Sign() < 0 {
		sign = "-"
	}
	if missing := scale + 1 - len(digits); missing > 0 {
		digits = strings.Repeat("0", missing) + digits
	}
	if scale == 0 {
		return sign + digits
	}
	return sign + digits[:len(digits)-scale] + "." + digits[len(digits)-scale:]
}

// compare orders two values of a primitive type as SQL does: NaN is the largest number, and -0 equals 0.
func compare(t delta.Type, a, b any) int {
	p := t.(delta.Primitive)
	if _, _, ok := p.DecimalParts(); ok {
		x, _ := new(big.Rat).SetString(a.(string))
		y, _ := new(big.Rat).SetString(b.(string))
		return x.Cmp(y)
	}
	switch a := a.(type) {
	case int64:
		return cmp.Compare(a, b.(int64))
	case bool:
		return cmp.Compare(strconv.FormatBool(a), strconv.FormatBool(b.(bool)))
	}
	if p == delta.Float || p == delta.Double {
		x, y := asFloat(a), asFloat(b)
		switch {
		case math.IsNaN(x) && math.IsNaN(y):
			return 0
		case math.IsNaN(x):
			return 1
		case math.IsNaN(y):
			return -1
		case x == y:
			return 0
		}
		return cmp.Compare(x, y)
	}
	return cmp.Compare(a.(string), b.(string)) // texts by bytes; dates, timestamps and hex have one width
}

func asFloat(v any) float64 {
	if s, ok := v.(string); ok {
		f, _ := strconv.ParseFloat(s, 64)
		return f
	}
	return v.(float64)
}

// dialect is how SQL is written for one of the engines.
type dialect int

const (
	duck dialect = iota
	spark
	datafusion
)

// ident is a column's name.
func (d dialect) ident(name string) string {
	if d == spark {
		return "`" + strings.ReplaceAll(name, "`", "``") + "`"
	}
	return engine.Ident(name)
}

func (d dialect) quoted(s string) string {
	if d == spark {
		s = strings.ReplaceAll(s, `\`, `\\`)
		return "'" + strings.ReplaceAll(s, "'", `\'`) + "'"
	}
	return engine.Literal(s)
}

var otherNames = map[delta.Primitive]string{
	delta.Long: "BIGINT", delta.Integer: "INT", delta.Short: "SMALLINT", delta.Byte: "TINYINT", delta.Float: "FLOAT", delta.Double: "DOUBLE",
	delta.Boolean: "BOOLEAN", delta.Date: "DATE", delta.Timestamp: "TIMESTAMP", delta.TimestampNTZ: "TIMESTAMP_NTZ",
}

// primitive is a value of a primitive type as SQL.
func (d dialect) primitive(t delta.Primitive, v any) string {
	switch {
	case t == delta.String && v != nil:
		return d.quoted(v.(string))
	case d == duck:
		return duckLiteral(t, v)
	case d == datafusion && (t == delta.Timestamp || t == delta.TimestampNTZ):
		zone := `None`
		if t == delta.Timestamp {
			zone = `Some("UTC")`
		}
		if v == nil {
			return "arrow_cast(NULL, 'Timestamp(Microsecond, " + zone + ")')"
		}
		return "arrow_cast(" + d.quoted(v.(string)) + ", 'Timestamp(Microsecond, " + zone + ")')"
	}
	name, ok := otherNames[t]
	switch {
	case t == delta.String && d == spark:
		name = "STRING"
	case t == delta.String:
		name = "VARCHAR"
	case t == delta.Binary && d == spark:
		name = "BINARY"
	case t == delta.Binary:
		name = "BYTEA"
	case !ok:
		name = strings.ToUpper(string(t))
	}
	switch {
	case v == nil:
		return "CAST(NULL AS " + name + ")"
	case t == delta.Binary:
		return "X'" + v.(string) + "'"
	}
	return "CAST(" + d.quoted(fmt.Sprint(v)) + " AS " + name + ")"
}

// duckLiteral is a value of any type as DuckDB's SQL.
func duckLiteral(t delta.Type, v any) string {
	name, err := engine.DuckType(t)
	if err != nil {
		panic(err)
	}
	if v == nil {
		return "CAST(NULL AS " + name + ")"
	}
	var parts []string
	switch t := t.(type) {
	case delta.StructType:
		for _, f := range t.Fields {
			parts = append(parts, engine.Literal(f.Name)+": "+duckLiteral(f.Type, v.(map[string]any)[f.Name]))
		}
		return "CAST({" + strings.Join(parts, ", ") + "} AS " + name + ")"
	case delta.ArrayType:
		for _, e := range v.([]any) {
			parts = append(parts, duckLiteral(t.Element, e))
		}
		return "CAST([" + strings.Join(parts, ", ") + "] AS " + name + ")"
	case delta.MapType:
		for _, e := range v.([]any) {
			parts = append(parts, duckLiteral(t.Key, e.([]any)[0])+": "+duckLiteral(t.Value, e.([]any)[1]))
		}
		return "CAST(MAP {" + strings.Join(parts, ", ") + "} AS " + name + ")"
	}
	if t == delta.Binary {
		return "from_hex(" + engine.Literal(v.(string)) + ")"
	}
	return "CAST(" + engine.Literal(fmt.Sprint(v)) + " AS " + name + ")"
}

// selectRows is a query for the rows in DuckDB's SQL.
func selectRows(s delta.Schema, rows []row) string {
	line := func(r row) string {
		values := make([]string, len(s.Fields))
		for i, f := range s.Fields {
			values[i] = duckLiteral(f.Type, r[f.Name]) + " AS " + engine.Ident(f.Name)
		}
		return "SELECT " + strings.Join(values, ", ")
	}
	if len(rows) == 0 {
		return line(row{}) + " WHERE false"
	}
	lines := make([]string, len(rows))
	for i, r := range rows {
		lines[i] = line(r)
	}
	return strings.Join(lines, " UNION ALL ")
}
