package transform_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/lakestep/lakestep/shared/fault"
	"github.com/lakestep/lakestep/shared/lake"
	"github.com/lakestep/lakestep/shared/lake/laketest"
	"github.com/lakestep/lakestep/shared/transform"
)

const shopYAML = `name: x
lake: lake
sources: { l: { connector: files, path: landing, streams: { raw: { path: '*.csv', format: csv } } } }
bronze: { raw: { stream: l.raw } }
silver: { s: { model: s.sql, materialized: merge, unique_key: id, sequence_by: seq, quarantine: q, quality: [{ name: bad, expect: v <> 'bad' }] } }
gold:
  m: { model: m.sql, materialized: merge, unique_key: id, sequence_by: seq, contract: m.json }
  h: { model: h.sql, materialized: scd2, unique_key: id, sequence_by: seq, tracked_columns: v, contract: h.json }
`

// newShop is a lake in which many rows have one sequence value: bronze.raw (id, seq, v) -> silver.s -> gold.m (merge), gold.h (scd2), whose
// models change the row, and with it its digest.
func newShop(t *testing.T) *house {
	columns := func(more string) string {
		return `{"apiVersion":"v3.1.0","kind":"DataContract","id":"x","version":"1.0.0","status":"active","schema":[{"name":"TABLE","physicalName":"TABLE","logicalType":"object","properties":[
{"name":"id","logicalType":"integer","physicalType":"int"},{"name":"seq","logicalType":"integer","physicalType":"int"},{"name":"v","logicalType":"string","physicalType":"string"}` + more + `]}]}`
	}
	scd2 := `,{"name":"valid_to","logicalType":"integer","physicalType":"int"},{"name":"is_current","logicalType":"boolean","physicalType":"boolean"}`
	return &house{Lab: laketest.New(t, openFile), files: map[string]string{
		"s.sql":         "SELECT _row, try_cast(id AS INTEGER) AS id, try_cast(seq AS INTEGER) AS seq, v FROM {{ changes \"bronze.raw\" }}",
		"m.sql":         "SELECT id, seq, v || '!' AS v FROM {{ changes \"silver.s\" }}",
		"h.sql":         "SELECT id, seq, v || '!' AS v FROM {{ changes \"silver.s\" }}",
		"m.json":        strings.ReplaceAll(columns(""), "TABLE", "m"),
		"h.json":        strings.ReplaceAll(columns(scd2), "TABLE", "h"),
		"pipeline.yaml": shopYAML,
	}}
}

// The digest of a gold row says nothing about the digest of the silver row that it comes from: on a tie gold follows silver, whether it
// reads silver's versions one by one or several at once.
func TestGoldFollowsSilverOnATie(t *testing.T) {
	for _, late := range []bool{false, true} {
		h := newShop(t)
		for batch := range 4 {
			var rows []laketest.Row
			for id := range 40 {
				rows = append(rows, laketest.Row{fmt.Sprint(id), "7", fmt.Sprintf("v%d-%d", batch, id)})
			}
			h.Append(t, "bronze.raw", []string{"id", "seq", "v"}, rows...)
			h.make(t, "silver.s", transform.Staged)
			if !late || batch == 0 {
				for _, name := range []string{"gold.m", "gold.h"} {
					if _, err := h.try(t, name); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		if late {
			h.make(t, "gold.m", transform.Staged)
			h.make(t, "gold.h", transform.Staged)
		}
		var merged, history []string
		for _, r := range h.Rows(t, "silver.s", -1) {
			merged = append(merged, r+"!")
			history = append(history, r+"!")
		}
		h.want(t, "gold.m", merged...)
		if got := h.Rows(t, "gold.h", -1, "id", "seq", "v"); strings.Join(got, "\n") != strings.Join(history, "\n") {
			t.Errorf("late %t: history\n%s\nwant\n%s", late, strings.Join(got, "\n"), strings.Join(history, "\n"))
		}
	}
}

func TestKindOfATableStays(t *testing.T) {
	h := newShop(t)
	h.Append(t, "bronze.raw", []string{"id", "seq", "v"}, laketest.Row{"1", "1", "a"})
	h.make(t, "silver.s", transform.Staged)
	h.make(t, "gold.m", transform.Staged)
	h.Append(t, "bronze.raw", []string{"id", "seq", "v"}, laketest.Row{"1", "2", "b"})
	h.make(t, "silver.s", transform.Staged)
	h.files["pipeline.yaml"] = strings.Replace(shopYAML, "m.sql, materialized: merge, unique_key: id", "m.sql, materialized: merge, unique_key: [id, v]", 1)
	_, err := h.try(t, "gold.m")
	wantFault(t, err, fault.SchemaBroken, "pipeline.yaml:7:3: gold.m is a table of merge(id), and is declared as merge(id, v)")
}

// What would stop the roll-forward for good is found before the decision.
func TestQuarantineMustFit(t *testing.T) {
	h := newShop(t)
	h.Append(t, "silver.q", []string{"id"}, laketest.Row{"somebody's own"})
	h.Append(t, "bronze.raw", []string{"id", "seq", "v"}, laketest.Row{"1", "1", "bad"})
	if _, err := h.try(t, "silver.s"); err != nil {
		t.Fatalf("texts fit: %v", err)
	}
	h = newShop(t)
	h.Append(t, "bronze.raw", []string{"id", "seq", "v", "Reason"}, laketest.Row{"1", "1", "bad", "theirs"})
	h.make(t, "silver.s", transform.Staged)
	if err := h.Lake.Forward(t.Context(), h.Open(t, "silver.s")); err != nil {
		t.Fatal(err)
	}
	if got := h.Rows(t, "silver.q", -1, "id", "Reason", "_reason"); len(got) != 1 || got[0] != "1|theirs|bad" {
		t.Errorf("quarantine %q", got)
	}
}

// A sequence value that no later one can pass would freeze its key.
func TestInfiniteSequence(t *testing.T) {
	h := newShop(t)
	h.files["s.sql"] = strings.Replace(h.files["s.sql"], "try_cast(seq AS INTEGER)", "try_cast(seq AS DOUBLE)", 1)
	h.Append(t, "bronze.raw", []string{"id", "seq", "v"}, laketest.Row{"1", "infinity", "a"}, laketest.Row{"2", "nan", "a"}, laketest.Row{"3", "1", "a"}, laketest.Row{"4", nil, "a"})
	made := h.make(t, "silver.s", transform.Staged)
	if want := (lake.Counts{Read: 4, Accepted: 1, Quarantined: 3}); made.Decision.Counts != want {
		t.Errorf("%+v", made.Decision.Counts)
	}
	if err := h.Lake.Forward(t.Context(), h.Open(t, "silver.s")); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(h.Rows(t, "silver.q", -1, "id", "reason"), " "); got != "1|infinite_seq 2|infinite_seq 4|null_seq" {
		t.Errorf("quarantine %s", got)
	}
}
