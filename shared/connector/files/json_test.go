package files_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/lakestep/lakestep/shared/connector"
)

func wholeJSON() connector.Settings { return stream("path", "*.json", "format", "json") }

func TestConformanceJSON(t *testing.T) {
	conform(t, format{settings: stream("path", "*.data", "format", "json"), write: writeJSON, broken: "[1,\n2,3]", breaks: 3})
}

// writeJSON writes an array, on several lines.
func writeJSON(w io.Writer, rows []record) {
	var b bytes.Buffer
	writeJSONL(&b, rows)
	fmt.Fprintf(w, "[\n%s\n]\n", strings.ReplaceAll(strings.TrimSpace(b.String()), "\n", ",\n  "))
}

func TestJSONCases(t *testing.T) {
	e := newEngine(t)
	one, two := []string{"1"}, []string{"2"}
	for _, tt := range []struct {
		name, text string
		rows       [][]string
		rejects    []reject
	}{
		{"an array", `[{"a":1},{"a":2}]`, [][]string{one, two}, nil},
		{"an array on many lines", "\ufeff\r\n[\r\n  {\r\n \"a\" : 1\r\n },\n\t{\"a\":2}\n]\n", [][]string{one, two}, nil},
		{"objects one behind the other", `{"a":1}{"a":2}`, [][]string{one, two}, nil},
		{"objects with white space", "{\"a\":\n1}\n\n  {\"a\":2}\n", [][]string{one, two}, nil},
		{"an object", `{"a":1}`, [][]string{one}, nil},
		{"arrays one behind the other", "[{\"a\":1}]\n[]\n[{\"a\":2}]", [][]string{one, two}, nil},
		{"commas too many or too few", "[,{\"a\":1}{\"a\":2},]", [][]string{one, two}, nil},
		{"commas between objects", "{\"a\":1},\n{\"a\":2}", [][]string{one, two}, nil},
		{"digit for digit", `[{"a":1.10},{"a":12345678901234567890.123}]`, [][]string{{"1.10"}, {"12345678901234567890.123"}}, nil},
		{"brackets and quotes in texts", `[{"a":"]}\"[{\\"},{"a":2}]`, [][]string{two, {`]}"[{\`}}, nil},
		{"nested", `[{"a":[{"b":[1, 2.0]},"]"]}]`, [][]string{{`[{"b":[1, 2.0]},"]"]`}}, nil},
		{"null", `[{"a":null},{"a":""}]`, [][]string{{""}, {null}}, nil},
		{"an empty file", "", nil, nil},
		{"white space", " \n\t\r\n", nil, nil},
		{"an empty array", "[ ]\n", nil, nil},
		{"no objects", "[1,\n\"x]\",\n[{\"a\":2}],true\n,{\"a\":1}]", [][]string{one}, []reject{{1, "1", "the value is not a JSON object"}, {2, `"x]"`, "the value is not a JSON object"},
			{3, `[{"a":2}]`, "the value is not a JSON object"}, {3, "true", "the value is not a JSON object"}}},
		{"no JSON", "[{\"a\":01},\n{'a':1},{\"a\":NaN},nope,{\"a\":1}]", [][]string{one}, []reject{{1, `{"a":01}`, "the value is not JSON"}, {2, `{'a':1}`, "the value is not JSON"},
			{2, `{"a":NaN}`, "the value is not JSON"}, {2, "nope", "the value is not JSON"}}},
		{"control characters", "[\x00\x00 \x01,{\"a\":1}\x7f]", [][]string{one}, []reject{{1, "\x00\x00", "the value is not JSON"}, {1, "\x01", "the value is not JSON"}, {1, "\x7f", "the value is not JSON"}}},
		{"a word and an object", `x{"a":1}y`, [][]string{one}, []reject{{1, "x", "the value is not JSON"}, {1, "y", "the value is not JSON"}}},
		{"not UTF-8", "[{\"a\":\"\xff\"},{\"a\":1}]", [][]string{one}, []reject{{1, "{\"a\":\"\uFFFD\"}", "the value is not UTF-8"}}},
		{"a bracket that closes nothing", "}{\"a\":1}]:", [][]string{one}, []reject{{1, "}", "the value is not JSON"}, {1, "]", "the value is not JSON"}, {1, ":", "the value is not JSON"}}},
		{"the array is cut off", "[{\"a\":1},\n{\"a\":2}\n", [][]string{one, two}, []reject{{1, "[", "the array is never closed: the file may be cut off"}}},
		{"an object is cut off", "[{\"a\":1},\n{\"a\":", [][]string{one}, []reject{{1, "[", "the array is never closed: the file may be cut off"},
			{2, `{"a":`, "the value never ends: its brackets or quotes do not fit, or the file is cut off"}}},
		{"a text is cut off", "{\"a\":1}\n{\"a\":\"x}", [][]string{one}, []reject{{2, `{"a":"x}`, "the value never ends: its brackets or quotes do not fit, or the file is cut off"}}},
		{"brackets that do not fit swallow what follows", "{\"a\":1}\n{\"a\":[2}\n{\"a\":1}", [][]string{one},
			[]reject{{2, "{\"a\":[2}\n{\"a\":1}", "the value never ends: its brackets or quotes do not fit, or the file is cut off"}}},
		{"too long", "[\n{\"a\":\"" + strings.Repeat("x", 9<<20) + "\"},\n{\"a\":1}]", [][]string{one},
			[]reject{{2, `{"a":"` + strings.Repeat("x", 1<<10-6), "the value is longer than 8387584 bytes; its beginning is kept"}}},
		{"too deep", `[{"a":` + strings.Repeat("[", 4<<20) + strings.Repeat("]", 4<<20) + `},{"a":1}]`, [][]string{one},
			[]reject{{1, `{"a":` + strings.Repeat("[", 1<<10-5), "the value is longer than 8387584 bytes; its beginning is kept"}}},
		{"deep", `[{"a":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `},{"a":1}]`, [][]string{one},
			[]reject{{1, `{"a":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + "}", "the value nests deeper than 10000 levels"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := load(t, e, landing(t, "f.json", tt.text), wholeJSON())
			if !slices.EqualFunc(got.rows, tt.rows, slices.Equal[[]string]) {
				t.Errorf("rows %.300q, want %.300q", fmt.Sprint(got.rows), fmt.Sprint(tt.rows))
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

// Values lie anywhere in the pieces that a file is read in.
func TestJSONAcrossBuffers(t *testing.T) {
	e := newEngine(t)
	for shift := range 12 {
		text := "[" + strings.Repeat(" ", 1<<20-4-shift) + `{"a":"\"x"},{"a":"é"}, 12345,{"a":1}]`
		got := load(t, e, landing(t, "f.json", text), wholeJSON())
		if fmt.Sprint(got.rows) != `[["x] [1] [é]]` || len(got.rejects) != 1 || got.rejects[0].text != "12345" {
			t.Errorf("shifted by %d: rows %q, rejects %+v", shift, got.rows, got.rejects)
		}
	}
}

// Any values in any layout: each object is a row, what is none a reject.
func TestJSONProperty(t *testing.T) {
	e := newEngine(t)
	dir := t.TempDir()
	n := 0
	text := rapid.StringOfN(rapid.SampledFrom([]rune("ab,\"\\\n[]{}:é😀")), 0, 6, -1)
	rapid.Check(t, func(r *rapid.T) {
		n++
		var parts, want []string
		rejected := 0
		for range rapid.IntRange(0, 8).Draw(r, "values") {
			v := map[string]any{"a": text.Draw(r, "text"), "b": []any{text.Draw(r, "text"), map[string]any{"c": 1.5}}}
			if rapid.IntRange(0, 4).Draw(r, "kind") == 0 {
				raw, err := json.Marshal([]any{text.Draw(r, "text"), 1})
				must(t, err)
				parts = append(parts, "["+string(raw)+"]") // at the top its one value is the reject, in an array it is itself
				rejected++
				continue
			}
			raw, err := json.Marshal(v)
			must(t, err)
			if rapid.Bool().Draw(r, "indent") {
				var b bytes.Buffer
				must(t, json.Indent(&b, raw, "", "  "))
				raw = b.Bytes()
			}
			inner, err := json.Marshal(v["b"])
			must(t, err)
			parts, want = append(parts, string(raw)), append(want, fmt.Sprint(v["a"])+"|"+string(inner))
		}
		content := strings.Join(parts, rapid.SampledFrom([]string{"\n", " ", "\r\n", ",\n"}).Draw(r, "between"))
		if rapid.Bool().Draw(r, "array") {
			content = "[" + strings.Join(parts, ",") + "]"
		}
		folder := filepath.Join(dir, fmt.Sprint(n))
		write(t, filepath.Join(folder, "f.json"), content)
		got := load(t, e, folder, wholeJSON())
		var rows []string
		for _, cells := range got.rows {
			a := cells[slices.Index(got.columns, "a")]
			var b bytes.Buffer
			must(t, json.Compact(&b, []byte(cells[slices.Index(got.columns, "b")])))
			rows = append(rows, a+"|"+b.String())
		}
		slices.Sort(rows)
		slices.Sort(want)
		if !slices.Equal(rows, want) || len(got.rejects) != rejected {
			r.Fatalf("%q:\nrows %q\nwant %q\n%d rejects, want %d", content, rows, want, len(got.rejects), rejected)
		}
	})
}

// Any bytes: nothing panics, what is counted is there, and of what encoding/json can read nothing is lost.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{`[{"a":1},{"b":"x"}]`, "{\"a\":1}\n{\"a\":2}", `[1,"x",[{}],{"a":"]"}`, "\ufeff[{}]", `{"a":"\ud83d"}x{`, "[{\"a\":[1}]"} {
		f.Add(s)
	}
	e := newEngine(f)
	f.Fuzz(func(t *testing.T, text string) {
		for _, st := range []connector.Settings{wholeJSON(), stream("path", "*.json", "format", "jsonl")} {
			got := load(t, e, landing(t, "f.json", text), st)
			if got.counted != int64(len(got.rows)) {
				t.Fatalf("%d rows counted, %d read", got.counted, len(got.rows))
			}
			var all []json.RawMessage
			if st.Text("format", "") == "jsonl" || json.Unmarshal([]byte(text), &all) != nil {
				continue
			}
			if len(all) != len(got.rows)+len(got.rejects) {
				t.Fatalf("%d values, %d rows and %d rejects", len(all), len(got.rows), len(got.rejects))
			}
		}
	})
}

func BenchmarkJSON(b *testing.B) {
	for _, format := range []string{"json", "jsonl"} {
		b.Run(format, func(b *testing.B) {
			dir := b.TempDir()
			var text strings.Builder
			const n = 200_000
			for i := range n {
				fmt.Fprintf(&text, "{\"id\":%d,\"customer\":\"customer-%d\",\"email\":\"somebody@example.com\",\"amount\":%d.50,\"paid\":true,\"tags\":[\"a\",\"b\"]}\n", i, i%1000, i)
			}
			write(b, filepath.Join(dir, "f.json"), text.String())
			benchmarkRead(b, dir, stream("path", "*.json", "format", format), n)
		})
	}
}
