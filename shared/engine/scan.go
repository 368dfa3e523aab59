package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/store"
)

// File is one Parquet file of a table, as a scan wants it.
type File struct {
	Path            string // of the Add, as in the log
	PartitionValues map[string]*string
	Deleted         bool  // it has a deletion vector
	Commit          int64 // version that brought it, where a scan asks for it
}

// Files gives the files of adds.
func Files(adds []delta.Add) []File {
	out := make([]File, len(adds))
	for i, a := range adds {
		out[i] = File{Path: a.Path, PartitionValues: a.PartitionValues, Deleted: a.DeletionVector != nil}
	}
	return out
}

// Scan describes what to read: files of a table under a schema.
type Scan struct {
	Store     store.Store
	Table     *delta.Table
	Schema    delta.Schema
	Partition []string // partition columns
	Files     []File
	Extra     []string // columns of the files beyond the schema: "_change_type"
	Position  bool     // adds _file (index into Files) and _pos (row in it, from 0)
	Commits   bool     // adds _commit, the file's version
}

// Relation gives SQL for the rows of a scan, to stand behind FROM. Columns that a file lacks are NULL; partition columns come from the
// log. Files that are not on this machine are fetched into the session's folder first.
func (s *Session) Relation(ctx context.Context, sc Scan) (string, error) {
	paths := make([]string, len(sc.Files))
	for i, f := range sc.Files {
		if f.Deleted {
			return "", fault.New(fault.InvalidInput, "scan", sc.Table.Prefix(), "file %s has a deletion vector, which lakestep cannot apply yet", f.Path).
				WithHint("purge the table's deletion vectors with the engine that wrote them (Spark: REORG TABLE ... APPLY (PURGE))")
		}
		key, err := sc.Table.FilePath(delta.Add{Path: f.Path})
		if err != nil {
			return "", err
		}
		if paths[i], err = s.local(ctx, sc.Store, key); err != nil {
			return "", err
		}
	}
	present, err := s.parquetColumns(ctx, paths)
	if err != nil {
		return "", err
	}
	columns, err := sc.columns(present)
	if err != nil {
		return "", err
	}
	if len(paths) == 0 {
		return fmt.Sprintf("(SELECT %s WHERE false)", strings.Join(columns, ", ")), nil
	}
	return fmt.Sprintf("(SELECT %s FROM %s)", strings.Join(columns, ", "), parquet(paths)), nil
}

func (sc Scan) columns(present map[string]bool) ([]string, error) {
	var out []string
	for _, f := range sc.Schema.Fields {
		typ, err := DuckType(f.Type)
		if err != nil {
			return nil, err
		}
		value := "NULL"
		switch {
		case slices.Contains(sc.Partition, f.Name):
			value = sc.partitionValue(f.Name)
		case present[f.Name]:
			value = Ident(f.Name)
		}
		out = append(out, fmt.Sprintf("CAST(%s AS %s) AS %s", value, typ, Ident(f.Name)))
	}
	for _, c := range sc.Extra {
		if present[c] {
			out = append(out, Ident(c))
		} else {
			out = append(out, "CAST(NULL AS VARCHAR) AS "+Ident(c))
		}
	}
	switch {
	case sc.Position && len(sc.Files) > 0:
		out = append(out, "CAST(file_index AS BIGINT) AS _file", "CAST(file_row_number AS BIGINT) AS _pos")
	case sc.Position:
		out = append(out, "CAST(NULL AS BIGINT) AS _file", "CAST(NULL AS BIGINT) AS _pos")
	}
	if sc.Commits {
		out = append(out, sc.commit()+" AS _commit")
	}
	return out, nil
}

// commit picks the file's version from a list.
func (sc Scan) commit() string {
	if len(sc.Files) == 0 {
		return "CAST(NULL AS BIGINT)"
	}
	versions := make([]string, len(sc.Files))
	for i, f := range sc.Files {
		versions[i] = strconv.FormatInt(f.Commit, 10)
	}
	return "([" + strings.Join(versions, ", ") + "]::BIGINT[])[CAST(file_index AS BIGINT) + 1]"
}

// partitionValue picks the file's value from a list: the log's word counts, never the folder's name.
func (sc Scan) partitionValue(column string) string {
	values := make([]string, len(sc.Files))
	for i, f := range sc.Files {
		values[i] = "NULL"
		if v := f.PartitionValues[column]; v != nil && *v != "" {
			values[i] = Literal(*v)
		}
	}
	if len(values) == 0 {
		return "NULL"
	}
	return fmt.Sprintf("([%s]::VARCHAR[])[CAST(file_index AS BIGINT) + 1]", strings.Join(values, ", "))
}

// parquetColumns gives the top-level columns that at least one of the files has.
func (s *Session) parquetColumns(ctx context.Context, paths []string) (map[string]bool, error) {
	present := map[string]bool{}
	if len(paths) == 0 {
		return present, nil
	}
	rows, err := s.Strings(ctx, "SELECT column_name FROM (DESCRIBE SELECT * FROM "+parquet(paths)+")")
	if err != nil {
		return nil, err
	}
	for _, r := range rows {
		present[r[0]] = true
	}
	return present, nil
}

// parquet is the relation of Parquet files: columns come from the files and the log, never from the names of folders.
func parquet(paths []string) string {
	return "read_parquet(" + exactly(paths) + ", union_by_name = true, hive_partitioning = false)"
}

// globs are the characters that DuckDB takes for patterns in a file's name; in brackets each stands for itself.
var globs = strings.NewReplacer("[", "[[]", "*", "[*]", "?", "[?]")

// exactly is a list of paths that DuckDB reads as the names that they are.
func exactly(paths []string) string {
	escaped := make([]string, len(paths))
	for i, p := range paths {
		escaped[i] = globs.Replace(p)
	}
	return Literals(escaped)
}

// Reserved tells whether a column's name would hide one of DuckDB's own columns of a Parquet file, by which rows are found again.
func Reserved(column string) bool {
	return strings.EqualFold(column, "file_row_number") || strings.EqualFold(column, "file_index") || strings.EqualFold(column, "filename")
}

// local makes an object a file of this machine.
func (s *Session) local(ctx context.Context, st store.Store, key string) (string, error) {
	if l, ok := st.(store.Local); ok {
		return l.Path(key)
	}
	r, err := st.Open(ctx, key, store.Range{})
	if err != nil {
		return "", err
	}
	defer r.Close()
	path := s.TempFile("fetched.parquet")
	f, err := os.Create(path)
	if err != nil {
		return "", fault.New(fault.Internal, "fetch", key, "%w", err)
	}
	_, err = io.Copy(f, r)
	if err := errors.Join(err, f.Close()); err != nil {
		return "", fault.New(fault.Unavailable, "fetch", key, "%w", err)
	}
	return path, nil
}

// Describe gives the schema of a query's result.
func (s *Session) Describe(ctx context.Context, query string) (delta.Schema, error) {
	rows, err := s.Strings(ctx, "SELECT column_name, column_type FROM (DESCRIBE "+query+")")
	if err != nil {
		return delta.Schema{}, err
	}
	var schema delta.Schema
	for _, r := range rows {
		t, err := deltaType(r[1])
		if err != nil {
			var f *fault.Fault
			if errors.As(err, &f) {
				f.Object = fmt.Sprintf("column %s of type %s", r[0], r[1])
			}
			return delta.Schema{}, err
		}
		schema.Fields = append(schema.Fields, delta.Field{Name: r[0], Type: t, Nullable: true})
	}
	return schema, nil
}
