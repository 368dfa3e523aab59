package transform_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/lakestep/lakestep/shared/cases"
	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/lake/laketest"
	"github.com/lakestep/lakestep/shared/transform"
)

const eventModel = `SELECT _row, try_cast(id AS INTEGER) AS id, try_cast(seq AS INTEGER) AS seq, v, w, op, string_split(gaps, ' ') AS gaps
FROM {{ changes "bronze.raw" }}`

const eventContract = `{"apiVersion": "v3.1.0", "kind": "DataContract", "id": "g", "version": "1.0.0", "status": "active",
 "schema": [{"name": "g", "properties": [{"name": "id", "physicalType": "int"}, {"name": "seq", "physicalType": "int"}, {"name": "v", "physicalType": "string"}, {"name": "is_deleted", "physicalType": "boolean"}]}]}`

// TestEvents runs the cases of testdata/events/*.txt: change events of a merged table. A case is
//
//	=== its name
//	the keys of silver.s beyond merge by id (or its own unique_key) and seq, instead of soft deletes with operation op and unchanged gaps; may be empty
//	--- 1, --- 2 ...                 the batches: id seq v w op gaps in columns of commas, - for NULL; the rows of later lines came later
//	--- silver.sql, --- gold.sql     the models
//	--- gold                         the keys of gold.g, a merge by id and seq, which is made once behind each batch; left out: there is none
//	--- want
//	after each batch its counts, what it did to the table, and the rows of the table, the quarantine and gold.g
func TestEvents(t *testing.T) {
	lab := laketest.New(t, openFile)
	cases.Run(t, "testdata/events/*.txt", *update, func(t *testing.T, c cases.Case) string {
		lab.Reset(t)
		return eventCase(t, &house{Lab: lab, files: eventFiles(c)}, c)
	})
}

func eventFiles(c cases.Case) map[string]string {
	section := func(name, fallback string) string {
		if s, ok := c.Sections[name]; ok {
			return s
		}
		return fallback
	}
	keys := strings.TrimSpace(c.First)
	if keys == "" {
		keys = "operation: op\ndeletes: soft\nunchanged: gaps"
	}
	if !strings.Contains(keys, "unique_key") {
		keys = "unique_key: id\n" + keys
	}
	indent := func(s string) string { return "    " + strings.ReplaceAll(s, "\n", "\n    ") + "\n" }
	text := "name: x\nlake: lake\nsources: { l: { connector: files, path: landing, streams: { raw: { path: '*.csv', format: csv } } } }\n" +
		"bronze: { raw: { stream: l.raw } }\nsilver:\n  s:\n    model: s.sql\n    materialized: merge\n    sequence_by: seq\n    quarantine: q\n" + indent(keys)
	if gold, ok := c.Sections["gold"]; ok {
		text += "gold:\n  g:\n    model: g.sql\n    materialized: merge\n    unique_key: id\n    sequence_by: seq\n    contract: g.json\n" + indent(gold)
	}
	return map[string]string{
		"pipeline.yaml": text, "g.json": eventContract, "s.sql": section("silver.sql", eventModel),
		"g.sql": section("gold.sql", "SELECT id, seq, v, CASE WHEN is_deleted THEN 'delete' ELSE 'update' END AS op\nFROM {{ changes \"silver.s\" }}"),
	}
}

func eventCase(t *testing.T, h *house, c cases.Case) string {
	var out strings.Builder
	for batch := 1; ; batch++ {
		text, ok := c.Sections[fmt.Sprint(batch)]
		if !ok {
			return strings.TrimRight(out.String(), "\n")
		}
		var rows []laketest.Row
		for _, line := range strings.Split(text, "\n") {
			row := make(laketest.Row, 6)
			for i, cell := range strings.Split(line, ",") {
				if cell = strings.TrimSpace(cell); cell != "-" {
					row[i] = cell
				}
			}
			rows = append(rows, row)
		}
		h.Append(t, "bronze.raw", []string{"id", "seq", "v", "w", "op", "gaps"}, rows...)
		h.say(t, &out, "silver.s", "silver.q")
		if _, ok := c.Sections["gold"]; ok {
			h.say(t, &out, "gold.g", "")
		}
	}
}

// say makes a table and tells what became of it.
func (h *house) say(t *testing.T, out *strings.Builder, name, quarantine string) {
	t.Helper()
	made, err := h.try(t, name)
	if err != nil {
		fmt.Fprintf(out, "%s: %s %s\n  %s\n", name, fault.KindOf(err), err, fault.HintOf(err))
		return
	}
	if made.Status != transform.Staged {
		fmt.Fprintf(out, "%s: %s\n", name, made.Status)
		return
	}
	n := made.Decision.Counts
	if !n.Balanced() {
		t.Errorf("%+v", n)
	}
	fmt.Fprintf(out, "%s: read %d = %d accepted + %d superseded + %d stale + %d quarantined; %d inserted, %d updated, %d deleted\n", name,
		n.Read, n.Accepted, n.Superseded, n.Stale, n.Quarantined, made.Inserted, made.Updated, made.Deleted)
	for _, line := range h.Rows(t, name, -1) {
		fmt.Fprintln(out, " ", line)
	}
	if quarantine == "" {
		return
	}
	lines := h.Rows(t, quarantine, -1)
	slices.Sort(lines)
	for _, line := range lines {
		fmt.Fprintln(out, "  refused", line)
	}
}

// What a delete leaves is part of what a table is; what the columns of the events are called is not.
func TestKindOfEventsStays(t *testing.T) {
	h := &house{Lab: laketest.New(t, openFile), files: eventFiles(cases.Case{First: "operation: op\ndeletes: hard"})}
	load := func(seq string) {
		h.Append(t, "bronze.raw", []string{"id", "seq", "v", "w", "op", "gaps"}, laketest.Row{"1", seq, "a", "x", "i", nil})
	}
	load("1")
	h.make(t, "silver.s", transform.Staged)
	load("2")
	right := h.files["pipeline.yaml"]
	for _, other := range []string{"", "    operation: op\n    deletes: soft\n"} {
		h.files["pipeline.yaml"] = strings.Replace(right, "    operation: op\n    deletes: hard\n", other, 1)
		_, err := h.try(t, "silver.s")
		wantFault(t, err, fault.SchemaBroken, "silver.s is a table of merge(id) with hard deletes")
	}
	h.files["pipeline.yaml"] = strings.Replace(right, "operation: op", "operation: what", 1)
	h.files["s.sql"] = strings.Replace(h.files["s.sql"], " op,", " op AS what,", 1)
	h.make(t, "silver.s", transform.Staged)
	h.want(t, "silver.s", "1|2|a|x|NULL")
}
