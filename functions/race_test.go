package functions_test

import (
	"context"
	"encoding/json"
	"io"
	"iter"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lakestep/lakestep/functions/publish"
	"github.com/lakestep/lakestep/functions/quality"
	"github.com/lakestep/lakestep/shared/asl"
	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/host/local"
	"github.com/lakestep/lakestep/shared/lake"
	"github.com/lakestep/lakestep/shared/store"
	"github.com/lakestep/lakestep/shared/store/inject"
	"github.com/lakestep/lakestep/shared/transform"
)

// trap lets others act right before an operation on a key that begins with prefix.
type trap struct {
	store.Store
	store.Local
	store.FilePutter
	write  bool // the operation is a put; else it is a listing
	prefix string
	times  int
	others func()
}

func (t *trap) wrap(s store.Store) store.Store {
	t.Store, t.Local, t.FilePutter = s, s.(store.Local), s.(store.FilePutter)
	return t
}

func (t *trap) spring(write bool, key string) {
	if t.times > 0 && write == t.write && strings.HasPrefix(key, t.prefix) {
		t.times--
		t.others()
	}
}

func (t *trap) Put(ctx context.Context, key string, body io.Reader, o store.PutOptions) error {
	t.spring(true, key)
	return t.Store.Put(ctx, key, body, o)
}

func (t *trap) List(ctx context.Context, prefix, after string) iter.Seq2[store.Object, error] {
	t.spring(false, prefix)
	return t.Store.List(ctx, prefix, after)
}

// set makes settings of which only the lake's store is trapped.
func (t *trap) settings() settings {
	first := true
	return settings{wrap: func(s store.Store) store.Store {
		if !first { // the landing folder
			return s
		}
		first = false
		return t.wrap(s)
	}}
}

// do calls a step.
func do[Out any](t testing.TB, p *program, name string, in any) Out {
	t.Helper()
	out, err := try[Out](t, p, name, in)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return out
}

func try[Out any](t testing.TB, p *program, name string, in any) (out Out, _ error) {
	t.Helper()
	raw, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := p.steps[name](t.Context(), raw)
	if err != nil {
		return out, err
	}
	if err := json.Unmarshal(answer, &out); err != nil {
		t.Fatal(err)
	}
	return out, nil
}

// loadOrders takes in all that landed for raw_orders.
func (p *program) loadOrders(t testing.TB, run, bundle string) {
	for more := true; more; {
		more = do[struct{ More bool }](t, p, "bronze", map[string]any{"run": run, "bundle": bundle, "table": "bronze.raw_orders"}).More
	}
}

// approve makes and audits silver.orders, and gives what it takes to publish it.
func (p *program) approve(t testing.TB, run, bundle string) lake.StagedInput {
	made := do[transform.Output](t, p, "silver", transform.Input{Run: run, Bundle: bundle, Table: "silver.orders"})
	if made.Status != transform.Staged {
		t.Fatalf("silver.orders is %s", made.Status)
	}
	do[quality.Output](t, p, "quality", lake.StagedInput{Run: run, Bundle: bundle, Table: "silver.orders", Staged: *made.Staged})
	return lake.StagedInput{Run: run, Bundle: bundle, Table: "silver.orders", Staged: *made.Staged}
}

func (p *program) pin(t testing.TB) string {
	digest, err := p.lake.Pin(t.Context(), p.site.bundle)
	if err != nil {
		t.Fatal(err)
	}
	return digest
}

// rows are the wanted rows of a lake that took in all that has landed in one run.
func (l *lab) rows(t *testing.T) state {
	s := l.site(t)
	s.mustRun("run")
	return s.state()
}

// sameRows compares rows, not versions: who wins a race is open.
func (s *site) sameRows(want state) {
	s.t.Helper()
	got := s.state()
	if diff := cmp.Diff(want.Rows, got.Rows); diff != "" {
		s.t.Errorf("the rows differ from those of an undisturbed run (-want +got):\n%s", diff)
	}
	s.balanced(got)
	s.nothingNew()
}

// Two runs at once, without any lock: both succeed, and every row is taken in once.
func TestTwoRunsAtOnce(t *testing.T) {
	l := newLab(t)
	calm, wild := l.site(t), l.site(t)
	for batch := 1; batch <= 2; batch++ {
		l.land(batch)
		calm.mustRun([]string{"", "first", "second"}[batch])
		var runs sync.WaitGroup
		for _, run := range []string{"left", "right"} {
			runs.Go(func() {
				out, err := wild.program(settings{parallel: 2}).start(t.Context(), run+[]string{"", "-1", "-2"}[batch])
				if err != nil || out.Status != asl.Succeeded {
					t.Errorf("run %s ended as %s %s %s: %v", run, out.Status, out.Error, out.Cause, err)
				}
			})
		}
		runs.Wait()
	}
	wild.sameRows(calm.state())
}

// A slower run had staged only part of what this one took in, and is published first: this one goes back to the step.
func TestLostRaceGoesBackToTheStep(t *testing.T) {
	l := newLab(t)
	s := l.site(t)
	l.land(1)
	rival := s.program(settings{})
	bundle := rival.pin(t)
	rival.loadOrders(t, "rival", bundle)
	approved := rival.approve(t, "rival", bundle)
	l.land(2)
	tr := trap{write: true, prefix: "silver/orders/_delta_log/", times: 1, others: func() { do[publish.Output](t, rival, "publish", approved) }}
	set, stale := tr.settings(), 0
	set.observe = func(e local.Event) {
		if e.Kind == local.StateEntered && e.State == "SilverStale" {
			stale++
		}
	}
	out, err := s.program(set).start(t.Context(), "run")
	succeeded(t, out, err)
	if stale != 1 {
		t.Errorf("the run went back to the step %d times, want once", stale)
	}
	s.sameRows(l.rows(t))
}

// rivalCommit takes the table's cursor with a decision that read nothing new.
func rivalCommit(t *testing.T, p *program) {
	table, err := p.lake.Open(t.Context(), "silver.orders")
	if err != nil {
		t.Fatal(err)
	}
	d := *table.Decision
	d.Attempt, d.Run, d.ReadVersion, d.Counts, d.Control = p.lake.NewAttempt(), "rival", table.Snap.Version(), lake.Counts{}, nil
	d.Refused = &lake.Refused{Attempt: d.Refused.Attempt, Table: d.Refused.Table}
	if err := table.Save(t.Context(), &d); err != nil {
		t.Fatal(err)
	}
	if _, err := table.Snap.Begin(delta.Operation{Name: "WRITE", Attempt: d.Attempt}).SetTxn(lake.AppID(table.Name), d.Attempt).Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// A run that loses every race fails clearly after five rounds, and the next one makes it good.
func TestLostRacesAreBounded(t *testing.T) {
	l := newLab(t)
	s := l.site(t)
	l.land(1)
	s.mustRun("first")
	l.land(2)
	rival, races := s.program(settings{}), 0
	tr := trap{write: true, prefix: "silver/orders/_delta_log/", times: 100, others: func() { races++; rivalCommit(t, rival) }}
	out, err := s.program(tr.settings()).start(t.Context(), "run")
	if err != nil || out.Status != asl.Failed || out.Error != "Stale" || !strings.Contains(out.Cause, "five attempts") {
		t.Errorf("the run ended as %s %s %s: %v", out.Status, out.Error, out.Cause, err)
	}
	if doc := s.outcome("run"); doc == nil || doc.Error == nil || doc.Error.Error != "Stale" {
		t.Errorf("the run's outcome is %+v", doc)
	}
	if races != 5 {
		t.Errorf("%d races, want 5", races)
	}
	s.mustRun("later")
	s.sameRows(l.twoBatches(t))
}

// twoBatches is the state of a lake that took in batch 1 and then batch 2, which have both landed.
func (l *lab) twoBatches(t *testing.T) state {
	other := newLab(t)
	s := other.site(t)
	for batch := 1; batch <= 2; batch++ {
		other.land(batch)
		s.mustRun([]string{"", "first", "second"}[batch])
	}
	return s.state()
}

// A publisher that dies between a table and its quarantine leaves rows to be rolled forward. Whoever decides next must see to that, even
// when the publication comes in the midst of its own work.
func TestRefusedRowsSurviveARace(t *testing.T) {
	for when, prefix := range map[string]string{"before it looks": "silver/orders/_delta_log/", "when it has looked": "silver/quarantine_orders/_delta_log/"} {
		t.Run(when, func(t *testing.T) { publisherDies(t, prefix) })
	}
}

func publisherDies(t *testing.T, prefix string) {
	l := newLab(t)
	s := l.site(t)
	l.land(1)
	s.mustRun("first")
	l.land(2)
	rival := s.program(settings{})
	bundle := rival.pin(t)
	rival.loadOrders(t, "rival", bundle)
	approved := rival.approve(t, "rival", bundle)
	l.land(3)
	s.program(settings{}).loadOrders(t, "other", bundle)
	in := inject.New(inject.Plan{How: inject.Crash, At: 1, Counts: func(op inject.Op) bool {
		return op.Writes() && strings.HasPrefix(op.Key, "silver/quarantine_orders/_delta_log/")
	}})
	doomed := s.program(settings{wrap: in.Wrap})
	tr := trap{prefix: prefix, times: 1, others: func() {
		if _, err := try[publish.Output](t, doomed, "publish", approved); err == nil {
			t.Error("the publisher survived")
		}
	}}
	p := s.program(tr.settings())
	if out, err := try[transform.Output](t, p, "silver", transform.Input{Run: "other", Bundle: bundle, Table: "silver.orders"}); err == nil && out.Status == transform.Staged {
		do[quality.Output](t, p, "quality", lake.StagedInput{Run: "other", Bundle: bundle, Table: "silver.orders", Staged: *out.Staged})
		_, _ = try[publish.Output](t, p, "publish", lake.StagedInput{Run: "other", Bundle: bundle, Table: "silver.orders", Staged: *out.Staged})
	}
	if tr.times != 0 {
		t.Error("the trap did not spring")
	}
	s.mustRun("last")
	s.balanced(s.state())
	s.nothingNew()
}

// A publisher that is slow to bring its refused rows to the quarantine finds that others have done so, and went on.
func TestLateRollForward(t *testing.T) {
	l := newLab(t)
	s := l.site(t)
	l.land(1)
	s.mustRun("first")
	l.land(2)
	rival := s.program(settings{})
	bundle := rival.pin(t)
	rival.loadOrders(t, "slow", bundle)
	approved := rival.approve(t, "slow", bundle)
	tr := trap{prefix: "silver/quarantine_orders/_delta_log/", times: 1, others: func() {
		l.land(3)
		s.mustRun("fast")
	}}
	do[publish.Output](t, s.program(tr.settings()), "publish", approved)
	if tr.times != 0 {
		t.Error("the trap did not spring")
	}
	s.balanced(s.state())
	s.nothingNew()
}
