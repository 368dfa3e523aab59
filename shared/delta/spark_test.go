package delta_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/lakestep/lakestep/shared/delta"
	localfile "github.com/lakestep/lakestep/shared/store/file"
)

// sparkSaw is what testdata/spark.py prints.
type sparkSaw struct {
	Before struct {
		IDs, Some, Old, Alone []int64
		History               [][3]any
		Detail                struct {
			ClusteringColumns []string
			TableFeatures     []string
			NumFiles          int
		}
	}
	Constraint string
	After      struct {
		IDs     []int64
		History [][3]any
	}
}

// TestSpark lets Spark read a table with all that is written here at once (deletion vectors, in-commit timestamps switched on late,
// constraints, clustering, v2 checkpoint policy, statistics as columns too, a log that was cleaned up), change it, and
// reads what Spark made of it.
func TestSpark(t *testing.T) {
	folder := os.Getenv("LAKESTEP_TEST_SPARK")
	if folder == "" || os.Getenv("LAKESTEP_LONG") == "" {
		t.Skip("SKIPPED: long; set LAKESTEP_LONG=1 and LAKESTEP_TEST_SPARK to a folder with Spark")
	}
	root := t.TempDir()
	table, want := everything(t, root, "clustering", "vacuumProtocolCheck")
	snapshot := latest(t, table)

	cmd := exec.CommandContext(t.Context(), filepath.Join(folder, "venv/bin/python"), "testdata/spark.py", filepath.Join(root, "t"))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	answer, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	lines := strings.Split(strings.TrimSpace(string(answer)), "\n")
	var saw sparkSaw
	must(t, json.Unmarshal([]byte(lines[len(lines)-1]), &saw))

	some := slices.DeleteFunc(slices.Clone(want), func(id int64) bool { return id < 40 || id >= 52 })
	for _, pair := range [][2]any{
		{want, saw.Before.IDs}, {some, saw.Before.Some}, {[]int64{41}, saw.Before.Alone}, {snapshot.NumFiles(), saw.Before.Detail.NumFiles},
		{[]int64{1, 2, 3, 11, 12, 13, 21, 22, 23, 31, 32, 33, 41, 42, 43}, saw.Before.Old}, // at version 5, the oldest that is left
		{[]string{"id"}, saw.Before.Detail.ClusteringColumns},
		{slices.Sorted(slices.Values(snapshot.Protocol().WriterFeatures)), slices.Sorted(slices.Values(saw.Before.Detail.TableFeatures))},
	} {
		if d := cmp.Diff(pair[0], pair[1]); d != "" {
			t.Errorf("-ours +Spark's\n%s", d)
		}
	}
	if got := saw.Before.History[0]; got[0] != float64(snapshot.Version()) || got[2] != float64(snapshot.Timestamp().UnixMilli()) {
		t.Errorf("Spark has version %v of %v, we %d of %d", got[0], got[2], snapshot.Version(), snapshot.Timestamp().UnixMilli())
	}
	if !strings.Contains(saw.Constraint, "DELTA_VIOLATE_CONSTRAINT") {
		t.Errorf("the constraint in Spark: %s", saw.Constraint)
	}
	after := append(slices.DeleteFunc(want, func(id int64) bool { return id == 41 }), 1000, 1002)
	if d := cmp.Diff(after, saw.After.IDs); d != "" {
		t.Errorf("after Spark's changes\n%s", d)
	}
	now := latest(t, table)
	if err := now.CheckWritable(); err != nil || float64(now.Version()) != saw.After.History[0][0] {
		t.Errorf("version %d, Spark's %v: %v", now.Version(), saw.After.History[0][0], err)
	}
	rows := int64(0)
	for _, a := range now.Files() {
		st, _ := delta.ParseStats(a.Stats)
		rows += st.NumRecords
		if a.DeletionVector != nil {
			deleted, err := table.DeletedRows(t.Context(), a.DeletionVector)
			must(t, err)
			rows -= int64(deleted.Len())
		}
	}
	if rows != int64(len(after)) {
		t.Errorf("%d rows, want %d", rows, len(after))
	}
	_, err = now.Begin(write()).ReadNothing().SetTxn("app", 99).Commit(t.Context())
	must(t, err)
}

// TestFeaturesInDeltaRS: delta-rs reads the same, but for a feature that it does not know.
func TestFeaturesInDeltaRS(t *testing.T) {
	interpreter := os.Getenv("LAKESTEP_TEST_PYTHON")
	if interpreter == "" {
		t.Skip("SKIPPED: LAKESTEP_TEST_PYTHON names no Python with deltalake")
	}
	root := t.TempDir()
	_, want := everything(t, root, "clustering")
	cmd := exec.CommandContext(t.Context(), interpreter, "testdata/interop.py", "ids", filepath.Join(root, "t"))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	answer, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	var got [2][]int64
	must(t, json.Unmarshal(answer, &got))
	some := slices.DeleteFunc(slices.Clone(want), func(id int64) bool { return id < 40 || id >= 52 })
	if d := cmp.Diff([2][]int64{want, some}, got); d != "" {
		t.Errorf("-ours +delta-rs's\n%s", d)
	}
}

// everything makes the table of TestSpark, in t below root, and gives the ids in its one column.
func everything(t *testing.T, root string, features ...string) (table *delta.Table, ids []int64) {
	t.Helper()
	lake, err := localfile.New(root)
	must(t, err)
	clock := time.Now().Add(-time.Hour)
	o := delta.Options{Engine: "lakestep/test", Now: func() time.Time { clock = clock.Add(time.Second); return clock }}
	o.OnCheckpointError = func(table string, v int64, err error) { t.Errorf("checkpoint %d: %v", v, err) }
	table = delta.Open(lake, "t", o)
	schema := delta.Schema{Fields: []delta.Field{{Name: "id", Type: delta.Long, Nullable: true}}}
	m, p, err := table.NewMetadata(schema, nil, map[string]string{
		"delta.enableDeletionVectors": "true", "delta.checkpointPolicy": "v2", "delta.constraints.positive": "id >= 0",
		"delta.checkpoint.writeStatsAsStruct": "true", "delta.checkpointInterval": "5", "delta.deletedFileRetentionDuration": "interval 200 days",
	})
	must(t, err)
	p, err = p.Supporting(m, features...)
	must(t, err)
	domain, err := delta.Clustering([]string{"id"})
	must(t, err)
	_, err = table.Empty().Begin(delta.Operation{Name: "CREATE TABLE"}).SetMetadata(m).SetProtocol(p).SetDomain(domain).Commit(t.Context())
	must(t, err)
	for i := range int64(12) {
		s := latest(t, table)
		if i == 6 {
			m := s.Metadata()
			m.Configuration["delta.enableInCommitTimestamps"] = "true"
			p, err := s.Protocol().Supporting(m)
			must(t, err)
			_, err = s.Begin(delta.Operation{Name: "SET TBLPROPERTIES"}).SetMetadata(m).SetProtocol(p).Commit(t.Context())
			must(t, err)
			s = latest(t, table)
		}
		a := writeData(t, lake, "t", fmt.Sprintf("part-%d.parquet", i), 10*i+1, 10*i+2, 10*i+3)
		_, err := s.Begin(write()).ReadNothing().ConstraintsHold().Add(a).SetTxn("app", i).Commit(t.Context())
		must(t, err)
		ids = append(ids, 10*i+1, 10*i+2, 10*i+3)
	}
	s := latest(t, table)
	var outer, middle delta.RowSet
	outer.Add(0)
	outer.Add(2)
	middle.Add(1)
	vectors, err := table.WriteDeletionVectors(t.Context(), 7, []*delta.RowSet{&outer, &middle})
	must(t, err)
	first, second := s.Files()[slices.IndexFunc(s.Files(), named("part-5.parquet"))], s.Files()[slices.IndexFunc(s.Files(), named("part-3.parquet"))]
	_, err = s.Begin(delta.Operation{Name: "DELETE"}).SetDeletionVector(first, &vectors[0]).SetDeletionVector(second, &vectors[1]).Commit(t.Context())
	must(t, err)
	ids = slices.DeleteFunc(ids, func(id int64) bool { return id == 51 || id == 53 || id == 32 })
	must(t, table.Checkpoint(t.Context(), latest(t, table).Version()))
	old := time.Now().Add(-100 * 24 * time.Hour)
	for v := range 6 {
		for _, suffix := range []string{".json", ".checkpoint.parquet"} {
			name := filepath.Join(root, "t/_delta_log", fmt.Sprintf("%020d%s", v, suffix))
			if _, err := os.Stat(name); err == nil {
				must(t, os.Chtimes(name, old, old))
			}
		}
	}
	done, err := table.CleanLog(t.Context(), delta.CleanOptions{})
	must(t, err)
	if done.From != 5 {
		t.Errorf("cleaned up to %d", done.From)
	}
	return table, ids
}

func named(path string) func(delta.Add) bool { return func(a delta.Add) bool { return a.Path == path } }
