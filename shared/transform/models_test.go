package transform_test

import (
	"flag"
	"maps"
	"strings"
	"testing"

	"github.com/lakestep/lakestep/shared/cases"
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
	cases.Run(t, "testdata/*.txt", *update, func(t *testing.T, c cases.Case) string { return modelCase(t, e, c) })
}

func modelCase(t *testing.T, e *engine.Engine, c cases.Case) string {
	section := map[string]string{
		"silver":     strings.TrimSpace(c.First),
		"silver.sql": "SELECT _row, try_cast(id AS INTEGER) AS id, v FROM {{ changes \"bronze.raw\" }}",
		"gold.sql":   "SELECT id, v FROM {{ ref \"silver.s\" }}",
		"gold":       "materialized: full",
	}
	maps.Copy(section, c.Sections)
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
	if len(lines) == 0 {
		return "ok"
	}
	return strings.Join(lines, "\n")
}
