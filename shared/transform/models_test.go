package transform_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lakestep/lakestep/shared/engine"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/lake/laketest"
	"github.com/lakestep/lakestep/shared/transform"
)

var update = flag.Bool("update", false, "write what Check says into testdata/*.txt; read the diff before you commit it")

const contractJSON = `{
  "apiVersion": "v3.1.0", "kind": "DataContract", "id": "g", "version": "1.0.0", "status": "active",
  "schema": [{"name": "g", "properties": [{"name": "id", "physicalType": "int"}, {"name": "v", "physicalType": "string"}]}]
}`

// TestModels runs the cases of testdata/*.txt: mistakes in SQL, rules and contracts that are found without data. A case is
//
//	=== its name
//	the keys of silver.s, instead of merge by id and v; may be empty
//	--- silver.sql, --- gold.sql     the models; left out: right ones
//	--- gold                         the keys of gold.g, instead of full
//	--- want
//	the errors, with their hints; or what was skipped; or ok
//
// The raw table bronze.raw has the columns id, v and day.
func TestModels(t *testing.T) {
	e, err := engine.Open(engine.Options{MemoryMB: 256, Threads: 2, TempDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no testdata", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		cases := strings.Split(string(data), "=== ")
		for i, text := range cases[1:] {
			name, _, _ := strings.Cut(text, "\n")
			t.Run(strings.TrimSuffix(filepath.Base(file), ".txt")+"/"+name, func(t *testing.T) {
				cases[i+1] = modelCase(t, e, text)
			})
		}
		if *update {
			if err := os.WriteFile(file, []byte(strings.Join(cases, "=== ")), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func modelCase(t *testing.T, e *engine.Engine, text string) string {
	parts := strings.Split(text, "\n--- ")
	_, silver, _ := strings.Cut(parts[0], "\n")
	section := map[string]string{
		"silver":     strings.TrimSpace(silver),
		"silver.sql": "SELECT _row, try_cast(id AS INTEGER) AS id, v FROM {{ changes \"bronze.raw\" }}",
		"gold.sql":   "SELECT id, v FROM {{ ref \"silver.s\" }}",
		"gold":       "materialized: full",
	}
	want, found := "", false
	for _, part := range parts[1:] {
		name, body, _ := strings.Cut(part, "\n")
		if name == "want" {
			want, found = strings.TrimSpace(body), true
			continue
		}
		section[name] = body
	}
	if !found {
		t.Fatal("the case has no --- want")
	}
	if section["silver"] == "" {
		section["silver"] = "materialized: merge\nunique_key: id\nsequence_by: v"
	}
	indent := func(s string) string { return "    " + strings.ReplaceAll(s, "\n", "\n    ") + "\n" }
	p := laketest.Pipeline(t, map[string]string{
		"silver.sql": section["silver.sql"], "gold.sql": section["gold.sql"], "g.json": contractJSON,
		"pipeline.yaml": "name: x\nlake: lake\n" +
			"sources: { l: { connector: files, path: landing, streams: { raw: { path: '*.csv', format: csv } } } }\n" +
			"bronze: { raw: { stream: l.raw, columns: [id, v, day] } }\n" +
			"silver:\n  s:\n    model: silver.sql\n" + indent(section["silver"]) + // line 8 is the case's first
			"gold:\n  g:\n    model: gold.sql\n    contract: g.json\n" + indent(section["gold"])})
	checked, err := transform.Check(t.Context(), e, p)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, err := range checked.Errors {
		lines = append(lines, string(fault.KindOf(err))+" "+strings.TrimSpace(err.Error()))
		if h := fault.HintOf(err); h != "" {
			lines = append(lines, "  "+h)
		}
	}
	for _, s := range checked.Skipped {
		lines = append(lines, "skipped "+s)
	}
	got := strings.Join(lines, "\n")
	if got == "" {
		got = "ok"
	}
	if diff := cmp.Diff(want, got); diff != "" && !*update {
		t.Errorf("want -, got +\n%s", diff)
	}
	head, _, _ := strings.Cut(text, "\n--- want")
	return head + "\n--- want\n" + got + "\n\n"
}
