package snowflake

import (
	"encoding/json"
	"fmt"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/connector/internal/spool"
	"github.com/lakestep/lakestep/shared/fault"
)

// shape is how the records of a result become those of a table.
type shape struct {
	columns []column
	names   []string // fit for a table
	types   []arrow.DataType

	mu   sync.Mutex
	odds map[int]bool // columns that have had values which their type cannot hold
}

func newShape(columns []column) *shape {
	sh := &shape{columns: columns, odds: map[int]bool{}}
	for _, c := range columns {
		sh.names = append(sh.names, c.name)
		sh.types = append(sh.types, c.typ())
	}
	sh.names = connector.ColumnNames(sh.names)
	return sh
}

// typ is the type that holds a column's values exactly. What the port has no type for is text.
func (c column) typ() arrow.DataType {
	switch c.kind {
	case "fixed":
		if c.scale == 0 && c.precision <= 18 && c.precision > 0 {
			return arrow.PrimitiveTypes.Int64
		}
		p := c.precision
		if p < 1 || p > 38 {
			p = 38
		}
		return &arrow.Decimal128Type{Precision: int32(p), Scale: int32(c.scale)}
	case "real":
		return arrow.PrimitiveTypes.Float64
	case "boolean":
		return arrow.FixedWidthTypes.Boolean
	case "binary":
		return arrow.BinaryTypes.Binary
	case "date":
		return arrow.FixedWidthTypes.Date32
	case "timestamp_ntz", "timestamp_ltz", "timestamp_tz":
		return spool.Timestamp
	}
	return arrow.BinaryTypes.String
}

// record turns a record of the server's into one of the table's. Values that a column's type cannot hold stand as texts in a column beside it;
// a column that had one keeps that other column, so that there are few sets of columns.
func (sh *shape) record(rec arrow.RecordBatch) (arrow.RecordBatch, error) {
	if int(rec.NumCols()) != len(sh.columns) {
		return nil, fault.New(fault.Internal, "read", "result", "%d columns where %d were announced", rec.NumCols(), len(sh.columns))
	}
	var fields []arrow.Field
	var values []arrow.Array
	add := func(name string, a arrow.Array) {
		fields = append(fields, arrow.Field{Name: name, Type: a.DataType(), Nullable: true})
		values = append(values, a)
	}
	odd := map[int]arrow.Array{}
	for i, c := range sh.columns {
		a, texts, err := convert(rec.Column(i), c, sh.types[i])
		if err != nil {
			return nil, fault.New(fault.InvalidInput, "read", "column "+c.name, "%w", err).
				WithHint("leave it out with `columns`, or read a query that casts it to VARCHAR")
		}
		add(sh.names[i], a)
		odd[i] = texts
	}
	for _, i := range sh.oddColumns(odd) {
		a := odd[i]
		if a == nil {
			a = array.MakeArrayOfNull(spoolAllocator, arrow.BinaryTypes.String, int(rec.NumRows()))
		}
		add(sh.names[i]+spool.OtherSuffix, a)
	}
	return array.NewRecordBatch(arrow.NewSchema(fields, nil), values, rec.NumRows()), nil
}

// oddColumns gives the columns that need one of texts beside them, in order.
func (sh *shape) oddColumns(now map[int]arrow.Array) (out []int) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for i := range sh.columns {
		if sh.odds[i] = sh.odds[i] || now[i] != nil; sh.odds[i] {
			out = append(out, i)
		}
	}
	return out
}

// odd tells whether a column had values that its type cannot hold.
func (sh *shape) odd(name string) bool {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for i, c := range sh.columns {
		if c.name == name {
			return sh.odds[i]
		}
	}
	return false
}

// convert gives a column's values in the type that holds them; texts are those that it cannot hold, nil when there are none.
func convert(col arrow.Array, c column, to arrow.DataType) (values, texts arrow.Array, err error) {
	switch c.kind {
	case "fixed":
		values, err = numbers(col, c, to)
		return values, nil, err
	case "timestamp_ntz", "timestamp_ltz", "timestamp_tz":
		return timestamps(col, c)
	case "time":
		values, err = times(col, c)
		return values, nil, err
	case "decfloat":
		values, err = decfloats(col)
		return values, nil, err
	}
	if arrow.TypeEqual(col.DataType(), to) {
		col.Retain()
		return col, nil, nil
	}
	if to.ID() == arrow.STRING {
		values, err = documents(col)
		return values, nil, err
	}
	return nil, nil, unexpected(col, c)
}

func unexpected(col arrow.Array, c column) error {
	return fmt.Errorf("%s that comes as %s cannot be read", c.kind, col.DataType())
}

// documents are the JSON of values that come in a form of their own: vectors, structured arrays and objects.
func documents(col arrow.Array) (arrow.Array, error) {
	b := array.NewStringBuilder(spoolAllocator)
	b.Reserve(col.Len())
	for i := range col.Len() {
		if col.IsNull(i) {
			b.AppendNull()
			continue
		}
		switch col.(type) {
		case array.ListLike, *array.Struct:
			text, err := json.Marshal(col.GetOneForMarshal(i))
			if err != nil {
				return nil, err
			}
			b.Append(string(text))
		default:
			b.Append(col.ValueStr(i))
		}
	}
	return b.NewArray(), nil
}

// cell is one value of a small result as text: numbers digit for digit, instants with nanoseconds.
func cell(col arrow.Array, c column, i int) (text string, ok bool, err error) {
	switch c.kind {
	case "timestamp_ntz", "timestamp_ltz", "timestamp_tz":
		at, err := instants(col, c)
		if err != nil {
			return "", false, err
		}
		t, ok := at(i)
		return t.text(c.kind), ok, nil
	}
	if col.IsNull(i) {
		return "", false, nil
	}
	switch c.kind {
	case "fixed":
		n, err := numberAt(col, c)
		if err != nil {
			return "", false, err
		}
		v, err := n(i)
		return v.ToString(int32(c.scale)), true, err
	case "date":
		if d, ok := col.(*array.Date32); ok {
			return d.Value(i).ToTime().Format("2006-01-02"), true, nil
		}
		return "", false, unexpected(col, c)
	}
	return col.ValueStr(i), true, nil
}
