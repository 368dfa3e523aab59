package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/duckdb/duckdb-go/v2"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/store"
)

// fileBytes is where COPY begins a new data file. Delta's own writers aim between 100 MB and 1 GB.
const fileBytes = 128 << 20

// Target is where data files go: a table's schema and folder, and the attempt whose number is in every name, so that
// two attempts never touch one another's files.
type Target struct {
	Store      store.Store
	Table      *delta.Table
	Schema     delta.Schema
	Partition  []string          // partition columns: a file holds rows of one partition, without these columns
	Properties map[string]string // the table's configuration: it says which columns have statistics
	Attempt    int64
	Now        time.Time // becomes the files' modification time in the log
	Bytes      int64     // at which a new file begins; 0: 128 MiB
	Folder     string    // under the table: "" for data files, "_change_data" for the change data feed
}

// Write runs a SELECT and stores its rows as Parquet data files of the target. The query's columns are taken by name and
// cast to the schema; a schema column that the query lacks is an error of the query. No rows give no files.
func (s *Session) Write(ctx context.Context, t Target, query string) ([]delta.Add, error) {
	if len(t.Partition) > 0 {
		return nil, fault.New(fault.InvalidInput, "write", t.Table.Prefix(), "partitioned tables are not written yet")
	}
	dir := s.TempFile("copy") // its number is unique in the session, and so part of the files' names
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, fault.New(fault.Internal, "write", "data files", "%w", err)
	}
	defer os.RemoveAll(dir)
	columns := make([]string, len(t.Schema.Fields))
	for i, f := range t.Schema.Fields {
		typ, err := DuckType(f.Type)
		if err != nil {
			return nil, err
		}
		columns[i] = fmt.Sprintf("CAST(%s AS %s) AS %s", Ident(f.Name), typ, Ident(f.Name))
	}
	size := t.Bytes
	if size == 0 {
		size = fileBytes
	}
	rows, err := s.Query(ctx, fmt.Sprintf(
		"COPY (SELECT %s FROM (%s)) TO %s (FORMAT parquet, COMPRESSION zstd, RETURN_STATS, FILENAME_PATTERN 'part-{uuid}', APPEND, FILE_SIZE_BYTES %d)",
		strings.Join(columns, ", "), query, Literal(dir), size))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	number := s.seq
	var adds []delta.Add
	for rows.Next() {
		var file string
		var count, size, footer int64
		var stats, keys any
		if err := rows.Scan(&file, &count, &size, &footer, &stats, &keys); err != nil {
			return nil, fault.New(fault.Internal, "write", "data files", "%w", err)
		}
		if count == 0 {
			continue
		}
		add, err := t.add(t.name(number, len(adds)), count, size, stats)
		if err != nil {
			return nil, err
		}
		if err := store.PutFile(ctx, t.Store, t.Table.Prefix()+"/"+t.name(number, len(adds)), file, store.PutOptions{IfAbsent: true}); err != nil {
			return nil, err
		}
		adds = append(adds, add)
	}
	if err := rows.Err(); err != nil {
		return nil, classify(err, "write", "data files")
	}
	return adds, nil
}

// name is the path of a data file under its table.
func (t Target) name(number, file int) string {
	return path.Join(t.Folder, fmt.Sprintf("part-%d-%d-%d.parquet", t.Attempt, number, file))
}

func (t Target) add(name string, count, size int64, columns any) (delta.Add, error) {
	stats := delta.Stats{NumRecords: count}
	found, ok := columns.(duckdb.OrderedMap)
	if !ok {
		return delta.Add{}, fault.New(fault.Internal, "write", name, "statistics of type %T", columns)
	}
	for i, f := range t.Schema.Fields {
		p, primitive := f.Type.(delta.Primitive)
		if !primitive || i >= indexedColumns {
			continue
		}
		values, ok := found.Get(Ident(f.Name))
		if !ok {
			continue
		}
		m, ok := values.(duckdb.OrderedMap)
		if !ok {
			return delta.Add{}, fault.New(fault.Internal, "write", name, "statistics of column %s of type %T", f.Name, values)
		}
		if err := setColumn(&stats, f.Name, p, m); err != nil {
			return delta.Add{}, err
		}
	}
	return delta.Add{Path: delta.EncodePath(name), PartitionValues: map[string]*string{}, Size: size, ModificationTime: t.Now.UnixMilli(), DataChange: true, Stats: stats.JSON()}, nil
}

// indexedColumns is how many columns have statistics (Delta's default of delta.dataSkippingNumIndexedCols).
const indexedColumns = 32

// setColumn reads one column's statistics as COPY RETURN_STATS gives them: texts, timestamps in the session's zone (UTC). Float bounds of a
// column with NaN are left out: DuckDB does not count NaN into them.
func setColumn(stats *delta.Stats, name string, t delta.Primitive, m duckdb.OrderedMap) error {
	text := func(key string) (string, bool) {
		v, ok := m.Get(key)
		s, isText := v.(string)
		return s, ok && isText
	}
	nulls := int64(-1)
	if s, ok := text("null_count"); ok {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return fault.New(fault.Internal, "read statistics of", name, "%w", err)
		}
		nulls = n
	}
	lo, hasMin := text("min")
	hi, hasMax := text("max")
	if nan, ok := text("has_nan"); ok && nan != "false" {
		hasMin = false
	}
	var low, high any
	if hasMin && hasMax {
		var err1, err2 error
		low, err1 = statValue(t, lo)
		high, err2 = statValue(t, hi)
		if err := errors.Join(err1, err2); err != nil {
			return fault.New(fault.Internal, "read statistics of", name, "%w", err)
		}
	}
	if low == nil || high == nil {
		low, high = nil, nil
	}
	if err := stats.SetColumn([]string{name}, t, low, high, nulls); err != nil {
		return fault.New(fault.Internal, "read statistics of", name, "%w", err)
	}
	return nil
}

// statValue gives a bound as package delta wants it; nil where a type has none.
func statValue(t delta.Primitive, s string) (any, error) {
	switch t {
	case delta.String:
		return s, nil
	case delta.Byte, delta.Short, delta.Integer, delta.Long:
		return strconv.ParseInt(s, 10, 64)
	case delta.Float, delta.Double:
		return strconv.ParseFloat(s, 64)
	case delta.Date:
		if _, err := time.Parse(time.DateOnly, s); err != nil {
			return nil, nil // beyond the years that four digits hold: no bound
		}
		return s, nil
	case delta.Timestamp, delta.TimestampNTZ:
		v, err := time.Parse("2006-01-02 15:04:05.999999", strings.TrimSuffix(s, "+00"))
		if err != nil {
			return nil, nil
		}
		return v, nil
	}
	if _, _, ok := t.DecimalParts(); ok {
		if digits, negative := strings.CutPrefix(s, "-"); strings.HasPrefix(digits, ".") { // as DuckDB writes a decimal without integer digits
			if s = "0" + digits; negative {
				s = "-" + s
			}
		}
		return json.Number(s), nil
	}
	return nil, nil
}
