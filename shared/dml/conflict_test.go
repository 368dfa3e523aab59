package dml_test

import (
	"errors"
	"testing"

	"github.com/lakestep/lakestep/shared/delta"
	"github.com/lakestep/lakestep/shared/dml"
	"github.com/lakestep/lakestep/shared/fault"
)

// interleaved plans an operation, lets another commit first, and then commits the plan.
func (r *rig) interleaved(planned, first dml.Operation) error {
	r.t.Helper()
	p, err := r.Plan(r.t.Context(), r.snapshot(), planned)
	must(r.t, err)
	r.run(first)
	_, err = p.Txn().Commit(r.t.Context())
	return err
}

// Who comes second is refused exactly when the outcome depends on what came first.
func TestWhatOperationsDependOn(t *testing.T) {
	upsert := func(rows string) dml.Merge {
		return dml.Merge{Source: rows, Keys: []string{"id"}, Matched: []dml.Clause{{}}, NotMatched: []dml.Clause{{}}}
	}
	for name, tt := range map[string]struct {
		planned, first dml.Operation
		conflict       delta.ConflictKind
	}{
		"append after anything":      {dml.Append{Rows: "SELECT 1 AS id, 'x' AS v"}, dml.Delete{}, ""},
		"delete after an append":     {dml.Delete{Where: "id = 2"}, dml.Append{Rows: "SELECT 2 AS id, 'x' AS v"}, delta.ConcurrentAppend},
		"delete elsewhere":           {dml.Delete{Where: "id = 2"}, dml.Append{Rows: "SELECT 7 AS id, 'x' AS v"}, ""},
		"two deletes in one file":    {dml.Delete{Where: "id = 2"}, dml.Delete{Where: "id = 3"}, delta.ConcurrentAppend},
		"two deletes in two files":   {dml.Delete{Where: "id = 2"}, dml.Delete{Where: "id = 12"}, ""},
		"merges of other keys":       {upsert("SELECT 2 AS id, 'm' AS v"), upsert("SELECT 12 AS id, 'm' AS v"), ""},
		"merges of one new key":      {upsert("SELECT 50 AS id, 'm' AS v"), upsert("SELECT 50 AS id, 'n' AS v"), delta.ConcurrentAppend},
		"overwrite after an append":  {dml.Overwrite{Rows: "SELECT 1 AS id, 'x' AS v"}, dml.Append{Rows: "SELECT 7 AS id, 'x' AS v"}, delta.ConcurrentAppend},
		"overwrite of another range": {dml.Overwrite{Rows: "SELECT 12 AS id, 'x' AS v", Where: "id > 9"}, dml.Append{Rows: "SELECT 5 AS id, 'x' AS v"}, ""},
		"insert where a match went": {dml.Merge{Source: "SELECT 2 AS id, 'm' AS v", Keys: []string{"id"}, NotMatched: []dml.Clause{{}},
			Matched: []dml.Clause{{When: "false"}}, NotMatchedBySource: []dml.Clause{{When: "t.id = 12", Delete: true}}}, dml.Delete{Where: "id < 5"}, delta.ConcurrentDeleteRead},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, idv(), nil, nil)
			r.run(dml.Append{Rows: "SELECT range AS id, 'a' AS v FROM range(5)"})
			r.run(dml.Append{Rows: "SELECT 10 + range AS id, 'b' AS v FROM range(3)"})
			err := r.interleaved(tt.planned, tt.first)
			var c *delta.ConflictError
			errors.As(err, &c)
			if tt.conflict == "" && err != nil || tt.conflict != "" && (c == nil || c.Kind != tt.conflict) {
				t.Errorf("%v, want conflict %q", err, tt.conflict)
			}
		})
	}
}

// An overwrite of partitions depends on these, the one of NULLs among them, and on no other.
func TestOverwriteOfPartitionsDependsOnThem(t *testing.T) {
	for name, conflict := range map[string]bool{"'a'": true, "NULL": true, "'b'": false} {
		r := newRig(t, idv(), []string{"v"}, nil)
		r.run(dml.Append{Rows: "SELECT * FROM (VALUES (1, 'a'), (2, NULL), (3, 'b')) x(id, v)"})
		err := r.interleaved(dml.Overwrite{Rows: "SELECT * FROM (VALUES (5, 'a'), (6, NULL)) x(id, v)", Partitions: true}, dml.Append{Rows: "SELECT 7 AS id, " + name + " AS v"})
		var c *delta.ConflictError
		if errors.As(err, &c) != conflict || !conflict && err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Run plans anew after a lost race.
func TestRunPlansAnew(t *testing.T) {
	r := newRig(t, idv(), nil, nil)
	r.run(dml.Append{Rows: "SELECT 1 AS id, 'a' AS v"})
	attempts, next := 0, r.Attempt
	r.Attempt = func() int64 { // each plan asks for a number: another writer comes in between, twice
		if attempts++; attempts <= 2 {
			other := *r.Table
			other.Attempt = next
			_, err := other.Run(t.Context(), dml.Append{Rows: "SELECT 1 AS id, 'b' AS v"})
			must(t, err)
		}
		return next()
	}
	res := r.run(dml.Update{Set: map[string]string{"v": "v || '!'"}, Where: "id = 1"})
	if res.Metrics["numUpdatedRows"] != 3 {
		t.Errorf("%v", res)
	}
	r.expect("[[1 a!] [1 b!] [1 b!]]")
}

func TestReservedColumns(t *testing.T) {
	r := newRig(t, schema(field("_pos", delta.Long)), nil, nil)
	r.refused(dml.Append{Rows: "SELECT 1 AS _pos"}, fault.InvalidInput, "_pos")
	r = newRig(t, idv(), nil, nil)
	r.refused(dml.Append{Rows: "SELECT 1 AS id, 2 AS ID"}, fault.SchemaBroken, "given twice")
	r.refused(dml.Merge{Source: "SELECT 1 AS id, 'a' AS v, 2 AS _clause", Keys: []string{"id"}, NotMatched: []dml.Clause{{}}}, fault.InvalidInput, "_clause")
	r.refused(dml.Append{Rows: "SELECT 1 AS id, 2 AS _POS", Evolve: dml.Evolution{AddColumns: true}}, fault.InvalidInput, "_POS")
	if _, err := r.Plan(t.Context(), r.Delta.Empty(), dml.Append{Rows: "SELECT 1 AS id"}); !errors.Is(err, delta.ErrNoTable) {
		t.Error(err)
	}
}
