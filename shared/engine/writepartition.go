package engine

import (
	"context"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/fault"
)

// partitioned writes the rows of a query partition by partition. The rows are kept aside, sorted by the number of their
// partition, and each partition is a COPY of its own: one file is open at a time however many there are (DuckDB's
// PARTITION_BY keeps a hundred, ran out of 400 MB with 10,000 partitions, and makes folder names of the values).
func (w *writer) partitioned(ctx context.Context, query string) error {
	rows, parts, sorted := w.temp("rows"), w.temp("parts"), w.temp("sorted")
	defer w.drop(rows, parts, sorted)
	keys, values := make([]string, len(w.Partition)), make([]string, len(w.Partition))
	for i, c := range w.Partition {
		f, _ := w.Schema.Field(c)
		// As text, since 0 and -0 are equal as numbers.
		keys[i], values[i] = fmt.Sprintf("CAST(%s AS VARCHAR)", Ident(c)), fmt.Sprintf("any_value(%s)", Ident(c))
		if p, ok := f.Type.(delta.Primitive); ok {
			if _, _, decimal := p.DecimalParts(); decimal {
				values[i] = fmt.Sprintf("CAST(%s AS VARCHAR)", values[i])
			}
		}
	}
	if err := w.Exec(ctx, fmt.Sprintf("CREATE TEMP TABLE %s AS %s", rows, query)); err != nil {
		return err
	}
	if err := w.Exec(ctx, fmt.Sprintf(`CREATE TEMP TABLE %s AS
		SELECT *, CAST(row_number() OVER () AS INTEGER) AS _part FROM (SELECT %s, %s FROM %s GROUP BY %s)`,
		parts, aliased(keys, "_key"), aliased(values, "_value"), rows, strings.Join(keys, ", "))); err != nil {
		return err
	}
	partitions, err := w.partitions(ctx, parts)
	if err != nil {
		return err
	}
	columns := w.fileColumns()
	if len(partitions) == 1 {
		return w.copy(ctx, fmt.Sprintf("SELECT %s FROM %s ORDER BY rowid", columns, rows), partitions[0])
	}
	on := make([]string, len(keys))
	for i, k := range keys {
		on[i] = fmt.Sprintf("%s IS NOT DISTINCT FROM _key%d", k, i)
	}
	if err := w.Exec(ctx, fmt.Sprintf("CREATE TEMP TABLE %s AS SELECT %s, _part FROM %s r JOIN %s ON %s ORDER BY _part, r.rowid",
		sorted, columns, rows, parts, strings.Join(on, " AND "))); err != nil {
		return err
	}
	w.drop(rows)
	for i, partition := range partitions {
		query := fmt.Sprintf("SELECT %s FROM %s WHERE _part = %d ORDER BY rowid", columns, sorted, i+1)
		if err := w.copy(ctx, query, partition); err != nil {
			return err
		}
	}
	return nil
}

// partitions gives the values of each partition, in the order of their numbers.
func (w *writer) partitions(ctx context.Context, parts string) ([]map[string]*string, error) {
	values := make([]string, len(w.Partition))
	for i := range values {
		values[i] = fmt.Sprintf("_value%d", i)
	}
	rows, err := w.Query(ctx, fmt.Sprintf("SELECT %s FROM %s ORDER BY _part", strings.Join(values, ", "), parts))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []map[string]*string
	for rows.Next() {
		cells, dest := make([]any, len(values)), make([]any, len(values))
		for i := range cells {
			dest[i] = &cells[i]
		}
		if err := rows.Scan(dest...); err != nil {
			return nil, classify(err, "write", "data files")
		}
		partition := make(map[string]*string, len(cells))
		for i, c := range w.Partition {
			f, _ := w.Schema.Field(c)
			if partition[c], err = partitionText(f, cells[i]); err != nil {
				return nil, fault.New(fault.InvalidInput, "write", w.Table.Prefix(), "partition column %s: %w", c, err)
			}
		}
		out = append(out, partition)
	}
	if err := rows.Err(); err != nil {
		return nil, classify(err, "write", "data files")
	}
	return out, nil
}

// partitionText is a value as the log has it.
func partitionText(f delta.Field, v any) (*string, error) {
	if b, ok := v.([]byte); ok && !utf8.Valid(b) {
		return nil, fmt.Errorf("binary value %x is no UTF-8 text, and the log can hold no other", b)
	}
	if s, ok := v.(string); ok {
		if p, ok := f.Type.(delta.Primitive); ok && p != delta.String {
			v = plainDecimal(s)
		}
	}
	text, err := delta.FormatPartitionValue(f.Type, v)
	if err == nil && text == nil && !f.Nullable {
		err = fmt.Errorf("NULL, or the empty text that Delta takes for it, and the column is not nullable")
	}
	return text, err
}

// fileColumns are the columns that files of a partitioned table have.
func (t Target) fileColumns() string {
	var out []string
	for _, f := range t.Schema.Fields {
		if t.inFile(f) {
			out = append(out, Ident(f.Name))
		}
	}
	return strings.Join(out, ", ")
}

func aliased(expressions []string, name string) string {
	out := make([]string, len(expressions))
	for i, e := range expressions {
		out[i] = fmt.Sprintf("%s AS %s%d", e, name, i)
	}
	return strings.Join(out, ", ")
}

// temp is a fresh name for a temporary table.
func (s *Session) temp(name string) string {
	s.seq++
	return Ident(fmt.Sprintf("_engine_%s_%d", name, s.seq))
}

// drop frees temporary tables early; what cannot be dropped goes with the session.
func (s *Session) drop(tables ...string) {
	for _, t := range tables {
		_ = s.Exec(context.Background(), "DROP TABLE IF EXISTS "+t)
	}
}
