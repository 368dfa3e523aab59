package spool_test

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/connector/internal/spool"
	"github.com/lakestep/lakestep/shared/engine"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// read gives rows of parts as the engine reads them, and the types of the columns.
func read(t *testing.T, parts []connector.Part, columns string) (types string, rows []string) {
	t.Helper()
	e, err := engine.Open(engine.Options{MemoryMB: 500, Threads: 2, TempDir: t.TempDir()})
	must(t, err)
	defer e.Close()
	s, err := e.Session(t.Context())
	must(t, err)
	defer s.Close()
	for _, p := range parts {
		relation := s.Parquet([]string{p.Files[0].Path})
		raw, err := s.Raw(t.Context(), relation)
		must(t, err)
		var list []string
		for _, c := range raw {
			list = append(list, c.Name+" "+c.Type.String())
		}
		types += strings.Join(list, ", ") + "\n"
		var n int64
		must(t, s.Row(t.Context(), "SELECT count(*) FROM "+relation, &n))
		if n != p.Files[0].Rows {
			t.Errorf("the part says %d rows, the engine finds %d", p.Files[0].Rows, n)
		}
		got, err := s.Strings(t.Context(), fmt.Sprintf("SELECT concat_ws('|', %s) FROM %s r ORDER BY ALL", columns, relation))
		must(t, err)
		for _, r := range got {
			rows = append(rows, r[0])
		}
	}
	return strings.TrimSpace(types), rows
}

// Every type that connectors use comes out of the engine as it went in, extremes too.
func TestTypes(t *testing.T) {
	s := spool.New(t.TempDir(), "origin")
	r := s.Builder([]spool.Column{
		{Name: "b", Type: arrow.FixedWidthTypes.Boolean}, {Name: "i16", Type: arrow.PrimitiveTypes.Int16}, {Name: "i32", Type: arrow.PrimitiveTypes.Int32},
		{Name: "i64", Type: arrow.PrimitiveTypes.Int64}, {Name: "f32", Type: arrow.PrimitiveTypes.Float32}, {Name: "f64", Type: arrow.PrimitiveTypes.Float64},
		{Name: "d9", Type: &arrow.Decimal128Type{Precision: 9, Scale: 2}}, {Name: "d18", Type: &arrow.Decimal128Type{Precision: 18, Scale: 0}},
		{Name: "d38", Type: &arrow.Decimal128Type{Precision: 38, Scale: 10}}, {Name: "s", Type: arrow.BinaryTypes.String}, {Name: "bin", Type: arrow.BinaryTypes.Binary},
		{Name: "day", Type: arrow.FixedWidthTypes.Date32}, {Name: "ts", Type: spool.Timestamp}, {Name: "tags", Type: arrow.ListOf(arrow.BinaryTypes.String)},
	})
	big, err := decimal128.FromString("9999999999999999999999999999.0123456789", 38, 10)
	must(t, err)
	row := func(b bool, i int64, f float64, d int64, text string, day arrow.Date32, at arrow.Timestamp) {
		r.Field(0).(*array.BooleanBuilder).Append(b)
		r.Field(1).(*array.Int16Builder).Append(int16(i))
		r.Field(2).(*array.Int32Builder).Append(int32(i))
		r.Field(3).(*array.Int64Builder).Append(i)
		r.Field(4).(*array.Float32Builder).Append(float32(f))
		r.Field(5).(*array.Float64Builder).Append(f)
		r.Field(6).(*array.Decimal128Builder).Append(decimal128.FromI64(d))
		r.Field(7).(*array.Decimal128Builder).Append(decimal128.FromI64(i))
		r.Field(8).(*array.Decimal128Builder).Append(big)
		r.Field(9).(*array.StringBuilder).Append(text)
		r.Field(10).(*array.BinaryBuilder).Append([]byte{0, 0xff})
		r.Field(11).(*array.Date32Builder).Append(day)
		r.Field(12).(*array.TimestampBuilder).Append(at)
		tags := r.Field(13).(*array.ListBuilder)
		tags.Append(true)
		tags.ValueBuilder().(*array.StringBuilder).Append(text)
		tags.ValueBuilder().AppendNull()
		must(t, r.Next())
	}
	row(true, 1<<15-1, 1.5, 123456789, "é\n\x00\"", 0, 1)
	row(false, -1<<15, -0.1, -1, "", -719162, -1)
	for i := range 14 {
		r.Field(i).AppendNull()
	}
	must(t, r.Next())
	must(t, r.Flush())
	parts, err := s.Parts()
	must(t, err)
	types, rows := read(t, parts, "i64, b, i16, i32, f32, f64, d9, d18, d38, length(s), hex(bin), day, ts, tags[1] = s, len(tags)")
	wantTypes := "b boolean, i16 short, i32 integer, i64 long, f32 float, f64 double, d9 decimal(9,2), d18 decimal(18,0), d38 decimal(38,10), s string, bin binary, day date, ts timestamp, tags array<string>"
	if types != wantTypes {
		t.Errorf("types\n%s\nwant\n%s", types, wantTypes)
	}
	want := []string{
		"",
		"-32768|false|-32768|-32768|-0.1|-0.1|-0.01|-32768|9999999999999999999999999999.0123456789|0|00FF|0001-01-01|1969-12-31 23:59:59.999999+00|true|2",
		"32767|true|32767|32767|1.5|1.5|1234567.89|32767|9999999999999999999999999999.0123456789|4|00FF|1970-01-01|1970-01-01 00:00:00.000001+00|true|2",
	}
	if fmt.Sprintf("%q", rows) != fmt.Sprintf("%q", want) {
		t.Errorf("rows\n%q\nwant\n%q", rows, want)
	}
}

// A value that a type cannot hold stands as text beside the column, which stays once it is there.
func TestOther(t *testing.T) {
	s := spool.New(t.TempDir(), "origin")
	r := s.Builder([]spool.Column{{Name: "id", Type: arrow.PrimitiveTypes.Int64}, {Name: "n", Type: arrow.PrimitiveTypes.Int64}})
	for i := range int64(6) {
		r.Field(0).(*array.Int64Builder).Append(i)
		if i == 2 || i == 5 {
			r.Other(1, fmt.Sprintf("NaN %d", i))
		} else {
			r.Field(1).(*array.Int64Builder).Append(i * 10)
		}
		must(t, r.Next())
		if i == 0 || i == 3 {
			must(t, r.Flush())
		}
	}
	must(t, r.Flush())
	parts, err := s.Parts()
	must(t, err)
	types, _ := read(t, parts, "id")
	if types != "id long, n long\nid long, n long, n__v_text string" {
		t.Error(types)
	}
	_, rows := read(t, parts[1:], "id, coalesce(n::VARCHAR, '-'), coalesce(n__v_text, '-')")
	if got := strings.Join(rows, " "); got != "1|10|- 2|-|NaN 2 3|30|- 4|40|- 5|-|NaN 5" {
		t.Error(got)
	}
}

// Many goroutines feed one spool; a million rows take the memory of some batches.
func TestConcurrentAndBounded(t *testing.T) {
	s := spool.New(t.TempDir(), "origin")
	const workers, each = 8, 125_000
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var wg sync.WaitGroup
	for w := range int64(workers) {
		wg.Go(func() {
			r := s.Builder([]spool.Column{{Name: "id", Type: arrow.PrimitiveTypes.Int64}, {Name: "text", Type: arrow.BinaryTypes.String}})
			for i := range int64(each) {
				r.Field(0).(*array.Int64Builder).Append(w*each + i)
				r.Field(1).(*array.StringBuilder).Append("some text of a row")
				r.Grew(18)
				if err := r.Next(); err != nil {
					t.Error(err)
				}
			}
			if err := r.Flush(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grew := int64(after.HeapAlloc) - int64(before.HeapAlloc); grew > 64<<20 {
		t.Errorf("the heap grew by %d MB", grew>>20)
	}
	if s.Rows() != workers*each || s.Bytes() < workers*each*20 {
		t.Errorf("%d rows, %d bytes", s.Rows(), s.Bytes())
	}
	parts, err := s.Parts()
	must(t, err)
	_, rows := read(t, parts, "count(*), count(DISTINCT id), sum(id)")
	if want := fmt.Sprintf("%d|%d|%d", workers*each, workers*each, workers*each*(workers*each-1)/2); strings.Join(rows, "") != want {
		t.Errorf("%s, want %s", rows, want)
	}
}

// A spool that is given up leaves no file.
func TestAbort(t *testing.T) {
	dir := t.TempDir()
	s := spool.New(dir, "origin")
	r := s.Builder([]spool.Column{{Name: "id", Type: arrow.PrimitiveTypes.Int64}})
	r.Field(0).(*array.Int64Builder).Append(1)
	must(t, r.Next())
	must(t, r.Flush())
	s.Abort()
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("%v, %v", left, err)
	}
	if parts, err := s.Parts(); err != nil || parts != nil {
		t.Errorf("%v, %v", parts, err)
	}
}

// Many files together hold no more in memory than a bound; each is whole in the end.
func TestManyFilesTakeLittleMemory(t *testing.T) {
	s := spool.New(t.TempDir(), "topic")
	defer s.Abort()
	const files, rounds, perRound = 50, 20, 60
	random := make([]byte, 3000)
	_, _ = rand.Read(random)
	text := base64.StdEncoding.EncodeToString(random) // of which compression makes little less
	before, most := heapInUse(), uint64(0)
	for round := range rounds {
		for f := range files {
			rows := s.Builder([]spool.Column{{Name: fmt.Sprintf("c%d", f), Type: arrow.BinaryTypes.String}})
			for i := range perRound {
				rows.Field(0).(*array.StringBuilder).Append(fmt.Sprint(round, f, i, text[(round*f*i)%1000:], text))
				rows.Grew(2 * len(text))
				must(t, rows.Next())
			}
			must(t, rows.Flush())
		}
		most = max(most, heapInUse()-before)
	}
	parts, err := s.Parts()
	must(t, err)
	if len(parts) != files {
		t.Fatalf("%d parts", len(parts))
	}
	for _, i := range []int{0, 1, 24, files - 1} {
		_, rows := read(t, parts[i:i+1], fmt.Sprintf("c%d", i))
		if len(rows) != rounds*perRound {
			t.Errorf("file %d has %d rows", i, len(rows))
		}
	}
	if limit := uint64(130 << 20); most > limit { // of 450 MB
		t.Errorf("%d MB in memory", most>>20)
	}
	t.Logf("%d MB in memory", most>>20)
}

func heapInUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
