package files_test

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/lakestep/lakestep/shared/connector"
)

func csvStream() connector.Settings { return stream("path", "*.csv", "format", "csv") }

// Each case is a file with the columns a,b,c, the rows that it holds and the lines that hold none.
func TestCSVCases(t *testing.T) {
	e := newEngine(t)
	one, last := []string{"1", "2", "3"}, []string{"7", "8", "9"}
	long := strings.Repeat("x", 8<<20)
	for _, tt := range []struct {
		name, text string
		rows       [][]string
		rejects    []reject
	}{
		{"plain", "a,b,c\n1,2,3\n7,8,9\n", [][]string{one, last}, nil},
		{"no line end at the end", "a,b,c\n1,2,3\n7,8,9", [][]string{one, last}, nil},
		{"CRLF", "a,b,c\r\n1,2,3\r\n7,8,9\r\n", [][]string{one, last}, nil},
		{"CR", "a,b,c\r1,2,3\r7,8,9\r", [][]string{one, last}, nil},
		{"CRLF, then LF", "a,b,c\r\n1,2,3\n7,8,9\n", [][]string{one, last}, nil},
		{"LF, then CRLF", "a,b,c\n1,2,3\r\n7,8,9\r\n", [][]string{one, last}, nil},
		{"CR within a field", "a,b,c\n1,2\rx,3\n7,8,9\n", [][]string{{"1", "2\rx", "3"}, last}, nil},
		{"byte order mark", "\ufeffa,b,c\n1,2,3\n", [][]string{one}, nil},
		{"byte order mark and quoted header", "\ufeff\"a\",\"b\",c\n1,2,3\n", [][]string{one}, nil},
		{"empty lines", "\n\na,b,c\n\n1,2,3\n\r\n\n7,8,9\n\n", [][]string{one, last}, nil},
		{"header only", "a,b,c\n", nil, nil},
		{"header only, no line end", "a,b,c", nil, nil},
		{"line break in a field", "a,b,c\n1,\"x\ny\",3\n7,8,9\n", [][]string{{"1", "x\ny", "3"}, last}, nil},
		{"line break in a field, other ends", "a,b,c\n1,\"x\r\ny\",3\n7,8,9\n", [][]string{{"1", "x\r\ny", "3"}, last}, nil},
		{"line break in the header", "\"a\",b,\"c\"\n1,\"x\ny\",3\n7,8,9\n", [][]string{{"1", "x\ny", "3"}, last}, nil},
		{"empty fields", "a,b,c\n,,\n1,\"\",3\n", [][]string{{null, null, null}, {"1", null, "3"}}, nil},
		{"doubled quotes", "a,b,c\n1,\"he said \"\"hi\"\"\",\"\"\"\"\n", [][]string{{"1", `he said "hi"`, `"`}}, nil},
		{"quote in a plain field", "a,b,c\n1,5\" pipe,3\n7,8,9\n", [][]string{{"1", `5" pipe`, "3"}, last}, nil},
		{"spaces are kept", "a,b,c\n 1 , \"x\" ,3\n", [][]string{{" 1 ", ` "x" `, "3"}}, nil},
		{"backslash is a character", "a,b,c\n1,\\\"x,\"\\\"\n", [][]string{{"1", `\"x`, `\`}}, nil},
		{"NUL, other controls", "a,b,c\n1,x\x00y\x1a\u2028,3\n", [][]string{{"1", "x\x00y\x1a\u2028", "3"}}, nil},
		{"words are words", "a,b,c\nNULL,\\N,#\n", [][]string{{"NULL", `\N`, "#"}}, nil},
		{"too few", "a,b,c\n1,2\n7,8,9\n", [][]string{last}, []reject{{2, "1,2", "2 fields, the first line has 3"}}},
		{"too many", "a,b,c\r\n1,2,3\r\n4,5,6,7\r\n", [][]string{one}, []reject{{3, "4,5,6,7", "4 fields, the first line has 3"}}},
		{"a line of spaces", "a,b,c\n   \n7,8,9\n", [][]string{last}, []reject{{2, "   ", "1 fields, the first line has 3"}}},
		{"another delimiter", "a,b,c\n1;2;3\n7,8,9\n", [][]string{last}, []reject{{2, "1;2;3", "1 fields, the first line has 3"}}},
		{"too few, several lines", "a,b,c\n1,\"x\ny\"\n7,8,9\n", [][]string{last}, []reject{{2, "1,\"x\ny\"", "2 fields, the first line has 3"}}},
		{"lines count behind a line break", "a,b,c\n1,\"\n\n\",3\n4\n", [][]string{{"1", "\n\n", "3"}}, []reject{{5, "4", "1 fields, the first line has 3"}}},
		{"invalid UTF-8", "a,b,c\n1,\xff,3\n7,8,9\n", [][]string{last}, []reject{{2, "1,\uFFFD,3", "the line is not UTF-8"}}},
		{"text behind a closing quote", "a,b,c\n1,\"x\"y,3\n7,8,9\n", [][]string{last}, []reject{{2, `1,"x"y,3`, "a quoted field goes on behind its closing quote"}}},
		{"quotes end in the wrong place", "a,b,c\n1,\"x,3\n1,2,3\n4,\"y\",6\n7,8,9\n", [][]string{last}, []reject{
			{2, `1,"x,3`, "a quoted field goes on behind its closing quote"}, {3, `1,2,3`, "a quoted field goes on behind its closing quote"},
			{4, `4,"y",6`, "a quoted field goes on behind its closing quote"}}},
		{"a quote without an end", "a,b,c\n1,2,3\n4,\"x,6\n7,8,9\n", [][]string{one, last}, []reject{{3, `4,"x,6`, "a quoted field is never closed"}}},
		{"a file cut off in a field", "a,b,c\n1,2,3\n4,\"x", [][]string{one}, []reject{{3, `4,"x`, "a quoted field is never closed"}}},
		{"too long", "a,b,c\n1,2,3\n4," + long + ",6\n7,8,9\n", [][]string{one, last}, []reject{{3, "4," + long[:1<<20-2], "the line is longer than 8387584 bytes; its beginning is kept"}}},
		{"too long, of many lines", "a,b,c\n1,2,3\n4,\"" + strings.Repeat("x\n", 5<<20) + "\",6\n7,8,9\n", [][]string{one, last},
			[]reject{{3, "4,\"" + strings.Repeat("x\n", 1<<19-2) + "x", "the line is longer than 8387584 bytes; its beginning is kept"}}},
		{"just short enough", "a,b,c\n4,\"" + long[:8<<20-1<<10-6] + "\",\n7,8,9\n", [][]string{{"4", long[:8<<20-1<<10-6], null}, last}, nil},
		{"too long when written anew", "a,b,c\n4," + strings.Repeat(`x"`, 7<<19) + ",6\n7,8,9\n", [][]string{last},
			[]reject{{2, "4," + strings.Repeat(`x"`, 1<<19-1), "the row has more than 8387584 bytes as delimited text"}}},
		{"far longer than the engine's buffer", "a,b,c\n1,2,3\n4," + strings.Repeat(long, 5) + ",6\n7,8,9\n", [][]string{one, last},
			[]reject{{3, "4," + long[:1<<20-2], "the line is longer than 8387584 bytes; its beginning is kept"}}},
		{"an endless quote", "a,b,c\n4,\"x,6\n" + strings.Repeat("1,"+long[:1<<10]+",3\n", 9<<10), slices.Repeat([][]string{{"1", long[:1<<10], "3"}}, 9<<10), []reject{{2, `4,"x,6`, "a quoted field is never closed"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := load(t, e, landing(t, "f.csv", tt.text), csvStream())
			if !slices.EqualFunc(got.rows, tt.rows, slices.Equal[[]string]) {
				t.Errorf("%d rows, want %d: %.300q", len(got.rows), len(tt.rows), fmt.Sprint(got.rows))
			}
			if !slices.Equal(got.rejects, tt.rejects) {
				t.Errorf("rejects %.600q, want %.600q", fmt.Sprint(got.rejects), fmt.Sprint(tt.rejects))
			}
			if got.counted != int64(len(tt.rows)) || len(got.bad) > 0 {
				t.Errorf("the connector counted %d rows, bad %v", got.counted, got.bad)
			}
		})
	}
}

func TestCSVFilesOfOneColumn(t *testing.T) {
	e := newEngine(t)
	for text, want := range map[string][][]string{
		"a\nx\n\ny\n\"\"\nz": {{null}, {null}, {"x"}, {"y"}, {"z"}},
		"a\r\n\r\n\r\n":      {{null}, {null}},
		"a\n":                nil,
		"a\n\n":              {{null}},
	} {
		if got := load(t, e, landing(t, "f.csv", text), csvStream()); !slices.EqualFunc(got.rows, want, slices.Equal[[]string]) {
			t.Errorf("%q: rows %q, want %q", text, got.rows, want)
		}
	}
}

func TestCSVHeaders(t *testing.T) {
	e := newEngine(t)
	for text, want := range map[string]string{
		"":                             "[]",
		"\ufeff":                       "[]",
		"\n\r\n\n":                     "[]",
		" a ,b c,\"d,e\",,f\n1,2,3,4":  "[a b_c d_e column_4 f]",
		"a\x00,b\tc\n1,2\n":            "[a_ b_c]",
		"a,A,_x,File_Index\n1,2,3,4\n": "[a A_2 x_x x_File_Index]",
		"a,\xff\n1,2\n":                "header: the line is not UTF-8",
		"\xff\xfea\x00,\x00b\x00\n":    "header: the line is not UTF-8",
		"a,\"b\n1,2\n":                 "header: a quoted field is never closed",
	} {
		got := load(t, e, landing(t, "f.csv", text), csvStream())
		answer := fmt.Sprint(got.columns)
		if len(got.bad) > 0 {
			answer = got.bad[0].Error
		}
		if answer != want {
			t.Errorf("%q: %s, want %s", text, answer, want)
		}
	}
}

func TestCSVWithoutHeader(t *testing.T) {
	e := newEngine(t)
	st := stream("path", "*.csv", "format", "csv", "header", "false", "delimiter", "|")
	for _, text := range []string{"1|2,\n3|4\n", "\ufeff1|2,\r\n3|4", "1|2,\n3|4\n5\n"} {
		got := load(t, e, landing(t, "f.csv", text), st)
		if want := [][]string{{"1", "2,"}, {"3", "4"}}; !slices.EqualFunc(got.rows, want, slices.Equal[[]string]) || fmt.Sprint(got.columns) != "[column_1 column_2]" {
			t.Errorf("%q: columns %v, rows %q", text, got.columns, got.rows)
		}
	}
}

// What holds line breaks is marked, for the engine not to read it in parallel; what is plain is read where it lies.
func TestLineBreaksAreMarked(t *testing.T) {
	e := newEngine(t)
	for text, want := range map[string]string{
		"a,b\n1,2\n":               "breaks false, in place true",
		"a,b\r\n1,2\r\n":           "breaks false, in place true",
		"a,b\n\"1\n\",2\n":         "breaks true, in place true",
		"a,b\n\"1\r\",2\n":         "breaks true, in place false",
		"a,b\n1,2\n3\n":            "breaks false, in place false",
		"a,b\n\"1\n\",2\n3\n":      "breaks true, in place false",
		"{\"a\":\"x\"}":            "breaks false, in place false",
		"{\"a\":\"x\\n\"}":         "breaks true, in place false",
		"{\"a\":{\"b\":\"x\\n\"}}": "breaks false, in place false",
	} {
		st, name := csvStream(), "f.csv"
		if text[0] == '{' {
			st, name = jsonStream(), "f.jsonl"
		}
		dir := landing(t, name, text)
		part := load(t, e, dir, st).page.Parts[0]
		if got := fmt.Sprintf("breaks %v, in place %v", part.LineBreaks, part.Files[0].Path == filepath.Join(dir, name)); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

func TestCSVWide(t *testing.T) {
	e := newEngine(t)
	header := make([]string, 200)
	for i := range header {
		header[i] = fmt.Sprintf("c%d", i)
	}
	text := strings.Join(header, ",") + "\n" + strings.Repeat(strings.Repeat("v,", 199)+"\n", 3) + strings.Repeat(",", 200) + "\n" + strings.Repeat(",", 198) + "\n"
	got := load(t, e, landing(t, "f.csv", text), csvStream())
	if len(got.rows) != 3 || len(got.rejects) != 2 || got.rejects[0].line != 5 || got.rows[0][198] != "v" || got.rows[0][199] != null {
		t.Errorf("%d rows, rejects %+v", len(got.rows), got.rejects)
	}
}

// aFile is a generated file, with what must come of it.
type aFile struct {
	text    string
	rows    [][]string
	rejects []reject // without the error
}

// csvFile draws a file of three columns, record by record, so that what it holds is known without reading it.
func csvFile(t *rapid.T) aFile {
	var f aFile
	ends := rapid.SampledFrom([][]string{{"\n"}, {"\n"}, {"\r\n"}, {"\n", "\r\n"}}).Draw(t, "line ends")
	kinds := rapid.SampledFrom([]int{0, 1, 4, 9}).Draw(t, "kinds")
	cell := rapid.StringOfN(rapid.SampledFrom([]rune("ab1 \t\\#,;\"\n\r\x00é😀")), 0, 6, -1)
	word := rapid.StringOfN(rapid.SampledFrom([]rune("ab1 \\#;é😀")), 0, 6, -1)
	var b strings.Builder
	b.WriteString(rapid.SampledFrom([]string{"", "", "\ufeff"}).Draw(t, "mark") + "a,b,c" + ends[0])
	line := int64(2)
	for range rapid.IntRange(0, 20).Draw(t, "records") {
		end := rapid.SampledFrom(ends).Draw(t, "end")
		texts, values := make([]string, 3), make([]string, 3)
		for i := range texts {
			if kinds == 0 || rapid.Bool().Draw(t, "plain") {
				texts[i] = word.Draw(t, "word")
				values[i] = texts[i]
			} else {
				values[i] = cell.Draw(t, "cell")
				texts[i] = `"` + strings.ReplaceAll(values[i], `"`, `""`) + `"`
			}
			if values[i] == "" {
				values[i] = null
			}
		}
		raw := strings.Join(texts, ",")
		switch rapid.IntRange(0, max(kinds, 1)).Draw(t, "kind") {
		default:
			f.rows = append(f.rows, values)
		case 2:
			raw = texts[0] + "," + texts[1]
			f.rejects = append(f.rejects, reject{line: line, text: raw})
		case 3:
			raw += ","
			f.rejects = append(f.rejects, reject{line: line, text: raw})
		case 4:
			f.rejects = append(f.rejects, reject{line: line, text: raw + "\uFFFD"})
			raw += "\xff"
			if strings.HasSuffix(texts[2], `"`) && texts[2] != `"` { // behind a closing quote: each line on its own
				f.rejects = f.rejects[:len(f.rejects)-1]
				for i, l := range strings.Split(raw, "\n") {
					f.rejects = append(f.rejects, reject{line: line + int64(i), text: strings.ToValidUTF8(strings.TrimSuffix(l, "\r"), "\uFFFD")})
				}
			}
		case 5:
			b.WriteString(end)
			line++
			f.rows = append(f.rows, values)
		}
		b.WriteString(raw + end)
		line += int64(strings.Count(raw, "\n")) + 1
	}
	f.text = b.String()
	if rapid.Bool().Draw(t, "cut") {
		f.text = strings.TrimSuffix(strings.TrimSuffix(f.text, "\n"), "\r")
	}
	return f
}

func TestCSVProperty(t *testing.T) {
	e := newEngine(t)
	dir := t.TempDir()
	n := 0
	rapid.Check(t, func(r *rapid.T) {
		n++
		f := csvFile(r)
		folder := filepath.Join(dir, fmt.Sprint(n))
		write(t, filepath.Join(folder, "f.csv"), f.text)
		got := load(t, e, folder, csvStream())
		slices.SortFunc(f.rows, slices.Compare)
		if !slices.EqualFunc(got.rows, f.rows, slices.Equal[[]string]) {
			r.Fatalf("%q:\nrows %q\nwant %q", f.text, got.rows, f.rows)
		}
		for i := range got.rejects {
			got.rejects[i].error = ""
		}
		if !slices.Equal(got.rejects, f.rejects) {
			r.Fatalf("%q:\nrejects %+v\nwant    %+v", f.text, got.rejects, f.rejects)
		}
	})
}

// Any bytes: nothing panics, and what encoding/csv can read is read the same.
func FuzzCSV(f *testing.F) {
	for _, s := range []string{"a,b\n1,2\n", "a,b\r\n\"1\n\",2\n3\n", "\ufeffa,b\n1,\"2\n", "a\r1\r2", "a,b\n\"x\"y,1\n\n,\n"} {
		f.Add(s)
	}
	e := newEngine(f)
	f.Fuzz(func(t *testing.T, text string) {
		got := load(t, e, landing(t, "f.csv", text), csvStream())
		if got.counted != int64(len(got.rows)) {
			t.Fatalf("%d rows counted, %d read", got.counted, len(got.rows))
		}
		records, err := csv.NewReader(strings.NewReader(text)).ReadAll()
		if err != nil || len(records) == 0 || len(got.bad) > 0 || len(records[0]) == 1 || strings.Contains(text, "\r") || strings.HasPrefix(text, "\ufeff") {
			return
		}
		if len(records)-1 != len(got.rows)+len(got.rejects) {
			t.Fatalf("%d records, %d rows and %d rejects", len(records)-1, len(got.rows), len(got.rejects))
		}
	})
}

// Python's csv module reads the same rows; there a line is bad when its number of fields is wrong.
func TestCSVAgainstPython(t *testing.T) {
	interpreter := os.Getenv("LAKESTEP_TEST_PYTHON")
	if interpreter == "" {
		t.Skip("SKIPPED: LAKESTEP_TEST_PYTHON names no Python")
	}
	e := newEngine(t)
	for seed := range 5 {
		var text strings.Builder
		text.WriteString("a,b,c\n")
		for i := range 500 {
			switch (i*7 + seed) % 11 {
			case 0:
				fmt.Fprintf(&text, "%d,\"line\nbreak, \"\"quoted\"\"\",x\r\n", i)
			case 1:
				fmt.Fprintf(&text, "%d,too few\n", i)
			case 2:
				fmt.Fprintf(&text, "%d,too,many,%d\n", i, seed)
			case 3:
				fmt.Fprintf(&text, "%d,in\"ner, spaced \n\n", i)
			default:
				fmt.Fprintf(&text, "%d,é😀,\"\"\n", i)
			}
		}
		dir := landing(t, "f.csv", text.String())
		out, err := exec.Command(interpreter, "-c", `
import csv, json, sys
with open(sys.argv[1], newline="", encoding="utf-8") as f:
    rows = [r for r in csv.reader(f) if r][1:]
print(json.dumps([[r for r in rows if len(r) == 3], [r for r in rows if len(r) != 3]]))`, filepath.Join(dir, "f.csv")).Output()
		must(t, err)
		var want [2][][]string
		must(t, json.Unmarshal(out, &want))
		for _, r := range want[0] {
			for i := range r {
				if r[i] == "" {
					r[i] = null
				}
			}
		}
		slices.SortFunc(want[0], slices.Compare)
		got := load(t, e, dir, csvStream())
		if diff := cmp.Diff(want[0], got.rows); diff != "" {
			t.Errorf("seed %d: rows: %s", seed, diff)
		}
		if len(got.rejects) != len(want[1]) {
			t.Errorf("seed %d: %d rejects, want %d", seed, len(got.rejects), len(want[1]))
		}
	}
}
