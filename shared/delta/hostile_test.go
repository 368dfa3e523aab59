package delta

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/store/mem"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"
)

// allocated is how many bytes f takes in all, garbage too.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func columnsSchema(n int) string {
	fields := make([]string, n)
	for i := range fields {
		fields[i] = fmt.Sprintf(`{"name":"c%d","type":"long","nullable":true,"metadata":{}}`, i)
	}
	return `{"type":"struct","fields":[` + strings.Join(fields, ",") + `]}`
}

func nestedSchema(depth int) string {
	return `{"type":"struct","fields":[{"name":"a","type":` + strings.Repeat(`{"type":"array","containsNull":true,"elementType":`, depth) +
		`"long"` + strings.Repeat("}", depth) + `,"nullable":true,"metadata":{}}]}`
}

// TestHostileLogs reads tables made to take all memory or time: each is read or refused as InvalidInput, soon, and in
// memory that the size of its log explains.
func TestHostileLogs(t *testing.T) {
	protocol := `{"protocol":{"minReaderVersion":1,"minWriterVersion":2}}` + "\n"
	table := func(schema string) string {
		return protocol + fmt.Sprintf(`{"metaData":{"id":"x","format":{"provider":"parquet","options":{}},"schemaString":%q,"partitionColumns":[],"configuration":{}}}`, schema) + "\n"
	}
	add := func(values string) string {
		return `{"add":{"path":"f","partitionValues":` + values + `,"size":1,"modificationTime":1,"dataChange":true}}` + "\n"
	}
	long := strings.Repeat("x", 1<<20)
	for name, c := range map[string]struct {
		log     string
		refused string // part of the error; "" for a table that can be read
	}{
		"line of 64 MB":       {table(columnsSchema(1)) + add(`{"p":"`+strings.Repeat("x", 65<<20)+`"}`), "longer than"},
		"values of 1 MB":      {table(columnsSchema(1)) + strings.ReplaceAll(add(`{"p":"`+long+`","q":"`+long+`"}`), `"f"`, `"g"`) + add(`{"p":"`+long+`"}`), ""},
		"100,000 columns":     {table(columnsSchema(100_000)), ""},
		"nested 60 deep":      {table(nestedSchema(60)), ""},
		"nested 9,000 deep":   {table(nestedSchema(9_000)), "deep"},
		"nested 100,000 deep": {table(nestedSchema(100_000)), "depth"},
		"values nested deep":  {table(columnsSchema(1)) + add(strings.Repeat(`{"a":`, 20_000)+"1"+strings.Repeat("}", 20_000)), "depth"},
	} {
		t.Run(name, func(t *testing.T) {
			lake := mem.New()
			putLog(t, lake, commitName(0), c.log)
			start := time.Now()
			var err error
			bytes := allocated(func() { _, err = Open(lake, "t", Options{}).Snapshot(t.Context(), AsOf{}) })
			if c.refused == "" && err != nil || c.refused != "" && (err == nil || !strings.Contains(err.Error(), c.refused)) {
				t.Errorf("%.300v, want %q", err, c.refused)
			}
			if err != nil && fault.KindOf(err) != fault.InvalidInput {
				t.Errorf("not an InvalidInput fault: %.300v", err)
			}
			if limit := uint64(128<<20 + 20*len(c.log)); bytes > limit {
				t.Errorf("%d MB allocated for a log of %d MB", bytes>>20, len(c.log)>>20)
			}
			if took := time.Since(start); took > 20*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}

// TestHostileCheckpoints: what a few bytes of a checkpoint claim or unfold to is seen before it is allocated.
func TestHostileCheckpoints(t *testing.T) {
	row := func(path, stats string) checkpointRow {
		return checkpointRow{Add: &addRow{Path: path, Size: 1, Stats: &stats}}
	}
	write := func(codec compress.Codec, n int, stats string) []byte {
		var out bytes.Buffer
		w := parquet.NewGenericWriter[checkpointRow](&out, parquet.Compression(codec))
		for i := range n {
			if _, err := w.Write([]checkpointRow{row(fmt.Sprint("f", i), stats)}); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	claim := append([]byte{0x15, 2, 0x49, 0x0c}, 0x19, 0xfc, 0xff, 0xff, 0xff, 0xff, 0x07)
	// A footer whose list of columns or row groups is said to be longer than it.
	lists := append(append([]byte("PAR1"), claim...), append(binary.LittleEndian.AppendUint32(nil, uint32(len(claim))), "PAR1"...)...)
	zeros := strings.Repeat("0", maxPage)
	for name, file := range map[string][]byte{
		"page too large":     write(&parquet.Zstd, 1, zeros),
		"list of 2^31 items": lists,
	} {
		var err error
		n := 0
		taken := allocated(func() {
			err = scanParquet(bytes.NewReader(file), int64(len(file)), "checkpoint", func(line) error { n++; return nil })
		})
		if err == nil || !damaged(err) || fault.KindOf(err) != fault.InvalidInput {
			t.Errorf("%s: %d rows and %v", name, n, err)
		}
		if taken > uint64(64<<20+4*len(file)) {
			t.Errorf("%s: %d MB allocated for a file of %d KB: %v", name, taken>>20, len(file)>>10, err)
		}
	}
}
