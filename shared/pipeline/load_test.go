package pipeline_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/pipeline"
)

func TestLoadErrorIsFaultAndProblems(t *testing.T) {
	b := retail(t)
	b.Vars = map[string]string{"as_off": "2026-02-01"}
	_, err := pipeline.Load(b)
	var ps pipeline.Problems
	if fault.KindOf(err) != fault.InvalidInput || !errors.As(err, &ps) || len(ps) != 1 {
		t.Fatal(err)
	}
	if p := ps[0]; p.File != "pipeline.yaml" || p.Line < 2 || fault.HintOf(err) != `did you mean "as_of"?` {
		t.Errorf("%s, hint %q", p, fault.HintOf(err))
	}
}

// Whatever is done to the files of the retail pipeline: Load gives a pipeline or problems that name a file of the bundle, never
// panics, and says the same when asked again.
func TestLoadNeverPanics(t *testing.T) {
	whole := retail(t)
	names := slices.Sorted(maps.Keys(whole.Files))
	rapid.Check(t, func(t *rapid.T) {
		b := pipeline.Bundle{Root: whole.Root, Files: maps.Clone(whole.Files)}
		for range rapid.IntRange(1, 4).Draw(t, "edits") {
			name := rapid.SampledFrom(append(slices.Repeat([]string{pipeline.RootFile}, len(names)), names...)).Draw(t, "file")
			if text, ok := edit(t, b.Files[name]); ok {
				b.Files[name] = text
			} else {
				delete(b.Files, name)
			}
		}
		checkLoad(t, b)
	})
}

// edit changes a text as a careless person would; not ok deletes the file.
func edit(t *rapid.T, text string) (string, bool) {
	lines := strings.Split(text, "\n")
	i := rapid.IntRange(0, len(lines)-1).Draw(t, "line")
	j := rapid.IntRange(0, len(lines)-1).Draw(t, "other line")
	switch rapid.IntRange(0, 7).Draw(t, "edit") {
	case 0:
		lines = slices.Delete(lines, i, i+1)
	case 1:
		lines = slices.Insert(lines, i, lines[j])
	case 2:
		lines[i], lines[j] = lines[j], lines[i]
	case 3:
		lines[i] = " " + lines[i]
	case 4:
		lines[i] = strings.TrimPrefix(lines[i], "  ")
	case 5:
		k := rapid.IntRange(0, len(lines[i])).Draw(t, "at")
		lines[i] = lines[i][:k] + rapid.SampledFrom([]string{"{", "}", "[", "]", ":", "-", "'", `"`, "{{", "}}", ",", "#", "&a", "*a", "!x", "|", "0", "~", "\x00", "\xff", "é", "\t", "? ", "<<: "}).Draw(t, "text") + lines[i][k:]
	case 6:
		words := strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" \n{}[],:\"'", r) })
		if len(words) > 1 {
			w := rapid.SampledFrom(words).Draw(t, "word")
			return strings.Replace(text, w, rapid.SampledFrom(words).Draw(t, "by"), 1), true
		}
	case 7:
		return "", rapid.Bool().Draw(t, "empty")
	}
	return strings.Join(lines, "\n"), true
}

func checkLoad(t interface{ Fatalf(string, ...any) }, b pipeline.Bundle) {
	p, err := pipeline.Load(b)
	_, again := pipeline.Load(b)
	if fmt.Sprint(err) != fmt.Sprint(again) {
		t.Fatalf("two answers:\n%v\n%v", err, again)
	}
	if err == nil {
		for _, table := range p.Tables {
			if table.Model == nil {
				continue
			}
			if _, err := table.Model.Render(identifierOf); err != nil {
				t.Fatalf("%v", err)
			}
		}
		return
	}
	var ps pipeline.Problems
	if !errors.As(err, &ps) || fault.KindOf(err) != fault.InvalidInput || len(ps) == 0 {
		t.Fatalf("no problems in %v", err)
	}
	for _, p := range ps {
		text, ok := b.Files[p.File]
		if !ok && p.File != b.Root {
			t.Fatalf("%s: no such file", p)
		}
		// To YAML a carriage return alone also ends a line.
		if lines := strings.Count(text, "\n") + strings.Count(text, "\r") + 1; p.Line < 1 || p.Line > lines+1 || p.Column < 1 || p.Message == "" {
			t.Fatalf("%s: no such place", p)
		}
	}
}

func FuzzLoad(f *testing.F) {
	whole := retail(f)
	f.Add(whole.Files[pipeline.RootFile], whole.Files["silver/cleaned_orders.sql"], whole.Files["contracts/daily_revenue.json"])
	f.Add("a: &x [*x]\n<<: !!t", "{{ ref \"x\" }}", "[")
	f.Fuzz(func(t *testing.T, root, model, contract string) {
		b := pipeline.Bundle{Root: whole.Root, Files: maps.Clone(whole.Files)}
		b.Files[pipeline.RootFile], b.Files["silver/cleaned_orders.sql"], b.Files["contracts/daily_revenue.json"] = root, model, contract
		checkLoad(t, b)
	})
}

// A bundle as large as it may be loads in reasonable time: nothing is quadratic in a way that hurts.
func TestLoadLarge(t *testing.T) {
	b := modelBundle("SELECT _row FROM {{ changes \"bronze.raw\" }}")
	var y strings.Builder
	y.WriteString(b.Files[pipeline.RootFile])
	for i := range 1500 {
		fmt.Fprintf(&y, "  t%d: { model: t%d.sql, materialized: append }\n", i, i)
		b.Files[fmt.Sprintf("t%d.sql", i)] = fmt.Sprintf("SELECT _row FROM {{ changes \"bronze.raw\" }}, {{ ref \"silver.t%d\" }}", i+1)
	}
	b.Files["t1499.sql"] = "SELECT _row FROM {{ changes \"bronze.raw\" }}"
	b.Files[pipeline.RootFile] = strings.Replace(y.String(), "silver: { s: { model: m.sql, materialized: append } }", "silver:\n  s: { model: m.sql, materialized: append }", 1)
	p, err := pipeline.Load(b)
	if err != nil {
		t.Fatal(err)
	}
	if levels := p.Levels(pipeline.Silver); len(levels) != 1500 || levels[0][1] != "silver.t1499" {
		t.Error(len(levels), levels[0])
	}
}
