package quality_test

import (
	"context"
	"testing"

	"github.com/lakestep/lakestep/shared/lake"
	"github.com/lakestep/lakestep/shared/lake/laketest"
	"github.com/lakestep/lakestep/shared/quality"
	"github.com/lakestep/lakestep/shared/store"
	"github.com/lakestep/lakestep/shared/store/file"
)

// Rules and tests pass over rows that are deleted softly, except that a key must have one row, deleted or not.
func TestDeletedRows(t *testing.T) {
	lab := laketest.New(t, func(root string) (store.Store, error) { return file.New(root) })
	p := laketest.Pipeline(t, map[string]string{
		"x.sql": `SELECT _row, * FROM {{ changes "bronze.x" }}`,
		"pipeline.yaml": `name: x
lake: lake
sources: { s: { connector: files, path: landing, streams: { x: { path: '*.csv', format: csv } } } }
bronze: { x: { stream: s.x } }
silver:
  other: { model: x.sql, materialized: append }
  this:
    model: x.sql
    materialized: merge
    unique_key: k
    sequence_by: seq
    operation: op
    deletes: soft
    quality:
      - { name: rule, expect: v > 0, on_failure: fail }
      - { name: total, control_total: v }
      - { not_null: mail }
      - { unique: mail }
      - { name: key, unique: k }
      - { accepted_values: { column: mail, values: [a, b] } }
      - { relationships: { column: mail, to: silver.other, field: mail } }
      - { row_count: { max: 2 } }
      - { name: expression, expression: min(v) > 0 }
`})
	declare, _ := p.Table("silver.this")
	s, err := lab.Engine.Session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	const live = "(1, 1, 5, 'a', false), (2, 1, 7, 'b', NULL)"
	audit := quality.Audit{Session: s, Declare: declare, Written: "(SELECT * FROM (VALUES (1), (3), (4)) w(k))",
		Decision: &lake.Decision{Counts: lake.Counts{Read: 3, Accepted: 3}, Control: map[string]lake.Totals{"total": {Accepted: "5", Removals: 2}}},
		Resolve: func(context.Context, string) (quality.Other, error) {
			return quality.Other{Rows: "(SELECT * FROM (VALUES ('a'), ('b')) o(mail))"}, nil
		}}
	for _, tt := range []struct {
		name, deleted string
		failed        []string
	}{
		{"as they may be", "(3, 2, -1, 'a', true), (4, 2, NULL, NULL, true)", nil},
		{"a key twice", "(1, 2, 5, 'a', true)", []string{"key"}},
		{"rows that are not deleted", "(3, 2, -1, 'a', false), (4, 2, NULL, NULL, NULL)",
			[]string{"rule", "total", "not_null_mail", "unique_mail", "relationships_mail", "row_count", "expression"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			audit.Rows = "(SELECT * FROM (VALUES " + live + ", " + tt.deleted + ") v(k, seq, v, mail, is_deleted))"
			checks, err := audit.Run(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var failed []string
			for _, c := range checks {
				if !c.Passed {
					failed = append(failed, c.Name)
				}
			}
			if len(checks) != 9 || len(failed) != len(tt.failed) {
				t.Fatalf("failed %v, want %v", failed, tt.failed)
			}
			for i, name := range tt.failed {
				if failed[i] != name {
					t.Errorf("failed %v, want %v", failed, tt.failed)
				}
			}
		})
	}
}
