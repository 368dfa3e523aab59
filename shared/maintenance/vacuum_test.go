package maintenance_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/dml"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/maintenance"
	"github.com/lakestep/lakestep/shared/store"
)

const day = 24 * time.Hour

func (r *rig) overwrite(query string) {
	r.t.Helper()
	_, err := r.Run(r.t.Context(), dml.Overwrite{Rows: "SELECT * REPLACE (CAST(id AS BIGINT) AS id) FROM (" + query + ")"})
	must(r.t, err)
}

// put writes a file under the table, as old as said.
func (r *rig) put(rel string, age time.Duration) {
	r.t.Helper()
	path := filepath.Join(r.root, "t", rel)
	must(r.t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(r.t, os.WriteFile(path, []byte("x"), 0o644))
	r.age(rel, age)
}

func (r *rig) age(rel string, age time.Duration) {
	r.t.Helper()
	at := r.clock.Add(-age)
	must(r.t, os.Chtimes(filepath.Join(r.root, "t", rel), at, at))
}

// files are the paths under the table, without the log.
func (r *rig) files() (out []string) {
	r.t.Helper()
	for o, err := range r.Store.List(r.t.Context(), "t/", "") {
		must(r.t, err)
		if rel := strings.TrimPrefix(o.Key, "t/"); !strings.HasPrefix(rel, "_delta_log/") {
			out = append(out, rel)
		}
	}
	return out
}

func vacuum(t *testing.T, r *rig, o maintenance.VacuumOptions) maintenance.Vacuumed {
	t.Helper()
	out, err := maintenance.Vacuum(t.Context(), r.Table, o)
	must(t, err)
	return out
}

func paths(files []maintenance.Garbage) (out []string) {
	for _, f := range files {
		out = append(out, f.Path)
	}
	return out
}

func TestVacuumKeepsWhatReadersNeed(t *testing.T) {
	r := newRig(t, nil, nil, "id", delta.Long)
	r.append("SELECT 1 AS id")
	first := r.files()
	r.overwrite("SELECT 2 AS id")
	r.put("young.parquet", 6*day)
	r.put("orphan.parquet", 8*day)
	if got := vacuum(t, r, maintenance.VacuumOptions{DryRun: true}); !slices.Equal(paths(got.Files), []string{"orphan.parquet"}) || got.Bytes != 1 || got.Version != 2 {
		t.Errorf("would delete %+v", got)
	}
	if len(r.files()) != 4 {
		t.Errorf("a dry run deleted: %v", r.files())
	}
	for range 2 {
		vacuum(t, r, maintenance.VacuumOptions{})
		if got := r.files(); len(got) != 3 || slices.Contains(got, "orphan.parquet") {
			t.Errorf("left %v", got)
		}
	}
	r.age(first[0], 100*day) // old by itself, but it left the table only now
	if got := vacuum(t, r, maintenance.VacuumOptions{}); len(got.Files) != 0 {
		t.Errorf("deleted %v", got.Files)
	}
	*r.clock = r.clock.Add(8 * day)
	got := vacuum(t, r, maintenance.VacuumOptions{DryRun: true})
	if want := append(first, "young.parquet"); !slices.Equal(paths(got.Files), want) {
		t.Errorf("a week later: %v, want %v", paths(got.Files), want)
	}
	if got := vacuum(t, r, maintenance.VacuumOptions{KeepFrom: ptr(int64(0))}); !slices.Equal(paths(got.Files), []string{"young.parquet"}) || got.Consumers != 1 {
		t.Errorf("with a consumer that read version 0: %+v", got)
	}
	if got := vacuum(t, r, maintenance.VacuumOptions{KeepFrom: ptr(int64(2))}); !slices.Equal(paths(got.Files), first) {
		t.Errorf("with a consumer that read all: %+v", got)
	}
	if got := r.rows("SELECT id FROM t"); got != "[[2]]" {
		t.Error(got)
	}
}

// The names of things decide what a vacuum may touch.
func TestVacuumKnowsNames(t *testing.T) {
	r := newRig(t, []string{"_p"}, nil, "id", delta.Long, "_p", delta.String)
	r.appendTo(map[string]*string{"_p": ptr("x")}, "SELECT 1 AS id")
	live := r.snapshot().Files()[0]
	odd := "_p=a%2Fb/ä b%20c.parquet" // as it lies there; the log says %252F, %20, %2520
	must(t, os.MkdirAll(filepath.Join(r.root, "t/_p=a%2Fb"), 0o755))
	must(t, os.Rename(filepath.Join(r.root, "t", live.Path), filepath.Join(r.root, "t", odd)))
	moved := live
	moved.Path = strings.ReplaceAll(delta.EncodePath(odd), "%2F", "%2f")
	_, err := r.snapshot().Begin(delta.Operation{Name: "MOVE"}).Remove(false, live).Add(moved).Commit(t.Context())
	must(t, err)
	r.age(odd, 30*day)
	kept := []string{odd, "_lakestep/cursors/1.json", "_lakestep/verdicts/1.json", "_other/x.parquet", ".x/y.parquet", "a/_tmp/x.parquet", "a/.x.crc", "_p", "_change_data/_tmp"}
	gone := []string{"_p=1/x.parquet", "a/b/c.parquet", "deletion_vector_00000000-0000-0000-0000-000000000000.bin", "_change_data/cdc.parquet", "_lakestep/staged/7.json"}
	for _, rel := range append(kept[1:], gone...) {
		r.put(rel, 30*day)
	}
	r.put("_delta_log/_staged_commits/x.json", 30*day)
	r.put("_lakestep/staged/8.json", 3*day)
	kept = append(kept, "_lakestep/staged/8.json")
	out := vacuum(t, r, maintenance.VacuumOptions{})
	slices.Sort(gone)
	slices.Sort(kept)
	if got := r.files(); !slices.Equal(got, kept) || !slices.Equal(paths(out.Files), gone) {
		t.Errorf("deleted\n%q, want\n%q;\nkept\n%q, want\n%q", paths(out.Files), gone, got, kept)
	}
	if got := r.rows("SELECT id, _p FROM t"); got != "[[1 x]]" {
		t.Error(got)
	}
}

// What a killed writer left in the store's own temporary files goes after a day, from the log, too; a vacuum that only lists leaves it.
func TestVacuumSweepsTheStore(t *testing.T) {
	r := newRig(t, nil, nil, "id", delta.Long)
	old, young := []string{store.TempPrefix + "1-1", "_delta_log/" + store.TempPrefix + "1-2"}, store.TempPrefix+"1-3"
	for _, rel := range old {
		r.put(rel, day+time.Minute)
	}
	r.put(young, day-time.Minute)
	there := func(rel string) bool {
		_, err := os.Stat(filepath.Join(r.root, "t", rel))
		return err == nil
	}
	if out := vacuum(t, r, maintenance.VacuumOptions{DryRun: true}); out.Leftovers != 0 || !there(old[0]) {
		t.Errorf("a dry run: %+v", out)
	}
	if out := vacuum(t, r, maintenance.VacuumOptions{}); out.Leftovers != 2 || len(out.Files) != 0 || there(old[0]) || there(old[1]) || !there(young) {
		t.Errorf("%+v; left %v %v %v", out, there(old[0]), there(old[1]), there(young))
	}
}

// A longer retention than the table's finds tombstones that the checkpoints have dropped.
func TestVacuumLongerThanTheTable(t *testing.T) {
	r := newRig(t, nil, map[string]string{"delta.checkpointInterval": "1"}, "id", delta.Long)
	r.append("SELECT 1 AS id")
	r.overwrite("SELECT 2 AS id")
	for _, f := range r.files() {
		r.age(f, 90*day)
	}
	*r.clock = r.clock.Add(20 * day)
	r.append("SELECT 3 AS id") // a checkpoint without the tombstone
	must(t, r.Delta.Checkpoint(t.Context(), r.snapshot().Version()))
	if n := len(r.snapshot().Removed()); n != 0 {
		t.Fatalf("%d tombstones", n)
	}
	if got := vacuum(t, r, maintenance.VacuumOptions{Retention: ptr(30 * day)}); len(got.Files) != 0 {
		t.Errorf("deleted %v", got.Files)
	}
	if got := vacuum(t, r, maintenance.VacuumOptions{Retention: ptr(10 * day)}); len(got.Files) != 1 {
		t.Errorf("deleted %v", got.Files)
	}
}

func TestVacuumGuardsTheRetention(t *testing.T) {
	r := newRig(t, nil, map[string]string{"delta.deletedFileRetentionDuration": "interval 1 hour"}, "id", delta.Long)
	r.put("x.parquet", 2*day)
	if got := vacuum(t, r, maintenance.VacuumOptions{}); len(got.Files) != 0 {
		t.Errorf("deleted %v", got.Files)
	}
	_, err := maintenance.Vacuum(t.Context(), r.Table, maintenance.VacuumOptions{Retention: ptr(time.Hour)})
	if fault.KindOf(err) != fault.InvalidInput || fault.HintOf(err) == "" {
		t.Errorf("got %v", err)
	}
	if got := vacuum(t, r, maintenance.VacuumOptions{Retention: ptr(time.Hour), Short: true}); len(got.Files) != 1 {
		t.Errorf("deleted %v", got.Files)
	}
}

// What somebody brought back while the vacuum listed, or just before it deletes, is not deleted.
func TestVacuumSeesARestore(t *testing.T) {
	for _, when := range []string{"list", "sweep"} {
		t.Run(when, func(t *testing.T) {
			r := newRig(t, nil, nil, "id", delta.Long)
			r.append("SELECT 1 AS id")
			before := r.snapshot()
			r.overwrite("SELECT 2 AS id")
			*r.clock = r.clock.Add(30 * day)
			at := 0
			r.use(listed{r.Store, func(what string) {
				if what != when {
					return
				}
				if at++; at == 1 {
					_, err := r.snapshot().Begin(delta.Operation{Name: "RESTORE"}).Add(before.Files()...).Commit(t.Context())
					must(t, err)
				}
			}})
			if got := vacuum(t, r, maintenance.VacuumOptions{}); len(got.Files) != 0 || at == 0 {
				t.Errorf("deleted %v, after %d restores", got.Files, at)
			}
			if got := r.rows("SELECT id FROM t ORDER BY id"); got != "[[1] [2]]" {
				t.Error(fmt.Sprint(got))
			}
		})
	}
}

// Where an absolute path leads is not known: a file that is called as its decoded end may be the one.
func TestVacuumKeepsWhatAbsolutePathsMayName(t *testing.T) {
	r := newRig(t, nil, nil, "id", delta.Long)
	r.append("SELECT 1 AS id")
	r.put("a b.parquet", 30*day)
	r.put("a%20c.parquet", 30*day)
	r.put("other.parquet", 30*day)
	var lines strings.Builder
	for _, name := range []string{"a%20b.parquet", "a%2520c.parquet"} {
		fmt.Fprintf(&lines, `{"add":{"path":"file:///elsewhere/t/%s","partitionValues":{},"size":1,"modificationTime":1,"dataChange":true}}`+"\n", name)
	}
	name := fmt.Sprintf("t/_delta_log/%020d.json", r.snapshot().Version()+1)
	must(t, os.WriteFile(filepath.Join(r.root, name), []byte(lines.String()), 0o644))
	if got := paths(vacuum(t, r, maintenance.VacuumOptions{}).Files); !slices.Equal(got, []string{"other.parquet"}) {
		t.Errorf("deleted %q", got)
	}
}
