package delta

import (
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"strings"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
)

// record is a Parquet row, or a group in it, as plain values: nil, bool, int64, float64, string, json.Number,
// record, []any for lists and repeated fields, map[string]any for maps.
type record map[string]any

// recordNode turns the values of a column subtree into a record. Checkpoints come from many writers with many
// spellings of lists and maps, so rows are assembled by the file's own schema, not bound to Go structs.
type recordNode struct {
	name        string
	children    []*recordNode
	first, last int // leaf columns of the subtree: positions first..last-1 among the columns read
	rep, def    int
	optional    bool
	repeated    bool
	isList      bool
	isMap       bool
	leaf        func(parquet.Value) any
}

// newRecordNode mirrors a column; columns collects the indexes of the leaves read. keep decides by dotted path.
func newRecordNode(c *parquet.Column, keep func(path string) bool, columns *[]int) *recordNode {
	n := &recordNode{
		name: c.Name(), first: len(*columns), rep: c.MaxRepetitionLevel(), def: c.MaxDefinitionLevel(),
		optional: c.Optional(), repeated: c.Repeated(),
	}
	if c.Leaf() {
		n.leaf = leafConverter(c.Type())
		*columns = append(*columns, c.Index())
		n.last = len(*columns)
		return n
	}
	for _, child := range c.Columns() {
		if !keep(strings.Join(child.Path(), ".")) {
			continue
		}
		if m := newRecordNode(child, keep, columns); m.last > m.first {
			n.children = append(n.children, m)
		}
	}
	n.last = len(*columns)
	if len(n.children) == 1 && n.children[0].repeated && !n.repeated {
		// Both are known by shape: a group around one repeated field. A map's entries are key and value.
		entry := n.children[0]
		n.isMap = len(entry.children) == 2 && entry.children[0].name == "key" && entry.children[1].name == "value"
		n.isList = !n.isMap
	}
	return n
}

// build assembles one instance of the node from its columns' values.
func (n *recordNode) build(cols [][]parquet.Value) any {
	if n.leaf != nil {
		if cols[0][0].IsNull() {
			return nil
		}
		return n.leaf(cols[0][0])
	}
	switch {
	case n.isMap:
		return n.buildMap(cols)
	case n.isList:
		return n.buildList(cols)
	}
	out := make(record, len(n.children))
	for _, c := range n.children {
		sub := cols[c.first-n.first : c.last-n.first]
		switch {
		case c.repeated:
			var items []any
			for _, item := range c.instances(sub) {
				items = append(items, c.build(item))
			}
			out[c.name] = items
		case c.optional && sub[0][0].DefinitionLevel() < c.def:
		default:
			out[c.name] = c.build(sub)
		}
	}
	return out
}

func (n *recordNode) buildMap(cols [][]parquet.Value) any {
	out := map[string]any{}
	entry := n.children[0]
	for _, item := range entry.instances(cols) {
		if e, ok := entry.build(item).(record); ok {
			out[fmt.Sprint(e["key"])] = e["value"]
		}
	}
	return out
}

// buildList takes the element out of its wrapper, if it has one (list.element, bag.array_element).
func (n *recordNode) buildList(cols [][]parquet.Value) any {
	items := []any{}
	entry := n.children[0]
	for _, item := range entry.instances(cols) {
		v := entry.build(item)
		if e, ok := v.(record); ok && len(entry.children) == 1 {
			v = e[entry.children[0].name]
		}
		items = append(items, v)
	}
	return items
}

// instances splits the values of a repeated node into those of each element.
func (n *recordNode) instances(cols [][]parquet.Value) [][][]parquet.Value {
	if cols[0][0].DefinitionLevel() < n.def {
		return nil
	}
	var out [][][]parquet.Value
	for i, values := range cols {
		item, start := 0, 0
		for j := 1; j <= len(values); j++ {
			if j < len(values) && values[j].RepetitionLevel() > n.rep {
				continue
			}
			if i == 0 {
				out = append(out, make([][]parquet.Value, len(cols)))
			}
			out[item][i] = values[start:j]
			item, start = item+1, j
		}
	}
	return out
}

// leafConverter chooses how a leaf's values become what the log's JSON would hold.
func leafConverter(t parquet.Type) func(parquet.Value) any {
	var logical any
	if lt := t.LogicalType(); lt != nil {
		logical = lt.Value
	}
	if d, ok := logical.(*format.DecimalType); ok {
		return func(v parquet.Value) any { return decimalNumber(unscaled(v), int(d.Scale)) }
	}
	switch t.Kind() {
	case parquet.Boolean:
		return func(v parquet.Value) any { return v.Boolean() }
	case parquet.Int32:
		if _, ok := logical.(*format.DateType); ok {
			return func(v parquet.Value) any { return time.Unix(int64(v.Int32())*86400, 0).UTC().Format(time.DateOnly) }
		}
		return func(v parquet.Value) any { return int64(v.Int32()) }
	case parquet.Int64:
		if ts, ok := logical.(*format.TimestampType); ok {
			return timestampConverter(ts)
		}
		return func(v parquet.Value) any { return v.Int64() }
	case parquet.Float:
		return func(v parquet.Value) any { return floatValue(float64(v.Float())) }
	case parquet.Double:
		return func(v parquet.Value) any { return floatValue(v.Double()) }
	case parquet.Int96:
		return func(v parquet.Value) any {
			i := v.Int96() // nanoseconds of the day, Julian day
			nanos := int64(i[1])<<32 | int64(i[0])
			return time.Unix((int64(i[2])-2440588)*86400, nanos).UTC().Format(timestampLayout)
		}
	}
	return func(v parquet.Value) any { return string(v.ByteArray()) }
}

const (
	timestampLayout    = "2006-01-02T15:04:05.000000Z"
	timestampNTZLayout = "2006-01-02T15:04:05.000000"
)

func timestampConverter(ts *format.TimestampType) func(parquet.Value) any {
	layout := timestampNTZLayout
	if ts.IsAdjustedToUTC {
		layout = timestampLayout
	}
	unit := time.Microsecond
	if ts.Unit.Value != nil {
		unit = ts.Unit.Value.Duration()
	}
	perSecond := int64(time.Second / unit)
	return func(v parquet.Value) any {
		n := v.Int64()
		return time.Unix(n/perSecond, n%perSecond*int64(unit)).UTC().Format(layout)
	}
}

// floatValue keeps what JSON has no number for as the strings that Delta uses.
func floatValue(f float64) any {
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

func unscaled(v parquet.Value) *big.Int {
	switch v.Kind() {
	case parquet.Int32:
		return big.NewInt(int64(v.Int32()))
	case parquet.Int64:
		return big.NewInt(v.Int64())
	}
	b := v.ByteArray() // big-endian two's complement
	n := new(big.Int).SetBytes(b)
	if len(b) > 0 && b[0]&0x80 != 0 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(len(b))*8))
	}
	return n
}

func decimalNumber(n *big.Int, scale int) json.Number {
	sign, digits := "", n.String()
	if n.Sign() < 0 {
		sign, digits = "-", digits[1:]
	}
	if scale <= 0 {
		return json.Number(sign + digits)
	}
	if len(digits) <= scale {
		digits = strings.Repeat("0", scale-len(digits)+1) + digits
	}
	return json.Number(sign + digits[:len(digits)-scale] + "." + digits[len(digits)-scale:])
}
