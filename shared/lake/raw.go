package lake

import (
	"slices"
	"strings"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/pipeline"
)

// OwnColumns are those that every raw table has behind its source's: where a row came from, when, and in which batch.
func OwnColumns() []delta.Field {
	return []delta.Field{
		{Name: "_source_file", Type: delta.String, Nullable: true},
		{Name: "_ingested_at", Type: delta.Timestamp, Nullable: true},
		{Name: "_batch_id", Type: delta.String, Nullable: true},
	}
}

// RawColumns are the columns that a raw table begins with: those declared, and those that the connector adds to every row.
func RawColumns(t *pipeline.Table, stream pipeline.Stream) []delta.Field {
	var out []delta.Field
	for _, c := range slices.Concat(t.Columns, stream.Added) {
		out = append(out, delta.Field{Name: c.Name, Type: rawType(c.Type), Nullable: true})
	}
	return out
}

// rawType is the type of a declared column, which package pipeline has checked.
func rawType(name string) delta.Type {
	if element, ok := strings.CutPrefix(name, "array<"); ok {
		return delta.ArrayType{Element: rawType(strings.TrimSuffix(element, ">")), ContainsNull: true}
	}
	return delta.Primitive(name)
}
