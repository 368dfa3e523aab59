package delta_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/store/mem"
	"pgregory.net/rapid"
)

// intent is a transaction of the model: what it depends on and does, in plain terms.
type intent struct {
	txn     *delta.Txn
	read    int64 // version
	mode    string
	files   []string // read, when the mode is "files"
	adds    []string
	removes []string
	change  bool // dataChange
	app     string
	version int64 // where it committed
}

// TestConcurrentWriters interleaves transactions at random and checks the history against a model of what Serializable
// isolation allows.
func TestConcurrentWriters(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		table := newTable(t, mem.New(), map[string]string{"delta.checkpointInterval": "4"})
		var open []*intent
		var done []*intent
		files := 0
		steps := rapid.IntRange(4, 30).Draw(rt, "steps")
		for range steps {
			if len(open) < 4 && (len(open) == 0 || rapid.Bool().Draw(rt, "begin")) {
				open = append(open, drawIntent(rt, t, table, &files))
				continue
			}
			i := rapid.IntRange(0, len(open)-1).Draw(rt, "commit")
			x := open[i]
			open = slices.Delete(open, i, i+1)
			v, err := x.txn.Commit(t.Context())
			reason := mustConflict(x, done)
			var conflict *delta.ConflictError
			switch {
			case err == nil && reason != "":
				rt.Fatalf("committed version %d although %s", v, reason)
			case err == nil:
				x.version = v
				done = append(done, x)
				if v != int64(len(done)) {
					rt.Fatalf("version %d after %d commits", v, len(done)-1)
				}
			case !errors.As(err, &conflict):
				rt.Fatal(err)
			case reason == "":
				rt.Fatalf("conflict without a reason: %v", err)
			}
		}
		checkHistory(rt, t, table, done)
	})
}

func drawIntent(rt *rapid.T, t *testing.T, table *delta.Table, files *int) *intent {
	s := latest(t, table)
	x := &intent{read: s.Version(), txn: s.Begin(write()), change: rapid.Bool().Draw(rt, "change")}
	live := s.Files()
	var removed []delta.Add
	if len(live) > 0 {
		n := rapid.IntRange(0, min(2, len(live))).Draw(rt, "removes")
		start := rapid.IntRange(0, len(live)-n).Draw(rt, "from")
		removed = live[start : start+n]
	}
	x.mode = rapid.SampledFrom([]string{"all", "files", "nothing"}).Draw(rt, "mode")
	switch x.mode {
	case "files":
		x.txn.ReadFiles(removed...)
		for _, f := range removed {
			x.files = append(x.files, f.Path)
		}
	case "nothing":
		x.txn.ReadNothing()
	}
	for _, f := range removed {
		x.removes = append(x.removes, f.Path)
	}
	x.txn.Remove(x.change, removed...)
	for range rapid.IntRange(0, 2).Draw(rt, "adds") {
		*files++
		a := file(fmt.Sprintf("f%04d", *files))
		a.DataChange = x.change
		x.adds = append(x.adds, a.Path)
		x.txn.Add(a)
	}
	if x.app = rapid.SampledFrom([]string{"", "p", "q"}).Draw(rt, "app"); x.app != "" {
		x.txn.SetTxn(x.app, s.Version())
	}
	return x
}

// mustConflict gives the reason why x may not follow what was committed since it read, "" when there is none.
func mustConflict(x *intent, done []*intent) string {
	for _, w := range done {
		if w.version <= x.read {
			continue
		}
		overlap := func(a, b []string) bool {
			return slices.ContainsFunc(a, func(s string) bool { return slices.Contains(b, s) })
		}
		switch {
		case x.app != "" && x.app == w.app:
			return "both write " + x.app
		case x.mode == "all" && w.change && len(w.adds)+len(w.removes) > 0:
			return "it read all and rows changed"
		case x.mode == "files" && w.change && overlap(x.files, w.removes):
			return "a file that it read lost rows"
		case overlap(x.removes, w.removes):
			return "both remove a file"
		}
	}
	return ""
}

// checkHistory compares the table with the model, version by version.
func checkHistory(rt *rapid.T, t *testing.T, table *delta.Table, done []*intent) {
	want := map[string]bool{}
	for i, x := range done {
		for _, f := range x.removes {
			if !want[f] {
				rt.Fatalf("version %d removed %s, which was not live", x.version, f)
			}
			delete(want, f)
		}
		for _, f := range x.adds {
			want[f] = true
		}
		v := int64(i + 1)
		s, err := table.Snapshot(t.Context(), delta.AsOf{Version: &v})
		must(t, err)
		if got := strings.Join(slices.Sorted(maps.Keys(want)), " "); got != paths(s) {
			rt.Fatalf("version %d holds %s, want %s", v, paths(s), got)
		}
	}
}

// TestCheckpointIsReplay compares, at every version of random histories, reading through checkpoints with reading
// the commits alone.
func TestCheckpointIsReplay(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		lake := mem.New()
		table := newTable(t, lake, map[string]string{"delta.checkpointInterval": fmt.Sprint(rapid.IntRange(1, 4).Draw(rt, "interval"))})
		files := 0
		n := rapid.IntRange(1, 12).Draw(rt, "commits")
		for range n {
			if rapid.IntRange(0, 5).Draw(rt, "kind") == 0 {
				m := latest(t, table).Metadata()
				m.Description = rapid.String().Draw(rt, "description")
				_, err := latest(t, table).Begin(write()).SetMetadata(m).Commit(t.Context())
				must(t, err)
				continue
			}
			_, err := drawIntent(rt, t, table, &files).txn.Commit(t.Context())
			must(t, err)
		}
		plain := mem.New()
		for o, err := range lake.List(t.Context(), "", "") {
			must(t, err)
			if strings.HasSuffix(o.Key, ".json") {
				putText(t, plain, o.Key, text(t, lake, o.Key))
			}
		}
		replayed := delta.Open(plain, "silver/orders", testOptions())
		for v := range int64(n + 1) {
			want, err := replayed.Snapshot(t.Context(), delta.AsOf{Version: &v})
			must(t, err)
			got, err := table.Snapshot(t.Context(), delta.AsOf{Version: &v})
			must(t, err)
			sameState(t, want, got)
		}
	})
}

// TestNoLostUpdate counts with real concurrency: each writer reads a number and commits the next.
func TestNoLostUpdate(t *testing.T) {
	const writers, rounds = 6, 15
	lake := mem.New()
	newTable(t, lake, nil)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			table := delta.Open(lake, "silver/orders", delta.Options{})
			for n := 0; n < rounds; {
				err := countUp(t.Context(), table, fmt.Sprintf("w%d-%d", w, n))
				var conflict *delta.ConflictError
				switch {
				case err == nil:
					n++
				case !errors.As(err, &conflict) || conflict.Kind != delta.ConcurrentTransaction:
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	s := latest(t, delta.Open(lake, "silver/orders", delta.Options{}))
	if v, _ := s.Txn("counter"); v != writers*rounds || s.NumFiles() != writers*rounds || s.Version() != writers*rounds {
		t.Errorf("counter %d, %d files, version %d", v, s.NumFiles(), s.Version())
	}
}

func countUp(ctx context.Context, table *delta.Table, name string) error {
	s, err := table.Snapshot(ctx, delta.AsOf{})
	if err != nil {
		return err
	}
	n, _ := s.Txn("counter")
	_, err = s.Begin(write()).ReadNothing().Add(file(name)).SetTxn("counter", n+1).Commit(ctx)
	return err
}
