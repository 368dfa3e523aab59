package bronze_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/lakestep/lakestep/functions/bronze"
	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/connector/files"
	"github.com/lakestep/lakestep/shared/engine"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/lake"
	"github.com/lakestep/lakestep/shared/pipeline"
	"github.com/lakestep/lakestep/shared/step"
	"github.com/lakestep/lakestep/shared/store/file"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

const declared = `name: test
lake: lake
sources:
  in:
    connector: files
    path: in
    streams:
      csv: { path: '{batch}/*.csv', format: csv }
      flat: { path: '*.csv', format: csv }
      jsonl: { path: '{batch}/*.jsonl', format: jsonl }
bronze:
  csv: { stream: in.csv }
  flat: { stream: in.flat }
  strict: { stream: in.csv, columns: [id, name] }
  jsonl: { stream: in.jsonl }
`

// rig is a lake with a landing folder and the step.
type rig struct {
	t       testing.TB
	lake    *lake.Lake
	engine  *engine.Engine
	step    step.Step
	landing string
	digest  string
}

func newRig(t testing.TB, limit connector.Limit) *rig {
	t.Helper()
	r := &rig{t: t, landing: t.TempDir()}
	e, err := engine.Open(engine.Options{MemoryMB: 1000, Threads: 2, TempDir: t.TempDir()})
	must(t, err)
	t.Cleanup(func() { must(t, e.Close()) })
	r.engine = e
	s, err := file.New(t.TempDir())
	must(t, err)
	var attempts atomic.Int64
	r.lake = lake.New(lake.Options{Store: s, Now: func() time.Time { return time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC) },
		NewAttempt: func() int64 { return attempts.Add(1) }, NewID: uuid.NewString, Version: "test"})
	r.digest, err = r.lake.Pin(t.Context(), pipeline.Bundle{Root: "pipeline.yaml", Files: map[string]string{"pipeline.yaml": declared}})
	must(t, err)
	r.step = bronze.New(bronze.Options{Lake: r.lake, Engine: e, Limit: limit, Open: func(_ context.Context, p *pipeline.Pipeline, src pipeline.Source) (connector.Source, error) {
		in, err := file.New(r.landing)
		if err != nil {
			return nil, err
		}
		return files.New(in, src.Config(p.Name))
	}})
	return r
}

func (r *rig) land(name, text string) {
	r.t.Helper()
	path := filepath.Join(r.landing, name)
	must(r.t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(r.t, os.WriteFile(path, []byte(text), 0o644))
}

// call invokes the step once.
func (r *rig) call(table string) (bronze.Output, error) {
	in, err := json.Marshal(bronze.Input{Run: "run-1", Bundle: r.digest, Table: table})
	if err != nil {
		return bronze.Output{}, err
	}
	raw, err := r.step.Handle(r.t.Context(), in)
	if err != nil {
		return bronze.Output{}, err
	}
	var out bronze.Output
	return out, json.Unmarshal(raw, &out)
}

// all invokes the step until there is no more, and gives the sums.
func (r *rig) all(table string) (sum bronze.Output) {
	r.t.Helper()
	for sum.More = true; sum.More; {
		out, err := r.call(table)
		must(r.t, err)
		if out.Read != out.Accepted+out.Rejected {
			r.t.Errorf("counts do not balance: %+v", out)
		}
		sum.Items, sum.Read, sum.Accepted, sum.Rejected, sum.Version, sum.More = sum.Items+out.Items, sum.Read+out.Read, sum.Accepted+out.Accepted, sum.Rejected+out.Rejected, out.Version, out.More
	}
	return sum
}

// rows runs "SELECT <columns> FROM <table> <rest>".
func (r *rig) rows(table, columns, rest string) string {
	r.t.Helper()
	tab, err := r.lake.Open(r.t.Context(), table)
	must(r.t, err)
	if !tab.Exists() {
		return "no table"
	}
	s, err := r.engine.Session(r.t.Context())
	must(r.t, err)
	defer s.Close()
	rel, err := s.Relation(r.t.Context(), tab.Live(tab.Snap))
	must(r.t, err)
	got, err := s.Strings(r.t.Context(), fmt.Sprintf("SELECT %s FROM %s %s", columns, rel, rest))
	must(r.t, err)
	return fmt.Sprint(got)
}

func (r *rig) columns(table string) (names []string) {
	r.t.Helper()
	tab, err := r.lake.Open(r.t.Context(), table)
	must(r.t, err)
	for _, f := range tab.Snap.Schema().Fields {
		names = append(names, f.Name+" "+f.Type.String())
	}
	return names
}

func (r *rig) equal(what, got, want string) {
	r.t.Helper()
	if got != want {
		r.t.Errorf("%s:\n%s\nwant\n%s", what, got, want)
	}
}

func TestColumnsEvolve(t *testing.T) {
	r := newRig(t, connector.Limit{})
	r.land("b1/a.csv", "id,name\n1,x\n")
	r.equal("first", fmt.Sprintf("%+v", r.all("bronze.csv")), "{Table: Status: Version:0 Items:1 Bytes:0 Read:1 Accepted:1 Known:0 Rejected:0 More:false}")
	r.land("b2/a.csv", "ID,new\n2,n\n")        // another spelling, a new column, a missing one
	r.land("b2/b.csv", "new,id,name\nm,3,z\n") // another order
	r.all("bronze.csv")
	r.equal("columns", fmt.Sprint(r.columns("bronze.csv")), "[id string name string _source_file string _ingested_at timestamp _batch_id string new string]")
	r.equal("rows", r.rows("bronze.csv", "id, coalesce(name, 'NULL'), coalesce(new, 'NULL'), _source_file, _batch_id, _ingested_at::VARCHAR", "ORDER BY id"),
		"[[1 x NULL a.csv b1 2026-07-01 12:00:00+00] [2 NULL n a.csv b2 2026-07-01 12:00:00+00] [3 z m b.csv b2 2026-07-01 12:00:00+00]]")
	r.equal("nothing rejected", r.rows(lake.RejectedTable, "*", ""), "no table")
}

func TestSpellingsWithinAPage(t *testing.T) {
	r := newRig(t, connector.Limit{})
	r.land("b1/a.csv", "id\n1\n")
	r.land("b1/b.csv", "Id\n2\n")
	r.land("b1/c.csv", "x,ID\ny,3\n")
	r.all("bronze.csv")
	r.equal("rows", r.rows("bronze.csv", "id", "ORDER BY id"), "[[1] [2] [3]]")
}

// A raw table begins with its declared columns; a file that lacks one has NULL there: silver's rules say what that is worth.
func TestDeclaredColumns(t *testing.T) {
	r := newRig(t, connector.Limit{})
	r.land("b1/odd.csv", "nom,id\nx,1\ny,2\n")
	out := r.all("bronze.strict")
	if out.Items != 1 || out.Accepted != 2 || out.Rejected != 0 {
		t.Errorf("a file without a declared column: %+v", out)
	}
	r.equal("columns", fmt.Sprint(r.columns("bronze.strict")), "[id string name string nom string _source_file string _ingested_at timestamp _batch_id string]")
	r.land("b1/usual.csv", "Name,id,more\nx,3,m\n")
	r.all("bronze.strict")
	r.equal("rows", r.rows("bronze.strict", "id, coalesce(name, '-'), coalesce(nom, '-'), coalesce(more, '-')", "ORDER BY id"), "[[1 - x -] [2 - y -] [3 x - m]]")
}

func TestRejectedRows(t *testing.T) {
	r := newRig(t, connector.Limit{})
	r.land("b1/a.csv", "a,b\n1,2\n\"x\ny\",2,3\n4,\"5\"6\n\xff,1\n7,8\n")
	r.land("b1/a.jsonl", "{\"a\":1}\nno\n[]\n{\"a\":\"two\\nlines\"}\n")
	out := r.all("bronze.csv")
	if out.Read != 5 || out.Accepted != 2 || out.Rejected != 3 {
		t.Errorf("csv: %+v", out)
	}
	out = r.all("bronze.jsonl")
	if out.Read != 4 || out.Accepted != 2 || out.Rejected != 2 {
		t.Errorf("jsonl: %+v", out)
	}
	r.equal("rejected", r.rows(lake.RejectedTable, "stream, file, line, replace(raw_text, chr(10), '|'), error, _batch_id, _ingested_at IS NOT NULL", "ORDER BY 1, 2, 3"), `[`+
		`[in.csv b1/a.csv 3 "x|y",2,3 3 fields, the first line has 2 b1 true] `+
		`[in.csv b1/a.csv 5 4,"5"6 a quoted field goes on behind its closing quote b1 true] `+
		`[in.csv b1/a.csv 6 �,1 the line is not UTF-8 b1 true] `+
		`[in.jsonl b1/a.jsonl 2 no the line is not JSON b1 true] `+
		`[in.jsonl b1/a.jsonl 3 [] the line is not a JSON object b1 true]]`)
	r.equal("jsonl", r.rows("bronze.jsonl", "replace(a, chr(10), '|')", "ORDER BY a"), `[[1] [two|lines]]`)
}

// A file with nothing but bad lines, an empty one, one with a header only: taken, and not looked at again.
func TestFilesWithoutRows(t *testing.T) {
	r := newRig(t, connector.Limit{})
	r.land("b1/empty.csv", "")
	r.land("b1/header.csv", "a,b\n")
	r.land("b1/bad.csv", "a,b\n1\n2\n")
	r.land("b1/utf16.csv", "\xff\xfea\x00\n\x00")
	out := r.all("bronze.csv")
	if out.Items != 4 || out.Accepted != 0 || out.Rejected != 3 {
		t.Errorf("%+v", out)
	}
	if again := r.all("bronze.csv"); again.Items != 0 || again.Version != out.Version {
		t.Errorf("again: %+v", again)
	}
}

func TestBatchIsTheRunWithoutASegment(t *testing.T) {
	r := newRig(t, connector.Limit{})
	r.land("a.csv", "a\n1\n")
	r.all("bronze.flat")
	r.equal("rows", r.rows("bronze.flat", "a, _batch_id", ""), "[[1 run-1]]")
}

func TestPages(t *testing.T) {
	r := newRig(t, connector.Limit{Items: 2})
	for i := range 5 {
		r.land(fmt.Sprintf("b1/%d.csv", i), fmt.Sprintf("a\n%d\n", i))
	}
	var items []int
	for more := true; more; {
		out, err := r.call("bronze.csv")
		must(t, err)
		more = out.More
		items = append(items, out.Items)
	}
	r.equal("pages", fmt.Sprint(items), "[2 2 1]")
	for range 3 {
		out, err := r.call("bronze.csv")
		must(t, err)
		if out.Status != "unchanged" || out.More || out.Version != 2 {
			t.Errorf("a repeated call: %+v", out)
		}
	}
	r.equal("rows", r.rows("bronze.csv", "a", "ORDER BY a"), "[[0] [1] [2] [3] [4]]")
}

func TestTouchedAndChangedFiles(t *testing.T) {
	r := newRig(t, connector.Limit{})
	r.land("b1/a.csv", "a\n1\n")
	r.all("bronze.csv")
	later := time.Now().Add(time.Hour)
	must(t, os.Chtimes(filepath.Join(r.landing, "b1/a.csv"), later, later))
	if out := r.all("bronze.csv"); out.Accepted != 0 {
		t.Errorf("touched: %+v", out)
	}
	if out := r.all("bronze.csv"); out.Items != 0 {
		t.Errorf("touched, again: %+v", out)
	}
	r.land("b1/a.csv", "a\n2\n3\n")
	r.all("bronze.csv")
	r.equal("rows", r.rows("bronze.csv", "a", "ORDER BY a"), "[[1] [2] [3]]")
}

// Two invocations at once: each file is loaded once, whoever wins.
func TestConcurrentCalls(t *testing.T) {
	r := newRig(t, connector.Limit{Items: 3})
	for i := range 12 {
		r.land(fmt.Sprintf("b1/%02d.csv", i), fmt.Sprintf("a\n%d\nbad,line\n", i))
	}
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for more, n := true, 0; more && n < 100; n++ {
				out, err := r.call("bronze.csv")
				if err != nil {
					t.Error(err)
					return
				}
				more = out.More
			}
		})
	}
	wg.Wait()
	r.equal("rows", r.rows("bronze.csv", "count(*), count(DISTINCT a)", ""), "[[12 12]]")
	r.equal("rejected", r.rows(lake.RejectedTable, "count(*), count(DISTINCT file)", ""), "[[12 12]]")
}

// More commits than a chain of decisions is long: every file is still known.
func TestManyPages(t *testing.T) {
	const n = 104 // past the first decision that holds all before it
	r := newRig(t, connector.Limit{Items: 1})
	for i := range n {
		r.land(fmt.Sprintf("b1/%03d.csv", i), fmt.Sprintf("a\n%d\n", i))
	}
	if out := r.all("bronze.csv"); out.Items != n || out.Accepted != n {
		t.Errorf("%+v", out)
	}
	table, err := r.lake.Open(t.Context(), "bronze.csv")
	must(t, err)
	seen, err := table.Seen(t.Context())
	must(t, err)
	if len(seen.Items) != n || table.Decision.Depth != n-101 {
		t.Errorf("%d files known, depth %d", len(seen.Items), table.Decision.Depth)
	}
	if out := r.all("bronze.csv"); out.Items != 0 {
		t.Errorf("again: %+v", out)
	}
	r.land("b1/000.csv", "a\nchanged\n")
	r.land("b1/050.csv", "a\n50\n") // written again, the same
	if out := r.all("bronze.csv"); out.Accepted != 1 {
		t.Errorf("changed: %+v", out)
	}
}

// A source that says it holds other rows than the engine finds is an error, and nothing is committed.
func TestTheEngineIsHeldToTheCount(t *testing.T) {
	r := newRig(t, connector.Limit{})
	path := filepath.Join(t.TempDir(), "part.csv")
	must(t, os.WriteFile(path, []byte("1\n2\n"), 0o644))
	item := connector.Item{Key: "x", Size: 4, ETag: "1", SHA256: "1"}
	for _, rows := range []int64{1, 2, 3} {
		s := bronze.New(bronze.Options{Lake: r.lake, Engine: r.engine, Open: func(context.Context, *pipeline.Pipeline, pipeline.Source) (connector.Source, error) {
			return fixed{connector.Page{Items: []connector.Item{item}, Parts: []connector.Part{{Columns: []string{"a"}, Files: []connector.PartFile{{Path: path, Item: item, Rows: rows}}}}}}, nil
		}})
		in, err := json.Marshal(bronze.Input{Run: "r", Bundle: r.digest, Table: "bronze.csv"})
		must(t, err)
		_, err = s.Handle(t.Context(), in)
		if (err == nil) != (rows == 2) || (err != nil && (fault.KindOf(err) != fault.Internal || !strings.Contains(err.Error(), "found 2 rows"))) {
			t.Errorf("%d rows: %v", rows, err)
		}
	}
	table, err := r.lake.Open(t.Context(), "bronze.csv")
	must(t, err)
	if table.Snap.Version() != 0 {
		t.Errorf("version %d", table.Snap.Version())
	}
}

// fixed is a source of one page.
type fixed struct{ page connector.Page }

func (f fixed) Pending(context.Context, string, connector.Position) (connector.Backlog, error) {
	return connector.Backlog{}, nil
}

func (f fixed) Next(context.Context, connector.Request) (connector.Page, error) { return f.page, nil }

func (f fixed) Close() error { return nil }
