package quality_test

import (
	"encoding/json"
	"strings"
	"testing"

	qualitystep "github.com/lakestep/lakestep/functions/quality"
	"github.com/lakestep/lakestep/shared/lake"
	"github.com/lakestep/lakestep/shared/lake/laketest"
	"github.com/lakestep/lakestep/shared/pipeline"
	"github.com/lakestep/lakestep/shared/quality"
	"github.com/lakestep/lakestep/shared/store"
	"github.com/lakestep/lakestep/shared/store/file"
	"github.com/lakestep/lakestep/shared/transform"
)

var gateBundle = pipeline.Bundle{Root: pipeline.RootFile, Files: map[string]string{
	"orders.sql": `SELECT _row, try_cast(id AS INTEGER) AS id, try_cast(seq AS INTEGER) AS seq, try_cast(price AS DECIMAL(9, 2)) AS price FROM {{ changes "bronze.orders" }}`,
	"pipeline.yaml": `name: gate
lake: lake
sources: { s: { connector: files, path: landing, streams: { orders: { path: '*.csv', format: csv } } } }
bronze: { orders: { stream: s.orders } }
silver:
  orders:
    model: orders.sql
    materialized: merge
    unique_key: id
    sequence_by: seq
    quality:
      - { name: bad_price, expect: price >= 0 }
      - { name: total, control_total: price }
      - { row_count: { max: 4 } }
`}}

// staged loads two batches, publishes the first and stages the second: 1 updated, 2 left alone, 3 and 5 new; a stale, a superseded, and a bad row.
func staged(t *testing.T) (*laketest.Lab, *pipeline.Table, transform.Outcome) {
	t.Helper()
	lab := laketest.New(t, func(root string) (store.Store, error) { return file.New(root) })
	p := laketest.Pipeline(t, gateBundle.Files)
	declare, _ := p.Table("silver.orders")
	runner := transform.Runner{Lake: lab.Lake, Engine: lab.Engine}
	var made transform.Outcome
	for i, batch := range [][]laketest.Row{
		{{"1", "1", "10.00"}, {"2", "5", "20.00"}},
		{{"1", "2", "11.50"}, {"2", "4", "99.00"}, {"3", "1", "7.00"}, {"3", "2", "8.00"}, {"4", "1", "-1"}, {"5", "1", "0.00"}},
	} {
		lab.Append(t, "bronze.orders", []string{"id", "seq", "price"}, batch...)
		var err error
		if made, err = runner.Run(t.Context(), transform.Request{Run: "r", Pipeline: p, Table: declare}); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			lab.Publish(t, "silver.orders", made.Staged)
		}
	}
	return lab, declare, made
}

// control_total closes the gate on a merge that went wrong, however: the wrong rows are put in the place of the staged ones.
func TestControlTotalCatchesAWrongMerge(t *testing.T) {
	lab, declare, made := staged(t)
	if want := (lake.Counts{Read: 6, Accepted: 3, Superseded: 1, Stale: 1, Quarantined: 1}); made.Decision.Counts != want {
		t.Fatalf("counts %+v", made.Decision.Counts)
	}
	s, err := lab.Engine.Session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	good := "(VALUES (1, 2, 11.50), (2, 5, 20.00), (3, 2, 8.00), (5, 1, 0.00))"
	for _, tt := range []struct {
		name, rows string
		passes     bool
	}{
		{"right", good, true},
		{"a lost row", "(VALUES (1, 2, 11.50), (2, 5, 20.00), (5, 1, 0.00))", false},
		{"a lost row of no value", "(VALUES (1, 2, 11.50), (2, 5, 20.00), (3, 2, 8.00))", false},
		{"a doubled row", "(VALUES (1, 2, 11.50), (2, 5, 20.00), (3, 2, 8.00), (3, 2, 8.00), (5, 1, 0.00))", false},
		{"a changed value", "(VALUES (1, 2, 11.51), (2, 5, 20.00), (3, 2, 8.00), (5, 1, 0.00))", false},
		{"the old row stayed", "(VALUES (1, 1, 10.00), (2, 5, 20.00), (3, 2, 8.00), (5, 1, 0.00))", false},
		{"the superseded row won", "(VALUES (1, 2, 11.50), (2, 5, 20.00), (3, 1, 7.00), (5, 1, 0.00))", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			audit := quality.Audit{Session: s, Declare: declare, Decision: made.Decision, Rows: "(SELECT * FROM " + tt.rows + " v(id, seq, price))",
				Written: "(SELECT * FROM " + good + " v(id, seq, price) WHERE id <> 2)"}
			checks, err := audit.Run(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range checks {
				if c.Name == "total" && (c.Passed != tt.passes || (c.Message == "") != tt.passes) {
					t.Errorf("%+v", c)
				}
			}
		})
	}
}

// The step's verdict: passed; closed and held; waived by name with its reason, and released.
func TestGate(t *testing.T) {
	for _, tt := range []struct {
		name      string
		max       string
		overrides lake.Overrides
		want      string
		held      bool
	}{
		{"passes", "4", lake.Overrides{}, lake.Passed, false},
		{"closes", "3", lake.Overrides{}, lake.Closed, true},
		{"waived", "3", lake.Overrides{Waive: []string{"silver.orders"}, Reason: "known"}, lake.Waived, false},
		{"another table's waiver", "3", lake.Overrides{Waive: []string{"silver.other"}, Reason: "known"}, lake.Closed, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			lab, _, made := staged(t)
			b := pipeline.Bundle{Root: gateBundle.Root, Files: map[string]string{"orders.sql": gateBundle.Files["orders.sql"],
				"pipeline.yaml": strings.Replace(gateBundle.Files["pipeline.yaml"], "max: 4", "max: "+tt.max, 1)}}
			digest, err := lab.Lake.Pin(t.Context(), b)
			if err != nil {
				t.Fatal(err)
			}
			if err := lab.Lake.Hold(t.Context(), "r", lake.Held{Table: "silver.orders", Cause: "silver.orders"}); err != nil {
				t.Fatal(err) // as an earlier round left it
			}
			if err := lab.Lake.PutOverrides(t.Context(), "r", tt.overrides); err != nil {
				t.Fatal(err)
			}
			in, err := json.Marshal(lake.StagedInput{Run: "r", Bundle: digest, Table: "silver.orders", Staged: made.Staged})
			if err != nil {
				t.Fatal(err)
			}
			raw, err := qualitystep.New(lab.Lake, lab.Engine).Handle(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			var out qualitystep.Output
			if err := json.Unmarshal(raw, &out); err != nil {
				t.Fatal(err)
			}
			held, err := lab.Lake.HeldTables(t.Context(), "r")
			if err != nil {
				t.Fatal(err)
			}
			if out.Verdict != tt.want || (len(held) > 0) != tt.held {
				t.Errorf("%+v, held %v", out, held)
			}
			v, err := lab.Open(t, "silver.orders").VerdictOn(t.Context(), made.Staged)
			if err != nil || v.Verdict != tt.want || (v.Reason != "") != (tt.want == lake.Waived) {
				t.Errorf("%+v, %v", v, err)
			}
		})
	}
}
