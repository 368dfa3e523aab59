package delta

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/lakestep/lakestep/shared/store"
	"github.com/lakestep/lakestep/shared/store/mem"
	"github.com/parquet-go/parquet-go"
)

// bounded fails the test when f allocates more than a fixed part and so many times the input.
func bounded(t *testing.T, input, times int, f func()) {
	t.Helper()
	if n, limit := allocated(f), uint64(128<<20+times*input); n > limit {
		t.Fatalf("%d bytes allocated for an input of %d; at most %d are allowed", n, input, limit)
	}
}

func logOf(t testing.TB, objects map[string]string) *Table {
	t.Helper()
	lake := mem.New()
	for name, text := range objects {
		if err := lake.Put(t.Context(), "t/"+name, strings.NewReader(text), store.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	return Open(lake, "t", Options{})
}

// corpusFiles are the small files of the corpus that match a pattern below a table's log, beside the checkout.
func corpusFiles(f *testing.F, pattern string, limit int) [][]byte {
	f.Helper()
	names, err := filepath.Glob(filepath.Join("../../../shared/corpus/delta/*/*/_delta_log", pattern))
	if err != nil {
		f.Fatal(err)
	}
	var out [][]byte
	for _, name := range names {
		if b, err := os.ReadFile(name); err == nil && len(b) < 100_000 && len(out) < limit {
			out = append(out, b)
		}
	}
	return out
}

const fuzzStart = `{"protocol":{"minReaderVersion":1,"minWriterVersion":2}}` + "\n" +
	`{"metaData":{"id":"x","format":{"provider":"parquet","options":{}},"schemaString":"{\"type\":\"struct\",\"fields\":[{\"name\":\"a\",\"type\":\"long\",\"nullable\":true,\"metadata\":{}},{\"name\":\"p\",\"type\":\"string\",\"nullable\":true,\"metadata\":{}}]}","partitionColumns":["p"],"configuration":{}}}` + "\n" +
	`{"add":{"path":"f","partitionValues":{"p":"1"},"size":1,"modificationTime":1,"dataChange":true,"stats":"{\"numRecords\":1,\"minValues\":{\"a\":1},\"maxValues\":{\"a\":2}}"}}` + "\n"

// FuzzCommit: a log of any two commits is read or refused, in bounded memory. What is read is the same when its
// actions are written as one commit.
func FuzzCommit(f *testing.F) {
	for _, b := range corpusFiles(f, "*.json", 60) {
		f.Add(b, []byte{})
	}
	f.Add([]byte(fuzzStart), []byte(`{"remove":{"path":"f","dataChange":true}}`))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		table := logOf(t, map[string]string{"_delta_log/" + commitName(0): string(first), "_delta_log/" + commitName(1): string(second)})
		var s *Snapshot
		var err error
		bounded(t, len(first)+len(second), 500, func() { s, err = table.Snapshot(t.Context(), AsOf{}) })
		if err != nil {
			return
		}
		var body bytes.Buffer
		actions := []Action{s.Protocol(), s.Metadata()}
		for _, a := range s.Txns() {
			actions = append(actions, a)
		}
		for _, a := range s.Domains() {
			actions = append(actions, a)
		}
		for _, a := range s.Files() {
			actions = append(actions, a)
		}
		for _, a := range actions {
			text, err := encodeLine(a)
			if err != nil {
				t.Fatal(err)
			}
			body.Write(append(text, '\n'))
		}
		again, err := logOf(t, map[string]string{"_delta_log/" + commitName(0): body.String()}).Snapshot(t.Context(), AsOf{})
		if err != nil {
			t.Fatalf("%v of\n%s", err, body.String())
		}
		if d := cmp.Diff([]any{s.Files(), s.Txns(), s.Domains(), s.Size()}, []any{again.Files(), again.Txns(), again.Domains(), again.Size()}); d != "" {
			t.Fatal(d)
		}
	})
}

// FuzzCheckpoint: any bytes in place of a Parquet checkpoint are read or refused, in bounded memory.
func FuzzCheckpoint(f *testing.F) {
	for _, b := range append(corpusFiles(f, "*.checkpoint*.parquet", 20), corpusFiles(f, "_sidecars/*.parquet", 5)...) {
		f.Add(b)
	}
	stats := `{"numRecords":1}`
	for _, option := range []parquet.WriterOption{parquet.Compression(&parquet.Snappy), parquet.Compression(&parquet.Zstd),
		parquet.Compression(&parquet.Gzip), parquet.Compression(&parquet.Uncompressed), parquet.DataPageVersion(2)} {
		var out bytes.Buffer
		w := parquet.NewGenericWriter[checkpointRow](&out, option)
		_, err := w.Write([]checkpointRow{{Protocol: &protocolCol{MinReaderVersion: 1, MinWriterVersion: 2}}, {Txn: &txnRow{AppID: "a", Version: 1}},
			{Add: &addRow{Path: "f", Size: 1, Stats: &stats, PartitionValues: map[string]*string{"p": nil, "q": &stats}}}, {Remove: &removeRow{Path: "g"}}})
		if err == nil {
			err = w.Close()
		}
		if err != nil {
			f.Fatal(err)
		}
		f.Add(out.Bytes())
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		table := logOf(t, map[string]string{"cp": string(file)})
		bounded(t, len(file), 3000, func() {
			err := table.readParquet(context.Background(), "t/cp", int64(len(file)), func(l line) error { return l.check() })
			_ = err
		})
	})
}

// FuzzPartitionValue: a text that a type understands is the same value when it is written and read again.
func FuzzPartitionValue(f *testing.F) {
	for _, s := range []string{"", "1", "-0.0", "1.0E-7", "NaN", "-Infinity", "true", "2024-02-29", "0001-01-01 00:00:00.000001",
		"2024-01-01T00:00:00.000000Z", "99999999999999999999999999999999999999", "1e5", "日本/%=", "\x00\xff", "+5", "0x1p4", "1_000"} {
		f.Add(s)
	}
	types := []Type{String, Long, Integer, Short, Byte, Float, Double, Boolean, Binary, Date, Timestamp, TimestampNTZ, Decimal(38, 10), ArrayType{Element: Long}}
	f.Fuzz(func(t *testing.T, text string) {
		for _, typ := range types {
			v, err := ParsePartitionValue(typ, &text)
			if err != nil || v == nil {
				continue
			}
			written, err := FormatPartitionValue(typ, v)
			if err != nil {
				t.Fatalf("%s %q is %v, which cannot be written: %v", typ, text, v, err)
			}
			again, err := ParsePartitionValue(typ, written)
			if err != nil || fmt.Sprint(again) != fmt.Sprint(v) {
				t.Fatalf("%s %q is %v, written %q, which is %v, %v", typ, text, v, *written, again, err)
			}
		}
	})
}

// FuzzStats: statistics of any text are stable when written again, and no file is skipped by what is none.
func FuzzStats(f *testing.F) {
	for _, s := range []string{"", "{}", `{"numRecords":1,"minValues":{"a":1},"maxValues":{"a":2},"nullCount":{"a":0}}`, `{"numRecords":-1}`,
		`{"numRecords":1e2}`, `{"numRecords":5,"minValues":{"a":{"b":1}},"maxValues":[]}`, `{"numRecords":5,"minValues":{"a":1e999999999},"maxValues":{"a":"NaN"}}`} {
		f.Add(s, "1", uint8(0))
	}
	types := []Primitive{Long, String, Double, Date, Timestamp, TimestampNTZ, Decimal(38, 10), Boolean, Binary}
	ops := []Op{OpEq, OpNe, OpLt, OpLe, OpGt, OpGe, OpIn, OpIsNull, OpIsNotNull, OpStartsWith}
	f.Fuzz(func(t *testing.T, stats, value string, n uint8) {
		if st, ok := ParseStats(stats); ok {
			text := st.JSON()
			again, ok := ParseStats(text)
			if !ok || again.JSON() != text {
				t.Fatalf("%s becomes %s", stats, text)
			}
		}
		typ := types[int(n)%len(types)]
		schema := Schema{Fields: []Field{{Name: "a", Type: typ, Nullable: true}}}
		schemaText, err := schema.JSON()
		if err != nil {
			t.Fatal(err)
		}
		m := Metadata{ID: "x", SchemaString: schemaText}
		st := newState()
		st.protocol, st.metadata = &Protocol{MinReaderVersion: 1, MinWriterVersion: 2}, &m
		st.add(Add{Path: "f", Size: 1, Stats: stats})
		s, err := logOf(t, nil).snapshot(0, st)
		if err != nil {
			t.Fatal(err)
		}
		bounded(t, len(stats)+len(value), 500, func() {
			for _, op := range ops {
				pruned := s.Prune(Predicate{Op: op, Column: []string{"a"}, Values: []string{value}})
				if n := len(pruned.Files) + pruned.ByPartition + pruned.ByStats; n != 1 {
					t.Fatalf("%d files of 1", n)
				}
				if _, known := ParseStats(stats); !known && pruned.ByStats > 0 {
					t.Fatalf("skipped by statistics that nobody knows: %s", stats)
				}
			}
		})
	})
}

// FuzzSchema: a schema that is understood is stable when it is written and read again, in bounded memory.
func FuzzSchema(f *testing.F) {
	for _, s := range []string{columnsSchema(3), nestedSchema(5), `{"type":"struct","fields":[]}`, `{"type":"struct"}`, `"long"`, `null`,
		`{"type":"struct","fields":[{"name":"a","type":{"type":"map","keyType":"string","valueType":"decimal(5,2)","valueContainsNull":true},"nullable":false,"metadata":{"x":1.0}}]}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		bounded(t, len(text), 2000, func() {
			s, err := ParseSchema(text)
			if err != nil {
				return
			}
			once, err := s.JSON()
			if err != nil {
				t.Fatal(err)
			}
			again, err := ParseSchema(once)
			if err != nil {
				t.Fatalf("%v of %s", err, once)
			}
			if twice, _ := again.JSON(); twice != once {
				t.Fatalf("%s becomes %s", once, twice)
			}
			_ = s.String()
		})
	})
}

// FuzzHint: whatever is in _last_checkpoint, the table is the same.
func FuzzHint(f *testing.F) {
	for _, s := range []string{`{"version":0,"size":3}`, `{"version":1,"size":3,"parts":2}`, `{"version":9223372036854775807}`, `{"version":-1}`, `{`, `[]`, ``, `{"version":1e3}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, hint string) {
		table := logOf(t, map[string]string{"_delta_log/" + commitName(0): fuzzStart, "_delta_log/" + commitName(1): `{"txn":{"appId":"a","version":1}}`, "_delta_log/_last_checkpoint": hint})
		s, err := table.Snapshot(t.Context(), AsOf{})
		if err != nil || s.Version() != 1 || s.NumFiles() != 1 {
			t.Fatalf("hint %q: %v", hint, err)
		}
	})
}

// FuzzStaged: any document under the right digest is loaded or refused; what is loaded is stable when staged again.
func FuzzStaged(f *testing.F) {
	s, err := logOf(f, map[string]string{"_delta_log/" + commitName(0): fuzzStart}).Snapshot(f.Context(), AsOf{})
	if err != nil {
		f.Fatal(err)
	}
	body, err := s.Begin(Operation{Name: "WRITE", Parameters: map[string]any{"n": 1}}).Remove(true, s.Files()...).ReadFiles(s.Files()...).SetTxn("a", 1).document()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(body)
	f.Add([]byte(`{"format":"lakestep.staged/1","table":"t","txnId":"x","actions":[{"add":{"path":"a","size":1}}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		load := func(body []byte) (*Txn, error) {
			table := logOf(t, map[string]string{"_lakestep/staged/7.json": string(body)})
			return table.LoadStaged(t.Context(), Staged{Attempt: 7, Key: table.stagedKey(7), SHA256: digest(body)})
		}
		x, err := load(body)
		if err != nil {
			return
		}
		once, err := x.document()
		if err != nil {
			t.Fatal(err)
		}
		if x, err = load(once); err != nil {
			t.Fatalf("%v of %s", err, once)
		}
		if twice, _ := x.document(); !bytes.Equal(once, twice) {
			t.Fatal(cmp.Diff(string(once), string(twice)))
		}
	})
}

// FuzzInterval: an interval is understood, never negative, or not.
func FuzzInterval(f *testing.F) {
	for _, s := range []string{"", "interval 1 week", "7 days", "interval 2 hours 30 minutes", "interval 9223372036854775807 weeks", "interval -1 day", "1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if d, ok := parseInterval(text); ok && d < 0 {
			t.Fatalf("%q is %v", text, d)
		}
	})
}
