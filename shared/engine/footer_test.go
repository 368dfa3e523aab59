package engine

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/parquet-go/parquet-go/encoding/thrift"
)

// tailOf gives the footer of a file, and where it begins.
func tailOf(t testing.TB, file []byte) ([]byte, int64) {
	t.Helper()
	n, err := footerSize(file, int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	at := int64(len(file)) - parquetTail - n
	return file[at : at+n], at
}

// A footer that is written again says what it said, but for what leads to other parts of the file.
func TestFootersAreKept(t *testing.T) {
	files, err := filepath.Glob("../../../shared/corpus/delta/*/*/*.parquet")
	if err != nil || len(files) == 0 {
		t.Skip("SKIPPED: no corpus of Delta tables at ../shared/corpus/delta")
	}
	read := 0
	for _, path := range files {
		file, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := footerSize(file, int64(len(file))); err != nil || n == 0 {
			continue // a table for the log only
		}
		text, at := tailOf(t, file)
		f, err := parseFooter(text, at)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		read++
		columns, err := f.columns()
		if err != nil {
			t.Fatal(err)
		}
		again, err := f.only(columns, f.RowGroups).encode()
		if err != nil {
			t.Fatal(err)
		}
		back, err := parseFooter(again[:len(again)-parquetTail], at)
		if err != nil {
			t.Errorf("%s: written again: %v", path, err)
			continue
		}
		want, _ := thrift.Marshal(new(thrift.CompactProtocol), f.Schema)
		got, _ := thrift.Marshal(new(thrift.CompactProtocol), back.Schema)
		if back.NumRows != f.NumRows || len(back.RowGroups) != len(f.RowGroups) || !bytes.Equal(got, want) {
			t.Errorf("%s: %d rows in %d groups, now %d in %d", path, f.NumRows, len(f.RowGroups), back.NumRows, len(back.RowGroups))
		}
		for i, g := range f.RowGroups {
			if !slices.EqualFunc(g.Columns, back.RowGroups[i].Columns, func(a, b columnChunk) bool { return a.extent() == b.extent() && a.MetaData.Codec == b.MetaData.Codec }) {
				t.Errorf("%s: row group %d lies elsewhere", path, i)
			}
		}
	}
	if read < 200 {
		t.Errorf("only %d files", read)
	}
}

// FuzzFooter wants an error or a footer that stays within its file, never a panic or memory beyond the input's measure.
func FuzzFooter(f *testing.F) {
	files, _ := filepath.Glob("../../../shared/corpus/delta/delta-golden/*/*.parquet")
	for i, path := range files {
		if i%20 > 0 {
			continue
		}
		if file, err := os.ReadFile(path); err == nil {
			if n, err := footerSize(file, int64(len(file))); err == nil {
				f.Add(file[int64(len(file))-parquetTail-n:len(file)-parquetTail], int64(len(file)))
			}
		}
	}
	f.Add([]byte{0x15, 0x02, 0x19, 0xfc, 0xff, 0xff, 0xff, 0x7f}, int64(100))
	f.Fuzz(func(t *testing.T, text []byte, dataEnd int64) {
		footer, err := parseFooter(text, dataEnd)
		if err != nil {
			return
		}
		columns, err := footer.columns()
		if err != nil {
			t.Fatalf("checked, and yet: %v", err)
		}
		for _, g := range footer.RowGroups {
			for _, c := range columns {
				_ = g.bytes(c)
			}
			_ = footer.add(File{}, g)
		}
		if _, err := footer.only(columns, footer.RowGroups).encode(); err != nil {
			t.Fatal(err)
		}
	})
}
