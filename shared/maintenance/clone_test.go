package maintenance_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/dml"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/maintenance"
)

// others asks delta-rs, and Spark where it is there, what is in tables under the rig's root: rows, sum of id, version.
func (r *rig) others(tables ...string) (out []string) {
	r.t.Helper()
	ask := func(python, engine string) {
		args := []string{"testdata/rows.py", engine}
		for _, name := range tables {
			args = append(args, filepath.Join(r.root, name))
		}
		cmd := exec.CommandContext(r.t.Context(), python, args...)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		raw, err := cmd.Output()
		if err != nil {
			r.t.Fatalf("%s: %v\n%s", engine, err, stderr.String())
		}
		lines := strings.Split(strings.TrimSpace(string(raw)), "\n")
		var got [][3]int64
		must(r.t, json.Unmarshal([]byte(lines[len(lines)-1]), &got))
		out = append(out, fmt.Sprint(got))
	}
	if python := os.Getenv("LAKESTEP_TEST_PYTHON"); python != "" {
		ask(python, "deltars")
	}
	if spark := os.Getenv("LAKESTEP_TEST_SPARK"); spark != "" {
		ask(filepath.Join(spark, "venv/bin/python"), "spark")
	}
	return out
}

// uri is how other programs name an object of the rig's store.
func (r *rig) uri(key string) string { return "file://" + delta.EncodePath(r.root+"/"+key) }

// beside is a table of the rig's store that may name the files of the others.
func (r *rig) beside(name string) *delta.Table {
	return delta.Open(r.Store, name, delta.Options{Now: r.Now, NewID: uuid.NewString, Engine: "test", Resolve: func(uri string) (string, bool) {
		rest, ok := strings.CutPrefix(uri, r.uri(""))
		return strings.NewReplacer("%20", " ", "%25", "%").Replace(rest), ok
	}})
}

// A clone has the rows of the version that it was made of; what happens to it or to its source after that is not the other's business.
func TestClone(t *testing.T) {
	for name, properties := range map[string]map[string]string{"plain": nil, "with deletion vectors": {"delta.enableDeletionVectors": "true"}} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil, properties, "id", delta.Long)
			r.append("SELECT i AS id FROM range(10) t(i)")
			_, err := r.Run(t.Context(), dml.Delete{Where: "id = 3"})
			must(t, err)
			r.append("SELECT 100 AS id")
			source := r.digest()
			clone := r.beside("a clone %")
			done, err := maintenance.Clone(t.Context(), r.Table, clone, maintenance.CloneOptions{At: delta.AsOf{Version: ptr(int64(2))}, URI: r.uri})
			must(t, err)
			if done.Files != 1 || done.Source != 2 {
				t.Errorf("%+v", done)
			}
			original := *r.Table
			r.Table.Delta = clone
			if got := r.rows("SELECT count(*), CAST(sum(id) AS BIGINT) FROM t"); got != "[[9 42]]" {
				t.Errorf("the clone has %s", got)
			}
			_, err = r.Run(t.Context(), dml.Delete{Where: "id = 4"})
			must(t, err)
			r.append("SELECT 200 AS id")
			must(t, clone.Checkpoint(t.Context(), r.snapshot().Version()))
			if got := r.rows("SELECT count(*), CAST(sum(id) AS BIGINT) FROM t"); got != "[[9 238]]" {
				t.Errorf("the clone has %s", got)
			}
			if got := check(t, r); len(got.Findings) != 0 {
				t.Errorf("%+v", got.Findings)
			}
			if properties == nil {
				out := optimize(t, r, maintenance.OptimizeOptions{})
				if out.FilesRemoved != 2 {
					t.Errorf("%+v", out)
				}
			}
			*r.Table = original
			if r.digest() != source {
				t.Error("the source has changed")
			}
			want := fmt.Sprintf("[[10 142 3] [9 238 %d]]", map[bool]int64{true: 3, false: 2}[properties == nil])
			for _, got := range r.others("t", "a clone %") {
				if got != want {
					t.Errorf("others read %s, want %s", got, want)
				}
			}
			_, err = maintenance.Clone(t.Context(), r.Table, clone, maintenance.CloneOptions{URI: r.uri})
			if fault.KindOf(err) != fault.InvalidInput || !strings.Contains(err.Error(), "a table already") {
				t.Errorf("again: %v", err)
			}
		})
	}
}

// A table that may not name files elsewhere is not made a clone.
func TestCloneNeedsResolve(t *testing.T) {
	r := newRig(t, nil, nil, "id", delta.Long)
	r.append("SELECT 1 AS id")
	_, err := maintenance.Clone(t.Context(), r.Table, delta.Open(r.Store, "c", delta.Options{}), maintenance.CloneOptions{URI: r.uri})
	if fault.KindOf(err) != fault.InvalidInput {
		t.Errorf("got %v", err)
	}
}
