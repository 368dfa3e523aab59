package files_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/engine"
	"github.com/lakestep/lakestep/shared/store/file"
)

func parquetStream() connector.Settings {
	return stream("path", "*.parquet", "format", "parquet")
}

func TestConformanceParquet(t *testing.T) {
	conform(t, format{settings: stream("path", "*.data", "format", "parquet"), write: writeParquet, broken: "PAR1 this is no footer PAR1", breaks: 1})
}

func writeParquet(w io.Writer, rows []record) {
	fields := []arrow.Field{{Name: "id", Type: arrow.BinaryTypes.String}, {Name: "n", Type: arrow.PrimitiveTypes.Int64, Nullable: true}}
	if rows[0].extra != "" {
		fields = append(fields, arrow.Field{Name: "extra", Type: arrow.BinaryTypes.String, Nullable: true})
	}
	schema := arrow.NewSchema(fields, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	for i, r := range rows {
		b.Field(0).(*array.StringBuilder).Append(r.id)
		b.Field(1).(*array.Int64Builder).Append(int64(i))
		if r.extra != "" {
			b.Field(2).(*array.StringBuilder).Append(r.extra)
		}
	}
	out, err := pqarrow.NewFileWriter(schema, struct{ io.Writer }{w}, parquet.NewWriterProperties(), pqarrow.DefaultWriterProps())
	if err == nil {
		err = out.Write(b.NewRecordBatch())
	}
	if err == nil {
		err = out.Close()
	}
	if err != nil {
		panic(err)
	}
}

// copyTo writes the rows of a query as a Parquet file.
func copyTo(t testing.TB, e *engine.Engine, path, query string) {
	t.Helper()
	session, err := e.Session(t.Context())
	must(t, err)
	defer session.Close()
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, session.Exec(t.Context(), fmt.Sprintf("COPY (%s) TO %s (FORMAT parquet)", query, engine.Literal(path))))
}

func TestParquetInPlace(t *testing.T) {
	e := newEngine(t)
	dir := t.TempDir()
	copyTo(t, e, filepath.Join(dir, "a.parquet"), "SELECT 1::INTEGER a, 'x' b, 1.50::DECIMAL(9,2) c, DATE '2026-01-02' d, TIMESTAMPTZ '2026-01-02 03:04:05.000006+00' e")
	copyTo(t, e, filepath.Join(dir, "b.parquet"), "SELECT 2::INTEGER a, NULL::VARCHAR b, 2.50::DECIMAL(9,2) c, DATE '2026-01-03' d, TIMESTAMPTZ '2026-01-02 03:04:05.000006+00' e")
	copyTo(t, e, filepath.Join(dir, "c.parquet"), "SELECT 3::BIGINT a, 'z' b")
	got := load(t, e, dir, parquetStream())
	if len(got.page.Parts) != 2 || len(got.page.Parts[0].Files) != 2 || got.page.Parts[0].Files[0].Path != filepath.Join(dir, "a.parquet") {
		t.Errorf("parts %+v", got.page.Parts)
	}
	want := [][]string{{"1", "x", "1.50", "2026-01-02", "2026-01-02 03:04:05.000006+00"}, {"2", null, "2.50", "2026-01-03", "2026-01-02 03:04:05.000006+00"}, {"3", "z"}}
	if !slices.EqualFunc(got.rows, want, slices.Equal[[]string]) || got.counted != 3 {
		t.Errorf("%d rows: %q", got.counted, got.rows)
	}
}

// Names that a table cannot have are changed; the values come under the new ones.
func TestParquetColumnNames(t *testing.T) {
	e := newEngine(t)
	for query, want := range map[string]string{
		`SELECT 1 AS "order id", 2 AS _id, 3 AS "a;b", 4 AS filename`: "[order_id x_id a_b x_filename] [[1 2 3 4]]",
		`SELECT 1 AS a WHERE false`:                                   "[a] []",
	} {
		dir := t.TempDir()
		copyTo(t, e, filepath.Join(dir, "f.parquet"), query)
		got := load(t, e, dir, parquetStream())
		if answer := fmt.Sprintf("%v %v", got.columns, got.rows); answer != want || len(got.bad) > 0 {
			t.Errorf("%s: %s, want %s, bad %+v", query, answer, want, got.bad)
		}
	}
}

// arrowFile is a Parquet file of one row of texts, its columns named as DuckDB itself would not.
func arrowFile(t testing.TB, names ...string) []byte {
	t.Helper()
	var fields []arrow.Field
	for _, n := range names {
		fields = append(fields, arrow.Field{Name: n, Type: arrow.BinaryTypes.String})
	}
	schema := arrow.NewSchema(fields, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	for i, n := range names {
		b.Field(i).(*array.StringBuilder).Append("value of " + n)
	}
	var out bytes.Buffer
	w, err := pqarrow.NewFileWriter(schema, &out, parquet.NewWriterProperties(), pqarrow.DefaultWriterProps())
	must(t, err)
	must(t, w.Write(b.NewRecordBatch()))
	must(t, w.Close())
	return out.Bytes()
}

func TestParquetNamesInOneFile(t *testing.T) {
	e := newEngine(t)
	for _, tt := range []struct {
		names []string
		want  string
	}{
		{[]string{"id", "ID", "Id"}, "[id ID_2 Id_3] [[value of id value of ID value of Id]]"},
		{[]string{"a", "a"}, "[a a_2] [[value of a value of a]]"},
		{[]string{"file_row_number", "x"}, "[x_file_row_number x] [[value of file_row_number value of x]]"},
		{[]string{"_path", "x"}, "the file has a column _path, which the engine needs for itself"},
		{[]string{"A", "_PATH"}, "the file has a column _path, which the engine needs for itself"},
	} {
		got := load(t, e, landing(t, "f.parquet", string(arrowFile(t, tt.names...))), parquetStream())
		answer := fmt.Sprintf("%v %v", got.columns, got.rows)
		if len(got.bad) > 0 {
			answer = got.bad[0].Error
		}
		if answer != tt.want {
			t.Errorf("%q: %s, want %s", tt.names, answer, tt.want)
		}
	}
}

// A broken file is reported as a whole; the others are taken.
func TestParquetBroken(t *testing.T) {
	e := newEngine(t)
	good := string(arrowFile(t, "a"))
	cut := good[:4] + good[40:] // a good footer of a file that lacks a piece
	for name, text := range map[string]string{
		"empty": "", "text": "a,b\n1,2\n", "no footer": "PAR1PAR1", "half": good[:len(good)/2], "without its end": good[:len(good)-1], "encrypted": good[:len(good)-4] + "PARE",
		"a piece lacks": cut, "a long footer": good[:len(good)-8] + "\xff\xff\xff\x7fPAR1", "a footer of nothing": "PAR1\x00\x00\x00\x00PAR1",
		"zeros": "PAR1" + strings.Repeat("\x00", 100) + "\x40\x00\x00\x00PAR1", "noise": "PAR1" + strings.Repeat("\x15\xf3\x8c\x19", 25) + "\x40\x00\x00\x00PAR1",
	} {
		dir := landing(t, "bad.parquet", text)
		write(t, filepath.Join(dir, "good.parquet"), good)
		got := load(t, e, dir, parquetStream())
		if len(got.page.Items) != 2 || len(got.bad) != 1 || got.bad[0].Key != "bad.parquet" || got.bad[0].Error == "" || len(got.rows) != 1 {
			t.Errorf("%s: items %d, bad %+v, rows %q", name, len(got.page.Items), got.bad, got.rows)
		}
		t.Log(name, got.bad)
	}
}

// Of a file that is elsewhere Discover reads the footer only.
func TestDiscoverParquetElsewhere(t *testing.T) {
	dir := landing(t, "x.parquet", string(arrowFile(t, "a b", "c")))
	s, err := file.New(dir)
	must(t, err)
	found, err := source(t, elsewhere{s}, parquetStream()).Discover(t.Context())
	must(t, err)
	if len(found) != 1 || fmt.Sprint(found[0].Columns) != "[{a_b string} {c string}]" || found[0].Items != 1 || found[0].Rows != 1 {
		t.Errorf("%+v", found)
	}
}
