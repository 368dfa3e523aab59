// Package roundtrip proves that tables which lakestep writes are the same to delta-rs and Spark, and theirs to lakestep. From a
// seed it makes a table and operations on it; a model knows the rows and the change data feed of each version.
//
// LAKESTEP_SEED=n runs the one sequence of that seed; LAKESTEP_SEQUENCES=n runs n of them.
package roundtrip

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/engine"
	"github.com/lakestep/lakestep/tools/oracle"
)

// seeds are those to run: from LAKESTEP_SEED on, LAKESTEP_SEQUENCES many.
func seeds(t *testing.T, n, long int) (out []uint64) {
	t.Helper()
	first := uint64(1)
	if os.Getenv("LAKESTEP_LONG") != "" {
		n = long
	}
	if s := os.Getenv("LAKESTEP_SEED"); s != "" {
		v, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		first, n = v, 1
	}
	if s := os.Getenv("LAKESTEP_SEQUENCES"); s != "" {
		v, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		n = v
	}
	for i := range n {
		out = append(out, first+uint64(i))
	}
	return out
}

func testEngine(t *testing.T) *engine.Engine {
	t.Helper()
	e, err := engine.Open(engine.Options{MemoryMB: 500, Threads: 2, TempDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

// score counts what an oracle compared, and why it could not.
type score struct {
	name     string
	compared map[string]int // by what
	skipped  map[string]int // by reason
}

func newScore(name string) *score {
	return &score{name, map[string]int{}, map[string]int{}}
}

func (s *score) String() string {
	var parts []string
	for what, n := range s.compared {
		parts = append(parts, fmt.Sprintf("%d %s compared", n, what))
	}
	slices.Sort(parts)
	var reasons []string
	for reason, n := range s.skipped {
		reasons = append(reasons, fmt.Sprintf("%d skipped: %s", n, reason))
	}
	slices.Sort(reasons)
	return s.name + ": " + strings.Join(append(parts, reasons...), ", ")
}

// lacks are what the oracles refuse by their own word, or are known to get wrong: not what we could mend.
var lacks = []struct{ oracle, pattern, reason string }{
	{"delta-rs", `File name too long`, "it writes numbers of 300 digits into names of folders"},
	{"delta-rs", `Table contains TIMESTAMP_NTZ columns but does not have the required`, "it creates no tables with timestamp_ntz inside of other types"},
	{"delta-rs", `(?s)failed validation check.*_change_type`, "its merge with a change data feed finds NULLs in NOT NULL columns"},
	{"Spark", `(?s)DELTA_FEATURES_PROTOCOL_METADATA_MISMATCH.*not listed in protocol: invariants`, "delta-rs created a table with NOT NULL that does not list the feature"},
	{"Spark", `DELTA_CHANGE_DATA_FEED_INCOMPATIBLE_(DATA_)?SCHEMA`, "its feed does not go past a schema that changed otherwise than by columns more"},
	{"Spark", `DELTA_FEATURES_REQUIRE_MANUAL_ENABLEMENT`, "it adds no column whose type needs a feature"},
	{"delta-rs", `Unsupported table features required: \[TypeWidening\]`, "typeWidening is not supported"},
}

// excuse gives the reason for which an oracle's refusal is no failure of ours.
func excuse(err error) (string, bool) {
	var r *oracle.Refusal
	if !errors.As(err, &r) {
		return "", false
	}
	for _, l := range lacks {
		if l.oracle == r.Oracle && regexp.MustCompile(l.pattern).MatchString(r.Text) {
			return l.reason, true
		}
	}
	return "", false
}

// sequence is one run on one table.
type sequence struct {
	*testing.T
	seed  uint64
	g     *source
	model *table
	ours  *ours
	log   []string
}

func newSequence(t *testing.T, e *engine.Engine, seed uint64, plain bool) *sequence {
	g := newSource(seed, plain)
	s := g.shape()
	q := &sequence{T: t, seed: seed, g: g, model: &table{shape: s}, ours: openOurs(t, e, t.TempDir(), "t")}
	q.note("table %s\n  partitioned by %q, properties %q", s.first, s.partition, s.properties)
	return q
}

func (q *sequence) note(format string, args ...any) {
	q.log = append(q.log, fmt.Sprintf(format, args...))
}

// wrong reports a difference with all that led to it.
func (q *sequence) wrong(format string, args ...any) {
	q.Helper()
	q.Fatalf("LAKESTEP_SEED=%d (table in %s): %s\n%s", q.seed, q.ours.path, fmt.Sprintf(format, args...), strings.Join(q.log, "\n"))
}

// hiddenRows are the versions whose feed must come from deletion vectors: of files that came or went.
func (q *sequence) hiddenRows(first, last int64) map[int64]bool {
	q.Helper()
	out := map[int64]bool{}
	for c, err := range q.ours.Delta.Changes(q.Context(), first-1, last) {
		if err != nil {
			q.wrong("%v", err)
		}
		gone := slices.ContainsFunc(c.Removes, func(r delta.Remove) bool { return r.DeletionVector != nil && r.DataChange })
		came := slices.ContainsFunc(c.Adds, func(a delta.Add) bool { return a.DeletionVector != nil && a.DataChange })
		out[c.Version] = (gone || came) && len(c.CDC) == 0
	}
	return out
}

// create makes the table.
func (q *sequence) create(w writer, by string) {
	q.Helper()
	q.note("created by %s", by)
	err := w.create(q.Context(), q.model.shape)
	if reason, ok := excuse(err); ok {
		q.note("  created by lakestep: %s", reason)
		if err := os.RemoveAll(q.ours.path); err != nil { // of what it committed first
			q.wrong("%v", err)
		}
		err = q.ours.create(q.Context(), q.model.shape)
	}
	if err != nil {
		q.wrong("create by %s: %v", by, err)
	}
	version, err := q.ours.version(q.Context())
	if err != nil {
		q.wrong("%v", err)
	}
	q.model.record(state{schema: q.model.first}, nil, false, version)
}

// do applies an operation by a writer, and records what the table must be since.
func (q *sequence) do(w writer, by string, o op) (done bool) {
	q.Helper()
	before := int64(len(q.model.versions)) - 1
	q.note("%d by %s: %s", before+1, by, o)
	err := w.apply(q.Context(), o, q.model.now)
	if errors.Is(err, errCannot) {
		q.log = q.log[:len(q.log)-1]
		return false
	}
	version, err2 := q.ours.version(q.Context())
	switch {
	case err2 != nil:
		q.wrong("%v", err2)
	case o.refused && err == nil:
		q.wrong("%s breaks a rule of the table, and was not refused", o.kind)
	case o.refused && version != before:
		q.wrong("%s was refused and made version %d: %v", o.kind, version, err)
	case o.refused:
		return true
	case err != nil:
		if reason, ok := excuse(err); ok {
			q.note("  not done: %s", reason)
			return false
		}
		q.wrong("%s by %s: %v", o.kind, by, err)
	}
	next, changes := q.model.apply(o)
	if version == before && len(changes) > 0 {
		q.wrong("%s by %s made no version, %d rows should change", o.kind, by, len(changes))
	}
	if version > before+1 && len(changes) > 0 {
		q.wrong("%s by %s made the versions up to %d", o.kind, by, version)
	}
	if version > before {
		q.model.record(next, changes, o.kind == "restore", version)
	}
	return true
}

// compareOurs compares our own reading of all versions from first on.
func (q *sequence) compareOurs(first int64) {
	q.Helper()
	for v := first; v < int64(len(q.model.versions)); v++ {
		m := q.model.versions[v]
		schema, rows, err := q.ours.read(q.Context(), v)
		if err != nil {
			q.wrong("reading version %d: %v", v, err)
		}
		if d := cmp.Diff(columnsOf(m.schema), columnsOf(schema)); d != "" {
			q.wrong("schema of version %d (-model +lakestep)\n%s", v, d)
		}
		if d := cmp.Diff(texts(m.schema, m.rows), texts(m.schema, rows)); d != "" {
			q.wrong("rows of version %d (-model +lakestep)\n%s", v, d)
		}
	}
}

// columnsOf are the columns in no order: delta-rs moves partition columns when it adds one.
func columnsOf(s delta.Schema) []string {
	var out []string
	for _, f := range s.Fields {
		out = append(out, fmt.Sprintf("%s %s %v", f.Name, f.Type, f.Nullable))
	}
	slices.Sort(out)
	return out
}

// compare compares what an oracle reads of the versions from first on.
func (q *sequence) compare(w *theirs, first int64, s *score) {
	q.Helper()
	var versions []int64
	for v := first; v < int64(len(q.model.versions)); v++ {
		versions = append(versions, v)
	}
	if len(versions) == 0 {
		return
	}
	found, err := w.read(versions...)
	if reason, ok := excuse(err); ok {
		s.skipped[reason] += len(versions)
		return
	}
	if err != nil {
		q.wrong("%v", err)
	}
	for i, v := range versions {
		m := q.model.versions[v]
		q.same(fmt.Sprintf("rows of version %d (-model +%s)", v, w.Name), m.schema, m.rows, found[i])
		s.compared["versions"]++
	}
}

func (q *sequence) same(what string, schema delta.Schema, want []row, lines []string) {
	q.Helper()
	rows, err := parse(schema, lines)
	if err != nil {
		q.wrong("%s: %v", what, err)
	}
	got := []string{}
	for _, r := range rows {
		got = append(got, r.text())
	}
	slices.Sort(got)
	if d := cmp.Diff(texts(schema, want), got); d != "" {
		q.wrong("%s\n%s", what, d)
	}
}

// compareWhere compares what an oracle reads under conditions: it skips files by our statistics.
func (q *sequence) compareWhere(w *theirs, s *score) {
	q.Helper()
	var wheres []cond
	g := newSource(q.seed, true)
	for range 3 {
		wheres = append(wheres, g.cond(q.model.now.schema, q.model.now.rows, "", 1))
	}
	found, err := w.readWhere(wheres)
	if reason, ok := excuse(err); ok {
		s.skipped[reason] += len(wheres)
		return
	}
	if err != nil {
		q.wrong("%v", err)
	}
	for i, c := range wheres {
		want := slices.DeleteFunc(slices.Clone(q.model.now.rows), func(r row) bool { return c.of(r) != yes })
		q.same(fmt.Sprintf("rows of the last version where %s (-model +%s)", c.sql(w.dialect), w.Name), q.model.now.schema, want, found[i])
		s.compared["conditions"]++
	}
}

// compareOurFeed compares our own reading of the change data feed.
func (q *sequence) compareOurFeed() {
	q.Helper()
	last, schema := int64(len(q.model.versions))-1, q.model.now.schema
	if !q.model.is("delta.enableChangeDataFeed") {
		return
	}
	found, err := q.ours.changes(q.Context(), 0, last, schema)
	if err != nil && strings.Contains(err.Error(), "the last that is asked for") {
		return // a restore went back behind a widened column: refused by name, as Spark does
	}
	if err != nil {
		q.wrong("%v", err)
	}
	for v, m := range q.model.versions {
		if d := cmp.Diff(feed(schema, m.changes, m.net), feed(schema, found[int64(v)], m.net)); d != "" {
			q.wrong("change data feed of version %d (-model +lakestep)\n%s", v, d)
		}
	}
}

// compareFeed compares the change data feed of the versions from first on.
func (q *sequence) compareFeed(w *theirs, first int64, s *score) {
	q.Helper()
	last := int64(len(q.model.versions)) - 1
	if !q.model.is("delta.enableChangeDataFeed") || last < first {
		return
	}
	schema := q.model.now.schema
	found, err := w.changes(first, last, schema)
	if reason, ok := excuse(err); ok {
		s.skipped[reason] += int(last - first + 1)
		return
	}
	if err != nil {
		q.wrong("%v", err)
	}
	lost := q.hiddenRows(first, last)
	for v := first; v <= last; v++ {
		if w.dialect == datafusion && lost[v] {
			s.skipped["its feed reads files that came or went under wrong deletion vectors"]++
			continue
		}
		m := q.model.versions[v]
		if d := cmp.Diff(feed(schema, m.changes, m.net), feed(schema, found[v], m.net)); d != "" {
			q.wrong("change data feed of version %d (-model +%s)\n%s", v, w.Name, d)
		}
		s.compared["versions of the feed"]++
	}
}

var ownKinds = []string{"append", "append", "overwrite", "overwrite whole", "overwrite partitions", "delete", "delete", "update", "update",
	"merge", "merge", "merge", "checkpoint", "evolve", "optimize", "zorder", "restore", "vacuum"}

// others are the oracles of a test, with a score for each, lakestep's first.
func others(t *testing.T) (oracles []*theirs, scores []*score) {
	t.Helper()
	oracles = []*theirs{{Process: oracle.DeltaRS(t, os.Getenv("LAKESTEP_TEST_PYTHON")), dialect: datafusion}}
	if folder := os.Getenv("LAKESTEP_TEST_SPARK"); folder != "" && os.Getenv("LAKESTEP_LONG") != "" {
		oracles = append(oracles, &theirs{Process: oracle.Spark(t, folder), dialect: spark})
	}
	for _, o := range oracles {
		s := newScore(o.Name)
		t.Cleanup(func() { t.Log("SCORE: round trip with", s) })
		scores = append(scores, s)
	}
	return oracles, scores
}

// TestRoundTrip: each sequence of lakestep's operations is read equal by the others at every version.
func TestRoundTrip(t *testing.T) {
	oracles, scores := others(t)
	e := testEngine(t)
	for _, seed := range seeds(t, 20, 200) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			q := newSequence(t, e, seed, false)
			q.create(q.ours, "lakestep")
			for range 6 + q.g.IntN(7) {
				q.do(q.ours, "lakestep", q.model.op(q.g, ownKinds, 0.3))
			}
			q.compareOurs(0)
			q.compareOurFeed()
			for i, w := range oracles {
				w.path = q.ours.path
				q.compare(w, 0, scores[i])
				q.compareFeed(w, 0, scores[i])
				q.compareWhere(w, scores[i])
			}
		})
	}
}

// TestTurns: on one table lakestep and the others write in turns, and all read the same after each turn.
func TestTurns(t *testing.T) {
	oracles, scores := others(t)
	e := testEngine(t)
	for _, seed := range seeds(t, 10, 100) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			plain := len(oracles) == 1 || seed%2 == 0
			q := newSequence(t, e, seed, plain)
			q.g.modest = true
			names, writers := []string{"lakestep"}, []writer{q.ours}
			for _, w := range oracles {
				w.path = q.ours.path
				if plain || w.dialect != datafusion {
					names, writers = append(names, w.Name), append(writers, w)
				}
			}
			first := q.g.IntN(len(writers))
			q.create(writers[first], names[first])
			for range 5 + q.g.IntN(6) {
				turn := q.g.IntN(len(writers))
				from := int64(len(q.model.versions))
				q.do(writers[turn], names[turn], q.model.op(q.g, ownKinds, 0))
				q.compareOurs(from)
				for i, w := range oracles {
					q.compare(w, from, scores[i])
				}
			}
		})
	}
}
