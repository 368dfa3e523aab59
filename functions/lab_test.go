// Package functions_test proves the guarantee end to end: the state machine over a small shop (testdata/shop), with steps that are killed,
// repeated, too late or in a race, must leave the tables that an undisturbed run leaves.
package functions_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lakestep/lakestep/functions"
	"github.com/lakestep/lakestep/shared/asl"
	"github.com/lakestep/lakestep/shared/catalog"
	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/connector/files"
	"github.com/lakestep/lakestep/shared/engine"
	"github.com/lakestep/lakestep/shared/event"
	"github.com/lakestep/lakestep/shared/host/local"
	"github.com/lakestep/lakestep/shared/lake"
	"github.com/lakestep/lakestep/shared/ledger"
	"github.com/lakestep/lakestep/shared/pipeline"
	"github.com/lakestep/lakestep/shared/step"
	"github.com/lakestep/lakestep/shared/store"
	"github.com/lakestep/lakestep/shared/store/file"
	"github.com/lakestep/lakestep/statemachines"
)

// shopTables are all tables that the shop's pipeline makes, but the ledger.
func shopTables() []string {
	return []string{"bronze.raw_orders", "bronze.raw_customers", "bronze.rejected_rows",
		"silver.orders", "silver.quarantine_orders", "silver.customers", "silver.quarantine_customers",
		"gold.order_facts", "gold.customer_history", "gold.revenue"}
}

// lab is what the lakes of one test share.
type lab struct {
	t       testing.TB
	engine  *engine.Engine
	landing string
	bundle  pipeline.Bundle
	lives   atomic.Int64 // of programs, which never share an attempt
}

func newLab(t testing.TB) *lab {
	t.Helper()
	e, err := engine.Open(engine.Options{MemoryMB: 1024, Threads: 2, TempDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	l := &lab{t: t, engine: e, landing: filepath.Join(t.TempDir(), "landing")}
	l.bundle, err = pipeline.ReadBundle("testdata/shop", map[string]string{"landing": l.landing})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(l.landing, 0o755); err != nil {
		t.Fatal(err)
	}
	return l
}

// land copies a batch to the landing folder: new rows, newer and older versions of known ones, rows that the rules refuse, lines that hold
// no row.
func (l *lab) land(batch int) {
	l.t.Helper()
	name := fmt.Sprint("batch-", batch)
	if err := os.CopyFS(filepath.Join(l.landing, name), os.DirFS(filepath.Join("testdata/shop/landing", name))); err != nil {
		l.t.Fatal(err)
	}
}

// site is one lake.
type site struct {
	*lab
	t      testing.TB // of the subtest that has it
	folder string
	store  *file.Store
}

func (l *lab) site(t testing.TB) *site {
	t.Helper()
	s := &site{lab: l, t: t, folder: filepath.Join(t.TempDir(), "lake")}
	var err error
	if s.store, err = file.New(s.folder); err != nil {
		t.Fatal(err)
	}
	return s
}

// copy is another lake with the same content.
func (s *site) copy(t testing.TB) *site {
	t.Helper()
	c := s.site(t)
	if err := os.CopyFS(c.folder, os.DirFS(s.folder)); err != nil {
		t.Fatal(err)
	}
	return c
}

// program is one life of a program that works on the lake, from its start to its death.
type program struct {
	site   *site
	lake   *lake.Lake
	steps  step.Set
	runner *local.Runner
}

// settings are what differs from an undisturbed program.
type settings struct {
	wrap     func(store.Store) store.Store // over lake and landing
	handler  func(name string, h step.Handler) step.Handler
	observe  func(local.Event)
	parallel int
	catalog  catalog.Catalog
}

func (s *site) program(o settings) *program {
	s.t.Helper()
	life := s.lives.Add(1)
	var attempts, ids atomic.Int64
	if o.wrap == nil {
		o.wrap = func(s store.Store) store.Store { return s }
	}
	clock := &clock{now: time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(life) * time.Minute)}
	p := &program{site: s, lake: lake.New(lake.Options{Store: o.wrap(s.store), Now: clock.Now, Version: "test", URL: "s3://bucket/shop",
		NewAttempt: func() int64 { return life<<20 + attempts.Add(1) },
		NewID:      func() string { return fmt.Sprintf("00000000-0000-4000-8000-%06d%06d", life, ids.Add(1)) }})}
	open := func(_ context.Context, p *pipeline.Pipeline, src pipeline.Source) (connector.Source, error) {
		landing, err := file.New(src.Settings.Text("path", ""))
		if err != nil {
			return nil, err
		}
		return files.New(o.wrap(landing), src.Config(p.Name))
	}
	p.steps = functions.All(functions.Deps{Lake: p.lake, Engine: s.engine, Open: open, Limit: connector.Limit{Items: 1}, Catalog: o.catalog})
	if o.handler != nil {
		for name, h := range p.steps {
			p.steps[name] = o.handler(name, h)
		}
	}
	var err error
	p.runner, err = local.New(local.Options{Definition: statemachines.Medallion(), File: "medallion.asl.json", Steps: p.steps,
		Dir: filepath.Join(s.folder, "_lakestep", "journals"), MaxParallel: max(1, o.parallel), Clock: clock, Observe: o.observe})
	if err != nil {
		s.t.Fatal(err)
	}
	return p
}

// clock moves when somebody waits: retries take no time, and nothing else may depend on it.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) After(d time.Duration) <-chan time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(max(0, d))
	ch := make(chan time.Time, 1)
	ch <- c.now
	return ch
}

// start pins the pipeline and begins a run, as the command line does.
func (p *program) start(ctx context.Context, run string) (local.Outcome, error) {
	digest, err := p.lake.Pin(ctx, p.site.bundle)
	if err != nil {
		return local.Outcome{}, err
	}
	input, err := json.Marshal(map[string]any{"run": run, "bundle": digest, "trigger": event.Trigger{Kind: event.Manual, Source: event.CLI}})
	if err != nil {
		return local.Outcome{}, err
	}
	return p.runner.Start(ctx, run, input)
}

// mustRun starts a run that must succeed.
func (s *site) mustRun(run string) {
	s.t.Helper()
	out, err := s.program(settings{}).start(s.t.Context(), run)
	succeeded(s.t, out, err)
}

func succeeded(t testing.TB, out local.Outcome, err error) {
	t.Helper()
	if err != nil || out.Status != asl.Succeeded {
		t.Fatalf("the run ended as %s %s %s: %v", out.Status, out.Error, out.Cause, err)
	}
}

// state is what a lake holds: the rows of each table as sorted texts, and how often it was written.
type state struct {
	Rows     map[string][]string
	Versions map[string]int64
}

// state reads the lake. Ingest times are left out, the rest counts.
func (s *site) state() state {
	s.t.Helper()
	p := s.program(settings{})
	out := state{Rows: map[string][]string{}, Versions: map[string]int64{}}
	session, err := s.engine.Session(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	defer session.Close()
	for _, name := range shopTables() {
		table, err := p.lake.Open(s.t.Context(), name)
		if err != nil {
			s.t.Fatal(err)
		}
		out.Versions[name] = table.Snap.Version()
		if !table.Exists() {
			continue
		}
		relation, err := session.Relation(s.t.Context(), table.Live(table.Snap))
		if err != nil {
			s.t.Fatal(err)
		}
		if _, ok := table.Snap.Schema().Field("_ingested_at"); ok {
			relation = "(SELECT * EXCLUDE (_ingested_at) FROM " + relation + ")"
		}
		rows, err := session.Strings(s.t.Context(), "SELECT CAST(t AS VARCHAR) FROM "+relation+" t")
		if err != nil {
			s.t.Fatal(err)
		}
		for _, r := range rows {
			out.Rows[name] = append(out.Rows[name], r[0])
		}
		slices.Sort(out.Rows[name])
	}
	return out
}

// equal tells what differs from the wanted state.
func (s *site) equal(want state) {
	s.t.Helper()
	got := s.state()
	if diff := cmp.Diff(want, got); diff != "" {
		s.t.Errorf("the lake differs from that of an undisturbed run (-want +got):\n%s", diff)
	}
	s.balanced(got)
}

// otherReader holds the rows that delta-rs finds in the tables against those that we find.
func (s *site) otherReader() {
	s.t.Helper()
	python := os.Getenv("LAKESTEP_TEST_PYTHON")
	if python == "" {
		s.t.Skip("SKIPPED: LAKESTEP_TEST_PYTHON is not set, so delta-rs is not asked (make test sets it)")
	}
	var stderr bytes.Buffer
	cmd := exec.CommandContext(s.t.Context(), python, append([]string{"testdata/read_delta.py", s.folder}, shopTables()...)...)
	cmd.Stderr = &stderr
	raw, err := cmd.Output()
	if err != nil {
		s.t.Fatalf("delta-rs: %v\n%s", err, stderr.String())
	}
	var got state
	if err := json.Unmarshal(raw, &got); err != nil {
		s.t.Fatal(err)
	}
	if diff := cmp.Diff(s.state(), got); diff != "" {
		s.t.Errorf("delta-rs reads otherwise (-we +delta-rs):\n%s", diff)
	}
}

// balanced holds the counts of all decisions against the rows that are there: silver read each raw row once, and what was refused is in the
// quarantine, no more and no less.
func (s *site) balanced(now state) {
	s.t.Helper()
	p := s.program(settings{})
	for raw, silver := range map[string]string{"raw_orders": "orders", "raw_customers": "customers"} {
		counts := p.decided(s.t, "silver."+silver)
		if got, want := counts.Read, int64(len(now.Rows["bronze."+raw])); got != want {
			s.t.Errorf("silver.%s read %d rows of %d in bronze.%s", silver, got, want, raw)
		}
		if got := int64(len(now.Rows["silver.quarantine_"+silver])); !counts.Balanced() || got != counts.Quarantined {
			s.t.Errorf("silver.%s decided %+v, and %d rows are in quarantine", silver, counts, got)
		}
	}
	refused := p.decided(s.t, "bronze.raw_orders").Quarantined + p.decided(s.t, "bronze.raw_customers").Quarantined
	if got := int64(len(now.Rows["bronze.rejected_rows"])); got != refused {
		s.t.Errorf("bronze rejected %d lines, and %d are in bronze.rejected_rows", refused, got)
	}
}

// decided sums up all decisions that hold in a table.
func (p *program) decided(t testing.TB, name string) (sum lake.Counts) {
	t.Helper()
	table, err := p.lake.Open(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	for d := table.Decision; d != nil; {
		sum = sum.Plus(d.Counts)
		if d.Parent == 0 {
			break
		}
		if d, err = table.DecisionOf(t.Context(), d.Parent); err != nil {
			t.Fatal(err)
		}
	}
	return sum
}

// outcome is the manifest of a run; nil when the run had nothing to do.
func (s *site) outcome(run string) *ledger.Outcome {
	s.t.Helper()
	var out ledger.Outcome
	found, err := s.program(settings{}).lake.GetRun(s.t.Context(), run, ledger.OutcomeDocument, &out)
	if err != nil {
		s.t.Fatal(err)
	}
	if !found {
		return nil
	}
	return &out
}

// nothingNew starts one more run, which must find nothing to do.
func (s *site) nothingNew() {
	s.t.Helper()
	run := fmt.Sprint("afterwards-", s.lives.Add(1))
	s.mustRun(run)
	if out := s.outcome(run); out != nil {
		s.t.Errorf("a run afterwards found something to do: %+v", out)
	}
}

// long tells whether the exhaustive variants are asked for.
func long() bool { return os.Getenv("LAKESTEP_LONG") == "1" }

var errKilled = errors.New("the program is dead")
