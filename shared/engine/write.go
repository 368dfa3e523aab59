package engine

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

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
	Clustered  [][]string        // paths of columns that have statistics whatever the configuration says
	Attempt    int64
	Now        time.Time // becomes the files' modification time in the log
	Bytes      int64     // at which a new file begins; 0: 128 MiB
	Ordered    bool      // the query's ORDER BY holds in the files; then a partition's rows are one file, whatever its size
	Folder     string    // under the table: "" for data files, "_change_data" for the change data feed
}

// Write runs a SELECT and stores its rows as Parquet data files of the target. The query's columns are taken by name and
// cast to the schema; a schema column that the query lacks is an error of the query. No rows give no files. A NULL in a
// column that is not nullable is a SchemaBroken fault. An infinite date or time, which other engines would take for a date,
// and a schema that forbids NULL inside a column are InvalidInput faults.
func (s *Session) Write(ctx context.Context, t Target, query string) ([]delta.Add, error) {
	dir := s.TempFile("copy") // its number is unique in the session, and so part of the files' names
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, fault.New(fault.Internal, "write", "data files", "%w", err)
	}
	defer os.RemoveAll(dir)
	w := &writer{Session: s, Target: t, number: s.seq, dir: dir, leaves: t.leaves()}
	if w.Bytes == 0 {
		w.Bytes = fileBytes
	}
	columns, err := t.columns()
	if err != nil {
		return nil, err
	}
	query = fmt.Sprintf("SELECT %s FROM (\n%s\n)", strings.Join(columns, ", "), query)
	if len(t.Partition) == 0 {
		err = w.copy(ctx, query, map[string]*string{})
	} else {
		err = w.partitioned(ctx, query)
	}
	return w.adds, err
}

// columns are the schema's, partition columns included, each cast to its type. A column of type void is in no file.
func (t Target) columns() ([]string, error) {
	var out []string
	for _, f := range t.Schema.Fields {
		if path, ok := requiredWithin(f.Type, f.Name); ok {
			return nil, fault.New(fault.InvalidInput, "write", t.Table.Prefix(),
				"column %s is NOT NULL inside another, which DuckDB's Parquet files cannot say, and delta-rs would not read them", path).
				WithHint("allow NULL there, or write this table with another engine")
		}
		if f.Type == delta.Type(delta.Void) {
			continue
		}
		typ, err := DuckType(f.Type)
		if err != nil {
			return nil, err
		}
		out = append(out, fmt.Sprintf("CAST(%[1]s AS %[2]s) AS %[1]s", Ident(f.Name), typ))
	}
	return out, nil
}

// requiredWithin finds a part of a type that may not be NULL.
func requiredWithin(t delta.Type, path string) (string, bool) {
	switch t := t.(type) {
	case delta.StructType:
		for _, f := range t.Fields {
			if !f.Nullable {
				return path + "." + f.Name, true
			}
			if found, ok := requiredWithin(f.Type, path+"."+f.Name); ok {
				return found, true
			}
		}
	case delta.ArrayType:
		if !t.ContainsNull {
			return path + ".element", true
		}
		return requiredWithin(t.Element, path+".element")
	case delta.MapType:
		if !t.ValueContainsNull {
			return path + ".value", true
		}
		if found, ok := requiredWithin(t.Key, path+".key"); ok {
			return found, true
		}
		return requiredWithin(t.Value, path+".value")
	}
	return "", false
}

// writer is one Write.
type writer struct {
	*Session
	Target
	number int
	dir    string
	leaves []leaf
	adds   []delta.Add
}

// copied is a file that COPY wrote, as RETURN_STATS tells.
type copied struct {
	path                string
	count, size, footer int64
	stats, keys         any
}

// copy writes the rows of a query, which has the columns of the files, and stores the files.
func (w *writer) copy(ctx context.Context, query string, partition map[string]*string) error {
	dir := filepath.Join(w.dir, fmt.Sprint(len(w.adds))) // one COPY adds at least one file, or none
	to, options := dir, fmt.Sprintf("FILENAME_PATTERN 'part-{uuid}', APPEND, FILE_SIZE_BYTES %d", w.Bytes)
	if w.Ordered { // where COPY may begin new files it writes row groups as they come (measured on 1.5.6)
		to, options = dir+".parquet", "PER_THREAD_OUTPUT false"
	}
	rows, err := w.Query(ctx, fmt.Sprintf("COPY (%s) TO %s (FORMAT parquet, COMPRESSION zstd, RETURN_STATS, %s)", query, Literal(to), options))
	if err != nil {
		return err
	}
	defer rows.Close()
	var files []copied
	for rows.Next() {
		var f copied
		if err := rows.Scan(&f.path, &f.count, &f.size, &f.footer, &f.stats, &f.keys); err != nil {
			return fault.New(fault.Internal, "write", "data files", "%w", err)
		}
		if f.count > 0 {
			files = append(files, f)
		}
	}
	if err := rows.Err(); err != nil {
		return classify(err, "write", "data files")
	}
	for _, f := range files {
		if err := w.store(ctx, f, partition); err != nil {
			return err
		}
	}
	return nil
}

// store moves a file into the table's folder.
func (w *writer) store(ctx context.Context, f copied, partition map[string]*string) error {
	name := path.Join(w.Folder, fmt.Sprintf("part-%d-%d-%d.parquet", w.Attempt, w.number, len(w.adds)))
	stats, err := w.statistics(ctx, f, name)
	if err != nil {
		return err
	}
	if err := store.PutFile(ctx, w.Store, path.Join(w.Table.Prefix(), name), f.path, store.PutOptions{IfAbsent: true}); err != nil {
		return err
	}
	w.adds = append(w.adds, delta.Add{
		Path: delta.EncodePath(name), PartitionValues: partition, Size: f.size, ModificationTime: w.Now.UnixMilli(), DataChange: true,
		Stats: stats.JSON(),
	})
	return nil
}

// inFile tells whether the files have the column.
func (t Target) inFile(f delta.Field) bool {
	return !slices.Contains(t.Partition, f.Name) && f.Type != delta.Type(delta.Void)
}
