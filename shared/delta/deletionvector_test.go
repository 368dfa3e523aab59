package delta_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"hash/crc32"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/store"
	"github.com/lakestep/lakestep/shared/store/mem"
)

func rowSet(rows ...uint64) *delta.RowSet {
	var s delta.RowSet
	for _, r := range rows {
		s.Add(r)
	}
	return &s
}

func TestRowSet(t *testing.T) {
	var none *delta.RowSet
	a, b := rowSet(3, 1, 1<<40), rowSet(3, 7)
	for _, tt := range []struct {
		name string
		got  *delta.RowSet
		want []uint64
	}{
		{"as it is", a, []uint64{1, 3, 1 << 40}},
		{"union", a.Union(b), []uint64{1, 3, 7, 1 << 40}},
		{"minus", a.Minus(b), []uint64{1, 1 << 40}},
		{"union with none", none.Union(a), []uint64{1, 3, 1 << 40}},
		{"none without", none.Minus(a), nil},
		{"without none", a.Minus(none), []uint64{1, 3, 1 << 40}},
	} {
		if got := slices.Collect(tt.got.All()); !slices.Equal(got, tt.want) || tt.got.Len() != uint64(len(tt.want)) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
	if last, ok := a.Max(); last != 1<<40 || !ok || !a.Contains(3) || a.Contains(2) || none.Contains(0) {
		t.Errorf("last row %d, %v", last, ok)
	}
	if _, ok := none.Max(); ok {
		t.Error("an empty set has a last row")
	}
}

// Several vectors in one file are read back, each at its offset.
func TestDeletionVectorsRoundTrip(t *testing.T) {
	lake := mem.New()
	table := delta.Open(lake, "t", delta.Options{})
	long := &delta.RowSet{}
	for i := range uint64(200_000) {
		if i%3 != 0 {
			long.Add(i)
		}
	}
	sets := []*delta.RowSet{rowSet(0), long, rowSet(5, 1<<33), {}}
	vectors, err := table.WriteDeletionVectors(t.Context(), 42, sets)
	if err != nil {
		t.Fatal(err)
	}
	for i, dv := range vectors {
		got, err := table.DeletedRows(t.Context(), &dv)
		if err != nil {
			t.Fatal(err)
		}
		if got.Len() != sets[i].Len() || got.Minus(sets[i]).Len() != 0 {
			t.Errorf("vector %d: %d rows, want %d", i, got.Len(), sets[i].Len())
		}
	}
	if got, err := table.DeletedRows(t.Context(), nil); err != nil || got.Len() != 0 {
		t.Errorf("no vector: %d rows, %v", got.Len(), err)
	}
}

// The example of the protocol for an id and its file.
func TestDeletionVectorKey(t *testing.T) {
	table := delta.Open(mem.New(), "t", delta.Options{})
	for _, tt := range []struct{ storage, path, key string }{
		{"u", "ab^-aqEH.-t@S}K{vb[*k^", "t/ab/deletion_vector_d2c639aa-8816-431a-aaf6-d3fe2512ff61.bin"},
		{"u", "^-aqEH.-t@S}K{vb[*k^", "t/deletion_vector_d2c639aa-8816-431a-aaf6-d3fe2512ff61.bin"},
		{"p", "a%20b.bin", "t/a b.bin"},
		{"i", "whatever", ""},
		{"u", "../../x^-aqEH.-t@S}K{vb[*k^", "refused"},
		{"u", "^-aqEH.-t@S}K{vb[*k", "refused"},
		{"u", "~-aqEH.-t@S}K{vb[*k^", "refused"},
		{"p", "s3://mytable/deletion_vector_d2c639aa-8816-431a-aaf6-d3fe2512ff61.bin", "refused"},
	} {
		key, err := table.VectorKey(&delta.DeletionVector{StorageType: tt.storage, PathOrInlineDV: tt.path})
		if err != nil && fault.KindOf(err) == fault.InvalidInput {
			key = "refused"
		}
		if key != tt.key {
			t.Errorf("%s %s: %q (%v), want %q", tt.storage, tt.path, key, err, tt.key)
		}
	}
}

// Whatever is wrong with a vector is an error; no row comes back by it.
func TestDamagedDeletionVectors(t *testing.T) {
	const key = "t/deletion_vector_d2c639aa-8816-431a-aaf6-d3fe2512ff61.bin"
	lake := mem.New()
	table := delta.Open(lake, "t", delta.Options{NewID: func() string { return "d2c639aa-8816-431a-aaf6-d3fe2512ff61" }})
	vectors, err := table.WriteDeletionVectors(t.Context(), -0x2d39c65577e9bce6, []*delta.RowSet{rowSet(1, 5, 9, 70_000)})
	if err != nil {
		t.Fatal(err)
	}
	whole := content(t, lake, key)
	reframe := func(file []byte) []byte {
		data := file[5 : len(file)-4]
		out := append([]byte{1}, binary.BigEndian.AppendUint32(nil, uint32(len(data)))...)
		out = append(out, data...)
		return binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(data))
	}
	for _, tt := range []struct {
		name   string
		damage func(file []byte, dv *delta.DeletionVector) []byte
		kind   fault.Kind
		says   string
	}{
		{"nothing", func(f []byte, _ *delta.DeletionVector) []byte { return f }, "", ""},
		{"version", func(f []byte, _ *delta.DeletionVector) []byte { f[0] = 2; return f }, fault.InvalidInput, "version 2"},
		{"size", func(f []byte, _ *delta.DeletionVector) []byte { f[4]++; return f }, fault.InvalidInput, "bytes, but the log says"},
		{"data", func(f []byte, _ *delta.DeletionVector) []byte { f[30] ^= 1; return f }, fault.InvalidInput, "checksum"},
		{"magic", func(f []byte, _ *delta.DeletionVector) []byte { f[5]--; return reframe(f) }, fault.InvalidInput, "magic number"},
		{"buckets", func(f []byte, _ *delta.DeletionVector) []byte { f[10] = 0x7f; return reframe(f) }, fault.InvalidInput, "EOF"},
		{"buckets of a giant", func(f []byte, _ *delta.DeletionVector) []byte { f[15] = 0x7f; return reframe(f) }, fault.InvalidInput, "bucket count"},
		{"order", func(f []byte, _ *delta.DeletionVector) []byte { f[len(f)-10] = 99; return reframe(f) }, fault.InvalidInput, "sorted"},
		{"cut", func(f []byte, _ *delta.DeletionVector) []byte { return f[:len(f)-1] }, fault.InvalidInput, "do not fit"},
		{"empty", func([]byte, *delta.DeletionVector) []byte { return nil }, fault.InvalidInput, "do not fit"},
		{"offset", func(f []byte, dv *delta.DeletionVector) []byte { *dv.Offset = 2; return f }, fault.InvalidInput, "do not fit"},
		{"no offset", func(f []byte, dv *delta.DeletionVector) []byte { dv.Offset = nil; return f }, "", ""},
		{"cardinality", func(f []byte, dv *delta.DeletionVector) []byte { dv.Cardinality = 5; return f }, fault.InvalidInput, "holds 4 rows, but the log says 5"},
		{"a giant's size", func(f []byte, dv *delta.DeletionVector) []byte { dv.SizeInBytes = 1 << 30; return f }, fault.InvalidInput, "at most"},
		{"gone", func(f []byte, dv *delta.DeletionVector) []byte { dv.PathOrInlineDV = "x" + dv.PathOrInlineDV; return f }, fault.SourceLost, "not found"},
	} {
		dv := vectors[0]
		offset := *dv.Offset
		dv.Offset = &offset
		if err := lake.Put(t.Context(), key, bytes.NewReader(tt.damage(slices.Clone(whole), &dv)), store.PutOptions{}); err != nil {
			t.Fatal(err)
		}
		_, err := table.DeletedRows(t.Context(), &dv)
		if fault.KindOf(err) != tt.kind || err != nil && !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %s, %v", tt.name, fault.KindOf(err), err)
		}
	}
}

// FuzzDeletionVector: any inline vector is refused or read, without a panic and within bounded memory.
func FuzzDeletionVector(f *testing.F) {
	table := delta.Open(mem.New(), "t", delta.Options{NewID: uuid.NewString})
	f.Add("wi5b=000010000siXQKl0rr91000f55c8Xg0@@D72lkbi5=-{L", int32(40), int64(6))
	f.Add("^Bg9^0rr910000000000iXQKl0rr91000f55c8Xg0@@D72lkbi5=-{L", int32(44), int64(6))
	f.Fuzz(func(t *testing.T, text string, size int32, cardinality int64) {
		if size < 0 || cardinality < 0 {
			return
		}
		set, err := table.DeletedRows(context.Background(), &delta.DeletionVector{StorageType: "i", PathOrInlineDV: text, SizeInBytes: size, Cardinality: cardinality})
		if err == nil && set.Len() != uint64(cardinality) {
			t.Errorf("%d rows, want %d", set.Len(), cardinality)
		}
	})
}

func content(t *testing.T, s store.Store, key string) []byte {
	t.Helper()
	r, err := s.Open(t.Context(), key, store.Range{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// delta-kernel-rs ends inline vectors in a way of its own when their length is no multiple of four (its table cdf-table-with-dv).
func TestInlineVectorsOfKernelRs(t *testing.T) {
	vector := &delta.DeletionVector{StorageType: "i", PathOrInlineDV: "^Bg9^0rr910000000000iXQKl0rr91000005c8Xg##093", SizeInBytes: 34, Cardinality: 1}
	rows, err := delta.Open(mem.New(), "t", delta.Options{}).DeletedRows(t.Context(), vector)
	if err != nil || rows.Len() != 1 || !rows.Contains(3) {
		t.Errorf("%v, %v", rows, err)
	}
	for _, text := range []string{"^Bg9^0rr910000000000iXQKl0rr91000005c8Xg####3", "^Bg9^0rr910000000000iXQKl0rr91000005c8Xg#####", "^Bg9^0rr910000000000iXQKl0rr91##0935c8Xg0f003"} {
		vector.PathOrInlineDV = text
		if _, err := delta.Open(mem.New(), "t", delta.Options{}).DeletedRows(t.Context(), vector); fault.KindOf(err) != fault.InvalidInput {
			t.Errorf("%s: %v", text, err)
		}
	}
	if _, err := delta.Open(mem.New(), "t", delta.Options{}).DeletedRows(t.Context(),
		&delta.DeletionVector{StorageType: "u", PathOrInlineDV: "vBn[lx{q8@P<9BN##093", SizeInBytes: 34, Cardinality: 1}); fault.KindOf(err) != fault.InvalidInput {
		t.Errorf("a UUID of 14 bytes: %v", err)
	}
}
