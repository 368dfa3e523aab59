package lake_test

import (
	"strings"
	"testing"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/engine"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/lake"
	"github.com/lakestep/lakestep/shared/lake/laketest"
)

const raw = "bronze.raw"

// load appends rows to the raw table as a decision, in one file.
func load(t *testing.T, lab *laketest.Lab, rows ...string) {
	t.Helper()
	lines := make([]laketest.Row, len(rows))
	for i, r := range rows {
		lines[i] = laketest.Row{r}
	}
	lab.Append(t, raw, []string{"a"}, lines...)
}

// rewrite replaces files of the raw table by one with the given rows.
func rewrite(t *testing.T, lab *laketest.Lab, op delta.Operation, dataChange bool, files []delta.Add, rows ...string) {
	t.Helper()
	snap := lab.At(t, raw, -1)
	adds := write(t, lab, lab.Lake.Delta(raw), lab.Lake.NewAttempt(), rows...)
	for i := range adds {
		adds[i].DataChange = dataChange
	}
	if _, err := snap.Begin(op).Remove(dataChange, files...).Add(adds...).Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func gained(t *testing.T, lab *laketest.Lab, seen lake.Input) ([]string, error) {
	t.Helper()
	table := lab.Open(t, raw)
	g, err := table.Since(t.Context(), &seen)
	if err != nil {
		return nil, err
	}
	return lab.Scan(t, table.Scan(table.Snap, g.Rows)), nil
}

// An erasure is not new data and no foreign removal; rows that it took before they were read are not read.
func TestErasure(t *testing.T) {
	erase := delta.Operation{Name: "DELETE", Erasure: "request 7"}
	compact := delta.Operation{Name: "OPTIMIZE"}
	file := func(lab *laketest.Lab, holds string) delta.Add {
		for _, a := range lab.At(t, raw, -1).Files() {
			table := &lake.Table{Name: raw, Delta: lab.Lake.Delta(raw), Snap: lab.At(t, raw, -1)}
			sc := engine.Scan{Store: lab.Lake.Store, Table: table.Delta, Schema: table.Snap.Schema(), Files: engine.Files([]delta.Add{a})}
			for _, r := range lab.Scan(t, sc) {
				if r == holds {
					return a
				}
			}
		}
		t.Fatalf("no file holds %s", holds)
		return delta.Add{}
	}
	for _, tt := range []struct {
		name string
		does func(t *testing.T, lab *laketest.Lab) // after "read 1", "read 2" were read
		want string                                // rows gained, or "!" and part of the error
	}{
		{"of rows that were read", func(t *testing.T, lab *laketest.Lab) {
			rewrite(t, lab, erase, true, []delta.Add{file(lab, "read 1")}, "read 2")
		}, ""},
		{"of rows that were read, beside new ones", func(t *testing.T, lab *laketest.Lab) {
			load(t, lab, "new")
			rewrite(t, lab, erase, true, []delta.Add{file(lab, "read 1")}, "read 2")
			load(t, lab, "newer")
		}, "new newer"},
		{"of all rows of a file", func(t *testing.T, lab *laketest.Lab) {
			load(t, lab, "new")
			f := file(lab, "new")
			if _, err := lab.At(t, raw, -1).Begin(erase).Remove(true, f).Commit(t.Context()); err != nil {
				t.Fatal(err)
			}
		}, ""},
		{"of new rows", func(t *testing.T, lab *laketest.Lab) {
			load(t, lab, "new 1", "new 2")
			rewrite(t, lab, erase, true, []delta.Add{file(lab, "new 1")}, "new 2")
		}, "new 2"},
		{"of new rows and old ones, by name", func(t *testing.T, lab *laketest.Lab) {
			load(t, lab, "new 1", "new 2")
			f, old := file(lab, "new 1"), file(lab, "read 1")
			snap := lab.At(t, raw, -1)
			a, b := write(t, lab, lab.Lake.Delta(raw), 900, "new 2")[0], write(t, lab, lab.Lake.Delta(raw), 901, "read 2")[0]
			a.Tags, b.Tags = map[string]string{"lakestep.replaces": f.Path}, map[string]string{"lakestep.replaces": old.Path}
			if _, err := snap.Begin(erase).Remove(true, f, old).Add(a, b).Commit(t.Context()); err != nil {
				t.Fatal(err)
			}
		}, "new 2"},
		{"of new rows and old ones, without names", func(t *testing.T, lab *laketest.Lab) {
			load(t, lab, "new 1", "new 2")
			rewrite(t, lab, erase, true, []delta.Add{file(lab, "new 1"), file(lab, "read 1")}, "new 2", "read 2")
		}, "!does not say which"},
		{"of new rows that were compacted before", func(t *testing.T, lab *laketest.Lab) {
			load(t, lab, "new 1", "new 2")
			rewrite(t, lab, compact, false, []delta.Add{file(lab, "new 1"), file(lab, "read 1")}, "new 1", "new 2", "read 1", "read 2")
			rewrite(t, lab, erase, true, []delta.Add{file(lab, "new 1")}, "new 2", "read 1", "read 2")
		}, "!rewritten in between"},
		{"of old rows, and then a compaction of new ones", func(t *testing.T, lab *laketest.Lab) {
			load(t, lab, "new")
			rewrite(t, lab, erase, true, []delta.Add{file(lab, "read 1")}, "read 2")
			rewrite(t, lab, compact, false, []delta.Add{file(lab, "new"), file(lab, "read 2")}, "new", "read 2")
		}, "new"},
		{"a delete that is none", func(t *testing.T, lab *laketest.Lab) {
			snap := lab.At(t, raw, -1)
			if _, err := snap.Begin(delta.Operation{Name: "DELETE"}).Remove(true, snap.Files()...).SetTxn(lake.AppID(raw), lab.Open(t, raw).Decision.Attempt).Commit(t.Context()); err != nil {
				t.Fatal(err)
			}
		}, "!removed rows"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			lab := laketest.New(t, openFile)
			load(t, lab, "read 1", "read 2")
			table := lab.Open(t, raw)
			seen := lake.Input{Version: table.Snap.Version(), TableID: table.Snap.Metadata().ID}
			tt.does(t, lab)
			rows, err := gained(t, lab, seen)
			if want, fails := strings.CutPrefix(tt.want, "!"); fails {
				if fault.KindOf(err) != fault.SourceLost || !strings.Contains(err.Error(), want) {
					t.Errorf("got %q, %v", rows, err)
				}
			} else if got := strings.Join(rows, " "); err != nil || got != tt.want {
				t.Errorf("gained %q, %v; want %q", got, err, tt.want)
			}
		})
	}
}
