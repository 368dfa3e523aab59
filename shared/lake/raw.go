package lake

import (
	"context"
	"slices"
	"strings"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/engine"
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

// PartRows makes a relation of a part's rows, with _path, and gives its columns. Of text, rejects is a relation of the lines that could not be split,
// complete when the rows have been read.
func PartRows(ctx context.Context, s *engine.Session, part connector.Part) (rows, rejects string, columns []engine.RawColumn, err error) {
	paths := make([]string, len(part.Files))
	for i, f := range part.Files {
		paths[i] = f.Path
	}
	if part.Parquet {
		rows = s.Parquet(paths)
		columns, err = s.Raw(ctx, rows)
		for i := range min(len(columns), len(part.Columns)) {
			columns[i].Name = part.Columns[i]
		}
		return rows, "", columns, err
	}
	rows, rejects = s.CSV(engine.CSV{Paths: paths, Columns: part.Columns, Header: part.Header, Delimiter: part.Delimiter, EmptyText: part.EmptyText, CRLF: part.CRLF, LineBreaks: part.LineBreaks})
	for _, c := range part.Columns {
		if !strings.HasPrefix(c, "_") { // the connector's own
			columns = append(columns, engine.RawColumn{Name: c, Type: delta.String, Expr: "r." + engine.Ident(c)})
		}
	}
	return rows, rejects, columns, nil
}
