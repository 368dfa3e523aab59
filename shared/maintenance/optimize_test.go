package maintenance_test

import (
	"fmt"
	"testing"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/maintenance"
)

func optimize(t *testing.T, r *rig, o maintenance.OptimizeOptions) maintenance.Optimized {
	t.Helper()
	out, err := maintenance.Optimize(t.Context(), r.Table, o)
	must(t, err)
	return out
}

func ptr[T any](v T) *T { return &v }

func TestOptimizePacksSmallFilesOfEachPartition(t *testing.T) {
	r := newRig(t, []string{"p"}, nil, "id", delta.Long, "p", delta.String)
	for i := range 5 {
		r.appendTo(map[string]*string{"p": ptr("a/b %")}, fmt.Sprintf("SELECT %d AS id", i))
		r.appendTo(map[string]*string{"p": nil}, fmt.Sprintf("SELECT %d AS id", 100+i))
	}
	r.appendTo(map[string]*string{"p": ptr("alone")}, "SELECT 7 AS id")
	r.appendTo(map[string]*string{"p": ptr("large")}, "SELECT random() * 1e18 AS id FROM range(20000)")
	r.appendTo(map[string]*string{"p": ptr("large")}, "SELECT random() * 1e18 AS id FROM range(20000)")
	before := r.digest()
	o := maintenance.OptimizeOptions{TargetBytes: 100_000}

	o.DryRun = true
	would := optimize(t, r, o)
	if would.FilesRemoved != 10 || would.Batches != 1 || r.snapshot().NumFiles() != 13 {
		t.Errorf("would do %+v", would)
	}
	o.DryRun = false
	out := optimize(t, r, o)
	if out.FilesRemoved != 10 || out.FilesAdded != 2 || out.Rows != 10 || out.Batches != 1 || out.More {
		t.Errorf("did %+v", out)
	}
	snap := r.snapshot()
	if r.digest() != before || snap.NumFiles() != 5 || snap.Version() != out.Version {
		t.Errorf("%s, then %s in %d files", before, r.digest(), snap.NumFiles())
	}
	for c, err := range r.Delta.Changes(t.Context(), out.Version-1, out.Version) {
		must(t, err)
		for _, a := range c.Adds {
			if a.DataChange {
				t.Error("an add changes data")
			}
		}
		for _, a := range c.Removes {
			if a.DataChange {
				t.Error("a remove changes data")
			}
		}
	}
	if again := optimize(t, r, o); again.Batches != 0 || again.Version != out.Version {
		t.Errorf("again: %+v", again)
	}
}

// A call that may make one commit says whether there is more to do; the next one goes on.
func TestOptimizeInBatches(t *testing.T) {
	r := newRig(t, nil, nil, "id", delta.Long)
	for i := range 12 {
		r.append(fmt.Sprintf("SELECT random() * 1e18 AS id FROM range(%d)", 1000+i))
	}
	before := r.digest()
	size := r.snapshot().Size()
	o := maintenance.OptimizeOptions{TargetBytes: size / 4, BatchBytes: size / 3, MaxBatches: 1}
	calls := 0
	for more := true; more; calls++ {
		out := optimize(t, r, o)
		more = out.More
		if out.Batches > 1 {
			t.Fatalf("%+v", out)
		}
	}
	if n := r.snapshot().NumFiles(); calls < 3 || n > 6 || r.digest() != before {
		t.Errorf("%d calls, %d files", calls, n)
	}
}

// The tags that all files of a bin have are those of the new one.
func TestOptimizeKeepsTags(t *testing.T) {
	r := newRig(t, nil, nil, "id", delta.Long)
	for i := range 2 {
		snap := r.snapshot()
		adds, err := r.Session.Write(t.Context(), targetOf(r), fmt.Sprintf("SELECT %d AS id", i))
		must(t, err)
		adds[0].Tags = map[string]string{"same": "x", "other": fmt.Sprint(i), fmt.Sprint("only", i): "y"}
		_, err = snap.Begin(delta.Operation{Name: "WRITE"}).Add(adds...).Commit(t.Context())
		must(t, err)
	}
	optimize(t, r, maintenance.OptimizeOptions{})
	if got := fmt.Sprint(r.snapshot().Files()[0].Tags); got != "map[same:x]" {
		t.Error(got)
	}
}

// An append disturbs nobody; when a file that is being rewritten is deleted meanwhile, the batch is planned anew.
func TestOptimizeBesideOtherWriters(t *testing.T) {
	r := newRig(t, nil, nil, "id", delta.Long)
	for i := range 4 {
		r.append(fmt.Sprintf("SELECT %d AS id", i))
	}
	base := r.snapshot()
	step := 0
	out, err := maintenance.Optimize(t.Context(), during(r, func() {
		if step++; step > 1 {
			return
		}
		r.append("SELECT 10 AS id")
		_, err := base.Begin(delta.Operation{Name: "DELETE"}).ReadFiles(base.Files()[0]).Remove(true, base.Files()[0]).Commit(t.Context())
		must(t, err)
	}), maintenance.OptimizeOptions{})
	must(t, err)
	if got := r.rows("SELECT count(*) FROM t"); got != "[[4]]" || out.Skipped != 1 || r.snapshot().NumFiles() != 1 {
		t.Errorf("%s rows, %+v, %d files", got, out, r.snapshot().NumFiles())
	}
}
