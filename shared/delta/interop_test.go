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

	"github.com/google/go-cmp/cmp"
	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/store"
	localfile "github.com/lakestep/lakestep/shared/store/file"
	"github.com/parquet-go/parquet-go"
)

// pythonState is what testdata/interop.py prints.
type pythonState struct {
	Version int64
	Files   []struct {
		Path       string
		Size       int64
		NumRecords int64
		Partition  map[string]*string
	}
	Schema  json.RawMessage
	History []struct {
		Version   int64
		Operation string
	}
	Txns     map[string]int64
	Protocol [2]int
	Rows     []struct {
		ID   int64
		Name *string
	}
}

// python runs testdata/interop.py with delta-rs.
func python(t *testing.T, args ...string) pythonState {
	t.Helper()
	interpreter := os.Getenv("LAKESTEP_TEST_PYTHON")
	if interpreter == "" {
		t.Skip("SKIPPED: LAKESTEP_TEST_PYTHON names no Python with deltalake")
	}
	cmd := exec.Command(interpreter, append([]string{"testdata/interop.py"}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	var s pythonState
	must(t, json.Unmarshal(out, &s))
	return s
}

// writeData writes a Parquet file with the ids and gives its Add.
func writeData(t *testing.T, lake store.Store, prefix, rel string, ids ...int64) delta.Add {
	t.Helper()
	type row struct {
		ID int64 `parquet:"id,optional"`
	}
	var body bytes.Buffer
	w := parquet.NewGenericWriter[row](&body)
	for _, id := range ids {
		_, err := w.Write([]row{{id}})
		must(t, err)
	}
	must(t, w.Close())
	size := int64(body.Len())
	must(t, lake.Put(t.Context(), prefix+"/"+rel, &body, store.PutOptions{IfAbsent: true}))
	st := delta.Stats{NumRecords: int64(len(ids))}
	must(t, st.SetColumn([]string{"id"}, delta.Long, ids[0], ids[len(ids)-1], 0))
	return delta.Add{
		Path: delta.EncodePath(rel), Size: size, ModificationTime: 1767225600000, DataChange: true, Stats: st.JSON(),
		PartitionValues: map[string]*string{},
	}
}

// ourTable writes a partitioned table with 25 commits, two checkpoints, removes, txns and a metadata change. Properties
// ("key=value") come on top of the change data feed.
func ourTable(t *testing.T, properties ...string) (root string, table *delta.Table) {
	t.Helper()
	root = t.TempDir()
	lake, err := localfile.New(root)
	must(t, err)
	o := testOptions()
	o.OnCheckpointError = func(table string, v int64, err error) { t.Errorf("checkpoint %d of %s: %v", v, table, err) }
	table = delta.Open(lake, "t", o)
	config := map[string]string{"delta.enableChangeDataFeed": "true"}
	for _, property := range properties {
		key, value, _ := strings.Cut(property, "=")
		config[key] = value
	}
	m, p, err := table.NewMetadata(testSchema, []string{"name"}, config)
	must(t, err)
	_, err = table.Empty().Begin(delta.Operation{Name: "CREATE TABLE"}).ReadNothing().SetMetadata(m).SetProtocol(p).Commit(t.Context())
	must(t, err)
	values := []string{"", "a b", "100%", "x/y", "日本", "q?#", "it's"}
	for i := range 24 {
		s := latest(t, table)
		value, err := delta.FormatPartitionValue(delta.String, values[i%len(values)])
		must(t, err)
		a := writeData(t, lake, "t", fmt.Sprintf("p %d%%/part é %d.parquet", i%3, i), int64(i), int64(i)+100)
		a.PartitionValues["name"] = value
		op := delta.Operation{Name: "WRITE", Parameters: map[string]any{"mode": "Append"}, Metrics: map[string]int64{"numFiles": 1}, Attempt: 1<<62 + 1}
		x := s.Begin(op).Add(a).SetTxn(fmt.Sprintf("lakestep/app%d", i%2), 1<<62+int64(i))
		switch i {
		case 5, 12, 20:
			x.Remove(true, s.Files()[i%3])
		case 17:
			changed := s.Metadata()
			changed.Description = "changed <&>"
			x.SetMetadata(changed)
		}
		_, err = x.Commit(t.Context())
		must(t, err)
	}
	return root, table
}

// compareWithPython compares a snapshot of ours with what delta-rs sees.
func compareWithPython(t *testing.T, s *delta.Snapshot, p pythonState) {
	t.Helper()
	if s.Version() != p.Version || s.NumFiles() != len(p.Files) {
		t.Fatalf("version %d with %d files, delta-rs has %d with %d", s.Version(), s.NumFiles(), p.Version, len(p.Files))
	}
	theirs := map[string][]any{}
	for _, f := range p.Files {
		if f.Partition == nil { // an unpartitioned table
			f.Partition = map[string]*string{}
		}
		theirs[decoded(f.Path)] = []any{f.Size, f.NumRecords, f.Partition}
	}
	ours := map[string][]any{}
	for _, a := range s.Files() {
		st, _ := delta.ParseStats(a.Stats)
		ours[decoded(a.Path)] = []any{a.Size, st.NumRecords, a.PartitionValues}
	}
	if d := cmp.Diff(theirs, ours); d != "" {
		t.Errorf("files (-delta-rs +ours)\n%s", d)
	}
	text, err := s.Schema().JSON()
	must(t, err)
	must(t, sameJSON("schema", []byte(text), p.Schema))
	if got := s.Protocol(); got.MinReaderVersion != p.Protocol[0] || got.MinWriterVersion != p.Protocol[1] {
		t.Errorf("protocol %v, delta-rs has %v", got, p.Protocol)
	}
	for app, want := range p.Txns {
		if v, ok := s.Txn(app); !ok || v != want {
			t.Errorf("txn %s: %d, delta-rs has %d", app, v, want)
		}
	}
}

// decoded undoes percent escapes where delta-rs shows the path without them.
func decoded(path string) string {
	for range 3 {
		path = strings.NewReplacer("%25", "%", "%20", " ").Replace(path)
	}
	return path
}

func TestInteropOurTable(t *testing.T) {
	root, table := ourTable(t)
	path := filepath.Join(root, "t")
	apps := []string{"lakestep/app0", "lakestep/app1"}
	s := latest(t, table)

	all := python(t, append([]string{"read", path, "-"}, apps...)...)
	compareWithPython(t, s, all)
	if len(all.Txns) != 2 || len(all.History) != 25 || all.History[0].Operation != "WRITE" {
		t.Errorf("txns %v, history of %d", all.Txns, len(all.History))
	}
	if len(all.Rows) != 2*s.NumFiles() {
		t.Errorf("%d rows", len(all.Rows))
	}
	at := int64(13)
	old, err := table.Snapshot(t.Context(), delta.AsOf{Version: &at})
	must(t, err)
	compareWithPython(t, old, python(t, "read", path, "13"))

	// From the checkpoint alone: the commits up to 20 are gone in a copy.
	copied := filepath.Join(t.TempDir(), "t")
	must(t, os.CopyFS(copied, os.DirFS(path)))
	for v := range 21 {
		must(t, os.Remove(filepath.Join(copied, "_delta_log", fmt.Sprintf("%020d.json", v))))
	}
	compareWithPython(t, s, python(t, append([]string{"read", copied, "-"}, apps...)...))

	// delta-rs writes on, we read, and write again after it.
	theirs := python(t, "append", path)
	s = latest(t, table)
	compareWithPython(t, s, theirs)
	for i, app := range apps {
		if v, _ := s.Txn(app); v != 1<<62+22+int64(i) {
			t.Errorf("txn %s is %d after delta-rs", app, v)
		}
	}
	_, err = s.Begin(write()).Remove(true, s.Files()[0]).SetTxn("after", 1).Commit(t.Context())
	must(t, err)
	compareWithPython(t, latest(t, table), python(t, "read", path, "-", "after"))
}

func TestInteropTheirTable(t *testing.T) {
	root := t.TempDir()
	p := python(t, "create", filepath.Join(root, "t"))
	lake, err := localfile.New(root)
	must(t, err)
	table := delta.Open(lake, "t", testOptions())
	s := latest(t, table)
	compareWithPython(t, s, p)
	for _, a := range s.Files() {
		key, err := table.FilePath(a)
		must(t, err)
		if o, err := lake.Stat(t.Context(), key); err != nil || o.Size != a.Size {
			t.Errorf("%s: %d bytes, %v", key, o.Size, err)
		}
	}
	_, err = s.Begin(write()).Remove(true, s.Files()...).Commit(t.Context())
	must(t, err)
	compareWithPython(t, latest(t, table), python(t, "read", filepath.Join(root, "t")))
}

// TestInteropFeatureLists: a (3,7) table of ours, with its feature lists in commit and checkpoint, is read and written on
// by delta-rs from the checkpoint alone.
func TestInteropFeatureLists(t *testing.T) {
	root := t.TempDir()
	lake, err := localfile.New(root)
	must(t, err)
	table := delta.Open(lake, "t", testOptions())
	schema := delta.Schema{Fields: append(slices.Clone(testSchema.Fields), delta.Field{Name: "at", Type: delta.TimestampNTZ, Nullable: true})}
	m, p, err := table.NewMetadata(schema, nil, map[string]string{"delta.enableChangeDataFeed": "true"})
	must(t, err)
	a := writeData(t, lake, "t", "a.parquet", 1, 2, 3)
	_, err = table.Empty().Begin(write()).ReadNothing().SetMetadata(m).SetProtocol(p).Add(a).Commit(t.Context())
	must(t, err)
	_, err = latest(t, table).Begin(write()).ReadNothing().SetTxn("app", 1).Commit(t.Context())
	must(t, err)
	must(t, table.Checkpoint(t.Context(), 1))
	path := filepath.Join(root, "t")
	for v := range 2 {
		must(t, os.Remove(filepath.Join(path, "_delta_log", fmt.Sprintf("%020d.json", v))))
	}
	theirs := python(t, "read", path, "-", "app")
	compareWithPython(t, latest(t, table), theirs)
	if len(theirs.Rows) != 3 || theirs.Txns["app"] != 1 {
		t.Errorf("%+v", theirs)
	}
}
