package transform_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/lake"
	"github.com/lakestep/lakestep/shared/lake/laketest"
	"github.com/lakestep/lakestep/shared/pipeline"
	"github.com/lakestep/lakestep/shared/store"
	"github.com/lakestep/lakestep/shared/store/file"
	"github.com/lakestep/lakestep/shared/store/mem"
	"github.com/lakestep/lakestep/shared/transform"
)

func openFile(root string) (store.Store, error) { return file.New(root) }

// house is a lake with a pipeline whose files a test may change: bronze.raw (id, v) -> silver.s (merge) -> gold.g (full), gold.m (merge).
type house struct {
	*laketest.Lab
	files map[string]string
}

func newHouse(t *testing.T) *house {
	return &house{Lab: laketest.New(t, openFile), files: map[string]string{
		"s.sql":  "SELECT _row, try_cast(id AS INTEGER) AS id, v FROM {{ changes \"bronze.raw\" }}",
		"g.sql":  "SELECT id, v FROM {{ ref \"silver.s\" }}",
		"m.sql":  "SELECT id, v FROM {{ changes \"silver.s\" }}",
		"g.json": contractJSON,
		"m.json": strings.ReplaceAll(contractJSON, `"g"`, `"m"`),
		"pipeline.yaml": `name: x
lake: lake
sources: { l: { connector: files, path: landing, streams: { raw: { path: '*.csv', format: csv } } } }
bronze: { raw: { stream: l.raw } }
silver: { s: { model: s.sql, materialized: merge, unique_key: id, sequence_by: v, quarantine: q } }
gold:
  g: { model: g.sql, materialized: full, contract: g.json }
  m: { model: m.sql, materialized: merge, unique_key: id, sequence_by: v, contract: m.json }
`}}
}

func (h *house) load(t *testing.T, rows ...laketest.Row) {
	t.Helper()
	h.Append(t, "bronze.raw", []string{"id", "v"}, rows...)
}

// try makes a table and publishes what was staged.
func (h *house) try(t *testing.T, name string) (transform.Outcome, error) {
	t.Helper()
	p := laketest.Pipeline(t, h.files)
	declare, ok := p.Table(name)
	if !ok {
		t.Fatal(name)
	}
	made, err := (&transform.Runner{Lake: h.Lake, Engine: h.Engine}).Run(t.Context(), transform.Request{Run: "r", Pipeline: p, Table: declare})
	if err == nil && made.Status == transform.Staged {
		h.Publish(t, name, made.Staged)
	}
	return made, err
}

func (h *house) make(t *testing.T, name, status string) transform.Outcome {
	t.Helper()
	made, err := h.try(t, name)
	if err != nil || made.Status != status {
		t.Fatalf("%s: %s, %v; want %s", name, made.Status, err, status)
	}
	return made
}

func (h *house) all(t *testing.T, status string) {
	t.Helper()
	for _, name := range []string{"silver.s", "gold.g", "gold.m"} {
		h.make(t, name, status)
	}
}

func (h *house) want(t *testing.T, name string, rows ...string) {
	t.Helper()
	if diff := cmp.Diff(rows, h.Rows(t, name, -1)); diff != "" {
		t.Errorf("%s, want -, got +\n%s", name, diff)
	}
}

func wantFault(t *testing.T, err error, kind fault.Kind, text string) {
	t.Helper()
	if fault.KindOf(err) != kind || !strings.Contains(fmt.Sprint(err), text) || fault.HintOf(err) == "" {
		t.Errorf("got %s %v (hint %q), want %s %q and a hint", fault.KindOf(err), err, fault.HintOf(err), kind, text)
	}
}

func TestStatus(t *testing.T) {
	h := newHouse(t)
	h.make(t, "silver.s", transform.Unchanged) // no bronze yet
	if made := h.make(t, "gold.g", transform.Waiting); made.Waits != "silver.s" {
		t.Errorf("waits for %q", made.Waits)
	}
	h.make(t, "gold.m", transform.Unchanged)

	h.load(t, laketest.Row{"1", "a"}, laketest.Row{"2", "b"})
	h.all(t, transform.Staged)
	h.all(t, transform.Unchanged)

	h.load(t, laketest.Row{"1", "a"}) // sent again: a decision, but no other rows
	made := h.make(t, "silver.s", transform.Staged)
	if want := (lake.Counts{Read: 1, Stale: 1}); made.Decision.Counts != want {
		t.Errorf("%+v", made.Decision.Counts)
	}
	h.make(t, "gold.m", transform.Unchanged)

	before := h.At(t, "gold.g", -1).Version()
	h.files["g.sql"] = "SELECT id, upper(v) AS v FROM {{ ref \"silver.s\" }}"
	h.make(t, "gold.g", transform.Staged)
	h.make(t, "gold.g", transform.Unchanged)
	h.want(t, "gold.g", "1|A", "2|B")
	if v := h.At(t, "gold.g", -1).Version(); v != before+1 {
		t.Errorf("version %d after %d", v, before)
	}
}

// A table behind a closed gate is skipped, and so is what reads it.
func TestSkipped(t *testing.T) {
	h := newHouse(t)
	h.load(t, laketest.Row{"1", "a"})
	h.make(t, "silver.s", transform.Staged)
	digest, err := h.Lake.Pin(t.Context(), pipeline.Bundle{Root: pipeline.RootFile, Files: h.files})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Lake.Hold(t.Context(), "r", lake.Held{Table: "silver.s", Cause: "silver.s"}); err != nil {
		t.Fatal(err)
	}
	runner := transform.Runner{Lake: h.Lake, Engine: h.Engine}
	out, err := runner.Handle(t.Context(), transform.Input{Run: "r", Bundle: digest, Table: "gold.g"})
	if err != nil || out.Status != transform.Skipped || !strings.Contains(out.Why, "silver.s") {
		t.Errorf("%+v, %v", out, err)
	}
	var held lake.Held
	if ok, err := h.Lake.GetRun(t.Context(), "r", lake.HeldDocument("gold.g"), &held); !ok || err != nil || held.Cause != "silver.s" {
		t.Errorf("%+v, %v", held, err)
	}
}

func TestSchemaPolicy(t *testing.T) {
	h := newHouse(t)
	h.load(t, laketest.Row{"1", "a"})
	h.make(t, "silver.s", transform.Staged)
	h.load(t, laketest.Row{"2", "b"})

	good := h.files["s.sql"]
	h.files["s.sql"] = "SELECT _row, try_cast(id AS BIGINT) AS id, v FROM {{ changes \"bronze.raw\" }}"
	_, err := h.try(t, "silver.s")
	wantFault(t, err, fault.SchemaBroken, "the table has integer, the new rows have long")
	h.want(t, "silver.s", "1|a")

	h.files["s.sql"] = strings.Replace(good, ", v", ", 7 AS n, v", 1)
	h.make(t, "silver.s", transform.Staged)
	h.want(t, "silver.s", "1|a|NULL", "2|b|7")

	added := h.files["s.sql"]
	h.load(t, laketest.Row{"1", "c"})
	h.files["s.sql"] = good
	_, err = h.try(t, "silver.s")
	wantFault(t, err, fault.SchemaBroken, "no longer gives column n")
	h.files["s.sql"] = added

	// What the change data feed had before the column came is still read.
	h.make(t, "silver.s", transform.Staged)
	h.want(t, "silver.s", "1|c|7", "2|b|7")
	h.make(t, "gold.m", transform.Staged)
	h.want(t, "gold.m", "1|c", "2|b")

	h.files["g.sql"] = "SELECT id, v, 1 AS more FROM {{ ref \"silver.s\" }}"
	_, err = h.try(t, "gold.g")
	wantFault(t, err, fault.SchemaBroken, "more (integer) is not in the contract")
}

// Columns that bronze gains are there for the model, and rows of before have NULL in them.
func TestNewColumnOfBronze(t *testing.T) {
	h := newHouse(t)
	h.load(t, laketest.Row{"1", "a"})
	h.Append(t, "bronze.raw", []string{"id", "v", "extra"}, laketest.Row{"2", "b", "x"})
	h.files["s.sql"] = "SELECT _row, try_cast(id AS INTEGER) AS id, v, extra FROM {{ changes \"bronze.raw\" }}"
	h.make(t, "silver.s", transform.Staged)
	h.want(t, "silver.s", "1|a|NULL", "2|b|x")
}

func TestRowsOfTheModel(t *testing.T) {
	h := newHouse(t)
	h.load(t, laketest.Row{"1", "a"}, laketest.Row{"2", "b"}, laketest.Row{nil, "c"})
	h.files["s.sql"] = `SELECT _row, try_cast(id AS INTEGER) AS id, v FROM {{ changes "bronze.raw" }} CROSS JOIN (VALUES (1), (2)) x(n)`
	_, err := h.try(t, "silver.s")
	wantFault(t, err, fault.InvalidInput, "6 rows come from 3 received rows")
	h.files["s.sql"] = `SELECT row_number() OVER (ORDER BY id) + 100 AS _row, try_cast(id AS INTEGER) AS id, v FROM {{ changes "bronze.raw" }}`
	_, err = h.try(t, "silver.s")
	wantFault(t, err, fault.InvalidInput, "_row")
	h.files["s.sql"] = `SELECT CASE WHEN v = 'a' THEN _row END AS _row, try_cast(id AS INTEGER) AS id, v FROM {{ changes "bronze.raw" }}`
	_, err = h.try(t, "silver.s")
	wantFault(t, err, fault.InvalidInput, "_row")

	h.files["s.sql"] = `SELECT _row, try_cast(id AS INTEGER) AS id, v FROM {{ changes "bronze.raw" }} WHERE v <> 'b'`
	made := h.make(t, "silver.s", transform.Staged)
	if want := (lake.Counts{Read: 3, Accepted: 1, Quarantined: 2}); made.Decision.Counts != want {
		t.Errorf("%+v", made.Decision.Counts)
	}
	h.want(t, "silver.q", "2|b|not_in_model", "NULL|c|null_id")

	h.files["m.sql"] = "SELECT CAST(NULL AS INTEGER) AS id, v FROM {{ changes \"silver.s\" }}"
	_, err = h.try(t, "gold.m")
	wantFault(t, err, fault.SchemaBroken, "NULL among id")
}

// The table on which a step builds has its refused rows in first, also when whoever committed it died before that.
func TestRunBringsRefusedRowsIn(t *testing.T) {
	h := newHouse(t)
	h.load(t, laketest.Row{"x", "a"})
	made := h.stage(t, "silver.s")
	table := h.Open(t, "silver.s")
	txn, _, err := table.Staged(t.Context(), made.Staged)
	if err == nil {
		_, err = txn.Commit(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	h.load(t, laketest.Row{"y", "b"})
	h.make(t, "silver.s", transform.Staged)
	h.want(t, "silver.q", "x|a|null_id", "y|b|null_id")
}

func (h *house) stage(t *testing.T, name string) transform.Outcome {
	t.Helper()
	p := laketest.Pipeline(t, h.files)
	declare, _ := p.Table(name)
	made, err := (&transform.Runner{Lake: h.Lake, Engine: h.Engine}).Run(t.Context(), transform.Request{Run: "r", Pipeline: p, Table: declare})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// The operator's word sends a whole batch to quarantine.
func TestRefuseAll(t *testing.T) {
	h := newHouse(t)
	h.load(t, laketest.Row{"1", "a"}, laketest.Row{nil, "b"})
	p := laketest.Pipeline(t, h.files)
	declare, _ := p.Table("silver.s")
	made, err := (&transform.Runner{Lake: h.Lake, Engine: h.Engine}).Run(t.Context(), transform.Request{Run: "r", Pipeline: p, Table: declare, RefuseAll: true})
	if err != nil {
		t.Fatal(err)
	}
	h.Publish(t, "silver.s", made.Staged)
	h.want(t, "silver.q", "1|a|batch_quarantined", "NULL|b|null_id")
	if want := (lake.Counts{Read: 2, Quarantined: 2}); made.Decision.Counts != want {
		t.Errorf("%+v", made.Decision.Counts)
	}
}

// What a table has read and lost again stops what follows it.
func TestSourceLost(t *testing.T) {
	prepared := func(t *testing.T) *house {
		h := newHouse(t)
		for i := range 3 {
			h.load(t, laketest.Row{fmt.Sprint(i), "a"})
			h.all(t, transform.Staged)
		}
		return h
	}
	t.Run("a gap in the upstream log", func(t *testing.T) {
		h := prepared(t)
		h.load(t, laketest.Row{"8", "a"})
		h.load(t, laketest.Row{"9", "a"})
		if err := os.Remove(filepath.Join(h.Root, "bronze/raw/_delta_log/00000000000000000003.json")); err != nil {
			t.Fatal(err)
		}
		_, err := h.try(t, "silver.s")
		wantFault(t, err, fault.SourceLost, "")
	})
	t.Run("an upstream made anew", func(t *testing.T) {
		h := prepared(t)
		if err := os.RemoveAll(filepath.Join(h.Root, "bronze/raw")); err != nil {
			t.Fatal(err)
		}
		for range 5 {
			h.load(t, laketest.Row{"9", "a"})
		}
		_, err := h.try(t, "silver.s")
		wantFault(t, err, fault.SourceLost, "made anew")
	})
	t.Run("an upstream that is gone", func(t *testing.T) {
		h := prepared(t)
		if err := os.RemoveAll(filepath.Join(h.Root, "silver/s")); err != nil {
			t.Fatal(err)
		}
		_, err := h.try(t, "gold.m")
		wantFault(t, err, fault.SourceLost, "gone")
	})
	t.Run("an upstream rolled back", func(t *testing.T) {
		h := prepared(t)
		if err := os.Remove(filepath.Join(h.Root, "bronze/raw/_delta_log/00000000000000000002.json")); err != nil {
			t.Fatal(err)
		}
		_, err := h.try(t, "silver.s")
		wantFault(t, err, fault.SourceLost, "newest version is 1")
	})
	t.Run("the table's own cursor document is gone", func(t *testing.T) {
		h := prepared(t)
		d := h.Open(t, "silver.s").Decision
		if err := os.Remove(filepath.Join(h.Root, fmt.Sprintf("silver/s/_lakestep/cursors/%d.json", d.Attempt))); err != nil {
			t.Fatal(err)
		}
		h.load(t, laketest.Row{"9", "a"})
		_, err := h.try(t, "silver.s")
		wantFault(t, err, fault.SourceLost, "cursor")
	})
	t.Run("a full table only looks at what is there now", func(t *testing.T) {
		h := prepared(t)
		for _, table := range []string{"silver/s", "silver/q"} {
			if err := os.RemoveAll(filepath.Join(h.Root, table)); err != nil {
				t.Fatal(err)
			}
		}
		h.make(t, "gold.g", transform.Waiting)
		h.make(t, "silver.s", transform.Staged)
		h.make(t, "gold.g", transform.Staged)
		h.want(t, "gold.g", "0|a", "1|a", "2|a")
	})
}

// counting is a store that remembers which data files were read.
type counting struct {
	store.Store
	mu   sync.Mutex
	read map[string]int
}

func (c *counting) Open(ctx context.Context, key string, r store.Range) (io.ReadCloser, error) {
	if strings.HasSuffix(key, ".parquet") && !strings.Contains(key, "_delta_log") {
		c.mu.Lock()
		c.read[key[:strings.Index(key, "part-")]]++
		c.mu.Unlock()
	}
	return c.Store.Open(ctx, key, r)
}

// The cost of changes follows what is new: of bronze only new files are read, of a merged table only its change data feed.
func TestChangesReadOnlyWhatIsNew(t *testing.T) {
	h := newHouse(t)
	c := &counting{Store: mem.New(), read: map[string]int{}}
	h.Use(c)
	for i := range 6 {
		h.load(t, laketest.Row{fmt.Sprint(i), "a"}, laketest.Row{fmt.Sprint(100 + i), "a"})
	}
	h.make(t, "silver.s", transform.Staged)
	h.make(t, "gold.m", transform.Staged)
	h.load(t, laketest.Row{"1", "b"}, laketest.Row{"7", "b"})
	c.read = map[string]int{}
	h.make(t, "silver.s", transform.Staged)
	if n := c.read["bronze/raw/"]; n != 1 {
		t.Errorf("%d files of bronze were read: %v", n, c.read)
	}
	c.read = map[string]int{}
	h.make(t, "gold.m", transform.Staged)
	if diff := cmp.Diff(map[string]int{"silver/s/_change_data/": 1}, only(c.read, "silver/")); diff != "" {
		t.Error(diff)
	}
}

func only(m map[string]int, prefix string) map[string]int {
	out := map[string]int{}
	for k, v := range m {
		if strings.HasPrefix(k, prefix) {
			out[k] = v
		}
	}
	return out
}

func operation(attempt int64) delta.Operation {
	return delta.Operation{Name: "WRITE", Parameters: map[string]any{"mode": "Append"}, Attempt: attempt}
}
