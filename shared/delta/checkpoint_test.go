package delta_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/lakestep/lakestep/shared/delta"
	localfile "github.com/lakestep/lakestep/shared/store/file"
)

func TestCheckpointEqualsReplay(t *testing.T) {
	dir := t.TempDir()
	lake, err := localfile.New(dir)
	must(t, err)
	o := testOptions()
	o.OnCheckpointError = func(table string, v int64, err error) { t.Errorf("checkpoint %d of %s: %v", v, table, err) }
	table := delta.Open(lake, "orders", o)
	m, p, err := table.NewMetadata(testSchema, []string{"name"}, map[string]string{"delta.enableChangeDataFeed": "true"})
	must(t, err)
	_, err = table.Empty().Begin(write()).ReadNothing().SetMetadata(m).SetProtocol(p).Commit(t.Context())
	must(t, err)
	for i := range 25 {
		s := latest(t, table)
		a := file(fmt.Sprintf("name=x%%2520y/f%02d.parquet", i))
		a.PartitionValues = map[string]*string{"name": nil}
		if i%2 == 1 {
			v := "x y"
			a.PartitionValues["name"] = &v
		}
		x := s.Begin(write()).ReadNothing().Add(a).SetTxn(fmt.Sprintf("app%d", i%3), int64(i)+1<<60)
		if i%5 == 4 {
			x.Remove(true, s.Files()[0])
		}
		_, err := x.Commit(t.Context())
		must(t, err)
	}
	with := latest(t, table)
	for _, v := range []int{10, 20} {
		must(t, os.Remove(filepath.Join(dir, "orders/_delta_log", fmt.Sprintf("%020d.checkpoint.parquet", v))))
	}
	without := latest(t, table)
	sameState(t, without, with)
}

// noChange forgets dataChange, which is false in a checkpoint.
func noChange(files []delta.Add) []delta.Add {
	out := make([]delta.Add, len(files))
	for i, f := range files {
		f.DataChange = false
		out[i] = f
	}
	return out
}

// TestStatsAsStructInDeltaRS: delta-rs finds the statistics in a checkpoint that has them as columns only.
func TestStatsAsStructInDeltaRS(t *testing.T) {
	root, table := ourTable(t, "delta.checkpoint.writeStatsAsStruct=true", "delta.checkpoint.writeStatsAsJson=false")
	for v := range int64(20) { // leave no other start than the checkpoint
		must(t, os.Remove(filepath.Join(root, "t/_delta_log", fmt.Sprintf("%020d.json", v))))
	}
	for _, v := range []int64{20, 24} {
		s, err := table.Snapshot(t.Context(), delta.AsOf{Version: &v})
		must(t, err)
		if st, ok := delta.ParseStats(s.Files()[0].Stats); !ok || st.NumRecords != 2 {
			t.Errorf("version %d: %+v", v, s.Files()[0])
		}
		compareWithPython(t, s, python(t, "read", filepath.Join(root, "t"), fmt.Sprint(v), "lakestep/app0", "lakestep/app1"))
	}
}
