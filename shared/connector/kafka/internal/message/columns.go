package message

import (
	"context"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/lakestep/lakestep/shared/connector"
)

// Columns gives the columns that values of a schema have, and the format of the schema.
func (r *Registry) Columns(ctx context.Context, s *Schema) ([]connector.DiscoveredColumn, Format, error) {
	f := formatOf(s)
	c, err := r.compile(ctx, codecKey{format: f, id: s.ID}, s)
	if err != nil {
		return nil, f, err
	}
	if j, ok := c.(*jsonSchemaCodec); ok {
		return j.discovered(), f, nil
	}
	return discovered(c.(codec)), f, nil
}

// PlainColumns are those of values without a schema, as far as they are known before: none of JSON.
func PlainColumns(f Format) []connector.DiscoveredColumn {
	if c, ok := plainCodecs[f].(codec); ok {
		return discovered(c)
	}
	return nil
}

func discovered(c codec) (out []connector.DiscoveredColumn) {
	for _, col := range c.columns() {
		out = append(out, connector.DiscoveredColumn{Name: col.Name, Type: typeName(col.Type)})
	}
	return out
}

func (j *jsonSchemaCodec) discovered() (out []connector.DiscoveredColumn) {
	names := make([]string, 0, len(j.kinds))
	for name := range j.kinds {
		names = append(names, name)
	}
	slices.Sort(names)
	for i, column := range connector.ColumnNames(names) {
		out = append(out, connector.DiscoveredColumn{Name: column, Type: typeName(j.kinds[names[i]].arrow())})
	}
	return out
}

// typeName is what a table calls a column's type.
func typeName(t arrow.DataType) string {
	switch t := t.(type) {
	case *arrow.BooleanType:
		return "boolean"
	case *arrow.Int32Type:
		return "integer"
	case *arrow.Int64Type:
		return "long"
	case *arrow.Float32Type:
		return "float"
	case *arrow.Float64Type:
		return "double"
	case *arrow.BinaryType:
		return "binary"
	case *arrow.Date32Type:
		return "date"
	case *arrow.TimestampType:
		return "timestamp"
	case *arrow.ListType:
		return "array<" + typeName(t.Elem()) + ">"
	case *arrow.StringType:
		return "string"
	}
	return strings.ReplaceAll(strings.Replace(t.String(), "decimal128", "decimal", 1), " ", "")
}
