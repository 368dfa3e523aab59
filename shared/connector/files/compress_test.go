package files_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/lakestep/lakestep/shared/connector"
	"github.com/lakestep/lakestep/shared/connector/files"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/store/file"
	"github.com/lakestep/lakestep/shared/store/mem"
)

func gz(t testing.TB, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := io.WriteString(w, text)
	must(t, err)
	must(t, w.Close())
	return b.String()
}

func zst(t testing.TB, text string) string {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	must(t, err)
	return string(w.EncodeAll([]byte(text), nil))
}

func TestConformanceCompressed(t *testing.T) {
	packed := func(w io.Writer, rows []record) {
		var b bytes.Buffer
		writeCSV(&b, rows)
		z := gzip.NewWriter(w)
		z.Write(b.Bytes())
		z.Close()
	}
	conform(t, format{settings: stream("path", "*.data", "format", "csv", "compression", "gzip"), write: packed, broken: "this is no gzip", breaks: 1})
}

func TestCompressed(t *testing.T) {
	e := newEngine(t)
	csv, jsonl, array := "a,b\n1,2\n3,4\n", "{\"a\":1,\"b\":2}\n{\"a\":3,\"b\":4}\n", `[{"a":1,"b":2},{"a":3,"b":4}]`
	skip := "\x50\x2a\x4d\x18\x03\x00\x00\x00abc" // a frame that readers skip
	for name, tt := range map[string]struct{ settings, text string }{
		"csv gzip":                   {"csv", gz(t, csv)},
		"csv zstd":                   {"csv", zst(t, csv)},
		"jsonl gzip":                 {"jsonl", gz(t, jsonl)},
		"jsonl zstd":                 {"jsonl", zst(t, jsonl)},
		"json gzip":                  {"json", gz(t, array)},
		"json zstd":                  {"json", zst(t, array)},
		"gzip of many members":       {"csv", gz(t, "a,b\n1,") + gz(t, "") + gz(t, "2\n3,4\n")},
		"zstd of many frames":        {"csv", zst(t, "a,b\n1,") + skip + zst(t, "2\n3,4\n")},
		"zstd that begins otherwise": {"csv", skip + zst(t, csv)},
		"said gzip":                  {"csv gzip", gz(t, csv)},
		"said zstd":                  {"csv zstd", zst(t, csv)},
		"said none":                  {"csv none", csv},
		"auto, but plain":            {"csv auto", csv},
	} {
		format, compression, _ := strings.Cut(tt.settings, " ")
		st := stream("path", "*.data", "format", format)
		if compression != "" {
			st["compression"] = connector.Setting{Text: compression}
		}
		got := load(t, e, landing(t, "f.data", tt.text), st)
		if fmt.Sprint(got.rows) != "[[1 2] [3 4]]" || len(got.bad)+len(got.rejects) > 0 {
			t.Errorf("%s: rows %q, bad %+v, rejects %+v", name, got.rows, got.bad, got.rejects)
		}
	}
}

// Of what cannot be expanded to its end no row is taken.
func TestCompressedBroken(t *testing.T) {
	e := newEngine(t)
	var text strings.Builder
	text.WriteString("a,b\n")
	for range 20_000 {
		fmt.Fprintf(&text, "%d,%d\n", rand.Uint64(), rand.Uint64())
	}
	packed := map[string]string{"gzip": gz(t, text.String()), "zstd": zst(t, text.String())}
	flip := func(s string, at int) string { b := []byte(s); b[at] ^= 0xff; return string(b) }
	for codec, good := range packed {
		for name, tt := range map[string]struct{ compression, text, why string }{
			"cut in the middle":        {"auto", good[:len(good)/2], "broken " + codec},
			"cut before its last byte": {"auto", good[:len(good)-1], "broken " + codec},
			"cut in its header":        {codec, good[:3], ""},
			"flipped":                  {"auto", flip(good, len(good)/2), "broken " + codec},
			"a flipped checksum":       {"auto", flip(good, len(good)-2), "broken " + codec},
			"something behind":         {"auto", good + "a,b\n1,2\n", "broken " + codec},
			"not compressed":           {codec, "a,b\n1,2\n", "the file is not compressed by " + codec},
		} {
			st := stream("path", "*.csv", "format", "csv", "compression", tt.compression)
			dir := landing(t, "bad.csv", tt.text)
			write(t, filepath.Join(dir, "good.csv"), map[string]string{"auto": "a,b\n1,2\n", "gzip": gz(t, "a,b\n1,2\n"), "zstd": zst(t, "a,b\n1,2\n")}[tt.compression])
			got := load(t, e, dir, st)
			if len(got.bad) != 1 || got.bad[0].Key != "bad.csv" || !strings.Contains(got.bad[0].Error, tt.why) || fmt.Sprint(got.rows) != "[[1 2]]" || len(got.page.Items) != 2 {
				t.Errorf("%s, %s: %d rows, bad %+v", codec, name, len(got.rows), got.bad)
			}
		}
	}
}

// A small file that becomes endlessly large is refused; one that is merely large is taken, whatever the page's limit.
func TestBombs(t *testing.T) {
	e := newEngine(t)
	bomb := strings.Repeat(strings.Repeat("1,2,3,4,5,6,7,8\n", 64<<10), 200)
	for _, pack := range []func(testing.TB, string) string{gz, zst} {
		dir := landing(t, "bomb.csv", pack(t, "a,b,c,d,e,f,g,h\n"+bomb))
		write(t, filepath.Join(dir, "good.csv"), "a\n1\n")
		got := loadLimited(t, e, dir, csvStream(), connector.Limit{Bytes: 1 << 20})
		if len(got.bad) != 1 || !strings.Contains(got.bad[0].Error, "expands to more than") || got.bad[0].Key != "bomb.csv" {
			t.Errorf("bad %+v", got.bad)
		}
	}
	var large strings.Builder
	large.WriteString("a,b\n")
	for i := range 200_000 {
		fmt.Fprintf(&large, "%d,%d\n", i, rand.IntN(10))
	}
	got := loadLimited(t, e, landing(t, "large.csv", gz(t, large.String())), csvStream(), connector.Limit{Bytes: 1})
	if len(got.bad) > 0 || len(got.rows) != 200_000 {
		t.Errorf("%d rows, bad %+v", len(got.rows), got.bad)
	}
}

// The page ends by what compressed files become, not by what they are.
func TestPagesOfCompressedFiles(t *testing.T) {
	dir := t.TempDir()
	for i := range 4 {
		write(t, filepath.Join(dir, fmt.Sprintf("%d.csv", i)), gz(t, "a\n"+strings.Repeat("1\n", 100_000)))
	}
	s, err := file.New(dir)
	must(t, err)
	page := next(t, source(t, s, csvStream()), position(), connector.Limit{Items: 9, Bytes: 300_000})
	if len(page.Items) != 2 || !page.More {
		t.Errorf("%d items, more %v", len(page.Items), page.More)
	}
}

func TestCompressionOfPackedFormats(t *testing.T) {
	for _, format := range []string{"parquet", "avro"} {
		_, err := files.New(mem.New(), config(stream("path", "*", "format", format, "compression", "gzip")))
		if fault.KindOf(err) != fault.InvalidInput || fault.HintOf(err) == "" {
			t.Errorf("%s: %v", format, err)
		}
	}
}
