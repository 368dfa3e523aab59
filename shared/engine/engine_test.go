package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/engine"
	"github.com/lakestep/lakestep/shared/fault"
)

func TestErrorKinds(t *testing.T) {
	r := newRig(t, engine.Options{MemoryMB: 40, TempMB: 1, Threads: 1})
	for _, tt := range []struct {
		name, query string
		kind        fault.Kind
		says        string
	}{
		{"syntax", "SELEC 1", fault.InvalidInput, `syntax error at or near "SELEC"`},
		{"no table", "SELECT * FROM nowhere", fault.InvalidInput, "nowhere"},
		{"no column", "SELECT nothing FROM (SELECT 1 a)", fault.InvalidInput, "nothing"},
		{"no function", "SELECT nothing(1)", fault.InvalidInput, "nothing"},
		{"cast", "SELECT CAST('x' AS INTEGER)", fault.InvalidInput, "'x'"},
		{"overflow", "SELECT 127::TINYINT + 127::TINYINT", fault.InvalidInput, "Overflow"},
		{"decimal", "SELECT 12345::DECIMAL(4,1)", fault.InvalidInput, "DECIMAL(4,1)"},
		{"scalar subquery", "SELECT (SELECT range FROM range(2))", fault.InvalidInput, "More than one row"},
		{"memory", "SELECT length(string_agg(md5(range::VARCHAR), '')) FROM range(5000000)", fault.InvalidInput, "ut of Memory"},
		{"no file", "SELECT * FROM read_parquet('/nowhere/x.parquet')", fault.SourceLost, "/nowhere/x.parquet"},
		{"no folder", "COPY (SELECT 1) TO '/nowhere/x/y.parquet' (FORMAT parquet)", fault.Internal, "/nowhere/x"},
	} {
		err := r.Exec(t.Context(), tt.query)
		if fault.KindOf(err) != tt.kind || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %s, %v", tt.name, fault.KindOf(err), err)
		}
		if tt.name == "memory" && fault.HintOf(err) == "" {
			t.Error("memory: no hint")
		}
	}
}

func TestDiskErrors(t *testing.T) {
	r := newRig(t, engine.Options{})
	schema := delta.Schema{Fields: []delta.Field{{Name: "a", Type: delta.Long, Nullable: true}}}
	adds := r.write(schema, "SELECT 1 a")
	must(t, os.WriteFile(filepath.Join(r.root, "t", adds[0].Path), []byte("no parquet"), 0o644))
	_, err := r.Relation(t.Context(), r.scan(schema, adds))
	if err == nil || !strings.Contains(err.Error(), adds[0].Path) {
		t.Errorf("a damaged file: %v", err)
	}
	must(t, os.Remove(filepath.Join(r.root, "t", adds[0].Path)))
	_, err = r.Relation(t.Context(), r.scan(schema, adds))
	if kind := fault.KindOf(err); err == nil || kind == fault.InvalidInput || !strings.Contains(err.Error(), adds[0].Path) {
		t.Errorf("a lost file: %s, %v", kind, err)
	}
	if _, err := engine.Open(engine.Options{TempDir: filepath.Join(r.root, "t", "x\x00")}); fault.KindOf(err) != fault.InvalidInput {
		t.Errorf("a bad temporary folder: %v", err)
	}
}

func TestCancel(t *testing.T) {
	r := newRig(t, engine.Options{})
	for name, run := range map[string]func(context.Context) error{
		"exec": func(ctx context.Context) error {
			return r.Exec(ctx, "CREATE OR REPLACE TEMP TABLE x AS SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range + b.range = 3")
		},
		"row": func(ctx context.Context) error {
			var n int64
			return r.Row(ctx, "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range + b.range = 3", &n)
		},
		"write": func(ctx context.Context) error {
			_, err := r.Write(ctx, engine.Target{Store: r.store, Table: r.table, Schema: delta.Schema{Fields: []delta.Field{{Name: "n", Type: delta.Long}}}, Now: now()},
				"SELECT count(*) n FROM range(1000000) a, range(1000000) b WHERE a.range + b.range = 3")
			return err
		},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		start := time.Now()
		err := run(ctx)
		cancel()
		if took := time.Since(start); took > 3*time.Second || fault.KindOf(err) != fault.Unavailable || !(errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)) {
			t.Errorf("%s: after %v: %s, %v", name, took, fault.KindOf(err), err)
		}
		r.exec("SELECT 1") // the session goes on
	}
}

// A session leaves nothing: no table, no file; nor does the engine.
func TestSessionsVanish(t *testing.T) {
	temp := t.TempDir()
	e, err := engine.Open(engine.Options{TempDir: temp, MemoryMB: 500, Threads: 1})
	must(t, err)
	for i := range 5 {
		s, err := e.Session(t.Context())
		must(t, err)
		must(t, s.Exec(t.Context(), "CREATE TEMP TABLE mine AS SELECT 1 a"))
		must(t, s.Exec(t.Context(), "CREATE TEMP VIEW seen AS SELECT 1 a"))
		must(t, os.WriteFile(s.TempFile("x"), []byte("x"), 0o644))
		csv := s.TempFile("f.csv")
		must(t, os.WriteFile(csv, []byte("1,2\n3\n"), 0o644))
		rows, rejects := s.CSV(engine.CSV{Paths: []string{csv}, Columns: []string{"a", "b"}})
		for _, q := range []string{rows, rejects} {
			if got, err := s.Strings(t.Context(), "SELECT count(*) FROM "+q); err != nil || got[0][0] != "1" {
				t.Errorf("session %d: %v, %v", i, got, err)
			}
		}
		must(t, s.Close())
		next, err := e.Session(t.Context())
		must(t, err)
		left, err := next.Strings(t.Context(), "SELECT table_name FROM duckdb_tables() UNION ALL SELECT view_name FROM duckdb_views() WHERE NOT internal")
		if err != nil || len(left) > 0 {
			t.Errorf("left behind: %q, %v", left, err)
		}
		must(t, next.Close())
		if found := filesUnder(t, temp); len(found) > 0 {
			t.Errorf("left behind: %v", found)
		}
	}
	must(t, e.Close())
	if entries, err := os.ReadDir(temp); err != nil || len(entries) > 0 {
		t.Errorf("the engine left %v, %v", entries, err)
	}
}

func filesUnder(t *testing.T, dir string) (out []string) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			out = append(out, path)
		}
		return err
	}))
	return out
}

func TestQuoting(t *testing.T) {
	r := newRig(t, engine.Options{})
	for _, name := range []string{`a"b`, "a'b", "select", "ü ß", "a.b", "--x", `\`} {
		rows := r.strings(fmt.Sprintf("SELECT %s AS %s", engine.Literal(name), engine.Ident(name)))
		if rows[0][0] != name || r.describe(fmt.Sprintf("SELECT 'x' AS %s", engine.Ident(name))).Fields[0].Name != name {
			t.Errorf("%q: %q", name, rows)
		}
	}
}

// A write of more rows than memory holds goes to the disk and stays bounded. It runs alone in this process's peak: other tests first
// raise it, so that what it may add is measured.
func TestMemoryIsBounded(t *testing.T) {
	if os.Getenv("LAKESTEP_LONG") == "" {
		t.Skip("SKIPPED: long; set LAKESTEP_LONG=1")
	}
	r := newRig(t, engine.Options{MemoryMB: 200, Threads: 2})
	schema := delta.Schema{Fields: []delta.Field{{Name: "n", Type: delta.Long, Nullable: true}, {Name: "s", Type: delta.String, Nullable: true}}}
	stop, peak := make(chan bool), make(chan int64)
	go func() {
		var most int64
		for {
			select {
			case <-stop:
				peak <- most
				return
			case <-time.After(20 * time.Millisecond):
				most = max(most, resident())
			}
		}
	}()
	before := resident()
	adds := r.write(schema, "SELECT range AS n, md5(range::VARCHAR) || md5((range+1)::VARCHAR) AS s FROM range(3000000) ORDER BY s")
	close(stop)
	most := <-peak
	if got := r.strings("SELECT count(*), count(DISTINCT n) FROM " + r.relation(r.scan(schema, adds)))[0]; got[0] != "3000000" || got[1] != got[0] {
		t.Errorf("rows %v", got)
	}
	if most-before > 400<<20 { // the limit, a quarter over it, and what the allocator keeps
		t.Errorf("resident memory rose from %d to %d MB", before>>20, most>>20)
	}
	t.Logf("resident memory rose from %d to %d MB", before>>20, most>>20)
}

// resident is this process's memory in bytes, 0 where the system does not tell.
func resident() int64 {
	raw, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	pages, _ := strconv.ParseInt(strings.Fields(string(raw))[1], 10, 64)
	return pages * int64(os.Getpagesize())
}
