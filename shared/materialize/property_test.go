package materialize_test

import (
	"context"
	"flag"
	"maps"
	"math/big"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/lakestep/lakestep/shared/engine"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/lake"
	"github.com/lakestep/lakestep/shared/lake/laketest"
	"github.com/lakestep/lakestep/shared/pipeline"
	"github.com/lakestep/lakestep/shared/store"
	"github.com/lakestep/lakestep/shared/store/file"
	"github.com/lakestep/lakestep/shared/transform"
)

// TestMain makes rapid repeat: one seed and few cases in make test, other seeds and many cases with LAKESTEP_LONG=1.
func TestMain(m *testing.M) {
	flag.Parse()
	given := map[string]bool{}
	flag.Visit(func(f *flag.Flag) { given[f.Name] = true })
	for name, value := range map[string]string{"rapid.seed": "1", "rapid.checks": "6", "rapid.nofailfile": "true", "rapid.shrinktime": "20s"} {
		if os.Getenv("LAKESTEP_LONG") == "1" {
			value = map[string]string{"rapid.seed": "0", "rapid.checks": "150", "rapid.nofailfile": "true", "rapid.shrinktime": "60s"}[name]
		}
		if given[name] {
			continue
		}
		if err := flag.Set(name, value); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

func openFile(root string) (store.Store, error) { return file.New(root) }

func oraclePipeline(t laketest.TB) *pipeline.Pipeline {
	t.Helper()
	files := map[string]string{}
	for _, name := range []string{"pipeline.yaml", "model.sql"} {
		data, err := os.ReadFile("testdata/" + name)
		if err != nil {
			t.Fatalf("%v", err)
		}
		files[name] = string(data)
	}
	return laketest.Pipeline(t, files)
}

var rawColumns = []string{"k", "seen", "v", "amount"}

// rawRow draws from few values, so that keys meet, sequence values tie, and whole rows come again.
func rawRow() *rapid.Generator[laketest.Row] {
	pick := func(values ...any) *rapid.Generator[any] { return rapid.SampledFrom(values) }
	times := pick("2026-01-01 00:00:01", "2026-01-01 00:00:02", "2026-01-01 00:00:03.000001", "2026-02-01 00:00:00", "2026-03-01 00:00:00", nil, "soon")
	return rapid.Custom(func(t *rapid.T) laketest.Row {
		return laketest.Row{
			pick("1", "2", "3", "4", "5", "-6", "11", "x", nil).Draw(t, "k"), times.Draw(t, "at"),
			pick("a", "b", "é", "", nil).Draw(t, "v"), pick("1", "2.50", "0", "3", "-1", "much", nil).Draw(t, "amount"),
		}
	})
}

func oracles() map[string]*oracle {
	out := map[string]*oracle{}
	for _, kind := range []string{"merge", "append", "full", "scd2", "scd2all"} {
		out["silver."+kind] = &oracle{kind: kind}
	}
	return out
}

// After each batch every table, its quarantine, its counts and control totals, and its change data feed agree with the oracle.
func TestTablesFollowTheOracle(t *testing.T) {
	lab := laketest.New(t, openFile)
	rapid.Check(t, func(rt *rapid.T) {
		lab.Reset(rt)
		defer lab.Drop(rt)
		p, want := oraclePipeline(rt), oracles()
		for range rapid.IntRange(2, 4).Draw(rt, "batches") {
			batch := rapid.SliceOfN(rawRow(), 1, 40).Draw(rt, "rows")
			follow(rt, lab, p, want, batch)
		}
	})
}

// One batch brings several versions of a key that the table has: the first of them ends the current one.
func TestSeveralVersionsOfAKnownKey(t *testing.T) {
	lab := laketest.New(t, openFile)
	p, want := oraclePipeline(t), oracles()
	const day = "2026-01-01 00:00:0"
	follow(t, lab, p, want, []laketest.Row{{"1", day + "1", "a", "1"}, {"2", day + "1", "a", "1"}})
	follow(t, lab, p, want, []laketest.Row{{"1", day + "4", "d", "1"}, {"1", day + "2", "b", "1"}, {"1", day + "3", "b", "2"}, {"2", day + "1", "x", "1"}})
}

// follow loads a batch, makes every table of it and holds each against its oracle.
func follow(t laketest.TB, lab *laketest.Lab, p *pipeline.Pipeline, want map[string]*oracle, batch []laketest.Row) {
	t.Helper()
	lab.Append(t, "bronze.events", rawColumns, batch...)
	for _, name := range slices.Sorted(maps.Keys(want)) {
		want[name].apply(batch)
		made := run(t, lab, p, name)
		checkBatch(t, lab, name, want[name], made)
		if want[name].scd2() {
			checkVersions(t, want[name].kind, lab.Rows(t, name, -1, "k", "seen", "valid_to", "is_current", "sk"))
		}
		checkFeed(t, lab, name)
	}
}

func run(t laketest.TB, lab *laketest.Lab, p *pipeline.Pipeline, name string) transform.Outcome {
	t.Helper()
	declare, _ := p.Table(name)
	made, err := (&transform.Runner{Lake: lab.Lake, Engine: lab.Engine}).Run(context.Background(), transform.Request{Run: "r", Pipeline: p, Table: declare})
	if err != nil {
		t.Fatalf("run %s: %v", name, err)
	}
	if made.Status != transform.Staged {
		t.Fatalf("run %s: %s", name, made.Status)
	}
	lab.Publish(t, name, made.Staged)
	return made
}

func checkBatch(t laketest.TB, lab *laketest.Lab, name string, want *oracle, made transform.Outcome) {
	t.Helper()
	if diff := cmp.Diff(want.lines(), lab.Rows(t, name, -1)); diff != "" {
		t.Fatalf("%s: rows, want -, got +\n%s", name, diff)
	}
	if diff := cmp.Diff(want.quarantined, lab.Rows(t, "silver.quarantine_"+want.kind, -1), cmp.Transformer("nil", func(s []string) []string { return append([]string{}, s...) })); diff != "" {
		t.Fatalf("%s: quarantine, want -, got +\n%s", name, diff)
	}
	if made.Decision.Counts != want.counts || !made.Decision.Counts.Balanced() {
		t.Fatalf("%s: counts %+v, want %+v", name, made.Decision.Counts, want.counts)
	}
	if made.Inserted != want.inserted || made.Updated != want.updated {
		t.Fatalf("%s: %d inserted, %d updated, want %d, %d", name, made.Inserted, made.Updated, want.inserted, want.updated)
	}
	got, taken := made.Decision.Control["total"]
	if !taken {
		return
	}
	accepted := new(big.Rat).Sub(new(big.Rat).Sub(want.control[0], want.control[1]), want.control[2])
	for i, text := range []string{got.Good, got.Superseded, got.Stale, got.Accepted} {
		w := append(want.control[:], accepted)[i]
		if v, ok := new(big.Rat).SetString(text); !ok || v.Cmp(w) != 0 {
			t.Fatalf("%s: control total %d is %s, want %s", name, i, text, w.FloatString(2))
		}
	}
}

// checkVersions holds what must be true of every scd2 table, whatever the oracle says.
func checkVersions(t laketest.TB, name string, lines []string) {
	t.Helper()
	type versions map[string]string // from -> to
	byKey, current, keys := map[string]versions{}, map[string]int{}, map[string]bool{}
	for _, line := range lines {
		f := strings.Split(line, "|")
		k, from, to, isCurrent, sk := f[0], f[1], f[2], f[3], f[4]
		if byKey[k] == nil {
			byKey[k] = versions{}
		}
		if _, twice := byKey[k][from]; twice || keys[sk] {
			t.Fatalf("%s: version %s of key %s or surrogate key %s is there twice", name, from, k, sk)
		}
		byKey[k][from], keys[sk] = to, true
		if isCurrent == "true" {
			current[k]++
		}
		if (isCurrent == "true") != (to == "NULL") {
			t.Fatalf("%s: %s", name, line)
		}
	}
	for k, v := range byKey {
		if current[k] != 1 {
			t.Fatalf("%s: key %s has %d current versions", name, k, current[k])
		}
		starts := slices.Sorted(maps.Keys(v))
		for i, from := range starts[:len(starts)-1] {
			if v[from] != starts[i+1] {
				t.Fatalf("%s: key %s: version %s ends at %s, the next one begins at %s", name, k, from, v[from], starts[i+1])
			}
		}
	}
}

// checkFeed reads the table's gain since each earlier version, and holds it against the difference of the snapshots.
func checkFeed(t laketest.TB, lab *laketest.Lab, name string) {
	t.Helper()
	table := lab.Open(t, name)
	latest := table.Snap.Version()
	var gained []string // by versions from..latest
	removed := false
	for from := latest; from >= 0; from-- {
		seen := lake.Input{Version: from, TableID: table.Snap.Metadata().ID}
		g, err := table.Since(context.Background(), &seen)
		if removed && name == "silver.full" {
			if fault.KindOf(err) != fault.SourceLost || fault.HintOf(err) == "" {
				t.Fatalf("%s since %d: %v", name, from, err)
			}
			continue
		}
		if err != nil {
			t.Fatalf("%s since %d: %v", name, from, err)
		}
		got := read(t, lab, table, g.Rows)
		for _, line := range read(t, lab, table, g.Feed, "_change_type") {
			if row, kind := cutLast(line); kind != "update_preimage" {
				got = append(got, row)
			}
		}
		slices.Sort(got)
		if diff := cmp.Diff(gained, got, cmp.Transformer("nil", func(s []string) []string { return append([]string{}, s...) })); diff != "" {
			t.Fatalf("%s: gain since version %d of %d, want -, got +\n%s", name, from, latest, diff)
		}
		if from > 0 {
			before, after := lab.Rows(t, name, from-1), lab.Rows(t, name, from)
			gained = append(gained, minus(after, before)...)
			slices.Sort(gained)
			removed = removed || len(before) > 0
			checkImages(t, lab, table, from, minus(before, after))
		}
	}
}

// checkImages holds the before images of a version against the rows that it took away.
func checkImages(t laketest.TB, lab *laketest.Lab, table *lake.Table, version int64, want []string) {
	t.Helper()
	if table.Name == "silver.full" {
		return
	}
	var got []string
	for c, err := range table.Delta.Changes(context.Background(), version-1, version) {
		if err != nil {
			t.Fatalf("%v", err)
		}
		var files []engine.File
		for _, f := range c.CDC {
			files = append(files, engine.File{Path: f.Path, PartitionValues: f.PartitionValues})
		}
		for _, line := range read(t, lab, table, files, "_change_type") {
			if row, kind := cutLast(line); kind == "update_preimage" {
				got = append(got, row)
			}
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Fatalf("%s: before images of version %d: %s", table.Name, version, cmp.Diff(want, got))
	}
}

func read(t laketest.TB, lab *laketest.Lab, table *lake.Table, files []engine.File, extra ...string) []string {
	t.Helper()
	if len(files) == 0 {
		return nil
	}
	sc := table.Scan(table.Snap, files)
	sc.Extra = extra
	return lab.Scan(t, sc)
}

func cutLast(line string) (before, last string) {
	i := strings.LastIndexByte(line, '|')
	return line[:i], line[i+1:]
}

// minus is the difference of two sorted multisets.
func minus(a, b []string) []string {
	left := map[string]int{}
	for _, s := range b {
		left[s]++
	}
	var out []string
	for _, s := range a {
		if left[s] > 0 {
			left[s]--
			continue
		}
		out = append(out, s)
	}
	return out
}

// A merge by sequence ends in the same table however its rows are split into batches and ordered.
func TestMergeDoesNotDependOnBatches(t *testing.T) {
	lab := laketest.New(t, openFile)
	rapid.Check(t, func(rt *rapid.T) {
		p := oraclePipeline(rt)
		rows := rapid.SliceOfN(rawRow(), 2, 60).Draw(rt, "rows")
		var first []string
		for i := range 2 {
			lab.Reset(rt)
			order := rapid.Permutation(rows).Draw(rt, "order")
			for len(order) > 0 {
				n := rapid.IntRange(1, len(order)).Draw(rt, "size")
				if rapid.Bool().Draw(rt, "all") {
					n = len(order)
				}
				lab.Append(rt, "bronze.events", rawColumns, order[:n]...)
				run(rt, lab, p, "silver.merge")
				order = order[n:]
			}
			got := lab.Rows(rt, "silver.merge", -1)
			lab.Drop(rt)
			if i == 0 {
				first = got
			} else if diff := cmp.Diff(first, got); diff != "" {
				rt.Fatalf("two splits of the same rows: %s", diff)
			}
		}
	})
}
