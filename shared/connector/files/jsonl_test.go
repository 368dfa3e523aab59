package files_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/lakestep/lakestep/shared/connector"
)

func jsonStream() connector.Settings { return stream("path", "*.jsonl", "format", "jsonl") }

func TestJSONLCases(t *testing.T) {
	e := newEngine(t)
	for _, tt := range []struct {
		name, text string
		columns    string
		rows       [][]string
		rejects    []reject
	}{
		{"numbers digit for digit", `{"a":1.10,"b":12345678901234567890.123456789012345678,"c":-0,"d":1E+400}` + "\n", "[a b c d]",
			[][]string{{"1.10", "12345678901234567890.123456789012345678", "-0", "1E+400"}}, nil},
		{"null, missing and empty", `{"a":null,"b":""}` + "\n" + `{"b":"x"}` + "\n", "[a b]", [][]string{{null, ""}, {null, "x"}}, nil},
		{"true and false", `{"a":true,"b":false}`, "[a b]", [][]string{{"true", "false"}}, nil},
		{"nested as it stands", `{"a":{"x": [1, 2.50],"y":"ü\n"},"b":[]}`, "[a b]", [][]string{{`{"x": [1, 2.50],"y":"ü\n"}`, "[]"}}, nil},
		{"escapes", `{"a":"\u00e9\ud83d\ude00\t\"\\\/","b":"line\nbreak\r\n"}`, "[a b]", [][]string{{"é😀\t\"\\/", "line\nbreak\r\n"}}, nil},
		{"NUL as an escape", `{"a":"x\u0000y"}`, "[a]", [][]string{{"x\x00y"}}, nil},
		{"half a surrogate pair", `{"a":"\ud83d"}`, "[a]", [][]string{{"\uFFFD"}}, nil},
		{"a late key", `{"a":1}` + "\n" + `{"b":2,"a":3}` + "\n" + `{"c":4}`, "[a b c]", [][]string{{null, null, "4"}, {"1", null, null}, {"3", "2", null}}, nil},
		{"of two equal keys the last", `{"a":1,"a":2}`, "[a]", [][]string{{"2"}}, nil},
		{"an escaped key", `{"\u0061":1}`, "[a]", [][]string{{"1"}}, nil},
		{"no key at all", "{}\n{\"a\":1}\n", "[a]", [][]string{{null}, {"1"}}, nil},
		{"mark, CRLF, empty lines, no line end", "\ufeff{\"a\":1}\r\n\r\n  \n{\"a\":2}", "[a]", [][]string{{"1"}, {"2"}}, nil},
		{"spaces", " { \"a\" : 1 } \n", "[a]", [][]string{{"1"}}, nil},
		{"no objects", "1\n[1]\n\"x\"\nnull\n{\"a\":1}\n", "[a]", [][]string{{"1"}}, []reject{{1, "1", "the line is not a JSON object"},
			{2, "[1]", "the line is not a JSON object"}, {3, `"x"`, "the line is not a JSON object"}, {4, "null", "the line is not a JSON object"}}},
		{"no JSON", "{\"a\":1\n{'a':1}\n{\"a\":01}\n{\"a\":1} x\n{\"a\":NaN}\n", "[]", nil, []reject{{1, `{"a":1`, "the line is not JSON"}, {2, "{'a':1}", "the line is not JSON"},
			{3, `{"a":01}`, "the line is not JSON"}, {4, `{"a":1} x`, "the line is not JSON"}, {5, `{"a":NaN}`, "the line is not JSON"}}},
		{"not UTF-8, NUL", "{\"a\":\"\xff\"}\n{\"a\":\"\x00\"}\n", "[]", nil, []reject{{1, "{\"a\":\"\uFFFD\"}", "the line is not UTF-8"}, {2, "{\"a\":\"\x00\"}", "the line is not JSON"}}},
		{"too deep", `{"a":` + strings.Repeat("[", 4<<20) + "\n" + `{"a":"` + strings.Repeat("[", 20_000) + `"}`, "[a]", [][]string{{strings.Repeat("[", 20_000)}},
			[]reject{{1, `{"a":` + strings.Repeat("[", 1<<20-5), "the line nests deeper than 10000 levels"}}},
		{"too long", `{"a":"` + strings.Repeat("x", 9<<20) + "\"}\n{\"a\":1}\n", "[a]", [][]string{{"1"}},
			[]reject{{1, `{"a":"` + strings.Repeat("x", 1<<10-6), "the line is longer than 8387584 bytes; its beginning is kept"}}},
		{"long", `{"a":"` + strings.Repeat("x", 8<<20-1<<10-30) + "\"}\n{\"a\":1}\n", "[a]", [][]string{{"1"}, {strings.Repeat("x", 8<<20-1<<10-30)}}, nil},
		{"too long as delimited text", `{"a":["` + strings.Repeat(`","`, 5<<19) + "\"]}\n{\"a\":1}\n", "[a]", [][]string{{"1"}},
			[]reject{{1, `{"a":["` + strings.Repeat(`","`, 1<<20/3)[:1<<20-7], "the row has more than 8387584 bytes as delimited text"}}},
		{"an empty file", "", "[]", nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := load(t, e, landing(t, "f.jsonl", tt.text), jsonStream())
			if fmt.Sprint(got.columns) != tt.columns || !slices.EqualFunc(got.rows, tt.rows, slices.Equal[[]string]) {
				t.Errorf("columns %v, rows %.300q, want %s, %.300q", got.columns, fmt.Sprint(got.rows), tt.columns, fmt.Sprint(tt.rows))
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

// Keys that a table cannot have as they are get other names; no row is lost for them.
func TestJSONLOddKeys(t *testing.T) {
	e := newEngine(t)
	for text, want := range map[string]string{
		`{"a":1,"A":2}`:           "[a A_2]",
		`{"_id":1}`:               "[x_id]",
		"{\"a\":1}\n{\"A\":2}\n":  "[a A_2]",
		`{"file_row_number":"x"}`: "[x_file_row_number]",
	} {
		got := load(t, e, landing(t, "f.jsonl", text), jsonStream())
		if fmt.Sprint(got.columns) != want || len(got.bad) > 0 || len(got.rows) != strings.Count(text, "{") {
			t.Errorf("%s: columns %v, bad %v, rows %q", text, got.columns, got.bad, got.rows)
		}
	}
}

// Any mix of lines: a line that encoding/json takes for an object is a row with these very values, any other a reject.
func TestJSONLProperty(t *testing.T) {
	e := newEngine(t)
	dir := t.TempDir()
	n := 0
	text := rapid.StringOfN(rapid.SampledFrom([]rune("ab,\"\\\n\r\té😀\x00")), 0, 6, -1)
	rapid.Check(t, func(r *rapid.T) {
		n++
		var b bytes.Buffer
		want := []map[string]string{}
		rejected := 0
		for range rapid.IntRange(0, 12).Draw(r, "lines") {
			o := map[string]any{}
			for range rapid.IntRange(0, 3).Draw(r, "keys") {
				k := rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(r, "key")
				switch rapid.IntRange(0, 4).Draw(r, "kind") {
				case 0:
					o[k] = nil
				case 1:
					o[k] = json.Number(rapid.StringMatching(`-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?`).Draw(r, "number"))
				case 2:
					o[k] = []any{text.Draw(r, "text"), map[string]any{"x": text.Draw(r, "text")}}
				default:
					o[k] = text.Draw(r, "text")
				}
			}
			line, err := json.Marshal(o)
			must(t, err)
			if rapid.IntRange(0, 5).Draw(r, "bad") == 0 {
				line = line[:rapid.IntRange(1, len(line)-1).Draw(r, "cut")]
				rejected++
			} else {
				row := map[string]string{}
				for k, v := range o {
					switch v := v.(type) {
					case nil:
					case string:
						row[k] = v
					default:
						raw, err := json.Marshal(v)
						must(t, err)
						row[k] = string(raw)
					}
				}
				want = append(want, row)
			}
			b.Write(line)
			b.WriteString(rapid.SampledFrom([]string{"\n", "\r\n", "\n\n"}).Draw(r, "end"))
		}
		folder := filepath.Join(dir, fmt.Sprint(n))
		write(t, filepath.Join(folder, "f.jsonl"), b.String())
		got := load(t, e, folder, jsonStream())
		var rows []string
		for _, cells := range got.rows {
			row := map[string]string{}
			for i, c := range cells {
				if c != null {
					row[got.columns[i]] = c
				}
			}
			rows = append(rows, fmt.Sprint(row))
		}
		var wanted []string
		for _, row := range want {
			wanted = append(wanted, fmt.Sprint(row))
		}
		slices.Sort(rows)
		slices.Sort(wanted)
		if !slices.Equal(rows, wanted) || len(got.rejects) != rejected {
			r.Fatalf("%q:\nrows %q\nwant %q\n%d rejects, want %d", b.String(), rows, wanted, len(got.rejects), rejected)
		}
	})
}
