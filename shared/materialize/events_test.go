package materialize_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	qualitystep "github.com/lakestep/lakestep/functions/quality"
	"github.com/lakestep/lakestep/shared/dml"
	"github.com/lakestep/lakestep/shared/lake"
	"github.com/lakestep/lakestep/shared/lake/laketest"
	"github.com/lakestep/lakestep/shared/pipeline"
	"github.com/lakestep/lakestep/shared/transform"
)

var eventRow = []string{"k", "seq", "v", "amount", "op", "gaps"}

// eventLab is a lake with the pipeline of testdata/events.
type eventLab struct {
	*laketest.Lab
	p      *pipeline.Pipeline
	digest string
}

func newEventLab(t laketest.TB, lab *laketest.Lab) *eventLab {
	t.Helper()
	files := map[string]string{}
	names, err := filepath.Glob("testdata/events/*")
	if err != nil || len(names) == 0 {
		t.Fatalf("no testdata: %v", err)
	}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatalf("%v", err)
		}
		files[filepath.Base(name)] = string(data)
	}
	digest, err := lab.Lake.Pin(context.Background(), pipeline.Bundle{Root: pipeline.RootFile, Files: files})
	if err != nil {
		t.Fatalf("%v", err)
	}
	return &eventLab{Lab: lab, p: laketest.Pipeline(t, files), digest: digest}
}

// make makes a table, has it audited and publishes it.
func (l *eventLab) make(t laketest.TB, name string) transform.Outcome {
	t.Helper()
	ctx := context.Background()
	declare, _ := l.p.Table(name)
	made, err := (&transform.Runner{Lake: l.Lake, Engine: l.Engine}).Run(ctx, transform.Request{Run: "r", Pipeline: l.p, Table: declare})
	if err != nil {
		t.Fatalf("run %s: %v", name, err)
	}
	if made.Status != transform.Staged {
		return made
	}
	in, err := json.Marshal(lake.StagedInput{Run: "r", Bundle: l.digest, Table: name, Staged: made.Staged})
	if err != nil {
		t.Fatalf("%v", err)
	}
	raw, err := qualitystep.New(l.Lake, l.Engine).Handle(ctx, in)
	if err != nil {
		t.Fatalf("audit %s: %v", name, err)
	}
	var verdict qualitystep.Output
	if err := json.Unmarshal(raw, &verdict); err != nil || verdict.Verdict != lake.Passed {
		t.Fatalf("audit %s: %s, %v", name, raw, err)
	}
	l.Publish(t, name, made.Staged)
	return made
}

// draw gives events in the order of their sequence, most of them right; each sequence value stands once.
func drawEvents(t *rapid.T) []laketest.Row {
	pick := func(label string, values ...any) any { return rapid.SampledFrom(values).Draw(t, label) }
	var out []laketest.Row
	for i := range rapid.IntRange(1, 40).Draw(t, "events") {
		op := pick("op", "i", "Insert", "u", "U", "u", "update", "r", nil, "", "d", "DELETE", "D")
		if rapid.IntRange(0, 14).Draw(t, "rare") == 0 {
			op = pick("rare op", "t", "Truncate", "TRUNCATE", "?", "nothing")
		}
		row := laketest.Row{pick("k", "1", "2", "3", "4", "5"), fmt.Sprint(i + 1), pick("v", "a", "b", "é", "", nil), pick("amount", "1", "2.5", "0", "7"), op, nil}
		switch e := parseEvent(row); {
		case e.op == "upsert" && rapid.IntRange(0, 1).Draw(t, "partial") == 0:
			row[rawGaps] = pick("gaps", "v", "V", "amount", "v,amount", "")
			if strings.Contains(row[rawGaps].(string), "amount") {
				row[rawAmount] = nil
			}
		case e.op == "delete" && rapid.Bool().Draw(t, "key only"):
			row[rawV], row[rawAmount] = nil, nil
		case e.op == "truncate":
			row[rawK], row[rawV], row[rawAmount] = nil, nil, nil
		}
		if rapid.IntRange(0, 19).Draw(t, "spoil") == 0 {
			switch rapid.IntRange(0, 4).Draw(t, "what") {
			case 0:
				row[rawK] = nil
			case 1:
				row[rawSeq] = "never"
			case 2:
				row[rawAmount] = "-1"
			case 3:
				row[rawGaps] = pick("strange", "k", "w", "v,w")
			}
		}
		out = append(out, row)
	}
	return out
}

// cut splits rows into batches. Within a batch they come in any order; now and then a batch comes twice.
func cut(t *rapid.T, rows []laketest.Row, again bool) [][]laketest.Row {
	var out [][]laketest.Row
	for len(rows) > 0 {
		n := rapid.IntRange(1, len(rows)).Draw(t, "size")
		batch := rapid.Permutation(rows[:n]).Draw(t, "order")
		out = append(out, batch)
		if again && rapid.IntRange(0, 4).Draw(t, "again") == 0 {
			out = append(out, batch)
		}
		rows = rows[n:]
	}
	return out
}

// After each batch of change events the tables with soft and hard deletes, their quarantines, counts and totals agree with the oracle, the change
// data feed with what changed, and gold follows silver. Soft deletes do so also when batches come in any order, and twice.
func TestEventsFollowTheOracle(t *testing.T) {
	lab := laketest.New(t, openFile)
	rapid.Check(t, func(rt *rapid.T) {
		lab.Reset(rt)
		defer lab.Drop(rt)
		l := newEventLab(rt, lab)
		want := map[string]*eventOracle{"silver.soft": {rows: map[int]held{}}, "silver.hard": {rows: map[int]held{}, hard: true}}
		rows := drawEvents(rt)
		inOrder := rapid.Bool().Draw(rt, "in order")
		if !inOrder {
			rows = rapid.Permutation(rows).Draw(rt, "any order")
		}
		for _, batch := range cut(rt, rows, true) {
			l.Append(rt, "bronze.events", eventRow, batch...)
			for _, name := range slices.Sorted(maps.Keys(want)) {
				want[name].apply(batch)
				made := l.make(rt, name)
				checkEvents(rt, l, name, want[name], made)
			}
			if rapid.Bool().Draw(rt, "gold now") {
				l.follow(rt, want["silver.soft"])
			}
		}
		l.follow(rt, want["silver.soft"])
	})
}

func checkEvents(t laketest.TB, l *eventLab, name string, want *eventOracle, made transform.Outcome) {
	t.Helper()
	if diff := cmp.Diff(want.lines(), l.Rows(t, name, -1)); diff != "" {
		t.Fatalf("%s: rows, want -, got +\n%s", name, diff)
	}
	_, base, _ := strings.Cut(name, ".")
	if diff := cmp.Diff(append([]string{}, want.quarantined...), l.Rows(t, "silver.quarantine_"+base, -1)); diff != "" {
		t.Fatalf("%s: quarantine, want -, got +\n%s", name, diff)
	}
	if made.Decision.Counts != want.counts || !made.Decision.Counts.Balanced() {
		t.Fatalf("%s: counts %+v, want %+v", name, made.Decision.Counts, want.counts)
	}
	got := made.Decision.Control["total"]
	if got.Removals != want.removals {
		t.Fatalf("%s: %d removals, want %d", name, got.Removals, want.removals)
	}
	for i, text := range []string{got.Good, got.Superseded, got.Stale} {
		if v, ok := new(big.Rat).SetString(text); !ok || v.Cmp(want.control[i]) != 0 {
			t.Fatalf("%s: control total %d is %s, want %s", name, i, text, want.control[i].FloatString(2))
		}
	}
	l.checkLog(t, name)
}

// checkLog holds the change data of the newest version against the versions, and the protocol against what other programs write.
func (l *eventLab) checkLog(t laketest.TB, name string) {
	t.Helper()
	ctx := context.Background()
	snap := l.At(t, name, -1)
	if p := snap.Protocol(); p.MinReaderVersion != 1 || p.MinWriterVersion != 4 {
		t.Fatalf("%s: protocol (%d,%d)", name, p.MinReaderVersion, p.MinWriterVersion)
	}
	if snap.Version() == 0 {
		return
	}
	session, err := l.Engine.Session(ctx)
	if err != nil {
		t.Fatalf("%v", err)
	}
	defer session.Close()
	table := dml.Table{Delta: l.Lake.Delta(name), Store: l.Lake.Store, Session: session, Now: l.Lake.Now}
	relation, err := table.Changes(ctx, snap.Version(), snap.Version())
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	sample, err := session.Sample(ctx, "SELECT * EXCLUDE (_commit_version, _commit_timestamp) FROM "+relation, 1<<30)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	var came, went []string
	for _, cells := range sample[1:] {
		row, kind := cutLast(strings.Join(cells, "|"))
		switch kind {
		case "insert", "update_postimage":
			came = append(came, row)
		default:
			went = append(went, row)
		}
	}
	before, after := l.Rows(t, name, snap.Version()-1), l.Rows(t, name, snap.Version())
	// What comes and goes alike is no change.
	for _, pair := range [][2][]string{{minusAll(came, went), minus(after, before)}, {minusAll(went, came), minus(before, after)}} {
		if !slices.Equal(pair[0], pair[1]) {
			t.Fatalf("%s: change data of version %d, want -, got +\n%s", name, snap.Version(), cmp.Diff(pair[1], pair[0]))
		}
	}
}

func minusAll(a, b []string) []string {
	slices.Sort(a)
	slices.Sort(b)
	return minus(a, b)
}

// follow brings gold up to silver.soft: gold.soft has the same rows, though what a deleted one had before may be older, and gold.hard those that
// are not deleted.
func (l *eventLab) follow(t laketest.TB, silver *eventOracle) {
	t.Helper()
	keys, live := []string{}, []string{}
	for k, row := range silver.rows {
		keys = append(keys, fmt.Sprintf("%d|%d|%t", k, row.seq, row.gone))
		if !row.gone {
			live = append(live, fmt.Sprintf("%d|%d|%s|%s", k, row.seq, row.v, row.amount))
		}
	}
	slices.Sort(keys)
	slices.Sort(live)
	for _, name := range []string{"gold.soft", "gold.hard"} {
		if made := l.make(t, name); made.Decision != nil && !made.Decision.Counts.Balanced() {
			t.Fatalf("%s: %+v", name, made.Decision.Counts)
		}
	}
	if len(silver.rows) == 0 && !l.Open(t, "gold.soft").Exists() {
		return
	}
	if diff := cmp.Diff(keys, l.Rows(t, "gold.soft", -1, "k", "seq", "is_deleted")); diff != "" {
		t.Fatalf("gold.soft: keys, want -, got +\n%s", diff)
	}
	if diff := cmp.Diff(live, l.Rows(t, "gold.hard", -1)); diff != "" {
		t.Fatalf("gold.hard: rows, want -, got +\n%s", diff)
	}
	var got []string
	for _, line := range l.Rows(t, "gold.soft", -1) {
		if row, gone := cutLast(line); gone == "false" {
			got = append(got, row)
		}
	}
	if !slices.Equal(live, got) && len(live)+len(got) > 0 {
		t.Fatalf("gold.soft: rows, want -, got +\n%s", cmp.Diff(live, got))
	}
}

// Events of a source that tells the truth, cut in two ways, end in the same tables: in order for both kinds of deletes, values of tombstones
// included; in any order for soft deletes, when no event leaves values out and none empties the table.
func TestEventsDoNotDependOnBatches(t *testing.T) {
	lab := laketest.New(t, openFile)
	rapid.Check(t, func(rt *rapid.T) {
		inOrder := rapid.Bool().Draw(rt, "in order")
		rows := drawHistory(rt, inOrder)
		first := map[string][]string{}
		for i := range 2 {
			lab.Reset(rt)
			l := newEventLab(rt, lab)
			order := rows
			if !inOrder {
				order = rapid.Permutation(rows).Draw(rt, "any order")
			}
			for _, batch := range cut(rt, order, false) {
				l.Append(rt, "bronze.events", eventRow, batch...)
				l.make(rt, "silver.soft")
				if inOrder {
					l.make(rt, "silver.hard")
				}
			}
			got := map[string][]string{}
			if inOrder {
				got["soft"], got["hard"] = l.Rows(rt, "silver.soft", -1), l.Rows(rt, "silver.hard", -1)
			} else {
				got["keys"] = l.Rows(rt, "silver.soft", -1, "k", "seq", "is_deleted")
				got["live"] = slices.DeleteFunc(l.Rows(rt, "silver.soft", -1), func(line string) bool { return strings.HasSuffix(line, "|true") })
			}
			lab.Drop(rt)
			if i == 0 {
				first = got
			} else if diff := cmp.Diff(first, got); diff != "" {
				rt.Fatalf("two ways to cut the same events: %s", diff)
			}
		}
	})
}

// drawHistory gives what a source does to a table: it updates and deletes what is there.
func drawHistory(t *rapid.T, all bool) []laketest.Row {
	live := map[string]bool{}
	var out []laketest.Row
	for i := range rapid.IntRange(2, 60).Draw(t, "events") {
		k := rapid.SampledFrom([]string{"1", "2", "3", "4"}).Draw(t, "k")
		row := laketest.Row{k, fmt.Sprint(i + 1), rapid.SampledFrom([]any{"a", "b", nil}).Draw(t, "v"), rapid.SampledFrom([]any{"1", "2", "3"}).Draw(t, "amount"), "u", nil}
		what := rapid.IntRange(0, 11).Draw(t, "what")
		switch {
		case what == 0 && all:
			row = laketest.Row{nil, row[rawSeq], nil, nil, "truncate", nil}
			live = map[string]bool{}
		case !live[k]:
			row[rawOp], live[k] = "i", true
		case what < 4:
			row[rawV], row[rawAmount], row[rawOp], live[k] = nil, nil, "d", false
		case what < 7 && all:
			row[rawV], row[rawGaps] = nil, "v"
		}
		out = append(out, row)
	}
	return out
}
