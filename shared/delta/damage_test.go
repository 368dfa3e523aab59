package delta_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/store/mem"
)

// TestDamagedCheckpoint flips, cuts and overwrites bytes of a checkpoint without the commits behind it: each time a
// clear error or a snapshot, never a panic. (A flipped bit in a value cannot be seen: pages need not have checksums.)
func TestDamagedCheckpoint(t *testing.T) {
	lake := mem.New()
	table := newTable(t, lake, map[string]string{"delta.checkpointInterval": "20"})
	for i := range 20 {
		_, err := latest(t, table).Begin(write()).Add(file(fmt.Sprintf("f%02d", i))).SetTxn("app", int64(i)).Commit(t.Context())
		must(t, err)
	}
	for v := range 20 {
		must(t, lake.Delete(t.Context(), fmt.Sprintf("silver/orders/_delta_log/%020d.json", v)))
	}
	key := "silver/orders/_delta_log/00000000000000000020.checkpoint.parquet"
	whole := text(t, lake, key)
	random := rand.New(rand.NewPCG(1, 2))
	refused := 0
	for i := range 600 {
		b := []byte(whole)
		switch i % 3 {
		case 0:
			b[random.IntN(len(b))] ^= 1 << random.IntN(8)
		case 1:
			b = b[:random.IntN(len(b))]
		case 2:
			at := len(b) - 1 - random.IntN(min(2000, len(b)-1)) // the footer
			b[at] = byte(random.IntN(256))
		}
		putText(t, lake, key, string(b))
		_, err := table.Snapshot(t.Context(), delta.AsOf{})
		if err == nil {
			continue
		}
		refused++
		if k := fault.KindOf(err); k != fault.InvalidInput && k != fault.SourceLost {
			t.Fatalf("case %d: %v (%s)", i, err, k)
		}
	}
	t.Logf("%d of 600 refused", refused)
	if refused < 300 {
		t.Errorf("only %d of 600 refused", refused)
	}
}

// BenchmarkSnapshot reads a table of 100,000 files from its checkpoint.
func BenchmarkSnapshot(b *testing.B) {
	lake := mem.New()
	table := newTable(b, lake, nil)
	files := make([]delta.Add, 100_000)
	for i := range files {
		files[i] = file(fmt.Sprintf("part-%06d-3f1c9f0e-0000-4000-8000-%012d.parquet", i, i))
		files[i].Stats = `{"numRecords":1000,"minValues":{"id":1,"name":"a"},"maxValues":{"id":1000,"name":"z"},"nullCount":{"id":0,"name":0}}`
	}
	_, err := latest(b, table).Begin(write()).ReadNothing().Add(files...).Commit(b.Context())
	must(b, err)
	b.Run("commits", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			latest(b, table)
		}
	})
	b.Run("write checkpoint", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			must(b, lake.Delete(b.Context(), "silver/orders/_delta_log/00000000000000000001.checkpoint.parquet"))
			must(b, table.Checkpoint(b.Context(), 1))
		}
	})
	b.Run("checkpoint", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			latest(b, table)
		}
	})
}
