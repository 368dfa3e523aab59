package maintenance_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/dml"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/maintenance"
	"github.com/lakestep/lakestep/shared/store"
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

// statted is a store in which something happens when a file is looked for.
type statted struct {
	store.Store
	happens func()
}

func (s statted) Stat(ctx context.Context, key string) (store.Object, error) {
	if strings.HasSuffix(key, ".parquet") {
		s.happens()
	}
	return s.Store.Stat(ctx, key)
}

func (s statted) Path(key string) (string, error) { return s.Store.(store.Local).Path(key) }

// What others commit while a restore is at work is undone, too.
func TestRestoreBesideOtherWriters(t *testing.T) {
	r := newRig(t, nil, nil, "id", delta.Long)
	r.append("SELECT 1 AS id")
	r.overwrite("SELECT 2 AS id")
	plain, times := r.Store, 0
	r.use(statted{plain, func() {
		if times++; times == 1 {
			r.append("SELECT 3 AS id")
		}
	}})
	if got := restore(t, r, 1); got.Version != 4 || times < 2 {
		t.Errorf("%+v, after %d looks", got, times)
	}
	if got := r.rows("SELECT id FROM t"); got != "[[1]]" {
		t.Errorf("rows %s", got)
	}
}

// Deletion vectors and metadata domains come back as they were.
func TestRestoreVectorsAndDomains(t *testing.T) {
	r := newRig(t, nil, map[string]string{"delta.enableDeletionVectors": "true"}, "id", delta.Long)
	r.append("SELECT i AS id FROM range(5) t(i)")
	protocol, err := r.snapshot().Protocol().Supporting(r.snapshot().Metadata(), "domainMetadata")
	must(t, err)
	_, err = r.snapshot().Begin(delta.Operation{Name: "UPGRADE"}).SetProtocol(protocol).Commit(t.Context())
	must(t, err)
	domain := func(name, configuration string, removed bool) {
		t.Helper()
		d := delta.DomainMetadata{Domain: name, Configuration: configuration, Removed: removed}
		_, err := r.snapshot().Begin(delta.Operation{Name: "DOMAIN"}).SetDomain(d).Commit(t.Context())
		must(t, err)
	}
	domain("app.changed", "old", false)
	domain("app.removed", "old", false)
	_, err = r.Run(t.Context(), dml.Delete{Where: "id = 1"})
	must(t, err)
	then := r.snapshot()
	domain("app.changed", "new", false)
	domain("app.removed", "", true)
	domain("app.added", "new", false)
	_, err = r.Run(t.Context(), dml.Delete{Where: "id = 2"})
	must(t, err)
	if got := restore(t, r, then.Version()); got.FilesAdded != 1 || got.FilesRemoved != 1 {
		t.Errorf("%+v", got)
	}
	if got := r.rows("SELECT id FROM t ORDER BY id"); got != "[[0] [2] [3] [4]]" {
		t.Errorf("rows %s", got)
	}
	if got, want := fmt.Sprint(r.snapshot().Domains()), fmt.Sprint(then.Domains()); got != want {
		t.Errorf("domains %s, want %s", got, want)
	}
}
