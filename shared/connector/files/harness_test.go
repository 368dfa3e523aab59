package files_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/connector/files"
	"github.com/lakestep/lakestep/shared/engine"
	"github.com/lakestep/lakestep/shared/store/file"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newEngine(t testing.TB) *engine.Engine {
	t.Helper()
	e, err := engine.Open(engine.Options{MemoryMB: 1000, Threads: 2, TempDir: t.TempDir()})
	must(t, err)
	t.Cleanup(func() { must(t, e.Close()) })
	return e
}

// loaded is what a page brought: rows as JSON texts with their columns, sorted; rejects as "line|text|error", sorted by line.
type loaded struct {
	columns []string
	rows    [][]string // cells; NULL is the text below
	rejects []reject
	counted int64 // rows, as the connector says
	bad     []connector.Bad
	page    connector.Page
}

type reject struct {
	line        int64
	text, error string
}

const null = "\x00NULL"

// landing is a folder with one file.
func landing(t testing.TB, name, text string) string {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, name), text)
	return dir
}

func write(t testing.TB, path, text string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, []byte(text), 0o644))
}

// stream is the settings of a stream, key by key.
func stream(pairs ...string) connector.Settings {
	out := connector.Settings{}
	for i := 0; i < len(pairs); i += 2 {
		out[pairs[i]] = connector.Setting{Text: pairs[i+1], At: "pipeline.yaml:1:1"}
	}
	return out
}

// config is a source with the one stream "s".
func config(st connector.Settings) connector.Config {
	return connector.Config{Pipeline: "p", Name: "files", At: "pipeline.yaml:1:1", Streams: map[string]connector.Settings{"s": st}}
}

// position is that of a stream of which these items were taken.
func position(items ...connector.Item) connector.Position {
	p := connector.Position{Items: map[string]connector.Item{}}
	for _, it := range items {
		p.Items[it.Key] = it
	}
	return p
}

// load takes all files of a folder as one page through the engine, as the bronze step does.
func load(t testing.TB, e *engine.Engine, dir string, st connector.Settings) loaded {
	t.Helper()
	return loadLimited(t, e, dir, st, connector.Limit{Items: 1000, Bytes: 1 << 40})
}

func loadLimited(t testing.TB, e *engine.Engine, dir string, st connector.Settings, limit connector.Limit) loaded {
	t.Helper()
	s, err := file.New(dir)
	must(t, err)
	src, err := files.New(s, config(st))
	must(t, err)
	page, err := src.Next(t.Context(), connector.Request{Stream: "s", Dir: t.TempDir(), Limit: limit})
	must(t, err)
	return read(t, e, page)
}

// benchmarkRead reads the files of a folder as pages.
func benchmarkRead(b *testing.B, dir string, st connector.Settings, rows int) {
	s, err := file.New(dir)
	must(b, err)
	src, err := files.New(s, config(st))
	must(b, err)
	for b.Loop() {
		page, err := src.Next(b.Context(), connector.Request{Stream: "s", Dir: b.TempDir()})
		must(b, err)
		var n int64
		for _, p := range page.Parts {
			for _, f := range p.Files {
				n += f.Rows
			}
		}
		if n != int64(rows) {
			b.Fatalf("%d rows, want %d", n, rows)
		}
	}
	b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

func read(t testing.TB, e *engine.Engine, page connector.Page) loaded {
	t.Helper()
	out := loaded{page: page, bad: page.Bad}
	session, err := e.Session(t.Context())
	must(t, err)
	defer session.Close()
	for _, p := range page.Parts {
		var paths []string
		for _, f := range p.Files {
			paths = append(paths, f.Path)
			out.counted += f.Rows
		}
		if p.Parquet {
			out.columns = p.Columns
			out.rows = append(out.rows, parquetRows(t, session, paths, p.Columns)...)
			continue
		}
		rows, rejects := session.CSV(engine.CSV{Paths: paths, Columns: p.Columns, Header: p.Header, Delimiter: p.Delimiter, EmptyText: p.EmptyText, CRLF: p.CRLF, LineBreaks: p.LineBreaks})
		cells := make([]string, len(p.Columns))
		for i, c := range p.Columns {
			cells[i] = fmt.Sprintf("coalesce(%s, chr(0) || 'NULL')", engine.Ident(c))
		}
		got, err := session.Strings(t.Context(), fmt.Sprintf("SELECT %s FROM %s ORDER BY ALL", strings.Join(cells, ", "), rows))
		must(t, err)
		if p.Columns[0] == "_line" { // the JSON Lines converter's own
			for i := range got {
				got[i] = got[i][1:]
			}
			p.Columns = p.Columns[1:]
		}
		out.columns, out.rows = p.Columns, append(out.rows, got...)
		lost, err := session.Strings(t.Context(), "SELECT line, raw_text, error FROM "+rejects)
		must(t, err)
		if len(lost) > 0 {
			t.Errorf("the engine rejects what the connector took for rows: %q", lost)
		}
	}
	for _, path := range page.BadFiles {
		out.rejects = append(out.rejects, badLines(t, session, path)...)
	}
	slices.SortFunc(out.rows, slices.Compare)
	slices.SortStableFunc(out.rejects, func(a, b reject) int { return int(a.line - b.line) })
	return out
}

// parquetRows reads files as the bronze step does.
func parquetRows(t testing.TB, session *engine.Session, paths, names []string) [][]string {
	t.Helper()
	relation := session.Parquet(paths)
	columns, err := session.Raw(t.Context(), relation)
	must(t, err)
	if len(columns) != len(names) {
		t.Fatalf("the engine sees %d columns, the connector %q", len(columns), names)
	}
	var cells []string
	for _, c := range columns {
		cells = append(cells, fmt.Sprintf("coalesce(CAST(%s AS VARCHAR), chr(0) || 'NULL')", c.Expr))
	}
	rows, err := session.Strings(t.Context(), fmt.Sprintf("SELECT %s FROM %s r ORDER BY ALL", strings.Join(cells, ", "), relation))
	must(t, err)
	return rows
}

func badLines(t testing.TB, session *engine.Session, path string) (out []reject) {
	t.Helper()
	relation, _ := session.CSV(engine.CSV{Paths: []string{path}, Columns: []string{"key", "line", "raw_text", "error"}, LineBreaks: true})
	rows, err := session.Strings(t.Context(), "SELECT line, raw_text, error FROM "+relation)
	must(t, err)
	for _, r := range rows {
		line, err := strconv.ParseInt(r[0], 10, 64)
		must(t, err)
		out = append(out, reject{line, r[1], r[2]})
	}
	return out
}
