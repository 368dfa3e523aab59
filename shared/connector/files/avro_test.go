package files_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	parquetfile "github.com/apache/arrow-go/v18/parquet/file"
	"github.com/klauspost/compress/zstd"
	"github.com/twmb/avro"
	"github.com/twmb/avro/ocf"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/store/file"
)

func avroStream() connector.Settings { return stream("path", "*.avro", "format", "avro") }

func TestConformanceAvro(t *testing.T) {
	conform(t, format{settings: stream("path", "*.data", "format", "avro"), write: writeAvro, broken: "Obj\x01 and no header", breaks: 1})
}

func writeAvro(w io.Writer, rows []record) {
	extra := ""
	if rows[0].extra != "" {
		extra = `,{"name":"extra","type":["null","string"]}`
	}
	if rows[0].odd != "" {
		extra = `,{"name":"odd","type":{"type":"map","values":["null","long"]}}`
	}
	out, err := ocf.NewWriter(w, avro.MustParse(`{"type":"record","name":"R","fields":[{"name":"id","type":"string"},{"name":"n","type":"long"}`+extra+`]}`),
		ocf.WithCodec(ocf.SnappyCodec()))
	for i, r := range rows {
		v := map[string]any{"id": r.id, "n": int64(i), "extra": r.extra, "odd": map[string]any{"a": int64(1)}}
		if err == nil {
			err = out.Encode(v)
		}
	}
	if err == nil {
		err = out.Close()
	}
	if err != nil {
		panic(err)
	}
}

// Files that another program wrote, of every codec, with every type: testdata/write_avro.py.
func TestAvroOfFastavro(t *testing.T) {
	e := newEngine(t)
	want := map[string][2]string{
		"id": {"0", "9223372036854775807"}, "small": {"-1", null}, "ratio": {"-0.0", "0.1"}, "single": {"0.0", "1.5"}, "yes": {"false", "true"}, "text": {null, "é😀\n\"x\""},
		"raw": {"", `\x00\xFF`}, "amount": {"0.00", "-1234567890.12"}, "exact": {"0.0000000000", "12345678901234567890.0123456789"}, "day": {"9999-12-31", "1969-12-31"},
		"clock": {"00:00:00.000000", "23:59:59.999999"}, "at_ms": {"1970-01-01 00:00:00+00", "2026-01-02 03:04:05.006+00"}, "at_us": {null, "0001-01-01 00:00:00.000001+00"},
		"uid": {"ffffffff-ffff-ffff-ffff-ffffffffffff", "00000000-0000-0000-0000-000000000001"}, "color": {"RED", "GREEN"}, "tags": {"[]", "[a, '']"}, "numbers": {null, "[1, NULL]"},
		"counts": {"{}", `{"k\"":-1}`}, "inner": {`{"a":0,"next":null}`, `{"a":1,"next":{"a":2,"next":null}}`}, "either": {"5", `"5"`}, "order_id": {"7", "-2147483648"},
	}
	for _, codec := range []string{"null", "deflate", "snappy", "zstandard"} {
		text, err := os.ReadFile("testdata/types-" + codec + ".avro")
		must(t, err)
		got := load(t, e, landing(t, "f.avro", string(text)), avroStream())
		if len(got.rows) != 2 || got.counted != 2 || len(got.columns) != len(want) || len(got.rejects)+len(got.bad) > 0 {
			t.Fatalf("%s: rows %q, columns %q, rejects %v, bad %v", codec, got.rows, got.columns, got.rejects, got.bad)
		}
		for i, c := range got.columns {
			if w := want[c]; got.rows[0][i] != w[0] || got.rows[1][i] != w[1] {
				t.Errorf("%s: column %s is %q and %q, want %q", codec, c, got.rows[0][i], got.rows[1][i], w)
			}
		}
	}
}

// avroFile is a file of numbers in blocks of ten, and where each block begins.
func avroFile(t testing.TB, codec string, rows int) (file []byte, blocks []int) {
	t.Helper()
	return avroOf(t, codec, rows, func(i int) []byte { return binary.AppendVarint(nil, int64(i)) })
}

const numbersSchema = `{"type":"record","name":"N","fields":[{"name":"n","type":"long"}]}`

func avroOf(t testing.TB, codec string, rows int, encode func(i int) []byte) (file []byte, blocks []int) {
	t.Helper()
	file = avroHeader(numbersSchema, codec)
	for i := 0; i < rows; {
		blocks = append(blocks, len(file))
		var data []byte
		n := min(10, rows-i)
		for range n {
			data = append(data, encode(i)...)
			i++
		}
		file = appendBlock(t, file, codec, n, data)
	}
	return file, blocks
}

const marker = "0123456789abcdef"

func avroHeader(schema, codec string) []byte {
	b := []byte("Obj\x01")
	b = binary.AppendVarint(b, 2)
	for _, text := range []string{"avro.schema", schema, "avro.codec", codec} {
		b = append(binary.AppendVarint(b, int64(len(text))), text...)
	}
	return append(append(b, 0), marker...)
}

func appendBlock(t testing.TB, b []byte, codec string, n int, data []byte) []byte {
	t.Helper()
	if codec == "zstandard" {
		w, err := zstd.NewWriter(nil)
		must(t, err)
		data = w.EncodeAll(data, nil)
	}
	b = binary.AppendVarint(binary.AppendVarint(b, int64(n)), int64(len(data)))
	return append(append(b, data...), marker...)
}

// numbered are the rows with these numbers.
func numbered(t testing.TB, rows [][]string, ranges ...[2]int) {
	t.Helper()
	var want []string
	for _, r := range ranges {
		for i := r[0]; i < r[1]; i++ {
			want = append(want, fmt.Sprint(i))
		}
	}
	var got []string
	for _, r := range rows {
		got = append(got, r[0])
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("rows %v, want %v", got, want)
	}
}

// Of a file with a broken block, the others are taken.
func TestAvroBrokenBlocks(t *testing.T) {
	e := newEngine(t)
	type damage struct {
		name   string
		change func(b []byte, at, next int) []byte
		why    string // in what is reported; "" where nothing is
		kept   [][2]int
	}
	around := [][2]int{{0, 10}, {20, 40}}
	for _, codec := range []string{"null", "zstandard"} {
		for _, d := range []damage{
			{"none", func(b []byte, _, _ int) []byte { return b }, "", [][2]int{{0, 40}}},
			{"a byte in the marker", func(b []byte, _, next int) []byte { b[next-1] ^= 1; return b }, "the file's marker does not stand behind it", [][2]int{{0, 10}, {30, 40}}},
			{"a lower size", func(b []byte, at, _ int) []byte { b[at+1] -= 2; return b }, "the file's marker does not stand behind it", around},
			{"a huge size", func(b []byte, at, _ int) []byte {
				return slices.Concat(b[:at+1], binary.AppendVarint(nil, 1<<60), b[at+2:])
			}, "it says that it has 1152921504606846976 bytes", around},
			{"a negative size", func(b []byte, at, _ int) []byte { b[at+1] = 1; return b }, "it says that it has 10 records in -1 bytes", around},
			{"a number without end", func(b []byte, at, _ int) []byte {
				return slices.Concat(b[:at], bytes.Repeat([]byte{0xff}, 12), b[at:])
			}, "overflow", around},
			{"more records", func(b []byte, at, _ int) []byte { b[at] += 2; return b }, "record 11: the value ends too early", around},
			{"fewer records", func(b []byte, at, _ int) []byte { b[at] -= 2; return b }, "are left behind its records", around},
			{"a piece lacks", func(b []byte, at, next int) []byte { return slices.Concat(b[:at+4], b[next-8:]) }, "marker", [][2]int{{0, 10}, {30, 40}}},
			{"noise between", func(b []byte, at, _ int) []byte {
				return slices.Concat(b[:at], []byte("\x02noise, and more of it"+marker), b[at:])
			}, "the file's marker does not stand behind it", [][2]int{{0, 40}}},
		} {
			file, blocks := avroFile(t, codec, 40)
			got := load(t, e, landing(t, "f.avro", string(d.change(slices.Clone(file), blocks[1], blocks[2]))), avroStream())
			t.Run(codec+" "+d.name, func(t *testing.T) {
				numbered(t, got.rows, d.kept...)
				if d.why == "" && len(got.rejects) == 0 {
					return
				}
				if len(got.rejects) != 1 || !strings.Contains(got.rejects[0].error, d.why) || !strings.Contains(got.rejects[0].error, fmt.Sprintf("the block at byte %d", blocks[1])) {
					t.Errorf("rejects %+v, want %q", got.rejects, d.why)
				}
			})
		}
	}
}

// A file that is cut off gives its whole blocks.
func TestAvroCut(t *testing.T) {
	e := newEngine(t)
	file, blocks := avroFile(t, "null", 30)
	for at := blocks[0]; at < len(file); at++ {
		got := load(t, e, landing(t, "f.avro", string(file[:at])), avroStream())
		whole := len(slices.DeleteFunc(slices.Clone(append(blocks[1:], len(file))), func(end int) bool { return end > at }))
		numbered(t, got.rows, [2]int{0, 10 * whole})
		atEnd := slices.Contains(blocks, at)
		if (len(got.rejects) == 0) != atEnd || len(got.rejects) > 1 {
			t.Errorf("cut at %d: rejects %+v", at, got.rejects)
		}
	}
}

func TestAvroFilesThatCannotBeRead(t *testing.T) {
	e := newEngine(t)
	for text, want := range map[string]string{
		"":                                "the file is no Avro object container file",
		"Obj\x02":                         "the file is no Avro object container file",
		"Obj\x01":                         "the file's header is broken: the file ends in the middle of it",
		"a,b\n1,2":                        "the file is no Avro object container file",
		"Obj\x01\x02\xfe\xff\xff\xff\x0f": "the file's header is broken: a text of",
		string(avroHeader(`{"type":"nonsense"}`, "null")):                      "the file's schema: ",
		string(avroHeader(`{`, "null")):                                        "the file's schema: ",
		string(avroHeader(numbersSchema, "xz")):                                `the file's codec "xz" is none of`,
		string(avroHeader(numbersSchema, "null"))[:40]:                         "the file's header is broken: ",
		string(avroHeader(`{"type":"record","name":"E","fields":[]}`, "null")): "the file's records have no fields",
	} {
		got := load(t, e, landing(t, "f.avro", text), avroStream())
		if len(got.bad) != 1 || !strings.HasPrefix(got.bad[0].Error, want) || len(got.rows) > 0 || len(got.page.Items) != 1 {
			t.Errorf("%.40q: bad %+v, want %q", text, got.bad, want)
		}
	}
	header := string(avroHeader(numbersSchema, "null"))
	if got := load(t, e, landing(t, "f.avro", header), avroStream()); len(got.bad)+len(got.rows)+len(got.rejects) > 0 || len(got.page.Items) != 1 {
		t.Errorf("no blocks: %+v", got)
	}
}

// One value that is not valid is rejected alone.
func TestAvroInvalidText(t *testing.T) {
	e := newEngine(t)
	b := avroHeader(`{"type":"record","name":"T","fields":[{"name":"t","type":"string"}]}`, "null")
	b = appendBlock(t, b, "null", 3, []byte("\x02a\x02\xff\x02c"))
	got := load(t, e, landing(t, "f.avro", string(b)), avroStream())
	if fmt.Sprint(got.rows) != "[[a] [c]]" || len(got.rejects) != 1 || got.rejects[0].text != "Av8=" || !strings.Contains(got.rejects[0].error, "record 2 of the block at byte") {
		t.Errorf("rows %q, rejects %+v", got.rows, got.rejects)
	}
}

// What a column cannot hold is text beside it.
func TestAvroValuesThatDoNotFit(t *testing.T) {
	e := newEngine(t)
	b := avroHeader(`{"type":"record","name":"T","fields":[{"name":"id","type":"int"},{"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}},
		{"name":"nanos","type":{"type":"long","logicalType":"timestamp-nanos"}}]}`, "null")
	var data []byte
	for i, n := range []int64{0, math.MaxInt64} {
		data = binary.AppendVarint(binary.AppendVarint(binary.AppendVarint(data, int64(i)), n), 1)
	}
	got := load(t, e, landing(t, "f.avro", string(appendBlock(t, b, "null", 2, data))), avroStream())
	if want := `["0" "1970-01-01 00:00:00+00" "1970-01-01T00:00:00.000000001Z" "` + null; len(got.page.Parts) != 1 || !strings.HasPrefix(fmt.Sprintf("%q", got.rows[0]), want[:60]) ||
		fmt.Sprintf("%q", got.columns) != `["id" "at" "nanos" "at__v_text"]` || got.rows[1][3] != "9223372036854775807" || got.rows[1][1] != null {
		t.Errorf("columns %q, rows %q, parts %d", got.columns, got.rows, len(got.page.Parts))
	}
}

// A small file that holds endlessly much is refused, and takes neither memory nor disk.
func TestAvroBombs(t *testing.T) {
	e := newEngine(t)
	zeros := make([]byte, 32<<20)
	var file []byte
	file = avroHeader(`{"type":"record","name":"B","fields":[{"name":"b","type":"bytes"}]}`, "zstandard")
	block := appendBlock(t, nil, "zstandard", 1, append(binary.AppendVarint(nil, int64(len(zeros))), zeros...))
	file = append(file, bytes.Repeat(block, 64)...)
	got := loadLimited(t, e, landing(t, "f.avro", string(file)), avroStream(), connector.Limit{Bytes: 100 << 20})
	if len(got.bad) != 1 || !strings.Contains(got.bad[0].Error, "the file expands to more than 104857600 bytes") || len(got.rows) > 0 {
		t.Errorf("bad %+v, %d rows", got.bad, len(got.rows))
	}
	nothing := appendBlock(t, avroHeader(`{"type":"record","name":"B","fields":[{"name":"b","type":"null"}]}`, "null"), "null", 1<<40, nil)
	if got := load(t, e, landing(t, "f.avro", string(nothing)), avroStream()); len(got.bad)+len(got.rejects) != 1 || len(got.rows) > 0 {
		t.Errorf("records of nothing: bad %+v, rejects %+v", got.bad, got.rejects)
	}
}

// Any bytes behind a header: nothing panics, and what is counted is there.
func FuzzAvro(f *testing.F) {
	for _, codec := range []string{"null", "zstandard", "deflate", "snappy"} {
		file, _ := avroFile(f, codec, 25)
		f.Add(file)
		text, err := os.ReadFile("testdata/types-" + codec + ".avro")
		must(f, err)
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		dir := landing(t, "f.avro", string(text))
		s, err := file.New(dir)
		must(t, err)
		page, err := source(t, s, avroStream()).Next(t.Context(), connector.Request{Stream: "s", Dir: t.TempDir()})
		must(t, err)
		for _, p := range page.Parts {
			for _, f := range p.Files {
				r, err := parquetfile.OpenParquetFile(f.Path, false)
				must(t, err)
				if r.NumRows() != f.Rows {
					t.Fatalf("%d rows counted, %d written", f.Rows, r.NumRows())
				}
				must(t, r.Close())
			}
		}
	})
}

// BenchmarkAvro reads records of ten fields.
func BenchmarkAvro(b *testing.B) {
	schema := avro.MustParse(`{"type":"record","name":"Order","fields":[
{"name":"id","type":"long"},{"name":"customer","type":"string"},{"name":"email","type":["null","string"]},
{"name":"amount","type":{"type":"bytes","logicalType":"decimal","precision":12,"scale":2}},
{"name":"quantity","type":"int"},{"name":"price","type":"double"},{"name":"paid","type":"boolean"},
{"name":"status","type":{"type":"enum","name":"Status","symbols":["NEW","PAID","SHIPPED"]}},
{"name":"created","type":{"type":"long","logicalType":"timestamp-micros"}},
{"name":"note","type":["null","string"]}]}`)
	dir := b.TempDir()
	f, err := os.Create(filepath.Join(dir, "f.avro"))
	must(b, err)
	w, err := ocf.NewWriter(f, schema, ocf.WithCodec(ocf.SnappyCodec()))
	must(b, err)
	const n = 200_000
	for i := range n {
		must(b, w.Encode(map[string]any{"id": int64(i), "customer": fmt.Sprintf("customer-%d", rand.IntN(10000)), "email": "somebody@example.com", "amount": []byte{1, 2, byte(i)},
			"quantity": int32(3), "price": rand.Float64(), "paid": true, "status": "PAID", "created": int64(1_790_000_000_000_000 + i), "note": nil}))
	}
	must(b, w.Close())
	must(b, f.Close())
	benchmarkRead(b, dir, avroStream(), n)
}
