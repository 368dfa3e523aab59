package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lakestep/lakestep/functions"
	"github.com/lakestep/lakestep/functions/cmd/internal/compose"
	"github.com/lakestep/lakestep/sample"
	"github.com/lakestep/lakestep/shared/asl"
	"github.com/lakestep/lakestep/shared/engine"
	"github.com/lakestep/lakestep/shared/event"
	"github.com/lakestep/lakestep/shared/host/local"
	"github.com/lakestep/lakestep/shared/lake"
	"github.com/lakestep/lakestep/shared/ledger"
	"github.com/lakestep/lakestep/shared/pipeline"
	"github.com/lakestep/lakestep/shared/store"
	"github.com/lakestep/lakestep/statemachines"
)

const retail = "../../../config/retail"

// twin runs the same pipeline on this machine, from the same landing folder into a lake beside the cloud's.
type twin struct {
	c      *cloud
	lake   *lake.Lake
	engine *engine.Engine
	bundle pipeline.Bundle
	states []string // entered by the last run
}

func newTwin(c *cloud) *twin {
	c.t.Helper()
	w := &twin{c: c}
	var err error
	if w.lake, err = compose.OpenLake(c.t.Context(), "s3://"+c.bucket+"/twin", "test"); err != nil {
		c.t.Fatal(err)
	}
	if w.engine, err = engine.Open(engine.Options{MemoryMB: 512, Threads: 2, TempDir: c.t.TempDir()}); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { w.engine.Close() })
	if w.bundle, err = pipeline.ReadBundle(c.pipeline, map[string]string{"landing": "s3://" + c.bucket + "/landing"}); err != nil {
		c.t.Fatal(err)
	}
	return w
}

// run runs it with an event.
func (w *twin) run(raw json.RawMessage) local.Outcome {
	t := w.c.t
	t.Helper()
	triggers, err := event.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	w.states = nil
	runner, err := local.New(local.Options{
		Definition: statemachines.Medallion(), File: statemachines.MedallionFile, Dir: t.TempDir(), MaxParallel: 2, Clock: local.WallClock{},
		Steps: functions.All(functions.Deps{Lake: w.lake, Engine: w.engine, Open: compose.OpenSource}),
		Observe: func(e local.Event) {
			if e.Kind == local.StateEntered {
				w.states = append(w.states, e.State)
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	digest, err := w.lake.Pin(t.Context(), w.bundle)
	if err != nil {
		t.Fatal(err)
	}
	id := fmt.Sprintf("twin-%d", time.Now().UnixNano())
	input, err := json.Marshal(map[string]any{"run": id, "bundle": digest, "trigger": triggers[0]})
	if err != nil {
		t.Fatal(err)
	}
	out, err := runner.Start(t.Context(), id, input)
	if err != nil || out.Status != asl.Succeeded {
		t.Fatalf("%+v, %v", out, err)
	}
	return out
}

// content is what a lake holds: of every table its version, its rows in canonical order, and what its decisions counted.
type content struct {
	Versions map[string]int64
	Rows     map[string][]string
	Counts   map[string]lake.Counts
}

// read reads a lake. The time of loading and the name of the run are each run's own.
func (w *twin) read(l *lake.Lake) content {
	t := w.c.t
	t.Helper()
	p, err := pipeline.Load(w.bundle)
	if err != nil {
		t.Fatal(err)
	}
	session, err := w.engine.Session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	c := content{map[string]int64{}, map[string][]string{}, map[string]lake.Counts{}}
	for _, name := range ledger.Tables(p) {
		table, err := l.Open(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if !table.Exists() || strings.HasPrefix(name, "ops.") {
			continue
		}
		c.Versions[name] = table.Snap.Version()
		if table.Decision != nil {
			c.Counts[name] = table.Decision.Counts
		}
		relation, err := session.Relation(t.Context(), table.Live(table.Snap))
		if err != nil {
			t.Fatal(err)
		}
		own := []string{}
		for _, f := range table.Snap.Schema().Fields {
			if slices.Contains([]string{"_ingested_at", "received_at", "_run", "_run_id", "_quarantined_at"}, f.Name) {
				own = append(own, engine.Ident(f.Name))
			}
		}
		if len(own) > 0 {
			relation = "(SELECT * EXCLUDE (" + strings.Join(own, ", ") + ") FROM " + relation + ")"
		}
		rows, err := session.Strings(t.Context(), "SELECT CAST(t AS VARCHAR) FROM "+relation+" t")
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rows {
			c.Rows[name] = append(c.Rows[name], r[0])
		}
		slices.Sort(c.Rows[name])
	}
	return c
}

// same compares the cloud's lake with the twin's.
func (w *twin) same() {
	w.c.t.Helper()
	want, got := w.sameRows()
	if diff := cmp.Diff(want.Versions, got.Versions); diff != "" {
		w.c.t.Errorf("versions (-local +cloud): %s", diff)
	}
	if diff := cmp.Diff(want.Counts, got.Counts); diff != "" {
		w.c.t.Errorf("counts (-local +cloud): %s", diff)
	}
}

// sameRows compares the rows alone: those of lakes that took them in by different numbers of runs.
func (w *twin) sameRows() (want, got content) {
	t := w.c.t
	t.Helper()
	l, err := compose.OpenLake(t.Context(), w.c.lake(), "test")
	if err != nil {
		t.Fatal(err)
	}
	want, got = w.read(w.lake), w.read(l)
	for name := range want.Rows {
		if diff := cmp.Diff(want.Rows[name], got.Rows[name]); diff != "" {
			t.Errorf("%s differs from that of the local run (-local +cloud): %.2000s", name, diff)
		}
	}
	rows := 0
	for _, r := range want.Rows {
		rows += len(r)
	}
	if rows == 0 {
		t.Error("the lakes are empty")
	}
	t.Logf("equal: %d tables, %d rows", len(want.Rows), rows)
	return want, got
}

// sameStates compares the states that an execution went through with the local run's. The iterations of a Map take turns as they like: in each of the
// lists the states of a table come in their order, and those outside of Maps too.
func (w *twin) sameStates(execution string) {
	t := w.c.t
	t.Helper()
	got, err := w.c.machine.States(t.Context(), execution)
	if err != nil {
		t.Fatal(err)
	}
	got = slices.DeleteFunc(got, func(s string) bool { return s == "Pin" }) // the local run is started with what it makes
	outer := func(states []string) (out []string) {
		for _, s := range states {
			if slices.Contains([]string{"Begin", "Validate", "AnythingNew", "NothingNew", "Sources", "SilverLevels", "SilverTables", "GoldLevels", "GoldTables", "Complete", "Fail"}, s) {
				out = append(out, s)
			}
		}
		return out
	}
	if diff := cmp.Diff(outer(w.states), outer(got)); diff != "" {
		t.Errorf("order of states (-local +cloud): %s", diff)
	}
	times := func(states []string) map[string]int {
		n := map[string]int{}
		for _, s := range states {
			n[s]++
		}
		return n
	}
	if diff := cmp.Diff(times(w.states), times(got)); diff != "" {
		t.Errorf("states and how often (-local +cloud): %s", diff)
	}
}

// TestRetail is the sample on AWS: files land, events start executions of the medallion state machine in moto, which call the functions; after each, the
// lake equals that of a run on this machine.
func TestRetail(t *testing.T) {
	pipeline, err := filepath.Abs(retail)
	if err != nil {
		t.Fatal(err)
	}
	c := newCloud(t, pipeline)
	entries := c.glue("retail")
	w := newTwin(c)
	var all []json.RawMessage
	var payloads strings.Builder
	for i, quarter := range []string{"1997q1", "1997q2"} {
		dir := t.TempDir()
		if _, err := sample.Write(dir, quarter); err != nil {
			t.Fatal(err)
		}
		told := c.land(dir, "")
		all = append(all, told...)
		runs := c.deliver(told...)
		if len(runs) != i+1 {
			t.Fatalf("%s: %d executions, want %d", quarter, len(runs), i+1)
		}
		execution := *runs[0].ExecutionArn
		if r := c.wait(execution); r.Status != "SUCCEEDED" {
			t.Fatalf("%s: %+v\n%s", quarter, r, c.logs())
		}
		payloads.WriteString(c.history(execution))
		w.run(told[0])
		w.same()
		w.sameStates(execution)
	}
	if runs := c.deliver(all...); len(runs) != 2 {
		t.Errorf("events that were delivered again: %d executions", len(runs))
	}
	c.startedByHand(w)
	want := []string{"gold_customer_features", "gold_daily_revenue", "gold_dim_customers", "gold_dim_products", "gold_fact_orders", "silver_cleaned_customers", "silver_cleaned_orders", "silver_cleaned_products"}
	if got := entries(); !slices.Equal(got, want) {
		t.Errorf("Glue has %v, want %v", got, want)
	}
	c.noSecrets(payloads.String(), 50, c.s3.SecretKey)
	cold := map[string]time.Duration{}
	for name, f := range c.functions {
		if starts := f.ColdStarts(); len(starts) > 0 {
			cold[name] = slices.Min(starts)
		}
	}
	t.Logf("from the start of a process to its first question for work: %v", slices.SortedFunc(maps.Values(cold), func(a, b time.Duration) int { return int(a - b) }))
}

// startedByHand: an execution that is started with {} finds nothing new, and one with what the console offers does the same.
func (c *cloud) startedByHand(w *twin) {
	c.t.Helper()
	for i, input := range []string{`{}`, `{"Comment": "Insert your JSON here"}`} {
		name := fmt.Sprintf("by-hand-%d", i)
		if ok, err := c.machine.Start(c.t.Context(), name, []byte(input)); err != nil || !ok {
			c.t.Fatal(ok, err)
		}
		if ok, err := c.machine.Start(c.t.Context(), name, []byte(`{"other": 1}`)); err != nil || ok {
			c.t.Errorf("a name twice: %v, %v", ok, err)
		}
		if r := c.wait(c.machine.Execution(name)); r.Status != "SUCCEEDED" {
			c.t.Errorf("%s: %+v", input, r)
		}
		w.states = []string{"Begin", "Validate", "AnythingNew", "NothingNew"}
		w.sameStates(c.machine.Execution(name))
	}
}

// noSecrets looks for secrets of the test in everything that was written: a lake of so many objects at least, logs, payloads.
func (c *cloud) noSecrets(payloads string, atLeast int, canaries ...string) {
	c.t.Helper()
	found := func(text string) bool {
		return slices.ContainsFunc(canaries, func(canary string) bool { return strings.Contains(text, canary) })
	}
	if !strings.Contains(c.logs(), "done") || !strings.Contains(payloads, "bundle") {
		c.t.Error("there are no logs or payloads to look at")
	}
	if found(c.logs()) || found(payloads) {
		c.t.Error("a secret is in a log or payload")
	}
	s := c.store()
	objects := 0
	for o, err := range s.List(c.t.Context(), "lake/", "") {
		if err != nil {
			c.t.Fatal(err)
		}
		body, err := s.Open(c.t.Context(), o.Key, store.Range{})
		if err != nil {
			c.t.Fatal(err)
		}
		raw, err := io.ReadAll(body)
		body.Close()
		if err != nil {
			c.t.Fatal(err)
		}
		if found(string(raw)) {
			c.t.Errorf("a secret is in %s", o.Key)
		}
		objects++
	}
	if objects < atLeast {
		c.t.Errorf("the lake has %d objects only", objects)
	}
}
