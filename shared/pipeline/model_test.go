package pipeline_test

import (
	"strings"
	"testing"
	"text/template"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/lakestep/lakestep/shared/pipeline"
)

// modelBundle is a bundle whose silver model is the given text.
func modelBundle(sql string) pipeline.Bundle {
	return pipeline.Bundle{Root: pipeline.RootFile, Files: map[string]string{
		"m.sql": sql,
		pipeline.RootFile: `
name: p
lake: lake
vars: { day: "it's 2024", n: 3 }
sources: { in: { connector: files, path: x, streams: { r: { path: "*.csv", format: csv } } } }
bronze: { raw: { stream: in.r }, other_raw: { stream: in.r } }
silver: { s: { model: m.sql, materialized: append } }
`}}
}

func loadModel(t interface{ Fatal(...any) }, sql string) *pipeline.Model {
	p, err := pipeline.Load(modelBundle(sql))
	if err != nil {
		t.Fatal(err)
	}
	s, _ := p.Table("silver.s")
	return s.Model
}

func identifierOf(kind pipeline.Kind, table string) string {
	if kind == pipeline.Changes {
		return "(SELECT * FROM \"Änderungen von " + table + "\")"
	}
	return strings.ReplaceAll(table, ".", "_")
}

func TestRender(t *testing.T) {
	m := loadModel(t, "SELECT '{{ var \"day\" }}', {{var `n`}}\r\nFROM {{ changes \"bronze.raw\" }} AS é JOIN {{ ref \"bronze.other_raw\" }}\n-- _row")
	r, err := m.Render(identifierOf)
	want := "SELECT 'it''s 2024', 3\r\nFROM (SELECT * FROM \"Änderungen von bronze.raw\") AS é JOIN bronze_other_raw\n-- _row"
	if err != nil || r.SQL != want {
		t.Fatalf("%v\n%s", err, r.SQL)
	}
	for _, c := range []struct{ line, column, wantLine, wantColumn int }{
		{1, 1, 1, 1}, {1, 8, 1, 8}, {1, 9, 1, 9}, {1, 14, 1, 9}, {1, 19, 1, 24}, {1, 22, 1, 27}, {2, 1, 2, 1}, {2, 6, 2, 6}, {2, 40, 2, 6}, {2, 48, 2, 6}, {2, 49, 2, 32}, {2, 53, 2, 36},
		{2, 57, 2, 40}, {2, 60, 2, 43}, {2, 75, 2, 43}, {9, 9, 3, 8},
	} {
		if p := r.Origin(c.line, c.column); p.Line != c.wantLine || p.Column != c.wantColumn || p.File != "m.sql" {
			t.Errorf("%d:%d comes from %s, want %d:%d", c.line, c.column, p, c.wantLine, c.wantColumn)
		}
	}
	if _, err := m.Render(func(pipeline.Kind, string) string { return "a\nb" }); err == nil {
		t.Error("a name of two lines would move the lines")
	}
}

// For any model: the text is what text/template makes of it, lines are kept, and each place outside of an action comes from the
// same character of the file.
func TestRenderProperty(t *testing.T) {
	piece := rapid.SampledFrom([]string{"SELECT ", "a, ", "é ", "\n", "\r\n", "'x{y}' ", "\t", "-- ü\n", `{{ ref "bronze.other_raw" }}`, `{{ref "bronze.raw"}}`, `{{ var "n" }}`, "{{ var `n` }} ", "{ } "})
	rapid.Check(t, func(t *rapid.T) {
		text := "SELECT * FROM {{ changes \"bronze.raw\" }} " + strings.Join(rapid.SliceOf(piece).Draw(t, "pieces"), "")
		m := loadModel(t, text)
		r, err := m.Render(identifierOf)
		if err != nil {
			t.Fatal(err)
		}
		if want := byTextTemplate(t, text); r.SQL != want {
			t.Fatalf("got  %q\nwant %q", r.SQL, want)
		}
		if strings.Count(r.SQL, "\n") != strings.Count(text, "\n") {
			t.Fatal("lines moved")
		}
		checkOrigins(t, text, r)
	})
}

func byTextTemplate(t *rapid.T, text string) string {
	tpl, err := template.New("m").Funcs(template.FuncMap{
		"ref":     func(s string) string { return identifierOf(pipeline.Ref, s) },
		"changes": func(s string) string { return identifierOf(pipeline.Changes, s) },
		"var":     func(string) string { return "3" },
	}).Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := tpl.Execute(&b, nil); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// checkOrigins walks the rendered text by line and column, as an error message would name them.
func checkOrigins(t *rapid.T, text string, r pipeline.Rendered) {
	fileLines := strings.Split(text, "\n")
	for i, line := range strings.Split(r.SQL, "\n") {
		column := 0
		for _, c := range line {
			column++
			p := r.Origin(i+1, column)
			if p.Line != i+1 || p.Column > utf8.RuneCountInString(fileLines[i])+1 {
				t.Fatalf("%d:%d comes from %s", i+1, column, p)
			}
			at := []rune(fileLines[i])[p.Column-1:]
			if at[0] != c && !strings.HasPrefix(string(at), "{{") {
				t.Fatalf("%d:%d is %q, but at %s stands %q", i+1, column, c, p, string(at))
			}
		}
	}
}
