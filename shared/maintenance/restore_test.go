package maintenance_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/maintenance"
)

func restore(t *testing.T, r *rig, version int64) maintenance.Restored {
	t.Helper()
	out, err := maintenance.Restore(t.Context(), r.Table, maintenance.RestoreOptions{To: delta.AsOf{Version: &version}})
	must(t, err)
	return out
}

// Rows, schema and properties come back, and may be left again.
func TestRestore(t *testing.T) {
	r := newRig(t, nil, nil, "id", delta.Long)
	r.append("SELECT 1 AS id")
	wider := r.snapshot().Metadata()
	wider.SchemaString = strings.Replace(wider.SchemaString, `"fields":[`, `"fields":[{"name":"more","type":"string","nullable":true,"metadata":{}},`, 1)
	_, err := r.snapshot().Begin(delta.Operation{Name: "ADD COLUMNS"}).SetMetadata(wider).Commit(t.Context())
	must(t, err)
	r.overwrite("SELECT 3 AS id, 'y' AS more")
	if got := restore(t, r, 1); !got.Changed || got.Version != 4 || got.To != 1 || got.FilesAdded != 1 || got.FilesRemoved != 1 {
		t.Errorf("%+v", got)
	}
	if got := r.rows("SELECT * FROM t"); got != "[[1]]" {
		t.Errorf("version 1 again: %s", got)
	}
	if got := restore(t, r, 1); got.Changed || got.Version != 4 {
		t.Errorf("again: %+v", got)
	}
	if restore(t, r, 3); r.rows("SELECT * FROM t") != "[[y 3]]" {
		t.Errorf("and back: %s", r.rows("SELECT * FROM t"))
	}
	for c, err := range r.Delta.Changes(t.Context(), 3, 4) {
		must(t, err)
		if to, ok := maintenance.RestoredTo(c); to != 1 || !ok {
			t.Errorf("restored to %d, %v", to, ok)
		}
	}
}

func TestRestoreNamesWhatIsGone(t *testing.T) {
	r := newRig(t, nil, nil, "id", delta.Long)
	r.append("SELECT 1 AS id")
	path := r.snapshot().Files()[0].Path
	r.overwrite("SELECT 2 AS id")
	must(t, os.Remove(filepath.Join(r.root, "t", path)))
	_, err := maintenance.Restore(t.Context(), r.Table, maintenance.RestoreOptions{To: delta.AsOf{Version: ptr(int64(1))}})
	if fault.KindOf(err) != fault.SourceLost || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v", err)
	}
	if r.snapshot().Version() != 2 {
		t.Error("something was committed")
	}
}
