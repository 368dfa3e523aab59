package delta_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/store"
	"github.com/lakestep/lakestep/shared/store/inject"
	"github.com/lakestep/lakestep/shared/store/mem"
)

// TestStageAndPublishBroken breaks staging and publishing at each store operation, and then repeats what did not
// answer: the commit must take place exactly once.
func TestStageAndPublishBroken(t *testing.T) {
	const attempt = 4242
	stage := func(t *testing.T, table *delta.Table) (delta.Staged, error) {
		s, err := table.Snapshot(t.Context(), delta.AsOf{})
		if err != nil {
			return delta.Staged{}, err
		}
		return s.Begin(write()).Add(file("a.parquet")).Remove(true, s.Files()...).SetTxn("app", attempt).Stage(t.Context(), attempt)
	}
	publish := func(t *testing.T, table *delta.Table, staged delta.Staged) (int64, error) {
		x, err := table.LoadStaged(t.Context(), staged)
		if err != nil {
			return 0, err
		}
		return x.Commit(t.Context())
	}
	prepare := func(t *testing.T) *mem.Store {
		lake := mem.New()
		table := newTable(t, lake, nil)
		_, err := latest(t, table).Begin(write()).Add(file("old.parquet")).Commit(t.Context())
		must(t, err)
		return lake
	}
	open := func(s store.Store) *delta.Table { return delta.Open(s, "silver/orders", delta.Options{Engine: "test"}) }
	work := func(t *testing.T, s store.Store) error {
		staged, err := stage(t, open(s))
		if err != nil {
			return err
		}
		_, err = publish(t, open(s), staged)
		return err
	}
	for _, other := range []bool{false, true} {
		count := inject.New(inject.Plan{})
		must(t, work(t, count.Wrap(prepare(t))))
		for _, plan := range inject.Plans(count.Ops()) {
			t.Run(fmt.Sprintf("%v other %v", plan, other), func(t *testing.T) {
				lake := prepare(t)
				broken := open(inject.New(plan).Wrap(lake))
				staged, err := stage(t, broken)
				if err != nil {
					return // nothing was promised; the step stages another attempt
				}
				if other { // a commit elsewhere comes in between; the staged one reads all, so only of a txn
					_, err := latest(t, open(lake)).Begin(write()).ReadNothing().SetTxn("other", 1).Commit(t.Context())
					must(t, err)
				}
				retryable := plan.How == inject.Fail || plan.How == inject.TimeOut || plan.How == inject.Cut
				if _, err := publish(t, broken, staged); err != nil && retryable && !fault.KindOf(err).Retryable() {
					t.Errorf("publish: %v (%s)", err, fault.KindOf(err))
				}
				first, err := publish(t, open(lake), staged)
				if plan.How == inject.Stale && fault.KindOf(err) == fault.Stale {
					return // staged on an older version than there was; the step is done again
				}
				must(t, err)
				again, err := publish(t, open(lake), staged)
				must(t, err)
				want := int64(2)
				if other {
					want = 3
				}
				s := latest(t, open(lake))
				if first != want || again != want || s.Version() != want || paths(s) != "a.parquet" {
					t.Errorf("versions %d, %d; latest %d: %s", first, again, s.Version(), paths(s))
				}
			})
		}
	}
}

// TestCheckpointBroken breaks the checkpoint writer at each store operation. The table must read the same before and after,
// by hint and by listing, and a repeated checkpoint must succeed.
func TestCheckpointBroken(t *testing.T) {
	prepare := func(t *testing.T) *mem.Store {
		lake := mem.New()
		table := newTable(t, lake, map[string]string{"delta.checkpointInterval": "3"})
		for i := range 5 {
			s := latest(t, table)
			_, err := s.Begin(write()).Add(file(fmt.Sprintf("f%d", i))).SetTxn("app", int64(i)).Commit(t.Context())
			must(t, err)
		}
		return lake
	}
	open := func(s store.Store) *delta.Table { return delta.Open(s, "silver/orders", testOptions()) }
	count := inject.New(inject.Plan{})
	must(t, open(count.Wrap(prepare(t))).Checkpoint(t.Context(), 5))
	if len(count.Ops()) < 8 {
		t.Fatalf("only these operations:\n%s", count.Log())
	}
	for _, plan := range inject.Plans(count.Ops()) {
		t.Run(plan.String(), func(t *testing.T) {
			lake := prepare(t)
			before := latest(t, open(lake))
			_ = open(inject.New(plan).Wrap(lake)).Checkpoint(t.Context(), 5)
			sameState(t, before, latest(t, open(lake)))
			must(t, open(lake).Checkpoint(t.Context(), 5))
			sameState(t, before, latest(t, open(lake)))
		})
	}
}

// sameState compares what two snapshots of one version hold.
func sameState(t testing.TB, want, got *delta.Snapshot) {
	t.Helper()
	for _, pair := range [][2]any{
		{want.Version(), got.Version()}, {noChange(want.Files()), noChange(got.Files())}, {want.Txns(), got.Txns()},
		{want.Metadata(), got.Metadata()}, {want.Protocol(), got.Protocol()}, {want.Domains(), got.Domains()},
	} {
		if d := cmp.Diff(pair[0], pair[1]); d != "" {
			t.Errorf("-want +got\n%s", d)
		}
	}
}

// TestCheckpointOverDamaged replaces a broken checkpoint and never moves the hint back.
func TestCheckpointOverDamaged(t *testing.T) {
	lake := mem.New()
	table := newTable(t, lake, nil)
	for i := range 4 {
		_, err := latest(t, table).Begin(write()).Add(file(fmt.Sprintf("f%d", i))).Commit(t.Context())
		must(t, err)
	}
	key := "silver/orders/_delta_log/00000000000000000004.checkpoint.parquet"
	for _, damage := range []string{"", "PAR1", "PAR1 garbage PAR1"} {
		putText(t, lake, key, damage)
		want := latest(t, table)
		must(t, table.Checkpoint(t.Context(), 4))
		sameState(t, want, latest(t, table))
		if o, err := lake.Stat(t.Context(), key); err != nil || o.Size < 1000 {
			t.Errorf("%+v %v", o, err)
		}
	}
	must(t, table.Checkpoint(t.Context(), 2))
	if got := text(t, lake, "silver/orders/_delta_log/_last_checkpoint"); got[:12] != `{"version":4` {
		t.Errorf("hint moved back: %s", got)
	}
}

// cutStore breaks every transfer of an object of the log in the middle.
type cutStore struct {
	store.Store
	suffix string // of the objects
}

func (c cutStore) Open(ctx context.Context, key string, r store.Range) (io.ReadCloser, error) {
	body, err := c.Store.Open(ctx, key, r)
	if err != nil || !strings.HasSuffix(key, c.suffix) {
		return body, err
	}
	lost := fault.New(fault.Unavailable, "read", key, "connection lost")
	return io.NopCloser(io.MultiReader(io.LimitReader(body, 100), iotest.ErrReader(lost))), nil
}

// TestCutTransfer: a lost connection is no damaged log, and no reason to pass over a checkpoint.
func TestCutTransfer(t *testing.T) {
	for interval, suffix := range map[string]string{"1": ".checkpoint.parquet", "100": "0.json"} {
		lake := mem.New()
		table := newTable(t, lake, map[string]string{"delta.checkpointInterval": interval})
		_, err := latest(t, table).Begin(write()).Add(file("a")).Commit(t.Context())
		must(t, err)
		_, err = delta.Open(cutStore{lake, suffix}, "silver/orders", delta.Options{}).Snapshot(t.Context(), delta.AsOf{})
		if fault.KindOf(err) != fault.Unavailable {
			t.Errorf("checkpoint interval %s: %v (%s)", interval, err, fault.KindOf(err))
		}
	}
}

// lossy loses the answers of writes to the log, which take effect or not, and lets something happen in between.
type lossy struct {
	store.Store
	losses  int  // answers still to lose
	applied bool // whether those writes take effect
	between func()
}

func (l *lossy) Put(ctx context.Context, key string, body io.Reader, o store.PutOptions) error {
	if !o.IfAbsent || l.losses == 0 {
		return l.Store.Put(ctx, key, body, o)
	}
	l.losses--
	if l.applied {
		_ = l.Store.Put(ctx, key, body, o) // perhaps it was there by then, too
	}
	if l.between != nil {
		l.between()
		l.between = nil
	}
	return fault.New(fault.Unavailable, "write", key, "no answer")
}

// TestAmbiguousCommit: a commit whose answer was lost is read back by its txnId, also behind commits of others, and repeated
// only when it is not there.
func TestAmbiguousCommit(t *testing.T) {
	for _, c := range []struct {
		losses  int
		applied bool
		rival   bool // another writer commits right after the lost answer
		version int64
	}{
		{1, true, false, 1}, {1, true, true, 1}, {1, false, false, 1}, {1, false, true, 2},
		{9, true, false, 1}, {9, true, true, 1}, // the first call fails, the second finds out
		{3, false, true, 2},
	} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) {
			lake := mem.New()
			newTable(t, lake, nil)
			open := func(s store.Store) *delta.Table { return delta.Open(s, "silver/orders", delta.Options{}) }
			bad := &lossy{Store: lake, losses: c.losses, applied: c.applied}
			if c.rival {
				bad.between = func() {
					_, err := latest(t, open(lake)).Begin(write()).ReadNothing().Add(file("theirs")).Commit(t.Context())
					must(t, err)
				}
			}
			x := latest(t, open(bad)).Begin(write()).ReadNothing().Add(file("ours"))
			v, err := x.Commit(t.Context())
			if err != nil {
				if !fault.KindOf(err).Retryable() || fault.HintOf(err) == "" {
					t.Fatal(err)
				}
				bad.losses = 0
				v, err = x.Commit(t.Context())
				must(t, err)
			}
			again, err := x.Commit(t.Context())
			must(t, err)
			s := latest(t, open(lake))
			want := "ours"
			if c.rival {
				want = "ours theirs"
			}
			if v != c.version || again != v || paths(s) != want {
				t.Errorf("version %d, again %d, want %d; %s", v, again, c.version, paths(s))
			}
		})
	}
}
