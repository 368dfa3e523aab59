package engine

import (
	"context"
	"fmt"
	"strings"

	"github.com/lakestep/lakestep/shared/delta"
)

// Parquet makes a relation of local Parquet files of one set of columns: those, plus _path, the file.
func (s *Session) Parquet(paths []string) string {
	return "(SELECT * FROM read_parquet(" + exactly(paths) + ", hive_partitioning = false, filename = '_path'))"
}

// RawColumn is a column of foreign rows, as a Delta table takes it.
type RawColumn struct {
	Name string
	Type delta.Type
	Expr string // gives a value of that type from the column of the row r
}

// Raw gives the columns of a relation of foreign rows (without _path): what no Delta type holds becomes a wider number, or text: structures as JSON.
func (s *Session) Raw(ctx context.Context, relation string) ([]RawColumn, error) {
	rows, err := s.Strings(ctx, "SELECT column_name, column_type FROM (DESCRIBE SELECT * EXCLUDE (_path) FROM "+relation+")")
	if err != nil {
		return nil, err
	}
	out := make([]RawColumn, len(rows))
	for i, r := range rows {
		out[i] = rawColumn(r[0], r[1])
	}
	return out, nil
}

// wider are the types of numbers and instants that Delta lacks, and those that hold all their values.
var wider = map[string]string{
	"UTINYINT": "SMALLINT", "USMALLINT": "INTEGER", "UINTEGER": "BIGINT", "UBIGINT": "DECIMAL(20,0)",
	"TIMESTAMP_S": "TIMESTAMP", "TIMESTAMP_MS": "TIMESTAMP",
}

func rawColumn(name, duck string) RawColumn {
	expr := "r." + Ident(name)
	if t, err := deltaType(duck); err == nil {
		return RawColumn{name, t, expr}
	}
	if wide, ok := wider[duck]; ok {
		if t, err := deltaType(wide); err == nil {
			return RawColumn{name, t, fmt.Sprintf("CAST(%s AS %s)", expr, wide)}
		}
	}
	if strings.HasPrefix(duck, "STRUCT") || strings.HasPrefix(duck, "MAP") || strings.HasSuffix(duck, "]") {
		expr = fmt.Sprintf("CASE WHEN %[1]s IS NULL THEN NULL ELSE CAST(to_json(%[1]s) AS VARCHAR) END", expr)
	}
	return RawColumn{name, delta.String, fmt.Sprintf("CAST(%s AS VARCHAR)", expr)}
}
