package engine

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"slices"
	"time"

	"github.com/parquet-go/parquet-go/deprecated"
	"github.com/parquet-go/parquet-go/format"

	"github.com/lakestep/lakestep/shared/delta"
)

// FileCost is what a scan reads of one file, as its footer says.
type FileCost struct {
	File
	RowGroups, RowGroupsRead int   // read: those whose statistics do not exclude the wanted rows
	BytesRead                int64 // of the column chunks that are read; File.Size is the whole
	Rows                     int64 // in the file, deleted ones too
	Deleted                  int64 // by its deletion vector
}

// Explain tells what a scan reads of its files, by their footers. Faults are as for Relation.
func (s *Session) Explain(ctx context.Context, sc Scan) ([]FileCost, error) {
	costs := make([]FileCost, len(sc.Files))
	numbers := make([]int, len(sc.Files))
	for i := range numbers {
		numbers[i] = i
	}
	err := parallel(ctx, numbers, func(ctx context.Context, i int) error {
		key, err := sc.Table.FilePath(delta.Add{Path: sc.Files[i].Path})
		if err != nil {
			return err
		}
		f := fetched{File: sc.Files[i], key: key}
		if err := f.begin(ctx, sc); err != nil {
			return err
		}
		c := FileCost{File: f.File, RowGroups: len(f.footer.RowGroups), RowGroupsRead: len(f.groups), Rows: f.footer.NumRows}
		for _, g := range f.groups {
			for _, column := range f.columns {
				c.BytesRead += g.bytes(column)
			}
		}
		if f.DeletionVector != nil {
			c.Deleted = f.DeletionVector.Cardinality
		}
		costs[i] = c
		return nil
	})
	return costs, err
}

// add describes a row group as if it were a file of the table, for Scan.Keep.
func (f *footer) add(file File, g rowGroup) delta.Add {
	stats := delta.Stats{NumRecords: g.NumRows}
	for i, leaf := range f.leaves() {
		m := g.Columns[i].MetaData
		if m.Statistics == nil || leaf.repeated {
			continue
		}
		nulls := int64(-1)
		if n := m.Statistics.NullCount; n.Valid && n.V >= 0 && n.V <= g.NumRows {
			nulls = n.V
		}
		typ, lo := statisticValue(leaf.SchemaElement, m.Statistics.Min)
		_, hi := statisticValue(leaf.SchemaElement, m.Statistics.Max)
		_ = stats.SetColumn(leaf.path, typ, lo, hi, nulls) // a value out of its type's bounds says nothing
	}
	return delta.Add{Path: file.Path, PartitionValues: file.PartitionValues, Size: file.Size, Stats: stats.JSON()}
}

// footerLeaf is a column of a footer that has values.
type footerLeaf struct {
	format.SchemaElement
	path     []string
	repeated bool // in a list or a map
}

// leaves are in the order of a row group's columns. The footer has been checked.
func (f *footer) leaves() []footerLeaf {
	var out []footerLeaf
	at := 1
	var walk func(path []string, repeated bool, children int32)
	walk = func(path []string, repeated bool, children int32) {
		for range children {
			e := f.Schema[at]
			at++
			l := footerLeaf{SchemaElement: e, path: append(path[:len(path):len(path)], e.Name), repeated: repeated || e.RepetitionType.Valid && e.RepetitionType.V == format.Repeated}
			if e.NumChildren.V == 0 {
				out = append(out, l)
				continue
			}
			walk(l.path, l.repeated, e.NumChildren.V)
		}
	}
	walk(nil, false, f.Schema[0].NumChildren.V)
	return out
}

// statisticValue reads a bound of a column chunk, as delta.Stats takes it; nil when it is absent or says nothing: floating point bounds leave
// NaN out, which sorts highest, and INT96 has no order.
func statisticValue(e format.SchemaElement, b []byte) (delta.Primitive, any) {
	if b == nil {
		return delta.String, nil
	}
	logical, converted := e.LogicalType.Value, deprecated.ConvertedType(-1)
	if e.ConvertedType.Valid {
		converted = e.ConvertedType.V
	}
	if d, ok := logical.(*format.DecimalType); ok || converted == deprecated.Decimal {
		scale := int(e.Scale.V)
		if ok {
			scale = int(d.Scale)
		}
		return delta.Decimal(38, 0), decimalBound(e.Type.V, b, scale)
	}
	switch e.Type.V {
	case format.Int32:
		if len(b) != 4 || isUnsigned(logical, converted) {
			return delta.Long, nil
		}
		v := int64(int32(binary.LittleEndian.Uint32(b)))
		if _, ok := logical.(*format.DateType); ok || converted == deprecated.Date {
			return delta.Date, time.Unix(v*86400, 0).UTC()
		}
		return delta.Long, v
	case format.Int64:
		if len(b) != 8 || isUnsigned(logical, converted) {
			return delta.Long, nil
		}
		v := int64(binary.LittleEndian.Uint64(b))
		if t, ok := logical.(*format.TimestampType); ok {
			return instant(v, t.Unit.Value, t.IsAdjustedToUTC)
		}
		switch converted {
		case deprecated.TimestampMicros:
			return delta.Timestamp, time.UnixMicro(v)
		case deprecated.TimestampMillis:
			return delta.Timestamp, time.UnixMilli(v)
		}
		return delta.Long, v
	case format.ByteArray:
		if _, ok := logical.(*format.StringType); ok || converted == deprecated.UTF8 {
			return delta.String, string(b)
		}
	}
	return delta.String, nil
}

func isUnsigned(logical format.LogicalTypeValue, converted deprecated.ConvertedType) bool {
	i, ok := logical.(*format.IntType)
	return ok && !i.IsSigned || converted >= deprecated.Uint8 && converted <= deprecated.Uint64
}

func instant(v int64, unit format.TimeUnitValue, utc bool) (delta.Primitive, any) {
	t := delta.TimestampNTZ
	if utc {
		t = delta.Timestamp
	}
	switch unit.(type) {
	case *format.MicroSeconds:
		return t, time.UnixMicro(v)
	case *format.MilliSeconds:
		return t, time.UnixMilli(v)
	}
	return t, nil
}

// decimalBound reads an unscaled number.
func decimalBound(t format.Type, b []byte, scale int) any {
	switch {
	case len(b) == 0 || len(b) > 16 || scale < 0 || scale > 38:
		return nil
	case t == format.Int32 || t == format.Int64:
	case t == format.FixedLenByteArray || t == format.ByteArray: // these are big-endian
		b = slices.Clone(b)
		slices.Reverse(b)
	default:
		return nil
	}
	return json.Number(decimalText(signed(b), scale))
}
