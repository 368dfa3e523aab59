package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/store"
)

// File is one Parquet file of a table, as a scan wants it.
type File struct {
	Path            string // of the Add, as in the log
	Size            int64  // bytes, as the log says; 0: it does not say
	PartitionValues map[string]*string
	DeletionVector  *delta.DeletionVector // rows that are no longer there
	Commit          int64                 // version that brought it, where a scan asks for it
}

// Files gives the files of adds.
func Files(adds []delta.Add) []File {
	out := make([]File, len(adds))
	for i, a := range adds {
		out[i] = File{Path: a.Path, Size: a.Size, PartitionValues: a.PartitionValues, DeletionVector: a.DeletionVector}
	}
	return out
}

// Scan describes what to read: files of a table under a schema.
type Scan struct {
	Store     store.Store
	Table     *delta.Table
	Schema    delta.Schema
	Partition []string      // partition columns
	Mapping   delta.Mapping // of columns to what files hold; "": by name
	Files     []File
	Extra     []string // columns of the files beyond the schema: "_change_type"
	Position  bool     // adds _file (index into Files) and _pos (physical row in it, from 0)
	Commits   bool     // adds _commit, the file's version

	// Keep, where given, tells by partition values and statistics whether rows of a file are wanted (delta.Snapshot.MayMatch). A part of a file of
	// which it says no may be left out of what is fetched, so that the rows are some of the file's and all that are wanted.
	Keep func(delta.Add) bool
}

// NewScan is the scan of some files under the schema of a snapshot.
func NewScan(s store.Store, table *delta.Table, snap *delta.Snapshot, files []File) Scan {
	return Scan{Store: s, Table: table, Schema: snap.Schema(), Partition: snap.Metadata().PartitionColumns, Mapping: snap.Mapping(), Files: files}
}

// Relation gives SQL for the rows of a scan, to stand behind FROM. Columns, nested ones too, are read as the schema has them now: those that
// a file lacks are NULL, narrower types are widened, mapped columns found by their physical name or id; partition values come from the log;
// rows in a deletion vector are left out. Of files that are not on this machine the columns of the schema are fetched into the session's
// folder first.
//
// A data file that is gone is a SourceLost fault. A file that is not what the log says (its size, its columns' types, a deletion vector that
// is damaged or names rows beyond its end) is an InvalidInput or SchemaBroken fault.
func (s *Session) Relation(ctx context.Context, sc Scan) (string, error) {
	paths, err := s.dataFiles(ctx, sc)
	if err != nil {
		return "", err
	}
	if len(paths) == 0 {
		columns, err := group{scan: sc}.columns()
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("(SELECT %s WHERE false)", strings.Join(columns, ", ")), nil
	}
	groups, err := s.groups(ctx, sc, paths)
	if err != nil {
		return "", err
	}
	parts := make([]string, len(groups))
	for i, g := range groups {
		if parts[i], err = s.selectGroup(ctx, g); err != nil {
			return "", err
		}
	}
	return "(" + strings.Join(parts, " UNION ALL ") + ")", nil
}

// group is the files of a scan that are read by one SELECT: they hold the same columns, and all or none has a deletion vector.
type group struct {
	scan   Scan
	layout layout   // of each file
	files  []int    // indexes into the scan's files
	paths  []string // of each, on this machine
}

// groups sorts the files by what they hold. One group is the rule.
func (s *Session) groups(ctx context.Context, sc Scan, paths []string) ([]group, error) {
	layouts, err := s.layouts(ctx, paths, sc.Mapping == delta.MappingID)
	if err != nil {
		return nil, err
	}
	type key struct {
		text    string
		deleted bool
		file    int // for those that no list can speak of
	}
	var groups []group
	index := map[key]int{}
	for i, p := range paths {
		l, ok := layouts[p]
		if !ok {
			return nil, fault.New(fault.Internal, "scan", p, "the engine does not describe the file")
		}
		k := key{text: l.text, deleted: sc.Files[i].DeletionVector != nil}
		if l.hides("file_index") {
			k.file = i
		}
		n, ok := index[k]
		if !ok {
			n = len(groups)
			index[k] = n
			groups = append(groups, group{scan: sc, layout: l})
		}
		groups[n].files = append(groups[n].files, i)
		groups[n].paths = append(groups[n].paths, p)
	}
	return groups, nil
}

func (s *Session) selectGroup(ctx context.Context, g group) (string, error) {
	columns, err := g.columns()
	if err != nil {
		return "", err
	}
	from := parquet(g.paths) + " AS _r"
	deleted := g.scan.Files[g.files[0]].DeletionVector != nil
	if (deleted || g.scan.Position) && g.layout.hides("file_row_number") {
		return "", g.refuse("file_row_number", "the engine needs this name for itself, to tell rows apart")
	}
	if deleted {
		table, err := s.deletedRows(ctx, g)
		if err != nil {
			return "", err
		}
		index := "CAST(_r.file_index AS BIGINT)"
		if len(g.files) == 1 {
			index = "0"
		}
		from += fmt.Sprintf(" ANTI JOIN %s AS _d ON _d.file = %s AND _d.position = _r.file_row_number", table, index)
	}
	return fmt.Sprintf("SELECT %s FROM %s", strings.Join(columns, ", "), from), nil
}

// columns are what the group's SELECT gives.
func (g group) columns() ([]string, error) {
	sc := g.scan
	var out []string
	for _, f := range sc.Schema.Fields {
		value, err := g.column(f)
		if err != nil {
			return nil, err
		}
		out = append(out, value+" AS "+Ident(f.Name))
	}
	for _, c := range sc.Extra {
		if g.layout.has(c) {
			out = append(out, Ident(c))
		} else {
			out = append(out, "CAST(NULL AS VARCHAR) AS "+Ident(c))
		}
	}
	if sc.Position {
		row := "CAST(NULL AS BIGINT)"
		if len(g.files) > 0 {
			row = "CAST(file_row_number AS BIGINT)"
		}
		number := func(i int) string { return strconv.Itoa(i) }
		out = append(out, g.each("BIGINT", number)+" AS _file", row+" AS _pos")
	}
	if sc.Commits {
		commit := func(i int) string { return strconv.FormatInt(sc.Files[i].Commit, 10) }
		out = append(out, g.each("BIGINT", commit)+" AS _commit")
	}
	return out, nil
}

// each is SQL for a value that differs by file; of gives it for an index into the scan's files.
func (g group) each(typ string, of func(i int) string) string {
	values := make([]string, len(g.files))
	for n, i := range g.files {
		values[n] = of(i)
	}
	distinct := slices.Compact(slices.Clone(values))
	switch len(distinct) {
	case 0:
		return "CAST(NULL AS " + typ + ")"
	case 1:
		return "CAST(" + values[0] + " AS " + typ + ")"
	}
	return fmt.Sprintf("([%s]::%s[])[CAST(file_index AS BIGINT) + 1]", strings.Join(values, ", "), typ)
}

// column is SQL for one column of the schema. Of a partition column the log's word counts, never the folder's name.
func (g group) column(f delta.Field) (string, error) {
	typ, err := DuckType(f.Type)
	if err != nil {
		return "", err
	}
	name := g.scan.Mapping.Name(f)
	if slices.Contains(g.scan.Partition, f.Name) {
		var bad error
		value := g.each(typ, func(i int) string {
			file := g.scan.Files[i]
			text, err := partitionLiteral(f.Type, file.PartitionValues[name])
			if err != nil && bad == nil {
				bad = fault.New(fault.InvalidInput, "scan", g.scan.Table.Prefix(), "file %s, column %s: %w", file.Path, f.Name, err)
			}
			return text
		})
		return value, bad
	}
	if len(g.files) == 0 {
		return "CAST(NULL AS " + typ + ")", nil
	}
	value, err := converter{mapping: g.scan.Mapping}.field(g.layout.columns, f, Ident)
	if err != nil {
		return "", g.refuse(f.Name, "%w", err)
	}
	return value, nil
}

// refuse says what is wrong with a column of the group's files.
func (g group) refuse(column, format string, args ...any) error {
	return fault.New(fault.SchemaBroken, "scan", g.scan.Table.Prefix(), "file %s, column %s: %w", g.scan.Files[g.files[0]].Path, column, fmt.Errorf(format, args...))
}

// partitionLiteral is SQL for a partition value of the log, checked to be one of the type.
func partitionLiteral(t delta.Type, text *string) (string, error) {
	v, err := delta.ParsePartitionValue(t, text)
	if err != nil || v == nil {
		return "NULL", err
	}
	switch v := v.(type) {
	case []byte:
		return fmt.Sprintf("unhex('%x')", v), nil
	case time.Time:
		if t != delta.Type(delta.Date) { // any way of writing it, and a zone
			return fmt.Sprintf("make_timestamp(%d)", v.UnixMicro()), nil
		}
	}
	return Literal(*text), nil
}

// dataFiles makes the files of a scan files of this machine, and checks that they are those that the log means.
func (s *Session) dataFiles(ctx context.Context, sc Scan) ([]string, error) {
	local, ok := sc.Store.(store.Local)
	if !ok || sc.copies() {
		return s.fetch(ctx, sc)
	}
	paths := make([]string, len(sc.Files))
	for i, f := range sc.Files {
		key, err := sc.Table.FilePath(delta.Add{Path: f.Path})
		if err != nil {
			return nil, err
		}
		if paths[i], err = local.Path(key); err != nil {
			return nil, err
		}
		info, err := os.Stat(paths[i])
		if errors.Is(err, fs.ErrNotExist) {
			return nil, lostFile(key, err)
		}
		if err != nil {
			return nil, fault.New(fault.Unavailable, "scan", key, "%w", err)
		}
		if f.Size != 0 && info.Size() != f.Size {
			return nil, sizeMismatch(key, info.Size(), f.Size)
		}
	}
	return paths, nil
}

// copies tells whether files are fetched even from this machine: DuckDB 1.5 reads variants that carry Parquet's annotation into a type of its own,
// in which a variant null is no longer told from a missing value. What is fetched has a footer of ours, without the annotation.
func (sc Scan) copies() bool { return sc.Schema.Uses(delta.Variant) }

func sizeMismatch(key string, is, want int64) error {
	return fault.New(fault.InvalidInput, "scan", key, "the file has %d bytes, but the log says %d", is, want).
		WithHint("the file was replaced or cut off, or its writer noted a wrong size: other engines lose rows of it; restore or rewrite the file")
}

func lostFile(key string, err error) error {
	return fault.New(fault.SourceLost, "scan", key, "a data file of the table is gone: %w", err).
		WithHint("another program removed it (a VACUUM that kept too little): restore it from a backup, or remove the table and those behind it, and run again to rebuild them")
}

// parquet is the relation of Parquet files: columns come from the files and the log, never from the names of folders.
func parquet(paths []string) string {
	return "read_parquet(" + exactly(paths) + ", hive_partitioning = false)"
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
