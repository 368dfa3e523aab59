package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lakestep/lakestep/shared/ledger"
)

// python is the interpreter with duckdb and deltalake.
func python(t *testing.T) string {
	t.Helper()
	p := os.Getenv("LAKESTEP_TEST_PYTHON")
	if p == "" {
		t.Skip("SKIPPED: LAKESTEP_TEST_PYTHON names no Python with duckdb and deltalake")
	}
	return p
}

// bench is the folder of the retail job, beside the checkout.
func bench(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../../../../shared/bench")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skip("SKIPPED: the retail job is not in ../shared/bench")
	}
	return dir
}

// answer runs a program and reads the JSON that it prints.
func answer[T any](t *testing.T, name string, args ...string) (out T) {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Stderr = &stderr
	raw, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, raw)
	}
	return out
}

// lakestep runs a command in this process and reads its JSON.
func lakestep[T any](t *testing.T, args ...string) (out T) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), append(args, "-o", "json"), &stdout, &stderr); code != 0 {
		t.Fatalf("lakestep %s: exit code %d\n%s%s", strings.Join(args, " "), code, stdout.String(), stderr.String())
	}
	if err := json.Unmarshal(stdout.Bytes(), &out); err != nil {
		t.Fatalf("lakestep %s: %v\n%s", strings.Join(args, " "), err, stdout.String())
	}
	return out
}

func copyTree(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

// job is the retail pipeline on generated files.
type job struct {
	data, landing, lake string
	python, bench       string
}

const retail = "../../../config/retail"

func newJob(t *testing.T, orders int) job {
	j := job{data: t.TempDir(), landing: t.TempDir(), lake: filepath.Join(t.TempDir(), "lake"), python: python(t), bench: bench(t)}
	answer[any](t, j.python, filepath.Join(j.bench, "generate.py"), "--orders", strconv.Itoa(orders), "--out", j.data)
	return j
}

func (j job) land(t *testing.T, day string) {
	t.Helper()
	copyTree(t, filepath.Join(j.data, day), filepath.Join(j.landing, day))
}

func (j job) run(t *testing.T) ledger.Outcome {
	t.Helper()
	return lakestep[ledger.Outcome](t, "run", retail, "--lake", j.lake, "--var", "landing="+j.landing, "--var", "as_of=2026-02-01")
}

// verify compares rows and checksums of every table with those that three other implementations agree on.
func (j job) verify(t *testing.T, orders int, phase string) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(j.bench, "expected.json"))
	if err != nil {
		t.Fatal(err)
	}
	var expected map[string]map[string]map[string][2]any
	if err := json.Unmarshal(raw, &expected); err != nil {
		t.Fatal(err)
	}
	want := expected[strconv.Itoa(orders)][phase]
	if len(want) != 12 {
		t.Fatalf("expected.json has %d tables for %d orders, %s", len(want), orders, phase)
	}
	got := answer[map[string][2]any](t, j.python, filepath.Join(j.bench, "verify.py"), "--out", j.lake)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-expected +lakestep):\n%s", phase, diff)
	}
}

func TestRetailJob(t *testing.T) {
	sizes := []int{100_000}
	if os.Getenv("LAKESTEP_LONG") != "" {
		sizes = append(sizes, 1_000_000)
	}
	for _, orders := range sizes {
		t.Run(strconv.Itoa(orders), func(t *testing.T) {
			j := newJob(t, orders)
			j.land(t, "day1")
			full := j.run(t)
			j.verify(t, orders, "full")
			j.readers(t)
			j.land(t, "day2")
			incremental := j.run(t)
			j.verify(t, orders, "incremental")
			j.readers(t)
			t.Logf("%d orders: full %.1f s, incremental %.1f s", orders,
				full.Finished.Sub(full.Started).Seconds(), incremental.Finished.Sub(incremental.Started).Seconds())
			if again := j.run(t); again.Status != ledger.Nothing {
				t.Errorf("run again: %s", again.Status)
			}
			if !incremental.Counts.Balanced() || incremental.Counts.Read == 0 {
				t.Errorf("counts %+v", incremental.Counts)
			}
		})
	}
}

// foreign is what testdata/deltars.py says of a table.
type foreign struct {
	Version, Rows, Duckdb int64
	Files                 int
	Schema                any
	History               []int64
	Feed                  *struct {
		Kinds map[string]int64
		Off   int64
	}
}

// readers holds what delta-rs and DuckDB see in the lake against what lakestep says.
func (j job) readers(t *testing.T) map[string]foreign {
	t.Helper()
	theirs := answer[map[string]foreign](t, j.python, "testdata/deltars.py", "read", j.lake)
	flags := []string{"--lake", j.lake, "-p", retail}
	feeds := 0
	ours := lakestep[[]described](t, append([]string{"table", "list"}, flags...)...)
	if len(ours) != len(theirs) {
		t.Errorf("%d tables, delta-rs finds %d", len(ours), len(theirs))
	}
	for _, d := range ours {
		f, ok := theirs[d.Table]
		if !ok {
			t.Errorf("%s: delta-rs finds no table", d.Table)
			continue
		}
		if f.Version != d.Version || f.Rows != d.Rows || f.Duckdb != d.Rows || f.Files != d.Files {
			t.Errorf("%s: version %d, %d rows, %d files; delta-rs: %d, %d, %d; DuckDB: %d rows", d.Table, d.Version, d.Rows, d.Files, f.Version, f.Rows, f.Files, f.Duckdb)
		}
		show := lakestep[struct{ Schema any }](t, append([]string{"table", "show", d.Table}, flags...)...)
		if diff := cmp.Diff(f.Schema, show.Schema); diff != "" {
			t.Errorf("%s: schema (-delta-rs +lakestep)\n%s", d.Table, diff)
		}
		var versions []int64
		for _, c := range lakestep[[]struct{ Version int64 }](t, append([]string{"table", "history", d.Table, "--limit", "0"}, flags...)...) {
			versions = append(versions, c.Version)
		}
		if !slices.Equal(versions, f.History) {
			t.Errorf("%s: history %v, delta-rs: %v", d.Table, versions, f.History)
		}
		if f.Feed == nil {
			continue
		}
		feeds++
		if f.Feed.Off != 0 || f.Feed.Kinds["insert"]-f.Feed.Kinds["delete"] != d.Rows || f.Feed.Kinds["update_preimage"] != f.Feed.Kinds["update_postimage"] {
			t.Errorf("%s: its change data feed %v gives another table than its %d rows: %d differ", d.Table, f.Feed.Kinds, d.Rows, f.Feed.Off)
		}
	}
	if feeds < 4 {
		t.Errorf("%d tables with a change data feed", feeds)
	}
	return theirs
}

// maintain lets delta-rs compact and vacuum, and holds that it leaves lakestep's own files alone.
func (j job) maintain(t *testing.T) {
	t.Helper()
	type done struct {
		Added, Planned, Removed int
		Ours                    []string
	}
	all := answer[map[string]done](t, j.python, "testdata/deltars.py", "maintain", j.lake)
	if all["bronze.raw_orders"].Added == 0 || all["bronze.raw_orders"].Removed == 0 {
		t.Fatalf("delta-rs compacted or removed nothing: %v", all)
	}
	for name, d := range all {
		if len(d.Ours) > 0 || d.Planned != d.Removed {
			t.Errorf("%s: vacuum planned %d, removed %d, of them lakestep's own: %v", name, d.Planned, d.Removed, d.Ours)
		}
	}
}

// Every quarter of the sample data, one run each, with a delta-rs that compacts, checkpoints, vacuums and appends in between.
func TestSampleLakeWithForeignWriter(t *testing.T) {
	j := job{landing: filepath.Join(t.TempDir(), "landing"), lake: filepath.Join(t.TempDir(), "lake"), python: python(t)}
	lakestep[any](t, "sample", j.landing)
	j.run(t)
	j.readers(t)
	lakestep[any](t, "sample", j.landing, "--next")
	second := j.run(t)
	before := j.readers(t)

	j.maintain(t)
	if ours := lakestep[[]described](t, "table", "list", "--lake", j.lake, "-p", retail); len(ours) != len(before) {
		t.Errorf("%d tables of %d are left", len(ours), len(before))
	}
	if after := j.run(t); after.Counts.Read != 0 { // tables that are made as a whole may be made again: their inputs have new versions
		t.Errorf("run after maintenance: %+v", after.Counts)
	}
	answer[any](t, j.python, "testdata/deltars.py", "append", j.lake, "bronze.raw_orders", "888888888")
	lost := job{landing: j.landing, lake: filepath.Join(t.TempDir(), "lake"), python: j.python}
	copyTree(t, j.lake, lost.lake)
	lost.maintain(t)
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"run", retail, "--lake", lost.lake, "--var", "landing=" + lost.landing}, &stdout, &stderr); code != 5 {
		t.Errorf("a vacuum took a file that silver had not read: exit code %d, want 5\n%s", code, stderr.String())
	}

	// The foreign row comes through, and nothing is read twice.
	third := j.run(t)
	if third.Counts.Read != 1 || third.Counts.Accepted != 1 {
		t.Errorf("after the foreign append: %+v", third.Counts)
	}
	lakestep[any](t, "sample", j.landing, "--next")
	fourth := j.run(t)
	if fourth.Counts.Read == 0 || fourth.Counts.Read >= second.Counts.Read+1000 {
		t.Errorf("after compaction and vacuum %+v were read, %+v the quarter before", fourth.Counts, second.Counts)
	}
	rows := lakestep[[]struct{ N int64 }](t, "query", "--lake", j.lake, "-p", retail, `SELECT count(*) AS n FROM gold.fact_orders WHERE order_id = 888888888
		UNION ALL SELECT count(*) - count(DISTINCT order_id) FROM gold.fact_orders`)
	if rows[0].N != 1 || rows[1].N != 0 {
		t.Errorf("the foreign order is in the facts %d times, %d orders are doubled", rows[0].N, rows[1].N)
	}
	if again := j.run(t); again.Status != ledger.Nothing {
		t.Errorf("run again: %s", again.Status)
	}
}
