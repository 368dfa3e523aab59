package delta

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/store/mem"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
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
	claim := append([]byte{0x15, 2, 0x49, 0x0c}, 0x19, 0xfc, 0xff, 0xff, 0xff, 0xff, 0x07)
	footer := func(b []byte) []byte {
		return append(append([]byte("PAR1"), b...), append(binary.LittleEndian.AppendUint32(nil, uint32(len(b))), "PAR1"...)...)
	}
	// A footer whose list of columns or row groups is said to be longer than it.
	lists := footer(claim)
	for _, c := range []struct {
		name  string
		file  []byte
		says  string
		taken uint64 // MB that may be allocated, beside what the file explains
	}{
		{"page too large", longTexts(t, 1, maxPage), "134217732 decompressed", 64},
		{"list of 2^31 items", lists, "beyond what is there", 64},
		{"list of a million structs", footer(append([]byte{0x29, 0xfc, 0x80, 0x80, 0x80, 0x01}, make([]byte, 2<<20+1)...)), "items", 64},
		{"nested 40 deep", footer(bytes.Repeat([]byte{0x1c}, 40)), "deep", 64},
		{"footer longer than the file", []byte("PAR1\xff\xff\x00\x00PAR1"), "footer of 65535 bytes", 64},
		{"footer of more than is read", footer(make([]byte, maxFooter+1)), "footer of 67108865 bytes", 64},
		{"a long text for each of many rows", longTexts(t, 200, 1<<20), "far longer than the file", minBudget>>20 + 16},
		{"many rows of nothing", manyRows(t), "1000000 rows in", 64},
	} {
		name, file := c.name, c.file
		var err error
		n := 0
		taken := allocated(func() {
			err = scanParquet(bytes.NewReader(file), int64(len(file)), "checkpoint", func(line) error { n++; return nil })
		})
		if err == nil || !damaged(err) || fault.KindOf(err) != fault.InvalidInput || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %d rows and %v, want %q", name, n, err, c.says)
		}
		if taken > c.taken<<20+uint64(4*len(file)) {
			t.Errorf("%s: %d MB allocated for a file of %d KB: %v", name, taken>>20, len(file)>>10, err)
		}
	}
}

// longTexts is a small file that has a text of so many bytes once, and says it in each of its rows.
func longTexts(t *testing.T, n, size int) []byte {
	type add struct {
		Path  string `parquet:"path"`
		Size  int64  `parquet:"size"`
		Stats string `parquet:"stats,dict"`
	}
	type row struct {
		Add *add `parquet:"add,optional"`
	}
	text := strings.Repeat("0", size)
	rows := make([]row, n)
	for i := range rows {
		rows[i].Add = &add{Path: fmt.Sprint("f", i), Size: 1, Stats: text}
	}
	return parquetFile(t, rows)
}

// manyRows is a small file of a million rows without an action.
func manyRows(t *testing.T) []byte {
	type row struct {
		Txn *txnRow `parquet:"txn,optional"`
	}
	return parquetFile(t, make([]row, 1_000_000))
}

func parquetFile[Row any](t *testing.T, rows []Row) []byte {
	t.Helper()
	var out bytes.Buffer
	w := parquet.NewGenericWriter[Row](&out, parquet.Compression(&parquet.Zstd), parquet.SkipPageBounds("add", "stats"), parquet.SkipPageStatistics("add", "stats"))
	if _, err := w.Write(rows); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestHostilePages: parquet-go would believe what these page headers say.
func TestHostilePages(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(h *format.PageHeader)
		says   string // "" for a page that is as it says
	}{
		{"honest", func(*format.PageHeader) {}, ""},
		{"honest levels", func(h *format.PageHeader) { levels(h, 1, 2) }, ""},
		{"longer than its column", func(h *format.PageHeader) { h.CompressedPageSize = 9 }, "where 8 are left"},
		{"of negative length", func(h *format.PageHeader) { h.CompressedPageSize = -1 }, "page of -1 bytes"},
		{"decompressed to more than is read", func(h *format.PageHeader) { h.UncompressedPageSize = maxPage + 1 }, "at most"},
		{"decompressed to more than there is", func(h *format.PageHeader) { h.UncompressedPageSize = 1000 }, "of which its header says 1000"},
		{"decompressed to less than nothing", func(h *format.PageHeader) { h.UncompressedPageSize = -1 }, "-1 decompressed"},
		{"of very many values", func(h *format.PageHeader) {
			h.DataPageHeader = thrift.New(format.DataPageHeader{NumValues: maxPageValues + 1})
		}, "page of 67108865 values"},
		{"of very many rows", func(h *format.PageHeader) {
			h.DataPageHeaderV2 = thrift.New(format.DataPageHeaderV2{NumRows: maxPageValues + 1})
		}, "page of 67108865 values"},
		{"of more words than bytes", func(h *format.PageHeader) {
			h.DictionaryPageHeader = thrift.New(format.DictionaryPageHeader{NumValues: 9})
		}, "dictionary of 9"},
		{"of levels only, and more", func(h *format.PageHeader) { levels(h, 5, 4) }, "levels go beyond"},
		{"of negative levels", func(h *format.PageHeader) { levels(h, -5, 4) }, "levels go beyond"},
	} {
		h := format.PageHeader{UncompressedPageSize: 8, CompressedPageSize: 8}
		c.change(&h)
		text, err := thrift.Marshal(new(thrift.CompactProtocol), h)
		if err != nil {
			t.Fatal(err)
		}
		chunk := append(text, "12345678"...)
		err = checkChunk(io.NewSectionReader(bytes.NewReader(chunk), 0, int64(len(chunk))), format.Uncompressed)
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("a page %s: %v, want %q", c.name, err, c.says)
		}
	}
}

func levels(h *format.PageHeader, repetition, definition int32) {
	h.DataPageHeaderV2 = thrift.New(format.DataPageHeaderV2{RepetitionLevelsByteLength: repetition, DefinitionLevelsByteLength: definition})
}
