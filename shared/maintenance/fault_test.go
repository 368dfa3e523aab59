package maintenance_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/dml"
	"github.com/lakestep/lakestep/shared/engine"
	"github.com/lakestep/lakestep/shared/maintenance"
	"github.com/lakestep/lakestep/shared/store"
	"github.com/lakestep/lakestep/shared/store/file"
	"github.com/lakestep/lakestep/shared/store/inject"
	"github.com/lakestep/lakestep/shared/store/mem"
)

// faulty is an operation on a table that is to be broken at each of its accesses to the store, in each way.
type faulty struct {
	name       string
	partition  []string
	properties map[string]string
	prepare    func(*rig)                              // after the rows that all begin with
	work       func(context.Context, *dml.Table) error // may be repeated
	left       func(*testing.T, *rig) string           // what is to be the same afterwards, besides the rows; nil: nothing
	atomic     bool                                    // left, too, is as before or as after the operation, and not between
}

// TestFaults breaks every operation that writes to a table, at every access to the store, in every way of package inject, on a file store and
// on one that is not on this machine. Afterwards the table is whole, with its rows as they were before or after the operation, at
// every version; and when the operation is repeated, it has taken place once.
//
// Without LAKESTEP_LONG a sample is run. A failure is replayed by the name of its subtest, with LAKESTEP_LONG=1.
func TestFaults(t *testing.T) {
	for _, f := range faulties() {
		t.Run(f.name, func(t *testing.T) {
			base := newRig(t, f.partition, f.properties, "id", delta.Long, "part", delta.String, "x", delta.Double)
			for i := range 4 {
				base.append(fmt.Sprintf("SELECT i AS id, 'p' || (i %% 2) AS part, i / 2 AS x FROM range(%d, %d) r(i)", 10*i, 10*i+10))
			}
			if f.prepare != nil {
				f.prepare(base)
			}
			for _, kind := range []string{"file", "mem"} {
				t.Run(kind, func(t *testing.T) { f.breakAll(t, base, kind) })
			}
		})
	}
}

func (f faulty) breakAll(t *testing.T, base *rig, kind string) {
	in := inject.New(inject.Plan{})
	clean, inner := base.copied(t, kind)
	from := clean.snapshot()
	before := clean.digestAt(from)
	leftBefore := f.leftBy(t, clean)
	clean.use(in.Wrap(inner))
	must(t, f.work(t.Context(), clean.Table))
	clean.use(inner)
	want := outcome{before, clean.digest(), leftBefore, f.leftBy(t, clean)}
	plans := inject.Plans(in.Ops())
	t.Logf("%d operations, %d ways to break", len(in.Ops()), len(plans))
	if os.Getenv("LAKESTEP_LONG") == "" {
		random := rand.New(rand.NewPCG(1, uint64(len(f.name))))
		random.Shuffle(len(plans), func(i, j int) { plans[i], plans[j] = plans[j], plans[i] })
		plans = plans[:min(len(plans), 3)]
	}
	for _, p := range plans {
		t.Run(p.String(), func(t *testing.T) {
			f.breakOnce(t, base, kind, p, from.Version(), want)
		})
	}
}

// outcome is what a table may hold: rows before and after the operation, and what else is there after it.
type outcome struct{ before, after, leftBefore, left string }

func (f faulty) breakOnce(t *testing.T, base *rig, kind string, p inject.Plan, from int64, want outcome) {
	r, inner := base.copied(t, kind)
	in := inject.New(p)
	r.use(in.Wrap(inner))
	first := f.work(t.Context(), r.Table)
	crashed := p.How == inject.Crash || p.How == inject.CrashApplied || p.How == inject.Tear
	switch ops := in.Ops(); {
	case strings.Contains(in.Log(), "("+string(p.How)+")"):
	case len(ops) >= p.At && !p.How.Breaks(ops[p.At-1]):
		return // of operations at the same time another one was first
	default:
		t.Fatalf("the plan broke nothing:\n%s", in.Log())
	}
	r.use(inner)
	r.whole(t, from, want, first == nil)
	if got := f.leftBy(t, r); f.atomic && got != want.left && (got != want.leftBefore || first == nil) {
		t.Fatalf("left:\n%s\nwant:\n%s\nor:\n%s", got, want.leftBefore, want.left)
	}
	if !crashed { // the program is alive, and repeats what did not succeed
		r.use(in.Wrap(inner))
	}
	if err := f.work(t.Context(), r.Table); err != nil {
		t.Fatalf("repeated: %v\nat first: %v\n%s", err, first, in.Log())
	}
	r.use(inner)
	r.whole(t, from, want, true)
	if got := f.leftBy(t, r); got != want.left {
		t.Errorf("left:\n%s\nwant:\n%s", got, want.left)
	}
}

func (f faulty) leftBy(t *testing.T, r *rig) string {
	if f.left == nil {
		return ""
	}
	return f.left(t, r)
}

// whole checks that the table is not damaged, and that each of its versions since from has the rows from before or from after the operation,
// the first ones those from before, and the last one, when it is done, those from after.
func (r *rig) whole(t *testing.T, from int64, want outcome, done bool) {
	t.Helper()
	checked, err := maintenance.Check(t.Context(), r.Table, maintenance.CheckOptions{Deep: true})
	if err != nil || checked.Damaged() {
		t.Fatalf("damaged: %+v, %v", checked.Findings, err)
	}
	last := r.snapshot().Version()
	old := true
	for v := from; v <= last; v++ {
		s, err := r.Delta.Snapshot(t.Context(), delta.AsOf{Version: &v})
		if err != nil {
			t.Fatalf("version %d: %v", v, err)
		}
		got := r.digestAt(s)
		if got != want.after && (got != want.before || !old) {
			t.Fatalf("version %d of %d to %d has rows %s, want %s or then %s", v, from, last, got, want.before, want.after)
		}
		old = got == want.before
		if v == last && done && got != want.after {
			t.Fatalf("version %d, the last, has rows %s, want %s", v, got, want.after)
		}
	}
}

// digestAt is a number that two versions with the same rows share.
func (r *rig) digestAt(s *delta.Snapshot) string {
	r.t.Helper()
	relation, err := r.Session.Relation(r.t.Context(), engine.NewScan(r.Store, r.Delta, s, engine.Files(s.Files())))
	must(r.t, err)
	out, err := r.Session.Strings(r.t.Context(), "SELECT count(*), bit_xor(hash(t)), CAST(sum(hash(t)) AS VARCHAR) FROM "+relation+" t")
	must(r.t, err)
	return fmt.Sprint(out)
}

// copied gives a rig with a copy of the table, on a store of a kind.
func (r *rig) copied(t *testing.T, kind string) (*rig, store.Store) {
	t.Helper()
	c := *r
	clock := *r.clock
	table := *r.Table
	c.Table, c.t, c.clock, c.root = &table, t, &clock, t.TempDir()
	session, err := r.engine.Session(t.Context())
	must(t, err)
	t.Cleanup(func() { _ = session.Close() })
	table.Session = session
	table.Now = func() time.Time { return *c.clock }
	must(t, copyFolder(c.root, r.root))
	inner, err := file.New(c.root)
	must(t, err)
	if kind == "file" {
		c.use(inner)
		return &c, inner
	}
	memory := mem.New()
	for o, err := range inner.List(t.Context(), "", "") {
		must(t, err)
		memory.Now = func() time.Time { return o.ModTime }
		body, err := inner.Open(t.Context(), o.Key, store.Range{})
		must(t, err)
		must(t, errors.Join(memory.Put(t.Context(), o.Key, body, store.PutOptions{}), body.Close()))
	}
	memory.Now = c.Now
	c.use(memory)
	return &c, memory
}

// copyFolder copies files with their times.
func copyFolder(to, from string) error {
	return filepath.WalkDir(from, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, p)
		if err != nil || d.IsDir() {
			return errors.Join(err, os.MkdirAll(filepath.Join(to, rel), 0o755))
		}
		body, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		return errors.Join(os.WriteFile(filepath.Join(to, rel), body, 0o644), os.Chtimes(filepath.Join(to, rel), info.ModTime(), info.ModTime()))
	})
}

// once is how a program makes an operation take place once, whatever becomes of its answers: a transaction identifier says whether it did.
func once(op dml.Operation) func(context.Context, *dml.Table) error {
	return func(ctx context.Context, t *dml.Table) error {
		snap, err := t.Delta.Snapshot(ctx, delta.AsOf{})
		if err != nil {
			return err
		}
		if _, done := snap.Txn("once"); done {
			return nil
		}
		p, err := t.Plan(ctx, snap, op)
		if err != nil {
			return err
		}
		_, err = p.Txn().SetTxn("once", 1).Commit(ctx)
		return err
	}
}

// run is an operation that changes nothing when it is repeated.
func run(op dml.Operation) func(context.Context, *dml.Table) error {
	return func(ctx context.Context, t *dml.Table) error {
		_, err := t.Run(ctx, op)
		return err
	}
}
