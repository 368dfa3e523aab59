package delta

import (
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/parquet-go/parquet-go"
)

// checkpointLayout is the schema of one checkpoint. Where the table wants statistics and partition values as typed columns too
// (protocol, "Checkpoint Schema": stats_parsed, partitionValues_parsed), these depend on the table's own schema: they
// stand beside the fields of add that all checkpoints have.
type checkpointLayout struct {
	schema *parquet.Schema
	fixed  []int // column in schema of each column of fixedLayout
	parsed []parsedColumn
	asJSON bool // statistics as text
}

var fixedLayout = parquet.SchemaOf(checkpointRow{})

// parsedColumn is one leaf of stats_parsed or partitionValues_parsed.
type parsedColumn struct {
	index int
	level int // its definition level when it has a value; add and all structs below are optional
	typ   Primitive
	// value is as compare takes it, or nil; without exists the whole struct is NULL.
	value func(a *parsedAdd) (v any, exists bool)
}

// parsedAdd is an add with its statistics.
type parsedAdd struct {
	add   Add
	stats Stats
	known bool
}

func (s *Snapshot) checkpointLayout() checkpointLayout {
	c := s.metadata.Configuration
	asJSON, set := c[propStatsAsJSON]
	out := checkpointLayout{schema: fixedLayout, asJSON: !set || isTrue(asJSON)}
	var columns []pathedColumn
	if isTrue(c[propStatsAsStruct]) {
		columns = s.parsedColumns()
	}
	if len(columns) > 0 {
		root := parquet.Group{}
		for _, f := range fixedLayout.Fields() {
			root[f.Name()] = f
			if f.Name() == "add" {
				add := parquet.Group{}
				for _, field := range f.Fields() {
					add[field.Name()] = field
				}
				for _, column := range columns {
					graft(add, column.path, column.node)
				}
				root["add"] = parquet.Optional(optionalGroups(add))
			}
		}
		out.schema = parquet.NewSchema("checkpoint", root)
	}
	index := map[string]int{}
	for i, path := range out.schema.Columns() {
		index[strings.Join(path, "\x00")] = i
	}
	for _, path := range fixedLayout.Columns() {
		out.fixed = append(out.fixed, index[strings.Join(path, "\x00")])
	}
	for _, column := range columns {
		column.index = index["add\x00"+strings.Join(column.path, "\x00")]
		column.level = 1 + len(column.path)
		out.parsed = append(out.parsed, column.parsedColumn)
	}
	return out
}

// pathedColumn is a parsed column on its way into the schema.
type pathedColumn struct {
	parsedColumn
	path []string // below add
	node parquet.Node
}

// graft puts a leaf into nested groups.
func graft(g parquet.Group, path []string, leaf parquet.Node) {
	for _, name := range path[:len(path)-1] {
		next, ok := g[name].(parquet.Group)
		if !ok {
			next = parquet.Group{}
			g[name] = next
		}
		g = next
	}
	g[path[len(path)-1]] = parquet.Optional(leaf)
}

// optionalGroups makes the groups that graft made optional.
func optionalGroups(g parquet.Group) parquet.Group {
	for name, node := range g {
		if inner, ok := node.(parquet.Group); ok {
			g[name] = parquet.Optional(optionalGroups(inner))
		}
	}
	return g
}

// parsedColumns are the leaves that this table's checkpoints have besides the fixed ones.
func (s *Snapshot) parsedColumns() []pathedColumn {
	ofStats := func(path []string, typ Primitive, value func(Stats) any) pathedColumn {
		get := func(a *parsedAdd) (any, bool) {
			if !a.known {
				return nil, false
			}
			return value(a.stats), true
		}
		return pathedColumn{parsedColumn{value: get, typ: typ}, append([]string{"stats_parsed"}, path...), leafNode(typ)}
	}
	out := []pathedColumn{
		ofStats([]string{"numRecords"}, Long, func(st Stats) any { return st.NumRecords }),
		ofStats([]string{"tightBounds"}, Boolean, func(st Stats) any {
			if st.TightBounds == nil {
				return nil
			}
			return *st.TightBounds
		}),
	}
	for _, f := range s.schema.Fields {
		name := s.PhysicalName(f)
		typ, primitive := f.Type.(Primitive)
		if slices.Contains(s.metadata.PartitionColumns, f.Name) {
			if primitive && leafNode(typ) != nil {
				out = append(out, pathedColumn{parsedColumn{value: partitionValue(name, typ), typ: typ}, []string{"partitionValues_parsed", name}, leafNode(typ)})
			}
			continue
		}
		s.statLeaves([]string{name}, f.Type, func(path []string, typ Primitive) {
			out = append(out, ofStats(append([]string{"nullCount"}, path...), Long, func(st Stats) any { return countAt(st.NullCount, path) }))
			if typ == "" || typ == Boolean || typ == Binary || leafNode(typ) == nil {
				return
			}
			out = append(out, ofStats(append([]string{"minValues"}, path...), typ, func(st Stats) any { return boundAt(typ, st.MinValues, path) }),
				ofStats(append([]string{"maxValues"}, path...), typ, func(st Stats) any { return boundAt(typ, st.MaxValues, path) }))
		})
	}
	return out
}

// statLeaves calls each with every column that statistics may have, structs resolved; arrays and maps have no type.
func (s *Snapshot) statLeaves(path []string, t Type, each func(path []string, typ Primitive)) {
	switch t := t.(type) {
	case StructType:
		for _, f := range t.Fields {
			s.statLeaves(append(slices.Clone(path), s.PhysicalName(f)), f.Type, each)
		}
	case Primitive:
		each(path, t)
	default:
		each(path, "")
	}
}

func partitionValue(name string, typ Primitive) func(a *parsedAdd) (any, bool) {
	return func(a *parsedAdd) (any, bool) {
		text := a.add.PartitionValues[name]
		if text == nil || *text == "" {
			return nil, true
		}
		v, err := parseComparable(typ, *text)
		if err != nil {
			return nil, true
		}
		return v, true
	}
}

func countAt(m map[string]any, path []string) any {
	n, ok := leafAt(m, path).(json.Number)
	if !ok {
		return nil
	}
	count, err := n.Int64()
	if err != nil {
		return nil
	}
	return count
}

func boundAt(typ Primitive, m map[string]any, path []string) any {
	v, err := parseBound(typ, leafAt(m, path))
	if err != nil {
		return nil
	}
	return v
}

// leafNode is the Parquet type of a column (protocol, "Parquet checkpoint schema"; as data files have them), nil for types that
// have no place here.
func leafNode(t Primitive) parquet.Node {
	switch t {
	case String:
		return parquet.String()
	case Long:
		return parquet.Leaf(parquet.Int64Type)
	case Integer:
		return parquet.Leaf(parquet.Int32Type)
	case Short:
		return parquet.Int(16)
	case Byte:
		return parquet.Int(8)
	case Float:
		return parquet.Leaf(parquet.FloatType)
	case Double:
		return parquet.Leaf(parquet.DoubleType)
	case Boolean:
		return parquet.Leaf(parquet.BooleanType)
	case Binary:
		return parquet.Leaf(parquet.ByteArrayType)
	case Date:
		return parquet.Date()
	case Timestamp, TimestampNTZ:
		return parquet.TimestampAdjusted(parquet.Microsecond, t == Timestamp)
	}
	precision, scale, ok := t.DecimalParts()
	switch {
	case !ok:
		return nil
	case precision <= 9:
		return parquet.Decimal(scale, precision, parquet.Int32Type)
	case precision <= 18:
		return parquet.Decimal(scale, precision, parquet.Int64Type)
	}
	return parquet.Decimal(scale, precision, parquet.FixedLenByteArrayType(decimalBytes))
}

// decimalBytes hold a decimal of 38 digits.
const decimalBytes = 16

// leafValue is a comparable value in the Parquet type of its column; ok is false where that has no room for it.
func leafValue(t Primitive, v any) (out parquet.Value, ok bool) {
	switch v := v.(type) {
	case bool:
		return parquet.BooleanValue(v), true
	case string:
		return parquet.ByteArrayValue([]byte(v)), true
	case float64:
		if math.IsNaN(v) {
			return out, false
		}
		if t == Float {
			return parquet.FloatValue(float32(v)), true
		}
		return parquet.DoubleValue(v), true
	case int64:
		switch {
		case t == Boolean:
			return parquet.BooleanValue(v != 0), true
		case t == Long:
			return parquet.Int64Value(v), true
		}
		return parquet.Int32Value(int32(v)), true
	case time.Time:
		if t == Date {
			return parquet.Int32Value(int32(v.Unix() / 86400)), true // at midnight: nothing is cut off
		}
		return parquet.Int64Value(v.UnixMicro()), true
	case *big.Rat:
		return decimalValue(t, v)
	}
	return out, false
}

func decimalValue(t Primitive, v *big.Rat) (out parquet.Value, ok bool) {
	precision, scale, _ := t.DecimalParts()
	scaled := new(big.Rat).Mul(v, new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)), nil)))
	n := scaled.Num()
	if !scaled.IsInt() || n.CmpAbs(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(precision)), nil)) >= 0 {
		return out, false
	}
	switch {
	case precision <= 9:
		return parquet.Int32Value(int32(n.Int64())), true
	case precision <= 18:
		return parquet.Int64Value(n.Int64()), true
	}
	b := make([]byte, decimalBytes) // two's complement, big endian
	if n.Sign() < 0 {
		n = new(big.Int).Add(n, new(big.Int).Lsh(big.NewInt(1), decimalBytes*8))
	}
	n.FillBytes(b)
	return parquet.FixedLenByteArrayValue(b), true
}

// rows gives rows of the checkpoint, their values in the order of the columns; adds holds the add of each row, or nil.
func (l *checkpointLayout) rows(batch []checkpointRow, adds []*Add) ([]parquet.Row, error) {
	for _, row := range batch {
		if !l.asJSON && row.Add != nil {
			row.Add.Stats = nil
		}
	}
	buffer := parquet.NewGenericBuffer[checkpointRow]()
	if _, err := buffer.Write(batch); err != nil {
		return nil, err
	}
	rows := buffer.Rows()
	defer rows.Close()
	out := make([]parquet.Row, len(batch))
	for n := 0; n < len(out); {
		read, err := rows.ReadRows(out[n:])
		if n += read; read == 0 {
			return nil, fmt.Errorf("%d of %d rows: %w", n, len(out), err)
		}
	}
	for i := range out {
		out[i] = l.widen(out[i], adds[i])
	}
	return out, nil
}

// widen adds the parsed columns to a row of the fixed ones.
func (l *checkpointLayout) widen(row parquet.Row, add *Add) parquet.Row {
	out := make(parquet.Row, 0, len(row)+len(l.parsed))
	for _, v := range row {
		out = append(out, v.Clone().Level(v.RepetitionLevel(), v.DefinitionLevel(), l.fixed[v.Column()]))
	}
	if len(l.parsed) == 0 {
		return out
	}
	var a *parsedAdd
	if add != nil {
		a = &parsedAdd{add: *add}
		a.stats, a.known = ParseStats(add.Stats)
	}
	for _, c := range l.parsed {
		out = append(out, c.of(a))
	}
	slices.SortStableFunc(out, func(a, b parquet.Value) int { return a.Column() - b.Column() })
	return out
}

// of is the column's value for an add, or for a row that is none.
func (c *parsedColumn) of(a *parsedAdd) parquet.Value {
	if a == nil {
		return parquet.NullValue().Level(0, 0, c.index)
	}
	v, exists := c.value(a)
	if !exists {
		return parquet.NullValue().Level(0, 1, c.index)
	}
	if leaf, ok := leafValue(c.typ, v); ok {
		return leaf.Level(0, c.level, c.index)
	}
	return parquet.NullValue().Level(0, c.level-1, c.index)
}
