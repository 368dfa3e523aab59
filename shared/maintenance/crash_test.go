package maintenance_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/maintenance"
	"github.com/lakestep/lakestep/shared/store/file"
	"github.com/lakestep/lakestep/shared/store/inject"
)

// copy is the rig on a copy of its folder.
func (r *rig) copy() *rig {
	r.t.Helper()
	c := *r
	table := *r.Table
	c.Table, c.root = &table, r.t.TempDir()
	must(r.t, os.CopyFS(c.root, os.DirFS(r.root)))
	st, err := file.New(c.root)
	must(r.t, err)
	c.use(st)
	return &c
}

// Whatever breaks in an operation, and wherever: the table is what it was or what it was to be, sound, and the operation said again comes to its end.
func TestMaintenanceDies(t *testing.T) {
	r := newRig(t, nil, map[string]string{"delta.checkpointInterval": "4"}, "id", delta.Long)
	for i := range 3 {
		r.append(fmt.Sprintf("SELECT i AS id FROM range(%d) t(i)", 10+i))
	}
	r.overwrite("SELECT 7 AS id")
	for i := range 3 {
		r.append(fmt.Sprintf("SELECT i AS id FROM range(%d) t(i)", 100+i))
	}
	r.put("orphan.parquet", 30*day)
	*r.clock = r.clock.Add(30 * day)
	version := int64(3)
	for name, does := range map[string]func(*rig) error{
		"optimize": func(r *rig) error {
			_, err := maintenance.Optimize(t.Context(), r.Table, maintenance.OptimizeOptions{})
			return err
		},
		"z-order": func(r *rig) error {
			_, err := maintenance.Optimize(t.Context(), r.Table, maintenance.OptimizeOptions{ZOrder: []string{"id"}})
			return err
		},
		"restore": func(r *rig) error {
			_, err := maintenance.Restore(t.Context(), r.Table, maintenance.RestoreOptions{To: delta.AsOf{Version: &version}})
			return err
		},
		"vacuum": func(r *rig) error {
			_, err := maintenance.Vacuum(t.Context(), r.Table, maintenance.VacuumOptions{})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			before := r.digest()
			whole := r.copy()
			in := inject.New(inject.Plan{})
			whole.use(in.Wrap(whole.Store))
			must(t, does(whole))
			after, files := whole.digest(), whole.snapshot().NumFiles()
			plans := inject.Plans(in.Ops())
			stride := 1
			if os.Getenv("LAKESTEP_LONG") != "1" {
				stride = max(1, len(plans)/25)
			}
			for i := 0; i < len(plans); i += stride {
				c := r.copy()
				sound := c.Store
				c.use(inject.New(plans[i]).Wrap(sound))
				failed := does(c)
				c.use(sound)
				if got := c.digest(); got != before && got != after || failed == nil && got != after {
					t.Fatalf("%s: %v, and the rows are %s, neither %s nor %s", plans[i], failed, got, before, after)
				}
				must(t, does(c))
				if got := c.digest(); got != after || c.snapshot().NumFiles() != files {
					t.Fatalf("%s: then %s in %d files, want %s in %d", plans[i], got, c.snapshot().NumFiles(), after, files)
				}
				if found := check(t, c); found.Damaged() {
					t.Fatalf("%s: %+v", plans[i], found.Findings)
				}
				must(t, os.RemoveAll(c.root))
			}
		})
	}
}
