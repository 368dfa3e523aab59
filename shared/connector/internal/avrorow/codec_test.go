package avrorow

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/google/go-cmp/cmp"
	"github.com/twmb/avro"
	"pgregory.net/rapid"

	"github.com/lakestep/lakestep/shared/connector/internal/cells"
)

// schemas draws Avro schemas, with named types that are used again, and by themselves.
type schemas struct {
	t     *rapid.T
	names int
	known []string // named types that are complete
	open  []string // records that are being defined: an array of them ends somewhere
}

func (s *schemas) name() string {
	s.names++
	return fmt.Sprintf("n%d", s.names)
}

var plainTypes = []string{`"null"`, `"boolean"`, `"int"`, `"long"`, `"float"`, `"double"`, `"bytes"`, `"string"`,
	`{"type":"int","logicalType":"date"}`, `{"type":"int","logicalType":"time-millis"}`, `{"type":"long","logicalType":"time-micros"}`,
	`{"type":"long","logicalType":"timestamp-millis"}`, `{"type":"long","logicalType":"timestamp-micros"}`, `{"type":"long","logicalType":"timestamp-nanos"}`,
	`{"type":"long","logicalType":"local-timestamp-millis"}`, `{"type":"long","logicalType":"local-timestamp-micros"}`,
	`{"type":"string","logicalType":"uuid"}`, `{"type":"bytes","logicalType":"decimal","precision":10,"scale":2}`,
	`{"type":"bytes","logicalType":"decimal","precision":38,"scale":9}`, `{"type":"bytes","logicalType":"decimal","precision":50,"scale":3}`}

func (s *schemas) draw(depth int) string {
	kind := rapid.IntRange(0, 11).Draw(s.t, "kind")
	if depth == 0 {
		kind = min(kind, 5)
	}
	switch kind {
	case 6:
		return `{"type":"array","items":` + s.draw(depth-1) + `}`
	case 7:
		return `{"type":"map","values":` + s.draw(depth-1) + `}`
	case 8:
		return s.record(depth - 1)
	case 9:
		return s.union(depth - 1)
	case 10:
		if len(s.known) > 0 {
			return strconv.Quote(rapid.SampledFrom(s.known).Draw(s.t, "known"))
		}
		return s.fixed()
	case 11:
		if len(s.open) > 0 {
			return `{"type":"array","items":` + strconv.Quote(rapid.SampledFrom(s.open).Draw(s.t, "open")) + `}`
		}
		return s.enum()
	}
	return rapid.SampledFrom(plainTypes).Draw(s.t, "plain")
}

func (s *schemas) record(depth int) string {
	name := s.name()
	full := name
	space := ""
	if rapid.Bool().Draw(s.t, "space") {
		space, full = `,"namespace":"a.b"`, "a.b."+name
	} else {
		space = `,"namespace":""`
	}
	s.open = append(s.open, full)
	var fields []string
	for i := range rapid.IntRange(0, 4).Draw(s.t, "fields") {
		fields = append(fields, fmt.Sprintf(`{"name":"f%d","type":%s}`, i, s.draw(depth)))
	}
	s.open = s.open[:len(s.open)-1]
	s.known = append(s.known, full)
	return fmt.Sprintf(`{"type":"record","name":"%s"%s,"fields":[%s]}`, name, space, strings.Join(fields, ","))
}

func (s *schemas) fixed() string {
	name := s.name()
	switch rapid.IntRange(0, 3).Draw(s.t, "fixed") {
	case 0:
		return fmt.Sprintf(`{"type":"fixed","name":"x.%s","size":16,"logicalType":"uuid"}`, name)
	case 1:
		return fmt.Sprintf(`{"type":"fixed","name":"x.%s","size":12,"logicalType":"duration"}`, name)
	case 2:
		return fmt.Sprintf(`{"type":"fixed","name":"x.%s","size":20,"logicalType":"decimal","precision":38,"scale":4}`, name)
	}
	return fmt.Sprintf(`{"type":"fixed","name":"x.%s","size":%d}`, name, rapid.IntRange(1, 5).Draw(s.t, "size"))
}

func (s *schemas) enum() string {
	return fmt.Sprintf(`{"type":"enum","name":"y.%s","symbols":["A","B","C"]}`, s.name())
}

func (s *schemas) union(depth int) string {
	branches := []string{`"null"`}
	switch rapid.IntRange(0, 3).Draw(s.t, "union") {
	case 0:
		branches = append(branches, `"string"`)
	case 1:
		branches = append(branches, `"long"`, `"string"`, `{"type":"array","items":"int"}`)
	case 2:
		branches = []string{s.record(depth), `"null"`}
	case 3:
		branches = append(branches, `{"type":"int","logicalType":"date"}`)
	}
	return "[" + strings.Join(branches, ",") + "]"
}

// values draws the binary form of values, by the definition of the format alone.
type values struct {
	t     *rapid.T
	c     compiler
	depth int
}

func (v *values) draw(out []byte, n *avro.SchemaNode, space string) []byte {
	p := v.c.resolve(n, space)
	long := func(n int64) []byte {
		u := uint64(n)<<1 ^ uint64(n>>63)
		for u >= 0x80 {
			out, u = append(out, byte(u)|0x80), u>>7
		}
		return append(out, byte(u))
	}
	bytes := func(b []byte) []byte { out = long(int64(len(b))); return append(out, b...) }
	v.depth++
	defer func() { v.depth-- }()
	switch p.node.Type {
	case "null":
		return out
	case "boolean":
		return append(out, byte(rapid.IntRange(0, 1).Draw(v.t, "bool")))
	case "int":
		return long(int64(rapid.Int32().Draw(v.t, "int")))
	case "long":
		if rapid.Bool().Draw(v.t, "near") {
			return long(int64(rapid.Int32().Draw(v.t, "long")) * 1_000_000)
		}
		return long(rapid.Int64().Draw(v.t, "long"))
	case "float":
		return append(out, rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(v.t, "float")...)
	case "double":
		return append(out, rapid.SliceOfN(rapid.Byte(), 8, 8).Draw(v.t, "double")...)
	case "fixed":
		return append(out, rapid.SliceOfN(rapid.Byte(), p.node.Size, p.node.Size).Draw(v.t, "fixed")...)
	case "bytes":
		return bytes(rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(v.t, "bytes"))
	case "string":
		return bytes([]byte(strings.ToValidUTF8(rapid.String().Draw(v.t, "string"), "?")))
	case "enum":
		return long(int64(rapid.IntRange(0, len(p.node.Symbols)-1).Draw(v.t, "symbol")))
	case "union":
		i := rapid.IntRange(0, len(p.node.Branches)-1).Draw(v.t, "branch")
		if null := slices.IndexFunc(p.node.Branches, func(b avro.SchemaNode) bool { return b.Type == "null" }); v.depth > 8 && null >= 0 {
			i = null
		}
		out = long(int64(i))
		return v.draw(out, &p.node.Branches[i], p.space)
	case "record", "error":
		for i := range p.node.Fields {
			out = v.draw(out, &p.node.Fields[i].Type, p.space)
		}
		return out
	}
	blocks := rapid.IntRange(0, 2).Draw(v.t, "blocks")
	if v.depth > 6 {
		blocks = 0
	}
	for range blocks {
		count := rapid.IntRange(1, 3).Draw(v.t, "count")
		var items []byte
		for i := range count {
			if p.node.Type == "map" {
				items = append(items, byte(2), byte('a'+i))
				items = v.draw(items, p.node.Values, p.space)
			} else {
				items = v.draw(items, p.node.Items, p.space)
			}
		}
		if rapid.Bool().Draw(v.t, "sized") {
			out = long(int64(-count))
			out = long(int64(len(items)))
		} else {
			out = long(int64(count))
		}
		out = append(out, items...)
	}
	return append(out, 0)
}

// plain is what a value that twmb/avro decoded looks like as JSON of ours.
func plain(v any, n *avro.SchemaNode, space string, c *compiler) any {
	p := c.resolve(n, space)
	switch p.node.Type {
	case "record", "error":
		out := map[string]any{}
		for i := range p.node.Fields {
			f := &p.node.Fields[i]
			out[f.Name] = plain(v.(map[string]any)[f.Name], &f.Type, p.space, c)
		}
		return out
	case "array":
		out := []any{}
		for _, item := range v.([]any) {
			out = append(out, plain(item, p.node.Items, p.space, c))
		}
		return out
	case "map":
		out := map[string]any{}
		for k, item := range v.(map[string]any) {
			out[k] = plain(item, p.node.Values, p.space, c)
		}
		return out
	case "union":
		return plain(v, branchOf(v, p, c), p.space, c)
	}
	return plainSimple(v, p.node)
}

// branchOf finds the branch that a value is of: the unions above have at most one of each Go type.
func branchOf(v any, p placed, c *compiler) *avro.SchemaNode {
	for i := range p.node.Branches {
		b := c.resolve(&p.node.Branches[i], p.space)
		_, isRecord := v.(map[string]any)
		_, isList := v.([]any)
		_, isTime := v.(time.Time)
		_, isText := v.(string)
		_, isLong := v.(int64)
		match := map[string]bool{"null": v == nil, "record": isRecord, "array": isList, "int": isTime, "string": isText, "long": isLong}
		if match[b.node.Type] {
			return &p.node.Branches[i]
		}
	}
	panic(fmt.Sprintf("no branch for %T", v))
}

func plainSimple(v any, n *avro.SchemaNode) any {
	switch v := v.(type) {
	case nil, bool, string:
		return v
	case int32:
		return json.Number(strconv.Itoa(int(v)))
	case int64:
		return json.Number(strconv.FormatInt(v, 10))
	case float32:
		return floatText(float64(v), 32)
	case float64:
		return floatText(v, 64)
	case []byte:
		return base64.StdEncoding.EncodeToString(v)
	case [16]byte:
		return fmt.Sprintf("%x-%x-%x-%x-%x", v[:4], v[4:6], v[6:8], v[8:10], v[10:])
	case avro.Duration:
		return v.String()
	case *big.Rat:
		return json.Number(v.FloatString(n.Scale))
	case time.Duration:
		if v < 0 || v >= 24*time.Hour {
			return strconv.FormatInt(int64(v/map[string]time.Duration{"time-millis": time.Millisecond, "time-micros": time.Microsecond}[n.LogicalType]), 10)
		}
		return time.Time{}.Add(v).Format(map[string]string{"time-millis": "15:04:05.000", "time-micros": "15:04:05.000000"}[n.LogicalType])
	case time.Time:
		return plainTime(v, n.LogicalType)
	}
	panic(fmt.Sprintf("a value of type %T", v))
}

func plainTime(t time.Time, logical string) any {
	inYears := t.Year() >= 1 && t.Year() <= 9999
	switch {
	case logical == "timestamp-nanos":
		return t.Format("2006-01-02T15:04:05.000000000Z07:00")
	case logical == "date" && inYears:
		return t.Format("2006-01-02")
	case logical == "date":
		return json.Number(strconv.FormatInt(t.Unix()/86400, 10))
	case inYears:
		return t.Truncate(time.Microsecond).Format("2006-01-02T15:04:05.999999Z07:00")
	case strings.HasSuffix(logical, "millis"):
		return json.Number(strconv.FormatInt(t.UnixMilli(), 10))
	}
	return json.Number(strconv.FormatInt(t.UnixMicro(), 10))
}

func floatText(f float64, bits int) any {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	}
	return json.Number(strconv.FormatFloat(f, 'g', -1, bits))
}

// jsonOf is a cell as the JSON that the same value would be within another one.
func jsonOf(c *cells.Cell, t arrow.DataType, n *avro.SchemaNode) any {
	if c.State == cells.Null {
		return nil
	}
	if c.State == cells.Other && t.ID() != arrow.LIST {
		return json.Number(c.Text)
	}
	switch t := t.(type) {
	case *arrow.BooleanType:
		return c.Num != 0
	case *arrow.Int32Type, *arrow.Int64Type:
		return json.Number(strconv.FormatInt(c.Num, 10))
	case *arrow.Float32Type:
		return floatText(c.Float(), 32)
	case *arrow.Float64Type:
		return floatText(c.Float(), 64)
	case *arrow.BinaryType:
		return base64.StdEncoding.EncodeToString(c.Text)
	case *arrow.Date32Type:
		return time.Unix(c.Num*86400, 0).UTC().Format("2006-01-02")
	case *arrow.TimestampType:
		return time.UnixMicro(c.Num).UTC().Format("2006-01-02T15:04:05.999999Z07:00")
	case *arrow.Decimal128Type:
		return json.Number(decimal128.New(c.High, uint64(c.Num)).ToString(t.Scale))
	case *arrow.ListType:
		if c.State == cells.Other {
			return parse(c.Text)
		}
		out := []any{}
		for i := range c.List {
			out = append(out, jsonOf(&c.List[i], t.Elem(), n))
		}
		return out
	}
	return string(c.Text)
}

// digits compares numbers by their text: decimals of more digits than a column has are text.
var digits = cmp.FilterValues(func(x, y any) bool {
	_, a := x.(json.Number)
	_, b := y.(json.Number)
	return a != b
}, cmp.Comparer(func(x, y any) bool { return fmt.Sprint(x) == fmt.Sprint(y) }))

func parse(text []byte) (v any) {
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		panic(fmt.Sprintf("%v: %s", err, text))
	}
	return v
}

// Our decoder and twmb/avro's generic one see the same in values of any schema, and both refuse what is broken.
func TestAgainstOracle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := schemas{t: t}
		text := s.record(3)
		oracle, err := avro.Parse(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		codec, err := New(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		v := values{t: t, c: compiler{named: map[string]*avro.SchemaNode{}, writers: map[string]*writer{}}}
		root := oracle.Root()
		v.c.collect(root)
		payload := v.draw(nil, root, "")
		if rapid.IntRange(0, 4).Draw(t, "damage") == 0 && len(payload) > 0 {
			damaged(t, codec, oracle, payload)
			return
		}
		same(t, codec, oracle, &v.c, payload)
	})
}

// same holds what we read of a value against the oracle.
func same(t *rapid.T, codec *Codec, oracle *avro.Schema, c *compiler, payload []byte) {
	var want any
	rest, err := oracle.Decode(payload, &want)
	if err != nil && strings.Contains(err.Error(), "overflows time.Duration") { // a limit of Go's types, not of the format
		return
	}
	if err != nil || len(rest) > 0 {
		t.Fatalf("the oracle: %v, %d left", err, len(rest))
	}
	r := codec.Row(nil, 0)
	for range 2 { // the second time over the first one's cells
		if rest, err := r.Decode(payload); err != nil || len(rest) > 0 {
			t.Fatal(err, len(rest))
		}
	}
	row := r.Cells
	root := oracle.Root()
	p := c.resolve(root, "")
	for i := range p.node.Fields {
		f := &p.node.Fields[i]
		expect := plain(want.(map[string]any)[f.Name], &f.Type, p.space, c)
		got := jsonOf(&row[i], codec.columns[i].Type, &f.Type)
		if isJSONColumn(c, f, p.space) && row[i].State == cells.There {
			got = parse(row[i].Text)
		}
		if d := cmp.Diff(expect, got, digits); d != "" {
			t.Fatalf("field %s of %s: (-oracle +got)\n%s", f.Name, oracle.String(), d)
		}
	}
}

func isJSONColumn(c *compiler, f *avro.SchemaField, space string) bool {
	p := c.resolve(&f.Type, space)
	if _, b, ok := maybeNull(p.node); ok {
		p = c.resolve(b, p.space)
	}
	return c.simple(p.node, p.space) == nil && p.node.Type != "null" && (p.node.Type != "array" || c.simple(p.node.Items, p.space) == nil)
}

// damaged changes a value: what we still can read, the oracle reads too, and we never read what it refuses.
func damaged(t *rapid.T, codec *Codec, oracle *avro.Schema, payload []byte) {
	at := rapid.IntRange(0, len(payload)-1).Draw(t, "at")
	switch rapid.IntRange(0, 2).Draw(t, "how") {
	case 0:
		payload = payload[:at]
	case 1:
		payload[at] = rapid.Byte().Draw(t, "byte")
	case 2:
		payload = append(payload, 0)
	}
	if rest, err := codec.Row(nil, 0).Decode(payload); err != nil || len(rest) > 0 {
		return
	}
	var want any
	rest, err := oracle.Decode(payload, &want)
	if err != nil && strings.Contains(err.Error(), "overflows time.Duration") {
		return
	}
	if err != nil || len(rest) > 0 {
		t.Fatalf("the oracle does not read what we read of %s: %v, %d left", oracle.String(), err, len(rest))
	}
}
