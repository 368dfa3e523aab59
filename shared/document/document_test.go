package document_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/lakestep/lakestep/shared/document"
)

// flat lists the scalars of a document as "path=kind text @line:column".
func flat(n *document.Node, path string) []string {
	switch n.Kind {
	case document.Mapping:
		var out []string
		for _, m := range n.Members {
			out = append(out, flat(m.Value, path+"/"+m.Key)...)
		}
		return out
	case document.List:
		var out []string
		for i, item := range n.Items {
			out = append(out, flat(item, fmt.Sprintf("%s/%d", path, i))...)
		}
		return out
	}
	return []string{fmt.Sprintf("%s=%s %q @%d:%d", path, n.Kind, n.Text, n.Pos.Line, n.Pos.Column)}
}

func TestYAMLPositions(t *testing.T) {
	text := "\ufeffa: x # comment\r\nb:\n  - 'it''s'\n  - {c: \"é\\n\", d: 1.50, é: [true, ~, 0x1F]}\nblock: |\n  one\n  two\nempty:\nfolded: >-\n  three\n  four\nlast: plain text, with: colon-free 'quotes'\n"
	text = strings.Replace(text, "with: ", "with ", 1)
	n, err := document.Parse("f.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		`/a=text "x" @1:4`, `/b/0=text "it's" @3:5`, `/b/1/c=text "é\n" @4:9`, `/b/1/d=a number "1.50" @4:19`, `/b/1/é/0=true or false "true" @4:29`,
		`/b/1/é/1=nothing "" @4:35`, `/b/1/é/2=a number "0x1F" @4:38`, `/block=text "one\ntwo\n" @5:8`, `/empty=nothing "" @8:7`, `/folded=text "three four" @9:9`,
		`/last=text "plain text, with colon-free 'quotes'" @12:7`,
	}
	if diff := cmp.Diff(want, flat(n, "")); diff != "" {
		t.Error(diff)
	}
}

func TestJSONPositions(t *testing.T) {
	n, err := document.Parse("f.json", []byte("{\n\t\"a\" : \"é\\u0041\",\"b\":[1.50 , true,\nnull, {}],\r\n  \"é\": -2e3\n}\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{`/a=text "éA" @2:8`, `/b/0=a number "1.50" @2:23`, `/b/1=true or false "true" @2:30`, `/b/2=nothing "" @3:1`, `/é=a number "-2e3" @4:8`}
	if diff := cmp.Diff(want, flat(n, "")); diff != "" {
		t.Error(diff)
	}
}

func TestSyntaxErrors(t *testing.T) {
	for _, c := range []struct{ file, text, want string }{
		{"f.json", "", "f.json:1:1: no valid JSON: the file ends in the middle of a value"},
		{"f.json", "{\n \"a\": 1,}", "f.json:2:9: no valid JSON: invalid character '}' looking for beginning of object key string"},
		{"f.json", "{\n  \"kind\":  }", "f.json:2:12: no valid JSON: invalid character '}' looking for beginning of value"},
		{"f.json", "[nul]", "f.json:1:5: no valid JSON: invalid character ']' in literal null (expecting 'l')"},
		{"f.json", "{\"a\": 1} x", "f.json:1:10: text after the end of the JSON document"},
		{"f.json", "[1,\n2", "f.json:2:2: no valid JSON: the file ends in the middle of a value"},
		{"f.yaml", "a: b\nc: d: e\n", "f.yaml:2:4: no valid YAML: mapping value is not allowed in this context"},
		{"f.yaml", "a: !!str b\n", "f.yaml:1:4: anchors, aliases, merge keys and tags are not supported (write the value out where it is used)"},
		{"f.yaml", "a: {<<: {b: c}}\n", "f.yaml:1:5: anchors, aliases, merge keys and tags are not supported (write the value out where it is used)"},
		{"f.yaml", "a: é\xff\n", "f.yaml:1:5: a byte that is no UTF-8 text (save the file as UTF-8)"},
	} {
		_, err := document.Parse(c.file, []byte(c.text))
		if err == nil || err.Error() != c.want {
			t.Errorf("%q:\n got %v\nwant %s", c.text, err, c.want)
		}
	}
}

// Documents made to hurt a parser end as a problem or a tree, soon and without a crash.
func TestHostileDocuments(t *testing.T) {
	for name, text := range map[string]string{
		"brackets":        strings.Repeat("[", 500_000),
		"brackets, lines": strings.Repeat("[\n", 400_000),
		"closed brackets": strings.Repeat("[", 900) + strings.Repeat("]", 900),
		"braces":          strings.Repeat("{a: ", 200_000),
		"dashes":          strings.Repeat("- ", 500_000),
		"dashes, short":   strings.Repeat("- ", 8_000),
		"questions":       strings.Repeat("? ", 8_000),
		"stairs":          stairs(1_000, "a:"),
		"stairs of lists": stairs(1_000, "-"),
		"aliases":         "a: &a [x]\nb: &b [*a,*a,*a]\nc: [*b,*b,*b]\n",
		"long line":       "a: " + strings.Repeat("x", 900_000),
		"many keys":       manyKeys(10_000),
		"too large":       strings.Repeat("#\n", 1<<20),
		"quotes":          strings.Repeat("'", 15_001),
		"json nesting":    strings.Repeat("[", 500_000),
	} {
		t.Run(name, func(t *testing.T) {
			file := "f.yaml"
			if strings.HasPrefix(name, "json") {
				file = "f.json"
			}
			start := time.Now()
			_, err := document.Parse(file, []byte(text))
			var ps document.Problems
			if err != nil && !errors.As(err, &ps) {
				t.Errorf("%v", err)
			}
			if took := time.Since(start); took > 20*time.Second {
				t.Errorf("took %s", took)
			}
		})
	}
}

func stairs(n int, step string) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat(" ", i) + step + "\n")
	}
	return b.String()
}

func manyKeys(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "key_%d: %d\n", i, i)
	}
	return b.String()
}

// JSON is YAML: both readers make the same tree of the same JSON text, and the JSON reader that of encoding/json.
func TestReadersAgree(t *testing.T) {
	noPos := cmp.Options{cmpopts.IgnoreFields(document.Node{}, "Pos"), cmpopts.IgnoreFields(document.Member{}, "Pos"), cmpopts.EquateEmpty()}
	rapid.Check(t, func(t *rapid.T) {
		value := jsonValue(3).Draw(t, "value")
		data, err := json.MarshalIndent(value, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		a, err := document.Parse("f.json", data)
		if err != nil {
			t.Fatal(err)
		}
		b, err := document.Parse("f.yaml", data)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(a, b, noPos); diff != "" {
			t.Fatalf("%s\n%s", data, diff)
		}
		if diff := cmp.Diff(value, plain(a), cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("%s\n%s", data, diff)
		}
	})
}

// jsonValue generates what json.Unmarshal would give, with whole numbers.
func jsonValue(depth int) *rapid.Generator[any] {
	text := rapid.StringMatching(`[a-zA-Zé 0-9:#'"{}\[\],&*!|>%@-]{0,12}`)
	scalar := rapid.OneOf(rapid.Just[any](nil), rapid.Map(rapid.Bool(), toAny[bool]), rapid.Map(text, toAny[string]),
		rapid.Map(rapid.IntRange(-1000, 1000), func(i int) any { return float64(i) }))
	if depth == 0 {
		return scalar
	}
	inner := jsonValue(depth - 1)
	return rapid.OneOf(scalar, rapid.Map(rapid.SliceOfN(inner, 0, 4), toAny[[]any]), rapid.Map(rapid.MapOfN(text, inner, 0, 4), toAny[map[string]any]))
}

func toAny[T any](v T) any { return v }

func plain(n *document.Node) any {
	switch n.Kind {
	case document.Mapping:
		out := map[string]any{}
		for _, m := range n.Members {
			out[m.Key] = plain(m.Value)
		}
		return out
	case document.List:
		out := []any{}
		for _, item := range n.Items {
			out = append(out, plain(item))
		}
		return out
	case document.Number, document.Bool:
		var v any
		if json.Unmarshal([]byte(n.Text), &v) != nil {
			return n.Text
		}
		return v
	case document.Null:
		return nil
	}
	return n.Text
}

// Every plain or quoted text of a real file stands where its position says.
func TestPositionsOfRetail(t *testing.T) {
	data, err := os.ReadFile("../../config/retail/pipeline.yaml")
	if err != nil {
		t.Fatal(err)
	}
	root, err := document.Parse("pipeline.yaml", data)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(data), "\n")
	count := 0
	var walk func(n *document.Node)
	at := func(p document.Position, text string) {
		count++
		rest := string([]rune(lines[p.Line-1])[p.Column-1:])
		if !strings.HasPrefix(strings.TrimLeft(rest, `"'`), text) {
			t.Errorf("%s: %q is not %q", p, rest, text)
		}
	}
	walk = func(n *document.Node) {
		for _, m := range n.Members {
			at(m.Pos, m.Key)
			walk(m.Value)
		}
		for _, item := range n.Items {
			walk(item)
		}
		if n.Text != "" {
			at(n.Pos, n.Text)
		}
	}
	walk(root)
	if count < 200 {
		t.Error("only", count, "texts")
	}
}

func TestDidYouMean(t *testing.T) {
	known := []string{"unique_key", "sequence_by", "model"}
	for word, want := range map[string]string{"uniquekey": `did you mean "unique_key"?`, "modell": `did you mean "model"?`, "x": "known: unique_key, sequence_by, model", "zzzzzzzz": "known: unique_key, sequence_by, model"} {
		if got := document.DidYouMean(word, known); got != want {
			t.Errorf("%s: %s", word, got)
		}
	}
}
